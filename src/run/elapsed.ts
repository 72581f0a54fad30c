// Time that has passed, the time while this machine slept included: what the right to act is counted
// on. The monotonic clock stands still while the machine is suspended; the wall clock and the uptime
// do not. It may run ahead, as where the wall clock is set, and must never fall behind.

import { uptime } from 'node:os';

/** A jump of the wall clock against the monotonic one that is more than slewing. */
const WALL_MS = 100;
/** The uptime is known in whole seconds. */
const UPTIME_MS = 1_500;

interface Clocks {
  /** Milliseconds each. */
  readonly monotonic: () => number;
  readonly wall: () => number;
  readonly uptime: () => number;
}

const real: Clocks = {
  monotonic: () => performance.now(),
  wall: () => Date.now(),
  uptime: () => uptime() * 1000,
};

/** Milliseconds since some moment. What one clock alone has seen counts; what two have counts twice. */
export function createElapsed(clocks: Clocks = real): () => number {
  const gapOf = (clock: () => number) => clock() - clocks.monotonic();
  let wallGap = gapOf(clocks.wall);
  let uptimeGap = gapOf(clocks.uptime);
  let sleptMs = 0;
  return () => {
    const wall = gapOf(clocks.wall);
    if (wall - wallGap > WALL_MS) sleptMs += wall - wallGap;
    wallGap = wall;
    const up = gapOf(clocks.uptime);
    if (up - uptimeGap > UPTIME_MS) {
      sleptMs += up - uptimeGap;
      uptimeGap = up;
    }
    return clocks.monotonic() + sleptMs;
  };
}
