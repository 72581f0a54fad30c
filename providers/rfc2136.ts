// Records on a name server of one's own, by dynamic update (RFC 2136) signed with TSIG (RFC 8945):
// BIND, Knot, PowerDNS and their like. One UPDATE message states what was read as prerequisites and
// makes the change, so a stale writer changes nothing. Readings are signed like updates, so that both
// are of one view of the server, and nobody without the key can make one up. It must never send an
// unguarded update that could change something, never believe an unsigned reply, and never take
// NOERROR for done: servers ignore some updates silently, so what stands afterwards is read back.

import { randomInt } from 'node:crypto';
import { z } from 'zod';
import { delegationMarkerName, formatMarker, markerName } from '../src/core/marker.ts';
import type {
  Change,
  Json,
  Name,
  NsChange,
  NsPlace,
  NsSeen,
  Refusal,
  RefusalWord,
  Result,
  Seen,
} from '../src/core/model.ts';
import { ancestors, isWithin } from '../src/core/name.ts';
import { fitsWire, joinText, type Message } from '../src/dns/wire.ts';
import type {
  AdapterContext,
  ByHand,
  Capabilities,
  HandStep,
  Provider,
  ProviderType,
  ReachingFinding,
  ZoneFacts,
} from '../src/kit/extend.ts';
import {
  dnsName,
  hostPort,
  parseHostPort,
  type SecretRef,
  secretRef,
  toName,
} from '../src/kit/schema.ts';
import { SecretError } from '../src/kit/secret.ts';
import { lookupOf } from './kit/agents.ts';
import { secretInShell, shellWord } from './kit/by-hand.ts';
import { ByZone, reachOf, type ZoneKey } from './kit/by-zone.ts';
import {
  delegationHands,
  isApex as isApexOf,
  isSameNs,
  markerTtl,
  movedOn,
  type NsMoves,
} from './kit/delegation.ts';
import {
  addRecord,
  deleteRecord,
  deleteSet,
  encodeName,
  encodeStrings,
  encodeText,
  encodeUpdate,
  nameIsUnused,
  recordSize,
  setIs,
  setIsAbsent,
  type TsigKey,
  typeCname,
  typeNs,
  typeTxt,
  type UpdateRecord,
} from './kit/dns-update.ts';
import { type Called, done, failed, type Trouble } from './kit/fault.ts';
import { halfway } from './kit/guarded.ts';
import { ownClock } from './kit/patience.ts';
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
  ofZone,
  ttlFloor,
} from './kit/preflight.ts';
import { Room, type Told } from './kit/room.ts';
import {
  cureOf,
  type Heard,
  rcodeWord,
  SignedServer,
  scopeOf,
  signatureTrouble,
} from './kit/signed.ts';
import { type ZoneFinder, zoneFinder } from './kit/zone.ts';

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

/**
 * With BIND's `nsupdate` (its manual page, BIND 9.20). One message takes the old value out and puts
 * the new one in, and only where a CNAME stands: the name is never empty.
 */
