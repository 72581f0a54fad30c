// Asks DNS servers, and nothing else: one question to one server over UDP or TCP. It must never throw
// for what the network does, never leave a socket or a timer behind, and never believe a reply it did
// not ask for (id, question and source are checked). Names are lower-case with their trailing dot.

import { randomInt } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { connect, isIP, type LookupFunction } from 'node:net';
import { performance } from 'node:perf_hooks';
import { deadline } from '../kit/deadline.ts';
import type { HostPort, Subnet } from '../kit/schema.ts';
import {
  answersTo,
  decode,
  encodeQuestion,
  fitsWire,
  type Message,
  type Question,
} from './wire.ts';

export interface Server {
  readonly address: string;
  readonly port: number;
}

/** Why there is no reply. `sent` is false when the server cannot have seen the question. */
export interface Failure {
  readonly kind: 'timeout' | 'refused' | 'no-route' | 'network' | 'malformed' | 'aborted';
  readonly detail: string;
  readonly sent: boolean;
}

export type Exchange = { readonly kind: 'reply'; readonly message: Message } | Failure;

interface AskOptions {
  /** Limit of the whole exchange, the fallback to TCP included. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** How the server's host is looked up, where it is a name. */
  readonly lookup?: LookupFunction;
  /** TCP from the start. */
  readonly tcp?: boolean;
  /** RD: for recursive resolvers only. */
  readonly recurse?: boolean;
  /** false: without EDNS from the start. */
  readonly edns?: boolean;
  /** DO: send the signatures along (RFC 3225). */
  readonly dnssec?: boolean;
  /** Whose answer is wanted (RFC 7871). Not by a server without EDNS, and not over TCP. */
  readonly subnet?: Subnet;
}

/** Questions under way on one connection. */
const pipelineMax = 200;

// ---------------------------------------------------------------- one question, one server

/**
 * Asks one server one question. Over UDP first, once more in the same exchange when nothing came
 * (a lost datagram), over TCP when the reply is truncated (RFC 7766), without EDNS when the server
 * does not know it (RFC 6891 6.2.2). Never rejects.
 */
export async function ask(
  server: Server,
  question: Question,
  options: AskOptions,
): Promise<Exchange> {
  const endsAt = performance.now() + options.timeoutMs;
  const recurse = options.recurse ?? false;
  if (!fitsWire(question.name)) {
    return { kind: 'malformed', detail: `${question.name} is no DNS name`, sent: false };
  }
  const rest = () => ({ ...options, timeoutMs: endsAt - performance.now() });
  const dnssec = options.dnssec ?? false;
  let viaUdp: Exchange | null = null;
  if (!options.tcp) {
    const { edns = true, subnet = null } = options;
    const wire = encodeQuestion(question, recurse, edns, dnssec, subnet);
    viaUdp = await askUdp(server, question, wire, rest());
    if (noEdns(viaUdp)) {
      viaUdp = await askUdp(server, question, encodeQuestion(question, recurse, false), rest());
    }
    if (viaUdp.kind !== 'reply' || !viaUdp.message.truncated) return viaUdp;
  }
  const { address, port } = server;
  const viaTcp = await askAll({ host: address, port }, [question], { ...rest(), recurse });
  return viaTcp.kind === 'replies' ? { kind: 'reply', message: viaTcp.messages[0]! } : viaTcp;
}

/**
 * Asks one server many questions down one TCP connection; all are answered, or none counts. Goes
 * on with a new connection where the server closed one after some replies. Never rejects.
 */
export async function askAll(
  server: HostPort,
  questions: readonly Question[],
  options: Omit<AskOptions, 'tcp'>,
): Promise<{ readonly kind: 'replies'; readonly messages: readonly Message[] } | Failure> {
  const endsAt = performance.now() + options.timeoutMs;
  const odd = questions.find((q) => !fitsWire(q.name));
  if (odd) return lost('malformed', `${odd.name} is no DNS name`, false);
  const messages: Message[] = [];
  while (messages.length < questions.length) {
    const batch = questions.slice(messages.length, messages.length + pipelineMax);
    const firstId = randomInt(65_536 - batch.length);
    const wires = batch.map((question, i) => {
      const dnssec = options.dnssec ?? false;
      const wire = encodeQuestion(question, options.recurse ?? false, dnssec, dnssec);
      wire.writeUInt16BE(firstId + i, 0);
      return wire;
    });
    const timeoutMs = endsAt - performance.now();
    const { replies, failure } = await exchangeTcp(server, wires, { ...options, timeoutMs });
    const arrived = replies.indexOf(null) < 0 ? replies.length : replies.indexOf(null);
    if (failure && (arrived === 0 || failure.kind !== 'network')) return failure;
    for (let i = 0; i < arrived; i += 1) {
      const message = decode(replies[i]!);
      if (!message) return lost('malformed', 'a reply over TCP is no DNS message', true);
      if (!answersTo(message, wires[i]!, batch[i]!)) {
        return lost('malformed', 'a reply over TCP answers another question', true);
      }
      messages.push(message);
    }
  }
  return { kind: 'replies', messages };
}

