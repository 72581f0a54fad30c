// A real BIND for tests: starts `named` in a directory of its own on a free loopback port, waits
// until it answers, and stops it for certain, also when the test process is killed. It must never
// listen on anything but loopback, forward a question, or leave a process behind.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ask } from '../../src/dns/ask.ts';

/** The first of these that is installed. */
export function installed(...paths: readonly string[]): string | undefined {
  return paths.find((path) => existsSync(path));
}

const program = installed('/usr/sbin/named', '/usr/local/sbin/named', '/usr/bin/named');

/**
 * For `{ skip }` of a test that wants BIND: why it is skipped, or false. In CI a missing part
 * skips nothing, so that the test fails there.
 */
export const withoutBind: string | false =
  program === undefined && !process.env['CI'] ? 'BIND (named) is not installed' : false;

export interface BindKey {
  readonly name: string;
  readonly algorithm: 'hmac-sha256' | 'hmac-sha384' | 'hmac-sha512';
  /** Base64. */
  readonly secret: string;
}

export interface BindZone {
  readonly name: string;
  /** Lines of the zone file below SOA and NS; names relative to the zone. */
  readonly records?: readonly string[];
  /** Statements of the zone's update-policy; left out: every key may change all of the zone. */
  readonly policy?: readonly string[];
  /** SOA minimum in seconds, and its TTL from 60 s up. */
  readonly minimum?: number;
  /** `unloaded`: its file cannot be read; `hidden`: nobody may query it. Served unless given. */
  readonly trouble?: 'unloaded' | 'hidden';
  /** BIND signs it by itself: what was taken is given a while later, from a copy that is signed. */
  readonly signed?: true;
}

/** One world of several on one server (RFC 8499 has the word), chosen by who asks. */
export interface BindView {
  readonly name: string;
  /** Whose queries and updates it is for; null: everybody's whom no view before it is for. */
  readonly key: BindKey | null;
  readonly zones: readonly BindZone[];
}

export interface Bind {
  readonly address: string;
  readonly port: number;
  readonly keys: readonly BindKey[];
  readonly directory: string;
  /** What it logged so far. */
  log(): string;
  /** Serves these zones from now on; one that it has served before keeps its records. */
  reload(zones: readonly BindZone[]): Promise<void>;
  stop(): Promise<void>;
}

/** A random key. */
export function newKey(name: string, algorithm: BindKey['algorithm'] = 'hmac-sha256'): BindKey {
  return { name, algorithm, secret: randomBytes(32).toString('base64') };
}

/**
 * Starts BIND with four threads and these zones. Rejects, with its log, when it does not answer
 * within 10 s.
 */
