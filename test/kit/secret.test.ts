// Secrets: read with a bound and without waiting, by names that cannot leave their directory; and
// what is made of them made again when they change, with what is under way left alone.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Renewal, Renewed } from '../../src/kit/renew.ts';
import { type SecretRef, secretRef } from '../../src/kit/schema.ts';
import { markOfSecret, readSecret, SecretError } from '../../src/kit/secret.ts';

const root = mkdtempSync(join(tmpdir(), 'detour-secret-'));
after(() => rmSync(root, { recursive: true }));

const file = (name: string) => join(root, name);
const isRefused = (ref: SecretRef, words: RegExp, env = {}) =>
  assert.throws(
    () => readSecret(ref, env),
    (error: Error) => error instanceof SecretError && words.test(error.message),
  );

test('a secret from a file that never ends, or that nobody writes, is refused at once', () => {
  isRefused({ file: '/dev/zero' }, /file \/dev\/zero is no plain file/);
  const pipe = file('pipe');
  assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
  isRefused({ file: pipe }, /is no plain file/);
  isRefused({ file: root }, /is no plain file/);
  writeFileSync(file('large'), 'x'.repeat(65_537));
  isRefused({ file: file('large') }, /larger than 64 KiB/);
  writeFileSync(file('full'), 'x'.repeat(65_536));
  assert.equal(readSecret({ file: file('full') }, {}).length, 65_536);
  writeFileSync(file('line'), 'sesame\r\n');
  assert.equal(readSecret({ file: file('line') }, {}), 'sesame');
});

test('the name of a credential is one part of a path', () => {
  const directory = file('credentials');
  mkdirSync(directory);
  writeFileSync(join(directory, 'token'), 'sesame');
  writeFileSync(file('outside'), 'not for it');
  const env = { CREDENTIALS_DIRECTORY: directory };
  assert.equal(readSecret({ credential: 'token' }, env), 'sesame');
  for (const credential of ['../outside', '/etc/hostname', '..', '.', 'a/b', 'a\0b', '']) {
    isRefused({ credential }, /one part of a path/, env);
    assert.equal(secretRef.safeParse({ credential }).success, false, credential);
  }
  assert.equal(secretRef.safeParse({ credential: 'cf-token' }).success, true);
});

test('of a folder that systemd hands over each file is a credential, and one of its own goes before', () => {
  const directory = file('folder');
  mkdirSync(directory);
  const env = { CREDENTIALS_DIRECTORY: directory };
  writeFileSync(join(directory, 'detour_token'), 'of the folder');
  assert.equal(readSecret({ credential: 'token' }, env), 'of the folder');
  const before = markOfSecret({ credential: 'token' }, env);
  assert.notEqual(before, 'none');
  writeFileSync(join(directory, 'token'), 'its own');
  assert.equal(readSecret({ credential: 'token' }, env), 'its own');
  assert.notEqual(markOfSecret({ credential: 'token' }, env), before);
  isRefused({ credential: 'other' }, /^credential other/, env);
});

/** A thing that knows what it was made of, and whether it was closed. */
function things(ref: SecretRef) {
  const env = {};
  const made: { readonly text: string; closed: boolean; close(): void }[] = [];
  const told: Renewal[] = [];
  const renewed = new Renewed(
    { read: (one) => readSecret(one, env), mark: (one) => markOfSecret(one, env) },
    (secret) => {
      const thing = {
        text: secret(ref),
        closed: false,
        close() {
          thing.closed = true;
        },
      };
      made.push(thing);
      return thing;
    },
    { told: (renewal) => told.push(renewal), graceMs: 3_600_000, lookMs: 0 },
  );
  return { renewed, made, told };
}

test('what was made of a file is made again when the file changes, however it changes', () => {
  const path = file('key');
  const changes: Readonly<Record<string, (text: string) => void>> = {
    'written over': (text) => writeFileSync(path, text),
    'put in its place': (text) => {
      writeFileSync(`${path}.new`, text);
      renameSync(`${path}.new`, path);
    },
    'led to by another link': (text) => {
      const version = mkdtempSync(join(root, 'v'));
      writeFileSync(join(version, 'key'), text);
      symlinkSync(join(version, 'key'), `${path}.link`);
      renameSync(`${path}.link`, path);
    },
  };
  for (const [how, change] of Object.entries(changes)) {
    rmSync(path, { force: true });
    change('first');
    const { renewed, made, told } = things({ file: path });
    const before = renewed.get();
    assert.equal(renewed.get(), before, 'nothing is made again without need');
    change('second');
    assert.equal(renewed.get().text, 'second', how);
    assert.equal(before.closed, false, 'what is under way goes on');
    change('second');
    renewed.get();
    assert.equal(made.length, 2, 'the same text again changes nothing');
    assert.deepEqual(told, [{ kind: 'renewed', why: null }]);
    renewed.close();
    assert.ok(made.every(({ closed }) => closed));
  }
});

test('a file that is gone, empty or endless keeps what was made, and says why once', () => {
  const path = file('fragile');
  writeFileSync(path, 'first');
  const { renewed, told } = things({ file: path });
  rmSync(path);
  for (let n = 0; n < 3; n++) assert.equal(renewed.get().text, 'first');
  assert.equal(told.length, 1);
  assert.match(told[0]!.why!, /fragile is not there: make it readable/);
  writeFileSync(path, '');
  renewed.get();
  assert.match(told[1]!.why!, /fragile is empty/);
  writeFileSync(path, 'second');
  assert.equal(renewed.get().text, 'second');
  assert.equal(told.at(-1)!.kind, 'renewed');
  renewed.close();
});

test('a refusal has the text compared though the file looks the same', () => {
  let text = 'first';
  let reads = 0;
  const renewed = new Renewed(
    {
      mark: () => 'the same for ever',
      read: () => {
        reads++;
        return text;
      },
    },
    (secret) => ({ text: secret({ env: 'KEY' }), close() {} }),
    { graceMs: 0, lookMs: 0 },
  );
  text = 'second';
  assert.equal(renewed.get().text, 'first');
  assert.equal(reads, 1, 'nothing is read while nothing seems to have changed');
  renewed.refused();
  assert.equal(renewed.get().text, 'second');
  renewed.close();
});