function noEdns(exchange: Exchange): boolean {
  if (exchange.kind !== 'reply' || exchange.message.edns) return false;
  return exchange.message.rcode === 'FORMERR' || exchange.message.rcode === 'NOTIMP';
}

function askUdp(
  server: Server,
  question: Question,
  wire: Buffer,
  options: AskOptions,
): Promise<Exchange> {
  const { timeoutMs, signal } = options;
  const family = isIP(server.address);
  if (family === 0) {
    return Promise.resolve(lost('network', `${server.address} is no address`, false));
  }
  if (signal?.aborted) return Promise.resolve(lost('aborted', 'stopped', false));
  if (timeoutMs <= 0) return Promise.resolve(lost('timeout', 'no time was left', false));
  return new Promise((resolve) => {
    let oddity: string | null = null;
    const waiter: Waiter = {
      wire,
      sent: false,
      heard(message) {
        if (message && answersTo(message, wire, question)) end({ kind: 'reply', message });
        // Another question is a late or forged datagram: it must not end the waiting.
        else oddity = message ? 'a reply to another question came' : 'the reply is no DNS message';
      },
      failed: (error) => end(fromSocket(error, waiter.sent)),
    };
    const line = lineTo(server, family, wire.readUInt16BE(0));
    const end = (exchange: Exchange) => {
      if (!line.leave(waiter)) return;
      clearTimeout(limit);
      clearTimeout(again);
      signal?.removeEventListener('abort', stop);
      resolve(exchange);
    };
    const stop = () => end(lost('aborted', 'stopped', waiter.sent));
    const again = setTimeout(() => waiter.sent && line.send(waiter), timeoutMs * 0.4);
    const limit = deadline(timeoutMs, () => {
      const kind = oddity === null ? 'timeout' : 'malformed';
      end(lost(kind, oddity ?? `no reply within ${Math.round(timeoutMs)} ms`, waiter.sent));
    });
    signal?.addEventListener('abort', stop);
    line.enter(waiter);
  });
}

/** One question on its way. */
interface Waiter {
  readonly wire: Buffer;
  sent: boolean;
  /** A datagram with its id has come; null: it is no DNS message. */
  heard(message: Message | null): void;
  failed(error: NodeJS.ErrnoException): void;
}

/** Questions that one socket takes, and for how long: then the next ones leave by another port. */
const lineMost = 64;
const lineMs = 250;

/** The socket to each server that takes further questions now. */
const lines = new Map<string, Line>();

function lineTo(server: Server, family: number, id: number): Line {
  const key = printServer(server);
  const known = lines.get(key);
  if (known?.takes(id)) return known;
  const line = new Line(server, family, () => {
    if (lines.get(key) === line) lines.delete(key);
  });
  lines.set(key, line);
  return line;
}

/**
 * A socket for the questions that are asked of one server at about the same time. It is connected:
 * the kernel drops datagrams from any other source and reports refused ports. It ends with the last
 * question, so that none is ever left behind.
 */
class Line {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiter>();
  readonly #over: () => void;
  readonly #openedAt = performance.now();
  #taken = 0;
  #isOpen = false;
  #isOver = false;

  constructor({ address, port }: Server, family: number, over: () => void) {
    this.#over = over;
    this.#socket = createSocket(family === 6 ? 'udp6' : 'udp4');
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('message', (bytes) => {
      // Another id is a late or forged datagram.
      if (bytes.length >= 12) this.#waiting.get(bytes.readUInt16BE(0))?.heard(decode(bytes));
    });
    this.#socket.connect(port, address, (error?: Error) => {
      if (this.#isOver) return;
      if (error) return this.#fail(error);
      this.#isOpen = true;
      for (const waiter of this.#waiting.values()) this.send(waiter);
    });
  }

  takes(id: number): boolean {
    const isYoung = performance.now() - this.#openedAt < lineMs;
    return !this.#isOver && isYoung && this.#taken < lineMost && !this.#waiting.has(id);
  }

  enter(waiter: Waiter): void {
    this.#taken++;
    this.#waiting.set(waiter.wire.readUInt16BE(0), waiter);
    if (this.#isOpen) this.send(waiter);
  }

  send(waiter: Waiter): void {
    if (this.#isOver) return;
    waiter.sent = true;
    this.#socket.send(waiter.wire, (error) => {
      if (error) waiter.failed(error);
    });
  }

