// The Alibaba Cloud DNS adapter against a small server of its own that checks signatures, refuses
// duplicates and conflicts as the vendor does, and can be told to misbehave at any one call.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, test } from 'node:test';
import fc from 'fast-check';
import { alidns } from '../../providers/alidns.ts';
import { FIRST_ID } from '../../src/core/marker.ts';
import type { Change, Fault, Result, Seen } from '../../src/core/model.ts';
import type { Provider } from '../../src/kit/extend.ts';
import { marker, markerText, readAll, roundsOf, writeAll } from '../parts/answers.ts';

const KEY = 'LTAIexampleKeyId';
const SECRET = 'exampleSecret0123456789';
const WWW = 'www.gslb.example.net.';

interface Row {
  RecordId: string | number;
  RR: string;
  Type: string;
  Value: string;
  TTL: number;
  Line: string;
  Status: string;
  Locked: boolean;
  [more: string]: unknown;
}

type Params = Readonly<Record<string, string>>;
/** Takes over one call: true when it has answered, or will never. */
type Hook = (params: Params, response: ServerResponse, nth: number) => boolean;

class Vendor {
  rows: Row[] = [];
  zones: Record<string, Record<string, unknown>> = {};
  hooks = new Map<string, Hook>();
  calls: Params[] = [];
  clock = 1_700_000_000_000;
  #ids = 1000;
  #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        assert.equal(request.url, '/', 'nothing stands in the URL');
        this.#serve(request.method ?? '', Buffer.concat(chunks).toString(), response);
      });
    });
  }

  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  add(RR: string, Type: string, Value: string, more: Partial<Row> = {}): Row {
    const row: Row = {
      RecordId: String(this.#ids++),
      RR,
      Type,
      Value,
      TTL: 600,
      Line: 'default',
      Status: 'ENABLE',
      Locked: false,
      Weight: 1,
      LbaStatus: false,
      CreateTimestamp: this.clock,
      ...more,
    };
    this.rows.push(row);
    return row;
  }

  at(RR: string): string[] {
    return this.rows.filter((r) => r.RR === RR).map((r) => `${r.Type} ${r.Value} ${r.TTL}`);
  }

  actions(): string[] {
    return this.calls.map((c) => c['Action']!);
  }

  answer(response: ServerResponse, status: number, body: unknown): true {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
    return true;
  }

  refuse(response: ServerResponse, status: number, Code: string, Message = 'refused'): true {
    return this.answer(response, status, { RequestId: 'R-1', HostId: 'h', Code, Message });
  }

  #serve(method: string, body: string, response: ServerResponse): void {
    const params = Object.fromEntries(new URLSearchParams(body)) as Record<string, string>;
    const { Signature, ...signed } = params;
    const action = params['Action'] ?? '';
    this.calls.push(signed);
    const nth = this.calls.filter((c) => c['Action'] === action).length;
    if (this.hooks.get('*')?.(params, response, this.calls.length)) return;
    if (this.hooks.get(action)?.(params, response, nth)) return;
    const canonical = Object.keys(signed)
      .sort()
      .map((k) => `${percent(k)}=${percent(signed[k]!)}`)
      .join('&');
    const wanted = createHmac('sha1', `${SECRET}&`)
      .update(`${method}&%2F&${percent(canonical)}`)
      .digest('base64');
    if (params['AccessKeyId'] !== KEY || Signature !== wanted) {
      const said = `signature is not matched, string to sign is ${canonical}`;
      this.refuse(response, 400, 'SignatureDoesNotMatch', said);
      return;
    }
    this.apply(params, response);
  }

  apply(p: Params, response: ServerResponse): void {
    const ok = (more: object) => this.answer(response, 200, { RequestId: 'R-0', ...more });
    const same = (a: { RR: string; Type: string; Value: string; Line: string }) =>
      this.rows.find(
        (r) => r.RR === a.RR && r.Type === a.Type && r.Value === a.Value && r.Line === a.Line,
      );
    const given = {
      RR: p['RR'] ?? '',
      Type: p['Type'] ?? '',
      Value: p['Value'] ?? '',
      Line: p['Line'] ?? '',
      TTL: Number(p['TTL']),
    };
    switch (p['Action']) {
      case 'DescribeDomainInfo': {
        const zone = this.zones[p['DomainName']!];
        if (!zone) return void this.refuse(response, 400, 'InvalidDomainName.NoExist');
        return void ok(zone);
      }
      case 'DescribeSubDomainRecords': {
        const rr = p['SubDomain']!.slice(0, -(p['DomainName']!.length + 1));
        // The vendor's search is a fuzzy one: it gives more than was asked for.
        const Record = this.rows.filter((r) => r.RR.toLowerCase().endsWith(rr.slice(-3)));
        return void ok({ TotalCount: Record.length, DomainRecords: { Record } });
      }
      case 'DescribeDomainRecords': {
        const [page, size] = [Number(p['PageNumber']), Number(p['PageSize'])];
        const Record = this.rows.slice((page - 1) * size, page * size);
        return void ok({ TotalCount: this.rows.length, DomainRecords: { Record } });
      }
      case 'AddDomainRecord':
        if (same(given)) return void this.refuse(response, 400, 'DomainRecordDuplicate');
        return void ok({ RecordId: this.add(given.RR, given.Type, given.Value, given).RecordId });
      case 'UpdateDomainRecord': {
        const row = this.rows.find((r) => String(r.RecordId) === p['RecordId']);
        if (!row) return void this.refuse(response, 400, 'DomainRecordNotBelongToUser');
        if (same(given) === row && row.TTL === given.TTL) {
          return void this.refuse(response, 400, 'DomainRecordDuplicate');
        }
        Object.assign(row, given);
        return void ok({ RecordId: row.RecordId });
      }
      case 'DeleteDomainRecord':
        this.rows = this.rows.filter((r) => String(r.RecordId) !== p['RecordId']);
        return void ok({ RecordId: p['RecordId'] });
      default:
        return void this.refuse(response, 404, 'InvalidAction.NotFound');
    }
  }
}

