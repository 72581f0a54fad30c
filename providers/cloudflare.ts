// Cloudflare through its own SDK. A record's CNAME is changed in place, by id, in the same batch
// that deletes the marker read before and posts the new one: whoever has moved on since has
// replaced that marker, so a stale batch names an id that is gone and fails whole. Where a CNAME
// stands without a marker, a text that is the same whoever writes it takes the marker's place in
// that: it can stand only once, and only one batch can delete it. It must never fall back to single
// calls, never let the SDK repeat a write or wait out a Retry-After, and never believe a status
// without the envelope that says success.

import type Cloudflare from 'cloudflare';
import { z } from 'zod';
import type {
  Change,
  Fault,
  Finding,
  Json,
  Name,
  Refusal,
  Result,
  Seen,
} from '../src/core/model.ts';
import { isWithin } from '../src/core/name.ts';
import type {
  AdapterContext,
  Capabilities,
  Provider,
  ProviderType,
  ZoneFacts,
} from '../src/kit/extend.ts';
import { dnsName, secretRef } from '../src/kit/schema.ts';
import { type Sent, sendHalving, sideBySide } from './kit/batch.ts';
import { endpoint } from './kit/endpoint.ts';
import {
  done,
  exchange,
  failed,
  fault,
  fieldsOf,
  garbled,
  loading,
  parseRetryAfter,
  scrub,
  statusFault,
} from './kit/fault.ts';
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
  warn,
  zoneRead,
} from './kit/preflight.ts';
import { nameFrom, quoteText, textMax, unquoteText, zoneFinder } from './kit/zone.ts';

/**
 * Operations in one batch ("Batch record changes", Cloudflare docs, 2026-11): 200 on the free plan,
 * and on any that is not told, 3500 on the others. A change needs three at most: delete, patch, post.
 */
const batchOperationsLeast = 200;
const batchOperationsPaid = 3500;
const paidPlans: readonly string[] = ['pro', 'business', 'enterprise'];
const operationsPerChange = 3;

/**
 * Reading one name costs two calls (record and marker), listing one call for each 5000 records of
 * the zone; zones of paid plans hold 3500 records, those of new free ones 200. So more names than
 * two are read by listing, as long as that takes no more than a call a name; a larger zone is read
 * by name.
 */
const listAboveNames = 2;
const listPage = 5000;
const listPagesMax = 10;
/** Names read one by one in one reading; what is left out is asked for again. */
const byNameMax = 32;
/** Records given their first marker in one writing where names are read one by one. */
const firstByNameMax = 10;
const namePage = 100;

/** What a record with TTL 1, "automatic", is served with ("Time to Live", Cloudflare docs). */
const automaticTtl = 300;

/** Least TTL in seconds: 60, and 30 on Enterprise ("Time to Live", Cloudflare docs). */
const ttlMinUsual = 60;
const ttlMinEnterprise = 30;

/** Sent as `api-version`; the SDK would send today's date, and so change by itself. */
const apiVersion = '2026-11-01';

const capabilities: Capabilities = {
  type: 'cloudflare',
  title: 'Cloudflare DNS',
  fence: 'inferred',
  fenceNote:
    'a batch deletes the marker that was read by its id, so a writer that is behind fails whole; ' +
    'before the first marker a text at `_detour-epoch.<record>`, the same whoever writes it, is ' +
    'deleted in its place, for the vendor takes only one of those; inferred from the documented ' +
    'transaction, and blind to a person who edits the CNAME in place',
  atomic: true,
  // One listing serves as many names as there are, and one writing fills batch after batch.
  readMax: 1000,
  writeMax: 1000,
  callsMax: 90,
  // Documented: 1200 in 5 minutes for all that a user does, the dashboard included; beyond it
  // everything is blocked for 5 minutes. This is 100 + 2/s × 300 s = 700 at the very most.
  // ("Rate limits", Cloudflare API fundamentals, 2026-04-20.)
  quota: { burst: 100, perSecond: 2, reserve: 40 },
  permissions: ['Zone Read', 'DNS Write', 'Zone DNS Settings Read (to see flattening)'],
  refuses: ['proxied', 'flattened', 'other-type', 'apex'],
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
  })
  .describe('an account at Cloudflare');

export type CloudflareSettings = z.output<typeof settings>;

export const cloudflare: ProviderType<CloudflareSettings> = {
  type: 'cloudflare',
  capabilities,
  settings,
  create,
};

// ---------------------------------------------------------------- what the vendor says, checked

const pageInfo = z.object({
  page: z.number().int(),
  per_page: z.number().int().min(1),
  total_count: z.number().int().min(0),
});

const envelope = z.object({
  success: z.literal(true),
  result: z.unknown(),
  result_info: pageInfo.optional(),
});

const zoneShape = z.object({
  id: z.string().regex(/^[0-9a-f]{32}$/),
  name: z.string().min(1),
  status: z.string(),
  type: z.string(),
  paused: z.boolean(),
  name_servers: z.array(z.string().min(1)).nullish(),
  plan: z.object({ legacy_id: z.string().nullish() }).nullish(),
});
type ZoneShape = z.output<typeof zoneShape>;

