// What a client may have to say to be served: a certificate of its own, a body, a Host with a port,
// HTTP/2; and what a proxy or an exporter wants to know. Against nginx where there is one, and node's
// own servers for what nginx does not do on demand.

import assert from 'node:assert/strict';
import { copyFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createHttp2Server, createSecureServer } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import type net from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { PathSpec } from '../../src/kit/extend.ts';
import type { SecretRef } from '../../src/kit/schema.ts';
import { bodyExpectation, judgeBody } from '../../src/probes/expect.ts';
import { checkTypes, createProber, fileProblems } from '../../src/probes/index.ts';
import { createCertificates, until, withServer, words } from '../parts/listening.ts';
import { nginxAbsent, startNginx } from '../parts/nginx.ts';
import { startHttpProxy } from '../parts/proxy.ts';

const direct = { name: 'line', kind: 'direct', resolver: null, localAddress: null } as const;
const secret = (ref: SecretRef) => ('env' in ref ? ref.env : assert.fail());
const { scratch, certificate, remove } = createCertificates();
after(remove);
const good = certificate('good', 'DNS:www.shop.test,IP:127.0.0.1', -1, 30.5);
const own = certificate('own', 'DNS:detour.test', -1, 30.5);
certificate('strange', 'DNS:detour.test', -1, 30.5);
const at = (label: string) => ({
  cert: join(scratch, `${label}-pem`),
  key: join(scratch, `${label}-key`),
});
const client = at('own');

async function ask(kind: string, configured: Record<string, unknown>, path: PathSpec = direct) {
  const settings = checkTypes[kind]!.settings.parse(configured);
  const probes = { 'o/c': { kind, settings, timeoutMs: 10_000 } };
  const prober = createProber(probes, { [path.name]: path }, { secret });
  try {
    return await prober.probe('o/c', path.name, new AbortController().signal);
  } finally {
    prober.close();
  }
}

const absent = nginxAbsent();
test('nginx: a client certificate opens what wants one, and tls sees that it is wanted; h2', {
  skip: absent !== null && !process.env['CI'] ? absent : false,
}, async () => {
  writeFileSync(join(scratch, 'chain'), good.cert);
  writeFileSync(join(scratch, 'chain-key'), good.key, { mode: 0o600 });
  const tls = `ssl_certificate ${scratch}/chain; ssl_certificate_key ${scratch}/chain-key;`;
  const wanted = `ssl_verify_client on; ssl_client_certificate ${own.ca};`;
  const says = 'location / { return 200 "$server_protocol $http_host $ssl_client_verify"; }';
  const part = await startNginx([
    `ssl http2; ${tls} ${wanted} ${says}`,
    `ssl; ${tls} ${wanted} ssl_protocols TLSv1.2; ${says}`,
    `http2; ${says}`,
    `ssl; ${tls} ${says}`,
  ]);
  try {
    const [both, old, clear, plain] = part.ports;
    const url = `https://127.0.0.1:${both}/`;
    const { ca } = good;
    const body = (text: string) => ({ expect: { body: { text } } });
    const h1 = { http: url, ca, client, ...body('HTTP/1.1') };
    assert.equal(words(await ask('http', h1)), 'pass ok');
    // Without one nginx says 400; with one of nobody it knows, too.
    assert.equal(words(await ask('http', { http: url, ca })), 'fail status');
    assert.equal(words(await ask('http', { http: url, ca, client: at('strange') })), 'fail status');
    for (const http2 of [true, 'only']) {
      const h2 = await ask('http', { http: url, ca, client, http2, ...body('HTTP/2.0') });
      assert.equal(words(h2), 'pass ok', h2.detail);
      assert.equal(h2.certificateDays, 30);
    }
    const prior = { http: `http://127.0.0.1:${clear}/`, http2: 'only', ...body('HTTP/2.0') };
    const h2c = await ask('http', prior);
    assert.equal(words(h2c), 'pass ok', h2c.detail);
    const without = { http: `https://127.0.0.1:${plain}/`, ca };
    const agreed = await ask('http', { ...without, http2: true, ...body('HTTP/1.1') });
    assert.equal(words(agreed), 'pass ok', agreed.detail);
    const only = await ask('http', { ...without, http2: 'only' });
    assert.equal(only.outcome, 'fail', only.detail);
    for (const port of [both, old]) {
      const place = { tls: `127.0.0.1:${port}`, ca };
      const taken = await ask('tls', { ...place, client });
      assert.equal(words(taken), 'pass ok', `${port}: ${taken.detail}`);
    }
    const host = 'www.shop.test:8443';
    const named = { http: `https://127.0.0.1:${plain}/`, ca, host, ...body(` ${host} `) };
    const withPort = await ask('http', named);
    assert.equal(words(withPort), 'pass ok', withPort.detail);
    const h2Named = await ask('http', { ...named, http: url, client, http2: 'only' });
    assert.equal(words(h2Named), 'pass ok', h2Named.detail);
  } finally {
    await part.close();
  }
});