function percent(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

let vendor: Vendor;
let provider: Provider;
let base = '';
const cleanup: Provider[] = [];

function open(settings: object = {}, callTimeoutMs = 2000): Provider {
  const parsed = alidns.settings.parse({
    accessKeyId: { env: 'KEY' },
    accessKeySecret: { env: 'SECRET' },
    zone: 'example.net',
    endpoint: base,
    ...settings,
  });
  const secrets: Record<string, string> = { KEY, SECRET, WRONG: 'not-the-secret' };
  const made = alidns.create('ali', parsed, {
    secret: (ref) => secrets[(ref as { env: string }).env]!,
    callTimeoutMs,
  });
  cleanup.push(made);
  return made;
}

const never = (): AbortSignal => new AbortController().signal;

const sign = (epoch: number, id = `id${epoch}`) => markerText(epoch, { id });

async function see(by = provider): Promise<Seen> {
  const read = await readAll(by, [WWW], never());
  assert.ok(read.ok, JSON.stringify(read));
  return read.value[WWW]!;
}

function change(from: Seen, cname: string, epoch: number, id?: string, ttl = 600): Change {
  return {
    name: WWW,
    from,
    to: { cname, ttl, marker: marker(epoch, id === undefined ? {} : { id }) },
  };
}

async function put(c: Change, by = provider, signal = never()): Promise<Result<null>> {
  return (await writeAll(by, [c], signal))[0]!;
}

function faultOf(result: Result<unknown>): Fault {
  assert.ok(!result.ok, 'it should have failed');
  const shown = JSON.stringify(result.fault);
  assert.ok(!shown.includes(KEY) && !shown.includes(SECRET), `a secret in ${shown}`);
  return result.fault;
}

/** `www` on a., marked with epoch 4. */
function stands(): void {
  vendor.add('www.gslb', 'CNAME', 'a.example.com');
  vendor.add('_detour.www.gslb', 'TXT', sign(4));
}

beforeEach(async () => {
  vendor = new Vendor();
  vendor.zones['example.net'] = {
    DomainName: 'example.net',
    VersionCode: 'version_enterprise_basic',
    MinTtl: 60,
    DnsServers: { DnsServer: ['ns1.alidns.com', 'ns2.alidns.com'] },
    InBlackHole: false,
    InClean: false,
  };
  base = await vendor.start();
  provider = open();
});

afterEach(async () => {
  for (const made of cleanup.splice(0)) made.close();
  await vendor.close();
});

test('a CNAME is changed in place, then the marker, and the old claim goes', async () => {
  stands();
  const [cname, text] = vendor.rows;
  vendor.add('_detour-epoch.www.gslb', 'TXT', 'epoch=4 id=id4');
  const from = await see();
  assert.deepEqual(from.cnames, [{ value: 'a.example.com.', ttl: 600 }]);
  assert.deepEqual(from.markers, [sign(4)]);
  vendor.calls = [];
  assert.deepEqual(await put(change(from, 'b.example.com.', 5)), { ok: true, value: null });
  assert.deepEqual(vendor.at('www.gslb'), ['CNAME b.example.com 600']);
  assert.deepEqual(vendor.at('_detour.www.gslb'), [`TXT ${sign(5)} 600`]);
  assert.deepEqual(vendor.at('_detour-epoch.www.gslb'), ['TXT epoch=5 id=id5 600']);
  assert.deepEqual([vendor.rows[0], vendor.rows[1]], [cname, text], 'the same records');
  const writes = vendor.actions().filter((a) => !a.startsWith('Describe'));
  assert.deepEqual(writes, [
    'AddDomainRecord',
    'UpdateDomainRecord',
    'UpdateDomainRecord',
    'DeleteDomainRecord',
  ]);
  assert.ok(vendor.calls.length <= alidns.capabilities.callsMax);
});

/** The same change in a crowd: its marker comes later. */
function brief(c: Change): Change {
  return { ...c, settle: 'later' };
}

/** What was written since the last time, by its action and record. */
function sent(): string[] {
  const calls = vendor.calls.filter((c) => !c['Action']!.startsWith('Describe'));
  vendor.calls = [];
  return calls.map((c) => `${c['Action']} ${c['RR'] ?? ''}`.trim());
}

test('in a crowd a change is its claim and its CNAME; marker and old claim come after', async () => {
  stands();
  vendor.add('_detour-epoch.www.gslb', 'TXT', 'epoch=4 id=id4');
  assert.ok((await put(brief(change(await see(), 'b.example.com.', 5)))).ok);
  assert.deepEqual(sent(), [
    'AddDomainRecord _detour-epoch.www.gslb',
    'UpdateDomainRecord www.gslb',
  ]);
  const from = await see();
  assert.deepEqual(from.cnames, [{ value: 'b.example.com.', ttl: 600 }]);
  assert.deepEqual(from.markers, [sign(4)]);
  assert.ok((await put(change(from, 'b.example.com.', 5))).ok);
  assert.deepEqual(sent(), ['UpdateDomainRecord _detour.www.gslb', 'DeleteDomainRecord']);
  assert.deepEqual((await see()).markers, [sign(5)]);
  assert.deepEqual(vendor.at('_detour-epoch.www.gslb'), ['TXT epoch=5 id=id5 600']);
});

test('while a marker is to follow, its claim keeps off whoever is behind, for a crowd’s time', async () => {
  stands();
  assert.ok((await put(brief(change(await see(), 'c.example.com.', 7)))).ok);
  const behind = open();
  const from = await see();
  for (const [lateMs, kind] of [
    [0, 'conflict'],
    [61_000, 'conflict'],
    [800_000, 'conflict'],
  ] as const) {
    vendor.clock += lateMs;
    assert.equal(faultOf(await put(change(from, 'b.example.com.', 5), behind)).kind, kind);
    assert.deepEqual(vendor.at('www.gslb'), ['CNAME c.example.com 600']);
    assert.deepEqual(vendor.at('_detour-epoch.www.gslb'), ['TXT epoch=7 id=id7 600']);
  }
  // Its writer has died: nothing is held for ever.
  vendor.clock += 100_000;
  assert.ok((await put(change(from, 'b.example.com.', 5), behind)).ok);
});

test('a marker that was to follow finds an edit: a conflict, and the claim stays', async () => {
  stands();
  assert.ok((await put(brief(change(await see(), 'b.example.com.', 5)))).ok);
  const from = await see();
  vendor.rows[0]!.Value = 'human.example.org';
  assert.equal(faultOf(await put(change(from, 'b.example.com.', 5))).kind, 'conflict');
  assert.deepEqual(vendor.at('_detour-epoch.www.gslb'), ['TXT epoch=5 id=id5 600']);
  assert.deepEqual(vendor.at('_detour.www.gslb'), [`TXT ${sign(4)} 600`]);
  // The next switch takes over what the one before left.
  const next = change(await see(), 'c.example.com.', 6);
  assert.ok((await put(next)).ok);
  assert.deepEqual(vendor.at('_detour.www.gslb'), [`TXT ${sign(6)} 600`]);
  assert.deepEqual(vendor.at('_detour-epoch.www.gslb'), ['TXT epoch=6 id=id6 600']);
});

test('a claim under which a CNAME was changed outlives a conflict of a move', async () => {
  stands();
  assert.ok((await put(brief(change(await see(), 'b.example.com.', 6)))).ok);
  // The late write of one who is behind, and another one before it could be mended.
  vendor.rows[0]!.Value = 'c.example.com';
  const from = await see();
  vendor.rows[0]!.Value = 'd.example.com';
  assert.equal(faultOf(await put(change(from, 'b.example.com.', 6))).kind, 'conflict');
  const behind = open();
  const again = change(await see(), 'c.example.com.', 5);
  assert.equal(faultOf(await put(again, behind)).kind, 'conflict');
  assert.deepEqual(vendor.at('www.gslb'), ['CNAME d.example.com 600']);
  assert.deepEqual(vendor.at('_detour-epoch.www.gslb'), ['TXT epoch=6 id=id6 600']);
  assert.ok((await put(change(await see(), 'b.example.com.', 6))).ok);
  assert.deepEqual(vendor.at('_detour.www.gslb'), [`TXT ${sign(6)} 600`]);
});

test('what has to be made is made whole, in a crowd too', async () => {
  const made = await put(brief(change(await see(), 'b.example.com.', 1)));
  assert.ok(made.ok);
  assert.deepEqual(vendor.at('_detour.www.gslb'), [`TXT ${sign(1)} 600`]);
});

test('an adoption writes the marker and leaves the CNAME alone, TTL and all', async () => {
  vendor.add('www.gslb', 'CNAME', 'A.example.com', { TTL: 30 });
  const from = await see();
  assert.deepEqual(from.cnames, [{ value: 'a.example.com.', ttl: 30 }]);
  assert.ok((await put(change(from, 'a.example.com.', 1, 'x', 30))).ok);
  assert.deepEqual(vendor.at('www.gslb'), ['CNAME A.example.com 30']);
  // The floor of the zone is 60: a new text keeps to it.
  assert.deepEqual(vendor.at('_detour.www.gslb'), [`TXT ${sign(1, 'x')} 60`]);
  assert.ok(!vendor.actions().includes('UpdateDomainRecord'));
});

test('a record that stands nowhere is created by a plain add', async () => {
  const from = await see();
  assert.deepEqual(from, { cnames: [], markers: [], ttlMin: 60, refusal: null, ref: null });
  assert.ok((await put(change(from, 'b.example.com.', 1))).ok);
  assert.deepEqual(vendor.at('www.gslb'), ['CNAME b.example.com 600']);
  assert.deepEqual(vendor.at('_detour.www.gslb'), [`TXT ${sign(1)} 600`]);
});

test('nothing is ever sent as the word undefined or null', async () => {
  stands();
  await put(change(await see(), 'b.example.com.', 5));
  for (const call of vendor.calls) {
    for (const value of Object.values(call)) assert.doesNotMatch(value, /^(undefined|null)$/);
  }
});

test('what is written already is left alone and is a success', async () => {
  stands();
  const from = await see();
  const wanted = change(from, 'b.example.com.', 5);
  assert.ok((await put(wanted)).ok);
  vendor.calls = [];
  assert.ok((await put(wanted)).ok);
  assert.deepEqual(
    vendor.actions().filter((a) => a === 'UpdateDomainRecord'),
    [],
  );
});

for (const nth of [1, 2, 3]) {
  test(`the reply to write ${nth} is lost: uncertain, and the same switch gets through`, async () => {
    stands();
    let writes = 0;
    vendor.hooks.set('*', (p, response) => {
      if (/^(Add|Update)/.test(p['Action']!) && ++writes === nth) {
        vendor.apply(p, { writeHead() {}, end() {} } as unknown as ServerResponse);
        response.socket!.resetAndDestroy();
        return true;
      }
      return false;
    });
    const lost = faultOf(await put(change(await see(), 'b.example.com.', 5)));
    assert.equal(lost.kind, 'uncertain');
    assert.ok((await put(change(await see(), 'b.example.com.', 5))).ok);
    assert.deepEqual(vendor.at('www.gslb'), ['CNAME b.example.com 600']);
    assert.deepEqual(vendor.at('_detour.www.gslb'), [`TXT ${sign(5)} 600`]);
  });
}

test('a writer whose reading is old changes nothing and leaves no claim', async () => {
  stands();
  const old = await see();
  assert.ok((await put(change(old, 'b.example.com.', 5))).ok);
  const before = structuredClone(vendor.rows);
  assert.equal(faultOf(await put(change(old, 'c.example.com.', 5, 'other'))).kind, 'conflict');
  assert.deepEqual(vendor.rows, before);
});

test('a rival that has claimed the epoch wins; ours is taken back', async () => {
  stands();
  vendor.add('_detour-epoch.www.gslb', 'TXT', 'epoch=5 id=rival');
  const lost = faultOf(await put(change(await see(), 'b.example.com.', 5, 'mine')));
  assert.equal(lost.kind, 'conflict');
  assert.match(lost.detail, /claimed epoch 5/);
  assert.deepEqual(vendor.at('www.gslb'), ['CNAME a.example.com 600']);
  assert.deepEqual(vendor.at('_detour-epoch.www.gslb'), ['TXT epoch=5 id=rival 600']);
});

test('a claim left a minute ago by a writer that died does not hold the record', async () => {
  stands();
  vendor.add('_detour-epoch.www.gslb', 'TXT', 'epoch=5 id=dead');
  vendor.clock += 59_000;
  assert.equal(faultOf(await put(change(await see(), 'b.example.com.', 5))).kind, 'conflict');
  vendor.clock += 2000;
  assert.ok((await put(change(await see(), 'b.example.com.', 5))).ok);
});

test('an operator may follow at the same epoch once the other switch is complete', async () => {
  stands();
  assert.ok((await put(change(await see(), 'b.example.com.', 5, 'auto5'))).ok);
  assert.ok((await put(change(await see(), 'c.example.com.', 5, 'oper5'))).ok);
  assert.deepEqual(vendor.at('www.gslb'), ['CNAME c.example.com 600']);
});

/** A first marker: its id is the same whoever writes it, only its target tells two apart. */
function first(from: Seen, cname: string, target: string): Change {
  return { name: WWW, from, to: { cname, ttl: 600, marker: marker(1, { id: FIRST_ID, target }) } };
}

for (const [who, isFirst] of [
  ['writers', false],
  ['first writers', true],
] as const) {
  test(`of two ${who} at once, never do both think they have won`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), async (s) => {
        vendor.rows = [];
        if (isFirst) vendor.add('www.gslb', 'CNAME', 'a.example.com');
        else stands();
        const from = await see();
        // Each call of each writer is answered when the scheduler says so.
        const gate = s.scheduleFunction(async (go: () => void) => go());
        vendor.hooks.set('*', (p, response) => {
          void gate(() => vendor.apply(p, response));
          return true;
        });
        const make = (cname: string, id: string): Change =>
          isFirst ? first(from, cname, id) : change(from, cname, 5, id);
        const rival = open();
        const both = Promise.all([
          put(make('b.example.com.', 'left')),
          put(make('c.example.com.', 'right'), rival),
        ]);
        await s.waitFor(both);
        vendor.hooks.clear();
        const results = await both;
        const won = results.filter((r) => r.ok).length;
        assert.ok(won <= 1, 'both think they won');
        assert.ok(vendor.at('_detour.www.gslb').length <= 1, 'two markers');
        const at = vendor.at('www.gslb');
        if (results[0].ok) assert.deepEqual(at, ['CNAME b.example.com 600']);
        else if (results[1].ok) assert.deepEqual(at, ['CNAME c.example.com 600']);
        else assert.deepEqual(at, ['CNAME a.example.com 600']);
      }),
      { numRuns: 25 },
    );
  });
}

