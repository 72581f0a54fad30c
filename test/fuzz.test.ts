// What the fuzzer found, for ever after, and a few fresh inputs of each target: the same ones each
// time. `npm run fuzz` is the long one. A new finding is kept in test/fuzz/found/.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fuzz, kept, replay } from './fuzz/harness.ts';
import { targets } from './fuzz/targets.ts';

/** About two seconds each on a machine of its own. */
const inputs: Readonly<Record<string, number>> = {
  dns: 400,
  vendors: 40,
  config: 40,
  control: 60,
  probes: 120,
  marker: 300,
};

describe('what was found is found no more', () => {
  const all = targets.flatMap((target) =>
    kept(target.name).map(({ file, input }) => ({ target, file, input })),
  );
  for (const { target, file, input } of all) test(file, () => replay(target, input));

  test('every kept input belongs to a target', () => {
    const names = readdirSync(new URL('./fuzz/found/', import.meta.url));
    assert.deepEqual(
      names.filter((name) => !all.some(({ file }) => file === name)),
      [],
    );
  });
});

describe('mutated inputs break no promise', () => {
  for (const target of targets) {
    test(target.name, async (t) => {
      const count = inputs[target.name];
      assert.ok(count !== undefined, 'say how many inputs are enough for this target');
      const report = await fuzz(target, { seed: 1, inputs: count, forMs: 60_000 });
      t.diagnostic(`${report.inputs} inputs in ${report.seconds.toFixed(1)} s`);
      assert.deepEqual(report.findings, []);
      assert.equal(report.inputs, count);
    });
  }
});
