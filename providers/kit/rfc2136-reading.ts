// Reading a server that takes updates: whose zone a name is in, what stands at it by the server's own
// word, and whether Detour may change that. It must never take a wildcard's answer for a record, nor
// an answer without authority for one.

import { randomInt } from 'node:crypto';
import { markerName } from '../../src/core/marker.ts';
import type { Name, Refusal, RefusalWord, Result, Seen } from '../../src/core/model.ts';
import { ancestors, isWithin } from '../../src/core/name.ts';
import { fitsWire, joinText, type Message } from '../../src/dns/wire.ts';
import type { ZoneFacts } from '../../src/kit/extend.ts';
import { toName } from '../../src/kit/schema.ts';
import type { ZoneKey } from './by-zone.ts';
import { encodeStrings, encodeUpdate, nameIsUnused } from './dns-update.ts';
import { type Called, done, failed, type Trouble } from './fault.ts';
import type { Room, Told } from './room.ts';
import type { Heard, SignedServer } from './signed.ts';
import type { ZoneFinder } from './zone.ts';

/** Names of one reading, at most. */
export const readMax = 50;
/** What could stand where a server answers ANY with next to nothing (RFC 8482). */
const commonTypes = ['A', 'AAAA', 'NS', 'MX', 'TXT', 'SRV', 'CAA', 'UNKNOWN_64', 'UNKNOWN_65'];

/** Signatures, proofs and keys of DNSSEC stand beside a CNAME (RFC 4034, 5155). */
const beside = new Set(['RRSIG', 'NSEC', 'NSEC3', 'KEY', 'SIG']);

// ---------------------------------------------------------------- the account

type Failed = { readonly ok: false } & Trouble;

/** A zone that the server speaks for; it has no name but its own. */
export type Zone = ZoneKey;

/** A change that was taken with NOERROR, or said to be stale, and is not given yet. */
interface Doubt {
  /** The marker that it bears. */
  readonly text: string;
  /** The monotonic clock, in milliseconds. */
  readonly sinceMs: number;
}

export interface Account {
  readonly server: SignedServer;
  readonly zones: ZoneFinder<Zone>;
  /** The zone was named, not found. */
  readonly isConfigured: boolean;
  readonly timeoutMs: number;
  readonly doubts: Map<Name, Doubt>;
}

// ---------------------------------------------------------------- zones

/**
 * The zone of exactly this name, or null where the server speaks for none. What is above it is asked
 * for, too: a zone that cannot be loaded, or lets us not ask, fails for all that is below it.
 */
export async function findZone(
  server: SignedServer,
  zone: Name,
  signal: AbortSignal,
): Promise<Called<Zone | null>> {
  const candidates = ancestors(zone);
  const questions = candidates.map((name) => ({ name, type: 'SOA' }));
  const replies = await server.query(questions, signal);
  const looks = replies.map((reply, i) => apexAt(reply, candidates[i]!, server.place));
  const [own] = looks;
  if (own === undefined || own === 'none') return done(null);
  if (own === 'apex') return done({ name: zone, id: zone });
  if (own.scope !== 'zone') return { ok: false, ...own };
  const sound = looks.findIndex((l) => typeof l === 'string' || l.scope !== 'zone');
  return { ok: false, ...own, zone: candidates.at(sound < 0 ? -1 : sound - 1)! };
}

/** Whether the server speaks for a zone of this name, or what keeps it from saying so. */
function apexAt(reply: Called<Message>, zone: Name, place: string): Trouble | 'apex' | 'none' {
  // Where no zone is served, nothing can be signed for it (Knot): a parent of it may be.
  if (!reply.ok) return reply.unserved ? 'none' : reply;
  if (reply.value.rcode === 'SERVFAIL') return servfail(place, zone);
  return isApex(reply.value, zone) ? 'apex' : 'none';
}

function isApex(soa: Message, zone: Name): boolean {
  return soa.authoritative && soa.answers.some((r) => r.type === 'SOA' && r.name === zone);
}

