// A group's coordinator over an etcd: at most one acts, what is committed is committed once and known
// to all, and whatever happens to the engine, nobody acts on what it should not. Three replicas live in
// virtual time over the simulated etcd, looked at every few milliseconds; a shorter suite has them over
// a real one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createEtcdCoordinator,
  type GroupCoordinator,
  type Memory,
} from '../../src/cluster/etcd.ts';
import type { Gateway } from '../../src/cluster/gateway.ts';
import { createSeal } from '../../src/cluster/sealed.ts';
import type { Command, Json, Reply } from '../../src/core/model.ts';
import type { Batch, GroupWord, LeaseEvent, Outcome } from '../../src/ports.ts';
import { type Link, SimEtcd } from '../parts/sim-etcd.ts';
import { Chance } from '../sim/chance.ts';
import { Process, Timeline } from '../sim/clock.ts';

const TTL_MS = 5000;
const KEY = 'k'.repeat(43);
const prefix = 'detour/shop/';
const LOOK_MS = 5;

const batch = (docs: Readonly<Record<string, Json>>, done: Batch['done'] = []): Batch => ({
  docs: Object.entries(docs),
  entries: [],
  done,
});

/** One daemon of the group: what it was told, and what it believes. */
class Replica {
  readonly process: Process;
  link: Link;
  coordinator!: GroupCoordinator;
  events: LeaseEvent[] = [];
  docs = new Map<string, Json>();
  /** Of the lease it holds, as it was told; null: none. */
  term: number | null = null;
  word: GroupWord | null = null;
  number = 0;
  memory: Memory | null = null;
  /** Its disk takes nothing. */
  isForgetful = false;
  keys: readonly string[] = [KEY];
  trouble: string[] = [];
  /** What a suspended machine's timers have not seen yet. */
  aheadMs = 0;
  /** Keep-alives are answered in this election of etcd's, and never reach it. */
  staleTerm: number | null = null;
  readonly #group: Group;

  constructor(group: Group, name: string) {
    this.#group = group;
    this.process = new Process(name, group.timeline, group.chance);
    this.link = group.etcd.link();
  }

  get name(): string {
    return this.process.name;
  }

  start(lastAt = 0): void {
    this.process.boot(lastAt);
    this.events = [];
    this.docs = new Map();
    this.term = null;
    this.word = null;
    const { timeline, etcd } = this.#group;
    let ids = 0;
    const life = this.process.life;
    this.coordinator = createEtcdCoordinator({
      gateway: this.#stale(etcd.gateway(this.process, this.link)),
      clock: this.process.clock(),
      elapsed: () => timeline.now + this.aheadMs,
      replica: this.name,
      prefix,
      ttlMs: TTL_MS,
      seal: () => createSeal(this.keys, ['shop']),
      memory: {
        load: () => this.memory,
        save: (memory) => {
          if (!this.isForgetful) this.memory = memory;
          return !this.isForgetful;
        },
      },
      id: () => `${this.name}-${life}-${++ids}`,
      trouble: (sentence) => void this.trouble.push(sentence),
    });
    this.coordinator.start((event) => this.#heard(event));
  }

  #stale(gateway: Gateway): Gateway {
    const keepAlive: Gateway['keepAlive'] = async (id, ms) => {
      if (this.staleTerm === null) return gateway.keepAlive(id, ms);
      const { clusterId } = this.#group.etcd;
      const header = { clusterId, revision: 1, raftTerm: this.staleTerm };
      return { ok: true, value: { ttlMs: TTL_MS }, header };
    };
    return { ...gateway, keepAlive };
  }

  #heard(event: LeaseEvent): void {
    this.events.push(event);
    if (event.kind === 'held') this.term = event.term;
    if (event.kind === 'lost') this.term = null;
    if (event.kind === 'group') this.word = event.word;
    if (event.kind !== 'documents') return;
    if (event.whole) this.docs.clear();
    this.number = event.number;
    for (const [key, value] of event.docs) {
      if (value === null) this.docs.delete(key);
      else this.docs.set(key, value);
    }
  }

  /** Whether it would write at this very moment. */
  get mayAct(): boolean {
    return this.process.alive && this.coordinator.actsUntil() > this.process.now();
  }

  commit(what: Batch): Promise<Outcome> {
    return this.coordinator.shared.commit(what).then((outcome) => {
      if (outcome.kind !== 'committed') return outcome;
      for (const [key, value] of what.docs) {
        if (value === null) this.docs.delete(key);
        else this.docs.set(key, value);
      }
      return outcome;
    });
  }
}

class Group {
  readonly timeline = new Timeline();
  readonly chance: Chance;
  readonly etcd: SimEtcd;
  readonly replicas: Replica[];
  /** Orders that were carried out. */
  readonly ordered = new Set<LeaseEvent>();
  /** How often more than one would have acted. */
  overlaps = 0;

  constructor(seed = 1, names: readonly string[] = ['a', 'b', 'c']) {
    this.chance = new Chance(seed);
    const random = () => this.chance.next();
    this.etcd = new SimEtcd({ timeline: this.timeline, random });
    this.replicas = names.map((name) => new Replica(this, name));
  }

  async run(ms: number, isOver: () => boolean = () => false): Promise<void> {
    const until = this.timeline.now + ms;
    while (this.timeline.now < until && !isOver()) {
      await this.timeline.run(
        Math.min(until, this.timeline.now + LOOK_MS),
        () => {},
        () => false,
      );
      const acting = this.replicas.filter((one) => one.mayAct && !one.process.isPaused);
      if (acting.length > 1) this.overlaps++;
    }
  }

  async until(holds: () => boolean, what: string, boundMs = 60_000): Promise<number> {
    const from = this.timeline.now;
    await this.run(boundMs, holds);
    assert.ok(holds(), `${what}: ${this.says()}`);
    return this.timeline.now - from;
  }

  async settle<T>(promise: Promise<T>, boundMs = 60_000): Promise<T> {
    let isOver = false;
    const done = promise.finally(() => {
      isOver = true;
    });
    this.timeline.stirred = true;
    await this.until(() => isOver, 'it ends', boundMs);
    return done;
  }

  get actor(): Replica | undefined {
    return this.replicas.find((one) => one.mayAct);
  }

  async elected(boundMs = 60_000): Promise<Replica> {
    await this.until(() => this.actor !== undefined, 'somebody acts', boundMs);
    return this.actor!;
  }

  others(than: Replica): readonly Replica[] {
    return this.replicas.filter((one) => one !== than);
  }

  says(): string {
    return this.replicas
      .map((one) => `${one.name}: ${one.term} ${one.word} ${JSON.stringify(one.events.at(-1))}`)
      .join('; ');
  }

  /** All that are alive hold the same documents, those that are given. */
  async agree(docs: Readonly<Record<string, Json>>): Promise<void> {
    const want = JSON.stringify(Object.entries(docs).sort());
    const has = (one: Replica) => JSON.stringify([...one.docs].sort()) === want;
    const living = this.replicas.filter(({ process }) => process.alive);
    await this.until(() => living.every(has), `all have ${want}`, 20_000);
  }
}

