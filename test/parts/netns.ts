// A network that a test may break: two namespaces of its own with a cable between them, `near` for
// Detour and `far` for the rest of the world. Only addresses for documentation are used (RFC 5737),
// and only inside. Root makes it with iproute2; whatever happens to the test, namespaces and what
// runs in them are gone afterwards, at the latest when the next test begins.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { stopChild } from './program.ts';

const ip = '/usr/sbin/ip';
const nft = '/usr/sbin/nft';
const prefix = 'detour-';
const uplink = 'up0';
const nearAddress = '192.0.2.2';
const farAddress = '192.0.2.1';

export interface Wan {
  /** A program on Detour's side. It is stopped with the network. */
  near(argv: readonly string[], env?: NodeJS.ProcessEnv): ChildProcess;
  /** A program on the world's side. */
  far(argv: readonly string[]): ChildProcess;
  /** Takes Detour's own uplink down: no interface, no route. */
  cut(): void;
  /** Pulls the cable at the other end: the route stands, nothing comes back. */
  unplug(): void;
  /** Puts the cable, the interface and the route back. */
  mend(): void;
  /** The world's side drops everything for these addresses without a word. */
  blackHole(addresses: readonly string[]): void;
  /** Has these addresses on the world's side, also after a black hole. */
  serve(addresses: readonly string[]): void;
  /** Loses so many packets of a hundred, in each direction; 0 none. */
  lose(percent: number): void;
  /** Holds every packet of Detour's side back for so long; 0 not at all. */
  delay(ms: number): void;
  close(): Promise<void>;
}

/** Why namespaces cannot be used here; false: they can. With CI set, root is enough to insist. */
export const withoutNetns: string | false = (() => {
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  if (process.env['CI']) return false;
  if (!existsSync(ip)) return 'iproute2 is not installed';
  return canMake() ? false : 'this machine allows no network namespaces';
})();

const netem = withoutNetns === false && hasNetem();

/** Why packets cannot be delayed here; false: they can. */
export const withoutDelay: string | false =
  withoutNetns || (netem ? false : 'this kernel has no netem, so nothing can delay packets');

/** Why packets cannot be lost here; false: they can, by netem or by a rule of nftables. */
export const withoutLoss: string | false =
  withoutNetns ||
  (netem || existsSync(nft) ? false : 'this kernel has no netem, and nftables is not installed');

