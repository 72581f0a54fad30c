// What is under deploy/ for a group of replicas: units and manifests that agree with the configurations
// beside them, ask for no more than they need, and let no two daemons act at once by themselves. The
// etcd is in etcd.test.ts; nothing here starts anything but systemd-analyze, which reads files.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse, parseAllDocuments } from 'yaml';
import { type Config, parseConfig, printProblem } from '../../src/config/config.ts';
import { tables } from '../../src/run/build.ts';

const deploy = fileURLToPath(new URL('../../deploy', import.meta.url));
const read = (path: string) => readFileSync(join(deploy, path), 'utf8');

function configOf(text: string, name: string): Config {
  const parsed = parseConfig(text, 'detour.yaml', tables, { name, by: '--replica' });
  if (!parsed.ok) assert.fail(parsed.problems.map(printProblem).join('\n'));
  return parsed.config;
}

// ---------------------------------------------------------------- systemd

const units = ['detour.service', 'detour-etcd.service', 'detour-etcd-backup.service'];
const onPath = (process.env['PATH'] ?? '').split(':');
const hasAnalyze = onPath.some((d) => existsSync(join(d, 'systemd-analyze')));
const skip = hasAnalyze || process.env['CI'] ? false : 'systemd-analyze is not installed';

test('systemd takes the units of a group, and finds little to object to', { skip }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'detour-units-'));
  after(() => rmSync(directory, { recursive: true, force: true }));
  cpSync(join(deploy, 'systemd'), directory, { recursive: true });
  // Programs that this machine need not have.
  for (const unit of units) {
    const text = read(`systemd/${unit}`).replace(
      /^ExecStart=\/usr\/bin\/\w+/m,
      'ExecStart=/bin/true',
    );
    writeFileSync(join(directory, unit), text);
  }
  const analyze = (...args: readonly string[]) => {
    const done = spawnSync('systemd-analyze', args, { encoding: 'utf8', timeout: 60_000 });
    return { status: done.status, said: `${done.stdout}${done.stderr}` };
  };
  for (const unit of [...units, 'detour-etcd-backup.timer']) {
    const { status, said } = analyze('verify', '--man=no', join(directory, unit));
    assert.equal(status, 0, said);
    assert.doesNotMatch(said, /detour/, said);
  }
  for (const unit of units) {
    const file = join(directory, unit);
    assert.equal(analyze('security', '--offline=true', '--threshold=25', file).status, 0, unit);
  }
  writeFileSync(join(directory, 'detour.service.d', 'group.conf'), '[Service]\nLoadCredentail=x\n');
  assert.match(analyze('verify', '--man=no', join(directory, 'detour.service')).said, /Credentail/);
});

test('the units of a group hand the daemon what its configuration names', () => {
  const named = [...read('group.yaml').matchAll(/\{ credential: ([a-z-]+) \}/g)].map(([, n]) => n);
  const text = read('systemd/detour.service') + read('systemd/detour.service.d/group.conf');
  assert.ok(named.length > 3);
  assert.match(text, /^LoadCredential=detour:\/etc\/detour\/credentials$/m, 'all that lie there');
  assert.match(text, /^EnvironmentFile=\/etc\/detour\/replica\.env$/m);
  assert.doesNotMatch(
    text,
    /^Requires=/m,
    'with its own member down a replica works by the others',
  );
  const backup = read('systemd/detour-etcd-backup.service');
  const run = /^ExecStart=\/bin\/sh \/etc\/detour-etcd\/(\S+) \/var\/lib\/(\S+) /m.exec(backup)!;
  assert.ok(existsSync(join(deploy, 'etcd', run[1]!)));
  assert.equal(/^StateDirectory=(.+)$/m.exec(backup)![1], run[2]);
});

test('every script of etcd is one that sh takes, and says how it is used when it is used wrongly', () => {
  for (const name of ['certificates.sh', 'users.sh', 'backup.sh', 'restore.sh']) {
    const path = join(deploy, 'etcd', name);
    assert.equal(spawnSync('sh', ['-n', path]).status, 0, name);
    const done = spawnSync('sh', [path], { encoding: 'utf8' });
    assert.equal(done.status, 2, name);
    assert.ok(done.stderr.includes(`${name} `), done.stderr);
    assert.doesNotMatch(done.stderr, /^set -eu/m, 'its head, and no more');
  }
});

// ---------------------------------------------------------------- Kubernetes

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  // biome-ignore lint/suspicious/noExplicitAny: a manifest is what Kubernetes says it is.
  readonly [key: string]: any;
}

const manifests = parseAllDocuments(read('kubernetes/group.yaml')).map((document) => {
  assert.deepEqual(document.errors, []);
  return document.toJS() as Manifest;
});
const one = (kind: string, name = 'detour'): Manifest => {
  const found = manifests.filter((m) => m.kind === kind && m.metadata.name === name);
  assert.equal(found.length, 1, `one ${kind} ${name}`);
  return found[0]!;
};
const text: string = one('ConfigMap')['data']['detour.yaml'];
const set = one('StatefulSet')['spec'];
const pod = set.template.spec;
const [container] = pod.containers;

