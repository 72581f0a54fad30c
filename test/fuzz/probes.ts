// Probes: the reader of HTTP answers, the http, tls and grpc checks against a raw server, metrics of a
// blackbox exporter, answers of a Prometheus, what other monitors push, and the replies of proxies. Every probe ends with pass, fail or blind within its
// timeout and 250 ms and never throws; what a proxy or an exporter says wrongly is never `fail`.

import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { PathSpec, ProbeResult } from '../../src/kit/extend.ts';
import { AnswerReader, Malformed } from '../../src/probes/answer.ts';
import { readMetrics } from '../../src/probes/blackbox.ts';
import { readState } from '../../src/probes/grpc.ts';
import { checkTypes, createProber } from '../../src/probes/index.ts';
import { readAnswer } from '../../src/probes/prometheus.ts';
import { Board, readPush } from '../../src/probes/push.ts';
import { type Dice, mutate } from './dice.ts';
import { b64, demand, ends, inTime, Reached, type Stand, target, unb64 } from './harness.ts';

/** What a raw server says once it has heard something. */
interface Script {
  readonly writes: readonly string[];
  /** Written over and over behind that, until nobody takes it. */
  readonly endless: string;
  readonly end: 'end' | 'hold' | 'reset';
}

type Input =
  | {
      readonly kind: 'reader';
      readonly method: string;
      readonly most: number;
      readonly pieces: readonly string[];
    }
  | { readonly kind: 'metrics'; readonly text: string }
  | { readonly kind: 'health' | 'query'; readonly bytes: string }
  | { readonly kind: 'push'; readonly format: string; readonly bytes: string }
  | {
      readonly kind: 'http' | 'tls' | 'tcp' | 'grpc' | 'blackbox' | 'proxy' | 'socks5';
      readonly settings: Readonly<Record<string, unknown>>;
      readonly script: Script;
      /** Of SOCKS5: one reply a turn. */
      readonly turns?: readonly string[];
    };

type Asked = Extract<Input, { script: Script }>;

const timeoutMs = 250;

export const probes = target<Input>({
  name: 'probes',
  atOnce: 6,
  open: async () => new Probes(),
});

const ok = (body: string, head = '') =>
  `HTTP/1.1 200 OK\r\ndate: Mon, 23 Nov 2026 22:00:00 GMT\r\n${head}\r\n${body}`;
const answers: readonly string[] = [
  ok('hello', 'content-length: 5\r\n'),
  ok('5\r\nhello\r\n3;x=y\r\nyou\r\n0\r\nx: y\r\n\r\n', 'transfer-encoding: chunked\r\n'),
  ok('to the end'),
  `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n${ok('', 'content-length: 0\r\n')}`,
  'HTTP/1.1 204 No Content\r\n\r\n',
  'HTTP/1.1 301 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n',
  'HTTP/1.1 503 No\r\nconnection: close\r\n\r\nno',
  'HTTP/1.0 200 OK\r\n\r\nold',
  ok('x', 'content-length: 1\r\ntransfer-encoding: chunked\r\n'),
];
const page = [
  '# HELP probe_success whether it did',
  'probe_dns_lookup_time_seconds 0.001',
  'probe_duration_seconds 0.02',
  'probe_failed_due_to_regex 0',
  'probe_http_duration_seconds{phase="connect"} 0.001',
  'probe_http_duration_seconds{phase="processing"} 0.01',
  'probe_http_duration_seconds{phase="tls"} 0.004',
  'probe_http_status_code 200',
  'probe_ip_protocol 4',
  'probe_ssl_earliest_cert_expiry 1.9e+09',
  'probe_success 1',
  '',
].join('\n');
const socksTurns = [
  [Buffer.of(5, 0), Buffer.of(5, 0, 0, 1, 127, 0, 0, 1, 0, 80)],
  [Buffer.of(5, 0), Buffer.of(5, 0, 0, 3, 3, 97, 46, 98, 0, 80)],
  [Buffer.of(5, 0), Buffer.of(5, 4, 0, 1, 0, 0, 0, 0, 0, 0)],
  [Buffer.of(5, 0), Buffer.of(5, 1, 0, 0)],
  [Buffer.of(5, 0xff)],
];
const connected = 'HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n';

