// What Detour relies on of an etcd, as one suite that a real one (three members, TLS, users and roles
// on) and the simulated one both pass: so that what is proven over the simulated one holds. What is
// the client's own (members that are silent, tokens that end, bodies without a bound) is tested too.

import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import {
  createGateway,
  type Gateway,
  type GatewayWord,
  type Got,
  type Txn,
  type WatchEvent,
} from '../../src/cluster/gateway.ts';
import { createClock } from '../../src/run/clock.ts';
import { type Etcd, startEtcd, withoutEtcd } from '../parts/etcd.ts';
import { until } from '../parts/listening.ts';
import { SimEtcd } from '../parts/sim-etcd.ts';
import { Chance } from '../sim/chance.ts';
import { Process, Timeline } from '../sim/clock.ts';

/** An etcd and two clients of it. */
interface Rig {
  readonly a: Gateway;
  readonly b: Gateway;
  /** Waits for a promise while time goes on. */
  settle<T>(promise: Promise<T>): Promise<T>;
  until(holds: () => boolean, what: string): Promise<void>;
  now(): number;
  compact(revision: number): void;
  /** A member stands still. */
  freeze(member: number, frozen: boolean): void;
  /** Uses up its room. */
  fill(): Promise<void>;
  stop(): Promise<void>;
}

const CALL_MS = 5000;
const prefix = 'detour/';

async function simRig(): Promise<Rig> {
  const timeline = new Timeline();
  const chance = new Chance(7);
  const etcd = new SimEtcd({ timeline, random: () => chance.next() });
  const client = (name: string) => {
    const process = new Process(name, timeline, chance);
    process.boot(0);
    return etcd.gateway(process, etcd.link());
  };
  const run = async (ms: number, isOver: () => boolean) => {
    const until = timeline.now + ms;
    while (timeline.now < until && !isOver())
      await timeline.run(timeline.now + 1, () => {}, isOver);
  };
  return {
    a: client('a'),
    b: client('b'),
    async settle(promise) {
      let isOver = false;
      const done = promise.finally(() => {
        isOver = true;
      });
      timeline.stirred = true;
      await run(60_000, () => isOver);
      assert.ok(isOver, 'it ends within a minute');
      return done;
    },
    async until(holds, what) {
      await run(30_000, holds);
      assert.ok(holds(), what);
    },
    now: () => timeline.now,
    compact: (revision) => etcd.compact(revision),
    freeze: (member, frozen) => etcd.pause(member, frozen),
    async fill() {
      etcd.isFull = true;
    },
    async stop() {},
  };
}

