// The peers that the benches measure beside Detour: gdnsd, PowerDNS with Lua records, HAProxy,
// Prometheus with its blackbox exporter, unbound, and nginx as the origins that all of them probe; each
// as Debian packages it, in a folder of its own, on free ports of loopback, never as a service of the
// machine. A program that is not installed is
// named with what installs it. None outlives the bench: the kernel ends them with their parent.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import dnsPacket from 'dns-packet';

/** The programs, and the packages that bring them. */
const packages = {
  gdnsd: 'gdnsd',
  haproxy: 'haproxy',
  prometheus: 'prometheus',
  'prometheus-blackbox-exporter': 'prometheus-blackbox-exporter',
  pdns_server: 'pdns-server pdns-backend-bind',
  unbound: 'unbound',
  nginx: 'nginx-light',
} as const;
export type Program = keyof typeof packages;

const path = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`;
const startMs = 20_000;

/** Those of the programs that are not installed; says so, with the line that installs them. */
export function absent(wanted: readonly Program[]): ReadonlySet<Program> {
  const missing = wanted.filter((program) => {
    const found = spawnSync('sh', ['-c', `command -v ${program}`], { env: { PATH: path } });
    return found.status !== 0;
  });
  if (missing.length > 0) {
    const names = missing.map((program) => packages[program]).join(' ');
    console.log(`absent: ${missing.join(', ')}; apt-get install --no-install-recommends ${names}`);
  }
  return new Set(missing);
}

/** The machine and its load, for the head of a table. */
export function machine(): string {
  const [first] = cpus();
  const load = loadavg()[0]!.toFixed(1);
  return `${cpus().length} x ${first?.model}, Node ${process.version}, load ${load} before`;
}

/** Waits until the machine is calm, at most so long; a load of others spoils every figure. */
export async function calm(boundMs: number): Promise<void> {
  const until = performance.now() + boundMs;
  while (loadavg()[0]! > 1 && performance.now() < until) await pause(2000);
}

/** Programs under measurement; `stop` ends them and removes their folder. */
export interface Peer {
  readonly name: string;
  /** Of every process that works for it. */
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

/** What a set of processes has taken so far. */
export interface Cost {
  readonly cpuMs: number;
  /** For how long they could have run and had no processor. */
  readonly waitedMs: number;
  readonly rssBytes: number;
}

/** Reads /proc: clock ticks are 10 ms each on Linux. */
export function costOf(pids: readonly number[]): Cost {
  let [cpuMs, waitedMs, rssBytes] = [0, 0, 0];
  for (const pid of pids) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    cpuMs += (Number(fields[11]) + Number(fields[12])) * 10;
    rssBytes += Number(fields[21]) * 4096;
    waitedMs += Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6;
  }
  return { cpuMs, waitedMs, rssBytes };
}

/** A port of 127.0.0.1 that is free for TCP and UDP. */
export async function freePort(): Promise<number> {
  for (;;) {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const socket = createSocket('udp4');
    const isFree = await new Promise<boolean>((resolve) => {
      socket.once('error', () => resolve(false));
      socket.bind(port, '127.0.0.1', () => resolve(true));
    });
    if (isFree) await new Promise<void>((resolve) => socket.close(() => resolve()));
    await new Promise((resolve) => server.close(resolve));
    if (isFree) return port;
  }
}

interface Launch {
  readonly program: Program;
  readonly args: (folder: string) => readonly string[];
  /** By name in the peer's folder; a name with a slash makes the folder. */
  readonly files: (folder: string) => Readonly<Record<string, string>>;
}

/** Starts programs that share a folder; they are ready when `ready` says so. */
async function launch(
  name: string,
  launches: readonly Launch[],
  ready: () => Promise<boolean>,
): Promise<Peer> {
  const folder = mkdtempSync(join(tmpdir(), 'detour-peer-'));
  const running: ChildProcess[] = [];
  let log = '';
  const stop = async () => {
    for (const child of running) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      const hard = setTimeout(() => child.kill('SIGKILL'), 3000);
      await gone;
      clearTimeout(hard);
    }
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    for (const { program, args, files } of launches) {
      for (const [file, text] of Object.entries(files(folder))) {
        mkdirSync(join(folder, file, '..'), { recursive: true });
        writeFileSync(join(folder, file), text);
      }
      const guarded = ['--pdeathsig', 'KILL', program, ...args(folder)];
      const child = spawn('setpriv', guarded, {
        cwd: folder,
        env: { PATH: path },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      running.push(child);
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (chunk: Buffer) => {
          log = (log + chunk.toString()).slice(-3000);
        });
      }
    }
    const until = performance.now() + startMs;
    while (!(await ready())) {
      const dead = running.find((child) => child.exitCode !== null);
      if (dead || performance.now() > until) throw new Error(`${name} did not start: ${log}`);
      await pause(50);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { name, pids: running.map((child) => child.pid!), stop };
}

/** True once something accepts connections there. */
function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** The first address or name that a server gives for a name; null: none, or no answer. */
export function lookUp(
  port: number,
  name: string,
  type: 'A' | 'CNAME',
  recurse = false,
): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    const end = (answer: string | null) => {
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    const timer = setTimeout(end, 500, null);
    socket.on('error', () => end(null));
    socket.on('message', (bytes) => {
      const { answers } = dnsPacket.decode(bytes);
      const found = answers?.flatMap((answer) => {
        return (answer.type === 'A' || answer.type === 'CNAME') && answer.type === type
          ? [answer.data]
          : [];
      });
      end(found?.[0] ?? null);
    });
    const flags = recurse ? dnsPacket.RECURSION_DESIRED : 0;
    const id = Math.floor(Math.random() * 65_536);
    const question = dnsPacket.encode({ type: 'query', id, flags, questions: [{ name, type }] });
    socket.send(question, port, '127.0.0.1');
  });
}

export interface Resource {
  readonly name: string;
  readonly addresses: readonly [primary: string, secondary: string];
}

/** gdnsd over pairs of addresses, probed at its least interval of 2 s; its zone is fo.test. */
export async function startGdnsd(
  resources: readonly Resource[],
  how: { readonly port: number; readonly thresholds: number; readonly ttlSeconds?: number },
): Promise<Peer & { readonly dns: number }> {
  const dns = await freePort();
  const thresholds = ['up', 'ok', 'down'].map((w) => `${w}_thresh => ${how.thresholds}`).join(', ');
  const pairs = resources.map(
    ({ name, addresses: [a, b] }) => `    ${name} => { primary => ${a}, secondary => ${b} }`,
  );
  const config = (folder: string) => `options => {
  listen => [ 127.0.0.1:${dns} ], run_dir => ${folder}/run, state_dir => ${folder}/state,
  min_ttl => 1
}
service_types => {
  web => { plugin => http_status, port => ${how.port}, url_path => /healthz, interval => 2,
           timeout => 1, ${thresholds} }
}
plugins => { simplefo => { service_types => web
${pairs.join('\n')}
} }
`;
  const ttl = how.ttlSeconds ?? 1;
  const names = resources.map(({ name }) => `${name} ${ttl} DYNA simplefo!${name}`);
  const zone = `@ SOA ns1 hostmaster (1 7200 1800 259200 ${ttl})\n@ NS ns1\nns1 A 127.0.0.1\n`;
  const files = (folder: string) => ({
    config: config(folder),
    'zones/fo.test': `${zone}${names.join('\n')}\n`,
    'run/.keep': '',
    'state/.keep': '',
  });
  const args = (folder: string) => ['-c', folder, 'start'];
  const first = `${resources[0]!.name}.fo.test`;
  const ready = async () => (await lookUp(dns, first, 'A')) !== null;
  const peer = await launch('gdnsd', [{ program: 'gdnsd', args, files }], ready);
  return { ...peer, dns };
}

/** PowerDNS, whose Lua records probe over HTTP every second; one failure decides. */
export async function startPowerdnsLua(
  resources: readonly Resource[],
  how: { readonly port: number; readonly ttlSeconds?: number },
): Promise<Peer & { readonly dns: number }> {
  const dns = await freePort();
  const ttl = how.ttlSeconds ?? 1;
  const records = resources.map(({ name, addresses }) => {
    const groups = addresses.map((address) => `{'${address}'}`).join(',');
    const url = `http://web.fo.test:${how.port}/healthz`;
    return `${name} ${ttl} IN LUA A "ifurlup('${url}', {${groups}}, {timeout=1})"`;
  });
  const zone = `$ORIGIN fo.test.\n@ ${ttl} IN SOA ns1 hostmaster 1 7200 1800 259200 ${ttl}
@ ${ttl} IN NS ns1\nns1 ${ttl} IN A 127.0.0.1\n${records.join('\n')}\n`;
  const files = (folder: string) => ({
    'fo.zone': zone,
    'named.conf': `zone "fo.test" { type master; file "${folder}/fo.zone"; };\n`,
    'pdns.conf': `launch=bind
bind-config=${folder}/named.conf
local-address=127.0.0.1
local-port=${dns}
socket-dir=${folder}
enable-lua-records=yes
lua-health-checks-interval=1
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
distributor-threads=1
receiver-threads=1
security-poll-suffix=
loglevel=3
`,
  });
  const args = (folder: string) => [`--config-dir=${folder}`, '--daemon=no', '--guardian=no'];
  const first = `${resources[0]!.name}.fo.test`;
  const ready = async () => (await lookUp(dns, first, 'A')) !== null;
  const peer = await launch('PowerDNS', [{ program: 'pdns_server', args, files }], ready);
  return { ...peer, dns };
}

