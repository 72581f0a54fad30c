// The `prometheus` check against a stand-in and, where there is one, against a real Prometheus: what a
// value means, and that nothing of the Prometheus's own is ever the origin's failure.

import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import { test } from 'node:test';
import fc from 'fast-check';
import type { SecretRef } from '../../src/kit/schema.ts';
import { prometheus, readAnswer } from '../../src/probes/prometheus.ts';
import { closedPort, until, withServer, words } from '../parts/listening.ts';
import { prometheusAbsent, startPrometheus } from '../parts/prometheus.ts';

const direct = { name: 'line', kind: 'direct', resolver: null, localAddress: null } as const;
const secret = (ref: SecretRef) => ('env' in ref ? `secret-of-${ref.env}` : assert.fail());

const ask = (configured: Record<string, unknown>, timeoutMs = 10_000) => {
  const read = prometheus.settings.parse({ query: 'q', pass: '< 0.05', ...configured });
  return prometheus.create(read, direct, timeoutMs, { secret }).ask(new AbortController().signal);
};

const withHttp = (answer: RequestListener, work: (url: string) => Promise<void>) =>
  withServer(createServer(answer), (port) => work(`http://127.0.0.1:${port}`));

const now = () => Date.now() / 1000;
const vector = (...values: readonly (readonly [string, number?])[]) =>
  JSON.stringify({
    status: 'success',
    data: {
      resultType: 'vector',
      result: values.map(([value, at], i) => ({
        metric: { __name__: 'ratio', instance: `i${i}` },
        value: [at ?? now(), value],
      })),
    },
  });

test('a value is compared, of several each or any, and what is no value is unknown', async () => {
  let answer = '';
  await withHttp(
    (_, response) => response.end(answer),
    async (url) => {
      const scalar = JSON.stringify({
        status: 'success',
        data: { resultType: 'scalar', result: [now(), '0.01'] },
      });
      const old = now() - 120;
      const cases: readonly (readonly [string, Record<string, unknown>, string, RegExp])[] = [
        [scalar, {}, 'pass ok', /^0\.01, < 0\.05$/],
        [vector(['0.01']), {}, 'pass ok', /^ratio\{instance="i0"\} 0\.01, < 0\.05$/],
        [vector(['0.5']), {}, 'fail value', /^ratio\{instance="i0"\} 0\.5, expected < 0\.05$/],
        [vector(['0.01'], ['0.5']), {}, 'fail value', /i1.*\(2 series\)/],
        [vector(['0.01'], ['0.5']), { series: 'any' }, 'pass ok', /i0/],
        [vector(['0.6'], ['0.5']), { series: 'any' }, 'fail value', /expected/],
        [vector(['NaN']), {}, 'blind value', /no number \(NaN\)/],
        [vector(['NaN'], ['0.5']), {}, 'fail value', /i1/],
        [vector(['NaN'], ['0.01']), { series: 'any' }, 'pass ok', /i1/],
        [vector(['NaN'], ['0.01']), {}, 'blind value', /NaN/],
        [vector(['+Inf']), {}, 'fail value', /Infinity/],
        [vector(['-Inf']), {}, 'pass ok', /-Infinity/],
        [vector(['']), {}, 'blind value', /NaN/],
        [vector(), {}, 'blind empty', /no series: write one/],
        [vector(), { empty: 'pass' }, 'pass ok', /no series/],
        [vector(), { empty: 'fail' }, 'fail empty', /no series/],
        [vector(['0.5', old]), {}, 'blind stale', /of 2m\w* before our time/],
        [vector(['0.01', now() + 120]), {}, 'blind stale', /of [12]m\w* after our time/],
        [vector(['0.5', old]), { stale: '3m' }, 'fail value', /expected/],
      ];
      for (const [body, more, expected, detail] of cases) {
        answer = body;
        const result = await ask({ prometheus: url, ...more });
        assert.equal(words(result), expected, `${body}: ${result.detail}`);
        assert.match(result.detail, detail);
      }
      for (const [pass, expected] of [
        ['<= 1', 'pass'],
        ['> 0.5', 'pass'],
        ['>= 1.5', 'fail'],
        ['== 1', 'pass'],
        ['!= 1', 'fail'],
        ['<1e0', 'fail'],
      ] as const) {
        answer = vector(['1']);
        assert.equal((await ask({ prometheus: url, pass })).outcome, expected, pass);
      }
      const drilled = prometheus.impossible(
        prometheus.settings.parse({ prometheus: url, query: 'q', pass: '> 0' }),
      );
      const check = prometheus.create(drilled, direct, 10_000, { secret });
      assert.equal(words(await check.ask(new AbortController().signal)), 'fail value');
    },
  );
});

