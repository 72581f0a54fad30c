// The marker: the one home of its label, of the claim's label, of the first marker's id, of its text
// and of reading it; and so of the marker of a delegation. A text is read into a value or into
// nothing, and every value that is made can be read back: the bounds are the same both ways. It must
// never throw on a text, whoever wrote it.

import type { Marker, MarkerKind, Name } from './model.ts';

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

/** Bytes of a text that may be a marker: what a later version adds has room, and no more. */
const TEXT_MAX = 1_000;

/**
 * The highest number that a marker bears: its epoch, its term, and the length of its pin in
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
 * How far above the highest epoch we know a marker may stand that nothing proves (design, rule 25).
 * More is nobody's switching: such a marker would only use epochs up.
 */
export const EPOCH_LEAP_MAX = 1_000_000;

/**
 * `detour=1 cluster=shop epoch=7 id=9f2c… term=1 kind=auto target=tokyo pin=none mac=…`: words and
 * digits only, so that no vendor's quoting can change it. At most 255 bytes, one string of a TXT
 * record (RFC 1035, section 3.3), by the limits that the configuration puts on cluster and origin
 * names. `pin` is a length in milliseconds.
 */
export function formatMarker(m: Marker): string {
  const mac = m.mac === undefined ? '' : ` mac=${m.mac}`;
  return (
    `detour=1 cluster=${m.cluster} epoch=${m.epoch} id=${m.id} term=${m.term} ` +
    `kind=${m.kind} target=${m.target} pin=${pinOf(m)}${mac}`
  );
}

function pinOf(m: Marker): string {
  return !m.pinned ? 'none' : m.pinMs === null ? 'unlimited' : String(m.pinMs);
}

/**
 * What a marker's signature is made over: a word for its purpose and each field with its length, so
 * that no two markers have the same (design, rule 25). `cname` is what its target leads to.
 */
export function signatureInput(record: Name, cname: Name, m: Marker): string {
  const { cluster, epoch, id, term, kind, target } = m;
  const fields = [cluster, record, epoch, id, term, kind, target, cname, pinOf(m)].map(String);
  return ['detour-marker-1', ...fields].map((field) => `${field.length}:${field}`).join('');
}

/** The same marker, whatever signs it. */
export function isSameMarker(a: Marker, b: Marker): boolean {
  const fields = (m: Marker) => [m.cluster, m.epoch, m.id, m.term, m.kind, m.target, pinOf(m)];
  return fields(a).join(' ') === fields(b).join(' ');
}

/**
 * Which of two markers is in force (design, rule 14): the higher epoch; of one epoch the operator's,
 * then the higher term, then the greater id. Above 0: `a` wins; 0: they are one. First markers share
 * an id: of two, what they stand for tells them apart.
 */
export function compareMarkers(a: Marker, b: Marker): number {
  const kinds = { auto: 0, operator: 1 } satisfies Record<MarkerKind, number>;
  const byText = (x: string, y: string) => (x === y ? 0 : x > y ? 1 : -1);
  return (
    a.epoch - b.epoch ||
    kinds[a.kind] - kinds[b.kind] ||
    a.term - b.term ||
    byText(a.id, b.id) ||
    byText(a.target, b.target)
  );
}

// Each value has one text: numbers have no leading zero.
const NUMBER = /^(?:0|[1-9]\d{0,14})$/;
const shapes = {
  cluster: /^[a-z0-9-]{1,63}$/,
  epoch: NUMBER,
  id: /^[a-z0-9]{1,32}$/,
  term: NUMBER,
  kind: /^(?:auto|operator)$/,
  target: /^[a-z0-9-]{1,63}$/,
  pin: /^(?:none|unlimited|0|[1-9]\d{0,14})$/,
} as const;
const MAC = /^[A-Za-z0-9_-]{22}$/;

/** Of a version whose markers this one cannot read: its number makes it so, not words more. */
export function isLaterMarker(text: string): boolean {
  return /^detour=(?!1 )[1-9]\d{0,8} /.test(text);
}

/**
 * The marker a text says, or null when it is no marker of Detour's. Words of a later version are
 * skipped; none may stand twice.
 */
