// What a group of replicas over the Kubernetes API must keep to, whatever the API is: objects in
// virtual time, the strict stand-in over HTTPS, or a real kube-apiserver. At most one acts at any
// moment looked at, what is committed is committed once and known to all, and nobody acts on what
// should not be believed. A world gives the replicas, lets time pass, and does harm.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { GroupCoordinator } from '../../src/cluster/etcd.ts';
import type { KubeMemory } from '../../src/cluster/kube-office.ts';
import { createSeal } from '../../src/cluster/sealed.ts';
import type { Command, Json, Reply } from '../../src/core/model.ts';
import type { Batch, GroupWord, LeaseEvent, Outcome } from '../../src/ports.ts';
import type { Any } from './kube-objects.ts';

export const LEASE = 'detour';
export const SECRET = 'detour-documents';
export const KEY = 'k'.repeat(43);
/** For whom and where the documents are sealed. */
export const SCOPE = ['shop', 'kubernetes'];

export const batch = (docs: Readonly<Record<string, Json>>, done: Batch['done'] = []): Batch => ({
  docs: Object.entries(docs),
  entries: [],
  done,
});

/** What one replica is given besides the API: its clock, and the ways in which it is cut off. */
export interface Body {
  readonly name: string;
  readonly isAlive: boolean;
  readonly isPaused: boolean;
  now(): number;
  /** A new life. */
  boot(member: Member): GroupCoordinator;
  /** SIGKILL. */
  die(): void;
  cut(isCut: boolean): void;
  slow(ms: number): void;
  loseReplies(count: number): void;
  /** The wall clock, and with it the engine time of the next life. */
  stepWall(ms: number): void;
}

export interface World {
  readonly ttlMs: number;
  /** Between what is asked and what is seen, on a machine with other work to do. */
  readonly slackMs: number;
  body(name: string): Body;
  now(): number;
  /** Time passes, looked at every few milliseconds. */
  pass(ms: number, look: () => boolean): Promise<void>;
  /** A promise of a replica's may be settled now. */
  stir(): void;
  get(resource: string, name: string): Promise<Any>;
  /** As somebody else with all rights would; null: deletes it. */
  set(resource: string, name: string, edit: (object: Any) => Any): Promise<void>;
  close(): Promise<void>;
}

/** One daemon of the group: what it was told, and what it believes. */
export class Member {
  readonly body: Body;
  coordinator!: GroupCoordinator;
  events: LeaseEvent[] = [];
  docs = new Map<string, Json>();
  /** Of the lease it holds, as it was told; null: none. */
  term: number | null = null;
  word: GroupWord | null = null;
  sentence = '';
  memory: KubeMemory | null = null;
  keys: readonly string[] = [KEY];
  readonly trouble: string[] = [];

  constructor(body: Body) {
    this.body = body;
  }

  get name(): string {
    return this.body.name;
  }

  seal = () => createSeal(this.keys, SCOPE);

  start(): void {
    this.events = [];
    this.docs = new Map();
    this.term = null;
    this.word = null;
    this.coordinator = this.body.boot(this);
    this.coordinator.start((event) => this.#heard(event));
  }

  #heard(event: LeaseEvent): void {
    this.events.push(event);
    if (event.kind === 'held') this.term = event.term;
    if (event.kind === 'lost') this.term = null;
    if (event.kind === 'group') {
      this.word = event.word;
      this.sentence = event.sentence;
    }
    if (event.kind !== 'documents') return;
    if (event.whole) this.docs.clear();
    for (const [key, value] of event.docs) {
      if (value === null) this.docs.delete(key);
      else this.docs.set(key, value);
    }
  }

  /** Whether it would write at this very moment. */
  get mayAct(): boolean {
    return this.body.isAlive && this.coordinator.actsUntil() > this.body.now();
  }

