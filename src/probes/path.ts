// How a probe leaves this machine: one trip to an origin by one path (straight, or through a proxy)
// with one deadline over all of it, a fresh connection, verified TLS and timed phases. A trip must
// never reject, never outlive its deadline, never leave a socket behind, and never call a fault of
// this machine, its resolver or a proxy a failure of the origin (design, rule 6): those are `blind`.

import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { Handshake } from '../core/model.ts';
import { ask, type Exchange, type Server } from '../dns/ask.ts';
import { systemLookup } from '../dns/lookup.ts';
import { locate, OtherNames } from '../dns/recursive.ts';
import type { Question } from '../dns/wire.ts';
import { deadline } from '../kit/deadline.ts';
import type {
  AdapterContext,
  HostAddress,
  Located,
  Lookup,
  PathSpec,
  ProbeResult,
} from '../kit/extend.ts';
import { parseHostPort, printDuration, toName } from '../kit/schema.ts';
import { SecretError } from '../kit/secret.ts';
import { othersClock } from './clock.ts';
import { type Connection, connectionOver, type Keeper } from './held.ts';
import { addressesOf } from './names.ts';
import type { Given, Offer, Partner, Use } from './sessions.ts';
import { stoppedBy } from './signals.ts';
import { type ClientFiles, chainEndsAt, secureContext } from './trust.ts';
import { askHttpProxy, askSocks, type Credentials, type FarEnd } from './tunnel.ts';
import { exchangeOver } from './wire.ts';
import {
  type Answer,
  blame,
  blind,
  clause,
  fail,
  LocalError,
  printHostPort,
  type Stage,
  Told,
} from './words.ts';

/** A path with what it takes to use it. */
interface Way {
  readonly spec: PathSpec;
  readonly credentials: Credentials | null;
  /** Where names are that the path does not ask servers of its own for; its proxy's is one. */
  readonly lookup: Lookup;
}

export interface Destination {
  /** A host name or an address, without brackets. */
  readonly host: string;
  readonly port: number;
  /** Connect there instead of asking DNS. */
  readonly address?: string | undefined;
}

export interface Trust {
  /** A host name or an address to verify; a name is sent as SNI (RFC 6066 section 3). */
  readonly name: string;
  /** Path of a PEM bundle to trust; undefined: Node's roots. */
  readonly ca: string | undefined;
  /** Protocols to offer (RFC 7301); none: no offer, for servers that refuse unknown ones. */
  readonly alpn: readonly string[];
  /** To show to a server that asks who we are. */
  readonly client?: ClientFiles | undefined;
}

/** What a handshake may offer, and where what it is given goes. */
interface Resuming {
  readonly session?: Buffer | undefined;
  readonly given?: Given;
}

/** Is handed bytes as they come, to be used before it returns. */
export type Take = (bytes: Buffer) => void;

/** Where a connection hands its bytes; null: nobody wants them any more. */
interface Hand {
  take: Take | null;
}

/** Why the trip's signal is aborted; made once, because a stack costs a tenth of a plain probe. */
export const isOver = new Error('the probe is over');

type Phase = 'dnsMs' | 'connectMs' | 'tlsMs' | 'firstByteMs';

/** A timer later than this means that our own event loop stood still (design, rule 6). */
const stallMs = 250;
/** Before the next address is tried beside it (RFC 8305 section 5). */
const headStartMost = 250;
/** Of a name with more addresses the first so many are tried. */
const addressesMax = 8;

/** What a path is made with. */
export type Means = Pick<AdapterContext, 'secret' | 'lookup'>;

/** A path ready for use. Throws SecretError when its credentials cannot be had. */
export function wayOf(spec: PathSpec, { secret, lookup = systemLookup }: Means): Way {
  if (spec.kind === 'direct' || spec.credentials == null) {
    return { spec, credentials: null, lookup };
  }
  const [, user, password] = /^([^:]+):(.+)$/s.exec(secret(spec.credentials)) ?? [];
  const fits = [user, password].every((part) => part && Buffer.byteLength(part) <= 255);
  if (user === undefined || password === undefined || !fits) {
    throw new SecretError(
      `credentials of path ${spec.name}: expected user:password, each of 1 to 255 bytes`,
    );
  }
  return { spec, credentials: { user, password }, lookup };
}