/** What every configuration of HAProxy begins with here. */
const haproxyHead = `global
  nbthread 1
  maxconn 2000
defaults
  mode http
  timeout connect 1s
  timeout client 1s
  timeout server 1s
  timeout check 1s
`;

/** HAProxy with one backend whose servers it checks every second; `ca`: by TLS, verified. */
export async function startHaproxy(
  addresses: readonly string[],
  how: { readonly port: number; readonly ca?: string | null; readonly name?: string },
): Promise<Peer> {
  const front = await freePort();
  const { ca = null, name = 'localhost' } = how;
  const tls = ca === null ? '' : ` check-ssl verify required ca-file ${ca} check-sni ${name}`;
  const options = `check inter 1s fall 3 rise 2${tls}`;
  const servers = addresses.map((a, i) => `  server s${i} ${a}:${how.port} ${options}`);
  const files = () => ({
    'haproxy.cfg': `${haproxyHead}frontend stats
  bind 127.0.0.1:${front}
  stats enable
backend origins
  option httpchk GET /healthz
${servers.join('\n')}
`,
  });
  const args = (folder: string) => ['-db', '-q', '-f', `${folder}/haproxy.cfg`];
  const launches = [{ program: 'haproxy', args, files }] as const;
  return launch('HAProxy', launches, () => accepts(front));
}

