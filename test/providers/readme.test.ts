// The page about providers says what the code says: its matrix is written from the capabilities.
// `UPDATE=1` writes it anew.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { providerTypes } from '../../providers/index.ts';
import { matrix, withMatrix } from '../../tools/matrix.ts';

const path = new URL('../../providers/README.md', import.meta.url);
const all = Object.values(providerTypes).map((row) => row.capabilities);

test('providers/README.md is current (UPDATE=1 writes it)', () => {
  const page = readFileSync(path, 'utf8');
  const wanted = withMatrix(page, all);
  if (process.env.UPDATE) writeFileSync(path, wanted);
  else assert.equal(page, wanted, 'run UPDATE=1 node --test test/providers/readme.test.ts');
  assert.equal(withMatrix(wanted, all), wanted, 'writing it twice changes nothing');
});

test('it says of every vendor how strong its fence is, what it needs and what it refuses', () => {
  const text = matrix(all);
  for (const c of all) {
    assert.ok(text.includes(`\`${c.type}\``), c.type);
    const needed = c.permissions.flatMap(({ permission, note }) => [permission, note ?? '']);
    const refused = c.refuses.flatMap(({ word, note }) => [word, note ?? '']);
    for (const said of [...needed, ...refused]) assert.ok(text.includes(said), said);
    assert.ok(c.permissions.length > 0, `${c.type} needs at least one permission`);
    assert.ok(c.fence.note.length > 40, `${c.type} says how its fence works`);
  }
  const cloudflare = all.find((c) => c.type === 'cloudflare');
  assert.equal(cloudflare?.fence.kind, 'inferred');
  assert.match(text, /inferred.*unproven on the real API/);
});

test('a page without the enclosing lines is refused, not overwritten', () => {
  assert.throws(() => withMatrix('# Mine\n', all), /lacks the lines/);
});

test('every row stands under its own type, and its limits hold together', () => {
  for (const [type, row] of Object.entries(providerTypes)) {
    assert.equal(row.type, type);
    assert.equal(row.capabilities.type, type);
    const { readMax, writeMax, callsMax, quota } = row.capabilities;
    for (const n of [readMax, writeMax, callsMax, quota.burst]) {
      assert.ok(Number.isSafeInteger(n) && n > 0, `${type}: ${n}`);
    }
    assert.ok(quota.reserve < quota.burst, `${type}: the reserve is a part of the burst`);
  }
});
