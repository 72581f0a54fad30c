// `npm run bench:probes`: what it costs to probe 100, 1,000 and 5,000 origins over HTTP once a second,
// for Detour and its peers side by side. Detour is the built daemon with all that it does besides; its
// probing alone is controller, engine, prober and metrics with a store in memory; a bare loop over
// node:http shows what Node itself takes. The origins are one nginx on many addresses of loopback, that
// resumes TLS sessions as it does by default; by its log the requests are counted, and how much later
// than its interval each came. It keeps connections, so that Detour holds them. Every row is bounded
// in count and time (`--seconds 12`). Processor time, for how long the first thread waited for it,
// and memory are read from /proc, the same way for everybody. Exits 1 when a goal is missed.
// `--profile` prints where the time of the probing goes, by part and by function.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import tls from 'node:tls';
import { parseArgs } from 'node:util';
import { parse, stringify } from 'yaml';
import { createSingleCoordinator } from '../../src/cluster/single.ts';
import { Controller } from '../../src/controller.ts';
import type { PathSpec } from '../../src/kit/extend.ts';
import { checkTypes, createProber } from '../../src/probes/index.ts';
import { createClock } from '../../src/run/clock.ts';
import { keepYoung } from '../../src/run/heap.ts';
import { createMetrics } from '../../src/serve/metrics.ts';
import { Readers } from '../../src/serve/readers.ts';
import { coreConfig } from '../core/world.ts';
import { status } from '../parts/daemon.ts';
import { createCertificates } from '../parts/listening.ts';
import { openMemoryStore } from '../parts/memory-store.ts';
import {
  nodeOptions,
  type RunningLab,
  socketOf,
  startDaemon,
  startLabProgram,
  stopChild,
  until,
} from '../parts/program.ts';
import {
  absent,
  calm,
  costOf,
  freePort,
  machine,
  type Peer,
  type Program,
  startGdnsd,
  startHaproxy,
  startNginx,
  startPrometheus,
} from './peers.ts';
import { profiled } from './profile.ts';
import { standIn } from './vendor.ts';

const INTERVAL_MS = 1000;
const TIMEOUT_MS = 1000;
const LATE_GOAL_MS = 100;
const CALM_MS = 20_000;
const WARM_MS = 4000;
const SETTLE_MS = 120_000;
/** Until V8 has compiled what is asked often. */
const PROFILE_WARM_MS = 10_000;

const { values } = parseArgs({
  options: {
    counts: { type: 'string', default: '100,1000,5000' },
    'tls-counts': { type: 'string', default: '100,1000' },
    seconds: { type: 'string', default: '12' },
    /** Says where Detour's time goes at each number of origins, and at one, in place of comparing. */
    profile: { type: 'boolean', default: false },
    /** Names of contenders, in lower case; all without it. */
    only: { type: 'string', default: '' },
    /** What a child process does. */
    role: { type: 'string', default: '' },
    count: { type: 'string', default: '0' },
    port: { type: 'string', default: '0' },
    ca: { type: 'string', default: '' },
  },
});

/** Five thousand and more addresses of loopback, a few hundred in each of 127.20.0.0/16's nets. */
const addressOf = (i: number) => `127.20.${Math.floor(i / 250)}.${(i % 250) + 1}`;
const addresses = (count: number) => Array.from({ length: count }, (_, i) => addressOf(i));

// ---------------------------------------------------------------- the origins

/** Of one window: how many requests came, at how many origins, and how late. */
interface Counted {
  readonly requests: number;
  readonly origins: number;
  /** Milliseconds between requests of one origin beyond the interval: median, p99; null: none. */
  readonly lateMs: readonly [number | null, number | null];
}

/** What the origins' log says of a window of wall time, in milliseconds. */
async function counted(log: string, fromMs: number, intervalMs: number): Promise<Counted> {
  const toMs = Date.now();
  // The log is written half a second late.
  await pause(700);
  const lastAt = new Map<string, number>();
  const late: number[] = [];
  let requests = 0;
  for (const line of readFileSync(log, 'latin1').split('\n')) {
    const [seconds, address] = line.split(' ');
    const at = Number(seconds) * 1000;
    if (address === undefined || at < fromMs || at > toMs) continue;
    const before = lastAt.get(address);
    if (before !== undefined) late.push(Math.max(0, at - before - intervalMs));
    lastAt.set(address, at);
    requests++;
  }
  late.sort((a, b) => a - b);
  const at = (share: number) =>
    late[Math.min(late.length - 1, Math.floor(late.length * share))] ?? null;
  return { requests, origins: lastAt.size, lateMs: [at(0.5), at(0.99)] };
}

