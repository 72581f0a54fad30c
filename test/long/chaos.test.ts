// A few kills in every run; `npm run chaos` does two hundred.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chaos } from './chaos.ts';

test('killed in the middle of switches, it comes back and finishes them', async (t) => {
  const report = await chaos(6, 1);
  t.diagnostic(JSON.stringify(report));
  assert.equal(report.kills, 6);
  assert.ok(report.answers > 100);
});
