// A stranger's package, from an unbuilt clone to a record that moves: Detour is packed, installed by
// npm in a folder outside this tree, and a provider that knows nothing of this tree is compiled
// there against the packed declarations, passes the conformance suite, and is named by a
// configuration. The vendor's API is the package's own fake of it; nothing but npm's registry is
// asked.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Answer } from 'dns-packet';
import { type Respond, rr, startNameservers } from '../parts/nameserver.ts';
import { cnameAt, collect, stopChild, until } from '../parts/program.ts';
import { safeFolder, unsafe } from '../parts/safe.ts';
import { FakeDnsimple } from './detour-provider-dnsimple/fake.ts';

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(dirname(here));
const tsc = join(root, 'node_modules', '.bin', 'tsc');
/** Minutes that npm may take on a slow line. */
const slowMs = 240_000;

const npmOptions = [
  ...['--no-audit', '--no-fund', '--no-save', '--prefer-offline', '--omit=optional'],
  ...['--fetch-retries=1', '--fetch-timeout=60000'],
];

/** What a clone holds that a pack is made of; no build, no tests. */
const cloned = [
  ...['.npmrc', 'LICENSE', 'README.md', 'bin', 'deploy', 'package-lock.json', 'package.json'],
  ...['providers', 'src', 'tools', 'tsconfig.json'],
];

interface Done {
  readonly status: number | null;
  readonly out: string;
}

function run(cwd: string, command: string, ...args: readonly string[]): Done {
  // Else a test runner that is started here takes itself for a part of this one, and runs nothing.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const done = spawnSync(command, args, { cwd, encoding: 'utf8', timeout: slowMs, env });
  if (done.error) throw done.error;
  return { status: done.status, out: done.stdout + done.stderr };
}

function well(done: Done): string {
  assert.equal(done.status, 0, done.out);
  return done.out;
}

const folder = safeFolder('extension', 'outside');
after(() => {
  if (folder !== null) rmSync(folder, { recursive: true, force: true });
});