const recordShape = z.object({
  id: z.string().min(1),
  name: z.string().min(1),
  type: z.string().min(1),
  content: z.string().nullish(),
  ttl: z.number(),
  proxied: z.boolean().nullish(),
  settings: z.object({ flatten_cname: z.boolean().nullish() }).nullish(),
});
type DnsRecord = z.output<typeof recordShape>;

const dnsSettings = z.object({
  flatten_all_cnames: z.boolean(),
  multi_provider: z.boolean().nullish(),
  zone_mode: z.string().nullish(),
  // Only for the preflight: nothing in it may spoil a reading.
  soa: z.object({ min_ttl: z.number(), ttl: z.number() }).nullish().catch(null),
});
type DnsSettings = z.output<typeof dnsSettings>;

/** The lists of a batch's result; those that had nothing to do may be left out. */
const batchResult = z.object({
  deletes: z.array(z.unknown()).nullish(),
  patches: z.array(z.unknown()).nullish(),
  posts: z.array(z.object({ id: z.string().min(1), name: z.string().nullish() })).nullish(),
});

/** What `Seen.ref` holds. */
const idsRef = z.object({
  zone: z.string(),
  zoneName: z.string(),
  ttlMin: z.number(),
  operationsMax: z.number().default(batchOperationsLeast),
  cname: z.string().nullable(),
  marker: z.string().nullable(),
});

interface Zone {
  readonly id: string;
  readonly name: Name;
  readonly ttlMin: number;
  /** Operations that one batch may have. */
  readonly operationsMax: number;
}

// ---------------------------------------------------------------- the account

interface Account {
  readonly client: (signal: AbortSignal, timeoutMs: number) => Promise<Result<Cloudflare>>;
  readonly timeoutMs: number;
  readonly secrets: readonly string[];
  /** Called for every request that is sent. */
  count(): void;
  /** The vendor says that a zone is gone: it must be looked for again. */
  lostZone(): void;
}

function create(name: string, chosen: CloudflareSettings, context: AdapterContext): Provider {
  const apiToken = context.secret(chosen.apiToken);
  const timeoutMs = context.callTimeoutMs;
  let calls = 0;
  const account: Account = {
    timeoutMs,
    secrets: [apiToken],
    count: () => {
      calls++;
    },
    lostZone: () => zones.forget(),
    client: loading('the SDK of Cloudflare', async () => {
      const { default: Client } = await import('cloudflare');
      return new Client({
        apiToken,
        // Otherwise taken from the environment, and sent along.
        apiKey: null,
        apiEmail: null,
        userServiceKey: null,
        baseURL: chosen.endpoint,
        apiVersion,
        maxRetries: 0,
        // Ours ends a call first; this one would stop at the headers.
        timeout: timeoutMs + 500,
        logLevel: 'off',
        fetch: boundedFetch,
        fetchOptions: { redirect: 'manual' },
      });
    }),
  };
  const zones = zoneFinder<Zone>({
    zone: chosen.zone ?? null,
    byId: chosen.zoneId
      ? async (signal) => {
          const found = await getZone(account, chosen.zoneId!, signal);
          return found.ok ? usable(found.value) : found;
        }
      : null,
    byName: (zone, signal) => zoneByName(account, zone, signal),
  });
  return {
    name,
    capabilities,
    get calls() {
      return calls;
    },
    async zone(record, signal) {
      const zone = await zones.find(record, signal);
      return zone.ok ? zoneFacts(account, zone.value, signal) : zone;
    },
    async read(names, signal) {
      const byZone = new Map<string, { zone: Zone; names: Name[] }>();
      for (const record of names) {
        const zone = await zones.find(record, signal);
        if (!zone.ok) return zone;
        const group = byZone.get(zone.value.id) ?? { zone: zone.value, names: [] };
        group.names.push(record);
        byZone.set(zone.value.id, group);
      }
      const seen: Record<Name, Seen> = {};
      for (const group of byZone.values()) {
        const part = await readZone(account, group.zone, group.names, signal);
        if (!part.ok) return part;
        Object.assign(seen, part.value);
      }
      return done(seen);
    },
    write: (changes, signal) => write(account, changes, signal),
    async preflight(record, signal) {
      const known = await zones.find(record, signal);
      if (!known.ok) return [fromFault('zone', known.fault)];
      const found = await getZone(account, known.value.id, signal);
      if (!found.ok) return [fromFault('zone', found.fault)];
      const zone = usable(found.value);
      if (!zone.ok) return [zoneRead(known.value.name), fromFault('zone', zone.fault)];
      const findings = [
        zoneRead(zone.value.name),
        ...(await lookAtToken(account, signal)),
        good('zone', `${zone.value.name} is active, full and not paused`),
        ttlFloor(zone.value.name, zone.value.ttlMin),
        ...(await lookAtSettings(account, zone.value, signal)),
        ...(await lookAtRecord(this, record, signal)),
      ];
      if (!mayTry(findings)) return findings;
      return [...findings, await tryWriting(account, zone.value, signal)];
    },
    // Node keeps the idle connections of fetch, and lets go of them by itself.
    close() {},
  };
}

