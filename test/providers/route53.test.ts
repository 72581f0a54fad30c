// The Route 53 adapter against raw servers that misbehave as proxies and overloaded vendors do, and
// against the lab's strict Route 53 for everything that must work.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, test } from 'node:test';
import fc from 'fast-check';
import { sendHalving } from '../../providers/kit/batch.ts';
import {
  done,
  failed,
  loading,
  networkTrouble,
  parseRetryAfter,
  retryAfterMaxMs,
  scrub,
} from '../../providers/kit/fault.ts';
import { Room } from '../../providers/kit/room.ts';
import { nameFrom, quoteText, unquoteText } from '../../providers/kit/zone.ts';
import { route53 } from '../../providers/route53.ts';
import type { Change, Fault, Result, Seen } from '../../src/core/model.ts';
import type { Provider } from '../../src/kit/extend.ts';
import { SecretError } from '../../src/kit/secret.ts';
import { startRoute53 } from '../../src/lab/vendors/route53.ts';
import type { LabRecord, LabVendor, ZoneSettings } from '../../src/lab/vendors/vendor.ts';
import { marker, markerText, readAll, roundsOf, writeAll } from '../parts/answers.ts';
import { anySign } from '../parts/any-sign.ts';

const KEY_ID = 'AKIAEXAMPLEKEYID0001';
const KEY = 'exampleSecret/Access+Key0123456789abcdef';
const ZONE = 'gslb.example.net.';
const WWW = `www.${ZONE}`;
const never = new AbortController().signal;
// Loaded beforehand, so that a short limit of a call is never spent on it.
await import('@aws-sdk/client-route-53');
const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

// ---------------------------------------------------------------- tools

type Handler = (request: Asked, response: ServerResponse) => void;

interface Asked {
  readonly write: boolean;
  readonly url: URL;
  readonly body: string;
}

interface Raw {
  readonly url: string;
  readonly asked: Asked[];
  readonly sockets: Set<Socket>;
}

async function serve(handler: Handler): Promise<Raw> {
  const asked: Asked[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const url = new URL(request.url ?? '/', 'http://lab');
      const one = { write: request.method === 'POST', url, body: Buffer.concat(chunks).toString() };
      asked.push(one);
      handler(one, response);
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, sockets };
}

function account(
  endpoint: string,
  more: { timeoutMs?: number; settings?: Record<string, unknown> } = {},
): Provider {
  const settings = route53.settings.parse({
    credentials: { accessKeyId: { env: 'ID' }, secretAccessKey: { env: 'KEY' } },
    endpoint,
    ...more.settings,
  });
  const secret = (ref: unknown) => ((ref as { env: string }).env === 'ID' ? KEY_ID : KEY);
  const context = { secret, callTimeoutMs: more.timeoutMs ?? 2000 };
  const provider = route53.create('r53', settings, context);
  closers.push(() => provider.close());
  return provider;
}

/** As if read before: the zone need not be asked for. */
function change(name = WWW, more: Partial<Seen> = {}): Change {
  const from: Seen = {
    cnames: [{ value: 'a.example.org.', ttl: 60 }],
    markers: ['epoch=1'],
    refusal: null,
    ref: {
      zone: { id: 'Z1', name: ZONE },
      cname: { name, ttl: 60, values: ['a.example.org.'] },
      marker: { name: `_detour.${name}`, ttl: 60, values: ['"epoch=1"'] },
    },
    ...more,
  };
  return { name, from, to: { cname: 'b.example.org.', ttl: 60, marker: marker(2) } };
}

function xml(response: ServerResponse, status: number, body: string, headers = {}): void {
  response.writeHead(status, { 'content-type': 'text/xml', ...headers });
  response.end(body);
}

function refuse(response: ServerResponse, status: number, code: string, message = 'no', more = {}) {
  const error = `<Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error>`;
  const body = `<ErrorResponse>${error}<RequestId>r-1</RequestId></ErrorResponse>`;
  xml(response, status, `<?xml version="1.0"?>${body}`, more);
}

const zones = (name = ZONE) =>
  '<?xml version="1.0"?><ListHostedZonesByNameResponse><HostedZones><HostedZone>' +
  `<Id>/hostedzone/Z1</Id><Name>${name}</Name><CallerReference>c</CallerReference>` +
  '</HostedZone></HostedZones><IsTruncated>false</IsTruncated><MaxItems>100</MaxItems>' +
  '</ListHostedZonesByNameResponse>';

const set = (name: string, type: string, value: string) =>
  `<ResourceRecordSet><Name>${name}</Name><Type>${type}</Type><TTL>60</TTL><ResourceRecords>` +
  `<ResourceRecord><Value>${value}</Value></ResourceRecord></ResourceRecords></ResourceRecordSet>`;

const page = (sets: string, next = '') =>
  '<?xml version="1.0"?><ListResourceRecordSetsResponse>' +
  `<ResourceRecordSets>${sets}</ResourceRecordSets><IsTruncated>${next !== ''}</IsTruncated>` +
  `${next}<MaxItems>100</MaxItems></ListResourceRecordSetsResponse>`;

/** Zones and one CNAME for reads; writes go to the handler. */
function onWrite(handler: Handler): Handler {
  return (asked, response) => {
    if (asked.write) handler(asked, response);
    else if (asked.url.pathname.endsWith('/rrset')) {
      xml(response, 200, page(set(WWW, 'CNAME', 'a.example.org')));
    } else xml(response, 200, zones());
  };
}

/** Zones for the search; the listing of records goes to the handler. */
function onList(handler: Handler): Handler {
  return (asked, response) => {
    if (asked.url.pathname.endsWith('/rrset')) handler(asked, response);
    else xml(response, 200, zones());
  };
}

function faultOf(result: Result<unknown> | undefined): Fault {
  assert.ok(result, 'there is a result');
  assert.ok(!result.ok, `expected a fault, got ${JSON.stringify(result)}`);
  return result.fault;
}

