// Cloudflare's API as all of Detour's work there has it: an account and its SDK, one call and what
// its codes mean, zones and their settings, what stands at a name, one batch. It must never let the
// SDK repeat a call or wait out a Retry-After, and never believe a status without the envelope that
// says success.

import type { Agent } from 'node:http';
import { pipeline, Readable, Transform } from 'node:stream';
import type { BaseCloudflare } from 'cloudflare';
import fetch from 'node-fetch';
import { z } from 'zod';
import { FIRST_ID } from '../../src/core/marker.ts';
import type { FaultKind, Name } from '../../src/core/model.ts';
import type { AdapterContext } from '../../src/kit/extend.ts';
import type { SecretRef } from '../../src/kit/schema.ts';
import { agentFor, tunnelsOf } from './agents.ts';
import {
  type Called,
  done,
  exchange,
  failed,
  fieldsOf,
  garbled,
  loading,
  parseRetryAfter,
  type Scope,
  scrub,
  statusTrouble,
  type Trouble,
} from './fault.ts';
import { Listing, type ListingTurn } from './listing.ts';
import type { ProxySettings } from './proxy.ts';
import { nameFrom, spellings, type ZoneFinder } from './zone.ts';

/**
 * Operations in one batch ("Batch record changes", Cloudflare docs, 2026-11): 200 on the free plan,
 * and on any that is not told, 3500 on the others. A change needs three at most: delete, patch, post.
 */
export const batchOperationsLeast = 200;
const batchOperationsPaid = 3500;
const paidPlans: readonly string[] = ['pro', 'business', 'enterprise'];
const namePage = 100;

/** What a record with TTL 1, "automatic", is served with ("Time to Live", Cloudflare docs). */
const automaticTtl = 300;

/** Least TTL in seconds: 60, and 30 on Enterprise ("Time to Live", Cloudflare docs). */
const ttlMinUsual = 60;
const ttlMinEnterprise = 30;

/** Sent as `api-version`; the SDK would send today's date, and so change by itself. */
const apiVersion = '2026-11-01';

// ---------------------------------------------------------------- what the vendor says, checked

const pageInfo = z.object({
  page: z.number().int(),
  per_page: z.number().int().min(1),
  total_count: z.number().int().min(0),
});

const envelope = z.object({
  success: z.literal(true),
  result: z.unknown(),
  // Lists have it in this form; of other answers it says whatever it likes.
  result_info: pageInfo.optional().catch(undefined),
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
  // For people: nothing in them may spoil a reading.
  comment: z.string().nullish().catch(null),
  tags: z.array(z.string()).nullish().catch(null),
});

export type DnsRecord = z.output<typeof recordShape>;