test('in Kubernetes each pod is one of the replicas, by its name, where the others reach it', () => {
  for (const m of manifests) assert.equal(m.metadata.namespace, undefined, 'no namespace is named');
  const names = Array.from({ length: set.replicas }, (_, i) => `detour-${i}`);
  assert.deepEqual(Object.keys(parse(text).replicas), names);
  const replica = container.env.find((e: { name: string }) => e.name === 'DETOUR_REPLICA');
  assert.deepEqual(replica.valueFrom, { fieldRef: { fieldPath: 'metadata.name' } });
  const service = one('Service', set.serviceName)['spec'];
  assert.equal(service.clusterIP, 'None');
  assert.equal(service.publishNotReadyAddresses, true, 'before they hear each other none is ready');
  for (const name of names) {
    const { group, core, socket, listen } = configOf(text, name);
    const { host, port } = group!.replicas[name]!;
    assert.equal(host, `${name}.${set.serviceName}`);
    assert.deepEqual(group!.listen, { host: null, port });
    const ports = container.ports.map((p: { containerPort: number }) => p.containerPort);
    assert.deepEqual(ports, [listen!.port, port]);
    assert.equal(service.ports[0].port, port);
    assert.equal(core.group!.self, name);
    const env = container.env.find((e: { name: string }) => e.name === 'DETOUR_SOCKET');
    assert.equal(env.value, socket);
    // One cluster is one place: its pods together are one vote, and others are needed.
    assert.equal(new Set(names.map((n) => core.paths[`${n}/direct`]!.group)).size, 1);
    assert.equal(new Set(Object.values(core.paths).map((path) => path.group)).size, 3);
  }
  const labels = set.template.metadata.labels;
  for (const selector of [
    set.selector.matchLabels,
    service.selector,
    one('Service')['spec'].selector,
    one('PodDisruptionBudget')['spec'].selector.matchLabels,
    one('NetworkPolicy')['spec'].podSelector.matchLabels,
  ]) {
    assert.deepEqual(selector, labels);
  }
  assert.equal(one('PodDisruptionBudget')['spec'].maxUnavailable, 1);
});

test('in Kubernetes a group may read and write its own Lease and documents, and nothing else', () => {
  const { engine } = configOf(text, 'detour-0').group!;
  assert.ok(engine.kind === 'kubernetes');
  assert.deepEqual(one('Role')['rules'], [
    {
      ...{ apiGroups: ['coordination.k8s.io'], resources: ['leases'] },
      ...{ resourceNames: [engine.lease], verbs: ['get', 'update', 'watch'] },
    },
    {
      ...{ apiGroups: [''], resources: ['secrets'] },
      ...{ resourceNames: [engine.documents.name], verbs: ['get', 'update', 'watch'] },
    },
  ]);
  // They are there from the start, empty: nobody needs the right to make them.
  assert.equal(one('Lease', engine.lease)['spec'], undefined);
  const documents = one('Secret', engine.documents.name);
  assert.deepEqual([documents['data'], documents['stringData']], [undefined, undefined]);
  const { roleRef, subjects } = one('RoleBinding');
  assert.equal(roleRef.name, one('Role').metadata.name);
  assert.deepEqual(subjects, [{ kind: 'ServiceAccount', name: pod.serviceAccountName }]);
  // The token is mounted by hand, for this one container, and renewed.
  assert.equal(pod.automountServiceAccountToken, false);
  const api = pod.volumes.find((v: { name: string }) => v.name === 'api').projected.sources;
  assert.deepEqual(api[0].serviceAccountToken, { path: 'token', expirationSeconds: 3600 });
  const mount = container.volumeMounts.find((m: { name: string }) => m.name === 'api');
  assert.equal(mount.mountPath, '/var/run/secrets/kubernetes.io/serviceaccount');
  assert.equal(mount.readOnly, true);
});

test('in Kubernetes a pod of a group is shut in as the one alone is', () => {
  const alone = parseAllDocuments(read('kubernetes/detour.yaml'))
    .map((d) => d.toJS() as Manifest)
    .find((m) => m.kind === 'Deployment')!['spec'].template.spec;
  const [other] = alone.containers;
  assert.deepEqual(pod.securityContext, alone.securityContext);
  for (const key of ['image', 'args', 'readinessProbe', 'livenessProbe', 'resources']) {
    assert.deepEqual(container[key], other[key], key);
  }
  assert.deepEqual(container.securityContext, other.securityContext);
  assert.equal(container.envFrom, undefined);
  for (const env of container.env) assert.equal(env.valueFrom?.secretKeyRef, undefined, env.name);
  for (const mount of container.volumeMounts) assert.equal(mount.subPath, undefined, mount.name);
  const secrets = (spec: Manifest['spec']) =>
    spec.volumes.find((v: { name: string }) => v.name === 'secrets');
  assert.deepEqual(secrets(pod), secrets(alone));
  const policy = one('NetworkPolicy')['spec'];
  assert.deepEqual(policy.policyTypes, ['Ingress']);
  const [readers, replicas] = policy.ingress;
  assert.deepEqual(readers.ports, [{ protocol: 'TCP', port: 9353 }]);
  assert.deepEqual(replicas, {
    from: [{ podSelector: { matchLabels: set.template.metadata.labels } }],
    ports: [{ protocol: 'TCP', port: 7947 }],
  });
});
