// The services of the lab's clouds: an object store that checks signatures as AWS describes them,
// and a control API. The requests are signed by Detour's own signer and asked by its own prober; a
// signature is then spoilt in every way there is. And the morning of 2023-11-12: valid keys refused
// while the machines go on.

import assert from 'node:assert/strict';
import { get, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type Origin,
  type Part,
  startApi,
  startOrigin,
  startReference,
  startStore,
} from '../../src/lab/clouds/cloud.ts';
import { startLab } from '../../src/lab/lab.ts';
import { type SignedRequest, signatureFlaw } from '../../src/lab/vendors/sigv4.ts';
import { checkTypes, createProber } from '../../src/probes/index.ts';
import { sign } from '../../src/probes/sign.ts';

const key = { accessKeyId: 'LTAI0123456789', secretAccessKey: 'no/secret+of+anybody' };
const region = 'cn-hangzhou';
const place = { address: '127.0.0.1', port: 0 };

async function withParts(
  work: (parts: { store: Origin; api: Part; origin: Origin }) => Promise<void>,
) {
  const cloud = 'aliyun';
  const parts = {
    store: await startStore({ name: 'oss-cn-hangzhou', cloud, region, key, ...place }),
    api: await startApi({ name: 'api-aliyun', cloud, ...place }),
    origin: await startOrigin({ name: 'hangzhou', cloud, region, ...place }),
  };
  try {
    await work(parts);
  } finally {
    await Promise.all(Object.values(parts).map((part) => part.close()));
  }
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: IncomingHttpHeaders;
}

function ask(
  part: Part,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  method = 'GET',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const where = { host: part.address, port: part.port, path, method, agent: false } as const;
    const asked = httpRequest({ ...where, headers, timeout: 5000 }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text, headers: response.headers }),
      );
    });
    asked.on('timeout', () => asked.destroy());
    asked.on('error', reject);
    asked.end();
  });
}

/** Headers of a signed GET, by the signer that Detour itself uses. */
function signed(part: Part, path: string, more: Partial<Parameters<typeof sign>[0]> = {}) {
  const host = `${part.address}:${part.port}`;
  const added = sign({
    method: 'GET',
    url: new URL(`http://${host}${path}`),
    headers: { host },
    region,
    service: 's3',
    keys: { ...key, sessionToken: null },
    wall: Date.now(),
    ...more,
  });
  return { host, ...added };
}

const codeOf = (answer: Answer) => /<Code>(\w+)<\/Code>/.exec(answer.text)?.[1] ?? '';
const saw = (answer: Answer) => `${answer.status} ${codeOf(answer)}`.trim();

test('a store gives its object to a signed request, and one to everybody', () =>
  withParts(async ({ store }) => {
    const probe = '/probe/probe.txt';
    const granted = await ask(store, probe, signed(store, probe));
    assert.deepEqual([granted.status, granted.text], [200, 'ok oss-cn-hangzhou\n']);
    assert.equal(saw(await ask(store, probe)), '403 AccessDenied');
    assert.equal(saw(await ask(store, '/public.txt')), '200');
    assert.equal(saw(await ask(store, '/public.txt', signed(store, '/public.txt'))), '200');
    assert.equal(saw(await ask(store, '/no', signed(store, '/no'))), '404 NoSuchKey');
    assert.equal(saw(await ask(store, '/no')), '403 AccessDenied');
    assert.equal((await ask(store, probe, {}, 'PUT')).status, 405);
    const query = `${probe}?x-id=GetObject&b=a%20b`;
    assert.equal(saw(await ask(store, query, signed(store, query))), '200');
  }));

test('a store refuses a signature that is wrong in any way, and says how', () =>
  withParts(async ({ store }) => {
    const probe = '/probe/probe.txt';
    const right = signed(store, probe);
    const cases: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
      ['403 InvalidAccessKeyId', signed(store, probe, { keys: keysOf({ accessKeyId: 'LTAI9' }) })],
      [
        '403 SignatureDoesNotMatch',
        signed(store, probe, { keys: keysOf({ secretAccessKey: 'another' }) }),
      ],
      ['403 SignatureDoesNotMatch', signed(store, '/public.txt')],
      ['403 SignatureDoesNotMatch', { ...right, host: 'elsewhere.example' }],
      ['400 AuthorizationHeaderMalformed', signed(store, probe, { region: 'cn-beijing' })],
      [
        '400 AuthorizationHeaderMalformed',
        { ...signed(store, probe, { service: 'sts' }), 'x-amz-content-sha256': emptyHash },
      ],
      ['400 AuthorizationHeaderMalformed', { ...right, authorization: 'Bearer x' }],
      ['403 RequestTimeTooSkewed', signed(store, probe, { wall: Date.now() - 16 * 60_000 })],
      ['403 RequestTimeTooSkewed', signed(store, probe, { wall: Date.now() + 16 * 60_000 })],
      ['400 InvalidRequest', { ...right, 'x-amz-content-sha256': '' }],
    ];
    for (const [wanted, headers] of cases) {
      const kept = Object.entries(headers).filter(([, value]) => value !== '');
      const answer = await ask(store, probe, Object.fromEntries(kept));
      assert.equal(saw(answer), wanted);
      assert.doesNotMatch(answer.text, /of\+anybody/);
    }
  }));

