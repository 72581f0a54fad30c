// `detour report`: what the journal comes to: promises kept, one incident, the availability of a month.
// It reads, prints, and writes the one file it is told to; it changes nothing.

import { writeFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import type { StatusView } from '../core/view.ts';
import { whyOfFile } from '../kit/errno.ts';
import type { StoredEntry } from '../ports.ts';
import { type Client, daemon } from './client.ts';
import { act, type Cli, CliError, examples, type ReportOrder } from './hands.ts';
import { printJson } from './json.ts';
import { type DaemonOptions, withDaemon } from './order.ts';

interface Options extends DaemonOptions {
  readonly config?: string;
  readonly state?: string;
  readonly all?: boolean;
  readonly record?: string;
  readonly since?: string;
  readonly until?: string;
  readonly format?: 'md' | 'html';
  readonly out?: string;
  readonly month?: string;
}

const PAGE = 10_000;
/** Entries that are read at most, the newest. */
const ENTRIES_MOST = 500_000;

export function addReport(program: Command, cli: Cli): void {
  const command = program
    .command('report')
    .description('what the journal comes to: promises kept, one incident, a month');
  addObjective(command, cli);
  addIncident(command, cli);
  addSla(command, cli);
}

function withJournal(command: Command): Command {
  return withDaemon(command)
    .option('--state <directory>', 'read the journal of a daemon that is dead')
    .option('-c, --config <file>', 'the configuration, for its time zone and its agreements');
}

function addObjective(program: Command, cli: Cli): void {
  const command = program
    .command('objective')
    .description('what is promised to clients: predicted beside measured, kept and missed')
    .argument('[record]', 'one record; without it, all that promise something');
  examples(
    withJournal(command),
    '$ detour report objective',
    '$ detour report objective www --json',
    'A ? marks what was not measured yet and is taken for granted; a drill measures it.',
  );
  act<Options>(cli, command, async ([record], options) => {
    return made(cli, options, { kind: 'objective', record: record ?? null });
  });
}

function addIncident(program: Command, cli: Cli): void {
  const command = program
    .command('incident')
    .description('one incident, from the first failure to the last cache; the last by itself')
    .option('--record <record>', 'of one record alone')
    .option('--since <moment>', 'from then on, such as "2023-11-12 17:40" in the configured zone')
    .option('--until <moment>', 'until then')
    .addOption(new Option('--format <format>', 'what to write').choices(['md', 'html']))
    .option('-o, --out <file>', 'write it there; .html and .md say the format')
    .option('-a, --all', 'of every replica of the group, while they answer');
  examples(
    withJournal(command),
    '$ detour report incident -o incident.html',
    '$ detour report incident --record www --since 2023-11-12 > incident.md',
  );
  act<Options>(cli, command, async (_, options) => {
    const isPage = /\.html?$/i.test(options.out ?? '');
    const ask = {
      kind: 'incident',
      record: options.record ?? null,
      since: options.since ?? null,
      until: options.until ?? null,
      format: options.format ?? (isPage ? 'html' : 'md'),
    } as const;
    return made(cli, options, ask);
  });
}

function addSla(program: Command, cli: Cli): void {
  const command = program
    .command('sla')
    .description('availability of a month, of each cloud, origin and record; tiers and credits')
    .option('--month <YYYY-MM>', 'which month, in the configured zone (default: this one)')
    .option('-a, --all', 'by the journals of every replica of the group, while they answer');
  examples(
    withJournal(command),
    '$ detour report sla --month 2023-11',
    'What nobody can know is counted apart, and never as an outage.',
  );
  act<Options>(cli, command, async (_, options) => {
    return made(cli, options, { kind: 'sla', month: options.month ?? null });
  });
}

async function made(cli: Cli, options: Options, ask: ReportOrder['ask']): Promise<number> {
  const told = options.state === undefined ? await toldBy(cli, options) : null;
  const { config = null, state = null } = options;
  const { text, json } = await cli.hands.report({ ask, config, state, told });
  const print = options.json ? `${JSON.stringify(json)}\n` : text;
  if (options.out !== undefined) writeOut(options.out, print);
  else if (options.json) printJson(cli.io, json);
  else cli.io.out(text);
  return 0;
}

/** All that the daemon's journal holds, page by page, and what it knows now. */
async function toldBy(cli: Cli, options: Options): Promise<NonNullable<ReportOrder['told']>> {
  const client = daemon(cli, { ...options, names: 'ascii' });
  const status: StatusView = await client.status();
  if (options.all) {
    const { entries, silent } = await client.histories(null, PAGE);
    const notes = silent.map(({ replica, why }) => `${replica} has not answered: ${why}`);
    if (entries.length >= PAGE) notes.push(`only the newest ${PAGE} entries of all replicas`);
    return { status, entries, notes };
  }
  const { entries, isCut } = await pagesOf(client);
  const notes = isCut ? [`only the newest ${ENTRIES_MOST} entries are read`] : [];
  return { status, entries, notes };
}

async function pagesOf(client: Client) {
  const entries: StoredEntry[] = [];
  let before: number | undefined;
  for (;;) {
    const page = await client.history(null, PAGE, before);
    for (const entry of page) entries.push(entry);
    before = page.at(-1)?.seq;
    if (page.length < PAGE) return { entries, isCut: false };
    if (entries.length >= ENTRIES_MOST) return { entries, isCut: true };
  }
}

function writeOut(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    throw new CliError(1, `-o ${file} ${whyOfFile(error)}: name a file that can be written`);
  }
}