/** Of HTTP/2 what a server says first, and of one call headers, a message and trailers. */
const frames = [
  '00000004000000000000000401000000000000000408000000000000' + '00000100' + '000001040000000188',
  '000006040000000000000300000064' + '0000070000000000008000000000000002',
  '000007000000000001' + '00000000020801' + '00000403000000010000000d',
].map((hex) => Buffer.from(hex, 'hex'));
const healths = ['00000000020801', '0000000000', '00000000091202414208011d01020304'].map((hex) =>
  Buffer.from(hex, 'hex'),
);
const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const sample = { metric: { __name__: 'up', job: 'a' }, value: [1.7e9, '1'] };
const queries = [
  json({ status: 'success', data: { resultType: 'vector', result: [sample, sample] } }),
  json({ status: 'success', data: { resultType: 'scalar', result: [1.7e9, 'NaN'] } }),
  json({ status: 'error', errorType: 'bad_data', error: 'parse error' }),
];
const firing = {
  ...{ status: 'firing', labels: { alertname: 'A', origin: 'hz' }, annotations: { summary: 's' } },
  fingerprint: '1a30ba71cca2921f',
};
const pushes = [
  json({ state: 'down', key: 'a', detail: 'gone' }),
  json({ version: '4', alerts: [firing, { ...firing, status: 'resolved' }] }),
  json({ heartbeat: { status: 0, msg: 'm' }, monitor: { id: 7, name: 'shop' }, msg: 'x' }),
  json({ state: 'TRIGGERED', endpoint: 'e', group: 'g', detail: 'd' }),
  Buffer.alloc(0),
];

class Probes implements Stand<Input> {
  readonly reached = new Reached();

  draw(dice: Dice): Input {
    const kind = dice.pick([
      ...(['reader', 'reader', 'reader', 'reader', 'metrics', 'metrics'] as const),
      ...(['http', 'http', 'http', 'tls', 'tcp', 'blackbox', 'proxy', 'socks5'] as const),
      ...(['grpc', 'health', 'query', 'push'] as const),
    ]);
    switch (kind) {
      case 'reader':
        return {
          kind,
          method: dice.pick(['GET', 'GET', 'HEAD']),
          most: dice.pick([0, 1, 1000, 1_048_576]),
          pieces: pieces(dice, drawAnswer(dice)),
        };
      case 'metrics':
        return { kind, text: drawPage(dice) };
      case 'http':
        return {
          kind,
          settings: dice.pick([
            {},
            { method: 'HEAD' },
            { expect: { status: 200, body: { text: 'hello' } } },
            { expect: { body: { regex: '^(h+)+$' } } },
            { expect: { body: { json: { path: 'a.0', equals: 1 } } } },
            { cacheBust: true },
          ]),
          script: drawScript(dice, drawAnswer(dice)),
        };
      case 'tls':
        return { kind, settings: {}, script: drawScript(dice, drawTls(dice)) };
      case 'grpc': {
        const bytes = mutate(dice, dice.pick(frames), frames);
        return { kind, settings: { plaintext: true }, script: drawScript(dice, bytes) };
      }
      case 'health':
        return { kind, bytes: b64(drawOne(dice, healths)) };
      case 'query':
        return { kind, bytes: b64(drawOne(dice, queries)) };
      case 'push': {
        const format = dice.pick(['generic', 'alertmanager', 'uptime-kuma', 'gatus']);
        return { kind, format, bytes: b64(drawOne(dice, pushes)) };
      }
      case 'tcp':
        return {
          kind,
          settings: { expect: { text: '220' } },
          script: drawScript(dice, mutate(dice, Buffer.from('220 mail.test ESMTP\r\n'))),
        };
      case 'blackbox': {
        const body = dice.is(0.1) ? page : drawPage(dice);
        const whole = Buffer.from(ok(body, `content-length: ${body.length}\r\n`), 'latin1');
        const bytes = dice.is(0.7) ? whole : mutate(dice, whole);
        return { kind, settings: {}, script: drawScript(dice, bytes) };
      }
      case 'proxy': {
        const reply = mutate(dice, Buffer.from(dice.pick([connected, ...answers])), [
          Buffer.from(connected),
        ]);
        return { kind, settings: {}, script: drawScript(dice, reply) };
      }
      case 'socks5': {
        const turns = dice.pick(socksTurns).map((reply) => b64(drawSocks(dice, reply)));
        return { kind, settings: {}, script: drawScript(dice, Buffer.alloc(0)), turns };
      }
    }
  }

