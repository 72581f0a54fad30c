// AWS Route 53 through its own SDK. A record's CNAME and marker change in one batch that deletes
// exactly what was read and creates what is wanted, so a stale writer is refused by the vendor
// itself. It must never take credentials from the SDK's default chain (that would lean on a
// cloud), never let the SDK repeat a write, and never touch what Route 53 routes by weight, alias,
// health check or policy.

import type * as sdk from '@aws-sdk/client-route-53';
import { z } from 'zod';
import { formatMarker, markerName } from '../src/core/marker.ts';
import type { Change, Json, Name, Refusal, Seen } from '../src/core/model.ts';
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
import { awsKeySettings, refuseOtherAwsKeys } from './kit/aws-keys.ts';
import { sendHalving } from './kit/batch.ts';
import { shellWord } from './kit/by-hand.ts';
import { ByZone, oneByOne } from './kit/by-zone.ts';
import { endpoint } from './kit/endpoint.ts';
import { type Called, done, failed, garbled, scrub } from './kit/fault.ts';
import {
  bad,
  fromProbe,
  fromTrouble,
  good,
  lookAtRecord,
  mayTry,
  negativeTtl,
  never,
  ofRecord,
  ofZone,
  ttlFloor,
  warn,
  zoneRead,
} from './kit/preflight.ts';
import { proxy, refuseClearProxy } from './kit/proxy.ts';
import type { Room, Told } from './kit/room.ts';
import {
  type Account,
  call,
  cutAt,
  endless,
  exactOf,
  exactSet,
  type FoundZone,
  following,
  getZone,
  type HostedZone,
  isNs,
  list,
  listPage,
  lookAtZone,
  namePagesMax,
  ofName,
  oneChange,
  openAccount,
  type RecordSet,
  readRun,
  refusalOf,
  type Start,
  sendBatch,
  usable,
  valuesOf,
  type Zone,
  zoneByName,
} from './kit/route53-api.ts';
import { nsHands } from './kit/route53-ns.ts';
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

/**
 * Limits of one ChangeResourceRecordSets ("Quotas on ChangeResourceRecordSets API requests",
 * Route 53 developer guide, DNSLimitations, 2026-11): ResourceRecord elements, and characters of
 * all Value elements together. We use DELETE and CREATE, so nothing counts double as UPSERT does.
 */
const batchElementsMax = 1000;
const batchCharactersMax = 32_000;

/**
 * Reading one name costs one call (the marker sorts right behind it), at worst two; listing costs
 * one call for each 300 record sets of the zone. So more names than a few are read by listing, as
 * long as that takes no more than half a call a name; a larger zone is read by name.
 */
const listAboveNames = 3;
const listPagesMax = 40;

/** Names read one by one in one reading; what is left out is asked for again. */
const byNameMax = 16;

/** Those of the record, and those of its marker. */
const callsPerName = 2 * namePagesMax;

/** Names, or batches of different zones, that are under way at the same time. */
const namesAtOnce = 4;

const capabilities: Capabilities = {
  type: 'route53',
  title: 'AWS Route 53',
  fence: {
    kind: 'transaction',
    note: 'one batch deletes the exact values read, so a stale batch is refused whole',
  },
  atomic: true,
  // One listing serves as many names as there are, and one writing fills batch after batch.
  readMax: 5000,
  writeMax: 1000,
  callsMax: 80,
  // Documented: 50 at once, 10/s refilled, shared with everybody else who uses the account; older
  // pages say 5/s. ("Throttling API requests", Route 53 developer guide, 2026-11.)
  quota: { burst: 50, perSecond: 5, reserve: 15 },
  queryPrice: { usdPerMillion: 0.4, source: 'aws.amazon.com/route53/pricing, 2026-09' },
  permissions: [
    { permission: 'route53:GetHostedZone', note: null },
    { permission: 'route53:ListHostedZonesByName', note: null },
    { permission: 'route53:ListResourceRecordSets', note: null },
    { permission: 'route53:ChangeResourceRecordSets', note: null },
    { permission: 'route53:ListResourceRecordSetProtections', note: 'audit: to see locks' },
  ],
  delegation: {
    apex: true,
    note:
      'one batch deletes the exact NS set and marker that were read; at an apex, where Route 53 ' +
      'lets nobody delete the set, it is replaced under the marker alone',
    permissions: ['the same for the hosted zone of the parent'],
  },
  refuses: [
    { word: 'alias', note: null },
    { word: 'weighted', note: null },
    { word: 'health-check', note: null },
    { word: 'traffic-policy', note: null },
    { word: 'other-type', note: null },
    { word: 'apex', note: null },
    { word: 'delegated', note: 'a name below NS records of a name between it and its zone' },
  ],
};

