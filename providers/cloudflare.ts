// Cloudflare through its own SDK. A record's CNAME is changed in place, by id, in the same batch
// that deletes the marker read before and posts the new one: whoever has moved on since has
// replaced that marker, so a stale batch names an id that is gone and fails whole. Where a CNAME
// stands without a marker, a text that is the same whoever writes it takes the marker's place in
// that: it can stand only once, and only one batch can delete it. It must never fall back to single
// calls, never let the SDK repeat a write or wait out a Retry-After, and never believe a status
// without the envelope that says success.

import { z } from 'zod';
import { claimName, formatMarker, markerName } from '../src/core/marker.ts';
import type { Change, Json, Name, Refusal, Seen } from '../src/core/model.ts';
import { isWithin, unrooted } from '../src/core/name.ts';
import { companyIn } from '../src/dns/company.ts';
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
import { dnsName, secretRef } from '../src/kit/schema.ts';
import { sendHalving } from './kit/batch.ts';
import { secretInShell, shellWord } from './kit/by-hand.ts';
import { ByZone, oneByOne } from './kit/by-zone.ts';
import {
  type Account,
  bare,
  call,
  claimText,
  type DnsRecord,
  type FoundZone,
  getZone,
  isNs,
  list,
  lookAtZone,
  openAccount,
  readName,
  sayUnseen,
  sendBatch,
  servedTtl,
  settingsOf,
  usable,
  type Zone,
  zoneByName,
} from './kit/cloudflare-api.ts';
import { nsHands } from './kit/cloudflare-ns.ts';
import { endpoint } from './kit/endpoint.ts';
import { type Called, done, failed, garbled, scrub } from './kit/fault.ts';
import { Listing } from './kit/listing.ts';
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

const operationsPerChange = 3;

/**
 * Reading one name costs two calls (record and marker), listing one call for each 5000 records of
 * the zone; zones of paid plans hold 3500 records, those of new free ones 200. So more names than
 * two are read by listing, as long as that takes no more than a call a name; a larger zone is read
 * by name.
 * Either way the zone and its settings are looked at with two more.
 */
const listAboveNames = 2;
const listPage = 5000;
const listPagesMax = 10;

/** Names read one by one in one reading; what is left out is asked for again. */
const byNameMax = 32;

/** Records given their first marker in one writing where names are read one by one. */
const firstByNameMax = 10;

/** Names that are under way at the same time. */
const namesAtOnce = 2;

const capabilities: Capabilities = {
  type: 'cloudflare',
  title: 'Cloudflare DNS',
  fence: {
    kind: 'inferred',
    note:
      'a batch deletes the marker that was read by its id, so a writer that is behind fails ' +
      `whole; before the first marker a text at \`${claimName('<record>')}\`, the same whoever ` +
      'writes it, is deleted in its place, for the vendor takes only one of those; inferred from ' +
      'the documented transaction, and blind to a person who edits the CNAME in place',
  },
  atomic: true,
  // One listing serves as many names as there are, and one writing fills batch after batch.
  readMax: 5000,
  writeMax: 1000,
  callsMax: 90,
  // Documented: 1200 in 5 minutes for all that a user does, the dashboard included; beyond it
  // everything is blocked for 5 minutes. This is 100 + 2/s × 300 s = 700 at the very most.
  // ("Rate limits", Cloudflare API fundamentals, 2026-04-20.)
  quota: { burst: 100, perSecond: 2, reserve: 40 },
  permissions: [
    { permission: 'Zone Read', note: null },
    { permission: 'DNS Write', note: null },
    { permission: 'Zone DNS Settings Read', note: 'to see flattening' },
  ],
  delegation: {
    apex: true,
    note:
      'a batch deletes NS records and the marker by the ids that were read, before the first ' +
      'marker a claim in its place; its own name servers stand at the apex whatever is written, ' +
      'and those of others beside them only where multi-provider DNS is on',
    permissions: ['the same for the parent zone'],
  },
  refuses: [
    { word: 'proxied', note: null },
    { word: 'flattened', note: null },
    { word: 'other-type', note: null },
    { word: 'apex', note: null },
    { word: 'delegated', note: 'a name below NS records of a name between it and its zone' },
  ],
};

