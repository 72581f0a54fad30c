// The daemon's listeners, as raw bytes on the Unix socket, on TCP and on TLS in front of a desk that only
// takes down what it is given: mutated requests, floods, slow and broken-off clients, commands of
// every wrong shape. Each client is answered or cut, a good one is answered afterwards, and nothing
// reaches the desk that is not exactly a command.

import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { serveApi } from '../../src/serve/api.ts';
import { serveControl } from '../../src/serve/control.ts';
import type { Served } from '../../src/serve/desk.ts';
import { serveHttp } from '../../src/serve/http.ts';
import { Readers } from '../../src/serve/readers.ts';
import { Text } from '../../src/serve/text.ts';
import { createTokens } from '../../src/serve/tokens.ts';
import { type StandIn, standIn } from '../cli/desk.ts';
import { makeCertificate } from '../parts/certificate.ts';
import { type Dice, mutate, mutateJson, oddValue } from './dice.ts';
import { b64, demand, ends, Reached, type Stand, target, unb64 } from './harness.ts';

interface Input {
  readonly listener: 'control' | 'http' | 'api';
  /** What is written, one after the other with a moment in between. */
  readonly writes: readonly string[];
  readonly end: 'half' | 'cut' | 'hold';
}

const limits = { requestMs: 300, idleMs: 400 };
/** The limits, the interval at which Node looks at them, and a moment. */
const cutMs = 1500;
const path = '/v1/command';
const token = 'f'.repeat(40);

const commands: readonly { readonly kind: string; readonly [field: string]: unknown }[] = [
  {
    kind: 'switch',
    record: 'www.gslb.example.net',
    target: 'tokyo',
    reason: 'a reason',
    by: 'ann',
    forMs: 7_200_000,
    force: false,
    dryRun: true,
  },
  { kind: 'adopt', record: 'www.gslb.example.net', target: 'tokyo', create: true, by: 'ann' },
  { kind: 'pin', record: 'www.gslb.example.net', reason: 'a reason', by: 'ann', forMs: null },
  { kind: 'unpin', record: 'www.gslb.example.net.', by: 'ann' },
  { kind: 'prepare', record: 'www', reason: 'a reason', by: 'ann', ttl: 5, forMs: 60_000 },
  { kind: 'drain', what: 'tokyo', reason: 'a reason', by: 'ann' },
  { kind: 'undrain', what: 'tokyo', by: 'ann' },
  { kind: 'freeze', record: null, reason: 'a reason', by: 'ann' },
  { kind: 'unfreeze', record: 'www.gslb.example.net', by: 'ann' },
  { kind: 'ack', reject: false, dryRun: false, record: 'www.gslb.example.net', by: 'ann' },
  { kind: 'drilled', check: 'tokyo/web', by: 'ann' },
  {
    kind: 'drill',
    record: 'www.gslb.example.net',
    target: null,
    byVendor: true,
    forMs: 120_000,
    watchMs: 10_000,
    reason: 'a reason',
    by: 'ann',
  },
  { kind: 'end-drill', record: 'www.gslb.example.net', by: 'ann' },
  { kind: 'yield', by: 'ann' },
  { kind: 'restored', by: 'ann' },
];

export const control = target<Input>({
  name: 'control',
  // The desk is one: what one client does must not look like another's doing.
  atOnce: 1,
  async open() {
    const stand = new Doors();
    await stand.start();
    return stand;
  },
});

class Doors implements Stand<Input> {
  readonly reached = new Reached();
  readonly #folder = mkdtempSync(join(tmpdir(), 'detour-fuzz-'));
  readonly #socket = join(this.#folder, 'control.sock');
  readonly #desk: StandIn = standIn();
  readonly #troubles: string[] = [];
  #served: Served[] = [];
  #port = 0;
  #apiPort = 0;

  async start(): Promise<void> {
    const trouble = (what: string, detail: string) => void this.#troubles.push(`${what} ${detail}`);
    const desk = this.#desk;
    const readers = new Readers();
    const text = new Text([Buffer.from('detour_ready 1\n')]);
    const metrics = { text: async () => text };
    this.#served.push(await serveControl({ path: this.#socket, desk, readers, trouble, limits }));
    const where = { host: '127.0.0.1', port: 0, gateHoldMs: 1000 };
    const http = await serveHttp({
      ...where,
      desk,
      metrics,
      readers,
      askers: readers,
      trouble,
      limits,
    });
    this.#served.push(http);
    this.#port = http.port;
    await this.#startApi(readers, trouble);
  }

