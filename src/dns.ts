// Asks DNS servers, and nothing else: one question to one server over UDP or TCP, and a resolver
// that walks from the roots through authoritative servers by itself. No cache stands between Detour
// and an answer: only where servers are is remembered. It must never throw for what the network or
// a byte does, never leave a socket or a timer behind, and never believe a reply it did not ask for
// (id, question and source are checked). Names are lower-case with their trailing dot throughout.

import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect, isIP } from 'node:net';
import { performance } from 'node:perf_hooks';
import packet, { type Packet, type RecordType } from 'dns-packet';
import type { ChainAnswer, Name } from './core/model.ts';
import type { Clock } from './ports.ts';
import { type HostPort, parseHostPort, toName } from './schema.ts';

/** The label under which a record's marker stands: `_detour.www.example.net.` */
export const MARKER_LABEL = '_detour';

/** The name of a record's marker. */
export function markerName(record: Name): Name {
  return `${MARKER_LABEL}.${record}`;
}

export interface Server {
  readonly address: string;
  readonly port: number;
}

export interface Question {
  readonly name: Name;
  /** `CNAME`, `A`, `TXT`, …; `UNKNOWN_65` for a type without a word. */
  readonly type: string;
}

/** One resource record, as far as Detour reads it. `ttl` in seconds. */
export type Resource = { readonly name: Name; readonly ttl: number } & (
  | { readonly type: 'A' | 'AAAA'; readonly address: string }
  | { readonly type: 'CNAME'; readonly target: Name }
  | { readonly type: 'DNAME'; readonly target: Name }
  | { readonly type: 'NS'; readonly target: Name }
  | { readonly type: 'TXT'; readonly strings: readonly Uint8Array[] }
  | { readonly type: 'SOA'; readonly serial: number; readonly minimum: number }
  /** The parent's word for a key (RFC 4034 5). */
  | {
      readonly type: 'DS';
      readonly keyTag: number;
      readonly algorithm: number;
      readonly digestType: number;
      readonly digest: Uint8Array;
    }
  /** A key of the zone (RFC 4034 2). */
  | {
      readonly type: 'DNSKEY';
      readonly flags: number;
      readonly algorithm: number;
      readonly key: Uint8Array;
    }
  /** Only which key has signed what (RFC 4034 3): nothing here checks a signature. */
  | {
      readonly type: 'RRSIG';
      readonly covered: string;
      readonly algorithm: number;
      readonly keyTag: number;
    }
  | { readonly type: 'other'; readonly typeName: string }
);

export interface Message {
  readonly id: number;
  readonly response: boolean;
  readonly opcode: number;
  /** `NOERROR`, `NXDOMAIN`, …; `RCODE_n` for those without a word and all extended ones. */
  readonly rcode: string;
  /** AA: the server speaks for the zone. */
  readonly authoritative: boolean;
  /** TC: the answer did not fit. */
  readonly truncated: boolean;
  /** It speaks EDNS(0) (RFC 6891). */
  readonly edns: boolean;
  readonly questions: readonly Question[];
  readonly answers: readonly Resource[];
  readonly authority: readonly Resource[];
  readonly additional: readonly Resource[];
}

/** Why there is no reply. `sent` is false when the server cannot have seen the question. */
export interface Failure {
  readonly kind: 'timeout' | 'refused' | 'no-route' | 'network' | 'malformed' | 'aborted';
  readonly detail: string;
  readonly sent: boolean;
}

export type Exchange = { readonly kind: 'reply'; readonly message: Message } | Failure;

export interface AskOptions {
  /** Limit of the whole exchange, the fallback to TCP included. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** TCP from the start. */
  readonly tcp?: boolean;
  /** RD: for recursive resolvers only. */
  readonly recurse?: boolean;
  /** DO: send the signatures along (RFC 3225). */
  readonly dnssec?: boolean;
}

/** The largest UDP reply asked for (DNS Flag Day 2020: it fits every path unfragmented). */
const udpSize = 1232;
const rcodes =
  'NOERROR FORMERR SERVFAIL NXDOMAIN NOTIMP REFUSED YXDOMAIN YXRRSET NXRRSET NOTAUTH NOTZONE'.split(
    ' ',
  );

/** Questions under way on one connection. */
const pipelineMax = 200;

/**
 * Records of one message. The library follows each name's chain of pointers to its end, and a
 * message of 64 KB can lead thousands of records down the same thousands of them: half a second.
 */
