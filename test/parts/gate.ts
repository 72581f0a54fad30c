// A wire on which every request waits until the test lets it go: the order in which two writers
// reach a vendor is then chosen, request by request, and each can be lost, answered to nobody, or
// delivered long after its sender has given up. It must never deliver half a request, and never
// deliver one twice.

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Server as DnsServer } from '../../src/dns/ask.ts';

/**
 * `pass` lets it through and its reply back; `lost` cuts the connection before anything is
 * delivered; `lost-reply` delivers it and cuts then; `late` cuts at once and keeps it for later.
 */
export type Way = 'pass' | 'lost' | 'lost-reply' | 'late';

/** A request that waits. */
export interface Held {
  /** Lets it go; resolves when the vendor has answered, or for `late` at once. */
  release(way: Way): Promise<Late | null>;
}

/** A request whose sender is gone. */
export interface Late {
  /** Delivers it; resolves when the vendor has answered it. */
  deliver(): Promise<void>;
}

/** How long a vendor may take for one request, in milliseconds. */
const answerMs = 10_000;

/** Whether these bytes are a request to its end. */
export type Whole = (bytes: Buffer) => boolean;

/** HTTP/1.1 with a length, or without a body. */
export function isWholeHttp(bytes: Buffer): boolean {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return false;
  const length = /\r\ncontent-length: *(\d+)/i.exec(bytes.subarray(0, end).toString('latin1'))?.[1];
  return bytes.length >= end + 4 + Number(length ?? 0);
}

/** DNS messages on TCP, each behind its length (RFC 1035 4.2.2). */
export function isWholeDns(bytes: Buffer): boolean {
  let at = 0;
  while (at + 2 <= bytes.length) at += 2 + bytes.readUInt16BE(at);
  return at === bytes.length && at > 0;
}

/** One writer's way to a vendor. */
export class Gate {
  /** What waits now, in the order of its coming. */
  readonly held: Held[] = [];
  /** When anything last came or went, on the monotonic clock. */
  activeAt = performance.now();
  /** Called whenever anything comes or goes. */
  onActive: () => void = () => {};
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  static async start(target: DnsServer, isWhole: Whole): Promise<Gate> {
    const gate = new Gate(target, isWhole);
    gate.#server.listen(0, '127.0.0.1');
    await once(gate.#server, 'listening');
    return gate;
  }

  private constructor(target: DnsServer, isWhole: Whole) {
    this.#server = createServer((client) => this.#serve(client, target, isWhole));
  }

  get place(): string {
    return `127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  #serve(client: Socket, target: DnsServer, isWhole: Whole): void {
    this.#keep(client);
    const server = connect(target.port, target.address);
    this.#keep(server);
    let pending = Buffer.alloc(0);
    let answered: (() => void) | null = null;
    let mute = false;
    let waiting: Held | null = null;
    const forget = (): void => {
      const at = waiting === null ? -1 : this.held.indexOf(waiting);
      if (at >= 0) this.held.splice(at, 1);
      waiting = null;
    };
    const send = async (): Promise<void> => {
      const { promise, resolve } = Promise.withResolvers<void>();
      answered = resolve;
      const timer = setTimeout(resolve, answerMs);
      server.write(pending);
      pending = Buffer.alloc(0);
      await promise;
      clearTimeout(timer);
    };
    const release = async (way: Way): Promise<Late | null> => {
      forget();
      this.#touch();
      if (way === 'lost' || way === 'late') {
        mute = true;
        client.resetAndDestroy();
      }
      if (way === 'lost') {
        server.destroy();
        return null;
      }
      if (way === 'late') return { deliver: () => send().finally(() => server.destroy()) };
      mute = way === 'lost-reply';
      await send();
      if (way === 'lost-reply') {
        client.resetAndDestroy();
        server.destroy();
      }
      return null;
    };
    client.on('data', (bytes: Buffer) => {
      pending = Buffer.concat([pending, bytes]);
      if (waiting === null && isWhole(pending)) {
        waiting = { release };
        this.held.push(waiting);
      }
      this.#touch();
    });
    server.on('data', (bytes: Buffer) => {
      if (!mute) client.write(bytes);
      this.#touch();
      answered?.();
    });
    client.on('close', () => {
      forget();
      if (!mute) server.destroy();
    });
    server.on('close', () => {
      answered?.();
      client.end();
    });
  }

  #touch(): void {
    this.activeAt = performance.now();
    this.onActive();
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('close', () => this.#sockets.delete(socket));
    // A cut is what the wire is for; both ends hear of it by their own close.
    socket.on('error', () => {});
  }
}
