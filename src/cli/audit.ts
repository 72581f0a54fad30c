// `detour audit`: is the way out really open? Has the daemon look, or looks from here with the
// configuration. It prints what was found, the worst first, and changes nothing.

import type { Command } from 'commander';
import type { AuditReport } from '../core/audit.ts';
import { daemon } from './client.ts';
import { act, type Cli, CliError, examples, type ReplicaOptions, withReplica } from './hands.ts';
import { dateOf, printJson } from './json.ts';
import { type DaemonOptions, withDaemon } from './order.ts';
import { printAudit } from './print.ts';

interface Options extends DaemonOptions, ReplicaOptions {
  readonly config?: string;
  readonly all?: boolean;
}

export function addAudit(program: Command, cli: Cli): void {
  const command = program
    .command('audit')
    .description('is the way out really open? keys, delegation, TTLs, vendors in step, targets')
    .option('-c, --config <file>', 'look from here with this configuration, without the daemon')
    .option('-a, --all', 'show what is good as well');
  examples(
    withDaemon(withReplica(command)),
    '$ detour audit',
    '$ detour audit -c /etc/detour/detour.yaml   # with no daemon; it knows of no past switch',
    '$ detour audit --json | jq \'.findings[] | select(.severity == "bad")\'',
    'Ends with 1 when something is bad. Writing is tried by writes that change nothing.',
  );
  act<Options>(cli, command, async (_, options) => {
    const report = await made(cli, options);
    const paper = { columns: cli.io.columns(), colour: cli.io.colour };
    if (options.json) printJson(cli.io, outward(report));
    else cli.io.out(printAudit(report, paper, options.all === true));
    return report.findings.some((f) => f.severity === 'bad') ? 1 : 0;
  });
}

function outward({ wall, ...report }: AuditReport): object {
  return { time: dateOf(wall), ...report };
}

async function made(cli: Cli, options: Options): Promise<AuditReport> {
  if (options.config === undefined) return daemon(cli, options).audit();
  const report = await cli.hands.audit(options.config, options.replica ?? null);
  if ('exit' in report) throw new CliError(report.exit, report.message);
  return report;
}
