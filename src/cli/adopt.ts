// `detour adopt`: takes over a record that exists at the vendors, or makes the first one.

import type { Command } from 'commander';
import { type Cli, examples } from './hands.ts';
import { giveOrder, type OrderOptions, readReason } from './order.ts';

export function addAdopt(program: Command, cli: Cli): void {
  const command = program
    .command('adopt')
    .description('take over a record that stands at the vendors, or make the first one')
    .argument('<record>', 'the record')
    .argument('<target>', 'the origin it leads to, or is to lead to')
    .option('--create', 'create it where it is missing everywhere')
    .option('--reason <text>', 'why; wanted where it overwrites what is no target', readReason);
  giveOrder<OrderOptions & { create?: boolean; reason?: string }>(
    cli,
    command,
    'always',
    ([record, target], options, by) => ({
      kind: 'adopt',
      record: record!,
      target: target!,
      create: options.create === true,
      ...(options.reason === undefined ? {} : { reason: options.reason }),
      by,
    }),
  );
  examples(
    command,
    'The vendors disagree; hangzhou is what is wanted everywhere:',
    '$ detour adopt www.gslb.example.net hangzhou --dry-run',
    '$ detour adopt www.gslb.example.net hangzhou --reason "moved from the old balancer"',
    'The record exists nowhere yet:',
    '$ detour adopt www.gslb.example.net hangzhou --create',
  );
}