/** Most bytes of one answer: 500 records are about 300 KB. */
const bodyMax = 8 * 1024 * 1024;

async function boundedFetch(url: string | URL | Request, init?: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    // The SDK reads the word "timeout" in a message as a timeout and drops the cause with its code.
    throw new Error('no answer', { cause: error });
  }
  if (response.body === null) return response;
  let bytes = 0;
  const counter = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      bytes += chunk.byteLength;
      if (bytes <= bodyMax) controller.enqueue(chunk);
      else controller.error(Object.assign(new Error('body too long'), { code: 'BODY_TOO_LONG' }));
    },
  });
  const { status, statusText, headers } = response;
  return new Response(response.body.pipeThrough(counter), { status, statusText, headers });
}

// ---------------------------------------------------------------- one call

interface Asking {
  readonly doing: string;
  readonly write: boolean;
  readonly signal: AbortSignal;
}

interface Answer<T> {
  readonly result: T;
  readonly page: z.output<typeof pageInfo> | null;
}

/**
 * One call. Through the SDK's plain verbs, for its typed methods hand out `result` alone: under
 * HTTP 200 they take `success: false`, an HTML page or an empty body for an answer.
 */
async function call<T>(
  account: Account,
  options: Asking & { readonly shape: z.ZodType<T> },
  send: (client: Cloudflare, signal: AbortSignal) => Promise<unknown>,
): Promise<Result<Answer<T>>> {
  const client = await account.client(options.signal, account.timeoutMs);
  if (!client.ok) return client;
  const answer = await exchange(
    {
      ...options,
      timeoutMs: account.timeoutMs,
      explain: (error) => {
        const { status, errors, headers } = fieldsOf(error);
        if (typeof status !== 'number') return null;
        return explain(account, options, { status, errors, headers });
      },
    },
    (signal) => {
      account.count();
      return send(client.value, signal);
    },
  );
  if (!answer.ok) return answer;
  const { success, errors } = fieldsOf(answer.value);
  if (success === false) {
    return { ok: false, fault: explain(account, options, { status: 200, errors, headers: null }) };
  }
  const whole = envelope.safeParse(answer.value);
  const result = options.shape.safeParse(whole.data?.result);
  return whole.success && result.success
    ? done({ result: result.data, page: whole.data.result_info ?? null })
    : garbled(options.doing, options.write, 'success was answered, but without what it must say');
}

/** Errors about the token or its headers, whatever status they come with. */
const refusingToken = new Set([6003, 6111, 9103, 9106, 9109, 10_000]);

/** The zone in the path does not exist, or not for this token. */
const unknownZone = new Set([1001, 7000, 7003]);

/**
 * What a batch meets when somebody else was faster: an id that is gone (81044), or a record that
 * now stands where one was to be made.
 */
const overtaken = new Set([81_044, 81_053, 81_054, 81_056, 81_057, 81_058]);

/** The vendor's refusal, by its own code first and the HTTP status after it. Never by message. */
function explain(
  account: Account,
  { doing, write }: { readonly doing: string; readonly write: boolean },
  said: { readonly status: number; readonly errors: unknown; readonly headers: unknown },
): Fault {
  const { status } = said;
  const first = fieldsOf(Array.isArray(said.errors) ? said.errors[0] : null);
  const code = typeof first['code'] === 'number' ? first['code'] : null;
  const coded = code === null ? '' : `code ${code}`;
  const retryAfterMs = parseRetryAfter(headerOf(said.headers, 'retry-after'), Date.now());
  const text = scrub(messageOf(first), account.secrets);
  const detail = `${doing}: HTTP ${status}${coded && ` (${coded})`}${text && `: ${text}`}`;
  if (status === 429) return fault('throttled', detail, { retryAfterMs });
  if ((code !== null && refusingToken.has(code)) || status === 401 || status === 403) {
    const cure = 'check the token and its permissions';
    // Not its text: it may speak of the headers that were sent.
    const short = `${doing}: HTTP ${status}${coded && ` (${coded})`}`;
    return fault('auth-suspect', short, { cure });
  }
  if (code !== null && unknownZone.has(code)) account.lostZone();
  if (write && code !== null && overtaken.has(code)) return fault('conflict', detail);
  if (write && status === 404 && code === null) return fault('conflict', detail);
  // Its API itself says that it is failing, and a batch is made whole or not at all. Any other 5xx
  // may come from an edge that gave up waiting.
  if (status === 503 && code !== null) return fault('unavailable', detail, { retryAfterMs });
  const plain = statusFault(status, { doing, write }, coded, retryAfterMs);
  return { ...plain, detail };
}

