// The Cloudflare adapter against raw servers that misbehave as proxies and overloaded vendors do,
// and against the lab's strict Cloudflare for everything that must work.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, test } from 'node:test';
import { cloudflare } from '../../providers/cloudflare.ts';
import { retryAfterMaxMs } from '../../providers/kit/fault.ts';
import { zoneFinder } from '../../providers/kit/zone.ts';
import type { Change, Fault, Result, Seen } from '../../src/core/model.ts';
import type { Provider } from '../../src/kit/extend.ts';
import { startCloudflare } from '../../src/lab/vendors/cloudflare.ts';
import type { LabRecord, LabVendor, ZoneSettings } from '../../src/lab/vendors/vendor.ts';
import { marker, markerText, readAll, roundsOf, writeAll } from '../parts/answers.ts';

const TOKEN = 'exampleToken_0123456789abcdefghijklmnopqrstuvwxyz';
const ZONE = 'gslb.example.net.';
const WWW = `www.${ZONE}`;
const ID = '0123456789abcdef0123456789abcdef';
const never = new AbortController().signal;
// Loaded beforehand, so that a short limit of a call is never spent on it.
await import('cloudflare');
const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

// ---------------------------------------------------------------- tools

interface Asked {
  readonly write: boolean;
  readonly url: URL;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

type Handler = (asked: Asked, response: ServerResponse) => void;

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
      const body = Buffer.concat(chunks).toString();
      const one = { write: request.method !== 'GET', url, headers: request.headers, body };
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
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/client/v4`;
  return { url, asked, sockets };
}

function account(
  endpoint: string,
  more: { timeoutMs?: number; settings?: Record<string, unknown> } = {},
): Provider {
  const settings = cloudflare.settings.parse({
    apiToken: { env: 'T' },
    endpoint,
    ...more.settings,
  });
  const context = { secret: () => TOKEN, callTimeoutMs: more.timeoutMs ?? 2000 };
  const provider = cloudflare.create('cf', settings, context);
  closers.push(() => provider.close());
  return provider;
}

const FOUND = { id: ID, name: ZONE, ttlMin: 60, operationsMax: 200 };

/** As if read before: the zone need not be asked for. */
function change(name = WWW): Change {
  const from: Seen = {
    cnames: [{ value: 'a.example.org.', ttl: 60 }],
    markers: ['epoch=1'],
    refusal: null,
    ref: { zone: FOUND, cname: 'c1', marker: 'm1' },
  };
  return { name, from, to: { cname: 'b.example.org.', ttl: 60, marker: marker(2) } };
}

function json(response: ServerResponse, status: number, body: unknown, headers = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

function html(response: ServerResponse, status: number): void {
  response.writeHead(status, { 'content-type': 'text/html' });
  response.end('<html><body>Please log in to the network</body></html>');
}

const good = (result: unknown, more = {}) => ({
  success: true,
  errors: [],
  messages: [],
  result,
  ...more,
});
const bad = (code: number, message = 'no') => ({
  success: false,
  errors: [{ code, message }],
  messages: [],
  result: null,
});

const zoneRow = (more = {}) => ({
  id: ID,
  name: 'gslb.example.net',
  status: 'active',
  type: 'full',
  paused: false,
  name_servers: ['Kim.NS.cloudflare.com'],
  plan: { legacy_id: 'free' },
  ...more,
});

const row = (id: string, name: string, type = 'CNAME', content = 'a.example.org', more = {}) => ({
  id,
  name: name.replace(/\.$/, ''),
  type,
  content,
  ttl: 60,
  proxied: false,
  settings: {},
  ...more,
});

const pageOf = (rows: unknown[], page = 1, perPage = 100, total = rows.length) =>
  good(rows, { result_info: { page, per_page: perPage, count: rows.length, total_count: total } });

const plainDns = { flatten_all_cnames: false, multi_provider: true, zone_mode: 'standard' };

/** Everything right, but for what `over` answers itself (true when it did, or never will). */
function vendor(over: (asked: Asked, response: ServerResponse) => boolean): Handler {
  return (asked, response) => {
    if (over(asked, response)) return;
    const path = asked.url.pathname.replace('/client/v4', '');
    if (path === '/zones') json(response, 200, pageOf([zoneRow()]));
    else if (path === `/zones/${ID}`) json(response, 200, good(zoneRow()));
    else if (path.endsWith('/dns_settings')) json(response, 200, good(plainDns));
    else if (path.endsWith('/dns_records')) json(response, 200, pageOf([row('c1', WWW)]));
    else json(response, 404, bad(7003));
  };
}

const isList = (asked: Asked) => asked.url.pathname.endsWith('/dns_records');

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

async function writeOnce(
  answer: (response: ServerResponse) => void,
  timeoutMs = 2000,
): Promise<{ fault: Fault; raw: Raw }> {
  const raw = await serve(
    vendor((asked, response) => {
      if (asked.write) answer(response);
      return asked.write;
    }),
  );
  const [result] = await writeAll(account(raw.url, { timeoutMs }), [change()], never);
  return { fault: faultOf(result), raw };
}

async function readOnce(
  answer: (response: ServerResponse, asked: Asked) => void,
  timeoutMs = 2000,
): Promise<{ fault: Fault; raw: Raw }> {
  const raw = await serve(
    vendor((asked, response) => {
      if (isList(asked)) answer(response, asked);
      return isList(asked);
    }),
  );
  return { fault: faultOf(await readAll(account(raw.url, { timeoutMs }), [WWW], never)), raw };
}

const writes = (raw: Raw) => raw.asked.filter((asked) => asked.write).length;

// ---------------------------------------------------------------- writes whose reply is bad

test('a write that is never answered ends in time, uncertain, and was sent once', async () => {
  const { fault, raw } = await writeOnce(() => {}, 2000);
  assert.equal(fault.kind, 'uncertain');
  assert.equal(writes(raw), 1);
  await until('the socket is given back', () => raw.sockets.size === 0);
});

test('a write whose connection is cut is uncertain and was sent once', async () => {
  const { fault, raw } = await writeOnce((response) => response.socket?.destroy());
  assert.equal(fault.kind, 'uncertain');
  assert.equal(writes(raw), 1);
});

test('a write answered by a stalled body is ended and uncertain', async () => {
  const { fault, raw } = await writeOnce((response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('{"success":true,');
  }, 2000);
  assert.equal(fault.kind, 'uncertain');
  assert.equal(writes(raw), 1);
  await until('the socket is given back', () => raw.sockets.size === 0);
});

test('success to a write is believed only with the envelope and what it must say', async () => {
  const made = { deletes: [{ id: 'm1' }], patches: [{ id: 'c1' }], posts: [{ id: 'm2' }] };
  const answers: [what: string, answer: (response: ServerResponse) => void][] = [
    ['a page for people', (response) => html(response, 200)],
    ['an empty body', (response) => json(response, 200, '', { 'content-length': '0' })],
    ['no content', (response) => response.writeHead(204).end()],
    ['truncated JSON', (response) => json(response, 200, '{"success":true,"result":{"po')],
    ['success: false', (response) => json(response, 200, { success: false, result: null })],
    ['an odd code', (response) => json(response, 200, bad(424_242))],
    ['no result', (response) => json(response, 200, good(null))],
    ['another result', (response) => json(response, 200, good({ id: 'x' }))],
    ['less than asked', (response) => json(response, 200, good({ posts: [] }))],
    ['a text', (response) => json(response, 200, '"fine"')],
    ['no word of success', (response) => json(response, 200, { result: made })],
    ['success in words', (response) => json(response, 200, { success: 'true', result: made })],
  ];
  for (const [what, answer] of answers) {
    const { fault, raw } = await writeOnce(answer);
    assert.equal(fault.kind, 'uncertain', what);
    assert.equal(writes(raw), 1, what);
  }
});

test('server errors to a write are uncertain unless its own API says that it is failing', async () => {
  const cases: [answer: (response: ServerResponse) => void, kind: string][] = [
    [(response) => json(response, 503, bad(7010)), 'unavailable'],
    [(response) => html(response, 503), 'uncertain'],
    [(response) => html(response, 502), 'uncertain'],
    [(response) => html(response, 522), 'uncertain'],
    [(response) => json(response, 500, bad(1)), 'uncertain'],
  ];
  for (const [i, [answer, kind]] of cases.entries()) {
    const { fault, raw } = await writeOnce(answer);
    assert.equal(fault.kind, kind, `case ${i}`);
    assert.equal(writes(raw), 1, `case ${i}`);
  }
});

test('refusals are told apart by the vendor’s code, also under HTTP 200', async () => {
  const cases: [status: number, code: number, kind: string][] = [
    [404, 81_044, 'conflict'],
    [400, 81_053, 'conflict'],
    [400, 81_054, 'conflict'],
    [400, 81_057, 'conflict'],
    [400, 81_058, 'conflict'],
    [200, 81_044, 'conflict'],
    [400, 1004, 'rejected'],
    [404, 7003, 'rejected'],
    [403, 10_000, 'auth-suspect'],
    [400, 6003, 'auth-suspect'],
    [401, 1000, 'auth-suspect'],
    [200, 9109, 'auth-suspect'],
  ];
  for (const [status, code, kind] of cases) {
    const { fault, raw } = await writeOnce((response) => json(response, status, bad(code)));
    assert.equal(fault.kind, kind, `${status} ${code}`);
    assert.equal(writes(raw), 1, `${status} ${code}`);
  }
});

test('a block is not waited out in the call, and an hour of waiting is capped', async () => {
  const before = performance.now();
  const { fault, raw } = await writeOnce((response) =>
    json(response, 429, bad(971), { 'retry-after': '3600' }),
  );
  assert.equal(fault.kind, 'throttled');
  assert.equal(fault.retryAfterMs, retryAfterMaxMs);
  assert.equal(writes(raw), 1);
  assert.ok(performance.now() - before < 10_000);
  const page = await writeOnce((response) => html(response, 429));
  assert.equal(page.fault.kind, 'throttled');
});

test('no fault shows the token, and no other key is sent', async () => {
  process.env['CLOUDFLARE_API_KEY'] = 'key-of-the-environment';
  process.env['CLOUDFLARE_EMAIL'] = 'mail@of.the.environment';
  try {
    for (const [status, code] of [
      [403, 10_000],
      [400, 1004],
    ] as const) {
      const { fault, raw } = await writeOnce((response) =>
        json(
          response,
          status,
          bad(code, `Bearer ${TOKEN} of http://u:p@h.example/x?token=${TOKEN}`),
        ),
      );
      assert.ok(!JSON.stringify(fault).includes(TOKEN), JSON.stringify(fault));
      const sent = raw.asked[0]!.headers;
      assert.equal(sent.authorization, `Bearer ${TOKEN}`);
      assert.ok(!JSON.stringify(sent).includes('of-the-environment'));
      assert.equal(sent['api-version'], '2026-11-01');
    }
  } finally {
    delete process.env['CLOUDFLARE_API_KEY'];
    delete process.env['CLOUDFLARE_EMAIL'];
  }
});

