// A vendor's API behind a company's HTTP proxy: every adapter over HTTPS goes through the proxy that
// its provider names, speaks TLS with the vendor itself, and calls nothing that the proxy does the
// vendor's word.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import tls from 'node:tls';
import { providerTypes } from '../../providers/index.ts';
import { networkTrouble } from '../../providers/kit/fault.ts';
import { parseConfig, printProblem } from '../../src/config/config.ts';
import type { Name } from '../../src/core/model.ts';
import type { Provider } from '../../src/kit/extend.ts';
import type { SecretRef } from '../../src/kit/schema.ts';
import { markOfSecret, readSecret } from '../../src/kit/secret.ts';
import { startAlidns } from '../../src/lab/vendors/alidns.ts';
import { startCloudflare } from '../../src/lab/vendors/cloudflare.ts';
import { startDnspod } from '../../src/lab/vendors/dnspod.ts';
import { startRoute53 } from '../../src/lab/vendors/route53.ts';
import type { LabVendor } from '../../src/lab/vendors/vendor.ts';
import { tables } from '../../src/run/build.ts';
import { renewing } from '../../src/run/renew.ts';
import { until } from '../parts/program.ts';
import { type Odd, type ProxyOptions, type ProxyPart, startHttpProxy } from '../parts/proxy.ts';

const root = mkdtempSync(join(tmpdir(), 'detour-proxy-'));
after(() => rmSync(root, { recursive: true }));

const apiHost = 'api.vendor.test';
const zone = 'fo.test.';
const record: Name = 'www.fo.test.';
const secrets: Readonly<Record<string, string>> = {
  ID: 'AKIDEXAMPLE',
  KEY: 'the-secret-of-this-test',
  TOKEN: 'the-token-of-this-test-0123456789abcdefg',
  PROXY: 'detour:pass:word',
};
const noSignal = new AbortController().signal;

interface Pair {
  readonly key: Buffer;
  readonly cert: Buffer;
}

/** Null without openssl. */
function certificate(name: string): Pair | null {
  const [key, file] = [join(root, `${name}.key`), join(root, `${name}.pem`)];
  const made = spawnSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
      .concat(['-keyout', key, '-out', file, '-days', '2', '-subj', `/CN=${name}`])
      .concat(['-addext', `subjectAltName=DNS:${name}`]),
    { encoding: 'utf8' },
  );
  if (made.error) return null;
  assert.equal(made.status, 0, made.stderr);
  return { key: readFileSync(key), cert: readFileSync(file) };
}

const right = certificate(apiHost);
const other = certificate('other.vendor.test');
const byProxy = certificate('proxy.company.test');
const skip = right === null ? 'missing: openssl' : false;

before(() => {
  if (right === null) return;
  const own = [right, other!, byProxy!].map(({ cert }) => cert.toString());
  tls.setDefaultCACertificates([...tls.rootCertificates, ...own]);
});

type Started = { readonly api: string; readonly calls: () => number; close(): Promise<void> };

const options = {
  address: '127.0.0.1',
  dnsAddresses: ['127.0.0.1'],
  dnsPort: 0,
  zones: [{ name: zone, records: [] }],
  quotas: 'off',
} as const;

const keys = { accessKeyId: { env: 'ID' }, secretAccessKey: { env: 'KEY' } };

/** How each adapter's vendor is started here, and its settings but for endpoint and proxy. */
const vendors: Readonly<Record<string, readonly [() => Promise<Started>, object]>> = {
  route53: [
    () =>
      startRoute53({
        ...options,
        credentials: { accessKeyId: secrets['ID']!, secretAccessKey: secrets['KEY']! },
      }).then(ofLab),
    { credentials: keys },
  ],
  cloudflare: [
    () => startCloudflare({ ...options, credentials: { apiToken: secrets['TOKEN']! } }).then(ofLab),
    { apiToken: { env: 'TOKEN' } },
  ],
  alidns: [
    () =>
      startAlidns({
        ...options,
        credentials: { accessKeyId: secrets['ID']!, accessKeySecret: secrets['KEY']! },
      }).then(ofLab),
    { accessKeyId: { env: 'ID' }, accessKeySecret: { env: 'KEY' } },
  ],
  dnspod: [
    () =>
      startDnspod({
        ...options,
        credentials: { secretId: secrets['ID']!, secretKey: secrets['KEY']! },
      }).then(ofLab),
    { secretId: { env: 'ID' }, secretKey: { env: 'KEY' } },
  ],
  powerdns: [startOwn, { apiKey: { env: 'KEY' }, zone }],
};

function ofLab(vendor: LabVendor): Started {
  return { api: vendor.api, calls: () => vendor.calls.length, close: () => vendor.close() };
}

