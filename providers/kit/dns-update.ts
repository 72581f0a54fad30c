// The two wire codings that the DNS library lacks: UPDATE messages (RFC 2136) and their signatures
// (TSIG, RFC 8945). Pure: bytes in, bytes out, the time is given. It must never accept a reply
// whose MAC it did not check, never compare a MAC in a way that leaks time, and never put the key
// into an error. Nothing here throws on a reply's bytes.

import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Name } from '../../src/core/model.ts';

/** A key shared with the server. */
export interface TsigKey {
  readonly name: Name;
  readonly algorithm: 'hmac-sha256' | 'hmac-sha384' | 'hmac-sha512';
  readonly secret: Buffer;
}

/** One record of an UPDATE: prerequisite, deletion or addition (RFC 2136 2.4, 2.5). */
export interface UpdateRecord {
  readonly name: Name;
  readonly type: number;
  readonly class: number;
  readonly ttl: number;
  readonly data: Buffer;
}

export interface SignedMessage {
  readonly bytes: Buffer;
  /** Needed to check the reply, which signs it too. */
  readonly mac: Buffer;
}

export type Signature =
  /** Signed by the key and by this request. */
  | { readonly kind: 'valid'; readonly rcode: number }
  /** The server's clock and ours differ by more than the fudge; both in seconds since 1970. */
  | { readonly kind: 'bad-time'; readonly oursSeconds: number; readonly serverSeconds: number }
  /** It refuses our signature, and says so unsigned: BADSIG 16, BADKEY 17 (RFC 8945 5.2). */
  | { readonly kind: 'refused'; readonly rcode: number; readonly error: number }
  | { readonly kind: 'unsigned'; readonly rcode: number }
  /** Not a reply to this request, or not signed by this key. */
  | { readonly kind: 'invalid'; readonly detail: string };

export const typeNs = 2;
export const typeCname = 5;
export const typeTxt = 16;
const typeSoa = 6;
const typeTsig = 250;
const typeAny = 255;
const classIn = 1;
const classNone = 254;
const classAny = 255;
const opcodeUpdate = 5;
/** Seconds that two clocks may differ; the value that RFC 8945 10 recommends. */
const fudgeSeconds = 300;
const badTime = 18;
const nothing = Buffer.alloc(0);

// ---------------------------------------------------------------- UPDATE

/** Prerequisite: the RRset is exactly this. One record a member (RFC 2136 2.4.2). */
export function setIs(name: Name, type: number, members: readonly Buffer[]): UpdateRecord[] {
  return members.map((data) => ({ name, type, class: classIn, ttl: 0, data }));
}

/** Prerequisite: there is no RRset of that type at the name (RFC 2136 2.4.3). */
export function setIsAbsent(name: Name, type: number): UpdateRecord {
  return { name, type, class: classNone, ttl: 0, data: nothing };
}

/** Prerequisite: the name has no records of any type (RFC 2136 2.4.5). */
export function nameIsUnused(name: Name): UpdateRecord {
  return { name, type: typeAny, class: classNone, ttl: 0, data: nothing };
}

/** Update: delete the RRset (RFC 2136 2.5.2). */
export function deleteSet(name: Name, type: number): UpdateRecord {
  return { name, type, class: classAny, ttl: 0, data: nothing };
}

/** Update: delete one record of an RRset, if it stands there (RFC 2136 2.5.4). */
export function deleteRecord(name: Name, type: number, data: Buffer): UpdateRecord {
  return { name, type, class: classNone, ttl: 0, data };
}

/** Update: add a record (RFC 2136 2.5.1). `ttl` in seconds. */
export function addRecord(name: Name, type: number, ttl: number, data: Buffer): UpdateRecord {
  return { name, type, class: classIn, ttl, data };
}

/** An unsigned UPDATE message for one zone (RFC 2136 2). Throws RangeError beyond 65,535 bytes. */
export function encodeUpdate(
  id: number,
  zone: Name,
  prerequisites: readonly UpdateRecord[],
  updates: readonly UpdateRecord[],
): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(opcodeUpdate << 11, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(prerequisites.length, 6);
  header.writeUInt16BE(updates.length, 8);
  const zoneSection = Buffer.concat([encodeName(zone), numbers(typeSoa, classIn)]);
  const records = [...prerequisites, ...updates].map(encodeRecord);
  const message = Buffer.concat([header, zoneSection, ...records]);
  if (message.length > 65_535) throw new RangeError('an UPDATE message of more than 65,535 bytes');
  return message;
}

