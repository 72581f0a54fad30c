// What a seal is worth: only the very text, for the very key and purpose, in the very group, opens; and
// a digest of documents is another as soon as one of them is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSeal, digestOf, macIn } from '../../src/cluster/sealed.ts';

const [now, before, strange] = ['a', 'b', 'c'].map((letter) => letter.repeat(43)) as [
  string,
  string,
  string,
];
const what = { term: 3, number: 12, text: '{"a":"ü\n1"}' };

test('what was sealed opens as it was, by the current key and by one that is retired', () => {
  const raw = createSeal([now], ['shop']).close('document', 'doc/x', what);
  assert.deepEqual(createSeal([now], ['shop']).open('document', 'doc/x', raw), what);
  assert.deepEqual(createSeal([strange, now], ['shop']).open('document', 'doc/x', raw), what);
  assert.equal(createSeal([strange], ['shop']).open('document', 'doc/x', raw), null);
  const old = createSeal([before, now], ['shop']).close('document', 'doc/x', what);
  assert.equal(createSeal([now], ['shop']).open('document', 'doc/x', old), null, 'the first signs');
});

test('nothing of it can be changed, and it stands for nothing else', () => {
  const seal = createSeal([now], ['shop']);
  const raw = seal.close('document', 'doc/x', what);
  assert.equal(seal.open('order', 'doc/x', raw), null);
  assert.equal(seal.open('document', 'doc/y', raw), null);
  assert.equal(createSeal([now], ['shop2']).open('document', 'doc/x', raw), null);
  assert.equal(createSeal([now], ['sho', 'p']).open('document', 'doc/x', raw), null);
  assert.equal(seal.open('document', 'doc/x', raw.replace(' 3 12 ', ' 3 13 ')), null);
  assert.equal(seal.open('document', 'doc/x', raw.replace(' 3 12 ', ' 4 12 ')), null);
  assert.equal(seal.open('document', 'doc/x', `${raw} `), null);
  // The same characters, cut between the fields at another place.
  const shifted = seal.close('document', 'doc/', { ...what, text: `x${what.text}` });
  assert.notEqual(macIn(shifted), macIn(raw));
  for (let i = 0; i < raw.length; i++) {
    const code = String.fromCharCode(raw.charCodeAt(i) ^ 1);
    const bent = raw.slice(0, i) + code + raw.slice(i + 1);
    const opened = seal.open('document', 'doc/x', bent);
    // The last character of base64url bears two bits that nobody reads.
    if (opened !== null) assert.deepEqual(opened, what);
  }
});

test('what nobody sealed does not open and does not throw', () => {
  const seal = createSeal([now], ['shop']);
  for (const raw of ['', 'x', 'detour1 1 1 x\n', `detour1 1 1 ${'A'.repeat(43)}\n{}`, '\u0000']) {
    assert.equal(seal.open('head', 'head', raw), null);
  }
});

test('a digest tells documents apart by key, by content and by their being there', () => {
  const one = new Map([
    ['doc/a', 'm1'],
    ['doc/b', 'm2'],
  ]);
  const same = new Map([...one].reverse());
  assert.equal(digestOf(one), digestOf(same));
  const others = [
    new Map([['doc/a', 'm1']]),
    new Map([...one, ['doc/c', 'm3']]),
    new Map([...one, ['doc/a', 'm9']]),
    new Map([
      ['doc/a', 'm2'],
      ['doc/b', 'm1'],
    ]),
    new Map(),
  ];
  for (const other of others) assert.notEqual(digestOf(other), digestOf(one));
});
