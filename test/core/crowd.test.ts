// Many records: what is asked of DNS at a start and while all is well has a bounded rate, so that
// ten thousand names neither flood their servers nor wait in a queue until their time is over.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextDeadline, start, step } from '../../src/core/engine.ts';
import { coreConfig } from './world.ts';

/** Questions to DNS in each second, where no API answers and DNS does at once. */
function asksASecond(count: number, seconds: number): number[] {
  const { records, ...config } = coreConfig({ providers: ['cf', 'r53'] });
  const [one] = Object.values(records);
  const names = Array.from({ length: count }, (_, i) => `r${i}.gslb.test.`);
  const many = Object.fromEntries(names.map((name) => [name, { ...one!, name }]));
  const whole = { ...config, records: many };
  const { state } = start({ config: whole, docs: {}, now: 0, wall: 0, seed: [1, 2, 3, 4] });
  const asks = Array.from({ length: seconds }, () => 0);
  step(state, { kind: 'lease', held: true, term: 1 }, 0, 0);
  for (let now = 0; now < seconds * 1000; ) {
    const { effects } = step(state, { kind: 'tick' }, now, now);
    for (const e of effects) {
      if (e.kind !== 'ask') continue;
      asks[Math.floor(now / 1000)]!++;
      const answer = { kind: 'cname', value: 'a.shop.test.', ttl: 60 } as const;
      const answers = [{ server: 'ns', answer, markers: [] }];
      step(state, { kind: 'asked', provider: e.provider, record: e.record, answers }, now, now);
    }
    now = Math.max(now + 1, nextDeadline(state)?.at ?? now + 1000);
  }
  return asks;
}

test('a few records are read by DNS all at once, three seconds after a start', () => {
  const asks = asksASecond(50, 4);
  assert.ok(asks[3]! >= 100, String(asks));
});

test('many are read one after another, and watched no faster than their servers should bear', () => {
  const asks = asksASecond(3000, 60);
  // The first 200 at two providers, then 200 a second, beside 200 a second that are watched.
  assert.ok(Math.max(...asks) < 1400, String(asks));
  const late = asks.slice(40).reduce((sum, n) => sum + n, 0) / 20;
  assert.ok(late > 100 && late < 300, `${late} a second in the calm`);
});
