// No vendor's key reaches a server whose certificate nobody vouches for, whatever the process was told;
// and no address or key of an SDK comes from the environment or a home directory.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { providerTypes } from '../../providers/index.ts';
import { powerdns } from '../../providers/powerdns.ts';
import type { SecretRef } from '../../src/kit/schema.ts';
import { markOfSecret, readSecret, SecretError } from '../../src/kit/secret.ts';
import { renewing } from '../../src/run/renew.ts';

const root = mkdtempSync(join(tmpdir(), 'detour-trust-'));
after(() => rmSync(root, { recursive: true }));

const settingsOf: Readonly<Record<string, object>> = {
  route53: { accessKeyId: 'AKIA', zone: 'gslb.example.net', zoneId: 'Z1' },
  cloudflare: { apiToken: { env: 'T' }, zone: 'gslb.example.net' },
  alidns: { accessKeyId: { env: 'T' }, accessKeySecret: { env: 'T' }, zone: 'gslb.example.net' },
  dnspod: { secretId: { env: 'T' }, secretKey: { env: 'T' }, zone: 'gslb.example.net' },
  powerdns: { apiKey: { env: 'T' }, zone: 'gslb.example.net' },
};
const credentials = { accessKeyId: { env: 'T' }, secretAccessKey: { env: 'T' } };

function settings(type: string, endpoint: string): object {
  const { accessKeyId, ...more } = settingsOf[type] as { accessKeyId?: unknown };
  if (type === 'route53') return { ...more, credentials, endpoint };
  return { ...more, ...(accessKeyId === undefined ? {} : { accessKeyId }), endpoint };
}

/** A certificate of its own for 127.0.0.1; null without openssl. */
function certificate(name: string): { key: string; cert: string; file: string } | null {
  const [key, file] = [join(root, `${name}.key`), join(root, `${name}.pem`)];
  const made = spawnSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
      .concat(['-keyout', key, '-out', file, '-days', '2', '-subj', `/CN=${name}`])
      .concat(['-addext', 'subjectAltName=IP:127.0.0.1']),
    { encoding: 'utf8' },
  );
  if (made.error) return null;
  assert.equal(made.status, 0, made.stderr);
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(file, 'utf8'), file };
}

