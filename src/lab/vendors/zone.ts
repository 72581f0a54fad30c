// The data of one authoritative zone in the lab and what it answers to a question: records by name
// and type, a start of authority with its negative TTL, delegations with glue, wildcards. It is
// pure data: it opens no socket, keeps no time and tells nobody of a change. Values are in the
// presentation form of a zone file (RFC 1035 section 5.1), host names fully qualified. It refuses
// what cannot be put on the wire; whether a vendor would accept a record is the vendor's business.

import { BlockList, isIPv4, isIPv6 } from 'node:net';
import type { Answer, RecordType } from 'dns-packet';

/** One RRset: every value that a name has for a type, with their common TTL in seconds. */
export interface RRset {
  readonly name: string;
  readonly type: string;
  readonly ttl: number;
  readonly values: readonly string[];
  /** Whom it is given to, in the place of what everybody gets; absent: everybody. */
  readonly line?: string;
}

/** Where the users of each line are: lists of ADDRESS/BITS. */
export type LineRanges = Readonly<Record<string, readonly string[]>>;

/** The start of authority. `minimum` is the negative TTL (RFC 2308 section 4); all in seconds. */
export interface Soa {
  readonly mname: string;
  readonly rname: string;
  readonly refresh: number;
  readonly retry: number;
  readonly expire: number;
  readonly minimum: number;
  readonly ttl: number;
}

interface ZoneQuestion {
  readonly name: string;
  readonly type: string;
}

interface ZoneAnswer {
  readonly rcode: 'NOERROR' | 'NXDOMAIN';
  /** False for a referral to a delegated zone. */
  readonly authoritative: boolean;
  readonly answers: readonly Answer[];
  readonly authorities: readonly Answer[];
  readonly additionals: readonly Answer[];
}

interface ZoneOptions {
  readonly name: string;
  readonly soa?: Partial<Soa>;
  /** Host names of its servers; they become the NS set of the apex. */
  readonly nameServers: readonly string[];
  /** TTL in seconds of the NS set of the apex. */
  readonly nsTtl?: number;
  readonly rrsets?: readonly RRset[];
}

/** A record or name that cannot be served; the message says which and why. */
export class ZoneError extends Error {}

/** Types that the lab can put on the wire. The SOA is not one of them: see `LabZone.soa`. */
export const servedTypes = ['A', 'AAAA', 'CAA', 'CNAME', 'MX', 'NS', 'PTR', 'SRV', 'TXT'] as const;

const aliasesMax = 16;

/** One authoritative zone. Every change takes effect at once and raises the serial. */
export class LabZone {
  readonly name: string;
  readonly soa: Soa;
  #serial = 1;
  #sets = new Map<string, Map<string, RRset>>();
  /** What is given to users of one line alone, by line. */
  #lines = new Map<string, Map<string, Map<string, RRset>>>();
  #ranges: LineRanges = {};
  #placed: readonly Range[] = [];

  /** Throws ZoneError for a name or record that cannot be served. */
  constructor(options: ZoneOptions) {
    this.name = normalName(options.name);
    const ns = options.nameServers.map(normalName);
    if (ns.length === 0) throw new ZoneError(`zone ${this.name}: needs at least one name server`);
    this.soa = soaFrom(this.name, ns[0]!, options.soa ?? {});
    this.set({ name: this.name, type: 'NS', ttl: options.nsTtl ?? 172_800, values: ns });
    for (const rrset of options.rrsets ?? []) this.set(rrset);
    this.#serial = 1;
  }

  /** 1 for a new zone, one more with every change. */
  get serial(): number {
    return this.#serial;
  }

  /** Host names of its servers. */
  get ns(): readonly string[] {
    return this.get(this.name, 'NS')?.values ?? [];
  }

  /** The RRset of exactly this name and type, or null; wildcards are not applied. */
  get(name: string, type: string, line?: string): RRset | null {
    const sets = line === undefined ? this.#sets : this.#lines.get(line);
    return sets?.get(normalName(name))?.get(type.toUpperCase()) ?? null;
  }

