// The two commands of the README on machines that have never seen Detour: Debian roots made by
// debootstrap with nothing but git, nodejs and npm, a clean clone in them. It prints minutes and
// megabytes, and fails when a command does, or when `npm test` leaves something started or enabled.
// It must leave nothing behind: mounts and processes are in namespaces that end with it, files in one
// folder. Mirror and registry are this machine's own, and are told to the roots alone.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startLinks } from '../parts/packages.ts';

const repository = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const codenames: Readonly<Record<string, string>> = { '12': 'bookworm', '13': 'trixie' };

/** One machine: which Debian, who runs the commands, and an npm in place of Debian's own. */
interface Plan {
  readonly debian: string;
  readonly as: 'root' | 'user';
  readonly npm: string | null;
}

/** Each npm on a Debian whose Node runs it. Debian's own is 9.2 in both. */
const plans: readonly Plan[] = [
  { debian: '12', as: 'root', npm: '10.8' },
  { debian: '13', as: 'root', npm: '11.3' },
  ...(['root', 'user'] as const).flatMap((as) =>
    ['12', '13'].map((debian): Plan => ({ debian, as, npm: null })),
  ),
];

const minute = 60_000;
/** Nothing of a kind takes longer; what does is ended, with all that it has started. */
const endMs = { make: 20 * minute, start: 15 * minute, test: 45 * minute, short: 5 * minute };

const usage = `npm run test:fresh -- [--debian 12|13] [--as root|user] [--npm own|10.8|11.3|VERSION]
  [--only start]  leaves out npm test
  [--keep]        leaves the folder with the roots, and names it`;

const { values: options } = parseArgs({
  options: {
    debian: { type: 'string' },
    as: { type: 'string' },
    npm: { type: 'string' },
    only: { type: 'string' },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const say = (sentence: string) => console.log(`fresh: ${sentence}`);

// ---------------------------------------------------------------- this machine's own settings

interface Settings {
  /** Folder of Debian's packages, and of its security updates where this machine has them. */
  readonly mirror: string;
  readonly security: string | null;
  /** Lines for apt.conf. */
  readonly apt: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Files that the settings name, by path. */
  readonly files: readonly string[];
}

function ask(program: string, ...args: readonly string[]): string | null {
  const done = spawnSync(program, args, { encoding: 'utf8', timeout: minute });
  return done.status === 0 ? done.stdout.trim() : null;
}

/** Why it cannot be done here; null when it can. */
function absent(): string | null {
  if (process.platform !== 'linux') return 'it needs Linux';
  if (process.getuid?.() !== 0) return 'it needs root';
  for (const program of ['debootstrap', 'unshare', 'pivot_root', 'apt-get', 'git', 'npm']) {
    if (ask('sh', '-c', `command -v ${program}`) === null) return `${program} is not installed`;
  }
  const tried = ask('unshare', ...spaces, 'mount', '-t', 'tmpfs', 'none', '/mnt');
  return tried === null ? 'this machine allows no namespaces' : null;
}

/** The mirror that apt uses here; null: apt uses none of Debian's. */
function mirrors(): Pick<Settings, 'mirror' | 'security'> | null {
  const listed = ask(
    'apt-get',
    ...['indextargets', '--format', '$(REPO_URI) $(RELEASE)', 'Created-By: Packages'],
  );
  const rows = (listed ?? '').split('\n').map((line) => line.split(' ') as [string, string]);
  const named = Object.values(codenames);
  const mirror = rows.find(([, release]) => named.includes(release))?.[0];
  const security = rows.find(([, release]) => named.some((n) => release === `${n}-security`))?.[0];
  return mirror === undefined ? null : { mirror, security: security ?? null };
}

function settingsHere(): Settings | null {
  const found = mirrors();
  if (found === null) return null;
  const apt = (ask('apt-config', 'dump', 'Acquire') ?? '')
    .split('\n')
    .filter((line) => /^Acquire::(https?::(Proxy|CAInfo)\b|Check-|Retries\b)/i.test(line));
  const env: Record<string, string> = {};
  const kept = /^(https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|GIT_SSL_CAINFO)$/i;
  for (const [name, value = ''] of Object.entries(process.env)) {
    if (kept.test(name)) env[name] = value;
  }
  for (const key of ['registry', 'cafile', 'proxy', 'https-proxy', 'noproxy']) {
    const value = ask('npm', 'config', 'get', key) ?? '';
    if (!['', 'null', 'undefined'].includes(value)) {
      env[`npm_config_${key.replaceAll('-', '_')}`] = value;
    }
  }
  const proxy = apt
    .map((line) => /^Acquire::http::Proxy "(http.+)";/i.exec(line)?.[1])
    .find(Boolean);
  if (proxy !== undefined) env['http_proxy'] ??= proxy;
  const files = ['/etc/resolv.conf', '/etc/hosts', '/etc/ssl/certs/ca-certificates.crt'];
  const named = Object.values(env).filter((value) => value.startsWith('/') && existsSync(value));
  return { ...found, apt, env, files: [...new Set([...files, ...named])].filter(existsSync) };
}

// ---------------------------------------------------------------- a machine

/** Started and not yet over; they end with this process. */
const running = new Set<ChildProcess>();

interface Ended {
  readonly status: number;
  readonly output: string;
  readonly minutes: number;
}

/** Runs one program to its end, or to the end of its time; `loud` shows what it says. */
async function run(
  argv: readonly [string, ...string[]],
  how: { readonly env: NodeJS.ProcessEnv; readonly ms: number; readonly loud?: boolean },
): Promise<Ended> {
  const [program, ...args] = argv;
  const from = performance.now();
  const child = spawn(program, args, { env: how.env, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-4_000_000);
      if (how.loud) process.stdout.write(text);
    });
  }
  const timer = setTimeout(() => child.kill('SIGKILL'), how.ms);
  const status = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (signal === 'SIGKILL') output += `\nended after ${how.ms / minute} minutes\n`;
      resolve(code ?? 1);
    });
  });
  clearTimeout(timer);
  running.delete(child);
  return { status, output, minutes: (performance.now() - from) / minute };
}

