// The thin client of the Kubernetes API over real HTTPS, and a group by it with exactly the rights
// that deploy/kubernetes/overlays/lease gives: tokens that end, rights that are missing, an API that is
// slow, silent, overloaded or not the one it should be, versions that it no longer knows, answers
// without end.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  createKubeApi,
  type KubeAccount,
  type KubeAnswer,
  type KubeApi,
  type KubeEvent,
  podAccount,
} from '../../src/cluster/kube-api.ts';
import { createClock } from '../../src/run/clock.ts';
import { startKubeApi } from '../parts/kube-api.ts';
import type { Any } from '../parts/kube-objects.ts';
import { batch, committed, conformance, Group, LEASE, SECRET } from '../parts/kube-suite.ts';
import { RealWorld } from '../parts/kube-world.ts';
import { oneOf, overlay } from '../parts/kustomize.ts';
import { closedPort, createCertificates, until, withServer } from '../parts/listening.ts';

const clock = createClock(0);
const TTL_MS = 2000;

type Kube = Awaited<ReturnType<typeof startKubeApi>>;

/** An API with one client of its own. */
async function withApi(body: (api: KubeApi, kube: Kube, account: KubeAccount) => Promise<void>) {
  const kube = await startKubeApi();
  const account = kube.account('a');
  const api = createKubeApi(account, clock);
  try {
    await body(api, kube, account);
  } finally {
    api.close();
    await kube.stop();
  }
}

const wordOf = (answer: KubeAnswer) => (answer.ok ? 'ok' : answer.word);
const object = (answer: KubeAnswer): Any => {
  assert.ok(answer.ok, JSON.stringify(answer));
  return answer.object;
};
const secret = (value: string) => ({
  metadata: { name: SECRET },
  data: { x: Buffer.from(value).toString('base64') },
});

test('an object is made once, and written only over the version that was read', async () => {
  await withApi(async (api, kube) => {
    assert.equal(wordOf(await api.get('secret', SECRET, 2000)), 'missing');
    const first = object(await api.create('secret', secret('1'), 2000));
    assert.equal(wordOf(await api.create('secret', secret('1'), 2000)), 'conflict');
    const second = object(
      await api.put('secret', { ...first, ...secret('2'), metadata: first.metadata }, 2000),
    );
    assert.notEqual(second.metadata.resourceVersion, first.metadata.resourceVersion);
    assert.equal(second.metadata.uid, first.metadata.uid);
    const stale = { ...first, data: secret('3').data };
    assert.equal(wordOf(await api.put('secret', stale, 2000)), 'conflict');
    assert.deepEqual(object(await api.get('secret', SECRET, 2000)), second);
    // Made anew under the same name, it is another.
    kube.set('secrets', SECRET, () => null);
    assert.equal(wordOf(await api.put('secret', second, 2000)), 'conflict');
    kube.set('secrets', SECRET, () => ({ kind: 'Secret', ...secret('9') }));
    const now = kube.get('secrets', SECRET);
    const { resourceVersion } = now.metadata;
    const other = { ...second, metadata: { ...second.metadata, resourceVersion } };
    assert.equal(wordOf(await api.put('secret', other, 2000)), 'conflict');
    // What the API would take is never sent.
    const { resourceVersion: _, ...blind } = now.metadata;
    assert.throws(() => void api.put('secret', { ...now, metadata: blind }, 2000), /blind update/);
  });
});

test('a token renewed in its file is taken at the next call, and told to nobody', async () => {
  await withApi(async (api, kube, { tokenFile }) => {
    assert.equal(wordOf(await api.get('lease', LEASE, 2000)), 'missing');
    const old = readFileSync(tokenFile, 'utf8').trim();
    kube.rotate('a');
    assert.equal(wordOf(await api.get('lease', LEASE, 2000)), 'missing');
    writeFileSync(tokenFile, `${old}\n`);
    const refused = await api.get('lease', LEASE, 2000);
    assert.equal(wordOf(refused), 'refused');
    assert.ok(!JSON.stringify(refused).includes(old));
    writeFileSync(tokenFile, '');
    const unread = await api.get('lease', LEASE, 2000);
    assert.equal(wordOf(unread), 'refused');
    assert.match(unread.ok ? '' : unread.detail, /service account: file .*token is empty/);
  });
});

