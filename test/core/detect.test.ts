// The detectors and the sight of paths against naive twins written from their formulas, and by
// simulation with seeded chance: how often the sequential test is wrong when it is asked for once in
// N observations, what teaches it, and that no cut of our own uplink ever looks like an outage.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  checkState,
  FAIL_IF_DOWN,
  groupVote,
  type Loss,
  lossRate,
  observe,
  quorum,
  quorumSize,
  takeTurns,
  threshold,
  weigh,
  weight,
} from '../../src/core/detect.ts';
import type { CheckConfig, Observation, Outcome, Verdict } from '../../src/core/model.ts';
import { newRate } from '../../src/core/rate.ts';
import {
  count,
  type Light,
  type Lot,
  lightAt,
  lostAround,
  newLot,
  newTrack,
  remember,
} from '../../src/core/sight.ts';
import { coreConfig, type Manner, mulberry32, type Shape, World, webCheck } from './world.ts';

const check: CheckConfig = { ...webCheck('a', 'one', null), paths: ['p'] };
const WWW = 'www.gslb.test.';
const TEN_YEARS_MS = 10 * 365 * 86_400_000;

function seen(outcome: Outcome, at: number): Observation {
  return { outcome, startedAt: at, endedAt: at + 5, reason: '', detail: '', phases: {} };
}

function fresh() {
  return checkState('a/web@p', 'a/web', 'p', newRate(0), 0);
}

/** A stream of numbers in [0, 1), the same for the same seed. */
function chances(seed: number): () => number {
  let n = Math.imul(seed, 0x9e3779b1);
  return () => {
    n = (n + 0x6d2b79f5) | 0;
    return mulberry32(n);
  };
}

function usual(share: number): Loss {
  return { total: 1e9, failed: share * 1e9 };
}

describe('the counters', () => {
  test('agree with a twin that looks at the last outcomes every time', () => {
    const cadence = fc.record({
      fall: fc.integer({ min: 1, max: 5 }),
      rise: fc.integer({ min: 1, max: 5 }),
    });
    const outcomes = fc.array(fc.constantFrom<Outcome>('pass', 'fail', 'blind'), { maxLength: 60 });
    const rule = fc.property(cadence, outcomes, (c, list) => {
      const cs = fresh();
      const votes: Outcome[] = [];
      let expected: Verdict = 'unknown';
      list.forEach((outcome, i) => {
        observe(cs, { ...check, ...c }, seen(outcome, i * 10));
        if (outcome !== 'blind') votes.push(outcome);
        const all = (n: number, what: Outcome) =>
          votes.length >= n && votes.slice(-n).every((v) => v === what);
        if (all(c.fall, 'fail')) expected = 'down';
        if (all(c.rise, 'pass')) expected = 'up';
        assert.equal(cs.verdict, expected);
      });
    });
    fc.assert(rule, { numRuns: 300 });
  });

  test('do not let a probe that began before the latest contrary one break a run', () => {
    const cs = fresh();
    for (const at of [100, 200]) observe(cs, check, seen('fail', at));
    observe(cs, check, seen('pass', 50));
    assert.equal(cs.fails, 2);
    observe(cs, check, seen('fail', 300));
    assert.equal(cs.verdict, 'down');
  });
});

/** The sequential test, from its formulas and the whole history every time. */
class Twin {
  readonly #llrs: number[] = [];
  readonly #learnt: { total: number; failed: number }[] = [];
  #excursion: boolean[] = [];

  get loss(): number {
    let [total, failed] = [0, 0];
    for (const l of this.#learnt) {
      const fade = (1 - 1 / 2000) ** l.total;
      total = total * fade + l.total;
      failed = failed * fade + l.failed;
    }
    return Math.min(0.3, Math.max(0.01, (failed + 1) / (total + 100)));
  }

