// Signed requests and other secrets of the `http` check: against AWS's own documented examples,
// against the lab's independent check of signatures, and that no secret goes where it should not.

import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import fc from 'fast-check';
import type { PathSpec, ProbeResult } from '../../src/kit/extend.ts';
import type { SecretRef } from '../../src/kit/schema.ts';
import { SecretError } from '../../src/kit/secret.ts';
import { type SignatureRule, signatureFlaw } from '../../src/lab/vendors/sigv4.ts';
import { http } from '../../src/probes/http.ts';
import { createProber } from '../../src/probes/index.ts';
import { sign } from '../../src/probes/sign.ts';
import { createCertificates, withServer, words } from '../parts/listening.ts';

const { certificate, remove } = createCertificates();
after(remove);
const good = certificate('good', 'DNS:www.shop.test,IP:127.0.0.1', -1, 30.5);

const direct: PathSpec = { name: 'line', kind: 'direct', resolver: null, localAddress: null };
const secrets: Record<string, string> = {
  KEY: 'AKIAIOSFODNN7EXAMPLE',
  SECRET: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  SESSION: 'a+session/token==',
  PASSWORD: 'gehe:im ß',
  TOKEN: 'Bearer geheim',
  BROKEN: 'geheim\r\nx-more: yes',
};
const secret = (ref: SecretRef): string => {
  const value = 'env' in ref ? secrets[ref.env] : undefined;
  if (value === undefined) throw new SecretError(`${JSON.stringify(ref)} is not set`);
  return value;
};

function ask(configured: Record<string, unknown>): Promise<ProbeResult> {
  const check = http.create(http.settings.parse(configured), direct, 10_000, { secret });
  return check.ask(new AbortController().signal);
}

const withHttp = (answer: RequestListener, work: (port: number) => Promise<void>) =>
  withServer(createServer(answer), work);

const s3Keys = {
  accessKeyId: secrets['KEY']!,
  secretAccessKey: secrets['SECRET']!,
  sessionToken: null,
};

