// `detour ack`: a person has seen why a record waits (a spent budget, a stronger writer) and lets it
// act again, after they were shown what that does. It never takes or overrules anything unseen.

import type { Command } from 'commander';
import { daemon } from './client.ts';
import { act, type Cli, CliError, examples } from './hands.ts';
import { type DaemonOptions, said, showReply, who, withDaemon } from './order.ts';

interface AckOptions extends DaemonOptions {
  readonly reject?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

export function addAck(program: Command, cli: Cli): void {
  const command = program
    .command('ack')
    .description('a person has looked: let a record that waits for one act again')
    .argument('<record>', 'the record')
    .option('--reject', 'overrule what another writer wrote, instead of taking it')
    .option('--dry-run', 'say what it would do, and do nothing')
    .option('--yes', 'do not ask');
  act<AckOptions>(cli, withDaemon(command), async ([record], options) => {
    const { reject = false } = options;
    const given = { kind: 'ack', record: record!, by: who(cli), reject } as const;
    const desk = daemon(cli, options);
    const shown = await desk.command({ ...given, dryRun: true });
    if (options.dryRun || shown.exit !== 0) return showReply(cli, shown, options);
    if (!options.yes && cli.io.interactive && !options.json) {
      if (!(await cli.io.confirm(`${said(shown)}. Do it? [y/N] `))) {
        throw new CliError(1, 'nothing was done');
      }
    }
    return showReply(cli, await desk.command({ ...given, dryRun: false }), options);
  });
  examples(
    command,
    '`detour status` says what it waits for: a spent budget, or another writer.',
    '$ detour ack www.gslb.example.net',
    '$ detour ack www.gslb.example.net --reject',
  );
}
