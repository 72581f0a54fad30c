// The coordinator over the Kubernetes API in virtual time: over objects that behave as the API's do,
// with pauses, clocks, lost replies and forged documents. The same suite goes over real HTTPS to a
// strict stand-in in kube-api.test.ts, and to a real kube-apiserver in test/long/kubernetes.ts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createKubernetesCoordinator } from '../../src/cluster/kubernetes.ts';
import type { Any } from '../parts/kube-objects.ts';
import {
  type Body,
  batch,
  carryOut,
  committed,
  conformance,
  eachGroup,
  Group,
  KEY,
  LEASE,
  Member,
  SECRET,
  unpin,
  type World,
  yes,
} from '../parts/kube-suite.ts';
import { type Link, SimKube } from '../parts/sim-kube.ts';
import { Chance } from '../sim/chance.ts';
import { Process, Timeline } from '../sim/clock.ts';

const TTL_MS = 5000;
const LOOK_MS = 5;
const seeds = [1, 2, 3, 4];

class SimBody implements Body {
  readonly process: Process;
  readonly link: Link;
  readonly #world: SimWorld;

  constructor(world: SimWorld, name: string) {
    this.#world = world;
    this.process = new Process(name, world.timeline, world.chance);
    this.link = world.kube.link();
  }

  get name(): string {
    return this.process.name;
  }

  get isAlive(): boolean {
    return this.process.alive;
  }

  get isPaused(): boolean {
    return this.process.isPaused;
  }

  now(): number {
    return this.process.now();
  }

  boot(member: Member) {
    this.process.boot(0);
    const { timeline, kube } = this.#world;
    const { life } = this.process;
    let ids = 0;
    return createKubernetesCoordinator({
      api: kube.api(this.process, this.link),
      clock: this.process.clock(),
      elapsed: () => timeline.now,
      replica: this.name,
      lease: LEASE,
      documents: { kind: 'secret', name: SECRET },
      ttlMs: TTL_MS,
      seal: member.seal,
      memory: {
        load: () => member.memory,
        save: (memory) => {
          member.memory = memory;
        },
      },
      id: () => `${this.name}-${life}-${++ids}`,
      trouble: (sentence) => void member.trouble.push(sentence),
    });
  }

  die(): void {
    this.process.die();
  }

  cut(isCut: boolean): void {
    this.link.isCut = isCut;
  }

  slow(ms: number): void {
    this.link.delayMs = ms;
  }

  loseReplies(count: number): void {
    this.link.loseReplies = count;
  }

  stepWall(ms: number): void {
    this.process.wallOffMs += ms;
  }
}

class SimWorld implements World {
  readonly ttlMs = TTL_MS;
  readonly slackMs = 0;
  readonly timeline = new Timeline();
  readonly chance: Chance;
  readonly kube: SimKube;
  readonly seed: number;

  constructor(seed: number) {
    this.seed = seed;
    this.chance = new Chance(seed);
    this.kube = new SimKube({ timeline: this.timeline, random: () => this.chance.next() });
  }

  body(name: string): SimBody {
    return new SimBody(this, name);
  }

  now(): number {
    return this.timeline.now;
  }

  async pass(ms: number, look: () => boolean): Promise<void> {
    const until = this.timeline.now + ms;
    while (this.timeline.now < until && !look()) {
      const next = Math.min(until, this.timeline.now + LOOK_MS);
      await this.timeline.run(
        next,
        () => {},
        () => false,
      );
    }
  }

  stir(): void {
    this.timeline.stirred = true;
  }

  async get(resource: string, name: string) {
    return this.kube.objects.peek(resource, name);
  }

  async set(resource: string, name: string, edit: (object: never) => unknown) {
    this.kube.objects.edit(resource, name, edit as never);
  }

  async close(): Promise<void> {}
}

conformance('objects in virtual time', async (seed) => new SimWorld(seed), seeds);

// ---------------------------------------------------------------- only in virtual time

interface Sim {
  readonly group: Group;
  readonly leader: Member;
  readonly kube: SimKube;
  readonly world: SimWorld;
  process(one: Member): Process;
  link(one: Member): Link;
}

