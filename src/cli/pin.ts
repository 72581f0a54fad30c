// `detour pin` and `detour unpin`: hold a record on the target it has, and let go of it again.
// Letting go moves nothing by itself.

import type { Command } from 'commander';
import { type Cli, examples } from './hands.ts';
import { giveOrder, holdMs, mayReason, type OrderOptions, reasonIn, withReason } from './order.ts';

export function addPin(program: Command, cli: Cli): void {
  const command = withReason(
    program
      .command('pin')
      .description('hold a record on the target it has, whatever its health')
      .argument('<record>', 'the record'),
  ).option('--for <duration>', 'how long: 30m, 2h, or unlimited', '2h');
  giveOrder<OrderOptions & { reason: string; for: string }>(
    cli,
    command,
    'never',
    async ([record], { reason, for: hold }, by) => ({
      kind: 'pin',
      record: record!,
      reason,
      by,
      forMs: await holdMs(hold),
    }),
  );
  examples(
    command,
    '$ detour pin www.gslb.example.net --reason "load test until noon" --for 3h',
    'A pinned target that goes down is told of, and not left.',
  );
}

export function addUnpin(program: Command, cli: Cli): void {
  const command = mayReason(
    program
      .command('unpin')
      .description('end a pin; moves nothing by itself')
      .argument('<record>', 'the record'),
  );
  giveOrder<OrderOptions & { reason?: string }>(cli, command, 'moves', ([record], options, by) => ({
    kind: 'unpin',
    record: record!,
    by,
    ...reasonIn(options),
  }));
  examples(command, '$ detour unpin www.gslb.example.net');
}