const recordsMax = 500;

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
    const wire = encodeQuestion(question, recurse, true, dnssec);
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
    // Connected: the kernel drops datagrams from any other source and reports refused ports.
    const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
    let sent = false;
    let ended = false;
    let oddity: string | null = null;
    const end = (exchange: Exchange) => {
      if (ended) return;
      ended = true;
      clearTimeout(limit);
      clearTimeout(again);
      signal?.removeEventListener('abort', stop);
      socket.close();
      resolve(exchange);
    };
    const stop = () => end(lost('aborted', 'stopped', sent));
    const send = () => {
      sent = true;
      socket.send(wire, (error) => {
        if (error) end(fromSocket(error, sent));
      });
    };
    const again = setTimeout(() => sent && send(), timeoutMs * 0.4);
    const limit = setTimeout(() => {
      const kind = oddity === null ? 'timeout' : 'malformed';
      end(lost(kind, oddity ?? `no reply within ${Math.round(timeoutMs)} ms`, sent));
    }, timeoutMs);
    signal?.addEventListener('abort', stop);
    socket.on('error', (error) => end(fromSocket(error, sent)));
    socket.on('message', (bytes) => {
      // Another id or question is a late or forged datagram: it must not end the waiting.
      if (bytes.length < 12 || bytes.readUInt16BE(0) !== wire.readUInt16BE(0)) return;
      const message = decode(bytes);
      if (message && answersTo(message, wire, question)) end({ kind: 'reply', message });
      else oddity = message ? 'a reply to another question came' : 'the reply is no DNS message';
    });
    socket.connect(server.port, server.address, (error?: Error) => {
      if (ended) return;
      if (error) end(fromSocket(error, false));
      else send();
    });
  });
}

export interface Stream {
  /** One a message, in the order of the messages; null where none came. */
  readonly replies: readonly (Buffer | null)[];
  /** Why some are missing; null when none is. */
  readonly failure: Failure | null;
}

/**
 * Sends whole messages down one TCP connection and collects the replies by their ids, which must
 * differ from one another (RFC 7766 6.2.1.1: replies come in any order). `host` is an address, or
 * a name for the system to look up. Never rejects; reads no more than one reply a message.
 */
