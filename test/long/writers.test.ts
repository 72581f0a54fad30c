// A few interleavings of two writers at every provider; `npm run writers` plays a thousand. And a
// provider whose fence is taken away, which must not get through.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Change } from '../../src/core/model.ts';
import type { Provider } from '../../src/kit/extend.ts';
import type { Row } from '../parts/accounts.ts';
import { readAll } from '../parts/answers.ts';
import { described, rowsOf, writers } from './writers.ts';

describe('two writers, one of them stale', { concurrency: 2 }, () => {
  for (const row of rowsOf(null)) {
    test(`${row.title}: never empty, never foreign, never two markers`, {
      skip: row.skip,
    }, async (t) => {
      const report = await writers(row, 25, 11);
      t.diagnostic(described(report));
      assert.equal(report.interleavings, 25);
      assert.ok(report.steps > 100 && report.states > 50, 'there was hardly anything to see');
      assert.ok((report.said['write conflict'] ?? 0) > 0, 'nobody was ever in the way');
      assert.ok((report.said['ended deposed'] ?? 0) > 0, 'nobody was ever deposed');
      if (row.capabilities.fence.kind !== 'weak') assert.equal(report.relapses + report.flips, 0);
    });
  }
});

/** Writes against whatever stands when it writes, not against what was read. */
function careless(provider: Provider): Provider {
  const write: Provider['write'] = async (changes, signal) => {
    const names = changes.map((change) => change.name);
    const now = await readAll(provider, names, signal);
    const blind = ({ name, to, from }: Change): Change => ({
      name,
      to,
      from: now.ok ? now.value[name]! : from,
    });
    return provider.write(changes.map(blind), signal);
  };
  return { ...provider, write };
}

test('a provider that writes against anything is found out', async () => {
  const [strict] = rowsOf('route53');
  const loose: Row = {
    ...strict!,
    start: async () => {
      const account = await strict!.start();
      return { ...account, open: (options) => careless(account.open(options)) };
    },
  };
  await assert.rejects(writers(loose, 200, 3), /served again|what the other had/);
});
