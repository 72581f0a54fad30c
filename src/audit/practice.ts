// What was tried and what was not: checks that have never been red, drills that are overdue or have
// failed. Of these only the daemon knows; without it nothing is said. Nothing is asked of anybody.

import type { StatusView } from '../core/view.ts';
import type { Run } from './run.ts';

export function lookAtChecks(run: Run): void {
  const { status } = run.before;
  const red = new Map<string, boolean>();
  for (const { checks } of status?.origins ?? []) {
    for (const { id, everFailed } of checks) red.set(id, (red.get(id) ?? false) || everFailed);
  }
  let count = 0;
  for (const [id, was] of red) {
    if (was) {
      count += 1;
      continue;
    }
    const sentence = `${id} has never been red: nobody knows that it can be`;
    run.warn({}, 'never-red', sentence, 'break its origin on purpose once (detour drill)');
  }
  if (count > 0 && count === red.size) {
    run.good({}, 'never-red', `each of ${count} checks has been red: they can fail`);
  }
}

/** How the drills of a record or of a vendor stand, as the daemon keeps them. */
interface DrillStanding {
  /** `canary`, `dry`, `live`. */
  readonly kind: string;
  readonly record?: string | null;
  readonly provider?: string | null;
  readonly overdue: boolean;
  /** Of the last one; null: there was none. */
  readonly result?: string | null;
}

/** A daemon that keeps no drills says nothing of them. */
export function lookAtDrills(run: Run): void {
  for (const one of drillsOf(run.before.status ?? null)) {
    const { kind, record, provider, overdue, result = null } = one;
    const place = {
      ...(typeof record === 'string' ? { record } : {}),
      ...(typeof provider === 'string' ? { provider } : {}),
    };
    const cure = `detour drill ${kind}, and look at what it says`;
    if (result === 'failed') run.bad(place, 'drill', `the last ${kind} drill failed`, cure);
    else if (overdue) run.warn(place, 'drill', `the ${kind} drill is overdue`, cure);
    else if (result === 'passed') run.good(place, 'drill', `the last ${kind} drill passed`);
  }
}

function drillsOf(status: (StatusView & { readonly drills?: unknown }) | null) {
  const drills: unknown = status?.drills;
  return Array.isArray(drills) ? (drills as readonly DrillStanding[]) : [];
}
