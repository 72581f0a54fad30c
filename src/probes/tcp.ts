// The `tcp` check: connect, perhaps say something, perhaps wait for an answer that contains a text
// or matches a pattern. It must never read more than its bound, and never take a connection for an
// answer where one was expected.

import type { Socket } from 'node:net';
import { z } from 'zod';
import type { CheckType, PathSpec } from '../kit/extend.ts';
import { hostPort, parseHostPort } from '../kit/schema.ts';
import { blackboxAsker, credentialsOf, problemForBlackbox } from './blackbox.ts';
import { judgeBody, type TextExpectation, textExpectation } from './expect.ts';
import type { Making } from './held.ts';
import { connectTo } from './names.ts';
import { type Trip, travel, wayOf } from './path.ts';
import { type Answer, blind, fail, printHostPort } from './words.ts';

interface TcpSettings {
  /** `HOST:PORT`. */
  readonly tcp: string;
  /** Connect there; DNS is not asked. */
  readonly address?: string | undefined;
  /** Sent as UTF-8 once connected. */
  readonly send?: string | undefined;
  /** What must arrive; without it, being connected is enough (`problemForProxied`). */
  readonly expect?: TextExpectation | undefined;
  /** Bytes of the answer to look at. */
  readonly maxBytes: number;
}

const settings = z.strictObject({
  tcp: hostPort(null),
  address: connectTo,
  send: z.string().min(1).max(4096).optional().describe('text to send once connected'),
  expect: textExpectation.optional(),
  maxBytes: z.int().min(1).max(65_536).default(4096).describe('bytes of the answer to look at'),
});

/** `{ tcp: "mail.example.net:25", … }` beside a check's cadence. */
export const tcp: CheckType<TcpSettings> = {
  key: 'tcp',
  settings,
  impossible: (s) => ({ ...s, expect: { text: 'what no server says: 5d2c9e' } }),
  pathProblem: (path, asked) => problemForBlackbox(path, asked) ?? problemForProxied(path, asked),
  create: (configured, path, timeoutMs, context) => {
    if (path.kind === 'blackbox') {
      const { host, port } = parseHostPort(configured.tcp, null)!;
      const target = printHostPort(configured.address ?? host, port);
      const { lookup } = context;
      const credentials = credentialsOf(path, context);
      return blackboxAsker(path, timeoutMs, { target, lookup, credentials });
    }
    const way = wayOf(path, context);
    const { keeper } = context as Making;
    return {
      ask: (signal) =>
        travel(way, timeoutMs, signal, (trip) => exchange(trip, configured), null, keeper),
      close: () => {},
    };
  },
};

function problemForProxied(path: PathSpec, settings: TcpSettings | undefined): string | null {
  if (path.kind !== 'proxy' && path.kind !== 'socks5') return null;
  if (settings === undefined || settings.expect !== undefined) return null;
  return (
    `a ${path.kind} may say that it is connected before it is, so being connected proves ` +
    'nothing there: add expect, ask by http or tls, or give the check other paths'
  );
}

/** Looking again at each byte of a drip would cost the square of its length. */
const lookAgainMs = 10;

async function exchange(trip: Trip, asked: TcpSettings): Promise<Answer> {
  const { host, port } = parseHostPort(asked.tcp, null)!;
  const socket = await trip.connect({ host, port, address: asked.address });
  trip.stage = 'answer';
  const { send, expect } = asked;
  const sent = send === undefined ? null : say(socket, send);
  if (expect === undefined) {
    await sent;
    trip.leaveOpen(socket);
    return { outcome: 'pass', reason: 'ok', detail: 'connected' };
  }
  const heard = listen(socket, expect, asked.maxBytes);
  const timed = trip.time('firstByteMs', () => firstByte(socket));
  const [answer] = await Promise.all([heard, timed, sent]);
  trip.leaveOpen(socket);
  return answer;
}

/** Resolves once the system has taken the text over. */
function say(socket: Socket, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

function firstByte(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('data', () => resolve());
    socket.once('close', () => resolve());
  });
}

/** Resolves as soon as what arrived says enough, at its end, or at the bound. */
function listen(socket: Socket, expected: TextExpectation, maxBytes: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0);
    let again: NodeJS.Timeout | undefined;
    const look = (isEnd: boolean) => {
      const match = judgeBody(bytes, bytes.length === maxBytes, expected);
      if (match.kind === 'unjudged') resolve(blind('internal', match.detail));
      else if (match.kind === 'match') {
        resolve({ outcome: 'pass', reason: 'ok', detail: `matched in ${bytes.length} bytes` });
      } else if (isEnd) resolve(fail('body', match.detail));
    };
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk.subarray(0, maxBytes - bytes.length)]);
      if (bytes.length === maxBytes) return look(true);
      if (again !== undefined) return;
      look(false);
      again = setTimeout(() => {
        again = undefined;
        look(false);
      }, lookAgainMs);
    });
    socket.once('error', reject);
    socket.once('close', () => clearTimeout(again));
    socket.once('end', () => {
      if (bytes.length > 0) look(true);
      else reject(Object.assign(new Error('closed at once'), { code: 'ECONNRESET' }));
    });
  });
}
