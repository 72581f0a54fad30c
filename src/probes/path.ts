// How a probe leaves this machine: one trip to an origin by one path (straight, or through a proxy)
// with one deadline over all of it, a fresh connection, verified TLS and timed phases. A trip must
// never reject, never outlive its deadline, never leave a socket behind, and never call a fault of
// this machine, its resolver or a proxy a failure of the origin (design, rule 6): those are `blind`.

import type { LookupAddress } from 'node:dns';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { ask, type Exchange } from '../dns/ask.ts';
import type { Question } from '../dns/wire.ts';
import type { AdapterContext, PathSpec, ProbeResult } from '../kit/extend.ts';
import { type HostPort, parseHostPort, printDuration } from '../kit/schema.ts';
import { SecretError } from '../kit/secret.ts';
import { askServers, askSystem } from './names.ts';
import { stoppedBy } from './signals.ts';
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
}

/** Is handed bytes as they come, to be used before it returns. */
export type Take = (bytes: Buffer) => void;

/** Why the trip's signal is aborted; made once, because a stack costs a tenth of a plain probe. */
export const isOver = new Error('the probe is over');

type Phase = 'dnsMs' | 'connectMs' | 'tlsMs' | 'firstByteMs';

/** A timer later than this means that our own event loop stood still (design, rule 6). */
const stallMs = 250;
/** Of a name with more addresses the first so many are tried. */
const addressesMax = 8;

/** A path ready for use. Throws SecretError when its credentials cannot be had. */
export function wayOf(spec: PathSpec, { secret }: Pick<AdapterContext, 'secret'>): Way {
  if ((spec.kind !== 'proxy' && spec.kind !== 'socks5') || spec.credentials === null) {
    return { spec, credentials: null };
  }
  const [, user, password] = /^([^:]+):(.+)$/s.exec(secret(spec.credentials)) ?? [];
  const fits = [user, password].every((part) => part && Buffer.byteLength(part) <= 255);
  if (user === undefined || password === undefined || !fits) {
    throw new SecretError(
      `credentials of path ${spec.name}: expected user:password, each of 1 to 255 bytes`,
    );
  }
  return { spec, credentials: { user, password } };
}

/** Straight from here. */
export const straight: Way = {
  spec: { name: 'straight', kind: 'direct', resolver: null, localAddress: null },
  credentials: null,
};

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
 * Runs one asking within a deadline in milliseconds that covers everything from DNS to the last
 * byte. Resolves always: the deadline is `fail` (`timeout`), or `blind` while our resolver had
 * not answered; an aborted signal is `blind`; whatever `go` throws is blamed by `blame`.
 */