export function exchangeTcp(
  server: HostPort,
  messages: readonly Buffer[],
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<Stream> {
  const { timeoutMs, signal } = options;
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
    const socket = connect({ host: server.host, port: server.port, noDelay: true });
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
    const limit = setTimeout(() => {
      const what = sent ? 'no reply' : 'no connection';
      end(lost('timeout', `${what} over TCP within ${Math.round(timeoutMs)} ms`, sent));
    }, timeoutMs);
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

// ---------------------------------------------------------------- the wire

/** A query with a random id. The name must fit the wire (`fitsWire`). */
export function encodeQuestion(
  question: Question,
  recurse: boolean,
  edns: boolean,
  dnssec = false,
): Buffer {
  const query: Packet = {
    type: 'query',
    id: randomInt(65_536),
    flags: recurse ? packet.RECURSION_DESIRED : 0,
    questions: [{ name: question.name, type: question.type as RecordType, class: 'IN' }],
  };
  if (edns) {
    query.additionals = [
      {
        name: '.',
        type: 'OPT',
        udpPayloadSize: udpSize,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: dnssec ? packet.DNSSEC_OK : 0,
        flag_do: dnssec,
        options: [],
      },
    ];
  }
  return packet.encode(query);
}

/** Labels of 1 to 63 bytes, 255 in all with their lengths (RFC 1035 2.3.4); `.` is the root. */
export function fitsWire(name: Name): boolean {
  if (name === '.') return true;
  if (!name.endsWith('.') || Buffer.byteLength(name) > 254) return false;
  const labels = name.slice(0, -1).split('.');
  return labels.every((l) => l.length > 0 && Buffer.byteLength(l) <= 63);
}

/** A DNS message, or null for bytes that are none, or too many records. Never throws. */
export function decode(bytes: Buffer): Message | null {
  if (bytes.length < 12) return null;
  const records = bytes.readUInt16BE(6) + bytes.readUInt16BE(8) + bytes.readUInt16BE(10);
  if (bytes.readUInt16BE(4) + records > recordsMax) return null;
  let raw: ReturnType<typeof packet.decode> & { readonly opcode?: string };
  try {
    raw = packet.decode(bytes);
  } catch {
    // The library throws for every malformed message, and only for those.
    return null;
  }
  // It does not notice data that runs past the end; its count of bytes then does (or is NaN).
  if (!(packet.decode.bytes <= bytes.length)) return null;
  const option = raw.additionals?.find((r) => r.type === 'OPT');
  const extended = option?.type === 'OPT' ? option.extendedRcode : 0;
  const rcode = (extended << 4) | (bytes[3]! & 0xf);
  const flags = bytes.readUInt16BE(2);
  return {
    id: bytes.readUInt16BE(0),
    response: (flags & 0x8000) !== 0,
    opcode: (flags >> 11) & 0xf,
    rcode: rcodes[rcode] ?? `RCODE_${rcode}`,
    authoritative: (flags & 0x0400) !== 0,
    truncated: (flags & 0x0200) !== 0,
    edns: option !== undefined,
    questions: (raw.questions ?? [])
      .filter((q) => q.class === 'IN')
      .map((q) => ({ name: tidy(q.name), type: q.type })),
    answers: resources(raw.answers),
    authority: resources(raw.authorities),
    additional: resources(raw.additionals),
  };
}

function tidy(name: string): Name {
  return name === '.' ? name : `${name.toLowerCase()}.`;
}

function resources(raw: Packet['answers']): Resource[] {
  const out: Resource[] = [];
  for (const r of raw ?? []) {
    if (r.type === 'OPT' || r.class !== 'IN') continue;
    const name = tidy(r.name);
    // RFC 2181 8: a TTL with its highest bit set is zero.
    const ttl = r.ttl === undefined || r.ttl > 0x7fff_ffff ? 0 : r.ttl;
    switch (r.type) {
      case 'A':
      case 'AAAA':
        out.push({ name, ttl, type: r.type, address: r.data });
        break;
      case 'CNAME':
      case 'DNAME':
      case 'NS':
        out.push({ name, ttl, type: r.type, target: tidy(r.data) });
        break;
      case 'TXT':
        out.push({ name, ttl, type: 'TXT', strings: [r.data].flat().map((s) => Buffer.from(s)) });
        break;
      case 'SOA': {
        const { serial = 0, minimum = 0 } = r.data;
        out.push({ name, ttl, type: 'SOA', serial, minimum });
        break;
      }
      case 'DS': {
        const { keyTag, algorithm, digestType, digest } = r.data;
        out.push({ name, ttl, type: 'DS', keyTag, algorithm, digestType, digest });
        break;
      }
      case 'DNSKEY': {
        const { flags, algorithm, key } = r.data;
        out.push({ name, ttl, type: 'DNSKEY', flags, algorithm, key });
        break;
      }
      case 'RRSIG': {
        const { typeCovered: covered, algorithm, keyTag } = r.data;
        out.push({ name, ttl, type: 'RRSIG', covered, algorithm, keyTag });
        break;
      }
      default:
        out.push({ name, ttl, type: 'other', typeName: r.type });
    }
  }
  return out;
}

/** It is a reply to this very query. Some servers leave the question out of an error. */
function answersTo(message: Message, wire: Buffer, question: Question): boolean {
  if (!message.response || message.opcode !== 0) return false;
  if (message.id !== wire.readUInt16BE(0)) return false;
  const [first, second] = message.questions;
  if (first === undefined) {
    return ['FORMERR', 'NOTIMP', 'SERVFAIL', 'REFUSED'].includes(message.rcode);
  }
  return (
    second === undefined &&
    first.name === question.name.toLowerCase() &&
    first.type === question.type
  );
}

/** A TXT record's strings as one text. */
export function joinText(strings: readonly Uint8Array[]): string {
  return Buffer.concat(strings).toString('utf8');
}

/** `ADDRESS:PORT`, with brackets around IPv6. */
export function printServer(server: Server): string {
  return isIP(server.address) === 6
    ? `[${server.address}]:${server.port}`
    : `${server.address}:${server.port}`;
}

// ---------------------------------------------------------------- a bound on what runs at once

/** Runs at most so many at once and keeps at most so many waiting. */
export type Limit = <T>(signal: AbortSignal, run: () => Promise<T>) => Promise<T | null>;

/** A queue: null when the signal ended the waiting or the queue is full. Order is kept. */
export function createLimit(atOnce: number, waitingMax: number): Limit {
  let running = 0;
  const waiting = new Set<() => void>();
  return async (signal, run) => {
    if (signal.aborted) return null;
    if (running < atOnce) running += 1;
    else if (waiting.size >= waitingMax || !(await turn(waiting, signal))) return null;
    try {
      return await run();
    } finally {
      // The place goes straight to the next in line, so that nobody can slip in between.
      const [next] = waiting;
      if (next) next();
      else running -= 1;
    }
  };
}

function turn(waiting: Set<() => void>, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const leave = (mine: boolean) => {
      waiting.delete(go);
      signal.removeEventListener('abort', stop);
      resolve(mine);
    };
    const go = () => leave(true);
    const stop = () => leave(false);
    waiting.add(go);
    signal.addEventListener('abort', stop);
  });
}

