// `detour drill`: break something on purpose, see it seen, and see it put back. `check` has a check
// fail; `canary` and `dry` are made by the daemon and waited for; `live` moves a record to another
// target that is up and back again, and `end` ends that before its time. Whether a drill may begin
// is for the daemon to say.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Json, Reply } from '../core/model.ts';
import { unrooted } from '../core/name.ts';
import type { RecordView, StatusView } from '../core/view.ts';
import { type Client, daemon } from './client.ts';
import { act, type Cli, CliError, defaultConfig, examples, withReplica } from './hands.ts';
import { printJson } from './json.ts';
import { type ConfigOptions, show } from './look.ts';
import {
  type DaemonOptions,
  detailOf,
  giveOrder,
  holdMs,
  type OrderOptions,
  said,
  showReply,
  who,
  withDaemon,
  withReason,
} from './order.ts';
import { clean, printName, span } from './print.ts';
import { findRecord } from './status.ts';

/** What is longer is no drill. */
const DAY_MS = 86_400_000;
const POLL_MS = 500;
/** Whoever is asked may learn of it a moment later than another replica. */
const LOST_MS = 10_000;

export function addDrill(program: Command, cli: Cli): void {
  const drill = program
    .command('drill')
    .description('break something on purpose, see it seen, put it back');
  addCheck(drill, cli);
  addCanary(drill, cli);
  addDry(drill, cli);
  addLive(drill, cli);
  addEnd(drill, cli);
}

function addCheck(drill: Command, cli: Cli): void {
  const command = drill
    .command('check')
    .description('make one check fail, by asking for an answer nobody gives; touches no record')
    .argument('<check>', 'such as hangzhou/web')
    .option('-c, --config <file>', 'the configuration', defaultConfig);
  examples(withDaemon(withReplica(command)), '$ detour drill check hangzhou/web -c detour.yaml');
  act<ConfigOptions>(cli, command, async ([check], options) => {
    const looked = await cli.hands.drill(options.config, check!, options.replica ?? null);
    const id = looked[0]?.check ?? check!;
    if (!options.json) show(cli, looked, options);
    const end = (reply: Reply) => {
      if (!options.json) return showReply(cli, reply, options);
      printJson(cli.io, { ...reply, answers: looked });
      return reply.exit;
    };
    const silent = looked.filter((l) => l.outcome !== 'fail');
    if (silent.length > 0) {
      const paths = silent.map((l) => `${l.path}: ${l.outcome}`).join(', ');
      const message = `${id} did not fail when it had to (${paths}): do not trust it`;
      return end({ exit: 1, message });
    }
    return end(await daemon(cli, options).command({ kind: 'drilled', check: id, by: who(cli) }));
  });
}

interface LiveOptions extends OrderOptions {
  readonly reason: string;
  readonly for: string;
  readonly byVendor?: boolean;
  readonly watch?: string;
  readonly prepare: boolean;
  readonly wait?: boolean;
}

function addLive(drill: Command, cli: Cli): void {
  const command = withReason(
    drill
      .command('live')
      .description('move a record to another target that is up, hold it there, and bring it back')
      .argument('<record>', 'the record')
      .argument('[target]', 'where to; without it, the first of its other targets'),
  )
    .option('--by-vendor', 'one vendor first, which is watched, then the next')
    .option('--for <duration>', 'how long it is held there', '2m')
    .option('--watch <duration>', 'how long each vendor is watched; without it, its TTL')
    .option(
      '--no-prepare',
      'the TTL stays as configured while it is away, and its way back is slower',
    )
    .option('--wait', 'stay until it is over, and end with its result');
  giveOrder<LiveOptions>(
    cli,
    command,
    'always',
    async ([record, target], { reason, byVendor = false, for: hold, watch, prepare }, by) => ({
      kind: 'drill',
      record: record!,
      target: target ?? null,
      byVendor,
      forMs: await spanMs('--for', hold),
      ...(watch === undefined ? {} : { watchMs: await spanMs('--watch', watch) }),
      ...(prepare ? {} : { prepare: false as const }),
      reason,
      by,
    }),
    (reply, options, client, [record]) => {
      return options.wait ? follow(cli, client, record!, reply, options) : null;
    },
  );
  examples(
    command,
    '$ detour drill live www.gslb.example.net --reason "Tuesday\'s drill" --dry-run',
    '$ detour drill live www.gslb.example.net tokyo --by-vendor --for 5m --reason "first drill"',
    '',
    'Refused unless all is well; broken off and put back at the first sign that it is not.',
    'With --wait it ends with 0 when it has passed, 3 when a vendor is behind, else 1.',
  );
}

function addEnd(drill: Command, cli: Cli): void {
  const command = drill
    .command('end')
    .description('end a live drill before its time: the record comes back at once')
    .argument('<record>', 'the record');
  giveOrder(cli, command, 'never', ([record], _, by) => {
    return { kind: 'end-drill', record: record!, by };
  });
  examples(command, '$ detour drill end www.gslb.example.net');
}

async function spanMs(option: string, text: string): Promise<number> {
  const ms = await holdMs(text);
  if (ms !== null && ms <= DAY_MS) return ms;
  throw new CliError(2, `${option} ${clean(text)}: a drill lasts a day at most`);
}

// ---------------------------------------------------------------- until it is over

const codes = { passed: 0, failed: 3, refused: 1, 'broken-off': 1 } as const;

