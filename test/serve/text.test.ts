// Long answers: the text is the document, whatever the document; its elements are made one at a time and
// once; and over a real connection it arrives whole, compressed or not, however slowly it is taken.

import assert from 'node:assert/strict';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { Readers, type Work } from '../../src/serve/readers.ts';
import { jsonOf, sendText, Text } from '../../src/serve/text.ts';

/** All of the work at once, and how many pieces it was. */
function atOnce<T>(work: Work<T>): { made: T; pieces: number } {
  for (let pieces = 0; ; pieces++) {
    const { done, value } = work.next();
    if (done) return { made: value, pieces };
  }
}

test('the text of any document is its JSON', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      assert.equal(String(atOnce(jsonOf(value)).made), JSON.stringify(value));
    }),
  );
  const odd = { a: undefined, b: [undefined, { c: undefined }, []], d: {}, e: { f: null } };
  assert.equal(String(atOnce(jsonOf(odd)).made), JSON.stringify(odd));
});

test('an element of a list is one piece, and is made once for as long as it is the same', () => {
  let made = 0;
  const element = (n: number) => ({
    toJSON() {
      made++;
      return { n };
    },
  });
  const records = Array.from({ length: 1000 }, (_, n) => element(n));
  const known = new WeakMap<object, string>();
  const first = atOnce(jsonOf({ at: 1, records }, known));
  assert.deepEqual([made, first.pieces], [1000, 1000]);
  const again = atOnce(jsonOf({ at: 2, records }, known));
  assert.equal(made, 1000, 'nothing is made again');
  assert.equal(String(again.made), String(first.made).replace('"at":1', '"at":2'));
  records[7] = element(-1);
  atOnce(jsonOf({ at: 3, records }, known));
  assert.equal(made, 1001, 'only what has changed');
});

test('a long text is in pieces of a bounded size, none of them empty', () => {
  const list = Array.from({ length: 5000 }, (_, n) => ({ n, text: 'x'.repeat(200) }));
  const { pieces, bytes } = atOnce(jsonOf({ list })).made;
  assert.ok(pieces.length > 20);
  assert.ok(pieces.every((piece) => piece.length > 0 && piece.length < 40_000));
  assert.equal(bytes, Buffer.byteLength(JSON.stringify({ list })));
});

async function serve(text: Text, during: (port: number) => Promise<void>): Promise<void> {
  const readers = new Readers({ share: 1 });
  const server: Server = createServer((asked, response) => {
    void sendText({ request: asked, response }, text, { 'content-type': 'text/plain' }, readers);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await during((server.address() as AddressInfo).port);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

function get(port: number, method: string, headers: Record<string, string> = {}) {
  type Got = { headers: Record<string, unknown>; body: Buffer };
  return new Promise<Got>((resolve, reject) => {
    const asked = request(
      { port, host: '127.0.0.1', method, headers, agent: false },
      async (answer) => {
        const parts: Buffer[] = [];
        // Slower than it is sent, so that the sender must wait for room.
        for await (const part of answer) {
          parts.push(part as Buffer);
          await new Promise((next) => setImmediate(next));
        }
        resolve({ headers: answer.headers, body: Buffer.concat(parts) });
      },
    );
    asked.on('error', reject);
    asked.end();
  });
}

test('it arrives whole with its length; to HEAD the head alone; compressed for who takes that', async () => {
  const pieces = Array.from({ length: 200 }, (_, n) => Buffer.from(`${n} `.repeat(9000)));
  const text = new Text(pieces);
  await serve(text, async (port) => {
    const whole = String(text);
    for (const plain of [{}, { 'accept-encoding': 'br' }, { 'accept-encoding': 'gzip;q=0, br' }]) {
      const { headers, body } = await get(port, 'GET', plain as Record<string, string>);
      assert.equal(headers['content-length'], String(text.bytes));
      assert.equal(headers['content-encoding'], undefined);
      assert.ok(body.equals(Buffer.from(whole)));
    }
    for (const accept of ['gzip', 'deflate, gzip;q=0.5', 'GZIP']) {
      const { headers, body } = await get(port, 'GET', { 'accept-encoding': accept });
      assert.equal(headers['content-encoding'], 'gzip', accept);
      assert.equal(headers['content-length'], String(body.length));
      assert.ok(body.length < text.bytes / 10);
      assert.equal(gunzipSync(body).toString(), whole);
    }
    const head = await get(port, 'HEAD');
    assert.deepEqual([head.headers['content-length'], head.body.length], [String(text.bytes), 0]);
  });
});

test('it is compressed once for all who want it so', async () => {
  const text = new Text([Buffer.from('x'.repeat(100_000))]);
  const [a, b] = await Promise.all([text.packed(), text.packed()]);
  assert.equal(a, b);
  assert.equal(await text.packed(), a);
});