async function started(seed = 1): Promise<{ group: Group; leader: Replica }> {
  const group = new Group(seed);
  for (const one of group.replicas) one.start();
  const leader = await group.elected();
  return { group, leader };
}

const committed = { kind: 'committed' } as const;
const seeds = [1, 2, 3, 4, 5, 6, 7, 8];

// ---------------------------------------------------------------- one acts

test('one of three acts, the others hear what it commits, and terms grow', async () => {
  for (const seed of seeds) {
    const { group, leader } = await started(seed);
    const first = leader.term!;
    assert.deepEqual(await group.settle(leader.commit(batch({ 'epoch/x.': 1 }))), committed);
    await group.agree({ 'epoch/x.': 1 });
    leader.process.die();
    const tookMs = await group.until(() => group.actor !== undefined, 'the next one acts');
    assert.ok(tookMs <= TTL_MS + 1500, `${tookMs} ms`);
    assert.ok(group.actor!.term! > first);
    const removal = batch({ 'epoch/x.': null, 'epoch/y.': 2 });
    assert.deepEqual(await group.settle(group.actor!.commit(removal)), committed);
    await group.agree({ 'epoch/y.': 2 });
    assert.equal(group.overlaps, 0);
  }
});

test('every document of the head is told before the lease is', async () => {
  const { group, leader } = await started();
  await group.settle(leader.commit(batch({ 'epoch/x.': 1, 'epoch/y.': 2 })));
  leader.process.die();
  const late = new Replica(group, 'd');
  group.replicas.push(late);
  for (const one of group.others(leader)) if (one !== late) one.process.die();
  late.start();
  await group.until(() => late.term !== null, 'it is elected');
  const held = late.events.findIndex(({ kind }) => kind === 'held');
  const whole = late.events.findIndex((e) => e.kind === 'documents' && e.whole && e.number > 0);
  assert.ok(whole >= 0 && whole < held);
  assert.deepEqual([...late.docs.keys()].sort(), ['epoch/x.', 'epoch/y.']);
});

test('a leader that is cut off stops before the next one begins', async () => {
  for (const seed of seeds) {
    const { group, leader } = await started(seed);
    for (const member of [0, 1, 2]) leader.link.cut.add(member);
    const cutAt = group.timeline.now;
    await group.until(() => !leader.mayAct, 'it stops');
    assert.ok(group.timeline.now - cutAt <= TTL_MS - 500, 'within its lease, less the margin');
    const next = await group.elected();
    assert.notEqual(next, leader);
    assert.ok(group.timeline.now - cutAt <= TTL_MS + 1500);
    await group.until(() => leader.word === 'no-quorum', 'it says so');
    leader.link.cut.clear();
    await group.run(10_000);
    assert.equal(group.overlaps, 0);
    assert.equal(leader.word, null);
  }
});

test('the right to act counts from when the keep-alive was sent', async () => {
  for (const seed of seeds) {
    const { group, leader } = await started(seed);
    // Replies take so long that what was sent is old when it is answered.
    leader.link.replyDelayMs = 1900;
    await group.run(3000);
    const before = leader.coordinator.actsUntil();
    await group.until(() => leader.coordinator.actsUntil() > before, 'it is renewed once more');
    const leftMs = leader.coordinator.actsUntil() - leader.process.now();
    assert.ok(leftMs <= TTL_MS - 1900, `${leftMs} ms are left of what was sent so long ago`);
    for (const member of [0, 1, 2]) leader.link.cut.add(member);
    await group.run(20_000);
    assert.equal(group.overlaps, 0, `seed ${seed}`);
    assert.notEqual(group.actor, undefined);
  }
});

test('a process that stood still, or a machine that slept, finds itself without the right', async () => {
  for (const isAsleep of [false, true]) {
    for (const seed of seeds) {
      const { group, leader } = await started(seed);
      leader.process.pause(6000 + seed * 500, isAsleep);
      await group.run(5900);
      assert.equal(leader.mayAct, false, 'before it runs a line');
      await group.run(10_000);
      assert.equal(group.overlaps, 0);
      assert.notEqual(await group.elected(), leader);
    }
  }
});

test('a wall clock that is stepped moves nothing', async () => {
  const { group, leader } = await started();
  for (const step of [3_600_000, -7_200_000]) {
    leader.process.wallOffMs += step;
    await group.run(10_000);
    assert.equal(group.actor, leader);
  }
  assert.equal(group.overlaps, 0);
});

test('one whose key is deleted gives up at once, and another takes it without waiting', async () => {
  for (const seed of seeds) {
    const { group, leader } = await started(seed);
    group.etcd.delete(`${prefix}lease`);
    await group.until(() => !leader.mayAct, 'it gives up', 100);
    await group.until(() => group.actor !== undefined, 'somebody acts', 500);
    assert.equal(group.overlaps, 0);
  }
});

test('a lease that an etcd of an earlier time does not know is not gone: nobody acts beside its holder', async () => {
  for (const seed of seeds) {
    const { group, leader } = await started(seed);
    for (const member of group.etcd.members.keys()) leader.link.cut.add(member);
    await group.run(300);
    group.etcd.delete(`${prefix}lease`);
    const isNext = () => group.etcd.peek(`${prefix}lease`) !== null;
    await group.until(isNext, 'the next has the key', 500);
    assert.equal(leader.mayAct, true, 'it cannot know yet');
    await group.run(20);
    group.etcd.empty(group.etcd.clusterId);
    await group.run(20_000);
    assert.equal(group.overlaps, 0);
    for (const one of group.others(leader)) assert.equal(one.mayAct, false);
  }
});

test('a hand-over takes a few round trips, and goes to another', async () => {
  for (const seed of seeds) {
    const { group, leader } = await started(seed);
    const since = group.timeline.now;
    const yielded = leader.coordinator.yield();
    assert.equal(leader.mayAct, false, 'it stops before it lets go');
    await group.settle(yielded, 1000);
    await group.until(() => group.actor !== undefined, 'another acts', 500);
    assert.notEqual(group.actor, leader);
    assert.ok(group.timeline.now - since < 200, `${group.timeline.now - since} ms`);
    assert.equal(group.overlaps, 0);
  }
});

test('a candidate that was closed is never elected', async () => {
  const { group, leader } = await started();
  const [b, c] = group.others(leader) as [Replica, Replica];
  b.coordinator.close();
  await group.run(1000);
  leader.coordinator.close();
  await group.until(() => c.mayAct, 'the one that is left', 1000);
  c.process.die();
  await group.run(20_000);
  assert.equal(b.events.filter(({ kind }) => kind === 'held').length, 0);
  assert.equal(group.etcd.peek(`${prefix}lease`), null);
});

