// Time that has passed, the time while this machine slept included: what the right to act is
// counted on. The monotonic clock stands still while the machine is suspended; the wall clock and
// the uptime do not. It may run ahead, as where the wall clock is set, and must never fall behind.

import { uptime } from 'node:os';

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
 * Milliseconds that have passed since this was made, those in which the machine was suspended
 * included: the monotonic clock, and whatever the wall clock or the uptime has run ahead of it. A
 * wall clock that is set forward counts as time that has passed, one that is set back as none.
 * Never goes back.
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