const dnsSettings = z.object({
  flatten_all_cnames: z.boolean().nullish(),
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

export interface Zone {
  readonly id: string;
  readonly name: Name;
  readonly ttlMin: number;
  /** Operations that one batch may have. */
  readonly operationsMax: number;
}

export interface FoundZone extends Zone {
  readonly listing: Listing;
}

// ---------------------------------------------------------------- the account

export interface Account {
  readonly client: (signal: AbortSignal, timeoutMs: number) => Promise<Called<BaseCloudflare>>;
  readonly timeoutMs: number;
  readonly agent: Agent;
  readonly secrets: readonly string[];
  /** Requests sent so far. */
  calls: number;
}

/** What an account is opened with. */
interface Access {
  readonly apiToken: SecretRef;
  readonly endpoint: string;
  readonly proxy?: ProxySettings | undefined;
}

export function openAccount(chosen: Access, context: AdapterContext): Account {
  const apiToken = context.secret(chosen.apiToken);
  const timeoutMs = context.callTimeoutMs;
  // An idle connection is let go soon: a reused one that the vendor has just closed would make a
  // write uncertain for nothing.
  const idle = { keepAlive: true, maxFreeSockets: 4, timeout: 3000 };
  const agent = agentFor(chosen.endpoint, idle, context, tunnelsOf(chosen.proxy, context));
  return {
    timeoutMs,
    agent,
    secrets: [apiToken],
    calls: 0,
    client: loading('the SDK of Cloudflare', async () => {
      // Without its resources: the paths are written here, and they are two megabytes.
      const { createClient } = await import('cloudflare/tree-shakable');
      return createClient({
        resources: [],
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
        fetch: boundedFetch(agent),
        fetchOptions: { redirect: 'manual' },
      });
    }),
  };
}

/** Most bytes of one answer: 500 records are about 300 KB. */
const bodyMax = 8 * 1024 * 1024;

/** What the SDK fetches with: node-fetch, whose agent looks names up and verifies as Detour does. */
function boundedFetch(agent: Agent) {
  return async (url: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const { method = 'GET', body, signal } = init;
    let response: Awaited<ReturnType<typeof fetch>>;
    try {
      response = await fetch(url instanceof Request ? url.url : url, {
        method,
        headers: [...new Headers(init.headers)],
        body: typeof body === 'string' ? body : null,
        signal: signal ?? null,
        redirect: 'manual',
        agent,
      });
    } catch (error) {
      // The SDK reads the word "timeout" in a message as a timeout and drops the cause with its code.
      throw new Error('no answer', { cause: error });
    }
    const { status, statusText } = response;
    const headers = [...response.headers];
    const isBodiless = status === 204 || status === 304 || response.body === null;
    if (isBodiless) return new Response(null, { status, statusText, headers });
    return new Response(Readable.toWeb(bounded(response.body!)), { status, statusText, headers });
  };
}

/** The same bytes, and an error beyond the bound. */
function bounded(body: NodeJS.ReadableStream): Readable {
  let bytes = 0;
  const counter = new Transform({
    transform(chunk: Buffer, _, done) {
      bytes += chunk.length;
      if (bytes <= bodyMax) done(null, chunk);
      else done(Object.assign(new Error('body too long'), { code: 'BODY_TOO_LONG' }));
    },
  });
  // An error at either end ends both; whoever reads is told.
  return pipeline(body, counter, () => {});
}

// ---------------------------------------------------------------- one call

interface Asking {
  readonly doing: string;
  readonly write: boolean;
  readonly signal: AbortSignal;
}

interface Reply<T> {
  readonly result: T;
  readonly page: z.output<typeof pageInfo> | null;
}

/**
 * One call. Through the SDK's plain verbs, for its typed methods hand out `result` alone: under
 * HTTP 200 they take `success: false`, an HTML page or an empty body for an answer.
 */
export async function call<T>(
  account: Account,
  options: Asking & { readonly shape: z.ZodType<T> },
  send: (client: BaseCloudflare, signal: AbortSignal) => Promise<unknown>,
): Promise<Called<Reply<T>>> {
  const client = await account.client(options.signal, account.timeoutMs);
  if (!client.ok) return client;
  const answer = await exchange(
    {
      ...options,
      timeoutMs: account.timeoutMs,
      explain: (error) => {
        const { status, errors, headers } = fieldsOf(error);
        if (typeof status !== 'number') return null;
        return explain(options, { status, errors, headers }, account.secrets);
      },
    },
    (signal) => {
      account.calls++;
      return send(client.value, signal);
    },
  );
  if (!answer.ok) return answer;
  const { success, errors } = fieldsOf(answer.value);
  if (success === false) {
    const said = { status: 200, errors, headers: null };
    return { ok: false, ...explain(options, said, account.secrets) };
  }
  const whole = envelope.safeParse(answer.value);
  const result = options.shape.safeParse(whole.data?.result);
  return whole.success && result.success
    ? done({ result: result.data, page: whole.data.result_info ?? null })
    : garbled(options.doing, options.write, 'success was answered, but without what it must say');
}

/** What a code of the vendor's means: how bad, how far, and what would cure it. */
interface Row {
  readonly kind: FaultKind;
  readonly scope: Scope;
  readonly cure?: string;
  readonly stale?: true;
  /** Of a write alone: a reading that meets it is judged by its status. */
  readonly ofWrite?: true;
}

function rows(codes: readonly number[], row: Row): readonly (readonly [number, Row])[] {
  return codes.map((code) => [code, row]);
}

/**
 * The vendor's codes. A token that is malformed or unknown is everybody's trouble; one that is
 * refused for a resource is so for that zone, and a token has its permissions zone by zone.
 */
const codes: ReadonlyMap<number, Row> = new Map([
  // Headers that are missing or malformed, and a token that nobody knows.
  ...rows([1000, 6003, 6111, 9103, 9106], {
    kind: 'auth-suspect',
    scope: 'account',
    cure: 'check the token',
  }),
  ...rows([9109, 10_000], {
    kind: 'auth-suspect',
    scope: 'zone',
    cure: 'check the token, and its permissions for this zone',
  }),
  // The zone in the path does not exist, or not for this token.
  ...rows([1001, 7000, 7003], {
    kind: 'rejected',
    scope: 'zone',
    cure: 'the zone was deleted or is another account’s: check zone, zoneId and the token',
    stale: true,
  }),
  // What a batch meets when somebody else was faster: an id that is gone (81044), or a record that
  // now stands where one was to be made.
  ...rows([81_044, 81_053, 81_054, 81_056, 81_057, 81_058], {
    kind: 'conflict',
    scope: 'record',
    ofWrite: true,
  }),
]);

/** The vendor's refusal, by its own code first and the HTTP status after it. Never by message. */
function explain(
  { doing, write }: { readonly doing: string; readonly write: boolean },
  said: { readonly status: number; readonly errors: unknown; readonly headers: unknown },
  secrets: readonly string[],
): Trouble {
  const { status } = said;
  const first = fieldsOf(Array.isArray(said.errors) ? said.errors[0] : null);
  const code = typeof first['code'] === 'number' ? first['code'] : null;
  const coded = code === null ? '' : `code ${code}`;
  const retryAfterMs = parseRetryAfter(headerOf(said.headers, 'retry-after'), Date.now());
  const text = scrub(messageOf(first), secrets);
  const detail = `${doing}: HTTP ${status}${coded && ` (${coded})`}${text && `: ${text}`}`;
  const plain = statusTrouble(status, { doing, write }, coded, retryAfterMs);
  // Without its text: it may speak of the headers that were sent.
  if (status === 429 || status === 401) return plain;
  const row = code === null ? undefined : codes.get(code);
  if (row !== undefined && (write || !row.ofWrite)) {
    const { kind, scope, ofWrite, ...more } = row;
    return failed(scope, kind, kind === 'auth-suspect' ? plain.fault.detail : detail, more);
  }
  if (status === 403) return plain;
  if (write && status === 404 && code === null) return failed('record', 'conflict', detail);
  // Its API itself says that it is failing, and a batch is made whole or not at all. Any other 5xx
  // may come from an edge that gave up waiting.
  if (status === 503 && code !== null) {
    return failed('zone', 'unavailable', detail, { retryAfterMs });
  }
  const { kind } = plain.fault;
  const shown = { ...plain, fault: { ...plain.fault, detail } };
  // One of many changes may be to blame, or what is remembered of the zone's plan.
  return write && kind === 'rejected' ? { ...shown, scope: 'record', stale: true } : shown;
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

export async function getZone(
  account: Account,
  id: string,
  signal: AbortSignal,
): Promise<Called<ZoneShape>> {
  const asking = { doing: `reading zone ${id}`, write: false, shape: zoneShape, signal };
  const answer = await call(account, asking, (client, abort) =>
    client.get(`/zones/${id}`, { signal: abort }),
  );
  return answer.ok ? done(answer.value.result) : answer;
}

export async function zoneByName(
  account: Account,
  zone: Name,
  signal: AbortSignal,
): Promise<Called<FoundZone | null>> {
  const asking = { doing: `looking for zone ${zone}`, write: false, signal };
  let same: readonly ZoneShape[] = [];
  // Zones have their names in their own script; records, in ASCII (cloudflare-docs #1991).
  for (const name of spellings(zone)) {
    const answer = await call(account, { ...asking, shape: z.array(zoneShape) }, (client, abort) =>
      client.get('/zones', { query: { name, per_page: 50 }, signal: abort }),
    );
    if (!answer.ok) return answer;
    same = answer.value.result.filter((found) => nameFrom(found.name) === zone);
    if (same.length > 0) break;
  }
  const active = same.filter((found) => found.status === 'active');
  if (active.length > 1) {
    return failed('zone', 'rejected', `${active.length} active zones are named ${zone}`, {
      cure: 'set zoneId to the one that the parent zone delegates to',
      zone,
    });
  }
  const found = active[0] ?? same[0];
  return found === undefined ? done(null) : usable(found);
}

export function usable(found: ZoneShape): Called<FoundZone> {
  const name = nameFrom(found.name);
  const wrong = (what: string, cure: string, unserved: { readonly unserved?: true } = {}) =>
    failed('zone', 'rejected', `zone ${name} ${what}`, {
      cure,
      zone: name,
      stale: true,
      ...unserved,
    });
  if (found.type !== 'full') {
    return wrong(`is of type ${scrub(found.type, [])}`, 'make it a full (primary) zone');
  }
  if (found.status !== 'active') {
    const what = `is ${scrub(found.status, [])}, not active`;
    return wrong(what, 'delegate it to its name servers', { unserved: true });
  }
  if (found.paused) return wrong('is paused', 'unpause it in the dashboard');
  const plan = found.plan?.legacy_id ?? '';
  const ttlMin = plan === 'enterprise' ? ttlMinEnterprise : ttlMinUsual;
  const operationsMax = paidPlans.includes(plan) ? batchOperationsPaid : batchOperationsLeast;
  return done({ id: found.id, name, ttlMin, operationsMax, listing: new Listing() });
}

/** The zone of a record as it is today, and what else is said of it. */
export async function lookAtZone(
  account: Account,
  zones: ZoneFinder<FoundZone>,
  record: Name,
  signal: AbortSignal,
): Promise<Called<{ readonly zone: Zone; readonly detail: ZoneShape }>> {
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

/** Why the settings of a zone are not known: the token may not see them, or the server has none. */
type Unseen = 'denied' | 'absent';

export function sayUnseen(
  unseen: Unseen,
  zone: Name,
): { readonly says: string; readonly cure: string } {
  return unseen === 'denied'
    ? {
        says: `the token may not see the DNS settings of ${zone}`,
        cure: 'add Zone DNS Settings Read to it: whether CNAMEs are flattened is not known',
      }
    : {
        says: `the API has no DNS settings of ${zone}: whether CNAMEs are flattened is not known`,
        cure: 'look in the dashboard that CNAMEs are not flattened',
      };
}

/** DNS settings of a zone, or why they are not known. */
export async function settingsOf(
  account: Account,
  zone: Zone,
  signal: AbortSignal,
): Promise<Called<DnsSettings | Unseen>> {
  const doing = `reading DNS settings of ${zone.name}`;
  const answer = await call(
    account,
    { doing, write: false, shape: dnsSettings, signal },
    (client, abort) => client.get(`/zones/${zone.id}/dns_settings`, { signal: abort }),
  );
  if (answer.ok) {
    const { flatten_all_cnames: flattens } = answer.value.result;
    return done(typeof flattens === 'boolean' ? answer.value.result : 'absent');
  }
  const { kind } = answer.fault;
  if (kind === 'auth-suspect') return done('denied');
  return kind === 'rejected' ? done('absent') : answer;
}

export function isNs({ type }: DnsRecord): boolean {
  return type === 'NS';
}

// ---------------------------------------------------------------- reading

/** How many pages may be asked. */
type Pages = Pick<ListingTurn, 'next' | 'takes'>;

/** What stands at exactly this name. */
export async function readName(
  account: Account,
  zone: Zone,
  name: Name,
  signal: AbortSignal,
): Promise<Called<readonly DnsRecord[]>> {
  let asked = 0;
  const onePage: Pages = { next: () => asked++ === 0, takes: (pages) => pages <= 1 };
  const query = { 'name.exact': bare(name), per_page: namePage };
  const found = await list(account, zone, query, onePage, signal);
  if (!found.ok) return found;
  return found.value === null
    ? garbled(`reading ${name}`, false, 'more records than can stand at one name')
    : done(found.value.filter((record) => nameFrom(record.name) === name));
}

/**
 * All records that a query finds, page by page; null where that is more pages than may be asked. The
 * SDK's own iterator is not used: it never ends against a server that ignores the page asked for.
 */
export async function list(
  account: Account,
  zone: Zone,
  query: Readonly<Record<string, string | number>>,
  pages: Pages,
  signal: AbortSignal,
): Promise<Called<readonly DnsRecord[] | null>> {
  const doing = `listing records of ${zone.name}`;
  const found = new Map<string, DnsRecord>();
  for (let page = 1; pages.next(); page++) {
    const answer = await call(
      account,
      { doing, write: false, shape: z.array(recordShape), signal },
      (client, abort) =>
        client.get(`/zones/${zone.id}/dns_records`, { query: { ...query, page }, signal: abort }),
    );
    if (!answer.ok) return answer;
    const { result, page: info } = answer.value;
    if (info === null || info.page !== page) {
      return garbled(doing, false, `page ${page} was asked for and another one was answered`);
    }
    for (const record of result) found.set(record.id, record);
    if (found.size >= info.total_count) return done([...found.values()]);
    if (!pages.takes(Math.ceil(info.total_count / info.per_page))) break;
    if (page * info.per_page >= info.total_count || result.length === 0) {
      return garbled(doing, false, `${found.size} of ${info.total_count} records were given`);
    }
  }
  return done(null);
}

/** As Cloudflare writes names. */
export function bare(name: Name): string {
  return name.replace(/\.$/, '');
}

export function servedTtl({ ttl }: DnsRecord): number {
  return ttl === 1 ? automaticTtl : ttl;
}

// ---------------------------------------------------------------- one batch

/**
 * Where no marker stands, this text is what a batch deletes by its id. Its content must be the same
 * whoever writes it: an identical record is refused (81058), so that two first writers get the id
 * of one text, and only one of them can delete it.
 */
export const claimText = `"${FIRST_ID}"`;

/** One transaction: made whole or not at all. */
export async function sendBatch(
  account: Account,
  zone: Zone,
  doing: string,
  body: Readonly<Record<string, readonly object[]>>,
  signal: AbortSignal,
): Promise<Called<z.output<typeof batchResult>>> {
  const asking = { doing, write: true, shape: batchResult, signal };
  const answer = await call(account, asking, (client, abort) =>
    client.post(`/zones/${zone.id}/dns_records/batch`, { body, signal: abort }),
  );
  return answer.ok ? done(answer.value.result) : answer;
}
