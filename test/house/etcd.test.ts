// deploy/etcd against the real program: its files, with other addresses and folders and nothing else
// changed, make three members that trust each other alone, let Detour's user in below its prefix and
// nowhere else, let a replica act over them, lose a member and have it again, and come back from a
// backup as another cluster, over which nobody acts until a person has said so.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import {
  createEtcdCoordinator,
  type GroupCoordinator,
  type Memory,
} from '../../src/cluster/etcd.ts';
import { createGateway } from '../../src/cluster/gateway.ts';
import { createSeal } from '../../src/cluster/sealed.ts';
import type { Reply } from '../../src/core/model.ts';
import type { LeaseEvent, Outcome } from '../../src/ports.ts';
import { createClock } from '../../src/run/clock.ts';
import { createElapsed } from '../../src/run/elapsed.ts';
import { stopChild } from '../parts/program.ts';

const deploy = fileURLToPath(new URL('../../deploy', import.meta.url));
const read = (path: string) => readFileSync(join(deploy, path), 'utf8');
const names = ['hz-1', 'fra-1', 'nrt-1'] as const;
type Name = (typeof names)[number];

const onPath = (program: string) =>
  (process.env['PATH'] ?? '').split(':').some((d) => existsSync(join(d, program)));
const absent = ['etcd', 'etcdctl', 'openssl'].filter((program) => !onPath(program));
const skip = absent.length > 0 && !process.env['CI'] ? `${absent.join()} not installed` : false;

const home = mkdtempSync(join(tmpdir(), 'detour-etcd-'));
const running = new Map<Name, ChildProcess>();
after(async () => {
  await Promise.all([...running.values()].map((child) => stopChild(child)));
  rmSync(home, { recursive: true, force: true });
});

/** Free ports: two for each member. */
async function portsFor(): Promise<Readonly<Record<Name, { client: number; peer: number }>>> {
  const taken = await Promise.all(
    names
      .flatMap(() => [0, 0])
      .map(async () => {
        const server = createServer();
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
        const { port } = server.address() as { readonly port: number };
        return { port, close: () => new Promise((resolve) => server.close(resolve)) };
      }),
  );
  await Promise.all(taken.map(({ close }) => close()));
  const ports = taken.map(({ port }) => port);
  return Object.fromEntries(
    names.map((name, i) => [name, { client: ports[2 * i]!, peer: ports[2 * i + 1]! }]),
  ) as Record<Name, { client: number; peer: number }>;
}

type Ports = Awaited<ReturnType<typeof portsFor>>;

const folderOf = (name: Name) => join(home, name);

/** The two files of a member with this machine's addresses and folders. */
function configure(name: Name, ports: Ports): void {
  const folder = folderOf(name);
  const here = (text: string) => {
    let local = text
      .replaceAll('/etc/detour-etcd', folder)
      .replaceAll('/var/lib/detour-etcd', folder)
      .replaceAll('https://0.0.0.0:2379', `https://127.0.0.1:${ports[name].client}`)
      .replaceAll('https://0.0.0.0:2380', `https://127.0.0.1:${ports[name].peer}`);
    for (const other of names) {
      const { client, peer } = ports[other];
      local = local
        .replaceAll(`https://${other}.example:2379`, `https://127.0.0.1:${client}`)
        .replaceAll(`https://${other}.example:2380`, `https://127.0.0.1:${peer}`);
    }
    return local;
  };
  mkdirSync(join(folder, 'tls'), { recursive: true });
  for (const [from, to] of [
    ['ca.pem', 'ca.pem'],
    [`${name}.pem`, 'member.pem'],
    [`${name}.key`, 'member.key'],
  ] as const) {
    cpSync(join(home, 'tls', from), join(folder, 'tls', to));
  }
  const own = read('etcd/member.env').replaceAll('hz-1', name);
  writeFileSync(join(folder, 'etcd.env'), here(read('etcd/etcd.env')));
  writeFileSync(join(folder, 'member.env'), here(own));
}

/** As systemd reads an EnvironmentFile. */
function environmentOf(name: Name): Record<string, string> {
  const text = ['etcd.env', 'member.env'].map((f) => readFileSync(join(folderOf(name), f), 'utf8'));
  const pairs = text
    .join('\n')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(pairs.map((line) => /^(ETCD_[A-Z_]+)=(.*)$/.exec(line)!.slice(1)));
}

