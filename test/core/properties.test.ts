// Properties of the core, against naive twins where there is one: what holds for every reading, every
// sequence of observations and every order of events, not for the examples that somebody thought of.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createKeyring } from '../../src/cluster/keyring.ts';
import { checkState, groupVote, observe, quorum, weight } from '../../src/core/detect.ts';
import { nextDeadline, start, step } from '../../src/core/engine.ts';
import {
  compareMarkers,
  FIRST_ID,
  formatMarker,
  MARKER_NUMBER_MAX,
  markerNumber,
  nextEpoch,
  parseMarker,
} from '../../src/core/marker.ts';
import type {
  Change,
  Command,
  Marker,
  Observation,
  Outcome,
  QuorumRule,
  Seen,
  Verdict,
} from '../../src/core/model.ts';
import { type Knowledge, type Plan, plan, standing, type Wanted } from '../../src/core/plan.ts';
import { newRate } from '../../src/core/rate.ts';
import {
  clearDeadline,
  type Deadline,
  deadline,
  isSet,
  popTimer,
  setDeadline,
  timers,
} from '../../src/core/timers.ts';
import { createClock } from '../../src/run/clock.ts';
import { anySign } from '../parts/any-sign.ts';
import { coreConfig, type Manner, WALL_0, World, webCheck } from './world.ts';

const WWW = 'www.gslb.test.';
const config = coreConfig({ origins: { a: {}, b: {}, c: {} } });
const record = config.records[WWW]!;

// ---------------------------------------------------------------- markers

const word = (max: number) => fc.stringMatching(new RegExp(`^[a-z0-9-]{1,${max}}$`));
const number = fc.integer({ min: 0, max: MARKER_NUMBER_MAX });

function markers(cluster: fc.Arbitrary<string>): fc.Arbitrary<Marker> {
  const bare = { noNullPrototype: true };
  return fc
    .record(
      {
        cluster,
        epoch: fc.oneof(fc.integer({ min: 0, max: 6 }), number),
        id: fc.oneof(fc.constantFrom('aa', 'bb'), fc.stringMatching(/^[a-z0-9]{1,32}$/)),
        term: number,
        kind: fc.constantFrom('auto' as const, 'operator' as const),
        target: fc.oneof(fc.constantFrom('a', 'b', 'c'), word(63)),
        pinned: fc.boolean(),
        pinMs: fc.option(number),
      },
      bare,
    )
    .map((m) => (m.pinned ? m : { ...m, pinMs: null }));
}

const FIRST: Marker = {
  cluster: config.cluster,
  epoch: 1,
  id: FIRST_ID,
  term: 0,
  kind: 'auto',
  target: 'a',
  pinned: false,
  pinMs: null,
};

test('a marker is read back as it was written', () => {
  fc.assert(
    fc.property(markers(word(63)), (m) => {
      assert.deepEqual(parseMarker(formatMarker(m)), m);
    }),
  );
});

test('no text makes the reading of markers throw, and what is read stays what it is', () => {
  const spoilt = fc
    .tuple(markers(word(63)), fc.nat(220), fc.string({ unit: anySign, maxLength: 3 }))
    .map(([m, at, put]) => {
      const text = formatMarker(m);
      return text.slice(0, at) + put + text.slice(at + 1);
    });
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: anySign }), spoilt), (text) => {
      const m = parseMarker(text);
      if (m !== null) assert.deepEqual(parseMarker(formatMarker(m)), m);
    }),
  );
});

test('a marker above the bound is none, and what is made is always below it', () => {
  const top = { ...FIRST, epoch: MARKER_NUMBER_MAX, term: MARKER_NUMBER_MAX };
  assert.deepEqual(parseMarker(formatMarker(top)), top);
  for (const over of [{ epoch: MARKER_NUMBER_MAX + 1 }, { term: MARKER_NUMBER_MAX + 1 }]) {
    assert.equal(parseMarker(formatMarker({ ...top, ...over })), null);
  }
  const late = { ...top, pinned: true, pinMs: MARKER_NUMBER_MAX + 1 };
  assert.equal(parseMarker(formatMarker(late)), null);
  assert.equal(nextEpoch(MARKER_NUMBER_MAX), null);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: MARKER_NUMBER_MAX - 1 }), fc.double(), (epoch, any) => {
      const n = markerNumber(any);
      const made = { ...FIRST, epoch: nextEpoch(epoch)!, term: n, pinned: true, pinMs: n };
      assert.equal(made.epoch, epoch + 1);
      assert.deepEqual(parseMarker(formatMarker(made)), made);
    }),
  );
});

