// What was tried and what was not: checks that have never been red, drills that are overdue or have
// failed. Of these only the daemon knows; without it nothing is said. Nothing is asked of anybody.

import type { StatusView } from '../core/view.ts';
import type { Place, Run } from './run.ts';

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

/** The drills as the daemon shows them. */
interface DrillsShown {
  /** The last of each kind of each thing: of a canary a provider, of a live one a record. */
  readonly last: readonly (Drilled & { readonly result: string; readonly sentence: string })[];
  readonly overdue: readonly (Drilled & { readonly why: string })[];
}

interface Drilled {
  readonly drill: string;
  readonly name: string;
}

/** A daemon that keeps no drills says nothing of them. */
export function lookAtDrills(run: Run): void {
  const shown = drillsOf(run.before.status ?? null);
  if (shown === null) return;
  for (const { drill, name, result, sentence } of shown.last) {
    const at = placeOf(drill, name);
    const cure = `mend that, then detour drill ${drill}`;
    const what = `the last ${drill} drill of ${name}`;
    if (result === 'failed') run.bad(at, 'drill', `${what} failed: ${sentence}`, cure);
    else if (result === 'passed') run.good(at, 'drill', `${what} passed`);
    else run.warn(at, 'drill', `${what} was broken off: ${sentence}`, cure);
  }
  for (const { drill, name, why } of shown.overdue) {
    const reason = why === '' ? '' : `: ${why}`;
    const sentence = `the ${drill} drill of ${name} is overdue${reason}`;
    run.warn(placeOf(drill, name), 'drill', sentence, `detour drill ${drill}`);
  }
}

function placeOf(drill: string, name: string): Place {
  return drill === 'canary' ? { provider: name } : drill === 'live' ? { record: name } : {};
}

function drillsOf(status: (StatusView & { readonly drills?: unknown }) | null) {
  const drills = status?.drills as DrillsShown | undefined;
  return Array.isArray(drills?.last) && Array.isArray(drills.overdue) ? drills : null;
}
