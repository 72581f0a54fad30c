// A group of three real daemons for tests: the built program three times over a real etcd of three
// members, with the lab's vendors and clouds, everything on loopback and far apart by ways that delay
// (way.ts). Origins of its own lead each record, so that each can be seen down by whom a test likes.
// Everything started here ends with it; what a daemon believes is sampled from inside (inside.ts).

import { type ChildProcess, spawn } from 'node:child_process';
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { Command, Reply } from '../../src/core/model.ts';
import type { StatusView } from '../../src/core/view.ts';
import { freePort } from './bind.ts';
import { call } from './daemon.ts';
import { type Etcd, type EtcdWishes, startEtcd } from './etcd.ts';
import type { Counted, Told } from './inside.ts';
import { collect, main, type RunningLab, startLabProgram, stopChild, until } from './program.ts';
import { type Lane, newLane, openWay, type Way } from './way.ts';

export const names = ['hz', 'fra', 'nrt'] as const;
export type ReplicaName = (typeof names)[number];

/** What a daemon reaches, of which all ways can be cut at once. */
export type Side = 'etcd' | 'vendors' | 'origins' | 'references' | 'replicas';

export interface GroupWishes {
  /** There and back in milliseconds between the clouds of hz and fra, hz and nrt, fra and nrt. */
  readonly roundTrips: readonly [number, number, number];
  /** Records `r0001` and on, each led by an origin of its own; at least 1. */
  readonly records: number;
  /** More origins with a check each, to which no record leads; 0 unless given. */
  readonly idleChecks?: number;
  /** One origin leads all records. */
  readonly together?: boolean;
  /** Where records are published; at all three unless given. */
  readonly publish?: readonly ('cf' | 'r53' | 'ali')[];
  /** From a replica to each member of etcd, in place of what the clouds say. */
  readonly toEtcdMs?: number;
  /** There and back between members of etcd, in place of what the clouds say. */
  readonly peersMs?: number;
  readonly etcd?: EtcdWishes;
  /** Put over the configuration's `policy`. */
  readonly policy?: Readonly<Record<string, unknown>>;
  /** One daemon alone with three paths, and no etcd. */
  readonly alone?: boolean;
  /** Where nobody has to look inside, nothing is put there; yes unless given. */
  readonly inside?: boolean;
}

/** One daemon. */
export interface Replica {
  readonly name: string;
  readonly stateDir: string;
  /** `HOST:PORT` of its metrics. */
  readonly listen: string;
  readonly beliefs: Beliefs;
  readonly socket: string;
  child: ChildProcess | null;
  log(): string;
  start(): void;
  stop(signal?: NodeJS.Signals): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  tell(told: Told): void;
  /** HTTP requests that it made since its start, by `HOST:PORT`. */
  counted(): Promise<Readonly<Record<string, number>>>;
  status(): Promise<StatusView | null>;
  command(command: Command, id?: string): Promise<Reply | null>;
}

export interface Group {
  readonly lab: RunningLab;
  /** null: one daemon alone. */
  readonly etcd: Etcd | null;
  readonly replicas: readonly Replica[];
  /** `r0001.gslb.example.net`, the origin that leads it, and what it answers by target. */
  readonly records: readonly { readonly name: string; readonly origin: string }[];
  readonly values: Readonly<Record<'first' | 'second', string>>;
  /** From one replica to what it names: `m0`, `fra`, `o0001`, `vendors`, `references`. */
  lane(from: string, to: string): Lane;
  /** All lanes of a replica to one side. */
  lanes(from: string, side: Side): readonly Lane[];
  /** Of what is dialled from now on; what is open stays open and is silent. */
  cut(from: string, side: Side, state?: Lane['state']): void;
  /** Between two members of etcd, both ways. */
  between(member: number, other: number): Lane;
  mend(): void;
  close(): Promise<void>;
}

interface Plan {
  readonly wishes: GroupWishes;
  readonly lab: RunningLab;
  readonly etcd: Etcd | null;
  readonly given: LabConfig;
  readonly ports: Readonly<Record<string, number>>;
}

/** What is read of the lab's configuration. */
interface LabConfig {
  readonly [key: string]: unknown;
  readonly clusterKey: unknown;
  readonly providers: Readonly<Record<string, { endpoint: string; nameservers: string[] }>>;
  readonly policy: { references: Readonly<Record<string, { http: string; address: string }>> };
  readonly origins: Readonly<Record<string, OriginText>>;
}

