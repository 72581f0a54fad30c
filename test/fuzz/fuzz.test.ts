// What the fuzzer found, for ever after, and a few fresh inputs of each target: the same ones each
// time. `npm run fuzz` is the long one. A new finding is kept in test/fuzz/found/.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fuzz, kept, replay } from './harness.ts';
import { targets } from './targets.ts';

/** Inputs that never get anywhere prove nothing: each of these must be reached. */
const wanted: Readonly<Record<string, readonly string[]>> = {
  dns: ['a message', 'no message', 'asked: reply', 'asked: malformed', 'walked: found', 'written'],
  vendors: ['read ok', 'write ok', 'write uncertain', 'read unavailable'],
  config: ['taken', 'refused'],
  control: ['a command', 'cut', 'HTTP/1.1 200', 'HTTP/1.1 400'],
  probes: [
    ...['http pass', 'http fail', 'blackbox pass', 'blackbox blind', 'proxy blind', 'tcp pass'],
    ...['grpc fail', 'health read', 'query samples', 'query trouble', 'push heard', 'push refused'],
  ],
  marker: ['a marker', 'no marker', 'started', 'a document is refused', 'the file is refused'],
};

/** About two seconds each on a machine of its own. */
const inputs: Readonly<Record<string, number>> = {
  dns: 400,
  vendors: 40,
  config: 40,
  control: 60,
  probes: 140,
  marker: 300,
};

describe('what was found is found no more', () => {
  for (const target of targets.filter(({ name }) => kept(name).length > 0)) {
    test(`${target.name}: ${kept(target.name).length} kept inputs`, async () => {
      assert.deepEqual(await replay(target), []);
    });
  }

  test('every kept input belongs to a target', () => {
    const known = targets.flatMap(({ name }) => kept(name).map(({ file }) => file));
    const names = readdirSync(new URL('./found/', import.meta.url));
    assert.deepEqual(
      names.filter((name) => !known.includes(name)),
      [],
    );
  });
});

describe('mutated inputs break no promise', () => {
  for (const target of targets) {
    test(target.name, async (t) => {
      const count = inputs[target.name];
      assert.ok(count !== undefined, 'say how many inputs are enough for this target');
      let missed: readonly string[] = wanted[target.name]!;
      // What a busy machine is too slow to reach with one seed's inputs it reaches with another's.
      for (let seed = 1; missed.length > 0 && seed <= 5; seed++) {
        const report = await fuzz(target, { seed, inputs: count, forMs: 60_000 });
        t.diagnostic(`${report.inputs} inputs in ${report.seconds.toFixed(1)} s`);
        assert.deepEqual(report.findings, []);
        assert.equal(report.inputs, count);
        missed = missed.filter((what) => !(what in report.reached));
      }
      assert.deepEqual(missed, [], 'not reached');
    });
  }
});
