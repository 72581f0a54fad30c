// What the page makes of the board before it is drawn: the sentence at the top, which records come
// first, how old a thing is, what a strip looks like. Pure, so that it can be tried without a
// browser; it never calls unknown down, and never says well of what it does not know.

import { ofDiagnosis, worryOf } from '../../src/cli/worry.ts';
import type { Diagnosis, Spelling } from '../../src/core/model.ts';
import { asciiOf, inScript } from '../../src/core/name.ts';
import type { Board, Change, EntryRow, OriginRow, RecordRow } from '../../src/serve/board.ts';
import { type Language, type Say, sayOf } from './words.ts';

export const levels = ['trouble', 'unknown', 'note', 'well'] as const;
export type Level = (typeof levels)[number];

const lists = ['records', 'origins', 'clouds', 'paths', 'lanes'] as const;

/** The board with a change in it: rows in the place of those of the same name. */
export function changed(board: Board, change: Change): Board {
  const next: Record<string, unknown> = { ...board };
  for (const key of ['rev', 'at', 'wall', 'rest'] as const) {
    if (change[key] !== undefined) next[key] = change[key];
  }
  for (const list of lists) {
    const rows: readonly object[] | undefined = change[list];
    if (rows === undefined) continue;
    const young = new Map(rows.map((row) => [nameOf(row), row]));
    next[list] = (board[list] as readonly object[]).map((row) => young.get(nameOf(row)) ?? row);
  }
  return next as Board;
}

function nameOf(row: object): string {
  const { name, provider } = row as { readonly name?: string; readonly provider?: string };
  return name ?? provider ?? '';
}

// ---------------------------------------------------------------- the sentence at the top

export function levelOfDiagnosis(word: string): Level {
  return Object.hasOwn(ofDiagnosis, word) ? ofDiagnosis[word as Diagnosis] : 'note';
}

/** The level of a row is asked for at each drawing: it is that of the row for good. */
const known = new WeakMap<RecordRow, { readonly level: Level; readonly word: string }>();

export function worry(row: RecordRow): { readonly level: Level; readonly word: string } {
  let found = known.get(row);
  if (found === undefined) {
    const { level, word } = worryOf(row);
    found = { level, word };
    known.set(row, found);
  }
  return found;
}

/** Whether the target in force leads to an origin that is up. */
export function isServed({ target, targets }: RecordRow): boolean {
  return targets.some(({ origin, health }) => origin === target && health === 'up');
}

export interface Headline {
  readonly level: Level;
  /** What is the matter. */
  readonly title: string;
  /** What that means for the records, in a few words each. */
  readonly facts: readonly string[];
  /** The daemon's own evidence, in English. */
  readonly evidence: readonly string[];
  /** In the daemon's time; null: it is not known. */
  readonly sinceAt: number | null;
}

export function headline(board: Board, say: Say): Headline {
  const { records, clouds, paths, lanes, rest } = board;
  const all = records.length;
  const count = (is: (row: RecordRow) => boolean) => records.filter(is).length;
  const waiting = count((r) => r.approval !== null);
  const switching = count((r) => r.switching);
  const behind = count((r) => r.leftBehind !== null);
  const held = count((r) => r.pin !== null || r.freeze !== null);
  const facts = [
    ...(waiting > 0
      ? [say(`head.approvals.${waiting === 1 ? 'one' : 'many'}`, { n: waiting })]
      : []),
    say('head.served', { n: count(isServed), all }),
    ...(switching > 0 ? [say('head.switching', { n: switching })] : []),
    ...(behind > 0 ? [say('head.behind', { n: behind })] : []),
    ...(held > 0 ? [say('head.held', { n: held })] : []),
  ];
  const line = (level: Level, title: string, sinceAt: number | null, evidence: string[] = []) => {
    return { level, title, facts, evidence, sinceAt };
  };
  if (paths.length > 0 && paths.every(({ state }) => state === 'blind')) {
    return line('unknown', say('head.blind'), null);
  }
  const ill = clouds
    .filter(({ diagnosis }) => levelOfDiagnosis(diagnosis) === 'trouble')
    .toSorted((a, b) => weight(b.diagnosis) - weight(a.diagnosis));
  if (ill.length > 0) {
    const title = ill
      .map(({ name, diagnosis }) =>
        say('head.cloud', { cloud: name, diagnosis: sayOf(say, 'diagnosis', diagnosis) }),
      )
      .join(' · ');
    const sinceAt = Math.min(...ill.map((c) => c.sinceAt));
    return line(
      'trouble',
      title,
      sinceAt,
      ill.map(({ sentence }) => sentence),
    );
  }
  const inTrouble = count((r) => worry(r).level === 'trouble');
  if (inTrouble > 0) return line('trouble', say('head.records', { n: inTrouble, all }), null);
  const lane = lanes.find(({ state }) => state !== 'ok');
  if (lane !== undefined) {
    const { provider, state, detail, sinceAt } = lane;
    const title = say('head.lanes', { provider, state: sayOf(say, 'lane', state) });
    return line('trouble', title, sinceAt, detail === null ? [] : [detail]);
  }
  const unsure = count((r) => worry(r).level === 'unknown');
  if (unsure > 0) return line('unknown', say('head.unsure', { n: unsure, all }), null);
  if (!rest.ready.ok) {
    return line(
      'trouble',
      say('head.unready'),
      null,
      rest.ready.reasons.filter((r) => r !== ''),
    );
  }
  return line('well', say('head.well'), null);
}

