// How metrics are written down: in Prometheus's text format, or in OpenMetrics for whoever would
// rather have that. It knows no metric: families and their series are given. A label's value is
// escaped here, and never chosen.

import type { Work } from './readers.ts';
import { type Text, Writer } from './text.ts';

export interface Family {
  readonly kind: 'gauge' | 'counter' | 'histogram';
  readonly labels: readonly string[];
  readonly help: string;
}

export type Format = 'text' | 'openmetrics';

export const contentTypes: Readonly<Record<Format, string>> = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** What an Accept header would rather have (RFC 9110, section 12.5.1); else the text. */
export function formatFor(accept: string | undefined): Format {
  const best = new Map<string, number>();
  for (const one of (accept ?? '').toLowerCase().split(',')) {
    const [type = '', ...parameters] = one.split(';').map((part) => part.trim());
    const q = parameters.find((part) => part.startsWith('q='))?.slice(2);
    const weight = q === undefined ? 1 : Number(q) || 0;
    best.set(type, Math.max(best.get(type) ?? 0, weight));
  }
  const open = best.get('application/openmetrics-text') ?? 0;
  return open > 0 && open >= (best.get('text/plain') ?? 0) ? 'openmetrics' : 'text';
}

/** Series of one part of what is shown, by family: lines that both formats share. */
export type Drawn = Map<string, string>;

/** Which of its series, of a histogram; what a count was last raised by, in OpenMetrics alone. */
interface More {
  readonly part?: '_bucket' | '_sum' | '_count';
  readonly exemplar?: string;
}

export type Setter<Name extends string> = (
  name: Name,
  value: number,
  labels?: Readonly<Record<string, string>>,
  more?: More,
) => void;

export function drawn<Name extends string>(how: (set: Setter<Name>) => void): Drawn {
  const lines = new Map<string, string[]>();
  how((name, value, labels = {}, { part = '', exemplar = '' } = {}) => {
    const line = lineOf(name + part, labels, value, exemplar);
    const known = lines.get(name);
    if (known === undefined) lines.set(name, [line]);
    else known.push(line);
  });
  // Joined once, or every scrape would put together again what a line was made of.
  return new Map([...lines].map(([name, all]) => [name, all.join('')]));
}

/** Every family once, with the series of all parts: Prometheus wants a family's lines together. */
export function* exposition(
  families: ReadonlyMap<string, Family>,
  parts: Iterable<Drawn>,
  rest: string,
  format: Format,
): Work<Text> {
  const lines = new Map<string, string[]>();
  for (const name of families.keys()) lines.set(name, []);
  for (const part of parts) {
    // What is drawn and not among the families is left out.
    for (const [name, text] of part) lines.get(name)?.push(text);
    yield;
  }
  const to = new Writer();
  for (const [name, texts] of lines) {
    const { help, kind } = families.get(name)!;
    const told = format === 'text' ? name : name.replace(/_total$/, '');
    to.write(`# HELP ${told} ${help}\n# TYPE ${told} ${kind}\n`);
    for (const text of texts) if (to.write(text)) yield;
    yield;
  }
  to.write(format === 'text' ? rest : `${opened(rest)}# EOF\n`);
  return to.end();
}

/**
 * The text of prom-client as OpenMetrics: no blank lines, and a counter is told of without the ending
 * that its series bear. prom-client's own way renames its counters for good, in the text as well.
 */
function opened(text: string): string {
  return text.replace(/\n\n+/g, '\n').replace(/^(# (?:HELP|TYPE) \S+?)_total /gm, '$1 ');
}

function lineOf(
  name: string,
  labels: Readonly<Record<string, string>>,
  value: number,
  exemplar: string,
): string {
  let list = '';
  for (const label in labels) {
    list += `${list === '' ? '{' : ','}${label}="${escaped(labels[label]!)}"`;
  }
  const text =
    Number.isFinite(value) || Number.isNaN(value) ? String(value) : value > 0 ? '+Inf' : '-Inf';
  return `${name}${list === '' ? '' : `${list}}`} ${text}${exemplar}\n`;
}

/** Of both formats: backslash, line feed and quote are escaped in a label's value. */
function escaped(value: string): string {
  if (!/[\\\n"]/.test(value)) return value;
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}
