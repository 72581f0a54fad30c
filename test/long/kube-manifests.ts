// What is under deploy/ for Kubernetes, by the real programs: kustomize and Helm render it, a real
// kube-apiserver takes it (strictly, with Pod Security `restricted`), installs it, and upgrades it
// from one version and one mode to the next. It must never pass over what either warns of.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { packageHelm } from '../../tools/package-helm.ts';
import type { KubeApiserver } from '../parts/kube-apiserver.ts';
import { helm, kubectl, operatorResources } from '../parts/kube-build.ts';
import { configIn, obeyed } from '../parts/kube-rules.ts';
import {
  documentsIn,
  type Manifest,
  type Mode,
  modes,
  oneOf,
  overlay,
  overlays,
} from '../parts/kustomize.ts';
import { createCertificates, until } from '../parts/listening.ts';
import { startPod, withoutPod } from '../parts/pod.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
/** One that comes after it. */
const next = '99.0.0';

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What differs between two renderings is not their order. */
const sorted = (manifests: readonly Manifest[]) =>
  manifests.toSorted((a, b) => idOf(a).localeCompare(idOf(b)));
const idOf = ({ kind, metadata }: Manifest) => `${kind} ${metadata.name}`;

interface Named {
  readonly name: string;
}

/** A list in which the API looks for names, whatever their order. */
const isNamed = (value: unknown): value is readonly Named[] =>
  Array.isArray(value) && value.every((one) => typeof one?.name === 'string');
const byName = (a: Named, b: Named) => a.name.localeCompare(b.name);

/** Registers the tests; the programs are built before the first of them. */
export function manifests(kube: KubeApiserver): void {
  describe('what is under deploy/', () => suite(kube));
}

