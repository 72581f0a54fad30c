// The Debian package on machines that have never seen Detour: roots made by debootstrap, without a
// network from the first step on. It builds the packages (twice: the same bytes), looks at them with
// lintian, and then installs, steers in the lab, upgrades, removes and purges; once in a bare root,
// once where systemd has booted and runs the unit. `npm run test:deb`; what this machine lacks is
// skipped by name. It leaves nothing behind.

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
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
  enter,
  minute,
  reporter,
  run,
  settingsHere,
  spaces,
  stopAll,
} from '../parts/debian.ts';
import { thisMachine } from '../parts/machine.ts';
import { type Part, prepare } from '../parts/packages.ts';

const repository = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const arch = process.arch === 'arm64' ? 'arm64' : 'amd64';
const other = arch === 'amd64' ? 'arm64' : 'amd64';
const version: string = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')).version;
const newer = version.replace(/\d+$/, (last) => String(Number(last) + 1));

const { values: options } = parseArgs({
  options: {
    debian: { type: 'string', default: '12' },
    keep: { type: 'boolean', default: false },
  },
});

const wanted: readonly Part[] = [
  { pkg: 'debootstrap', program: '/usr/sbin/debootstrap', purpose: 'clean Debians' },
  { pkg: 'systemd-container', program: '/usr/bin/systemd-nspawn', purpose: 'one that boots' },
  { pkg: 'lintian', program: '/usr/bin/lintian', purpose: 'what is wrong with a package' },
  { pkg: 'iproute2', program: '/usr/sbin/ip', purpose: 'a network of their own' },
];

const { wrong, say, judge, must } = reporter('deb');

async function build(out: string, release: string, which: string): Promise<string> {
  const how = ['--arch', which, '--release', release, '--level', '0', '--out', out] as const;
  const tool = join(repository, 'tools', 'deb.ts');
  await must(`built ${release} for ${which}`, [process.execPath, tool, ...how]);
  return join(out, `detour_${release}-1_${which}.deb`);
}

async function packages(folder: string): Promise<readonly [string, string]> {
  const one = await build(join(folder, 'one'), version, arch);
  const two = await build(join(folder, 'two'), version, arch);
  judge('built twice it is the same to the last byte', readFileSync(one).equals(readFileSync(two)));
  const foreign = await build(join(folder, 'one'), version, other);
  const tar = join(folder, 'other');
  await must(`unpacked for ${other}`, ['dpkg-deb', '--extract', foreign, tar]);
  const machine = readFileSync(join(tar, 'usr/lib/detour/bin/node')).readUInt16LE(18);
  judge(`its Node is of ${other}`, machine === { amd64: 0x3e, arm64: 0xb7 }[other]);
  rmSync(tar, { recursive: true });
  const next = await build(join(folder, 'one'), newer, arch);
  if (existsSync('/usr/bin/lintian')) {
    const looked = await run(['lintian', '--allow-root', '--fail-on', 'error', one], {
      env: process.env,
      ms: 15 * minute,
    });
    const errors = looked.output.split('\n').filter((line) => line.startsWith('E:'));
    for (const line of errors) say(`  ${line}`);
    judge('lintian finds no error', looked.status === 0 && errors.length === 0);
  } else say('skipped: lintian is not installed');
  return [one, next];
}

/** What a script in a root said; each line that says WRONG is a defect. */
function took(what: string, output: string, last: string): void {
  for (const line of output.split('\n')) if (line !== '') say(`  ${line}`);
  const count = output.match(/^ok: /gm)?.length ?? 0;
  for (const [, defect] of output.matchAll(/^WRONG: (.*)$/gm)) wrong.push(`${what}: ${defect}`);
  judge(`${what}: ${count} things held, and it came to its end`, output.includes(last));
}

const scripts = { bare: 'deb-chroot.sh', booted: 'deb-booted.sh' } as const;

/** A copy of the clean root with the packages and a script in it. */
async function rootFor(base: string, name: keyof typeof scripts, debs: readonly string[]) {
  const root = `${base}-${name}`;
  await must(`a root for ${name}`, ['cp', '--archive', base, root]);
  for (const file of [...debs, join(repository, 'test', 'long', scripts[name])]) {
    copyFileSync(file, join(root, 'root', file.split('/').at(-1)!));
  }
  const at = debs.map((file) => `/root/${file.split('/').at(-1)}`);
  return { root, argv: ['/bin/sh', `/root/${scripts[name]}`, ...at] };
}

async function bare(base: string, debs: readonly string[]): Promise<void> {
  const { root, argv } = await rootFor(base, 'bare', debs);
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', LANG: 'C.UTF-8', ROOT: root };
  const script = `ip link set lo up\n${enter}`;
  const done = await run(['unshare', ...spaces, '--net', 'sh', '-c', script, 'sh', ...argv], {
    env,
    ms: 15 * minute,
  });
  took('in a bare root', done.output, 'purge leaves no user');
  say(`in a bare root: ${done.minutes.toFixed(1)} min`);
}