const settings = z
  .strictObject({
    apiToken: secretRef.describe('API token with Zone Read and DNS Write for the zone'),
    zone: dnsName.optional().describe('zone; found out when left out'),
    zoneId: z
      .string()
      .regex(/^[0-9a-f]{32}$/, 'expected a zone id of 32 hexadecimal digits')
      .optional()
      .describe('zone id; needed when several accounts hold a zone of the same name'),
    endpoint: endpoint.default('https://api.cloudflare.com/client/v4'),
    proxy: proxy.optional(),
  })
  .superRefine(refuseClearProxy)
  .describe('an account at Cloudflare');

type CloudflareSettings = z.output<typeof settings>;

/** By the console, or by its API v4 (DNS Records, PATCH), whose console is another service. */
function byHand(settings: CloudflareSettings, { record, cname, ttl }: ByHand): readonly HandStep[] {
  const { endpoint, zone, zoneId, apiToken } = settings;
  const name = unrooted(record);
  const call = (rest: string) =>
    `printf 'Authorization: Bearer %s' ${secretInShell(apiToken)} | curl -fsS -H @- ${rest}`;
  const zones = `${endpoint}/zones${zone === undefined ? '' : `?name=${unrooted(zone)}`}`;
  const records = `${endpoint}/zones/${zoneId ?? 'ZONE'}/dns_records`;
  const change = JSON.stringify({ content: unrooted(cname), ttl: Math.max(ttl, 60) });
  const found =
    zoneId === undefined
      ? [{ text: 'Look up the id of the zone: ZONE below.', shell: call(shellWord(zones)) }]
      : [];
  return [
    {
      text:
        `In the console, https://dash.cloudflare.com/: choose the zone, DNS, Records, the CNAME ` +
        `${name}, Edit. Leave it on "DNS only", set the target ${unrooted(cname)}, save.`,
    },
    ...found,
    {
      text: 'Or by the API: look up the id of the record, RECORD below.',
      shell: call(shellWord(`${records}?type=CNAME&name=${name}`)),
    },
    {
      text: 'Then change it in place.',
      shell: call(
        `-X PATCH \\\n  -H 'Content-Type: application/json' ${shellWord(`${records}/RECORD`)} \\\n` +
          `  --data ${shellWord(change)}`,
      ),
    },
  ];
}

export const cloudflare: ProviderType<CloudflareSettings> = {
  type: 'cloudflare',
  cloud: 'cloudflare',
  capabilities,
  settings,
  byHand,
  create,
};

// ---------------------------------------------------------------- the provider

/** What `Seen.ref` holds. */
const idsRef = z.object({
  zone: z.object({
    id: z.string(),
    name: z.string(),
    ttlMin: z.number(),
    operationsMax: z.number(),
  }),
  cname: z.string().nullable(),
  marker: z.string().nullable(),
});

