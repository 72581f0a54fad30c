// The `http` check against real listeners: every way an origin can fail, every way this machine can
// fail to ask, and that nothing is left behind. Names never leave the machine: none can have a label
// of 64 characters, and network namespaces have no network.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import net, { type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import {
  brotliCompressSync,
  deflateRawSync,
  deflateSync,
  gzipSync,
  zstdCompressSync,
} from 'node:zlib';
import fc from 'fast-check';
import { z } from 'zod';
import type { ProbeResult } from '../../src/kit/extend.ts';
import { bodyExpectation, judgeBody } from '../../src/probes/expect.ts';
import { http } from '../../src/probes/http.ts';
import { createProber } from '../../src/probes/index.ts';
import { clause } from '../../src/probes/words.ts';
import { anySign } from '../parts/any-sign.ts';
import { withServerApart } from '../parts/apart.ts';
import { ownNetwork, withoutOwnNetwork } from '../parts/limits.ts';
import {
  closedPort,
  createCertificates,
  until,
  withServer,
  withTcp,
  words,
} from '../parts/listening.ts';

const direct = { name: 'line', kind: 'direct', resolver: null, localAddress: null } as const;
const noSecrets = { secret: () => assert.fail('no secret is configured') };
const { scratch, certificate, remove } = createCertificates();
after(remove);

function ask(
  configured: Record<string, unknown>,
  timeoutMs = 10_000,
  signal = new AbortController().signal,
): Promise<ProbeResult> {
  return http.create(http.settings.parse(configured), direct, timeoutMs, noSecrets).ask(signal);
}

/** A machine under load stalls, which is `blind`: then short deadlines are tried again. */
async function askShortly(configured: Record<string, unknown>, timeoutMs: number) {
  let result = await ask(configured, timeoutMs);
  for (let i = 0; i < 20 && result.reason === 'stalled'; i++) {
    result = await ask(configured, timeoutMs);
  }
  return result;
}

const withHttp = (answer: RequestListener, work: (port: number) => Promise<void>) =>
  withServer(createServer(answer), work);

const good = certificate('good', 'DNS:www.shop.test,IP:127.0.0.1', -1, 30.5);
const other = certificate('other', 'DNS:other.test', -1, 30.5);
const expired = certificate('expired', 'DNS:www.shop.test', -30, -1.5);

test('429 is no vote, unless it is wanted: it says how long to wait, if it does, and no more', () => {
  const inAMinute = new Date(Date.now() + 60_000).toUTCString();
  const cases: readonly (readonly [number, string | null, string, number | null])[] = [
    [429, null, 'limited limited', null],
    [429, '17', 'limited limited', 17_000],
    [429, '0', 'limited limited', 0],
    [429, inAMinute, 'limited limited', 60_000],
    [429, 'Wed, 21 Oct 2015 07:28:00 GMT', 'limited limited', 0],
    [429, '999999999999', 'limited limited', 3_600_000],
    [429, 'soon', 'limited limited', null],
    [429, '-1', 'limited limited', null],
    [429, '', 'limited limited', null],
    // Clients get it as well: that is an outage.
    [503, '120', 'fail status', null],
  ];
  let [status, retryAfter]: [number, string | null] = [429, null];
  return withHttp(
    (_, response) => {
      const headers = retryAfter === null ? {} : { 'retry-after': retryAfter };
      response.writeHead(status, headers).end('slow down');
    },
    async (port) => {
      const url = `http://127.0.0.1:${port}/`;
      for (const [code, header, expected, ms] of cases) {
        [status, retryAfter] = [code, header];
        const result = await ask({ http: url, expect: { body: { text: 'well' } } });
        assert.equal(words(result), expected, `${header}: ${result.detail}`);
        const { retryAfterMs = null } = result;
        const isClose = ms === null ? retryAfterMs === null : Math.abs(retryAfterMs! - ms) < 30_000;
        assert.ok(isClose, `${header}: ${retryAfterMs}`);
      }
      [status, retryAfter] = [429, '17'];
      const wanted = await ask({ http: url, expect: { status: [200, 429] } });
      assert.equal(words(wanted), 'pass ok');
      assert.equal(wanted.retryAfterMs, undefined);
    },
  );
});

test('an answer with the expected status passes, with its phases timed to 0.1 ms', () =>
  withHttp(
    (_, response) => response.end('well'),
    async (port) => {
      const result = await ask({ http: `http://127.0.0.1:${port}/healthz` });
      assert.equal(words(result), 'pass ok', result.detail);
      assert.deepEqual(Object.keys(result.phases), ['connectMs', 'firstByteMs']);
      for (const ms of Object.values(result.phases)) assert.match(`${ms}`, /^\d+(\.\d)?$/);
      const named = await ask({ http: `http://localhost:${port}/` });
      assert.equal(words(named), 'pass ok', named.detail);
      assert.equal(typeof named.phases.dnsMs, 'number');
      assert.equal('certificateDays' in named, false);
    },
  ));

