// The `tls` check: a handshake with whatever speaks TLS from its first byte, the chain and the name
// verified, and the days its certificate has left. It must never take a connection for a handshake,
// and never pass where the certificate was not verified (design, rule 21).

import type { TLSSocket } from 'node:tls';
import { z } from 'zod';
import { deadline } from '../kit/deadline.ts';
import type { CheckType } from '../kit/extend.ts';
import { hostPort, parseHostPort, toName } from '../kit/schema.ts';
import { notByExporter } from './blackbox.ts';
import type { Making } from './held.ts';
import { connectTo } from './names.ts';
import { type Trip, travel, wayOf } from './path.ts';
import { type ClientFiles, certificateDays, clientFiles } from './trust.ts';
import type { Answer } from './words.ts';

interface TlsSettings {
  /** `HOST:PORT`. */
  readonly tls: string;
  /** Sent as SNI and verified in place of the host. */
  readonly servername?: string | undefined;
  /** Connect there; DNS is not asked. */
  readonly address?: string | undefined;
  /** Path of a PEM bundle to trust in place of the well-known roots. */
  readonly ca?: string | undefined;
  /** To show to a server that asks who we are. */
  readonly client?: ClientFiles | undefined;
  readonly expect: { readonly certificateDays: number };
}

const settings = z.strictObject({
  tls: hostPort(null),
  servername: z
    .string()
    .optional()
    .describe('name to send as SNI and to verify')
    .refine((text) => text === undefined || toName(text) !== null, {
      message: 'expected a host name, such as www.example.net',
    })
    .transform((text) => (text === undefined ? undefined : toName(text)!.slice(0, -1))),
  address: connectTo,
  ca: z.string().min(1).optional().describe('path of a PEM bundle to trust'),
  client: clientFiles,
  expect: z
    .strictObject({
      certificateDays: certificateDays.default(0),
    })
    .prefault({}),
});

/** `{ tls: "mail.example.net:993", … }` beside a check's cadence. */
export const tls: CheckType<TlsSettings> = {
  key: 'tls',
  settings,
  // No certificate is valid for a million days.
  impossible: (s) => ({ ...s, expect: { certificateDays: 1_000_000 } }),
  pathProblem: (path) => notByExporter('tls', path),
  create: (configured, path, timeoutMs, context) => {
    const way = wayOf(path, context);
    const { keeper } = context as Making;
    return {
      ask: (signal) =>
        travel(way, timeoutMs, signal, (trip) => exchange(trip, configured), null, keeper),
      close: () => {},
    };
  },
};

async function exchange(trip: Trip, asked: TlsSettings): Promise<Answer> {
  const { host, port } = parseHostPort(asked.tls, null)!;
  const socket = await trip.connect({ host, port, address: asked.address });
  const name = asked.servername ?? host;
  // Nothing is offered: a mail server need not know a protocol that was made for the web.
  const { ca, client } = asked;
  const secured = await trip.secure(socket, { name, ca, alpn: [], client });
  const protocol = secured.getProtocol();
  if (protocol === 'TLSv1.3') await beTaken(secured, trip.timeoutMs);
  if (trip.isWanted) trip.leaveOpen(secured);
  else await sayGoodbye(secured);
  const tooFew = trip.judgeDays(asked.expect.certificateDays);
  if (tooFew !== null) return tooFew;
  const days = trip.certificateDays;
  return { outcome: 'pass', reason: 'ok', detail: `${protocol}, ${days} days left` };
}

/** Of the deadline, what a server has for a word after the handshake; most say one at once. */
const wordShare = 0.25;
const wordMostMs = 300;
/** A ticket may be followed by the end: some servers look at the certificate only then. */
const afterTicketMs = 50;

/**
 * With TLS 1.3 our side of the handshake ends before the server has looked at our certificate, or
 * missed it (RFC 8446, 4.4.2.4): its first words or its silence say that we were taken, an alert or
 * the end that we were not. Rejects with these.
 */
function beTaken(socket: TLSSocket, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const most = Math.min(wordMostMs, timeoutMs * wordShare);
    let timer = deadline(most, resolve);
    const end = (then: () => void) => {
      clearTimeout(timer);
      then();
    };
    const closed = () => {
      const error = new Error('closed after the handshake');
      end(() => reject(Object.assign(error, { code: 'ECONNRESET' })));
    };
    socket.once('session', () => {
      clearTimeout(timer);
      timer = deadline(Math.min(afterTicketMs, most), resolve);
    });
    socket.once('data', () => end(resolve));
    socket.once('end', closed);
    socket.once('close', closed);
    socket.once('error', (error) => end(() => reject(error)));
  });
}

/**
 * Ends in order, so that the server sees a whole handshake: hung up on right after its own part,
 * it would log an error for every probe. Whatever happens to the goodbye is no news.
 */
function sayGoodbye(socket: TLSSocket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve());
    socket.end(() => resolve());
  });
}
