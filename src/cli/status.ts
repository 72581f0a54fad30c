// `detour status`: what is served where, and why; once, or redrawn each second. It asks and prints,
// and changes nothing.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Name } from '../core/model.ts';
import type { StatusView } from '../core/view.ts';
import { type Client, daemon } from './client.ts';
import { act, type Cli, CliError, examples } from './hands.ts';
import { type DaemonOptions, withDaemon } from './order.ts';
import { printName, printStatus } from './print.ts';

interface Options extends DaemonOptions {
  readonly watch?: boolean;
}

export function addStatus(program: Command, cli: Cli): void {
  const command = program
    .command('status')
    .description('what is served where, and why it stays there')
    .argument('[record]', 'one record, with its origins and lanes; without it, everything')
    .option('-w, --watch', 'draw it again each second until Ctrl-C');
  examples(
    withDaemon(command),
    '$ detour status www.gslb.example.net --watch',
    "$ detour status --json | jq '.records[] | select(.switching)'   # switches under way",
  );
  act<Options>(cli, command, async ([record], options) => {
    const client = daemon(cli, options);
    if (options.watch) return watch(cli, client, record, options);
    cli.io.out(show(cli, await client.status(), record, options));
    return 0;
  });
}

/** The record that an operator means. Throws CliError 2 with the names there are. */
export function findRecord(view: StatusView, typed: string): Name {
  const name = `${typed.toLowerCase().replace(/\.$/, '')}.`;
  if (view.records.some((record) => record.name === name)) return name;
  const names = view.records.map((record) => printName(record.name));
  const known = names.length === 0 ? 'none is configured' : `there are ${names.join(', ')}`;
  throw new CliError(2, `no record ${typed}: ${known}`);
}

function show(cli: Cli, view: StatusView, record: string | undefined, options: Options): string {
  const only = record === undefined ? null : findRecord(view, record);
  if (!options.json) {
    return printStatus(view, { columns: cli.io.columns(), colour: cli.io.colour }, only);
  }
  const records = view.records.filter((r) => only === null || r.name === only);
  return `${JSON.stringify({ ...view, records })}\n`;
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
  try {
    return show(cli, await client.status(signal), record, options);
  } catch (error) {
    if (!(error instanceof CliError) || error.exit === 2) throw error;
    const { exit, message } = error;
    return options.json ? `${JSON.stringify({ exit, message })}\n` : `${message}\n`;
  }
}

/** Draws over what stands there, without a flicker; what does not fit is counted. */
function screen(text: string, rows: number): string {
  const lines = text.trimEnd().split('\n');
  const fits = Math.max(1, rows - 2);
  const shown = lines.slice(0, fits);
  if (lines.length > fits) shown.push(`(${lines.length - fits} more lines: name a record)`);
  return `\x1b[H${shown.map((line) => `${line}\x1b[K\n`).join('')}\x1b[J`;
}