async function realRig(): Promise<Rig> {
  const etcd = await startEtcd({ quotaBytes: 4 * 1024 * 1024 });
  const a = client(etcd);
  const b = client(etcd);
  return {
    a,
    b,
    settle: (promise) => promise,
    async until(holds, what) {
      const giveUpAt = performance.now() + 30_000;
      while (!holds()) {
        assert.ok(performance.now() < giveUpAt, what);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    now: () => performance.now(),
    compact: (revision) => void etcd.ctl('compact', String(revision)),
    freeze: (member, frozen) => etcd.freeze(member, frozen),
    async fill() {
      const value = 'x'.repeat(200_000);
      for (let i = 0; i < 100; i++) {
        const got = await a.txn(put(`${prefix}fill${i}`, value), CALL_MS);
        if (!got.ok) return;
      }
    },
    async stop() {
      a.close();
      b.close();
      await etcd.stop();
    },
  };
}

function client(etcd: Etcd): Gateway {
  const { endpoints, ca, cert, key, user } = etcd;
  return createGateway({ endpoints, ca, cert, key, user, clock: createClock(0) });
}

const put = (key: string, value: string, lease?: string): Txn => ({
  compare: [],
  success: [{ kind: 'put', key, value, ...(lease === undefined ? {} : { lease }) }],
  failure: [],
});

function valued<T>(got: Got<T>): T {
  assert.ok(got.ok, got.ok ? '' : `${got.fault.kind}: ${got.fault.detail}`);
  return got.value;
}

function faulted(got: Got<unknown>): GatewayWord {
  assert.ok(!got.ok, 'it fails');
  return got.fault.kind;
}

for (const [name, make, skip] of [
  ['the simulated etcd', simRig, false],
  ['a real etcd of three members', realRig, withoutEtcd],
] as const) {
  describe(name, { skip }, () => {
    let rig: Rig;
    before(async () => {
      rig = await make();
    });
    after(() => rig?.stop());
    conformance(() => rig);
  });
}

function conformance(of: () => Rig): void {
  const txn = async (body: Txn, by: 'a' | 'b' = 'a') => of().settle(of()[by].txn(body, CALL_MS));
  const get = async (key: string) => {
    const got = await of().settle(of().b.range({ key }, CALL_MS));
    return valued(got).kvs[0] ?? null;
  };

  test('a transaction compares values, and create and mod revisions, 0 being no such key', async () => {
    const key = `${prefix}compared`;
    const absent = { key, target: 'create', revision: 0 } as const;
    const first: Txn = {
      compare: [absent, { key, target: 'mod', revision: 0 }],
      success: [{ kind: 'put', key, value: 'one' }],
      failure: [{ kind: 'range', key }],
    };
    const made = await txn(first);
    assert.equal(valued(made).succeeded, true);
    assert.ok(made.ok && made.header.revision > 1);
    const { revision } = made.header;
    const again = await txn(first, 'b');
    assert.equal(valued(again).succeeded, false);
    const [there] = valued(again).ranges[0]!;
    assert.deepEqual([there?.value, there?.createRevision], ['one', revision]);
    const next: Txn = {
      ...first,
      compare: [{ key, target: 'mod', revision }],
      success: [
        { kind: 'put', key, value: 'two' },
        { kind: 'delete', key: `${prefix}nothing` },
      ],
    };
    assert.equal(valued(await txn(next)).succeeded, true);
    assert.equal(valued(await txn(next)).succeeded, false);
    const holds = async (at: string, value: string) => {
      const compare = [{ key: at, target: 'value', value }] as const;
      return valued(await txn({ compare, success: [], failure: [] })).succeeded;
    };
    assert.deepEqual([await holds(key, 'two'), await holds(key, 'one')], [true, false]);
    assert.equal(await holds(`${prefix}nothing`, ''), false);
    const kv = await get(key);
    assert.equal(kv?.value, 'two');
    assert.equal(kv?.createRevision, revision);
    assert.equal(kv?.modRevision, revision + 1);
  });

  test('all writes of one transaction bear one revision, and a key made anew a new one', async () => {
    const [one, two] = [`${prefix}many/1`, `${prefix}many/2`];
    await txn({ ...put(one, 'x'), success: [...put(one, 'x').success, ...put(two, 'y').success] });
    const [a, b] = [await get(one), await get(two)];
    assert.equal(a?.modRevision, b?.modRevision);
    await txn({ compare: [], success: [{ kind: 'delete', key: one }], failure: [] });
    assert.equal(await get(one), null);
    await txn(put(one, 'x'));
    assert.ok((await get(one))!.createRevision > a!.createRevision + 1);
  });

  test('a range comes in pages that belong to one revision', async () => {
    const keys = Array.from({ length: 5 }, (_, i) => `${prefix}page/${i}`);
    for (const key of keys) await txn(put(key, key));
    const all = { key: `${prefix}page/`, end: `${prefix}page0` };
    const first = await of().settle(of().a.range({ ...all, limit: 3 }, CALL_MS));
    assert.ok(first.ok && first.value.more);
    const { revision } = first.header;
    await txn({ compare: [], success: [{ kind: 'delete', key: keys[4]! }], failure: [] });
    await txn(put(`${prefix}page/9`, 'new'));
    const from = `${first.value.kvs[2]!.key}\0`;
    const rest = await of().settle(
      of().b.range({ ...all, key: from, limit: 3, revision }, CALL_MS),
    );
    const found = [...first.value.kvs, ...valued(rest).kvs].map(({ key }) => key);
    assert.deepEqual(found, keys);
    assert.equal(valued(rest).more, false);
    const bare = await of().settle(of().a.range({ ...all, keysOnly: true }, CALL_MS));
    assert.deepEqual([...new Set(valued(bare).kvs.map(({ value }) => value))], ['']);
  });

  test('what one client has written the other reads', async () => {
    for (let i = 0; i < 20; i++) {
      const key = `${prefix}linear`;
      const wrote = await txn(put(key, `${i}`), i % 2 === 0 ? 'a' : 'b');
      const read = await of().settle(of()[i % 2 === 0 ? 'b' : 'a'].range({ key }, CALL_MS));
      assert.ok(wrote.ok && read.ok);
      assert.equal(read.value.kvs[0]?.value, `${i}`);
      assert.ok(read.header.revision >= wrote.header.revision);
      assert.equal(read.header.clusterId, wrote.header.clusterId);
      assert.ok(read.header.raftTerm > 0);
    }
  });

  test('a key goes with its lease, and a lease that is gone takes no key', async () => {
    const { a } = of();
    const { id, ttlMs } = valued(await of().settle(a.grant(30, CALL_MS)));
    assert.equal(ttlMs, 30_000);
    const key = `${prefix}leased`;
    await txn(put(key, 'x', id));
    assert.equal((await get(key))?.lease, id);
    assert.equal(valued(await of().settle(a.keepAlive(id, CALL_MS))).ttlMs, 30_000);
    assert.equal(valued(await of().settle(a.timeToLive(id, CALL_MS))).isThere, true);
    valued(await of().settle(a.revoke(id, CALL_MS)));
    assert.equal(valued(await of().settle(a.timeToLive(id, CALL_MS))).isThere, false);
    assert.equal(await get(key), null);
    assert.equal(valued(await of().settle(a.keepAlive(id, CALL_MS))).ttlMs, 0);
    assert.equal(faulted(await txn(put(key, 'x', id))), 'no-lease');
    assert.equal(faulted(await of().settle(a.revoke(id, CALL_MS))), 'no-lease');
  });

  test('a lease that nobody renews ends after its time, and not before', async () => {
    const { a } = of();
    const startedAt = of().now();
    const { id, ttlMs } = valued(await of().settle(a.grant(2, CALL_MS)));
    assert.ok(ttlMs >= 2000);
    const key = `${prefix}ending`;
    const made = await txn(put(key, 'x', id));
    assert.ok(made.ok);
    let goneAt: number | null = null;
    const from = { key, end: `${key}\0`, revision: made.header.revision };
    const cancel = of().b.watch(from, (event) => {
      if (event.kind !== 'changed') return;
      if (event.changes.some(({ kv }) => kv === null)) goneAt = of().now();
    });
    await of().until(() => goneAt !== null, 'the watch tells that it ended');
    cancel();
    assert.ok(goneAt! - startedAt >= ttlMs, `${goneAt! - startedAt} ms`);
    assert.equal(await get(key), null);
  });

  test('a watch tells all changes from a revision on, each transaction whole', async () => {
    const [one, two] = [`${prefix}seen/1`, `${prefix}seen/2`];
    const made = await txn(put(one, 'before'));
    assert.ok(made.ok);
    const events: WatchEvent[] = [];
    const from = { key: `${prefix}seen/`, end: `${prefix}seen0`, revision: made.header.revision };
    const cancel = of().b.watch(from, (event) => events.push(event));
    await of().until(() => events.some(({ kind }) => kind === 'begun'), 'it begins');
    await txn({ ...put(one, 'x'), success: [...put(one, 'x').success, ...put(two, 'y').success] });
    await txn(put(`${prefix}elsewhere`, 'x'));
    await txn({ compare: [], success: [{ kind: 'delete', key: one }], failure: [] });
    const changes = () => events.flatMap((e) => (e.kind === 'changed' ? e.changes : []));
    await of().until(() => changes().length >= 4, 'it tells them');
    cancel();
    assert.deepEqual(
      changes().map(({ key, kv }) => [key, kv?.value ?? null]),
      [
        [one, 'before'],
        [one, 'x'],
        [two, 'y'],
        [one, null],
      ],
    );
    const both = events.find(
      (e) => e.kind === 'changed' && e.changes.some((c) => c.kv?.value === 'x'),
    );
    assert.ok(both?.kind === 'changed' && both.changes.some((c) => c.kv?.value === 'y'));
    assert.equal(changes()[1]!.modRevision, changes()[2]!.modRevision);
    await txn(put(one, 'unseen'));
    assert.equal(changes().length, 4, 'one that was cancelled says no more');
  });

  test('what was compacted is neither watched nor read', async () => {
    const key = `${prefix}compacted`;
    const first = await txn(put(key, 'a'));
    await txn(put(key, 'b'));
    const last = await txn(put(key, 'c'));
    assert.ok(first.ok && last.ok);
    of().compact(last.header.revision);
    const { revision } = first.header;
    const old = await of().settle(of().a.range({ key, revision }, CALL_MS));
    assert.equal(faulted(old), 'invalid');
    const events: WatchEvent[] = [];
    of().a.watch({ key, end: `${key}\0`, revision }, (event) => events.push(event));
    await of().until(() => events.some(({ kind }) => kind === 'ended'), 'it ends');
    const ended = events.at(-1)!;
    assert.ok(ended.kind === 'ended' && ended.compacted);
    const since: WatchEvent[] = [];
    const from = { key, end: `${key}\0`, revision: last.header.revision };
    const cancel = of().a.watch(from, (event) => since.push(event));
    await of().until(() => since.some(({ kind }) => kind === 'changed'), 'the last one is there');
    cancel();
  });

  test('too many operations, and one key twice, are refused whole', async () => {
    const key = `${prefix}refused`;
    const many = Array.from({ length: 129 }, (_, i) => put(`${key}/${i}`, 'x').success).flat();
    assert.equal(faulted(await txn({ compare: [], success: many, failure: [] })), 'invalid');
    const twice: Txn = {
      compare: [],
      success: [...put(key, 'x').success, { kind: 'delete', key: prefix, end: `${prefix}~` }],
      failure: [],
    };
    assert.equal(faulted(await txn(twice)), 'invalid');
    assert.equal(await get(key), null);
    const all = many.slice(0, 128);
    assert.ok(valued(await txn({ compare: [], success: all, failure: [] })).succeeded);
  });

  test('one member that stands still holds nobody up', async () => {
    for (const member of [0, 1, 2]) {
      of().freeze(member, true);
      // One is waited for a second; whoever leads etcd is followed by another within two elections.
      const got = await txn(put(`${prefix}still`, `${member}`));
      of().freeze(member, false);
      assert.ok(got.ok, got.ok ? '' : got.fault.detail);
    }
  });

  test('without a majority a call ends at its deadline, and nobody says that it was not done', async () => {
    of().freeze(1, true);
    of().freeze(2, true);
    let startedAt = of().now();
    let wrote = await txn(put(`${prefix}lone`, 'x'));
    // A member is told to stand still, and does a moment later.
    for (let i = 0; i < 1000 && wrote.ok; i++) {
      startedAt = of().now();
      wrote = await txn(put(`${prefix}lone`, 'x'));
    }
    const tookMs = of().now() - startedAt;
    of().freeze(1, false);
    of().freeze(2, false);
    assert.equal(faulted(wrote), 'uncertain');
    assert.ok(tookMs >= CALL_MS - 100 && tookMs < 3 * CALL_MS, `${tookMs} ms`);
    const read = await of().settle(of().b.range({ key: `${prefix}lone` }, 15_000));
    assert.ok(read.ok, 'it comes back');
  });

  test('without room nothing is put, and what is there can be removed', async () => {
    await of().fill();
    const { a, b } = of();
    assert.equal(faulted(await txn(put(`${prefix}more`, 'x'))), 'full');
    assert.equal(faulted(await of().settle(a.grant(10, CALL_MS))), 'full');
    assert.equal(valued(await of().settle(b.status(CALL_MS))).isFull, true);
    const remove = { kind: 'delete', key: `${prefix}linear` } as const;
    valued(await txn({ compare: [], success: [remove], failure: [] }));
    assert.equal(await get(remove.key), null);
  });
}

// ---------------------------------------------------------------- the client's own

test('who may not is told so, and neither password nor token stands in what is said', {
  skip: withoutEtcd,
}, async () => {
  const etcd = await startEtcd({ members: 1 });
  const { endpoints, ca, cert, key, user } = etcd;
  const options = { endpoints, ca, cert, key, clock: createClock(0) };
  const wrong = createGateway({ ...options, user: { ...user, password: 'wrong-one-of-mine' } });
  const right = createGateway({ ...options, user });
  const nobody = createGateway(options);
  try {
    const refused = await wrong.range({ key: prefix }, CALL_MS);
    assert.ok(!refused.ok && refused.fault.kind === 'refused');
    assert.match(refused.fault.detail, /user detour/);
    assert.doesNotMatch(refused.fault.detail, /wrong-one/);
    assert.equal(faulted(await nobody.range({ key: prefix }, CALL_MS)), 'refused');
    assert.equal(faulted(await right.range({ key: 'elsewhere' }, CALL_MS)), 'refused');
    assert.ok((await right.range({ key: prefix }, CALL_MS)).ok);
    // Every change of users and roles ends the tokens that were given out before.
    etcd.ctl('role', 'add', 'another');
    assert.ok((await right.range({ key: prefix }, CALL_MS)).ok);
    await etcd.kill(0);
    await etcd.restart(0);
    assert.ok((await right.range({ key: prefix }, CALL_MS)).ok, 'a new life knows no old token');
    const other = createGateway({ ...options, ca: cert, user });
    const untrusted = await other.range({ key: prefix }, CALL_MS);
    other.close();
    assert.equal(faulted(untrusted), 'unavailable');
  } finally {
    for (const one of [wrong, right, nobody]) one.close();
    await etcd.stop();
  }
});

test('a token of before a backup was put back, for which etcd waits, is replaced', {
  skip: withoutEtcd,
}, async () => {
  const etcd = await startEtcd({ members: 1 });
  const { endpoints, ca, cert, key, user } = etcd;
  const gateway = createGateway({ endpoints, ca, cert, key, user, clock: createClock(0) });
  const put = { kind: 'put', key: `${prefix}x`, value: 'x' } as const;
  const write = () => gateway.txn({ compare: [], success: [put], failure: [] }, 1000);
  try {
    await etcd.backUp();
    for (let i = 0; i < 50; i++) assert.ok((await write()).ok);
    // A token bears etcd's own index, and is held against what that has come to.
    etcd.ctl('role', 'add', 'another');
    assert.ok((await write()).ok);
    await etcd.restore();
    await until(async () => (await write()).ok, 'it is let in again', 20_000);
  } finally {
    gateway.close();
    await etcd.stop();
  }
});

/** Servers that answer as they like, and a gateway to them. */
async function withServers(
  answers: readonly RequestListener[],
  work: (gateway: Gateway) => Promise<void>,
  user?: { readonly name: string; readonly password: string },
): Promise<void> {
  const servers = answers.map((answer) => createServer(answer));
  for (const server of servers) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  }
  const endpoints = servers.map((server) => {
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  const gateway = createGateway({
    endpoints,
    clock: createClock(0),
    ...(user === undefined ? {} : { user }),
  });
  try {
    await work(gateway);
  } finally {
    gateway.close();
    for (const server of servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }
}

const header = { cluster_id: '9', revision: '5', raft_term: '2' };

test('a member that fails, is silent or breaks off is passed over for the next', async () => {
  const well: RequestListener = (_, response) => response.end(JSON.stringify({ header }));
  const ill: readonly RequestListener[] = [
    (_, response) => response.writeHead(503).end('{"error":"no leader","code":14}'),
    (_, response) => response.destroy(),
    () => {},
    (_, response) => response.writeHead(200, { 'content-length': '99' }).end('{'),
  ];
  for (const one of ill) {
    let asked = 0;
    const counted: RequestListener = (request, response) => {
      asked++;
      one(request, response);
    };
    await withServers([counted, well], async (gateway) => {
      const got = await gateway.range({ key: 'x' }, CALL_MS);
      assert.ok(got.ok && got.header.clusterId === '9');
      assert.ok((await gateway.range({ key: 'x' }, CALL_MS)).ok);
      assert.equal(asked, 1, 'whoever answered last is asked first');
    });
  }
});

test('a refusal by the second says nothing of what the first may have done', async () => {
  const full: RequestListener = (_, response) => {
    response.writeHead(429).end('{"error":"mvcc: database space exceeded","code":8}');
  };
  await withServers([() => {}, full], async (gateway) => {
    assert.equal(faulted(await gateway.txn(put('x', 'y'), CALL_MS)), 'uncertain');
  });
  await withServers([full], async (gateway) => {
    assert.equal(faulted(await gateway.txn(put('x', 'y'), CALL_MS)), 'full');
  });
});

test('an answer without an end is not read to its end', async () => {
  const endless: RequestListener = (_, response) => {
    const chunk = Buffer.alloc(1_048_576, 'x');
    const more = () => {
      while (!response.destroyed && response.write(chunk));
      response.once('drain', more);
    };
    more();
  };
  await withServers([endless], async (gateway) => {
    assert.equal(faulted(await gateway.range({ key: 'x' }, CALL_MS)), 'uncertain');
    const events: WatchEvent[] = [];
    await new Promise<void>((resolve) => {
      gateway.watch({ key: 'x', end: 'y', revision: 1 }, (event) => {
        events.push(event);
        resolve();
      });
    });
    assert.equal(events[0]?.kind, 'ended');
  });
});

test('what a server echoes of our secrets is not passed on', async () => {
  const user = { name: 'detour', password: 'secret-of-mine' };
  const echo: RequestListener = (request, response) => {
    const { authorization } = request.headers;
    const isLogin = request.url === '/v3/auth/authenticate';
    const error = `denied: ${authorization} secret-of-mine`;
    if (!isLogin) response.writeHead(authorization ? 400 : 401);
    response.end(JSON.stringify(isLogin ? { header, token: 'token-of-mine' } : { error }));
  };
  await withServers(
    [echo],
    async (gateway) => {
      const got = await gateway.range({ key: 'x' }, CALL_MS);
      assert.ok(!got.ok);
      assert.match(got.fault.detail, /^denied/);
      assert.doesNotMatch(got.fault.detail, /of-mine/);
    },
    user,
  );
});

test('nobody at all is surely not done, and said within the deadline', async () => {
  const gateway = createGateway({ endpoints: ['http://127.0.0.1:1'], clock: createClock(0) });
  assert.equal(faulted(await gateway.txn(put('x', 'y'), 1000)), 'unavailable');
  gateway.close();
});
