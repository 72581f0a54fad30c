// One request over HTTP to somebody who knows more than we do (an exporter that probes in our
// place, a Prometheus), over a connection of its own. It judges nothing, and must never read more
// than its bound, nor follow a redirect with what was meant for the one asked.

import { request as plainRequest } from 'node:http';
import { isIPv4, type Socket } from 'node:net';
import type { Trip, Trust } from './path.ts';

interface Scrape {
  readonly url: URL;
  /** By lower-case name; Host, Connection and User-Agent are added. */
  readonly headers: Readonly<Record<string, string>>;
  /** Sent by POST; undefined: a GET. */
  readonly body?: string | undefined;
  /** Whom to trust where the URL is https. */
  readonly trust: Pick<Trust, 'ca' | 'client'>;
}

export interface Scraped {
  readonly status: number;
  readonly body: Buffer;
  /** It was longer than the bound. */
  readonly isCut: boolean;
}

const bodyBytesMax = 1_048_576;

/** What may go over plain http: nobody else is on the way. */
export function isLoopback(host: string): boolean {
  return (isIPv4(host) && host.startsWith('127.')) || host === '[::1]' || host === 'localhost';
}

/** Rejects with the connection's error. Reads at most 1 MiB of the answer. */
export async function scrape(trip: Trip, asked: Scrape): Promise<Scraped> {
  const { url, body } = asked;
  const isSecure = url.protocol === 'https:';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = Number(url.port) || (isSecure ? 443 : 80);
  const plain = await trip.connect({ host, port });
  const trust = { name: host, ...asked.trust, alpn: ['http/1.1'] };
  const socket: Socket = isSecure ? await trip.secure(plain, trust) : plain;
  trip.stage = 'answer';
  const headers = {
    host: url.host,
    connection: 'close',
    'user-agent': 'detour',
    ...asked.headers,
    ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
  };
  return new Promise((resolve, reject) => {
    const request = plainRequest(
      {
        method: body === undefined ? 'GET' : 'POST',
        path: `${url.pathname}${url.search}`,
        headers,
        createConnection: () => socket,
      },
      (response) => {
        const chunks: Buffer[] = [];
        let length = 0;
        const status = response.statusCode ?? 0;
        response.on('data', (chunk: Buffer) => {
          chunks.push(chunk);
          length += chunk.length;
          if (length <= bodyBytesMax) return;
          response.destroy();
          resolve({ status, body: Buffer.alloc(0), isCut: true });
        });
        response.on('error', reject);
        response.on('end', () => resolve({ status, body: Buffer.concat(chunks), isCut: false }));
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

/** Authorization for a user and a password (RFC 7617). */
export function basicOf(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}