function create(name: string, chosen: CloudflareSettings, context: AdapterContext): Provider {
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
    // Whether a zone is delegated to, the vendor looks itself: one that is not is not active.
  });
  const { callsMax } = capabilities;
  const byZone = new ByZone({ zones, callsMax, callTimeoutMs: account.timeoutMs });
  // A change remembers its zone by what was read; how long that is to list is the account's to know.
  const listings = new Map<string, Listing>();
  const read: Provider['read'] = (names, signal) =>
    byZone.read(names, signal, (zone, some, room, stop) => {
      listings.set(zone.id, zone.listing);
      return readZone(account, zone, some, room, stop);
    });
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
        zoneOf: async ({ zone }) =>
          done({ ...zone, listing: listings.get(zone.id) ?? new Listing() }),
        writeZone: (zone, some, room, stop) => writeZone(account, zone, some, room, stop),
      }),
    preflight: (record, signal) => preflight(account, zones, read, record, signal),
    delegation: nsHands(account, zones),
    close: () => account.agent.destroy(),
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
  const { name, ttlMin } = zone;
  const nameServers = (detail.name_servers ?? []).map((host) => host.toLowerCase());
  if (nameServers.length === 0) return garbled(`reading zone ${name}`, false, 'no name servers');
  const dns = await settingsOf(account, zone, signal);
  if (!dns.ok) return dns;
  const warnings: string[] = [];
  if (typeof dns.value === 'string') {
    const { says, cure } = sayUnseen(dns.value, name);
    return done({ zone: name, nameServers, ttlMin, warnings: [`${says}; ${cure}`] });
  }
  if (dns.value.zone_mode === 'cdn_only') {
    return failed('zone', 'rejected', `zone ${name} is CDN-only: its DNS is not served from here`, {
      cure: 'set its zone mode to standard or DNS-only',
      zone: name,
    });
  }
  if (dns.value.multi_provider === false) {
    warnings.push(
      `Multi-provider DNS is off for ${name}: with other vendors' name servers beside its own ` +
        'Cloudflare may take the zone for moved away; turn it on in the DNS settings.',
    );
  }
  if (dns.value.flatten_all_cnames === true) {
    warnings.push(`${name} flattens all CNAMEs: nothing in it can be steered until that is off.`);
  }
  return done({ zone: name, nameServers, ttlMin, warnings });
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
  const { zone } = found.value;
  const findings = [
    zoneRead(zone.name),
    ...(await lookAtToken(account, signal)),
    good(ofZone(zone.name), 'zone', `${zone.name} is active, full and not paused`),
    ttlFloor(zone.name, zone.ttlMin),
    ...(await lookAtSettings(account, zone, signal)),
    ...(await lookAtRecord({ read }, record, signal)),
  ];
  if (!mayTry(findings)) return findings;
  return [...findings, await tryWriting(account, zone, signal)];
}

const tokenShape = z.object({
  status: z.string(),
  expires_on: z.string().nullish(),
});

/** Days before its end from which a token's end is told. */
const tokenDaysMin = 30;

/** How long the token still lives. A token of an account, unlike a user's, may not ask for this. */
async function lookAtToken(
  account: Account,
  signal: AbortSignal,
): Promise<readonly ReachingFinding[]> {
  const asking = { doing: 'verifying the token', write: false, shape: tokenShape, signal };
  const answer = await call(account, asking, (client, abort) =>
    client.get('/user/tokens/verify', { signal: abort }),
  );
  if (!answer.ok) return [];
  const { status, expires_on: end } = answer.value.result;
  const cure = 'make a new token now, while the dashboard can be reached';
  if (status !== 'active')
    return [bad(ofAccount, 'credentials', `the token is ${scrub(status, [])}`, cure)];
  const days = Math.floor((Date.parse(end ?? '') - Date.now()) / 86_400_000);
  if (Number.isNaN(days)) return [];
  const left = `the token expires in ${Math.max(0, days)} days`;
  if (days >= tokenDaysMin) return [good(ofAccount, 'expiry', left)];
  return [warn(ofAccount, 'expiry', left, cure)];
}

async function lookAtSettings(
  account: Account,
  zone: Zone,
  signal: AbortSignal,
): Promise<readonly ReachingFinding[]> {
  const { name } = zone;
  const reach = ofZone(name);
  const dns = await settingsOf(account, zone, signal);
  if (!dns.ok) return [fromTrouble('flattening', name, dns)];
  if (typeof dns.value === 'string') {
    const { says, cure } = sayUnseen(dns.value, name);
    return [warn(reach, 'flattening', says, cure)];
  }
  const { flatten_all_cnames: flattens, multi_provider: several, zone_mode: mode, soa } = dns.value;
  const findings: ReachingFinding[] = [];
  if (mode === 'cdn_only') {
    const sentence = `zone ${name} is CDN-only: its DNS is not served from here`;
    findings.push(bad(reach, 'zone', sentence, 'set its zone mode to standard or DNS-only'));
  }
  findings.push(
    flattens
      ? bad(
          reach,
          'flattening',
          `${name} flattens all CNAMEs: nothing can be steered`,
          'turn that off',
        )
      : good(reach, 'flattening', `${name} does not flatten all of its CNAMEs`),
  );
  findings.push(
    several === false
      ? warn(
          reach,
          'multi-provider',
          `multi-provider DNS is off for ${name}: with other vendors' name servers beside its own ` +
            'Cloudflare may take the zone for moved away',
          'turn it on in the DNS settings',
        )
      : good(
          reach,
          'multi-provider',
          `${name} may have other vendors' name servers beside its own`,
        ),
  );
  if (soa) findings.push(negativeTtl(name, Math.min(soa.min_ttl, soa.ttl)));
  return findings;
}

