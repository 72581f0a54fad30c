// How a probe leaves this machine: one trip to an origin with one deadline over all of it, a fresh
// connection, verified TLS, timed phases, and the words for what went wrong. A trip must never
// reject, never outlive its deadline, never leave a socket behind, and never call a fault of this
// machine or its resolver a failure of the origin (design, rule 6): those are `blind`.

import { type LookupAddress, lookup } from 'node:dns';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import type { Outcome } from '../core/model.ts';
import type { PathSpec, ProbeResult } from '../ports.ts';
import { printDuration } from '../schema.ts';

/** What a check concluded; the trip adds phases and certificate. */
export interface Answer {
  readonly outcome: Outcome;
  /** A closed word: `ok`, `status`, `body`, `timeout`, `refused`, `no-route`, … */
  readonly reason: string;
  readonly detail: string;
}

export interface Destination {
  /** A host name or an address, without brackets. */
  readonly host: string;
  readonly port: number;
  /** Connect there instead of asking DNS. */
  readonly address?: string | undefined;
}

/** Why the trip's signal is aborted; made once, because a stack costs a tenth of a plain probe. */
export const isOver = new Error('the probe is over');

type Stage = 'resolve' | 'connect' | 'handshake' | 'answer' | 'body';
type Phase = 'dnsMs' | 'connectMs' | 'tlsMs' | 'firstByteMs';

/** A timer later than this means that our own event loop stood still (design, rule 6). */
const stallMs = 250;
/** Of a name with more addresses the first so many are tried. */
const addressesMax = 8;

/**
 * Runs one asking within a deadline in milliseconds that covers everything from DNS to the last
 * byte. Resolves always: the deadline is `fail` (`timeout`), or `blind` while our resolver had
 * not answered; an aborted signal is `blind`; whatever `go` throws is blamed by `blame`.
 */
export function travel(
  path: PathSpec,
  timeoutMs: number,
  signal: AbortSignal,
  go: (trip: Trip) => Promise<Answer>,
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const trip = new Trip(path, timeoutMs);
    const startedAt = performance.now();
    let settled = false;
    const settle = (answer: Answer) => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      trip.close();
      const { certificateDays: days } = trip;
      resolve({
        outcome: answer.outcome,
        reason: answer.reason,
        detail: clause(answer.detail),
        phases: { ...trip.phases },
        ...(days === null ? {} : { certificateDays: days }),
      });
    };
    const abort = () => settle(blind('aborted', 'the probe was called off'));
    const timer = setTimeout(() => {
      const lateMs = performance.now() - startedAt - timeoutMs;
      settle(lateMs > stallMs ? stalled(lateMs) : trip.overdue());
    }, timeoutMs);
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    Promise.resolve(trip)
      .then(go)
      .then(settle, (error: unknown) => settle(trip.blame(error)));
  });
}

/** One asking under way: its sockets, how far it has come, and how long each phase took. */
export class Trip {
  readonly phases: Partial<Record<Phase, number>> = {};
  /** Fewest whole days left on any certificate met; null before the first. */
  certificateDays: number | null = null;
  stage: Stage = 'resolve';
  readonly #path: PathSpec;
  readonly #timeoutMs: number;
  readonly #over = new AbortController();
  /** Of the connection in use; TLS adds its own to the one below it. */
  readonly #sockets = new Set<net.Socket>();
  /** The first thing that went wrong with the connection in use. */
  #fault: unknown = null;
  #peer = '';

  constructor(path: PathSpec, timeoutMs: number) {
    this.#path = path;
    this.#timeoutMs = timeoutMs;
  }

  /** Aborted when the trip is over, for whatever reason. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  /** A fresh connection. Rejects with what the system said. */
  connect(to: Destination): Promise<net.Socket> {
    return this.#noting(async () => {
      // The one kind there is so far; an unknown one must not quietly become `direct`.
      if (this.#path.kind !== 'direct') throw new LocalError('a path of an unknown kind');
      this.hangUp();
      this.stage = 'resolve';
      this.#peer = printHostPort(to.host, to.port);
      const literal = to.address ?? (net.isIP(to.host) ? to.host : null);
      const addresses =
        literal === null
          ? await this.time('dnsMs', () => resolveHost(to.host))
          : [{ address: literal, family: net.isIP(literal) }];
      if (this.signal.aborted) throw isOver;
      this.stage = 'connect';
      if (addresses.length === 1) this.#peer = printHostPort(addresses[0]!.address, to.port);
      return this.time('connectMs', () => this.#dial(addresses, to.port));
    });
  }

