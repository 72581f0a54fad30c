// What the engine says of its own waking: each deadline is named by a typed value, and the view tells
// the one that comes next. The heap itself is compared with a list in properties.test.ts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextDeadline } from '../../src/core/engine.ts';
import type { Wake } from '../../src/core/timers.ts';
import { view } from '../../src/core/view.ts';
import { coreConfig, World } from './world.ts';

const www = 'www.gslb.test.';
const about = { version: '', reload: null };

function begun(): World {
  const world = new World(coreConfig());
  world.hold(www, 'a.shop.test.');
  world.start();
  return world;
}

test('the view tells when the engine acts next, and what for', () => {
  const world = begun();
  world.advance(10_000);
  const { next } = view(world.state, about);
  const due = nextDeadline(world.state)!;
  assert.equal(next!.at, due.at);
  assert.ok(next!.at >= world.state.now);
  assert.deepEqual(JSON.parse(JSON.stringify(next!.wake)), { ...due.wake });
});

test('every kind of deadline is met in an outage, and names what it is for', () => {
  const world = begun();
  const seen = new Map<string, Wake>();
  world.onStep = ({ state }) => {
    for (const { wake } of state.timers.heap) seen.set(wake.kind, wake);
  };
  world.advance(20_000);
  world.vendors.get('cf')!.api = 'unavailable';
  world.vendors.get('r53')!.api = 'reject';
  world.origins.set('a', 'slow=900');
  world.advance(10_000);
  world.origins.set('a', 'fail');
  world.chains.set('b.shop.test.', 'broken');
  world.advance(5_000);
  world.chains.clear();
  world.advance(60_000);
  assert.deepEqual([...seen.keys()].sort(), [
    'ask',
    'choose',
    'confirm',
    'diagnose',
    'end-switch',
    'lane',
    'overdue',
    'probe',
    'read-dns',
    'retry',
    'review',
  ]);
  assert.deepEqual(seen.get('ask')!.kind === 'ask' && Object.keys(seen.get('ask')!), [
    'kind',
    'provider',
    'record',
  ]);
});

test('what is configured no more leaves no deadline behind', () => {
  const world = begun();
  world.advance(20_000);
  world.origins.set('a', 'fail');
  world.vendors.get('cf')!.api = 'unavailable';
  world.advance(4_000);
  const { cf: _, ...lanes } = world.config.lanes;
  const { b: __, ...origins } = world.config.origins;
  const { 'b/web': ___, ...checks } = world.config.checks;
  world.config = { ...world.config, lanes, origins, checks, clouds: {}, records: {} };
  world.send({ kind: 'configured', config: world.config });
  const left = world.state.timers.heap.map(({ wake }) => wake);
  for (const wake of left) {
    assert.ok(!('record' in wake), JSON.stringify(wake));
    assert.ok(!('provider' in wake) || wake.provider !== 'cf', JSON.stringify(wake));
    assert.ok(wake.kind !== 'diagnose' && wake.kind !== 'choose', JSON.stringify(wake));
    assert.ok(!('check' in wake) || wake.check.startsWith('a/'), JSON.stringify(wake));
  }
  world.advance(60_000);
});