function byHand(settings: Rfc2136Settings, { record, cname, ttl }: ByHand): readonly HandStep[] {
  const { zone, tsig } = settings;
  const { host, port } = parseHostPort(settings.server, 53)!;
  const key = `key "${tsig.name}" { algorithm ${tsig.algorithm}; secret "%s"; };\n`;
  const lines = [
    `server ${host} ${port}`,
    ...(zone === undefined ? [] : [`zone ${zone}`]),
    `prereq yxrrset ${record} CNAME`,
    `update delete ${record} CNAME`,
    `update add ${record} ${ttl} CNAME ${cname}`,
    'send',
  ];
  return [
    {
      text: 'Write the key into a file that only you can read.',
      shell: `(umask 077; printf ${shellWord(key)} ${secretInShell(tsig.secret)} > tsig.key)`,
    },
    {
      text: `Send the change to ${host}. It is made whole or not at all.`,
      shell: `nsupdate -k tsig.key <<'END'\n${lines.join('\n')}\nEND`,
    },
    {
      text: 'Look at what it now gives.',
      shell: `dig +norecurse -p ${port} @${host} ${record} CNAME`,
    },
    { text: 'Take the file away again.', shell: 'rm tsig.key' },
  ];
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
      algorithm: z
        .enum(['hmac-sha256', 'hmac-sha384', 'hmac-sha512'])
        .default('hmac-sha256')
        .describe('how it signs'),
      secret: secretRef.describe('the key in base64, as the server has it'),
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
  // A zone's reading takes four connections, its writing twelve with all looks at what stands.
  callsMax: 24,
  // A server of one's own has no published quota; this keeps from being a nuisance to it.
  quota: { burst: 240, perSecond: 60, reserve: 48 },
  permissions: [
    {
      permission: 'update-policy { grant KEY zonesub CNAME TXT; };',
      note: 'BIND; allow-query for the key, which signs queries, too',
    },
    { permission: 'acl: { key: KEY, action: update }', note: 'Knot; a writable database.storage' },
    {
      permission: 'TSIG-ALLOW-DNSUPDATE = KEY',
      note: 'PowerDNS, zone metadata; dnsupdate=yes and allow-dnsupdate-from in its settings',
    },
  ],
  delegation: {
    apex: true,
    note:
      'the NS set and the marker that were read are prerequisites of the UPDATE; a server that ' +
      'speaks for the parent and for the zone itself shows only the zone, and is refused as parent',
    permissions: [`NS of the zone, and TXT of \`${delegationMarkerName('<zone>')}\`, for the key`],
  },
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
  ownServers: ({ server }) => [server],
  byHand,
  create,
};

/** Room for the signature in a message of 65,535 bytes. */
const updateBytesMax = 60_000;
/** What could stand where a server answers ANY with next to nothing (RFC 8482). */
const commonTypes = ['A', 'AAAA', 'NS', 'MX', 'TXT', 'SRV', 'CAA', 'UNKNOWN_64', 'UNKNOWN_65'];
/** Signatures, proofs and keys of DNSSEC stand beside a CNAME (RFC 4034, 5155). */
const beside = new Set(['RRSIG', 'NSEC', 'NSEC3', 'KEY', 'SIG']);

// ---------------------------------------------------------------- the account

type Failed = { readonly ok: false } & Trouble;

/** A zone that the server speaks for; it has no name but its own. */
type Zone = ZoneKey;

/** A change that was taken with NOERROR, or said to be stale, and is not given yet. */
interface Doubt {
  /** The marker that it bears. */
  readonly text: string;
  /** The monotonic clock, in milliseconds. */
  readonly sinceMs: number;
}

interface Account {
  readonly server: SignedServer;
  readonly zones: ZoneFinder<Zone>;
  /** The zone was named, not found. */
  readonly isConfigured: boolean;
  readonly timeoutMs: number;
  readonly doubts: Map<Name, Doubt>;
}

