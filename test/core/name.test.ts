// How names lie within each other: by whole labels.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ancestors, isWithin } from '../../src/core/name.ts';

test('a name is within a zone by whole labels only', () => {
  for (const [name, zone, within] of [
    ['example.net.', 'example.net.', true],
    ['www.example.net.', 'example.net.', true],
    ['a.b.example.net.', 'example.net.', true],
    ['evilexample.net.', 'example.net.', false],
    ['www.evilexample.net.', 'example.net.', false],
    ['example.net.', 'www.example.net.', false],
    ['net.', 'example.net.', false],
    ['www.example.net.', '.', true],
    ['.', '.', true],
  ] as const) {
    assert.equal(isWithin(name, zone), within, `${name} within ${zone}`);
  }
});

test('above a name is everything but the root', () => {
  assert.deepEqual(ancestors('a.b.example.'), ['a.b.example.', 'b.example.', 'example.']);
});
