// `npm run bench:size`: how large a machine Detour wants, and what it can carry. For each number of
// records the built daemon runs before the lab's vendors with their real quotas: Route 53, Cloudflare
// and Google, in as many zones as these demand, two origins of its own and a CNAME each a record, one
// check an origin, every 10 s. It starts on an empty store and adopts everything; a calm time; six
// readers; a cloud dies that a third of all records are on; a restart. Vendors and origins stand in
// processes of their own. It ends with 1 when a goal is missed, and never leaves a process or a file
// behind. The whole of 10,000 records takes about six minutes.

import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { get } from 'node:http';
import { createServer as createListener, type Socket } from 'node:net';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startCloudflare } from '../../src/lab/vendors/cloudflare.ts';
import { startGoogle } from '../../src/lab/vendors/google.ts';
import {
  type GoogleAccount,
  GoogleTokens,
  googleKeyFile,
  newGoogleAccount,
} from '../../src/lab/vendors/google-tokens.ts';
import { startNameserver } from '../../src/lab/vendors/nameserver.ts';
import { startRoute53 } from '../../src/lab/vendors/route53.ts';
import { LabZone } from '../../src/lab/vendors/zone.ts';
import { main as program } from '../parts/program.ts';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '100,1000,10000' },
    /** How long the calm is that is measured. */
    seconds: { type: 'string', default: '30' },
    /** Flags for the daemon's Node, such as `--cpu-prof`. */
    node: { type: 'string', default: '' },
    /** Ends after the calm. */
    calm: { type: 'boolean', default: false },
    /** What a child process does. */
    role: { type: 'string', default: '' },
    place: { type: 'string', default: '' },
  },
});
const calmMs = Number(values.seconds) * 1000;

/** What is asked of 10,000 records. */
const startMostMs = 60_000;
const decidedMostMs = 10_000;
const turnMostMs = 20;
const memoryMost = 600;
const boundMs = 300_000;
/** Of `proc(5)`; the same on every Linux that runs here. */
const ticksASecond = 100;
/** A zone at Cloudflare takes 3,500 records, and each name has a CNAME and a marker. */
const zoneMost = 1_700;
const clouds = 3;
const providers = ['r53', 'cf', 'gdns'] as const;
const project = 'detour-bench';
/** Of the daemon's door, on an address that the bench has for itself. */
const listenPort = 9353;
const secrets = {
  R53_ID: 'AKIDEXAMPLE',
  R53_SECRET: 'a-secret-of-the-bench',
  CF_TOKEN: 'c'.repeat(40),
};

const zoneOf = (i: number) => `z${Math.floor(i / zoneMost) + 1}.example.`;
const nameOf = (i: number) => `r${i + 1}.${zoneOf(i)}`;
const cnameOf = (i: number, turn: number) => `o${i + 1}-${turn}.shop.example.`;
/** The cloud of a record's first or second target. */
const cloudOf = (i: number, turn: number) => (i + turn) % clouds;
const numbersTo = (count: number) => Array.from({ length: count }, (_, i) => i);

// ---------------------------------------------------------------- vendors and origins

interface Lab {
  readonly google: GoogleAccount;
  readonly apis: Readonly<Record<(typeof providers)[number], string>>;
  readonly dns: Readonly<Record<(typeof providers)[number], readonly string[]>>;
  readonly root: { readonly address: string; readonly port: number };
}