test('every call ends within its deadline, and says whether it may have been done', async () => {
  await withApi(async (api, kube, account) => {
    const made = object(await api.create('secret', secret('1'), 2000));
    let next = { ...made, data: secret('0').data };
    const faults = [
      ['silent', 'unavailable', 'uncertain'],
      ['lose-reply', 'unavailable', 'uncertain'],
      ['done-500', 'unavailable', 'uncertain'],
      [503, 'unavailable', 'uncertain'],
      // It says that it did nothing.
      [429, 'unavailable', 'unavailable'],
    ] as const;
    for (const [fault, get, put] of faults) {
      kube.fault(() => fault);
      const from = performance.now();
      next = { ...kube.get('secrets', SECRET), data: secret(String(fault)).data };
      assert.equal(wordOf(await api.get('secret', SECRET, 300)), get, String(fault));
      assert.equal(wordOf(await api.put('secret', next, 300)), put, String(fault));
      assert.ok(performance.now() - from < 2000);
    }
    kube.fault(() => undefined);
    // Some of them were done, though none said so.
    assert.deepEqual(kube.get('secrets', SECRET).data, secret('done-500').data);
    kube.fault(() => ({ lateMs: 150 }));
    assert.equal(wordOf(await api.get('secret', SECRET, 2000)), 'ok');
    // Nobody is there: it is surely not done.
    const gone = createKubeApi({ ...account, port: await closedPort() }, clock);
    assert.equal(wordOf(await gone.put('secret', next, 2000)), 'unavailable');
    gone.close();
  });
});

test('nothing is sent to a server that the cluster’s CA does not vouch for', async () => {
  const certificates = createCertificates();
  try {
    const other = certificates.certificate('other', 'IP:127.0.0.1', -1, 1);
    await withApi(async (_, kube, account) => {
      const caFile = join(certificates.scratch, 'ca.crt');
      writeFileSync(caFile, other.cert);
      const api = createKubeApi({ ...account, caFile }, clock);
      const answer = await api.put(
        'lease',
        { metadata: { name: LEASE, resourceVersion: '1' } },
        2000,
      );
      assert.equal(wordOf(answer), 'unavailable');
      assert.equal(kube.asked.length, 0);
      // The CA is rotated: its file is read again.
      writeFileSync(caFile, readFileSync(account.caFile));
      assert.equal(wordOf(await api.get('lease', LEASE, 2000)), 'missing');
      api.close();
    });
  } finally {
    certificates.remove();
  }
});

test('an answer without end is cut off, and one that is no object says nothing', async () => {
  const certificates = createCertificates();
  const { key, cert, ca } = certificates.certificate('kubernetes', 'IP:127.0.0.1', -1, 1);
  let answer = '';
  const server = createServer({ key, cert }, (_, response) => {
    if (answer !== 'endless') return response.end(answer);
    const more = () => {
      while (!response.destroyed && response.write('x'.repeat(65_536)));
      response.once('drain', more);
    };
    more();
    return response;
  });
  await withServer(server, async (port) => {
    const tokenFile = join(certificates.scratch, 'token');
    writeFileSync(tokenFile, 'secret-token');
    const account = { host: '127.0.0.1', port, namespace: 'shop', tokenFile, caFile: ca };
    const api = createKubeApi(account, clock);
    for (answer of ['endless', 'no json', '[]', '{}', '{"metadata":{"name":"x"}}']) {
      const got = await api.get('secret', SECRET, 5000);
      assert.equal(wordOf(got), 'unavailable', answer);
    }
    const events: KubeEvent[] = [];
    answer = 'endless';
    api.watch('secret', SECRET, '1', (event) => void events.push(event));
    await until(() => events.length > 0, 'the watch ends');
    assert.equal(events[0]!.kind, 'ended');
    api.close();
  });
  certificates.remove();
});

