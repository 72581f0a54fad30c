// A replay as one HTML page: the timeline drawn as inline SVG, the same as tables below it, and
// nothing fetched from anywhere: no script, no font, no image. Well-formed as XML, so that any
// reader takes it. All that comes from a configuration is escaped.

import { bare, type RecordResult, type Replay } from './replay.ts';
import { printSettings } from './settings.ts';
import { type About, day, minutesMean, since, span, time } from './text.ts';

const WIDTH = 1000;
const LEFT = 190;
const ROW = 22;
const GAP = 12;
/** From before the first failure to after the first decision: seconds, drawn large. */
const CLOSE_BEFORE_MS = 10_000;
const CLOSE_AFTER_MS = 50_000;
const legend =
  'A red line under a bar: what is given leads to what fails. A triangle: the decision to move. ' +
  'Faded: the vendor does not answer, and resolvers ask another. ' +
  'Times are UTC.';

interface Span {
  readonly from: number;
  readonly to: number;
}

interface Bar extends Span {
  readonly text: string;
  readonly look: string;
  /** For whoever hovers, and for readers of the drawing. */
  readonly title: string;
}

interface Lane {
  readonly name: string;
  readonly bars: readonly Bar[];
  /** Where what is shown leads to what fails. */
  readonly wrong: readonly Span[];
  /** Where nobody is answered. */
  readonly mute?: readonly Span[];
  readonly marks: readonly { readonly at: number; readonly title: string }[];
}

export function pageOf(r: Replay, about: About): string {
  const { outage } = r;
  const title = `${outage.title} (${day(outage.beganAt)}), replayed`;
  const from = Math.min(r.beganAt, outage.beganAt);
  const whole: Span = { from: from - Math.round((r.endedAt - from) / 20), to: r.endedAt };
  const close = closeUp(r);
  const as = r.as === null ? '' : ` as if it struck ${r.as},`;
  const set = about.settings.length === 0 ? '' : ` with ${printSettings(about.settings)},`;
  const when = `${day(outage.beganAt)} ${time(outage.beganAt)} to ${time(outage.calmAt)} UTC`;
  return [
    '<!DOCTYPE html>',
    '<html lang="en"><head><meta charset="utf-8"/>',
    '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
    `<title>${esc(title)}</title><style>${style}</style></head><body><main>`,
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
    drawing(r, whole, 'whole', `Timeline of ${outage.title}`),
    `<p class="small">${esc(legend)}</p>`,
    ...(close === null
      ? []
      : ['<h2>The first moments</h2>', drawing(r, close, 'close', 'The first moments, enlarged')]),
    '<h2>Line by line</h2>',
    timelineTable(r),
    listOf('Taken for granted', outage.assumed),
    listOf('Sources', outage.sources),
    '</main></body></html>',
    '',
  ].join('\n');
}

function closeUp(r: Replay): Span | null {
  const first = r.records.flatMap((one) => one.moves).toSorted((a, b) => a.at - b.at)[0];
  if (first === undefined) return null;
  const failed = r.records.find((one) => one.moves.includes(first))?.failedAt ?? first.at;
  const from = failed <= first.at && first.at - failed < 600_000 ? failed : first.at;
  return { from: from - CLOSE_BEFORE_MS, to: Math.min(r.endedAt, first.at + CLOSE_AFTER_MS) };
}

// ---------------------------------------------------------------- the drawing

function drawing(r: Replay, span: Span, id: string, title: string): string {
  const lanes = lanesOf(r);
  const height = 30 + lanes.length * (ROW + GAP) + 24;
  const x = (at: number) => {
    const share = (at - span.from) / Math.max(1, span.to - span.from);
    return Math.round((LEFT + share * (WIDTH - LEFT - 10)) * 10) / 10;
  };
  const parts = lanes.map((lane, i) => laneOf(lane, 24 + i * (ROW + GAP), span, x));
  const says =
    `${lanes.length} lanes: the world, diagnoses of clouds, and for each record what each vendor ` +
    'gives. The table below says the same in words.';
  return [
    `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="${id}-t ${id}-d">`,
    `<title id="${id}-t">${esc(title)}</title><desc id="${id}-d">${esc(says)}</desc>`,
    ...ticks(span, x, height),
    ...parts,
    '</svg>',
  ].join('\n');
}

function ticks(span: Span, x: (at: number) => number, height: number): string[] {
  const steps = [5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 14_400, 43_200].map((s) => s * 1000);
  const step = steps.find((ms) => (span.to - span.from) / ms <= 10) ?? 86_400_000;
  const lines: string[] = [];
  for (let at = Math.ceil(span.from / step) * step; at <= span.to; at += step) {
    lines.push(
      `<line class="tick" x1="${x(at)}" y1="18" x2="${x(at)}" y2="${height - 4}"/>` +
        `<text class="at" x="${x(at)}" y="12">${time(at, step < 60_000)}</text>`,
    );
  }
  return lines;
}

