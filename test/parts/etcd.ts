// A real etcd for tests: members on free loopback ports with TLS on both sides, each client with a
// certificate, users and roles on, as deploy/etcd has it. Members can be killed, stopped, and set
// going again, and the whole put back to a backup. It must never listen on anything but loopback, or
// leave a process behind.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, installed, launch, type Run } from './bind.ts';
import { until } from './listening.ts';

const program = installed('/usr/bin/etcd', '/usr/local/bin/etcd');
const tool = installed('/usr/bin/etcdctl', '/usr/local/bin/etcdctl');

/**
 * For `{ skip }` of a test that wants etcd: why it is skipped, or false. In CI a missing part skips
 * nothing, so that the test fails there.
 */
export const withoutEtcd: string | false =
  (program === undefined || tool === undefined) && !process.env['CI']
    ? 'etcd and etcdctl are not installed'
    : false;

export interface Etcd {
  /** `https://127.0.0.1:PORT`, a member each. */
  readonly endpoints: readonly string[];
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
  /** May do everything below the prefix `detour/`. */
  readonly user: { readonly name: string; readonly password: string };
  log(member: number): string;
  /** SIGKILL; its data stays. */
  kill(member: number): Promise<void>;
  /** Starts a member that was killed. */
  restart(member: number): Promise<void>;
  /** SIGSTOP and SIGCONT. */
  freeze(member: number, frozen: boolean): void;
  /** `etcdctl` as root, with this environment and at all members: what it wrote. Throws. */
  ctl(...args: readonly string[]): string;
  /** Keeps the data of all members as they are now; they are down for a moment. */
  backUp(): Promise<void>;
  /** Puts them back to that. */
  restore(): Promise<void>;
  stop(): Promise<void>;
}

const rootPassword = 'root-of-the-tests';
const electionMs = 500;

/** Starts it and waits until it has a leader. Rejects, with the log, after 20 s. */
export async function startEtcd(
  options: { readonly members?: number; readonly quotaBytes?: number } = {},
): Promise<Etcd> {
  if (program === undefined || tool === undefined) {
    throw new Error('etcd is wanted here: install etcd-server and etcd-client');
  }
  const directory = await mkdtemp(join(tmpdir(), 'detour-etcd-'));
  const files = certificatesIn(directory);
  const members = new Members(directory, files, options.quotaBytes);
  try {
    await members.start(options.members ?? 3);
    members.setUp();
  } catch (error) {
    await members.stop();
    throw error;
  }
  return {
    endpoints: members.endpoints,
    ca: readFileSync(files.ca),
    cert: readFileSync(files.client.cert),
    key: readFileSync(files.client.key),
    user: { name: 'detour', password: 'pass-of-the-tests' },
    log: (member) => members.log(member),
    kill: (member) => members.kill(member),
    restart: (member) => members.restart(member),
    freeze: (member, frozen) => members.signal(member, frozen ? 'SIGSTOP' : 'SIGCONT'),
    ctl: (...args) => members.ctl(...args),
    backUp: () => members.withoutAll(() => members.copy('data', 'backup')),
    restore: () => members.withoutAll(() => members.copy('backup', 'data')),
    async stop() {
      await members.stop();
    },
  };
}

interface Pair {
  readonly cert: string;
  readonly key: string;
}

interface Files {
  readonly ca: string;
  readonly server: Pair;
  /** Without a common name: etcd's gateway takes no client that has one. */
  readonly client: Pair;
}

/** An authority of its own, and what it has signed for members and for clients. */
function certificatesIn(directory: string): Files {
  const at = (file: string) => join(directory, file);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' });
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const own = ['-subj', '/CN=ca', '-days', '2', '-keyout', at('ca.key'), '-out', at('ca.pem')];
  openssl('req', '-x509', ...curve, ...own);
  const signed = (name: string, subject: string): Pair => {
    const [key, request, cert] = [at(`${name}.key`), at(`${name}.csr`), at(`${name}.pem`)];
    const names = ['-addext', 'subjectAltName=IP:127.0.0.1'];
    openssl('req', '-new', ...curve, '-subj', subject, ...names, '-keyout', key, '-out', request);
    const by = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial'];
    const how = ['-days', '2', '-copy_extensions', 'copy'];
    openssl('x509', '-req', '-in', request, ...by, ...how, '-out', cert);
    return { cert, key };
  };
  const client = signed('client', '/O=detour');
  return { ca: at('ca.pem'), server: signed('server', '/CN=etcd'), client };
}

interface Member {
  readonly name: string;
  readonly clientUrl: string;
  readonly peerUrl: string;
  run: Run;
}

class Members {
  readonly #directory: string;
  readonly #files: Files;
  readonly #quotaBytes: number | undefined;
  #members: Member[] = [];
  #isSecured = false;

  constructor(directory: string, files: Files, quotaBytes: number | undefined) {
    this.#directory = directory;
    this.#files = files;
    this.#quotaBytes = quotaBytes;
  }

  get endpoints(): readonly string[] {
    return this.#members.map(({ clientUrl }) => clientUrl);
  }

