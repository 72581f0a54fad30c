// `detour reload`: has the daemon read its configuration again, and says what that changes. A bad one
// is refused there and the good one kept; it must never say that something is in force that is not.

import type { Command } from 'commander';
import { daemon } from './client.ts';
import { act, type Cli, examples } from './hands.ts';
import { type DaemonOptions, showReply, withDaemon } from './order.ts';

interface Options extends DaemonOptions {
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

export function addReload(program: Command, cli: Cli): void {
  const command = program
    .command('reload')
    .description('have the daemon read its configuration again; a bad one is refused whole');
  command.option('--dry-run', 'say what would change, and put nothing in force');
  command.option('--force', 'also where it removes many records, or changes all their targets');
  examples(withDaemon(command), '$ detour reload --dry-run', '$ detour reload');
  act<Options>(cli, command, async (_, options) => {
    const { dryRun = false, force = false } = options;
    return showReply(cli, await daemon(cli, options).reload({ dryRun, force }), options);
  });
}
