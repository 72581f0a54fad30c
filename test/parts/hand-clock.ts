// A clock that a test moves by hand: time stands until it is told to go on, and then fires what falls
// due in order, each with all that comes of it at once. It never waits for the real one.

import type { Clock } from '../../src/ports.ts';

const WALL_0 = Date.UTC(2026, 0, 1);

/** Time stands until a test moves it. */
export class HandClock implements Clock {
  #now = WALL_0;
  #wall = WALL_0;
  #timers = new Set<{ readonly at: number; readonly then: () => void }>();

  now(): number {
    return this.#now;
  }

  wall(): number {
    return this.#wall;
  }

  after(ms: number, then: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, ms), then };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** Runs on, firing what falls due in order, each with all that comes of it at once. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      await settled();
      const due = [...this.#timers].filter((t) => t.at <= until).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers.delete(due);
      this.stall(Math.max(0, due.at - this.#now));
      due.then();
    }
    this.stall(until - this.#now);
  }

  /** Time passes and nothing of ours runs. */
  stall(ms: number): void {
    this.#now += ms;
    this.#wall += ms;
  }

  /** The machine slept: the monotonic clock stood as well. */
  sleep(ms: number): void {
    this.#wall += ms;
  }
}

/** Lets everything run that waits for nothing but its turn. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