/** Bytes that a record takes in a message. */
export function recordSize(record: UpdateRecord): number {
  return record.name.length + 1 + 10 + record.data.length;
}

function encodeRecord(record: UpdateRecord): Buffer {
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(record.type, 0);
  fixed.writeUInt16BE(record.class, 2);
  fixed.writeUInt32BE(record.ttl, 4);
  fixed.writeUInt16BE(record.data.length, 8);
  return Buffer.concat([encodeName(record.name), fixed, record.data]);
}

/** A name on the wire, lower-case and uncompressed, as signatures want it (RFC 8945 4.3.3). */
export function encodeName(name: Name): Buffer {
  const labels = name.toLowerCase().replace(/\.$/, '').split('.').filter(Boolean);
  const parts = labels.flatMap((label) => {
    const bytes = Buffer.from(label);
    return [Buffer.of(bytes.length), bytes];
  });
  return Buffer.concat([...parts, Buffer.of(0)]);
}

/** A text as the data of one TXT record, in strings of at most 255 bytes (RFC 1035 3.3.14). */
export function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text);
  const parts: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < bytes.length; at += 255)
    parts.push(bytes.subarray(at, at + 255));
  return encodeStrings(parts);
}

/** The strings of a TXT record as they stand, each with its length. */
export function encodeStrings(strings: readonly Uint8Array[]): Buffer {
  return Buffer.concat(strings.flatMap((s) => [Buffer.of(s.length), s]));
}

function numbers(...values: number[]): Buffer {
  const buffer = Buffer.alloc(2 * values.length);
  for (const [i, value] of values.entries()) buffer.writeUInt16BE(value, 2 * i);
  return buffer;
}

// ---------------------------------------------------------------- TSIG

/** The message with a TSIG record at its end (RFC 8945 4.2, 4.3). `nowMs`: wall clock. */
export function sign(message: Buffer, key: TsigKey, nowMs: number): SignedMessage {
  const time = seconds48(Math.floor(nowMs / 1000));
  const mac = macOf(key, [message, variables(key, time, fudgeSeconds, 0, nothing)]);
  const data = Buffer.concat([
    encodeName(key.algorithm),
    time,
    numbers(fudgeSeconds, mac.length),
    mac,
    numbers(message.readUInt16BE(0), 0, 0),
  ]);
  const record = { name: key.name, type: typeTsig, class: classAny, ttl: 0, data };
  const bytes = Buffer.concat([message, encodeRecord(record)]);
  bytes.writeUInt16BE(message.readUInt16BE(10) + 1, 10);
  return { bytes, mac };
}

/** Checks the signature of the reply to a signed request (RFC 8945 5.3, 5.4). Never throws. */
export function checkReply(reply: Buffer, request: SignedMessage, key: TsigKey): Signature {
  const invalid = (detail: string): Signature => ({ kind: 'invalid', detail });
  if (reply.length < 12) return invalid('the reply is no DNS message');
  const flags = reply.readUInt16BE(2);
  const sameId = reply.readUInt16BE(0) === request.bytes.readUInt16BE(0);
  // A reply, to the kind of thing that was asked: its own opcode (RFC 1035 4.1.1).
  const opcode = (request.bytes.readUInt16BE(2) >> 11) & 0xf;
  if (!sameId || flags >> 11 !== (0x10 | opcode)) {
    return invalid('the reply answers nothing that was asked');
  }
  const rcode = flags & 0xf;
  const last = lastRecord(reply);
  if (last === null) return invalid('the reply is no DNS message');
  if (last.type !== typeTsig) return { kind: 'unsigned', rcode };
  const tsig = readTsig(reply.subarray(last.dataStart, last.dataEnd));
  if (tsig === null) return invalid('the signature is no TSIG record');
  const notAuth = rcode === 9;
  if (notAuth && tsig.mac.length === 0 && tsig.error !== 0) {
    return { kind: 'refused', rcode, error: tsig.error };
  }
  // The reply as it was before it was signed: without the record, under the original id.
  const unsigned = Buffer.from(reply.subarray(0, last.start));
  unsigned.writeUInt16BE(reply.readUInt16BE(10) - 1, 10);
  unsigned.writeUInt16BE(tsig.originalId, 0);
  const expected = macOf(key, [
    numbers(request.mac.length),
    request.mac,
    unsigned,
    variables(key, tsig.time, tsig.fudge, tsig.error, tsig.other),
  ]);
  // Only the full length counts (RFC 8945 5.2.2.1 leaves truncation to local policy).
  if (tsig.mac.length !== expected.length || !timingSafeEqual(tsig.mac, expected)) {
    return invalid('the reply is not signed by our key');
  }
  // Its time needs no check of our own: its MAC covers our request's, and so our time.
  if (tsig.error === badTime && tsig.other.length === 6) {
    const oursSeconds = tsig.time.readUIntBE(0, 6);
    return { kind: 'bad-time', oursSeconds, serverSeconds: tsig.other.readUIntBE(0, 6) };
  }
  return { kind: 'valid', rcode };
}

