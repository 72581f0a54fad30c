// What wants a person opens and closes: a closing belongs to one opening, and what the engine holds
// to be open is what was told and what the store remembers, whatever happens in between.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { start, step } from '../../src/core/engine.ts';
import type { Notice } from '../../src/core/model.ts';
import { coreConfig, type Manner, type Vendor, World } from './world.ts';

const www = 'www.gslb.test.';
const by = 'ann';
const why = { reason: 'because', by };

type Act = (world: World) => void;

const manner = fc.constantFrom<Manner>('pass', 'fail', 'hang', 'blind');
const api = fc.constantFrom<Vendor['api']>('ok', 'unavailable', 'auth', 'reject', 'lose-write');
const vendor = fc.constantFrom('cf', 'r53');
const setOrigin = fc.tuple(fc.constantFrom('a', 'b'), manner).map(
  ([origin, how]): Act =>
    (w) =>
      void w.origins.set(origin, how),
);
const setPath = manner.map(
  (how): Act =>
    (w) =>
      void w.paths.set('direct', how),
);
const setApi = fc.tuple(vendor, api).map(
  ([name, how]): Act =>
    (w) => {
      w.vendors.get(name)!.api = how;
    },
);
const setDns = fc.tuple(vendor, fc.constantFrom<Vendor['dns']>('ok', 'silent')).map(
  ([name, how]): Act =>
    (w) => {
      w.vendors.get(name)!.dns = how;
    },
);
const edit = fc.tuple(vendor, fc.constantFrom('a.shop.test.', 'b.shop.test.', 'x.other.test.')).map(
  ([name, value]): Act =>
    (w) => {
      w.held(name, www).cname = { value, ttl: 60 };
    },
);
const setService = manner.map(
  (how): Act =>
    (w) =>
      void w.checks.set('one:sts', how),
);
const order = fc.constantFrom<Act>(
  (w) => void w.command({ kind: 'pin', record: www, ...why, forMs: 60_000 }),
  (w) => void w.command({ kind: 'unpin', record: www, by }),
  (w) => void w.command({ kind: 'drain', what: 'a', ...why }),
  (w) => void w.command({ kind: 'undrain', what: 'a', by }),
  (w) => void w.command({ kind: 'freeze', record: null, ...why }),
  (w) => void w.command({ kind: 'unfreeze', record: null, by }),
  (w) => void w.command({ kind: 'ack', reject: false, dryRun: false, record: www, by }),
  (w) => w.send({ kind: 'paused', forMs: 6_000 }),
  (w) => w.send({ kind: 'lease', held: false, term: 1 }),
  (w) => w.send({ kind: 'lease', held: true, term: 2 }),
);
const failStore: Act = (w) => {
  w.storeFails = true;
};
const mendStore: Act = (w) => {
  w.storeFails = false;
};
/** What was told while the store failed is not remembered by it: only a sound one is restarted on. */
const restart: Act = (w) => {
  w.storeFails = false;
  w.advance(10_000);
  w.kill();
  w.start();
};
const providers = fc.constantFrom(['cf', 'r53'], ['cf']).map(
  (names): Act =>
    (w) => {
      w.config = configOf(names);
      w.send({ kind: 'configured', config: w.config });
    },
);
const act = fc.oneof(
  { arbitrary: setOrigin, weight: 4 },
  { arbitrary: setPath, weight: 1 },
  { arbitrary: setApi, weight: 2 },
  { arbitrary: setDns, weight: 2 },
  { arbitrary: edit, weight: 2 },
  { arbitrary: setService, weight: 2 },
  { arbitrary: order, weight: 2 },
  { arbitrary: fc.constantFrom(failStore, mendStore, mendStore), weight: 2 },
  { arbitrary: fc.constant(restart), weight: 1 },
  { arbitrary: providers, weight: 1 },
);

function configOf(names: readonly string[]) {
  const web = coreConfig().checks['a/web']!;
  const sts = { ...web, id: 'one:sts', role: 'service', origin: null, plane: 'service' } as const;
  return coreConfig({ providers: names, extra: [sts], record: { patienceMs: 1_000 } });
}

/** Follows what is told, as a channel would; fails on a closing of what was not open. */
class Channel {
  readonly open = new Map<string, string>();
  readonly openings = new Map<string, number>();
  readonly closings = new Map<string, number>();

