// The dry drill beside a running engine: it finds what would be done, writes nothing, asks the origin
// nothing once that is said to be down, and leaves the engine that steers as it was.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DrillWorld, WWW } from './world.ts';

interface Row {
  readonly record: string;
  readonly detectMs: number;
  readonly decidedMs: number;
  readonly to: string | null;
  readonly expected: string | null;
  readonly chain: string;
  readonly vendors: readonly { readonly provider: string; readonly readMs: number }[];
}

const rowsOf = (w: DrillWorld) => w.parts() as readonly Row[];

test('it walks and times everything but the writing, and the engine that steers is untouched', async () => {
  const w = new DrillWorld();
  await w.start();
  await w.clock.advance(5000);
  const before = structuredClone(w.controller.status());
  const writes = () => Object.values(w.vendors).flatMap((v) => v.writes).length;
  const [written, journal, from] = [writes(), w.entries.length, w.clock.now()];
  const reply = await w.drill('dry', 'a');
  assert.equal(reply.exit, 0, reply.message);
  assert.match(
    reply.message,
    /^dry drill of a passed: a seen down in \d+ ms, 1 record decided in \d+ ms$/,
  );
  assert.equal(writes(), written, 'nothing is written');
  const [row] = rowsOf(w);
  assert.deepEqual([row!.record, row!.to, row!.expected, row!.chain], [WWW, 'b', 'b', 'answered']);
  assert.ok(row!.detectMs > 0 && row!.decidedMs >= row!.detectMs);
  assert.deepEqual(row!.vendors, [
    { provider: 'cf', readMs: 20 },
    { provider: 'r53', readMs: 20 },
  ]);
  assert.equal(w.view().drills.last[0]!.ms, row!.decidedMs);
  const after = w.controller.status();
  assert.equal(after.records[0]!.target, 'a');
  assert.deepEqual(after.records[0]!.stay, before.records[0]!.stay);
  assert.deepEqual(
    after.origins.map((o) => o.health),
    ['up', 'up'],
  );
  assert.deepEqual(
    w.entries.slice(journal).map(({ kind }) => kind),
    ['drill'],
  );
  // Both engines together ask within the rate: twice the plain one of a probe a second.
  const seconds = (w.clock.now() - from) / 1000;
  for (const origin of ['a', 'b']) {
    const asked = w.probes.filter((p) => p.check.startsWith(origin) && p.at >= from).length;
    assert.ok(asked <= 2 * seconds + 3, `${origin}: ${asked} probes in ${seconds} s`);
  }
  await w.stop();
});

test('what would not be done as it was foreseen fails it', async () => {
  const w = new DrillWorld();
  await w.start();
  w.chains.set('b.shop.test.', 'broken');
  const reply = await w.drill('dry', 'a');
  assert.equal(reply.exit, 1);
  assert.match(
    reply.message,
    /failed: a seen down in \d+ ms; www\.gslb\.test\. stays, expected that it goes to b/,
  );
  assert.deepEqual(w.last(), ['dry a failed']);
  await w.stop();
});

test('a pinned record is to stay, and an origin that no record is on decides nothing', async () => {
  const w = new DrillWorld();
  await w.start();
  const by = { reason: 'because', by: 'ann' };
  await w.controller.command({ kind: 'pin', record: WWW, forMs: null, ...by });
  await w.clock.advance(1000);
  assert.equal((await w.drill('dry', 'a')).exit, 0);
  assert.deepEqual(
    rowsOf(w).map(({ to, expected }) => [to, expected]),
    [[null, null]],
  );
  const idle = await w.drill('dry', 'b');
  assert.match(idle.message, /passed: no record is on it/);
  assert.equal(w.engines, 1);
  await w.stop();
});

test('it is not begun while something is the matter or held', async () => {
  const w = new DrillWorld({ maintenance: { b: ['Thu 00:10-00:20'] } });
  await w.start();
  const refuses = async (why: RegExp) => {
    const reply = await w.drill('dry', 'a');
    assert.equal(reply.exit, 1);
    assert.match(reply.message, why);
  };
  const by = { reason: 'because', by: 'ann' };
  await w.controller.command({ kind: 'freeze', record: null, ...by });
  await refuses(/refused: everything is frozen: because/);
  await w.controller.command({ kind: 'unfreeze', record: null, by: 'ann' });
  await w.controller.command({ kind: 'freeze', record: WWW, ...by });
  await refuses(/refused: www\.gslb\.test\. is frozen/);
  await w.controller.command({ kind: 'unfreeze', record: WWW, by: 'ann' });
  await w.controller.command({ kind: 'drain', what: 'two', ...by });
  await refuses(/refused: two is drained/);
  await w.controller.command({ kind: 'undrain', what: 'two', by: 'ann' });
  w.origins.set('b', 'fail');
  await w.clock.advance(10_000);
  await refuses(/refused: b is down/);
  w.origins.set('b', 'pass');
  await w.clock.advance(600_000 - 20_000);
  await w.clock.advance(10_000);
  await refuses(/refused: b is in maintenance/);
  assert.deepEqual([w.engines, w.last()], [0, []]);
  assert.equal((await w.drill('dry', 'c')).exit, 2);
  await w.stop();
});

test('of many origins only those that matter are asked', async () => {
  const many = Array.from({ length: 60 }, (_, i) => [`o${i}`, { cloud: i < 40 ? 'one' : 'two' }]);
  const origins = { ...Object.fromEntries(many), a: { cloud: 'one' }, b: { cloud: 'two' } };
  const records = {
    [WWW]: { targets: ['a', 'b'].map((o) => ({ origin: o, cname: `${o}.shop.test.` })) },
  };
  const w = new DrillWorld({ origins, records });
  await w.start();
  await w.clock.advance(5000);
  let asked = new Set<string>();
  w.seen = (config) => {
    asked = new Set(Object.keys(config.origins));
  };
  assert.equal((await w.drill('dry', 'a')).exit, 0);
  assert.ok(asked.has('a') && asked.has('b'));
  assert.equal(asked.size, 2 + 20 + 20);
  await w.stop();
});

test('it ends at the first sign that the world is not as it was', async () => {
  const w = new DrillWorld();
  await w.start();
  // So slow to be seen down that there is time.
  w.chains.set('b.shop.test.', 'broken');
  assert.equal(await w.drills.begin('dry', 'a'), null);
  assert.equal((await w.drills.begin('dry', 'a'))?.exit, 1, 'one at a time');
  await w.clock.advance(8000);
  w.origins.set('b', 'fail');
  await w.clock.advance(8000);
  const { running, reply } = w.drills.drilled();
  assert.equal(running, false);
  assert.match(reply!.message, /^dry drill of a broken off: the world was no longer as it was$/);
  assert.deepEqual(w.last(), ['dry a broken-off']);
  assert.equal(w.controller.status().origins[0]!.health, 'up');
  await w.stop();
});