/** As much of a PowerDNS as it takes to find a zone with nothing in it, shown or hidden. */
async function startOwn(): Promise<Started> {
  const { createServer } = await import('node:http');
  let calls = 0;
  const server = createServer((request, response) => {
    calls++;
    assert.equal(request.headers['x-api-key'], secrets['KEY']);
    response.setHeader('content-type', 'application/json');
    const isSearch = /\/search-data\?/.test(request.url!);
    response.end(JSON.stringify(isSearch ? [] : { name: zone, kind: 'Native', rrsets: [] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  const { port } = server.address() as AddressInfo;
  return { api: `http://127.0.0.1:${port}`, calls: () => calls, close };
}

/** The vendor behind TLS, as it is in the world. */
async function overTls(t: TestContext, vendor: Started, pair: Pair): Promise<string> {
  const { port, pathname } = new URL(vendor.api);
  const open = new Set<net.Socket>();
  const server = tls.createServer(pair, (socket) => {
    const inner = net.connect(Number(port), '127.0.0.1');
    for (const one of [socket, inner]) {
      open.add(one);
      one.on('error', () => {});
      one.on('close', () => open.delete(one));
    }
    socket.pipe(inner).pipe(socket);
  });
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const one of open) one.destroy();
    server.close();
  });
  const at = (server.address() as AddressInfo).port;
  return `https://${apiHost}:${at}${pathname === '/' ? '' : pathname}`;
}

interface World {
  readonly vendor: Started;
  readonly proxy: ProxyPart;
  readonly provider: Provider;
  readonly looked: readonly string[];
}

interface How {
  readonly proxy?: ProxyOptions;
  readonly credentials?: SecretRef;
  readonly pair?: Pair;
  readonly scheme?: 'http' | 'https';
  readonly callTimeoutMs?: number;
  /** How often files of secrets are looked at. */
  readonly lookMs?: number;
}

async function world(t: TestContext, type: string, how: How): Promise<World> {
  const [start, settings] = vendors[type]!;
  const vendor = await start();
  t.after(() => vendor.close());
  const endpoint = await overTls(t, vendor, how.pair ?? right!);
  const proxy = await startHttpProxy({ hosts: { [apiHost]: '127.0.0.1' }, ...how.proxy });
  t.after(() => proxy.close());
  const { scheme = 'http', credentials, callTimeoutMs = 5000 } = how;
  const url = `${scheme}://proxy.company.test:${proxy.port}`;
  const row = providerTypes[type]!;
  const chosen = row.settings.parse({
    ...settings,
    endpoint,
    proxy: credentials === undefined ? url : { url, credentials },
  });
  const looked: string[] = [];
  const lookup = {
    find: async () => assert.fail('agents take the function'),
    othersAnswered: () => true,
    known: () => null,
    lookup: ((host: string, asked: { all?: boolean }, then: (...given: unknown[]) => void) => {
      looked.push(host);
      if (asked.all) then(null, [{ address: '127.0.0.1', family: 4 }]);
      else then(null, '127.0.0.1', 4);
    }) as net.LookupFunction,
  };
  const provider = renewing(
    {
      read: (ref) => readSecret(ref, secrets),
      mark: (ref) => markOfSecret(ref, secrets),
    },
    {
      lookMs: how.lookMs ?? 1000,
      told: () => {},
      make: (secret) => row.create(type, chosen as never, { secret, lookup, callTimeoutMs }),
    },
  );
  t.after(() => provider.close());
  return { vendor, proxy, provider, looked };
}

async function faultOf({ provider }: World) {
  const answer = (await provider.read([record], noSignal))[record]!;
  assert.equal(answer.kind, 'fault');
  assert.deepEqual(answer.reach, { kind: 'account' });
  return answer.fault;
}

const overHttps = Object.keys(providerTypes).filter((type) => type !== 'rfc2136');

test('every adapter over HTTPS is tried here', () => {
  assert.deepEqual(Object.keys(vendors).toSorted(), overHttps.toSorted());
});

for (const type of overHttps) {
  for (const scheme of ['http', 'https'] as const) {
    test(`${type} is reached through an ${scheme} proxy, whose name is looked up here`, {
      skip,
    }, async (t) => {
      const how = scheme === 'http' ? {} : { tls: byProxy! };
      const it = await world(t, type, {
        scheme,
        proxy: { ...how, credentials: secrets['PROXY']! },
        credentials: { env: 'PROXY' },
      });
      const answer = (await it.provider.read([record], noSignal))[record]!;
      assert.equal(answer.kind, 'answered', JSON.stringify(answer));
      assert.ok(it.vendor.calls() > 0);
      // The vendor's name is the proxy's to look up, the proxy's ours.
      assert.deepEqual([...new Set(it.looked)], ['proxy.company.test']);
      const places = [...new Set(it.proxy.asked)];
      assert.equal(places.length, 1);
      assert.match(places[0]!, /^api\.vendor\.test:\d+$/);
      it.provider.close();
      await until('nothing is left open', 5000, () => it.proxy.open() === 0);
    });
  }

  test(`${type}: what the proxy refuses is not the vendor's refusal`, { skip }, async (t) => {
    const says =
      (status: string): Odd =>
      () =>
        `HTTP/1.1 ${status}\r\n\r\n`;
    const cases: readonly (readonly [How, RegExp, RegExp])[] = [
      [{ proxy: { credentials: secrets['PROXY']! } }, /who asks \(HTTP 407\)/, /credentials/],
      [{ proxy: { odd: says('403 No'), ends: true } }, /refuses to \(HTTP 403\)/, /let it connect/],
      [{ proxy: { odd: says('502 No'), ends: true } }, /could not \(HTTP 502\)/, /look at/],
      [{ proxy: { odd: () => 'hello\r\n\r\n', ends: true } }, /spoken to \(HPE_/, /check `proxy`/],
      [{ proxy: { odd: () => null }, callTimeoutMs: 300 }, /not answer in time/, /check `proxy`/],
      [{ scheme: 'https', callTimeoutMs: 300 }, /not answer in time/, /check `proxy`/],
    ];
    for (const [how, detail, cure] of cases) {
      const it = await world(t, type, how);
      const fault = await faultOf(it);
      assert.equal(fault.kind, 'unavailable');
      assert.match(fault.detail, detail);
      assert.match(fault.cure ?? '', cure);
      assert.doesNotMatch(JSON.stringify(fault), /pass:word/);
      assert.equal(it.vendor.calls(), 0);
    }
  });

  test(`${type} trusts nobody in the tunnel but the vendor`, { skip }, async (t) => {
    const it = await world(t, type, { pair: other! });
    const fault = await faultOf(it);
    assert.equal(fault.kind, 'unavailable');
    assert.match(fault.detail, /ERR_TLS_CERT_ALTNAME_INVALID/);
    assert.equal(it.vendor.calls(), 0);
    assert.ok(it.proxy.asked.length > 0);
  });
}

test('a password of the proxy that has changed is taken without a reload', { skip }, async (t) => {
  const file = join(root, 'credentials');
  writeFileSync(file, 'detour:old');
  const it = await world(t, 'cloudflare', {
    proxy: { credentials: 'detour:new' },
    credentials: { file },
    lookMs: 0,
  });
  assert.match((await faultOf(it)).detail, /HTTP 407/);
  writeFileSync(file, 'detour:new');
  assert.equal((await it.provider.read([record], noSignal))[record]!.kind, 'answered');
  writeFileSync(file, 'no colon');
  assert.equal((await it.provider.read([record], noSignal))[record]!.kind, 'answered');
});

test('a tunnel that is made when nobody wants it any more is closed', { skip }, async (t) => {
  const it = await world(t, 'route53', {});
  const stop = new AbortController();
  const reading = it.provider.read([record], stop.signal);
  await until('the proxy is asked', 5000, () => it.proxy.asked.length > 0);
  stop.abort();
  it.provider.close();
  await reading;
  await until('nothing is left open', 5000, () => it.proxy.open() === 0);
});

test('a write that the proxy lets nowhere was surely not made', () => {
  for (const code of ['PROXY_407', 'PROXY_502', 'PROXY_ECONNRESET', 'PROXY_TIMEOUT']) {
    const cause = Object.assign(new Error('by the agent'), { code });
    const error = new Error('by the SDK', { cause });
    const trouble = networkTrouble(error, { doing: 'a write', write: true })!;
    assert.deepEqual([trouble.fault.kind, trouble.scope], ['unavailable', 'account'], code);
  }
});

test('DNS updates say that no proxy carries them', () => {
  const text = [
    'providers:',
    '  own:',
    '    type: rfc2136',
    '    server: 192.0.2.1',
    '    tsig: { name: detour, secret: { env: KEY } }',
    '    proxy: http://proxy.company.test:3128',
  ].join('\n');
  const parsed = parseConfig(text, 'detour.yaml', tables);
  assert.ok(!parsed.ok);
  assert.match(parsed.problems.map(printProblem).join('\n'), /:6:.*no HTTP proxy carries DNS/);
});

test('no proxy leads to an endpoint on this machine, and no user stands in its URL', () => {
  const row = providerTypes['cloudflare']!;
  const wrong = (settings: object) =>
    row.settings.safeParse({ apiToken: { env: 'TOKEN' }, ...settings }).error?.issues;
  const proxy = 'http://proxy.company.test:3128';
  assert.equal(wrong({ proxy }), undefined);
  const clear = wrong({ proxy, endpoint: 'http://127.0.0.1:8080' })!;
  assert.deepEqual(clear[0]!.path, ['proxy']);
  assert.match(clear[0]!.message, /leave proxy out/);
  for (const url of ['http://me:secret@proxy.company.test:3128', 'socks5://proxy:1080', 'proxy']) {
    const said = JSON.stringify(wrong({ proxy: url }));
    assert.doesNotMatch(said, /secret@/);
    const isSecret = url.includes('@');
    assert.match(said, isSecret ? /no user and password may stand in it/ : /expected http:/);
  }
});