function valued<T>(result: Result<T>): T {
  assert.ok(result.ok, `expected a value, got ${JSON.stringify(result)}`);
  return result.value;
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + 5000;
  while (!holds()) {
    assert.ok(performance.now() < end, `waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function writeOnce(handler: Handler, timeoutMs = 2000): Promise<{ fault: Fault; raw: Raw }> {
  const raw = await serve(onWrite(handler));
  const [result] = await writeAll(account(raw.url, { timeoutMs }), [change()], never);
  return { fault: faultOf(result), raw };
}

async function readOnce(handler: Handler, timeoutMs = 2000): Promise<{ fault: Fault; raw: Raw }> {
  const raw = await serve(onList(handler));
  const result = await readAll(account(raw.url, { timeoutMs }), [WWW], never);
  return { fault: faultOf(result), raw };
}

const writes = (raw: Raw) => raw.asked.filter((asked) => asked.write).length;
const lists = (raw: Raw) => raw.asked.filter((a) => a.url.pathname.endsWith('/rrset')).length;

// ---------------------------------------------------------------- writes whose reply is bad

test('a write that is never answered ends in time, uncertain, and was sent once', async () => {
  const before = performance.now();
  const { fault, raw } = await writeOnce(() => {}, 2000);
  assert.equal(fault.kind, 'uncertain');
  assert.ok(performance.now() - before < 20_000, 'the SDK would wait for minutes');
  assert.equal(writes(raw), 1);
  await until('the socket is given back', () => raw.sockets.size === 0);
});

test('a write whose connection is cut is uncertain and was sent once', async () => {
  const { fault, raw } = await writeOnce((_, response) => response.socket?.destroy());
  assert.equal(fault.kind, 'uncertain');
  assert.match(fault.detail, /ECONNRESET/);
  assert.equal(writes(raw), 1);
});

test('a write answered by a stalled body is ended and uncertain', async () => {
  const { fault, raw } = await writeOnce((_, response) => {
    response.writeHead(200, { 'content-type': 'text/xml', 'content-length': '500' });
    response.write('<?xml version="1.0"?><ChangeResource');
  }, 2000);
  assert.equal(fault.kind, 'uncertain');
  assert.equal(writes(raw), 1);
  await until('the socket is given back', () => raw.sockets.size === 0);
});

test('success to a write is believed only with what it must say', async () => {
  const bodies = [
    '',
    '<?xml version="1.0"?><ChangeResourceRecordSetsResponse/>',
    '<html><body>Please log in to the network</body></html>',
    '<html><body><p>not even XML<br></body>',
    '<?xml version="1.0"?><ChangeResourceRecordSetsResponse><ChangeInfo><Id>/cha',
  ];
  for (const body of bodies) {
    const { fault, raw } = await writeOnce((_, response) => xml(response, 200, body));
    assert.equal(fault.kind, 'uncertain', `after ${JSON.stringify(body)}`);
    assert.equal(writes(raw), 1);
  }
});

test('server errors to a write are uncertain unless the vendor itself says nothing was done', async () => {
  const cases: [status: number, code: string | null, kind: string][] = [
    [500, 'InternalFailure', 'uncertain'],
    [503, 'ServiceUnavailable', 'unavailable'],
    [502, null, 'uncertain'],
    [504, null, 'uncertain'],
  ];
  for (const [status, code, kind] of cases) {
    const { fault, raw } = await writeOnce((_, response) => {
      if (code !== null) return refuse(response, status, code);
      response.writeHead(status, { 'content-type': 'text/html' });
      response.end('<html><body>Bad gateway</body></html>');
    });
    assert.equal(fault.kind, kind, `${status} ${code}`);
    assert.equal(writes(raw), 1, `${status} ${code}`);
  }
});

test('throttling is known by its code, is not repeated, and its hour of waiting is capped', async () => {
  for (const code of ['Throttling', 'ThrottlingException', 'PriorRequestNotComplete']) {
    const { fault, raw } = await writeOnce((_, response) =>
      refuse(response, 400, code, 'Rate exceeded', { 'retry-after': '3600' }),
    );
    assert.equal(fault.kind, 'throttled', code);
    assert.equal(fault.retryAfterMs, retryAfterMaxMs, code);
    assert.equal(writes(raw), 1, code);
  }
});

test('a batch refused in the old form, with no code to be read, is a conflict', async () => {
  for (const body of [
    '<?xml version="1.0"?><InvalidChangeBatch><Messages><Message>x</Message></Messages></InvalidChangeBatch>',
    '',
  ]) {
    const { fault } = await writeOnce((_, response) => xml(response, 400, body));
    assert.equal(fault.kind, 'conflict', body);
  }
});

test('refused keys are auth-suspect, and no fault shows a key', async () => {
  for (const code of ['AccessDenied', 'InvalidClientTokenId', 'SignatureDoesNotMatch', 'Odd']) {
    const { fault } = await writeOnce((_, response) =>
      refuse(response, 403, code, `canonical string of ${KEY_ID}: ${KEY}`),
    );
    assert.equal(fault.kind, 'auth-suspect', code);
    assert.ok(!JSON.stringify(fault).includes(KEY) && !JSON.stringify(fault).includes(KEY_ID));
  }
  for (const code of ['InvalidInput', 'InvalidChangeBatch']) {
    const message = `the value ${KEY} of https://u:p@h.example/x?sig=${KEY_ID} is bad`;
    const { fault } = await writeOnce((_, response) => refuse(response, 400, code, message));
    assert.equal(fault.kind, code === 'InvalidInput' ? 'rejected' : 'conflict');
    assert.match(fault.detail, /the value \*\*\* of https:\/\/h\.example\/x is bad/);
  }
});