test('a request asks for a fresh answer and carries what was configured', async () => {
  const seen: IncomingMessage[] = [];
  await withHttp(
    (request, response) => {
      seen.push(request);
      response.end();
    },
    async (port) => {
      const url = `http://127.0.0.1:${port}/a?b=c`;
      const headers = { 'X-Probe': 'yes', 'User-Agent': 'shop' };
      await ask({ http: url, headers, method: 'POST' });
      await ask({ http: url, host: 'Www.Shop.Test' });
    },
  );
  assert.equal(seen[0]?.url, '/a?b=c');
  assert.equal(seen[0]?.method, 'POST');
  assert.equal(seen[0]?.headers['x-probe'], 'yes');
  assert.equal(seen[0]?.headers['user-agent'], 'shop');
  assert.equal(seen[0]?.headers['cache-control'], 'no-cache');
  assert.equal(seen[0]?.headers.pragma, 'no-cache');
  assert.equal(seen[0]?.headers.connection, 'close');
  assert.equal(seen[1]?.headers.host, 'www.shop.test');
  assert.equal(seen[1]?.headers['user-agent'], 'detour');
});

test('statuses are judged by number, bound, range and list', () =>
  withHttp(
    (request, response) => response.writeHead(Number(request.url?.slice(1))).end(),
    async (port) => {
      const cases: [number, unknown, string][] = [
        [200, undefined, 'pass ok'],
        [299, undefined, 'pass ok'],
        [300, undefined, 'fail status'],
        [503, undefined, 'fail status'],
        [204, 204, 'pass ok'],
        [200, 204, 'fail status'],
        [404, '<500', 'pass ok'],
        [500, '<500', 'fail status'],
        [403, [200, '401-403'], 'pass ok'],
        [404, [200, '401-403'], 'fail status'],
      ];
      for (const [status, wanted, expected] of cases) {
        const expect = wanted === undefined ? {} : { status: wanted };
        const result = await ask({ http: `http://127.0.0.1:${port}/${status}`, expect });
        assert.equal(words(result), expected, `${status} against ${JSON.stringify(wanted)}`);
        if (result.outcome === 'fail') assert.match(result.detail, new RegExp(`${status}`));
      }
    },
  ));

test('a body is judged by text, pattern and JSON value', () =>
  withHttp(
    (_, response) => response.end('{"state":"ok","nodes":[{"up":true,"n":3}],"__proto__x":1}'),
    async (port) => {
      const judge = async (body: unknown) =>
        words(await ask({ http: `http://127.0.0.1:${port}/`, expect: { body } }));
      assert.equal(await judge({ text: '"ok"' }), 'pass ok');
      assert.equal(await judge({ text: 'absent' }), 'fail body');
      assert.equal(await judge({ regex: '"n":\\d' }), 'pass ok');
      assert.equal(await judge({ regex: '^well' }), 'fail body');
      assert.equal(await judge({ json: { path: 'nodes.0.up', equals: true } }), 'pass ok');
      assert.equal(
        await judge({ json: { path: 'nodes.0', equals: { n: 3, up: true } } }),
        'pass ok',
      );
      assert.equal(await judge({ json: { path: 'nodes.0.n', equals: '3' } }), 'fail body');
      assert.equal(await judge({ json: { path: 'nodes.1.up', equals: true } }), 'fail body');
      assert.equal(
        await judge({ json: { path: 'constructor.name', equals: 'Object' } }),
        'fail body',
      );
    },
  ));

