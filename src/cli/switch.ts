// `detour switch`: asks the daemon to move a record (or, with --direct, moves it from here) and then
// tells of every stage at every provider as it happens. Following only reads: leaving it early
// changes nothing about the switch.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Reply } from '../core/model.ts';
import type { RecordView, Stage, StatusView } from '../core/view.ts';
import { type Client, daemon } from './client.ts';
import {
  act,
  type Cli,
  CliError,
  defaultConfig,
  examples,
  type ReplicaOptions,
  withReplica,
} from './hands.ts';
import { named, printJson } from './json.ts';
import {
  confirm,
  detailOf,
  holdMs,
  mustAsk,
  type OrderOptions,
  planLines,
  said,
  showPlan,
  showReply,
  who,
  withDaemon,
  withReason,
} from './order.ts';
import { readyFirst } from './prepare.ts';
import { clean, printName, span } from './print.ts';
import { findRecord } from './status.ts';

interface Options extends OrderOptions, ReplicaOptions {
  readonly reason: string;
  readonly for: string;
  readonly force?: boolean;
  readonly direct?: boolean;
  readonly adopt?: boolean;
  readonly prepare?: boolean;
  readonly config: string;
}

interface Goal {
  readonly record: string;
  readonly target: string;
}

interface Wanted extends Goal {
  readonly reason: string;
  readonly by: string;
  readonly forMs: number | null;
  readonly force: boolean;
  readonly dryRun: boolean;
}

const pollMs = 200;
/** A switch ends by itself after 30 s (rule 16); this is a little longer. */
const followMs = 35_000;

export function addSwitch(program: Command, cli: Cli): void {
  const command = withReason(program.command('switch'))
    .description('move a record to a target and pin it there')
    .argument('<record>', 'the record, such as www.gslb.example.net')
    .argument('<target>', 'the origin it is to lead to')
    .option('--for <duration>', 'how long the pin holds: 30m, 2h, or unlimited', '2h')
    .option('--dry-run', 'say what would be done at each provider, and do nothing')
    .option('--force', 'even to a target that is not up')
    .option('--yes', 'do not ask first (nothing is asked in a pipe)')
    .option('--prepare', 'for a planned move: bring the TTL down first, and wait until it is')
    .option('--direct', 'from here, without the daemon: reads and writes the vendors itself')
    .option('--adopt', 'with --direct: even where the record bears no marker of this cluster')
    .option('-c, --config <file>', 'the configuration, for --direct', defaultConfig);
  examples(
    withDaemon(withReplica(command)),
    '$ detour switch www.gslb.example.net tokyo --reason "hangzhou storage fails" --dry-run',
    '$ detour switch www.gslb.example.net tokyo --reason "hangzhou storage fails" --for 4h',
    'A planned move, for which clients are to follow within seconds:',
    '$ detour switch www.gslb.example.net tokyo --prepare --reason "kernel update"',
    'The daemon is dead, or its machine is:',
    '$ detour switch www.gslb.example.net tokyo --reason "daemon down" --direct -c detour.yaml',
    '',
    'Ends with 0 when every provider serves the target, 3 when one did not follow.',
  );
  act<Options>(cli, command, async ([record, target], options) => {
    const wanted: Wanted = {
      record: record!,
      target: target!,
      reason: options.reason,
      by: who(cli),
      forMs: await holdMs(options.for),
      force: options.force === true,
      dryRun: options.dryRun === true,
    };
    if (options.adopt && !options.direct) {
      throw new CliError(2, '--adopt goes with --direct; the daemon has `detour adopt`');
    }
    if (options.prepare && options.direct) {
      throw new CliError(2, '--prepare wants the daemon: it brings the TTL back');
    }
    return options.direct ? direct(cli, wanted, options) : byDaemon(cli, wanted, options);
  });
}