/**
 * HAProxy in front of pairs: it checks every second, and a request for `Host: NAME` goes to the first of
 * the pair that is up. Its answer says in `x-served` which one that was; without it, none.
 */
export async function startHaproxyPairs(
  resources: readonly Resource[],
  how: { readonly port: number },
): Promise<Peer & { readonly dns: number }> {
  const front = await freePort();
  const backends = resources.map(({ name, addresses: [a, b] }) => {
    const options = 'check inter 1s fall 3 rise 2';
    return `backend ${name}
  option httpchk GET /healthz
  http-response set-header x-served %s
  server ${a} ${a}:${how.port} ${options}
  server ${b} ${b}:${how.port} backup ${options}`;
  });
  const files = () => ({
    'haproxy.cfg': `${haproxyHead}frontend all
  bind 127.0.0.1:${front}
  use_backend %[req.hdr(host)]
${backends.join('\n')}
`,
  });
  const args = (folder: string) => ['-db', '-q', '-f', `${folder}/haproxy.cfg`];
  const launches = [{ program: 'haproxy', args, files }] as const;
  const peer = await launch('HAProxy', launches, () => accepts(front));
  return { ...peer, dns: front };
}

/** The origin that HAProxy lets answer for a name; null: none. */
export function servedBy(port: number, name: string): Promise<string | null> {
  return new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port, headers: { host: name }, timeout: 500 });
    asked.on('response', (response) => {
      response.resume();
      const served = response.headers['x-served'];
      resolve(typeof served === 'string' && response.statusCode === 200 ? served : null);
    });
    asked.on('timeout', () => asked.destroy(new Error('late')));
    asked.on('error', () => resolve(null));
    asked.end();
  });
}