test('a marker with the highest epoch neither throws nor is overruled, and that is said', () => {
  const world = new World(coreConfig({ providers: ['cf', 'r53'], signed: true }));
  const keys = createKeyring(['k'.repeat(40)]);
  world.keys = keys;
  world.hold(WWW, 'a.shop.test.');
  world.start();
  world.advance(5000);
  // By whoever has the key: nobody else can.
  const forged = { ...FIRST, epoch: MARKER_NUMBER_MAX, kind: 'operator' as const, target: 'b' };
  const held = world.held('cf', WWW);
  held.cname = { value: 'b.shop.test.', ttl: 60 };
  held.markers = [formatMarker(keys.sign(WWW, 'b.shop.test.', forged))];
  world.advance(60_000);
  for (const origin of ['a', 'b', 'a']) {
    world.origins.set('a', 'pass').set('b', 'pass').set(origin, 'fail');
    world.advance(60_000);
    const order = { forMs: null, force: true, dryRun: false, target: 'a' };
    const reply = world.command({ ...say, ...order, kind: 'switch' });
    assert.equal(reply.exit, 1);
    assert.match(reply.message, /highest epoch/);
  }
  assert.equal(world.state.records.get(WWW)!.stay.reason, 'epochs-spent');
});

// ---------------------------------------------------------------- planning

const ours = markers(fc.constant(config.cluster));
const value = fc.constantFrom('a.shop.test.', 'b.shop.test.', 'c.shop.test.', 'else.where.');
const cname = fc.record({ value, ttl: fc.integer({ min: 1, max: 86_400 }) });
const text = fc.oneof(
  { weight: 6, arbitrary: ours.map(formatMarker) },
  { weight: 1, arbitrary: markers(fc.constant('other')).map(formatMarker) },
  { weight: 1, arbitrary: fc.string({ maxLength: 20 }) },
);
const seen: fc.Arbitrary<Seen> = fc.record({
  cnames: fc.array(cname, { maxLength: 2 }),
  markers: fc.array(text, { maxLength: 2 }),
  refusal: fc.option(fc.constant({ word: 'proxied', sentence: 'it is proxied' }), { freq: 5 }),
  ref: fc.constant(null),
});
const wanted: fc.Arbitrary<Wanted> = fc
  .record({
    target: fc.constantFrom(...record.targets),
    ttl: fc.integer({ min: 1, max: 86_400 }),
    marker: ours,
    claim: fc.constantFrom('any' as const, 'configured' as const, 'none' as const),
    keepTtl: fc.boolean(),
    placed: fc.option(fc.record({ cname: value, marker: ours })),
    since: number,
  })
  .map(({ target, marker, ...rest }) => ({
    ...rest,
    signed: false,
    cname: target.cname,
    marker: { ...marker, target: target.origin },
  }));

function planFor(s: Seen, w: Wanted): Plan {
  return plan(record, s, standing(known, record, s), w);
}

/** Without a key; any epoch may have been given out. */
const known: Knowledge = {
  cluster: config.cluster,
  signed: false,
  remembered: [],
  epochMax: MARKER_NUMBER_MAX,
};

function changeOf(p: Plan): Change | null {
  if (p.kind === 'edit') return p.edit.above ? null : p.edit.change;
  return p.kind === 'write' || p.kind === 'remark' ? p.change : null;
}

test('what is wanted and stands there is in step', () => {
  fc.assert(
    fc.property(wanted, (w) => {
      const stands = {
        cnames: [{ value: w.cname, ttl: w.ttl }],
        markers: [formatMarker(w.marker)],
        refusal: null,
        ref: null,
      };
      assert.equal(planFor(stands, w).kind, 'in-step');
    }),
  );
});