  /**
   * TLS over a connection, chain and name verified against the bundle at `ca`, or against Node's
   * roots. `name` is a host name or an address; a name is sent as SNI (RFC 6066 section 3).
   */
  secure(socket: net.Socket, name: string, ca: string | undefined): Promise<tls.TLSSocket> {
    return this.#noting(async () => {
      this.stage = 'handshake';
      const host = name.replace(/\.$/, '');
      const secured = tls.connect({
        socket,
        host,
        servername: net.isIP(host) ? '' : host,
        secureContext: secureContext(ca),
        rejectUnauthorized: true,
        ALPNProtocols: ['http/1.1'],
      });
      this.#keep(secured);
      await this.time('tlsMs', () => happens(secured, 'secureConnect'));
      const endsAt = Date.parse(secured.getPeerCertificate().valid_to);
      const days = Math.floor((endsAt - Date.now()) / 86_400_000);
      const fewest = Math.min(days, this.certificateDays ?? days);
      if (Number.isFinite(days)) this.certificateDays = fewest;
      return secured;
    });
  }

  /** Adds how long something took to a phase, to 0.1 ms, also when it failed. */
  async time<T>(phase: Phase, what: () => Promise<T>): Promise<T> {
    const from = performance.now();
    try {
      return await what();
    } finally {
      const tenths = Math.round((performance.now() - from) * 10);
      this.phases[phase] = Math.round((this.phases[phase] ?? 0) * 10 + tenths) / 10;
    }
  }

  /** Ends the connection, if any; the trip goes on. */
  hangUp(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    this.#fault = null;
  }

  /** Ends the trip: nothing of it holds a socket afterwards. */
  close(): void {
    this.#over.abort(isOver);
    this.hangUp();
  }

  /** The answer when the deadline has passed. */
  overdue(): Answer {
    const within = `within ${printDuration(this.#timeoutMs)}`;
    if (this.stage === 'resolve') {
      return blind('resolver', `our resolver gave no answer for ${this.#peer} ${within}`);
    }
    const missing = {
      connect: `no connection to ${this.#peer}`,
      handshake: `no TLS handshake with ${this.#peer}`,
      answer: `no answer from ${this.#peer}`,
      body: `no end of the answer from ${this.#peer}`,
    }[this.stage];
    return fail('timeout', `${missing} ${within}`);
  }

  /** Whose fault an error is, in the closed words of a result. */
  blame(error: unknown): Answer {
    return blame(this.#fault ?? error, this.stage, this.#peer);
  }

  async #dial(addresses: readonly LookupAddress[], port: number): Promise<net.Socket> {
    const tried = addresses.slice(0, addressesMax);
    const to =
      tried.length === 1
        ? { host: tried[0]!.address, port }
        : {
            host: 'several',
            port,
            lookup: ((_host, _options, done) => done(null, tried)) as net.LookupFunction,
            autoSelectFamily: true,
            // The default of 250 ms gives up on distant origins that are well.
            autoSelectFamilyAttemptTimeout: Math.max(250, Math.floor(this.#timeoutMs / 3)),
          };
    const socket = net.connect(to);
    this.#keep(socket);
    await happens(socket, 'connect');
    this.#peer = printHostPort(socket.remoteAddress ?? tried[0]!.address, port);
    // Linux lets a socket connect to itself where nobody listens on a port of the ephemeral range.
    if (socket.localPort === port && socket.localAddress === socket.remoteAddress) {
      throw Object.assign(new Error('connected to itself'), { code: 'ECONNREFUSED' });
    }
    return socket;
  }

  /** Clients above the connection wrap its errors and lose what they were. */
  async #noting<T>(what: () => Promise<T>): Promise<T> {
    try {
      return await what();
    } catch (error) {
      this.#fault ??= error;
      throw error;
    }
  }

  #keep(socket: net.Socket): void {
    this.#sockets.add(socket);
    socket.on('error', (error) => {
      if (this.#sockets.has(socket)) this.#fault ??= error;
    });
  }
}

export function fail(reason: string, detail: string): Answer {
  return { outcome: 'fail', reason, detail };
}

export function blind(reason: string, detail: string): Answer {
  return { outcome: 'blind', reason, detail };
}

/**
 * One clause safe to show anywhere: no control, line-breaking or direction-changing characters
 * (whoever answers chooses some of these bytes), at most 200 characters.
 */
