// What must be so of every set of manifests that runs Detour in Kubernetes, by kustomize or by Helm,
// alone or in a group: never two of one name, shut in, with no more rights than it needs, and with a
// configuration that finds its state, its secrets and its doors. It must never look at what only one
// of them has: their labels and names are theirs.

import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { type Config, parseConfig, printProblem } from '../../src/config/config.ts';
import { tables } from '../../src/run/build.ts';
import { type Manifest, type Mode, oneOf } from './kustomize.ts';

/** A configuration by the real parser; a problem fails the test. */
export function configOf(text: string, replica: string | null): Config {
  const asked = replica === null ? null : ({ name: replica, by: '--replica' } as const);
  const parsed = parseConfig(text, 'detour.yaml', tables, asked);
  if (!parsed.ok) assert.fail(parsed.problems.map(printProblem).join('\n'));
  return parsed.config;
}

interface Named {
  readonly name: string;
}

// biome-ignore lint/suspicious/noExplicitAny: a manifest is what Kubernetes says it is.
type Spec = any;

const named = (list: readonly Named[], name: string): Spec =>
  list.find((one) => one.name === name) ?? assert.fail(`${name} is there`);

/** The text of detour.yaml in them. */
export function configIn(manifests: readonly Manifest[]): string {
  return manifests.find((m) => m.kind === 'ConfigMap')!['data']['detour.yaml'];
}

/** The replicas that the pods are. */
export function replicasOf(manifests: readonly Manifest[]): readonly (string | null)[] {
  const { metadata, spec } = manifests.find((m) => m.kind === 'StatefulSet')!;
  const [{ env }] = spec.template.spec.containers;
  const said = env.find((one: Named) => one.name === 'DETOUR_REPLICA');
  if (said === undefined) return [null];
  if (said.value !== undefined) return [said.value];
  assert.deepEqual(said.valueFrom, { fieldRef: { fieldPath: 'metadata.name' } });
  return Array.from({ length: spec.replicas }, (_, i) => `${metadata.name}-${i}`);
}

/** Fails where one of the rules is broken. `namespace`: where they are applied. */
export function obeyed(manifests: readonly Manifest[], mode: Mode, namespace: string): void {
  const sets = manifests.filter((m) => m.kind === 'StatefulSet');
  assert.equal(sets.length, 1);
  const { name } = sets[0]!.metadata;
  const set = sets[0]!['spec'];
  const pod = set.template.spec;
  assert.equal(pod.containers.length, 1);
  const [container] = pod.containers;
  assert.equal(set.replicas, mode === 'lease' ? 3 : 1);
  assert.deepEqual(
    manifests.filter((m) => ['Deployment', 'DaemonSet', 'Pod', 'Job'].includes(m.kind)),
    [],
    'of one name there is never a second pod',
  );
  shutIn(pod);
  asked(container);
  selected(manifests, set);
  for (const replica of replicasOf(manifests)) {
    found(configOf(configIn(manifests), replica), { manifests, set, name });
  }
  if (mode === 'lease') entitled(manifests, { pod, name, namespace });
  else {
    assert.equal(manifests.filter((m) => /^(Role|ClusterRole|Lease)/.test(m.kind)).length, 0);
    assert.equal(
      pod.volumes.some((v: Spec) => v.projected !== undefined),
      false,
    );
  }
}

function shutIn(pod: Spec): void {
  assert.equal(pod.automountServiceAccountToken, false);
  assert.equal(pod.enableServiceLinks, false);
  const { runAsNonRoot, runAsUser, runAsGroup, fsGroup, ...rest } = pod.securityContext;
  assert.deepEqual([runAsNonRoot, runAsGroup, fsGroup], [true, runAsUser, runAsUser]);
  const seccompProfile = { type: 'RuntimeDefault' };
  assert.deepEqual(rest, { fsGroupChangePolicy: 'OnRootMismatch', seccompProfile });
  const [container] = pod.containers;
  assert.deepEqual(container.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  });
  for (const field of ['hostNetwork', 'hostPID', 'hostIPC']) assert.equal(pod[field], undefined);
  assert.deepEqual(pod.dnsConfig, { options: [{ name: 'ndots', value: '1' }] });
  assert.ok(pod.terminationGracePeriodSeconds >= 30);
  assert.equal(container.envFrom, undefined);
  for (const env of container.env) {
    assert.ok(env.value ?? env.valueFrom?.fieldRef, `${env.name}: no secret by the environment`);
  }
  for (const mount of container.volumeMounts) assert.equal(mount.subPath, undefined, mount.name);
}

