// The control API over real TLS in front of a stand-in desk: every operation and every error against the
// description that is served, who may what, what is refused and how often, and that nothing whatever
// that a peer sends reaches the desk or ends the daemon.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { connect as tcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import { connect as tls } from 'node:tls';
import type { Command, Reply } from '../../src/core/model.ts';
import { type ApiOptions, serveApi } from '../../src/serve/api.ts';
import { addressOf } from '../../src/serve/bounded.ts';
import { Meter } from '../../src/serve/meter.ts';
import { once } from '../../src/serve/once.ts';
import { openApi } from '../../src/serve/openapi.ts';
import { operations, replySchema } from '../../src/serve/operations.ts';
import { Readers } from '../../src/serve/readers.ts';
import { createTokens } from '../../src/serve/tokens.ts';
import { type StandIn, standIn } from '../cli/desk.ts';
import { makeCertificate } from '../parts/certificate.ts';
import { until } from '../parts/program.ts';

const directory = mkdtempSync(join(tmpdir(), 'detour-api-'));
after(() => rmSync(directory, { recursive: true, force: true }));
const first = makeCertificate(directory, 'first', ['detour.test', '127.0.0.1']);
const other = makeCertificate(directory, 'other', ['detour.test', '127.0.0.1']);
const skip = first === null ? 'missing: openssl' : false;

const texts = {
  read: 'r'.repeat(40),
  approve: 'a'.repeat(40),
  operate: `${'o'.repeat(40)}==`,
} as const;
type Role = keyof typeof texts;
const tokens = createTokens(
  Object.fromEntries(
    Object.entries(texts).map(([role, text]) => [`my-${role}`, { text, role: role as Role }]),
  ),
);

let desk: StandIn;
let troubles: string[];
let notes: string[];
let open: (() => unknown)[];

beforeEach(() => {
  desk = standIn();
  desk.view.records = desk.view.records.slice();
  [troubles, notes, open] = [[], [], []];
});
afterEach(async () => {
  for (const close of open.toReversed()) await close();
});

async function api(more: Partial<ApiOptions> = {}): Promise<number> {
  const served = await serveApi({
    ...{ host: '127.0.0.1', port: 0, names: ['detour.test.'], version: '1.2.3', links: null, desk },
    identity: () => first!,
    tokens: () => tokens,
    readers: new Readers(),
    trouble: (what, detail) => void troubles.push(`${what}: ${detail}`),
    note: (line) => void notes.push(line),
    wall: Date.now,
    ...more,
  });
  open.push(() => served.close());
  return served.port;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: NodeJS.Dict<string | string[]>;
}

interface Asking {
  readonly token?: string | undefined;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly from?: string;
}

function ask(port: number, method: string, path: string, how: Asking = {}): Promise<Answer> {
  const { token, body, headers = {}, from = '127.0.0.1' } = how;
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        ...{ host: '127.0.0.1', port, method, path, agent: false, localAddress: from },
        ca: first!.cert,
        servername: 'detour.test',
        signal: AbortSignal.timeout(10_000),
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
      },
      async (response) => {
        let text = '';
        for await (const chunk of response) text += chunk;
        resolve({ status: response.statusCode!, text, headers: response.headers });
      },
    );
    asked.on('error', reject);
    asked.end(body);
  });
}

const generous = { burst: 1e6, perSecond: 1e6 };
const unlimited = Object.fromEntries(
  ['arrivals', 'known', 'refusals'].map((what) => [what, { each: generous, all: generous }]),
);

const drain = { kind: 'drain', what: 'tokyo', reason: 'work' };

// ---------------------------------------------------------------- the description and what is done

/** A good body for an operation that takes one. */
const bodies: Readonly<Record<string, string>> = {
  command: JSON.stringify(drain),
  compare: JSON.stringify({ file: 'detour.yaml', text: '', included: {} }),
};