/** The same for each seed in turn. */
function sim(what: string, body: (sim: Sim) => Promise<void>, isCalm = true): void {
  const make = async (seed: number) => new SimWorld(seed);
  const run = eachGroup(
    make,
    seeds,
    async (group, leader) => {
      const world = group.world as SimWorld;
      const of = (one: Member) => one.body as SimBody;
      const process = (one: Member) => of(one).process;
      await body({ group, leader, world, kube: world.kube, process, link: (one) => of(one).link });
    },
    isCalm,
  );
  test(what, run);
}

sim('the right to act counts from when the renewal was sent', async ({ group, leader, link }) => {
  // Replies take so long that what was sent is old when it is answered.
  link(leader).delayMs = 700;
  await group.pass(4000);
  assert.equal(group.actor, leader);
  leader.body.cut(true);
  await group.pass(20_000);
  assert.notEqual(group.actor, undefined);
});

sim('a process that stood still, or a machine that slept, finds itself without it', async (at) => {
  for (const isAsleep of [false, true]) {
    const leader = await at.group.elected();
    at.process(leader).pause(6000, isAsleep);
    await at.group.pass(5900);
    assert.equal(leader.mayAct, false, 'before it runs a line');
    await at.group.pass(10_000);
    assert.notEqual(await at.group.elected(), leader);
  }
});

sim('writes of two seconds are made, and the next one acts', async ({ group, leader, kube }) => {
  kube.slowMs = 1500;
  const outcome = await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
  assert.deepEqual(outcome, committed);
  await group.pass(20_000);
  assert.equal(group.actor, leader);
  leader.body.die();
  const tookMs = await group.until(() => group.actor !== undefined, 'the next one acts');
  assert.ok(tookMs <= TTL_MS + 1500 + 3 * 1500, `${tookMs} ms`);
  await group.agree({ 'epoch/x.': 1 });
});

sim('the API stopped and back: nobody acts meanwhile, all say so', async ({ group, kube }) => {
  kube.isDown = true;
  await group.until(group.all('no-quorum'), 'all say so');
  await group.until(() => group.actor === undefined, 'nobody acts');
  kube.isDown = false;
  await group.elected();
  await group.until(group.all(null), 'all are well');
});

sim('a commit that slows renewals down by nothing', async ({ group, leader, kube }) => {
  // Only the documents are slow: longer than the lease lasts.
  kube.slowOf = (resource) => (resource === 'secrets' ? 4500 : 0);
  for (let i = 0; i < 3; i++) {
    assert.deepEqual(await group.settle(leader.commit(batch({ 'epoch/x.': i }))), committed);
    assert.equal(group.actor, leader);
  }
});

sim('whoever reads a head of a higher term is deposed, though deaf to the Lease', async (at) => {
  const { group, leader, kube } = at;
  await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
  // Another took it, and this one has not heard of that: only what it commits over shows it.
  at.link(leader).isDeaf = true;
  at.link(leader).delayMs = 400;
  kube.objects.edit('leases', LEASE, (now) => {
    return { ...now, spec: { ...now.spec, holderIdentity: '' } };
  });
  const other = () => group.others(leader).some((one) => one.term !== null);
  await group.until(other, 'another holds it', 5000);
  const outcome = await group.settle(leader.commit(batch({ 'epoch/x.': 666 })));
  assert.equal(outcome.kind, 'deposed');
  await group.agree({ 'epoch/x.': 1 });
  group.overlaps = 0;
});

sim('others may write into the Lease and beside the documents', async ({ group, leader, kube }) => {
  await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
  for (let i = 0; i < 20; i++) {
    for (const [resource, name] of [
      ['leases', LEASE],
      ['secrets', SECRET],
    ] as const) {
      kube.objects.edit(resource, name, (now) => {
        const metadata = {
          ...now.metadata,
          annotations: { ...now.metadata.annotations, i: `${i}` },
        };
        return { ...now, metadata };
      });
    }
    const outcome = group.settle(leader.commit(batch({ 'epoch/x.': i })));
    assert.deepEqual(await outcome, committed);
    await group.pass(300);
  }
  assert.equal(group.actor, leader);
  await group.agree({ 'epoch/x.': 19 });
  assert.equal(kube.objects.peek('secrets', SECRET).metadata.annotations.i, '19');
  assert.equal(kube.objects.peek('leases', LEASE).metadata.annotations.i, '19');
});