function messageOf(error: Readonly<Record<string, unknown>>): string {
  const chain = error['error_chain'];
  const links = Array.isArray(chain) ? chain.slice(0, 3) : [];
  const texts = [error, ...links].map((link) => fieldsOf(link)['message']);
  return texts.filter((one) => typeof one === 'string').join(': ');
}

function headerOf(headers: unknown, name: string): string | null {
  const { get } = fieldsOf(headers);
  const value: unknown = typeof get === 'function' ? get.call(headers, name) : null;
  return typeof value === 'string' ? value : null;
}

// ---------------------------------------------------------------- zones

async function getZone(
  account: Account,
  id: string,
  signal: AbortSignal,
): Promise<Result<ZoneShape>> {
  const asking = { doing: `reading zone ${id}`, write: false, shape: zoneShape, signal };
  const answer = await call(account, asking, (client, abort) =>
    client.get(`/zones/${id}`, { signal: abort }),
  );
  return answer.ok ? done(answer.value.result) : answer;
}

async function zoneByName(
  account: Account,
  zone: Name,
  signal: AbortSignal,
): Promise<Result<Zone | null>> {
  const asking = { doing: `looking for zone ${zone}`, write: false, signal };
  const answer = await call(account, { ...asking, shape: z.array(zoneShape) }, (client, abort) =>
    client.get('/zones', { query: { name: bare(zone), per_page: 50 }, signal: abort }),
  );
  if (!answer.ok) return answer;
  const same = answer.value.result.filter((found) => nameFrom(found.name) === zone);
  const active = same.filter((found) => found.status === 'active');
  if (active.length > 1) {
    return failed('rejected', `${active.length} active zones are named ${zone}`, {
      cure: 'set zoneId to the one that the parent zone delegates to',
    });
  }
  const found = active[0] ?? same[0];
  return found === undefined ? done(null) : usable(found);
}

function usable(found: ZoneShape): Result<Zone> {
  const name = nameFrom(found.name);
  const wrong = (what: string, cure: string) =>
    failed('rejected', `zone ${name} ${what}`, { cure });
  if (found.type !== 'full') {
    return wrong(`is of type ${scrub(found.type, [])}`, 'make it a full (primary) zone');
  }
  if (found.status !== 'active') {
    return wrong(`is ${scrub(found.status, [])}, not active`, 'delegate it to its name servers');
  }
  if (found.paused) return wrong('is paused', 'unpause it in the dashboard');
  const plan = found.plan?.legacy_id ?? '';
  const ttlMin = plan === 'enterprise' ? ttlMinEnterprise : ttlMinUsual;
  const operationsMax = paidPlans.includes(plan) ? batchOperationsPaid : batchOperationsLeast;
  return done({ id: found.id, name, ttlMin, operationsMax });
}

/** DNS settings of a zone; null where the token may not see them. */
async function settingsOf(
  account: Account,
  zone: Zone,
  signal: AbortSignal,
): Promise<Result<DnsSettings | null>> {
  const doing = `reading DNS settings of ${zone.name}`;
  const answer = await call(
    account,
    { doing, write: false, shape: dnsSettings, signal },
    (client, abort) => client.get(`/zones/${zone.id}/dns_settings`, { signal: abort }),
  );
  if (answer.ok) return done(answer.value.result);
  const hidden = answer.fault.kind === 'auth-suspect' || answer.fault.kind === 'rejected';
  return hidden ? done(null) : answer;
}

async function zoneFacts(
  account: Account,
  known: Zone,
  signal: AbortSignal,
): Promise<Result<ZoneFacts>> {
  const found = await getZone(account, known.id, signal);
  if (!found.ok) return found;
  const zone = usable(found.value);
  if (!zone.ok) return zone;
  const { name, ttlMin } = zone.value;
  const nameServers = (found.value.name_servers ?? []).map((host) => host.toLowerCase());
  if (nameServers.length === 0) return garbled(`reading zone ${name}`, false, 'no name servers');
  const dns = await settingsOf(account, zone.value, signal);
  if (!dns.ok) return dns;
  const warnings: string[] = [];
  if (dns.value === null) {
    warnings.push(
      `The token may not see the DNS settings of ${name}: whether its CNAMEs are flattened is ` +
        'unknown; add Zone DNS Settings Read to it.',
    );
  }
  if (dns.value?.zone_mode === 'cdn_only') {
    return failed('rejected', `zone ${name} is CDN-only: its DNS is not served from here`, {
      cure: 'set its zone mode to standard or DNS-only',
    });
  }
  if (dns.value?.multi_provider === false) {
    warnings.push(
      `Multi-provider DNS is off for ${name}: with other vendors' name servers beside its own ` +
        'Cloudflare may take the zone for moved away; turn it on in the DNS settings.',
    );
  }
  if (dns.value?.flatten_all_cnames === true) {
    warnings.push(`${name} flattens all CNAMEs: nothing in it can be steered until that is off.`);
  }
  return done({ zone: name, nameServers, ttlMin, warnings });
}

// ---------------------------------------------------------------- looking before it is needed

const tokenShape = z.object({
  status: z.string(),
  expires_on: z.string().nullish(),
});

