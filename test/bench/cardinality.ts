// `npm run bench:cardinality`: how many series a Prometheus gets of so many records at three vendors,
// family by family, when everything has happened once; what each family that may be left out costs; and
// how long and how large a scrape is, in each format. It measures and judges nothing.

import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { heavyFamilies } from '../../src/core/model.ts';
import { metricNames } from '../../src/serve/metrics.ts';
import type { Text } from '../../src/serve/text.ts';
import {
  configOfSize,
  countSeries,
  fullMetrics,
  fullView,
  type Size,
} from '../parts/full-metrics.ts';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '1000' },
    paths: { type: 'string', default: '3' },
    origins: { type: 'string', default: '20' },
  },
});
const records = Number(values.records);
const paths = Number(values.paths);
const origins = Number(values.origins);

const mega = (bytes: number) => `${(bytes / 1e6).toFixed(2)} MB`;
const sum = (counts: Map<string, number>) => [...counts.values()].reduce((a, b) => a + b, 0);

/** Processor time in milliseconds of the best of some, and what was made. */
async function timed(make: () => Promise<Text>): Promise<{ ms: number; text: Text }> {
  let best = Number.POSITIVE_INFINITY;
  let text = await make();
  for (let i = 0; i < 10; i++) {
    const before = process.threadCpuUsage();
    text = await make();
    const { user, system } = process.threadCpuUsage(before);
    best = Math.min(best, (user + system) / 1000);
  }
  return { ms: best, text };
}

async function describe(title: string, shared: number | null): Promise<Map<string, number>> {
  const seen = fullView(configOfSize({ records, paths, origins: shared }));
  const counts = countSeries(String(await fullMetrics(seen)()));
  console.log(`\n${title}: ${sum(counts)} series`);
  const kinds = [
    ['text', 'text', []],
    ['OpenMetrics', 'openmetrics', []],
    ['text, heavy families left out', 'text', heavyFamilies],
  ] as const;
  for (const [what, format, without] of kinds) {
    const text = fullMetrics(seen, without);
    const { ms, text: made } = await timed(() => text(format));
    const packed = mega((await made.packed()).bytes);
    console.log(
      `  ${what}: ${mega(made.bytes)}, ${packed} compressed, ${ms.toFixed(0)} ms a scrape`,
    );
  }
  return counts;
}

console.log(
  `machine: ${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}`,
);
console.log(`${records} records at three vendors, ${paths} paths, one check an origin`);
const own = await describe('two origins of its own for each record', null);
const few = await describe(`${origins} origins for all`, origins);

const row = (cells: readonly (string | number)[]) =>
  cells.map((cell, i) => (i === 0 ? String(cell).padEnd(38) : String(cell).padStart(11))).join(' ');
console.log(`\n${row(['family', 'own origins', `${origins} origins`])}  may be left out`);
for (const { name, heavy } of metricNames) {
  const cells = [name, own.get(name)!, few.get(name)!];
  console.log(`${row(cells)}${heavy ? '  yes' : ''}`);
}
const left = (counts: Map<string, number>) =>
  sum(counts) - heavyFamilies.reduce((all, name) => all + counts.get(name)!, 0);
console.log(row(['all', sum(own), sum(few)]));
console.log(row(['without those that may be left out', left(own), left(few)]));

/** Series of one record with so many of everything. */
async function small(more: Partial<Size>): Promise<number> {
  const size = { records: 1, paths: 1, origins: 2, vendors: 1, ...more };
  return sum(countSeries(String(await fullMetrics(fullView(configOfSize(size)))())));
}
const one = await small({});
const record = (await small({ records: 2 })) - one;
const vendor = (await small({ records: 2, vendors: 2 })) - (await small({ vendors: 2 })) - record;
const origin = (await small({ origins: 3 })) - one;
const path = (await small({ origins: 3, paths: 2 })) - (await small({ paths: 2 })) - origin;
console.log(
  `\neach record ${record - vendor}, and ${vendor} at each of its vendors; each origin with its one check ` +
    `${origin - path}, and ${path} by each path of the check`,
);
