// What the built daemon tells the supervisor that started it: that it serves when it does, that it
// reloads and stops, and that its decision loop comes round. One of them hangs its own loop, and is
// then silent: that is what a watchdog waits for.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { supervise } from '../../src/run/systemd.ts';
import { freePort, installed } from '../parts/bind.ts';
import { call } from '../parts/daemon.ts';
import { collect, main, stopChild, until } from '../parts/program.ts';
import { safeFolder, unsafe } from '../parts/safe.ts';
import { type Supervisor, startSupervisor, withoutSupervisor } from '../parts/supervisor.ts';

const skip = { skip: withoutSupervisor };
const root = mkdtempSync(join(tmpdir(), 'detour-systemd-'));
after(() => rmSync(root, { recursive: true, force: true }));

let supervisor: Supervisor;
let started: ChildProcess[];
beforeEach(async () => {
  started = [];
  if (withoutSupervisor === false) supervisor = await startSupervisor();
});
afterEach(async () => {
  for (const child of started) await stopChild(child, 'SIGKILL');
  supervisor.close();
});

/** A configuration that reaches nobody. `check` is what the origins are asked. */
function config(folder: string, check = '{ tcp: "127.0.0.1:9" }', more = ''): string {
  const file = join(folder, 'detour.yaml');
  writeFileSync(join(folder, 'token'), 'a-token', { mode: 0o600 });
  writeFileSync(
    file,
    `
cluster: shop
stateDir: ${join(folder, 'state')}
dns: { roots: ["127.0.0.1"], port: 9 }
providers:
  cf: { type: cloudflare, apiToken: { file: ${join(folder, 'token')} },
        endpoint: "http://127.0.0.1:9/client/v4", nameservers: ["127.0.0.1:9"] }
origins:
  a: { cloud: east, checks: { web: ${check} } }
  b: { cloud: west, checks: { web: ${check} } }
records:
  www.example.net:
    publish: [cf]
    targets: [{ origin: a, cname: a.example.com }, { origin: b, cname: b.example.com }]
policy: { interval: 1s }
${more}`,
  );
  return file;
}