/** Straight from here. */
export function straight(lookup: Lookup = systemLookup): Way {
  const spec = { name: 'straight', kind: 'direct', resolver: null, localAddress: null } as const;
  return { spec, credentials: null, lookup };
}

/**
 * What makes a path unusable whatever it is asked, as one sentence with its cure; null: nothing.
 * Looks at the notation only.
 */
export function problemOfPath(path: PathSpec): string | null {
  for (const server of path.resolver ?? []) {
    const parsed = parseHostPort(server, 53);
    if (parsed === null || net.isIP(parsed.host) === 0) {
      return `resolver ${server}: expected an address, such as 192.0.2.53 or 192.0.2.53:5353`;
    }
  }
  if (path.kind === 'direct') {
    const { localAddress: local } = path;
    if (local === null || net.isIP(local) !== 0) return null;
    return `localAddress ${local}: expected an IPv4 or IPv6 address of this machine`;
  }
  const [schemes, example] = {
    proxy: [['http:', 'https:'], 'http://proxy.example.net:3128'] as const,
    socks5: [['socks5:'], 'socks5://proxy.example.net:1080'] as const,
    blackbox: [['http:', 'https:'], 'https://prober.example.net:9115'] as const,
  }[path.kind];
  const url = URL.parse(path.url);
  // A URL that is none may hold anything, a password too, so it is not repeated.
  if (url === null || !(schemes as readonly string[]).includes(url.protocol) || !url.hostname) {
    return `the URL of a ${path.kind} path: expected one such as ${example}`;
  }
  if (url.username !== '' || url.password !== '') {
    return 'a URL with a user or password: secrets are never written into the configuration';
  }
  const isBare = url.search === '' && url.hash === '';
  if (!isBare || (path.kind !== 'blackbox' && !['', '/'].includes(url.pathname))) {
    return `the URL of a ${path.kind} path with more than its address: leave the rest out`;
  }
  if (path.kind === 'blackbox' && path.resolver !== null) {
    return 'a blackbox path resolves names at its far end: leave resolver out';
  }
  return null;
}

/**
 * Why a kind of check that asks somebody else than the origin cannot be asked by a path; null: it
 * can. Its word is one word, whichever way it is fetched, so it is this machine's and counts once.
 */
export function notOfTheWay(kind: string, path: PathSpec): string | null {
  if (path.kind === 'direct' && path.localAddress === null) return null;
  return (
    `what ${kind} says does not come by that way: give the ${kind} check a path by this machine's ` +
    'own route (no proxy, no blackbox, no localAddress)'
  );
}

/**
 * Runs one asking within a deadline in milliseconds that covers everything from DNS to the last
 * byte. Resolves always: the deadline is `fail` (`timeout`), or `blind` while our resolver had
 * not answered; an aborted signal is `blind`; whatever `go` throws is blamed by `blame`. `use`: the
 * sessions of this check by this path; null: every handshake is whole. Of a pass `keeper` is given
 * the connection, where it wants one and the protocol can leave it open.
 */
export function travel(
  way: Way,
  timeoutMs: number,
  signal: AbortSignal,
  go: (trip: Trip) => Promise<Answer>,
  use: Use | null = null,
  keeper?: Keeper,
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const trip = new Trip(way, timeoutMs, use, keeper?.wants());
    const stops = stoppedBy(signal);
    let settled = false;
    const settle = (answer: Answer) => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      stops.remove(stop);
      if (keeper !== undefined) handOver(trip, answer, keeper);
      trip.close();
      const { certificateDays: days, handshake } = trip;
      resolve({
        outcome: answer.outcome,
        reason: answer.reason,
        detail: clause(answer.detail),
        phases: { ...trip.phases },
        ...(days === null ? {} : { certificateDays: days }),
        ...(answer.retryAfterMs === undefined ? {} : { retryAfterMs: answer.retryAfterMs }),
        ...(handshake === null ? {} : { handshake }),
      });
    };
    const stop = {
      place: -1,
      stop: () => settle(blind('aborted', 'the probe was called off')),
    };
    const timer = deadline(timeoutMs, () => {
      const lateMs = performance.now() - trip.startedAt - timeoutMs;
      settle(lateMs > stallMs ? stalled(lateMs) : trip.overdue());
    });
    if (signal.aborted) return stop.stop();
    stops.add(stop);
    const broke = (error: unknown) => settle(trip.blame(error));
    try {
      go(trip).then(settle, broke);
    } catch (error) {
      broke(error);
    }
  });
}

