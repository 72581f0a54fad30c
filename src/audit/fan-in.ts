// Records that move together and one by one: many names with the same targets at a vendor that takes
// one record after the other. It asks nobody: what a switch of all of them takes follows from the
// configuration and the vendors' quotas. It must stay silent where little could be gained.

import type { Name, RecordConfig } from '../core/model.ts';
import type { Capabilities } from '../kit/extend.ts';
import { type Run, spell } from './run.ts';
import { parentOf } from './vendors.ts';

/** Fewer names are no crowd. */
const namesMin = 50;
/** Seconds that a switch of all of them takes at one vendor; below, nobody would notice. */
const secondsMin = 10;
/** Names that a cure writes out. */
const namesShown = 3;
/** What goes in batches takes so many calls for each: a reading before, the batch, one after. */
const callsPerBatch = 3;

export function lookAtFanIn(run: Pick<Run, 'all' | 'providers' | 'warn'>): void {
  const taken = new Set(run.all.map(({ name }) => name));
  for (const group of Map.groupBy(run.all, alike).values()) {
    const [first] = group;
    if (first === undefined || group.length < namesMin) continue;
    const costs = first.publish.flatMap(({ provider }) => {
      const own = run.providers[provider];
      return own === undefined ? [] : [{ provider, ...costOf(own.capabilities, group.length) }];
    });
    const worst = costs.reduce((a, b) => (b.seconds > a.seconds ? b : a), costs[0]!);
    if (worst === undefined || worst.seconds < secondsMin) continue;
    const zone = parentOf(first.name);
    const said = costs
      .filter(({ seconds }) => seconds >= 1)
      .map(({ provider, writes, seconds }) => `${writes} writes at ${provider}, ${spell(seconds)}`);
    const sentence =
      `${group.length} names of ${zone} have the same targets and move one by one: ` +
      `${said.join('; ')} at least until the last of them follows`;
    run.warn({ zone, provider: worst.provider }, 'fan-in', sentence, cure(group, zone, taken));
  }
}

/** What one record can stand for: all but their names is the same, those that users type too. */
function alike({ name, names: _, hash: __, ...rest }: RecordConfig): string {
  return JSON.stringify([
    parentOf(name),
    Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1)),
  ]);
}

/** What a switch of so many takes until the last gives its new answer, by the vendor's quota. */
function costOf(
  { writeMax, quota, eachRecord }: Capabilities,
  records: number,
): { readonly writes: number; readonly seconds: number } {
  const batches = Math.ceil(records / writeMax);
  const calls = eachRecord === undefined ? callsPerBatch * batches : eachRecord.calls * records;
  const byQuota = Math.max(0, calls - quota.burst) / quota.perSecond;
  const inTurn = ((eachRecord?.zoneMs ?? 0) * records) / 1000;
  const writes = eachRecord === undefined ? batches : eachRecord.writes * records;
  return { writes, seconds: Math.max(byQuota, inTurn) };
}

function cure(group: readonly RecordConfig[], zone: Name, taken: Set<Name>): string {
  const shared = freeName(zone, taken);
  taken.add(shared);
  const shown = group.slice(0, namesShown).map(({ name }) => name);
  const left = group.length - shown.length;
  const all = `${shown.join(', ')}${left === 0 ? '' : ` and ${left} more`}`;
  return (
    `steer one name in their place, such as ${shared}, and let ${all} lead to it by a CNAME that ` +
    'stays: then a switch is one write at each vendor, and resolvers look up one name more'
  );
}

function freeName(zone: Name, taken: ReadonlySet<Name>): Name {
  for (let i = 1; ; i++) {
    const name = `${i === 1 ? 'shared' : `shared-${i}`}.${zone}`;
    if (!taken.has(name)) return name;
  }
}