  /** The greatest sum of the latest so many ratios, none of them counting as 0. */
  get evidence(): number {
    let [sum, most] = [0, 0];
    for (const llr of [...this.#llrs].reverse()) {
      sum += llr;
      most = Math.max(most, sum);
    }
    return most;
  }

  observe(failed: boolean): void {
    const q = this.loss;
    this.#llrs.push(failed ? Math.log(0.9 / q) : Math.log(0.1 / (1 - q)));
    this.#excursion.push(failed);
    if (this.evidence > 1e-12) return;
    const total = this.#excursion.length;
    this.#learnt.push({ total, failed: this.#excursion.filter(Boolean).length });
    this.#excursion = [];
  }
}

describe('the sequential test', () => {
  test('agrees with a twin that sums the whole history anew each time', () => {
    const share = fc.constantFrom(0, 0.01, 0.1, 0.3, 0.6);
    const rule = fc.property(share, fc.integer(), (q, seed) => {
      const [next, twin, cs] = [chances(seed), new Twin(), fresh()];
      const loss = { total: 0, failed: 0 };
      for (let i = 0; i < 120; i++) {
        const failed = next() < q;
        weigh(cs, seen(failed ? 'fail' : 'pass', i), loss, 'up', Number.POSITIVE_INFINITY, 0);
        twin.observe(failed);
        assert.ok(Math.abs(cs.evidence - twin.evidence) < 1e-6, `${i}: ${cs.evidence}`);
        assert.ok(Math.abs(lossRate(loss) - twin.loss) < 1e-9);
      }
    });
    fc.assert(rule, { numRuns: 60 });
  });

  for (const q of [0.01, 0.05, 0.1, 0.2, 0.3]) {
    test(`asked for one false alarm in N observations gives no more at ${q * 100} % loss`, () => {
      for (const n of [300, 3000, 30_000]) {
        const next = chances(n + q * 1000);
        const loss = usual(q);
        const h = threshold(n * 1000, 1000, 1);
        const cs = fresh();
        const total = 100_000;
        let alarms = 0;
        for (let i = 0; i < total; i++) {
          weigh(cs, seen(next() < q ? 'fail' : 'pass', i), loss, 'unknown', 2 * h, 0);
          if (cs.evidence < h) continue;
          alarms++;
          takeTurns(cs, false);
        }
        assert.ok(alarms <= total / n, `${alarms} alarms, at most ${total / n} were asked for`);
        if (n === 300) assert.ok(alarms > 0, 'a threshold this low is crossed sometimes');
      }
    });
  }

  test('over three groups is wrong far less often than asked for, also while it learns', () => {
    for (const q of [0.02, 0.1, 0.25]) {
      const next = chances(q * 100);
      const losses = [0, 1, 2].map(() => ({ total: 0, failed: 0 }));
      const groups = losses.map(fresh);
      const n = 2000;
      const h = Math.log(n);
      let alarms = 0;
      for (let i = 0; i < 100_000; i++) {
        const [cs, loss] = [groups[i % 3]!, losses[i % 3]!];
        weigh(cs, seen(next() < q ? 'fail' : 'pass', i), loss, 'up', 2 * h, 0);
        const sums = groups.map((g) => g.evidence).filter((e) => e > 0);
        if (sums.length < 2 || weight(sums, 2) < h) continue;
        // The first guess of the loss is 1 %: until it has learnt better it may be wrong more often.
        if (i > 3000) alarms++;
        for (const g of groups) takeTurns(g, false);
      }
      assert.ok(alarms <= 5, `${alarms} alarms at ${q}, ${97_000 / n} were asked for`);
      for (const loss of losses) assert.ok(Math.abs(lossRate(loss) - q) < 0.4 * q + 0.005);
    }
  });

  test('with one group broken for good, the others alone must carry the threshold', () => {
    const n = 3000;
    const h = Math.log(n);
    const next = chances(7);
    const groups = [fresh(), fresh()];
    const total = 100_000;
    let alarms = 0;
    for (let i = 0; i < total; i++) {
      const cs = groups[i % 2]!;
      weigh(cs, seen(next() < 0.05 ? 'fail' : 'pass', i), usual(0.05), 'unknown', 2 * h, 0);
      const sums = [2 * h, ...groups.map((g) => g.evidence)].filter((e) => e > 0);
      if (sums.length < 2 || weight(sums, 2) < h) continue;
      alarms++;
      for (const g of groups) takeTurns(g, false);
    }
    // Two sums cross by chance a little more often than one: the head of detect.ts says how much.
    assert.ok(alarms <= (total / n) * (h / 4), `${alarms}`);
    assert.equal(weight([2 * h, 0, 0], 2), 0, 'one group alone weighs nothing');
  });

  test('is not taught by an outage that failing is usual', () => {
    const loss = { total: 0, failed: 0 };
    const cs = fresh();
    for (let i = 0; i < 500; i++) weigh(cs, seen('pass', i), loss, 'up', 40, 0);
    const before = lossRate(loss);
    // The crash, before it is judged down, and after.
    for (let i = 500; i < 510; i++) weigh(cs, seen('fail', i), loss, 'up', 40, 0);
    takeTurns(cs, false);
    for (let i = 510; i < 9000; i++) weigh(cs, seen('fail', i), loss, 'down', 40, 0);
    assert.equal(lossRate(loss), before);
    takeTurns(cs, false);
    for (let i = 9000; i < 9050; i++) weigh(cs, seen('pass', i), loss, 'up', 40, 0);
    assert.ok(lossRate(loss) <= before);
  });

  test('believes a path that has just got worse sooner than its long average', () => {
    const [slow, quick] = [fresh(), fresh()];
    weigh(slow, seen('fail', 1), usual(0.01), 'up', 40, 0);
    weigh(quick, seen('fail', 1), usual(0.01), 'up', 40, 0.3);
    assert.ok(Math.abs(slow.evidence - Math.log(FAIL_IF_DOWN / 0.01)) < 1e-9);
    assert.ok(Math.abs(quick.evidence - Math.log(FAIL_IF_DOWN / 0.3)) < 1e-9);
  });

  test('keeps the loss between 1 and 30 %, however clean or bad the path', () => {
    assert.equal(lossRate(usual(0)), 0.01);
    assert.equal(lossRate(usual(1)), 0.3);
  });
});

describe('the quorum', () => {
  const verdict = fc.constantFrom<Verdict>('up', 'down', 'unknown');
  const rules = fc.oneof(
    fc.constant({ kind: 'majority' as const }),
    fc.constant({ kind: 'all' as const }),
    fc.record({ kind: fc.constant('count' as const), groups: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ kind: fc.constant('share' as const), share: fc.double({ min: 0.01, max: 1 }) }),
  );

  test('never makes `down` of groups that know nothing, nor without as many as the rule wants', () => {
    fc.assert(
      fc.property(fc.array(verdict, { maxLength: 7 }), rules, (votes, rule) => {
        const down = votes.filter((v) => v === 'down').length;
        const sighted = votes.filter((v) => v !== 'unknown').length;
        if (quorum(votes, rule) !== 'down') return;
        assert.ok(down >= 1 && down >= quorumSize(sighted, votes.length, rule));
        if (rule.kind === 'all') assert.equal(down, votes.length);
        if (rule.kind === 'count') assert.ok(down >= rule.groups);
        if (rule.kind === 'majority') assert.ok(down > sighted / 2);
        if (rule.kind !== 'count' && votes.length > 1) assert.ok(down >= 2);
      }),
      { numRuns: 1000 },
    );
  });

  test('of a share is rounded up, and is two wherever two are configured', () => {
    const size = (sighted: number, configured: number, share: number) =>
      quorumSize(sighted, configured, { kind: 'share', share });
    assert.deepEqual(
      [size(3, 3, 0.6), size(3, 3, 0.67), size(5, 5, 0.5), size(5, 5, 0.61), size(5, 5, 1)],
      [2, 3, 3, 4, 5],
    );
    assert.deepEqual(
      [size(1, 1, 0.1), size(0, 1, 1), size(1, 3, 0.1), size(7, 7, 0.01)],
      [1, 1, 2, 2],
    );
  });

  test('is never turned to `down` by one more group that says `up`', () => {
    fc.assert(
      fc.property(fc.array(verdict, { maxLength: 7 }), (votes) => {
        const rule = { kind: 'majority' } as const;
        if (quorum(votes, rule) === 'down') return;
        assert.notEqual(quorum([...votes, 'up'], rule), 'down');
      }),
    );
  });

  test('takes paths that share a domain as one vote, down only if all that see say so', () => {
    assert.equal(groupVote(['down', 'up']), 'up');
    assert.equal(groupVote(['down', 'unknown']), 'down');
    assert.equal(groupVote(['unknown', 'unknown']), 'unknown');
  });
});

describe('what everything unrelated loses around a failure', () => {
  const AT = 1_000_000;
  /** Of so many probes in the second around the failure so many fail. */
  function lotOf(failed: number, total = 10, at = AT): Lot {
    const lot = newLot();
    for (let i = 0; i < total; i++) {
      count(lot, at + (i / total - 0.5) * 1000, i < failed ? 'fail' : 'pass');
    }
    return lot;
  }
  function around(own: Lot, others: readonly Lot[]): number {
    return lostAround(new Map([own, ...others].map((lot, i) => [`cloud ${i}`, lot])), own, AT);
  }

  test('half of it lost in all other clouds is nearly that share, and never more', () => {
    const share = around(lotOf(10), [lotOf(50, 100), lotOf(50, 100)]);
    assert.ok(share > 0.4 && share <= 0.5, `${share}`);
    assert.equal(around(lotOf(0), [lotOf(50, 100), lotOf(50, 100)]), share);
  });

  test('what the own cloud loses is no part of it, be it everything', () => {
    assert.equal(around(lotOf(10), [lotOf(0), lotOf(0)]), 0);
    assert.equal(around(lotOf(10), []), 0, 'and where there is nothing else nothing is known');
  });

  test('an outage of one other cloud alone is no part of it', () => {
    assert.equal(around(lotOf(10), [lotOf(100, 100), lotOf(0)]), 0);
  });

  test('one failure alone tells nothing, nor does what failed at another time', () => {
    assert.equal(around(lotOf(10), [lotOf(1), lotOf(0)]), 0);
    for (const elsewhere of [AT - 30_000, AT + 30_000, AT - 64_000]) {
      assert.equal(around(lotOf(10), [lotOf(10, 10, elsewhere), lotOf(10, 10, elsewhere)]), 0);
    }
  });

  test('few probes that chance may have lost say less than many', () => {
    const few = around(lotOf(10), [lotOf(2, 4), lotOf(2, 4)]);
    const many = around(lotOf(10), [lotOf(20, 40), lotOf(20, 40)]);
    assert.ok(few < many && many < 0.5, `${few}, ${many}`);
  });

  test('a failure then proves as much less, and one that it explains proves nothing', () => {
    const [alone, shared] = [fresh(), fresh()];
    weigh(alone, seen('fail', 1), usual(0.01), 'up', 40, 0);
    weigh(shared, seen('fail', 1), usual(0.01), 'up', 40, 0, () => 0.5);
    assert.ok(Math.abs(alone.evidence - Math.log(FAIL_IF_DOWN / 0.01)) < 1e-9);
    assert.ok(Math.abs(shared.evidence - Math.log(FAIL_IF_DOWN / 0.5)) < 1e-9);
    weigh(shared, seen('fail', 2), usual(0.01), 'up', 40, 0, () => 1);
    assert.equal(shared.evidence, 0, 'what came before is looked at again as well');
  });
});

describe('the sight of a path', () => {
  const probe = fc.record({ at: fc.integer({ min: 0, max: 40 }), passed: fc.boolean() });
  const pasts = fc.array(
    fc.record({
      probes: fc.uniqueArray(probe, { maxLength: 12, selector: (p) => p.at }),
      pending: fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 3 }),
    }),
    { minLength: 1, maxLength: 4 },
  );

