// The whole test run: formatting and lint, types, then every test file, and one line that counts.
// It installs the Debian packages whose real parts the tests use, where it may (root on a machine
// with apt); elsewhere those tests are skipped by name, and with CI set a skip is a failure.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const isCi = Boolean(process.env['CI']);

/** Nothing that is run here takes longer: a test that leaves something open would wait for ever. */
const endMs = 20 * 60_000;

/** Program each package is needed for, and where Debian puts it. */
const parts: readonly (readonly [program: string, pkg: string])[] = [
  ['/usr/sbin/named', 'bind9'],
  ['/usr/bin/dig', 'bind9-dnsutils'],
  ['/usr/sbin/nginx', 'nginx-light'],
  ['/usr/bin/promtool', 'prometheus'],
  ['/usr/sbin/pdns_server', 'pdns-server'],
  ['/usr/bin/sqlite3', 'sqlite3'],
  ['/usr/lib/x86_64-linux-gnu/pdns/libgsqlite3backend.so', 'pdns-backend-sqlite3'],
  ['/usr/sbin/knotd', 'knot'],
  ['/usr/bin/openssl', 'openssl'],
  ['/usr/bin/kdig', 'knot-dnsutils'],
  ['/usr/bin/systemd-analyze', 'systemd'],
  ['/usr/bin/prometheus-blackbox-exporter', 'prometheus-blackbox-exporter'],
  ['/usr/sbin/ip', 'iproute2'],
  ['/usr/sbin/nft', 'nftables'],
  ['/usr/bin/strace', 'strace'],
];

function run(command: string, args: readonly string[], env: Record<string, string> = {}): number {
  const done = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
    timeout: endMs,
  });
  if (done.error) throw done.error;
  return done.status ?? 1;
}

function installParts(): void {
  const missing = parts.filter(([program]) => !existsSync(program)).map(([, pkg]) => pkg);
  if (missing.length === 0) return;
  const isRoot = process.getuid?.() === 0;
  if (!isRoot || !existsSync('/usr/bin/apt-get')) {
    console.error(`detour: not installed, so their tests are skipped: ${missing.join(', ')}`);
    return;
  }
  console.error(`detour: installing Debian packages for the tests: ${missing.join(', ')}`);
  const quiet = { DEBIAN_FRONTEND: 'noninteractive' };
  const before = new Set(runningServices());
  run('apt-get', ['update', '-qq'], quiet);
  // A policy that forbids starting: the tests start their own servers, in folders of their own.
  const install = ['install', '-y', '-qq', '--no-install-recommends', ...missing];
  run('apt-get', install, { ...quiet, RUNLEVEL: '1' });
  const started = runningServices().filter((name) => !before.has(name));
  for (const name of started) spawnSync('service', [name, 'stop'], { stdio: 'ignore' });
}

/** Names of the services that these packages may start by themselves. */
function runningServices(): string[] {
  return [
    'named',
    'nginx',
    'prometheus',
    'prometheus-blackbox-exporter',
    'prometheus-node-exporter',
    'pdns',
    'knot',
  ].filter((name) => spawnSync('service', [name, 'status'], { stdio: 'ignore' }).status === 0);
}

installParts();
const chosen = process.argv.slice(2);
if (chosen.length === 0) {
  for (const [what, command, args] of [
    ['format and lint', 'biome', ['check', '.']],
    ['types of the tests', 'tsc', ['-p', 'test/tsconfig.json']],
  ] as const) {
    if (run(command, args) !== 0) {
      console.error(`detour: ${what} failed`);
      process.exit(1);
    }
  }
}
const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts'))
  .sort()
  .filter((name) => chosen.length === 0 || chosen.some((part) => name.includes(part)))
  .map((name) => join('test', name));
if (files.length === 0) {
  console.error(`detour: no test file is named ${chosen.join(' or ')}`);
  process.exit(1);
}
// Two at a time: what several tests measure together on two cores is the machine, not Detour. Not
// --test-force-exit: it ends a file before all that it has to say is said, and tests are lost.
const flags = ['--test', '--test-concurrency=2', '--test-timeout=300000'];
const status = run(process.execPath, [...flags, ...files], isCi ? { CI: 'true' } : {});
process.exit(status);