test('somebody edits between the read and the write: conflict, untouched', async () => {
  stands();
  const from = await see();
  vendor.rows[0]!.Value = 'human.example.org';
  assert.equal(faultOf(await put(change(from, 'b.example.com.', 5))).kind, 'conflict');
  assert.deepEqual(vendor.at('www.gslb'), ['CNAME human.example.org 600']);
});

test('somebody edits during the write: conflict, told by the reading after it', async () => {
  stands();
  const from = await see();
  vendor.hooks.set('UpdateDomainRecord', (p, response, nth) => {
    if (nth !== 2) return false;
    vendor.apply(p, response);
    vendor.rows[0]!.Value = 'human.example.org';
    return true;
  });
  const lost = faultOf(await put(change(from, 'b.example.com.', 5)));
  assert.equal(lost.kind, 'conflict');
  assert.match(lost.detail, /human\.example\.org/);
});

test('a higher epoch claimed during the write is told', async () => {
  stands();
  const from = await see();
  vendor.hooks.set('UpdateDomainRecord', (p, response, nth) => {
    if (nth !== 1) return false;
    vendor.apply(p, response);
    vendor.add('_detour-epoch.www.gslb', 'TXT', 'epoch=6 id=ahead');
    return true;
  });
  const lost = faultOf(await put(change(from, 'b.example.com.', 5)));
  assert.equal(lost.kind, 'conflict');
  assert.match(lost.detail, /epoch 6/);
});

