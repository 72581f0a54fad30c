// DNS messages as bytes and back (RFC 1035, RFC 6891). It must never throw on bytes that somebody
// sent, and never reads more of a message than it has bounds for.

import { randomInt } from 'node:crypto';
import packet, { type Packet, type PacketOpt, type RecordType } from 'dns-packet';
import type { Name } from '../core/model.ts';
import type { Subnet } from '../kit/schema.ts';

export interface Question {
  readonly name: Name;
  /** `CNAME`, `A`, `TXT`, …; `UNKNOWN_65` for a type without a word. */
  readonly type: string;
}

/** One resource record, as far as Detour reads it. `ttl` in seconds. */
export type Resource = { readonly name: Name; readonly ttl: number } & (
  | { readonly type: 'A' | 'AAAA'; readonly address: string }
  | { readonly type: 'CNAME'; readonly target: Name }
  | { readonly type: 'DNAME'; readonly target: Name }
  | { readonly type: 'NS'; readonly target: Name }
  | { readonly type: 'TXT'; readonly strings: readonly Uint8Array[] }
  | { readonly type: 'SOA'; readonly serial: number; readonly minimum: number }
  /** The parent's word for a key (RFC 4034 5). */
  | {
      readonly type: 'DS';
      readonly keyTag: number;
      readonly algorithm: number;
      readonly digestType: number;
      readonly digest: Uint8Array;
    }
  /** A key of the zone (RFC 4034 2). */
  | {
      readonly type: 'DNSKEY';
      readonly flags: number;
      readonly algorithm: number;
      readonly key: Uint8Array;
    }
  /** Only which key has signed what (RFC 4034 3): nothing here checks a signature. */
  | {
      readonly type: 'RRSIG';
      readonly covered: string;
      readonly algorithm: number;
      readonly keyTag: number;
    }
  /** Where and how HTTPS is served (RFC 9460), as far as it leads somewhere. */
  | {
      readonly type: 'HTTPS';
      /** The root: the name itself. */
      readonly target: Name;
      /** Addresses that clients may take instead of asking for them. */
      readonly hints: readonly string[];
    }
  | { readonly type: 'other'; readonly typeName: string }
);

export interface Message {
  readonly id: number;
  readonly response: boolean;
  readonly opcode: number;
  /** `NOERROR`, `NXDOMAIN`, …; `RCODE_n` for those without a word and all extended ones. */
  readonly rcode: string;
  /** AA: the server speaks for the zone. */
  readonly authoritative: boolean;
  /** TC: the answer did not fit. */
  readonly truncated: boolean;
  /** It speaks EDNS(0) (RFC 6891). */
  readonly edns: boolean;
  /** For how many bits of the subnet that was asked for it holds (RFC 7871); null: it heeds none. */
  readonly scope: number | null;
  readonly questions: readonly Question[];
  readonly answers: readonly Resource[];
  readonly authority: readonly Resource[];
  readonly additional: readonly Resource[];
}

/** RFC 7871: EDNS Client Subnet. */
const ecsCode = 8;

/** The largest UDP reply asked for (DNS Flag Day 2020: it fits every path unfragmented). */
const udpSize = 1232;

const rcodes =
  'NOERROR FORMERR SERVFAIL NXDOMAIN NOTIMP REFUSED YXDOMAIN YXRRSET NXRRSET NOTAUTH NOTZONE'.split(
    ' ',
  );

/**
 * Records of one message. The library follows each name's chain of pointers to its end, and a
 * message of 64 KB can lead thousands of records down the same thousands of them: half a second.
 */
const recordsMax = 500;

/** A query with a random id. The name must fit the wire (`fitsWire`). */
export function encodeQuestion(
  question: Question,
  recurse: boolean,
  edns: boolean,
  dnssec = false,
  subnet: Subnet | null = null,
): Buffer {
  const query: Packet = {
    type: 'query',
    id: randomInt(65_536),
    flags: recurse ? packet.RECURSION_DESIRED : 0,
    questions: [{ name: question.name, type: question.type as RecordType, class: 'IN' }],
  };
  if (edns) {
    query.additionals = [
      {
        name: '.',
        type: 'OPT',
        udpPayloadSize: udpSize,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: dnssec ? packet.DNSSEC_OK : 0,
        flag_do: dnssec,
        options: subnet === null ? [] : [clientSubnet(subnet)],
      },
    ];
  }
  return packet.encode(query);
}

/** For whom the answer is wanted; the library sends the octets of the prefix and no more. */
function clientSubnet({ address, bits }: Subnet): PacketOpt {
  return {
    code: ecsCode,
    type: 'CLIENT_SUBNET',
    family: address.includes(':') ? 2 : 1,
    sourcePrefixLength: bits,
    scopePrefixLength: 0,
    ip: address,
  };
}

/** Labels of 1 to 63 bytes, 255 in all with their lengths (RFC 1035 2.3.4); `.` is the root. */
export function fitsWire(name: Name): boolean {
  if (name === '.') return true;
  if (!name.endsWith('.') || Buffer.byteLength(name) > 254) return false;
  const labels = name.slice(0, -1).split('.');
  return labels.every((l) => l.length > 0 && Buffer.byteLength(l) <= 63);
}

