// `npm run bench:traces`: what doubt does, on traces that are known to mislead. Origins that restart
// every quarter of an hour, an uplink that loses half of everything now and then, bursts that paths
// share: there every switch is false, over 24 h of simulated time and 30 names. Then what must not get
// slower: a real outage in the midst of restarts, crashes, hangs, and failures of half of all requests;
// and which share of failing requests is found within which time. Beside it the rules of its peers,
// and the engine as it decided before (behaviour 1), all on the same traces. Exits 1 if a goal is
// missed. `--hours 2` for less, `--only WORD` for the parts that bear it in their name.

import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import type { CoreConfig } from '../../src/core/model.ts';
import { patienceOf as patienceInForce } from '../../src/core/patience.ts';
import { coreConfig } from '../core/world.ts';
import { madeOf, peers } from './rules.ts';
import { chance, type Fate, Simulation, type Trace } from './simulation.ts';

const NAMES = 30;
const PATHS = 3;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 86_400_000;
/** What a rule may take beyond the patience in force. */
const BEYOND_PATIENCE_MS = 5_000;
/** No slower than before, but for what chance makes of the same trace: it shrinks with more rounds. */
const SLACK_MS = 250;
const SLACK: readonly [share: number, part: number][] = [
  [0.5, 0.05],
  [0.95, 0.15],
];

interface Policy {
  readonly name: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly confirmMs: number;
  readonly patienceMs: number;
}
const usual: Policy = {
  name: 'default policy',
  ...{ intervalMs: 5000, timeoutMs: 2000, confirmMs: 500, patienceMs: 10_000 },
};
const quick: Policy = {
  name: 'each second, no patience',
  ...{ intervalMs: 1000, timeoutMs: 1000, confirmMs: 250, patienceMs: 0 },
};
const policies = [usual, quick];

/** As it decides, and as it did before this page. */
const engines = [
  { name: 'Detour', behaviour: undefined },
  { name: 'Detour, behaviour 1', behaviour: 1 },
] as const;
type Engine = (typeof engines)[number];

interface World {
  readonly policy: Policy;
  readonly paths: number;
  readonly clouds: number;
  readonly names: number;
}

function configOf(
  { policy, paths, clouds, names: count }: World,
  { behaviour }: Engine,
): CoreConfig {
  const names = Array.from({ length: count }, (_, i) => `o${i}`);
  const { intervalMs, timeoutMs, confirmMs, patienceMs } = policy;
  const config = coreConfig({
    origins: Object.fromEntries(
      names.map((n, i) => [n, { cloud: `cloud${Math.floor((i * clouds) / count)}` }]),
    ),
    paths: Array.from({ length: paths }, (_, p) => `p${p}`),
    providers: ['cf'],
    detector: { kind: 'sequential', falseSwitchEveryMs: 10 * YEAR_MS },
    record: { mode: 'observe', patienceMs },
    check: { intervalMs, timeoutMs, confirmMs },
    records: Object.fromEntries(
      names.map((_, i) => {
        const origins = [`o${i}`, `o${(i + Math.ceil(count / 3)) % count}`];
        const targets = origins.map((origin) => ({ origin, cname: `${origin}.shop.test.` }));
        return [`r${i}.gslb.test.`, { targets }];
      }),
    ),
  });
  return behaviour === undefined ? config : { ...config, behaviour };
}

// ---------------------------------------------------------------- traces

interface TraceSpec {
  readonly name: string;
  readonly paths: number;
  readonly clouds?: number;
  readonly names?: number;
  readonly trace: (seed: number, totalMs: number) => Trace;
  /** Said of it: 0 switches after so long, in which histories are learnt; left out: not promised. */
  readonly calmAfterMs?: number;
}

/** Of all requests, what is lost for no reason. */
const USUAL_LOSS = 0.002;
const RESTART_EVERY_MS = 15 * MINUTE_MS;
const RESTART_MS = 20_000;

function usualFate(
  seed: number,
  origin: number,
  path: number,
  at: number,
  loss = USUAL_LOSS,
): Fate {
  return chance(seed * 1000 + origin * PATHS + path, 1, at) < loss ? 'drop' : 'pass';
}

