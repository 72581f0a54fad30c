// What the engine gave to the store stays as it was given: a store may keep a document as it is, and
// a view shows parts of them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Command } from '../../src/core/model.ts';
import { coreConfig, type Vendor, World } from './world.ts';

const www = 'www.gslb.test.';

/** Every document that was ever committed, with its text at that moment. */
function watched(world: World): { readonly key: string; readonly doc: unknown; text: string }[] {
  const kept: { key: string; doc: unknown; text: string }[] = [];
  world.onCommit = (docs) => {
    for (const [key, doc] of docs) kept.push({ key, doc, text: JSON.stringify(doc) });
  };
  return kept;
}

test('a document that was committed never changes afterwards, whatever happens', () => {
  const by = 'ann';
  const why = { reason: 'because', by };
  const commands: readonly Command[] = [
    { kind: 'pin', record: www, ...why, forMs: 5_000 },
    { kind: 'unpin', record: www, by },
    { kind: 'prepare', record: www, ...why, ttl: 5, forMs: 4_000 },
    { kind: 'freeze', record: www, ...why },
    { kind: 'unfreeze', record: www, by },
    { kind: 'freeze', record: null, ...why },
    { kind: 'unfreeze', record: null, by },
    { kind: 'drain', what: 'a', ...why },
    { kind: 'undrain', what: 'a', by },
    { kind: 'ack', reject: false, dryRun: false, record: www, by },
  ];
  const seen = new Set<string>();
  for (const mode of ['steer', 'observe'] as const) {
    const world = new World(coreConfig({ record: { mode } }));
    const kept = watched(world);
    world.hold(www, 'a.shop.test.');
    world.start();
    world.advance(10_000);
    for (const command of commands) {
      world.command(command);
      world.advance(6_000);
    }
    for (const [origin, api] of [
      ['a', 'hang'],
      ['b', 'lose-reply'],
      ['a', 'reject'],
    ] as const) {
      world.origins.set(origin, 'fail');
      world.vendors.get('cf')!.api = api as Vendor['api'];
      world.advance(40_000);
      world.origins.set(origin, 'pass');
      world.vendors.get('cf')!.api = 'ok';
      world.advance(20_000);
    }
    // Somebody else of this cluster is ahead: we are deposed, and say later that it was ours.
    const held = world.held('r53', www);
    held.markers = held.markers.map((text) => text.replace(/epoch=\d+ id=\w+/, 'epoch=90 id=ff'));
    world.advance(60_000);
    world.command({ kind: 'ack', reject: false, dryRun: false, record: www, by });
    world.advance(60_000);
    for (const { key, doc, text } of kept) {
      assert.equal(JSON.stringify(doc), text, `${key} changed after its commit`);
      seen.add(key.split('/')[0]!);
    }
  }
  assert.deepEqual([...seen].sort(), [
    ...['absences', 'drain', 'freeze', 'measured', 'open', 'record', 'red'],
  ]);
});

test('what is only observed is committed as ended, and as it stands in memory', () => {
  const world = new World(coreConfig({ record: { mode: 'observe' } }));
  world.hold(www, 'a.shop.test.');
  world.start();
  world.advance(10_000);
  world.origins.set('a', 'fail');
  world.advance(20_000);
  const { doc } = world.state.records.get(www)!;
  assert.equal(doc.target, 'b');
  assert.equal(doc.endedAt, doc.decidedAt);
  assert.deepEqual(world.docs[`record/${www}`], JSON.parse(JSON.stringify(doc)));
});

test('a store that commits again gets no document of a record that nobody ever decided', () => {
  const world = new World(coreConfig({ record: { mode: 'observe' } }));
  world.start();
  assert.equal(world.docs[`record/${www}`], undefined);
  world.storeFails = true;
  world.origins.set('a', 'fail');
  world.advance(5_000);
  world.storeFails = false;
  world.advance(30_000);
  assert.equal(world.docs[`record/${www}`], undefined);
  assert.notEqual(world.docs['open/store'], null);
});