/** Deletes a record that never was: without DNS Write that is a 403, with it the id is unknown. */
async function tryWriting(
  account: Account,
  zone: Zone,
  signal: AbortSignal,
): Promise<ReachingFinding> {
  const body = { deletes: [{ id: never() }] };
  const doing = `batch of nothing in ${zone.name}`;
  const answer = await call(
    account,
    { doing, write: true, shape: z.unknown(), signal },
    (client, abort) => client.post(`/zones/${zone.id}/dns_records/batch`, { body, signal: abort }),
  );
  return fromProbe(zone.name, answer.ok ? null : answer);
}

// ---------------------------------------------------------------- reading

async function readZone(
  account: Account,
  zone: FoundZone,
  names: readonly Name[],
  room: Room,
  signal: AbortSignal,
): Promise<readonly Told<Seen>[]> {
  if (!room.takeName(2)) return names.map(() => null);
  const between = new Between(zone.name, (name) => readName(account, zone, name, signal));
  // The zone itself is looked at each time: one that was paused or moved away still gives records.
  const [found, dns, told] = await Promise.all([
    getZone(account, zone.id, signal),
    settingsOf(account, zone, signal),
    recordsOf(account, zone, names, { ownersOf: pairOf, byNameMax, between }, room, signal),
  ]);
  const today = found.ok ? usable(found.value) : found;
  return told.map((records, i) => {
    if (!records?.ok) return records;
    if (!today.ok) return today;
    if (!dns.ok) return dns;
    const flattening = typeof dns.value !== 'string' && dns.value.flatten_all_cnames === true;
    return done(seenOf(today.value, flattening, names[i]!, records.value));
  });
}

/** Which names belong to a record, and of how many records they may be asked for one by one. */
interface Wanted {
  readonly ownersOf: (name: Name) => readonly Name[];
  readonly byNameMax: number;
  /** Where what stands between zone and names is wanted, too. */
  readonly between?: Between<Rows>;
}

const pairOf = (name: Name): readonly Name[] => [name, markerName(name)];
type Rows = readonly DnsRecord[];

/** Records by the name that they stand at. */
type Records = ReadonlyMap<Name, Rows>;

