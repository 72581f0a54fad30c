// Documents carry engine times, and replicas' clocks differ: every time in a document is moved from one
// clock to another, and nothing else is. A number in a document that is neither known to be a time nor
// known to be none fails here, so that a new field cannot be forgotten.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DrillDoc, Json, Marker } from '../../src/core/model.ts';
import type { Drain, Drill, DrillRun, Freeze, RecordDoc } from '../../src/core/state.ts';
import { shifted, storedProblem } from '../../src/core/stored.ts';

/** Numbers that are no times, by the name of the field. */
const noTimes = new Set([
  ...['afterMs', 'epoch', 'epochMax', 'pinMs', 'since', 'term'],
  ...['forMs', 'from', 'ms', 'ttl', 'visibleMs', 'watchMs', 'writeMs', 'writtenMs'],
]);

const marker: Required<Marker> = {
  cluster: 'shop',
  epoch: 7,
  id: 'x',
  term: 3,
  kind: 'operator',
  target: 'a',
  pinned: true,
  pinMs: 5000,
  mac: 'm',
};
const freeze: Required<Freeze> = { reason: 'r', by: 'me', sinceAt: 101, untilAt: 102 };
const parts = [{ provider: 'cf', writtenMs: 1, visibleMs: 2, ttl: 3 }];
const drill: Required<Drill> = {
  ...{ id: 'x', from: 'a', to: 'b', stage: 'away', byVendor: true, watchMs: 3, forMs: 4 },
  ...{ reason: 'r', by: 'me', asked: null, sinceAt: 113, stageAt: 114, trouble: null, parts },
  ttl: 5,
};
const run: Required<DrillRun> = {
  ...{ id: 'x', result: 'passed', from: 'a', to: 'b', byVendor: true, at: 116, ms: 5 },
  ...{ sentence: 's', parts, back: parts },
};
const record: Required<RecordDoc> = {
  target: 'a',
  cname: 'a.example.',
  marker,
  epochMax: 9,
  decidedAt: 103,
  endedAt: 104,
  pin: { target: 'a', reason: 'r', by: 'me', sinceAt: 105, untilAt: 106 },
  switches: [107, 108],
  needless: [108],
  overspentAt: 109,
  quietSinceAt: 110,
  deposed: marker,
  freeze,
  claims: { cf: 'any' },
  placed: { cf: { cname: 'a.example.', marker } },
  since: 4,
  late: { cf: { value: 'b.example.', at: 111 } },
  wishes: { b: 112 },
  unheard: ['cf'],
  adopted: false,
  left: 'b',
  carried: { b: 117 },
  approval: {
    ...{ id: 'x', from: 'a', to: 'b', why: 'target-down', overspends: false, epoch: 7 },
    ...{ sentence: 's', sinceAt: 113, afterMs: 5000, answer: 'approved', answeredAt: 114 },
    by: 'me',
  },
  hook: {
    ...{ id: 'x', from: 'a', to: 'b', why: 'target-down', epoch: 7, beganAt: 115 },
    ...{ answer: 'go', answeredAt: 116, detail: '' },
  },
  drill,
  prepared: {
    ...{
      ttl: 5,
      reason: 'r',
      by: 'me',
      asked: 'operator',
      sinceAt: 118,
      untilAt: 119,
      ready: false,
    },
    parts: { cf: { from: 60, ttl: 5, at: 120 } },
  },
  turns: { order: ['cf', 'r53'], openedAt: { cf: 115 }, watchMs: 6 },
};
const drain: Required<Drain> = { ...freeze, what: 'a' };

const drillDoc: Required<DrillDoc> = {
  ...{ drill: 'canary', name: 'cf', result: 'passed', at: 120, ms: 900, sentence: 's' },
  parts: { writeMs: 7 },
};

const docs: Readonly<Record<string, Json>> = {
  'drill/canary/cf': { ...drillDoc },
  'drill/since/dry': { at: 121 },
  'record/www.example.net.': record as unknown as Json,
  'runs/www.example.net.': { runs: [run] } as unknown as Json,
  'drain/a': { ...drain },
  freeze: { ...freeze },
  'epoch/www.example.net.': 12,
};

/** Every number in it, by its path. */
function numbers(value: unknown, path: readonly string[] = []): ReadonlyMap<string, number> {
  if (typeof value === 'number') return new Map([[path.join(' '), value]]);
  if (typeof value !== 'object' || value === null) return new Map();
  return new Map(
    Object.entries(value).flatMap(([name, one]) => [...numbers(one, [...path, name])]),
  );
}

test('every time in a document that decides is moved, and no other number', () => {
  for (const [key, doc] of Object.entries(docs)) {
    const moved = numbers(shifted(key, doc, 1000));
    for (const [path, before] of numbers(doc)) {
      const field = path.split(' ').at(-1)!;
      const isTime = !key.startsWith('epoch/') && !noTimes.has(field);
      assert.equal(moved.get(path), isTime ? before + 1000 : before, `${key}: ${path}`);
    }
  }
  // Those above 100 are the times: all of them are there.
  const times = [...numbers(docs['record/www.example.net.'])].filter(([, n]) => n > 100 && n < 200);
  assert.equal(times.length, 24);
});

test('there and back is what it was, and what comes out is what Detour writes', () => {
  for (const [key, doc] of Object.entries(docs)) {
    const there = shifted(key, doc, -123_456);
    assert.deepEqual(shifted(key, there, 123_456), doc);
    assert.equal(storedProblem({ [key]: there }), null);
  }
});

test('what has no end keeps none, and an unknown document stays as it is', () => {
  const held = { ...freeze, untilAt: null };
  assert.deepEqual(shifted('freeze', held, 10), { ...held, sinceAt: 111 });
  assert.deepEqual(shifted('record/x.', { ...record, pin: null } as unknown as Json, 0), {
    ...record,
    pin: null,
  });
  assert.equal(shifted('freeze', null, 10), null);
  assert.deepEqual(shifted('other', { sinceAt: 1 }, 10), { sinceAt: 1 });
});

test('a document of a version that knew no approvals and no hooks is sound, and a damaged one is not', () => {
  const { left: _left, approval: _approval, hook: _hook, ...old } = record;
  const key = 'record/www.example.net.';
  assert.equal(storedProblem({ [key]: old as unknown as Json }), null);
  assert.equal(storedProblem({ [key]: record as unknown as Json }), null);
  const odd = { ...record, approval: { ...record.approval!, answer: 'perhaps' } };
  assert.match(
    storedProblem({ [key]: odd as unknown as Json })!,
    /its approval is not what Detour/,
  );
  const run = { ...record, hook: { ...record.hook!, beganAt: 'soon' } };
  assert.match(storedProblem({ [key]: run as unknown as Json })!, /its hook is not what Detour/);
});
