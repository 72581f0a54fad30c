// Frames between replicas as bytes: nobody without the key makes one, says one again, changes their
// order, or splices two sessions; and cutting a stream into pieces changes nothing.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { createKeyring } from '../../src/cluster/keyring.ts';
import { answer, dial, Frames, PURPOSE, type Session } from '../../src/cluster/session.ts';
import { key } from '../parts/eyes.ts';

const keysOf = (...names: string[]) => createKeyring(names.map(key)).derive(PURPOSE);
const parties = { cluster: 'shop', from: 'a', to: 'b' };
const listener = (keys: readonly Buffer[], more = {}) => ({
  cluster: 'shop',
  self: 'b',
  may: () => null,
  keys,
  ...more,
});
const body = (frame: Buffer) => {
  const frames = new Frames(1_000_000);
  frames.push(frame);
  const one = frames.next();
  assert.ok(Buffer.isBuffer(one));
  return one;
};

/** Two ends that have met. */
function pair(ours = keysOf('k'), theirs = ours): readonly [dialler: Session, listener: Session] {
  const dialling = dial(parties, 'life-1', ours);
  const { bytes, met } = answer(body(dialling.bytes), listener(theirs));
  const session = dialling.finish(body(bytes));
  assert.ok(met !== null && typeof session !== 'string');
  return [session, met.session];
}

test('what one end seals the other opens, in order, in both directions', () => {
  const [a, b] = pair();
  for (const text of ['one', 'two', '']) {
    assert.equal(b.open(body(a.seal(Buffer.from(text))))?.toString(), text);
    assert.equal(a.open(body(b.seal(Buffer.from(text))))?.toString(), text);
  }
  assert.deepEqual([a.sent, a.heard, b.sent, b.heard], [3, 3, 3, 3]);
});

test('a frame that was changed in any byte is not opened', () => {
  const [a, b] = pair();
  const sealed = body(a.seal(Buffer.from('down')));
  for (let i = 0; i < sealed.length; i++) {
    const forged = Buffer.from(sealed);
    forged[i]! ^= 1;
    assert.equal(b.open(forged), null, `byte ${i}`);
  }
  assert.equal(b.open(sealed.subarray(0, 10)), null);
  assert.equal(b.open(Buffer.alloc(0)), null);
  assert.equal(b.open(sealed)?.toString(), 'down');
});

test('a frame is opened once, in its place, by the one it was said to', () => {
  const [a, b] = pair();
  const [one, two] = [body(a.seal(Buffer.from('1'))), body(a.seal(Buffer.from('2')))];
  assert.equal(b.open(two), null, 'not before the one before it');
  assert.ok(b.open(one));
  assert.equal(b.open(one), null, 'not twice');
  assert.equal(a.open(one), null, 'not by who said it');
  assert.ok(b.open(two));
});

test('a frame of another session of the same two is not opened', () => {
  const [a] = pair();
  const [, b] = pair();
  assert.equal(b.open(body(a.seal(Buffer.from('1')))), null);
});

test('a hello said again meets another nonce: nothing recorded is opened after it', () => {
  const keys = keysOf('k');
  const dialling = dial(parties, 'life-1', keys);
  const first = answer(body(dialling.bytes), listener(keys));
  const session = dialling.finish(body(first.bytes));
  assert.ok(typeof session !== 'string');
  const recorded = body(session.seal(Buffer.from('1')));
  const again = answer(body(dialling.bytes), listener(keys));
  assert.ok(again.met !== null);
  assert.equal(again.met.session.open(recorded), null);
  assert.ok(first.met?.session.open(recorded));
  // The other way round: an old answer to a new hello.
  assert.equal(dial(parties, 'life-2', keys).finish(body(first.bytes)), 'key');
});