/** When the restart begins in which an origin is at a moment, or that is the next. */
function restartAt(seed: number, origin: number, at: number): number {
  const phase = Math.floor(chance(seed, 41, origin) * RESTART_EVERY_MS);
  const from = Math.floor((at - phase) / RESTART_EVERY_MS) * RESTART_EVERY_MS + phase;
  return at < from + RESTART_MS ? from : from + RESTART_EVERY_MS;
}

/** Every second origin refuses while it restarts; the others do not answer. */
const restarts = (seed: number): Trace => {
  return (o, p, at) => {
    if (at < restartAt(seed, o, at)) return usualFate(seed, o, p, at);
    return o % 2 === 0 ? 'fail' : 'drop';
  };
};

/** All requests by some paths lose a share while a burst lasts: by all of them together. */
function sharedBursts(
  paths: readonly number[],
  loss: number,
  isBad: (at: number) => boolean,
  seed: number,
): Trace {
  return (o, p, at) => {
    if (!paths.includes(p) || !isBad(at)) return usualFate(seed, o, p, at);
    return chance(seed * 1000 + o * PATHS + p, 2, at) < loss ? 'drop' : 'pass';
  };
}

const eachFiveMinutes = (at: number) => at % (5 * MINUTE_MS) >= 4 * MINUTE_MS + 40_000;

/** The moments when it turns bad, good, bad, …: lengths are exponential. */
function randomly(seed: number, goodMs: number, badMs: number, totalMs: number) {
  const edges: number[] = [];
  for (let at = MINUTE_MS, i = 0; at < totalMs; i++) {
    at += -Math.log(1 - chance(seed, 3, i)) * (i % 2 === 0 ? goodMs : badMs);
    edges.push(at);
  }
  return (at: number) => {
    let [low, high] = [0, edges.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (edges[middle]! <= at) low = middle + 1;
      else high = middle;
    }
    return low % 2 === 1;
  };
}

const all = [0, 1, 2];
const bursts = (on: readonly number[], loss: number, badMs: number) => {
  return (seed: number, totalMs: number) =>
    sharedBursts(on, loss, randomly(seed, 2 * MINUTE_MS, badMs, totalMs), seed);
};
const traces: readonly TraceSpec[] = [
  {
    name: 'restarts of 20 s each 15 min, of every origin',
    ...{ paths: 3, trace: restarts, calmAfterMs: HOUR_MS },
  },
  {
    name: 'half of everything times out for 20 s each 5 min, on all paths',
    ...{ paths: 3, calmAfterMs: 0 },
    trace: (seed) => sharedBursts(all, 0.5, eachFiveMinutes, seed),
  },
  {
    name: 'three quarters of everything, the same way',
    ...{ paths: 3, calmAfterMs: 0 },
    trace: (seed) => sharedBursts(all, 0.75, eachFiveMinutes, seed),
  },
  {
    name: 'half of everything, the same way, with two clouds',
    ...{ paths: 3, clouds: 2, calmAfterMs: 0 },
    trace: (seed) => sharedBursts(all, 0.5, eachFiveMinutes, seed),
  },
  {
    name: 'bursts of 50 % for 20 s each 2 min, shared by 2 of 3 paths',
    ...{ paths: 3, trace: bursts([0, 1], 0.5, 20_000), calmAfterMs: 0 },
  },
  {
    name: 'bursts of 50 % for 20 s each 2 min, shared by all paths',
    ...{ paths: 3, trace: bursts(all, 0.5, 20_000), calmAfterMs: 0 },
  },
  {
    name: 'bursts of 50 % for 5 s each 2 min, shared by all paths',
    ...{ paths: 3, trace: bursts(all, 0.5, 5_000), calmAfterMs: 0 },
  },
  {
    name: 'the same of two names, each in a cloud of its own',
    ...{ paths: 3, clouds: 2, names: 2, trace: bursts(all, 0.5, 20_000) },
  },
  {
    name: 'the same of three names, each in a cloud of its own',
    ...{ paths: 3, clouds: 3, names: 3, trace: bursts(all, 0.5, 20_000) },
  },
  {
    name: 'one path only: bursts of 50 % for 20 s each 2 min',
    ...{ paths: 1, trace: bursts(all, 0.5, 20_000) },
  },
  {
    name: 'one path and one cloud only: the same bursts',
    ...{ paths: 1, clouds: 1, trace: bursts(all, 0.5, 20_000) },
  },
];