test('a refused connection is surely not applied', async () => {
  const raw = await serve(() => {});
  const provider = account(raw.url);
  await closers.shift()!();
  assert.equal(faultOf((await writeAll(provider, [change()], never))[0]).kind, 'unavailable');
  assert.equal(faultOf(await readAll(provider, [WWW], never)).kind, 'unavailable');
});

test('a signal that was already raised sends nothing; one raised later ends the call', async () => {
  const raw = await serve(onWrite(() => {}));
  const provider = account(raw.url, { timeoutMs: 60_000 });
  const early = await writeAll(provider, [change()], AbortSignal.abort());
  assert.equal(faultOf(early[0]).kind, 'unavailable');
  assert.equal(raw.asked.length, 0);
  const controller = new AbortController();
  const late = writeAll(provider, [change()], controller.signal);
  await until('the write is there', () => writes(raw) === 1);
  controller.abort();
  assert.equal(faultOf((await late)[0]).kind, 'uncertain');
});

test('after a lost reply the rest of the changes is not sent', async () => {
  const raw = await serve(onWrite((_, response) => response.socket?.destroy()));
  const long = (i: number) => ({ ...change(`r${i}.${ZONE}`), name: `r${i}.${ZONE}` });
  const many = Array.from({ length: 100 }, (_, i) => {
    const one = long(i);
    return {
      ...one,
      to: {
        ...one.to,
        marker: marker(1, { cluster: 'm'.repeat(180) }),
        cname: `${'c'.repeat(60)}.org.`,
      },
    };
  });
  const results = await writeAll(account(raw.url), many, never);
  const kinds = results.map((result) => faultOf(result).kind);
  assert.equal(writes(raw), 1);
  assert.equal(kinds[0], 'uncertain');
  assert.equal(kinds.at(-1), 'unavailable', 'what was never sent was surely not applied');
});

// ---------------------------------------------------------------- reads

test('a read is repeated at most twice, and only when it failed on the way', async () => {
  const failing = await readOnce((_, response) => refuse(response, 503, 'ServiceUnavailable'));
  assert.equal(failing.fault.kind, 'unavailable');
  assert.equal(lists(failing.raw), 3);
  const throttled = await readOnce((_, response) => refuse(response, 400, 'Throttling'));
  assert.equal(throttled.fault.kind, 'throttled');
  assert.equal(lists(throttled.raw), 1);
  let cut = 0;
  const raw = await serve(
    onList((_, response) => {
      if (cut++ === 0) response.socket?.destroy();
      else xml(response, 200, page(set(WWW, 'CNAME', 'a.example.org')));
    }),
  );
  const seen = valued(await readAll(account(raw.url), [WWW], never));
  assert.deepEqual(seen[WWW]?.cnames, [{ value: 'a.example.org.', ttl: 60 }]);
});

test('a read is believed only when it is whole', async () => {
  const bodies = [
    '',
    '<html><body>Please log in</body></html>',
    '<html><body><p>not XML<br></body>',
    '<?xml version="1.0"?><ListResourceRecordSetsResponse/>',
    page(set(WWW, 'CNAME', 'a.example.org')).slice(0, 150),
    page('<ResourceRecordSet><Type>CNAME</Type></ResourceRecordSet>'),
    page(set('a.b.c.', 'A', '192.0.2.1'), '<NextRecordType>A</NextRecordType>'),
  ];
  for (const body of bodies) {
    const { fault } = await readOnce((_, response) => xml(response, 200, body));
    assert.equal(fault.kind, 'unavailable', `after ${body}`);
  }
});

test('what nobody needs may be left out, and an API that is not there wants no permission', async () => {
  const less = (text: string) => text.replace(/<(IsTruncated|MaxItems)>.*?<\/\1>/g, '');
  const detail =
    '<?xml version="1.0"?><GetHostedZoneResponse><HostedZone><Id>/hostedzone/Z1</Id>' +
    `<Name>${ZONE}</Name><CallerReference>c</CallerReference></HostedZone></GetHostedZoneResponse>`;
  const changed =
    '<?xml version="1.0"?><ChangeResourceRecordSetsResponse><ChangeInfo><Id>/change/C1</Id>' +
    '</ChangeInfo></ChangeResourceRecordSetsResponse>';
  const raw = await serve((asked, response) => {
    const path = asked.url.pathname;
    if (asked.write) xml(response, 200, changed);
    else if (path.endsWith('/rrset')) {
      xml(response, 200, less(page(set(WWW, 'CNAME', 'a.example.org'))));
    } else if (path.endsWith('/Z1')) xml(response, 200, detail);
    else if (path.endsWith('/rrsetprotection')) refuse(response, 404, 'UnknownOperationException');
    else xml(response, 200, less(zones()));
  });
  const provider = account(raw.url);
  const { [WWW]: seen } = valued(await readAll(provider, [WWW], never));
  assert.equal(seen?.cnames[0]?.value, 'a.example.org.');
  const many = ['a', 'b', 'c', 'd'].map((label) => `${label}.${ZONE}`);
  valued(await readAll(provider, many, never));
  const [written] = await writeAll(provider, [change()], never);
  valued(written!);
  const findings = await provider.preflight(WWW, never);
  const protection = findings.filter(({ word }) => word === 'protection');
  assert.match(protection.map(({ sentence }) => sentence).join(), /is not known/);
  assert.deepEqual(
    protection.map(({ cure }) => cure),
    [null],
  );
});

test('a stalled body does not outlast the call', async () => {
  const { fault, raw } = await readOnce((_, response) => {
    response.writeHead(200, { 'content-type': 'text/xml' });
    response.write(page(set(WWW, 'CNAME', 'a.example.org')).slice(0, 100));
  }, 2000);
  assert.equal(fault.kind, 'unavailable');
  assert.match(fault.detail, /2000 ms/);
  await until('the socket is given back', () => raw.sockets.size === 0);
});

