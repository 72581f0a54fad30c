// An HTTP server of node:http with a bound on everything: connections, header bytes, body bytes,
// and the time a peer may take to send a request or to take an answer. All listeners of the daemon
// are built on it. Whoever comes is let in: of those that only hold a connection, the one that has
// held it longest gives way. It knows no path and no state, never looks at the Host header, and never
// lets a handler's failure reach the process.

import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import type { ListenOptions, Socket } from 'node:net';
import type { Trouble } from './desk.ts';
import { takeInherited } from './inherited.ts';

export interface Limits {
  /**
   * Connections at one time. For one more an idle one is closed, or one whose peer is slow to ask or
   * to read; where all are being answered, the one more is closed unanswered.
   */
  readonly connections: number;
  /** Of them by one address, alike; as many as there may be where it is left out. */
  readonly perAddress?: number;
  /** From the connection, or the last answer's end, to the last byte of a request. */
  readonly requestMs: number;
  /** Silence on a connection, in either direction, after which it is cut, unless it is our own. */
  readonly idleMs: number;
}

/** `aside` lets go of the place among connections: what is counted elsewhere takes none. */
export type Handler = (
  request: IncomingMessage,
  response: ServerResponse,
  aside: () => void,
) => Promise<void> | void;

/** How a listener is made that is no plain one. */
interface Door {
  create(options: ServerOptions, listener: RequestListener): Server;
  /** Before anything is spent on a connection; false: it is closed unanswered. */
  admits(socket: Socket): boolean;
}

/** A server, not yet listening, that answers 500 with a sentence when the handler fails. */
export function createBounded(
  limits: Limits,
  handle: Handler,
  trouble: Trouble,
  door: Door = { create: createServer, admits: () => true },
): Server {
  const seats = new Seats(limits.connections, limits.perAddress ?? limits.connections);
  const server = door.create(
    {
      maxHeaderSize: 8192,
      headersTimeout: Math.min(5000, limits.requestMs),
      requestTimeout: limits.requestMs,
      connectionsCheckingInterval: Math.min(1000, limits.requestMs),
      keepAliveTimeout: 5000,
      requireHostHeader: false,
    },
    (request, response) => {
      seats.asked(request, response);
      // A peer that resets the connection is the world's business, not an error of ours.
      request.on('error', () => response.destroy());
      void answer(request, response);
    },
  );
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await handle(request, response, () => seats.leave(request));
    } catch (error) {
      // A request that broke off, or whose body is no HTTP, is the peer's doing as well.
      if (error === request.errored) return void response.destroy();
      trouble('serve', error instanceof Error ? `${error.name}: ${error.message}` : String(error));
      if (response.headersSent) response.destroy();
      else send(request, response, 500, 'the daemon failed at this request: see its log\n');
    }
  }
  // In front of what Node itself does with a connection: TLS has its price.
  const begin = server.listeners('connection');
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    socket.on('error', () => socket.destroy());
    if (!door.admits(socket) || !seats.take(socket)) return void socket.destroy();
    for (const one of begin) one.call(server, socket);
  });
  server.maxHeadersCount = 64;
  // Whoever has said all he has to say still gets an answer that takes a moment (RFC 9112, 9.6). Node
  // has this as a field of its servers since 0.8, and not in its types.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.setTimeout(limits.idleMs, (socket) => {
    if (!seats.isWaiting(socket)) socket.destroy();
  });
  return server;
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

interface Seat {
  /** The connection itself, whatever is spoken over it. */
  readonly socket: Socket;
  readonly key: Socket | string;
  readonly address: string;
  exchange: Exchange | null;
}

/** Who is connected: those that have waited longest in what they do stand first. */
class Seats {
  readonly #most: number;
  readonly #perAddress: number;
  readonly #taken = new Map<Socket | string, Seat>();

  constructor(most: number, perAddress: number) {
    this.#most = most;
    this.#perAddress = perAddress;
  }