test('a server that refuses who shows nothing is seen by tls as well, though TLS 1.3 says so late', async () => {
  const { key, cert, ca } = good;
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const options = { key, cert, maxVersion, ca: [own.cert], requestCert: true };
    const server = createHttpsServer({ ...options, rejectUnauthorized: true });
    server.on('tlsClientError', () => {});
    await withServer(server, async (port) => {
      const place = { tls: `127.0.0.1:${port}`, ca };
      const refused = await ask('tls', place);
      assert.equal(refused.outcome, 'fail', `${maxVersion}: ${refused.detail}`);
      const stranger = await ask('tls', { ...place, client: at('strange') });
      assert.equal(stranger.outcome, 'fail', `${maxVersion}: ${stranger.detail}`);
      const taken = await ask('tls', { ...place, client });
      assert.equal(words(taken), 'pass ok', `${maxVersion}: ${taken.detail}`);
    });
  }
});

test('a server that refused while this process stood still was not silent', async () => {
  const { key, cert, ca } = good;
  const minVersion = 'TLSv1.3' as const;
  const options = { key, cert, minVersion, ca: [own.cert], requestCert: true };
  const server = createHttpsServer({ ...options, rejectUnauthorized: true });
  // What it sends now is there when the loop goes on, and not read before.
  server.on('tlsClientError', () => {
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500));
  });
  await withServer(server, async (port) => {
    const refused = await ask('tls', { tls: `127.0.0.1:${port}`, ca });
    assert.equal(refused.outcome, 'fail', refused.detail);
  });
});

test('a certificate is read again when its files change, and one that cannot be used is told', async () => {
  const { key, cert, ca } = good;
  const files = at('moving');
  const put = (label: string) => {
    copyFileSync(at(label).cert, files.cert);
    copyFileSync(at(label).key, files.key);
  };
  put('strange');
  const options = { key, cert, ca: [own.cert], requestCert: true, rejectUnauthorized: true };
  const server = createHttpsServer(options, (_, response) => response.end('in'));
  server.on('tlsClientError', () => {});
  await withServer(server, async (port) => {
    const asked = { http: `https://127.0.0.1:${port}/`, ca, client: files };
    assert.equal((await ask('http', asked)).outcome, 'fail');
    put('own');
    await until(async () => (await ask('http', asked)).outcome === 'pass', 'the new one is shown');
    copyFileSync(at('strange').key, files.key);
    await until(async () => (await ask('http', asked)).outcome === 'blind', 'they do not fit');
    const wrong = await ask('http', asked);
    assert.match(wrong.detail, /it is not the key of the first certificate/);
    assert.doesNotMatch(wrong.detail, /BEGIN|PRIVATE/);
  });
  const problems = (one: Record<string, string>) =>
    fileProblems({
      'o/c': {
        kind: 'http',
        settings: checkTypes['http']!.settings.parse({ http: 'https://a.test/', client: one }),
        timeoutMs: 1000,
      },
    }).map(({ text, isAbsent }) => `${isAbsent} ${text}`);
  assert.deepEqual(problems(client), []);
  assert.match(problems(files)[0]!, /^false check o\/c: client key .* is not the key of/);
  assert.match(
    problems({ ...client, key: join(scratch, 'none') })[0]!,
    /^true check o\/c: client key/,
  );
  assert.match(problems({ ...client, key: client.cert })[0]!, /no PEM key in it/);
});

