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
