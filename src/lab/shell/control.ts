// How a second terminal reaches a running lab: HTTP with JSON on a Unix socket in the lab's
// directory. The permissions of the socket are the key. It carries words only: what they do is the
// lab's business. It must never listen on a network, never take over a socket that still answers,
// and never wait without an end.

import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync, rmSync } from 'node:fs';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Json } from '../../core/model.ts';

/**
 * What can be broken: a cloud, one of its regions, origins, object stores (`store`), its control
 * API (`api`) or its token service (`sts`); a DNS vendor's API or name servers (`vendor`), or one zone at it (`zone`, by
 * `VENDOR/ZONE`); a way out (`path`), or all that share a line or a site (`uplink`); a reference
 * point (`reference`).
 */
export const scopes = [
  'cloud',
  'region',
  'origin',
  'store',
  'api',
  'sts',
  'vendor',
  'zone',
  'path',
  'uplink',
  'reference',
] as const;

export type Scope = (typeof scopes)[number];

export type ControlRequest =
  | { readonly kind: 'status' }
  | {
      readonly kind: 'break';
      readonly scope: Scope;
      readonly name: string;
      readonly how: string;
      /** Of `loss`, above 0 and at most 1; null: the usual one. */
      readonly share: number | null;
    }
  /** Without a scope: everything. */
  | { readonly kind: 'heal'; readonly scope: Scope | null; readonly name: string }
  /** What a person does at a vendor's console: another value, or none. */
  | {
      readonly kind: 'edit';
      readonly vendor: string;
      readonly record: string;
      readonly value: string | null;
    }
  | { readonly kind: 'protect'; readonly vendor: string; readonly record: string }
  | { readonly kind: 'stop' };

export interface ControlReply {
  /** The exit code for the command line: 0 done, 1 the lab could not, 2 wrong input. */
  readonly exit: 0 | 1 | 2;
  /** What was done, or why not and what would work. */
  readonly message: string;
  readonly detail?: Json;
}

/** Something the user can put right; the message says what and how. */
export class LabError extends Error {
  readonly exit: 1 | 2;
  /** Nobody listens on the socket that was asked. */
  readonly gone: boolean;
  constructor(message: string, exit: 1 | 2 = 1, gone = false) {
    super(message);
    this.exit = exit;
    this.gone = gone;
  }
}

interface Control {
  readonly path: string;
  /** Ends every connection and removes the socket. */
  close(): Promise<void>;
}

/** Octets that fit into `sun_path` on every system: 104 with the final zero on macOS. */
const pathOctetsMost = 103;
const bodyOctetsMost = 65_536;
const connectionsMax = 32;
const closeMs = 1000;

export interface SocketPlace {
  readonly directory: string;
  /** Why it is not the directory that was asked for; null when it is. */
  readonly note: string | null;
}

/**
 * Where sockets of these names can stand: the directory itself or, if the paths would be too long
 * for a Unix socket, a short private one that the same directory always gets again. Throws LabError
 * when that one belongs to somebody else.
 */
export function socketPlace(directory: string, names: readonly string[]): SocketPlace {
  const fits = (dir: string) =>
    names.every((name) => Buffer.byteLength(join(dir, name)) <= pathOctetsMost);
  if (fits(directory)) return { directory, note: null };
  const tag = createHash('sha256').update(directory).digest('hex').slice(0, 12);
  const short = join(tmpdir(), `detour-lab-${tag}`);
  if (!fits(short)) {
    throw new LabError(
      `${directory}: too long for a Unix socket (at most ${pathOctetsMost} octets), and so is ` +
        `${short}: choose a shorter --dir or TMPDIR`,
    );
  }
  mkdirSync(short, { recursive: true, mode: 0o700 });
  const found = lstatSync(short);
  const uid = process.getuid?.() ?? found.uid;
  if (!found.isDirectory() || found.uid !== uid || (found.mode & 0o077) !== 0) {
    throw new LabError(
      `${short}: is not a private directory of yours: remove it, or choose a shorter --dir`,
    );
  }
  const limit = `Unix sockets take paths of at most ${pathOctetsMost} octets`;
  return { directory: short, note: `${limit}; the lab's sockets are in ${short}` };
}

/**
 * Listens for commands on a socket that only this user can open. A socket that nobody answers any
 * more is replaced; one that answers throws LabError. What `handle` throws becomes exit 1.
 */