/** Every record stands on its first target, unmarked. */
async function serveVendors(count: number): Promise<void> {
  const numbers = numbersTo(count);
  const zoneNames = [...new Set(numbers.map(zoneOf))];
  const zones = zoneNames.map((name) => ({
    name,
    records: numbers
      .filter((i) => zoneOf(i) === name)
      .map((i) => ({ name: nameOf(i), type: 'CNAME', ttl: 60, value: cnameOf(i, 0) })),
    settings: { plan: 'pro' as const },
  }));
  const network = `127.88.${1 + Math.floor(Math.random() * 250)}`;
  const at = (n: number) => `${network}.${n}`;
  const rrsets = numbers
    .flatMap((i) => [cnameOf(i, 0), cnameOf(i, 1)])
    .map((name) => ({ name, type: 'A', ttl: 3600, values: ['127.0.0.1'] }));
  const hosts = providers.flatMap((_, n) => [1, 2].map((k) => `ns${k}.v${n}.example.`));
  const registry = [
    ...zoneNames.map((name) => ({ name, type: 'NS', ttl: 3600, values: hosts })),
    ...hosts.map((name, n) => ({ name, type: 'A', ttl: 3600, values: [at(2 + n)] })),
  ];
  const top = new LabZone({
    name: '.',
    nameServers: ['ns.example.'],
    rrsets: [...rrsets, ...registry],
  });
  const root = await startNameserver({ address: at(1), port: 0, zones: () => [top] });
  const shared = (n: number) => ({
    address: '127.0.0.1',
    dnsAddresses: [at(2 + 2 * n), at(3 + 2 * n)],
    dnsPort: root.port,
    nameServers: hosts.slice(2 * n, 2 * n + 2),
    zones,
  });
  const google = newGoogleAccount(project);
  const { R53_ID: accessKeyId, R53_SECRET: secretAccessKey, CF_TOKEN: apiToken } = secrets;
  const vendors = {
    r53: await startRoute53({ ...shared(0), credentials: { accessKeyId, secretAccessKey } }),
    cf: await startCloudflare({ ...shared(1), credentials: { apiToken } }),
    gdns: await startGoogle({
      ...shared(2),
      credentials: { project, tokens: new GoogleTokens(google) },
    }),
  };
  const each = <T>(what: (vendor: (typeof vendors)['r53' | 'cf' | 'gdns']) => T) =>
    ({ r53: what(vendors.r53), cf: what(vendors.cf), gdns: what(vendors.gdns) }) as const;
  process.on('disconnect', () => process.exit(0));
  process.send!({
    google,
    apis: each(({ api }) => api),
    dns: each(({ dns }) => dns),
    root: { address: root.address, port: root.port },
  } satisfies Lab);
}

/** A listener a cloud, as cheap as can be: what is measured is whoever asks. */
async function serveOrigins(): Promise<void> {
  const answer = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok';
  const open = numbersTo(clouds).map(() => new Set<Socket>());
  const servers = open.map((sockets) =>
    createListener({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      socket.on('error', () => socket.destroy());
      socket.once('data', () => socket.end(answer));
    }),
  );
  const ports: number[] = [];
  for (const server of servers) {
    server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 });
    await once(server, 'listening');
    ports.push((server.address() as { port: number }).port);
  }
  process.on('message', (cloud: number) => {
    servers[cloud]!.close();
    for (const socket of open[cloud]!) socket.destroy();
    process.send!('dead');
  });
  process.on('disconnect', () => process.exit(0));
  process.send!(ports);
}

// ---------------------------------------------------------------- the daemon

function configuration(
  count: number,
  lab: Lab,
  ports: readonly number[],
  place: string,
): string {
  const common = (name: (typeof providers)[number]) =>
    `endpoint: "${lab.apis[name]}", nameservers: ${JSON.stringify(lab.dns[name])}`;
  const turns = [0, 1];
  const origin = (i: number, turn: number) => {
    const http = `"http://127.0.0.1:${ports[cloudOf(i, turn)]}/${i + 1}"`;
    const check = `{ http: ${http}, expect: { status: 200 } }`;
    return `  o${i + 1}-${turn}: { cloud: c${cloudOf(i, turn)}, checks: { web: ${check} } }`;
  };
  const record = (i: number) => {
    const targets = turns.map(
      (turn) => `{ origin: o${i + 1}-${turn}, cname: ${cnameOf(i, turn)} }`,
    );
    const rest = `mode: steer, targets: [${targets.join(', ')}]`;
    return `  ${nameOf(i)}: { ttl: 60, publish: [${providers.join(', ')}], ${rest} }`;
  };
  return `
cluster: bench
clusterKey: { file: ${join(place, 'cluster.key')} }
stateDir: ${join(place, 'state')}
socket: ${join(place, 's')}
listen: "${lab.root.address}:${listenPort}"
log: { format: json }
providers:
  r53: { type: route53, ${common('r53')},
    credentials: { accessKeyId: { env: R53_ID }, secretAccessKey: { env: R53_SECRET } } }
  cf: { type: cloudflare, apiToken: { env: CF_TOKEN }, ${common('cf')} }
  gdns: { type: google, project: ${project}, ${common('gdns')},
    credentials: { serviceAccount: { file: ${join(place, 'google.json')} } } }
dns: { port: ${lab.root.port}, roots: ["${lab.root.address}"] }
clouds: { c0: {}, c1: {}, c2: {} }
policy: { interval: 10s, patience: 0s }
origins:
${numbersTo(count)
  .flatMap((i) => turns.map((turn) => origin(i, turn)))
  .join('\n')}
records:
${numbersTo(count).map(record).join('\n')}
`;
}

