// One request of the `http` check by HTTP/2 (RFC 9113), over a fresh connection that was opened for
// it: what the answer's reader is to HTTP/1.1. It must never reuse a connection, never keep more of
// a body than its bound, never wait for what may never end once enough has come, and never take an
// answer that broke off for a whole one.

import type { ClientHttp2Session, IncomingHttpHeaders } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Head } from './answer.ts';

interface Asked {
  readonly scheme: 'http' | 'https';
  readonly method: string;
  readonly authority: string;
  /** Path and query. */
  readonly path: string;
  /** By lower-case name, without Host. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly maxBytes: number;
  /** Told as soon as the head is there. True: no body is wanted. */
  headCame(head: Head): boolean;
  /** Whether what has come of a body without a length is enough; asked now and then. */
  isEnough(answer: Answered): Promise<boolean>;
  /** How often it is asked, in milliseconds. */
  readonly lookEveryMs: number;
}

interface Answered extends Head {
  readonly body: Buffer;
  readonly length: number;
  readonly cut: boolean;
}

/** Rejects with the connection's error. */
export async function askByHttp2(connection: Duplex, asked: Asked): Promise<Answered> {
  // Only who asks by HTTP/2 pays for it.
  const { connect } = await import('node:http2');
  const session = connect(`${asked.scheme}://${asked.authority}`, {
    createConnection: () => connection,
    settings: { enablePush: false },
    maxHeaderListPairs: 128,
  });
  let looking: NodeJS.Timeout | undefined;
  try {
    return await new Promise<Answered>((resolve, reject) => {
      session.on('error', reject);
      const reading = new Reading(session, asked, resolve, reject);
      looking = setInterval(() => void reading.look().catch(reject), asked.lookEveryMs);
    });
  } finally {
    clearInterval(looking);
    session.destroy();
  }
}

class Reading {
  readonly #asked: Asked;
  readonly #resolve: (answer: Answered) => void;
  #head: Head | null = null;
  readonly #chunks: Buffer[] = [];
  #length = 0;
  #isOver = false;
  #isOpenEnded = true;

  constructor(
    session: ClientHttp2Session,
    asked: Asked,
    resolve: (answer: Answered) => void,
    reject: (error: unknown) => void,
  ) {
    this.#asked = asked;
    this.#resolve = resolve;
    const { method, scheme, authority, path, headers, body } = asked;
    const stream = session.request({
      ':method': method,
      ':scheme': scheme,
      ':authority': authority,
      ':path': path,
      ...headers,
    });
    stream.on('response', (found) => {
      this.#head = headOf(found);
      this.#isOpenEnded = found['content-length'] === undefined;
      if (asked.headCame(this.#head)) this.#end(true);
    });
    stream.on('data', (chunk: Buffer) => this.#take(chunk));
    stream.on('end', () => {
      if (this.#head !== null && stream.rstCode === 0) this.#end(false);
    });
    stream.on('error', reject);
    stream.on('close', () => {
      const code = this.#head === null ? 'ECONNRESET' : 'ERR_STREAM_PREMATURE_CLOSE';
      if (!this.#isOver) reject(Object.assign(new Error('the stream was closed'), { code }));
    });
    stream.end(body);
  }

  /** What has come of an answer that may never end may be enough. */
  async look(): Promise<void> {
    if (this.#isOver || this.#head === null || !this.#isOpenEnded) return;
    if (await this.#asked.isEnough(this.#answer(true))) this.#end(true);
  }

  #take(chunk: Buffer): void {
    const left = this.#asked.maxBytes - this.#length;
    this.#chunks.push(chunk.subarray(0, left));
    this.#length += Math.min(left, chunk.length);
    if (chunk.length > left) this.#end(true);
  }

  #end(cut: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#resolve(this.#answer(cut));
  }

  #answer(cut: boolean): Answered {
    return { ...this.#head!, body: Buffer.concat(this.#chunks), length: this.#length, cut };
  }
}

function headOf(headers: IncomingHttpHeaders): Head {
  const text = (name: string) => {
    const value = headers[name];
    return value === undefined ? null : String(value);
  };
  const encodings = (text('content-encoding') ?? '')
    .split(',')
    .map((one) => one.trim().toLowerCase())
    .filter((one) => one !== '' && one !== 'identity');
  return {
    status: Number(headers[':status'] ?? 0),
    date: text('date'),
    age: text('age'),
    location: text('location'),
    retryAfter: text('retry-after'),
    type: text('content-type'),
    server: text('server'),
    hsts: text('strict-transport-security'),
    encodings,
    keptMs: 0,
  };
}
