// One HTTP/1.1 answer, read from the bytes of a connection that carries nothing else (RFC 9110, RFC
// 9112). It reads what clients read: with nothing behind this answer, nothing can be smuggled in by a
// form that another reader would take otherwise. It must never keep more than its bounds, never read
// on past the answer's end, and never take an answer that broke off for a whole one.

/** The head of the final answer; interim ones (1xx) are passed over. Fields as they stand there. */
export interface Head {
  readonly status: number;
  readonly date: string | null;
  /** Seconds that a cache has kept it. */
  readonly age: string | null;
  readonly location: string | null;
  /** Retry-After. */
  readonly retryAfter: string | null;
  /** Content-Type. */
  readonly type: string | null;
  /** Server, and Strict-Transport-Security. */
  readonly server: string | null;
  readonly hsts: string | null;
  /** What was done to the body, in this order, lower-case: of Content- and Transfer-Encoding. */
  readonly encodings: readonly string[];
  /**
   * For how long the connection is kept open behind the answer, in milliseconds; 0: it is not;
   * Infinity: for as long as the server likes.
   */
  readonly keptMs: number;
}

/** The other end speaks no HTTP/1.1 that a client could read. */
export class Malformed extends Error {}

type State =
  | 'head'
  | 'body'
  | 'body-to-the-end'
  | 'chunk-size'
  | 'chunk'
  | 'chunk-end'
  | 'trailer'
  | 'whole';

/** Bytes of a head, and of all trailers. */
const headMax = 65_536;
/** Bytes of the line that gives a chunk's size, extensions included. */
const sizeLineMax = 1024;
const nothing = Buffer.alloc(0);

/** Fed with bytes as they come; says when there is nothing more to wait for. */
export class AnswerReader {
  /** null until all of it is there. */
  head: Head | null = null;
  /** More was sent than was to be read. */
  cut = false;
  /** Bytes of the body that were read. */
  length = 0;
  /** The head does not say where the body ends: it may be one that never does. */
  isOpenEnded = false;
  readonly #isBodiless: boolean;
  readonly #maxBytes: number;
  readonly #wants: 'bytes' | 'length';
  #state: State = 'head';
  /** What has come of a head, a line or trailers that are not whole yet. */
  #held: Buffer = nothing;
  readonly #body: Buffer[] = [];
  /** Of the body or the chunk under way. */
  #bytesLeft = 0;
  #trailerBytes = 0;

  /** Of the body at most `maxBytes` are read, and kept if they are wanted; one more ends it. */
  constructor(method: string, maxBytes: number, wants: 'bytes' | 'length' = 'bytes') {
    this.#isBodiless = method === 'HEAD';
    this.#maxBytes = maxBytes;
    this.#wants = wants;
  }

  /**
   * Takes what has come; the bytes may be reused afterwards. True: the answer is whole, or has
   * reached its bound. Throws Malformed.
   */
  take(bytes: Buffer): boolean {
    let rest = bytes;
    while (!this.#isDone() && rest.length > 0) {
      switch (this.#state) {
        case 'body':
        case 'body-to-the-end':
        case 'chunk':
          rest = this.#takeBody(rest);
          break;
        default:
          rest = this.#takeText(rest);
      }
    }
    return this.#isDone();
  }

