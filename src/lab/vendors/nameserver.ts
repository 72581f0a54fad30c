// An authoritative name server of the lab: real DNS over UDP and TCP (RFC 1035, RFC 7766) on one
// port, for the zones it is handed. It never recurses, never asks anybody, and listens only where
// it is told. It can be made to hang, to fail, to refuse, or to go on serving an old state.
// Malformed messages are answered with FORMERR or dropped; they never stop the server.

import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import {
  type Answer,
  type DecodedPacket,
  decode,
  encode,
  type PacketOpt,
  type Question,
} from 'dns-packet';
import { isDnsName, type LabZone } from './zone.ts';

/**
 * How a name server misbehaves: `hang` reads and never answers, `servfail` and `refuse` answer with
 * that code, `stale` goes on serving what it served when the fault was set.
 */
type NameserverFault = null | 'hang' | 'servfail' | 'refuse' | 'stale';

export interface Nameserver {
  readonly address: string;
  /** The port in use, for UDP and TCP alike. */
  readonly port: number;
  /** Setting it takes effect with the next message; null heals. */
  fault: NameserverFault;
  /** Ends every socket; resolves when the port is free again. */
  close(): Promise<void>;
}

interface NameserverOptions {
  readonly address: string;
  /** 0 takes one that is free for UDP and TCP. */
  readonly port: number;
  /** Asked for every message. */
  readonly zones: () => readonly LabZone[];
}

const rcodes = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;
type Rcode = keyof typeof rcodes;

const flagAa = 1 << 10;
const flagTc = 1 << 9;
const flagRd = 1 << 8;
const opcodeMask = 0xf << 11;
/** What a client without EDNS can take (RFC 1035 section 2.3.4), and what this server sends. */
const udpOctetsLeast = 512;
/** EDNS Client Subnet (RFC 7871). */
const ecsCode = 8;
const udpOctetsMost = 1232;
const tcpConnectionsMax = 128;
const tcpIdleMs = 10_000;
const portAttempts = 20;

/** Starts a name server. Rejects when the address or port cannot be had, naming it. */
export async function startNameserver(options: NameserverOptions): Promise<Nameserver> {
  const { udp, tcp, port } = await bindBoth(options.address, options.port);
  let fault: NameserverFault = null;
  let frozen: readonly LabZone[] = [];
  const connections = new Set<Socket>();

  const reply = (message: Buffer, from: string, octetsMax: number | null): Buffer | null => {
    if (fault === 'hang') return null;
    const zones = fault === 'stale' ? frozen : options.zones();
    return respond(message, { zones, fault, from, octetsMax });
  };
  udp.on('message', (message, from) => {
    const answer = reply(message, from.address, udpOctetsLeast);
    // A client that has gone away is its own affair.
    if (answer) udp.send(answer, from.port, from.address, () => {});
  });
  udp.on('error', () => {});
  tcp.maxConnections = tcpConnectionsMax;
  tcp.on('connection', (socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
    const from = socket.remoteAddress ?? '';
    serveStream(socket, (message) => reply(message, from, null));
  });

  return {
    address: options.address,
    port,
    get fault() {
      return fault;
    },
    set fault(next: NameserverFault) {
      if (next === 'stale' && fault !== 'stale') frozen = options.zones().map((z) => z.clone());
      if (next !== 'stale') frozen = [];
      fault = next;
    },
    async close() {
      for (const socket of connections) socket.destroy();
      await Promise.all([
        new Promise<void>((done) => udp.close(() => done())),
        new Promise<void>((done) => tcp.close(() => done())),
      ]);
    },
  };
}

interface Serving {
  readonly zones: readonly LabZone[];
  readonly fault: NameserverFault;
  /** Whose message it is. */
  readonly from: string;
  /** What a client without EDNS takes; null: anything. */
  readonly octetsMax: number | null;
}

/** The answer to one message; null when there is none to give. */
function respond(message: Buffer, serving: Serving): Buffer | null {
  const { octetsMax } = serving;
  // Too short to have an id, or itself a response: answering could start a loop.
  if (message.length < 12 || (message[2]! & 0x80) !== 0) return null;
  let query: DecodedPacket;
  try {
    query = decode(message);
  } catch {
    return bare(message, 'FORMERR');
  }
  if (((query.flags ?? 0) & opcodeMask) !== 0) return bare(message, 'NOTIMP');
  const question = query.questions?.[0];
  // A label may hold any octets on the wire, a dot too; those that no zone can have are refused.
  const isName = question !== undefined && isDnsName(question.name);
  if (!isName || query.questions!.length !== 1) return bare(message, 'FORMERR');
  const opt = query.additionals?.find((record) => record.type === 'OPT');
  const room =
    octetsMax === null
      ? 65_535
      : Math.min(udpOctetsMost, Math.max(octetsMax, opt?.type === 'OPT' ? opt.udpPayloadSize : 0));
  const subnet = subnetOf(opt);
  const outcome = resolve(question, subnet?.ip ?? serving.from, serving);
  return write(query, question, outcome.isByLine ? { ...outcome, subnet } : outcome, room);
}

/** For whom the answer is wanted (RFC 7871); null: for whoever asks. */
function subnetOf(opt: Answer | undefined): Subnet | null {
  const options = opt?.type === 'OPT' ? opt.options : [];
  const found = options.find((o) => o.code === ecsCode) as Subnet | undefined;
  return found === undefined || found.sourcePrefixLength === 0 ? null : found;
}

interface Subnet {
  readonly family: number;
  readonly sourcePrefixLength: number;
  readonly ip: string;
}

