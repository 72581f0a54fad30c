// What is wanted against what is seen at one provider: a change, nothing to do, or a refusal. It
// never proposes an empty record, never a value outside the record's configuration, and never a
// change to what Detour does not own (design, rules 1, 2, 4 and 14).

import { markerName, parseMarker } from './marker.ts';
import type { Change, Marker, Name, RecordConfig, RefusalWord, Seen, StayReason } from './model.ts';

/** What stands at one provider, in the record's own terms. */
export type Standing =
  | { readonly kind: 'missing' }
  /** No marker; `target` names the configured target it is, or null for a stranger's value. */
  | { readonly kind: 'unmarked'; readonly value: Name; readonly target: string | null }
  /** A marker of our cluster; `value` may have been edited since. */
  | { readonly kind: 'ours'; readonly marker: Marker; readonly value: Name | null }
  | { readonly kind: 'foreign'; readonly sentence: string }
  | { readonly kind: 'refused'; readonly word: RefusalWord; readonly sentence: string }
  | { readonly kind: 'double'; readonly sentence: string };

export function standing(cluster: string, record: RecordConfig, seen: Seen): Standing {
  if (seen.refusal !== null) return { kind: 'refused', ...seen.refusal };
  if (seen.cnames.length > 1) {
    return double(`${seen.cnames.length} CNAMEs stand at ${record.name}: leave exactly one`);
  }
  if (seen.markers.length > 1) {
    const at = markerName(record.name);
    return double(`${seen.markers.length} texts stand at ${at}: leave the one that is right`);
  }
  const value = seen.cnames[0]?.value ?? null;
  const text = seen.markers[0];
  if (text !== undefined) {
    const marker = parseMarker(text);
    if (marker === null) {
      const at = markerName(record.name);
      return { kind: 'foreign', sentence: `the text at ${at} is no marker of Detour's: remove it` };
    }
    if (marker.cluster !== cluster) {
      const owner = `cluster ${marker.cluster} owns ${record.name}`;
      const cure = `take it out of that cluster's configuration, reload it, then remove its marker`;
      return { kind: 'foreign', sentence: `${owner}: ${cure}` };
    }
    return { kind: 'ours', marker, value };
  }
  if (value === null) return { kind: 'missing' };
  const target = record.targets.find((t) => t.cname === value)?.origin ?? null;
  return { kind: 'unmarked', value, target };
}

/** What Detour wants to stand there. */
export interface Wanted {
  readonly cname: Name;
  readonly ttl: number;
  readonly marker: Marker;
  /** Which unmarked values may be replaced at this provider; see RecordDoc.claims. */
  readonly claim: 'any' | 'configured' | 'none';
  /** Adoption writes the marker alone: what stands keeps its TTL. */
  readonly keepTtl: boolean;
}

export type Plan =
  | { readonly kind: 'in-step' }
  | { readonly kind: 'write'; readonly change: Change; readonly because: string }
  /** Another writer of ours is ahead, or won at the same epoch. */
  | { readonly kind: 'yield'; readonly marker: Marker }
  /** Same epoch, other id, and no rule says who wins: a person must. */
  | { readonly kind: 'rival'; readonly marker: Marker; readonly sentence: string }
  /** Our marker, somebody else's value. */
  | {
      readonly kind: 'drift';
      /** The configured target that was set by hand, or null for anything else. */
      readonly target: string | null;
      readonly sentence: string;
      /** What would mend it. */
      readonly change: Change;
    }
  | {
      readonly kind: 'refuse';
      readonly word: RefusalWord | 'foreign' | 'double' | 'unmarked';
      readonly sentence: string;
    };

/** Rules 4 and 14 for one record at one provider. */
export function plan(record: RecordConfig, seen: Seen, s: Standing, wanted: Wanted): Plan {
  switch (s.kind) {
    case 'refused':
      return { kind: 'refuse', word: s.word, sentence: s.sentence };
    case 'foreign':
      return { kind: 'refuse', word: 'foreign', sentence: s.sentence };
    case 'double':
      return { kind: 'refuse', word: 'double', sentence: s.sentence };
    case 'missing':
      return write(record, seen, wanted, 'nothing stands there');
    case 'unmarked':
      if (s.value === wanted.cname) return write(record, seen, wanted, 'it bears no marker');
      if (wanted.claim === 'any' || (wanted.claim === 'configured' && s.target !== null)) {
        return write(record, seen, wanted, 'it was claimed');
      }
      return {
        kind: 'refuse',
        word: 'unmarked',
        sentence: `${s.value} stands there without a marker: run \`detour adopt\` to take it over`,
      };
    case 'ours':
      return planOurs(record, seen, s, wanted);
  }
}

