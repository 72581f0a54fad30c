// The built daemon in a hostile machine: signals at any time, an environment that would weaken it,
// a store that is gone, addresses that are taken. Nothing is steered here; the vendor never answers.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import { call } from '../parts/daemon.ts';
import { main, startDaemon, stopChild, until } from '../parts/program.ts';

const root = mkdtempSync(join(tmpdir(), 'detour-run-'));
after(() => rmSync(root, { recursive: true, force: true }));

let directory: string;
let started: ChildProcess[];

beforeEach(() => {
  directory = mkdtempSync(join(root, 'one-'));
  started = [];
});
afterEach(async () => {
  for (const child of started) await stopChild(child, 'SIGKILL');
});

const stateDir = () => join(directory, 'state');
const socket = () => join(stateDir(), 'control.sock');

/** A configuration that reaches nobody: its vendor and its origins are closed ports of loopback. */
function config(more = '', name = 'detour.yaml'): string {
  const file = join(directory, name);
  const token = join(directory, 'token');
  writeFileSync(token, 'a-token', { mode: 0o600 });
  writeFileSync(
    file,
    `
cluster: shop
stateDir: ${stateDir()}
dns: { roots: ["127.0.0.1"], port: 9 }
providers:
  cf:
    type: cloudflare
    apiToken: { file: ${token} }
    endpoint: http://127.0.0.1:9/client/v4
    nameservers: ["127.0.0.1:9"]
origins:
  a: { cloud: east, checks: { web: { tcp: "127.0.0.1:9" } } }
  b: { cloud: west, checks: { web: { tcp: "127.0.0.1:9" } } }
records:
  www.example.net:
    publish: [cf]
    targets: [{ origin: a, cname: a.example.com }, { origin: b, cname: b.example.com }]
${more}`,
  );
  return file;
}

interface Started {
  readonly child: ChildProcess;
  said(): string;
  /** What it said on stderr alone. */
  err(): string;
}

