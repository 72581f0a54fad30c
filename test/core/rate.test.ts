// Doubt that harms nobody (design, rule 31): how often a place is asked, whatever happens to it and to
// others, what it says of that, and what is made of being told off. Probes are counted as they leave.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CoreConfig } from '../../src/core/model.ts';
import {
  countPass,
  countProbe,
  countRefusal,
  limitOf,
  newRate,
  waitForExtraMs,
  waitForRecoveryMs,
} from '../../src/core/rate.ts';
import { coreConfig, type Manner, type Shape, WALL_0, World } from './world.ts';

const WWW = 'www.gslb.test.';
const paths = ['p1', 'p2', 'p3'];
const policy = { intervalMs: 5000, timeoutMs: 2000, confirmMs: 500 };
const sequential = { kind: 'sequential', falseSwitchEveryMs: 10 * 365 * 86_400_000 } as const;
const shape: Shape = { paths, check: policy, detector: sequential, record: { patienceMs: 10_000 } };
/** What three paths ask of one check each five seconds. */
const PLAIN = 3 / 5;
/** Twice that, and half of it for the sake of others. */
const MOST = 2.5 * PLAIN;
/** What one decision needs, twice: about a place, and about others. */
const BURSTS = 2 * 24;

function worldOf(config: CoreConfig = coreConfig(shape)): { world: World; asked: AskedBy } {
  const world = new World(config);
  const asked: AskedBy = new Map();
  const perform = world.perform.bind(world);
  world.perform = (e, committed) => {
    if (e.kind === 'probe') {
      const origin = config.checks[e.check]!.origin ?? e.check;
      const times = asked.get(origin) ?? [];
      asked.set(origin, times);
      times.push(e.at - WALL_0);
    }
    perform(e, committed);
  };
  world.hold(WWW, 'a.shop.test.');
  world.start();
  return { world, asked };
}

type AskedBy = Map<string, number[]>;

/** The most that was asked in any so many milliseconds, of what began at or after a moment. */
function mostWithin(times: readonly number[], ms: number, fromAt = 0): number {
  const all = times.filter((at) => at >= fromAt);
  let [most, first] = [0, 0];
  all.forEach((at, last) => {
    while (at - all[first]! >= ms) first++;
    most = Math.max(most, last - first + 1);
  });
  return most;
}

function healths(world: World, origin: string): string[] {
  return world.journal.flatMap(({ entry }) => {
    const { origin: of, health } = entry.data as { origin?: string; health?: string };
    return entry.kind === 'health' && of === origin ? [health!] : [];
  });
}

test('whatever fails for however long, an origin is asked about twice as often as by the clock', () => {
  const manners: readonly (readonly [string, (w: World) => void])[] = [
    [
      'lossy paths',
      (w) => w.paths.set('p1', 'loss=0.3').set('p2', 'loss=0.3').set('p3', 'loss=0.3'),
    ],
    ['every other request fails', (w) => w.origins.set('a', 'half')],
    ['it hangs', (w) => w.origins.set('a', 'hang')],
    ['one path is broken for good', (w) => w.checks.set('a/web@p1', 'fail')],
    ['slow and lossy', (w) => w.origins.set('a', 'loss=0.5').set('b', 'slow=1900')],
    ['nothing answers', (w) => w.origins.set('a', 'fail').set('b', 'hang')],
  ];
  for (const [what, break_] of manners) {
    const { world, asked } = worldOf();
    world.advance(60_000);
    break_(world);
    world.advance(1_800_000);
    for (const [origin, times] of asked) {
      const most = mostWithin(times, 600_000, 60_000);
      assert.ok(
        most <= 600 * MOST + BURSTS,
        `${what}: ${origin} was asked ${most} times in 10 min`,
      );
    }
  }
});

