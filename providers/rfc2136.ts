// Records on a name server of one's own, by dynamic update (RFC 2136) signed with TSIG (RFC 8945):
// BIND, Knot, PowerDNS and their like. One UPDATE message states what was read as prerequisites and
// makes the change, so a stale writer changes nothing. It must never send an unsigned update, nor
// an unguarded one that could change something, never believe an unsigned reply, never send one
// update twice, and never take NOERROR for done: servers ignore some updates silently, so what
// stands afterwards is read back.

import { randomInt } from 'node:crypto';
import type { LookupFunction } from 'node:net';
import { z } from 'zod';
import { formatMarker, markerName } from '../src/core/marker.ts';
import type {
  Answer,
  Change,
  Fault,
  FaultKind,
  Json,
  Name,
  Reach,
  Refusal,
  RefusalWord,
  Seen,
} from '../src/core/model.ts';
import { ancestors, isWithin } from '../src/core/name.ts';
import { askAll, exchangeTcp, type Failure } from '../src/dns/ask.ts';
import { fitsWire, joinText, type Message, type Question } from '../src/dns/wire.ts';
import type {
  AdapterContext,
  Capabilities,
  Provider,
  ProviderType,
  ReachingFinding,
  ZoneFacts,
} from '../src/kit/extend.ts';
import {
  dnsName,
  type HostPort,
  hostPort,
  parseHostPort,
  type SecretRef,
  secretRef,
  toName,
} from '../src/kit/schema.ts';
import { SecretError } from '../src/kit/secret.ts';
import { lookupOf } from './kit/agents.ts';
import {
  addRecord,
  checkReply,
  deleteRecord,
  deleteSet,
  encodeName,
  encodeStrings,
  encodeText,
  encodeUpdate,
  nameIsUnused,
  recordSize,
  type Signature,
  type SignedMessage,
  setIs,
  setIsAbsent,
  sign,
  type TsigKey,
  typeCname,
  typeTxt,
  type UpdateRecord,
} from './kit/dns-update.ts';
import { type Called, done, failed, fault } from './kit/fault.ts';
import {
  bad,
  fromProbe,
  fromTrouble,
  good,
  lookAtRecord,
  mayTry,
  negativeTtl,
  never,
  ofAccount,
  ofRecord,
  ofZone,
  ttlFloor,
} from './kit/preflight.ts';

export interface Rfc2136Settings {
  /** The primary server, `HOST[:PORT]`. */
  readonly server: string;
  /** Found by SOA at the server when it is left out. */
  readonly zone?: Name | undefined;
  readonly tsig: {
    readonly name: Name;
    readonly algorithm: TsigKey['algorithm'];
    /** Base64, as tsig-keygen prints it. */
    readonly secret: SecretRef;
  };
}

/** A word on the one setting that other providers have and this one cannot. */
function refusesProxy({ code, keys }: { readonly code: string; readonly keys?: unknown }) {
  if (code !== 'unrecognized_keys' || String(keys) !== 'proxy') return undefined;
  return (
    'no HTTP proxy carries DNS updates: leave it out, and let this machine reach the server by TCP ' +
    'and UDP'
  );
}

const settings: z.ZodType<Rfc2136Settings> = z.strictObject(
  {
    server: hostPort(53).describe('the primary server that takes updates, HOST or HOST:PORT'),
    zone: dnsName.optional().describe('the zone on that server; found by itself when left out'),
    tsig: z.strictObject({
      name: z
        .string()
        .describe('the name of the TSIG key, as the server knows it')
        .transform((text, context) => {
          const name = toName(text);
          if (name !== null) return name;
          context.addIssue({ code: 'custom', message: 'expected a key name such as detour' });
          return z.NEVER;
        }),
      algorithm: z.enum(['hmac-sha256', 'hmac-sha384', 'hmac-sha512']).default('hmac-sha256'),
      secret: secretRef,
    }),
  },
  { error: refusesProxy },
);

const capabilities: Capabilities = {
  type: 'rfc2136',
  title: 'Dynamic update with TSIG (BIND, Knot, PowerDNS)',
  fence: {
    kind: 'transaction',
    note:
      'each UPDATE has the CNAME and the marker that were read as prerequisites (RFC 2136 2.4); ' +
      'the server checks and applies it as one transaction, and what stands is read back',
  },
  atomic: true,
  readMax: 50,
  writeMax: 50,
  // Finding the zone, the batch, its changes one by one when one spoils it, reading back (three).
  callsMax: 6,
  // A server of one's own has no published quota; this keeps from being a nuisance to it.
  quota: { burst: 100, perSecond: 20, reserve: 20 },
  permissions: [
    {
      permission: 'update-policy { grant KEY zonesub CNAME TXT; };',
      note: 'BIND; queries from here by allow-query',
    },
    { permission: 'acl: { key: KEY, action: update }', note: 'Knot; a writable database.storage' },
    {
      permission: 'TSIG-ALLOW-DNSUPDATE = KEY',
      note: 'PowerDNS, zone metadata; dnsupdate=yes and allow-dnsupdate-from in its settings',
    },
  ],
  refuses: [
    { word: 'apex', note: 'a CNAME cannot stand at the top of a zone' },
    { word: 'other-type', note: 'records of other types at the name, or a CNAME at the marker' },
    { word: 'delegated', note: 'the name belongs to a child zone on other servers' },
    { word: 'synthesized', note: 'the CNAME comes from a DNAME above it' },
    { word: 'odd-value', note: 'the CNAME leads to something that is no host name' },
  ],
};

