// The lab's DNSPod, driven by Tencent Cloud's own SDK: what it accepts, refuses, limits, shows late
// and breaks.

import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { dnspod as sdk } from 'tencentcloud-sdk-nodejs-dnspod';
import { startDnspod } from '../../src/lab/vendors/dnspod.ts';
import type { LabVendor, VendorOptions, ZoneSpec } from '../../src/lab/vendors/vendor.ts';

const zone = 'gslb.example.net';
const www = `www.${zone}`;
const keys = { secretId: 'AKIDLAB', secretKey: 'lab-secret' };
const zones: readonly ZoneSpec[] = [
  {
    name: zone,
    records: [
      { name: www, type: 'CNAME', value: 'hz.shop.example.', ttl: 600 },
      { name: `_detour.${www}`, type: 'TXT', value: '"epoch=4"', ttl: 600 },
    ],
  },
];
const patienceMs = 10_000;

type Client = ReturnType<typeof clientOf>;
type Reply = Readonly<Record<string, unknown>>;
interface Keys {
  readonly secretId: string;
  readonly secretKey: string;
  readonly token?: string;
}

function clientOf(vendor: LabVendor, credential: Keys = keys, timeoutMs = patienceMs) {
  const httpProfile = { endpoint: new URL(vendor.api).host, protocol: 'http://' };
  const client = new sdk.v20210323.Client({
    credential,
    profile: { httpProfile: { ...httpProfile, reqTimeout: timeoutMs / 1000 } },
  });
  return (action: string, params: object = {}) =>
    client.request(action, { Domain: zone, ...params }) as Promise<Reply>;
}

async function running(
  options: Partial<VendorOptions> & { readonly credentials?: Keys },
  body: (vendor: LabVendor, ask: Client) => Promise<void>,
): Promise<void> {
  const place = { address: '127.0.0.1', dnsAddresses: ['127.0.0.1', '127.0.0.2'], dnsPort: 0 };
  const usual = { ...place, zones, quotas: 'off', propagationMs: 1, credentials: keys } as const;
  const vendor = await startDnspod({ ...usual, ...options });
  try {
    await body(vendor, clientOf(vendor));
  } finally {
    await vendor.close();
  }
}

/** The code of a refusal; where there is none, what the SDK says in its place. */
async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    const { code, httpCode, message } = error as Error & { code?: string; httpCode?: number };
    return code ?? `${httpCode ?? ''} ${message}`;
  }
  throw new assert.AssertionError({ message: 'expected a refusal, but it was accepted' });
}

interface Row {
  readonly RecordId: number;
  readonly Name: string;
  readonly Type: string;
  readonly Value: string;
  readonly Line: string;
  readonly LineId: string;
  readonly Status: string;
  readonly Remark: string;
}

