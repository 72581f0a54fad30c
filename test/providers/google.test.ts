// What is Google's own in its adapter: the three faces of a change that came too late, that a change is
// whole, its limits, pages, zones of one name, and that `done` is not taken for served.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { google } from '../../providers/google.ts';
import { formatMarker, markerName } from '../../src/core/marker.ts';
import type { Change, Name, Seen } from '../../src/core/model.ts';
import type { Provider } from '../../src/kit/extend.ts';
import { startGoogle } from '../../src/lab/vendors/google.ts';
import {
  GoogleTokens,
  googleKeyFile,
  newGoogleAccount,
} from '../../src/lab/vendors/google-tokens.ts';
import type { LabRecord, LabVendor, VendorOptions } from '../../src/lab/vendors/vendor.ts';
import { marker, markerText } from '../parts/answers.ts';
import { until } from '../parts/program.ts';

const noSignal = new AbortController().signal;
const zone: Name = 'fo.test.';
const project = 'detour-tests';
const account = newGoogleAccount(project);
const tokens = new GoogleTokens(account);
const keyFile = googleKeyFile(project, account, 'https://oauth2.googleapis.com/token');

function start(options: Partial<VendorOptions> = {}): Promise<LabVendor> {
  return startGoogle({
    address: '127.0.0.1',
    dnsAddresses: ['127.0.0.1'],
    dnsPort: 0,
    zones: [{ name: zone, records: [] }],
    quotas: 'off',
    propagationMs: 1,
    ...options,
    credentials: { project, tokens },
  });
}

function open(vendor: LabVendor, more: object = {}): Provider {
  const credentials = { serviceAccount: { env: 'KEY' } };
  const settings = { project, credentials, endpoint: vendor.api, ...more };
  const context = { secret: () => keyFile, callTimeoutMs: 5000 };
  return google.create('gdns', google.settings.parse(settings), context);
}

async function see(provider: Provider, name: Name): Promise<Seen> {
  const answer = (await provider.read([name], noSignal))[name];
  assert.ok(answer?.kind === 'answered', JSON.stringify(answer));
  return answer.value;
}

function move(name: Name, from: Seen, cname: Name, epoch: number): Change {
  return { name, from, to: { cname, ttl: 300, marker: marker(epoch) } };
}

