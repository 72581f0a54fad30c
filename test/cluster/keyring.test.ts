// The cluster key at the edge: what it signs is genuine for that record and that CNAME alone, and
// nothing that anybody else makes is.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { createKeyring, proving, signing } from '../../src/cluster/keyring.ts';
import { formatMarker, MARKER_NUMBER_MAX, parseMarker } from '../../src/core/marker.ts';
import type { Change, Marker, RecordConfig, Seen } from '../../src/core/model.ts';
import type { Provider } from '../../src/kit/extend.ts';
import { SecretError } from '../../src/kit/secret.ts';
import type { Verifier } from '../../src/ports.ts';

const WWW = 'www.gslb.test.';
const A = 'a.shop.test.';
const B = 'b.shop.test.';
const marker: Marker = {
  cluster: 'shop',
  epoch: 7,
  id: '9f2c',
  term: 1,
  kind: 'operator',
  target: 'a',
  pinned: true,
  pinMs: 7_200_000,
};
const key = (name: string) => name.padEnd(40, '.');
const now = createKeyring([key('now')]);
const text = formatMarker(now.sign(WWW, A, marker));

test('the signature is 128 bits of HMAC-SHA256 over each field with its length', () => {
  const fields = ['detour-marker-1', 'shop', WWW, '7', '9f2c', '1', 'operator', 'a', A, '7200000'];
  const input = fields.map((field) => `${field.length}:${field}`).join('');
  const whole = createHmac('sha256', key('now')).update(input).digest();
  assert.equal(now.sign(WWW, A, marker).mac, whole.subarray(0, 16).toString('base64url'));
});

test('what it signed is genuine, for this record and this CNAME alone', () => {
  assert.deepEqual(now.prove(WWW, text, [B, A]), { word: 'genuine', cname: A });
  assert.deepEqual(now.prove(WWW, text, [B]), { word: 'wrong' });
  assert.deepEqual(now.prove('api.gslb.test.', text, [A]), { word: 'wrong' });
  assert.deepEqual(now.prove(WWW, formatMarker(marker), [A]), { word: 'unsigned' });
  assert.deepEqual(now.prove(WWW, 'site-verification', [A]), { word: 'unsigned' });
});

test('a key that was replaced is told from the current one', () => {
  const rotated = createKeyring([key('new'), key('now')]);
  assert.deepEqual(rotated.prove(WWW, text, [A]), { word: 'retired', cname: A });
  const fresh = formatMarker(rotated.sign(WWW, A, marker));
  assert.deepEqual(rotated.prove(WWW, fresh, [A]), { word: 'genuine', cname: A });
  assert.deepEqual(createKeyring([key('other')]).prove(WWW, text, [A]), { word: 'wrong' });
});

test('no change to any word of it leaves it genuine', () => {
  const texts = text.split(' ');
  fc.assert(
    fc.property(
      fc.nat(texts.length - 1),
      fc.constantFrom('0', '1', '8', 'b', 'auto', 'none', 'unlimited', 'z'.repeat(22)),
      (at, value) => {
        const [word] = texts[at]!.split('=');
        const changed = texts.with(at, `${word}=${value}`).join(' ');
        if (changed === text) return;
        assert.notEqual(now.prove(WWW, changed, [A, B]).word, 'genuine');
      },
    ),
  );
});

test('two fields never run into one another', () => {
  const one = now.sign(WWW, A, { ...marker, id: '9f', target: '2ca' });
  const other = now.sign(WWW, A, { ...marker, id: '9f2c', target: 'a' });
  assert.notEqual(one.mac, other.mac);
});

test('the longest signed marker fits into one string of a TXT record', () => {
  const longest: Marker = {
    cluster: 'c'.repeat(40),
    epoch: MARKER_NUMBER_MAX,
    id: '9'.repeat(32),
    term: MARKER_NUMBER_MAX,
    kind: 'operator',
    target: 't'.repeat(40),
    pinned: true,
    pinMs: MARKER_NUMBER_MAX,
  };
  const signed = now.sign(WWW, `${'l'.repeat(60)}.`.repeat(4), longest);
  assert.ok(formatMarker(signed).length <= 255, `${formatMarker(signed).length} bytes`);
  assert.deepEqual(parseMarker(formatMarker(signed)), signed);
});

test('words of a later version are skipped, and no word stands twice', () => {
  assert.deepEqual(parseMarker(`${text} later=1 line=default`), parseMarker(text));
  assert.equal(parseMarker(`${text} epoch=8`), null);
  assert.deepEqual(now.prove(WWW, `${text} later=1`, [A]), { word: 'genuine', cname: A });
});

test('a key that is too short is refused, and not quoted', () => {
  assert.throws(
    () => createKeyring([key('now'), 'short-secret']),
    (error) => error instanceof SecretError && !error.message.includes('short-secret'),
  );
});

const record: RecordConfig = {
  name: WWW,
  mode: 'steer',
  targets: [
    { origin: 'a', cname: A },
    { origin: 'b', cname: B },
  ],
  publish: [{ provider: 'p', ttl: 60 }],
  patienceMs: 0,
  failback: { kind: 'manual' },
  switchesPerHour: 3,
  edits: 'hold',
};
const records = { [WWW]: record };
const signal = new AbortController().signal;

test('a provider gets signed markers and what it read, and gives proofs', async () => {
  const sent: Change[] = [];
  const seen: Seen = {
    cnames: [{ value: 'edited.example.', ttl: 60 }],
    markers: [text],
    refusal: null,
    ref: { id: 1 },
  };
  const inner = {
    name: 'p',
    calls: 3,
    read: async () => ({ [WWW]: { kind: 'answered', value: seen } }),
    write: async (changes: readonly Change[]) => {
      sent.push(...changes);
      return [];
    },
  } as unknown as Provider;
  const provider = signing(inner, () => now, records);
  const { [WWW]: answer } = await provider.read([WWW], signal);
  assert.ok(answer?.kind === 'answered');
  // The value was edited; the marker is what was signed for the target it names.
  assert.deepEqual(answer.value.proofs, [{ word: 'genuine', cname: A }]);
  const to = { cname: B, ttl: 60, marker: { ...marker, target: 'b' } };
  await provider.write([{ name: WWW, from: answer.value, to, settle: 'later' }], signal);
  assert.equal(sent[0]!.settle, 'later', 'and whatever else is asked of the vendor');
  assert.deepEqual(sent[0]!.from, seen, 'what is compared at the vendor is what the vendor gave');
  assert.deepEqual(sent[0]!.to, { ...to, marker: now.sign(WWW, B, to.marker) });
  assert.equal(provider.calls, 3);
});

test('name servers are believed no more than providers', async () => {
  const answers = [
    { server: 'ns1', answer: { kind: 'cname', value: A, ttl: 60 }, markers: [text, 'x'] },
    { server: 'ns2', answer: { kind: 'timeout', detail: '' }, markers: null },
  ];
  const inner = { ask: async () => answers } as unknown as Verifier;
  const asked = await proving(inner, () => now, records).ask('p', WWW, { marker: true }, signal);
  assert.deepEqual(asked[0]!.proofs, [{ word: 'genuine', cname: A }, { word: 'unsigned' }]);
  assert.equal(asked[1]!.proofs, undefined);
});
