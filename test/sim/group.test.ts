// The simulated group, a dose of it: several real controllers over the real coordinator and a simulated
// etcd keep every rule; the seeds that once failed are clean; the same seed gives the same journals; and
// a group that is broken on purpose is caught, or a clean run would prove nothing. `npm run sim --
// --group` runs as many as one likes.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Telling } from '../../src/core/heard.ts';
import type { Coordinator, Eyes, LeaseEvent, Shared, SharedDoc } from '../../src/ports.ts';
import { type GroupSabotage, runGroup } from './group-world.ts';
import { failureText, keptSeeds, Tally } from './main.ts';

/** About 0.3 s each on an idle core. */
const SEEDS = 60;

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

type Tell = (event: LeaseEvent) => void;

function telling(real: Coordinator, change: (tell: Tell) => Tell): Coordinator {
  return {
    start: (tell) => real.start(change(tell)),
    actsUntil: () => real.actsUntil(),
    yield: () => real.yield(),
    shared: real.shared,
    close: () => real.close(),
  };
}

function sharing(real: Coordinator, change: (shared: Shared) => Partial<Shared>): Coordinator {
  const shared = real.shared!;
  const kept: Shared = {
    commit: (batch) => shared.commit(batch),
    say: (id, command) => shared.say(id, command),
    restore: (docs) => shared.restore(docs),
  };
  return { ...telling(real, (tell) => tell), shared: { ...kept, ...change(shared) } };
}

/** Whoever once held the lease goes on as if it were for ever. */
const stubborn: GroupSabotage = {
  coordinator: (real, { process }) => {
    let held = false;
    const made = telling(real, (tell) => (event) => {
      held ||= event.kind === 'held';
      if (!held || (event.kind !== 'lost' && event.kind !== 'group')) tell(event);
    });
    return { ...made, actsUntil: () => (held ? process.now() + 10_000 : 0) };
  },
};

/** No commit asks whether the lease and the head are still what they were. */
const careless: GroupSabotage = {
  gateway: (real) => ({
    ...real,
    txn: (txn, ms) => {
      const isCommit = txn.success.some((op) => op.kind === 'put' && op.key.endsWith('/head'));
      return real.txn(isCommit ? { ...txn, compare: [] } : txn, ms);
    },
  }),
};

/** Documents that were long replaced are written again. */
const nostalgic: GroupSabotage = {
  coordinator: (real) => {
    const first = new Map<string, SharedDoc[1]>();
    return sharing(real, (shared) => ({
      commit: (batch) => {
        const docs = batch.docs.map(([key, value]): SharedDoc => {
          if (!first.has(key)) first.set(key, value);
          return [key, first.get(key)!];
        });
        return shared.commit({ ...batch, docs });
      },
    }));
  },
};

/** Whoever acts loses every freeze and drain there is. */
const careworn: GroupSabotage = {
  coordinator: (real) => {
    const held = new Set<string>();
    return sharing(real, (shared) => ({
      commit: (batch) => {
        const lost = [...held].map((key): SharedDoc => [key, null]);
        held.clear();
        for (const [key, value] of batch.docs) {
          if (value !== null && (key === 'freeze' || key.startsWith('drain/'))) held.add(key);
        }
        const own = new Set(batch.docs.map(([key]) => key));
        return shared.commit({
          ...batch,
          docs: [...batch.docs, ...lost.filter(([key]) => !own.has(key))],
        });
      },
    }));
  },
};

/** Every order is told twice, the second time as another. */
const stuttering: GroupSabotage = {
  coordinator: (real) =>
    telling(real, (tell) => (event) => {
      tell(event);
      if (event.kind === 'order') tell({ ...event, id: `${event.id}-again` });
    }),
};

/** Every commit is said to be made, and none is. */
const boastful: GroupSabotage = {
  coordinator: (real) => sharing(real, () => ({ commit: async () => ({ kind: 'committed' }) })),
};

/** Every order is answered at once, and said to nobody. */
const glib: GroupSabotage = {
  coordinator: (real) => sharing(real, () => ({ say: async () => ({ exit: 0, message: 'done' }) })),
};

/** What the group decides reaches nobody but whoever decided it. */
const deaf: GroupSabotage = {
  coordinator: (real) =>
    telling(real, (tell) => (event) => {
      if (event.kind !== 'documents' || event.whole) tell(event);
    }),
};

/** A replica that vanishes has said last that all is down. */
const slanderous: GroupSabotage = {
  eyes: (real) => ({ ...plain(real), start: (tell) => real.start(slandered(tell)) }),
};

function plain(real: Eyes): Eyes {
  return {
    start: (tell) => real.start(tell),
    changed: () => real.changed(),
    call: (checks, why) => real.call(checks, why),
    close: () => real.close(),
  };
}

function slandered(tell: Parameters<Eyes['start']>[0]): Parameters<Eyes['start']>[0] {
  const last = new Map<string, { readonly telling: Telling; readonly saidAt: number }>();
  return (event) => {
    if (event.kind === 'heard') {
      const { replica } = event.telling;
      const before = last.get(replica)?.telling.sightings ?? [];
      const all = new Map([...before, ...event.telling.sightings].map((s) => [keyOf(s), s]));
      const sightings = [...all.values()];
      last.set(replica, { ...event, telling: { ...event.telling, sightings } });
    }
    const said = event.kind === 'unheard' ? last.get(event.replica) : undefined;
    if (said === undefined) return tell(event);
    const sightings = said.telling.sightings.map((s) => ({
      ...s,
      ...{ verdict: 'down' as const, evidence: 60, recovery: 0, fails: 9, passes: 0 },
      ...{ outcome: 'fail' as const, heardAgeMs: 0, failAgeMs: 0 },
    }));
    tell({ kind: 'heard', telling: { ...said.telling, sightings }, saidAt: Number.MAX_VALUE });
  };
}

function keyOf({ check, path }: { readonly check: string; readonly path: string }): string {
  return `${check}@${path}`;
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
    for (const seed of [1, 7, 19]) {
      const [once, again] = [await runGroup(seed), await runGroup(seed)];
      assert.deepEqual(again, once);
      hashes.add(once.hash);
    }
    assert.equal(hashes.size, 3);
  });

  for (const [what, sabotage, rule, from] of [
    ['two that hold themselves for the leader', stubborn, 'one-acts', 1],
    ['one that acts without a majority', stubborn, 'no-quorum-nobody-acts', 1],
    ['one that acts after a restoration', stubborn, 'restored-nobody-acts', 1],
    ['writes of one who was superseded', stubborn, 'superseded-writes-nothing', 1],
    ['commits that compare nothing', careless, 'only-the-holder-commits', 1],
    ['documents that are put back', nostalgic, 'epochs-grow', 1],
    ['freezes and drains that are lost', careworn, 'nothing-is-lost', 1],
    ['orders that are done twice', stuttering, 'order-once', 1],
    ['writes of what was never committed', boastful, 'committed-first', 1],
    ['replies to what was not done', glib, 'reply-is-so', 1],
    ['copies that are not what the group decided', deaf, 'all-know-the-same', 1],
    ['votes of a replica that vanished', slanderous, 'rule-6-sound-origin-never-down', 1],
  ] as const) {
    test(`${what} are caught by ${rule}`, async () => {
      const rules = await caughtBy(sabotage, rule, from);
      assert.ok(rules.includes(rule), `caught by: ${[...new Set(rules)].join(', ')}`);
    });
  }
});
