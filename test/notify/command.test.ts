// The notifier over a command, with real commands: what they are told, what they may see, and that
// neither they nor their children outlive their deadline.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Notice } from '../../src/core/model.ts';
import type { SecretRef } from '../../src/kit/schema.ts';
import { SecretError } from '../../src/kit/secret.ts';
import { command, createCommandNotifier } from '../../src/notify/command.ts';
import { toldOf } from '../parts/told.ts';

const scratch = mkdtempSync(join(tmpdir(), 'detour-notify-'));
after(() => rmSync(scratch, { recursive: true }));

const calm = () => new AbortController().signal;
const notice: Notice = {
  kind: 'switch',
  key: 'switch/www.gslb.example.net.',
  state: 'news',
  severity: 'info',
  record: 'www.gslb.example.net.',
  sentence: 'moved to tokyo; "hangzhou" is down',
  data: { epoch: 7 },
};

const shell = (script: string, timeoutMs = 20_000) =>
  createCommandNotifier({ command: ['/bin/sh', '-c', script], timeoutMs });

async function until(holds: () => boolean, what: string): Promise<void> {
  const limit = performance.now() + 5000;
  while (!holds()) {
    assert.ok(performance.now() < limit, `${what} within 5 s`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A process that is dead and not yet reaped answers too.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

test('the command gets the notice as a JSON line, and no secret', async () => {
  const told = join(scratch, 'told');
  const seen = join(scratch, 'seen');
  process.env.DETOUR_TEST_TOKEN = 'do not pass on';
  try {
    await shell(`cat > ${told}; env > ${seen}`).notify(notice, calm());
    const silent = { ...notice, kind: 'recovered', record: null } as const;
    await shell(`env > ${seen}-2`).notify(silent, calm());
  } finally {
    delete process.env.DETOUR_TEST_TOKEN;
  }
  const line = readFileSync(told, 'utf8');
  assert.deepEqual(JSON.parse(line), notice);
  assert.equal(line.indexOf('\n'), line.length - 1);
  const env = readFileSync(seen, 'utf8');
  assert.match(env, /^DETOUR_NOTICE_KIND=switch$/m);
  assert.match(env, /^DETOUR_NOTICE_KEY=switch\/www\.gslb\.example\.net\.$/m);
  assert.match(env, /^DETOUR_NOTICE_STATE=news$/m);
  assert.match(env, /^DETOUR_RECORD=www\.gslb\.example\.net\.$/m);
  const names = env.match(/^\w+(?==)/gm)?.filter((name) => !/^(PWD|OLDPWD|SHLVL|_)$/.test(name));
  const ours = ['KEY', 'KIND', 'STATE'].map((word) => `DETOUR_NOTICE_${word}`);
  const allowed = [...ours, 'DETOUR_RECORD', 'HOME', 'LANG', 'PATH'];
  assert.deepEqual(
    names?.filter((name) => !allowed.includes(name)),
    [],
  );
  assert.match(readFileSync(`${seen}-2`, 'utf8'), /^DETOUR_RECORD=$/m);
});

test('a command that fails rejects with the first line of its output', async () => {
  await assert.rejects(
    shell('printf "\\n\\033[31mno route to pager\\nsecond\\n" >&2; exit 3').notify(notice, calm()),
    { message: '/bin/sh: ended with status 3: [31mno route to pager' },
  );
  await assert.rejects(shell('echo only this; exit 1').notify(notice, calm()), /1: only this$/);
  await assert.rejects(shell('kill -TERM $$').notify(notice, calm()), /ended by SIGTERM$/);
  const absent = createCommandNotifier({ command: ['/nonexistent/pager'], timeoutMs: 1000 });
  await assert.rejects(
    absent.notify(notice, calm()),
    /cannot be started: it is not there; give an executable's path/,
  );
  assert.throws(() => createCommandNotifier({ command: [], timeoutMs: 1000 }), /empty/);
});

test('arguments are handed over as they are, without a shell', async () => {
  const path = join(scratch, 'a b; touch c');
  await createCommandNotifier({
    command: ['/bin/sh', '-c', 'echo x > "$1"', 'sh', path],
    timeoutMs: 9000,
  }).notify(notice, calm());
  assert.ok(existsSync(path));
  assert.ok(!existsSync(join(scratch, 'c')));
});

test('at its deadline the command is killed with everything it started', async () => {
  const pids = join(scratch, 'pids');
  const script = `sh -c 'echo $$ >> ${pids}; exec sleep 60' & echo $$ >> ${pids}; echo stuck; wait`;
  const running = shell(script, 1500).notify(notice, calm());
  await assert.rejects(running, /killed: it did not end within 1500 ms: stuck$/);
  const started = readFileSync(pids, 'utf8').trim().split('\n').map(Number);
  assert.equal(started.length, 2);
  await until(() => !started.some(lives), 'both are gone');
});

test('what a command leaves running ends with it, and delays nothing', async () => {
  const pids = join(scratch, 'left');
  await shell(`sleep 60 & echo $! > ${pids}`).notify(notice, calm());
  const left = Number(readFileSync(pids, 'utf8'));
  await until(() => !lives(left), 'it is gone');
});

test('a child that left the group delays nothing by holding the output', async () => {
  const pids = join(scratch, 'escaped');
  const leave = `setsid sh -c 'echo $$ > ${pids}; exec sleep 60' & `;
  const script = `${leave} while ! test -s ${pids}; do sleep 0.01; done; echo said; exit 4`;
  try {
    await assert.rejects(shell(script).notify(notice, calm()), /ended with status 4: said$/);
  } finally {
    process.kill(Number(readFileSync(pids, 'utf8')), 'SIGKILL');
  }
});

test('an aborted notice is killed while it runs and never starts while it waits', async () => {
  const mark = join(scratch, 'mark');
  const calling = new AbortController();
  const notifier = shell(`echo $$ > ${mark}; sleep 60`);
  const running = notifier.notify(notice, calling.signal);
  await until(() => existsSync(mark) && readFileSync(mark, 'utf8') !== '', 'it runs');
  calling.abort();
  await assert.rejects(running, /killed: called off/);
  rmSync(mark);
  await assert.rejects(notifier.notify(notice, AbortSignal.abort()), /called off before/);
  assert.ok(!existsSync(mark));
});

test('a command that writes without end or reads nothing is neither blocked nor kept', async () => {
  await assert.rejects(
    shell('echo first; head -c 5000000 /dev/zero | tr "\\0" x; exit 2').notify(notice, calm()),
    /ended with status 2: first$/,
  );
  const big = { ...notice, data: 'x'.repeat(1_000_000) };
  await shell('exec 0<&-; exit 0').notify(big, calm());
});

test('four run at once, and of over a hundred waiting the oldest is dropped', async () => {
  const gate = join(scratch, 'gate');
  const turns = mkdtempSync(join(scratch, 'turns-'));
  // Without its folder nothing is waited for, so that a test that failed leaves nobody behind.
  const script = `cat > ${turns}/$$; while test -d ${turns} -a ! -e ${gate}; do sleep 0.02; done`;
  const notifier = shell(script);
  const results = Array.from({ length: 106 }, (_, i) =>
    notifier.notify({ ...notice, data: i }, calm()).then(
      () => 'told',
      (error: Error) => error.message,
    ),
  );
  const started = () => readdirSync(turns).length;
  await until(() => started() === 4, 'four have started');
  // The fifth and the sixth had waited longest when the 101st and 102nd came to wait.
  assert.match((await results[4]) ?? '', /dropped, 100 newer notices/);
  assert.match((await results[5]) ?? '', /dropped/);
  assert.equal(started(), 4);
  writeFileSync(gate, '');
  const outcomes = await Promise.all(results);
  assert.equal(outcomes.filter((outcome) => outcome === 'told').length, 104);
});

test('the command gets PATH, HOME and LANG as the daemon was given them, and nothing else', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'detour-notify-'));
  const file = join(directory, 'env');
  try {
    const given: Readonly<Record<string, string>> = { PATH: process.env['PATH']!, HOME: '/home/d' };
    const secret = (ref: SecretRef) => {
      const value = 'env' in ref ? given[ref.env] : undefined;
      if (value === undefined) throw new SecretError('not set');
      return value;
    };
    const settings = { command: ['/bin/sh', '-c', `env > ${file}`], timeout: 10_000 };
    const channel = command.create(settings, { secret, wall: () => 0 });
    await channel.notify(toldOf(notice), new AbortController().signal);
    const seen = readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.split('=')[0]!);
    const ours = seen.filter((name) => !['', 'PWD', 'SHLVL', '_', 'OLDPWD'].includes(name));
    const told = ['KEY', 'KIND', 'STATE'].map((word) => `DETOUR_NOTICE_${word}`);
    assert.deepEqual(ours.toSorted(), [...told, 'DETOUR_RECORD', 'HOME', 'PATH']);
    assert.match(readFileSync(file, 'utf8'), /^HOME=\/home\/d$/m);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
