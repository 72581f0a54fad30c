// The `http` check: one request over a fresh connection, judged by its status, its body and the
// days its certificate has left; with keys, a password, a certificate or secret headers where the
// origin wants them; by HTTP/2 where that is asked for. Requests are written and answers read
// here, for a third of what a client for all purposes costs. Of a connection before it nothing is
// kept but its TLS session (sessions.ts). It must never reuse a connection or an answer, never
// show a header's value, never read more than its bound, and never follow a redirect with what was
// meant for the origin.

import { randomBytes } from 'node:crypto';
import net, { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { z } from 'zod';
import type { AdapterContext, CheckType, PathSpec } from '../kit/extend.ts';
import { parseHostPort, type SecretRef, secretRef, toName } from '../kit/schema.ts';
import { toAscii } from '../kit/script.ts';
import { SecretError } from '../kit/secret.ts';
import { AnswerReader, type Head } from './answer.ts';
import { blackboxAsker, credentialsOf, problemForBlackbox } from './blackbox.ts';
import { othersClock } from './clock.ts';
import { unpack } from './decode.ts';
import {
  type BodyExpectation,
  bodyExpectation,
  judgeBody,
  printStatuses,
  type StatusRange,
  statusExpectation,
} from './expect.ts';
import { askByHttp2 } from './h2.ts';
import type { Making } from './held.ts';
import { connectTo } from './names.ts';
import {
  type Destination,
  isItself,
  itself,
  type Means,
  type Take,
  type Trip,
  type Trust,
  travel,
  wayOf,
} from './path.ts';
import { basicOf, isLoopback } from './scrape.ts';
import { Sessions } from './sessions.ts';
import { type Keys, sign, signable } from './sign.ts';
import { type ClientFiles, certificateDays, clientFiles } from './trust.ts';
import { type Answer, blind, clause, fail, limited, printHostPort, Told } from './words.ts';

export interface HttpSettings {
  /** The URL, as `URL` writes it. */
  readonly http: string;
  readonly method: 'GET' | 'HEAD' | 'OPTIONS' | 'POST' | 'PUT' | 'PATCH';
  /** Sent as UTF-8. */
  readonly body?: string | undefined;
  /** What the body is; in place of a header. */
  readonly contentType: string;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  /** `NAME` or `NAME:PORT`: sent as Host, and the name as SNI and verified, in place of the URL's. */
  readonly host?: string | undefined;
  /** Connect there; DNS is not asked. */
  readonly address?: string | undefined;
  readonly expect: {
    readonly status: readonly StatusRange[];
    readonly body?: BodyExpectation | undefined;
    readonly certificateDays?: number | undefined;
  };
  /** Redirects to follow; with 0 a redirect is judged by its status. */
  readonly redirects: number;
  /** Bytes of the body to read; a longer one is cut, not failed. */
  readonly maxBytes: number;
  /** Path of a PEM bundle to trust in place of the well-known roots. */
  readonly ca?: string | undefined;
  /** Headers whose values are secrets, by lower-case name. */
  readonly secretHeaders: Readonly<Record<string, SecretRef>>;
  readonly basic?: { readonly user: string; readonly password: SecretRef } | undefined;
  readonly sign?: Signature | undefined;
  /** Adds a random parameter to the query, so that no cache can have seen the URL before. */
  readonly cacheBust: boolean;
  /** To show to a server that asks who we are. */
  readonly client?: ClientFiles | undefined;
  /** true: where the server agrees; `only`: or the check fails. Absent: HTTP/1.1. */
  readonly http2?: true | 'only' | undefined;
}

/** How the request is signed: AWS Signature Version 4, in headers. */
interface Signature {
  readonly type: 'aws-sigv4';
  readonly region: string;
  readonly service: string;
  readonly accessKeyId: SecretRef;
  readonly secretAccessKey: SecretRef;
  readonly sessionToken?: SecretRef | undefined;
}

const scopeWord = z
  .string()
  .regex(/^[a-z0-9-]{1,60}$/, { error: 'expected a word of a-z, 0-9 and -, such as us-east-1' });

const settings = z
  .strictObject({
    http: z
      .string()
      .max(2048)
      .describe('the URL to ask, http or https')
      .transform((given, context) => {
        const text = withHostInAscii(given);
        const problem = problemOfUrl(text);
        if (problem === null) return new URL(text).href;
        context.addIssue({ code: 'custom', message: problem });
        return z.NEVER;
      }),
    method: z
      .enum(['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH'])
      .default('GET')
      .describe('how it asks'),
    body: z
      .string()
      .refine((text) => Buffer.byteLength(text) <= bodyMost, {
        error: 'expected a text of at most 65536 bytes',
      })
      .optional()
      .describe('text to send, at most 64 KiB; it is no place for a secret'),
    contentType: z
      .string()
      .regex(/^[\x21-\x7e][\x20-\x7e]{0,254}$/, {
        error: 'expected a media type, such as application/json',
      })
      .default('text/plain; charset=utf-8')
      .describe('what the body is, such as application/json'),
    headers: z
      .record(z.string(), z.string())
      .default({})
      .describe('headers to send, by name')
      .transform((headers, context) => {
        const problem = problemOfHeaders(headers);
        if (problem !== null) context.addIssue({ code: 'custom', message: problem });
        return lowerCased(headers);
      }),
    secretHeaders: z
      .record(z.string(), secretRef)
      .default({})
      .describe('headers whose values are secrets, by name')
      .transform((headers, context) => {
        const problem = problemOfNames(Object.keys(headers), ownedHeaders);
        if (problem !== null) context.addIssue({ code: 'custom', message: problem });
        return lowerCased(headers);
      }),
    basic: z
      .strictObject({
        user: z
          .string()
          .regex(/^[^:\p{Cc}]{1,256}$/u, { error: 'expected a user without a colon' })
          .describe('name of the user'),
        password: secretRef.describe('where the password is'),
      })
      .optional()
      .describe('user and password to send (RFC 7617)'),
    sign: z
      .strictObject({
        type: z.literal('aws-sigv4').describe('AWS Signature Version 4'),
        region: scopeWord,
        service: scopeWord.default('s3').describe('service that it signs for'),
        accessKeyId: secretRef.describe('id of the access key'),
        secretAccessKey: secretRef.describe('its secret'),
        sessionToken: secretRef.optional().describe('token of a session, where the key has one'),
      })
      .optional()
      .describe('sign the request, as object storage and APIs of AWS want it'),
    cacheBust: z.boolean().default(false).describe('add a random parameter, past every cache'),
    host: z
      .string()
      .optional()
      .describe('public name to send as Host and SNI, with or without a port for Host')
      .refine((text) => text === undefined || hostOf(text) !== null, {
        message: 'expected a host name, such as www.example.net or www.example.net:8443',
      })
      .transform((text) => (text === undefined ? undefined : hostOf(text)!)),
    address: connectTo,
    expect: z
      .strictObject({
        status: statusExpectation.prefault('200-299'),
        body: bodyExpectation.optional(),
        certificateDays: certificateDays.optional(),
      })
      .prefault({}),
    redirects: z.int().min(0).max(10).default(0).describe('redirects to follow'),
    maxBytes: z.int().min(1).max(1_048_576).default(65_536).describe('bytes of the body to read'),
    ca: z.string().min(1).optional().describe('path of a PEM bundle to trust'),
    client: clientFiles,
    http2: z
      .union([z.literal(true), z.literal('only')], { error: 'expected true or only' })
      .optional()
      .describe('ask by HTTP/2: true where the server agrees, only or the check fails'),
  })
  .superRefine((value, context) => {
    const secure = value.http.startsWith('https:');
    for (const [path, message] of problemsOfRequest(value, secure)) {
      context.addIssue({ code: 'custom', path: [...path], message });
    }
    if (value.expect.certificateDays !== undefined && !secure) {
      const message = 'an http URL has no certificate: ask an https URL or leave this out';
      context.addIssue({ code: 'custom', path: ['expect', 'certificateDays'], message });
    }
    if (value.expect.body !== undefined && value.method === 'HEAD') {
      const message = 'an answer to HEAD has no body: use GET or leave this out';
      context.addIssue({ code: 'custom', path: ['expect', 'body'], message });
    }
    for (const [path, message] of problemsOfSecrets(value)) {
      context.addIssue({ code: 'custom', path: [...path], message });
    }
  });

/** `{ http: "https://…", … }` beside a check's cadence. */
export const http: CheckType<HttpSettings> = {
  key: 'http',
  settings,
  impossible: (s) => ({ ...s, expect: { ...s.expect, status: statusExpectation.parse(599) } }),
  pathProblem: problemForBlackbox,
  create: (configured, path, timeoutMs, context) => {
    if (path.kind === 'blackbox') return fromElsewhere(configured, path, timeoutMs, context);
    const way = wayOf(path, context);
    const secrets = secretsOf(configured, context);
    const go = exchanger(configured, secrets);
    const { keeper } = context as Making;
    if (!configured.http.startsWith('https:')) {
      return {
        ask: (signal) => travel(way, timeoutMs, signal, go, null, keeper),
        close: () => {},
      };
    }
    const sessions = new Sessions();
    return {
      ask: (signal, routine = false) =>
        sessions.ask(routine, (use) => travel(way, timeoutMs, signal, go, use, keeper)),
      close: () => {},
    };
  },
};

/** Bytes of a request's body. */
const bodyMost = 65_536;

/** `www.example.net`, `www.example.net:8443`, lower-case and without a last dot; null: neither. */
function hostOf(text: string): string | null {
  const [, bare = '', port] = /^([^:]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  const name = toName(bare);
  if (name === null || (port !== undefined && parseHostPort(text, null) === null)) return null;
  return `${name.slice(0, -1)}${port === undefined ? '' : `:${Number(port)}`}`;
}

/** What is sent as SNI and verified. */
function nameOf(host: string): string {
  return host.replace(/:\d+$/, '');
}

/** AWS refuses signatures that are 15 minutes off, others 5: then the clock here is to blame. */
const clockOffMs = 270_000;

/** Not sent on to another host than the one configured. */
const ownHeaders = {
  'cache-control': 'no-cache',
  pragma: 'no-cache',
  'user-agent': 'detour',
  'accept-encoding': 'identity',
};

/** Framing belongs to the client, Host to `host`. */
const ownedHeaders: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [
      'connection',
      'content-length',
      'expect',
      'keep-alive',
      'te',
      'trailer',
      'transfer-encoding',
      'upgrade',
    ].map((name) => [name, 'the request sets it by itself']),
  ),
  host: 'use host, which also sets the name in TLS',
};

