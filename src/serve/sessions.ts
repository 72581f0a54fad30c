// Who has shown a token once and comes by a cookie since: a browser with the status page. A session
// ends by itself, with its token, and by a word of whoever has it; there is a bounded number, in
// memory alone. A cookie is sent by the browser whether its user wants or not, so that by a cookie
// nothing is done without the word that only our own page knows. It must never keep a token.

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Reply } from '../core/model.ts';
import { loginSchema, type SessionView } from './board.ts';
import { readBody } from './bounded.ts';
import { json } from './routes.ts';
import type { Bearer, Tokens } from './tokens.ts';

/** Sessions at one time, and of one token: of more the one that was used least lately ends. */
const SESSIONS_MAX = 256;
const OF_ONE_MAX = 64;
/** Unused for so long, and in all, in milliseconds. */
const idleMs = 12 * 3_600_000;
const longestMs = 7 * 24 * 3_600_000;
const bodyMost = 2048;

export const sessionPath = '/v1/session';
export const sessionEndPath = '/v1/session/end';
/** Where our own page says the word that nobody else knows. */
const wordHeader = 'x-detour-csrf';

interface Session {
  readonly key: string;
  /** Of the token that was shown. */
  readonly hash: Buffer;
  readonly csrf: string;
  readonly endsAt: number;
  usedAt: number;
}

interface Known {
  readonly bearer: Bearer;
  /** Whether what is asked was asked by our own page. */
  readonly isOurs: boolean;
  /** Whether it is let in still. */
  holds(): boolean;
}

export class Sessions {
  readonly #tokens: () => Tokens;
  readonly #now: () => number;
  /** The one that was used last stands last. */
  readonly #all = new Map<string, Session>();

