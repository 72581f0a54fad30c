// Part of `npm run bench:accuracy`: origins that answer 429 above a rate, or ban for a minute who
// exceeds it, with a hiccup of three seconds an hour on two of three paths, which doubt answers with
// more probes. They are never down: every switch is false, every `down` after a hiccup is too long or not.
// Every request counts, refused or not; every second origin says Retry-After. Then how long the same
// policies take to see a real outage of an origin that limits nobody. All in simulated time.

import type { CoreConfig } from '../../src/core/model.ts';
import { coreConfig } from '../core/world.ts';
import { chance, Simulation, type Trace } from './simulation.ts';

const NAMES = 12;
const PATHS = 3;
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const HICCUP_MS = 3_000;
const BAN_MS = 60_000;
const LIMITS = [1, 2, 3, 5, 10];
/** Goals: how long an origin may be down after its hiccup, and what it is asked of its limit. */
const DOWN_MOST_MS = 30_000;
const ASKED_MOST = 2;

interface Policy {
  readonly name: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly confirmMs: number;
}
const policies: readonly Policy[] = [
  { name: 'the default policy', intervalMs: 5000, timeoutMs: 2000, confirmMs: 500 },
  { name: "the bench's, each second", intervalMs: 1000, timeoutMs: 1000, confirmMs: 250 },
];
const PATIENCE_MS = 10_000;

function configOf({ intervalMs, timeoutMs, confirmMs }: Policy): CoreConfig {
  const names = Array.from({ length: NAMES }, (_, i) => `o${i}`);
  return coreConfig({
    origins: Object.fromEntries(names.map((n, i) => [n, { cloud: `cloud${i % 3}` }])),
    paths: Array.from({ length: PATHS }, (_, p) => `p${p}`),
    providers: ['cf'],
    detector: { kind: 'sequential', falseSwitchEveryMs: 10 * 365 * 86_400_000 },
    record: { mode: 'observe', patienceMs: PATIENCE_MS },
    check: { intervalMs, timeoutMs, confirmMs },
    records: Object.fromEntries(
      names.map((_, i) => {
        const origins = [`o${i}`, `o${(i + 1) % NAMES}`];
        const targets = origins.map((origin) => ({ origin, cname: `${origin}.shop.test.` }));
        return [`r${i}.gslb.test.`, { targets }];
      }),
    ),
  });
}

/** When each origin's hiccup of an hour begins: not two at once, and not while all is begun. */
function hiccupAt(origin: number, hour: number): number {
  const slot = (HOUR_MS - 10 * MINUTE_MS) / NAMES;
  const within = chance(origin, 21, hour) * (slot - 2 * MINUTE_MS);
  return Math.floor(hour * HOUR_MS + 5 * MINUTE_MS + origin * slot + within);
}

/** What all origins were asked, and what they made of it. */
class Limiter {
  /** When each origin was asked, in order. */
  readonly asked: number[][] = Array.from({ length: NAMES }, () => []);
  readonly refusedFrom: number[] = Array.from({ length: NAMES }, () => Number.POSITIVE_INFINITY);
  refused = 0;
  readonly #bannedUntil: number[] = Array.from({ length: NAMES }, () => 0);
  readonly #limit: number;
  readonly #bans: boolean;

  constructor(limit: number, bans: boolean) {
    this.#limit = limit;
    this.#bans = bans;
  }

  readonly trace: Trace = (origin, path, at) => {
    const all = this.asked[origin]!;
    all.push(at);
    const isOver = this.#isOver(origin, all, at);
    const from = hiccupAt(origin, Math.floor(at / HOUR_MS));
    const isHurt = path !== origin % PATHS && at >= from && at < from + HICCUP_MS;
    if (isHurt) return chance(origin * PATHS + path, 22, at) < 0.5 ? 'fail' : 'drop';
    if (!isOver) return 'pass';
    this.refused++;
    this.refusedFrom[origin] = Math.min(this.refusedFrom[origin]!, at);
    return 'limited';
  };

  readonly retryAfterMs = (origin: number): number | undefined =>
    origin % 2 === 0 ? undefined : this.#bans ? BAN_MS : 1000;

