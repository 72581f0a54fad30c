// Keys as files: while the unit is dead its credentials are found where systemd has them, or one line
// says why not and what to do; and what of them can be looked at offline is.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { ConfigError, lookAtConfig } from '../../src/run/build.ts';
import { locateCredential } from '../../src/run/credentials.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'detour-root-'));
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function put(path: string, text: string): string {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

const find = (name: string, unit?: string) => {
  const found = locateCredential(name, unit, root);
  return found.ok ? found.path.slice(root.length + 1) : found.sentence;
};

test('what a living unit was given comes before the files that it names', () => {
  const source = put('keys/cf-token', 'x');
  put('usr/lib/systemd/system/detour.service', `[Service]\nLoadCredential=cf-token:${source}\n`);
  assert.equal(find('cf-token'), 'keys/cf-token');
  put('run/credentials/detour.service/cf-token', 'x');
  assert.equal(find('cf-token'), 'run/credentials/detour.service/cf-token');
});

test('what is dropped in beside the unit is taken too, by name and by the strongest folder', () => {
  const keys = ['a', 'b', 'c'].map((name) => put(`keys/${name}`, name));
  put('usr/lib/systemd/system/detour.service', `LoadCredential=cf-token:${keys[0]}\n`);
  put('usr/lib/systemd/system/detour.service.d/20.conf', `LoadCredential = cf-token:${keys[1]}\n`);
  assert.equal(find('cf-token'), 'keys/b');
  // The same name in a stronger folder hides it.
  put('etc/systemd/system/detour.service.d/20.conf', '[Service]\n');
  assert.equal(find('cf-token'), 'keys/a');
  put('etc/systemd/system/detour.service.d/30.conf', 'LoadCredential=\n');
  assert.match(find('cf-token'), /^no LoadCredential of detour\.service names it here: set CRED/);
  put('etc/systemd/system/detour.service', `LoadCredential=cf-token:${keys[2]}\n`);
  rmSync(join(root, 'etc/systemd/system/detour.service.d/30.conf'));
  assert.equal(find('cf-token'), 'keys/c', 'a unit in /etc hides that of the package');
});

test('a folder of the unit holds every credential, unless one is named', () => {
  const folder = dirname(put('folder/own-token', 'x'));
  put('etc/systemd/system/detour.service', `LoadCredential=detour:${folder}\n`);
  assert.equal(find('own-token'), 'folder/own-token');
  assert.match(
    find('no-token'),
    /folder\/no-token, which detour\.service names, .*run this as root/,
  );
  put('run/credentials/detour.service/detour_own-token', 'x');
  assert.equal(find('own-token'), 'run/credentials/detour.service/detour_own-token');
  put('etc/systemd/system/detour.service', '');
});

test('what cannot be had is said in one line, with what to do', () => {
  assert.match(
    find('cf-token'),
    /or run this as root where that unit is \(DETOUR_UNIT names another/,
  );
  put('etc/systemd/system/detour.service', 'LoadCredential=cf-token:/nonexistent/cf-token\n');
  assert.equal(
    find('cf-token'),
    '/nonexistent/cf-token, which detour.service names, is not there: run this as root',
  );
  put(
    'etc/systemd/system/detour.service',
    'LoadCredential=cf-token:relative\n#LoadCredential=a:/b\n',
  );
  assert.match(
    find('cf-token'),
    /^no LoadCredential/,
    'a path of systemd’s own is not one of ours',
  );
  assert.match(find('a'), /^no LoadCredential/, 'a comment names nothing');
  for (const word of ['../../etc/shadow', 'a/b.service', 'detour', '']) {
    assert.match(find('cf-token', word), /expected the name of a unit/, word);
  }
  for (const path of ['etc/systemd/system/shop.service']) {
    put(path, `LoadCredential=cf-token:${put('keys/other', 'x')}\n`);
    assert.equal(find('cf-token', 'shop.service'), 'keys/other');
  }
});

test('validate looks at the files of secrets: absent is a warning, useless is a problem', async () => {
  const path = join(root, 'detour.yaml');
  const secret = join(root, 'cf-token');
  const text = `
cluster: shop
providers:
  cf: { type: cloudflare, apiToken: { file: ${secret} }, zone: example.net }
paths: { here: { site: a } }
origins:
  a: { cloud: x, checks: { web: { tcp: "a.example:443" } } }
  b: { cloud: y, checks: { web: { tcp: "b.example:443" } } }
records:
  www.example.net:
    publish: [cf]
    ttl: 60
    targets: [{ origin: a, cname: a.example }, { origin: b, cname: b.example }]
`;
  writeFileSync(path, text);
  const look = async () => {
    try {
      return (await lookAtConfig(path, { byName: true })).warnings.filter((w) => w.includes('cf-'));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return error.problems;
    }
  };
  const absent = `providers.cf: file ${secret} is not there (it must be, where the daemon runs)`;
  assert.deepEqual(await look(), [absent]);
  writeFileSync(secret, '');
  assert.deepEqual(await look(), [`providers.cf: file ${secret} is empty`]);
  writeFileSync(secret, 'token');
  assert.deepEqual(await look(), []);
  rmSync(secret);
  mkdirSync(secret);
  assert.deepEqual(await look(), [`providers.cf: file ${secret} is no plain file`]);
});
