// What every adapter over a vendor's SDK needs to turn one exchange into a value: a deadline that
// holds even where the SDK's own does not, the rule which losses are `unavailable` (surely not
// applied) and which `uncertain` (perhaps applied), how far a fault reaches, Retry-After with a
// cap, and text that is safe to show. It must never retry a write, never read an error's message to
// decide anything, and never let a secret or a URL's query through.

import pRetry from 'p-retry';
import type { Fault, FaultKind, Name } from '../../src/core/model.ts';
import { Silent } from './patience.ts';
import { proxyTrouble } from './proxy.ts';

/** The longest a vendor may send us away for; Cloudflare's own block lasts five minutes. */
export const retryAfterMaxMs = 300_000;

/** Longest text of somebody else's that a fault may carry, in characters. */
const shownMax = 200;

/** Short repeats of a read that failed on the way, all within the one call's time. */
const readRetries = 2;

/**
 * How far the fault of one call reaches. `unheard`: no answer came to a call of one zone, which is
 * the zone's trouble where the vendor answers for others, and otherwise the account's.
 */
export type Scope = 'record' | 'zone' | 'account' | 'unheard';

/** What went wrong with one call, or with what it said. */
export interface Trouble {
  readonly fault: Fault;
  readonly scope: Scope;
  /** The zone that it is about, where the call that met it was not made for a zone already known. */
  readonly zone?: Name;
  /** What is remembered of the zone no longer holds: it is to be looked for again. */
  readonly stale?: true;
  /** Nobody is served from that zone: a parent of it may be the one that holds the name. */
  readonly unserved?: true;
}

/** What one call gave. */
export type Called<T> =
  | { readonly ok: true; readonly value: T }
  | ({ readonly ok: false } & Trouble);

/** What a fault may say beside its kind and detail. */
interface More {
  readonly cure?: string;
  readonly retryAfterMs?: number | undefined;
}

export interface Exchange {
  /** What is being done, for people: `ListResourceRecordSets of gslb.example.net.` */
  readonly doing: string;
  /** A write is sent once, whatever happens; a read may be repeated twice after a short pause. */
  readonly write: boolean;
  readonly signal: AbortSignal;
  /** Limit of the whole exchange, repeats and body included, in milliseconds. */
  readonly timeoutMs: number;
  /** The vendor's own errors, by code or status; null leaves it to the network's. */
  explain(error: unknown): Trouble | null;
}

/**
 * Makes one call to a vendor. Ends within the time limit or with the signal even when the SDK
 * does not, and never rejects for what `call` throws. What comes back on success is whatever the
 * SDK says: its shape is the caller's to check before it is believed.
 */
export async function exchange<T>(
  options: Exchange,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<Called<T>> {
  const explain = (error: unknown): Trouble =>
    options.explain(error) ?? networkTrouble(error, options) ?? strange(error, options);
  const attempt = async (signal: AbortSignal): Promise<T> => {
    try {
      return await call(signal);
    } catch (error) {
      throw new Failed(signal.aborted ? null : explain(error));
    }
  };
  let last: Trouble | null = null;
  const work = (signal: AbortSignal): Promise<T> =>
    pRetry(() => attempt(signal), {
      retries: options.write ? 0 : readRetries,
      minTimeout: 50,
      maxTimeout: 250,
      randomize: true,
      signal,
      shouldRetry: ({ error }) => {
        last = troubleOf(error);
        return last?.fault.kind === 'unavailable';
      },
    });
  try {
    return { ok: true, value: await within(options.signal, options.timeoutMs, work) };
  } catch (error) {
    // Out of time between two repeats: why the first one failed says more than the clock.
    return { ok: false, ...(troubleOf(error) ?? last ?? explain(error)) };
  }
}

/** An SDK that is loaded in the background: its failure is a value, and the next use tries again. */
export function loading<T>(
  what: string,
  load: () => Promise<T>,
): (signal: AbortSignal, timeoutMs: number) => Promise<Called<T>> {
  let pending: Promise<T> | null = null;
  const start = (): Promise<T> => {
    const started = load();
    pending = started;
    started.catch(() => {
      if (pending === started) pending = null;
    });
    return started;
  };
  void start();
  return async (signal, timeoutMs) => {
    try {
      return { ok: true, value: await within(signal, timeoutMs, () => pending ?? start()) };
    } catch (error) {
      const why = isStopped(error) ? 'is still being loaded' : `cannot be loaded (${word(error)})`;
      return failed('account', 'unavailable', `${what} ${why}; nothing was sent`, {
        cure: 'check that the installation is complete',
      });
    }
  };
}

export function done<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value };
}