/** Days before its end from which a token's end is told. */
const tokenDaysMin = 30;

/** How long the token still lives. A token of an account, unlike a user's, may not ask for this. */
async function lookAtToken(account: Account, signal: AbortSignal): Promise<readonly Finding[]> {
  const asking = { doing: 'verifying the token', write: false, shape: tokenShape, signal };
  const answer = await call(account, asking, (client, abort) =>
    client.get('/user/tokens/verify', { signal: abort }),
  );
  if (!answer.ok) return [];
  const { status, expires_on: end } = answer.value.result;
  const cure = 'make a new token now, while the dashboard can be reached';
  if (status !== 'active') return [bad('credentials', `the token is ${scrub(status, [])}`, cure)];
  const days = Math.floor((Date.parse(end ?? '') - Date.now()) / 86_400_000);
  if (Number.isNaN(days) || days >= tokenDaysMin) return [];
  return [warn('credentials', `the token expires in ${Math.max(0, days)} days`, cure)];
}

async function lookAtSettings(
  account: Account,
  zone: Zone,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const { name } = zone;
  const dns = await settingsOf(account, zone, signal);
  if (!dns.ok) return [fromFault('flattening', dns.fault)];
  if (dns.value === null) {
    const unseen = `the token may not see the DNS settings of ${name}`;
    const cure = 'add Zone DNS Settings Read to it: whether CNAMEs are flattened is not known';
    return [warn('flattening', unseen, cure)];
  }
  const { flatten_all_cnames: flattens, multi_provider: several, zone_mode: mode, soa } = dns.value;
  const findings: Finding[] = [];
  if (mode === 'cdn_only') {
    const sentence = `zone ${name} is CDN-only: its DNS is not served from here`;
    findings.push(bad('zone', sentence, 'set its zone mode to standard or DNS-only'));
  }
  findings.push(
    flattens
      ? bad('flattening', `${name} flattens all CNAMEs: nothing can be steered`, 'turn that off')
      : good('flattening', `${name} does not flatten all of its CNAMEs`),
  );
  findings.push(
    several === false
      ? warn(
          'multi-provider',
          `multi-provider DNS is off for ${name}: with other vendors' name servers beside its own ` +
            'Cloudflare may take the zone for moved away',
          'turn it on in the DNS settings',
        )
      : good('multi-provider', `${name} may have other vendors' name servers beside its own`),
  );
  if (soa) findings.push(negativeTtl(name, Math.min(soa.min_ttl, soa.ttl)));
  return findings;
}

/** Deletes a record that never was: without DNS Write that is a 403, with it the id is unknown. */
async function tryWriting(account: Account, zone: Zone, signal: AbortSignal): Promise<Finding> {
  const body = { deletes: [{ id: never() }] };
  const doing = `batch of nothing in ${zone.name}`;
  const answer = await call(
    account,
    { doing, write: true, shape: z.unknown(), signal },
    (client, abort) => client.post(`/zones/${zone.id}/dns_records/batch`, { body, signal: abort }),
  );
  return fromProbe(zone.name, answer.ok ? null : answer.fault);
}

// ---------------------------------------------------------------- reading

async function readZone(
  account: Account,
  zone: Zone,
  names: readonly Name[],
  signal: AbortSignal,
): Promise<Result<Readonly<Record<Name, Seen>>>> {
  const [dns, records] = await Promise.all([
    settingsOf(account, zone, signal),
    recordsOf(account, zone, names, { ownersOf: pairOf, byNameMax }, signal),
  ]);
  if (!records.ok) return records;
  if (!dns.ok) return dns;
  const flattening = dns.value?.flatten_all_cnames === true;
  const at = Map.groupBy(records.value.records, (record) => nameFrom(record.name));
  const seen: Record<Name, Seen> = {};
  for (const name of records.value.names) {
    const marker = at.get(markerOf(name)) ?? [];
    seen[name] = seenOf(zone, flattening, name, at.get(name) ?? [], marker);
  }
  return done(seen);
}

/** Which names belong to a record, and of how many records they may be asked for one by one. */
interface Wanted {
  readonly ownersOf: (name: Name) => readonly Name[];
  readonly byNameMax: number;
}

const pairOf = (name: Name): readonly Name[] => [name, markerOf(name)];

/** What stands at these names' owners; in a zone too long to list, at those of the first of them. */
async function recordsOf(
  account: Account,
  zone: Pick<Zone, 'id' | 'name'>,
  names: readonly Name[],
  { ownersOf, byNameMax }: Wanted,
  signal: AbortSignal,
): Promise<Result<{ readonly names: readonly Name[]; readonly records: readonly DnsRecord[] }>> {
  if (names.length > listAboveNames) {
    const size = { perPage: listPage, pagesMax: Math.min(listPagesMax, names.length) };
    const all = await list(account, zone, {}, size, signal);
    if (!all.ok) return all;
    if (all.value !== null) return done({ names, records: all.value });
  }
  const first = names.slice(0, byNameMax);
  const wanted = first.flatMap(ownersOf);
  const size = { perPage: namePage, pagesMax: 1 };
  const each = await sideBySide(wanted, 4, async (name) => {
    const found = await list(account, zone, { 'name.exact': bare(name) }, size, signal);
    if (!found.ok) return found;
    return found.value === null
      ? garbled(`reading ${name}`, false, 'more records than can stand at one name')
      : done(found.value.filter((record) => nameFrom(record.name) === name));
  });
  return each.ok ? done({ names: first, records: each.value.flat() }) : each;
}