test('every operation answers as it is described, and so does every error of it', {
  skip,
}, async () => {
  desk.reload = async () => ({ exit: 0, message: 'in force' });
  const port = await api({ rates: unlimited });
  const served = await ask(port, 'GET', '/v1/openapi.json', { token: texts.read });
  const document = JSON.parse(served.text);
  assert.deepEqual(document, JSON.parse(JSON.stringify(openApi('1.2.3'))));
  assert.equal(document.openapi, '3.1.0');
  const described = Object.entries(document.paths as Record<string, Record<string, Described>>)
    .flatMap(([path, methods]) => Object.entries(methods).map(([m, o]) => ({ path, m, ...o })))
    .filter(({ path }) => !/^\/v1\/(link|session)/.test(path));
  assert.deepEqual(
    described.map(({ operationId }) => operationId).toSorted(),
    Object.keys(operations).toSorted(),
  );
  const asked: Readonly<Record<string, string>> = { drill: '?kind=canary', strips: '?of=tokyo' };
  for (const { path: place, m, operationId, responses } of described) {
    const path = `${place}${asked[operationId] ?? ''}`;
    const operation = operations[operationId as keyof typeof operations];
    const method = m.toUpperCase();
    const body = bodies[operationId];
    const good = { token: texts.operate, ...(body === undefined ? {} : { body }) };
    const seen = async (wanted: number, how: Asking, asMethod = method, at = path) => {
      const { status, text, headers } = await ask(port, asMethod, at, how);
      assert.equal(status, wanted, `${asMethod} ${at}: ${text}`);
      assert.ok(
        Object.hasOwn(responses, String(status)),
        `${operationId} says nothing of ${status}`,
      );
      const schema = status === 200 ? operation.answer : replySchema;
      assert.deepEqual(
        schema.safeParse(JSON.parse(text)).error,
        undefined,
        `${operationId} ${status}`,
      );
      assert.match(String(headers['content-type']), /^application\/json/);
    };
    // What goes on and on is looked at where the page is.
    if (operation.streams !== true) await seen(200, good);
    const { token: _, ...nobody } = good;
    await seen(401, nobody);
    await seen(401, { ...good, token: 'x'.repeat(40) });
    await seen(421, { ...good, headers: { host: 'elsewhere.test' } });
    await seen(405, good, 'PUT');
    if (operation.role !== 'read') await seen(403, { ...good, token: texts.read });
    if (operation.query !== null) await seen(400, good, method, `${place}?no-such-thing=1`);
    if (operation.body !== null) {
      await seen(400, { ...good, body: '{"kind":"drain"}' });
      await seen(400, { ...good, body: '{' });
      const most = operationId === 'compare' ? 17_000_000 : 70_000;
      await seen(413, { ...good, body: 'x'.repeat(most) });
      await seen(415, { ...good, headers: { 'content-type': 'text/plain' } });
    }
  }
  desk.reply = () => ({ exit: 1, message: 'refused' });
  const refused = await ask(port, 'POST', '/v1/command', {
    token: texts.operate,
    body: bodies['command']!,
  });
  assert.equal(refused.status, 409);
  assert.equal((await ask(port, 'GET', '/nothing', { token: texts.read })).status, 404);
  assert.deepEqual(troubles, []);
});

interface Described {
  readonly operationId: string;
  readonly responses: Readonly<Record<string, unknown>>;
}