interface Row {
  readonly rule: string;
  readonly switches: number;
  /** Of them, those after the time in which histories are learnt. */
  readonly late: number | null;
  readonly downs: number;
  readonly patience: string;
}

function runTrace(spec: TraceSpec, policy: Policy, engine: Engine, hours: number): Row {
  const totalMs = hours * HOUR_MS;
  const world = { policy, paths: spec.paths, clouds: spec.clouds ?? 3, names: spec.names ?? NAMES };
  const s = new Simulation(configOf(world, engine), spec.trace(1, totalMs), policy.timeoutMs);
  s.advance(totalMs);
  const switches = s.entries.filter((e) => e.kind === 'would-switch');
  const patience = names(s).map((name) => patienceOf(s, name));
  return {
    rule: `${engine.name}, ${policy.name}`,
    switches: switches.length,
    late: switches.filter((e) => e.at > (spec.calmAfterMs ?? 0)).length,
    downs: s.entries.filter((e) => healthOf(e) === 'down').length,
    patience: `${seconds(Math.min(...patience))} to ${seconds(Math.max(...patience))}`,
  };
}

function names(s: Simulation): string[] {
  return [...s.state.records.keys()];
}

/** The patience in force of a record, in milliseconds. */
function patienceOf(s: Simulation, name: string): number {
  const r = s.state.records.get(name)!;
  return patienceInForce(s.state, r, r.doc.target).ms;
}

function healthOf(e: { kind: string; data: unknown }): string | null {
  return e.kind === 'health' ? (e.data as { health: string }).health : null;
}

function printTrace(spec: TraceSpec, hours: number): number {
  console.log(`\n${spec.name}: ${hours} h, ${spec.names ?? NAMES} names`);
  const learnt = (spec.calmAfterMs ?? 0) / MINUTE_MS;
  const heads = ['switches', learnt > 0 ? `after ${learnt} min` : '', 'downs', 'patience'];
  const widths = [9, 13, 8, 16];
  console.log([' '.repeat(46), ...heads.map((h, i) => h.padStart(widths[i]!))].join(' '));
  const print = (row: Row) => {
    const cells = [row.switches, learnt > 0 ? (row.late ?? '') : '', row.downs, row.patience];
    const padded = cells.map((cell, i) => String(cell).padStart(widths[i]!));
    console.log([row.rule.padEnd(46), ...padded].join(' '));
  };
  let missed = 0;
  for (const policy of [usual, { ...usual, name: 'patience 0', patienceMs: 0 }, quick]) {
    for (const engine of engines) {
      const row = runTrace(spec, policy, engine, hours);
      print(row);
      const counts = policy === usual && engine.behaviour === undefined;
      if (counts && spec.calmAfterMs !== undefined) missed += row.late!;
    }
  }
  for (const peer of peers) {
    const made = madeOf(
      peer,
      spec.names ?? NAMES,
      spec.trace(1, hours * HOUR_MS),
      hours * HOUR_MS,
      1000,
    );
    const { switches, downs } = made;
    print({ rule: peer.rule, switches, late: null, downs, patience: '' });
  }
  return missed;
}

// ---------------------------------------------------------------- a real outage among restarts

const OUTAGES = 20;

interface Left {
  readonly ms: number;
  readonly patienceMs: number;
}

