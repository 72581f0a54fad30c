// What is read from the blast radius of a cloud's failure: the twelve pictures a person would name,
// and what must hold of any picture.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type CloudFacts, diagnose } from '../../src/core/diagnose.ts';
import type { Health, Plane } from '../../src/core/model.ts';

type Origin = CloudFacts['origins'][number];
type Service = CloudFacts['services'][number];

/** `a@r1 down`, `b@r2 up disputed`. */
function origin(text: string): Origin {
  const [place, machine, disputed] = text.split(' ') as [string, Health, string?];
  const [name, region] = place.split('@') as [string, string?];
  return { name, region: region ?? null, machine, disputed: disputed === 'disputed' };
}

/** `oss@r1 service down`. */
function service(text: string): Service {
  const [place, plane, verdict] = text.split(' ') as [string, Plane, Health];
  const [name, region] = place.split('@') as [string, string?];
  return { id: `one:${name}`, region: region ?? null, plane, verdict };
}

function facts(origins: readonly string[], services: readonly string[] = [], sighted = 3) {
  return {
    cloud: 'one',
    origins: origins.map(origin),
    services: services.map(service),
    sighted,
    groups: 3,
  };
}

const pictures: readonly (readonly [string, CloudFacts, string, readonly string[]])[] = [
  ['everything answers', facts(['a@r1 up', 'b@r2 up']), 'healthy', []],
  ['one origin of several in a region fails', facts(['a@r1 down', 'b@r1 up']), 'origin-down', []],
  ['the only origin of a cloud fails', facts(['a down']), 'origin-down', []],
  ['one region fails wholly', facts(['a@r1 down', 'b@r1 down', 'c@r2 up']), 'region-down', ['r1']],
  [
    'several regions fail together, one still answers',
    facts(['a@r1 down', 'b@r2 down', 'c@r3 up']),
    'cloud-down',
    ['r1', 'r2', 'r3'],
  ],
  ['all of its origins fail', facts(['a@r1 down', 'b@r1 down']), 'cloud-down', ['r1']],
  [
    'machines fail and signed requests too: it is the machines',
    facts(['a@r1 down', 'b@r2 down'], ['oss service down', 'api control down']),
    'cloud-down',
    ['r1', 'r2'],
  ],
  [
    'signed requests fail where machines answer',
    facts(['a@r1 up', 'b@r2 up'], ['oss@r1 service down', 'oss@r2 service down']),
    'auth-down',
    [],
  ],
  [
    'signed requests and the API fail: the authentication behind both',
    facts(['a up'], ['oss service down', 'api control down']),
    'auth-down',
    [],
  ],
  [
    'only the API fails',
    facts(['a up'], ['oss service up', 'api control down']),
    'control-plane-down',
    [],
  ],
  ['some paths say otherwise', facts(['a up disputed', 'b up']), 'paths-disagree', []],
  ['no path sees anything', facts(['a down', 'b down'], [], 0), 'blind', []],
  ['nothing is known yet', facts(['a unknown'], ['oss service unknown']), 'healthy', []],
];

for (const [picture, given, word, regions] of pictures) {
  test(`${picture}: ${word}`, () => {
    const d = diagnose(given);
    assert.equal(d.word, word);
    if (word !== 'cloud-down') assert.deepEqual(d.regions, regions);
    else assert.deepEqual([...d.regions].sort(), [...regions].sort());
    assert.match(d.sentence, /^one: /);
  });
}

const health = fc.constantFrom<Health>('up', 'down', 'unknown');
const region = fc.constantFrom('r1', 'r2', 'r3', null);
const anyFacts: fc.Arbitrary<CloudFacts> = fc
  .record({
    origins: fc.array(fc.record({ region, machine: health, disputed: fc.boolean() }), {
      maxLength: 8,
    }),
    services: fc.array(
      fc.record({
        plane: fc.constantFrom<Plane>('resource', 'service', 'control'),
        region,
        verdict: health,
      }),
      { maxLength: 5 },
    ),
    sighted: fc.integer({ min: 0, max: 3 }),
  })
  .map((f) => ({
    cloud: 'one',
    groups: 3,
    sighted: f.sighted,
    origins: f.origins.map((o, i) => ({ ...o, name: `o${i}` })),
    services: f.services.map((s, i) => ({ ...s, id: `one:s${i}` })),
  }));

test('nothing is called failing that did not fail, and blindness is the only word of the blind', () => {
  fc.assert(
    fc.property(anyFacts, (f) => {
      const { word, regions } = diagnose(f);
      const down = f.origins.filter((o) => o.machine === 'down');
      assert.equal(word === 'blind', f.sighted === 0);
      if (word === 'cloud-down' || word === 'region-down') assert.ok(down.length > 0);
      if (word === 'auth-down' || word === 'control-plane-down' || word === 'paths-disagree') {
        assert.equal(down.length, 0);
      }
      const failing = [...f.origins.map((o) => o.machine), ...f.services.map((s) => s.verdict)];
      if (!failing.includes('down')) {
        assert.ok(['healthy', 'paths-disagree', 'blind'].includes(word), word);
      }
      for (const r of regions) assert.ok(f.origins.some((o) => (o.region ?? '') === r));
    }),
    { numRuns: 2000 },
  );
});

test('a region is said to fail only where every origin in it does', () => {
  fc.assert(
    fc.property(anyFacts, (f) => {
      const { word, regions } = diagnose(f);
      if (word !== 'region-down') return;
      for (const name of regions) {
        const there = f.origins.filter((o) => (o.region ?? '') === name);
        assert.ok(there.length > 0 && there.every((o) => o.machine === 'down'));
      }
    }),
    { numRuns: 2000 },
  );
});

test('what is unknown changes no word into a failure', () => {
  fc.assert(
    fc.property(anyFacts, (f) => {
      const hidden = f.origins.map((o) =>
        o.machine === 'up' ? { ...o, machine: 'unknown' as const } : o,
      );
      const [open, veiled] = [diagnose(f), diagnose({ ...f, origins: hidden })];
      assert.equal(veiled.word, open.word);
    }),
  );
});

test('of a thousand that fail, or that paths disagree about, a sentence names eight', () => {
  const names = Array.from({ length: 1000 }, (_, i) => `o${i}`);
  const most = names.slice(1).map((name) => `${name} down`);
  const fails = diagnose(facts(['o0 up', ...most])).sentence;
  assert.match(fails, /999 of 1000 origins fail .*: o1, .*, o8, … \(999 in all\)$/);
  const disputed = diagnose(facts(names.map((name) => `${name} up disputed`))).sentence;
  assert.match(disputed, /disagree about o0, .*, o7, … \(1000 in all\)$/);
});
