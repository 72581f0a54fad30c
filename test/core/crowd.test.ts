// Many records: what is asked of DNS at a start and while all is well has a bounded rate, so that
// ten thousand names neither flood their servers nor wait in a queue until their time is over.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextDeadline, start, step } from '../../src/core/engine.ts';
import type { Effect } from '../../src/core/state.ts';
import { coreConfig } from './world.ts';

type Ask = Extract<Effect, { kind: 'ask' }>;

/** What becomes of one question to DNS: in how many milliseconds it is answered, and with what. */
type Servers = (ask: Ask) => { readonly afterMs: number; readonly kind: 'cname' | 'timeout' };

/** Questions to DNS, where no API answers: in each second, and at most under way by provider. */
function asksOf(count: number, seconds: number, servers: Servers) {
  const { records, ...config } = coreConfig({ providers: ['cf', 'r53'] });
  const [one] = Object.values(records);
  const names = Array.from({ length: count }, (_, i) => `r${i}.gslb.test.`);
  const many = Object.fromEntries(names.map((name) => [name, { ...one!, name }]));
  const whole = { ...config, records: many };
  const { state } = start({ config: whole, docs: {}, now: 0, wall: 0, seed: [1, 2, 3, 4] });
  const asked: { readonly ask: Ask; readonly at: number }[] = [];
  const under = new Map<string, number>();
  const most = new Map<string, number>();
  const coming: { readonly at: number; readonly ask: Ask }[] = [];
  let now = 0;
  const take = (effects: readonly Effect[]) => {
    for (const e of effects) {
      if (e.kind !== 'ask') continue;
      asked.push({ ask: e, at: now });
      const n = (under.get(e.provider) ?? 0) + 1;
      under.set(e.provider, n);
      most.set(e.provider, Math.max(n, most.get(e.provider) ?? 0));
      coming.push({ at: now + servers(e).afterMs, ask: e });
    }
  };
  take(step(state, { kind: 'lease', held: true, term: 1 }, 0, 0).effects);
  while (now < seconds * 1000) {
    take(step(state, { kind: 'tick' }, now, now).effects);
    coming.sort((a, b) => a.at - b.at);
    while (coming.length > 0 && coming[0]!.at <= now) {
      const { ask } = coming.shift()!;
      under.set(ask.provider, under.get(ask.provider)! - 1);
      const cname = { kind: 'cname', value: 'a.shop.test.', ttl: 60 } as const;
      const silence = { kind: 'timeout', detail: 'no answer' } as const;
      const answer = servers(ask).kind === 'cname' ? cname : silence;
      const answers = [{ server: 'ns', answer, markers: [] }];
      const { provider, record } = ask;
      take(step(state, { kind: 'asked', provider, record, answers }, now, now).effects);
    }
    const next = Math.min(nextDeadline(state)?.at ?? now + 1000, coming[0]?.at ?? now + 1000);
    now = Math.max(now + 1, next);
  }
  const inSecond = Array.from({ length: seconds }, () => 0);
  for (const { at } of asked) if (at < seconds * 1000) inSecond[Math.floor(at / 1000)]!++;
  return { asked, most, inSecond };
}

const asksASecond = (count: number, seconds: number) =>
  asksOf(count, seconds, () => ({ afterMs: 0, kind: 'cname' })).inSecond;

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

test('as many as can be heard are under way at once, and the others wait for these', () => {
  const { asked, most } = asksOf(2000, 40, () => ({ afterMs: 500, kind: 'cname' }));
  assert.deepEqual([...most.values()], [100, 100]);
  // Each was asked, in the order of two hundred a second and provider.
  const of = (provider: string) => asked.filter(({ ask }) => ask.provider === provider);
  for (const provider of ['cf', 'r53']) {
    const names = new Set(of(provider).map(({ ask }) => ask.record));
    assert.equal(names.size, 2000);
  }
});

test('servers that never answer hold up no other provider’s', () => {
  const { asked } = asksOf(2000, 30, ({ provider }) =>
    provider === 'cf' ? { afterMs: 4000, kind: 'timeout' } : { afterMs: 20, kind: 'cname' },
  );
  const names = new Set(
    asked.filter(({ ask }) => ask.provider === 'r53').map(({ ask }) => ask.record),
  );
  assert.equal(names.size, 2000);
  const silent = asked.filter(({ ask }) => ask.provider === 'cf').length;
  assert.ok(silent <= 100 * 8, `${silent} questions in 30 s, each of 4 s`);
});
