// The lab's Cloudflare: the DNS part of the v4 API with its token check, its envelope, its batch
// transaction, its limits and its error codes, as the vendor's SDK meets them. Zones are kept in
// memory. A proxied name is answered in DNS by the edge, a flattened one by addresses, as in real
// life, so that a tool can be tested for refusing them. It never says success when it refused.
// Sources: Cloudflare's OpenAPI and developer documentation (read 2026-11), users' reports.

import { createHash, randomBytes } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import {
  type ApiReply,
  type ApiRequest,
  bareName,
  type Dialect,
  inAscii,
  inScript,
  isDenied,
  type LabRecord,
  type LabVendor,
  Ledger,
  type Publish,
  serverNames,
  startVendor,
  type VendorOptions,
  valuesOf,
  type ZoneSettings,
  type ZoneSpec,
} from './vendor.ts';
import { normalName, parseStrings, printStrings, type RRset, toAnswers } from './zone.ts';

interface CloudflareCredentials {
  readonly apiToken: string;
  /** When the token ends, as a date; never unless given. */
  readonly expiresOn?: string;
}

/** Starts a Cloudflare account. Rejects when an address or port cannot be had. */
export function startCloudflare(options: VendorOptions<CloudflareCredentials>): Promise<LabVendor> {
  return startVendor('cloudflare', options, (publish) => new Cloudflare(options, publish));
}

/** A record as the API prints it; names and host names without the trailing dot. */
interface DnsRecord {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly content: string;
  readonly proxiable: boolean;
  readonly proxied: boolean;
  /** Seconds; 1 is automatic. */
  readonly ttl: number;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly meta: Readonly<Record<string, never>>;
  readonly comment: string | null;
  readonly tags: readonly string[];
  readonly created_on: string;
  readonly modified_on: string;
  readonly priority?: number;
  readonly data?: Readonly<Record<string, unknown>>;
}

type Records = ReadonlyMap<string, DnsRecord>;

interface Zone {
  readonly id: string;
  readonly name: string;
  settings: ZoneSettings;
  readonly createdOn: string;
  readonly records: Ledger<Records>;
}

interface ApiError {
  readonly code: number;
  readonly message: string;
  readonly error_chain?: readonly { readonly code: number; readonly message: string }[];
}

class Refused extends Error {
  readonly status: number;
  readonly error: ApiError;

  constructor(status: number, error: ApiError) {
    super(error.message);
    this.status = status;
    this.error = error;
  }
}

/** 1200 requests in five minutes for everything a user does; then everything is blocked. */
const quotaRequests = 1200;
const quotaMs = 300_000;
/** The edge answers for proxied names with these; documentation addresses, so nobody is there. */
const edge: Readonly<Record<string, readonly string[]>> = {
  A: ['192.0.2.16', '192.0.2.17'],
  AAAA: ['2001:db8::16', '2001:db8::17'],
};
const automaticTtl = 300;
const ttlMost = 86_400;
const flattenHops = 8;
const types = ['A', 'AAAA', 'CAA', 'CNAME', 'MX', 'NS', 'PTR', 'SRV', 'TXT'];
const proxiableTypes = ['A', 'AAAA', 'CNAME'];
const plans = {
  free: { batch: 200, records: 200, comment: 100, tags: 0 },
  pro: { batch: 3500, records: 3500, comment: 500, tags: 20 },
  business: { batch: 3500, records: 3500, comment: 500, tags: 20 },
  enterprise: { batch: 3500, records: 3500, comment: 500, tags: 20 },
};

class Cloudflare implements Dialect {
  readonly symptoms = { paused: { paused: true }, moved: { status: 'moved' } };
  readonly #options: VendorOptions<CloudflareCredentials>;
  readonly #publish: Publish;
  /** By id. */
  readonly #zones = new Map<string, Zone>();
  readonly #nameServers: readonly string[];
  #windowEndsAt = 0;
  #requests = 0;
  #blockedUntil = 0;
  #faultUntil = 0;

  constructor(options: VendorOptions<CloudflareCredentials>, publish: Publish) {
    this.#options = options;
    this.#publish = publish;
    this.#nameServers = serverNames('cloudflare', options).map(bareName);
  }

  addZone(spec: ZoneSpec): void {
    const settings = spec.settings ?? {};
    this.#take(bareName(spec.name), settings, spec.records.flatMap(fromRecord));
  }

  /** A zone that is made anew has the old records under other ids. */
  removeZone(zone: string): () => void {
    const { id, name, settings, records } = this.#named(zone);
    this.#zones.delete(id);
    const again = [...records.now.values()].map((record) => ({ ...record, id: randomId() }));
    return () => this.#take(name, settings, again);
  }

