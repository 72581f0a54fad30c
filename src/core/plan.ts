// What is wanted against what is seen at one provider: a change, nothing to do, an edit by somebody
// else, or a refusal. It never proposes an empty record, never a value outside the record's
// configuration, and never a change to what Detour does not own (design, rules 1, 2, 4, 14 and 25).

import { gaps, type Lines, named, standsAt, strays, wholeOf } from './lines.ts';
import {
  compareMarkers,
  EPOCH_LEAP_MAX,
  isLaterMarker,
  isSameMarker,
  markerName,
  parseMarker,
} from './marker.ts';
import type {
  Change,
  Foreign,
  Genuine,
  Mark,
  Marker,
  Name,
  Ours,
  Proof,
  RecordConfig,
  RefusalWord,
  Seen,
  StayReason,
} from './model.ts';

/** What stands at one provider, in the record's own terms. */
export type Standing =
  | { readonly kind: 'missing' }
  /** No marker; `target` names the configured target it is, or null for a stranger's value. */
  | ({ readonly kind: 'unmarked'; readonly target: string | null } & Gives)
  /** A marker of our cluster; `value` may have been edited since. */
  | ({ readonly kind: 'marked'; readonly by: Genuine | Ours } & Gives)
  | ({ readonly kind: 'foreign'; readonly by: Foreign } & Gives)
  | { readonly kind: 'refused'; readonly word: RefusalWord; readonly sentence: string }
  | { readonly kind: 'double'; readonly sentence: string };

interface Gives {
  /** What every line that stands there gives; null: nothing, or not all the same. */
  readonly value: Name | null;
  /** Its lines differ: what stands on which. */
  readonly split?: string;
  /** Lines of it on which nothing stands. */
  readonly gaps?: readonly string[];
}

/** What a marker is judged by, beside its own signature. */
export interface Knowledge {
  readonly cluster: string;
  /** A cluster key is configured. */
  readonly signed: boolean;
  /** Markers that our store remembers: what equals one of them is ours, whoever signed it. */
  readonly remembered: readonly Marker[];
  /** The highest epoch known of this record. */
  readonly epochMax: number;
  /** On which lines it is to stand there. */
  readonly lines?: Lines;
}

export function standing(known: Knowledge, record: RecordConfig, seen: Seen): Standing {
  if (seen.refusal !== null) return { kind: 'refused', ...seen.refusal };
  const whole = wholeOf(record.name, known.lines, seen.cnames);
  if (whole.kind === 'unlisted') {
    return { kind: 'refused', word: 'line', sentence: whole.sentence };
  }
  if (whole.kind === 'double') return double(whole.sentence);
  if (seen.markers.length > 1) {
    const at = markerName(record.name);
    return double(`${seen.markers.length} texts stand at ${at}: leave the one that is right`);
  }
  const open = gaps(known.lines, seen.cnames);
  const gives: Gives = {
    ...(whole.kind === 'one' ? { value: whole.value } : { value: null, split: whole.says }),
    ...(open.length === 0 ? {} : { gaps: open }),
  };
  const text = seen.markers[0];
  if (text !== undefined) {
    const by = whoseIs(known, record, text, seen.proofs?.[0] ?? { word: 'unsigned' });
    return by.whose === 'foreign'
      ? { kind: 'foreign', by, ...gives }
      : { kind: 'marked', by, ...gives };
  }
  if (seen.cnames.length === 0) return { kind: 'missing' };
  return { kind: 'unmarked', ...gives, target: targetOf(record, gives.value) };
}