interface OriginText {
  readonly cloud: string;
  readonly region: string;
  readonly checks: { readonly web: { http: string; address: string; expect: unknown } };
}

/** Rejects with what a part said where it does not come up. */
export async function startGroup(wishes: GroupWishes): Promise<Group> {
  const lab = await startLabProgram(
    ...['--no-daemon', '--quotas', 'off', '--paths', '3', '--records', String(wishes.records)],
  );
  const roads = new Roads(wishes);
  let etcd: Etcd | null = null;
  try {
    if (!wishes.alone) {
      const peerWay: EtcdWishes['peerWay'] = (...to) => roads.toPeer(...to);
      etcd = await startEtcd({ ...wishes.etcd, peerWay });
    }
    const given = parse(readFileSync(lab.ready.config, 'utf8')) as LabConfig;
    const ports: Record<string, number> = {};
    for (const name of names) ports[name] = await freePort();
    const plan = { wishes, lab, etcd, given, ports };
    const replicas = [];
    for (const name of wishes.alone ? ['one'] : names)
      replicas.push(await place(plan, roads, name));
    return groupOf(plan, roads, replicas);
  } catch (error) {
    await roads.close();
    await etcd?.stop();
    await lab.stop();
    throw error;
  }
}

function groupOf({ wishes, lab, etcd }: Plan, roads: Roads, replicas: readonly Replica[]): Group {
  const lanes = (from: string, side: Side) => roads.ofSide(from, side);
  return {
    lab,
    etcd,
    replicas,
    records: Array.from({ length: wishes.records }, (_, i) => {
      return {
        name: `r${digits(i + 1)}.gslb.example.net`,
        origin: originOf(i + 1, wishes.together ?? false),
      };
    }),
    values: { first: 'hz.shop.example', second: 'nrt.shop.example' },
    lane: (from, to) => roads.lane(from, to),
    lanes,
    cut(from, side, state = 'silent') {
      for (const lane of lanes(from, side)) lane.state = state;
      const replica = replicas.find(({ name }) => name === from)!;
      if (side === 'vendors') replica.tell({ kind: 'deaf', hosts: roads.vendorHosts });
    },
    between: (member, other) => roads.between(member, other),
    mend() {
      for (const lane of roads.all()) lane.state = 'open';
      for (const replica of replicas) replica.tell({ kind: 'deaf', hosts: [] });
    },
    async close() {
      await Promise.all(replicas.map((one) => one.stop('SIGKILL')));
      await roads.close();
      await etcd?.stop();
      await lab.stop();
    },
  };
}

const digits = (n: number) => String(n).padStart(4, '0');

/** What each dials, by way and side. */
class Roads {
  readonly #wishes: GroupWishes;
  readonly #lanes = new Map<string, { readonly lane: Lane; readonly side: Side | 'peers' }>();
  readonly #ways: Way[] = [];
  readonly vendorHosts: string[] = [];

  constructor(wishes: GroupWishes) {
    this.#wishes = wishes;
  }

  /** One way between two places in the clouds. */
  delayOf(one: number, other: number): number {
    const [ab, ac, bc] = this.#wishes.roundTrips;
    if (one === other) return 0;
    return (one + other === 1 ? ab : one + other === 2 ? ac : bc) / 2;
  }

  lane(from: string, to: string): Lane {
    const found = this.#lanes.get(`${from} ${to}`);
    if (found === undefined) throw new Error(`no way leads from ${from} to ${to}`);
    return found.lane;
  }

  add(from: string, to: string, side: Side | 'peers', delayMs: number): Lane {
    const known = this.#lanes.get(`${from} ${to}`);
    if (known !== undefined) return known.lane;
    const lane = newLane(delayMs);
    this.#lanes.set(`${from} ${to}`, { lane, side });
    return lane;
  }

  async open(host: string, port: number, lane: Parameters<typeof openWay>[1]): Promise<number> {
    const way = await openWay({ host, port }, lane);
    this.#ways.push(way);
    return way.port;
  }

