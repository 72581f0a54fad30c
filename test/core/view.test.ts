// The view in pieces: the same document as at once, whatever happens; what has not changed is the very
// object of before; and steps taken between two pieces make nothing of it later than its end.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readyView, type StatusView, view, viewing } from '../../src/core/view.ts';
import { coreConfig, World } from './world.ts';

const about = { version: '', reload: null };
const records = ['www', 'api', 'img'].map((name) => `${name}.gslb.test.`);

function begun(): World {
  const world = new World(coreConfig({ records: Object.fromEntries(records.map((r) => [r, {}])) }));
  for (const record of records) world.hold(record, 'a.shop.test.');
  world.start();
  return world;
}

/** In pieces, and how many they were. */
function inPieces(world: World, before: StatusView | null, between: () => void = () => {}) {
  const making = viewing(world.state, () => about, before);
  for (let pieces = 0; ; pieces++) {
    const made = making.next();
    if (made.done) return { view: made.value, pieces };
    between();
  }
}

function outage(world: World): void {
  world.advance(20_000);
  world.origins.set('a', 'fail');
  world.vendors.get('cf')!.api = 'unavailable';
  world.advance(40_000);
  world.vendors.get('cf')!.api = 'ok';
  world.vendors.get('r53')!.dns = 'silent';
  world.origins.set('a', 'pass');
  world.advance(60_000);
}

test('after every step of an outage the pieces are the document that is made at once', () => {
  const world = begun();
  let before: StatusView | null = null;
  let [steps, made] = [0, 0];
  world.onStep = ({ state }) => {
    const was: StatusView | null = before;
    before = inPieces(world, was).view;
    assert.deepEqual(before, view(state, about));
    assert.deepEqual(readyView(state), before.ready);
    steps++;
    made += before.records.filter((r) => was?.records.includes(r) !== true).length;
  };
  outage(world);
  assert.ok(
    world.journal.some(({ entry }) => entry.kind === 'switch'),
    'there was a switch',
  );
  assert.ok(steps > 300, `${steps} steps`);
  assert.ok(made > 20 && made < steps, `${made} views of records were new in ${steps} steps`);
});

test('where nothing has changed nothing is made anew', () => {
  const world = begun();
  world.advance(30_000);
  const first = inPieces(world, null).view;
  const { view: again, pieces } = inPieces(world, first);
  for (const part of ['records', 'origins', 'clouds', 'paths', 'lanes'] as const) {
    assert.ok(first[part].length > 0, part);
    first[part].forEach((one, i) => void assert.equal(again[part][i], one, `${part} ${i}`));
  }
  // There is a pause after each of them.
  const parts = [first.records, first.origins, first.clouds, first.paths, first.lanes];
  assert.equal(pieces, parts.flat().length);
});

test('steps between the pieces: nothing is later than the end, and each piece is whole', () => {
  const world = begun();
  world.advance(20_000);
  world.origins.set('a', 'fail');
  let before: StatusView | null = null;
  for (let i = 0; i < 60; i++) {
    const made: StatusView = inPieces(world, before, () => world.advance(37)).view;
    before = made;
    assert.deepEqual(
      made.records.map(({ name }) => name),
      records,
    );
    assert.deepEqual([made.at, made.wall], [world.state.now, world.state.wall]);
    for (const { decidedAt, epoch, switching, target, providers } of made.records) {
      assert.ok((decidedAt ?? 0) <= made.at);
      if (switching) assert.deepEqual([target, epoch > 1], ['b', true]);
      for (const { seenAt } of providers) assert.ok((seenAt ?? 0) <= made.at);
    }
  }
  assert.ok(
    before!.records.every(({ target }) => target === 'b'),
    'all went over meanwhile',
  );
});

test('a reload between the pieces leaves out what is gone, and breaks nothing', () => {
  const world = begun();
  world.advance(20_000);
  let pieces = 0;
  const config = coreConfig({ records: { [records[0]!]: {} } });
  const { view: made } = inPieces(world, null, () => {
    pieces++;
    if (pieces === 1) world.send({ kind: 'configured', config });
  });
  assert.deepEqual(
    made.records.map(({ name }) => name),
    [records[0]],
  );
  assert.deepEqual(inPieces(world, made).view, view(world.state, about));
});
