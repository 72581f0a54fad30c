// The words between replicas as bytes: what is said is heard as it was, no bytes make the decoder
// throw, and nothing that is out of its bounds or not the teller's own comes through.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import {
  askLetter,
  beatLetter,
  callLetter,
  fromBytes,
  isTooMuch,
  LETTER_BYTES_MAX,
  type Letter,
  Names,
  replyLetter,
  tellingLetters,
  toBytes,
} from '../../src/cluster/letter.ts';
import type { Sighting, Telling } from '../../src/core/heard.ts';
import { type Json, outcomes, verdicts } from '../../src/core/model.ts';
import { sighting } from '../parts/eyes.ts';

const count = fc.nat(1000);
const age = fc.nat(1_000_000);
const name = fc.stringMatching(/^[a-z0-9-]{1,40}$/);
const sightings: fc.Arbitrary<Sighting> = fc.record({
  check: fc.tuple(name, name).map((both) => both.join('/')),
  path: name.map((path) => `hz-1/${path}`),
  hash: fc.stringMatching(/^[0-9a-f]{16}$/),
  verdict: fc.constantFrom(...verdicts),
  evidence: fc.nat(1_000_000).map((n) => n / 8),
  recovery: fc.nat(1_000_000).map((n) => n / 8),
  fails: count,
  passes: count,
  missed: count,
  passAgeMs: fc.option(age),
  failAgeMs: fc.option(age),
  openAgeMs: fc.option(age),
  heardAgeMs: age,
  outcome: fc.option(fc.constantFrom(...outcomes)),
  detail: fc.stringMatching(/^([a-z][a-z ]{0,80}[a-z])?$/).map((s) => s.replace(/ +/g, ' ')),
});
const tellings: fc.Arbitrary<Telling> = fc.record({
  replica: fc.constant('hz-1'),
  config: fc.stringMatching(/^[0-9a-f]{16}$/),
  paths: fc.array(
    fc.record({
      path: name.map((path) => `hz-1/${path}`),
      blind: fc.boolean(),
      lossPermille: fc.nat(1000),
    }),
    { maxLength: 4 },
  ),
  sightings: fc.array(sightings, { maxLength: 1200 }),
  whole: fc.boolean(),
  records: fc.option(
    fc.dictionary(
      name.map((n) => `${n}.gslb.test.`),
      fc.stringMatching(/^[0-9a-f]{16}$/),
      { noNullPrototype: true },
    ),
  ),
  blind: fc.boolean(),
  acts: fc.boolean(),
  head: fc.nat(),
  term: fc.nat(),
});

function decoded(bytes: Uint8Array, names = new Names(), replica = 'hz-1'): Letter {
  const read = fromBytes(bytes, replica, names);
  assert.ok('sealed' in read, JSON.stringify(read));
  return read.sealed.letter;
}

/** What comes of a telling that was carried by its letters. */
function carried(telling: Telling, out: Names, heard: Names): Telling {
  const letters = [...tellingLetters(telling, out)].map((l) => toBytes(1, 2, l));
  const pieces = letters.map((bytes) => {
    assert.ok(bytes.length <= LETTER_BYTES_MAX);
    const letter = decoded(bytes, heard);
    assert.ok(letter.kind === 'piece');
    return letter;
  });
  assert.deepEqual(
    pieces.map(({ more }) => more),
    pieces.map((_, i) => i < pieces.length - 1),
  );
  const { hasRecords, ...head } = pieces[0]!.head!;
  const records = pieces.flatMap((p) => p.records);
  return {
    replica: 'hz-1',
    ...head,
    sightings: pieces.flatMap((p) => p.sightings),
    records: hasRecords ? Object.fromEntries(records) : null,
  };
}

test('a telling comes through as it was, one after another on a connection', () => {
  fc.assert(
    fc.property(fc.array(tellings, { minLength: 1, maxLength: 3 }), (some) => {
      const [out, heard] = [new Names(), new Names()];
      for (const telling of some) {
        assert.deepEqual(carried(telling, out, heard), JSON.parse(JSON.stringify(telling)));
      }
      assert.equal(out.size, heard.size);
    }),
    { numRuns: 60 },
  );
});

test('names are said once; what is then told of a check is a few bytes', () => {
  const [out, heard] = [new Names(), new Names()];
  const all = Array.from({ length: 400 }, (_, i) =>
    sighting({ check: `origin-${i}/web`, path: 'hz-1/direct' }),
  );
  const telling = { ...empty, sightings: all };
  const bytes = () =>
    [...tellingLetters(telling, out)].reduce((n, l) => n + toBytes(1, 2, l).length, 0);
  const first = bytes();
  const later = bytes();
  assert.ok(later < first && later / 400 < 15, `${first} bytes, then ${later}`);
  assert.equal(heard.size, 0);
});

