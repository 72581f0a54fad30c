// The one entry of every npm script. It makes a fresh clone ready (installs what package-lock.json
// names, finds Node 24, builds) and then does what was asked. It must run on any Node that can
// parse it, must never run the project itself on an older Node, and must never hide a failure.

import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');
const bin = join(modules, '.bin');
const wanted = JSON.parse(fs.readFileSync(join(root, 'package.json'), 'utf8')).engines.node.slice(
  2,
);
const cure = '; remove the folder node_modules and run this once more';

/** Runs one program to its end with this terminal; exits with its status when it fails. */
function run(command, args, options = {}) {
  const done = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (done.error) {
    fail(`${command} could not be started: ${done.error.message}${command === 'npm' ? '' : cure}`);
  }
  if (done.signal) fail(`${command} ended by ${done.signal}`);
  if (done.status !== 0) process.exit(done.status ?? 1);
}

/** Runs one program with this terminal and hands every signal on to it; ends as it ends. */
function become(command, args) {
  const child = spawn(command, args, { cwd: root, stdio: 'inherit' });
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => child.kill(name));
  child.on('error', (error) => fail(`${command} could not be started: ${error.message}`));
  child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
}

function fail(sentence) {
  console.error(`detour: ${sentence}`);
  process.exit(1);
}

/**
 * Packages of the lock file that do not stand in node_modules as it says, with their programs.
 * What is for another machine may be there or not: each npm has its own mind about that.
 */
function wanting() {
  const lock = JSON.parse(fs.readFileSync(join(root, 'package-lock.json'), 'utf8'));
  return Object.entries(lock.packages)
    .filter(([path, entry]) => path !== '' && isForUs(entry) && !isForOthers(path, lock.packages))
    .filter(([path, { version, bin = {} }]) => {
      const folder = join(root, path);
      const programs = Object.values(bin).map((file) => join(folder, file));
      return versionIn(folder) !== version || !programs.every((file) => fs.existsSync(file));
    })
    .map(([path]) => path.replace(/^node_modules\//, ''));
}

function isForUs({ os, cpu, libc }) {
  const allows = (list, ours) => list === undefined || [list].flat().includes(ours);
  return (
    allows(os, process.platform) && allows(cpu, process.arch) && (!libc || allows(libc, libcOf()))
  );
}

/** What only packages for other machines depend on: npm installs it with them, or not at all. */
function isForOthers(path, packages, seen = new Set()) {
  if (!packages[path].optional || seen.has(path)) return false;
  seen.add(path);
  const name = path.replace(/^.*node_modules\//, '');
  const users = Object.entries(packages).filter(([, { dependencies, optionalDependencies }]) => {
    return Object.hasOwn({ ...dependencies, ...optionalDependencies }, name);
  });
  return (
    users.length > 0 &&
    users.every(([user, entry]) => !isForUs(entry) || isForOthers(user, packages, seen))
  );
}

function libcOf() {
  return process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl';
}

function versionIn(folder) {
  const file = join(folder, 'package.json');
  if (!fs.existsSync(file)) return 'absent';
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8')).version;
  } catch (error) {
    // Half a file is damage, which is what is asked here.
    return `unreadable: ${error.message}`;
  }
}

/** Installs what the lock file names, unless all of it stands there. */
function install() {
  const before = wanting();
  if (before.length === 0) return;
  console.error(
    fs.existsSync(modules)
      ? `detour: node_modules is not what package-lock.json names (${few(before)}); installing`
      : 'detour: installing what package-lock.json names (once; about half a gigabyte on disk)',
  );
  // npm writes its progress to stdout, where a program may be waiting for one line of JSON. Its
  // warnings are about packages that want a newer Node than npm runs on; they get Node 24 here.
  const all = ['--include=dev', '--include=optional', '--ignore-scripts'];
  const args = ['ci', ...all, '--no-audit', '--no-fund', '--loglevel=error'];
  run('npm', args, { stdio: ['ignore', 2, 2] });
  const after = wanting();
  if (after.length > 0) fail(`npm ci did not install ${few(after)}${cure}`);
}

function few(names) {
  return names.length > 3 ? `${names[0]} and ${names.length - 1} more` : names.join(', ');
}

function isOld(version) {
  const [a, b] = [version.replace(/^v/, ''), wanted].map((v) => v.split('.').map(Number));
  for (let i = 0; i < 3; i++) if (a[i] !== b[i]) return a[i] < b[i];
  return false;
}

/**
 * The Node to run on: the installed one where it runs, else this one if it is new enough. It is
 * looked for where its package puts it: npm before 11.6 throws its link in .bin away together with
 * the package for the other processor. The link is made here then, for the README's commands.
 */
function findNode() {
  const place = join(`node-${process.platform}-${process.arch}`, 'bin', 'node');
  const own = join(modules, place);
  const tried = [];
  for (const node of [own, process.execPath]) {
    const version = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout?.trim() ?? '';
    if (version && !isOld(version)) {
      linkNode(node === own ? join('..', place) : node);
      return node;
    }
    tried.push(`${node} is ${version || 'not runnable'}`);
  }
  return fail(
    `Node ${wanted} or newer is needed: ${tried.join(', ')}. Install Node 24 (nodejs.org) or, on ` +
      'Linux x64 or arm64, run `npm ci` with optional packages.',
  );
}

/** Makes node_modules/.bin/node where it is absent or leads nowhere; others may do so as well. */
function linkNode(target) {
  const link = join(bin, 'node');
  if (fs.existsSync(link)) return;
  fs.mkdirSync(bin, { recursive: true });
  const made = `${link}.${process.pid}`;
  fs.symlinkSync(target, made);
  fs.renameSync(made, link);
}

install();
const node = findNode();
process.env.PATH = `${bin}${delimiter}${dirname(node)}${delimiter}${process.env.PATH ?? ''}`;

/** Removes declarations of sources that are gone: nobody may import them, nobody may pack them. */
function sweep() {
  for (const folder of ['src', 'providers']) {
    const built = join(root, 'dist', folder);
    if (!fs.existsSync(built)) continue;
    for (const name of fs.readdirSync(built, { recursive: true })) {
      // Earlier builds left code here, too.
      const source = /\.js$/.test(name) ? '' : name.replace(/\.d\.ts$/, '.ts');
      if (source === name || (source !== '' && fs.existsSync(join(root, folder, source)))) continue;
      fs.rmSync(join(built, name));
    }
  }
}

const build = () => {
  run('tsc', ['-b', 'tsconfig.json']);
  if (fs.existsSync(join(root, 'src'))) run(node, ['tools/program.mjs']);
  if (fs.existsSync(join(root, 'web'))) {
    run('tsc', ['-p', 'web/tsconfig.json']);
    run(node, ['tools/web.mjs']);
  }
  sweep();
  if (fs.existsSync(join(root, 'tools', 'assets.mjs'))) run(node, ['tools/assets.mjs']);
};
const [task, ...rest] = process.argv.slice(2);
switch (task) {
  case 'build':
    build();
    break;
  case 'start':
    build();
    become(node, ['bin/detour.cjs', 'lab', ...rest]);
    break;
  case 'check':
    build();
    run('tsc', ['-p', 'test/tsconfig.json']);
    run('biome', ['check', '.']);
    break;
  case 'format':
    run('biome', ['check', '--write', '.']);
    break;
  case 'test':
    build();
    run(node, ['test/run.ts', ...rest]);
    break;
  case 'node':
    build();
    run(node, ['--expose-gc', ...rest]);
    break;
  default:
    fail(`unknown task ${task ?? '(none)'}; see the scripts in package.json`);
}
