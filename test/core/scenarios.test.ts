// Every scenario file, played against the engine alone. UPDATE=1 rewrites the traces.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { play } from './scenario.ts';

const folder = new URL('../scenarios/', import.meta.url);
const update = process.env['UPDATE'] === '1';

// The folders below have players of their own.
for (const file of readdirSync(folder)
  .filter((name) => name.endsWith('.txt'))
  .sort()) {
  test(`scenario ${file}`, () => {
    const url = new URL(file, folder);
    const text = readFileSync(url, 'utf8');
    const played = play(text);
    if (update) return writeFileSync(url, played.text);
    for (const { want, got } of played.failures) assert.equal(got, want);
    assert.ok(text.includes('----'), 'a scenario expects something');
  });
}
