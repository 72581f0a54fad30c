// `detour drain` and `detour undrain`: take an origin or a whole cloud out of choice, and give it
// back.

import type { Command } from 'commander';
import { type Cli, examples } from './hands.ts';
import { giveOrder, holdMs, type OrderOptions, withReason } from './order.ts';

export function addDrain(program: Command, cli: Cli): void {
  const command = withReason(
    program
      .command('drain')
      .description('take an origin or a cloud out of choice; moves off it if another is up')
      .argument('<cloud|origin>', 'its name in the configuration'),
  ).option('--for <duration>', 'how long: 30m, 2h, or unlimited', 'unlimited');
  giveOrder<OrderOptions & { reason: string; for: string }>(
    cli,
    command,
    'moves',
    async ([what], { reason, for: hold }, by) => ({
      kind: 'drain',
      what: what!,
      reason,
      by,
      forMs: await holdMs(hold),
    }),
  );
  examples(
    command,
    '$ detour drain aliyun --reason "their maintenance, 02:00 to 04:00" --for 2h',
    '$ detour undrain aliyun',
  );
}

export function addUndrain(program: Command, cli: Cli): void {
  const command = program
    .command('undrain')
    .description('put a drained origin or cloud back into choice')
    .argument('<cloud|origin>', 'its name in the configuration');
  giveOrder(cli, command, 'moves', ([what], _, by) => ({ kind: 'undrain', what: what!, by }));
  examples(command, '$ detour undrain aliyun');
}
