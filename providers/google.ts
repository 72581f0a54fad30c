// Google Cloud DNS over its REST API v1. A record's CNAME and marker change in one change whose
// deletions are exactly what was read, TTL and all, so a stale writer is refused by the vendor
// itself; its `done` only says that the servers were told, so what is served is never taken from it.
// It must never send a change twice, never use the methods that write one set without comparing,
// and never touch what a routing policy gives.

import type { Agent } from 'node:http';
import { z } from 'zod';
import { formatMarker, markerName } from '../src/core/marker.ts';
import type { Change, FaultKind, Json, Name, Refusal, Seen } from '../src/core/model.ts';
import { unrooted } from '../src/core/name.ts';
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
import { dnsName } from '../src/kit/schema.ts';
import { agentFor, tunnelsOf } from './kit/agents.ts';
import { sendHalving } from './kit/batch.ts';
import { shellWord } from './kit/by-hand.ts';
import { ByZone, oneByOne } from './kit/by-zone.ts';
import { endpoint } from './kit/endpoint.ts';
import {
  type Called,
  done,
  exchange,
  failed,
  fieldsOf,
  garbled,
  parseRetryAfter,
  type Scope,
  scrub,
  statusTrouble,
  type Trouble,
} from './kit/fault.ts';
import { googleCredentials, googleKeys } from './kit/google-keys.ts';
import type { Keys } from './kit/held.ts';
import { askJson, Refused } from './kit/json-http.ts';
import { Listing } from './kit/listing.ts';
import {
  fromProbe,
  fromTrouble,
  good,
  lookAtRecord,
  mayTry,
  negativeTtl,
  never,
  ofZone,
  ttlFloor,
  warn,
  zoneRead,
} from './kit/preflight.ts';
import { proxy, refuseClearProxy } from './kit/proxy.ts';
import type { Room, Told } from './kit/room.ts';
import {
  Between,
  delegatedAt,
  nameFrom,
  namesBetween,
  quoteText,
  textMax,
  unquoteText,
  type ZoneFinder,
  zoneFinder,
} from './kit/zone.ts';

/** Limits of one change ("Quotas and limits", Cloud DNS, 2026): sets either way, bytes of values. */
const setsMax = 1000;
const valuesMax = 100_000;

/**
 * Reading one name costs two calls (record and marker), listing one for each page of the zone, whose
 * length the server decides. So more names than two are read by listing, as long as that takes no
 * more than a call a name; a larger zone is read by name.
 */
const listAboveNames = 2;
const listPage = 1000;
const listPagesMax = 40;
/** Names read one by one in one reading; what is left out is asked for again. */
const byNameMax = 32;
const callsPerName = 2;
/** Names that are under way at the same time. */
const namesAtOnce = 4;
/** Zones of one name, in one project, that are looked through. */
const zonePagesMax = 4;

const capabilities: Capabilities = {
  type: 'google',
  title: 'Google Cloud DNS',
  fence: {
    kind: 'transaction',
    note:
      'one change deletes exactly what was read, TTL and values, and is made whole or not at all, ' +
      'so a stale one is refused',
  },
  atomic: true,
  // One listing serves as many names as there are, and one writing fills change after change.
  readMax: 5000,
  writeMax: 1000,
  callsMax: 90,
  // The vendor's limit is one of requests a minute and project that stands only in the project's own
  // console ("Quotas and limits", Cloud DNS, 2026). This is 100 + 5/s × 60 s = 400 at the very most.
  quota: { burst: 100, perSecond: 5, reserve: 30 },
  queryPrice: { usdPerMillion: 0.4, source: 'cloud.google.com/dns/pricing, 2026-09' },
  permissions: [
    { permission: 'dns.managedZones.list', note: 'of the project; not needed with `zoneId`' },
    { permission: 'dns.managedZones.get', note: null },
    { permission: 'dns.resourceRecordSets.list', note: null },
    { permission: 'dns.changes.create', note: null },
    { permission: 'dns.resourceRecordSets.create', note: null },
    { permission: 'dns.resourceRecordSets.update', note: null },
    { permission: 'dns.resourceRecordSets.delete', note: 'old and new are one change' },
  ],
  refuses: [
    { word: 'weighted', note: 'a set that a routing policy gives' },
    { word: 'other-type', note: null },
    { word: 'apex', note: null },
    { word: 'delegated', note: 'a name below NS records of a name between it and its zone' },
  ],
};