/** As a person with curl asks: signed, and whatever comes back. */
async function asked(vendor: LabVendor, path: string, body?: object) {
  const bearer = tokens.issue(60, ['https://www.googleapis.com/auth/cloud-platform'], true);
  const url = `${vendor.api}/dns/v1/projects/${project}/managedZones${path}`;
  const response = await fetch(url, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${bearer}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const said = (await response.json()) as Record<string, never>;
  const { errors = [] } = (said['error'] ?? {}) as { errors?: { reason: string }[] };
  return { status: response.status, reason: errors[0]?.reason ?? null, said };
}

describe('Google Cloud DNS', () => {
  let vendor: LabVendor;
  let provider: Provider;
  before(async () => {
    vendor = await start();
    provider = open(vendor);
  });
  after(async () => {
    provider?.close();
    await vendor?.close();
  });

  let names = 0;
  async function begun(): Promise<{ readonly name: Name; readonly from: Seen }> {
    const name = `n${++names}.${zone}`;
    vendor.edit(name, 'CNAME', 'a.example.com.', 300);
    vendor.edit(markerName(name), 'TXT', markerText(1), 300);
    return { name, from: await see(provider, name) };
  }

  const late: readonly (readonly [status: number, what: string, edit: (name: Name) => void])[] = [
    [412, 'another value', (name) => vendor.edit(name, 'CNAME', 'z.example.com.', 300)],
    [412, 'another TTL alone', (name) => vendor.edit(name, 'CNAME', 'a.example.com.', 60)],
    [412, 'another marker', (name) => vendor.edit(markerName(name), 'TXT', markerText(9), 300)],
    [404, 'no CNAME', (name) => vendor.edit(name, 'CNAME', null)],
    [404, 'no marker', (name) => vendor.edit(markerName(name), 'TXT', null)],
  ];
  for (const [status, what, edit] of late) {
    test(`a change that meets ${what} is a conflict by HTTP ${status}, and nothing of it is made`, async () => {
      const { name, from } = await begun();
      edit(name);
      const stood = await see(provider, name);
      const [written] = await provider.write([move(name, from, 'b.example.com.', 2)], noSignal);
      assert.ok(written?.kind === 'fault' && written.fault.kind === 'conflict');
      assert.deepEqual(written.reach, { kind: 'record' });
      assert.match(written.fault.detail, new RegExp(`HTTP ${status} `));
      assert.deepEqual(await see(provider, name), stood);
    });
  }

  test('a first change that meets somebody else’s is a conflict by HTTP 409', async () => {
    const name = `first.${zone}`;
    const from = await see(provider, name);
    vendor.edit(markerName(name), 'TXT', markerText(7), 300);
    const [written] = await provider.write([move(name, from, 'b.example.com.', 2)], noSignal);
    assert.ok(written?.kind === 'fault' && written.fault.kind === 'conflict');
    assert.match(written.fault.detail, /HTTP 409 \(alreadyExists\)/);
    assert.deepEqual((await see(provider, name)).cnames, []);
  });

  test('a record of another type that came meanwhile is a conflict, and then refused', async () => {
    const name = `taken.${zone}`;
    const from = await see(provider, name);
    vendor.edit(name, 'A', '192.0.2.1', 300);
    const [written] = await provider.write([move(name, from, 'b.example.com.', 2)], noSignal);
    assert.ok(written?.kind === 'fault' && written.fault.kind === 'conflict');
    assert.match(written.fault.detail, /cnameResourceRecordSetConflict/);
    assert.equal((await see(provider, name)).refusal?.word, 'other-type');
  });

  test('a TTL of nought is taken, and what stands is matched with it', async () => {
    const { name, from } = await begun();
    const to = { cname: 'b.example.com.', ttl: 0, marker: marker(2) };
    const [one] = await provider.write([{ name, from, to }], noSignal);
    assert.equal(one?.kind, 'answered', JSON.stringify(one));
    const next = move(name, await see(provider, name), 'c.example.com.', 3);
    const [two] = await provider.write([next], noSignal);
    assert.equal(two?.kind, 'answered', JSON.stringify(two));
    assert.deepEqual((await see(provider, name)).markers, [formatMarker(marker(3))]);
  });

  test('the emulator refuses what the vendor refuses, in its words', async () => {
    const { name } = await begun();
    const id = vendor.zoneId(zone);
    const set = (more: object) => ({
      name,
      type: 'CNAME',
      ttl: 300,
      rrdatas: ['a.example.com.'],
      ...more,
    });
    const add = (...additions: object[]) => asked(vendor, `/${id}/changes`, { additions });
    const fresh = `fresh.${zone}`;
    const cases: readonly (readonly [
      Promise<{ status: number; reason: string | null }>,
      string,
    ])[] = [
      [add(set({ name: 'fresh.fo.test' })), '400 invalid'],
      [add(set({ name: 'elsewhere.example.' })), '400 invalid'],
      [add(set({ name: 'bücher.fo.test.' })), '400 invalid'],
      [add(set({ name: fresh, ttl: -1 })), '400 invalid'],
      [add(set({ name: fresh, rrdatas: ['a.example.com'] })), '400 invalid'],
      [add(set({ name: fresh, rrdatas: ['a.example.com.', 'b.example.com.'] })), '400 invalid'],
      [add(set({ name: fresh, type: 'TXT', rrdatas: ['no quotes'] })), '400 invalid'],
      [add(set({ name: fresh, type: 'TXT', rrdatas: [`"${'x'.repeat(256)}"`] })), '400 invalid'],
      [add(set({ name: fresh, ttl: undefined })), '400 required'],
      [add(set({ name: zone })), '400 cnameResourceRecordSetConflict'],
      [add(set({ type: 'A', rrdatas: ['192.0.2.1'] })), '400 cnameResourceRecordSetConflict'],
      [add(set({})), '409 alreadyExists'],
      [add(), '400 required'],
      [
        add(...Array.from({ length: 1001 }, (_, i) => set({ name: `m${i}.${zone}` }))),
        '403 quotaExceeded',
      ],
      [
        add(
          ...Array.from({ length: 500 }, (_, i) =>
            set({ name: `m${i}.${zone}`, type: 'TXT', rrdatas: [`"${'x'.repeat(240)}"`] }),
          ),
        ),
        '403 quotaExceeded',
      ],
      [asked(vendor, '/1234/rrsets'), '404 notFound'],
      [asked(vendor, `/${id}/rrsets?type=TXT`), '400 required'],
      [asked(vendor, `/${id}/rrsets?pageToken=x`), '400 invalid'],
      [asked(vendor, '?dnsName=fo.test'), '400 invalid'],
    ];
    for (const [answer, wanted] of cases) {
      const { status, reason } = await answer;
      assert.equal(`${status} ${reason}`, wanted);
    }
    const ns = { name: zone, type: 'NS', ttl: 21_600, rrdatas: ['ns1.google.test.'] };
    const away = await asked(vendor, `/${id}/changes`, { deletions: [ns] });
    assert.equal(`${away.status} ${away.reason}`, '400 invalidZoneApex');
  });

  test('a change is done when it was sent, before every server gives it', async (t) => {
    const slow = await start({ propagationMs: 400 });
    t.after(() => slow.close());
    const own = open(slow);
    t.after(() => own.close());
    const name = `www.${zone}`;
    const change = move(name, await see(own, name), 'a.example.com.', 1);
    const [written] = await own.write([change], noSignal);
    assert.equal(written?.kind, 'answered');
    // Detour has not waited for it: what is served is asked of the servers.
    assert.ok(!slow.calls.some(({ operation }) => operation === 'dns.changes.get'));
    const id = slow.zoneId(zone);
    const additions = [{ name: `x.${zone}`, type: 'A', ttl: 60, rrdatas: ['192.0.2.1'] }];
    const { said } = await asked(slow, `/${id}/changes`, { additions });
    assert.deepEqual([said['id'], said['status']], ['2', 'pending']);
    const stateOf = async () => (await asked(slow, `/${id}/changes/2`)).said['status'];
    await until('it is done', 5000, async () => (await stateOf()) === 'done');
    await until('it is served', 5000, async () => slow.zone(zone).get(name, 'CNAME') !== null);
  });
});

test('a zone of many pages is listed to its end, or read by name where that is cheaper', async (t) => {
  const records: LabRecord[] = Array.from({ length: 2600 }, (_, i) => {
    const name = `r${String(i).padStart(4, '0')}.${zone}`;
    return { name, type: 'CNAME', value: `t${i}.example.com.`, ttl: 300 };
  });
  const vendor = await start({ zones: [{ name: zone, records }] });
  const provider = open(vendor);
  t.after(() => vendor.close());
  t.after(() => provider.close());
  const names = records.slice(0, 12).map((r) => r.name);
  const last = records.at(-1)!.name;
  const read = await provider.read([...names, last], noSignal);
  const answer = read[last];
  assert.ok(answer?.kind === 'answered' && answer.value.cnames[0]?.value === 't2599.example.com.');
  // The zone, and six pages of 500.
  assert.equal(provider.calls, 7);
  const few = await provider.read(names.slice(0, 4), noSignal);
  assert.ok(Object.values(few).every((one) => one.kind === 'answered'));
  // Six pages are more than a call a name: two calls a name instead, and no page in vain.
  assert.equal(provider.calls, 7 + 8);
});

test('five hundred records are two changes, within the limits of one', async (t) => {
  const vendor = await start();
  const provider = open(vendor);
  t.after(() => vendor.close());
  t.after(() => provider.close());
  const names = Array.from({ length: 500 }, (_, i) => `r${i}.${zone}`);
  const seen = await provider.read(names, noSignal);
  const changes = names.map((name) => {
    const answer = seen[name];
    assert.ok(answer?.kind === 'answered');
    return move(name, answer.value, 'a.example.com.', 1);
  });
  const written = await provider.write(changes, noSignal);
  assert.ok(written.every(({ kind }) => kind === 'answered'));
  const sent = vendor.calls.filter(({ operation }) => operation === 'dns.changes.create');
  assert.deepEqual(
    sent.map(({ status }) => status),
    sent.map(() => 200),
  );
  assert.ok(sent.length <= 2, `${sent.length} changes`);
});

test('of two public zones of one name the id decides, and never a guess', async (t) => {
  const vendor = await start({
    zones: [{ name: zone, records: [], settings: { twin: 'public' } }],
  });
  t.after(() => vendor.close());
  const name = `www.${zone}`;
  const guessing = open(vendor);
  t.after(() => guessing.close());
  const said = (await guessing.read([name], noSignal))[name];
  assert.ok(said?.kind === 'fault' && said.fault.kind === 'rejected');
  assert.match(said.fault.cure ?? '', /set zoneId/);
  const told = open(vendor, { zoneId: vendor.zoneId(zone) });
  t.after(() => told.close());
  assert.equal((await see(told, name)).refusal, null);
  const facts = await told.zone(name, noSignal);
  assert.ok(facts.ok && facts.value.nameServers[0] === 'ns1.google.test.');
});

test('its quota throttles as the vendor’s does, and the adapter keeps far below it', async (t) => {
  const vendor = await start({ quotas: 'real' });
  const provider = open(vendor);
  t.after(() => vendor.close());
  t.after(() => provider.close());
  const name = `www.${zone}`;
  let throttled = 0;
  for (let i = 0; i < 320 && throttled === 0; i++) {
    const [one, two] = await Promise.all([
      provider.read([name], noSignal),
      provider.read([name], noSignal),
    ]);
    for (const read of [one, two]) {
      const answer = read[name]!;
      if (answer.kind === 'fault' && answer.fault.kind === 'throttled') throttled = provider.calls;
    }
  }
  assert.ok(throttled > 590, `${throttled} calls`);
  const { burst, perSecond } = google.capabilities.quota;
  assert.ok(burst + 60 * perSecond < 600);
});