test('a watch tells of its object alone, and ends where versions are forgotten', async () => {
  await withApi(async (api, kube) => {
    const made = object(await api.create('secret', secret('1'), 2000));
    const events: KubeEvent[] = [];
    const version = made.metadata.resourceVersion;
    const stop = api.watch('secret', SECRET, version, (event) => void events.push(event));
    await until(() => kube.asked.some(({ verb }) => verb === 'watch'), 'it is open');
    kube.set('secrets', 'other', () => ({ kind: 'Secret', metadata: { name: 'other' } }));
    kube.set('secrets', SECRET, (now) => ({ ...now, data: secret('2').data }));
    kube.set('secrets', SECRET, () => null);
    await until(() => events.length === 2, 'both are told');
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['changed', 'gone'],
    );
    // Bookmarks came meanwhile, and are no change.
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.equal(events.length, 2);
    kube.endWatches();
    await until(() => events.length === 3, 'its end is told');
    assert.equal(events[2]!.kind, 'ended');
    stop();
    kube.forget();
    const late: KubeEvent[] = [];
    api.watch('secret', SECRET, version, (event) => void late.push(event));
    await until(() => late.length === 1, 'too old');
    assert.match(late[0]!.kind === 'ended' ? late[0]!.detail : '', /too old resource version/);
    const none: KubeEvent[] = [];
    kube.rules([]);
    api.watch('secret', SECRET, version, (event) => void none.push(event));
    await until(() => none.length === 1, 'forbidden');
    assert.match(none[0]!.kind === 'ended' ? none[0]!.detail : '', /HTTP 403 .*cannot watch/);
  });
});

test('what a pod is given is read from its files; outside of one the cure is said', () => {
  const env = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '6443' };
  const certificates = createCertificates();
  writeFileSync(join(certificates.scratch, 'namespace'), 'shop');
  const { scratch } = certificates;
  assert.deepEqual(podAccount(env, null, scratch), {
    ...{ host: '10.0.0.1', port: 6443, namespace: 'shop' },
    ...{ tokenFile: join(scratch, 'token'), caFile: join(scratch, 'ca.crt') },
  });
  assert.equal(podAccount(env, 'other', scratch).namespace, 'other');
  assert.throws(() => podAccount({}, null, scratch), /not those of a pod: .*group\.etcd/);
  const wrong = { ...env, KUBERNETES_SERVICE_PORT: 'tcp' };
  assert.throws(() => podAccount(wrong, null, scratch), /not those of a pod/);
  certificates.remove();
  assert.throws(() => podAccount(env, null, scratch), /namespace is not there/);
});

// ---------------------------------------------------------------- with the manifests' rights

const manifests = overlay('lease');
const one = (kind: string, name: string): Any => oneOf(manifests, kind, name);

/** A group of two whose API gives just what the manifests give. */
async function withGroup(body: (group: Group, kube: Kube) => Promise<void>, isMade = true) {
  const kube = await startKubeApi();
  kube.rules(one('Role', 'detour').rules);
  const apply = () => {
    kube.set('leases', LEASE, () => one('Lease', LEASE));
    kube.set('secrets', SECRET, () => one('Secret', SECRET));
  };
  if (isMade) apply();
  const world = new RealWorld({
    ...{ ttlMs: TTL_MS, slackMs: 2000, account: (name) => kube.account(name) },
    get: async (resource, name) => kube.get(resource, name),
    set: async (resource, name, edit) => kube.set(resource, name, edit),
    close: () => kube.stop(),
  });
  const group = new Group(world, ['a', 'b']);
  try {
    for (const member of group.members) member.start();
    await body(group, kube);
    assert.equal(group.overlaps, 0);
  } finally {
    await group.stop();
  }
}