const settings = z
  .strictObject({
    project: z
      .string()
      .regex(/^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$/, 'expected the id of a project')
      .describe('id of the project that holds the zone'),
    credentials: googleCredentials,
    zone: dnsName.optional().describe('zone; found out when left out'),
    zoneId: z
      .string()
      .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'expected the name or number of a managed zone')
      .optional()
      .describe('managed zone, by resource name or number; for public zones of the same name'),
    endpoint: endpoint.default('https://dns.googleapis.com'),
    proxy: proxy.optional(),
  })
  .superRefine(refuseClearProxy)
  .describe('a project at Google Cloud DNS');

type GoogleSettings = z.output<typeof settings>;

/** By the console, or by gcloud (`dns record-sets update`, one change). */
function byHand(settings: GoogleSettings, { record, cname, ttl }: ByHand): readonly HandStep[] {
  const { project, zone, zoneId } = settings;
  const of = zone === undefined ? '' : ` --filter=${shellWord(`dnsName=${zone}`)}`;
  const found =
    zoneId === undefined
      ? [
          {
            text: 'Look up the resource name of the managed zone: ZONE below.',
            shell: `gcloud dns managed-zones list --project=${shellWord(project)}${of}`,
          },
        ]
      : [];
  const at = `--zone=${zoneId === undefined ? 'ZONE' : shellWord(zoneId)} --project=${project}`;
  return [
    {
      text:
        'In the console, https://console.cloud.google.com/net-services/dns/zones: open the zone, ' +
        `choose the CNAME ${unrooted(record)}, Edit, set the canonical name ${cname}, save.`,
    },
    ...found,
    {
      text: 'Or by gcloud, with keys that it has. It is made whole or not at all.',
      shell:
        `gcloud dns record-sets update ${shellWord(record)} --type=CNAME --ttl=${ttl} \\\n` +
        `  --rrdatas=${shellWord(cname)} ${at}`,
    },
    {
      text: 'Its status `done` says that the servers were told: ask each of them (dig) for what it gives.',
      shell: `gcloud dns record-sets changes list --limit=3 --sort-order=descending ${at}`,
    },
  ];
}

export const google: ProviderType<GoogleSettings> = {
  type: 'google',
  cloud: 'google',
  capabilities,
  settings,
  byHand,
  create,
};

// ---------------------------------------------------------------- what the vendor says, checked

const rrset = z.object({
  name: z.string().min(1),
  type: z.string().min(1),
  ttl: z.number().int().optional(),
  rrdatas: z.array(z.string()).default([]),
  routingPolicy: z.unknown().optional(),
});
type Rrset = z.output<typeof rrset>;

const next = { nextPageToken: z.string().min(1).optional() };
// A list of nothing may leave the list out: its kind shows that it is one.
const rrsetPage = z.object({
  kind: z.literal('dns#resourceRecordSetsListResponse'),
  rrsets: z.array(rrset).default([]),
  ...next,
});

const managedZone = z.object({
  id: z.string().regex(/^\d+$/),
  name: z.string().min(1),
  dnsName: z.string().min(1),
  visibility: z.string().optional(),
  forwardingConfig: z.unknown().optional(),
  peeringConfig: z.unknown().optional(),
  reverseLookupConfig: z.unknown().optional(),
  serviceDirectoryConfig: z.unknown().optional(),
  // Only for the facts of a zone: nothing in them may spoil finding one.
  nameServers: z.array(z.string().min(1)).min(1).optional().catch(undefined),
  dnssecConfig: z.object({ state: z.string().optional() }).optional().catch(undefined),
});
type ManagedZone = z.output<typeof managedZone>;

const zonePage = z.object({
  kind: z.literal('dns#managedZonesListResponse'),
  managedZones: z.array(managedZone).default([]),
  ...next,
});

