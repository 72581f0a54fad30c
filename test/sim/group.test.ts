// The simulated group, a dose of it: several real controllers over the real coordinator and a simulated
// etcd keep every rule; the seeds that once failed are clean; the same seed gives the same journals; and
// a group that is broken on purpose is caught, or a clean run would prove nothing. `npm run sim --
// --group` runs as many as one likes.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { broken } from './group-broken.ts';
import { type GroupSabotage, runGroup } from './group-world.ts';
import { failureText, keptSeeds, Tally } from './main.ts';

/** About 0.3 s each on an idle core. */
const SEEDS = 8;

async function clean(seeds: readonly number[]): Promise<Tally> {
  const tally = new Tally();
  for (const seed of seeds) {
    const report = await runGroup(seed);
    tally.add(report);
    const text = report.violations.length > 0 ? failureText(report, 'group') : '';
    assert.deepEqual(report.violations, [], text);
  }
  return tally;
}

/** The rules that broken groups were caught by, until one of them is the one that is looked for. */
async function caughtBy(sabotage: GroupSabotage, rule: string, from: number): Promise<string[]> {
  const rules: string[] = [];
  for (let seed = from; seed < from + 60 && !rules.includes(rule); seed++) {
    const { violations } = await runGroup(seed, { sabotage });
    rules.push(...violations.map((v) => v.rule));
  }
  return rules;
}

describe('the simulated group', () => {
  test(`${SEEDS} groups with faults keep every rule and converge`, async (t) => {
    const tally = await clean(Array.from({ length: SEEDS }, (_, i) => i + 1));
    t.diagnostic(tally.text());
    assert.ok(tally.switches > SEEDS / 2, 'groups in which nothing moves prove nothing');
    assert.ok(tally.crashes > SEEDS / 2, 'nor do those in which nothing dies');
  });

  test('the seeds that once failed are clean', async () => {
    await clean(keptSeeds('group'));
  });

  test('the same seed gives the same journals and records, another seed others', async () => {
    const hashes = new Set<string>();
    for (const seed of [1, 7]) {
      const [once, again] = [await runGroup(seed), await runGroup(seed)];
      assert.deepEqual(again, once);
      hashes.add(once.hash);
    }
    assert.equal(hashes.size, 2);
  });

  for (const { what, sabotage, rule, from } of broken) {
    test(`${what} are caught by ${rule}`, async () => {
      const rules = await caughtBy(sabotage, rule, from);
      assert.ok(rules.includes(rule), `caught by: ${[...new Set(rules)].join(', ')}`);
    });
  }
});
