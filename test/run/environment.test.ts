// What of the environment reaches anything: which names stop a start, and that no SDK finds anything
// in a process whose environment was sealed, home directory included.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { problemsOf } from '../../src/run/environment.ts';

const home = mkdtempSync(join(tmpdir(), 'detour-home-'));
after(() => rmSync(home, { recursive: true, force: true }));

test('what Node has taken in already stops the start by name, and no value is quoted', () => {
  const harmful: Readonly<Record<string, readonly string[]>> = {
    NODE_TLS_REJECT_UNAUTHORIZED: ['0'],
    NODE_USE_ENV_PROXY: ['1'],
    NODE_DEBUG: ['http'],
    OPENSSL_CONF: ['/x.cnf'],
    NODE_OPTIONS: [
      '--require=/x.js',
      '-r /x.js',
      '--import /x.mjs',
      '--use-env-proxy',
      '--use-openssl-ca',
      '--use-system-ca',
      '--tls-keylog=/x',
      '--tls-cipher-list=NULL',
      '--openssl-legacy-provider',
      '--inspect',
      '--insecure-http-parser',
      '--no-such-word',
    ],
  };
  for (const [name, values] of Object.entries(harmful)) {
    for (const value of values) {
      const problems = problemsOf({ PATH: '/bin', [name]: value });
      assert.equal(problems.length, 1, `${name}=${value}`);
      assert.ok(problems[0]!.startsWith(name), problems[0]);
      assert.doesNotMatch(problems[0]!, /=\/x/);
    }
  }
});

test('memory, warnings and verification left on stop nothing', () => {
  const options = '--max-old-space-size=400 --max-semi-space-size=16 --disable-sigusr1';
  const env = { NODE_OPTIONS: options, NODE_TLS_REJECT_UNAUTHORIZED: '1', NODE_ENV: 'production' };
  assert.deepEqual(problemsOf({ ...env, NODE_USE_ENV_PROXY: '0', OPENSSL_CONF: '' }), []);
});

test('in a sealed process no SDK finds anything: neither variables nor a home directory', () => {
  const evil = 'http://127.0.0.1:9';
  mkdirSync(join(home, '.aws'), { recursive: true });
  const profile = `endpoint_url = ${evil}\nregion = evil-1\nproxy = ${evil}\n`;
  writeFileSync(join(home, '.aws/config'), `[default]\n${profile}[profile evil]\n${profile}`);
  writeFileSync(
    join(home, '.aws/credentials'),
    '[default]\naws_access_key_id = EVIL\naws_secret_access_key = EVIL\naws_session_token = EVIL\n',
  );
  const sealing = new URL('../../src/run/environment.ts', import.meta.url).href;
  const script = `
    import { sealEnvironment, environment } from ${JSON.stringify(sealing)};
    const sealed = sealEnvironment();
    const { Route53Client, GetHostedZoneCommand } = await import('@aws-sdk/client-route-53');
    const { default: Cloudflare } = await import('cloudflare');
    let asked;
    const requestHandler = {
      handle: async (request) => {
        asked = request;
        throw new Error('seen');
      },
    };
    const client = new Route53Client({ region: 'eu-central-1', requestHandler,
      credentials: { accessKeyId: 'A', secretAccessKey: 'B' }, maxAttempts: 1 });
    await client.send(new GetHostedZoneCommand({ Id: 'Z1' })).catch(() => {});
    const bare = new Route53Client({ requestHandler, maxAttempts: 1 });
    const alone = await bare.config.credentials().then(() => 'found', () => 'none');
    const cf = new Cloudflare({ apiToken: 'T' });
    console.log(JSON.stringify({
      sealed,
      left: Object.keys(process.env),
      home: process.env.HOME,
      secret: environment().MY_TOKEN,
      protocol: asked.protocol,
      hostname: asked.hostname,
      token: asked.headers['x-amz-security-token'],
      alone,
      baseURL: cf.baseURL,
      email: cf.apiEmail,
    }));
  `;
  const env = {
    PATH: process.env['PATH'],
    HOME: home,
    MY_TOKEN: 'mine',
    AWS_ENDPOINT_URL: evil,
    AWS_ENDPOINT_URL_ROUTE_53: evil,
    AWS_PROFILE: 'evil',
    AWS_SESSION_TOKEN: 'EVIL',
    AWS_ACCESS_KEY_ID: 'EVIL',
    AWS_SECRET_ACCESS_KEY: 'EVIL',
    AWS_CA_BUNDLE: '/x.pem',
    AWS_CONFIG_FILE: join(home, '.aws/config'),
    AWS_EC2_METADATA_SERVICE_ENDPOINT: evil,
    AWS_CONTAINER_CREDENTIALS_FULL_URI: evil,
    CLOUDFLARE_BASE_URL: evil,
    CLOUDFLARE_EMAIL: 'evil@example.net',
    HTTPS_PROXY: evil,
    SOME_OTHER_VENDOR_ENDPOINT: evil,
    LOCALDOMAIN: 'evil.example',
    SSL_CERT_FILE: '/x.pem',
    DETOUR_SOCKET: '/run/x.sock',
  };
  const done = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 60_000,
    env,
  });
  assert.equal(done.status, 0, done.stderr);
  const seen = JSON.parse(done.stdout);
  assert.deepEqual(seen.sealed.problems, []);
  assert.deepEqual(seen.left.toSorted(), ['DETOUR_SOCKET', 'HOME', 'PATH']);
  assert.equal(seen.home, '/nonexistent');
  assert.equal(seen.secret, 'mine', 'what the configuration names is still to be had');
  assert.deepEqual([seen.protocol, seen.hostname], ['https:', 'route53.amazonaws.com']);
  assert.equal(seen.token, undefined);
  assert.equal(seen.alone, 'none');
  assert.match(seen.baseURL, /^https:\/\/api\.cloudflare\.com\//);
  assert.equal(seen.email, null);
  const said = seen.sealed.overridden as string;
  const named = ['AWS_ENDPOINT_URL', 'AWS_CA_BUNDLE', 'CLOUDFLARE_BASE_URL', 'HTTPS_PROXY'];
  for (const name of [...named, 'LOCALDOMAIN', 'SSL_CERT_FILE', '.aws/config']) {
    assert.ok(said.includes(name), `${name}: ${said}`);
  }
  assert.doesNotMatch(said, /127\.0\.0\.1|EVIL/);
});

