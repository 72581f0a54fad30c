// The origins of the lab's clouds: plain HTTP servers on loopback addresses, each of which can be
// broken the way real origins break. A fault also takes the connections that are open when it
// begins, as an outage does. It must never answer while a fault says that it does not, never
// listen anywhere but on the loopback address it was given, and never keep a socket after close().

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Every way an origin can break, with what a client sees. */
export const originFaults = {
  refuse: 'refuses connections (nothing listens)',
  hang: 'accepts connections and never answers',
  reset: 'resets every connection',
  '5xx': 'answers 503',
  slow: 'drips its answer beyond any deadline',
  'wrong-body': 'answers 200 with the wrong page',
  flap: 'alternates every 2 s between 503 and a good answer',
} as const;

export type OriginFault = keyof typeof originFaults;

/** Whether a word names a fault of an origin. */
export function isOriginFault(word: string): word is OriginFault {
  return Object.hasOwn(originFaults, word);
}

export interface OriginOptions {
  readonly name: string;
  readonly cloud: string;
  readonly region: string;
  /** A loopback address. */
  readonly address: string;
  /** 0: a free one, kept through every fault. */
  readonly port: number;
  /** Milliseconds of each half of `flap`; 2000 unless set. */
  readonly flapMs?: number;
}

export interface Origin {
  readonly name: string;
  readonly cloud: string;
  readonly region: string;
  readonly address: string;
  readonly port: number;
  /** The fault in force; null: it serves. */
  readonly fault: OriginFault | null;
  /** Requests read since the start, answered or not. */
  readonly requests: number;
  /** Connections accepted since the start. */
  readonly connections: number;
  /** Resolves when the fault is in force, for open connections too. */
  break(fault: OriginFault): Promise<void>;
  /** Resolves when it serves again. Rejects when its port was taken meanwhile. */
  heal(): Promise<void>;
  /** Ends every connection and gives the port back. */
  close(): Promise<void>;
}

/** What one fault takes down: one origin, every origin of a region, or a whole cloud. */
export type OriginScope = 'origin' | 'region' | 'cloud';

/** The origins that a scope and a name mean; empty when nothing is called that. */
export function originsOf(
  origins: readonly Origin[],
  scope: OriginScope,
  name: string,
): readonly Origin[] {
  return origins.filter((o) => (scope === 'origin' ? o.name : o[scope]) === name);
}

/**
 * Starts one origin: `GET /healthz` answers 200 with `ok NAME`, `GET /` says who it is. Rejects
 * with the system's error (`EADDRINUSE`, `EADDRNOTAVAIL`) when the address cannot be listened on.
 */
export async function startOrigin(options: OriginOptions): Promise<Origin> {
  const origin = new HttpOrigin(options);
  await origin.open();
  return origin;
}

/** Connections one origin holds at once; more are cut, so that `hang` cannot eat the machine. */
const connectionsMax = 1024;
/** One byte so often, for `slow`: 16 KiB of header, Node's limit, last over an hour. */
const dripMs = 250;
/** What `wrong-body` serves: somebody else's page, with a good status. */
const wrongPage = '<!doctype html><title>Welcome</title><p>It works!\n';
/** How long a healed origin tries to get its own port back. */
const reopenMs = 5000;

class HttpOrigin implements Origin {
  readonly name: string;
  readonly cloud: string;
  readonly region: string;
  readonly address: string;
  port: number;
  fault: OriginFault | null = null;
  requests = 0;
  connections = 0;
  readonly #flapMs: number;
  readonly #sockets = new Set<Socket>();
  #server: Server | null = null;
  #faultSince = 0;
  #closed = false;
  /** Changes are made one after the other, however many ask at once. */
  #turn: Promise<void> = Promise.resolve();

  constructor(options: OriginOptions) {
    this.name = options.name;
    this.cloud = options.cloud;
    this.region = options.region;
    this.address = options.address;
    this.port = options.port;
    this.#flapMs = options.flapMs ?? 2000;
  }

