// Another configuration, as somebody may put it in force while everything runs: the first one with a
// few things changed. What it takes away the first one has, so that going back is always possible.
// Draws only; it does not know whether anybody accepts it.

import type { CheckConfig, CoreConfig, Name, RecordConfig } from '../../src/core/model.ts';
import type { Chance } from './chance.ts';

/** By how much slower and faster checks may become. */
export const paces = [0.25, 0.5, 2, 4] as const;

type Edit = (config: CoreConfig, c: Chance) => CoreConfig;

const edits: readonly Edit[] = [
  function cadence(config, c) {
    const pace = c.pick([...paces]);
    const changed = (check: CheckConfig) => ({
      ...check,
      intervalMs: Math.max(500, Math.round(check.intervalMs * pace)),
      confirmMs: c.pick([250, 500]),
    });
    const all = Object.entries(config.checks).map(([id, check]) => [id, changed(check)] as const);
    return { ...config, checks: Object.fromEntries(all) };
  },
  function ttl(config, c) {
    return one(config, c, (r) => ({
      ...r,
      publish: r.publish.map((p) => ({ ...p, ttl: c.pick([30, 60, 300]) })),
    }));
  },
  function patience(config, c) {
    return one(config, c, (r) => ({ ...r, patienceMs: c.pick([0, 1000, 10_000, 60_000]) }));
  },
  function failback(config, c) {
    const after = { kind: 'after' as const, ms: c.spread(10_000, 900_000) };
    return one(config, c, (r) => ({
      ...r,
      failback: c.pick([after, { kind: 'manual' as const }]),
    }));
  },
  function budget(config, c) {
    return one(config, c, (r) => ({ ...r, switchesPerHour: c.int(1, 4) }));
  },
  function target(config, c) {
    return one(config, c, (r) => {
      const gone = c.pick(r.targets);
      const targets = r.targets.filter((t) => t !== gone);
      return targets.length === 0 ? r : { ...r, targets };
    });
  },
  function order(config, c) {
    return one(config, c, (r) => ({ ...r, targets: [...r.targets].reverse() }));
  },
  function provider(config, c) {
    return one(config, c, (r) => {
      const gone = c.pick(r.publish);
      const publish = r.publish.filter((p) => p !== gone);
      return publish.length === 0 ? r : { ...r, publish };
    });
  },
  function release(config, c) {
    const names = Object.keys(config.records);
    const gone = c.pick(names);
    const left = names.filter((name) => name !== gone);
    return left.length === 0 ? config : { ...config, records: pick(config, left) };
  },
];

export function another(base: CoreConfig, c: Chance): CoreConfig {
  let config = base;
  for (let n = c.int(1, 3); n > 0; n--) config = c.pick([...edits])(config, c);
  return config;
}

function one(config: CoreConfig, c: Chance, edit: (r: RecordConfig) => RecordConfig): CoreConfig {
  const record = c.pick(Object.values(config.records));
  return { ...config, records: { ...config.records, [record.name]: edit(record) } };
}

function pick({ records }: CoreConfig, names: readonly Name[]): CoreConfig['records'] {
  return Object.fromEntries(names.map((name) => [name, records[name]!]));
}