const log = join(home, 'etcd.log');
const said = () => readFileSync(log, 'utf8');

function launch(name: Name): void {
  const env = { ...environmentOf(name), PATH: process.env['PATH'] };
  const to = openSync(log, 'a');
  const child = spawn('etcd', [], { env, stdio: ['ignore', to, to] });
  closeSync(to);
  running.set(name, child);
}

async function stopAll(): Promise<void> {
  await Promise.all([...running.values()].map((child) => stopChild(child)));
  running.clear();
}

interface Ran {
  readonly status: number | null;
  readonly out: string;
  readonly stdout: string;
}

function run(argv: readonly string[], more: Readonly<Record<string, string>>, input = ''): Ran {
  const env = { PATH: process.env['PATH'], ...more };
  const [program, ...args] = argv as [string, ...string[]];
  const done = spawnSync(program, args, { env, input, encoding: 'utf8', timeout: 60_000 });
  return { status: done.status, out: `${done.stdout}${done.stderr}`, stdout: done.stdout };
}

const script = (name: string, ...args: readonly string[]) => [
  'sh',
  join(deploy, 'etcd', name),
  ...args,
];

function well(done: Ran): string {
  assert.equal(done.status, 0, done.out);
  return done.stdout;
}

/** What its gateway answers to a JSON document, as Detour asks it. */
function ask(port: number, path: string, body: object, token = ''): Promise<Record<string, Json>> {
  const { promise, resolve, reject } = Promise.withResolvers<Record<string, Json>>();
  const ca = readFileSync(join(home, 'tls', 'ca.pem'));
  const headers = token === '' ? {} : { authorization: token };
  const to = { host: '127.0.0.1', port, path, method: 'POST', ca, headers, timeout: 10_000 };
  const asked = request(to, (answer) => {
    let text = '';
    answer.on('data', (data) => {
      text += data;
    });
    answer.on('end', () => resolve(JSON.parse(text)));
  });
  asked.on('timeout', () => asked.destroy(new Error('no answer within 10 s')));
  asked.on('error', reject);
  asked.end(JSON.stringify(body));
  return promise;
}

// biome-ignore lint/suspicious/noExplicitAny: what etcd answers.
type Json = any;

const base64 = (text: string) => Buffer.from(text).toString('base64');

/** What of a daemon speaks to etcd, with the name and password of deploy/etcd. */
class Replica {
  events: LeaseEvent[] = [];
  #memory: Memory | null = null;
  #coordinator: GroupCoordinator;
  readonly #build: () => GroupCoordinator;

  constructor(endpoints: string, password: string, prefix: string) {
    const clock = createClock(0);
    this.#build = () =>
      createEtcdCoordinator({
        gateway: createGateway({
          ...{ endpoints: endpoints.split(','), ca: readFileSync(join(home, 'tls', 'ca.pem')) },
          ...{ user: { name: 'detour', password }, clock },
        }),
        ...{ clock, elapsed: createElapsed(), replica: 'hz-1', prefix, ttlMs: 5000 },
        seal: () => createSeal(['k'.repeat(43)], ['shop']),
        memory: {
          load: () => this.#memory,
          save: (memory) => {
            this.#memory = memory;
            return true;
          },
        },
        id: randomUUID,
        trouble: (sentence) => this.#troubles.push(sentence),
      });
    this.#coordinator = this.#build();
    this.#coordinator.start((event) => this.events.push(event));
  }

  readonly #troubles: string[] = [];

  /** A restart. */
  again(): void {
    this.events = [];
    this.#coordinator = this.#build();
    this.#coordinator.start((event) => this.events.push(event));
  }

  async until(what: string, is: (event: LeaseEvent) => boolean): Promise<void> {
    for (const until = Date.now() + 60_000; Date.now() < until; await pause(50)) {
      if (this.events.some(is)) return;
    }
    assert.fail(`${what}: ${JSON.stringify([this.events, this.#troubles])}`);
  }

  commit(epoch: number): Promise<Outcome> {
    const docs = [['epoch/www.example.net.', epoch]] as const;
    return this.#coordinator.shared.commit({ docs, entries: [], done: [] });
  }

  restore(epoch: number): Promise<Reply> {
    return this.#coordinator.shared.restore({ 'epoch/www.example.net.': epoch });
  }