sim('what fits into no object is refused with its cure, and less is taken', async (at) => {
  const { group, leader } = at;
  // What does not deflate: about 4.8 KB each, more than any record is.
  const docs = (from: number) =>
    Object.fromEntries(
      Array.from({ length: 100 }, (_, i) => [`record/${from + i}.`, noise(at.world.chance, 1600)]),
    );
  let last = await group.settle(leader.commit(batch(docs(0))));
  let count = 1;
  for (; last.kind === 'committed' && count < 20; count++) {
    last = await group.settle(leader.commit(batch(docs(count * 100))));
  }
  assert.equal(last.kind, 'refused');
  assert.match(last.kind === 'refused' ? last.why : '', /0\.\d+ MiB .*1\.00 MiB .*etcd/);
  await group.until(() => leader.word === 'full', 'it says so');
  assert.equal(group.actor, leader);
  const data = at.kube.objects.peek('secrets', SECRET).data.shelf as string;
  assert.ok(Buffer.byteLength(data, 'base64') < 917_504);
  const fewer = Object.fromEntries(Object.keys(docs(0)).map((key) => [key, null]));
  assert.deepEqual(await group.settle(leader.commit(batch(fewer))), committed);
  await group.until(() => leader.word === null, 'it is well again');
});

function noise(chance: Chance, length: number): string {
  return Array.from({ length }, () => String.fromCharCode(0x4e00 + chance.int(0, 20_000))).join('');
}

sim('pins end at the same moment for all, however their clocks differ', async (at) => {
  const { group } = at;
  const offs = [0, 3_600_000, -86_400_000];
  group.members.forEach((one, i) => {
    one.body.die();
    one.body.stepWall(offs[i]!);
    one.memory = null;
  });
  for (const one of group.members) one.start();
  const leader = await group.elected();
  const untilAt = leader.body.now() + 7_200_000;
  const pin = { what: 'x', by: 'me', reason: 'r', sinceAt: leader.body.now(), untilAt };
  await group.settle(leader.commit(batch({ 'drain/x': pin })));
  const leftOf = (one: Member) => {
    const doc = one.docs.get('drain/x') as { untilAt: number } | undefined;
    return doc === undefined ? null : doc.untilAt - one.body.now();
  };
  await group.until(() => group.members.every((one) => leftOf(one) !== null), 'all heard');
  await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
  await group.pass(100);
  const left = group.members.map((one) => leftOf(one)!);
  assert.ok(Math.max(...left) - Math.min(...left) < 50, `${left}`);
  leader.body.die();
  const next = await group.elected();
  const before = leftOf(next)!;
  await group.settle(next.commit(batch({ 'epoch/x.': 2 })));
  const third = group.others(leader).find((one) => one !== next)!;
  await group.pass(100);
  assert.ok(Math.abs(leftOf(third)! - (before - 100)) < 200, `${leftOf(third)} ${before}`);
});

// ---------------------------------------------------------------- orders

sim('an order that its actor did not live to commit is done by the next, once', async (at) => {
  const { group, leader } = at;
  const [b] = group.others(leader) as [Member, Member];
  const said = b.coordinator.shared.say('id-2', unpin);
  await group.until(() => leader.events.some(({ kind }) => kind === 'order'), 'it is told');
  leader.body.die();
  const counts = new Map<string, number>();
  await carryOut(group, counts, 12_000);
  assert.equal((await group.settle(said)).exit, 0);
  assert.deepEqual([...counts], [['id-2', 1]]);
});

sim('an order that nobody carries out is answered with what is not known', async (at) => {
  const { group, leader, kube } = at;
  const [b] = group.others(leader) as [Member, Member];
  const reply = await group.settle(b.coordinator.shared.say('id-3', unpin), 20_000);
  assert.equal(reply.exit, 1);
  assert.match(reply.message, /not known/);
  await group.pass(2000);
  const keys = Object.keys(kube.objects.peek('secrets', SECRET).data);
  assert.deepEqual(keys, ['shelf'], 'nor is it carried out later');
});

