// The coordinator over a real etcd of three members, with TLS, users and roles on: three of them in
// this process, each with its own client, looked at every few milliseconds. What the simulated etcd
// shows in every order (etcd.test.ts) is seen here once with the real one, and how long it takes.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, type TestContext, test } from 'node:test';
import {
  createEtcdCoordinator,
  type GroupCoordinator,
  type Memory,
} from '../../src/cluster/etcd.ts';
import { createGateway, type Gateway, type Got } from '../../src/cluster/gateway.ts';
import { createSeal } from '../../src/cluster/sealed.ts';
import type { Command, Json, Reply } from '../../src/core/model.ts';
import type { Batch, GroupWord, LeaseEvent } from '../../src/ports.ts';
import { createClock } from '../../src/run/clock.ts';
import { createElapsed } from '../../src/run/elapsed.ts';
import { type Etcd, startEtcd, withoutEtcd } from '../parts/etcd.ts';
import { until } from '../parts/listening.ts';

const TTL_MS = 3000;
const prefix = 'detour/shop/';
const committed = { kind: 'committed' } as const;
const batch = (docs: Readonly<Record<string, Json>>, done: Batch['done'] = []): Batch => ({
  docs: Object.entries(docs),
  entries: [],
  done,
});

class Replica {
  readonly name: string;
  readonly clock = createClock(0);
  readonly events: LeaseEvent[] = [];
  readonly docs = new Map<string, Json>();
  word: GroupWord | null = null;
  memory: Memory | null = null;
  isCut = false;
  coordinator!: GroupCoordinator;

  constructor(name: string) {
    this.name = name;
  }

  start(etcd: Etcd): void {
    const { endpoints, ca, cert, key, user } = etcd;
    const { clock } = this;
    const gateway = createGateway({ endpoints, ca, cert, key, user, clock });
    this.coordinator = createEtcdCoordinator({
      gateway: this.#cuttable(gateway),
      clock,
      elapsed: createElapsed(),
      replica: this.name,
      prefix,
      ttlMs: TTL_MS,
      seal: () => createSeal(['k'.repeat(43)], ['shop']),
      memory: {
        load: () => this.memory,
        save: (memory) => {
          this.memory = memory;
          return true;
        },
      },
      id: randomUUID,
      trouble: (sentence) => assert.fail(sentence),
    });
    this.coordinator.start((event) => this.#heard(event));
  }

  #heard(event: LeaseEvent): void {
    this.events.push(event);
    if (event.kind === 'group') this.word = event.word;
    if (event.kind !== 'documents') return;
    if (event.whole) this.docs.clear();
    for (const [key, value] of event.docs) {
      if (value === null) this.docs.delete(key);
      else this.docs.set(key, value);
    }
  }

  /** While it is cut nothing gets through, and nobody is told. */
  #cuttable(gateway: Gateway): Gateway {
    const late = async <T>(work: Promise<Got<T>>, ms: number): Promise<Got<T>> => {
      const got = await work;
      if (!this.isCut) return got;
      await new Promise((resolve) => setTimeout(resolve, ms));
      return { ok: false, fault: { kind: 'uncertain', detail: 'cut' } };
    };
    return {
      range: (range, ms) => late(gateway.range(range, ms), ms),
      txn: (txn, ms) => late(gateway.txn(txn, ms), ms),
      grant: (ttlS, ms) => late(gateway.grant(ttlS, ms), ms),
      keepAlive: async (id, ms) => {
        // It must not reach etcd, or the lease would live on.
        const gone: Got<{ ttlMs: number }> = { ok: true, value: { ttlMs: 0 }, header: none };
        return late(this.isCut ? Promise.resolve(gone) : gateway.keepAlive(id, ms), ms);
      },
      timeToLive: (id, ms) => late(gateway.timeToLive(id, ms), ms),
      revoke: (id, ms) =>
        (this.isCut ? late(gateway.status(ms), ms) : gateway.revoke(id, ms)) as never,
      status: (ms) => late(gateway.status(ms), ms),
      watch: (from, tell) => gateway.watch(from, (event) => (this.isCut ? undefined : tell(event))),
      close: () => gateway.close(),
    };
  }

  get mayAct(): boolean {
    return this.coordinator.actsUntil() > this.clock.now();
  }
}

const none = { clusterId: '', revision: 0, raftTerm: 0 };