test('members of etcd that stand still, are cut off or die cost at most elections', async () => {
  for (const seed of seeds) {
    const { group } = await started(seed);
    for (const harm of ['pause', 'isolate', 'kill'] as const) {
      const member = group.etcd.leader;
      group.etcd[harm](member, true);
      await group.run(500);
      // A lease and etcd's own election; then two commits.
      await group.elected(TTL_MS + 4000);
      await group.run(8000);
      group.etcd[harm](member, false);
      await group.run(3000);
      await group.elected();
    }
    assert.equal(group.overlaps, 0);
  }
});

test('a leader of etcd that was deposed and does not know it renews nothing', async () => {
  for (const seed of seeds) {
    const { group, leader } = await started(seed);
    const member = group.etcd.leader;
    // It is all that this replica reaches, and it still answers.
    for (const other of [0, 1, 2]) if (other !== member) leader.link.cut.add(other);
    await group.run(2000);
    group.etcd.isolate(member, true);
    const next = () => group.actor !== undefined && group.actor !== leader;
    await group.until(next, 'another acts', 30_000);
    await group.run(10_000);
    assert.equal(group.overlaps, 0, `seed ${seed}`);
  }
});

test('a renewal by one who did not lead etcd when it was looked at counts for nothing', async () => {
  for (const seed of seeds) {
    const { group, leader } = await started(seed);
    // As a deposed leader of etcd answers that does not know it: nobody else hears of it.
    leader.staleTerm = 1;
    await group.run(4000);
    for (const member of [0, 1, 2]) leader.link.cut.add(member);
    await group.until(() => group.actor !== undefined && group.actor !== leader, 'another acts');
    await group.run(10_000);
    assert.equal(group.overlaps, 0, `seed ${seed}`);
  }
});

test('without a majority nobody acts, all say so, and it comes back', async () => {
  const { group, leader } = await started();
  await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
  group.etcd.kill(0, true);
  group.etcd.kill(1, true);
  await group.until(() => group.replicas.every((one) => one.word === 'no-quorum'), 'all say so');
  assert.equal(group.actor, undefined);
  group.etcd.kill(0, false);
  await group.elected();
  await group.until(() => group.replicas.every((one) => one.word === null), 'all are well');
  await group.agree({ 'epoch/x.': 1 });
  assert.equal(group.overlaps, 0);
});

// ---------------------------------------------------------------- commits

test('a commit whose reply is lost is found to be made, once', async () => {
  for (const seed of seeds) {
    const { group, leader } = await started(seed);
    await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
    const { number } = leader.memory!;
    // The watch says nothing either: only what is read back tells.
    leader.link.isDeaf = true;
    leader.link.loseReplies = 1;
    const outcome = await group.settle(leader.commit(batch({ 'epoch/x.': 2 })));
    assert.deepEqual(outcome, committed);
    leader.link.isDeaf = false;
    await group.agree({ 'epoch/x.': 2 });
    assert.equal(leader.memory!.number, number + 1);
    assert.equal(group.actor, leader);
  }
});

test('a commit that may or may not be made costs the right to act, and all agree in the end', async () => {
  for (const seed of seeds) {
    const { group, leader } = await started(seed);
    await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
    const going = leader.commit(batch({ 'epoch/x.': 2 }));
    await group.run(LOOK_MS);
    for (const member of [0, 1, 2]) leader.link.cut.add(member);
    const outcome = await group.settle(going);
    const stands = () => JSON.stringify([...group.others(leader)[0]!.docs]);
    leader.link.cut.clear();
    if (outcome.kind === 'committed') assert.equal(stands(), '[["epoch/x.",2]]');
    await group.elected();
    await group.run(5000);
    await group.agree(Object.fromEntries(group.others(leader)[0]!.docs));
    assert.equal(group.overlaps, 0);
  }
});

test('whoever is told that it may not commit has let go, though its lease is renewed just then', async () => {
  const { group, leader } = await started();
  await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
  leader.aheadMs = TTL_MS;
  const outcome = await leader.commit(batch({ 'epoch/x.': 2 }));
  leader.aheadMs = 0;
  assert.equal(outcome.kind, 'deposed');
  assert.equal(leader.term, null, 'it was told so');
  await group.elected();
  assert.notEqual(group.actor!.term, null, 'whoever acts was told so');
  await group.agree({ 'epoch/x.': 1 });
});

test('an outcome that is not known is never taken for a good one', async () => {
  const { group, leader } = await started();
  await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
  for (const member of [0, 1, 2]) leader.link.cut.add(member);
  const outcome = await group.settle(leader.commit(batch({ 'epoch/x.': 2 })));
  assert.equal(outcome.kind, 'deposed');
  assert.equal(leader.mayAct, false);
  leader.link.cut.clear();
  await group.elected();
  await group.agree({ 'epoch/x.': 1 });
});

test('a commit that is never answered, while the lease is renewed, costs the right to act', async () => {
  const { group, leader } = await started();
  await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
  leader.link.dropsWrites = true;
  const going = leader.commit(batch({ 'epoch/x.': 2 }));
  await group.run(9000);
  assert.equal(group.actor, leader, 'it is still waiting');
  assert.equal((await group.settle(going, 2000)).kind, 'deposed');
  assert.equal(leader.mayAct, false);
  leader.link.dropsWrites = false;
  await group.elected();
  await group.run(3000);
  await group.agree({ 'epoch/x.': 1 });
  assert.equal(group.overlaps, 0);
});

test('commits of two seconds are made, and the next one acts three of them later', async () => {
  for (const seed of seeds) {
    const { group, leader } = await started(seed);
    group.etcd.slowMs = 2000;
    const outcome = await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
    assert.deepEqual(outcome, committed);
    await group.run(20_000);
    assert.equal(group.actor, leader);
    leader.process.die();
    const tookMs = await group.until(() => group.actor !== undefined, 'the next one acts');
    assert.ok(tookMs <= TTL_MS + 1500 + 3 * 2000, `${tookMs} ms`);
    await group.agree({ 'epoch/x.': 1 });
    assert.equal(group.overlaps, 0);
  }
});

test('an engine that takes two seconds for every answer still has one who acts', async () => {
  for (const seed of seeds) {
    const { group, leader } = await started(seed);
    for (const { link } of group.replicas) link.delayMs = 1000;
    await group.run(30_000);
    assert.equal(group.actor, leader, group.says());
    const outcome = await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
    assert.deepEqual(outcome, committed);
    // All have lost it, and begin from nothing.
    for (const one of group.replicas) one.process.die();
    for (const one of group.replicas) one.start();
    const tookMs = await group.until(() => group.actor !== undefined, 'the next one acts');
    assert.ok(tookMs <= TTL_MS + 1500 + 4 * 2000, `${tookMs} ms`);
    await group.agree({ 'epoch/x.': 1 });
    assert.equal(group.overlaps, 0);
  }
});

