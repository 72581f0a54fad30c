// How the tests get the Debian packages they use, on small machines in folders of their own whose apt
// is a function: nothing of theirs is started or enabled, one package's trouble is its own, and what
// a machine had set is as it was.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Machine, type Part, prepare, startLinks } from '../parts/packages.ts';

const wanted: readonly Part[] = ['alpha', 'beta', 'gamma'].map((pkg) => ({
  pkg,
  program: `/usr/sbin/${pkg}d`,
  purpose: `${pkg} of the tests`,
}));
const policyPath = 'usr/sbin/policy-rc.d';
const wantsPath = '/etc/systemd/system/multi-user.target.wants';

interface Small extends Machine {
  readonly said: string[];
  /** Packages that were put there, in the calls that were made. */
  readonly calls: string[][];
}

/** What apt does beside installing; each may answer in its place. */
interface Apt {
  readonly unknown?: readonly string[];
  readonly broken?: readonly string[];
  readonly offline?: boolean;
  /** While packages are being put there. */
  during?(root: string): void;
}

function machineFor(context: TestContext, apt: Apt = {}, over: Partial<Machine> = {}): Small {
  const root = mkdtempSync(join(tmpdir(), 'detour-machine-'));
  context.after(() => rmSync(root, { recursive: true, force: true }));
  put(root, '/usr/bin/apt-get', '');
  mkdirSync(join(root, '/usr/sbin'));
  const said: string[] = [];
  const calls: string[][] = [];
  const fails = (output: string) => ({ status: 100, output: `Reading…\n${output}\n` });
  return {
    root,
    said,
    calls,
    mayInstall: true,
    say: (sentence) => said.push(sentence),
    agree: async () => true,
    run: (program, args) => {
      assert.equal(program, 'apt-get');
      const packages = args.filter((arg) => wanted.some(({ pkg }) => pkg === arg));
      if (args.includes('update')) {
        return apt.offline ? fails('E: no network here') : { status: 0, output: '' };
      }
      const unknown = packages.find((pkg) => apt.unknown?.includes(pkg));
      if (unknown) return fails(`E: Unable to locate package ${unknown}`);
      if (args.includes('--simulate')) return { status: 0, output: '' };
      calls.push(packages);
      if (apt.offline) return fails('E: cannot fetch');
      const broken = packages.find((pkg) => apt.broken?.includes(pkg));
      if (broken) return fails(`E: ${broken} is broken`);
      for (const pkg of packages) {
        put(root, `/usr/sbin/${pkg}d`, '');
        link(root, `/etc/systemd/system/multi-user.target.wants/${pkg}.service`);
        link(root, `/etc/rc2.d/S01${pkg}`);
      }
      apt.during?.(root);
      return { status: 0, output: '' };
    },
    ...over,
  };
}

function put(root: string, path: string, text: string, mode = 0o755): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text, { mode });
}

function link(root: string, path: string, target = '/lib/systemd/system/any.service'): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  symlinkSync(target, join(root, path));
}

const names = (which: readonly Part[]) => which.map(({ pkg }) => pkg);

test('what is missing is said with its purpose, and installed', async (context) => {
  const machine = machineFor(context);
  put(machine.root, '/usr/sbin/betad', '');
  assert.deepEqual(await prepare(wanted, machine), []);
  assert.deepEqual(machine.calls, [['alpha', 'gamma']]);
  assert.match(machine.said[0]!, /alpha \(alpha of the tests\), gamma \(gamma of the tests\)/);
  assert.match(machine.said[1]!, /none of their services is started or enabled/);

  assert.deepEqual(await prepare(wanted, machine), []);
  assert.equal(machine.calls.length, 1, 'and once is enough');
});

test('while they are installed nothing may start, and afterwards all is as it was', async (context) => {
  const asked: (number | null)[] = [];
  const machine = machineFor(context, {
    during: (root) => asked.push(spawnSync(join(root, policyPath), ['alpha', 'start']).status),
  });
  await prepare(wanted, machine);
  assert.deepEqual(asked, [101], 'the word for "do not" (invoke-rc.d)');
  assert.ok(!existsSync(join(machine.root, policyPath)));
});