  ofSide(from: string, side: Side): readonly Lane[] {
    const found = [...this.#lanes].filter(([key, one]) => {
      return key.startsWith(`${from} `) && one.side === side;
    });
    return found.map(([, { lane }]) => lane);
  }

  all(): readonly Lane[] {
    return [...this.#lanes.values()].map(({ lane }) => lane);
  }

  between(one: number, other: number): Lane {
    const [a, b] = [Math.min(one, other), Math.max(one, other)];
    const { peersMs } = this.#wishes;
    const delayMs = peersMs === undefined ? this.delayOf(a, b) : peersMs / 2;
    return this.add(`m${a}`, `m${b}`, 'peers', delayMs);
  }

  /** To a member from the others; which of them dials tells the port that it dials from. */
  toPeer(member: number, port: number, pids: () => readonly (number | null)[]): Promise<number> {
    return this.open('127.0.0.1', port, async (remotePort) => {
      const dialler = await whoDials(remotePort, pids());
      return dialler === null ? newLane() : this.between(member, dialler);
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#ways.map((way) => way.close()));
  }
}

/**
 * Which of these processes has a socket at this port of loopback (proc(5)); null: none. The table may
 * be long: it is read beside the loop, which carries what is under way.
 */
async function whoDials(port: number, pids: readonly (number | null)[]): Promise<number | null> {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')} `;
  const table = await readFile('/proc/net/tcp', 'latin1');
  const at = table.indexOf(`: ${local}`);
  const line = at < 0 ? '' : table.slice(at + 2, at + 200);
  const socket = `socket:[${line.split(/\s+/)[8]}]`;
  const member = pids.findIndex((pid) => pid !== null && hasSocket(pid, socket));
  return member < 0 ? null : member;
}

/** At once: many small reads one by one through the thread pool would take a hundred times as long. */
function hasSocket(pid: number, socket: string): boolean {
  const folder = `/proc/${pid}/fd`;
  const orGone = <T>(read: () => T, none: T): T => {
    try {
      return read();
    } catch (error) {
      // Closed, or ended, since it was listed.
      if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
      return none;
    }
  };
  const found = orGone<readonly string[]>(() => readdirSync(folder), []);
  return found.some((fd) => orGone(() => readlinkSync(join(folder, fd)) === socket, false));
}

// ---------------------------------------------------------------- one daemon

async function place(plan: Plan, roads: Roads, name: string): Promise<Replica> {
  const { lab, wishes } = plan;
  const at = join(lab.directory, `replica-${name}`);
  mkdirSync(at, { recursive: true });
  const config = join(at, 'detour.yaml');
  const socket = join(at, 'detour.sock');
  const samples = join(at, 'samples');
  const stateDir = join(at, 'state');
  writeFileSync(samples, '');
  const listen = `127.0.0.1:${await freePort()}`;
  writeFileSync(config, stringify({ ...textOf(plan), socket, stateDir, listen }), { mode: 0o600 });
  const ways = await waysOf(plan, roads, name);
  let said = { out: () => '', err: () => '' };
  let older = '';
  const replica: Replica = {
    name,
    stateDir,
    listen,
    beliefs: new Beliefs(name, samples),
    socket,
    child: null,
    log: () => older + said.out() + said.err(),
    start() {
      older = replica.log().slice(-2_000_000);
      const inside = join(import.meta.dirname, 'inside.ts');
      const looks = wishes.inside === false ? [] : ['--import', inside];
      const which = wishes.alone ? [] : ['--replica', name];
      const argv = [...looks, main, 'run', '-c', config, '--json', ...which];
      const given = JSON.stringify({ ways, samples, wallMs: 0 });
      const env = { ...process.env, DETOUR_TEST_INSIDE: given };
      const stdio = ['ignore', 'pipe', 'pipe', 'ipc'] as const;
      const child = spawn(process.execPath, argv, { stdio: [...stdio], env });
      replica.child = child;
      said = collect(child);
      const kill = () => child.kill('SIGKILL');
      process.once('exit', kill);
      child.once('exit', () => process.removeListener('exit', kill));
    },
    async stop(signal = 'SIGTERM') {
      const { child } = replica;
      if (child === null) return;
      child.kill('SIGCONT');
      await stopChild(child, signal);
    },
    signal: (signal) => void replica.child?.kill(signal),
    tell(told) {
      if (replica.child?.connected) replica.child.send(told);
    },
    counted: () => countedBy(replica),
    status: () => call<StatusView>(socket, 'GET', '/v1/status'),
    command: (command, id) => {
      const query = id === undefined ? '' : `?id=${id}`;
      return call<Reply>(socket, 'POST', `/v1/command${query}`, command);
    },
  };
  return replica;
}

function countedBy({ child, name }: Replica): Promise<Readonly<Record<string, number>>> {
  return new Promise((resolve, reject) => {
    if (!child?.connected) return reject(new Error(`${name} does not run`));
    const late = setTimeout(() => reject(new Error(`${name} does not count`)), 5000);
    child.once('message', (counted: Counted) => {
      clearTimeout(late);
      resolve(counted.requests);
    });
    child.send({ kind: 'count' } satisfies Told);
  });
}

/** The configuration, the same for all but where each has its state. */
function textOf({ wishes, lab, etcd, given, ports }: Plan): Record<string, unknown> {
  const { records, policy, alone, together = false, idleChecks = 0 } = wishes;
  const { paths: _, listen: _listen, clouds: _clouds, ...rest } = given;
  const origins: Record<string, unknown> = { tokyo: given.origins['tokyo'] };
  const led: Record<string, unknown> = {};
  const first = given.origins['hangzhou']!;
  for (let i = 1; i <= records; i++) {
    const name = originOf(i, together);
    const web = { ...first.checks.web, address: addressOf(i) };
    origins[name] ??= { ...first, checks: { web } };
    led[`r${digits(i)}.gslb.example.net`] = {
      ttl: 60,
      publish: wishes.publish ?? ['cf', 'r53', 'ali'],
      targets: [
        { origin: name, cname: 'hz.shop.example' },
        { origin: 'tokyo', cname: 'nrt.shop.example' },
      ],
      mode: 'steer',
    };
  }
  for (let i = 1; i <= idleChecks; i++) {
    origins[`idle${digits(i)}`] = { ...first, checks: { web: first.checks.web } };
  }
  const three = { a: place3('a'), b: place3('b'), c: place3('c') };
  return {
    ...rest,
    clouds: { aliyun: {}, aws: {} },
    origins,
    records: led,
    policy: { ...given.policy, ...policy },
    ...(alone || etcd === null ? { paths: three } : groupText(lab, etcd, ports)),
  };
}

const originOf = (i: number, together: boolean) => `o${digits(together ? 1 : i)}`;
const place3 = (name: string) => ({ site: `site-${name}`, uplink: `uplink-${name}` });

function groupText(lab: RunningLab, etcd: Etcd, ports: Plan['ports']): Record<string, unknown> {
  const file = (name: string, bytes: Buffer | string) => {
    const path = join(lab.directory, 'secrets', name);
    writeFileSync(path, bytes, { mode: 0o600 });
    return path;
  };
  const replicas = names.map((name) => {
    return [name, { address: `127.0.0.1:${ports[name]}`, ...place3(name) }] as const;
  });
  return {
    replicas: Object.fromEntries(replicas),
    group: {
      etcd: {
        endpoints: etcd.endpoints,
        ca: file('etcd-ca.pem', etcd.ca),
        cert: file('etcd.pem', etcd.cert),
        key: file('etcd.key', etcd.key),
        username: etcd.user.name,
        password: { file: file('etcd-password', etcd.user.password) },
        prefix: 'detour/',
        ttl: '5s',
      },
    },
  };
}

/** Where the origin of a record is said to be; a way leads from there to the lab's. */
const addressOf = (i: number) => `127.1.${i >> 8}.${i & 255}`;

/** What a replica dials, and where the way to it begins. */
async function waysOf(plan: Plan, roads: Roads, name: string): Promise<Record<string, number>> {
  const { wishes, etcd, given, ports } = plan;
  const self = Math.max(0, names.indexOf(name as ReplicaName));
  const ways: Record<string, number> = {};
  const lead = async (to: string, side: Side, target: string, delayMs: number, as = target) => {
    const lane = roads.add(name, to, side, delayMs);
    const { hostname, port } = new URL(`http://${target}`);
    ways[as] = await roads.open(hostname, Number(port), () => lane);
  };
  for (const [i, url] of (etcd?.endpoints ?? []).entries()) {
    const delayMs = wishes.toEtcdMs === undefined ? roads.delayOf(self, i) : wishes.toEtcdMs / 2;
    await lead(`m${i}`, 'etcd', new URL(url).host, delayMs);
  }
  if (!wishes.alone) {
    for (const [i, other] of names.entries()) {
      if (other === name) continue;
      await lead(other, 'replicas', `127.0.0.1:${ports[other]}`, roads.delayOf(self, i));
    }
  }
  for (const [vendor, { endpoint, nameservers }] of Object.entries(given.providers)) {
    await lead(vendor, 'vendors', new URL(endpoint).host, 0);
    for (const server of nameservers) {
      await lead(vendor, 'vendors', server, 0);
      roads.vendorHosts.push(server.split(':')[0]!);
    }
  }
  for (const { http, address } of Object.values(given.policy.references)) {
    await lead('references', 'references', `${address}:${new URL(http).port}`, 0);
  }
  const { web } = given.origins['hangzhou']!.checks;
  const port = new URL(web.http).port;
  for (let i = 1; i <= (wishes.together ? 1 : wishes.records); i++) {
    const target = `${web.address}:${port}`;
    await lead(`o${digits(i)}`, 'origins', target, 0, `${addressOf(i)}:${port}`);
  }
  const second = given.origins['tokyo']!.checks.web;
  await lead('tokyo', 'origins', `${second.address}:${new URL(second.http).port}`, 0);
  return ways;
}

// ---------------------------------------------------------------- who believed to act, and when

/** A time in which one replica believed at each sample that it may act. */
export interface Reign {
  readonly replica: string;
  /** Of this machine's monotonic clock, in ms. */
  readonly from: number;
  readonly to: number;
}

/** Of this machine's monotonic clock, in ms. */
export const machineNow = (): number => Number(process.hrtime.bigint()) / 1e6;

/**
 * What a replica believed at each sample, read as it comes. Between two samples in a row it believed
 * what both say: a process that stood still and wakes up is to find out before its next sample.
 */
export class Beliefs {
  readonly #replica: string;
  readonly #file: string;
  readonly #reigns: { replica: string; from: number; to: number }[] = [];
  #read = 0;
  #last: { readonly at: number; readonly acts: boolean } | null = null;

  constructor(replica: string, file: string) {
    this.#replica = replica;
    this.#file = file;
  }

  get samples(): number {
    return this.#read / 16;
  }

  reigns(): readonly Reign[] {
    this.#take();
    return this.#reigns;
  }

  /** By its newest sample, which is of the last 100 ms. */
  acts(): boolean {
    this.#take();
    const last = this.#last;
    return last?.acts === true && machineNow() - last.at < 100;
  }

  #take(): void {
    const file = openSync(this.#file, 'r');
    try {
      const { size } = fstatSync(file);
      const bytes = new Uint8Array(size - this.#read - ((size - this.#read) % 16));
      if (bytes.length === 0) return;
      readSync(file, bytes, 0, bytes.length, this.#read);
      this.#read += bytes.length;
      const pairs = new Float64Array(bytes.buffer);
      for (let i = 0; i < pairs.length; i += 2) this.#note(pairs[i]!, pairs[i + 1]! > 0);
    } finally {
      closeSync(file);
    }
  }

  #note(at: number, acts: boolean): void {
    if (acts && this.#last?.acts) this.#reigns.at(-1)!.to = at;
    else if (acts) this.#reigns.push({ replica: this.#replica, from: at, to: at });
    this.#last = { at, acts };
  }
}

/** Pairs that overlap, by how many ms: there must be none. */
export function overlaps(all: readonly Reign[]): readonly string[] {
  const sorted = [...all].sort((a, b) => a.from - b.from);
  return sorted.flatMap((one, i) => {
    return sorted.slice(i + 1).flatMap((other) => {
      const ms = Math.min(one.to, other.to) - other.from;
      if (other.replica === one.replica || ms < 0) return [];
      return [`${one.replica} and ${other.replica} for ${ms.toFixed(0)} ms`];
    });
  });
}

/** Waits until just one replica acts, and says which. */
export async function actor(group: Group, boundMs = 30_000): Promise<Replica> {
  let found: Replica | null = null;
  await until('one replica acts', boundMs, () => {
    found = actsNow(group);
    return found !== null;
  }).catch((error: Error) => {
    const said = group.replicas.map((one) => `${one.name}: ${one.log().slice(-3000)}`);
    throw new Error(`${error.message}\n${said.join('\n')}`);
  });
  return found!;
}

/** Null: nobody. */
export function actsNow({ replicas }: Group): Replica | null {
  return replicas.find((one) => one.beliefs.acts()) ?? null;
}