const settings = z
  .strictObject({
    ...awsKeySettings,
    zone: dnsName.optional().describe('hosted zone; found out when left out'),
    zoneId: z
      .string()
      .regex(/^(\/hostedzone\/)?[A-Z0-9]{1,32}$/i, 'expected a hosted zone id, such as Z0123456789')
      .optional()
      .describe('hosted zone id; needed when several public zones bear the same name'),
    endpoint: endpoint.optional(),
    region: z
      .string()
      .regex(/^[a-z0-9-]{1,40}$/, 'expected a region, such as us-east-1')
      .default('us-east-1')
      .describe('region that requests are signed for'),
    proxy: proxy.optional(),
  })
  .superRefine(refuseClearProxy)
  .superRefine(refuseOtherAwsKeys)
  .describe('an account at AWS Route 53');

type Route53Settings = z.output<typeof settings>;

/** By the console, or by the AWS CLI v2 (`route53 change-resource-record-sets`, one UPSERT). */
function byHand(settings: Route53Settings, { record, cname, ttl }: ByHand): readonly HandStep[] {
  const { zone, zoneId } = settings;
  const set = {
    ...{ Name: record, Type: 'CNAME', TTL: ttl },
    ResourceRecords: [{ Value: cname }],
  };
  const batch = JSON.stringify({ Changes: [{ Action: 'UPSERT', ResourceRecordSet: set }] });
  const of = zone === undefined ? '' : ` --dns-name ${zone}`;
  const found =
    zoneId === undefined
      ? [
          {
            text: 'Look up the id of the hosted zone: ZONE below.',
            shell: `aws route53 list-hosted-zones-by-name${of}`,
          },
        ]
      : [];
  const id = zoneId === undefined ? 'ZONE' : shellWord(zoneId);
  return [
    {
      text:
        `In the console, https://console.aws.amazon.com/route53/v2/hostedzones: open the zone, ` +
        `choose the CNAME ${unrooted(record)}, Edit record, set the value ${cname}, save.`,
    },
    ...found,
    {
      text: 'Or by the AWS CLI, with keys that it has. It is made whole or not at all.',
      shell:
        `aws route53 change-resource-record-sets --hosted-zone-id ${id} \\\n` +
        `  --change-batch ${shellWord(batch)}`,
    },
    {
      text: 'It is served everywhere once its change is INSYNC: CHANGE is the id that was printed.',
      shell: 'aws route53 get-change --id CHANGE',
    },
  ];
}

export const route53: ProviderType<Route53Settings> = {
  type: 'route53',
  cloud: 'aws',
  capabilities,
  settings,
  byHand,
  create,
};

// ---------------------------------------------------------------- the provider

/** What `Seen.ref` holds. */
const exactRef = z.object({
  zone: z.object({ id: z.string(), name: z.string() }),
  cname: exactSet.nullable(),
  marker: exactSet.nullable(),
});