function asked(container: Spec): void {
  assert.deepEqual(container.args, ['run', '-c', '/etc/detour/config/detour.yaml']);
  assert.deepEqual(container.readinessProbe.httpGet, { path: '/readyz', port: 'http' });
  assert.deepEqual(Object.keys(container.livenessProbe.exec), ['command'], 'no shared door');
  assert.match(
    container.livenessProbe.exec.command.join(' '),
    /^node -e .*DETOUR_SOCKET.*\/v1\/alive/,
  );
  assert.equal(container.resources.limits.cpu, undefined, 'throttled, it would be blind');
  assert.ok(container.resources.limits.memory && container.resources.requests.memory);
}

/** Everything that selects pods selects these, by what never changes. */
function selected(manifests: readonly Manifest[], set: Spec): void {
  const labels: Readonly<Record<string, string>> = set.template.metadata.labels;
  const own = set.selector.matchLabels;
  for (const [key, value] of Object.entries(own)) assert.equal(labels[key], value);
  assert.equal(Object.hasOwn(own, 'app.kubernetes.io/version'), false);
  const spreads = set.template.spec.topologySpreadConstraints ?? [];
  for (const { labelSelector } of spreads) assert.deepEqual(labelSelector.matchLabels, own);
  for (const { kind, spec, metadata } of manifests) {
    const what = `${kind} ${metadata.name}`;
    if (kind === 'Service') assert.deepEqual(spec.selector, own, what);
    if (kind === 'PodDisruptionBudget') assert.deepEqual(spec.selector.matchLabels, own, what);
    if (kind === 'NetworkPolicy') {
      assert.deepEqual(spec.podSelector.matchLabels, own, what);
      assert.deepEqual(spec.policyTypes, ['Ingress'], what);
    }
  }
  const readers = manifests
    .filter((m) => m.kind === 'NetworkPolicy')
    .flatMap(({ spec }) => spec.ingress)
    .filter(({ ports }) => ports.some(({ port }: { port: number }) => port === 9353));
  assert.equal(readers.length, 1);
  assert.ok(readers[0].from.length > 0, 'from somebody in particular');
}

interface Placed {
  readonly manifests: readonly Manifest[];
  readonly set: Spec;
  readonly name: string;
}

/** The configuration is good and finds its secrets, its state and its ports. */
function found(
  { stateDir, socket, listen, group }: Config,
  { manifests, set, name }: Placed,
): void {
  const pod = set.template.spec;
  const [container] = pod.containers;
  const at = (path: string): Named => {
    const mount = container.volumeMounts.find((m: { mountPath: string }) => m.mountPath === path);
    return mount ?? assert.fail(`something is mounted at ${path}`);
  };
  const volume = (path: string) => named(pod.volumes, at(path).name);
  const [claim] = set.volumeClaimTemplates;
  assert.equal(at(stateDir).name, claim.metadata.name);
  assert.equal(
    oneOf(manifests, 'ConfigMap', volume('/etc/detour/config').configMap.name).kind,
    'ConfigMap',
  );
  assert.ok(volume(dirname(socket)).emptyDir);
  assert.equal(named(container.env, 'DETOUR_SOCKET').value, socket);
  const secret = volume('/etc/detour/secrets').secret;
  assert.deepEqual([secret.defaultMode, secret.items], [0o440, undefined]);
  const text = configIn(manifests);
  assert.doesNotMatch(text, /\{ (env|credential): /);
  const files = [...text.matchAll(/\/etc\/detour\/(\S+?)[ ,}]/g)].map(([, path]) => path!);
  assert.ok(files.length > 2);
  for (const path of files) assert.match(path, /^secrets\/[\w.-]+$/);
  assert.match(listen!.host ?? '', /^(0\.0\.0\.0|::)$/);
  const ports = container.ports.map((p: { containerPort: number }) => p.containerPort);
  const own = group?.replicas[group.self];
  assert.deepEqual(ports.toSorted(), [...(own ? [own.port] : []), listen!.port].toSorted());
  const [http] = oneOf(manifests, 'Service', name)['spec'].ports;
  assert.deepEqual([http.name, http.port, http.targetPort], ['http', listen!.port, 'http']);
  const isOpen = (m: Manifest) => m.kind === 'Service' && m['spec'].publishNotReadyAddresses;
  const services = manifests.filter((m) => m.kind === 'Service');
  assert.ok(services.every(isOpen), 'before they hear each other none is ready');
  assert.equal(services.length, own ? 2 : 1);
}