/** Rule 25: genuine, ours or foreign. */
function whoseIs(
  known: Knowledge,
  record: RecordConfig,
  text: string,
  proof: Proof,
): Genuine | Ours | Foreign {
  const at = markerName(record.name);
  const foreign = (claims: Marker | null, sentence: string): Foreign => {
    return { whose: 'foreign', claims, sentence };
  };
  const marker = parseMarker(text);
  if (marker === null) {
    const isLater = isLaterMarker(text);
    const what = isLater ? 'of a newer Detour: upgrade this one, or' : "no marker of Detour's:";
    return foreign(null, `the text at ${at} is ${what} remove it`);
  }
  if (marker.cluster !== known.cluster) {
    const owner = `cluster ${marker.cluster} owns ${record.name}`;
    return foreign(null, `${owner}: take it out of the configuration there, then remove ${at}`);
  }
  if (known.remembered.some((own) => isSameMarker(own, marker)) && proof.word !== 'genuine') {
    return { whose: 'ours', marker };
  }
  const isLeap = marker.epoch > known.epochMax + EPOCH_LEAP_MAX;
  if (known.signed) {
    if (proof.word === 'genuine') return { whose: 'genuine', marker, cname: proof.cname };
    if (proof.word === 'retired') return { whose: 'ours', marker };
    // Far above any that was given out it is nobody's epoch, however many bear it.
    const claims = isLeap ? null : marker;
    const flaw = proof.word === 'wrong' ? 'its signature is by no key of ours' : 'it is not signed';
    return foreign(claims, `the marker at ${at} proves nothing: ${flaw}: remove it`);
  }
  if (!isLeap) return { whose: 'ours', marker };
  const leap = `its epoch ${marker.epoch} is far above any that was given out`;
  return foreign(null, `the marker at ${at} proves nothing: ${leap}: remove it`);
}

/** The configured target that a value is; null for a stranger's. */
function targetOf(record: RecordConfig, value: Name | null): string | null {
  return record.targets.find((t) => t.cname === value)?.origin ?? null;
}

/** What Detour wants to stand there. */
export interface Wanted {
  readonly cname: Name;
  readonly ttl: number;
  /** On which lines. */
  readonly lines?: Lines;
  readonly marker: Marker;
  /** Markers bear a signature of the current key. */
  readonly signed: boolean;
  /** Which unmarked values may be replaced at this provider; see RecordDoc.claims. */
  readonly claim: 'any' | 'configured' | 'none';
  /** Adoption writes the marker alone: what stands keeps its TTL. */
  readonly keepTtl: boolean;
  /** What of ours was last seen to stand there; null: nothing yet. */
  readonly placed: Placed | null;
  /** The epoch of the last switch: what has differed since was edited, what was so before lags. */
  readonly since: number;
}

/** What Detour wrote, or adopted, and has seen to stand at one provider. */
export interface Placed {
  readonly cname: Name;
  readonly marker: Marker;
}

export type Plan =
  | { readonly kind: 'in-step' }
  | { readonly kind: 'write'; readonly change: Change; readonly because: string }
  /** All is right but how long caches may keep it. */
  | { readonly kind: 'ttl'; readonly change: Change; readonly sentence: string }
  /** The right value, and its marker is gone, older, or not signed with the current key. */
  | { readonly kind: 'remark'; readonly change: Change; readonly because: string }
  /** Another writer with our key is ahead. */
  | { readonly kind: 'ahead'; readonly by: Genuine }
  /** The right value under a higher epoch than ours, by nobody who can prove it. */
  | { readonly kind: 'rival'; readonly marker: Marker; readonly sentence: string }
  /** Something else stands where we have been. */
  | { readonly kind: 'edit'; readonly edit: Edit }
  | {
      readonly kind: 'refuse';
      readonly word: RefusalWord | 'foreign' | 'double' | 'unmarked';
      readonly sentence: string;
    };

export interface Edit {
  /** What stands on the lines that differ, each with the configured target that it is, if any. */
  readonly strays: readonly {
    /** null: the record is gone. */
    readonly value: Name | null;
    readonly target: string | null;
  }[];
  /** The configured target that was set by hand, on every line; null for anything else. */
  readonly target: string | null;
  /** The marker in force was left standing, as a person at a console leaves it. */
  readonly marked: boolean;
  /** The marker there bears a higher epoch: what mends it needs a higher one yet. */
  readonly above: boolean;
  readonly sentence: string;
  /** What would mend it. */
  readonly change: Change;
}

