// `detour ack`: a person has seen why a record waits (a spent budget, a stronger writer) and lets it
// act again.

import type { Command } from 'commander';
import { type Cli, examples } from './hands.ts';
import { giveOrder } from './order.ts';

export function addAck(program: Command, cli: Cli): void {
  const command = program
    .command('ack')
    .description('a person has looked: let a record that waits for one act again')
    .argument('<record>', 'the record');
  giveOrder(cli, command, 'moves', ([record], _, by) => ({ kind: 'ack', record: record!, by }));
  examples(
    command,
    '`detour status` says what it waits for: a spent budget, or another writer.',
    '$ detour ack www.gslb.example.net',
  );
}