test('an answer without end is cut off', async () => {
  const raw = await serve(
    onList((_, response) => {
      response.writeHead(200, { 'content-type': 'text/xml' });
      const block = '<!-- nothing -->'.repeat(16_384);
      const more = (): void => {
        while (response.writable && !response.destroyed) if (!response.write(block)) return;
      };
      response.on('drain', more);
      more();
    }),
  );
  const fault = faultOf(await readAll(account(raw.url, { timeoutMs: 20_000 }), [WWW], never));
  assert.equal(fault.kind, 'unavailable');
  assert.match(fault.detail, /BODY_TOO_LONG/);
});

const names = Array.from({ length: 16 }, (_, i) => `r${i}.${ZONE}`);
const next = (name: string) =>
  `<NextRecordName>${name}</NextRecordName><NextRecordType>A</NextRecordType>`;

test('pages that never move on, or never end, do not keep the reader', async () => {
  const stuck = await serve(
    onList((_, response) => xml(response, 200, page(set(WWW, 'A', '192.0.2.1'), next(WWW)))),
  );
  assert.equal(faultOf(await readAll(account(stuck.url), names, never)).kind, 'unavailable');
  assert.ok(lists(stuck) <= 4, `${lists(stuck)} lists`);
  let count = 0;
  const endless = await serve(
    onList((asked, response) => {
      const name = `n${count++}.${ZONE}`;
      const own = asked.url.searchParams.get('name') ?? '';
      const sets = set(own || name, 'CNAME', 'a.example.org') + set(name, 'A', '192.0.2.1');
      xml(response, 200, page(sets, next(name)));
    }),
  );
  const seen = valued(await readAll(account(endless.url), names, never));
  assert.equal(Object.keys(seen).length, names.length, 'a zone too large is read by name');
  assert.ok(endless.asked.length <= route53.capabilities.callsMax, `${endless.asked.length} calls`);
});

test('of many names in a zone too large to list, those that fit are read', async () => {
  const many = Array.from({ length: 300 }, (_, i) => `r${i}.${ZONE}`);
  let count = 0;
  const endless = await serve(
    onList((asked, response) => {
      const name = `n${count++}.${ZONE}`;
      const own = asked.url.searchParams.get('name') ?? '';
      const sets = set(own || name, 'CNAME', 'a.example.org') + set(name, 'A', '192.0.2.1');
      xml(response, 200, page(sets, next(name)));
    }),
  );
  const provider = account(endless.url);
  const seen = valued(await readAll(provider, many, never));
  const read = Object.keys(seen);
  assert.ok(read.length > 0 && read.length < many.length);
  assert.ok(
    read.every((name) => seen[name]?.cnames.length === 1),
    'and nothing else is told',
  );
  assert.ok(endless.asked.length <= route53.capabilities.callsMax, `${endless.asked.length} calls`);
  assert.equal(provider.calls, endless.asked.length, 'it counts what it sends');
  const before = endless.asked.length;
  const more = Object.keys(valued(await readAll(provider, many, never)));
  assert.ok(endless.asked.length - before <= 2 * more.length, 'it is not listed in vain again');
});

for (const count of [null, 100_000]) {
  const known = count === null ? 'as it turns out' : 'as the vendor says';
  test(`100 names in a zone too long to list, ${known}: read in as few rounds as go by name`, async () => {
    const many = Array.from({ length: 100 }, (_, i) => `r${i}.${ZONE}`);
    const says = count === null ? '' : `<ResourceRecordSetCount>${count}</ResourceRecordSetCount>`;
    let pages = 0;
    let listings = 0;
    const long = await serve((asked, response) => {
      if (!asked.url.pathname.endsWith('/rrset')) {
        return xml(response, 200, zones().replace('</HostedZone>', `${says}</HostedZone>`));
      }
      const own = asked.url.searchParams.get('name') ?? '';
      if (own === '') listings++;
      const name = own.startsWith('r') ? own : `n${pages++}.${ZONE}`;
      const sets = set(name, 'CNAME', `${name.split('.')[0]}.example.org`);
      xml(
        response,
        200,
        page(sets + set(`zz${pages}.${ZONE}`, 'A', '192.0.2.1'), next(`n${pages}.${ZONE}`)),
      );
    });
    const provider = account(long.url);
    const read: string[] = [];
    const rounds = await roundsOf(provider, many, (name, { cnames }) => {
      assert.equal(cnames[0]?.value, `${name.split('.')[0]}.example.org.`);
      read.push(name);
    });
    assert.deepEqual(read.toSorted(), many.toSorted(), 'each once');
    assert.ok(rounds <= Math.ceil(100 / 16), `${rounds} rounds`);
    assert.equal(listings, count === null ? 1 : 0, 'nothing is listed in vain');
  });
}

test('many names are read from one listing, few names one by one', async () => {
  const handler = onList((asked, response) => {
    const own = asked.url.searchParams.get('name');
    const all = names.map((name) => set(name, 'CNAME', 'a.example.org')).join('');
    xml(response, 200, page(own === null ? all : set(own, 'CNAME', 'a.example.org')));
  });
  const many = await serve(handler);
  assert.equal(Object.keys(valued(await readAll(account(many.url), names, never))).length, 16);
  assert.equal(lists(many), 1);
  const few = await serve(handler);
  valued(await readAll(account(few.url), names.slice(0, 3), never));
  assert.equal(lists(few), 3, 'record and marker come in one call');
});