test('a policy of the machine’s own is put back to the last bit', async (context) => {
  const machine = machineFor(context, {
    during: (root) => assert.notEqual(spawnSync(join(root, policyPath)).status, 0),
  });
  put(machine.root, policyPath, '#!/bin/sh\nexit 0\n', 0o700);
  const before = statSync(join(machine.root, policyPath));
  await prepare(wanted, machine);
  const after = statSync(join(machine.root, policyPath));
  assert.deepEqual([after.ino, after.mode], [before.ino, before.mode]);
  assert.equal(readFileSync(join(machine.root, policyPath), 'utf8'), '#!/bin/sh\nexit 0\n');
});

test('a run that was killed in between leaves nothing for ever', async (context) => {
  const broken = new Error('killed');
  const machine = machineFor(context, {
    during: (root) => {
      const [path, saved] = [join(root, policyPath), join(root, `${policyPath}.before-detour`)];
      // As it stands there at this moment, for the next run to find.
      put(root, '/left', readFileSync(path, 'utf8'));
      put(root, '/left-saved', readFileSync(saved, 'utf8'));
      throw broken;
    },
  });
  put(machine.root, policyPath, 'their own');
  await assert.rejects(prepare(wanted, machine), broken);
  assert.equal(readFileSync(join(machine.root, policyPath), 'utf8'), 'their own');

  for (const [from, to] of [
    ['left', policyPath],
    ['left-saved', `${policyPath}.before-detour`],
  ] as const) {
    put(machine.root, to, readFileSync(join(machine.root, from), 'utf8'));
  }
  assert.deepEqual(await prepare(wanted, machine), []);
  assert.equal(readFileSync(join(machine.root, policyPath), 'utf8'), 'their own');
  assert.ok(!existsSync(join(machine.root, `${policyPath}.before-detour`)));
});

test('what they have enabled is disabled, and nothing else', async (context) => {
  const machine = machineFor(context, {
    during: (root) => link(root, '/etc/systemd/system/hidden.service', '/dev/null'),
  });
  link(machine.root, `${wantsPath}/ssh.service`);
  link(machine.root, '/etc/rc2.d/S01cron');
  await prepare(wanted, machine);
  assert.deepEqual(startLinks(machine.root), [`${wantsPath}/ssh.service`, '/etc/rc2.d/S01cron']);
  const standing = spawnSync('ls', [join(machine.root, '/etc/rc2.d')], { encoding: 'utf8' }).stdout;
  assert.deepEqual(standing.trim().split('\n'), ['K01alpha', 'K01beta', 'K01gamma', 'S01cron']);
  assert.ok(
    spawnSync('test', ['-L', join(machine.root, '/etc/systemd/system/hidden.service')]).status ===
      0,
    'a unit that is forbidden stays forbidden',
  );
});

test('a package that apt does not know keeps no other away', async (context) => {
  const machine = machineFor(context, { unknown: ['beta'] });
  assert.deepEqual(names(await prepare(wanted, machine)), ['beta']);
  assert.deepEqual(machine.calls, [['alpha', 'gamma']]);
  assert.ok(machine.said.includes('apt cannot install beta: E: Unable to locate package …'));
});

test('packages that apt does not know are one sentence', async (context) => {
  const machine = machineFor(context, { unknown: ['alpha', 'beta', 'gamma'] });
  assert.equal((await prepare(wanted, machine)).length, 3);
  assert.deepEqual(machine.calls, []);
  assert.deepEqual(machine.said.slice(2), [
    'apt cannot install alpha, beta, gamma: E: Unable to locate package …',
  ]);
});

test('a package that fails keeps no other away', async (context) => {
  const machine = machineFor(context, { broken: ['alpha'] });
  assert.deepEqual(names(await prepare(wanted, machine)), ['alpha']);
  assert.ok(machine.said.includes('apt could not install alpha: E: alpha is broken'));
});

test('without a network it says so once and asks no more', async (context) => {
  const machine = machineFor(context, { offline: true });
  assert.deepEqual(names(await prepare(wanted, machine)), ['alpha', 'beta', 'gamma']);
  assert.equal(machine.calls.length, 1);
  assert.deepEqual(machine.said.slice(2), [
    'apt-get update failed: E: no network here',
    'apt could not install them together: E: cannot fetch',
  ]);
});

for (const [why, over] of [
  ['a person says no', { agree: async () => false }],
  ['it is not root', { mayInstall: false }],
] as const) {
  test(`nothing is installed where ${why}`, async (context) => {
    const machine = machineFor(context, {}, over);
    assert.deepEqual(names(await prepare(wanted, machine)), ['alpha', 'beta', 'gamma']);
    assert.deepEqual(machine.calls, []);
  });
}
