// `detour approve` and `detour reject`: a person's answer to a decision that waits. They name what
// would move before they ask, and give one order for each decision; what became of it is then
// followed by reading alone. They never decide which of several was meant.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Command as Order, Reply } from '../core/model.ts';
import type { RecordView, StatusView } from '../core/view.ts';
import { type Client, daemon } from './client.ts';
import { act, type Cli, CliError, examples } from './hands.ts';
import { printJson } from './json.ts';
import {
  confirm,
  mustAsk,
  type OrderOptions,
  planLines,
  readReason,
  reasonIn,
  said,
  showPlan,
  who,
  withDaemon,
} from './order.ts';
import { age, clean, printName } from './print.ts';
import { follow } from './switch.ts';

interface Options extends OrderOptions {
  readonly all?: boolean;
  readonly reason?: string;
}

type Word = 'approve' | 'reject';

const pollMs = 200;
/** What a move needs is confirmed in a second or two; a hook before it may take minutes. */
const beginMs = 60_000;

export function addApprove(program: Command, cli: Cli): void {
  const command = program
    .command('approve')
    .description('let a decision go that waits for a person; pins nothing')
    .argument('[ids...]', 'of the decisions; none where just one waits')
    .option('--reason <text>', 'why, for the journal', readReason)
    .option('--all', 'every decision that waits')
    .option('--yes', 'do not ask first (nothing is asked in a pipe)')
    .option('--dry-run', 'say what it would do, and do nothing');
  examples(
    withDaemon(command),
    '$ detour approve                      # where just one waits',
    '$ detour approve 9f2c41d0aa17be03',
    'It goes once what it goes to is confirmed up anew. Ends with 0 when it has gone.',
  );
  act<Options>(cli, command, (ids, options) => answer(cli, 'approve', idsOf(ids), options));
}

export function addReject(program: Command, cli: Cli): void {
  const command = program
    .command('reject')
    .description('a decision that waits for a person does not go')
    .argument('[ids...]', 'of the decisions; none where just one waits')
    .option('--reason <text>', 'why, for the journal', readReason)
    .option('--all', 'every decision that waits')
    .option('--dry-run', 'say what it would do, and do nothing');
  examples(
    withDaemon(command),
    '$ detour reject 9f2c41d0aa17be03 --reason "the database there is not ready"',
    'It is asked again once the target was up, another one is proposed, or after 15 minutes.',
  );
  act<Options>(cli, command, (ids, options) => answer(cli, 'reject', idsOf(ids), options));
}

/** Commander gives a variadic argument as one list. */
function idsOf(args: readonly unknown[]): readonly string[] {
  return args.flat() as string[];
}

async function answer(
  cli: Cli,
  kind: Word,
  given: readonly string[],
  options: Options,
): Promise<number> {
  const client = daemon(cli, options);
  if (options.all && given.length > 0) throw new CliError(2, 'give ids, or --all alone');
  const ids = given.length > 0 ? [...new Set(given)] : await waitingIds(client, kind, options);
  const orderOf = (id: string): Order => ({ kind, id, by: who(cli), ...reasonIn(options) });
  if (!options.dryRun && kind === 'approve' && mustAsk(cli, options)) {
    const refusal = await askFirst(cli, client, ids.map(orderOf));
    if (refusal !== null) return showPlan(cli, refusal, options);
  }
  const replies: Reply[] = [];
  for (const id of ids) {
    const order = orderOf(id);
    replies.push(await client.command(options.dryRun ? { ...order, dryRun: true } : order));
  }
  if (replies.length > 1) return showAll(cli, replies, options);
  const [reply] = replies as [Reply];
  const isGiven = kind === 'approve' && reply.exit === 0 && !options.dryRun;
  return isGiven ? watch(cli, client, reply, options) : showPlan(cli, reply, options);
}

/** Shows what each would do, and asks once; the first refusal, where one alone was meant. */
async function askFirst(cli: Cli, client: Client, orders: readonly Order[]): Promise<Reply | null> {
  for (const order of orders) {
    const plan = await client.command({ ...order, dryRun: true });
    if (plan.exit !== 0 && orders.length === 1) return plan;
    cli.io.out(`${said(plan)}\n${planLines(plan)}`);
  }
  await confirm(cli, orders.length === 1 ? 'Let it go?' : `Let these ${orders.length} go?`);
  return null;
}