test('a body is read by what says how it was written, within the bound, or is not judged', async () => {
  const page = '{"state":"well","at":"杭州"}';
  const zeros = Buffer.alloc(64 * 1024 * 1024);
  const gbk = Buffer.from([0xba, 0xbc, 0xd6, 0xdd]);
  const html = (charset: string) =>
    Buffer.concat([Buffer.from(`<html><meta charset="${charset}">`), gbk]);
  const utf16 = Buffer.from(`\ufeff${page}`, 'utf16le');
  const [text, city] = [{ text: '"well"' }, { text: '杭州' }];
  const json = { json: { path: 'state', equals: 'well' } };
  const cases: [string, Record<string, string>, Buffer, object, RegExp][] = [
    ['gzip unasked', { 'content-encoding': 'gzip' }, gzipSync(page), json, /^pass ok$/],
    ['x-gzip', { 'content-encoding': 'X-GZIP' }, gzipSync(page), city, /^pass ok$/],
    ['deflate', { 'content-encoding': 'deflate' }, deflateSync(page), text, /^pass ok$/],
    ['raw deflate', { 'content-encoding': 'deflate' }, deflateRawSync(page), text, /^pass ok$/],
    ['br', { 'content-encoding': 'br' }, brotliCompressSync(page), text, /^pass ok$/],
    ['zstd', { 'content-encoding': 'zstd' }, zstdCompressSync(page), text, /^pass ok$/],
    ['two', { 'content-encoding': 'br, gzip' }, gzipSync(brotliCompressSync(page)), text, /^pass/],
    ['identity', { 'content-encoding': 'identity' }, Buffer.from(page), text, /^pass ok$/],
    ['not there', { 'content-encoding': 'gzip' }, gzipSync('sick'), text, /^fail body .* 4 bytes/],
    [
      'no gzip at all',
      { 'content-encoding': 'gzip' },
      Buffer.from(page),
      text,
      /^fail body .*no gzip/,
    ],
    ['unknown', { 'content-encoding': 'dcz' }, Buffer.from(page), text, /^blind encoding .*dcz/],
    [
      'a bomb',
      { 'content-encoding': 'gzip' },
      gzipSync(zeros),
      text,
      /^fail body .*first 4096 bytes/,
    ],
    [
      'a bomb behind it',
      { 'content-encoding': 'gzip' },
      gzipSync(Buffer.concat([Buffer.from(page), zeros.subarray(0, 1e6)])),
      text,
      /^pass ok$/,
    ],
    ['declared', { 'content-type': 'text/plain; charset=GBK' }, gbk, city, /^pass ok$/],
    ['quoted', { 'content-type': 'text/plain;charset="gb18030"' }, gbk, city, /^pass ok$/],
    ['in the page', { 'content-type': 'text/html' }, html('gb2312'), city, /^pass ok$/],
    ['in the page, wrong', { 'content-type': 'text/html' }, html('utf-16'), city, /^fail body/],
    [
      'in XML',
      { 'content-type': 'application/xml' },
      Buffer.concat([Buffer.from('<?xml version="1.0" encoding="GBK"?>'), gbk]),
      city,
      /^pass ok$/,
    ],
    ['16 bits by their mark', {}, utf16, json, /^pass ok$/],
    ['8 bits with a mark', {}, Buffer.from(`\ufeff${page}`), json, /^pass ok$/],
    [
      'unknown',
      { 'content-type': 'text/plain; charset=x-none' },
      gbk,
      city,
      /^blind encoding .*x-none/,
    ],
    [
      'unknown, in ASCII',
      { 'content-type': 'a/b; charset=x-none' },
      Buffer.from(page),
      text,
      /^pass/,
    ],
    ['nothing said', {}, gbk, city, /^fail body/],
  ];
  for (const [what, headers, bytes, body, expected] of cases) {
    await withHttp(
      (_, response) => response.writeHead(200, headers).end(bytes),
      async (port) => {
        for (const redirects of [0, 1]) {
          const result = await ask({
            http: `http://127.0.0.1:${port}/`,
            redirects,
            maxBytes: what.startsWith('a bomb') ? 4096 : 65_536,
            expect: { body },
          });
          const said = `${words(result)}${result.outcome === 'pass' ? '' : ` ${result.detail}`}`;
          assert.match(said, expected, what);
        }
      },
    );
  }
});

test('odd forms of answers are read, with and without redirects to follow', () =>
  withTcp(
    (socket) =>
      socket.once('data', (asked) => {
        const chunks = '5\r\nhello\r\n0\r\n\r\n';
        const odd: Readonly<Record<string, string>> = {
          '/both': `HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n${chunks}`,
          '/twice': 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello',
          '/bare': 'HTTP/1.1 200 OK\ncontent-length: 5\n\nhello',
          '/long': `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(20_480)}\r\ncontent-length: 5\r\n\r\nhello`,
          '/there': 'HTTP/1.1 302 There\nlocation: /bare\n\n',
        };
        socket.write(odd[asked.toString().split(' ')[1]!]!);
      }),
    async (port) => {
      for (const redirects of [0, 3]) {
        for (const path of ['both', 'twice', 'bare', 'long', ...(redirects > 0 ? ['there'] : [])]) {
          const url = `http://127.0.0.1:${port}/${path}`;
          const result = await ask({ http: url, redirects, expect: { body: { text: 'hello' } } });
          assert.equal(words(result), 'pass ok', `${path}: ${result.detail}`);
        }
      }
    },
  ));

test('a body that never ends is judged when it can be', () =>
  withHttp(
    (request, response) => {
      const [, kind, status] = request.url!.split('/');
      const type = kind === 'events' ? 'text/event-stream' : 'text/plain';
      response.writeHead(Number(status ?? 200), { 'content-type': type });
      response.write('data: we are well\n\n');
    },
    async (port) => {
      const say = async (path: string, expect: object, timeoutMs = 10_000) =>
        words(await askShortly({ http: `http://127.0.0.1:${port}/${path}`, expect }, timeoutMs));
      const [well, ill] = [{ body: { text: 'we are well' } }, { body: { text: 'not there' } }];
      assert.equal(await say('events', well), 'pass ok');
      assert.equal(await say('plain', well), 'pass ok');
      assert.equal(await say('plain', { body: { regex: 'w[a-z]ll' } }), 'pass ok');
      assert.equal(await say('events', {}), 'pass ok');
      assert.equal(await say('events/503', {}), 'fail status');
      assert.equal(await say('plain', ill, 400), 'fail timeout');
      // Nothing says that it would not end: whoever waits for it hangs.
      assert.equal(await say('plain', {}, 400), 'fail timeout');
    },
  ));