  async commit(what: Batch): Promise<Outcome> {
    const outcome = await this.coordinator.shared.commit(what);
    if (outcome.kind !== 'committed') return outcome;
    for (const [key, value] of what.docs) {
      if (value === null) this.docs.delete(key);
      else this.docs.set(key, value);
    }
    return outcome;
  }
}

export class Group {
  readonly world: World;
  readonly members: Member[];
  /** How often more than one would have acted. */
  overlaps = 0;

  constructor(world: World, names: readonly string[] = ['a', 'b', 'c']) {
    this.world = world;
    this.members = names.map((name) => new Member(world.body(name)));
  }

  async pass(ms: number, isOver: () => boolean = () => false): Promise<void> {
    await this.world.pass(ms, () => {
      const acting = this.members.filter((one) => one.mayAct && !one.body.isPaused);
      if (acting.length > 1) this.overlaps++;
      return isOver();
    });
  }

  async until(holds: () => boolean, what: string, boundMs = 60_000): Promise<number> {
    const from = this.world.now();
    await this.pass(boundMs, holds);
    assert.ok(holds(), `${what}: ${this.says()}`);
    return this.world.now() - from;
  }

  async settle<T>(promise: Promise<T>, boundMs = 60_000): Promise<T> {
    let isOver = false;
    const done = promise.finally(() => {
      isOver = true;
    });
    this.world.stir();
    await this.until(() => isOver, 'it ends', boundMs);
    return done;
  }

  get actor(): Member | undefined {
    return this.members.find((one) => one.mayAct);
  }

  async elected(boundMs = 60_000): Promise<Member> {
    await this.until(() => this.actor !== undefined, 'somebody acts', boundMs);
    return this.actor!;
  }

  others(than: Member): readonly Member[] {
    return this.members.filter((one) => one !== than);
  }

  all(word: GroupWord | null): () => boolean {
    return () => this.members.every((one) => !one.body.isAlive || one.word === word);
  }

  says(): string {
    return this.members
      .map((one) => `${one.name}: ${one.term} ${one.word} ${JSON.stringify(one.events.at(-1))}`)
      .join('; ');
  }

  /** All that are alive hold the same documents, those that are given. */
  async agree(docs: Readonly<Record<string, Json>>): Promise<void> {
    const want = JSON.stringify(Object.entries(docs).sort());
    const has = (one: Member) => JSON.stringify([...one.docs].sort()) === want;
    const living = this.members.filter(({ body }) => body.isAlive);
    await this.until(() => living.every(has), `all have ${want}`, 20_000);
  }

  async stop(): Promise<void> {
    for (const one of this.members) if (one.body.isAlive) one.coordinator.close();
    await this.world.close();
  }
}

export const committed = { kind: 'committed' } as const;
export const yes: Reply = { exit: 0, message: 'done' };
export const unpin: Command = { kind: 'unpin', record: 'x.', by: 'me', dryRun: false };

/** Orders that were carried out. */
const carried = new WeakSet<LeaseEvent>();

/** Carries out what it is told to, as the controller will: counted. */
export async function carryOut(
  group: Group,
  counts: Map<string, number>,
  forMs: number,
  isOver: () => boolean = () => false,
): Promise<void> {
  await group.pass(forMs, () => {
    for (const one of group.members) {
      for (const event of one.events) {
        if (event.kind !== 'order' || carried.has(event) || !one.mayAct) continue;
        carried.add(event);
        const done = [{ id: event.id, reply: { ...yes, message: `by ${one.name}` } }];
        void one.commit(batch({}, done)).then((outcome) => {
          if (outcome.kind === 'committed') counts.set(event.id, (counts.get(event.id) ?? 0) + 1);
        });
      }
    }
    return isOver();
  });
}

export type MakeWorld = (seed: number) => Promise<World>;

