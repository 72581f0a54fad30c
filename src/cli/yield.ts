// `detour yield`: in a group, whoever acts hands over to another replica at once, before a planned
// restart of it. It may be said to any replica, and moves no record.

import type { Command } from 'commander';
import { type Cli, examples } from './hands.ts';
import { giveOrder } from './order.ts';

export function addYield(program: Command, cli: Cli): void {
  const command = program
    .command('yield')
    .description('let another replica act: whoever acts hands over at once');
  giveOrder(cli, command, 'never', (_args, _options, by) => ({ kind: 'yield', by }));
  examples(
    command,
    'It may be said to any replica; `detour status` says who acts.',
    '$ detour yield',
    '$ detour yield --dry-run',
  );
}
