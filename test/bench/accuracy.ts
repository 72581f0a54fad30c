// `npm run bench:accuracy`: 30 names whose origins all fail at random and are never down, for 24 hours
// of simulated time through the real engine. Every automatic switch is false by construction. Beside
// it, on the same traces, the rules of its peers. Then the same with losses in bursts, and how long
// each rule takes to see an origin that really crashes at that loss. Exits 1 if the default detector
// switched falsely at 5, 20 or 30 %, or an origin that limits was hurt by being asked (limits.ts;
// `--limits` does only that). `--hours 1` for less, `--detector counters` for one alone.
//
// A trace is a function: what becomes of the probe of one origin by one path that begins in one
// millisecond. Half of the failures answer 500 at once, half are dropped and end with the timeout.
// So whoever probes at the same moment meets the same fate, and more probes meet more fates.

import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import type { CoreConfig, Detector } from '../../src/core/model.ts';
import { coreConfig } from '../core/world.ts';
import { measureLimits } from './limits.ts';
import { madeOf, type Peer, peers, Watched } from './rules.ts';
import { chance, type Fate, Simulation, type Trace } from './simulation.ts';

const NAMES = 30;
const PATHS = 3;
const TIMEOUT_MS = 1000;
const WARM_MS = 60_000;
const YEAR_MS = 365 * 86_400_000;
interface Variant {
  readonly detector: Detector;
  readonly patienceMs: number;
  /** A connection is held of each check by each path, and closed at random so often. */
  readonly closedEveryMs?: number;
}
const sequential: Detector = { kind: 'sequential', falseSwitchEveryMs: 10 * YEAR_MS };
const variants: Readonly<Record<string, Variant>> = {
  sequential: { detector: sequential, patienceMs: 0 },
  'sequential, held': { detector: sequential, patienceMs: 0, closedEveryMs: 30_000 },
  'sequential, patience 10 s': { detector: sequential, patienceMs: 10_000 },
  counters: { detector: { kind: 'counters' }, patienceMs: 0 },
};
/** src/config/config.ts: what a configuration that names no detector gets. */
const DEFAULTS = ['sequential', 'sequential, held'];

// ---------------------------------------------------------------- traces

interface TraceSpec {
  readonly name: string;
  /** Share of probes lost, each by itself. */
  readonly loss?: number;
  /**
   * Gilbert-Elliott: the mean milliseconds without and within a burst, and the loss in each. `path`:
   * all origins behind a path suffer together; `pair`: each origin by each path has bursts of its
   * own; `all`: our own uplink, behind which everything suffers together.
   */
  readonly bursts?: {
    readonly over: 'path' | 'pair' | 'all';
    readonly goodMs: number;
    readonly badMs: number;
    readonly goodLoss: number;
    readonly badLoss: number;
  };
}

const iid = (loss: number): TraceSpec => ({ name: `${loss * 100} % at random`, loss });
const burst = (over: 'path' | 'pair', badMs: number, goodMs: number): TraceSpec => ({
  name: `bursts of ${badMs / 1000} s each ${goodMs / 1000} s, per ${over}`,
  bursts: { over, goodMs, badMs, goodLoss: 0.01, badLoss: 0.8 },
});
const traces: readonly TraceSpec[] = [
  iid(0.05),
  iid(0.2),
  iid(0.3),
  burst('path', 5_000, 120_000),
  burst('pair', 5_000, 120_000),
  {
    name: 'our own uplink cut for 5 s each 120 s',
    bursts: { over: 'all', goodMs: 120_000, badMs: 5_000, goodLoss: 0, badLoss: 1 },
  },
];
/** Bursts come often enough to need only this share of the hours. */
const BURST_HOURS = 1 / 4;

function fateOf(u: number, loss: number): Fate {
  return u >= loss ? 'pass' : u < loss / 2 ? 'fail' : 'drop';
}