interface ZoneRead {
  readonly facts: ZoneFacts;
  readonly negativeTtlSeconds: number;
}

export async function readFacts(
  { server, zones }: Account,
  name: Name,
  signal: AbortSignal,
): Promise<Called<ZoneRead>> {
  const found = await zones.find(name, signal);
  if (!found.ok) return found;
  const zone = found.value.name;
  const questions = ['SOA', 'NS'].map((type) => ({ name: zone, type }));
  const [soa, ns] = (await server.query(questions, signal)) as [Called<Message>, Called<Message>];
  const start = checkApex(soa, zone, server.place);
  if (!start.ok) return { ...start, zone };
  if (!ns.ok) return { ...ns, zone };
  const unread = replyTrouble(ns.value, server.place);
  if (unread !== null) return { ok: false, ...unread, scope: 'zone', zone };
  return toFacts(zone, start.value, ns.value, server.place);
}

export async function factsOf(
  account: Account,
  record: Name,
  signal: AbortSignal,
): Promise<Result<ZoneFacts>> {
  const read = await readFacts(account, record, signal);
  if (read.ok) return done(read.value.facts);
  if (read.stale && read.zone !== undefined) account.zones.forget(read.zone);
  return { ok: false, fault: read.fault };
}

/** The SOA of a zone that the server was taken to speak for, or what is wrong with the zone. */
export function checkApex(soa: Called<Message>, zone: Name, place: string): Called<Message> {
  if (!soa.ok) return soa.unserved ? { ...soa, scope: 'zone', stale: true } : soa;
  const unread = replyTrouble(soa.value, place);
  if (unread !== null) {
    const isSick = soa.value.rcode === 'SERVFAIL';
    return { ok: false, ...unread, scope: 'zone', ...(isSick ? {} : { stale: true }) };
  }
  if (isApex(soa.value, zone)) return soa;
  const cure = 'correct `zone` or `server`';
  return failed('zone', 'rejected', `${place} holds no zone ${zone}`, { cure, stale: true });
}

// ---------------------------------------------------------------- reading

/** Connections that the reading of one zone takes at most. */
export const callsOfReading = 4;

/** What the server gives at a record's name and at its marker's. */
interface Given {
  readonly forRecord: Message;
  readonly forMarker: Message;
}

/** What is asked in one zone, and where its answer stands. */
export class Questions {
  readonly list: { readonly name: Name; readonly type: string }[] = [];
  readonly #places = new Map<string, number>();