/** See kit/extend.ts: the row of the table of providers. */
export const rfc2136: ProviderType<Rfc2136Settings> = {
  type: 'rfc2136',
  capabilities,
  settings,
  create,
};

/** Room for the signature in a message of 65,535 bytes. */
const updateBytesMax = 60_000;
const zonesMax = 10_000;
/** What could stand where a server answers ANY with next to nothing (RFC 8482). */
const commonTypes = ['A', 'AAAA', 'NS', 'MX', 'TXT', 'SRV', 'CAA', 'UNKNOWN_64', 'UNKNOWN_65'];
/** Signatures, proofs and keys of DNSSEC stand beside a CNAME (RFC 4034, 5155). */
const beside = new Set(['RRSIG', 'NSEC', 'NSEC3', 'KEY', 'SIG']);

// ---------------------------------------------------------------- the account

interface Account {
  /** The server, as faults name it. */
  readonly place: string;
  readonly server: HostPort;
  readonly key: TsigKey;
  /** The configured zone; null: found by name. */
  readonly zone: Name | null;
  readonly timeoutMs: number;
  readonly lookup: LookupFunction;
  /** Where names were found to lie; forgotten with the first trouble of the zone. */
  readonly zones: Map<Name, Name>;
  /** Exchanges begun, each down a connection of its own. */
  calls: number;
  /** The server has signed something with our key: it is not unknown to it. */
  isKeyKnown: boolean;
}

function create(name: string, given: Rfc2136Settings, context: AdapterContext): Provider {
  const closing = new AbortController();
  const until = (signal: AbortSignal) => AbortSignal.any([signal, closing.signal]);
  const account: Account = {
    place: `server ${given.server}`,
    server: parseHostPort(given.server, 53)!,
    key: readKey(given, context),
    zone: given.zone ?? null,
    timeoutMs: context.callTimeoutMs,
    lookup: lookupOf(context),
    zones: new Map(),
    calls: 0,
    isKeyKnown: false,
  };
  return {
    name,
    capabilities,
    get calls() {
      return account.calls;
    },
    async zone(record, signal) {
      const read = await readFacts(account, record, until(signal));
      return read.kind === 'answered' ? done(read.value.facts) : { ok: false, fault: read.fault };
    },
    read: (names, signal) => readNames(account, names, until(signal)),
    write: (changes, signal) => write(account, changes, until(signal)),
    preflight: (record, signal) => preflight(account, record, until(signal)),
    close: () => closing.abort(),
  };
}

/** Throws SecretError, without the secret. */
function readKey({ tsig }: Rfc2136Settings, context: AdapterContext): TsigKey {
  const text = context.secret(tsig.secret).trim();
  const secret = Buffer.from(text, 'base64');
  const isBase64 = /^[A-Za-z0-9+/]+={0,2}$/.test(text) && text.length % 4 === 0;
  if (!isBase64 || secret.length === 0) {
    throw new SecretError(`TSIG key ${tsig.name} is not base64: give what tsig-keygen printed`);
  }
  return { name: tsig.name, algorithm: tsig.algorithm, secret };
}

/** Asks the server all of these down one connection. */
async function query(
  account: Account,
  questions: readonly Question[],
  signal: AbortSignal,
): Promise<Called<readonly Message[]>> {
  if (questions.length === 0) return done([]);
  if (!signal.aborted) account.calls++;
  const { server, timeoutMs, place, lookup } = account;
  const result = await askAll(server, questions, { timeoutMs, signal, lookup });
  if (result.kind === 'replies') return done(result.messages);
  return failed('account', 'unavailable', `${place}: ${result.detail}`, cureOf(result));
}

function cureOf({ kind }: Failure): { readonly cure?: string } {
  if (kind === 'refused') return { cure: 'let the server listen on TCP, and check its port' };
  if (kind === 'timeout') return { cure: 'check the way to the server on TCP, and its firewall' };
  return {};
}

/** An answer that is not left for later. */
type Said<T> = Exclude<Answer<T>, { readonly kind: 'not-asked' }>;
type Faulty = Extract<Answer<never>, { readonly kind: 'fault' }>;

const notAsked: Answer<never> = { kind: 'not-asked' };

function answered<T>(value: T): Said<T> {
  return { kind: 'answered', value };
}

function faulty(fault: Fault, reach: Reach): Faulty {
  return { kind: 'fault', fault, reach };
}

// ---------------------------------------------------------------- zones

