// HTTPS records as they come on the wire (RFC 9460): where they lead, and nothing of one that is cut
// off or runs past its end.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import packet, { type Answer } from 'dns-packet';
import fc from 'fast-check';
import { decode, httpsType, type Resource } from '../../src/dns/wire.ts';

const name = 'www.shop.example';

function decoded(data: Uint8Array): Resource {
  const answer = { name, ttl: 60, type: httpsType, data: Buffer.from(data) } as unknown as Answer;
  const bytes = packet.encode({ type: 'response', id: 1, answers: [answer] });
  return decode(bytes)!.answers[0]!;
}

const service = (hex: string) => {
  const one = decoded(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
  return one.type === 'HTTPS' ? [one.target, ...one.hints] : one.type;
};
const home = '04 686f6d65 00';

test('the name that it leads to, and the addresses that it offers', () => {
  assert.deepEqual(service('0001 00'), ['.']);
  assert.deepEqual(service(`0000 ${home}`), ['home.']);
  assert.deepEqual(service('0001 00 0001 0003 026832 0004 0008 7f000001 7f000002'), [
    ...['.', '127.0.0.1', '127.0.0.2'],
  ]);
  const v6 = '20010db8 00000000 00000000 00000001';
  assert.deepEqual(service(`0001 ${home} 0006 0010 ${v6}`), ['home.', '2001:db8::1']);
});

test('one that is cut off is none', () => {
  for (const hex of ['', '0001', '0001 04 686f', '0001 00 0004', '0001 00 0004 0008 7f000001']) {
    assert.equal(service(hex), 'other', hex);
  }
  assert.equal(service('0001 c00c'), 'other', 'a pointer has no place in it');
});

test('whatever it holds, nothing throws, and a name stays one', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (data) => {
      const one = decoded(data);
      assert.ok(one.type === 'other' || (one.type === 'HTTPS' && one.target.endsWith('.')));
    }),
  );
});
