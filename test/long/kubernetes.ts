// A group by a Lease over a real kube-apiserver, which is built from Go modules once (some minutes,
// Go's proxy, a few hundred megabytes): the suite that the stand-ins pass, what the Role of the
// manifests allows and nothing more, what the real API refuses and the stand-in must refuse as
// well, and replicas as processes that are stopped, killed and ended while the API goes and comes
// back; then the manifests and the chart (kube-manifests.ts). `npm run test:kubernetes`; where there
// is no Go or no etcd it is skipped by name.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { KubeAccount } from '../../src/cluster/kube-api.ts';
import { startKubeApi } from '../parts/kube-api.ts';
import {
  type KubeApiserver,
  startKubeApiserver,
  withoutEtcdServer,
} from '../parts/kube-apiserver.ts';
import { canBuild, kubeApiserver } from '../parts/kube-build.ts';
import type { Any } from '../parts/kube-objects.ts';
import { conformance, LEASE, SECRET } from '../parts/kube-suite.ts';
import { RealWorld } from '../parts/kube-world.ts';
import { overlay } from '../parts/kustomize.ts';
import { until } from '../parts/listening.ts';
import { manifests } from './kube-manifests.ts';

const TTL_MS = 3000;
const without = canBuild() ? withoutEtcdServer : 'Go is not installed';
if (without !== false) {
  console.log(`skipped: kubernetes: ${without}`);
  process.exit(process.env['CI'] ? 1 : 0);
}

const wanted = ['ServiceAccount', 'Role', 'RoleBinding', 'Lease', 'Secret'];
const objects: readonly Any[] = overlay('lease').filter(({ kind }) => wanted.includes(kind));

const startedAt = performance.now();
const kube: KubeApiserver = await startKubeApiserver(kubeApiserver());
console.log(`kube-apiserver is ready after ${Math.round(performance.now() - startedAt)} ms`);
after(() => kube.stop());
await kube.apply(objects);

const paths: Readonly<Record<string, string>> = {
  leases: `/apis/coordination.k8s.io/v1/namespaces/${kube.namespace}/leases`,
  secrets: `/api/v1/namespaces/${kube.namespace}/secrets`,
  configmaps: `/api/v1/namespaces/${kube.namespace}/configmaps`,
};

async function get(resource: string, name: string): Promise<Any> {
  const { status, body } = await kube.ask('GET', `${paths[resource]}/${name}`);
  return status === 200 ? body : undefined;
}

/** As a person with all rights, whatever stands there meanwhile. */
async function set(resource: string, name: string, edit: (object: Any) => Any): Promise<void> {
  const kinds: Readonly<Record<string, string>> = { leases: 'Lease', secrets: 'Secret' };
  for (let tries = 0; ; tries++) {
    const before = await get(resource, name);
    const next = edit(before ?? { kind: kinds[resource], metadata: { name } });
    const path = `${paths[resource]}/${name}`;
    const { status, body } =
      next === null
        ? await kube.ask('DELETE', path)
        : before === undefined
          ? await kube.ask('POST', paths[resource]!, next)
          : await kube.ask('PUT', path, next);
    if (status < 300) return;
    assert.ok(status === 409 && tries < 20, JSON.stringify(body));
  }
}

/** The objects as the manifests make them, and accounts for these replicas. */
async function fresh(names: readonly string[]): Promise<ReadonlyMap<string, KubeAccount>> {
  for (const [resource, name] of [
    ['leases', LEASE],
    ['secrets', SECRET],
  ] as const) {
    await kube.ask('DELETE', `${paths[resource]}/${name}`);
  }
  await kube.apply(objects);
  const accounts = await Promise.all(
    names.map(async (name) => [name, await kube.account(name)] as const),
  );
  return new Map(accounts);
}

conformance('a real kube-apiserver', async () => {
  const accounts = await fresh(['a', 'b', 'c', 'd']);
  const account = (name: string) => accounts.get(name)!;
  return new RealWorld({ ttlMs: TTL_MS, slackMs: 3000, account, get, set, close: async () => {} });
}, [1]);

// ---------------------------------------------------------------- rights

