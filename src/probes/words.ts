// The closed words for what a probe saw, and whose fault an error is: the origin's (`fail`), or the
// path's, this machine's or the checker's own (`blind`, design, rule 6). What it says about an
// error must never carry more than a bounded clause of what somebody else wrote, and never a secret.

import net from 'node:net';
import type { Outcome } from '../core/model.ts';
import { Malformed } from './answer.ts';

/** Why, in one word. Checks from outside have words of their own: the kit takes any text. */
export type Reason =
  | 'aa'
  | 'aborted'
  | 'blackbox-error'
  | 'blackbox-module'
  | 'blackbox-timeout'
  | 'blackbox-unreachable'
  | 'body'
  | 'certificate-days'
  | 'clock'
  | 'closed'
  | 'critical'
  | 'descriptors'
  | 'dns'
  | 'elsewhere'
  | 'empty'
  | 'encoding'
  | 'grpc-status'
  | 'internal'
  | 'limited'
  | 'memory'
  | 'monitor'
  | 'no-health-service'
  | 'no-route'
  | 'not-serving'
  | 'ok'
  | 'path'
  | 'plugin'
  | 'plugin-timeout'
  | 'protocol'
  | 'proxy-auth'
  | 'proxy-error'
  | 'proxy-refused'
  | 'proxy-timeout'
  | 'proxy-unreachable'
  | 'pushed'
  | 'query'
  | 'rcode'
  | 'refused'
  | 'reset'
  | 'resolver'
  | 'secret'
  | 'shed'
  | 'silent'
  | 'stale'
  | 'stalled'
  | 'status'
  | 'timeout'
  | 'tls'
  | 'too-many-redirects'
  | 'unknown'
  | 'unknown-service'
  | 'unreachable'
  | 'value'
  | 'values'
  | 'warning';

/** What a check concluded; the trip adds phases and certificate. */
export interface Answer {
  readonly outcome: Outcome;
  readonly reason: Reason;
  readonly detail: string;
  readonly retryAfterMs?: number;
}

/** How far a trip has come. `path`: still on its way to and through a proxy. */
export type Stage = 'resolve' | 'path' | 'connect' | 'handshake' | 'answer' | 'body';

/** An error that already says whose fault it is. */
export class Told extends Error {
  readonly answer: Answer;
  constructor(answer: Answer) {
    super(answer.detail);
    this.answer = answer;
  }
}

export function fail(reason: Reason, detail: string): Answer {
  return { outcome: 'fail', reason, detail };
}

export function blind(reason: Reason, detail: string): Answer {
  return { outcome: 'blind', reason, detail };
}

/**
 * We were told that we ask too often (RFC 6585, 429): it says nothing about what others get. What
 * fails for everybody is 503, with Retry-After or without (RFC 9110, 15.6.4).
 */
export function limited(detail: string, retryAfter: string | null, wall: number): Answer {
  const ms = retryAfterMs(retryAfter, wall);
  const asked = ms === null ? '' : `, to come back after ${Math.ceil(ms / 1000)} s`;
  const says: Answer = { outcome: 'limited', reason: 'limited', detail: `${detail}${asked}` };
  return ms === null ? says : { ...says, retryAfterMs: ms };
}

/** Longer than this is not waited, whoever asks for it. */
const retryAfterMaxMs = 3_600_000;

/** Retry-After (RFC 9110, 10.2.3): seconds, or a date; null where it is absent or neither. */
function retryAfterMs(text: string | null, wall: number): number | null {
  if (text === null) return null;
  if (/^\d{1,12}$/.test(text)) return Math.min(Number(text) * 1000, retryAfterMaxMs);
  const at = /^[A-Z][a-z]+,? /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? null : Math.min(Math.max(0, at - wall), retryAfterMaxMs);
}

/**
 * One clause safe to show anywhere: no control, line-breaking or direction-changing characters
 * (whoever answers chooses some of these bytes), at most 200 characters.
 */
export function clause(text: string): string {
  // Most are plain already; the classes below cost as much as a timer.
  if (text.length <= 200 && !/[^\x20-\x7e]| {2}|^ | $/.test(text)) return text;
  const plain = text
    .slice(0, 1000)
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim();
  const characters = [...plain];
  return characters.length <= 200 ? plain : `${characters.slice(0, 199).join('')}…`;
}

/** What an error says of itself, bounded like everything else. */
export function messageOf(error: unknown): string {
  return clause(error instanceof Error ? error.message || error.name : String(error));
}

