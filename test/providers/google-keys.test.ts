// How an account at Google shows who it is, against the lab's token services: what each kind needs,
// what goes on and what stops while these are dead for an hour, and what is said of it. An hour passes
// on a clock that is moved by hand; the tokens themselves are checked as the vendor checks them.

import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { google } from '../../providers/google.ts';
import type { Name } from '../../src/core/model.ts';
import type { KeyClock, Provider } from '../../src/kit/extend.ts';
import type { SecretRef } from '../../src/kit/schema.ts';
import { readSecret, SecretError } from '../../src/kit/secret.ts';
import { startGoogle } from '../../src/lab/vendors/google.ts';
import {
  GoogleTokens,
  googleKeyFile,
  newGoogleAccount,
  startGoogleTokens,
  type WorkloadPool,
} from '../../src/lab/vendors/google-tokens.ts';
import { HandClock, settled } from '../parts/hand-clock.ts';
import { until } from '../parts/program.ts';

const root = mkdtempSync(join(tmpdir(), 'detour-google-keys-'));
after(() => rmSync(root, { recursive: true }));

const project = 'detour-tests';
const account = newGoogleAccount(project);
const idp = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = { type: 'spki', format: 'pem' } as const;
const pool: WorkloadPool = {
  audience:
    '//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/p/providers/k8s',
  issuer: 'https://kubernetes.example',
  publicKey: idp.publicKey.export(pem).toString(),
};
const zone: Name = 'fo.test.';
const record: Name = `www.${zone}`;
const minute = 60_000;
const noSignal = new AbortController().signal;

/** A token of the other identity provider, good for an hour from now. */
function subject(nowMs: number, claims: object = {}): string {
  const iat = Math.floor(nowMs / 1000);
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = { iss: pool.issuer, aud: pool.audience, iat, exp: iat + 3600, ...claims };
  const signed = `${part({ alg: 'RS256', typ: 'JWT' })}.${part(body)}`;
  const signature = sign('RSA-SHA256', Buffer.from(signed), idp.privateKey);
  return `${signed}.${signature.toString('base64url')}`;
}

type Kind = 'signed' | 'exchanged' | 'federated' | 'impersonating' | 'impersonating for 12 h';

/** A vendor, its token services and an account of each kind, on a clock that stands. */
async function world(t: TestContext) {
  const time = new HandClock();
  const tokens = new GoogleTokens(account, () => time.wall());
  const local = { address: '127.0.0.1', port: 0 };
  const service = await startGoogleTokens({ ...local, tokens, pool, lifetimeMost: 43_200 });
  t.after(() => service.close());
  const vendor = await startGoogle({
    address: '127.0.0.1',
    dnsAddresses: ['127.0.0.1'],
    dnsPort: 0,
    zones: [
      { name: zone, records: [{ name: record, type: 'CNAME', value: 'a.example.com.', ttl: 60 }] },
    ],
    credentials: { project, tokens },
    quotas: 'off',
  });
  t.after(() => vendor.close());
  const tokenFile = join(root, 'subject-token');
  const bring = (claims: object = {}) =>
    writeFileSync(tokenFile, JSON.stringify({ id_token: subject(time.wall(), claims) }));
  bring();
  const clock: KeyClock = {
    wall: () => time.wall(),
    after: (ms, then) => time.after(ms, then),
    chance: () => 0.5,
  };
  const external = (more: object) => ({
    type: 'external_account',
    audience: pool.audience,
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    token_url: `${service.api}/v1/token`,
    credential_source: {
      file: tokenFile,
      format: { type: 'json', subject_token_field_name: 'id_token' },
    },
    ...more,
  });
  const path = `/v1/projects/-/serviceAccounts/${account.clientEmail}:generateAccessToken`;
  const asAccount = { service_account_impersonation_url: service.api + path };
  const files: Readonly<Record<string, string>> = {
    KEY: googleKeyFile(project, account, `${service.api}/token`),
    OWN: JSON.stringify(external({})),
    AS: JSON.stringify(external(asAccount)),
    LONG: JSON.stringify(
      external({
        ...asAccount,
        service_account_impersonation: { token_lifetime_seconds: 43_200 },
      }),
    ),
  };
  const kinds: Readonly<Record<Kind, object>> = {
    signed: { serviceAccount: { env: 'KEY' } },
    exchanged: { serviceAccount: { env: 'KEY' }, exchange: true },
    federated: { workloadIdentity: { env: 'OWN' } },
    impersonating: { workloadIdentity: { env: 'AS' } },
    'impersonating for 12 h': { workloadIdentity: { env: 'LONG' } },
  };
  const read = (ref: SecretRef) => readSecret(ref, files);
  const open = (kind: Kind, callTimeoutMs = 5000): Provider => {
    const settings = { project, credentials: kinds[kind], endpoint: vendor.api };
    const context = { secret: read, current: read, callTimeoutMs, clock };
    const provider = google.create(kind, google.settings.parse(settings), context);
    t.after(() => provider.close());
    return provider;
  };
  return { time, service, vendor, bring, open, files, read };
}