test('what is wrong with the Prometheus is blind, whatever it is', async () => {
  const json =
    (status: number, value: unknown): RequestListener =>
    (_, response) =>
      response.writeHead(status).end(JSON.stringify(value));
  const bad = { status: 'error', errorType: 'bad_data', error: 'parse error: unexpected "x"' };
  const of = (resultType: string, result: unknown) => ({
    status: 'success',
    data: { resultType, result },
  });
  const histogram = [{ metric: {}, histogram: [1, {}] }];
  const cases: readonly (readonly [RequestListener, string, RegExp])[] = [
    [json(400, bad), 'blind query', /refuses the query: parse error/],
    [json(422, bad), 'blind query', /refuses the query/],
    [json(401, {}), 'blind monitor', /answered 401: look at basic/],
    [json(503, {}), 'blind monitor', /answered 503/],
    [json(302, {}), 'blind monitor', /answered 302/],
    [json(200, null), 'blind monitor', /something else/],
    [json(200, { status: 'success' }), 'blind monitor', /something else/],
    [json(200, of('matrix', [])), 'blind query', /a matrix: let the query/],
    [json(200, of('string', [1, 'x'])), 'blind query', /a string: let the query/],
    [json(200, of('vector', histogram)), 'blind query', /a histogram/],
    [
      json(200, { ...JSON.parse(vector(['0.5'])), warnings: ['store down'] }),
      'blind query',
      /warns: store down/,
    ],
    [(_, r) => r.end('<html>'), 'blind monitor', /no JSON/],
    [(_, r) => r.end('x'.repeat(1_100_000)), 'blind query', /fewer series/],
    [(r) => r.socket.destroy(), 'blind monitor', /the Prometheus 127/],
  ];
  for (const [answer, expected, detail] of cases) {
    await withHttp(answer, async (url) => {
      const result = await ask({ prometheus: url });
      assert.equal(words(result), expected, result.detail);
      assert.match(result.detail, detail);
    });
  }
  const closed = await ask({ prometheus: `http://127.0.0.1:${await closedPort()}` });
  assert.equal(words(closed), 'blind monitor', closed.detail);
  await withHttp(
    () => {},
    async (url) => {
      const late = await ask({ prometheus: url }, 200);
      assert.equal(words(late), 'blind monitor', late.detail);
    },
  );
});

test('it is asked as the API wants it, with the secrets it is told, which are never shown', () =>
  withHttp(
    (request, response) => {
      let body = '';
      request.on('data', (chunk) => {
        body += chunk;
      });
      request.on('end', () => {
        assert.equal(`${request.method} ${request.url}`, 'POST /below/api/v1/query');
        assert.equal(new URLSearchParams(body).get('query'), 'sum(rate(x{a="b"}[1m])) + 1');
        assert.equal(new URLSearchParams(body).get('timeout'), '10000ms');
        response.writeHead(403).end(request.headers.authorization);
      });
    },
    async (url) => {
      const query = 'sum(rate(x{a="b"}[1m])) + 1';
      for (const more of [
        { basic: { user: 'u', password: { env: 'P' } } },
        { bearer: { env: 'P' } },
      ]) {
        const result = await ask({ prometheus: `${url}/below/`, query, ...more });
        assert.equal(words(result), 'blind monitor', result.detail);
        assert.doesNotMatch(result.detail, /secret/);
      }
    },
  ));

test('an answer never makes its reader throw', () => {
  const answer = fc.record({ status: fc.constantFrom(200, 400, 500), body: fc.uint8Array() });
  fc.assert(
    fc.property(answer, fc.json(), ({ status, body }, json) => {
      readAnswer({ status, body: Buffer.from(body), isCut: false });
      readAnswer({ status, body: Buffer.from(json), isCut: false });
    }),
  );
});

test('settings that cannot be meant are refused', () => {
  const good = { prometheus: 'https://p.example', query: 'up', pass: '== 1' };
  assert.ok(prometheus.settings.safeParse(good).success);
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ pass: '0.05' }, /comparison such as/],
    [{ pass: '=~ 1' }, /comparison such as/],
    [{ pass: '< 1e999' }, /comparison such as/],
    [{ prometheus: 'p.example:9090' }, /base URL/],
    [{ prometheus: 'https://u:p@p.example' }, /use basic/],
    [{ prometheus: 'http://p.example', bearer: { env: 'T' } }, /http would show the secrets/],
    [{ basic: { user: 'u', password: { env: 'P' } }, bearer: { env: 'T' } }, /choose one/],
    [{ prometheus: 'http://p.example', ca: '/x' }, /no TLS/],
    [{ query: '' }, /at least|Too small/],
  ];
  for (const [more, message] of wrong) {
    const read = prometheus.settings.safeParse({ ...good, ...more });
    assert.equal(read.success, false, JSON.stringify(more));
    assert.match(JSON.stringify(read.error?.issues), message);
  }
});

const absent = prometheusAbsent();
test('a real Prometheus is asked, and old data are seen by the query of the documents', {
  skip: absent !== null && !process.env['CI'] ? absent : false,
}, async () => {
  let ratio = '0.01';
  const metrics: RequestListener = (request, response) => {
    if (ratio === '') return void request.socket.destroy();
    response.end(`# TYPE shop_errors_ratio gauge\nshop_errors_ratio{zone="a"} ${ratio}\n`);
  };
  await withServer(createServer(metrics), async (port) => {
    const part = await startPrometheus(port);
    try {
      const query = 'shop_errors_ratio';
      const says = async (more: Record<string, unknown> = {}) =>
        words(await ask({ prometheus: part.url, query, ...more }));
      await until(async () => (await says()) === 'pass ok', 'it was scraped', 10_000);
      assert.equal(await says({ query: 'scalar(sum(up))', pass: '== 1' }), 'pass ok');
      assert.equal(await says({ query: 'nothing_such' }), 'blind empty');
      assert.equal(await says({ query: 'sum(' }), 'blind query');
      assert.equal(await says({ query: 'up[1m]' }), 'blind query');
      assert.equal(await says({ query: '0/0' }), 'blind value');
      ratio = '0.5';
      await until(async () => (await says()) === 'fail value', 'it was scraped again', 10_000);
      // The target is gone: its last value is no failure that goes on for ever.
      ratio = '';
      const fresh = `${query} and (time() - timestamp(${query}) < 2)`;
      await until(
        async () => (await says({ query: fresh })) === 'blind empty',
        'it is old',
        10_000,
      );
    } finally {
      await part.close();
    }
  });
});
