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

interface Coming {
  readonly window: string;
  /** In engine time. */
  readonly fromAt: number;
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
    /** Of origins, what opens within the hour. */
    readonly soon: Readonly<Record<string, Coming>>;
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
/** What opens within so long is told before. */
const SOON_MS = 3_600_000;

type Windows = Readonly<Record<string, readonly Window[]>>;
type Looked = ReturnType<typeof lookAt> & { readonly window: string };
/** A moment of the wall clock in engine time. */
type Engine = (wall: number) => number;

/** The one that stays open longest. */
const openOf =
  (engine: Engine) =>
  (all: readonly Looked[], now: number): Open | null => {
    const open = all.filter(({ span }) => (span?.toWall ?? 0) > now);
    const last = open.toSorted((a, b) => b.span!.toWall - a.span!.toWall)[0];
    return last === undefined ? null : { window: last.window, untilAt: engine(last.span!.toWall) };
  };

/** The next to open. */
const comingOf =
  (engine: Engine) =>
  (all: readonly Looked[], now: number): Coming | null => {
    const soon = all.filter((one) => one.span === null && one.changesWall - now <= SOON_MS);
    const next = soon.toSorted((a, b) => a.changesWall - b.changesWall)[0];
    return next === undefined ? null : { window: next.window, fromAt: engine(next.changesWall) };
  };

function each<T>(of: Windows, find: (windows: readonly Window[]) => T | null): Record<string, T> {
  const found = Object.entries(of).flatMap(([name, windows]) => {
    const one = find(windows);
    return one === null ? [] : [[name, one] as const];
  });
  return Object.fromEntries(found);
}

export function createMaintenance({ config, clock, wall, tell }: Options): Maintenance {
  /** By its text, what a window is and when that has to be looked at again. */
  let known = new Map<string, Looked>();
  let told = JSON.stringify({ origins: {}, records: {}, soon: {} });
  let cancel = () => {};
  let lookedWall = wall();

  function seenOf(window: Window, zone: string, now: number): Looked {
    let seen = known.get(window.text);
    if (seen === undefined || now >= seen.changesWall) {
      seen = { ...lookAt(window, zone, now), window: window.text };
      known.set(window.text, seen);
    }
    return seen;
  }

  function look(): void {
    const { maintenance, timezone } = config();
    const now = wall();
    // A jump back was believed: what was not due any more may be again.
    if (now < lookedWall) known = new Map();
    lookedWall = now;
    const { origins, records } = maintenance;
    const all = <T>(of: Windows, find: (seen: readonly Looked[], now: number) => T | null) =>
      each(of, (windows) =>
        find(
          windows.map((one) => seenOf(one, timezone, now)),
          now,
        ),
      );
    const engine = (moment: number) => clock.now() + moment - now;
    const open = { origins: all(origins, openOf(engine)), records: all(records, openOf(engine)) };
    const whole = { ...open, soon: all(origins, comingOf(engine)) };
    // Both are counted from now, and differ by a little each time.
    const isCounted = (key: string) => key === 'untilAt' || key === 'fromAt';
    const text = JSON.stringify(whole, (key, value) => (isCounted(key) ? undefined : value));
    if (text !== told) tell(whole);
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