sim('an order that was done and is put back is not done again', async (at) => {
  const { group, leader, kube } = at;
  const [b] = group.others(leader) as [Member, Member];
  const counts = new Map<string, number>();
  const said = b.coordinator.shared.say('id-4', unpin);
  const orders = () => Object.entries(kube.objects.peek('secrets', SECRET).data).slice(1);
  await group.until(() => orders().length > 0, 'it is said');
  const [key, raw] = orders()[0]!;
  await carryOut(group, counts, 2000);
  await group.settle(said);
  const putBack = () => {
    kube.objects.edit('secrets', SECRET, (now) => ({ ...now, data: { ...now.data, [key]: raw } }));
  };
  putBack();
  await carryOut(group, counts, 2000);
  // So many others that this one's answer is forgotten.
  for (let i = 0; i < 15; i++) {
    const done = Array.from({ length: 8 }, (_, j) => ({ id: `x-${i}-${j}`, reply: yes }));
    assert.deepEqual(await group.settle(leader.commit(batch({}, done))), committed);
  }
  putBack();
  await carryOut(group, counts, 2000);
  leader.body.die();
  await group.elected();
  putBack();
  await carryOut(group, counts, 2000);
  assert.deepEqual([...counts], [['id-4', 1]]);
  assert.deepEqual(orders(), []);
});

sim(
  'an order that no key of ours has sealed is not followed, and is told',
  async ({ group, leader, kube }) => {
    const value = Buffer.from('detour1 0 9 x\n{"kind":"unpin"}').toString('base64');
    kube.objects.edit('secrets', SECRET, (now) => {
      return { ...now, data: { ...now.data, 'order.evil': value } };
    });
    await group.pass(3000);
    assert.equal(leader.events.filter(({ kind }) => kind === 'order').length, 0);
    assert.match(leader.trouble.join(), /order among the documents/);
    assert.equal(group.actor, leader);
    assert.equal(kube.objects.peek('secrets', SECRET).data['order.evil'], undefined);
  },
  false,
);

// ---------------------------------------------------------------- what cannot be believed

sim(
  'whoever remembers nothing is kept from acting by those who do',
  async ({ group, leader, kube }) => {
    await group.settle(leader.commit(batch({ 'epoch/x.': 7 })));
    await group.agree({ 'epoch/x.': 7 });
    for (const one of group.members) one.body.die();
    // All of it as on the first day, the witness in the Lease gone as well.
    kube.objects.edit('secrets', SECRET, (now) => ({ ...now, data: {} }));
    kube.objects.edit('leases', LEASE, (now) => ({ ...now, spec: {}, metadata: bare(now) }));
    const fresh = new Member(group.world.body('fresh'));
    group.members.push(fresh);
    fresh.start();
    await group.until(() => fresh.mayAct, 'it acts, for all that it knows');
    group.members[0]!.start();
    await group.until(() => group.members[0]!.word === 'restored', 'one that knows comes back');
    await group.until(
      () => fresh.word === 'restored' && !fresh.mayAct,
      'the other is stopped',
      5000,
    );
    await group.pass(20_000);
    assert.equal(group.actor, undefined);
    const again = new Member(group.world.body('again'));
    group.members.push(again);
    again.start();
    await group.until(() => again.word === 'restored', 'nor does another');
  },
);

const bare = ({ metadata }: Any): Any => ({ ...metadata, annotations: {} });