async function direct(cli: Cli, wanted: Wanted, options: Options): Promise<number> {
  const { io, hands } = cli;
  const what = `${wanted.record} to ${wanted.target}`;
  if (mustAsk(cli, options))
    await confirm(cli, `Move ${what} at its vendors now, past any daemon?`);
  const tell = (line: string) => (options.json ? io.err : io.out)(`${clean(line)}\n`);
  const { adopt = false, config: configPath, replica = null } = options;
  const order = { ...wanted, adopt, configPath, replica };
  const reply = named(await hands.direct(order, tell), options);
  return wanted.dryRun ? showPlan(cli, reply, options) : showReply(cli, reply, options);
}

async function byDaemon(cli: Cli, wanted: Wanted, options: Options): Promise<number> {
  const { io } = cli;
  const client = daemon(cli, options);
  if (mustAsk(cli, options)) {
    const plan = await client.command({ kind: 'switch', ...wanted, dryRun: true });
    if (plan.exit !== 0) return showReply(cli, plan, options);
    io.out(`${said(plan)}\n${planLines(plan)}`);
    await confirm(cli);
  }
  if (options.prepare) {
    const refusal = await readyFirst(cli, client, wanted, options);
    if (refusal !== null) return showReply(cli, refusal, options);
  }
  const startedAt = performance.now();
  const reply = await client.command({ kind: 'switch', ...wanted });
  if (wanted.dryRun || reply.exit === 1 || reply.exit === 2) {
    return showPlan(cli, reply, options);
  }
  if (!options.json) io.out(`${said(reply)}\n`);
  // What was meant, where it was typed shorter.
  const { target } = detailOf(reply);
  const meant = typeof target === 'string' ? { ...wanted, target } : wanted;
  let seen: StatusView | null = null;
  const watched = {
    ...client,
    status: async (signal?: AbortSignal) => {
      seen = await client.status(signal);
      return seen;
    },
  };
  const end = await follow(cli, watched, meant, reply, startedAt, options);
  const exit = end.exit === 0 ? reply.exit : end.exit;
  if (options.json) {
    const { message: outcome, record } = end;
    printJson(io, { ...reply, exit, outcome, record }, seen);
  } else {
    (exit === 0 ? io.out : io.err)(`${end.message}\n`);
  }
  return exit;
}

// ---------------------------------------------------------------- following

interface End {
  readonly exit: Reply['exit'];
  readonly message: string;
  readonly record: RecordView | null;
}