interface Entitled {
  readonly pod: Spec;
  readonly name: string;
  readonly namespace: string;
}

/** It may read and write its own Lease and documents, and nothing else. */
function entitled(manifests: readonly Manifest[], { pod, name, namespace }: Entitled): void {
  const replicas = replicasOf(manifests) as readonly string[];
  const paths = new Set<number>();
  for (const replica of replicas) {
    const { group, core } = configOf(configIn(manifests), replica);
    const { engine } = group!;
    assert.ok(engine.kind === 'kubernetes');
    const { serviceName } = oneOf(manifests, 'StatefulSet', name)['spec'];
    const { host, port } = group!.replicas[replica]!;
    // The whole name: no search list completes it.
    assert.equal(host, `${replica}.${serviceName}.${namespace}.svc.cluster.local`);
    assert.deepEqual(Object.keys(group!.replicas), replicas);
    assert.equal(oneOf(manifests, 'Service', serviceName)['spec'].clusterIP, 'None');
    assert.equal(oneOf(manifests, 'Service', serviceName)['spec'].ports[0].port, port);
    const verbs = ['get', 'update', 'watch'];
    const lease = { apiGroups: ['coordination.k8s.io'], resources: ['leases'] };
    assert.deepEqual(oneOf(manifests, 'Role', name)['rules'], [
      { ...lease, resourceNames: [engine.lease], verbs },
      { apiGroups: [''], resources: ['secrets'], resourceNames: [engine.documents.name], verbs },
    ]);
    // They are there from the start, empty: nobody needs the right to make them.
    assert.equal(oneOf(manifests, 'Lease', engine.lease)['spec'], undefined);
    const documents = oneOf(manifests, 'Secret', engine.documents.name);
    assert.deepEqual([documents['data'], documents['stringData']], [undefined, undefined]);
    // One cluster is one place: its pods together are one vote, and others are needed.
    assert.equal(new Set(replicas.map((n) => core.paths[`${n}/direct`]!.group)).size, 1);
    paths.add(new Set(Object.values(core.paths).map((path) => path.group)).size);
  }
  assert.deepEqual([...paths], [3]);
  const { roleRef, subjects } = oneOf(manifests, 'RoleBinding', name);
  assert.deepEqual([roleRef.kind, roleRef.name], ['Role', name]);
  assert.equal(subjects.length, 1);
  assert.deepEqual(
    [subjects[0].kind, subjects[0].name],
    ['ServiceAccount', pod.serviceAccountName],
  );
  const account = oneOf(manifests, 'ServiceAccount', pod.serviceAccountName);
  assert.equal(account['automountServiceAccountToken'], false);
  // The token is mounted by hand, for this one container, and renewed.
  const { sources, defaultMode } = named(pod.volumes, 'api').projected;
  assert.equal(defaultMode, 0o440);
  assert.deepEqual(sources[0].serviceAccountToken, { path: 'token', expirationSeconds: 3600 });
  const mount = named(pod.containers[0].volumeMounts, 'api');
  assert.equal(mount.mountPath, '/var/run/secrets/kubernetes.io/serviceaccount');
  assert.equal(mount.readOnly, true);
  assert.equal(oneOf(manifests, 'PodDisruptionBudget', name)['spec'].maxUnavailable, 1);
  const keys = pod.topologySpreadConstraints.map((one: Spec) => one.topologyKey);
  assert.deepEqual(keys, ['kubernetes.io/hostname', 'topology.kubernetes.io/zone']);
}
