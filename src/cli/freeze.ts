// `detour freeze` and `detour unfreeze`: stop automatic decisions, for one record or for all, and
// let them go on. What was decided before still converges.

import type { Command } from 'commander';
import { type Cli, examples } from './hands.ts';
import { giveOrder, holdMs, mayReason, type OrderOptions, reasonIn, withReason } from './order.ts';

export function addFreeze(program: Command, cli: Cli): void {
  const command = withReason(
    program
      .command('freeze')
      .description('stop automatic decisions; what was decided still converges')
      .argument('[record]', 'one record; without it, all of them'),
  ).option('--for <duration>', 'how long: 30m, 2h, or unlimited', 'unlimited');
  giveOrder<OrderOptions & { reason: string; for: string }>(
    cli,
    command,
    'never',
    async ([record], { reason, for: hold }, by) => ({
      kind: 'freeze',
      record: record ?? null,
      reason,
      by,
      forMs: await holdMs(hold),
    }),
  );
  examples(
    command,
    '$ detour freeze --reason "moving the DNS zone between accounts" --for 1h',
    'An operator can still switch while it is frozen.',
  );
}

export function addUnfreeze(program: Command, cli: Cli): void {
  const command = mayReason(
    program
      .command('unfreeze')
      .description('let automatic decisions go on')
      .argument('[record]', 'one record; without it, the freeze of all of them'),
  );
  giveOrder<OrderOptions & { reason?: string }>(cli, command, 'moves', ([record], options, by) => ({
    kind: 'unfreeze',
    record: record ?? null,
    by,
    ...reasonIn(options),
  }));
  examples(command, '$ detour unfreeze', '$ detour unfreeze www.gslb.example.net');
}
