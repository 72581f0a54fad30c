// `detour adopt`: takes over a record that exists at the vendors, or makes the first one.

import type { Command } from 'commander';
import { type Cli, examples } from './hands.ts';
import { type DaemonOptions, giveOrder } from './order.ts';

export function addAdopt(program: Command, cli: Cli): void {
  const command = program
    .command('adopt')
    .description('take over a record that stands at the vendors, or make the first one')
    .argument('<record>', 'the record')
    .argument('<target>', 'the origin it leads to, or is to lead to')
    .option('--create', 'create it where it is missing everywhere');
  giveOrder<DaemonOptions & { create?: boolean }>(
    cli,
    command,
    ([record, target], options, by) => ({
      kind: 'adopt',
      record: record!,
      target: target!,
      create: options.create === true,
      by,
    }),
  );
  examples(
    command,
    'The vendors disagree; hangzhou is what is wanted everywhere:',
    '$ detour adopt www.gslb.example.net hangzhou',
    'The record exists nowhere yet:',
    '$ detour adopt www.gslb.example.net hangzhou --create',
  );
}