  /** Without openssl there is none, and it is not drawn. */
  async #startApi(
    readers: Readers,
    trouble: (what: string, detail: string) => void,
  ): Promise<void> {
    const made = makeCertificate(this.#folder, 'api', ['127.0.0.1']);
    if (made === null) return;
    const generous = { burst: 1e9, perSecond: 1e9 };
    const rate = { each: generous, all: generous };
    const api = await serveApi({
      ...{
        host: '127.0.0.1',
        port: 0,
        names: ['x.'],
        version: '0',
        desk: this.#desk,
        readers,
        limits,
      },
      identity: () => made,
      tokens: () => createTokens({ fuzz: { text: token, role: 'operate' } }),
      links: () => [Buffer.alloc(32, 1)],
      trouble,
      note: () => {},
      wall: Date.now,
      rates: { arrivals: rate, known: rate, refusals: rate },
    });
    this.#served.push(api);
    this.#apiPort = api.port;
  }

  draw(dice: Dice): Input {
    const drawn = dice.pick(['control', 'control', 'control', 'http', 'api', 'api'] as const);
    const listener = drawn === 'api' && this.#apiPort === 0 ? 'control' : drawn;
    const plain = listener === 'http' ? drawHttp(dice) : drawControl(dice);
    const whole = listener === 'api' ? withToken(dice, plain) : plain;
    const bytes = dice.is(0.5) ? whole : mutate(dice, whole, [drawControl(dice), whole]);
    const writes: string[] = [];
    for (let rest = bytes; rest.length > 0; ) {
      const size = dice.is(0.7) || writes.length >= 5 ? rest.length : dice.int(1, rest.length);
      writes.push(b64(rest.subarray(0, size)));
      rest = rest.subarray(size);
    }
    return { listener, writes, end: dice.pick(['half', 'half', 'half', 'cut', 'hold']) };
  }

  async run(input: Input): Promise<void> {
    this.#desk.commands.length = 0;
    this.#desk.queries.length = 0;
    this.#troubles.length = 0;
    const said = await ends(cutMs, 'a client', this.#talk(input));
    if (said !== '') {
      demand(/^HTTP\/1\.1 [1-5]\d\d /.test(said), 'the answer is no HTTP');
      demand(
        !/^HTTP\/1\.1 5\d\d/m.test(said) || this.#isReadiness(input, said),
        'the daemon failed',
      );
    }
    demand(this.#troubles.length === 0, `trouble: ${this.#troubles[0]}`);
    this.reached.note(/^HTTP\/1\.1 \d+/.exec(said)?.[0] ?? 'cut');
    for (const command of this.#desk.commands) {
      this.reached.note('a command');
      checkCommand(command);
    }
    for (const query of this.#desk.queries) checkQuery(query);
    const answer = await ends(1000, 'a good client', this.#ask());
    demand(answer === 200, `a good client is answered ${answer} afterwards`);
  }

  /** The read-only listener says 503 of gates and of readiness; a HEAD has no words. */
  #isReadiness({ listener }: Input, said: string): boolean {
    return listener === 'http' && !said.includes('HTTP/1.1 500');
  }

  /** Everything that was said until the other end closed, or until nothing more need come. */
  #talk({ listener, writes, end }: Input): Promise<string> {
    const host = '127.0.0.1';
    return new Promise((resolve) => {
      const socket =
        listener === 'api'
          ? connectTls({ host, port: this.#apiPort, rejectUnauthorized: false })
          : connect({
              ...(listener === 'control' ? { path: this.#socket } : { host, port: this.#port }),
              allowHalfOpen: true,
            });
      let said = '';
      const done = () => {
        socket.destroy();
        resolve(said);
      };
      socket.on('error', done);
      socket.on('close', done);
      socket.on('end', done);
      socket.on('data', (chunk: Buffer) => {
        said += chunk.toString('latin1');
        // It keeps the connection for the next request; whoever holds it there is cut later.
        if (end === 'hold' && /\r\n\r\n/.test(said)) done();
      });
      void (async () => {
        for (const [i, text] of writes.entries()) {
          if (i > 0) await pause(10);
          if (socket.destroyed) return;
          socket.write(unb64(text));
        }
        if (end === 'half') socket.end();
        else if (end === 'cut') socket.destroy();
      })();
    });
  }

  /** The status of a good request on the control socket. */
  #ask(): Promise<number> {
    return new Promise((resolve) => {
      const options = { socketPath: this.#socket, path: '/v1/status', agent: false };
      const asked = request(options, (answer) => {
        answer.resume();
        answer.on('end', () => resolve(answer.statusCode ?? 0));
      });
      asked.on('error', () => resolve(0));
      asked.end();
    });
  }

  async close(): Promise<void> {
    for (const served of this.#served) await served.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

// ---------------------------------------------------------------- what a client may send

function drawControl(dice: Dice): Buffer {
  return dice.pick<() => Buffer>([
    ...Array.from({ length: 7 }, () => () => post(dice, drawBody(dice))),
    () => get(dice, dice.pick(['/v1/status', '/v1/audit', '/v1/reload', path, '/__proto__', '*'])),
    () => get(dice, `/v1/history?${drawQuery(dice)}`),
    () => Buffer.concat([post(dice, drawBody(dice)), post(dice, drawBody(dice))]),
  ])();
}

/** What a client of the API sends: with its token mostly, and as JSON. */
function withToken(dice: Dice, plain: Buffer): Buffer {
  const text = dice.is(0.9) ? token : 'w'.repeat(40);
  const head = `authorization: Bearer ${text}\r\ncontent-type: application/json\r\n`;
  const link = dice.is(0.1) ? plain.toString('latin1').replace(/\/v1\/\w+/, '/v1/link/a.b') : null;
  const said = link ?? plain.toString('latin1');
  return Buffer.from(
    said.replace(/\r\nhost: x\r\n/, (host) => host + head),
    'latin1',
  );
}

function drawBody(dice: Dice): string {
  const command = dice.pick(commands);
  return dice.pick<() => string>([
    () => JSON.stringify(command),
    () => mutateJson(dice, JSON.stringify(command)),
    () => mutateJson(dice, JSON.stringify(command)),
    () => {
      const key = dice.pick(Object.keys(command));
      return JSON.stringify({ ...command, [key]: oddValue(dice) });
    },
    () => JSON.stringify({ ...dice.pick(commands), ...command, kind: dice.pick(commands).kind }),
    () => JSON.stringify(command).replace('{', `{"__proto__":${JSON.stringify(command)},`),
    () => JSON.stringify(command).replace('{', '{"constructor":{"prototype":{"force":true}},'),
    () => JSON.stringify(command).replace('{', '{"by":"bob","kind":"ack",'),
    () => JSON.stringify([command]),
    () => '['.repeat(dice.spread(10, 60_000)),
    () => `{"kind":${'{"a":'.repeat(dice.spread(10, 9000))}`,
    () => JSON.stringify({ ...command, reason: 'x'.repeat(dice.spread(400, 200_000)) }),
    () => JSON.stringify(oddValue(dice)),
  ])();
}

function post(dice: Dice, body: string): Buffer {
  const bytes = Buffer.from(body);
  const length = dice.is(0.85)
    ? bytes.length
    : dice.pick([0, 1, bytes.length + 10, 65_536, 65_537, 1e15, -1, 'x', '1, 1', '+5']);
  const framing = dice.is(0.9) ? `content-length: ${length}` : 'transfer-encoding: chunked';
  const head = `POST ${path} HTTP/1.1\r\nhost: x\r\n${framing}\r\n${drawHeaders(dice)}\r\n`;
  const isChunked = framing.startsWith('t');
  const chunk = isChunked ? `${bytes.length.toString(16)}\r\n` : '';
  return Buffer.concat([
    Buffer.from(head + chunk),
    bytes,
    Buffer.from(isChunked ? '\r\n0\r\n\r\n' : ''),
  ]);
}

function get(dice: Dice, where: string): Buffer {
  const method = dice.pick([
    'GET',
    'GET',
    'GET',
    'HEAD',
    'POST',
    'PUT',
    'OPTIONS',
    'CONNECT',
    'get',
  ]);
  return Buffer.from(`${method} ${where} HTTP/1.1\r\nhost: x\r\n${drawHeaders(dice)}\r\n`);
}

function drawHttp(dice: Dice): Buffer {
  const gate = `/gates/${dice.pick(['www.gslb.example.net', '%', '%2e', '..', '__proto__'])}`;
  const to = dice.pick(['tokyo', 'hangzhou', '', 'constructor', '%ff', 'a/b']);
  return get(dice, dice.pick([`${gate}/${to}`, '/metrics', '/readyz', '/healthz', '/', '//x/%00']));
}

function drawHeaders(dice: Dice): string {
  if (dice.is(0.8)) return dice.is(0.5) ? '' : 'connection: close\r\n';
  return dice.pick<() => string>([
    () => `x: ${'y'.repeat(dice.spread(100, 100_000))}\r\n`,
    () => 'a: b\r\n'.repeat(dice.spread(10, 5000)),
    () => 'expect: 100-continue\r\n',
    () => 'connection: upgrade\r\nupgrade: websocket\r\n',
    () => 'content-length: 3\r\ntransfer-encoding: chunked\r\n',
    () => ' folded: yes\r\n',
  ])();
}

function drawQuery(dice: Dice): string {
  const part = dice.pick(['limit=5', 'limit=0', 'limit=99999', 'limit=-1', 'record=%00', 'x=1']);
  const more = dice.pick([
    '',
    '&record=www.example.net',
    '&limit=7',
    '&__proto__=1',
    '&record[]=a',
  ]);
  return part + more;
}

// ---------------------------------------------------------------- what may reach the desk

type Field = (value: unknown) => boolean;
const isName: Field = (v) =>
  typeof v === 'string' && v.length <= 254 && /^([a-z0-9_-]{1,63}\.){2,}$/.test(v);
const isLine =
  (most: number): Field =>
  (v) =>
    typeof v === 'string' && v.length >= 1 && v.length <= most && !/\p{Cc}/u.test(v);
const isFlag: Field = (v) => typeof v === 'boolean';
const isWait: Field = (v) => v === null || (Number.isSafeInteger(v) && (v as number) >= 1000);
/** As it was typed: which one is meant is for the core to say. */
const isTyped = isLine(256);
const [record, by, reason, word] = [isTyped, isLine(64), isLine(500), isLine(128)];
const isShort: Field = (v) =>
  Number.isSafeInteger(v) && (v as number) >= 1 && (v as number) <= 3600;
const isDay: Field = (v) => v !== null && isWait(v) && (v as number) <= 86_400_000;
const either: Field = (v) => v === null || isTyped(v);

/** Written apart from the code under test. */
const shapes: Readonly<Record<string, Readonly<Record<string, Field>>>> = {
  switch: { record, target: word, reason, by, forMs: isWait, force: isFlag, dryRun: isFlag },
  adopt: { record, target: word, create: isFlag, by },
  pin: { record, reason, by, forMs: isWait },
  unpin: { record, by },
  prepare: { record, reason, by, ttl: isShort, forMs: isDay },
  unprepare: { record, by },
  drain: { what: word, reason, by },
  undrain: { what: word, by },
  freeze: { record: either, reason, by },
  unfreeze: { record: either, by },
  ack: { record, by, reject: isFlag },
  drilled: { check: word, by },
  yield: { by },
  restored: { by },
};
/** What a command may bear besides. */
const besides: Readonly<Record<string, Readonly<Record<string, Field>>>> = {
  adopt: { reason },
  unprepare: { reason },
  drain: { forMs: isWait },
  freeze: { forMs: isWait },
};

function checkCommand(command: object): void {
  const { kind, ...fields } = command as Record<string, unknown>;
  const shape = typeof kind === 'string' && Object.hasOwn(shapes, kind) ? shapes[kind]! : null;
  demand(shape !== null, 'a command of no known kind reached the desk');
  const more = { ...(kind === 'drilled' ? {} : { dryRun: isFlag }), ...besides[kind as string] };
  const all: Readonly<Record<string, Field>> = { ...more, ...shape };
  for (const name of Object.keys(shape)) {
    demand(Object.hasOwn(fields, name), `a ${kind} without ${name} reached the desk`);
  }
  for (const [name, value] of Object.entries(fields)) {
    const check = Object.hasOwn(all, name) ? all[name]! : null;
    demand(check !== null, `a ${kind} with ${name} reached the desk`);
    demand(check(value), `a ${kind} of another ${name} reached the desk`);
  }
  const prototype: unknown = Object.getPrototypeOf(command);
  demand(prototype === Object.prototype, `a ${kind} of another prototype reached the desk`);
}

function checkQuery(query: unknown): void {
  const { limit, record: asked, ...rest } = query as Record<string, unknown>;
  const isGood = Number.isInteger(limit) && (limit as number) >= 1 && (limit as number) <= 10_000;
  demand(isGood, 'a query without a limit reached the desk');
  demand(asked === undefined || isName(asked), 'a query of no record reached the desk');
  demand(Object.keys(rest).length === 0, 'a query of more reached the desk');
}
