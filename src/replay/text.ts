// Results as text for people: a head, what it came to for each record, warnings, the timeline.
// Pure: a result and the width of the paper go in, text comes out. Names come from configurations
// and journals, so whatever could move a cursor or forge a line is taken out here.

import { styleText } from 'node:util';
import { padTo, width } from '../core/name.ts';
import { falseMeans, type JournalMove, type JournalReplay } from './journal.ts';
import { outages, spanOf } from './outages.ts';
import { bare, type LineKind, type RecordResult, type Replay } from './replay.ts';
import { printSettings, type Setting } from './settings.ts';
import type { Sweep } from './sweep.ts';

export interface Paper {
  readonly columns: number;
  readonly colour: boolean;
}

/** What a result was made with. */
export interface About {
  /** The configuration's file, or what stands for it. */
  readonly through: string;
  readonly settings: readonly Setting[];
  readonly notes: readonly string[];
}

type Style = Parameters<typeof styleText>[0];

const styleOf: Readonly<Record<LineKind, Style>> = {
  world: 'bold',
  saw: 'dim',
  diagnosed: 'magenta',
  decided: ['cyan', 'bold'],
  stayed: 'cyan',
  did: 'green',
  served: 'green',
  lane: 'yellow',
  told: 'yellow',
};

/** What the two columns of minutes count. */
export const minutesMean =
  'minutes: each answer in a cache counts, a client keeping it for one TTL; "without" leaves the ' +
  'record on its first target';

export function printList(paper: Paper): string {
  const page = pageOf(paper);
  for (const o of outages) {
    const { beganAt, calmAt } = spanOf(o);
    const length = `${Math.round((calmAt - beganAt) / 60_000)} min`;
    page.flow(o.id.padEnd(28), `${o.title} (${length})`);
  }
  page.blank();
  page.flow('', 'Replay one: detour simulate OUTAGE -c detour.yaml');
  return page.text();
}

export function printReplay(r: Replay, about: About, paper: Paper): string {
  const page = pageOf(paper);
  const { outage } = r;
  page.flow('', outage.title, 'bold');
  const span = `${day(outage.beganAt)} ${time(outage.beganAt)} to ${time(outage.calmAt)} UTC`;
  page.flow('', `${outage.id}, ${span}, ${outage.minutes} min`);
  page.blank();
  page.flow('  failed   ', outage.failed);
  page.flow('  worked   ', outage.worked);
  page.flow('  lesson   ', outage.lesson);
  const as = r.as === null ? '' : `, as if it struck ${r.as}`;
  const loss = r.loss === 0 ? '' : `, ${Number((r.loss * 100).toFixed(2))} % of probes lost`;
  const set = about.settings.length === 0 ? '' : `, ${printSettings(about.settings)}`;
  page.flow('  through  ', `${about.through}${as}${set}${loss}, seed ${r.seed}`);
  struckLine(page, r);
  for (const note of [...about.notes, ...r.notes]) page.flow('  note     ', note, 'yellow');
  page.blank();
  recordsPart(page, r);
  evictionPart(page, r);
  for (const warning of r.warnings) page.flow('! ', warning, 'yellow');
  if (r.warnings.length > 0) page.blank();
  timelinePart(page, r);
  page.blank();
  for (const text of outage.assumed) page.flow('  assumed  ', text, 'dim');
  for (const text of outage.sources) page.flow('  source   ', text, 'dim');
  page.flow('  counts   ', minutesMean, 'dim');
  return page.text();
}

function struckLine(page: Page, r: Replay): void {
  const { any, choices, origins, providers, paths } = r.struck;
  if (!any) {
    const text =
      'nothing in this configuration: no cloud, DNS vendor or path of it is the one struck';
    page.flow('  struck   ', text, 'yellow');
    page.flow(
      '           ',
      `--as NAME replays it as if it struck one of yours: ${choices.join(', ')}`,
      'yellow',
    );
    return;
  }
  const parts = [
    ...(origins.length > 0 ? [`origins ${origins.join(', ')}`] : []),
    ...(providers.length > 0 ? [`DNS at ${providers.join(', ')}`] : []),
    ...(paths.length > 0 ? [`paths ${paths.join(', ')}`] : []),
  ];
  const other = `checks ${r.struck.checks.join(', ')}`;
  page.flow('  struck   ', parts.length > 0 ? parts.join('; ') : other);
}