test('a planned change, once applied, is in step', () => {
  fc.assert(
    fc.property(seen, wanted, (s, w) => {
      const change = changeOf(planFor(s, w));
      if (change === null) return;
      const cnames = [{ value: change.to.cname, ttl: change.to.ttl }];
      const markers = [formatMarker(change.to.marker)];
      const after = { cnames, markers, refusal: null, ref: null };
      assert.equal(planFor(after, w).kind, 'in-step');
    }),
    { numRuns: 1000 },
  );
});

test('no change is planned to what is not ours, to nothing, or to a value outside the record', () => {
  fc.assert(
    fc.property(seen, wanted, (s, w) => {
      const change = changeOf(planFor(s, w));
      if (change === null) return;
      assert.ok(record.targets.some((t) => t.cname === change.to.cname));
      assert.equal(change.from, s);
      assert.equal(change.name, record.name);
      assert.equal(s.refusal, null);
      assert.ok(s.cnames.length <= 1 && s.markers.length <= 1);
      const stands = s.cnames[0]?.value;
      const marker = s.markers[0];
      if (marker !== undefined) {
        const theirs = parseMarker(marker);
        assert.equal(theirs?.cluster, config.cluster);
        assert.ok(theirs!.epoch <= change.to.marker.epoch, 'never over a higher epoch');
        assert.ok(compareMarkers(theirs!, w.marker) <= 0, 'never over one that comes first');
      } else if (stands !== undefined && stands !== w.cname && w.placed === null) {
        assert.notEqual(w.claim, 'none');
        if (w.claim === 'configured') assert.notEqual(stands, 'else.where.');
      }
    }),
    { numRuns: 2000 },
  );
});

test('two writers at one provider: whoever is behind gives way, and never both write over each other', () => {
  fc.assert(
    fc.property(wanted, wanted, (x, y) => {
      const holding = (w: Wanted): Seen => ({
        cnames: [{ value: w.cname, ttl: w.ttl }],
        markers: [formatMarker(w.marker)],
        refusal: null,
        ref: null,
      });
      const xOverY = planFor(holding(y), x).kind === 'write';
      const yOverX = planFor(holding(x), y).kind === 'write';
      assert.ok(!(xOverY && yOverX), 'they would go on for ever');
    }),
    { numRuns: 1000 },
  );
});

// ---------------------------------------------------------------- detecting

const outcomes = fc.array(fc.constantFrom<Outcome>('pass', 'fail', 'blind'), { maxLength: 40 });
const counts = fc.record({
  fall: fc.integer({ min: 1, max: 5 }),
  rise: fc.integer({ min: 1, max: 5 }),
});

function observation(outcome: Outcome, i: number): Observation {
  const [startedAt, endedAt] = [i * 1000, i * 1000 + 5];
  return { outcome, startedAt, endedAt, reason: outcome, detail: outcome, phases: {} };
}

function detect(all: readonly Outcome[], { fall, rise }: { fall: number; rise: number }): Verdict {
  const check = { ...webCheck('a', 'one', null), fall, rise };
  const state = checkState('k', check.id, 'p', newRate(0), 0);
  all.forEach((outcome, i) => {
    const was = state.verdict;
    const changed = observe(state, check, observation(outcome, i));
    assert.equal(changed, state.verdict !== was);
  });
  return state.verdict;
}

/** The same, as one would write it on a napkin. */
function detectNaively(all: readonly Outcome[], { fall, rise }: { fall: number; rise: number }) {
  let verdict: Verdict = 'unknown';
  let run = '';
  for (const outcome of all) {
    if (outcome === 'blind') continue;
    run = (run.endsWith(outcome[0]!) ? run : '') + outcome[0];
    if (run === 'f'.repeat(run.length) && run.length >= fall) verdict = 'down';
    if (run === 'p'.repeat(run.length) && run.length >= rise) verdict = 'up';
  }
  return verdict;
}

test('the counting detector agrees with its naive twin', () => {
  fc.assert(
    fc.property(outcomes, counts, (all, n) => {
      assert.equal(detect(all, n), detectNaively(all, n));
    }),
    { numRuns: 1000 },
  );
});

const worth: Readonly<Record<Verdict, number>> = { down: 0, unknown: 1, up: 2 };