function laneOf(lane: Lane, y: number, span: Span, x: (at: number) => number): string {
  const within = <T extends Span>(all: readonly T[]) =>
    all
      .filter((b) => b.to > span.from && b.from < span.to)
      .map((b) => ({ ...b, x1: x(Math.max(b.from, span.from)), x2: x(Math.min(b.to, span.to)) }));
  const bars = within(lane.bars).map((b) => {
    const wide = Math.max(1, b.x2 - b.x1);
    const room = Math.floor(wide / 6.5);
    const text = b.text.length <= room ? b.text : room > 4 ? `${b.text.slice(0, room - 1)}…` : '';
    return (
      `<g><title>${esc(b.title)}</title>` +
      `<rect class="${b.look}" x="${b.x1}" y="${y}" width="${round(wide)}" height="${ROW}"/>` +
      `${text === '' ? '' : `<text class="in" x="${b.x1 + 4}" y="${y + 15}">${esc(text)}</text>`}</g>`
    );
  });
  const wrong = within(lane.wrong).map((w) => {
    const wide = round(Math.max(1, w.x2 - w.x1));
    return `<rect class="wrong" x="${w.x1}" y="${y + ROW - 4}" width="${wide}" height="4"/>`;
  });
  const mute = within(lane.mute ?? []).map((m) => {
    const rect = `x="${m.x1}" y="${y}" width="${round(Math.max(1, m.x2 - m.x1))}" height="${ROW}"`;
    return `<g><title>its name servers do not answer</title><rect class="mute" ${rect}/></g>`;
  });
  const marks = lane.marks
    .filter((m) => m.at >= span.from && m.at <= span.to)
    .map(({ at, title }) => {
      const top = `${x(at)},${y - 1} ${x(at) - 5},${y - 9} ${x(at) + 5},${y - 9}`;
      return `<g><title>${esc(title)}</title><polygon class="mark" points="${top}"/></g>`;
    });
  const name = `<text class="name" x="4" y="${y + 15}">${esc(cut(lane.name, 30))}</text>`;
  return `<g>${name}${bars.join('')}${wrong.join('')}${mute.join('')}${marks.join('')}</g>`;
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
    ...['record', 'minutes without', 'with', 'switches', 'decided after', 'served after'],
    ...['left behind', 'ends on', 'and stays because'],
  ];
  const after = (ms: number | null) => (ms === null ? '-' : span(ms));
  const rows = r.records.map((one) => [
    ...[bare(one.name), String(one.minutesWithout), String(one.minutesWith)],
    ...[String(one.moves.length), after(one.decidedAfterMs), after(one.servedAfterMs)],
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

function tableOf(
  caption: string,
  heads: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const head = heads.map((h) => `<th scope="col">${esc(h)}</th>`).join('');
  const body = rows.map((row) => `<tr>${row.map((c) => `<td>${esc(c)}</td>`).join('')}</tr>`);
  return (
    `<div class="wide"><table><caption>${esc(caption)}</caption>` +
    `<thead><tr>${head}</tr></thead><tbody>${body.join('\n')}</tbody></table></div>`
  );
}

function listOf(title: string, items: readonly string[]): string {
  if (items.length === 0) return '';
  return `<h2>${esc(title)}</h2><ul>${items.map((i) => `<li>${esc(i)}</li>`).join('')}</ul>`;
}

const style = `
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --faint: #d4d9df; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ed; --paper: #15181c; --faint: #3a4048; }
}
body { font: 15px/1.5 system-ui, sans-serif; margin: 0;
  color: var(--ink); background: var(--paper); }
main { max-width: 1100px; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
svg { width: 100%; height: auto; } .small { font-size: .85rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; }
caption { text-align: left; padding: .25rem 0; }
th, td { text-align: left; vertical-align: top; padding: .2rem .6rem; }
tr { border-bottom: 1px solid var(--faint); }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
svg .at { font-size: 10px; text-anchor: middle; } svg .in { fill: #fff; font-size: 11px; }
.tick { stroke: var(--faint); } .calm { fill: #5c6670; }
.bad { fill: #a32020; } .ill { fill: #8a4b08; }
.t0 { fill: #1f5fa8; } .t1 { fill: #1d7044; } .t2 { fill: #6b3fa0; } .t3 { fill: #7a5b00; }
.tx { fill: #5c6670; } .mute { fill: var(--paper); opacity: .65; }
.wrong { fill: #ff5a5a; } .mark { fill: var(--ink); }
`;

function esc(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    ...{ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' },
  };
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Cs}\ufffe\uffff]/gu, '');
  return plain.replace(/[&<>"']/g, (c) => entities[c]!);
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
