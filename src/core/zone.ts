// Zones in trouble at one lane. A provider says of a fault that it is one zone's; then that zone's
// records wait here, in a rest of their own, and the lane goes on with all others as if they were
// not there. A zone is tried by calls that carry nothing else, so that one which hangs takes nobody
// along. Nothing here sends a call or looks at another lane.

import type { Fault, Name } from './model.ts';
import { isWithin } from './name.ts';
import { layToRest } from './pace.ts';
import {
  type Cell,
  type Lane,
  note,
  type Queue,
  type RecordState,
  type SickZone,
  type State,
  type Step,
} from './state.ts';
import { clearAll } from './timers.ts';

/** Where a record at a lane waits for its turn. */
export function queueOf(lane: Lane, cell: Cell): Queue {
  return (cell.zone === null ? undefined : lane.zones.get(cell.zone)) ?? lane;
}

/** Puts a record into its queue, or makes it urgent there. */
export function enqueue(state: State, r: RecordState, cell: Cell, urgent: boolean): void {
  const queue = queueOf(state.lanes.get(cell.provider)!, cell);
  state.stirred.add(cell.provider);
  if (cell.queued === 'urgent' || (cell.queued === 'routine' && !urgent)) return;
  queue.routine.delete(r.name);
  cell.queued = urgent ? 'urgent' : 'routine';
  queue[cell.queued].add(r.name);
}

export function dequeue(lane: Lane, name: Name, cell: Cell): void {
  if (cell.queued === null) return;
  queueOf(lane, cell)[cell.queued].delete(name);
  cell.queued = null;
}

/** A record is no longer to be brought into step at a provider: nothing of it waits or wakes. */
export function letGo(state: State, name: Name, cell: Cell): void {
  clearAll(state.timers, cell.deadlines);
  const lane = state.lanes.get(cell.provider);
  if (lane !== undefined) dequeue(lane, name, cell);
}

/** Whether a switch under way waits for this lane, in whatever zone. */
export function isUrgent(lane: Lane): boolean {
  if (lane.urgent.size > 0) return true;
  for (const zone of lane.zones.values()) if (zone.urgent.size > 0) return true;
  return false;
}

/** When a zone may be tried again. */
export function zoneDueAt(zone: SickZone): number {
  if (zone.urgent.size > 0) return zone.urgentAt;
  return zone.routine.size > 0 ? zone.retryAt : Number.POSITIVE_INFINITY;
}

/** A record is in this zone: what of it waits moves there, if the zone is in trouble. */
export function placeIn(lane: Lane, name: Name, cell: Cell, zone: Name): void {
  const { queued } = cell;
  if (queued !== null) queueOf(lane, cell)[queued].delete(name);
  cell.zone = zone;
  if (queued !== null) queueOf(lane, cell)[queued].add(name);
}

/** A zone has failed: from here on its records wait apart, those in the lane's queue too. */
export function sicken(state: State, lane: Lane, name: Name, fault: Fault, out: Step): void {
  if (lane.zones.has(name)) return;
  const sick: SickZone = {
    zone: name,
    fault,
    sinceAt: state.now,
    writing: false,
    urgent: new Set(),
    routine: new Set(),
    failures: 0,
    retryAt: 0,
    urgentAt: 0,
  };
  for (const queued of ['urgent', 'routine'] as const) {
    for (const record of lane[queued]) {
      if (state.records.get(record)?.cells.get(lane.provider)?.zone !== name) continue;
      lane[queued].delete(record);
      sick[queued].add(record);
    }
  }
  lane.zones.set(name, sick);
  const sentence = `zone ${name} at ${lane.provider}: ${fault.kind}: ${fault.detail}`;
  note(out, 'zone', null, sentence, { provider: lane.provider, zone: name, fault: fault.kind });
}

/** One more try of a zone has come to nothing. Where none can be read, all rest as long as this. */
export function zoneFailed(
  state: State,
  lane: Lane,
  name: Name,
  fault: Fault,
  call: { readonly kind: 'read' | 'write'; readonly startedAt: number },
): void {
  const zone = lane.zones.get(name)!;
  zone.fault = fault;
  zone.writing = call.kind === 'write';
  const timeoutMs = state.config.lanes[lane.provider]!.callTimeoutMs;
  const urgent = zone.urgent.size > 0;
  layToRest(state, zone, fault, { startedAt: call.startedAt, timeoutMs, urgent });
  // The next to be tried is the one that was tried longest ago.
  lane.zones.delete(name);
  lane.zones.set(name, zone);
}

/** A zone works again: its records wait with all others. */
export function zoneWorks(lane: Lane, zone: SickZone, out: Step): void {
  lane.zones.delete(zone.zone);
  for (const name of zone.urgent) lane.urgent.add(name);
  for (const name of zone.routine) lane.routine.add(name);
  const sentence = `zone ${zone.zone} at ${lane.provider}: works again`;
  note(out, 'zone', null, sentence, { provider: lane.provider, zone: zone.zone, fault: null });
}

/**
 * Why no record here can be read, where the same is the matter with every zone there is; else null.
 * Only then is anything said of the account: a key that opens one zone is no refused key.
 */
export function faultOfAll(state: State, lane: Lane): Fault | null {
  const [first, ...rest] = lane.zones.values();
  if (first === undefined || first.writing) return null;
  if (rest.some((zone) => zone.writing || zone.fault.kind !== first.fault.kind)) return null;
  for (const r of state.records.values()) {
    const cell = r.cells.get(lane.provider);
    if (cell !== undefined && !waitsForZone(lane, r.name, cell)) return null;
  }
  return first.fault;
}

/** By what its provider said of it, or, where it has said nothing since, by its name. */
function waitsForZone(lane: Lane, name: Name, cell: Cell): boolean {
  if (cell.zone !== null) return lane.zones.has(cell.zone);
  for (const zone of lane.zones.values()) {
    if (isWithin(name, zone.zone) && cell.answeredAt < zone.sinceAt) return true;
  }
  return false;
}

/** All zones rest until the one that failed last may be tried again, or longer if they must. */
export function shareRest(lane: Lane): void {
  const zones = [...lane.zones.values()];
  const failures = Math.max(...zones.map((zone) => zone.failures));
  const last = zones.at(-1)!;
  for (const zone of zones) {
    zone.failures = failures;
    zone.retryAt = Math.max(zone.retryAt, last.retryAt);
    zone.urgentAt = Math.max(zone.urgentAt, last.urgentAt);
  }
}

/** The lane works: whatever was wrong may have been wrong with all of it. */
export function endRests(lane: Lane): void {
  for (const zone of lane.zones.values()) {
    // What a vendor asked for is kept all the same.
    if (zone.fault.retryAfterMs !== undefined) continue;
    // One that was silent may be so again: it goes at once, too, but takes nobody along.
    zone.failures = zone.fault.kind === 'unavailable' ? 1 : 0;
    zone.retryAt = 0;
    zone.urgentAt = 0;
  }
}
