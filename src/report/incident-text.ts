// An incident on paper: the same sections as Markdown and as a page, and on the page the timeline,
// drawn as the replay's is. Pure: what is told is incident.ts's; how it is drawn is drawing.ts's.

import {
  type Bar,
  documentOf,
  drawing,
  esc,
  type Lane,
  listOf,
  tableOf,
} from '../replay/drawing.ts';
import { bare } from '../replay/replay.ts';
import type { Decision, Incident } from './incident.ts';
import { type Span, within } from './states.ts';
import { asMarkdown, plainly, type Section, span } from './text.ts';
import type { Zone } from './zone.ts';

export function incidentMarkdown(incident: Incident, zone: Zone): string {
  return asMarkdown(titleOf(incident, zone), sectionsOf(incident, zone));
}

/** Self-contained: no script, nothing fetched. */
export function incidentPage(incident: Incident, zone: Zone): string {
  const title = titleOf(incident, zone);
  const room = Math.max(5_000, Math.round((incident.to - incident.from) / 20));
  const whole: Span = { from: incident.from - room, to: incident.to + room };
  const lanes = lanesOf(incident, zone);
  const says = `${lanes.length} lanes: clouds, origins, and of each record what each vendor gives.`;
  const clock = (at: number, seconds: boolean) => zone.time(at, seconds);
  const close = closeUp(incident);
  return documentOf(title, [
    `<h1>${esc(title)}</h1>`,
    drawing(lanes, whole, { id: 'whole', title, says: `${says} The tables say the same.` }, clock),
    `<p class="small">${esc(legend)} ${esc(`Times are ${zone.name}.`)}</p>`,
    ...(close === null
      ? []
      : [
          '<h2>The first moments</h2>',
          drawing(lanes, close, { id: 'close', title: 'The first moments', says }, clock),
        ]),
    ...sectionsOf(incident, zone).map(pageSection),
  ]);
}

const legend =
  'A red line under a bar: what is given leads to what is down. A triangle: the decision to move.';

function closeUp({ decisions, from, to }: Incident): Span | null {
  const first = decisions[0];
  if (first === undefined || to - from < 120_000) return null;
  const begins = Math.max(from, (first.failedAt ?? first.at) - 10_000);
  return { from: begins - 5_000, to: Math.min(to, first.at + 60_000) };
}

function pageSection({ title, lines = [], items = [], table }: Section): string {
  const list = items.length === 0 ? '' : `${listOf(title, items)}`;
  const head = list === '' && title !== '' ? `<h2>${esc(title)}</h2>` : '';
  const text = lines.map((line) => `<p>${esc(line)}</p>`).join('\n');
  const isEmpty = table === undefined || table.rows.length === 0;
  return `${head}${text}${list}${isEmpty ? '' : tableOf(title, table.heads, table.rows)}`;
}

function titleOf({ record, from }: Incident, zone: Zone): string {
  const what = record === null ? 'Incident' : `Incident of ${bare(record)}`;
  return `${what}, ${zone.stamp(from)} (${zone.name})`;
}

// ---------------------------------------------------------------- in words

function sectionsOf(incident: Incident, zone: Zone): Section[] {
  const { decisions } = incident;
  return [
    summaryOf(incident, zone),
    failuresOf(incident, zone),
    ...decisions.map((d) => decisionSection(d, zone)),
    {
      title: "Vendors' times",
      table: {
        heads: ['decided', 'record', 'to', 'vendor', 'written after', 'visible after', 'caches'],
        rows: decisions.flatMap((d) => vendorRows(d, zone)),
      },
    },
    behindOf(decisions, zone),
    {
      title: 'Why it stayed',
      items: incident.stays.map(({ at, text }) => `${zone.time(at, true)} ${text}`),
    },
    timelineOf(incident, zone),
    { title: 'What the journal does not hold', items: unknownOf(incident, zone) },
  ]
    .filter(({ lines = [], items = [], table }: Section) => {
      return lines.length + items.length + (table?.rows.length ?? 0) > 0;
    })
    .map(plainly);
}

function summaryOf(incident: Incident, zone: Zone): Section {
  const { from, to, decisions, failures } = incident;
  const first = decisions[0];
  const failed = failures.length > 0;
  const moved = decisions.filter(({ observed }) => !observed);
  const lines = [
    `From the first ${failed ? 'failure' : 'decision'}, ${zone.stamp(from)}, to the last cache that let go, ` +
      `${zone.stamp(to)}: ${span(to - from)}.`,
    `Down: ${[...new Set(failures.map((f) => f.origin))].join(', ') || 'no origin'}. ` +
      `Decisions: ${decisions.length}, of which ${moved.length} were carried out.`,
  ];
  if (first !== undefined && failed) {
    lines.push(
      `The first decision came ${span(first.at - from)} after the first failure: ${first.sentence}.`,
    );
  }
  for (const { objective } of decisions) if (objective !== null) lines.push(`${objective}.`);
  return { title: 'In short', lines };
}

function failuresOf({ failures, diagnoses }: Incident, zone: Zone): Section {
  return {
    title: 'What failed',
    table: {
      heads: ['what', 'from', 'to', 'evidence'],
      rows: [
        ...failures.map((f) => [f.origin, zone.stamp(f.from), zone.stamp(f.to), f.why]),
        ...diagnoses.flatMap((d, i) => {
          if (d.word === 'healthy') return [];
          const next = diagnoses.slice(i + 1).find(({ cloud }) => cloud === d.cloud);
          const to = next === undefined ? '' : zone.stamp(next.at);
          return [[`${d.cloud}: ${d.word}`, zone.stamp(d.at), to, d.text]];
        }),
      ],
    },
  };
}

