// An HTTP server of node:http with a bound on everything: connections, header bytes, body bytes,
// and the time a peer may take to send a request or to take an answer. Both listeners of the daemon
// are built on it. It knows no path and no state, never looks at the Host header, and never lets a
// handler's failure reach the process.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { ListenOptions } from 'node:net';
import type { Trouble } from './desk.ts';

export interface Limits {
  /** Connections at one time; one more is closed unanswered. */
  readonly connections: number;
  /** From the connection, or the last answer's end, to the last byte of a request. */
  readonly requestMs: number;
  /** Silence on a connection, in either direction, after which it is cut. */
  readonly idleMs: number;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void;

/** A server, not yet listening, that answers 500 with a sentence when the handler fails. */
export function createBounded(limits: Limits, handle: Handler, trouble: Trouble): Server {
  const server = createServer(
    {
      maxHeaderSize: 8192,
      headersTimeout: Math.min(5000, limits.requestMs),
      requestTimeout: limits.requestMs,
      connectionsCheckingInterval: Math.min(1000, limits.requestMs),
      keepAliveTimeout: 5000,
      requireHostHeader: false,
    },
    (request, response) => {
      // A peer that resets the connection is the world's business, not an error of ours.
      request.on('error', () => response.destroy());
      void answer(request, response);
    },
  );
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await handle(request, response);
    } catch (error) {
      // A request that broke off, or whose body is no HTTP, is the peer's doing as well.
      if (error === request.errored) return void response.destroy();
      trouble('serve', error instanceof Error ? `${error.name}: ${error.message}` : String(error));
      if (response.headersSent) response.destroy();
      else send(request, response, 500, 'the daemon failed at this request: see its log\n');
    }
  }
  server.maxConnections = limits.connections;
  server.maxHeadersCount = 64;
  server.setTimeout(limits.idleMs, (socket) => socket.destroy());
  return server;
}

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

/** Resolves once the server listens; rejects with the system's error. */
export function listen(server: Server, options: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Stops accepting, lets answers under way finish for `graceMs`, then cuts what is left. */
export function close(server: Server, graceMs = 1000): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    server.closeIdleConnections();
  });
}