test('a body goes with its length and type to the origin alone, and a redirect takes none along', async () => {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const { 'content-type': type, 'content-length': length } = request.headers;
      seen.push(`${request.method} ${request.headers.host} ${type} ${length} ${body}`);
      const [, status, to] = /^\/(30\d)\/(.*)$/.exec(request.url!) ?? [];
      if (status === undefined) response.end('well');
      else response.writeHead(Number(status), { location: decodeURIComponent(to!) }).end();
    });
  });
  await withServer(server, async (port) => {
    const url = `http://127.0.0.1:${port}`;
    const asked = {
      http: `${url}/`,
      method: 'POST',
      body: '{"é":1}',
      contentType: 'application/json',
    };
    assert.equal(words(await ask('http', asked)), 'pass ok');
    assert.deepEqual(seen.splice(0), [`POST 127.0.0.1:${port} application/json 8 {"é":1}`]);
    const next = async (status: number, to: string, method = 'POST') => {
      const http = `${url}/${status}/${encodeURIComponent(to)}`;
      assert.equal(words(await ask('http', { ...asked, http, method, redirects: 1 })), 'pass ok');
      return seen.splice(0)[1];
    };
    assert.equal(await next(307, '/'), `POST 127.0.0.1:${port} application/json 8 {"é":1}`);
    assert.equal(await next(302, '/'), `GET 127.0.0.1:${port} undefined undefined `);
    assert.equal(await next(303, '/', 'PUT'), `GET 127.0.0.1:${port} undefined undefined `);
    assert.equal(
      await next(307, `http://localhost:${port}/`),
      `POST localhost:${port} undefined 0 `,
    );
    const large = 'x'.repeat(65_536);
    assert.equal(words(await ask('http', { ...asked, body: large })), 'pass ok');
    assert.equal(seen.splice(0)[0]!.endsWith(` 65536 ${large}`), true);
  });
});

test('HTTP/2: status, body, bound, redirect, 429, a stream without an end, and what breaks off', async () => {
  const server = createHttp2Server({ settings: { enablePush: false } });
  const bodies: string[] = [];
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    let body = '';
    stream.on('data', (chunk) => {
      body += chunk;
    });
    stream.on('end', () => bodies.push(`${headers[':method']} ${body}`));
    switch (headers[':path']) {
      case '/gone':
        return void stream.respond({ ':status': 503 }, { endStream: true });
      case '/limit':
        stream.respond({ ':status': 429, 'retry-after': '9' }, { endStream: true });
        return;
      case '/away':
        stream.respond({ ':status': 302, location: '/' }, { endStream: true });
        return;
      case '/reset':
        return stream.close(2);
      case '/cut':
        stream.respond({ ':status': 200, 'content-length': '100' });
        stream.write('half');
        return void setImmediate(() => stream.close(8));
      case '/events':
        stream.respond({ ':status': 200, 'content-type': 'text/event-stream' });
        return void stream.write('data: well\n\n');
      case '/large':
        stream.respond({ ':status': 200 });
        return void stream.end('x'.repeat(100_000));
      default:
        stream.respond({ ':status': 200 });
        stream.end('well');
    }
  });
  await withServer(server as unknown as net.Server, async (port) => {
    const h2 = (path: string, more: Record<string, unknown> = {}) =>
      ask('http', { http: `http://127.0.0.1:${port}${path}`, http2: 'only', ...more });
    const well = { expect: { body: { text: 'well' } } };
    const cases: readonly (readonly [string, Record<string, unknown>, string])[] = [
      ['/', well, 'pass ok'],
      ['/', { expect: { body: { text: 'ill' } } }, 'fail body'],
      ['/', { method: 'POST', body: 'hello' }, 'pass ok'],
      ['/gone', {}, 'fail status'],
      ['/limit', {}, 'limited limited'],
      ['/away', {}, 'fail status'],
      ['/away', { redirects: 1, ...well }, 'pass ok'],
      ['/reset', {}, 'fail protocol'],
      ['/events', well, 'pass ok'],
    ];
    for (const [path, more, expected] of cases) {
      const result = await h2(path, more);
      assert.equal(words(result), expected, `${path}: ${result.detail}`);
    }
    assert.ok(bodies.includes('POST hello'));
    assert.equal((await h2('/cut')).outcome, 'fail');
    const large = await h2('/large', { maxBytes: 1000 });
    assert.equal(large.detail, 'status 200, 1000 bytes');
  });
  await withServer(
    createServer((_, response) => response.end('no')),
    async (port) => {
      const result = await ask('http', { http: `http://127.0.0.1:${port}/`, http2: 'only' });
      assert.equal(result.outcome, 'fail', result.detail);
    },
  );
});