  hear({ key, kind, state, sentence }: Notice): void {
    if (state === 'news') return assert.equal(kind, 'switch');
    if (state === 'closed') {
      assert.ok(this.open.delete(key), `closed though not open: ${key}: ${sentence}`);
      this.closings.set(key, (this.closings.get(key) ?? 0) + 1);
      return assert.equal(kind, 'recovered');
    }
    if (!this.open.has(key)) this.openings.set(key, (this.openings.get(key) ?? 0) + 1);
    this.open.set(key, sentence);
  }
}

test('a notice closes once for each time that it opened, and never when it was not open', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(
      fc.array(fc.tuple(act, fc.integer({ min: 0, max: 90_000 })), { maxLength: 30, size: 'max' }),
      (acts) => {
        const world = new World(configOf(['cf', 'r53']));
        const channel = new Channel();
        let heard = 0;
        world.onStep = () => {
          for (; heard < world.notices.length; heard++) channel.hear(world.notices[heard]!.notice);
        };
        world.hold(www, 'a.shop.test.');
        world.start();
        for (const [does, ms] of [...acts, [mendStore, 10_000] as const]) {
          does(world);
          world.advance(ms);
          const open = [...world.state.notices.open.keys()].sort();
          assert.deepEqual([...channel.open.keys()].sort(), open);
        }
        const kept = Object.keys(world.docs).filter((key) => key.startsWith('open/'));
        const open = [...world.state.notices.open.keys()].map((key) => `open/${key}`);
        assert.deepEqual(kept.sort(), open.sort());
        for (const [key, times] of channel.closings) {
          assert.ok(times <= channel.openings.get(key)!, key);
          seen.add(key);
        }
      },
    ),
    { numRuns: 300 },
  );
  const kinds = new Set([...seen].map((key) => key.split('/')[0]));
  assert.deepEqual([...kinds].sort(), ['cloud', 'hold', 'lagging', 'lane', 'stay', 'store']);
});

test('notices of another version are dropped at the start, and what is damaged is refused', () => {
  const world = new World(configOf(['cf', 'r53']));
  world.hold(www, 'a.shop.test.');
  const about = { kind: 'weather', cloud: 'one' };
  world.docs = { 'open/weather/one': { about, word: 'rain' } };
  world.start();
  assert.deepEqual([...world.state.notices.open.keys()], []);
  assert.ok(!('open/weather/one' in world.docs));
});

test('a record that is released closes what was open about it', () => {
  const world = new World(configOf(['cf', 'r53']));
  world.hold(www, 'a.shop.test.');
  world.start();
  world.advance(10_000);
  world.held('r53', www).cname = { value: 'x.other.test.', ttl: 60 };
  world.advance(60_000);
  world.command({ kind: 'pin', record: www, ...why, forMs: 600_000 });
  world.origins.set('a', 'blind');
  world.origins.set('b', 'blind');
  world.paths.set('direct', 'blind');
  world.vendors.get('cf')!.dns = 'silent';
  world.advance(60_000);
  assert.ok(world.state.notices.open.has(`hold/${www}/r53`));
  const told = world.notices.length;
  world.config = { ...world.config, records: {} };
  world.send({ kind: 'configured', config: world.config });
  assert.deepEqual([...world.state.notices.open.keys()], []);
  const news = world.notices.slice(told).map(({ notice }) => `${notice.state} ${notice.key}`);
  assert.ok(news.includes(`closed hold/${www}/r53`), news.join());
  assert.deepEqual(
    Object.keys(world.docs).filter((key) => key.startsWith('open/')),
    [],
  );
});

test('a replica starts with a notice about a record that its file no longer has, and closes it once it acts', () => {
  const about = { kind: 'stay', record: 'gone.gslb.test.', reason: 'foreign' };
  const one = { about, word: 'foreign', sentence: 'somebody else has it', sinceAt: 1 };
  const key = `stay/${about.record}/${about.reason}`;
  const config = { ...coreConfig(), group: { self: 'n1', replicas: ['n1', 'n2'] } };
  const begin = () =>
    start({
      config,
      docs: { [`open/${key}`]: one },
      now: 1000,
      wall: 1000,
      seed: [1, 2, 3, 4],
      grouped: true,
    });
  const { state } = begin();
  assert.equal(state.notices.open.size, 1, 'it is still to be told that it is over');
  const { effects } = step(state, { kind: 'lease', held: true, term: 1 }, 1001, 1001);
  const told = effects.flatMap((e) => (e.kind === 'notify' ? [e.notice.kind] : []));
  assert.deepEqual([told, state.notices.open.size], [['recovered'], 0]);
});