test('a vendor whose readings lag behind its writings is not written', async () => {
  stands();
  const from = await see();
  const stale = structuredClone(vendor.rows);
  vendor.hooks.set('DescribeSubDomainRecords', (p, response) => {
    const now = vendor.rows;
    vendor.rows = stale;
    vendor.apply(p, response);
    vendor.rows = now;
    return true;
  });
  const fault = faultOf(await put(change(from, 'b.example.com.', 5)));
  // Its own claim was not in what it read: nothing may be concluded from such a reading.
  assert.equal(fault.kind, 'unavailable');
  assert.deepEqual(vendor.at('www.gslb'), ['CNAME a.example.com 600']);
});

test('an update that did not take, though it was answered well, is uncertain', async () => {
  stands();
  vendor.hooks.set('UpdateDomainRecord', (p, response) =>
    vendor.answer(response, 200, { RequestId: 'R-0', RecordId: p['RecordId'] }),
  );
  assert.equal(faultOf(await put(change(await see(), 'b.example.com.', 5))).kind, 'uncertain');
});

test('a duplicate that is none is found by reading back', async () => {
  stands();
  vendor.hooks.set('UpdateDomainRecord', (_, response) =>
    vendor.refuse(response, 400, 'DomainRecordDuplicate'),
  );
  assert.equal(faultOf(await put(change(await see(), 'b.example.com.', 5))).kind, 'uncertain');
});

const half: readonly [code: string, kind: string, retryAfterMs: number | undefined][] = [
  ['LastOperationNotFinished', 'throttled', 500],
  ['Throttling.User', 'throttled', undefined],
  ['Throttling', 'throttled', undefined],
  ['InvalidAccessKeyId.NotFound', 'auth-suspect', undefined],
  ['SignatureDoesNotMatch', 'auth-suspect', undefined],
  ['Forbidden.RAM', 'auth-suspect', undefined],
  ['InvalidTimeStamp.Expired', 'auth-suspect', undefined],
  ['DomainRecordConflict', 'conflict', undefined],
  ['DomainRecordNotBelongToUser', 'conflict', undefined],
  ['DomainRecordLocked', 'rejected', undefined],
  ['DomainForbidden', 'rejected', undefined],
  ['QuotaExceeded.Record', 'rejected', undefined],
  ['InvalidTTL', 'rejected', undefined],
  ['ServiceUnavailable', 'unavailable', undefined],
  ['InternalError', 'uncertain', undefined],
  ['NobodyKnowsThis', 'rejected', undefined],
];

for (const [code, kind, retryAfterMs] of half) {
  test(`${code} at the CNAME is ${kind}; at the marker it leaves a half: uncertain`, async () => {
    for (const nth of [1, 2]) {
      vendor.rows = [];
      stands();
      vendor.calls = [];
      vendor.hooks.set('UpdateDomainRecord', (_, response, n) => {
        if (n !== nth) return false;
        return vendor.refuse(response, 400, code, `key ${KEY} and ${SECRET} and Signature=abc`);
      });
      const fault = faultOf(await put(change(await see(), 'b.example.com.', 5)));
      assert.equal(fault.kind, nth === 1 ? kind : 'uncertain');
      assert.equal(fault.retryAfterMs, retryAfterMs);
      assert.match(fault.detail, new RegExp(code.replace('.', '\\.')));
      assert.doesNotMatch(fault.detail, /Signature=/);
      vendor.hooks.clear();
      assert.ok((await put(change(await see(), 'b.example.com.', 5))).ok, 'and then it goes on');
    }
  });
}

test('a wrong secret is auth-suspect, and the signed request in the message is not shown', async () => {
  provider = open({ accessKeySecret: { env: 'WRONG' } });
  const fault = faultOf(await readAll(provider, [WWW], never()));
  assert.equal(fault.kind, 'auth-suspect');
  assert.ok(fault.cure);
});

