// What readers see of a live drill, and what is kept of it: who waits for its turn is not behind, the
// last results are bounded and survive a restart, and another replica learns them. Virtual time.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../../src/core/model.ts';
import { storedProblem } from '../../src/core/stored.ts';
import { view } from '../../src/core/view.ts';
import { Peers } from './peers.ts';
import { coreConfig, World } from './world.ts';

const www = 'www.gslb.test.';
const about = { version: 'test', reload: null };

function steady(): World {
  const w = new World(coreConfig());
  for (const name of Object.keys(w.config.records)) w.hold(name, 'a.shop.test.');
  w.start();
  w.advance(5_000);
  return w;
}

function drill(w: World, byVendor: boolean, forMs = 1000, record = 'www') {
  const how = { target: null, byVendor, forMs, watchMs: 10_000 };
  return w.command({ kind: 'drill', record, ...how, reason: 'because', by: 'ann' });
}

const recordOf = (w: World) => view(w.state, about).records[0]!;

test('who waits for its turn is shown as waiting, and neither lags nor leaves anybody behind', () => {
  const w = steady();
  assert.equal(drill(w, true).exit, 0);
  w.advance(8_000);
  const r = recordOf(w);
  const stages = r.providers.map((p) => `${p.provider} ${p.stage} ${p.problem}`);
  assert.deepEqual(stages, ['cf visible null', 'r53 waiting null', 'ali waiting null']);
  assert.equal(r.leftBehind, null);
  const lanes = view(w.state, about).lanes.map((l) => `${l.state} ${l.pending}`);
  assert.deepEqual(lanes, ['ok 0', 'ok 0', 'ok 0']);
  assert.deepEqual(
    { ...r.drill, id: '' },
    {
      id: '',
      kind: 'live',
      to: 'b',
      from: 'a',
      stage: 'going',
      sinceAt: r.drill!.sinceAt,
      byVendor: true,
    },
  );
  assert.equal(w.state.notices.open.size, 0);
});

test('the ten last results are kept, with what each vendor took from its own turn', () => {
  const w = steady();
  for (let i = 0; i < 12; i++) {
    assert.equal(drill(w, i === 11).exit, 0);
    w.advance(30_000);
  }
  const r = recordOf(w);
  assert.deepEqual([r.target, r.pin, r.budget.used, r.drill], ['a', null, 0, null]);
  const doc = w.docs[`runs/${www}`] as { runs: readonly Json[] };
  assert.equal(doc.runs.length, 10);
  assert.equal(storedProblem(w.docs), null);
  assert.equal(r.lastDrill?.result, 'passed');
  const took = (parts: NonNullable<typeof r.lastDrill>['parts']) =>
    parts.map((p) => `${p.provider} ${p.writtenMs} ${p.visibleMs}`);
  assert.deepEqual(took(r.lastDrill.parts), ['cf 50 55', 'r53 50 55', 'ali 50 55']);
  assert.deepEqual(took(r.lastDrill.back), ['cf 50 55', 'r53 50 55', 'ali 50 55']);
  w.kill();
  w.start();
  assert.deepEqual(recordOf(w).lastDrill, r.lastDrill);
  w.advance(5_000);
});

test('a share that is known to be the smallest has its turn first', () => {
  const w = steady();
  const surveys = [0.5, 0.3, 0.2].map((share, i) => {
    const provider = ['cf', 'r53', 'ali'][i]!;
    return { provider, record: www, share, parentTtl: null, negativeTtl: null, bar: null };
  });
  w.send({ kind: 'surveyed', surveys });
  assert.match(drill(w, true).message, /\(ali, r53, cf\)/);
});

test('what stands in the store while the hook before a drill runs can be read at the next start', () => {
  const config = coreConfig();
  const before = { timeoutMs: 30_000, silence: 'stay' } as const;
  const hooked = { ...config.records[www]!, hooks: { before, after: null } };
  const w = new World({ ...config, records: { [www]: hooked } });
  w.hookSays = { answer: 'go', ms: 20_000 };
  w.hold(www, 'a.shop.test.');
  w.start();
  w.advance(5_000);
  assert.equal(drill(w, false).exit, 0);
  w.advance(1_000);
  assert.equal((w.docs[`record/${www}`] as { hook: { why: string } }).hook.why, 'drill');
  assert.equal(storedProblem(w.docs), null);
});