/** Tells of each stage until the drill is over; only reads. */
async function follow(
  cli: Cli,
  client: Client,
  typed: string,
  reply: Reply,
  options: LiveOptions,
): Promise<number> {
  const { io } = cli;
  const { id } = detailOf(reply);
  const stop = new AbortController();
  const undo = io.interrupted(() => stop.abort());
  if (!options.json) io.out(`${said(reply)}\n`);
  let told = '';
  let lostAt = performance.now() + LOST_MS;
  try {
    while (!stop.signal.aborted) {
      const view = await client.status(stop.signal);
      const record = recordOf(view, typed);
      const run = record.lastDrill;
      if (run !== null && run.id === id) return over(cli, reply, run, view, options);
      if (record.drill?.id === id) lostAt = performance.now() + LOST_MS;
      if (performance.now() > lostAt) {
        throw new CliError(
          3,
          'the drill is over, or not known here any more: see `detour history`',
        );
      }
      const says = stageOf(record);
      if (!options.json && says !== told) io.out(`${clean(says)}\n`);
      told = says;
      await sleep(POLL_MS, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    undo();
  }
  throw new CliError(3, 'no longer waiting; the drill goes on: see `detour status`');
}

function recordOf(view: StatusView, typed: string): RecordView {
  const name = findRecord(view, typed);
  return view.records.find((record) => record.name === name)!;
}

function stageOf({ drill, providers }: RecordView): string {
  if (drill === null) return 'not begun yet';
  const at = providers.map(({ provider, stage }) => `${provider} ${stage}`).join(', ');
  return `${drill.stage.padEnd(10)}  ${at}`;
}

function over(
  { io }: Cli,
  reply: Reply,
  run: NonNullable<RecordView['lastDrill']>,
  view: StatusView,
  { json }: LiveOptions,
): number {
  const exit = codes[run.result];
  const message = `${run.result} after ${span(run.ms)}: ${run.sentence}`;
  if (json) printJson(io, { ...reply, exit, outcome: message, run }, view);
  else {
    const broad = Math.max(0, ...run.parts.map(({ provider }) => printName(provider).length));
    const rowsOf = (parts: typeof run.parts, way: string) =>
      parts.map(({ provider, writtenMs, visibleMs, ttl }) => {
        const in_ = (ms: number | null) => (ms === null ? 'never' : span(ms));
        const name = printName(provider).padEnd(broad);
        const kept = ttl === undefined ? '' : `, then caches keep the old answer up to ${ttl} s`;
        return `  ${name}  ${way} written ${in_(writtenMs)}, visible ${in_(visibleMs)}${kept}\n`;
      });
    const rows = [...rowsOf(run.parts, 'out: '), ...rowsOf(run.back, 'back:')].join('');
    (exit === 0 ? io.out : io.err)(`${clean(message)}\n${rows}`);
  }
  return exit;
}

// ---------------------------------------------------------------- canary and dry

function addCanary(drill: Command, cli: Cli): void {
  const command = drill
    .command('canary')
    .description(
      'switch the canary at a provider, and prove it at every name server; no record moves',
    )
    .argument('[provider]', 'without it, every provider that has one');
  examples(withDaemon(command), '$ detour drill canary', '$ detour drill canary r53 --json');
  act<DaemonOptions>(cli, command, async ([provider], options) => {
    return told(cli, await daemon(cli, options).drill('canary', provider ?? null), options);
  });
}

function addDry(drill: Command, cli: Cli): void {
  const command = drill
    .command('dry')
    .description('say that an origin is down: all but the writing is done, timed and compared')
    .argument('<origin>', 'what is said to be down; nothing is done to it');
  examples(withDaemon(command), '$ detour drill dry hangzhou');
  act<DaemonOptions>(cli, command, async ([origin], options) => {
    return told(cli, await daemon(cli, options).drill('dry', origin!), options);
  });
}

/** The rows of a result first, then what came of it. */
function told(cli: Cli, reply: Reply, options: DaemonOptions): number {
  if (options.json) {
    printJson(cli.io, reply);
    return reply.exit;
  }
  const { drills = [] } = (reply.detail ?? {}) as { readonly drills?: readonly Result[] };
  for (const one of drills) {
    if (one.drill !== 'dry' || !Array.isArray(one.parts)) continue;
    for (const row of one.parts as unknown as readonly DryRow[]) {
      cli.io.out(`${clean(lineOf(row))}\n`);
    }
  }
  return showReply(cli, { ...reply, message: unrooted(reply.message) }, options);
}

interface Result {
  readonly drill: string;
  readonly parts: Json;
}

interface DryRow {
  readonly record: string;
  readonly detectMs: number | null;
  readonly decidedMs: number | null;
  readonly to: string | null;
  readonly expected: string | null;
  readonly chain: string | null;
  readonly vendors: readonly { readonly provider: string; readonly readMs: number | null }[];
}

function lineOf({ record, detectMs, decidedMs, to, expected, chain, vendors }: DryRow): string {
  const ms = (n: number | null) => (n === null ? 'never' : `${n} ms`);
  const went =
    to === null ? 'stays' : `goes to ${to} in ${ms(decidedMs)}, its chain ${chain ?? 'not asked'}`;
  const wrong = to === expected ? '' : ` (expected: ${expected ?? 'stays'})`;
  const would = vendors.map(({ provider, readMs }) => {
    return readMs === null ? `${provider} (not read)` : `${provider} (read in ${readMs} ms)`;
  });
  const where = to === null ? '' : `; would write at ${would.join(', ')}`;
  return unrooted(`${record} seen down in ${ms(detectMs)}, ${went}${wrong}${where}`);
}