/** The zone of each name: the configured one, or the nearest that the server speaks for. */
async function findZones(
  account: Account,
  names: readonly Name[],
  signal: AbortSignal,
): Promise<ReadonlyMap<Name, Said<Name>>> {
  const { zone, zones, place } = account;
  if (zone !== null) return new Map(names.map((name) => [name, pickConfigured(name, zone)]));
  const unknown = names.filter((name) => !zones.has(name));
  const wanted = [...new Set(unknown.flatMap(ancestors))];
  const questions = wanted.map((name) => ({ name, type: 'SOA' }));
  const replies = await query(account, questions, signal);
  const byName = new Map(replies.ok ? wanted.map((name, i) => [name, replies.value[i]!]) : []);
  const find = (name: Name): Said<Name> => {
    const known = zones.get(name);
    if (known !== undefined) return answered(known);
    return replies.ok ? pickServed(name, byName, place) : faulty(replies.fault, ofAccount);
  };
  const found = new Map(names.map((name) => [name, find(name)]));
  if (zones.size + found.size > zonesMax) zones.clear();
  for (const [name, at] of found) if (at.kind === 'answered') zones.set(name, at.value);
  return found;
}

function pickConfigured(name: Name, zone: Name): Said<Name> {
  if (isWithin(name, zone)) return answered(zone);
  const detail = `${name} is not within the configured zone ${zone}`;
  return faulty(fault('rejected', detail, { cure: 'correct `zone`' }), ofRecord);
}

function pickServed(name: Name, replies: ReadonlyMap<Name, Message>, place: string): Said<Name> {
  const candidates = ancestors(name);
  for (const [i, zone] of candidates.entries()) {
    const reply = replies.get(zone);
    // A nearer zone that cannot be loaded would make a further one look like the right one.
    if (reply?.rcode === 'SERVFAIL') return unloaded(name, candidates.slice(i), replies, place);
    const apex = reply?.answers.some((r) => r.type === 'SOA' && r.name === zone);
    if (apex && reply?.authoritative) return answered(zone);
  }
  const detail = `${place} is authoritative for no zone that holds ${name}`;
  const cure = 'name the primary server of its zone as `server`';
  return faulty(fault('rejected', detail, { cure }), ofRecord);
}

/** A zone that cannot be loaded fails for all that is below it: the outermost that fails is it. */
function unloaded(
  name: Name,
  candidates: readonly Name[],
  replies: ReadonlyMap<Name, Message>,
  place: string,
): Said<never> {
  const sound = candidates.findIndex((zone) => replies.get(zone)?.rcode !== 'SERVFAIL');
  const zone = candidates.at(sound < 0 ? -1 : sound - 1)!;
  const failing = fault('unavailable', `${place}: SERVFAIL for ${zone}`);
  return faulty(failing, zone === name ? ofRecord : ofZone(zone));
}

/** What keeps the server from speaking for a zone, by its answer for the SOA; null: nothing. */
function zoneFault(zone: Name, soa: Message, place: string): Fault | null {
  const unread = readFault(soa, place);
  if (unread !== null) return unread;
  if (soa.answers.some((r) => r.type === 'SOA' && r.name === zone)) return null;
  const cure = 'correct `zone` or `server`';
  return fault('rejected', `${place} holds no zone ${zone}`, { cure });
}

/** A zone is in trouble: where its names lie is looked up again. */
function forget({ zones }: Account, lost: Name): void {
  for (const [name, zone] of zones) if (zone === lost) zones.delete(name);
}

async function readFacts(
  account: Account,
  name: Name,
  signal: AbortSignal,
): Promise<Said<ZoneRead>> {
  const { place } = account;
  const found = (await findZones(account, [name], signal)).get(name)!;
  if (found.kind === 'fault') return found;
  const zone = found.value;
  const questions = ['SOA', 'NS'].map((type) => ({ name: zone, type }));
  const replies = await query(account, questions, signal);
  if (!replies.ok) return faulty(replies.fault, ofAccount);
  const [soa, ns] = replies.value as readonly [Message, Message];
  const unread = zoneFault(zone, soa, place) ?? readFault(ns, place);
  const facts = unread === null ? toFacts(zone, soa, ns, place) : null;
  if (facts?.ok) return answered(facts.value);
  forget(account, zone);
  return faulty(unread ?? facts!.fault, ofZone(zone));
}

// ---------------------------------------------------------------- reading

/** Each name's own answer; what a zone or the server says of itself is said once for all in it. */
async function readNames(
  account: Account,
  asked: readonly Name[],
  signal: AbortSignal,
): Promise<Readonly<Record<Name, Answer<Seen>>>> {
  const all = [...new Set(asked)];
  const names = all.slice(0, capabilities.readMax);
  const answers = new Map<Name, Answer<Seen>>(all.map((name) => [name, notAsked]));
  const byZone = new Map<Name, Name[]>();
  for (const [name, found] of await findZones(account, names, signal)) {
    if (found.kind === 'fault') answers.set(name, found);
    else if (!fitsWire(markerName(name))) answers.set(name, tooLong(name));
    else byZone.set(found.value, [...(byZone.get(found.value) ?? []), name]);
  }
  for (const [name, answer] of await readZones(account, byZone, signal)) answers.set(name, answer);
  return Object.fromEntries(answers);
}