  settle(zone: string, settings: ZoneSettings): void {
    this.#named(zone).settings = settings;
  }

  zoneOf(request: ApiRequest): string | null {
    const zone = this.#zones.get(route(request)?.zoneId ?? '');
    return zone === undefined ? null : normalName(zone.name);
  }

  zoneId(zone: string): string {
    return this.#named(zone).id;
  }

  rrsets(zone: string): readonly RRset[] {
    const found = this.#named(zone);
    const ns = this.#nameServers.map((name) => `${name}.`);
    const name = `${found.name}.`;
    const all = this.#served(found, found.records.now);
    const isOthers = (set: RRset) => set.name === name && set.type === 'NS';
    // Name servers of others at the apex count only beside its own, and only where it is told to.
    const others = (found.settings.multiProvider ?? true) ? (all.find(isOthers)?.values ?? []) : [];
    const values = [...new Set([...ns, ...others])];
    const apex = { name, type: 'NS', ttl: 86_400, values };
    return [apex, ...all.filter((set) => !isOthers(set))];
  }

  edit(zone: string, records: readonly LabRecord[], name: string, type: string): void {
    const found = this.#named(zone);
    const next = new Map(found.records.now);
    const old = [...next.values()].filter((r) => `${r.name}.` === name && r.type === type);
    for (const { id } of old) next.delete(id);
    for (const [at, record] of records.flatMap(fromRecord).entries()) {
      // A person changes a record in place: its id stays.
      const kept = old[at];
      const edited = kept ? { ...record, id: kept.id, created_on: kept.created_on } : record;
      next.set(edited.id, edited);
    }
    for (const rrset of this.#served(found, next)) toAnswers(rrset);
    found.records.commit(next);
    this.#publish(zone);
  }

  /** Cloudflare locks no single record. */
  protect(): boolean {
    return false;
  }

  operation(request: ApiRequest): string {
    return route(request)?.operation ?? 'unknown';
  }

  refusal(
    how: 'error' | 'throttle' | 'auth' | 'block' | 'too-large',
    request: ApiRequest,
  ): ApiReply {
    switch (how) {
      case 'error':
        return failed(503, { code: 7010, message: 'Service unavailable' });
      case 'throttle':
        return failed(429, slowDown, { 'retry-after': '1' });
      case 'auth':
        return denied(request);
      case 'block':
        // On its own clock: a healed vendor owes nothing to the fault.
        if (performance.now() >= this.#faultUntil) this.#faultUntil = performance.now() + quotaMs;
        return this.#blocked(this.#faultUntil);
      case 'too-large':
        return failed(413, { code: 10013, message: 'Request body is too large' });
    }
  }

  async answer(request: ApiRequest): Promise<ApiReply> {
    const limited = this.#charge();
    if (limited) return limited;
    const refused = this.#authenticate(request);
    if (refused) return refused;
    const found = route(request);
    if (!found) return failed(400, { code: 7000, message: 'No route for that URI' });
    if (this.#options.deny?.includes(found.operation)) return denied(request);
    const { settings = {} } = this.#zones.get(found.zoneId) ?? {};
    if (isDenied(settings, found.operation)) {
      return found.operation === 'zones.get' ? failed(403, unauthorized) : denied(request);
    }
    const ms = this.#options.changeMs ?? 0;
    if (request.method !== 'GET' && ms > 0) await new Promise((done) => setTimeout(done, ms));
    try {
      const reply = this.#dispatch(request, found);
      return { ...reply, headers: { ...reply.headers, ...this.#limitHeaders() } };
    } catch (error) {
      if (error instanceof Refused) return failed(error.status, error.error);
      throw error;
    }
  }

  #dispatch(request: ApiRequest, { operation, zoneId, recordId }: Route): ApiReply {
    switch (operation) {
      case 'user.tokens.verify': {
        const id = hex32(`token ${this.#options.credentials.apiToken}`);
        const note = { code: 10_000, message: 'This API Token is valid and active', type: null };
        const { expiresOn } = this.#options.credentials;
        const end = expiresOn === undefined ? {} : { expires_on: expiresOn };
        return succeeded({ id, status: 'active', ...end }, { messages: [note] });
      }
      case 'zones.list':
        return this.#listZones(request.query);
      case 'zones.get':
        return succeeded(this.#printZone(this.#zone(zoneId)));
      case 'dns.settings.zone.get':
        return succeeded(printSettings(this.#zone(zoneId)));
      case 'dns.records.list':
        return listRecords(this.#zone(zoneId).records.read(request.stale), request.query);
      case 'dns.records.get':
        return succeeded(existing(this.#zone(zoneId).records.read(request.stale), recordId));
      case 'dns.records.create':
        return this.#write(zoneId, { posts: [parseBody(request)] }, (r) => r.posts[0]);
      case 'dns.records.update':
        return this.#write(
          zoneId,
          { puts: [{ ...parseBody(request), id: recordId }] },
          (r) => r.puts[0],
        );
      case 'dns.records.edit':
        return this.#write(
          zoneId,
          { patches: [{ ...parseBody(request), id: recordId }] },
          (r) => r.patches[0],
        );
      case 'dns.records.delete':
        return this.#write(zoneId, { deletes: [{ id: recordId }] }, () => ({ id: recordId }));
      case 'dns.records.batch':
        return this.#batch(zoneId, parseBody(request));
    }
  }

  #batch(zoneId: string, body: Body): ApiReply {
    const lists = { deletes: [], patches: [], puts: [], posts: [] } as Record<string, Body[]>;
    for (const key of Object.keys(lists)) {
      const list = body[key] ?? [];
      if (!Array.isArray(list) || !list.every(isBody)) throw invalidBody(`${key} must be a list`);
      lists[key] = list;
    }
    const count = Object.values(lists).flat().length;
    const { batch } = plans[this.#zone(zoneId).settings.plan ?? 'free'];
    if (count === 0) throw invalidBody('a batch needs at least one operation');
    if (count > batch) throw invalidBody(`a batch may have ${batch} operations, not ${count}`);
    return this.#write(zoneId, lists, (result) => result);
  }

  /** One transaction, in the order deletes, patches, puts, posts; the first error undoes it all. */
  #write(
    zoneId: string,
    lists: Readonly<Record<string, readonly Body[]>>,
    pick: (result: Record<'deletes' | 'patches' | 'puts' | 'posts', DnsRecord[]>) => unknown,
  ): ApiReply {
    const zone = this.#zone(zoneId);
    const next = new Map(zone.records.now);
    const min = this.#options.ttlMin ?? (zone.settings.plan === 'enterprise' ? 30 : 60);
    const put = (record: DnsRecord) => {
      checkConflicts(next, record, zone.name);
      next.set(record.id, record);
      if (next.size > plans[zone.settings.plan ?? 'free'].records) {
        throw new Refused(400, { code: 81_045, message: 'Record quota exceeded.' });
      }
      return record;
    };
    const deletes = (lists['deletes'] ?? []).map((body) => {
      const record = existing(next, body['id']);
      next.delete(record.id);
      return record;
    });
    const patches = (lists['patches'] ?? []).map((body) => {
      const old = existing(next, body['id']);
      return put(build(zone, { ...fieldsOf(old), ...body }, old, min));
    });
    const puts = (lists['puts'] ?? []).map((body) => {
      return put(build(zone, body, existing(next, body['id']), min));
    });
    const posts = (lists['posts'] ?? []).map((body) => put(build(zone, body, null, min)));
    zone.records.commit(next);
    this.#publish(`${zone.name}.`);
    return { ...succeeded(pick({ deletes, patches, puts, posts })), wrote: true };
  }

  #take(name: string, settings: ZoneSettings, all: readonly DnsRecord[]): void {
    const [id, createdOn] = [randomId(), new Date().toISOString()];
    const records = new Ledger<Records>(new Map(all.map((record) => [record.id, record])));
    this.#zones.set(id, { id, name, settings, createdOn, records });
  }

  #named(name: string): Zone {
    for (const zone of this.#zones.values()) if (`${zone.name}.` === name) return zone;
    throw new Error(`cloudflare: no zone ${name} in the lab`);
  }

  #zone(id: string): Zone {
    const zone = this.#zones.get(id);
    if (!zone) throw new Refused(404, { code: 1001, message: 'Invalid zone identifier' });
    return zone;
  }

  #listZones(query: URLSearchParams): ApiReply {
    const name = query.get('name')?.toLowerCase() ?? null;
    const status = query.get('status');
    // A token sees the zones that it may read, and no others.
    const all = [...this.#zones.values()].filter(
      (zone) =>
        !isDenied(zone.settings, 'zones.get') &&
        (name === null || zone.name === inAscii(name.replace(/^equal:/, ''))) &&
        (status === null || (zone.settings.status ?? 'active') === status),
    );
    return page(
      all.map((zone) => this.#printZone(zone)),
      query,
      { usual: 20, most: 50 },
    );
  }

  /** Zones are told in their own script, records in ASCII (cloudflare-docs #1991). */
  #printZone({ id, name, settings, createdOn }: Zone): object {
    const plan = settings.plan ?? 'free';
    return {
      id,
      name: inScript(name),
      status: settings.status ?? 'active',
      paused: settings.paused ?? false,
      type: settings.type ?? 'full',
      development_mode: 0,
      name_servers: this.#nameServers,
      original_name_servers: null,
      original_registrar: null,
      original_dnshost: null,
      created_on: createdOn,
      modified_on: createdOn,
      activated_on: createdOn,
      vanity_name_servers: [],
      meta: { step: 2, custom_certificate_quota: 0, page_rule_quota: 3, phishing_detected: false },
      owner: { id: null, type: 'user', email: null },
      account: { id: hex32('account'), name: 'Lab' },
      permissions: ['#dns_records:edit', '#dns_records:read', '#zone:read'],
      plan: { id: hex32(plan), name: plan, price: 0, currency: 'USD', legacy_id: plan },
    };
  }

  /** What DNS gives: the edge for proxied names, addresses for flattened ones. */
  #served(zone: Zone, records: Records): RRset[] {
    const sets = new Map<string, { ttl: number; values: string[] }>();
    const add = (name: string, type: string, ttl: number, values: readonly string[]) => {
      const key = `${name} ${type}`;
      const set = sets.get(key) ?? { ttl, values: [] };
      set.values.push(...values.filter((value) => !set.values.includes(value)));
      sets.set(key, set);
    };
    for (const record of records.values()) {
      const ttl = record.ttl === 1 ? automaticTtl : record.ttl;
      // The edge answers for nobody while the zone is paused: its DNS goes on.
      if (record.proxied && !zone.settings.paused) {
        add(record.name, 'A', automaticTtl, edge['A']!);
        add(record.name, 'AAAA', automaticTtl, edge['AAAA']!);
      } else if (record.type === 'CNAME' && flattened(zone, record)) {
        for (const address of this.#addresses(records, record.content, 0)) {
          add(record.name, isIPv6(address) ? 'AAAA' : 'A', ttl, [address]);
        }
      } else {
        add(record.name, record.type, ttl, [presentation(record)]);
      }
    }
    // A name of which nothing is left (a dangling flattened CNAME) answers NODATA or NXDOMAIN.
    return [...sets].flatMap(([key, { ttl, values }]) => {
      const [name, type] = key.split(' ') as [string, string];
      return values.length > 0 ? [{ name: `${name}.`, type, ttl, values }] : [];
    });
  }

  #addresses(records: Records, name: string, hops: number): readonly string[] {
    const here = [...records.values()].filter((record) => record.name === name);
    const own = here.filter((r) => r.type === 'A' || r.type === 'AAAA').map((r) => r.content);
    if (own.length > 0) return own;
    const alias = here.find((record) => record.type === 'CNAME');
    if (alias && hops < flattenHops) return this.#addresses(records, alias.content, hops + 1);
    return this.#options.resolve?.(`${name}.`) ?? [];
  }

  #authenticate(request: ApiRequest): ApiReply | null {
    const header = request.headers.authorization;
    if (header === undefined) {
      return failed(400, {
        code: 9106,
        message: 'Missing X-Auth-Key, X-Auth-Email or Authorization headers',
      });
    }
    const { apiToken } = this.#options.credentials;
    if (header === `Bearer ${apiToken}`) return null;
    if (/^Bearer [A-Za-z0-9_-]{40,}$/.test(header)) return denied(request);
    return failed(400, {
      code: 6003,
      message: 'Invalid request headers',
      error_chain: [{ code: 6111, message: 'Invalid format for Authorization header' }],
    });
  }

  #charge(): ApiReply | null {
    if (this.#options.quotas === 'off') return null;
    const now = performance.now();
    if (now < this.#blockedUntil) return this.#blocked(this.#blockedUntil);
    if (now >= this.#windowEndsAt) {
      this.#windowEndsAt = now + quotaMs;
      this.#requests = 0;
    }
    this.#requests += 1;
    if (this.#requests <= quotaRequests) return null;
    this.#blockedUntil = now + quotaMs;
    this.#windowEndsAt = 0;
    return this.#blocked(this.#blockedUntil);
  }

  #blocked(until: number): ApiReply {
    const seconds = Math.ceil((until - performance.now()) / 1000);
    return failed(429, slowDown, { 'retry-after': String(seconds), ...this.#limitHeaders() });
  }

  #limitHeaders(): Record<string, string> {
    if (this.#options.quotas === 'off') return {};
    const now = performance.now();
    const blocked = now < this.#blockedUntil;
    const left = blocked ? 0 : Math.max(0, quotaRequests - this.#requests);
    const until = blocked ? this.#blockedUntil : this.#windowEndsAt;
    return {
      ratelimit: `"default";r=${left};t=${Math.max(0, Math.ceil((until - now) / 1000))}`,
      'ratelimit-policy': `"default";q=${quotaRequests};w=${quotaMs / 1000}`,
    };
  }
}

// ---------------------------------------------------------------- routes and envelope

const routes = [
  ['GET', /^\/user\/tokens\/verify$/, 'user.tokens.verify'],
  ['GET', /^\/zones$/, 'zones.list'],
  ['GET', /^\/zones\/([0-9a-f]{32})$/, 'zones.get'],
  ['GET', /^\/zones\/([0-9a-f]{32})\/dns_settings$/, 'dns.settings.zone.get'],
  ['GET', /^\/zones\/([0-9a-f]{32})\/dns_records$/, 'dns.records.list'],
  ['POST', /^\/zones\/([0-9a-f]{32})\/dns_records$/, 'dns.records.create'],
  ['POST', /^\/zones\/([0-9a-f]{32})\/dns_records\/batch$/, 'dns.records.batch'],
  ['GET', /^\/zones\/([0-9a-f]{32})\/dns_records\/([0-9a-f]{32})$/, 'dns.records.get'],
  ['PUT', /^\/zones\/([0-9a-f]{32})\/dns_records\/([0-9a-f]{32})$/, 'dns.records.update'],
  ['PATCH', /^\/zones\/([0-9a-f]{32})\/dns_records\/([0-9a-f]{32})$/, 'dns.records.edit'],
  ['DELETE', /^\/zones\/([0-9a-f]{32})\/dns_records\/([0-9a-f]{32})$/, 'dns.records.delete'],
] as const;

interface Route {
  readonly operation: (typeof routes)[number][2];
  readonly zoneId: string;
  readonly recordId: string;
}

function route(request: ApiRequest): Route | null {
  const base = '/client/v4';
  if (!request.path.startsWith(`${base}/`)) return null;
  const path = request.path.slice(base.length);
  for (const [method, pattern, operation] of routes) {
    const match = request.method === method ? pattern.exec(path) : null;
    if (match) return { operation, zoneId: match[1] ?? '', recordId: match[2] ?? '' };
  }
  return null;
}

function succeeded(result: unknown, more: object = {}): ApiReply {
  return json(200, { result, success: true, errors: [], messages: [], ...more });
}

function failed(
  status: number,
  error: ApiError,
  headers: Readonly<Record<string, string>> = {},
): ApiReply {
  return json(status, { result: null, success: false, errors: [error], messages: [] }, headers);
}

function denied(request: ApiRequest): ApiReply {
  return route(request)?.operation === 'user.tokens.verify'
    ? failed(401, { code: 1000, message: 'Invalid API Token' })
    : failed(403, { code: 10_000, message: 'Authentication error' });
}

/** Of a zone that the token has no right to. */
const unauthorized: ApiError = { code: 9109, message: 'Unauthorized to access requested resource' };

function json(status: number, body: object, headers: Record<string, string> = {}): ApiReply {
  const ray = `${randomBytes(8).toString('hex')}-LAB`;
  const type = 'application/json';
  return { status, type, headers: { 'cf-ray': ray, ...headers }, body: JSON.stringify(body) };
}

const slowDown: ApiError = {
  code: 971,
  message: 'Please wait and consider throttling your request speed',
};

// ---------------------------------------------------------------- reading

function listRecords(records: Records, query: URLSearchParams): ApiReply {
  const tests: ((record: DnsRecord) => boolean)[] = [];
  for (const [key, raw] of query) {
    const wanted = raw.toLowerCase();
    const [field, how = 'exact'] = key.split('.') as [string, string?];
    if (field === 'type') tests.push((r) => r.type === raw.toUpperCase());
    if (field === 'proxied') tests.push((r) => String(r.proxied) === wanted);
    if (field === 'search') {
      tests.push((r) => `${r.name}\n${r.content}\n${r.comment}`.toLowerCase().includes(wanted));
    }
    if (field === 'name' || field === 'content' || field === 'comment') {
      tests.push((r) => matches((r[field] ?? '').toLowerCase(), how, wanted));
    }
  }
  const any = query.get('match') === 'any' && tests.length > 0;
  const found = [...records.values()].filter((record) =>
    any ? tests.some((test) => test(record)) : tests.every((test) => test(record)),
  );
  const order = query.get('order');
  if (order === 'type' || order === 'name' || order === 'content') {
    const sign = query.get('direction') === 'desc' ? -1 : 1;
    found.sort((a, b) => sign * a[order].localeCompare(b[order]));
  }
  return page(found, query, { usual: 100, most: 5_000_000 });
}

function matches(value: string, how: string, wanted: string): boolean {
  switch (how) {
    case 'contains':
      return value.includes(wanted);
    case 'startswith':
      return value.startsWith(wanted);
    case 'endswith':
      return value.endsWith(wanted);
    case 'present':
      return value !== '';
    case 'absent':
      return value === '';
    default:
      return value === wanted;
  }
}

function page(
  all: readonly object[],
  query: URLSearchParams,
  size: { readonly usual: number; readonly most: number },
): ApiReply {
  const number = (key: string, usual: number, most: number) => {
    const given = query.get(key);
    if (given === null) return usual;
    const value = /^\d{1,8}$/.test(given) ? Number(given) : 0;
    if (value >= 1 && value <= most) return value;
    throw new Refused(400, { code: 1004, message: `Invalid ${key}: from 1 to ${most}` });
  };
  const perPage = number('per_page', size.usual, size.most);
  const at = number('page', 1, 99_999_999);
  const result = all.slice((at - 1) * perPage, at * perPage);
  const info = {
    page: at,
    per_page: perPage,
    count: result.length,
    total_count: all.length,
    total_pages: Math.ceil(all.length / perPage),
  };
  return succeeded(result, { result_info: info });
}

function printSettings({ settings }: Zone): object {
  return {
    flatten_all_cnames: settings.flattenAllCnames ?? false,
    foundation_dns: false,
    multi_provider: settings.multiProvider ?? true,
    secondary_overrides: false,
    zone_mode: settings.zoneMode ?? 'standard',
    ns_ttl: 86_400,
    nameservers: { type: 'cloudflare.standard' },
    internal_dns: { reference_zone_id: '' },
    soa: {
      mname: null,
      rname: 'dns.cloudflare.com',
      refresh: 10_000,
      retry: 2400,
      expire: 604_800,
      min_ttl: settings.soaMinimum ?? 1800,
      ttl: 3600,
    },
  };
}

// ---------------------------------------------------------------- writing

type Body = Readonly<Record<string, unknown>>;

function isBody(value: unknown): value is Body {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseBody(request: ApiRequest): Body {
  let value: unknown;
  try {
    value = JSON.parse(request.body.toString('utf8'));
  } catch {
    throw new Refused(400, { code: 6007, message: 'Malformed JSON in request body' });
  }
  if (!isBody(value)) throw invalidBody('the body must be an object');
  return value;
}

function invalidBody(detail: string): Refused {
  const error_chain = [{ code: 9207, message: detail }];
  return new Refused(400, { code: 9207, message: 'Request body is invalid.', error_chain });
}

function invalid(code: number, message: string): Refused {
  const error_chain = [{ code, message }];
  return new Refused(400, { code: 1004, message: 'DNS Validation Error', error_chain });
}

function existing(records: Records, id: unknown): DnsRecord {
  const record = typeof id === 'string' ? records.get(id) : undefined;
  if (!record) throw new Refused(404, { code: 81_044, message: 'Record does not exist.' });
  return record;
}

/** What a PATCH keeps of the record it does not mention. */
function fieldsOf(record: DnsRecord): Body {
  const { name, type, content, ttl, proxied, comment, tags, settings, priority, data } = record;
  return { name, type, content, ttl, proxied, comment, tags, settings, priority, data };
}

/** The record that a body describes; what it does not say gets the vendor's default. */
function build(zone: Zone, body: Body, old: DnsRecord | null, ttlMin: number): DnsRecord {
  const type = typeof body['type'] === 'string' ? body['type'].toUpperCase() : '';
  if (!types.includes(type)) throw invalid(9004, `Invalid type ${JSON.stringify(body['type'])}.`);
  const name = fullName(zone, body['name']);
  const ttl = body['ttl'] ?? 1;
  const inRange = Number.isInteger(ttl) && Number(ttl) >= ttlMin && Number(ttl) <= ttlMost;
  if (ttl !== 1 && !inRange) {
    const range = `between ${ttlMin} and ${ttlMost} seconds, or 1 for Automatic`;
    throw invalid(9021, `Invalid TTL. Must be ${range}.`);
  }
  const proxied = body['proxied'] ?? false;
  const proxiable = proxiableTypes.includes(type);
  if (typeof proxied !== 'boolean') throw invalidBody('proxied must be a boolean');
  if (proxied && !proxiable) throw invalid(9004, 'This record type cannot be proxied.');
  const { comment, tags } = notes(zone, body);
  const settings = body['settings'] ?? {};
  if (!isBody(settings)) throw invalidBody('settings must be an object');
  const now = new Date().toISOString();
  return {
    id: old?.id ?? randomId(),
    name,
    type,
    ...contentOf(type, name, body),
    proxiable,
    proxied,
    ttl: proxied ? 1 : Number(ttl),
    settings,
    meta: {},
    comment,
    tags,
    created_on: old?.created_on ?? now,
    modified_on: now,
  };
}

function notes(zone: Zone, body: Body): { comment: string | null; tags: readonly string[] } {
  const plan = plans[zone.settings.plan ?? 'free'];
  const comment = body['comment'] ?? null;
  const tags = body['tags'] ?? [];
  if (comment !== null && typeof comment !== 'string') throw invalidBody('comment must be a text');
  if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === 'string')) {
    throw invalidBody('tags must be a list of texts');
  }
  if (comment !== null && (comment.length > plan.comment || /[\r\n]/.test(comment))) {
    const rule = `at most ${plan.comment} characters on one line`;
    throw invalid(9301, `DNS record has a comment that is not ${rule}.`);
  }
  if (tags.length > plan.tags) {
    const message = `DNS record has ${tags.length} tags, exceeding the quota of ${plan.tags}.`;
    throw invalid(9300, message);
  }
  return { comment: comment === '' ? null : comment, tags };
}

/** Cloudflare appends the zone to a name that does not end with it. */
function fullName(zone: Zone, given: unknown): string {
  if (typeof given !== 'string' || given === '') throw invalid(9000, 'DNS name is invalid.');
  const bare = inAscii(given.toLowerCase()).replace(/\.$/, '');
  if (bare === '@') return zone.name;
  const full = bare === zone.name || bare.endsWith(`.${zone.name}`) ? bare : `${bare}.${zone.name}`;
  if (full.length > 253 || !isHost(full.replace(/^\*\./, '')))
    throw invalid(9000, 'DNS name is invalid.');
  return full;
}

function isHost(name: string): boolean {
  return name.length <= 253 && name.split('.').every((label) => /^[a-z0-9_-]{1,63}$/.test(label));
}

function contentOf(
  type: string,
  name: string,
  body: Body,
): Pick<DnsRecord, 'content' | 'priority' | 'data'> {
  if (type === 'SRV' || type === 'CAA') return structured(type, body);
  const given = body['content'];
  if (typeof given !== 'string' || given === '') {
    throw invalid(9003, `Content for ${type} record is missing.`);
  }
  if (type === 'TXT') {
    if (given.length > 2048) throw invalid(9013, 'Content for TXT record is too long.');
    if (given.includes('"') && parseStrings(given) === null) {
      throw invalid(9009, 'Content for TXT record must be quoted strings of up to 255 octets.');
    }
    return { content: given };
  }
  if (type === 'A' && !isIPv4(given)) {
    throw invalid(9005, 'Content for A record must be a valid IPv4 address.');
  }
  if (type === 'AAAA' && (!isIPv6(given) || given.includes('%'))) {
    throw invalid(9006, 'Content for AAAA record must be a valid IPv6 address.');
  }
  if (type === 'A' || type === 'AAAA') return { content: given };
  const content = inAscii(given.toLowerCase()).replace(/\.$/, '');
  if (!isHost(content) || isIPv4(content)) {
    throw invalid(9007, `Content for ${type} record is invalid.`);
  }
  if (type === 'CNAME' && content === name) {
    throw invalid(9039, 'CNAME content cannot reference itself.');
  }
  if (type !== 'MX') return { content };
  const priority = body['priority'];
  if (!isCount(priority)) throw invalid(9002, 'priority is a required data field.');
  return { content, priority };
}

function structured(
  type: 'SRV' | 'CAA',
  body: Body,
): Pick<DnsRecord, 'content' | 'priority' | 'data'> {
  const data = body['data'];
  if (!isBody(data)) throw invalid(9101, `${type} record needs a data object.`);
  if (type === 'CAA') {
    const { flags, tag, value } = data;
    const fits = isCount(flags) && typeof tag === 'string' && typeof value === 'string';
    if (!fits) throw invalid(9101, 'flags, tag and value are required data fields.');
    return { content: `${flags} ${tag} ${printStrings([value])}`, data };
  }
  const { priority, weight, port, target } = data;
  const counts = isCount(priority) && isCount(weight) && isCount(port);
  if (!counts || typeof target !== 'string' || !isHost(bareTarget(target))) {
    throw invalid(9101, 'priority, weight, port and target are required data fields.');
  }
  return { content: `${weight} ${port} ${bareTarget(target)}`, priority, data };
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 65_535;
}

function bareTarget(target: string): string {
  return target.toLowerCase().replace(/\.$/, '');
}

/** Throws the vendor's refusal when a record cannot stand beside the others of its name. */
function checkConflicts(records: Records, record: DnsRecord, apex: string): void {
  const others = [...records.values()].filter(
    (other) => other.name === record.name && other.id !== record.id,
  );
  const has = (...of: readonly string[]) => others.some((other) => of.includes(other.type));
  const refuse = (code: number, message: string) => {
    throw new Refused(400, { code, message });
  };
  if (record.type === 'CNAME' && has('A', 'AAAA', 'CNAME')) {
    refuse(81_053, 'An A, AAAA, or CNAME record with that host already exists.');
  }
  if ((record.type === 'A' || record.type === 'AAAA') && has('CNAME')) {
    refuse(81_054, 'A CNAME record with that host already exists.');
  }
  const isApex = record.name === apex;
  if (!isApex && (record.type === 'NS' ? others.some((o) => o.type !== 'NS') : has('NS'))) {
    refuse(81_056, 'NS records with that host already exist.');
  }
  const same = (other: DnsRecord) =>
    other.type === record.type && presentation(other) === presentation(record);
  if (others.some(same)) refuse(81_058, 'An identical record already exists.');
}

// ---------------------------------------------------------------- records

/** The record's value in the form of a zone file. */
function presentation(record: DnsRecord): string {
  switch (record.type) {
    case 'CNAME':
    case 'NS':
    case 'PTR':
      return `${record.content}.`;
    case 'MX':
      return `${record.priority} ${record.content}.`;
    case 'SRV':
      return `${record.priority} ${record.content}.`;
    case 'TXT': {
      const strings = record.content.includes('"') ? parseStrings(record.content) : null;
      if (strings) return printStrings(strings);
      // Without quotes the content is one text, split where a string is full.
      const octets = Buffer.from(record.content);
      const parts: Buffer[] = [];
      for (let at = 0; at < octets.length; at += 255) parts.push(octets.subarray(at, at + 255));
      return printStrings(parts);
    }
    default:
      return record.content;
  }
}

/** The records of a lab record, one a value. */
function fromRecord(record: LabRecord): DnsRecord[] {
  const name = bareName(record.name);
  const type = record.type.toUpperCase();
  const { proxied, flattenCname, comment } = record.extra ?? {};
  return valuesOf(record.value).map((value) => {
    const words = value.trim().split(/\s+/);
    const priority = type === 'MX' || type === 'SRV' ? Number(words[0]) : null;
    const rest = priority === null ? value.trim() : words.slice(1).join(' ');
    const now = new Date().toISOString();
    return {
      id: randomId(),
      name,
      type,
      content: type === 'TXT' || type === 'CAA' ? rest : rest.toLowerCase().replace(/\.$/, ''),
      proxiable: proxiableTypes.includes(type),
      proxied: proxied ?? false,
      ttl: proxied ? 1 : record.ttl,
      settings: flattenCname === undefined ? {} : { flatten_cname: flattenCname },
      meta: {},
      comment: comment ?? null,
      tags: [],
      created_on: now,
      modified_on: now,
      ...(priority === null ? {} : { priority }),
      ...dataOf(type, words),
    };
  });
}

/** The structured form of a value, for the types that the API writes with one. */
function dataOf(type: string, words: readonly string[]): Pick<DnsRecord, 'data'> {
  const [first, second, third, fourth] = words;
  if (type === 'CAA') {
    const value = parseStrings(words.slice(2).join(' '))?.[0]?.toString() ?? '';
    return { data: { flags: Number(first), tag: second, value } };
  }
  if (type !== 'SRV') return {};
  const [priority, weight, port] = [Number(first), Number(second), Number(third)];
  return { data: { priority, weight, port, target: bareTarget(fourth ?? '') } };
}

/** Whether a CNAME is answered with its target's addresses (Cloudflare, CNAME flattening). */
function flattened(zone: Zone, record: DnsRecord): boolean {
  return (
    record.name === zone.name ||
    record.settings['flatten_cname'] === true ||
    zone.settings.flattenAllCnames === true ||
    record.content === zone.name ||
    record.content.endsWith(`.${zone.name}`)
  );
}

function randomId(): string {
  return randomBytes(16).toString('hex');
}

function hex32(of: string): string {
  return createHash('sha256').update(of).digest('hex').slice(0, 32);
}