export async function startControl(
  path: string,
  handle: (request: ControlRequest) => Promise<ControlReply>,
): Promise<Control> {
  const server = createServer((request, response) => {
    answer(request, response, handle).catch(() => response.destroy());
  });
  server.maxConnections = connectionsMax;
  server.requestTimeout = 10_000;
  server.on('clientError', (_error, socket) => socket.destroy());
  const listen = () =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, () => {
        server.removeListener('error', reject);
        resolve();
      });
    });
  try {
    await listen();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    if (await isAnswered(path)) {
      throw new LabError(
        `a lab is already running on ${path}: stop it with \`detour lab stop\`, ` +
          'or give this one another --dir',
      );
    }
    rmSync(path, { force: true });
    await listen();
  }
  chmodSync(path, 0o600);
  return {
    path,
    close: () =>
      new Promise((resolve) => {
        // An answer under way, such as the one to `stop`, is let out first.
        const cut = setTimeout(() => server.closeAllConnections(), closeMs);
        server.close(() => {
          clearTimeout(cut);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}

/**
 * Says one thing to a running lab. Throws LabError when none answers there, when it does not answer
 * in time, or when it answers nonsense.
 */
export async function askControl(
  path: string,
  request: ControlRequest,
  timeoutMs = 15_000,
): Promise<ControlReply> {
  const { kind, ...body } = request;
  const method = kind === 'status' ? 'GET' : 'POST';
  const text = await new Promise<string>((resolve, reject) => {
    const call = httpRequest({
      socketPath: path,
      path: `/${kind}`,
      method,
      agent: false,
      headers: { 'content-type': 'application/json' },
      signal: AbortSignal.timeout(timeoutMs),
    });
    call.on('error', (error: NodeJS.ErrnoException) => reject(unreachable(path, error)));
    call.on('response', (response) => {
      read(response, 8 << 20).then(resolve, (e) => reject(unreachable(path, e as Error)));
    });
    call.end(method === 'POST' ? JSON.stringify(body) : undefined);
  });
  const reply = parse(text);
  if (typeof reply?.message !== 'string' || ![0, 1, 2].includes(reply.exit as number)) {
    throw new LabError(`what answers on ${path} is not a lab: choose another --dir`);
  }
  return reply as unknown as ControlReply;
}

function unreachable(path: string, error: NodeJS.ErrnoException): LabError {
  if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') {
    return new LabError(
      `no lab is running on ${path}: start one with \`detour lab\`, or say where with --dir`,
      1,
      true,
    );
  }
  if (error.name === 'AbortError' || error.name === 'TimeoutError') {
    return new LabError(`the lab on ${path} did not answer in time`);
  }
  return new LabError(`the lab on ${path} could not be asked: ${error.code ?? error.message}`);
}

/** Whether somebody listens there, lab or not and however slow: then the socket is theirs. */
export function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  handle: (request: ControlRequest) => Promise<ControlReply>,
): Promise<void> {
  const asked = toRequest(request, await read(request, bodyOctetsMost));
  let reply: ControlReply;
  try {
    reply = typeof asked === 'string' ? { exit: 2, message: asked } : await handle(asked);
  } catch (error) {
    const exit = error instanceof LabError ? error.exit : 1;
    reply = { exit, message: error instanceof Error ? error.message : String(error) };
  }
  const status = reply.exit === 0 ? 200 : reply.exit === 2 ? 400 : 500;
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(reply)}\n`);
}

const posts = ['/break', '/heal', '/edit', '/protect', '/stop'];

/** What was asked, or the sentence that says why it is nothing. */
function toRequest(request: IncomingMessage, text: string): ControlRequest | string {
  const path = request.url ?? '';
  if (request.method === 'GET' && path === '/status') return { kind: 'status' };
  if (request.method !== 'POST' || !posts.includes(path)) {
    const asked = `${request.method} ${path}`.slice(0, 80);
    return `${asked}: there are GET /status, POST ${posts.join(', ')}`;
  }
  if (path === '/stop') return { kind: 'stop' };
  const body = parse(text);
  if (body === null) return 'the body is not a JSON object';
  if (path === '/edit' || path === '/protect') return toConsole(path, body);
  const { scope, name, how, share = null } = body;
  if (path === '/heal' && (scope === undefined || scope === null)) {
    return { kind: 'heal', scope: null, name: '' };
  }
  if (!scopes.includes(scope as Scope)) return `scope: expected one of ${scopes.join(', ')}`;
  if (typeof name !== 'string' || name === '') return `name: expected the name of a ${scope}`;
  if (path === '/heal') return { kind: 'heal', scope: scope as Scope, name };
  if (typeof how !== 'string') return 'how: expected the word of a fault, such as refuse';
  if (share !== null && !(typeof share === 'number' && share > 0 && share <= 1)) {
    return 'share: expected a number above 0 and at most 1, or null';
  }
  return { kind: 'break', scope: scope as Scope, name, how, share };
}

/** What is done by hand at a vendor. */
function toConsole(
  path: '/edit' | '/protect',
  { vendor, record, value = null }: Readonly<Record<string, unknown>>,
): ControlRequest | string {
  if (typeof vendor !== 'string' || vendor === '') return 'vendor: expected the name of a vendor';
  if (typeof record !== 'string' || record === '') return 'record: expected the name of a record';
  if (path === '/protect') return { kind: 'protect', vendor, record };
  if (value !== null && typeof value !== 'string') return 'value: expected a name, or null';
  return { kind: 'edit', vendor, record, value };
}

function parse(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    const plain = typeof value === 'object' && value !== null && !Array.isArray(value);
    return plain ? (value as Readonly<Record<string, unknown>>) : null;
  } catch {
    return null; // not JSON: the caller says so
  }
}

async function read(message: IncomingMessage, octetsMost: number): Promise<string> {
  const chunks: Buffer[] = [];
  let octets = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    octets += chunk.length;
    if (octets > octetsMost) throw new Error(`more than ${octetsMost} octets`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