async function rows(ask: Client, Subdomain = 'www', more: object = {}): Promise<readonly Row[]> {
  const params = { Subdomain, ErrorOnEmpty: 'no', ...more };
  return (await ask('DescribeRecordList', params))['RecordList'] as readonly Row[];
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + patienceMs;
  while (!(await holds())) {
    assert.ok(performance.now() < end, `in time: ${what}`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

const cname = { RecordType: 'CNAME', RecordLine: '默认', SubDomain: 'www', TTL: 600 };
const served = (vendor: LabVendor) => vendor.zone(zone).get(www, 'CNAME')?.values[0] ?? null;

test('a CNAME is changed in place by its id, and DNS follows', async () => {
  await running({}, async (vendor, ask) => {
    const [row] = await rows(ask);
    assert.deepEqual(
      [row!.Value, row!.Line, row!.LineId, row!.Status],
      ['hz.shop.example.', '默认', '0', 'ENABLE'],
    );
    const { RecordId } = row!;
    const put = { ...cname, RecordId, Value: 'nrt.shop.example' };
    assert.equal((await ask('ModifyRecord', put))['RecordId'], RecordId);
    await until('DNS', () => served(vendor) === 'nrt.shop.example.');
    // The same record by other names and other words.
    const one = (await ask('DescribeRecord', { RecordId }))['RecordInfo'] as Reply;
    assert.deepEqual(
      [one['Id'], one['SubDomain'], one['RecordType'], one['Enabled'], one['Value']],
      [RecordId, 'www', 'CNAME', 1, 'nrt.shop.example.'],
    );
    assert.ok(vendor.calls.every(({ status }) => status === 200));
  });
});

test('what a change leaves out falls back: to the apex, to enabled, but not the remark', async () => {
  await running({}, async (vendor, ask) => {
    vendor.edit(www, 'CNAME', 'hz.shop.example.', 600, { status: 'DISABLE', remark: 'mine' });
    const [row] = await rows(ask);
    assert.deepEqual([row!.Status, row!.Remark], ['DISABLE', 'mine']);
    const { SubDomain, ...rest } = cname;
    const put = { ...rest, RecordId: row!.RecordId, Value: 'nrt.shop.example' };
    await ask('ModifyRecord', put);
    assert.deepEqual(await rows(ask, SubDomain), []);
    const [moved] = await rows(ask, '@', { RecordType: 'CNAME' });
    assert.deepEqual([moved!.Status, moved!.Remark], ['ENABLE', 'mine']);
    await ask('ModifyRecord', { ...put, SubDomain, Remark: '' });
    assert.equal((await rows(ask))[0]!.Remark, '');
  });
});

test('an identical record is refused to the second of two writers, whatever its remark', async () => {
  await running({}, async (_, ask) => {
    const text = { RecordType: 'TXT', RecordLine: '默认', SubDomain: 'x', Value: 'after=1' };
    const both = [1, 2].map((n) =>
      ask('CreateRecord', { ...text, TTL: 600, Remark: `w${n}` }).then(
        () => 'made',
        (error: { code: string }) => error.code,
      ),
    );
    assert.deepEqual((await Promise.all(both)).sort(), [
      'InvalidParameter.DomainRecordExist',
      'made',
    ]);
  });
});

test('an empty list is an error unless it is asked for, and a new record is shown late', async () => {
  await running({ indexLagMs: 3_600_000 }, async (_, ask) => {
    const none = ask('DescribeRecordList', { Subdomain: 'nobody' });
    assert.equal(await refusal(none), 'ResourceNotFound.NoDataOfRecord');
    assert.deepEqual(await rows(ask, 'nobody'), []);
    const put = { ...cname, SubDomain: 'new', Value: 'a.example' };
    const { RecordId } = await ask('CreateRecord', put);
    assert.deepEqual(await rows(ask, 'new'), []);
    const one = (await ask('DescribeRecord', { RecordId }))['RecordInfo'] as Reply;
    assert.equal(one['SubDomain'], 'new');
    assert.equal(await refusal(ask('CreateRecord', put)), 'InvalidParameter.DomainRecordExist');
    await ask('DeleteRecord', { RecordId });
    const gone = await refusal(ask('DescribeRecord', { RecordId }));
    assert.equal(gone, 'InvalidParameter.RecordIdInvalid');
    // The zone's own servers are in the list of all, and are told apart.
    const all = (await ask('DescribeRecordList'))['RecordList'] as readonly Reply[];
    assert.equal(all.filter((row) => row['DefaultNS'] === true).length, 2);
  });
});

test('each plan has its floor, its lines and its number of records of one name', async () => {
  await running({}, async (vendor, ask) => {
    const put = (more: object) => ask('CreateRecord', { ...cname, SubDomain: 'new', ...more });
    const limit = (word: string) => `LimitExceeded.${word}Limit`;
    assert.equal(await refusal(put({ Value: 'a.example', TTL: 599 })), limit('RecordTtl'));
    assert.equal(await refusal(put({ Value: 'a.example', TTL: 604_801 })), limit('RecordTtl'));
    await put({ Value: 'a.example' });
    await put({ Value: 'b.example' });
    assert.equal(await refusal(put({ Value: 'c.example' })), limit('SubdomainRoll'));
    // What is paused is not counted.
    await put({ Value: 'c.example', Status: 'DISABLE' });
    const lineInvalid = 'InvalidParameter.RecordLineInvalid';
    const far = { Value: 'c.example', RecordLine: '广东电信' };
    assert.equal(await refusal(put(far)), lineInvalid);
    assert.equal(await refusal(put({ ...far, RecordLine: 'telecom' })), lineInvalid);
    await put({ ...far, RecordLine: 'ignored', RecordLineId: '10=0' });
    vendor.setZone(zone, { grade: 'DP_EXPERT' });
    await put({ ...far, TTL: 1 });
    const { DomainInfo } = await ask('DescribeDomain');
    assert.equal((DomainInfo as Reply)['Grade'], 'DP_EXPERT');
    const { Info } = await clientOf(vendor)('DescribePackageDetail', { Domain: undefined });
    const floors = (Info as readonly Reply[]).map((p) => [p['DomainGrade'], p['MinTtl']]);
    assert.deepEqual(floors.slice(0, 2), [
      ['DP_Free', 600],
      ['DP_Plus', 60],
    ]);
    const grade = { DomainGrade: 'DP_EXPERT' };
    const { LineList } = await ask('DescribeRecordLineList', grade);
    assert.ok((LineList as readonly Reply[]).some((line) => line['Name'] === '广东电信'));
  });
});

test('conflicts, values and parameters are refused by their codes, under HTTP 200', async () => {
  await running({}, async (_, ask) => {
    const put = (more: object) => refusal(ask('CreateRecord', { ...cname, TTL: 600, ...more }));
    const a = { RecordType: 'A', Value: '192.0.2.1' };
    assert.equal(await put(a), 'InvalidParameter.CustomMessage');
    const text = { RecordType: 'TXT', SubDomain: 't' };
    for (const [more, code] of [
      [{ ...text, Value: 'x'.repeat(256) }, 'InvalidParameter.RecordValueLengthInvalid'],
      [{ ...text, Value: 'back\\slash' }, 'InvalidParameter.RecordValueInvalid'],
      [{ SubDomain: 'new', Value: 'not a host' }, 'InvalidParameter.RecordValueInvalid'],
      [{ SubDomain: 'bücher', Value: 'a.example' }, 'InvalidParameter.SubdomainInvalid'],
      [{ SubDomain: 'new', RecordType: 'PTR', Value: 'x' }, 'InvalidParameter.RecordTypeInvalid'],
      [{ SubDomain: 'new', Value: 'a.example', TTL: 'x' }, 'InvalidParameter.ParamsIllegal'],
      [{ SubDomain: 'new', Value: 'a.example', Rr: 'x' }, 'UnknownParameter'],
      [{ SubDomain: 'new', Value: undefined }, 'MissingParameter'],
    ] as const) {
      assert.equal(await put(more), code, JSON.stringify(more));
    }
    assert.equal(await refusal(ask('DescribeEverything')), 'InvalidAction');
    const stranger = ask('DescribeDomain', { Domain: 'other.example' });
    assert.equal(await refusal(stranger), 'InvalidParameterValue.DomainNotExists');
    const byId = ask('DescribeDomain', { DomainId: 1 });
    assert.equal(await refusal(byId), 'InvalidParameter.DomainIdInvalid');
    const page = ask('DescribeRecordList', { Limit: 3001 });
    assert.equal(await refusal(page), 'InvalidParameterValue.LimitInvalid');
  });
});

test('a domain in its own script is known by both spellings, and pages are listed', async () => {
  const chinese = { name: 'xn--fsqu00a.example', records: [] };
  await running({ zones: [...zones, chinese] }, async (_, ask) => {
    for (const Domain of ['例子.example', 'xn--fsqu00a.example']) {
      const info = (await ask('DescribeDomain', { Domain }))['DomainInfo'] as Reply;
      assert.deepEqual([info['Domain'], info['Punycode']], ['例子.example', 'xn--fsqu00a.example']);
    }
    const params = { Domain: undefined, Limit: 1, Offset: 1 };
    const { DomainList } = await ask('DescribeDomainList', params);
    assert.deepEqual(
      (DomainList as readonly Reply[]).map((d) => d['Name']),
      ['例子.example'],
    );
  });
});

test('a domain is paused, locked or banned, and another account’s', async () => {
  await running({}, async (vendor, ask) => {
    const [{ RecordId }] = (await rows(ask)) as [Row];
    const put = () => ask('ModifyRecord', { ...cname, RecordId, Value: 'b.example' });
    vendor.setZone(zone, { status: 'LOCK' });
    assert.equal(await refusal(put()), 'FailedOperation.DomainIsLocked');
    vendor.setZone(zone, { status: 'SPAM' });
    assert.equal(await refusal(put()), 'FailedOperation.DomainIsSpam');
    vendor.setZone(zone, { status: 'PAUSE' });
    await put();
    vendor.setZone(zone, { status: 'ENABLE', foreign: true });
    assert.equal(await refusal(put()), 'FailedOperation.NotDomainOwner');
    vendor.setZone(zone, { foreign: false });
    await ask('ModifyRecordStatus', { RecordId, Status: 'DISABLE' });
    await until('a paused record is not served', () => served(vendor) === null);
    vendor.zoneFault(zone, 'denied');
    assert.equal(await refusal(put()), 'UnauthorizedOperation');
  });
});

test('the signature is checked: key, secret, token, body, clock and form', async () => {
  await running({ credentials: { ...keys, token: 'lab-token' } }, async (vendor) => {
    const ask = (credential: Keys) => clientOf(vendor, credential)('DescribeDomain');
    await ask({ ...keys, token: 'lab-token' });
    const code = (credential: Keys) => refusal(ask(credential));
    assert.equal(await code(keys), 'AuthFailure.TokenFailure');
    assert.equal(await code({ ...keys, token: 'other' }), 'AuthFailure.TokenFailure');
    const [id, secret] = [
      { ...keys, secretId: 'AKIDOTHER' },
      { ...keys, secretKey: 'other', token: 'lab-token' },
    ];
    assert.equal(await code(id), 'AuthFailure.SecretIdNotFound');
    assert.equal(await code(secret), 'AuthFailure.SignatureFailure');
  });
  await running({}, async (vendor) => {
    const extra = clientOf(vendor, { ...keys, token: 'nobody gave it' });
    assert.equal(await refusal(extra('DescribeDomain')), 'AuthFailure.TokenFailure');
    const send = async (ageMs: number, body: string, signed = body) => {
      const stamp = String(Math.floor((Date.now() - ageMs) / 1000));
      const authorization = signedBy(vendor, stamp, signed);
      const headers = {
        ...{ 'content-type': 'application/json', authorization },
        ...{ 'x-tc-action': 'DescribeDomain', 'x-tc-version': '2021-03-23' },
        'x-tc-timestamp': stamp,
      };
      const reply = await fetch(vendor.api, { method: 'POST', headers, body });
      const { Response } = (await reply.json()) as { Response: { Error?: { Code: string } } };
      return Response.Error?.Code ?? 'taken';
    };
    const body = JSON.stringify({ Domain: zone });
    assert.equal(await send(0, body), 'taken');
    assert.equal(await send(4 * 60_000, body), 'taken');
    assert.equal(await send(6 * 60_000, body), 'AuthFailure.SignatureExpire');
    assert.equal(await send(-6 * 60_000, body), 'AuthFailure.SignatureExpire');
    assert.equal(await send(0, body, '{}'), 'AuthFailure.SignatureFailure');
    assert.equal(await send(0, 'no json'), 'InvalidParameter');
    const bare = await fetch(vendor.api, {
      method: 'POST',
      headers: { 'x-tc-action': 'DescribeDomain', 'x-tc-version': '2021-03-23' },
      body,
    });
    assert.match(await bare.text(), /AuthFailure\.InvalidAuthorization/);
  });
});

/** TC3-HMAC-SHA256 by hand, apart from the code under test and from the SDK. */
function signedBy(vendor: LabVendor, stamp: string, body: string): string {
  const hash = (text: string) => createHash('sha256').update(text).digest('hex');
  const hmac = (key: string | Buffer, text: string) =>
    createHmac('sha256', key).update(text).digest();
  const { hostname } = new URL(vendor.api);
  const head = `content-type:application/json\nhost:${hostname}\n`;
  const request = `POST\n/\n\n${head}\ncontent-type;host\n${hash(body)}`;
  const date = new Date(Number(stamp) * 1000).toISOString().slice(0, 10);
  const scope = `${date}/dnspod/tc3_request`;
  const key = hmac(hmac(hmac(`TC3${keys.secretKey}`, date), 'dnspod'), 'tc3_request');
  const signature = hmac(key, `TC3-HMAC-SHA256\n${stamp}\n${scope}\n${hash(request)}`);
  const credential = `TC3-HMAC-SHA256 Credential=${keys.secretId}/${scope}`;
  return `${credential}, SignedHeaders=content-type;host, Signature=${signature.toString('hex')}`;
}

test('an action that is called more often than its quota is throttled', async () => {
  await running({ quotas: 'real' }, async (_, ask) => {
    const many = Array.from({ length: 60 }, () =>
      ask('DescribeDomain').then(
        () => 'taken',
        (error: { code: string }) => error.code,
      ),
    );
    const told = await Promise.all(many);
    assert.ok(told.includes('RequestLimitExceeded') && told.includes('taken'));
    assert.equal((await rows(ask)).length, 1, 'others go on');
  });
});

test('every fault shows as the SDK would see it, and heals', async () => {
  await running({}, async (vendor, ask) => {
    const looks: Readonly<Record<string, RegExp>> = {
      hang: /network timeout/,
      refuse: /ECONNREFUSED/,
      reset: /ECONNRESET|socket hang up/,
      error: /^InternalError$/,
      html: /^502 /,
      throttle: /^RequestLimitExceeded$/,
      auth: /^AuthFailure\.SecretIdNotFound$/,
      block: /^RequestLimitExceeded$/,
    };
    for (const [how, look] of Object.entries(looks)) {
      vendor.fault(how);
      // The first call may meet the end of a connection that was kept.
      if (how === 'refuse') await ask('DescribeDomain').catch(() => '');
      const hasty = clientOf(vendor, keys, how === 'hang' ? 250 : patienceMs);
      assert.match(await refusal(hasty('DescribeDomain')), look, how);
      vendor.fault(null);
      await until(`${how} healed`, () =>
        ask('DescribeDomain').then(
          () => true,
          () => false,
        ),
      );
    }
    const [{ RecordId }] = (await rows(ask)) as [Row];
    const put = (Value: string) => ask('ModifyRecord', { ...cname, RecordId, Value });
    vendor.fault('lost-reply');
    await assert.rejects(put('lost.example'));
    assert.equal((await rows(ask))[0]!.Value, 'lost.example.');
    await put('third.example');
    vendor.fault('stale-read');
    assert.equal((await rows(ask))[0]!.Value, 'lost.example.');
    vendor.fault(null);
    assert.equal((await rows(ask))[0]!.Value, 'third.example.');
    assert.throws(() => vendor.protect(www, true), /cannot be protected/);
  });
});

test('garbage is refused and never stops it', async () => {
  await running({}, async (vendor, ask) => {
    const bodies = fc.oneof(fc.string({ maxLength: 60 }), fc.json({ maxDepth: 2 }));
    await fc.assert(
      fc.asyncProperty(bodies, fc.constantFrom('/', '/%', '/x?y'), async (body, path) => {
        const init = { method: 'POST', body, headers: { 'x-tc-version': '2021-03-23' } };
        const reply = await fetch(`${vendor.api}${path}`, init);
        assert.match(await reply.text(), /"Error"/);
      }),
      { numRuns: 30 },
    );
    assert.equal((await rows(ask)).length, 1);
    assert.ok(vendor.calls.every((call) => /^[A-Za-z]+$/.test(call.operation)));
  });
});

test('whatever it accepts its name servers can give', async () => {
  await running({ ttlMin: 1 }, async (vendor, ask) => {
    vendor.setZone(zone, { grade: 'DP_ULTRA' });
    const label = fc.constantFrom('a', '*', '*.b', '@', '_x._y', 'A', 'a b', '例子', '*c', '-');
    const value = fc.oneof(
      fc.constantFrom('192.0.2.1', '::1', 'x.example', 'X.example.', '.', '*.x', 'a..b', '"a"'),
      fc.constantFrom('x'.repeat(255), ' ', '0 issue "ca"', '1 2 443 srv.example.'),
      fc.string({ maxLength: 20 }),
    );
    let accepted = 0;
    const types = fc.constantFrom('A', 'AAAA', 'CNAME', 'TXT', 'MX', 'NS', 'SRV', 'CAA', 'PTR');
    await fc.assert(
      fc.asyncProperty(types, label, value, async (RecordType, SubDomain, Value) => {
        const put = { RecordType, SubDomain, Value, RecordLine: '默认', TTL: 60, MX: 10 };
        await ask('CreateRecord', put).then(
          () => accepted++,
          () => {},
        );
      }),
      { numRuns: 150, seed: 20_261_130 },
    );
    assert.ok(accepted > 0, 'some were accepted');
    // A record that cannot be served would throw when it is published; the last one is there.
    vendor.edit(`last.${zone}`, 'A', '192.0.2.9', 60);
    await until('the last', () => vendor.zone(zone).get(`last.${zone}`, 'A') !== null);
  });
});
