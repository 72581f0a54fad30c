// What those who only read may cost: a small share of the loop, taken in short slices, and a bounded
// number of long texts at a time. All that is made for a reader (a view, a text, the sending of it)
// is a generator that pauses after each small piece of work; it is carried on here, never in one go.
// What decides does not come through here and waits for none of it.

import type { ServerResponse } from 'node:http';

/** Work in pieces well under a millisecond; it may yield what a piece set going, in milliseconds. */
export type Work<T> = Generator<number | undefined, T, undefined>;

interface ReadersOptions {
  /** Milliseconds after which a slice ends with the piece under way. */
  readonly sliceMs?: number;
  /** Of the loop's time, what readers may have together: 0 to 1. Of a busy loop it is less. */
  readonly share?: number;
  /** Long texts that are made or taken by somebody at one time, of one kind. */
  readonly texts?: number;
  /** For how long a text is safe from giving way to the next, in milliseconds. */
  readonly patienceMs?: number;
  /** In milliseconds, from anywhere. */
  readonly now?: () => number;
  /** Processor time that this thread has had, in milliseconds. */
  readonly used?: () => number;
  /** The part of the loop's time in which it was not idle, since this was last asked: 0 to 1. */
  readonly busy?: () => number;
  readonly after?: (ms: number, then: () => void) => unknown;
}

interface Job {
  readonly work: Work<unknown>;
  readonly resolve: (made: unknown) => void;
  readonly reject: (error: unknown) => void;
}

function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

function busySince(): () => number {
  let last = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    return utilization;
  };
}

/** The part of their share that readers have when the loop is never idle. */
const shareLeast = 0.25;

/** One for each sort of readers: its bound is on all of that sort together. */
export class Readers {
  readonly #options: Required<ReadersOptions>;
  readonly #jobs: Job[] = [];
  #restUntil = 0;
  #isDue = false;

  constructor(options: ReadersOptions = {}) {
    this.#options = {
      sliceMs: 2,
      share: 0.25,
      texts: 4,
      patienceMs: 3000,
      now: () => performance.now(),
      used: threadMs,
      busy: busySince(),
      after: (ms, then) => (ms > 0 ? setTimeout(then, ms) : setImmediate(then)),
      ...options,
    };
  }

  /** Does it, a piece of each work in turn; what it throws rejects. */
  spend<T>(work: Work<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#jobs.push({ work, resolve: resolve as Job['resolve'], reject });
      this.#arm();
    });
  }

  #arm(): void {
    if (this.#isDue || this.#jobs.length === 0) return;
    this.#isDue = true;
    const { now, after } = this.#options;
    after(Math.max(0, this.#restUntil - now()), () => {
      this.#isDue = false;
      this.#slice();
      this.#arm();
    });
  }

  #slice(): void {
    const { now, used, busy, sliceMs, share } = this.#options;
    const [begin, usedBefore] = [now(), used()];
    let laterMs = 0;
    while (now() - begin + laterMs < sliceMs) {
      const job = this.#jobs.shift();
      if (job === undefined) break;
      try {
        const { done, value } = job.work.next();
        if (done) job.resolve(value);
        else {
          laterMs += value ?? 0;
          this.#jobs.push(job);
        }
      } catch (error) {
        job.reject(error);
      }
    }
    // What other processes took of this one meanwhile is not the readers' doing.
    const spentMs = used() - usedBefore + laterMs;
    // What decides goes first: the busier the loop is with it, the less is left for readers.
    const part = share * Math.max(shareLeast, 1 - busy());
    this.#restUntil = now() + laterMs + spentMs * (1 / part - 1);
  }

  /** A place for long texts of one door. */
  shelf(): Shelf {
    return new Shelf(this.#options);
  }
}

/**
 * Where long texts are held while they are made and taken, no more than `texts` at a time. For one
 * more the oldest gives way, when it has had its time; until then the one more waits.
 */
class Shelf {
  readonly #options: Required<ReadersOptions>;
  readonly #held = new Set<Holding>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: Required<ReadersOptions>) {
    this.#options = options;
  }

  /** A text for one; null when that one has gone before its turn. */
  async own<T>(taker: ServerResponse, make: () => Promise<T>): Promise<T | null> {
    const holding = await this.#place();
    holding.giveTo([taker]);
    return taker.destroyed ? null : make();
  }

  /** A text for all who ask for it before its making begins. */
  shared<T>(make: () => Promise<T>): (taker: ServerResponse) => Promise<T> {
    let takers: ServerResponse[] = [];
    let holding: Holding | null = null;
    const made = together(
      () => {
        holding?.giveTo(takers);
        takers = [];
        return make();
      },
      async () => {
        holding = await this.#place();
      },
    );
    return (taker) => {
      takers.push(taker);
      return made();
    };
  }

  /** Waits for its turn and for room. */
  #place(): Promise<Holding> {
    const placed = this.#last.then(async () => {
      await this.#room();
      const holding = new Holding(this.#options.now());
      this.#held.add(holding);
      void holding.ended.then(() => this.#held.delete(holding));
      return holding;
    });
    this.#last = placed;
    return placed;
  }

  async #room(): Promise<void> {
    const { texts, patienceMs, now, after } = this.#options;
    while (this.#held.size >= texts) {
      const [oldest] = this.#held;
      const leftMs = Math.max(0, oldest!.since + patienceMs - now());
      if (leftMs === 0) oldest!.cut();
      const patience = new Promise<void>((resolve) => void after(leftMs, resolve));
      await Promise.race([patience, ...[...this.#held].map((one) => one.ended)]);
    }
  }
}

/**
 * Makes one at a time, for all who asked before its making began: nobody gets what is older than the
 * question. Each making waits for the one before and for `ready`.
 */
export function together<T>(
  make: () => Promise<T>,
  ready: () => Promise<void> = async () => {},
): () => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  let next: Promise<T> | null = null;
  const begin = async (before: Promise<unknown>): Promise<T> => {
    await before;
    await ready();
    next = null;
    return make();
  };
  return () => {
    if (next === null) {
      next = begin(last);
      last = next.catch(() => undefined);
    }
    return next;
  };
}

/** One text: it ends when the last of its takers has it or is gone. */
class Holding {
  readonly since: number;
  readonly ended: Promise<void>;
  readonly #end: () => void;
  #takers: readonly ServerResponse[] = [];

  constructor(since: number) {
    this.since = since;
    const { promise, resolve } = Promise.withResolvers<void>();
    [this.ended, this.#end] = [promise, resolve];
  }

  giveTo(takers: readonly ServerResponse[]): void {
    this.#takers = takers;
    const gone = takers.map((taker) => {
      if (taker.closed || taker.destroyed) return null;
      return new Promise<void>((resolve) => void taker.once('close', resolve));
    });
    void Promise.all(gone).then(this.#end);
  }

  cut(): void {
    for (const taker of this.#takers) taker.destroy();
  }
}
