// A pod as a kubelet and a container runtime would run it, from its manifest: a root of its own that
// is read-only, the image's entry point, the user, the environment and the volumes with the owners
// and modes that the manifest asks for, in a network of its own in which only the API is. So that
// what the daemon finds there is what it finds in a cluster. Linux and root; it must never reach any
// other network, and leave nothing running or mounted.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { KubeAccount } from '../../src/cluster/kube-api.ts';
import { withoutNetns } from './netns.ts';
import { collect, stopChild } from './program.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const tools = ['unshare', 'nsenter', 'setpriv'].filter((name) => !existsSync(`/usr/bin/${name}`));

/** Why none can be run here; false: it can. */
export const withoutPod: string | false =
  withoutNetns ||
  (tools.length > 0 ? `${tools.join(', ')} of util-linux are not installed` : false);

// biome-ignore lint/suspicious/noExplicitAny: a manifest is what Kubernetes says it is.
type Spec = any;

export interface PodOptions {
  readonly name: string;
  /** Of the template. */
  readonly spec: Spec;
  /** What is in the ConfigMap and in the Secret that it names. */
  readonly config: Readonly<Record<string, string>>;
  readonly secret: Readonly<Record<string, string>>;
  /** Of its service account, where it has one. */
  readonly account: KubeAccount | null;
}

export interface Pod {
  /** As `kubectl exec`; the status is that of the command. */
  exec(command: readonly string[]): { readonly status: number | null; readonly stdout: string };
  log(): string;
  exited(): boolean;
  /** Milliseconds from SIGTERM to the end, and the exit code. */
  end(): Promise<{ readonly tookMs: number; readonly code: number | null }>;
  close(): Promise<void>;
}