describe('three replicas over a real etcd', { skip: withoutEtcd }, () => {
  let etcd: Etcd;
  const replicas = ['a', 'b', 'c'].map((name) => new Replica(name));
  let overlaps = 0;
  let looks = 0;
  let looking: NodeJS.Timeout;

  before(async () => {
    etcd = await startEtcd({ quotaBytes: 4 * 1024 * 1024 });
    for (const one of replicas) one.start(etcd);
    looking = setInterval(() => {
      looks++;
      if (replicas.filter((one) => one.mayAct).length > 1) overlaps++;
    }, 5);
  });
  after(async () => {
    clearInterval(looking);
    for (const one of replicas) one.coordinator?.close();
    await etcd?.stop();
  });

  const actor = () => replicas.find((one) => one.mayAct);
  const elected = async (boundMs = 20_000): Promise<Replica> => {
    await until(() => actor() !== undefined, `somebody acts (${says()})`, boundMs);
    return actor()!;
  };
  const says = () => replicas.map((one) => JSON.stringify(one.events.at(-1))).join('; ');
  const agree = (docs: Readonly<Record<string, Json>>, but?: Replica) => {
    const want = JSON.stringify(Object.entries(docs).sort());
    const all = () =>
      replicas.every((one) => one === but || JSON.stringify([...one.docs].sort()) === want);
    return until(all, `all have ${want} (${says()})`, 10_000);
  };
  const timed = async (t: TestContext, what: string, work: () => Promise<unknown>) => {
    const from = performance.now();
    await work();
    const ms = performance.now() - from;
    t.diagnostic(`${what}: ${Math.round(ms)} ms`);
    return ms;
  };

  test('one acts, and the others hear what it commits', async (t) => {
    const leader = await elected();
    await timed(t, 'a commit', async () => {
      assert.deepEqual(await leader.coordinator.shared.commit(batch({ 'epoch/x.': 1 })), committed);
    });
    await agree({ 'epoch/x.': 1 }, leader);
    leader.docs.set('epoch/x.', 1);
    const docs = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`epoch/${i}.`, i]));
    await timed(t, 'a commit of 100 documents', async () => {
      assert.deepEqual(await leader.coordinator.shared.commit(batch(docs)), committed);
    });
    const gone = Object.fromEntries(Object.keys(docs).map((key) => [key, null]));
    assert.deepEqual(await leader.coordinator.shared.commit(batch(gone)), committed);
  });

  test('an order to another is done and answered', async () => {
    const leader = await elected();
    const other = replicas.find((one) => one !== leader)!;
    const unpin: Command = { kind: 'unpin', record: 'x.', by: 'me', dryRun: false };
    const yes: Reply = { exit: 0, message: 'done' };
    const said = other.coordinator.shared.say('id-1', unpin);
    await until(() => leader.events.some(({ kind }) => kind === 'order'), 'it is told');
    const done = [{ id: 'id-1', reply: yes }];
    assert.deepEqual(await leader.coordinator.shared.commit(batch({}, done)), committed);
    assert.deepEqual(await said, yes);
    assert.deepEqual(await other.coordinator.shared.say('id-1', unpin), yes);
  });

  test('a hand-over, a deleted key, a leader that is cut off', async (t) => {
    const first = await elected();
    await timed(t, 'a hand-over', async () => {
      await first.coordinator.yield();
      await elected();
    });
    const second = actor()!;
    assert.notEqual(second, first);
    await timed(t, 'its key deleted', async () => {
      etcd.ctl('del', `${prefix}lease`);
      await until(() => !second.mayAct, 'it gives up', 1000);
      await elected();
    });
    const third = await elected();
    third.isCut = true;
    await timed(t, 'cut off, until another acts', async () => {
      await until(() => !third.mayAct, 'it stops', TTL_MS);
      await elected();
    });
    assert.notEqual(actor(), third);
    third.isCut = false;
    await until(() => third.word === null, 'it is well again');
  });

  test('a member that is killed, or stands still, and the quorum lost and regained', async (t) => {
    for (const member of [0, 1, 2]) {
      await timed(t, `member ${member} killed, until one acts`, async () => {
        await etcd.kill(member);
        await new Promise((resolve) => setTimeout(resolve, 1500));
        await elected();
      });
      await etcd.restart(member);
      etcd.freeze(member, true);
      await new Promise((resolve) => setTimeout(resolve, 2500));
      await elected();
      etcd.freeze(member, false);
    }
    etcd.freeze(0, true);
    etcd.freeze(1, true);
    await until(() => replicas.every((one) => one.word === 'no-quorum'), 'all say so', 15_000);
    assert.equal(actor(), undefined);
    etcd.freeze(0, false);
    etcd.freeze(1, false);
    await timed(t, 'quorum regained, until one acts', () => elected());
    await until(() => replicas.every((one) => one.word === null), 'all are well', 10_000);
  });

  test('a backup put back is noticed, and nobody acts until a person says so', async (t) => {
    const leader = await elected();
    await etcd.backUp();
    const later = await elected();
    assert.deepEqual(await later.coordinator.shared.commit(batch({ 'epoch/x.': 2 })), committed);
    later.docs.set('epoch/x.', 2);
    await agree({ 'epoch/x.': 2 });
    const { term, number } = later.memory!;
    await etcd.restore();
    await timed(t, 'put back, until all say so', () =>
      until(() => replicas.every((one) => one.word === 'restored'), 'all notice', 15_000),
    );
    await new Promise((resolve) => setTimeout(resolve, 2 * TTL_MS));
    assert.equal(actor(), undefined);
    const reply = await leader.coordinator.shared.restore(Object.fromEntries(leader.docs));
    assert.equal(reply.exit, 0, reply.message);
    const next = await elected();
    assert.ok(next.memory!.term > term && next.memory!.number > number);
    await agree({ 'epoch/x.': 2 });
  });

  test('without room nobody acts, and with room again it goes on', async () => {
    const leader = await elected();
    const value = 'x'.repeat(400_000);
    for (let i = 0; i < 40 && leader.mayAct; i++) {
      const outcome = await leader.coordinator.shared.commit(
        batch({ 'record/full.': `${i}${value}` }),
      );
      if (outcome.kind !== 'committed') break;
    }
    await until(() => replicas.every((one) => one.word === 'full'), 'all say so', 15_000);
    assert.equal(actor(), undefined);
    const { revision } = JSON.parse(etcd.ctl('get', prefix, '-w', 'json')).header;
    etcd.ctl('compact', String(revision));
    etcd.ctl('defrag');
    etcd.ctl('alarm', 'disarm');
    await elected();
    await until(() => replicas.every((one) => one.word === null), 'all are well', 10_000);
  });

  test('at no moment were there two', (t) => {
    t.diagnostic(`${looks} looks`);
    assert.equal(overlaps, 0);
    assert.ok(looks > 1000);
  });
});
