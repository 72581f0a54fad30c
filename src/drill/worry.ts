// Why no drill may be begun just now: something is the matter, or somebody holds something. It
// looks at the view alone. What it lets through may still be refused by what is asked next.

import type { StatusView } from '../core/view.ts';

/** Why a record stays where all is well with it. */
const well: ReadonlySet<string> = new Set([
  ...['target-up', 'failback-manual', 'failback-waiting', 'budget-kept', 'pinned'],
]);

/** One clause; null: nothing is in the way. */
export function worryOf(view: StatusView, kind: 'canary' | 'dry', name: string): string | null {
  if (!view.ready.ok) return view.ready.reasons[0] ?? 'it is not ready';
  if (view.group !== null && view.group.role !== 'acts') {
    const { acts } = view.group;
    return acts === null ? 'nobody acts' : `${acts} acts: ask for it there`;
  }
  if (view.freeze !== null) return `everything is frozen: ${view.freeze.reason}`;
  const [drain] = view.drains;
  if (drain !== undefined) return `${drain.what} is drained`;
  return worryOfSight(view) ?? worryOfRecords(view) ?? worryOfLanes(view, kind, name);
}

function worryOfSight({ origins, clouds, paths }: StatusView): string | null {
  const kept = origins.find((o) => o.maintenance !== null);
  if (kept !== undefined) return `${kept.name} is in maintenance`;
  const ill = origins.find((o) => o.health !== 'up');
  if (ill !== undefined) return `${ill.name} is ${ill.health}`;
  const struck = clouds.find((c) => c.diagnosis !== 'healthy');
  if (struck !== undefined) return `${struck.name}: ${struck.sentence}`;
  const blind = paths.find((p) => p.state === 'blind' || p.state === 'suspect');
  return blind === undefined ? null : `the path ${blind.name} is ${blind.state}`;
}

function worryOfRecords({ records }: StatusView): string | null {
  for (const { name, switching, freeze, maintenance, stay } of records) {
    if (switching) return `${name} is being switched`;
    if (freeze !== null) return `${name} is frozen: ${freeze.reason}`;
    if (maintenance !== null) return `${name} is in maintenance`;
    if (!well.has(stay.reason)) return `${name} stays: ${stay.sentence}`;
  }
  return null;
}

/** Of a canary its own lane, of a dry drill those where the records on the origin are published. */
function worryOfLanes(view: StatusView, kind: 'canary' | 'dry', name: string): string | null {
  const led = view.records.filter((r) => r.target === name);
  const wanted =
    kind === 'canary' ? [name] : led.flatMap((r) => r.providers.map((p) => p.provider));
  const lane = view.lanes.find((one) => wanted.includes(one.provider) && one.state !== 'ok');
  return lane === undefined ? null : `the lane to ${lane.provider} is ${lane.state}`;
}