/** Of the daemon's loop, since it was last asked. */
interface Turns {
  /** The longest turn: by the wall, and in processor time of this thread alone. */
  readonly wallMs: number;
  readonly ownMs: number;
}

/** The built program, and a watch on its turns that answers over the channel. */
async function serveDaemon(place: string): Promise<void> {
  const beatMs = 2;
  let longest = { wallMs: 0, ownMs: 0 };
  const here = () => ({ at: performance.now(), cpu: process.threadCpuUsage() });
  let last = here();
  setInterval(() => {
    const wallMs = performance.now() - last.at;
    const { user, system } = process.threadCpuUsage(last.cpu);
    longest = {
      wallMs: Math.max(longest.wallMs, wallMs - beatMs),
      ownMs: Math.max(longest.ownMs, Math.min(wallMs, (user + system) / 1000)),
    };
    last = here();
  }, beatMs).unref();
  process.on('message', () => {
    process.send!(longest);
    longest = { wallMs: 0, ownMs: 0 };
  });
  process.channel!.unref();
  process.argv = [process.argv[0]!, program, 'run', '-c', join(place, 'detour.yaml'), '--json'];
  await import(program);
}

function nodeOptions(): readonly string[] {
  const unit = readFileSync(
    join(import.meta.dirname, '../../deploy/systemd/detour.service'),
    'utf8',
  );
  const line = /^ExecStart=(.*)$/m.exec(unit)![1]!;
  return line.split(' ').filter((word) => /^--max-/.test(word));
}

function child(role: string, more: readonly string[] = [], place = ''): ChildProcess {
  const isDaemon = role === 'daemon';
  const flags = isDaemon ? [...nodeOptions(), ...values.node.split(' ').filter(Boolean)] : [];
  return fork(import.meta.filename, ['--role', role, '--place', place, ...more], {
    env: { ...process.env, ...secrets },
    execArgv: [...flags],
    stdio: isDaemon ? ['ignore', process.env['SIZE_LOG'] ? 'inherit' : 'ignore', 'inherit', 'ipc'] : 'inherit',
  });
}

async function ask<T>(of: ChildProcess, what: string | number): Promise<T> {
  const answered = once(of, 'message') as Promise<[T]>;
  of.send(what);
  return (await answered)[0];
}

async function end(one: ChildProcess): Promise<void> {
  if (one.exitCode !== null || one.signalCode !== null) return;
  const gone = once(one, 'exit');
  one.kill('SIGTERM');
  const late = setTimeout(() => one.kill('SIGKILL'), 20_000);
  await gone;
  clearTimeout(late);
}

/** Seconds of the processor that a process has used. */
function usedBy({ pid }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksASecond;
}

function megabytes({ pid }: ChildProcess, key: 'VmRSS' | 'VmHWM'): number {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8').match(
    new RegExp(`^${key}:\\s+(\\d+)`, 'm'),
  );
  return Number(line![1]) / 1024;
}

const bytesIn = (directory: string) =>
  readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);

/** What the daemon has journalled, read from its store without asking it. */
class Journal {
  readonly entries: {
    readonly kind: string;
    readonly at: number;
    readonly wall: number;
    readonly record: string | null;
    readonly sentence: string;
    readonly data: string;
  }[] = [];
  readonly counts = new Map<string, number>();
  readonly #place: string;
  #seq = 0;

  constructor(place: string) {
    this.#place = join(place, 'state', 'detour.sqlite');
  }

  read(): void {
    let db: DatabaseSync;
    try {
      db = new DatabaseSync(this.#place, { readOnly: true, timeout: 2000 });
    } catch {
      return;
    }
    try {
      const found = db
        .prepare('SELECT seq, kind, at, wall, record, sentence, data FROM journal WHERE seq > ?')
        .all(this.#seq) as unknown as ((typeof this.entries)[number] & { seq: number })[];
      for (const entry of found) {
        this.#seq = entry.seq;
        this.entries.push(entry);
        this.counts.set(entry.kind, (this.counts.get(entry.kind) ?? 0) + 1);
      }
    } finally {
      db.close();
    }
  }

  of(kind: string): readonly (typeof this.entries)[number][] {
    return this.entries.filter((entry) => entry.kind === kind);
  }
}

async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  lookMs = 250,
): Promise<void> {
  const giveUpAt = performance.now() + boundMs;
  while (!(await holds())) {
    if (performance.now() > giveUpAt) throw new Error(`${what}: not within ${boundMs} ms`);
    await pause(lookMs);
  }
}

interface Taken {
  readonly status: number;
  readonly text: string;
  readonly ms: number;
}

function taken(
  to: { host: string; port: number } | { socketPath: string },
  path: string,
): Promise<Taken> {
  const begin = performance.now();
  return new Promise((resolve) => {
    const none = { status: 0, text: '', ms: 0 };
    const asked = get({ ...to, path, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('error', () => resolve(none));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text, ms: performance.now() - begin }),
      );
    });
    asked.on('error', () => resolve(none));
  });
}

