// The lines of a record at one vendor, taken as the one thing that they are: an answer for each kind
// of asker, which all lead to the same target. The one home of what makes a set of them whole, split,
// strange or incomplete. It never takes a line that is not listed for ours, never calls a set right
// of which one line leads elsewhere, and costs a record without lines nothing.

import type { LineAnswer, Name, Seen, ServerAnswer } from './model.ts';
import { listOf } from './name.ts';

/** What a record's lines are at one provider, the default one first; undefined: that one alone. */
export type Lines = readonly string[] | undefined;

export function isSameLines(a: Lines, b: Lines): boolean {
  return a === b || (a?.length === b?.length && a?.every((line, i) => line === b?.[i]) === true);
}

type Cnames = Seen['cnames'];

/** What stands on one line; `line` is null where none is listed, `value` where nothing stands. */
interface Part {
  readonly line: string | null;
  readonly value: Name | null;
}

/** What all lines of a record give. */
type Whole =
  /** The same on every line that stands, the default one among them; null: nothing on any. */
  | { readonly kind: 'one'; readonly value: Name | null }
  /** Not the same; `says` is what stands where. */
  | { readonly kind: 'split'; readonly says: string }
  | { readonly kind: 'unlisted'; readonly sentence: string }
  | { readonly kind: 'double'; readonly sentence: string };

export function wholeOf(record: Name, lines: Lines, cnames: Cnames): Whole {
  const [first] = cnames;
  if (cnames.length <= 1 && lines === undefined && first?.line === undefined) {
    return { kind: 'one', value: first?.value ?? null };
  }
  const strange = cnames.flatMap(({ line }) => {
    return line === undefined || lines?.includes(line) === true ? [] : [line];
  });
  if (strange.length > 0) {
    const which = named([...new Set(strange)]);
    const cure = 'list it under `lines` where the record is published, or remove it at the vendor';
    return {
      kind: 'unlisted',
      sentence: `${record} stands on ${which} as well, which is not listed: ${cure}`,
    };
  }
  const parts = standingOn(lines, cnames);
  for (const { line } of parts) {
    const count = parts.filter((p) => p.line === line).length;
    if (count === 1) continue;
    const where = line === null ? '' : ` on ${named([line])}`;
    return {
      kind: 'double',
      sentence: `${count} CNAMEs stand at ${record}${where}: leave exactly one`,
    };
  }
  const isRooted = parts.some((p) => p.line === (lines?.[0] ?? null));
  const isOne = parts.every((p) => p.value === parts[0]!.value);
  if (isOne && (isRooted || parts.length === 0)) {
    return { kind: 'one', value: parts[0]?.value ?? null };
  }
  return { kind: 'split', says: saysOf(lines, parts) };
}

/**
 * The lines that do not lead where they should. One where nothing stands is none of them, as its
 * askers get the default line's answer; where nothing stands on that, they get nothing.
 */
export function strays(lines: Lines, cnames: Cnames, wanted: Name): readonly Part[] {
  if (cnames.length === 0) return [{ line: null, value: null }];
  const parts = standingOn(lines, cnames);
  const root = lines?.[0] ?? null;
  const bare = parts.some((p) => p.line === root) ? [] : [{ line: root, value: null }];
  return [...bare, ...parts.filter((p) => p.value !== wanted)];
}

/** The listed lines on which nothing stands. */
export function gaps(lines: Lines, cnames: Cnames): readonly string[] {
  if (lines === undefined) return [];
  const parts = standingOn(lines, cnames);
  return lines.filter((line) => parts.every((p) => p.line !== line));
}

/** What stands there, so that two readings are told apart by it. */
export function printOf(cnames: Cnames): string {
  const all = cnames.map(({ line, value }) => (line === undefined ? value : `${line} ${value}`));
  return all.sort().join(', ');
}

/** `b.example. stands there`, `b.example. stands there on the lines telecom and unicom`. */
export function standsAt(parts: readonly Part[]): string {
  const by = Map.groupBy(parts, (p) => p.value);
  const each = [...by].map(([value, some]) => {
    const where = some.flatMap(({ line }) => (line === null ? [] : [line]));
    const at = where.length === 0 ? '' : ` on ${named(where)}`;
    return `${value ?? 'nothing'} stands there${at}`;
  });
  return listOf(each, 'and');
}

/** `the line telecom`, `the lines telecom and unicom`. */
export function named(lines: readonly string[]): string {
  const shown = lines.map((line) => (plain.test(line) ? line : 'of an odd name'));
  return `the line${lines.length === 1 ? '' : 's'} ${listOf(shown, 'and')}`;
}

/** What a vendor may call a line; whatever else it says is not repeated. */
const plain = /^[\p{L}\p{N}_][\p{L}\p{N}_ .:()=+-]{0,63}$/u;

function standingOn(lines: Lines, cnames: Cnames): readonly Part[] {
  const root = lines?.[0] ?? null;
  return cnames.map(({ line = root, value }) => ({ line, value }));
}

/** `a.example. on the line default, b.example. on the line telecom`. */
function saysOf(lines: Lines, parts: readonly Part[]): string {
  const root = lines?.[0] ?? null;
  const isBare = parts.every((p) => p.line !== root);
  const all = isBare ? [{ line: root, value: null }, ...parts] : parts;
  const by = Map.groupBy(all, (p) => p.value);
  const each = [...by].map(([value, some]) => {
    return `${value ?? 'nothing'} on ${named(some.flatMap(({ line }) => line ?? []))}`;
  });
  return each.join(', ');
}

// ---------------------------------------------------------------- what is seen of it from outside

/** What DNS has shown of one line since the target in force was decided. */
interface LineProof {
  /** When its askers were first seen to get the target in force; null: not yet. */
  readonly provenAt: number | null;
  /** Why it is not proven; empty where it is. */
  readonly why: string;
}

export type LineProofs = Readonly<Record<string, LineProof>>;

/**
 * What answers by line prove of those that are not proven yet. Only what was seen to be right counts:
 * where the vendor places an address is its own affair, so another answer is nothing against a line.
 */
export function proveBy(
  known: LineProofs,
  answers: readonly ServerAnswer[],
  wanted: Name,
  now: number,
): LineProofs {
  const all = answers.flatMap((a) => a.lines ?? []);
  if (all.length === 0) return known;
  const proofs: Record<string, LineProof> = { ...known };
  for (const [line, some] of Map.groupBy(all, (a) => a.line)) {
    if ((known[line]?.provenAt ?? null) !== null) continue;
    const why = whyUnproven(some, wanted);
    proofs[line] = { provenAt: why === '' ? now : null, why };
  }
  return proofs;
}

function whyUnproven(answers: readonly LineAnswer[], wanted: Name): string {
  const heeding = answers.filter((a) => a.heeds);
  if (heeding.length === 0) return 'its servers do not answer by the address that is asked for';
  const other = heeding.find((a) => a.value !== wanted);
  return other === undefined ? '' : `${other.value ?? 'nothing'} is given for its subnet`;
}