/** Rules 4, 14 and 25 for one record at one provider. */
export function plan(record: RecordConfig, seen: Seen, s: Standing, wanted: Wanted): Plan {
  const write = (because: string): Plan => {
    return { kind: 'write', change: changeTo(record, seen, wanted), because };
  };
  switch (s.kind) {
    case 'refused':
      return { kind: 'refuse', word: s.word, sentence: s.sentence };
    case 'foreign':
      return { kind: 'refuse', word: 'foreign', sentence: s.by.sentence };
    case 'double':
      return { kind: 'refuse', word: 'double', sentence: s.sentence };
    case 'missing':
      // A switch, or adopting it by hand, ends what was held before it.
      if (!isPlaced(wanted)) return write('nothing stands there');
      return editOf(record, seen, wanted, { under: ', without our marker' });
    case 'unmarked': {
      const isEach = (ok: (value: Name) => boolean) => seen.cnames.every((c) => ok(c.value));
      const isOfOurs = (value: Name) => targetOf(record, value) !== null;
      if (s.value === wanted.cname) {
        // A switch ends what was held before it.
        const isHeld = wanted.placed !== null && !isPlaced(wanted);
        const because = 'it bears no marker';
        return isHeld ? write(because) : remark(record, seen, wanted, because);
      }
      if (wanted.claim === 'any' || (wanted.claim === 'configured' && isEach(isOfOurs))) {
        return write('it was claimed');
      }
      // Rule 4: what we wrote is ours though its marker is gone.
      if (s.value !== null && s.value === wanted.placed?.cname) return write('it was ours');
      // A switch ends what was held before it, where it leads to the record's own targets.
      if (wanted.placed !== null && !isPlaced(wanted) && isEach(isOfOurs)) {
        return write('it was held until this switch');
      }
      if (wanted.placed !== null) {
        return editOf(record, seen, wanted, { under: ', without our marker' });
      }
      return {
        kind: 'refuse',
        word: 'unmarked',
        sentence: `${givesSay(s)} stands there without a marker: run \`detour adopt\` to take it over`,
      };
    }
    case 'marked':
      return planMarked(record, seen, s, wanted);
  }
}

/** It has been ours since the last switch. */
function isPlaced({ placed, since }: Wanted): boolean {
  return placed !== null && placed.marker.epoch >= since;
}

function planMarked(
  record: RecordConfig,
  seen: Seen,
  { by, value, gaps: open }: Extract<Standing, { kind: 'marked' }>,
  wanted: Wanted,
): Plan {
  const { epoch } = by.marker;
  const order = compareMarkers(by.marker, wanted.marker);
  // Of a line where nothing stands the default one speaks: that is none that leads elsewhere.
  const isRight = value === wanted.cname;
  if (order > 0) {
    if (by.whose === 'genuine') return { kind: 'ahead', by };
    if (!isRight) {
      const under = `, under epoch ${epoch}, which is ahead of ours`;
      return editOf(record, seen, wanted, { above: true, under });
    }
    const sentence =
      `it bears epoch ${epoch}, ahead of ours, and nothing proves who wrote that: ` +
      'the next switch overrules it';
    return { kind: 'rival', marker: by.marker, sentence };
  }
  if (order < 0) {
    // Where the value has been ours already, somebody has changed it since.
    if (!isRight && isPlaced(wanted)) {
      return editOf(record, seen, wanted, { under: `, under epoch ${epoch}` });
    }
    if (isRight && wanted.placed?.marker.epoch === wanted.marker.epoch) {
      return remark(record, seen, wanted, `its marker went back to epoch ${epoch}`);
    }
    const because = `epoch ${epoch} is behind`;
    return { kind: 'write', change: changeTo(record, seen, wanted), because };
  }
  if (!isRight) return editOf(record, seen, wanted, { marked: true });
  if (wanted.signed && by.whose !== 'genuine') {
    return remark(record, seen, wanted, 'its marker is not signed with the current key');
  }
  // Whoever gives the key up gets the markers that an earlier version reads.
  if (!wanted.signed && by.marker.mac !== undefined) {
    return remark(record, seen, wanted, 'its marker bears a signature, and there is no key');
  }
  if (open !== undefined) return remark(record, seen, wanted, `nothing stands on ${named(open)}`);
  const odd = seen.cnames.find((c) => c.ttl !== wanted.ttl);
  if (odd === undefined || wanted.keepTtl) return { kind: 'in-step' };
  const sentence = `its TTL is ${odd.ttl} s and is to be ${wanted.ttl} s`;
  return { kind: 'ttl', change: changeTo(record, seen, wanted), sentence };
}