/** What failed while something was held lets that go, before anybody asks again. */
function handOver(trip: Trip, { outcome }: Answer, keeper: Keeper): void {
  if (outcome === 'blind') return;
  keeper.ended(outcome === 'pass');
  const connection = outcome === 'pass' ? trip.release() : null;
  if (connection !== null) keeper.take(connection);
}

/** One asking under way: its sockets, how far it has come, and how long each phase took. */
export class Trip {
  readonly phases: Partial<Record<Phase, number>> = {};
  /** Fewest whole days left on any certificate of the chains met; null before the first. */
  certificateDays: number | null = null;
  /** Of the last TLS; null: none came about. */
  handshake: Handshake | null = null;
  stage: Stage = 'resolve';
  /** What a passed deadline means, where the stage does not say it. */
  late: Answer | null = null;
  /** By `performance.now()`. */
  readonly startedAt = performance.now();
  readonly timeoutMs: number;
  /** The connection is wanted when the trip has ended well. */
  readonly isWanted: boolean;
  /** Makes what is handed over of the connection in use; null: it cannot be left open. */
  #leaving: ((endAll: () => void) => Connection) | null = null;
  readonly #way: Way;
  readonly #use: Use | null;
  /** What the handshake under way was offered, or the one that failed. */
  #offer: Offer | null = null;
  #mayResume: boolean;
  /** Made when somebody asks for it: to abort one costs a tenth of a plain probe. */
  #over: AbortController | null = null;
  #isOver = false;
  #hand: Hand | undefined;
  /** Of the connection in use; TLS adds its own to the one below it. */
  readonly #sockets = new Sockets();
  /** The first thing that went wrong with the connection in use. */
  #fault: unknown = null;
  #peer = '';
  /** The name that was looked up last. */
  #sought = '';

  constructor(way: Way, timeoutMs: number, use: Use | null, isWanted = false) {
    this.#way = way;
    this.#use = use;
    this.#mayResume = use?.mayResume ?? false;
    this.timeoutMs = timeoutMs;
    this.isWanted = isWanted;
  }

