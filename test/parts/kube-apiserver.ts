// A real kube-apiserver for tests, over Debian's etcd, with RBAC on: a namespace with the objects
// and rights of deploy/kubernetes/overlays/lease, tokens of its service account as a kubelet would ask
// for them, and a person with all rights, also for kubectl and Helm. It can be stopped and set going again. It must never
// listen on anything but loopback, or leave a process behind.

import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KubeAccount } from '../../src/cluster/kube-api.ts';
import { freePort, installed, launch, type Run } from './bind.ts';
import type { Any } from './kube-objects.ts';
import { until } from './listening.ts';

const etcd = installed('/usr/bin/etcd', '/usr/local/bin/etcd');

/** Why it cannot be had; false: it can. */
export const withoutEtcdServer: string | false =
  etcd === undefined ? 'etcd is not installed (Debian: etcd-server)' : false;

export interface Answered {
  readonly status: number;
  readonly body: Any;
}

export interface KubeApiserver {
  readonly namespace: string;
  /** Path of the file by which kubectl and Helm come as that person. */
  readonly kubeconfig: string;
  /**
   * One of the service account's, with a token of its own in its file; it ends after 10 minutes.
   */
  account(client: string): Promise<KubeAccount>;
  /** As a person with all rights, or with this token. */
  ask(method: string, path: string, body?: object, token?: string): Promise<Answered>;
  /** Applies manifests into the namespace: those that are not there are made. */
  apply(manifests: readonly Any[]): Promise<void>;
  /** SIGKILL, and again with the same data. */
  kill(): Promise<void>;
  restart(): Promise<void>;
  log(): string;
  stop(): Promise<void>;
}

/** That of the overlay. */
const namespace = 'detour';
const adminToken = randomBytes(16).toString('hex');
const readyMs = 60_000;

/**
 * By the built program at this path. Rejects, with the log, when it is not ready within a minute.
 */
export async function startKubeApiserver(program: string): Promise<KubeApiserver> {
  const directory = await mkdtemp(join(tmpdir(), 'detour-kube-'));
  const server = new Server(program, directory);
  try {
    await server.start();
    const made = await server.ask('POST', '/api/v1/namespaces', { metadata: { name: namespace } });
    if (made.status !== 201) throw new Error(`no namespace: ${JSON.stringify(made.body)}`);
  } catch (error) {
    const log = server.log();
    await server.stop();
    throw new Error(`${String(error)}\n${log.slice(-4000)}`);
  }
  return {
    namespace,
    kubeconfig: server.kubeconfig(),
    account: (client) => server.account(client),
    ask: (method, path, body, token) => server.ask(method, path, body, token),
    apply: async (manifests) => {
      for (const manifest of manifests) await server.apply(manifest);
    },
    kill: () => server.kill(),
    restart: () => server.launch(),
    log: () => server.log(),
    stop: () => server.stop(),
  };
}

/** Where objects of a kind are made. */
const places: Readonly<Record<string, string>> = {
  ConfigMap: '/api/v1/namespaces/NS/configmaps',
  Secret: '/api/v1/namespaces/NS/secrets',
  ServiceAccount: '/api/v1/namespaces/NS/serviceaccounts',
  Lease: '/apis/coordination.k8s.io/v1/namespaces/NS/leases',
  Role: '/apis/rbac.authorization.k8s.io/v1/namespaces/NS/roles',
  RoleBinding: '/apis/rbac.authorization.k8s.io/v1/namespaces/NS/rolebindings',
};

class Server {
  readonly #program: string;
  readonly #directory: string;
  #etcd: Run | null = null;
  #run: Run | null = null;
  #etcdUrl = '';
  #port = 0;
  #tokens = 0;

  constructor(program: string, directory: string) {
    this.#program = program;
    this.#directory = directory;
  }

  #file(name: string): string {
    return join(this.#directory, name);
  }

