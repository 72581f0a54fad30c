// The marker: the one home of its label, of the first marker's id, of its text and of reading it. A
// text is read into a value or into nothing, and every value that is made can be read back: the
// bounds are the same both ways. It must never throw on a text, whoever wrote it.

import type { Marker, Name } from './model.ts';

/** The marker stands at this label below the record's own name. */
export const MARKER_LABEL = '_detour';

export function markerName(record: Name): Name {
  return `${MARKER_LABEL}.${record}`;
}

/** A claim of an epoch stands at this label below the record's own name. */
export const CLAIM_LABEL = '_detour-epoch';

/** Where the claims of a record's epochs stand, at a vendor that needs them. */
export function claimName(record: Name): Name {
  return `${CLAIM_LABEL}.${record}`;
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
  const m = MARKER.exec(text);
  if (m === null) return null;
  const [, cluster, epoch, id, term, kind, target, pin] = m;
  return {
    cluster: cluster!,
    epoch: Number(epoch),
    id: id!,
    term: Number(term),
    kind: kind as Marker['kind'],
    target: target!,
    pinned: pin !== 'none',
    untilWall: /^\d+$/.test(pin!) ? Number(pin) : null,
  };
}

/** The id in a record's first marker, a constant by design. */
export const FIRST_ID = 'first';