test('a role may what it may, and no more', { skip }, async () => {
  const port = await api({ rates: unlimited });
  const may = async (role: Role, method: string, path: string, body?: string) =>
    (await ask(port, method, path, { token: texts[role], ...(body ? { body } : {}) })).status;
  for (const role of ['read', 'approve', 'operate'] as const) {
    assert.equal(await may(role, 'GET', '/v1/status'), 200);
    const allowed = role === 'operate' ? 200 : 403;
    assert.equal(await may(role, 'POST', '/v1/command', JSON.stringify(drain)), allowed, role);
    const evict = { kind: 'evict', provider: 'ali', zone: null, reason: 'r' };
    assert.equal(await may(role, 'POST', '/v1/command', JSON.stringify(evict)), allowed, role);
    assert.equal(await may(role, 'POST', '/v1/reload?dryRun=true'), allowed, role);
    assert.equal(await may(role, 'POST', '/v1/audit'), allowed, role);
  }
  assert.deepEqual(
    desk.commands.map(({ by }) => by),
    ['my-operate (api, 127.0.0.1)'],
  );
  assert.deepEqual(
    desk.delegated.map(({ kind, by }) => `${kind} ${by}`),
    ['evict my-operate (api, 127.0.0.1)'],
  );
  desk.commands.length = 0;
  for (const kind of ['approve', 'reject']) {
    const word = { kind, id: '00112233aabbccdd' };
    assert.equal(await may('read', 'POST', '/v1/command', JSON.stringify(word)), 403);
    assert.equal(await may('approve', 'POST', '/v1/command', JSON.stringify(word)), 200);
    const claimed = JSON.stringify({ ...word, link: 'ops-mail' });
    assert.equal(await may('approve', 'POST', '/v1/command', claimed), 400, 'by no link');
  }
  assert.deepEqual(
    desk.commands.map(({ kind, by }) => `${kind} ${by}`),
    ['approve', 'reject'].map((kind) => `${kind} my-approve (api, 127.0.0.1)`),
  );
  desk.commands.length = 0;
  const named = await ask(port, 'POST', '/v1/command', {
    token: texts.operate,
    body: JSON.stringify({ ...drain, by: 'ann' }),
  });
  assert.equal(named.status, 200);
  assert.equal(desk.commands[0]!.by, 'my-operate (api, 127.0.0.1) for ann (unverified)');
  assert.match(notes.join('\n'), /my-operate \(api, 127\.0\.0\.1\): POST \/v1\/command: 200/);
});

test('a token is known whole, or not at all', { skip }, async () => {
  const port = await api({ rates: unlimited });
  const { operate } = texts;
  const wrong = [
    ...[
      operate.slice(0, -1),
      operate.slice(0, 8),
      `${operate}x`,
      `${operate} `,
      operate.toUpperCase(),
    ],
    ...['', ' ', 'o', `${'o'.repeat(40)}`, `x${operate.slice(1)}`],
  ].filter((text) => text.trim() !== operate);
  for (const token of wrong) {
    const { status, headers } = await ask(port, 'GET', '/v1/status', { token });
    assert.equal(status, 401, `"${token}"`);
    assert.match(String(headers['www-authenticate']), /^Bearer/);
  }
  const basic = { authorization: `Basic ${Buffer.from(`x:${operate}`).toString('base64')}` };
  assert.equal((await ask(port, 'GET', '/v1/status', { headers: basic })).status, 401);
  assert.equal((await ask(port, 'GET', `/v1/status?access_token=${operate}`)).status, 401);
  const lower = { authorization: `bearer ${operate}` };
  assert.equal((await ask(port, 'GET', '/v1/status', { headers: lower })).status, 200);
  const bad = (given: Parameters<typeof createTokens>[0], sentence: RegExp) =>
    assert.throws(() => createTokens(given), sentence);
  bad({ a: { text: 'x'.repeat(31), role: 'read' } }, /tokens\.a: a token has 32 to 512/);
  bad({ a: { text: `${'x'.repeat(40)} y`, role: 'read' } }, /tokens\.a: /);
  const one = { text: texts.read, role: 'read' } as const;
  bad({ a: one, b: one }, /tokens\.a and tokens\.b are the same/);
  assert.doesNotThrow(() => createTokens({ a: { text: 'x'.repeat(32), role: 'read' } }));
});