sim('documents that are gone are noticed by those who remember nothing', async (at) => {
  const { group, leader, kube } = at;
  await group.settle(leader.commit(batch({ 'epoch/x.': 7 })));
  await group.agree({ 'epoch/x.': 7 });
  await group.pass(2000);
  for (const harm of ['emptied', 'removed', 'made anew'] as const) {
    for (const one of group.members) {
      if (one.body.isAlive) one.body.die();
      one.memory = null;
    }
    const data = harm === 'made anew' ? { ...kept(kube) } : {};
    kube.objects.edit('secrets', SECRET, (now) => (harm === 'emptied' ? { ...now, data } : null));
    if (harm === 'made anew') {
      kube.objects.edit('secrets', SECRET, (now) => ({ ...now, data }));
    }
    for (const one of group.members) one.start();
    await group.until(group.all('restored'), harm, 10_000);
    await group.pass(15_000);
    assert.equal(group.actor, undefined, harm);
    const reply = await group.settle(leader.coordinator.shared.restore({ 'epoch/x.': 7 }));
    assert.equal(reply.exit, 0, reply.message);
    await group.elected();
    await group.agree({ 'epoch/x.': 7 });
    await group.pass(3000);
  }
});

const kept = (kube: SimKube): Any => kube.objects.peek('secrets', SECRET).data;

sim(
  'a Lease whose transitions went back gives nobody a term again',
  async (at) => {
    const { group, leader, kube } = at;
    for (let i = 0; i < 3; i++) {
      await group.settle((await group.elected()).coordinator.yield());
      await group.elected();
    }
    await group.pass(2000);
    const terms = group.members.flatMap((one) => one.memory!.term);
    const highest = Math.max(...terms);
    assert.ok(highest >= 4);
    // Far back, and to where the next one would have just the term of the one before.
    const leaseTransitions = at.world.seed % 2 === 0 ? 1 : highest - 1;
    kube.objects.edit('leases', LEASE, (now) => {
      return { ...now, spec: { ...now.spec, holderIdentity: '', leaseTransitions } };
    });
    await group.until(group.all('restored'), 'all say so', 20_000);
    await group.pass(20_000);
    assert.equal(group.actor, undefined);
    const reply = await group.settle(
      leader.coordinator.shared.restore(Object.fromEntries(leader.docs)),
    );
    assert.equal(reply.exit, 0, reply.message);
    assert.ok((await group.elected()).term! > highest);
  },
  false,
);

sim('a backup of the whole API that is put back is noticed', async ({ group, leader, kube }) => {
  await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
  const putBack = kube.objects.backUp();
  for (let i = 2; i < 10; i++) await group.settle(leader.commit(batch({ 'epoch/x.': i })));
  await group.agree({ 'epoch/x.': 9 });
  putBack();
  kube.endWatches();
  await group.until(group.all('restored'), 'all notice', 10_000);
  await group.pass(20_000);
  assert.equal(group.actor, undefined);
  const [b] = group.others(leader) as [Member, Member];
  const reply = await group.settle(b.coordinator.shared.restore(Object.fromEntries(b.docs)));
  assert.equal(reply.exit, 0, reply.message);
  await group.elected();
  await group.agree({ 'epoch/x.': 9 });
});

sim('what another replica knows of the head counts as well', async ({ group, leader }) => {
  await group.settle(leader.commit(batch({ 'epoch/x.': 7 })));
  const { number } = leader.memory!;
  for (const one of group.members) one.coordinator.highest({ head: number, term: 0 }, 'd');
  await group.pass(5000);
  assert.equal(group.actor, leader, 'the same is no news');
  leader.coordinator.highest({ head: number + 5, term: 3_000_047 }, 'd');
  await group.until(() => group.actor === undefined, 'nobody acts', 5000);
  assert.equal(leader.word, 'restored');
  assert.match(leader.sentence, /replica d knows number/);
  await group.until(group.all('restored'), 'nor anybody else', 10_000);
  const docs = Object.fromEntries(leader.docs);
  const reply = await group.settle(leader.coordinator.shared.restore(docs));
  assert.equal(reply.exit, 0, reply.message);
  const { term, head } = leader.coordinator.head;
  assert.ok(term > 3_000_047 && head > number + 5, `restored at (${term}, ${head})`);
});

