// One HTTP/1.1 answer, read from the bytes of a connection that carries nothing else (RFC 9110, RFC
// 9112). Reads strictly: what two readers could understand in two ways is malformed. It must never
// keep more than its bounds, never read on past the answer's end, and never take an answer that
// broke off for a whole one.

/** The head of the final answer; interim ones (1xx) are passed over. */
interface Head {
  readonly status: number;
  /** As it stands there; null without one. */
  readonly date: string | null;
}

/** The other end speaks no HTTP/1.1 that could be trusted to mean one thing. */
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

/** Bytes of a head, and of all trailers; Node's own bound. */
const headMax = 16_384;
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
    const end = isHead ? '\r\n\r\n' : '\r\n';
    const before = this.#held.length;
    const all = before === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    const at = all.indexOf(end, Math.max(0, before - end.length), 'latin1');
    const max = isHead || this.#state === 'trailer' ? headMax : sizeLineMax;
    if ((at < 0 ? all.length : at) > max) throw new Malformed(`more than ${max} bytes of head`);
    if (at < 0) {
      // Who speaks another protocol may wait for us in turn; its first bytes are enough.
      if (isHead) checkBeginning(all);
      this.#held = before === 0 ? Buffer.from(all) : all;
      return nothing;
    }
    this.#held = nothing;
    const text = all.toString('latin1', 0, at);
    if (isHead) this.#takeHead(text);
    else if (this.#state === 'chunk-size') this.#takeSize(text);
    else if (this.#state === 'chunk-end') this.#takeChunkEnd(text);
    else this.#takeTrailer(text);
    return all.subarray(at + end.length);
  }

  #takeHead(text: string): void {
    const fields = parseHead(text);
    const { status } = fields;
    if (status === 101) throw new Malformed('status 101, and nobody had asked for a switch');
    if (status < 200) return;
    this.head = { status, date: fields.date };
    const { length } = fields;
    // RFC 9112 section 6.3, in its order.
    if (this.#isBodiless || status === 204 || status === 304) this.#state = 'whole';
    else if (fields.codings !== null) {
      this.#state = /(?:^|[\t ,])chunked$/i.test(fields.codings) ? 'chunk-size' : 'body-to-the-end';
    } else if (length === null) this.#state = 'body-to-the-end';
    else {
      this.#bytesLeft = length;
      this.#state = length === 0 ? 'whole' : 'body';
    }
  }

  #takeSize(line: string): void {
    const [, size] = /^([0-9a-fA-F]{1,12})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/.exec(line) ?? [];
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
    else checkField(line);
  }
}

interface Fields {
  readonly status: number;
  readonly date: string | null;
  /** Content-Length in bytes. */
  readonly length: number | null;
  /** Transfer-Encoding, all of them. */
  readonly codings: string | null;
}

function checkBeginning(bytes: Buffer): void {
  const begin = bytes.toString('latin1', 0, 5);
  if (!'HTTP/'.startsWith(begin)) throw new Malformed('it does not begin like HTTP');
}

/**
 * A whole head: a status line (RFC 9112 section 4; the blank after the status is often left out with
 * the reason), then fields. One pass over all of it costs a fraction of one for each line.
 */
const headLike =
  /^HTTP\/1\.[01] [1-9]\d\d(?: [\t\x20-\x7e\x80-\xff]*)?(?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*)*$/;

function parseHead(text: string): Fields {
  if (!headLike.test(text)) throw new Malformed(problemOfHead(text));
  let date: string | null = null;
  let length: number | null = null;
  let codings: string | null = null;
  for (let end = text.indexOf('\r\n'); end >= 0; ) {
    const begin = end + 2;
    end = text.indexOf('\r\n', begin);
    const colon = text.indexOf(':', begin);
    const nameLength = colon - begin;
    // No other name of these lengths is looked for.
    if (nameLength !== 4 && nameLength !== 14 && nameLength !== 17) continue;
    const name = text.slice(begin, colon).toLowerCase();
    const value = text.slice(colon + 1, end < 0 ? text.length : end).trim();
    if (name === 'date') date ??= value;
    else if (name === 'content-length') length = lengthOf(value, length);
    else if (name === 'transfer-encoding') {
      codings = codings === null ? value : `${codings}, ${value}`;
    }
  }
  // Both at once are how one answer is smuggled behind another (RFC 9112 section 6.1).
  if (codings !== null && length !== null) throw new Malformed('two lengths for one body');
  return { status: Number(text.slice(9, 12)), date, length, codings };
}

/** What of a head is not as it must be. */
function problemOfHead(text: string): string {
  const [first = ''] = text.split('\r\n', 1);
  return headLike.test(first) ? noField : 'no status line of HTTP/1.1';
}

const noField = 'a line in its head that is no field';

/** A field line; blanks at its begin or before the colon are refused. */
function checkField(line: string): void {
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*$/.test(line)) {
    throw new Malformed(noField);
  }
}

function lengthOf(value: string, before: number | null): number {
  const length = /^\d{1,15}$/.test(value) ? Number(value) : null;
  if (length === null) throw new Malformed('a Content-Length that is no number');
  if (before !== null) throw new Malformed('two lengths for one body');
  return length;
}
