// The conformance suite fails where the contract is broken: each careless provider of careless.ts
// is caught by the test that is there for it, and the same provider with care passes them all.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const file = join(dirname(fileURLToPath(import.meta.url)), 'careless.ts');

/** What is broken, and the test that must say so. */
const broken: readonly (readonly [manner: string, test: string])[] = [
  ['forgets-a-name', 'one answer for every name'],
  ['asks-nothing', 'one answer for every name'],
  ['spoils-a-reading', 'a name in nobody’s zone'],
  ['blames-the-account', 'one zone is sick'],
  ['remembers-what-it-read', 'a TTL alone is moved'],
  ['writes-blindly', 'a stale writer loses, and nothing'],
  ['claims-to-be-done', 'a stale writer loses against a marker'],
  ['answers-backwards', 'a change in nobody’s zone'],
  ['leaves-the-marker', 'a name nobody owns'],
  ['counts-nothing', 'calls are counted'],
  ['hears-no-signal', 'told to stop before it began'],
  ['looks-by-writing', 'looking whether it could be written'],
];

/** Runs the suite for one of them in a process of its own: those of its tests with such a name. */
function suite(manner: string, names: string): { readonly status: number | null; out: string } {
  const args = ['--test', '--test-reporter=tap', `--test-name-pattern=${names}`, file];
  const { NODE_TEST_CONTEXT: _, ...rest } = process.env;
  const done = spawnSync(process.execPath, args, {
    env: { ...rest, CARELESS: manner },
    encoding: 'utf8',
    timeout: 120_000,
  });
  return { status: done.status, out: `${done.stdout}${done.stderr}` };
}

describe('the conformance suite', () => {
  for (const [manner, name] of broken) {
    test(`${manner} is caught by "${name} …"`, () => {
      const { status, out } = suite(manner, name);
      assert.notEqual(status, 0, out);
      const caught = out.split('\n').some((line) => /^\s*not ok/.test(line) && line.includes(name));
      assert.ok(caught, out);
    });
  }

  test('with care, every one of these tests passes', () => {
    const names = broken.map(([, name]) => name).join('|');
    const { status, out } = suite('none', names);
    assert.equal(status, 0, out);
    const passed = new Set(broken.map(([, name]) => name).filter((name) => out.includes(name)));
    assert.equal(passed.size, new Set(broken.map(([, name]) => name)).size, out);
  });
});