test('the doubt about many others asks no more of those that bear witness', () => {
  const names = Array.from({ length: 20 }, (_, i) => `o${i}`);
  const many = Object.fromEntries(names.map((name) => [name, { cloud: 'one' }]));
  const origins = { a: { cloud: 'one' }, b: { cloud: 'two' }, ...many };
  const { world, asked } = worldOf(coreConfig({ ...shape, origins }));
  world.advance(60_000);
  for (const name of names) world.origins.set(name, 'loss=0.4');
  world.advance(1_200_000);
  const most = mostWithin(asked.get('b')!, 600_000, 60_000);
  assert.ok(most <= 600 * MOST + BURSTS, `b was asked ${most} times in 10 min`);
});

test('what one decision needs is there after hours of doubt about one path, and of loss', () => {
  for (const break_ of ['fail', 'loss=0.3'] as const) {
    const { world } = worldOf();
    world.advance(60_000);
    world.checks.set('a/web@p1', break_);
    world.advance(7_200_000);
    world.origins.set('a', 'fail');
    world.checks.delete('a/web@p1');
    const at = world.now;
    world.advance(10_000);
    const down = world.journal.find((j) => j.at >= at && healthOf(j.entry.data) === 'a down');
    assert.ok(down !== undefined && down.at - at < 5_000, `${break_}: ${(down?.at ?? 0) - at} ms`);
  }
});

test('what passes again by one path is asked by all of them at once: a recovery is seen as soon', () => {
  const tooks: number[] = [];
  for (let i = 0; i < 20; i++) {
    const { world } = worldOf();
    world.advance(60_000);
    world.origins.set('a', 'fail');
    world.advance(600_000 + i * 251);
    const at = world.now;
    world.origins.set('a', 'pass');
    world.advance(30_000);
    const up = world.journal.find((j) => j.at >= at && healthOf(j.entry.data) === 'a up');
    tooks.push((up?.at ?? Number.POSITIVE_INFINITY) - at);
  }
  // An interval at most until it is first seen to pass by any, and each in its own time: over 6 s.
  const most = policy.intervalMs + policy.confirmMs;
  assert.ok(Math.max(...tooks) <= most, `up again after ${tooks.join(', ')} ms`);
});

test('what few paths may ask in doubt is no less than what three may', () => {
  const most = [1, 2, 3].map((ways) => {
    const rate = newRate(0);
    [rate.plain, rate.ways] = [ways / 5, ways];
    let many = 0;
    while (many < 100 && waitForExtraMs(rate, 0, 0) === 0) many++;
    return many;
  });
  assert.deepEqual(most, [24, 24, 24]);
});

function healthOf(data: unknown): string {
  const { origin, health } = data as { origin?: string; health?: string };
  return `${origin} ${health}`;
}

for (const bans of [false, true]) {
  test(`origins that ${bans ? 'ban for a minute' : 'answer 429'} are never down by being asked`, () => {
    for (const limit of [1, 2, 3, 5, 10]) {
      const { world, asked } = worldOf();
      world.origins.set('a', `${bans ? 'ban' : 'limit'}=${limit}`);
      world.advance(600_000);
      for (let hour = 0; hour < 3; hour++) {
        world.checks.set('a/web@p1', 'fail').set('a/web@p2', 'hang');
        world.advance(3_000);
        world.checks.clear();
        world.advance(3_600_000);
      }
      const seen = healths(world, 'a');
      assert.ok(!seen.includes('down'), `${limit}: ${seen.join()}`);
      assert.equal(world.journal.filter((j) => j.entry.kind === 'switch').length, 0);
      const told = world.journal.find((j) => j.entry.kind === 'limit')?.at ?? 0;
      const most = mostWithin(asked.get('a')!, 60_000, told);
      assert.ok(most <= 2 * 60 * limit, `${limit}: asked ${most} times in a minute`);
      assert.equal(world.state.origins.get('a')!.health, 'up');
    }
  });
}

