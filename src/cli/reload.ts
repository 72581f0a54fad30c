// `detour reload`: has the daemon read its configuration again. A bad one is refused there and the
// good one kept.

import type { Command } from 'commander';
import { daemon } from './client.ts';
import { act, type Cli, examples } from './hands.ts';
import { type DaemonOptions, showReply, withDaemon } from './order.ts';

export function addReload(program: Command, cli: Cli): void {
  const command = program
    .command('reload')
    .description('have the daemon read its configuration again; a bad one is refused');
  examples(withDaemon(command), '$ detour validate -c /etc/detour/detour.yaml && detour reload');
  act<DaemonOptions>(cli, command, async (_, options) =>
    showReply(cli, await daemon(cli, options).reload(), options),
  );
}
