// Debian roots for tests: what debootstrap needs to know of this machine, and programs that are run to
// their end in namespaces of their own. Mirror and proxy are this machine's, and are told to the roots
// alone. Whatever is started here ends with this process.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';

export const minute = 60_000;
export const codenames: Readonly<Record<string, string>> = { '12': 'bookworm', '13': 'trixie' };

/** They and all in them end with the program that makes them, also when that is killed. */
export const spaces = ['--mount', '--pid', '--fork', '--kill-child'];

// The root is made the whole of a mount namespace, not a chroot: in one of those the kernel allows no
// namespaces of users. Mounts and processes go with the namespaces, whatever ends them.
export const enter = `
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

export interface Settings {
  /** Folder of Debian's packages, and of its security updates where this machine has them. */
  readonly mirror: string;
  readonly security: string | null;
  /** Lines for apt.conf. */
  readonly apt: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Files that the settings name, by path. */
  readonly files: readonly string[];
}

export function ask(program: string, ...args: readonly string[]): string | null {
  const done = spawnSync(program, args, { encoding: 'utf8', timeout: minute });
  return done.status === 0 ? done.stdout.trim() : null;
}

/** Why it cannot be done here; null when it can. */
export function absent(): string | null {
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

export function settingsHere(): Settings | null {
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

/** Started and not yet over; they end with this process. */
const running = new Set<ChildProcess>();

export interface Ended {
  readonly status: number;
  readonly output: string;
  readonly minutes: number;
}

/** Runs one program to its end, or to the end of its time; `loud` shows what it says. */
export async function run(
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

/** Ends one that was started, and all that it has started. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

/** Ends all that still runs. */
export async function stopAll(): Promise<void> {
  await Promise.all([...running].map(stop));
}

/** What a long test says and finds wrong, under one name. */
export function reporter(name: string) {
  const wrong: string[] = [];
  const say = (sentence: string) => console.log(`${name}: ${sentence}`);
  return {
    wrong,
    say,
    judge(what: string, holds: boolean): void {
      say(`${holds ? 'ok' : 'WRONG'}: ${what}`);
      if (!holds) wrong.push(what);
    },
    /** Runs what may take long, and says how long it took; throws what was said when it fails. */
    async must(what: string, argv: readonly [string, ...string[]], env = process.env) {
      const done = await run(argv, { env, ms: 20 * minute });
      if (done.status !== 0) throw new Error(`${what}:\n${done.output.slice(-4000)}`);
      say(`${what}: ${done.minutes.toFixed(1)} min`);
      return done.output;
    },
  };
}
