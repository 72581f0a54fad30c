// What goes by the clock on the wall: a clock that jumps moves nothing, a window follows from the
// clock and the configuration alone, and what is due or overdue is due once.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSchedule, parseWindow } from '../../src/config/windows.ts';
import { standingOf } from '../../src/drill/due.ts';
import { createMaintenance } from '../../src/drill/maintenance.ts';
import { createSteadyWall } from '../../src/drill/steady.ts';
import { HandClock } from '../parts/hand-clock.ts';
import { DrillWorld, WWW } from './world.ts';

const [second, minute, hour, day] = [1000, 60_000, 3_600_000, 86_400_000];

test('a wall clock that jumps is believed once it has run evenly for a minute', () => {
  const clock = new HandClock();
  const wall = createSteadyWall(clock);
  const begun = wall();
  const run = (ms: number) => {
    for (let left = ms; left > 0; left -= second) {
      clock.stall(second);
      wall();
    }
  };
  clock.sleep(day);
  run(59 * second);
  assert.equal(wall() - begun, 59 * second, 'the old time is carried on');
  clock.sleep(-day);
  run(minute);
  assert.equal(wall() - begun, 119 * second, 'and back within the minute nothing has happened');
  clock.sleep(day);
  run(62 * second);
  assert.equal(wall() - begun, day + 181 * second);
  // One that jumps all the time is never believed.
  for (let i = 0; i < 10; i++) {
    clock.sleep(i % 2 === 0 ? hour : -hour);
    run(40 * second);
  }
  assert.equal(wall() - begun, day + 581 * second);
  clock.sleep(-hour);
  run(62 * second);
  assert.equal(wall() - begun, day + 643 * second - hour, 'a jump back is believed as well');
});

test('small steps are followed, and never back', () => {
  const clock = new HandClock();
  const wall = createSteadyWall(clock);
  let last = wall();
  for (let i = 0; i < 100; i++) {
    clock.stall(500);
    clock.sleep(i % 2 === 0 ? 1500 : -1500);
    assert.ok(wall() >= last);
    last = wall();
  }
});

test('what of an origin opens within the hour is told before, once', async () => {
  const clock = new HandClock();
  const told: object[] = [];
  const origins = { a: [parseWindow('Thu 01:30-01:32')!] };
  const maintenance = createMaintenance({
    config: () => ({ maintenance: { origins, records: {} }, timezone: 'UTC' }),
    ...{ clock, wall: () => clock.wall() },
    tell: ({ origins: open, soon }) => told.push([Object.keys(open), Object.keys(soon)]),
  });
  maintenance.start();
  await clock.advance(29 * minute);
  assert.deepEqual(told, []);
  await clock.advance(70 * minute);
  maintenance.close();
  const [before, open, after] = [
    [[], ['a']],
    [['a'], []],
    [[], []],
  ];
  assert.deepEqual(told, [before, open, after]);
});

/** The clock by hand begins at 2026-01-01 00:00 UTC, a Thursday. */
const windows = { a: ['Thu 00:02-00:04'], [WWW]: ['2026-01-01T00:06/2026-01-01T00:08'] };

test('a window of an origin drains it, one of a record freezes it, and each is told twice', async () => {
  const w = new DrillWorld({ maintenance: windows });
  await w.start();
  const target = () => w.controller.status().records[0]!.target;
  await w.clock.advance(2 * minute - 4 * second);
  assert.equal(target(), 'a');
  await w.clock.advance(10 * second);
  assert.equal(target(), 'b');
  const [a] = w.view().origins;
  assert.equal(a!.maintenance?.window, 'Thu 00:02-00:04');
  const left = a!.maintenance!.untilAt - w.clock.now();
  assert.ok(Math.abs(left - 2 * minute) < 20 * second, `${left} ms are left`);
  await w.clock.advance(2 * minute);
  assert.equal(w.view().origins[0]!.maintenance, null);
  assert.deepEqual(w.said('drain'), ['a: maintenance begins, Thu 00:02-00:04']);
  assert.deepEqual(w.said('undrain'), ['a: maintenance is over, Thu 00:02-00:04']);
  await w.clock.advance(2 * minute);
  assert.equal(w.view().records[0]!.stay.reason, 'frozen');
  w.origins.set('b', 'fail');
  await w.clock.advance(minute);
  assert.equal(target(), 'b', 'however down it is');
  await w.clock.advance(minute);
  assert.equal(target(), 'a');
  await w.stop();
});