test('what stands behind a name is not taken for it, and odd spellings are', async () => {
  const raw = await serve(
    onList((_, response) =>
      xml(
        response,
        200,
        page(
          set('WWW.gslb.\\145xample.net.', 'CNAME', 'A.Example.ORG') +
            set(`_detour.${WWW}`, 'TXT', '"epoch=1 " "id=\\\\\\"\\101"') +
            set(`zzz.${WWW}`, 'A', '192.0.2.1'),
        ),
      ),
    ),
  );
  const seen = valued(await readAll(account(raw.url), [WWW, `other.${ZONE}`], never));
  assert.deepEqual(seen[WWW]?.cnames, [{ value: 'a.example.org.', ttl: 60 }]);
  assert.deepEqual(seen[WWW]?.markers, ['epoch=1 id=\\"A']);
  assert.deepEqual(seen[`other.${ZONE}`]?.cnames, []);
  assert.equal(seen[`other.${ZONE}`]?.refusal, null);
});

// ---------------------------------------------------------------- with the lab's Route 53

interface Lab {
  readonly vendor: LabVendor;
  readonly provider: Provider;
}

const cname = (name: string, value = 'a.example.org.', extra = {}): LabRecord => ({
  name,
  type: 'CNAME',
  value,
  ttl: 60,
  extra,
});

async function lab(
  records: readonly LabRecord[],
  more: {
    settings?: ZoneSettings;
    chosen?: Record<string, unknown>;
    timeoutMs?: number;
    quotas?: 'real' | 'off';
  } = {},
): Promise<Lab> {
  const vendor = await startRoute53({
    address: '127.0.0.1',
    dnsAddresses: ['127.0.0.1'],
    dnsPort: 0,
    quotas: more.quotas ?? 'off',
    credentials: { accessKeyId: KEY_ID, secretAccessKey: KEY },
    zones: [{ name: ZONE, records, ...(more.settings ? { settings: more.settings } : {}) }],
  });
  closers.push(() => vendor.close());
  const chosen = more.chosen ? { settings: more.chosen } : {};
  const provider = account(vendor.api, { timeoutMs: more.timeoutMs ?? 2000, ...chosen });
  return { vendor, provider };
}

async function see(provider: Provider, name = WWW): Promise<Seen> {
  return valued(await readAll(provider, [name], never))[name]!;
}

async function put(provider: Provider, from: Seen, value: string, epoch: number, name = WWW) {
  const to = { cname: value, ttl: 60, marker: marker(epoch) };
  return (await writeAll(provider, [{ name, from, to }], never))[0]!;
}

test('a switch replaces value and marker at once; a stale writer is refused and changes nothing', async () => {
  const { provider } = await lab([cname(WWW)]);
  const first = await see(provider);
  assert.deepEqual([first.markers, first.refusal], [[], null]);
  valued(await put(provider, first, 'a.example.org.', 1));
  const adopted = await see(provider);
  assert.deepEqual(adopted.cnames, first.cnames, 'adoption writes the marker alone');
  valued(await put(provider, adopted, 'b.example.org.', 2));
  const stale = faultOf(await put(provider, adopted, 'c.example.org.', 2));
  assert.equal(stale.kind, 'conflict');
  const after = await see(provider);
  assert.deepEqual(after.cnames, [{ value: 'b.example.org.', ttl: 60 }]);
  assert.deepEqual(after.markers, [markerText(2)]);
});

test('a stale writer is refused even when only the marker tells', async () => {
  const { provider } = await lab([cname(WWW)]);
  valued(await put(provider, await see(provider), 'a.example.org.', 1));
  const old = await see(provider);
  valued(await put(provider, old, 'a.example.org.', 2));
  assert.equal(faultOf(await put(provider, old, 'a.example.org.', 3)).kind, 'conflict');
});

test('a record that stands nowhere is created, and only once', async () => {
  const { provider } = await lab([]);
  const nothing = await see(provider);
  assert.deepEqual([nothing.cnames, nothing.markers], [[], []]);
  valued(await put(provider, nothing, 'a.example.org.', 1));
  assert.equal(faultOf(await put(provider, nothing, 'b.example.org.', 1)).kind, 'conflict');
  assert.deepEqual((await see(provider)).cnames, [{ value: 'a.example.org.', ttl: 60 }]);
});

test('a change of TTL alone is written', async () => {
  const { provider } = await lab([cname(WWW)]);
  const from = await see(provider);
  const to = { cname: 'a.example.org.', ttl: 30, marker: marker(1) };
  valued((await writeAll(provider, [{ name: WWW, from, to }], never))[0]!);
  assert.deepEqual((await see(provider)).cnames, [{ value: 'a.example.org.', ttl: 30 }]);
});

test('values are deleted exactly as the vendor spells them', async () => {
  const { provider } = await lab([
    cname(WWW, 'A.Example.org'),
    { name: `_detour.${WWW}`, type: 'TXT', value: '"epoch" "=1"', ttl: 17 },
  ]);
  const from = await see(provider);
  assert.deepEqual(from.markers, ['epoch=1']);
  valued(await put(provider, from, 'b.example.org.', 2));
  assert.deepEqual((await see(provider)).markers, [markerText(2)]);
});

test('of many changes only the stale one is refused, and the others are made', async () => {
  const list = Array.from({ length: 10 }, (_, i) => `r${i}.${ZONE}`);
  const { provider, vendor } = await lab(list.map((name) => cname(name)));
  const seen = valued(await readAll(provider, list, never));
  vendor.edit(list[6]!, 'CNAME', 'edited.example.org.', 60);
  const to = { cname: 'b.example.org.', ttl: 60, marker: marker(1) };
  const before = vendor.calls.length;
  const changes = list.map((name) => ({ name, from: seen[name]!, to }));
  const results = await writeAll(provider, changes, never);
  const kinds = results.map((result) => (result.ok ? 'ok' : result.fault.kind));
  const wanted = list.map((_, i) => (i === 6 ? 'conflict' : 'ok'));
  assert.deepEqual(kinds, wanted);
  assert.ok(vendor.calls.length - before <= 9, `${vendor.calls.length - before} calls`);
  const after = valued(await readAll(provider, list, never));
  assert.equal(after[list[6]!]?.cnames[0]?.value, 'edited.example.org.');
  assert.equal(after[list[7]!]?.cnames[0]?.value, 'b.example.org.');
});

