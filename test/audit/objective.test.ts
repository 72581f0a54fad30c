// The audit's finding about objectives: nothing where nothing is promised, good within reach, bad out of
// it, with the cure for the part that costs most.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lookAtObjectives } from '../../src/audit/objective.ts';
import { record } from '../cli/desk.ts';

const part = { provider: 'cf', detectMs: 11_000, commitMs: 0, writeMs: 400, visibleMs: 600 };
const look = (objectiveMs: number | null, more: object) => {
  const one = { ...part, ttlMs: 60_000, measured: 3, ...more };
  const { detectMs, writeMs, visibleMs, ttlMs } = one;
  const totalMs = detectMs + writeMs + visibleMs + ttlMs;
  const predicted = { totalMs, worst: 'cf', parts: [one] };
  return lookAtObjectives({ records: [record({ objectiveMs, predicted })] });
};

test('an objective is held against what is predicted', () => {
  assert.deepEqual(look(null, {}), []);
  const [good] = look(90_000, {});
  assert.deepEqual([good!.word, good!.severity, good!.cure], ['objective', 'good', null]);
  const cures: readonly (readonly [more: object, cure: RegExp])[] = [
    [{ ttlMs: 600_000 }, /522 s must be saved: lower its ttl at cf/],
    [{ detectMs: 120_000 }, /lower patience or interval/],
    [{ visibleMs: 180_000 }, /publish it at a provider that is quicker than cf/],
  ];
  for (const [more, cure] of cures) {
    const [bad] = look(90_000, more);
    assert.deepEqual([bad!.severity, bad!.provider], ['bad', 'cf']);
    assert.match(bad!.cure!, cure);
  }
  assert.match(look(1_000, { measured: 0 })[0]!.sentence, /nothing is measured there yet/);
});
