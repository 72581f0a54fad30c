// The two commands of the README on machines that have never seen Detour: Debian roots made by
// debootstrap with nothing but git, nodejs and npm, a clean clone in them. It prints minutes and
// megabytes, and fails when a command does, or when `npm test` leaves something started or enabled.
// It must leave nothing behind: mounts and processes are in namespaces that end with it, files in one
// folder. Mirror and registry are this machine's own, and are told to the roots alone.

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
import {
  absent,
  ask,
  codenames,
  type Ended,
  enter,
  minute,
  run,
  type Settings,
  settingsHere,
  spaces,
  stopAll,
} from '../parts/debian.ts';
import { startLinks } from '../parts/packages.ts';

const repository = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

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

// ---------------------------------------------------------------- a machine

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
  const packed = await inClone(endMs.start, 'sh', '-c', fromPack);
  told('npm pack, and the lab from an empty folder', packed);
  wrong.push(...judgeDemo(packed.output));
  if (options.only === 'start') return wrong;
  const small = plan.npm === null ? [] : ['--', 'ready'];
  const links = startLinks(machine.root);
  const test = await inClone(endMs.test, 'npm', 'test', ...small);
  told(['npm test', ...small].join(' '), test);
  for (const [reason, count] of skipsIn(test.output)) say(`  skipped ${count}: ${reason}`);
  wrong.push(...judgeMachine(machine, links));
  return wrong;
}

/** What `npm pack` makes, installed in an empty folder without a script, and the lab from there. */
const fromPack = `
set -e
npm pack
mkdir ../empty
cd ../empty
npm install --ignore-scripts --omit=dev --no-audit --no-fund ../detour/detour-*.tgz
du -sm node_modules
# Debian's own Node is too old; npm has brought another, and an older npm no link to it.
PATH="$PWD/node_modules/node-linux-${process.arch}/bin:$PATH" node_modules/.bin/detour lab --demo
`;

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
    await stopAll();
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