const strange: readonly [what: string, answer: (v: Vendor, r: ServerResponse) => boolean][] = [
  ['HTTP 500 whose JSON has no Code', (v, r) => v.answer(r, 500, { RequestId: 'R' })],
  ['a 502 page', (v, r) => v.answer(r, 502, `<html>${KEY} bad gateway</html>`)],
  ['an empty 200', (v, r) => v.answer(r, 200, '')],
  ['a bare null', (v, r) => v.answer(r, 200, 'null')],
  ['a number', (v, r) => v.answer(r, 200, '12345678901234567890')],
  ['no RequestId', (v, r) => v.answer(r, 200, { RecordId: '1' })],
  ['a redirect', (v, r) => v.answer(r, 302, { RequestId: 'R' })],
  ['an answer without end', (v, r) => v.answer(r, 200, `{"RequestId":"${'x'.repeat(3 << 20)}"}`)],
];

for (const [what, answer] of strange) {
  test(`${what} is never a success: a read is unavailable, a write uncertain`, async () => {
    stands();
    const from = await see();
    vendor.hooks.set('DescribeSubDomainRecords', (_, r) => answer(vendor, r));
    assert.equal(faultOf(await readAll(provider, [WWW], never())).kind, 'unavailable');
    vendor.hooks.clear();
    vendor.hooks.set('UpdateDomainRecord', (_, r) => answer(vendor, r));
    const fault = faultOf(await put(change(from, 'b.example.com.', 5)));
    assert.equal(fault.kind, what === 'a redirect' ? 'unavailable' : 'uncertain');
  });
}

test('records without a shape, or without their number, are not taken for an empty name', async () => {
  for (const body of [
    { RequestId: 'R' },
    { RequestId: 'R', DomainRecords: { Record: [{ RR: 'www.gslb' }] } },
    { RequestId: 'R', DomainRecords: { Record: [null] } },
  ]) {
    vendor.hooks.set('DescribeSubDomainRecords', (_, r) => vendor.answer(r, 200, body));
    assert.equal(faultOf(await readAll(provider, [WWW], never())).kind, 'unavailable');
  }
});

test('ids longer than a number can hold arrive whole', async () => {
  const long = '9'.repeat(20);
  vendor.add('www.gslb', 'CNAME', 'a.example.com', { RecordId: `@${long}@` });
  vendor.hooks.set('DescribeSubDomainRecords', (_, r) => {
    const Record = vendor.rows;
    const text = JSON.stringify({ RequestId: 'R', TotalCount: 1, DomainRecords: { Record } });
    return vendor.answer(r, 200, text.replaceAll(/"@(\d+)@"/g, '$1'));
  });
  const ids: string[] = [];
  vendor.hooks.set('UpdateDomainRecord', (p) => {
    ids.push(p['RecordId']!);
    return false;
  });
  vendor.hooks.set('AddDomainRecord', (p, r) => {
    vendor.add(p['RR']!, 'TXT', p['Value']!);
    return vendor.answer(r, 200, { RequestId: 'R', RecordId: '7' });
  });
  await put(change(await see(), 'b.example.com.', 5));
  assert.deepEqual(ids, [long]);
});

test('a vendor that hangs is left within the call, and the connection is cut', async () => {
  stands();
  const steady = provider;
  const from = await see();
  provider = open({}, 150);
  // The zone is found beforehand, in as many tries as a busy machine needs.
  for (let tries = 0; tries < 50 && !(await provider.zone(WWW, never())).ok; tries++);
  let cut = false;
  const ends: Promise<unknown>[] = [];
  vendor.hooks.set('UpdateDomainRecord', (_, r) => {
    ends.push(once(r, 'close').then(() => (cut = true)));
    return true;
  });
  let fault = faultOf(await put(change(from, 'b.example.com.', 5)));
  for (let tries = 0; tries < 50 && ends.length === 0; tries++) {
    fault = faultOf(await put(change(await see(steady), 'b.example.com.', 5)));
  }
  assert.equal(fault.kind, 'uncertain');
  await Promise.all(ends);
  assert.ok(cut);
});

test('an answer that trickles is left within the call, too', async () => {
  provider = open({}, 150);
  vendor.hooks.set('DescribeSubDomainRecords', (_, r) => {
    r.writeHead(200);
    const timer = setInterval(() => r.write(' '), 20);
    r.on('close', () => clearInterval(timer));
    return true;
  });
  assert.equal(faultOf(await readAll(provider, [WWW], never())).kind, 'unavailable');
});

test('the signal ends a call, and a write not yet begun is unavailable', async () => {
  stands();
  const from = await see();
  const stop = new AbortController();
  vendor.hooks.set('UpdateDomainRecord', () => {
    stop.abort();
    return true;
  });
  const [first, second] = await writeAll(
    provider,
    [change(from, 'b.example.com.', 5), change(from, 'c.example.com.', 6)],
    stop.signal,
  );
  assert.equal(faultOf(first!).kind, 'uncertain');
  assert.equal(faultOf(second!).kind, 'unavailable');
});

test('a write is sent once, a read is repeated', async () => {
  stands();
  const from = await see();
  vendor.calls = [];
  vendor.hooks.set('*', (_, r) => vendor.refuse(r, 503, 'ServiceUnavailable'));
  assert.equal(faultOf(await put(change(from, 'b.example.com.', 5))).kind, 'unavailable');
  assert.deepEqual(vendor.actions(), ['AddDomainRecord']);
  vendor.calls = [];
  assert.equal(faultOf(await readAll(provider, [WWW], never())).kind, 'unavailable');
  assert.ok(vendor.calls.length > 2);
});

test('nobody listening is unavailable, for writes as well', async () => {
  stands();
  const from = await see();
  await vendor.close();
  // Each connection kept from the reading may take one write with it.
  const kinds: string[] = [];
  while (kinds.length < 6 && kinds.at(-1) !== 'unavailable') {
    kinds.push(faultOf(await put(change(from, 'b.example.com.', 5))).kind);
  }
  assert.equal(kinds.pop(), 'unavailable');
  assert.ok(kinds.every((kind) => kind === 'uncertain'));
  await vendor.start();
});

test('one write of a domain at a time', async () => {
  let open = 0;
  let most = 0;
  vendor.hooks.set('AddDomainRecord', (p, r) => {
    most = Math.max(most, ++open);
    setImmediate(() => {
      open--;
      vendor.apply(p, r);
    });
    return true;
  });
  const names = ['a', 'b', 'c'].map((l) => `${l}.gslb.example.net.`);
  const read = await readAll(provider, names, never());
  assert.ok(read.ok);
  const results = await Promise.all(
    names.map((name) =>
      put({
        name,
        from: read.value[name]!,
        to: { cname: 'x.example.com.', ttl: 600, marker: marker(1) },
      }),
    ),
  );
  assert.ok(results.every((r) => r.ok));
  assert.equal(most, 1);
});