  /** False where it has ended before. */
  leave(waiter: Waiter): boolean {
    const id = waiter.wire.readUInt16BE(0);
    if (this.#waiting.get(id) !== waiter) return false;
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#end();
    return true;
  }

  #fail(error: NodeJS.ErrnoException): void {
    this.#over();
    for (const waiter of [...this.#waiting.values()]) waiter.failed(error);
    this.#end();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#over();
    this.#socket.close();
  }
}

interface Stream {
  /** One a message, in the order of the messages; null where none came. */
  readonly replies: readonly (Buffer | null)[];
  /** Why some are missing; null when none is. */
  readonly failure: Failure | null;
}

/**
 * Sends whole messages down one TCP connection and collects the replies by their ids, which must
 * differ from one another (RFC 7766 6.2.1.1: replies come in any order). `host` is an address, or
 * a name that `lookup` finds. Never rejects; reads no more than one reply a message.
 */
export function exchangeTcp(
  server: HostPort,
  messages: readonly Buffer[],
  options: Pick<AskOptions, 'timeoutMs' | 'signal' | 'lookup'>,
): Promise<Stream> {
  const { timeoutMs, signal, lookup } = options;
  const replies: (Buffer | null)[] = messages.map(() => null);
  const waiting = new Map(messages.map((message, i) => [message.readUInt16BE(0), i]));
  const early =
    waiting.size === 0
      ? null
      : signal?.aborted
        ? lost('aborted', 'stopped', false)
        : timeoutMs <= 0
          ? lost('timeout', 'no time was left', false)
          : undefined;
  if (early !== undefined) return Promise.resolve({ replies, failure: early });
  return new Promise((resolve) => {
    const socket = connect({
      host: server.host,
      port: server.port,
      noDelay: true,
      ...(lookup === undefined ? {} : { lookup }),
    });
    let sent = false;
    let ended = false;
    let buffer = Buffer.alloc(0);
    const end = (failure: Failure | null) => {
      if (ended) return;
      ended = true;
      clearTimeout(limit);
      signal?.removeEventListener('abort', stop);
      socket.destroy();
      resolve({ replies, failure });
    };
    const stop = () => end(lost('aborted', 'stopped', sent));
    const limit = deadline(timeoutMs, () => {
      const what = sent ? 'no reply' : 'no connection';
      end(lost('timeout', `${what} over TCP within ${Math.round(timeoutMs)} ms`, sent));
    });
    signal?.addEventListener('abort', stop);
    socket.on('error', (error) => end(fromSocket(error, sent)));
    socket.on('close', () => end(lost('network', 'the connection was closed', sent)));
    socket.on('connect', () => {
      sent = true;
      for (const message of messages) socket.write(frame(message));
    });
    socket.on('data', (chunk) => {
      buffer = buffer.length === 0 ? chunk : Buffer.concat([buffer, chunk]);
      while (!ended && buffer.length >= 2 && buffer.length >= 2 + buffer.readUInt16BE(0)) {
        const reply = buffer.subarray(2, 2 + buffer.readUInt16BE(0));
        buffer = buffer.subarray(2 + reply.length);
        const index = reply.length >= 12 ? waiting.get(reply.readUInt16BE(0)) : undefined;
        if (index === undefined) {
          end(lost('malformed', 'a reply over TCP answers nothing that was asked', true));
        } else {
          waiting.delete(reply.readUInt16BE(0));
          replies[index] = Buffer.from(reply);
          if (waiting.size === 0) end(null);
        }
      }
    });
  });
}

/** Message and length prefix as one write, so that they leave in one segment (RFC 7766 8). */
function frame(message: Buffer): Buffer {
  const framed = Buffer.alloc(2 + message.length);
  framed.writeUInt16BE(message.length, 0);
  message.copy(framed, 2);
  return framed;
}

function lost(kind: Failure['kind'], detail: string, sent: boolean): Failure {
  return { kind, detail, sent };
}

const noRoute = new Set(['ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL', 'EAFNOSUPPORT']);

function fromSocket(error: NodeJS.ErrnoException, sent: boolean): Failure {
  const code = error.code ?? 'the socket failed';
  // A refused port means that nobody took the question, whether or not it left this machine.
  if (code === 'ECONNREFUSED') return lost('refused', 'connection refused', false);
  if (noRoute.has(code)) return lost('no-route', `no route (${code})`, sent);
  return lost('network', code, sent);
}

/** `ADDRESS:PORT`, with brackets around IPv6. */
export function printServer(server: Server): string {
  return isIP(server.address) === 6
    ? `[${server.address}]:${server.port}`
    : `${server.address}:${server.port}`;
}
