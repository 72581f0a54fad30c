// The words that replicas exchange, as bytes: one letter is a JSON array, deflated where that pays.
// What is told of a check by a path is a row of numbers; its names are said once on a connection.
// Pure. A decoder here must never throw on bytes, and must never let through a number out of its
// bounds, a path that is not the teller's own, or text that could do something on a terminal.

import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { Sighting, Telling } from '../core/heard.ts';
import type { CheckId, Json, Name, Outcome, Verdict } from '../core/model.ts';
import type { CallReason } from '../core/state.ts';

/** Bytes of a letter: as it goes over the wire, and unpacked. */
export const LETTER_BYTES_MAX = 1_048_576;
const UNPACKED_BYTES_MAX = 4_194_304;
/** Below this deflating costs more than it saves. */
const PACK_FROM = 200;
/**
 * Rows in one piece of a telling: about 30 kB unpacked, so that a beat waits for one piece at most.
 */
const ROWS_OF_PIECE = 500;
/** Of one telling, and of the names said on one connection. */
const ROWS_MAX = 100_000;
const RECORDS_MAX = 100_000;
const PATHS_MAX = 1000;
const CHECKS_OF_CALL_MAX = 10_000;
const TEXT_MAX = 300;
/** As in core/heard.ts. */
const DETAIL_MAX = 200;
const HASH_MAX = 64;
/** Ages and waits: about 24 days; what is older is told as that. */
const AGE_MAX = 2_147_483_647;
const COUNT_MAX = 1_000_000_000;
const EVIDENCE_MAX = 1_000_000;

/** By their places: a word more goes to the end, so that versions can be mixed. */
const verdicts: readonly Verdict[] = ['up', 'down', 'unknown'];
const outcomes: readonly Outcome[] = ['pass', 'fail', 'blind', 'limited'];
const reasons: readonly CallReason[] = ['confirm', 'fresh'];

export type Query =
  | {
      readonly kind: 'history';
      readonly record?: Name;
      readonly before?: number;
      readonly limit: number;
    }
  | { readonly kind: 'documents' };

/** History asked for at once; whoever wants more asks again with `before`. */
const ASKED_ENTRIES_MAX = 1000;

/** What stands in the first piece of a telling. */
interface Head {
  readonly config: string;
  readonly whole: boolean;
  readonly blind: boolean;
  readonly acts: boolean;
  readonly head: number;
  readonly term: number;
  readonly paths: Telling['paths'];
  readonly hasRecords: boolean;
}

/** A part of a telling; the last one has `more` false. */
export interface Piece {
  readonly kind: 'piece';
  readonly more: boolean;
  readonly head: Head | null;
  readonly sightings: readonly Sighting[];
  readonly records: readonly (readonly [Name, string])[];
}

export type Letter =
  | Piece
  | { readonly kind: 'beat' }
  | { readonly kind: 'call'; readonly checks: readonly CheckId[]; readonly why: CallReason }
  | { readonly kind: 'ask'; readonly id: number; readonly query: Query }
  /** `state`: `more` follows, this was the `last`, or it `failed`. */
  | {
      readonly kind: 'reply';
      readonly id: number;
      readonly state: Said;
      readonly rows: readonly Json[];
    }
  /** Of a later version: read over. */
  | { readonly kind: 'other' };

const states = ['more', 'last', 'failed'] as const;
type Said = (typeof states)[number];

/**
 * A letter with what each bears: the newest heard of the other, and how long it was held, in ms.
 */
interface Sealed {
  readonly echo: number;
  readonly heldMs: number;
  readonly letter: Letter;
}

// ---------------------------------------------------------------- out

/** Names that were said on this connection, by number; both ends keep the same list. */
export class Names {
  readonly #numbers = new Map<string, number>();
  readonly #rows: (readonly [check: string, path: string, hash: string])[] = [];

  get size(): number {
    return this.#rows.length;
  }

  /** The number, and whether it is new. */
  number(check: string, path: string, hash: string): readonly [number, boolean] {
    const key = `${check}\n${path}\n${hash}`;
    const known = this.#numbers.get(key);
    if (known !== undefined) return [known, false];
    const number = this.add([check, path, hash]);
    this.#numbers.set(key, number);
    return [number, true];
  }

  add(row: readonly [string, string, string]): number {
    return this.#rows.push(row) - 1;
  }

  row(number: number): readonly [check: string, path: string, hash: string] | undefined {
    return this.#rows[number];
  }
}