/** What stands at each name's owners; in a zone too long to list, at those of the first of them. */
async function recordsOf(
  account: Account,
  zone: FoundZone,
  names: readonly Name[],
  { ownersOf, byNameMax, between }: Wanted,
  room: Room,
  signal: AbortSignal,
): Promise<readonly Told<Records>[]> {
  if (names.length > listAboveNames) {
    const pagesMax = Math.min(listPagesMax, names.length);
    const all = await listZone(account, zone, pagesMax, room, signal);
    if (!all.ok) return names.map(() => all);
    const records = all.value;
    if (records !== null) return names.map(() => done(records));
  }
  return oneByOne(names, {
    atOnce: namesAtOnce,
    atMost: byNameMax,
    room,
    callsEach: (name) => ownersOf(name).length + (between?.missing(name) ?? 0),
    async work(name) {
      const [above, ...found] = await Promise.all([
        between?.above(name) ?? done([]),
        ...ownersOf(name).map((owner) => readName(account, zone, owner, signal)),
      ]);
      if (!above.ok) return above;
      const records = above.value.flatMap(([, rows]) => rows);
      for (const one of found) {
        if (!one.ok) return one;
        records.push(...one.value);
      }
      return done(Map.groupBy(records, (record) => nameFrom(record.name)));
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
): Promise<Called<Records | null>> {
  const turn = zone.listing.begin(pagesMax, room);
  if (turn === null) return done(null);
  const all = await list(account, zone, { per_page: listPage }, turn, signal);
  if (!all.ok) return all;
  if (all.value === null) return done(null);
  turn.ended();
  return done(Map.groupBy(all.value, (record) => nameFrom(record.name)));
}

function seenOf(zone: Zone, flattening: boolean, name: Name, records: Records): Seen {
  const at = records.get(name) ?? [];
  const atMarker = records.get(markerName(name)) ?? [];
  const cnames = at.filter((record) => record.type === 'CNAME');
  const texts = atMarker.filter((record) => record.type === 'TXT');
  const ref: z.output<typeof idsRef> = {
    zone: {
      id: zone.id,
      name: zone.name,
      ttlMin: zone.ttlMin,
      operationsMax: zone.operationsMax,
    },
    cname: cnames.length === 1 ? cnames[0]!.id : null,
    marker: texts.length === 1 ? texts[0]!.id : null,
  };
  return {
    cnames: cnames.map((record) => ({
      value: nameFrom(record.content ?? ''),
      ttl: servedTtl(record),
    })),
    markers: texts.map((record) => unquoteText(record.content ?? '', 10)),
    ttlMin: zone.ttlMin,
    refusal: refusalOf(zone, flattening, name, records),
    ...companyIn(
      'comment or tags',
      cnames.flatMap(({ comment, tags }) => [comment, ...(tags ?? [])]),
    ),
    ref: ref as Json,
  };
}

function refusalOf(zone: Zone, flattening: boolean, name: Name, records: Records): Refusal | null {
  const [at, atMarker] = pairOf(name).map((owner) => records.get(owner) ?? []) as [Rows, Rows];
  if (name === zone.name) {
    const sentence = `${name} is the zone itself, where Cloudflare flattens every CNAME`;
    return { word: 'apex', sentence };
  }
  const cut = namesBetween(zone.name, name).find((above) => records.get(above)?.some(isNs));
  if (cut !== undefined) return delegatedAt(cut, name);
  const proxied = [...at, ...atMarker].find((record) => record.proxied === true);
  if (proxied) {
    const sentence =
      `the ${proxied.type} at ${nameFrom(proxied.name)} is proxied, so DNS gives Cloudflare's ` +
      'addresses instead of it: set it to DNS only';
    return { word: 'proxied', sentence };
  }
  if (flattening || at.some((record) => record.settings?.flatten_cname === true)) {
    const where = flattening ? `of the zone ${zone.name}` : `of ${name}`;
    const sentence = `CNAMEs are flattened to addresses by the settings ${where}: turn that off`;
    return { word: 'flattened', sentence };
  }
  const stranger =
    at.find((record) => record.type !== 'CNAME') ??
    atMarker.find((record) => record.type !== 'TXT');
  if (!stranger) return null;
  const sentence = `a ${stranger.type} at ${nameFrom(stranger.name)} stands in the way: remove it`;
  return { word: 'other-type', sentence };
}

// ---------------------------------------------------------------- writing

interface Prepared {
  readonly zone: Zone;
  readonly name: Name;
  /** What a first marker is planned against: nothing but this may stand there when it is written. */
  readonly unmarked: {
    readonly id: string;
    readonly value: Name;
    readonly ttl: number;
  } | null;
  readonly deletes: readonly { readonly id: string }[];
  readonly patches: readonly Readonly<Record<string, string | number>>[];
  readonly posts: readonly Readonly<Record<string, string | number | boolean>>[];
}

async function writeZone(
  account: Account,
  zone: FoundZone,
  items: readonly Prepared[],
  room: Room,
  signal: AbortSignal,
): Promise<readonly Told<null>[]> {
  const first = items.filter((item) => item.unmarked !== null);
  const claims = await claimFirst(account, zone, first, room, signal);
  const told = new Array<Told<null>>(items.length).fill(null);
  const ready: { readonly at: number; readonly item: Prepared }[] = [];
  for (const [at, item] of items.entries()) {
    const claim = claims.get(item.name);
    if (claim === undefined) ready.push({ at, item });
    else if (claim?.ok) ready.push({ at, item: { ...item, deletes: [{ id: claim.value }] } });
    else told[at] = claim;
  }
  const sent = await sendHalving(ready, {
    room,
    fitting: () => Math.floor(zone.operationsMax / operationsPerChange),
    send: (some) =>
      sendChanges(
        account,
        zone,
        some.map(({ item }) => item),
        signal,
      ),
  });
  for (const [i, { at }] of ready.entries()) told[at] = sent[i]!;
  return told;
}

// ---------------------------------------------------------------- the first marker

/** The id of each record's claim; null is what there was no room for. */
type Claims = Map<Name, Told<string>>;

/**
 * Puts the claim of each record where it does not stand yet, then reads once more: whoever sees
 * his claim, the CNAME as he read it and no marker knows that nobody was first, and that nobody
 * can be any more without taking that very claim away. The ids of the claims, or why not.
 */
async function claimFirst(
  account: Account,
  zone: FoundZone,
  items: readonly Prepared[],
  room: Room,
  signal: AbortSignal,
): Promise<Claims> {
  const claims: Claims = new Map();
  if (items.length === 0) return claims;
  const names = items.map((item) => item.name);
  const wanted = { ownersOf: (name: Name) => [claimName(name)], byNameMax: firstByNameMax };
  const standing = await recordsOf(account, zone, names, wanted, room, signal);
  const missing: Prepared[] = [];
  for (const [i, item] of items.entries()) {
    const records = standing[i]!;
    const claim = records?.ok ? claimIn(records.value, item.name) : null;
    if (!records?.ok) claims.set(item.name, records);
    else if (claim === null) missing.push(item);
    else claims.set(item.name, done(claim));
  }
  const posted = await sendHalving(missing, {
    room,
    fitting: () => zone.operationsMax,
    send: (some) => postClaims(account, zone, some, claims, signal),
  });
  for (const [i, { name }] of missing.entries()) {
    const result = posted[i]!;
    if (!result?.ok) claims.set(name, result);
  }
  return lookAgain(account, zone, items, claims, room, signal);
}

async function postClaims(
  account: Account,
  zone: Zone,
  items: readonly Prepared[],
  claims: Claims,
  signal: AbortSignal,
): Promise<Called<null>> {
  const posts = items.map(({ name }) => ({
    name: bare(claimName(name)),
    type: 'TXT',
    ttl: zone.ttlMin,
    content: claimText,
  }));
  const doing = `batch that claims ${items.length === 1 ? items[0]!.name : `${items.length} records`}`;
  const sent = await sendBatch(account, zone, doing, { posts }, signal);
  if (!sent.ok) return sent;
  const made = new Map(
    (sent.value.posts ?? []).flatMap(({ id, name }) => (name ? [[nameFrom(name), id]] : [])),
  );
  for (const { name } of items) {
    const id = made.get(claimName(name));
    if (id === undefined) return garbled(doing, true, 'not all of it was answered as made');
    claims.set(name, done(id));
  }
  return done(null);
}

/** Withdraws the claims that came too late; the others stand against what was read. */
async function lookAgain(
  account: Account,
  zone: FoundZone,
  items: readonly Prepared[],
  claims: Claims,
  room: Room,
  signal: AbortSignal,
): Promise<Claims> {
  const claimed = items.filter((item) => claims.get(item.name)?.ok === true);
  if (claimed.length === 0) return claims;
  const names = claimed.map((item) => item.name);
  const ownersOf = (name: Name) => [claimName(name), ...pairOf(name)];
  const wanted = { ownersOf, byNameMax: firstByNameMax };
  const read = await recordsOf(account, zone, names, wanted, room, signal);
  const late: { readonly id: string }[] = [];
  for (const [i, item] of claimed.entries()) {
    const records = read[i]!;
    const claim = claims.get(item.name);
    if (!claim?.ok) continue;
    const doubt = records?.ok ? doubtOf(item, claim.value, records.value) : null;
    if (!records?.ok) claims.set(item.name, records);
    else if (doubt !== null) claims.set(item.name, failed('record', 'conflict', doubt.detail));
    if (doubt?.isMarked) late.push({ id: claim.value });
  }
  // One that is left behind does no harm: the next first writer takes it.
  if (late.length > 0 && room.take(1)) {
    await sendBatch(account, zone, 'batch that withdraws claims', { deletes: late }, signal);
  }
  return claims;
}

/** Why a claim does not hold after all; null when it does. */
function doubtOf(
  { name, unmarked }: Prepared,
  claim: string,
  records: Records,
): { readonly detail: string; readonly isMarked: boolean } | null {
  const at = records.get(name) ?? [];
  const [cname] = at;
  const isAsRead =
    at.length === 1 &&
    cname?.id === unmarked!.id &&
    nameFrom(cname.content ?? '') === unmarked!.value &&
    servedTtl(cname) === unmarked!.ttl;
  if (claimIn(records, name) !== claim) {
    const detail = `${name}: its claim is not read back; somebody else took it, or reading lags`;
    return { detail, isMarked: false };
  }
  const isMarked = (records.get(markerName(name)) ?? []).length > 0;
  return isAsRead && !isMarked ? null : { detail: `${name} is no longer what was read`, isMarked };
}

function claimIn(records: Records, name: Name): string | null {
  const claim = (records.get(claimName(name)) ?? []).find(
    (r) => r.type === 'TXT' && quoted(r.content) === claimText,
  );
  return claim?.id ?? null;
}

function quoted(content: string | null | undefined): string | null {
  return quoteText(unquoteText(content ?? '', 10), 10);
}

// ---------------------------------------------------------------- one change, one batch

function prepare({ name, from, to }: Change): Called<Prepared> {
  const rejected = (detail: string, cure?: string) =>
    failed('record', 'rejected', detail, cure === undefined ? {} : { cure });
  const ref = idsRef.safeParse(from.ref);
  if (!ref.success) {
    const detail = `${name} was not read through this account`;
    return failed('record', 'conflict', detail, { cure: 'read again' });
  }
  if (from.refusal !== null) return rejected(from.refusal.sentence);
  const { zone, cname, marker } = ref.data;
  if ((from.cnames.length > 0 && cname === null) || (from.markers.length > 0 && marker === null)) {
    const detail = `more than one CNAME or marker stands at ${name}`;
    return rejected(detail, 'leave exactly one of each');
  }
  if (isWithin(to.cname, zone.name)) {
    const cure = 'Cloudflare flattens a CNAME within one zone; keep targets in another zone';
    return rejected(`${to.cname} is in the zone ${zone.name} itself`, cure);
  }
  const text = quoteText(formatMarker(to.marker), 10);
  if (text === null) return rejected(`the marker of ${name} is longer than ${textMax} bytes`);
  const stands = from.cnames[0];
  const rewrite = stands?.value !== to.cname || stands.ttl !== to.ttl;
  if (rewrite && to.ttl < zone.ttlMin) {
    const detail = `TTL ${to.ttl} of ${name} is below ${zone.ttlMin}, the least here`;
    const cure = `publish takes a TTL per provider: give this one ${zone.ttlMin} or more`;
    // The plan that the floor follows from may be another by now.
    return failed('record', 'rejected', detail, { cure, zone: zone.name, stale: true });
  }
  const wanted = { name: bare(name), type: 'CNAME', ttl: to.ttl, content: bare(to.cname) };
  const sign = {
    name: bare(markerName(name)),
    type: 'TXT',
    ttl: Math.max(to.ttl, zone.ttlMin),
    content: text,
  };
  const isFirst = marker === null && cname !== null && stands !== undefined;
  return done({
    zone,
    name,
    unmarked: isFirst ? { id: cname, value: stands.value, ttl: stands.ttl } : null,
    deletes: marker === null ? [] : [{ id: marker }],
    patches: rewrite && cname !== null ? [{ id: cname, ...wanted }] : [],
    posts: rewrite && cname === null ? [{ ...wanted, proxied: false }, sign] : [sign],
  });
}

async function sendChanges(
  account: Account,
  zone: Zone,
  items: readonly Prepared[],
  signal: AbortSignal,
): Promise<Called<null>> {
  const body = {
    deletes: items.flatMap((item) => item.deletes),
    patches: items.flatMap((item) => item.patches),
    posts: items.flatMap((item) => item.posts),
  };
  const doing = `batch of ${items.length === 1 ? items[0]!.name : `${items.length} records`}`;
  // The first error is all that is answered: which change it is about is found by halving.
  const answer = await sendBatch(account, zone, doing, body, signal);
  if (!answer.ok) return answer;
  const { deletes, patches, posts } = answer.value;
  const whole =
    (deletes ?? []).length === body.deletes.length &&
    (patches ?? []).length === body.patches.length &&
    (posts ?? []).length === body.posts.length;
  return whole ? done(null) : garbled(doing, true, 'not all of it was answered as made');
}
