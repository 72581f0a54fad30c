// Who is at the other end of a connection, and that each frame is theirs, once and in its place: a
// hello with a nonce from either side, then frames under keys that are derived from the cluster
// key, both nonces, both names and the direction, each with a MAC over its own number. So nobody
// without the key can make a frame, say an old one again, change the order, or splice two sessions.
// What is said is not hidden by it: that is TLS's part. Pure over bytes. It must never throw on
// bytes, and never show a key.

import { createHash, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';

/** Of HMAC-SHA256: 128 bits (RFC 2104, section 5). */
const MAC_BYTES = 16;
const NONCE_BYTES = 32;
const LENGTH_BYTES = 4;
/** What a stranger may say before the key has spoken. */
const HELLO_BYTES_MAX = 2048;
/** Keys named at once in a hello; a list that is rotated has two. */
const KEYS_MAX = 8;
const NAME_MAX = 128;
const VERSION = 1;

/** For the keyring's `derive`: no key of another purpose is one of these. */
export const PURPOSE = 'eyes: what replicas tell one another, 1';

/** Cuts what comes into frames; each is preceded by its length. */
export class Frames {
  #parts: Buffer[] = [];
  #bytes = 0;
  #most: number;

  constructor(most = HELLO_BYTES_MAX) {
    this.#most = most;
  }

  /** From now on frames may have so many bytes. */
  allow(most: number): void {
    this.#most = most;
  }

  push(chunk: Buffer): void {
    this.#parts.push(chunk);
    this.#bytes += chunk.length;
  }

  /** The next whole frame; null: not yet; `too long`: no frame of ours. */
  next(): Buffer | null | 'too long' {
    if (this.#bytes < LENGTH_BYTES) return null;
    const length = this.#whole(LENGTH_BYTES).readUInt32BE(0);
    if (length > this.#most) return 'too long';
    if (this.#bytes < LENGTH_BYTES + length) return null;
    const all = this.#whole(LENGTH_BYTES + length);
    this.#parts[0] = all.subarray(LENGTH_BYTES + length);
    this.#bytes -= LENGTH_BYTES + length;
    return all.subarray(LENGTH_BYTES, LENGTH_BYTES + length);
  }

  /** The first part, with at least so many bytes; they are there. */
  #whole(bytes: number): Buffer {
    const [first] = this.#parts;
    if (first!.length >= bytes) return first!;
    const all = Buffer.concat(this.#parts);
    this.#parts = [all];
    return all;
  }
}

function framed(body: Buffer): Buffer {
  const head = Buffer.alloc(LENGTH_BYTES);
  head.writeUInt32BE(body.length);
  return Buffer.concat([head, body]);
}

/** Each field with its length before it, so that no two lists give the same bytes. */
function fields(list: readonly string[]): Buffer {
  return Buffer.from(list.map((field) => `${Buffer.byteLength(field)}:${field}`).join(''));
}

function macOf(key: Buffer, ...parts: readonly Buffer[]): Buffer {
  const mac = createHmac('sha256', key);
  for (const part of parts) mac.update(part);
  return mac.digest().subarray(0, MAC_BYTES);
}

function isMac(given: Buffer, wanted: Buffer): boolean {
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

/** A session that both ends hold the key of. One that is broken stays so. */
export class Session {
  /** The cluster key's derivative that made it: gone from the keyring, the session has to end. */
  readonly key: Buffer;
  readonly #out: Buffer;
  readonly #in: Buffer;
  #sent = 0;
  #heard = 0;

  constructor(key: Buffer, transcript: Buffer, role: 'dialler' | 'listener') {
    this.key = key;
    const salt = createHash('sha256').update(transcript).digest();
    const of = (from: string) => Buffer.from(hkdfSync('sha256', key, salt, `from ${from}`, 32));
    this.#out = of(role);
    this.#in = of(role === 'dialler' ? 'listener' : 'dialler');
  }

  /** How many frames were sealed; the newest one's number. The hello is number 0. */
  get sent(): number {
    return this.#sent;
  }

  get heard(): number {
    return this.#heard;
  }

  seal(body: Buffer): Buffer {
    const mac = macOf(this.#out, numbered(++this.#sent), body);
    return framed(Buffer.concat([mac, body]));
  }

  /** What is in the next frame; null: it is not the other's next one. */
  open(frame: Buffer): Buffer | null {
    const body = frame.subarray(MAC_BYTES);
    const mac = macOf(this.#in, numbered(this.#heard + 1), body);
    if (!isMac(frame.subarray(0, MAC_BYTES), mac)) return null;
    this.#heard++;
    return body;
  }
}

function numbered(counter: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(counter));
  return bytes;
}

// ---------------------------------------------------------------- hello

/** Why the listener will not: a closed list, so that a stranger's text is never shown. */
const refusals = ['version', 'key', 'name', 'double'] as const;
export type Refusal = (typeof refusals)[number];

interface Parties {
  readonly cluster: string;
  readonly from: string;
  readonly to: string;
}

interface Dialling {
  readonly bytes: Buffer;
  /** What the listener said to it. */
  finish(frame: Buffer): Session | Refusal | 'nonsense';
}

/**
 * The first word of whoever dials. `instance`: this life of the daemon, so that two are told apart.
 */
export function dial(
  { cluster, from, to }: Parties,
  instance: string,
  keys: readonly Buffer[],
): Dialling {
  const nonce = randomBytes(NONCE_BYTES).toString('base64url');
  const said = [String(VERSION), cluster, from, to, instance, nonce];
  const tags = keys.slice(0, KEYS_MAX).map((key) => tagOf(key, said));
  const bytes = framed(Buffer.from(JSON.stringify([...said, tags])));
  return {
    bytes,
    finish(frame) {
      const list = parsed(frame);
      const refusal = refusals.find((word) => list?.length === 1 && list[0] === word);
      if (refusal !== undefined) return refusal;
      if (list === null || list.length < 2) return 'nonsense';
      const [theirs, given] = list;
      if (!isNonce(theirs) || typeof given !== 'string') return 'nonsense';
      const transcript = fields([...said, theirs]);
      const key = keys.find((k) => isMac(bytesOf(given), answerTag(k, transcript)));
      return key === undefined ? 'key' : new Session(key, transcript, 'dialler');
    },
  };
}

function tagOf(key: Buffer, said: readonly string[]): string {
  return macOf(key, fields(['hello', ...said])).toString('base64url');
}

function answerTag(key: Buffer, transcript: Buffer): Buffer {
  return macOf(key, fields(['answer']), transcript);
}

const bytesOf = (text: string) => Buffer.from(text, 'base64url');

function parsed(frame: Buffer): readonly unknown[] | null {
  try {
    const value: unknown = JSON.parse(frame.toString('utf8'));
    return Array.isArray(value) ? value : null;
  } catch {
    // Anybody may send anything: null says that it is no hello.
    return null;
  }
}

const isNonce = (value: unknown): value is string =>
  typeof value === 'string' && /^[\w-]{43}$/.test(value);
const isName = (value: unknown): value is string =>
  typeof value === 'string' && value.length > 0 && value.length <= NAME_MAX;

interface Listener {
  readonly cluster: string;
  readonly self: string;
  /** Whether it may call itself so: known, and not heard from another life of it just now. */
  readonly may: (from: string, instance: string) => Refusal | null;
  readonly keys: readonly Buffer[];
}

/**
 * What to say to whoever dials. Until a frame of the session was opened it is not known who that
 * is: a hello may be an old one said again.
 */
export function answer(frame: Buffer, { cluster, self, may, keys }: Listener): Answered {
  const hello = parsed(frame);
  const nonsense = { bytes: Buffer.alloc(0), met: null, why: 'nonsense' } as const;
  if (hello === null || hello.length < 7) return nonsense;
  const [version, ofCluster, from, to, instance, nonce, tags] = hello;
  const no = (why: Refusal): Answered => {
    return { bytes: framed(Buffer.from(JSON.stringify([why]))), met: null, why };
  };
  if (version !== String(VERSION)) return no('version');
  if (![ofCluster, from, to, instance].every(isName) || !isNonce(nonce) || !Array.isArray(tags)) {
    return nonsense;
  }
  const said = [version, ofCluster, from, to, instance, nonce] as string[];
  const given = tags.slice(0, KEYS_MAX).map((tag) => bytesOf(typeof tag === 'string' ? tag : ''));
  const key = given.flatMap((tag) => keys.filter((k) => isMac(tag, bytesOf(tagOf(k, said)))))[0];
  // First of all: who does not know a key learns nothing of who is here.
  if (key === undefined) return no('key');
  if (ofCluster !== cluster || to !== self) return no('name');
  const refused = may(from as string, instance as string);
  if (refused !== null) return no(refused);
  const ours = randomBytes(NONCE_BYTES).toString('base64url');
  const transcript = fields([...said, ours]);
  const tag = answerTag(key, transcript).toString('base64url');
  const session = new Session(key, transcript, 'listener');
  const met = { from: from as string, instance: instance as string, session };
  return { bytes: framed(Buffer.from(JSON.stringify([ours, tag]))), met, why: null };
}

type Answered =
  | { readonly bytes: Buffer; readonly met: Met; readonly why: null }
  | { readonly bytes: Buffer; readonly met: null; readonly why: Refusal | 'nonsense' };

export interface Met {
  readonly from: string;
  readonly instance: string;
  readonly session: Session;
}
