// The operators' door over the network: the socket's operations over HTTPS, for who bears a token,
// the status page, and the page of signed links. Nobody is believed before the header Host names this
// place and a token was compared, or the cookie that one was given for; who comes without is told so
// at a bounded rate, and then not let in. It must never act for who may not, nor because another
// site's page asks, nor let such a page read an answer.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type ServerOptions } from 'node:https';
import type { Reply } from '../core/model.ts';
import { toName } from '../kit/schema.ts';
import { addressOf, createBounded, type Handler, type Limits, target } from './bounded.ts';
import type { Desk, Trouble } from './desk.ts';
import { keepListening } from './listening.ts';
import { Meter, type Rate } from './meter.ts';
import type { Pages } from './pages.ts';
import { createPress, showRefusal } from './press.ts';
import type { Readers } from './readers.ts';
import { type Caller, createRoutes, json, type Routes } from './routes.ts';
import { notOurs, Sessions, sessionEndPath, sessionPath } from './sessions.ts';
import { type Bearer, mayDo, type Tokens } from './tokens.ts';

/** In PEM. */
export interface Identity {
  readonly cert: string;
  readonly key: string;
}

/** How often one address, and all together, may come anew or be refused. */
interface Rates {
  readonly arrivals: { readonly each: Rate; readonly all: Rate };
  /** Of addresses from which somebody was known lately; all others cannot use it up. */
  readonly known: { readonly each: Rate; readonly all: Rate };
  readonly refusals: { readonly each: Rate; readonly all: Rate };
  /** Of the page's own files, and of who asks whether he is let in. */
  readonly pages: { readonly each: Rate; readonly all: Rate };
}

export interface ApiOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Hosts by which it may be called, lower-case with their last dot, or addresses. */
  readonly names: readonly string[];
  /** Asked at each connection, so that files may change. */
  readonly identity: () => Identity;
  readonly tokens: () => Tokens;
  /** What links are signed with; null: there are none. */
  readonly links: (() => readonly Buffer[]) | null;
  /** The status page's files; null: there is none. */
  readonly pages?: Pages | null;
  readonly desk: Desk;
  readonly readers: Readers;
  readonly version: string;
  readonly trouble: Trouble;
  /** One line for the log: who did what, and how many were refused. */
  readonly note: (line: string) => void;
  readonly wall: () => number;
  readonly limits?: Partial<Limits>;
  readonly rates?: Partial<Rates>;
  readonly retryMs?: number;
  readonly commandMs?: number;
}

/** Of a good client one connection a second is much; of a handshake the price is a millisecond. */
const usual: Rates = {
  arrivals: { each: { burst: 20, perSecond: 5 }, all: { burst: 100, perSecond: 40 } },
  known: { each: { burst: 100, perSecond: 40 }, all: { burst: 200, perSecond: 80 } },
  refusals: { each: { burst: 20, perSecond: 2 }, all: { burst: 100, perSecond: 20 } },
  pages: { each: { burst: 60, perSecond: 5 }, all: { burst: 300, perSecond: 50 } },
};

const handshakeMs = 3000;
/** Addresses of known askers that are remembered, and for how long. */
const KNOWN_MAX = 256;
const knownMs = 3_600_000;
/** How often the log is told of refusals. */
const noteMs = 60_000;

const linkPrefix = '/v1/link/';

/** Listens; an address that cannot be had is told of as trouble and tried again, for ever. */
export async function serveApi(
  options: ApiOptions,
): Promise<Awaited<ReturnType<typeof keepListening>>> {
  const { host, port, trouble } = options;
  const limits: Limits = {
    ...{ connections: 64, perAddress: 16, requestMs: 10_000, idleMs: 30_000 },
    ...options.limits,
  };
  const guard = new Guard({ ...usual, ...options.rates }, options.note);
  let made = options.identity();
  const door: Parameters<typeof createBounded>[3] = {
    create(plain, listener) {
      const server = createServer(
        { ...plain, ...secured(made), handshakeTimeout: handshakeMs },
        listener,
      );
      // Whatever it said was no TLS: it has nothing to be told.
      server.on('tlsClientError', (_error, socket) => socket.destroy());
      // Certificates that have changed are taken for whoever comes next.
      server.prependListener('connection', () => {
        const now = options.identity();
        if (now === made) return;
        made = now;
        server.setSecureContext(secured(now));
      });
      return server;
    },
    admits: (socket) => guard.admits(addressOf(socket)),
  };
  const routes = createRoutes(options);
  const server = createBounded(limits, handler(options, guard, routes), trouble, door);
  return keepListening(server, {
    ...{ host, port, trouble, retryMs: options.retryMs, key: 'api', word: 'api' },
    without: 'nobody can use the API there',
    closing: routes.close,
  });
}