const emptyHash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

function keysOf(other: Partial<typeof key>) {
  return { ...key, ...other, sessionToken: null };
}

test('whatever is signed is signed: one octet of it changed, and the signature is none', () => {
  const rule = { service: 's3', region, key, skewMs: 900_000 };
  const path = fc.stringMatching(/^\/[a-z0-9._~-]{1,20}$/);
  fc.assert(
    fc.property(path, fc.nat(3), fc.nat(63), (asked, what, at) => {
      const url = new URL(`http://store.example${asked}`);
      const target = url.pathname;
      const headers = {
        host: 'store.example',
        ...signedAt(url, Date.now()),
      } as Record<string, string>;
      const good: SignedRequest = { method: 'GET', target, headers, body: Buffer.alloc(0) };
      assert.equal(signatureFlaw(good, rule), null);
      const auth = headers['authorization']!;
      const digits = auth.length - 64 + at;
      const other = auth[digits] === '0' ? '1' : '0';
      const spoilt: readonly SignedRequest[] = [
        { ...good, target: `${target}x` },
        { ...good, method: 'HEAD' },
        { ...good, body: Buffer.from('x') },
        {
          ...good,
          headers: {
            ...headers,
            authorization: auth.slice(0, digits) + other + auth.slice(digits + 1),
          },
        },
      ];
      assert.deepEqual(signatureFlaw(spoilt[what]!, rule), { kind: 'mismatch' });
    }),
  );
});

function signedAt(url: URL, wall: number) {
  const keys = { ...key, sessionToken: null };
  const headers = { host: url.host };
  return sign({ method: 'GET', url, headers, region, service: 's3', keys, wall });
}

test('a signature is never mistaken for one, whatever stands in the header', () => {
  const rule = { service: 's3', region, key, skewMs: 900_000 };
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.webPath(), (authorization, date, target) => {
      const headers = { host: 'a', authorization, 'x-amz-date': date };
      const flaw = signatureFlaw({ method: 'GET', target, headers, body: Buffer.alloc(0) }, rule);
      assert.notEqual(flaw, null);
    }),
  );
});

// ---------------------------------------------------------------- as Detour's prober sees it

/** One signed check by the real prober; its outcome and reason. */
async function probeSigned(store: Part): Promise<string> {
  const settings = checkTypes['http']!.settings.parse({
    http: `http://oss.example:${store.port}/probe/probe.txt`,
    address: store.address,
    sign: {
      ...{ type: 'aws-sigv4', region },
      ...{ accessKeyId: { env: 'accessKeyId' }, secretAccessKey: { env: 'secretAccessKey' } },
    },
  });
  const secret = (ref: object) => key[(ref as { env: keyof typeof key }).env];
  const path = { name: 'p', kind: 'direct', localAddress: null, resolver: null } as const;
  const probes = { 'aliyun:oss': { kind: 'http', settings, timeoutMs: 2000 } };
  const prober = createProber(probes, { p: path }, { secret });
  const { outcome, reason } = await prober.probe('aliyun:oss', 'p', AbortSignal.timeout(10_000));
  prober.close();
  return `${outcome} ${reason}`;
}

test('auth: valid keys are refused, whatever needs none goes on', () =>
  withParts(async ({ store, api, origin }) => {
    assert.equal(await probeSigned(store), 'pass ok');
    assert.equal((await ask(api, '/')).status, 200);
    await Promise.all([store.break('auth'), api.break('auth')]);
    assert.equal(await probeSigned(store), 'fail status');
    const probe = '/probe/probe.txt';
    const refused = await ask(store, probe, signed(store, probe));
    assert.equal(saw(refused), '403 InvalidAccessKeyId');
    assert.equal(saw(await ask(store, '/public.txt')), '200');
    assert.equal((await ask(api, '/')).status, 500);
    assert.equal((await ask(api, '/', { authorization: 'acs a:b' })).status, 403);
    assert.equal((await ask(origin, '/healthz')).text, 'ok hangzhou');
    await Promise.all([store.heal(), api.heal()]);
    assert.equal(await probeSigned(store), 'pass ok');
    assert.equal((await ask(api, '/')).status, 200);
  }));

