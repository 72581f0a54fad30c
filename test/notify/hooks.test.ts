// Hooks with real commands: what they are told, what each of their ends means, and that one which hangs,
// floods or forks delays nobody else and leaves nothing behind.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { HookAbout } from '../../src/core/state.ts';
import { createHooks } from '../../src/notify/hooks.ts';

const scratch = mkdtempSync(join(tmpdir(), 'detour-hooks-'));
after(() => rmSync(scratch, { recursive: true }));

const calm = () => new AbortController().signal;

const about = (record: string): HookAbout => ({
  cluster: 'shop',
  record,
  from: 'hangzhou',
  to: 'tokyo',
  cname: 'nrt.shop.example.',
  epoch: 8,
  sentence: 'hangzhou -> tokyo: hangzhou is down',
});

/** Hooks of records a., b., …: a script each. */
function hooks(scripts: Readonly<Record<string, string>>, timeoutMs = 20_000) {
  const commands = Object.entries(scripts).map(([record, script]) => {
    const one = { command: ['/bin/sh', '-c', script], timeoutMs };
    return [record, { before: one, after: one }] as const;
  });
  return createHooks(new Map(commands), { PATH: process.env['PATH'], SECRET: 'not handed on' });
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

const ask = (script: string, timeoutMs?: number) =>
  hooks({ 'a.': script }, timeoutMs).before(about('a.'), 'id-1', calm());

test('a hook is told of the switch on its input and in its environment, and of nothing else', async () => {
  const [told, seen] = [join(scratch, 'told'), join(scratch, 'seen')];
  const said = await ask(`cat > ${told}; env > ${seen}; echo scaled`);
  assert.deepEqual(said, { answer: 'go', detail: 'scaled' });
  const line = { when: 'before-switch', id: 'id-1', ...about('a.') };
  assert.deepEqual(JSON.parse(readFileSync(told, 'utf8')), line);
  const env = readFileSync(seen, 'utf8');
  for (const word of ['HOOK=before-switch', 'RECORD=a.', 'FROM=hangzhou', 'TO=tokyo', 'EPOCH=8']) {
    assert.ok(env.includes(`DETOUR_${word}\n`), word);
  }
  assert.ok(!env.includes('SECRET'));
});

test('status 0 is go, another one is a veto with its reason, and what is no answer is silence', async () => {
  const [veto, bare, signal, shell, absent] = await Promise.all([
    ask('echo the database is behind >&2; exit 3'),
    ask('exit 1'),
    ask('kill -TERM $$'),
    ask('no-such-program-here'),
    createHooks(
      new Map([['a.', { before: { command: ['/nonexistent'], timeoutMs: 1000 }, after: null }]]),
      {},
    ).before(about('a.'), 'id-1', calm()),
  ]);
  assert.deepEqual(veto, { answer: 'veto', detail: 'the database is behind' });
  assert.deepEqual(bare, { answer: 'veto', detail: 'ended with status 1' });
  assert.deepEqual(signal, { answer: 'silent', detail: 'ended by SIGTERM' });
  assert.equal(shell.answer, 'silent');
  assert.equal(absent.answer, 'silent');
  assert.match(absent.detail, /cannot be started: it is not there/);
});

test('hooks that hang, flood or fork delay no other record, and nothing of them is left', async () => {
  const pid = join(scratch, 'pid');
  const some = hooks(
    {
      'hangs.': 'sleep 60',
      'deaf.': 'trap "" TERM; sleep 60',
      'floods.': 'yes',
      'forks.': `(sleep 60 & echo $! > ${pid}; wait) & sleep 60`,
      'well.': 'exit 0',
    },
    1_500,
  );
  const bad = ['hangs.', 'deaf.', 'floods.', 'forks.'].map((r) => some.before(about(r), r, calm()));
  let open = bad.length;
  for (const one of bad) void one.then(() => open--);
  const said = await some.before(about('well.'), 'well', calm());
  assert.equal(said.answer, 'go');
  assert.equal(open, bad.length, 'it has waited for none of them');
  for (const one of await Promise.all(bad)) {
    assert.equal(one.answer, 'silent');
    assert.match(one.detail, /did not end within 1500 ms/);
  }
  assert.ok(existsSync(pid));
  const child = Number(readFileSync(pid, 'utf8'));
  const limit = performance.now() + 5000;
  while (lives(child)) {
    assert.ok(performance.now() < limit, 'what it started is gone within 5 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
});

test('of what informs no failure is an answer, and it takes no turn from what is waited for', async () => {
  const scripts = Object.fromEntries(
    Array.from({ length: 20 }, (_, i) => [`r${i}.`, 'echo broken; exit 4']),
  );
  const some = hooks({ ...scripts, 'a.': 'exit 0' });
  const told = Promise.allSettled(
    Object.keys(scripts).map((r) => some.after(about(r), 'id', calm())),
  );
  assert.equal((await some.before(about('a.'), 'id', calm())).answer, 'go');
  for (const one of await told) {
    assert.equal(one.status, 'rejected');
    assert.match(String(one.reason), /hook after its switch: .* status 4: broken/);
  }
});

test('an abort ends it at once', async () => {
  const abort = new AbortController();
  const said = hooks({ 'a.': 'sleep 60' }).before(about('a.'), 'id', abort.signal);
  setTimeout(() => abort.abort(), 50);
  assert.equal((await said).answer, 'silent');
});