test('a deposed one cannot commit, whatever it believes', async () => {
  for (const seed of seeds) {
    const { group, leader } = await started(seed);
    await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
    // It hears of nothing: neither the watch nor a look has told it.
    leader.link.delayMs = 700;
    await group.run(3000);
    const going = leader.commit(batch({ 'epoch/x.': 666 }));
    group.etcd.delete(`${prefix}lease`);
    const outcome = await group.settle(going);
    assert.equal(outcome.kind, 'deposed');
    await group.elected();
    await group.run(3000);
    await group.agree({ 'epoch/x.': 1 });
    assert.equal(group.overlaps, 0);
  }
});

test('one whose key is gone commits nothing, though nobody else has come', async () => {
  const { group, leader } = await started();
  await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
  for (const one of group.others(leader)) one.process.die();
  leader.link.delayMs = 300;
  const going = leader.commit(batch({ 'epoch/x.': 666 }));
  group.etcd.delete(`${prefix}lease`);
  assert.equal((await group.settle(going)).kind, 'deposed');
  leader.link.delayMs = 0;
  await group.elected();
  await group.run(3000);
  await group.agree({ 'epoch/x.': 1 });
});

test('a head that another wrote under our lease is not overwritten', async () => {
  const { group, leader } = await started();
  await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
  leader.link.delayMs = 300;
  const going = leader.commit(batch({ 'epoch/x.': 2 }));
  group.etcd.put(`${prefix}head`, group.etcd.peek(`${prefix}head`)!);
  assert.equal((await group.settle(going)).kind, 'deposed');
});

test('the key of another’s lease is not ours, though it was made at the same revision', async () => {
  const { group, leader } = await started();
  await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
  leader.link.delayMs = 300;
  const going = leader.commit(batch({ 'epoch/x.': 2 }));
  // As in an engine that was put back: only what the key says is another.
  group.etcd.put(`${prefix}lease`, '{"replica":"n9"}');
  assert.equal((await group.settle(going)).kind, 'deposed');
  assert.equal(leader.mayAct, false);
});

test('what is too large is refused, and the right to act stays', async () => {
  const { group, leader } = await started();
  const many = Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`epoch/${i}.`, i]));
  assert.equal((await group.settle(leader.commit(batch(many)))).kind, 'refused');
  const large = { 'record/x.': 'x'.repeat(600_000) };
  assert.equal((await group.settle(leader.commit(batch(large)))).kind, 'refused');
  assert.equal(group.actor, leader);
  const most = Object.fromEntries(Object.entries(many).slice(0, 100));
  const done = Array.from({ length: 8 }, (_, i) => ({ id: `${i}`, reply: yes }));
  const entry = { kind: 'pin', record: null, sentence: 'x', data: {} } as const;
  const whole = { ...batch(most, done), entries: [entry] };
  assert.deepEqual(await group.settle(leader.commit(whole)), committed);
  assert.equal(group.etcd.keys(`${prefix}log/`).length, 1);
});

test('more documents than one page holds are read whole by whoever comes', async () => {
  const { group, leader } = await started();
  for (let round = 0; round < 12; round++) {
    const docs = Array.from({ length: 100 }, (_, i) => [`epoch/${round}-${i}.`, i] as const);
    await group.settle(leader.commit(batch(Object.fromEntries(docs))));
  }
  const late = new Replica(group, 'd');
  group.replicas.push(late);
  late.start();
  await group.until(() => late.docs.size === 1200, 'it has them all', 5000);
});

test('a watch that was compacted away, or hears nothing, is made good', async () => {
  for (const harm of ['compact', 'deaf'] as const) {
    const { group, leader } = await started();
    const [b] = group.others(leader) as [Replica, Replica];
    for (const member of [0, 1, 2]) b.link.cut.add(member);
    for (let i = 1; i <= 20; i++) await group.settle(leader.commit(batch({ 'epoch/x.': i })));
    if (harm === 'compact') {
      group.etcd.compact(group.etcd.revision);
      for (const member of [0, 1, 2]) {
        group.etcd.kill(member, true);
        group.etcd.kill(member, false);
      }
    }
    b.link.cut.clear();
    await group.agree({ 'epoch/x.': 20 });
    assert.equal(group.overlaps, 0);
  }
});

// ---------------------------------------------------------------- group time

test('pins end at the same moment for all, however their clocks differ', async () => {
  const group = new Group();
  const [a, b, c] = group.replicas as [Replica, Replica, Replica];
  a.process.wallOffMs = 0;
  b.process.wallOffMs = 3_600_000;
  c.process.wallOffMs = -86_400_000;
  for (const one of group.replicas) one.start();
  const leader = await group.elected();
  const untilAt = leader.process.now() + 7_200_000;
  const pin = { what: 'x', by: 'me', reason: 'r', sinceAt: leader.process.now(), untilAt };
  await group.settle(leader.commit(batch({ 'drain/x': pin })));
  const leftOf = (one: Replica) => {
    const doc = one.docs.get('drain/x') as { untilAt: number } | undefined;
    return doc === undefined ? null : doc.untilAt - one.process.now();
  };
  await group.until(() => group.replicas.every((one) => leftOf(one) !== null), 'all heard');
  await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
  await group.run(100);
  const left = group.replicas.map((one) => leftOf(one)!);
  const [least, most] = [Math.min(...left), Math.max(...left)];
  assert.ok(most - least < 50, `${left}`);
  // Nor does it end earlier, or come back, when the next one acts by its own clock.
  leader.process.die();
  const next = await group.elected();
  const before = leftOf(next)!;
  await group.settle(next.commit(batch({ 'epoch/x.': 2 })));
  const third = group.others(leader).find((one) => one !== next)!;
  await group.run(100);
  assert.ok(Math.abs(leftOf(third)! - (before - 100)) < 200, `${leftOf(third)} ${before}`);
});

test('whoever has acted stands still, reads the next head late, and ends a pin no sooner', async () => {
  const { group, leader } = await started();
  const sinceAt = leader.process.now();
  const untilAt = sinceAt + 7_200_000;
  const pin = { what: 'x', by: 'me', reason: 'r', sinceAt, untilAt };
  await group.settle(leader.commit(batch({ 'drain/x': pin })));
  const endsAt = group.timeline.now + untilAt - leader.process.now();
  leader.process.pause(60_000, false);
  await group.until(() => group.actor !== undefined && group.actor !== leader, 'another', 20_000);
  const next = group.actor!;
  await group.settle(next.commit(batch({ 'epoch/x.': 1 })));
  await group.until(() => !leader.process.isPaused, 'it goes on', 70_000);
  await group.run(5000);
  const doc = leader.docs.get('drain/x') as { untilAt: number };
  const seen = group.timeline.now + doc.untilAt - leader.process.now();
  assert.ok(Math.abs(seen - endsAt) < 200, `${seen - endsAt} ms`);
});