  async run(input: Input): Promise<void> {
    if (input.kind === 'reader') return runReader(input);
    if ('bytes' in input) {
      return inTime(500, `reading ${input.kind}`, () => runMonitor(input, this.reached));
    }
    if (input.kind !== 'metrics') return runProbe(input, this.reached);
    const metrics = inTime(500, 'reading metrics', () => readMetrics(input.text));
    for (const [name, value] of metrics) {
      demand(name.startsWith('probe_') && Number.isFinite(value), 'a metric is no number');
    }
  }

  async close(): Promise<void> {}
}

// ---------------------------------------------------------------- drawing

function drawAnswer(dice: Dice): Buffer {
  const whole = Buffer.from(dice.pick(answers), 'latin1');
  return dice.pick<() => Buffer>([
    ...Array.from(
      { length: 6 },
      () => () =>
        mutate(
          dice,
          whole,
          answers.map((a) => Buffer.from(a)),
        ),
    ),
    () => Buffer.from('HTTP/1.1 102 Wait\r\n\r\n'.repeat(dice.spread(10, 5000))),
    () => Buffer.from(ok('', 'x: y\r\n'.repeat(dice.spread(10, 10_000)))),
    () =>
      Buffer.from(
        ok('1\r\nx\r\n'.repeat(dice.spread(10, 20_000)), 'transfer-encoding: chunked\r\n'),
      ),
    () => Buffer.from(ok('0\r\n', 'transfer-encoding: chunked\r\n') + 'x: y\r\n'.repeat(5000)),
    () =>
      Buffer.from(
        ok(
          `${dice.pick(['fffffffffffff', '-1', '0x5', '', ' 5'])}\r\n`,
          'transfer-encoding: chunked\r\n',
        ),
      ),
    () => Buffer.from(ok('h'.repeat(dice.spread(10, 100_000)))),
  ])();
}

/** With one number of it as no exporter writes it, or mutated anyhow. */
function drawPage(dice: Dice): string {
  if (dice.is(0.5)) return mutate(dice, Buffer.from(page)).toString('latin1');
  const values = ['1e308', '-1e308', '1.7e308', '-1', 'NaN', '+Inf', '0x10', '1e18', '5e-324', '2'];
  const lines = page.split('\n');
  const at = dice.int(1, lines.length - 2);
  lines[at] = lines[at]!.replace(/\S+$/, dice.pick(values));
  return lines.join('\n');
}

function drawScript(dice: Dice, bytes: Buffer): Script {
  return {
    writes: pieces(dice, bytes),
    endless: dice.is(0.9)
      ? ''
      : dice.pick(['x', 'x: y\r\n', 'HTTP/1.1 102 Wait\r\n\r\n', '1\r\nx\r\n', '\r\n', '\u0000']),
    end: dice.pick(['end', 'end', 'hold', 'reset']),
  };
}

function pieces(dice: Dice, bytes: Buffer): string[] {
  const found: string[] = [];
  for (let rest = bytes; rest.length > 0; ) {
    const size = dice.is(0.4) || found.length > 40 ? rest.length : dice.spread(1, rest.length);
    found.push(b64(rest.subarray(0, size)));
    rest = rest.subarray(size);
  }
  return found;
}