/** Prometheus that scrapes its blackbox exporter once a second for every address. */
export async function startPrometheus(
  addresses: readonly string[],
  how: { readonly port: number; readonly ca?: string | null; readonly name?: string },
): Promise<Peer> {
  const [box, web] = [await freePort(), await freePort()];
  const { ca = null, name = 'localhost' } = how;
  const scheme = ca === null ? 'http' : 'https';
  const trust = ca === null ? '' : `, tls_config: { ca_file: ${ca}, server_name: ${name} }`;
  const targets = addresses.map((a) => `${scheme}://${a}:${how.port}/healthz`);
  const boxFiles = () => ({
    'blackbox.yml': `modules:
  web: { prober: http, timeout: 900ms, http: { preferred_ip_protocol: ip4${trust} } }
`,
  });
  const promFiles = () => ({
    'targets.json': JSON.stringify([{ targets }]),
    'prometheus.yml': `global: { scrape_interval: 1s, scrape_timeout: 1s }
scrape_configs:
  - job_name: web
    metrics_path: /probe
    params: { module: [web] }
    file_sd_configs: [ { files: [ targets.json ] } ]
    relabel_configs:
      - { source_labels: [__address__], target_label: __param_target }
      - { source_labels: [__param_target], target_label: instance }
      - { target_label: __address__, replacement: "127.0.0.1:${box}" }
`,
  });
  const launches: Launch[] = [
    {
      program: 'prometheus-blackbox-exporter',
      files: boxFiles,
      args: (folder) => [
        `--config.file=${folder}/blackbox.yml`,
        `--web.listen-address=127.0.0.1:${box}`,
        '--log.level=error',
      ],
    },
    {
      program: 'prometheus',
      files: promFiles,
      args: (folder) => [
        `--config.file=${folder}/prometheus.yml`,
        `--storage.tsdb.path=${folder}/data`,
        `--web.listen-address=127.0.0.1:${web}`,
        '--log.level=error',
      ],
    },
  ];
  const ready = async () => (await accepts(box)) && (await accepts(web));
  return launch('Prometheus + blackbox', launches, ready);
}

/** unbound, which asks one authoritative server for the zones and nobody for anything else. */
export async function startUnbound(
  zones: Readonly<Record<string, number>>,
): Promise<Peer & { readonly dns: number }> {
  const dns = await freePort();
  // For the root too: nothing but loopback may ever be asked.
  const asked = { ...zones, '.': Object.values(zones)[0]! };
  const stubs = Object.entries(asked).map(
    ([zone, port]) => `stub-zone:\n  name: "${zone}"\n  stub-addr: 127.0.0.1@${port}\n`,
  );
  const files = (folder: string) => ({
    'unbound.conf': `server:
  directory: "${folder}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  verbosity: 0
  interface: 127.0.0.1
  port: ${dns}
  num-threads: 1
  do-not-query-localhost: no
  module-config: "iterator"
  access-control: 127.0.0.0/8 allow
  local-zone: "test." nodefault
remote-control:
  control-enable: no
${stubs.join('')}`,
  });
  const args = (folder: string) => ['-d', '-c', `${folder}/unbound.conf`];
  const launches = [{ program: 'unbound', args, files }] as const;
  const peer = await launch('unbound', launches, () => accepts(dns));
  return { ...peer, dns };
}

/**
 * nginx, which answers on every address of loopback at one port. A line of its log is when a request
 * came, in seconds, and at which address; lines are written half a second late at most.
 */
export async function startNginx(
  tls: { readonly certificate: string; readonly key: string } | null,
): Promise<Peer & { readonly port: number; readonly log: string }> {
  const port = await freePort();
  // Tickets are given by default.
  const secure =
    tls === null
      ? ''
      : `ssl_certificate ${tls.certificate}; ssl_certificate_key ${tls.key};
    ssl_protocols TLSv1.2 TLSv1.3;`;
  let log = '';
  const files = (folder: string) => {
    log = `${folder}/asked.log`;
    return {
      'nginx.conf': `daemon off;
master_process off;
pid ${folder}/pid;
error_log stderr error;
events { worker_connections 8192; }
http {
  log_format asked '$msec $server_addr';
  access_log ${log} asked buffer=64k flush=500ms;
  server {
    listen 0.0.0.0:${port} backlog=4096${tls === null ? '' : ' ssl'};
    ${secure}
    location / { return 200 "well\n"; }
  }
}
`,
    };
  };
  const args = (folder: string) => ['-p', folder, '-c', `${folder}/nginx.conf`, '-e', 'stderr'];
  const peer = await launch('nginx', [{ program: 'nginx', args, files }], () => accepts(port));
  return { ...peer, port, log };
}
