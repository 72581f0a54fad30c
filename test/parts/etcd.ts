// A real etcd for tests: members on free loopback ports with TLS on both sides, each client with a
// certificate, users and roles on, as deploy/etcd has it. Members can be killed, stopped, and set
// going again, and the whole put back to a backup. It must never listen on anything but loopback, or
// leave a process behind.

import { execFile, execFileSync, spawnSync } from 'node:child_process';
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
  /** The process of a member. */
  pid(member: number): number;
  /** The member that leads etcd now, as the members say; null: none. */
  leader(): Promise<number | null>;
  /** Bytes of the database of each member, and of them those in use. */
  sizes(): Promise<readonly { readonly file: number; readonly inUse: number }[]>;
  /** SIGKILL; its data stays. */
  kill(member: number): Promise<void>;
  /** Starts a member that was killed. */
  restart(member: number): Promise<void>;
  /** SIGSTOP and SIGCONT. */
  freeze(member: number, frozen: boolean): void;
  /** `etcdctl` as root, with this environment and at all members: what it wrote. Throws. */
  ctl(...args: readonly string[]): string;
  /** The same without holding this process up, whose ways the members may need. Rejects. */
  say(...args: readonly string[]): Promise<string>;
  /** Keeps the data of all members as they are now; they are down for a moment. */
  backUp(): Promise<void>;
  /** Puts them back to that. */
  restore(): Promise<void>;
  /** A snapshot of the whole into a file, while it runs. */
  saveSnapshot(file: string): Promise<void>;
  /** Makes another cluster of it, as deploy/etcd/restore.sh does on each machine, and starts that. */
  restoreSnapshot(file: string): Promise<void>;
  stop(): Promise<void>;
}

const env = { ...process.env, ETCDCTL_API: '3' };
const rootPassword = 'root-of-the-tests';

export interface EtcdWishes {
  readonly members?: number;
  readonly quotaBytes?: number;
  /** 50 and 500 unless given, which is for members that are near each other. */
  readonly heartbeatMs?: number;
  readonly electionMs?: number;
  /** Where the others reach a member that listens for them at this port; directly unless given. */
  readonly peerWay?: (
    member: number,
    port: number,
    /** Of the members that run, by their place. */
    pids: () => readonly (number | null)[],
  ) => Promise<number>;
  /** More of the command line. */
  readonly flags?: readonly string[];
}

