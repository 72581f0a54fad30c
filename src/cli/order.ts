// What the commands that give the daemon one order have in common: who gives it, the notation of its
// arguments, what is shown and asked before it, and how the reply is shown. It never decides whether
// an order is wise.

import { type Command, InvalidArgumentError } from 'commander';
import type { Json, Command as Order, Reply } from '../core/model.ts';
import { padTo, width } from '../core/name.ts';
import { type Client, daemon } from './client.ts';
import { act, type Cli, CliError } from './hands.ts';
import { printJson } from './json.ts';
import type { PlaceOptions } from './place.ts';
import { clean, printName } from './print.ts';

export interface DaemonOptions extends PlaceOptions {
  readonly json?: boolean;
}

export interface OrderOptions extends DaemonOptions {
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

/** The options of every command that talks to the daemon. */
export function withDaemon(command: Command): Command {
  return command
    .option('--socket <path>', "the daemon's control socket (or DETOUR_SOCKET)")
    .option('--api <url>', 'the daemon by its API instead, https://HOST:PORT (or DETOUR_API)')
    .option('--token-file <path>', 'with --api: file of the token (or DETOUR_TOKEN_FILE)')
    .option('--ca <path>', 'with --api: PEM file of who vouches for it (or DETOUR_CA)')
    .option('--json', 'the answer as one JSON document');
}

/** A reason that must be given. */
export function withReason(command: Command): Command {
  return command.requiredOption('--reason <text>', 'why, for the journal', readReason);
}

/** A reason that may be given. */
export function mayReason(command: Command): Command {
  return command.option('--reason <text>', 'why, for the journal', readReason);
}

/** As a part of an order: nothing where none was given. */
export function reasonIn({ reason }: { readonly reason?: string }): { readonly reason?: string } {
  return reason === undefined ? {} : { reason };
}

export function readReason(text: string): string {
  const reason = text.trim();
  if (reason === '') throw new InvalidArgumentError('It is empty: say why.');
  if (reason.length > 500) throw new InvalidArgumentError('It is longer than 500 characters.');
  return reason;
}

/**
 * When a person is asked first, at a terminal: `always` for what overwrites, `moves` where the order
 * would make something move, `never` for what moves nothing.
 */
type Asks = 'always' | 'moves' | 'never';

/** What becomes of an order that was taken, until its end; null: it is not waited for. */
type Follow<Options> = (
  reply: Reply,
  options: Options,
  client: Client,
  args: readonly string[],
) => Promise<number> | null;

/** A command that is one order: shows what it would do, asks, gives it, shows the reply. */
export function giveOrder<Options extends OrderOptions>(
  cli: Cli,
  command: Command,
  asks: Asks,
  order: (args: readonly string[], options: Options, by: string) => Order | Promise<Order>,
  follow: Follow<Options> = () => null,
): Command {
  withDaemon(command).option('--dry-run', 'say what it would do, and do nothing');
  if (asks !== 'never') command.option('--yes', 'do not ask first (nothing is asked in a pipe)');
  act<Options>(cli, command, async (args, options) => {
    const given = await order(args, options, who(cli));
    const client = daemon(cli, options);
    const look = { ...given, dryRun: true };
    if (options.dryRun) return showPlan(cli, await client.command(look), options);
    if (asks !== 'never' && mustAsk(cli, options)) {
      const plan = await client.command(look);
      if (plan.exit !== 0) return showReply(cli, plan, options);
      if (asks === 'always' || rowsOf(plan).some(({ to }) => to !== null)) {
        wantReason(given, plan);
        cli.io.out(`${said(plan)}\n${planLines(plan)}`);
        await confirm(cli);
      }
    }
    const reply = await client.command(given);
    const followed = reply.exit === 0 ? follow(reply, options, client, args) : null;
    return followed ?? showReply(cli, reply, options);
  });
  return command;
}

/** Said before anybody is asked: what overwrites a stranger's value wants a reason. */
function wantReason(given: Order, plan: Reply): void {
  const { overwrites } = detailOf(plan);
  if (given.kind !== 'adopt' || given.reason !== undefined) return;
  if (!Array.isArray(overwrites) || overwrites.length === 0) return;
  throw new CliError(2, `${clean(plan.message)}: say why with --reason`);
}

/** Somebody is there to be asked, and has not said that nothing is to be. */
export function mustAsk({ io }: Cli, { dryRun, yes, json }: OrderOptions): boolean {
  return io.interactive && !dryRun && !yes && !json;
}

/** Throws CliError where the answer is no. */
export async function confirm({ io }: Cli, question = 'Do it?'): Promise<void> {
  if (!(await io.confirm(`${question} [y/N] `))) throw new CliError(1, 'nothing was done');
}

/** Prints a reply and returns its code: refusals go to stderr. */
export function showReply(
  { io }: Cli,
  reply: Reply,
  { json }: { readonly json?: boolean },
): number {
  if (json) printJson(io, reply);
  else if (reply.exit === 0) io.out(`${said(reply)}\n`);
  else io.err(`detour: ${said(reply)}\n`);
  return reply.exit;
}

/** A reply, and a line for each provider or record that it is about. */
export function showPlan(cli: Cli, reply: Reply, options: { readonly json?: boolean }): number {
  const code = showReply(cli, reply, options);
  if (!options.json) cli.io.out(planLines(reply));
  return code;
}

/** A reply's lines; all but the first are set in, so that none can pass for a line of its own. */
export function said(reply: Reply): string {
  return reply.message.split('\n').map(clean).join('\n  ').trimEnd();
}

/** What of a plan there is to show: at each provider what it writes, of each record where it goes. */
export function planLines(reply: Reply): string {
  const rows = rowsOf(reply);
  const nameOf = (row: Row) => printName(String(row.provider ?? row.record));
  const broad = Math.max(0, ...rows.map((row) => width(nameOf(row))));
  return rows
    .map((row) => `  ${clean(`${padTo(nameOf(row), broad)}  ${changeOf(row)}`)}\n`)
    .join('');
}

type Row = Readonly<Record<string, Json>>;

function rowsOf(reply: Reply): readonly Row[] {
  const { plan } = detailOf(reply);
  if (!Array.isArray(plan)) return [];
  return plan.filter((row): row is Row => isRow(row) && ('provider' in row || 'record' in row));
}

function isRow(value: Json | undefined): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function changeOf({ record, from, to, was, ttl, problem, why }: Row): string {
  if (was !== undefined) return `ttl ${was} -> ${ttl} s${problem ? `  ! ${problem}` : ''}`;
  const change = `${printName(String(from ?? 'nothing known'))} -> ${printName(String(to ?? '?'))}`;
  if (record !== undefined) return to === null ? `stays: ${why}` : `${change}  (${why})`;
  return `${change}, ttl ${ttl}${problem ? `  ! ${problem}` : ''}`;
}

export function detailOf({ detail }: Reply): Row {
  return isRow(detail) ? detail : {};
}

/** The person who gives the order, for the journal: at most 64 characters. */
export function who(cli: Cli): string {
  return clean(cli.io.user).slice(0, 64) || 'unknown';
}

/** `2h` as milliseconds, `unlimited` as null. Throws CliError. */
export async function holdMs(text: string): Promise<number | null> {
  if (text === 'unlimited') return null;
  const { parseDuration } = await import('../kit/schema.ts');
  const ms = parseDuration(text);
  if (ms !== null && ms >= 1000 && ms <= 366 * 86_400_000) return ms;
  throw new CliError(
    2,
    `--for ${clean(text)}: expected a duration from 1s to 366d, such as 30m or 2h, or unlimited`,
  );
}