const changed = z.object({
  kind: z.literal('dns#change'),
  id: z.string().min(1),
  status: z.enum(['pending', 'done']),
  additions: z.array(z.unknown()).default([]),
});

/** A set to delete: its name, TTL and values exactly as the vendor wrote them. */
const exactSet = z.object({ name: z.string(), ttl: z.number(), rrdatas: z.array(z.string()) });
type ExactSet = z.output<typeof exactSet>;

/** What `Seen.ref` holds. */
const exactRef = z.object({
  zone: z.object({ id: z.string(), name: z.string() }),
  cname: exactSet.nullable(),
  marker: exactSet.nullable(),
});

interface Zone {
  readonly id: string;
  readonly name: Name;
}

interface FoundZone extends Zone {
  readonly listing: Listing;
}

// ---------------------------------------------------------------- the account

interface Account {
  /** Of its managed zones. */
  readonly base: string;
  readonly keys: Keys<string>;
  readonly agent: Agent;
  readonly timeoutMs: number;
  /** Requests sent to Cloud DNS so far. */
  calls: number;
}

function create(name: string, chosen: GoogleSettings, context: AdapterContext): Provider {
  const account = openAccount(chosen, context);
  const zones = zoneFinder<FoundZone>({
    zone: chosen.zone ?? null,
    byId: chosen.zoneId
      ? async (signal) => {
          const found = await getZone(account, chosen.zoneId!, signal);
          return found.ok ? usable(found.value) : found;
        }
      : null,
    byName: (zone, signal) => zoneByName(account, zone, signal),
    delegates: async (zone, cut, signal) => {
      const at = await setsAt(account, zone, cut, signal, 'NS');
      return at.ok ? done(at.value.length > 0) : at;
    },
  });
  const { callsMax } = capabilities;
  const byZone = new ByZone({ zones, callsMax, callTimeoutMs: account.timeoutMs });
  const read: Provider['read'] = (names, signal) =>
    byZone.read(names, signal, (zone, some, room, stop) =>
      readZone(account, zone, some, room, stop),
    );
  return {
    name,
    capabilities,
    get calls() {
      return account.calls;
    },
    zone: (record, signal) => zoneFacts(account, zones, record, signal),
    read,
    write: (changes, signal) =>
      byZone.write(changes, signal, {
        prepare,
        zoneOf: async ({ zone }) => done(zone),
        writeZone: (zone, some, room, stop) => writeZone(account, zone, some, room, stop),
      }),
    preflight: (record, signal) => preflight(account, zones, read, record, signal),
    key: () => account.keys.facts(),
    close() {
      account.keys.close();
      account.agent.destroy();
    },
  };
}

function openAccount(chosen: GoogleSettings, context: AdapterContext): Account {
  const tunnels = tunnelsOf(chosen.proxy, context);
  // An idle connection is let go soon: a reused one that the vendor has just closed would make a
  // write uncertain for nothing.
  const idle = { keepAlive: true, maxSockets: 8, maxFreeSockets: 4, timeout: 3000 };
  return {
    base: `${chosen.endpoint}/dns/v1/projects/${encodeURIComponent(chosen.project)}/managedZones`,
    keys: googleKeys(chosen.credentials, { context, tunnels }),
    agent: agentFor(chosen.endpoint, idle, context, tunnels),
    timeoutMs: context.callTimeoutMs,
    calls: 0,
  };
}

// ---------------------------------------------------------------- one call

/** Most bytes of one answer: 1000 sets are about 500 KB. */
const answerMax = 8 << 20;

interface Asking<T> {
  readonly doing: string;
  /** Below the managed zones: `/ID/rrsets?name=…`. */
  readonly path: string;
  readonly shape: z.ZodType<T>;
  readonly signal: AbortSignal;
  /** What is posted; absent: it is a GET. */
  readonly change?: object;
}

