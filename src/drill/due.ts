// What is due by the schedule of drills, and what is overdue. Pure. A drill by the calendar is due
// from its time until the window is over, once; one by a period when that has gone by since the
// last. It must never call overdue what was not scheduled yet when it was due.

import type { Config } from '../config/config.ts';
import { momentsAround, type Schedule } from '../config/windows.ts';
import type { DrillDoc, DrillKind, Name } from '../core/model.ts';

interface Now {
  /** Engine time. */
  readonly at: number;
  /** The wall clock that schedules go by. */
  readonly wall: number;
}

/** One thing that is drilled, and by which schedule. */
interface Planned {
  readonly drill: DrillKind;
  readonly name: string;
  readonly schedule: Schedule;
}

type Plan = Pick<Config, 'drills' | 'timezone' | 'providers' | 'core'>;

/** The first drill by a period comes so long after it was scheduled. */
const SOON_MS = 60_000;

/**
 * All that is drilled by itself, the least first. `inForce`: the origins on which some record is;
 * on the others there is nothing to rehearse.
 */
export function planOf(
  { drills, providers, core }: Plan,
  inForce: ReadonlySet<string> | null,
): readonly Planned[] {
  const plan: Planned[] = [];
  const { canary, dry, live } = drills;
  if (canary !== null) {
    for (const [name, one] of Object.entries(providers)) {
      if (one.canary !== null) plan.push({ drill: 'canary', name, schedule: canary });
    }
  }
  if (dry !== null) {
    for (const name of inForce ?? Object.keys(core.origins)) {
      plan.push({ drill: 'dry', name, schedule: dry });
    }
  }
  for (const [name, { schedule }] of Object.entries(live)) {
    plan.push({ drill: 'live', name, schedule });
  }
  return plan;
}

/** Every name that a result may be of. */
export function namesOf({ providers, core }: Plan): Readonly<Record<DrillKind, readonly string[]>> {
  const canaries = Object.entries(providers).filter(([, { canary }]) => canary !== null);
  return {
    canary: canaries.map(([name]) => name),
    dry: Object.keys(core.origins),
    live: Object.keys(core.records) satisfies Name[],
  };
}

interface Standing {
  /** It is to be made now. */
  readonly due: boolean;
  /** When it should have been made and was not; null: it is not overdue. */
  readonly overdueAt: number | null;
  readonly nextAt: number;
}

/** How one drill stands, by its last result; all in engine time. */
export function standingOf(
  { schedule }: Pick<Planned, 'schedule'>,
  last: Pick<DrillDoc, 'at'> | undefined,
  sinceAt: number,
  { drills: { windowMs }, timezone }: Pick<Plan, 'drills' | 'timezone'>,
  now: Now,
): Standing {
  if (schedule.kind === 'every') {
    const nextAt = last === undefined ? sinceAt + SOON_MS : last.at + schedule.ms;
    const overdueAt = now.at > nextAt + windowMs ? nextAt : null;
    return { due: now.at >= nextAt, overdueAt, nextAt };
  }
  const at = (wall: number) => now.at + wall - now.wall;
  const { last: latest, next } = momentsAround(schedule, timezone, now.wall);
  const isMade = (dueAt: number) => dueAt < sinceAt || (last !== undefined && last.at >= dueAt);
  const { last: closed } = momentsAround(schedule, timezone, now.wall - windowMs);
  return {
    due: !isMade(at(latest)) && now.wall - latest <= windowMs,
    overdueAt: isMade(at(closed)) ? null : at(closed),
    nextAt: at(next),
  };
}
