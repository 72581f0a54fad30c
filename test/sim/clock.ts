// Time in a simulated world: one queue of what happens when, and processes that live on it. A
// process has its own monotonic and wall clock, can stand still (everything of its own waits and
// comes at once), sleep (its monotonic clock stands too) and die (nothing of its own ever comes).
// There is no real timer in here: after an event that may have woken a promise the loop yields
// until every promise has settled, and only then does time go on.

import type { Clock } from '../../src/ports.ts';
import type { Chance } from './chance.ts';

/** The wall clock at the beginning of every world. */
export const WALL_0 = Date.UTC(2026, 0, 1);

/** The loop's own beat, and how late it may come without being a stall (src/controller.ts). */
const BEAT_MS = 100;
const BEAT_LATE_MS = 250;

/** A turn of Node's own loop costs more than most events, so only every so many get a whole one. */
const MACRO_EVERY = 200;

interface Item {
  readonly at: number;
  readonly seq: number;
  readonly run: () => void;
  readonly of: Process | null;
  readonly life: number;
  /** What a timer waits for on its process's monotonic clock; null for what comes from outside. */
  readonly dueAt: number | null;
  /** Shared by an event and the copies of it that come later. */
  readonly token: { cancelled: boolean };
}

/** Everything that will happen, in order. */
export class Timeline {
  now = 0;
  /** Something may have woken a promise since the last yield. */
  stirred = false;
  #seq = 0;
  #yields = 0;
  readonly #heap: Item[] = [];

  /** After so many milliseconds, whoever is alive then. */
  later(ms: number, run: () => void): void {
    this.push(this.now + Math.max(0, ms), run, null, null);
  }

