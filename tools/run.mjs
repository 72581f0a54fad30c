// The one entry of every npm script. It makes a fresh clone ready (installs what package-lock.json
// names, finds Node 24, builds) and then does what was asked. It must run on any Node that can
// parse it, must never run the project itself on an older Node, and must never hide a failure.

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = join(root, 'node_modules', '.bin');
const wanted = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).engines.node.slice(2);

/** Runs one program to its end with this terminal; exits with its status when it fails. */
function run(command, args, options = {}) {
  const done = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (done.error) fail(`${command} could not be started: ${done.error.message}`);
  if (done.signal) fail(`${command} ended by ${done.signal}`);
  if (done.status !== 0 && !options.tolerate) process.exit(done.status ?? 1);
  return done;
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

/** Installs what the lock file names, once per content of the lock file. */
function install() {
  const lock = createHash('sha256').update(readFileSync(join(root, 'package-lock.json')));
  const stamp = join(root, 'node_modules', '.detour-lock');
  const want = lock.digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === want) return;
  console.error('detour: installing what package-lock.json names (once)');
  // npm writes its progress to stdout, where a program may be waiting for one line of JSON.
  run('npm', ['ci', '--no-audit', '--no-fund'], { stdio: ['ignore', 2, 2] });
  writeFileSync(stamp, want);
}

function isOld(version) {
  const [a, b] = [version.replace(/^v/, ''), wanted].map((v) => v.split('.').map(Number));
  for (let i = 0; i < 3; i++) if (a[i] !== b[i]) return a[i] < b[i];
  return false;
}

/** The Node to run on: the installed one where there is one, else this one if it is new enough. */
function findNode() {
  const own = join(bin, 'node');
  const node = existsSync(own) ? own : process.execPath;
  const version = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout?.trim() ?? '';
  if (!version || isOld(version)) {
    fail(
      `Node ${wanted} or newer is needed and ${node} is ${version || 'not runnable'}. ` +
        'Install Node 24 (nodejs.org) or, on Linux x64 or arm64, run `npm ci` with optional packages.',
    );
  }
  return node;
}

install();
const node = findNode();
process.env.PATH = `${bin}${delimiter}${dirname(node)}${delimiter}${process.env.PATH ?? ''}`;

const build = () => {
  run('tsc', ['-b', 'tsconfig.json']);
  if (existsSync(join(root, 'tools', 'assets.mjs'))) run(node, ['tools/assets.mjs']);
};
const [task, ...rest] = process.argv.slice(2);
switch (task) {
  case 'build':
    build();
    break;
  case 'start':
    build();
    become(node, ['dist/src/main.js', 'lab', ...rest]);
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