async function reads(provider: Provider): Promise<string> {
  const answer = (await provider.read([record], noSignal))[record]!;
  return answer.kind === 'fault' ? `${answer.fault.kind}: ${answer.fault.detail}` : answer.kind;
}

const everyKind: readonly Kind[] = [
  'signed',
  'exchanged',
  'federated',
  'impersonating',
  'impersonating for 12 h',
];

test('each kind is taken, and says what it needs and until when it holds', async (t) => {
  const { time, service, open } = await world(t);
  const said: Record<string, unknown> = {};
  for (const kind of everyKind) {
    const provider = open(kind);
    assert.equal(provider.key!().untilAt, null, 'nothing is asked before it is wanted');
    assert.equal(await reads(provider), 'answered', kind);
    const { kind: word, needs, untilAt, lastsMs = null, why } = provider.key!();
    const minutes = [untilAt === null ? null : untilAt - time.wall(), lastsMs].map((ms) =>
      ms === null ? null : Math.round(ms / minute),
    );
    said[kind] = [word, needs, ...minutes, why];
    assert.doesNotMatch(JSON.stringify(provider.key!()), /ya29|PRIVATE|eyJ/);
  }
  const { hostname } = new URL(service.api);
  assert.deepEqual(said, {
    // Minutes that what is held has, and that it goes on at worst once nobody answers there.
    signed: ['service-account', [], null, null, null],
    exchanged: ['service-account-exchange', [hostname], 60, 27, null],
    federated: ['workload-identity', [hostname], 60, 27, null],
    impersonating: ['workload-identity', [hostname], 60, 27, null],
    'impersonating for 12 h': ['workload-identity', [hostname], 720, 654, null],
  });
  // A token signed here has asked nobody; the others one each, or two where they impersonate.
  assert.deepEqual(service.asked, ['oauth', 'sts', 'sts', 'iam', 'sts', 'iam']);
});

/** Moves the clock, and lets what was begun by it come to its end. */
async function pass(time: HandClock, ms: number, isQuiet: () => boolean): Promise<void> {
  await time.advance(ms);
  await settled();
  await until('renewals have ended', 10_000, async () => isQuiet());
}