export function clause(text: string): string {
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

// ENETUNREACH and its like come from our own routing table or interface: the packet never left, so
// nothing was learnt about the origin. EHOSTUNREACH means that the way exists and its last hop
// found nobody there: that is what a dead machine looks like, so it is a vote. A dead gateway of
// our own looks the same; it condemns every origin at once, which the path's reference points show.
const systemWords: Readonly<Record<string, readonly [Outcome, reason: string, says: string]>> = {
  ECONNREFUSED: ['fail', 'refused', 'refused the connection'],
  ECONNRESET: ['fail', 'reset', 'reset the connection'],
  ECONNABORTED: ['fail', 'reset', 'reset the connection'],
  EPIPE: ['fail', 'closed', 'closed the connection before it had answered'],
  ERR_STREAM_PREMATURE_CLOSE: ['fail', 'closed', 'closed the connection in mid-answer'],
  ETIMEDOUT: ['fail', 'timeout', 'did not take the connection in time'],
  EHOSTUNREACH: ['fail', 'unreachable', 'is unreachable: nobody is there'],
  EHOSTDOWN: ['fail', 'unreachable', 'is unreachable: nobody is there'],
  ENOTFOUND: ['fail', 'dns', 'does not resolve: no such name, or no address at it'],
  ENETUNREACH: ['blind', 'no-route', 'cannot be reached from here: no route'],
  ENETDOWN: ['blind', 'no-route', 'cannot be reached from here: the network is down'],
  EADDRNOTAVAIL: ['blind', 'no-route', 'cannot be reached from here: no local address or port'],
  EAFNOSUPPORT: ['blind', 'no-route', 'cannot be reached from here: no such address family'],
  EACCES: ['blind', 'no-route', 'cannot be reached from here: forbidden on this machine'],
  EPERM: ['blind', 'no-route', 'cannot be reached from here: forbidden on this machine'],
  EMFILE: ['blind', 'descriptors', 'was not asked: too many open files; raise LimitNOFILE'],
  ENFILE: ['blind', 'descriptors', 'was not asked: too many open files on this machine'],
  ENOBUFS: ['blind', 'memory', 'was not asked: no buffers on this machine'],
  ENOMEM: ['blind', 'memory', 'was not asked: no memory on this machine'],
  EAI_MEMORY: ['blind', 'memory', 'was not asked: no memory on this machine'],
};

function blame(error: unknown, stage: Stage, peer: string): Answer {
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
  if (word) return { outcome: word[0], reason: word[1], detail: `${who} ${word[2]}` };
  if (syscall === 'getaddrinfo') {
    return blind('resolver', `our resolver could not say where ${who} is: ${code}`);
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

function stalled(lateMs: number): Answer {
  return blind('stalled', `this process stood still for ${Math.round(lateMs)} ms or more`);
}

const lookups = new Map<string, Promise<readonly LookupAddress[]>>();

/**
 * All addresses of a name by the system's resolver, never cached. One lookup a name at a time,
 * shared by whoever asks meanwhile: lookups cannot be called off, and with a resolver that hangs
 * they would otherwise pile up behind Node's few resolver threads.
 */
function resolveHost(host: string): Promise<readonly LookupAddress[]> {
  const running = lookups.get(host);
  if (running) return running;
  const started = new Promise<readonly LookupAddress[]>((resolve, reject) => {
    lookup(host, { all: true, order: 'verbatim' }, (error, addresses) => {
      lookups.delete(host);
      if (error) reject(error);
      else resolve(addresses);
    });
  });
  lookups.set(host, started);
  return started;
}

const contexts = new Map<string, tls.SecureContext>();
const contextsMax = 100;

/** One context a bundle: making one costs as much as a plain probe. Throws LocalError. */
function secureContext(ca: string | undefined): tls.SecureContext {
  const known = contexts.get(ca ?? '');
  if (known) return known;
  let made: tls.SecureContext;
  try {
    made = tls.createSecureContext(ca === undefined ? {} : { ca: readFileSync(ca) });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unreadable';
    throw new LocalError(`ca ${ca}: ${code}; give a readable file of PEM certificates`);
  }
  if (contexts.size >= contextsMax) contexts.delete(contexts.keys().next().value!);
  contexts.set(ca ?? '', made);
  return made;
}

/** Waits for a socket's event; rejects with its error, or when it is closed without one. */
function happens(socket: net.Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once(event, () => resolve());
    socket.once('error', reject);
    socket.once('close', () =>
      reject(Object.assign(new Error('socket closed'), { code: 'ECONNRESET' })),
    );
  });
}
