// The `grpc` check: grpc.health.v1.Health/Check over a fresh HTTP/2 connection, with TLS or in the
// clear. It must never reuse a connection, never read more than its bound, never take a connection
// that stands for a service that serves, and never blame an origin for lacking the health service:
// who configured the check has to mend that.
//
// Source: github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md (frames, trailers, `grpc-timeout`),
// doc/health-checking.md (an unknown service is NOT_FOUND; SERVICE_UNKNOWN is Watch's alone),
// doc/statuscodes.md; proposal A17: a client that is told UNIMPLEMENTED looks at health no more and
// uses the server (all read 2026-11-30).

import type { ClientHttp2Session, IncomingHttpHeaders } from 'node:http2';
import type { Socket } from 'node:net';
import { z } from 'zod';
import type { CheckType } from '../kit/extend.ts';
import { hostPort, parseHostPort, toName } from '../kit/schema.ts';
import { notByExporter } from './blackbox.ts';
import type { Connection, Making } from './held.ts';
import { connectTo } from './names.ts';
import { type Trip, travel, wayOf } from './path.ts';
import { Sessions } from './sessions.ts';
import { type ClientFiles, certificateDays, clientFiles } from './trust.ts';
import { type Answer, blind, clause, fail, limited } from './words.ts';

interface GrpcSettings {
  /** `HOST:PORT`. */
  readonly grpc: string;
  /** The service that is asked about; empty: the server as a whole. */
  readonly service: string;
  /** Without TLS. */
  readonly plaintext: boolean;
  /** `NAME` or `NAME:PORT`, sent as :authority; its name is SNI and verified, for the host's. */
  readonly authority?: string | undefined;
  /** Connect there; DNS is not asked. */
  readonly address?: string | undefined;
  readonly ca?: string | undefined;
  readonly client?: ClientFiles | undefined;
  readonly expect: { readonly certificateDays?: number | undefined };
  /** Only in a drill: no state is good enough. */
  readonly never?: boolean;
}

const settings: z.ZodType<GrpcSettings> = z
  .strictObject({
    grpc: hostPort(null),
    service: z
      .string()
      .regex(/^[\x21-\x7e]{0,256}$/, { error: 'expected a service such as shop.v1.Cart' })
      .default('')
      .describe('service to ask about, such as shop.v1.Cart; empty: the server as a whole'),
    plaintext: z.boolean().default(false).describe('without TLS'),
    authority: z
      .string()
      .optional()
      .describe('NAME or NAME:PORT to send as :authority; its name is SNI and verified')
      .refine((text) => text === undefined || toName(parseHostPort(text, 1)?.host ?? '') !== null, {
        message: 'expected a host name with or without a port, such as cart.example.net:443',
      }),
    address: connectTo,
    ca: z.string().min(1).optional().describe('path of a PEM bundle to trust'),
    client: clientFiles,
    expect: z
      .strictObject({
        certificateDays: certificateDays.optional(),
      })
      .prefault({}),
  })
  .superRefine((value, context) => {
    if (!value.plaintext) return;
    for (const key of ['ca', 'client'] as const) {
      if (value[key] === undefined) continue;
      const message = 'plaintext has no TLS: leave one of the two out';
      context.addIssue({ code: 'custom', path: [key], message });
    }
    if (value.expect.certificateDays === undefined) return;
    const message = 'plaintext has no certificate: leave one of the two out';
    context.addIssue({ code: 'custom', path: ['expect', 'certificateDays'], message });
  });

/** `{ grpc: "cart.example.net:443", service: shop.v1.Cart }` beside a check's cadence. */
export const grpc: CheckType<GrpcSettings> = {
  key: 'grpc',
  settings,
  impossible: (s) => ({ ...s, never: true }),
  pathProblem: (path) => notByExporter('grpc', path),
  create: (configured, path, timeoutMs, context) => {
    const way = wayOf(path, context);
    const { keeper } = context as Making;
    const sessions = new Sessions();
    const go = (trip: Trip) => exchange(trip, configured);
    return {
      ask: (signal, routine = false) =>
        sessions.ask(routine, (use) => travel(way, timeoutMs, signal, go, use, keeper)),
      close: () => {},
    };
  },
};

/** Bytes of an answer; a HealthCheckResponse has two. */
const answerMost = 4096;

