// Long answers as texts in pieces: how one is collected, how a document becomes one, and how it is
// sent and compressed. Nothing here does more than a piece at a time, and nobody gets a copy: all who
// take one text take the same bytes. It knows no path and no state.

import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants, createGzip } from 'node:zlib';
import type { Readers, Work } from './readers.ts';

const pieceBytes = 32_768;
/** What the kernel takes to send so much, in milliseconds: seen over loopback, 2026-11-29. */
const sendMs = pieceBytes / 1_000_000;

/** Bytes that nobody changes, in pieces of about 32 KiB. */
export class Text {
  readonly pieces: readonly Buffer[];
  readonly bytes: number;
  #packed: Promise<Text> | null = null;

  constructor(pieces: readonly Buffer[]) {
    this.pieces = pieces;
    this.bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
  }

  toString(): string {
    return Buffer.concat(this.pieces).toString('utf8');
  }

  /** The same compressed, off the loop and once for all who want it so. */
  packed(): Promise<Text> {
    this.#packed ??= pack(this.pieces);
    return this.#packed;
  }
}

async function pack(pieces: readonly Buffer[]): Promise<Text> {
  const gzip = createGzip({ level: constants.Z_BEST_SPEED, chunkSize: 65_536 });
  const packed: Buffer[] = [];
  gzip.on('data', (piece: Buffer) => void packed.push(piece));
  for (const piece of pieces) if (!gzip.write(piece)) await once(gzip, 'drain');
  gzip.end();
  await once(gzip, 'end');
  return new Text(packed);
}

/** Collects what is written, a bit at a time. */
export class Writer {
  readonly #pieces: Buffer[] = [];
  #bits: string[] = [];
  #length = 0;

  /** True when a piece has become full by it: a moment to pause. */
  write(bit: string): boolean {
    this.#bits.push(bit);
    this.#length += bit.length;
    if (this.#length < pieceBytes) return false;
    this.#flush();
    return true;
  }

  end(): Text {
    this.#flush();
    return new Text(this.#pieces);
  }

  #flush(): void {
    if (this.#length > 0) this.#pieces.push(Buffer.from(this.#bits.join('')));
    this.#bits = [];
    this.#length = 0;
  }
}

/**
 * A document as JSON. The elements of its lists are the pieces: each is small, and one that is
 * `known` from before is not made again.
 */
export function* jsonOf(document: unknown, known = new WeakMap<object, string>()): Work<Text> {
  const to = new Writer();
  yield* writeJson(to, document, known);
  return to.end();
}

function* writeJson(to: Writer, value: unknown, known: WeakMap<object, string> | null): Work<void> {
  if (typeof value !== 'object' || value === null) return void to.write(JSON.stringify(value));
  const isList = Array.isArray(value);
  let before = isList ? '[' : '{';
  for (const [key, part] of Object.entries(value)) {
    if (part === undefined && !isList) continue;
    to.write(isList ? before : `${before}${JSON.stringify(key)}:`);
    before = ',';
    if (!isList) yield* writeJson(to, part, known);
    else {
      to.write(elementOf(part, known));
      yield;
    }
  }
  to.write(before === ',' ? (isList ? ']' : '}') : isList ? '[]' : '{}');
}

function elementOf(value: unknown, known: WeakMap<object, string> | null): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value ?? null);
  const text = known?.get(value) ?? JSON.stringify(value);
  known?.set(value, text);
  return text;
}

/**
 * Sends a whole text with its length, as fast as it is taken and as readers may; a HEAD request gets
 * the head of it. Compressed where the peer takes that.
 */
export async function sendText(
  exchange: { readonly request: IncomingMessage; readonly response: ServerResponse },
  made: Text,
  headers: Readonly<Record<string, string>>,
  readers: Readers,
): Promise<void> {
  const { request, response } = exchange;
  const isPacked = takesGzip(request);
  const text = isPacked ? await made.packed() : made;
  response.writeHead(200, {
    'content-length': text.bytes,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    vary: 'accept-encoding',
    ...(isPacked ? { 'content-encoding': 'gzip' } : {}),
    ...headers,
  });
  const left = request.method === 'HEAD' ? [] : [...text.pieces];
  while (left.length > 0 && !response.destroyed) {
    await readers.spend(sendSome(response, left));
    if (response.writableNeedDrain && !response.destroyed) await drained(response);
  }
  response.end();
}

/** Until the peer is behind. The bytes go to the kernel when the slice has ended. */
function* sendSome(response: ServerResponse, left: Buffer[]): Work<void> {
  for (let piece = left.shift(); piece !== undefined; piece = left.shift()) {
    if (response.destroyed || !response.write(piece)) return;
    yield sendMs;
  }
}

/** Resolves when there is room again, or nobody to send to. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
}

/** RFC 9110, section 12.5.3, as far as it is used: a coding with `q=0` is refused. */
function takesGzip(request: IncomingMessage): boolean {
  const asked = String(request.headers['accept-encoding'] ?? '').toLowerCase();
  return asked.split(',').some((one) => /^\s*gzip\s*(;\s*q=(?!0(\.0*)?\s*$).*)?$/.test(one));
}