/** One of them, most often mutated. */
function drawOne(dice: Dice, all: readonly Buffer[]): Buffer {
  const one = dice.pick(all);
  return dice.is(0.4) ? one : mutate(dice, one, all);
}

function drawTls(dice: Dice): Buffer {
  // A ServerHello record, as far as its own head.
  const hello = Buffer.concat([Buffer.of(22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3), dice.bytes(36)]);
  const alert = Buffer.of(21, 3, 3, 0, 2, 2, 40);
  return mutate(dice, dice.pick([hello, alert, dice.bytes(100), Buffer.from(answers[0]!)]));
}

function drawSocks(dice: Dice, reply: Buffer): Buffer {
  return dice.is(0.4) ? reply : mutate(dice, reply);
}

// ---------------------------------------------------------------- the reader

function runReader({ method, most, pieces }: Extract<Input, { kind: 'reader' }>): void {
  const reader = new AnswerReader(method, most);
  inTime(500, 'reading an answer', () => {
    try {
      for (const piece of pieces) if (reader.take(unb64(piece))) break;
      reader.finish();
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
    }
  });
  demand(reader.body().length <= most, 'more of a body is kept than its bound');
  const status = reader.head?.status ?? 200;
  demand(Number.isInteger(status) && status >= 200 && status <= 999, `a status is ${status}`);
}

function runMonitor(input: Extract<Input, { bytes: string }>, reached: Reached): void {
  const body = unb64(input.bytes);
  if (input.kind === 'health') {
    const state = readState(body);
    reached.note(`health ${state === null ? 'none' : 'read'}`);
    demand(state === null || (Number.isSafeInteger(state) && state >= 0), `a state is ${state}`);
  } else if (input.kind === 'query') {
    const read = readAnswer({ status: 200, body, isCut: false });
    reached.note(`query ${read.kind}`);
    if (read.kind === 'trouble') demand(read.detail.length < 400, 'trouble without an end');
  } else if ('format' in input) {
    const asked = { ...{ push: 'mon', token: { env: 'T' } }, format: input.format };
    const settings = checkTypes['push']!.settings.parse(asked) as Parameters<Board['answer']>[0];
    const heard = readPush(settings, body);
    reached.note(`push ${heard.ok ? 'heard' : 'refused'}`);
    if (!heard.ok) return;
    const board = new Board();
    board.keep(['mon'], 0);
    board.hear('mon', heard, 1000);
    checkProbe({ ...board.answer(settings, 2000), phases: {} });
  }
}

// ---------------------------------------------------------------- a probe

async function runProbe(input: Asked, reached: Reached): Promise<void> {
  const server = await startRaw(input);
  const { port } = server;
  const place = `127.0.0.1:${port}`;
  const check =
    input.kind === 'tls' || input.kind === 'tcp' || input.kind === 'grpc' ? input.kind : 'http';
  const type = checkTypes[check]!;
  // Behind a proxy nobody is asked: names of the far end are never looked up here.
  const far = input.kind === 'proxy' || input.kind === 'socks5' || input.kind === 'blackbox';
  const to = far ? 'www.shop.test:80' : place;
  const asked = check === 'http' ? { http: `http://${to}/` } : { [check]: to };
  const settings = type.settings.parse({ ...asked, ...input.settings });
  const paths = { line: pathOf(input.kind, place) };
  const prober = createProber({ 'o/c': { kind: check, settings, timeoutMs } }, paths);
  try {
    const probe = prober.probe('o/c', 'line', new AbortController().signal);
    const result = await ends(timeoutMs + 250, `a ${input.kind} probe`, probe);
    reached.note(`${input.kind} ${result.outcome}`);
    checkProbe(result);
    const isOurs = result.reason === 'internal' && !result.detail.startsWith('the pattern took');
    demand(!isOurs, `a probe ends with a fault of ours: ${result.detail}`);
    checkFault(input, result, server.said());
    demand(prober.inFlight() === 0, 'a probe is still under way after its end');
  } finally {
    prober.close();
    await server.close();
  }
}