  /** Where the users of each line are. Throws ZoneError for what is no range. */
  place(ranges: LineRanges): void {
    this.#placed = Object.entries(ranges).flatMap(([line, all]) => {
      return all.map((range) => rangeFrom(line, range));
    });
    this.#ranges = ranges;
  }

  /** Whether its answer depends on who asks. */
  get isByLine(): boolean {
    return this.#placed.length > 0;
  }

  /** The line of an address; null: everybody's. */
  lineOf(address: string): string | null {
    const family = isIPv4(address) ? 'ipv4' : 'ipv6';
    return this.#placed.find(({ list }) => list.check(address, family))?.line ?? null;
  }

  /** Puts an RRset in the place of the one of its name and type. Throws ZoneError. */
  set(rrset: RRset): void {
    const checked = this.#checked(rrset);
    const types = this.#sets.get(checked.name) ?? new Map<string, RRset>();
    if (sameSet(types.get(checked.type), checked)) return;
    types.set(checked.type, checked);
    this.#sets.set(checked.name, types);
    this.#serial += 1;
  }

  /** Removes an RRset; false when there was none. */
  delete(name: string, type: string): boolean {
    const owner = normalName(name);
    const types = this.#sets.get(owner);
    if (!types?.delete(type.toUpperCase())) return false;
    if (types.size === 0) this.#sets.delete(owner);
    this.#serial += 1;
    return true;
  }

  /** Puts these RRsets in the place of everything, in one step. Throws ZoneError, unchanged. */
  replace(rrsets: readonly RRset[]): void {
    const next = new Map<string, Map<string, RRset>>();
    const lines = new Map<string, Map<string, Map<string, RRset>>>();
    let isChanged = false;
    for (const rrset of rrsets) {
      const { line } = rrset;
      const before = line === undefined ? this.#sets : this.#lines.get(line);
      // Most of a zone is as it was: what has been checked once is not checked again.
      const known = before?.get(rrset.name)?.get(rrset.type);
      const checked = sameSet(known, rrset) ? known! : this.#checked(rrset);
      isChanged ||= !sameSet(before?.get(checked.name)?.get(checked.type), checked);
      const sets = line === undefined ? next : (lines.get(line) ?? new Map());
      if (line !== undefined) lines.set(line, sets);
      const types = sets.get(checked.name) ?? new Map<string, RRset>();
      types.set(checked.type, checked);
      sets.set(checked.name, types);
    }
    const before = this.#count();
    this.#sets = next;
    this.#lines = lines;
    if (isChanged || this.#count() !== before) this.#serial += 1;
  }

  /** Every name that owns a record, sorted. */
  names(): readonly string[] {
    return [...this.#sets.keys()].sort();
  }

  /** Every RRset, by name and type. */
  rrsets(): readonly RRset[] {
    const plain = this.names().flatMap((name) => {
      const types = this.#sets.get(name)!;
      return [...types.keys()].sort().map((type) => types.get(type)!);
    });
    const byLine = [...this.#lines].flatMap(([line, sets]) => {
      return [...sets.values()].flatMap((types) =>
        [...types.values()].map((s) => ({ ...s, line })),
      );
    });
    return [...plain, ...byLine];
  }

  /** Whether a name is the apex or below it. */
  contains(name: string): boolean {
    const owner = normalName(name);
    return this.name === '.' || owner === this.name || owner.endsWith(`.${this.name}`);
  }

  /** A copy that later changes of this zone do not reach. */
  clone(): LabZone {
    const copy = new LabZone({ name: this.name, soa: this.soa, nameServers: ['clone.invalid.'] });
    copy.replace(this.rrsets());
    copy.place(this.#ranges);
    copy.#serial = this.#serial;
    return copy;
  }

  /**
   * What an authoritative server says (RFC 1034 section 4.3.2): the set, the CNAME and what it
   * leads to inside the zone, a referral, NODATA or NXDOMAIN with the SOA. The question's name must
   * lie in the zone. `line` is that of whoever asks; null: everybody's.
   */
  answer(question: ZoneQuestion, line: string | null = null): ZoneAnswer {
    const type = question.type.toUpperCase();
    const answers: Answer[] = [];
    const seen = new Set<string>();
    let name = normalName(question.name);
    while (true) {
      const cut = this.#cut(name, type);
      if (cut) return this.#referral(cut, answers);
      const types = this.#typesFor(name, line);
      if (types === null) return this.#negative('NXDOMAIN', answers);
      const found = this.#select(name, type, types);
      if (found.length > 0) {
        answers.push(...found);
        return { ...empty, authoritative: true, answers, additionals: this.#glue(found) };
      }
      const alias = types.get('CNAME');
      if (!alias) return this.#negative('NOERROR', answers);
      answers.push(...toAnswers({ ...alias, name }));
      seen.add(name);
      name = normalName(alias.values[0]!);
      // Outside the zone, in a circle or in a long chain it is the resolver's turn again.
      if (!this.contains(name) || seen.has(name) || seen.size > aliasesMax) {
        return { ...empty, authoritative: true, answers };
      }
    }
  }

  #count(): number {
    let count = 0;
    for (const sets of [this.#sets, ...this.#lines.values()]) {
      for (const types of sets.values()) count += types.size;
    }
    return count;
  }

  /** The sets that askers of a line get: its own in the place of everybody's, type by type. */
  #typesFor(name: string, line: string | null): ReadonlyMap<string, RRset> | null {
    const own = line === null ? undefined : this.#lines.get(line)?.get(name);
    const types = this.#typesAt(name);
    return own === undefined ? types : new Map([...(types ?? []), ...own]);
  }

  #checked(rrset: RRset): RRset {
    const name = normalName(rrset.name);
    const type = rrset.type.toUpperCase();
    const what = `zone ${this.name}: ${name} ${type}`;
    if (!this.contains(name)) throw new ZoneError(`${what}: the name is outside the zone`);
    if (!(servedTypes as readonly string[]).includes(type)) {
      throw new ZoneError(`${what}: not a type that the lab serves (${servedTypes.join(', ')})`);
    }
    if (!Number.isInteger(rrset.ttl) || rrset.ttl < 0 || rrset.ttl > 0x7fffffff) {
      throw new ZoneError(`${what}: the TTL must be whole seconds from 0 to 2147483647`);
    }
    if (rrset.values.length === 0) throw new ZoneError(`${what}: has no value`);
    if (type === 'CNAME' && rrset.values.length > 1) {
      throw new ZoneError(`${what}: a CNAME has one value (RFC 2181 section 10.1)`);
    }
    const checked = { name, type, ttl: rrset.ttl, values: [...rrset.values] };
    toAnswers(checked);
    return checked;
  }

  /** The delegation that a name lies in: the owner of NS records nearest to the apex. */
  #cut(name: string, type: string): RRset | null {
    const depth = this.name === '.' ? 0 : labels(this.name).length;
    const parts = labels(name);
    for (let count = depth + 1; count <= parts.length; count += 1) {
      const owner = `${parts.slice(parts.length - count).join('.')}.`;
      // The parent side of a cut is authoritative for its DS alone (RFC 4035 section 3.1.4.1).
      if (owner === name && type === 'DS') return null;
      const ns = this.#sets.get(owner)?.get('NS');
      if (ns) return ns;
    }
    return null;
  }

  /** The sets at a name, by wildcard if need be; an empty map for NODATA, null for NXDOMAIN. */
  #typesAt(name: string): ReadonlyMap<string, RRset> | null {
    const exact = this.#sets.get(name);
    if (exact) return exact;
    if (name === this.name || this.#hasBelow(name)) return new Map();
    // The closest encloser decides which wildcard applies (RFC 4592 section 3.3.1).
    let parent = parentOf(name);
    while (parent !== this.name && !this.#sets.has(parent) && !this.#hasBelow(parent)) {
      parent = parentOf(parent);
    }
    return this.#sets.get(parent === '.' ? '*.' : `*.${parent}`) ?? null;
  }

  #hasBelow(name: string): boolean {
    const suffix = name === '.' ? '.' : `.${name}`;
    for (const owner of this.#sets.keys()) if (owner.endsWith(suffix)) return true;
    return false;
  }

  #select(name: string, type: string, types: ReadonlyMap<string, RRset>): Answer[] {
    if (type === 'SOA') return name === this.name ? [this.#soaRecord(this.soa.ttl)] : [];
    if (type !== 'ANY') {
      const rrset = types.get(type);
      return rrset ? toAnswers({ ...rrset, name }) : [];
    }
    const all = [...types.values()].flatMap((rrset) => toAnswers({ ...rrset, name }));
    return name === this.name ? [this.#soaRecord(this.soa.ttl), ...all] : all;
  }

  #negative(rcode: ZoneAnswer['rcode'], answers: readonly Answer[]): ZoneAnswer {
    const ttl = Math.min(this.soa.ttl, this.soa.minimum);
    const authorities = [this.#soaRecord(ttl)];
    return { rcode, authoritative: true, answers, authorities, additionals: [] };
  }

  #referral(cut: RRset, answers: readonly Answer[]): ZoneAnswer {
    const authorities = toAnswers(cut);
    // After a CNAME of this zone the answer stays authoritative: AA speaks for the first owner.
    const authoritative = answers.length > 0;
    const additionals = this.#glue(authorities);
    return { rcode: 'NOERROR', authoritative, answers, authorities, additionals };
  }

  #glue(records: readonly Answer[]): Answer[] {
    const hosts = records.flatMap((a) => (a.type === 'NS' ? [normalName(a.data)] : []));
    return hosts.flatMap((host) => {
      const types = this.#sets.get(host);
      return ['A', 'AAAA'].flatMap((type) => {
        const rrset = types?.get(type);
        return rrset ? toAnswers(rrset) : [];
      });
    });
  }

  #soaRecord(ttl: number): Answer {
    const { mname, rname, refresh, retry, expire, minimum } = this.soa;
    const data = { mname, rname, serial: this.#serial, refresh, retry, expire, minimum };
    return { name: this.name, type: 'SOA', class: 'IN', ttl, data };
  }
}

