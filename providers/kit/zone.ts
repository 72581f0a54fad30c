// How vendors write names and texts, in the one form the house uses (lower-case names with a
// trailing dot, texts without quotes), and which zone of an account holds a name. It remembers
// where zones are, which never changes what is decided, and must never guess a zone between two of
// the same name.

import { domainToASCII, domainToUnicode } from 'node:url';
import type { Name, Refusal } from '../../src/core/model.ts';
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
 * octal, and lower case throughout ("DNS domain name format", Route 53 developer guide). Cloudflare
 * and Alibaba Cloud write some names in their own script (U-labels); here they are A-labels, as in
 * DNS (RFC 5891, non-transitional).
 */
export function nameFrom(text: string): Name {
  const plain = aLabels(text).replaceAll(/\\([0-3][0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
  const lower = plain.toLowerCase();
  return lower.endsWith('.') ? lower : `${lower}.`;
}

function aLabels(text: string): string {
  if (!/[^\p{ASCII}]/u.test(text)) return text;
  const labels = text.split('.');
  // What is no name in any script stays as it is, and is equal to no name of ours. Of what a URL
  // would end at, the rest would be a name.
  const isLabel = (l: string) => /[^\p{ASCII}]/u.test(l) && !/[/?#\\:@]/.test(l);
  return labels.map((l) => (isLabel(l) && domainToASCII(l)) || l).join('.');
}

/** How a vendor may spell a name, without the trailing dot: in its own script, then in ASCII. */
export function spellings(name: Name): readonly string[] {
  const ascii = name.slice(0, -1);
  return [...new Set([/(^|\.)xn--/.test(ascii) ? domainToUnicode(ascii) || ascii : ascii, ascii])];
}

/** The names strictly between a zone and a name in it, from the zone down: where it may be cut. */
export function namesBetween(zone: Name, name: Name): readonly Name[] {
  const above: Name[] = [];
  let parent = name.slice(name.indexOf('.') + 1);
  while (parent.length > zone.length) {
    above.unshift(parent);
    parent = parent.slice(parent.indexOf('.') + 1);
  }
  return above;
}

/** What stands at the names between a zone and those that are read in it, each asked for once. */
export class Between<R> {
  readonly #zone: Name;
  readonly #ask: (name: Name) => Promise<Called<R>>;
  readonly #asked = new Map<Name, Promise<Called<R>>>();

  constructor(zone: Name, ask: (name: Name) => Promise<Called<R>>) {
    this.#zone = zone;
    this.#ask = ask;
  }

  /** How many names above this one were not asked for yet. */
  missing(name: Name): number {
    return namesBetween(this.#zone, name).filter((above) => !this.#asked.has(above)).length;
  }

  /** From the zone down. */
  async above(name: Name): Promise<Called<readonly (readonly [Name, R])[]>> {
    const pending = namesBetween(this.#zone, name).map((above) => {
      const asked = this.#asked.get(above) ?? this.#ask(above);
      this.#asked.set(above, asked);
      return [above, asked] as const;
    });
    const found: (readonly [Name, R])[] = [];
    for (const [above, asked] of pending) {
      const one = await asked;
      if (!one.ok) return one;
      found.push([above, one.value]);
    }
    return done(found);
  }
}

/** Why a name is not this zone's to serve: name server records stand between them, at `cut`. */
export function delegatedAt(cut: Name, name: Name): Refusal {
  const sentence =
    `the NS records at ${cut} give ${name} to other servers: publish it in that zone, or remove ` +
    'them';
  return { word: 'delegated', sentence };
}

/** Why a zone's own name is not steered; null for any other name. */
export function apexRefused(zone: { readonly name: Name }, name: Name): Refusal | null {
  if (name !== zone.name) return null;
  const sentence = `${name} is the apex of its zone: a CNAME there hides the zone's mail and more`;
  return { word: 'apex', sentence: `${sentence}; steer a name below it` };
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
  for (const [, string] of text.matchAll(/"((?:[^"\\]|\\.)*)"/gs)) {
    for (const [, digits, char, plain] of string!.matchAll(/\\(\d{3})|\\(.)|([^\\]+)/gs)) {
      if (digits !== undefined) bytes.push(Buffer.from([Number.parseInt(digits, radix) & 0xff]));
      else bytes.push(Buffer.from(char ?? plain ?? '', 'utf8'));
    }
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
  /**
   * Whether a zone of the account has name server records at a name, which then begins a zone of its
   * own. Left out where zones lie within no other zone of the account.
   */
  readonly delegates?: (zone: Z, name: Name, signal: AbortSignal) => Promise<Called<boolean>>;
  /** A name of one label is tried, too: a server of one's own may hold `corp.` */
  readonly ofOneLabel?: boolean;
  /** A monotonic clock in milliseconds; this process's own unless given. */
  readonly nowMs?: () => number;
}

/**
 * Finds zones by asking for each parent of a name, the longest first. The name itself is no
 * candidate: a CNAME cannot stand at an apex, and one call a record would be spent to learn it.
 * A zone that the account may not see, or from which nobody is served, gives way to a parent that
 * can be used; so does one that no parent in the account delegates to. A configured zone or id is
 * taken at its word, and only checked to hold the name.
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
      const room = new Room(2 * candidatesMax, Number.POSITIVE_INFINITY);
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
  /** Of a zone: whether the account's zone above it, if there is one, delegates to it. */
  readonly #delegated = new Map<Name, { readonly isSo: boolean; readonly untilMs: number }>();
  readonly #asked = new WeakMap<object, Map<string, Promise<unknown>>>();

  constructor(search: ZoneSearch<Z>) {
    this.#search = search;
    this.#nowMs = search.nowMs ?? (() => performance.now());
  }

  async lookUp(key: Name, asking: Asking): Promise<Told<Z | null>> {
    const memory = this.#known.get(key);
    if (memory !== undefined && this.#nowMs() < memory.untilMs) return memory.found;
    const { byId, byName } = this.#search;
    const found = await this.#askOnce(`zone ${key}`, asking, (signal) =>
      key === byIdKey ? byId!(signal) : byName(key, signal),
    );
    if (found === null) return null;
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

  /** What is remembered of `isDelegated`; null: nothing, or not any more. */
  delegated(zone: Name): boolean | null {
    if (this.#search.delegates === undefined) return true;
    const memory = this.#delegated.get(zone);
    return memory !== undefined && this.#nowMs() < memory.untilMs ? memory.isSo : null;
  }

  /** Whether the account's zone above a zone, null where there is none, delegates to it. */
  async isDelegated(zone: Name, above: Called<Z> | null, asking: Asking): Promise<Told<boolean>> {
    const { delegates } = this.#search;
    const told: Told<boolean> =
      above === null || delegates === undefined
        ? done(true)
        : !above.ok
          ? above
          : await this.#askOnce(`cut ${zone}`, asking, (signal) =>
              delegates(above.value, zone, signal),
            );
    if (told === null) return null;
    // What was seen of it stays so while it cannot be looked at again. Where the key may not see the
    // zone above, that was never to be judged by it.
    const before = told.ok ? told.value : this.#delegated.get(zone)?.isSo;
    if (before === undefined && !told.ok && !isPassed(told)) return told;
    const isSo = before ?? true;
    const forMs = isSo ? factsForMs : absentForMs;
    this.#delegated.set(zone, { isSo, untilMs: this.#nowMs() + forMs });
    return done(isSo);
  }

  /** Asks, if there is room to, and within one piece of work only once. */
  async #askOnce<T>(
    what: string,
    { signal, room }: Asking,
    ask: (signal: AbortSignal) => Promise<Called<T>>,
  ): Promise<Told<T>> {
    const ours = this.#asked.get(room.work) ?? new Map<string, Promise<unknown>>();
    this.#asked.set(room.work, ours);
    const pending = ours.get(what) as Promise<Called<T>> | undefined;
    if (pending !== undefined) return pending;
    if (!room.take(1)) return null;
    const asked = ask(signal);
    ours.set(what, asked);
    return asked;
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
    const memory = this.#delegated.get(zone);
    if (memory !== undefined) this.#delegated.set(zone, { ...memory, untilMs: 0 });
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
  const candidates = parentsOf(name, ofOneLabel ? 1 : 2);
  const nearest = await nextZone(known, candidates, asking);
  if (nearest === null) return null;
  if (nearest.found === null) return notThere(`no zone in this account holds ${name}`, {});
  let { found, above } = nearest;
  while (found.ok) {
    const { name: zone } = found.value;
    if (known.delegated(zone) === true) break;
    const next = await nextZone(known, above, asking);
    if (next === null) return null;
    const delegated =
      known.delegated(zone) === null
        ? await known.isDelegated(zone, next.found, asking)
        : done(false);
    if (delegated === null) return null;
    if (!delegated.ok) return ofRecord(delegated);
    if (delegated.value || next.found === null) break;
    ({ found, above } = { found: next.found, above: next.above });
  }
  return found.ok ? found : ofRecord(found);
}

/**
 * The first of these names that is a zone to be used, or what is wrong with the first that is none;
 * and the names behind it. A zone that gives way to one above it is believed not to be there.
 */
async function nextZone<Z extends { readonly name: Name }>(
  known: KnownZones<Z>,
  candidates: readonly Name[],
  asking: Asking,
): Promise<{ readonly found: Called<Z> | null; readonly above: readonly Name[] } | null> {
  const passed: [Name, { readonly ok: false } & Trouble][] = [];
  for (const [at, candidate] of candidates.entries()) {
    const above = candidates.slice(at + 1);
    const found = await known.lookUp(candidate, asking);
    if (found === null) return null;
    if (!found.ok) {
      if (!isPassed(found)) return { found, above };
      passed.push([candidate, found]);
    } else if (found.value !== null) {
      for (const [name, refused] of passed) known.remember(name, refused, absentForMs);
      return { found: done(found.value), above };
    }
  }
  return { found: passed[0]?.[1] ?? null, above: [] };
}

/** Whether a zone gives way to a parent: the account may not see it, or nobody is served from it. */
function isPassed({ scope, fault, unserved }: Trouble): boolean {
  return (scope === 'zone' && fault.kind === 'auth-suspect') || unserved === true;
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