function traceOf(spec: TraceSpec, seed: number, totalMs: number): Trace {
  const { loss, bursts } = spec;
  if (bursts === undefined) {
    return (o, p, at) => fateOf(chance(seed * 1000 + o * PATHS + p, 1, at), loss ?? 0);
  }
  const chains = { all: 1, path: PATHS, pair: NAMES * PATHS }[bursts.over];
  const edges = Array.from({ length: chains }, (_, chain) =>
    burstEdges(bursts, seed * 1000 + chain, totalMs),
  );
  return (o, p, at) => {
    const chain = edges[{ all: 0, path: p, pair: o * PATHS + p }[bursts.over]]!;
    const isBad = countUpTo(chain, at) % 2 === 1;
    const u = chance(seed * 1000 + o * PATHS + p, 2, at);
    return fateOf(u, isBad ? bursts.badLoss : bursts.goodLoss);
  };
}

/** The moments when one chain turns bad, good, bad, …: lengths are exponential. */
function burstEdges(b: NonNullable<TraceSpec['bursts']>, seed: number, totalMs: number): number[] {
  const edges: number[] = [];
  for (let at = 0, i = 0; at < totalMs; i++) {
    at += -Math.log(1 - chance(seed, 3, i)) * (i % 2 === 0 ? b.goodMs : b.badMs);
    edges.push(at);
  }
  return edges;
}