function remark(record: RecordConfig, seen: Seen, wanted: Wanted, because: string): Plan {
  return { kind: 'remark', change: changeTo(record, seen, wanted), because };
}

function editOf(
  record: RecordConfig,
  seen: Seen,
  wanted: Wanted,
  how: { readonly marked?: boolean; readonly above?: boolean; readonly under?: string },
): Plan {
  const { marked = false, above = false, under = '' } = how;
  const parts = strays(wanted.lines, seen.cnames, wanted.cname);
  const sentence = `${standsAt(parts)} instead of ${wanted.cname}${under}: somebody edited it`;
  const change = changeTo(record, seen, wanted);
  const whole = wholeOf(record.name, wanted.lines, seen.cnames);
  const target = whole.kind === 'one' ? targetOf(record, whole.value) : null;
  const each = parts.map(({ value }) => ({ value, target: targetOf(record, value) }));
  return { kind: 'edit', edit: { strays: each, target, marked, above, sentence, change } };
}

function changeTo(record: RecordConfig, seen: Seen, wanted: Wanted): Change {
  const stands = seen.cnames[0];
  const keep = wanted.keepTtl && stands?.value === wanted.cname;
  const { lines } = wanted;
  // The signature is the edge's: what a found marker bore may be by a key that is gone.
  const { mac: _, ...marker } = wanted.marker;
  const to = {
    cname: wanted.cname,
    ttl: keep ? stands.ttl : wanted.ttl,
    marker,
    ...(lines === undefined ? {} : { lines }),
  };
  return { name: record.name, from: seen, to };
}

function double(sentence: string): Standing {
  return { kind: 'double', sentence };
}

// ---------------------------------------------------------------- at first sight

/** Rule 4: what to do with a record of which nothing is in force. */
type Adoption =
  /** A marker that stands there goes into force. */
  | { readonly kind: 'take'; readonly marker: Marker }
  /** What stands at these providers goes into force, under a new marker. */
  | { readonly kind: 'adopt'; readonly target: string; readonly at: readonly string[] }
  | {
      readonly kind: 'wait';
      readonly reason: Extract<StayReason, 'missing' | 'disagreement' | 'foreign' | 'unreadable'>;
      readonly sentence: string;
    };

type Found = readonly (readonly [provider: string, Standing])[];

/** Most of a record's providers: of two both (rule 4). */
export function majorityOf(providers: number): number {
  return Math.floor(providers / 2) + 1;
}

/**
 * What was found by the providers' APIs; `null` stands for one whose API has not said. Nothing is
 * taken before a majority was read, so that no one vendor says what all others are to serve; only a
 * marker that is genuine needs no second one.
 */
export function adoption(
  record: RecordConfig,
  found: Readonly<Record<string, Standing | null>>,
): Adoption {
  const read: Found = Object.entries(found).flatMap(([p, s]) => (s === null ? [] : [[p, s]]));
  const majority = majorityOf(Object.keys(found).length);
  const wait = (reason: Extract<Adoption, { kind: 'wait' }>['reason'], sentence: string) =>
    ({ kind: 'wait', reason, sentence }) as const;
  if (read.length < majority) {
    const open = Object.keys(found).filter((p) => found[p] === null);
    return wait('unreadable', `${open.join(', ')}: not read yet; most of its providers must be`);
  }
  const genuine = read.flatMap(([, s]) =>
    s.kind === 'marked' && s.by.whose === 'genuine' ? [s.by] : [],
  );
  if (genuine.length > 0) {
    const best = genuine.reduce((a, b) => (compareMarkers(a.marker, b.marker) >= 0 ? a : b));
    if (isConfigured(record, best)) return { kind: 'take', marker: best.marker };
    const { target, epoch } = best.marker;
    const hint = `put it back, or run \`detour adopt ${record.name} TARGET\``;
    const not = `epoch ${epoch} leads to ${target} (${best.cname}), which is not configured here`;
    return wait('disagreement', `${not}: ${hint}`);
  }
  return byMajority(record, read, majority) ?? wait(...whyNot(record, read));
}

