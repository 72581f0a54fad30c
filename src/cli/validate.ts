// `detour validate`: every problem of a configuration at once, and who has a vote on which origin,
// with no network touched.

import type { Command } from 'commander';
import { daemon } from './client.ts';
import {
  act,
  type Cli,
  defaultConfig,
  examples,
  type ReplicaOptions,
  withReplica,
} from './hands.ts';
import { printJson } from './json.ts';
import { showReply } from './order.ts';
import { clean } from './print.ts';

interface Options extends ReplicaOptions {
  readonly config: string;
  readonly json?: boolean;
  readonly jsonSchema?: boolean;
  readonly plugins?: boolean;
  readonly againstRunning?: boolean;
  readonly socket?: string;
}

export function addValidate(program: Command, cli: Cli): void {
  const command = program
    .command('validate')
    .description('check the configuration, offline: every problem at once')
    .option('-c, --config <file>', 'the configuration', defaultConfig)
    .option('--json', 'the result as one JSON document')
    .option('--plugins', 'load the packages that it names, and read their settings with them')
    .option('--against-running', 'say what it would change in the daemon that runs here')
    .option('--socket <path>', "the daemon's control socket (or DETOUR_SOCKET)")
    .option('--json-schema', 'print the JSON Schema of the configuration, for editors');
  examples(
    withReplica(command),
    '$ detour validate -c detour.yaml',
    '$ detour validate -c detour.yaml --plugins',
    '$ detour validate -c next.yaml --against-running',
    '$ detour validate --json-schema > detour.schema.json',
    'Then, as the first line of detour.yaml:',
    '# yaml-language-server: $schema=detour.schema.json',
  );
  act<Options>(cli, command, async (_, options) => {
    if (options.jsonSchema) {
      cli.io.out(`${JSON.stringify(await cli.hands.jsonSchema(), null, 2)}\n`);
      return 0;
    }
    const { problems, warnings, votes } = await cli.hands.validate(options.config, {
      byName: options.plugins !== true,
      replica: options.replica ?? null,
    });
    const exit = problems.length > 0 ? 2 : 0;
    if (options.againstRunning && exit === 0) {
      const texts = await cli.hands.texts(options.config);
      return showReply(cli, await daemon(cli, options).compare(texts), options);
    }
    if (options.json) printJson(cli.io, { exit, problems, warnings, votes });
    else cli.io.out(report(options.config, problems, warnings) + (votes ? `\n${votes}` : ''));
    return exit;
  });
}

function report(path: string, problems: readonly string[], warnings: readonly string[]): string {
  const lines = [
    ...problems.map((problem) => clean(problem)),
    ...warnings.map((warning) => `warning: ${clean(warning)}`),
  ];
  const counts = [
    ...(problems.length > 0 ? [count(problems.length, 'problem')] : [`${path} is good`]),
    ...(warnings.length > 0 ? [count(warnings.length, 'warning')] : []),
  ];
  return [...lines, counts.join(', ')].map((line) => `${line}\n`).join('');
}

function count(many: number, what: string): string {
  return `${many} ${what}${many === 1 ? '' : 's'}`;
}
