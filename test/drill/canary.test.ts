// The canary at one provider: what it writes, what it proves, and what it never writes over. The
// lane of that provider hears nothing of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMarker } from '../../src/core/marker.ts';
import { CANARY, DrillWorld, WWW } from './world.ts';

async function started(wanted: ConstructorParameters<typeof DrillWorld>[0] = {}) {
  const w = new DrillWorld({ signed: true, ...wanted });
  await w.start();
  return w;
}

const value = (w: DrillWorld, provider = 'cf') => w.vendors[provider]!.records.get(CANARY)?.cname;
const laneOf = (w: DrillWorld) => w.view().lanes.find((l) => l.provider === 'cf')!.state;

test('it is created, switched to and fro under ever higher epochs, and proved at each server', async () => {
  const w = await started();
  const first = await w.drill('canary', 'cf');
  assert.equal(first.exit, 0, first.message);
  assert.match(
    first.message,
    /^canary drill of cf passed: written in 30 ms, visible at all 2 servers in /,
  );
  assert.equal(value(w), 'canary-a.detour.invalid.');
  assert.equal(value(w, 'r53'), undefined, 'only where it was asked for');
  const all = await w.drill('canary', null);
  assert.equal(all.exit, 0, all.message);
  assert.equal(value(w), 'canary-b.detour.invalid.');
  const marker = parseMarker(w.vendors['cf']!.records.get(CANARY)!.markers[0]!)!;
  assert.deepEqual([marker.epoch, marker.target, marker.cluster], [2, 'canary-b', 'shop']);
  assert.ok(marker.mac);
  assert.deepEqual(w.last(), ['canary cf passed', 'canary r53 passed']);
  const parts = w.parts();
  const { ms } = w.view().drills.last[1]!;
  assert.deepEqual(Object.keys(parts as object), ['readMs', 'writeMs', 'visibleMs', 'servers']);
  assert.equal(ms, (parts as { visibleMs: number }).visibleMs);
  const entry = w.entries.findLast(({ kind }) => kind === 'drill')!;
  const { drill, name, result } = entry.data as Record<string, string>;
  assert.deepEqual([drill, name, result], ['canary', 'r53', 'passed']);
  await w.stop();
});

test('what is no canary of this cluster is never written over', async () => {
  const w = await started();
  const cf = w.vendors['cf']!;
  assert.equal((await w.drill('canary', 'cf')).exit, 0);
  const own = cf.records.get(CANARY)!;
  const unsigned = own.markers.map((text) => text.replace(/ mac=\S+/, ''));
  const other = own.markers.map((text) => text.replace('shop', 'shed'));
  const before = cf.writes.length;
  for (const [held, why] of [
    [{ cname: 'www.example.net.', ttl: 60, markers: [] }, /www\.example\.net\.? stands at/],
    [{ cname: 'www.example.net.', ttl: 60, markers: own.markers }, /stands at/],
    [{ ...own, markers: unsigned }, /is not of this cluster/],
    [{ ...own, markers: other }, /is not of this cluster/],
    [{ ...own, markers: ['v=spf1'] }, /is not of this cluster/],
    [{ ...own, markers: [...own.markers, 'x'] }, /several values stand at/],
  ] as const) {
    cf.records.set(CANARY, { ...held, markers: [...held.markers] });
    const reply = await w.drill('canary', 'cf');
    assert.equal(reply.exit, 1);
    assert.match(reply.message, why);
  }
  assert.equal(cf.writes.length, before);
  assert.equal(laneOf(w), 'ok');
  await w.stop();
});

test('a refusal, a server that is behind and a lost reply are told apart, and leave the lane alone', async () => {
  const w = await started();
  const cf = w.vendors['cf']!;
  cf.writing = { kind: 'auth-suspect', detail: 'the key is refused' };
  const refused = await w.drill('canary', 'cf');
  assert.match(refused.message, /failed: auth-suspect: the key is refused/);
  assert.equal(laneOf(w), 'ok', 'a refusal never touches the lane');
  cf.writing = 'lost';
  assert.equal((await w.drill('canary', 'cf')).exit, 0, 'what is served says that it was applied');
  cf.writing = 'ok';
  // The second server keeps what it has.
  cf.served[1] = new Map([...cf.records].map(([name, held]) => [name, { ...held }]));
  const behind = await w.drill('canary', 'cf');
  assert.match(
    behind.message,
    /failed: written in 30 ms, and then cf-1 did not give it within 120 s/,
  );
  assert.deepEqual(w.last(), ['canary cf failed']);
  cf.served[1] = cf.records;
  assert.equal((await w.drill('canary', 'cf')).exit, 0);
  assert.ok(!w.said('lane').some((text) => text.includes('cf')), 'no line about a lane');
  assert.equal(w.controller.status().records[0]!.providers[0]!.stage, 'visible');
  assert.ok(cf.writes.every(({ name }) => name === CANARY || name === WWW));
  await w.stop();
});

test('a provider without a canary, or another name, is said to be none', async () => {
  const w = await started();
  const reply = await w.drill('canary', 'cff');
  assert.equal(reply.exit, 2);
  assert.match(reply.message, /did you mean cf\?/);
  await w.stop();
});