const empty: Telling = {
  replica: 'hz-1',
  config: 'c0ffee',
  paths: [],
  sightings: [],
  whole: true,
  records: null,
  blind: false,
  acts: false,
  head: 0,
  term: 0,
};

test('what is told never looks fresher or stronger than it is, and stays within bounds', () => {
  const odd = sighting({
    check: 'o/c',
    path: 'hz-1/p',
    evidence: 20.99999,
    passAgeMs: 10.2,
    heardAgeMs: Number.MAX_SAFE_INTEGER,
    fails: -3,
    detail: `\u001b[31mred\u0007 \u202e${'x'.repeat(500)}`,
  });
  const [got] = carried({ ...empty, sightings: [odd] }, new Names(), new Names()).sightings;
  assert.equal(got!.evidence, 20.999);
  assert.equal(got!.passAgeMs, 11);
  assert.equal(got!.heardAgeMs, 2_147_483_647);
  assert.equal(got!.fails, 0);
  assert.match(got!.detail, /^\[31mred x{100,}$/);
  assert.ok(got!.detail.length <= 200);
});

test('calls, questions and answers come through; what is too much is left out', () => {
  const via = (letter: readonly Json[]) => decoded(toBytes(7, 3, letter));
  assert.deepEqual(via(beatLetter), { kind: 'beat' });
  const call = { kind: 'call', checks: ['o/a', 'o/b'], why: 'confirm' } as const;
  assert.deepEqual(via(callLetter(call.checks, call.why)), call);
  const many = via(callLetter(Array(20_000).fill('o/a'), 'fresh'));
  assert.equal(many.kind === 'call' && many.checks.length, 10_000);
  const query = { kind: 'history', limit: 7, before: 90, record: 'www.gslb.test.' } as const;
  assert.deepEqual(via(askLetter(3, query)), { kind: 'ask', id: 3, query });
  const all = via(askLetter(4, { kind: 'history', limit: 1e9 }));
  assert.deepEqual(all, { kind: 'ask', id: 4, query: { kind: 'history', limit: 1000 } });
  const docs = { kind: 'documents' } as const;
  assert.deepEqual(via(askLetter(5, docs)), { kind: 'ask', id: 5, query: docs });
  const reply = { kind: 'reply', id: 5, state: 'more', rows: [['record/a', { a: 1 }]] } as const;
  assert.deepEqual(via(replyLetter(5, 'more', reply.rows)), reply);
});

test('a kind of letter or of call that only a later version knows is read over', () => {
  for (const letter of [
    ['z', 1, 2],
    ['q', 1, 'newer'],
    ['c', 7, []],
  ] as Json[][]) {
    assert.deepEqual(decoded(toBytes(1, 1, letter)), { kind: 'other' }, String(letter));
  }
  const [row] = tellingLetters({ ...empty, sightings: [sighting(one)] }, new Names());
  const longer = structuredClone(row) as Json[];
  (longer[4] as Json[][])[0]!.push('a detail', 'and one field more');
  longer.push('more');
  assert.equal(decoded(toBytes(1, 1, longer)).kind, 'piece');
});

const one = { check: 'o/c', path: 'hz-1/p' };

/** What is said of a telling's letter with something else at one place in it. */
function changed(place: readonly number[], to: Json): string {
  const paths = [{ path: 'hz-1/p', blind: false, lossPermille: 3 }];
  const telling = { ...empty, paths, sightings: [sighting(one)] };
  const [letter] = tellingLetters(telling, new Names());
  const copy = put(letter as Json, place, to) as Json[];
  const read = fromBytes(toBytes(1, 1, copy), 'hz-1', new Names());
  return 'problem' in read ? read.problem : 'taken';
}

function put(value: Json | undefined, [at, ...rest]: readonly number[], to: Json): Json {
  if (at === undefined) return to;
  const copy = [...(value as Json[])];
  copy[at] = put(copy[at], rest, to);
  return copy;
}

test('what is out of its bounds is refused', () => {
  assert.equal(changed([4, 0, 0], 0), 'taken');
  const rows: readonly (readonly [what: string, place: readonly number[], to: Json])[] = [
    ["another's path", [3, 0, 1], 'hz-2/p'],
    ["another's path in the head", [2, 6, 0, 0], 'hz-2/p'],
    ['a path without a name', [3, 0, 1], 'hz-1/'],
    ['a name with control characters', [3, 0, 0], 'a\u001b[2J'],
    ['a hash with a blank', [3, 0, 2], 'a b'],
    ['a number that was never named', [4, 0, 0], 1],
    ['a verdict that is none', [4, 0, 1], 3],
    ['a verdict by its word', [4, 0, 1], 'length'],
    ['evidence below 0', [4, 0, 2], -1],
    ['evidence without end', [4, 0, 2], 1e300],
    ['a count of passes with a fraction', [4, 0, 5], 0.5],
    ['an age below 0', [4, 0, 7], -1],
    ['an age that is a text', [4, 0, 8], '1'],
    ['an age that is no number', [4, 0, 9], true],
    ['no age of hearing', [4, 0, 10], null],
    ['an outcome that is none', [4, 0, 11], 4],
    ['an outcome below none', [4, 0, 11], -2],
    ['a detail that is too long', [4, 0, 12], 'x'.repeat(201)],
    ['a loss of more than all', [2, 6, 0, 2], 1001],
    ['more paths than a replica may have', [2, 6], Array(1001).fill(['hz-1/p', 0, 0])],
    ['a head below 0', [2, 5], -1],
    ['more names than there may be', [3], Array(100_001).fill(['a', 'hz-1/p', ''])],
    ['records that are none', [5, 0], ['a name', 7]],
    ['a flag that is none', [2, 1], 2],
  ];
  for (const [what, place, to] of rows) {
    const told = changed(place, to);
    assert.notEqual(told, 'taken', what);
    assert.ok(!told.includes('hz-2') && !told.includes('xxx'), 'it quotes nothing');
  }
});

test('what unpacks to far more than it is, is refused without being unpacked', () => {
  const bomb = deflateRawSync(Buffer.alloc(64 * 1024 * 1024, 32));
  assert.ok(bomb.length < LETTER_BYTES_MAX);
  const before = process.memoryUsage().arrayBuffers;
  const read = fromBytes(Buffer.concat([Buffer.of(1), bomb]), 'hz-1', new Names());
  assert.ok('problem' in read);
  assert.ok(process.memoryUsage().arrayBuffers - before < 16 * 1024 * 1024);
});

test('the decoder never throws, on bytes, on JSON, and on letters with something changed', () => {
  const value = fc.jsonValue({ maxDepth: 4 });
  const text = (v: unknown) => Buffer.from(`\0${JSON.stringify(v)}`);
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 400 }),
    fc.uint8Array({ maxLength: 400 }).map((b) => Buffer.concat([Buffer.of(1), b])),
    value.map(text),
    fc
      .tuple(fc.constantFrom('t', 'b', 'c', 'q', 'r', 'z'), fc.array(value, { maxLength: 6 }))
      .map(([word, rest]) => text([1, 2, word, ...rest])),
    fc
      .tuple(tellings, fc.array(fc.nat(), { maxLength: 4 }), value)
      .map(([telling, places, odd]) => {
        const [letter] = tellingLetters(
          { ...telling, sightings: telling.sightings.slice(0, 3) },
          new Names(),
        );
        return text([1, 2, planted(letter as Json, places, odd as Json)].flat());
      }),
  );
  let taken = 0;
  fc.assert(
    fc.property(bytes, (some) => {
      const read = fromBytes(some, 'hz-1', new Names());
      if ('problem' in read) return void assert.equal(typeof read.problem, 'string');
      taken++;
      const { letter } = read.sealed;
      if (letter.kind !== 'piece') return;
      for (const s of letter.sightings) {
        assert.ok(s.path.startsWith('hz-1/') && s.detail.length <= 200);
        assert.ok(verdicts.includes(s.verdict) && s.heardAgeMs >= 0 && s.evidence >= 0);
      }
    }),
    { numRuns: 3000 },
  );
  assert.ok(taken > 100, `${taken} were taken`);
});

/**
 * A copy with something else at a place; the place is found by going down where the numbers say.
 */
function planted(value: Json, [place, ...places]: readonly number[], odd: Json): Json {
  if (place === undefined || !Array.isArray(value) || value.length === 0) return odd;
  const at = place % value.length;
  return value.map((v, i) => (i === at ? planted(v, places, odd) : v));
}

test('more than a connection takes is known before it is said', () => {
  const names = new Names();
  for (let i = 0; i < 99_990; i++) names.add([`o${i}/c`, 'hz-1/p', '']);
  const some = (n: number) => Array.from({ length: n }, () => sighting(one));
  assert.equal(isTooMuch({ ...empty, sightings: some(10) }, names), false);
  assert.equal(isTooMuch({ ...empty, sightings: some(11) }, names), true);
});
