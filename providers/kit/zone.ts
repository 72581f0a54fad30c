// How vendors write names and texts, in the one form the house uses (lower-case names with a
// trailing dot, texts without quotes), and which zone of an account holds a name. It remembers
// where zones are, which never changes what is decided, and must never guess a zone between two of
// the same name.

import type { Name } from '../../src/core/model.ts';
import { isWithin } from '../../src/core/name.ts';
import { type Called, done, failed, type Trouble } from './fault.ts';
import { Room, type Told } from './room.ts';

/** How long the absence of a zone is believed, so that a zone made later is found. */
const absentForMs = 60_000;

/** How long a zone's facts (its id, plan and least TTL) are believed, unless they are refused. */
const factsForMs = 24 * 3_600_000;

/** Labels above a name that are tried as its zone; ip6.arpa is not what Detour steers. */
const candidatesMax = 8;

/**
 * A name as a vendor writes it, in the house's form. Route 53 writes odd characters as `\ooo`,
 * octal, and lower case throughout ("DNS domain name format", Route 53 developer guide).
 */
export function nameFrom(text: string): Name {
  const plain = text.replaceAll(/\\([0-3][0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
  const lower = plain.toLowerCase();
  return lower.endsWith('.') ? lower : `${lower}.`;
}

/** Longest text that fits one character-string (RFC 1035, 3.3), in bytes. */
export const textMax = 255;

/**
 * One text in quotes as zone files have it (RFC 1035, 5.1); null when it is too long for one
 * string. `radix` is that of the vendor's escapes: 8 at Route 53, 10 in zone files.
 */
export function quoteText(text: string, radix: 8 | 10): string | null {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length > textMax) return null;
  let quoted = '';
  for (const byte of bytes) {
    const char = String.fromCharCode(byte);
    if (char === '"' || char === '\\') quoted += `\\${char}`;
    else if (byte >= 0x20 && byte <= 0x7e) quoted += char;
    else quoted += `\\${byte.toString(radix).padStart(3, '0')}`;
  }
  return `"${quoted}"`;
}

/** The text of a TXT value: its strings unquoted and joined. Unquoted text stays as it is. */
export function unquoteText(value: string, radix: 8 | 10): string {
  const text = value.trim();
  if (!/^("(?:[^"\\]|\\.)*"\s*)+$/s.test(text)) return text;
  const bytes: Buffer[] = [];
  for (const [, digits, char, plain] of text.matchAll(
    /\\(\d{3})|\\(.)|([^"\\]+)|"(?:\s+(?="))?/gs,
  )) {
    if (digits !== undefined) bytes.push(Buffer.from([Number.parseInt(digits, radix) & 0xff]));
    else bytes.push(Buffer.from(char ?? plain ?? '', 'utf8'));
  }
  return Buffer.concat(bytes).toString('utf8');
}

export interface ZoneFinder<Z> {
  /** The zone that holds a name, or what explains why it is not known. */
  find(name: Name, signal: AbortSignal): Promise<Called<Z>>;
  /**
   * The same, if there is room for what must be asked; null where there is none. One room stands for
   * one piece of work: within it no question is asked twice, not even one without an answer.
   */
  findWithin(name: Name, signal: AbortSignal, room: Room): Promise<Told<Z>>;
  /** What is remembered of this zone alone no longer holds: it is looked for again. */
  forget(zone: Name): void;
}

interface ZoneSearch<Z> {
  readonly zone: Name | null;
  /** The one zone of an id, where an id is configured. */
  readonly byId: ((signal: AbortSignal) => Promise<Called<Z>>) | null;
  /**
   * The zone of exactly this name in the account, or null. A trouble that bears `zone` says that
   * the zone is there and cannot be used.
   */
  byName(zone: Name, signal: AbortSignal): Promise<Called<Z | null>>;
  /** A name of one label is tried, too: a server of one's own may hold `corp.` */
  readonly ofOneLabel?: boolean;
  /** A monotonic clock in milliseconds; this process's own unless given. */
  readonly nowMs?: () => number;
}

/**
 * Finds zones by asking for each parent of a name, the longest first. The name itself is no
 * candidate: a CNAME cannot stand at an apex, and one call a record would be spent to learn it.
 * A zone that the account may not see, or from which nobody is served, gives way to a parent that
 * can be used. A configured zone or id is taken at its word, and only checked to hold the name.
 */
export function zoneFinder<Z extends { readonly name: Name }>(
  search: ZoneSearch<Z>,
): ZoneFinder<Z> {
  const known = new KnownZones(search);
  const findWithin = (name: Name, signal: AbortSignal, room: Room): Promise<Told<Z>> => {
    const asking = { signal, room };
    const isFixed = search.byId !== null || search.zone !== null;
    if (isFixed) return byConfiguration(known, search, name, asking);
    return byParents(known, search, name, asking);
  };
  return {
    findWithin,
    async find(name, signal) {
      const room = new Room(candidatesMax, Number.POSITIVE_INFINITY);
      const found = await findWithin(name, signal, room);
      return found ?? failed('record', 'unavailable', `the zone of ${name} was not asked for`);
    },
    forget: (zone) => known.forget(zone),
  };
}

/** What is remembered of one name that may be a zone. */
interface Memory<Z> {
  /** The zone, what is wrong with it, or null where the account holds none of that name. */
  readonly found: Called<Z | null>;
  readonly untilMs: number;
}

class KnownZones<Z extends { readonly name: Name }> {
  readonly #search: ZoneSearch<Z>;
  readonly #nowMs: () => number;
  readonly #known = new Map<Name, Memory<Z>>();
  /** What was a zone once: its absence is never believed for long. */
  readonly #once = new Set<Name>();
  readonly #asked = new WeakMap<object, Map<Name, Promise<Called<Z | null>>>>();

  constructor(search: ZoneSearch<Z>) {
    this.#search = search;
    this.#nowMs = search.nowMs ?? (() => performance.now());
  }

  async lookUp(key: Name, { signal, room }: Asking): Promise<Told<Z | null>> {
    const memory = this.#known.get(key);
    if (memory !== undefined && this.#nowMs() < memory.untilMs) return memory.found;
    const ours = this.#asked.get(room.work) ?? new Map<Name, Promise<Called<Z | null>>>();
    this.#asked.set(room.work, ours);
    let pending = ours.get(key);
    if (pending === undefined) {
      if (!room.take(1)) return null;
      const { byId, byName } = this.#search;
      pending = key === byIdKey ? byId!(signal) : byName(key, signal);
      ours.set(key, pending);
    }
    const found = await pending;
    // A zone once found stays known while it cannot be looked at again.
    const isUntold = !found.ok && found.zone === undefined;
    if (isUntold && memory?.found.ok && memory.found.value !== null) {
      return this.remember(key, memory.found, absentForMs);
    }
    if (found.ok && found.value !== null) {
      this.#once.add(key);
      return this.remember(key, found, factsForMs);
    }
    if (found.ok && !this.#once.has(key)) return this.remember(key, found, absentForMs);
    if (!found.ok && found.unserved) return this.remember(key, found, absentForMs);
    this.#known.delete(key);
    return found;
  }

  remember(key: Name, found: Called<Z | null>, forMs: number): Called<Z | null> {
    this.#known.set(key, { found, untilMs: this.#nowMs() + forMs });
    return found;
  }

  forget(zone: Name): void {
    for (const key of [zone, byIdKey]) {
      const memory = this.#known.get(key);
      const isOther = key === byIdKey && memory?.found.ok && memory.found.value?.name !== zone;
      if (memory !== undefined && !isOther) this.remember(key, memory.found, 0);
    }
  }
}

async function byConfiguration<Z extends { readonly name: Name }>(
  known: KnownZones<Z>,
  { zone, byId }: ZoneSearch<Z>,
  name: Name,
  asking: Asking,
): Promise<Told<Z>> {
  const found = await known.lookUp(byId ? byIdKey : zone!, asking);
  const where = zone === null ? {} : { zone };
  if (found === null) return null;
  if (!found.ok) return found.scope === 'zone' ? { ...where, ...found } : found;
  const { value } = found;
  if (value === null) return notThere(`no zone ${zone} in this account`, where);
  if (zone !== null && value.name !== zone) {
    return failed('zone', 'rejected', `zoneId is of ${value.name}, not of ${zone}`, {
      cure: 'let zone and zoneId name the same zone, or leave one out',
      zone,
    });
  }
  if (isWithin(name, value.name)) return done(value);
  const detail = `${name} is not within the configured zone ${value.name}`;
  const settings = byId === null ? 'zone' : zone === null ? 'zoneId' : 'zone and zoneId';
  const cure = `publish it at another provider, or correct ${settings}`;
  return failed('record', 'rejected', detail, { cure });
}

async function byParents<Z extends { readonly name: Name }>(
  known: KnownZones<Z>,
  { ofOneLabel = false }: Pick<ZoneSearch<Z>, 'ofOneLabel'>,
  name: Name,
  asking: Asking,
): Promise<Told<Z>> {
  const passed: [Name, { readonly ok: false } & Trouble][] = [];
  for (const candidate of parentsOf(name, ofOneLabel ? 1 : 2)) {
    const found = await known.lookUp(candidate, asking);
    if (found === null) return null;
    if (!found.ok) {
      const isDenied = found.scope === 'zone' && found.fault.kind === 'auth-suspect';
      if (!isDenied && !found.unserved) return ofRecord(found);
      passed.push([candidate, found]);
    } else if (found.value !== null) {
      for (const [above, refused] of passed) known.remember(above, refused, absentForMs);
      return done(found.value);
    }
  }
  const [first] = passed;
  return first ? ofRecord(first[1]) : notThere(`no zone in this account holds ${name}`, {});
}

/** On whose behalf a zone is looked for, and how many questions that may take. */
interface Asking {
  readonly signal: AbortSignal;
  readonly room: Room;
}

/** Stands for the configured id among the names that are remembered. */
const byIdKey: Name = '';

/** While the zone is not known, a trouble that would be its own is the record's. */
function ofRecord<T extends Trouble>(found: T): T {
  if (found.scope !== 'zone' || found.zone !== undefined) return found;
  return { ...found, scope: 'record' };
}

function parentsOf(name: Name, labelsMin: number): readonly Name[] {
  const labels = name.replace(/\.$/, '').split('.');
  const parents: Name[] = [];
  for (let i = 1; i <= labels.length - labelsMin; i++)
    parents.push(`${labels.slice(i).join('.')}.`);
  return parents.slice(0, candidatesMax);
}

function notThere(detail: string, where: { readonly zone?: Name }): Called<never> {
  return failed(where.zone === undefined ? 'record' : 'zone', 'rejected', detail, {
    cure: 'check the account and the key, and set zone or zoneId of this provider',
    ...where,
  });
}
