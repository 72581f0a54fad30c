// A real PowerDNS for the tests: SQLite behind it, on free loopback ports, in a directory of its
// own that goes with it. It never outlives the test that started it, and asks nobody anything.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BindKey, freePort, launch, type Run } from './bind.ts';

const schema = '/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql';
const startMs = 15_000;

/** Why PowerDNS cannot be started here; null when it can. */
export function powerdnsAbsent(): string | null {
  for (const tool of ['pdns_server', 'pdnsutil', 'sqlite3']) {
    const found = spawnSync('sh', ['-c', `command -v ${tool}`], { env: environment() });
    if (found.status !== 0) return `${tool} is not installed (pdns-server, sqlite3)`;
  }
  return existsSync(schema) ? null : `${schema} is missing (pdns-backend-sqlite3)`;
}

export interface PowerdnsPart {
  /** Base URL of its HTTP API. */
  readonly api: string;
  readonly apiKey: string;
  /** ADDRESS:PORT of its name server. */
  readonly dns: string;
  /** Runs pdnsutil on it, as a person at the console would. */
  util(...args: string[]): string;
  /** Runs SQL on its database. */
  sql(statement: string): string;
  /** Stops it for a while, and lets it go on. */
  pause(): void;
  resume(): void;
  close(): Promise<void>;
}

/**
 * Starts one with a native zone `fo.test.` and the others asked for, and resolves once it answers.
 * With keys it takes dynamic updates of `fo.test.`, signed with any of `updaters` (each of the keys
 * unless given), and of the other zones, signed with any of the keys.
 */
export async function startPowerdns(options: PowerdnsOptions = {}): Promise<PowerdnsPart> {
  // Another process may take a port between the choice and the start: then once more.
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(options);
    } catch (error) {
      if (attempt === 3 || !/address already in use/i.test(String(error))) throw error;
    }
  }
}

interface PowerdnsOptions {
  readonly keys?: readonly BindKey[];
  readonly updaters?: readonly string[];
  readonly others?: readonly string[];
  /** Its zones are signed. */
  readonly signed?: true;
}

async function startOnce(options: PowerdnsOptions): Promise<PowerdnsPart> {
  const keys = options.keys ?? [];
  const directory = mkdtempSync(join(tmpdir(), 'detour-pdns-'));
  const database = join(directory, 'zones.db');
  const apiKey = 'the-key-of-this-test';
  let server: Run | null = null;
  const run = (command: string, args: readonly string[], input?: Buffer) =>
    execFileSync(command, args, {
      env: environment(),
      encoding: 'utf8',
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(input === undefined ? {} : { input }),
    });
  const util = (...args: string[]) => run('pdnsutil', [`--config-dir=${directory}`, ...args]);
  const close = async (): Promise<void> => {
    await server?.stop();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const [dnsPort, apiPort] = [await freePort(), await freePort()];
    run('sqlite3', [database], readFileSync(schema));
    const lines = configuration(directory, dnsPort, apiPort, apiKey);
    if (keys.length > 0) lines.push('dnsupdate=yes', 'allow-dnsupdate-from=127.0.0.0/8');
    writeFileSync(join(directory, 'pdns.conf'), `${lines.join('\n')}\n`);
    makeZones(util, options);
    server = launch('pdns_server', [`--config-dir=${directory}`], directory, environment());
    const api = `http://127.0.0.1:${apiPort}`;
    await answers(`${api}/api/v1/servers/localhost`, apiKey, server);
    const pid = Number(readFileSync(join(directory, 'server.pid'), 'utf8'));
    // Its caches are as it has them by default; what is changed past it, it is told of.
    const told = (done: string): string => {
      run('pdns_control', [`--config-dir=${directory}`, `--socket-dir=${directory}`, 'purge']);
      return done;
    };
    return {
      api,
      apiKey,
      dns: `127.0.0.1:${dnsPort}`,
      util: (...args) => told(util(...args)),
      sql: (statement) => told(run('sqlite3', ['-cmd', '.timeout 5000', database, statement])),
      pause: () => void process.kill(pid, 'SIGSTOP'),
      resume: () => void process.kill(pid, 'SIGCONT'),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function makeZones(util: PowerdnsPart['util'], options: PowerdnsOptions): void {
  const keys = options.keys ?? [];
  for (const key of keys) util('import-tsig-key', bare(key.name), key.algorithm, key.secret);
  const all = keys.map((key) => key.name);
  const make = (zone: string, updaters: readonly string[]) => {
    util('create-zone', zone, `ns1.${zone}`);
    if (options.signed) {
      util('secure-zone', zone);
      util('set-meta', zone, 'API-RECTIFY', '1');
    }
    if (updaters.length > 0) util('set-meta', zone, 'TSIG-ALLOW-DNSUPDATE', ...updaters.map(bare));
  };
  make('fo.test', options.updaters ?? all);
  util('add-record', 'fo.test', 'ns1', 'A', '127.0.0.1');
  for (const other of options.others ?? []) make(bare(other), all);
}

function bare(name: string): string {
  return name.replace(/\.$/, '');
}

function configuration(directory: string, dnsPort: number, apiPort: number, key: string): string[] {
  return [
    'launch=gsqlite3',
    `gsqlite3-database=${join(directory, 'zones.db')}`,
    'local-address=127.0.0.1',
    `local-port=${dnsPort}`,
    'api=yes',
    `api-key=${key}`,
    'webserver=yes',
    'webserver-address=127.0.0.1',
    `webserver-port=${apiPort}`,
    'webserver-allow-from=127.0.0.0/8',
    `socket-dir=${directory}`,
    'security-poll-suffix=',
    'setuid=',
    'setgid=',
    'daemon=no',
    'guardian=no',
    'gsqlite3-dnssec=yes',
  ];
}

async function answers(url: string, key: string, server: Run): Promise<void> {
  const deadline = performance.now() + startMs;
  for (;;) {
    const response = await fetch(url, {
      headers: { 'x-api-key': key },
      signal: AbortSignal.timeout(1000),
    }).catch(() => null);
    await response?.body?.cancel();
    if (response?.ok) return;
    if (server.exited() || performance.now() > deadline) {
      throw new Error(`PowerDNS does not answer at ${url}: ${server.log().slice(-4000)}`);
    }
    await new Promise((done) => setTimeout(done, 20));
  }
}

/** Name servers are kept where only the administrator's path leads. */
function environment(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/local/sbin:/sbin` };
}
