// What pages are made of: lanes of bars over time as inline SVG, tables, lists, and the document
// around them. Nothing is fetched from anywhere: no script, no font, no image. Well-formed as XML,
// so that any reader takes it. All that comes from a configuration or a journal is escaped.

const WIDTH = 1000;
const LEFT = 190;
const ROW = 22;
const GAP = 12;

export interface Span {
  readonly from: number;
  readonly to: number;
}

export interface Bar extends Span {
  readonly text: string;
  readonly look: string;
  /** For whoever hovers, and for readers of the drawing. */
  readonly title: string;
}

export interface Lane {
  readonly name: string;
  readonly bars: readonly Bar[];
  /** Where what is shown leads to what fails. */
  readonly wrong: readonly Span[];
  /** Where nobody is answered. */
  readonly mute?: readonly Span[];
  readonly marks: readonly { readonly at: number; readonly title: string }[];
}

/** How a moment is shown: the time of day, with seconds or without. */
type Clock = (at: number, seconds: boolean) => string;

/** A whole document from its parts. */
export function documentOf(title: string, parts: readonly string[]): string {
  return [
    '<!DOCTYPE html>',
    '<html lang="en"><head><meta charset="utf-8"/>',
    '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
    `<title>${esc(title)}</title><style>${style}</style></head><body><main>`,
    ...parts,
    '</main></body></html>',
    '',
  ].join('\n');
}

/** `says` describes it for those who do not see it. */
export function drawing(
  lanes: readonly Lane[],
  span: Span,
  about: { readonly id: string; readonly title: string; readonly says: string },
  clock: Clock,
): string {
  const { id, title, says } = about;
  const height = 30 + lanes.length * (ROW + GAP) + 24;
  const x = (at: number) => {
    const share = (at - span.from) / Math.max(1, span.to - span.from);
    return Math.round((LEFT + share * (WIDTH - LEFT - 10)) * 10) / 10;
  };
  const parts = lanes.map((lane, i) => laneOf(lane, 24 + i * (ROW + GAP), span, x));
  return [
    `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="${id}-t ${id}-d">`,
    `<title id="${id}-t">${esc(title)}</title><desc id="${id}-d">${esc(says)}</desc>`,
    ...ticks(span, x, height, clock),
    ...parts,
    '</svg>',
  ].join('\n');
}

function ticks(span: Span, x: (at: number) => number, height: number, clock: Clock): string[] {
  const steps = [5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 14_400, 43_200].map((s) => s * 1000);
  const step = steps.find((ms) => (span.to - span.from) / ms <= 10) ?? 86_400_000;
  const lines: string[] = [];
  for (let at = Math.ceil(span.from / step) * step; at <= span.to; at += step) {
    lines.push(
      `<line class="tick" x1="${x(at)}" y1="18" x2="${x(at)}" y2="${height - 4}"/>` +
        `<text class="at" x="${x(at)}" y="12">${clock(at, step < 60_000)}</text>`,
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

export function tableOf(
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

export function listOf(title: string, items: readonly string[]): string {
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

export function esc(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    ...{ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' },
  };
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Cs}\ufffe\uffff]/gu, '');
  return plain.replace(/[&<>"']/g, (c) => entities[c]!);
}

export function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