const refused: readonly [word: string, what: string, setUp: () => void][] = [
  [
    'line',
    'a marker on a second line',
    () => vendor.add('_detour.www.gslb', 'TXT', 'x', { Line: 'telecom' }),
  ],
  ['other-type', 'an address', () => vendor.add('www.gslb', 'A', '192.0.2.1')],
  ['other-type', 'a CNAME in the marker', () => vendor.add('_detour.www.gslb', 'CNAME', 'x.cn')],
  ['disabled', 'a pause', () => Object.assign(vendor.rows[0]!, { Status: 'DISABLE' })],
  ['locked', 'a lock', () => Object.assign(vendor.rows[0]!, { Locked: true })],
  ['weighted', 'a weight', () => Object.assign(vendor.rows[0]!, { LbaStatus: true })],
  ['weighted', 'a second CNAME', () => vendor.add('www.gslb', 'CNAME', 'y.example.com')],
];

for (const [word, what, setUp] of refused) {
  test(`${what} is refused as ${word}, before and while writing`, async () => {
    stands();
    const from = await see();
    setUp();
    const seen = await see();
    assert.equal(seen.refusal?.word, word);
    const before = structuredClone(vendor.rows);
    assert.equal(faultOf(await put(change(seen, 'b.example.com.', 5))).kind, 'rejected');
    assert.equal(faultOf(await put(change(from, 'b.example.com.', 5))).kind, 'conflict');
    assert.deepEqual(vendor.rows, before);
  });
}

/** `www` on a. at three lines, the default one not the first that is told of. */
function standsByLine(value = 'a.example.com'): void {
  for (const Line of ['unicom', 'default', 'telecom']) {
    vendor.add('www.gslb', 'CNAME', value, { Line });
  }
  vendor.add('_detour.www.gslb', 'TXT', sign(4));
}

const three = ['default', 'telecom', 'unicom'];

function changeOf(from: Seen, epoch: number, lines?: readonly string[]): Change {
  const { to, ...rest } = change(from, 'b.example.com.', epoch);
  return { ...rest, to: { ...to, ...(lines === undefined ? {} : { lines }) } };
}

const byLine = () =>
  Object.fromEntries(
    vendor.rows.filter((r) => r.RR === 'www.gslb').map((r) => [r.Line, `${r.Value} ${r.TTL}`]),
  );

test('of a record with lines each is read with its line, and written with it, default first', async () => {
  standsByLine();
  const from = await see();
  assert.deepEqual(from.cnames, [
    { value: 'a.example.com.', ttl: 600 },
    { value: 'a.example.com.', ttl: 600, line: 'telecom' },
    { value: 'a.example.com.', ttl: 600, line: 'unicom' },
  ]);
  assert.equal(from.refusal, null);
  const ids = vendor.rows.map((r) => r.RecordId);
  vendor.calls = [];
  assert.deepEqual(await put(changeOf(from, 5, three)), { ok: true, value: null });
  const b = 'b.example.com 600';
  assert.deepEqual(byLine(), { unicom: b, default: b, telecom: b });
  assert.deepEqual(vendor.at('_detour.www.gslb'), [`TXT ${sign(5)} 600`]);
  assert.ok(
    ids.every((id) => vendor.rows.some((r) => r.RecordId === id)),
    'each in place',
  );
  const updates = vendor.calls.filter((c) => c['Action'] === 'UpdateDomainRecord');
  const lines = updates.map((c) => `${c['Type']} ${c['Line']}`);
  assert.deepEqual(lines, ['CNAME default', 'CNAME telecom', 'CNAME unicom', 'TXT default']);
});

test('a line that is not listed is never written over, and ends no line that is', async () => {
  standsByLine();
  vendor.add('www.gslb', 'CNAME', 'theirs.example.org', { Line: 'search' });
  const from = await see();
  assert.ok(from.cnames.some((c) => c.line === 'search' && c.value === 'theirs.example.org.'));
  vendor.calls = [];
  for (const lines of [undefined, three]) {
    const fault = faultOf(await put(changeOf(from, 5, lines)));
    assert.equal(fault.kind, 'rejected');
    assert.match(fault.detail, /stands on the line (search|telecom), which is not to be written/);
  }
  assert.deepEqual(
    vendor.calls.filter((c) => !c['Action']!.startsWith('Describe')),
    [],
  );
});

test('a line that comes up between the reading and the write is a conflict', async () => {
  standsByLine();
  const from = await see();
  vendor.add('www.gslb', 'CNAME', 'theirs.example.org', { Line: 'search' });
  assert.equal(faultOf(await put(changeOf(from, 5, three))).kind, 'conflict');
  assert.equal(byLine()['default'], 'a.example.com 600');
});

test('a line on which nothing stands is added; what is right already is left', async () => {
  vendor.add('www.gslb', 'CNAME', 'b.example.com');
  vendor.add('_detour.www.gslb', 'TXT', sign(4));
  assert.ok((await put(changeOf(await see(), 5, three))).ok);
  const b = 'b.example.com 600';
  assert.deepEqual(byLine(), { default: b, telecom: b, unicom: b });
  const adds = vendor.calls.filter(
    (c) => c['Action'] === 'AddDomainRecord' && c['RR'] === 'www.gslb',
  );
  assert.deepEqual(
    adds.map((c) => c['Line']),
    ['telecom', 'unicom'],
  );
});

for (const nth of [1, 2, 3, 4]) {
  test(`cut at change ${nth} of a set: the marker is the old one, and the same switch gets through`, async () => {
    standsByLine();
    const from = await see();
    vendor.hooks.set('UpdateDomainRecord', (_, response, n) =>
      n === nth ? vendor.refuse(response, 503, 'ServiceUnavailable') : false,
    );
    const fault = faultOf(await put(changeOf(from, 5, three)));
    assert.equal(fault.kind, nth === 1 ? 'unavailable' : 'uncertain');
    const half = await see();
    const moved = half.cnames.filter((c) => c.value === 'b.example.com.').length;
    assert.equal(moved, nth - 1, 'as far as it came');
    assert.deepEqual(half.markers, [sign(4)], 'the marker comes after the last line');
    vendor.hooks.clear();
    assert.ok((await put(changeOf(half, 5, three))).ok);
    const after = await see();
    assert.ok(after.cnames.every((c) => c.value === 'b.example.com.'));
    assert.deepEqual(after.markers, [sign(5)]);
  });
}

test('two CNAMEs of one line are refused as weighted, one of each is not', async () => {
  standsByLine();
  vendor.add('www.gslb', 'CNAME', 'y.example.com', { Line: 'telecom' });
  assert.equal((await see()).refusal?.word, 'weighted');
});