  /** Aborted when the trip is over, for whatever reason. */
  get signal(): AbortSignal {
    if (this.#over === null) {
      this.#over = new AbortController();
      if (this.#isOver) this.#over.abort(isOver);
    }
    return this.#over.signal;
  }

  /** The wall clock, in milliseconds since 1970, for dates that travel. */
  wall(): number {
    return Date.now();
  }

  /** What too few days left of a certificate mean; null: there are enough, or none are wanted. */
  judgeDays(wanted: number | undefined): Answer | null {
    const days = this.certificateDays;
    if (wanted === undefined || days === null || days >= wanted) return null;
    const detail = `the certificate has ${days} days left, expected ${wanted}`;
    return (
      othersClock.doubt('CERT_HAS_EXPIRED', 'the certificate', performance.now()) ??
      fail('certificate-days', detail)
    );
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether nothing stands between this machine and the other end. */
  get isDirect(): boolean {
    return this.#way.spec.kind === 'direct';
  }

  /**
   * A fresh connection, in place of the one before. Rejects with what the system said, or Told.
   * `take` spares a reader what a stream costs: on a direct path it is handed the bytes, elsewhere
   * they come as the socket's `data`. Nothing can be laid over a connection that has it, and its
   * reader must look for its own words coming back (`isItself`).
   */
  connect(to: Destination, take?: Take): Promise<net.Socket> {
    this.hangUp();
    const hand = take === undefined ? undefined : { take };
    this.#hand = hand;
    const { spec } = this.#way;
    const literal = to.address ?? (net.isIP(to.host) ? to.host : null);
    if (spec.kind === 'direct' && spec.localAddress === null && literal !== null) {
      this.#peer = printHostPort(literal, to.port);
      return this.#dialFirst([{ address: literal, family: net.isIP(literal) }], to.port, hand);
    }
    this.#peer = printHostPort(to.host, to.port);
    return this.#noting(async () => {
      const direct = spec.kind === 'direct';
      if (!direct && (literal !== null || spec.resolver === null)) {
        return this.#through({ host: literal ?? to.host, port: to.port });
      }
      const addresses = await this.resolve(literal ?? to.host);
      if (this.#isOver) throw isOver;
      if (addresses.length === 1) this.#peer = printHostPort(addresses[0]!.address, to.port);
      // The far end dials by itself, so it is given one.
      const first = addresses.find(({ family }) => family === 4) ?? addresses[0]!;
      if (!direct) return this.#through({ host: first.address, port: to.port });
      const socket = await this.#dialFirst(addresses, to.port, hand);
      if (addresses.length > 1) {
        this.#peer = printHostPort(socket.remoteAddress ?? first.address, to.port);
      }
      return socket;
    });
  }

  /**
   * The addresses of a host as this path resolves them, those first that it can reach: by the
   * path's own servers, else as this machine does it. At least one. Rejects as names.ts says.
   */
  async resolve(host: string): Promise<readonly HostAddress[]> {
    this.stage = 'resolve';
    this.#sought = host;
    if (this.#peer === '') this.#peer = host;
    const { spec } = this.#way;
    const local = spec.kind === 'direct' ? net.isIP(spec.localAddress ?? '') : 0;
    const family = net.isIP(host);
    const all =
      family !== 0
        ? [{ address: host, family }]
        : await this.time('dnsMs', async () => addressesOf(host, await this.#find(host, local)));
    const usable = local === 0 ? all : all.filter((one) => one.family === local);
    if (usable.length > 0) return usable;
    const lacking = `has no IPv${local} address, and the path leaves from one`;
    throw new Told(blind('no-route', `${host} ${lacking}`));
  }

  /** A fresh connection with TLS over it. What fails with a session is tried once more without. */
  connectSecurely(to: Destination, trust: Trust): Promise<tls.TLSSocket> {
    const once = () => this.connect(to).then((socket) => this.secure(socket, trust));
    return once().catch((error: unknown) => {
      if (this.#offer === null || this.#isOver) throw error;
      this.#use!.sessions.rest(performance.now());
      this.#mayResume = false;
      return once();
    });
  }

  /** TLS over a connection, chain and name verified. Rejects with what was wrong. */
  secure(socket: net.Socket, trust: Trust): Promise<tls.TLSSocket> {
    return this.#noting(async () => {
      this.stage = 'handshake';
      const from = performance.now();
      const partner = this.#partnerOf(socket, trust);
      const offer = this.#offerTo(partner, from);
      this.#offer = offer;
      const given: Given = { session: null };
      const resuming = partner === null ? {} : { session: offer?.session, given };
      const secured = await this.time('tlsMs', () => this.#shake(socket, trust, resuming));
      this.#offer = null;
      const isResumed = offer !== null && secured.isSessionReused();
      const endsAt = isResumed ? offer.endsAt : this.#endOf(secured, trust.ca);
      if (partner !== null) {
        if (isResumed) given.session ??= offer.session;
        const wholeAt = isResumed ? offer.wholeAt : from;
        this.#use!.sessions.keep({ partner, wholeAt, endsAt, given });
      }
      this.handshake = isResumed ? 'resumed' : offer === null ? 'whole' : 'not-taken';
      const days = Math.floor((endsAt - this.wall()) / 86_400_000);
      const fewest = Math.min(days, this.certificateDays ?? days);
      if (Number.isFinite(days)) this.certificateDays = fewest;
      return secured;
    });
  }

  /** When the chain that was verified ends, in milliseconds since 1970; NaN where none was shown. */
  #endOf(secured: tls.TLSSocket, ca: string | undefined): number {
    // Asked for once: Node hands out the chain that was sent only the first time.
    const leaf = secured.getPeerX509Certificate();
    return leaf === undefined ? Number.NaN : chainEndsAt(leaf, ca, this.wall());
  }

  /** Whom a session would be with; null: nobody, or behind a proxy somebody who is not known. */
  #partnerOf(socket: net.Socket, { name, ca, alpn, client }: Trust): Partner | null {
    if (this.#use === null || !this.isDirect) return null;
    const address = printHostPort(socket.remoteAddress ?? '', socket.remotePort ?? 0);
    return { address, name, alpn, context: secureContext(ca, client) };
  }

  #offerTo(partner: Partner | null, now: number): Offer | null {
    if (partner === null || !this.#mayResume) return null;
    return this.#use!.sessions.offer(partner, now, this.wall());
  }

  /** One question over a connection of its own by this path. Rejects as `connect` does. */
  async exchange(to: Destination, question: Question, recurse: boolean): Promise<Exchange> {
    const socket = await this.connect(to);
    this.stage = 'answer';
    return this.time('firstByteMs', () => exchangeOver(socket, question, recurse));
  }

  /** Adds how long something took to a phase, to 0.1 ms, also when it failed. */
  async time<T>(phase: Phase, what: () => Promise<T>): Promise<T> {
    const from = performance.now();
    try {
      return await what();
    } finally {
      this.note(phase, from);
    }
  }

  /** Adds what has passed since `fromMs`, as `performance.now()` gave it, to a phase. */
  note(phase: Phase, fromMs: number): void {
    const tenths = Math.round((performance.now() - fromMs) * 10);
    this.phases[phase] = Math.round((this.phases[phase] ?? 0) * 10 + tenths) / 10;
  }

  /** Ends the connection, if any; the trip goes on. */
  hangUp(): void {
    this.#sockets.hangUp();
    this.#fault = null;
    this.#leaving = null;
  }

  /** What speaks over the connection in use has said all it had to, and can leave it open, idle. */
  leaveOpen(top: Duplex, keptMs: number | null = null): void {
    this.leave((endAll) => connectionOver(top, endAll, keptMs));
  }

  /** The same for what is more than a stream; what lies below is ended by `endAll`. */
  leave(made: (endAll: () => void) => Connection): void {
    if (this.isWanted) this.#leaving = made;
  }

  /** Gives away the connection in use, which outlives the trip then; null: there is none. */
  release(): Connection | null {
    const made = this.#leaving;
    if (made === null || this.#isOver) return null;
    const sockets = this.#sockets.release();
    return made(() => sockets.hangUp());
  }

  /** Ends the trip: nothing of it holds a socket afterwards. */
  close(): void {
    this.#isOver = true;
    this.#over?.abort(isOver);
    this.#sockets.end(this.#hand !== undefined);
    if (this.#hand !== undefined) this.#hand.take = null;
  }

  /** The answer when the deadline has passed. */
  overdue(): Answer {
    if (this.late !== null) return this.late;
    const within = `within ${printDuration(this.timeoutMs)}`;
    if (this.stage === 'resolve') return this.#unresolved(within);
    if (this.stage === 'path') {
      const detail = `the proxy made no connection to ${this.#peer} ${within}`;
      return blind('proxy-timeout', detail);
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
    const fault = this.#fault ?? error;
    const { code } = fault as NodeJS.ErrnoException;
    const isOutOfTime = code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID';
    const doubt = isOutOfTime ? othersClock.doubt(code, this.#peer, performance.now()) : null;
    return doubt ?? blame(fault, this.stage, this.#peer);
  }

  /** Milliseconds left of the deadline. */
  #restMs(): number {
    return Math.max(0, this.startedAt + this.timeoutMs - performance.now());
  }

  /** A name that was not answered in time: its own fault, if others are. */
  #unresolved(within: string): Answer {
    const { spec, lookup } = this.#way;
    const host = this.#sought;
    const name = toName(host);
    const isTheName =
      spec.resolver === null
        ? lookup.othersAnswered(host)
        : name !== null && othersOf(spec).answeredSince(name, this.startedAt);
    if (!isTheName) return blind('resolver', `our resolver gave no answer for ${host} ${within}`);
    return fail('dns', `${host} does not resolve ${within}, while other names are answered`);
  }

  async #find(host: string, local: number): Promise<Located> {
    const { spec, lookup } = this.#way;
    if (spec.resolver !== null) return this.#askOwn(host, spec.resolver, local);
    return lookup.known(host) ?? lookup.find(host, this.signal);
  }

  #askOwn(host: string, servers: readonly string[], local: number): Promise<Located> {
    const name = toName(host);
    if (name === null) {
      return Promise.resolve({ kind: 'none', detail: `${host} is no name that DNS could hold` });
    }
    const types = local === 0 ? (['A', 'AAAA'] as const) : ([local === 4 ? 'A' : 'AAAA'] as const);
    const { spec } = this.#way;
    // Over UDP where the system may choose the source; else over a connection of this path's own.
    const isPlain = spec.kind === 'direct' && spec.localAddress === null;
    return locate(name, {
      servers: servers.flatMap((text) => {
        const parsed = parseHostPort(text, 53);
        return parsed === null ? [] : [{ address: parsed.host, port: parsed.port }];
      }),
      ask: (server, question, timeoutMs, signal) =>
        isPlain
          ? ask(server, question, { timeoutMs, signal, recurse: true })
          : this.#askApart(server, question, timeoutMs, signal),
      types,
      timeoutMs: this.#restMs(),
      signal: this.signal,
      others: othersOf(spec),
    });
  }

  /** Asks a resolver over a connection beside the trip's own. Never rejects. */
  #askApart(
    { address, port }: Server,
    question: Question,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Exchange> {
    const failed = (error: unknown): Exchange => {
      const { detail } = blame(error, 'resolve', printHostPort(address, port));
      return { kind: 'network', detail, sent: true };
    };
    const opened = new Sockets();
    const work = this.#open({ host: address, port }, opened)
      .then((socket) => exchangeOver(socket, question, true))
      .catch(failed);
    return new Promise<Exchange>((resolve) => {
      const end = (result: Exchange) => {
        clearTimeout(timer);
        signal.removeEventListener('abort', stop);
        opened.end(false);
        resolve(result);
      };
      const stop = () => end({ kind: 'aborted', detail: 'stopped', sent: true });
      const timer = deadline(timeoutMs, () => {
        end({ kind: 'timeout', detail: `no reply within ${Math.round(timeoutMs)} ms`, sent: true });
      });
      if (signal.aborted) return stop();
      signal.addEventListener('abort', stop, { once: true });
      void work.then(end);
    });
  }

  /** A connection that leads to a far end through the proxy. */
  async #through(to: FarEnd): Promise<net.Socket> {
    this.stage = 'path';
    return this.time('connectMs', () => this.#open(to, this.#sockets));
  }

  /** The same for any purpose; what is opened is put into `into`. A proxy's trouble is Told. */
  async #open(to: FarEnd, into: Sockets): Promise<net.Socket> {
    const { spec, credentials } = this.#way;
    if (spec.kind === 'direct') {
      return this.#dial([{ address: to.host, family: net.isIP(to.host) }], to.port, into);
    }
    // An unknown kind must not quietly become `direct`.
    if (spec.kind !== 'proxy' && spec.kind !== 'socks5') throw new LocalError('no such path here');
    const { hostname, port, protocol } = new URL(spec.url);
    const host = hostname.replace(/^\[|\]$/g, '');
    const at = Number(port) || { 'http:': 80, 'https:': 443 }[protocol] || 1080;
    let isConnected = false;
    try {
      const raw = await this.#dial(await this.#findProxy(host), at, into);
      isConnected = true;
      const ca = spec.kind === 'proxy' ? spec.ca : undefined;
      const trust = { name: host, ca, alpn: ['http/1.1'] };
      const socket = protocol === 'https:' ? await this.#shake(raw, trust, {}, into) : raw;
      const greet = spec.kind === 'proxy' ? askHttpProxy : askSocks;
      await greet(socket, to, credentials);
      return socket;
    } catch (error) {
      throw toldOfProxy(error, printHostPort(host, at), isConnected);
    }
  }

  /** A proxy without an address is the path's trouble, never the origin's. */
  async #findProxy(host: string): Promise<readonly HostAddress[]> {
    const { lookup } = this.#way;
    const found = lookup.known(host) ?? (await lookup.find(host, this.signal));
    if (found.kind !== 'none') return addressesOf(host, found);
    const detail = `the proxy ${host} does not resolve: ${found.detail}`;
    throw new Told(blind('proxy-unreachable', detail));
  }

  /** The trip's own connection straight from here, timed. */
  #dialFirst(
    addresses: readonly HostAddress[],
    port: number,
    hand: Hand | undefined,
  ): Promise<net.Socket> {
    this.stage = 'connect';
    const from = performance.now();
    const ended = (error: unknown) => {
      this.note('connectMs', from);
      if (error !== null) this.#fault ??= error;
    };
    return this.#dial(addresses, port, this.#sockets, hand, ended);
  }

  /**
   * Several addresses are tried side by side, each with a head start on the next (RFC 8305), and the
   * first to answer is taken. `ended` is told how it ended, with null for a connection, before
   * anybody else is.
   */
  #dial(
    addresses: readonly HostAddress[],
    port: number,
    into: Sockets,
    hand?: Hand,
    ended: (error: unknown) => void = () => {},
  ): Promise<net.Socket> {
    // The trip may have ended while the proxy's name was looked up.
    if (into.isOver) return Promise.reject(isOver);
    if (addresses.length === 1)
      return this.#dialOne(addresses[0]!.address, port, into, hand, ended);
    const all = takingTurns(addresses).slice(0, addressesMax);
    // All have begun by the middle of the time there is.
    const headStartMs = Math.min(headStartMost, this.#restMs() / 2 / all.length);
    return new Promise((resolve, reject) => {
      const faults: Error[] = [];
      const trying: net.Socket[] = [];
      let isOpen = true;
      let timer: NodeJS.Timeout | undefined;
      const won = (socket: net.Socket) => {
        isOpen = false;
        clearTimeout(timer);
        for (const other of trying) if (other !== socket) into.drop(other);
        this.#watch(socket);
        ended(null);
        resolve(socket);
      };
      const lost = (fault: Error) => {
        faults.push(fault);
        if (faults.length < all.length) return next();
        isOpen = false;
        const error = faults.length === 1 ? fault : new AggregateError(faults);
        ended(error);
        reject(error);
      };
      const next = () => {
        clearTimeout(timer);
        const to = all[trying.length];
        if (to === undefined || into.isOver) return;
        if (trying.length + 1 < all.length) timer = setTimeout(next, headStartMs);
        const socket = net.connect(this.#connectionTo(to.address, port, hand));
        into.add(socket);
        trying.push(socket);
        happens(socket, 'connect', (error) => {
          if (!isOpen) return;
          const fault = error ?? faultOf(socket, hand);
          if (fault === null) won(socket);
          else lost(fault);
        });
      };
      next();
    });
  }

  /** The same for one address, as most probes have it: without what a race takes. */
  #dialOne(
    address: string,
    port: number,
    into: Sockets,
    hand: Hand | undefined,
    ended: (error: unknown) => void,
  ): Promise<net.Socket> {
    const socket = net.connect(this.#connectionTo(address, port, hand));
    into.add(socket);
    this.#watch(socket);
    return new Promise((resolve, reject) => {
      happens(socket, 'connect', (error) => {
        const fault = error ?? faultOf(socket, hand);
        ended(fault);
        if (fault === null) resolve(socket);
        else reject(fault);
      });
    });
  }

  #connectionTo(host: string, port: number, hand: Hand | undefined): net.TcpNetConnectOpts {
    const { spec } = this.#way;
    const options: net.TcpNetConnectOpts = { host, port };
    if (spec.kind === 'direct' && spec.localAddress !== null) {
      options.localAddress = spec.localAddress;
    }
    if (hand !== undefined) options.onread = handing(hand);
    return options;
  }

  async #shake(
    socket: net.Socket,
    { name, ca, alpn, client }: Trust,
    { session, given }: Resuming = {},
    into = this.#sockets,
  ): Promise<tls.TLSSocket> {
    if (into.isOver) throw isOver;
    const host = name.replace(/\.$/, '');
    const secured = tls.connect({
      socket,
      host,
      servername: net.isIP(host) ? '' : host,
      secureContext: secureContext(ca, client),
      rejectUnauthorized: true,
      ...(session === undefined ? {} : { session }),
      ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
    });
    into.add(secured);
    this.#watch(secured);
    // Before TLS 1.3 it comes together with the end of the handshake.
    if (given !== undefined) {
      secured.on('session', (newest) => {
        given.session = newest;
      });
    }
    await new Promise<void>((resolve, reject) => {
      happens(secured, 'secureConnect', (error) => (error === null ? resolve() : reject(error)));
    });
    return secured;
  }

