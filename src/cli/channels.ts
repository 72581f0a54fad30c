// `detour channels`: who is told of what, by the configuration; and `detour channels test`, which tells
// each of them something and says how it went. Without the daemon, and past all of its queues.

import type { Command } from 'commander';
import {
  act,
  type Cli,
  defaultConfig,
  examples,
  type ReplicaOptions,
  withReplica,
} from './hands.ts';
import { printJson } from './json.ts';
import { age, clean } from './print.ts';

interface Options extends ReplicaOptions {
  readonly config: string;
  readonly json?: boolean;
}

export function addChannels(program: Command, cli: Cli): void {
  const list = program
    .command('channels')
    .description('who is told of what; `test` tells each of them something')
    .option('-c, --config <file>', 'the configuration', defaultConfig)
    .option('--json', 'as one JSON document');
  examples(withReplica(list), '$ detour channels -c detour.yaml', '$ detour channels test chat');
  act<Options>(cli, list, async (_, options) => {
    const channels = await cli.hands.channels(options.config, options.replica ?? null);
    if (options.json) printJson(cli.io, { channels });
    else if (channels.length === 0) cli.io.out('nobody is told: no channel is configured\n');
    for (const { name, type, severity, records, quietMs } of options.json ? [] : channels) {
      const about = records === null ? 'all records' : records.join(', ');
      const quiet = quietMs === 0 ? '' : `  the same not within ${age(quietMs)}`;
      cli.io.out(`${clean(`${name}  ${type}  ${severity.join(', ')}  ${about}${quiet}`)}\n`);
    }
    return 0;
  });
  addTest(list, cli);
}

function addTest(list: Command, cli: Cli): void {
  const command = list
    .command('test')
    .description('open and close a thing of no consequence at one channel, or at each')
    .argument('[name]', 'a channel; without it, all')
    .option('-c, --config <file>', 'the configuration', defaultConfig)
    .option('--json', 'as one JSON document');
  examples(
    withReplica(command),
    '$ detour channels test -c detour.yaml',
    '$ detour channels test chat --json',
    'Ends with 1 when a channel did not get through. It asks once, and each has 30 s.',
  );
  act<Options>(cli, command, async ([name], options) => {
    const { config, replica = null } = options;
    const tried = await cli.hands.tryChannels(config, name ?? null, replica);
    if (options.json) printJson(cli.io, { tried });
    for (const one of options.json ? [] : tried) {
      const how = one.why === null ? 'told' : `not told: ${one.why}`;
      const line = `${one.channel}  ${one.state.padEnd(6)}  ${String(one.ms).padStart(5)} ms  ${how}`;
      cli.io.out(`${clean(line)}\n`);
    }
    return tried.every(({ why }) => why === null) ? 0 : 1;
  });
}