// ---------------------------------------------------------------- the resolver

export interface ResolverOptions {
  /** `ADDRESS[:PORT]` of root servers; null: the IANA root servers. */
  readonly roots: readonly string[] | null;
  /** Of every server that has none of its own. */
  readonly port?: number;
  /** Limit of one exchange; a whole walk may take five times as long. */
  readonly timeoutMs: number;
  readonly clock: Pick<Clock, 'now'>;
  /** Recursive resolvers to ask instead, where port 53 outwards is closed. Addresses only. */
  readonly resolvers?: readonly HostPort[];
}

export type Addresses =
  | {
      readonly kind: 'found';
      readonly addresses: readonly string[];
      /** They could not be looked up now; these are the last that were found. */
      readonly stale: boolean;
    }
  | { readonly kind: 'broken' | 'unknown'; readonly detail: string };

export type NameServers =
  | {
      readonly kind: 'found';
      /** What the zone says about itself. */
      readonly names: readonly Name[];
      /** What its parent says; null when no referral was seen (one server for both, recursion). */
      readonly delegated: readonly Name[] | null;
    }
  | { readonly kind: 'broken' | 'unknown'; readonly detail: string };

/** What a zone's parent says of it. */
export type Delegated =
  | {
      readonly kind: 'found';
      /** Its NS set; null when no referral was seen (one server for both, recursion). */
      readonly names: readonly Name[] | null;
      /** Seconds for which resolvers keep that set; null as above. */
      readonly ttlSeconds: number | null;
      /** Its DS set, empty when it has none; null when the parent did not say. */
      readonly ds: readonly Extract<Resource, { type: 'DS' }>[] | null;
    }
  | { readonly kind: 'broken' | 'unknown'; readonly detail: string };

export interface Resolver {
  /** Follows a name's whole chain of CNAMEs down to an address; see ChainAnswer. Never rejects. */
  chain(name: Name, signal: AbortSignal): Promise<ChainAnswer>;
  /** Addresses of a name server's host, IPv4 first. Remembered for their TTL (5 s to 1 h). */
  addresses(host: Name, signal: AbortSignal): Promise<Addresses>;
  /** The name servers of a zone, and what its parent says of them. */
  nameServers(zone: Name, signal: AbortSignal): Promise<NameServers>;
  /** Asks the servers of the zone above, anew: its NS set there and its DS set. Never rejects. */
  delegation(zone: Name, signal: AbortSignal): Promise<Delegated>;
  /** Ends every walk under way. */
  close(): void;
}

const namesMax = 16;
const referralsMax = 30;
const exchangesMax = 300;
const nestingMax = 4;
const serversMax = 8;
const cacheMax = 1000;

interface Delegation {
  readonly zone: Name;
  readonly hosts: readonly Name[];
  readonly glue: ReadonlyMap<Name, readonly string[]>;
  readonly ttlSeconds: number;
  readonly expiresAt: number;
}

/** What one walk may still spend; shared by the walks nested in it. */
interface Walk {
  readonly signal: AbortSignal;
  referralsLeft: number;
  exchangesLeft: number;
}

type Outcome =
  | { readonly kind: 'records'; readonly records: readonly Resource[] }
  | { readonly kind: 'cname'; readonly target: Name; readonly ttl: number }
  | { readonly kind: 'broken' | 'unknown'; readonly detail: string };
type Step = Outcome | { readonly kind: 'referral'; readonly to: Delegation };

interface HostEntry {
  readonly addresses: readonly string[];
  readonly expiresAt: number;
  readonly failure: { readonly kind: 'broken' | 'unknown'; readonly detail: string } | null;
}