/**
 * All records that a query finds, page by page; null when they are too many. The SDK's own
 * iterator is not used: it never ends against a server that ignores the page asked for.
 */
async function list(
  account: Account,
  zone: Pick<Zone, 'id' | 'name'>,
  query: Readonly<Record<string, string>>,
  { perPage, pagesMax }: { readonly perPage: number; readonly pagesMax: number },
  signal: AbortSignal,
): Promise<Result<readonly DnsRecord[] | null>> {
  const doing = `listing records of ${zone.name}`;
  const found = new Map<string, DnsRecord>();
  for (let page = 1; page <= pagesMax; page++) {
    const answer = await call(
      account,
      { doing, write: false, shape: z.array(recordShape), signal },
      (client, abort) =>
        client.get(`/zones/${zone.id}/dns_records`, {
          query: { ...query, page, per_page: perPage },
          signal: abort,
        }),
    );
    if (!answer.ok) return answer;
    const { result, page: info } = answer.value;
    if (info === null || info.page !== page) {
      return garbled(doing, false, `page ${page} was asked for and another one was answered`);
    }
    for (const record of result) found.set(record.id, record);
    if (found.size >= info.total_count) return done([...found.values()]);
    if (info.total_count > info.per_page * pagesMax) return done(null);
    if (page * info.per_page >= info.total_count || result.length === 0) {
      return garbled(doing, false, `${found.size} of ${info.total_count} records were given`);
    }
  }
  return garbled(doing, false, 'its pages do not lead to an end');
}

function markerOf(name: Name): Name {
  return `_detour.${name}`;
}

/** As Cloudflare writes names. */
function bare(name: Name): string {
  return name.replace(/\.$/, '');
}

function servedTtl({ ttl }: DnsRecord): number {
  return ttl === 1 ? automaticTtl : ttl;
}

function seenOf(
  zone: Zone,
  flattening: boolean,
  name: Name,
  at: readonly DnsRecord[],
  atMarker: readonly DnsRecord[],
): Seen {
  const cnames = at.filter((record) => record.type === 'CNAME');
  const texts = atMarker.filter((record) => record.type === 'TXT');
  const ref: z.output<typeof idsRef> = {
    zone: zone.id,
    zoneName: zone.name,
    ttlMin: zone.ttlMin,
    operationsMax: zone.operationsMax,
    cname: cnames.length === 1 ? cnames[0]!.id : null,
    marker: texts.length === 1 ? texts[0]!.id : null,
  };
  return {
    cnames: cnames.map((record) => ({
      value: nameFrom(record.content ?? ''),
      ttl: servedTtl(record),
    })),
    markers: texts.map((record) => unquoteText(record.content ?? '', 10)),
    refusal: refusalOf(zone, flattening, name, at, atMarker),
    ref: ref as Json,
  };
}

function refusalOf(
  zone: Zone,
  flattening: boolean,
  name: Name,
  at: readonly DnsRecord[],
  atMarker: readonly DnsRecord[],
): Refusal | null {
  if (name === zone.name) {
    const sentence = `${name} is the zone itself, where Cloudflare flattens every CNAME`;
    return { word: 'apex', sentence };
  }
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
  readonly zone: string;
  readonly zoneName: Name;
  readonly ttlMin: number;
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
  readonly operationsMax: number;
}

async function write(
  account: Account,
  changes: readonly Change[],
  signal: AbortSignal,
): Promise<readonly Result<null>[]> {
  const results = new Array<Result<null>>(changes.length);
  const byZone = new Map<string, { index: number; prepared: Prepared }[]>();
  changes.forEach((change, index) => {
    const prepared = prepare(change);
    if (!prepared.ok) {
      results[index] = prepared;
      return;
    }
    const group = byZone.get(prepared.value.zone) ?? [];
    group.push({ index, prepared: prepared.value });
    byZone.set(prepared.value.zone, group);
  });
  for (const group of byZone.values()) {
    const first = group.flatMap(({ prepared }) => (prepared.unmarked === null ? [] : [prepared]));
    const claims = await claimFirst(account, first, signal);
    const ready: { index: number; prepared: Prepared }[] = [];
    for (const { index, prepared } of group) {
      const claim = claims.get(prepared.name);
      if (claim === undefined) ready.push({ index, prepared });
      else if (!claim.ok) results[index] = claim;
      else ready.push({ index, prepared: { ...prepared, deletes: [{ id: claim.value }] } });
    }
    const sent = await sendHalving(ready, {
      callsMax: capabilities.callsMax,
      fitting: ([one]) => Math.floor(one!.prepared.operationsMax / operationsPerChange),
      send: (items) =>
        send(
          account,
          items.map((item) => item.prepared),
          signal,
        ),
    });
    ready.forEach(({ index }, i) => {
      results[index] = sent[i]!;
    });
  }
  return results;
}