sim('two that restore at once do not leave a mixture', async ({ group, leader, kube }) => {
  await group.settle(leader.commit(batch({ 'epoch/x.': 7 })));
  await group.agree({ 'epoch/x.': 7 });
  kube.objects.edit('secrets', SECRET, (now) => ({ ...now, data: {} }));
  await group.until(group.all('restored'), 'all notice');
  const [a, b] = group.members as [Member, Member, Member];
  const docs = (by: number) =>
    Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`epoch/${i}.`, by]));
  const both = [a, b].map((one, i) => one.coordinator.shared.restore(docs(i)));
  const replies = await group.settle(Promise.all(both));
  assert.deepEqual(replies.map(({ exit }) => exit).sort(), [0, 1]);
  const actor = await group.elected();
  await group.pass(3000);
  assert.equal(new Set([...actor.docs.values()]).size, 1);
  assert.equal(actor.docs.size, 50);
});

sim('with a key that is being changed the group goes on', async ({ group, leader }) => {
  const next = 'n'.repeat(43);
  await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
  for (const one of group.members) one.keys = [KEY, next];
  for (const one of group.members) {
    one.keys = [next, KEY];
    await group.pass(3000);
    const actor = await group.elected();
    await group.settle(actor.commit(batch({ [`epoch/${one.name}.`]: 1 })));
  }
  await group.agree({ 'epoch/x.': 1, 'epoch/a.': 1, 'epoch/b.': 1, 'epoch/c.': 1 });
});

sim('watches that are deaf or forgotten only cost time', async ({ group, leader, kube, link }) => {
  for (const one of group.members) link(one).isDeaf = true;
  for (let i = 1; i <= 20; i++) await group.settle(leader.commit(batch({ 'epoch/x.': i })));
  kube.objects.forget();
  const has = () => group.members.every((one) => one.docs.get('epoch/x.') === 20);
  await group.until(has, 'all have it', 100_000);
  leader.body.die();
  await group.until(() => group.actor !== undefined, 'another acts', TTL_MS + 2 * TTL_MS);
});

// ---------------------------------------------------------------- all of it at once

test('whatever happens together, one acts at most and nothing committed is forgotten', async () => {
  for (let seed = 1; seed <= 20; seed++) await storm(seed);
});

async function storm(seed: number): Promise<void> {
  const world = new SimWorld(seed);
  const group = new Group(world);
  for (const one of group.members) one.start();
  await group.elected();
  const { chance, kube } = world;
  let sent = 0;
  let confirmed = 0;
  for (let step = 0; step < 40; step++) {
    const one = chance.pick(group.members);
    const { process, link } = one.body as SimBody;
    const on = chance.is(0.4);
    switch (chance.int(0, 8)) {
      case 0:
        kube.isDown = on;
        break;
      case 1:
        kube.endWatches();
        break;
      case 2:
        kube.objects.forget();
        break;
      case 3:
        link.isCut = on;
        break;
      case 4:
        process.pause(chance.spread(50, 9000), chance.is(0.5));
        break;
      case 5:
        link.loseReplies = chance.int(0, 3);
        break;
      case 6:
        kube.slowMs = chance.pick([0, 0, 300, 2000]);
        break;
      case 7:
        if (process.alive && on) process.die();
        else if (!process.alive) one.start();
        break;
      default:
        process.wallOffMs += chance.int(-5_000_000, 5_000_000);
    }
    const { actor } = group;
    if (actor !== undefined) {
      const next = ++sent;
      void actor.commit(batch({ 'epoch/x.': next })).then((outcome) => {
        if (outcome.kind === 'committed') confirmed = Math.max(confirmed, next);
      });
    }
    await group.pass(chance.spread(5, 4000));
    assert.equal(group.overlaps, 0, `seed ${seed}, step ${step}`);
  }
  kube.isDown = false;
  kube.slowMs = 0;
  for (const one of group.members) {
    one.body.cut(false);
    if (!one.body.isAlive) one.start();
  }
  await group.pass(15_000);
  const actor = await group.elected();
  const stands = (actor.docs.get('epoch/x.') ?? 0) as number;
  assert.ok(stands >= confirmed, `seed ${seed}: ${confirmed} was committed, ${stands} stands`);
  await group.agree(stands === 0 ? {} : { 'epoch/x.': stands });
  assert.deepEqual(
    group.members.flatMap(({ trouble }) => trouble),
    [],
    `seed ${seed}`,
  );
}
