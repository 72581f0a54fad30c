// Records on a name server of one's own, by dynamic update (RFC 2136) signed with TSIG (RFC 8945):
// BIND, Knot, PowerDNS and their like. One UPDATE message states what was read as prerequisites and
// makes the change, so a stale writer changes nothing. It must never send an unsigned update, nor
// an unguarded one that could change something, never believe an unsigned reply, never send one
// update twice, and never take NOERROR for done: servers ignore some updates silently, so what
// stands afterwards is read back.

import { randomInt } from 'node:crypto';
import { z } from 'zod';
import { markerName } from '../src/core/marker.ts';
import type {
  Change,
  Fault,
  FaultKind,
  Finding,
  Json,
  Name,
  Refusal,
  RefusalWord,
  Result,
  Seen,
} from '../src/core/model.ts';
import { ancestors, isWithin } from '../src/core/name.ts';
import { askAll, exchangeTcp, type Failure } from '../src/dns/ask.ts';
import { joinText, type Message, type Question } from '../src/dns/wire.ts';
import type {
  AdapterContext,
  Capabilities,
  Provider,
  ProviderType,
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
  type SignedMessage,
  setIs,
  setIsAbsent,
  sign,
  type TsigKey,
  typeCname,
  typeTxt,
  type UpdateRecord,
} from './kit/dns-update.ts';
import {
  bad,
  fromFault,
  fromProbe,
  good,
  lookAtRecord,
  mayTry,
  negativeTtl,
  never,
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

const settings: z.ZodType<Rfc2136Settings> = z.strictObject({
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
});

const capabilities: Capabilities = {
  type: 'rfc2136',
  title: 'Dynamic update with TSIG (BIND, Knot, PowerDNS)',
  fence: 'transaction',
  fenceNote:
    'each UPDATE has the CNAME and the marker that were read as prerequisites (RFC 2136 2.4); ' +
    'the server checks and applies it as one transaction, and what stands is read back',
  atomic: true,
  readMax: 50,
  writeMax: 50,
  // Finding the zone, the batch, its changes one by one when one spoils it, reading back (three).
  callsMax: 6,
  // A server of one's own has no published quota; this keeps from being a nuisance to it.
  quota: { burst: 100, perSecond: 20, reserve: 20 },
  permissions: [
    'BIND: update-policy { grant KEY zonesub CNAME TXT; }; queries from here by allow-query',
    'Knot: an acl with action: update and the key, and a writable database.storage',
    'PowerDNS: dnsupdate=yes, allow-dnsupdate-from, zone metadata TSIG-ALLOW-DNSUPDATE = KEY',
  ],
  refuses: [
    'apex: a CNAME cannot stand at the top of a zone',
    'other-type: records of other types at the name, or a CNAME at the marker',
    'delegated: the name belongs to a child zone on other servers',
    'synthesized: the CNAME comes from a DNAME above it',
    'odd-value: the CNAME leads to something that is no host name',
  ],
};

/** See ports.ts: the row of the table of providers. */
export const rfc2136: ProviderType<Rfc2136Settings> = {
  type: 'rfc2136',
  capabilities,
  settings,
  create: (name, given, context) => createAccount(name, given, context),
};

/** Room for the signature in a message of 65,535 bytes. */
const updateBytesMax = 60_000;
const zonesMax = 10_000;
/** What could stand where a server answers ANY with next to nothing (RFC 8482). */
const commonTypes = ['A', 'AAAA', 'NS', 'MX', 'TXT', 'SRV', 'CAA', 'UNKNOWN_64', 'UNKNOWN_65'];
/** Signatures, proofs and keys of DNSSEC stand beside a CNAME (RFC 4034, 5155). */
const beside = new Set(['RRSIG', 'NSEC', 'NSEC3', 'KEY', 'SIG']);

/** Changes of one zone that travel in one message. */
interface Batch {
  readonly zone: Name;
  readonly indexes: readonly number[];
}

interface ZoneRead {
  readonly facts: ZoneFacts;
  readonly negativeTtlSeconds: number;
}

type Verdict = { readonly applied: true } | { readonly applied: false; readonly fault: Fault };

function createAccount(account: string, given: Rfc2136Settings, context: AdapterContext): Provider {
  const server: HostPort = parseHostPort(given.server, 53)!;
  const key = readKey(given, context);
  const timeoutMs = context.callTimeoutMs;
  const closing = new AbortController();
  const zones = new Map<Name, Name>();
  const place = `server ${given.server}`;

  async function query(
    questions: readonly Question[],
    signal: AbortSignal,
  ): Promise<Result<readonly Message[]>> {
    const result = await askAll(server, questions, { timeoutMs, signal });
    if (result.kind === 'replies') return { ok: true, value: result.messages };
    return failed('unavailable', `${place}: ${result.detail}`, cureOf(result));
  }

  /** The zone of each name: the configured one, or the nearest that the server speaks for. */
  async function findZones(
    names: readonly Name[],
    signal: AbortSignal,
  ): Promise<Result<ReadonlyMap<Name, Name>>> {
    const unknown = given.zone ? [] : names.filter((name) => !zones.has(name));
    const wanted = [...new Set(unknown.flatMap(ancestors))];
    const replies = await query(
      wanted.map((name) => ({ name, type: 'SOA' })),
      signal,
    );
    if (!replies.ok) return replies;
    const byName = new Map(wanted.map((name, i) => [name, replies.value[i]!]));
    const found = new Map<Name, Name>();
    for (const name of names) {
      const known = zones.get(name);
      const zone: Result<Name> = given.zone
        ? pickConfigured(name, given.zone)
        : known !== undefined
          ? { ok: true, value: known }
          : pickServed(name, byName, place);
      if (!zone.ok) return zone;
      found.set(name, zone.value);
    }
    if (zones.size + found.size > zonesMax) zones.clear();
    for (const [name, zone] of found) zones.set(name, zone);
    return { ok: true, value: found };
  }

  async function readAll(
    names: readonly Name[],
    signal: AbortSignal,
  ): Promise<Result<Readonly<Record<Name, Seen>>>> {
    const found = await findZones(names, signal);
    if (!found.ok) return found;
    const first = await query(
      names.flatMap((name) => [
        { name, type: 'CNAME' },
        { name: markerName(name), type: 'TXT' },
      ]),
      signal,
    );
    if (!first.ok) return first;
    const fault = first.value.map((m) => readFault(m, place)).find((f) => f !== null);
    if (fault) return { ok: false, fault };
    const replies = new Map(
      names.map((name, i) => [name, [first.value[2 * i]!, first.value[2 * i + 1]!] as const]),
    );
    // No CNAME but an existing name: either only names below it exist, or other types stand there.
    const bare = names.filter((name) => isBare(replies.get(name)![0], name));
    const others = await findOthers(bare, signal);
    if (!others.ok) return others;
    const seen: Record<Name, Seen> = {};
    for (const [name, [forRecord, forMarker]] of replies) {
      const types = others.value.get(name) ?? [];
      seen[name] = toSeen(name, found.value.get(name)!, forRecord, forMarker, types);
    }
    return { ok: true, value: seen };
  }

  /** Types that stand at names without a CNAME. */
  async function findOthers(
    names: readonly Name[],
    signal: AbortSignal,
  ): Promise<Result<ReadonlyMap<Name, readonly string[]>>> {
    const any = await query(
      names.map((name) => ({ name, type: 'ANY' })),
      signal,
    );
    if (!any.ok) return any;
    const found = new Map(names.map((name, i) => [name, typesAt(any.value[i]!, name)]));
    const evasive = names.filter((name, i) => {
      const types = found.get(name)!;
      const silent = any.value[i]!.rcode !== 'NOERROR' || types.every((t) => t === 'HINFO');
      return silent || any.value[i]!.truncated;
    });
    const one = await query(
      evasive.flatMap((name) => commonTypes.map((type) => ({ name, type }))),
      signal,
    );
    if (!one.ok) return one;
    for (const [i, name] of evasive.entries()) {
      const part = one.value.slice(i * commonTypes.length, (i + 1) * commonTypes.length);
      const types = [...new Set(part.flatMap((m) => typesAt(m, name)))];
      // An HINFO that only says RFC8482 is made up; a real one beside nothing else is not worth it.
      found.set(name, types);
    }
    return { ok: true, value: found };
  }

  /** Sends each batch as one signed UPDATE, all down one connection; once, whatever happens. */
  async function send(
    batches: readonly Batch[],
    changes: readonly Change[],
    signal: AbortSignal,
  ): Promise<readonly Verdict[]> {
    const firstId = randomInt(65_536 - batches.length);
    const signed = batches.map(({ zone, indexes }, i): SignedMessage => {
      const parts = indexes.map((index) => toUpdate(changes[index]!));
      const message = encodeUpdate(
        firstId + i,
        zone,
        parts.flatMap((p) => p.prerequisites),
        parts.flatMap((p) => p.updates),
      );
      return sign(message, key, Date.now());
    });
    const { replies, failure } = await exchangeTcp(
      server,
      signed.map((s) => s.bytes),
      { timeoutMs, signal },
    );
    return batches.map(({ zone }, i) => verdictOf(replies[i] ?? null, failure, signed[i]!, zone));
  }

  function verdictOf(
    reply: Buffer | null,
    failure: Failure | null,
    request: SignedMessage,
    zone: Name,
  ): Verdict {
    if (reply) return judge(reply, request, key, zone, place);
    const detail = `${place}: ${failure?.detail ?? 'no reply'}`;
    const cure = failure ? cureOf(failure) : undefined;
    return refuse(failure?.sent === false ? 'unavailable' : 'uncertain', detail, cure);
  }

  /** What stands afterwards decides: for what was taken, and for what was said to be stale. */
  async function settle(
    changes: readonly Change[],
    verdicts: readonly Verdict[],
    signal: AbortSignal,
  ): Promise<readonly Result<null>[]> {
    const open = changes.filter((_, i) => isOpen(verdicts[i]!));
    const now = await readAll(
      open.map((change) => change.name),
      signal,
    );
    return changes.map((change, i): Result<null> => {
      const verdict = verdicts[i]!;
      if (!isOpen(verdict)) return verdict.applied ? done : { ok: false, fault: verdict.fault };
      if (!now.ok) {
        if (!verdict.applied) return { ok: false, fault: verdict.fault };
        const detail = `taken with NOERROR, but reading back failed: ${now.fault.detail}`;
        return failed('uncertain', detail, now.fault.cure);
      }
      const seen = now.value[change.name]!;
      if (verdict.applied) return compare(change, seen, place);
      return sameAsRead(change.from, seen)
        ? failed(
            'rejected',
            `${place} answers for ${change.name} what was read, yet says that it does not stand ` +
              'there: a wildcard, another view, or a hidden type makes up the answer',
            `give ${change.name} a record of its own, or query and update the same view`,
          )
        : { ok: false, fault: verdict.fault };
    });
  }

  async function write(
    changes: readonly Change[],
    outer: AbortSignal,
  ): Promise<readonly Result<null>[]> {
    const signal = AbortSignal.any([outer, closing.signal]);
    const verdicts: (Verdict | null)[] = changes.map((change, i) => {
      if (change.from.refusal) return refuse('rejected', change.from.refusal.sentence);
      const twice = changes.findIndex((other) => other.name === change.name) < i;
      return twice ? refuse('conflict', `${change.name} stands twice in one batch`) : null;
    });
    const open = changes.flatMap((_, i) => (verdicts[i] === null ? [i] : []));
    const zoned = await findZones(
      open.map((i) => changes[i]!.name),
      signal,
    );
    if (!zoned.ok) for (const i of open) verdicts[i] = { applied: false, fault: zoned.fault };
    const batches = zoned.ok ? inBatches(changes, open, zoned.value) : [];
    const alone: Batch[] = [];
    for (const [b, verdict] of (await send(batches, changes, signal)).entries()) {
      const { zone, indexes } = batches[b]!;
      // One change spoils a whole message, and the reply does not say which one.
      const divisible = !verdict.applied && ['conflict', 'rejected'].includes(verdict.fault.kind);
      if (divisible && indexes.length > 1)
        alone.push(...indexes.map((i) => ({ zone, indexes: [i] })));
      else for (const i of indexes) verdicts[i] = verdict;
    }
    for (const [b, verdict] of (await send(alone, changes, signal)).entries()) {
      verdicts[alone[b]!.indexes[0]!] = verdict;
    }
    return settle(
      changes,
      verdicts.map((v) => v ?? refuse('unavailable', 'it was not sent')),
      signal,
    );
  }

  function readAllOf(
    names: readonly Name[],
    signal: AbortSignal,
  ): Promise<Result<Readonly<Record<Name, Seen>>>> {
    return readAll([...new Set(names)], AbortSignal.any([signal, closing.signal]));
  }

  async function readZone(name: Name, signal: AbortSignal): Promise<Result<ZoneRead>> {
    const found = await findZones([name], signal);
    if (!found.ok) return found;
    const zone = found.value.get(name)!;
    const replies = await query(
      [
        { name: zone, type: 'SOA' },
        { name: zone, type: 'NS' },
      ],
      signal,
    );
    if (!replies.ok) return replies;
    const fault = replies.value.map((m) => readFault(m, place)).find((f) => f !== null);
    if (fault) return { ok: false, fault };
    return toFacts(zone, replies.value[0]!, replies.value[1]!, place);
  }

  async function preflight(record: Name, signal: AbortSignal): Promise<readonly Finding[]> {
    const read = await readZone(record, signal);
    if (!read.ok) return [fromFault('zone', read.fault)];
    const { zone } = read.value.facts;
    const findings = [
      good('zone', `${place} is authoritative for ${zone}`),
      ttlFloor(zone, null),
      negativeTtl(zone, read.value.negativeTtlSeconds),
      ...(await lookAtRecord({ read: readAllOf }, record, signal)),
    ];
    return mayTry(findings) ? [...findings, ...(await tryWriting(record, zone, signal))] : findings;
  }

  /**
   * Deletes a text that nobody has ever written from the marker of the record: taken, it changes
   * nothing. At that name and type, because a key may be granted no other.
   */
  async function tryWriting(record: Name, zone: Name, signal: AbortSignal): Promise<Finding[]> {
    const nothing = deleteRecord(markerName(record), typeTxt, encodeText(`never ${never()}`));
    const update = encodeUpdate(randomInt(65_536), zone, [], [nothing]);
    const signed = sign(update, key, Date.now());
    const sent = await exchangeTcp(server, [signed.bytes], { timeoutMs, signal });
    const verdict = verdictOf(sent.replies[0] ?? null, sent.failure, signed, zone);
    if (!verdict.applied && verdict.fault.kind === 'auth-suspect') {
      return [bad('credentials', verdict.fault.detail, verdict.fault.cure ?? null)];
    }
    const known = good('credentials', `${place} knows the TSIG key ${key.name}`);
    const written = fromProbe(zone, verdict.applied ? null : verdict.fault);
    return verdict.applied ? [known, written] : [written];
  }

  return {
    name: account,
    capabilities,
    read: readAllOf,
    write,
    async zone(name, outer) {
      const read = await readZone(name, AbortSignal.any([outer, closing.signal]));
      return read.ok ? { ok: true, value: read.value.facts } : read;
    },
    preflight: (record, outer) => preflight(record, AbortSignal.any([outer, closing.signal])),
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

const done: Result<null> = { ok: true, value: null };

function failed(kind: FaultKind, detail: string, cure?: string): { ok: false; fault: Fault } {
  return { ok: false, fault: cure === undefined ? { kind, detail } : { kind, detail, cure } };
}

function refuse(kind: FaultKind, detail: string, cure?: string): Verdict {
  return { applied: false, fault: failed(kind, detail, cure).fault };
}

function isOpen(verdict: Verdict): boolean {
  return verdict.applied || verdict.fault.kind === 'conflict';
}

function cureOf(failure: Failure): string | undefined {
  if (failure.kind === 'refused') return 'let the server listen on TCP, and check its port';
  if (failure.kind === 'timeout') return 'check the way to the server on TCP, and its firewall';
  return undefined;
}

// ---------------------------------------------------------------- reading

function pickConfigured(name: Name, zone: Name): Result<Name> {
  if (isWithin(name, zone)) return { ok: true, value: zone };
  return failed('rejected', `${name} is not within the configured zone ${zone}`, 'correct `zone`');
}

function pickServed(name: Name, replies: ReadonlyMap<Name, Message>, place: string): Result<Name> {
  for (const zone of ancestors(name)) {
    const reply = replies.get(zone);
    // A nearer zone that cannot be loaded would make a further one look like the right one.
    if (reply?.rcode === 'SERVFAIL') return failed('unavailable', `${place}: SERVFAIL for ${zone}`);
    const apex = reply?.answers.some((r) => r.type === 'SOA' && r.name === zone);
    if (apex && reply?.authoritative) return { ok: true, value: zone };
  }
  return failed(
    'rejected',
    `${place} is authoritative for no zone that holds ${name}`,
    'name the primary server of its zone as `server`',
  );
}

function readFault(message: Message, place: string): Fault | null {
  const asked = message.questions[0]?.name ?? 'a name';
  const { rcode } = message;
  if (rcode === 'SERVFAIL') {
    return failed('unavailable', `${place} failed for ${asked} (SERVFAIL)`).fault;
  }
  if (rcode === 'REFUSED') {
    const cure = 'serve the zone there, and let this machine query it (allow-query)';
    return failed('auth-suspect', `${place} refuses to answer for ${asked}`, cure).fault;
  }
  if (rcode !== 'NOERROR' && rcode !== 'NXDOMAIN') {
    return failed('rejected', `${place} answers ${rcode} for ${asked}`).fault;
  }
  if (message.authoritative || isReferral(message)) return null;
  const cure = 'name the primary server of the zone as `server`';
  return failed('rejected', `${place} is not authoritative for ${asked}`, cure).fault;
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
  forRecord: Message,
  forMarker: Message,
  others: readonly string[],
): Seen {
  const cnames = forRecord.answers.flatMap((r) =>
    r.type === 'CNAME' && r.name === name ? [{ value: r.target, ttl: r.ttl }] : [],
  );
  const texts = forMarker.answers.flatMap((r) =>
    r.type === 'TXT' && r.name === markerName(name) ? [r.strings] : [],
  );
  return {
    cnames,
    markers: texts.map(joinText),
    refusal: whyNot(name, zone, forRecord, forMarker, others),
    ref: { texts: texts.map((strings) => encodeStrings(strings).toString('base64')) },
  };
}

/** What forbids a CNAME that Detour may change. */
function whyNot(
  name: Name,
  zone: Name,
  forRecord: Message,
  forMarker: Message,
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

function toFacts(zone: Name, soa: Message, ns: Message, place: string): Result<ZoneRead> {
  const start = soa.answers.find((r) => r.type === 'SOA' && r.name === zone);
  const nameServers = ns.answers.flatMap((r) =>
    r.type === 'NS' && r.name === zone ? r.target : [],
  );
  if (start?.type !== 'SOA' || nameServers.length === 0) {
    return failed('rejected', `${place} holds no zone ${zone}`, 'correct `zone` or `server`');
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
  const updates: UpdateRecord[] = [];
  const [cname, second] = from.cnames;
  if (second || cname?.value !== to.cname || cname.ttl !== to.ttl) {
    if (cname) updates.push(deleteSet(name, typeCname));
    updates.push(addRecord(name, typeCname, to.ttl, encodeName(to.cname)));
  }
  if (from.markers.length !== 1 || from.markers[0] !== to.marker) {
    if (texts.length > 0) updates.push(deleteSet(marker, typeTxt));
    updates.push(addRecord(marker, typeTxt, to.ttl, encodeText(to.marker)));
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
function judge(
  reply: Buffer,
  request: SignedMessage,
  key: TsigKey,
  zone: Name,
  place: string,
): Verdict {
  const signature = checkReply(reply, request, key);
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

/** Whether what was taken with NOERROR stands there; servers ignore some updates in silence. */
function compare(change: Change, seen: Seen, place: string): Result<null> {
  const { name, from, to } = change;
  const [cname, ...more] = seen.cnames;
  const cnameRight = cname?.value === to.cname && more.length === 0;
  const markerRight = seen.markers.length === 1 && seen.markers[0] === to.marker;
  if (cnameRight && markerRight && cname?.ttl === to.ttl) return done;
  const stands = cname?.value ?? 'no CNAME';
  if (cnameRight && markerRight) {
    const detail = `${place} gives ${name} a TTL of ${cname?.ttl} s instead of ${to.ttl} s`;
    return failed('rejected', detail, 'allow that TTL at the server, or configure another');
  }
  const ignored =
    (!cnameRight && cname?.value === from.cnames[0]?.value) ||
    (!markerRight && sameTexts(seen.markers, from.markers));
  if (ignored) {
    const what = cnameRight ? `the marker at ${markerName(name)}` : `${name} CNAME ${to.cname}`;
    return failed(
      'rejected',
      `${place} took the update with NOERROR and ignored ${what}: there stands ${stands}`,
      seen.refusal?.sentence ?? 'look in the log of the server for why the update was left out',
    );
  }
  return failed('conflict', `${name} was changed by somebody else meanwhile: there is ${stands}`);
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
