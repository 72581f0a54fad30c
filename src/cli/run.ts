// `detour run`: the daemon. The work is the hands'; this only says how it is asked for.

import type { Command } from 'commander';
import {
  act,
  type Cli,
  defaultConfig,
  examples,
  type ReplicaOptions,
  withReplica,
} from './hands.ts';

interface Options extends ReplicaOptions {
  readonly config: string;
  readonly json?: boolean;
  readonly newState?: boolean;
}

export function addRun(program: Command, cli: Cli): void {
  const command = program
    .command('run')
    .description('the daemon: probe, decide, write, prove, until it is told to end')
    .option('-c, --config <file>', 'the configuration', defaultConfig)
    .option('--json', 'log lines as JSON even on a terminal')
    .option('--new-state', 'begin anew where the store is gone or damaged; by hand, once');
  examples(
    withReplica(command),
    '$ detour run -c /etc/detour/detour.yaml',
    '$ detour run -c /etc/detour/detour.yaml --replica fra-1',
  );
  act<Options>(cli, command, (_, options) =>
    cli.hands.run(options.config, {
      json: options.json === true,
      newState: options.newState === true,
      replica: options.replica ?? null,
    }),
  );
}