/** One call, its answer checked against what it must look like. */
async function call<T>(account: Account, asking: Asking<T>): Promise<Called<T>> {
  const { doing, path, shape, signal, change } = asking;
  const write = change !== undefined;
  const bearer = await account.keys.get(signal);
  if (!bearer.ok) return bearer;
  const explain = (error: unknown): Trouble | null =>
    error instanceof Refused ? refusalTrouble(error, { doing, write }, account.keys) : null;
  const exchanging = { doing, write, signal, timeoutMs: account.timeoutMs, explain };
  const answer = await exchange(exchanging, (stop) => {
    account.calls++;
    const { agent } = account;
    const how = { agent, signal: stop, answerMax, bearer: bearer.value, post: change };
    return askJson(account.base + path, how);
  });
  if (!answer.ok) return answer;
  const checked = shape.safeParse(answer.value);
  return checked.success
    ? done(checked.data)
    : garbled(doing, write, 'success was answered, but without what it must say');
}

/** What a reason of the vendor's means: how bad, how far, and what would cure it. */
interface Row {
  readonly kind: FaultKind;
  readonly scope: Scope;
  readonly cure?: string;
  readonly stale?: true;
  /** Of a write, or of a reading, alone: the other is judged by its status. */
  readonly of?: 'write' | 'read';
}

/**
 * The vendor's reasons. A change that comes too late meets one of three: what it deletes is another
 * one by now, is gone, or what it adds is there. An API that is off and a bill that was not paid are
 * the whole project's; a role is given for a project or for one zone.
 */
const reasons: readonly (readonly [reason: string, row: Row])[] = [
  ['conditionNotMet', { kind: 'conflict', scope: 'record', of: 'write' }],
  ['preconditionFailed', { kind: 'conflict', scope: 'record', of: 'write' }],
  ['alreadyExists', { kind: 'conflict', scope: 'record', of: 'write' }],
  // A write of a zone that was read: of what it deletes, or of the zone, as the next reading tells.
  ['notFound', { kind: 'conflict', scope: 'record', of: 'write' }],
  [
    'notFound',
    {
      ...{ kind: 'rejected', scope: 'zone', stale: true },
      cure: 'the zone was deleted or is another project’s: check project, zone and zoneId',
    },
  ],
  [
    'cnameResourceRecordSetConflict',
    {
      ...{ kind: 'conflict', scope: 'record', of: 'write' },
      cure: 'read again; a record of another type stands at the name or at its marker',
    },
  ],
  [
    'accessNotConfigured',
    { kind: 'auth-suspect', scope: 'account', cure: 'enable the Cloud DNS API in the project' },
  ],
  [
    'inactiveBillingState',
    { kind: 'auth-suspect', scope: 'account', cure: 'enable billing for the project' },
  ],
  ['rateLimitExceeded', { kind: 'throttled', scope: 'account' }],
  ['userRateLimitExceeded', { kind: 'throttled', scope: 'account' }],
  // Of a change it may be a size: its own, or the zone's.
  ['quotaExceeded', { kind: 'throttled', scope: 'account', of: 'read' }],
  [
    'quotaExceeded',
    {
      ...{ kind: 'rejected', scope: 'record', of: 'write' },
      cure: 'raise the quota of the project, or remove record sets from the zone',
    },
  ],
];

/** The vendor's refusal by its reason and status, never by its message. */
function refusalTrouble(
  { status, body, retryAfter }: Refused,
  { doing, write }: { readonly doing: string; readonly write: boolean },
  keys: Keys<string>,
): Trouble {
  const { errors, message } = fieldsOf(fieldsOf(body)['error']);
  const first = fieldsOf(Array.isArray(errors) ? errors[0] : null);
  const reason = scrub(first['reason'], keys.secrets()).replaceAll(/[^\w.-]/g, '');
  const retryAfterMs = parseRetryAfter(retryAfter, Date.now());
  const plain = statusTrouble(status, { doing, write }, reason, retryAfterMs);
  if (status === 401) {
    keys.refused();
    const isSigned = keys.facts().kind === 'service-account';
    const or = isSigned
      ? '; where no token is taken that a key has signed, set exchange: true'
      : '';
    const cure = `check the key and this machine’s clock${or}`;
    return failed('account', 'auth-suspect', plain.fault.detail, { cure });
  }
  if (status >= 500 || status === 429) return plain;
  const said = scrub(message, keys.secrets());
  const detail = `${plain.fault.detail}${said && `: ${said}`}`;
  const as = write ? 'write' : 'read';
  const row = reasons.find(([word, { of }]) => word === reason && (of ?? as) === as)?.[1];
  if (row !== undefined) {
    const { kind, scope, of: _, ...more } = row;
    return failed(scope, kind, detail, { ...more, retryAfterMs });
  }
  if (plain.fault.kind !== 'rejected' || reason === '') return plain;
  // One of many changes may be to blame.
  return failed(write ? 'record' : 'zone', 'rejected', detail);
}

