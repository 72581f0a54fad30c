// The lab's vendors, driven by the vendors' own SDKs: what they accept, refuse, limit and break.

import assert from 'node:assert/strict';
import { Resolver } from 'node:dns/promises';
import { connect } from 'node:net';
import { test } from 'node:test';
import RPCClient from '@alicloud/pop-core';
import {
  type Change,
  ChangeResourceRecordSetsCommand,
  GetChangeCommand,
  GetHostedZoneCommand,
  ListHostedZonesByNameCommand,
  ListHostedZonesCommand,
  ListResourceRecordSetProtectionsCommand,
  ListResourceRecordSetsCommand,
  type ListResourceRecordSetsCommandInput,
  type ListResourceRecordSetsCommandOutput,
  Route53Client,
} from '@aws-sdk/client-route-53';
import Cloudflare from 'cloudflare';
import fc from 'fast-check';
import { startAlidns } from '../../src/lab/vendors/alidns.ts';
import { startCloudflare } from '../../src/lab/vendors/cloudflare.ts';
import { startGoogle } from '../../src/lab/vendors/google.ts';
import { GoogleTokens, newGoogleAccount } from '../../src/lab/vendors/google-tokens.ts';
import { startRoute53 } from '../../src/lab/vendors/route53.ts';
import type { LabVendor, VendorOptions, ZoneSpec } from '../../src/lab/vendors/vendor.ts';

const zoneName = 'gslb.example.net';
const www = `www.${zoneName}`;
const marker = `_detour.${www}`;
const zones: readonly ZoneSpec[] = [
  {
    name: zoneName,
    records: [
      { name: www, type: 'CNAME', value: 'hz.shop.example.', ttl: 60 },
      { name: marker, type: 'TXT', value: '"epoch=4"', ttl: 60 },
      { name: `mail.${zoneName}`, type: 'A', value: ['192.0.2.1', '192.0.2.2'], ttl: 300 },
    ],
  },
];
const place = {
  address: '127.0.0.1',
  dnsAddresses: ['127.0.0.1', '127.0.0.2'],
  dnsPort: 0,
  quotas: 'off' as const,
  propagationMs: 5,
  changeMs: 5,
};

/** How long the SDKs wait, so that a slow machine decides nothing; `hang` is given less. */
const patienceMs = 10_000;
const hangMs = 250;