test('another key, cluster or name is refused; a stranger learns no more than that', () => {
  const keys = keysOf('k');
  const said = (from = parties, by = keys, more = {}) =>
    answer(body(dial(from, 'life-1', by).bytes), listener(keys, more)).why;
  assert.equal(said(), null);
  assert.equal(said(parties, keysOf('other')), 'key');
  assert.equal(said({ ...parties, cluster: 'other' }, keysOf('other')), 'key');
  assert.equal(said({ ...parties, cluster: 'other' }), 'name');
  assert.equal(said({ ...parties, to: 'c' }), 'name');
  assert.equal(said(parties, keys, { may: () => 'double' }), 'double');
  const refused = answer(body(dial(parties, 'life-1', keysOf('other')).bytes), listener(keys));
  assert.equal(dial(parties, 'life-1', keys).finish(body(refused.bytes)), 'key');
});

test('while a key is rotated each order of the two finds the one that both have', () => {
  for (const [ours, theirs] of [
    [['new', 'old'], ['old']],
    [['old'], ['new', 'old']],
    [
      ['new', 'old'],
      ['old', 'new'],
    ],
    [['old', 'new'], ['new']],
  ] as const) {
    const [a, b] = pair(keysOf(...ours), keysOf(...theirs));
    assert.ok(a.key.equals(b.key));
    assert.equal(b.open(body(a.seal(Buffer.from('1'))))?.toString(), '1');
  }
});

test('the key of a session is no key of a marker, nor of another purpose', () => {
  const ring = createKeyring([key('k')]);
  const [one] = ring.derive(PURPOSE);
  const [two] = ring.derive('another');
  assert.equal(one!.length, 32);
  assert.ok(!one!.equals(two!) && !one!.equals(Buffer.from(key('k'))));
});

test('no bytes make a hello or a frame throw', () => {
  const keys = keysOf('k');
  const [, b] = pair();
  const dialling = dial(parties, 'life-1', keys);
  const some = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((a) => Buffer.from(a)),
    fc.json().map((text) => Buffer.from(text)),
    fc.array(fc.jsonValue(), { maxLength: 9 }).map((v) => Buffer.from(JSON.stringify(v))),
    fc
      .constantFrom(...[['1', 'shop', 'a', 'b', 'i', 'A'.repeat(43)]])
      .chain((said) =>
        fc.array(fc.jsonValue()).map((tags) => Buffer.from(JSON.stringify([...said, tags]))),
      ),
  );
  // Its text is what it says it is.
  const tag = { toString: 0 };
  const odd = Buffer.from(JSON.stringify(['1', 'shop', 'a', 'b', 'i', 'A'.repeat(43), [tag]]));
  fc.assert(
    fc.property(some, (bytes) => {
      assert.equal(answer(bytes, listener(keys)).met, null);
      assert.equal(typeof dialling.finish(bytes), 'string');
      assert.equal(b.open(bytes), null);
    }),
    { numRuns: 2000, examples: [[odd]] },
  );
});

test('a stream cut anywhere gives the same frames; one too long is said to be', () => {
  const [a] = pair();
  const bodies = [0, 1, 50, 3000].map((length) => randomBytes(length));
  const stream = Buffer.concat(bodies.map((one) => a.seal(one)));
  fc.assert(
    fc.property(fc.array(fc.nat(stream.length), { maxLength: 40 }), (cuts) => {
      const frames = new Frames(4000);
      const found: number[] = [];
      const places = [0, ...cuts.toSorted((x, y) => x - y), stream.length];
      for (let i = 1; i < places.length; i++) {
        frames.push(stream.subarray(places[i - 1], places[i]));
        for (let one = frames.next(); one !== null; one = frames.next()) {
          assert.ok(one !== 'too long');
          found.push(one.length - 16);
        }
      }
      assert.deepEqual(found, [0, 1, 50, 3000]);
    }),
  );
  const frames = new Frames(100);
  frames.push(Buffer.of(0, 0, 0, 101));
  assert.equal(frames.next(), 'too long');
});
