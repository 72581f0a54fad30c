// Visits: what a check asks, under another name. Real listeners on loopback; what must not be sent
// along is looked for in what arrives.

import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { test } from 'node:test';
import { parseConfig } from '../../src/config/config.ts';
import { http } from '../../src/probes/http.ts';
import { createVisitor, visitable, visitsBy } from '../../src/probes/visit.ts';
import { tables } from '../../src/run/build.ts';
import { visitsOf } from '../../src/run/visits.ts';
import { closedPort, withServer } from '../parts/listening.ts';

const line = { name: 'line', kind: 'direct', resolver: null, localAddress: null } as const;
const means = { secret: () => assert.fail('no secret is asked for') };
const never = new AbortController().signal;
const secret = { env: 'X' };

function serving(listener: RequestListener, use: (port: number) => Promise<void>) {
  return withServer(createServer(listener), use);
}

function visitor(configured: Record<string, unknown>, timeoutMs = 5000) {
  const web = { kind: 'http', settings: http.settings.parse(configured), timeoutMs };
  const { visit } = createVisitor({ web }, { line }, means);
  return (name: string | null, address = '127.0.0.1') =>
    visit({ check: 'web', path: 'line', address, name }, never);
}

test('Host is the public name, at the address that is given; the answer is shown', async () => {
  const seen: IncomingMessage[] = [];
  await serving(
    (request, response) => {
      seen.push(request);
      response.writeHead(200, { server: 'lab', 'strict-transport-security': 'max-age=9' });
      response.end('the shop');
    },
    async (port) => {
      const ask = visitor({
        http: `http://own.example:${port}/healthz?x=1`,
        headers: { 'x-probe': 'yes' },
        host: 'other.example',
        expect: { body: { text: 'shop' } },
      });
      const visited = await ask('www.shop.example.');
      assert.equal(visited.outcome, 'pass', visited.detail);
      assert.deepEqual(
        { ...visited.answer, type: null },
        {
          ...{ status: 200, server: 'lab', hsts: 'max-age=9', location: null, type: null },
          body: 'the shop',
        },
      );
      assert.equal((await ask(null)).outcome, 'pass');
      assert.deepEqual(
        seen.map(({ url, headers }) => [url, headers.host, headers['x-probe']]),
        [
          ['/healthz?x=1', `www.shop.example:${port}`, 'yes'],
          ['/healthz?x=1', 'other.example', 'yes'],
        ],
      );
    },
  );
});

test('a redirect is followed on the one host alone, and where it leads is shown', async () => {
  await serving(
    (request, response) => {
      const { host = '' } = request.headers;
      if (request.url === '/') response.writeHead(301, { location: `http://${host}/in` }).end();
      else response.writeHead(302, { location: 'http://home.example:1/x' }).end();
    },
    async (port) => {
      const url = `http://own.example:${port}/`;
      const followed = await visitor({ http: url, redirects: 3 })('www.shop.example.');
      assert.equal(followed.answer?.location, 'http://home.example:1/x');
      assert.equal(followed.outcome, 'fail');
      const wanted = { http: url, expect: { status: 301 } };
      const judged = await visitor(wanted)('www.shop.example.');
      assert.deepEqual([judged.outcome, judged.answer?.status], ['pass', 301]);
      assert.equal(judged.answer?.location, `http://www.shop.example:${port}/in`);
      assert.equal((await visitor({ http: url })(null)).answer?.status, 301);
    },
  );
});

test('who does not answer is told as the check tells it, and nothing is shown', async () => {
  const ask = visitor({ http: `http://own.example:${await closedPort()}/` });
  const visited = await ask('www.shop.example.');
  assert.deepEqual([visited.outcome, visited.reason, visited.answer], ['fail', 'refused', null]);
  const odd = await createVisitor({}, { line }, means).visit(
    { check: 'web', path: 'line', address: '127.0.0.1', name: null },
    never,
  );
  assert.deepEqual([odd.outcome, odd.reason, odd.answer], ['blind', 'internal', null]);
});

test('checks with secrets are not visited, nor is by way of an exporter', () => {
  const of = (more: object) =>
    visitable({
      kind: 'http',
      settings: http.settings.parse({ http: 'https://own.example:8443/', ...more }),
      timeoutMs: 1,
    });
  assert.deepEqual(of({}), { secure: true, host: 'own.example' });
  assert.deepEqual(of({ host: 'www.example:99' }), { secure: true, host: 'www.example' });
  assert.equal(of({ secretHeaders: { 'x-key': secret } }), null);
  assert.equal(of({ basic: { user: 'u', password: secret } }), null);
  assert.equal(of({ client: { cert: '/c', key: '/k' } }), null);
  const keys = { accessKeyId: secret, secretAccessKey: secret };
  assert.equal(of({ sign: { type: 'aws-sigv4', region: 'r', ...keys } }), null);
  assert.equal(visitable({ kind: 'tcp', settings: {}, timeoutMs: 1 }), null);
  assert.equal(visitsBy(line), true);
  const exporter = { name: 'e', kind: 'blackbox', url: 'http://127.0.0.1:9115', module: 'm' };
  assert.equal(visitsBy({ ...exporter, resolver: null } as never), false);
});

test('of each origin one check by http and one by https is asked; without any its first page', () => {
  const parsed = parseConfig(
    [
      'cluster: shop',
      'providers: { cf: { type: cloudflare, apiToken: { env: X } } }',
      'paths: { a: {}, b: { blackbox: "http://127.0.0.1:9115", module: m } }',
      'audit: { certificateDays: 30 }',
      'origins:',
      '  one:',
      '    cloud: x',
      '    checks:',
      '      note: { http: "https://one.example/note", advisory: true }',
      '      web: { http: "https://one.example/" }',
      '      plain: { http: "http://one.example/" }',
      '      more: { http: "https://one.example/more" }',
      '  two: { cloud: y, checks: { port: { tcp: "two.example:25", paths: [a] } } }',
      'records:',
      '  www.gslb.example.net:',
      '    publish: [cf]',
      '    targets: [{ origin: one, cname: a.example }, { origin: two, cname: b.example }]',
    ].join('\n'),
    'detour.yaml',
    tables,
  );
  assert.ok(parsed.ok, JSON.stringify(parsed));
  const { asks, certificateDays } = visitsOf(parsed.config, means);
  assert.equal(certificateDays, 30);
  assert.deepEqual(asks, {
    one: [
      { check: 'one/web', secure: true, host: 'one.example', paths: ['a'] },
      { check: 'one/plain', secure: false, host: 'one.example', paths: ['a'] },
    ],
    two: [{ check: 'two/', secure: true, host: 'unnamed.invalid', paths: ['a'] }],
  });
});
