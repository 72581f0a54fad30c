// The parts of the lab's clouds: origins, an object store for each region that wants signed
// requests, a control API and a token service; and the reference points that belong to none. All are
// plain HTTP servers on loopback that can be broken the way real ones break, or refuse valid keys
// while the machines go on. A fault also takes the connections that are open when it begins, as an
// outage does. A part must never answer while a fault says that it does not, and never listen
// anywhere but on the loopback address it was given.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Listener } from '../vendors/listener.ts';
import { type SignatureFlaw, type SigningKey, signatureFlaw } from '../vendors/sigv4.ts';
import type { TokenService } from './tokens.ts';

/** Every way a machine can break, with what a client sees. */
export const originFaults = {
  refuse: 'refuses connections (nothing listens)',
  hang: 'accepts connections and never answers',
  reset: 'resets every connection',
  '5xx': 'answers 503',
  slow: 'never ends the header of its answer',
  drip: 'answers 200 and drips a body that never ends',
  'wrong-body': 'answers 200 with the wrong page',
  flap: 'alternates every 2 s between 503 and a good answer',
  loss: 'leaves a share of the requests without an answer',
} as const;

/** What befalls a cloud's services while its machines go on. */
export const serviceFaults = {
  auth: 'refuses every signed request though the key is valid',
  control: 'answers 503 at the control API alone',
} as const;

type OriginFault = keyof typeof originFaults;
type ServiceFault = keyof typeof serviceFaults;
export type PartFault = OriginFault | ServiceFault;
type PartKind = 'origin' | 'store' | 'api' | 'sts' | 'reference';

/** The faults that a kind of part can have. */
export function faultsOf(kind: PartKind): readonly PartFault[] {
  const machine = Object.keys(originFaults) as OriginFault[];
  if (kind === 'store' || kind === 'sts') return [...machine, 'auth'];
  return kind === 'api' ? [...machine, 'auth', 'control'] : machine;
}

interface Place {
  /** A loopback address. */
  readonly address: string;
  /** 0: a free one, kept through every fault. */
  readonly port: number;
}

interface OriginOptions extends Place {
  readonly name: string;
  readonly cloud: string;
  readonly region: string;
  /** Milliseconds of each half of `flap`; 2000 unless set. */
  readonly flapMs?: number;
}

interface StoreOptions extends Place {
  readonly name: string;
  readonly cloud: string;
  readonly region: string;
  /** The one key that it knows. */
  readonly key: SigningKey;
}

/** A server of the lab that can be broken. */
export interface Part {
  readonly kind: PartKind;
  readonly name: string;
  /** Null for a reference point. */
  readonly cloud: string | null;
  /** Null for a control API and a reference point. */
  readonly region: string | null;
  readonly address: string;
  readonly port: number;
  /** The fault in force; null: it serves. */
  readonly fault: PartFault | null;
  /** Of `loss`, 0 to 1. */
  readonly share: number;
  /** Requests read since the start, answered or not. */
  readonly requests: number;
  /** Connections accepted since the start. */
  readonly connections: number;
  /**
   * Resolves when the fault is in force, for open connections too. `share`, 0 to 1, is for `loss`:
   * 0.3 unless given.
   */
  break(fault: PartFault, share?: number): Promise<void>;
  /** Resolves when it serves again. Rejects when its port was taken meanwhile. */
  heal(): Promise<void>;
  /** Ends every connection and gives the port back. */
  close(): Promise<void>;
}

export interface Origin extends Part {
  readonly cloud: string;
  readonly region: string;
}

/** What one fault takes down: one origin, every origin of a region, or a whole cloud. */
type OriginScope = 'origin' | 'region' | 'cloud';

/** Whether a part lies in a region, called `cn-hangzhou` or `aliyun/cn-hangzhou`. */
export function isInRegion(part: Part, name: string): boolean {
  return part.region !== null && (name === part.region || name === `${part.cloud}/${part.region}`);
}