function planOurs(
  record: RecordConfig,
  seen: Seen,
  s: Extract<Standing, { kind: 'ours' }>,
  wanted: Wanted,
): Plan {
  const [theirs, own] = [s.marker, wanted.marker];
  if (theirs.epoch > own.epoch) return { kind: 'yield', marker: theirs };
  if (theirs.epoch < own.epoch) {
    return write(record, seen, wanted, `epoch ${theirs.epoch} is behind`);
  }
  // First markers share an id: of two, what they stand for tells them apart.
  if (theirs.id !== own.id || theirs.target !== own.target) {
    if (theirs.kind === own.kind) {
      const sentence = `two switches bear epoch ${own.epoch}: run \`detour switch\` to settle it`;
      return { kind: 'rival', marker: theirs, sentence };
    }
    if (theirs.kind === 'operator') return { kind: 'yield', marker: theirs };
    return write(record, seen, wanted, 'an operator wins at the same epoch');
  }
  if (s.value === wanted.cname) return { kind: 'in-step' };
  const stands = s.value ?? 'nothing';
  const sentence = `${stands} stands there instead of ${wanted.cname}: somebody edited it`;
  const target = record.targets.find((t) => t.cname === s.value)?.origin ?? null;
  return { kind: 'drift', target, sentence, change: changeTo(record, seen, wanted) };
}

function write(record: RecordConfig, seen: Seen, wanted: Wanted, because: string): Plan {
  return { kind: 'write', change: changeTo(record, seen, wanted), because };
}

function changeTo(record: RecordConfig, seen: Seen, wanted: Wanted): Change {
  const stands = seen.cnames[0];
  const keep = wanted.keepTtl && stands?.value === wanted.cname;
  const to = {
    cname: wanted.cname,
    ttl: keep ? stands.ttl : wanted.ttl,
    marker: wanted.marker,
  };
  return { name: record.name, from: seen, to };
}

function double(sentence: string): Standing {
  return { kind: 'double', sentence };
}

/** Rule 4 at first sight: what to do with a record that bears no marker of ours anywhere. */
type Adoption =
  | { readonly kind: 'take'; readonly marker: Marker }
  | { readonly kind: 'adopt'; readonly target: string }
  | {
      readonly kind: 'wait';
      readonly reason: Extract<StayReason, 'missing' | 'disagreement' | 'foreign' | 'unreadable'>;
      readonly sentence: string;
    };

/** `null` stands for a provider that cannot be read: the others go ahead without it. */
export function adoption(
  record: RecordConfig,
  found: Readonly<Record<string, Standing | null>>,
): Adoption {
  const all = Object.entries(found).filter((e): e is [string, Standing] => e[1] !== null);
  const marked = all.flatMap(([, s]) => (s.kind === 'ours' ? [s.marker] : []));
  if (marked.length > 0) return { kind: 'take', marker: marked.reduce(winner) };
  const foreign = all.find(([, s]) => s.kind === 'foreign' || s.kind === 'double');
  if (foreign !== undefined) {
    const sentence = (foreign[1] as { sentence: string }).sentence;
    return { kind: 'wait', reason: 'foreign', sentence: `${foreign[0]}: ${sentence}` };
  }
  const open = all.filter(([, s]) => s.kind !== 'refused');
  if (open.length === 0) {
    const refused = all.map(([p, s]) => `${p}: ${(s as { sentence: string }).sentence}`).join('; ');
    const sentence = refused === '' ? 'no provider can be read' : refused;
    return { kind: 'wait', reason: 'unreadable', sentence };
  }
  const values = open.flatMap(([p, s]) => (s.kind === 'unmarked' ? [{ p, ...s }] : []));
  const first = values[0];
  if (first === undefined) {
    const hint = `run \`detour adopt ${record.name} TARGET --create\``;
    return { kind: 'wait', reason: 'missing', sentence: `it stands nowhere yet: ${hint}` };
  }
  if (first.target !== null && values.every((v) => v.target === first.target)) {
    return { kind: 'adopt', target: first.target };
  }
  const list = values.map((v) => `${v.p} gives ${v.value}`).join(', ');
  const hint = `run \`detour adopt ${record.name} TARGET\``;
  return { kind: 'wait', reason: 'disagreement', sentence: `${list}: ${hint}` };
}

/** Of two markers of ours, the one in force: the higher epoch, then the operator's. */
function winner(a: Marker, b: Marker): Marker {
  if (a.epoch !== b.epoch) return a.epoch > b.epoch ? a : b;
  return b.kind === 'operator' && a.kind !== 'operator' ? b : a;
}