/** The wider the failure, the earlier it is named. */
function weight(diagnosis: string): number {
  const order: readonly string[] = [
    ...['paths-disagree', 'origin-down', 'control-plane-down', 'auth-down', 'region-down'],
    'cloud-down',
  ];
  return order.indexOf(diagnosis);
}

// ---------------------------------------------------------------- records

/** What a record is found by. */
const texts = new WeakMap<RecordRow, string>();

function textOf(row: RecordRow, say: Say): string {
  let text = texts.get(row);
  if (text === undefined) {
    const { level, word } = worry(row);
    text = [
      ...[
        row.name,
        asciiOf(row),
        ...row.names,
        row.target ?? '',
        row.cname ?? '',
        row.mode,
        level,
        word,
      ],
      ...[sayOf(say, 'mode', row.mode), sayOf(say, 'level', level)],
      ...(row.pin === null ? [] : ['pinned', say('record.pinned')]),
      ...(row.freeze === null ? [] : ['frozen', say('record.frozen')]),
      ...(row.switching ? ['switching'] : []),
    ]
      .join(' ')
      .toLowerCase();
    texts.set(row, text);
  }
  return text;
}

/** Those that all words of a search are found in, trouble first and then by name. */
export function found(
  records: readonly RecordRow[],
  search: string,
  say: Say,
  spelling: Spelling = {},
): RecordRow[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const forms = words.map((word) => [word, inScript(word, spelling), inAscii(word)]);
  const isIn = (text: string) => forms.every((all) => all.some((form) => text.includes(form)));
  const of = (row: RecordRow) => levels.indexOf(worry(row).level);
  return records
    .filter((row) => words.length === 0 || isIn(textOf(row, say)))
    .toSorted((a, b) => of(a) - of(b) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/** A part of a name as DNS has it; what is no part of any stays as it is. */
function inAscii(word: string): string {
  const url = `http://${word}`;
  const isForeign = /^[\p{L}\p{M}\p{N}.-]+$/u.test(word) && /[^\0-\x7f]/.test(word);
  return isForeign && URL.canParse(url) ? new URL(url).hostname : word;
}

/** Whether a record is the one that an address names, in either form. */
export function isNamed(row: RecordRow, name: string | null): boolean {
  return name !== null && [bare(row.name), bare(asciiOf(row))].includes(name);
}

/** Without the dot that every name ends with. */
export function bare(name: string): string {
  return name.replace(/\.$/, '');
}

/** The last dots of names say nothing to a person. */
export function bareIn(sentence: string): string {
  return sentence.replaceAll(/\.(?=[\s:;,)]|$)/g, '');
}

/** A sentence without the record that it begins with. */
export function without(sentence: string, record: string): string {
  return sentence.startsWith(`${record}: `) ? sentence.slice(record.length + 2) : sentence;
}

/** The worst health first. */
export function byHealth(origins: readonly OriginRow[]): OriginRow[] {
  const order = ['down', 'unknown', 'up'];
  return origins.toSorted((a, b) => order.indexOf(a.health) - order.indexOf(b.health));
}

export interface Step {
  readonly word: 'decided' | 'written' | 'visible';
  readonly isDone: boolean;
  /** From the decision; null: not known, or not done. */
  readonly ms: number | null;
}

/** The stages of a switch at one vendor. */
export function stepsOf({
  stage,
  writtenAfterMs,
  visibleAfterMs,
}: {
  readonly stage: string;
  readonly writtenAfterMs: number | null;
  readonly visibleAfterMs: number | null;
}): readonly Step[] {
  const isVisible = stage === 'visible';
  const isWritten = isVisible || stage === 'written' || writtenAfterMs !== null;
  return [
    { word: 'decided', isDone: stage !== 'unread' && stage !== 'waiting', ms: null },
    { word: 'written', isDone: isWritten, ms: writtenAfterMs },
    { word: 'visible', isDone: isVisible, ms: isVisible ? visibleAfterMs : null },
  ];
}

// ---------------------------------------------------------------- time

/** So long, in two units at most: 850 ms, 12 s, 3 min 20 s, 5 h 2 min, 3 d 4 h. */
export function span(ms: number, language: Language): string {
  const zh = language === 'zh';
  const unit = (n: number, en: string, cn: string) => (zh ? `${n} ${cn}` : `${n} ${en}`);
  if (ms < 1000) return unit(Math.max(0, Math.round(ms)), 'ms', '毫秒');
  const seconds = Math.floor(ms / 1000);
  const parts = [
    [Math.floor(seconds / 86_400), 'd', '天'],
    [Math.floor(seconds / 3600) % 24, 'h', '小时'],
    [Math.floor(seconds / 60) % 60, 'min', '分'],
    [seconds % 60, 's', '秒'],
  ] as const;
  const first = parts.findIndex(([n]) => n > 0);
  return parts
    .slice(first, first + 2)
    .filter(([n]) => n > 0)
    .map(([n, en, cn]) => unit(n, en, cn))
    .join(' ');
}

/** How old or how far off a thing is, in whole seconds, one at least. */
export function seconds(ms: number, language: Language): string {
  return span(Math.max(1000, ms), language);
}

/** What was measured: 312 ms, 1.24 s, 90 s. */
export function measured(ms: number, language: Language): string {
  const zh = language === 'zh';
  if (ms < 1000) return `${Math.round(ms)} ${zh ? '毫秒' : 'ms'}`;
  const text = (ms / 1000)
    .toFixed(ms < 10_000 ? 2 : ms < 100_000 ? 1 : 0)
    .replace(/\.0+$|(\.\d*?)0+$/, '$1');
  return `${text} ${zh ? '秒' : 's'}`;
}

// ---------------------------------------------------------------- strips

export interface Run {
  readonly mark: string;
  readonly from: number;
  readonly pieces: number;
}

/** Pieces alike, side by side, as one. */
export function runsOf(marks: string): readonly Run[] {
  const runs: { mark: string; from: number; pieces: number }[] = [];
  for (const [i, mark] of [...marks].entries()) {
    const last = runs.at(-1);
    if (last?.mark === mark) last.pieces++;
    else runs.push({ mark, from: i, pieces: 1 });
  }
  return runs;
}

const markWords: Readonly<Record<string, 'pass' | 'slow' | 'limited' | 'blind' | 'fail'>> = {
  ...{ p: 'pass', s: 'slow', l: 'limited', b: 'blind', f: 'fail' },
};

export function markWord(mark: string): 'pass' | 'slow' | 'limited' | 'blind' | 'fail' | 'none' {
  return markWords[mark] ?? 'none';
}

/** What a strip shows, for who cannot see it: each mark with its share of what was seen. */
export function summary(marks: string, say: Say): string {
  const seen = [...marks].filter((mark) => mark !== '.');
  if (seen.length === 0) return say('strip.nothing');
  return ['f', 'b', 'l', 's', 'p']
    .map((mark) => [mark, seen.filter((one) => one === mark).length] as const)
    .filter(([, n]) => n > 0)
    .map(([mark, n]) => {
      const share = Math.max(1, Math.round((100 * n) / seen.length));
      return `${say(`mark.${markWord(mark)}`)} ${share} %`;
    })
    .join(', ');
}

/** The mark that was seen last. */
export function lastMark(marks: string): string {
  return marks.replace(/\.+$/, '').at(-1) ?? '.';
}

// ---------------------------------------------------------------- the journal

/** What an entry says where its own sentence is not shown. */
export function sentenceOf(entry: EntryRow, say: Say): string {
  if (entry.sentence !== '') return entry.sentence;
  const what = sayOf(say, 'kind', entry.kind);
  const where = entry.record === null ? '' : `${bare(entry.record)}: `;
  return entry.from !== null && entry.to !== null
    ? `${where}${entry.from} → ${entry.to}`
    : `${where}${what}`;
}