test('a user that is only a number has no home, and the start goes on', () => {
  const script = `
    import os from 'node:os';
    import { syncBuiltinESMExports } from 'node:module';
    const none = new Error('uv_os_homedir returned ENOENT');
    os.homedir = () => { throw Object.assign(none, { code: 'ERR_SYSTEM_ERROR' }); };
    syncBuiltinESMExports();
    const { sealEnvironment } = await import('${new URL('../../src/run/environment.ts', import.meta.url)}');
    console.log(JSON.stringify([sealEnvironment(), process.env.HOME]));
  `;
  const args = ['--input-type=module', '-e', script];
  const options = { encoding: 'utf8', timeout: 60_000, env: { PATH: '/bin' } } as const;
  const done = spawnSync(process.execPath, args, options);
  assert.equal(done.status, 0, done.stderr);
  assert.deepEqual(JSON.parse(done.stdout), [{ problems: [], overridden: null }, '/nonexistent']);
});

test('a sealed process trusts nobody but the list that Node brings', async (t) => {
  const key = join(home, 'key.pem');
  const ca = join(home, 'ca.pem');
  const made = spawnSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
      .concat(['-keyout', key, '-out', ca, '-days', '2', '-subj', '/CN=localhost'])
      .concat(['-addext', 'subjectAltName=DNS:localhost']),
    { encoding: 'utf8' },
  );
  if (made.error) return t.skip('missing: openssl');
  assert.equal(made.status, 0, made.stderr);
  const server = createServer({ key: readFileSync(key), cert: readFileSync(ca) }, (_, response) =>
    response.end('yes'),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const sealing = new URL('../../src/run/environment.ts', import.meta.url).href;
  const script = (sealed: boolean) => `
    import { get } from 'node:https';
    import { lookup } from 'node:dns';
    ${sealed ? `(await import(${JSON.stringify(sealing)})).sealEnvironment();` : ''}
    const url = 'https://localhost:${port}/';
    const options = { family: 4, lookup: (name, how, then) => how.all
      ? then(null, [{ address: '127.0.0.1', family: 4 }]) : then(null, '127.0.0.1', 4) };
    const plain = await new Promise((resolve) => {
      get(url, options, (a) => { a.resume(); resolve('trusted'); }).on('error', (e) => resolve(e.code));
    });
    const fetched = await fetch(url).then(() => 'trusted', (e) => e.cause.code);
    console.log(JSON.stringify([plain, fetched]));
  `;
  const seen = async (sealed: boolean) => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script(sealed)], {
      env: { PATH: process.env['PATH'], NODE_EXTRA_CA_CERTS: ca },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    for await (const chunk of child.stdout) text += chunk;
    return JSON.parse(text);
  };
  assert.deepEqual(await seen(false), ['trusted', 'trusted']);
  const refused = 'DEPTH_ZERO_SELF_SIGNED_CERT';
  assert.deepEqual(await seen(true), [refused, refused]);
});