describe('a package of somebody else', { skip: folder === null && unsafe }, () => {
  const clone = join(folder!, 'clone');
  const theirs = join(folder!, 'detour-provider-dnsimple');
  /** Who runs Detour: a folder with nothing in it but what npm installs and one configuration. */
  const operators = join(folder!, 'operator');
  let tarball = '';
  /** Why there is no installation to go on with; null: there is one. */
  let missing: string | null = 'nothing was installed';

  before(() => {
    mkdirSync(clone);
    for (const path of cloned.filter((name) => existsSync(join(root, name)))) {
      cpSync(join(root, path), join(clone, path), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'));
    cpSync(join(here, 'detour-provider-dnsimple'), theirs, { recursive: true });
  });

  test('an unbuilt clone packs the built program, its declarations, and nothing else', () => {
    well(run(clone, 'npm', 'pack', '--pack-destination', folder!));
    const { name, version, bin, exports, files } = manifest(clone);
    tarball = join(folder!, `${name}-${version}.tgz`);
    const held = well(run(folder!, 'tar', 'tzf', tarball))
      .trim()
      .split('\n');
    const packed = held.map((path) => path.replace(/^package\//, ''));
    const allowed = [...files, 'LICENSE', 'README.md', 'package.json'];
    const odd = packed.filter(
      (path) => !allowed.some((a) => path === a || path.startsWith(`${a}/`)),
    );
    assert.deepEqual(odd, []);
    const sources = packed.filter((path) =>
      /(?<!\.d)\.ts$|\.test\.|tsbuildinfo|^test\//.test(path),
    );
    assert.deepEqual(sources, []);
    const targets = Object.values(exports).flatMap((to) =>
      typeof to === 'string' ? [to] : Object.values(to),
    );
    for (const path of [...targets.map((to) => to.slice(2)), ...Object.values(bin)]) {
      assert.ok(packed.includes(path), `${path} is packed`);
    }
    assert.ok(packed.some((path) => path.startsWith('deploy/systemd/')));
  });

  test('npm installs it, and the provider compiles against the packed declarations', (t) => {
    const begun = performance.now();
    const done = run(theirs, 'npm', 'install', ...npmOptions, tarball);
    const isAway = /E(NOTFOUND|CONNREFUSED|CONNRESET|AI_AGAIN|TIMEDOUT)|ENETUNREACH/.test(done.out);
    if (done.status !== 0 && isAway) {
      missing = "npm's registry is not reached";
      assert.ok(!process.env['CI'], missing);
      return t.skip(missing);
    }
    well(done);
    t.diagnostic(`npm install: ${Math.round(performance.now() - begun)} ms`);
    assert.ok(existsSync(join(theirs, 'node_modules', 'dnsimple')));
    well(run(theirs, tsc, '-p', '.'));
    missing = null;
  });

  test('the provider passes the conformance suite, and is short', (t) => {
    if (missing !== null) return t.skip(missing);
    const said = well(run(theirs, process.execPath, '--test', 'dist/conformance.js'));
    const [, passes = '0'] = /^. pass (\d+)$/m.exec(said) ?? [];
    assert.ok(Number(passes) >= 40, said);
    const skips = [...said.matchAll(/# (missing: .*)$/gm)].map(([, why]) => why);
    t.diagnostic(`${passes} tests pass; ${skips.join('; ')}`);
    const source = readFileSync(join(theirs, 'index.ts'), 'utf8');
    assert.ok(source.split('\n').length <= 250, 'under 250 lines');
    const imports = [...source.matchAll(/ from '([^']+)'/g)].map(([, from]) => from);
    assert.deepEqual([...new Set(imports)].sort(), ['detour/provider', 'dnsimple']);
  });

  test('every door opens, and what is behind none stays shut', async (t) => {
    if (missing !== null) return t.skip(missing);
    const doors = Object.keys(manifest(clone).exports).filter((door) => door !== './package.json');
    const open = doors.map((door) => `await import('detour${door.slice(1)}');`).join('');
    well(run(theirs, process.execPath, '--input-type=module', '-e', open));
    const shut = "await import('detour/dist/program/main.cjs');";
    const done = run(theirs, process.execPath, '--input-type=module', '-e', shut);
    assert.match(done.out, /ERR_PACKAGE_PATH_NOT_EXPORTED/);
  });

  test('the installed program runs, and says one sentence on an older Node', (t) => {
    if (missing !== null) return t.skip(missing);
    const program = join(theirs, 'node_modules', '.bin', 'detour');
    assert.equal(well(run(theirs, program, '--version')).trim(), manifest(clone).version);
    const old =
      "Object.defineProperty(process, 'versions', { value: { node: '20.20.2' } });" +
      `require(${JSON.stringify(program)});`;
    const done = run(theirs, process.execPath, '-e', old);
    assert.equal(done.status, 1);
    assert.match(
      done.out,
      /^detour: Node 24\.\d+\.\d+ or newer is needed, and \S+ is 20\.20\.2: .*\n$/,
    );
  });

  test('a configuration that names it moves its record, and a reload takes one package more', async (t) => {
    if (missing !== null) return t.skip(missing);
    well(run(theirs, 'npm', 'pack', '--pack-destination', folder!));
    mkdirSync(operators);
    renameSync(join(theirs, 'node_modules'), join(operators, 'node_modules'));
    const packed = join(folder!, 'detour-provider-dnsimple-1.0.0.tgz');
    well(run(operators, 'npm', 'install', ...npmOptions, packed, tarball));
    const world = await startWorld();
    const config = join(operators, 'detour.yaml');
    const checkAt = join(operators, 'node_modules', 'detour-check-y');
    const write = (check?: string) => writeFileSync(config, world.configuration(operators, check));
    write();
    const bin = join(operators, 'node_modules', 'detour', 'bin', 'detour.cjs');
    const env = { ...process.env, DNSIMPLE_TOKEN: world.fake.token };
    const child = spawn(process.execPath, [bin, 'run', '-c', config, '--json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env,
    });
    const said = collect(child);
    const detour = (...words: readonly string[]) => run(operators, process.execPath, bin, ...words);
    const socket = ['--socket', join(operators, 'detour.sock')];
    try {
      await until('adopted, and both origins up', 60_000, () => {
        if (child.exitCode !== null) throw new Error(said.err() + said.out());
        const ups = said.out().match(/-> up/g) ?? [];
        return /visible everywhere/.test(said.out()) && ups.length > 1;
      });
      world.origins[0]!.close();
      world.origins[0]!.closeAllConnections();
      const ms = await until('the vendor gives the standby', 30_000, async () => {
        return (await cnameAt(world.dns, 'www.example.com')) === 'b.shop.example';
      });
      t.diagnostic(`origin closed: the standby was given after ${Math.round(ms)} ms`);
      const all = said.out() + said.err() + detour('status', '--json', ...socket).out;
      assert.ok(!all.includes(world.fake.token), 'the token is shown nowhere');

      write('npm:detour-check-y');
      const refused = detour('reload', ...socket);
      assert.equal(refused.status, 2, refused.out);
      assert.match(refused.out, /detour\.yaml:\d+:\d+ .*npm:detour-check-y is not installed/);
      mkdirSync(checkAt);
      writeFileSync(join(checkAt, 'package.json'), '{ "type": "module", "main": "index.js" }');
      writeFileSync(join(checkAt, 'index.js'), checkSource);
      well(detour('reload', ...socket));
      await until('the package is asked', 20_000, () => {
        return detour('status', '--json', ...socket).out.includes('detour-check-y was asked');
      });
    } finally {
      await stopChild(child);
      await world.close();
    }
  });
});

/** A check in one piece, with nothing to compile. */
const checkSource = `
import { z } from 'detour/check';
const answer = { outcome: 'fail', reason: 'asked', detail: 'detour-check-y was asked', phases: {} };
export default {
  contract: 1,
  check: {
    key: 'y',
    settings: z.strictObject({}),
    impossible: (settings) => settings,
    pathProblem: (path) => (path.kind === 'direct' ? null : 'it leaves by no proxy'),
    create: () => ({ ask: async () => answer, close() {} }),
  },
};
`;

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly files: readonly string[];
}

function manifest(at: string): Manifest {
  return JSON.parse(readFileSync(join(at, 'package.json'), 'utf8')) as Manifest;
}

/** The vendor's fake with a name server over it, and two origins. */
async function startWorld() {
  const fake = await new FakeDnsimple('example.com').open();
  fake.edit('www.example.com', 'CNAME', ['a.shop.example'], 60);
  const { port, at } = await startNameservers({ '127.0.0.1': serve(fake) });
  const origins = await Promise.all([startOrigin(), startOrigin()]);
  const urls = origins.map((o) => `http://127.0.0.1:${(o.address() as AddressInfo).port}/`);
  const dns = `127.0.0.1:${port}`;
  return {
    fake,
    origins,
    dns,
    configuration: (folder: string, check?: string) => `cluster: stranger
stateDir: ${join(folder, 'state')}
socket: ${join(folder, 'detour.sock')}
listen: off
providers:
  own:
    type: npm:detour-provider-dnsimple
    account: ${fake.account}
    token: { env: DNSIMPLE_TOKEN }
    endpoint: ${fake.url}
    nameservers: ["${dns}"]
dns: { port: ${port}, roots: ["${dns}"] }
clouds: { one: {}, two: {} }
origins:
  a: { cloud: one, checks: { web: { http: "${urls[0]}" } } }
  b:
    cloud: two
    checks:
      web: { http: "${urls[1]}" }
${check === undefined ? '' : `      more: { "${check}": {}, advisory: true }\n`}records:
  www.example.com:
    mode: steer
    ttl: 60
    publish: [own]
    targets: [{ origin: a, cname: a.shop.example }, { origin: b, cname: b.shop.example }]
policy: { interval: 1s, timeout: 1s, confirm: 250ms, fall: 3, rise: 2, patience: 0s }
`,
    async close() {
      for (const origin of origins) origin.closeAllConnections();
      for (const origin of origins.filter((o) => o.listening)) origin.close();
      await at['127.0.0.1']!.close();
      await fake.close();
    },
  };
}

async function startOrigin(): Promise<Server> {
  const server = createServer((_, response) => response.end('ok'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

/** What the vendor's name servers would give of the fake's rows; elsewhere, what the test needs. */
function serve(fake: FakeDnsimple): Respond {
  return ({ name, type }) => {
    if (name.endsWith('.shop.example.')) {
      return { answers: type === 'A' ? [rr(`${name} 60 A 127.0.0.1`)] : [] };
    }
    if (!name.endsWith('example.com.')) return { answers: [] };
    const rows = fake.rowsAt(name).filter((row) => row.type === type || row.type === 'CNAME');
    const answers: Answer[] = rows.map(({ type: own, ttl, content }) =>
      own === 'TXT'
        ? { name, ttl, type: 'TXT', data: [Buffer.from(content)] }
        : rr(`${name} ${ttl} ${own} ${content}.`),
    );
    return { answers };
  };
}