  /** The other end has closed the connection. True: that ends the answer; false: it broke off. */
  finish(): boolean {
    if (this.#state === 'body-to-the-end') this.#state = 'whole';
    return this.#isDone();
  }

  /** Nothing of it is awaited any more, and its end is known without the connection's. */
  get isWhole(): boolean {
    return this.#state === 'whole' && !this.cut;
  }

  /** Lets go of what was kept of the body. */
  forget(): void {
    this.#body.length = 0;
  }

  /** What was kept of the body. */
  body(): Buffer {
    if (this.#body.length === 0) return nothing;
    return this.#body.length === 1 ? this.#body[0]! : Buffer.concat(this.#body);
  }

  #isDone(): boolean {
    return this.#state === 'whole' || this.cut;
  }

  #takeBody(bytes: Buffer): Buffer {
    const isOpen = this.#state === 'body-to-the-end';
    const count = isOpen ? bytes.length : Math.min(bytes.length, this.#bytesLeft);
    const read = Math.min(count, this.#maxBytes - this.length);
    if (read > 0 && this.#wants === 'bytes') {
      this.#body.push(Buffer.from(bytes.subarray(0, read)));
    }
    this.length += read;
    if (read < count) this.cut = true;
    if (!isOpen) {
      this.#bytesLeft -= count;
      if (this.#bytesLeft === 0) this.#state = this.#state === 'chunk' ? 'chunk-end' : 'whole';
    }
    return bytes.subarray(count);
  }

  /** A head, or one line of what frames the chunks. */
  #takeText(bytes: Buffer): Buffer {
    const isHead = this.#state === 'head';
    const before = this.#held.length;
    let all = before === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    // RFC 9112 section 2.2: empty lines before it are passed over.
    if (isHead) all = all.subarray(blanksOf(all));
    const end = isHead ? endOfHead(all, before) : endOfLine(all);
    const max = isHead || this.#state === 'trailer' ? headMax : sizeLineMax;
    if ((end?.at ?? all.length) > max) throw new Malformed(`more than ${max} bytes of head`);
    if (end === null) {
      // Who speaks another protocol may wait for us in turn; its first bytes are enough.
      if (isHead) checkBeginning(all);
      // What was put together here is nobody else's.
      this.#held = before === 0 ? Buffer.from(all) : all;
      return nothing;
    }
    this.#held = nothing;
    const text = all.toString('latin1', 0, end.at);
    if (isHead) this.#takeHead(text);
    else if (this.#state === 'chunk-size') this.#takeSize(text);
    else if (this.#state === 'chunk-end') this.#takeChunkEnd(text);
    else this.#takeTrailer(text);
    return all.subarray(end.next);
  }

  #takeHead(text: string): void {
    const fields = parseHead(text);
    const { status, date, age, location, retryAfter, type, server, hsts } = fields;
    if (status === 101) throw new Malformed('status 101, and nobody had asked for a switch');
    if (status < 200) return;
    const codings = codingsOf(fields.transferEncoding);
    const isChunked = codings.at(-1) === 'chunked';
    const encodings = [
      ...codingsOf(fields.contentEncoding),
      ...(isChunked ? codings.slice(0, -1) : codings),
    ];
    const keptMs = text.startsWith('HTTP/1.1') ? keptFor(fields) : 0;
    this.head = { status, date, age, location, retryAfter, type, server, hsts, encodings, keptMs };
    // RFC 9112 section 6.3, in its order.
    if (this.#isBodiless || status === 204 || status === 304) {
      this.#state = 'whole';
      return;
    }
    // Of both, Transfer-Encoding counts: the connection ends with this answer.
    const length = codings.length > 0 ? null : lengthOf(fields.lengths);
    this.isOpenEnded = length === null;
    if (isChunked) this.#state = 'chunk-size';
    else if (length === null) this.#state = 'body-to-the-end';
    else {
      this.#bytesLeft = length;
      this.#state = length === 0 ? 'whole' : 'body';
    }
  }

  #takeSize(line: string): void {
    const [, size] = /^[\t ]*0*([0-9a-fA-F]{1,12})[\t ]*(?:;[^\0]*)?$/.exec(line) ?? [];
    if (size === undefined) throw new Malformed('a chunk without its size');
    this.#bytesLeft = Number.parseInt(size, 16);
    this.#state = this.#bytesLeft === 0 ? 'trailer' : 'chunk';
  }

  #takeChunkEnd(line: string): void {
    if (line !== '') throw new Malformed('a chunk longer than its size');
    this.#state = 'chunk-size';
  }

  #takeTrailer(line: string): void {
    this.#trailerBytes += line.length + 2;
    if (this.#trailerBytes > headMax) throw new Malformed(`more than ${headMax} bytes of trailers`);
    if (line === '') this.#state = 'whole';
    else if (!/^[\t ]/.test(line)) fieldOf(line);
  }
}

interface Fields {
  readonly status: number;
  readonly date: string | null;
  readonly age: string | null;
  readonly location: string | null;
  readonly retryAfter: string | null;
  readonly type: string | null;
  readonly server: string | null;
  readonly hsts: string | null;
  readonly contentEncoding: string | null;
  readonly transferEncoding: string | null;
  readonly connection: string | null;
  readonly keepAlive: string | null;
  /** Every Content-Length. */
  readonly lengths: readonly string[];
}

function checkBeginning(bytes: Buffer): void {
  const begin = bytes.toString('latin1', 0, 5);
  if (!'HTTP/'.startsWith(begin)) throw new Malformed('it does not begin like HTTP');
}

/** How many bytes at the front are line ends. */
function blanksOf(bytes: Buffer): number {
  let count = 0;
  while (bytes[count] === 13 || bytes[count] === 10) count += 1;
  return count;
}

/** Where a text ends, and where what follows it begins. */
interface End {
  readonly at: number;
  readonly next: number;
}

/** The empty line behind a head. A line may end with LF alone (RFC 9112 section 2.2). */
function endOfHead(bytes: Buffer, before: number): End | null {
  const from = Math.max(0, before - 3);
  const withReturn = bytes.indexOf('\n\r\n', from, 'latin1');
  const within = withReturn < 0 ? bytes : bytes.subarray(0, withReturn + 1);
  const bare = within.indexOf('\n\n', from, 'latin1');
  if (bare >= 0) return { at: beforeReturn(bytes, bare), next: bare + 2 };
  if (withReturn < 0) return null;
  return { at: beforeReturn(bytes, withReturn), next: withReturn + 3 };
}

function endOfLine(bytes: Buffer): End | null {
  const at = bytes.indexOf(10);
  return at < 0 ? null : { at: beforeReturn(bytes, at), next: at + 1 };
}

function beforeReturn(bytes: Buffer, lineEnd: number): number {
  return lineEnd > 0 && bytes[lineEnd - 1] === 13 ? lineEnd - 1 : lineEnd;
}

/**
 * A whole head as nearly all are: a status line (RFC 9112 section 4; the blank after the status is
 * often left out with the reason), then fields. One pass over all of it costs a fraction of one for
 * each line.
 */
const headLike =
  /^HTTP\/1\.[01] [1-9]\d\d(?: [\t\x20-\x7e\x80-\xff]*)?(?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*)*$/;

/** Lengths of the names that are looked for, a bit for each. */
const wantedLengths = [3, 4, 6, 8, 10, 11, 12, 14, 16, 17, 25].reduce(
  (bits, length) => bits | (1 << length),
  0,
);

function parseHead(given: string): Fields {
  const text = headLike.test(given) ? given : plainHead(given);
  const found: Record<string, string> = {};
  const lengths: string[] = [];
  for (let end = text.indexOf('\r\n'); end >= 0; ) {
    const begin = end + 2;
    end = text.indexOf('\r\n', begin);
    const colon = text.indexOf(':', begin);
    const nameLength = colon - begin;
    if (nameLength > 25 || (wantedLengths & (1 << nameLength)) === 0) continue;
    const name = text.slice(begin, colon).toLowerCase();
    const value = text.slice(colon + 1, end < 0 ? text.length : end).trim();
    if (name === 'content-length') lengths.push(value);
    else if (!name.endsWith('-encoding')) found[name] ??= value;
    else found[name] = found[name] === undefined ? value : `${found[name]}, ${value}`;
  }
  return {
    status: Number(text.slice(9, 12)),
    date: found['date'] ?? null,
    age: found['age'] ?? null,
    location: found['location'] ?? null,
    retryAfter: found['retry-after'] ?? null,
    type: found['content-type'] ?? null,
    server: found['server'] ?? null,
    hsts: found['strict-transport-security'] ?? null,
    contentEncoding: found['content-encoding'] ?? null,
    transferEncoding: found['transfer-encoding'] ?? null,
    connection: found['connection'] ?? null,
    keepAlive: found['keep-alive'] ?? null,
    lengths,
  };
}

/**
 * A head in another form that clients read, written as nearly all are: bare LF, more blanks in the
 * status line, blanks before a colon, folded lines, CR within a value (RFC 9112 sections 2.2, 4, 5).
 */
function plainHead(text: string): string {
  const [first = '', ...lines] = text.split(/\r?\n/);
  const [, status] = /^HTTP\/1\.\d[\t ]+([1-9]\d\d)(?:[\t ][^\0]*)?$/.exec(first) ?? [];
  if (status === undefined) throw new Malformed('no status line of HTTP/1.1');
  const fields: string[] = [];
  for (const line of lines) {
    const isFolded = /^[\t ]/.test(line);
    // Folded onto the status line, it belongs to nothing.
    if (isFolded && fields.length === 0) continue;
    const field = isFolded ? `${fields.pop()} ${line.trim()}` : line;
    fields.push(fieldOf(field));
  }
  return [`HTTP/1.1 ${status}`, ...fields].join('\r\n');
}

/** A field line without blanks before its colon, and without CR. */
function fieldOf(line: string): string {
  const [, name, value] =
    /^([\x21-\x39\x3b-\xff][\x20-\x39\x3b-\xff]*?)[\t ]*:([^\0]*)$/.exec(line) ?? [];
  if (name === undefined) throw new Malformed('a line in its head that is no field');
  return `${name}:${value!.replaceAll('\r', ' ')}`;
}

/** The codings of a field in lower case; those that change nothing are left out. */
function codingsOf(value: string | null): readonly string[] {
  if (value === null) return [];
  const all = value.split(',').map((one) => one.trim().toLowerCase());
  const codings = all.filter((one) => one !== '');
  return codings.every((one) => one === 'identity') ? [] : codings;
}

/** RFC 9112 section 9.3; the length of time is an old custom (RFC 2068 section 19.7.1.1). */
function keptFor({ connection, keepAlive }: Fields): number {
  if (connection !== null && /(?:^|,)[\t ]*close[\t ]*(?:,|$)/i.test(connection)) return 0;
  const [, seconds] = /(?:^|[\t ,])timeout=(\d{1,6})/i.exec(keepAlive ?? '') ?? [];
  return seconds === undefined ? Number.POSITIVE_INFINITY : Number(seconds) * 1000;
}

/** One length, however often it is said (RFC 9110 section 8.6); null: none is said. */
function lengthOf(lengths: readonly string[]): number | null {
  if (lengths.length === 0) return null;
  const all = new Set(lengths.flatMap((value) => value.split(',').map((one) => one.trim())));
  const [first = ''] = all;
  if (all.size > 1) throw new Malformed('two lengths for one body');
  if (!/^\d{1,15}$/.test(first)) throw new Malformed('a Content-Length that is no number');
  return Number(first);
}
