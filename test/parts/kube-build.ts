// Builds a real kube-apiserver from Go modules, once, into a cache folder of this checkout: the
// staging modules of Kubernetes are published on their own, so no checkout of it is needed. It must
// never be part of `npm test`: it takes minutes, some hundred megabytes, and the Go proxy.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const version = '1.36.3';
/** Kubernetes' own staging modules of that version; each is at v0.MINOR.PATCH. */
const staging = [
  'api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider',
  'cluster-bootstrap code-generator component-base component-helpers controller-manager cri-api',
  'cri-client cri-streaming csi-translation-lib dynamic-resource-allocation endpointslice',
  'externaljwt kms kube-aggregator kube-controller-manager kube-proxy kube-scheduler kubectl',
  'kubelet metrics mount-utils pod-security-admission sample-apiserver streaming',
].flatMap((line) => line.split(' '));

const root = fileURLToPath(new URL('../..', import.meta.url));
const home = join(root, 'node_modules', '.cache', `kube-apiserver-${version}`);
/** A build on two cores takes 4 to 5 minutes. */
const buildMs = 30 * 60_000;

function go(args: readonly string[]): void {
  const env = { ...process.env, GOFLAGS: '-mod=mod -buildvcs=false', GOWORK: 'off' };
  const done = spawnSync('go', args, { cwd: home, env, stdio: 'inherit', timeout: buildMs });
  if (done.error) throw done.error;
  if (done.status !== 0) throw new Error(`go ${args.join(' ')}: exit ${done.status}`);
}

/** Whether there is a Go to build with, or a built one already. */
export function canBuild(): boolean {
  if (existsSync(join(home, 'kube-apiserver'))) return true;
  return spawnSync('go', ['version'], { timeout: 10_000 }).status === 0;
}

/** The path of the program; builds it where it is not there yet. Throws what Go said. */
export function kubeApiserver(): string {
  const program = join(home, 'kube-apiserver');
  if (existsSync(program)) return program;
  console.error(`building kube-apiserver ${version} from Go modules, once: some minutes`);
  mkdirSync(home, { recursive: true });
  const replaced = staging.map(
    (name) => `\tk8s.io/${name} => k8s.io/${name} v0${version.slice(1)}`,
  );
  const mod = [
    'module detour.test/kube-apiserver',
    'go 1.26.0',
    `require k8s.io/kubernetes v${version}`,
    `replace (\n${replaced.join('\n')}\n)`,
    '',
  ];
  writeFileSync(join(home, 'go.mod'), mod.join('\n'));
  const tools = '//go:build tools\n\npackage tools\n\n';
  const imported = 'import _ "k8s.io/kubernetes/cmd/kube-apiserver"\n';
  writeFileSync(join(home, 'tools.go'), tools + imported);
  go(['mod', 'tidy']);
  const made = `${program}.${process.pid}`;
  go(['build', '-trimpath', '-ldflags=-s -w', '-o', made, 'k8s.io/kubernetes/cmd/kube-apiserver']);
  renameSync(made, program);
  return program;
}
