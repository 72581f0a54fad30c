// A minute of random faults in every run; `npm run soak -- --minutes 60` is the long one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { draw, soak } from './soak.ts';

test('a minute of random faults: no answer is wrong, and in the calm after it all is in step', async (t) => {
  const report = await soak(1, 1, (line) => t.diagnostic(line));
  draw(report, (line) => t.diagnostic(line));
  assert.ok(report.faults > 3);
  assert.ok(report.calms >= 1);
  assert.ok(report.answers > 500);
  assert.ok(report.samples.length > 15);
});