test('only a host that is ours is answered, whatever else is right', { skip }, async () => {
  const port = await api({ rates: unlimited });
  const status = async (host: string) =>
    (await ask(port, 'GET', '/v1/status', { token: texts.read, headers: { host } })).status;
  const ours = ['detour.test', 'DETOUR.test.', `detour.test:${port}`, '127.0.0.1', '127.0.0.1:1'];
  for (const host of ours) assert.equal(await status(host), 200, host);
  for (const host of [
    'evil.test',
    'detour.test.evil.test',
    '127.0.0.2',
    '[::1]',
    'a b',
    ':443',
    '*',
  ]) {
    assert.equal(await status(host), 421, host);
  }
  const command = {
    token: texts.operate,
    body: JSON.stringify(drain),
    headers: { host: 'evil.test' },
  };
  await ask(port, 'POST', '/v1/command', command);
  assert.deepEqual(desk.commands, []);
  for (const hosts of [[], ['detour.test', 'detour.test'], ['detour.test', 'evil.test']]) {
    const head = ['GET /v1/status HTTP/1.1', ...hosts.map((host) => `Host: ${host}`)];
    const said = await spoken(port, `${head.join('\r\n')}\r\nConnection: close\r\n\r\n`);
    assert.match(said, /^HTTP\/1\.1 400 /, hosts.join());
  }
});

test('no other site gets leave to read, and nothing is kept by a browser', { skip }, async () => {
  const port = await api({ rates: unlimited });
  const preflight = { origin: 'https://evil.test', 'access-control-request-method': 'POST' };
  for (const method of ['GET', 'OPTIONS', 'POST']) {
    const { headers } = await ask(port, method, '/v1/status', {
      token: texts.read,
      headers: preflight,
    });
    const names = Object.keys(headers);
    assert.deepEqual(
      names.filter((name) => /^access-control|^set-cookie/.test(name)),
      [],
    );
    assert.equal(headers['cache-control'], 'no-store');
  }
});

// ---------------------------------------------------------------- said twice, done once

test('an order that is said twice under one id is done once', { skip }, async () => {
  desk.command = once(desk.command.bind(desk));
  const port = await api({ rates: unlimited });
  const order = (headers: Record<string, string>, body: object = drain, query = '') =>
    ask(port, 'POST', `/v1/command${query}`, {
      ...{ token: texts.operate, headers, body: JSON.stringify(body) },
    });
  const key = { 'idempotency-key': 'order-0001' };
  const answers = await Promise.all([order(key), order(key), order({}, drain, '?id=order-0001')]);
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200],
  );
  assert.equal(desk.commands.length, 1);
  assert.deepEqual(desk.ids, ['order-0001']);
  assert.equal((await order(key, { ...drain, what: 'osaka' })).status, 400, 'another order');
  assert.equal((await order(key, drain, '?id=order-0002')).status, 400, 'two ids');
  assert.equal((await order({ 'idempotency-key': 'short' })).status, 400, 'no id');
  assert.equal(desk.commands.length, 1);
  await order({});
  await order({});
  assert.equal(desk.commands.length, 3, 'without an id each is one');
});

test('orders are remembered up to a bound, and looks are not', async () => {
  let done = 0;
  const carry = once(async (): Promise<Reply> => ({ exit: 0, message: String(++done) }), 2);
  const say = async (id: string, dryRun?: boolean, by = 'ann') =>
    (await carry({ kind: 'yield', by, dryRun } as Command, id)).message;
  assert.equal(await say('one'), '1');
  assert.equal(await say('one', undefined, 'ben'), '1', 'whoever says it');
  assert.equal(await say('one', true), '2');
  assert.equal(await say('two'), '3');
  assert.equal(await say('three'), '4');
  assert.equal(await say('three'), '4');
  assert.equal(await say('one'), '5', 'the oldest is forgotten');
});

// ---------------------------------------------------------------- who comes too often, or wrongly