test('a body longer than maxBytes is cut, not failed, however long it goes on', async () => {
  let sent = 0;
  await withHttp(
    (_, response) => {
      const more = () => {
        if (response.destroyed) return;
        sent += 65_536;
        response.write(Buffer.alloc(65_536, 'x'), more);
      };
      response.write('begin ');
      more();
    },
    async (port) => {
      const url = `http://127.0.0.1:${port}/`;
      const expect = { body: { text: 'begin' } };
      const result = await ask({ http: url, maxBytes: 1000, expect });
      assert.equal(words(result), 'pass ok', result.detail);
      assert.match(result.detail, / 1000 bytes/);
      const json = { json: { path: 'a', equals: 1 } };
      assert.match((await ask({ http: url, expect: { body: json } })).detail, /raise maxBytes/);
    },
  );
  assert.ok(sent < 100_000_000, 'the sender was stopped');
});

test('a pattern that backtracks without end is our fault and is stopped', () => {
  const body = Buffer.from(`${'a'.repeat(60_000)}!`);
  const match = judgeBody(body, false, bodyExpectation.parse({ regex: '^(a+)+$' }));
  assert.equal(match.kind, 'unjudged');
  const next = judgeBody(body, false, bodyExpectation.parse({ regex: 'a!$' }));
  assert.equal(next.kind, 'match');
});

test('whatever bytes an origin sends, judging them does not throw', () => {
  const expectations = [{ text: 'a' }, { regex: '.+x' }, { json: { path: 'a.0', equals: null } }];
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 200 }),
        fc.json().map((text) => Buffer.from(text)),
      ),
      fc.constantFrom(...expectations),
      (bytes, expected) => {
        const match = judgeBody(Buffer.from(bytes), false, expected);
        assert.ok(['match', 'mismatch', 'unjudged'].includes(match.kind));
      },
    ),
  );
});

test('a refused, reset or closed connection fails with that word', async () => {
  const refused = await ask({ http: `http://127.0.0.1:${await closedPort()}/` });
  assert.equal(words(refused), 'fail refused', refused.detail);
  await withTcp(
    (socket) => socket.once('data', () => socket.resetAndDestroy()),
    async (port) => {
      const result = await ask({ http: `http://127.0.0.1:${port}/` });
      assert.equal(words(result), 'fail reset', result.detail);
    },
  );
  await withTcp(
    (socket) => socket.once('data', () => socket.end()),
    async (port) => {
      const result = await ask({ http: `http://127.0.0.1:${port}/` });
      assert.equal(words(result), 'fail closed', result.detail);
    },
  );
});

test('an answer that breaks off in its body fails, by length and by chunks', async () => {
  const heads = [
    'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n',
  ];
  for (const head of heads) {
    for (const [end, expected] of [
      [(socket: Socket) => socket.end(), 'fail closed'],
      [(socket: Socket) => socket.resetAndDestroy(), 'fail reset'],
    ] as const) {
      await withTcp(
        (socket) =>
          socket.once('data', () => socket.write(head, () => setTimeout(end, 20, socket))),
        async (port) => {
          const result = await ask({ http: `http://127.0.0.1:${port}/` });
          assert.equal(words(result), expected, `${head}: ${result.detail}`);
        },
      );
    }
  }
});

test('the deadline covers silence, half an answer, and a body that drips', async () => {
  const drip = (socket: Socket) => {
    socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
    const timer = setInterval(() => socket.write('1\r\nx\r\n'), 10);
    socket.on('close', () => clearInterval(timer));
  };
  const ways: [string, (socket: Socket) => void, RegExp][] = [
    ['says nothing', () => {}, /no answer from 127\.0\.0\.1:\d+ within 250ms/],
    ['stops in its head', (s) => s.write('HTTP/1.1 200 OK\r\nx: '), /no answer/],
    [
      'stops before its body',
      (s) => s.write('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n'),
      /no end/,
    ],
    ['drips', drip, /no end of the answer/],
    ['sends early hints for ever', (s) => s.write('HTTP/1.1 103 Early Hints\r\n\r\n'), /no answer/],
  ];
  for (const [what, answer, detail] of ways) {
    await withTcp(answer, async (port) => {
      const result = await askShortly({ http: `http://127.0.0.1:${port}/` }, 250);
      assert.equal(words(result), 'fail timeout', what);
      assert.match(result.detail, detail);
    });
  }
  await withTcp(
    () => {},
    async (port) => {
      const result = await askShortly({ http: `https://127.0.0.1:${port}/` }, 250);
      assert.equal(words(result), 'fail timeout');
      assert.match(result.detail, /no TLS handshake/);
    },
  );
});

test('an aborted probe is blind at once, before and during, and lets go of its socket', () =>
  withServer(net.createServer(), async (port, server) => {
    const early = await ask({ http: `http://127.0.0.1:${port}/` }, 10_000, AbortSignal.abort());
    assert.equal(words(early), 'blind aborted');
    const calling = new AbortController();
    const result = ask({ http: `http://127.0.0.1:${port}/` }, 10_000, calling.signal);
    await new Promise((resolve) => server.once('connection', resolve));
    calling.abort();
    assert.equal(words(await result), 'blind aborted');
    await until(
      () => new Promise((r) => server.getConnections((_, count) => r(count === 0))),
      'the connection is closed',
    );
  }));

