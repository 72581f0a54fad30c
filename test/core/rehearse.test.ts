// What is kept of drills: the end of each kind of each thing, whoever made it, as a document that stays
// small; nothing of one that began or was refused, and nothing at a replica that does not act.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../../src/core/model.ts';
import { isShared } from '../../src/core/state.ts';
import { storedProblem } from '../../src/core/stored.ts';
import { coreConfig, World } from './world.ts';

const names = { canary: ['cf'], dry: ['a', 'b'], live: ['www.gslb.test.'] };

function started(): World {
  const world = new World(coreConfig());
  world.hold('www.gslb.test.', 'a.shop.test.');
  world.start();
  world.advance(5_000);
  return world;
}

function ended(world: World, more: object = {}): void {
  const drilled = { drill: 'dry', name: 'a', result: 'passed', ms: 7, sentence: 's', parts: null };
  world.send({ kind: 'rehearsed', drilled: { ...drilled, ...more } as never });
}

const kept = (world: World): readonly string[] =>
  Object.keys(world.docs).filter((key) => key.startsWith('drill/'));

test('the last end of each is kept, shared, sound, and forgotten with what it was of', () => {
  const world = started();
  ended(world);
  ended(world, { drill: 'canary', name: 'cf', result: 'failed', ms: null });
  world.send({ kind: 'scheduled', kinds: ['dry'], names });
  assert.deepEqual(kept(world).toSorted(), ['drill/canary/cf', 'drill/dry/a', 'drill/since/dry']);
  assert.ok(kept(world).every(isShared));
  assert.equal(storedProblem(world.docs as Record<string, Json>), null);
  world.kill();
  world.start();
  assert.equal(world.state.drills.size, 2);
  assert.ok(world.state.scheduled.has('dry'));
  world.send({ kind: 'scheduled', kinds: [], names: { ...names, canary: [] } });
  assert.deepEqual(kept(world), ['drill/dry/a']);
});

test('a document stays small, however much was measured', () => {
  const world = started();
  const parts = Array.from({ length: 100 }, (_, i) => ({ record: `r${i}.example.net.` }));
  ended(world, { parts, sentence: 'x'.repeat(10_000) });
  const text = JSON.stringify(world.docs['drill/dry/a']);
  assert.ok(text.length < 1000, `${text.length} characters`);
  const entry = world.journal.findLast((j) => j.entry.kind === 'drill')!.entry;
  assert.equal((entry.data as { parts: unknown[] }).parts.length, 100);
});
