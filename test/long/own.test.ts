// A few switches at each name server of one's own, as it runs in the world; `npm run own` makes two
// hundred.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { described, own, ownRows } from './own.ts';

describe('switches at a server of one’s own', { concurrency: 2 }, () => {
  for (const row of ownRows) {
    test(`${row.title}: none is misjudged`, { skip: row.skip }, async (t) => {
      const report = await own(row, 12);
      t.diagnostic(described(report));
      assert.deepEqual(report.misjudged, []);
      assert.equal(report.given.length, 12);
    });
  }
});