/** The origins that a scope and a name mean; empty when nothing is called that. */
export function originsOf<T extends Part>(
  origins: readonly T[],
  scope: OriginScope,
  name: string,
): readonly T[] {
  return origins.filter((o) => {
    if (scope === 'region') return isInRegion(o, name);
    return (scope === 'origin' ? o.name : o.cloud) === name;
  });
}

/**
 * Starts one origin: `GET /healthz` answers 200 with `ok NAME`, `GET /` says who it is. Rejects
 * with the system's error (`EADDRINUSE`, `EADDRNOTAVAIL`) when the address cannot be listened on.
 */
export async function startOrigin(options: OriginOptions): Promise<Origin> {
  const { name, cloud, region } = options;
  const pages = { '/healthz': `ok ${name}`, '/': `${name}, in ${region} of ${cloud}\n` };
  return opened({ kind: 'origin', ...options, serve: servePages(pages) });
}

/**
 * Starts an object store: `GET /probe/probe.txt` wants a request signed with AWS Signature
 * Version 4 for `s3` in its region, `GET /public.txt` wants none. Rejects as `startOrigin` does.
 */
export function startStore(options: StoreOptions): Promise<Origin> {
  return opened({ kind: 'store', ...options, serve: serveObjects(options) });
}

/** Starts the control API of a cloud: `GET /` answers 200 with JSON. Rejects as `startOrigin` does. */
export function startApi(options: Place & { name: string; cloud: string }): Promise<Part> {
  return opened({ kind: 'api', region: null, ...options, serve: serveControl(options.cloud) });
}

/** Starts the token service of a cloud; see tokens.ts. Rejects as `startOrigin` does. */
export function startTokens(
  options: Place & { name: string; cloud: string; service: TokenService },
): Promise<Part> {
  return opened({ kind: 'sts', region: null, ...options, serve: serveTokens(options.service) });
}

/** Starts a thing that is up, and in no cloud: `GET /` answers 204. Rejects as `startOrigin` does. */
export function startReference(options: Place & { name: string }): Promise<Part> {
  const serve: Serve = (_request, response) => response.writeHead(204).end();
  return opened({ kind: 'reference', cloud: null, region: null, ...options, serve });
}

// ---------------------------------------------------------------- a server and its faults

/** One byte so often, for `slow` and `drip`: 16 KiB of header, Node's limit, last over an hour. */
const dripMs = 250;
/** What `wrong-body` serves: somebody else's page, with a good status. */
const wrongPage = '<!doctype html><title>Welcome</title><p>It works!\n';
const usualShare = 0.3;

type Serve = (
  request: IncomingMessage,
  response: ServerResponse,
  fault: ServiceFault | null,
) => void;

interface PartOptions<Cloud, Region> extends Place {
  readonly kind: PartKind;
  readonly name: string;
  readonly cloud: Cloud;
  readonly region: Region;
  readonly flapMs?: number;
  readonly serve: Serve;
}

async function opened<C extends string | null, R extends string | null>(
  options: PartOptions<C, R>,
): Promise<HttpPart<C, R>> {
  const part = new HttpPart(options);
  await part.open();
  return part;
}

class HttpPart<Cloud, Region> {
  readonly kind: PartKind;
  readonly name: string;
  readonly cloud: Cloud;
  readonly region: Region;
  fault: PartFault | null = null;
  share = usualShare;
  requests = 0;
  readonly #listener: Listener;
  readonly #flapMs: number;
  readonly #serve: Serve;
  #faultSince = 0;