function create(name: string, chosen: Route53Settings, context: AdapterContext): Provider {
  const account = openAccount(chosen, context);
  const zones = zoneFinder<FoundZone>({
    zone: chosen.zone ?? null,
    byId: chosen.zoneId
      ? async (signal) => {
          const found = await getZone(account, chosen.zoneId!, signal);
          return found.ok ? usable(found.value.HostedZone) : found;
        }
      : null,
    byName: (zone, signal) => zoneByName(account, zone, signal),
    delegates: async (zone, cut, signal) => {
      const at = await cutAt(account, zone, cut, signal);
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
    delegation: nsHands(account, zones),
    close: () => account.close(),
  };
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
  const nameServers = detail.DelegationSet?.NameServers.map((host) => host.toLowerCase());
  if (nameServers === undefined) {
    return garbled(`GetHostedZone of ${zone.id}`, false, 'no name servers were given');
  }
  const warnings: string[] = [];
  const recovery = detail.HostedZone.Features?.AcceleratedRecoveryStatus;
  if (recovery?.endsWith('_HOSTED_ZONE_LOCKED')) {
    warnings.push(`${zone.name} is locked by AWS (${recovery}): writes are refused until it ends.`);
  } else if (recovery !== 'ENABLED') {
    warnings.push(
      `Accelerated recovery is not enabled for ${zone.name}: while us-east-1 is down, ` +
        'Route 53 takes no change of it; enable it before you need it.',
    );
  }
  return done({ zone: zone.name, nameServers, ttlMin: null, warnings });
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
  const findings = [
    zoneRead(zone.name),
    good(ofZone(zone.name), 'zone', `${zone.name} is a public hosted zone of this account`),
    recovery(zone.name, detail.HostedZone),
    ttlFloor(zone.name, null),
    ...(await lookAtSoa(account, zone, signal)),
    ...(await lookAtProtections(account, zone, record, signal)),
    ...(await lookAtRecord({ read }, record, signal)),
  ];
  if (!mayTry(findings)) return findings;
  return [...findings, await tryWriting(account, zone, record, signal)];
}

function recovery(zone: Name, { Features }: HostedZone): ReachingFinding {
  const reach = ofZone(zone);
  const word = 'accelerated-recovery';
  const status = Features?.AcceleratedRecoveryStatus;
  if (status === 'ENABLED') return good(reach, word, `accelerated recovery is enabled for ${zone}`);
  if (status?.endsWith('_HOSTED_ZONE_LOCKED')) {
    const locked = `${zone} is locked by AWS (${scrub(status, [])}): writes are refused`;
    return bad(reach, word, locked, 'wait until AWS has finished, and look again');
  }
  return warn(
    reach,
    word,
    `accelerated recovery is not enabled for ${zone}: while us-east-1 is down, Route 53 takes no ` +
      'change of it',
    'enable it now: it cannot be enabled during the outage it is for',
  );
}

async function lookAtSoa(
  account: Account,
  zone: Zone,
  signal: AbortSignal,
): Promise<readonly ReachingFinding[]> {
  const start: Start = { StartRecordName: zone.name, StartRecordType: 'SOA' };
  const page = await list(account, zone, start, 1, signal);
  if (!page.ok) return [fromTrouble('negative-ttl', zone.name, page)];
  const soa = page.value.ResourceRecordSets.find((set) => set.Type === 'SOA');
  const minimum = Number(valuesOf(soa ?? { Name: '', Type: '' })[0]?.split(/\s+/)[6] ?? Number.NaN);
  if (soa?.TTL === undefined || !Number.isSafeInteger(minimum)) return [];
  return [negativeTtl(zone.name, Math.min(soa.TTL, minimum))];
}

const protectionPage = z.object({
  ResourceRecordSetProtections: z.array(
    z.object({ RecordName: z.string(), RecordType: z.string(), Comment: z.string().optional() }),
  ),
});

/** An operator's lock on the record or its marker: every change of it would be refused. */
async function lookAtProtections(
  account: Account,
  zone: Zone,
  record: Name,
  signal: AbortSignal,
): Promise<readonly ReachingFinding[]> {
  const doing = `ListResourceRecordSetProtections of ${zone.name}`;
  const page = await call(
    account,
    { doing, write: false, shape: protectionPage, signal },
    (client, abortSignal) =>
      client.route53.send(
        new client.commands.ListResourceRecordSetProtectionsCommand({
          HostedZoneId: zone.id,
          StartRecordName: record,
          MaxResults: listPage,
        }),
        { abortSignal },
      ),
  );
  if (!page.ok) {
    const unseen = `whether ${record} is protected is not known: ${page.fault.detail}`;
    const isDenied = page.fault.kind === 'auth-suspect';
    const cure = isDenied ? 'grant route53:ListResourceRecordSetProtections' : null;
    return [warn(ofRecord, 'protection', unseen, cure)];
  }
  const names = [record, markerName(record)];
  const locks = page.value.ResourceRecordSetProtections.filter((lock) =>
    names.includes(nameFrom(lock.RecordName)),
  );
  if (locks.length === 0)
    return [good(ofRecord, 'protection', `${record} is not protected from changes`)];
  return locks.map((lock) => {
    const comment = scrub(lock.Comment ?? '', account.keys.secrets());
    const what = `${scrub(lock.RecordType, [])} at ${nameFrom(lock.RecordName)}`;
    const sentence = `an operator protected the ${what} from changes${comment && `: ${comment}`}`;
    return bad(ofRecord, 'protection', sentence, 'let whoever protected it delete the protection');
  });
}

/**
 * Deletes from the marker a text that was never written: the vendor looks at the keys first, and
 * refuses the batch because it does not match. At that name, because a policy may allow no other.
 */
async function tryWriting(
  account: Account,
  zone: Zone,
  record: Name,
  signal: AbortSignal,
): Promise<ReachingFinding> {
  const nothing = { name: markerName(record), ttl: 60, values: [`"never ${never()}"`] };
  const doing = `ChangeResourceRecordSets of nothing in ${zone.name}`;
  const changes = [oneChange('DELETE', 'TXT', nothing)];
  const result = await sendBatch(account, zone, doing, changes, signal);
  return fromProbe(zone.name, result.ok ? null : result);
}

// ---------------------------------------------------------------- reading

/** Record sets by the name that they stand at. */
type RecordSets = ReadonlyMap<Name, readonly RecordSet[]>;

async function readZone(
  account: Account,
  zone: FoundZone,
  names: readonly Name[],
  room: Room,
  signal: AbortSignal,
): Promise<readonly Told<Seen>[]> {
  if (names.length > listAboveNames) {
    const pagesMax = Math.min(listPagesMax, Math.ceil(names.length / 2));
    const all = await listZone(account, zone, pagesMax, room, signal);
    if (!all.ok) return names.map(() => all);
    const sets = all.value;
    if (sets !== null) return names.map((name) => done(seenOf(zone, name, sets)));
  }
  const between = new Between(zone.name, (name) => cutAt(account, zone, name, signal));
  return oneByOne(names, {
    atOnce: namesAtOnce,
    atMost: byNameMax,
    room,
    callsEach: (name) => callsPerName + between.missing(name),
    work: async (name) => {
      const [above, sets] = await Promise.all([
        between.above(name),
        readName(account, zone, name, signal),
      ]);
      if (!above.ok) return above;
      return sets.ok ? done(seenOf(zone, name, new Map([...above.value, ...sets.value]))) : sets;
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
): Promise<Called<RecordSets | null>> {
  const sets = new Map<Name, RecordSet[]>();
  let start: Start = {};
  const turn = zone.listing.begin(pagesMax, room);
  while (turn?.next()) {
    const page = await list(account, zone, start, listPage, signal);
    if (!page.ok) return page;
    for (const set of page.value.ResourceRecordSets) {
      const name = nameFrom(set.Name);
      const same = sets.get(name);
      if (same) same.push(set);
      else sets.set(name, [set]);
    }
    const next = following(page.value);
    if (next === null) {
      if (page.value.IsTruncated) return endless(zone);
      turn.ended();
      return done(sets);
    }
    // A list that does not move on would never end, and what it left out would seem not to exist.
    if (JSON.stringify(next) === JSON.stringify(start)) return endless(zone);
    start = next;
  }
  return done(null);
}

/** What stands at a name and at its marker's name. */
async function readName(
  account: Account,
  zone: Zone,
  name: Name,
  signal: AbortSignal,
): Promise<Called<RecordSets>> {
  const marker = markerName(name);
  const own = await readRun(account, zone, name, signal);
  if (!own.ok) return own;
  const { at, beyond, ended } = own.value;
  // The marker sorts right behind its record, so it usually came along. It is taken from there
  // only if something behind it, or the end of the zone, shows that all of it came.
  const along = ofName(beyond, marker);
  const last = beyond.at(-1);
  const whole = ended || (along.length > 0 && last !== undefined && nameFrom(last.Name) !== marker);
  const of = (texts: readonly RecordSet[]): RecordSets =>
    new Map([
      [name, at],
      [marker, texts],
    ]);
  if (whole) return done(of(along));
  const below = await readRun(account, zone, marker, signal);
  return below.ok ? done(of(below.value.at)) : below;
}

function seenOf(zone: Zone, name: Name, sets: RecordSets): Seen {
  const at = sets.get(name) ?? [];
  const atMarker = sets.get(markerName(name)) ?? [];
  const cnames = at.filter((set) => set.Type === 'CNAME');
  const texts = atMarker.filter((set) => set.Type === 'TXT');
  const apex: Refusal | null =
    name === zone.name
      ? { word: 'apex', sentence: `${name} is the zone itself, where no CNAME may stand` }
      : null;
  const cut = namesBetween(zone.name, name).find((above) => sets.get(above)?.some(isNs));
  const below = cut === undefined ? null : delegatedAt(cut, name);
  const ref: z.output<typeof exactRef> = {
    zone: { id: zone.id, name: zone.name },
    cname: exactOf(cnames),
    marker: exactOf(texts),
  };
  return {
    cnames: cnames.flatMap((set) =>
      valuesOf(set).map((value) => ({ value: nameFrom(value), ttl: set.TTL ?? 0 })),
    ),
    markers: texts.flatMap((set) => valuesOf(set).map((value) => unquoteText(value, 8))),
    refusal: apex ?? below ?? refusalOf(at, 'CNAME') ?? refusalOf(atMarker, 'TXT'),
    ref: ref as Json,
  };
}

// ---------------------------------------------------------------- writing

interface Prepared {
  readonly zone: Zone;
  readonly name: Name;
  readonly changes: readonly sdk.Change[];
  readonly elements: number;
  readonly characters: number;
}

/** One batch at a time: a second one in flight is refused with PriorRequestNotComplete. */
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
      const changes = some.flatMap((item) => item.changes);
      return sendBatch(account, zone, `ChangeResourceRecordSets of ${what}`, changes, signal);
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
  const text = quoteText(formatMarker(to.marker), 8);
  if (text === null) {
    return failed('record', 'rejected', `the marker of ${name} is longer than ${textMax} bytes`);
  }
  const parts: sdk.Change[] = [];
  const stands = from.cnames[0];
  if (stands?.value !== to.cname || stands.ttl !== to.ttl) {
    if (cname !== null) parts.push(oneChange('DELETE', 'CNAME', cname));
    parts.push(oneChange('CREATE', 'CNAME', { name, ttl: to.ttl, values: [to.cname] }));
  }
  if (marker !== null) parts.push(oneChange('DELETE', 'TXT', marker));
  parts.push(oneChange('CREATE', 'TXT', { name: markerName(name), ttl: to.ttl, values: [text] }));
  const values = parts.flatMap((part) => part.ResourceRecordSet?.ResourceRecords ?? []);
  const characters = values.reduce((sum, record) => sum + (record.Value?.length ?? 0), 0);
  return done({ zone, name, changes: parts, elements: values.length, characters });
}

/** How many of these fit in one batch. */
function fitting(items: readonly Prepared[]): number {
  let [elements, characters, count] = [0, 0, 0];
  for (const item of items) {
    elements += item.elements;
    characters += item.characters;
    if (elements > batchElementsMax || characters > batchCharactersMax) break;
    count++;
  }
  return count;
}