/** After hours of restarts a target in force fails for good: how long until it is left. */
function outagesAmongRestarts(engine: Engine): Left[] {
  return Array.from({ length: OUTAGES }, (_, seed) => {
    const world = { policy: usual, paths: PATHS, clouds: 3, names: NAMES };
    const calm = restarts(seed);
    let [dead, diedAt] = [-1, Number.POSITIVE_INFINITY];
    const trace: Trace = (o, p, at) => {
      if (o === dead && at >= diedAt) return seed % 2 === 0 ? 'fail' : 'drop';
      return calm(o, p, at);
    };
    const s = new Simulation(configOf(world, engine), trace, usual.timeoutMs);
    s.advance(5 * HOUR_MS + Math.floor(chance(seed, 51, 0) * HOUR_MS));
    const name = `r${seed % NAMES}.gslb.test.`;
    const r = s.state.records.get(name)!;
    const target = r.doc.target;
    const targets = r.config.targets;
    const other = targets.find((t) => t.origin !== target)!;
    const [here, there] = [Number(target!.slice(1)), Number(other.origin.slice(1))];
    // Neither is in a restart, nor was a moment ago, and the other begins none meanwhile.
    const isQuiet = (at: number) =>
      [here, there].every((o) => restartAt(seed, o, at - MINUTE_MS) > at + 2 * MINUTE_MS);
    while (!isQuiet(s.now)) s.advance(s.now + 7_000);
    s.advance(s.now + Math.floor(chance(seed, 52, 0) * usual.intervalMs));
    const patienceMs = patienceOf(s, name);
    [dead, diedAt] = [here, s.now];
    const from = s.entries.length;
    const left = () =>
      s.entries.slice(from).find((e) => e.kind === 'would-switch' && e.record === name);
    s.advance(diedAt + 10 * MINUTE_MS, () => left() !== undefined);
    return { ms: (left()?.at ?? Number.POSITIVE_INFINITY) - diedAt, patienceMs };
  });
}

function printOutages(): number {
  console.log(`\na real outage among restarts of 20 s each 15 min: ${OUTAGES} of them`);
  let missed = 0;
  for (const engine of engines) {
    const all = outagesAmongRestarts(engine);
    const inTime = all.filter((one) => one.ms <= one.patienceMs + BEYOND_PATIENCE_MS).length;
    const times = all.map(({ ms }) => ms).sort((a, b) => a - b);
    const patience = all.map(({ patienceMs }) => patienceMs);
    const most = seconds(Math.max(...patience));
    console.log(
      `${engine.name.padEnd(22)} left within patience + 5 s: ${inTime} of ${OUTAGES}; ` +
        `median ${seconds(times[OUTAGES / 2]!)}, longest ${seconds(times.at(-1)!)}; ` +
        `patience ${seconds(Math.min(...patience))} to ${most}`,
    );
    if (engine.behaviour === undefined) missed += OUTAGES - inTime;
  }
  return missed;
}

// ---------------------------------------------------------------- what must not get slower

const kinds = ['crash', 'hang', 'grey 50 %'] as const;
type Kind = (typeof kinds)[number];

function hurt(kind: Kind, seed: number, path: number, at: number): Fate {
  if (kind === 'crash') return 'fail';
  if (kind === 'hang') return 'drop';
  return chance(seed + path, 61, at) < 0.5 ? 'drop' : 'pass';
}

/** Each origin in turn, `rounds` times: until it is judged down, in milliseconds, sorted. */
function delaysOf(
  world: World,
  engine: Engine,
  rounds: number,
  withinMs: number,
  hurts: (seed: number, path: number, at: number) => Fate,
  loss = USUAL_LOSS,
): number[] {
  let [dead, seed] = [-1, 0];
  const trace: Trace = (o, p, at) =>
    o === dead ? hurts(seed * PATHS, p, at) : usualFate(7, o, p, at, loss);
  const s = new Simulation(configOf(world, engine), trace, world.policy.timeoutMs);
  s.advance(10 * MINUTE_MS);
  const delays: number[] = [];
  for (let i = 0; i < rounds * world.names; i++) {
    seed = i;
    s.advance(s.now + MINUTE_MS + Math.floor(chance(1, i, 62) * 5000));
    const [from, at] = [s.entries.length, s.now];
    dead = i % world.names;
    const isIt = (e: { data: unknown }) => (e.data as { origin: string }).origin === `o${dead}`;
    const seen = () => s.entries.slice(from).find((e) => healthOf(e) === 'down' && isIt(e));
    s.advance(at + withinMs, () => seen() !== undefined);
    delays.push((seen()?.at ?? Number.POSITIVE_INFINITY) - at);
    dead = -1;
  }
  return delays.sort((a, b) => a - b);
}