/** A resolver of its own, with its own memory of where servers are. Opens nothing yet. */
export function createResolver(options: ResolverOptions): Resolver {
  const { clock, timeoutMs } = options;
  const port = options.port ?? 53;
  const closing = new AbortController();
  const limit = createLimit(100, 5000);
  const delegations = new Map<Name, Delegation>();
  const hosts = new Map<Name, HostEntry>();
  const lookups = new Map<Name, Promise<HostEntry>>();
  const roots = (options.roots ?? ianaRoots).map((text) => toServer(text, port));
  const resolvers = (options.resolvers ?? []).map(({ host, port }) => ({ address: host, port }));

  const newWalk = (signal: AbortSignal): Walk => ({
    signal: AbortSignal.any([signal, closing.signal, AbortSignal.timeout(5 * timeoutMs)]),
    referralsLeft: referralsMax,
    exchangesLeft: exchangesMax,
  });

  /** The first usable reply of several servers, a slow one overtaken by the next. */
  function askAny(
    servers: readonly Server[],
    question: Question,
    read: (message: Message) => Step | string,
    walk: Walk,
  ): Promise<Step> {
    const overtakeMs = Math.min(250, timeoutMs / 4);
    const stop = new AbortController();
    const signal = AbortSignal.any([walk.signal, stop.signal]);
    const failures: string[] = [];
    let replied = false;
    let next = 0;
    let asked = 0;
    let underWay = 0;
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      const end = (step: Step) => {
        clearTimeout(timer);
        stop.abort();
        resolve(step);
      };
      const one = async (server: Server) => {
        const result = await limit(signal, () =>
          ask(server, question, { timeoutMs, signal, recurse: resolvers.length > 0 }),
        );
        underWay -= 1;
        if (stop.signal.aborted) return;
        if (result?.kind === 'no-route') asked -= 1;
        const read1 = result?.kind === 'reply' ? read(result.message) : null;
        if (read1 !== null && typeof read1 !== 'string') return end(read1);
        replied ||= read1 !== null;
        if (failures.length < serversMax) {
          failures.push(`${printServer(server)} ${read1 ?? result?.kind ?? 'not asked'}`);
        }
        more();
      };
      const more = () => {
        clearTimeout(timer);
        const server = servers[next];
        const may = server && asked < serversMax && walk.exchangesLeft > 0 && !signal.aborted;
        if (may) {
          next += 1;
          asked += 1;
          underWay += 1;
          walk.exchangesLeft -= 1;
          timer = setTimeout(more, overtakeMs);
          void one(server);
        } else if (underWay === 0) {
          const detail = failures.join(', ') || 'no server was asked in the time given';
          end({ kind: replied ? 'broken' : 'unknown', detail });
        }
      };
      more();
    });
  }

  /** One name and type, from the nearest known delegation through referrals to an answer. */
  async function lookup(question: Question, walk: Walk, depth: number): Promise<Outcome> {
    if (resolvers.length > 0) {
      const step = await askAny(resolvers, question, (m) => readAnswer(m, question), walk);
      return step.kind === 'referral' ? { kind: 'unknown', detail: 'unexpected referral' } : step;
    }
    let at = nearest(question.name);
    let remembered = at !== null;
    for (;;) {
      const step = await askZone(at, question, walk, depth);
      if (step.kind === 'referral') {
        if (walk.referralsLeft-- <= 0) {
          return { kind: 'unknown', detail: `gave up after ${referralsMax} referrals` };
        }
        at = step.to;
        remembered = false;
        put(delegations, at.zone, at);
      } else if (remembered && (step.kind === 'broken' || step.kind === 'unknown')) {
        // Servers move: what failed from memory is tried once more from the roots.
        for (const zone of ancestors(question.name)) delegations.delete(zone);
        at = null;
        remembered = false;
      } else {
        return step;
      }
    }
  }

  /** Asks the servers of one delegation (null: the roots): first those whose address is known. */
  async function askZone(
    at: Delegation | null,
    question: Question,
    walk: Walk,
    depth: number,
  ): Promise<Step> {
    const zone = at?.zone ?? '.';
    const read = (m: Message) => readReferral(m, question.name, zone) ?? readAnswer(m, question);
    if (at === null) return askAny(arrange(roots), question, read, walk);
    const known: string[] = [];
    const others: Name[] = [];
    for (const host of at.hosts) {
      const addresses = at.glue.get(host) ?? hosts.get(host)?.addresses ?? [];
      known.push(...addresses);
      if (addresses.length === 0) others.push(host);
    }
    const first =
      known.length === 0
        ? null
        : await askAny(arrange(known.map((a) => toServer(a, port))), question, read, walk);
    if (first && first.kind !== 'broken' && first.kind !== 'unknown') return first;
    if (first && others.length === 0) return at ? within(first, zone) : first;
    if (depth >= nestingMax) {
      return { kind: 'broken', detail: `${zone} has name servers nested too deep to be found` };
    }
    const found = await Promise.all(
      others.slice(0, 4).map((host) => findHost(host, walk, depth + 1)),
    );
    const servers = found.flatMap((entry) => entry.addresses).map((a) => toServer(a, port));
    if (servers.length > 0)
      return within(await askAny(arrange(servers), question, read, walk), zone);
    const failures = found.flatMap((entry) => entry.failure ?? []);
    const detail = failures[0]?.detail ?? 'it has no name server';
    const kind = failures.some((f) => f.kind === 'unknown') ? 'unknown' : 'broken';
    return first ?? { kind, detail: `no address for any name server of ${zone}: ${detail}` };
  }

  function nearest(name: Name): Delegation | null {
    return nearestOf(ancestors(name));
  }

  function nearestOf(zones: readonly Name[]): Delegation | null {
    for (const zone of zones) {
      const known = delegations.get(zone);
      if (known && known.expiresAt > clock.now()) return known;
    }
    return null;
  }

  /** A referral of these servers: further down, and towards the name asked for. */
  function readReferral(message: Message, name: Name, zone: Name): Step | null {
    if (message.rcode !== 'NOERROR' || message.answers.some((r) => r.name === name)) return null;
    const sets = message.authority.filter((r) => r.type === 'NS');
    const to = sets.find(
      (r) => r.name !== zone && isWithin(r.name, zone) && isWithin(name, r.name),
    );
    if (!to || message.authority.some((r) => r.type === 'SOA')) return null;
    const mine = sets.filter((r) => r.name === to.name).slice(0, 32);
    const glue = new Map<Name, string[]>();
    const names = mine.flatMap((r) => toName(r.target) ?? []);
    for (const r of message.additional) {
      // Beyond the zone of those who answer, an address is hearsay.
      if ((r.type !== 'A' && r.type !== 'AAAA') || !isWithin(r.name, zone)) continue;
      if (names.includes(r.name)) glue.set(r.name, [...(glue.get(r.name) ?? []), r.address]);
    }
    const ttlSeconds = Math.min(...mine.map((r) => r.ttl));
    const expiresAt = clock.now() + Math.min(86_400, Math.max(1, ttlSeconds)) * 1000;
    return { kind: 'referral', to: { zone: to.name, hosts: names, glue, ttlSeconds, expiresAt } };
  }

  /** What a reply says of a question; a word when it says nothing usable. */
  function readAnswer(message: Message, question: Question): Outcome | string {
    const { name, type } = question;
    if (message.rcode !== 'NOERROR' && message.rcode !== 'NXDOMAIN') return message.rcode;
    if (resolvers.length === 0 && !message.authoritative) return 'not authoritative';
    const mine = message.answers.filter((r) => r.name === name);
    const cname = mine.find((r) => r.type === 'CNAME');
    // The rcode belongs to the end of the chain (RFC 6604): the name itself exists.
    if (cname && type !== 'CNAME') {
      return { kind: 'cname', target: cname.target, ttl: cname.ttl };
    }
    if (message.rcode === 'NXDOMAIN') return { kind: 'broken', detail: 'NXDOMAIN' };
    return { kind: 'records', records: mine.filter((r) => r.type === type) };
  }

  /** From the nearest known delegation above a zone down to the cut, and the DS set beside it. */
  async function askParent(zone: Name, walk: Walk): Promise<Delegated> {
    const above = ancestors(zone).slice(1);
    let at = nearestOf(above);
    let remembered = at !== null;
    let cut: Delegation | null = null;
    while (cut === null) {
      const step = await askZone(at, { name: zone, type: 'NS' }, walk, 0);
      if (step.kind === 'referral') {
        if (walk.referralsLeft-- <= 0) {
          return { kind: 'unknown', detail: `gave up after ${referralsMax} referrals` };
        }
        put(delegations, step.to.zone, step.to);
        if (step.to.zone === zone) cut = step.to;
        else at = step.to;
        remembered = false;
      } else if (step.kind === 'records') {
        break;
      } else if (remembered && step.kind !== 'cname') {
        for (const name of above) delegations.delete(name);
        at = null;
        remembered = false;
      } else {
        return step.kind === 'cname' ? { kind: 'broken', detail: `${zone} is a CNAME` } : step;
      }
    }
    const ds = await askZone(at, { name: zone, type: 'DS' }, walk, 0);
    return {
      kind: 'found',
      names: cut?.hosts.toSorted() ?? null,
      ttlSeconds: cut?.ttlSeconds ?? null,
      ds: ds.kind === 'records' ? ds.records.filter((r) => r.type === 'DS') : null,
    };
  }

  /** Follows CNAMEs from a name to the first that has an address of the wanted types. */
  async function follow(
    name: Name,
    types: readonly ('A' | 'AAAA')[],
    walk: Walk,
    depth: number,
  ): Promise<{ answer: ChainAnswer; records: readonly Resource[] }> {
    const chain: Name[] = [];
    const records: Resource[] = [];
    const fail = (kind: 'broken' | 'unknown', detail: string) => {
      const at = chain.at(-1) ?? name;
      const answer: ChainAnswer =
        kind === 'broken' ? { kind, at, detail } : { kind, detail: `${at}: ${detail}` };
      return { answer, records };
    };
    for (let here: Name | null = name; here !== null; ) {
      if (chain.includes(here)) return fail('broken', `the chain returns to ${here}`);
      if (chain.length === namesMax) {
        return fail('broken', `the chain is longer than ${namesMax} names`);
      }
      chain.push(here);
      let next: Name | null = null;
      for (const type of types) {
        const step: Outcome = await lookup({ name: here, type }, walk, depth);
        if (step.kind === 'cname') {
          next = toName(step.target);
          if (next === null) return fail('broken', `${step.target} is no host name`);
          break;
        }
        if (step.kind !== 'records') return fail(step.kind, step.detail);
        records.push(...step.records);
        // One address is enough to know that the chain is answered.
        if (records.length > 0 && depth === 0) break;
      }
      if (next === null && records.length === 0) return fail('broken', 'NODATA: it has no address');
      here = next;
    }
    return { answer: { kind: 'answered', chain }, records };
  }

  /** Addresses of a host, from memory or by a lookup shared by all who want it now. */
  function findHost(host: Name, walk: Walk, depth: number): Promise<HostEntry> {
    const known = hosts.get(host);
    if (known && known.expiresAt > clock.now()) return Promise.resolve(known);
    return depth === 0 ? shared(host) : lookUpHost(host, walk, depth);
  }

  function shared(host: Name): Promise<HostEntry> {
    const running = lookups.get(host);
    if (running) return running;
    // On its own walk: the first who asks may leave, the others still want it.
    const walk = newWalk(closing.signal);
    const run = lookUpHost(host, walk, 1).finally(() => lookups.delete(host));
    lookups.set(host, run);
    return run;
  }

  async function lookUpHost(host: Name, walk: Walk, depth: number): Promise<HostEntry> {
    const { answer, records } = await follow(host, ['A', 'AAAA'], walk, depth);
    const addresses = records.flatMap((r) => ('address' in r ? r.address : []));
    const good = addresses.length > 0;
    const ttlSeconds = Math.min(3600, ...records.map((r) => Math.max(5, r.ttl)));
    const failure =
      good || answer.kind === 'answered' ? null : { kind: answer.kind, detail: answer.detail };
    const entry: HostEntry = {
      addresses: good ? addresses : (hosts.get(host)?.addresses ?? []),
      // A failure is remembered for a moment, so that a poll does not become a storm.
      expiresAt: clock.now() + (good ? ttlSeconds * 1000 : 2000),
      failure,
    };
    put(hosts, host, entry);
    return entry;
  }

  return {
    async chain(name, signal) {
      const { answer } = await follow(name, ['A', 'AAAA'], newWalk(signal), 0);
      return answer;
    },
    async addresses(host, signal) {
      const walk = newWalk(signal);
      const entry = await orAborted(findHost(host, walk, 0), walk.signal);
      if (!entry) return { kind: 'unknown', detail: 'stopped before it was looked up' };
      const { addresses, failure } = entry;
      if (addresses.length > 0) {
        return { kind: 'found', addresses: v4First(addresses), stale: failure !== null };
      }
      return failure ?? { kind: 'broken', detail: 'it has no address' };
    },
    async nameServers(zone, signal) {
      const step = await lookup({ name: zone, type: 'NS' }, newWalk(signal), 0);
      if (step.kind === 'cname') return { kind: 'broken', detail: `${zone} is a CNAME` };
      if (step.kind !== 'records') return step;
      const names = step.records.flatMap((r) => (r.type === 'NS' ? r.target : [])).sort();
      if (names.length === 0) return { kind: 'broken', detail: `${zone} is no zone of its own` };
      const delegated = delegations.get(zone)?.hosts.toSorted() ?? null;
      return { kind: 'found', names, delegated };
    },
    async delegation(zone, signal) {
      const walk = newWalk(signal);
      if (resolvers.length === 0) return askParent(zone, walk);
      const ds = await lookup({ name: zone, type: 'DS' }, walk, 0);
      if (ds.kind !== 'records') {
        return ds.kind === 'cname' ? { kind: 'broken', detail: `${zone} is a CNAME` } : ds;
      }
      const records = ds.records.filter((r) => r.type === 'DS');
      return { kind: 'found', names: null, ttlSeconds: null, ds: records };
    },
    close: () => closing.abort(),
  };
}