/** A start of authority where only some of it is given; `mname` is the first name server. */
export function soaFrom(zone: string, mname: string, given: Partial<Soa>): Soa {
  const usual = { refresh: 7200, retry: 900, expire: 1_209_600, minimum: 60, ttl: 900 };
  const rname = zone === '.' ? 'hostmaster.' : `hostmaster.${zone}`;
  return { mname, rname, ...usual, ...given };
}

/** Lower-case with the trailing dot; throws ZoneError for what is no DNS name. */
export function normalName(text: string): string {
  if (!isDnsName(text)) throw new ZoneError(`${JSON.stringify(text.slice(0, 300))} is no DNS name`);
  return `${text.toLowerCase().replace(/\.$/, '')}.`;
}

/** Whether a text is a name that a zone can have: printable labels of 1 to 63, 253 in all. */
export function isDnsName(text: string): boolean {
  const bare = text.replace(/\.$/, '');
  if (bare === '') return true;
  return bare.length <= 253 && bare.split('.').every((label) => /^[!-~]{1,63}$/.test(label));
}

/**
 * The character-strings of a TXT value in presentation form: `"a b" c` is two. Escapes are \X and
 * \DDD with three decimal digits (RFC 1035 section 5.1). Null when it is malformed, empty, or has a
 * string of more than 255 octets.
 */
