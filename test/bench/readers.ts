// `npm run bench:readers`: an outage under 500 records while others read: four that scrape /metrics
// and two that read the status, each asking anew as soon as its answer has ended, at nice 19. The
// daemon is the real one with its store on disk; vendors, origins and readers stand in processes of
// their own. It prints the time to the last switch with and without readers and the ratio, the longest
// turn of the daemon's loop while nothing else happens, how late the probes came, and what the readers
// got. It ends with 1 when a goal is missed, and never leaves a process or a file behind.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cpus, loadavg, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { formatMarker } from '../../src/core/marker.ts';
import { startCloudflare } from '../../src/lab/vendors/cloudflare.ts';
import { startNameserver } from '../../src/lab/vendors/nameserver.ts';
import { startRoute53 } from '../../src/lab/vendors/route53.ts';
import { LabZone } from '../../src/lab/vendors/zone.ts';
import { runDaemon } from '../../src/run/daemon.ts';
import { keepYoung } from '../../src/run/heap.ts';
import { catchSignals } from '../../src/run/signals.ts';

/** How much later the last switch may come because of readers. */
const ratioMost = 1.2;
/** The longest turn that reading may cause, in milliseconds of the loop's own processor time. */
const turnMostMs = 20;
const intervalMs = 5000;
const quietMs = 10_000;
const boundMs = 180_000;

const zone = 'gslb.example.net.';
const secrets = {
  R53_ID: 'AKIDEXAMPLE',
  R53_SECRET: 'a-secret-of-the-bench',
  CF_TOKEN: 'c'.repeat(40),
};

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '500' },
    runs: { type: 'string', default: '1' },
    /** What a child process does. */
    role: { type: 'string', default: '' },
    place: { type: 'string', default: '' },
    plain: { type: 'boolean', default: false },
  },
});
const count = Number(values.records);
const numbers = Array.from({ length: count }, (_, i) => i);
const nameOf = (i: number) => `r${String(i + 1).padStart(4, '0')}.${zone}`;
const cnameOf = (i: number, side: 'a' | 'b') => `${side}${i + 1}.shop.example.`;

// ---------------------------------------------------------------- vendors and origins

interface Lab {
  readonly apis: { readonly r53: string; readonly cf: string };
  readonly dns: { readonly r53: readonly string[]; readonly cf: readonly string[] };
  readonly root: { readonly address: string; readonly port: number };
  /** Where the origins of each cloud listen. */
  readonly ports: { readonly a: number; readonly b: number };
}

