// A loopback port of the lab that can be taken away and given back: what every breakable server of
// the lab stands on. It remembers its port through every fault, knows every connection, and makes
// its changes one after the other. It must never listen anywhere but on the address it was given,
// never hold more connections than its bound, and never keep a socket after close().

import type { Server, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

interface ListenerOptions {
  /** A loopback address. */
  readonly address: string;
  /** 0: a free one, kept from then on. */
  readonly port: number;
  /** A new server, listening to nothing yet; its `connection` events are the listener's. */
  readonly make: () => Server;
  /** Called with every new connection. */
  readonly accepted: (socket: Socket) => void;
}

/** Connections held at once; more are cut, so that a server that hangs cannot eat the machine. */
const connectionsMax = 1024;
/** How long a port that was given up for a fault is asked for again. */
const reopenMs = 5000;

export class Listener {
  readonly address: string;
  port: number;
  /** Connections accepted since the start. */
  connections = 0;
  /** Connections that are open now. */
  readonly sockets = new Set<Socket>();
  readonly #options: ListenerOptions;
  #server: Server | null = null;
  #wasOpen = false;
  #closed = false;
  #turn: Promise<void> = Promise.resolve();

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.address = options.address;
    this.port = options.port;
  }

  /** Runs one change after all that were asked for before it, however many ask at once. */
  inTurn(change: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(change);
    this.#turn = done.catch(() => undefined); // told to whoever asked, through `done`
    return done;
  }

  /**
   * Listens, if it does not yet. Rejects with the system's error: at once for a new port, after a
   * while for one that was given up and that another process has taken meanwhile.
   */
  async open(): Promise<void> {
    const deadline = performance.now() + reopenMs;
    while (this.#server === null && !this.#closed) {
      try {
        this.#server = await this.#listen();
        this.#wasOpen = true;
      } catch (error) {
        const taken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
        if (!taken || !this.#wasOpen || performance.now() > deadline) throw error;
        await sleep(50);
      }
    }
  }

  /** Gives the port up for now and ends every connection. */
  async shut(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    this.#server = null;
    this.drop();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  /** Ends every connection; it goes on listening. */
  drop(): void {
    for (const socket of this.sockets) socket.destroy();
    this.sockets.clear();
  }

  /** Ends everything, for good. */
  close(): Promise<void> {
    return this.inTurn(async () => {
      this.#closed = true;
      await this.shut();
      this.drop();
    });
  }

  async #listen(): Promise<Server> {
    const server = this.#options.make();
    server.maxConnections = connectionsMax;
    server.on('connection', (socket: Socket) => this.#accept(socket));
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

  #accept(socket: Socket): void {
    this.connections++;
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    this.#options.accepted(socket);
  }
}