test('a replica that starts anew, or is new, sees a pin end when the others do', async () => {
  const { group, leader } = await started();
  const [b] = group.others(leader) as [Replica, Replica];
  const sinceAt = leader.process.now();
  const untilAt = sinceAt + 7_200_000;
  const pin = { what: 'x', by: 'me', reason: 'r', sinceAt, untilAt };
  await group.settle(leader.commit(batch({ 'drain/x': pin })));
  await group.run(70_000);
  const endsAt = group.timeline.now + untilAt - leader.process.now();
  const seenBy = async (one: Replica) => {
    await group.until(() => one.docs.size > 0, 'it hears of it', 10_000);
    const doc = one.docs.get('drain/x') as { untilAt: number };
    return group.timeline.now + doc.untilAt - one.process.now();
  };
  // Nothing is decided for so long that the head is old; its clock is another meanwhile.
  b.process.die();
  await group.run(45_000);
  b.start();
  assert.ok(Math.abs((await seenBy(b)) - endsAt) < 100, 'what it remembers holds');
  const fresh = new Replica(group, 'fresh');
  fresh.process.wallOffMs = 86_400_000;
  group.replicas.push(fresh);
  fresh.start();
  const first = (await seenBy(fresh)) - endsAt;
  assert.ok(first > -100 && first < 61_000, `late rather than early: ${first}`);
  await group.run(70_000);
  assert.ok(Math.abs((await seenBy(fresh)) - endsAt) < 100, 'and right from the next head on');
});

// ---------------------------------------------------------------- orders

const yes: Reply = { exit: 0, message: 'done' };
const unpin: Command = { kind: 'unpin', record: 'x.', by: 'me', dryRun: false };

/** Carries out what it is told to, as the controller will: counted. */
async function carryOut(group: Group, counts: Map<string, number>, forMs: number): Promise<void> {
  const seen = group.ordered;
  await group.run(forMs, () => {
    for (const one of group.replicas) {
      for (const event of one.events) {
        if (event.kind !== 'order' || seen.has(event) || !one.mayAct) continue;
        seen.add(event);
        const done = [{ id: event.id, reply: { ...yes, message: `by ${one.name}` } }];
        void one.commit(batch({}, done)).then((outcome) => {
          if (outcome.kind === 'committed') counts.set(event.id, (counts.get(event.id) ?? 0) + 1);
        });
      }
    }
    return false;
  });
}

test('an order to any replica is done once, however often it is said, and answered', async () => {
  for (const seed of seeds) {
    const { group, leader } = await started(seed);
    const [b, c] = group.others(leader) as [Replica, Replica];
    const counts = new Map<string, number>();
    const said: readonly Promise<Reply>[] = [b, b, c, leader].map((one) => {
      return one.coordinator.shared.say('id-1', unpin);
    });
    await carryOut(group, counts, 3000);
    const replies = await group.settle(Promise.all(said));
    for (const reply of replies) assert.equal(reply.message, `by ${leader.name}`);
    // Said again later, also after another has taken over.
    leader.process.die();
    await group.elected();
    const again = c.coordinator.shared.say('id-1', unpin);
    await carryOut(group, counts, 3000);
    assert.equal((await group.settle(again)).message, `by ${leader.name}`);
    assert.deepEqual([...counts], [['id-1', 1]]);
  }
});

test('an order that its actor did not live to commit is done by the next, once', async () => {
  const { group, leader } = await started();
  const [b] = group.others(leader) as [Replica, Replica];
  const said = b.coordinator.shared.say('id-2', unpin);
  await group.until(() => leader.events.some(({ kind }) => kind === 'order'), 'it is told');
  leader.process.die();
  const counts = new Map<string, number>();
  await carryOut(group, counts, 12_000);
  assert.equal((await group.settle(said)).exit, 0);
  assert.deepEqual([...counts], [['id-2', 1]]);
});

test('an order that nobody carries out is answered with what is not known', async () => {
  const { group, leader } = await started();
  const [b] = group.others(leader) as [Replica, Replica];
  const reply = await group.settle(b.coordinator.shared.say('id-3', unpin), 20_000);
  assert.equal(reply.exit, 1);
  assert.match(reply.message, /not known/);
  assert.deepEqual(group.etcd.keys(`${prefix}order/`), [], 'nor is it carried out later');
});

test('an order that was done and is put back is not done again', async () => {
  const { group, leader } = await started();
  const [b] = group.others(leader) as [Replica, Replica];
  const counts = new Map<string, number>();
  const said = b.coordinator.shared.say('id-4', unpin);
  await group.until(() => group.etcd.peek(`${prefix}order/id-4`) !== null, 'it is said');
  const raw = group.etcd.peek(`${prefix}order/id-4`)!;
  await carryOut(group, counts, 2000);
  await group.settle(said);
  group.etcd.put(`${prefix}order/id-4`, raw);
  await carryOut(group, counts, 2000);
  // So many others that this one's answer is forgotten.
  for (let i = 0; i < 30; i++) {
    const done = Array.from({ length: 8 }, (_, j) => ({ id: `x-${i}-${j}`, reply: yes }));
    assert.deepEqual(await group.settle(leader.commit(batch({}, done))), committed);
  }
  assert.equal(group.etcd.keys(`${prefix}done/`).length, 200);
  assert.equal(group.etcd.peek(`${prefix}done/id-4`), null);
  group.etcd.put(`${prefix}order/id-4`, raw);
  await carryOut(group, counts, 2000);
  leader.process.die();
  await group.elected();
  group.etcd.put(`${prefix}order/id-4`, raw);
  await carryOut(group, counts, 2000);
  assert.deepEqual([...counts], [['id-4', 1]]);
});

test('an order that no key of ours has sealed is not followed, and is told', async () => {
  const { group, leader } = await started();
  const seal = createSeal(['z'.repeat(43)], ['shop']);
  const text = JSON.stringify({ command: unpin, replica: 'b' });
  group.etcd.put(
    `${prefix}order/evil`,
    seal.close('order', 'order/evil', { term: 0, number: 9, text }),
  );
  await group.run(3000);
  assert.equal(leader.events.filter(({ kind }) => kind === 'order').length, 0);
  assert.match(leader.trouble.join(), /order in etcd/);
  assert.equal(group.actor, leader);
});

// ---------------------------------------------------------------- what cannot be believed