for (const how of ['refuse', 'error', 'deny'] as const) {
  test(`the token services are dead for an hour (${how}): which go on, and which stop`, async (t) => {
    const { time, service, bring, open } = await world(t);
    const providers = everyKind.map((kind) => [kind, open(kind)] as const);
    for (const [kind, provider] of providers) assert.equal(await reads(provider), 'answered', kind);
    const newcomer = open('impersonating');
    await service.fault(how);
    const goesOn: Record<string, number> = {};
    const failuresOf = () => providers.map(([, p]) => p.key!().failures ?? 0);
    let passed = 0;
    for (const minutes of [20, 40, 59, 60]) {
      const before = failuresOf();
      const isDue = minutes > 33;
      const isQuiet = () =>
        !isDue ||
        failuresOf()
          .slice(1, 4)
          .every((n, i) => n > before[i + 1]!);
      await pass(time, (minutes - passed) * minute, isQuiet);
      passed = minutes;
      bring();
      for (const [kind, provider] of providers) {
        if ((await reads(provider)) === 'answered') goesOn[kind] = minutes;
      }
    }
    const hour = { signed: 60, 'impersonating for 12 h': 60 };
    assert.deepEqual(goesOn, { ...hour, exchanged: 59, federated: 59, impersonating: 59 });
    const [, stopped] = providers[3]!;
    const said = await reads(stopped);
    const kind = how === 'deny' ? 'auth-suspect' : 'unavailable';
    assert.match(said, new RegExp(`^${kind}: credentials: google: `));
    assert.match(await reads(newcomer), new RegExp(`^${kind}: credentials: google: `));
    assert.match(stopped.key!().why ?? '', /^credentials: google: /);
    assert.equal(providers[0]![1].key!().why, null);
    // Back again, they are renewed by themselves.
    await service.fault(null);
    await pass(time, minute, () => providers.every(([, p]) => p.key!().why === null));
    for (const [one, provider] of providers) assert.equal(await reads(provider), 'answered', one);
  });
}

test('a token is renewed in the background at half its time, by the token file of then', async (t) => {
  const { time, service, bring, open } = await world(t);
  bring({ exp: Math.floor(time.wall() / 1000) + 1500 });
  const provider = open('federated');
  assert.equal(await reads(provider), 'answered');
  const first = provider.key!().untilAt!;
  // The first subject token is over by then: only a file that is read anew can renew it.
  bring({ exp: Math.floor(time.wall() / 1000) + 7200, jti: 'second' });
  await pass(time, 31 * minute, () => provider.key!().untilAt !== first);
  assert.deepEqual(service.asked, ['sts', 'sts']);
  assert.equal(await reads(provider), 'answered');
  assert.equal(service.asked.length, 2, 'nobody waits for it');
});

test('a token service that hangs keeps nobody waiting longer than its limit', async (t) => {
  const { service, open } = await world(t);
  await service.fault('hang');
  const provider = open('impersonating', 200);
  assert.match(await reads(provider), /^unavailable: credentials: google: .*within 400 ms/);
  assert.equal(provider.calls, 0, 'nothing was sent');
  const stop = AbortSignal.timeout(50);
  const read = (await open('exchanged', 60_000).read([record], stop))[record]!;
  assert.ok(read.kind === 'fault' && read.fault.kind === 'unavailable', JSON.stringify(read));
});

test('a subject token that is over, of somebody else, or not there is said, and mends', async (t) => {
  const { time, bring, open } = await world(t);
  const provider = open('impersonating');
  const over = Math.floor(time.wall() / 1000) - 10;
  bring({ exp: over });
  const refused = /^auth-suspect: credentials: google: 127\.0\.0\.1: HTTP 400 \(invalid_grant\)/;
  assert.match(await reads(provider), refused);
  bring({ iss: 'https://elsewhere.example' });
  await pass(time, minute, () => true);
  assert.match(await reads(provider), refused);
  const file = join(root, 'subject-token');
  writeFileSync(file, JSON.stringify({ other: 'x' }));
  await pass(time, minute, () => /has no text id_token/.test(provider.key!().why ?? ''));
  rmSync(file);
  await pass(time, minute, () => /is not there/.test(provider.key!().why ?? ''));
  bring();
  await pass(time, minute, () => provider.key!().why === null);
  assert.equal(await reads(provider), 'answered');
});