test('one more failure never makes a verdict healthier', () => {
  fc.assert(
    fc.property(outcomes, counts, fc.nat(), (all, n, pick) => {
      const passes = all.flatMap((o, i) => (o === 'pass' ? [i] : []));
      if (passes.length === 0) return;
      const at = passes[pick % passes.length];
      const worse = all.map((o, i) => (i === at ? 'fail' : o));
      assert.ok(worth[detect(worse, n)] <= worth[detect(all, n)]);
    }),
    { numRuns: 1000 },
  );
});

test('blind probes alone leave a verdict unknown, and change none', () => {
  fc.assert(
    fc.property(outcomes, counts, fc.nat(20), (all, n, blind) => {
      const more = [...all, ...Array<Outcome>(blind).fill('blind')];
      assert.equal(detect(more, n), detect(all, n));
      assert.equal(detect(more.fill('blind'), n), 'unknown');
    }),
  );
});

const verdict = fc.constantFrom<Verdict>('up', 'down', 'unknown');
const rule: fc.Arbitrary<QuorumRule> = fc.oneof(
  fc.constant<QuorumRule>({ kind: 'majority' }),
  fc.constant<QuorumRule>({ kind: 'all' }),
  fc.integer({ min: 1, max: 5 }).map((groups): QuorumRule => ({ kind: 'count', groups })),
  fc.integer({ min: 1, max: 10 }).map((n): QuorumRule => ({ kind: 'share', share: n / 10 })),
);

test('neither the order of groups nor that of paths within one matters', () => {
  const shuffled = fc
    .array(verdict, { minLength: 1, maxLength: 7 })
    .chain((v) => fc.tuple(fc.constant(v), fc.shuffledSubarray(v, { minLength: v.length })));
  fc.assert(
    fc.property(shuffled, rule, fc.integer({ min: 1, max: 3 }), ([v, other], r, needed) => {
      assert.equal(quorum(v, r), quorum(other, r));
      assert.equal(groupVote(v), groupVote(other));
      const nats = (list: readonly Verdict[]) => list.map((x) => worth[x] * 1.5);
      assert.ok(Math.abs(weight(nats(v), needed) - weight(nats(other), needed)) < 1e-9);
    }),
  );
});

test('a quorum is never healthier for one more vote against, and unknown says nothing', () => {
  const votes = fc.array(verdict, { minLength: 1, maxLength: 7 });
  fc.assert(
    fc.property(votes, rule, fc.nat(), (v, r, pick) => {
      const at = pick % v.length;
      const against = v.map((x, i): Verdict => (i === at && x === 'up' ? 'down' : x));
      assert.ok(worth[quorum(against, r)] <= worth[quorum(v, r)]);
      assert.ok(worth[groupVote(against)] <= worth[groupVote(v)]);
      assert.equal(
        quorum(
          v.map((): Verdict => 'unknown'),
          r,
        ),
        'unknown',
      );
    }),
  );
});

test('with two groups configured no single one decides by majority, however many are blind', () => {
  fc.assert(
    fc.property(verdict, fc.integer({ min: 1, max: 6 }), (one, others) => {
      const votes: Verdict[] = [one, ...Array<Verdict>(others).fill('unknown')];
      assert.equal(quorum(votes, { kind: 'majority' }), 'unknown');
    }),
  );
});

// ---------------------------------------------------------------- deadlines

