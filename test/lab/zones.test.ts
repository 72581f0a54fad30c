// Several zones at one account of each lab vendor, driven by the vendors' own SDKs: how they are
// listed, what each sickness of one looks like on the wire, and that the others feel nothing of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import RPCClient from '@alicloud/pop-core';
import {
  ChangeResourceRecordSetsCommand,
  GetHostedZoneCommand,
  ListHostedZonesByNameCommand,
  type ListHostedZonesByNameCommandOutput,
  ListHostedZonesCommand,
  type ListHostedZonesCommandOutput,
  ListResourceRecordSetsCommand,
  Route53Client,
} from '@aws-sdk/client-route-53';
import Cloudflare from 'cloudflare';
import { ask } from '../../src/dns/ask.ts';
import { parseHostPort } from '../../src/kit/schema.ts';
import { startAlidns } from '../../src/lab/vendors/alidns.ts';
import { startCloudflare } from '../../src/lab/vendors/cloudflare.ts';
import { startRoute53 } from '../../src/lab/vendors/route53.ts';
import { type LabVendor, type ZoneSpec, zoneFaults } from '../../src/lab/vendors/vendor.ts';

const well = 'gslb.example.net';
const sick = 'other.example';
const first = 'hz.shop.example';

function zoneOf(name: string): ZoneSpec {
  const www = { name: `www.${name}`, type: 'CNAME', value: `${first}.`, ttl: 600 };
  return { name, records: [www] };
}

/** More zones than any vendor gives on one page. */
const many = Array.from({ length: 130 }, (_, i) => `z${String(i).padStart(3, '0')}.example`);

const place = {
  address: '127.0.0.1',
  dnsAddresses: ['127.0.0.1'],
  dnsPort: 0,
  quotas: 'off' as const,
  propagationMs: 5,
  changeMs: 5,
  zones: [zoneOf(well), zoneOf(sick)],
};