test('what drills of a record came to goes with the record', () => {
  const w = steady();
  assert.equal(drill(w, false).exit, 0);
  w.advance(30_000);
  assert.ok(`runs/${www}` in w.docs);
  w.reload({ ...w.config, records: {} });
  assert.ok(!(`runs/${www}` in w.docs));
});

test('a leader whose record was gone in the middle of a drill has not watched it', () => {
  const w = new World(coreConfig({ replicas: ['n1', 'n2', 'n3'] }));
  w.hold(www, 'a.shop.test.');
  w.start();
  new Peers(w);
  w.advance(10_000);
  assert.equal(drill(w, false, 600_000).exit, 0);
  w.advance(8_000);
  assert.equal(recordOf(w).target, 'b');
  const { config } = w;
  const { [www]: one } = config.records;
  const other = 'img.gslb.test.';
  w.reload({ ...config, records: { [other]: { ...one!, name: other } } });
  w.advance(1_000);
  const refused = drill(w, false, 600_000, other);
  assert.match(refused.message, /a live drill of www\.gslb\.test\. runs, .* one at a time: wait/);
  w.reload(config);
  w.advance(30_000);
  const { target, drill: now, lastDrill } = recordOf(w);
  assert.deepEqual([target, now, lastDrill?.result], ['a', null, 'broken-off']);
  assert.match(lastDrill?.sentence ?? '', /stood still, was restarted or has handed over/);
});

test('where a person asks first the calendar begins nothing, and is told so by a look', () => {
  const config = coreConfig();
  const asking = { ...config.records[www]!, mode: 'approve' } as const;
  const w = new World({ ...config, records: { [www]: asking } });
  w.hold(www, 'a.shop.test.');
  w.start();
  w.advance(5_000);
  const order = { kind: 'drill', record: www, target: null, byVendor: false, forMs: 1000 } as const;
  const due = { ...order, reason: 'due', by: 'the schedule', asked: 'schedule' } as const;
  assert.match(w.command({ ...due, dryRun: true }).message, /asks first/);
  assert.equal(w.command(due).exit, 1);
});

test('a record that is taken out in the middle of a drill ends it, and whoever asked is told', () => {
  const w = new World(coreConfig());
  w.hold(www, 'a.shop.test.');
  w.start();
  w.advance(10_000);
  assert.equal(drill(w, false, 600_000).exit, 0);
  w.advance(8_000);
  assert.equal(recordOf(w).target, 'b');
  w.reload({ ...w.config, records: {} });
  const said = w.journal.filter(({ entry }) => entry.kind === 'drill').at(-1)!.entry;
  assert.match(said.sentence, /a -> b was broken off: its record is no longer configured/);
  assert.equal((said.data as { result: string }).result, 'broken-off');
  assert.ok(w.notices.some(({ notice }) => notice.sentence === said.sentence));
});

test('when a target last had the record is known from its leave, and from a drill before that was kept', () => {
  const w = steady();
  const carried = () => Object.fromEntries(recordOf(w).targets.map((t) => [t.origin, t.carriedAt]));
  assert.deepEqual(carried(), { a: null, b: null });
  assert.equal(drill(w, false).exit, 0);
  w.advance(60_000);
  assert.equal(recordOf(w).target, 'a');
  const back = carried()['b']!;
  assert.ok(back > 0);
  const doc = w.docs[`record/${www}`] as { carried: Record<string, number> };
  assert.deepEqual(Object.keys(doc.carried).toSorted(), ['a', 'b']);
  w.kill();
  w.docs = { ...w.docs, [`record/${www}`]: { ...doc, carried: {}, left: null } };
  w.start();
  assert.ok(Math.abs(carried()['b']! - back) < 1_000, 'by the drill alone');
});
