// Reports as text: what of them goes where, as lines for a terminal and as Markdown. Pure. Names come
// from configurations and journals, so whatever could move a cursor, forge a line or become markup is
// taken out here.

import { padTo, unrooted, width } from '../core/name.ts';
import { bare } from '../replay/replay.ts';
import type { SlaReport, SlaRow } from './sla.ts';
import type { Zone } from './zone.ts';

/** One part of a report, for any kind of paper. */
export interface Section {
  readonly title: string;
  readonly lines?: readonly string[];
  readonly items?: readonly string[];
  readonly table?: {
    readonly heads: readonly string[];
    readonly rows: readonly (readonly string[])[];
  };
}

/** Sections as lines, with the tables' columns set under each other. */
export function asText(sections: readonly Section[]): string {
  const out: string[] = [];
  for (const { title, lines = [], items = [], table } of sections) {
    if (out.length > 0) out.push('');
    if (title !== '') out.push(title.toUpperCase());
    out.push(...lines.map(clean), ...items.map((item) => `- ${clean(item)}`));
    if (table !== undefined && table.rows.length > 0) out.push(...columnsOf(table));
  }
  return out.map((line) => `${line}\n`).join('');
}

function columnsOf({ heads, rows }: NonNullable<Section['table']>): string[] {
  const all = [heads, ...rows.map((row) => row.map(clean))];
  const widths = heads.map((_, i) => Math.max(...all.map((row) => width(row[i] ?? ''))));
  return all.map((row) =>
    row
      .map((cell, i) => padTo(cell, widths[i]!))
      .join('  ')
      .trimEnd(),
  );
}

export function asMarkdown(title: string, sections: readonly Section[]): string {
  const out: string[] = [`# ${escaped(title)}`];
  for (const { title: head, lines = [], items = [], table } of sections) {
    out.push('', ...(head === '' ? [] : [`## ${escaped(head)}`, '']));
    if (lines.length > 0) out.push(lines.map(escaped).join('\n\n'), '');
    if (items.length > 0) out.push(...items.map((item) => `- ${escaped(item)}`), '');
    if (table === undefined || table.rows.length === 0) continue;
    const row = (cells: readonly string[]) => `| ${cells.map(escaped).join(' | ')} |`;
    out.push(row(table.heads), `|${' --- |'.repeat(table.heads.length)}`, ...table.rows.map(row));
  }
  return `${out
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trimEnd()}\n`;
}

/** What Markdown would take for a sign of its own stands for itself. */
function escaped(text: string): string {
  return clean(text).replace(/[\\`*_[\]<>|#~]/g, (sign) => `\\${sign}`);
}

/** A section as people read it: names without their last dot, no sign that could do anything. */
export function plainly({ title, lines, items, table }: Section): Section {
  const each = (all: readonly string[]) => all.map(clean);
  return {
    title: clean(title),
    ...(lines === undefined ? {} : { lines: each(lines) }),
    ...(items === undefined ? {} : { items: each(items) }),
    ...(table === undefined ? {} : { table: { ...table, rows: table.rows.map(each) } }),
  };
}

function clean(text: string): string {
  return unrooted(text.replace(/\s+/g, ' ').replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, ''));
}

// ---------------------------------------------------------------- the month

export function slaSections(report: SlaReport, zone: Zone): Section[] {
  const { month, rows, notes, gaps, from, to } = report;
  const whole = `${month}, ${report.zone}: ${zone.stamp(from)} to ${zone.stamp(to)}`;
  const outages = rows.flatMap((row) =>
    row.windows.map((w) => [
      ...[row.kind, labelOf(row), zone.stamp(w.from), zone.stamp(w.to), span(w.ms)],
      w.why,
    ]),
  );
  const empty = gaps.map((g) => `${zone.stamp(g.from)} to ${zone.stamp(g.to)}: ${g.why}`);
  return [
    {
      title: '',
      lines: [`Availability in ${whole}`],
      table: {
        heads: ['WHAT', 'NAME', 'AVAILABLE', 'DOWN', 'UNKNOWN', 'OF KNOWN', 'TIER', 'CREDIT'],
        rows: rows.map(slaRow),
      },
    },
    ...(outages.length === 0
      ? []
      : [
          {
            title: 'Windows of outage',
            table: { heads: ['WHAT', 'NAME', 'FROM', 'TO', 'FOR', 'WHY'], rows: outages },
          },
        ]),
    ...(empty.length === 0 ? [] : [{ title: 'Not known', items: empty }]),
    ...(notes.length === 0 ? [] : [{ title: 'To know', items: notes }]),
    { title: 'How it is counted', lines: counts },
  ];
}

const counts = [
  'AVAILABLE: the month less its outages, as agreements count; what is unknown is no outage. ' +
    'OF KNOWN: the same of the time of which something is known. A cloud is down by its diagnosis, ' +
    'an origin by its health, a record while what it leads to is down and until every vendor in ' +
    'reach gave another target; caches keep the old answer for one TTL more.',
];

function slaRow(row: SlaRow): string[] {
  return [
    ...[row.kind, labelOf(row), row.ofKnown === null ? 'not known' : percent(row.availability)],
    row.downMs === 0 ? '-' : span(row.downMs),
    row.unknownMs === 0 ? '-' : span(row.unknownMs),
    row.ofKnown === null ? '-' : percent(row.ofKnown),
    tierOf(row),
    row.tier === null ? '-' : `${row.tier.credit} %`,
  ];
}

/** Of what nobody knows anything, nobody knows that it was kept. */
function tierOf({ service, tier, ofKnown }: SlaRow): string {
  if (service === null || ofKnown === null) return '-';
  return tier === null ? 'kept' : `below ${tier.below} %`;
}

function labelOf({ name, kind, service }: SlaRow): string {
  return kind === 'cloud' && service !== null ? `${name}: ${service}` : bare(name);
}

/** Never rounded up to what was not reached. */
function percent(share: number): string {
  return `${(Math.floor(share * 100 + 1e-6) / 100).toFixed(2)} %`;
}

/** `312 ms`, `12.8 s`, `1h 41m`, `3d 4h`. */
export function span(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 600_000) return `${Number((ms / 1000).toFixed(ms < 60_000 ? 1 : 0))} s`;
  const minutes = Math.round(ms / 60_000);
  if (minutes < 60) return `${minutes}m`;
  if (minutes < 2880) return `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
  return `${Math.floor(minutes / 1440)}d ${Math.floor((minutes % 1440) / 60)}h`;
}