// ---------------------------------------------------------------- the contenders in Node

const urlOf = (i: number, port: number, ca: string) =>
  `${ca === '' ? 'http' : 'https'}://${addressOf(i)}:${port}/healthz`;

/** The daemon's probing, from the engine's timers to the metrics. */
function runDetour(count: number, port: number, ca: string): void {
  keepYoung();
  const names = Array.from({ length: count }, (_, i) => `o${i}`);
  const parse = checkTypes['http']!.settings;
  const probes = names.map((name, i) => {
    const trust = ca === '' ? {} : { ca, host: 'origin.test' };
    const settings = parse.parse({ http: urlOf(i, port, ca), ...trust });
    return [`${name}/web`, { kind: 'http', settings, timeoutMs: TIMEOUT_MS }] as const;
  });
  const line: PathSpec = { name: 'line', kind: 'direct', resolver: null, localAddress: null };
  const record = 'www.gslb.test.';
  const { provider, verifier } = standIn(new Map([[record, 'o0.shop.test.']]));
  const targets = names.slice(0, 2).map((origin) => ({ origin, cname: `${origin}.shop.test.` }));
  const config = coreConfig({
    origins: Object.fromEntries(names.map((name, i) => [name, { cloud: `cloud${i % 3}` }])),
    paths: ['line'],
    providers: ['vendor'],
    detector: { kind: 'sequential', falseSwitchEveryMs: 10 * 365 * 86_400_000 },
    check: { intervalMs: INTERVAL_MS, timeoutMs: TIMEOUT_MS, confirmMs: 500, fall: 3, rise: 2 },
    records: { [record]: { targets } },
  });
  const prober = createProber(Object.fromEntries(probes), { line });
  const adapters = { prober, providers: { vendor: provider }, verifier, notifier: null };
  const metrics = createMetrics({
    desk: {
      status: async () => controller.status(),
      audited: () => ({ running: false, report: null }),
    },
    version: 'bench',
    readers: new Readers(),
  });
  const controller = new Controller(config, adapters, {
    clock: createClock(0),
    store: openMemoryStore(),
    coordinator: createSingleCoordinator(1),
    observers: [metrics.observer],
    seed: [1, 2, 3, 4],
    version: 'bench',
  });
  controller.start();
}

/** Node alone: a request for each origin once a second, nothing judged but the status. */
function runBare(count: number, port: number, ca: string): void {
  const context =
    ca === '' ? {} : { secureContext: tls.createSecureContext({ ca: readFileSync(ca) }) };
  const isSecure = ca !== '';
  const client = isSecure ? https : http;
  const agent = new client.Agent({ keepAlive: false, maxCachedSessions: 0 });
  const ask = (i: number) => {
    const options = { agent, ...context, ...(isSecure ? { servername: 'origin.test' } : {}) };
    client.get(urlOf(i, port, ca), options, (answer) => answer.resume()).on('error', () => {});
  };
  const beginAt = performance.now();
  let next = 0;
  const turn = () => {
    const due = Math.floor(((performance.now() - beginAt) * count) / INTERVAL_MS);
    while (next < due) ask(next++ % count);
    setTimeout(turn, 1);
  };
  turn();
}

/** This file in a process of its own; ends with this one. */
async function child(role: string, ...args: string[]): Promise<ChildProcess> {
  const made = fork(import.meta.filename, [`--role=${role}`, ...args], {
    execArgv: [...process.execArgv, ...nodeOptions()],
  });
  await once(made, 'spawn');
  return made;
}

async function inNode(role: string, name: string, scene: Scene): Promise<Peer> {
  const { count, port, ca } = scene;
  const made = await child(role, `--count=${count}`, `--port=${port}`, `--ca=${ca}`);
  const stop = async () => {
    const gone = once(made, 'exit');
    made.disconnect();
    await gone;
  };
  return { name, pids: [made.pid!], stop };
}

// ---------------------------------------------------------------- the whole daemon

let lab: RunningLab | null = null;