export function failed(
  scope: Scope,
  kind: FaultKind,
  detail: string,
  more: More & Omit<Trouble, 'fault' | 'scope'> = {},
): { readonly ok: false } & Trouble {
  const { cure, retryAfterMs, ...about } = more;
  const said = fault(kind, detail, { ...(cure === undefined ? {} : { cure }), retryAfterMs });
  return { ok: false, fault: said, scope, ...about };
}

export function fault(kind: FaultKind, detail: string, more: More = {}): Fault {
  return {
    kind,
    detail,
    ...(more.cure === undefined ? {} : { cure: more.cure }),
    ...(more.retryAfterMs === undefined ? {} : { retryAfterMs: more.retryAfterMs }),
  };
}

/**
 * An answer that arrived and cannot be believed: a write may nevertheless have been applied. Said
 * of the zone it was asked for: what answers in the vendor's place does so for every zone alike.
 */
export function garbled(
  doing: string,
  write: boolean,
  what: string,
): { readonly ok: false } & Trouble {
  return { ok: false, ...unreadable(doing, write, what) };
}

function unreadable(doing: string, write: boolean, what: string): Trouble {
  const cure = 'something between here and the vendor may be answering in its place';
  const kind = write ? 'uncertain' : 'unavailable';
  return { fault: fault(kind, `${doing}: ${what}`, { cure }), scope: 'zone' };
}

/**
 * What an HTTP status alone says, where the vendor's own code says nothing better. A 5xx to a
 * write is `uncertain`: a gateway that gave up waiting answers the same way. 401 is about who asks,
 * 403 about what is asked for.
 */
export function statusTrouble(
  status: number,
  options: { readonly doing: string; readonly write: boolean },
  code: string,
  retryAfterMs?: number,
): Trouble {
  const detail = `${options.doing}: HTTP ${status}${code === '' ? '' : ` (${code})`}`;
  const of = (scope: Scope, kind: FaultKind, more: More = {}): Trouble => ({
    fault: fault(kind, detail, more),
    scope,
  });
  if (status === 401) return of('account', 'auth-suspect', { cure: 'check the key' });
  if (status === 403) return of('zone', 'auth-suspect', { cure: "check the key's permissions" });
  if (status === 429) return of('account', 'throttled', { retryAfterMs });
  if (status === 408) return of('zone', 'unavailable');
  if (status >= 500) {
    return of('zone', options.write ? 'uncertain' : 'unavailable', { retryAfterMs });
  }
  if (status >= 400) return of('zone', 'rejected');
  if (status >= 300) {
    const { fault, scope } = of('account', 'unavailable', { cure: 'check the endpoint' });
    return { fault: { ...fault, detail: `${detail}: a redirect is not followed` }, scope };
  }
  const what = `HTTP ${status} with an answer nobody can read`;
  return unreadable(options.doing, options.write, what);
}

/**
 * Loss of the connection, as Node and undici name it; null when the error speaks of no connection.
 * `unavailable` only where the request surely never left: the name was not found, the connection
 * or its TLS was never made; that is no zone's doing. Everything later is `uncertain` for a write.
 */