/** A group of which one acts, for each seed in turn; stopped whatever happens. */
export function eachGroup(
  make: MakeWorld,
  seeds: readonly number[],
  body: (group: Group, leader: Member) => Promise<void>,
  isCalm = true,
): () => Promise<void> {
  return async () => {
    for (const seed of seeds) {
      const group = new Group(await make(seed));
      try {
        for (const one of group.members) one.start();
        const leader = await group.elected();
        await group.until(group.all(null), 'all are well');
        await body(group, leader);
        assert.equal(group.overlaps, 0, `seed ${seed}: more than one acted`);
        if (isCalm)
          assert.deepEqual(
            group.members.flatMap(({ trouble }) => trouble),
            [],
          );
      } finally {
        await group.stop();
      }
    }
  };
}

/** The suite itself, for an API by its name. */
export function conformance(
  of: string,
  make: MakeWorld,
  seeds: readonly number[],
  concurrency = 1,
): void {
  describe(of, { concurrency }, () => {
    const each = (what: string, body: (group: Group, leader: Member) => Promise<void>) =>
      test(what, eachGroup(make, seeds, body));
    acting(each);
    committing(each);
    doubting(each);
  });
}

type Each = (what: string, body: (group: Group, leader: Member) => Promise<void>) => void;

function acting(each: Each): void {
  each('one acts, the others hear what it commits, and terms grow', async (group, leader) => {
    const { ttlMs, slackMs } = group.world;
    const first = leader.term!;
    assert.deepEqual(await group.settle(leader.commit(batch({ 'epoch/x.': 1 }))), committed);
    await group.agree({ 'epoch/x.': 1 });
    leader.body.die();
    const tookMs = await group.until(() => group.actor !== undefined, 'the next one acts');
    assert.ok(tookMs <= ttlMs + 1500 + slackMs, `${tookMs} ms`);
    assert.ok(group.actor!.term! > first);
    const removal = batch({ 'epoch/x.': null, 'epoch/y.': 2 });
    assert.deepEqual(await group.settle(group.actor!.commit(removal)), committed);
    await group.agree({ 'epoch/y.': 2 });
  });

  each('every document of the head is told before the lease is', async (group, leader) => {
    await group.settle(leader.commit(batch({ 'epoch/x.': 1, 'epoch/y.': 2 })));
    for (const one of group.members) one.body.die();
    const late = new Member(group.world.body('d'));
    group.members.push(late);
    late.start();
    await group.until(() => late.term !== null, 'it is elected');
    const held = late.events.findIndex(({ kind }) => kind === 'held');
    const whole = late.events.findIndex((e) => e.kind === 'documents' && e.whole && e.number > 0);
    assert.ok(whole >= 0 && whole < held);
    assert.deepEqual([...late.docs.keys()].sort(), ['epoch/x.', 'epoch/y.']);
  });

  each(
    'one that is cut off stops before the next one begins, and says so',
    async (group, leader) => {
      const { ttlMs, slackMs } = group.world;
      leader.body.cut(true);
      const stopMs = await group.until(() => !leader.mayAct, 'it stops');
      assert.ok(stopMs <= ttlMs - 200, `within its lease, less the margin: ${stopMs} ms`);
      await group.until(() => leader.word === 'no-quorum', 'it says so');
      assert.match(leader.sentence, /does not answer/);
      const next = await group.elected(ttlMs + 1500 + slackMs);
      assert.notEqual(next, leader);
      leader.body.cut(false);
      await group.until(() => leader.word === null, 'it is well again');
      await group.pass(ttlMs);
      assert.equal(group.actor, next);
    },
  );

  each('a hand-over takes a few round trips, and goes to another', async (group, leader) => {
    const { slackMs } = group.world;
    const yielded = leader.coordinator.yield();
    assert.equal(leader.mayAct, false, 'it stops before it lets go');
    assert.equal(leader.events.at(-1)!.kind === 'lost' || leader.term === null, true);
    const tookMs = await group.until(() => group.actor !== undefined, 'another acts', 5000);
    await group.settle(yielded, 5000);
    assert.notEqual(group.actor, leader);
    assert.ok(tookMs < 200 + slackMs, `${tookMs} ms`);
  });

  each('a candidate that was closed is never elected', async (group, leader) => {
    const { ttlMs } = group.world;
    const [b, c] = group.others(leader) as [Member, Member];
    b.coordinator.close();
    leader.coordinator.close();
    await group.until(() => c.mayAct, 'the one that is left', 5000);
    c.body.die();
    await group.pass(ttlMs * 2);
    assert.equal(b.events.filter(({ kind }) => kind === 'held').length, 0);
    assert.equal(group.actor, undefined);
  });

  each('what its holder’s clock wrote is nothing to anybody', async (group, leader) => {
    const { ttlMs } = group.world;
    // A day behind, and ahead: a renewal is a change, whenever it says that it was.
    for (const step of [-86_400_000, 2 * 86_400_000]) {
      leader.body.stepWall(step);
      await group.pass(ttlMs * 2);
      assert.equal(group.actor, leader);
    }
  });
}