function within(step: Step, zone: Name): Step {
  if (step.kind !== 'broken' && step.kind !== 'unknown') return step;
  return step.detail === 'NXDOMAIN'
    ? step
    : { ...step, detail: `servers of ${zone} ${step.detail}` };
}

/** Resolves to null when the signal ends first; the work goes on for whoever else wants it. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | null> {
  if (signal.aborted) return Promise.resolve(null);
  return new Promise((resolve, reject) => {
    const stop = () => resolve(null);
    signal.addEventListener('abort', stop);
    work.finally(() => signal.removeEventListener('abort', stop)).then(resolve, reject);
  });
}

function toServer(text: string, port: number): Server {
  const parsed = parseHostPort(text, port);
  return { address: parsed?.host ?? text, port: parsed?.port ?? port };
}

/** IPv4 first, shuffled within each family, so that no server carries every first question. */
function arrange(servers: readonly Server[]): Server[] {
  const rank = (s: Server) => (isIP(s.address) === 6 ? 1 : 0) + Math.random();
  return servers
    .map((server) => ({ server, at: rank(server) }))
    .sort((a, b) => a.at - b.at)
    .map(({ server }) => server);
}

function v4First(addresses: readonly string[]): string[] {
  return [...new Set(addresses)].sort((a, b) => isIP(a) - isIP(b));
}