test('a document that is forged, put back, taken away or another stops everybody', async () => {
  const harms: Readonly<Record<string, (etcd: SimEtcd, old: string) => void>> = {
    forged: (etcd) => etcd.put(`${prefix}doc/epoch/x.`, '{"epoch":9}'),
    'put back': (etcd, old) => etcd.put(`${prefix}doc/epoch/x.`, old),
    'taken away': (etcd) => etcd.delete(`${prefix}doc/epoch/x.`),
    'that of another key': (etcd) => {
      etcd.put(`${prefix}doc/epoch/x.`, etcd.peek(`${prefix}doc/epoch/y.`)!);
    },
    'its head': (etcd) => etcd.put(`${prefix}head`, 'detour1 1 1 x\n{}'),
  };
  for (const [name, harm] of Object.entries(harms)) {
    const { group, leader } = await started();
    await group.settle(leader.commit(batch({ 'epoch/x.': 1, 'epoch/y.': 1 })));
    const old = group.etcd.peek(`${prefix}doc/epoch/x.`)!;
    await group.settle(leader.commit(batch({ 'epoch/x.': 2 })));
    await group.agree({ 'epoch/x.': 2, 'epoch/y.': 1 });
    const told = group.replicas.map(({ events }) => events.length);
    harm(group.etcd, old);
    await group.until(() => group.replicas.every((one) => one.word === 'forged'), name, 5000);
    await group.run(10_000);
    assert.equal(group.actor, undefined, name);
    group.replicas.forEach((one, i) => {
      const since = one.events.slice(told[i]).map(({ kind }) => kind);
      assert.ok(!since.includes('documents'), `${name}: nobody is told of it`);
    });
    // Nor is one that has never seen the group.
    const fresh = new Replica(group, 'fresh');
    group.replicas.push(fresh);
    fresh.start();
    await group.run(10_000);
    assert.equal(fresh.word, 'forged', name);
    assert.equal(fresh.docs.size, 0);
    // A person says whose documents hold.
    const docs = Object.fromEntries(leader.docs);
    const reply = await group.settle(leader.coordinator.shared.restore(docs));
    assert.equal(reply.exit, 0, reply.message);
    await group.elected();
    await group.agree({ 'epoch/x.': 2, 'epoch/y.': 1 });
  }
});

test('with a key that is being changed the group goes on', async () => {
  const next = 'n'.repeat(43);
  const { group, leader } = await started();
  await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
  for (const one of group.replicas) one.keys = [KEY, next];
  for (const one of group.replicas) {
    one.keys = [next, KEY];
    await group.run(3000);
    const actor = await group.elected();
    await group.settle(actor.commit(batch({ [`epoch/${one.name}.`]: 1 })));
  }
  await group.agree({ 'epoch/x.': 1, 'epoch/a.': 1, 'epoch/b.': 1, 'epoch/c.': 1 });
});

// ---------------------------------------------------------------- an etcd of another time

test('a backup that is put back under the group is noticed, and nobody acts until told', async () => {
  for (const seed of seeds) {
    const { group, leader } = await started(seed);
    await group.settle(leader.commit(batch({ 'epoch/x.': 1, 'drain/x': drain(leader) })));
    const putBack = group.etcd.backUp();
    // An hour later the pin is lifted.
    await group.settle(leader.commit(batch({ 'epoch/x.': 2, 'drain/x': null })));
    for (let i = 3; i < 30; i++) await group.settle(leader.commit(batch({ 'epoch/x.': i })));
    await group.agree({ 'epoch/x.': 29 });
    const { term, number } = leader.memory!;
    putBack();
    const all = () => group.replicas.every((one) => one.word === 'restored');
    await group.until(all, 'all notice', 6000);
    // Long enough for every lease of the backup to end.
    await group.run(30_000);
    assert.equal(group.actor, undefined);
    for (const one of group.replicas) assert.equal(one.docs.get('epoch/x.'), 29);
    const [b] = group.others(leader) as [Replica, Replica];
    const reply = await group.settle(b.coordinator.shared.restore(Object.fromEntries(b.docs)));
    assert.equal(reply.exit, 0, reply.message);
    const next = await group.elected();
    assert.ok(next.term! > term && next.memory!.number > number);
    await group.until(() => group.replicas.every((one) => one.word === null), 'all are well');
    await group.agree({ 'epoch/x.': 29 });
    assert.equal(group.overlaps, 0);
    const twice = await group.settle(b.coordinator.shared.restore({}));
    assert.equal(twice.exit, 2);
  }
});

function drain(of: Replica): Json {
  const sinceAt = of.process.now();
  return { what: 'x', by: 'me', reason: 'r', sinceAt, untilAt: sinceAt + 7_200_000 };
}

test('an etcd that is empty, or another one, is noticed also after all have restarted', async () => {
  for (const how of ['empty', 'another', 'key by key'] as const) {
    const { group, leader } = await started();
    await group.settle(leader.commit(batch({ 'epoch/x.': 7 })));
    await group.agree({ 'epoch/x.': 7 });
    const docs = Object.fromEntries(leader.docs);
    for (const one of group.replicas) one.process.die();
    await group.run(1000);
    if (how === 'empty') group.etcd.empty('c1');
    if (how === 'another') group.etcd.empty('c2');
    if (how === 'key by key') group.etcd.delete(prefix, `${prefix.slice(0, -1)}0`);
    for (const one of group.replicas) one.start();
    await group.run(30_000);
    assert.equal(group.actor, undefined, how);
    for (const one of group.replicas) assert.equal(one.word, 'restored', how);
    const reply = await group.settle(leader.coordinator.shared.restore(docs));
    assert.equal(reply.exit, 0, reply.message);
    const next = await group.elected();
    assert.ok(next.term! > leader.memory!.term - 1);
    await group.agree({ 'epoch/x.': 7 });
    await group.settle(next.commit(batch({ 'epoch/x.': 8 })));
    await group.agree({ 'epoch/x.': 8 });
  }
});

test('whoever remembers nothing is kept from acting by those who do', async () => {
  const { group, leader } = await started();
  await group.settle(leader.commit(batch({ 'epoch/x.': 7 })));
  await group.agree({ 'epoch/x.': 7 });
  for (const one of group.replicas) one.process.die();
  group.etcd.empty('c1');
  const fresh = new Replica(group, 'fresh');
  group.replicas.push(fresh);
  fresh.start();
  await group.elected();
  group.replicas[0]!.start();
  await group.until(() => group.replicas[0]!.word === 'restored', 'one that knows comes back');
  await group.until(() => fresh.word === 'restored' && !fresh.mayAct, 'the other is stopped', 5000);
  await group.run(20_000);
  assert.equal(group.actor, undefined);
});

test('in an etcd that was put back no commit lands on another head at the same revision', async () => {
  const { group, leader } = await started();
  await group.settle(leader.commit(batch({ 'epoch/x.': 7 })));
  const [putBack, head] = [group.etcd.backUp(), group.etcd.peek(`${prefix}head`)!];
  await group.settle(leader.commit(batch({ 'epoch/x.': 8 })));
  putBack();
  group.etcd.put(`${prefix}head`, head);
  const outcome = await group.settle(leader.commit(batch({ 'epoch/x.': 9 })));
  assert.equal(outcome.kind, 'deposed');
  assert.equal(group.etcd.peek(`${prefix}head`), head, 'nothing was written over it');
});

