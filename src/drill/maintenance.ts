// Which windows of maintenance are open. That follows from the configuration and the clock on the
// wall alone, so it is the same after a restart and on every replica; what it means is for the core
// to say.

import type { Config } from '../config/config.ts';
import { lookAt, type Window } from '../config/windows.ts';
import type { Clock } from '../ports.ts';

interface Open {
  readonly window: string;
  /** In engine time. */
  readonly untilAt: number;
}

interface Options {
  readonly config: () => Pick<Config, 'maintenance' | 'timezone'>;
  readonly clock: Clock;
  /** The wall clock that windows go by. */
  readonly wall: () => number;
  /** Told of all that is open, whole, whenever it has changed. */
  readonly tell: (open: {
    readonly origins: Readonly<Record<string, Open>>;
    readonly records: Readonly<Record<string, Open>>;
  }) => void;
}

interface Maintenance {
  /** Looks at once, and from then on. */
  start(): void;
  /** Another configuration is in force. */
  renew(): void;
  close(): void;
}

const LOOK_MS = 1_000;

export function createMaintenance({ config, clock, wall, tell }: Options): Maintenance {
  /** By its text, what a window is and when that has to be looked at again. */
  let known = new Map<string, ReturnType<typeof lookAt>>();
  let told = JSON.stringify({ origins: {}, records: {} });
  let cancel = () => {};
  let lookedWall = wall();

  function openOf(windows: readonly Window[], zone: string, now: number): Open | null {
    let open: { window: string; toWall: number } | null = null;
    for (const window of windows) {
      let seen = known.get(window.text);
      if (seen === undefined || now >= seen.changesWall) {
        seen = lookAt(window, zone, now);
        known.set(window.text, seen);
      }
      const { toWall = 0 } = seen.span ?? {};
      if (toWall > (open?.toWall ?? now)) open = { window: window.text, toWall };
    }
    return open && { window: open.window, untilAt: clock.now() + open.toWall - now };
  }

  function look(): void {
    const { maintenance, timezone } = config();
    const now = wall();
    // A jump back was believed: what was not due any more may be again.
    if (now < lookedWall) known = new Map();
    lookedWall = now;
    const all = (of: Readonly<Record<string, readonly Window[]>>) =>
      Object.fromEntries(
        Object.entries(of).flatMap(([name, windows]) => {
          const open = openOf(windows, timezone, now);
          return open === null ? [] : [[name, open] as const];
        }),
      );
    const open = { origins: all(maintenance.origins), records: all(maintenance.records) };
    const text = JSON.stringify(open, (key, value) => (key === 'untilAt' ? undefined : value));
    if (text !== told) tell(open);
    told = text;
  }

  function run(): void {
    look();
    cancel = clock.after(LOOK_MS, run);
  }

  return {
    start: run,
    renew() {
      known = new Map();
      look();
    },
    close: () => cancel(),
  };
}