  async close(): Promise<void> {
    await this.#coordinator.yield();
    this.#coordinator.close();
  }
}

test('the files say the same of etcd as Detour and its units do', () => {
  const env = read('etcd/etcd.env');
  const { group, replicas } = parse(read('group.yaml'));
  const hosts = [...env.matchAll(/([a-z0-9-]+)=https:\/\/([a-z0-9.-]+):2380/g)];
  assert.deepEqual(
    hosts.map(([, name]) => name),
    Object.keys(replicas),
    'a member beside each replica',
  );
  assert.deepEqual(
    group.etcd.endpoints,
    hosts.map(([, , host]) => `https://${host}:2379`),
  );
  const number = (key: string) => Number(new RegExp(`^${key}=(\\d+)$`, 'm').exec(env)![1]);
  const election = number('ETCD_ELECTION_TIMEOUT');
  // Ten times the longest way there and back; the lease that Detour asks for is one that is granted.
  assert.ok(election >= 10 * 250 && election >= 10 * number('ETCD_HEARTBEAT_INTERVAL'));
  assert.ok(Math.ceil(1.5 * (election / 1000)) <= Number(/^(\d+)s$/.exec(group.etcd.ttl)![1]));
  const unit = read('systemd/detour-etcd.service');
  const folder = /^StateDirectory=(.+)$/m.exec(unit)![1];
  assert.ok(env.includes(`\nETCD_DATA_DIR=/var/lib/${folder}/`));
  for (const file of ['etcd.env', 'member.env']) {
    assert.ok(unit.includes(`\nEnvironmentFile=/etc/detour-etcd/${file}\n`), file);
  }
  const set = [...`${env}\n${read('etcd/member.env')}`.matchAll(/^(ETCD_[A-Z_]+)=/gm)];
  const keys = set.map(([, key]) => key!);
  assert.equal(new Set(keys).size, keys.length, 'each is said once');
});