test('whoever missed a restoration, and whose key is in it, goes on under no term of before', async () => {
  const { group, leader } = await started();
  await group.settle(leader.commit(batch({ 'epoch/x.': 7 })));
  const putBack = group.etcd.backUp();
  await group.settle(leader.commit(batch({ 'epoch/x.': 8 })));
  await group.agree({ 'epoch/x.': 8 });
  for (const member of [0, 1, 2]) leader.link.cut.add(member);
  putBack();
  const [b] = group.others(leader) as [Replica, Replica];
  await group.until(() => b.word === 'restored', 'another notices', 2500);
  const reply = await group.settle(b.coordinator.shared.restore(Object.fromEntries(b.docs)));
  assert.equal(reply.exit, 0, reply.message);
  const { term } = b.memory!;
  assert.ok(leader.mayAct, 'its lease lasts, and its key stands');
  leader.link.cut.clear();
  await group.until(() => leader.memory!.term === term, 'it reads what was restored', 5000);
  assert.equal(leader.mayAct, false);
  const next = await group.elected();
  assert.ok(next.term! > term);
  await group.agree({ 'epoch/x.': 8 });
  assert.equal(group.overlaps, 0);
});

test('what another replica knows of the head counts as well', async () => {
  const { group, leader } = await started();
  await group.settle(leader.commit(batch({ 'epoch/x.': 7 })));
  const number = leader.memory!.number;
  for (const one of group.replicas) one.coordinator.highest({ head: number, term: 0 }, 'd');
  await group.run(5000);
  assert.equal(group.actor, leader, 'the same is no news');
  leader.coordinator.highest({ head: number + 5, term: 3_000_047 }, 'd');
  await group.until(() => group.actor === undefined, 'nobody acts', 5000);
  assert.equal(leader.word, 'restored');
  assert.match(JSON.stringify(leader.events.at(-1)), /replica d knows number/);
  const docs = Object.fromEntries(leader.docs);
  const reply = await group.settle(leader.coordinator.shared.restore(docs));
  assert.equal(reply.exit, 0, reply.message);
  const { term, head } = leader.coordinator.head;
  assert.ok(term > 3_000_047 && head > number + 5, `restored at (${term}, ${head})`);
});

test('a restoration that is said twice is done once, and one that was done meanwhile is not undone', async () => {
  for (const seed of seeds) {
    const { group, leader } = await started(seed);
    await group.settle(leader.commit(batch({ 'epoch/x.': 7 })));
    await group.agree({ 'epoch/x.': 7 });
    group.etcd.empty('c2');
    const all = () => group.replicas.every((one) => one.word === 'restored');
    await group.until(all, 'all notice');
    const [a, b] = group.replicas as [Replica, Replica, Replica];
    const docs = Object.fromEntries(a.docs);
    const first = a.coordinator.shared.restore(docs);
    await group.run(5);
    const again = a.coordinator.shared.restore({});
    const replies = await group.settle(Promise.all([first, again]));
    assert.deepEqual(replies[0], replies[1]);
    assert.equal(replies[0]!.exit, 0, replies[0]!.message);
    const late = await group.settle(b.coordinator.shared.restore({}));
    assert.notEqual(late.exit, 0);
    await group.elected();
    await group.agree({ 'epoch/x.': 7 });
  }
});

test('a restoration that nobody heard of, in an etcd that was put back again, is none that is repeated', async () => {
  for (const seed of seeds) {
    const { group, leader } = await started(seed);
    await group.settle(leader.commit(batch({ 'epoch/x.': 7 })));
    await group.agree({ 'epoch/x.': 7 });
    const [a] = group.replicas as [Replica, Replica, Replica];
    const docs = Object.fromEntries(a.docs);
    const all = () => group.replicas.every((one) => one.word === 'restored');
    const headOf = () => {
      const raw = group.etcd.peek(`${prefix}head`);
      return raw === null ? null : createSeal([KEY], ['shop']).open('head', 'head', raw);
    };
    const heads: { readonly term: number; readonly number: number }[] = [];
    for (const cluster of ['c2', 'c3']) {
      group.etcd.empty(cluster);
      await group.until(all, 'all notice');
      a.link.replyDelayMs = 100;
      void a.coordinator.shared.restore(docs);
      await group.until(() => headOf() !== null, 'its head stands');
      heads.push(headOf()!);
      a.process.die();
      // Nobody else sees it either.
      group.etcd.empty(`${cluster} again`);
      a.link.replyDelayMs = 0;
      a.start();
    }
    const [first, second] = heads;
    const isAbove = second!.term > first!.term && second!.number > first!.number;
    assert.ok(isAbove, `seed ${seed}`);
  }
});

test('whoever cannot keep where a restoration leads restores nothing', async () => {
  const { group, leader } = await started();
  await group.settle(leader.commit(batch({ 'epoch/x.': 7 })));
  await group.agree({ 'epoch/x.': 7 });
  group.etcd.empty('c2');
  await group.until(() => group.replicas.every((one) => one.word === 'restored'), 'all notice');
  leader.isForgetful = true;
  const docs = Object.fromEntries(leader.docs);
  const refused = await group.settle(leader.coordinator.shared.restore(docs));
  assert.equal(refused.exit, 1);
  assert.match(refused.message, /cannot write its state/);
  assert.equal(group.etcd.peek(`${prefix}head`), null);
  leader.isForgetful = false;
  const reply = await group.settle(leader.coordinator.shared.restore(docs));
  assert.equal(reply.exit, 0, reply.message);
  await group.agree({ 'epoch/x.': 7 });
});

test('two that restore at once do not leave a mixture', async () => {
  for (const seed of seeds) {
    const { group, leader } = await started(seed);
    await group.settle(leader.commit(batch({ 'epoch/x.': 7 })));
    group.etcd.empty('c2');
    const all = () => group.replicas.every((one) => one.word === 'restored');
    await group.until(all, 'all notice');
    const [a, b] = group.replicas as [Replica, Replica, Replica];
    const docs = (by: number) =>
      Object.fromEntries(Array.from({ length: 250 }, (_, i) => [`epoch/${i}.`, by]));
    const replies = await group.settle(
      Promise.all([a, b].map((one, i) => one.coordinator.shared.restore(docs(i)))),
    );
    await group.run(10_000);
    const done = replies.filter(({ exit }) => exit === 0).length;
    assert.ok(done <= 1);
    if (done === 0 || group.actor === undefined) {
      const again = await group.settle(a.coordinator.shared.restore(docs(0)));
      assert.equal(again.exit, 0, again.message);
    }
    const actor = await group.elected();
    await group.run(3000);
    assert.equal(new Set([...actor.docs.values()]).size, 1);
    assert.equal(actor.docs.size, 250);
  }
});