function committing(each: Each): void {
  each('a commit whose reply is lost is found to be made, once', async (group, leader) => {
    await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
    const { number } = leader.memory!;
    // Not its own renewal's.
    await group.pass(20);
    leader.body.loseReplies(1);
    const outcome = await group.settle(leader.commit(batch({ 'epoch/x.': 2 })));
    assert.deepEqual(outcome, committed);
    await group.agree({ 'epoch/x.': 2 });
    assert.ok(leader.memory!.number <= number + 2, 'once');
    assert.equal(group.actor, leader);
  });

  each('a commit that may or may not be made costs the right to act', async (group, leader) => {
    await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
    const going = leader.commit(batch({ 'epoch/x.': 2 }));
    await group.pass(3);
    leader.body.cut(true);
    const outcome = await group.settle(going);
    leader.body.cut(false);
    const next = await group.elected();
    const stands = next.docs.get('epoch/x.');
    if (outcome.kind === 'committed') assert.equal(stands, 2);
    else assert.equal(outcome.kind, 'deposed');
    await group.agree({ 'epoch/x.': stands! });
  });

  each('a deposed one cannot commit, whatever it believes', async (group, leader) => {
    await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
    const before = await group.world.get('secrets', SECRET);
    // Deaf and slow, it still believes; meanwhile another has taken the Lease and written its head.
    leader.body.cut(true);
    await group.world.set('leases', LEASE, freed);
    await group.until(() => group.others(leader).some((one) => one.mayAct), 'another acts', 5000);
    const next = group.others(leader).find((one) => one.mayAct)!;
    leader.body.cut(false);
    const outcome = await group.settle(leader.commit(batch({ 'epoch/x.': 666 })));
    assert.equal(outcome.kind, 'deposed');
    assert.deepEqual(await group.settle(next.commit(batch({ 'epoch/y.': 1 }))), committed);
    await group.agree({ 'epoch/x.': 1, 'epoch/y.': 1 });
    assert.notEqual(before.metadata.resourceVersion, undefined);
    // It is the harm of the test that both believed for a while.
    group.overlaps = 0;
  });

  each('what is too large is refused, and the right to act stays', async (group, leader) => {
    const many = Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`epoch/${i}.`, i]));
    assert.equal((await group.settle(leader.commit(batch(many)))).kind, 'refused');
    const large = { 'record/x.': 'x'.repeat(600_000) };
    assert.equal((await group.settle(leader.commit(batch(large)))).kind, 'refused');
    assert.equal(group.actor, leader);
    const most = Object.fromEntries(Object.entries(many).slice(0, 100));
    assert.deepEqual(await group.settle(leader.commit(batch(most))), committed);
    await group.agree(most);
  });

  each('an order to any replica is done once, and answered', async (group, leader) => {
    const [b, c] = group.others(leader) as [Member, Member];
    const counts = new Map<string, number>();
    const said = [b, b, c, leader].map((one) => one.coordinator.shared.say('id-1', unpin));
    let isOver = false;
    const all = Promise.all(said).finally(() => {
      isOver = true;
    });
    await carryOut(group, counts, 10_000, () => isOver);
    const replies = await group.settle(all);
    for (const reply of replies) assert.equal(reply.message, `by ${leader.name}`);
    const again = await group.settle(c.coordinator.shared.say('id-1', unpin));
    assert.equal(again.message, `by ${leader.name}`);
    assert.deepEqual([...counts], [['id-1', 1]]);
  });
}

