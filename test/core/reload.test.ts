// What a reload does to what is known, where a scenario has no words for it: checks, paths and records
// that come and go, in the engine alone.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CheckConfig, Health } from '../../src/core/model.ts';
import { coreConfig, type Shape, World, webCheck } from './world.ts';

const WWW = 'www.gslb.test.';

function extra(origin: string, name: string, more: Partial<CheckConfig> = {}): CheckConfig {
  return { ...webCheck(origin, 'one', null), id: `${origin}/${name}`, ...more };
}

function begun(shape: Shape): World {
  const world = new World(coreConfig(shape));
  world.hold(WWW, 'a.shop.test.');
  world.start();
  world.advance(5000);
  return world;
}

function health(world: World, origin: string): Health {
  return world.state.origins.get(origin)!.health;
}

test('an origin is not down any longer for a check that a reload took away', () => {
  const world = begun({ extra: [extra('a', 'more')], providers: ['cf'] });
  world.command({ kind: 'freeze', record: null, reason: 'r', by: 'ann' });
  world.checks.set('a/more', 'fail');
  world.advance(10_000);
  assert.equal(health(world, 'a'), 'down');
  world.reload(coreConfig({ providers: ['cf'] }));
  assert.equal(health(world, 'a'), 'up');
  assert.equal(world.state.origins.get('a')!.downSinceAt, null);
  world.command({ kind: 'unfreeze', record: null, by: 'ann' });
  world.advance(60_000);
  assert.equal(world.state.records.get(WWW)!.doc.target, 'a', 'nothing has moved');
});

test('nor for one that has become advisory, and it is down at once for one that is so no longer', () => {
  const [advisory, plain] = [extra('a', 'more', { advisory: true }), extra('a', 'more')];
  const world = begun({ extra: [advisory], providers: ['cf'] });
  world.checks.set('a/more', 'fail');
  world.command({ kind: 'freeze', record: null, reason: 'r', by: 'ann' });
  world.advance(10_000);
  assert.equal(health(world, 'a'), 'up');
  world.reload(coreConfig({ extra: [plain], providers: ['cf'] }));
  assert.equal(health(world, 'a'), 'down');
  world.reload(coreConfig({ extra: [advisory], providers: ['cf'] }));
  assert.equal(health(world, 'a'), 'up');
});

test('what is up is not lost to checks and paths that have not spoken yet', () => {
  const world = begun({ providers: ['cf'] });
  const since = world.state.origins.get('a')!.sinceAt;
  world.reload(coreConfig({ extra: [extra('a', 'more')], providers: ['cf'] }));
  world.reload(
    coreConfig({ extra: [extra('a', 'more')], paths: ['direct', 'p2', 'p3'], providers: ['cf'] }),
  );
  assert.equal(health(world, 'a'), 'up');
  world.advance(10_000);
  assert.deepEqual([health(world, 'a'), world.state.origins.get('a')!.sinceAt], ['up', since]);
});

test('what was down by paths that are gone is unknown until those that stay say so', () => {
  const paths = ['p1', 'p2', 'p3'];
  const world = begun({ paths, providers: ['cf'] });
  for (const path of ['p1', 'p2']) world.checks.set(`a/web@${path}`, 'fail');
  world.command({ kind: 'freeze', record: null, reason: 'r', by: 'ann' });
  world.advance(10_000);
  assert.equal(health(world, 'a'), 'down');
  world.reload(coreConfig({ paths: ['p3'], providers: ['cf'] }));
  assert.equal(health(world, 'a'), 'up');
});

test('the document of a record that was released is dropped, and its timers with it', () => {
  const world = begun({ records: { [WWW]: {}, 'api.gslb.test.': {} }, providers: ['cf'] });
  world.command({ kind: 'adopt', record: 'api.gslb.test.', target: 'a', create: true, by: 'ann' });
  assert.ok(`record/${WWW}` in world.docs);
  world.reload(coreConfig({ records: { 'api.gslb.test.': {} }, providers: ['cf'] }));
  assert.deepEqual(
    Object.keys(world.docs).filter((key) => key.startsWith('record/')),
    ['record/api.gslb.test.'],
  );
  const left = world.state.timers.heap.filter(
    ({ wake }) => 'record' in wake && wake.record === WWW,
  );
  assert.deepEqual(left, []);
  assert.equal(world.journal.filter(({ entry }) => entry.kind === 'release').length, 1);
});

test('the changes of a reload stand in its entry, as many as are bearable', () => {
  const world = begun({ providers: ['cf'] });
  const changes = Array.from({ length: 80 }, (_, i) => `change ${i}`);
  world.send({ kind: 'configured', config: world.config, changes });
  const { data } = world.journal.findLast(({ entry }) => entry.kind === 'reload')!.entry;
  assert.deepEqual(data, { changes: changes.slice(0, 50) });
});