test('the heap of deadlines agrees with a sorted list', () => {
  const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
  const key = fc.constantFrom(...keys);
  const action = fc.oneof(
    fc.record({ do: fc.constant('set' as const), key, at: fc.nat(50) }),
    fc.record({ do: fc.constant('clear' as const), key }),
    fc.record({ do: fc.constant('pop' as const), now: fc.nat(50) }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 400, size: 'max' }), (actions) => {
      const heap = timers();
      const all = new Map(keys.map((name) => [name, deadline({ kind: 'lane', provider: name })]));
      const nameOf = (d: Deadline | null) => keys.find((name) => all.get(name) === d)!;
      const list = new Map<string, number>();
      for (const a of actions) {
        if (a.do === 'set') {
          setDeadline(heap, all.get(a.key)!, a.at);
          list.set(a.key, a.at);
        } else if (a.do === 'clear') {
          clearDeadline(heap, all.get(a.key)!);
          list.delete(a.key);
        } else {
          const earliest = Math.min(Number.POSITIVE_INFINITY, ...list.values());
          const popped = popTimer(heap, a.now);
          if (earliest > a.now) assert.equal(popped, null);
          else assert.equal(list.get(nameOf(popped)), earliest);
          if (popped !== null) list.delete(nameOf(popped));
        }
        assert.deepEqual(new Map(heap.heap.map((d) => [nameOf(d), d.at])), list);
        assert.deepEqual(
          new Set(keys.filter((name) => isSet(all.get(name)!))),
          new Set(list.keys()),
        );
        assert.ok(
          heap.heap.every((d, i) => d.place === i),
          'each knows its place',
        );
      }
    }),
    { numRuns: 300 },
  );
});

test('engine time never goes back, whatever the clock says', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -100_000, max: 100_000 }), { maxLength: 20 }),
      (moves) => {
        const seed = [1, 2, 3, 4] as const;
        const { state } = start({ config, docs: {}, now: WALL_0, wall: WALL_0, seed });
        let latest = WALL_0;
        let clock = WALL_0;
        for (const ms of moves) {
          clock += ms;
          step(state, { kind: 'tick' }, clock, clock);
          latest = Math.max(latest, clock);
          assert.equal(state.now, latest);
        }
      },
    ),
    { numRuns: 30 },
  );
});

test('with the wall clock behind the journal engine time carries on from the journal', () => {
  const ahead = Date.now() + 86_400_000;
  assert.ok(createClock(ahead).now() >= ahead);
  assert.ok(createClock(0).now() < ahead);
});

// ---------------------------------------------------------------- the whole engine

const manner = fc.constantFrom<Manner>('pass', 'fail', 'blind', 'hang', 'half');
const say = { record: WWW, by: 'ann', reason: 'because' };
const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ target: fc.constantFrom('a', 'b', 'x'), force: fc.boolean() }).map((c) => {
    return { ...say, kind: 'switch' as const, forMs: 60_000, dryRun: false, ...c };
  }),
  fc.constant({ ...say, kind: 'unpin' as const }),
  fc.constant({ ...say, kind: 'unprepare' as const }),
  fc
    .record({ ttl: fc.integer({ min: 1, max: 90 }), forMs: fc.integer({ min: 1000, max: 60_000 }) })
    .map((how) => ({ ...say, kind: 'prepare' as const, ...how })),
  fc
    .record({ reject: fc.boolean(), dryRun: fc.boolean() })
    .map((how) => ({ ...say, kind: 'ack' as const, ...how })),
  fc
    .constantFrom('drain' as const, 'undrain' as const)
    .map((kind) => ({ ...say, kind, what: 'two' })),
  fc.constantFrom('freeze' as const, 'unfreeze' as const).map((kind) => ({ ...say, kind })),
);
const api = fc.constantFrom('ok', 'hang', 'unavailable', 'auth', 'lose-reply', 'lose-write');

type Act = (w: World) => void;
const act: fc.Arbitrary<Act> = fc.oneof(
  fc.tuple(fc.constantFrom('a', 'b'), manner).map(
    ([o, m]): Act =>
      (w) =>
        void w.origins.set(o, m),
  ),
  fc.tuple(fc.constantFrom('cf', 'r53'), api).map(
    ([v, how]): Act =>
      (w) => {
        w.vendors.get(v)!.api = how as 'ok';
      },
  ),
  command.map(
    (c): Act =>
      (w) =>
        void w.command(c),
  ),
  fc.integer({ min: 1, max: 20_000 }).map(
    (ms): Act =>
      (w) =>
        w.advance(ms),
  ),
  fc.boolean().map(
    (fails): Act =>
      (w) => {
        w.storeFails = fails;
      },
  ),
  fc.constant<Act>((w) => {
    w.now += 60_000;
    w.send({ kind: 'paused', forMs: 60_000 });
  }),
  fc.constant<Act>((w) => {
    w.kill();
    w.start();
  }),
);

