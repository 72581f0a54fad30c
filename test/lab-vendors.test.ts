// The lab's vendors, driven by the vendors' own SDKs: what they accept, refuse, limit and break.

import assert from 'node:assert/strict';
import { Resolver } from 'node:dns/promises';
import { test } from 'node:test';
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
import { startCloudflare } from '../src/lab/cloudflare.ts';
import { startRoute53 } from '../src/lab/route53.ts';
import type { LabVendor, VendorOptions, ZoneSpec } from '../src/lab/vendor.ts';

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

/** Waits until a condition holds, at most two seconds. */
async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 2000;
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

function resolverFor(server: string): Resolver {
  const resolver = new Resolver({ timeout: 500, tries: 1 });
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
    region: 'eu-west-1',
    credentials: awsKeys,
    maxAttempts: 1,
    requestHandler: { requestTimeout: 300, throwOnRequestTimeout: true },
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
      const results = await Promise.allSettled(Array.from({ length: 80 }, get));
      const refused = results.flatMap((r) => (r.status === 'rejected' ? [r.reason] : []));
      assert.ok(refused.length > 0 && refused.length <= 30, `${refused.length} refused`);
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
    timeout: 300,
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
      const ask = () =>
        fetch(`${vendor.api}/zones/${zone_id}`, {
          headers: { authorization: `Bearer ${apiToken}` },
        });
      for (let done = 0; done < 1200; done += 100) {
        const replies = await Promise.all(Array.from({ length: 100 }, ask));
        for (const reply of replies) await reply.arrayBuffer();
        assert.ok(
          replies.every((reply) => reply.status === 200),
          `within ${done + 100}`,
        );
      }
      const error = (await failure(client.zones.get({ zone_id }))) as CloudflareError;
      assert.equal(error.status, 429);
      const seconds = Number(error.headers?.get('retry-after'));
      assert.ok(seconds > 295 && seconds <= 300, `retry-after ${seconds}`);
      assert.equal(await refusal(client.user.tokens.verify()), '429 971');
    },
    { quotas: 'real' },
  );
});