async function exchange(trip: Trip, asked: GrpcSettings): Promise<Answer> {
  const { host, port } = parseHostPort(asked.grpc, null)!;
  // Only who asks by HTTP/2 pays for it.
  const { connect } = await import('node:http2');
  const to = { host, port, address: asked.address };
  const name = parseHostPort(asked.authority ?? '', 1)?.host ?? host;
  let socket: Socket;
  if (asked.plaintext) socket = await trip.connect(to);
  else {
    const { ca, client } = asked;
    const secured = await trip.connectSecurely(to, { name, ca, client, alpn: ['h2'] });
    // Clients of gRPC demand it since 2024 (grpc-go 1.67).
    if (secured.alpnProtocol !== 'h2') {
      return fail('protocol', `${asked.grpc} does not agree on HTTP/2 (ALPN h2)`);
    }
    socket = secured;
  }
  trip.stage = 'answer';
  const authority = asked.authority ?? asked.grpc;
  const scheme = asked.plaintext ? 'http' : 'https';
  const session = connect(`${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`, {
    createConnection: () => socket,
    settings: { enablePush: false },
    maxHeaderListPairs: 64,
  });
  let isLeft = false;
  try {
    const from = performance.now();
    const to = { scheme, authority, service: asked.service };
    const call = await ask(session, { ...to, ms: trip.timeoutMs });
    trip.note('firstByteMs', from);
    const said = judge(call, asked, trip.wall());
    if (said.outcome !== 'pass') return said;
    isLeft = trip.isWanted;
    trip.leave((endAll) => watching(session, to, endAll));
    return trip.judgeDays(asked.expect.certificateDays) ?? said;
  } finally {
    // A session that is left is ended with its connection.
    if (!isLeft) session.destroy();
  }
}

interface Place {
  readonly scheme: string;
  readonly authority: string;
  readonly service: string;
}

/**
 * A session that stays open, with a Watch call on it where the server has one: a word that it serves
 * no longer is an end as well. A server without Watch says so, and its session is held alone.
 */
function watching(session: ClientHttp2Session, to: Place, endAll: () => void): Connection {
  return {
    keptMs: null,
    whenEnded: (then) => {
      let isOpen = true;
      const ended = (inOrder: boolean) => {
        if (isOpen) then(inOrder);
        isOpen = false;
      };
      session.on('goaway', () => ended(true));
      session.on('close', () => ended(true));
      session.on('error', () => ended(false));
      if (session.destroyed || session.closed) return ended(false);
      const stream = session.request(callOf('Watch', to));
      let bytes = Buffer.alloc(0);
      stream.on('data', (chunk: Buffer) => {
        bytes = Buffer.concat([bytes, chunk]);
        const size = bytes.length < 5 ? answerMost : 5 + bytes.readUInt32BE(1);
        if (bytes.length > answerMost) return stream.close();
        if (bytes.length < size) return;
        if (readState(bytes.subarray(0, size)) !== serving) ended(true);
        bytes = bytes.subarray(size);
      });
      // What becomes of the call alone says nothing of the connection.
      stream.on('error', () => {});
      stream.end(frame(request(to.service)));
    },
    end: () => {
      session.destroy();
      endAll();
    },
  };
}

function callOf(method: 'Check' | 'Watch', { scheme, authority }: Place) {
  return {
    ':method': 'POST',
    ':scheme': scheme,
    ':authority': authority,
    ':path': `/grpc.health.v1.Health/${method}`,
    'content-type': 'application/grpc',
    te: 'trailers',
    'user-agent': 'detour',
  };
}

/** What came back for one call. */
interface Call {
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly body: Buffer;
}

function ask(session: ClientHttp2Session, to: Place & { ms: number }): Promise<Call> {
  return new Promise((resolve, reject) => {
    session.on('error', reject);
    const stream = session.request({
      ...callOf('Check', to),
      'grpc-timeout': `${Math.ceil(to.ms)}m`,
    });
    const chunks: Buffer[] = [];
    let length = 0;
    let [headers, trailers]: IncomingHttpHeaders[] = [{}, {}];
    stream.on('response', (found) => {
      headers = found;
    });
    stream.on('trailers', (found) => {
      trailers = found;
    });
    stream.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= answerMost) chunks.push(chunk);
      else stream.close();
    });
    stream.on('error', reject);
    stream.on('close', () => {
      if (headers![':status'] === undefined) {
        reject(Object.assign(new Error('closed'), { code: 'ECONNRESET' }));
      } else resolve({ headers: headers!, trailers: trailers!, body: Buffer.concat(chunks) });
    });
    stream.end(frame(request(to.service)));
  });
}