test('batches stay within the vendor’s limits', async () => {
  const list = Array.from({ length: 100 }, (_, i) => `r${i}.${ZONE}`);
  const { provider, vendor } = await lab(list.map((name) => cname(name, `${'a'.repeat(60)}.org.`)));
  const seen: Record<string, Seen> = {};
  for (let i = 0; i < 100; i += 16) {
    Object.assign(seen, valued(await readAll(provider, list.slice(i, i + 16), never)));
  }
  const to = {
    cname: `${'b'.repeat(60)}.org.`,
    ttl: 60,
    marker: marker(1, { cluster: 'm'.repeat(180) }),
  };
  const changes = list.map((name) => ({ name, from: seen[name]!, to }));
  const results = await writeAll(provider, changes, never);
  assert.ok(results.every((result) => result.ok));
  const batches = vendor.calls.filter((call) => call.operation === 'ChangeResourceRecordSets');
  assert.equal(batches.length, 2, '100 × 372 characters are more than one batch takes');
});

test('a lost reply is uncertain, and reading shows that it was applied', async () => {
  const { provider, vendor } = await lab([cname(WWW)]);
  const from = await see(provider);
  vendor.fault('lost-reply');
  assert.equal(faultOf(await put(provider, from, 'b.example.org.', 1)).kind, 'uncertain');
  assert.deepEqual((await see(provider)).markers, [markerText(1)]);
});

test('every way the lab breaks is the fault it should be', async () => {
  const cases: [how: string, read: string, write: string][] = [
    ['error', 'unavailable', 'unavailable'],
    ['html', 'unavailable', 'uncertain'],
    ['throttle', 'throttled', 'throttled'],
    ['auth', 'auth-suspect', 'auth-suspect'],
    ['refuse', 'unavailable', 'unavailable'],
    ['hang', 'unavailable', 'uncertain'],
  ];
  const { provider, vendor } = await lab([cname(WWW)], { timeoutMs: 500 });
  const from = await see(provider);
  for (const [how, read, write] of cases) {
    vendor.fault(how);
    assert.equal(faultOf(await readAll(provider, [WWW], never)).kind, read, `reading under ${how}`);
    const fault = faultOf(await put(provider, from, 'b.example.org.', 1));
    // A kept-alive socket that the vendor has closed is a lost connection to whoever used it.
    if (how !== 'refuse') assert.equal(fault.kind, write, `writing under ${how}`);
    vendor.fault(null);
  }
});

test('what Route 53 routes by itself is refused, and never written', async () => {
  const cases: [word: string, records: LabRecord[]][] = [
    ['weighted', [cname(WWW, 'a.example.org.', { setIdentifier: 'one', weight: 10 })]],
    ['health-check', [cname(WWW, 'a.example.org.', { healthCheckId: 'abc' })]],
    ['alias', [{ name: WWW, type: 'A', value: [], ttl: 60, extra: { aliasTarget: `x.${ZONE}` } }]],
    ['other-type', [{ name: WWW, type: 'A', value: '192.0.2.1', ttl: 60 }]],
    ['other-type', [cname(WWW), cname(`_detour.${WWW}`, 'x.example.org.')]],
  ];
  for (const [word, records] of cases) {
    const { provider, vendor } = await lab(records);
    const seen = await see(provider);
    assert.equal(seen.refusal?.word, word);
    assert.equal(faultOf(await put(provider, seen, 'b.example.org.', 1)).kind, 'rejected');
    assert.ok(vendor.calls.every((call) => call.operation !== 'ChangeResourceRecordSets'));
  }
  const { provider } = await lab([], { chosen: { zone: ZONE } });
  assert.equal((await see(provider, ZONE)).refusal?.word, 'apex');
});

test('a protected record is a conflict that says who protects it', async () => {
  const settings = { protections: [{ name: WWW, type: 'CNAME', comment: 'ask Kim first' }] };
  const { provider } = await lab([cname(WWW)], { settings });
  const fault = faultOf(await put(provider, await see(provider), 'b.example.org.', 1));
  assert.equal(fault.kind, 'conflict');
  assert.match(fault.detail + fault.cure, /ask Kim first[\s\S]*protection/);
});

test('a marker too long, or a change read elsewhere, is refused before anything is sent', async () => {
  const { provider, vendor } = await lab([cname(WWW)]);
  const from = await see(provider);
  const calls = vendor.calls.length;
  const to = { cname: 'b.example.org.', ttl: 60, marker: marker(1, { cluster: 'm'.repeat(256) }) };
  const changes = [
    { name: WWW, from, to },
    { name: WWW, from: { ...from, ref: null }, to: { ...to, marker: marker(1) } },
  ];
  const results = await writeAll(provider, changes, never);
  assert.deepEqual(
    results.map((result) => faultOf(result).kind),
    ['rejected', 'conflict'],
  );
  assert.equal(vendor.calls.length, calls);
});

// ---------------------------------------------------------------- zones, settings

test('the zone is found by the longest parent, with its servers and a warning', async () => {
  const { provider, vendor } = await lab([cname(WWW)]);
  const facts = valued(await provider.zone(WWW, never));
  assert.equal(facts.zone, ZONE);
  assert.equal(facts.nameServers.length, 1);
  assert.equal(facts.ttlMin, null);
  assert.match(facts.warnings.join(), /Accelerated recovery is not enabled/);
  const calls = vendor.calls.length;
  valued(await provider.zone(`other.${ZONE}`, never));
  assert.equal(vendor.calls.length - calls, 1, 'where it is was remembered');
  const ready = await lab([], { settings: { acceleratedRecovery: 'ENABLED' } });
  assert.deepEqual(valued(await ready.provider.zone(WWW, never)).warnings, []);
  const locked = await lab([], {
    settings: { acceleratedRecovery: 'ENABLING_HOSTED_ZONE_LOCKED' },
  });
  assert.match(valued(await locked.provider.zone(WWW, never)).warnings.join(), /refused until/);
});

