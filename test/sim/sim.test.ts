// The deterministic simulation, a few hundred worlds of it: every seed is clean, the seeds that once
// failed among them; the same seed gives the same journal; and a world that is broken on purpose is
// caught, or a clean run would prove nothing. `npm run sim` runs as many as one likes.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { failureText, type Kind, keptSeeds, Tally, worldOf } from './main.ts';
import { runSeed, type Sabotage } from './world.ts';

/** About 0.15 s each on an idle core, three times as much on a busy one. */
const SEEDS = 60;

/** Worlds in which records ask first. */
const ASKING = 10;

/** Worlds with records on several lines; `npm run sim -- --lines --seeds 1000` for more. */
const LINED = 5;

/** Worlds in which somebody has one vendor's key. */
const THIEVES = 15;

async function clean(
  seeds: readonly number[],
  kind: Exclude<Kind, 'group'> = 'plain',
): Promise<Tally> {
  const tally = new Tally();
  for (const seed of seeds) {
    const report = await runSeed(seed, worldOf(kind));
    tally.add(report);
    assert.deepEqual(
      report.violations,
      [],
      report.violations.length > 0 ? failureText(report, kind) : '',
    );
  }
  return tally;
}

/** The rules that broken worlds were caught by, until one of them is the one that is looked for. */
async function caughtBy(sabotage: Sabotage, rule: string, from: number): Promise<string[]> {
  const rules: string[] = [];
  for (let seed = from; seed < from + 200 && !rules.includes(rule); seed++) {
    const { violations } = await runSeed(seed, { sabotage, thief: sabotage.credulous ?? false });
    rules.push(...violations.map((v) => v.rule));
  }
  return rules;
}

describe('the simulation', () => {
  test(`${SEEDS} worlds with faults keep every rule and converge`, async (t) => {
    const tally = await clean(Array.from({ length: SEEDS }, (_, i) => i + 1));
    t.diagnostic(tally.text());
    assert.ok(tally.switches > SEEDS / 2, 'worlds in which nothing moves prove nothing');
    assert.ok(tally.crashes > SEEDS, 'nor do those in which nothing dies');
    assert.ok(tally.drills.passed > SEEDS / 10, 'nor do those in which no drill comes back');
    assert.ok(tally.drills.moved > 1.2 * tally.drills.passed, 'nor those in which all pass');
  });

  test(`a thief with one vendor's key in ${THIEVES} worlds moves nothing elsewhere`, async (t) => {
    const tally = await clean(
      Array.from({ length: THIEVES }, (_, i) => i + 1),
      'thief',
    );
    t.diagnostic(tally.text());
    assert.ok(tally.switches > THIEVES / 2, 'worlds in which nothing moves prove nothing');
    assert.ok(tally.helped > THIEVES / 10, 'nor do those in which a thief leaves nothing behind');
  });

  test(`in ${ASKING} worlds nothing moves unasked, nor past a hook`, async (t) => {
    const tally = await clean(
      Array.from({ length: ASKING }, (_, i) => i + 1),
      'people',
    );
    t.diagnostic(tally.text());
    assert.ok(tally.switches > ASKING / 2, 'worlds in which nothing moves prove nothing');
  });

  test(`in ${LINED} worlds no line is emptied, left behind, or touched that is not listed`, async (t) => {
    const tally = await clean(
      Array.from({ length: LINED }, (_, i) => i + 1),
      'lines',
    );
    t.diagnostic(tally.text());
    assert.ok(tally.splits > LINED, 'worlds without a half-written set prove nothing');
  });

  test('the seeds that once failed are clean', async () => {
    await clean(keptSeeds());
    await clean(keptSeeds('thief'), 'thief');
    await clean(keptSeeds('people'), 'people');
    await clean(keptSeeds('lines'), 'lines');
  });

  test('the same seed gives the same journals and records, another seed others', async () => {
    const hashes = new Set<string>();
    for (const seed of [1, 7, 19, 23, 42]) {
      const [once, again] = [await runSeed(seed), await runSeed(seed)];
      assert.deepEqual(again, once);
      hashes.add(once.hash);
    }
    assert.equal(hashes.size, 5);
  });

  for (const [what, sabotage, rule, from] of [
    ['vendors that drop the fence', { unfenced: true }, 'rule-14-no-lower-epoch', 1],
    ['a store that loses an entry', { lossyStore: true }, 'journal-without-hole', 1],
    ['signatures that are not looked at', { credulous: true }, 'rule-25-only-genuine-orders', 1],
    [
      'words that are gone with the process',
      { forgetfulStore: true },
      'rule-29-nothing-comes-back-unsaid',
      // Few worlds show it.
      180,
    ],
  ] as const) {
    test(`${what} are caught by ${rule}`, async () => {
      const rules = await caughtBy(sabotage, rule, from);
      assert.ok(rules.includes(rule), `caught by: ${[...new Set(rules)].join(', ')}`);
    });
  }
});
