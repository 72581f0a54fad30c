// One DNS question over a connection that stands already (RFC 7766), wherever it leads: dns/ask.ts
// opens its own, this one may have come through a proxy. It must never believe a reply to another
// question, and never read more than the one reply.

import type net from 'node:net';
import type { Exchange } from '../dns/ask.ts';
import { decode, encodeQuestion, fitsWire, type Question } from '../dns/wire.ts';
import { read } from './tunnel.ts';

/** Asks once. Rejects with the connection's error; has no deadline but the connection's end. */
export async function exchangeOver(
  socket: net.Socket,
  question: Question,
  recurse: boolean,
): Promise<Exchange> {
  if (!fitsWire(question.name)) {
    return { kind: 'malformed', detail: `${question.name} is no DNS name`, sent: false };
  }
  const wire = encodeQuestion(question, recurse, false);
  const framed = Buffer.alloc(2 + wire.length);
  framed.writeUInt16BE(wire.length);
  wire.copy(framed, 2);
  socket.write(framed);
  const bytes = await read(socket, (heard) => {
    if (heard.length < 2) return null;
    const whole = 2 + heard.readUInt16BE(0);
    return heard.length >= whole ? whole : null;
  });
  const message = decode(bytes.subarray(2));
  if (message === null) return { kind: 'malformed', detail: 'the reply is no DNS', sent: true };
  const [asked, more] = message.questions;
  const isSame = asked?.name === question.name && asked.type === question.type;
  // Some servers leave the question out of an error.
  const isError = asked === undefined && message.rcode !== 'NOERROR';
  if (!message.response || message.id !== wire.readUInt16BE(0) || more || !(isSame || isError)) {
    return { kind: 'malformed', detail: 'a reply to another question came', sent: true };
  }
  return { kind: 'reply', message };
}