test('who is told for how long to wait waits so long, with every check by every path', () => {
  const { world, asked } = worldOf();
  world.advance(60_000);
  world.origins.set('a', 'limited=60000');
  world.advance(30_000);
  const told = world.journal.find((j) => j.entry.kind === 'limit')!.at;
  world.advance(20_000);
  assert.deepEqual(
    asked.get('a')!.filter((at) => at > told && at < told + 60_000),
    [],
  );
  world.origins.set('a', 'pass');
  world.advance(60_000);
  assert.ok(asked.get('a')!.some((at) => at >= told + 60_000));
  assert.equal(world.state.origins.get('a')!.health, 'up');
  assert.deepEqual(healths(world, 'a'), ['up']);
});

test('a rate that is set is kept to the probe, calm or not, and what is set below slows the clock', () => {
  for (const [rate, gap] of [
    [2, 500],
    [0.3, 3333],
  ] as const) {
    const config = coreConfig(shape);
    const a = { ...config.origins['a']!, rate };
    const { world, asked } = worldOf({ ...config, origins: { ...config.origins, a } });
    const manners: readonly Manner[] = ['pass', 'half', 'hang', 'fail', 'loss=0.3'];
    for (const manner of manners) {
      world.origins.set('a', manner);
      world.advance(300_000);
    }
    const times = asked.get('a')!;
    const least = Math.min(...times.slice(1).map((at, i) => at - times[i]!));
    assert.ok(least >= gap, `${rate}: two probes within ${least} ms`);
    world.origins.set('a', 'pass');
    world.advance(600_000);
    assert.equal(world.state.origins.get('a')!.health, 'up', `at ${rate} a second`);
  }
});

test('a limit is not met again within the hour, and forgotten where there is none any more', () => {
  const { world } = worldOf();
  world.origins.set('a', 'limit=3');
  world.advance(60_000);
  const limits = () => world.journal.filter(({ entry }) => entry.kind === 'limit');
  const first = limits().length;
  assert.ok(first > 0);
  world.advance(50 * 60_000);
  world.checks.set('a/web@p1', 'fail').set('a/web@p2', 'hang');
  world.advance(3_000);
  world.checks.clear();
  world.advance(60_000);
  assert.equal(limits().length, first);
  world.origins.set('a', 'pass');
  world.advance(6 * 3_600_000);
  assert.deepEqual(limits().at(-1)!.entry.data, { place: 'a', perSecond: null });
});

test('a limit that was met once more is left in peace for twice as long', () => {
  const hourMs = 3_600_000;
  const rate = newRate(0);
  [rate.plain, rate.ways] = [PLAIN, 3];
  let now = 1000;
  const burst = () => {
    for (let i = 0; i < 6; i++) countProbe(rate, now);
  };
  const most = () => limitOf(rate)?.perSecond;
  burst();
  assert.ok(countRefusal(rate, now, 0, now + 5));
  assert.equal(most(), 3, 'half of what was asked in that second');
  assert.ok(!countRefusal(rate, now, 0, now + 6), 'one of the same burst teaches nothing');
  assert.equal(most(), 3);
  for (const [waitMs, expected] of [
    [hourMs - 10_000, 3],
    [10_000, 6],
  ] as const) {
    now += waitMs;
    countPass(rate, now);
    countProbe(rate, now + 10);
    assert.equal(most(), expected);
  }
  now += 5000;
  burst();
  assert.ok(countRefusal(rate, now, 0, now + 5));
  assert.equal(most(), 3);
  for (const [waitMs, expected] of [
    [hourMs + 10_000, 3],
    [hourMs, 6],
  ] as const) {
    now += waitMs;
    countPass(rate, now);
    countProbe(rate, now + 10);
    assert.equal(most(), expected);
  }
});

test('a witness that refuses to be asked makes nobody blind, and condemns nobody', () => {
  const { world } = worldOf();
  world.advance(60_000);
  world.origins.set('b', 'limited');
  world.advance(120_000);
  assert.ok([...world.state.paths.values()].every((path) => !path.blind));
  assert.equal(world.state.origins.get('a')!.health, 'up');
  assert.equal(world.state.origins.get('b')!.health, 'up');
});

