// `detour init --key-only`: a key in a file of its own, and never over one that is there.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createKeyring } from '../../src/cluster/keyring.ts';
import { makeKey } from '../../src/run/key.ts';

test('a key is made for its owner alone, fit for use, and never over another', () => {
  const directory = mkdtempSync(join(tmpdir(), 'detour-key-'));
  try {
    const path = join(directory, 'cluster.key');
    const made = makeKey(path);
    assert.equal(made.exit, 0, made.message);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const text = readFileSync(path, 'utf8');
    assert.match(text, /^[\w-]{43}\n$/);
    assert.ok(!made.message.includes(text.trim()), 'it is not shown');
    assert.match(made.message, /clusterKey: .*\n.*token: /);
    createKeyring([text.trim()]);
    const again = makeKey(path);
    assert.equal(again.exit, 2);
    assert.match(again.message, /is there already/);
    assert.equal(readFileSync(path, 'utf8'), text);
    assert.equal(makeKey(join(directory, 'no', 'such', 'folder')).exit, 2);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