test('whoever is refused too often is told less, and a good one is served', { skip }, async () => {
  const refusals = { each: { burst: 5, perSecond: 0.001 }, all: { burst: 8, perSecond: 0.001 } };
  const port = await api({ rates: { ...unlimited, refusals } });
  const from = async (address: string) => {
    const { status, headers } = await ask(port, 'GET', '/v1/status', { from: address });
    if (status === 429)
      assert.deepEqual([headers['retry-after'], headers['connection']], ['10', 'close']);
    return status;
  };
  const statuses: number[] = [];
  for (let i = 0; i < 7; i++) statuses.push(await from('127.0.0.2'));
  assert.deepEqual(statuses, [401, 401, 401, 401, 401, 429, 429]);
  for (let i = 0; i < 4; i++) statuses.push(await from('127.0.0.3'));
  assert.deepEqual(
    statuses.slice(7),
    [401, 401, 401, 429],
    'of all together there is a bound, too',
  );
  const good = await ask(port, 'GET', '/v1/status', { token: texts.read, from: '127.0.0.2' });
  assert.equal(good.status, 200);
  assert.equal(notes.filter((line) => /^refused/.test(line)).length, 1, 'the log is told once');
});

test('whoever comes too often is not let in; one that is known is', { skip }, async () => {
  const arrivals = { each: { burst: 3, perSecond: 0.001 }, all: { burst: 5, perSecond: 0.001 } };
  const port = await api({ rates: { ...unlimited, arrivals } });
  const from = (address: string, token?: string) =>
    ask(port, 'GET', '/v1/alive', { from: address, token }).then(
      ({ status }) => status,
      () => 'closed',
    );
  assert.equal(await from('127.0.0.2', texts.read), 200);
  const rude: unknown[] = [];
  for (const address of ['127.0.0.3', '127.0.0.4']) {
    for (let i = 0; i < 4; i++) rude.push(await from(address));
  }
  assert.deepEqual(rude, [401, 401, 401, 'closed', 401, 'closed', 'closed', 'closed']);
  for (let i = 0; i < 5; i++) assert.equal(await from('127.0.0.2', texts.read), 200);
});

test('one address has so many connections, and others have theirs', { skip }, async () => {
  const port = await api({ rates: unlimited, limits: { connections: 10, perAddress: 3 } });
  const sockets = Array.from({ length: 6 }, () => {
    const socket = tcp({ port, host: '127.0.0.1', localAddress: '127.0.0.5' });
    socket.on('error', () => undefined);
    open.push(() => socket.destroy());
    return socket;
  });
  const gone = () => sockets.filter(({ closed }) => closed).length;
  await until('those that have waited longest give way', 5000, () => gone() === 3);
  assert.equal((await ask(port, 'GET', '/v1/alive', { token: texts.read })).status, 200);
  assert.equal(gone(), 3, 'nobody gave way for another address');
});