function checkProbe({ outcome, reason, detail, phases, certificateDays }: ProbeResult): void {
  demand(['pass', 'fail', 'blind'].includes(outcome), `an outcome is ${outcome}`);
  demand(/^[a-z0-9-]+$/.test(reason), `a reason is ${JSON.stringify(reason)}`);
  demand(detail.length > 0 && [...detail].length <= 200, 'a detail is empty or has no end');
  demand(!/[\p{Cc}\p{Zl}\p{Zp}]/u.test(detail), 'a detail holds control characters');
  for (const [phase, ms] of Object.entries(phases)) {
    demand(Number.isFinite(ms) && ms >= 0, `phase ${phase} took ${ms}`);
  }
  const days = certificateDays ?? 0;
  demand(Number.isSafeInteger(days), `a certificate has ${days} days left`);
}

/** Who may be blamed for what was said. */
function checkFault({ kind }: Asked, { outcome, reason }: ProbeResult, said: Buffer): void {
  if (outcome === 'blind') return;
  const text = said.toString('latin1');
  if (kind === 'proxy') {
    const head = /^HTTP\/1\.[01] 2\d\d[ \r]/.test(text) && text.includes('\r\n\r\n');
    demand(head, `a proxy's words are taken for the origin's: ${outcome} ${reason}`);
  } else if (kind === 'socks5') {
    const [version, method, second, code] = said;
    const isSaid = version === 5 && method === 0 && second === 5 && (code === 0 || code === 5);
    demand(isSaid, `a proxy's words are taken for the origin's: ${outcome} ${reason}`);
  } else if (kind === 'blackbox') {
    const isPage = /^HTTP\/1\.\d 200/.test(text) && /^probe_success /m.test(text);
    demand(isPage, `an exporter's trouble is taken for the origin's: ${outcome} ${reason}`);
  }
}

function pathOf(kind: Asked['kind'], place: string): PathSpec {
  const own = { name: 'line', resolver: null };
  if (kind === 'blackbox') return { ...own, kind, url: `http://${place}`, module: 'http_2xx' };
  if (kind !== 'proxy' && kind !== 'socks5') return { ...own, kind: 'direct', localAddress: null };
  const scheme = kind === 'proxy' ? 'http' : 'socks5';
  return { ...own, kind, url: `${scheme}://${place}`, credentials: null };
}

interface Raw {
  readonly port: number;
  /** Everything it has said so far. */
  said(): Buffer;
  close(): Promise<void>;
}

async function startRaw({ kind, script, turns }: Asked): Promise<Raw> {
  const sockets = new Set<Socket>();
  const said: Buffer[] = [];
  const say = (socket: Socket, text: string) => {
    const bytes = unb64(text);
    if (said.length < 100) said.push(bytes);
    return socket.write(bytes);
  };
  const answer = async (socket: Socket) => {
    for (const [i, text] of script.writes.entries()) {
      if (i > 0) await pause(1);
      if (socket.destroyed) return;
      say(socket, text);
    }
    const block = Buffer.alloc(65_536, script.endless || 'x');
    if (script.endless !== '') said.push(block);
    while (script.endless !== '' && !socket.destroyed) {
      if (!socket.write(block)) await Promise.race([once(socket, 'drain'), once(socket, 'close')]);
      await pause(0);
    }
    if (script.end === 'end') socket.end();
    else if (script.end === 'reset') socket.resetAndDestroy();
  };
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    let turn = 0;
    // Who speaks first is the server here.
    if (kind === 'tcp') {
      socket.resume();
      return void answer(socket).catch(() => {});
    }
    socket.on('data', () => {
      const next = turns?.[turn];
      if (next !== undefined) say(socket, next);
      else if (turn === (turns?.length ?? 0)) void answer(socket).catch(() => {});
      turn++;
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    said: () => Buffer.concat(said),
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