test('that no document is there is told from that none was ever shared', async () => {
  const { group, leader } = await started();
  const toldTo = async (name: string) => {
    const fresh = new Replica(group, name);
    fresh.start();
    const told = () => fresh.events.find(({ kind }) => kind === 'documents');
    await group.until(() => told() !== undefined, 'it is told');
    fresh.process.die();
    const { docs, isNew } = told() as Extract<LeaseEvent, { kind: 'documents' }>;
    return { docs, isNew };
  };
  assert.deepEqual(await toldTo('d'), { docs: [], isNew: true });
  await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
  await group.settle(leader.commit(batch({ 'epoch/x.': null })));
  await group.settle(leader.commit(batch({}, [{ id: 'one', reply: yes }])));
  assert.deepEqual(await toldTo('e'), { docs: [], isNew: false });
  group.etcd.empty('c2');
  await group.until(() => leader.word === 'restored', 'it notices');
  const reply = await group.settle(leader.coordinator.shared.restore({}));
  assert.equal(reply.exit, 0, reply.message);
  assert.deepEqual(await toldTo('f'), { docs: [], isNew: false });
});

// ---------------------------------------------------------------- no room

test('without room nobody acts, all say so, and with room again it goes on', async () => {
  const { group, leader } = await started();
  await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
  group.etcd.isFull = true;
  const outcome = await group.settle(leader.commit(batch({ 'epoch/x.': 2 })));
  assert.equal(outcome.kind, 'deposed');
  await group.until(() => group.replicas.every((one) => one.word === 'full'), 'all say so', 15_000);
  await group.run(20_000);
  assert.equal(group.actor, undefined);
  group.etcd.isFull = false;
  await group.elected(15_000);
  await group.until(() => group.replicas.every((one) => one.word === null), 'all are well', 15_000);
  await group.agree({ 'epoch/x.': 1 });
});

test('no room is noticed also where nothing is decided', async () => {
  const { group } = await started();
  group.etcd.isFull = true;
  await group.until(() => group.actor === undefined, 'nobody acts', 70_000);
});

// ---------------------------------------------------------------- all of it at once

test('whatever happens together, at most one acts and none forgets what was committed', async () => {
  for (let seed = 1; seed <= 30; seed++) await storm(seed);
});

async function storm(seed: number): Promise<void> {
  const { group } = await started(seed);
  const { chance, etcd } = group;
  let sent = 0;
  let confirmed = 0;
  for (let step = 0; step < 40; step++) {
    const one = chance.pick(group.replicas);
    const member = chance.int(0, 2);
    const on = chance.is(0.4);
    switch (chance.int(0, 10)) {
      case 0:
        etcd.pause(member, on);
        break;
      case 1:
        etcd.isolate(member, on);
        break;
      case 2:
        etcd.kill(member, on);
        break;
      case 3:
        if (on) one.link.cut.add(member);
        else one.link.cut.clear();
        break;
      case 4:
        one.process.pause(chance.spread(50, 9000), chance.is(0.5));
        break;
      case 5:
        one.link.loseReplies = chance.int(0, 3);
        break;
      case 6:
        etcd.slowMs = chance.pick([0, 0, 300, 2000]);
        break;
      case 8:
        etcd.delete(`${prefix}lease`);
        break;
      case 9:
        one.link.replyDelayMs = chance.pick([0, 0, 500, 1900]);
        break;
      case 7:
        if (one.process.alive && on) one.process.die();
        else if (!one.process.alive) one.start();
        break;
      default:
        one.process.wallOffMs += chance.int(-5_000_000, 5_000_000);
    }
    const { actor } = group;
    if (actor !== undefined) {
      const next = ++sent;
      void actor.commit(batch({ 'epoch/x.': next })).then((outcome) => {
        if (outcome.kind === 'committed') confirmed = Math.max(confirmed, next);
      });
    }
    await group.run(chance.spread(5, 4000));
    assert.equal(group.overlaps, 0, `seed ${seed}, step ${step}`);
  }
  for (const member of [0, 1, 2]) {
    etcd.pause(member, false);
    etcd.isolate(member, false);
    etcd.kill(member, false);
  }
  etcd.slowMs = 0;
  for (const one of group.replicas) {
    one.link.cut.clear();
    one.link.loseReplies = 0;
    one.link.replyDelayMs = 0;
    if (!one.process.alive) one.start();
  }
  const actor = await group.elected();
  await group.run(15_000);
  for (const one of group.replicas) assert.equal(one.word, null, `seed ${seed}: ${group.says()}`);
  const docs = Object.fromEntries((group.actor ?? actor).docs) as Record<string, number>;
  if (confirmed > 0) assert.ok((docs['epoch/x.'] ?? 0) >= confirmed, `seed ${seed}`);
  await group.agree(docs);
}

test('backups put back in the midst of it stop all until a person says so, and nothing goes back', async () => {
  for (let seed = 1; seed <= 20; seed++) await backups(seed);
});

async function backups(seed: number): Promise<void> {
  const { group } = await started(seed);
  const { chance, etcd } = group;
  const kept = [etcd.backUp()];
  let [sent, highestTerm] = [0, 0];
  const heard = new Set<LeaseEvent>();
  /** Terms only ever grow, whoever holds them and whatever was put back. */
  const look = () => {
    for (const one of group.replicas) {
      for (const event of one.events) {
        if (event.kind !== 'held' || heard.has(event)) continue;
        heard.add(event);
        assert.ok(event.term > highestTerm, `seed ${seed}: ${event.term} after ${highestTerm}`);
        highestTerm = event.term;
      }
    }
    return false;
  };
  look();
  for (let step = 0; step < 25; step++) {
    const one = chance.pick(group.replicas);
    switch (chance.int(0, 6)) {
      case 0:
        kept.push(etcd.backUp());
        break;
      case 1:
        if (chance.is(0.4)) chance.pick(kept)();
        break;
      case 2:
        one.process.pause(chance.spread(50, 9000), chance.is(0.5));
        break;
      case 3:
        one.link.isDeaf = chance.is(0.5);
        break;
      case 4:
        etcd.compact(etcd.revision);
        break;
      case 5:
        if (one.process.alive) one.process.die();
        else one.start();
        break;
      default:
        etcd.isFull = chance.is(0.3);
    }
    const { actor } = group;
    if (actor !== undefined) void actor.commit(batch({ 'epoch/x.': ++sent }));
    await group.run(chance.spread(5, 6000), look);
    assert.equal(group.overlaps, 0, `seed ${seed}, step ${step}`);
  }
  etcd.isFull = false;
  for (const one of group.replicas) {
    one.link.isDeaf = false;
    if (!one.process.alive) one.start();
  }
  await group.run(25_000, look);
  const knows = [...group.replicas].sort((a, b) => b.memory!.number - a.memory!.number)[0]!;
  const { number } = knows.memory!;
  if (group.actor === undefined) {
    const docs = { 'epoch/x.': 1000 + sent };
    const reply = await group.settle(knows.coordinator.shared.restore(docs));
    assert.equal(reply.exit, 0, `seed ${seed}: ${reply.message} ${group.says()}`);
  }
  const actor = await group.elected();
  await group.run(15_000, look);
  for (const one of group.replicas) assert.equal(one.word, null, `seed ${seed}: ${group.says()}`);
  assert.ok(actor.memory!.number >= number);
  assert.equal(group.overlaps, 0, `seed ${seed}`);
}