/** The built daemon with everything it does besides, one record of its at one of the lab's vendors. */
async function theDaemon(name: string, scene: Scene, hold?: false): Promise<Peer> {
  const { count, port, ca } = scene;
  lab ??= await startLabProgram('--no-daemon', '--records', '0', '--quotas', 'off');
  const folder = mkdtempSync(join(tmpdir(), 'detour-bench-'));
  const config = parse(readFileSync(lab.ready.config, 'utf8'));
  const trust = ca === '' ? {} : { ca, host: 'origin.test' };
  const origins = Array.from({ length: count }, (_, i) => {
    const web = { http: urlOf(i, port, ca), ...trust, ...(hold === undefined ? {} : { hold }) };
    return [`o${i}`, { cloud: i % 2 === 0 ? 'aliyun' : 'aws', checks: { web } }] as const;
  });
  const [record] = Object.keys(config.records);
  const [first, second] = config.records[record!].targets;
  const targets = [
    { ...first, origin: 'o0' },
    { ...second, origin: 'o1' },
  ];
  const file = join(folder, 'detour.yaml');
  const text = stringify({
    ...config,
    providers: { cf: config.providers.cf },
    origins: Object.fromEntries(origins),
    records: { [record!]: { ...config.records[record!], publish: ['cf'], targets } },
    policy: { ...config.policy, confirm: '500ms' },
    stateDir: join(folder, 'state'),
    socket: join(folder, 'detour.sock'),
    listen: `127.0.0.1:${await freePort()}`,
  });
  writeFileSync(file, text);
  const daemon = startDaemon(file, '--new-state');
  const stop = async () => {
    await stopChild(daemon.child);
    rmSync(folder, { recursive: true, force: true });
  };
  // The first verdicts are journalled one by one, each in a commit of its own: that is the start.
  const isSettled = async () => {
    if (daemon.child.exitCode !== null) throw new Error(daemon.err());
    const seen = await status(socketOf(folder));
    return seen?.origins.every(({ health }) => health === 'up') ?? false;
  };
  try {
    await until('every origin is known to be up', SETTLE_MS, isSettled);
  } catch (error) {
    if (daemon.child.exitCode !== null) {
      await stop();
      throw error;
    }
    // What does not come to rest is measured all the same, as its peers are.
    console.log(`${name}: ${(error as Error).message}`);
  }
  return { name, pids: [daemon.child.pid!], stop };
}

// ---------------------------------------------------------------- the measurement

interface Scene {
  readonly count: number;
  readonly port: number;
  /** Path of the bundle to trust; empty: plain HTTP. */
  readonly ca: string;
}

/** What HTTPS origins have: files of PEM. */
interface Trust {
  readonly certificate: string;
  readonly key: string;
}

interface Contender {
  readonly name: string;
  readonly needs: readonly Program[];
  readonly intervalMs: number;
  readonly tls: boolean;
  start(scene: Scene): Promise<Peer>;
}

const trustOf = ({ port, ca }: Scene) => ({
  port,
  ca: ca === '' ? null : ca,
  name: 'origin.test',
});

const contenders: readonly Contender[] = [
  {
    name: 'Detour',
    needs: [],
    intervalMs: INTERVAL_MS,
    tls: true,
    start: (scene) => theDaemon('Detour', scene),
  },
  {
    name: 'Detour, nothing held',
    needs: [],
    intervalMs: INTERVAL_MS,
    tls: true,
    start: (scene) => theDaemon('Detour, nothing held', scene, false),
  },
  {
    name: 'its probing alone',
    needs: [],
    intervalMs: INTERVAL_MS,
    tls: true,
    start: (scene) => inNode('detour', 'its probing alone', scene),
  },
  {
    name: 'node:http, bare',
    needs: [],
    intervalMs: INTERVAL_MS,
    tls: true,
    start: (scene) => inNode('bare', 'node:http, bare', scene),
  },
  {
    name: 'gdnsd, 2 s',
    needs: ['gdnsd'],
    intervalMs: 2000,
    tls: false,
    start: ({ count, port }) => {
      const pairs = Array.from({ length: count / 2 }, (_, i) => ({
        name: `r${i}`,
        addresses: [addressOf(2 * i), addressOf(2 * i + 1)] as const,
      }));
      return startGdnsd(pairs, { port, thresholds: 3 });
    },
  },
  {
    name: 'HAProxy',
    needs: ['haproxy'],
    intervalMs: INTERVAL_MS,
    tls: true,
    start: (scene) => startHaproxy(addresses(scene.count), trustOf(scene)),
  },
  {
    name: 'Prometheus + blackbox',
    needs: ['prometheus', 'prometheus-blackbox-exporter'],
    intervalMs: INTERVAL_MS,
    tls: true,
    start: (scene) => startPrometheus(addresses(scene.count), trustOf(scene)),
  },
];