function macOf(key: TsigKey, parts: readonly Buffer[]): Buffer {
  const hmac = createHmac(key.algorithm.slice('hmac-'.length), key.secret);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}

/** The TSIG variables that a MAC covers (RFC 8945 4.3.3). */
function variables(
  key: TsigKey,
  time: Buffer,
  fudge: number,
  error: number,
  other: Buffer,
): Buffer {
  return Buffer.concat([
    encodeName(key.name),
    numbers(classAny, 0, 0),
    encodeName(key.algorithm),
    time,
    numbers(fudge, error, other.length),
    other,
  ]);
}

function seconds48(seconds: number): Buffer {
  const time = Buffer.alloc(6);
  time.writeUIntBE(seconds, 0, 6);
  return time;
}

interface Tsig {
  readonly time: Buffer;
  readonly fudge: number;
  readonly mac: Buffer;
  readonly originalId: number;
  readonly error: number;
  readonly other: Buffer;
}

function readTsig(data: Buffer): Tsig | null {
  const at = skipName(data, 0);
  if (at === null || at + 10 > data.length) return null;
  const macEnd = at + 10 + data.readUInt16BE(at + 8);
  if (macEnd + 6 > data.length) return null;
  const otherEnd = macEnd + 6 + data.readUInt16BE(macEnd + 4);
  if (otherEnd !== data.length) return null;
  return {
    time: data.subarray(at, at + 6),
    fudge: data.readUInt16BE(at + 6),
    mac: data.subarray(at + 10, macEnd),
    originalId: data.readUInt16BE(macEnd),
    error: data.readUInt16BE(macEnd + 2),
    other: data.subarray(macEnd + 6, otherEnd),
  };
}

/** Where the last record of a message stands; TSIG must be it (RFC 8945 5.1). */
function lastRecord(
  bytes: Buffer,
): { type: number; start: number; dataStart: number; dataEnd: number } | null {
  let at = 12;
  for (let left = bytes.readUInt16BE(4); left > 0; left -= 1) {
    const end = skipName(bytes, at);
    if (end === null || end + 4 > bytes.length) return null;
    at = end + 4;
  }
  let last = { type: 0, start: at, dataStart: at, dataEnd: at };
  const records = bytes.readUInt16BE(6) + bytes.readUInt16BE(8) + bytes.readUInt16BE(10);
  for (let left = records; left > 0; left -= 1) {
    const end = skipName(bytes, at);
    if (end === null || end + 10 > bytes.length) return null;
    const dataEnd = end + 10 + bytes.readUInt16BE(end + 8);
    if (dataEnd > bytes.length) return null;
    last = { type: bytes.readUInt16BE(end), start: at, dataStart: end + 10, dataEnd };
    at = dataEnd;
  }
  if (at !== bytes.length) return null;
  return bytes.readUInt16BE(10) === 0 ? { ...last, type: 0 } : last;
}

/** The offset behind a name, a compressed one included (RFC 1035 4.1.4); null beyond the end. */
function skipName(bytes: Buffer, from: number): number | null {
  for (let at = from; at < bytes.length; ) {
    const length = bytes[at]!;
    if (length === 0) return at + 1;
    if (length >= 0xc0) return at + 2 <= bytes.length ? at + 2 : null;
    if (length > 63) return null;
    at += 1 + length;
  }
  return null;
}