test('many checks are spread over their interval, and stay so when the process stood still', () => {
  const names = Array.from({ length: 120 }, (_, i) => `o${i}`);
  const { world, asked } = worldOf(
    coreConfig({
      origins: Object.fromEntries(names.map((n, i) => [n, { cloud: `c${i % 3}` }])),
      check: { intervalMs: 60_000, timeoutMs: 2000, confirmMs: 500 },
    }),
  );
  world.advance(5_000);
  const up = () => names.filter((name) => world.state.origins.get(name)!.health === 'up').length;
  assert.equal(up(), names.length, 'the first verdicts do not wait for the interval');
  const times = () => [...asked.values()].flat().sort((a, b) => a - b);
  world.advance(300_000);
  assert.ok(mostWithin(times(), 1000, 120_000) <= 8, 'two a second, by chance a few more');
  const pausedAt = world.now + 600_000;
  world.now = pausedAt;
  world.send({ kind: 'paused', forMs: 600_000 });
  world.advance(5_000);
  assert.equal(up(), names.length);
  assert.ok(mostWithin(times(), 10, pausedAt) <= 12, 'not all in one moment');
  world.advance(600_000);
  assert.ok(mostWithin(times(), 1000, pausedAt + 120_000) <= 8, 'nor in one moment from then on');
});

test('where many checks are spread, the paths of one still take turns', () => {
  const origins = Object.fromEntries(
    Array.from({ length: 40 }, (_, i) => [`o${i}`, { cloud: `c${i % 3}` }]),
  );
  const { world, asked } = worldOf(coreConfig({ ...shape, origins }));
  world.advance(120_000);
  for (const [origin, times] of asked) {
    const late = times.filter((at) => at > 60_000);
    const gaps = late.slice(1).map((at, i) => at - late[i]!);
    assert.ok(
      gaps.every((ms) => Math.abs(ms - 5000 / 3) <= 2),
      `${origin}: ${gaps.join()}`,
    );
  }
});

test('what a recovery asks leaves what the next decision needs', () => {
  const rate = newRate(0);
  [rate.plain, rate.ways] = [3, 3];
  let many = 0;
  while (many < 100 && waitForRecoveryMs(rate, 0) === 0) many++;
  assert.ok(many > 24, `${many}: it has an allowance of its own, and some of doubt's`);
  let left = 0;
  while (left < 100 && waitForExtraMs(rate, 2 / 3, 0) === 0) left++;
  assert.ok(left > 0, 'even the first doubt of all may begin at once');
  while (left < 100 && waitForExtraMs(rate, 0, 0) === 0) left++;
  assert.ok(left >= 12, `${left} probes are left: one decision takes about ten`);
});

test('a probe is routine only by the clock, and where nothing is in doubt by any path', () => {
  const world = new World(coreConfig(shape));
  const made: { readonly origin: string; readonly at: number; readonly routine: boolean }[] = [];
  const perform = world.perform.bind(world);
  world.perform = (e, committed) => {
    if (e.kind === 'probe') {
      const { origin } = world.config.checks[e.check]!;
      made.push({ origin: origin!, at: e.at - WALL_0, routine: e.routine });
    }
    perform(e, committed);
  };
  world.hold(WWW, 'a.shop.test.');
  world.start();
  world.advance(60_000);
  const first = made.find(({ origin }) => origin === 'a')!;
  assert.equal(first.routine, false, 'nothing is known of it yet');
  assert.ok(made.filter(({ at }) => at > 30_000).every(({ routine }) => routine));
  world.origins.set('a', 'fail');
  world.advance(20_000);
  const ofOutage = made.filter(({ origin, at }) => origin === 'a' && at > 60_000);
  const failedAt = ofOutage[0]!.at;
  assert.ok(ofOutage[0]!.routine, 'the first to fail');
  assert.ok(ofOutage.filter(({ at }) => at > failedAt + 50).every(({ routine }) => !routine));
  assert.equal(world.state.origins.get('a')!.health, 'down');
  world.origins.set('a', 'pass');
  world.advance(60_000);
  assert.ok(
    made.filter(({ at }) => at > 130_000).every(({ routine }) => routine),
    'well again',
  );
});