// ---------------------------------------------------------------- the first marker

/**
 * Where no marker stands, this text is what a batch deletes by its id. Its content must be the same
 * whoever writes it: an identical record is refused (81058), so that two first writers get the id
 * of one text, and only one of them can delete it.
 */
const claimText = '"first"';

function claimNameOf(name: Name): Name {
  return `_detour-epoch.${name}`;
}

/**
 * Puts the claim of each record where it does not stand yet, then reads once more: whoever sees
 * his claim, the CNAME as he read it and no marker knows that nobody was first, and that nobody
 * can be any more without taking that very claim away. The ids of the claims, or why not.
 */
async function claimFirst(
  account: Account,
  items: readonly Prepared[],
  signal: AbortSignal,
): Promise<ReadonlyMap<Name, Result<string>>> {
  const claims = new Map<Name, Result<string>>();
  const [one] = items;
  if (one === undefined) return claims;
  const zone = { id: one.zone, name: one.zoneName };
  const names = items.map((item) => item.name);
  const wanted = { ownersOf: (name: Name) => [claimNameOf(name)], byNameMax: firstByNameMax };
  const standing = await recordsOf(account, zone, names, wanted, signal);
  if (!standing.ok) return new Map(names.map((name) => [name, standing]));
  const left = 'not sent: so many first markers take several turns in a zone too large to list';
  const missing: Prepared[] = [];
  for (const item of items) {
    const { name } = item;
    const claim = claimIn(standing.value.records, name);
    if (!standing.value.names.includes(name)) claims.set(name, failed('conflict', left));
    else if (claim === null) missing.push(item);
    else claims.set(name, done(claim));
  }
  const posted = await sendHalving(missing, {
    callsMax: capabilities.callsMax,
    fitting: ([item]) => item!.operationsMax,
    send: (some) => postClaims(account, some, claims, signal),
  });
  missing.forEach(({ name }, i) => {
    const result = posted[i]!;
    if (!result.ok) claims.set(name, result);
  });
  return lookAgain(account, zone, items, claims, signal);
}

async function postClaims(
  account: Account,
  items: readonly Prepared[],
  claims: Map<Name, Result<string>>,
  signal: AbortSignal,
): Promise<Sent> {
  const posts = items.map(({ name, ttlMin }) => ({
    name: bare(claimNameOf(name)),
    type: 'TXT',
    ttl: ttlMin,
    content: claimText,
  }));
  const doing = `batch that claims ${items.length === 1 ? items[0]!.name : `${items.length} records`}`;
  const sent = await batch(account, items[0]!.zone, doing, { posts }, signal);
  if (!sent.ok) return { result: sent, divisible: isDivisible(sent.fault) };
  const made = new Map(
    (sent.value.posts ?? []).flatMap(({ id, name }) => (name ? [[nameFrom(name), id]] : [])),
  );
  for (const { name } of items) {
    const id = made.get(claimNameOf(name));
    if (id === undefined) {
      const result = garbled(doing, true, 'not all of it was answered as made');
      return { result, divisible: false };
    }
    claims.set(name, done(id));
  }
  return { result: done(null), divisible: false };
}

/** Withdraws the claims that came too late; the others stand against what was read. */
async function lookAgain(
  account: Account,
  zone: Pick<Zone, 'id' | 'name'>,
  items: readonly Prepared[],
  claims: ReadonlyMap<Name, Result<string>>,
  signal: AbortSignal,
): Promise<ReadonlyMap<Name, Result<string>>> {
  const claimed = items.filter((item) => claims.get(item.name)?.ok === true);
  if (claimed.length === 0) return claims;
  const checked = new Map(claims);
  const read = await recordsOf(
    account,
    zone,
    claimed.map((item) => item.name),
    { ownersOf: (name) => [claimNameOf(name), ...pairOf(name)], byNameMax: firstByNameMax },
    signal,
  );
  const late: { readonly id: string }[] = [];
  for (const { name, unmarked } of claimed) {
    const claim = claims.get(name)!;
    if (!claim.ok) continue;
    if (!read.ok) {
      checked.set(name, read);
      continue;
    }
    const at = read.value.records.filter((record) => nameFrom(record.name) === name);
    const [cname] = at;
    const isAsRead =
      at.length === 1 &&
      cname?.id === unmarked!.id &&
      nameFrom(cname.content ?? '') === unmarked!.value &&
      servedTtl(cname) === unmarked!.ttl;
    const isMarked = read.value.records.some((record) => nameFrom(record.name) === markerOf(name));
    if (!read.value.names.includes(name) || claimIn(read.value.records, name) !== claim.value) {
      const detail = `${name}: its claim is not read back; somebody else took it, or reading lags`;
      checked.set(name, failed('conflict', detail));
    } else if (isMarked || !isAsRead) {
      checked.set(name, failed('conflict', `${name} is no longer what was read`));
      if (isMarked) late.push({ id: claim.value });
    }
  }
  // One that is left behind does no harm: the next first writer takes it.
  if (late.length > 0) {
    await batch(account, zone.id, 'batch that withdraws claims', { deletes: late }, signal);
  }
  return checked;
}

