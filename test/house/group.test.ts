// What is under deploy/ for a group of replicas on machines: units and scripts that agree with the
// configuration beside them and ask for no more than they need. The etcd is in etcd.test.ts, Kubernetes
// in kubernetes.test.ts; nothing here starts anything but systemd-analyze, which reads files.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const deploy = fileURLToPath(new URL('../../deploy', import.meta.url));
const read = (path: string) => readFileSync(join(deploy, path), 'utf8');

const units = ['detour.service', 'detour-etcd.service', 'detour-etcd-backup.service'];
const onPath = (process.env['PATH'] ?? '').split(':');
const hasAnalyze = onPath.some((d) => existsSync(join(d, 'systemd-analyze')));
const skip = hasAnalyze || process.env['CI'] ? false : 'systemd-analyze is not installed';

test('systemd takes the units of a group, and finds little to object to', { skip }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'detour-units-'));
  after(() => rmSync(directory, { recursive: true, force: true }));
  cpSync(join(deploy, 'systemd'), directory, { recursive: true });
  // Programs that this machine need not have.
  for (const unit of units) {
    const text = read(`systemd/${unit}`).replace(
      /^ExecStart=\/usr\/bin\/\w+/m,
      'ExecStart=/bin/true',
    );
    writeFileSync(join(directory, unit), text);
  }
  const analyze = (...args: readonly string[]) => {
    const done = spawnSync('systemd-analyze', args, { encoding: 'utf8', timeout: 60_000 });
    return { status: done.status, said: `${done.stdout}${done.stderr}` };
  };
  for (const unit of [...units, 'detour-etcd-backup.timer']) {
    const { status, said } = analyze('verify', '--man=no', join(directory, unit));
    assert.equal(status, 0, said);
    assert.doesNotMatch(said, /detour/, said);
  }
  for (const unit of units) {
    const file = join(directory, unit);
    assert.equal(analyze('security', '--offline=true', '--threshold=25', file).status, 0, unit);
  }
  writeFileSync(join(directory, 'detour.service.d', 'group.conf'), '[Service]\nLoadCredentail=x\n');
  assert.match(analyze('verify', '--man=no', join(directory, 'detour.service')).said, /Credentail/);
});

test('the units of a group hand the daemon what its configuration names', () => {
  const named = [...read('group.yaml').matchAll(/\{ credential: ([a-z-]+) \}/g)].map(([, n]) => n);
  const text = read('systemd/detour.service') + read('systemd/detour.service.d/group.conf');
  assert.ok(named.length > 3);
  assert.match(text, /^LoadCredential=detour:\/etc\/detour\/credentials$/m, 'all that lie there');
  assert.match(text, /^EnvironmentFile=\/etc\/detour\/replica\.env$/m);
  assert.doesNotMatch(
    text,
    /^Requires=/m,
    'with its own member down a replica works by the others',
  );
  const backup = read('systemd/detour-etcd-backup.service');
  const run = /^ExecStart=\/bin\/sh \/etc\/detour-etcd\/(\S+) \/var\/lib\/(\S+) /m.exec(backup)!;
  assert.ok(existsSync(join(deploy, 'etcd', run[1]!)));
  assert.equal(/^StateDirectory=(.+)$/m.exec(backup)![1], run[2]);
});

test('every script of etcd is one that sh takes, and says how it is used when it is used wrongly', () => {
  for (const name of ['certificates.sh', 'users.sh', 'backup.sh', 'restore.sh']) {
    const path = join(deploy, 'etcd', name);
    assert.equal(spawnSync('sh', ['-n', path]).status, 0, name);
    const done = spawnSync('sh', [path], { encoding: 'utf8' });
    assert.equal(done.status, 2, name);
    assert.ok(done.stderr.includes(`${name} `), done.stderr);
    assert.doesNotMatch(done.stderr, /^set -eu/m, 'its head, and no more');
  }
});