function live(acts: readonly Act[]): World {
  const world = new World(coreConfig({ providers: ['cf', 'r53'] }));
  world.hold(WWW, 'a.shop.test.');
  world.start();
  world.advance(5000);
  for (const one of acts) {
    one(world);
    world.advance(300);
  }
  return world;
}

test('the same seed and the same events give the same journal, byte for byte', () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 15 }), (acts) => {
      const [one, two] = [live(acts), live(acts)];
      assert.equal(JSON.stringify(one.journal), JSON.stringify(two.journal));
      assert.equal(JSON.stringify(one.notices), JSON.stringify(two.notices));
      assert.equal(JSON.stringify(one.docs), JSON.stringify(two.docs));
    }),
    { numRuns: 25 },
  );
});

test('whatever happens, when all is well again every provider holds the target in force', () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 15 }), (acts) => {
      const world = live(acts);
      world.storeFails = false;
      for (const v of world.vendors.values()) v.api = 'ok';
      for (const o of world.origins.keys()) world.origins.set(o, 'pass');
      world.advance(400_000);
      const { doc } = world.state.records.get(WWW)!;
      for (const v of world.vendors.values()) {
        const held = v.records.get(WWW)!;
        assert.equal(held.cname?.value, doc.cname);
        assert.deepEqual(held.markers.map(parseMarker), [doc.marker]);
      }
    }),
    { numRuns: 40 },
  );
});

test('a mass failure is no storm of confirming probes', () => {
  const many = Object.fromEntries(
    Array.from({ length: 50 }, (_, i) => [`o${i}`, { cloud: i % 2 === 0 ? 'one' : 'two' }]),
  );
  const calm = new World({
    ...coreConfig({ origins: many, providers: ['cf'] }),
    confirm: { burst: 10, perSecond: 1 },
  });
  calm.hold(WWW, 'o0.shop.test.');
  calm.start();
  calm.advance(20_000);
  const before = calm.probes;
  for (let i = 1; i < 50; i++) calm.origins.set(`o${i}`, 'fail');
  calm.advance(2000);
  // Each of the 50 checks twice, the budget of 12, and reference points: two every 62 ms at most.
  assert.ok(calm.probes - before <= 2 * 50 + 12 + 2 * 33, `${calm.probes - before} probes`);
});

test("a vendor's quota is kept, however often an operator changes their mind", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 10, max: 400 }), { maxLength: 60 }), (gaps) => {
      const base = coreConfig({ providers: ['cf'] });
      const quota = { burst: 6, perSecond: 2, reserve: 2 };
      const world = new World({ ...base, lanes: { cf: { ...base.lanes['cf']!, quota } } });
      world.hold(WWW, 'a.shop.test.');
      world.start();
      gaps.forEach((ms, i) => {
        const flags = { force: true, dryRun: false, forMs: null };
        world.command({ ...say, ...flags, kind: 'switch', target: i % 2 === 0 ? 'b' : 'a' });
        world.advance(ms);
        const { reads, writes } = world.vendors.get('cf')!;
        assert.ok(reads + writes <= quota.burst + (quota.perSecond * world.now) / 1000 + 1);
      });
    }),
    { numRuns: 20 },
  );
});

test('a loop that is always late makes as many probes as one that is not', () => {
  const config = coreConfig();
  const begun = start({ config, docs: {}, now: 1, wall: 1, seed: [1, 2, 3, 4] });
  const asked: number[] = [];
  let out = begun.step;
  for (let now = 1; now < 100_000; ) {
    for (const e of out.effects) {
      if (e.kind !== 'probe') continue;
      if (e.check === 'a/web') asked.push(now);
      const rest = {
        outcome: 'pass',
        startedAt: e.at,
        endedAt: now,
        reason: '',
        detail: '',
      } as const;
      const observation = { ...rest, phases: {} };
      step(begun.state, { kind: 'probed', check: e.check, path: e.path, observation }, now, now);
    }
    now = Math.max(now, nextDeadline(begun.state)!.at) + 40;
    out = step(begun.state, { kind: 'tick' }, now, now);
  }
  assert.ok(asked.length >= 99, `${asked.length} probes in 100 s`);
});