// The root is made the whole of a mount namespace, not a chroot: in one of those the kernel allows no
// namespaces of users. Mounts and processes go with the namespaces, whatever ends them.
const enter = `
set -e
mount --bind "$ROOT" "$ROOT"
cd "$ROOT"
mount -t proc proc proc
mount -t sysfs sys sys
mount -t tmpfs -o mode=755 dev dev
for name in null zero full random urandom tty; do
  : > dev/$name
  mount --bind /dev/$name dev/$name
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 pts dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
pivot_root . mnt
umount -l mnt
exec "$@"
`;

/** They and all in them end with the program that makes them, also when that is killed. */
const spaces = ['--mount', '--pid', '--fork', '--kill-child'];

/** What still runs when a command is over is said behind this word, one a line. */
const leftOver = 'left running: ';
const andLook = `
"$@"
status=$?
for folder in /proc/[0-9]*; do
  [ "$folder" = /proc/$$ ] && continue
  words=$(tr '\\0' ' ' 2>/dev/null < $folder/cmdline)
  [ -z "$words" ] || echo "${leftOver}$words"
done
exit $status
`;

class Fresh {
  readonly root: string;
  readonly #settings: Settings;
  constructor(root: string, settings: Settings) {
    this.root = root;
    this.#settings = settings;
  }

  /** Runs a program in the machine, as root or as a user who may become nobody else. */
  run(
    argv: readonly string[],
    how: { readonly as?: 'root' | 'user'; readonly ms: number; readonly loud?: boolean },
  ): Promise<Ended> {
    const who =
      how.as === 'user'
        ? ['setpriv', '--reuid=1000', '--regid=1000', '--clear-groups', '--no-new-privs']
        : [];
    const env = {
      ...this.#settings.env,
      ROOT: this.root,
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: how.as === 'user' ? '/home/user' : '/root',
      LANG: 'C.UTF-8',
    };
    const inside = ['sh', '-c', andLook, 'sh', ...who, ...argv];
    return run(['unshare', ...spaces, 'sh', '-c', enter, 'sh', ...inside], { ...how, env });
  }

  /** As `run`; throws with what was said when it fails. */
  async must(argv: readonly string[], ms: number): Promise<void> {
    const done = await this.run(argv, { ms });
    if (done.status !== 0) throw new Error(`${argv.join(' ')}:\n${done.output.slice(-4000)}`);
  }