/** Starts it and waits until it has a leader. Rejects, with the log, after 20 s. */
export async function startEtcd(options: EtcdWishes = {}): Promise<Etcd> {
  if (program === undefined || tool === undefined) {
    throw new Error('etcd is wanted here: install etcd-server and etcd-client');
  }
  const directory = await mkdtemp(join(tmpdir(), 'detour-etcd-'));
  const files = certificatesIn(directory);
  const members = new Members(directory, files, options);
  try {
    await members.start(options.members ?? 3);
    await members.setUp();
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
    pid: (member) => members.pid(member),
    leader: () => members.leader(),
    sizes: () => members.sizes(),
    kill: (member) => members.kill(member),
    restart: (member) => members.restart(member),
    freeze: (member, frozen) => members.signal(member, frozen ? 'SIGSTOP' : 'SIGCONT'),
    ctl: (...args) => members.ctl(...args),
    say: (...args) => members.say(...args),
    backUp: () => members.withoutAll(() => members.copy('data', 'backup')),
    restore: () => members.withoutAll(() => members.copy('backup', 'data')),
    async saveSnapshot(file) {
      // One member is asked, and none of the others.
      await members.sayTo(members.endpoints.slice(0, 1), ['snapshot', 'save', file]);
    },
    restoreSnapshot: (file) => members.withoutAll(() => members.restoreSnapshot(file)),
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

interface MemberStatus {
  readonly header: { readonly member_id: string };
  readonly leader?: string;
  readonly dbSize?: string;
  readonly dbSizeInUse?: string;
}

interface Member {
  readonly name: string;
  readonly clientUrl: string;
  /** Where it listens for the others. */
  readonly peerUrl: string;
  /** Where the others reach it. */
  readonly peerWayUrl: string;
  run: Run;
}

class Members {
  readonly #directory: string;
  readonly #files: Files;
  readonly #wishes: EtcdWishes;
  #members: Member[] = [];
  #isSecured = false;

  constructor(directory: string, files: Files, wishes: EtcdWishes) {
    this.#directory = directory;
    this.#files = files;
    this.#wishes = wishes;
  }

  get endpoints(): readonly string[] {
    return this.#members.map(({ clientUrl }) => clientUrl);
  }

  async start(count: number): Promise<void> {
    // Another process may take a port between the choice and the start: then once more.
    for (let attempt = 1; ; attempt += 1) {
      const planned = [];
      for (let i = 0; i < count; i++) {
        const port = await freePort();
        const way = (await this.#wishes.peerWay?.(i, port, () => this.#pids())) ?? port;
        planned.push({
          name: `m${i}`,
          clientUrl: `https://127.0.0.1:${await freePort()}`,
          peerUrl: `https://127.0.0.1:${port}`,
          peerWayUrl: `https://127.0.0.1:${way}`,
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
    const { quotaBytes, heartbeatMs = 50, electionMs = 500, flags = [] } = this.#wishes;
    const quota = quotaBytes === undefined ? [] : ['--quota-backend-bytes', `${quotaBytes}`];
    const cluster = all.map(({ name, peerWayUrl }) => `${name}=${peerWayUrl}`).join(',');
    const args = [
      ...['--name', one.name, '--data-dir', join(this.#directory, 'data', one.name)],
      ...['--listen-client-urls', one.clientUrl, '--advertise-client-urls', one.clientUrl],
      ...['--listen-peer-urls', one.peerUrl, '--initial-advertise-peer-urls', one.peerWayUrl],
      ...['--initial-cluster', cluster, '--initial-cluster-token', 'detour-tests'],
      ...['--heartbeat-interval', `${heartbeatMs}`, '--pre-vote=true'],
      ...['--election-timeout', `${electionMs}`, '--bcrypt-cost', '4', '--logger', 'zap'],
      ...['--cert-file', server.cert, '--key-file', server.key, '--trusted-ca-file', ca],
      '--client-cert-auth',
      ...['--peer-cert-file', server.cert, '--peer-key-file', server.key],
      ...['--peer-trusted-ca-file', ca, '--peer-client-cert-auth', ...quota],
      ...flags,
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

  async #isWell(member: Member): Promise<boolean> {
    const text = await this.#ask(member, '/health', null);
    return text !== null && /"health": ?"?true/.test(text);
  }

  /** Null where it does not answer within a second. */
  #ask({ clientUrl }: Member, path: string, body: string | null): Promise<string | null> {
    const { ca, client } = this.#files;
    const [cert, key] = [readFileSync(client.cert), readFileSync(client.key)];
    return new Promise((resolve) => {
      const method = body === null ? 'GET' : 'POST';
      const tls = { ca: readFileSync(ca), cert, key };
      const options = { method, ...tls, timeout: 1000, agent: false };
      const asked = request(`${clientUrl}${path}`, options, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        response.on('end', () => resolve(text));
        response.on('error', () => resolve(null));
      });
      asked.on('timeout', () => asked.destroy());
      asked.on('error', () => resolve(null));
      asked.end(body ?? undefined);
    });
  }

  async setUp(): Promise<void> {
    const steps = [
      ['user', 'add', `root:${rootPassword}`],
      ['user', 'grant-role', 'root', 'root'],
      ['role', 'add', 'detour'],
      ['role', 'grant-permission', 'detour', '--prefix=true', 'readwrite', 'detour/'],
      ['user', 'add', 'detour:pass-of-the-tests'],
      ['user', 'grant-role', 'detour', 'detour'],
      ['auth', 'enable'],
    ];
    for (const step of steps) await this.say(...step);
    this.#isSecured = true;
  }

  #argv(args: readonly string[], endpoints = this.endpoints): readonly string[] {
    const { ca, client } = this.#files;
    const who = this.#isSecured ? [`--user=root:${rootPassword}`] : [];
    const tls = [`--cacert=${ca}`, `--cert=${client.cert}`, `--key=${client.key}`];
    const where = `--endpoints=${endpoints.join(',')}`;
    return [where, ...tls, '--command-timeout=10s', ...who, ...args];
  }

  ctl(...args: readonly string[]): string {
    const done = spawnSync(tool!, this.#argv(args), { encoding: 'utf8', timeout: 20_000, env });
    if (done.status !== 0) throw new Error(`etcdctl ${args.join(' ')}: ${done.stderr}`);
    return done.stdout;
  }

  say(...args: readonly string[]): Promise<string> {
    return this.sayTo(this.endpoints, args);
  }

  sayTo(endpoints: readonly string[], args: readonly string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      execFile(
        tool!,
        this.#argv(args, endpoints),
        { timeout: 20_000, env },
        (error, said, wrong) => {
          if (error === null) resolve(said);
          else reject(new Error(`etcdctl ${args.join(' ')}: ${wrong}`));
        },
      );
    });
  }

  log(member: number): string {
    return this.#members[member]!.run.log();
  }

  signal(member: number, name: NodeJS.Signals): void {
    process.kill(this.pid(member), name);
  }

  pid(member: number): number {
    const file = join(this.#directory, this.#members[member]!.name, 'server.pid');
    return Number(readFileSync(file, 'utf8'));
  }

  #pids(): readonly (number | null)[] {
    return this.#members.map(({ name }, at) => {
      return existsSync(join(this.#directory, name, 'server.pid')) ? this.pid(at) || null : null;
    });
  }

  /** What each member says of itself, by its place; null: nothing. */
  async #statuses() {
    const said = await Promise.all(
      this.#members.map((one) => this.#ask(one, '/v3/maintenance/status', '{}')),
    );
    return said.map((text) => {
      const status = text === null ? null : (JSON.parse(text) as MemberStatus);
      return status?.header === undefined ? null : status;
    });
  }

  async leader(): Promise<number | null> {
    const all = await this.#statuses();
    const at = all.findIndex((one) => one !== null && one.leader === one.header.member_id);
    return at < 0 ? null : at;
  }

  async sizes() {
    const all = await this.#statuses();
    return all.map((one) => ({
      file: Number(one?.dbSize ?? 0),
      inUse: Number(one?.dbSizeInUse ?? 0),
    }));
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

  async restoreSnapshot(file: string): Promise<void> {
    await rm(join(this.#directory, 'data'), { recursive: true, force: true });
    const cluster = this.#members.map(({ name, peerWayUrl }) => `${name}=${peerWayUrl}`).join(',');
    for (const { name, peerWayUrl } of this.#members) {
      const args = [
        ...['snapshot', 'restore', file, '--name', name],
        ...['--data-dir', join(this.#directory, 'data', name), '--initial-cluster', cluster],
        ...['--initial-cluster-token', 'detour-tests-restored'],
        ...['--initial-advertise-peer-urls', peerWayUrl],
      ];
      execFileSync(tool!, args, { env, stdio: 'pipe' });
    }
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