test('a deadline that passes while this process stands still is blind', () =>
  withTcp(
    () => {},
    async (port) => {
      const result = ask({ http: `http://127.0.0.1:${port}/` }, 100);
      await new Promise((resolve) => setImmediate(resolve));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600);
      assert.equal(words(await result), 'blind stalled');
    },
  ));

/**
 * Asks a server on another thread, and stands still from when the request is there until the
 * deadline has passed. Null: the request was late itself, and nothing is found out.
 */
function askStandingStill(answers: boolean, timeoutMs: number): Promise<ProbeResult | null> {
  return withServerApart(answers, async ({ port, isAsked, awaitAnswer }) => {
    const begunAt = performance.now();
    const result = ask({ http: `http://127.0.0.1:${port}/` }, timeoutMs);
    const isLate = () => performance.now() > begunAt + timeoutMs / 2;
    while (!isAsked() && !isLate()) await new Promise((resolve) => setImmediate(resolve));
    if (isLate()) return result.then(() => null);
    // The probe's timer was set before the request was sent, so it is due at the end of this.
    const dueAt = performance.now() + timeoutMs;
    if (answers) awaitAnswer();
    const rest = Math.max(0, dueAt - performance.now()) + 20;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, rest);
    return result;
  });
}

/** A machine under load is given longer deadlines, and more tries where it stood still too long. */
async function askUntilInTime(answers: boolean): Promise<ProbeResult> {
  for (let [i, timeoutMs] = [0, 500]; i < 20; i++) {
    const result = await askStandingStill(answers, timeoutMs);
    if (result === null) timeoutMs = Math.min(2 * timeoutMs, 8000);
    else if (answers || result.reason !== 'stalled') return result;
  }
  return assert.fail('this machine is too busy to find anything out');
}

test('what was answered while this process stood still is an answer, past the deadline too', async () => {
  const result = await askUntilInTime(true);
  assert.equal(words(result), 'pass ok', result.detail);
});

test('what is never answered stays a time-out, though this process stood still meanwhile', async () => {
  const result = await askUntilInTime(false);
  assert.equal(words(result), 'fail timeout', result.detail);
  assert.match(result.detail, /no answer from/);
});

test('a standstill past the deadline of the check and of the prober is no fault of the prober', async () => {
  await withServerApart(false, async ({ port }) => {
    const settings = http.settings.parse({ http: `http://127.0.0.1:${port}/` });
    const check = (timeoutMs: number) => ({ kind: 'http', settings, timeoutMs });
    const checks = { 'o/short': check(100), 'o/long': check(30_000) };
    const prober = createProber(checks, { line: direct });
    const done = new AbortController();
    // Keeps the look of the first one from being called off with it.
    const open = prober.probe('o/long', 'line', done.signal);
    for (const stillMs of [280, 320, 500]) {
      const first = prober.probe('o/short', 'line', done.signal);
      // That look is due before the deadline of the second one.
      await pause(170);
      const second = prober.probe('o/short', 'line', done.signal);
      await pause(10);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stillMs);
      for (const { reason, detail } of [await first, await second])
        assert.ok(
          reason === 'timeout' || reason === 'stalled',
          `${stillMs} ms: ${reason} ${detail}`,
        );
    }
    done.abort();
    await open;
    prober.close();
  });
});

test('malformed HTTP fails as such, and nothing of it reaches the detail raw', async () => {
  const lines = [
    'SSH-2.0-OpenSSH_9.2\r\n',
    'HTTP/1.1 2000 \u001b[31mred\r\n\r\n',
    `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`,
    'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello',
  ];
  for (const line of lines) {
    await withTcp(
      (socket) => socket.once('data', () => socket.write(line)),
      async (port) => {
        const result = await ask({ http: `http://127.0.0.1:${port}/` });
        assert.equal(words(result), 'fail protocol', `${line.slice(0, 40)}: ${result.detail}`);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must be absent
        assert.doesNotMatch(result.detail, /[\u0000-\u001f\u007f]/);
      },
    );
  }
});

