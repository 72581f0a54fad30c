// The wall clock for what goes by the calendar, told so that a clock that jumps moves nothing.
// Between two looks the monotonic clock says how much time has gone by: where the wall clock says
// otherwise by more than a little, its old time is carried on until the new one has run evenly for
// a minute. It must never give a time before one it has given, unless a jump back was believed.

import type { Clock } from '../ports.ts';

/** What clocks that are kept in step move by between two looks. */
const DRIFT_MS = 2_000;
/** A clock that has jumped is believed after so long. */
const BELIEVED_MS = 60_000;

/** Milliseconds since 1970. To be asked at least every few minutes; O(1). */
export function createSteadyWall(clock: Pick<Clock, 'now' | 'wall'>): () => number {
  /** By how much the wall clock that is believed is before the monotonic one. */
  let ahead = clock.wall() - clock.now();
  let jumped: { readonly ahead: number; readonly at: number } | null = null;
  let last = Number.NEGATIVE_INFINITY;
  return () => {
    const now = clock.now();
    const seen = clock.wall() - now;
    if (Math.abs(seen - ahead) <= DRIFT_MS) {
      ahead = seen;
      jumped = null;
    } else if (jumped === null || Math.abs(seen - jumped.ahead) > DRIFT_MS) {
      jumped = { ahead: seen, at: now };
    } else if (now - jumped.at >= BELIEVED_MS) {
      ahead = seen;
      jumped = null;
      last = Number.NEGATIVE_INFINITY;
    }
    last = Math.max(last, now + ahead);
    return last;
  };
}