function countUpTo(sorted: readonly number[], at: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

// ---------------------------------------------------------------- Detour

interface Run {
  readonly rule: string;
  /** Changes of the answer, over all names. */
  readonly switches: number;
  /** Times that an origin was called down. */
  readonly downs: number;
  /** Share of time on the standby. */
  readonly standby: number;
  readonly probesPerSecond: number;
  /** Milliseconds from a crash to the rule's decision, sorted. */
  readonly delays: readonly number[];
}

/** Observed records decide all the same and are never written, so that no vendor is in the way. */
function configOf({ detector, patienceMs }: Variant): CoreConfig {
  const names = Array.from({ length: NAMES }, (_, i) => `o${i}`);
  const cloudOf = (i: number) => `cloud${Math.floor((i * 3) / NAMES)}`;
  return coreConfig({
    origins: Object.fromEntries(names.map((n, i) => [n, { cloud: cloudOf(i) }])),
    paths: Array.from({ length: PATHS }, (_, p) => `p${p}`),
    providers: ['cf'],
    detector,
    record: { mode: 'observe', patienceMs },
    check: { intervalMs: 1000, timeoutMs: TIMEOUT_MS, confirmMs: 250 },
    records: Object.fromEntries(
      names.map((_, i) => {
        const origins = [`o${i}`, `o${(i + NAMES / 3) % NAMES}`];
        const targets = origins.map((origin) => ({ origin, cname: `${origin}.shop.test.` }));
        return [`r${i}.gslb.test.`, { targets }];
      }),
    ),
  });
}

function runDetour(name: string, spec: TraceSpec, hours: number, seed: number): Run {
  const totalMs = hours * 3_600_000;
  const variant = variants[name]!;
  const config = configOf(variant);
  const s = new Simulation(config, traceOf(spec, seed, totalMs), TIMEOUT_MS);
  if (variant.closedEveryMs !== undefined) s.closeEvery(variant.closedEveryMs);
  s.advance(totalMs);
  const switches = s.entries.filter((e) => e.kind === 'would-switch');
  const downs = s.entries.filter((e) => isDown(e)).length;
  let awayMs = 0;
  for (let i = 0; i < NAMES; i++) {
    const mine = switches.filter((e) => e.record === `r${i}.gslb.test.`).map((e) => e.at);
    for (let j = 0; j < mine.length; j += 2) awayMs += (mine[j + 1] ?? totalMs) - mine[j]!;
  }
  return {
    rule: `Detour, ${name}`,
    switches: switches.length,
    downs,
    standby: awayMs / totalMs / NAMES,
    probesPerSecond: s.probes / (totalMs / 1000) / NAMES,
    delays: crashesSeen(config, spec, seed, variant).map((ms) => ms + variant.patienceMs),
  };
}

function isDown(e: { kind: string; data: unknown }): boolean {
  return e.kind === 'health' && (e.data as { health: string }).health === 'down';
}

/** Each origin crashes once, at random phase, after a minute in which everything was learnt. */
function crashesSeen(
  config: CoreConfig,
  spec: TraceSpec,
  seed: number,
  { closedEveryMs }: Variant,
): number[] {
  const totalMs = WARM_MS + NAMES * 60_000;
  const s = new Simulation(config, traceOf(spec, seed + 77, totalMs), TIMEOUT_MS);
  if (closedEveryMs !== undefined) s.closeEvery(closedEveryMs);
  s.advance(WARM_MS);
  const delays: number[] = [];
  for (let i = 0; i < NAMES; i++) {
    s.advance(s.now + 10_000 + Math.floor(chance(seed, i, 9) * 2000));
    const from = s.entries.length;
    const crashedAt = s.now;
    s.dead = i;
    const seen = () => s.entries.slice(from).find((e) => isDown(e) && originOf(e) === `o${i}`);
    s.advance(crashedAt + 45_000, () => seen() !== undefined);
    delays.push((seen()?.at ?? Number.POSITIVE_INFINITY) - crashedAt);
    s.dead = -1;
  }
  return delays.sort((a, b) => a - b);
}

function originOf(e: { data: unknown }): string {
  return (e.data as { origin: string }).origin;
}

// ---------------------------------------------------------------- peers

function runPeer(peer: Peer, spec: TraceSpec, hours: number, seed: number): Run {
  const totalMs = hours * 3_600_000;
  const trace = traceOf(spec, seed, totalMs);
  const made = madeOf(peer, NAMES, trace, totalMs, TIMEOUT_MS);
  return {
    rule: peer.rule,
    switches: made.switches,
    downs: made.downs,
    standby: made.awayMs / totalMs / NAMES,
    probesPerSecond: made.probes / (totalMs / 1000) / NAMES,
    delays: crashesSeenByPeer(peer, spec, seed),
  };
}

function crashesSeenByPeer(peer: Peer, spec: TraceSpec, seed: number): number[] {
  const delays: number[] = [];
  const trace = traceOf(spec, seed + 77, WARM_MS + 600_000);
  for (let i = 0; i < NAMES; i++) {
    const watched = new Watched(peer, i, trace, TIMEOUT_MS);
    let deadFrom = WARM_MS + Math.floor(chance(seed, i, 9) * 10_000);
    while (watched.nextAt < deadFrom) watched.advance();
    // What was called down already when it crashed was not seen, it was guessed.
    while (watched.isDown() && watched.nextAt < WARM_MS + 400_000) {
      watched.advance();
      deadFrom = watched.nextAt + Math.floor(chance(seed, i, 8) * 1000);
    }
    let seenAt = Number.POSITIVE_INFINITY;
    while (watched.nextAt < deadFrom + 300_000 && seenAt === Number.POSITIVE_INFINITY) {
      const endedAt = watched.advance(deadFrom);
      if (watched.isDown() && endedAt > deadFrom) seenAt = endedAt;
    }
    delays.push(seenAt - deadFrom);
  }
  return delays.sort((a, b) => a - b);
}

// ---------------------------------------------------------------- the table

interface Job {
  readonly spec: TraceSpec;
  readonly variant: string | null;
  readonly hours: number;
}

function runJob({ spec, variant, hours }: Job): Run[] {
  if (variant !== null) return [runDetour(variant, spec, hours, 1)];
  return peers.map((peer) => runPeer(peer, spec, hours, 1));
}

/** Patience is for what passes by itself: at random losses it would only repeat a row. */
function fits(variant: string, spec: TraceSpec): boolean {
  return spec.bursts !== undefined || variants[variant]!.patienceMs === 0;
}

function inWorker(job: Job): Promise<Run[]> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: job });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

function at(sorted: readonly number[], share: number): string {
  const ms = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
  return Number.isFinite(ms) ? `${(ms / 1000).toFixed(2)}` : 'never';
}