test('a page that does not hold every record is refused, not taken for the whole', async () => {
  stands();
  vendor.hooks.set('DescribeSubDomainRecords', (_, r) =>
    vendor.answer(r, 200, {
      RequestId: 'R',
      TotalCount: 101,
      DomainRecords: { Record: vendor.rows },
    }),
  );
  assert.equal((await see()).refusal?.word, 'other-type');
});

test('the apex is refused', async () => {
  const read = await readAll(provider, ['example.net.'], never());
  assert.ok(read.ok);
  assert.equal(read.value['example.net.']?.refusal?.word, 'apex');
});

test('other names that the fuzzy search gives are not taken for ours', async () => {
  vendor.add('xwww.gslb', 'A', '192.0.2.1');
  vendor.add('WWW.GSLB', 'CNAME', 'a.example.com');
  const seen = await see();
  assert.equal(seen.refusal, null);
  assert.deepEqual(seen.cnames, [{ value: 'a.example.com.', ttl: 600 }]);
});

test('quoted texts of other tools are read as their characters', async () => {
  vendor.add('www.gslb', 'CNAME', 'a.example.com');
  vendor.add('_detour.www.gslb', 'TXT', `"${sign(4).slice(0, 20)}" "${sign(4).slice(20)}"`);
  assert.deepEqual((await see()).markers, [sign(4)]);
});

test('a TTL under the floor of the edition is rejected with the cure, without a call', async () => {
  stands();
  const from = await see();
  vendor.calls = [];
  const fault = faultOf(await put(change(from, 'b.example.com.', 5, 'x', 30)));
  assert.equal(fault.kind, 'rejected');
  assert.match(fault.cure ?? '', /ttl of 60/);
  assert.deepEqual(vendor.calls, []);
});

test('a marker that the vendor would alter is rejected', async () => {
  stands();
  const from = await see();
  for (const bad of ['say "hi"', 'back\\slash', 'ü', 'x'.repeat(513)]) {
    const wanted = change(from, 'b.example.com.', 5);
    const odd = { ...wanted, to: { ...wanted.to, marker: marker(5, { cluster: bad }) } };
    assert.equal(faultOf(await put(odd)).kind, 'rejected', bad);
  }
});

test('the zone tells its servers and floor, and warns of a slow edition', async () => {
  const facts = await provider.zone(WWW, never());
  assert.deepEqual(facts, {
    ok: true,
    value: {
      zone: 'example.net.',
      nameServers: ['ns1.alidns.com', 'ns2.alidns.com'],
      ttlMin: 60,
      warnings: [],
    },
  });
  vendor.zones['slow.example'] = { VersionCode: 'mianfei', MinTtl: 600 };
  const slow = await open({ zone: 'slow.example' }).zone('www.slow.example.', never());
  assert.ok(slow.ok);
  assert.match(slow.value.warnings.join('\n'), /mianfei takes no TTL under 600 s/);
  assert.match(slow.value.warnings.join('\n'), /nameservers/);
});

test('a zone in the black hole is refused, and asked for again until it is out', async () => {
  stands();
  vendor.zones['example.net']!['InBlackHole'] = true;
  assert.equal((await see()).refusal?.word, 'blocked');
  assert.equal(faultOf(await put(change(await see(), 'b.example.com.', 5))).kind, 'rejected');
  vendor.zones['example.net']!['InBlackHole'] = false;
  assert.equal((await see()).refusal, null);
});

test('without a setting the longest zone of the account is found, once', async () => {
  vendor.zones['gslb.example.net'] = { MinTtl: 1, DnsServers: { DnsServer: ['ns9.alidns.com'] } };
  provider = open({ zone: undefined });
  const facts = await provider.zone(WWW, never());
  assert.ok(facts.ok);
  assert.equal(facts.value.zone, 'gslb.example.net.');
  const asked = vendor.calls.length;
  await provider.zone(WWW, never());
  assert.equal(vendor.calls.length, asked);
});

test('a key for one domain alone finds it past the refusals of the others', async () => {
  vendor.hooks.set('DescribeDomainInfo', (p, r) =>
    p['DomainName'] === 'example.net' ? false : vendor.refuse(r, 403, 'Forbidden.RAM'),
  );
  provider = open({ zone: undefined });
  const facts = await provider.zone(WWW, never());
  assert.ok(facts.ok);
  assert.equal(facts.value.zone, 'example.net.');
  // Refused for all of them, it may be an outage: suspect, and asked for again later.
  vendor.hooks.set('DescribeDomainInfo', (_, r) => vendor.refuse(r, 403, 'Forbidden.RAM'));
  assert.equal(faultOf(await provider.zone('www.other.example.', never())).kind, 'auth-suspect');
});

test('a name outside the zone, or in none of the account, is rejected with the cure', async () => {
  assert.ok(faultOf(await provider.zone('www.example.org.', never())).cure);
  const fault = faultOf(await open({ zone: undefined }).zone('www.example.org.', never()));
  assert.equal(fault.kind, 'rejected');
  assert.ok(fault.cure);
});

test('settings: https unless this machine, no secret written out, no unknown word', () => {
  const good = { accessKeyId: { env: 'A' }, accessKeySecret: { file: '/x' } };
  assert.equal(alidns.settings.parse(good).endpoint, 'https://alidns.aliyuncs.com');
  for (const bad of [
    { ...good, endpoint: 'http://alidns.aliyuncs.com' },
    { ...good, endpoint: 'https://key:secret@alidns.aliyuncs.com' },
    { ...good, endpoint: 'https://alidns.aliyuncs.com/?AccessKeyId=x' },
    { ...good, endpoint: 'http://127.evil.example' },
    { ...good, accessKeySecret: 'written out' },
    { ...good, region: 'cn-hangzhou' },
    { accessKeyId: { env: 'A' } },
  ]) {
    assert.equal(alidns.settings.safeParse(bad).success, false, JSON.stringify(bad));
  }
});

test('no answer of any shape is a success or makes it throw', async () => {
  stands();
  const from = await see();
  await fc.assert(
    fc.asyncProperty(fc.jsonValue(), fc.constantFrom(200, 400, 500), async (body, status) => {
      vendor.hooks.set('AddDomainRecord', (_, r) => vendor.answer(r, status, body ?? ''));
      assert.equal((await put(change(from, 'b.example.com.', 5))).ok, false);
      vendor.hooks.set('DescribeSubDomainRecords', (_, r) =>
        vendor.answer(r, 200, { RequestId: 'R', DomainRecords: body }),
      );
      assert.equal((await readAll(provider, [WWW], never())).ok, false);
    }),
    { numRuns: 60 },
  );
});