/** Tells of each stage until the switch has ended, been overtaken, or is left. */
export async function follow(
  cli: Cli,
  client: Client,
  wanted: Goal,
  reply: Reply,
  startedAt: number,
  options: { readonly json?: boolean },
): Promise<End> {
  const stop = new AbortController();
  const undo = cli.io.interrupted(() => stop.abort());
  const told = new Set<string>();
  let last: RecordView | null = null;
  try {
    while (!stop.signal.aborted && performance.now() - startedAt < followMs) {
      const view = await client.status(stop.signal);
      last = recordOf(view, wanted.record);
      if (superseded(last, reply)) return supersededEnd(last, wanted);
      if (last.mode === 'observe') return observedEnd(last);
      if (begun(last, wanted, reply)) {
        if (!options.json) tellStages(cli, last, told);
        if (!last.switching) return finished(last, wanted);
      }
      await sleep(pollMs, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  } catch (error) {
    if (!(error instanceof CliError) || stop.signal.aborted) {
      if (!stop.signal.aborted) throw error;
    } else {
      const message = `the switch was taken, and then could not be followed: ${error.message}`;
      return { exit: 3, message, record: last };
    }
  } finally {
    undo();
  }
  if (stop.signal.aborted) {
    const message = 'no longer following; the switch goes on: see `detour status`';
    return { exit: 3, message, record: last };
  }
  if (last === null) throw new CliError(3, 'the switch was taken; it could not be followed');
  return finished(last, wanted);
}

function recordOf(view: StatusView, typed: string): RecordView {
  const name = findRecord(view, typed);
  return view.records.find((record) => record.name === name)!;
}

/** What the reply says to follow, where it says so. */
function idOf(reply: Reply): { readonly id: string | null; readonly epoch: number | null } {
  const { id, epoch } = detailOf(reply);
  return {
    id: typeof id === 'string' ? id : null,
    epoch: typeof epoch === 'number' ? epoch : null,
  };
}

function superseded(record: RecordView, reply: Reply): boolean {
  const { id, epoch } = idOf(reply);
  return id !== null && epoch !== null && record.switchId !== id && record.epoch > epoch;
}

/** The view already shows the switch of the reply, not the state before it. */
function begun(record: RecordView, wanted: Goal, reply: Reply): boolean {
  const { epoch } = idOf(reply);
  return record.target === wanted.target && (epoch === null || record.epoch >= epoch);
}

const reached: readonly Stage[] = ['written', 'visible'];

/** A line for each stage reached since the last look. */
function tellStages(cli: Cli, record: RecordView, told: Set<string>): void {
  const { io } = cli;
  const once = (key: string, line: string) => {
    if (told.has(key)) return;
    told.add(key);
    io.out(`${line}\n`);
  };
  const broad = Math.max(8, ...record.providers.map((p) => p.provider.length));
  const cname = record.cname === null ? '' : ` (${printName(record.cname)})`;
  once('decided', `${'decided'.padEnd(broad)}  epoch ${record.epoch}: ${record.target}${cname}`);
  // In the order in which they happened, whoever's turn it was.
  const happened = record.providers.flatMap((p) =>
    reached.flatMap((stage) => {
      const ms = stage === 'written' ? p.writtenAfterMs : p.visibleAfterMs;
      return ms === null ? [] : [{ provider: p.provider, stage, ms }];
    }),
  );
  for (const { provider, stage, ms } of happened.sort((a, b) => a.ms - b.ms)) {
    once(`${provider} ${stage}`, `${provider.padEnd(broad)}  ${stage}  ${span(ms)}`);
  }
  for (const { provider, problem } of record.providers) {
    if (problem === null) continue;
    once(`${provider} ${problem}`, `${provider.padEnd(broad)}  waits: ${clean(problem)}`);
  }
}

function finished(record: RecordView, wanted: Goal): End {
  const name = printName(record.name);
  const behind = record.providers.filter((provider) => provider.stage !== 'visible');
  if (behind.length === 0 && record.target === wanted.target) {
    const times = record.providers.flatMap((p) => p.visibleAfterMs ?? []);
    const after = times.length === 0 ? '' : ` after ${span(Math.max(...times))}`;
    const message = `done: every provider of ${name} serves ${wanted.target}${after}`;
    return { exit: 0, message, record };
  }
  const lines = behind.map(({ provider, stage, cname, problem }) => {
    const target = record.targets.find((t) => t.cname === cname)?.origin;
    const stands = cname === undefined ? 'something unknown' : (target ?? cname ?? 'nothing');
    return `  ${provider} (${stage}) serves ${stands}: ${clean(problem ?? 'no problem is known')}`;
  });
  const right = record.providers.length - behind.length;
  const message = [
    `partly done: ${right} of ${record.providers.length} providers of ${name} serve ` +
      `${wanted.target}; the others converge by themselves: \`detour status ${name}\``,
    ...lines,
    ...(record.leftBehind === null
      ? []
      : [`  ${clean(`${record.leftBehind.sentence}; ${record.leftBehind.cure}`)}`]),
  ].join('\n');
  return { exit: 3, message, record };
}

function supersededEnd(record: RecordView, wanted: Goal): End {
  const message =
    `a later switch took over: ${printName(record.name)} goes to ${record.target ?? 'nothing'} ` +
    `(epoch ${record.epoch}), not to ${wanted.target}`;
  return { exit: 1, message, record };
}

function observedEnd(record: RecordView): End {
  const name = printName(record.name);
  return { exit: 0, message: `${name} is only observed: nothing was written`, record };
}
