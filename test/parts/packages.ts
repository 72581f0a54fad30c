// Debian's packages whose real parts the tests use: says which are missing and what for, and installs
// them where it may. It must never leave a service of theirs running or enabled, nor a policy of its
// own behind, and never take one package's trouble for another's.

import {
  type Dirent,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

export interface Part {
  /** Where Debian puts it. */
  readonly program: string;
  readonly pkg: string;
  /** What of the tests it is for. */
  readonly purpose: string;
}

const row = (pkg: string, program: string, purpose: string): Part => ({ pkg, program, purpose });

export const parts: readonly Part[] = [
  row('bind9', '/usr/sbin/named', 'a primary for dynamic updates'),
  row('bind9-dnsutils', '/usr/bin/dig', 'a second opinion about answers'),
  row('nginx-light', '/usr/sbin/nginx', 'an origin that is not ours'),
  row('prometheus', '/usr/bin/promtool', 'reads the metrics and alerts, and is asked'),
  row('prometheus-alertmanager', '/usr/bin/prometheus-alertmanager', 'pushes what it knows'),
  row('pdns-server', '/usr/sbin/pdns_server', 'a primary with an API'),
  row('sqlite3', '/usr/bin/sqlite3', "the API's database"),
  // Its library is in a folder named after the processor; its schema is in one place.
  row(
    'pdns-backend-sqlite3',
    '/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql',
    "the API's database",
  ),
  row('knot', '/usr/sbin/knotd', 'a primary and a secondary'),
  row('openssl', '/usr/bin/openssl', 'certificates'),
  row('knot-dnsutils', '/usr/bin/kdig', 'a second opinion about answers'),
  row('etcd-server', '/usr/bin/etcd', 'the engine of a group of replicas'),
  row('etcd-client', '/usr/bin/etcdctl', 'backups of that engine'),
  row('systemd', '/usr/bin/systemd-analyze', 'reads the unit'),
  row(
    'prometheus-blackbox-exporter',
    '/usr/bin/prometheus-blackbox-exporter',
    'a prober that is not ours',
  ),
  row('iproute2', '/usr/sbin/ip', 'networks that fail'),
  row('nftables', '/usr/sbin/nft', 'networks that lose packets'),
  row('strace', '/usr/bin/strace', 'disks that fail'),
  row('util-linux', '/usr/bin/unshare', 'networks of their own'),
];

/** The machine the packages are for; tests have one in a folder. */
export interface Machine {
  /** The folder that is its `/`. */
  readonly root: string;
  /** Whether this process may install there. */
  readonly mayInstall: boolean;
  /** Runs a program of it to its end; `status` null: it could not be started, or took too long. */
  run(program: string, args: readonly string[]): { status: number | null; output: string };
  say(sentence: string): void;
  /** Whether the person at the terminal agrees; true where nobody is there to be asked. */
  agree(question: string): Promise<boolean>;
}

/** Installs what is missing, where that may be done. Resolves with what is missing still. */
export async function prepare(wanted: readonly Part[], machine: Machine): Promise<readonly Part[]> {
  recover(machine.root);
  const missing = () => wanted.filter(({ program }) => !existsSync(join(machine.root, program)));
  const before = missing();
  if (before.length === 0) return [];
  machine.say(`not installed: ${list(before)}`);
  if (machine.mayInstall && existsSync(join(machine.root, '/usr/bin/apt-get'))) {
    machine.say('installing these Debian packages; none of their services is started or enabled');
    if (await machine.agree('Install them?')) await install(before, machine);
  }
  return missing();
}

/** Packages with what each is for. */
export function list(which: readonly Part[]): string {
  return which.map(({ pkg, purpose }) => `${pkg} (${purpose})`).join(', ');
}

// ---------------------------------------------------------------- apt

const apt = (machine: Machine, ...args: readonly string[]) =>
  machine.run('apt-get', [
    ...['-q', '-y', '-o', 'Acquire::http::Timeout=30', '-o', 'Acquire::Retries=1'],
    ...['-o', 'DPkg::Lock::Timeout=120', ...args],
  ]);

async function install(wanted: readonly Part[], machine: Machine): Promise<void> {
  const updated = apt(machine, '-o', 'APT::Update::Error-Mode=any', 'update');
  if (updated.status !== 0) machine.say(`apt-get update failed: ${trouble(updated.output)}`);
  const put = (packages: readonly string[]) =>
    apt(machine, 'install', '--no-install-recommends', ...packages);
  const refusals = new Map(wanted.map(({ pkg }) => [pkg, refusal(pkg, machine)]));
  // Without a network all have one reason, which is one sentence.
  for (const [why, group] of Map.groupBy(wanted, ({ pkg }) => refusals.get(pkg))) {
    if (why) machine.say(`apt cannot install ${group.map(({ pkg }) => pkg).join(', ')}: ${why}`);
  }
  const known = wanted.filter(({ pkg }) => !refusals.get(pkg));
  if (known.length === 0) return;
  await withoutServices(machine, () => {
    const all = put(known.map(({ pkg }) => pkg));
    // Ended by a signal or by its time: then that is what was wanted.
    if (all.status === 0 || all.status === null) return;
    machine.say(`apt could not install them together: ${trouble(all.output)}`);
    // Without a network each of them would wait and fail in the same way.
    if (updated.status !== 0) return;
    for (const { pkg } of known) {
      const one = put([pkg]);
      if (one.status !== 0) machine.say(`apt could not install ${pkg}: ${trouble(one.output)}`);
    }
  });
}

/** Why apt cannot install this one, by what it knows already; null: it can. */
function refusal(pkg: string, machine: Machine): string | null {
  const tried = apt(machine, 'install', '--simulate', '--no-install-recommends', pkg);
  return tried.status === 0 ? null : trouble(tried.output).replaceAll(pkg, '…');
}

/** The line of apt's output that says what is wrong. */
function trouble(output: string): string {
  const lines = output.split('\n').map((line) => line.trim());
  return lines.find((line) => /^[EW]:/.test(line)) ?? lines.findLast(Boolean) ?? 'it said nothing';
}

// ---------------------------------------------------------------- no service

const policyPath = '/usr/sbin/policy-rc.d';
const savedPath = '/usr/sbin/policy-rc.d.before-detour';
/** Debian's packages ask it before they start anything; 101 is "do not" (invoke-rc.d(8)). */
const policy =
  '#!/bin/sh\n# While the tests of Detour install packages nothing is started.\nexit 101\n';

/** Runs `work` with starting forbidden, and takes back what it has enabled. */
async function withoutServices(machine: Machine, work: () => void): Promise<void> {
  const { root } = machine;
  // A signal that ended this process at once would leave the policy behind.
  const later: NodeJS.Signals[] = [];
  const hold = (name: NodeJS.Signals) => void later.push(name);
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of signals) process.on(name, hold);
  const before = new Set(startLinks(root));
  try {
    if (existsSync(join(root, policyPath)))
      renameSync(join(root, policyPath), join(root, savedPath));
    writeFileSync(join(root, policyPath), policy, { mode: 0o755 });
    work();
  } finally {
    recover(root);
    for (const link of startLinks(root)) if (!before.has(link)) disable(join(root, link));
    // What came while apt ran is heard in the next turns of the loop.
    await new Promise((resolve) => setTimeout(resolve, 10));
    for (const name of signals) process.off(name, hold);
  }
  if (later[0] !== undefined) process.kill(process.pid, later[0]);
}

