// `detour evict` against the lab's vendors, down to what a resolver is told from the root: out and back,
// what is refused, two operators at once, and a crash half way.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { createKeyring } from '../../src/cluster/keyring.ts';
import { closeAll } from '../../src/controller.ts';
import { parseDelegation } from '../../src/core/marker.ts';
import type { DelegationCommand, Json, Reply } from '../../src/core/model.ts';
import type { Resource } from '../../src/dns/wire.ts';
import { type Built, buildAdapters, loadConfig } from '../../src/run/build.ts';
import { createClock } from '../../src/run/clock.ts';
import { createEviction, type DelegationOrders } from '../../src/run/evict.ts';
import { hostsOf, parent, secrets, startWorld, type World, zone } from '../parts/delegation.ts';

let world: World;
let folder: string;
const open: Built[] = [];

before(async () => {
  Object.assign(process.env, secrets);
  // To load them holds everything up, name servers too: before, not in the middle of it.
  await Promise.all([import('@aws-sdk/client-route-53'), import('cloudflare')]);
});
after(() => {
  for (const name of Object.keys(secrets)) delete process.env[name];
});
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'detour-evict-'));
  world = await startWorld();
});
afterEach(async () => {
  for (const built of open.splice(0)) closeAll(built);
  await world.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Somebody at a terminal of their own: adapters that share nothing with another's. */
async function operator(text = world.text): Promise<Built> {
  const file = join(folder, `detour-${open.length}.yaml`);
  writeFileSync(file, `${text}stateDir: ${folder}\n`);
  const { config } = await loadConfig(file);
  const built = buildAdapters(config, createClock(0), { remember: false });
  open.push(built);
  return built;
}

const order = (
  kind: DelegationCommand['kind'],
  provider: string,
  more = {},
): DelegationCommand => ({
  ...{ kind, provider, zone: null, reason: 'a test', by: 'somebody', ...more },
});

let orders = 0;
const say = (who: Built, command: DelegationCommand): Promise<Reply> =>
  who.eviction(command, `order-${orders++}`);

/** What the name servers give follows what was written, a moment later. */
async function eventually(look: () => unknown, wanted: unknown): Promise<void> {
  const until = Date.now() + 5000;
  while (JSON.stringify(look()) !== JSON.stringify(wanted) && Date.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.deepEqual(look(), wanted);
}

const detailOf = (reply: Reply) => (reply.detail ?? {}) as Readonly<Record<string, Json>>;
const all = [...hostsOf('r53'), ...hostsOf('cf'), ...hostsOf('ali')].toSorted();
const two = [...hostsOf('r53'), ...hostsOf('cf')].toSorted();

function outAt(at: 'r53' | 'cf' | 'top', of: string): readonly string[] | null {
  const [text] = world.markers(at, of);
  return text === undefined ? null : (parseDelegation(text)?.out ?? assert.fail(text));
}

test('a vendor goes out of the delegation and of the apexes, and comes back', async () => {
  const me = await operator();
  assert.deepEqual(await world.seen(), all);
  const look = await say(me, order('evict', 'ali', { dryRun: true }));
  assert.equal(look.exit, 0, look.message);
  assert.match(
    look.message,
    /within 600 s, the TTL at the parent, or 3600 s by an apex; nothing was done/,
  );
  assert.deepEqual(await world.seen(), all, 'a look changes nothing');
  assert.deepEqual(world.markers('top', parent), []);

  const reply = await say(me, order('evict', 'ali'));
  assert.equal(reply.exit, 0, reply.message);
  assert.match(
    reply.message,
    /^ali is out of the delegation of gslb\.example\.net, epoch 1; written/,
  );
  assert.deepEqual(await world.seen(), two, 'two of three vendors are left');
  await eventually(() => world.apex('r53'), two);
  await eventually(() => world.apex('cf'), two);
  for (const [at, of] of [
    ['top', parent],
    ['r53', zone],
    ['cf', zone],
  ] as const) {
    await eventually(() => outAt(at, of), ['ali']);
  }
  for (const vendor of ['r53', 'cf'] as const) {
    const answer = world.vendors[vendor].zone(zone).get(`www.${zone}`, 'CNAME');
    assert.deepEqual(answer?.values, ['hz.shop.example.'], `${vendor} serves on`);
  }

  const back = await say(me, order('readmit', 'ali'));
  assert.equal(back.exit, 0, back.message);
  assert.deepEqual(await world.seen(), all);
  await eventually(() => world.apex('cf'), all);
  await eventually(() => world.apex('r53'), all);
  await eventually(() => outAt('top', parent), []);
  assert.equal(detailOf(back)['epoch'], 2);
});

test('a resolver that knew the old set asks by the new one once its TTL is over', async () => {
  const me = await operator();
  const resolver = world.resolver();
  assert.deepEqual(await resolver.asked(0), all);
  assert.equal((await say(me, order('evict', 'ali'))).exit, 0);
  await eventually(() => world.delegated(), two);
  assert.deepEqual(await resolver.asked(599_000), all, 'within the TTL it goes by what it knows');
  assert.deepEqual(await resolver.asked(601_000), two);
});

test('with the vendor whose API is dead, its servers are what the others do not name', async () => {
  const me = await operator();
  world.vendors.ali.fault('auth');
  const reply = await say(me, order('evict', 'ali'));
  assert.equal(reply.exit, 0, reply.message);
  await eventually(() => world.delegated(), two);
});

test('never below two vendors that answer', async () => {
  const me = await operator();
  for (const server of world.vendors.cf.servers) server.fault = 'hang';
  const reply = await say(me, order('evict', 'ali'));
  assert.equal(reply.exit, 1);
  assert.match(reply.message, /would be r53; cf did not answer for it: 2 vendors that answer/);
  for (const server of world.vendors.cf.servers) server.fault = null;
  assert.equal((await say(me, order('evict', 'ali'))).exit, 0);
  const more = await say(me, order('evict', 'cf'));
  assert.match(more.message, /without cf the delegation of gslb\.example\.net would be r53/);
  await eventually(() => world.delegated(), two);
});

test('two operators at once: one is heard, the other is told', async () => {
  const [me, you] = [await operator(), await operator()];
  const replies = await Promise.all([
    say(me, order('evict', 'ali')),
    say(you, order('evict', 'cf')),
  ]);
  const exits = replies.map((r) => r.exit).toSorted();
  assert.deepEqual(exits, [0, 1], replies.map((r) => r.message).join('\n'));
  const refused = replies.find((r) => r.exit === 1)!;
  assert.match(refused.message, /nothing was changed: the parent was not written|2 vendors/);
  assert.equal(world.delegated().length, 4, 'two vendors are left');
  assert.equal(world.markers('top', parent).length, 1);
});

test('half done: the parent is written, an apex is not; said again it goes on', async () => {
  const me = await operator();
  world.vendors.cf.fault('error', { operations: ['dns.records.batch'] });
  const half = await say(me, order('evict', 'ali'));
  assert.equal(half.exit, 3, half.message);
  assert.match(half.message, /the apex at cf is as it was: .*\n.*say `detour evict ali` again/);
  await eventually(() => world.delegated(), two);
  await eventually(() => world.apex('cf'), all);
  world.vendors.cf.fault(null);
  // Somebody else, who knows of it by the marker alone.
  const rest = await say(await operator(), order('evict', 'ali'));
  assert.equal(rest.exit, 0, rest.message);
  await eventually(() => world.apex('cf'), two);
  assert.equal(detailOf(rest)['epoch'], 1, 'the same order goes on, under its epoch');
  await eventually(() => world.markers('cf', zone), world.markers('top', parent));
  const third = await say(me, order('evict', 'ali'));
  assert.match(third.message, /nothing was left to write/);
});

test('who is not in step does not come back', async () => {
  const me = await operator();
  assert.equal((await say(me, order('evict', 'ali'))).exit, 0);
  for (const at of ['r53', 'cf'] as const) {
    world.vendors[at].edit(`www.${zone}`, 'CNAME', 'nrt.shop.example.', 60);
  }
  const until = Date.now() + 5000;
  for (;;) {
    const reply = await say(me, order('readmit', 'ali', { dryRun: true }));
    if (reply.exit === 1 && /gives hz\.shop\.example/.test(reply.message)) break;
    assert.ok(Date.now() < until, reply.message);
  }
  world.vendors.ali.edit(`www.${zone}`, 'CNAME', 'nrt.shop.example.', 60);
  for (;;) {
    const reply = await say(me, order('readmit', 'ali'));
    if (reply.exit === 0) break;
    assert.ok(Date.now() < until, reply.message);
  }
  await eventually(() => world.delegated(), all);
});

test('a marker of another cluster is left alone; one that nobody signed is written over', async () => {
  const me = await operator();
  const text = (cluster: string) =>
    `detour-delegation=1 cluster=${cluster} zone=${zone} epoch=7 id=abc out=none`;
  world.top.edit(`_detour-delegation.${parent}`, 'TXT', `"${text('other')}"`, 300);
  const refused = await say(me, order('evict', 'ali'));
  assert.match(refused.message, /the cluster other has the delegation/);
  await eventually(() => world.delegated(), all);
  world.top.edit(`_detour-delegation.${parent}`, 'TXT', `"${text('shop')}"`, 300);
  const reply = await say(me, order('evict', 'ali'));
  assert.equal(reply.exit, 0, reply.message);
  assert.equal(detailOf(reply)['epoch'], 1, 'a forged epoch counts for nothing');
});

/** An operator whose resolver says this of the delegation. */
async function told(ds: readonly Ds[] | null): Promise<DelegationOrders> {
  const { providers, verifier } = await operator();
  const file = join(folder, 'detour-0.yaml');
  const { config } = await loadConfig(file);
  const found = { kind: 'found', names: null, ttlSeconds: 600 } as const;
  const keyring = createKeyring([secrets['CLUSTER_KEY']!]);
  return createEviction({
    ...{ config, providers, verifier, records: config.core.records, keys: () => keyring },
    resolver: {
      delegation: async () =>
        ds === null ? { kind: 'unknown', detail: 'no answer' } : { ...found, ds },
      addresses: async () => ({ kind: 'unknown', detail: 'nobody is asked' }),
      nameServers: async () => ({ kind: 'unknown', detail: 'nobody is asked' }),
    },
    servers: async (provider) => world.vendors[provider as 'ali'].dns,
    texts: async () => null,
    clock: createClock(0),
    ...{ port: 53, timeoutMs: 500 },
  });
}

type Ds = Extract<Resource, { type: 'DS' }>;

test('a DS that those left do not sign by, or that could not be seen, refuses it', async () => {
  const digest = Buffer.alloc(32, 7);
  const ds: Ds = {
    ...{ type: 'DS', name: zone, ttl: 600, keyTag: 4711, algorithm: 13, digestType: 2, digest },
  };
  const signed = await (await told([ds]))(order('evict', 'ali'), 'one');
  assert.equal(signed.exit, 1);
  assert.match(signed.message, /who validates would not be served: .* serves it unsigned/);
  const unseen = await (await told(null))(order('evict', 'ali'), 'two');
  assert.match(unseen.message, /whether the parent has a DS could not be seen/);
  assert.deepEqual(world.delegated(), all);
  const plain = await (await told([]))(order('evict', 'ali'), 'three');
  assert.equal(plain.exit, 0, plain.message);
});

for (const kind of ['cf', 'ali'] as const) {
  test(`the parent at ${kind}: out and back, and of two operators one is heard`, async () => {
    await world.close();
    world = await startWorld(kind);
    const [me, you] = [await operator(), await operator()];
    const replies = await Promise.all([
      say(me, order('evict', 'ali')),
      say(you, order('evict', 'cf')),
    ]);
    assert.deepEqual(
      replies.map((r) => r.exit).toSorted(),
      [0, 1],
      replies.map((r) => r.message).join('\n'),
    );
    const [gone, left] = replies[0]!.exit === 0 ? ['ali', 'cf'] : ['cf', 'ali'];
    await eventually(
      () => world.delegated(),
      [...hostsOf('r53'), ...hostsOf(left as 'cf')].toSorted(),
    );
    const back = await say(you, order('readmit', gone!));
    assert.ok(back.exit === 0, back.message);
    await eventually(() => world.delegated(), all);
  });
}

test('what is wrong with an order is said before anything is asked', async () => {
  const me = await operator();
  const calls = world.vendors.r53.calls.length;
  assert.match((await say(me, order('evict', 'nobody'))).message, /provider "nobody"|nobody/);
  const other = await say(me, order('evict', 'ali', { zone: 'other.example' }));
  assert.equal(other.exit, 2);
  assert.equal(world.vendors.r53.calls.length, calls);
  const none = await operator(world.text.replace(/delegation:\n.*\n/, ''));
  assert.match(
    (await say(none, order('evict', 'ali'))).message,
    /under `delegation`; at a registrar/,
  );
});
