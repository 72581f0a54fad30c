// The control socket and the read-only listener, over a real Unix socket and real TCP, in front of a
// stand-in desk: what they answer, what they refuse, and that a bad peer cannot hold them.

import assert from 'node:assert/strict';
import { lstatSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import fc from 'fast-check';
import type { Command } from '../../src/core/model.ts';
import { ControlError, type ControlOptions, serveControl } from '../../src/serve/control.ts';
import type { Served } from '../../src/serve/desk.ts';
import { type HttpOptions, serveHttp } from '../../src/serve/http.ts';
import { Readers } from '../../src/serve/readers.ts';
import { Text } from '../../src/serve/text.ts';
import { record, type StandIn, standIn } from '../cli/desk.ts';

let directory: string;
let path: string;
let desk: StandIn;
let troubles: string[];
let open: (() => unknown)[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'detour-'));
  path = join(directory, 'control.sock');
  desk = standIn();
  troubles = [];
  open = [];
});

afterEach(async () => {
  for (const close of open.toReversed()) await close();
  rmSync(directory, { recursive: true, force: true });
});

const textOf = (text: string) => new Text([Buffer.from(text)]);

async function control(more: Partial<ControlOptions> = {}): Promise<Served> {
  const trouble = (what: string, detail: string) => void troubles.push(`${what}: ${detail}`);
  const served = await serveControl({ path, desk, readers: new Readers(), trouble, ...more });
  open.push(() => served.close());
  return served;
}

async function http(more: Partial<HttpOptions> = {}) {
  const served = await serveHttp({
    host: '127.0.0.1',
    port: 0,
    desk,
    metrics: {
      text: async (format) => textOf(`detour_ready 1\n${format === 'text' ? '' : '# EOF\n'}`),
    },
    readers: new Readers(),
    askers: new Readers(),
    gateHoldMs: 3_600_000,
    trouble: (what, detail) => void troubles.push(`${what}: ${detail}`),
    ...more,
  });
  open.push(() => served.close());
  return served;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Record<string, unknown>;
}

type To = { readonly socketPath: string } | { readonly host: string; readonly port: number };

function ask(to: To, method: string, url: string, body = '', headers = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(
      { ...to, method, path: url, agent: false, headers, signal: AbortSignal.timeout(10_000) },
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

const json = ({ text }: Answer) => JSON.parse(text);
const order = (command: unknown) =>
  ask({ socketPath: path }, 'POST', '/v1/command', JSON.stringify(command));

/** A raw connection that does not outlive its test. */
function peer(to: string | { readonly host: string; readonly port: number }): Socket {
  const socket = typeof to === 'string' ? connect(to) : connect(to.port, to.host);
  socket.on('error', () => undefined);
  open.push(() => socket.destroy());
  return socket;
}

/** All bytes until the peer ends or resets the connection, which it must within 10 s. */
function untilClosed(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error('the server held the connection'));
    }, 10_000);
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(text);
    });
  });
}

