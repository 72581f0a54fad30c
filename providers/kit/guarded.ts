// A change at a vendor that has no compare-and-set: what stands is read just before and just after,
// so that another writer is noticed, though not prevented. It must never call a change made that was
// not read back, and never send one against something else than was read.

import { formatMarker } from '../../src/core/marker.ts';
import type { Change, Seen } from '../../src/core/model.ts';
import { toName } from '../../src/kit/schema.ts';
import { type Called, done, failed, fault, type Trouble } from './fault.ts';

/** Whether the CNAME is what is wanted: the one value, under the one TTL, on each line. */
export function isCname(seen: Seen, { cname, ttl, lines = [''] }: Change['to']): boolean {
  const { cnames } = seen;
  const isEach = cnames.length === lines.length && !isTwice(seen);
  return isEach && cnames.every((c) => c.value === cname && c.ttl === ttl);
}

/** Whether more than one CNAME stands on one line. */
function isTwice({ cnames }: Seen): boolean {
  return new Set(cnames.map(({ line }) => line)).size < cnames.length;
}

/**
 * Whether a change leaves the marker for later: it may, and nothing has to be made for it. What was
 * just made may be missing from what others read, so that such a change is brought to its end.
 */
export function leavesMarker({ from, to, settle }: Change): boolean {
  const isThere = from.markers.length === 1 && from.cnames.length === (to.lines ?? ['']).length;
  return settle === 'later' && isThere;
}

/** Whether a change brings to its end what was moved before: its marker alone is behind. */
export function isSettling({ from, to }: Change): boolean {
  return from.markers.length === 1 && isCname(from, to);
}

/** Whether CNAME and marker both are what is wanted. */
export function isWritten(seen: Seen, to: Change['to']): boolean {
  const { markers } = seen;
  return isCname(seen, to) && markers.length === 1 && markers[0] === formatMarker(to.marker);
}

/** Whether what a change is to do now stands; what it leaves for later need not. */
function isMade(seen: Seen, change: Change): boolean {
  const { from, to } = change;
  if (!leavesMarker(change)) return isWritten(seen, to);
  return isWritten(seen, to) || (isCname(seen, to) && hasSameMarkers(seen, from));
}

/** Whether two readings saw the same values, in whatever order. */
export function isSame(a: Seen, b: Seen): boolean {
  const plain = ({ cnames }: Seen) =>
    JSON.stringify(cnames.map((c) => JSON.stringify([c.value, c.ttl, c.line])).sort());
  return plain(a) === plain(b) && hasSameMarkers(a, b);
}

function hasSameMarkers(a: Seen, b: Seen): boolean {
  return JSON.stringify([...a.markers].sort()) === JSON.stringify([...b.markers].sort());
}

/** What stands, for a fault: values that are names, and how many markers. */
export function printSeen({ cnames, markers }: Seen): string {
  const values = cnames.map((c) => `${toName(c.value) ?? 'an odd name'} (TTL ${c.ttl})`);
  return `now ${values.join(' and ') || 'nothing'}, ${markers.length} marker(s)`;
}

/** The trouble of what came after something was written: whether all of it stands is not known. */
export function halfway(trouble: Trouble, what: string): { readonly ok: false } & Trouble {
  const { detail, ...rest } = trouble.fault;
  const unsure = fault('uncertain', `${what}: ${detail}`, rest);
  return { ok: false, ...trouble, fault: unsure };
}

/**
 * Makes one change: `see` reads what stands, `apply` writes against it. Before: `www CNAME a.`, as it
 * was read. Input: to b. After: `www CNAME b.`, and read back; or a conflict, and nothing sent; or
 * `uncertain`, where what was sent is not what stands. `look` reads what was written, where that is
 * not read as it was before.
 */
export async function guarded<S extends Seen>(
  change: Change,
  how: {
    see(): Promise<Called<S>>;
    apply(now: S): Promise<Called<null>>;
    look?(): Promise<Called<Seen>>;
  },
): Promise<Called<null>> {
  const { name, from } = change;
  const { see, apply, look = see } = how;
  if (from.refusal !== null) return failed('record', 'rejected', from.refusal.sentence);
  if (isTwice(from) || from.markers.length > 1) {
    const detail = `more than one value stands at ${name} or its marker`;
    return failed('record', 'rejected', detail, { cure: 'leave exactly one of each' });
  }
  const before = await see();
  if (!before.ok) return before;
  const now = before.value;
  if (isMade(now, change)) return done(null);
  if (now.refusal !== null || !isSame(now, from)) {
    return failed('record', 'conflict', `${name} is no longer what was read: ${printSeen(now)}`);
  }
  const applied = await apply(now);
  if (!applied.ok) return applied;
  const after = await look();
  if (!after.ok) return halfway(after, 'written, then not read back');
  if (isMade(after.value, change)) return done(null);
  return isSame(after.value, from)
    ? failed(
        'record',
        'uncertain',
        `${name}: the change was taken, and the old value is still given`,
      )
    : failed(
        'record',
        'conflict',
        `${name} was changed during the write: ${printSeen(after.value)}`,
      );
}