let missed = 0;
function goal(holds: boolean, what: string): void {
  console.log(`  ${holds ? 'met' : 'MISSED'}: ${what}`);
  if (!holds) missed++;
}

const secondsOf = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

async function measure(count: number): Promise<void> {
  const place = mkdtempSync(join(tmpdir(), 'detour-size-'));
  const running: ChildProcess[] = [];
  const begun = async <T>(
    role: string,
    more: readonly string[] = [],
  ): Promise<[ChildProcess, T]> => {
    const one = child(role, more);
    running.push(one);
    return [one, ((await once(one, 'message')) as [T])[0]];
  };
  try {
    mkdirSync(join(place, 'state'), { mode: 0o700 });
    const [, lab] = await begun<Lab>('vendors', ['--records', String(count)]);
    const [origins, ports] = await begun<readonly number[]>('origins');
    const { address } = lab.root;
    const to = { host: address, port: listenPort };
    const config = join(place, 'detour.yaml');
    const text = configuration(count, lab, ports, place);
    writeFileSync(config, text);
    writeFileSync(join(place, 'cluster.key'), `${'k'.repeat(43)}\n`, { mode: 0o600 });
    const token = 'https://oauth2.googleapis.com/token';
    writeFileSync(join(place, 'google.json'), googleKeyFile(project, lab.google, token), {
      mode: 0o600,
    });
    console.log(`\n${count} records, load ${loadavg()[0]!.toFixed(1)}`);
    const validateAt = performance.now();
    const validated = spawnSync(process.execPath, [program, 'validate', '-c', config], {
      env: { ...process.env, ...secrets },
      encoding: 'utf8',
    });
    if (validated.status !== 0) throw new Error(validated.stdout + validated.stderr);
    console.log(
      `  validate: ${secondsOf(performance.now() - validateAt)} for ${(text.length / 1e6).toFixed(1)} MB`,
    );

    const journal = new Journal(place);
    const beginAt = performance.now();
    let daemon = child('daemon', [], place);
    running.push(daemon);
    const since = () => performance.now() - beginAt;
    const passed: string[] = [];
    const mark = (what: string) =>
      passed.push(`${what} ${secondsOf(since())} (${usedBy(daemon).toFixed(1)} s of processor)`);
    const said = (kind: string) => {
      if (daemon.exitCode !== null) throw new Error(`the daemon ended: ${daemon.exitCode}`);
      journal.read();
      return journal.counts.get(kind) ?? 0;
    };
    await until('it answers', async () => {
      if (daemon.exitCode !== null) throw new Error(`the daemon ended: ${daemon.exitCode}`);
      return (await taken(to, '/healthz')).status === 200;
    });
    mark('answers after');
    await until('every record is adopted', () => said('adopt') >= count);
    mark('all adopted after');
    await until('every record is visible', () => said('visible') >= count * providers.length);
    const startMs = since();
    mark('all visible after');
    console.log(`  start: ${passed.join(', ')}`);
    const startTurn = await ask<Turns>(daemon, 'turns');
    console.log(
      `  its longest turn ${startTurn.ownMs.toFixed(0)} ms, peak ${megabytes(daemon, 'VmHWM').toFixed(0)} MB`,
    );
    const kinds = [...journal.counts].map(([kind, n]) => `${kind} ${n}`).join(', ');
    console.log(`  journal: ${kinds}`);
    // What a start brings with it (audits, markers, caches that fill) is over.
    await pause(calmMs);
    await ask<Turns>(daemon, 'turns');
    const used = usedBy(daemon);
    await pause(calmMs);
    const share = ((usedBy(daemon) - used) / calmMs) * 1000;
    const calm = await ask<Turns>(daemon, 'turns');
    console.log(
      `  calm: ${(share * 100).toFixed(0)} % of a core, longest turn ${calm.ownMs.toFixed(1)} ms, ` +
        `memory ${megabytes(daemon, 'VmRSS').toFixed(0)} MB, peak ${megabytes(daemon, 'VmHWM').toFixed(0)} MB, ` +
        `store ${(bytesIn(join(place, 'state')) / 1e6).toFixed(1)} MB`,
    );
    let shed = 0;
    for (const what of ['first', 'second', 'third']) {
      const before = usedBy(daemon);
      const scrape = await taken(to, '/metrics');
      const turn = await ask<Turns>(daemon, 'turns');
      shed = Number(/^detour_probes_shed_total\S* (\d+)/m.exec(scrape.text)?.[1] ?? 0);
      console.log(
        `  ${what} scrape: ${(scrape.text.length / 1e6).toFixed(1)} MB in ${secondsOf(scrape.ms)}, ` +
          `${(usedBy(daemon) - before).toFixed(2)} s of processor meanwhile, longest turn ${turn.ownMs.toFixed(1)} ms`,
      );
      const gauge = (name: string) =>
        (Number(new RegExp(`^${name} (\\S+)`, 'm').exec(scrape.text)?.[1]) / 1e6).toFixed(0);
      if (what === 'first') {
        console.log(
          `  heap ${gauge('nodejs_heap_size_used_bytes')} of ${gauge('nodejs_heap_size_total_bytes')} MB, ` +
            `beside it ${gauge('nodejs_external_memory_bytes')} MB`,
        );
      }
      if (what !== 'first') goal(turn.ownMs < turnMostMs, `no turn of ${turnMostMs} ms`);
    }
    const status = await taken({ socketPath: join(place, 's') }, '/v1/status');
    const turn = await ask<Turns>(daemon, 'turns');
    console.log(
      `  status: ${(status.text.length / 1e6).toFixed(1)} MB in ${secondsOf(status.ms)}, longest turn ${turn.ownMs.toFixed(1)} ms`,
    );
    goal(startMs <= startMostMs, `all visible within ${secondsOf(startMostMs)}`);
    const blind = journal.of('path').map((e) => e.sentence);
    goal(blind.length === 0, `no path blind (${blind[0] ?? ''})`);
    goal(shed === 0, `no probe shed (${shed})`);
    if (!values.calm) {
      await outage(count, origins, journal, said, daemon);
    }
    goal(
      megabytes(daemon, 'VmHWM') <= memoryMost,
      `memory ${megabytes(daemon, 'VmHWM').toFixed(0)} MB`,
    );
    await end(daemon);
    if (values.calm) return;
    const again = performance.now();
    daemon = child('daemon', [], place);
    running.push(daemon);
    await until('it is ready', async () => (await taken(to, '/readyz')).status === 200);
    console.log(
      `  restart: ready after ${secondsOf(performance.now() - again)}, ${usedBy(daemon).toFixed(1)} s of processor`,
    );
  } finally {
    await Promise.all(running.map(end));
    rmSync(place, { recursive: true, force: true });
  }
}