test('the Role allows what is asked for, of just these objects, and nothing else', async () => {
  const { tokenFile } = (await fresh(['a'])).get('a')!;
  const token = readFileSync(tokenFile, 'utf8');
  const ask = async (method: string, path: string, body?: object) =>
    (await kube.ask(method, path, body, token)).status;
  const watch = (name: string) =>
    `?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3D${name}&resourceVersion=0`;
  for (const [resource, name] of [
    ['leases', LEASE],
    ['secrets', SECRET],
  ] as const) {
    const path = paths[resource]!;
    const object = await get(resource, name);
    assert.equal(await ask('GET', `${path}/${name}`), 200);
    assert.equal(await ask('PUT', `${path}/${name}`, object), 200);
    assert.equal(await ask('GET', path + watch(name)), 200);
    for (const [method, where, body] of [
      ['GET', path],
      ['GET', `${path}?watch=1&timeoutSeconds=1`],
      ['GET', path + watch('another')],
      ['GET', `${path}/another`],
      ['PUT', `${path}/another`, { ...object, metadata: { name: 'another' } }],
      ['POST', path, { ...object, metadata: { name: 'another' } }],
      ['DELETE', `${path}/${name}`],
      ['DELETE', path],
    ] as const) {
      assert.equal(await ask(method, where, body), 403, `${method} ${where}`);
    }
  }
  for (const path of [
    paths['configmaps']!,
    `${paths['configmaps']}/detour`,
    `/api/v1/namespaces/${kube.namespace}/pods`,
    `/api/v1/namespaces/default/secrets/${SECRET}`,
    '/api/v1/nodes',
  ]) {
    assert.equal(await ask('GET', path), 403, path);
  }
});

// ---------------------------------------------------------------- the stand-in is as strict

type Ask = (method: string, path: string, body?: object) => Promise<number>;

/** What either API answers to what the coordinator must never rely on. */
async function strictness(ask: Ask, read: (resource: string, name: string) => Promise<Any>) {
  const said: Record<string, number> = {};
  const lease = await read('leases', LEASE);
  const secret = await read('secrets', SECRET);
  const put = async (what: string, resource: string, object: Any) => {
    said[what] = await ask('PUT', `${paths[resource]}/${object.metadata.name}`, object);
  };
  const spec = (fields: object) => ({ ...lease, spec: { ...lease.spec, ...fields } });
  const meta = (object: Any, fields: object) => {
    return { ...object, metadata: { ...object.metadata, ...fields } };
  };
  await put('a Lease without a version', 'leases', meta(lease, { resourceVersion: undefined }));
  await put('an old version of a Lease', 'leases', meta(lease, { resourceVersion: '1' }));
  await put('another uid of a Lease', 'leases', meta(lease, { uid: 'another' }));
  await put('milliseconds', 'leases', spec({ renewTime: '2026-01-01T00:00:00.000Z' }));
  await put('microseconds', 'leases', spec({ renewTime: '2026-01-01T00:00:00.000000Z' }));
  await put('no duration', 'leases', {
    ...(await read('leases', LEASE)),
    spec: { leaseDurationSeconds: 0 },
  });
  await put('less than no transitions', 'leases', {
    ...(await read('leases', LEASE)),
    spec: { leaseTransitions: -1 },
  });
  await put('a Lease of another name', 'leases', meta(lease, { name: 'another' }));
  await put('an old version of a Secret', 'secrets', meta(secret, { resourceVersion: '1' }));
  await put('a Secret without a version', 'secrets', {
    ...meta(secret, { resourceVersion: undefined }),
    data: { x: 'eA==' },
  });
  const now = await read('secrets', SECRET);
  const large = (bytes: number) => ({
    ...now,
    data: { x: Buffer.alloc(bytes).toString('base64') },
  });
  await put('more than 1 MiB', 'secrets', large(1_048_577));
  await put('no base64', 'secrets', { ...now, data: { x: '?' } });
  await put('no key', 'secrets', { ...now, data: { 'a/b': 'eA==' } });
  await put('1 MiB', 'secrets', large(1_048_576));
  said['made twice'] = await ask('POST', paths['secrets']!, {
    kind: 'Secret',
    metadata: { name: SECRET },
  });
  const before = (await read('leases', LEASE)).metadata.resourceVersion;
  await put('the same again', 'leases', await read('leases', LEASE));
  const isNew = (await read('leases', LEASE)).metadata.resourceVersion !== before;
  said['the same again is a new version'] = Number(isNew);
  return said;
}