interface Row {
  readonly name: string;
  readonly count: number;
  readonly tls: boolean;
  /** Of what the interval wants. */
  readonly madeShare: number;
  readonly corePercent: number;
  /** Of the time: it could have run and had no processor. */
  readonly waitedPercent: number;
  readonly cpuMsPerThousand: number;
  readonly rssMib: number;
  readonly counted: Counted;
}

/** One contender against fresh origins. */
async function measure(contender: Contender, count: number, trust: Trust | null) {
  const origins = await startNginx(trust);
  const { intervalMs } = contender;
  let peer: Peer | null = null;
  try {
    peer = await contender.start({ count, port: origins.port, ca: trust?.certificate ?? '' });
    // Until most were asked; those that cannot keep up are measured all the same.
    const until = performance.now() + 15_000;
    while (performance.now() < until) {
      await pause(1000);
      if ((await counted(origins.log, 0, intervalMs)).origins >= 0.95 * count) break;
    }
    await pause(WARM_MS);
    const [from, begin, before] = [performance.now(), Date.now(), costOf(peer.pids)];
    await pause(Number(values.seconds) * 1000);
    const [after, ms] = [costOf(peer.pids), performance.now() - from];
    const seen = await counted(origins.log, begin, intervalMs);
    const cpuMs = after.cpuMs - before.cpuMs;
    const row: Row = {
      name: contender.name,
      count,
      tls: trust !== null,
      madeShare: seen.requests / ((count * ms) / intervalMs),
      corePercent: (cpuMs / ms) * 100,
      waitedPercent: ((after.waitedMs - before.waitedMs) / ms) * 100,
      cpuMsPerThousand: cpuMs / (seen.requests / 1000),
      rssMib: after.rssBytes / 1_048_576,
      counted: seen,
    };
    return row;
  } finally {
    await peer?.stop();
    await origins.stop();
  }
}

function print(row: Row, own: Row | undefined): void {
  const { requests, lateMs } = row.counted;
  const ratio = own === undefined ? '' : (row.cpuMsPerThousand / own.cpuMsPerThousand).toFixed(2);
  const cells = [
    row.name.padEnd(22),
    String(requests).padStart(7),
    `${(row.madeShare * 100).toFixed(1)} %`.padStart(8),
    (lateMs[0]?.toFixed(0) ?? '-').padStart(6),
    (lateMs[1]?.toFixed(0) ?? '-').padStart(6),
    `${row.corePercent.toFixed(0)} %`.padStart(7),
    `${row.waitedPercent.toFixed(0)} %`.padStart(7),
    row.cpuMsPerThousand.toFixed(0).padStart(9),
    ratio.padStart(7),
    `${row.rssMib.toFixed(0)} MiB`.padStart(9),
  ];
  console.log(cells.join(' '));
}

/** All that were chosen, at one number of origins. */
async function table(count: number, trust: Trust | null): Promise<readonly Row[]> {
  console.log(`\n${count} origins, ${trust === null ? 'plain HTTP' : 'HTTPS'}, once a second:`);
  console.log(
    'prober                requests     made  late ms: p50, p99  core   waits  ms/1,000  ratio   memory',
  );
  const rows: Row[] = [];
  await calm(CALM_MS);
  for (const contender of chosen) {
    if (trust !== null && !contender.tls) continue;
    try {
      const row = await measure(contender, count, trust);
      rows.push(row);
      print(
        row,
        rows.find((r) => r.name === 'Detour'),
      );
    } catch (error) {
      console.log(`${contender.name.padEnd(22)} ${String(error).slice(0, 300)}`);
    }
  }
  return rows;
}

