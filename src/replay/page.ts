// A replay as one HTML page: the timeline drawn, and the same as tables below it. What it is drawn
// with is drawing.ts's; here is only what of a replay goes where.

import {
  type Bar,
  cut,
  documentOf,
  drawing,
  esc,
  type Lane,
  listOf,
  type Span,
  tableOf,
} from './drawing.ts';
import { bare, type RecordResult, type Replay } from './replay.ts';
import { printSettings } from './settings.ts';
import { type About, day, minutesMean, since, span, time } from './text.ts';

/** From before the first failure to after the first decision: seconds, drawn large. */
const CLOSE_BEFORE_MS = 10_000;
const CLOSE_AFTER_MS = 50_000;
const legend =
  'A red line under a bar: what is given leads to what fails. A triangle: the decision to move. ' +
  'Faded: the vendor does not answer, and resolvers ask another. ' +
  'Times are UTC.';

export function pageOf(r: Replay, about: About): string {
  const { outage } = r;
  const title = `${outage.title} (${day(outage.beganAt)}), replayed`;
  const from = Math.min(r.beganAt, outage.beganAt);
  const whole: Span = { from: from - Math.round((r.endedAt - from) / 20), to: r.endedAt };
  const close = closeUp(r);
  const as = r.as === null ? '' : ` as if it struck ${r.as},`;
  const set = about.settings.length === 0 ? '' : ` with ${printSettings(about.settings)},`;
  const when = `${day(outage.beganAt)} ${time(outage.beganAt)} to ${time(outage.calmAt)} UTC`;
  return documentOf(title, [
    `<h1>${esc(outage.title)}</h1>`,
    `<p>${esc(`${outage.id}: ${when}, ${outage.minutes} minutes.`)}`,
    ` ${esc(`Replayed through ${about.through},${as}${set} seed ${r.seed}.`)}</p>`,
    `<p><b>Failed.</b> ${esc(outage.failed)}</p><p><b>Worked.</b> ${esc(outage.worked)}</p>`,
    `<p><b>Lesson.</b> ${esc(outage.lesson)}</p>`,
    listOf('Notes', [...about.notes, ...r.notes]),
    r.struck.any ? '' : '<p><b>Nothing in this configuration was struck.</b></p>',
    listOf('Warnings', r.warnings),
    '<h2>What it came to</h2>',
    recordTable(r),
    `<p class="small">${esc(minutesMean)}</p>`,
    '<h2>The whole of it</h2>',
    drawn(r, whole, 'whole', `Timeline of ${outage.title}`),
    `<p class="small">${esc(legend)}</p>`,
    ...(close === null
      ? []
      : ['<h2>The first moments</h2>', drawn(r, close, 'close', 'The first moments, enlarged')]),
    '<h2>Line by line</h2>',
    timelineTable(r),
    listOf('Taken for granted', outage.assumed),
    listOf('Sources', outage.sources),
  ]);
}

function closeUp(r: Replay): Span | null {
  const first = r.records.flatMap((one) => one.moves).toSorted((a, b) => a.at - b.at)[0];
  if (first === undefined) return null;
  const failed = r.records.find((one) => one.moves.includes(first))?.failedAt ?? first.at;
  const from = failed <= first.at && first.at - failed < 600_000 ? failed : first.at;
  return { from: from - CLOSE_BEFORE_MS, to: Math.min(r.endedAt, first.at + CLOSE_AFTER_MS) };
}

// ---------------------------------------------------------------- the drawing

function drawn(r: Replay, span: Span, id: string, title: string): string {
  const lanes = lanesOf(r);
  const says =
    `${lanes.length} lanes: the world, diagnoses of clouds, and for each record what each vendor ` +
    'gives. The table below says the same in words.';
  return drawing(lanes, span, { id, title, says }, time);
}

function lanesOf(r: Replay): Lane[] {
  return [
    worldLane(r),
    ...r.clouds.filter((c) => c.diagnoses.length > 0).map((c) => cloudLane(r, c)),
    ...r.records
      .filter((one) => one.struck || one.moves.length > 0)
      .flatMap((one) => one.served.map((_, i) => servedLane(r, one, i))),
  ];
}