function suite(kube: KubeApiserver): void {
  const { namespace } = kube;
  const home = mkdtempSync(join(tmpdir(), 'detour-manifests-'));
  after(() => rmSync(home, { recursive: true }));
  const env = { PATH: process.env['PATH'], HOME: home, KUBECONFIG: kube.kubeconfig };
  const run = (program: string, args: readonly string[], input = ''): Ran => {
    const options = { env, input, encoding: 'utf8', timeout: 120_000, cwd: root } as const;
    const { error, status, stdout, stderr } = spawnSync(program, args, options);
    if (error) throw error;
    return { status, stdout, stderr };
  };
  const good = (program: string, args: readonly string[], input = '') => {
    const done = run(program, args, input);
    assert.equal(done.status, 0, `${args.join(' ')}\n${done.stderr}`);
    return done;
  };
  const chart = packageHelm(home, version);
  const config = (mode: Mode) => `config=${join(overlays, mode, 'detour.yaml')}`;
  const valuesOf: Readonly<Record<Mode, readonly string[]>> = {
    single: ['--set-file', config('single')],
    lease: ['--set', 'mode=lease', '--set-file', config('lease')],
    etcd: ['--set', 'mode=etcd,etcd.replica=hz-1', '--set-file', config('etcd')],
  };
  const watched = '--set=serviceMonitor.enabled=true,prometheusRule.enabled=true';
  const template = (mode: Mode, ...more: readonly string[]) => {
    const args = ['template', 'detour', chart, '-n', namespace, ...valuesOf[mode], ...more];
    return documentsIn(good(helm(), args).stdout);
  };
  const dryRun = ['--server-side', '--dry-run=server', '--validate=strict', '-n', namespace];
  const toText = (objects: readonly Manifest[]) =>
    objects.map((object) => JSON.stringify(object)).join('\n---\n');
  /** Takes all of it, strictly and without a warning. */
  const taken = (objects: readonly Manifest[]) => {
    const done = good(kubectl(), ['apply', ...dryRun, '-f', '-'], toText(objects));
    assert.equal(done.stderr, '');
    assert.equal(done.stdout.trim().split('\n').length, objects.length);
  };
  const find = (kind: string, name = 'detour'): Manifest =>
    JSON.parse(good(kubectl(), ['get', kind, name, '-o', 'json']).stdout);

  before(() => {
    good(kubectl(), ['delete', '--ignore-not-found', '-k', join(overlays, 'lease')]);
    const level = 'pod-security.kubernetes.io';
    const labels = ['enforce', 'warn'].map((one) => `${level}/${one}=restricted`);
    good(kubectl(), ['label', 'namespace', namespace, ...labels]);
    // No controllers run here: what they make in every namespace is made by hand. The other one is
    // for pods that are tried alone.
    for (const name of ['default', 'detour']) good(kubectl(), ['create', 'serviceaccount', name]);
    const files = ['servicemonitors', 'prometheusrules'].map((name) =>
      join(operatorResources(), `monitoring.coreos.com_${name}.yaml`),
    );
    for (const file of files) good(kubectl(), ['apply', '--server-side', '-f', file]);
    good(kubectl(), ['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s']);
  });

  // -------------------------------------------------------------- rendered and taken

  const rendered = new Map<string, readonly Manifest[]>();
  for (const mode of modes) {
    test(`${mode}: the real kustomize makes what is looked at in npm test`, () => {
      const { stdout, stderr } = good(kubectl(), ['kustomize', join(overlays, mode)]);
      assert.equal(stderr, '');
      const objects = documentsIn(stdout);
      assert.deepEqual(sorted(objects), sorted(overlay(mode)));
      rendered.set(`kustomize ${mode}`, objects);
    });

    test(`${mode}: Helm makes a set that keeps the same rules`, () => {
      const objects = template(mode);
      obeyed(objects, mode, namespace);
      const all = template(mode, watched);
      assert.equal(all.length, objects.length + 2);
      rendered.set(`helm ${mode}`, all);
      // Beside one another: of another release nothing has the same name.
      const args = ['template', 'shop', chart, '-n', namespace, ...valuesOf.single];
      const names = documentsIn(good(helm(), args).stdout).map(({ metadata }) => metadata.name);
      for (const name of names) assert.match(name, /^shop-detour/);
    });
  }

  /** Without what is each way's own: labels and what selects by them, the name of the image. */
  const bare = (objects: readonly Manifest[]) =>
    sorted(objects).map((object) => {
      const { name } = object.metadata;
      const own = oneOf(objects, 'StatefulSet')['spec'].selector.matchLabels;
      const text = JSON.stringify({ ...object, metadata: { name } })
        .replaceAll(JSON.stringify(own), '"the pods"')
        .replaceAll(/"image":"[^"]*",("imagePullPolicy":"IfNotPresent",)?/g, '');
      return JSON.parse(text, (_, value) => (isNamed(value) ? value.toSorted(byName) : value));
    });

  for (const mode of modes) {
    test(`${mode}: kustomize and Helm make the same objects`, () => {
      const [ours, charts] = ['kustomize', 'helm'].map((how) => rendered.get(`${how} ${mode}`)!);
      const plain = charts!.filter(({ apiVersion }) => !apiVersion.startsWith('monitoring.'));
      assert.deepEqual(bare(plain), bare(ours!));
    });
  }

  for (const how of modes.flatMap((mode) => [`kustomize ${mode}`, `helm ${mode}`])) {
    test(`${how}: the API takes every object strictly, and the pod under \`restricted\``, () => {
      const objects = rendered.get(how)!;
      taken(objects);
      const misspelt = structuredClone(oneOf(objects, 'StatefulSet'));
      misspelt['spec'].template.spec.dnsConfg = {};
      const refused = run(kubectl(), ['apply', ...dryRun, '-f', '-'], toText([misspelt]));
      assert.match(refused.stderr, /dnsConfg/);
      assert.notEqual(refused.status, 0);
      const { spec } = oneOf(objects, 'StatefulSet')['spec'].template;
      const claim = { name: 'state', persistentVolumeClaim: { claimName: 'state-detour-0' } };
      const pod = {
        ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'detour-0', namespace } },
        spec: { ...spec, volumes: [...spec.volumes, claim] },
      };
      taken([pod]);
      for (const [loosened, says] of [
        [{ runAsNonRoot: false }, /runAsNonRoot/],
        [{ seccompProfile: undefined }, /seccompProfile/],
      ] as const) {
        const securityContext = { ...spec.securityContext, ...loosened };
        const open = { ...pod, spec: { ...pod.spec, securityContext } };
        const done = run(kubectl(), ['apply', ...dryRun, '-f', '-'], toText([open]));
        assert.match(done.stderr, /violates PodSecurity "restricted:latest"/);
        assert.match(done.stderr, says);
      }
    });
  }

  test('the API takes what comes of every value that the chart has, set to another', () => {
    const words = { 'example.org/team': 'edge' };
    const one = { matchLabels: { team: 'edge' } };
    const near = { topologyKey: 'kubernetes.io/hostname', labelSelector: one };
    const values = {
      secretName: 'keys',
      image: { repository: 'registry.example/detour', digest: `sha256:${'0'.repeat(64)}` },
      imagePullSecrets: [{ name: 'registry' }],
      etcd: { service: { type: 'NodePort', annotations: words }, from: [{ podSelector: one }] },
      state: { size: '2Gi', storageClassName: 'fast', accessMode: 'ReadWriteOncePod' },
      resources: { requests: { cpu: '1', memory: '1Gi' }, limits: { memory: '2Gi' } },
      ...{ podAnnotations: words, podLabels: { team: 'edge' }, nodeSelector: { pool: 'edge' } },
      tolerations: [{ key: 'edge', operator: 'Exists' }],
      affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [near] } },
      ...{ priorityClassName: 'high', terminationGracePeriodSeconds: 60 },
      networkPolicy: { readers: [{ podSelector: one }] },
      serviceMonitor: { enabled: true, interval: '10s', labels: { release: 'prometheus' } },
      prometheusRule: { enabled: true, labels: { release: 'prometheus' } },
    };
    const file = join(home, 'values.json');
    writeFileSync(file, JSON.stringify(values));
    for (const mode of modes) {
      const objects = template(mode, '-f', file);
      obeyed(objects, mode, namespace);
      taken(objects);
      // Each of them is somewhere in it.
      const text = JSON.stringify(objects);
      const said = JSON.stringify(mode === 'etcd' ? values : { ...values, etcd: {} });
      for (const [, word] of said.matchAll(/[:[]"([^"]+)"/g)) assert.ok(text.includes(word!), word);
    }
    const without = '--set=networkPolicy.enabled=false,podDisruptionBudget.enabled=false';
    const kinds = template('lease', without).map(({ kind }) => kind);
    for (const kind of ['NetworkPolicy', 'PodDisruptionBudget']) assert.ok(!kinds.includes(kind));
  });

  test('the rules of the chart are those of deploy/prometheus, for its own job', () => {
    const file = parse(readFileSync(join(root, 'deploy/prometheus/alerts.yaml'), 'utf8'));
    assert.deepEqual(oneOf(template('single', watched), 'PrometheusRule')['spec'], file);
    const args = ['template', 'shop', chart, '-n', namespace, ...valuesOf.single, watched];
    const shop = documentsIn(good(helm(), args).stdout);
    const spoken = JSON.stringify(oneOf(shop, 'PrometheusRule', 'shop-detour')['spec']);
    assert.match(spoken, /up\{job=\\"shop-detour\\"\}/);
    assert.doesNotMatch(spoken, /job=\\"detour\\"/);
    assert.equal(oneOf(shop, 'Service', 'shop-detour').kind, 'Service');
    // Where the link to them is not followed, nothing is left out in silence.
    const without = join(home, 'without');
    mkdirSync(without);
    good('tar', ['-xzf', chart, '-C', without, '--exclude=alerts.yaml']);
    const at = join(without, 'detour');
    const done = run(helm(), ['template', 'x', at, ...valuesOf.single, watched]);
    assert.match(done.stderr, /the chart has no alerts\.yaml: take it from a package/);
  });

  test('the chart is one that Helm likes, packed or not, of the version of package.json', () => {
    // It renders as another release, of which it knows no name.
    const lint = [
      'lint',
      '--strict',
      chart,
      '-n',
      namespace,
      watched,
      '--set=fullnameOverride=detour',
    ];
    for (const mode of modes) good(helm(), [...lint, ...valuesOf[mode]]);
    const shown = parse(good(helm(), ['show', 'chart', chart]).stdout);
    assert.deepEqual([shown.version, shown.appVersion], [version, version]);
    const image = oneOf(template('single'), 'StatefulSet')['spec'].template.spec.containers[0]
      .image;
    assert.equal(image, `detour:${version}`);
    const args = ['template', 'detour', 'deploy/helm/detour', '-n', namespace, ...valuesOf.lease];
    const unpacked = documentsIn(good(helm(), [...args, watched]).stdout);
    assert.equal(unpacked.length, template('lease', watched).length);
  });

  // -------------------------------------------------------------- run

  /** What the Secret of each mode holds. */
  const keysOf = (mode: Mode): Readonly<Record<string, string>> => {
    const keys = {
      'cluster-key': 'k'.repeat(44),
      'cf-token': 't'.repeat(40),
      'aws.json': JSON.stringify({ accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 's'.repeat(40) }),
    };
    if (mode !== 'etcd') return keys;
    const certificates = createCertificates();
    const { cert, key } = certificates.certificate('hz-1', 'DNS:hz-1.example', -1, 1);
    certificates.remove();
    const [pem, own] = [cert.toString(), key.toString()];
    const roots = { 'etcd-ca.pem': pem, 'group-ca.pem': pem };
    return { ...keys, ...roots, 'etcd-password': 'p', 'replica.pem': pem, 'replica.key': own };
  };
  for (const mode of modes) {
    const what = `${mode}: the daemon runs as the pod says, and ends in time`;
    test(what, { skip: withoutPod }, async () => {
      const objects = overlay(mode);
      const { spec } = oneOf(objects, 'StatefulSet')['spec'].template;
      const wanted = objects.filter(({ kind }) => /^(Lease|Secret|ServiceA.*|Role.*)$/.test(kind));
      if (wanted.length > 0) {
        good(kubectl(), ['delete', '--ignore-not-found', 'serviceaccount', 'detour']);
        good(kubectl(), ['apply', '-f', '-'], toText(wanted));
      }
      const account = mode === 'lease' ? await kube.account('pod') : null;
      const config = { 'detour.yaml': configIn(objects) };
      const secret = keysOf(mode);
      const pod = await startPod({ name: 'detour-0', spec, config, secret, account });
      try {
        const [{ livenessProbe, readinessProbe }] = spec.containers;
        const isAlive = () => pod.exec(livenessProbe.exec.command).status === 0;
        await until(() => pod.exited() || isAlive(), 'it lives', 30_000);
        assert.equal(pod.exited(), false, pod.log());
        const at = `http://127.0.0.1:9353${readinessProbe.httpGet.path}`;
        const asked = `fetch('${at}').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))`;
        const isReady = () => pod.exec(['node', '-e', asked]).status === 0;
        const status = () => pod.exec(['node', '/app/bin/detour.cjs', 'status', '--json']).stdout;
        if (mode === 'etcd') {
          // Without its etcd it is not ready, and is left alone all the same.
          await until(() => status().includes('"no-quorum"'), 'it says so', 30_000);
          assert.equal(isReady(), false);
          assert.equal(isAlive(), true);
        } else await until(isReady, 'it is ready', 30_000);
        assert.match(JSON.stringify(JSON.parse(status())), /www\.gslb\.example\.net/);
        const holder = () => String(find('lease')['spec']?.holderIdentity);
        if (mode === 'lease') {
          await until(() => holder().startsWith('detour-0_'), 'it acts', 30_000);
          const isShared = () => find('secret', 'detour-documents')['data'] !== undefined;
          await until(isShared, 'what it decided is shared', 30_000);
        }
        const { tookMs, code } = await pod.end();
        console.log(`${mode}: a pod ended ${tookMs} ms after SIGTERM`);
        assert.equal(code, 0, pod.log());
        assert.ok(tookMs < spec.terminationGracePeriodSeconds * 1000);
        if (mode === 'lease') assert.equal(holder(), '');
      } finally {
        await pod.close();
        if (wanted.length > 0) good(kubectl(), ['delete', '-f', '-'], toText(wanted));
      }
    });
  }

  // -------------------------------------------------------------- what is refused

  const bad: readonly (readonly [Mode, readonly string[], RegExp])[] = [
    ['single', ['--set=mode=many'], /at '\/mode': value must be one of 'single', 'lease', 'etcd'/],
    ['single', ['--set=image.tagg=1'], /at '\/image': additional properties 'tagg' not allowed/],
    ['single', ['--set=replicas=3'], /additional properties 'replicas' not allowed/],
    ['lease', ['--set=lease.replicas=three'], /at '\/lease\/replicas': got string, want integer/],
    ['lease', ['--set=lease.replicas=0'], /at '\/lease\/replicas': minimum: got 0, want 1/],
    [
      'lease',
      ['--set=lease.replicas=5'],
      /config: replicas\.detour-3 is missing: replicas are called as the pods/,
    ],
    ['lease', ['--set=fullnameOverride=shop'], /group\.kubernetes\.lease has to be shop/],
    [
      'lease',
      ['--namespace=other'],
      /detour-0\.detour-group\.other\.svc\.cluster\.local:7947, not/,
    ],
    ['lease', ['--set=mode=single'], /mode is single: set mode to lease or etcd/],
    ['single', ['--set=mode=lease'], /mode is lease, and it has no `group: \{ kubernetes/],
    ['single', ['--set=mode=etcd,etcd.replica=a'], /mode is etcd, and it has no `group: \{ etcd/],
    ['etcd', ['--set=etcd.replica='], /etcd\.replica: it has to be given with mode etcd/],
    ['etcd', ['--set=etcd.replica=x'], /is x, and `replicas` has only fra-1, hz-1, nrt-1/],
    ['single', ['--set=resources.limits.cpu=1'], /at '\/resources\/limits'.*'cpu' not allowed/],
    ['single', ['--set=terminationGracePeriodSeconds=5'], /minimum: got 5, want 19/],
    ['single', ['--set=state.size=big'], /at '\/state\/size': 'big' does not match/],
    ['single', ['--set=networkPolicy.readers=null'], /networkPolicy': missing property 'readers'/],
    ['single', ['--set-json=networkPolicy.readers=[]'], /readers': minItems: got 0, want 1/],
    [
      'single',
      ['--set-file=config=/dev/null'],
      /config: it has to be given.*--set-file config=detour\.yaml/,
    ],
    ['single', ['--set-file=config=README.md'], /config: it is no YAML: /],
    ['single', ['--set-file=config=package.json'], /it has no `cluster`, so it is no detour\.yaml/],
    [
      'single',
      ['--set-file=config=deploy/example.yaml'],
      /config: socket has to be \/run\/detour\//,
    ],
  ];
  for (const [mode, more, says] of bad) {
    test(`${mode} with ${more.join(' ')} is refused, and it is said why`, () => {
      const args = ['template', 'detour', chart, '-n', namespace, ...valuesOf[mode], ...more];
      const done = run(helm(), args);
      assert.notEqual(done.status, 0, done.stdout);
      assert.match(done.stderr, says);
    });
  }

  // -------------------------------------------------------------- installed and upgraded

  /** What the daemons would have written meanwhile. */
  const remember = () => {
    const patch = (kind: string, name: string, body: object) =>
      good(kubectl(), ['patch', kind, name, '--type=merge', '-p', JSON.stringify(body)]);
    patch('secret', 'detour-documents', { data: { head: 'AAAA' } });
    patch('lease', 'detour', { spec: { holderIdentity: 'detour-1', leaseTransitions: 7 } });
    const uid = find('lease').metadata as { readonly uid?: string };
    return () => {
      assert.deepEqual(find('secret', 'detour-documents')['data'], { head: 'AAAA' });
      const lease = find('lease');
      assert.deepEqual(lease['spec'], { holderIdentity: 'detour-1', leaseTransitions: 7 });
      assert.equal((lease.metadata as { readonly uid?: string }).uid, uid.uid);
    };
  };
  const fixed = () => {
    const { serviceName, podManagementPolicy, selector, volumeClaimTemplates } =
      find('statefulset')['spec'];
    return { serviceName, podManagementPolicy, selector, volumeClaimTemplates };
  };

  test('helm installs, upgrades to the next version and from mode to mode, rolls back, goes', () => {
    const release = (verb: string, of: string, mode: Mode, ...more: readonly string[]) =>
      good(helm(), [verb, 'detour', of, '-n', namespace, ...valuesOf[mode], watched, ...more])
        .stdout;
    const newer = packageHelm(home, next);
    good(kubectl(), ['delete', '--ignore-not-found', 'serviceaccount', 'detour']);
    const notes = release('install', chart, 'lease');
    assert.match(notes, /create secret generic detour --from-file=cluster-key/);
    assert.match(notes, /rollout restart statefulset\/detour/);
    good(kubectl(), ['create', 'secret', 'generic', 'detour', '--from-literal=cluster-key=x']);
    const isKept = remember();
    const first = fixed();
    // As the chart's README says it: with the values of before.
    const again = ['upgrade', 'detour', newer, '-n', namespace, '--reset-then-reuse-values'];
    const upgraded = good(helm(), again).stdout;
    assert.match(upgraded, /mode lease/);
    assert.doesNotMatch(upgraded, /create secret/);
    assert.equal(find('statefulset')['spec'].template.spec.containers[0].image, `detour:${next}`);
    assert.deepEqual(fixed(), first);
    isKept();
    good(helm(), ['rollback', 'detour', '1', '-n', namespace]);
    assert.equal(
      find('statefulset')['spec'].template.spec.containers[0].image,
      `detour:${version}`,
    );
    isKept();
    for (const mode of ['single', 'etcd', 'single', 'lease'] as const) {
      release('upgrade', newer, mode);
      assert.deepEqual(fixed(), first, mode);
      isKept();
    }
    // The look itself can fail: what an upgrade may not change is refused by the API.
    const args = [
      'upgrade',
      'detour',
      newer,
      '-n',
      namespace,
      ...valuesOf.lease,
      '--set=state.size=2Gi',
    ];
    assert.match(run(helm(), args).stderr, /updates to statefulset spec.*are forbidden/);
    good(helm(), ['uninstall', 'detour', '-n', namespace]);
    isKept();
    release('install', newer, 'lease');
    isKept();
    good(helm(), ['uninstall', 'detour', '-n', namespace]);
    good(kubectl(), ['delete', 'lease/detour', 'secret/detour-documents', 'secret/detour']);
  });

  test('kustomize is applied, and again from mode to mode, by either way of applying', () => {
    for (const way of [[], ['--server-side']]) {
      const apply = (mode: Mode) => {
        const args = ['apply', ...way, '-n', namespace, '-k', join(overlays, mode)];
        assert.equal(good(kubectl(), args).stderr, '');
      };
      apply('lease');
      const isKept = remember();
      const first = fixed();
      for (const mode of ['lease', 'single', 'etcd', 'lease'] as const) {
        apply(mode);
        assert.deepEqual(fixed(), first, mode);
        isKept();
      }
      for (const mode of modes) {
        const args = ['delete', '-n', namespace, '--ignore-not-found', '-k', join(overlays, mode)];
        good(kubectl(), args);
      }
    }
  });

  test('the overlay of docs/kubernetes.md is one that kustomize and the API take', () => {
    const page = readFileSync(join(root, 'docs/kubernetes.md'), 'utf8');
    const told = /```yaml\n(# kustomization\.yaml\n[\s\S]*?)```/.exec(page)![1]!;
    const own = join(home, 'own');
    mkdirSync(own);
    // A checkout beside it, as the page has it.
    good('ln', ['-s', root, join(home, 'detour')]);
    writeFileSync(join(own, 'kustomization.yaml'), told);
    writeFileSync(join(own, 'detour.yaml'), readFileSync(join(overlays, 'lease', 'detour.yaml')));
    const objects = documentsIn(good(kubectl(), ['kustomize', own]).stdout);
    obeyed(objects, 'lease', namespace);
    taken(objects);
    const { image } = oneOf(objects, 'StatefulSet')['spec'].template.spec.containers[0];
    assert.match(image, /^registry\.example\/detour:/);
    // At first alone, as the page says it, by either way.
    const [, count] = /`(replicas: \[.*?\])`/.exec(page)!;
    writeFileSync(join(own, 'kustomization.yaml'), `${told}${count}\n`);
    const first = documentsIn(good(kubectl(), ['kustomize', own]).stdout);
    const [, value] = /`(--set lease\.replicas=1)`/.exec(page)!;
    for (const few of [first, template('lease', ...value!.split(' '))]) {
      assert.equal(oneOf(few, 'StatefulSet')['spec'].replicas, 1);
    }
  });
}