function tooLong(name: Name): Said<never> {
  const detail = `no marker can stand at ${markerName(name)}: no DNS name is so long`;
  return faulty(fault('rejected', detail, { cure: `steer a shorter name than ${name}` }), ofRecord);
}

/** What the server gives at a record's name and at its marker's. */
interface Given {
  readonly forRecord: Message;
  readonly forMarker: Message;
}

interface ZoneRead {
  readonly facts: ZoneFacts;
  readonly negativeTtlSeconds: number;
}

/** Reads the names of several zones down one connection, each zone's SOA before its names. */
async function readZones(
  account: Account,
  byZone: ReadonlyMap<Name, readonly Name[]>,
  signal: AbortSignal,
): Promise<ReadonlyMap<Name, Answer<Seen>>> {
  const names = [...byZone.values()].flat();
  const questions = [
    ...[...byZone.keys()].map((name) => ({ name, type: 'SOA' })),
    ...names.map((name) => ({ name, type: 'CNAME' })),
    ...names.map((name) => ({ name: markerName(name), type: 'TXT' })),
  ];
  const replies = await query(account, questions, signal);
  if (!replies.ok) {
    return new Map(names.map((name) => [name, faulty(replies.fault, ofAccount)]));
  }
  const [soas, rest] = [replies.value.slice(0, byZone.size), replies.value.slice(byZone.size)];
  const given = new Map(
    names.map((name, i): [Name, Given] => {
      return [name, { forRecord: rest[i]!, forMarker: rest[names.length + i]! }];
    }),
  );
  const answers = new Map<Name, Answer<Seen>>();
  const sound: [Name, Name, Given][] = [];
  for (const [i, [zone, members]] of [...byZone].entries()) {
    const sick = zoneFault(zone, soas[i]!, account.place);
    if (sick !== null) forget(account, zone);
    for (const name of members) {
      const { forRecord, forMarker } = given.get(name)!;
      const own = readFault(forRecord, account.place) ?? readFault(forMarker, account.place);
      if (sick !== null) answers.set(name, faulty(sick, ofZone(zone)));
      else if (own !== null) answers.set(name, faulty(own, ofRecord));
      else sound.push([name, zone, { forRecord, forMarker }]);
    }
  }
  // No CNAME but an existing name: either only names below it exist, or other types stand there.
  const bare = sound.flatMap(([name, , { forRecord }]) => (isBare(forRecord, name) ? [name] : []));
  const others = await findOthers(account, bare, signal);
  for (const [name, zone, given] of sound) {
    const isUnsure = !others.ok && bare.includes(name);
    const types = others.ok ? (others.value.get(name) ?? []) : [];
    const seen = answered(toSeen(name, zone, given, types));
    answers.set(name, isUnsure ? faulty(others.fault, ofAccount) : seen);
  }
  return answers;
}

/** Types that stand at names without a CNAME. */
async function findOthers(
  account: Account,
  names: readonly Name[],
  signal: AbortSignal,
): Promise<Called<ReadonlyMap<Name, readonly string[]>>> {
  const questions = names.map((name) => ({ name, type: 'ANY' }));
  const any = await query(account, questions, signal);
  if (!any.ok) return any;
  const found = new Map(names.map((name, i) => [name, typesAt(any.value[i]!, name)]));
  const evasive = names.filter((name, i) => {
    const types = found.get(name)!;
    const silent = any.value[i]!.rcode !== 'NOERROR' || types.every((t) => t === 'HINFO');
    return silent || any.value[i]!.truncated;
  });
  const each = evasive.flatMap((name) => commonTypes.map((type) => ({ name, type })));
  const one = await query(account, each, signal);
  if (!one.ok) return one;
  for (const [i, name] of evasive.entries()) {
    const part = one.value.slice(i * commonTypes.length, (i + 1) * commonTypes.length);
    const types = [...new Set(part.flatMap((m) => typesAt(m, name)))];
    // An HINFO that only says RFC8482 is made up; a real one beside nothing else is not worth it.
    found.set(name, types);
  }
  return done(found);
}