  /** False where there is none. */
  take(socket: Socket): boolean {
    const seat: Seat = { socket, key: keyOf(socket), address: addressOf(socket), exchange: null };
    if (!this.#hasRoomAt(seat.address)) return false;
    if (this.#taken.size >= this.#most && !this.#freeOne(() => true)) return false;
    this.#taken.set(seat.key, seat);
    socket.once('close', () => {
      if (this.#taken.get(seat.key) === seat) this.#taken.delete(seat.key);
    });
    return true;
  }

  leave({ socket }: IncomingMessage): void {
    this.#taken.delete(keyOf(socket));
  }

  asked(request: IncomingMessage, response: ServerResponse): void {
    const seat = this.#taken.get(keyOf(request.socket));
    if (seat === undefined) return;
    this.#move(seat, { request, response });
    response.once('close', () => this.#move(seat, null));
  }

  /** Whether somebody has asked all he had to ask and waits for us: a long text takes its time. */
  isWaiting(socket: Socket): boolean {
    const exchange = this.#taken.get(keyOf(socket))?.exchange ?? null;
    return exchange?.request.complete === true && !exchange.response.headersSent;
  }

  #move(seat: Seat, now: Exchange | null): void {
    if (this.#taken.get(seat.key) !== seat) return;
    seat.exchange = now;
    this.#taken.delete(seat.key);
    this.#taken.set(seat.key, seat);
  }

  #hasRoomAt(address: string): boolean {
    if (this.#perAddress >= this.#most) return true;
    let count = 0;
    for (const seat of this.#taken.values()) if (seat.address === address) count++;
    return count < this.#perAddress || this.#freeOne((seat) => seat.address === address);
  }

  /** False where nobody's connection can be closed without harm to a request. */
  #freeOne(among: (seat: Seat) => boolean): boolean {
    for (const patience of [isIdle, isSlowToAsk, isSlowToRead]) {
      for (const seat of this.#taken.values()) {
        if (!among(seat) || !patience(seat.exchange)) continue;
        this.#taken.delete(seat.key);
        seat.socket.destroy();
        return true;
      }
    }
    return false;
  }
}

/** The same for a connection and for what TLS makes of it. */
function keyOf(socket: Socket): Socket | string {
  const { remoteAddress, remotePort } = socket;
  return remotePort === undefined ? socket : `${remoteAddress} ${remotePort}`;
}

/**
 * From where somebody comes, as far as one person may change it at will: of IPv6 the first 64 bits
 * (RFC 4291, section 2.5.4). Empty by a Unix socket.
 */
export function addressOf({ remoteAddress = '' }: Socket): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(remoteAddress);
  if (mapped !== null) return mapped[1]!;
  if (!remoteAddress.includes(':')) return remoteAddress;
  const [head = '', tail] = remoteAddress.split('%')[0]!.split('::');
  const front = head.split(':').filter((part) => part !== '');
  const back = (tail ?? '').split(':').filter((part) => part !== '');
  const zeros = tail === undefined ? 0 : 8 - front.length - back.length;
  const parts = [...front, ...Array<string>(zeros).fill('0'), ...back];
  return `${parts.slice(0, 4).join(':')}::/64`;
}

const isIdle = (exchange: Exchange | null) => exchange === null;
const isSlowToAsk = (exchange: Exchange | null) => exchange?.request.complete === false;
const isSlowToRead = (exchange: Exchange | null) => exchange?.response.headersSent === true;

/** One whole answer with its length; a HEAD request gets the head of it. */
export function send(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = Buffer.from(text);
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': body.length,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** The path and the query of a request. An absolute URI or a Host header changes nothing. */
export function target(request: IncomingMessage): { path: string; query: URLSearchParams } {
  const url = request.url ?? '/';
  const mark = url.indexOf('?');
  if (mark < 0) return { path: url, query: new URLSearchParams() };
  return { path: url.slice(0, mark), query: new URLSearchParams(url.slice(mark + 1)) };
}

/** The request's body as text, or null when it is longer than `most` bytes (the rest is unread). */
export async function readBody(request: IncomingMessage, most: number): Promise<string | null> {
  if (Number(request.headers['content-length'] ?? 0) > most) return null;
  const chunks: Buffer[] = [];
  let size = 0;
  // The connection must outlive the loop, or the refusal could not be said.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    size += (chunk as Buffer).length;
    if (size > most) return null;
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Resolves once the server listens; rejects with the system's error, and may then be asked again. */
export function listen(server: Server, options: ListenOptions): Promise<void> {
  const fd = takeInherited(options);
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => {
      server.off('listening', listening);
      reject(error);
    };
    const listening = () => {
      server.off('error', failed);
      resolve();
    };
    server.once('error', failed);
    server.once('listening', listening);
    server.listen(fd === null ? options : { fd });
  });
}

/** Stops accepting, lets answers under way finish for `graceMs`, then cuts what is left. */
export function close(server: Server, graceMs = 1000): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), graceMs);
    // One that never listened is closed already, and says so by an error.
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    server.closeIdleConnections();
  });
}
