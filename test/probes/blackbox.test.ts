// A path whose probes an exporter makes: what its metrics mean, that its own trouble is blind, and
// the same against a real prometheus-blackbox-exporter.

import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { after, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import fc from 'fast-check';
import type { PathSpec, ProbeResult } from '../../src/kit/extend.ts';
import { readMetrics } from '../../src/probes/blackbox.ts';
import { checkTypes, createProber } from '../../src/probes/index.ts';
import { blackboxAbsent, startBlackbox } from '../parts/blackbox.ts';
import {
  closedPort,
  createCertificates,
  quiet,
  withServer,
  withTcp,
  words,
} from '../parts/listening.ts';

const { certificate, remove } = createCertificates();
after(remove);

async function ask(
  kind: string,
  configured: Record<string, unknown>,
  url: string,
  { module = 'http_2xx', timeoutMs = 10_000 } = {},
): Promise<ProbeResult> {
  const path: PathSpec = { name: 'there', resolver: null, kind: 'blackbox', url, module };
  const settings = checkTypes[kind]!.settings.parse(configured);
  const prober = createProber({ 'o/c': { kind, settings, timeoutMs } }, { there: path });
  try {
    let result = await prober.probe('o/c', 'there', new AbortController().signal);
    for (let i = 0; i < 20 && result.reason === 'stalled'; i++) {
      result = await prober.probe('o/c', 'there', new AbortController().signal);
    }
    return result;
  } finally {
    prober.close();
  }
}

const metrics = (lines: Readonly<Record<string, number>>) =>
  Object.entries({ probe_ip_protocol: 4, probe_duration_seconds: 0.01, ...lines })
    .map(([name, value]) => `# TYPE ${name} gauge\n${name} ${value}\n`)
    .join('');

const withExporter = (answer: RequestListener, work: (url: string) => Promise<void>) =>
  withServer(createServer(answer), async (port, server) => {
    await work(`http://127.0.0.1:${port}`);
    for (let i = 0; i < 200 && !(await quiet(server)()); i++) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.ok(await quiet(server)(), 'the exporter has no connection left');
  });

const web = { http: 'https://www.shop.test/healthz?a=b' };
const now = () => Date.now() / 1000;

test('what the exporter found is what counts, with its phases and certificate', async () => {
  let says = '';
  await withExporter(
    (_, response) => response.end(says),
    async (url) => {
      const cases: [Record<string, number>, Record<string, unknown>, string][] = [
        [{ probe_success: 1, probe_http_status_code: 200 }, web, 'pass ok'],
        [{ probe_success: 0, probe_http_status_code: 503 }, web, 'fail status'],
        [{ probe_success: 0, probe_http_status_code: 429 }, web, 'limited limited'],
        [
          { probe_success: 0, probe_http_status_code: 429, probe_failed_due_to_regex: 1 },
          web,
          'limited limited',
        ],
        [
          { probe_success: 1, probe_http_status_code: 429 },
          { ...web, expect: { status: 429 } },
          'pass ok',
        ],
        [
          { probe_success: 0, probe_http_status_code: 200, probe_failed_due_to_regex: 1 },
          web,
          'fail body',
        ],
        [{ probe_success: 0, probe_duration_seconds: 7.4 }, web, 'fail timeout'],
        [{ probe_success: 0 }, web, 'fail elsewhere'],
        [{ probe_success: 0, probe_ip_protocol: 0 }, web, 'blind resolver'],
        [
          { probe_success: 1, probe_http_status_code: 204 },
          { ...web, expect: { status: 200 } },
          'fail status',
        ],
        [
          {
            probe_success: 1,
            probe_ssl_earliest_cert_expiry: now() - 593 * 86_400,
            probe_ssl_last_chain_expiry_timestamp_seconds: now() + 10.5 * 86_400,
          },
          { ...web, expect: { certificateDays: 11 } },
          'fail certificate-days',
        ],
        [
          {
            probe_success: 1,
            probe_ssl_earliest_cert_expiry: now() - 593 * 86_400,
            probe_ssl_last_chain_expiry_timestamp_seconds: now() + 10.5 * 86_400,
          },
          { ...web, expect: { certificateDays: 10 } },
          'pass ok',
        ],
        [
          { probe_success: 1, probe_ssl_earliest_cert_expiry: now() + 10.5 * 86_400 },
          { ...web, expect: { certificateDays: 11 } },
          'blind blackbox-module',
        ],
        [
          { probe_success: 1, probe_ssl_earliest_cert_expiry: now() + 10.5 * 86_400 },
          { ...web, expect: { certificateDays: 10 } },
          'pass ok',
        ],
        [{ probe_success: 1, probe_ssl_earliest_cert_expiry: -62135596800 }, web, 'pass ok'],
      ];
      for (const [found, settings, expected] of cases) {
        says = metrics(found);
        const result = await ask('http', settings, url);
        assert.equal(words(result), expected, `${JSON.stringify(found)}: ${result.detail}`);
        const isDated = (found['probe_ssl_earliest_cert_expiry'] ?? 0) > 0;
        assert.equal(result.certificateDays, isDated ? 10 : undefined);
      }
      says = metrics({
        probe_success: 1,
        probe_dns_lookup_time_seconds: 0.0123,
        'probe_http_duration_seconds{phase="connect"}': 0.02,
        'probe_http_duration_seconds{phase="tls"}': 0.03,
        'probe_http_duration_seconds{phase="processing"}': 0.04,
      });
      const { phases } = await ask('http', web, url);
      assert.deepEqual(phases, { dnsMs: 12.3, connectMs: 20, tlsMs: 30, firstByteMs: 40 });
    },
  );
});

test('where the module judges by other rules than the check, the origin has not failed', async () => {
  let says = '';
  await withExporter(
    (_, response) => response.end(says),
    async (url) => {
      const [ok, redirected] = [{ probe_http_status_code: 200 }, { probe_http_redirects: 1 }];
      const cases: [string, Record<string, number>, Record<string, unknown>, string][] = [
        // The module follows redirects, the check does not.
        ['to a page', { probe_success: 1, ...ok, ...redirected }, {}, 'fail status'],
        [
          'wanted',
          { probe_success: 1, ...ok, ...redirected },
          { expect: { status: 301 } },
          'blind blackbox-module',
        ],
        [
          'gone there',
          { probe_success: 0, ...redirected },
          { expect: { status: '<400' } },
          'blind blackbox-module',
        ],
        ['both do', { probe_success: 1, ...ok, ...redirected }, { redirects: 1 }, 'pass ok'],
        [
          'too often',
          { probe_success: 1, ...ok, probe_http_redirects: 3 },
          { redirects: 2 },
          'fail too-many-redirects',
        ],
        [
          'the check alone',
          { probe_success: 0, probe_http_status_code: 302 },
          { redirects: 1 },
          'blind blackbox-module',
        ],
        [
          'neither, wanted',
          { probe_success: 1, probe_http_status_code: 302, ...redirected },
          { expect: { status: 302 } },
          'pass ok',
        ],
        // Statuses that the check wants and the module refuses.
        [
          'refused',
          { probe_success: 0, probe_http_status_code: 404 },
          { expect: { status: 404 } },
          'blind blackbox-module',
        ],
        ['refused, 200', { probe_success: 0, ...ok }, {}, 'blind blackbox-module'],
        [
          'unwanted',
          { probe_success: 0, probe_http_status_code: 500 },
          { expect: { status: 404 } },
          'fail status',
        ],
        // What is the origin's own all the same.
        [
          'broke off',
          {
            probe_success: 0,
            ...ok,
            probe_http_content_length: 90,
            probe_http_uncompressed_body_length: 8,
          },
          {},
          'fail closed',
        ],
        ['too slow', { probe_success: 0, ...ok, probe_duration_seconds: 7.4 }, {}, 'fail timeout'],
      ];
      for (const [what, found, more, expected] of cases) {
        says = metrics(found);
        const result = await ask('http', { ...web, ...more }, url);
        assert.equal(words(result), expected, `${what}: ${result.detail}`);
      }
    },
  );
});

test('the exporter is asked for the target, its module and the name, with room to answer', async () => {
  const seen: IncomingMessage[] = [];
  await withExporter(
    (request, response) => {
      seen.push(request);
      response.end(metrics({ probe_success: 1 }));
    },
    async (url) => {
      const under = `${url}/prober/`;
      const timeoutMs = 2000;
      await ask('http', web, under, { module: 'a&b', timeoutMs });
      await ask('http', { ...web, address: '192.0.2.7' }, url, { timeoutMs });
      await ask('http', { ...web, address: '2001:db8::7', host: 'b.test' }, url, { timeoutMs });
      await ask('http', { ...web, cacheBust: true }, url, { timeoutMs });
      await ask('tcp', { tcp: 'mail.shop.test:25' }, url, { timeoutMs: 400 });
      await ask('tcp', { tcp: 'mail.shop.test:25', address: '2001:db8::7' }, url, { timeoutMs });
    },
  );
  const asked = seen.map(({ url }) => new URL(url!, 'http://exporter'));
  assert.equal(asked[0]?.pathname, '/prober/probe');
  assert.equal(asked[0]?.searchParams.get('module'), 'a&b');
  const target = (i: number) => asked[i]?.searchParams.get('target');
  const hostname = (i: number) => asked[i]?.searchParams.get('hostname');
  assert.deepEqual([target(0), hostname(0)], [web.http, null]);
  const pinned = ['https://192.0.2.7/healthz?a=b', 'www.shop.test'];
  assert.deepEqual([target(1), hostname(1)], pinned);
  assert.deepEqual([target(2), hostname(2)], ['https://[2001:db8::7]/healthz?a=b', 'b.test']);
  assert.match(target(3) ?? '', /^https:\/\/www\.shop\.test\/healthz\?a=b&x-detour=[0-9a-f]{16}$/);
  assert.equal(target(4), 'mail.shop.test:25');
  assert.equal(target(5), '[2001:db8::7]:25');
  const seconds = (i: number) => Number(seen[i]?.headers['x-prometheus-scrape-timeout-seconds']);
  // It keeps half a second of what it is given: three quarters of the deadline are left to ask in.
  assert.equal(seconds(0), 2);
  assert.equal(seconds(4), 0.8);
});

test("the exporter's own trouble is blind", async () => {
  const cases: [string, RequestListener, string][] = [
    ['400', (_, r) => r.writeHead(400).end('Unknown module "x"'), 'blackbox-error'],
    ['500', (_, r) => r.writeHead(500).end(), 'blackbox-error'],
    ['302', (_, r) => r.writeHead(302, { location: '/' }).end(), 'blackbox-error'],
    ['a page', (_, r) => r.end('<html>probe_success 1</html>'), 'blackbox-error'],
    ['no result', (_, r) => r.end(metrics({})), 'blackbox-error'],
    ['half a result', (_, r) => r.end('probe_success 0.5\n'), 'blackbox-error'],
    ['NaN', (_, r) => r.end('probe_success NaN\n'), 'blackbox-error'],
    ['too much', (_, r) => r.end(`probe_success 1\n${'# x\n'.repeat(300_000)}`), 'blackbox-error'],
    [
      'breaks off',
      (_, r) => {
        r.writeHead(200, { 'content-length': 100 });
        r.write('probe_success 0\n', () => r.destroy());
      },
      'blackbox-unreachable',
    ],
    ['closes', (request) => request.socket.destroy(), 'blackbox-unreachable'],
    ['is silent', () => {}, 'blackbox-timeout'],
    [
      'stops in its answer',
      (_, r) => {
        r.writeHead(200);
        r.write('probe_success 0\n');
      },
      'blackbox-timeout',
    ],
  ];
  for (const [what, answer, reason] of cases) {
    await withExporter(answer, async (url) => {
      const timeoutMs = reason === 'blackbox-timeout' ? 250 : 10_000;
      const result = await ask('http', web, url, { timeoutMs });
      assert.equal(words(result), `blind ${reason}`, `${what}: ${result.detail}`);
      assert.equal(result.certificateDays, undefined);
      if (what === 'too much') assert.match(result.detail, /more than it may/);
    });
  }
  const gone = await ask('http', web, `http://127.0.0.1:${await closedPort()}`);
  assert.equal(words(gone), 'blind blackbox-unreachable', gone.detail);
  const noTls = certificate('exporter', 'IP:127.0.0.1', -1, 30);
  await withServer(
    createSecureServer(noTls, (_, r) => r.end()),
    async (port) => {
      const strange = await ask('http', web, `https://127.0.0.1:${port}`);
      assert.equal(words(strange), 'blind blackbox-unreachable', strange.detail);
      assert.match(strange.detail, /TLS/);
    },
  );
});

test('no text makes the reading of metrics throw', () =>
  fc.assert(
    fc.property(fc.string(), fc.string(), (a, b) => {
      for (const value of readMetrics(`${a}\nprobe_success ${b}\n`).values()) {
        assert.ok(Number.isFinite(value));
      }
    }),
  ));

const modules = `modules:
  http_2xx:
    prober: http
    timeout: 5s
    http: { preferred_ip_protocol: ip4, tls_config: { insecure_skip_verify: true } }
  http_regex:
    prober: http
    http: { preferred_ip_protocol: ip4, fail_if_body_not_matches_regexp: [ready] }
  http_strict:
    prober: http
    http: { preferred_ip_protocol: ip4, follow_redirects: false, valid_status_codes: [200, 302] }
  tcp_connect: { prober: tcp, timeout: 5s }
`;

const absent = blackboxAbsent();
const skip = absent !== null && !process.env['CI'] ? absent : false;

test('a real blackbox exporter asks in our place', { skip }, async () => {
  assert.equal(absent, null, 'the exporter is there in CI');
  const exporter = await startBlackbox(modules);
  const good = certificate('good', 'DNS:www.shop.test', -1, 30.5);
  const seen: string[] = [];
  try {
    const { url } = exporter;
    const plain = createServer((request, response) => {
      if (request.url === '/moved') return void response.writeHead(302, { location: '/' }).end();
      response.writeHead(request.url === '/down' ? 503 : 200);
      response.end(request.url === '/ready' ? 'ready' : 'well');
    });
    await withServer(plain, async (port) => {
      const at = (path: string) => ({ http: `http://127.0.0.1:${port}${path}` });
      const up = await ask('http', at('/'), url);
      assert.equal(words(up), 'pass ok', up.detail);
      assert.equal(typeof up.phases.firstByteMs, 'number');
      const down = await ask('http', at('/down'), url);
      assert.equal(words(down), 'fail status', down.detail);
      const wanted = await ask('http', { ...at('/down'), expect: { status: 503 } }, url);
      assert.equal(words(wanted), 'blind blackbox-module', wanted.detail);
      const moved = { ...at('/moved'), expect: { status: 302 } };
      const followed = await ask('http', moved, url);
      assert.equal(words(followed), 'blind blackbox-module', followed.detail);
      const strictly = await ask('http', moved, url, { module: 'http_strict' });
      assert.equal(words(strictly), 'pass ok', strictly.detail);
      const unfollowed = await ask('http', { ...at('/moved'), redirects: 2 }, url, {
        module: 'http_strict',
      });
      assert.equal(words(unfollowed), 'blind blackbox-module', unfollowed.detail);
      const body = await ask('http', at('/'), url, { module: 'http_regex' });
      assert.equal(words(body), 'fail body', body.detail);
      const ready = await ask('http', at('/ready'), url, { module: 'http_regex' });
      assert.equal(words(ready), 'pass ok', ready.detail);
      const connected = { tcp: `127.0.0.1:${port}` };
      const tcp = await ask('tcp', connected, url, { module: 'tcp_connect' });
      assert.equal(words(tcp), 'pass ok', tcp.detail);
      const unknown = await ask('http', at('/'), url, { module: 'nonesuch' });
      assert.equal(words(unknown), 'blind blackbox-error', unknown.detail);
      const lost = { http: `http://${'a'.repeat(64)}.invalid/` };
      const nameless = await ask('http', lost, url);
      assert.equal(words(nameless), 'blind resolver', nameless.detail);
    });
    const secure = createSecureServer(good, (request, response) => {
      seen.push(`${(request.socket as TLSSocket & { servername: string }).servername}`);
      seen.push(`${request.headers.host}`);
      response.end('well');
    });
    await withServer(secure, async (port) => {
      const pinned = { http: `https://www.shop.test:${port}/`, address: '127.0.0.1' };
      const result = await ask('http', pinned, url);
      assert.equal(words(result), 'pass ok', result.detail);
      assert.equal(result.certificateDays, 30);
    });
    assert.deepEqual(seen, ['www.shop.test', 'www.shop.test']);
    const closed = await closedPort();
    const refused = await ask('tcp', { tcp: `127.0.0.1:${closed}` }, url, {
      module: 'tcp_connect',
    });
    assert.equal(words(refused), 'fail elsewhere', refused.detail);
    await withTcp(
      () => {},
      async (port) => {
        const silent = await ask('http', { http: `http://127.0.0.1:${port}/` }, url, {
          timeoutMs: 1000,
        });
        assert.equal(words(silent), 'fail timeout', silent.detail);
      },
    );
  } finally {
    await exporter.close();
  }
});
