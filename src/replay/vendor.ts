// A made-up vendor: what stands there for each record, and a write that is made only if what was
// read still stands, CNAME and marker together, as the strictest of the real ones do. The worlds of
// `simulate` and of the scenarios are built on it, and it passes the providers' conformance suite.
// It knows no time and no trouble: what becomes of a call is the world's to say. It never throws.

import { formatMarker } from '../core/marker.ts';
import type { Answer, Change, Fault, Mark, Name, Refusal, Seen } from '../core/model.ts';

/** What stands at a record's name and at its marker's name. */
export interface Held {
  cname: { readonly value: Name; readonly ttl: number } | null;
  markers: string[];
  /** What else stands there and forbids a write. */
  refusal?: Refusal | null;
  /** Marks of other tools. */
  company?: readonly Mark[];
}

export function seenOf(held: Held | undefined): Seen {
  return {
    cnames: held?.cname ? [{ ...held.cname }] : [],
    markers: [...(held?.markers ?? [])],
    refusal: held?.refusal ?? null,
    ...(held?.company === undefined ? {} : { company: held.company }),
    ref: null,
  };
}

/** Makes a change, or says why not; what stood there is replaced, never changed in place. */
export function writeTo(records: Map<Name, Held>, change: Change): Answer<null> {
  const { name, from, to } = change;
  const now = seenOf(records.get(name));
  if (JSON.stringify(now) !== JSON.stringify(from)) {
    return ofRecord({ kind: 'conflict', detail: 'it no longer stands there' });
  }
  if (now.refusal !== null) return ofRecord({ kind: 'rejected', detail: now.refusal.sentence });
  const { cname, ttl, marker } = to;
  records.set(name, { cname: { value: cname, ttl }, markers: [formatMarker(marker)] });
  return { kind: 'answered', value: null };
}

type Failed = Extract<Answer<never>, { readonly kind: 'fault' }>;

export function ofRecord(fault: Fault): Failed {
  return { kind: 'fault', fault, reach: { kind: 'record' } };
}

export function ofAccount(fault: Fault): Failed {
  return { kind: 'fault', fault, reach: { kind: 'account' } };
}
