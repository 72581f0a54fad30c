// The marker: the one home of its label, of the claim's label, of the first marker's id, of its text
// and of reading it. A text is read into a value or into nothing, and every value that is made can be
// read back: the bounds are the same both ways. It must never throw on a text, whoever wrote it.

import type { Marker, Name } from './model.ts';

/** The marker stands at this label below the record's own name. */
export const MARKER_LABEL = '_detour';

export function markerName(record: Name): Name {
  return `${MARKER_LABEL}.${record}`;
}

/** A claim of an epoch stands at this label below the record's own name. */
const CLAIM_LABEL = '_detour-epoch';

/** Where the claims of a record's epochs stand, at a vendor that needs them. */
export function claimName(record: Name): Name {
  return `${CLAIM_LABEL}.${record}`;
}

/** Whether a name is one of those below which only markers stand. */
export function isMarkerName(name: Name): boolean {
  return name.startsWith(markerName(''));
}

/** Characters of a record's name, without its last dot: its marker's name fits into 253 as well. */
export const RECORD_NAME_MAX = 253 - markerName('').length;

/** The id in a record's first marker, a constant by design. */
export const FIRST_ID = 'first';

/**
 * The highest number that a marker bears: its epoch, its term, and the end of its pin in wall-clock
 * milliseconds. Far below what a double holds exactly, so that what comes after one can be told.
 */
export const MARKER_NUMBER_MAX = 2 ** 48;

/** The epoch after this one; null where no marker may bear it. */
export function nextEpoch(after: number): number | null {
  return after < MARKER_NUMBER_MAX ? after + 1 : null;
}

/** A number as a marker may bear it: whole, not below 0, and at most `MARKER_NUMBER_MAX`. */
export function markerNumber(n: number): number {
  return Number.isFinite(n) ? Math.min(MARKER_NUMBER_MAX, Math.max(0, Math.round(n))) : 0;
}

/**
 * `detour=1 cluster=shop epoch=7 id=9f2c… term=1 kind=auto target=tokyo pin=none`: words and
 * digits only, so that no vendor's quoting can change it. At most 200 bytes by the limits that
 * the configuration puts on cluster and origin names.
 */
export function formatMarker(m: Marker): string {
  const pin = !m.pinned ? 'none' : m.untilWall === null ? 'unlimited' : String(m.untilWall);
  return (
    `detour=1 cluster=${m.cluster} epoch=${m.epoch} id=${m.id} term=${m.term} ` +
    `kind=${m.kind} target=${m.target} pin=${pin}`
  );
}

// Each marker has one text: numbers have no leading zero.
const MARKER =
  /^detour=1 cluster=([a-z0-9-]{1,63}) epoch=(0|[1-9]\d{0,14}) id=([a-z0-9]{1,32}) term=(0|[1-9]\d{0,14}) kind=(auto|operator) target=([a-z0-9-]{1,63}) pin=(none|unlimited|0|[1-9]\d{0,14})$/;

/** The marker a text says, or null when it is no marker of Detour's. */
export function parseMarker(text: string): Marker | null {
  const [, cluster, epochs, id, terms, kind, target, pin] = MARKER.exec(text) ?? [];
  if (cluster === undefined || id === undefined || target === undefined) return null;
  const [epoch, term] = [Number(epochs), Number(terms)];
  const untilWall = pin === 'none' || pin === 'unlimited' ? null : Number(pin);
  if (Math.max(epoch, term, untilWall ?? 0) > MARKER_NUMBER_MAX) return null;
  return {
    cluster,
    epoch,
    id,
    term,
    kind: kind === 'operator' ? 'operator' : 'auto',
    target,
    pinned: pin !== 'none',
    untilWall,
  };
}
