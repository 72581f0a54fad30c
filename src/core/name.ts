// How names lie within each other, and which of the known ones somebody means. Names are lower-case
// with their trailing dot; nothing here looks anything up. A mistake is never guessed away: what
// could be two things is said to be, and what is none is answered with the closest.

import type { Name, Spelling } from './model.ts';

/** Whether a name is a zone's apex or below it. */
export function isWithin(name: Name, zone: Name): boolean {
  return zone === '.' || name === zone || name.endsWith(`.${zone}`);
}

/** The name itself and everything above it but the root: `a.b.`, `b.` */
export function ancestors(name: Name): Name[] {
  const labels = name.replace(/\.$/, '').split('.');
  return labels.map((_, i) => `${labels.slice(i).join('.')}.`);
}

type Meant =
  | { readonly ok: true; readonly name: string }
  /** What was typed, and what it may have been meant to be. */
  | { readonly ok: false; readonly sentence: string };

/**
 * The one known name that is meant by `typed`: itself in any case and with or without the last dot,
 * or the only one that begins with it, whole labels before parts of one.
 */
export function meant(what: string, typed: string, known: readonly string[]): Meant {
  const word = plain(typed.toLowerCase());
  const same = known.find((name) => plain(name) === word);
  if (same !== undefined) return { ok: true, name: same };
  const begun = word === '' ? [] : known.filter((name) => name.startsWith(word));
  const whole = begun.filter((name) => name.startsWith(`${word}.`));
  const fits = whole.length > 0 ? whole : begun;
  if (fits.length === 1) return { ok: true, name: fits[0]! };
  if (fits.length === 0) {
    return { ok: false, sentence: notAmong(what, plain(typed), known.map(plain)) };
  }
  const choice = listOf(fits.map(plain), 'or');
  return {
    ok: false,
    sentence: `${quoted(plain(typed))} could be ${choice}: give more of the name`,
  };
}

function plain(name: string): string {
  return name.endsWith('.') ? name.slice(0, -1) : name;
}

/** A name of at least two labels with its last dot, where no sentence ends with it. */
const letter = String.raw`\p{Ll}\p{Lo}`;
const sign = String.raw`${letter}\p{M}\p{Nd}`;
const rooted = new RegExp(
  String.raw`((?:[${sign}_*-]+\.)+[${letter}][${sign}-]+)\.(?=[:;,)\]}"'\x60]|\s+[^\sA-Z]|\s*$)`,
  'gu',
);

/** A text for people: the names in it without their last dot. */
export function unrooted(text: string): string {
  return text.includes('.') ? text.replace(rooted, '$1') : text;
}

/** A text for people: the names in it as whoever configured them wrote them. */
export function inScript(text: string, spelling: Spelling): string {
  if (!text.includes('xn--')) return text;
  return text.replace(/(?<![a-z0-9_-])xn--[a-z0-9-]+/g, (label) => {
    return Object.hasOwn(spelling, label) ? spelling[label]! : label;
  });
}

/** A name for people, without its last dot, and in brackets its ASCII form where that is another. */
export function withAscii(name: Name, spelling: Spelling | undefined): string {
  const [ascii, own] = [plain(name), plain(inScript(name, spelling ?? {}))];
  return own === ascii ? ascii : `${own} (${ascii})`;
}

/** The same of every text and key of a document; what it names stands in ASCII as `ascii` beside. */
export function spelt<T>(document: T, spelling: Spelling | undefined): T {
  return spelling === undefined ? document : (inAll(document, spelling, 'ascii') as T);
}

/** A document for programs, unchanged: what it names stands as people write it as `shown` beside. */
export function besideShown<T>(document: T, spelling: Spelling | undefined): T {
  return spelling === undefined ? document : (inAll(document, spelling, 'shown') as T);
}

/** The name of what `spelt` gave, in ASCII. */
export function asciiOf({ name, ascii }: { readonly name: Name; readonly ascii?: Name }): Name {
  return ascii ?? name;
}