  add(name: Name, type: string): void {
    const key = `${type} ${name}`;
    if (this.#places.has(key)) return;
    this.#places.set(key, this.list.length);
    this.list.push({ name, type });
  }

  from(replies: readonly Called<Message>[]): (name: Name, type: string) => Called<Message> {
    return (name, type) => replies[this.#places.get(`${type} ${name}`)!]!;
  }
}

/** Reads names of one zone: its SOA before them, and what lies or stands between it and them. */
export async function readZone(
  account: Account,
  zone: Name,
  asked: readonly Name[],
  room: Room,
  signal: AbortSignal,
): Promise<readonly Told<Seen>[]> {
  const names = asked.filter((name) => fitsWire(markerName(name))).slice(0, readMax);
  if (names.length > 0 && !room.takeName(callsOfReading)) return asked.map(() => null);
  room.told();
  const questions = new Questions();
  questions.add(zone, 'SOA');
  for (const name of names) {
    questions.add(name, 'CNAME');
    questions.add(markerName(name), 'TXT');
    for (const between of namesBetween(name, zone)) questions.add(between, 'SOA');
    for (const owner of [name, markerName(name)]) questions.add(wildcardOver(owner), 'CNAME');
  }
  const { server } = account;
  const reply = questions.from(await server.query(questions.list, signal));
  const apex = names.length > 0 ? checkApex(reply(zone, 'SOA'), zone, server.place) : null;
  const told = new Map<Name, Called<Seen>>();
  const sound = new Map<Name, Given>();
  for (const name of names) {
    const sick = apex?.ok === false ? apex : troubleBetween(account, name, zone, reply);
    const given = sick ?? givenFor(name, reply, server.place);
    if (given.ok) sound.set(name, given.value);
    else told.set(name, given);
  }
  const seen = await seeAll(account, zone, sound, reply, signal);
  return asked.map((name) => {
    if (!fitsWire(markerName(name))) return tooLong(name);
    return told.get(name) ?? seen.get(name) ?? null;
  });
}

/** What stands at each name that was answered for. */
async function seeAll(
  account: Account,
  zone: Name,
  sound: ReadonlyMap<Name, Given>,
  reply: (name: Name, type: string) => Called<Message>,
  signal: AbortSignal,
): Promise<ReadonlyMap<Name, Called<Seen>>> {
  const doubtful = [...sound].flatMap(([name, { forRecord, forMarker }]) => [
    ...(isGiven(forRecord) && isCovered(reply(wildcardOver(name), 'CNAME')) ? [name] : []),
    ...(isGiven(forMarker) && isCovered(reply(wildcardOver(markerName(name)), 'CNAME'))
      ? [markerName(name)]
      : []),
  ]);
  const made = await madeUp(account, zone, doubtful, signal);
  // No CNAME but an existing name: either only names below it exist, or other types stand there.
  const bare = [...sound].flatMap(([name, { forRecord }]) =>
    isBare(forRecord, name) && !made.has(name) ? [name] : [],
  );
  const others = await findOthers(account.server, bare, signal);
  const seen = new Map<Name, Called<Seen>>();
  for (const [name, given] of sound) {
    const types = others.get(name) ?? done([]);
    if (!types.ok) seen.set(name, types);
    else seen.set(name, done(toSeen(name, zone, given, types.value, made)));
  }
  return seen;
}

export function tooLong(name: Name): Called<never> {
  const detail = `no marker can stand at ${markerName(name)}: no DNS name is so long`;
  return failed('record', 'rejected', detail, { cure: `steer a shorter name than ${name}` });
}

/** Names above one and below its zone, the nearest first. */
function namesBetween(name: Name, zone: Name): readonly Name[] {
  return ancestors(name).filter((a) => a !== name && a !== zone && isWithin(a, zone));
}

/** A zone on the same server that is nearer than the one that was taken. */
function troubleBetween(
  { server: { place }, isConfigured }: Account,
  name: Name,
  zone: Name,
  reply: (name: Name, type: string) => Called<Message>,
): Failed | null {
  for (const between of namesBetween(name, zone)) {
    const soa = reply(between, 'SOA');
    if (!soa.ok) return soa;
    if (soa.value.rcode === 'SERVFAIL') {
      return { ok: false, ...servfail(place, between), zone: between };
    }
    if (!isApex(soa.value, between)) continue;
    const detail = `${name} lies in ${between}, a zone of its own at ${place}`;
    const cure = `name ${between} as \`zone\`, or leave that out`;
    if (isConfigured) return failed('record', 'rejected', detail, { cure });
    return failed('record', 'unavailable', `${detail}: it is looked for`, { zone, stale: true });
  }
  return null;
}

export function givenFor(
  name: Name,
  reply: (name: Name, type: string) => Called<Message>,
  place: string,
): Called<Given> {
  const forRecord = reply(name, 'CNAME');
  const forMarker = reply(markerName(name), 'TXT');
  if (!forRecord.ok) return forRecord;
  if (!forMarker.ok) return forMarker;
  const given = { forRecord: forRecord.value, forMarker: forMarker.value };
  const unread = replyTrouble(given.forRecord, place) ?? replyTrouble(given.forMarker, place);
  return unread === null ? done(given) : { ok: false, ...unread };
}

// ---------------------------------------------------------------- wildcards

/** What the wildcard that covers a name's siblings is asked by; it is made up by one further up. */
function wildcardOver(name: Name): Name {
  return `*.${name.slice(name.indexOf('.') + 1)}`;
}

function isGiven({ rcode, authoritative }: Message): boolean {
  return rcode === 'NOERROR' && authoritative;
}

/** Whether an answer beside it may come from a wildcard (RFC 4592 2.1.1). */
function isCovered(reply: Called<Message>): boolean {
  return !reply.ok || reply.value.rcode !== 'NXDOMAIN';
}

/**
 * Of names that are answered for where a wildcard covers them, those at which nothing stands. Asked
 * with an UPDATE of one prerequisite that changes nothing (RFC 2136 2.4.5): it looks at the zone, and
 * not at what wildcards make of it. What the server does not say stays as it was read.
 */
async function madeUp(
  { server }: Account,
  zone: Name,
  names: readonly Name[],
  signal: AbortSignal,
): Promise<ReadonlySet<Name>> {
  const firstId = randomInt(65_536 - names.length);
  const messages = names.map((name, i) =>
    encodeUpdate(firstId + i, zone, [nameIsUnused(name)], []),
  );
  const heard = await server.update(messages, signal);
  const isUnused = (one: Heard) =>
    one.kind === 'signature' && one.signature.kind === 'valid' && one.signature.rcode === 0;
  return new Set(names.filter((_, i) => isUnused(heard[i]!)));
}

/** Types that stand at names without a CNAME. */
async function findOthers(
  server: SignedServer,
  names: readonly Name[],
  signal: AbortSignal,
): Promise<ReadonlyMap<Name, Called<readonly string[]>>> {
  const any = await server.query(
    names.map((name) => ({ name, type: 'ANY' })),
    signal,
  );
  const found = new Map<Name, Called<readonly string[]>>();
  const evasive: Name[] = [];
  for (const [i, name] of names.entries()) {
    const reply = any[i]!;
    found.set(name, reply.ok ? done(typesAt(reply.value, name)) : reply);
    if (!reply.ok) continue;
    const isSilent = typesAt(reply.value, name).every((t) => t === 'HINFO');
    if (reply.value.rcode !== 'NOERROR' || isSilent || reply.value.truncated) evasive.push(name);
  }
  const each = evasive.flatMap((name) => commonTypes.map((type) => ({ name, type })));
  const one = await server.query(each, signal);
  for (const [i, name] of evasive.entries()) {
    const part = one.slice(i * commonTypes.length, (i + 1) * commonTypes.length);
    const lost = part.find((m) => !m.ok);
    const types = part.flatMap((m) => (m.ok ? typesAt(m.value, name) : []));
    // An HINFO that only says RFC8482 is made up; a real one beside nothing else is not worth it.
    found.set(name, lost !== undefined && !lost.ok ? lost : done([...new Set(types)]));
  }
  return found;
}

/** What an answer's rcode or want of authority says against it; null: it may be looked into. */
export function replyTrouble(message: Message, place: string): Trouble | null {
  const asked = message.questions[0]?.name ?? 'a name';
  const { rcode } = message;
  if (rcode === 'SERVFAIL') return { ...servfail(place, asked), scope: 'record' };
  if (rcode === 'REFUSED') {
    const cure = 'serve the zone there, and let the key query it (allow-query)';
    return failed('record', 'auth-suspect', `${place} refuses to answer for ${asked}`, { cure });
  }
  if (rcode !== 'NOERROR' && rcode !== 'NXDOMAIN') {
    return failed('record', 'rejected', `${place} answers ${rcode} for ${asked}`);
  }
  if (message.authoritative || isReferral(message)) return null;
  const cure = 'name the primary server of the zone as `server`';
  return failed('record', 'rejected', `${place} is not authoritative for ${asked}`, { cure });
}

function servfail(place: string, name: Name): Trouble {
  return failed('zone', 'unavailable', `${place} failed for ${name} (SERVFAIL)`);
}

function isReferral(message: Message): boolean {
  const { authority, authoritative, answers, rcode } = message;
  const below = authority.some((r) => r.type === 'NS');
  return rcode === 'NOERROR' && !authoritative && answers.length === 0 && below;
}

function isBare(message: Message, name: Name): boolean {
  const hasCname = message.answers.some((r) => r.type === 'CNAME' && r.name === name);
  return message.rcode === 'NOERROR' && message.authoritative && !hasCname;
}

function typesAt(message: Message, name: Name): string[] {
  const types = message.answers.flatMap((r) =>
    r.name === name ? [r.type === 'other' ? r.typeName : r.type] : [],
  );
  return [...new Set(types)].filter((type) => type !== 'CNAME' && !beside.has(type));
}

export function toSeen(
  name: Name,
  zone: Name,
  given: Given,
  others: readonly string[],
  made: ReadonlySet<Name>,
): Seen {
  const { forRecord, forMarker } = given;
  const marker = markerName(name);
  const isMade = made.has(name);
  const cnames = forRecord.answers.flatMap((r) =>
    r.type === 'CNAME' && r.name === name && !isMade ? [{ value: r.target, ttl: r.ttl }] : [],
  );
  const texts = forMarker.answers.flatMap((r) =>
    r.type === 'TXT' && r.name === marker && !isMade && !made.has(marker) ? [r.strings] : [],
  );
  return {
    cnames,
    markers: texts.map(joinText),
    refusal: whyNot(name, zone, given, others, made),
    ref: { texts: texts.map((strings) => encodeStrings(strings).toString('base64')) },
  };
}

/** What forbids a CNAME that Detour may change. */
function whyNot(
  name: Name,
  zone: Name,
  { forRecord, forMarker }: Given,
  others: readonly string[],
  made: ReadonlySet<Name>,
): Refusal | null {
  const refusal = (word: RefusalWord, sentence: string) => ({ word, sentence });
  if (name === zone) {
    const why = `${name} is the top of its zone, where no CNAME can stand: use a name below it`;
    return refusal('apex', why);
  }
  if (isReferral(forRecord)) {
    const why = `${name} is delegated to other servers: give those as a provider of their own`;
    return refusal('delegated', why);
  }
  if (forRecord.answers.some((r) => r.type === 'DNAME')) {
    return refusal('synthesized', `${name} is made up by a DNAME above it: remove that first`);
  }
  if (others.length > 0) {
    const types = others.join(', ');
    const why = `${name} has ${types} records, and a CNAME bears no others: remove them`;
    return refusal('other-type', why);
  }
  // Where nothing stands, there is nothing below it either.
  if (made.has(name)) return null;
  const isTaken = forMarker.answers.some((r) => r.type === 'CNAME') && !made.has(markerName(name));
  if (isReferral(forMarker) || isTaken) {
    const why =
      `${markerName(name)} is a CNAME (perhaps by a wildcard) or delegated, so that no marker ` +
      `can stand there: free it, or take ${name} out of the wildcard`;
    return refusal('other-type', why);
  }
  const odd = forRecord.answers.find((r) => r.type === 'CNAME' && toName(r.target) !== r.target);
  if (odd?.type !== 'CNAME') return null;
  return refusal('odd-value', `${name} leads to ${odd.target}, which is no host name: correct it`);
}

function toFacts(zone: Name, soa: Message, ns: Message, place: string): Called<ZoneRead> {
  const start = soa.answers.find((r) => r.type === 'SOA' && r.name === zone);
  const nameServers = ns.answers.flatMap((r) =>
    r.type === 'NS' && r.name === zone ? r.target : [],
  );
  if (start?.type !== 'SOA' || nameServers.length === 0) {
    const cure = 'correct `zone` or `server`';
    return failed('zone', 'rejected', `${place} holds no zone ${zone}`, { cure });
  }
  // RFC 2308 5: how long resolvers remember that a name does not exist.
  const negative = Math.min(start.ttl, start.minimum);
  const warnings =
    negative > 300
      ? [
          `${zone} has a negative TTL of ${negative} s: a name asked for before it exists stays ` +
            'unseen that long; set the SOA minimum to 300 or less',
        ]
      : [];
  const facts = { zone, nameServers: nameServers.sort(), ttlMin: null, warnings };
  return { ok: true, value: { facts, negativeTtlSeconds: negative } };
}
