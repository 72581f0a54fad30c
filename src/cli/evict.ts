// `detour evict` and `detour readmit`: a stuck vendor out of the delegation of a zone, and back, by
// the daemon or, with --direct, from here. It shows what would be written and asks before anything
// is; it decides nothing.

import type { Command } from 'commander';
import type { DelegationCommand, Reply } from '../core/model.ts';
import { daemon } from './client.ts';
import {
  act,
  type Cli,
  defaultConfig,
  examples,
  type ReplicaOptions,
  withReplica,
} from './hands.ts';
import {
  confirm,
  mustAsk,
  type OrderOptions,
  planLines,
  said,
  showPlan,
  showReply,
  who,
  withDaemon,
  withReason,
} from './order.ts';

interface Options extends OrderOptions, ReplicaOptions {
  readonly reason: string;
  readonly zone?: string;
  readonly direct?: boolean;
  readonly config: string;
}

export function addEvict(program: Command, cli: Cli): void {
  const command = program
    .command('evict')
    .description('take a stuck vendor out of the delegation of a zone, by hand')
    .argument('<provider>', 'its name in the configuration');
  examples(
    delegate(cli, command, 'evict'),
    '$ detour evict ali --reason "its API refuses keys, a third stays behind" --dry-run',
    '$ detour evict ali --reason "its API refuses keys, a third stays behind"',
    'The daemon is dead, or its machine is:',
    '$ detour evict ali --reason "daemon down" --direct -c detour.yaml',
    '',
    'Resolvers forget it within the TTL of the NS set, which is shown first. Two vendors that answer',
    'are always left. Ends with 3 when the parent was written and something else was not.',
  );
}

export function addReadmit(program: Command, cli: Cli): void {
  const command = program
    .command('readmit')
    .description('put a vendor back into the delegation, once it is in step')
    .argument('<provider>', 'its name in the configuration');
  examples(
    delegate(cli, command, 'readmit'),
    '$ detour readmit ali --reason "its API works again, it is in step"',
  );
}

function delegate(cli: Cli, command: Command, kind: DelegationCommand['kind']): Command {
  withDaemon(withReplica(withReason(command)))
    .option('--zone <name>', 'which zone, where several can be written')
    .option('--dry-run', 'say what would be written, and for how long resolvers keep the old set')
    .option('--yes', 'do not ask first (nothing is asked in a pipe)')
    .option('--direct', 'from here, without the daemon: reads and writes the vendors itself')
    .option('-c, --config <file>', 'the configuration, for --direct', defaultConfig);
  act<Options>(cli, command, async ([provider], options) => {
    const { reason, zone = null } = options;
    const order = { kind, provider: provider!, zone, reason, by: who(cli) };
    const give = giver(cli, options);
    if (options.dryRun) return showPlan(cli, await give({ ...order, dryRun: true }), options);
    if (mustAsk(cli, options)) {
      const plan = await give({ ...order, dryRun: true });
      if (plan.exit !== 0) return showReply(cli, plan, options);
      cli.io.out(`${said(plan)}\n${planLines(plan)}`);
      await confirm(cli);
    }
    return showReply(cli, await give(order), options);
  });
  return command;
}

function giver(cli: Cli, options: Options): (order: DelegationCommand) => Promise<Reply> {
  if (options.direct) {
    const about = { configPath: options.config, replica: options.replica ?? null };
    return (order) => cli.hands.delegate(order, about);
  }
  const client = daemon(cli, options);
  return (order) => client.command(order);
}