  #isOver(origin: number, all: readonly number[], at: number): boolean {
    if (at < this.#bannedUntil[origin]!) return true;
    const since = all.length - 1 - this.#limit;
    const isOver = since >= 0 && all[since]! > at - 1000;
    if (isOver && this.#bans) this.#bannedUntil[origin] = at + BAN_MS;
    return isOver;
  }

  /** The most that an origin was asked in any minute after its first refusal, of what it allows. */
  mostAsked(): number {
    let most = 0;
    this.asked.forEach((all, origin) => {
      let first = 0;
      for (let last = 0; last < all.length; last++) {
        if (all[last]! <= this.refusedFrom[origin]!) first = last + 1;
        while (all[last]! - all[first]! >= MINUTE_MS) first++;
        most = Math.max(most, (last - first + 1) / (60 * this.#limit));
      }
    });
    return most;
  }
}

interface Row {
  readonly what: string;
  readonly switches: number;
  readonly downs: number;
  readonly downMs: number;
  readonly asked: number;
  readonly refusedPerHour: number;
  readonly unknownMs: number;
}

function run(policy: Policy, limit: number, bans: boolean, hours: number): Row {
  const limiter = new Limiter(limit, bans);
  const config = configOf(policy);
  const s = new Simulation(config, limiter.trace, policy.timeoutMs, limiter.retryAfterMs);
  s.advance(hours * HOUR_MS);
  let [downs, downMs, unknownMs] = [0, 0, 0];
  for (let i = 0; i < NAMES; i++) {
    for (const spell of spellsOf(s, i, hours * HOUR_MS)) {
      if (spell.health === 'unknown' && spell.fromAt > MINUTE_MS) {
        unknownMs += spell.toAt - spell.fromAt;
      }
      if (spell.health !== 'down') continue;
      downs++;
      const over = hiccupAt(i, Math.floor(spell.fromAt / HOUR_MS)) + HICCUP_MS;
      downMs = Math.max(downMs, spell.toAt - Math.max(over, spell.fromAt));
    }
  }
  return {
    what: bans ? `bans for 60 s above ${limit}/s` : `429 above ${limit}/s`,
    switches: s.entries.filter((e) => e.kind === 'would-switch').length,
    downs,
    downMs,
    asked: limiter.mostAsked(),
    refusedPerHour: limiter.refused / NAMES / hours,
    unknownMs: unknownMs / NAMES / hours,
  };
}

/** What one origin was taken for, and from when to when. */
function spellsOf(s: Simulation, origin: number, endAt: number) {
  const spells: { health: string; fromAt: number; toAt: number }[] = [];
  for (const { at, kind, data } of s.entries) {
    const { origin: of, health } = data as { origin?: string; health?: string };
    if (kind !== 'health' || of !== `o${origin}`) continue;
    if (spells.length > 0) spells.at(-1)!.toAt = at;
    spells.push({ health: health!, fromAt: at, toAt: endAt });
  }
  return spells;
}

const faults = { crash: 'fail', '503': 'fail', hang: 'drop' } as const;

/** From a fault of an origin that takes all that it is asked to the decision, without patience. */
function delaysOf(policy: Policy, fault: keyof typeof faults): number[] {
  const delays: number[] = [];
  let [dead, deadAt] = [-1, 0];
  const trace: Trace = (o, _, at) => (o === dead && at >= deadAt ? faults[fault] : 'pass');
  const s = new Simulation(configOf(policy), trace, policy.timeoutMs);
  for (let turn = 0; turn < 2 * NAMES; turn++) {
    const i = turn % NAMES;
    s.advance(s.now + 2 * HOUR_MS);
    deadAt = s.now + 1 + Math.floor(chance(turn, 23, 1) * policy.intervalMs);
    dead = i;
    const from = s.entries.length;
    const moved = () =>
      s.entries.slice(from).find((e) => e.kind === 'would-switch' && leaves(e.data) === `o${i}`);
    s.advance(deadAt + 5 * MINUTE_MS, () => moved() !== undefined);
    delays.push((moved()?.at ?? Number.POSITIVE_INFINITY) - deadAt - PATIENCE_MS);
    dead = -1;
  }
  return delays.filter(Number.isFinite).sort((a, b) => a - b);
}

function leaves(data: unknown): string | undefined {
  return (data as { from?: string }).from;
}

/** Prints the tables; true when every goal is met. */
export function measureLimits(hours: number): boolean {
  let isMet = true;
  for (const policy of policies) {
    console.log(`\norigins that limit, by ${policy.name}: ${NAMES} origins, ${hours} h`);
    console.log(
      `${''.padEnd(26)} false switches   downs  longest s   asked/limit  429 an hour  unknown s`,
    );
    for (const bans of [false, true]) {
      for (const limit of LIMITS) {
        const row = run(policy, limit, bans, hours);
        const { switches, downMs, asked } = row;
        const isKept = switches === 0 && downMs <= DOWN_MOST_MS && asked <= ASKED_MOST;
        isMet &&= isKept;
        console.log(`${printRow(row)}${isKept ? '' : '  MISSED'}`);
      }
    }
    const seen = Object.keys(faults).map((fault) => {
      const delays = delaysOf(policy, fault as keyof typeof faults);
      const median = (delays[Math.floor(delays.length / 2)] ?? Number.NaN) / 1000;
      return `${fault} ${median.toFixed(2)} s (${delays.length} of ${2 * NAMES})`;
    });
    console.log(`an origin without a limit, medians beside patience: ${seen.join(', ')}`);
  }
  return isMet;
}

function printRow(r: Row): string {
  const cells = [
    r.what.padEnd(26),
    String(r.switches).padStart(15),
    String(r.downs).padStart(7),
    (r.downMs / 1000).toFixed(1).padStart(10),
    r.asked.toFixed(2).padStart(13),
    r.refusedPerHour.toFixed(1).padStart(12),
    (r.unknownMs / 1000).toFixed(1).padStart(10),
  ];
  return cells.join(' ');
}