/** Starts it. Throws where the manifest asks for what is not known here. */
export async function startPod({ name, spec, config, secret, account }: PodOptions): Promise<Pod> {
  const [container] = spec.containers;
  const { runAsUser, runAsGroup, fsGroup } = spec.securityContext;
  const home = await mkdtemp(join(tmpdir(), 'detour-pod-'));
  chmodSync(home, 0o755);
  const jail = join(home, 'root');
  const make = (...path: readonly string[]) => {
    const folder = join(home, ...path);
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    return folder;
  };
  /** Files of a volume, of root and the pod's group. */
  const filled = (volume: string, files: Readonly<Record<string, string>>, mode: number) => {
    const folder = make('volumes', volume);
    for (const [file, text] of Object.entries(files)) {
      writeFileSync(join(folder, file), text);
      chmodSync(join(folder, file), mode);
      chownSync(join(folder, file), 0, fsGroup);
    }
    return folder;
  };
  /** One that is the pod's to write in: of root, and shared with the pod's group. */
  const shared = (volume: string, mode: number) => {
    const folder = make('volumes', volume);
    chownSync(folder, 0, fsGroup);
    chmodSync(folder, mode);
    return folder;
  };
  const volumeOf = (wanted: string): string => {
    const volume = spec.volumes.find((one: { name: string }) => one.name === wanted);
    if (volume === undefined) return shared(wanted, 0o2775);
    if (volume.configMap) return filled(wanted, config, 0o644);
    if (volume.secret) return filled(wanted, secret, volume.secret.defaultMode);
    if (volume.emptyDir) return shared(wanted, 0o2777);
    assert.ok(volume.projected && account, `volume ${wanted}`);
    const token = readFileSync(account.tokenFile, 'utf8');
    const files = {
      token,
      'ca.crt': readFileSync(account.caFile, 'utf8'),
      namespace: account.namespace,
    };
    return filled(wanted, files, volume.projected.defaultMode);
  };
  const worth = ({ value, valueFrom }: Spec): string => {
    if (value !== undefined) return value;
    assert.equal(valueFrom.fieldRef.fieldPath, 'metadata.name');
    return name;
  };

  const mounts: string[] = [];
  const mount = (from: string, to: string, isReadOnly: boolean) => {
    make('root', to);
    mounts.push(`mount --rbind ${from} ${jail}${to}`);
    if (isReadOnly) mounts.push(`mount -o remount,bind,ro ${jail}${to}`);
  };
  // The image: the system's programs, and the checkout where the Dockerfile has it.
  mount('/usr', '/usr', true);
  for (const link of ['bin', 'lib', 'lib64', 'sbin']) {
    mounts.push(`ln -s usr/${link} ${jail}/${link}`);
  }
  mount(root, '/app', true);
  for (const folder of ['/dev', '/proc']) mount(folder, folder, false);
  make('root', 'etc');
  writeFileSync(join(jail, 'etc/resolv.conf'), 'nameserver 127.0.0.1\noptions ndots:1\n');
  writeFileSync(join(jail, 'etc/hosts'), '127.0.0.1 localhost\n');
  for (const { name: volume, mountPath, readOnly } of container.volumeMounts) {
    mount(volumeOf(volume), mountPath, readOnly === true);
  }
  assert.equal(container.securityContext.readOnlyRootFilesystem, true);
  const env: Record<string, string> = { PATH: '/app/node_modules/.bin:/usr/bin:/bin' };
  for (const one of container.env) env[one.name] = worth(one);
  if (account !== null) {
    env['KUBERNETES_SERVICE_HOST'] = account.host;
    env['KUBERNETES_SERVICE_PORT'] = String(account.port);
  }
  const dockerfile = readFileSync(join(root, 'deploy/docker/Dockerfile'), 'utf8');
  const entry: readonly string[] = JSON.parse(/^ENTRYPOINT (\[.*\])$/m.exec(dockerfile)![1]!);
  const user = ['--reuid', runAsUser, '--regid', runAsGroup, '--groups', fsGroup].map(String);
  const shut = ['setpriv', ...user, '--no-new-privs', '--bounding-set=-all', '--inh-caps=-all'];
  const script = [
    'set -e',
    'mount --make-rprivate /',
    `mount --bind ${jail} ${jail}`,
    ...mounts,
    `mount -o remount,bind,ro ${jail}`,
    '/usr/sbin/ip link set lo up',
    `exec /usr/sbin/chroot ${jail} "$@"`,
  ].join('\n');
  const argv = ['-m', '-n', 'sh', '-c', script, 'sh', ...shut, ...entry, ...container.args];
  const child = spawn('unshare', argv, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const said = collect(child);
  const api = account === null ? null : await bringApi(account, child.pid!, home);
  const isOver = () => child.exitCode !== null || child.signalCode !== null;
  return {
    exec(command) {
      const into = ['--target', String(child.pid), '--mount', '--net', '--root', '--wd=/'];
      const done = spawnSync('nsenter', [...into, ...shut, ...command], {
        ...{ env, encoding: 'utf8', timeout: 30_000 },
      });
      if (done.error) throw done.error;
      return { status: done.status, stdout: `${done.stdout}${done.stderr}` };
    },
    log: () => said.out() + said.err(),
    exited: isOver,
    async end() {
      const from = performance.now();
      await stopChild(child);
      return { tookMs: Math.round(performance.now() - from), code: child.exitCode };
    },
    async close() {
      await stopChild(child, 'SIGKILL');
      await api?.();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** The API at its own address in the pod's network, by way of a socket; what is returned ends it. */
async function bringApi({ host, port }: KubeAccount, pid: number, home: string) {
  const socket = join(home, 'api');
  const outer: Server = createServer((inner) => {
    const api = connect(port, host);
    inner.pipe(api).pipe(inner);
    for (const end of [inner, api]) end.on('error', () => [inner, api].map((one) => one.destroy()));
  });
  await new Promise<void>((resolve) => outer.listen(socket, resolve));
  const script = `require('node:net').createServer((inner) => {
    const outer = require('node:net').connect(${JSON.stringify(socket)});
    inner.pipe(outer).pipe(inner);
    for (const end of [inner, outer]) end.on('error', () => [inner, outer].map((o) => o.destroy()));
  }).listen(${port}, ${JSON.stringify(host)})`;
  const into = ['--target', String(pid), '--net', process.execPath, '-e', script];
  const inner = spawn('nsenter', into, { stdio: ['ignore', 'inherit', 'inherit'] });
  return async () => {
    await stopChild(inner, 'SIGKILL');
    await new Promise((resolve) => outer.close(resolve));
  };
}
