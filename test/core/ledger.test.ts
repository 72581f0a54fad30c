// What waits for the group's commit, against a naive twin: whatever is put, sent, committed and given
// up in whatever order, a batch stays within its bounds, nothing is answered before it is committed,
// and the group ends with what was put last.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Ledger } from '../../src/core/engine.ts';
import type { Entry, EntryKind, Json } from '../../src/core/model.ts';

type Act =
  | { readonly kind: 'put'; readonly keys: readonly string[]; readonly value: number }
  | { readonly kind: 'answer' }
  | { readonly kind: 'send' }
  | { readonly kind: 'commit' }
  | { readonly kind: 'give-up' };

const key = fc.oneof(
  fc.integer({ min: 0, max: 150 }).map((n) => `record/r${n}.test.`),
  fc.integer({ min: 0, max: 3 }).map((n) => `epoch/r${n}.test.`),
  fc.constant('freeze'),
  fc.constant('drain/a'),
);
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      keys: fc.array(key, { maxLength: 160, size: 'max' }),
      value: fc.integer({ min: 0, max: 5 }),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'answer' as const }) },
  { weight: 3, arbitrary: fc.constant({ kind: 'send' as const }) },
  { weight: 3, arbitrary: fc.constant({ kind: 'commit' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'give-up' as const }) },
);

/** A document; large ones are seldom more than fit into one batch. */
function docOf(name: string, value: number): Json {
  return value === 0 ? null : { name, value, text: 'x'.repeat(value === 5 ? 20_000 : 10) };
}

test('batches are bounded, answers come after what they answer for, and the newest is what is so', () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 40, size: 'max' }), (acts) => {
      const ledger = new Ledger();
      const group = new Map<string, Json>();
      const wanted = new Map<string, Json>();
      /** What each answer wants to be there: the newest put of each key before it. */
      let answers: { readonly id: string; readonly puts: ReadonlyMap<string, number> }[] = [];
      let puts = new Map<string, number>();
      let committed = new Map<string, number>();
      let underWay: {
        docs: readonly (readonly [string, Json | null])[];
        at: Map<string, number>;
      } | null = null;
      let count = 0;
      const forget = () => {
        ledger.giveUp();
        wanted.clear();
        for (const [k, v] of group) wanted.set(k, v);
        puts = new Map(committed);
        answers = [];
        underWay = null;
      };
      for (const one of acts) {
        if (one.kind === 'put') {
          const docs = one.keys.map((k) => [k, docOf(k, one.value)] as const);
          ledger.put({ docs: [...docs], entries: [] });
          for (const [k, v] of docs) {
            // What is so already is no change.
            if (JSON.stringify(wanted.get(k) ?? null) === JSON.stringify(v)) continue;
            if (v === null) wanted.delete(k);
            else wanted.set(k, v);
            puts.set(k, ++count);
          }
        } else if (one.kind === 'answer') {
          const id = `id-${++count}`;
          ledger.answer(id, { exit: 0, message: '' });
          answers.push({ id, puts: new Map(puts) });
        } else if (one.kind === 'send' && underWay === null) {
          const batch = ledger.next();
          if (batch === null) continue;
          assert.ok(batch.docs.length <= 100);
          const bytes = Buffer.byteLength(JSON.stringify(batch.docs));
          assert.ok(bytes <= 512 * 1024 + 64 * 100 || batch.docs.length === 1, `${bytes}`);
          const inIt = new Map(batch.docs);
          for (const [k, v] of batch.docs) assert.deepEqual(v, wanted.get(k) ?? null, 'the newest');
          for (const { id } of batch.done) {
            const { puts: before } = answers.find((a) => a.id === id)!;
            for (const [k, at] of before) {
              const isThere = inIt.has(k) || (committed.get(k) ?? 0) >= at;
              assert.ok(isThere, `${id} is answered before ${k} is committed`);
            }
          }
          for (const [k] of batch.docs) {
            const kin = k.replace(/^(record|epoch)\//, (w) =>
              w === 'epoch/' ? 'record/' : 'epoch/',
            );
            const isBehind =
              JSON.stringify(group.get(kin) ?? null) !== JSON.stringify(wanted.get(kin) ?? null);
            if (kin !== k && isBehind) assert.ok(inIt.has(kin), `${k} goes without ${kin}`);
          }
          underWay = { docs: batch.docs, at: new Map(puts) };
        } else if (one.kind === 'commit' && underWay !== null) {
          ledger.committed();
          for (const [k, v] of underWay.docs) {
            if (v === null) group.delete(k);
            else group.set(k, v);
            committed.set(k, underWay.at.get(k)!);
          }
          underWay = null;
          const known = Object.fromEntries(ledger.docs());
          assert.deepEqual(known, Object.fromEntries(group));
        } else if (one.kind === 'give-up') forget();
      }
      while (underWay !== null || !ledger.isIdle) {
        if (underWay === null) underWay = { docs: ledger.next()!.docs, at: new Map() };
        ledger.committed();
        for (const [k, v] of underWay.docs) {
          if (v === null) group.delete(k);
          else group.set(k, v);
        }
        underWay = null;
      }
      assert.deepEqual(Object.fromEntries(group), Object.fromEntries(wanted));
      committed = new Map();
    }),
    { numRuns: 40, endOnFailure: true },
  );
});

test('what the group has already is no change, and nothing is sent for it', () => {
  const ledger = new Ledger();
  const doc = { reason: 'because', by: 'ann', sinceAt: 1, untilAt: null };
  ledger.learn([['freeze', doc]], true);
  assert.equal(ledger.put({ docs: [['freeze', { ...doc }]], entries: [] }), false);
  assert.equal(ledger.put({ docs: [['drain/a', null]], entries: [] }), false);
  assert.equal(ledger.put({ docs: [['red/a/web', true]], entries: [] }), false, 'not shared');
  assert.equal(ledger.next(), null);
  assert.equal(ledger.put({ docs: [['freeze', null]], entries: [] }), true);
  assert.deepEqual(ledger.next()?.docs, [['freeze', null]]);
});

test('what was seen is no decision, and stays out of the group’s log', () => {
  const ledger = new Ledger();
  const entry = (kind: EntryKind, record: string | null): Entry => {
    return { kind, record, sentence: `${kind} of ${record}`, data: {} };
  };
  const seen = Array.from({ length: 300 }, () => entry('health', null));
  const decided = [entry('switch', 'www.x.'), entry('freeze', null)];
  ledger.put({ docs: [['record/www.x.', { epoch: 2 }]], entries: [...seen, ...decided] });
  assert.deepEqual(ledger.next()?.entries, decided);
});
