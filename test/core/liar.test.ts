// One replica of three says whatever it likes, as often as it likes, and calls for whatever there is:
// it moves no record that the two others see up, and keeps none from moving that they see down. It
// has one vote.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Event } from '../../src/core/engine.ts';
import type { Sighting, Telling } from '../../src/core/heard.ts';
import type { Detector, Outcome, Verdict } from '../../src/core/model.ts';
import { Peers } from './peers.ts';
import { coreConfig, WALL_0, World } from './world.ts';

const WWW = 'www.gslb.test.';
const LIAR = 'n3';
const CHECKS = ['a/web', 'b/web', 'c/web', 'd/web'];
const detectors: readonly Detector[] = [
  { kind: 'counters' },
  { kind: 'sequential', falseSwitchEveryMs: 315_360_000_000 },
];

function group(detector: Detector) {
  const origins = Object.fromEntries(
    ['a', 'b', 'c', 'd'].map((name) => [name, { cloud: `cloud-${name}` }]),
  );
  const replicas = ['n1', 'n2', LIAR];
  const world = new World(coreConfig({ providers: ['cf'], replicas, detector, origins }));
  world.hold(WWW, 'a.shop.test.');
  world.start();
  const peers = new Peers(world);
  // The honest one by its name says nothing at all.
  peers.part(LIAR, true);
  return { world, peers };
}

/** What nobody should count on. */
const odd = fc.oneof(
  fc.constantFrom(0, 1, 50, -1, 1e9, Number.NaN, Number.POSITIVE_INFINITY, -1e15),
  fc.double({ min: 0, max: 100, noNaN: true }),
);
const age = fc.oneof(odd, fc.constant(null));
const sighting: fc.Arbitrary<Sighting & { right: boolean }> = fc.record({
  check: fc.constantFrom(...CHECKS, 'no/such', '@n3/direct:x'),
  path: fc.constantFrom('n3/direct', 'n3/direct', 'n3/direct', 'n1/direct', 'n2/direct', 'n9/x'),
  right: fc.boolean(),
  hash: fc.constant('another'),
  verdict: fc.constantFrom('up', 'down', 'unknown', 'sideways' as Verdict),
  evidence: odd,
  recovery: odd,
  fails: odd,
  passes: odd,
  missed: odd,
  passAgeMs: age,
  failAgeMs: age,
  openAgeMs: age,
  heardAgeMs: odd,
  outcome: fc.constantFrom('pass', 'fail', 'blind', 'limited', null, 'odd' as Outcome),
  detail: fc.string(),
});
const telling = fc.record({
  paths: fc.array(
    fc.record({
      path: fc.constantFrom('n3/direct', 'n1/direct', 'n2/direct'),
      blind: fc.boolean(),
      lossPermille: odd,
    }),
    { maxLength: 3 },
  ),
  sightings: fc.array(sighting, { maxLength: 8 }),
  whole: fc.boolean(),
  records: fc.constantFrom(null, {}, { [WWW]: 'another' }, { 'no.such.test.': 'x' }),
  blind: fc.boolean(),
  acts: fc.boolean(),
});
const call = fc.record({
  checks: fc.subarray([...CHECKS, 'no/such'], { minLength: 1 }),
  why: fc.constantFrom('confirm' as const, 'fresh' as const),
});
const lie = fc.record({
  waitMs: fc.integer({ min: 0, max: 400 }),
  saidAgoMs: odd,
  what: fc.oneof(telling, telling, call),
});
type Lie = typeof lie extends fc.Arbitrary<infer T> ? T : never;

function eventOf({ what, saidAgoMs }: Lie, to: World): Event {
  if ('checks' in what) return { kind: 'called', replica: LIAR, ...what };
  const sightings = what.sightings.map(({ right, ...s }) => {
    const hash = to.config.checks[s.check]?.hash;
    return right && hash !== undefined ? { ...s, hash } : s;
  });
  const told: Telling = { ...what, replica: LIAR, config: 'c', head: 0, term: 0, sightings };
  return { kind: 'heard', telling: told, saidAt: WALL_0 + to.now - (saidAgoMs || 0) };
}

/** Tells all the lies, again and again for so long. */
function spread(world: World, peers: Peers, lies: readonly Lie[], forMs: number): void {
  const until = world.now + forMs;
  for (let i = 0; world.now < until; i++) {
    const one = lies[i % lies.length]!;
    world.advance(Math.min(until - world.now, one.waitMs + 10));
    for (const [name, to] of peers.worlds) if (name !== LIAR) to.send(eventOf(one, to));
  }
}

const lies = fc.array(lie, { minLength: 1, maxLength: 40 });

for (const detector of detectors) {
  test(`one replica of three that lies moves nothing that is up (${detector.kind})`, () => {
    fc.assert(
      fc.property(lies, (told) => {
        const { world, peers } = group(detector);
        world.advance(10_000);
        spread(world, peers, told, 30_000);
        const moved = world.journal.filter(({ entry }) => entry.kind === 'switch');
        assert.deepEqual(
          moved.map(({ entry }) => entry.sentence),
          [],
        );
        assert.equal(world.state.origins.get('a')!.health, 'up');
        assert.equal(world.yields.length, 0);
      }),
      { numRuns: 60 },
    );
  });

  test(`nor keeps anything from moving that is down (${detector.kind})`, () => {
    fc.assert(
      fc.property(lies, (told) => {
        const { world, peers } = group(detector);
        world.advance(10_000);
        spread(world, peers, told, 5_000);
        world.origins.set('a', 'fail');
        spread(world, peers, told, 20_000);
        assert.notEqual(world.state.records.get(WWW)!.doc.target, 'a');
      }),
      { numRuns: 60 },
    );
  });
}

test('what is asked of an origin for a replica that calls without end stays within its rate', () => {
  const { world, peers } = group(detectors[1]!);
  world.advance(60_000);
  const before = world.probes;
  world.advance(60_000);
  const plain = world.probes - before;
  const flood = CHECKS.flatMap((check) => [check, check]);
  for (let i = 0; i < 6000; i++) {
    const why = i % 2 === 0 ? 'confirm' : 'fresh';
    world.send({ kind: 'called', replica: LIAR, checks: flood, why });
    world.advance(10);
  }
  const flooded = world.probes - before - plain;
  // Twice the plain rate, and the allowance of each place.
  assert.ok(flooded <= 2 * plain + 4 * 8 + 8, `${flooded} probes in a minute, ${plain} plainly`);
  assert.equal(peers.calls.get('n1'), 0, 'a call makes no call');
});
