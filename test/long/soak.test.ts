// Two minutes of random faults in every run; `npm run soak -- --minutes 60` is the long one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { draw, soak } from './soak.ts';

test('two minutes of random faults: no answer is wrong, and after each calm all is in step', async (t) => {
  const report = await soak(2, 1, (line) => t.diagnostic(line));
  draw(report, (line) => t.diagnostic(line));
  assert.ok(report.faults > 5);
  assert.ok(report.calms >= 1);
  assert.ok(report.answers > 1000);
  assert.ok(report.samples.length > 30);
});