test('the stand-in answers what the real API answers', async () => {
  await fresh([]);
  const real = await strictness(
    async (method, path, body) => (await kube.ask(method, path, body)).status,
    get,
  );
  const standIn = await startKubeApi(kube.namespace);
  try {
    const account = standIn.account('person');
    for (const { kind, ...rest } of objects) {
      if (kind === 'Lease') standIn.set('leases', LEASE, () => ({ kind, ...rest }));
      if (kind === 'Secret') standIn.set('secrets', SECRET, () => ({ kind, ...rest }));
    }
    const ask: Ask = async (method, path, body) =>
      (await plain(account, method, path, body)).status;
    const read = async (resource: string, name: string) => standIn.get(resource, name);
    assert.deepEqual(await strictness(ask, read), real);
  } finally {
    await standIn.stop();
  }
  console.log(`what the API answers: ${JSON.stringify(real)}`);
});

async function plain(account: KubeAccount, method: string, path: string, body?: object) {
  const { request } = await import('node:https');
  const token = readFileSync(account.tokenFile, 'utf8').trim();
  return new Promise<{ status: number }>((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const { host, port, caFile } = account;
    const options = { host, port, method, path, headers, ca: readFileSync(caFile), agent: false };
    const asked = request(options, (response) => {
      response.resume();
      response.on('end', () => resolve({ status: response.statusCode ?? 0 }));
    });
    asked.on('error', reject);
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

// ---------------------------------------------------------------- replicas as processes

interface Said {
  readonly at: number;
  readonly acts?: boolean;
  readonly commit?: number;
  readonly kind?: string;
  readonly event?: { readonly kind: string; readonly term?: number; readonly word?: string | null };
  readonly trouble?: string;
  readonly ended?: true;
}

class Replica {
  readonly name: string;
  readonly said: Said[] = [];
  readonly child: ChildProcess;

  constructor(name: string, account: KubeAccount) {
    this.name = name;
    const program = fileURLToPath(new URL('../parts/kube-replica.ts', import.meta.url));
    const orders = JSON.stringify({ name, account, ttlMs: TTL_MS });
    this.child = spawn(process.execPath, [program, orders], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    createInterface({ input: this.child.stdout! }).on('line', (line) => {
      this.said.push(JSON.parse(line) as Said);
    });
  }

  /** When it last said that it may act, in milliseconds ago. */
  get isActing(): boolean {
    const last = this.said.findLast(({ acts }) => acts !== undefined);
    return last?.acts === true && performance.timeOrigin + performance.now() - last.at < 200;
  }

  get word(): string | null | undefined {
    return this.said.flatMap(({ event }) => (event?.kind === 'group' ? [event] : [])).at(-1)?.word;
  }

  get committed(): readonly number[] {
    return this.said.filter(({ kind }) => kind === 'committed').map(({ commit }) => commit!);
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGCONT');
    this.child.kill(signal);
    await ended;
  }
}

/** How often one said that it may act between two moments, at most 50 ms apart, of another's. */
function overlaps(replicas: readonly Replica[]): number {
  const momentsOf = ({ said }: Replica) => said.filter(({ acts }) => acts).map(({ at }) => at);
  let count = 0;
  for (const one of replicas) {
    const others = replicas.filter((other) => other !== one).flatMap(momentsOf);
    const own = momentsOf(one);
    own.forEach((to, i) => {
      const from = own[i - 1] ?? to;
      if (to - from > 50) return;
      count += others.filter((at) => at > from && at < to).length;
    });
  }
  return count;
}

/**
 * How long nobody said that he may act, after the last moment of one and before the first of
 * another.
 */
function gapMs(from: Replica, to: Replica): number {
  const last = from.said.filter(({ acts }) => acts).at(-1)!.at;
  const first = to.said.find(({ acts, at }) => acts && at > last);
  return Math.round(first!.at - last);
}

async function withReplicas(body: (replicas: readonly Replica[]) => Promise<void>): Promise<void> {
  const accounts = await fresh(['a', 'b']);
  const replicas = [...accounts].map(([name, account]) => new Replica(name, account));
  try {
    await body(replicas);
    assert.equal(overlaps(replicas), 0, 'more than one would have acted');
    const all = replicas.flatMap(({ committed }) => committed);
    assert.equal(new Set(all).size, all.length, 'each commit is over the one before, whoever’s');
    const trouble = replicas.flatMap(({ said }) => said.flatMap((one) => one.trouble ?? []));
    assert.deepEqual(trouble, []);
  } finally {
    for (const one of replicas) await one.end('SIGKILL');
  }
}

const acting = async (replicas: readonly Replica[]): Promise<readonly [Replica, Replica]> => {
  await until(() => replicas.some((one) => one.isActing), 'one acts', 30_000);
  const one = replicas.find(({ isActing }) => isActing)!;
  return [one, replicas.find((other) => other !== one)!];
};

test('processes: SIGTERM hands over at once', async () => {
  await withReplicas(async (replicas) => {
    const [one, other] = await acting(replicas);
    await until(() => one.committed.length > 3, 'it commits', 20_000);
    await one.end('SIGTERM');
    await until(() => other.isActing, 'the other acts', 20_000);
    console.log(`SIGTERM: nobody acted for ${gapMs(one, other)} ms`);
    assert.ok(gapMs(one, other) < 1000);
  });
});

test('processes: SIGSTOP and back is without the right, SIGKILL is waited out', async () => {
  await withReplicas(async (replicas) => {
    const [one, other] = await acting(replicas);
    await until(() => one.committed.length > 3, 'it commits', 20_000);
    one.child.kill('SIGSTOP');
    await until(() => other.isActing, 'the other acts', 30_000);
    console.log(`SIGSTOP: nobody acted for ${gapMs(one, other)} ms (lease ${TTL_MS} ms)`);
    assert.ok(gapMs(one, other) <= TTL_MS + 1500);
    await until(() => other.committed.length > 3, 'it commits', 20_000);
    const before = one.said.length;
    one.child.kill('SIGCONT');
    await until(
      () => one.said.slice(before).some(({ event }) => event?.kind === 'lost'),
      'it knows',
      20_000,
    );
    assert.ok(!one.said.slice(before).some(({ acts }) => acts), 'not for a moment');
    assert.ok(!one.said.slice(before).some(({ kind }) => kind === 'committed'));
    await other.end('SIGKILL');
    await until(() => one.isActing, 'the first acts again', 30_000);
    console.log(`SIGKILL: nobody acted for ${gapMs(other, one)} ms`);
    assert.ok(gapMs(other, one) <= TTL_MS + 1500);
  });
});

test('processes: the API stopped and back', async () => {
  await withReplicas(async (replicas) => {
    const [one] = await acting(replicas);
    await until(() => one.committed.length > 3, 'it commits', 20_000);
    const from = performance.now();
    await kube.kill();
    await until(() => !one.isActing, 'nobody acts', TTL_MS + 1000);
    console.log(`API gone: it stopped acting after ${Math.round(performance.now() - from)} ms`);
    await until(() => replicas.every(({ word }) => word === 'no-quorum'), 'both say so', 20_000);
    await new Promise((resolve) => setTimeout(resolve, 2 * TTL_MS));
    assert.ok(replicas.every(({ isActing }) => !isActing));
    const back = performance.now();
    await kube.restart();
    await until(() => replicas.some(({ isActing }) => isActing), 'one acts again', 30_000);
    console.log(`API back: one acted ${Math.round(performance.now() - back)} ms after its start`);
    await until(() => replicas.every(({ word }) => word === null), 'both are well', 20_000);
  });
});

test('processes: the token is renewed in its file while they run', async () => {
  await withReplicas(async (replicas) => {
    const [one] = await acting(replicas);
    const { tokenFile } = await kube.account('next');
    for (const { child } of replicas) {
      const { account } = JSON.parse(child.spawnargs.at(-1)!) as { account: KubeAccount };
      writeFileSync(account.tokenFile, readFileSync(tokenFile));
    }
    const terms = () => one.said.filter(({ event }) => event?.kind === 'held').length;
    const before = terms();
    const count = one.committed.length;
    await until(() => one.committed.length > count + 20, 'it goes on', 20_000);
    assert.equal(terms(), before);
  });
});

// ---------------------------------------------------------------- what is under deploy/

manifests(kube);