  async start(count: number): Promise<void> {
    // Another process may take a port between the choice and the start: then once more.
    for (let attempt = 1; ; attempt += 1) {
      const planned = [];
      for (let i = 0; i < count; i++) {
        planned.push({
          name: `m${i}`,
          clientUrl: `https://127.0.0.1:${await freePort()}`,
          peerUrl: `https://127.0.0.1:${await freePort()}`,
        });
      }
      await mkdir(join(this.#directory, 'data'), { recursive: true });
      this.#members = [];
      for (const one of planned) this.#members.push({ ...one, run: this.#launch(one, planned) });
      try {
        return await this.#healthy();
      } catch (error) {
        const taken = this.#members.some(({ run }) => run.log().includes('address already in use'));
        await this.#stopAll();
        await rm(join(this.#directory, 'data'), { recursive: true, force: true });
        if (attempt === 3 || !taken) throw error;
      }
    }
  }

  #launch(one: Omit<Member, 'run'>, all: readonly Omit<Member, 'run'>[]): Run {
    const { ca, server } = this.#files;
    const quota =
      this.#quotaBytes === undefined ? [] : ['--quota-backend-bytes', `${this.#quotaBytes}`];
    const args = [
      ...['--name', one.name, '--data-dir', join(this.#directory, 'data', one.name)],
      ...['--listen-client-urls', one.clientUrl, '--advertise-client-urls', one.clientUrl],
      ...['--listen-peer-urls', one.peerUrl, '--initial-advertise-peer-urls', one.peerUrl],
      ...['--initial-cluster', all.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(',')],
      ...['--initial-cluster-token', 'detour-tests', '--heartbeat-interval', '50'],
      ...['--election-timeout', `${electionMs}`, '--bcrypt-cost', '4', '--logger', 'zap'],
      ...['--cert-file', server.cert, '--key-file', server.key, '--trusted-ca-file', ca],
      '--client-cert-auth',
      ...['--peer-cert-file', server.cert, '--peer-key-file', server.key],
      ...['--peer-trusted-ca-file', ca, '--peer-client-cert-auth', ...quota],
    ];
    const home = join(this.#directory, one.name);
    spawnSync('mkdir', ['-p', home]);
    return launch(program!, args, home);
  }

  /** Every member says that it is well, which takes a leader. */
  async #healthy(): Promise<void> {
    const deadline = performance.now() + 20_000;
    for (const member of this.#members) {
      while (!(await this.#isWell(member))) {
        if (performance.now() > deadline || member.run.exited()) {
          throw new Error(`etcd did not start:\n${member.run.log().slice(-4000)}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 25));
      }
    }
  }

  #isWell({ clientUrl }: Member): Promise<boolean> {
    const { ca, client } = this.#files;
    const [cert, key] = [readFileSync(client.cert), readFileSync(client.key)];
    return new Promise((resolve) => {
      const options = { ca: readFileSync(ca), cert, key, timeout: 1000, agent: false };
      const asked = request(`${clientUrl}/health`, options, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        response.on('end', () => resolve(/"health": ?"?true/.test(text)));
      });
      asked.on('timeout', () => asked.destroy());
      asked.on('error', () => resolve(false));
      asked.end();
    });
  }

  setUp(): void {
    const steps = [
      ['user', 'add', `root:${rootPassword}`],
      ['user', 'grant-role', 'root', 'root'],
      ['role', 'add', 'detour'],
      ['role', 'grant-permission', 'detour', '--prefix=true', 'readwrite', 'detour/'],
      ['user', 'add', 'detour:pass-of-the-tests'],
      ['user', 'grant-role', 'detour', 'detour'],
      ['auth', 'enable'],
    ];
    for (const step of steps) this.ctl(...step);
    this.#isSecured = true;
  }

  ctl(...args: readonly string[]): string {
    const { ca, client } = this.#files;
    const who = this.#isSecured ? [`--user=root:${rootPassword}`] : [];
    const tls = [`--cacert=${ca}`, `--cert=${client.cert}`, `--key=${client.key}`];
    const where = `--endpoints=${this.endpoints.join(',')}`;
    const all = [where, ...tls, '--command-timeout=10s', ...who, ...args];
    const env = { ...process.env, ETCDCTL_API: '3' };
    const done = spawnSync(tool!, all, { encoding: 'utf8', timeout: 20_000, env });
    if (done.status !== 0) throw new Error(`etcdctl ${args.join(' ')}: ${done.stderr}`);
    return done.stdout;
  }

  log(member: number): string {
    return this.#members[member]!.run.log();
  }

  signal(member: number, name: NodeJS.Signals): void {
    const file = join(this.#directory, this.#members[member]!.name, 'server.pid');
    process.kill(Number(readFileSync(file, 'utf8')), name);
  }

  async kill(member: number): Promise<void> {
    await this.#members[member]!.run.stop();
  }

  async restart(member: number): Promise<void> {
    const one = this.#members[member]!;
    one.run = this.#launch(one, this.#members);
    await until(() => this.#isWell(one), `${one.name} is well`, 20_000);
  }

  async withoutAll(work: () => Promise<void>): Promise<void> {
    await this.#stopAll();
    await work();
    for (const one of this.#members) one.run = this.#launch(one, this.#members);
    await this.#healthy();
  }

  async copy(from: string, to: string): Promise<void> {
    const [source, target] = [join(this.#directory, from), join(this.#directory, to)];
    if (!existsSync(source)) throw new Error('there is no backup yet');
    await rm(target, { recursive: true, force: true });
    await cp(source, target, { recursive: true });
  }

  async #stopAll(): Promise<void> {
    await Promise.all(this.#members.map(({ run }) => run.stop()));
  }

  async stop(): Promise<void> {
    await this.#stopAll();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