test('tokens that are not for this, or not of now, are refused by the vendor itself', async (t) => {
  const { time, open } = await world(t);
  const provider = open('signed');
  assert.equal(await reads(provider), 'answered');
  const tokens = new GoogleTokens(account, () => time.wall());
  const signed = (claims: object) => {
    const iat = Math.floor(time.wall() / 1000);
    const all = { iss: account.clientEmail, sub: account.clientEmail, iat, exp: iat + 3600 };
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const header = { alg: 'RS256', typ: 'JWT', kid: account.keyId };
    const text = `${part(header)}.${part({ ...all, ...claims })}`;
    const key = createPrivateKey(account.privateKey);
    return `${text}.${sign('RSA-SHA256', Buffer.from(text), key).toString('base64url')}`;
  };
  const aud = 'https://dns.googleapis.com/';
  const now = Math.floor(time.wall() / 1000);
  assert.equal(tokens.flaw(signed({ aud })), null);
  const wrong = [
    { aud: 'https://storage.googleapis.com/' },
    { aud, scope: 'https://www.googleapis.com/auth/cloud-platform' },
    { aud, exp: now + 7200 },
    { aud, iss: 'another@example.com' },
    { aud, iat: now + 600, exp: now + 4200 },
  ];
  for (const claims of wrong) assert.equal(tokens.flaw(signed(claims)), 'unknown');
  assert.equal(tokens.flaw(signed({ aud, iat: now - 4000, exp: now - 400 })), 'expired');
  assert.equal(tokens.flaw(`${signed({ aud }).slice(0, -8)}AAAAAAAA`), 'unknown');
  assert.equal(
    tokens.flaw(tokens.issue(3600, ['https://www.googleapis.com/auth/x'], true)),
    'unknown',
  );
  // A clock that is set back spoils none for long: it is signed anew.
  time.stall(2 * 3_600_000);
  assert.equal(await reads(provider), 'answered');
});

test('files that are no credentials are refused by what is wrong, never by what stands in them', async (t) => {
  const { files } = await world(t);
  const key = JSON.parse(files['KEY']!) as Record<string, unknown>;
  const external = JSON.parse(files['AS']!) as Record<string, unknown>;
  const source = external['credential_source'] as object;
  const url = 'http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token';
  const bad: readonly (readonly [object, unknown, RegExp])[] = [
    [{ serviceAccount: { env: 'A' } }, 'not JSON: secret-text', /JSON key file of a Google/],
    [{ serviceAccount: { env: 'A' } }, { ...key, type: 'authorized_user' }, /service_account/],
    [{ serviceAccount: { env: 'A' } }, { ...key, private_key: 'secret-text' }, /JSON key file/],
    [{ workloadIdentity: { env: 'A' } }, key, /wrong: type, audience/],
    [
      { workloadIdentity: { env: 'A' } },
      { ...external, credential_source: { url } },
      /_source.file/,
    ],
    [
      { workloadIdentity: { env: 'A' } },
      { ...external, credential_source: { executable: { command: '/bin/secret-text' } } },
      /credential_source.file/,
    ],
    [
      { workloadIdentity: { env: 'A' } },
      { ...external, token_url: 'http://sts.example.com/v1/token' },
      /wrong: token_url/,
    ],
    [
      { workloadIdentity: { env: 'A' } },
      { ...external, credential_source: { ...source, file: 'relative/token' } },
      /credential_source.file/,
    ],
    [
      { workloadIdentity: { env: 'A' } },
      { ...external, credential_source: { file: '/nowhere/token' } },
      /file \/nowhere\/token is not there/,
    ],
  ];
  for (const [credentials, content, says] of bad) {
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    const secret = (ref: SecretRef) => readSecret(ref, { A: text });
    const settings = google.settings.parse({ project, credentials });
    const make = () => google.create('x', settings, { secret, callTimeoutMs: 5000 });
    assert.throws(make, (error: Error) => {
      assert.ok(error instanceof SecretError, String(error));
      assert.match(error.message, says);
      assert.doesNotMatch(error.message, /secret-text|PRIVATE KEY/);
      return true;
    });
  }
  for (const credentials of [
    {},
    { serviceAccount: { env: 'A' }, workloadIdentity: { env: 'B' } },
    { applicationDefault: true },
  ]) {
    assert.equal(google.settings.safeParse({ project, credentials }).success, false);
  }
});
