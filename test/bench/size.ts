// `npm run bench:size`: how large a machine Detour wants, and what it can carry. For each number of
// records the built daemon runs before the lab's vendors with their real quotas: Route 53, Cloudflare
// and Google, in as many zones as these demand, two origins of its own and a CNAME each a record, one
// check an origin, every 10 s. It starts on an empty store and adopts everything; then a calm time, two
// scrapes, a status, a cloud that dies with a third of all records on it, and a restart. Vendors and
// origins stand in processes of their own. It ends with 1 when a goal is missed, and never leaves a
// process or a file behind. The whole of 10,000 records takes about six minutes; no wait is longer
// than five.

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
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { googleKeyFile } from '../../src/lab/vendors/google-tokens.ts';
import { nodeOptions, main as program } from '../parts/program.ts';
import type { Turns } from './size-daemon.ts';
import {
  cloudOf,
  clouds,
  cnameOf,
  type Lab,
  nameOf,
  numbersTo,
  project,
  providers,
  secrets,
} from './size-lab.ts';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '100,1000,10000' },
    /** How long the calm is that is measured. */
    seconds: { type: 'string', default: '30' },
    /** Flags for the daemon's Node, such as `--cpu-prof`. */
    node: { type: 'string', default: '' },
    /** Ends after the calm. */
    calm: { type: 'boolean', default: false },
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
/** Of the daemon's door, on an address that the bench has for itself. */
const listenPort = 9353;

function configuration(count: number, lab: Lab, ports: readonly number[], place: string): string {
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

/** From so many records on the documents advise DETOUR_YOUNG_MB=32. */
const largeFrom = 3_000;

function daemonOf(count: number, config: string): ChildProcess {
  const young = count < largeFrom ? undefined : 32;
  return child('size-daemon', [config], [...nodeOptions(young), ...values.node.split(' ')]);
}

function child(
  file: 'size-daemon' | 'size-lab',
  args: readonly string[],
  flags: readonly string[] = [],
): ChildProcess {
  const isDaemon = file === 'size-daemon';
  return fork(join(import.meta.dirname, `${file}.ts`), args, {
    env: { ...process.env, ...secrets },
    execArgv: flags.filter(Boolean),
    stdio: isDaemon ? ['ignore', 'ignore', 'inherit', 'ipc'] : 'inherit',
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
      response.on('error', (error) => resolve({ ...none, text: error.message }));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text, ms: performance.now() - begin }),
      );
    });
    asked.on('error', (error) => resolve({ ...none, text: error.message }));
  });
}

let missed = 0;
function goal(holds: boolean, what: string): void {
  console.log(`  ${holds ? 'met' : 'MISSED'}: ${what}`);
  if (!holds) missed++;
}

const turnText = ({ ownMs, fullMs }: Turns) =>
  `${ownMs.toFixed(1)} ms (a full collection ${fullMs.toFixed(1)})`;

const secondsOf = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