  function naiveLight(
    past: { probes: { at: number; passed: boolean }[]; pending: number[] }[],
    at: number,
  ) {
    let light: Light = 'dark';
    for (const { probes, pending } of past) {
      const before = probes.filter((p) => p.at <= at).sort((a, b) => b.at - a.at)[0];
      const after = probes.filter((p) => p.at >= at).sort((a, b) => a.at - b.at)[0];
      const isOpen = pending.some((p) => p >= at && p < (after?.at ?? 1e9)) || after === undefined;
      if (before === undefined || !before.passed) continue;
      if (!isOpen && after?.passed) return 'clear';
      if (isOpen) light = 'waiting';
    }
    return light;
  }

  test('agrees with a twin that sorts everything, in whatever order probes ended', () => {
    fc.assert(
      fc.property(pasts, fc.integer({ min: 0, max: 40 }), (past, at) => {
        const all = past.map(({ probes, pending }, i) => {
          const cs = { ...fresh(), pending, track: newTrack() };
          for (const p of probes) remember(cs.track, p.at, p.passed ? 'pass' : 'fail');
          return { cs, origin: `o${i}`, cloud: 'two' };
        });
        assert.equal(lightAt(all, 'a', at), naiveLight(past, at));
      }),
      { numRuns: 2000 },
    );
  });