// ---------------------------------------------------------------- zones

function getZone(account: Account, id: string, signal: AbortSignal): Promise<Called<ManagedZone>> {
  const path = `/${encodeURIComponent(id)}`;
  return call(account, { doing: `managedZones.get of ${id}`, path, shape: managedZone, signal });
}

async function zoneByName(
  account: Account,
  zone: Name,
  signal: AbortSignal,
): Promise<Called<FoundZone | null>> {
  const doing = `managedZones.list of ${zone}`;
  const open: ManagedZone[] = [];
  let token: string | undefined;
  for (let pages = 0; pages < zonePagesMax; pages++) {
    const path = query({ dnsName: zone, pageToken: token });
    const page = await call(account, { doing, path, shape: zonePage, signal });
    if (!page.ok) return page;
    const same = page.value.managedZones.filter((found) => nameFrom(found.dnsName) === zone);
    open.push(...same.filter(isPublic));
    token = page.value.nextPageToken;
    if (token === undefined) break;
  }
  if (token !== undefined) return garbled(doing, false, 'its pages do not lead to an end');
  if (open.length > 1) {
    return failed('zone', 'rejected', `${open.length} public managed zones are named ${zone}`, {
      cure: 'set zoneId to the one that the parent zone delegates to',
      zone,
    });
  }
  const found = open[0];
  return found === undefined ? done(null) : usable(found);
}

function isPublic({ visibility }: ManagedZone): boolean {
  return visibility === undefined || visibility === 'public';
}

function usable(found: ManagedZone): Called<FoundZone> {
  const name = nameFrom(found.dnsName);
  const { forwardingConfig, peeringConfig, reverseLookupConfig, serviceDirectoryConfig } = found;
  if (!isPublic(found)) {
    return failed('zone', 'rejected', `managed zone ${found.name} (${name}) is private`, {
      cure: 'use the public managed zone: only its answers reach the clients',
      zone: name,
    });
  }
  if (forwardingConfig ?? peeringConfig ?? reverseLookupConfig ?? serviceDirectoryConfig) {
    const detail = `managed zone ${found.name} (${name}) has no records of its own to give`;
    const cure = 'use a plain public zone: no forwarding, peering, reverse lookup or directory';
    return failed('zone', 'rejected', detail, { cure, zone: name });
  }
  return done({ id: found.id, name, listing: new Listing() });
}

/** The zone of a record as it is today, and what else is said of it. */
async function lookAtZone(
  account: Account,
  zones: ZoneFinder<FoundZone>,
  record: Name,
  signal: AbortSignal,
): Promise<Called<{ readonly zone: Zone; readonly detail: ManagedZone }>> {
  const known = await zones.find(record, signal);
  if (!known.ok) return known;
  const { name, id } = known.value;
  const detail = await getZone(account, id, signal);
  if (!detail.ok && detail.stale) zones.forget(name);
  if (!detail.ok) return { zone: name, ...detail };
  const checked = usable(detail.value);
  if (!checked.ok) zones.forget(name);
  return checked.ok ? done({ zone: checked.value, detail: detail.value }) : checked;
}

async function zoneFacts(
  account: Account,
  zones: ZoneFinder<FoundZone>,
  record: Name,
  signal: AbortSignal,
): Promise<Called<ZoneFacts>> {
  const found = await lookAtZone(account, zones, record, signal);
  if (!found.ok) return found;
  const { zone, detail } = found.value;
  if (detail.nameServers === undefined) {
    return garbled(`managedZones.get of ${zone.id}`, false, 'no name servers were given');
  }
  const warnings = detail.dnssecConfig?.state === 'transfer' ? [`${inTransfer(zone)}.`] : [];
  const nameServers = detail.nameServers.map(nameFrom);
  return done({ zone: zone.name, nameServers, ttlMin: null, warnings });
}