/** A configuration that reaches nobody, with a check that hangs the loop where a file stands. */
function given(folder: string): void {
  const trap = join(folder, 'node_modules', 'detour-check-trap');
  mkdirSync(trap, { recursive: true });
  const about = { name: 'detour-check-trap', version: '1.0.0', type: 'module', main: 'index.js' };
  writeFileSync(join(trap, 'package.json'), JSON.stringify(about));
  writeFileSync(
    join(trap, 'index.js'),
    `import { existsSync } from 'node:fs';
import { z } from '/usr/lib/detour/dist/program/check.cjs';
const check = {
  settings: z.strictObject({}),
  impossible: (settings) => settings,
  pathProblem: () => null,
  create: () => ({
    ask: async () => {
      while (existsSync('/var/lib/detour/hang'));
      return { outcome: 'pass', reason: 'ok', detail: '', phases: {} };
    },
    close() {},
  }),
};
export default { contract: 1, check };
`,
  );
  const check = '{ web: { "npm:detour-check-trap": {} } }';
  writeFileSync(
    join(folder, 'detour.yaml'),
    `cluster: shop
clusterKey: { credential: cluster-key }
dns: { roots: ["127.0.0.1"], port: 9 }
providers:
  cf: { type: cloudflare, apiToken: { credential: cf-token }, zone: example.net,
        endpoint: "http://127.0.0.1:9/client/v4", nameservers: ["127.0.0.1:9"] }
origins:
  a: { cloud: east, checks: ${check} }
  b: { cloud: west, checks: ${check} }
records:
  www.example.net:
    publish: [cf]
    targets: [{ origin: a, cname: a.example.com }, { origin: b, cname: b.example.com }]
policy: { interval: 1s }
`,
  );
}

async function booted(base: string, debs: readonly string[]): Promise<void> {
  if (!existsSync('/usr/bin/systemd-nspawn'))
    return say('skipped: systemd-nspawn is not installed');
  const { root, argv } = await rootFor(base, 'booted', debs);
  mkdirSync(join(root, 'root/given'));
  given(join(root, 'root/given'));
  const unit = `[Service]
Type=oneshot
Environment=HOME=/root LANG=C.UTF-8
ExecStart=-${[...argv, '/root/given'].join(' ')}
ExecStopPost=/bin/sh -c 'systemctl --no-block poweroff 2> /dev/null'
StandardOutput=append:/root/said
StandardError=inherit
TimeoutStartSec=900
`;
  const units = join(root, 'etc/systemd/system');
  writeFileSync(join(units, 'try.service'), unit);
  mkdirSync(join(units, 'multi-user.target.wants'), { recursive: true });
  await must('the script is wanted', [
    'ln',
    '-s',
    '../try.service',
    join(units, 'multi-user.target.wants/'),
  ]);
  const how = ['--quiet', '--boot', '--private-network', '--register=no', '--keep-unit'] as const;
  const done = await run(['systemd-nspawn', ...how, '--console=pipe', `--directory=${root}`], {
    env: process.env,
    ms: 16 * minute,
  });
  const said = join(root, 'root/said');
  if (!existsSync(said)) {
    say(done.output.slice(-2000));
    return say('skipped: systemd does not boot in a container here');
  }
  took('under systemd', readFileSync(said, 'utf8'), 'all was tried');
  say(`under systemd: ${done.minutes.toFixed(1)} min`);
}

async function main(): Promise<number> {
  const codename = codenames[options.debian];
  if (codename === undefined) {
    console.log('npm run test:deb -- [--debian 12|13] [--keep]');
    return 2;
  }
  const missing = await prepare(wanted, thisMachine(10 * minute));
  for (const { pkg } of missing) say(`not installed: ${pkg}`);
  const reason =
    absent() ?? (ask('sh', '-c', 'command -v dpkg-deb') === null ? 'no dpkg-deb' : null);
  const here = reason === null ? settingsHere() : null;
  if (here === null) {
    say(`skipped: ${reason ?? 'apt uses no mirror of Debian here'}`);
    return process.env['CI'] ? 1 : 0;
  }
  const folder = mkdtempSync(join(tmpdir(), 'detour-deb-'));
  const clean = async () => {
    await stopAll();
    if (options.keep) say(`kept: ${folder}`);
    else rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(name, () => void clean().finally(() => process.exit(1)));
  }
  try {
    const debs = await packages(folder);
    const base = join(folder, 'debian');
    const how = ['--variant=minbase', '--include=systemd-sysv', codename, base, here.mirror];
    await must(
      `Debian ${options.debian}`,
      ['unshare', ...spaces, '--mount-proc', 'debootstrap', ...how],
      { ...process.env, ...here.env },
    );
    await bare(base, debs);
    await booted(base, debs);
  } finally {
    await clean();
  }
  say(
    wrong.length === 0 ? 'all of it held' : `${wrong.length} things are wrong: ${wrong.join('; ')}`,
  );
  return wrong.length === 0 ? 0 : 1;
}

process.exitCode = await main();