test('every adapter over HTTPS refuses a certificate that nobody vouches for', async (t) => {
  const made = certificate('one');
  if (made === null) return t.skip('missing: openssl');
  const { key, cert } = made;
  const asked: string[] = [];
  const server = createServer({ key: key, cert: cert }, (request, r) => {
    asked.push(request.url ?? '');
    r.writeHead(500).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  t.after(() => server.closeAllConnections());
  const endpoint = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const name = 'NODE_TLS_REJECT_UNAUTHORIZED';
  const was = process.env[name];
  t.after(() => {
    if (was === undefined) delete process.env[name];
    else process.env[name] = was;
  });
  process.env[name] = '0';
  const overHttps = Object.keys(providerTypes).filter((type) => type !== 'rfc2136');
  assert.deepEqual(overHttps.toSorted(), Object.keys(settingsOf).toSorted(), 'all are tried');
  for (const type of overHttps) {
    const row = providerTypes[type]!;
    const chosen = row.settings.parse(settings(type, endpoint));
    const context = { secret: () => 'a-key', callTimeoutMs: 5000 };
    const provider = row.create('x', chosen as never, context);
    const record = 'www.gslb.example.net.';
    const answer = (await provider.read([record], new AbortController().signal))[record];
    provider.close();
    assert.equal(answer?.kind, 'fault', type);
    assert.deepEqual(asked, [], `${type} sent its key`);
  }
});

test('what the environment and a home directory say reaches no adapter', () => {
  const evil = 'http://127.0.0.1:9';
  mkdirSync(join(root, '.aws'));
  const profile = `endpoint_url = ${evil}\nregion = evil-1\nretry_mode = evil\n`;
  writeFileSync(join(root, '.aws/config'), `[default]\n${profile}[profile evil]\n${profile}`);
  writeFileSync(join(root, '.aws/credentials'), '[default]\naws_session_token = EVIL\n');
  const table = new URL('../../providers/index.ts', import.meta.url).href;
  const cases = ['us-east-1', 'eu-central-1'].map((region) => ({ type: 'route53', region }));
  const chosen = [
    ...cases.map(({ type, region }) => [type, { credentials, zoneId: 'Z1', region }]),
    ['cloudflare', { apiToken: { env: 'T' } }],
    ['alidns', { accessKeyId: { env: 'T' }, accessKeySecret: { env: 'T' } }],
    ['dnspod', { secretId: { env: 'T' }, secretKey: { env: 'T' } }],
    ['dnspod', { secretId: { env: 'T' }, secretKey: { env: 'T' }, site: 'intl' }],
  ];
  const script = `
    import https from 'node:https';
    import http from 'node:http';
    import { syncBuiltinESMExports } from 'node:module';
    const asked = [];
    const caught = (protocol) => (...given) => {
      const options = given.find((one) => typeof one === 'object' && !(one instanceof URL)) ?? {};
      const url = given.find((one) => typeof one === 'string' || one instanceof URL);
      const host = options.host ?? options.hostname ?? new URL(url).hostname;
      asked.push({ to: protocol + '//' + host, headers: JSON.stringify(options.headers ?? {}) });
      throw new Error('seen');
    };
    https.request = caught('https:');
    http.request = caught('http:');
    globalThis.fetch = caught('https:');
    syncBuiltinESMExports();
    const { providerTypes } = await import(${JSON.stringify(table)});
    for (const [type, chosen] of ${JSON.stringify(chosen)}) {
      const row = providerTypes[type];
      const context = { secret: () => 'a-key', callTimeoutMs: 5000 };
      const provider = row.create('x', row.settings.parse(chosen), context);
      await provider.read(['www.gslb.example.net.'], new AbortController().signal);
      provider.close();
    }
    console.log(JSON.stringify(asked));
  `;
  const env = {
    PATH: process.env['PATH'],
    HOME: root,
    AWS_ENDPOINT_URL: evil,
    AWS_ENDPOINT_URL_ROUTE_53: evil,
    AWS_SESSION_TOKEN: 'EVIL',
    AWS_SDK_UA_APP_ID: 'EVIL',
    AWS_USE_FIPS_ENDPOINT: 'true',
    AWS_RETRY_MODE: 'EVIL',
    CLOUDFLARE_BASE_URL: evil,
    CLOUDFLARE_EMAIL: 'EVIL',
    CLOUDFLARE_API_KEY: 'EVIL',
    CLOUDFLARE_API_TOKEN: 'EVIL',
    HTTPS_PROXY: evil,
    HTTP_PROXY: evil,
    http_proxy: evil,
    TENCENTCLOUD_SECRET_ID: 'EVIL',
    TENCENTCLOUD_SECRET_KEY: 'EVIL',
  };
  const done = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 60_000,
    env,
  });
  assert.equal(done.status, 0, done.stderr);
  const asked: { readonly to: string; readonly headers: string }[] = JSON.parse(done.stdout);
  const hosts = [...new Set(asked.map(({ to }) => to))].toSorted();
  assert.deepEqual(hosts, [
    'https://alidns.aliyuncs.com',
    'https://api.cloudflare.com',
    'https://dnspod.intl.tencentcloudapi.com',
    'https://dnspod.tencentcloudapi.com',
    'https://route53.amazonaws.com',
  ]);
  for (const { headers } of asked) assert.doesNotMatch(headers, /EVIL/);
});

test('a PowerDNS may be vouched for by a file, until the file says otherwise', async (t) => {
  const one = certificate('first');
  const other = certificate('second');
  if (one === null || other === null) return t.skip('missing: openssl');
  let answered = 0;
  const server = createServer({ key: one.key, cert: one.cert }, (_, response) => {
    answered++;
    response.writeHead(401).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  t.after(() => server.closeAllConnections());
  const endpoint = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const ca = join(root, 'trusted.pem');
  writeFileSync(ca, one.cert);
  const chosen = powerdns.settings.parse({ ...settings('powerdns', endpoint), ca });
  const env = { T: 'a-key' };
  const secrets = {
    read: (ref: SecretRef) => readSecret(ref, env),
    mark: (ref: SecretRef) => markOfSecret(ref, env),
  };
  const provider = renewing(secrets, {
    make: (secret) => powerdns.create('own', chosen, { secret, callTimeoutMs: 5000 }),
    told: () => {},
    lookMs: 0,
  });
  t.after(() => provider.close());
  const ask = () => provider.read(['www.gslb.example.net.'], new AbortController().signal);
  await ask();
  assert.ok(answered > 0, 'it is trusted');
  const before = answered;
  writeFileSync(ca, other.cert);
  await ask();
  assert.equal(answered, before, 'its authority was withdrawn');
  for (const bad of ['', 'hello', one.cert.slice(0, 200), one.key]) {
    writeFileSync(ca, bad);
    const make = () =>
      powerdns.create('own', chosen, { secret: secrets.read, callTimeoutMs: 5000 });
    assert.throws(make, SecretError);
  }
});
