// The way to a vendor's API through a company's HTTP proxy: a tunnel by CONNECT (RFC 9110, 9.3.6), in
// which TLS is spoken with the vendor itself, so that the proxy sees a host name and nothing more. It
// must never take a proxy from the environment, never hand a vendor's key to one, never call what a
// proxy refuses the vendor's refusal, and never show more of a proxy's words than a status.

import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, isIPv6, type LookupFunction, type Socket } from 'node:net';
import { z } from 'zod';
import type { AdapterContext } from '../../src/kit/extend.ts';
import { parseHostPort, type SecretRef, secretRef } from '../../src/kit/schema.ts';
import { SecretError } from '../../src/kit/secret.ts';

/** As it is configured. */
export interface ProxySettings {
  readonly url: string;
  /** `user:password` at the proxy. */
  readonly credentials?: SecretRef | undefined;
}

const notation = 'expected http://HOST:PORT or https://HOST:PORT';
const hidden = 'no user and password may stand in it: give { url, credentials: { file: PATH } }';

/** `proxy:` of a provider: its URL, or that with a reference to `user:password`. */
export const proxy = z
  .union(
    [
      z.string(),
      z.strictObject({
        url: z.string().describe('http://HOST:PORT or https://HOST:PORT'),
        credentials: secretRef.optional().describe('user:password at the proxy'),
      }),
    ],
    { error: `${notation}, or { url, credentials: { file: PATH } }` },
  )
  .describe("HTTP proxy through which the vendor's API is reached; the environment's is never used")
  .transform((given, context): ProxySettings => {
    const { url: text, ...more } = typeof given === 'string' ? { url: given } : given;
    const [, scheme = '', place = ''] = /^(https?):\/\/([^/?#@\s]+)\/?$/i.exec(text) ?? [];
    const url = `${scheme.toLowerCase()}://${place}`;
    if (parseHostPort(place, null) !== null && URL.canParse(url)) return { url, ...more };
    context.addIssue({ code: 'custom', message: text.includes('@') ? hidden : notation });
    return z.NEVER;
  });

/** For settings with both: plain http is spoken on this machine alone, where no proxy leads. */
export function refuseClearProxy(
  settings: { readonly endpoint?: string | undefined; readonly proxy?: unknown },
  context: z.RefinementCtx,
): void {
  if (settings.proxy === undefined || !settings.endpoint?.startsWith('http:')) return;
  const message = 'no proxy leads to an endpoint on this machine: leave proxy out';
  context.addIssue({ code: 'custom', path: ['proxy'], message });
}

/** Of a call's time: what is left tells that it was the proxy who did not answer. */
const tunnelShare = 0.75;

/** A proxy ready to be used. */
export interface Tunnels {
  /**
   * A connection through the proxy to a host and port. Rejects with an error whose code begins with
   * `PROXY_`: nothing has left for the far end then.
   */
  connect(host: string, port: number): Promise<Socket>;
}

/** Reads the proxy's secret. Throws SecretError. */
export function tunnelsBy(
  { url, credentials }: ProxySettings,
  lookup: LookupFunction,
  context: Pick<AdapterContext, 'secret' | 'callTimeoutMs'>,
): Tunnels {
  const { hostname, port, protocol } = new URL(url);
  const isTls = protocol === 'https:';
  const host = hostname.replace(/^\[|\]$/g, '');
  const authorization = credentials === undefined ? {} : basic(credentials, context);
  return {
    connect(to, toPort) {
      const place = `${isIPv6(to) ? `[${to}]` : to}:${toPort}`;
      const asking = {
        host,
        // The URL parser leaves out a scheme's own port.
        port: port === '' ? (isTls ? 443 : 80) : Number(port),
        method: 'CONNECT',
        path: place,
        headers: { host: place, 'user-agent': 'detour', ...authorization },
        lookup,
        agent: false,
      } as const;
      const request = isTls
        ? httpsRequest({
            ...asking,
            servername: isIP(host) === 0 ? host : '',
            rejectUnauthorized: true,
          })
        : httpRequest(asking);
      const { promise, resolve, reject } = Promise.withResolvers<Socket>();
      const late = setTimeout(() => {
        reject(proxyError('TIMEOUT'));
        request.destroy();
      }, tunnelShare * context.callTimeoutMs);
      request.once('connect', ({ statusCode = 0 }, socket: Socket, head: Buffer) => {
        if (statusCode < 200 || statusCode > 299) {
          socket.destroy();
          return reject(proxyError(String(statusCode)));
        }
        if (head.length > 0) socket.unshift(head);
        resolve(socket);
      });
      request.on('error', ({ code = '' }: NodeJS.ErrnoException) => reject(proxyError(code)));
      request.end();
      return promise.finally(() => clearTimeout(late));
    },
  };
}

function basic(
  ref: SecretRef,
  { secret }: Pick<AdapterContext, 'secret'>,
): { readonly 'proxy-authorization': string } {
  const text = secret(ref);
  if (!/^[^:\p{Cc}]+:\P{Cc}*$/u.test(text)) {
    throw new SecretError(`credentials of the proxy: expected one line, user:password`);
  }
  return { 'proxy-authorization': `Basic ${Buffer.from(text).toString('base64')}` };
}

/**
 * An error that says by its code alone what the proxy did: SDKs hand on a code, and lose a cause.
 */
function proxyError(word: string): Error {
  const code = `PROXY_${word === '' ? 'ERROR' : word}`;
  return Object.assign(new Error('no connection through the proxy'), { code });
}

/** What such a code means, and what would cure it; null for any other code. */
export function proxyTrouble(
  code: string,
): { readonly says: string; readonly cure: string } | null {
  const [, word] = /^PROXY_([A-Z0-9_]{1,60})$/.exec(code) ?? [];
  if (word === undefined) return null;
  if (word === '401' || word === '407') {
    return {
      says: `it wants to know who asks (HTTP ${word})`,
      cure: 'give or correct the credentials of `proxy`: user:password',
    };
  }
  if (/^4\d\d$/.test(word)) {
    return { says: `it refuses to (HTTP ${word})`, cure: 'let it connect to the endpoint' };
  }
  if (/^\d+$/.test(word)) {
    return {
      says: `it could not (HTTP ${word}), which may be its own trouble`,
      cure: "look at the proxy, and at the endpoint's name",
    };
  }
  const says =
    word === 'TIMEOUT'
      ? 'it did not answer in time'
      : `it cannot be reached or spoken to (${word})`;
  return { says, cure: 'check `proxy` of this provider, and the network to it' };
}