/** Every record stands on its first origin; each cloud's origins are one listener, by path. */
async function serveLab(): Promise<void> {
  const records = numbers.flatMap((i) => {
    const rest = {
      term: 1,
      kind: 'auto',
      target: `a${i + 1}`,
      untilWall: null,
      pinMs: null,
    } as const;
    const marker = { cluster: 'bench', epoch: 1, id: 'b'.repeat(16), pinned: false, ...rest };
    return [
      { name: nameOf(i), type: 'CNAME', ttl: 60, value: cnameOf(i, 'a') },
      { name: `_detour.${nameOf(i)}`, type: 'TXT', ttl: 60, value: `"${formatMarker(marker)}"` },
    ];
  });
  const zones = [{ name: zone, records, settings: { plan: 'pro' as const } }];
  const at = { address: '127.0.0.1', dnsAddresses: ['127.0.0.1', '127.0.0.2'], dnsPort: 0 };
  const { R53_ID: accessKeyId, R53_SECRET: secretAccessKey, CF_TOKEN: apiToken } = secrets;
  const credentials = { accessKeyId, secretAccessKey };
  const r53 = await startRoute53({ ...at, quotas: 'off', zones, credentials });
  const cf = await startCloudflare({ ...at, quotas: 'off', zones, credentials: { apiToken } });
  const rrsets = numbers
    .flatMap((i) => [cnameOf(i, 'a'), cnameOf(i, 'b')])
    .map((name) => ({ name, type: 'A', ttl: 3600, values: ['127.0.0.1'] }));
  const top = new LabZone({ name: '.', nameServers: ['ns.example.'], rrsets });
  const root = await startNameserver({ address: '127.0.0.1', port: 0, zones: () => [top] });
  const last = new Map<string, number>();
  let late: number[] = [];
  const listen = async () => {
    const server = createServer((request, response) => {
      const now = performance.now();
      late.push(now - (last.get(request.url!) ?? Number.NaN) - intervalMs);
      last.set(request.url!, now);
      response.end('ok');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return server;
  };
  const [a, b] = [await listen(), await listen()];
  process.on('message', (what) => {
    if (what === 'late') {
      process.send!(late.filter((ms) => !Number.isNaN(ms)));
      late = [];
      return;
    }
    a.close();
    a.closeAllConnections();
  });
  process.on('disconnect', () => process.exit(0));
  const portOf = (server: typeof a) => (server.address() as AddressInfo).port;
  process.send!({
    apis: { r53: r53.api, cf: cf.api },
    dns: { r53: r53.dns, cf: cf.dns },
    root: { address: root.address, port: root.port },
    ports: { a: portOf(a), b: portOf(b) },
  } satisfies Lab);
}

// ---------------------------------------------------------------- the daemon

function configuration(lab: Lab, place: string, port: number): string {
  const common = (name: 'r53' | 'cf') =>
    `zone: ${zone}, endpoint: "${lab.apis[name]}", nameservers: ${JSON.stringify(lab.dns[name])}`;
  const origins = numbers.flatMap((i) =>
    (['a', 'b'] as const).map((side) => {
      const http = `"http://127.0.0.1:${lab.ports[side]}/${i + 1}"`;
      const check = `{ http: ${http}, expect: { status: 200 } }`;
      return `  ${side}${i + 1}: { cloud: cloud-${side}, checks: { web: ${check} } }`;
    }),
  );
  const records = numbers.map((i) => {
    const targets = (['a', 'b'] as const)
      .map((side) => `{ origin: ${side}${i + 1}, cname: ${cnameOf(i, side)} }`)
      .join(', ');
    return `  ${nameOf(i)}: { ttl: 60, publish: [r53, cf], mode: steer, targets: [${targets}] }`;
  });
  return `
cluster: bench
stateDir: ${join(place, 'state')}
socket: ${join(place, 's')}
listen: "127.0.0.1:${port}"
log: { format: json }
providers:
  r53: { type: route53, ${common('r53')},
    credentials: { accessKeyId: { env: R53_ID }, secretAccessKey: { env: R53_SECRET } } }
  cf: { type: cloudflare, apiToken: { env: CF_TOKEN }, ${common('cf')} }
dns: { port: ${lab.root.port}, roots: ["${lab.root.address}"] }
clouds: { cloud-a: {}, cloud-b: {} }
policy: { interval: ${intervalMs}ms, timeout: 2s, patience: 0s }
origins:
${origins.join('\n')}
records:
${records.join('\n')}
`;
}

/** The daemon as `detour run` is, and a watch on its turns that answers over the channel. */
async function serveDaemon(place: string): Promise<void> {
  keepYoung();
  const turns = watchTurns();
  process.on('message', () => process.send!(turns()));
  process.on('disconnect', () => process.exit(0));
  const started = { json: true, version: 'bench', newState: false, replica: null };
  const options = { ...started, overridden: null };
  const code = await runDaemon(join(place, 'detour.yaml'), { ...options, signals: catchSignals() });
  process.exit(code);
}

/** Of the daemon's loop, since it was last asked. */
interface Turns {
  /** The longest turn: by the wall, and in processor time of this thread alone. */
  readonly wallMs: number;
  readonly ownMs: number;
  /** The part of the time in which this thread had a processor. */
  readonly busy: number;
}

function watchTurns(): () => Turns {
  const beatMs = 2;
  let longest = { wallMs: 0, ownMs: 0 };
  const here = () => ({ at: performance.now(), cpu: process.threadCpuUsage() });
  const since = (then: ReturnType<typeof here>) => {
    const { user, system } = process.threadCpuUsage(then.cpu);
    return { wallMs: performance.now() - then.at, cpuMs: (user + system) / 1000 };
  };
  let begin = here();
  let last = here();
  setInterval(() => {
    const { wallMs, cpuMs } = since(last);
    longest = {
      wallMs: Math.max(longest.wallMs, wallMs - beatMs),
      ownMs: Math.max(longest.ownMs, Math.min(wallMs, cpuMs)),
    };
    last = here();
  }, beatMs);
  return () => {
    const { wallMs, cpuMs } = since(begin);
    const taken = { ...longest, busy: cpuMs / wallMs };
    longest = { wallMs: 0, ownMs: 0 };
    begin = here();
    return taken;
  };
}

// ---------------------------------------------------------------- the readers

interface Taken {
  readonly answers: number;
  readonly failures: number;
  readonly bytes: number;
  readonly longestMs: number;
}

/** Asks, takes the whole answer, asks again; `what` is a port, a port with gzip, or a socket. */
async function read(what: string): Promise<void> {
  setPriority(19);
  const [kind, where] = what.split('=') as [string, string];
  const headers = kind === 'gzip' ? { 'accept-encoding': 'gzip' } : {};
  const to =
    kind === 'status'
      ? { socketPath: where, path: '/v1/status' }
      : { host: '127.0.0.1', port: where, path: '/metrics' };
  let taken: Taken = { answers: 0, failures: 0, bytes: 0, longestMs: 0 };
  process.on('message', () => process.send!(taken));
  process.on('disconnect', () => process.exit(0));
  for (;;) {
    const begin = performance.now();
    const bytes = await new Promise<number | null>((resolve) => {
      let size = 0;
      const asked = get({ ...to, headers, agent: false }, (response) => {
        response.on('data', (part: Buffer) => {
          size += part.length;
        });
        response.on('error', () => resolve(null));
        response.on('end', () => resolve(response.statusCode === 200 ? size : null));
      });
      asked.on('error', () => resolve(null));
    });
    const longestMs = Math.max(taken.longestMs, performance.now() - begin);
    const got = { answers: taken.answers + (bytes === null ? 0 : 1), bytes: bytes ?? taken.bytes };
    taken = { ...got, failures: taken.failures + (bytes === null ? 1 : 0), longestMs };
    if (bytes === null) await pause(100);
  }
}

// ---------------------------------------------------------------- this process

interface Measured {
  readonly quiet: Turns;
  /** How much later than its interval each probe came. */
  readonly lateMs: readonly number[];
  readonly switchedMs: number;
  readonly visibleMs: number;
  readonly outage: Turns;
  readonly taken: readonly (Taken & { readonly what: string })[];
}

function child(role: string, place = ''): ChildProcess {
  const args = ['--role', role, '--records', String(count), '--place', place];
  const silent = role === 'daemon';
  const stdio = silent ? (['ignore', 'pipe', 'inherit', 'ipc'] as const) : 'inherit';
  return fork(import.meta.filename, args, {
    env: { ...process.env, ...secrets },
    ...(silent ? { stdio: [...(stdio as readonly string[])] as never } : {}),
  });
}

async function ask<T>(of: ChildProcess, what: string): Promise<T> {
  const answered = once(of, 'message') as Promise<[T]>;
  of.send(what);
  return (await answered)[0];
}

async function end(children: readonly ChildProcess[]): Promise<void> {
  await Promise.all(
    children.map(async (one) => {
      if (one.exitCode !== null || one.signalCode !== null) return;
      const gone = once(one, 'exit');
      one.disconnect();
      await gone;
    }),
  );
}

async function measure(withReaders: boolean): Promise<Measured> {
  const place = mkdtempSync(join(tmpdir(), 'detour-readers-'));
  const running: ChildProcess[] = [];
  try {
    mkdirSync(join(place, 'state'), { mode: 0o700 });
    const labProcess = child('lab');
    running.push(labProcess);
    const [lab] = (await once(labProcess, 'message')) as [Lab];
    const port = await freePort();
    writeFileSync(join(place, 'detour.yaml'), configuration(lab, place, port));
    const daemon = child('daemon', place);
    running.push(daemon);
    const seen = logOf(daemon);
    await until('all is read', async () => (await statusOf(port, '/readyz')) === 200);
    await pause(quietMs);
    const whats = withReaders
      ? [
          ...Array.from(
            { length: 4 },
            (_, n) => `${n < 2 && !values.plain ? 'gzip' : 'metrics'}=${port}`,
          ),
          ...Array.from({ length: 2 }, () => `status=${join(place, 's')}`),
        ]
      : [];
    const readers = whats.map((what) => child('reader', what));
    running.push(...readers);
    await pause(2000);
    await ask(daemon, 'turns');
    await ask(labProcess, 'late');
    await pause(quietMs);
    const quiet = await ask<Turns>(daemon, 'turns');
    const lateMs = await ask<number[]>(labProcess, 'late');
    const begin = Date.now();
    labProcess.send('outage');
    await until('all is switched', async () => seen.switch.length >= count);
    const after = () => seen.visible.filter((at) => at >= begin);
    await until('all is visible', async () => after().length >= 2 * count);
    const outage = await ask<Turns>(daemon, 'turns');
    const taken = await Promise.all(
      readers.map(async (one, i) => ({
        what: whats[i]!.split('=')[0]!,
        ...(await ask<Taken>(one, 'taken')),
      })),
    );
    const [switchedMs, visibleMs] = [seen.switch.at(-1)! - begin, after().at(-1)! - begin];
    return { quiet, lateMs, switchedMs, visibleMs, outage, taken };
  } finally {
    await end(running.toReversed());
    rmSync(place, { recursive: true, force: true });
  }
}

/** When each switch was decided and each answer seen, by the daemon's own log. */
function logOf(daemon: ChildProcess): { switch: number[]; visible: number[] } {
  const seen = { switch: [] as number[], visible: [] as number[] };
  createInterface({ input: daemon.stdout! }).on('line', (line) => {
    const { kind, time, level, msg } = JSON.parse(line);
    if (kind === 'switch' || kind === 'visible') seen[kind as 'switch'].push(Date.parse(time));
    else if (level === 'error' || level === 50) console.error(`  the daemon: ${msg}`);
  });
  return seen;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function statusOf(port: number, path: string): Promise<number> {
  return new Promise((resolve) => {
    const asked = get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    asked.on('error', () => resolve(0));
  });
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + boundMs;
  while (!(await holds())) {
    if (performance.now() > giveUpAt) throw new Error(`${what}: not within ${boundMs} ms`);
    await pause(100);
  }
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;

function print(what: string, m: Measured): void {
  const late = [...m.lateMs].sort((x, y) => x - y);
  const part = (share: number) => (late[Math.floor(late.length * share)] ?? Number.NaN).toFixed(1);
  const turns = ({ ownMs, wallMs, busy }: Turns) =>
    `longest turn ${ownMs.toFixed(1)} ms of processor time (${wallMs.toFixed(1)} by the wall), ` +
    `busy ${(100 * busy).toFixed(0)} %`;
  const [last, answer] = [seconds(m.switchedMs), seconds(m.visibleMs)];
  console.log(`${what}: last switch after ${last}, last answer after ${answer}`);
  console.log(`  all well: ${turns(m.quiet)}`);
  console.log(`  ${late.length} probes, late: p99 ${part(0.99)} ms, p999 ${part(0.999)} ms`);
  console.log(`  the outage: ${turns(m.outage)}`);
  for (const { what: kind, answers, bytes, failures, longestMs } of m.taken) {
    const size = (bytes / 1e6).toFixed(2);
    const slowest = seconds(longestMs);
    console.log(
      `  ${kind}: ${answers} answers of ${size} MB, ${failures} failed, slowest ${slowest}`,
    );
  }
}

const median = (all: readonly number[]) =>
  [...all].sort((x, y) => x - y)[Math.floor(all.length / 2)]!;

async function main(): Promise<number> {
  console.log(
    `machine: ${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}, load ${loadavg()[0]!.toFixed(1)} before the start`,
  );
  const [alone, read]: Measured[][] = [[], []];
  for (let run = 0; run < Number(values.runs); run++) {
    alone!.push(await measure(false));
    print('without readers', alone!.at(-1)!);
    read!.push(await measure(true));
    print('with readers', read!.at(-1)!);
  }
  const last = (all: readonly Measured[]) => median(all.map((m) => m.switchedMs));
  const ratio = last(read!) / last(alone!);
  const turn = median(read!.map((m) => m.quiet.ownMs));
  console.log(
    `time to the last switch, with readers to without: ${ratio.toFixed(2)} (at most ${ratioMost})`,
  );
  console.log(
    `longest turn while all is well and six read: ${turn.toFixed(1)} ms (at most ${turnMostMs})`,
  );
  const met = ratio <= ratioMost && turn <= turnMostMs;
  console.log(met ? 'goals: met' : 'goals: MISSED');
  return met ? 0 : 1;
}

if (values.role === 'lab') await serveLab();
else if (values.role === 'daemon') await serveDaemon(values.place);
else if (values.role === 'reader') await read(values.place);
else process.exitCode = await main();
