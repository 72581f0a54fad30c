// The `exec` check with real programs: what each exit code means, that nothing of a plugin outlives its
// deadline, that it is given a clean environment, and that no secret is shown.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { SecretRef } from '../../src/kit/schema.ts';
import { SecretError } from '../../src/kit/secret.ts';
import { exec } from '../../src/probes/exec.ts';
import { until, words } from '../parts/listening.ts';

const direct = { name: 'line', kind: 'direct', resolver: null, localAddress: null } as const;
const folder = mkdtempSync(join(tmpdir(), 'detour-exec-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const secret = (ref: SecretRef) => ('env' in ref ? `se cret-of-${ref.env}` : assert.fail());

function make(configured: Record<string, unknown>, timeoutMs = 10_000) {
  return exec.create(exec.settings.parse(configured), direct, timeoutMs, { secret });
}

const ask = (configured: Record<string, unknown>, timeoutMs?: number) =>
  make(configured, timeoutMs).ask(new AbortController().signal);

const sh = (script: string, ...more: string[]) => ['/bin/sh', '-c', script, 'sh', ...more];

test('exit codes are what plugins mean by them, and unknown is never down', async () => {
  const cases: readonly (readonly [string, Record<string, unknown>, string, RegExp])[] = [
    ['echo "DNS OK: 0.01 s|time=0.01s;;"; echo more', {}, 'pass ok', /^OK: DNS OK: 0\.01 s$/],
    ['exit 1', {}, 'pass ok', /^WARNING$/],
    ['echo slow; exit 1', { warning: 'fail' }, 'fail warning', /WARNING: slow/],
    ['exit 1', { warning: 'blind' }, 'blind warning', /WARNING/],
    ['echo "CRITICAL - gone"; exit 2', {}, 'fail critical', /exit code 2: CRITICAL - gone/],
    ['echo "bad arguments"; exit 3', {}, 'blind plugin', /does not know.*: bad arguments/],
    ['echo oops >&2; exit 127', {}, 'blind plugin', /exit code 127.*: oops/],
    ['kill -9 $$', {}, 'blind plugin', /ended by SIGKILL/],
    ['printf "\\033[31mred\\n"; exit 2', {}, 'fail critical', /^exit code 2: \[31mred$/],
  ];
  for (const [script, more, expected, detail] of cases) {
    const result = await ask({ exec: sh(script), ...more });
    assert.equal(words(result), expected, `${script}: ${result.detail}`);
    assert.match(result.detail, detail);
  }
  const drilled = exec.impossible(exec.settings.parse({ exec: sh('exit 0') }));
  const result = await exec
    .create(drilled, direct, 10_000, { secret })
    .ask(new AbortController().signal);
  assert.equal(words(result), 'fail critical');
});

test('what cannot be run is nobody else’s fault, and says what to mend', async () => {
  const absent = await ask({ exec: [join(folder, 'none')] });
  assert.equal(words(absent), 'blind plugin');
  assert.match(absent.detail, /cannot be started.*give an executable's path/);
  writeFileSync(join(folder, 'plain'), 'x', { mode: 0o644 });
  const check = make({ exec: [join(folder, 'plain')] });
  const notIn = make({ exec: [join(folder, 'plain/x')] });
  // More often than may run at once: what could not be started does not count as running.
  for (let i = 0; i < 5; i++) {
    for (const one of [check, notIn]) {
      const result = await one.ask(new AbortController().signal);
      assert.equal(words(result), 'blind plugin', result.detail);
    }
  }
});

test('at the deadline the whole group of the plugin is killed, and so is what it leaves behind', async () => {
  const pids = join(folder, 'pids');
  const alive = () =>
    readFileSync(pids, 'utf8')
      .trim()
      .split('\n')
      .filter((pid) => existsSync(`/proc/${pid}/stat`) && !isZombie(pid));
  const isZombie = (pid: string) => {
    try {
      return / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    } catch {
      return true;
    }
  };
  const hang = 'sleep 60 & echo $! >>"$1"; echo $$ >>"$1"; trap "" TERM; wait';
  const late = await ask({ exec: sh(hang, pids) }, 300);
  assert.equal(words(late), 'blind plugin-timeout', late.detail);
  await until(() => alive().length === 0, 'nothing of it runs');
  const told = await ask({ exec: sh(hang, pids), late: 'fail' }, 300);
  assert.equal(words(told), 'fail timeout', told.detail);
  await until(() => alive().length === 0, 'nothing of it runs');
  rmSync(pids);
  const leaves = await ask({ exec: sh('sleep 60 & echo $! >>"$1"; exit 0', pids) });
  assert.equal(words(leaves), 'pass ok', leaves.detail);
  await until(() => alive().length === 0, 'what it left behind is gone');
  rmSync(pids);
  const control = new AbortController();
  const asked = make({ exec: sh(hang, pids) }).ask(control.signal);
  await until(
    () => existsSync(pids) && readFileSync(pids, 'utf8').split('\n').length > 2,
    'it runs',
  );
  control.abort();
  assert.equal(words(await asked), 'blind aborted');
  await until(() => alive().length === 0, 'nothing of it runs');
});

test('one that hangs holds up none but itself: so many of one check run, and no more', async () => {
  const check = make({ exec: sh('sleep 60') }, 2000);
  const control = new AbortController();
  const asked = Array.from({ length: 6 }, () => check.ask(control.signal));
  const shed = await Promise.race(asked.slice(4));
  assert.equal(words(shed), 'blind shed', shed.detail);
  assert.equal(words(await ask({ exec: sh('exit 0') })), 'pass ok');
  control.abort();
  await Promise.all(asked);
});

test('a plugin has a clean environment, no shell between, and no secret of it is shown', async () => {
  process.env['DETOUR_TEST_LEAK'] = 'leaked';
  try {
    const env = await ask({ exec: ['/usr/bin/env'], env: { A: 'b' } });
    assert.match(env.detail, /^OK: PATH=/);
    const all = await ask({ exec: sh('env | sort | tr "\\n" " "'), env: { A: 'b' } });
    assert.doesNotMatch(all.detail, /DETOUR_TEST_LEAK/);
    assert.match(all.detail, /A=b LANG=C /);
  } finally {
    delete process.env['DETOUR_TEST_LEAK'];
  }
  const plain = await ask({ exec: ['/bin/echo', '$HOME;', '`id`'] });
  assert.equal(plain.detail, 'OK: $HOME; `id`');
  const secretEnv = { KEY: { env: 'X' } };
  const said = await ask({ exec: sh('echo "refused: $KEY"; exit 2'), secretEnv });
  assert.equal(said.detail, 'exit code 2: refused: …');
  const floods = await ask({ exec: sh('yes "$KEY" | head -c 3000000; exit 2'), secretEnv });
  assert.equal(words(floods), 'fail critical');
  assert.doesNotMatch(floods.detail, /secret|cret-of/);
  const none = () => {
    throw new SecretError('file x is not there');
  };
  const read = exec.settings.parse({ exec: ['/bin/true'], secretEnv });
  assert.throws(() => exec.create(read, direct, 1000, { secret: none }), SecretError);
});

test('settings and paths that cannot be meant are refused', () => {
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ exec: 'check_dns -H a' }, /a list: the program/],
    [{ exec: [] }, /a list: the program/],
    [{ exec: ['check_dns'] }, /absolute path/],
    [{ exec: ['/x'], secretEnv: { A: 'plain' } }, /never written into the configuration/],
    [{ exec: ['/x'], env: { A: 'b' }, secretEnv: { A: { env: 'A' } } }, /stands under env too/],
    [{ exec: ['/x'], env: { 'A-B': 'b' } }, /letters, digits and _/],
    [{ exec: ['/x'], warning: 'down' }, /Invalid option|expected/],
  ];
  for (const [settings, message] of wrong) {
    const read = exec.settings.safeParse(settings);
    assert.equal(read.success, false, JSON.stringify(settings));
    assert.match(JSON.stringify(read.error?.issues), message);
  }
  assert.equal(exec.pathProblem(direct, undefined), null);
  assert.match(exec.pathProblem({ ...direct, localAddress: '127.0.0.1' }, undefined)!, /own route/);
  assert.match(exec.pathProblem({ ...direct, resolver: ['192.0.2.1'] }, undefined)!, /resolver/);
  const proxy = {
    name: 'p',
    kind: 'proxy',
    url: 'http://p:1',
    credentials: null,
    resolver: null,
  } as const;
  assert.match(exec.pathProblem(proxy, undefined)!, /no proxy/);
});
