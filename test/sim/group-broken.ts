// Groups that are broken on purpose, each at one seam, and the rule of the checkers that must see it: a
// clean run would prove nothing without them. Each begins at a seed whose world shows it soon.

import type { Telling } from '../../src/core/heard.ts';
import type { Coordinator, Eyes, LeaseEvent, Shared, SharedDoc } from '../../src/ports.ts';
import type { GroupSabotage } from './group-world.ts';

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

interface Broken {
  readonly what: string;
  readonly sabotage: GroupSabotage;
  readonly rule: string;
  readonly from: number;
}

export const broken: readonly Broken[] = [
  {
    what: 'two that hold themselves for the leader',
    sabotage: stubborn,
    rule: 'one-acts',
    from: 3,
  },
  {
    what: 'one that acts without a majority',
    sabotage: stubborn,
    rule: 'no-quorum-nobody-acts',
    from: 95,
  },
  {
    what: 'one that acts after a restoration',
    sabotage: stubborn,
    rule: 'restored-nobody-acts',
    from: 14,
  },
  {
    what: 'writes of one who was superseded',
    sabotage: { ...stubborn, isSecret: true },
    rule: 'superseded-writes-nothing',
    from: 28,
  },
  {
    what: 'commits that compare nothing',
    sabotage: careless,
    rule: 'only-the-holder-commits',
    from: 65,
  },
  { what: 'documents that are put back', sabotage: nostalgic, rule: 'epochs-grow', from: 29 },
  {
    what: 'freezes and drains that are lost',
    sabotage: careworn,
    rule: 'nothing-is-lost',
    from: 42,
  },
  { what: 'orders that are done twice', sabotage: stuttering, rule: 'order-once', from: 19 },
  {
    what: 'writes of what was never committed',
    sabotage: boastful,
    rule: 'committed-first',
    from: 2,
  },
  { what: 'replies to what was not done', sabotage: glib, rule: 'reply-is-so', from: 3 },
  {
    what: 'copies that are not what the group decided',
    sabotage: deaf,
    rule: 'all-know-the-same',
    from: 2,
  },
  {
    what: 'votes of a replica that vanished',
    sabotage: slanderous,
    rule: 'rule-6-sound-origin-never-down',
    from: 10,
  },
];