test('zones that must not be used are refused with the cure', async () => {
  const cases: [settings: ZoneSettings, said: RegExp][] = [
    [{ privateZone: true }, /no zone in this account/],
    [{ linkedService: 'x.amazonaws.com' }, /belongs to another service/],
  ];
  for (const [settings, said] of cases) {
    const { provider } = await lab([], { settings });
    const fault = faultOf(await provider.zone(WWW, never));
    assert.equal(fault.kind, 'rejected');
    assert.match(fault.detail, said);
  }
  const { provider, vendor } = await lab([], { settings: { privateZone: true } });
  const byId = account(vendor.api, { settings: { zoneId: vendor.zoneId(ZONE) } });
  assert.match(faultOf(await byId.zone(WWW, never)).detail, /is private/);
  assert.equal(faultOf(await provider.zone('www.elsewhere.org.', never)).kind, 'rejected');
});

test('of a server only what is used is demanded, and no permission for what it lacks', async () => {
  const list = zones().replace(/<IsTruncated>.*<\/MaxItems>/, '');
  const detail =
    '<?xml version="1.0"?><GetHostedZoneResponse>' +
    `${list.match(/<HostedZone>.*<\/HostedZone>/)![0]}<DelegationSet><NameServers>` +
    '<NameServer>ns1.example.net</NameServer></NameServers></DelegationSet></GetHostedZoneResponse>';
  const older = await serve(({ url, write }, response) => {
    if (write) refuse(response, 400, 'InvalidChangeBatch');
    else if (url.pathname.endsWith('/rrset')) {
      xml(response, 200, page(set(WWW, 'CNAME', 'a.example.org')));
    } else if (url.pathname.endsWith('/rrsetprotection')) xml(response, 404, '<html></html>');
    else xml(response, 200, url.pathname.endsWith('/Z1') ? detail : list);
  });
  const findings = await account(older.url).preflight(WWW, never);
  const locks = findings.filter(({ word }) => word === 'protection');
  assert.deepEqual(
    locks.map(({ severity, cure, reach }) => [severity, cure, reach.kind]),
    [['warn', null, 'record']],
  );
  assert.equal(findings.at(-1)?.word, 'write-permission', JSON.stringify(findings));
});

test('two public zones of one name want an id, and the list is no filter', async () => {
  const one = zones().match(/<HostedZone>.*<\/HostedZone>/)![0];
  const twice = zones().replace(one, one + one.replace('Z1', 'Z2'));
  const two = await serve((_, response) => xml(response, 200, twice));
  const fault = faultOf(await readAll(account(two.url), [WWW], never));
  assert.equal(fault.kind, 'rejected');
  assert.match(fault.cure ?? '', /zoneId/);
  const other = await serve((_, response) => xml(response, 200, zones('gslb.example.net.au.')));
  assert.match(faultOf(await readAll(account(other.url), [WWW], never)).detail, /no zone/);
});

test('a configured zone and id are taken at their word, and must agree', async () => {
  const { vendor } = await lab([cname(WWW)]);
  const zoneId = vendor.zoneId(ZONE);
  const both = account(vendor.api, { settings: { zone: 'gslb.example.net', zoneId } });
  assert.equal((await see(both)).cnames.length, 1);
  const apart = account(vendor.api, { settings: { zone: 'example.net', zoneId } });
  assert.equal(faultOf(await readAll(apart, [WWW], never)).kind, 'rejected');
  const fault = faultOf(await readAll(both, ['www.example.org.'], never));
  assert.match(fault.detail, /not within the configured zone/);
});

test('secrets come by reference only, as a pair or as one JSON text', async () => {
  const parse = (credentials: unknown, more = {}) =>
    route53.settings.safeParse({ credentials, ...more });
  assert.ok(!parse(KEY).success);
  assert.ok(!parse({ accessKeyId: 'AKIA', secretAccessKey: KEY }).success);
  assert.ok(!parse({ env: 'K' }, { endpoint: 'http://route53.example.net' }).success);
  assert.ok(!parse({ env: 'K' }, { endpoint: 'https://u:p@route53.example.net' }).success);
  const settings = route53.settings.parse({ credentials: { file: '/keys.json' } });
  assert.equal(settings.region, 'us-east-1');
  const make = (text: string) =>
    route53.create('r53', settings, { secret: () => text, callTimeoutMs: 1000 }).close();
  make(JSON.stringify({ accessKeyId: KEY_ID, secretAccessKey: KEY, sessionToken: 't' }));
  for (const text of [KEY, `{"accessKeyId":"${KEY_ID}"}`, '[]', `{"secretAccessKey": ${KEY}}`]) {
    assert.throws(
      () => make(text),
      (error: Error) => {
        assert.ok(error instanceof SecretError);
        assert.match(error.message, /file \/keys\.json: expected a JSON object/);
        const whole = error.message + error.stack + String(error.cause);
        return !whole.includes(KEY) && !whole.includes(KEY_ID);
      },
    );
  }
});

test('one JSON text of keys, with a session token, signs what the vendor takes', async () => {
  const vendor = await startRoute53({
    address: '127.0.0.1',
    dnsAddresses: ['127.0.0.1'],
    dnsPort: 0,
    credentials: { accessKeyId: KEY_ID, secretAccessKey: KEY, sessionToken: 'token/1' },
    zones: [{ name: ZONE, records: [cname(WWW)] }],
  });
  closers.push(() => vendor.close());
  const text = JSON.stringify({
    accessKeyId: KEY_ID,
    secretAccessKey: KEY,
    sessionToken: 'token/1',
  });
  const settings = route53.settings.parse({ credentials: { env: 'K' }, endpoint: vendor.api });
  const provider = route53.create('r', settings, { secret: () => text, callTimeoutMs: 2000 });
  closers.push(() => provider.close());
  assert.equal((await see(provider)).cnames.length, 1);
});