function showAll(cli: Cli, replies: readonly Reply[], options: Options): number {
  const failed = replies.filter(({ exit }) => exit !== 0);
  const exit = failed.length === 0 ? 0 : failed.length < replies.length ? 3 : failed[0]!.exit;
  const message = replies.map((reply) => said(reply)).join('\n');
  if (options.json) printJson(cli.io, { exit, message });
  else (exit === 0 ? cli.io.out : cli.io.err)(`${message}\n`);
  return exit;
}

/** What waits. Throws CliError where it is none, or several and nobody said which. */
async function waitingIds(
  client: Client,
  kind: Word,
  { all = false }: Options,
): Promise<readonly string[]> {
  const view = await client.status();
  const waiting = view.records.flatMap((record) => {
    const approval = record.approval ?? null;
    return approval === null ? [] : [{ record, approval }];
  });
  if (waiting.length === 0) throw new CliError(1, 'no decision waits for a person');
  if (all || waiting.length === 1) return waiting.map(({ approval }) => approval.id);
  const lines = waiting.map(({ record, approval }) => {
    const left = age(approval.expiresAt - view.at);
    return `  detour ${kind} ${approval.id}   ${printName(record.name)}: ${approval.sentence} (${left} left)`;
  });
  throw new CliError(
    2,
    [`${waiting.length} decisions wait: say which, or --all`, ...lines].join('\n'),
  );
}

// ---------------------------------------------------------------- what became of it

/** Follows an approved decision until the record has moved, then its switch. */
async function watch(cli: Cli, client: Client, reply: Reply, options: Options): Promise<number> {
  const { record, target } = (reply.detail ?? {}) as { record?: string; target?: string };
  if (record === undefined || target === undefined) return showPlan(cli, reply, options);
  if (!options.json) cli.io.out(`${said(reply)}\n`);
  const startedAt = performance.now();
  const stop = new AbortController();
  const undo = cli.io.interrupted(() => stop.abort());
  let seen: { view: StatusView; record: RecordView } | null = null;
  try {
    const end = await begins(cli, client, { record, target }, stop.signal, options, (view, one) => {
      seen = { view, record: one };
    });
    if (end !== null) return tell(cli, reply, end, seen, options);
  } finally {
    undo();
  }
  const end = await follow(cli, client, { record, target }, reply, startedAt, options);
  return tell(cli, reply, end, seen, options);
}

interface End {
  readonly exit: Reply['exit'];
  readonly message: string;
}

/** Null once the record has moved; else how it ended without that. */
async function begins(
  cli: Cli,
  client: Client,
  wanted: { readonly record: string; readonly target: string },
  signal: AbortSignal,
  options: Options,
  saw: (view: StatusView, record: RecordView) => void,
): Promise<End | null> {
  const name = printName(wanted.record);
  const until = performance.now() + beginMs;
  let told = '';
  while (!signal.aborted && performance.now() < until) {
    const view = await client.status(signal);
    const one = view.records.find((r) => r.name === wanted.record);
    if (one === undefined) return { exit: 1, message: `${name} is no longer configured` };
    saw(view, one);
    if (one.target === wanted.target) return null;
    const { reason, sentence } = one.stay;
    if (!isOnItsWay.has(reason)) return { exit: 1, message: `${name} stays: ${clean(sentence)}` };
    if (!options.json && sentence !== told) cli.io.out(`  ${clean(sentence)}\n`);
    told = sentence;
    await sleep(pollMs, undefined, { signal }).catch(() => undefined);
  }
  const message = `${name} has not moved yet, and may still: see \`detour status ${name}\``;
  return { exit: 3, message };
}

/** Reasons with which an approved decision is still on its way. */
const isOnItsWay: ReadonlySet<string> = new Set([
  'confirming-target',
  'hook',
  'no-lease',
  'settling',
  'target-unknown',
]);

function tell(
  cli: Cli,
  reply: Reply,
  end: End,
  seen: { readonly view: StatusView; readonly record: RecordView } | null,
  options: Options,
): number {
  const { exit, message: outcome } = end;
  if (options.json) {
    const record = seen?.record ?? null;
    printJson(cli.io, { ...reply, exit, outcome, record }, seen?.view ?? null);
  } else (exit === 0 ? cli.io.out : cli.io.err)(`${outcome}\n`);
  return exit;
}