function recordsPart(page: Page, r: Replay): void {
  const shown = r.records.filter((one) => one.struck || one.moves.length > 0);
  const rest = r.records.filter((one) => !shown.includes(one));
  const names = (near: boolean) => {
    return rest
      .filter((one) => one.near === near)
      .map((one) => bare(one.name))
      .join(', ');
  };
  const rows = shown.map((one) => [
    bare(one.name),
    `${one.minutesWithout}`,
    `${one.minutesWith}`,
    one.evicted === null ? '-' : `${one.evicted.minutes}`,
    countOf(one),
    one.decidedAfterMs === null ? '-' : span(one.decidedAfterMs),
    one.servedAfterMs === null ? '-' : span(one.servedAfterMs),
    one.predicted === null ? '-' : span(one.predicted.servedAfterMs),
    one.behind.map((b) => `${b.provider} ${b.minutes} min`).join(', ') || '-',
    one.endsOn ?? '-',
  ]);
  const heads = [
    'RECORD',
    'MIN WITHOUT',
    'WITH',
    'EVICTED',
    'SWITCHES',
    'DECIDED',
    'SERVED',
    'PREDICTED',
    'BEHIND',
    'ENDS ON',
  ];
  if (rows.length > 0) page.table(heads, rows);
  for (const one of shown) page.flow(`  ${bare(one.name)}: `, whyOf(one), 'dim', 4);
  const [near, far] = [names(true), names(false)];
  if (near !== '')
    page.flow('', `in a cloud that was struck, and nothing of theirs failed: ${near}`);
  if (far !== '') page.flow('', `elsewhere: ${far}`);
  page.blank();
}

/** What EVICTED counts, and what it rests on. */
function evictionPart(page: Page, r: Replay): void {
  const parts = r.records.flatMap((one) => {
    if (one.evicted === null) return [];
    const { providers, at, minutes } = one.evicted;
    const words = providers.map((p) => `\`detour evict ${p}\``).join(', ');
    return [
      `${bare(one.name)}: ${one.minutesWith} min without ${words} at ${time(at)}, ${minutes} with it`,
    ];
  });
  if (parts.length === 0) return;
  for (const part of parts) page.flow('  evict    ', part, 'cyan');
  const { afterMs, parentTtlMs } = r.eviction;
  const rests =
    `a person takes the vendor out ${span(afterMs)} after the switch that it did not follow, and ` +
    `resolvers keep the delegation for ${span(parentTtlMs)} (--evict-after, --parent-ttl)`;
  page.flow('  assumed  ', rests, 'dim');
  page.blank();
}

function countOf(one: RecordResult): string {
  const wrong = one.moves.filter((m) => m.isFalse).length;
  return wrong === 0 ? `${one.moves.length}` : `${one.moves.length} (${wrong} false)`;
}

function whyOf(one: RecordResult): string {
  const moves = one.moves.map((m) => `${m.from} -> ${m.to} at ${time(m.at)} (${m.by})`);
  const moved = moves.length > 0 ? `${moves.join(', ')}; ` : '';
  return `${moved}at the end it stays: ${one.ends.reason}, ${one.ends.text}`;
}

function timelinePart(page: Page, r: Replay): void {
  for (const line of r.timeline) {
    const head = `${time(line.at, true)} ${since(line.sinceMs).padStart(9)}  ${line.kind.padEnd(9)} `;
    const about = line.about === null ? '' : `${line.about}: `;
    page.flow(head, about + line.text, styleOf[line.kind]);
  }
  if (r.leftOut > 0) page.flow('', `${r.leftOut} more lines are left out`);
}

export function printSweep(
  s: Sweep,
  r: { id: string },
  about: About,
  loss: number,
  paper: Paper,
): string {
  const page = pageOf(paper);
  const calm = `${span(s.calmMs)} of calm first, at most ${span(s.replayedMs)} in all`;
  page.flow(
    '',
    `${r.id} through ${about.through}, ${Number((loss * 100).toFixed(2))} % of probes lost`,
  );
  page.flow('', `each row: ${calm}`);
  for (const note of [...about.notes, ...s.notes]) page.flow('note: ', note, 'yellow');
  const struck = s.struck.map(bare).join(', ');
  page.flow(
    '',
    struck === '' ? 'no record has to move' : `records whose first target fails: ${struck}`,
  );
  page.blank();
  const keys = (s.rows[0]?.settings ?? []).map((one) => one.key);
  const heads = [...keys, 'FALSE', 'SWITCHES', 'DECIDED', 'SERVED', 'STAYED', 'PROBES/S'];
  const after = (ms: number | null) => (ms === null ? '-' : span(ms));
  const rows = s.rows.map((row) => [
    ...row.settings.map((one) => one.value),
    ...[String(row.falseSwitches), String(row.switches)],
    ...[after(row.decidedAfterMs), after(row.servedAfterMs)],
    ...[String(row.stayed), String(row.probesPerSecond)],
  ]);
  page.table(heads, rows);
  page.blank();
  page.flow(
    '',
    'FALSE: switches away from what had not failed. DECIDED, SERVED: the slowest record, ' +
      'from the failure on. STAYED: records on a failing target that did not move.',
    'dim',
  );
  return page.text();
}

