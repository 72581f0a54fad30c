// The one place that reads time. Engine time starts at the wall clock, or at the store's last commit
// when the wall clock is behind it, and then runs on the monotonic clock: it never goes back and
// never jumps with the wall clock, so that pins and budgets count as unexpired (design, rule 12).

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
