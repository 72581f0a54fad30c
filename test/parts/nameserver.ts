// A small name server for tests, written apart from the code under test: it answers over UDP and
// TCP from a few zones, or in whatever odd way a test wants. Loopback only. It must never answer
// what it was not told, so that a wrong question shows as REFUSED.

import { createSocket } from 'node:dgram';
import { createServer, type Socket } from 'node:net';
import packet, { type Answer, type Packet } from 'dns-packet';
import { freePort } from './bind.ts';

export interface Asked {
  readonly id: number;
  readonly name: string;
  readonly type: string;
  readonly via: 'udp' | 'tcp';
  readonly recurse: boolean;
  readonly edns: boolean;
}

export interface Reply {
  readonly rcode?: number;
  readonly authoritative?: boolean;
  readonly truncated?: boolean;
  readonly answers?: readonly Answer[];
  readonly authorities?: readonly Answer[];
  readonly additionals?: readonly Answer[];
}

/** Messages as bytes, sent one after the other as they are; null is silence. */
export type Respond = (asked: Asked, build: (reply: Reply) => Buffer) => Reply | Buffer[] | null;

export interface Nameserver {
  readonly address: string;
  readonly port: number;
  readonly asked: Asked[];
  respond: Respond;
  close(): Promise<void>;
}

export const rcode = { formErr: 1, servFail: 2, nxDomain: 3, notImp: 4, refused: 5 } as const;

/** Listens on UDP and TCP. Rejects when the port is taken. */
export async function startNameserver(
  address: string,
  port: number,
  respond: Respond,
): Promise<Nameserver> {
  const udp = createSocket('udp4');
  const tcp = createServer();
  const sockets = new Set<Socket>();
  const server: Nameserver = {
    address,
    port,
    asked: [],
    respond,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => udp.close(() => resolve()));
      await new Promise<void>((resolve) => tcp.close(() => resolve()));
    },
  };
  const answer = (bytes: Buffer, via: Asked['via']): Buffer[] => {
    const query = packet.decode(bytes);
    const [question] = query.questions!;
    const asked: Asked = {
      id: query.id!,
      name: `${question!.name.toLowerCase()}.`,
      type: question!.type,
      via,
      recurse: (query.flags! & packet.RECURSION_DESIRED) !== 0,
      edns: (query.additionals ?? []).some((r) => r.type === 'OPT'),
    };
    server.asked.push(asked);
    const build = (reply: Reply) => encode(query, reply);
    const reply = server.respond(asked, build);
    return reply === null ? [] : Array.isArray(reply) ? reply : [build(reply)];
  };
  udp.on('message', (bytes, from) => {
    for (const reply of answer(bytes, 'udp')) udp.send(reply, from.port, from.address);
  });
  tcp.on('connection', (socket) => {
    sockets.add(socket);
    let buffer = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      buffer = Buffer.concat([buffer, chunk]);
      while (buffer.length >= 2 && buffer.length >= 2 + buffer.readUInt16BE(0)) {
        const end = 2 + buffer.readUInt16BE(0);
        for (const reply of answer(buffer.subarray(2, end), 'tcp')) {
          const length = Buffer.alloc(2);
          length.writeUInt16BE(reply.length, 0);
          socket.write(Buffer.concat([length, reply]));
        }
        buffer = buffer.subarray(end);
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    udp.once('error', reject);
    udp.bind(port, address, resolve);
  });
  await new Promise<void>((resolve, reject) => {
    tcp.once('error', reject);
    tcp.listen(port, address, resolve);
  });
  return server;
}

/** Several servers that share one port, as the authoritative servers of the world do. */
export async function startNameservers(
  responders: Readonly<Record<string, Respond>>,
): Promise<{ readonly port: number; readonly at: Readonly<Record<string, Nameserver>> }> {
  for (;;) {
    const port = await freePort();
    const at: Record<string, Nameserver> = {};
    try {
      for (const [address, respond] of Object.entries(responders)) {
        at[address] = await startNameserver(address, port, respond);
      }
      return { port, at };
    } catch (error) {
      await Promise.all(Object.values(at).map((s) => s.close()));
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
  }
}

function encode(query: Packet, reply: Reply): Buffer {
  const aa = reply.authoritative === false ? 0 : packet.AUTHORITATIVE_ANSWER;
  const tc = reply.truncated ? packet.TRUNCATED_RESPONSE : 0;
  return packet.encode({
    type: 'response',
    id: query.id,
    flags: aa | tc | (reply.rcode ?? 0),
    questions: query.questions,
    answers: [...(reply.answers ?? [])],
    authorities: [...(reply.authorities ?? [])],
    additionals: [...(reply.additionals ?? [])],
  });
}

/** `www.a. 60 CNAME b.` as a record; of a type that the library has no word for, bytes in hex. */
export function rr(line: string): Answer {
  const [name, ttl, type, ...rest] = line.split(' ');
  if (type?.startsWith('UNKNOWN_')) {
    const data = Buffer.from(rest.join(''), 'hex');
    return { name, ttl: Number(ttl), type, data } as unknown as Answer;
  }
  const data = type === 'TXT' ? rest.map((s) => Buffer.from(s)) : rest.join(' ');
  return { name, ttl: Number(ttl), type, data } as Answer;
}

/**
 * Answers for zones as an authoritative server does. Lines are records; an NS below an apex is a
 * delegation, and the addresses of its servers are its glue.
 */
export function serveZones(zones: Readonly<Record<string, readonly string[]>>): Respond {
  const inside = (name: string, zone: string) =>
    zone === '.' || name === zone || name.endsWith(`.${zone}`);
  const parsed = Object.fromEntries(
    Object.entries(zones).map(([zone, all]) => [zone, all.map(rr)]),
  );
  return ({ name, type }) => {
    const apex = Object.keys(zones)
      .filter((zone) => inside(name, zone))
      .sort((a, b) => b.length - a.length)[0];
    if (apex === undefined) return { rcode: rcode.refused, authoritative: false };
    const records = parsed[apex]!;
    const cut = records.find((r) => r.type === 'NS' && r.name !== apex && inside(name, r.name));
    if (cut) {
      const authorities = records.filter((r) => r.type === 'NS' && r.name === cut.name);
      const hosts = authorities.map((r) => (r.type === 'NS' ? r.data : ''));
      const glue = records.filter((r) => hosts.includes(r.name) && r.type !== 'NS');
      return { authoritative: false, authorities, additionals: glue };
    }
    const mine = records.filter((r) => r.name === name);
    const answers = mine.filter((r) => r.type === type || r.type === 'CNAME');
    const soa = {
      name: apex,
      ttl: 30,
      type: 'SOA',
      data: { mname: 'ns.', rname: 'h.', serial: 1, minimum: 30 },
    } as Answer;
    if (answers.length > 0) return { answers };
    const exists = mine.length > 0 || records.some((r) => inside(r.name, name));
    return exists ? { authorities: [soa] } : { rcode: rcode.nxDomain, authorities: [soa] };
  };
}
