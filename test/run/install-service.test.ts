// `detour install-service` on a machine in a folder: what it would do and does, that twice is once,
// and each thing for which it refuses. Nothing of this machine is touched.

import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { installService, type Place, unitFor } from '../../src/run/install-service.ts';

const text = readFileSync(new URL('../../deploy/systemd/detour.service', import.meta.url), 'utf8');
const unit = () => text;
const [node, program] = ['/opt/node/bin/node', '/srv/detour/bin/detour.cjs'];

interface Small extends Place {
  readonly calls: string[];
}

function placeFor(context: TestContext, over: Partial<Place> = {}): Small {
  const root = mkdtempSync(join(tmpdir(), 'detour-service-'));
  context.after(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, 'run/systemd/system'), { recursive: true });
  const calls: string[] = [];
  let isThere = false;
  return {
    ...{ root, isRoot: true, node, program, calls },
    run(name, ...args) {
      const line = [name, ...args].join(' ');
      if (name === 'getent') return { status: isThere ? 0 : 2, out: '' };
      if (name === 'id') return { status: 0, out: '998' };
      calls.push(line);
      if (name === 'useradd') isThere = true;
      return { status: 0, out: '' };
    },
    own: (path, group) => void calls.push(`own ${path.slice(root.length)} ${group}`),
    ...over,
  };
}

const unitAt = 'etc/systemd/system/detour.service';

test('it does what it said it would, and the second time nothing', (context) => {
  const place = placeFor(context);
  const said = installService({ ...place, isRoot: false }, unit, true);
  assert.equal(said.exit, 0);
  assert.match(said.message, /^would: useradd --system .* detour$/m);
  assert.match(said.message, /^would: folder \/etc\/detour, root:detour, mode 0750$/m);
  assert.match(said.message, /^would: folder \/etc\/detour\/credentials, root:root, mode 0700$/m);
  assert.match(said.message, /^would: unit \/etc\/systemd\/system\/detour\.service, for \/srv\//m);
  assert.deepEqual(place.calls, ['systemctl --version'], 'nothing was done');
  assert.ok(!existsSync(join(place.root, 'etc')));

  const done = installService(place, unit, false);
  assert.equal(done.message.replaceAll(/^done/gm, 'would'), said.message);
  const { calls, root } = place;
  assert.deepEqual(calls.slice(2), [
    'useradd --system --user-group --home-dir /var/lib/detour --shell /usr/sbin/nologin detour',
    'own /etc/detour 998',
    'own /etc/detour/credentials 0',
    'systemctl daemon-reload',
  ]);
  assert.equal(statSync(join(root, 'etc/detour/credentials')).mode & 0o777, 0o700);
  const written = readFileSync(join(root, unitAt), 'utf8');
  assert.match(
    written,
    /^ExecStart=\/opt\/node\/bin\/node --max-\S+ \/srv\/detour\/bin\/detour\.cjs run /m,
  );
  assert.doesNotMatch(written.replace(/^#.*$/gm, ''), /\/opt\/detour|\/usr\/bin\/node/);

  const before = calls.length;
  const again = installService(place, unit, false);
  assert.match(again.message, /^all of it was there already; nothing was done\nNext: /);
  assert.deepEqual(calls.slice(before), ['systemctl --version']);
});

test('a unit that stands there is kept beside the new one', (context) => {
  const place = placeFor(context);
  const at = join(place.root, unitAt);
  mkdirSync(dirname(at), { recursive: true });
  writeFileSync(at, '[Service]\nExecStart=/older\n');
  assert.match(installService(place, unit, false).message, /kept as detour\.service\.old$/m);
  assert.equal(readFileSync(`${at}.old`, 'utf8'), '[Service]\nExecStart=/older\n');
  assert.equal(readFileSync(at, 'utf8'), unitFor(text, node, program));
});

test('it refuses with the cure, and has done nothing', (context) => {
  const without = { run: () => ({ status: null, out: '' }) };
  for (const [over, words] of [
    [{ isRoot: false }, /run it as root \(sudo\), or see it first with --dry-run/],
    [
      { node: '/root/.nvm/bin/node' },
      /sees nothing below \/home.* install Detour and its Node else/,
    ],
    [{ program: '/home/ann/detour/bin/detour.cjs' }, /^\/home\/ann/],
    [{ program: '/opt/a b/bin/detour.cjs' }, /cannot name this path/],
    [without, /no systemd here/],
  ] as const) {
    const place = placeFor(context, over);
    const { exit, message } = installService(place, unit, false);
    assert.equal(exit, 1, message);
    assert.match(message, words);
    assert.ok(!existsSync(join(place.root, 'etc')));
  }
  const packaged = placeFor(context);
  mkdirSync(join(packaged.root, 'usr/lib/systemd/system'), { recursive: true });
  writeFileSync(join(packaged.root, 'usr/lib/systemd/system/detour.service'), '');
  assert.match(installService(packaged, unit, false).message, /a package brought it/);
  assert.deepEqual(packaged.calls, []);
});

test('what the system refuses is said, and what was done stays done', (context) => {
  const place = placeFor(context);
  const run: Place['run'] = (name, ...args) =>
    name === 'useradd' ? { status: 1, out: 'no room' } : place.run(name, ...args);
  const { exit, message } = installService({ ...place, run }, unit, false);
  assert.equal(exit, 1);
  assert.match(message, /^useradd --system .*: no room; run it again when that is mended$/);
});

test('a unit that is not the one of this house is not rewritten', () => {
  assert.throws(() => unitFor('[Service]\nExecStart=/bin/true\n', node, program), /does not start/);
});
