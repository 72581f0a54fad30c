// The reader of HTTP answers beside Node's own: whatever a server may send, cut into pieces at any
// place, what both read is the same; ours reads other forms as well that clients read.

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { AnswerReader, Malformed } from '../../src/probes/answer.ts';

type Heard = { status: number; body: string } | 'broke off' | 'malformed';

/** Reads what comes in these pieces and is closed then. */
function hear(pieces: readonly Buffer[], method = 'GET', maxBytes = 1e6): Heard {
  const reader = new AnswerReader(method, maxBytes);
  try {
    // The bytes of a piece are gone once it has been taken.
    for (const piece of pieces) {
      const lent = Buffer.from(piece);
      const isDone = reader.take(lent);
      lent.fill('?');
      if (isDone) break;
    }
    if (!reader.finish()) return 'broke off';
  } catch (error) {
    assert.ok(error instanceof Malformed, String(error));
    return 'malformed';
  }
  return { status: reader.head!.status, body: reader.body().toString('latin1') };
}

/** What Node's client makes of the same bytes. */
function hearByNode(bytes: Buffer, method = 'GET'): Promise<Heard> {
  return new Promise((resolve) => {
    const connection = new Duplex({
      read() {},
      write: (_chunk, _encoding, done) => done(),
      final: (done) => done(),
    });
    const broke = (error: NodeJS.ErrnoException) =>
      resolve(error.code?.startsWith('HPE_') ? 'malformed' : 'broke off');
    const asking = request({ method, createConnection: () => connection }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', broke);
      answer.on('end', () => {
        const body = Buffer.concat(chunks).toString('latin1');
        resolve({ status: answer.statusCode!, body });
      });
    });
    asking.on('error', broke);
    asking.end(() => {
      connection.push(bytes);
      connection.push(null);
    });
  });
}

const text = (max: number) =>
  fc.string({ unit: fc.integer({ min: 0x20, max: 0xff }).map(visible), maxLength: max });

function visible(code: number): string {
  return String.fromCharCode(code >= 0x7f && code < 0xa0 ? code + 0x21 : code);
}

const name = fc.constantFrom('server', 'x-a', 'Date', 'ETag', 'x-content-length', 'te');
const otherField = fc
  .tuple(name, fc.constantFrom('', ' ', '\t '), text(20))
  .map(([key, blank, value]) => `${key}:${blank}${value}`);

function inChunks(body: string, sizes: readonly number[], upper: boolean): string {
  let out = '';
  for (let at = 0, i = 0; at < body.length; i++) {
    const piece = body.slice(at, at + (sizes[i % sizes.length] ?? 3));
    const size = piece.length.toString(16);
    out += `${upper ? `0${size.toUpperCase()};a=b` : size}\r\n${piece}\r\n`;
    at += piece.length;
  }
  return out;
}

/** An answer as servers write them. */
const answer = fc
  .record({
    early: fc.constantFrom('', 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'),
    version: fc.constantFrom('HTTP/1.1', 'HTTP/1.0'),
    status: fc.constantFrom(200, 201, 204, 206, 301, 304, 404, 503, 599),
    reason: fc.constantFrom('', ' ', ' OK', ' Not Found: \xe9'),
    fields: fc.array(otherField, { maxLength: 4 }),
    body: text(60),
    framing: fc.constantFrom('length', 'chunked', 'chunked-with-trailer', 'close'),
    sizes: fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 3 }),
    upper: fc.boolean(),
    method: fc.constantFrom('GET', 'GET', 'HEAD'),
  })
  .map((a) => {
    const framing = {
      length: `Content-Length: ${a.body.length}`,
      chunked: 'Transfer-Encoding: chunked',
      'chunked-with-trailer': 'transfer-encoding:\tChunked ',
      close: 'connection: close',
    }[a.framing];
    const head = [`${a.version} ${a.status}${a.reason}`, ...a.fields, framing].join('\r\n');
    const last = a.framing === 'chunked-with-trailer' ? '0\r\nx-sum: 1\r\n\r\n' : '0\r\n\r\n';
    const isChunked = a.framing.startsWith('chunked');
    const isBodiless = a.method === 'HEAD' || a.status === 204 || a.status === 304;
    const body = isChunked ? inChunks(a.body, a.sizes, a.upper) + last : a.body;
    const wire = `${a.early}${head}\r\n\r\n${isBodiless ? '' : body}`;
    return { wire, method: a.method };
  });

const cuts = fc.array(fc.nat(200), { maxLength: 6 });

function pieces(bytes: Buffer, at: readonly number[]): Buffer[] {
  const ends = [...at, bytes.length].filter((end) => end <= bytes.length).sort((a, b) => a - b);
  return ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
}

test('what servers write is read as Node reads it, however it is cut', () =>
  fc.assert(
    fc.asyncProperty(answer, cuts, async ({ wire, method }, at) => {
      const bytes = Buffer.from(wire, 'latin1');
      const byNode = await hearByNode(bytes, method);
      assert.deepEqual(hear(pieces(bytes, at), method), byNode);
      assert.deepEqual(hear(pieces(bytes, [...bytes.keys()]), method), byNode);
    }),
    { numRuns: 300 },
  ));

test('of an answer that lost its end, neither takes the rest for a whole one', () =>
  fc.assert(
    fc.asyncProperty(answer, fc.nat(300), async ({ wire, method }, at) => {
      const bytes = Buffer.from(wire, 'latin1').subarray(0, at);
      const [own, byNode] = [hear([bytes], method), await hearByNode(bytes, method)];
      if (typeof byNode === 'string') assert.equal(typeof own, 'string');
      else assert.deepEqual(own, byNode);
    }),
    { numRuns: 300 },
  ));