test('an address is one, however IPv6 writes it or changes its end', () => {
  const of = (remoteAddress?: string) => addressOf({ remoteAddress } as never);
  assert.equal(of('::ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(of('192.0.2.1'), '192.0.2.1');
  assert.equal(of('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64');
  assert.equal(of('2001:db8:1:2::9'), '2001:db8:1:2::/64');
  assert.equal(of('2001:db8::9'), '2001:db8:0:0::/64');
  assert.equal(of('::1'), '0:0:0:0::/64');
  assert.equal(of('fe80::1%eth0'), 'fe80:0:0:0::/64');
  assert.equal(of(undefined), '');
});

test('a meter fills again with time and remembers a bounded number', () => {
  let now = 0;
  const each = { burst: 2, perSecond: 1 };
  const meter = new Meter({ each, all: { burst: 100, perSecond: 1 }, most: 3, now: () => now });
  const take = (address: string, times: number) =>
    Array.from({ length: times }, () => (meter.take(address) ? 1 : 0)).join('');
  assert.equal(take('a', 3), '110');
  now += 1000;
  assert.equal(take('a', 2), '10');
  now += 60_000;
  assert.equal(take('a', 3), '110', 'never more than the burst');
  for (let i = 0; i < 50; i++) meter.take(`of many ${i}`);
  assert.equal(meter.addresses, 3);
});

// ---------------------------------------------------------------- TLS

function shown(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = tls({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

test('a certificate that has changed is shown to whoever comes next', { skip }, async () => {
  let identity = first!;
  const port = await api({ rates: unlimited, identity: () => identity });
  const before = await shown(port);
  identity = other!;
  const now = await shown(port);
  assert.notEqual(now, before);
  assert.equal(await shown(port), now);
});

test('no TLS older than 1.2 is spoken, and no HTTP without', { skip }, async () => {
  const port = await api({ rates: unlimited });
  const old = new Promise((resolve, reject) => {
    const options = {
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'ALL@SECLEVEL=0',
    } as const;
    const to = { port, host: '127.0.0.1', rejectUnauthorized: false, ...options };
    const socket = tls(to, () => resolve(socket.getProtocol()));
    socket.on('error', reject);
  });
  await assert.rejects(old);
  const plain = tcp({ port, host: '127.0.0.1' });
  let said = '';
  plain.on('data', (chunk) => {
    said += chunk.toString('latin1');
  });
  plain.on('error', () => undefined);
  plain.write('GET /v1/status HTTP/1.1\r\nHost: detour.test\r\n\r\n');
  await new Promise((resolve) => plain.once('close', resolve));
  assert.doesNotMatch(said, /HTTP/);
  assert.equal((await ask(port, 'GET', '/v1/alive', { token: texts.read })).status, 200);
});

// ---------------------------------------------------------------- whatever bytes

/** What is answered to bytes over TLS until the other end closes, or for a second. */
function spoken(port: number, bytes: string | Buffer): Promise<string> {
  return new Promise((resolve) => {
    let said = '';
    const socket = tls({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      socket.end(bytes);
    });
    socket.setTimeout(1000, () => socket.destroy());
    socket.on('data', (chunk) => {
      said += chunk.toString('latin1');
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(said));
  });
}

test('no bytes whatever reach the desk or end the listener', { skip }, async () => {
  const limits = { requestMs: 300, idleMs: 400 };
  const port = await api({ rates: unlimited, limits });
  const good =
    `POST /v1/command HTTP/1.1\r\nHost: detour.test\r\nAuthorization: Bearer ${texts.operate}\r\n` +
    'Content-Type: application/json\r\nContent-Length: 49\r\nConnection: close\r\n\r\n';
  let seed = 7;
  const dice = (most: number) => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed % most;
  };
  const broken = Array.from({ length: 60 }, () => {
    const bytes = Buffer.from(good.replace(texts.operate, 'x'.repeat(42)));
    for (let i = dice(8) + 1; i > 0; i--) bytes[dice(bytes.length)] = dice(256);
    return bytes.subarray(0, dice(3) === 0 ? dice(bytes.length) : bytes.length);
  });
  const odd = [
    'GET https://evil.test/v1/status HTTP/1.1\r\nHost: detour.test\r\n\r\n',
    'GET /v1/status HTTP/1.1\r\nHost: detour.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    'POST /v1/command HTTP/1.1\r\nHost: detour.test\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n',
    `GET /${'x'.repeat(9000)} HTTP/1.1\r\nHost: detour.test\r\n\r\n`,
    `GET /v1/link/${'x'.repeat(2000)} HTTP/1.1\r\nHost: detour.test\r\n\r\n`,
    'GET /v1/link/%00..%2f HTTP/1.1\r\nHost: detour.test\r\n\r\n',
    Buffer.alloc(20_000, 0xff),
  ];
  for (const said of await Promise.all([...broken, ...odd].map((bytes) => spoken(port, bytes)))) {
    if (said !== '') assert.match(said, /^HTTP\/1\.1 (400|401|404|405|408|413|421|429|431) /);
  }
  // And what is no TLS at all.
  await Promise.all(
    broken.slice(0, 20).map(
      (bytes) =>
        new Promise<void>((resolve) => {
          const socket = tcp({ port, host: '127.0.0.1' }, () => socket.end(bytes));
          socket.on('error', () => undefined);
          socket.on('data', () => undefined);
          socket.once('close', () => resolve());
        }),
    ),
  );
  assert.deepEqual(desk.commands, []);
  assert.deepEqual(troubles, []);
  assert.equal((await ask(port, 'GET', '/v1/status', { token: texts.read })).status, 200);
});