  megabytes(path: string): number {
    return Number(ask('du', '-sm', join(this.root, path))?.split('\t')[0] ?? Number.NaN);
  }
}

/** A Debian with git, nodejs and npm. Throws with what debootstrap or apt said. */
async function makeBase(debian: string, root: string, settings: Settings): Promise<void> {
  const codename = codenames[debian]!;
  const argv = ['--variant=minbase', '--include=ca-certificates', codename, root, settings.mirror];
  const done = await run(['unshare', ...spaces, '--mount-proc', 'debootstrap', ...argv], {
    env: { ...process.env, ...settings.env },
    ms: endMs.make,
  });
  if (done.status !== 0) throw new Error(`debootstrap:\n${done.output.slice(-4000)}`);
  const { mirror, security } = settings;
  const sources = [
    `deb ${mirror} ${codename} main`,
    `deb ${mirror} ${codename}-updates main`,
    ...(security === null ? [] : [`deb ${security} ${codename}-security main`]),
  ];
  writeFileSync(join(root, 'etc/apt/sources.list'), `${sources.join('\n')}\n`);
  writeFileSync(join(root, 'etc/apt/apt.conf.d/99-here'), `${settings.apt.join('\n')}\n`);
  for (const file of settings.files) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    copyFileSync(file, join(root, file));
    chmodSync(join(root, file), 0o644);
  }
  const machine = new Fresh(root, settings);
  await machine.must(['apt-get', 'update', '-qq'], endMs.make);
  const install = ['apt-get', 'install', '-y', '-qq', '--no-install-recommends'];
  await machine.must([...install, 'git', 'nodejs', 'npm'], endMs.make);
  await machine.must(['useradd', '--create-home', '--uid=1000', 'user'], endMs.short);
}

// ---------------------------------------------------------------- the commands in it

const home = { root: '/root/detour', user: '/home/user/detour' } as const;

/** What is wrong after all that a plan does; each is one sentence. */
async function perform(plan: Plan, machine: Fresh): Promise<readonly string[]> {
  const wrong: string[] = [];
  const clone = home[plan.as];
  const target = join(machine.root, clone);
  const made = ask('git', 'clone', '--quiet', '--no-hardlinks', repository, target);
  if (made === null) throw new Error('the repository could not be cloned');
  if (plan.as === 'user') ask('chown', '-R', '1000:1000', target);
  if (plan.npm !== null) {
    await machine.must(['npm', 'install', '--global', `npm@${plan.npm}`], endMs.short);
  }
  const before = machine.megabytes('/');
  const inClone = (ms: number, ...argv: readonly string[]) =>
    machine.run(['sh', '-c', `cd ${clone} && exec "$@"`, 'sh', ...argv], {
      as: plan.as,
      ms,
      loud: true,
    });
  const asked = await inClone(endMs.short, 'npm', '--version');
  const npm = /^\d+\.\d+\.\d+$/m.exec(asked.output)?.[0] ?? 'of no version';
  const told = (what: string, done: Ended) => {
    const disk = machine.megabytes('/') - before;
    say(
      `${titleOf(plan)}, npm ${npm}: ${what} ended ${done.status} after ` +
        `${done.minutes.toFixed(1)} min; node_modules ${machine.megabytes(`${clone}/node_modules`)} ` +
        `MB, on disk ${disk} MB more than before`,
    );
    if (done.status !== 0) wrong.push(`${what} ended ${done.status}`);
    for (const line of leftIn(done.output)) wrong.push(`${what} left running: ${line}`);
  };
  const start = await inClone(endMs.start, 'npm', 'start', '--', '--demo');
  told('npm start -- --demo', start);
  wrong.push(...judgeDemo(start.output));
  if (options.only === 'start') return wrong;
  const small = plan.npm === null ? [] : ['--', 'ready'];
  const links = startLinks(machine.root);
  const test = await inClone(endMs.test, 'npm', 'test', ...small);
  told(['npm test', ...small].join(' '), test);
  for (const [reason, count] of skipsIn(test.output)) say(`  skipped ${count}: ${reason}`);
  wrong.push(...judgeMachine(machine, links));
  return wrong;
}