  /** Clients above the connection wrap its errors and lose what they were. */
  async #noting<T>(what: () => Promise<T>): Promise<T> {
    try {
      return await what();
    } catch (error) {
      // What says whose fault it is knows more than the event that came first.
      if (error instanceof Told) this.#fault = error;
      this.#fault ??= error;
      throw error;
    }
  }

  /** The first error of a connection in use says more than what follows from it. */
  #watch(socket: net.Socket): void {
    socket.on('error', (error) => {
      if (this.#sockets.has(socket)) this.#fault ??= error;
    });
  }
}

/** IPv4 and IPv6 take turns, as far as there are both. */
function takingTurns(addresses: readonly HostAddress[]): readonly HostAddress[] {
  if (addresses.length < 3) return addresses;
  const first = addresses.filter(({ family }) => family === addresses[0]!.family);
  const second = addresses.filter(({ family }) => family !== addresses[0]!.family);
  return addresses.flatMap((_, i) => [...first.slice(i, i + 1), ...second.slice(i, i + 1)]);
}

/** What was opened for one purpose; after its end nothing can be opened for it any more. */
class Sockets {
  isOver = false;
  readonly #open: net.Socket[] = [];

  add(socket: net.Socket): void {
    this.#open.push(socket);
  }

  has(socket: net.Socket): boolean {
    return this.#open.includes(socket);
  }