/** As `systemctl disable` and `update-rc.d disable` do, so that an upgrade enables nothing. */
function disable(link: string): void {
  if (isOfRunLevel.test(link)) renameSync(link, link.replace(/S(\d\d[^/]+)$/, 'K$1'));
  else rmSync(link);
}

const isOfRunLevel = /\/rc[2345S]\.d\/S\d\d[^/]+$/;

/** Puts the machine's own policy back, also after a run that was killed. */
function recover(root: string): void {
  const [path, saved] = [join(root, policyPath), join(root, savedPath)];
  if (existsSync(path) && readFileSync(path, 'utf8') === policy) rmSync(path);
  if (existsSync(saved)) renameSync(saved, path);
}

/** Links by which something is started at boot or on demand: of systemd, and of the run levels. */
export function startLinks(root: string): readonly string[] {
  const units = linksIn(root, '/etc/systemd').filter(
    // A link to nowhere forbids a unit.
    (path) => readlinkSync(join(root, path)) !== '/dev/null',
  );
  const levels = ['2', '3', '4', '5', 'S'].flatMap((n) => linksIn(root, `/etc/rc${n}.d`));
  return [...units, ...levels.filter((path) => isOfRunLevel.test(path))];
}

function linksIn(root: string, folder: string): readonly string[] {
  if (!existsSync(join(root, folder))) return [];
  const entries: Dirent[] = readdirSync(join(root, folder), { withFileTypes: true });
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? linksIn(root, path) : entry.isSymbolicLink() ? [path] : [];
  });
}
