// `detour ack`: a person has seen why a record waits (a spent budget, a writer that is ahead) and lets
// it act again, or overrules that writer; or why a whole group waits (its engine was restored from a
// backup), and says that this replica's documents are right. It shows first what it will do.

import type { Command } from 'commander';
import { type Cli, CliError, examples } from './hands.ts';
import { giveOrder, type OrderOptions } from './order.ts';

export function addAck(program: Command, cli: Cli): void {
  const command = program
    .command('ack')
    .description('a person has looked: let a record that waits for one act again')
    .argument('[record]', 'the record; none with --restored')
    .option('--reject', 'overrule what another writer wrote, instead of taking it')
    .option('--restored', "the group's engine was restored: this replica's documents are right");
  giveOrder<OrderOptions & { reject?: boolean; restored?: boolean }>(
    cli,
    command,
    'moves',
    ([record], { reject = false, restored = false }, by) => {
      if (restored && record === undefined && !reject) return { kind: 'restored', by };
      if (restored) throw new CliError(2, '--restored is about the group: give it alone');
      if (record === undefined) throw new CliError(2, 'give the record, or --restored');
      return { kind: 'ack', record, by, reject };
    },
  );
  examples(
    command,
    '`detour status` says what it waits for: a spent budget, or another writer.',
    '$ detour ack www.gslb.example.net',
    '$ detour ack www.gslb.example.net --reject',
    "At the replica whose documents are to be the group's, which `--dry-run` counts:",
    '$ detour ack --restored --dry-run',
  );
}