/** Makes the network; the world's side has these addresses. Throws with what iproute2 says. */
export function openWan(addresses: readonly string[]): Wan {
  sweep();
  const tag = `${prefix}${process.pid}-${randomBytes(3).toString('hex')}`;
  const [near, far] = [`${tag}-near`, `${tag}-far`];
  const children: ChildProcess[] = [];
  const gone = () => removeAll([near, far]);
  process.once('exit', gone);
  try {
    for (const name of [near, far]) {
      run(ip, ['netns', 'add', name]);
      run(ip, ['-n', name, 'link', 'set', 'lo', 'up']);
    }
    const cable = ['link', 'add', uplink, 'type', 'veth', 'peer', 'name', uplink, 'netns', far];
    run(ip, ['-n', near, ...cable]);
    run(ip, ['-n', near, 'address', 'add', `${nearAddress}/30`, 'dev', uplink]);
    run(ip, ['-n', far, 'address', 'add', `${farAddress}/30`, 'dev', uplink]);
    run(ip, ['-n', far, 'link', 'set', uplink, 'up']);
    connect(near);
    serve(far, addresses);
  } catch (error) {
    gone();
    throw error;
  }
  const start = (name: string, argv: readonly string[], env?: NodeJS.ProcessEnv) => {
    const child = spawn(ip, ['netns', 'exec', name, ...argv], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    children.push(child);
    return child;
  };
  return {
    near: (argv, env) => start(near, argv, env),
    far: (argv) => start(far, argv),
    cut: () => run(ip, ['-n', near, 'link', 'set', uplink, 'down']),
    unplug: () => run(ip, ['-n', far, 'link', 'set', uplink, 'down']),
    mend: () => {
      run(ip, ['-n', far, 'link', 'set', uplink, 'up']);
      connect(near);
    },
    blackHole: (which) => {
      // What is no address of the far side is dropped there: it does not forward.
      for (const a of which) run(ip, ['-n', far, 'address', 'del', `${a}/32`, 'dev', 'lo']);
    },
    serve: (which) => serve(far, which),
    lose: (percent) => {
      for (const name of [near, far]) lose(name, percent);
    },
    delay: (ms) => shape(near, ms === 0 ? [] : ['delay', `${ms}ms`]),
    close: async () => {
      await Promise.all(children.map((child) => stopChild(child)));
      gone();
      process.removeListener('exit', gone);
      await settled([near, far]);
    },
  };
}

// ---------------------------------------------------------------- what it is made of

function run(command: string, argv: readonly string[]): void {
  const done = spawnSync(command, argv, { encoding: 'utf8', timeout: 10_000 });
  if (done.status === 0) return;
  const why = done.error?.message ?? done.stderr.trim();
  throw new Error(`${command} ${argv.join(' ')}: ${why}`);
}

function works(command: string, argv: readonly string[]): boolean {
  return spawnSync(command, argv, { stdio: 'ignore', timeout: 10_000 }).status === 0;
}

/** An interface that goes down takes its routes with it. */
function connect(near: string): void {
  run(ip, ['-n', near, 'link', 'set', uplink, 'up']);
  run(ip, ['-n', near, 'route', 'replace', 'default', 'via', farAddress]);
}

function serve(far: string, addresses: readonly string[]): void {
  for (const a of addresses) run(ip, ['-n', far, 'address', 'replace', `${a}/32`, 'dev', 'lo']);
}

function lose(name: string, percent: number): void {
  if (netem) {
    shape(name, percent === 0 ? [] : ['loss', `${percent}%`]);
    return;
  }
  works(ip, ['netns', 'exec', name, nft, 'delete', 'table', 'inet', 'lossy']);
  if (percent === 0) return;
  const rule = `oifname "${uplink}" numgen random mod 100 < ${percent} drop`;
  const chain = `chain out {\n type filter hook output priority 0\n ${rule}\n }`;
  run(ip, ['netns', 'exec', name, nft, `table inet lossy {\n ${chain}\n }\n`]);
}

function shape(name: string, how: readonly string[]): void {
  const tc = (...words: readonly string[]) => ['netns', 'exec', name, 'tc', 'qdisc', ...words];
  if (how.length > 0) run(ip, tc('replace', 'dev', uplink, 'root', 'netem', ...how));
  else works(ip, tc('del', 'dev', uplink, 'root'));
}

function canMake(): boolean {
  const name = `${prefix}${process.pid}-try`;
  const made = works(ip, ['netns', 'add', name]);
  const usable = made && works(ip, ['netns', 'exec', name, 'true']);
  if (made) removeAll([name]);
  return usable;
}

function hasNetem(): boolean {
  const name = `${prefix}${process.pid}-netem`;
  const inside = (...words: readonly string[]) => works(ip, ['netns', 'exec', name, ...words]);
  try {
    return (
      works(ip, ['netns', 'add', name]) &&
      inside('tc', 'qdisc', 'add', 'dev', 'lo', 'root', 'netem', 'delay', '1ms')
    );
  } finally {
    removeAll([name]);
  }
}

function names(): readonly string[] {
  const listed = spawnSync(ip, ['netns', 'list'], { encoding: 'utf8', timeout: 10_000 });
  return (listed.stdout ?? '').split('\n').map((line) => line.split(' ')[0]!);
}

/** Ends what still runs in namespaces of ours, and removes them; those that are gone are fine. */
function removeAll(which: readonly string[]): void {
  const there = new Set(names());
  for (const name of which) {
    if (!there.has(name)) continue;
    for (const pid of inside(name)) kill(pid);
    run(ip, ['netns', 'del', name]);
  }
}

function inside(name: string): readonly number[] {
  const { stdout } = spawnSync(ip, ['netns', 'pids', name], { encoding: 'utf8', timeout: 10_000 });
  return (stdout ?? '')
    .split('\n')
    .map(Number)
    .filter((pid) => pid > 1 && pid !== process.pid);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // It has ended by itself in the meantime.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Waits until the namespaces are really off the list. */
async function settled(which: readonly string[]): Promise<void> {
  for (let i = 0; i < 100; i++) {
    if (!names().some((name) => which.includes(name))) return;
    await pause(20);
  }
  throw new Error(`namespaces are still there: ${which.join(', ')}`);
}

/** Removes what a test that was killed has left: the number in the name is its process. */
function sweep(): void {
  const left = names().filter((name) => {
    const pid = Number(new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1] ?? 0);
    return pid > 0 && !existsSync(`/proc/${pid}`);
  });
  removeAll(left);
}