test('the Role of the manifests suffices, also as tokens and pods are renewed', async () => {
  await withGroup(async (group, kube) => {
    const leader = await group.elected();
    await group.until(group.all(null), 'all are well');
    assert.deepEqual(await group.settle(leader.commit(batch({ 'epoch/x.': 1 }))), committed);
    const { term } = leader;
    for (const { name } of group.members) kube.rotate(name);
    await group.pass(2 * TTL_MS);
    assert.equal(leader.term, term, 'no renewal was missed');
    // As at SIGTERM: it says goodbye, and the other is there at once.
    leader.coordinator.close();
    const other = group.members.find((member) => member !== leader)!;
    const tookMs = await group.until(() => other.mayAct, 'the other acts', 2000);
    assert.ok(tookMs < TTL_MS / 2, `${tookMs} ms`);
    await group.agree({ 'epoch/x.': 1 });
    const { labels } = kube.get('secrets', SECRET).metadata;
    assert.deepEqual(labels, one('Secret', SECRET).metadata.labels, 'what was there stays');
    const verbs = new Set(kube.asked.map(({ verb }) => verb));
    assert.deepEqual([...verbs].sort(), ['get', 'update', 'watch']);
  });
});

test('without the objects or the rights nobody acts, and it is said what to apply', async () => {
  await withGroup(async (group, kube) => {
    await group.until(group.all('refused'), 'all say so');
    for (const { sentence } of group.members)
      assert.match(sentence, /apply deploy\/kubernetes\/overlays\/lease/);
    const [lease, documents] = one('Role', 'detour').rules;
    kube.set('leases', LEASE, () => one('Lease', LEASE));
    kube.set('secrets', SECRET, () => one('Secret', SECRET));
    await group.elected();
    await group.until(group.all(null), 'all are well');
    // The right to write the documents is taken away, then the right to renew.
    kube.rules([lease, { ...documents, verbs: ['get', 'watch'] }]);
    const leader = group.actor!;
    const outcome = await group.settle(leader.commit(batch({ 'epoch/x.': 1 })));
    assert.equal(outcome.kind, 'refused');
    await group.until(() => leader.word === 'refused', 'it says so');
    assert.match(leader.sentence, /cannot be written: HTTP 403 .*cannot update resource "secrets"/);
    kube.rules([{ ...lease, verbs: ['get'] }, documents]);
    await group.until(() => group.actor === undefined, 'nobody acts');
    await group.until(group.all('refused'), 'all say so');
    assert.match(leader.sentence, /does not let this replica update the Lease detour/);
    kube.rules([lease, documents]);
    await group.elected();
    await group.until(group.all(null), 'all are well');
  }, false);
});

test('an API that says 500 and 429, and one that restarts, are lived through', async () => {
  await withGroup(async (group, kube) => {
    const leader = await group.elected();
    let count = 0;
    kube.fault(
      () => ([undefined, 500, undefined, 429, undefined, 'done-500'] as const)[count++ % 6],
    );
    for (let i = 0; i < 5; i++) {
      const outcome = await group.settle(leader.commit(batch({ 'epoch/x.': i })));
      assert.deepEqual(outcome, committed);
    }
    kube.fault(() => undefined);
    kube.forget();
    kube.endWatches();
    await group.agree({ 'epoch/x.': 4 });
    await group.pass(TTL_MS);
    assert.equal(group.actor, leader);
  });
});

// ---------------------------------------------------------------- the suite, by HTTPS

conformance(
  'the stand-in over HTTPS',
  async () => {
    const kube = await startKubeApi();
    return new RealWorld({
      // As short as a lease may be, in real time.
      ...{ ttlMs: TTL_MS, slackMs: 2000, account: (name) => kube.account(name) },
      get: async (resource, name) => kube.get(resource, name),
      set: async (resource, name, edit) => kube.set(resource, name, edit),
      close: () => kube.stop(),
    });
  },
  [1],
  5,
);