/** Says for each goal whether it is met; true when all are. */
function judge(rows: readonly Row[]): boolean {
  const find = (name: string, count: number) =>
    rows.find((r) => r.name === name && r.count === count && !r.tls);
  const goals: [what: string, holds: boolean | null, says: string][] = [];
  const five = find('Detour', 5000);
  if (five) {
    const p99 = five.counted.lateMs[1] ?? Number.POSITIVE_INFINITY;
    const isMade = five.madeShare > 0.97 && five.corePercent <= 100 && p99 < LATE_GOAL_MS;
    const says = `${(five.madeShare * 100).toFixed(1)} % made, p99 ${p99.toFixed(0)} ms late`;
    goals.push(['5,000 plain checks a second on one core, p99 under 100 ms late', isMade, says]);
  }
  const bound = (other: string, count: number, times: number) => {
    const [own, peer] = [find('Detour', count), find(other, count)];
    if (!own || !peer) return;
    const is = own.cpuMsPerThousand / peer.cpuMsPerThousand;
    const what = `at ${count}, at most ${times} x the processor time a probe of ${other}`;
    goals.push([what, is <= times, `${is.toFixed(2)} x`]);
  };
  bound('Prometheus + blackbox', 1000, 0.2);
  for (const count of [100, 1000, 5000]) bound('gdnsd, 2 s', count, 2);
  for (const [count, mib] of [
    [100, 120],
    [1000, 150],
    [5000, 200],
  ] as const) {
    const own = find('Detour', count);
    if (own === undefined) continue;
    const what = `at ${count}, at most ${mib} MiB of memory`;
    goals.push([what, own.rssMib <= mib, `${own.rssMib.toFixed(0)} MiB`]);
  }
  const secure = rows.find((r) => r.name === 'Detour' && r.count === 1000 && r.tls);
  if (secure) {
    const p99 = secure.counted.lateMs[1] ?? Number.POSITIVE_INFINITY;
    const isMade = secure.madeShare > 0.99 && p99 < LATE_GOAL_MS;
    const says = `${(secure.madeShare * 100).toFixed(1)} % made, p99 ${p99.toFixed(0)} ms late`;
    goals.push(['1,000 HTTPS checks a second all made, p99 under 100 ms late', isMade, says]);
  }
  console.log('');
  for (const [what, holds, says] of goals) {
    console.log(`goal: ${what}: ${says}: ${holds ? 'met' : 'MISSED'}`);
  }
  return goals.every(([, holds]) => holds);
}

/** Where the time of Detour's half goes; what one origin costs is for the most part idle. */
async function profile(count: number, trust: Trust | null): Promise<void> {
  const origins = await startNginx(trust);
  try {
    const ca = trust?.certificate ?? '';
    console.log(`\n${count} origins, ${trust === null ? 'plain HTTP' : 'HTTPS'}, once a second:`);
    const args = [`--count=${count}`, `--port=${origins.port}`, `--ca=${ca}`];
    const made = await child('detour', ...args, '--profile', `--seconds=${values.seconds}`);
    await once(made, 'exit');
  } finally {
    await origins.stop();
  }
}

const wanted = values.only.split(',').filter((word) => word !== '');
const isWanted = ({ name }: Contender) =>
  wanted.length === 0 || wanted.some((word) => name.toLowerCase().includes(word));
let chosen: readonly Contender[] = [];

async function main(): Promise<boolean> {
  const asked = contenders.filter(isWanted);
  const missing = absent(['nginx', ...new Set(asked.flatMap(({ needs }) => needs))]);
  if (missing.has('nginx')) throw new Error('nginx is what is probed: nothing can be measured');
  chosen = asked.filter(({ needs }) => !needs.some((program) => missing.has(program)));
  console.log(`machine: ${machine()}`);
  const certificates = createCertificates();
  try {
    const list = (text: string) =>
      text
        .split(',')
        .filter((word) => word !== '')
        .map(Number);
    const [counts, tlsCounts] = [list(values.counts), list(values['tls-counts'])];
    const names = 'DNS:origin.test';
    const { ca } = certificates.certificate('origin', names, -1, 30);
    const trust = { certificate: ca, key: ca.replace(/-pem$/, '-key') };
    if (values.profile) {
      for (const count of [1, ...counts]) await profile(count, null);
      for (const count of tlsCounts) await profile(count, trust);
      return true;
    }
    console.log(
      'ms/1,000: processor time for 1,000 probes; ratio: to that of Detour; waits: had no processor',
    );
    const rows: Row[] = [];
    for (const count of counts) rows.push(...(await table(count, null)));
    for (const count of tlsCounts) rows.push(...(await table(count, trust)));
    return judge(rows);
  } finally {
    await lab?.stop();
    certificates.remove();
  }
}

const [count, port] = [Number(values.count), Number(values.port)];
if (values.role === '') process.exitCode = (await main()) ? 0 : 1;
else {
  // The other end of the channel is gone when the bench ends, however it ends.
  process.on('disconnect', () => process.exit());
  (values.role === 'detour' ? runDetour : runBare)(count, port, values.ca);
  if (values.profile) {
    await pause(PROFILE_WARM_MS);
    for (const line of await profiled(Number(values.seconds) * 1000)) console.log(line);
    process.exit();
  }
}