function start(file: string, env: Record<string, string> = {}, before: string[] = []): Started {
  const [command, ...args] = [...before, process.execPath, program, 'run', '-c', file, '--json'];
  const child = spawn(command!, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  started.push(child);
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  return { child, said: () => out + err, err: () => err };
}

/** Waits until it answers at its socket; fails with what it said when it ends instead. */
async function alive(one: Started, at = socket()): Promise<void> {
  await until('the daemon answers', 60_000, async () => {
    const { exitCode, signalCode } = one.child;
    assert.ok(exitCode === null && signalCode === null, `${exitCode ?? signalCode}: ${one.said()}`);
    return (await call(at, 'GET', '/v1/alive')) !== null;
  });
}

async function endOf(child: ChildProcess): Promise<number | string | null> {
  if (child.exitCode === null && child.signalCode === null) {
    await new Promise((resolve) => child.once('close', resolve));
  }
  return child.exitCode ?? child.signalCode;
}

/** The program as the unit starts it, which a Node that is too old must be able to read, too. */
const program = join(dirname(dirname(dirname(main))), 'bin/detour.cjs');

test('SIGHUP while the program is being loaded does not kill it, nor SIGUSR1 open the inspector', async () => {
  // It says that its handlers are there by having one in /proc: SigCgt, bit 0 for signal 1.
  const one = start(config());
  const catches = () => {
    const done = spawnSync('grep', ['SigCgt', `/proc/${one.child.pid}/status`], {
      encoding: 'utf8',
    });
    const mask = BigInt(`0x${done.stdout.split(/\s+/)[1] || '0'}`);
    return (mask & 1n) === 1n;
  };
  await until('SIGHUP is caught', 30_000, catches);
  assert.equal(await call(socket(), 'GET', '/v1/alive'), null, 'before it serves anybody');
  one.child.kill('SIGHUP');
  one.child.kill('SIGUSR1');
  await alive(one);
  await until('the SIGHUP was not lost', 30_000, async () => {
    const view = await call<{ reload: unknown }>(socket(), 'GET', '/v1/status');
    return view?.reload != null;
  });
  assert.doesNotMatch(one.said(), /Debugger listening/);
});

test('a SIGHUP after SIGTERM, and SIGTERM twice, do not kill it: it ends in order', async (t) => {
  const one = start(config());
  await alive(one);
  // A request that is not whole yet: its end is waited for, for a second.
  const held = connect(socket());
  t.after(() => held.destroy());
  held.on('error', () => {});
  held.write('POST /v1/command HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{');
  await until('it has come', 30_000, async () => {
    // Whoever comes later was accepted later.
    return (await call(socket(), 'GET', '/v1/alive')) !== null;
  });
  one.child.kill('SIGTERM');
  await until('it stops', 30_000, () => one.said().includes('stopping'));
  for (const name of ['SIGHUP', 'SIGTERM', 'SIGINT'] as const) one.child.kill(name);
  assert.equal(await endOf(one.child), 0, one.said());
});

const stops = {
  NODE_TLS_REJECT_UNAUTHORIZED: '0',
  NODE_USE_ENV_PROXY: '1',
  NODE_OPTIONS: '--max-old-space-size=400 --tls-min-v1.0',
  NODE_DEBUG: 'detour-nothing',
  OPENSSL_CONF: '/dev/null',
};

for (const [name, value] of Object.entries(stops)) {
  test(`${name} in the environment stops every command that speaks to vendors or origins`, () => {
    const file = config();
    const commands = [
      ['run', '-c', file],
      ['audit', '-c', file],
      ['probe', '-c', file],
      ['switch', 'www.example.net', 'b', '--reason', 'r', '--direct', '-c', file],
    ];
    for (const command of commands) {
      const { status, stderr } = spawnSync(process.execPath, [main, ...command], {
        encoding: 'utf8',
        timeout: 60_000,
        env: { ...process.env, [name]: value },
      });
      assert.equal(status, 2, stderr);
      assert.match(stderr, new RegExp(`${name}.* in the environment .*env -u ${name} detour`));
      if (name === 'NODE_OPTIONS') assert.match(stderr, /\(--tls-min-v1\.0\)/);
    }
  });
}

test('harmless words stop nothing, and what would redirect a vendor is named', async () => {
  const one = start(config(), {
    NODE_OPTIONS: '--max-old-space-size=400 --enable-source-maps',
    NODE_TLS_REJECT_UNAUTHORIZED: '1',
    AWS_ENDPOINT_URL: 'http://127.0.0.1:9/secret',
    CLOUDFLARE_BASE_URL: 'http://127.0.0.1:9/secret',
    https_proxy: 'http://127.0.0.1:9/secret',
  });
  await alive(one);
  for (const name of ['AWS_ENDPOINT_URL', 'CLOUDFLARE_BASE_URL', 'https_proxy']) {
    assert.match(one.said(), new RegExp(`not taken from the environment: .*${name}`));
  }
  assert.doesNotMatch(one.said(), /127\.0\.0\.1:9\/secret/, 'no value is quoted');
});

test('a store that was emptied is told of in one sentence, until --new-state', async () => {
  const file = config();
  const first = start(file);
  await alive(first);
  await stopChild(first.child);
  truncateSync(join(stateDir(), 'detour.sqlite'), 0);
  const refused = start(file);
  assert.equal(await endOf(refused.child), 1);
  const sentences = refused.err().trim().split('\n');
  assert.equal(sentences.length, 1, refused.err());
  assert.match(sentences[0]!, /detour\.sqlite is empty: .*detour run --new-state/);
  const anew = startDaemon(file, '--new-state');
  started.push(anew.child);
  await alive({ ...anew, said: () => anew.out() + anew.err() });
  assert.match(anew.out(), /the store is empty: no pin, drain, freeze or switch is remembered/);
});

test('an address of `listen` that is taken is told of; the daemon runs, and takes it when it can', async (t) => {
  const taken = createServer();
  t.after(() => taken.close());
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as { port: number };
  const one = start(config(`listen: 127.0.0.1:${port}\n`));
  await alive(one);
  assert.match(one.said(), new RegExp(`http-listener: 127\\.0\\.0\\.1:${port}: EADDRINUSE`));
  await new Promise((resolve) => taken.close(resolve));
  await until('it listens', 60_000, async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => null);
    return answer?.status === 200;
  });
});

interface ReloadReply {
  readonly exit: number;
  readonly message: string;
  readonly detail: { readonly changes: string[]; readonly atRestart: string[] };
}

const reload = (dry = false) =>
  call<ReloadReply>(socket(), 'POST', `/v1/reload${dry ? '?dryRun=true' : ''}`);

/** A port of loopback that nobody has just now. */
const notMounting =
  process.getuid?.() !== 0 || !existsSync('/usr/bin/unshare') ? 'missing: root and unshare' : false;