function rowOf(r: Run, hours: number): string {
  const perDay = (24 / hours / NAMES) * r.switches;
  const cells = [
    r.rule.padEnd(46),
    String(r.switches).padStart(8),
    (perDay >= 100 ? perDay.toFixed(0) : perDay.toFixed(2)).padStart(9),
    String(r.downs).padStart(8),
    `${(100 * r.standby).toFixed(2)} %`.padStart(9),
    at(r.delays, 0.5).padStart(8),
    at(r.delays, 0.95).padStart(8),
    r.probesPerSecond.toFixed(1).padStart(7),
  ];
  return cells.join(' ');
}

/** Two at a time, in order; each table is printed as soon as its rows are there. */
function runAll(jobs: readonly Job[]): ReadonlyMap<Job, Promise<Run[]>> {
  const lanes: Promise<unknown>[] = Array.from({ length: Math.min(2, cpus().length) }, () =>
    Promise.resolve(),
  );
  const free = () => Promise.race(lanes.map((lane, i) => lane.then(() => i)));
  let turn: Promise<unknown> = Promise.resolve();
  return new Map(
    jobs.map((job) => {
      const result = turn.then(free).then((i) => {
        const run = inWorker(job);
        lanes[i] = run;
        return { run };
      });
      turn = result;
      return [job, result.then(({ run }) => run)];
    }),
  );
}

function printTable(spec: TraceSpec, hours: number, runs: readonly Run[]): void {
  console.log(`\n${spec.name}: ${hours} h`);
  const heads = ['switches', '/name/day', 'downs', 'standby', 'crash s', '95 %', 'probes'];
  const widths = [8, 9, 8, 9, 8, 8, 7];
  console.log([' '.repeat(46), ...heads.map((h, i) => h.padStart(widths[i]!))].join(' '));
  for (const run of runs) console.log(rowOf(run, hours));
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      hours: { type: 'string', default: '24' },
      detector: { type: 'string' },
      trace: { type: 'string' },
      limits: { type: 'boolean', default: false },
    },
  });
  const hours = Number(values.hours);
  if (values.limits) {
    process.exitCode = measureLimits(hours) ? 0 : 1;
    return;
  }
  const begun = process.hrtime.bigint();
  const names = values.detector === undefined ? Object.keys(variants) : [values.detector];
  const specs = traces.filter((t) => values.trace === undefined || t.name.includes(values.trace));
  const jobs = specs.flatMap((spec): Job[] =>
    [...names.filter((n) => fits(n, spec)), null].map((variant) => ({
      spec,
      variant,
      hours: spec.bursts === undefined ? hours : hours * BURST_HOURS,
    })),
  );
  console.log(`machine: ${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}`);
  console.log(`${NAMES} names, interval 1 s, every switch is false`);
  const results = runAll(jobs);
  let falseByDefault = 0;
  for (const spec of specs) {
    const mine = jobs.filter((j) => j.spec === spec);
    const rows = await Promise.all(mine.map((job) => results.get(job)!));
    printTable(spec, mine[0]!.hours, rows.flat());
    for (const run of rows.flat()) {
      const isDefault = DEFAULTS.some((name) => run.rule === `Detour, ${name}`);
      const counts = isDefault && spec.bursts === undefined;
      if (counts) falseByDefault += run.switches;
    }
  }
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
  console.log(
    `\nswitches over all names; probes a second for each origin; took ${seconds.toFixed(0)} s`,
  );
  const isKept = falseByDefault === 0;
  const keepsLimits = measureLimits(hours);
  console.log(
    'goal: no false switch by the default detector at 5, 20 and 30 %, and none with each held ' +
      `connection closed at random twice a minute: ${isKept ? 'met' : 'MISSED'}`,
  );
  const says = `no origin that limits is hurt by being asked: ${keepsLimits ? 'met' : 'MISSED'}`;
  console.log(`goal: ${says}`);
  process.exitCode = isKept && keepsLimits ? 0 : 1;
}

if (isMainThread) await main();
else parentPort!.postMessage(runJob(workerData as Job));
