// Somebody on the path to a name server, without the key that it shares with us: a relay over UDP and
// TCP on loopback, which lets everything pass until it is told to answer by itself. It must never
// know the key, and leaves nothing open.

import { createSocket } from 'node:dgram';
import { connect, createServer, type Socket } from 'node:net';
import packet, { type Answer } from 'dns-packet';
import type { Server } from '../../src/dns/ask.ts';

/** What is answered in the server's place: records, or null to let the question pass. */
export type Forge = (name: string, type: string) => readonly Answer[] | null;

export interface Forger {
  /** Null: it only passes on what comes. */
  forge: Forge | null;
  /** What it has answered by itself so far. */
  readonly forged: { udp: number; tcp: number };
  close(): Promise<void>;
}

/** Listens at `at`, and passes on to `target`. */
export async function startForger(at: Server, target: Server): Promise<Forger> {
  const forger: { -readonly [K in keyof Forger]: Forger[K] } = {
    forge: null,
    forged: { udp: 0, tcp: 0 },
    close: async () => {},
  };
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  };
  const answer = (query: Buffer): Buffer | null => replyTo(query, forger.forge);
  const tcp = createServer((client) => {
    keep(client);
    const server = connect(target.port, target.address);
    keep(server);
    let buffer = Buffer.alloc(0);
    client.on('data', (chunk: Buffer) => {
      buffer = Buffer.concat([buffer, chunk]);
      while (buffer.length >= 2 && buffer.length >= 2 + buffer.readUInt16BE(0)) {
        const framed = buffer.subarray(0, 2 + buffer.readUInt16BE(0));
        buffer = buffer.subarray(framed.length);
        const reply = answer(framed.subarray(2));
        if (reply === null) server.write(framed);
        else {
          forger.forged.tcp++;
          const length = Buffer.alloc(2);
          length.writeUInt16BE(reply.length);
          client.write(Buffer.concat([length, reply]));
        }
      }
    });
    server.on('data', (chunk: Buffer) => client.write(chunk));
    client.on('close', () => server.destroy());
    server.on('close', () => client.end());
  });
  const udp = createSocket('udp4');
  udp.on('message', (query, from) => {
    const reply = answer(query);
    if (reply !== null) {
      forger.forged.udp++;
      return udp.send(reply, from.port, from.address);
    }
    const way = createSocket('udp4');
    const end = setTimeout(() => way.close(), 3000);
    end.unref();
    way.unref();
    way.once('message', (bytes) => udp.send(bytes, from.port, from.address));
    way.send(query, target.port, target.address);
  });
  await new Promise<void>((resolve, reject) => {
    tcp.once('error', reject).listen(at.port, at.address, resolve);
  });
  await new Promise<void>((resolve, reject) => {
    udp.once('error', reject);
    udp.bind(at.port, at.address, resolve);
  });
  forger.close = async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => tcp.close(() => resolve()));
    await new Promise<void>((resolve) => udp.close(() => resolve()));
  };
  return forger;
}

/** As the server would say it, but for the signature; an update is said to be taken. */
function replyTo(query: Buffer, forge: Forge | null): Buffer | null {
  if (forge === null) return null;
  const { id, questions, flags = 0 } = packet.decode(query);
  const [question] = questions!;
  const isUpdate = ((query[2]! >> 3) & 15) === 5;
  const answers = isUpdate ? [] : forge(`${question!.name.toLowerCase()}.`, question!.type);
  if (answers === null) return null;
  const reply = packet.encode({
    type: 'response',
    id,
    flags: packet.AUTHORITATIVE_ANSWER | (flags & packet.RECURSION_DESIRED),
    questions,
    answers: [...answers],
  });
  // The opcode of what was asked (RFC 1035 4.1.1).
  reply[2] = (reply[2]! & 0x87) | (query[2]! & 0x78);
  return reply;
}