/** Whether a telling, with the names said before, is more than a connection takes. */
export function isTooMuch(telling: Telling, names: Names): boolean {
  return (
    names.size + telling.sightings.length > ROWS_MAX ||
    telling.paths.length > PATHS_MAX ||
    Object.keys(telling.records ?? {}).length > RECORDS_MAX
  );
}

/**
 * A telling as the letters that carry it, each made when it is asked for: a great one is work of
 * some turns of the loop. `names` learns what they say. The last one has 0 as its second word.
 */
export function* tellingLetters(telling: Telling, names: Names): Generator<Json[], void> {
  const { sightings } = telling;
  const records = Object.entries(telling.records ?? {});
  let [row, record, more, head] = [0, 0, true, headOf(telling) as Json];
  while (more) {
    const some = sightings.slice(row, row + ROWS_OF_PIECE);
    const few = records.slice(record, record + ROWS_OF_PIECE - some.length);
    row += some.length;
    record += few.length;
    const said: Json[] = [];
    const rows = some.map((s) => rowOf(s, names, said));
    more = row < sightings.length || record < records.length;
    yield ['t', more ? 1 : 0, head, said, rows, few.map(([name, hash]) => [name, hash])];
    head = null;
  }
}

function headOf(telling: Telling): Json {
  const paths = telling.paths.map((p) => [p.path, p.blind ? 1 : 0, bounded(p.lossPermille, 1000)]);
  const flags = [telling.whole, telling.blind, telling.acts, telling.records !== null];
  return [
    telling.config,
    ...flags.map(Number),
    bounded(telling.head, Number.MAX_SAFE_INTEGER),
    paths,
    bounded(telling.term, Number.MAX_SAFE_INTEGER),
  ];
}

function rowOf(s: Sighting, names: Names, said: Json[]): Json {
  const [number, isNew] = names.number(s.check, s.path, s.hash);
  if (isNew) said.push([s.check, s.path, s.hash]);
  const ages = [s.passAgeMs, s.failAgeMs, s.openAgeMs].map((age) =>
    age === null ? null : ageOf(age),
  );
  const row: Json[] = [
    number,
    verdicts.indexOf(s.verdict),
    nats(s.evidence),
    nats(s.recovery),
    bounded(s.fails, COUNT_MAX),
    bounded(s.passes, COUNT_MAX),
    bounded(s.missed, COUNT_MAX),
    ...ages,
    ageOf(s.heardAgeMs),
    s.outcome === null ? -1 : outcomes.indexOf(s.outcome),
  ];
  const detail = plain(s.detail);
  if (detail !== '') row.push(detail);
  return row;
}

const bounded = (value: number, most: number) => Math.max(0, Math.min(Math.floor(value), most));
/**
 * Ages are rounded up and evidence down: what is told never looks fresher or stronger than it is.
 */
const ageOf = (ms: number) => Math.max(0, Math.min(Math.ceil(ms), AGE_MAX));
const nats = (value: number) =>
  Math.max(0, Math.min(Math.floor(value * 1000) / 1000, EVIDENCE_MAX));

/** One line of what may be shown. */
function plain(text: string): string {
  return text
    .slice(0, DETAIL_MAX * 2)
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .slice(0, DETAIL_MAX)
    .replace(/[\ud800-\udbff]$/, '')
    .trim();
}

export const beatLetter: Json[] = ['b'];

/** What is beyond the bound is left out: a call is a wish, and the next one comes soon. */
export function callLetter(checks: readonly CheckId[], why: CallReason): Json[] {
  return ['c', reasons.indexOf(why), checks.slice(0, CHECKS_OF_CALL_MAX)];
}

export function askLetter(id: number, query: Query): Json[] {
  if (query.kind === 'documents') return ['q', id, 'documents'];
  const limit = Math.max(1, bounded(query.limit, ASKED_ENTRIES_MAX));
  return ['q', id, 'history', limit, query.before ?? null, query.record ?? null];
}

export function replyLetter(id: number, state: Said, rows: readonly Json[]): Json[] {
  return ['r', id, states.indexOf(state), [...rows]];
}

/** The bytes of a letter: one that says whether it is packed, then the text. */
export function toBytes(echo: number, heldMs: number, letter: readonly Json[]): Buffer {
  const text = Buffer.from(JSON.stringify([echo, ageOf(heldMs), ...letter]));
  if (text.length < PACK_FROM) return Buffer.concat([Buffer.of(0), text]);
  return Buffer.concat([Buffer.of(1), deflateRawSync(text, { level: 1 })]);
}

// ---------------------------------------------------------------- in