  drop(socket: net.Socket): void {
    this.#open.splice(this.#open.indexOf(socket), 1);
    socket.destroy();
  }

  hangUp(): void {
    // What lies on top first: Node 24 ends with a segmentation fault when the socket below a TLS
    // one is destroyed before it, right after its handshake.
    for (let top = this.#open.pop(); top !== undefined; top = this.#open.pop()) top.destroy();
  }

  /** `isBare`: nothing lies over these connections that would want to know of their end. */
  end(isBare: boolean): void {
    this.isOver = true;
    const all = isBare ? [...this.#open] : [];
    this.hangUp();
    for (const socket of all) letGo(socket);
  }

  /** All of them, which are no longer among these. */
  release(): Sockets {
    const given = new Sockets();
    given.#open.push(...this.#open.splice(0));
    return given;
  }
}

/**
 * Node keeps what a connection was made of until the next collection of the whole heap, and with it
 * whatever listens there: a probe's every object, four times as much as the connection.
 */
function letGo(socket: net.Socket): void {
  socket.removeAllListeners();
  socket.on('error', noNews);
}

/** Nobody asks any more. */
function noNews(): void {}

/** A proxy's own trouble, from an error on the way to it or in talking to it. */
function toldOfProxy(error: unknown, proxy: string, isConnected: boolean): Told {
  if (error instanceof Told) return error;
  const answer = blame(error, isConnected ? 'handshake' : 'connect', proxy);
  if (answer.outcome === 'blind') return new Told(answer);
  const reason = isConnected ? 'proxy-error' : 'proxy-unreachable';
  return new Told(blind(reason, `the proxy ${answer.detail}`));
}

/** What the servers of a path are known to answer; the path is one object for all its checks. */
const othersByPath = new WeakMap<PathSpec, OtherNames>();

function othersOf(spec: PathSpec): OtherNames {
  const known = othersByPath.get(spec);
  if (known !== undefined) return known;
  const others = new OtherNames();
  othersByPath.set(spec, others);
  return others;
}

function stalled(lateMs: number): Answer {
  return blind('stalled', `this process stood still for ${Math.round(lateMs)} ms or more`);
}

/**
 * Linux lets a socket connect to itself where nobody listens on a port of the ephemeral range,
 * which never reaches below 1024.
 */
export function isItself(socket: net.Socket): boolean {
  const { remotePort: port = 0 } = socket;
  if (port < 1024) return false;
  return socket.localPort === port && socket.localAddress === socket.remoteAddress;
}

/** Nobody listens there. */
export function itself(): Error {
  return Object.assign(new Error('connected to itself'), { code: 'ECONNREFUSED' });
}

/** Who takes bytes finds out by itself that it met itself: its own words come back. */
function faultOf(socket: net.Socket, hand: Hand | undefined): Error | null {
  return hand === undefined && isItself(socket) ? itself() : null;
}

/** What every connection reads into: filled and handed on in one go, so one does for all. */
const readInto = Buffer.allocUnsafeSlow(65_536);

function handing(hand: Hand): net.OnReadOpts {
  return {
    buffer: readInto,
    callback: (count, bytes) => {
      hand.take?.(Buffer.from(bytes.buffer, bytes.byteOffset, count));
      return true;
    },
  };
}

/** Waits for a socket's event, once: null when it came, else why it did not. */
function happens(
  socket: net.Socket,
  event: 'connect' | 'secureConnect',
  then: (error: Error | null) => void,
): void {
  let isOpen = true;
  const end = (error: Error | null) => {
    if (!isOpen) return;
    isOpen = false;
    then(error);
  };
  // Left where they are: they cost nothing any more, and to take them off does.
  socket.on(event, () => end(null));
  socket.on('error', end);
  socket.on('close', () => {
    if (isOpen) end(Object.assign(new Error('closed'), { code: 'ECONNRESET' }));
  });
}
