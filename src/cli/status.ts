// `detour status`: what is served where, and why; once, or redrawn each second. It asks and prints,
// and changes nothing. With --check it is one line and an exit code for monitors.

import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import type { Name } from '../core/model.ts';
import { asciiOf, inScript, meant } from '../core/name.ts';
import type { StatusView } from '../core/view.ts';
import { labelsOf, toAscii } from '../kit/script.ts';
import { type Client, daemon } from './client.ts';
import { act, type Cli, CliError, examples, type Io } from './hands.ts';
import { dated, printJson } from './json.ts';
import { type DaemonOptions, withDaemon } from './order.ts';
import { clean, type Form, forms, printStatus } from './print.ts';
import { check, worryOf } from './worry.ts';

interface Options extends DaemonOptions {
  readonly watch?: boolean;
  readonly check?: boolean;
  readonly trouble?: boolean;
  readonly output?: Form;
}

export function addStatus(program: Command, cli: Cli): void {
  const command = program
    .command('status')
    .description('what is served where, and why it stays there; trouble first')
    .argument('[record]', 'one record in detail; without it, a line for each')
    .addOption(new Option('-o, --output <form>', 'how much of each record').choices(forms))
    .option('-t, --trouble', 'only the records that are in trouble, or of which nobody can tell')
    .option('-w, --watch', 'draw it again each second until Ctrl-C')
    .addOption(
      new Option('--check', 'one line for monitors: 0 well, 1 trouble, 3 cannot tell').conflicts([
        'watch',
        'output',
        'trouble',
      ]),
    );
  examples(
    withDaemon(command),
    '$ detour status --trouble',
    '$ detour status www --watch',
    '$ detour status --check || page-somebody',
    "$ detour status --json | jq '.records[] | select(.switching)'   # switches under way",
    '',
    'Ends with 0 when it could be read, whatever it says; with --check as its line says.',
  );
  act<Options>(cli, command, async ([record], options) => {
    const client = daemon(cli, options);
    if (options.check) return checked(cli, client, record, options);
    if (options.watch) return watch(cli, client, record, options);
    show(cli, await client.status(), record, options);
    return 0;
  });
}

/** The record that an operator means. Throws CliError 2 with the closest of those there are. */
export function findRecord(view: StatusView, typed: string): Name {
  const found = meant('record', toAscii(typed) ?? typed, view.records.map(asciiOf));
  const known = { ...view.spelling, ...labelsOf(typed).shown };
  if (!found.ok) throw new CliError(2, inScript(found.sentence, known));
  return view.records.find((record) => asciiOf(record) === found.name)!.name;
}

/** The view of one record, with the origins, clouds and lanes that it depends on. */
function narrowed(view: StatusView, typed: string | undefined): StatusView {
  if (typed === undefined) return view;
  const only = findRecord(view, typed);
  const records = view.records.filter((record) => record.name === only);
  const origins = new Set(records.flatMap((r) => r.targets.map((t) => t.origin)));
  const providers = new Set(records.flatMap((r) => r.providers.map((p) => p.provider)));
  const shown = view.origins.filter(({ name }) => origins.has(name));
  const clouds = new Set(shown.map(({ cloud }) => cloud));
  return {
    ...view,
    records,
    origins: shown,
    clouds: view.clouds.filter(({ name }) => clouds.has(name)),
    lanes: view.lanes.filter(({ provider }) => providers.has(provider)),
    notices: view.notices.filter(({ record }) => record === null || record === only),
    audit: view.audit && {
      ...view.audit,
      bad: view.audit.bad.filter(
        (f) => (f.record ?? only) === only && (f.provider === null || providers.has(f.provider)),
      ),
    },
  };
}

function show(cli: Cli, whole: StatusView, typed: string | undefined, options: Options): void {
  const { io } = cli;
  const view = narrowed(whole, typed);
  const records = options.trouble
    ? view.records.filter((r) => ['trouble', 'unknown'].includes(worryOf(r).level))
    : view.records;
  if (options.json) {
    // `version` is that of the document.
    const { version: detour, ...rest } = view;
    return printJson(io, dated({ detour, ...rest, records }));
  }
  const form = options.output ?? (typed === undefined ? 'short' : 'full');
  const paper = { columns: io.columns(), colour: io.colour };
  io.out(printStatus({ ...view, records }, paper, { form, of: view.records.length }));
}

/** One line and its code, whatever happens but wrong input. */
async function checked(
  cli: Cli,
  client: Client,
  record: string | undefined,
  options: Options,
): Promise<number> {
  const { exit, sentence } = await verdict(client, record);
  if (options.json) printJson(cli.io, { exit, message: sentence });
  else cli.io.out(`${clean(sentence)}\n`);
  return exit;
}

async function verdict(
  client: Client,
  record: string | undefined,
): Promise<ReturnType<typeof check>> {
  let view: StatusView;
  try {
    view = await client.status();
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return { exit: 3, sentence: `cannot tell: ${error.message}` };
  }
  return check(narrowed(view, record));
}

async function watch(
  cli: Cli,
  client: Client,
  record: string | undefined,
  options: Options,
): Promise<number> {
  const { io } = cli;
  const stop = new AbortController();
  const undo = io.interrupted(() => stop.abort());
  const drawing = io.terminal && !options.json;
  // Cursor and line wrap off while the screen is ours.
  if (drawing) io.out('\x1b[?25l\x1b[?7l\x1b[2J');
  try {
    while (!stop.signal.aborted) {
      const text = await frame(cli, client, record, options, stop.signal);
      if (stop.signal.aborted) break;
      io.out(drawing ? screen(text, io.rows()) : text);
      await sleep(1000, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  } finally {
    if (drawing) io.out('\x1b[?7h\x1b[?25h\n');
    undo();
  }
  return 0;
}

/** One drawing; a daemon that is away for a moment is said so and asked again. */
async function frame(
  cli: Cli,
  client: Client,
  record: string | undefined,
  options: Options,
  signal: AbortSignal,
): Promise<string> {
  let text = '';
  const io: Io = Object.assign(Object.create(cli.io) as Io, {
    out: (more: string) => {
      text += more;
    },
  });
  try {
    show({ ...cli, io }, await client.status(signal), record, options);
  } catch (error) {
    if (!(error instanceof CliError) || error.exit === 2) throw error;
    const { exit, message } = error;
    if (options.json) printJson(io, { exit, message });
    else io.out(`${message}\n`);
  }
  return text;
}

/** Draws over what stands there, without a flicker; what does not fit is counted. */
function screen(text: string, rows: number): string {
  const lines = text.trimEnd().split('\n');
  const fits = Math.max(1, rows - 2);
  const shown = lines.slice(0, fits);
  if (lines.length > fits)
    shown.push(`(${lines.length - fits} more lines: --trouble, or name a record)`);
  return `\x1b[H${shown.map((line) => `${line}\x1b[K\n`).join('')}\x1b[J`;
}
