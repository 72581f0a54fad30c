// No probe leaves a socket or a timer behind at either end, however its path fails. The same with
// 10,000 probes for each way: `node test/long/leaks.ts --probes 10000`.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findLeaks } from '../long/leaks.ts';

test('three hundred failing probes for every way a path can fail leave nothing at either end', async () => {
  const leaks = await findLeaks(300);
  assert.ok(leaks.length >= 20);
  for (const { scenario, before, after, results } of leaks) {
    assert.ok(after <= before, `${scenario}: ${after - before} left of ${JSON.stringify(results)}`);
    const passed = Object.keys(results).filter((word) => word.startsWith('pass'));
    assert.deepEqual(passed, [], scenario);
  }
});