/** One message behind its length (PROTOCOL-HTTP2, "Length-Prefixed-Message"). */
function frame(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** HealthCheckRequest { string service = 1; }: a service has at most 256 bytes. */
function request(service: string): Buffer {
  if (service === '') return Buffer.alloc(0);
  const { length } = service;
  const size = length < 128 ? [length] : [(length & 0x7f) | 0x80, length >> 7];
  return Buffer.concat([Buffer.from([0x0a, ...size]), Buffer.from(service, 'latin1')]);
}

const serving = 1;
const servingWords = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];

/** Codes that say something else than the service's own state (doc/statuscodes.md). */
const notFound = 5;
const unimplemented = 12;
const codeWords: readonly string[] = [
  ...['OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND'],
  ...['ALREADY_EXISTS', 'PERMISSION_DENIED', 'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION'],
  ...['ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS'],
  'UNAUTHENTICATED',
];

function judge(call: Call, asked: GrpcSettings, wall: number): Answer {
  const { headers, trailers, body } = call;
  const text = one(trailers['grpc-status']) ?? one(headers['grpc-status']);
  const status = headers[':status'] as unknown as number;
  if (status !== 200) {
    if (status === 429) {
      return limited('status 429: asked too often', one(headers['retry-after']) ?? null, wall);
    }
    return fail('status', `status ${status}, where gRPC has 200`);
  }
  if (!/^application\/grpc(?:[+;]|$)/.test(headers['content-type'] ?? '')) {
    return fail('protocol', `${asked.grpc} answers with no gRPC`);
  }
  const code = /^\d{1,2}$/.test(text ?? '') ? Number(text) : null;
  if (code === null) return fail('protocol', `${asked.grpc} ends the call without a grpc-status`);
  if (code !== 0) return judgeCode(code, call, asked);
  const state = readState(body);
  if (state === null) return fail('protocol', 'the answer is no HealthCheckResponse');
  const word = servingWords[state] ?? `state ${state}`;
  if (state === serving && asked.never !== true)
    return { outcome: 'pass', reason: 'ok', detail: word };
  return fail('not-serving', `${asked.service || 'the server'} is ${word}`);
}

function judgeCode(code: number, { headers, trailers }: Call, asked: GrpcSettings): Answer {
  const word = codeWords[code] ?? `code ${code}`;
  if (code === notFound) {
    const what = asked.service === '' ? 'its own state' : `the service ${asked.service}`;
    return fail('unknown-service', `the server knows nothing of ${what} (NOT_FOUND)`);
  }
  if (code === unimplemented) {
    const cure = 'register grpc.health.v1 there, or ask it by another kind of check';
    return blind('no-health-service', `the server has no health service (UNIMPLEMENTED): ${cure}`);
  }
  const message = decoded(one(trailers['grpc-message']) ?? one(headers['grpc-message']) ?? '');
  return fail('grpc-status', `the server answers ${word}${message === '' ? '' : `: ${message}`}`);
}

/** grpc-message is percent-encoded; what is not is taken as it stands. */
function decoded(text: string): string {
  try {
    return clause(decodeURIComponent(text));
  } catch {
    return clause(text);
  }
}

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

/** The status in one framed HealthCheckResponse; null: it is none. Never throws on bytes. */
export function readState(body: Buffer): number | null {
  // Compressed (the first byte is 1) it may not be: nothing was offered.
  if (body.length < 5 || body[0] !== 0 || body.readUInt32BE(1) !== body.length - 5) return null;
  let state = 0;
  for (let at = 5; at < body.length; ) {
    const key = readVarint(body, at);
    if (key === null) return null;
    const [field, kind] = [Math.floor(key.value / 8), key.value % 8];
    const value = kind === 0 || kind === 2 ? readVarint(body, key.next) : null;
    // Unknown fields are passed over, as every reader of protobuf does.
    const next = {
      0: value?.next,
      1: key.next + 8,
      2: (value?.next ?? 0) + (value?.value ?? 0),
      5: key.next + 4,
    }[kind];
    if (next === undefined || next > body.length || (kind === 2 && value === null)) return null;
    if (field === 1 && kind === 0) state = value!.value;
    at = next;
  }
  return state;
}

/** null: it has no end, or stands for more than a number holds exactly. */
function readVarint(bytes: Buffer, from: number): { value: number; next: number } | null {
  let value = 0;
  for (let i = 0; i < 7; i++) {
    const byte = bytes[from + i];
    if (byte === undefined) return null;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, next: from + i + 1 };
  }
  return null;
}
