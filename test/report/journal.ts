// Journals for the tests of reports: the great outage of 2023-11-12 as the real engine writes it down,
// and plain lists of entries. It asserts nothing.

import { type Config, parseConfig, printProblem } from '../../src/config/config.ts';
import type { EntryKind, Json } from '../../src/core/model.ts';
import { exampleText } from '../../src/replay/example.ts';
import { findOutage, type Outage } from '../../src/replay/outages.ts';
import { conditionsOf, whoIsStruck } from '../../src/replay/struck.ts';
import { calm, World } from '../../src/replay/world.ts';
import type { Told } from '../../src/report/states.ts';
import { tables } from '../../src/run/build.ts';

export const agreements = `
timezone: Asia/Shanghai
sla:
  aliyun:
    - service: object storage
      plane: service
      tiers: [{ below: 99.9, credit: 10 }, { below: 99, credit: 25 }, { below: 95, credit: 100 }]
    - service: machines
      tiers: [{ below: 99.975, credit: 10 }, { below: 99, credit: 30 }, { below: 95, credit: 100 }]
`;

export function configOf(more = agreements): Config {
  const text = exampleText.replaceAll(
    '{ mode: steer, ttl: 60,',
    '{ mode: steer, ttl: 60, objective: 90s,',
  );
  const parsed = parseConfig(`${text}${more}`, 'example', tables);
  if (!parsed.ok) throw new Error(parsed.problems.map(printProblem).join('\n'));
  return parsed.config;
}

/** 17:44 to 21:11 in China, as the status page had it: 207 minutes. */
export const outage = {
  from: Date.parse('2023-11-12T17:44:00+08:00'),
  to: Date.parse('2023-11-12T21:11:00+08:00'),
};

/** What Detour's journal holds of that evening, five minutes before to fifteen after. */
export function alibaba(config: Config): { entries: Told[]; now: number } {
  const found = findOutage('alibaba-2023-11-12') as { outage: Outage };
  const { strikes } = found.outage.phases[0]!;
  const struck = whoIsStruck(config, found.outage, null)!;
  const world = new World({
    config: config.core,
    startsAt: outage.from - 300_000,
    seed: 1,
    loss: 0,
  });
  for (const r of Object.values(config.core.records)) world.hold(r.name, r.targets[0]!.cname);
  world.begin();
  world.runTo(outage.from);
  world.conditions = conditionsOf(config, struck, strikes);
  world.runTo(outage.to);
  world.conditions = calm;
  world.runTo(outage.to + 900_000);
  const entries = world.entries.map(({ at, entry }, i) => ({ seq: i + 1, at, wall: at, ...entry }));
  return { entries, now: world.now };
}

/** One entry of a journal. */
export function entry(
  seq: number,
  wall: number,
  kind: EntryKind,
  data: Json = {},
  record: string | null = null,
): Told {
  return { seq, at: wall, wall, kind, record, sentence: `${kind} ${seq}`, data };
}

export function health(seq: number, wall: number, origin: string, word: string): Told {
  return entry(seq, wall, 'health', { origin, was: 'unknown', health: word });
}