function create(name: string, given: Rfc2136Settings, context: AdapterContext): Provider {
  const closing = new AbortController();
  const until = (signal: AbortSignal) => AbortSignal.any([signal, closing.signal]);
  const timeoutMs = context.callTimeoutMs;
  const server = new SignedServer({
    place: `server ${given.server}`,
    server: parseHostPort(given.server, 53)!,
    key: readKey(given, context),
    timeoutMs,
    lookup: lookupOf(context),
  });
  const zone = given.zone ?? null;
  const isConfigured = zone !== null;
  const zones = zoneFinder<Zone>({
    zone,
    byId: null,
    byName: async (name, signal) => {
      // A configured one is taken at its word: every reading asks for its SOA.
      return isConfigured ? done({ name, id: name }) : findZone(server, name, signal);
    },
    ofOneLabel: true,
  });
  const byZone = new ByZone({ zones, callsMax: capabilities.callsMax, callTimeoutMs: timeoutMs });
  const account: Account = { server, zones, isConfigured, timeoutMs, doubts: new Map() };
  const read: Provider['read'] = (asked, signal) => {
    const names = [...new Set(asked)];
    return byZone.read(names, until(signal), (zone, some, room, stop) =>
      readZone(account, zone.name, some, room, stop),
    );
  };
  return {
    name,
    capabilities,
    get calls() {
      return server.calls;
    },
    zone: (record, signal) => factsOf(account, record, until(signal)),
    read,
    write(changes, signal) {
      return byZone.write(changes, until(signal), {
        prepare: preparer(),
        zoneOf: (change, room, stop) => zones.findWithin(change.name, stop, room),
        writeZone: (zone, some, room, stop) => writeZone(account, zone.name, some, room, stop),
      });
    },
    preflight: (record, signal) => preflight(account, read, record, until(signal)),
    delegation: delegationHands({
      look: (place, signal) => lookAtNs(account, place, until(signal)),
      make: (change, moves, signal) => changeNs(account, change, moves, until(signal)),
    }),
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

// ---------------------------------------------------------------- zones

/**
 * The zone of exactly this name, or null where the server speaks for none. What is above it is asked
 * for, too: a zone that cannot be loaded, or lets us not ask, fails for all that is below it.
 */
async function findZone(
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

async function readFacts(
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

async function factsOf(
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
function checkApex(soa: Called<Message>, zone: Name, place: string): Called<Message> {
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
const callsOfReading = 4;

/** What the server gives at a record's name and at its marker's. */
interface Given {
  readonly forRecord: Message;
  readonly forMarker: Message;
}

/** What is asked in one zone, and where its answer stands. */
class Questions {
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
async function readZone(
  account: Account,
  zone: Name,
  asked: readonly Name[],
  room: Room,
  signal: AbortSignal,
): Promise<readonly Told<Seen>[]> {
  const names = asked.filter((name) => fitsWire(markerName(name))).slice(0, capabilities.readMax);
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

function tooLong(name: Name): Called<never> {
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

function givenFor(
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
function replyTrouble(message: Message, place: string): Trouble | null {
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

function toSeen(
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

// ---------------------------------------------------------------- writing

/** How often, at most, is looked again whether what was taken is given: 1.3 s in all. */
const looksMax = 6;
const firstPauseMs = 20;

/** So long, at most, is what was taken and is not given yet in doubt; then it was left out. */
const doubtMs = 60_000;
const doubtsMax = 10_000;

/** The batch, its changes one by one where one spoils it, and what stands afterwards. */
const callsOfWriting = 2 + callsOfReading + looksMax;

/** Why an update was not taken; null: it was, with NOERROR. */
type Verdict = Trouble | null;

/** Says of each change of one writing whether it may be sent at all. */
function preparer(): (change: Change) => Called<Change> {
  const before = new Set<Name>();
  return (change) => {
    const { name, from } = change;
    if (from.refusal) return failed('record', 'rejected', from.refusal.sentence);
    if (!fitsWire(markerName(name))) return tooLong(name);
    if (before.has(name)) return failed('record', 'conflict', `${name} stands twice in one batch`);
    before.add(name);
    return done(change);
  };
}

async function writeZone(
  account: Account,
  zone: Name,
  asked: readonly Change[],
  room: Room,
  signal: AbortSignal,
): Promise<readonly Told<null>[]> {
  if (!room.takeName(callsOfWriting)) return asked.map(() => null);
  room.told();
  const changes = asked.slice(0, capabilities.writeMax);
  const verdicts = await sendAll(account.server, zone, changes, signal);
  const told = verdicts.map((verdict): Called<null> => {
    return verdict === null ? done(null) : { ok: false, ...verdict };
  });
  const open = [...verdicts.keys()].filter((i) => isOpen(verdicts[i]!));
  const settled = await settle(account, zone, open, { changes, verdicts }, signal);
  return asked.map((_, i) => settled.get(i) ?? told[i] ?? null);
}

/** One message, or as many as the wire wants; where one change of several spoils it, one each. */
async function sendAll(
  server: SignedServer,
  zone: Name,
  changes: readonly Change[],
  signal: AbortSignal,
): Promise<readonly Verdict[]> {
  const verdicts: Verdict[] = changes.map(() => null);
  const batches = inBatches(changes);
  const alone: number[] = [];
  for (const [b, verdict] of (await send(server, zone, batches, changes, signal)).entries()) {
    const indexes = batches[b]!;
    // What is one record's spoils a whole message, and the reply does not say whose it is.
    if (verdict?.scope === 'record' && indexes.length > 1) alone.push(...indexes);
    else for (const i of indexes) verdicts[i] = verdict;
  }
  const single = alone.map((i) => [i]);
  for (const [b, verdict] of (await send(server, zone, single, changes, signal)).entries()) {
    verdicts[alone[b]!] = verdict;
  }
  return verdicts;
}

/** Sends each batch as one signed UPDATE, all down one connection; once, whatever happens. */
async function send(
  server: SignedServer,
  zone: Name,
  batches: readonly (readonly number[])[],
  changes: readonly Change[],
  signal: AbortSignal,
): Promise<readonly Verdict[]> {
  const firstId = randomInt(65_536 - batches.length);
  const messages = batches.map((indexes, i) => {
    const parts = indexes.map((index) => toUpdate(changes[index]!));
    return encodeUpdate(
      firstId + i,
      zone,
      parts.flatMap((p) => p.prerequisites),
      parts.flatMap((p) => p.updates),
    );
  });
  const heard = await server.update(messages, signal);
  return heard.map((one) => judge(one, zone, server));
}

function isOpen(verdict: Verdict): boolean {
  return verdict === null || verdict.fault.kind === 'conflict';
}

interface Sent {
  readonly changes: readonly Change[];
  readonly verdicts: readonly Verdict[];
}

/**
 * What stands afterwards decides: for what was taken, and for what was said to be stale. A server
 * that signs its zone by itself gives what it took a while later: it is looked at again.
 */
async function settle(
  account: Account,
  zone: Name,
  open: readonly number[],
  { changes, verdicts }: Sent,
  signal: AbortSignal,
): Promise<ReadonlyMap<number, Called<null>>> {
  const answers = new Map<number, Called<null>>();
  const waiting = new Map<number, Seen>();
  const endsAt = performance.now() + account.timeoutMs;
  const note = (i: number, seen: Seen): void => {
    const answer = compare(changes[i]!, verdicts[i]!, seen, account.server.place);
    if (answer === null) return void waiting.set(i, seen);
    waiting.delete(i);
    account.doubts.delete(changes[i]!.name);
    answers.set(i, answer);
  };
  const names = open.map((i) => changes[i]!.name);
  const room = new Room(callsOfReading, Number.POSITIVE_INFINITY);
  const read = await readZone(account, zone, names, room, signal);
  for (const [at, i] of open.entries()) {
    const seen = read[at] ?? null;
    if (seen?.ok) note(i, seen.value);
    else if (verdicts[i] === null) answers.set(i, unseen(seen));
  }
  for (let look = 0; look < looksMax && waiting.size > 0; look++) {
    const pauseMs = firstPauseMs * 2 ** look;
    if (signal.aborted || performance.now() + pauseMs > endsAt) break;
    await rest(pauseMs, signal);
    const again = [...waiting.keys()];
    const glances = await glance(
      account.server,
      zone,
      again.map((i) => changes[i]!.name),
      signal,
    );
    for (const [at, i] of again.entries()) if (glances[at]) note(i, glances[at]);
  }
  for (const [i, seen] of waiting) {
    answers.set(i, doubtful(account, changes[i]!, verdicts[i]!, seen));
  }
  return answers;
}

function rest(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const cancel = ownClock.after(ms, resolve);
  const stop = () => resolve();
  signal.addEventListener('abort', stop, { once: true });
  return promise.finally(() => {
    cancel();
    signal.removeEventListener('abort', stop);
  });
}

/** CNAME and marker alone, as they are given by now; null where that was not heard. */
async function glance(
  server: SignedServer,
  zone: Name,
  names: readonly Name[],
  signal: AbortSignal,
): Promise<readonly (Seen | null)[]> {
  const questions = new Questions();
  for (const name of names) {
    questions.add(name, 'CNAME');
    questions.add(markerName(name), 'TXT');
  }
  const reply = questions.from(await server.query(questions.list, signal));
  return names.map((name) => {
    const given = givenFor(name, reply, server.place);
    return given.ok ? toSeen(name, zone, given.value, [], new Set()) : null;
  });
}

/** Taken with NOERROR, and then not read back. */
function unseen(read: Told<Seen>): Called<null> {
  if (read === null || read.ok) {
    return failed('record', 'uncertain', 'taken with NOERROR, and not read back');
  }
  return halfway(read, 'taken with NOERROR, but reading back failed');
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
    // What is added replaces the one that stands (RFC 2136 3.4.2.2). Where it is deleted before, a
    // Knot that signs the zone (3.2.6) finds its signature there, adds nothing, and says NOERROR.
    updates.push(addRecord(name, typeCname, to.ttl, encodeName(to.cname)));
  }
  if (from.markers.length !== 1 || from.markers[0] !== text) {
    if (texts.length > 0) updates.push(deleteSet(marker, typeTxt));
    updates.push(addRecord(marker, typeTxt, to.ttl, encodeText(text)));
  }
  return { prerequisites, updates };
}

/** The marker's records byte for byte as read; a reading by DNS alone has only the texts. */
function rawTexts({ ref, markers }: Pick<Seen, 'ref' | 'markers'>): readonly Buffer[] {
  const texts = isTexts(ref) ? ref.texts : null;
  if (texts === null || texts.length !== markers.length) return markers.map(encodeText);
  return texts.map((text) => Buffer.from(text, 'base64'));
}

function isTexts(ref: Json): ref is { readonly texts: readonly string[] } {
  if (ref === null || typeof ref !== 'object' || !('texts' in ref)) return false;
  return Array.isArray(ref.texts) && ref.texts.every((text) => typeof text === 'string');
}

/** Changes of one zone by their places, in messages that stay within the wire's 65,535 bytes. */
function inBatches(changes: readonly Change[]): readonly (readonly number[])[] {
  const batches: { indexes: number[]; bytes: number }[] = [];
  for (const [i, change] of changes.entries()) {
    const { prerequisites, updates } = toUpdate(change);
    const bytes = [...prerequisites, ...updates].reduce((sum, r) => sum + recordSize(r), 0);
    const room = batches.find((b) => b.bytes + bytes <= updateBytesMax);
    if (room) {
      room.indexes.push(i);
      room.bytes += bytes;
    } else batches.push({ indexes: [i], bytes });
  }
  return batches.map((b) => b.indexes);
}

/** What came back for a signed UPDATE means (RFC 2136 2.2, RFC 8945 5). */
function judge(heard: Heard, zone: Name, server: SignedServer): Verdict {
  const { place, key } = server;
  if (heard.kind === 'silence') {
    const { failure } = heard;
    const kind = failure.sent ? 'uncertain' : 'unavailable';
    const scope = failure.kind === 'aborted' ? 'zone' : scopeOf(failure);
    return failed(scope, kind, `${place}: ${failure.detail}`, cureOf(failure));
  }
  const { signature } = heard;
  const doubt = signatureTrouble(signature, server);
  // What was sent may have been applied, whoever it is that answers.
  if (doubt !== null && signature.kind === 'invalid') {
    return failed('zone', 'uncertain', `${place}: ${signature.detail}, so it is not believed`);
  }
  if (doubt !== null) return doubt;
  if (signature.kind === 'unsigned') return judgeUnsigned(rcodeWord(signature.rcode), server);
  if (signature.kind !== 'valid') return null;
  const said = rcodeWord(signature.rcode);
  switch (said) {
    case 'NOERROR':
      return null;
    case 'NXDOMAIN':
    case 'YXDOMAIN':
    case 'YXRRSET':
    case 'NXRRSET': {
      const detail = `${place}: what was read no longer stands there (${said})`;
      return failed('record', 'conflict', detail);
    }
    case 'SERVFAIL':
      return failed('zone', 'unavailable', `${place} could not apply the update (SERVFAIL)`);
    case 'REFUSED': {
      const what = `knows the key ${key.name} but does not let it change this in ${zone}`;
      const cure = 'grant the key CNAME and TXT at the record and its marker (update-policy, acl)';
      return failed('record', 'rejected', `${place} ${what} (REFUSED)`, { cure });
    }
    case 'NOTAUTH': {
      const detail = `${place} is not the primary server of ${zone} (NOTAUTH)`;
      return failed('zone', 'rejected', detail, { stale: true });
    }
    default: {
      const scope = said === 'NOTIMP' ? 'account' : said === 'NOTZONE' ? 'zone' : 'record';
      const about = said === 'NOTZONE' ? { stale: true as const } : {};
      return failed(scope, 'rejected', `${place} refuses the update in ${zone} (${said})`, about);
    }
  }
}

function judgeUnsigned(said: string, { place, key }: SignedServer): Trouble {
  // PowerDNS says a bad key or a clock that is off so, Knot a key that no acl of the zone names
  // (3.4 says so where 3.2 signed a BADKEY), and both a zone that they do not serve.
  if (said === 'REFUSED' || said === 'NOTAUTH') {
    const why = said === 'NOTAUTH' ? ': no such key there, or the zone is not served there' : '';
    const detail = `${place} refuses us and key ${key.name} (${said}, unsigned${why})`;
    const cure =
      'let the key update the zone there; compare its name, algorithm and secret, and the clocks';
    return failed('zone', 'auth-suspect', detail, { cure });
  }
  if (said === 'NOTIMP' || said === 'FORMERR') {
    const detail = `${place} does not take signed updates (${said}, unsigned)`;
    return failed('account', 'rejected', detail);
  }
  const detail = `${place}: the reply ${said} is not signed, so it is not believed`;
  return failed('zone', 'uncertain', detail);
}

/**
 * What was taken with NOERROR, or is said to be stale, against what stands there: servers ignore
 * some updates in silence, and answer from another view than they change. Null: nothing of it is to
 * be seen yet.
 */
function compare(change: Change, verdict: Verdict, seen: Seen, place: string): Called<null> | null {
  const { name, from, to } = change;
  const [cname, ...more] = seen.cnames;
  const cnameRight = cname?.value === to.cname && more.length === 0;
  const markerRight = seen.markers.length === 1 && seen.markers[0] === formatMarker(to.marker);
  // Said to be stale, it may have come by an earlier try of ours: no other writer has this marker.
  if (cnameRight && markerRight && cname?.ttl === to.ttl) return done(null);
  const isOld = sameAsRead(from, seen) && cname?.ttl === from.cnames[0]?.ttl;
  if (isOld) return null;
  if (verdict !== null) return { ok: false, ...verdict };
  const stands = cname?.value ?? 'no CNAME';
  if (cnameRight && markerRight) {
    const detail = `${place} gives ${name} a TTL of ${cname?.ttl} s instead of ${to.ttl} s`;
    const cure = 'allow that TTL at the server, or configure another';
    return failed('record', 'rejected', detail, { cure });
  }
  const isCnameOld = more.length === 0 && cname?.value === from.cnames[0]?.value;
  const isMarkerOld = sameTexts(seen.markers, from.markers);
  if ((cnameRight || isCnameOld) && (markerRight || isMarkerOld)) {
    // Of two answers one may be of before and one of after, unless something stands in the way.
    return seen.refusal === null ? null : leftOut(change, seen, place);
  }
  const detail = `${name} was changed by somebody else meanwhile: there is ${stands}`;
  return failed('record', 'conflict', detail);
}

/** Taken with NOERROR and not done, or not done whole. */
function leftOut({ name, to }: Change, seen: Seen, place: string): Called<null> {
  const [cname] = seen.cnames;
  const stands = cname?.value ?? 'no CNAME';
  const isMarker = cname?.value === to.cname;
  const what = isMarker ? `the marker at ${markerName(name)}` : `${name} CNAME ${to.cname}`;
  const cure =
    seen.refusal?.sentence ?? 'look in the log of the server for why the update was left out';
  const detail = `${place} took the update with NOERROR and ignored ${what}: there stands ${stands}`;
  return failed('record', 'rejected', detail, { cure });
}

/** What is still given as it was read, after all looks at it: for a while that proves nothing. */
function doubtful(
  { doubts, server: { place } }: Account,
  change: Change,
  verdict: Verdict,
  seen: Seen,
): Called<null> {
  const { name, to } = change;
  const text = formatMarker(to.marker);
  const known = doubts.get(name);
  const doubt = known?.text === text ? known : { text, sinceMs: performance.now() };
  if (doubts.size >= doubtsMax) doubts.clear();
  doubts.set(name, doubt);
  const isYoung = performance.now() - doubt.sinceMs < doubtMs;
  const stands = seen.cnames[0]?.value ?? 'no CNAME';
  if (verdict === null) {
    if (!isYoung) return leftOut(change, seen, place);
    const detail = `${place} took the update of ${name} and gives ${stands} still`;
    const cure = 'a server that signs its zone by itself gives it a moment later';
    return failed('record', 'uncertain', detail, { cure });
  }
  const detail =
    `${place} answers for ${name} what was read, yet says that it does not stand there: ` +
    'a wildcard, another view, or a hidden type makes up the answer';
  const cure = `give ${name} a record of its own, or query and update the same view`;
  return failed('record', isYoung ? 'conflict' : 'rejected', detail, { cure });
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
  read: Provider['read'],
  record: Name,
  signal: AbortSignal,
): Promise<readonly ReachingFinding[]> {
  const { server, zones } = account;
  const found = await readFacts(account, record, signal);
  if (!found.ok) {
    if (found.stale && found.zone !== undefined) zones.forget(found.zone);
    return [fromTrouble('zone', found.zone ?? null, found)];
  }
  const { facts, negativeTtlSeconds } = found.value;
  const { zone } = facts;
  const findings = [
    good(ofZone(zone), 'zone', `${server.place} is authoritative for ${zone}`),
    ttlFloor(zone, null),
    negativeTtl(zone, negativeTtlSeconds),
    ...(await lookAtRecord({ read }, record, signal)),
  ];
  if (!mayTry(findings)) return findings;
  return [...findings, ...(await tryWriting(server, record, zone, signal))];
}

/**
 * Deletes a text that nobody has ever written from the marker of the record: taken, it changes
 * nothing. At that name and type, because a key may be granted no other.
 */
async function tryWriting(
  server: SignedServer,
  record: Name,
  zone: Name,
  signal: AbortSignal,
): Promise<readonly ReachingFinding[]> {
  const nothing = deleteRecord(markerName(record), typeTxt, encodeText(`never ${never()}`));
  const message = encodeUpdate(randomInt(65_536), zone, [], [nothing]);
  const [heard] = await server.update([message], signal);
  const verdict = judge(heard!, zone, server);
  if (verdict?.fault.kind === 'auth-suspect') {
    const { detail, cure = null } = verdict.fault;
    return [bad(reachOf(verdict, zone), 'credentials', detail, cure)];
  }
  if (verdict !== null) return [fromProbe(zone, verdict)];
  const known = good(
    ofAccount,
    'credentials',
    `${server.place} knows the TSIG key ${server.key.name}`,
  );
  return [known, fromProbe(zone, null)];
}

// ---------------------------------------------------------------- the delegation

async function lookAtNs(
  { server }: Account,
  place: NsPlace,
  signal: AbortSignal,
): Promise<Called<NsSeen>> {
  const { zone, name } = place;
  const questions = [
    { name: zone, type: 'SOA' },
    { name, type: 'NS' },
    { name: delegationMarkerName(zone), type: 'TXT' },
  ];
  const [soa, ns, txt] = await server.query(questions, signal);
  const start = checkApex(soa!, zone, server.place);
  if (!start.ok) return { ...start, zone };
  for (const reply of [ns!, txt!]) {
    if (!reply.ok) return reply;
    const trouble = replyTrouble(reply.value, server.place);
    if (trouble !== null) return { ok: false, ...trouble };
  }
  if (!ns!.ok || !txt!.ok) return failed('zone', 'unavailable', `${server.place}: no answer`);
  const { authoritative, answers, authority } = ns!.value;
  if (!isApexOf(place) && authoritative && answers.length > 0) {
    const detail = `${server.place} speaks for ${name} itself: what ${zone} has there is not seen`;
    const cure = `name as the parent's provider a server that holds ${zone} alone`;
    return failed('zone', 'rejected', detail, { cure });
  }
  const set = [...answers, ...(isApexOf(place) ? [] : authority)].flatMap((r) =>
    r.type === 'NS' && r.name === name ? [r] : [],
  );
  const texts = txt!.value.answers.flatMap((r) =>
    r.type === 'TXT' && r.name === delegationMarkerName(zone) ? [r.strings] : [],
  );
  return done({
    servers: set.map((r) => r.target),
    fixed: [],
    ttl: set.length === 0 ? null : Math.max(...set.map((r) => r.ttl)),
    markers: texts.map(joinText),
    ref: { texts: texts.map((strings) => encodeStrings(strings).toString('base64')) },
  });
}

/** One UPDATE, whose prerequisites are the set and the marker as they were read. */
async function changeNs(
  account: Account,
  { place, from, to }: NsChange,
  { servers, markers }: NsMoves,
  signal: AbortSignal,
): Promise<Called<null>> {
  const { server } = account;
  const { zone, name } = place;
  const marker = delegationMarkerName(zone);
  const texts = rawTexts({ ref: from.ref, markers: from.markers });
  const prerequisites = [
    ...setIs(name, typeNs, from.servers.map(encodeName)),
    ...(texts.length > 0 ? setIs(marker, typeTxt, texts) : [setIsAbsent(marker, typeTxt)]),
  ];
  const ttl = from.ttl ?? markerTtl;
  const updates = [
    // What comes stands before what goes is taken: at no moment is a server the last one.
    ...servers.come.map((host) => addRecord(name, typeNs, ttl, encodeName(host))),
    ...servers.gone.map((host) => deleteRecord(name, typeNs, encodeName(host))),
    ...markers.gone.map((text) =>
      deleteRecord(marker, typeTxt, texts[from.markers.indexOf(text)] ?? encodeText(text)),
    ),
    ...markers.come.map((text) => addRecord(marker, typeTxt, markerTtl, encodeText(text))),
  ];
  const message = encodeUpdate(randomInt(65_536), zone, prerequisites, updates);
  const [heard] = await server.update([message], signal);
  const verdict = judge(heard!, zone, server);
  if (verdict !== null) return { ok: false, ...verdict };
  return settleNs(account, { place, from, to }, signal);
}

/** NOERROR is not believed: what stands is read back, a few times where it comes late. */
async function settleNs(
  account: Account,
  { place, from, to }: NsChange,
  signal: AbortSignal,
): Promise<Called<null>> {
  const { place: server } = account.server;
  for (let look = 0; ; look++) {
    const now = await lookAtNs(account, place, signal);
    if (!now.ok) return halfway(now, 'taken with NOERROR, but reading back failed');
    if (isSameNs(now.value, to)) return done(null);
    if (!isSameNs(now.value, from)) return movedOn(place);
    if (look === looksMax) break;
    await rest(firstPauseMs * 2 ** look, signal);
  }
  const detail = `${server} took the update of NS ${place.name} and gives the old set still`;
  return failed('record', 'uncertain', detail, { cure: 'look in the log of the server' });
}
