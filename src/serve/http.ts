// The listener on TCP: metrics for Prometheus, health for an orchestrator, gates that let any load
// balancer or vendor's health check follow the decision with no API write; the status page, where it
// may be here; and what other monitors push, where checks are configured that hear it. It gives no
// order, believes no header but a token, takes no body else, and says nothing of any person.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { toName } from '../kit/schema.ts';
import { createBounded, type Limits, readBody, send, target } from './bounded.ts';
import type { Desk, Served, Trouble } from './desk.ts';
import { contentTypes, type Format, formatFor } from './exposition.ts';
import { keepListening } from './listening.ts';
import type { PlainPage } from './plain-page.ts';
import type { Readers, Work } from './readers.ts';
import { sendText, type Text } from './text.ts';

export interface HttpOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly desk: Desk;
  readonly metrics: { text(format: Format): Promise<Text> };
  readonly readers: Readers;
  /** Those who ask for health or a gate: they do not wait for who reads the metrics. */
  readonly askers: Readers;
  /** How long a gate holds a decision that cannot be known to be right; asked at each gate. */
  readonly gateHoldMs: number;
  /** What other monitors may push to; null: no check hears any. Asked at each push. */
  readonly pushes?: Pushes | null;
  /** The status page, and whether anybody may look; null: it is not here. Asked at each request. */
  readonly page?: { readonly plain: PlainPage; readonly isPublic: boolean } | null;
  readonly trouble: Trouble;
  readonly limits?: Partial<Limits>;
  /** The first wait before an address that could not be had is tried again, in milliseconds. */
  readonly retryMs?: number;
}

/** Who hears other monitors, by the name of a check. */
export interface Pushes {
  /** Bytes of one body. */
  readonly bytesMost: number;
  /** Whether a token is that of a name; asked before a body is read. */
  mayPush(name: string, token: string): boolean;
  /** Never throws on what was sent. */
  push(name: string, body: string): Answer;
}

/**
 * Listens. An address that cannot be had is told of as trouble and tried again, for ever: nothing but
 * readers needs it. Resolves after the first attempt; `host` and `port` are those that were got, or
 * those that are wanted, and `listens` says which.
 */
export async function serveHttp(
  options: HttpOptions,
): Promise<Served & { readonly host: string; readonly port: number; readonly listens: boolean }> {
  const { host, port, trouble } = options;
  const limits: Limits = { connections: 256, requestMs: 5000, idleMs: 15_000, ...options.limits };
  const server = createBounded(limits, handler(options), trouble);
  return keepListening(server, {
    ...{ host, port, trouble, retryMs: options.retryMs, key: 'listen', word: 'http-listener' },
    without: 'nobody can read metrics, health or gates there',
  });
}

/** What Node takes for one request and its answer, in milliseconds: seen 2026-11-30. */
const requestMs = 0.05;

/** A short answer is charged as well: thousands of them a second would hold the loop. */
function* small(make: () => Answer): Work<Answer> {
  const made = make();
  yield requestMs;
  return made;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

function handler(options: HttpOptions) {
  const { metrics, readers, askers } = options;
  const shelf = readers.shelf();
  const exposed = {
    text: shelf.shared(() => metrics.text('text')),
    openmetrics: shelf.shared(() => metrics.text('openmetrics')),
  };
  return async (
    request: IncomingMessage,
    response: ServerResponse,
    aside: () => void,
  ): Promise<void> => {
    const { path } = target(request);
    const { pushes = null, page = null } = options;
    if (request.method === 'POST' && pushes !== null && path.startsWith('/push/')) {
      return takePush(pushes, askers, request, response);
    }
    // At once, and the connection ends: a body that is still coming must not be waited for.
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      const headers = { allow: 'GET, HEAD', connection: 'close' };
      return send(request, response, 405, 'this listener only reads: GET or HEAD\n', headers);
    }
    if (path === '/metrics') {
      const format = formatFor(request.headers.accept);
      const headers = { 'content-type': contentTypes[format], vary: 'accept, accept-encoding' };
      return sendText({ request, response }, await exposed[format](response), headers, readers);
    }
    if (page?.plain.has(path) === true) {
      return page.plain.answer(request, response, aside, page.isPublic);
    }
    const { status, text } = await askers.spend(small(() => answer(options, path)));
    send(request, response, status, text);
  };
}

/**
 * `POST /push/NAME` with the token as a bearer (RFC 6750), or `POST /push/NAME/TOKEN` for senders
 * that cannot do better. Who has no token is told so whatever the name, and the body stays unread.
 */
async function takePush(
  pushes: Pushes,
  askers: Readers,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const end = { connection: 'close' };
  const [name = '', inPath, more] = target(request)
    .path.slice('/push/'.length)
    .split('/')
    .map(decode);
  const [, bearer] = /^Bearer +([\x21-\x7e]+)$/i.exec(request.headers.authorization ?? '') ?? [];
  const token = bearer ?? inPath ?? '';
  if (name === null || more !== undefined || !pushes.mayPush(name, token)) {
    const headers = { ...end, 'www-authenticate': 'Bearer' };
    return send(request, response, 401, 'no such name, or not with this token\n', headers);
  }
  const body = await readBody(request, pushes.bytesMost);
  if (body === null) {
    return send(request, response, 413, `a body has at most ${pushes.bytesMost} bytes\n`, end);
  }
  const heard = askers.spend(small(() => pushes.push(name, body)));
  const { status, text } = await heard;
  send(request, response, status, text);
}

function answer(options: HttpOptions, path: string): Answer {
  switch (path) {
    case '/healthz':
      return { status: 200, text: 'alive\n' };
    case '/readyz':
      return readiness(options.desk);
    default:
      return path.startsWith('/gates/') ? gate(options, path.slice('/gates/'.length)) : nothing;
  }
}

const nothing: Answer = {
  status: 404,
  text: 'nothing is served here; try /metrics, /healthz, /readyz or /gates/RECORD/TARGET\n',
};

function readiness(desk: Desk): Answer {
  const { ok, reasons } = desk.ready();
  if (ok) return { status: 200, text: 'ready\n' };
  return { status: 503, text: `not ready\n${reasons.map((reason) => `${reason}\n`).join('')}` };
}

/**
 * 200 for the target in force, 503 for the others, 404 for what is not configured. While nobody
 * knows whether that target is still right (all paths blind, just started, no store), the last
 * decision stands for `gateHoldMs`; after that every gate of the record is 503.
 */
function gate({ desk, gateHoldMs }: HttpOptions, rest: string): Answer {
  const parts = rest.split('/').map(decode);
  const [record, wanted] = parts;
  const name = record ? toName(record) : null;
  if (parts.length !== 2 || name === null || !wanted) {
    return { status: 404, text: 'a gate is asked for as /gates/RECORD/TARGET\n' };
  }
  const view = desk.gate(name);
  if (view === null) return { status: 404, text: 'no such record is configured\n' };
  if (view.target === wanted && view.unsureMs > gateHoldMs) {
    return { status: 503, text: 'in force, but not known to be right for too long\n' };
  }
  if (view.target === wanted) return { status: 200, text: 'in force\n' };
  return view.targets.includes(wanted)
    ? { status: 503, text: 'not in force\n' }
    : { status: 404, text: 'no such target is configured for this record\n' };
}

/** null for a broken escape, which is no name. */
function decode(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}