function inTransfer({ name }: Zone): string {
  return (
    `the DNSSEC of ${name} is in the state of a transfer, so that other servers may give it as ` +
    'well, which a change here does not reach'
  );
}

// ---------------------------------------------------------------- looking before it is needed

async function preflight(
  account: Account,
  zones: ZoneFinder<FoundZone>,
  read: Provider['read'],
  record: Name,
  signal: AbortSignal,
): Promise<readonly ReachingFinding[]> {
  const found = await lookAtZone(account, zones, record, signal);
  if (!found.ok) return [fromTrouble('zone', null, found)];
  const { zone, detail } = found.value;
  const isMoving = detail.dnssecConfig?.state === 'transfer';
  const findings = [
    zoneRead(zone.name),
    isMoving
      ? warn(ofZone(zone.name), 'zone', inTransfer(zone), 'finish the transfer, or turn it back')
      : good(ofZone(zone.name), 'zone', `${zone.name} is a public managed zone of the project`),
    ttlFloor(zone.name, null),
    ...(await lookAtSoa(account, zone, signal)),
    ...(await lookAtRecord({ read }, record, signal)),
  ];
  if (!mayTry(findings)) return findings;
  return [...findings, await tryWriting(account, zone, record, signal)];
}

async function lookAtSoa(
  account: Account,
  zone: Zone,
  signal: AbortSignal,
): Promise<readonly ReachingFinding[]> {
  const sets = await setsAt(account, zone, zone.name, signal, 'SOA');
  if (!sets.ok) return [fromTrouble('negative-ttl', zone.name, sets)];
  const [soa] = sets.value;
  const minimum = Number(soa?.rrdatas[0]?.split(/\s+/)[6] ?? Number.NaN);
  if (soa?.ttl === undefined || !Number.isSafeInteger(minimum)) return [];
  return [negativeTtl(zone.name, Math.min(soa.ttl, minimum))];
}

/**
 * Replaces at the marker a text that was never written: the vendor looks at the keys first, by what
 * the change does, and refuses it whole because what it deletes does not match.
 */
async function tryWriting(
  account: Account,
  zone: Zone,
  record: Name,
  signal: AbortSignal,
): Promise<ReachingFinding> {
  const nothing = () => {
    return setOf('TXT', { name: markerName(record), ttl: 60, rrdatas: [`"never ${never()}"`] });
  };
  const doing = `changes.create of nothing in ${zone.name}`;
  const body = { deletions: [nothing()], additions: [nothing()] };
  const result = await sendChange(account, zone, doing, body, signal);
  return fromProbe(zone.name, result.ok ? null : result);
}

// ---------------------------------------------------------------- reading

/** Sets by the name that they stand at. */
type Sets = ReadonlyMap<Name, readonly Rrset[]>;

async function readZone(
  account: Account,
  zone: FoundZone,
  names: readonly Name[],
  room: Room,
  signal: AbortSignal,
): Promise<readonly Told<Seen>[]> {
  if (names.length > listAboveNames) {
    const pagesMax = Math.min(listPagesMax, names.length);
    const all = await listZone(account, zone, pagesMax, room, signal);
    if (!all.ok) return names.map(() => all);
    const sets = all.value;
    if (sets !== null) return names.map((name) => done(seenOf(zone, name, sets)));
  }
  const between = new Between(zone.name, (name) => setsAt(account, zone, name, signal, 'NS'));
  return oneByOne(names, {
    atOnce: namesAtOnce,
    atMost: byNameMax,
    room,
    callsEach: (name) => callsPerName + between.missing(name),
    work: async (name) => {
      const [above, at, atMarker] = await Promise.all([
        between.above(name),
        setsAt(account, zone, name, signal),
        setsAt(account, zone, markerName(name), signal),
      ]);
      if (!above.ok) return above;
      if (!at.ok) return at;
      if (!atMarker.ok) return atMarker;
      const own = [[name, at.value] as const, [markerName(name), atMarker.value] as const];
      return done(seenOf(zone, name, new Map([...above.value, ...own])));
    },
  });
}

