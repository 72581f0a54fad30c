// The clock that notices suspension: whatever a clock of the machine says has passed has passed, and
// nothing is ever taken back.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createElapsed } from '../../src/run/elapsed.ts';

function clocks() {
  const at = { monotonic: 1000, wall: 5_000_000, uptime: 90_000 };
  const elapsed = createElapsed({
    monotonic: () => at.monotonic,
    wall: () => at.wall,
    // As Linux gives it: whole hundredths.
    uptime: () => Math.floor(at.uptime / 10) * 10,
  });
  const pass = (ms: number) => {
    at.monotonic += ms;
    at.wall += ms;
    at.uptime += ms;
  };
  return { at, elapsed, pass };
}

test('it runs as the monotonic clock does, however often it is looked at', () => {
  const { elapsed, pass } = clocks();
  for (let i = 0; i < 10_000; i++) {
    pass(3);
    elapsed();
  }
  assert.equal(elapsed(), 30_000);
});

test('time in which the machine slept has passed, whichever clock tells', () => {
  for (const which of ['wall', 'uptime'] as const) {
    const { at, elapsed, pass } = clocks();
    pass(100);
    at[which] += 60_000;
    const slept = elapsed();
    assert.ok(slept >= 60_090 && slept <= 60_110, `${slept}`);
    pass(100);
    assert.ok(elapsed() - slept === 100);
  }
  const { at, elapsed, pass } = clocks();
  at.wall += 60_000;
  at.uptime += 60_000;
  pass(5);
  assert.ok(elapsed() < 60_020, 'and is counted once');
});

test('a wall clock that is set back hides no sleep, and takes nothing back', () => {
  const { at, elapsed, pass } = clocks();
  pass(1000);
  at.wall -= 3_600_000;
  assert.equal(elapsed(), 1000);
  pass(1000);
  assert.equal(elapsed(), 2000);
  at.wall += 30_000;
  assert.equal(elapsed(), 32_000, 'what it runs ahead from there counts');
  at.uptime += 10_000;
  at.wall -= 10_000;
  const slept = elapsed();
  assert.ok(slept >= 41_990 && slept <= 42_010, `${slept}`);
});

test('by this machine it goes on', () => {
  const elapsed = createElapsed();
  const first = elapsed();
  const until = performance.now() + 20;
  while (performance.now() < until);
  assert.ok(elapsed() - first >= 19);
});
