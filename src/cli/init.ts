// `detour init --key-only FILE`: a cluster key, made here and kept here. It is never printed, and
// never written over a file that is there.

import type { Command } from 'commander';
import { act, type Cli, examples } from './hands.ts';
import { showReply } from './order.ts';

export function addInit(program: Command, cli: Cli): void {
  const command = program
    .command('init')
    .description('make a cluster key, which signs markers')
    .requiredOption('--key-only <file>', 'where to put it; must not exist yet')
    .option('--json', 'the answer as one JSON document');
  act<{ keyOnly: string; json?: boolean }>(cli, command, async (_, options) =>
    showReply(cli, await cli.hands.makeKey(options.keyOnly), options),
  );
  examples(
    command,
    '$ detour init --key-only /etc/detour/cluster.key',
    'Then name it in the configuration: clusterKey: { file: /etc/detour/cluster.key }',
  );
}