/** Asks until a connection is given a place: the status, or 0 after 10 s. */
async function statusOnceFree(url: string): Promise<number> {
  const until = performance.now() + 10_000;
  while (performance.now() < until) {
    const answer = await ask({ socketPath: path }, 'GET', url).catch(() => null);
    if (answer !== null) return answer.status;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return 0;
}

const a = { record: 'www.gslb.example.net', by: 'ann' };
const goodCommands: [unknown, Command][] = [
  {
    kind: 'switch',
    ...a,
    target: 'tokyo',
    reason: 'storage fails',
    forMs: 7_200_000,
    force: false,
    dryRun: true,
  } as const,
  { kind: 'adopt', ...a, target: 'tokyo', create: true } as const,
  { kind: 'pin', ...a, reason: '负载测试', forMs: null } as const,
  { kind: 'unpin', ...a } as const,
  { kind: 'drain', what: 'aliyun', reason: 'work', by: 'ann' } as const,
  { kind: 'undrain', what: 'aliyun', by: 'ann' } as const,
  { kind: 'freeze', record: null, reason: 'work', by: 'ann' } as const,
  { kind: 'unfreeze', ...a } as const,
  { kind: 'ack', reject: false, ...a } as const,
  { kind: 'ack', reject: true, dryRun: true, ...a } as const,
  {
    kind: 'drain',
    what: 'aliyun',
    reason: 'work',
    by: 'ann',
    forMs: 60_000,
    dryRun: true,
  } as const,
  { kind: 'adopt', ...a, target: 'tokyo', create: true, reason: 'moved', dryRun: false } as const,
]
  .map((c) => ['record' in c && c.record ? { ...c, record: `${c.record}.` } : c, c])
  .map(([wanted, given]) => [given, wanted as Command]);

// ---------------------------------------------------------------- the control socket

test('the socket file is born with mode 0660, whatever the umask is', async () => {
  for (const mask of [0o000, 0o022, 0o077]) {
    const before = process.umask(mask);
    try {
      const serving = control();
      // Looks before the event loop turns, so before any callback could mend a mode.
      let early: number | undefined;
      for (let turn = 0; early === undefined && turn < 100; turn += 1) {
        await null;
        early = lstatSync(path, { throwIfNoEntry: false })?.mode;
      }
      assert.equal(early! & 0o777, 0o660);
      const served = await serving;
      assert.equal(process.umask(), mask, 'the umask is put back');
      assert.equal(statSync(path).mode & 0o777, 0o660);
      await served.close();
      assert.equal(lstatSync(path, { throwIfNoEntry: false }), undefined, 'taken away again');
    } finally {
      process.umask(before);
    }
  }
});

test('a socket file that nobody answers at is replaced; one that is answered is not', async () => {
  // A listener that closes without unlinking: bind, then move the file out of its way and back.
  const dead = createServer().listen(join(directory, 'dead'));
  await new Promise((resolve) => dead.once('listening', resolve));
  const { renameSync } = await import('node:fs');
  renameSync(join(directory, 'dead'), path);
  await new Promise((resolve) => dead.close(resolve));
  assert.ok(lstatSync(path).isSocket(), 'the stale file stands there');
  await control();
  assert.equal((await ask({ socketPath: path }, 'GET', '/v1/status')).status, 200);
  await assert.rejects(control(), (error) => {
    assert.ok(error instanceof ControlError);
    assert.match(error.message, /another daemon answers there/);
    return true;
  });
  assert.equal((await ask({ socketPath: path }, 'GET', '/v1/status')).status, 200);
});

test('a file that is no socket, a path too long or a missing directory is named', async () => {
  writeFileSync(path, 'precious');
  const fails = (at: string, pattern: RegExp) => assert.rejects(control({ path: at }), pattern);
  await fails(path, /something else is there/);
  assert.equal(statSync(path).size, 8);
  await fails(`/tmp/${'x'.repeat(120)}`, /longer than 107 bytes/);
  await fails(join(directory, 'none', 'x.sock'), /directory must exist and be writable/);
});

test('status comes back as the view it is', async () => {
  await control();
  const answer = await ask({ socketPath: path }, 'GET', '/v1/status');
  assert.equal(answer.status, 200);
  assert.deepEqual(json(answer), JSON.parse(JSON.stringify(desk.view)));
});

test('every kind of command reaches the desk, its record with the trailing dot', async () => {
  await control();
  for (const [given, wanted] of goodCommands) {
    const answer = await order(given);
    assert.equal(answer.status, 200, answer.text);
    // The socket cannot tell who is at its other end: what is said of it is marked.
    assert.deepEqual(desk.commands.pop(), { ...wanted, by: 'ann (unverified)' });
  }
});

test("a reply's exit code is the HTTP status's class, and the reply is the body", async () => {
  await control();
  for (const [exit, status] of [
    [0, 200],
    [1, 409],
    [2, 400],
    [3, 200],
  ] as const) {
    desk.reply = () => ({ exit, message: 'so it is', detail: { epoch: 8 } });
    const answer = await order(goodCommands[0]![0]);
    assert.equal(answer.status, status);
    assert.deepEqual(json(answer), { exit, message: 'so it is', detail: { epoch: 8 } });
  }
});

test('a malformed command names every error and never reaches the desk', async () => {
  await control();
  const bad: [unknown, ...RegExp[]][] = [
    [
      { kind: 'switch', record: ' ', target: '', by: 'a\nb', forMs: 5, force: 'no', dryRun: false },
      /^record: expected a record, found nothing/,
      /target: expected a name/,
      /reason: expected a reason/,
      /by: expected one line without control/,
      /forMs: expected at least 1 s/,
      /force: expected true or false/,
    ],
    [{ kind: 'explode', by: 'ann' }, /kind: expected switch, adopt, pin/],
    [{ kind: 'ack', reject: false, dryRun: false, ...a, extra: 1 }, /extra/],
    [{ kind: 'freeze', record: null, by: 'a', reason: 'x'.repeat(501) }, /at most 500/],
    [[], /expected/],
    [null, /expected/],
    ['switch', /expected/],
  ];
  for (const [command, ...patterns] of bad) {
    const answer = await order(command);
    assert.equal(answer.status, 400, answer.text);
    assert.equal(json(answer).exit, 2);
    for (const pattern of patterns) assert.match(json(answer).message, pattern);
  }
  const noJson = await ask({ socketPath: path }, 'POST', '/v1/command', '{"kind":');
  assert.match(json(noJson).message, /not JSON/);
  assert.deepEqual(desk.commands, []);
});

test('no JSON whatever makes the control socket fail or reach the desk unchecked', async () => {
  await control();
  await fc.assert(
    fc.asyncProperty(fc.jsonValue(), async (value) => {
      const answer = await order(value);
      assert.equal(answer.status, 400);
    }),
    { numRuns: 60 },
  );
  assert.deepEqual(desk.commands, []);
  assert.deepEqual(troubles, []);
});

test('history passes its record and limit on, and refuses what is neither', async () => {
  await control();
  desk.entries = [3, 2, 1].map((seq) => ({
    seq,
    at: 1,
    wall: 1,
    kind: 'start',
    record: null,
    sentence: 's',
    data: {},
  }));
  const get = (query: string) => ask({ socketPath: path }, 'GET', `/v1/history${query}`);
  assert.equal(json(await get('')).entries.length, 3);
  assert.equal(json(await get('?record=WWW.gslb.example.net&limit=2')).entries.length, 2);
  assert.deepEqual(desk.queries, [{ limit: 100 }, { record: 'www.gslb.example.net.', limit: 2 }]);
  for (const query of [
    '?before=x',
    '?limit=0',
    '?limit=10001',
    '?limit=1e3',
    '?record=-',
    '?colour=red',
  ]) {
    const answer = await get(query);
    assert.equal(answer.status, 400, query);
    assert.match(json(answer).message, /limit|record|colour|before/);
  }
});

test('a long history is read a page at a time, whole and in order', async () => {
  const line = { at: 1, wall: 1, kind: 'start', record: null, sentence: 's', data: {} } as const;
  desk.entries = Array.from({ length: 1050 }, (_, i) => ({ ...line, seq: 1050 - i }));
  await control();
  const get = async (query: string): Promise<number[]> => {
    const answer = await ask({ socketPath: path }, 'GET', `/v1/history${query}`);
    return json(answer).entries.map(({ seq }: { seq: number }) => seq);
  };
  assert.deepEqual(
    await get('?limit=10000'),
    desk.entries.map(({ seq }) => seq),
  );
  assert.deepEqual(
    await get('?limit=250'),
    desk.entries.slice(0, 250).map(({ seq }) => seq),
  );
  assert.deepEqual(
    await get('?limit=3&before=1001'),
    [1000, 999, 998],
    'older than what was read before',
  );
  const limits = desk.queries.map((query) => (query as { limit: number }).limit);
  assert.ok(Math.max(...limits) <= 100, 'no page holds the loop for long');
  desk.entries = desk.entries.slice(0, 200);
  assert.equal((await get('?limit=10000')).length, 200);
});

test("reload answers with the desk's reply", async () => {
  await control();
  const answer = await ask({ socketPath: path }, 'POST', '/v1/reload');
  assert.equal(answer.status, 400);
  assert.deepEqual([json(answer).exit, desk.reloads], [2, 1]);
  const dry = await ask({ socketPath: path }, 'POST', '/v1/reload?dryRun=true');
  assert.deepEqual([dry.status, json(dry).exit, desk.reloads], [200, 3, 1]);
  for (const query of ['?dryRun=yes', '?dry-run=true', '?dryRun=']) {
    const odd = await ask({ socketPath: path }, 'POST', `/v1/reload${query}`);
    assert.deepEqual(
      [odd.status, desk.reloads],
      [400, 1],
      'what is not understood changes nothing',
    );
  }
});

test('an unknown path is 404 with a sentence, a wrong method 405 with the right one', async () => {
  await control();
  const lost = await ask({ socketPath: path }, 'GET', '/v2/status');
  assert.equal(lost.status, 404);
  assert.match(json(lost).message, /\/v1\/status, \/v1\/board, /);
  for (const name of ['/constructor', '/__proto__', '/']) {
    assert.equal((await ask({ socketPath: path }, 'GET', name)).status, 404, name);
  }
  const wrong = await ask({ socketPath: path }, 'GET', '/v1/command');
  assert.deepEqual([wrong.status, wrong.headers['allow']], [405, 'POST']);
  assert.equal((await ask({ socketPath: path }, 'DELETE', '/v1/status')).status, 405);
});

test('a body over 64 KiB is refused with 413, declared or not, and the rest is not awaited', async () => {
  await control();
  const most = 65_536;
  const padded = (bytes: number) => {
    const text = JSON.stringify(goodCommands[8]![0]);
    return text + ' '.repeat(bytes - text.length);
  };
  const fits = await ask({ socketPath: path }, 'POST', '/v1/command', padded(most));
  assert.equal(fits.status, 200, 'a body of exactly 64 KiB is taken');
  desk.commands.length = 0;
  for (const head of [
    `content-length: 1000000\r\n\r\n${padded(1000)}`,
    `transfer-encoding: chunked\r\n\r\n10001\r\n${padded(most + 1)}\r\n`,
  ]) {
    const socket = peer(path);
    socket.write(`POST /v1/command HTTP/1.1\r\nhost: x\r\n${head}`);
    const text = await untilClosed(socket);
    assert.match(text, /^HTTP\/1\.1 413 /);
    assert.match(text, /at most 65536 bytes/);
  }
  assert.deepEqual(desk.commands, []);
});

test('peers that send slowly or send nothing are cut off; others are served', async () => {
  await control({ limits: { requestMs: 300, idleMs: 60_000 } });
  const silent = peer(path);
  const half = peer(path);
  half.write('POST /v1/command HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{');
  const [, text] = await Promise.all([untilClosed(silent), untilClosed(half)]);
  assert.match(text, /^HTTP\/1\.1 408 /);
  assert.equal((await ask({ socketPath: path }, 'GET', '/v1/history')).status, 200);
});

test('a peer that never reads its answer loses its place', async () => {
  await control({ limits: { connections: 1, idleMs: 200 } });
  desk.view = { ...desk.view, cluster: 'x'.repeat(8_000_000) };
  const deaf = peer(path);
  deaf.write('GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n');
  deaf.pause();
  await new Promise((resolve) => deaf.once('connect', resolve));
  assert.equal(await statusOnceFree('/v1/history'), 200);
  const text = await untilClosed(deaf.resume());
  assert.ok(text.length < 8_000_000, `got ${text.length} bytes`);
});

test('who waits for a long text is not taken for silent', async () => {
  await control({ limits: { idleMs: 100 } });
  const status = desk.status.bind(desk);
  desk.status = async () => {
    await new Promise((resolve) => setTimeout(resolve, 500));
    return status();
  };
  const { status: code, text } = await ask({ socketPath: path }, 'GET', '/v1/status');
  assert.equal(code, 200);
  assert.equal(JSON.parse(text).cluster, desk.view.cluster);
});

const begins: Readonly<Record<string, string>> = {
  'says nothing': '',
  'begins a head': 'GET /v1/status HTTP/1.1\r\nho',
  'begins a body': 'POST /v1/command HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{',
  'keeps its connection': 'GET /v1/history HTTP/1.1\r\nhost: x\r\n\r\n',
};

for (const [what, begin] of Object.entries(begins)) {
  test(`of more connections than there may be, one that ${what} gives way`, async () => {
    await control({ limits: { connections: 3 } });
    const held: Socket[] = [];
    const gone: Promise<string>[] = [];
    for (let n = 0; n < 3; n++) {
      const socket = peer(path);
      held.push(socket);
      const answered = new Promise((resolve) => socket.once('data', resolve));
      gone.push(untilClosed(socket));
      await new Promise((resolve) => socket.once('connect', resolve));
      socket.write(begin);
      if (what === 'keeps its connection') await answered;
    }
    assert.equal((await ask({ socketPath: path }, 'GET', '/v1/status')).status, 200);
    await Promise.race(gone);
    assert.equal(held.filter((one) => one.destroyed).length, 1, 'nobody gives way without need');
  });
}

test('what is being answered does not give way', async () => {
  await control({ limits: { connections: 2 } });
  const { promise, resolve } = Promise.withResolvers<void>();
  desk.reply = () => promise.then(() => ({ exit: 0, message: 'done' }));
  const orders = [order(goodCommands[0]![0]), order(goodCommands[1]![0])];
  const until = performance.now() + 10_000;
  while (desk.commands.length < 2 && performance.now() < until) {
    await new Promise((done) => setTimeout(done, 5));
  }
  assert.equal(await untilClosed(peer(path)), '', 'one more is closed unanswered');
  resolve();
  for (const answer of await Promise.all(orders)) assert.equal(answer.status, 200);
});

test('polite readers that keep their connections do not keep /healthz from anybody', async () => {
  const to = await http({ limits: { connections: 16 } });
  const readers: Socket[] = [];
  for (let n = 0; n < 40; n++) {
    const socket = peer(to);
    readers.push(socket);
    socket.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n');
    await new Promise((resolve) => socket.once('data', resolve));
    assert.equal((await ask(to, 'GET', '/healthz')).status, 200);
  }
});

test('who asks whether the process lives is answered when the desk fails, too', async () => {
  await control();
  desk.status = () => {
    throw new Error('no view');
  };
  const answer = await ask({ socketPath: path }, 'GET', '/v1/alive');
  assert.deepEqual([answer.status, json(answer)], [200, { alive: true }]);
});

test('a desk that fails is a 500 without its words, told of as trouble', async () => {
  await control();
  desk.reply = () => {
    throw new Error('the key is hunter2');
  };
  const answer = await order(goodCommands[0]![0]);
  assert.equal(answer.status, 500);
  assert.ok(!answer.text.includes('hunter2'));
  assert.match(troubles.join(), /^serve: Error: the key/);
  assert.equal((await ask({ socketPath: path }, 'GET', '/v1/status')).status, 200);
});

test('a command that does not end is answered with what is not known', async () => {
  await control({ commandMs: 50 });
  desk.reply = () => new Promise(() => undefined);
  const answer = await order(goodCommands[0]![0]);
  assert.equal(answer.status, 409);
  assert.match(json(answer).message, /may still be carried out/);
});

// ---------------------------------------------------------------- the read-only listener

test('health, readiness and metrics are answered, to GET and to HEAD', async () => {
  const to = await http();
  assert.deepEqual((await ask(to, 'GET', '/healthz')).text, 'alive\n');
  assert.equal((await ask(to, 'GET', '/readyz')).status, 200);
  desk.view = {
    ...desk.view,
    ready: { ok: false, reasons: ['the store cannot commit', 'still settling'] },
  };
  const unready = await ask(to, 'GET', '/readyz');
  assert.equal(unready.status, 503);
  assert.equal(unready.text, 'not ready\nthe store cannot commit\nstill settling\n');
  const metrics = await ask(to, 'GET', '/metrics?x=1');
  assert.equal(metrics.text, 'detour_ready 1\n');
  assert.match(String(metrics.headers['content-type']), /^text\/plain; version=0\.0\.4/);
  const accept = 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5';
  const open = await ask(to, 'GET', '/metrics', undefined, { accept });
  assert.equal(open.text, 'detour_ready 1\n# EOF\n');
  assert.match(String(open.headers['content-type']), /^application\/openmetrics-text; version=1/);
  assert.equal(open.headers['vary'], 'accept, accept-encoding');
  const head = await ask(to, 'HEAD', '/readyz');
  assert.deepEqual([head.status, head.text], [503, '']);
  assert.equal(head.headers['content-length'], String(unready.text.length));
});

test('a process that lives says so even when the desk fails; readiness does not', async () => {
  const to = await http({
    desk: {
      ...desk,
      ready: () => {
        throw new Error('broken');
      },
    },
  });
  assert.equal((await ask(to, 'GET', '/healthz')).status, 200);
  assert.equal((await ask(to, 'GET', '/readyz')).status, 500);
  // A gate does without the whole view: load balancers keep getting their answer.
  assert.equal((await ask(to, 'GET', '/gates/www.gslb.example.net/tokyo')).status, 503);
});

test('short answers count as reading, too: whoever asks for thousands of them waits', async () => {
  const readers = new Readers();
  let pieces = 0;
  let charged = 0;
  const spend = readers.spend.bind(readers);
  readers.spend = (work) =>
    spend(
      (function* () {
        for (;;) {
          const { done, value } = work.next();
          if (done) return value;
          pieces++;
          charged += value ?? 0;
          yield value;
        }
      })(),
    );
  const to = await http({ askers: readers });
  const paths = ['/healthz', '/readyz', '/gates/www.gslb.example.net/tokyo', '/', '/none'];
  for (const url of paths) await ask(to, 'GET', url);
  assert.equal(pieces, paths.length);
  assert.ok(charged > 0.1, `${charged} ms for five requests`);
});

test('health and gates do not wait for who reads the metrics', async () => {
  const readers = new Readers();
  // Whoever reads the metrics has had more than enough.
  readers.spend = () => new Promise(() => undefined);
  const to = await http({ readers });
  const scraping = peer(to);
  await new Promise((resolve) => scraping.once('connect', resolve));
  scraping.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n');
  for (const url of ['/healthz', '/readyz', '/gates/www.gslb.example.net/hangzhou']) {
    assert.equal((await ask(to, 'GET', url)).status, 200, url);
  }
});

test('a gate is open for the target in force and closed for the others', async () => {
  const to = await http();
  const gate = async (rest: string) => (await ask(to, 'GET', `/gates/${rest}`)).status;
  for (const name of ['www.gslb.example.net', 'www.gslb.example.net.', 'WWW.GSLB.example.net']) {
    assert.equal(await gate(`${name}/hangzhou`), 200, name);
    assert.equal(await gate(`${name}/tokyo`), 503, name);
  }
  desk.view.records = [...desk.view.records, record({ name: 'www.xn--fsqu00a.example.' })];
  for (const name of ['www.xn--fsqu00a.example', encodeURIComponent('www.例子.example')]) {
    assert.equal(await gate(`${name}/hangzhou`), 200, name);
  }
  for (const rest of [
    'www.gslb.example.net/mars',
    'other.example.net/hangzhou',
    'www.gslb.example.net',
    'www.gslb.example.net/hangzhou/x',
    'www.gslb.example.net/',
    '/hangzhou',
    '%zz/hangzhou',
    '',
  ]) {
    assert.equal(await gate(rest), 404, rest);
  }
  const [first] = desk.view.records;
  desk.view = { ...desk.view, records: [{ ...first!, target: 'tokyo' }] };
  assert.equal(await gate('www.gslb.example.net/hangzhou'), 503);
  assert.equal(await gate('www.gslb.example.net/tokyo'), 200);
  desk.unsureMs = 3_600_000;
  assert.equal(await gate('www.gslb.example.net/tokyo'), 200, 'the last decision is kept');
  desk.unsureMs = 3_600_001;
  assert.equal(await gate('www.gslb.example.net/tokyo'), 503, 'and not for ever');
  desk.unsureMs = 0;
  desk.view = { ...desk.view, records: [{ ...first!, target: null, cname: null }] };
  assert.equal(await gate('www.gslb.example.net/hangzhou'), 503, 'before adoption none is open');
});

test('what another monitor pushes is heard with its token alone, bounded, and nowhere else', async () => {
  const pushed: string[] = [];
  const pushes = {
    bytesMost: 1000,
    mayPush: (name: string, token: string) => `${name} ${token}` === 'mon token-of-mon',
    push: (name: string, body: string) => {
      pushed.push(`${name} ${body}`);
      return body === 'odd' ? { status: 400, text: 'no\n' } : { status: 200, text: 'heard\n' };
    },
  };
  const to = await http({ pushes });
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
  const cases: readonly (readonly [string, string, string, Record<string, string>, number])[] = [
    ['POST', '/push/mon', '{}', bearer('token-of-mon'), 200],
    ['POST', '/push/mon/token-of-mon', '', {}, 200],
    ['POST', '/push/mon', 'odd', bearer('token-of-mon'), 400],
    ['POST', '/push/mon', 'x'.repeat(1001), bearer('token-of-mon'), 413],
    ['POST', '/push/mon', '{}', bearer('another'), 401],
    ['POST', '/push/mon', '{}', {}, 401],
    ['POST', '/push/none', '{}', bearer('token-of-mon'), 401],
    ['POST', '/push/mon/token-of-mon/more', '{}', {}, 401],
    ['POST', '/push/%zz', '{}', bearer('token-of-mon'), 401],
    ['POST', '/push/', '{}', {}, 401],
    ['GET', '/push/mon/token-of-mon', '', {}, 404],
    ['PUT', '/push/mon', '{}', bearer('token-of-mon'), 405],
    ['POST', '/healthz', '{}', bearer('token-of-mon'), 405],
  ];
  for (const [method, url, body, headers, status] of cases) {
    const answer = await ask(to, method, url, body, headers);
    assert.equal(answer.status, status, `${method} ${url}`);
    assert.ok(!answer.text.includes('token-of-mon'), 'no token comes back');
  }
  assert.deepEqual(pushed, ['mon {}', 'mon ', 'mon odd']);
  // Who has no token cannot make the body be awaited.
  const socket = peer(to);
  socket.write('POST /push/mon HTTP/1.1\r\ncontent-length: 900\r\n\r\n');
  assert.match(await untilClosed(socket), /^HTTP\/1\.1 401 /);
  const deaf = await http();
  const off = await ask(deaf, 'POST', '/push/mon', '{}', bearer('token-of-mon'));
  assert.equal(off.status, 405, 'nobody listens');
});

test('the listener only reads, believes no Host header and echoes nothing it was sent', async () => {
  const to = await http();
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
    const answer = await ask(to, method, '/healthz', method === 'POST' ? 'x'.repeat(100_000) : '');
    assert.deepEqual([answer.status, answer.headers['allow']], [405, 'GET, HEAD'], method);
  }
  const lost = await ask(to, 'GET', '/<script>');
  assert.equal(lost.status, 404);
  assert.ok(!lost.text.includes('script'));
  for (const host of ['evil.example', '']) {
    assert.equal((await ask(to, 'GET', '/healthz', '', { host })).status, 200);
  }
  const bare = peer(to);
  bare.end('GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n');
  assert.match(await untilClosed(bare), /^HTTP\/1\.1 200 /);
});