test('on a full disk it lives and answers at every door, says so, and works on when there is room', {
  skip: notMounting,
}, async () => {
  const at = join(directory, 's');
  const port = await freePort();
  const file = config(`socket: ${at}\nlisten: 127.0.0.1:${port}\n`);
  const mount = `mkdir -p ${stateDir()} && mount -t tmpfs -o size=2m,mode=700 tmpfs ${stateDir()}`;
  const one = start(file, {}, ['unshare', '-m', 'sh', '-c', `${mount} && exec "$0" "$@"`]);
  await alive(one, at);
  // Its disk is in a mount namespace of its own, which is seen from here through its root.
  const filler = `/proc/${one.child.pid}/root${stateDir()}/filler`;
  assert.throws(() => writeFileSync(filler, Buffer.alloc(4_000_000)), { code: 'ENOSPC' });
  const freeze = { kind: 'freeze', record: null, reason: 'work', by: 'ann' };
  const order = (body: object) =>
    call<{ exit: number; message: string }>(at, 'POST', '/v1/command', body);
  await until('an order is not durable', 60_000, async () => {
    const reply = await order(freeze);
    await order({ kind: 'unfreeze', record: null, by: 'ann' });
    return reply?.exit === 1 && /the store cannot commit/.test(reply.message);
  });
  const get = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`);
    return `${answer.status} ${await answer.text()}`;
  };
  assert.match(await get('/readyz'), /^503 not ready\nthe store cannot commit\n/);
  assert.match(await get('/metrics'), /^detour_troubles_total\{what="store"\} [1-9]/m);
  assert.match(await get('/healthz'), /^200 alive/);
  const status = await call<{ ready: { ok: boolean } }>(at, 'GET', '/v1/status');
  assert.equal(status?.ready.ok, false);
  assert.ok(Array.isArray((await call<{ entries: [] }>(at, 'GET', '/v1/history'))?.entries));
  assert.match(one.said(), /store: [^"]*the disk is full/);
  rmSync(filler);
  await until('it commits again', 60_000, async () => (await order(freeze))?.exit === 0);
  assert.doesNotMatch(await get('/readyz'), /the store cannot commit/);
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('a reload says what it changes; a dry run says it and changes nothing', async () => {
  const one = start(config());
  await alive(one);
  assert.match(
    (await reload())!.message,
    /^[^\n]*detour\.yaml is in force, and has changed nothing$/,
  );
  config('policy: { interval: 1s, patience: 3s }\n');
  const expected = [
    'check a/web: interval 5s -> 1s',
    'check b/web: interval 5s -> 1s',
    'record www.example.net: patience 10s -> 3s',
  ];
  const dry = await reload(true);
  assert.deepEqual([dry!.exit, dry!.detail.changes], [0, expected]);
  assert.match(dry!.message, /^[^\n]*can be put in force, with 3 changes\n/);
  assert.deepEqual((await reload(true))!.detail.changes, expected, 'it has changed nothing');
  assert.doesNotMatch(one.said(), /configuration reloaded: 1 records.*interval/);
  one.child.kill('SIGHUP');
  await until('the log says it', 30_000, () =>
    expected.every((line) => one.said().includes(`reload: ${line}`)),
  );
  assert.deepEqual((await reload())!.detail.changes, []);
  writeFileSync(join(directory, 'detour.yaml'), 'cluster: [');
  for (const isDry of [true, false]) {
    const bad = await reload(isDry);
    assert.equal(bad!.exit, 2);
    assert.match(bad!.message, /the configuration in force stays$/);
  }
});

test('what a reload cannot put in force is named, and it says so at each reload', async () => {
  const one = start(config());
  await alive(one);
  const other = join(directory, 'other');
  const file = config(`socket: ${other}.sock\ngateHold: 2h\n`);
  writeFileSync(file, readFileSync(file, 'utf8').replace(stateDir(), other));
  const wanted = [`stateDir: ${stateDir()} -> ${other}`, `socket: ${socket()} -> ${other}.sock`];
  const dry = await reload(true);
  assert.deepEqual([dry!.exit, dry!.detail.atRestart], [3, wanted]);
  for (const changes of [['gateHold 1d -> 2h'], []]) {
    const reply = await reload();
    assert.deepEqual(
      [reply!.exit, reply!.detail],
      [3, { changes, atRestart: wanted, missing: [] }],
    );
    assert.match(reply!.message, /but not all of it\n/);
    for (const line of wanted) assert.ok(reply!.message.includes(`at restart, not now: ${line}`));
  }
  assert.equal(existsSync(other), false, 'nothing was made in the other place');
  // What an operator says goes into the store that is in force.
  const drain = { kind: 'drain', what: 'a', reason: 'r', by: 'ann' };
  assert.equal((await call<ReloadReply>(socket(), 'POST', '/v1/command', drain))!.exit, 0);
  await stopChild(one.child);
  const again = start(config());
  await alive(again);
  const view = await call<{ drains: unknown[] }>(socket(), 'GET', '/v1/status');
  assert.equal(view!.drains.length, 1);
});

/** The same, where another monitor pushes what it says of the second origin. */
function configOfPush(more: string, token: string): string {
  const file = config(more);
  const mon =
    'mon: { push: mon, interval: 100ms, timeout: 50ms, confirm: 50ms, ' +
    `advisory: true, token: { file: ${token} } }`;
  const text = readFileSync(file, 'utf8').replace(/(b: .*"127\.0\.0\.1:9" \})/, `$1, ${mon}`);
  writeFileSync(file, text);
  return file;
}

test('a reload moves the door for readers and for pushes, changes the log and the metrics', async (t) => {
  const [first, second] = [await freePort(), await freePort()];
  const token = join(directory, 'push-token');
  writeFileSync(token, 'token-of-the-monitor\n', { mode: 0o600 });
  const one = start(configOfPush(`listen: 127.0.0.1:${first}\n`, token));
  await alive(one);
  const push = (port: number, shown: string) =>
    fetch(`http://127.0.0.1:${port}/push/mon`, {
      method: 'POST',
      headers: { authorization: `Bearer ${shown}` },
      body: '{"state":"down","detail":"said by the monitor"}',
    }).then(({ status }) => status);
  assert.equal(await push(first, 'another-token-altogether'), 401);
  assert.equal(await push(first, 'token-of-the-monitor'), 200);
  await until('the check says what was pushed', 30_000, async () => {
    const view = await call<object>(socket(), 'GET', '/v1/status');
    return /"fail"[^}]*"said by the monitor, said /.test(JSON.stringify(view));
  });
  const answers = (port: number) =>
    fetch(`http://127.0.0.1:${port}/healthz`).then(
      (answer) => answer.status,
      () => null,
    );
  assert.equal(await answers(first), 200);
  const scrape = async (port: number) =>
    (await fetch(`http://127.0.0.1:${port}/metrics`, { headers: open })).text();
  const open = { accept: 'application/openmetrics-text; version=1.0.0' };
  assert.match(await scrape(first), /^detour_provider_stage\{[\s\S]*\n# EOF\n$/m);
  const without = 'metrics: { without: [detour_provider_stage] }';
  configOfPush(`listen: 127.0.0.1:${second}\nlog: { level: error }\n${without}\n`, token);
  assert.equal((await reload())!.exit, 0);
  assert.doesNotMatch(await scrape(second), /detour_provider_stage/);
  // A token that was changed is in force without a reload.
  writeFileSync(token, 'the-next-token-of-it\n');
  await until('the next token is taken', 30_000, async () => {
    return (await push(second, 'the-next-token-of-it')) === 200;
  });
  assert.equal(await push(second, 'token-of-the-monitor'), 401);
  assert.deepEqual([await answers(first), await answers(second)], [null, 200]);
  const before = one.said();
  assert.equal((await reload())!.exit, 0);
  assert.equal(one.said(), before, 'what is no error is logged no longer');
  // An address that is taken is not in force, and is not said to be.
  const taken = createServer();
  t.after(() => taken.close());
  await new Promise<void>((resolve) => taken.listen(first, '127.0.0.1', resolve));
  config(`listen: 127.0.0.1:${first}\n`);
  const reply = await reload();
  assert.equal(reply!.exit, 3);
  assert.match(reply!.message, new RegExp(`listen: 127\\.0\\.0\\.1:${first} cannot be had yet`));
  config('listen: off\n');
  assert.equal((await reload())!.exit, 0);
  assert.equal(await answers(second), null);
});

