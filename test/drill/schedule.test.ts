// Drills by the schedule: at whoever acts, in their time, never while something is the matter; what
// was not made is overdue and says why; results outlive the daemon.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DrillWorld, WWW } from './world.ts';

const minute = 60_000;

test('canaries by a period: soon after the start, then by the period, and remembered', async () => {
  const w = new DrillWorld({ canary: '10m' });
  await w.start();
  assert.deepEqual(w.last(), []);
  await w.clock.advance(2 * minute);
  assert.deepEqual(w.last(), ['canary cf passed', 'canary r53 passed']);
  const [cf] = w.view().drills.last;
  await w.clock.advance(6 * minute);
  assert.equal(w.view().drills.last[0]!.at, cf!.at, 'not before it is due');
  await w.stop();
  const again = new DrillWorld({ canary: '10m' }, w);
  await again.start();
  assert.deepEqual(again.last(), ['canary cf passed', 'canary r53 passed']);
  assert.equal(again.view().drills.last[0]!.at, cf!.at);
  await again.clock.advance(5 * minute);
  assert.ok(again.view().drills.last[0]!.at > cf!.at + 10 * minute - 1);
  await again.stop();
  // Without a schedule and without the provider nothing of it is left.
  const less = new DrillWorld({ providers: ['cf'] }, again);
  await less.start();
  assert.deepEqual(less.last(), ['canary cf passed']);
  assert.deepEqual(less.view().drills.scheduled, []);
  await less.stop();
});

test('a drill waits for a world in which all is well, and says why it is overdue', async () => {
  const w = new DrillWorld({ dry: 'Thu 00:02' });
  await w.start();
  w.origins.set('b', 'fail');
  await w.clock.advance(31 * minute);
  assert.deepEqual([w.overdue(), w.last()], [[], []]);
  await w.clock.advance(2 * minute);
  assert.deepEqual(w.overdue(), ['dry a: b is down']);
  w.origins.set('b', 'pass');
  await w.clock.advance(2 * minute);
  assert.deepEqual(w.last(), [], 'its time is over');
  assert.equal((await w.drill('dry', 'a')).exit, 0);
  assert.deepEqual(w.overdue(), [], 'by hand it is made up for');
  await w.stop();
});

test('a dry drill comes once in its window, of each origin that a record is on', async () => {
  const w = new DrillWorld({ dry: 'Thu 00:02' });
  await w.start();
  await w.clock.advance(8 * minute);
  assert.deepEqual(w.last(), ['dry a passed']);
  assert.equal(w.said('drill').length, 1);
  assert.deepEqual(w.overdue(), []);
  await w.stop();
});

test('a live drill is ordered only where it is configured, and one after the other', async () => {
  const idle = new DrillWorld({});
  await idle.start();
  await idle.clock.advance(5 * minute);
  assert.deepEqual([idle.orders, idle.engines], [[], 0]);
  await idle.stop();
  const w = new DrillWorld({ live: 'Thu 00:02' });
  await w.start();
  await w.clock.advance(minute);
  assert.deepEqual(w.orders, []);
  await w.clock.advance(3 * minute);
  assert.deepEqual(w.orders, [
    {
      ...{ kind: 'drill', record: WWW, target: null, byVendor: true, forMs: 300_000 },
      ...{ reason: 'a drill by the schedule', asked: 'schedule', by: 'the schedule' },
    },
  ]);
  await w.stop();
});

test('a live drill that is refused is tried again, and then overdue with what was answered', async () => {
  const w = new DrillWorld({ live: 'Thu 00:02' });
  w.live = { exit: 1, message: 'b is down' };
  await w.start();
  await w.clock.advance(4 * minute);
  assert.ok(w.looks > 2);
  await w.clock.advance(30 * minute);
  const { looks } = w;
  assert.deepEqual(w.overdue(), [`live ${WWW}: b is down`]);
  await w.clock.advance(5 * minute);
  assert.equal(w.looks, looks, 'not beyond its window');
  assert.deepEqual(w.orders, [], 'a group would have to remember each');
  await w.stop();
});

test('an adapter that fails of itself ends its drill, and no other', async () => {
  const w = new DrillWorld({ canary: '10m' });
  await w.start();
  const cf = w.vendors['cf']!;
  const { write } = cf;
  cf.write = () => Promise.reject(new Error('a fault of the adapter'));
  await w.clock.advance(2 * minute);
  assert.deepEqual(w.last(), ['canary cf failed', 'canary r53 passed']);
  const reply = await w.drill('canary', 'cf');
  assert.deepEqual([reply.exit, reply.message.includes('a fault in Detour itself')], [1, true]);
  cf.write = write;
  assert.equal((await w.drill('canary', 'cf')).exit, 0);
  assert.ok(w.troubles.length > 0 && w.troubles.every((t) => t.includes('a fault of the adapter')));
  await w.stop(w.troubles.length);
});

test('a canary is put off while the quota has nothing beyond its reserve', async () => {
  const w = new DrillWorld({});
  await w.start();
  const slack = w.controller.slack('cf');
  assert.equal(slack, null);
  w.vendors['cf']!.calls += 60;
  // Counted with the next call of the lane's.
  await w.controller.command({ kind: 'pin', record: WWW, forMs: null, reason: 'r', by: 'ann' });
  await w.clock.advance(1600);
  const reply = await w.drill('canary', 'cf');
  assert.match(reply.message, /refused: its quota is kept for switches/);
  assert.deepEqual(w.last(), []);
  await w.stop();
});
