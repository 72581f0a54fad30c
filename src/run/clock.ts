// The one place that reads time. Engine time starts at the wall clock, or at the store's last commit
// when the wall clock is behind it, and then runs on the monotonic clock: it never goes back and
// never jumps with the wall clock, so that pins and budgets count as unexpired (design, rule 12).

import { uptime } from 'node:os';
import type { Clock } from '../ports.ts';

/** A clock that carries on from the engine time of the last commit (0 for a new store). */
export function createClock(lastAt: number): Clock {
  const base = Math.max(lastAt, Date.now());
  const origin = performance.now();
  return {
    now: () => Math.floor(base + performance.now() - origin),
    wall: () => Date.now(),
    after: (ms, then) => {
      // Node fires anything above this at once; the loop asks again when it wakes.
      const timer = setTimeout(then, Math.min(Math.max(0, ms), 2_147_483_647));
      return () => clearTimeout(timer);
    },
  };
}

/** Clocks of this machine, each in milliseconds from some moment of its own. */
interface Clocks {
  /** Stands while the machine is suspended. */
  readonly monotonic: () => number;
  /** Is set by people and programs, forwards and back. */
  readonly wall: () => number;
  /** Since the machine was started, those included in which it was suspended; in coarse steps. */
  readonly uptime: () => number;
}

const machine: Clocks = {
  monotonic: () => performance.now(),
  wall: () => Date.now(),
  uptime: () => uptime() * 1000,
};

/** What two clocks may differ by between two looks without one of them having stood. */
const APART_MS = 50;

/**
 * Milliseconds that have passed since this was made, those in which the machine was suspended included:
 * the monotonic clock, and whatever the wall clock or the uptime has run ahead of it. A wall clock that
 * is set forward counts as time that has passed, one that is set back as none. Never goes back.
 */
export function createElapsed(clocks: Clocks = machine): () => number {
  const start = clocks.monotonic();
  let ahead = 0;
  let wall = clocks.wall() - start;
  let up = clocks.uptime() - start;
  return () => {
    const now = clocks.monotonic();
    const [wallNow, upNow] = [clocks.wall() - now, clocks.uptime() - now];
    const jumpedMs = Math.max(wallNow - wall, upNow - up);
    if (jumpedMs > APART_MS) {
      ahead += jumpedMs;
      wall = wallNow;
      up = upNow;
    }
    // From where it was set back to it runs on.
    wall = Math.min(wall, wallNow);
    return now - start + ahead;
  };
}