/** As an operator, or another holder, would leave it. */
const freed = (lease: Any): Any => ({ ...lease, spec: { ...lease.spec, holderIdentity: '' } });

function doubting(each: Each): void {
  each(
    'documents that are put back are noticed, and nobody acts until told',
    async (group, leader) => {
      const { ttlMs } = group.world;
      await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
      const old = await group.world.get('secrets', SECRET);
      await group.settle(leader.commit(batch({ 'epoch/x.': 2 })));
      await group.agree({ 'epoch/x.': 2 });
      const { term, number } = leader.memory!;
      await group.world.set('secrets', SECRET, (now) => ({ ...now, data: old.data }));
      await group.until(group.all('restored'), 'all notice', ttlMs * 2);
      await group.pass(ttlMs * 2);
      assert.equal(group.actor, undefined);
      for (const one of group.members) assert.equal(one.docs.get('epoch/x.'), 2);
      const [b] = group.others(leader) as [Member, Member];
      const reply = await group.settle(b.coordinator.shared.restore(Object.fromEntries(b.docs)));
      assert.equal(reply.exit, 0, reply.message);
      const next = await group.elected();
      assert.ok(next.term! > term && next.memory!.number > number);
      await group.until(group.all(null), 'all are well');
      await group.agree({ 'epoch/x.': 2 });
      const twice = await group.settle(b.coordinator.shared.restore({}));
      assert.equal(twice.exit, 2);
    },
  );

  each('a Lease that was made anew stops everybody until told', async (group, leader) => {
    const { ttlMs } = group.world;
    await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
    await group.agree({ 'epoch/x.': 1 });
    const { term } = leader.memory!;
    await group.world.set('leases', LEASE, () => null);
    await group.until(group.all('restored'), 'all notice', ttlMs * 2);
    assert.equal(group.actor, undefined);
    // Its transitions say nothing: it is another Lease.
    const spec = { leaseTransitions: 50 };
    await group.world.set('leases', LEASE, (lease) => ({ ...lease, spec }));
    await group.pass(ttlMs * 2);
    assert.equal(group.actor, undefined);
    assert.ok(group.all('restored')());
    const reply = await group.settle(leader.coordinator.shared.restore({ 'epoch/x.': 1 }));
    assert.equal(reply.exit, 0, reply.message);
    const next = await group.elected();
    assert.ok(next.term! > term);
    await group.agree({ 'epoch/x.': 1 });
  });

  each('documents that no key of ours has sealed are told to nobody', async (group, leader) => {
    const { ttlMs } = group.world;
    await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
    await group.agree({ 'epoch/x.': 1 });
    const told = group.members.map(({ events }) => events.length);
    const shelf = Buffer.from('{"epoch/x.":666}').toString('base64');
    await group.world.set('secrets', SECRET, (now) => ({ ...now, data: { ...now.data, shelf } }));
    await group.until(group.all('forged'), 'all notice', ttlMs * 2);
    await group.pass(ttlMs * 2);
    assert.equal(group.actor, undefined);
    group.members.forEach((one, i) => {
      assert.ok(!one.events.slice(told[i]).some(({ kind }) => kind === 'documents'));
    });
    const docs = Object.fromEntries(leader.docs);
    const reply = await group.settle(leader.coordinator.shared.restore(docs));
    assert.equal(reply.exit, 0, reply.message);
    await group.elected();
    await group.agree({ 'epoch/x.': 1 });
  });
}