  test('lets every failure count where nothing else could vouch for it', () => {
    assert.equal(lightAt([], 'a', 5), 'clear');
    const own = { cs: { ...fresh(), track: newTrack() }, origin: 'a', cloud: 'one' };
    assert.equal(lightAt([own], 'a', 5), 'clear');
    assert.equal(lightAt([own], 'b', 5), 'dark');
  });

  test('keeps enough of the past, and not more', () => {
    const track = newTrack();
    for (let i = 0; i < 5000; i++) remember(track, i, 'pass');
    assert.ok(track.beganAt.length >= 256 && track.beganAt.length <= 512);
    assert.equal(track.beganAt.at(-1), 4999);
    assert.equal(track.passed.length, track.beganAt.length);
  });
});

/** A world with a record on `a`, run until everything is up. */
function world(shape: Shape): World {
  const w = new World(coreConfig({ providers: ['cf'], paths: ['p1', 'p2', 'p3'], ...shape }));
  w.hold(WWW, 'a.shop.test.');
  w.start();
  w.advance(10_000);
  return w;
}

function switches(w: World): number {
  return w.journal.filter((j) => j.entry.kind === 'switch').length;
}

function calledDown(w: World): string[] {
  return w.journal
    .filter((j) => j.entry.kind === 'health' && / -> down:/.test(j.entry.sentence))
    .map((j) => `${j.at}: ${j.entry.sentence}`);
}