function claimIn(records: readonly DnsRecord[], name: Name): string | null {
  const at = claimNameOf(name);
  const claim = records.find(
    (r) => r.type === 'TXT' && nameFrom(r.name) === at && quoted(r.content) === claimText,
  );
  return claim?.id ?? null;
}

function quoted(content: string | null | undefined): string | null {
  return quoteText(unquoteText(content ?? '', 10), 10);
}

// ---------------------------------------------------------------- one change, one batch

function prepare({ name, from, to }: Change): Result<Prepared> {
  const ref = idsRef.safeParse(from.ref);
  if (!ref.success) {
    return failed('conflict', `${name} was not read through this account`, { cure: 'read again' });
  }
  if (from.refusal !== null) return failed('rejected', from.refusal.sentence);
  const { zone, zoneName, ttlMin, operationsMax, cname, marker } = ref.data;
  if ((from.cnames.length > 0 && cname === null) || (from.markers.length > 0 && marker === null)) {
    return failed('rejected', `more than one CNAME or marker stands at ${name}`, {
      cure: 'leave exactly one of each',
    });
  }
  if (isWithin(to.cname, zoneName)) {
    return failed('rejected', `${to.cname} is in the zone ${zoneName} itself`, {
      cure: 'Cloudflare flattens a CNAME within one zone; keep targets in another zone',
    });
  }
  const text = quoteText(to.marker, 10);
  if (text === null) {
    return failed('rejected', `the marker of ${name} is longer than ${textMax} bytes`);
  }
  const stands = from.cnames[0];
  const rewrite = stands?.value !== to.cname || stands.ttl !== to.ttl;
  if (rewrite && to.ttl < ttlMin) {
    return failed('rejected', `TTL ${to.ttl} of ${name} is below ${ttlMin}, the least here`, {
      cure: `publish takes a TTL per provider: give this one ${ttlMin} or more`,
    });
  }
  const wanted = { name: bare(name), type: 'CNAME', ttl: to.ttl, content: bare(to.cname) };
  const sign = {
    name: bare(markerOf(name)),
    type: 'TXT',
    ttl: Math.max(to.ttl, ttlMin),
    content: text,
  };
  const isFirst = marker === null && cname !== null && stands !== undefined;
  return done({
    zone,
    zoneName,
    ttlMin,
    name,
    unmarked: isFirst ? { id: cname, value: stands.value, ttl: stands.ttl } : null,
    deletes: marker === null ? [] : [{ id: marker }],
    patches: rewrite && cname !== null ? [{ id: cname, ...wanted }] : [],
    posts: rewrite && cname === null ? [{ ...wanted, proxied: false }, sign] : [sign],
    operationsMax,
  });
}

async function send(
  account: Account,
  items: readonly Prepared[],
  signal: AbortSignal,
): Promise<Sent> {
  let zoneLost = false;
  const watching = {
    ...account,
    lostZone: () => {
      zoneLost = true;
      account.lostZone();
    },
  };
  const [first] = items;
  const what = items.length === 1 ? first!.name : `${items.length} records`;
  const body = {
    deletes: items.flatMap((item) => item.deletes),
    patches: items.flatMap((item) => item.patches),
    posts: items.flatMap((item) => item.posts),
  };
  const doing = `batch of ${what}`;
  const answer = await batch(watching, first!.zone, doing, body, signal);
  if (!answer.ok) {
    // The first error is all that is answered: which change it is about is found by halving.
    return { result: answer, divisible: !zoneLost && isDivisible(answer.fault) };
  }
  const { deletes, patches, posts } = answer.value;
  const whole =
    (deletes ?? []).length === body.deletes.length &&
    (patches ?? []).length === body.patches.length &&
    (posts ?? []).length === body.posts.length;
  const result = whole ? done(null) : garbled(doing, true, 'not all of it was answered as made');
  return { result, divisible: false };
}

function isDivisible({ kind }: Fault): boolean {
  return kind === 'conflict' || kind === 'rejected';
}

/** One transaction: made whole or not at all. */
async function batch(
  account: Account,
  zone: string,
  doing: string,
  body: Readonly<Record<string, readonly object[]>>,
  signal: AbortSignal,
): Promise<Result<z.output<typeof batchResult>>> {
  const asking = { doing, write: true, shape: batchResult, signal };
  const answer = await call(account, asking, (client, abort) =>
    client.post(`/zones/${zone}/dns_records/batch`, { body, signal: abort }),
  );
  return answer.ok ? done(answer.value.result) : answer;
}