type Decoded = { readonly sealed: Sealed } | { readonly problem: string };

/**
 * A letter of `replica`. `names`, those that the teller has said on this connection, learns more
 * from it. Never throws; a problem names what is wrong and quotes nothing.
 */
export function fromBytes(bytes: Uint8Array, replica: string, names: Names): Decoded {
  const parsed = unpacked(bytes);
  if (typeof parsed === 'string') return { problem: parsed };
  const [echo, held, word, ...rest] = parsed.list;
  if (!isCount(echo, Number.MAX_SAFE_INTEGER) || !isCount(held, AGE_MAX)) {
    return { problem: 'a letter without its beat' };
  }
  const letter = letterOf(word, rest, replica, names);
  if (typeof letter === 'string') return { problem: letter };
  return { sealed: { echo, heldMs: held, letter } };
}

function unpacked(bytes: Uint8Array): { readonly list: readonly unknown[] } | string {
  if (bytes.length === 0) return 'an empty letter';
  const body = bytes.subarray(1);
  try {
    const text =
      bytes[0] === 1 ? inflateRawSync(body, { maxOutputLength: UNPACKED_BYTES_MAX }) : body;
    const value: unknown = JSON.parse(Buffer.from(text).toString('utf8'));
    return Array.isArray(value) ? { list: value } : 'a letter that is no list';
  } catch {
    // Bytes that are no letter are what is asked here: the answer says so.
    return 'a letter that cannot be read';
  }
}

function letterOf(
  word: unknown,
  rest: readonly unknown[],
  replica: string,
  names: Names,
): Letter | string {
  switch (word) {
    case 't':
      return pieceOf(rest, replica, names);
    case 'b':
      return { kind: 'beat' };
    case 'c':
      return callOf(rest);
    case 'q':
      return askOf(rest);
    case 'r':
      return replyOf(rest);
    default:
      return typeof word === 'string' ? { kind: 'other' } : 'a letter without its kind';
  }
}

function isCount(value: unknown, most: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most;
}

function wordAt<T>(words: readonly T[], place: unknown): T | undefined {
  return isCount(place, words.length) ? words[place] : undefined;
}

function isWeight(value: unknown): value is number {
  return Number.isFinite(value) && (value as number) >= 0 && (value as number) <= EVIDENCE_MAX;
}

function isText(value: unknown, most = TEXT_MAX): value is string {
  if (typeof value !== 'string' || value.length === 0 || value.length > most) return false;
  return !/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(value);
}

const isHash = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= HASH_MAX && /^[\w-]*$/.test(value);
const isFlag = (value: unknown): value is 0 | 1 => value === 0 || value === 1;
const isList = (value: unknown, most: number): value is readonly unknown[] =>
  Array.isArray(value) && value.length <= most;
const isAge = (value: unknown): value is number | null => value === null || isCount(value, AGE_MAX);

function isPathOf(replica: string, value: unknown): value is string {
  return isText(value) && value.startsWith(`${replica}/`) && value.length > replica.length + 1;
}

function pieceOf(rest: readonly unknown[], replica: string, names: Names): Piece | string {
  const [more, first, said, rows, listed] = rest;
  if (!isFlag(more) || !isList(said, ROWS_MAX) || !isList(rows, ROWS_MAX)) return 'no telling';
  const head = first === null ? null : headFrom(first, replica);
  if (typeof head === 'string') return head;
  if (names.size + said.length > ROWS_MAX) return 'more checks and paths than a replica may have';
  for (const row of said) {
    if (!isList(row, 8)) return 'a name that is none';
    const [check, path, hash] = row;
    if (!isText(check) || !isHash(hash)) return 'a check that has no name';
    if (!isPathOf(replica, path)) return 'a path that is not its own';
    names.add([check, path, hash]);
  }
  const sightings: Sighting[] = [];
  for (const row of rows) {
    const sighting = sightingFrom(row, names);
    if (typeof sighting === 'string') return sighting;
    sightings.push(sighting);
  }
  const records = recordsFrom(listed);
  if (typeof records === 'string') return records;
  return { kind: 'piece', more: more === 1, head, sightings, records };
}

