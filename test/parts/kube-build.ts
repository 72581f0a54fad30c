// Builds the real programs of Kubernetes from Go modules, once, into a cache folder of this checkout:
// kube-apiserver, kubectl and Helm, and finds the prometheus-operator's custom resources in its
// module. The staging modules of Kubernetes are published on their own, so no checkout of it is
// needed. It must never be part of `npm test`: it takes minutes, some hundred megabytes, and the Go
// proxy.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const version = '1.36.3';
const helmVersion = '3.22.0';
const operator = 'github.com/prometheus-operator/prometheus-operator@v0.85.0';
/** Kubernetes' own staging modules of that version; each is at v0.MINOR.PATCH. */
const staging = [
  'api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider',
  'cluster-bootstrap code-generator component-base component-helpers controller-manager cri-api',
  'cri-client cri-streaming csi-translation-lib dynamic-resource-allocation endpointslice',
  'externaljwt kms kube-aggregator kube-controller-manager kube-proxy kube-scheduler kubectl',
  'kubelet metrics mount-utils pod-security-admission sample-apiserver streaming',
].flatMap((line) => line.split(' '));

const cache = fileURLToPath(new URL('../../node_modules/.cache', import.meta.url));
const home = join(cache, `kubernetes-${version}`);
/** The longest of them, on two cores, takes 4 to 5 minutes. */
const buildMs = 30 * 60_000;
const env = { ...process.env, GOFLAGS: '-mod=mod -buildvcs=false', GOWORK: 'off' };

function go(
  cwd: string,
  args: readonly string[],
  more: Readonly<Record<string, string>> = {},
): void {
  const options = { cwd, env: { ...env, ...more }, timeout: buildMs } as const;
  const done = spawnSync('go', args, { ...options, stdio: 'inherit' });
  if (done.error) throw done.error;
  if (done.status !== 0) throw new Error(`go ${args.join(' ')}: exit ${done.status}`);
}

/** Whether there is a Go to build with. */
export function canBuild(): boolean {
  return spawnSync('go', ['version'], { timeout: 10_000 }).status === 0;
}

/** The path of a program; made where it is not there yet. Throws what Go said. */
function made(program: string, name: string, make: (to: string) => void): string {
  if (existsSync(program)) return program;
  console.error(`building ${name} from Go modules, once: some minutes`);
  mkdirSync(join(program, '..'), { recursive: true });
  const to = `${program}.${process.pid}`;
  make(to);
  renameSync(to, program);
  return program;
}

/** Flags of the linker: the version of Kubernetes in two variables that begin so. */
function versionIn(variables: string): string {
  const [major, minor] = version.split('.');
  return `-X ${variables}Major=${major} -X ${variables}Minor=${minor}`;
}

function ofKubernetes(name: 'kube-apiserver' | 'kubectl'): string {
  return made(join(home, name), `${name} ${version}`, (to) => {
    const replaced = staging.map((one) => `\tk8s.io/${one} => k8s.io/${one} v0${version.slice(1)}`);
    const mod = [
      'module detour.test/kubernetes',
      'go 1.26.0',
      `require k8s.io/kubernetes v${version}`,
      `replace (\n${replaced.join('\n')}\n)`,
      '',
    ];
    writeFileSync(join(home, 'go.mod'), mod.join('\n'));
    const imported = ['kube-apiserver', 'kubectl'].map(
      (one) => `import _ "k8s.io/kubernetes/cmd/${one}"\n`,
    );
    writeFileSync(
      join(home, 'tools.go'),
      ['//go:build tools\n\npackage tools\n\n', ...imported].join(''),
    );
    go(home, ['mod', 'tidy']);
    // What it says its version is: Helm asks, and a chart may want another.
    const said = versionIn('k8s.io/component-base/version.git');
    const own = `-X k8s.io/component-base/version.gitVersion=v${version}`;
    const flags = ['-trimpath', `-ldflags=-s -w ${own} ${said}`];
    go(home, ['build', ...flags, '-o', to, `k8s.io/kubernetes/cmd/${name}`]);
  });
}

export const kubeApiserver = () => ofKubernetes('kube-apiserver');
export const kubectl = () => ofKubernetes('kubectl');

export function helm(): string {
  const folder = join(cache, `helm-${helmVersion}`);
  return made(join(folder, 'helm'), `helm ${helmVersion}`, (to) => {
    // For which Kubernetes it renders where no API is asked; its own Makefile says it the same way.
    const said = versionIn('helm.sh/helm/v3/pkg/chartutil.k8sVersion');
    const source = `helm.sh/helm/v3/cmd/helm@v${helmVersion}`;
    go(folder, ['install', '-trimpath', `-ldflags=-s -w ${said}`, source], { GOBIN: folder });
    renameSync(join(folder, 'helm'), to);
  });
}

/** The folder with the prometheus-operator's CustomResourceDefinitions. */
export function operatorResources(): string {
  mkdirSync(cache, { recursive: true });
  const asked = ['mod', 'download', '-json', operator];
  const options = { cwd: cache, env, timeout: buildMs, encoding: 'utf8' } as const;
  const { Dir } = JSON.parse(execFileSync('go', asked, options)) as { Dir: string };
  return join(Dir, 'example', 'prometheus-operator-crd');
}