test('100 names in a domain too long to list: read in as few rounds as go by name', async () => {
  const names = Array.from({ length: 100 }, (_, i) => `r${i}.gslb.example.net.`);
  for (const name of names) vendor.add(name.slice(0, -'.example.net.'.length), 'CNAME', 'a.cn');
  vendor.hooks.set('DescribeDomainRecords', (_, response) =>
    vendor.answer(response, 200, {
      RequestId: 'R',
      TotalCount: 1_000_000,
      DomainRecords: { Record: [] },
    }),
  );
  const read: string[] = [];
  const rounds = await roundsOf(provider, names, (name, { cnames }) => {
    assert.equal(cnames.length, 1);
    read.push(name);
  });
  assert.deepEqual(read.toSorted(), names.toSorted(), 'each once');
  assert.ok(rounds <= 2, `${rounds} rounds`);
  const lists = vendor.actions().filter((action) => action === 'DescribeDomainRecords');
  assert.equal(lists.length, 1, 'it is not listed in vain again');
});

test('an edition that was changed is known after the refusal of its floor', async () => {
  stands();
  const from = await see();
  assert.equal(faultOf(await put(change(from, 'b.example.com.', 5, 'x', 30))).kind, 'rejected');
  vendor.zones['example.net'] = { ...vendor.zones['example.net'], MinTtl: 1 };
  assert.ok((await put(change(await see(), 'b.example.com.', 5, 'x', 30))).ok);
});

/** Four hundred names, each with a CNAME and a marker. */
function crowd(): string[] {
  return Array.from({ length: 400 }, (_, i) => {
    vendor.add(`r${i}.gslb`, 'CNAME', `t${i}.example.com`);
    vendor.add(`_detour.r${i}.gslb`, 'TXT', sign(i));
    return `r${i}.gslb.example.net.`;
  });
}

test('many names come from the pages of one listing', async () => {
  const names = crowd();
  const read = await readAll(provider, [...names, WWW], never());
  assert.ok(read.ok, JSON.stringify(read));
  names.forEach((name, i) => {
    assert.deepEqual(read.value[name]?.cnames, [{ value: `t${i}.example.com.`, ttl: 600 }]);
    assert.deepEqual(read.value[name]?.markers, [sign(i)]);
  });
  assert.deepEqual(read.value[WWW]?.cnames, []);
  const lists = vendor.actions().filter((a) => a === 'DescribeDomainRecords');
  assert.equal(lists.length, 2);
  assert.ok(!vendor.actions().includes('DescribeSubDomainRecords'));
  assert.equal(provider.calls, vendor.calls.length, 'it counts what it sends');
});

test('a record that slips from one page to another is not taken for missing', async () => {
  const names = crowd();
  for (const [slip, lists] of [
    [() => vendor.rows.shift(), 2],
    // One comes as another goes, so that their number says nothing.
    [() => vendor.rows.push({ ...vendor.rows.shift()!, RR: 'new.gslb', RecordId: '1' }), 2],
  ] as const) {
    vendor.calls = [];
    vendor.hooks.set('DescribeDomainRecords', (_, __, nth) => {
      if (nth === 2) slip();
      return false;
    });
    const read = await readAll(provider, names.slice(225, 275), never());
    assert.ok(read.ok, JSON.stringify(read));
    const found = Object.entries(read.value);
    assert.equal(found.length, 50);
    for (const [name, seen] of found) {
      assert.deepEqual([seen.cnames.length, seen.markers.length], [1, 1], name);
    }
    assert.equal(vendor.actions().filter((a) => a === 'DescribeDomainRecords').length, lists);
  }
});

test('of many names in a domain too long to list, those that fit are read', async () => {
  const names = crowd();
  vendor.hooks.set('DescribeDomainRecords', (_, response) =>
    vendor.answer(response, 200, {
      RequestId: 'R-0',
      TotalCount: 1_000_000,
      DomainRecords: { Record: [] },
    }),
  );
  const read = await readAll(provider, names, never());
  assert.ok(read.ok, JSON.stringify(read));
  const found = Object.entries(read.value);
  assert.ok(found.length > 0 && found.length < names.length);
  for (const [name, seen] of found) assert.equal(seen.cnames.length, 1, name);
  assert.ok(vendor.calls.length <= alidns.capabilities.callsMax, `${vendor.calls.length} calls`);
});

test('several changes go side by side, and the vendor gets one write at a time', async () => {
  const names = crowd().slice(0, 10);
  const read = await readAll(provider, names, never());
  assert.ok(read.ok);
  let [writing, most] = [0, 0];
  for (const action of ['AddDomainRecord', 'UpdateDomainRecord', 'DeleteDomainRecord']) {
    vendor.hooks.set(action, (params, response) => {
      most = Math.max(most, ++writing);
      setTimeout(() => {
        writing--;
        vendor.apply(params, response);
      }, 2);
      return true;
    });
  }
  const changes = names.map((name, i) => ({
    ...change(read.value[name]!, 'b.example.com.', i + 1),
    name,
  }));
  const results = await writeAll(provider, changes, never());
  assert.ok(
    results.every((r) => r.ok),
    JSON.stringify(results),
  );
  assert.equal(most, 1);
  names.forEach((_, i) => {
    assert.deepEqual(vendor.at(`r${i}.gslb`), ['CNAME b.example.com 600']);
    assert.deepEqual(vendor.at(`_detour.r${i}.gslb`), [`TXT ${sign(i + 1)} 600`]);
  });
});

test('one change of several that is stale holds up no other; a vendor that fails gets no more', async () => {
  const names = crowd().slice(0, 10);
  const read = await readAll(provider, names, never());
  assert.ok(read.ok);
  vendor.rows.find((r) => r.RR === 'r3.gslb')!.Value = 'human.example.org';
  const changes = names.map((name) => ({
    ...change(read.value[name]!, 'b.example.com.', 900),
    name,
  }));
  const results = await writeAll(provider, changes, never());
  const kinds = results.map((r) => (r.ok ? 'ok' : r.fault.kind));
  assert.deepEqual(
    kinds,
    names.map((_, i) => (i === 3 ? 'conflict' : 'ok')),
  );
  const again = await readAll(provider, names, never());
  assert.ok(again.ok);
  vendor.hooks.set('AddDomainRecord', (_, response) =>
    vendor.refuse(response, 400, 'Throttling.User'),
  );
  vendor.calls = [];
  const more = names.map((name) => ({
    ...change(again.value[name]!, 'c.example.com.', 901),
    name,
  }));
  const failed = await writeAll(provider, more, never());
  assert.ok(failed.every((r) => faultOf(r).kind === 'throttled'));
  assert.ok(vendor.calls.length <= 4, `${vendor.calls.length} calls`);
});
