// What a reload does to what is known, where a scenario has no words for it: checks, paths and records
// that come and go, in the engine alone.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reloadProblems } from '../../src/core/engine.ts';
import type { CheckConfig, Health } from '../../src/core/model.ts';
import { view } from '../../src/core/view.ts';
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

test('what an operator said of a record outlives a start without it, also where a reload brings it back', () => {
  const both: Shape = { records: { [WWW]: {}, 'api.gslb.test.': {} }, providers: ['cf'] };
  const one: Shape = { records: { 'api.gslb.test.': {} }, providers: ['cf'] };
  const world = begun(both);
  world.command({ kind: 'freeze', record: WWW, reason: 'r', by: 'ann' });
  world.command({ kind: 'pin', record: WWW, reason: 'r', by: 'ann', forMs: 3_600_000 });
  const said = world.state.records.get(WWW)!.doc;
  world.kill();
  world.config = coreConfig(one);
  world.start();
  world.advance(5000);
  assert.equal(world.state.records.get(WWW), undefined);
  world.reload(coreConfig(both));
  world.advance(5000);
  const { freeze, pin, epochMax } = world.state.records.get(WWW)!.doc;
  assert.deepEqual([freeze, pin, epochMax], [said.freeze, said.pin, said.epochMax]);
});

test('a name that waited in a queue when it was taken out waits in none when it comes back', () => {
  const both: Shape = { providers: ['cf', 'r53'] };
  const world = begun(both);
  world.vendors.get('r53')!.api = 'unavailable';
  // What DNS gives is odd, so that its API is asked, in vain: it waits with the routine work.
  world.held('r53', WWW).cname = { value: 'x.example.', ttl: 60 };
  world.advance(120_000);
  const lane = world.state.lanes.get('r53')!;
  assert.deepEqual([...lane.routine], [WWW]);
  world.reload(coreConfig({ providers: ['cf'] }));
  assert.deepEqual([...lane.routine, ...lane.urgent], []);
  world.reload(coreConfig(both));
  world.advance(30_000);
});

test('an account whose zones all failed can be shown when none of its records is left', () => {
  const records = { [WWW]: {}, 'api.edge.test.': {} };
  const world = begun({ records, providers: ['cf', 'r53'] });
  world.command({ kind: 'adopt', record: 'api.edge.test.', target: 'a', create: true, by: 'ann' });
  world.advance(5000);
  const { sick } = world.vendors.get('cf')!;
  for (const zone of ['gslb.test.', 'edge.test.']) sick.set(zone, 'unavailable');
  const words = { reason: 'r', by: 'ann', forMs: null, force: true, dryRun: false };
  for (const record of Object.keys(records)) {
    world.command({ kind: 'switch', record, target: 'b', ...words });
  }
  world.advance(60_000);
  assert.equal(world.state.lanes.get('cf')!.allSick, true);
  const publish = [{ provider: 'r53', ttl: 60 }];
  const away = { [WWW]: { publish }, 'api.edge.test.': { publish } };
  world.reload(coreConfig({ records: away, providers: ['cf', 'r53'] }));
  world.advance(600_000);
  const { lanes } = view(world.state, { version: 'test', reload: null });
  assert.deepEqual(
    lanes.map((lane) => [lane.provider, lane.zones.length]),
    [
      ['cf', 0],
      ['r53', 0],
    ],
  );
});

test('a value in force that is not configured now either keeps no reload out', () => {
  const world = begun({ providers: ['cf'] });
  const r = world.state.records.get(WWW)!;
  r.doc = { ...r.doc, cname: 'elsewhere.example.' };
  assert.deepEqual(reloadProblems(world.state, coreConfig({ providers: ['cf'], ttl: 30 })), []);
  const known = begun({ providers: ['cf'] });
  const less = coreConfig({ origins: { b: { cloud: 'two' } }, providers: ['cf'] });
  assert.match(
    reloadProblems(known.state, less).join(),
    /target a \(a\.shop\.test\.\) is in force/,
  );
});
