// Ends of held connections: they ask for probes and are no evidence, whatever their number. How many
// they ask for is bounded: by check, by origin, and over all, the most preferred first.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CoreConfig, Observation } from '../../src/core/model.ts';
import type { End } from '../../src/core/state.ts';
import { coreConfig, type Shape, World } from './world.ts';

const paths = ['p1', 'p2', 'p3'];
const shape: Shape = {
  paths,
  providers: ['cf'],
  check: { intervalMs: 60_000, timeoutMs: 2000, confirmMs: 500, fall: 3, rise: 2 },
  detector: { kind: 'sequential', falseSwitchEveryMs: 10 * 365 * 86_400_000 },
  record: { patienceMs: 0 },
};

/** After ten minutes of peace. */
function worldOf(config: CoreConfig = coreConfig(shape)): World {
  const world = new World(config);
  for (const name of Object.keys(config.records)) world.hold(name, 'a.shop.test.');
  world.start();
  world.advance(605_000);
  assert.ok(world.state.judged.get('a/web')?.verdict === 'up');
  return world;
}

const end = (world: World, ends: readonly End[]) => world.send({ kind: 'ended', ends });
const of = (check: string, by = paths): End[] => by.map((path) => ({ check, path }));

/** What an end alone asks for, in a second. */
function askedFor(world: World, ends: readonly End[]): number {
  const before = world.probes;
  end(world, ends);
  world.advance(1000);
  return world.probes - before;
}

test('an end asks each path twice, and is nothing more: no evidence, no failure, no loss', () => {
  const world = worldOf();
  const told = () =>
    [...world.state.checks.values()].map((cs) => [cs.evidence, cs.fails, cs.missed]);
  const loss = () => [...world.state.paths.values()].map((path) => path.loss.failed);
  const [before, lost] = [told(), loss()];
  assert.equal(askedFor(world, of('a/web', ['p2'])), 6);
  assert.deepEqual([told(), loss()], [before, lost]);
  assert.equal(world.state.judged.get('a/web')!.verdict, 'up');
});

test('a million ends move nothing where no probe fails', () => {
  const world = worldOf();
  const entries = world.journal.length;
  for (let i = 0; i < 1000; i++) {
    end(
      world,
      Array.from({ length: 1000 }, (_, n) => of('a/web')[n % 3]!),
    );
    world.advance(100);
  }
  assert.deepEqual(world.journal.slice(entries), []);
});

test('a crash is decided at once, by whichever path heard of it; a hang is no end', () => {
  for (const by of [paths, ['p1']]) {
    const world = worldOf();
    world.origins.set('a', 'fail');
    const at = world.now;
    end(world, of('a/web', by));
    world.advance(1000);
    const moved = world.journal.find((j) => j.entry.kind === 'switch');
    assert.ok(moved !== undefined && moved.at - at <= 350, `${moved?.at} - ${at} by ${by}`);
  }
});

test('who closes again and again is asked once for it, by that path; a crash is found as soon', () => {
  const world = worldOf();
  for (let i = 0; i < 3; i++) {
    assert.equal(askedFor(world, of('a/web', ['p1'])), 6, `end ${i}`);
    world.advance(60_000);
  }
  assert.equal(askedFor(world, of('a/web', ['p1'])), 1);
  world.origins.set('a', 'fail');
  const at = world.now;
  end(world, of('a/web'));
  world.advance(1000);
  const moved = world.journal.find((j) => j.entry.kind === 'switch');
  assert.ok(moved !== undefined && moved.at - at <= 350, `${moved?.at} - ${at}`);
  // What was down has shown that its ends mean something.
  world.origins.set('a', 'pass');
  world.advance(599_000);
  assert.equal(askedFor(world, of('a/web', ['p1'])), 6);
});

test('an hour without ends forgives a check its closing', () => {
  const world = worldOf();
  for (let i = 0; i < 12; i++) askedFor(world, of('a/web', ['p1']));
  world.advance(60_000);
  assert.equal(askedFor(world, of('a/web', ['p1'])), 1);
  world.advance(3_600_000);
  assert.equal(askedFor(world, of('a/web', ['p1'])), 6);
});

