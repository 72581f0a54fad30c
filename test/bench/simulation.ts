// The engine over a trace, in simulated time, as the benches of accuracy want it: what it asks of
// vendors and DNS is answered at once, and a probe meets what the trace says. It never sleeps, and the
// same trace gives the same run.

import { type Effect, nextDeadline, type State, start, step } from '../../src/core/engine.ts';
import type { CoreConfig, Observation, Outcome } from '../../src/core/model.ts';
import type { End } from '../../src/core/state.ts';

export type Fate = 'pass' | 'fail' | 'drop' | 'limited';
/** What becomes of the probe of one origin by one path that begins in one millisecond. */
export type Trace = (origin: number, path: number, at: number) => Fate;

/** What an answer takes; one that is dropped ends with the timeout. */
export const ANSWER_MS = 5;

/** A number in [0, 1) for three integers: two rounds of the finaliser of MurmurHash3. */
export function chance(a: number, b: number, c: number): number {
  let h = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b);
  h = mix(h ^ (c | 0));
  h = mix(h ^ Math.imul((c / 0x1_0000_0000) | 0, 0xc2b2ae35) ^ a);
  return (h >>> 0) / 4_294_967_296;
}

function mix(x: number): number {
  let h = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** The engine over a trace: what it asks is answered at once, except for probes. */
export class Simulation {
  now = 0;
  probes = 0;
  readonly state: State;
  readonly entries: { at: number; kind: string; record: string | null; data: unknown }[] = [];
  /** Where connections are held: when the next of them is closed, and how often each is. */
  #closing: { at: number; readonly everyMs: number } | null = null;
  #closed = 0;
  /** The origin that is really down, and since when. */
  #dead = -1;
  readonly #trace: Trace;
  readonly #quick = new Queue();
  readonly #slow = new Queue();
  readonly #due: (() => void)[] = [];

  readonly #timeoutMs: number;
  readonly #retryAfterMs: (origin: number) => number | undefined;

  /** `retryAfterMs`: what an origin that limits says with its 429, if anything. */
  constructor(
    config: CoreConfig,
    trace: Trace,
    timeoutMs: number,
    retryAfterMs: (origin: number) => number | undefined = () => undefined,
  ) {
    this.#trace = trace;
    this.#timeoutMs = timeoutMs;
    this.#retryAfterMs = retryAfterMs;
    const begun = start({ config, docs: {}, now: 1, wall: 1, seed: [1, 2, 3, 4] });
    this.state = begun.state;
    this.#finish(begun.step);
    this.#finish(step(this.state, { kind: 'lease', held: true, term: 1 }, 1, 1));
  }

  get dead(): number {
    return this.#dead;
  }

  /** Whoever dies takes along what is held of it. */
  set dead(origin: number) {
    this.#dead = origin;
    if (origin < 0 || this.#closing === null) return;
    this.#end(this.#held().filter(({ check }) => originOf(check) === origin));
  }

  /** Of every check by every path a connection is held, and each is closed at random so often. */
  closeEvery(everyMs: number): void {
    this.#closing = { at: this.now, everyMs };
  }

  #held(): End[] {
    return Object.values(this.state.config.checks).flatMap(({ id, paths }) =>
      paths.map((path) => ({ check: id, path })),
    );
  }

  #closeOne(closing: { at: number; readonly everyMs: number }): void {
    const held = this.#held();
    const toss = chance(97, this.#closed, 1);
    this.#end([held[Math.floor(toss * held.length)]!]);
    const gapMs = (-Math.log(1 - chance(97, this.#closed++, 2)) * closing.everyMs) / held.length;
    closing.at = this.now + Math.max(1, gapMs);
  }

  #end(ends: readonly End[]): void {
    this.#finish(step(this.state, { kind: 'ended', ends }, this.now, this.now));
  }

  advance(until: number, isEnough: () => boolean = () => false): void {
    while (!isEnough()) {
      const timer = nextDeadline(this.state)?.at ?? Number.POSITIVE_INFINITY;
      const queue = this.#quick.at <= this.#slow.at ? this.#quick : this.#slow;
      const closing = this.#closing?.at ?? Number.POSITIVE_INFINITY;
      const at = Math.min(timer, queue.at, closing);
      if (at > until) break;
      this.now = Math.max(this.now, at);
      if (closing === at) this.#closeOne(this.#closing!);
      else if (queue.at > timer)
        this.#finish(step(this.state, { kind: 'tick' }, this.now, this.now));
      else this.#answer(queue.take());
      for (let run = this.#due.shift(); run !== undefined; run = this.#due.shift()) run();
    }
  }

  #answer({ check, path, outcome, startedAt, limited }: Pending): void {
    const observation: Observation = {
      outcome,
      startedAt,
      endedAt: this.now,
      reason: outcome,
      detail: outcome,
      phases: {},
      ...limited,
    };
    const event = { kind: 'probed', check, path, observation } as const;
    this.#finish(step(this.state, event, this.now, this.now));
  }

  #finish(out: ReturnType<typeof step>): void {
    for (const { kind, record, data } of out.entries) {
      this.entries.push({ at: this.now, kind, record, data });
    }
    for (const e of out.effects) this.#perform(e);
  }

  #perform(e: Effect): void {
    if (e.kind === 'probe') {
      this.probes++;
      const origin = originOf(e.check);
      const fate = origin === this.#dead ? 'fail' : this.#trace(origin, Number(e.path[1]), e.at);
      const outcome = fate === 'drop' ? 'fail' : fate;
      const asked = fate === 'limited' ? this.#retryAfterMs(origin) : undefined;
      const limited = asked === undefined ? {} : { retryAfterMs: asked };
      const pending = { check: e.check, path: e.path, outcome, startedAt: e.at, limited } as const;
      if (fate === 'drop') this.#slow.put({ ...pending, at: e.at + this.#timeoutMs });
      else this.#quick.put({ ...pending, at: e.at + ANSWER_MS });
      return;
    }
    const send = (event: Parameters<typeof step>[1]) =>
      this.#due.push(() => this.#finish(step(this.state, event, this.now, this.now)));
    if (e.kind === 'read') {
      const seen = e.names.map((name) => {
        const cnames = [
          { value: `o${Number(name.slice(1, name.indexOf('.')))}.shop.test.`, ttl: 60 },
        ];
        const value = { cnames, markers: [], refusal: null, ref: null };
        return [name, { kind: 'answered', value } as const] as const;
      });
      const answers = Object.fromEntries(seen);
      send({ kind: 'read', provider: e.provider, id: e.id, answers });
    } else if (e.kind === 'chain') {
      const answer = { kind: 'answered', chain: [e.name] } as const;
      send({ kind: 'chained', record: e.record, target: e.target, answer });
    }
  }
}

function originOf(check: string): number {
  return Number(check.slice(1, check.indexOf('/')));
}

interface Pending {
  readonly check: string;
  readonly path: string;
  readonly outcome: Outcome;
  readonly limited: Pick<Observation, 'retryAfterMs'>;
  readonly startedAt: number;
  readonly at: number;
}

/** Answers that all take equally long come in the order they were asked for. */
class Queue {
  #items: Pending[] = [];
  #head = 0;

  get at(): number {
    return this.#items[this.#head]?.at ?? Number.POSITIVE_INFINITY;
  }

  put(item: Pending): void {
    this.#items.push(item);
  }

  take(): Pending {
    const item = this.#items[this.#head++]!;
    if (this.#head > 4096) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}