/** `192.0.2.1:80`, `[2001:db8::1]:80`. */
export function printHostPort(host: string, port: number): string {
  return net.isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

// Each as it came back from the network. EHOSTUNREACH and ENETUNREACH are what a router on the way
// says, or the last hop that found nobody there: a dead machine, a prefix that was withdrawn. A
// gateway of our own says the same when it has lost its uplink; that condemns every origin at once,
// which the path's reference points show. What this machine says by itself is in `isFromHere`.
const systemWords: Readonly<Record<string, readonly [Outcome, reason: Reason, says: string]>> = {
  ECONNREFUSED: ['fail', 'refused', 'refused the connection'],
  ECONNRESET: ['fail', 'reset', 'reset the connection'],
  ECONNABORTED: ['fail', 'reset', 'reset the connection'],
  EPIPE: ['fail', 'closed', 'closed the connection before it had answered'],
  ERR_STREAM_PREMATURE_CLOSE: ['fail', 'closed', 'closed the connection in mid-answer'],
  ETIMEDOUT: ['fail', 'timeout', 'did not take the connection in time'],
  EHOSTUNREACH: ['fail', 'unreachable', 'is unreachable: nobody is there'],
  EHOSTDOWN: ['fail', 'unreachable', 'is unreachable: nobody is there'],
  ENOTFOUND: ['fail', 'dns', 'does not resolve: no such name, or no address at it'],
  ENETUNREACH: ['fail', 'unreachable', 'is unreachable: no route leads there'],
  ENETDOWN: ['blind', 'no-route', 'cannot be reached from here: the network is down'],
  EADDRNOTAVAIL: ['blind', 'no-route', 'cannot be reached from here: no local address or port'],
  EAFNOSUPPORT: ['blind', 'no-route', 'cannot be reached from here: no such address family'],
  EACCES: ['fail', 'unreachable', 'is unreachable: forbidden on the way'],
  EPERM: ['blind', 'no-route', 'cannot be reached from here: forbidden on this machine'],
  EMFILE: ['blind', 'descriptors', 'was not asked: too many open files; raise LimitNOFILE'],
  ENFILE: ['blind', 'descriptors', 'was not asked: too many open files on this machine'],
  ENOBUFS: ['blind', 'memory', 'was not asked: no buffers on this machine'],
  ENOMEM: ['blind', 'memory', 'was not asked: no memory on this machine'],
  EAI_MEMORY: ['blind', 'memory', 'was not asked: no memory on this machine'],
};

const localWords: Readonly<Record<string, string>> = {
  ENETUNREACH: 'no route',
  EHOSTUNREACH: 'its route is closed on this machine',
  EACCES: 'forbidden on this machine',
  EINVAL: 'its route leads nowhere on this machine',
};

/**
 * Whether this machine refused by itself, by its own routes and rules, before anything left: then
 * nothing was learnt about the origin. Node marks what the system says at once.
 */
function isFromHere(error: Error, word: (typeof systemWords)[string] | undefined): boolean {
  const { code, syscall } = error as NodeJS.ErrnoException;
  const isOfRoutes = word?.[1] === 'unreachable' || code === 'EINVAL';
  if (!isOfRoutes) return false;
  // A connection that stood is told by the last hop, or by our own routes.
  if (syscall !== 'connect') return code !== 'EHOSTUNREACH';
  return / - Local \(/.test(error.message);
}

/**
 * Whose fault an error is that came up while talking to `peer`. What is neither the network's nor
 * the other end's is ours: `blind internal`.
 */
export function blame(error: unknown, stage: Stage, peer: string): Answer {
  if (error instanceof Told) return error.answer;
  const errors = error instanceof AggregateError ? error.errors : [error];
  const answers = errors.map((one) => blameOne(one, stage, peer));
  // Of several addresses: out of descriptors says nothing at all; else one that answered, counts
  // (a machine without IPv6 has no route to that half of every name).
  return (
    answers.find((a) => a.reason === 'descriptors' || a.reason === 'memory') ??
    answers.find((a) => a.outcome === 'fail') ??
    answers[0] ??
    blind('internal', messageOf(error))
  );
}

function blameOne(error: unknown, stage: Stage, peer: string): Answer {
  if (!(error instanceof Error)) return blind('internal', messageOf(error));
  const { code, syscall, address, port } = error as NodeJS.ErrnoException & {
    address?: string;
    port?: number;
  };
  const who = address && port && syscall === 'connect' ? printHostPort(address, port) : peer;
  // Node says ECONNRESET for an orderly close too, but then without a system call.
  if (code === 'ECONNRESET' && syscall === undefined) {
    return fail('closed', `${who} closed the connection before it had answered`);
  }
  const word = code === undefined ? undefined : systemWords[code];
  if (isFromHere(error, word)) {
    const says = (code && localWords[code]) ?? `${code}`;
    return blind('no-route', `${who} cannot be reached from here: ${says}`);
  }
  if (word) return { outcome: word[0], reason: word[1], detail: `${who} ${word[2]}` };
  if (syscall === 'getaddrinfo') {
    return blind('resolver', `our resolver could not say where ${who} is: ${code}`);
  }
  if (error instanceof Malformed) {
    return fail('protocol', `${who} sent malformed HTTP: ${error.message}`);
  }
  if (code?.startsWith('ERR_HTTP2_') && stage !== 'connect') {
    return fail('protocol', `${who} broke off HTTP/2: ${code}`);
  }
  if (code?.startsWith('HPE_')) return fail('protocol', `${who} sent malformed HTTP: ${code}`);
  const ofTls = /^(ERR_SSL_|ERR_TLS_|EPROTO$)/.test(code ?? '');
  if (code !== undefined && (ofTls || (stage === 'handshake' && !(error instanceof LocalError)))) {
    // OpenSSL's own messages are addresses in its source; certificate errors speak for themselves.
    const says = /SSL routines/.test(error.message) ? '' : `, ${messageOf(error)}`;
    return fail('tls', `TLS with ${who} failed: ${code}${says}`);
  }
  return blind('internal', `${code ? `${code}, ` : ''}${messageOf(error)}`);
}

/** Something of ours that has to be mended here; never the origin's fault. */
export class LocalError extends Error {}