  constructor(options: PartOptions<Cloud, Region>) {
    this.kind = options.kind;
    this.name = options.name;
    this.cloud = options.cloud;
    this.region = options.region;
    this.#flapMs = options.flapMs ?? 2000;
    this.#serve = options.serve;
    this.#listener = new Listener({
      address: options.address,
      port: options.port,
      make: () => this.#make(),
      accepted: (socket) => this.#strike(socket),
    });
  }

  get address(): string {
    return this.#listener.address;
  }

  get port(): number {
    return this.#listener.port;
  }

  get connections(): number {
    return this.#listener.connections;
  }

  open(): Promise<void> {
    return this.#listener.open();
  }

  break(fault: PartFault, share = usualShare): Promise<void> {
    return this.#listener.inTurn(async () => {
      this.#begin(fault);
      this.share = share;
      if (fault === 'refuse') await this.#listener.shut();
      else await this.#listener.open();
      for (const socket of this.#listener.sockets) this.#strike(socket);
    });
  }

  heal(): Promise<void> {
    return this.#listener.inTurn(async () => {
      // What was held back stays lost: a server that comes back does not know its old clients.
      if (this.fault !== null) this.#listener.drop();
      await this.#listener.open();
      this.#begin(null);
    });
  }

  close(): Promise<void> {
    return this.#listener.close();
  }

  #begin(fault: PartFault | null): void {
    this.fault = fault;
    this.#faultSince = performance.now();
  }

  #make(): Server {
    const server = createServer((request, response) => this.#answer(request, response));
    // A client that talks nonsense or leaves early is the client's business.
    server.on('clientError', (_error, socket) => socket.destroy());
    return server;
  }

  /** What the fault does to a connection as such, before any request on it. */
  #strike(socket: Socket): void {
    if (this.fault === 'reset') socket.resetAndDestroy();
    if (this.fault === 'refuse') socket.destroy();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.requests++;
    request.resume();
    const fault = this.#faultNow();
    if (fault === null || fault === 'auth' || fault === 'control') {
      this.#serve(request, response, fault);
    } else if (fault === '5xx') send(response, 503, `${this.name} is broken on purpose\n`);
    else if (fault === 'wrong-body') send(response, 200, wrongPage);
    else if (fault === 'slow') drip(response, 'HTTP/1.1 200 OK\r\nX-Patience: ');
    else if (fault === 'drip') drip(response, endless);
    else this.#strike(request.socket); // `hang` leaves it as it is, unanswered
  }

  #faultNow(): Exclude<PartFault, 'flap' | 'loss'> | null {
    if (this.fault === 'loss') return Math.random() < this.share ? 'hang' : null;
    if (this.fault !== 'flap') return this.fault;
    const halves = Math.floor((performance.now() - this.#faultSince) / this.#flapMs);
    return halves % 2 === 0 ? '5xx' : null;
  }
}

function send(
  response: ServerResponse,
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, {
    'content-type': body.startsWith('<') ? 'text/html' : 'text/plain',
    'content-length': Buffer.byteLength(body),
    ...headers,
  });
  response.end(body);
}

const endless = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 65536\r\n\r\n';

/** Begins an answer and never ends it; for `slow` not even its header. */
function drip(response: ServerResponse, beginning: string): void {
  const socket = response.socket;
  if (socket === null) return;
  socket.write(beginning);
  const timer = setInterval(() => socket.write('.'), dripMs);
  socket.once('close', () => clearInterval(timer));
}

// ---------------------------------------------------------------- what they serve

function servePages(pages: Readonly<Record<string, string>>): Serve {
  return (request, response) => {
    if (!isReading(request, response)) return;
    const path = pathOf(request);
    const page = Object.hasOwn(pages, path) ? pages[path]! : null;
    send(response, page === null ? 404 : 200, page ?? 'there are only / and /healthz\n');
  };
}

const json = { 'content-type': 'application/json' };

/** During `auth` a signed call is refused, and one without a key fails as the real console did. */
function serveControl(cloud: string): Serve {
  return (request, response, fault) => {
    if (!isReading(request, response)) return;
    const say = (status: number, body: object) =>
      send(response, status, `${JSON.stringify(body)}\n`, json);
    if (fault === 'control') say(503, { Code: 'ServiceUnavailable', Message: 'try again later' });
    else if (fault === 'auth' && request.headers.authorization !== undefined) {
      say(403, { Code: 'InvalidAccessKeyId', Message: unknownKey });
    } else if (fault === 'auth') say(500, { Code: 'InternalError', Message: 'internal error' });
    else if (pathOf(request) !== '/') say(404, { Code: 'NotFound', Message: 'there is only /' });
    else say(200, { cloud, status: 'ok' });
  };
}