/** Which other tools manage a record by their marks, and what to do there; null: none. */
export function companySays(
  record: Name,
  at: readonly { readonly provider: string; readonly company: readonly Mark[] }[],
): string | null {
  const all = at.flatMap(({ provider, company }) =>
    company.map(({ tool, by }) => `${tool} manages it at ${provider}, by ${by}`),
  );
  if (all.length === 0) return null;
  const names = `${record} and ${markerName(record)}`;
  return `${all.join('; ')}: exclude ${names} there (docs/other-tools.md)`;
}

/** Its target is one of the record's own, under the same CNAME. */
export function isConfigured(record: RecordConfig, { marker, cname }: Genuine): boolean {
  return record.targets.some((t) => t.origin === marker.target && t.cname === cname);
}

/** What most of all providers stand for. */
function byMajority(record: RecordConfig, read: Found, majority: number): Adoption | null {
  const votes = read.map(([provider, s]) => ({ provider, target: voteOf(record, s) }));
  for (const { origin } of record.targets) {
    const at = votes.filter((v) => v.target === origin).map((v) => v.provider);
    if (at.length < majority) continue;
    const borne = read.filter(([p]) => at.includes(p)).flatMap(([, s]) => markersOf(s));
    const best = highest(borne);
    const top = highest(read.flatMap(([, s]) => (s.kind === 'marked' ? [s.by.marker] : [])));
    // At the first start with a key, what most providers bear is ours though it is not signed.
    const isBorne =
      best !== null &&
      (read.some(([, s]) => s.kind === 'marked' && s.by.marker === best) ||
        borne.filter((m) => isSameMarker(m, best)).length >= majority);
    if (isBorne && (top === null || compareMarkers(best, top) >= 0)) {
      return { kind: 'take', marker: best };
    }
    return { kind: 'adopt', target: origin, at };
  }
  return null;
}

function highest(markers: readonly Marker[]): Marker | null {
  return markers.reduce<Marker | null>(
    (a, b) => (a === null || compareMarkers(b, a) > 0 ? b : a),
    null,
  );
}

/** The marker of our cluster that stands there, proven or not. */
function markersOf(s: Standing): Marker[] {
  if (s.kind === 'marked') return [s.by.marker];
  return s.kind === 'foreign' && s.by.claims !== null ? [s.by.claims] : [];
}

/** The target that a provider stands for: the value it gives, whatever its marker says. */
function voteOf(record: RecordConfig, s: Standing): string | null {
  if (s.kind === 'unmarked') return s.target;
  if (s.kind !== 'marked' && s.kind !== 'foreign') return null;
  const target = targetOf(record, s.value);
  return markersOf(s).some((m) => m.target === target) ? target : null;
}

function whyNot(
  record: RecordConfig,
  read: Found,
): readonly [Extract<Adoption, { kind: 'wait' }>['reason'], string] {
  const foreign = read.flatMap(([p, s]) => {
    if (s.kind === 'foreign') return [`${p}: ${s.by.sentence}`];
    return s.kind === 'double' ? [`${p}: ${s.sentence}`] : [];
  });
  if (foreign[0] !== undefined) return ['foreign', foreign[0]];
  const open = read.filter(([, s]) => s.kind !== 'refused');
  if (open.length === 0) {
    const refused = read.map(([p, s]) => `${p}: ${(s as { sentence: string }).sentence}`);
    return ['unreadable', refused.join('; ')];
  }
  if (open.every(([, s]) => !isGiven(s))) {
    const hint = `run \`detour adopt ${record.name} TARGET --create\``;
    return ['missing', `it stands nowhere yet: ${hint}`];
  }
  const list = open.map(([p, s]) => {
    return `${p} gives ${isGiven(s) ? givesSay(s) : 'nothing'}`;
  });
  const hint = `run \`detour adopt ${record.name} TARGET\``;
  return ['disagreement', `${list.join(', ')}: ${hint}`];
}

function isGiven(s: Standing): s is Extract<Standing, Gives> {
  return 'value' in s && (s.value !== null || s.split !== undefined);
}

/** What stands there, as it is told. */
export function givesSay({ value, split }: Gives): string {
  return split ?? value ?? 'nothing';
}
