// The `grpc` check against node's own HTTP/2 server, which checks what it is sent byte by byte, in the
// clear and with TLS: what each state and each end of a call means, and that nothing is left behind.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import {
  createSecureServer,
  createServer,
  type Http2Server,
  type ServerHttp2Stream,
} from 'node:http2';
import type net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { grpc, readState } from '../../src/probes/grpc.ts';
import { startEtcd, withoutEtcd } from '../parts/etcd.ts';
import {
  closedPort,
  createCertificates,
  quiet,
  until,
  withServer,
  withTcp,
  words,
} from '../parts/listening.ts';

const direct = { name: 'line', kind: 'direct', resolver: null, localAddress: null } as const;
const noSecrets = { secret: () => assert.fail('no secret is configured') };
const { certificate, remove } = createCertificates();
after(remove);
const good = certificate('good', 'DNS:cart.shop.test,IP:127.0.0.1', -1, 30.5);

const ask = (configured: Record<string, unknown>, timeoutMs = 10_000) =>
  grpc
    .create(grpc.settings.parse(configured), direct, timeoutMs, noSecrets)
    .ask(new AbortController().signal);

/** What one call was asked, with its message unframed. */
interface Asked {
  readonly headers: Record<string, unknown>;
  readonly message: Buffer;
}

type Answering = (stream: ServerHttp2Stream, asked: Asked) => void;

function answering(server: Http2Server, answer: Answering): net.Server {
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on('error', () => {});
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      const body = Buffer.concat(chunks);
      assert.equal(headers[':method'], 'POST');
      assert.equal(headers[':path'], '/grpc.health.v1.Health/Check');
      assert.equal(headers['content-type'], 'application/grpc');
      assert.equal(headers.te, 'trailers');
      assert.match(String(headers['grpc-timeout']), /^\d{1,8}[HMSmun]$/);
      assert.equal(body[0], 0, 'not compressed');
      assert.equal(body.readUInt32BE(1), body.length - 5);
      answer(stream, { headers, message: body.subarray(5) });
    });
  });
  // A server of HTTP/2 is one of the net module underneath.
  return server as unknown as net.Server;
}

const framed = (...bytes: number[]) => Buffer.from([0, 0, 0, 0, bytes.length, ...bytes]);