export async function startBind(options: {
  readonly zones: readonly BindZone[];
  /** In place of the zones, which are then those of the last view. */
  readonly views?: readonly BindView[];
  readonly keys: readonly BindKey[];
  /** An address in 127.0.0.0/8. */
  readonly address?: string;
  readonly port?: number;
}): Promise<Bind> {
  if (program === undefined) throw new Error('BIND is wanted here: install bind9 (named)');
  const address = options.address ?? '127.0.0.1';
  const directory = await mkdtemp(join(tmpdir(), 'detour-bind-'));
  try {
    // Another process may take the port between the choice and the start: then once more.
    for (let attempt = 1; ; attempt += 1) {
      const port = options.port ?? (await freePort(address));
      const worlds = options.views ?? [{ name: '', key: null, zones: options.zones }];
      await configure(directory, address, port, worlds, options.keys);
      const args = ['-g', '-n', '4', '-c', join(directory, 'named.conf')];
      const run = launch(program, args, directory);
      if (await answers(address, port, options.zones[0]!.name, run)) {
        const stop = async () => {
          await run.stop();
          await rm(directory, { recursive: true, force: true });
        };
        const reload = async (zones: readonly BindZone[]) => {
          const world = { name: '', key: null, zones };
          await configure(directory, address, port, [world], options.keys);
          await again(run, directory, /\brunning$/gm);
        };
        return { address, port, keys: options.keys, directory, log: run.log, reload, stop };
      }
      await run.stop();
      if (attempt === 3 || !run.log().includes('address in use')) {
        throw new Error(`BIND did not start:\n${run.log()}`);
      }
    }
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
}

/** BIND before 9.20 takes a lock in one place for all of a machine unless told; later it has none. */
function withoutLock(): string {
  const said = spawnSync(program!, ['-v'], { encoding: 'utf8', timeout: 10_000 }).stdout ?? '';
  const [, major, minor] = /BIND (\d+)\.(\d+)/.exec(said) ?? [];
  if (major === undefined) throw new Error(`${program} does not say its version: ${said}`);
  return Number(major) === 9 && Number(minor) < 20 ? 'lock-file none;' : '';
}

async function configure(
  directory: string,
  address: string,
  port: number,
  views: readonly BindView[],
  keys: readonly BindKey[],
): Promise<void> {
  const lines = [
    'options {',
    `  directory "${directory}"; pid-file none; session-keyfile none; ${withoutLock()}`,
    `  listen-on port ${port} { ${address}; }; listen-on-v6 { none; };`,
    '  recursion no; allow-query { any; }; notify no; dnssec-validation no;',
    // Secondaries of the tests fetch the zone; BIND 9.20 lets nobody do so unless told.
    '  allow-transfer { any; };',
    `  managed-keys-directory "${directory}"; max-journal-size 1M;`,
    '};',
    'controls { };',
    ...keys.map((k) => `key "${k.name}" { algorithm ${k.algorithm}; secret "${k.secret}"; };`),
  ];
  for (const { name, key, zones } of views) {
    const folder = join(directory, 'zones', name);
    await mkdir(folder, { recursive: true });
    const written = zones.map((zone) => zoneAt(folder, address, zone, keys));
    const statements = (await Promise.all(written)).join('\n');
    const whose = key === null ? 'any;' : `key "${key.name}";`;
    lines.push(
      name === '' ? statements : `view ${name} { match-clients { ${whose} }; ${statements} };`,
    );
  }
  await writeFile(join(directory, 'named.conf'), `${lines.join('\n')}\n`);
}

/** A zone's statement; its file is written where there is none yet. */
async function zoneAt(
  folder: string,
  address: string,
  zone: BindZone,
  keys: readonly BindKey[],
): Promise<string> {
  const file = join(folder, `${zone.name}db`);
  const grants = keys.map((key) => `grant ${key.name} zonesub ANY;`);
  const policy = (zone.policy ?? grants).join(' ');
  const may = policy === '' ? '' : `update-policy { ${policy} };`;
  const read = zone.trouble === 'unloaded' ? `${file}.missing` : file;
  const asked = zone.trouble === 'hidden' ? 'allow-query { none; };' : '';
  const signing = `dnssec-policy default; inline-signing yes; key-directory "${folder}";`;
  const more = `${may} ${asked} ${zone.signed ? signing : ''}`;
  const statement = `zone "${zone.name}" { type primary; file "${read}"; ${more} };`;
  // What it serves already it has in this file and its journal.
  if (existsSync(file)) return statement;
  const minimum = zone.minimum ?? 30;
  const text = [
    '$TTL 60',
    `@ ${Math.max(60, minimum)} IN SOA ns1 hostmaster ( 1 3600 600 86400 ${minimum} )`,
    '@ IN NS ns1',
    `ns1 IN A ${address}`,
    ...(zone.records ?? []),
  ];
  await writeFile(file, `${text.join('\n')}\n`);
  return statement;
}

export interface Run {
  readonly child: ChildProcess;
  log(): string;
  exited(): boolean;
  stop(): Promise<void>;
}

// The shell kills the server as soon as its own input ends, which also happens when this process
// is killed without a chance to clean up.
const guard =
  'exec 3<&0; "$@" <&- & it=$!; echo "$it" > server.pid; ' +
  '(while read -r _ <&3; do :; done; kill -9 "$it" 2>/dev/null) >/dev/null 2>&1 & wait "$it"';

/** Starts a server that ends with `stop`, and with this process whatever ends that. */
export function launch(
  server: string,
  args: readonly string[],
  directory: string,
  env: NodeJS.ProcessEnv = process.env,
): Run {
  const child = spawn('/bin/sh', ['-c', guard, 'sh', server, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    cwd: directory,
    env,
  });
  let log = '';
  const collect = (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-200_000);
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  // The guard may have ended before its input does.
  child.stdin.on('error', () => {});
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  letGo(child);
  return {
    child,
    log: () => log,
    exited: () => child.exitCode !== null || child.signalCode !== null,
    async stop() {
      child.ref();
      child.stdin.end();
      await ended;
    },
  };
}

/** Lets it read its configuration again, and waits until its log says once more that it has. */
export async function again(run: Run, directory: string, said: RegExp): Promise<void> {
  const times = () => run.log().match(said)?.length ?? 0;
  const before = times();
  process.kill(Number(await readFile(join(directory, 'server.pid'), 'utf8')), 'SIGHUP');
  const giveUpAt = Date.now() + 10_000;
  while (times() <= before) {
    if (Date.now() > giveUpAt || run.exited()) throw new Error(`it does not reload:\n${run.log()}`);
    await pause(10);
  }
}

/**
 * A test that fails before it can stop its server must not hold its file open for ever: the file
 * ends, and with its end the guard ends the server. Before its end is awaited it is `ref`ed again.
 */
function letGo(child: ChildProcess): void {
  child.unref();
  for (const stream of [child.stdin, child.stdout, child.stderr]) {
    if (stream instanceof Socket) stream.unref();
  }
}

/** Whether it answers for the zone with authority before it ends, within 10 s. */
export async function answers(
  address: string,
  port: number,
  zone: string,
  run: Run,
): Promise<boolean> {
  const giveUpAt = Date.now() + 10_000;
  while (Date.now() < giveUpAt && !run.exited()) {
    const question = { name: zone, type: 'SOA' };
    const reply = await ask({ address, port }, question, { timeoutMs: 500, tcp: true });
    if (reply.kind === 'reply' && reply.message.authoritative) return true;
    await pause(25);
  }
  return false;
}

let nextPort = randomInt(100);

/**
 * A port that is free for both UDP and TCP at this moment. It lies below those that the system gives
 * out by itself, among a hundred of this process alone, and comes again after all of these: nobody
 * else takes it before its owner listens.
 */
export async function freePort(address = '127.0.0.1'): Promise<number> {
  for (;;) {
    const port = 15_000 + (process.pid % 170) * 100 + (nextPort++ % 100);
    const tcp = createServer();
    const udp = createSocket('udp4');
    const free = [once(tcp, 'listening'), once(udp, 'listening')];
    tcp.listen(port, address);
    udp.bind(port, address);
    const found = await Promise.allSettled(free);
    if (tcp.listening) await new Promise<void>((resolve) => tcp.close(() => resolve()));
    await new Promise<void>((resolve) => udp.close(() => resolve()));
    if (found.every(({ status }) => status === 'fulfilled')) return port;
  }
}