/** Beside each other on the same trace; whether the newer one is slower. */
function compareDelays(
  what: string,
  world: World,
  hurts: (seed: number, path: number, at: number) => Fate,
  loss?: number,
): boolean {
  const [now, before] = engines.map((engine) =>
    delaysOf(world, engine, (4 * NAMES) / world.names, 10 * MINUTE_MS, hurts, loss),
  );
  const says = engines.map(({ name }, i) => {
    const delays = [now!, before!][i]!;
    return `${name}: median ${seconds(at(delays, 0.5))}, 95 % ${seconds(at(delays, 0.95))}`;
  });
  console.log(`${`${world.policy.name}, ${what}`.padEnd(46)} ${says.join('   ')}`);
  const most = (was: number, part: number) => was + Math.max(SLACK_MS, part * was);
  return SLACK.some(([share, part]) => at(now!, share) > most(at(before!, share), part));
}

function printDelays(): number {
  console.log(`\nfrom its first failing moment until it is judged down, ${4 * NAMES} each`);
  let missed = 0;
  for (const policy of policies) {
    const world = { policy, paths: PATHS, clouds: 3, names: NAMES };
    for (const kind of kinds) {
      if (compareDelays(kind, world, (seed, p, at) => hurt(kind, seed, p, at))) missed++;
    }
  }
  return missed;
}

/** Where all paths lose much at all times, chance makes more of a difference than any rule. */
function printLossy(): void {
  console.log(`\na crash where every path loses that share of all requests, ${4 * NAMES} each`);
  for (const policy of policies) {
    for (const loss of [0.05, 0.2, 0.3]) {
      const world = { policy, paths: PATHS, clouds: 3, names: NAMES };
      compareDelays(`crash, ${loss * 100} % lost`, world, () => 'fail', loss);
      const small = { policy, paths: PATHS, clouds: 2, names: 2 };
      compareDelays(`crash, ${loss * 100} % lost, two names`, small, () => 'fail', loss);
    }
  }
}

const shares = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.9] as const;
const within = [10_000, 30_000, MINUTE_MS, 5 * MINUTE_MS, 10 * MINUTE_MS] as const;

/** Which share of failing requests is found: a bound that docs/how-it-works.md states. */
function printGrey(): void {
  console.log('\nan origin that fails a share of its requests: found within, of 60 each');
  const heads = ['median', ...within.map((ms) => seconds(ms))];
  console.log([' '.repeat(38), ...heads.map((h) => h.padStart(9))].join(' '));
  for (const policy of policies) {
    for (const share of shares) {
      const world = { policy, paths: PATHS, clouds: 3, names: NAMES };
      const delays = delaysOf(world, engines[0], 2, 10 * MINUTE_MS, (seed, p, at) =>
        chance(seed + p, 63, at) < share ? 'drop' : 'pass',
      );
      const found = within.map((ms) => {
        const count = delays.filter((delay) => delay <= ms).length;
        return `${Math.round((100 * count) / delays.length)} %`;
      });
      const row = [seconds(at(delays, 0.5)), ...found].map((cell) => cell.padStart(9));
      console.log([`${policy.name}, ${share * 100} % fail`.padEnd(38), ...row].join(' '));
    }
  }
}

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

function seconds(ms: number): string {
  return Number.isFinite(ms) ? `${Number((ms / 1000).toFixed(2))} s` : 'never';
}

function main(): void {
  const { values } = parseArgs({
    options: { hours: { type: 'string', default: '24' }, only: { type: 'string', default: '' } },
  });
  const hours = Number(values.hours);
  const begun = process.hrtime.bigint();
  console.log(`machine: ${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}`);
  const missed: string[] = [];
  const goal = (name: string, part: () => number) => {
    if (name.includes(values.only) && part() > 0) missed.push(name);
  };
  for (const spec of traces) goal(spec.name, () => printTrace(spec, hours));
  goal('a real outage among restarts', printOutages);
  goal('crash, hang and grey 50 % no slower than before', printDelays);
  if ('lossy'.includes(values.only)) printLossy();
  if ('grey'.includes(values.only)) printGrey();
  const took = Number(process.hrtime.bigint() - begun) / 1e9;
  console.log(`\ntook ${took.toFixed(0)} s`);
  console.log(`goals: ${missed.length === 0 ? 'met' : `MISSED: ${missed.join('; ')}`}`);
  process.exitCode = missed.length === 0 ? 0 : 1;
}

main();