  break(fault: OriginFault): Promise<void> {
    return this.#inTurn(async () => {
      this.#begin(fault);
      if (fault === 'refuse') await this.#stopListening();
      else await this.open();
      for (const socket of this.#sockets) this.#strike(socket);
    });
  }

  heal(): Promise<void> {
    return this.#inTurn(async () => {
      // What was held back stays lost: a server that comes back does not know its old clients.
      if (this.fault !== null) this.#dropSockets();
      await this.open();
      this.#begin(null);
    });
  }

  close(): Promise<void> {
    return this.#inTurn(async () => {
      this.#closed = true;
      await this.#stopListening();
      this.#dropSockets();
    });
  }

  /** Listens, if it does not yet. */
  async open(): Promise<void> {
    const deadline = performance.now() + reopenMs;
    while (this.#server === null && !this.#closed) {
      try {
        this.#server = await this.#listen();
      } catch (error) {
        const taken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
        const own = this.connections > 0 || this.fault !== null;
        if (!taken || !own || performance.now() > deadline) throw error;
        await sleep(50);
      }
    }
  }

  #inTurn(change: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(change);
    this.#turn = done.catch(() => undefined); // told to whoever asked, through `done`
    return done;
  }

  #begin(fault: OriginFault | null): void {
    this.fault = fault;
    this.#faultSince = performance.now();
  }

  async #listen(): Promise<Server> {
    const server = createServer((request, response) => this.#answer(request, response));
    server.maxConnections = connectionsMax;
    server.on('connection', (socket) => this.#accept(socket));
    // A client that talks nonsense or leaves early is the client's business.
    server.on('clientError', (_error, socket) => socket.destroy());
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: this.address, port: this.port, exclusive: true }, () => {
        server.removeListener('error', reject);
        resolve();
      });
    });
    const bound = server.address();
    if (bound !== null && typeof bound === 'object') this.port = bound.port;
    return server;
  }

  async #stopListening(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    this.#server = null;
    this.#dropSockets();
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }

  #dropSockets(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  #accept(socket: Socket): void {
    this.connections++;
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    this.#strike(socket);
  }

  /** What the fault does to a connection as such, before any request on it. */
  #strike(socket: Socket): void {
    if (this.fault === 'reset') socket.resetAndDestroy();
    if (this.fault === 'refuse') socket.destroy();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.requests++;
    request.resume();
    const fault = this.#faultNow();
    if (fault === null) this.#serve(request, response);
    else if (fault === '5xx') send(response, 503, `${this.name} is broken on purpose\n`);
    else if (fault === 'wrong-body') send(response, 200, wrongPage);
    else if (fault === 'slow') drip(response);
    else this.#strike(request.socket); // `hang` leaves it as it is, unanswered
  }

  #faultNow(): Exclude<OriginFault, 'flap'> | null {
    if (this.fault !== 'flap') return this.fault;
    const halves = Math.floor((performance.now() - this.#faultSince) / this.#flapMs);
    return halves % 2 === 0 ? '5xx' : null;
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      send(response, 405, 'only GET and HEAD\n', { allow: 'GET, HEAD' });
      return;
    }
    const path = (request.url ?? '/').split('?', 1)[0];
    const pages: Readonly<Record<string, string>> = {
      '/healthz': `ok ${this.name}`,
      '/': `${this.name}, in ${this.region} of ${this.cloud}\n`,
    };
    const page = pages[path ?? '/'];
    send(response, page === undefined ? 404 : 200, page ?? 'there are only / and /healthz\n');
  }
}

function send(
  response: ServerResponse,
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, {
    'content-type': body.startsWith('<') ? 'text/html' : 'text/plain',
    'content-length': Buffer.byteLength(body),
    ...headers,
  });
  response.end(body);
}

/** An answer whose header never ends, so that reading only the header does not escape it. */
function drip(response: ServerResponse): void {
  const socket = response.socket;
  if (socket === null) return;
  socket.write('HTTP/1.1 200 OK\r\nX-Patience: ');
  const timer = setInterval(() => socket.write('.'), dripMs);
  socket.once('close', () => clearInterval(timer));
}
