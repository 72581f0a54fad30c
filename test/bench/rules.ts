// The rules by which Detour's peers call a target down, for the benches that run them beside Detour on
// the same traces, in simulated time. They look by one path, as they do in life; only Route 53 looks by
// all three. A rule sees nothing but passes and failures of its own probes.

import { ANSWER_MS, chance, type Trace } from './simulation.ts';

const PATHS = 3;

/** One target's state by one rule; `after` folds in one outcome and says when to probe next. */
export interface Judge {
  isUp(): boolean;
  after(passed: boolean): number;
}

/** Consecutive counts, as in HAProxy (`fall`, `rise`, `fastinter` while neither is certain). */
function counting(fall: number, rise: number, interMs: number, fastMs = interMs): Judge {
  let [up, run] = [true, 0];
  return {
    isUp: () => up,
    after(passed) {
      run = passed === up ? 0 : run + 1;
      if (run >= (up ? fall : rise)) [up, run] = [!up, 0];
      return run > 0 ? fastMs : interMs;
    },
  };
}

/**
 * gdnsd's counters (src/plugins/mon.c): while up, failures add up and are forgotten only after
 * `ok` passes in a row; while down, `up` passes in a row bring it back.
 */
function leaking(down: number, ok: number, up: number, interMs: number): Judge {
  let [isUp, failures, successes] = [true, 0, 0];
  return {
    isUp: () => isUp,
    after(passed) {
      if (!passed) {
        successes = 0;
        if (isUp && ++failures === down) [isUp, failures] = [false, 0];
      } else if (!isUp) {
        if (++successes === up) [isUp, failures, successes] = [true, 0, 0];
      } else if (failures > 0 && ++successes === ok) [failures, successes] = [0, 0];
      return interMs;
    },
  };
}

export interface Peer {
  readonly rule: string;
  readonly paths: number;
  readonly judge: () => Judge;
  /** Of the paths' judges: down for the name. */
  readonly isDown: (judges: readonly Judge[]) => boolean;
}

const one = (rule: string, judge: () => Judge): Peer => ({
  rule,
  paths: 1,
  judge,
  isDown: ([j]) => !j!.isUp(),
});
/** Healthy while more than 18 % of the checkers say so. */
const amazon = (rule: string, interMs: number): Peer => ({
  rule,
  paths: PATHS,
  judge: () => counting(3, 3, interMs),
  isDown: (judges) => judges.filter((j) => j.isUp()).length <= 0.18 * judges.length,
});
export const peers: readonly Peer[] = [
  one('PowerDNS ifurlup, dnsdist: 1 s, one failure', () => counting(1, 1, 1000)),
  one('HAProxy 1 s, fall 3 rise 2', () => counting(3, 2, 1000)),
  one('HAProxy 1 s, fastinter 200 ms', () => counting(3, 2, 1000, 200)),
  one('gdnsd 2 s, thresholds 1', () => leaking(1, 1, 1, 2000)),
  one('gdnsd 2 s, thresholds 2', () => leaking(2, 2, 2, 2000)),
  one('gdnsd 2 s, thresholds 3', () => leaking(3, 3, 3, 2000)),
  one('gdnsd defaults (10 s; 10, 10, 20)', () => leaking(10, 10, 20, 10_000)),
  amazon('Route 53, fast: 10 s, 3 of 3, 3 checkers', 10_000),
  amazon('the rule of Route 53 at 1 s', 1000),
];

/** One origin under one rule: advances probe by probe, in order of time over its paths. */
export class Watched {
  readonly judges: Judge[];
  probes = 0;
  readonly #peer: Peer;
  readonly #origin: number;
  readonly #trace: Trace;
  readonly #next: number[];
  readonly #timeoutMs: number;

  constructor(peer: Peer, origin: number, trace: Trace, timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
    this.#peer = peer;
    this.#origin = origin;
    this.#trace = trace;
    this.judges = Array.from({ length: peer.paths }, peer.judge);
    // Checks are spread over the second, as all of these do.
    this.#next = this.judges.map((_, p) => Math.floor(chance(origin, p, 5) * 1000));
  }

  get nextAt(): number {
    return Math.min(...this.#next);
  }

  isDown(): boolean {
    return this.#peer.isDown(this.judges);
  }

  /** Lets the next probe end; the moment it ended. */
  advance(deadFrom = Number.POSITIVE_INFINITY): number {
    const at = this.nextAt;
    const path = this.#next.indexOf(at);
    const fate = at >= deadFrom ? 'fail' : this.#trace(this.#origin, path, at);
    const endsAt = at + (fate === 'drop' ? this.#timeoutMs : ANSWER_MS);
    // The next one is due an interval after a quick answer began, or after a slow one ended.
    const delay = this.judges[path]!.after(fate === 'pass');
    this.#next[path] = (fate === 'drop' ? endsAt : at) + delay;
    this.probes++;
    return endsAt;
  }
}

/** What one rule makes of origins over a time, and of names that lead each to the two it has. */
export interface Made {
  /** Changes of the answer, over all names. */
  readonly switches: number;
  /** Times that an origin was called down. */
  readonly downs: number;
  /** Time on the standby, over all names, in milliseconds. */
  readonly awayMs: number;
  readonly probes: number;
}

/** Name `i` of so many leads to origin `i`, and else to the one a third further on. */
export function madeOf(
  peer: Peer,
  names: number,
  trace: Trace,
  totalMs: number,
  timeoutMs: number,
): Made {
  const origins = Array.from({ length: names }, (_, i) =>
    turnsOf(peer, i, trace, totalMs, timeoutMs),
  );
  let [switches, awayMs] = [0, 0];
  for (let i = 0; i < names; i++) {
    const other = origins[(i + Math.ceil(names / 3)) % names]!;
    const merged = changesOf(origins[i]!.turns, other.turns, totalMs);
    switches += merged.switches;
    awayMs += merged.awayMs;
  }
  const probes = origins.reduce((sum, o) => sum + o.probes, 0);
  const downs = origins.reduce((sum, o) => sum + Math.ceil(o.turns.length / 2), 0);
  return { switches, downs, awayMs, probes };
}

/** When the rule turned: down, up, down, … */
function turnsOf(peer: Peer, origin: number, trace: Trace, totalMs: number, timeoutMs: number) {
  const watched = new Watched(peer, origin, trace, timeoutMs);
  const turns: number[] = [];
  while (watched.nextAt < totalMs) {
    const was = watched.isDown();
    const at = watched.advance();
    if (watched.isDown() !== was) turns.push(at);
  }
  return { turns, probes: watched.probes };
}

/** The answer of a name over time: the first that is up; when neither is, the first. */
function changesOf(first: readonly number[], second: readonly number[], totalMs: number) {
  const edges = [
    ...first.map((at, i) => ({ at, which: 0, down: i % 2 === 0 })),
    ...second.map((at, i) => ({ at, which: 1, down: i % 2 === 0 })),
  ].sort((a, b) => a.at - b.at);
  const down = [false, false];
  let [away, since, switches, awayMs] = [false, 0, 0, 0];
  for (const edge of edges) {
    down[edge.which] = edge.down;
    const next = down[0]! && !down[1]!;
    if (next === away) continue;
    switches++;
    if (away) awayMs += edge.at - since;
    [away, since] = [next, edge.at];
  }
  if (away) awayMs += totalMs - since;
  return { switches, awayMs };
}