test('control: the API alone fails', () =>
  withParts(async ({ api }) => {
    const well = await ask(api, '/');
    assert.deepEqual(JSON.parse(well.text), { cloud: 'aliyun', status: 'ok' });
    assert.equal((await ask(api, '/else')).status, 404);
    await api.break('control');
    assert.equal((await ask(api, '/')).status, 503);
  }));

test('loss leaves its share without an answer, drip never ends one it has begun', () =>
  withParts(async ({ origin }) => {
    await origin.break('loss', 0.5);
    const url = `http://${origin.address}:${origin.port}/healthz`;
    const settings = checkTypes['http']!.settings.parse({ http: url });
    const path = { name: 'p', kind: 'direct', localAddress: null, resolver: null } as const;
    const prober = createProber(
      { 'a/web': { kind: 'http', settings, timeoutMs: 300 } },
      { p: path },
    );
    const probe = async () => {
      const { outcome, reason } = await prober.probe('a/web', 'p', AbortSignal.timeout(10_000));
      return `${outcome} ${reason}`;
    };
    const seen = await Promise.all(Array.from({ length: 40 }, probe));
    // All alike once in 500 thousand million runs.
    assert.deepEqual([...new Set(seen)].sort(), ['fail timeout', 'pass ok']);
    await origin.break('drip');
    const status = await new Promise((resolve, reject) => {
      const asked = get(url, { agent: false }, (response) => {
        resolve(response.statusCode);
        asked.destroy();
      });
      asked.on('error', reject);
    });
    assert.equal(status, 200, 'the header comes at once');
    assert.equal(await probe(), 'fail timeout');
    prober.close();
  }));

test('a reference point is up and says nothing', async () => {
  const reference = await startReference({ name: 'ref-a', ...place });
  try {
    assert.equal((await ask(reference, '/')).status, 204);
    await reference.break('refuse');
    await assert.rejects(ask(reference, '/'));
  } finally {
    await reference.close();
  }
});

// ---------------------------------------------------------------- in the lab

test('a fault of a cloud takes what it names and nothing else', async () => {
  const lab = await startLab({ clouds: 3 });
  const faults = (parts: readonly Part[]) => parts.map((p) => p.fault);
  try {
    assert.deepEqual(lab.clouds, ['aliyun', 'aws', 'gcp']);
    assert.deepEqual(
      lab.records.map((r) => r.targets.at(-1)?.origin),
      ['singapore', 'singapore'],
    );
    const words = await lab.break('cloud', 'aliyun', 'auth');
    assert.match(
      words,
      /\(oss-cn-hangzhou, oss-cn-beijing, api-aliyun, sts-aliyun\).*the key is valid/,
    );
    assert.deepEqual(faults(lab.stores), ['auth', 'auth', null, null]);
    assert.deepEqual(faults(lab.apis), ['auth', null, null]);
    assert.deepEqual(faults(lab.origins), [null, null, null, null, null]);
    assert.deepEqual(faults(lab.tokens), [null, 'auth']);
    await lab.heal('cloud', 'aliyun');
    await lab.break('cloud', 'aliyun', 'control');
    assert.deepEqual(
      [faults(lab.stores), faults(lab.apis)],
      [
        [null, null, null, null],
        ['control', null, null],
      ],
    );
    await lab.heal(null, '');
    await lab.break('region', 'cn-beijing', 'auth');
    assert.deepEqual(faults(lab.stores), [null, 'auth', null, null]);
    await lab.break('store', 'aliyun/cn-hangzhou', '5xx');
    await lab.break('api', 'gcp', 'hang');
    await lab.break('sts', 'aws', '5xx');
    assert.deepEqual(faults(lab.tokens), ['5xx', null]);
    assert.deepEqual(faults(lab.stores), ['5xx', 'auth', null, null]);
    assert.deepEqual(faults(lab.apis), [null, null, 'hang']);
    await assert.rejects(lab.break('origin', 'hangzhou', 'auth'), /no origin breaks like "auth"/);
    await assert.rejects(lab.break('store', 'oss', '5xx'), /oss-cn-hangzhou, oss-cn-beijing/);
    await assert.rejects(lab.break('region', 'cn-beijing', 'control'), /choose one of/);
  } finally {
    await lab.close();
  }
});
