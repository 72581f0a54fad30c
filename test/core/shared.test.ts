// Three engines and a wire, whatever happened before: once the world is steady and they hear each
// other, each of them judges as the world is, by evidence as by counters. No turn of the two tests
// that one takes later than another leaves them apart. And what they tell each other stays small.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { telling, toldVersion } from '../../src/core/engine.ts';
import type { Detector } from '../../src/core/model.ts';
import { Peers } from './peers.ts';
import { coreConfig, type Manner, World } from './world.ts';

const REPLICAS = ['n1', 'n2', 'n3'];
const detectors: readonly Detector[] = [
  { kind: 'counters' },
  { kind: 'sequential', falseSwitchEveryMs: 315_360_000_000 },
];

function group(detector: Detector, origins: readonly string[] = ['a', 'b']) {
  const clouds = Object.fromEntries(origins.map((name, i) => [name, { cloud: `cloud-${i % 3}` }]));
  const shape = { providers: ['cf'], replicas: REPLICAS, detector, origins: clouds };
  const world = new World(coreConfig(shape));
  world.hold('www.gslb.test.', 'a.shop.test.');
  world.start();
  return { world, peers: new Peers(world) };
}

const manner = fc.constantFrom<Manner>('fail', 'pass', 'hang', 'half', 'loss=0.3', 'blind');
const happening = fc.record({
  waitMs: fc.integer({ min: 0, max: 5_000 }),
  what: fc.oneof(
    fc.record({ origin: fc.constantFrom('a', 'b'), manner }),
    fc.record({ path: fc.constantFrom(...REPLICAS), manner }),
    fc.record({ check: fc.constantFrom('a', 'b'), by: fc.constantFrom(...REPLICAS), manner }),
    fc.record({ part: fc.constantFrom(...REPLICAS), isCut: fc.boolean() }),
  ),
});
type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never;

function happen(world: World, peers: Peers, { what, waitMs }: Happening): void {
  if ('part' in what) peers.part(what.part, what.isCut);
  else if ('origin' in what) world.origins.set(what.origin, what.manner);
  else if ('path' in what) world.paths.set(`${what.path}/direct`, what.manner);
  else world.checks.set(`${what.check}/web@${what.by}/direct`, what.manner);
  world.advance(waitMs);
}

for (const detector of detectors) {
  test(`after any history all replicas judge as the world is (${detector.kind})`, () => {
    const history = fc.array(happening, { maxLength: 20 });
    const end = fc.constantFrom<Manner>('pass', 'fail', 'hang', 'loss=0.1');
    fc.assert(
      fc.property(history, end, (before, manner) => {
        const { world, peers } = group(detector);
        world.advance(5_000);
        for (const one of before) happen(world, peers, one);
        for (const name of REPLICAS) peers.part(name, false);
        world.paths.clear();
        world.checks.clear();
        world.origins.set('a', manner);
        world.origins.set('b', 'pass');
        world.advance(90_000);
        const is = manner === 'fail' || manner === 'hang' ? 'down' : 'up';
        for (const [name, { state }] of peers.worlds) {
          const seen = [...state.origins.values()].map((o) => `${o.name} ${o.health}`);
          assert.deepEqual(seen, [`a ${is}`, 'b up'], name);
        }
      }),
      { numRuns: 100 },
    );
  });
}

test('calm, and while all that fails is known to fail, a beat tells nothing of any check', () => {
  const origins = Array.from({ length: 30 }, (_, i) => (i === 0 ? 'a' : `o${i}`));
  const { world, peers } = group(detectors[1]!, origins);
  world.advance(120_000);
  const told = (ms: number) => {
    const before = { sightings: peers.sightings, letters: peers.letters };
    world.advance(ms);
    return {
      sightings: peers.sightings - before.sightings,
      letters: peers.letters - before.letters,
    };
  };
  const calm = told(60_000);
  assert.equal(calm.sightings, 0);
  // A beat of each to each, four times a second.
  assert.ok(calm.letters <= 6 * 4 * 60, `${calm.letters} letters in a minute`);
  for (let i = 10; i < 30; i++) world.origins.set(`o${i}`, 'fail');
  world.advance(60_000);
  for (const { state } of peers.worlds.values()) {
    assert.equal([...state.origins.values()].filter((o) => o.health === 'down').length, 20);
  }
  assert.equal(told(60_000).sightings, 0);
});

test('a telling has what changed since a version, and all for one of another life', () => {
  const { world } = group(detectors[0]!);
  world.advance(10_000);
  const whole = telling(world.state, 0)!;
  assert.equal(whole.telling.whole, true);
  assert.equal(whole.telling.sightings.length, 2);
  assert.notEqual(whole.telling.records, null);
  const none = telling(world.state, whole.version)!;
  assert.deepEqual(none.telling.sightings, []);
  assert.deepEqual([none.telling.whole, none.telling.records], [false, null]);
  world.origins.set('b', 'fail');
  world.advance(1_100);
  assert.ok(toldVersion(world.state) > whole.version);
  const some = telling(world.state, whole.version)!;
  assert.deepEqual(
    some.telling.sightings.map((s) => s.check),
    ['b/web'],
  );
  assert.equal(telling(world.state, some.version + 1)!.telling.whole, true);
  // A check is told once, however often it changed.
  world.advance(30_000);
  assert.ok(telling(world.state, whole.version)!.telling.sightings.length <= 2);
});

test('what an origin may be asked is shared out over the replicas, as is the budget of doubt', () => {
  const { world, peers } = group(detectors[0]!);
  const { origins, confirm } = world.config;
  const limited = { ...origins, a: { ...origins['a']!, rate: 3 } };
  world.reload({ ...world.config, origins: limited });
  for (const [name, { state }] of peers.worlds) {
    if (name === 'n1') assert.equal(state.rates.get('a')!.set, 1);
    // One path of three is its own: the clocks of all are what one would ask by three.
    assert.equal(state.rates.get('b')!.plain, 1);
    assert.equal(state.eyes!.confirm.perSecond, confirm.perSecond / 3);
    assert.equal(state.eyes!.confirm.burst, confirm.burst / 3);
  }
});