export function networkTrouble(
  error: unknown,
  options: { readonly doing: string; readonly write: boolean },
): Trouble | null {
  const causes = [...causesOf(error)];
  const stopped = causes.find(isStopped);
  if (stopped) return stoppedTrouble(stopped, options);
  const [byProxy] = causes.flatMap((cause) => proxyTrouble(codeOf(cause)) ?? []);
  if (byProxy) {
    const detail = `${options.doing}: no connection through the proxy: ${byProxy.says}`;
    return { fault: fault('unavailable', detail, { cure: byProxy.cure }), scope: 'account' };
  }
  const lost = causes.find(isLost);
  const unsent = causes.find(isUnsent);
  if (lost) {
    const kind = options.write ? 'uncertain' : 'unavailable';
    const detail = `${options.doing}: the connection was lost (${word(lost)})`;
    return { fault: fault(kind, detail), scope: 'unheard' };
  }
  if (!unsent) return null;
  const tls = tlsCodes.test(codeOf(unsent));
  const detail = `${options.doing}: no connection (${word(unsent)})`;
  const cure = tls
    ? 'check the clock, the endpoint and who signed its certificate'
    : 'check the network and the endpoint';
  return { fault: fault('unavailable', detail, { cure }), scope: 'account' };
}

/**
 * The Retry-After header in milliseconds, whole seconds or an HTTP date (RFC 9110, 10.2.3), at
 * most `retryAfterMaxMs`; undefined when it is absent or nonsense.
 */
export function parseRetryAfter(
  value: string | null | undefined,
  nowWallMs: number,
): number | undefined {
  const text = value?.trim() ?? '';
  if (/^\d{1,12}$/.test(text)) return Math.min(Number(text) * 1000, retryAfterMaxMs);
  if (!/[a-z]/i.test(text)) return undefined;
  const at = Date.parse(text);
  if (Number.isNaN(at)) return undefined;
  return Math.min(Math.max(at - nowWallMs, 0), retryAfterMaxMs);
}