function headFrom(value: unknown, replica: string): Head | string {
  if (!isList(value, 16)) return 'a telling without a head';
  const [config, whole, blind, acts, hasRecords, head, listed, term = 0] = value;
  if (!isHash(config)) return 'a head that is none';
  if (!isCount(head, Number.MAX_SAFE_INTEGER) || !isCount(term, Number.MAX_SAFE_INTEGER)) {
    return 'a head that is none';
  }
  if (!isFlag(whole) || !isFlag(blind) || !isFlag(acts) || !isFlag(hasRecords)) {
    return 'a head that is none';
  }
  if (!isList(listed, PATHS_MAX)) return 'more paths than a replica may have';
  const paths: Telling['paths'][number][] = [];
  for (const row of listed) {
    if (!isList(row, 8)) return 'a path that is none';
    const [path, isBlind, lossPermille] = row;
    if (!isPathOf(replica, path)) return 'a path that is not its own';
    if (!isFlag(isBlind) || !isCount(lossPermille, 1000)) return 'a path out of bounds';
    paths.push({ path, blind: isBlind === 1, lossPermille });
  }
  const flags = { whole: whole === 1, blind: blind === 1, acts: acts === 1 };
  return { config, ...flags, head, term, paths, hasRecords: hasRecords === 1 };
}

function sightingFrom(row: unknown, names: Names): Sighting | string {
  if (!isList(row, 24)) return 'a sighting that is none';
  const [number, verdict, evidence, recovery, fails, passes, missed, ...rest] = row;
  const [passAgeMs, failAgeMs, openAgeMs, heardAgeMs, outcome, detail = ''] = rest;
  const named = isCount(number, ROWS_MAX) ? names.row(number) : undefined;
  if (named === undefined) return 'a sighting of what was never named';
  const judged = wordAt(verdicts, verdict);
  const ended = outcome === -1 ? null : wordAt(outcomes, outcome);
  if (judged === undefined || ended === undefined) return 'a sighting without a verdict';
  if (!isWeight(evidence) || !isWeight(recovery)) return 'evidence out of bounds';
  if (!isCount(fails, COUNT_MAX) || !isCount(passes, COUNT_MAX) || !isCount(missed, COUNT_MAX)) {
    return 'a count out of bounds';
  }
  if (!isAge(passAgeMs) || !isAge(failAgeMs) || !isAge(openAgeMs)) return 'an age out of bounds';
  if (!isCount(heardAgeMs, AGE_MAX)) {
    return 'an age out of bounds';
  }
  if (typeof detail !== 'string' || detail.length > DETAIL_MAX) return 'a detail that is too long';
  const [check, path, hash] = named;
  const counts = { evidence, recovery, fails, passes, missed };
  const told = { ...counts, passAgeMs, failAgeMs, openAgeMs, heardAgeMs, outcome: ended };
  return { check, path, hash, verdict: judged, ...told, detail: plain(detail) };
}

function recordsFrom(value: unknown): readonly (readonly [Name, string])[] | string {
  if (!isList(value, RECORDS_MAX)) return 'more records than a replica may have';
  const rows: (readonly [Name, string])[] = [];
  for (const row of value) {
    if (!isList(row, 4)) return 'a record that is none';
    const [name, hash] = row;
    if (!isText(name) || !isHash(hash)) return 'a record that is none';
    rows.push([name, hash]);
  }
  return rows;
}

function callOf([why, checks]: readonly unknown[]): Letter | string {
  const word = wordAt(reasons, why);
  if (word === undefined) return { kind: 'other' };
  if (!isList(checks, CHECKS_OF_CALL_MAX)) return 'a call for too much';
  if (!checks.every((check) => isText(check))) return 'a call for no check';
  return { kind: 'call', checks: checks as CheckId[], why: word };
}

function askOf([id, word, limit, before, record]: readonly unknown[]): Letter | string {
  if (!isCount(id, COUNT_MAX)) return 'a question without its number';
  if (word === 'documents') return { kind: 'ask', id, query: { kind: 'documents' } };
  if (word !== 'history') return { kind: 'other' };
  if (!isCount(limit, ASKED_ENTRIES_MAX) || limit === 0) return 'a question for too much';
  if (before !== null && !isCount(before, Number.MAX_SAFE_INTEGER)) return 'a question of no place';
  if (record !== null && !isText(record)) return 'a question about no record';
  const query = {
    kind: 'history' as const,
    limit,
    ...(before === null ? {} : { before }),
    ...(record === null ? {} : { record }),
  };
  return { kind: 'ask', id, query };
}

function replyOf([id, state, rows]: readonly unknown[]): Letter | string {
  const word = wordAt(states, state);
  if (!isCount(id, COUNT_MAX) || word === undefined) return 'an answer to no question';
  if (!isList(rows, ROWS_MAX)) return 'an answer that is too long';
  return { kind: 'reply', id, state: word, rows: rows as Json[] };
}