test('a window that is open is open after a restart, and is not stored', async () => {
  const w = new DrillWorld({ maintenance: windows });
  await w.start();
  await w.clock.advance(3 * minute);
  assert.ok(w.view().origins[0]!.maintenance);
  await w.stop();
  assert.ok(![...w.disk.docs.keys()].some((key) => key.startsWith('drain/')));
  const again = new DrillWorld({ maintenance: windows }, w);
  await again.start();
  assert.ok(again.view().origins[0]!.maintenance);
  assert.equal(again.controller.status().records[0]!.target, 'b');
  await again.stop();
  const without = new DrillWorld({}, w);
  await without.start();
  assert.equal(without.view().origins[0]!.drained, false);
  await without.stop();
});

test('a clock that jumps into a window and out of it opens none', async () => {
  const w = new DrillWorld({ maintenance: windows });
  await w.start();
  for (let i = 0; i < 4; i++) {
    w.clock.sleep(i % 2 === 0 ? 3 * minute : -3 * minute);
    await w.clock.advance(20 * second);
  }
  assert.deepEqual(w.said('drain'), []);
  await w.stop();
});

test('by a period a drill is due since the last, and overdue once its window is over', () => {
  const schedule = parseSchedule('6h')!;
  const config = { drills: { windowMs: 30 * minute }, timezone: 'UTC' } as never;
  const at = (ms: number, last?: number) => {
    return standingOf({ schedule }, last === undefined ? undefined : { at: last }, 0, config, {
      ...{ at: ms, wall: ms },
    });
  };
  assert.deepEqual(at(0), { due: false, overdueAt: null, nextAt: minute });
  assert.equal(at(minute).due, true);
  assert.equal(at(minute + 31 * minute).overdueAt, minute);
  assert.deepEqual(at(7 * hour, 2 * hour), { due: false, overdueAt: null, nextAt: 8 * hour });
  assert.deepEqual([at(8 * hour, 2 * hour).due, at(8 * hour, 2 * hour).overdueAt], [true, null]);
  assert.equal(at(9 * hour, 2 * hour).overdueAt, 8 * hour);
});

test('by the calendar a drill is due within its window once, and overdue if that went by', () => {
  const schedule = parseSchedule('Thu 10:00')!;
  const config = { drills: { windowMs: 30 * minute }, timezone: 'UTC' } as never;
  const midnight = Date.UTC(2026, 0, 1);
  const ten = midnight + 10 * hour;
  const at = (wall: number, since: number, last?: number) => {
    const done = last === undefined ? undefined : { at: last };
    return standingOf({ schedule }, done, since, config, { at: wall, wall });
  };
  assert.equal(at(ten - 1, midnight).due, false);
  assert.equal(at(ten, midnight).due, true);
  assert.equal(at(ten + 30 * minute, midnight).due, true);
  const late = at(ten + 31 * minute, midnight);
  assert.deepEqual([late.due, late.overdueAt, late.nextAt], [false, ten, ten + 7 * day]);
  const made = at(ten + 31 * minute, midnight, ten + minute);
  assert.deepEqual([made.due, made.overdueAt], [false, null]);
  assert.equal(at(ten + 2 * minute, midnight, ten + minute).due, false);
  // It was scheduled only after its time: the next one counts.
  assert.equal(at(ten + 31 * minute, ten + minute).overdueAt, null);
  // While the next window is open the one before is still not made up for.
  assert.equal(at(ten + 7 * day + minute, midnight).overdueAt, ten);
});