test('a second daemon by mistake is refused in one sentence', async () => {
  const file = config();
  await alive(start(file));
  for (const other of [file, config(`socket: ${directory}/other.sock\n`, 'other.yaml')]) {
    const second = start(other);
    assert.equal(await endOf(second.child), 1);
    assert.match(
      second.err(),
      /^[^\n]*state is in use by the process with pid \d+: end that[^\n]*\n$/,
    );
  }
});

test('a state directory that anybody may replace is refused in one sentence', async () => {
  const file = config();
  chmodSync(directory, 0o777);
  const one = start(file);
  assert.equal(await endOf(one.child), 1);
  assert.match(one.err(), /^state directory [^\n]* anybody may replace it[^\n]*\n$/);
});

test('a token that is rotated in its file is used without a reload', async (t) => {
  const tokens = new Set<string>();
  const vendor = createHttpServer((request, response) => {
    tokens.add(request.headers.authorization ?? '');
    response.writeHead(500).end();
  });
  await new Promise<void>((resolve) => vendor.listen(0, '127.0.0.1', resolve));
  t.after(() => vendor.close());
  t.after(() => vendor.closeAllConnections());
  const { port } = vendor.address() as { port: number };
  const file = config();
  writeFileSync(
    file,
    readFileSync(file, 'utf8').replace('127.0.0.1:9/client', `127.0.0.1:${port}/client`),
  );
  const one = start(file);
  await alive(one);
  await until('the first token is used', 60_000, () => tokens.has('Bearer a-token'));
  const token = join(directory, 'token');
  writeFileSync(`${token}.new`, 'another-token');
  renameSync(`${token}.new`, token);
  await until('the second token is used', 60_000, () => tokens.has('Bearer another-token'));
  await until('it is said', 30_000, () =>
    /providers\.cf: its secrets have changed/.test(one.said()),
  );
  assert.doesNotMatch(one.said(), /another-token/);
});