function daemon(file: string, more: Readonly<Record<string, string>> = {}) {
  const env = { PATH: process.env['PATH'], NOTIFY_SOCKET: supervisor.socket, ...more };
  const child = spawn(process.execPath, [main, 'run', '-c', file, '--json'], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  return { child, ...collect(child) };
}

const said = (word: string) =>
  supervisor.heard.filter((one) => one.split('\n').includes(word)).length;
const hears = (word: string, times = 1) =>
  until(`${times} ${word}`, 30_000, () => said(word) >= times);

test('it says that it serves when it does, that it reloads, that it stops', skip, async () => {
  const folder = mkdtempSync(join(root, 'one-'));
  const { child } = daemon(config(folder), { WATCHDOG_USEC: '600000' });
  await hears('READY=1');
  const alive = await call(join(folder, 'state', 'control.sock'), 'GET', '/v1/alive');
  assert.ok(alive !== null, 'who is told may ask at once');
  await hears('WATCHDOG=1', 3);
  await until('its sentence', 10_000, () =>
    supervisor.heard.some((m) => /^STATUS=(not )?ready/.test(m)),
  );
  const maps = readFileSync(`/proc/${child.pid}/maps`, 'utf8');
  assert.match(maps, /koffi/);

  const before = process.hrtime.bigint() / 1000n;
  child.kill('SIGHUP');
  await hears('READY=1', 2);
  const reloading = supervisor.heard.findIndex((m) => m.startsWith('RELOADING=1\nMONOTONIC_USEC='));
  const usec = BigInt(supervisor.heard[reloading]!.split('=').at(-1)!);
  assert.ok(usec >= before && usec <= process.hrtime.bigint() / 1000n, 'on the clock of systemd');
  assert.ok(reloading > supervisor.heard.indexOf('READY=1'));
  assert.ok(reloading < supervisor.heard.lastIndexOf('READY=1'));

  child.kill('SIGTERM');
  await until('it ends', 30_000, () => child.exitCode !== null);
  assert.equal(child.exitCode, 0);
  await hears('STOPPING=1');
  const after = supervisor.heard.findIndex((m) => m.startsWith('STOPPING=1'));
  assert.deepEqual(supervisor.heard.slice(after + 1), [], 'the last word');
});

test('a loop that hangs feeds no watchdog', skip, async (context) => {
  const folder = safeFolder('hung');
  if (folder === null) return context.skip(unsafe);
  try {
    const trap = join(folder, 'node_modules', 'detour-check-trap');
    mkdirSync(trap, { recursive: true });
    writeFileSync(
      join(trap, 'package.json'),
      JSON.stringify({ name: 'detour-check-trap', type: 'module', main: 'index.js' }),
    );
    const door = new URL('check.cjs', `file://${main}`).href;
    writeFileSync(
      join(trap, 'index.js'),
      `import { existsSync, writeFileSync } from 'node:fs';
import { z } from '${door}';
const at = '${folder}';
const check = {
  settings: z.strictObject({}),
  impossible: (settings) => settings,
  pathProblem: () => null,
  create: () => ({
    ask: async () => {
      if (existsSync(at + '/hang')) {
        writeFileSync(at + '/hung', '');
        for (;;);
      }
      return { outcome: 'pass', reason: 'ok', detail: '', phases: {} };
    },
    close() {},
  }),
};
export default { contract: 1, check };
`,
    );
    daemon(config(folder, '{ "npm:detour-check-trap": {} }'), { WATCHDOG_USEC: '300000' });
    await hears('WATCHDOG=1', 2);
    writeFileSync(join(folder, 'hang'), '');
    await until('it hangs', 30_000, () => existsSync(join(folder, 'hung')));
    await pause(50);
    supervisor.forget();
    // Twice what the supervisor would wait: a loop that turned would have fed six times.
    await pause(600);
    assert.deepEqual(supervisor.heard, []);
  } finally {
    for (const child of started) await stopChild(child, 'SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a name without a file is a socket as well; none at all loads nothing', skip, async () => {
  const hidden = await startSupervisor(true);
  try {
    const complaints: string[] = [];
    const complain = (sentence: string) => void complaints.push(sentence);
    const one = await supervise(
      { NOTIFY_SOCKET: hidden.socket, WATCHDOG_USEC: '60000000' },
      complain,
    );
    one!.ready();
    one!.beat(() => 'all\nwell');
    one!.beat(() => assert.fail('so soon nobody asks'));
    await until('it is heard', 5000, () => hidden.heard.length >= 3);
    assert.deepEqual(hidden.heard.slice(0, 3), ['READY=1', 'WATCHDOG=1', 'STATUS=all well']);
    assert.equal(await supervise({}, complain), null);
    assert.deepEqual(complaints, []);
    const other = { NOTIFY_SOCKET: hidden.socket, WATCHDOG_USEC: '1', WATCHDOG_PID: '1' };
    hidden.forget();
    (await supervise(other, complain))!.beat(() => '');
    (await supervise(other, complain))!.ready();
    await until('it is heard', 5000, () => hidden.heard.length >= 1);
    assert.deepEqual(hidden.heard, ['READY=1'], 'the watchdog is for another process');
  } finally {
    hidden.close();
  }
  const { child } = daemon(config(mkdtempSync(join(root, 'none-'))), { NOTIFY_SOCKET: '' });
  const { out } = collect(child);
  await until('it runs', 30_000, () => out().includes('"kind":"run"'));
  assert.doesNotMatch(readFileSync(`/proc/${child.pid}/maps`, 'utf8'), /koffi/);
});

test('who cannot be told is complained of once, and stops nothing', skip, async () => {
  const complaints: string[] = [];
  const complain = (sentence: string) => void complaints.push(sentence);
  const nobody = await supervise({ NOTIFY_SOCKET: join(root, 'nobody') }, complain);
  nobody!.ready();
  nobody!.reloading();
  assert.deepEqual(complaints, ['systemd (NOTIFY_SOCKET) could not be told READY=1: errno 2']);
  assert.equal(await supervise({ NOTIFY_SOCKET: 'vsock:2:1' }, complain), null);
  assert.match(complaints[1]!, /neither a path nor @NAME; install .* or set Type=exec/);
});

test('a socket that stands where the configuration listens is taken over, with who waits there', {
  skip:
    process.env['CI'] || installed('/usr/bin/systemd-socket-activate')
      ? false
      : 'systemd-socket-activate is not installed',
}, async () => {
  const folder = mkdtempSync(join(root, 'sockets-'));
  const port = await freePort();
  const control = join(folder, 'control.sock');
  const file = config(folder, undefined, `socket: ${control}\nlisten: 127.0.0.1:${port}\n`);
  const other = `[::1]:${await freePort()}`;
  const places = [`127.0.0.1:${port}`, control, other];
  const child = spawn(
    'systemd-socket-activate',
    [
      ...places.map((place) => `--listen=${place}`),
      process.execPath,
      main,
      'run',
      '-c',
      file,
      '--json',
    ],
    { env: { PATH: process.env['PATH'] }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  started.push(child);
  const { out, err } = collect(child);
  await until('it stands', 30_000, () => /Listening on/.test(err()) && existsSync(control));
  // Nothing of Detour runs yet: the first who comes starts it, and is answered.
  const answer = await fetch(`http://127.0.0.1:${port}/healthz`, {
    signal: AbortSignal.timeout(20_000),
  });
  assert.equal(await answer.text(), 'alive\n', err());
  assert.ok((await call(control, 'GET', '/v1/alive')) !== null);
  await until('it is said', 10_000, () => out().includes('no such place'));
  assert.ok(out().includes(`systemd hands over ${other}, and the configuration names no such`));
  assert.doesNotMatch(out(), /EADDRINUSE|cannot be had/);
  child.kill('SIGTERM');
  await until('it ends', 30_000, () => child.exitCode !== null);
  assert.ok(existsSync(control), 'the file is not its own to remove');
});