const storeSkewMs = 15 * 60_000;
const unknownKey = 'The Access Key Id you provided does not exist in our records.';

/** Two objects, in the error words of S3 (AWS, "Error responses", read 2026-11). */
function serveObjects({ name, region, key }: StoreOptions): Serve {
  const rule = { service: 's3', region, key, skewMs: storeSkewMs };
  return (request, response, fault) => {
    if (!isReading(request, response)) return;
    const refuse = (status: number, code: string, message: string) =>
      send(response, status, errorXml(code, message), { 'content-type': 'application/xml' });
    const { authorization, 'x-amz-content-sha256': claimed } = request.headers;
    const isSigned = authorization !== undefined;
    if (isSigned && fault === 'auth') return refuse(403, 'InvalidAccessKeyId', unknownKey);
    const path = pathOf(request);
    const { method = 'GET', url: target = '/', headers } = request;
    if (isSigned) {
      if (claimed === undefined) return refuse(400, 'InvalidRequest', noHash);
      const flaw = signatureFlaw({ method, target, headers, body: Buffer.alloc(0) }, rule);
      if (flaw !== null) return refuse(...storeWords(flaw, region));
    } else if (path !== '/public.txt') {
      return refuse(403, 'AccessDenied', 'Access Denied');
    }
    const objects = ['/public.txt', '/probe/probe.txt'];
    if (!objects.includes(path)) return refuse(404, 'NoSuchKey', 'The key does not exist.');
    send(response, 200, `ok ${name}\n`);
  };
}

/** Of one request for a token; a form is far below it. */
const formMax = 65_536;

function serveTokens(service: TokenService): Serve {
  return (request, response, fault) => {
    const { method = 'GET', url: target = '/', headers } = request;
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= formMax) chunks.push(chunk);
      else request.destroy();
    });
    request.once('end', () => {
      const asked = { method, target, headers, body: Buffer.concat(chunks) };
      const { status, type, body } = service(asked, fault === 'auth');
      send(response, status, body, { 'content-type': type });
    });
  };
}

const noHash = 'Missing required header for this request: x-amz-content-sha256';

function storeWords(flaw: SignatureFlaw, region: string): [number, string, string] {
  switch (flaw.kind) {
    case 'missing':
      return [403, 'AccessDenied', 'Access Denied'];
    case 'malformed':
      return [400, 'AuthorizationHeaderMalformed', 'The authorization header is malformed.'];
    case 'scope': {
      const found = `${flaw.region}/${flaw.service}`;
      const text = `The authorization header is malformed; ${found} is wrong; expecting ${region}/s3`;
      return [400, 'AuthorizationHeaderMalformed', text];
    }
    case 'unknown-key':
      return [403, 'InvalidAccessKeyId', unknownKey];
    case 'mismatch':
      return [403, 'SignatureDoesNotMatch', 'The request signature does not match.'];
    case 'expired':
    case 'early':
      return [403, 'RequestTimeTooSkewed', 'The request time differs too much from ours.'];
  }
}

/** What is put in comes from closed words and from what the pattern of a signature lets through. */
function errorXml(code: string, message: string): string {
  const inner = `<Code>${code}</Code><Message>${message}</Message>`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Error>${inner}</Error>\n`;
}

function isReading(request: IncomingMessage, response: ServerResponse): boolean {
  if (request.method === 'GET' || request.method === 'HEAD') return true;
  send(response, 405, 'only GET and HEAD\n', { allow: 'GET, HEAD' });
  return false;
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').split('?', 1)[0] ?? '/';
}
