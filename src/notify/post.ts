// One POST of JSON to whoever tells people: a connection of its own, the name looked up as Detour
// does it, the certificate verified, no proxy, nothing of the environment, no redirect followed. It
// must never read or wait without a bound, and never show the address: that may be a secret.

import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { systemLookup } from '../dns/lookup.ts';
import type { NotifierContext } from '../kit/extend.ts';
import { codeOf, TellError } from './fault.ts';

interface Posting {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** PEM of who vouches for the other end; null: the well-known authorities. */
  readonly ca: string | null;
  readonly timeoutMs: number;
}

export interface Posted {
  readonly status: number;
  /** Its first 16 KiB. */
  readonly text: string;
  readonly retryAfterMs: number | null;
}

const textBytesMax = 16_384;
/** A wish to be left alone for longer is not heard. */
const retryAfterMostMs = 300_000;

/** Whether plain http may be spoken there: this machine alone. */
export function isHere({ hostname }: URL): boolean {
  return /^(127\.\d+\.\d+\.\d+|\[::1\]|localhost)$/.test(hostname);
}

/** The answer, whatever it says. Rejects with a TellError where there is none within the limit. */
export function post(
  posting: Posting,
  { lookup = systemLookup }: Pick<NotifierContext, 'lookup'>,
  signal: AbortSignal,
): Promise<Posted> {
  const { url, body, timeoutMs, ca } = posting;
  const headers = {
    'content-type': 'application/json; charset=utf-8',
    'user-agent': 'detour',
    ...posting.headers,
    'content-length': String(Buffer.byteLength(body)),
  };
  const means = { method: 'POST', headers, agent: false, lookup: lookup.lookup, signal } as const;
  return new Promise((resolve, reject) => {
    const isTls = url.protocol === 'https:';
    const trust = { rejectUnauthorized: true, ...(ca === null ? {} : { ca }) };
    const asked = isTls
      ? requestHttps(url, { ...means, ...trust })
      : requestHttp(url, { ...means });
    const timer = setTimeout(
      () => asked.destroy(new TellError(`no answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    const end = (error: unknown) => {
      clearTimeout(timer);
      reject(error instanceof TellError ? error : new TellError(`not reached: ${codeOf(error)}`));
    };
    asked.on('error', end);
    asked.on('response', (answer) => {
      const parts: Buffer[] = [];
      let size = 0;
      const done = () => {
        clearTimeout(timer);
        const text = Buffer.concat(parts).subarray(0, textBytesMax).toString('utf8');
        const retryAfterMs = retryAfterOf(answer.headers['retry-after']);
        resolve({ status: answer.statusCode ?? 0, text, retryAfterMs });
        asked.destroy();
      };
      answer.on('data', (part: Buffer) => {
        parts.push(part);
        size += part.length;
        if (size >= textBytesMax) done();
      });
      answer.on('end', done);
      answer.on('error', end);
    });
    asked.end(body);
  });
}

/** Of seconds only (RFC 9110, 10.2.3); a date would be of their clock. */
function retryAfterOf(header: string | undefined): number | null {
  if (header === undefined || !/^\d{1,6}$/.test(header)) return null;
  return Math.min(retryAfterMostMs, Number(header) * 1000);
}

/** What a status alone says: null where it is well. Statuses by RFC 9110, section 15. */
export function faultOfStatus({ status, retryAfterMs }: Posted): TellError | null {
  if (status >= 200 && status < 300) return null;
  const again = retryAfterMs === null ? {} : { retryAfterMs };
  // A key is refused in an outage of whoever knows it as well: it is tried again, slowly.
  const passes = [401, 403, 408, 425, 429].includes(status) || status >= 500;
  if (passes) return new TellError(`status ${status}`, again);
  const why = status < 400 ? ', and redirects are not followed' : '';
  return new TellError(`status ${status}${why}`, { isFinal: true });
}
