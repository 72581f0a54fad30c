// Metrics of a whole configuration in which all is known and everything has happened once: as many series
// as there can be. The view is the real engine's; what only time brings is put in. Nothing is probed and
// nobody is asked.

import { type Config, parseConfig, printProblem } from '../../src/config/config.ts';
import { start } from '../../src/core/engine.ts';
import { type HeavyFamily, markerKinds, type Observation, outcomes } from '../../src/core/model.ts';
import { type RecordView, type StatusView, view } from '../../src/core/view.ts';
import { tables } from '../../src/run/build.ts';
import type { Format } from '../../src/serve/exposition.ts';
import { createMetrics, metricNames } from '../../src/serve/metrics.ts';
import { Readers } from '../../src/serve/readers.ts';
import type { Text } from '../../src/serve/text.ts';
import { standIn } from '../cli/desk.ts';

export interface Size {
  readonly records: number;
  readonly paths: number;
  /** Origins that all records share; null: each record has two of its own. */
  readonly origins: number | null;
  /** Vendors at which each is published; three unless given. */
  readonly vendors?: number;
}

const providers = ['cf', 'r53', 'ali'] as const;

/** A configuration of that size, read by the real parser: two targets a record. */
export function configOfSize({ records, paths, origins, vendors = 3 }: Size): Config {
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);
  const count = origins ?? 2 * records;
  const text = `
cluster: shop
listen: off
policy: { objective: 90s }
providers:
  cf: { type: cloudflare, apiToken: { env: T }, zone: gslb.example.net }
  r53: { type: route53, credentials: { file: /t }, zone: gslb.example.net }
  ali: { type: alidns, accessKeyId: { env: T }, accessKeySecret: { env: T }, zone: gslb.example.net }
paths:
${numbers(paths)
  .map((i) => `  path-${i}: { site: s${i}, uplink: u${i} }`)
  .join('\n')}
origins:
${numbers(count)
  .map(
    (i) =>
      `  origin-${i}: { cloud: cloud-${i % 2}, checks: { web: { http: "https://o${i}.shop.example/" } } }`,
  )
  .join('\n')}
records:
${numbers(records)
  .map((i) => {
    const two = [2 * i, 2 * i + 1].map((n) => n % count);
    const targets = two.map((n) => `{ origin: origin-${n}, cname: o${n}.shop.example }`);
    return `  r${i}.gslb.example.net: { publish: [${providers.slice(0, vendors).join(', ')}], targets: [${targets.join(', ')}] }`;
  })
  .join('\n')}
`;
  const parsed = parseConfig(text, 'detour.yaml', tables);
  if (!parsed.ok) throw new Error(parsed.problems.map(printProblem).join('\n'));
  return parsed.config;
}

/** The engine's view of it, and in it all that is only there after something has happened. */
export function fullView(config: Config): StatusView {
  const { state } = start({ config: config.core, docs: {}, now: 1, wall: 1, seed: [1, 2, 3, 4] });
  const seen = view(state, { version: '0.1.0', reload: null });
  return {
    ...seen,
    origins: seen.origins.map((origin) => ({
      ...origin,
      checks: origin.checks.map((check) => ({ ...check, last: lastSeen })),
    })),
    records: seen.records.map(full),
  };
}

const lastSeen: Observation = {
  ...{ outcome: 'pass', startedAt: 1, endedAt: 2, reason: 'ok', detail: 'ok', phases: {} },
  certificateDays: 30,
};

function full(record: RecordView): RecordView {
  const [first] = record.targets;
  const part = { detectMs: 1, commitMs: 1, writeMs: 1, visibleMs: 1, ttlMs: 1, measured: 1 };
  return {
    ...record,
    target: first!.origin,
    cname: first!.cname,
    objectiveMs: 90_000,
    predicted: {
      ...{ totalMs: 5, worst: providers[0] },
      parts: record.providers.map(({ provider }) => ({ provider, ...part })),
    },
    providers: record.providers.map((one) => ({
      ...one,
      ...{ cname: first!.cname, epoch: 1, writtenAfterMs: 1, visibleAfterMs: 1 },
    })),
    approval: {
      ...{ id: '0'.repeat(16), from: 'a', to: 'b', why: 'target-down', sentence: '', votes: '' },
      ...{ alternatives: [], sinceAt: 1, expiresAt: 2, goesAt: null },
    },
  };
}

/** Metrics over a view in which every probe has had every outcome by every path, and all has switched. */
export function fullMetrics(
  seen: StatusView,
  without: readonly HeavyFamily[] = [],
): (format?: Format) => Promise<Text> {
  const desk = { ...standIn(), status: async () => seen };
  const readers = new Readers({ share: 1, sliceMs: 1000 });
  const metrics = createMetrics({ desk, version: '0.1.0', readers, without: () => without });
  const { observer } = metrics;
  for (const { checks } of seen.origins) {
    for (const { id, path } of checks) {
      for (const outcome of outcomes) observer.probed(id, path, { ...lastSeen, outcome });
    }
  }
  for (const { name } of seen.records) {
    for (const kind of markerKinds) {
      const data = { kind, id: '0123456789abcdef' };
      observer.journalled({ kind: 'switch', record: name, sentence: '', data }, 1);
    }
  }
  return (format: Format = 'text') => metrics.text(format);
}

/** How many series each family of Detour's own has in an exposition. */
export function countSeries(text: string): Map<string, number> {
  const counts = new Map(metricNames.map(({ name }) => [name, 0]));
  for (const [, name] of text.matchAll(/^(detour_[a-z_]+?)(?:_bucket|_sum|_count)?[{ ]/gm)) {
    counts.set(name!, counts.get(name!)! + 1);
  }
  return counts;
}