export function printJournal(j: JournalReplay, about: About, paper: Paper): string {
  const page = pageOf(paper);
  page.flow('', `${j.file}: ${j.entries} entries, ${day(j.fromWall)} to ${day(j.toWall)}`);
  const set = about.settings.length === 0 ? 'as configured' : printSettings(about.settings);
  page.flow(
    '',
    `${j.troubles} times an origin was down; replayed ${set}, through ${about.through}`,
  );
  for (const note of [...about.notes, ...j.notes]) page.flow('note: ', note, 'yellow');
  page.blank();
  page.flow('', `recorded: switched ${tally(j.recorded)}`);
  page.flow('', `replayed: would have switched ${tally(j.replayed)}`, 'bold');
  page.blank();
  const rows = j.replayed.map((m) => [
    `${day(m.at)} ${time(m.at, true)}`,
    bare(m.record),
    `${m.from} -> ${m.to}`,
    m.isFalse === null ? 'not known' : m.isFalse ? 'false' : 'right',
    m.upAgainAfterMs === null ? 'not in the journal' : span(m.upAgainAfterMs),
  ]);
  if (rows.length > 0)
    page.table(['WHEN (UTC)', 'RECORD', 'SWITCH', 'WAS', 'UP AGAIN AFTER'], rows);
  if (rows.length > 0) page.blank();
  page.flow('', falseMeans, 'dim');
  page.flow('', 'What this cannot know:');
  for (const text of j.cannotKnow) page.flow('- ', text, 'dim');
  return page.text();
}

/** `3 times, 2 of them false`. */
function tally(moves: readonly JournalMove[]): string {
  const wrong = moves.filter((m) => m.isFalse === true).length;
  const unknown = moves.filter((m) => m.isFalse === null).length;
  const times = `${moves.length} time${moves.length === 1 ? '' : 's'}`;
  const open = unknown > 0 ? `, ${unknown} not known` : '';
  return moves.length === 0 ? times : `${times}, ${wrong} of them false${open}`;
}

/** `312 ms`, `12.8 s`, `1h 41m`. */
export function span(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  const seconds = Math.floor(ms / 1000) % 60;
  if (minutes < 60) return seconds === 0 ? `${minutes}m` : `${minutes}m ${seconds}s`;
  return minutes % 60 === 0 ? `${minutes / 60}h` : `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
}

export function since(ms: number): string {
  return `${ms < 0 ? '-' : '+'}${span(Math.abs(ms))}`;
}

/** `09:39`, or with seconds; UTC. */
export function time(at: number, seconds = false): string {
  return new Date(at).toISOString().slice(11, seconds ? 19 : 16);
}

export function day(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}

// ---------------------------------------------------------------- the page

interface Page {
  blank(): void;
  /** A start, then words wrapped under its end. */
  flow(start: string, text: string, style?: Style, indent?: number): void;
  table(heads: readonly string[], rows: readonly (readonly string[])[]): void;
  text(): string;
}

function pageOf({ columns: wide, colour }: Paper): Page {
  const columns = Math.max(50, wide);
  const lines: string[] = [];
  const paint = (text: string, style: Style | undefined) =>
    style === undefined || !colour ? text : styleText(style, text, { validateStream: false });
  return {
    blank: () => void lines.push(''),
    flow(start, text, style, indent) {
      const hang = ' '.repeat(indent ?? start.length);
      let [head, line] = [start, ''];
      for (const word of clean(text).split(' ')) {
        const longer = line === '' ? word : `${line} ${word}`;
        if (line !== '' && head.length + longer.length > columns) {
          lines.push(head + paint(line, style));
          [head, line] = [hang, word];
        } else line = longer;
      }
      lines.push((head + paint(line, style)).trimEnd());
    },
    table(heads, rows) {
      const all = [heads, ...rows.map((row) => row.map(clean))];
      const widths = heads.map((_, i) => Math.max(...all.map((row) => width(row[i]!))));
      all.forEach((row, at) => {
        const line = row
          .map((cell, i) => padTo(cell, widths[i]!))
          .join('  ')
          .trimEnd();
        lines.push(at === 0 ? paint(line, 'dim') : line);
      });
    },
    text: () => lines.map((line) => `${line}\n`).join(''),
  };
}

function clean(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, '');
}