/** A DNS message, or null for bytes that are none, or too many records. Never throws. */
export function decode(bytes: Buffer): Message | null {
  if (bytes.length < 12) return null;
  const records = bytes.readUInt16BE(6) + bytes.readUInt16BE(8) + bytes.readUInt16BE(10);
  if (bytes.readUInt16BE(4) + records > recordsMax) return null;
  let raw: ReturnType<typeof packet.decode> & { readonly opcode?: string };
  try {
    raw = packet.decode(bytes);
  } catch {
    // The library throws for every malformed message, and only for those.
    return null;
  }
  // It does not notice data that runs past the end; its count of bytes then does (or is NaN).
  if (!(packet.decode.bytes <= bytes.length)) return null;
  const option = raw.additionals?.find((r) => r.type === 'OPT');
  const subnet = option?.type === 'OPT' ? option.options.find((o) => o.code === ecsCode) : null;
  const scope = (subnet as { readonly scopePrefixLength?: number } | null)?.scopePrefixLength;
  const extended = option?.type === 'OPT' ? option.extendedRcode : 0;
  const rcode = (extended << 4) | (bytes[3]! & 0xf);
  const flags = bytes.readUInt16BE(2);
  return {
    id: bytes.readUInt16BE(0),
    response: (flags & 0x8000) !== 0,
    opcode: (flags >> 11) & 0xf,
    rcode: rcodes[rcode] ?? `RCODE_${rcode}`,
    authoritative: (flags & 0x0400) !== 0,
    truncated: (flags & 0x0200) !== 0,
    edns: option !== undefined,
    scope: scope === undefined || scope === 0 ? null : scope,
    questions: (raw.questions ?? [])
      .filter((q) => q.class === 'IN')
      .map((q) => ({ name: tidy(q.name), type: q.type })),
    answers: resources(raw.answers),
    authority: resources(raw.authorities),
    additional: resources(raw.additionals),
  };
}

function tidy(name: string): Name {
  return name === '.' ? name : `${name.toLowerCase()}.`;
}

function resources(raw: Packet['answers']): Resource[] {
  const out: Resource[] = [];
  for (const r of raw ?? []) {
    if (r.type === 'OPT' || r.class !== 'IN') continue;
    const name = tidy(r.name);
    // RFC 2181 8: a TTL with its highest bit set is zero.
    const ttl = r.ttl === undefined || r.ttl > 0x7fff_ffff ? 0 : r.ttl;
    switch (r.type) {
      case 'A':
      case 'AAAA':
        out.push({ name, ttl, type: r.type, address: r.data });
        break;
      case 'CNAME':
      case 'DNAME':
      case 'NS':
        out.push({ name, ttl, type: r.type, target: tidy(r.data) });
        break;
      case 'TXT':
        out.push({ name, ttl, type: 'TXT', strings: [r.data].flat().map((s) => Buffer.from(s)) });
        break;
      case 'SOA': {
        const { serial = 0, minimum = 0 } = r.data;
        out.push({ name, ttl, type: 'SOA', serial, minimum });
        break;
      }
      case 'DS': {
        const { keyTag, algorithm, digestType, digest } = r.data;
        out.push({ name, ttl, type: 'DS', keyTag, algorithm, digestType, digest });
        break;
      }
      case 'DNSKEY': {
        const { flags, algorithm, key } = r.data;
        out.push({ name, ttl, type: 'DNSKEY', flags, algorithm, key });
        break;
      }
      case 'RRSIG': {
        const { typeCovered: covered, algorithm, keyTag } = r.data;
        out.push({ name, ttl, type: 'RRSIG', covered, algorithm, keyTag });
        break;
      }
      default: {
        // The library has no word for it, and hands it out as it came.
        const { type, data } = r as { readonly type: string; readonly data: unknown };
        const service = type === httpsType && Buffer.isBuffer(data) ? serviceOf(data) : null;
        if (service === null) out.push({ name, ttl, type: 'other', typeName: r.type });
        else out.push({ name, ttl, type: 'HTTPS', ...service });
      }
    }
  }
  return out;
}

/** The type HTTPS as the library spells it. */
export const httpsType = 'UNKNOWN_65';

/** RFC 9460 2.2: priority, a name that is never compressed, parameters; null: it is none. */
function serviceOf(data: Buffer): { readonly target: Name; readonly hints: string[] } | null {
  const labels: string[] = [];
  let at = 2;
  for (;;) {
    const length = data[at] ?? 255;
    if (length > 63 || at + 1 + length > data.length) return null;
    at += 1 + length;
    if (length === 0) break;
    labels.push(data.toString('latin1', at - length, at));
  }
  const hints: string[] = [];
  while (at + 4 <= data.length) {
    const [key, length] = [data.readUInt16BE(at), data.readUInt16BE(at + 2)];
    const value = data.subarray(at + 4, at + 4 + length);
    if (value.length < length) return null;
    const size = { 4: 4, 6: 16 }[key];
    for (let i = 0; size !== undefined && i + size <= length; i += size) {
      hints.push(printAddress(value.subarray(i, i + size)));
    }
    at += 4 + length;
  }
  return at === data.length ? { target: tidy(labels.join('.') || '.'), hints } : null;
}

/** As the library writes those of A and AAAA. */
function printAddress(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

/** It is a reply to this very query. Some servers leave the question out of an error. */
export function answersTo(message: Message, wire: Buffer, question: Question): boolean {
  if (!message.response || message.opcode !== 0) return false;
  if (message.id !== wire.readUInt16BE(0)) return false;
  const [first, second] = message.questions;
  if (first === undefined) {
    return ['FORMERR', 'NOTIMP', 'SERVFAIL', 'REFUSED'].includes(message.rcode);
  }
  return (
    second === undefined &&
    first.name === question.name.toLowerCase() &&
    first.type === question.type
  );
}

/** A TXT record's strings as one text. */
export function joinText(strings: readonly Uint8Array[]): string {
  return Buffer.concat(strings).toString('utf8');
}