  async start(): Promise<void> {
    this.#etcdUrl = `http://127.0.0.1:${await freePort()}`;
    const peer = `http://127.0.0.1:${await freePort()}`;
    const args = [
      ...['--data-dir', this.#file('etcd'), '--listen-client-urls', this.#etcdUrl],
      ...['--advertise-client-urls', this.#etcdUrl, '--listen-peer-urls', peer],
      ...['--initial-advertise-peer-urls', peer, '--initial-cluster', `default=${peer}`],
    ];
    this.#etcd = launch(etcd!, args, this.#directory);
    const key = ['genrsa', '-out', this.#file('sa.key'), '2048'];
    execFileSync('openssl', key, { stdio: 'ignore', timeout: 30_000 });
    const person = `${adminToken},person,person,system:masters\n`;
    writeFileSync(this.#file('tokens.csv'), person, { mode: 0o600 });
    this.#port = await freePort();
    await this.launch();
  }

  async launch(): Promise<void> {
    const args = [
      ...['--etcd-servers', this.#etcdUrl, '--secure-port', String(this.#port)],
      ...['--bind-address', '127.0.0.1', '--cert-dir', this.#file('certs')],
      ...['--service-account-key-file', this.#file('sa.key')],
      ...['--service-account-signing-key-file', this.#file('sa.key')],
      ...['--service-account-issuer', 'https://kubernetes.default.svc'],
      ...['--token-auth-file', this.#file('tokens.csv'), '--authorization-mode', 'RBAC'],
      ...['--service-cluster-ip-range', '10.0.0.0/24', '--v', '0'],
    ];
    this.#run = launch(this.#program, args, this.#directory);
    const isReady = async () => {
      if (this.#run!.exited()) throw new Error('kube-apiserver ended');
      return (await this.ask('GET', '/readyz').catch(() => null))?.status === 200;
    };
    await until(isReady, 'kube-apiserver is ready', readyMs);
  }

  ask(method: string, path: string, body?: object, token = adminToken): Promise<Answered> {
    return new Promise((resolve, reject) => {
      const options = {
        ...{ host: '127.0.0.1', port: this.#port, method, path, agent: false, timeout: 10_000 },
        ca: readFileSync(this.#file('certs/apiserver.crt')),
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      };
      const asked = request(options, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          const isJson = response.headers['content-type']?.includes('json');
          resolve({ status: response.statusCode ?? 0, body: isJson ? JSON.parse(text) : text });
        });
      });
      asked.on('error', reject);
      asked.on('timeout', () => asked.destroy(new Error('no answer within 10 s')));
      asked.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  kubeconfig(): string {
    const server = `https://127.0.0.1:${this.#port}`;
    const ca = this.#file('certs/apiserver.crt');
    const name = 'test';
    const config = {
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': name },
      clusters: [{ name, cluster: { server, 'certificate-authority': ca } }],
      users: [{ name, user: { token: adminToken } }],
      contexts: [{ name, context: { cluster: name, user: name, namespace } }],
    };
    const file = this.#file('kubeconfig');
    writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
    return file;
  }

  async account(client: string): Promise<KubeAccount> {
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/detour/token`;
    const spec = { expirationSeconds: 600, audiences: ['https://kubernetes.default.svc'] };
    const asked = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec };
    const { status, body } = await this.ask('POST', path, asked);
    if (status !== 201) throw new Error(`no token: ${JSON.stringify(body)}`);
    const tokenFile = this.#file(`${client}-${++this.#tokens}.token`);
    writeFileSync(tokenFile, body.status.token, { mode: 0o600 });
    const caFile = this.#file('certs/apiserver.crt');
    return { host: '127.0.0.1', port: this.#port, namespace, tokenFile, caFile };
  }

  async apply(manifest: Any): Promise<void> {
    const place = places[manifest.kind]!.replace('NS', namespace);
    const { status, body } = await this.ask('POST', place, manifest);
    if (status !== 201 && status !== 409) throw new Error(JSON.stringify(body));
  }

  async kill(): Promise<void> {
    const run = this.#run;
    this.#run = null;
    await run?.stop();
  }

  log(): string {
    return `${this.#etcd?.log().slice(-2000) ?? ''}\n${this.#run?.log() ?? ''}`;
  }

  async stop(): Promise<void> {
    await this.kill();
    await this.#etcd?.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