test('what closes without end costs its origin a quarter at most of what doubt may', () => {
  const world = worldOf();
  const before = world.probes;
  const minutes = 600;
  for (let i = 0; i < minutes * 60; i++) {
    end(world, of('a/web'));
    world.advance(1000);
  }
  // Two origins by three paths each minute.
  const more = world.probes - before - 6 * minutes;
  assert.ok(more <= 0.25 * 0.2 * 60 * minutes + 24, `${more} more in ${minutes} min`);
});

test('of a mass of ends those in force are asked first, within the budget, and failures before', () => {
  const names = Array.from({ length: 300 }, (_, i) => `x${i}`);
  const origins = Object.fromEntries(
    ['a', 'b', ...names].map((name, i) => [name, { cloud: i % 2 === 0 ? 'one' : 'two' }]),
  );
  const to = (origin: string) => ({ origin, cname: `${origin}.shop.test.` });
  const preferred = names.slice(200);
  const records = Object.fromEntries([
    ['www.gslb.test.', { targets: [to('a'), to('b')] }],
    ...preferred.map((name) => [`${name}.gslb.test.`, { targets: [to(name), to('a'), to('b')] }]),
  ]);
  const world = new World(coreConfig({ ...shape, origins, records }));
  for (const name of Object.keys(records)) {
    world.hold(name, name.startsWith('x') ? `${name.split('.')[0]}.shop.test.` : 'a.shop.test.');
  }
  world.start();
  world.advance(600_000);
  const asked: string[] = [];
  const began = new Map([...world.state.checks.values()].map((cs) => [cs.key, cs.askedAt]));
  const at = world.now;
  end(
    world,
    names.flatMap((name) => of(`${name}/web`)),
  );
  world.onStep = () => {
    for (const cs of world.state.checks.values()) {
      if (cs.askedAt >= at && cs.askedAt !== began.get(cs.key)) asked.push(cs.key);
      began.set(cs.key, cs.askedAt);
    }
  };
  world.advance(10);
  // Half of the budget of 400, of which none are less preferred.
  const first = asked.filter((key) => key.startsWith('x'));
  assert.ok(first.length >= 190 && first.length <= 210, `${first.length} at once`);
  assert.ok(first.every((key) => preferred.includes(key.slice(0, key.indexOf('/')))));
  // Whoever really fails meanwhile is not kept waiting by them.
  world.origins.set('a', 'fail');
  const failedAt = world.now;
  end(world, of('a/web'));
  world.advance(3000);
  const moved = world.journal.find((j) => j.at >= failedAt && j.entry.kind === 'switch');
  assert.ok(moved !== undefined && moved.at - failedAt <= 1500, `${moved?.at} - ${failedAt}`);
});

test('an end is nothing soon after a start, while it is not known what paths lose', () => {
  const world = new World(coreConfig(shape));
  world.hold('www.gslb.test.', 'a.shop.test.');
  world.start();
  world.advance(5_000);
  assert.equal(world.state.judged.get('a/web')?.verdict, 'up');
  assert.equal(askedFor(world, of('a/web')), 0);
  world.advance(29_000);
  assert.equal(askedFor(world, of('a/web')), 6);
});

test('an end is nothing to what is not up, is asked elsewhere, or by a path that is blind', () => {
  const world = worldOf();
  world.origins.set('a', 'fail');
  world.advance(300_000);
  assert.equal(world.state.judged.get('a/web')!.verdict, 'down');
  const counted = (ends: readonly End[]) => {
    const before = world.state.confirm.tokens;
    end(world, ends);
    return world.state.confirm.tokens < before;
  };
  assert.equal(counted(of('a/web')), false);
  assert.equal(counted(of('nobody/web')), false);
  assert.equal(counted(of('b/web', ['p9'])), false);
  world.state.paths.get('p1')!.blind = true;
  assert.equal(counted(of('b/web', ['p1'])), false);
});

test('a probe that an end asks for and that is lost is a doubt like any other', () => {
  const world = worldOf();
  world.checks.set('a/web@p1', 'fail');
  end(world, of('a/web'));
  world.advance(60_000);
  const said: Observation['outcome'][] = paths.map(
    (path) => world.state.checks.get(`a/web@${path}`)!.last!.outcome,
  );
  assert.deepEqual(said, ['fail', 'pass', 'pass']);
  assert.equal(world.state.judged.get('a/web')!.verdict, 'up');
  assert.equal(world.journal.filter((j) => j.entry.kind === 'switch').length, 0);
});