test('a redirect is not followed, with the token in hand', async () => {
  const other = await serve((_, response) => json(response, 200, good({ posts: [{ id: 'x' }] })));
  const { fault } = await writeOnce((response) => {
    response.writeHead(307, { location: `${other.url}/zones/${ID}/dns_records/batch` }).end();
  });
  assert.equal(fault.kind, 'unavailable');
  assert.equal(other.asked.length, 0);
});

test('a refused connection is surely not applied', async () => {
  const raw = await serve(() => {});
  const provider = account(raw.url);
  await closers.shift()!();
  const fault = faultOf((await writeAll(provider, [change()], never))[0]);
  assert.equal(fault.kind, 'unavailable');
  assert.match(fault.detail, /ECONNREFUSED/);
  assert.equal(faultOf(await readAll(provider, [WWW], never)).kind, 'unavailable');
});

test('a signal that was already raised sends nothing; one raised later ends the call', async () => {
  const raw = await serve(() => {});
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

test('the batch is exactly delete, patch and post, and never anything else', async () => {
  const raw = await serve((asked, response) => {
    const body = JSON.parse(asked.body) as Record<string, unknown[]>;
    const posts = body['posts']!.map((_, i) => ({ id: `new${i}` }));
    json(response, 200, good({ ...body, posts }));
  });
  const provider = account(raw.url);
  const base = change();
  const nothing: Seen = {
    ...base.from,
    cnames: [],
    markers: [],
    ref: { zone: FOUND, cname: null, marker: null },
  };
  const same = { ...base, to: { ...base.to, cname: 'a.example.org.' } };
  for (const one of [base, same, { ...base, from: nothing }]) {
    valued((await writeAll(provider, [one], never))[0]!);
  }
  const sign = {
    name: '_detour.www.gslb.example.net',
    type: 'TXT',
    ttl: 60,
    content: `"${markerText(2)}"`,
  };
  const value = { name: 'www.gslb.example.net', type: 'CNAME', ttl: 60, content: 'b.example.org' };
  assert.deepEqual(
    raw.asked.map((asked) => JSON.parse(asked.body)),
    [
      { deletes: [{ id: 'm1' }], patches: [{ id: 'c1', ...value }], posts: [sign] },
      { deletes: [{ id: 'm1' }], patches: [], posts: [sign] },
      { deletes: [], patches: [], posts: [{ ...value, proxied: false }, sign] },
    ],
  );
  for (const asked of raw.asked) {
    assert.equal(asked.url.pathname, `/client/v4/zones/${ID}/dns_records/batch`);
  }
});

test('a zone that is gone spares the halving, and is looked for again', async () => {
  let batches = 0;
  let searches = 0;
  const raw = await serve(
    vendor((asked, response) => {
      if (asked.url.pathname.endsWith('/zones')) searches++;
      if (!asked.write) return false;
      batches++;
      json(response, 404, bad(7003));
      return true;
    }),
  );
  const provider = account(raw.url);
  valued(await readAll(provider, [WWW], never));
  const changes = Array.from({ length: 8 }, (_, i) => change(`r${i}.${ZONE}`));
  const results = await writeAll(provider, changes, never);
  assert.ok(results.every((result) => faultOf(result).kind === 'rejected'));
  assert.equal(batches, 1);
  const before = searches;
  valued(await readAll(provider, [WWW], never));
  assert.equal(searches, before + 1);
});

// ---------------------------------------------------------------- reads

test('a read is repeated at most twice, and only when it failed on the way', async () => {
  const countOf = (raw: Raw, name: string) =>
    raw.asked.filter((asked) => asked.url.searchParams.get('name.exact') === name).length;
  const failing = await readOnce((response) => json(response, 503, bad(7010)));
  assert.equal(failing.fault.kind, 'unavailable');
  assert.equal(countOf(failing.raw, 'www.gslb.example.net'), 3);
  const blocked = await readOnce((response) => json(response, 429, bad(971)));
  assert.equal(blocked.fault.kind, 'throttled');
  assert.equal(countOf(blocked.raw, 'www.gslb.example.net'), 1);
});

test('a read is believed only when it is whole', async () => {
  const answers: [what: string, answer: (response: ServerResponse, asked: Asked) => void][] = [
    ['a page for people', (response) => html(response, 200)],
    ['an empty body', (response) => json(response, 200, '', { 'content-length': '0' })],
    ['truncated JSON', (response) => json(response, 200, '{"success":true,"result":[')],
    ['success: false', (response) => json(response, 200, { success: false, result: null })],
    ['no list', (response) => json(response, 200, good(null))],
    ['no page', (response) => json(response, 200, good([row('c1', WWW)]))],
    ['a row without id', (response) => json(response, 200, pageOf([{ ...row('', WWW) }]))],
    ['fewer than said', (response) => json(response, 200, pageOf([row('c1', WWW)], 1, 100, 2))],
    ['none but said', (response) => json(response, 200, pageOf([], 1, 100, 150))],
  ];
  for (const [what, answer] of answers) {
    const { fault } = await readOnce(answer);
    assert.equal(fault.kind, 'unavailable', what);
  }
});

test('what nobody needs may be left out, and settings that are not there want no permission', async () => {
  const absent = (response: ServerResponse) => json(response, 404, bad(7000, 'No route'));
  const silent = (response: ServerResponse) => json(response, 200, good({ zone_mode: 'standard' }));
  const denied = (response: ServerResponse) => json(response, 403, bad(10_000));
  for (const [answer, says] of [
    [absent, /has no DNS settings.*is not known/],
    [silent, /has no DNS settings.*is not known/],
    [denied, /add Zone DNS Settings Read/],
  ] as const) {
    const raw = await serve(
      vendor((asked, response) => {
        const path = asked.url.pathname;
        if (path.endsWith('/dns_settings')) answer(response);
        // Not every answer has pages, and what it says of them then is its own.
        else if (path.endsWith('/zones')) {
          json(response, 200, good([zoneRow({ plan: null })], { result_info: { cursors: {} } }));
        } else return false;
        return true;
      }),
    );
    const provider = account(raw.url);
    const { [WWW]: seen } = valued(await readAll(provider, [WWW], never));
    assert.equal(seen?.cnames[0]?.value, 'a.example.org.');
    const { warnings } = valued(await provider.zone(WWW, never));
    assert.match(warnings.join(), says);
    const findings = await provider.preflight(WWW, never);
    const { sentence, cure } = findings.find(({ word }) => word === 'flattening')!;
    assert.match(`${sentence}; ${cure}`, says);
    if (answer !== denied) assert.doesNotMatch(`${warnings} ${cure}`, /Read|token/);
  }
});

test('a stalled body does not outlast the call, and one without end is cut off', async () => {
  const stalled = await readOnce((response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('{"success":true,');
  }, 2000);
  assert.equal(stalled.fault.kind, 'unavailable');
  await until('the socket is given back', () => stalled.raw.sockets.size === 0);
  const endless = await readOnce((response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const block = ' '.repeat(262_144);
    const more = (): void => {
      while (response.writable && !response.destroyed) if (!response.write(block)) return;
    };
    response.on('drain', more);
    more();
  }, 20_000);
  assert.equal(endless.fault.kind, 'unavailable');
  assert.match(endless.fault.detail, /BODY_TOO_LONG/);
});

const names = Array.from({ length: 20 }, (_, i) => `r${i}.${ZONE}`);

test('a server that ignores the page does not keep the reader', async () => {
  const many = Array.from({ length: 500 }, (_, i) => row(`c${i}`, `n${i}.${ZONE}`));
  const ways: [answerPage: (asked: number) => number, calls: number][] = [
    [() => 1, 2],
    [(asked) => asked, 3],
  ];
  for (const [answerPage, calls] of ways) {
    const raw = await serve(
      vendor((asked, response) => {
        if (!isList(asked)) return false;
        const page = answerPage(Number(asked.url.searchParams.get('page')));
        json(response, 200, pageOf(many, page, 500, 1500));
        return true;
      }),
    );
    assert.equal(faultOf(await readAll(account(raw.url), names, never)).kind, 'unavailable');
    assert.equal(raw.asked.filter(isList).length, calls);
  }
});

test('many names come from the pages of one listing; a zone too large is read by name', async () => {
  const all = Array.from({ length: 7000 }, (_, i) => row(`c${i}`, `r${i}.${ZONE}`));
  const answers = (total: number) =>
    vendor((asked, response) => {
      if (!isList(asked)) return false;
      const own = asked.url.searchParams.get('name.exact');
      const page = Number(asked.url.searchParams.get('page'));
      const size = Number(asked.url.searchParams.get('per_page'));
      if (own !== null) json(response, 200, pageOf(all.filter((one) => one.name === own)));
      else
        json(response, 200, pageOf(all.slice((page - 1) * size, page * size), page, size, total));
      return true;
    });
  const usual = await serve(answers(7000));
  const seen = valued(await readAll(account(usual.url), names, never));
  assert.ok(names.every((name) => seen[name]?.cnames.length === 1));
  assert.equal(usual.asked.filter(isList).length, 2);
  const huge = await serve(answers(1_000_000));
  const again = valued(await readAll(account(huge.url), names, never));
  assert.ok(names.every((name) => again[name]?.cnames.length === 1));
  assert.equal(huge.asked.filter(isList).length, 1 + 2 * names.length);
  assert.ok(huge.asked.length <= cloudflare.capabilities.callsMax);
});

test('records of other names, odd spellings and automatic TTLs are read as what they are', async () => {
  const raw = await serve(
    vendor((asked, response) => {
      if (!isList(asked)) return false;
      json(
        response,
        200,
        pageOf([
          row('c1', 'WWW.gslb.example.NET', 'CNAME', 'A.Example.org', { ttl: 1 }),
          row('x', `x${WWW}`, 'A', '192.0.2.1'),
          row('m1', `_detour.${WWW}`, 'TXT', '"epoch=1 " "id=\\"\\065"'),
          row('m2', `_detour.${WWW}`, 'TXT', 'epoch=2'),
        ]),
      );
      return true;
    }),
  );
  const seen = valued(await readAll(account(raw.url), [WWW], never))[WWW]!;
  assert.deepEqual(seen.cnames, [{ value: 'a.example.org.', ttl: 300 }]);
  assert.deepEqual(seen.markers, ['epoch=1 id="A', 'epoch=2']);
  assert.equal(seen.refusal, null);
  const to = { cname: 'b.example.org.', ttl: 60, marker: marker(3) };
  const result = (await writeAll(account(raw.url), [{ name: WWW, from: seen, to }], never))[0];
  assert.equal(faultOf(result).kind, 'rejected', 'two markers are for a person to settle');
  assert.equal(writes(raw), 0);
});

// ---------------------------------------------------------------- with the lab's Cloudflare

const cname = (name: string, value = 'a.example.org.', extra = {}): LabRecord => ({
  name,
  type: 'CNAME',
  value,
  ttl: 60,
  extra,
});

const text = (name: string, value: string): LabRecord => ({
  name,
  type: 'TXT',
  value: `"${value}"`,
  ttl: 60,
});

async function lab(
  records: readonly LabRecord[],
  more: {
    settings?: ZoneSettings;
    chosen?: Record<string, unknown>;
    timeoutMs?: number;
    deny?: readonly string[];
  } = {},
): Promise<{ vendor: LabVendor; provider: Provider }> {
  const started = await startCloudflare({
    address: '127.0.0.1',
    dnsAddresses: ['127.0.0.1'],
    dnsPort: 0,
    quotas: 'off',
    credentials: { apiToken: TOKEN },
    zones: [{ name: ZONE, records, ...(more.settings ? { settings: more.settings } : {}) }],
    ...(more.deny ? { deny: more.deny } : {}),
  });
  closers.push(() => started.close());
  const chosen = more.chosen ? { settings: more.chosen } : {};
  const provider = account(started.api, { timeoutMs: more.timeoutMs ?? 2000, ...chosen });
  return { vendor: started, provider };
}

async function see(provider: Provider, name = WWW): Promise<Seen> {
  return valued(await readAll(provider, [name], never))[name]!;
}

async function put(provider: Provider, from: Seen, value: string, epoch: number, ttl = 60) {
  const to = { cname: value, ttl, marker: marker(epoch) };
  return (await writeAll(provider, [{ name: WWW, from, to }], never))[0]!;
}

test('a switch moves value and marker at once; a stale writer is refused and changes nothing', async () => {
  const { provider } = await lab([cname(WWW)]);
  const first = await see(provider);
  assert.deepEqual([first.markers, first.refusal], [[], null]);
  valued(await put(provider, first, 'a.example.org.', 1));
  const adopted = await see(provider);
  assert.deepEqual(adopted.cnames, first.cnames, 'adoption writes the marker alone');
  valued(await put(provider, adopted, 'b.example.org.', 2));
  assert.equal(faultOf(await put(provider, adopted, 'c.example.org.', 2)).kind, 'conflict');
  const after = await see(provider);
  assert.deepEqual(after.cnames, [{ value: 'b.example.org.', ttl: 60 }]);
  assert.deepEqual(after.markers, [markerText(2)]);
});

test('a record that stands nowhere is created, and only once', async () => {
  const { provider } = await lab([]);
  const nothing = await see(provider);
  assert.deepEqual([nothing.cnames, nothing.markers], [[], []]);
  valued(await put(provider, nothing, 'a.example.org.', 1));
  assert.equal(faultOf(await put(provider, nothing, 'b.example.org.', 1)).kind, 'conflict');
  assert.deepEqual((await see(provider)).cnames, [{ value: 'a.example.org.', ttl: 60 }]);
});

const claim = `_detour-epoch.${WWW}`;

test('of two first writers one is refused, whatever they mean to write', async () => {
  const { provider, vendor: started } = await lab([cname(WWW)]);
  const nothing = await see(provider);
  const other = account(started.api);
  const results = await Promise.all([
    put(provider, nothing, 'a.example.org.', 1),
    put(other, nothing, 'b.example.org.', 2),
  ]);
  const late = await put(other, nothing, 'c.example.org.', 3);
  assert.equal(faultOf(late).kind, 'conflict', 'a reading from before the first marker');
  assert.ok(results.filter((r) => r.ok).length <= 1, 'both think they were first');
  for (const r of results) if (!r.ok) assert.equal(faultOf(r).kind, 'conflict');
  if (results.every((r) => !r.ok)) valued(await put(provider, nothing, 'a.example.org.', 1));
  const after = await see(provider);
  assert.equal(after.markers.length, 1, 'never two markers');
  const value = after.markers[0] === markerText(1) ? 'a.example.org.' : 'b.example.org.';
  assert.equal(after.cnames[0]?.value, value);
  await until('no claim is left', () => started.zone(ZONE).get(claim, 'TXT') === null);
});

test('a claim whose writer died is taken by the next; one that somebody else took is not', async () => {
  const { provider, vendor: started } = await lab([cname(WWW), text(claim, 'first')]);
  const nothing = await see(provider);
  assert.deepEqual(nothing.markers, []);
  valued(await put(provider, nothing, 'b.example.org.', 1));
  assert.deepEqual((await see(provider)).markers, [markerText(1)]);
  started.edit(claim, 'TXT', '"something else"');
  started.edit(`_detour.${WWW}`, 'TXT', null);
  const again = await see(provider);
  valued(await put(provider, again, 'c.example.org.', 2));
  assert.deepEqual((await see(provider)).markers, [markerText(2)]);
});

test('a first marker is not written over what came between: edited, marked or taken away', async () => {
  const { provider, vendor: started } = await lab([cname(WWW)]);
  const nothing = await see(provider);
  for (const [what, edit] of [
    ['edited', () => started.edit(WWW, 'CNAME', 'human.example.org.', 60)],
    ['marked', () => started.edit(`_detour.${WWW}`, 'TXT', '"epoch=9"', 60)],
    ['taken away', () => started.edit(WWW, 'CNAME', null)],
  ] as const) {
    edit();
    const before = JSON.stringify([(await see(provider)).cnames, (await see(provider)).markers]);
    assert.equal(faultOf(await put(provider, nothing, 'b.example.org.', 1)).kind, 'conflict', what);
    const seen = await see(provider);
    assert.equal(JSON.stringify([seen.cnames, seen.markers]), before, what);
    started.edit(WWW, 'CNAME', 'a.example.org.', 60);
    started.edit(`_detour.${WWW}`, 'TXT', null);
  }
});

test('of many changes only the stale one is refused, and the others are made', async () => {
  const list = Array.from({ length: 10 }, (_, i) => `r${i}.${ZONE}`);
  const { provider, vendor: started } = await lab(list.map((name) => cname(name)));
  const write = async (from: Record<string, Seen>, value: string, which: readonly string[]) => {
    const to = { cname: value, ttl: 60, marker: marker(1, { target: value.split('.')[0]! }) };
    return writeAll(
      provider,
      which.map((name) => ({ name, from: from[name]!, to })),
      never,
    );
  };
  const first = valued(await readAll(provider, list, never));
  assert.ok((await write(first, 'b.example.org.', list)).every((result) => result.ok));
  const seen = valued(await readAll(provider, list, never));
  valued((await write(seen, 'faster.example.org.', [list[6]!]))[0]!);
  const before = started.calls.length;
  const results = await write(seen, 'c.example.org.', list);
  const kinds = results.map((result) => (result.ok ? 'ok' : result.fault.kind));
  assert.deepEqual(
    kinds,
    list.map((_, i) => (i === 6 ? 'conflict' : 'ok')),
  );
  const batches = started.calls.slice(before).map((call) => call.operation);
  assert.ok(batches.length <= 9, `${batches.length} calls`);
  assert.ok(batches.every((operation) => operation === 'dns.records.batch'));
  const after = valued(await readAll(provider, list, never));
  assert.equal(after[list[6]!]?.cnames[0]?.value, 'faster.example.org.');
  assert.equal(after[list[7]!]?.cnames[0]?.value, 'c.example.org.');
});

for (const [plan, records, calls] of [
  ['free', 100, 2],
  ['pro', 1000, 1],
] as const) {
  test(`${records} changes at once on the plan ${plan} go in as few batches as it allows`, async () => {
    const list = Array.from({ length: records }, (_, i) => `r${i}.${ZONE}`);
    const begun = list.map((name) => cname(name));
    const { provider, vendor: started } = await lab(begun, { settings: { plan } });
    let seen = valued(await readAll(provider, list, never));
    let batches = 0;
    for (const [epoch, value] of ['b.example.org.', 'c.example.org.'].entries()) {
      const from = started.calls.length;
      const to = { cname: value, ttl: 60, marker: marker(epoch) };
      const changes = list.map((name) => ({ name, from: seen[name]!, to }));
      assert.ok((await writeAll(provider, changes, never)).every((result) => result.ok));
      seen = valued(await readAll(provider, list, never));
      const sent = started.calls.slice(from).map((call) => call.operation);
      batches = sent.filter((operation) => operation === 'dns.records.batch').length;
      // The first markers are claimed beforehand, in a batch of that alone.
      if (epoch === 0) assert.equal(batches, calls + 1);
    }
    assert.ok(list.every((name) => seen[name]?.cnames[0]?.value === 'c.example.org.'));
    assert.equal(batches, calls);
    assert.ok(provider.calls! >= started.calls.length, 'it counts what it sends');
  });
}

test('of many names in a zone too large to list, those that fit are read', async () => {
  const many = Array.from({ length: 300 }, (_, i) => `r${i}.${ZONE}`);
  const huge = await serve(
    vendor((asked, response) => {
      if (!isList(asked)) return false;
      const own = asked.url.searchParams.get('name.exact');
      const size = Number(asked.url.searchParams.get('per_page'));
      if (own === null) json(response, 200, pageOf([], 1, size, 1_000_000));
      else json(response, 200, pageOf(own.startsWith('_') ? [] : [row(`c-${own}`, own)]));
      return true;
    }),
  );
  const seen = valued(await readAll(account(huge.url), many, never));
  const read = Object.keys(seen);
  assert.ok(read.length > 0 && read.length < many.length);
  assert.ok(
    read.every((name) => seen[name]?.cnames.length === 1),
    'and nothing else is told',
  );
  assert.ok(huge.asked.length <= cloudflare.capabilities.callsMax, `${huge.asked.length} calls`);
});

test('100 names in a zone too long to list: read in as few rounds as go by name', async () => {
  const many = Array.from({ length: 100 }, (_, i) => `r${i}.${ZONE}`);
  const huge = await serve(
    vendor((asked, response) => {
      if (!isList(asked)) return false;
      const own = asked.url.searchParams.get('name.exact');
      const size = Number(asked.url.searchParams.get('per_page'));
      if (own === null) json(response, 200, pageOf([], 1, size, 1_000_000));
      else json(response, 200, pageOf(own.startsWith('_') ? [] : [row(`c-${own}`, own)]));
      return true;
    }),
  );
  const provider = account(huge.url);
  const read: string[] = [];
  const rounds = await roundsOf(provider, many, (name, { cnames }) => {
    assert.equal(cnames.length, 1);
    read.push(name);
  });
  assert.deepEqual(read.toSorted(), many.toSorted(), 'each once');
  assert.ok(rounds <= Math.ceil(100 / 32), `${rounds} rounds`);
});

test('a pending zone gives way to the active one above it; a paused one does not', async () => {
  const child = (more: Record<string, unknown>) =>
    vendor((asked, response) => {
      if (!asked.url.pathname.endsWith('/zones')) return false;
      const name = asked.url.searchParams.get('name');
      const below = { ...zoneRow(), id: 'e'.repeat(32), name: `x.${ZONE.slice(0, -1)}`, ...more };
      const own = name === `x.${ZONE.slice(0, -1)}` ? [below] : [];
      json(response, 200, pageOf(name === ZONE.slice(0, -1) ? [zoneRow()] : own));
      return true;
    });
  const name = `www.x.${ZONE}`;
  for (const status of ['pending', 'moved', 'initializing', 'deactivated']) {
    const raw = await serve(child({ status }));
    const facts = await account(raw.url).zone(name, never);
    assert.equal(valued(facts).zone, ZONE, status);
  }
  const raw = await serve(child({ paused: true }));
  const answer = (await account(raw.url).read([name], never))[name];
  assert.ok(answer?.kind === 'fault');
  assert.deepEqual(answer.reach, { kind: 'zone', zone: `x.${ZONE}` });
  assert.match(answer.fault.cure ?? '', /unpause/);
});

test('a plan that was changed is known at the next reading', async () => {
  const { provider, vendor: started } = await lab([cname(WWW)]);
  const before = await see(provider);
  assert.equal(faultOf(await put(provider, before, 'b.example.org.', 1, 30)).kind, 'rejected');
  started.setZone(ZONE, { plan: 'enterprise' });
  valued(await put(provider, await see(provider), 'b.example.org.', 1, 30));
  assert.equal((await see(provider)).cnames[0]?.ttl, 30);
});

test('first markers in a zone too large to list go in turns that the calls allow', async () => {
  const many = Array.from({ length: 30 }, (_, i) => `r${i}.${ZONE}`);
  const claims: ReturnType<typeof row>[] = [];
  const marked: string[] = [];
  const huge = await serve(
    vendor((asked, response) => {
      if (isList(asked)) {
        const own = asked.url.searchParams.get('name.exact');
        const size = Number(asked.url.searchParams.get('per_page'));
        if (own === null) json(response, 200, pageOf([], 1, size, 1_000_000));
        else if (own.startsWith('_'))
          json(response, 200, pageOf(claims.filter((c) => c.name === own)));
        else json(response, 200, pageOf([row(`c-${own}`, own)]));
        return true;
      }
      if (!asked.write) return false;
      const sent = JSON.parse(asked.body) as Record<string, { name: string; content: string }[]>;
      const posts = (sent['posts'] ?? []).map((post, i) =>
        row(`n${claims.length + i}`, post.name, 'TXT', post.content),
      );
      const first = posts.filter((post) => post.name.startsWith('_detour-epoch.'));
      claims.push(...first);
      marked.push(...posts.filter((post) => !first.includes(post)).map((post) => post.name));
      const { deletes = [], patches = [] } = sent;
      json(response, 200, good({ deletes, patches, puts: [], posts }));
      return true;
    }),
  );
  const provider = account(huge.url);
  const seen = valued(await readAll(provider, many, never));
  const before = huge.asked.length;
  const to = { cname: 'a.example.org.', ttl: 60, marker: marker(1) };
  const results = await provider.write(
    many.map((name) => ({ name, from: seen[name]!, to })),
    never,
  );
  const made = many.filter((_, i) => results[i]!.kind === 'answered');
  assert.ok(made.length >= 10 && made.length < many.length, `${made.length} were made`);
  const rest = results.filter(({ kind }) => kind !== 'answered');
  assert.ok(rest.every(({ kind }) => kind === 'not-asked'));
  assert.deepEqual(marked.sort(), made.map((name) => `_detour.${name.slice(0, -1)}`).sort());
  const calls = huge.asked.length - before;
  assert.ok(calls <= cloudflare.capabilities.callsMax, `${calls} calls`);
});

test('a lost reply is uncertain, and reading shows that it was applied', async () => {
  const { provider, vendor: started } = await lab([cname(WWW), text(`_detour.${WWW}`, 'epoch=0')]);
  const from = await see(provider);
  started.fault('lost-reply');
  assert.equal(faultOf(await put(provider, from, 'b.example.org.', 1)).kind, 'uncertain');
  assert.deepEqual((await see(provider)).markers, [markerText(1)]);
});

test('every way the lab breaks is the fault it should be', async () => {
  const cases: [how: string, read: string, write: string][] = [
    ['error', 'unavailable', 'unavailable'],
    ['html', 'unavailable', 'uncertain'],
    ['throttle', 'throttled', 'throttled'],
    ['block', 'throttled', 'throttled'],
    ['auth', 'auth-suspect', 'auth-suspect'],
    ['hang', 'unavailable', 'uncertain'],
  ];
  const records = [cname(WWW), text(`_detour.${WWW}`, 'epoch=0')];
  const { provider, vendor: started } = await lab(records, { timeoutMs: 500 });
  const from = await see(provider);
  for (const [how, read, write] of cases) {
    started.fault(how);
    assert.equal(faultOf(await readAll(provider, [WWW], never)).kind, read, `reading under ${how}`);
    const fault = faultOf(await put(provider, from, 'b.example.org.', 1));
    assert.equal(fault.kind, write, `writing under ${how}`);
    if (how === 'block') assert.ok(Number(fault.retryAfterMs) > 60_000, 'the block is honoured');
    started.fault(null);
  }
});

test('what Cloudflare answers in its own way is refused, and never written', async () => {
  const cases: [word: string, records: LabRecord[], settings?: ZoneSettings][] = [
    ['proxied', [cname(WWW, 'a.example.org.', { proxied: true })]],
    ['flattened', [cname(WWW, 'a.example.org.', { flattenCname: true })]],
    ['flattened', [cname(WWW)], { flattenAllCnames: true }],
    ['other-type', [{ name: WWW, type: 'A', value: '192.0.2.1', ttl: 60 }]],
    ['other-type', [cname(WWW), cname(`_detour.${WWW}`, 'x.example.org.')]],
  ];
  for (const [word, records, settings] of cases) {
    const { provider, vendor: started } = await lab(records, settings ? { settings } : {});
    const seen = await see(provider);
    assert.equal(seen.refusal?.word, word);
    assert.equal(faultOf(await put(provider, seen, 'b.example.org.', 1)).kind, 'rejected');
    assert.ok(started.calls.every((call) => call.operation !== 'dns.records.batch'));
  }
  const { provider } = await lab([], { chosen: { zone: ZONE } });
  assert.equal((await see(provider, ZONE)).refusal?.word, 'apex');
});

test('a TTL below the plan’s least rejects that change alone, before it is sent', async () => {
  const { provider } = await lab([cname(WWW)]);
  const from = await see(provider);
  const fault = faultOf(await put(provider, from, 'b.example.org.', 1, 30));
  assert.equal(fault.kind, 'rejected');
  assert.match(fault.cure ?? '', /publish takes a TTL per provider/);
  const paid = await lab([cname(WWW)], { settings: { plan: 'enterprise' } });
  valued(await put(paid.provider, await see(paid.provider), 'b.example.org.', 1, 30));
  assert.equal(valued(await paid.provider.zone(WWW, never)).ttlMin, 30);
});

test('a target in the zone itself, a marker too long, a reading of elsewhere: all refused', async () => {
  const { provider, vendor: started } = await lab([cname(WWW)]);
  const from = await see(provider);
  const calls = started.calls.length;
  const to = { cname: 'b.example.org.', ttl: 60, marker: marker(1) };
  const results = await writeAll(
    provider,
    [
      { name: WWW, from, to: { ...to, cname: `hz.${ZONE}` } },
      { name: WWW, from, to: { ...to, marker: marker(1, { cluster: 'm'.repeat(256) }) } },
      { name: WWW, from: { ...from, ref: null }, to },
    ],
    never,
  );
  const kinds = results.map((result) => faultOf(result).kind);
  assert.deepEqual(kinds, ['rejected', 'rejected', 'conflict']);
  assert.match(faultOf(results[0]).cure ?? '', /flattens/);
  assert.equal(started.calls.length, calls);
});

// ---------------------------------------------------------------- zones, settings

test('the zone is found by the longest parent, with its servers, least TTL and warnings', async () => {
  const { provider, vendor: started } = await lab([cname(WWW)]);
  const facts = valued(await provider.zone(WWW, never));
  assert.deepEqual(
    [facts.zone, facts.ttlMin, facts.warnings, facts.nameServers.length],
    [ZONE, 60, [], 1],
  );
  const searches = () => started.calls.filter((call) => call.operation === 'zones.list').length;
  const before = searches();
  valued(await provider.zone(`other.${ZONE}`, never));
  assert.equal(searches(), before, 'where it is was remembered');
  const alone = await lab([], { settings: { multiProvider: false } });
  assert.match(valued(await alone.provider.zone(WWW, never)).warnings.join(), /Multi-provider/);
  const blind = await lab([cname(WWW)], { deny: ['dns.settings.zone.get'] });
  assert.match(valued(await blind.provider.zone(WWW, never)).warnings.join(), /may not see/);
  assert.equal((await see(blind.provider)).cnames.length, 1);
});

test('zones that must not be used are refused with the cure', async () => {
  const cases: [settings: ZoneSettings, said: RegExp][] = [
    [{ status: 'pending' }, /is pending, not active/],
    [{ type: 'partial' }, /of type partial/],
    [{ type: 'secondary' }, /of type secondary/],
    [{ paused: true }, /is paused/],
    [{ zoneMode: 'cdn_only' }, /CDN-only/],
  ];
  for (const [settings, said] of cases) {
    const { provider } = await lab([], { settings });
    const fault = faultOf(await provider.zone(WWW, never));
    assert.equal(fault.kind, 'rejected');
    assert.match(fault.detail, said);
    assert.ok(fault.cure);
  }
  const { provider } = await lab([]);
  assert.equal(faultOf(await provider.zone('www.elsewhere.org.', never)).kind, 'rejected');
});

test('two active zones of one name want an id; a pending one beside it does not', async () => {
  const both = (second: string) =>
    vendor((asked, response) => {
      if (!asked.url.pathname.endsWith('/zones')) return false;
      const other = zoneRow({ id: 'f'.repeat(32), status: second });
      json(response, 200, pageOf([other, zoneRow(), zoneRow({ name: 'x.gslb.example.net' })]));
      return true;
    });
  const two = await serve(both('active'));
  const fault = faultOf(await readAll(account(two.url), [WWW], never));
  assert.equal(fault.kind, 'rejected');
  assert.match(fault.cure ?? '', /zoneId/);
  const one = await serve(both('pending'));
  assert.equal((await see(account(one.url))).cnames.length, 1);
  const byId = await serve(both('active'));
  assert.equal((await see(account(byId.url, { settings: { zoneId: ID } }))).cnames.length, 1);
});

test('a zone made later is found, once its absence is no longer believed', async () => {
  let now = 0;
  let asked = 0;
  let zone: { name: string } | null = null;
  const finder = zoneFinder({
    zone: null,
    byId: null,
    nowMs: () => now,
    byName: async (name) => {
      asked++;
      return { ok: true, value: zone?.name === name ? zone : null };
    },
  });
  assert.match(faultOf(await finder.find(WWW, never)).detail, /no zone/);
  assert.equal(asked, 2, 'gslb.example.net and example.net');
  zone = { name: 'example.net.' };
  now += 59_000;
  assert.equal((await finder.find(WWW, never)).ok, false);
  assert.equal(asked, 2, 'not asked for again at once');
  now += 2000;
  assert.equal(valued(await finder.find(WWW, never)), zone);
  now += 1_000_000;
  assert.equal(valued(await finder.find(`x.${WWW}`, never)), zone);
  zone = null;
  finder.forget('example.net.');
  assert.equal((await finder.find(WWW, never)).ok, false);
});

test('the token comes by reference only, and goes only where TLS or this machine is', () => {
  const parse = (more: Record<string, unknown>) =>
    cloudflare.settings.safeParse({ apiToken: { env: 'T' }, ...more });
  assert.equal(parse({}).data?.endpoint, 'https://api.cloudflare.com/client/v4');
  assert.ok(!parse({ apiToken: TOKEN }).success);
  assert.ok(!parse({ endpoint: 'http://api.example.net/client/v4' }).success);
  assert.ok(!parse({ zoneId: 'xyz' }).success);
  assert.ok(!parse({ proxied: true }).success);
});