  constructor(tokens: () => Tokens, now: () => number = () => performance.now()) {
    [this.#tokens, this.#now] = [tokens, now];
  }

  get count(): number {
    return this.#all.size;
  }

  /** Who comes by a cookie of ours; null: nobody. */
  known(request: IncomingMessage): Known | null {
    const session = this.#find(request);
    if (session === null) return null;
    const bearer = this.#bearerOf(session);
    if (bearer === null) return null;
    this.#all.delete(session.key);
    session.usedAt = this.#now();
    this.#all.set(session.key, session);
    return {
      bearer,
      isOurs: isOurs(request, session),
      holds: () => {
        // To look on is to use it.
        const still = this.#all.get(session.key) === session && this.#bearerOf(session) !== null;
        if (still) session.usedAt = this.#now();
        return still;
      },
    };
  }

  /** What the page asks first. */
  show(request: IncomingMessage, response: ServerResponse): number {
    return json(request, response, { status: 200, body: this.#view(this.#find(request)) });
  }

  /**
   * Lets in who shows a token; null, and nothing is sent: nobody's. Only what is sent as JSON is
   * read: another site's page cannot send that unasked.
   */
  async begin(request: IncomingMessage, response: ServerResponse): Promise<number | null> {
    const refuse = (status: number, message: string) =>
      json(request, response, { status, body: { exit: 2, message } satisfies Reply });
    if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')) {
      return refuse(415, 'a token is sent as JSON: content-type: application/json');
    }
    if (isForeign(request)) return refuse(403, 'another site’s page may not let anybody in');
    const text = await readBody(request, bodyMost);
    if (text === null) return refuse(413, `a token is at most ${bodyMost} bytes with its JSON`);
    const said = loginSchema.safeParse(parsed(text));
    if (!said.success) return refuse(400, 'expected {"token": "…"}');
    const bearer = this.#tokens().whose(said.data.token);
    if (bearer === null) return null;
    const [id, csrf] = [randomBytes(32), randomBytes(24)].map((b) => b.toString('base64url'));
    const now = this.#now();
    const session: Session = {
      ...{ key: keyOf(id!), hash: bearer.hash, csrf: csrf! },
      ...{ endsAt: now + longestMs, usedAt: now },
    };
    this.#makeRoom(bearer);
    this.#all.set(session.key, session);
    const cookie = `${cookieName(request)}=${id}; ${attributes}; Max-Age=${longestMs / 1000}`;
    return json(
      request,
      response,
      { status: 200, body: this.#view(session) },
      { 'set-cookie': cookie },
    );
  }

  /** Ends the one that asks. */
  end(request: IncomingMessage, response: ServerResponse): number {
    const session = this.#find(request);
    if (session !== null && !isOurs(request, session)) return notOurs(request, response);
    if (session !== null) this.#all.delete(session.key);
    const cookie = `${cookieName(request)}=; ${attributes}; Max-Age=0`;
    return json(
      request,
      response,
      { status: 200, body: this.#view(null) },
      { 'set-cookie': cookie },
    );
  }

  #find(request: IncomingMessage): Session | null {
    const id = cookieOf(request);
    return id === null ? null : (this.#all.get(keyOf(id)) ?? null);
  }

  /** As things stand now: a token that was taken away or changed ends what it began. */
  #bearerOf(session: Session): Bearer | null {
    const now = this.#now();
    const isOver = now >= session.endsAt || now - session.usedAt >= idleMs;
    const bearer = isOver ? null : this.#tokens().still(session.hash);
    if (bearer === null) this.#all.delete(session.key);
    return bearer;
  }

  #makeRoom({ hash }: Bearer): void {
    for (const session of this.#all.values()) this.#bearerOf(session);
    const same = [...this.#all.values()].filter((one) => timingSafeEqual(one.hash, hash));
    if (same.length >= OF_ONE_MAX) this.#all.delete(same[0]!.key);
    if (this.#all.size >= SESSIONS_MAX) this.#all.delete(this.#all.keys().next().value!);
  }

  #view(session: Session | null): SessionView {
    const bearer = session === null ? null : this.#bearerOf(session);
    if (session === null || bearer === null) return { door: 'token', session: null };
    const endsWall = Math.round(Date.now() + session.endsAt - this.#now());
    const { name, role } = bearer;
    return { door: 'token', session: { name, role, csrf: session.csrf, endsWall } };
  }
}

export function notOurs(request: IncomingMessage, response: ServerResponse): number {
  const message =
    `by a cookie nothing is done without the page’s own word in the header ${wordHeader}: ` +
    'load the page anew';
  const body: Reply = { exit: 1, message };
  return json(request, response, { status: 403, body });
}

/** The page itself has said it: it knows the word, and its browser does not say otherwise. */
function isOurs(request: IncomingMessage, { csrf }: Session): boolean {
  const said = request.headers[wordHeader];
  if (isForeign(request) || typeof said !== 'string') return false;
  const [given, known] = [said, csrf].map((text) => createHash('sha256').update(text).digest());
  return timingSafeEqual(given!, known!);
}

/** The browser says that another site's page asks. */
function isForeign({ headers }: IncomingMessage): boolean {
  const site = headers['sec-fetch-site'];
  return site !== undefined && site !== 'same-origin' && site !== 'none';
}

/** `__Host-`: no other host, no path below and no plain connection can set it (RFC 6265bis). */
function cookieName({ socket }: IncomingMessage): string {
  return `__Host-detour-${socket.localPort}`;
}

const attributes = 'Path=/; Secure; HttpOnly; SameSite=Strict';

function cookieOf(request: IncomingMessage): string | null {
  const name = cookieName(request);
  for (const one of (request.headers.cookie ?? '').split(';')) {
    const [key, value] = one.trim().split('=', 2);
    if (key === name && value !== undefined && /^[\w-]{43}$/.test(value)) return value;
  }
  return null;
}

/** What is kept knows the cookie again and is none. */
function keyOf(id: string): string {
  return createHash('sha256').update(id).digest('base64');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