test('a detail is one bounded clause whatever is put into it', () => {
  fc.assert(
    fc.property(fc.string({ unit: anySign, maxLength: 600 }), (text) => {
      const shown = clause(text);
      assert.ok([...shown].length <= 200);
      assert.doesNotMatch(shown, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
    }),
  );
});

test('a redirect is judged by its status, or followed, but not for ever', () =>
  withHttp(
    (request, response) => {
      const path = request.url ?? '/';
      const to = { '/': '/next', '/next': '/end', '/loop': '/loop' }[path];
      if (path === '/bad') response.writeHead(302, { location: 'ftp://127.0.0.1/' }).end();
      else if (to === undefined) response.end('arrived');
      else response.writeHead(302, { location: to }).end('elsewhere');
    },
    async (port) => {
      const url = `http://127.0.0.1:${port}`;
      assert.equal(words(await ask({ http: `${url}/` })), 'fail status');
      assert.equal(words(await ask({ http: `${url}/`, expect: { status: 302 } })), 'pass ok');
      const body = { text: 'arrived' };
      const followed = await ask({ http: `${url}/`, redirects: 2, expect: { body } });
      assert.equal(words(followed), 'pass ok', followed.detail);
      assert.equal(words(await ask({ http: `${url}/`, redirects: 1 })), 'fail too-many-redirects');
      assert.equal(
        words(await ask({ http: `${url}/loop`, redirects: 10 })),
        'fail too-many-redirects',
      );
      assert.equal(words(await ask({ http: `${url}/bad`, redirects: 1 })), 'fail protocol');
    },
  ));

test('headers, Host and the pin do not follow a redirect to another host', async () => {
  const seen: IncomingMessage[] = [];
  await withHttp(
    (request, response) => {
      seen.push(request);
      if (request.url !== '/') return response.end();
      const { port } = request.socket.address() as AddressInfo;
      return response.writeHead(302, { location: `http://127.0.0.1:${port}/other` }).end();
    },
    async (port) => {
      const result = await ask({
        http: `http://www.shop.test:${port}/`,
        address: '127.0.0.1',
        host: 'www.shop.test',
        headers: { 'x-key': 'only for home' },
        redirects: 1,
      });
      assert.equal(words(result), 'pass ok', result.detail);
      assert.equal(result.phases.dnsMs, undefined);
      assert.equal(seen[0]?.headers['x-key'], 'only for home');
      assert.equal(seen[1]?.headers['x-key'], undefined);
      assert.equal(seen[1]?.headers.host, `127.0.0.1:${port}`);
    },
  );
});

const withTls = (
  { key, cert }: { key: Buffer; cert: Buffer },
  answer: RequestListener,
  work: (port: number) => Promise<void>,
) => withServer(createSecureServer({ key, cert }, answer), work);

test('a certificate of a private root passes, with its days left and the TLS phase', () =>
  withTls(
    good,
    (_, response) => response.end(),
    async (port) => {
      const url = `https://127.0.0.1:${port}/`;
      const result = await ask({ http: url, ca: good.ca });
      assert.equal(words(result), 'pass ok', result.detail);
      assert.equal(result.certificateDays, 30);
      assert.equal(typeof result.phases.tlsMs, 'number');
      const enough = { certificateDays: 30 };
      assert.equal(words(await ask({ http: url, ca: good.ca, expect: enough })), 'pass ok');
      const tooFew = await ask({ http: url, ca: good.ca, expect: { certificateDays: 31 } });
      assert.equal(words(tooFew), 'fail certificate-days');
      assert.match(tooFew.detail, /30 days left/);
    },
  ));

test('Host and SNI carry the public name while the connection goes to the pinned address', () =>
  withServer(
    createSecureServer(good, (request, response) => {
      const { servername } = request.socket as TLSSocket & { servername: string };
      response.end(`${servername} ${request.headers.host}`);
    }),
    async (port) => {
      const pinned = await ask({
        http: `https://www.shop.test:${port}/`,
        address: '127.0.0.1',
        ca: good.ca,
        expect: { body: { text: `www.shop.test www.shop.test:${port}` } },
      });
      assert.equal(words(pinned), 'pass ok', pinned.detail);
      const named = await ask({
        http: `https://127.0.0.1:${port}/`,
        host: 'www.shop.test',
        ca: good.ca,
        expect: { body: { regex: '^www\\.shop\\.test www\\.shop\\.test$' } },
      });
      assert.equal(words(named), 'pass ok', named.detail);
    },
  ));

test('a bad chain, a wrong name and an expired certificate fail always', async () => {
  const was = process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
  try {
    const cases = [
      [good, {}, /SELF_SIGNED/],
      [good, { ca: other.ca }, /SELF_SIGNED|UNABLE_TO/],
      [other, { ca: other.ca }, /ALTNAME/],
      [expired, { ca: expired.ca }, /EXPIRED/],
    ] as const;
    for (const [served, trusted, detail] of cases) {
      let asked = 0;
      await withTls(
        served,
        (_, response) => {
          asked++;
          response.end();
        },
        async (port) => {
          const url = `https://www.shop.test:${port}/`;
          const result = await ask({ http: url, address: '127.0.0.1', ...trusted });
          assert.equal(words(result), 'fail tls', result.detail);
          assert.match(result.detail, detail);
        },
      );
      assert.equal(asked, 0, 'nothing is sent over a connection that is not verified');
    }
  } finally {
    if (was === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = was;
  }
});

test('a broken handshake has its own word, and a bad bundle is ours', () =>
  withHttp(
    () => {},
    async (port) => {
      const plain = await ask({ http: `https://127.0.0.1:${port}/` });
      assert.equal(words(plain), 'fail tls', plain.detail);
      const bundle = await ask({ http: `https://127.0.0.1:${port}/`, ca: join(scratch, 'none') });
      assert.equal(words(bundle), 'blind internal');
      assert.match(bundle.detail, /it is not there; give a readable file/);
      await withTcp(
        (socket) => socket.once('data', () => socket.resetAndDestroy()),
        async (resetting) => {
          const result = await ask({ http: `https://127.0.0.1:${resetting}/` });
          assert.equal(words(result), 'fail reset', result.detail);
        },
      );
      await withTcp(
        (socket) => socket.once('data', () => socket.end()),
        async (closing) => {
          const result = await ask({ http: `https://127.0.0.1:${closing}/` });
          assert.equal(words(result), 'fail closed', result.detail);
        },
      );
    },
  ));

test('every probe opens a connection of its own, with a full handshake', async () => {
  const ports = new Set<number | undefined>();
  let resumed = 0;
  await withServer(
    createSecureServer(good, (request, response) => {
      ports.add(request.socket.remotePort);
      if ((request.socket as TLSSocket).isSessionReused()) resumed++;
      response.setHeader('connection', 'keep-alive');
      response.end();
    }),
    async (port) => {
      const check = http.create(
        http.settings.parse({ http: `https://127.0.0.1:${port}/`, ca: good.ca }),
        direct,
        10_000,
        noSecrets,
      );
      for (let i = 0; i < 6; i++) {
        const result = await check.ask(new AbortController().signal);
        assert.equal(words(result), 'pass ok', result.detail);
      }
    },
  );
  assert.equal(ports.size, 6);
  assert.equal(resumed, 0);
});

test('a name that does not exist fails as dns', async () => {
  const result = await ask({ http: `http://${'a'.repeat(64)}.invalid/` });
  assert.equal(words(result), 'fail dns', result.detail);
});

/** Asks in a process of its own, started by a shell line that ends in `"$@"`. */
function elsewhere(shell: string, asks: readonly [string, number][], before = ''): string[] {
  const code = `
    import { http } from '${new URL('../../src/probes/http.ts', import.meta.url)}';
    ${before}
    for (const [url, timeoutMs] of ${JSON.stringify(asks)}) {
      const settings = http.settings.parse({ http: url });
      const check = http.create(settings, ${JSON.stringify(direct)}, timeoutMs, {});
      let answer = await check.ask(new AbortController().signal);
      for (let i = 0; i < 20 && answer.reason === 'stalled'; i++) {
        answer = await check.ask(new AbortController().signal);
      }
      const { outcome, reason, detail } = answer;
      console.log(outcome, reason, detail);
    }
    // Nothing is left that would keep the process.
    `;
  const node = [process.execPath, '--input-type=module', '-e', code];
  const done = spawnSync('sh', ['-c', shell, 'sh', ...node], { encoding: 'utf8', timeout: 30_000 });
  assert.equal(done.stderr, '');
  return done.stdout.trim().split('\n');
}

test('no descriptor left is blind, for the connection and for the resolver', () => {
  const eat = `
    import { openSync } from 'node:fs';
    for (;;) { try { openSync('/dev/null'); } catch { break; } }`;
  const said = elsewhere('ulimit -n 64; exec "$@"', [['http://127.0.0.1:9/', 5000]], eat);
  assert.match(said[0] ?? '', /^blind descriptors .*LimitNOFILE/);
  const named = elsewhere('ulimit -n 64; exec "$@"', [['http://www.shop.test/', 5000]], eat);
  assert.match(named[0] ?? '', /^blind descriptors .*LimitNOFILE/);
});

test('without a network, or with rules of our own against it, everything is blind', {
  skip: withoutOwnNetwork,
}, () => {
  const cut = elsewhere(`exec ${ownNetwork.join(' ')} "$@"`, [
    ['http://192.0.2.1/', 5000],
    ['http://[2001:db8::1]/', 5000],
    ['http://www.shop.test/', 20_000],
  ]);
  assert.match(cut[0] ?? '', /^blind no-route /);
  assert.match(cut[1] ?? '', /^blind no-route /);
  assert.match(cut[2] ?? '', /^blind resolver .*no route/);
  const routes =
    'ip link set lo up; ip route add unreachable 192.0.2.0/24; ' +
    'ip route add prohibit 198.51.100.0/24; exec "$@"';
  const odd = elsewhere(`exec ${ownNetwork.join(' ')} sh -c '${routes}' sh "$@"`, [
    ['http://192.0.2.1/', 5000],
    ['http://198.51.100.1/', 5000],
  ]);
  assert.match(odd[0] ?? '', /^blind no-route .*its route is closed on this machine/);
  assert.match(odd[1] ?? '', /^blind no-route /);
});

test('a resolver that does not answer in time is blind, not a failure of the origin', {
  skip: withoutOwnNetwork,
}, (context) => {
  // The resolver's address exists and swallows what it is sent.
  const swallow = `
    import { createSocket } from 'node:dgram';
    import { readFileSync } from 'node:fs';
    const [, address] = /nameserver\\s+(\\S+)/.exec(readFileSync('/etc/resolv.conf', 'utf8')) ?? [];
    await new Promise((done) => createSocket('udp4').bind(53, address, done).unref());`;
  const server = /nameserver\s+(\d+\.\d+\.\d+\.\d+)/.exec(
    readFileSync('/etc/resolv.conf', 'utf8'),
  )?.[1];
  if (server === undefined) return context.skip('resolv.conf names no server by IPv4');
  const address = `ip link set lo up; ip addr add ${server}/32 dev lo; exec "$@"`;
  const said = elsewhere(
    `exec ${ownNetwork.join(' ')} sh -c '${address}' sh "$@"`,
    [['http://www.shop.test/', 300]],
    swallow,
  );
  assert.match(said[0] ?? '', /^blind resolver .*no answer for www\.shop\.test within 300ms/);
});

test('five hundred failing probes leave no socket and no timer behind', async () => {
  const active = () =>
    process.getActiveResourcesInfo().filter((kind) => /TCP|TLS|Timeout|ReqWrap/.test(kind)).length;
  const long = `HTTP/1.1 503 No\r\ncontent-length: 90000\r\n\r\n${'x'.repeat(9e4)}`;
  const ways: [(socket: Socket) => void, 'http' | 'https', RegExp][] = [
    [(socket) => socket.once('data', () => socket.resetAndDestroy()), 'http', /^fail reset$/],
    [(socket) => socket.once('data', () => socket.end()), 'https', /^fail closed$/],
    [(socket) => socket.write('nonsense\r\n'), 'http', /^fail protocol$/],
    [(socket) => socket.write('nonsense\r\n'), 'https', /^fail tls$/],
    [(socket) => socket.write(long), 'http', /^fail status$/],
    [() => {}, 'https', /^fail timeout$|^blind stalled$/],
    [(socket) => socket.write(long.slice(0, 99)), 'http', /^fail timeout$|^blind stalled$/],
  ];
  const refusing = await closedPort();
  const before = active();
  for (const [answer, scheme, expected] of ways) {
    await withTcp(answer, async (port, server) => {
      const timeoutMs = expected.source.includes('timeout') ? 300 : 20_000;
      const asks = Array.from({ length: 62 }, () =>
        ask({ http: `${scheme}://127.0.0.1:${port}/` }, timeoutMs),
      );
      for (const result of await Promise.all(asks)) assert.match(words(result), expected);
      const connections = () =>
        new Promise<boolean>((r) => server.getConnections((_, count) => r(count === 0)));
      await until(connections, 'the other end has no connection left');
    });
  }
  for (let i = 0; i < 66; i++) {
    const result = await ask({ http: `http://127.0.0.1:${refusing}/` });
    assert.equal(words(result), 'fail refused');
  }
  await until(() => active() <= before, `active resources back to ${before}`);
});

test('settings name what is wrong with them', () => {
  const url = 'http://a.test/';
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ http: 'a.test/healthz' }, /expected a URL/],
    [{ http: 'ftp://a.test/' }, /expected a URL/],
    [{ http: 'http://10.0.0.300/' }, /expected a URL/],
    [{ http: 'http://a.test/ x' }, /expected a URL/],
    [{ http: 'http://u:p@a.test/' }, /secrets are never/],
    [{ http: 'http://a.test/#x' }, /fragment/],
    [{ http: url, headers: { 'x-a': 'b\r\nx-c: d' } }, /value of x-a has control/],
    [{ http: url, headers: { 'x a': 'b' } }, /no header name/],
    [{ http: url, headers: { Host: 'b' } }, /use host/],
    [{ http: url, headers: { Authorization: 'b' } }, /secrets are never/],
    [{ http: url, headers: { 'X-A': 'b', 'x-a': 'c' } }, /twice/],
    [{ http: url, host: 'a b' }, /host name/],
    [{ http: url, address: '192.0.2.7:80' }, /without a port/],
    [{ http: url, expect: { status: 600 } }, /expected a status/],
    [{ http: url, expect: { status: '300-200' } }, /expected a status/],
    [{ http: url, expect: { body: {} } }, /exactly one/],
    [{ http: url, expect: { body: { text: 'a', regex: 'b' } } }, /exactly one/],
    [{ http: url, expect: { body: { regex: '(' } } }, /regular expression/],
    [{ http: url, expect: { certificateDays: 7 } }, /no certificate/],
    [{ http: url, method: 'HEAD', expect: { body: { text: 'a' } } }, /no body/],
    [{ http: url, expects: {} }, /expects/],
  ];
  for (const [settings, message] of wrong) {
    const read = http.settings.safeParse(settings);
    assert.equal(read.success, false, JSON.stringify(settings));
    assert.match(JSON.stringify(read.error?.issues), message);
  }
  assert.ok(JSON.stringify(z.toJSONSchema(http.settings, { io: 'input' })).includes('maxBytes'));
});

test('no settings at all make a probe throw or reject', () =>
  fc.assert(
    fc.asyncProperty(fc.anything(), async (value) => {
      const read = http.settings.safeParse({ http: value });
      assert.equal(typeof read.success, 'boolean');
      const prober = createProber(
        { 'o/c': { kind: 'http', settings: value, timeoutMs: 50 } },
        { line: direct },
      );
      const result = await prober.probe('o/c', 'line', new AbortController().signal);
      prober.close();
      assert.equal(result.outcome, 'blind');
    }),
    { numRuns: 50 },
  ));