function inAll(value: unknown, spelling: Spelling, beside: 'ascii' | 'shown'): unknown {
  const shown = (text: string) => (beside === 'ascii' ? inScript(text, spelling) : text);
  if (typeof value === 'string') return shown(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((one) => inAll(one, spelling, beside));
  const entries = Object.entries(value).map(([key, one]) => {
    return [shown(key), key === 'spelling' ? one : inAll(one, spelling, beside)] as const;
  });
  const { record, name } = value as Readonly<Record<string, unknown>>;
  const names = [record, name].find((one) => typeof one === 'string' && one.endsWith('.'));
  const own = typeof names === 'string' ? inScript(names, spelling) : names;
  if (own !== names) entries.push([beside, beside === 'ascii' ? names : own]);
  return Object.fromEntries(entries);
}

/** `there is no origin "tokio"; did you mean tokyo? (known: hangzhou and tokyo)` */
export function notAmong(what: string, typed: string, known: readonly string[]): string {
  const close = closest(typed, known);
  const hint = close === null ? '' : `; did you mean ${close}?`;
  const choice = known.length === 0 ? 'there is none' : `known: ${listOf(known)}`;
  return `there is no ${what} ${quoted(typed)}${hint} (${choice})`;
}

/** A text as it may stand in a message: short, on one line. */
export function quoted(text: string): string {
  return JSON.stringify(text.length <= 60 ? text : `${text.slice(0, 57)}...`);
}

/** `a, b and c`; the first eight of many. */
export function listOf(words: readonly string[], last: 'and' | 'or' = 'and'): string {
  if (words.length === 0) return 'nothing';
  if (words.length > 8) return `${words.slice(0, 8).join(', ')}, … (${words.length} in all)`;
  return words.length === 1
    ? words[0]!
    : `${words.slice(0, -1).join(', ')} ${last} ${words.at(-1)}`;
}

/** The candidate that a word was probably meant to be; null when none is near enough. */
export function closest(word: string, candidates: readonly string[]): string | null {
  if (word.length > 100) return null;
  const nearEnough = Math.floor((word.length + 1) / 3);
  let [best, least] = [null as string | null, nearEnough + 1];
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) >= least) continue;
    const far = distance(word.toLowerCase(), candidate.toLowerCase());
    if (far < least) [best, least] = [candidate, far];
  }
  return best;
}

/** Edits between two words: insertions, deletions, replacements and swaps of neighbours. */
function distance(a: string, b: string): number {
  let [before, last]: [number[], number[]] = [
    [],
    Array.from({ length: b.length + 1 }, (_, i) => i),
  ];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(row[j - 1]! + 1, last[j]! + 1, last[j - 1]! + same);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwap) least = Math.min(least, before[j - 2]! + 1);
      row.push(least);
    }
    [before, last] = [last, row];
  }
  return last[b.length]!;
}

/** Made when it is wanted: that takes ten milliseconds. */
let segmenter: Intl.Segmenter | null = null;

/** What a person takes for one sign each. */
export function* graphemes(text: string): Generator<string> {
  segmenter ??= new Intl.Segmenter('en', { granularity: 'grapheme' });
  for (const { segment } of segmenter.segment(text)) yield segment;
}

/** Latin, points and arrows: one column each, and none of them joins another. */
const narrow = /^[\x20-\x7e\xa0-\u02ff\u2010-\u2027\u2190-\u21ff]*$/;
// East Asian wide and full-width forms (Unicode TR 11, the large blocks) and pictures.
const wide =
  /^[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}\p{Emoji_Presentation}]/u;

/** Columns that a text takes on a terminal. */
export function width(text: string): number {
  if (narrow.test(text)) return text.length;
  let columns = 0;
  for (const segment of graphemes(text)) columns += wide.test(segment) ? 2 : 1;
  return columns;
}

/** A text with spaces behind it up to so many columns. */
export function padTo(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - width(text)));
}