const patienceMs = 10_000;
const hangMs = 300;

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 10_000;
  while (!(await condition())) {
    assert.ok(performance.now() < end, `in time: ${what}`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

/** One account through its SDK. Refusals are texts: `STATUS CODE`, `no answer` in time, or `cut`. */
interface Account {
  readonly vendor: LabVendor;
  /** Names of its zones, page after page, as the vendor lists them. */
  list(): Promise<readonly string[]>;
  /** The CNAME of `www` in a zone, or the refusal. */
  read(zone: string, timeoutMs?: number): Promise<string>;
  /** Points `www` elsewhere: `done`, or the refusal. */
  write(zone: string, target: string): Promise<string>;
}

interface VendorError extends Error {
  readonly code?: string;
  readonly status?: number;
  readonly errors?: readonly { readonly code: number }[];
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly entry?: { readonly response: { readonly statusCode: number } };
}

async function told(work: Promise<string>): Promise<string> {
  try {
    return await work;
  } catch (error) {
    const { name, code, message, status, errors, $metadata, entry } = error as VendorError;
    const http = status ?? $metadata?.httpStatusCode ?? entry?.response.statusCode;
    if (http !== undefined) return `${http} ${errors?.[0]?.code ?? code ?? name}`;
    const isLate = code !== 'ECONNRESET' && /time(d )?out/i.test(`${name} ${message}`);
    return isLate ? 'no answer' : 'cut';
  }
}

type Run = (
  body: (account: Account) => Promise<void>,
  more?: { readonly changeMs: number },
) => Promise<void>;

const aws: Run = async (body, more) => {
  const credentials = { accessKeyId: 'AKIDLAB', secretAccessKey: 'lab-secret' };
  const vendor = await startRoute53({ ...place, credentials, ...more });
  const client = new Route53Client({
    endpoint: vendor.api,
    region: 'us-east-1',
    credentials,
    maxAttempts: 1,
    requestHandler: { requestTimeout: patienceMs, throwOnRequestTimeout: true },
  });
  // An id once found is kept, as a program would.
  const ids = new Map([well, sick].map((zone) => [zone, vendor.zoneId(zone)]));
  const idOf = (zone: string) => ids.get(zone) ?? vendor.zoneId(zone);
  try {
    await body({
      vendor,
      async list() {
        const names: string[] = [];
        let next: { DNSName?: string; HostedZoneId?: string } | null = {};
        while (next !== null) {
          const page: ListHostedZonesByNameCommandOutput = await client.send(
            new ListHostedZonesByNameCommand(next),
          );
          names.push(...(page.HostedZones ?? []).map((z) => z.Name!.slice(0, -1)));
          const { NextDNSName: DNSName, NextHostedZoneId: HostedZoneId } = page;
          next = page.IsTruncated ? { DNSName: DNSName!, HostedZoneId: HostedZoneId! } : null;
        }
        return names;
      },
      read: (zone, requestTimeout = patienceMs) => {
        const at = { StartRecordName: `www.${zone}`, MaxItems: 1 };
        const command = new ListResourceRecordSetsCommand({ HostedZoneId: idOf(zone), ...at });
        const page = client.send(command, { requestTimeout });
        return told(
          page.then((p) => p.ResourceRecordSets![0]!.ResourceRecords![0]!.Value!.slice(0, -1)),
        );
      },
      write: (zone, target) => {
        const ResourceRecords = [{ Value: `${target}.` }];
        const set = { Name: `www.${zone}`, Type: 'CNAME' as const, TTL: 600, ResourceRecords };
        const Changes = [{ Action: 'UPSERT' as const, ResourceRecordSet: set }];
        const input = { HostedZoneId: idOf(zone), ChangeBatch: { Changes } };
        const made = client.send(new ChangeResourceRecordSetsCommand(input));
        return told(made.then(() => 'done'));
      },
    });
  } finally {
    client.destroy();
    await vendor.close();
  }
};

const cloudflareToken = 'lab_0123456789abcdefghijklmnopqrstuvwxyz0123';

function cloudflareClient(vendor: LabVendor): Cloudflare {
  const baseURL = vendor.api;
  const apiToken = cloudflareToken;
  return new Cloudflare({ apiToken, baseURL, maxRetries: 0, timeout: patienceMs, logLevel: 'off' });
}

const cloudflare: Run = async (body, more) => {
  const vendor = await startCloudflare({
    ...place,
    credentials: { apiToken: cloudflareToken },
    ...more,
  });
  const client = cloudflareClient(vendor);
  const ids = new Map<string, { zone_id: string; id: string }>();
  for (const zone of [well, sick]) {
    const zone_id = vendor.zoneId(zone);
    const page = await client.dns.records.list({ zone_id, name: { exact: `www.${zone}` } });
    ids.set(zone, { zone_id, id: page.result[0]!.id });
  }
  try {
    await body({
      vendor,
      async list() {
        const names: string[] = [];
        for await (const zone of client.zones.list()) names.push(zone.name);
        return names;
      },
      read: (zone, timeout = patienceMs) => {
        const { zone_id, id } = ids.get(zone)!;
        const record = client.dns.records.get(id, { zone_id }, { timeout });
        return told(record.then(({ content }) => String(content)));
      },
      write: (zone, content) => {
        const { zone_id, id } = ids.get(zone)!;
        const fields = { name: `www.${zone}`, type: 'CNAME' as const, ttl: 600, content };
        const made = client.dns.records.edit(id, { zone_id, ...fields });
        return told(made.then(() => 'done'));
      },
    });
  } finally {
    await vendor.close();
  }
};

const aliKeys = { accessKeyId: 'LTAILAB', accessKeySecret: 'lab-secret' };

interface AliDomains {
  readonly TotalCount: number;
  readonly Domains: { readonly Domain: readonly { readonly DomainName: string }[] };
}

interface AliRecords {
  readonly DomainRecords: {
    readonly Record: readonly { readonly RecordId: string; readonly Value: string }[];
  };
}

const alidns: Run = async (body, more) => {
  const vendor = await startAlidns({ ...place, credentials: aliKeys, ...more });
  const client = new RPCClient({
    ...aliKeys,
    endpoint: vendor.api,
    apiVersion: '2015-01-09',
    opts: { method: 'POST', timeout: patienceMs },
  });
  const look = (zone: string, timeout = patienceMs) => {
    const params = { DomainName: zone, SubDomain: `www.${zone}` };
    return client.request<AliRecords>('DescribeSubDomainRecords', params, { timeout });
  };
  const ids = new Map<string, string>();
  for (const zone of [well, sick]) {
    ids.set(zone, (await look(zone)).DomainRecords.Record[0]!.RecordId);
  }
  try {
    await body({
      vendor,
      async list() {
        const names: string[] = [];
        for (let PageNumber = 1; ; PageNumber++) {
          const params = { PageNumber, PageSize: 100 };
          const page = await client.request<AliDomains>('DescribeDomains', params);
          names.push(...page.Domains.Domain.map((d) => d.DomainName));
          if (page.Domains.Domain.length === 0) return names;
        }
      },
      read: (zone, timeout) =>
        told(look(zone, timeout).then((page) => page.DomainRecords.Record[0]!.Value)),
      write: (zone, Value) => {
        const fields = { RR: 'www', Type: 'CNAME', TTL: 600, Value };
        const params = { RecordId: ids.get(zone)!, ...fields };
        return told(client.request('UpdateDomainRecord', params).then(() => 'done'));
      },
    });
  } finally {
    await vendor.close();
  }
};

const runs: Readonly<Record<string, Run>> = { route53: aws, cloudflare, alidns };

/** What a sick zone looks like: to a reader, to a writer, in the list of zones, in DNS. */
interface Look {
  readonly read: string;
  readonly write: string;
  readonly isListed: boolean;
  readonly dns: 'NOERROR' | 'REFUSED';
}

const fine = { read: first, write: 'done', isListed: true, dns: 'NOERROR' } as const;
const both = (refusal: string) => ({ ...fine, read: refusal, write: refusal });

const looks: Readonly<Record<string, Readonly<Record<(typeof zoneFaults)[number], Look>>>> = {
  route53: {
    deleted: { ...both('404 NoSuchHostedZone'), isListed: false, dns: 'REFUSED' },
    paused: { ...fine, write: '400 InvalidInput' },
    moved: { ...both('403 AccessDenied'), isListed: false, dns: 'REFUSED' },
    denied: both('403 AccessDenied'),
    hang: both('no answer'),
    error: both('503 ServiceUnavailable'),
    throttle: both('400 Throttling'),
  },
  cloudflare: {
    deleted: { ...both('404 1001'), isListed: false, dns: 'REFUSED' },
    // It says that it is paused or moved, and works as before.
    paused: fine,
    moved: fine,
    denied: { ...both('403 10000'), isListed: false },
    hang: both('no answer'),
    error: both('503 7010'),
    throttle: both('429 971'),
  },
  alidns: {
    deleted: {
      read: '400 InvalidDomainName.NoExist',
      write: '400 DomainRecordNotBelongToUser',
      isListed: false,
      dns: 'REFUSED',
    },
    paused: { ...fine, write: '400 DomainForbidden' },
    moved: {
      read: '400 IncorrectDomainUser',
      write: '400 DomainRecordNotBelongToUser',
      isListed: false,
      dns: 'NOERROR',
    },
    denied: both('403 Forbidden.RAM'),
    hang: both('no answer'),
    error: both('503 ServiceUnavailable'),
    throttle: both('400 Throttling.User'),
  },
};

/** The code that the vendor's name server answers with for `www` of a zone. */
async function rcode(vendor: LabVendor, zone: string): Promise<string> {
  const { host, port } = parseHostPort(vendor.dns[0]!, 53)!;
  const question = { name: `www.${zone}.`, type: 'CNAME' as const };
  const got = await ask({ address: host, port }, question, { timeoutMs: 2000 });
  assert.ok(got.kind === 'reply', JSON.stringify(got));
  return got.message.rcode;
}

for (const [type, run] of Object.entries(runs)) {
  test(`${type}: zones have ids of the vendor's form that say nothing of their names`, async () => {
    const form = {
      route53: /^Z[0-9A-Z]{20}$/,
      cloudflare: /^[0-9a-f]{32}$/,
      alidns: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
    }[type]!;
    const seen: string[] = [];
    for (let i = 0; i < 2; i++) {
      await run(async ({ vendor }) => {
        for (const zone of [well, sick]) seen.push(vendor.zoneId(zone));
        vendor.removeZone(sick);
        assert.throws(() => vendor.zoneId(sick), /no zone other\.example in the lab/);
        seen.push(vendor.addZone(zoneOf(sick)));
        assert.equal(vendor.zoneId(sick), seen.at(-1));
      });
    }
    assert.ok(seen.every((id) => form.test(id)));
    assert.equal(new Set(seen).size, 6, seen.join(' '));
  });

  test(`${type}: more zones than a page are listed, added and removed one by one`, async () => {
    await run(async ({ vendor, list, read }) => {
      for (const name of many) vendor.addZone(zoneOf(name));
      assert.deepEqual([...(await list())].sort(), [well, sick, ...many].sort());
      assert.equal(await rcode(vendor, many[77]!), 'NOERROR');
      vendor.removeZone(many[77]!);
      assert.equal(await rcode(vendor, many[77]!), 'REFUSED');
      assert.ok(!(await list()).includes(many[77]!));
      assert.equal((await list()).length, 131);
      assert.equal(await read(sick), first);
      assert.throws(() => vendor.addZone(zoneOf(well)), /there is a zone gslb\.example\.net/);
      const wrong = { ...zoneOf('new.example'), records: [{ ...zoneOf(well).records[0]! }] };
      assert.throws(() => vendor.addZone(wrong), /outside the zone/);
      assert.ok(!(await list()).includes('new.example'));
      assert.equal(vendor.zones.length, 131);
    });
  });

  for (const how of zoneFaults) {
    test(`${type}: one zone is ${how}, the other answers and takes changes`, async () => {
      await run(async ({ vendor, list, read, write }) => {
        const look = looks[type]![how];
        const [sickId, wellId] = [vendor.zoneId(sick), vendor.zoneId(well)];
        vendor.zoneFault(sick, how);
        assert.deepEqual([vendor.brokenZone(sick), vendor.brokenZone(well)], [how, null]);
        assert.equal(await read(sick, how === 'hang' ? hangMs : patienceMs), look.read);
        assert.equal(await read(well), first);
        const pending = write(sick, 'changed.example');
        assert.equal(await write(well, 'nrt.shop.example'), 'done');
        assert.equal(await read(well), 'nrt.shop.example');
        const hung = () => vendor.calls.filter(({ status }) => status === 0).length;
        if (how === 'hang') await until('both hang', async () => hung() === 2);
        else assert.equal(await pending, look.write);
        assert.equal((await list()).includes(sick), look.isListed);
        assert.ok((await list()).includes(well));
        await until('DNS', async () => (await rcode(vendor, sick)) === look.dns);
        assert.equal(await rcode(vendor, well), 'NOERROR');

        vendor.zoneFault(sick, null);
        // Healing cuts what hung, and brings what was deleted back under another id.
        if (how === 'hang') assert.equal(await pending, 'cut');
        assert.equal(vendor.brokenZone(sick), null);
        assert.equal(vendor.zoneId(sick) === sickId, how !== 'deleted');
        assert.equal(vendor.zoneId(well), wellId);
        assert.deepEqual([...(await list())].sort(), [well, sick]);
        await until('DNS again', async () => (await rcode(vendor, sick)) === 'NOERROR');
        if (how === 'deleted') return;
        const now = look.write === 'done' ? 'changed.example' : first;
        assert.equal(await read(sick), now);
        assert.equal(await write(sick, 'again.example'), 'done');
      });
    });
  }

  test(`${type}: a fault of a zone may be for some operations alone`, async () => {
    await run(async ({ vendor, read, write }) => {
      await write(sick, 'changed.example');
      const { operation } = vendor.calls.at(-1)!;
      vendor.zoneFault(sick, 'denied', { operations: [operation] });
      assert.equal(await write(sick, 'again.example'), looks[type]!.denied.write);
      assert.equal(await read(sick), 'changed.example');
      vendor.zoneFault(sick, 'error', { operations: [operation] });
      assert.equal(await write(sick, 'again.example'), looks[type]!.error.write);
      assert.equal(await read(sick), 'changed.example');
      assert.throws(() => vendor.zoneFault(sick, 'melt'), /no zone breaks like melt; there is del/);
      assert.throws(() => vendor.zoneFault('no.example', 'hang'), /there is gslb\.example\.net\./);
      assert.equal(vendor.brokenZone(sick), 'error', 'a wrong word changes nothing');
    });
  });

  test(`${type}: what is set at a zone outlives the fault above it`, async () => {
    await run(async ({ vendor, read }) => {
      const look = looks[type]!;
      vendor.setZone(sick, { denied: true });
      assert.equal(await read(sick), look.denied.read);
      vendor.zoneFault(sick, 'throttle');
      assert.equal(await read(sick), look.throttle.read);
      vendor.zoneFault(sick, 'paused');
      vendor.zoneFault(sick, null);
      assert.equal(await read(sick), look.denied.read);
      vendor.setZone(sick, { denied: [] });
      assert.equal(await read(sick), first);

      vendor.zoneFault(sick, 'deleted');
      assert.throws(() => vendor.zone(sick), /zone other\.example is deleted/);
      assert.throws(() => vendor.edit(`www.${sick}`, 'CNAME', 'a.example.'), /no zone in the lab/);
      assert.deepEqual(vendor.zones, [`${well}.`, `${sick}.`]);
      vendor.removeZone(sick);
      assert.deepEqual(vendor.zones, [`${well}.`]);
      assert.throws(() => vendor.zoneFault(sick, null), /there is gslb\.example\.net\./);
    });
  });
}

for (const [type, run, busy] of [
  ['route53', aws, '400 PriorRequestNotComplete'],
  ['alidns', alidns, '400 LastOperationNotFinished'],
] as const) {
  test(`${type}: a change under way in a zone that is deleted is not made`, async () => {
    const body = async ({ vendor, write }: Account) => {
      const writes = [write(sick, 'changed.example'), write(sick, 'again.example')];
      // Of two writers one is told to wait, so the other one is under way.
      assert.equal(await Promise.race(writes), busy);
      vendor.zoneFault(sick, 'deleted');
      const told = await Promise.all(writes);
      assert.deepEqual(told.sort(), [busy, looks[type]!.deleted.read].sort());
      vendor.zoneFault(sick, null);
      const standing = vendor.zone(sick).get(`www.${sick}`, 'CNAME');
      assert.deepEqual(standing?.values, [`${first}.`]);
    };
    await run(body, { changeMs: 1000 });
  });
}

test('Route 53 gives at most a hundred zones at once, and where the next ones begin', async () => {
  const credentials = { accessKeyId: 'AKIDLAB', secretAccessKey: 'lab-secret' };
  const vendor = await startRoute53({ ...place, credentials, zones: many.map(zoneOf) });
  const region = 'us-east-1';
  const client = new Route53Client({ endpoint: vendor.api, region, credentials, maxAttempts: 1 });
  try {
    for (const MaxItems of [undefined, 100, 500]) {
      const page = await client.send(new ListHostedZonesByNameCommand({ MaxItems }));
      assert.equal(page.HostedZones?.length, 100);
      assert.deepEqual(
        [page.MaxItems, page.IsTruncated, page.NextDNSName, page.NextHostedZoneId],
        [100, true, `${many[100]}.`, vendor.zoneId(many[100]!)],
      );
    }
    const from = { DNSName: many[128]!, MaxItems: 100 };
    const last = await client.send(new ListHostedZonesByNameCommand(from));
    assert.equal(last.IsTruncated, false);
    assert.deepEqual(
      last.HostedZones?.map((z) => z.Name),
      [`${many[128]}.`, `${many[129]}.`],
    );
    const ids: string[] = [];
    let Marker: string | undefined;
    do {
      const page: ListHostedZonesCommandOutput = await client.send(
        new ListHostedZonesCommand({ Marker, MaxItems: 60 }),
      );
      ids.push(...(page.HostedZones ?? []).map((z) => z.Id!));
      Marker = page.NextMarker;
    } while (Marker !== undefined);
    assert.equal(new Set(ids).size, 130);
    vendor.zoneFault(many[3]!, 'paused');
    const Id = vendor.zoneId(many[3]!);
    const { HostedZone } = await client.send(new GetHostedZoneCommand({ Id }));
    assert.equal(HostedZone?.Features?.AcceleratedRecoveryStatus, 'ENABLING_HOSTED_ZONE_LOCKED');
  } finally {
    client.destroy();
    await vendor.close();
  }
});

test('Cloudflare says of a zone what it is, and finds it by its name', async () => {
  const proxied = {
    name: `edge.${sick}`,
    type: 'CNAME',
    value: `${first}.`,
    ttl: 300,
    extra: { proxied: true },
  };
  const zones = [zoneOf(well), { ...zoneOf(sick), records: [proxied] }, ...many.map(zoneOf)];
  const credentials = { apiToken: cloudflareToken };
  const vendor = await startCloudflare({ ...place, credentials, zones });
  const client = cloudflareClient(vendor);
  const served = () => vendor.zone(sick).get(`edge.${sick}`, 'CNAME')?.values[0];
  const find = async (name: string) => {
    const { result } = await client.zones.list({ name });
    return result.map((z) => [z.name, z.status, z.paused]);
  };
  try {
    const page = await client.zones.list({ page: 3, per_page: 50 });
    assert.deepEqual([page.result.length, page.result_info?.page], [32, 3]);
    assert.deepEqual(await find(sick), [[sick, 'active', false]]);
    assert.equal(served(), undefined, 'the edge answers in its place');
    vendor.zoneFault(sick, 'paused');
    assert.deepEqual(await find(sick), [[sick, 'active', true]]);
    await until('DNS alone is served', async () => served() === `${first}.`);
    vendor.zoneFault(sick, 'moved');
    assert.deepEqual(await find(sick), [[sick, 'moved', false]]);
    await until('the edge is back', async () => served() === undefined);
    vendor.setZone(sick, { status: 'pending' });
    assert.deepEqual(await find(sick), [[sick, 'moved', false]], 'the fault is above the setting');
    vendor.zoneFault(sick, 'denied');
    assert.deepEqual(await find(sick), []);
    const zone_id = vendor.zoneId(sick);
    assert.equal(await told(client.zones.get({ zone_id }).then((z) => z.name)), '403 9109');
    vendor.zoneFault(sick, null);
    assert.deepEqual(await find(sick), [[sick, 'pending', false]]);
  } finally {
    await vendor.close();
  }
});

test('Alidns lists its domains in pages and by a word, each with an id of its own', async () => {
  const zones = [zoneOf(well), ...many.map(zoneOf)];
  const vendor = await startAlidns({ ...place, credentials: aliKeys, zones });
  const client = new RPCClient({
    ...aliKeys,
    endpoint: vendor.api,
    apiVersion: '2015-01-09',
    opts: { method: 'POST', timeout: patienceMs },
  });
  const list = (params: object) => client.request<AliDomains>('DescribeDomains', params);
  try {
    const usual = await list({});
    assert.deepEqual([usual.TotalCount, usual.Domains.Domain.length], [131, 20]);
    const second = await list({ PageNumber: 2, PageSize: 100 });
    assert.equal(second.Domains.Domain.length, 31);
    assert.equal(await told(list({ PageSize: 101 }).then(() => 'done')), '400 InvalidPageSize');
    const exact = await list({ KeyWord: well, SearchMode: 'EXACT' });
    assert.equal(exact.TotalCount, 1);
    const info = await client.request<{ DomainId: string }>('DescribeDomainInfo', {
      DomainName: well,
    });
    assert.equal(info.DomainId, vendor.zoneId(well));
  } finally {
    await vendor.close();
  }
});