  push(
    at: number,
    run: () => void,
    of: Process | null,
    dueAt: number | null,
    token = { cancelled: false },
  ): Item {
    const life = of?.life ?? 0;
    // Whole milliseconds: what is left of one by rounding would be waited for without end.
    const item = { at: Math.ceil(at), seq: this.#seq++, run, of, life, dueAt, token };
    const heap = this.#heap;
    let child = heap.length;
    heap.push(item);
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!isBefore(item, heap[parent]!)) break;
      heap[child] = heap[parent]!;
      child = parent;
    }
    heap[child] = item;
    return item;
  }

  /** Runs on to a moment; `looked` is told of every event once its promises have settled. */
  async run(until: number, looked: (of: Process | null) => void, isOver: () => boolean) {
    for (;;) {
      const item = this.#heap[0];
      if (item === undefined || item.at > until || isOver()) break;
      this.#pop();
      if (item.token.cancelled) continue;
      this.now = Math.max(this.now, item.at);
      const { of } = item;
      if (of !== null && !of.takes(item)) continue;
      item.run();
      if (!this.stirred) continue;
      this.stirred = false;
      await (++this.#yields % MACRO_EVERY === 0 ? settled() : drained());
      looked(of);
    }
    this.now = Math.max(this.now, until);
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    const size = heap.length;
    if (size === 0) return;
    let parent = 0;
    for (;;) {
      let child = 2 * parent + 1;
      if (child >= size) break;
      if (child + 1 < size && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[parent] = heap[child]!;
      parent = child;
    }
    heap[parent] = last;
  }
}

function isBefore(a: Item, b: Item): boolean {
  return a.at !== b.at ? a.at < b.at : a.seq < b.seq;
}

/** Lets every promise settle: a tick comes only when no microtask is left (Node, process.nextTick). */
function drained(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

/** The same by a whole turn of the loop. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** One machine with one process on it. */
export class Process {
  readonly name: string;
  readonly timeline: Timeline;
  readonly chance: Chance;
  alive = false;
  life = 0;
  /** How far the machine's wall clock is off. */
  wallOffMs = 0;
  /** Of the monotonic clock, against true time, for whoever measures by `monotonic`. */
  speed = 1;
  #pausedUntil = 0;
  #timersFirst = true;
  /** Time during which the monotonic clock stood. */
  #sleptMs = 0;
  #held: Item[] = [];
  #base = 0;
  #origin = 0;

  constructor(name: string, timeline: Timeline, chance: Chance) {
    this.name = name;
    this.timeline = timeline;
    this.chance = chance;
  }

  get isPaused(): boolean {
    return this.#pausedUntil > this.timeline.now;
  }

  /** A new life, with a clock that carries on from the store's last commit (src/run/clock.ts). */
  boot(lastAt: number): void {
    this.alive = true;
    this.life++;
    this.#held = [];
    this.#pausedUntil = 0;
    this.#base = Math.max(lastAt, this.wall());
    this.#origin = this.#mono();
  }

  die(): void {
    this.alive = false;
    this.life++;
    this.#held = [];
  }

  /** Stands still from now on; asleep, the monotonic clock stands as well. */
  pause(ms: number, asleep: boolean): void {
    if (!this.alive || this.isPaused) return;
    this.#pausedUntil = this.timeline.now + ms;
    this.#timersFirst = this.chance.is(0.5);
    const { life } = this;
    this.timeline.later(ms, () => {
      if (life !== this.life) return;
      if (asleep) this.#sleptMs += ms;
      this.#resume();
    });
  }

  /** Whether an event of its own may happen now; what may not is kept, or forgotten. */
  takes(item: Item): boolean {
    if (!this.alive || item.life !== this.life) return false;
    if (this.isPaused) {
      this.#held.push(item);
      return false;
    }
    if (item.dueAt === null || this.#mono() >= item.dueAt) return true;
    this.#again(item, this.timeline.now + item.dueAt - this.#mono());
    return false;
  }

  /** What comes in from outside, such as a reply. */
  io(ms: number, run: () => void): void {
    const arrives = () => {
      this.timeline.stirred = true;
      run();
    };
    this.timeline.push(this.timeline.now + Math.max(0, ms), arrives, this, null);
  }

  /** Whether its own timers for this moment have gone off before what came in meanwhile. */
  isLate(dueAt: number): boolean {
    return this.#timersFirst && this.timeline.now > dueAt;
  }

  now(): number {
    return Math.floor(this.#base + this.#mono() - this.#origin);
  }

  wall(): number {
    return WALL_0 + this.timeline.now + this.wallOffMs;
  }

  /** Its monotonic clock, which may go at a speed of its own for whoever measures by it. */
  monotonic(): number {
    return this.#mono() * this.speed;
  }

  after(ms: number, then: () => void): () => void {
    const isBeat = ms === BEAT_MS;
    // Two of three beats say nothing that the third does not, and are most of all events.
    // Whole milliseconds: a rounding error must not make a timer wait for nothing.
    const waitMs = Math.ceil(Math.max(0, isBeat ? BEAT_MS + BEAT_LATE_MS : ms));
    const run = () => {
      if (!isBeat) this.timeline.stirred = true;
      then();
    };
    const at = this.timeline.now + waitMs;
    const { token } = this.timeline.push(at, run, this, this.#mono() + waitMs);
    return () => {
      token.cancelled = true;
    };
  }

  clock(): Clock {
    return {
      now: () => this.now(),
      wall: () => this.wall(),
      after: (ms, then) => this.after(ms, then),
    };
  }

  pauseFor(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, resolve);
    });
  }

  #mono(): number {
    return this.timeline.now - this.#sleptMs;
  }

  #resume(): void {
    this.#pausedUntil = 0;
    const held = this.#held;
    this.#held = [];
    const rank = (item: Item) => ((item.dueAt !== null) === this.#timersFirst ? 0 : 1);
    held.sort((a, b) => rank(a) - rank(b) || (isBefore(a, b) ? -1 : 1));
    for (const item of held) this.#again(item, this.timeline.now);
  }

  /** The same event once more; whoever cancels the first cancels this one. */
  #again(item: Item, at: number): void {
    if (!item.token.cancelled) this.timeline.push(at, item.run, this, item.dueAt, item.token);
  }
}