async function measure(count: number): Promise<void> {
  const place = mkdtempSync(join(tmpdir(), 'detour-size-'));
  const running: ChildProcess[] = [];
  const begun = async <T>(...args: string[]): Promise<[ChildProcess, T]> => {
    const one = child('size-lab', args);
    running.push(one);
    return [one, ((await once(one, 'message')) as [T])[0]];
  };
  try {
    mkdirSync(join(place, 'state'), { mode: 0o700 });
    const [vendors, lab] = await begun<Lab>('vendors', String(count));
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
    let daemon = daemonOf(count, config);
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
    const loaded = await ask<Turns>(daemon, 'turns');
    const tell = setInterval(() => {
      const kinds = [...journal.counts].map(([kind, n]) => `${kind} ${n}`).join(', ');
      console.log(
        `    ${secondsOf(since())}, ${usedBy(daemon).toFixed(1)} s of processor, vendors ${usedBy(vendors).toFixed(1)}: ${kinds}`,
      );
    }, 5000);
    await until('every record is adopted', () => said('adopt') >= count);
    mark('all adopted after');
    await until('every record is visible', () => said('visible') >= count * providers.length);
    clearInterval(tell);
    const startMs = since();
    mark('all visible after');
    console.log(`  start: ${passed.join(', ')}`);
    const startTurn = await ask<Turns>(daemon, 'turns');
    console.log(
      `  its longest turn ${startTurn.ownMs.toFixed(0)} ms once it answers (${loaded.ownMs.toFixed(0)} before), peak ${megabytes(daemon, 'VmHWM').toFixed(0)} MB`,
    );
    const kinds = [...journal.counts].map(([kind, n]) => `${kind} ${n}`).join(', ');
    console.log(`  journal: ${kinds}`);
    for (const kind of ['stay', 'path', 'lane', 'zone', 'unreadable', 'paused', 'standby']) {
      const [one] = journal.of(kind);
      if (one !== undefined) console.log(`    ${kind}, such as: ${one.sentence}`);
    }
    // What a start brings with it (audits, markers, caches that fill) is over.
    await pause(calmMs);
    await ask<Turns>(daemon, 'turns');
    const used = usedBy(daemon);
    await pause(calmMs);
    const share = ((usedBy(daemon) - used) / calmMs) * 1000;
    const calm = await ask<Turns>(daemon, 'turns');
    console.log(
      `  calm: ${(share * 100).toFixed(0)} % of a core, longest turn ${turnText(calm)}, ` +
        `memory ${megabytes(daemon, 'VmRSS').toFixed(0)} MB, peak ${megabytes(daemon, 'VmHWM').toFixed(0)} MB, ` +
        `store ${(bytesIn(join(place, 'state')) / 1e6).toFixed(1)} MB`,
    );
    let shed = 0;
    for (const what of ['first', 'second']) {
      const before = usedBy(daemon);
      const scrape = await taken(to, '/metrics');
      if (scrape.status !== 200) console.log(`  MISSED: a whole scrape: ${scrape.text}`);
      const turn = await ask<Turns>(daemon, 'turns');
      shed = Number(/^detour_probes_shed_total\S* (\d+)/m.exec(scrape.text)?.[1] ?? 0);
      console.log(
        `  ${what} scrape: ${(scrape.text.length / 1e6).toFixed(1)} MB in ${secondsOf(scrape.ms)}, ` +
          `${(usedBy(daemon) - before).toFixed(2)} s of processor meanwhile, longest turn ${turnText(turn)}`,
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
      `  status: ${(status.text.length / 1e6).toFixed(1)} MB in ${secondsOf(status.ms)}, longest turn ${turnText(turn)}`,
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
    daemon = daemonOf(count, config);
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

/** A cloud dies that a third of all records are on; the vendors follow as their quotas allow. */
async function outage(
  count: number,
  origins: ChildProcess,
  journal: Journal,
  said: (kind: string) => number,
  daemon: ChildProcess,
): Promise<void> {
  const struck = Math.ceil(count / clouds);
  const [switched, shown] = [said('switch'), said('visible')];
  const [begin, used] = [Date.now(), usedBy(daemon)];
  await ask(origins, 0);
  await until('all decided', () => said('switch') - switched >= struck);
  await until('all visible', () => said('visible') - shown >= struck * providers.length, 1000);
  const after = (kind: string) => journal.of(kind).filter((e) => e.wall >= begin);
  const downAt = new Map<string, number>();
  for (const { at, data } of after('health')) {
    const { origin, health } = JSON.parse(data) as { origin: string; health: string };
    if (health === 'down') downAt.set(origin, at);
  }
  const waits = after('switch').map(({ at, data }) => {
    return at - (downAt.get((JSON.parse(data) as { from: string }).from) ?? at);
  });
  waits.sort((x, y) => x - y);
  const part = (share: number) => secondsOf(waits[Math.floor((waits.length - 1) * share)]!);
  const last = (kind: string) => secondsOf(after(kind).at(-1)!.wall - begin);
  const verdicts = after('health').filter(({ data }) => data.includes('"health":"down"'));
  console.log(
    `  a cloud dies: ${downAt.size} verdicts, the last after ` +
      `${secondsOf(verdicts.at(-1)!.wall - begin)}; ${waits.length} switches, the last after ` +
      `${last('switch')}; the last answer after ${last('visible')}; ` +
      `${(usedBy(daemon) - used).toFixed(1)} s of processor`,
  );
  console.log(`  verdict to decision: median ${part(0.5)}, p99 ${part(0.99)}, last ${part(1)}`);
  goal(waits.at(-1)! <= decidedMostMs, `each decided within ${secondsOf(decidedMostMs)} of it`);
}

console.log(`${cpus().length} cores of ${cpus()[0]!.model}, Node ${process.version}`);
for (const count of values.records.split(',')) await measure(Number(count));
console.log(missed === 0 ? 'goals: met' : `goals: ${missed} MISSED`);
process.exitCode = missed === 0 ? 0 : 1;