async function outage(
  count: number,
  origins: ChildProcess,
  journal: Journal,
  said: (kind: string) => number,
  daemon: ChildProcess,
): Promise<void> {
  const struck = Math.ceil(count / clouds);
  const before = { switch: said('switch'), visible: said('visible') };
  const begin = Date.now();
  await ask(origins, 0);
  await until('all decided', () => said('switch') - before.switch >= struck);
  const visible = before.visible + struck * providers.length;
  await until('all visible', () => said('visible') >= visible, 1000);
  const after = (kind: string) => journal.of(kind).filter((e) => e.wall >= begin);
  for (const kind of new Set(journal.entries.filter((e) => e.wall >= begin).map((e) => e.kind))) {
    const all = after(kind);
    const walls = all.map((e) => e.wall - begin).sort((a, b) => a - b);
    console.log(
      `    ${kind}: ${all.length}, ${secondsOf(walls[0]!)} ... ${secondsOf(walls.at(-1)!)}: ${all[0]!.sentence} ${all[0]!.data.slice(0, 200)}`,
    );
  }
  console.log(`  ${decidedMostMs}, ${usedBy(daemon)}`);
}

if (values.role === 'vendors') await serveVendors(Number(values.records));
else if (values.role === 'origins') await serveOrigins();
else if (values.role === 'daemon') await serveDaemon(values.place);
else {
  console.log(`${cpus().length} cores of ${cpus()[0]!.model}, Node ${process.version}`);
  for (const count of values.records.split(',')) await measure(Number(count));
  console.log(missed === 0 ? 'goals: met' : `goals: ${missed} MISSED`);
  process.exitCode = missed === 0 ? 0 : 1;
}
