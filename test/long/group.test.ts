// One row of the storm in every run; `npm run storm` has all of them. How long each took is printed
// and decides nothing here.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutEtcd } from '../parts/etcd.ts';
import { overlaps } from '../parts/group.ts';
import { line, missed, rows, sights, storm } from './group.ts';

const few = ['killed (SIGKILL)'];

test('two who act at once are seen, however short', () => {
  const one = { replica: 'hz', from: 100, to: 5000 };
  const touching = { replica: 'fra', from: 5000, to: 9000 };
  assert.deepEqual(overlaps([touching, one]), ['hz and fra for 0 ms']);
  assert.deepEqual(overlaps([one, { ...touching, from: 5001 }]), []);
  assert.deepEqual(overlaps([one, { ...one, from: 200 }]), []);
});

test('of three real daemons one acts at most, and goes by what all see', {
  skip: withoutEtcd,
}, async (t) => {
  const report = await storm(
    rows.filter(({ title }) => few.some((word) => title.includes(word))),
    sights.filter(({ blind }) => blind),
    (one) => t.diagnostic(line(one)),
  );
  assert.equal(report.found.length, few.length);
  assert.equal(report.seen.length, 1);
  assert.ok(report.answers > 200);
  const wrong = missed(report).filter((one) => !one.endsWith('acts too late'));
  assert.deepEqual(wrong, []);
});