/** The whole zone by name; null when it is too large to be worth it. */
async function listZone(
  account: Account,
  zone: FoundZone,
  pagesMax: number,
  room: Room,
  signal: AbortSignal,
): Promise<Called<Sets | null>> {
  const sets = new Map<Name, Rrset[]>();
  const doing = `rrsets.list of ${zone.name}`;
  let token: string | undefined;
  const turn = zone.listing.begin(pagesMax, room);
  while (turn?.next()) {
    const path = `/${zone.id}/rrsets${query({ maxResults: String(listPage), pageToken: token })}`;
    const page = await call(account, { doing, path, shape: rrsetPage, signal });
    if (!page.ok) return page;
    for (const set of page.value.rrsets) {
      const name = nameFrom(set.name);
      const same = sets.get(name);
      if (same) same.push(set);
      else sets.set(name, [set]);
    }
    const following = page.value.nextPageToken;
    if (following === undefined) {
      turn.ended();
      return done(sets);
    }
    // A list that does not move on would never end, and what it left out would seem not to exist.
    if (following === token) return garbled(doing, false, 'its pages do not lead to an end');
    token = following;
  }
  return done(null);
}

/** What stands at exactly this name. */
async function setsAt(
  account: Account,
  zone: Zone,
  name: Name,
  signal: AbortSignal,
  type?: 'NS' | 'SOA',
): Promise<Called<readonly Rrset[]>> {
  const doing = `rrsets.list of ${name}`;
  const path = `/${zone.id}/rrsets${query({ name, type })}`;
  const page = await call(account, { doing, path, shape: rrsetPage, signal });
  if (!page.ok) return page;
  // Twenty types or so stand at one name at most.
  if (page.value.nextPageToken !== undefined) {
    return garbled(doing, false, 'one name has more than a page');
  }
  return done(page.value.rrsets.filter((set) => nameFrom(set.name) === name));
}

function query(parts: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(parts).filter(([, value]) => value !== undefined);
  return `?${new URLSearchParams(given as [string, string][])}`;
}

function seenOf(zone: Zone, name: Name, sets: Sets): Seen {
  const at = sets.get(name) ?? [];
  const atMarker = sets.get(markerName(name)) ?? [];
  const cnames = at.filter((set) => set.type === 'CNAME');
  const texts = atMarker.filter((set) => set.type === 'TXT');
  const apex: Refusal | null =
    name === zone.name
      ? { word: 'apex', sentence: `${name} is the zone itself, where no CNAME may stand` }
      : null;
  const isCut = (above: Name) => sets.get(above)?.some((set) => set.type === 'NS');
  const cut = namesBetween(zone.name, name).find(isCut);
  const below = cut === undefined ? null : delegatedAt(cut, name);
  const ref: z.output<typeof exactRef> = {
    zone: { id: zone.id, name: zone.name },
    cname: exactOf(cnames),
    marker: exactOf(texts),
  };
  return {
    cnames: cnames.flatMap((set) =>
      set.rrdatas.map((value) => ({ value: nameFrom(value), ttl: set.ttl ?? 0 })),
    ),
    markers: texts.flatMap((set) => set.rrdatas.map((value) => unquoteText(value, 10))),
    refusal: apex ?? below ?? refusalOf(at, 'CNAME') ?? refusalOf(atMarker, 'TXT'),
    ref: ref as Json,
  };
}

function exactOf(sets: readonly Rrset[]): ExactSet | null {
  const [set] = sets;
  if (set?.ttl === undefined || sets.length > 1 || set.rrdatas.length === 0) return null;
  return { name: set.name, ttl: set.ttl, rrdatas: set.rrdatas };
}