test("AWS's documented examples come out to the letter", () => {
  // docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, read 2026-11.
  const cases = [
    [
      '/test.txt',
      { range: 'bytes=0-9' },
      'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    ],
    ['/?lifecycle', {}, 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'],
    [
      '/?max-keys=2&prefix=J',
      {},
      '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
    ],
  ] as const;
  const host = 'examplebucket.s3.amazonaws.com';
  for (const [target, more, signature] of cases) {
    const added = sign({
      method: 'GET',
      url: new URL(`https://${host}${target}`),
      headers: { host, ...more },
      region: 'us-east-1',
      service: 's3',
      keys: s3Keys,
      wall: Date.UTC(2013, 4, 24),
    });
    assert.ok(added['authorization']?.endsWith(`Signature=${signature}`), added['authorization']);
    assert.equal(added['x-amz-date'], '20130524T000000Z');
  }
  // aws-sig-v4-test-suite, get-vanilla: another service, which wants no hash in a header.
  const vanilla = sign({
    method: 'GET',
    url: new URL('https://example.amazonaws.com/'),
    headers: { host: 'example.amazonaws.com' },
    region: 'us-east-1',
    service: 'service',
    keys: {
      accessKeyId: 'AKIDEXAMPLE',
      secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
      sessionToken: null,
    },
    wall: Date.UTC(2015, 7, 30, 12, 36),
  });
  assert.equal(
    vanilla['authorization'],
    'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, ' +
      'SignedHeaders=host;x-amz-date, ' +
      'Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31',
  );
});

const key = { env: 'KEY' };
const signing = {
  type: 'aws-sigv4',
  region: 'cn-hangzhou',
  accessKeyId: key,
  secretAccessKey: { env: 'SECRET' },
};

function flawOf(request: IncomingMessage, more: Partial<SignatureRule> = {}) {
  const { method, url, headers } = request;
  const asked = { method: method!, target: url!, headers, body: Buffer.alloc(0) };
  const rule = { service: 's3', region: 'cn-hangzhou', key: s3Keys, skewMs: 900_000, ...more };
  const { sessionToken: _, ...bare } = s3Keys;
  return signatureFlaw(asked, { ...rule, key: more.key ?? bare });
}

test('an independent check finds every signed request right, whatever its path and query', async () => {
  let flaw: unknown = 'not asked';
  await withHttp(
    (request, response) => {
      flaw = flawOf(request);
      response.end();
    },
    async (port) => {
      const segment = fc.string({
        unit: fc.constantFrom(..."aZ09-_.~ !$&'()*,;=:@/é中%"),
        maxLength: 12,
      });
      await fc.assert(
        fc.asyncProperty(segment, segment, segment, async (path, name, value) => {
          const query = `?${encodeURIComponent(name)}=${encodeURIComponent(value)}&b&a=1`;
          const target = `${encodeURI(path)}${query}`;
          const result = await ask({ http: `http://127.0.0.1:${port}/${target}`, sign: signing });
          assert.equal(words(result), 'pass ok', result.detail);
          assert.equal(flaw, null, target);
        }),
        { numRuns: 60 },
      );
    },
  );
});

test('signatures hold with a session token, another host, other services and past caches', async () => {
  const seen: IncomingMessage[] = [];
  await withHttp(
    (request, response) => {
      seen.push(request);
      response.end();
    },
    async (port) => {
      const url = `http://127.0.0.1:${port}/probe.txt`;
      const session = { ...signing, sessionToken: { env: 'SESSION' } };
      await ask({ http: url, sign: session });
      await ask({ http: url, sign: signing, host: 'bucket.shop.test' });
      await ask({ http: url, sign: { ...signing, service: 'ecs' } });
      await ask({ http: `${url}?a=b`, sign: signing, cacheBust: true });
      await ask({ http: `${url}?a=b`, sign: signing, cacheBust: true, method: 'HEAD' });
    },
  );
  const { sessionToken: _, ...bare } = s3Keys;
  const withToken = { ...bare, sessionToken: secrets['SESSION']! };
  assert.equal(flawOf(seen[0]!, { key: withToken }), null);
  assert.equal(seen[1]!.headers.host, 'bucket.shop.test');
  assert.equal(flawOf(seen[1]!), null);
  assert.equal(flawOf(seen[2]!, { service: 'ecs' }), null);
  assert.equal(seen[2]!.headers['x-amz-content-sha256'], undefined);
  assert.match(seen[3]!.url ?? '', /^\/probe\.txt\?a=b&x-detour=[0-9a-f]{16}$/);
  assert.equal(flawOf(seen[3]!), null);
  assert.equal(flawOf(seen[4]!), null);
  assert.notEqual(seen[3]!.url, seen[4]!.url, 'each probe has a URL of its own');
});

test('a refused signature fails, unless it is our clock that is wrong', async () => {
  let date = new Date();
  await withHttp(
    (_, response) => {
      response.setHeader('date', date.toUTCString());
      response.writeHead(403).end('RequestTimeTooSkewed');
    },
    async (port) => {
      const url = `http://127.0.0.1:${port}/`;
      assert.equal(words(await ask({ http: url, sign: signing })), 'fail status');
      date = new Date(Date.now() + 20 * 60_000);
      const off = await ask({ http: url, sign: signing });
      assert.equal(words(off), 'blind clock');
      assert.match(off.detail, /clock is 20 minutes off/);
      assert.equal(words(await ask({ http: url })), 'fail status', 'unsigned: it does not matter');
      const wanted = await ask({ http: url, sign: signing, expect: { status: 403 } });
      assert.equal(words(wanted), 'pass ok');
    },
  );
});

test('a password and secret headers are sent, and to nobody else', async () => {
  const seen: IncomingMessage[] = [];
  const collect: RequestListener = (request, response) => {
    seen.push(request);
    const { port } = request.socket.address() as AddressInfo;
    const to = { '/same': `/end`, '/other': `http://localhost:${port}/end` }[request.url!];
    if (to === undefined) return response.end();
    return response.writeHead(302, { location: to }).end();
  };
  await withHttp(collect, async (port) => {
    const at = (path: string) => `http://127.0.0.1:${port}${path}`;
    const basic = { user: 'detour', password: { env: 'PASSWORD' } };
    assert.equal(words(await ask({ http: at('/same'), basic, redirects: 1 })), 'pass ok');
    const sent = Buffer.from(seen[0]!.headers.authorization!.replace('Basic ', ''), 'base64');
    assert.equal(sent.toString(), 'detour:gehe:im ß');
    assert.equal(seen[1]!.headers.authorization, seen[0]!.headers.authorization);
    seen.length = 0;
    const secretHeaders = { 'X-Token': { env: 'TOKEN' } };
    const both = { basic, secretHeaders, redirects: 1 };
    assert.equal(words(await ask({ http: at('/other'), ...both })), 'pass ok');
    assert.equal(seen[0]!.headers['x-token'], 'Bearer geheim');
    assert.equal(seen[1]!.headers.authorization, undefined);
    assert.equal(seen[1]!.headers['x-token'], undefined);
    // The same host without TLS: a redirect must not make a secret readable.
    const secure = createSecureServer(good, (_, response) =>
      response.writeHead(302, { location: at('/end') }).end(),
    );
    seen.length = 0;
    await withServer(secure, async (securePort) => {
      const settings = { http: `https://127.0.0.1:${securePort}/`, ca: good.ca, ...both };
      assert.equal(words(await ask(settings)), 'pass ok');
    });
    assert.equal(seen[0]!.headers.authorization, undefined);
    assert.equal(seen[0]!.headers['x-token'], undefined);
    // Another port of the same host is another service, which somebody else may run.
    seen.length = 0;
    const elsewhere: RequestListener = (_, response) =>
      response.writeHead(302, { location: at('/end') }).end();
    await withHttp(elsewhere, async (otherPort) => {
      const http = `http://127.0.0.1:${otherPort}/`;
      assert.equal(words(await ask({ http, ...both })), 'pass ok');
      await ask({ http, sign: signing, redirects: 1 });
    });
    assert.equal(seen.length, 2);
    for (const { headers } of seen) {
      assert.equal(headers.authorization, undefined);
      assert.equal(headers['x-token'], undefined);
    }
    seen.length = 0;
    await ask({ http: at('/other'), sign: signing, redirects: 1 });
    assert.match(seen[0]!.headers.authorization ?? '', /^AWS4/);
    assert.equal(seen[1]!.headers.authorization, undefined);
  });
});

test('a secret that cannot be had or sent is blind and never shown', async () => {
  const base = { http: 'https://127.0.0.1:9/' };
  const cases: Record<string, unknown>[] = [
    { ...base, secretHeaders: { 'x-a': { env: 'BROKEN' } } },
    { ...base, sign: { ...signing, secretAccessKey: { env: 'PASSWORD' } } },
    { ...base, basic: { user: 'a', password: { env: 'NOBODY' } } },
  ];
  for (const configured of cases) {
    const settings = http.settings.parse(configured);
    const spec = { kind: 'http', settings, timeoutMs: 1000 };
    const prober = createProber({ 'o/c': spec }, { line: direct }, { secret });
    const result = await prober.probe('o/c', 'line', new AbortController().signal);
    prober.close();
    assert.equal(words(result), 'blind secret', result.detail);
    assert.doesNotMatch(JSON.stringify(result), /geh/);
  }
});

test('settings with secrets name what is wrong with them', () => {
  const url = 'https://a.test/';
  const basic = { user: 'a', password: { env: 'A' } };
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ http: url, secretHeaders: { 'x-a': 'written out' } }, /secrets are never written/],
    [{ http: url, secretHeaders: { 'x a': { env: 'A' } } }, /no header name/],
    [{ http: url, secretHeaders: { host: { env: 'A' } } }, /use host/],
    [
      { http: url, headers: { 'X-A': 'b' }, secretHeaders: { 'x-a': { env: 'A' } } },
      /under headers/,
    ],
    [{ http: url, basic: { user: 'a:b', password: { env: 'A' } } }, /without a colon/],
    [{ http: url, basic, sign: signing }, /basic and sign: .* choose one/],
    [{ http: url, basic, secretHeaders: { Authorization: { env: 'A' } } }, /choose one/],
    [{ http: 'http://a.test/', basic }, /show the secrets to everybody/],
    [{ http: url, headers: { 'x-amz-date': 'b' }, sign: signing }, /set by the signature/],
    [{ http: `${url}?a=b+c`, sign: signing }, /write %20 or %2B/],
    [{ http: url, sign: { ...signing, region: 'EU' } }, /expected a word/],
    [{ http: url, sign: { ...signing, type: 'aws-sigv2' } }, /aws-sigv4/],
    [{ http: url, headers: { Authorization: 'b' } }, /use secretHeaders or basic/],
  ];
  for (const [settings, message] of wrong) {
    const read = http.settings.safeParse(settings);
    assert.equal(read.success, false, JSON.stringify(settings));
    assert.match(JSON.stringify(read.error?.issues), message);
  }
  assert.ok(http.settings.safeParse({ http: 'http://[::1]/', basic }).success);
});