test('heads too large are refused and peers that send nothing are cut off', async () => {
  const to = await http({ limits: { requestMs: 300, idleMs: 600 } });
  const large = await ask(to, 'GET', `/${'x'.repeat(10_000)}`);
  assert.equal(large.status, 431);
  const silent = peer(to);
  await untilClosed(silent);
  assert.equal((await ask(to, 'GET', '/healthz')).status, 200);
});

test('a taken port is told of by name, and taken as soon as it is free', async () => {
  const { port, close } = await http();
  const second = await http({ port, retryMs: 10 });
  assert.match(
    troubles.join(),
    new RegExp(`http-listener: 127.0.0.1:${port}: EADDRINUSE; .*again`),
  );
  await close();
  const until = performance.now() + 10_000;
  let status = 0;
  while (status !== 200 && performance.now() < until) {
    status = await ask(second, 'GET', '/healthz')
      .then((a) => a.status)
      .catch(() => 0);
  }
  assert.equal(status, 200);
});

test('a listener that never got its address ends at once', async () => {
  const { port } = await http();
  const second = await http({ port });
  await second.close();
});

test('close ends while a peer still holds a connection open', async () => {
  const to = await http();
  const idle = peer(to);
  await new Promise((resolve) => idle.once('connect', resolve));
  const gone = untilClosed(idle);
  await to.close();
  await gone;
  await assert.rejects(ask(to, 'GET', '/healthz'), { code: 'ECONNREFUSED' });
});