/** A secret has no place in the configuration. */
const refusedHeaders: Readonly<Record<string, string>> = {
  ...ownedHeaders,
  ...Object.fromEntries(
    ['authorization', 'cookie', 'proxy-authorization'].map((name) => [
      name,
      'secrets are never written into the configuration; use secretHeaders or basic',
    ]),
  ),
};

/** A host that is no name in any script stays, and is then refused. */
function withHostInAscii(url: string): string {
  return url.replace(/(?<=^https?:\/\/)[^/?#:@]+/i, (host) => toAscii(host) ?? host);
}

function problemOfUrl(text: string): string | null {
  const url = /^https?:\/\/[\x21-\x7e]+$/i.test(text) ? URL.parse(text) : null;
  if (url === null) {
    return 'expected a URL such as https://www.example.net/healthz (others percent-encoded)';
  }
  if (url.username || url.password) {
    return 'a URL with a user or password: secrets are never written into the configuration';
  }
  if (url.hash) return 'a URL with a #fragment, which is never sent: leave it out';
  if (url.port === '0') return 'port 0 cannot be asked';
  return null;
}

function problemOfHeaders(headers: Readonly<Record<string, string>>): string | null {
  for (const [name, value] of Object.entries(headers)) {
    if (!isHeaderValue(value)) {
      return `the value of ${name} has control or non-Latin characters, or more than 4096`;
    }
  }
  return problemOfNames(Object.keys(headers), refusedHeaders);
}

/** RFC 9110 section 5.5; other bytes would end one header and begin another. */
function isHeaderValue(value: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]{0,4096}$/.test(value);
}

function problemOfNames(
  names: readonly string[],
  refused: Readonly<Record<string, string>>,
): string | null {
  if (names.length > 32) return 'more than 32 headers';
  const seen = new Set<string>();
  for (const name of names) {
    const key = name.toLowerCase();
    // RFC 9110 section 5.1: a token.
    if (!/^[!#$%&'*+.^_`|~0-9a-z-]{1,128}$/.test(key)) {
      return `${JSON.stringify(name.slice(0, 128))} is no header name`;
    }
    if (refused[key] !== undefined) return `${name} is refused: ${refused[key]}`;
    if (seen.has(key)) return `${name} stands there twice`;
    seen.add(key);
  }
  return null;
}

function lowerCased<T>(headers: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(headers).map(([key, v]) => [key.toLowerCase(), v]));
}

type Problems = (readonly [path: readonly string[], text: string])[];

/** What is wrong with how a request is made: where, and what. */
function problemsOfRequest(
  value: Pick<
    HttpSettings,
    'method' | 'body' | 'headers' | 'secretHeaders' | 'sign' | 'client' | 'http2'
  >,
  secure: boolean,
): Problems {
  const { method, body, headers, sign, client, http2 } = value;
  const problems: Problems = [];
  if (body !== undefined && !['POST', 'PUT', 'PATCH'].includes(method)) {
    problems.push([['body'], `a ${method} has no body: use POST, PUT or PATCH, or leave this out`]);
  }
  if (body !== undefined && headers['content-type'] !== undefined) {
    problems.push([['headers'], 'content-type stands under contentType: leave the header out']);
  }
  if (body !== undefined && sign !== undefined) {
    problems.push([['sign'], 'a request with a body is not signed: leave one of the two out']);
  }
  if (client !== undefined && !secure) {
    problems.push([['client'], 'an http URL has no TLS: ask an https URL or leave this out']);
  }
  const hopwise = ['proxy-connection', 'http2-settings'].find(
    (name) => headers[name] !== undefined || value.secretHeaders[name] !== undefined,
  );
  if (http2 !== undefined && hopwise !== undefined) {
    problems.push([['http2'], `HTTP/2 has no ${hopwise} (RFC 9113, 8.2.2): leave the header out`]);
  }
  if (http2 === true && !secure) {
    const message = 'in the clear nobody agrees on HTTP/2: write only, or ask an https URL';
    problems.push([['http2'], message]);
  }
  return problems;
}

type Parts = Pick<HttpSettings, 'http' | 'headers' | 'secretHeaders' | 'basic' | 'sign'>;

/** What is wrong with the secrets that a request would carry: where, and what. */
function problemsOfSecrets(value: Parts): Problems {
  const { headers, secretHeaders, basic, sign } = value;
  const problems: Problems = [];
  for (const name of Object.keys(secretHeaders)) {
    if (headers[name] !== undefined) {
      problems.push([['secretHeaders'], `${name} stands under headers too`]);
    }
  }
  const authorizations = {
    basic: basic !== undefined,
    sign: sign !== undefined,
    'an authorization header': secretHeaders['authorization'] !== undefined,
  };
  const several = Object.entries(authorizations).flatMap(([what, has]) => (has ? what : []));
  if (several.length > 1) {
    problems.push([[], `${several.join(' and ')}: a request has one authorization, choose one`]);
  }
  const amz = [...Object.keys(headers), ...Object.keys(secretHeaders)].find((name) =>
    /^x-amz-(date|content-sha256|security-token)$/.test(name),
  );
  if (sign !== undefined && amz !== undefined) {
    problems.push([['sign'], `${amz} is set by the signature: leave the header out`]);
  }
  const url = URL.parse(value.http);
  if (sign !== undefined && url?.search.includes('+')) {
    problems.push([['http'], 'a signed URL with + in its query: write %20 or %2B']);
  }
  const isReadable = basic !== undefined || Object.keys(secretHeaders).length > 0;
  if (isReadable && url?.protocol === 'http:' && !isLoopback(url.hostname)) {
    const message = 'http would show the secrets to everybody on the way: ask an https URL';
    problems.push([['http'], message]);
  }
  return problems;
}

/** Read once, when the check is made. */
interface Secrets {
  /** Ready to send, by lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly keys: Keys | null;
}

const noSecrets: Secrets = { headers: {}, keys: null };

/** Throws SecretError. */
function secretsOf(asked: HttpSettings, { secret }: Pick<AdapterContext, 'secret'>): Secrets {
  const headers: Record<string, string> = {};
  for (const [name, ref] of Object.entries(asked.secretHeaders)) {
    const value = secret(ref);
    if (!isHeaderValue(value)) {
      const what = 'control or non-Latin characters, or more than 4096';
      throw new SecretError(`secretHeaders ${name}: the secret has ${what}`);
    }
    headers[name] = value;
  }
  if (asked.basic !== undefined) {
    headers['authorization'] = basicOf(asked.basic.user, secret(asked.basic.password));
  }
  const { sign } = asked;
  if (sign === undefined) return { headers, keys: null };
  const keys = {
    accessKeyId: secret(sign.accessKeyId),
    secretAccessKey: secret(sign.secretAccessKey),
    sessionToken: sign.sessionToken === undefined ? null : secret(sign.sessionToken),
  };
  for (const [name, value] of Object.entries(keys)) {
    if (value !== null && !/^[\x21-\x7e]{1,8192}$/.test(value)) {
      throw new SecretError(`sign ${name}: the secret is no key: blanks or odd characters in it`);
    }
  }
  return { headers, keys };
}

/** The same question for an exporter to ask; see blackbox.ts for what its module decides. */
function fromElsewhere(
  asked: HttpSettings,
  path: Extract<PathSpec, { kind: 'blackbox' }>,
  timeoutMs: number,
  means: Means,
) {
  const target = () => {
    const url = asked.cacheBust ? freshUrl(asked.http) : new URL(asked.http);
    if (asked.address !== undefined) {
      url.hostname = isIP(asked.address) === 6 ? `[${asked.address}]` : asked.address;
    }
    return url.href;
  };
  const named = asked.address === undefined ? undefined : bareHost(new URL(asked.http));
  const hostname = asked.host ?? named;
  const { status, certificateDays } = asked.expect;
  const { redirects } = asked;
  const wanted = { status, certificateDays, redirects };
  const { lookup } = means;
  const credentials = credentialsOf(path, means);
  return blackboxAsker(path, timeoutMs, { target, hostname, ...wanted, lookup, credentials });
}

/** With a parameter that nobody has seen before; S3 and its like leave `x-…` alone. */
function freshUrl(text: string): URL {
  const url = new URL(text);
  const fresh = `x-detour=${randomBytes(8).toString('hex')}`;
  url.search = url.search === '' ? fresh : `${url.search}&${fresh}`;
  return url;
}

/** An answer as it is judged. */
interface Reply extends Head {
  /** As it was sent; empty where nobody looks at it. */
  readonly body: Buffer;
  /** Bytes of it that were read. */
  readonly length: number;
  /** More was sent than was read, or more may come. */
  readonly cut: boolean;
}

/** A request ready to be sent, and where to. */
interface Message {
  readonly there: Place;
  readonly method: string;
  /** All of it but the body, as HTTP/1.1. */
  readonly text: string;
  readonly body: string | undefined;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
}

function urlOf(asked: HttpSettings): URL {
  const url = asked.cacheBust ? freshUrl(asked.http) : new URL(asked.http);
  return asked.sign === undefined ? url : signable(url);
}

/** What one asking does. A request that is the same each time is written out once. */
function exchanger(asked: HttpSettings, secrets: Secrets): (trip: Trip) => Promise<Answer> {
  if (asked.redirects > 0) return (trip) => follow(trip, asked, secrets);
  const url = urlOf(asked);
  const isSame = !asked.cacheBust && asked.sign === undefined;
  const same = isSame ? write(asked, { url, origin: url, method: asked.method }, secrets, 0) : null;
  return (trip) => {
    const message = same ?? writeAnew(asked, secrets, trip.wall());
    return converse(trip, asked, message).then((reply) => judge(trip, asked, reply));
  };
}

function writeAnew(asked: HttpSettings, secrets: Secrets, wall: number): Message {
  const url = urlOf(asked);
  return write(asked, { url, origin: url, method: asked.method }, secrets, wall);
}

/**
 * One asking without secrets: what came, with its body, what the check makes of it, and where it was
 * sent on to. It goes from hop to hop on the one host alone, until what comes is wanted.
 */
export async function askOnce(
  trip: Trip,
  asked: HttpSettings,
): Promise<{ readonly reply: Reply; readonly answer: Answer; readonly location: URL | null }> {
  const origin = urlOf(asked);
  for (let url = origin, followed = 0; ; followed++) {
    const message = write(asked, { origin, url, method: asked.method }, noSecrets, trip.wall());
    const reply = await converse(trip, asked, message, undefined, 'bytes');
    const location = isRedirect(reply) ? redirection(reply.location ?? '', url) : null;
    const isThere = location === null || isWanted(asked, reply.status);
    if (isThere || location.hostname !== origin.hostname || followed >= asked.redirects) {
      return { reply, answer: await judge(trip, asked, reply), location };
    }
    url = location;
  }
}

/** Writes the request of one hop. */
function write(asked: HttpSettings, hop: Hop, secrets: Secrets, wall: number): Message {
  const { url, method } = hop;
  const home = isHome(asked, hop);
  const takesBody = ['POST', 'PUT', 'PATCH'].includes(method);
  // What was written for the origin goes nowhere else.
  const body = takesBody && isSamePlace(hop) ? asked.body : undefined;
  const headers = {
    host: url.host,
    ...headersOf(asked, secrets, hop, wall),
    accept: (home ? asked.headers['accept'] : undefined) ?? '*/*',
    connection: 'close',
    ...(body === undefined ? {} : { 'content-type': asked.contentType }),
    ...(takesBody ? { 'content-length': String(Buffer.byteLength(body ?? '')) } : {}),
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const target = `${url.pathname}${url.search}`;
  const text = `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`;
  return { there: placeOf(asked, hop, home), method, text, body, url, headers };
}

/** How often what has come of a body without a length is looked at, as parts of the deadline. */
const looks = 8;

/**
 * Sends one request over a connection of its own and reads the answer. `isEnough` says of which head
 * no body is wanted.
 */
function converse(
  trip: Trip,
  asked: HttpSettings,
  message: Message,
  isEnough: (head: Head) => boolean = () => false,
  wants: 'bytes' | 'length' = asked.expect.body === undefined ? 'length' : 'bytes',
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    new Conversation(trip, asked, message, isEnough, wants, resolve, reject).begin();
  });
}

/** The same request, by which the server may keep the connection open. */
function keeping(text: string): string {
  return text.replace('\r\nconnection: close\r\n', '\r\nconnection: keep-alive\r\n');
}

const isAgreed = ({ alpnProtocol }: TLSSocket) => alpnProtocol === 'h2';
const noHttp2 = 'the server does not agree on HTTP/2 (ALPN h2)';

/** Most probes are this and nothing else, so it takes one promise and few listeners. */
class Conversation {
  readonly #trip: Trip;
  readonly #asked: HttpSettings;
  readonly #message: Message;
  readonly #isEnough: (head: Head) => boolean;
  readonly #resolve: (reply: Reply) => void;
  readonly #reject: (error: unknown) => void;
  readonly #reader: AnswerReader;
  /** When the request was sent, by `performance.now()`; 0 before that. */
  #from = 0;
  #isDone = false;
  #connection: Duplex | null = null;
  #looking: NodeJS.Timeout | null = null;

  constructor(
    trip: Trip,
    asked: HttpSettings,
    message: Message,
    isEnough: (head: Head) => boolean,
    wants: 'bytes' | 'length',
    resolve: (reply: Reply) => void,
    reject: (error: unknown) => void,
  ) {
    this.#trip = trip;
    this.#asked = asked;
    this.#message = message;
    this.#isEnough = isEnough;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#reader = new AnswerReader(message.method, asked.maxBytes, wants);
  }

  begin(): void {
    const { there } = this.#message;
    // What is laid over the connection reads it by itself.
    const take = this.#asked.http2 === undefined ? this.#take : undefined;
    open(this.#trip, there, take)
      .then((socket) => this.#connected(socket))
      .catch(this.#broke);
  }

  #connected(socket: Duplex): void {
    const { there, text, body } = this.#message;
    this.#connection = socket;
    this.#trip.stage = 'answer';
    this.#from = performance.now();
    const { http2 } = this.#asked;
    if (http2 !== undefined) {
      // In the clear nobody is asked: it is spoken, or not.
      const agreed = there.trust === null ? http2 === 'only' : isAgreed(socket as TLSSocket);
      if (agreed) return this.#byHttp2(socket);
      if (http2 === 'only') return this.#broke(new Told(fail('protocol', noHttp2)));
      socket.on('data', this.#take);
    } else if (there.trust !== null || !this.#trip.isDirect) socket.on('data', this.#take);
    socket.on('end', this.#ended);
    socket.on('error', this.#broke);
    socket.on('close', this.#ended);
    socket.write(this.#trip.isWanted ? keeping(text) : text, 'latin1');
    if (body !== undefined) socket.write(body, 'utf8');
  }

  #byHttp2(socket: Duplex): void {
    const { method, body, url, headers } = this.#message;
    const { host, connection: _, ...rest } = headers as Record<string, string>;
    askByHttp2(socket, {
      scheme: url.protocol === 'https:' ? 'https' : 'http',
      method,
      authority: host!,
      path: `${url.pathname}${url.search}`,
      headers: rest,
      body,
      maxBytes: this.#asked.maxBytes,
      headCame: (head) => {
        this.#headCame(head);
        return this.#isEnough(head);
      },
      isEnough: (answer) => isJudgeable(this.#asked, answer),
      lookEveryMs: this.#trip.timeoutMs / looks,
    }).then((reply) => {
      if (this.#isDone) return;
      this.#over();
      this.#resolve(reply);
    }, this.#broke);
  }

  readonly #take = (bytes: Buffer): void => {
    if (this.#isDone) return;
    try {
      const isWhole = this.#reader.take(bytes);
      const { head } = this.#reader;
      if (head === null) return;
      if (this.#trip.stage !== 'body') this.#headCame(head);
      if (isWhole) this.#leaveOpen(head);
      if (isWhole || this.#isEnough(head)) this.#end(this.#reader.cut);
      else if (this.#reader.isOpenEnded) {
        const everyMs = this.#trip.timeoutMs / looks;
        this.#looking ??= setInterval(() => void this.#look().catch(this.#broke), everyMs);
      }
    } catch (error) {
      const own = this.#connection;
      const meetsItself = own instanceof net.Socket && isItself(own);
      this.#broke(meetsItself ? itself() : error);
    }
  };

  /** Its end came by its length, and the server keeps what carried it. */
  #leaveOpen({ keptMs }: Head): void {
    if (keptMs > 0 && this.#reader.isWhole) this.#trip.leaveOpen(this.#connection!, keptMs);
  }

  #headCame({ date, age }: Head): void {
    this.#trip.note('firstByteMs', this.#from);
    this.#trip.stage = 'body';
    const now = performance.now();
    if (!othersClock.isDue(now)) return;
    const { host, port } = this.#message.there.to;
    othersClock.note(printHostPort(host, port), date, age, this.#trip.wall(), now);
  }

  /** What has come of an answer that may never end may be enough. */
  async #look(): Promise<void> {
    // A trip that is over has let go of its connection, which tells nothing more.
    if (this.#trip.isOver) return this.#over();
    if (this.#isDone || !(await isJudgeable(this.#asked, this.#reply(true)))) return;
    if (!this.#isDone) this.#end(true);
  }

  readonly #ended = (): void => {
    if (this.#isDone) return;
    if (this.#reader.finish()) return this.#end(this.#reader.cut);
    const code = this.#reader.head === null ? 'ECONNRESET' : 'ERR_STREAM_PREMATURE_CLOSE';
    this.#broke(Object.assign(new Error('the connection was closed'), { code }));
  };

  readonly #broke = (error: unknown): void => {
    if (this.#isDone) return;
    this.#over();
    if (this.#reader.head === null && this.#from > 0) {
      this.#trip.note('firstByteMs', this.#from);
    }
    this.#reject(error);
  };

  #end(cut: boolean): void {
    this.#over();
    const reply = this.#reply(cut);
    // A connection that is held would keep it in memory.
    if (this.#trip.isWanted) this.#reader.forget();
    this.#resolve(reply);
  }

  #over(): void {
    this.#isDone = true;
    if (this.#looking !== null) clearInterval(this.#looking);
  }

  #reply(cut: boolean): Reply {
    const { head, length } = this.#reader;
    return { ...head!, body: this.#reader.body(), length, cut };
  }
}

/**
 * Whether an answer that has not ended, and may never end, can be judged by what has come of it. One
 * of a kind that never ends needs no more than its head; of any other a body that is awaited hangs.
 */
async function isJudgeable(asked: HttpSettings, reply: Reply): Promise<boolean> {
  if (!isWanted(asked, reply.status)) return true;
  if (asked.expect.body !== undefined) return (await judgeContent(asked, reply)) === null;
  return /^(?:text\/event-stream|multipart\/x-mixed-replace)\b/i.test(reply.type ?? '');
}

/** Asks from hop to hop and judges the last one's answer. */
async function follow(trip: Trip, asked: HttpSettings, secrets: Secrets): Promise<Answer> {
  const origin = urlOf(asked);
  let url = origin;
  let method: string = asked.method;
  for (let followed = 0; ; followed++) {
    const message = write(asked, { origin, url, method }, secrets, trip.wall());
    const reply = await converse(trip, asked, message, isRedirect);
    if (!isRedirect(reply)) return judge(trip, asked, reply);
    const next = redirection(reply.location ?? '', url);
    if (next === null) {
      return fail('protocol', `status ${reply.status} with a Location that cannot be followed`);
    }
    if (followed >= asked.redirects) {
      return fail('too-many-redirects', `redirected more than ${asked.redirects} times`);
    }
    // RFC 9110 section 15.4: 303 by meaning, 301 and 302 by custom, turn a POST into a GET.
    const isChange = method === 'PUT' || method === 'PATCH';
    if (method === 'POST' ? reply.status <= 303 : isChange && reply.status === 303) method = 'GET';
    url = next;
  }
}

interface Hop {
  /** The configured URL. */
  readonly origin: URL;
  /** The one to ask: the same, or where a redirect leads. */
  readonly url: URL;
  readonly method: string;
}

/** What a hop is sent, but for what its client adds by itself. */
function headersOf(
  asked: HttpSettings,
  secrets: Secrets,
  hop: Hop,
  wall: number,
): Readonly<Record<string, string>> {
  const home = isHome(asked, hop);
  return {
    ...ownHeaders,
    ...(home ? asked.headers : {}),
    ...(home && asked.host !== undefined ? { host: asked.host } : {}),
    ...(home && isSamePlace(hop) ? authorization(asked, secrets, hop, wall) : {}),
  };
}

/** The host that was configured, under any of its names; only there pin, Host and headers hold. */
function isHome(asked: HttpSettings, { origin, url }: Hop): boolean {
  if (url === origin) return true;
  const bare = (name: string) => name.replace(/\.$/, '');
  const host = bare(url.hostname);
  return host === bare(origin.hostname) || host === nameOf(asked.host ?? '');
}

/** Not the same host in the clear, nor another service on it: secrets stay where they belong. */
function isSamePlace({ origin, url }: Hop): boolean {
  const [a, b] = [origin, url];
  return a.protocol === b.protocol && a.port === b.port && a.hostname === b.hostname;
}

function authorization(
  asked: HttpSettings,
  secrets: Secrets,
  { url, method }: Hop,
  wall: number,
): Readonly<Record<string, string>> {
  if (asked.sign === undefined || secrets.keys === null) return secrets.headers;
  const { region, service } = asked.sign;
  const headers = { host: asked.host ?? url.host };
  const { keys } = secrets;
  return {
    ...secrets.headers,
    ...sign({ method, url, headers, region, service, keys, wall }),
  };
}

/** Where a connection goes, and whom it has to find there. */
interface Place {
  readonly to: Destination;
  /** null: no TLS. */
  readonly trust: Trust | null;
}

/** `home`: the connection goes where the configured URL leads, whatever name a redirect uses. */
function placeOf(asked: HttpSettings, hop: Hop, home: boolean): Place {
  const { origin, url } = hop;
  const secure = url.protocol === 'https:';
  const host = bareHost(home ? origin : url);
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
  const to = { host, port, address: home ? asked.address : undefined };
  if (!secure) return { to, trust: null };
  const name = home && asked.host !== undefined ? nameOf(asked.host) : bareHost(url);
  // Who we are is told to nobody else than whom it was configured for.
  const client = home && isSamePlace(hop) ? asked.client : undefined;
  return { to, trust: { name, ca: asked.ca, alpn: protocolsOf(asked), client } };
}

function protocolsOf({ http2 }: HttpSettings): readonly string[] {
  if (http2 === undefined) return ['http/1.1'];
  return http2 === 'only' ? ['h2'] : ['h2', 'http/1.1'];
}

function open(trip: Trip, { to, trust }: Place, take?: Take): Promise<Duplex> {
  if (trust === null) return trip.connect(to, take);
  return trip.connectSecurely(to, trust);
}

/** Without the brackets of an IPv6 address. */
function bareHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

function isRedirect({ status, location }: Head): boolean {
  return [301, 302, 303, 307, 308].includes(status) && location !== null;
}

/** null: nobody could follow it. */
function redirection(location: string, from: URL): URL | null {
  const url = location.length <= 2048 ? URL.parse(location, from.href) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.port === '0') return null;
  url.username = '';
  url.password = '';
  url.hash = '';
  return url;
}

function isWanted({ expect }: HttpSettings, status: number): boolean {
  return expect.status.some(([least, most]) => status >= least && status <= most);
}

function judge(trip: Trip, asked: HttpSettings, reply: Reply): Answer | Promise<Answer> {
  const { status, date, retryAfter } = reply;
  const { status: wanted, body: wantedBody } = asked.expect;
  if (!isWanted(asked, status)) {
    const offMs = Math.abs(trip.wall() - Date.parse(date ?? ''));
    if (asked.sign !== undefined && status === 403 && offMs > clockOffMs) {
      const minutes = Math.round(offMs / 60_000);
      return blind('clock', `status 403, and our clock is ${minutes} minutes off theirs`);
    }
    if (status === 429) return limited('status 429: asked too often', retryAfter, trip.wall());
    return fail('status', `status ${status}, expected ${printStatuses(wanted)}`);
  }
  if (wantedBody === undefined) return judgeRest(trip, asked, reply);
  return judgeContent(asked, reply).then((wrong) => wrong ?? judgeRest(trip, asked, reply));
}

function judgeRest(trip: Trip, asked: HttpSettings, { status, length }: Reply): Answer {
  const tooFew = trip.judgeDays(asked.expect.certificateDays);
  if (tooFew !== null) return tooFew;
  return { outcome: 'pass', reason: 'ok', detail: `status ${status}, ${length} bytes` };
}

/** What is wrong with a body, or keeps us from saying so; null: it is as it is wanted. */
async function judgeContent(asked: HttpSettings, reply: Reply): Promise<Answer | null> {
  const { encodings, type } = reply;
  const wanted = asked.expect.body!;
  let { body, cut } = reply;
  if (encodings.length > 0) {
    const unpacked = await unpack(body, encodings, asked.maxBytes);
    if (unpacked.kind === 'unknown') {
      return blind('encoding', `the body is ${clause(unpacked.coding)}, which is not read here`);
    }
    if (unpacked.kind === 'damaged') {
      return fail('body', `the body cannot be unpacked: it is no ${unpacked.coding}`);
    }
    body = unpacked.bytes;
    cut ||= unpacked.cut;
  }
  const match = judgeBody(body, cut, wanted, type);
  if (match.kind === 'match') return null;
  if (match.kind === 'mismatch') return fail('body', match.detail);
  return blind(match.isOfEncoding ? 'encoding' : 'internal', match.detail);
}