function readFault(message: Message, place: string): Fault | null {
  const asked = message.questions[0]?.name ?? 'a name';
  const { rcode } = message;
  if (rcode === 'SERVFAIL') {
    return fault('unavailable', `${place} failed for ${asked} (SERVFAIL)`);
  }
  if (rcode === 'REFUSED') {
    const cure = 'serve the zone there, and let this machine query it (allow-query)';
    return fault('auth-suspect', `${place} refuses to answer for ${asked}`, { cure });
  }
  if (rcode !== 'NOERROR' && rcode !== 'NXDOMAIN') {
    return fault('rejected', `${place} answers ${rcode} for ${asked}`);
  }
  if (message.authoritative || isReferral(message)) return null;
  const cure = 'name the primary server of the zone as `server`';
  return fault('rejected', `${place} is not authoritative for ${asked}`, { cure });
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

function toSeen(name: Name, zone: Name, given: Given, others: readonly string[]): Seen {
  const { forRecord, forMarker } = given;
  const cnames = forRecord.answers.flatMap((r) =>
    r.type === 'CNAME' && r.name === name ? [{ value: r.target, ttl: r.ttl }] : [],
  );
  const texts = forMarker.answers.flatMap((r) =>
    r.type === 'TXT' && r.name === markerName(name) ? [r.strings] : [],
  );
  return {
    cnames,
    markers: texts.map(joinText),
    refusal: whyNot(name, zone, given, others),
    ref: { texts: texts.map((strings) => encodeStrings(strings).toString('base64')) },
  };
}

/** What forbids a CNAME that Detour may change. */
function whyNot(
  name: Name,
  zone: Name,
  { forRecord, forMarker }: Given,
  others: readonly string[],
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
  if (isReferral(forMarker) || forMarker.answers.some((r) => r.type === 'CNAME')) {
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

// ---------------------------------------------------------------- writing

/** Changes of one zone that travel in one message, by their places among all. */
interface Batch {
  readonly zone: Name;
  readonly indexes: readonly number[];
}

/** What a reply to an update says; the reach is of what was refused. */
type Verdict = { readonly applied: true } | { readonly applied: false; readonly fault: Fault };
type Ruling = { readonly verdict: Verdict; readonly reach: Reach };

async function write(
  account: Account,
  changes: readonly Change[],
  signal: AbortSignal,
): Promise<readonly Answer<null>[]> {
  const answers = changes.map((_, i): Answer<null> | null => objection(changes, i));
  const open = changes.flatMap((_, i) => (answers[i] === null ? [i] : []));
  const names = open.map((i) => changes[i]!.name);
  const zones = new Map<Name, Name>();
  for (const [i, found] of [...(await findZones(account, names, signal)).values()].entries()) {
    if (found.kind === 'answered') zones.set(names[i]!, found.value);
    else answers[open[i]!] = found;
  }
  const rulings = await writeZones(
    account,
    changes,
    open.filter((i) => answers[i] === null),
    zones,
    signal,
  );
  for (const [i, { verdict, reach }] of rulings) {
    if (!verdict.applied) answers[i] = faulty(verdict.fault, reach);
  }
  const settled = await settle(account, changes, rulings, signal);
  return answers.map((answer, i) => settled.get(i) ?? answer ?? notAsked);
}

/** Why a change is not sent at all; null: it may be. */
function objection(changes: readonly Change[], i: number): Answer<null> | null {
  const { name, from } = changes[i]!;
  if (i >= capabilities.writeMax) return notAsked;
  if (from.refusal) return faulty(fault('rejected', from.refusal.sentence), ofRecord);
  if (!fitsWire(markerName(name))) return tooLong(name);
  if (changes.findIndex((other) => other.name === name) === i) return null;
  return faulty(fault('conflict', `${name} stands twice in one batch`), ofRecord);
}

/** One message a zone; where one change of several spoils it, one message each. */
async function writeZones(
  account: Account,
  changes: readonly Change[],
  open: readonly number[],
  zones: ReadonlyMap<Name, Name>,
  signal: AbortSignal,
): Promise<ReadonlyMap<number, Ruling>> {
  const rulings = new Map<number, Ruling>();
  const batches = inBatches(changes, open, zones);
  const alone: Batch[] = [];
  for (const [b, ruling] of (await send(account, batches, changes, signal)).entries()) {
    const { zone, indexes } = batches[b]!;
    // What is one record's spoils a whole message, and the reply does not say whose it is.
    const isDivisible = !ruling.verdict.applied && ruling.reach.kind === 'record';
    if (isDivisible && indexes.length > 1) {
      alone.push(...indexes.map((i) => ({ zone, indexes: [i] })));
    } else for (const i of indexes) rulings.set(i, ruling);
  }
  for (const [b, ruling] of (await send(account, alone, changes, signal)).entries()) {
    rulings.set(alone[b]!.indexes[0]!, ruling);
  }
  return rulings;
}

/** Sends each batch as one signed UPDATE, all down one connection; once, whatever happens. */
async function send(
  account: Account,
  batches: readonly Batch[],
  changes: readonly Change[],
  signal: AbortSignal,
): Promise<readonly Ruling[]> {
  const firstId = randomInt(65_536 - batches.length);
  const signed = batches.map(({ zone, indexes }, i): SignedMessage => {
    const parts = indexes.map((index) => toUpdate(changes[index]!));
    const message = encodeUpdate(
      firstId + i,
      zone,
      parts.flatMap((p) => p.prerequisites),
      parts.flatMap((p) => p.updates),
    );
    return sign(message, account.key, Date.now());
  });
  const zones = batches.map(({ zone }) => zone);
  return update(account, signed, zones, signal);
}

/** Sends signed updates down one connection, and says what the reply to each means. */
async function update(
  account: Account,
  signed: readonly SignedMessage[],
  zones: readonly Name[],
  signal: AbortSignal,
): Promise<readonly Ruling[]> {
  if (signed.length === 0) return [];
  if (!signal.aborted) account.calls++;
  const { server, key, place, timeoutMs, lookup } = account;
  const messages = signed.map((s) => s.bytes);
  const { replies, failure } = await exchangeTcp(server, messages, {
    timeoutMs,
    signal,
    lookup,
  });
  const signatures = replies.map((reply, i) => reply && checkReply(reply, signed[i]!, key));
  if (signatures.some((s) => s?.kind === 'valid')) account.isKeyKnown = true;
  return signatures.map((signature, i): Ruling => {
    if (signature === null) return { verdict: unanswered(place, failure), reach: ofAccount };
    const zone = zones[i]!;
    const verdict = judge(signature, key, zone, place);
    return { verdict, reach: reachOf(signature, zone, account.isKeyKnown) };
  });
}

function unanswered(place: string, failure: Failure | null): Verdict {
  const detail = `${place}: ${failure?.detail ?? 'no reply'}`;
  const cure = failure ? cureOf(failure).cure : undefined;
  return refuse(failure?.sent === false ? 'unavailable' : 'uncertain', detail, cure);
}

/** What stands afterwards decides: for what was taken, and for what was said to be stale. */
async function settle(
  account: Account,
  changes: readonly Change[],
  rulings: ReadonlyMap<number, Ruling>,
  signal: AbortSignal,
): Promise<ReadonlyMap<number, Answer<null>>> {
  const open = [...rulings].filter(([, { verdict }]) => isOpen(verdict));
  const now = await readNames(
    account,
    open.map(([i]) => changes[i]!.name),
    signal,
  );
  const answers = new Map<number, Answer<null>>();
  for (const [i, { verdict, reach }] of open) {
    const change = changes[i]!;
    const seen = now[change.name]!;
    if (seen.kind === 'answered') answers.set(i, compare(change, verdict, seen.value, account));
    else if (!verdict.applied) answers.set(i, faulty(verdict.fault, reach));
    else answers.set(i, unseen(seen));
  }
  return answers;
}

/** Taken with NOERROR, and then not read back. */
function unseen(read: Exclude<Answer<Seen>, { readonly kind: 'answered' }>): Answer<null> {
  if (read.kind === 'not-asked') {
    return faulty(fault('uncertain', 'taken with NOERROR, and not read back'), ofRecord);
  }
  const { detail, cure } = read.fault;
  const why = `taken with NOERROR, but reading back failed: ${detail}`;
  return faulty(fault('uncertain', why, cure === undefined ? {} : { cure }), read.reach);
}

function refuse(kind: FaultKind, detail: string, cure?: string): Verdict {
  return { applied: false, fault: fault(kind, detail, cure === undefined ? {} : { cure }) };
}

function isOpen(verdict: Verdict): boolean {
  return verdict.applied || verdict.fault.kind === 'conflict';
}

/** What was read, as prerequisites; what is wanted, as deletions and additions. */
function toUpdate(change: Change): {
  readonly prerequisites: readonly UpdateRecord[];
  readonly updates: readonly UpdateRecord[];
} {
  const { name, from, to } = change;
  const marker = markerName(name);
  const texts = rawTexts(from);
  const prerequisites = [
    ...(from.cnames.length > 0
      ? setIs(
          name,
          typeCname,
          from.cnames.map(({ value }) => encodeName(value)),
        )
      : [nameIsUnused(name)]),
    ...(texts.length > 0 ? setIs(marker, typeTxt, texts) : [setIsAbsent(marker, typeTxt)]),
  ];
  const text = formatMarker(to.marker);
  const updates: UpdateRecord[] = [];
  const [cname, second] = from.cnames;
  if (second || cname?.value !== to.cname || cname.ttl !== to.ttl) {
    if (cname) updates.push(deleteSet(name, typeCname));
    updates.push(addRecord(name, typeCname, to.ttl, encodeName(to.cname)));
  }
  if (from.markers.length !== 1 || from.markers[0] !== text) {
    if (texts.length > 0) updates.push(deleteSet(marker, typeTxt));
    updates.push(addRecord(marker, typeTxt, to.ttl, encodeText(text)));
  }
  return { prerequisites, updates };
}

/** The marker's records byte for byte as read; a reading by DNS alone has only the texts. */
function rawTexts({ ref, markers }: Seen): readonly Buffer[] {
  const texts = isTexts(ref) ? ref.texts : null;
  if (texts === null || texts.length !== markers.length) return markers.map(encodeText);
  return texts.map((text) => Buffer.from(text, 'base64'));
}

function isTexts(ref: Json): ref is { readonly texts: readonly string[] } {
  if (ref === null || typeof ref !== 'object' || !('texts' in ref)) return false;
  return Array.isArray(ref.texts) && ref.texts.every((text) => typeof text === 'string');
}

/** Changes by zone, in messages that stay within the wire's 65,535 bytes. */
function inBatches(
  changes: readonly Change[],
  indexes: readonly number[],
  zones: ReadonlyMap<Name, Name>,
): Batch[] {
  const batches: { zone: Name; indexes: number[]; bytes: number }[] = [];
  for (const i of indexes) {
    const zone = zones.get(changes[i]!.name)!;
    const { prerequisites, updates } = toUpdate(changes[i]!);
    const bytes = [...prerequisites, ...updates].reduce((sum, r) => sum + recordSize(r), 0);
    const room = batches.find((b) => b.zone === zone && b.bytes + bytes <= updateBytesMax);
    if (room) {
      room.indexes.push(i);
      room.bytes += bytes;
    } else batches.push({ zone, indexes: [i], bytes });
  }
  return batches;
}

/** What a reply to a signed UPDATE means (RFC 2136 2.2, RFC 8945 5). */
function judge(signature: Signature, key: TsigKey, zone: Name, place: string): Verdict {
  if (signature.kind === 'invalid') {
    return refuse('uncertain', `${place}: ${signature.detail}, so it is not believed`);
  }
  if (signature.kind === 'bad-time') {
    const { oursSeconds, serverSeconds } = signature;
    const date = (seconds: number) =>
      seconds <= 8.64e12 ? new Date(seconds * 1000).toISOString() : `${seconds} s`;
    return refuse(
      'auth-suspect',
      `clock skew: ${place} refuses the signature's time (BADTIME); it is ` +
        `${date(serverSeconds)} there and ${date(oursSeconds)} here`,
      'set both clocks by NTP; they may differ by 300 s',
    );
  }
  const said = rcodeWord(signature.rcode);
  if (signature.kind === 'refused') {
    const why = tsigErrors[signature.error] ?? `error ${signature.error}`;
    const cure = 'compare the name, algorithm and secret of the key with the server';
    return refuse('auth-suspect', `${place} refuses TSIG key ${key.name} (${why})`, cure);
  }
  if (signature.kind === 'unsigned') return judgeUnsigned(said, key, place);
  switch (said) {
    case 'NOERROR':
      return { applied: true };
    case 'NXDOMAIN':
    case 'YXDOMAIN':
    case 'YXRRSET':
    case 'NXRRSET':
      return refuse('conflict', `${place}: what was read no longer stands there (${said})`);
    case 'SERVFAIL':
      return refuse('unavailable', `${place} could not apply the update (SERVFAIL)`);
    case 'REFUSED':
      return refuse(
        'rejected',
        `${place} knows the key ${key.name} but does not let it change this in ${zone} (REFUSED)`,
        'grant the key CNAME and TXT at the record and its marker (update-policy, acl)',
      );
    case 'NOTAUTH':
      return refuse('rejected', `${place} is not the primary server of ${zone} (NOTAUTH)`);
    default:
      return refuse('rejected', `${place} refuses the update in ${zone} (${said})`);
  }
}

function judgeUnsigned(said: string, key: TsigKey, place: string): Verdict {
  // PowerDNS says a bad key or a clock that is off so, Knot a key that no acl of the zone names
  // (3.4 says so where 3.2 signed a BADKEY), and both a zone that they do not serve.
  if (said === 'REFUSED' || said === 'NOTAUTH') {
    const why = said === 'NOTAUTH' ? ': no such key there, or the zone is not served there' : '';
    return refuse(
      'auth-suspect',
      `${place} refuses us and key ${key.name} (${said}, unsigned${why})`,
      'let the key update the zone there; compare its name, algorithm and secret, and the clocks',
    );
  }
  if (said === 'NOTIMP' || said === 'FORMERR') {
    return refuse('rejected', `${place} does not take signed updates (${said}, unsigned)`);
  }
  return refuse('uncertain', `${place}: the reply ${said} is not signed, so it is not believed`);
}

const badKey = 17;
const tsigErrors: Readonly<Record<number, string>> = {
  16: 'BADSIG: the secret differs',
  17: 'BADKEY: no such key there',
  18: 'BADTIME: the clocks differ',
  22: 'BADTRUNC: it wants another length of signature',
};

function rcodeWord(rcode: number): string {
  const words =
    'NOERROR FORMERR SERVFAIL NXDOMAIN NOTIMP REFUSED YXDOMAIN YXRRSET NXRRSET NOTAUTH NOTZONE';
  return words.split(' ')[rcode] ?? `RCODE_${rcode}`;
}

/**
 * How far it reaches that an update in a zone was refused. That the key is not known is said by
 * Knot of a key that only this zone does not name, and by PowerDNS without a signature: once the
 * server has signed with it, it is the zone's.
 */
function reachOf(signature: Signature, zone: Name, isKeyKnown: boolean): Reach {
  const inZone = ofZone(zone);
  switch (signature.kind) {
    case 'invalid':
    case 'bad-time':
      return ofAccount;
    case 'refused':
      return signature.error === badKey && isKeyKnown ? inZone : ofAccount;
    case 'unsigned': {
      if (rcodeWord(signature.rcode) === 'NOTAUTH') return inZone;
      return rcodeWord(signature.rcode) === 'REFUSED' && isKeyKnown ? inZone : ofAccount;
    }
    case 'valid': {
      const said = rcodeWord(signature.rcode);
      if (said === 'NOTIMP') return ofAccount;
      return ['SERVFAIL', 'NOTAUTH', 'NOTZONE'].includes(said) ? inZone : ofRecord;
    }
  }
}

/**
 * What was taken with NOERROR, or is said to be stale, against what stands there: servers ignore
 * some updates in silence, and answer from another view than they change.
 */
function compare(change: Change, verdict: Verdict, seen: Seen, { place }: Account): Answer<null> {
  const { name, from, to } = change;
  const say = (kind: FaultKind, detail: string, cure?: string) =>
    faulty(fault(kind, detail, cure === undefined ? {} : { cure }), ofRecord);
  if (!verdict.applied) {
    if (!sameAsRead(from, seen)) return faulty(verdict.fault, ofRecord);
    const detail =
      `${place} answers for ${name} what was read, yet says that it does not stand there: ` +
      'a wildcard, another view, or a hidden type makes up the answer';
    const cure = `give ${name} a record of its own, or query and update the same view`;
    return say('rejected', detail, cure);
  }
  const [cname, ...more] = seen.cnames;
  const cnameRight = cname?.value === to.cname && more.length === 0;
  const markerRight = seen.markers.length === 1 && seen.markers[0] === formatMarker(to.marker);
  if (cnameRight && markerRight && cname?.ttl === to.ttl) return answered(null);
  const stands = cname?.value ?? 'no CNAME';
  if (cnameRight && markerRight) {
    const detail = `${place} gives ${name} a TTL of ${cname?.ttl} s instead of ${to.ttl} s`;
    return say('rejected', detail, 'allow that TTL at the server, or configure another');
  }
  const ignored =
    (!cnameRight && cname?.value === from.cnames[0]?.value) ||
    (!markerRight && sameTexts(seen.markers, from.markers));
  if (!ignored) {
    return say('conflict', `${name} was changed by somebody else meanwhile: there is ${stands}`);
  }
  const what = cnameRight ? `the marker at ${markerName(name)}` : `${name} CNAME ${to.cname}`;
  const cure =
    seen.refusal?.sentence ?? 'look in the log of the server for why the update was left out';
  const ignoredIt = `${place} took the update with NOERROR and ignored ${what}`;
  return say('rejected', `${ignoredIt}: there stands ${stands}`, cure);
}

function sameAsRead(from: Seen, seen: Seen): boolean {
  const values = (s: Seen) => s.cnames.map((c) => c.value);
  return (
    seen.refusal === null &&
    sameTexts(values(from), values(seen)) &&
    sameTexts(from.markers, seen.markers)
  );
}

function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  const [left, right] = [a.toSorted(), b.toSorted()];
  return left.length === right.length && left.every((text, i) => text === right[i]);
}

// ---------------------------------------------------------------- preflight

async function preflight(
  account: Account,
  record: Name,
  signal: AbortSignal,
): Promise<readonly ReachingFinding[]> {
  const read = await readFacts(account, record, signal);
  if (read.kind === 'fault') {
    const { fault, reach } = read;
    return [
      fromTrouble('zone', reach.kind === 'zone' ? reach.zone : null, { fault, scope: reach.kind }),
    ];
  }
  const { facts, negativeTtlSeconds } = read.value;
  const { zone } = facts;
  const findings = [
    good(ofZone(zone), 'zone', `${account.place} is authoritative for ${zone}`),
    ttlFloor(zone, null),
    negativeTtl(zone, negativeTtlSeconds),
    ...(await lookAtRecord({ read: (names) => readNames(account, names, signal) }, record, signal)),
  ];
  if (!mayTry(findings)) return findings;
  return [...findings, ...(await tryWriting(account, record, zone, signal))];
}

/**
 * Deletes a text that nobody has ever written from the marker of the record: taken, it changes
 * nothing. At that name and type, because a key may be granted no other.
 */
async function tryWriting(
  account: Account,
  record: Name,
  zone: Name,
  signal: AbortSignal,
): Promise<readonly ReachingFinding[]> {
  const { key, place } = account;
  const nothing = deleteRecord(markerName(record), typeTxt, encodeText(`never ${never()}`));
  const message = encodeUpdate(randomInt(65_536), zone, [], [nothing]);
  const signed = [sign(message, key, Date.now())];
  const [{ verdict, reach }] = (await update(account, signed, [zone], signal)) as [Ruling];
  if (!verdict.applied && verdict.fault.kind === 'auth-suspect') {
    return [bad(reach, 'credentials', verdict.fault.detail, verdict.fault.cure ?? null)];
  }
  if (!verdict.applied) return [fromProbe(zone, { fault: verdict.fault, scope: reach.kind })];
  const known = good(ofAccount, 'credentials', `${place} knows the TSIG key ${key.name}`);
  return [known, fromProbe(zone, null)];
}