/** Waits until a condition holds, at most ten seconds. */
async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 10_000;
  while (!(await condition())) {
    assert.ok(performance.now() < end, `in time: ${what}`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

async function running(
  start: () => Promise<LabVendor>,
  body: (vendor: LabVendor) => Promise<void>,
): Promise<void> {
  const vendor = await start();
  try {
    await body(vendor);
  } finally {
    await vendor.close();
  }
}

/** Sends one request many times on one connection; the statuses in order. */
function pipelined(vendor: LabVendor, path: string, token: string, count: number) {
  const { hostname, port } = new URL(vendor.api);
  const request = `GET ${path} HTTP/1.1\r\nhost: lab\r\nauthorization: Bearer ${token}\r\n\r\n`;
  return new Promise<number[]>((done, fail) => {
    const statuses: number[] = [];
    const socket = connect(Number(port), hostname);
    socket.setTimeout(5000, () => socket.destroy(new Error(`${statuses.length} of ${count}`)));
    socket.on('error', fail);
    let rest = '';
    socket.on('data', (chunk) => {
      rest += chunk.toString('latin1');
      for (const match of rest.matchAll(/HTTP\/1\.1 (\d{3}) /g)) statuses.push(Number(match[1]));
      rest = rest.slice(-20).replace(/^.*HTTP\/1\.1 \d{3} /s, '');
      if (statuses.length < count) return;
      socket.destroy();
      done(statuses);
    });
    socket.write(request.repeat(count));
  });
}

function resolverFor(server: string): Resolver {
  const resolver = new Resolver({ timeout: 2000, tries: 3 });
  resolver.setServers([server]);
  return resolver;
}

async function cnames(vendor: LabVendor, name = www): Promise<(string | undefined)[]> {
  return Promise.all(vendor.dns.map(async (s) => (await resolverFor(s).resolveCname(name))[0]));
}

interface VendorError extends Error {
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

async function failure(work: Promise<unknown>): Promise<VendorError> {
  try {
    await work;
  } catch (error) {
    return error as VendorError;
  }
  throw new assert.AssertionError({ message: 'expected a refusal, but it was accepted' });
}

// ---------------------------------------------------------------- Route 53

const awsKeys = { accessKeyId: 'AKIDLAB', secretAccessKey: 'lab-secret' };

function aws(vendor: LabVendor, extra: object = {}): Route53Client {
  return new Route53Client({
    endpoint: vendor.api,
    region: 'us-east-1',
    credentials: awsKeys,
    maxAttempts: 1,
    requestHandler: { requestTimeout: patienceMs, throwOnRequestTimeout: true },
    ...extra,
  });
}

function route53(
  body: (vendor: LabVendor, client: Route53Client, id: string) => Promise<void>,
  options: Partial<VendorOptions> = {},
) {
  return running(
    () => startRoute53({ ...place, zones, credentials: awsKeys, ...options } as never),
    async (vendor) => {
      const client = aws(vendor);
      await body(vendor, client, vendor.zoneId(zoneName));
      client.destroy();
    },
  );
}

function set(Name: string, Type: string, TTL: number, ...values: string[]) {
  return { Name, Type: Type as never, TTL, ResourceRecords: values.map((Value) => ({ Value })) };
}

function change(client: Route53Client, HostedZoneId: string, ...Changes: Change[]) {
  const command = new ChangeResourceRecordSetsCommand({ HostedZoneId, ChangeBatch: { Changes } });
  return client.send(command);
}

const swap: Change[] = [
  { Action: 'DELETE', ResourceRecordSet: set(www, 'CNAME', 60, 'hz.shop.example.') },
  { Action: 'CREATE', ResourceRecordSet: set(www, 'CNAME', 60, 'nrt.shop.example.') },
  { Action: 'DELETE', ResourceRecordSet: set(marker, 'TXT', 60, '"epoch=4"') },
  { Action: 'CREATE', ResourceRecordSet: set(marker, 'TXT', 60, '"epoch=5"') },
];

test('Route 53 makes a batch whole, tells when it is everywhere, and DNS follows', async () => {
  await route53(async (vendor, client, id) => {
    assert.deepEqual(await cnames(vendor), ['hz.shop.example', 'hz.shop.example']);
    const { ChangeInfo } = await change(client, id, ...swap);
    assert.match(ChangeInfo?.Id ?? '', /^\/change\/C[0-9A-F]{20}$/);
    assert.equal(ChangeInfo?.Status, 'PENDING');
    await until('INSYNC', async () => {
      const { ChangeInfo: now } = await client.send(new GetChangeCommand({ Id: ChangeInfo!.Id! }));
      return now?.Status === 'INSYNC';
    });
    assert.deepEqual(await cnames(vendor), ['nrt.shop.example', 'nrt.shop.example']);
    const texts = await resolverFor(vendor.dns[0]!).resolveTxt(marker);
    assert.deepEqual(texts, [['epoch=5']]);
  });
});

test('Route 53 lists from a position, in pages, with all that the next page needs', async () => {
  const extra = { setIdentifier: 'b', weight: 10 };
  const records = [
    ...zones[0]!.records,
    { name: `*.${zoneName}`, type: 'TXT', value: '"wild"', ttl: 5 },
    { name: `w.${zoneName}`, type: 'A', value: '192.0.2.3', ttl: 5, extra },
    {
      name: `w.${zoneName}`,
      type: 'A',
      value: '192.0.2.4',
      ttl: 5,
      extra: { ...extra, setIdentifier: 'a' },
    },
  ];
  await route53(
    async (_vendor, client, id) => {
      const seen: string[] = [];
      let next: object | null = { MaxItems: 1 };
      while (next) {
        const input: ListResourceRecordSetsCommandInput = { HostedZoneId: id, ...next };
        const page: ListResourceRecordSetsCommandOutput = await client.send(
          new ListResourceRecordSetsCommand(input),
        );
        for (const s of page.ResourceRecordSets ?? []) {
          seen.push(`${s.Name} ${s.Type} ${s.SetIdentifier ?? ''}`.trim());
        }
        assert.equal(page.MaxItems, 1);
        next = page.IsTruncated
          ? {
              MaxItems: 1,
              StartRecordName: page.NextRecordName,
              StartRecordType: page.NextRecordType,
              StartRecordIdentifier: page.NextRecordIdentifier,
            }
          : null;
      }
      assert.deepEqual(seen, [
        'gslb.example.net. NS',
        'gslb.example.net. SOA',
        '\\052.gslb.example.net. TXT',
        'mail.gslb.example.net. A',
        'w.gslb.example.net. A a',
        'w.gslb.example.net. A b',
        'www.gslb.example.net. CNAME',
        '_detour.www.gslb.example.net. TXT',
      ]);
      const at = { HostedZoneId: id, StartRecordName: www, StartRecordType: 'CNAME' as const };
      const found = await client.send(new ListResourceRecordSetsCommand({ ...at, MaxItems: 2 }));
      assert.deepEqual(
        found.ResourceRecordSets?.map((s) => [s.Name, s.TTL, s.ResourceRecords?.[0]?.Value]),
        [
          [`${www}.`, 60, 'hz.shop.example.'],
          [`${marker}.`, 60, '"epoch=4"'],
        ],
      );
      const bad = new ListResourceRecordSetsCommand({ HostedZoneId: id, StartRecordType: 'A' });
      assert.equal((await failure(client.send(bad))).name, 'InvalidInput');
    },
    { zones: [{ ...zones[0]!, records }] },
  );
});

test('Route 53 finds zones by name as a position, not as a filter', async () => {
  const more = ['example.org', 'a.example.net'].map((name) => ({ name, records: [] }));
  const settings = { privateZone: true, acceleratedRecovery: 'ENABLED' };
  const all = [...zones, ...more, { name: 'zz.example.net', records: [], settings }];
  await route53(
    async (vendor, client, id) => {
      const list = async (input: object) => {
        const page = await client.send(new ListHostedZonesByNameCommand(input));
        return page.HostedZones?.map((z) => z.Name);
      };
      assert.deepEqual(await list({ DNSName: zoneName }), [
        'gslb.example.net.',
        'zz.example.net.',
        'example.org.',
      ]);
      const page = await client.send(new ListHostedZonesByNameCommand({ MaxItems: 1 }));
      assert.equal(page.HostedZones?.[0]?.Name, 'a.example.net.');
      assert.equal(page.IsTruncated, true);
      assert.deepEqual([page.NextDNSName, page.NextHostedZoneId], ['gslb.example.net.', id]);
      const zone = await client.send(new GetHostedZoneCommand({ Id: id }));
      assert.equal(zone.HostedZone?.Id, `/hostedzone/${id}`);
      assert.equal(zone.HostedZone?.Config?.PrivateZone, false);
      assert.deepEqual(zone.DelegationSet?.NameServers, ['ns1.route53.test', 'ns2.route53.test']);
      const other = new GetHostedZoneCommand({ Id: vendor.zoneId('zz.example.net') });
      const { HostedZone, DelegationSet } = await client.send(other);
      assert.equal(HostedZone?.Config?.PrivateZone, true);
      assert.equal(HostedZone?.Features?.AcceleratedRecoveryStatus, 'ENABLED');
      assert.equal(DelegationSet, undefined);
      assert.equal((await client.send(new ListHostedZonesCommand({}))).HostedZones?.length, 4);
      const unknown = await failure(client.send(new GetHostedZoneCommand({ Id: 'ZNONE' })));
      assert.equal(unknown.name, 'NoSuchHostedZone');
      assert.equal(unknown.$metadata?.httpStatusCode, 404);
    },
    { zones: all },
  );
});

test('Route 53 refuses a stale batch in its own words and changes nothing of it', async () => {
  await route53(async (vendor, client, id) => {
    await change(client, id, ...swap);
    const lost = await failure(change(client, id, ...swap));
    assert.equal(lost.name, 'InvalidChangeBatch');
    assert.equal(lost.$metadata?.httpStatusCode, 400);
    assert.equal(
      lost.message,
      `[Tried to delete resource record set [name='${www}.', type='CNAME'] but the values ` +
        'provided do not match the current values, ' +
        `Tried to create resource record set [name='${www}.', type='CNAME'] but it already ` +
        `exists, Tried to delete resource record set [name='${marker}.', type='TXT'] but the ` +
        `values provided do not match the current values, Tried to create resource record set ` +
        `[name='${marker}.', type='TXT'] but it already exists]`,
    );
    const otherTtl = await failure(
      change(client, id, {
        Action: 'DELETE',
        ResourceRecordSet: set(www, 'CNAME', 61, 'nrt.shop.example.'),
      }),
    );
    assert.match(otherTtl.message, /the values provided do not match the current values\]$/);
    const half = await failure(
      change(
        client,
        id,
        { Action: 'UPSERT', ResourceRecordSet: set(`new.${zoneName}`, 'A', 60, '192.0.2.9') },
        { Action: 'DELETE', ResourceRecordSet: set(`gone.${zoneName}`, 'A', 60, '192.0.2.9') },
      ),
    );
    assert.equal(
      half.message,
      `[Tried to delete resource record set [name='gone.${zoneName}.', type='A'] but it was not found]`,
    );
    const after = await client.send(new ListResourceRecordSetsCommand({ HostedZoneId: id }));
    assert.ok(!after.ResourceRecordSets?.some((s) => s.Name?.startsWith('new.')));
    assert.equal(vendor.calls.at(-1)?.operation, 'ListResourceRecordSets');
  });
});

test('Route 53 refuses what it never takes, each in its own words', async () => {
  const up = (...s: Parameters<typeof set>): Change => ({
    Action: 'UPSERT',
    ResourceRecordSet: set(...s),
  });
  const many = Array.from({ length: 501 }, (_, i) => up(`n${i}.${zoneName}`, 'A', 60, '192.0.2.1'));
  const long = Array.from({ length: 80 }, (_, i) =>
    up(`n${i}.${zoneName}`, 'TXT', 60, `"${'x'.repeat(220)}"`),
  );
  const cases: readonly [string, RegExp, ...Change[]][] = [
    ['InvalidInput', /Member must have length greater than or equal to 1/],
    ['InvalidChangeBatch', /^\[Number of records limit of 1000 exceeded\.\]$/, ...many],
    ['InvalidChangeBatch', /^\[RDATA character limit of 32000 exceeded\.\]$/, ...long],
    [
      'InvalidChangeBatch',
      /^\[RRSet of type CNAME with DNS name mail\.gslb\.example\.net\. is not permitted as it conflicts with other records with the same DNS name in zone gslb\.example\.net\.\]$/,
      up(`mail.${zoneName}`, 'CNAME', 60, 'a.example.'),
    ],
    [
      'InvalidChangeBatch',
      /^\[RRSet of type TXT with DNS name www\.gslb\.example\.net\. is not permitted because a conflicting RRSet of type {2}CNAME with the same DNS name already exists in zone gslb\.example\.net\.\]$/,
      up(www, 'TXT', 60, '"x"'),
    ],
    [
      'InvalidChangeBatch',
      /^\[RRSet of type CNAME with DNS name gslb\.example\.net\. is not permitted at apex in zone gslb\.example\.net\.\]$/,
      up(zoneName, 'CNAME', 60, 'a.example.'),
    ],
    [
      'InvalidChangeBatch',
      /^\[RRSet with DNS name a\.example\.org\. is not permitted in zone gslb\.example\.net\.\]$/,
      up('a.example.org', 'A', 60, '192.0.2.1'),
    ],
    ['InvalidChangeBatch', /InvalidCharacterString/, up(`t.${zoneName}`, 'TXT', 60, 'bare')],
    [
      'InvalidChangeBatch',
      /CharacterStringTooLong/,
      up(`t.${zoneName}`, 'TXT', 60, `"${'x'.repeat(256)}"`),
    ],
    ['InvalidChangeBatch', /ARRDATAIllegalIPv4Address/, up(`t.${zoneName}`, 'A', 60, '10.0.0.300')],
    [
      'InvalidChangeBatch',
      /invalid set of changes for a resource record set 'A t\.gslb\.example\.net\.'/,
      up(`t.${zoneName}`, 'A', 60, '192.0.2.1'),
      up(`t.${zoneName}`, 'A', 60, '192.0.2.2'),
    ],
    [
      'InvalidInput',
      /Expected exactly one of \[AliasTarget, all of \[TTL, and ResourceRecords\]/,
      { Action: 'UPSERT', ResourceRecordSet: { Name: www, Type: 'A' } },
    ],
    [
      'InvalidChangeBatch',
      /must contain at least one NS record/,
      {
        Action: 'DELETE',
        ResourceRecordSet: set(zoneName, 'NS', 172800, 'ns1.route53.test.', 'ns2.route53.test.'),
      },
    ],
  ];
  await route53(async (_vendor, client, id) => {
    for (const [name, message, ...changes] of cases) {
      const error = await failure(change(client, id, ...changes));
      assert.equal(error.name, name, String(message));
      assert.match(error.message, message);
    }
    // At the limit itself: 500 UPSERTs count as 1000.
    await change(client, id, ...many.slice(0, 500));
  });
});

test('Route 53 keeps values as they were sent, and takes every character of XML', async () => {
  await route53(async (vendor, client, id) => {
    const text = `"a <b> & 'c' \\"d\\" \\342\\202\\254 é"`;
    const name = `t.${zoneName}`;
    await change(client, id, {
      Action: 'CREATE',
      ResourceRecordSet: set(name.toUpperCase(), 'TXT', 0, text, '"two" "strings"'),
    });
    const input = { HostedZoneId: id, StartRecordName: name, MaxItems: 1 };
    const page = await client.send(new ListResourceRecordSetsCommand(input));
    const [found] = page.ResourceRecordSets ?? [];
    assert.equal(found?.Name, `${name}.`);
    assert.equal(found?.TTL, 0);
    assert.deepEqual(
      found?.ResourceRecords?.map((r) => r.Value),
      [text, '"two" "strings"'],
    );
    await until('DNS', () => vendor.zone(zoneName).get(name, 'TXT') !== null);
    const texts = await resolverFor(vendor.dns[0]!).resolveTxt(name);
    // Node gives the octets of a TXT as Latin-1.
    const joined = texts.map((t) => Buffer.from(t.join('|'), 'latin1').toString());
    assert.deepEqual(joined.sort(), [`a <b> & 'c' "d" € é`, 'two|strings']);
  });
});

test('Route 53 checks the signature, the key, the clock and the permission', async () => {
  await route53(
    async (vendor, _client, id) => {
      const get = new GetHostedZoneCommand({ Id: id });
      const tried = async (extra: object) => {
        const client = aws(vendor, extra);
        const error = await failure(client.send(get));
        client.destroy();
        return `${error.$metadata?.httpStatusCode} ${error.name}`;
      };
      const wrong = { ...awsKeys, secretAccessKey: 'other' };
      assert.equal(await tried({ credentials: wrong }), '403 SignatureDoesNotMatch');
      const unknown = { ...awsKeys, accessKeyId: 'AKIDOTHER' };
      assert.equal(await tried({ credentials: unknown }), '403 InvalidClientTokenId');
      const token = { ...awsKeys, sessionToken: 'none' };
      assert.equal(await tried({ credentials: token }), '403 InvalidClientTokenId');
      assert.equal(await tried({ region: 'eu-west-1' }), '403 SignatureDoesNotMatch');
      const elsewhere = aws(vendor, { region: 'eu-west-1' });
      const scoped = await failure(elsewhere.send(get));
      assert.equal(
        scoped.message,
        "Credential should be scoped to a valid region, not 'eu-west-1'.",
      );
      elsewhere.destroy();
      const late = { systemClockOffset: -10 * 60_000 };
      assert.equal(await tried(late), '403 SignatureDoesNotMatch');
      const bare = await fetch(`${vendor.api}/2013-04-01/hostedzone/${id}`);
      assert.equal(bare.status, 403);
      assert.match(await bare.text(), /<Code>MissingAuthenticationToken<\/Code>/);
      const client = aws(vendor);
      const denied = await failure(change(client, id, ...swap));
      assert.equal(denied.name, 'AccessDenied');
      assert.match(denied.message, /not authorized to perform: route53:ChangeResourceRecordSets/);
      client.destroy();
    },
    { deny: ['ChangeResourceRecordSets'] },
  );
});

test('Route 53 keeps what a set is routed by, and wants all of it for a DELETE', async () => {
  const name = `geo.${zoneName}`;
  const plain = set(name, 'A', 60, '192.0.2.1');
  const AliasTarget = {
    HostedZoneId: 'Z2FDTNDATAQYW2',
    DNSName: `mail.${zoneName}.`,
    EvaluateTargetHealth: true,
  };
  const { TTL: _ttl, ResourceRecords: _records, ...bare } = set(`al.${zoneName}`, 'A', 60);
  const routed = [
    { ...plain, SetIdentifier: 'a', Region: 'eu-west-1' as const },
    { ...plain, SetIdentifier: 'b', GeoLocation: { CountryCode: 'CN', SubdivisionCode: 'ZJ' } },
    { ...plain, SetIdentifier: 'c', Failover: 'PRIMARY' as const, HealthCheckId: 'abc' },
    { ...plain, SetIdentifier: 'd', MultiValueAnswer: true },
    {
      ...plain,
      SetIdentifier: 'e',
      CidrRoutingConfig: { CollectionId: 'c-1', LocationName: 'a & b' },
    },
    { ...bare, AliasTarget },
  ];
  await route53(async (_vendor, client, id) => {
    for (const ResourceRecordSet of routed) {
      await change(client, id, { Action: 'CREATE', ResourceRecordSet });
      const at = { StartRecordName: ResourceRecordSet.Name, MaxItems: 10 };
      const page = await client.send(
        new ListResourceRecordSetsCommand({ HostedZoneId: id, ...at }),
      );
      const identifier =
        'SetIdentifier' in ResourceRecordSet ? ResourceRecordSet.SetIdentifier : '';
      const found = page.ResourceRecordSets!.find((s) => (s.SetIdentifier ?? '') === identifier);
      const Name = `${ResourceRecordSet.Name}.`;
      assert.deepEqual(found, { ...ResourceRecordSet, Name });
      const other =
        'AliasTarget' in ResourceRecordSet
          ? { ...ResourceRecordSet, AliasTarget: { ...AliasTarget, EvaluateTargetHealth: false } }
          : { ...plain, SetIdentifier: identifier };
      const refused = await failure(
        change(client, id, { Action: 'DELETE', ResourceRecordSet: other }),
      );
      assert.match(refused.message, /do not match the current values\]$/);
      await change(client, id, { Action: 'DELETE', ResourceRecordSet });
    }
  });
});

test('Route 53 refuses a set that is one of several and does not say by what, and a second policy', async () => {
  const plain = set(`geo.${zoneName}`, 'A', 60, '192.0.2.1');
  const create = (client: Route53Client, id: string, more: object) =>
    change(client, id, { Action: 'CREATE', ResourceRecordSet: { ...plain, ...more } });
  await route53(async (_vendor, client, id) => {
    const none = await failure(create(client, id, { Weight: 1 }));
    assert.match(none.message, /Missing field 'SetIdentifier'/);
    const by = await failure(create(client, id, { SetIdentifier: 'a' }));
    assert.match(by.message, /Expected exactly one of \[Weight, .* found none/);
    const both = { SetIdentifier: 'a', Weight: 1, Region: 'eu-west-1' };
    assert.match((await failure(create(client, id, both))).message, /found more than one/);
    await create(client, id, { SetIdentifier: 'a', Weight: 1 });
    const other = await failure(create(client, id, { SetIdentifier: 'b', Failover: 'PRIMARY' }));
    assert.match(other.message, /a different routing policy exists/);
    await create(client, id, { SetIdentifier: 'b', Weight: 0 });
  });
});

test('Route 53 takes one change of a zone at a time', async () => {
  await route53(
    async (_vendor, client, id) => {
      const first = change(client, id, ...swap);
      const results = await Promise.allSettled([first, change(client, id, ...swap)]);
      const refused = results.flatMap((r) => (r.status === 'rejected' ? [r.reason] : []));
      assert.deepEqual(
        refused.map((e: Error) => e.name),
        ['PriorRequestNotComplete'],
      );
    },
    { changeMs: 60 },
  );
});

test('Route 53 throttles the fifty-first request of a burst', async () => {
  await route53(
    async (_vendor, client, id) => {
      const get = () => client.send(new GetHostedZoneCommand({ Id: id }));
      // So many that a slow machine does not earn back enough tokens for all of them.
      const results = await Promise.allSettled(Array.from({ length: 110 }, get));
      const refused = results.flatMap((r) => (r.status === 'rejected' ? [r.reason] : []));
      assert.ok(refused.length > 0 && refused.length <= 60, `${refused.length} refused`);
      for (const error of refused as VendorError[]) {
        assert.equal(error.name, 'Throttling');
        assert.equal(error.message, 'Rate exceeded');
        assert.equal(error.$metadata?.httpStatusCode, 400);
      }
    },
    { quotas: 'real' },
  );
});

test('Route 53 names what an operator or a service has locked', async () => {
  const protections = [{ name: www, type: 'CNAME', comment: 'ask Ann first' }];
  await route53(
    async (_vendor, client, id) => {
      const error = await failure(change(client, id, ...swap));
      assert.equal(error.name, 'InvalidChangeBatch');
      assert.match(error.message, /ask Ann first/);
      const input = { HostedZoneId: id, StartRecordName: www };
      const list = await client.send(new ListResourceRecordSetProtectionsCommand(input));
      assert.deepEqual(
        list.ResourceRecordSetProtections?.map((p) => [p.RecordName, p.RecordType, p.Comment]),
        [[`${www}.`, 'CNAME', 'ask Ann first']],
      );
    },
    { zones: [{ ...zones[0]!, settings: { protections } }] },
  );
  await route53(
    async (_vendor, client, id) => {
      assert.equal((await failure(change(client, id, ...swap))).name, 'AccessDenied');
    },
    { zones: [{ ...zones[0]!, settings: { linkedService: 'servicediscovery.amazonaws.com' } }] },
  );
});

// ---------------------------------------------------------------- Cloudflare

const apiToken = 'lab_0123456789abcdefghijklmnopqrstuvwxyz0123';

function cloudflareClient(vendor: LabVendor, token = apiToken): Cloudflare {
  return new Cloudflare({
    apiToken: token,
    baseURL: vendor.api,
    maxRetries: 0,
    timeout: patienceMs,
    logLevel: 'off',
  });
}

function cloudflare(
  body: (vendor: LabVendor, client: Cloudflare, id: string) => Promise<void>,
  options: Partial<VendorOptions> = {},
) {
  return running(
    () => startCloudflare({ ...place, zones, credentials: { apiToken }, ...options } as never),
    (vendor) => body(vendor, cloudflareClient(vendor), vendor.zoneId(zoneName)),
  );
}

interface CloudflareError extends Error {
  readonly status?: number;
  readonly headers?: Headers;
  readonly errors?: readonly { code: number; message: string; error_chain?: { code: number }[] }[];
}

/** A refusal as `STATUS CODE` or `STATUS CODE/CHAINED`. */
async function refusal(work: Promise<unknown>): Promise<string> {
  const error = (await failure(work)) as CloudflareError;
  const [first] = error.errors ?? [];
  const chained = first?.error_chain?.[0];
  return `${error.status} ${first?.code}${chained ? `/${chained.code}` : ''}`;
}

async function cfRecord(client: Cloudflare, zone_id: string, name: string, type: string) {
  const page = await client.dns.records.list({
    zone_id,
    name: { exact: name },
    type: type as 'CNAME',
  });
  assert.equal(page.result.length, 1, `one ${type} at ${name}`);
  return page.result[0]!;
}

test('Cloudflare rotates the marker and patches the CNAME in one transaction', async () => {
  await cloudflare(async (vendor, client, zone_id) => {
    const cname = await cfRecord(client, zone_id, www, 'CNAME');
    const lock = await cfRecord(client, zone_id, marker, 'TXT');
    assert.match(cname.id, /^[0-9a-f]{32}$/);
    assert.deepEqual(
      [cname.name, cname.content, cname.ttl, cname.proxied],
      [www, 'hz.shop.example', 60, false],
    );
    const batch = (content: string, epoch: number) =>
      client.dns.records.batch({
        zone_id,
        deletes: [{ id: lock.id }],
        patches: [{ id: cname.id, name: www, type: 'CNAME', ttl: 60, content }],
        posts: [{ type: 'TXT', name: marker, ttl: 60, content: `"epoch=${epoch}"` }],
      });
    const made = await batch('nrt.shop.example.', 5);
    assert.equal(made.patches?.[0]?.content, 'nrt.shop.example');
    assert.equal(made.deletes?.[0]?.id, lock.id);
    await until('DNS', async () => (await cnames(vendor)).every((c) => c === 'nrt.shop.example'));
    // The same batch again: its lock is gone, so its CNAME must not be changed either.
    assert.equal(await refusal(batch('evil.example.', 6)), '404 81044');
    const after = await cfRecord(client, zone_id, www, 'CNAME');
    assert.equal(after.content, 'nrt.shop.example');
    const markers = await cfRecord(client, zone_id, marker, 'TXT');
    assert.equal(markers.content, '"epoch=5"');
  });
});

test('Cloudflare runs a batch in its own order and undoes all of it on the first error', async () => {
  await cloudflare(async (vendor, client, zone_id) => {
    const cname = await cfRecord(client, zone_id, www, 'CNAME');
    // Only possible because deletes come before posts.
    await client.dns.records.batch({
      zone_id,
      posts: [{ type: 'CNAME', name: www, ttl: 60, content: 'c.example' }],
      deletes: [{ id: cname.id }],
    });
    const before = vendor.zone(zoneName).serial;
    const failing = client.dns.records.batch({
      zone_id,
      posts: [
        { type: 'A', name: `fresh.${zoneName}`, ttl: 60, content: '192.0.2.1' },
        { type: 'A', name: www, ttl: 60, content: '192.0.2.1' },
      ],
    });
    assert.equal(await refusal(failing), '400 81054');
    const page = await client.dns.records.list({ zone_id, name: { exact: `fresh.${zoneName}` } });
    assert.equal(page.result.length, 0);
    await until('DNS', () => vendor.zone(zoneName).serial === before + 1);
    const posts = Array.from({ length: 201 }, (_, i) => ({
      type: 'A' as const,
      name: `n${i}.${zoneName}`,
      ttl: 60,
      content: '192.0.2.1',
    }));
    assert.equal(await refusal(client.dns.records.batch({ zone_id, posts })), '400 9207/9207');
  });
});

test('Cloudflare refuses what cannot stand together or is not valid, by its codes', async () => {
  await cloudflare(async (_vendor, client, zone_id) => {
    const create = (type: string, name: string, content: string, extra: object = {}) =>
      client.dns.records.create({ zone_id, type, name, content, ttl: 60, ...extra } as never);
    const mail = `mail.${zoneName}`;
    const cases: readonly [string, () => Promise<unknown>][] = [
      ['400 81053', () => create('CNAME', www, 'a.example')],
      ['400 81053', () => create('CNAME', mail, 'a.example')],
      ['400 81054', () => create('A', www, '192.0.2.1')],
      ['400 81058', () => create('A', mail, '192.0.2.1')],
      ['400 81058', () => create('TXT', marker, 'epoch=4')],
      ['400 81056', () => create('NS', mail, 'ns.example')],
      ['400 1004/9021', () => create('A', `t.${zoneName}`, '192.0.2.1', { ttl: 59 })],
      ['400 1004/9021', () => create('A', `t.${zoneName}`, '192.0.2.1', { ttl: 86_401 })],
      ['400 1004/9005', () => create('A', `t.${zoneName}`, 'a.example')],
      ['400 1004/9006', () => create('AAAA', `t.${zoneName}`, 'fe80::1%lo')],
      ['400 1004/9007', () => create('CNAME', `t.${zoneName}`, '192.0.2.1')],
      ['400 1004/9039', () => create('CNAME', `t.${zoneName}`, `t.${zoneName}`)],
      ['400 1004/9004', () => create('TXT', `t.${zoneName}`, '"x"', { proxied: true })],
      ['400 1004/9300', () => create('A', `t.${zoneName}`, '192.0.2.1', { tags: ['a:b'] })],
      [
        '400 1004/9301',
        () => create('A', `t.${zoneName}`, '192.0.2.1', { comment: 'x'.repeat(101) }),
      ],
      ['400 1004/9000', () => create('A', `bad..${zoneName}`, '192.0.2.1')],
      ['404 81044', () => client.dns.records.get('0'.repeat(32), { zone_id })],
      ['404 81044', () => client.dns.records.delete('0'.repeat(32), { zone_id })],
      ['404 1001', () => client.zones.get({ zone_id: '0'.repeat(32) })],
      ['400 7000', () => client.zones.get({ zone_id: 'nonsense' })],
    ];
    for (const [at, [expected, work]] of cases.entries()) {
      assert.equal(await refusal(work()), expected, `case ${at}`);
    }
    const post = await fetch(`${client.baseURL}/zones/${zone_id}/dns_records`, {
      method: 'POST',
      headers: { authorization: `Bearer ${apiToken}` },
      body: '{"type":',
    });
    assert.equal(post.status, 400);
    const envelope = (await post.json()) as { success: boolean; result: unknown };
    assert.deepEqual([envelope.success, envelope.result], [false, null]);
  });
});

test('Cloudflare keeps on PATCH, resets on PUT, and appends the zone to a short name', async () => {
  await cloudflare(async (vendor, client, zone_id) => {
    const made = await client.dns.records.create({
      zone_id,
      type: 'A',
      name: 'short',
      content: '192.0.2.7',
      ttl: 120,
      comment: 'by hand',
      proxied: true,
    });
    assert.deepEqual([made.name, made.ttl, made.proxied], [`short.${zoneName}`, 1, true]);
    const name = `short.${zoneName}`;
    await until('the edge', () => vendor.zone(zoneName).get(name, 'A')?.ttl === 300);
    assert.deepEqual(vendor.zone(zoneName).get(name, 'A')?.values, ['192.0.2.16', '192.0.2.17']);
    const base = { zone_id, type: 'A' as const, name, ttl: 60 };
    const patched = await client.dns.records.edit(made.id, { ...base, content: '192.0.2.8' });
    assert.deepEqual(
      [patched.id, patched.comment, patched.proxied, patched.ttl],
      [made.id, 'by hand', true, 1],
    );
    const put = await client.dns.records.update(made.id, { ...base, content: '192.0.2.9' });
    assert.deepEqual([put.id, put.comment, put.proxied, put.ttl], [made.id, null, false, 60]);
    await until(
      'the origin',
      () => vendor.zone(zoneName).get(name, 'A')?.values[0] === '192.0.2.9',
    );
  });
});

test('Cloudflare answers a proxied CNAME from the edge and a flattened one by addresses', async () => {
  const at = (name: string, value: string, extra: object) => ({
    name: `${name}.${zoneName}`,
    type: 'CNAME',
    value,
    ttl: 120,
    extra,
  });
  const records = [
    at('edge', 'hz.shop.example.', { proxied: true }),
    at('flat', 'hz.shop.example.', { flattenCname: true }),
    at('dangling', 'none.example.', { flattenCname: true }),
    at('inside', `mail.${zoneName}.`, {}),
    ...zones[0]!.records,
  ];
  const resolve = (name: string) => (name === 'hz.shop.example.' ? ['127.0.0.9'] : []);
  await cloudflare(
    async (vendor, client, zone_id) => {
      const resolver = resolverFor(vendor.dns[0]!);
      const edge = await resolver.resolve4(`edge.${zoneName}`, { ttl: true });
      assert.deepEqual(edge[0], { address: '192.0.2.16', ttl: 300 });
      await assert.rejects(resolver.resolveCname(`edge.${zoneName}`), { code: 'ENODATA' });
      assert.deepEqual(await resolver.resolve4(`flat.${zoneName}`), ['127.0.0.9']);
      await assert.rejects(resolver.resolve4(`dangling.${zoneName}`));
      assert.equal((await resolver.resolve4(`inside.${zoneName}`)).length, 2);
      const shown = await cfRecord(client, zone_id, `edge.${zoneName}`, 'CNAME');
      assert.deepEqual([shown.proxied, shown.content], [true, 'hz.shop.example']);
    },
    { zones: [{ name: zoneName, records }], resolve },
  );
});

test('Cloudflare pages its lists, and the SDK comes to an end', async () => {
  const records = Array.from({ length: 25 }, (_, i) => ({
    name: `n${i}.${zoneName}`,
    type: 'A',
    value: '192.0.2.1',
    ttl: 60,
  }));
  await cloudflare(
    async (_vendor, client, zone_id) => {
      const names: string[] = [];
      for await (const record of client.dns.records.list({ zone_id, per_page: 10 })) {
        names.push(record.name);
      }
      assert.equal(new Set(names).size, 25);
      const page = await client.dns.records.list({ zone_id, per_page: 10, page: 3 });
      assert.deepEqual(page.result_info, {
        page: 3,
        per_page: 10,
        count: 5,
        total_count: 25,
        total_pages: 3,
      } as never);
      const some = await client.dns.records.list({ zone_id, name: { startswith: 'n2' } });
      assert.equal(some.result.length, 6);
    },
    { zones: [{ name: zoneName, records }] },
  );
});

test('Cloudflare tells zones in their own script and records in ASCII, and finds them so', async () => {
  const [ascii, own] = ['xn--bcher-kva.example', 'bücher.example'];
  await cloudflare(
    async (vendor, client) => {
      const zone_id = vendor.zoneId(ascii);
      for (const name of [ascii, own]) {
        const { result } = await client.zones.list({ name });
        assert.deepEqual(
          result.map((z) => [z.id, z.name]),
          [[zone_id, own]],
        );
      }
      const given = { zone_id, type: 'CNAME', ttl: 60 } as const;
      await client.dns.records.create({ ...given, name: `a.${own}`, content: `x.${own}.test` });
      const found = async (exact: string) =>
        (await client.dns.records.list({ zone_id, name: { exact } })).result as Listed[];
      assert.deepEqual(
        (await found(`a.${ascii}`)).map((r) => [r.name, r.content]),
        [[`a.${ascii}`, `x.${ascii}.test`]],
      );
      assert.deepEqual(await found(`a.${own}`), []);
    },
    { zones: [...zones, { name: ascii, records: [] }] },
  );
});

interface Listed {
  readonly name: string;
  readonly content: string;
}

test('Cloudflare shows its zones and their settings, and checks the token', async () => {
  const settings = { flattenAllCnames: true, multiProvider: false, status: 'pending' };
  const more = { name: 'other.example', records: [], settings };
  await cloudflare(
    async (vendor, client, zone_id) => {
      assert.equal((await client.user.tokens.verify())?.status, 'active');
      const { result } = await client.zones.list({ name: zoneName });
      assert.deepEqual(
        result.map((z) => [z.id, z.status, z.type, z.paused]),
        [[zone_id, 'active', 'full', false]],
      );
      assert.deepEqual(result[0]?.name_servers, ['ns1.cloudflare.test', 'ns2.cloudflare.test']);
      const other = await client.zones.get({ zone_id: vendor.zoneId('other.example') });
      assert.equal(other.status, 'pending');
      const dns = await client.dns.settings.zone.get({ zone_id: other.id });
      assert.deepEqual([dns.flatten_all_cnames, dns.multi_provider], [true, false]);
      const valid = cloudflareClient(vendor, 'A'.repeat(40));
      assert.equal(await refusal(valid.zones.get({ zone_id })), '403 10000');
      assert.equal(await refusal(valid.user.tokens.verify()), '401 1000');
      const malformed = cloudflareClient(vendor, 'short');
      assert.equal(await refusal(malformed.zones.get({ zone_id })), '400 6003/6111');
      const denied = client.dns.records.batch({ zone_id, deletes: [{ id: '0'.repeat(32) }] });
      assert.equal(await refusal(denied), '403 10000');
      assert.equal((await fetch(`${vendor.api}/zones`)).status, 400);
    },
    { zones: [...zones, more], deny: ['dns.records.batch'] },
  );
});

test('Cloudflare blocks everything for five minutes after 1200 requests', async () => {
  await cloudflare(
    async (vendor, client, zone_id) => {
      const path = `/client/v4/zones/${zone_id}`;
      const statuses = await pipelined(vendor, path, apiToken, 1200);
      assert.ok(statuses.every((status) => status === 200));
      const error = (await failure(client.zones.get({ zone_id }))) as CloudflareError;
      assert.equal(error.status, 429);
      const seconds = Number(error.headers?.get('retry-after'));
      assert.ok(seconds > 295 && seconds <= 300, `retry-after ${seconds}`);
      assert.equal(await refusal(client.user.tokens.verify()), '429 971');
    },
    { quotas: 'real' },
  );
});

// ---------------------------------------------------------------- Alidns

const aliKeys = { accessKeyId: 'LTAILAB', accessKeySecret: 'lab-secret' };

function alidnsClient(vendor: LabVendor, keys = aliKeys, method = 'POST'): RPCClient {
  const opts = { method, timeout: patienceMs };
  return new RPCClient({ endpoint: vendor.api, apiVersion: '2015-01-09', ...keys, opts });
}

interface AliRecord {
  readonly RecordId: string;
  readonly RR: string;
  readonly Type: string;
  readonly Value: string;
  readonly TTL: number;
  readonly Line: string;
  readonly Status: string;
  readonly Locked: boolean;
  readonly Remark?: string;
}

interface AliPage {
  readonly TotalCount: number;
  readonly DomainRecords: { readonly Record: readonly AliRecord[] };
}

function alidns(
  body: (vendor: LabVendor, client: RPCClient) => Promise<void>,
  options: object = {},
) {
  const account = { ...place, zones, credentials: aliKeys, ttlMin: 60 };
  return running(
    () => startAlidns({ ...account, ...options } as never),
    (vendor) => body(vendor, alidnsClient(vendor)),
  );
}

async function aliRecords(
  client: RPCClient,
  SubDomain: string,
  timeout = patienceMs,
): Promise<readonly AliRecord[]> {
  const action = 'DescribeSubDomainRecords';
  const page = await client.request<AliPage>(action, { SubDomain }, { timeout });
  return page.DomainRecords.Record;
}

/** The code of a refusal, with its HTTP status. */
async function aliRefusal(work: Promise<unknown>): Promise<string> {
  const error = (await failure(work)) as VendorError & {
    readonly entry?: { readonly response: { readonly statusCode: number } };
  };
  return `${error.entry?.response.statusCode} ${error.code}`;
}

const added = { DomainName: zoneName, Line: 'default' };

test('Alidns changes a CNAME in place by its id, and DNS follows', async () => {
  await alidns(async (vendor, client) => {
    const [cname] = await aliRecords(client, www);
    assert.ok(cname);
    assert.deepEqual(
      [cname.RR, cname.Type, cname.Value, cname.TTL, cname.Line, cname.Status, cname.Locked],
      ['www', 'CNAME', 'hz.shop.example', 60, 'default', 'ENABLE', false],
    );
    const { RecordId } = cname;
    const to = { RecordId, RR: 'www', Type: 'CNAME', TTL: 60, Value: 'nrt.shop.example.' };
    const made = await client.request<{ RecordId: string }>('UpdateDomainRecord', to);
    assert.equal(made.RecordId, RecordId);
    await until('DNS', async () => (await cnames(vendor)).every((c) => c === 'nrt.shop.example'));
    const duplicate = await failure(client.request('UpdateDomainRecord', to));
    assert.equal(duplicate.code, 'DomainRecordDuplicate');
    assert.match(duplicate.message, /^The DNS record already exists\./);
    await client.request('UpdateDomainRecord', { ...to, TTL: 120 });
    assert.equal((await aliRecords(client, www))[0]?.TTL, 120);
  });
});

test('Alidns lets one of two writers add an identical record', async () => {
  await alidns(async (_vendor, client) => {
    const epoch = { ...added, RR: '_detour.www', Type: 'TXT', Value: 'epoch=5', TTL: 60 };
    await client.request('AddDomainRecord', epoch);
    const again = aliRefusal(client.request('AddDomainRecord', epoch));
    assert.equal(await again, '400 DomainRecordDuplicate');
    assert.equal((await aliRecords(client, marker)).length, 2);
  });
});

test('Alidns refuses conflicts, floors and values by its codes', async () => {
  await alidns(
    async (_vendor, client) => {
      const add = (RR: string, Type: string, Value: string, extra: object = {}) =>
        client.request('AddDomainRecord', { ...added, RR, Type, Value, TTL: 600, ...extra });
      const cases: readonly [string, () => Promise<unknown>][] = [
        ['400 DomainRecordConflict', () => add('www', 'TXT', 'x')],
        ['400 DomainRecordConflict', () => add('www', 'A', '192.0.2.1')],
        ['400 DomainRecordConflict', () => add('mail', 'CNAME', 'a.example')],
        ['400 DomainRecordConflict', () => add('www', 'CNAME', 'second.example')],
        ['400 DomainRecordDuplicate', () => add('mail', 'A', '192.0.2.1')],
        ['400 QuotaExceeded.TTL', () => add('t', 'A', '192.0.2.1', { TTL: 599 })],
        ['400 QuotaExceeded.TTL', () => add('t', 'A', '192.0.2.1', { TTL: 86_401 })],
        ['400 InvalidTTL', () => add('t', 'A', '192.0.2.1', { TTL: 0 })],
        ['400 SubDomainInvalid.Value', () => add('t', 'A', 'a.example')],
        ['400 SubDomainInvalid.Value', () => add('t', 'TXT', 'x'.repeat(513))],
        ['400 SubDomainInvalid.Value', () => add('t', 'CNAME', 'not a host')],
        ['400 InvalidLine', () => add('t', 'A', '192.0.2.1', { Line: 'mars' })],
        ['400 InvalidRR', () => add('bad name', 'A', '192.0.2.1')],
        ['400 MissingValue', () => add('t', 'A', '')],
        [
          '400 InvalidDomainName.NoExist',
          () => add('t', 'A', '192.0.2.1', { DomainName: 'x.org' }),
        ],
        [
          '400 DomainRecordNotBelongToUser',
          () => client.request('DeleteDomainRecord', { RecordId: '1' }),
        ],
        ['404 InvalidAction.NotFound', () => client.request('DeleteEverything', {})],
      ];
      for (const [at, [expected, work]] of cases.entries()) {
        assert.equal(await aliRefusal(work()), expected, `case ${at}`);
      }
      // On a line of its own the same name may be something else; at the apex so may TXT and MX.
      await add('www', 'A', '192.0.2.1', { Line: 'telecom' });
      await add('@', 'CNAME', 'apex.example');
      await add('@', 'MX', 'mx.example.', { Priority: 5 });
      await add('@', 'TXT', '"quoted" ', {});
      const apex = await aliRecords(client, zoneName);
      assert.deepEqual(apex.map((r) => `${r.Type} ${r.Value}`).sort(), [
        'CNAME apex.example',
        'MX mx.example',
        'TXT quoted',
      ]);
      const floor = await failure(add('t', 'A', '192.0.2.1', { TTL: 60 }));
      assert.match(
        floor.message,
        /^The specified TTL is invalid\. A valid TTL must be in the range of 600 to 86400\./,
      );
    },
    { ttlMin: undefined },
  );
});

test('Alidns knows domains in their own script alone, and takes no script but Chinese', async () => {
  const [ascii, own] = ['xn--fsqu00a.example', '例子.example'];
  const other = { name: 'xn--bcher-kva.example', records: [] };
  await alidns(
    async (_vendor, client) => {
      const info = (DomainName: string) =>
        client.request<Record<string, unknown>>('DescribeDomainInfo', { DomainName });
      assert.equal(await aliRefusal(info(ascii)), '400 InvalidDomainName.NoExist');
      const { DomainName, PunyCode } = await info(own);
      assert.deepEqual([DomainName, PunyCode], [own, ascii]);
      const add = (RR: string, Value: string) =>
        client.request('AddDomainRecord', {
          ...{ DomainName: own, Type: 'CNAME', TTL: 600 },
          ...{ RR, Value },
        });
      await add('xn--fsqu00a', 'xn--fsqu00a.test');
      const [record] = await aliRecords(client, `例子.${own}`);
      assert.deepEqual([record?.RR, record?.Value], ['例子', '例子.test']);
      assert.equal(await aliRefusal(add('xn--bcher-kva', 'a.test')), '400 SubDomainInvalid.RR');
      assert.equal(await aliRefusal(add('b', 'bücher.test')), '400 SubDomainInvalid.Value');
    },
    { zones: [...zones, { name: ascii, records: [] }, other] },
  );
});

test('Alidns tells its edition, its floor, its servers and the records of a name', async () => {
  const extra = { line: 'telecom', status: 'DISABLE', locked: true, remark: 'by hand' } as const;
  const records = [
    ...zones[0]!.records,
    { name: `w.${zoneName}`, type: 'CNAME', value: 'a.example.', ttl: 60, extra },
    { name: `awww.${zoneName}`, type: 'A', value: '192.0.2.1', ttl: 60 },
  ];
  await alidns(
    async (vendor, client) => {
      const info = await client.request<Record<string, unknown>>('DescribeDomainInfo', {
        DomainName: zoneName,
        NeedDetailAttributes: true,
      });
      assert.equal(info['MinTtl'], 60);
      assert.equal(info['VersionCode'], 'version_enterprise_basic');
      assert.deepEqual(
        { ...(info['DnsServers'] as object) },
        { DnsServer: ['ns1.alidns.test', 'ns2.alidns.test'] },
      );
      const [other] = await aliRecords(client, `w.${zoneName}`);
      assert.deepEqual(
        [other?.Line, other?.Status, other?.Locked, other?.Remark],
        ['telecom', 'DISABLE', true, 'by hand'],
      );
      assert.equal(vendor.zone(zoneName).get(`w.${zoneName}`, 'CNAME'), null);
      const list = async (params: object) => {
        const input = { DomainName: zoneName, ...params };
        const page = await client.request<AliPage>('DescribeDomainRecords', input);
        return page.DomainRecords.Record.map((r) => r.RR);
      };
      assert.deepEqual(await list({ RRKeyWord: 'www' }), ['awww', '_detour.www', 'www']);
      const exact = { RRKeyWord: 'www', SearchMode: 'COMBINATION' };
      assert.deepEqual(await list(exact), ['www']);
      assert.deepEqual(await list({ TypeKeyWord: 'A', PageSize: 2, PageNumber: 2 }), ['mail']);
      const main = await client.request<{ RR: string }>('GetMainDomainName', { InputString: www });
      assert.equal(main.RR, 'www');
      const locked = { RecordId: other!.RecordId };
      assert.equal(
        await aliRefusal(client.request('DeleteDomainRecord', locked)),
        '400 DomainRecordLocked',
      );
    },
    {
      ttlMin: undefined,
      zones: [{ name: zoneName, records, settings: { versionCode: 'version_enterprise_basic' } }],
    },
  );
});

test('Alidns pauses, remarks and deletes a record by its id', async () => {
  await alidns(async (vendor, client) => {
    const [cname] = await aliRecords(client, www);
    const { RecordId } = cname!;
    const paused = { RecordId, Status: 'Disable' };
    const reply = await client.request<{ Status: string }>('SetDomainRecordStatus', paused);
    assert.equal(reply.Status, 'Disable');
    assert.equal((await aliRecords(client, www))[0]?.Status, 'DISABLE');
    await until('paused', () => vendor.zone(zoneName).get(www, 'CNAME') === null);
    await client.request('UpdateDomainRecordRemark', { RecordId, Remark: '值班' });
    const info = await client.request<AliRecord>('DescribeDomainRecordInfo', { RecordId });
    assert.equal(info.Remark, '值班');
    await client.request('DeleteDomainRecord', { RecordId });
    assert.deepEqual(await aliRecords(client, www), []);
  });
});

test('Alidns takes one write of a domain at a time', async () => {
  await alidns(
    async (_vendor, client) => {
      const add = (RR: string) =>
        client.request('AddDomainRecord', { ...added, RR, Type: 'A', Value: '192.0.2.1', TTL: 60 });
      const results = await Promise.allSettled([add('a'), add('b')]);
      const refused = results.flatMap((r) => (r.status === 'rejected' ? [r.reason.code] : []));
      assert.deepEqual(refused, ['LastOperationNotFinished']);
      await add('c');
    },
    { changeMs: 60 },
  );
});

test('Alidns checks the signature of GET and POST, the key, the clock and the nonce', async () => {
  await alidns(
    async (vendor, client) => {
      const params = { DomainName: zoneName, KeyWord: `中文 !'()*~&=+%` };
      for (const method of ['GET', 'POST']) {
        await alidnsClient(vendor, aliKeys, method).request('DescribeDomainRecords', params);
        const tried = (keys: typeof aliKeys) =>
          aliRefusal(alidnsClient(vendor, keys, method).request('DescribeDomains', params));
        const wrong = tried({ ...aliKeys, accessKeySecret: 'other' });
        assert.equal(await wrong, '400 SignatureDoesNotMatch');
        const unknown = tried({ ...aliKeys, accessKeyId: 'LTAIOTHER' });
        assert.equal(await unknown, '404 InvalidAccessKeyId.NotFound');
      }
      const invented = new RPCClient({
        ...aliKeys,
        securityToken: 'none',
        endpoint: vendor.api,
        apiVersion: '2015-01-09',
        opts: { method: 'POST' },
      });
      assert.equal(
        await aliRefusal(invented.request('DescribeDomains', {})),
        '400 InvalidSecurityToken.MismatchWithAccessKey',
      );
      const late = { Timestamp: '2020-01-01T00:00:00Z' };
      const expired = aliRefusal(client.request('DescribeDomains', late));
      assert.equal(await expired, '400 InvalidTimeStamp.Expired');
      const same = { SignatureNonce: 'once' };
      await client.request('DescribeDomains', same);
      assert.equal(
        await aliRefusal(client.request('DescribeDomains', same)),
        '400 SignatureNonceUsed',
      );
      const denied = { ...added, RR: 'a', Type: 'A', Value: '192.0.2.1' };
      const forbidden = aliRefusal(client.request('AddDomainRecord', denied));
      assert.equal(await forbidden, '403 Forbidden.RAM');
      const bare = await fetch(`${vendor.api}/?Action=DescribeDomains`);
      assert.equal(bare.status, 400);
    },
    { deny: ['AddDomainRecord'] },
  );
});

test('Alidns throttles an action that is called more often than its quota', async () => {
  await alidns(
    async (_vendor, client) => {
      const bad = () => client.request('DeleteDomainRecord', { RecordId: '1' });
      const results = await Promise.allSettled(Array.from({ length: 200 }, bad));
      const codes = results.map((r) => (r.status === 'rejected' ? r.reason.code : 'accepted'));
      const throttled = codes.filter((code) => code === 'Throttling.User').length;
      assert.ok(throttled > 0 && throttled <= 140, `${throttled} throttled`);
      assert.ok(codes.every((c) => c === 'Throttling.User' || c === 'DomainRecordNotBelongToUser'));
    },
    { quotas: 'real' },
  );
});

// ---------------------------------------------------------------- what they have in common

/** One vendor seen through its SDK: the current CNAME, and a write of another. */
interface Seen {
  readonly vendor: LabVendor;
  read(timeoutMs?: number): Promise<string>;
  write(target: string): Promise<unknown>;
}

// ---------------------------------------------------------------- Google Cloud DNS

/** As a client without an SDK: a path below the zone, and what is posted there. */
type GoogleAsk = (path: string, body?: object, timeoutMs?: number) => Promise<object>;

const googleAccount = newGoogleAccount('detour-lab');

function google(body: (vendor: LabVendor, ask: GoogleAsk) => Promise<void>, options: object = {}) {
  const tokens = new GoogleTokens(googleAccount);
  const scope = 'https://www.googleapis.com/auth/ndev.clouddns.readwrite';
  const authorization = `Bearer ${tokens.issue(3600, [scope], true)}`;
  const account = { ...place, zones, credentials: { project: 'detour-lab', tokens } };
  return running(
    () => startGoogle({ ...account, ...options } as never),
    (vendor) =>
      body(vendor, async (path, change, timeoutMs = patienceMs) => {
        const base = `${vendor.api}/dns/v1/projects/detour-lab/managedZones`;
        const reply = await fetch(`${base}/${vendor.zoneId(zoneName)}${path}`, {
          method: change === undefined ? 'GET' : 'POST',
          headers: { authorization },
          body: change === undefined ? null : JSON.stringify(change),
          signal: AbortSignal.timeout(timeoutMs),
        });
        const said = (await reply.json()) as { error?: { errors: { reason: string }[] } };
        if (reply.ok) return said;
        throw new Error(`${reply.status} ${said.error?.errors[0]?.reason}`);
      }),
  );
}

function rrset(name: string, type: string, ttl: number, value: string) {
  return { name: `${name}.`, type, ttl, rrdatas: [value] };
}

const seeing: Readonly<Record<string, (body: (seen: Seen) => Promise<void>) => Promise<void>>> = {
  route53: (body) =>
    route53((vendor, client, id) => {
      const input = { HostedZoneId: id, StartRecordName: www, MaxItems: 1 };
      return body({
        vendor,
        async read(requestTimeout = patienceMs) {
          const command = new ListResourceRecordSetsCommand(input);
          const page = await client.send(command, { requestTimeout });
          return page.ResourceRecordSets?.[0]?.ResourceRecords?.[0]?.Value?.slice(0, -1) ?? '';
        },
        write: (target) =>
          change(client, id, {
            Action: 'UPSERT',
            ResourceRecordSet: set(www, 'CNAME', 60, `${target}.`),
          }),
      });
    }),
  cloudflare: (body) =>
    cloudflare(async (vendor, client, zone_id) => {
      const { id } = await cfRecord(client, zone_id, www, 'CNAME');
      await body({
        vendor,
        async read(timeout = patienceMs) {
          const record = await client.dns.records.get(id, { zone_id }, { timeout });
          return String(record.content);
        },
        write: (content) =>
          client.dns.records.edit(id, { zone_id, name: www, type: 'CNAME', ttl: 60, content }),
      });
    }),
  alidns: (body) =>
    alidns(async (vendor, client) => {
      const { RecordId } = (await aliRecords(client, www))[0]!;
      await body({
        vendor,
        async read(timeout = patienceMs) {
          return (await aliRecords(client, www, timeout))[0]?.Value ?? '';
        },
        write: (Value) =>
          client.request('UpdateDomainRecord', {
            RecordId,
            RR: 'www',
            Type: 'CNAME',
            TTL: 60,
            Value,
          }),
      });
    }),
  google: (body) =>
    google(async (vendor, ask) => {
      let now = 'hz.shop.example';
      await body({
        vendor,
        async read(timeout) {
          const page = await ask(`/rrsets?name=${www}.&type=CNAME`, undefined, timeout);
          const { rrsets } = page as { rrsets: { rrdatas: string[] }[] };
          return rrsets[0]?.rrdatas[0]?.slice(0, -1) ?? '';
        },
        write(target) {
          const deletions = [rrset(www, 'CNAME', 60, `${now}.`)];
          now = target;
          return ask('/changes', { deletions, additions: [rrset(www, 'CNAME', 60, `${now}.`)] });
        },
      });
    }),
};

/** How a fault looks to the SDK: a word of the error that each vendor's client gives. */
const looks: readonly [string, Readonly<Record<string, RegExp>>][] = [
  [
    'hang',
    {
      ...{ route53: /Timeout/, cloudflare: /APIConnectionTimeout/, alidns: /RequestTimeout/ },
      google: /TimeoutError/,
    },
  ],
  [
    'refuse',
    {
      ...{ route53: /ECONNREFUSED/, cloudflare: /ECONNREFUSED/, alidns: /ECONNREFUSED/ },
      google: /ECONNREFUSED/,
    },
  ],
  [
    'reset',
    {
      route53: /ECONNRESET|ECONNABORTED/,
      cloudflare: /ECONNRESET|UND_ERR_SOCKET/,
      alidns: /ECONNRESET/,
      google: /ECONNRESET|UND_ERR_SOCKET/,
    },
  ],
  [
    'error',
    {
      ...{ route53: /ServiceUnavailable/, cloudflare: /503/, alidns: /ServiceUnavailable/ },
      google: /503 backendError/,
    },
  ],
  ['html', { route53: /502/, cloudflare: /502/, alidns: /SyntaxError/, google: /SyntaxError/ }],
  [
    'throttle',
    {
      ...{ route53: /Throttling/, cloudflare: /429.*971/, alidns: /Throttling\.User/ },
      google: /403 rateLimitExceeded/,
    },
  ],
  [
    'auth',
    {
      route53: /InvalidClientTokenId/,
      cloudflare: /403.*10000/,
      alidns: /InvalidAccessKeyId\.NotFound/,
      google: /401 authError/,
    },
  ],
  [
    'block',
    {
      ...{ route53: /Throttling/, cloudflare: /429.*971/, alidns: /Throttling\.User/ },
      google: /429 rateLimitExceeded/,
    },
  ],
];

/** Everything that tells one failure from another, on one line. */
function shape(error: unknown): string {
  const parts: string[] = [];
  for (let at = error; at !== undefined && at !== null; at = (at as { cause?: unknown }).cause) {
    const { name, code, message, status, $metadata } = at as VendorError & { status?: number };
    const kind = Object(at).constructor?.name;
    parts.push([kind, name, code, status, $metadata?.httpStatusCode, message].join(' '));
  }
  return parts.join(' < ').replaceAll('\n', ' ');
}

for (const [type, see] of Object.entries(seeing)) {
  test(`${type}: every fault shows as the SDK would see it, and heals`, async () => {
    await see(async ({ vendor, read }) => {
      for (const [how, look] of looks) {
        vendor.fault(how);
        // The first call may meet the end of a connection that the SDK has kept.
        if (how === 'refuse') await read().catch(() => '');
        let seen = 'no failure';
        try {
          await read(how === 'hang' ? hangMs : patienceMs);
        } catch (error) {
          seen = shape(error);
        }
        assert.match(seen, look[type]!, how);
        vendor.fault(null);
        // The port is taken again in a moment, and a kept connection may have been cut.
        let value = '';
        await until(`${how} healed`, async () => {
          value = await read().catch(() => '');
          return value !== '';
        });
        assert.equal(value, 'hz.shop.example', how);
      }
      assert.throws(() => vendor.fault('nonsense'), /no fault nonsense; there is hang, refuse/);
    });
  });

  test(`${type}: a lost reply is applied, once, and only a write uses it up`, async () => {
    await see(async ({ vendor, read, write }) => {
      vendor.fault('lost-reply');
      assert.equal(await read(), 'hz.shop.example');
      await assert.rejects(write('nrt.shop.example'));
      assert.equal(vendor.calls.at(-1)?.status, 0);
      assert.equal(await read().catch(() => read()), 'nrt.shop.example');
      await write('third.example');
      assert.equal(await read(), 'third.example');
    });
  });

  test(`${type}: a stale read gives the state before the last write`, async () => {
    await see(async ({ vendor, read, write }) => {
      await write('nrt.shop.example');
      vendor.fault('stale-read');
      assert.equal(await read(), 'hz.shop.example');
      await write('third.example');
      assert.equal(await read(), 'nrt.shop.example');
      vendor.fault(null);
      assert.equal(await read(), 'third.example');
    });
  });

  test(`${type}: one name server lags until it is healed`, async () => {
    await see(async ({ vendor, write }) => {
      vendor.fault('dns-lag');
      await write('nrt.shop.example');
      await until('the other', async () => (await cnames(vendor))[0] === 'nrt.shop.example');
      assert.deepEqual(await cnames(vendor), ['nrt.shop.example', 'hz.shop.example']);
      vendor.fault(null);
      assert.deepEqual(await cnames(vendor), ['nrt.shop.example', 'nrt.shop.example']);
    });
  });

  test(`${type}: a person's edit shows in the API and in DNS`, async () => {
    await see(async ({ vendor, read }) => {
      vendor.edit(www, 'cname', 'human.example.', 120);
      assert.equal(await read(), 'human.example');
      await until('DNS', async () => (await cnames(vendor))[0] === 'human.example');
      assert.equal(vendor.zone(zoneName).get(www, 'CNAME')?.ttl, 120);
      vendor.edit(marker, 'TXT', null);
      await until('gone', () => vendor.zone(zoneName).get(marker, 'TXT') === null);
      vendor.edit(`new.${zoneName}`, 'MX', '10 mx.example.', 60);
      await until('MX', () => vendor.zone(zoneName).get(`new.${zoneName}`, 'MX') !== null);
      const values = vendor.zone(zoneName).get(`new.${zoneName}`, 'MX')?.values;
      assert.deepEqual(values, ['10 mx.example.']);
      assert.throws(() => vendor.edit('www.example.org', 'A', '192.0.2.1'), /no zone in the lab/);
      assert.throws(() => vendor.edit(www, 'CNAME', 'not a name'), /no wire form/);
      assert.equal(await read(), 'human.example');
    });
  });

  test(`${type}: a fault may be for some operations and some times only`, async () => {
    await see(async ({ vendor, read, write }) => {
      await read();
      const operation = vendor.calls.at(-1)!.operation;
      vendor.fault('error', { operations: [operation], times: 1 });
      await write('nrt.shop.example');
      await assert.rejects(read());
      assert.equal(await read(), 'nrt.shop.example');
    });
  });

  test(`${type}: garbage and oversized requests are refused and never stop it`, async () => {
    await see(async ({ vendor, read }) => {
      const send = async (path: string, init: RequestInit) => {
        const reply = await fetch(`${new URL(vendor.api).origin}${path}`, init);
        await reply.arrayBuffer();
        return reply.status;
      };
      const bodies = ['', '<a', '{', '%', 'Action=%', '<a>&bad;</a>', '\0'];
      for (const path of [
        '/',
        '/%',
        '/2013-04-01/hostedzone/%2F/rrset?name=%',
        '/client/v4/zones/%',
        '/dns/v1/projects/%/managedZones/%/changes',
      ]) {
        for (const body of bodies) {
          const status = await send(path, { method: 'POST', body });
          assert.ok(status >= 400 && status < 500, `${path} ${body}: ${status}`);
        }
      }
      const big = { method: 'POST', body: 'x'.repeat((1 << 20) + 1) };
      assert.equal(await send('/', big), 413);
      assert.equal(await read(), 'hz.shop.example');
      assert.ok(vendor.calls.every((call) => /^[A-Za-z0-9.]+$/.test(call.operation)));
    });
  });
}

/** Writes any record, valid or not; resolves true when the vendor took it. */
type Writer = (type: string, name: string, value: string, ttl: number) => Promise<boolean>;

const writers: Readonly<
  Record<string, (body: (vendor: LabVendor, write: Writer) => Promise<void>) => Promise<void>>
> = {
  route53: (body) =>
    route53((vendor, client, id) =>
      body(vendor, (type, name, value, ttl) =>
        change(client, id, {
          Action: 'UPSERT',
          ResourceRecordSet: set(name === '@' ? zoneName : `${name}.${zoneName}`, type, ttl, value),
        }).then(
          () => true,
          () => false,
        ),
      ),
    ),
  cloudflare: (body) =>
    cloudflare((vendor, client, zone_id) =>
      body(vendor, (type, name, content, ttl) =>
        client.dns.records
          .create({ zone_id, type, name, content, ttl, priority: 10 } as never)
          .then(
            () => true,
            () => false,
          ),
      ),
    ),
  alidns: (body) =>
    alidns(
      (vendor, client) =>
        body(vendor, (Type, RR, Value, TTL) =>
          client.request('AddDomainRecord', { ...added, Type, RR, Value, TTL, Priority: 10 }).then(
            () => true,
            () => false,
          ),
        ),
      { changeMs: 0, ttlMin: 1 },
    ),
  google: (body) =>
    google((vendor, ask) =>
      body(vendor, (type, name, value, ttl) => {
        const owner = name === '@' ? zoneName : `${name}.${zoneName}`;
        return ask('/changes', { additions: [rrset(owner, type, ttl, value)] }).then(
          () => true,
          () => false,
        );
      }),
    ),
};

for (const [type, open] of Object.entries(writers)) {
  test(`${type}: whatever it accepts its name servers can give`, async () => {
    const label = fc.constantFrom(
      'a',
      '*',
      '*.b',
      '@',
      '_x._y',
      'A',
      'a b',
      'é',
      '*c',
      '-',
      'l'.repeat(64),
    );
    const value = fc.oneof(
      fc.constantFrom(
        '192.0.2.1',
        '::1',
        'fe80::1%lo',
        'x.example',
        'X.example.',
        '.',
        '*.x',
        'a..b',
      ),
      fc.constantFrom(
        '"a" "b"',
        '"',
        '\\',
        '"\\"',
        'x'.repeat(300),
        `"${'y'.repeat(256)}"`,
        ' ',
        '0 issue "ca"',
      ),
      fc.constantFrom('10 mx.example.', '1 2 443 srv.example.', '1 2 99999 srv.example.'),
      fc.string({ maxLength: 20 }),
    );
    await open(async (vendor, write) => {
      let accepted = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom('A', 'AAAA', 'CNAME', 'TXT', 'MX', 'NS', 'SRV', 'CAA', 'PTR'),
          label,
          value,
          fc.constantFrom(0, 1, 60, 600, 86_400, 86_401, -1, 2 ** 31),
          async (kind, name, text, ttl) => {
            if (await write(kind, name, text, ttl)) accepted += 1;
          },
        ),
        { numRuns: 150, seed: 20_261_123 },
      );
      assert.ok(accepted > 0, 'some were accepted');
      // A record that cannot be served would throw when it is published; the last one is there.
      vendor.edit(`last.${zoneName}`, 'A', '192.0.2.9', 60);
      await until('the last', () => vendor.zone(zoneName).get(`last.${zoneName}`, 'A') !== null);
    });
  });
}

test('a refusal that comes and goes quickly ends as it was last asked for', async () => {
  await alidns(async (vendor, client) => {
    for (const how of ['refuse', null, 'refuse', null]) vendor.fault(how);
    await until('listening', () =>
      aliRecords(client, www).then(
        () => true,
        () => false,
      ),
    );
    for (const how of ['refuse', null, 'refuse']) vendor.fault(how);
    await until('refusing', () =>
      aliRecords(client, www).then(
        () => false,
        (error: VendorError) => error.code === 'ECONNREFUSED',
      ),
    );
    vendor.fault(null);
  });
});

test('a healed block leaves nothing behind, real quotas or not', async () => {
  await cloudflare(
    async (vendor, client, zone_id) => {
      vendor.fault('block');
      assert.equal(await refusal(client.zones.get({ zone_id })), '429 971');
      vendor.fault(null);
      assert.equal((await client.zones.get({ zone_id })).id, zone_id);
    },
    { quotas: 'real' },
  );
});

test('healing one lagging name server does not heal another that was broken by hand', async () => {
  await alidns(async (vendor) => {
    vendor.servers[0]!.fault = 'servfail';
    vendor.fault('dns-lag', { server: 1 });
    assert.deepEqual(
      vendor.servers.map((s) => s.fault),
      ['servfail', 'stale'],
    );
    vendor.fault(null);
    assert.deepEqual(
      vendor.servers.map((s) => s.fault),
      ['servfail', null],
    );
    assert.throws(() => vendor.fault('dns-lag', { server: 2 }), /no name server 2; there are 2/);
  });
});

test('the log of calls is bounded', async () => {
  await alidns(async (vendor) => {
    await pipelined(vendor, '/', 'none', 10_050);
    assert.equal(vendor.calls.length, 10_000);
    assert.deepEqual(Object.keys(vendor.calls[0]!), ['at', 'operation', 'status']);
  });
});

test('a vendor that cannot have its port names it and leaves nothing open', async () => {
  await alidns(async (vendor) => {
    const apiPort = Number(new URL(vendor.api).port);
    const options = { ...place, zones, credentials: aliKeys, apiPort };
    await assert.rejects(startAlidns(options), new RegExp(`127.0.0.1:${apiPort}: EADDRINUSE`));
    assert.throws(() => vendor.zone('nope.example'), /no zone nope.example in the lab; there is/);
  });
});