test('its members serve whom they should, and come back from a backup as another cluster', {
  skip,
}, async () => {
  const ports = await portsFor();
  const hosts = names.map((name) => `${name}=127.0.0.1,${name}.example`);
  well(run(script('certificates.sh', join(home, 'tls'), ...hosts), {}));
  for (const name of names) configure(name, ports);
  for (const name of names) launch(name);
  const port = ports['hz-1'].client;
  const endpoints = names.map((name) => `https://127.0.0.1:${ports[name].client}`).join();
  const ctl = {
    ETCDCTL_API: '3',
    ETCDCTL_ENDPOINTS: endpoints,
    ETCDCTL_CACERT: join(home, 'tls', 'ca.pem'),
  };
  await healthy(ctl);
  assert.match(said(), /"auto-compaction-mode":"revision"/);
  assert.doesNotMatch(said(), /unrecognized environment variable/);

  // Nobody without a password, and Detour below its prefix alone.
  const secrets = { root: 'for-people-and-backups', detour: 'for-detour-and-nobody' };
  for (const [who, text] of Object.entries(secrets)) writeFileSync(join(home, who), `${text}\n`);
  const passwords = [join(home, 'root'), join(home, 'detour')];
  const prefix: string = parse(read('group.yaml')).group.etcd.prefix;
  writeFileSync(join(home, 'two words'), 'a password in words\n');
  const refused = run(script('users.sh', prefix, join(home, 'two words'), passwords[1]!), ctl);
  assert.match(refused.out, /expected one line, 16 characters or more and no space/);
  const users = script('users.sh', prefix, ...passwords);
  well(run(users, ctl));
  well(run(users, ctl));
  const detour = { ...ctl, ETCDCTL_USER: 'detour', ETCDCTL_PASSWORD: secrets.detour };
  assert.match(run(['etcdctl', 'put', `${prefix}x`, '1'], ctl).out, /user name is empty/);
  well(run(['etcdctl', 'put', `${prefix}x`, '1'], detour));
  for (const argv of [
    ['put', '/detour/other/x', '1'],
    ['get', '--prefix', ''],
    ['user', 'list'],
  ]) {
    assert.match(run(['etcdctl', ...argv], detour).out, /permission denied/, argv.join(' '));
  }

  // As Detour asks: by the gateway, with a token, for the lease of its default.
  const login = { name: 'detour', password: secrets.detour };
  const { token } = await ask(port, '/v3/auth/authenticate', login);
  const grant = async (ttl: number) =>
    Number((await ask(port, '/v3/lease/grant', { TTL: ttl }, token)).TTL);
  assert.equal(await grant(5), 5, 'granted as asked');
  assert.equal(await grant(2), 4, 'one and a half elections are the least');

  // As Detour acts: its user may do all that the coordinator of a group does.
  const one = new Replica(endpoints, secrets.detour, prefix);
  await one.until('it acts', ({ kind }) => kind === 'held');
  assert.deepEqual(await one.commit(5), { kind: 'committed' });
  await one.close();

  // A member whose disk was lost: taken out and added anew, as docs/replicas.md has it.
  const root = { ...ctl, ETCDCTL_USER: 'root', ETCDCTL_PASSWORD: secrets.root };
  await stopChild(running.get('nrt-1')!);
  rmSync(join(folderOf('nrt-1'), 'data'), { recursive: true });
  const peer = `https://127.0.0.1:${ports['nrt-1'].peer}`;
  const others = { ...root, ETCDCTL_ENDPOINTS: endpoints.split(',').slice(0, 2).join() };
  const listed = well(run(['etcdctl', 'member', 'list'], others));
  const lost = /^([0-9a-f]+), \w+, nrt-1,/m.exec(listed)![1]!;
  well(run(['etcdctl', 'member', 'remove', lost], others));
  well(run(['etcdctl', 'member', 'add', 'nrt-1', `--peer-urls=${peer}`], others));
  const common = join(folderOf('nrt-1'), 'etcd.env');
  const state = readFileSync(common, 'utf8').replace('CLUSTER_STATE=new', 'CLUSTER_STATE=existing');
  writeFileSync(common, state);
  launch('nrt-1');
  await healthy(detour);

  // A backup, and what was decided after it.
  const backups = join(home, 'backups');
  const first = { ...ctl, ETCDCTL_ENDPOINTS: `https://127.0.0.1:${port}` };
  const backup = well(run(script('backup.sh', backups, join(home, 'root'), '1'), first)).trim();
  await pause(1100);
  const newest = well(run(script('backup.sh', backups, join(home, 'root'), '1'), first)).trim();
  assert.notEqual(newest, backup);
  assert.deepEqual(
    readdirSync(backups).toSorted(),
    [newest, `${newest}.json`].map((f) => f.slice(backups.length + 1)),
  );
  well(run(['etcdctl', 'put', `${prefix}x`, '2'], detour));
  one.again();
  await one.until('it acts', ({ kind }) => kind === 'held');
  assert.deepEqual(await one.commit(6), { kind: 'committed' });
  await one.close();
  const headOf = async () => {
    const again = await ask(port, '/v3/auth/authenticate', login);
    const key = { key: base64(`${prefix}x`) };
    const { header, kvs } = await ask(port, '/v3/kv/range', key, again['token']);
    return { ...header, value: Buffer.from(kvs[0].value, 'base64').toString() };
  };
  const before = await headOf();
  await stopAll();
  for (const name of names) {
    const restored = run(script('restore.sh', newest), { CONFIG: folderOf(name) });
    assert.match(well(restored), /what was there is now/);
    launch(name);
  }
  await healthy(detour);
  const now = await headOf();
  assert.deepEqual([before.value, now.value], ['2', '1']);
  assert.ok(Number(now.revision) < Number(before.revision), 'a revision that went back');
  assert.notEqual(now.cluster_id, before.cluster_id, 'another cluster');

  // Detour knows more than the backup does: nobody acts until a person says whose memory is right.
  one.again();
  const is = (word: string | null) => (e: LeaseEvent) => e.kind === 'group' && e.word === word;
  await one.until('it says restored', is('restored'));
  assert.ok(!one.events.some(({ kind }) => kind === 'held'));
  const reply = await one.restore(6);
  assert.equal(reply.exit, 0, reply.message);
  await one.until('it acts again', ({ kind }) => kind === 'held');
  await one.close();
});

/** A minute is enough for three members and an election or two on a slow machine. */
async function healthy(ctl: Readonly<Record<string, string>>): Promise<void> {
  let last = '';
  for (const until = Date.now() + 60_000; Date.now() < until; await pause(250)) {
    const done = run(['etcdctl', 'endpoint', 'health'], ctl);
    last = done.out;
    if (done.status === 0) return;
  }
  assert.fail(`${last}\n${said().slice(-3000)}`);
}