/** Whether a name is a zone's apex or below it. */
export function isWithin(name: Name, zone: Name): boolean {
  return zone === '.' || name === zone || name.endsWith(`.${zone}`);
}

/** The name itself and everything above it but the root: `a.b.`, `b.` */
export function ancestors(name: Name): Name[] {
  const labels = name.replace(/\.$/, '').split('.');
  return labels.map((_, i) => `${labels.slice(i).join('.')}.`);
}

function put<T>(map: Map<Name, T>, key: Name, value: T): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > cacheMax && oldest !== undefined) map.delete(oldest);
}

/** IANA root hints, https://www.internic.net/domain/named.root, as of 2024-12. */
export const ianaRoots: readonly string[] = [
  ...['198.41.0.4', '2001:503:ba3e::2:30'],
  ...['170.247.170.2', '2801:1b8:10::b'],
  ...['192.33.4.12', '2001:500:2::c'],
  ...['199.7.91.13', '2001:500:2d::d'],
  ...['192.203.230.10', '2001:500:a8::e'],
  ...['192.5.5.241', '2001:500:2f::f'],
  ...['192.112.36.4', '2001:500:12::d0d'],
  ...['198.97.190.53', '2001:500:1::53'],
  ...['192.36.148.17', '2001:7fe::53'],
  ...['192.58.128.30', '2001:503:c27::2:30'],
  ...['193.0.14.129', '2001:7fd::1'],
  ...['199.7.83.42', '2001:500:9f::42'],
  ...['202.12.27.33', '2001:dc3::35'],
];