export function parseMarker(text: string): Marker | null {
  const said = wordsOf(text, 'detour=1', shapes);
  if (said === null) return null;
  const mac = said.get('mac');
  if (mac !== undefined && !MAC.test(mac)) return null;
  const pin = said.get('pin')!;
  const pinMs = pin === 'none' || pin === 'unlimited' ? null : Number(pin);
  const [epoch, term] = [Number(said.get('epoch')), Number(said.get('term'))];
  if (Math.max(epoch, term, pinMs ?? 0) > MARKER_NUMBER_MAX) return null;
  return {
    cluster: said.get('cluster')!,
    epoch,
    id: said.get('id')!,
    term,
    kind: said.get('kind') === 'operator' ? 'operator' : 'auto',
    target: said.get('target')!,
    pinned: pin !== 'none',
    pinMs,
    ...(mac === undefined ? {} : { mac }),
  };
}

/** The words of a text that begins so, each once and of its shape; null: it is none. */
function wordsOf(
  text: string,
  begins: string,
  shapes: Readonly<Record<string, RegExp>>,
): ReadonlyMap<string, string> | null {
  if (text.length > TEXT_MAX) return null;
  const [first, ...words] = text.split(' ');
  if (first !== begins) return null;
  const said = new Map<string, string>();
  for (const word of words) {
    const at = word.indexOf('=');
    const key = word.slice(0, at);
    if (at < 1 || said.has(key)) return null;
    said.set(key, word.slice(at + 1));
  }
  const isSound = Object.entries(shapes).every(([key, shape]) => shape.test(said.get(key) ?? ''));
  return isSound ? said : null;
}

// ---------------------------------------------------------------- of a delegation

/** Where the markers of all NS sets that stand in a zone are: its own, and those of its children. */
export function delegationMarkerName(zone: Name): Name {
  return `_detour-delegation.${zone}`;
}

/** Who is out of the delegation of a zone, by whose order. */
export interface DelegationMarker {
  readonly cluster: string;
  /** The zone whose NS set it is about. */
  readonly zone: Name;
  readonly epoch: number;
  /** Of the order that wrote it. */
  readonly id: string;
  /** Providers, sorted; empty: nobody. */
  readonly out: readonly string[];
  /** As of `Marker`; absent: not signed yet. */
  readonly mac?: string;
}

/** Bytes of one string of a TXT record (RFC 1035, section 3.3): longer is not written. */
export const DELEGATION_TEXT_MAX = 255;

/** `detour-delegation=1 cluster=shop zone=gslb.example.net. epoch=3 id=9f2c… out=ali mac=…` */
export function formatDelegation(m: DelegationMarker): string {
  const mac = m.mac === undefined ? '' : ` mac=${m.mac}`;
  return `${delegationStart} ${delegationFields(m).join(' ')}${mac}`;
}

const delegationStart = 'detour-delegation=1';

function delegationFields({ cluster, zone, epoch, id, out }: DelegationMarker): readonly string[] {
  const names = out.length === 0 ? 'none' : out.toSorted().join(',');
  return [`cluster=${cluster}`, `zone=${zone}`, `epoch=${epoch}`, `id=${id}`, `out=${names}`];
}

/** What its signature is made over; a purpose of its own, so that no other signature passes. */
export function delegationInput(m: DelegationMarker): string {
  const fields = ['detour-delegation-1', ...delegationFields(m)];
  return fields.map((field) => `${field.length}:${field}`).join('');
}

const delegationShapes = {
  cluster: shapes.cluster,
  zone: /^(?:[!-~]{1,63}\.){1,40}$/,
  epoch: NUMBER,
  id: shapes.id,
  out: /^(?!none,)[a-z0-9-]{1,63}(?:,[a-z0-9-]{1,63}){0,15}$/,
} as const;

/** The marker of a delegation that a text says, or null when it is none. */
export function parseDelegation(text: string): DelegationMarker | null {
  const said = wordsOf(text, delegationStart, delegationShapes);
  const epoch = Number(said?.get('epoch'));
  if (said === null || epoch > MARKER_NUMBER_MAX) return null;
  const mac = said.get('mac');
  if (mac !== undefined && !MAC.test(mac)) return null;
  const out = said.get('out')!;
  return {
    cluster: said.get('cluster')!,
    zone: said.get('zone')!,
    epoch,
    id: said.get('id')!,
    out: out === 'none' ? [] : out.split(','),
    ...(mac === undefined ? {} : { mac }),
  };
}
