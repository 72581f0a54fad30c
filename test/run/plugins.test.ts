// Packages that a configuration names: what is loaded, from where, by which command, and how each
// that cannot be used is refused, by line. The packages are real ones on the disk, in a folder that
// nobody else may write.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { stringify } from 'yaml';
import type { Notice } from '../../src/core/model.ts';
import { buildAdapters, ConfigError, type Loaded, loadConfig } from '../../src/run/build.ts';
import { createClock } from '../../src/run/clock.ts';
import { settled } from '../parts/hand-clock.ts';
import { main } from '../parts/program.ts';
import { isSafe, safeFolder, unsafe } from '../parts/safe.ts';

const us = process.getuid!();
const root = dirname(dirname(dirname(main)));

const first = safeFolder('plugins');
const skip = first === null && unsafe;

const made: string[] = first === null ? [] : [first];
after(() => {
  for (const folder of made) rmSync(folder, { recursive: true, force: true });
});

function folder(path = safeFolder('plugins')!): string {
  made.push(path);
  return path;
}

/** A provider in one piece, for others to be broken from. */
const provider = `{
  settings: z.strictObject({ token: secretRef }),
  capabilities: {
    type: 'x', readMax: 5, writeMax: 5, callsMax: 10,
    quota: { burst: 10, perSecond: 1, reserve: 1 },
  },
  create: (name, settings, context) => {
    context.secret(settings.token);
    return { name, zone() {}, read() {}, write() {}, preflight() {}, close() {} };
  },
}`;

const check = `{
  settings: z.strictObject({ host: z.string() }),
  impossible: (settings) => settings,
  pathProblem: (path) => path.kind === 'direct' ? null : 'it leaves by no proxy: give it other paths',
  create: (settings) => ({
    ask: async () => ({ outcome: 'pass', reason: 'ok', detail: settings.host, phases: {} }),
    close() {},
  }),
}`;

const notifier = `{
  settings: z.strictObject({ room: z.string() }),
  create: ({ room }) => ({ notify: async (notice) => void globalThis.told.push(room + notice.key) }),
}`;

const door = new URL('../../providers/kit/index.ts', import.meta.url).href;

const source = (extension: string) =>
  `import { secretRef, z } from '${door}';\nexport default ${extension};\n`;

const whole = source(
  `{ contract: 1, provider: ${provider}, check: ${check}, notifier: ${notifier} }`,
);

/** A package in the node_modules of a folder. */
function install(
  beside: string,
  files: Readonly<Record<string, string>> = {},
  name = 'detour-x',
): string {
  const home = join(beside, 'node_modules', name);
  const all = {
    'package.json': JSON.stringify({ name, type: 'module', exports: './index.js' }),
    'index.js': whole,
    ...files,
  };
  for (const [file, text] of Object.entries(all)) {
    mkdirSync(dirname(join(home, file)), { recursive: true, mode: 0o755 });
    writeFileSync(join(home, file), text, { mode: 0o644 });
  }
  return home;
}

interface Given {
  readonly type?: string;
  readonly settings?: object;
  readonly check?: object;
  readonly paths?: object;
  readonly notify?: object;
}

/** A configuration whose one provider is of this type; by default the package's. */
function configure(beside: string, given: Given = {}): string {
  const path = join(beside, 'detour.yaml');
  const web = given.check ?? { http: 'https://a.example.com/' };
  const text = stringify({
    cluster: 'shop',
    stateDir: join(beside, 'state'),
    providers: {
      x: { type: given.type ?? 'npm:detour-x', ...(given.settings ?? { token: { env: 'PATH' } }) },
    },
    ...(given.notify === undefined ? {} : { notify: given.notify }),
    ...(given.paths === undefined ? {} : { paths: given.paths }),
    origins: { a: { cloud: 'east', checks: { web } } },
    records: {
      'www.example.net': { publish: ['x'], targets: [{ origin: 'a', cname: 'a.example.com' }] },
    },
  });
  writeFileSync(path, text);
  return path;
}

