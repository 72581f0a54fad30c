// A made-up vendor: what stands there for each record, and a write that is made only if what was
// read still stands, CNAME and marker together, as the strictest of the real ones do. The worlds of
// `simulate` and of the scenarios are built on it, and it passes the providers' conformance suite.
// It knows no time and no trouble: what becomes of a call is the world's to say. It never throws.

import { formatMarker } from '../core/marker.ts';
import type { Answer, Change, Fault, Mark, Name, Refusal, Seen } from '../core/model.ts';

/** What stands at a record's name and at its marker's name. */
export interface Held {
  cname: { readonly value: Name; readonly ttl: number } | null;
  /** On which lines beside the default one it stands as well, where it does on any. */
  lines?: readonly string[];
  markers: string[];
  /** What else stands there and forbids a write. */
  refusal?: Refusal | null;
  /** Marks of other tools. */
  company?: readonly Mark[];
}

export function seenOf(held: Held | undefined): Seen {
  const { cname = null, lines = [] } = held ?? {};
  return {
    cnames: cname === null ? [] : [{ ...cname }, ...lines.map((line) => ({ ...cname, line }))],
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
  const held = { cname: { value: cname, ttl }, markers: [formatMarker(marker)] };
  records.set(name, { ...held, ...othersOf(to.lines) });
  return { kind: 'answered', value: null };
}

/** Of the lines of a record those beside the default one. */
export function othersOf(lines: readonly string[] | undefined): Pick<Held, 'lines'> {
  return lines === undefined ? {} : { lines: lines.slice(1) };
}

type Failed = Extract<Answer<never>, { readonly kind: 'fault' }>;

export function ofRecord(fault: Fault): Failed {
  return { kind: 'fault', fault, reach: { kind: 'record' } };
}

export function ofAccount(fault: Fault): Failed {
  return { kind: 'fault', fault, reach: { kind: 'account' } };
}