test('whatever bytes come, what both take for an answer is the same answer', () => {
  const spoilt = fc
    .tuple(answer, fc.nat(200), fc.constantFrom('\r', '\n', ' ', '\0', ':', '0', 'a', '', '\r\n'))
    .map(([{ wire }, at, put]) => `${wire.slice(0, at)}${put}${wire.slice(at + 1)}`);
  const any = fc.uint8Array({ maxLength: 300 }).map((b) => Buffer.from(b).toString('latin1'));
  return fc.assert(
    fc.asyncProperty(fc.oneof({ weight: 5, arbitrary: spoilt }, any), cuts, async (wire, at) => {
      const bytes = Buffer.from(wire, 'latin1');
      const own = hear(pieces(bytes, at));
      assert.deepEqual(hear([bytes]), own, 'how it is cut changes nothing');
      const byNode = await hearByNode(bytes);
      if (typeof own !== 'string' && typeof byNode !== 'string') assert.deepEqual(own, byNode);
    }),
    { numRuns: 1000 },
  );
});

test('forms that the RFCs let or make a client read are read, however they are cut', () => {
  const ok = 'HTTP/1.1 200 OK\r\n';
  const chunked = '5\r\nhello\r\n0\r\n\r\n';
  const wires = [
    `${ok}content-length: 5\r\ncontent-length: 5\r\n\r\nhello`,
    `${ok}content-length: 5, 5\r\n\r\nhello`,
    `${ok}content-length: 99\r\ntransfer-encoding: chunked\r\n\r\n${chunked}`,
    `${ok}transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n${chunked}`,
    `${ok}transfer-encoding: identity\r\ncontent-length: 5\r\n\r\nhello`,
    `${ok}Transfer-Encoding : chunked\r\n\r\n${chunked}`,
    `${ok}content-length : 5\r\n\r\nhello, and what is not its own`,
    `${ok}x: a\r\n content-length: 3\r\ncontent-length: 5\r\n\r\nhello`,
    `${ok} x: passed over\r\ncontent-length: 5\r\n\r\nhello`,
    `${ok}x: ${'y'.repeat(60_000)}\r\ncontent-length: 5\r\n\r\nhello`,
    `${ok}x y: a\r\nx[]: b\r\nx: a\rb\x01\r\ncontent-length: 5\r\n\r\nhello`,
    'HTTP/1.1 200 OK\ncontent-length: 5\n\nhello',
    'HTTP/1.1 200 OK\nx: y\r\ncontent-length: 5\n\r\nhello',
    'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\nhello',
    'HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n5 ; a=b\nhello\n00\nx: y\n\n',
    '\r\n\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello',
    'HTTP/1.1  200\tOK\r\ncontent-length: 5\r\n\r\nhello',
    'HTTP/1.1 200\r\ncontent-length: 5\r\n\r\nhello',
    'HTTP/1.2 200 OK\r\ncontent-length: 5\r\n\r\nhello',
    `HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n000000000000005\r\nhello\r\n0\r\n\r\n`,
    `HTTP/1.1 103 Early\nlink: </a>\n\n${ok}\r\nhello`,
  ];
  for (const wire of wires) {
    const bytes = Buffer.from(wire, 'latin1');
    const whole = { status: 200, body: 'hello' };
    assert.deepEqual(hear([bytes]), whole, JSON.stringify(wire.slice(0, 90)));
    const ends = [...bytes.keys()].slice(0, 300);
    assert.deepEqual(hear(pieces(bytes, ends)), whole, 'byte by byte');
  }
});

test('what no client could read is refused', () => {
  const ok = 'HTTP/1.1 200 OK\r\n';
  const wires = [
    `${ok}content-length: 5\r\ncontent-length: 6\r\n\r\nhello!`,
    `${ok}content-length: 5, 6\r\n\r\nhello!`,
    `${ok}content-length: +5\r\n\r\nhello`,
    `${ok}content-length: \r\n\r\nhello`,
    `${ok}no field\r\n\r\nhello`,
    `${ok}x: \0\r\n\r\nhello`,
    `${ok}: y\r\n\r\nhello`,
    `${ok}transfer-encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n`,
    `${ok}transfer-encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n`,
    'HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n',
    'HTTP/2 200\r\n\r\n',
    'HTTP/1.1 20\r\n\r\n',
    'HTTP/1.1 2000 OK\r\n\r\n',
    'SSH-2.0-OpenSSH_9.2\r\n',
    `${ok}x: ${'y'.repeat(66_000)}`,
    `${ok}transfer-encoding: chunked\r\n\r\n0\r\n${'x: y\r\n'.repeat(12_000)}\r\n`,
  ];
  for (const wire of wires) {
    assert.equal(hear([Buffer.from(wire, 'latin1')]), 'malformed', wire.slice(0, 70));
  }
});

test('one byte past the bound ends the reading, and none is kept', () => {
  for (const framing of ['content-length: 90', 'transfer-encoding: chunked', 'x: y']) {
    const chunk = framing.startsWith('t') ? '5a\r\n' : '';
    const head = `HTTP/1.1 200 OK\r\n${framing}\r\n\r\n${chunk}`;
    const reader = new AnswerReader('GET', 10);
    assert.equal(reader.take(Buffer.from(`${head}${'x'.repeat(10)}`)), false);
    assert.equal(reader.cut, false);
    assert.equal(reader.take(Buffer.from('y')), true);
    assert.equal(reader.cut, true);
    assert.equal(reader.body().toString(), 'x'.repeat(10));
  }
});
