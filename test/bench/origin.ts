// One web server on loopback that the benches hurt and heal, and that loses a share of all requests
// by itself. It counts who asks, keeps its port through every fault, and leaves no socket behind.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export const faults = ['killed', 'answers 503', 'hangs'] as const;
export type Fault = (typeof faults)[number];

/** An origin on an address of its own, that counts who asks. */
export class Origin {
  requests = 0;
  /** Share of all requests that fail, half with 503 and half in silence. */
  loss = 0;
  #fault: Fault | null = null;
  #server: Server | null = null;
  readonly #address: string;
  #port: number;
  readonly #sockets = new Set<Socket>();

  readonly #chance: () => number;

  /** Port 0: a free one, kept from then on. */
  constructor(address: string, port: number, chance: () => number = Math.random) {
    this.#address = address;
    this.#port = port;
    this.#chance = chance;
  }

  get port(): number {
    return this.#port;
  }

  async listen(): Promise<number> {
    const server = createServer((request, response) => this.#answer(request, response));
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      // A client that gave up resets the connection: that is no news.
      socket.on('error', () => socket.destroy());
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, this.#address, resolve);
    });
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
    return this.#port;
  }

  #answer(_request: IncomingMessage, response: ServerResponse): void {
    this.requests++;
    const toss = this.#chance();
    if (this.#fault === 'hangs' || toss < this.loss / 2) return;
    const isFailing = this.#fault === 'answers 503' || toss < this.loss;
    response.writeHead(isFailing ? 503 : 200).end('well\n');
  }

  /** Each connection that is open now is closed at this chance, as servers close idle ones. */
  closeSome(share: number): void {
    for (const socket of this.#sockets) if (this.#chance() < share) socket.end();
  }

  hurt(fault: Fault): void {
    this.#fault = fault;
    if (fault === 'killed') this.close();
  }

  async heal(): Promise<void> {
    this.#fault = null;
    if (this.#server === null) await this.listen();
  }

  close(): void {
    this.#server?.close();
    this.#server = null;
    for (const socket of this.#sockets) socket.destroy();
  }
}
