// `detour ack`: a person has seen why a record waits (a spent budget, a writer that is ahead) and lets
// it act again, or overrules that writer. It shows first what it will do.

import type { Command } from 'commander';
import { type Cli, examples } from './hands.ts';
import { giveOrder, type OrderOptions } from './order.ts';

export function addAck(program: Command, cli: Cli): void {
  const command = program
    .command('ack')
    .description('a person has looked: let a record that waits for one act again')
    .argument('<record>', 'the record')
    .option('--reject', 'overrule what another writer wrote, instead of taking it');
  giveOrder<OrderOptions & { reject?: boolean }>(
    cli,
    command,
    'moves',
    ([record], { reject = false }, by) => ({ kind: 'ack', record: record!, by, reject }),
  );
  examples(
    command,
    '`detour status` says what it waits for: a spent budget, or another writer.',
    '$ detour ack www.gslb.example.net',
    '$ detour ack www.gslb.example.net --reject',
  );
}