/** One message, and the trailers that end the call. */
const respond =
  (body: Buffer | null, trailers: Record<string, string> = { 'grpc-status': '0' }): Answering =>
  (stream) => {
    const headers = { ':status': 200, 'content-type': 'application/grpc+proto' };
    if (body === null) return void stream.respond({ ...headers, ...trailers }, { endStream: true });
    stream.respond(headers, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    stream.end(body);
  };

const withGrpc = (answer: Answering, work: (port: number, server: net.Server) => Promise<void>) =>
  withServer(answering(createServer(), answer), work);

test('SERVING passes, and every other state fails with its word', async () => {
  const cases: readonly (readonly [Buffer, string, RegExp])[] = [
    [framed(0x08, 1), 'pass ok', /^SERVING$/],
    [framed(0x08, 2), 'fail not-serving', /^shop\.v1\.Cart is NOT_SERVING$/],
    [framed(), 'fail not-serving', /is UNKNOWN$/],
    [framed(0x08, 0), 'fail not-serving', /is UNKNOWN$/],
    [framed(0x08, 3), 'fail not-serving', /is SERVICE_UNKNOWN$/],
    [framed(0x08, 9), 'fail not-serving', /is state 9$/],
    // Fields of a later version are passed over.
    [framed(0x12, 2, 65, 66, 0x08, 1, 0x1d, 1, 2, 3, 4), 'pass ok', /^SERVING$/],
    [framed(0x08), 'fail protocol', /no HealthCheckResponse/],
    [Buffer.from([1, 0, 0, 0, 2, 8, 1]), 'fail protocol', /no HealthCheckResponse/],
    [Buffer.from('plain'), 'fail protocol', /no HealthCheckResponse/],
  ];
  for (const [body, expected, detail] of cases) {
    await withGrpc(respond(body), async (port, server) => {
      const asked = { grpc: `127.0.0.1:${port}`, plaintext: true, service: 'shop.v1.Cart' };
      const result = await ask(asked);
      assert.equal(words(result), expected, `${body.toString('hex')}: ${result.detail}`);
      assert.match(result.detail, detail);
      await until(quiet(server), 'no connection left');
    });
  }
  await withGrpc(respond(framed(0x08, 1)), async (port) => {
    const read = grpc.settings.parse({ grpc: `127.0.0.1:${port}`, plaintext: true });
    const check = grpc.create(grpc.impossible(read), direct, 10_000, noSecrets);
    assert.equal(words(await check.ask(new AbortController().signal)), 'fail not-serving');
  });
});

test('how a call ends: an unknown service fails, a server without the health service is no vote', async () => {
  const ends: readonly (readonly [Answering, string, RegExp])[] = [
    [respond(null, { 'grpc-status': '5' }), 'fail unknown-service', /knows nothing of the service/],
    [
      respond(null, { 'grpc-status': '12' }),
      'blind no-health-service',
      /register grpc\.health\.v1/,
    ],
    [
      respond(null, { 'grpc-status': '14', 'grpc-message': 'try%20later%0A' }),
      'fail grpc-status',
      /^the server answers UNAVAILABLE: try later$/,
    ],
    [respond(null, { 'grpc-status': '16', 'grpc-message': '%zz' }), 'fail grpc-status', /%zz/],
    [respond(null, { 'grpc-status': '99' }), 'fail grpc-status', /code 99/],
    [respond(null, {}), 'fail protocol', /without a grpc-status/],
    [respond(framed(8, 1), { 'grpc-status': 'x' }), 'fail protocol', /without a grpc-status/],
    [(s) => s.respond({ ':status': 503 }, { endStream: true }), 'fail status', /status 503/],
    [
      (s) => s.respond({ ':status': 429, 'retry-after': '7' }, { endStream: true }),
      'limited limited',
      /after 7 s/,
    ],
    [
      (s) => {
        s.respond({ ':status': 200, 'content-type': 'text/html' });
        s.end('hello');
      },
      'fail protocol',
      /no gRPC/,
    ],
    [respond(Buffer.alloc(10_000)), 'fail protocol', /./],
    [(s) => s.close(2), 'fail protocol', /ERR_HTTP2_STREAM_ERROR/],
    [(s) => s.session?.destroy(), 'fail closed', /./],
    [(s) => s.session?.socket.destroy(), 'fail closed', /./],
  ];
  for (const [answer, expected, detail] of ends) {
    await withGrpc(answer, async (port) => {
      const asked = { grpc: `127.0.0.1:${port}`, plaintext: true, service: 'shop.v1.Cart' };
      const result = await ask(asked);
      assert.equal(words(result), expected, `${detail}: ${result.detail}`);
      assert.match(result.detail, detail);
    });
  }
});

test('what is no HTTP/2 fails, what does not answer is late, and nothing waits for ever', async () => {
  const closed = `127.0.0.1:${await closedPort()}`;
  assert.equal(words(await ask({ grpc: closed, plaintext: true })), 'fail refused');
  await withTcp(
    (socket) => socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n'),
    async (port) => {
      const result = await ask({ grpc: `127.0.0.1:${port}`, plaintext: true });
      assert.equal(result.outcome, 'fail', result.detail);
    },
  );
  await withGrpc(
    () => {},
    async (port, server) => {
      const result = await ask({ grpc: `127.0.0.1:${port}`, plaintext: true }, 300);
      assert.ok(['fail timeout', 'blind stalled'].includes(words(result)), result.detail);
      await until(quiet(server), 'no connection left');
    },
  );
});

test('the service, the authority and the certificate are those that were asked for', async () => {
  const seen: Asked[] = [];
  const answer: Answering = (stream, asked) => {
    seen.push(asked);
    respond(framed(8, 1))(stream, asked);
  };
  const { key, cert, ca } = good;
  const server = createSecureServer({ key, cert });
  await withServer(answering(server, answer), async (port) => {
    const place = { grpc: `127.0.0.1:${port}`, ca };
    const long = `shop.${'x'.repeat(195)}`;
    const plain = await ask(place);
    assert.equal(words(plain), 'pass ok', plain.detail);
    assert.equal(plain.certificateDays, 30);
    const named = { ...place, authority: 'cart.shop.test:8443', service: long };
    assert.equal(words(await ask(named)), 'pass ok');
    assert.equal(words(await ask({ ...place, authority: 'other.test' })), 'fail tls');
    assert.equal(words(await ask({ grpc: place.grpc })), 'fail tls');
    const days = await ask({ ...place, expect: { certificateDays: 40 } });
    assert.equal(words(days), 'fail certificate-days');
    assert.equal(seen[0]!.message.length, 0);
    assert.equal(seen[0]!.headers[':authority'], place.grpc);
    assert.equal(seen[1]!.headers[':authority'], 'cart.shop.test:8443');
    const head = Buffer.from([0x0a, 0xc8, 0x01]);
    assert.deepEqual(seen[1]!.message, Buffer.concat([head, Buffer.from(long)]));
  });
});

test('a real server of gRPC: an etcd serves, wants a certificate, and knows no other service', {
  skip: withoutEtcd,
}, async () => {
  const etcd = await startEtcd({ members: 1 });
  const folder = mkdtempSync(join(tmpdir(), 'detour-grpc-'));
  try {
    const file = (name: string, bytes: Buffer) => {
      writeFileSync(join(folder, name), bytes, { mode: 0o600 });
      return join(folder, name);
    };
    const ca = file('ca', etcd.ca);
    const client = { cert: file('cert', etcd.cert), key: file('key', etcd.key) };
    const { host } = new URL(etcd.endpoints[0]!);
    const serves = await ask({ grpc: host, ca, client });
    assert.equal(words(serves), 'pass ok', serves.detail);
    const other = await ask({ grpc: host, ca, client, service: 'shop.v1.Cart' });
    assert.equal(words(other), 'fail unknown-service', other.detail);
    assert.equal((await ask({ grpc: host, ca })).outcome, 'fail');
  } finally {
    rmSync(folder, { recursive: true });
    await etcd.stop();
  }
});

test('an answer never makes its reader throw, and reads what was written', () => {
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void readState(Buffer.from(bytes))));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const state = readState(framed(...bytes));
      assert.ok(state === null || (Number.isSafeInteger(state) && state >= 0));
    }),
  );
});

test('settings that cannot be meant are refused', () => {
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ grpc: 'a.test' }, /HOST:PORT/],
    [{ service: 'a b' }, /shop\.v1\.Cart/],
    [{ plaintext: true, ca: '/x' }, /plaintext has no TLS/],
    [{ plaintext: true, expect: { certificateDays: 3 } }, /no certificate/],
    [{ authority: '192.0.2.1:1' }, /host name with or without a port/],
    [{ client: { cert: '/x' } }, /key/],
  ];
  for (const [more, message] of wrong) {
    const read = grpc.settings.safeParse({ grpc: 'a.test:1', ...more });
    assert.equal(read.success, false, JSON.stringify(more));
    assert.match(JSON.stringify(read.error?.issues), message);
  }
  const blackbox = {
    name: 'b',
    kind: 'blackbox',
    url: 'http://b',
    module: 'm',
    resolver: null,
  } as const;
  assert.match(grpc.pathProblem(blackbox, undefined)!, /give the grpc check other paths/);
});