export function parseStrings(text: string): readonly Buffer[] | null {
  const strings: Buffer[] = [];
  const token = /\s*(?:"((?:[^"\\]|\\[0-9]{3}|\\[^0-9])*)"|((?:[^\s"\\]|\\[0-9]{3}|\\[^0-9])+))/y;
  const body = text.trim();
  while (token.lastIndex < body.length) {
    const match = token.exec(body);
    if (!match) return null;
    const octets = unescaped(match[1] ?? match[2]!);
    if (octets === null || octets.length > 255) return null;
    strings.push(octets);
    const next = body[token.lastIndex];
    if (next !== undefined && !/[\s"]/.test(next)) return null;
  }
  return strings.length > 0 ? strings : null;
}

/** A TXT value in presentation form: each string quoted, `"`, `\` and non-ASCII octets escaped. */
export function printStrings(strings: readonly (string | Uint8Array)[]): string {
  const quoted = strings.map((part) => {
    const octets = typeof part === 'string' ? Buffer.from(part) : part;
    let text = '';
    for (const octet of octets) {
      const char = String.fromCharCode(octet);
      if (char === '"' || char === '\\') text += `\\${char}`;
      else if (octet < 32 || octet > 126) text += `\\${String(octet).padStart(3, '0')}`;
      else text += char;
    }
    return `"${text}"`;
  });
  return quoted.join(' ');
}

/** An RRset as records for the wire. Throws ZoneError for a value that has no wire form. */
export function toAnswers(rrset: RRset): Answer[] {
  const { name, ttl } = rrset;
  return rrset.values.map((value): Answer => {
    const data = wireData(rrset.type as RecordType, value);
    if (data === null) {
      throw new ZoneError(`${name} ${rrset.type}: ${JSON.stringify(value)} has no wire form`);
    }
    return { name, type: rrset.type, class: 'IN', ttl, data } as Answer;
  });
}

interface Range {
  readonly line: string;
  readonly list: BlockList;
}

function rangeFrom(line: string, text: string): Range {
  const [address = '', bits = ''] = text.split('/');
  const family = isIPv4(address) ? 'ipv4' : isIPv6(address) ? 'ipv6' : null;
  const most = family === 'ipv4' ? 32 : 128;
  if (family === null || !/^\d{1,3}$/.test(bits) || Number(bits) > most) {
    throw new ZoneError(`line ${line}: ${text} is no range, such as 202.96.128.0/24`);
  }
  const list = new BlockList();
  list.addSubnet(address, Number(bits), family);
  return { line, list };
}

const empty = { rcode: 'NOERROR', answers: [], authorities: [], additionals: [] } as const;

function wireData(type: RecordType, value: string): unknown {
  const words = value.trim().split(/\s+/);
  const count = (at: number, max = 65_535) => {
    const number = /^\d+$/.test(words[at] ?? '') ? Number(words[at]) : -1;
    return number >= 0 && number <= max ? number : null;
  };
  switch (type) {
    case 'A':
      return isIPv4(value) ? value : null;
    case 'AAAA':
      return isIPv6(value) && !value.includes('%') ? value : null;
    case 'CNAME':
    case 'NS':
    case 'PTR':
      return words.length === 1 ? normalName(value) : null;
    case 'TXT':
      return parseStrings(value) as Buffer[] | null;
    case 'MX': {
      const preference = count(0);
      if (preference === null || words.length !== 2) return null;
      return { preference, exchange: normalName(words[1]!) };
    }
    case 'SRV': {
      const [priority, weight, port] = [count(0), count(1), count(2)];
      if (priority === null || weight === null || port === null || words.length !== 4) return null;
      return { priority, weight, port, target: normalName(words[3]!) };
    }
    case 'CAA': {
      const match = /^(\d{1,3})\s+([a-z0-9]{1,15})\s+(.+)$/i.exec(value.trim());
      const text = match ? parseStrings(match[3]!) : null;
      if (!match || Number(match[1]) > 255 || text?.length !== 1) return null;
      return { flags: Number(match[1]), tag: match[2]!.toLowerCase(), value: text[0]!.toString() };
    }
    default:
      return null;
  }
}

function sameSet(a: RRset | undefined, b: RRset): boolean {
  if (a === undefined || a.type !== b.type || a.ttl !== b.ttl) return false;
  return (
    a.values.length === b.values.length && a.values.every((value, at) => value === b.values[at])
  );
}

function labels(name: string): readonly string[] {
  return name === '.' ? [] : name.slice(0, -1).split('.');
}

function parentOf(name: string): string {
  const rest = name.slice(name.indexOf('.') + 1);
  return rest === '' ? '.' : rest;
}

function unescaped(text: string): Buffer | null {
  const octets: number[] = [];
  for (let at = 0; at < text.length; at += 1) {
    const digits = /^\\([0-9]{3})/.exec(text.slice(at, at + 4));
    if (digits) {
      if (Number(digits[1]) > 255) return null;
      octets.push(Number(digits[1]));
      at += 3;
    } else {
      if (text[at] === '\\') at += 1;
      const point = text.codePointAt(at)!;
      octets.push(...Buffer.from(String.fromCodePoint(point)));
      if (point > 0xffff) at += 1;
    }
  }
  return Buffer.from(octets);
}
