// What is under deploy/ for Kubernetes: each way of running Detour there keeps the rules of
// parts/kube-rules.ts. The real kustomize, Helm and kube-apiserver are asked by
// test/long/kube-manifests.ts; nothing here starts anything.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { packageHelm } from '../../tools/package-helm.ts';
import { configIn, obeyed } from '../parts/kube-rules.ts';
import { modes, oneOf, overlay } from '../parts/kustomize.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

for (const mode of modes) {
  test(`kustomize, ${mode}: shut in, never two, and its configuration finds what it names`, () => {
    const manifests = overlay(mode);
    obeyed(manifests, mode, 'detour');
    // Only where the addresses name it is the namespace said.
    const spoken = new Set(manifests.map(({ metadata }) => metadata.namespace));
    assert.deepEqual([...spoken], [mode === 'lease' ? 'detour' : undefined]);
    const path = `deploy/kubernetes/overlays/${mode}`;
    assert.equal(configIn(manifests), read(`${path}/detour.yaml`));
    // The Secret that a person is told to make has just the keys that are named.
    const told = read(`${path}/kustomization.yaml`).matchAll(/--from-file=(\S+)/g);
    const wanted = read(`${path}/detour.yaml`).matchAll(/\/etc\/detour\/secrets\/([\w.-]+)/g);
    const keys = (found: Iterable<RegExpExecArray>) =>
      [...new Set([...found].map(([, key]) => key))].toSorted();
    assert.deepEqual(keys(told), keys(wanted));
  });
}

test('a pod and the unit are given the time that an orderly end takes, with a hand-over and the last notices', () => {
  const msOf = (path: string, name: string) => {
    const found = new RegExp(`^const ${name} = ([\\d_]+);$`, 'm').exec(read(path));
    return Number(found![1]!.replaceAll('_', ''));
  };
  const controller = 'src/controller.ts';
  const etcd = 2 * msOf('src/cluster/etcd.ts', 'CALL_MS');
  const engine = Math.max(etcd, msOf('src/cluster/kubernetes.ts', 'RELEASE_MS'));
  const own = msOf(controller, 'HAND_OVER_MS') + msOf(controller, 'STOP_GRACE_MS');
  const told = msOf('src/notify/channel.ts', 'graceMs');
  const doors = Number(/graceMs = (\d+)/.exec(read('src/serve/bounded.ts'))![1]);
  const pod = oneOf(overlay('etcd'), 'StatefulSet')['spec'].template.spec;
  assert.equal((engine + own + told + doors) / 1000, 18);
  assert.ok(pod.terminationGracePeriodSeconds > 18);
  const [, unit] = /^TimeoutStopSec=(\d+)$/m.exec(read('deploy/systemd/detour.service'))!;
  assert.ok(Number(unit) > 18);
});

// ---------------------------------------------------------------- Helm

const chart = 'deploy/helm/detour';

interface Schema {
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
}

/** `a.b` of every value that has a name of its own. */
function namesIn(values: object, at = ''): readonly string[] {
  return Object.entries(values).flatMap(([key, value]) => {
    const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
    const inner = isMap && Object.keys(value).length > 0 ? namesIn(value, `${at}${key}.`) : [];
    return inner.length > 0 ? inner : [`${at}${key}`];
  });
}

function namesOf({ properties }: Schema, at = ''): readonly string[] {
  return Object.entries(properties ?? {}).flatMap(([key, one]) =>
    one.properties ? namesOf(one, `${at}${key}.`) : [`${at}${key}`],
  );
}

test('the schema of the chart has every value, the values have all of the schema, each is used', () => {
  const values = parse(read(`${chart}/values.yaml`));
  const schema: Schema = JSON.parse(read(`${chart}/values.schema.json`));
  // What it holds is for Kubernetes to judge.
  const whole = new Set(['resources.requests.cpu', 'resources.requests.memory']);
  const named = namesIn(values).map((name) => (whole.has(name) ? 'resources.requests' : name));
  const known = namesOf(schema).filter((name) => name !== 'global');
  assert.ok(known.length > 25);
  assert.deepEqual([...new Set(named)].toSorted(), known.toSorted());
  const templates = readdirSync(join(root, chart, 'templates'))
    .map((name) => read(`${chart}/templates/${name}`))
    .join('\n');
  const used = [...templates.matchAll(/\.Values\.([\w.]+)/g)].map(([, name]) => name!);
  const covers = (use: string, name: string) => name === use || name.startsWith(`${use}.`);
  for (const use of used)
    assert.ok(
      known.some((name) => covers(use, name)),
      `.Values.${use}`,
    );
  for (const name of known)
    assert.ok(
      used.some((use) => covers(use, name)),
      `${name} is used`,
    );
});

test('the package of the chart has the version of package.json, and the alerts themselves', () => {
  const { version } = JSON.parse(read('package.json'));
  const { version: own, appVersion } = parse(read(`${chart}/Chart.yaml`));
  assert.deepEqual([own, appVersion], ['0.0.0', '0.0.0']);
  const alerts = realpathSync(join(root, chart, 'alerts.yaml'));
  assert.equal(alerts, realpathSync(join(root, 'deploy/prometheus/alerts.yaml')), 'no copy');
  const folder = mkdtempSync(join(tmpdir(), 'detour-chart-'));
  try {
    const made = packageHelm(folder, version);
    const inside = (name: string) =>
      execFileSync('tar', ['-xzOf', made, `detour/${name}`], { encoding: 'utf8', timeout: 30_000 });
    const said = parse(inside('Chart.yaml'));
    assert.deepEqual([said.version, said.appVersion], [version, version]);
    assert.equal(inside('alerts.yaml'), read('deploy/prometheus/alerts.yaml'));
    for (const name of ['values.yaml', 'values.schema.json', 'README.md', 'templates/NOTES.txt']) {
      assert.equal(inside(name), read(`${chart}/${name}`));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
