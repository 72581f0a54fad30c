// What operators say in a simulated world, at random. Draws only: it says nothing to anybody.

import type { Command, CoreConfig } from '../../src/core/model.ts';
import type { Chance } from './chance.ts';

/** One of the words that an operator may say at random. */
export function drawOrder(c: Chance, config: CoreConfig): Command {
  const record = c.pick(Object.values(config.records));
  const base = { record: record.name, by: 'ann', reason: 'because' };
  const target = c.pick(record.targets).origin;
  const forMs = c.is(0.1) ? null : c.spread(10_000, 7_200_000);
  const what = c.pick([...Object.keys(config.origins), ...Object.keys(config.clouds)]);
  switch (c.int(1, 14)) {
    case 1:
      return { kind: 'drain', what, by: 'ann', reason: 'because', forMs };
    case 2:
    case 3:
      return { kind: 'undrain', what, by: 'ann' };
    case 4: {
      const whole = c.is(0.3) ? null : record.name;
      return { kind: 'freeze', record: whole, by: 'ann', reason: 'because', forMs };
    }
    case 5:
    case 6:
      return { kind: 'unfreeze', record: c.is(0.3) ? null : record.name, by: 'ann' };
    case 7:
      return { kind: 'pin', ...base, forMs };
    case 8:
    case 9:
      return { kind: 'unpin', ...base };
    case 10:
      return { kind: 'ack', reject: false, dryRun: false, ...base };
    case 11:
      return { kind: 'adopt', ...base, target, create: c.is(0.5) };
    default:
      return { kind: 'switch', ...base, target, forMs, force: c.is(0.3), dryRun: c.is(0.1) };
  }
}

/** A TTL that is brought down before a move, or given back. */
export function drawPrepare(c: Chance, config: CoreConfig): Command {
  const base = { record: c.pick(Object.values(config.records)).name, by: 'ann' };
  if (c.is(0.3)) return { kind: 'unprepare', ...base };
  const how = { ttl: c.int(1, 20), forMs: c.spread(10_000, 3_600_000) };
  return { kind: 'prepare', ...base, ...how, reason: 'because' };
}

/** A live drill, sometimes ended before its time. */
export function drawDrill(c: Chance, config: CoreConfig): Command {
  const { name, targets } = c.pick(Object.values(config.records));
  if (c.is(0.1)) return { kind: 'end-drill', record: name, by: 'ann' };
  const target = c.is(0.5) ? null : c.pick(targets).origin;
  const watchMs = c.spread(1000, 60_000);
  const how = { byVendor: c.is(0.7), forMs: c.spread(1000, 120_000), watchMs };
  return { kind: 'drill', record: name, target, ...how, reason: 'because', by: 'ann' };
}