/** Somebody else's text made fit to show: one line, clipped, no secret, no URL's query or user. */
export function scrub(text: unknown, secrets: readonly string[]): string {
  if (typeof text !== 'string') return '';
  let clean = text.slice(0, 10 * shownMax);
  for (const secret of secrets) {
    if (secret.length < 4) continue;
    for (const form of new Set([secret, encodeURIComponent(secret), btoaOf(secret)])) {
      clean = clean.replaceAll(form, '***');
    }
  }
  clean = clean
    .replaceAll(/\b([a-z][a-z0-9+.-]*:\/\/)([^\s/@"'<>]*@)?([^\s?#"'<>]*)[?#]?[^\s"'<>]*/gi, '$1$3')
    .replaceAll(/[\p{C}\s]+/gu, ' ')
    .trim();
  return clean.length > shownMax ? `${clean.slice(0, shownMax - 1)}…` : clean;
}

/** An unknown value as an object to look into; an empty one when it is none. */
export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

// ---------------------------------------------------------------- deadlines

type Why = 'timeout' | 'aborted' | 'silent';

/** Ended by us: out of time, or told to stop. `sent` is false when the work had not begun. */
class Stopped extends Error {
  readonly why: Why;
  readonly sent: boolean;
  readonly afterMs: number;
  constructor(why: Why, sent: boolean, afterMs: number) {
    super(why);
    this.why = why;
    this.sent = sent;
    this.afterMs = afterMs;
  }
}

/** Carries what went wrong through p-retry, which knows only thrown errors. */
class Failed extends Error {
  readonly trouble: Trouble | null;
  constructor(carried: Trouble | null) {
    super('failed');
    this.trouble = carried;
  }
}

async function within<T>(
  signal: AbortSignal,
  timeoutMs: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const calledOff = (sent: boolean): Stopped => {
    const { reason } = signal;
    return reason instanceof Silent
      ? new Stopped('silent', sent, Math.round(reason.forMs))
      : new Stopped('aborted', sent, 0);
  };
  if (signal.aborted) throw calledOff(false);
  const controller = new AbortController();
  let onAbort = (): void => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stopped = new Promise<never>((_, reject) => {
    const stop = (reason: Stopped): void => {
      // Rejected before the SDK hears of it, so that its own AbortError never comes first.
      reject(reason);
      controller.abort(reason);
    };
    onAbort = () => stop(calledOff(true));
    signal.addEventListener('abort', onAbort, { once: true });
    timer = setTimeout(() => stop(new Stopped('timeout', true, timeoutMs)), timeoutMs);
  });
  try {
    return await Promise.race([stopped, work(controller.signal)]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

function isStopped(error: unknown): error is Stopped {
  return error instanceof Stopped;
}

function troubleOf(error: unknown): Trouble | null {
  return error instanceof Failed ? error.trouble : null;
}

const whys: Readonly<Record<Why, (afterMs: number) => string>> = {
  timeout: (afterMs) => `no answer within ${afterMs} ms`,
  aborted: () => 'it was called off',
  silent: (afterMs) => `no answer within ${afterMs} ms, while other zones have theirs`,
};

function stoppedTrouble(
  stopped: Stopped,
  options: { readonly doing: string; readonly write: boolean },
): Trouble {
  const kind = options.write && stopped.sent ? 'uncertain' : 'unavailable';
  // Called off by us, it says nothing of the vendor.
  const scope = stopped.why === 'aborted' ? 'zone' : 'unheard';
  return { fault: fault(kind, `${options.doing}: ${whys[stopped.why](stopped.afterMs)}`), scope };
}

// ---------------------------------------------------------------- the network's words

/** Codes of OpenSSL and Node for a certificate or handshake that was refused by us. */
const tlsCodes =
  /^(CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA)/;

const unsentCodes = /^(ECONNREFUSED|ENOTFOUND|EAI_|EADDRNOTAVAIL|UND_ERR_CONNECT_TIMEOUT)/;

const lostCodes =
  /^(ECONNRESET|ECONNABORTED|EPIPE|ETIMEDOUT|ESOCKETTIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENETDOWN|UND_ERR_|HPE_|ERR_STREAM_|ERR_HTTP2_|ABORT_ERR)/;

const lostNames = /^(AbortError|TimeoutError|RequestTimeoutError|ConnectTimeoutError)$/;

function isUnsent(error: unknown): boolean {
  const { syscall } = fieldsOf(error);
  const dialling = syscall === 'connect' || syscall === 'getaddrinfo';
  return dialling || unsentCodes.test(codeOf(error)) || tlsCodes.test(codeOf(error));
}

function isLost(error: unknown): boolean {
  if (isUnsent(error)) return false;
  return lostCodes.test(codeOf(error)) || lostNames.test(nameOf(error));
}

/** The error and what it says caused it, breadth first, bounded against rings. */
function* causesOf(error: unknown): Generator<unknown> {
  const queue: unknown[] = [error];
  for (let i = 0; i < queue.length && i < 32; i++) {
    const { cause, errors } = fieldsOf(queue[i]);
    yield queue[i];
    if (cause !== undefined) queue.push(cause);
    if (Array.isArray(errors)) queue.push(...errors.slice(0, 8));
  }
}

function strange(
  error: unknown,
  options: { readonly doing: string; readonly write: boolean },
): Trouble {
  const what = `an answer nobody can read (${word(error)})`;
  return unreadable(options.doing, options.write, what);
}

function codeOf(error: unknown): string {
  const { code } = fieldsOf(error);
  return typeof code === 'string' ? code : '';
}

function nameOf(error: unknown): string {
  const { name } = fieldsOf(error);
  return typeof name === 'string' ? name : '';
}

/** An error's code or name, in the few characters such words are made of. */
function word(error: unknown): string {
  const text = codeOf(error) || nameOf(error) || 'unknown';
  return text.replaceAll(/[^\w.-]/g, '').slice(0, 60);
}

function btoaOf(text: string): string {
  return Buffer.from(text).toString('base64');
}