function secured({ cert, key }: Identity): ServerOptions {
  return { cert, key, minVersion: 'TLSv1.2', honorCipherOrder: true };
}

/** Who may come, and who is told no; what is refused is counted and told now and then. */
class Guard {
  readonly #arrivals: Meter;
  readonly #arrivalsOfKnown: Meter;
  readonly #refusals: Meter;
  readonly #pages: Meter;
  readonly #known = new Map<string, number>();
  readonly #note: (line: string) => void;
  #refused = 0;
  #notedAt = Number.NEGATIVE_INFINITY;

  constructor(rates: Rates, note: (line: string) => void) {
    this.#arrivals = new Meter(rates.arrivals);
    this.#arrivalsOfKnown = new Meter(rates.known);
    this.#refusals = new Meter(rates.refusals);
    this.#pages = new Meter(rates.pages);
    this.#note = note;
  }

  admits(address: string): boolean {
    const isKnown = performance.now() - (this.#known.get(address) ?? -knownMs) < knownMs;
    const may = (isKnown ? this.#arrivalsOfKnown : this.#arrivals).take(address);
    if (!may) this.#tell(`${address}: it comes too often`);
    return may;
  }

  knows(address: string): void {
    this.#known.delete(address);
    this.#known.set(address, performance.now());
    if (this.#known.size > KNOWN_MAX) this.#known.delete(this.#known.keys().next().value!);
  }

  /** False where it has been told so often that it is told no more. */
  mayTell(address: string, why: string): boolean {
    this.#tell(`${address}: ${why}`);
    return this.#refusals.take(address);
  }

  /** Whoever opens a link has no token: how often is bounded as refusals are. */
  mayOpen(address: string): boolean {
    return this.#refusals.take(address);
  }

  /** The page itself is for anybody: how often it is sent is bounded as well. */
  mayLoad(address: string): boolean {
    return this.#pages.take(address);
  }

  #tell(last: string): void {
    this.#refused++;
    const now = performance.now();
    if (now - this.#notedAt < noteMs) return;
    this.#notedAt = now;
    this.#note(`refused ${this.#refused} since it was last said; the last from ${last}`);
    this.#refused = 0;
  }
}

function handler(options: ApiOptions, guard: Guard, { dispatch }: Routes): Handler {
  const { links, desk, wall, commandMs, note, names } = options;
  const sessions = new Sessions(options.tokens);
  const press = links === null ? null : createPress({ desk, keys: links, wall, commandMs });
  const visit = visitor(options, guard, sessions);
  return async (request, response, aside) => {
    const address = addressOf(request.socket);
    const { path } = target(request);
    const link =
      press !== null && path.startsWith(linkPrefix) ? path.slice(linkPrefix.length) : null;
    const refuse: Refuse = ({ status, message, headers = {} }) => {
      if (link !== null) showRefusal(request, response, status, message, headers);
      else json(request, response, { status, body: { exit: 1, message } satisfies Reply }, headers);
    };
    const wrong = wrongHost(request, names);
    if (wrong !== null) return refuse(guard.mayTell(address, wrong.message) ? wrong : later);
    if (link !== null) {
      if (!guard.mayOpen(address)) return refuse(later);
      await press!(request, response, link);
      return;
    }
    if (await visit(request, response, refuse)) return;
    const found = callerOf(request, options.tokens, sessions);
    if (found === null) {
      return refuse(guard.mayTell(address, unknown.message) ? unknown : later);
    }
    guard.knows(address);
    if (!found.isOurs && request.method !== 'GET') return void notOurs(request, response);
    const { caller } = found;
    const status = await dispatch(request, response, caller, aside);
    if (request.method === 'POST') note(`${caller.by}: POST ${path}: ${status}`);
  };
}

type Refuse = (refusal: Refusal) => void;

/** Answers who wants the page itself, or to be let in by it; false: it is about something else. */
function visitor({ pages = null, note }: ApiOptions, guard: Guard, sessions: Sessions) {
  return async (
    request: IncomingMessage,
    response: ServerResponse,
    refuse: Refuse,
  ): Promise<boolean> => {
    const { path } = target(request);
    const isSession = path === sessionPath || path === sessionEndPath;
    if (!isSession && pages?.has(path) !== true) return false;
    const address = addressOf(request.socket);
    if (!guard.mayLoad(address)) refuse(later);
    else if (pages === null) refuse(noPage);
    else if (!isSession) await pages.serve(request, response, path);
    else if (path === sessionPath && request.method === 'GET') sessions.show(request, response);
    else if (request.method !== 'POST') refuse(otherMethod(path));
    else if (path === sessionEndPath) sessions.end(request, response);
    else {
      const status = await sessions.begin(request, response);
      if (status === null) refuse(guard.mayTell(address, unknown.message) ? unknown : later);
      else if (status === 200) {
        guard.knows(address);
        note(`${address}: is let in by the page`);
      }
    }
    return true;
  };
}

const noPage: Refusal = { status: 404, message: 'there is no page here' };

const otherMethod = (path: string): Refusal => {
  const allow = path === sessionPath ? 'GET, POST' : 'POST';
  return {
    status: 405,
    message: `${path} takes ${allow}`,
    headers: { allow, connection: 'close' },
  };
};

interface Refusal {
  readonly status: number;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const later: Refusal = {
  status: 429,
  message: 'too often: come again later',
  headers: { 'retry-after': '10', connection: 'close' },
};

const unknown: Refusal = {
  status: 401,
  message: 'this wants a token that is known here: Authorization: Bearer TOKEN',
  headers: { 'www-authenticate': 'Bearer realm="detour"' },
};

interface Found {
  readonly caller: Caller;
  /** A token is shown on purpose; a cookie proves nothing without the page's word. */
  readonly isOurs: boolean;
}

function callerOf(
  request: IncomingMessage,
  tokens: () => Tokens,
  sessions: Sessions,
): Found | null {
  const [, presented] = /^Bearer +([\w.~+/-]+=*)$/i.exec(request.headers.authorization ?? '') ?? [];
  const from = plain(request.socket.remoteAddress);
  const as = ({ name, role }: Bearer, door: string, holds: () => boolean): Caller => ({
    by: `${name} (${door}, ${from})`,
    may: (wanted) => mayDo(role, wanted),
    holds,
  });
  if (request.headers.authorization !== undefined) {
    const bearer = presented === undefined ? null : tokens().whose(presented);
    if (bearer === null) return null;
    const holds = () => tokens().still(bearer.hash) !== null;
    return { caller: as(bearer, 'api', holds), isOurs: true };
  }
  const known = sessions.known(request);
  return known && { caller: as(known.bearer, 'page', known.holds), isOurs: known.isOurs };
}

/** As it is written where IPv4 came in by an address of IPv6. */
const plain = (address = '?') => address.replace(/^::ffff:/i, '');

/**
 * The header Host must name this place: by a configured name, or by the address that was dialled. A
 * page of another site that has its name point here (DNS rebinding) bears that site's.
 */
function wrongHost(
  { headersDistinct, socket }: IncomingMessage,
  names: readonly string[],
): Refusal | null {
  const given = headersDistinct['host'] ?? [];
  if (given.length !== 1) return { status: 400, message: 'a request has one header Host' };
  const [, in6, word = ''] =
    /^(?:\[([\da-f:.]+)\]|([^:[\]]+))(?::\d{1,5})?$/i.exec(given[0]!) ?? [];
  const host = in6 ?? word;
  const isOurs = host === plain(socket.localAddress) || names.includes(toName(host) ?? '');
  return isOurs ? null : { status: 421, message: 'the header Host names another place' };
}
