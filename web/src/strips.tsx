// Strips of what probes saw, and the plot of how long the answers took. Each mark has a height and
// a shape of its own beside its colour. What is asked for is what is drawn just now.

import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import type { Strips } from '../../src/serve/board.ts';
import type { Live } from './live.ts';
import { useSpeech } from './spoken.tsx';
import { lastMark, markWord, runsOf, summary } from './view.ts';

export type Strip = Strips['strips'][number];
export type Span = '5m' | '15m' | '6h';

const everyMs: Readonly<Record<Span, number>> = { '5m': 2500, '15m': 2500, '6h': 30_000 };
/** Pieces of 5 s in five minutes: the daemon keeps fifteen. */
const fewPieces = 60;

/** The strips of these origins and clouds, asked for again and again while they are drawn. */
export function useStrips(live: Live, of: readonly string[], span: Span): Strips | null {
  const [strips, set] = useState<Strips | null>(null);
  const key = of.join(',');
  const isLive = live.line === 'live';
  useEffect(() => {
    if (key === '' || !isLive) return;
    let isOver = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async () => {
      if (document.visibilityState === 'visible') {
        const asked = span === '6h' ? span : '15m';
        const found = await live.strips(key.split(','), asked).catch(() => null);
        if (!isOver && found !== null) set(arranged(found, span, live));
      }
      if (!isOver) timer = setTimeout(() => void look(), everyMs[span]);
    };
    void look();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [key, span, isLive]);
  return strips;
}

/** In the order of the paths as they are configured, and no longer than is wanted. */
function arranged(found: Strips, span: Span, live: Live): Strips {
  const order = (live.board?.paths ?? []).map(({ name }) => name);
  const strips = found.strips
    .toSorted((a, b) => order.indexOf(a.path) - order.indexOf(b.path))
    .map((strip) =>
      span === '5m'
        ? { ...strip, marks: strip.marks.slice(-fewPieces), ms: strip.ms.slice(-fewPieces) }
        : strip,
    );
  return { ...found, strips };
}

/** Without what was before the first that was seen, but five minutes at least. */
export function begun(strips: Strips): Strips {
  const first = Math.min(...strips.strips.map(({ marks }) => marks.search(/[^.]/) >>> 0));
  const n = strips.strips[0]?.marks.length ?? 0;
  const from = Math.max(0, Math.min(first, n - fewPieces));
  const cut = strips.strips.map((strip) => {
    return { ...strip, marks: strip.marks.slice(from), ms: strip.ms.slice(from) };
  });
  return { ...strips, strips: cut };
}

/** From the bottom: how high a mark stands, of 10. */
const heights: Readonly<Record<string, number>> = { p: 3, s: 6, l: 5, b: 8, f: 10 };

export function StripLine({ strip, label }: { readonly strip: Strip; readonly label: string }) {
  const { say } = useSpeech();
  const { marks, check, path, ms } = strip;
  const now = say(`mark.${markWord(lastMark(marks))}`);
  const says = say('strip.says', { check, path, marks: summary(marks, say), now });
  const lastMs = ms.findLast((one) => one > 0);
  const seen = lastMark(marks);
  return (
    <div class="strip">
      <span class="label" title={check}>
        {label}
      </span>
      <svg
        viewBox={`0 0 ${marks.length} 10`}
        preserveAspectRatio="none"
        role="img"
        aria-label={says}
      >
        <title>{says}</title>
        {runsOf(marks)
          .filter(({ mark }) => mark !== '.')
          .map(({ mark, from, pieces }) => (
            <rect
              key={from}
              class={`m-${mark}`}
              x={from}
              width={pieces}
              y={10 - heights[mark]!}
              height={heights[mark]!}
            />
          ))}
      </svg>
      <span class="last">{seen === 'p' || seen === 's' ? `${lastMs ?? 0} ms` : now}</span>
    </div>
  );
}

export function Legend() {
  const { say } = useSpeech();
  return (
    <ul class="legend">
      {['p', 's', 'b', 'f'].map((mark) => (
        <li key={mark}>
          <svg viewBox="0 0 6 10" aria-hidden="true">
            <rect class={`m-${mark}`} width="6" y={10 - heights[mark]!} height={heights[mark]!} />
          </svg>
          {say(`mark.${markWord(mark)}`)}
        </li>
      ))}
    </ul>
  );
}

const strokes = ['--plot-1', '--plot-2', '--plot-3', '--plot-4', '--plot-5'];
const dashes: readonly (readonly number[])[] = [[], [6, 3], [2, 3], [8, 3, 2, 3], [1, 4]];

/** How long the answers of one check took, a line for each path. */
export function Latency({
  strips,
  check,
  height = 110,
}: {
  readonly strips: Strips;
  readonly check: string;
  readonly height?: number;
}) {
  const { say, language } = useSpeech();
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const lines = strips.strips.filter((one) => one.check === check);
  const names = lines.map(({ path }) => path).join(',');
  const isDark = useDark();
  useEffect(() => {
    const element = place.current!;
    const made = new uPlot(optionsOf(element, names.split(','), height, language), [[]], element);
    plot.current = made;
    const fit = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    fit.observe(element);
    return () => {
      fit.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [names, height, isDark, language]);
  useEffect(() => {
    const n = lines[0]?.ms.length ?? 0;
    const end = Math.floor(strips.at / strips.stepMs) * strips.stepMs - strips.at + strips.wall;
    const times = Array.from({ length: n }, (_, i) => (end - (n - 1 - i) * strips.stepMs) / 1000);
    const data = [times, ...lines.map(({ ms }) => ms.map((one) => (one > 0 ? one : null)))];
    plot.current?.setData(data as uPlot.AlignedData);
  }, [strips, names, isDark, language]);
  return (
    <figure class="plot">
      <figcaption>
        {say('strip.ms')}
        <span class="lines" aria-hidden="true">
          {lines.map(({ path }, i) => (
            <span key={path} class={`line-${(i % strokes.length) + 1}`}>
              {path}
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={place} role="img" aria-label={say('strip.latency', { check })} />
    </figure>
  );
}

function optionsOf(
  element: HTMLElement,
  names: readonly string[],
  height: number,
  language: string,
): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis: uPlot.Axis = {
    stroke: colour('--muted'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { stroke: colour('--line'), width: 1, size: 4 },
    font: `11px ${style.fontFamily}`,
  };
  const clock = new Intl.DateTimeFormat(language === 'zh' ? 'zh-CN' : 'en-GB', {
    ...{ hour: '2-digit', minute: '2-digit' },
  });
  return {
    ...{ width: Math.max(100, element.clientWidth), height },
    legend: { show: false },
    cursor: { show: false },
    scales: { y: { range: (_plot, _least, most) => [0, Math.max(5, most * 1.15)] } },
    axes: [
      {
        ...axis,
        size: 24,
        space: 70,
        values: (_plot, times) => times.map((time) => clock.format(time * 1000)),
      },
      { ...axis, size: 40, space: 28 },
    ],
    series: [
      {},
      ...names.map((label, i) => ({
        ...{ label, width: 1.5, points: { show: false } },
        stroke: colour(strokes[i % strokes.length]!),
        dash: [...dashes[i % dashes.length]!],
      })),
    ],
  };
}

function useDark(): boolean {
  const [isDark, set] = useState(() => matchMedia('(prefers-color-scheme: dark)').matches);
  useEffect(() => {
    const query = matchMedia('(prefers-color-scheme: dark)');
    const look = () => set(query.matches);
    query.addEventListener('change', look);
    return () => query.removeEventListener('change', look);
  }, []);
  return isDark;
}
