// The direct way out: every scenario of it, played against the plan alone, and what must hold of any
// order among vendors that misbehave at random. UPDATE=1 rewrites the traces.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { start } from '../../src/core/direct.ts';
import type { Outcome } from '../../src/core/model.ts';
import { DirectWorld, playDirect } from './direct-scenario.ts';
import { hold, setDns, WWW } from './scenario.ts';
import type { Vendor } from './world.ts';

const folder = new URL('../scenarios/direct/', import.meta.url);
const update = process.env['UPDATE'] === '1';

for (const file of readdirSync(folder).sort()) {
  test(`direct scenario ${file}`, () => {
    const url = new URL(file, folder);
    const text = readFileSync(url, 'utf8');
    const played = playDirect(text);
    if (update) return writeFileSync(url, played.text);
    for (const { want, got } of played.failures) assert.equal(got, want);
    assert.ok(text.includes('----'), 'a scenario expects something');
  });
}

const readManners = [
  'ok',
  'hang',
  'late=2s',
  'late=5s',
  'unavailable',
  'throttled',
  'auth',
  'skip',
];
const writeManners = ['reject', 'lose-reply', 'lose-write', 'lose-half', 'hang-after'];

const vendor = fc.record({
  value: fc.constantFrom('a', 'b', 'nothing', 'x.other.test.'),
  marker: fc.constantFrom(
    '',
    'epoch=7',
    'epoch=9 kind=operator',
    'epoch=3 cluster=other',
    'text=t',
  ),
  refused: fc.constantFrom('', '', '', 'refused=proxied'),
  api: fc.array(fc.constantFrom('ok', 'ok', ...readManners, ...writeManners), {
    minLength: 1,
    maxLength: 6,
  }),
  dns: fc.constantFrom<Vendor['dns']>('ok', 'ok', 'silent', 'stale', 'half-stale'),
  meanwhile: fc.constantFrom(
    '',
    '',
    'a epoch=8 id=aa',
    'a epoch=20 kind=operator id=bb',
    'nothing',
  ),
});

const orders = fc.record({
  force: fc.boolean(),
  adopt: fc.boolean(),
  dryRun: fc.constantFrom(false, false, true),
  forMs: fc.constantFrom(null, 60_000),
  target: fc.constantFrom('b', 'b', 'b', 'c'),
});

test('whatever the vendors do, a direct switch ends in time and says what stands', () => {
  const ends = new Map<number, number>();
  fc.assert(
    fc.property(
      fc.array(vendor, { minLength: 1, maxLength: 3 }),
      fc.array(fc.constantFrom<Outcome>('pass', 'pass', 'fail', 'blind'), { minLength: 1 }),
      orders,
      (vendors, probes, order) => {
        const names = ['cf', 'r53', 'ali'].slice(0, vendors.length);
        const w = new DirectWorld({ providers: names });
        const words = (text: string) => text.split(' ').filter((word) => word !== '');
        for (const [i, name] of names.entries()) {
          const v = vendors[i]!;
          hold(w.world, name, v.value, [...words(v.marker), ...words(v.refused)]);
          setDns(w.world.vendors.get(name)!, v.dns);
          w.api.set(name, [...v.api]);
          const [value, ...more] = words(v.meanwhile);
          if (value !== undefined) w.meanwhile.set(name, () => hold(w.world, name, value, more));
        }
        w.probes.splice(0, 1, ...probes);
        const said = { record: WWW, reason: 'storage fails', by: 'ann' };
        const { reply, ms } = w.carryOut({ ...order, ...said });
        ends.set(reply.exit, (ends.get(reply.exit) ?? 0) + 1);
        assert.ok(ms <= 70_000, `it took ${ms} ms`);
        const ours = names.filter((n) => w.world.held(n, WWW).markers.some((m) => /d1ec7/.test(m)));
        const there = ours.filter((n) => w.world.held(n, WWW).cname?.value === 'b.shop.test.');
        const { behind } = (reply.detail ?? {}) as { behind?: string[] };
        if (reply.exit === 0 && !order.dryRun) assert.deepEqual(there, names);
        if (reply.exit === 1 || order.dryRun) assert.deepEqual(ours, []);
        if (reply.exit === 2) assert.equal(order.target, 'c');
        if (reply.exit === 3) {
          assert.ok(behind!.length > 0);
          assert.deepEqual(
            names.filter((n) => !behind!.includes(n) && !there.includes(n)),
            [],
          );
          for (const name of behind!) assert.match(reply.message, new RegExp(`^${name}: .`, 'm'));
        }
        for (const { reads, writes } of w.calls.values()) assert.ok(reads <= 4 && writes <= 3);
      },
    ),
    { numRuns: 3000 },
  );
  assert.deepEqual([...ends.keys()].sort(), [0, 1, 2, 3]);
});

test('what no path of this replica asks says nothing about the target, and is not gone to unseen', () => {
  const { config } = new DirectWorld({ providers: ['cf', 'r53'] }).world;
  const checks = Object.values(config.checks).map((check) => [check.id, { ...check, paths: [] }]);
  const unseen = { ...config, checks: Object.fromEntries(checks) };
  const order = {
    ...{ record: WWW, target: 'b', reason: 'a drill', by: 'ann', forMs: null },
    ...{ adopt: false, dryRun: false },
  };
  const begin = (force: boolean) =>
    start({ config: unseen, order: { ...order, force }, id: 'd1ec7', now: 0 }).effects;
  const end = begin(false).at(-1)!;
  assert.ok(end.kind === 'end' && end.reply.exit === 1);
  assert.match(end.reply.message, /^b is looked at by no path of this replica: .*give --force/);
  assert.deepEqual(new Set(begin(true).map(({ kind }) => kind)), new Set(['say', 'ask', 'read']));
});