const detectors = {
  counters: { kind: 'counters' },
  sequential: { kind: 'sequential', falseSwitchEveryMs: TEN_YEARS_MS },
} as const;

describe('the whole core', () => {
  for (const [name, detector] of Object.entries(detectors)) {
    test(`with ${name}, no cut of our own uplink, of any length, looks like an outage`, () => {
      const w = world({ detector, origins: { a: { cloud: 'one' }, b: { cloud: 'two' } } });
      const next = chances(11);
      const paths = Object.keys(w.config.paths);
      for (let cut = 0; cut < 150; cut++) {
        const how = (['hang', 'fail', 'blind'] as const)[Math.floor(next() * 3)]!;
        for (const p of paths) w.paths.set(p, how);
        w.advance(Math.floor(50 + next() ** 2 * 8000));
        // They come back together, or one after the other.
        const apart = next() < 0.5 ? 0 : next() * 2000;
        for (const p of paths) {
          w.paths.delete(p);
          w.advance(Math.floor(next() * apart));
        }
        w.advance(Math.floor(next() * 9000));
      }
      assert.deepEqual(calledDown(w), []);
      assert.equal(switches(w), 0);
      w.advance(30_000);
      w.origins.set('a', 'fail');
      w.advance(5000);
      assert.equal(switches(w), 1, 'it still finds an outage afterwards');
    });

    test(`with ${name}, an outage that begins while the uplink is cut is found after it`, () => {
      const w = world({ detector });
      for (const p of Object.keys(w.config.paths)) w.paths.set(p, 'hang');
      w.advance(20_000);
      w.origins.set('a', 'fail');
      w.advance(20_000);
      assert.equal(switches(w), 0);
      for (const p of Object.keys(w.config.paths)) w.paths.delete(p);
      w.advance(20_000);
      assert.equal(switches(w), 1);
    });
  }

  test('finds an origin that fails half of its requests, and keeps it down while it does', () => {
    const w = world({ detector: detectors.sequential });
    w.advance(60_000);
    for (const how of ['loss=0.5', 'half'] as const satisfies readonly Manner[]) {
      w.origins.set('a', how);
      w.advance(10_000);
      assert.equal(w.state.origins.get('a')!.health, 'down', how);
      w.advance(600_000);
      assert.equal(w.state.origins.get('a')!.health, 'down', how);
      w.origins.set('a', 'pass');
      w.advance(30_000);
      assert.equal(w.state.origins.get('a')!.health, 'up');
    }
    assert.equal(calledDown(w).length, 2);
  });

  test('is not persuaded by one group alone, however long it fails, beside lossy ones', () => {
    const w = world({ detector: detectors.sequential });
    w.paths.set('p2', 'loss=0.05');
    w.paths.set('p3', 'loss=0.05');
    w.advance(120_000);
    w.checks.set('a/web@p1', 'fail');
    w.advance(1_800_000);
    assert.deepEqual(calledDown(w), []);
    assert.equal(w.state.clouds.get('one')!.diagnosis.word, 'paths-disagree');
  });

  test('calls an origin up again after the mirrored test and as many passes as `rise` wants', () => {
    const w = world({ detector: detectors.sequential, check: { rise: 12 } });
    w.advance(20_000);
    w.origins.set('a', 'fail');
    w.advance(10_000);
    assert.equal(w.state.origins.get('a')!.health, 'down');
    w.origins.set('a', 'pass');
    let steps = 0;
    while (w.state.origins.get('a')!.health !== 'up' && steps++ < 600) w.advance(50);
    const all = [...w.state.checks.values()].filter((cs) => cs.check === 'a/web');
    assert.equal(w.state.origins.get('a')!.health, 'up');
    assert.ok(all.filter((cs) => cs.passes >= 12).length >= 2, 'rise passes on a quorum');
  });
});