/** The demo breaks a cloud, and says at its end that each record is on its standby everywhere. */
function judgeDemo(output: string): readonly string[] {
  const isOpen = output.includes('every record is at every vendor on the standby cloud');
  return isOpen ? [] : ['the demo does not say that every record is on the standby'];
}

/** What `npm test` has no business to leave. */
function judgeMachine(machine: Fresh, before: readonly string[]): readonly string[] {
  const added = startLinks(machine.root).filter((link) => !before.includes(link));
  const sbin = readdirSync(join(machine.root, 'usr/sbin'));
  return [
    ...added.map((link) => `npm test left enabled: ${link}`),
    ...sbin.filter((name) => name.startsWith('policy-rc.d')).map((name) => `it left ${name}`),
  ];
}

function leftIn(output: string): readonly string[] {
  const lines = output.split('\n').filter((line) => line.startsWith(leftOver));
  return lines.map((line) => line.slice(leftOver.length));
}

/** Why tests were skipped, and how many of each. */
function skipsIn(output: string): ReadonlyMap<string, number> {
  const reasons = [...output.matchAll(/^\s*﹣ .*\) # (.+)$/gm)].map(([, reason]) => reason!);
  return new Map(reasons.map((r) => [r, reasons.filter((other) => other === r).length]));
}

const titleOf = ({ debian, as, npm }: Plan) =>
  `Debian ${debian} as ${as}${npm === null ? '' : ` with npm ${npm}`}`;

// ---------------------------------------------------------------- all of it

function chosen(): readonly Plan[] {
  const { debian, as, npm } = options;
  const asked = plans.filter(
    (plan) =>
      (debian === undefined || plan.debian === debian) &&
      (as === undefined || plan.as === as) &&
      (npm === undefined || (plan.npm ?? 'own') === npm),
  );
  if (asked.length > 0 || npm === undefined || debian === undefined) return asked;
  return [{ debian, as: as === 'user' ? 'user' : 'root', npm }];
}

async function main(): Promise<number> {
  const wanted = chosen();
  const isOdd = options.only !== undefined && options.only !== 'start';
  if (options.help || isOdd || wanted.length === 0 || wanted.some((p) => !codenames[p.debian])) {
    console.log(usage);
    return options.help ? 0 : 2;
  }
  const reason = absent();
  const settings = reason === null ? settingsHere() : null;
  if (settings === null) {
    say(`skipped: ${reason ?? 'apt uses no mirror of Debian here'}`);
    return 0;
  }
  if (ask('git', '-C', repository, 'status', '--porcelain') !== '') {
    say('what is not committed is not in the clones');
  }
  const folder = mkdtempSync(join(tmpdir(), 'detour-fresh-'));
  const clean = async () => {
    await Promise.all([...running].map(stop));
    if (options.keep) say(`kept: ${folder}`);
    // What was in the namespaces dies a moment after what has made them.
    else rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(name, () => void clean().finally(() => process.exit(1)));
  }
  try {
    return await performAll(wanted, folder, settings);
  } finally {
    await clean();
  }
}

/** Ends one that was started, and all that it has started. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

async function performAll(wanted: readonly Plan[], folder: string, here: Settings) {
  const wrong: string[] = [];
  for (const [i, plan] of wanted.entries()) {
    const base = join(folder, `debian-${plan.debian}`);
    if (!existsSync(base)) {
      const from = performance.now();
      await makeBase(plan.debian, base, here);
      const minutes = (performance.now() - from) / minute;
      const size = new Fresh(base, here).megabytes('/');
      say(`Debian ${plan.debian} made in ${minutes.toFixed(1)} min, ${size} MB`);
    }
    const root = join(folder, `machine-${i}`);
    // A root has devices, which only cp copies.
    const copied = await run(['cp', '--archive', base, root], { env: process.env, ms: endMs.make });
    if (copied.status !== 0) throw new Error(copied.output);
    const found = await perform(plan, new Fresh(root, here));
    for (const sentence of found) say(`${titleOf(plan)}: WRONG: ${sentence}`);
    wrong.push(...found);
    if (!options.keep) rmSync(root, { recursive: true, force: true });
  }
  say(wrong.length === 0 ? 'all of it held' : `${wrong.length} things are wrong`);
  return wrong.length === 0 ? 0 : 1;
}

process.exitCode = await main();