function worldLane(r: Replay): Lane {
  const { phases } = r.outage;
  const before: Bar = {
    ...{ from: Number.NEGATIVE_INFINITY, to: phases[0]!.at, look: 'calm' },
    ...{ text: 'all is well', title: 'all is well' },
  };
  const bars = phases.map((p, i): Bar => {
    const to = phases[i + 1]?.at ?? r.endedAt;
    // A console alone that fails is somebody's trouble, and nobody's outage.
    const isMild = p.fails.every((part) => part === 'control');
    const look = p.fails.length === 0 ? 'calm' : isMild ? 'ill' : 'bad';
    return { from: p.at, to, text: p.says, look, title: `${time(p.at)} ${p.says}` };
  });
  return { name: 'world', bars: [before, ...bars], wrong: [], marks: [] };
}

function cloudLane(r: Replay, cloud: Replay['clouds'][number]): Lane {
  const before = { at: Number.NEGATIVE_INFINITY, word: 'healthy', text: 'healthy' };
  const all = [before, ...cloud.diagnoses];
  const bars = all.map((d, i): Bar => {
    const look = d.word === 'healthy' ? 'calm' : 'ill';
    const when = Number.isFinite(d.at) ? `${time(d.at, true)} ` : '';
    const to = all[i + 1]?.at ?? r.endedAt;
    return { from: d.at, to, text: d.word, look, title: `${when}${d.text}` };
  });
  return { name: `diagnosis: ${cloud.name}`, bars, wrong: [], marks: [] };
}

function servedLane(r: Replay, one: RecordResult, index: number): Lane {
  const { provider, gives } = one.served[index]!;
  const bars = gives.map((g, i): Bar => {
    const number = one.targets.indexOf(g.target ?? '');
    const to = gives[i + 1]?.at ?? r.endedAt;
    const span = { from: i === 0 ? Number.NEGATIVE_INFINITY : g.at, to };
    const text = g.target ?? 'nothing';
    const title = `${provider} gives ${text} from ${time(g.at, true)} to ${time(to, true)}`;
    return { ...span, text, look: `target t${number < 0 ? 'x' : number % 4}`, title };
  });
  const wrong = bars.flatMap((b) =>
    one.failing
      .filter((f) => f.target === b.text && f.share >= 0.5)
      .map((f) => ({ from: Math.max(f.from, b.from), to: Math.min(f.to, b.to) }))
      .filter((s) => s.to > s.from),
  );
  const marks = one.moves.map((m) => {
    return { at: m.at, title: `${time(m.at, true)} decided: ${m.from} to ${m.to} (${m.by})` };
  });
  const name = `${cut(bare(one.name).split('.')[0]!, 18)} at ${provider}`;
  const mute = r.vendors.find((v) => v.provider === provider)?.silent ?? [];
  return { name, bars, wrong, mute, marks: index === 0 ? marks : [] };
}

// ---------------------------------------------------------------- the same in words

function recordTable(r: Replay): string {
  const heads = [
    ...['record', 'minutes without', 'with', 'with evict'],
    ...['switches', 'decided after', 'served after', 'predicted'],
    ...['left behind', 'ends on', 'and stays because'],
  ];
  const after = (ms: number | null) => (ms === null ? '-' : span(ms));
  const rows = r.records.map((one) => [
    ...[bare(one.name), String(one.minutesWithout), String(one.minutesWith)],
    one.evicted === null ? '-' : `${one.evicted.minutes} (${one.evicted.providers.join(', ')})`,
    ...[String(one.moves.length), after(one.decidedAfterMs), after(one.servedAfterMs)],
    after(one.predicted?.servedAfterMs ?? null),
    one.behind.map((b) => `${b.provider} ${b.minutes} min (${b.why})`).join('; ') || '-',
    ...[one.endsOn ?? '-', `${one.ends.reason}: ${one.ends.text}`],
  ]);
  return tableOf('Each record', heads, rows);
}

function timelineTable(r: Replay): string {
  const rows = r.timeline.map((line) => {
    const about = line.about === null ? '' : `${line.about}: `;
    return [time(line.at, true), since(line.sinceMs), line.kind, about + line.text];
  });
  const rest = r.leftOut > 0 ? `<p>${r.leftOut} more lines are left out.</p>` : '';
  return tableOf('UTC, and since the first failure', ['UTC', 'since', 'what', ''], rows) + rest;
}