export function travel(
  way: Way,
  timeoutMs: number,
  signal: AbortSignal,
  go: (trip: Trip) => Promise<Answer>,
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const trip = new Trip(way, timeoutMs);
    const stops = stoppedBy(signal);
    let settled = false;
    const settle = (answer: Answer) => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      stops.remove(stop);
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
    const stop = {
      place: -1,
      stop: () => settle(blind('aborted', 'the probe was called off')),
    };
    const timer = setTimeout(() => {
      const lateMs = performance.now() - trip.startedAt - timeoutMs;
      settle(lateMs > stallMs ? stalled(lateMs) : trip.overdue());
    }, timeoutMs);
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

/** One asking under way: its sockets, how far it has come, and how long each phase took. */
export class Trip {
  readonly phases: Partial<Record<Phase, number>> = {};
  /** Fewest whole days left on any certificate met; null before the first. */
  certificateDays: number | null = null;
  stage: Stage = 'resolve';
  /** What a passed deadline means, where the stage does not say it. */
  late: Answer | null = null;
  /** By `performance.now()`. */
  readonly startedAt = performance.now();
  readonly #way: Way;
  readonly #timeoutMs: number;
  /** Made when somebody asks for it: to abort one costs a tenth of a plain probe. */
  #over: AbortController | null = null;
  #isOver = false;
  /** Of the connection in use; TLS adds its own to the one below it. */
  readonly #sockets = new Sockets();
  /** The first thing that went wrong with the connection in use. */
  #fault: unknown = null;
  #peer = '';

  constructor(way: Way, timeoutMs: number) {
    this.#way = way;
    this.#timeoutMs = timeoutMs;
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
    const { spec } = this.#way;
    const literal = to.address ?? (net.isIP(to.host) ? to.host : null);
    if (spec.kind === 'direct' && spec.localAddress === null && literal !== null) {
      this.#peer = printHostPort(literal, to.port);
      return this.#dialFirst([{ address: literal, family: net.isIP(literal) }], to.port, take);
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
      const socket = await this.#dialFirst(addresses, to.port, take);
      if (addresses.length > 1) {
        this.#peer = printHostPort(socket.remoteAddress ?? first.address, to.port);
      }
      return socket;
    });
  }

  /**
   * The addresses of a host as this path resolves them, those first that it can reach: by the
   * path's own servers, else by the system's resolver. At least one. Rejects as names.ts says.
   */
  async resolve(host: string): Promise<readonly LookupAddress[]> {
    this.stage = 'resolve';
    if (this.#peer === '') this.#peer = host;
    const { spec } = this.#way;
    const local = spec.kind === 'direct' ? net.isIP(spec.localAddress ?? '') : 0;
    const family = net.isIP(host);
    const all =
      family !== 0
        ? [{ address: host, family }]
        : await this.time('dnsMs', () =>
            spec.resolver === null ? askSystem(host) : this.#askOwn(host, spec.resolver, local),
          );
    const usable = local === 0 ? all : all.filter((one) => one.family === local);
    if (usable.length > 0) return usable;
    const lacking = `has no IPv${local} address, and the path leaves from one`;
    throw new Told(blind('no-route', `${host} ${lacking}`));
  }

  /** TLS over a connection, chain and name verified. Rejects with what was wrong. */
  secure(socket: net.Socket, trust: Trust): Promise<tls.TLSSocket> {
    return this.#noting(async () => {
      this.stage = 'handshake';
      const secured = await this.time('tlsMs', () => this.#shake(socket, trust));
      const endsAt = secured.getPeerX509Certificate()?.validToDate.getTime() ?? Number.NaN;
      const days = Math.floor((endsAt - Date.now()) / 86_400_000);
      const fewest = Math.min(days, this.certificateDays ?? days);
      if (Number.isFinite(days)) this.certificateDays = fewest;
      return secured;
    });
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
  }

  /** Ends the trip: nothing of it holds a socket afterwards. */
  close(): void {
    this.#isOver = true;
    this.#over?.abort(isOver);
    this.#sockets.end();
  }

  /** The answer when the deadline has passed. */
  overdue(): Answer {
    if (this.late !== null) return this.late;
    const within = `within ${printDuration(this.#timeoutMs)}`;
    if (this.stage === 'resolve') {
      return blind('resolver', `our resolver gave no answer for ${this.#peer} ${within}`);
    }
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
    return blame(this.#fault ?? error, this.stage, this.#peer);
  }

  /** Milliseconds left of the deadline. */
  #restMs(): number {
    return Math.max(0, this.startedAt + this.#timeoutMs - performance.now());
  }

  #askOwn(
    host: string,
    servers: readonly string[],
    local: number,
  ): Promise<readonly LookupAddress[]> {
    const types = local === 0 ? (['A', 'AAAA'] as const) : ([local === 4 ? 'A' : 'AAAA'] as const);
    const { spec } = this.#way;
    // Over UDP where the system may choose the source; else over a connection of this path's own.
    const isPlain = spec.kind === 'direct' && spec.localAddress === null;
    const one = (server: HostPort, question: Question, timeoutMs: number): Promise<Exchange> => {
      const to = { address: server.host, port: server.port };
      if (isPlain) return ask(to, question, { timeoutMs, signal: this.signal, recurse: true });
      return this.#askApart(server, question, timeoutMs);
    };
    return askServers(host, { servers, ask: one, types, timeoutMs: this.#restMs() });
  }

  /** Asks a resolver over a connection beside the trip's own. Never rejects. */
  #askApart(server: HostPort, question: Question, timeoutMs: number): Promise<Exchange> {
    const failed = (error: unknown): Exchange => {
      const { detail } = blame(error, 'resolve', printHostPort(server.host, server.port));
      return { kind: 'network', detail, sent: true };
    };
    const opened = new Sockets();
    const work = this.#open({ host: server.host, port: server.port }, opened)
      .then((socket) => exchangeOver(socket, question, true))
      .catch(failed);
    return new Promise<Exchange>((resolve) => {
      const end = (result: Exchange) => {
        clearTimeout(timer);
        this.signal.removeEventListener('abort', stop);
        opened.end();
        resolve(result);
      };
      const stop = () => end({ kind: 'aborted', detail: 'stopped', sent: true });
      const timer = setTimeout(() => {
        end({ kind: 'timeout', detail: `no reply within ${Math.round(timeoutMs)} ms`, sent: true });
      }, timeoutMs);
      if (this.signal.aborted) return stop();
      this.signal.addEventListener('abort', stop, { once: true });
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
      const raw = await this.#dial(await askSystem(host), at, into);
      isConnected = true;
      const trust = { name: host, ca: undefined, alpn: ['http/1.1'] };
      const socket = protocol === 'https:' ? await this.#shake(raw, trust, into) : raw;
      const greet = spec.kind === 'proxy' ? askHttpProxy : askSocks;
      await greet(socket, to, credentials);
      return socket;
    } catch (error) {
      throw toldOfProxy(error, printHostPort(host, at), isConnected);
    }
  }

  /** The trip's own connection straight from here, timed. */
  #dialFirst(
    addresses: readonly LookupAddress[],
    port: number,
    take: Take | undefined,
  ): Promise<net.Socket> {
    this.stage = 'connect';
    const from = performance.now();
    const ended = (error: unknown) => {
      this.note('connectMs', from);
      if (error !== null) this.#fault ??= error;
    };
    return this.#dial(addresses, port, this.#sockets, take, ended);
  }

  /** `ended` is told how the dialling ended, with null for a connection, before anybody else is. */
  #dial(
    addresses: readonly LookupAddress[],
    port: number,
    into: Sockets,
    take?: Take,
    ended: (error: unknown) => void = () => {},
  ): Promise<net.Socket> {
    // The trip may have ended while the proxy's name was looked up.
    if (into.isOver) return Promise.reject(isOver);
    const { spec } = this.#way;
    const tried = addresses.slice(0, addressesMax);
    const options: net.TcpNetConnectOpts = { host: tried[0]!.address, port };
    if (tried.length > 1) {
      options.host = 'several';
      options.lookup = ((_host, _options, done) => done(null, tried)) as net.LookupFunction;
      options.autoSelectFamily = true;
      // The default of 250 ms gives up on distant origins that are well.
      options.autoSelectFamilyAttemptTimeout = Math.max(250, Math.floor(this.#timeoutMs / 3));
    }
    if (spec.kind === 'direct' && spec.localAddress !== null) {
      options.localAddress = spec.localAddress;
    }
    if (take !== undefined) options.onread = handing(take);
    const socket = net.connect(options);
    this.#keep(socket, into);
    return new Promise((resolve, reject) => {
      happens(socket, 'connect', (error) => {
        // Who takes bytes finds out by itself: its own words come back.
        const fault = error ?? (take === undefined && isItself(socket) ? itself() : null);
        ended(fault);
        if (fault === null) resolve(socket);
        else reject(fault);
      });
    });
  }

  async #shake(
    socket: net.Socket,
    { name, ca, alpn }: Trust,
    into = this.#sockets,
  ): Promise<tls.TLSSocket> {
    if (into.isOver) throw isOver;
    const host = name.replace(/\.$/, '');
    const secured = tls.connect({
      socket,
      host,
      servername: net.isIP(host) ? '' : host,
      secureContext: secureContext(ca),
      rejectUnauthorized: true,
      ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
    });
    this.#keep(secured, into);
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

  #keep(socket: net.Socket, into: Sockets): void {
    into.add(socket);
    socket.on('error', (error) => {
      if (this.#sockets.has(socket)) this.#fault ??= error;
    });
  }
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

  hangUp(): void {
    // What lies on top first: Node 24 ends with a segmentation fault when the socket below a TLS
    // one is destroyed before it, right after its handshake.
    for (let top = this.#open.pop(); top !== undefined; top = this.#open.pop()) top.destroy();
  }

  end(): void {
    this.isOver = true;
    this.hangUp();
  }
}

/** A proxy's own trouble, from an error on the way to it or in talking to it. */
function toldOfProxy(error: unknown, proxy: string, isConnected: boolean): Told {
  if (error instanceof Told) return error;
  const answer = blame(error, isConnected ? 'handshake' : 'connect', proxy);
  if (answer.outcome === 'blind') return new Told(answer);
  const reason = isConnected ? 'proxy-error' : 'proxy-unreachable';
  return new Told(blind(reason, `the proxy ${answer.detail}`));
}

function stalled(lateMs: number): Answer {
  return blind('stalled', `this process stood still for ${Math.round(lateMs)} ms or more`);
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

/** What every connection reads into: filled and handed on in one go, so one does for all. */
const readInto = Buffer.allocUnsafeSlow(65_536);

function handing(take: Take): net.OnReadOpts {
  return {
    buffer: readInto,
    callback: (count, bytes) => {
      take(Buffer.from(bytes.buffer, bytes.byteOffset, count));
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