/** Why these sets may not be written over, where only a plain one of one type may stand. */
function refusalOf(sets: readonly Rrset[], type: 'CNAME' | 'TXT'): Refusal | null {
  for (const set of sets) {
    const what = `${scrub(set.type, [])} at ${nameFrom(set.name)}`;
    if (set.routingPolicy !== undefined && set.routingPolicy !== null) {
      const sentence = `the ${what} is given by a routing policy: make it one plain ${type}`;
      return { word: 'weighted', sentence };
    }
    if (set.type !== type) {
      const sentence = `a ${what} stands in the way of the ${type}: remove it`;
      return { word: 'other-type', sentence };
    }
  }
  return null;
}

// ---------------------------------------------------------------- writing

interface Prepared {
  readonly zone: Zone;
  readonly name: Name;
  readonly deletions: readonly object[];
  readonly additions: readonly object[];
  /** Of all values, deleted and added. */
  readonly bytes: number;
}

/** One change at a time: those of one zone that meet get in each other's way. */
function writeZone(
  account: Account,
  zone: Zone,
  items: readonly Prepared[],
  room: Room,
  signal: AbortSignal,
): Promise<readonly Told<null>[]> {
  return sendHalving(items, {
    room,
    fitting,
    send: (some) => {
      const what = some.length === 1 ? some[0]!.name : `${some.length} records`;
      const body = {
        deletions: some.flatMap((item) => item.deletions),
        additions: some.flatMap((item) => item.additions),
      };
      return sendChange(account, zone, `changes.create of ${what}`, body, signal);
    },
  });
}

function prepare(change: Change): Called<Prepared> {
  const { name, from, to } = change;
  const ref = exactRef.safeParse(from.ref);
  if (!ref.success) {
    return failed('record', 'conflict', `${name} was not read through this account`, {
      cure: 'read again',
    });
  }
  if (from.refusal !== null) return failed('record', 'rejected', from.refusal.sentence);
  const { zone, cname, marker } = ref.data;
  if ((from.cnames.length > 0 && cname === null) || (from.markers.length > 0 && marker === null)) {
    return failed('record', 'rejected', `what stands at ${name} cannot be replaced exactly`, {
      cure: 'leave one plain CNAME and one plain TXT there',
    });
  }
  const text = quoteText(formatMarker(to.marker), 10);
  if (text === null) {
    return failed('record', 'rejected', `the marker of ${name} is longer than ${textMax} bytes`);
  }
  const stands = from.cnames[0];
  const rewrite = stands?.value !== to.cname || stands.ttl !== to.ttl;
  const sign: ExactSet = { name: markerName(name), ttl: to.ttl, rrdatas: [text] };
  const wanted: ExactSet = { name, ttl: to.ttl, rrdatas: [to.cname] };
  const old = [
    ...(rewrite && cname !== null ? [setOf('CNAME', cname)] : []),
    ...(marker !== null ? [setOf('TXT', marker)] : []),
  ];
  const made = [...(rewrite ? [setOf('CNAME', wanted)] : []), setOf('TXT', sign)];
  const values = [...old, ...made].flatMap((set) => set.rrdatas);
  const bytes = values.reduce((sum, value) => sum + Buffer.byteLength(value), 0);
  return done({ zone, name, deletions: old, additions: made, bytes });
}

function setOf(type: 'CNAME' | 'TXT', { name, ttl, rrdatas }: ExactSet) {
  return { name, type, ttl, rrdatas };
}

/** How many of these fit in one change. */
function fitting(items: readonly Prepared[]): number {
  let [deletions, additions, bytes, count] = [0, 0, 0, 0];
  for (const item of items) {
    deletions += item.deletions.length;
    additions += item.additions.length;
    bytes += item.bytes;
    if (deletions > setsMax || additions > setsMax || bytes > valuesMax) break;
    count++;
  }
  return count;
}

/** One transaction: made whole or not at all. */
async function sendChange(
  account: Account,
  zone: Zone,
  doing: string,
  change: { readonly deletions: readonly object[]; readonly additions: readonly object[] },
  signal: AbortSignal,
): Promise<Called<null>> {
  const path = `/${zone.id}/changes`;
  const answer = await call(account, { doing, path, shape: changed, signal, change });
  if (!answer.ok) return answer;
  const isWhole = answer.value.additions.length === change.additions.length;
  return isWhole ? done(null) : garbled(doing, true, 'not all of it was answered as made');
}