interface Outcome {
  /** It depends on who asks, and says so. */
  readonly isByLine?: boolean;
  readonly subnet?: Subnet | null;
  readonly rcode: Rcode;
  readonly authoritative: boolean;
  readonly answers: readonly Answer[];
  readonly authorities: readonly Answer[];
  readonly additionals: readonly Answer[];
}

function resolve(question: Question, asker: string, { zones, fault }: Serving): Outcome {
  const failed = (rcode: Rcode): Outcome => ({
    rcode,
    authoritative: false,
    answers: [],
    authorities: [],
    additionals: [],
  });
  if (fault === 'servfail') return failed('SERVFAIL');
  if (fault === 'refuse') return failed('REFUSED');
  if (question.class !== 'IN' || question.type === 'AXFR' || question.type === 'IXFR') {
    return failed('REFUSED');
  }
  let best: LabZone | null = null;
  for (const zone of zones) {
    if (zone.contains(question.name) && zone.name.length > (best?.name.length ?? 0)) best = zone;
  }
  if (best === null) return failed('REFUSED');
  if (!best.isByLine) return best.answer(question);
  return { ...best.answer(question, best.lineOf(asker)), isByLine: true };
}

function write(query: DecodedPacket, question: Question, outcome: Outcome, room: number): Buffer {
  const opt = query.additionals?.find((record) => record.type === 'OPT');
  const { subnet = null } = outcome;
  const ours: Answer[] = opt?.type === 'OPT' ? [ednsRecord(opt.ednsVersion, subnet)] : [];
  const badVersion = opt?.type === 'OPT' && opt.ednsVersion !== 0;
  const flags =
    ((query.flags ?? 0) & flagRd) |
    (outcome.authoritative && !badVersion ? flagAa : 0) |
    (badVersion ? 0 : rcodes[outcome.rcode]);
  const packet = {
    type: 'response' as const,
    id: query.id ?? 0,
    flags,
    questions: [question],
    answers: badVersion ? [] : [...outcome.answers],
    authorities: badVersion ? [] : [...outcome.authorities],
    additionals: badVersion ? ours : [...outcome.additionals, ...ours],
  };
  const whole = encode(packet);
  if (whole.length <= room) return whole;
  const cut = { ...packet, answers: [], authorities: [], additionals: ours };
  return encode({ ...cut, flags: flags | flagTc });
}

/** Our OPT record; version 16 of the code's upper bits says BADVERS (RFC 6891 section 6.1.3). */
function ednsRecord(version: number, subnet: Subnet | null): Answer {
  return {
    name: '.',
    type: 'OPT',
    udpPayloadSize: udpOctetsMost,
    extendedRcode: version === 0 ? 0 : 1,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: subnet === null ? [] : [echoOf(subnet)],
  };
}

/** The subnet that was asked for, and that the answer holds for all of it. */
function echoOf({ family, sourcePrefixLength, ip }: Subnet): PacketOpt {
  const scopePrefixLength = sourcePrefixLength;
  return {
    code: ecsCode,
    type: 'CLIENT_SUBNET',
    family,
    sourcePrefixLength,
    scopePrefixLength,
    ip,
  };
}

/** A header alone, for what cannot be answered with its question. */
function bare(message: Buffer, rcode: Rcode): Buffer {
  const header = Buffer.alloc(12);
  message.copy(header, 0, 0, 4);
  header[2] = 0x80 | (header[2]! & 0x79);
  header[3] = rcodes[rcode];
  return header;
}

/** Messages with a length of two octets before each (RFC 1035 section 4.2.2). */
function serveStream(socket: Socket, reply: (message: Buffer) => Buffer | null): void {
  let pending = Buffer.alloc(0);
  socket.setTimeout(tcpIdleMs, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
      const end = 2 + pending.readUInt16BE(0);
      const answer = reply(pending.subarray(2, end));
      pending = pending.subarray(end);
      if (!answer) continue;
      const length = Buffer.alloc(2);
      length.writeUInt16BE(answer.length);
      socket.write(Buffer.concat([length, answer]));
    }
    // A client that asks and never reads may not fill our memory.
    if (socket.writableLength > 1 << 20) socket.destroy();
  });
}

interface Bound {
  readonly udp: UdpSocket;
  readonly tcp: Server;
  readonly port: number;
}

async function bindBoth(address: string, wanted: number): Promise<Bound> {
  for (let attempt = 1; ; attempt += 1) {
    const tcp = await listenTcp(address, wanted);
    const bound = tcp.address();
    const port = typeof bound === 'object' && bound ? bound.port : wanted;
    try {
      return { udp: await listenUdp(address, port), tcp, port };
    } catch (error) {
      await new Promise<void>((done) => tcp.close(() => done()));
      const taken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (!taken || wanted !== 0 || attempt === portAttempts) throw error;
    }
  }
}

function listenTcp(address: string, port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => reject(named('TCP', address, port, error)));
    server.listen(port, address, () => {
      server.removeAllListeners('error');
      server.on('error', () => {});
      resolve(server);
    });
  });
}

function listenUdp(address: string, port: number): Promise<UdpSocket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.once('error', (error) => {
      socket.close();
      reject(named('UDP', address, port, error));
    });
    socket.bind(port, address, () => {
      socket.removeAllListeners('error');
      resolve(socket);
    });
  });
}

function named(protocol: string, address: string, port: number, cause: Error): Error {
  const code = (cause as NodeJS.ErrnoException).code ?? cause.message;
  const cure = 'choose another address or port';
  const error = new Error(
    `cannot serve DNS over ${protocol} on ${address}:${port}: ${code}; ${cure}`,
  );
  return Object.assign(error, { code });
}