async function refusalOf(work: Promise<unknown>): Promise<readonly string[]> {
  const error = await work.then(
    () => assert.fail('it was accepted'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof ConfigError, String(error));
  return error.problems;
}

/** The one problem of the type's own line. */
async function refused(path: string): Promise<string> {
  const problems = await refusalOf(loadConfig(path));
  assert.equal(problems.length, 1, problems.join('\n'));
  assert.match(problems[0]!, /detour\.yaml:5:11 {2}providers\.x\.type: npm:detour-x /);
  return problems[0]!;
}

const laneOf = ({ config }: Loaded) => config.core.lanes['x'];

describe('packages that a configuration names', { skip }, () => {
  test('one beside the configuration brings its provider and its check', async () => {
    const here = folder();
    install(here);
    const path = configure(here, { check: { 'npm:detour-x': { host: 'h' }, interval: '1s' } });
    const loaded = await loadConfig(path);
    assert.equal(laneOf(loaded)?.type, 'npm:detour-x');
    assert.equal(laneOf(loaded)?.readMax, 5);
    assert.deepEqual(loaded.config.probes['a/web']?.settings, { host: 'h' });
    assert.ok(loaded.warnings.every((warning) => !warning.includes('npm:')));
    const built = buildAdapters(loaded.config, createClock(0), { remember: false });
    assert.equal(built.providers['x']?.name, 'x');
    const signal = new AbortController().signal;
    const probed = await built.prober.probe('a/web', 'direct', signal);
    assert.deepEqual([probed.outcome, probed.detail], ['pass', 'h']);
    for (const one of [built.prober, built.verifier, ...Object.values(built.providers)])
      one.close();
  });

  test('its channel is told, where it stands under notify', async () => {
    const here = folder();
    install(here);
    const path = configure(here, { notify: { 'npm:detour-x': { room: 'ops/' } } });
    const { config } = await loadConfig(path);
    assert.deepEqual(config.notify, { type: 'npm:detour-x', settings: { room: 'ops/' } });
    const told: string[] = [];
    Object.assign(globalThis, { told });
    const built = buildAdapters(config, createClock(0), { remember: false });
    const notice = {
      kind: 'switch',
      key: 'k',
      state: 'news',
      severity: 'info',
      record: null,
      sentence: '',
      data: {},
    };
    await built.notifier!.notify(notice as Notice, new AbortController().signal);
    await settled();
    assert.deepEqual(told, ['ops/k']);
    for (const one of [built.prober, built.verifier, ...Object.values(built.providers)])
      one.close();
    const wrong = configure(here, { notify: { 'npm:detour-x': { room: 7 }, timeout: '1s' } });
    const text = (await refusalOf(loadConfig(wrong))).join('\n');
    assert.match(text, /notify\."npm:detour-x"\.room: expected a text, got a number/);
    assert.match(text, /notify\.timeout: unknown key/);
  });

  test('one beside Detour is found, in a scope too, and the one beside the file comes first', {
    skip: !isSafe(join(root, 'node_modules')) && 'this checkout may be written by others',
  }, async () => {
    const name = `@detour-test/x-${process.pid}`;
    const home = install(root, {}, name);
    made.push(dirname(home));
    const here = folder();
    const path = configure(here, { type: `npm:${name}` });
    assert.equal(laneOf(await loadConfig(path))?.readMax, 5);
    install(here, { 'index.js': whole.replace('readMax: 5', 'readMax: 7') }, name);
    assert.equal(laneOf(await loadConfig(path))?.readMax, 7);
  });

  for (const [what, manifest, file] of [
    ['main', { main: 'lib/x.js', type: 'module' }, 'lib/x.js'],
    ['no entry named', { type: 'module' }, 'index.js'],
    ['conditions', { type: 'module', exports: { types: './t', import: './x.js' } }, 'x.js'],
    ['paths', { type: 'module', exports: { '.': { default: './x.js' }, './y': './y.js' } }, 'x.js'],
  ] as const) {
    test(`the entry is the one that Node would import: ${what}`, async () => {
      const here = folder();
      install(here, {
        'package.json': JSON.stringify(manifest),
        'index.js': 'export default 1;',
        [file]: whole,
      });
      assert.equal(laneOf(await loadConfig(configure(here)))?.readMax, 5);
    });
  }

  // -------------------------------------------------------------- refused

  test('one that is nowhere is refused with both places', async () => {
    const here = folder();
    const problem = await refused(configure(here));
    assert.match(problem, /is not installed: npm install it beside the configuration/);
    assert.ok(problem.includes(`(in ${here})`) && problem.includes(`(in ${root})`), problem);
  });

  const breaks: readonly (readonly [what: string, index: string, says: RegExp])[] = [
    [
      'another contract',
      source(`{ contract: 2, provider: ${provider} }`),
      /written for contract 2/,
    ],
    ['no contract', source(`{ provider: ${provider} }`), /for no contract and this Detour has 1/],
    ['no default export', 'export const provider = {};', /exports no extension as its default/],
    ['no provider', source(`{ contract: 1, check: ${check} }`), /has no provider/],
    [
      'a provider without create',
      source(`{ contract: 1, provider: { ...${provider}, create: undefined } }`),
      /provider\.create: expected a function/,
    ],
    [
      'a reading of no records',
      source(`{ contract: 1, provider: ${provider} }`).replace('readMax: 5', 'readMax: 0'),
      /provider\.capabilities\.readMax: /,
    ],
    [
      'settings that are no schema',
      source(`{ contract: 1, provider: { ...${provider}, settings: {} } }`),
      /provider\.settings: expected a schema of zod 4/,
    ],
    ['a throw', `throw new TypeError('the key is hunter2');`, /throws TypeError; look at it/],
    ['a throw of nothing', 'throw undefined;', /throws what is no error/],
    ['what cannot be found', `import 'detour-absent';`, /throws ERR_MODULE_NOT_FOUND/],
    ['what cannot be read', 'export default {{{', /throws SyntaxError/],
  ];
  for (const [what, index, says] of breaks) {
    test(`refused: ${what}`, async () => {
      const here = folder();
      install(here, { 'index.js': index });
      const problem = await refused(configure(here));
      assert.match(problem, says);
      assert.ok(!problem.includes('hunter2'), 'what it throws may hold a secret');
    });
  }

  test('refused: one that never ends loading', async (t) => {
    const here = folder();
    install(here, { 'index.js': 'await new Promise(() => {});' });
    const path = configure(here);
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const problem = refused(path);
    // Its deadline is set within the same turn; the file system is read synchronously.
    t.mock.timers.tick(10_000);
    assert.match(await problem, /did not load within 10 s/);
  });

  test('refused: an entry that is not there, or outside the package', async () => {
    for (const exports of ['./absent.js', './../../detour.yaml', null, '.', { browser: './x' }]) {
      const here = folder();
      install(here, { 'package.json': JSON.stringify({ exports }) });
      assert.match(await refused(configure(here)), /names no file of its own to import/);
    }
  });

  test('refused: a package.json that is none', async () => {
    for (const text of ['', '[]', 'null', '{']) {
      const here = folder();
      install(here, { 'package.json': text });
      assert.match(await refused(configure(here)), /has a package.json that is no JSON object/);
    }
  });

  for (const [what, path, mode] of [
    ['the folder of the configuration', '.', 0o777],
    ['node_modules', 'node_modules', 0o775],
    ['node_modules, sticky as /tmp is', 'node_modules', 0o1777],
    ['the package', 'node_modules/detour-x', 0o757],
    ['a folder in it', 'node_modules/detour-x/lib', 0o770],
    ['its entry', 'node_modules/detour-x/lib/x.js', 0o646],
    ['its package.json', 'node_modules/detour-x/package.json', 0o664],
  ] as const) {
    test(`refused: others may write ${what}`, async () => {
      const here = folder();
      const manifest = JSON.stringify({ type: 'module', exports: './lib/x.js' });
      install(here, { 'package.json': manifest, 'lib/x.js': whole });
      const file = configure(here);
      assert.equal(laneOf(await loadConfig(file))?.readMax, 5, 'it is good before');
      chmodSync(join(here, path), mode);
      const problem = await refused(file);
      assert.match(problem, /is not loaded, because others could have changed it/);
      assert.ok(problem.endsWith(`chmod go-w ${join(here, path)}`), problem);
    });
  }

  test('refused: others may write where a link leads, or where it lies on the way', async () => {
    const open = folder(mkdtempSync(join(tmpdir(), 'detour-plugins-')));
    chmodSync(open, 0o755);
    const far = install(open);
    const here = folder();
    mkdirSync(join(here, 'node_modules'));
    symlinkSync(far, join(here, 'node_modules', 'detour-x'));
    assert.match(await refused(configure(here)), /chmod go-w \/tmp$/);
    // Back into a safe folder, over a link that lies in one that is not.
    const back = folder();
    symlinkSync(join(back, 'node_modules', 'detour-x'), join(open, 'hop'));
    install(back);
    rmSync(join(here, 'node_modules', 'detour-x'));
    symlinkSync(join(open, 'hop'), join(here, 'node_modules', 'detour-x'));
    assert.match(await refused(configure(here)), /chmod go-w \/tmp$/);
    rmSync(join(here, 'node_modules', 'detour-x'));
    symlinkSync(join(back, 'node_modules', 'detour-x'), join(here, 'node_modules', 'detour-x'));
    assert.equal(laneOf(await loadConfig(configure(here)))?.readMax, 5, 'a safe link is followed');
  });

  test('refused: links that lead round', async () => {
    const here = folder();
    mkdirSync(join(here, 'node_modules', 'detour-x'), { recursive: true });
    const file = join(here, 'node_modules', 'detour-x', 'package.json');
    symlinkSync(file, file);
    assert.match(await refused(configure(here)), /too many links/);
  });

  const notRoot = us !== 0 && 'only root can give a file away';
  test('refused: it belongs to somebody else', { skip: notRoot }, async () => {
    const here = folder();
    const home = install(here);
    chownSync(home, 65_534, 65_534);
    assert.match(await refused(configure(here)), /belongs to user 65534; give it to root/);
  });

  // -------------------------------------------------------------- settings, rows

  test('its settings are read by its own schema, and no value is quoted', async () => {
    const here = folder();
    install(here);
    const problems = await refusalOf(
      loadConfig(
        configure(here, {
          settings: { token: 'hunter2', spare: 1 },
          check: { 'npm:detour-x': { host: 7 } },
        }),
      ),
    );
    const text = problems.join('\n');
    assert.match(text, /:6:\d+ {2}providers\.x\.token: expected exactly one of \{ env: NAME \}/);
    assert.match(text, /:7:\d+ {2}providers\.x\.spare: unknown key/);
    assert.match(text, /origins\.a\.checks\.web\."npm:detour-x"\.host: expected text|a text/);
    assert.ok(!text.includes('hunter2'));
  });

  test('code of a package that throws where nothing may is told, and nothing of what it says', async () => {
    const here = folder();
    const boom = `(() => { throw new RangeError('hunter2'); })`;
    const broken = source(`{ contract: 1,
      provider: { ...${provider}, settings: z.unknown().transform(${boom}) },
      check: { ...${check}, pathProblem: ${boom} } }`);
    install(here, { 'index.js': broken });
    const path = configure(here, { check: { 'npm:detour-x': { host: 'h' } } });
    const text = (await refusalOf(loadConfig(path))).join('\n');
    assert.match(text, /providers\.x: npm:detour-x throws RangeError in settings/);
    assert.match(text, /npm:detour-x throws RangeError in pathProblem/);
    assert.ok(!text.includes('hunter2'));
  });

  test('a provider that cannot be made is a problem of the configuration', async () => {
    for (const [create, says] of [
      [`() => { throw new RangeError('hunter2'); }`, /x: npm:detour-x throws RangeError in create/],
      ['() => ({})', /throws ZodError in create/],
    ] as const) {
      const here = folder();
      install(here, {
        'index.js': source(`{ contract: 1, provider: { ...${provider}, create: ${create} } }`),
      });
      const { config } = await loadConfig(configure(here));
      const build = async () => buildAdapters(config, createClock(0), { remember: false });
      const text = (await refusalOf(build())).join('\n');
      assert.match(text, says);
      assert.ok(!text.includes('hunter2'));
    }
  });

  test('a path that its check cannot leave by is refused as for any other check', async () => {
    const here = folder();
    install(here);
    const path = configure(here, {
      check: { 'npm:detour-x': { host: 'h' } },
      paths: { far: { proxy: 'http://192.0.2.1:3128' } },
    });
    const text = (await refusalOf(loadConfig(path))).join('\n');
    assert.match(text, /cannot be asked by the path far: it leaves by no proxy/);
  });

  // -------------------------------------------------------------- who loads

  /** A package that leaves a file behind when it is loaded. */
  function telltale(): { readonly path: string; readonly loaded: () => boolean } {
    const here = folder();
    const trace = join(here, 'loaded');
    const tell = `import { writeFileSync } from 'node:fs';\nwriteFileSync('${trace}', '');\n`;
    const built = new URL('../../dist/program/provider.cjs', import.meta.url).href;
    install(here, { 'index.js': tell + whole.replace(door, built) });
    return { path: configure(here), loaded: () => existsSync(trace) };
  }

  const detour = (...argv: readonly string[]) =>
    spawnSync(process.execPath, [main, ...argv], { encoding: 'utf8', timeout: 60_000 });

  const unbuilt = !existsSync(main) && 'nothing is built';

  test('validate knows a package by its name, and says so; with --plugins it loads it', {
    skip: unbuilt,
  }, () => {
    const { path, loaded } = telltale();
    const plain = detour('validate', '-c', path);
    assert.equal(plain.status, 0, plain.stderr);
    assert.match(plain.stdout, /warning: .*detour\.yaml:5:11 .*npm:detour-x is known by its name/);
    assert.match(plain.stdout, /its settings were not read \(validate --plugins does\)/);
    assert.equal(loaded(), false);
    const full = detour('validate', '-c', path, '--plugins');
    assert.equal(full.status, 0, full.stdout);
    assert.doesNotMatch(full.stdout, /npm:/);
    assert.equal(loaded(), true);
  });

  test('commands that look or explain load no package', { skip: unbuilt }, () => {
    const { path, loaded } = telltale();
    const socket = join(dirname(path), 'no.sock');
    for (const argv of [
      ...[['status'], ['history'], ['explain', 'e1'], ['reload']].map((c) => [
        ...c,
        '--socket',
        socket,
      ]),
      ['--help'],
      ['run', '--help'],
      ['validate', '--json-schema'],
    ]) {
      detour(...argv);
      assert.equal(loaded(), false, argv.join(' '));
    }
    const probed = detour('probe', '-c', path);
    assert.equal(loaded(), true, `the others do: ${probed.stderr}`);
  });
});