// ---------------------------------------------------------------- the shared pieces

test('any text survives quoting in either radix', () => {
  const text = fc.string({ unit: anySign, maxLength: 24 });
  fc.assert(
    fc.property(text, fc.constantFrom(8 as const, 10 as const), (plain, radix) => {
      const quoted = quoteText(plain, radix);
      assert.ok(quoted !== null && /^"[\x20-\x7e]*"$/.test(quoted));
      assert.equal(unquoteText(quoted, radix), plain);
    }),
  );
  assert.equal(unquoteText('"a" "b""c"', 8), 'abc');
  assert.equal(unquoteText('" " "\\" " "d"', 10), ' " d', 'spaces within a string are its own');
  assert.equal(unquoteText('plain text', 10), 'plain text');
  assert.equal(nameFrom('\\052.Example.NET'), '*.example.net.');
});

test('Retry-After is read in both forms, capped, and nonsense is none', () => {
  const now = Date.parse('2026-11-23T10:00:00Z');
  assert.equal(parseRetryAfter('7', now), 7000);
  assert.equal(parseRetryAfter(' 99999999 ', now), retryAfterMaxMs);
  assert.equal(parseRetryAfter('Mon, 23 Nov 2026 10:00:30 GMT', now), 30_000);
  assert.equal(parseRetryAfter('Mon, 23 Nov 2026 11:00:00 GMT', now), retryAfterMaxMs);
  assert.equal(parseRetryAfter('Mon, 23 Nov 2026 09:00:00 GMT', now), 0);
  for (const text of ['', '-5', '1.5', 'soon', undefined, null]) {
    assert.equal(parseRetryAfter(text, now), undefined, String(text));
  }
});

test('text of others is shown without secrets, queries and control characters', () => {
  const secret = 'top secret/value+1';
  const text = `a\u001b[31m ${secret}\n${encodeURIComponent(secret)} ${btoa(secret)} http://u:p@h/x?q=${secret}#f`;
  const shown = scrub(text, [secret, '']);
  assert.equal(shown, 'a [31m *** *** *** http://h/x');
  assert.ok(scrub('x'.repeat(10_000), []).length <= 200);
  assert.equal(scrub(undefined, []), '');
});

test('only what surely never left is unavailable to a write', () => {
  const kind = (error: unknown, write = true) =>
    networkTrouble(error, { doing: 'x', write })?.fault.kind;
  const coded = (code: string, more = {}) => Object.assign(new Error('x'), { code, ...more });
  assert.equal(kind(coded('ECONNREFUSED')), 'unavailable');
  assert.equal(kind(coded('ETIMEDOUT', { syscall: 'connect' })), 'unavailable');
  assert.equal(kind(coded('ENOTFOUND')), 'unavailable');
  assert.equal(kind(coded('DEPTH_ZERO_SELF_SIGNED_CERT')), 'unavailable');
  assert.equal(kind(coded('ETIMEDOUT')), 'uncertain');
  assert.equal(kind(coded('ECONNRESET')), 'uncertain');
  assert.equal(kind(coded('ECONNRESET'), false), 'unavailable');
  const both = new AggregateError([coded('ECONNREFUSED'), coded('ECONNRESET')]);
  assert.equal(kind(both), 'uncertain', 'one of several losses came after sending');
  assert.equal(kind(new Error('other', { cause: coded('EPIPE') })), 'uncertain');
  assert.equal(kind(new Error('ECONNREFUSED')), undefined, 'messages decide nothing');
  const ring: Error & { cause?: unknown } = new Error('ring');
  ring.cause = ring;
  assert.equal(kind(ring), undefined);
});

test('an SDK that cannot be loaded is a value, and is loaded again at the next use', async () => {
  let loads = 0;
  const get = loading('the SDK', async () => {
    loads++;
    if (loads === 1) throw Object.assign(new Error(KEY), { code: 'ERR_MODULE_NOT_FOUND' });
    if (loads === 2) await new Promise(() => {});
    return 'loaded';
  });
  assert.equal(loads, 1, 'begun before anybody needs it');
  const missing = faultOf(await get(never, 1000));
  assert.equal(missing.kind, 'unavailable');
  assert.match(missing.detail, /cannot be loaded \(ERR_MODULE_NOT_FOUND\)/);
  assert.match(faultOf(await get(never, 20)).detail, /still being loaded/);
  assert.equal(loads, 2, 'one load at a time');
});

test('halving answers every change once, sends none twice after success, and keeps its bound', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.boolean(), { maxLength: 40 }),
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 100 }),
      async (bad, most, callsMax) => {
        const applied = new Map<number, number>();
        let calls = 0;
        const results = await sendHalving([...bad.keys()], {
          room: new Room(callsMax, Number.POSITIVE_INFINITY),
          fitting: (items) => Math.min(most, items.length),
          async send(items) {
            calls++;
            assert.ok(items.length <= most);
            if (items.some((i) => bad[i])) return failed('record', 'conflict', 'stale');
            for (const i of items) applied.set(i, (applied.get(i) ?? 0) + 1);
            return done(null);
          },
        });
        assert.ok(calls <= callsMax);
        assert.equal(results.length, bad.length);
        for (const [i, result] of results.entries()) {
          assert.equal(applied.get(i) ?? 0, result?.ok ? 1 : 0);
          if (bad[i]) assert.ok(!result?.ok);
          else if (callsMax === 100 && !result?.ok) assert.fail('a good change was not made');
        }
      },
    ),
  );
});
