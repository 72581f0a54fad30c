// `detour audit`: is the way out really open? Has the daemon look, or looks from here with the
// configuration. It prints what was found, the worst first, and changes nothing.

import { type Command, InvalidArgumentError } from 'commander';
import { type AuditReport, type Grade, grades, isAsBadAs } from '../core/audit.ts';
import { daemon } from './client.ts';
import { act, type Cli, CliError, examples, type ReplicaOptions, withReplica } from './hands.ts';
import { dateOf, named, printJson } from './json.ts';
import { type DaemonOptions, withDaemon } from './order.ts';
import { printAudit } from './print.ts';

interface Options extends DaemonOptions, ReplicaOptions {
  readonly config?: string;
  readonly all?: boolean;
  readonly failOn: Grade;
  readonly strict?: boolean;
}

export function addAudit(program: Command, cli: Cli): void {
  const command = program
    .command('audit')
    .description('is the way out really open? keys, delegation, TTLs, vendors in step, targets')
    .option('-c, --config <file>', 'look from here with this configuration, without the daemon')
    .option('-a, --all', 'show what is good as well')
    .option('--fail-on <grade>', 'end with 1 at this grade or a worse one', readGrade, 'F')
    .option('--strict', 'end with 1 for whatever is not an A');
  examples(
    withDaemon(withReplica(command)),
    '$ detour audit',
    '$ detour audit -c /etc/detour/detour.yaml   # with no daemon; it knows of no past switch',
    '$ detour audit --json | jq \'.findings[] | select(.severity == "bad")\'',
    '$ detour audit --fail-on C   # for a timer that should nag earlier',
    'Ends with 1 at a failed grade: F, when something is bad. docs/audit.md explains each finding.',
    'Writing is tried by writes that change nothing.',
  );
  act<Options>(cli, command, async (_, options) => {
    const report = await made(cli, options);
    const paper = { columns: cli.io.columns(), colour: cli.io.colour };
    if (options.json) printJson(cli.io, outward(report));
    else cli.io.out(printAudit(report, paper, options.all === true));
    return isAsBadAs(report.grades.overall, options.strict ? 'B' : options.failOn) ? 1 : 0;
  });
}

function readGrade(text: string): Grade {
  const grade = grades.find((one) => one === text.toUpperCase());
  if (grade !== undefined) return grade;
  throw new InvalidArgumentError(`Expected one of ${grades.join(', ')}.`);
}

function outward({ wall, ...report }: AuditReport): object {
  return { time: dateOf(wall), ...report };
}

async function made(cli: Cli, options: Options): Promise<AuditReport> {
  if (options.config === undefined) return daemon(cli, options).audit();
  const report = await cli.hands.audit(options.config, options.replica ?? null);
  if ('exit' in report) throw new CliError(report.exit, report.message);
  return named(report, options);
}