test('a proxy by https is trusted by the path’s own bundle, and an exporter is told who asks', async () => {
  const { key, cert, ca } = good;
  const proxy = await startHttpProxy({ tls: { key, cert } });
  try {
    await withServer(
      createServer((_, response) => response.end('well')),
      async (port) => {
        const url = `https://127.0.0.1:${proxy.port}`;
        const path = { name: 'p', kind: 'proxy', url, credentials: null, resolver: null } as const;
        const asked = { http: `http://127.0.0.1:${port}/` };
        assert.equal((await ask('http', asked, path)).outcome, 'blind');
        const trusted = await ask('http', asked, { ...path, ca });
        assert.equal(words(trusted), 'pass ok', trusted.detail);
      },
    );
  } finally {
    await proxy.close();
  }
  const page = 'probe_success 1\nprobe_ip_protocol 4\n';
  const exporter = createSecureServer({ key, cert, allowHTTP1: true }, (request, response) => {
    const isKnown = request.headers.authorization === `Basic ${btoa('u:p')}`;
    const status = request.url!.includes('http') ? 'probe_http_status_code 200\n' : '';
    response.writeHead(isKnown ? 200 : 401).end(isKnown ? page + status : '');
  });
  await withServer(exporter as unknown as net.Server, async (port) => {
    const url = `https://127.0.0.1:${port}`;
    const path = { name: 'b', kind: 'blackbox', url, module: 'm', resolver: null, ca } as const;
    const asked = { http: 'http://www.shop.test/' };
    const unknown = await ask('http', asked, path);
    assert.match(unknown.detail, /answered 401: give its path credentials/);
    for (const check of [asked, { tcp: 'www.shop.test:80' }]) {
      const kind = 'tcp' in check ? 'tcp' : 'http';
      const known = await ask(kind, check, { ...path, credentials: { env: 'u:p' } });
      assert.equal(words(known), 'pass ok', known.detail);
    }
    const { ca: _, ...untrusted } = path;
    assert.equal(words(await ask('http', asked, untrusted)), 'blind blackbox-unreachable');
    const file = fileProblems({}, { b: { ...path, ca: join(scratch, 'none') } });
    assert.match(file[0]!.text, /^paths\.b: ca /);
  });
});

test('a key of JSON with dots in it stands in quotes', () => {
  const json = Buffer.from('{"build":{"app.version":[7],"a\\"b":1,"":2},"x.y":{"z":3}}');
  const says = (path: string, equals: number) => {
    const expected = bodyExpectation.parse({ json: { path, equals } });
    return judgeBody(json, false, expected).kind;
  };
  assert.equal(says('build."app.version".0', 7), 'match');
  assert.equal(says('"x.y".z', 3), 'match');
  assert.equal(says('build."a\\"b"', 1), 'match');
  assert.equal(says('build.', 2), 'match');
  assert.equal(says('build.app.version.0', 7), 'mismatch');
  for (const wrong of ['build."app', '"a"b', '"\\x".b', 'a."b".."']) {
    const read = bodyExpectation.safeParse({ json: { path: wrong, equals: 1 } });
    assert.match(JSON.stringify(read.error?.issues), /double quotes as in JSON/, wrong);
  }
});

test('what cannot be meant is refused with the cure', () => {
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ body: 'x' }, /a GET has no body: use POST/],
    [{ method: 'POST', body: 'x'.repeat(65_537) }, /at most 65536 bytes/],
    [{ method: 'POST', body: 'x', headers: { 'Content-Type': 'a/b' } }, /stands under contentType/],
    [{ method: 'POST', body: 'x', contentType: 'a\r\nb: c' }, /a media type/],
    [{ client: { cert: '/x' } }, /"path":\["client","key"\]/],
    [{ http: 'http://a.test/', client }, /no TLS/],
    [{ http: 'http://a.test/', http2: true }, /in the clear nobody agrees on HTTP\/2: write only/],
    [{ http2: false }, /expected true or only/],
    [{ http2: true, headers: { 'Proxy-Connection': 'x' } }, /HTTP\/2 has no proxy-connection/],
    [{ host: 'a.test:0' }, /or www\.example\.net:8443/],
    [{ host: 'a.test:70000' }, /or www\.example\.net:8443/],
    [{ host: '192.0.2.1:80' }, /a host name/],
  ];
  for (const [more, message] of wrong) {
    const read = checkTypes['http']!.settings.safeParse({ http: 'https://a.test/', ...more });
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
  const settings = checkTypes['http']!.settings.parse({
    ...{ http: 'https://a.test/', host: 'a.test:8443', client, http2: 'only' },
    ...{ method: 'POST', body: 'x' },
  });
  const why = checkTypes['http']!.pathProblem(blackbox, settings)!;
  assert.match(why, /^a port in host, method, body, client, http2: on a blackbox path/);
});