function decisionSection(d: Decision, zone: Zone): Section {
  const others = d.alternatives.filter(({ origin }) => origin !== d.to);
  const how = d.observed ? 'only observed, nothing was written' : `decided by ${d.by}`;
  return {
    title: `${bare(d.record)}: ${d.from ?? 'nothing'} to ${d.to} at ${zone.time(d.at, true)}`,
    lines: [`${d.sentence} (${how}).`],
    items: [
      ...d.evidence.map(([word, text]) => `${word}: ${text}`),
      ...others.map(({ origin, why }) => `not ${origin}: ${why}`),
    ],
  };
}

function vendorRows(d: Decision, zone: Zone): string[][] {
  const after = (ms: number | null) => (ms === null ? '-' : span(ms));
  return d.vendors.map((v) => [
    ...[zone.time(d.at, true), bare(d.record), d.to, v.provider],
    ...[after(v.writtenMs), after(v.visibleMs)],
    v.expiredAt === null ? '-' : `empty by ${zone.time(v.expiredAt, true)}`,
  ]);
}

function behindOf(decisions: readonly Decision[], zone: Zone): Section {
  const items = decisions.flatMap((d) =>
    d.behind.map(({ provider, until }) => {
      const end =
        until !== null
          ? `followed at ${zone.time(until, true)}, ${span(until - d.at)} after the decision`
          : d.next !== null
            ? `had not followed when the next decision came at ${zone.time(d.next, true)}`
            : 'has not followed by the end of the journal';
      return `${bare(d.record)} at ${provider}: ${end}`;
    }),
  );
  return { title: 'What was left behind', items };
}

function timelineOf({ lines, leftOut, from }: Incident, zone: Zone): Section {
  const isGroup = lines.some(({ replica }) => replica !== null);
  const rows = lines.map((line) => [
    zone.stamp(line.at),
    `${line.at < from ? '-' : '+'}${span(Math.abs(line.at - from))}`,
    ...(isGroup ? [line.replica ?? ''] : []),
    line.kind,
    line.text,
  ]);
  return {
    title: 'Timeline',
    table: { heads: ['when', 'since', ...(isGroup ? ['replica'] : []), 'what', ''], rows },
    ...(leftOut > 0 ? { lines: [`${leftOut} more lines are left out.`] } : {}),
  };
}

function unknownOf({ gaps, pruned }: Incident, zone: Zone): string[] {
  const end = (at: number) => (Number.isFinite(at) ? zone.stamp(at) : 'the end');
  const items = gaps.map((g) => `${zone.stamp(g.from)} to ${end(g.to)}: ${g.why}`);
  if (pruned)
    items.push('older entries are no longer in the journal: its beginning may be missing');
  items.push('single probes and lookups: a journal holds verdicts and what was decided');
  return items;
}

// ---------------------------------------------------------------- drawn

function lanesOf(incident: Incident, zone: Zone): Lane[] {
  const { health, failures, decisions, diagnoses } = incident;
  const clouds = [...Map.groupBy(diagnoses, ({ cloud }) => cloud)].map(([cloud, all]): Lane => {
    const bars = all.map((d, i): Bar => {
      const to = all[i + 1]?.at ?? Number.POSITIVE_INFINITY;
      const look = d.word === 'healthy' ? 'calm' : 'ill';
      return { from: d.at, to, text: d.word, look, title: `${zone.time(d.at, true)} ${d.text}` };
    });
    return { name: `diagnosis: ${cloud}`, bars, wrong: [], marks: [] };
  });
  const sick = new Set(failures.map(({ origin }) => origin));
  const origins = [...health]
    .filter(([origin]) => sick.has(origin))
    .map(([origin, stretches]): Lane => {
      const looks = { up: 'calm', down: 'bad', unknown: 'ill' } as const;
      const bars = stretches.map(({ from, to, word, why }): Bar => {
        const title = `${zone.time(from, true)} ${why}`;
        return { from, to, text: word, look: looks[word], title };
      });
      return { name: `origin: ${origin}`, bars, wrong: [], marks: [] };
    });
  const records = [...Map.groupBy(decisions, ({ record }) => record)];
  return [...clouds, ...origins, ...records.flatMap(([, all]) => servedLanes(incident, all, zone))];
}

/** What each vendor gives of one record. */
function servedLanes(incident: Incident, all: readonly Decision[], zone: Zone): Lane[] {
  const targets = [...new Set(all.flatMap(({ from, to }) => [from, to]))];
  const providers = [...new Set(all.flatMap((d) => d.vendors.map((v) => v.provider)))];
  return providers.map((provider, index) => {
    const turns = all.flatMap((d) => {
      const ms = d.vendors.find((v) => v.provider === provider)?.visibleMs ?? null;
      return ms === null ? [] : [{ at: d.at + ms, target: d.to as string | null }];
    });
    const first = { at: Number.NEGATIVE_INFINITY, target: all[0]!.from };
    const bars = [first, ...turns].map(({ at, target }, i): Bar => {
      const to = turns[i]?.at ?? Number.POSITIVE_INFINITY;
      const text = target ?? 'nothing';
      const when = Number.isFinite(at) ? ` from ${zone.time(at, true)}` : '';
      const look = `target t${targets.indexOf(target) % 4}`;
      return { from: at, to, text, look, title: `${provider} gives ${text}${when}` };
    });
    const wrong = bars.flatMap((bar) =>
      within(
        incident.failures.filter(({ origin }) => origin === bar.text),
        bar,
      ),
    );
    const marks = all.map((d) => {
      const title = `${zone.time(d.at, true)} decided: ${d.from} to ${d.to} (${d.by})`;
      return { at: d.at, title };
    });
    const name = `${bare(all[0]!.record).split('.')[0]} at ${provider}`;
    return { name, bars, wrong, marks: index === 0 ? marks : [] };
  });
}
