// How names lie within each other, and how they are shown: by whole labels.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ancestors,
  asciiOf,
  besideShown,
  graphemes,
  inScript,
  isWithin,
  spelt,
  unrooted,
  width,
  withAscii,
} from '../../src/core/name.ts';

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

const spelling = { 'xn--fsqu00a': '例子' };

test('names in a text are shown as they were written, by whole labels only', () => {
  for (const [text, shown] of [
    ['www.xn--fsqu00a.example. leads to tokyo', 'www.例子.example. leads to tokyo'],
    ['_detour.xn--fsqu00a.example', '_detour.例子.example'],
    ['"xn--fsqu00a.example." (known: xn--fsqu00a)', '"例子.example." (known: 例子)'],
    // A stranger's, and what only ends or begins like ours.
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ['a-xn--fsqu00a.example xn--fsqu00a-b.example', 'a-xn--fsqu00a.example xn--fsqu00a-b.example'],
    ['xn--constructor.example', 'xn--constructor.example'],
  ] as const) {
    assert.equal(inScript(text, spelling), shown);
  }
  assert.equal(
    unrooted('www.例子.中国.: on 例子.example. now'),
    'www.例子.中国: on 例子.example now',
  );
  assert.equal(
    withAscii('www.xn--fsqu00a.example.', spelling),
    'www.例子.example (www.xn--fsqu00a.example)',
  );
  assert.equal(withAscii('www.example.', spelling), 'www.example');
});

test('a document for people has the name in ASCII beside, one for programs the other way round', () => {
  const ascii = 'www.xn--fsqu00a.example.';
  const own = 'www.例子.example.';
  const document = {
    spelling,
    records: [{ name: ascii, names: [ascii], stay: { sentence: `${ascii} stays` } }],
    notices: [{ record: ascii }, { record: null }],
    by: { [ascii]: 1 },
  };
  const people = spelt(document, spelling);
  assert.deepEqual(people, {
    spelling,
    records: [{ name: own, names: [own], stay: { sentence: `${own} stays` }, ascii }],
    notices: [{ record: own, ascii }, { record: null }],
    by: { [own]: 1 },
  });
  assert.deepEqual(people.records.map(asciiOf), [ascii]);
  assert.deepEqual(besideShown(document, spelling), {
    ...document,
    records: [{ ...document.records[0], shown: own }],
    notices: [{ record: ascii, shown: own }, { record: null }],
  });
  assert.equal(spelt(document, undefined), document);
});

test('a text takes the columns of its signs, whichever way they are counted', () => {
  for (let code = 0x20; code < 0x2200; code++) {
    const text = `a${String.fromCodePoint(code)}b`;
    // With a sign of another kind behind it, every sign of the text is looked at.
    assert.equal(width(`${text}负`), width(text) + 2, code.toString(16));
  }
  assert.equal(width('é→…·'), 4);
  assert.equal(width('e\u0301'), 1);
  assert.equal(width('负载'), 4);
  assert.deepEqual([...graphemes('e\u0301x')], ['e\u0301', 'x']);
});
