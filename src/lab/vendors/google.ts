// The lab's Google Cloud DNS: the REST API v1 of one project with its bearer tokens checked, its
// atomic changes whose deletions must equal what stands, its limits and its error bodies. Zones are
// kept in memory. A change is `done` when it was sent to the name servers, not when they give it. It
// never makes half a change, and never takes a deletion that is not exact in every part.
// Sources: the reference of Cloud DNS v1, its quotas and error pages (read 2026-11), texts of errors
// from users' reports; how long a page is and how many requests a minute are taken is assumed.

import { randomInt } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import type { GoogleTokens } from './google-tokens.ts';
import {
  type ApiReply,
  type ApiRequest,
  bareName,
  type Dialect,
  isDenied,
  type LabRecord,
  type LabVendor,
  Ledger,
  type Publish,
  serverNames,
  startVendor,
  TokenBucket,
  type VendorOptions,
  valuesOf,
  type ZoneSettings,
  type ZoneSpec,
} from './vendor.ts';
import {
  normalName,
  parseStrings,
  printStrings,
  type RRset,
  servedTypes,
  soaFrom,
  toAnswers,
  ZoneError,
} from './zone.ts';

interface GoogleCredentials {
  readonly project: string;
  /** Whose tokens it takes. */
  readonly tokens: GoogleTokens;
}

/** Starts a project with Cloud DNS. Rejects when an address or port cannot be had. */
export function startGoogle(options: VendorOptions<GoogleCredentials>): Promise<LabVendor> {
  return startVendor('google', options, (publish) => new Google(options, publish));
}

/** A set of records as the API prints it. */
interface RecordSet {
  readonly name: string;
  readonly type: string;
  readonly ttl: number;
  /** Empty where a routing policy has them. */
  readonly rrdatas: readonly string[];
  readonly routingPolicy?: object;
}

type Sets = ReadonlyMap<string, RecordSet>;

interface ManagedZone {
  /** Numeric. */
  readonly id: string;
  /** As a resource, unlike its name in DNS. */
  readonly name: string;
  readonly dnsName: string;
  readonly createdOn: string;
  settings: ZoneSettings;
  readonly sets: Ledger<Sets>;
  readonly changes: Map<string, Change>;
  changesMade: number;
}

interface Change {
  readonly id: string;
  readonly startTime: string;
  readonly additions: readonly RecordSet[];
  readonly deletions: readonly RecordSet[];
  /** On the monotonic clock. */
  readonly doneAt: number;
}

/** What is wrong with a request, in the vendor's words. */
class Refused extends Error {
  readonly status: number;
  readonly reason: string;

  constructor(status: number, reason: string, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

const changesKept = 1000;
const pageUsual = 100;
const pageMost = 500;
const zonePageMost = 100;
/** Of one change, and of a zone (Cloud DNS, "Quotas and limits"). */
const additionsMost = 1000;
const deletionsMost = 1000;
const rrdataMost = 100_000;
const setsMost = 10_000;
const recordsMost = 100;
const ttlMost = 0x7fffffff;
/** Requests of a project: 600 a minute. */
const quota = { burst: 600, perSecond: 10 };

class Google implements Dialect {
  /** Cloud DNS pauses no zone: what comes near is a policy that denies every change of it. */
  readonly symptoms = {
    paused: { denied: ['dns.changes.create'] },
    moved: { foreign: true },
  };
  readonly #options: VendorOptions<GoogleCredentials>;
  readonly #publish: Publish;
  /** By id. */
  readonly #zones = new Map<string, ManagedZone>();
  readonly #bucket = new TokenBucket(quota.burst, quota.perSecond);
  readonly #nameServers: readonly string[];

  constructor(options: VendorOptions<GoogleCredentials>, publish: Publish) {
    this.#options = options;
    this.#publish = publish;
    this.#nameServers = serverNames('google', options);
  }

  addZone(spec: ZoneSpec): void {
    const dnsName = normalName(spec.name);
    const soa = soaFrom(dnsName, this.#nameServers[0]!, spec.soa ?? {});
    const numbers = [1, soa.refresh, soa.retry, soa.expire, soa.minimum].join(' ');
    const apex: RecordSet[] = [
      { name: dnsName, type: 'NS', ttl: 21_600, rrdatas: this.#nameServers },
      {
        ...{ name: dnsName, type: 'SOA', ttl: soa.ttl },
        rrdatas: [`${soa.mname} ${soa.rname} ${numbers}`],
      },
    ];
    const all = [...apex, ...spec.records.map(fromRecord)];
    const sets = new Ledger<Sets>(new Map(all.map((set) => [keyOf(set), set])));
    this.#take({ dnsName, settings: spec.settings ?? {}, sets });
  }

  removeZone(zone: string): () => void {
    const { id, dnsName, settings, sets } = this.#named(zone);
    this.#zones.delete(id);
    return () => this.#take({ dnsName, settings, sets });
  }

  settle(zone: string, settings: ZoneSettings): void {
    this.#named(zone).settings = settings;
  }

  zoneOf(request: ApiRequest): string | null {
    const found = this.#route(request);
    return found === null ? null : (this.#byWord(found.zone)?.dnsName ?? null);
  }

  zoneId(zone: string): string {
    return this.#named(zone).id;
  }

  /** A zone of another account has other name servers; a private one has none that the world asks. */
  rrsets(zone: string): readonly RRset[] | null {
    const { sets, settings } = this.#named(zone);
    return settings.foreign || settings.privateZone ? null : served(sets.now);
  }

  edit(zone: string, records: readonly LabRecord[], name: string, type: string): void {
    const { sets } = this.#named(zone);
    const next = new Map(sets.now);
    next.delete(`${name} ${type}`);
    for (const set of records.map(fromRecord)) next.set(keyOf(set), set);
    for (const rrset of served(next)) toAnswers(rrset);
    sets.commit(next);
    this.#publish(zone);
  }

  /** Cloud DNS locks no single record. */
  protect(): boolean {
    return false;
  }

  operation(request: ApiRequest): string {
    return this.#route(request)?.operation ?? 'unknown';
  }

  refusal(how: 'error' | 'throttle' | 'auth' | 'block' | 'too-large'): ApiReply {
    switch (how) {
      case 'error':
        return errorReply(503, 'backendError', 'The service is currently unavailable.');
      case 'auth':
        return errorReply(401, 'authError', badToken);
      case 'too-large':
        return errorReply(413, 'uploadTooLarge', 'Request payload size exceeds the limit.');
      case 'throttle':
        return errorReply(403, 'rateLimitExceeded', tooMany);
      case 'block':
        return errorReply(429, 'rateLimitExceeded', tooMany);
    }
  }

  async answer(request: ApiRequest): Promise<ApiReply> {
    try {
      this.#authenticate(request);
      const found = this.#route(request);
      if (found === null) throw new Refused(404, 'notFound', 'Not Found');
      if (this.#options.quotas !== 'off' && !this.#bucket.take()) {
        throw new Refused(403, 'rateLimitExceeded', tooMany);
      }
      if (found.project !== this.#options.credentials.project) {
        throw new Refused(403, 'forbidden', 'Forbidden');
      }
      return await this.#dispatch(request, found);
    } catch (error) {
      if (error instanceof Refused) return errorReply(error.status, error.reason, error.message);
      throw error;
    }
  }

  async #dispatch(request: ApiRequest, found: Route): Promise<ApiReply> {
    const { operation } = found;
    if (this.#options.deny?.includes(operation)) throw forbidden();
    if (operation === 'dns.managedZones.list') return this.#listZones(request.query);
    const zone = this.#zone(found.zone);
    if (isDenied(zone.settings, operation)) throw forbidden();
    switch (operation) {
      case 'dns.managedZones.get':
        return reply(this.#printZone(zone));
      case 'dns.resourceRecordSets.list':
        return listSets(zone.sets.read(request.stale), request.query);
      case 'dns.changes.create':
        return this.#change(zone, request.body);
      case 'dns.changes.list':
        return reply({
          kind: 'dns#changesListResponse',
          changes: [...zone.changes.values()].map(printChange),
        });
      case 'dns.changes.get': {
        const change = zone.changes.get(found.change);
        if (change) return reply(printChange(change));
        throw gone('parameters.changeId', found.change);
      }
    }
  }

  #authenticate({ headers }: ApiRequest): void {
    const { authorization } = headers;
    if (authorization === undefined) throw new Refused(401, 'required', 'Login Required.');
    const [, bearer] = /^Bearer (\S+)$/.exec(authorization) ?? [];
    const { tokens } = this.#options.credentials;
    if (bearer === undefined || tokens.flaw(bearer) !== null) {
      throw new Refused(401, 'authError', badToken);
    }
  }

  #route(request: ApiRequest): Route | null {
    for (const [method, pattern, operation] of routes) {
      const match = request.method === method ? pattern.exec(request.path) : null;
      if (match === null) continue;
      const [, project = '', zone = '', change = ''] = match.map(decoded);
      return { operation, project, zone, change };
    }
    return null;
  }

  #take(state: Pick<ManagedZone, 'dnsName' | 'settings' | 'sets'>): void {
    const id = `${randomInt(1, 10)}${String(randomInt(1e12)).padStart(12, '0')}`;
    const name = `${bareName(state.dnsName).replaceAll(/[^a-z0-9]/g, '-')}-${id.slice(-6)}`;
    const createdOn = new Date().toISOString();
    const changes = new Map<string, Change>();
    this.#zones.set(id, { ...state, id, name, createdOn, changes, changesMade: 0 });
  }

  #named(dnsName: string): ManagedZone {
    for (const zone of this.#zones.values()) if (zone.dnsName === dnsName) return zone;
    throw new Error(`google: no zone ${dnsName} in the lab`);
  }

  /** By its resource name or its number. */
  #byWord(word: string): ManagedZone | null {
    const found = this.#zones.get(word) ?? [...this.#zones.values()].find((z) => z.name === word);
    return found ?? null;
  }

  #zone(word: string): ManagedZone {
    const zone = this.#byWord(word);
    if (zone !== null && !zone.settings.foreign) return zone;
    throw gone('parameters.managedZone', word);
  }

  #listZones(query: URLSearchParams): ApiReply {
    const wanted = query.get('dnsName');
    if (wanted !== null && !isFullName(wanted)) throw invalid('parameters.dnsName', wanted);
    const own = [...this.#zones.values()].filter(({ settings }) => !settings.foreign);
    const all = own.flatMap((zone) => [zone, ...twinOf(zone)]);
    const same = all.filter((z) => wanted === null || z.dnsName === wanted);
    const zones = same.map((z) => this.#printZone(z));
    const { items, next } = pageOf(zones, ({ name }) => name, query, zonePageMost, zonePageMost);
    return reply({ kind: 'dns#managedZonesListResponse', managedZones: items, ...next });
  }

  #printZone({ id, name, dnsName, createdOn, settings }: ManagedZone) {
    const { privateZone, dnssec = 'off', special } = settings;
    return {
      kind: 'dns#managedZone',
      ...{ name, dnsName, description: '', id, creationTime: createdOn },
      nameServers: privateZone ? [] : this.#nameServers,
      visibility: privateZone ? 'private' : 'public',
      dnssecConfig: { kind: 'dns#managedZoneDnsSecConfig', state: dnssec, nonExistence: 'nsec3' },
      ...(special === undefined ? {} : { [`${special}Config`]: { kind: `dns#${special}` } }),
    };
  }

  async #change(zone: ManagedZone, body: Buffer): Promise<ApiReply> {
    const wanted = parseChange(body);
    this.#permit(zone, wanted);
    await new Promise((done) => setTimeout(done, this.#options.changeMs ?? 0));
    this.#zone(zone.id); // it may have been deleted meanwhile
    zone.sets.commit(applied(zone, wanted, this.#options.ttlMin ?? 0));
    const change: Change = {
      id: String(++zone.changesMade),
      startTime: new Date().toISOString(),
      ...wanted,
      // Sent to the name servers, which give it only a while later.
      doneAt: performance.now() + (this.#options.propagationMs ?? 20) / 2,
    };
    zone.changes.set(change.id, change);
    const oldest = zone.changes.keys().next();
    if (zone.changes.size > changesKept && !oldest.done) zone.changes.delete(oldest.value);
    this.#publish(zone.dnsName);
    return { ...reply({ ...printChange(change), status: 'pending' }), wrote: true };
  }

  /** What a change does is permitted set by set. */
  #permit({ settings }: ManagedZone, { additions, deletions }: Wanted): void {
    const { deny = [] } = this.#options;
    const [added, deleted] = [additions, deletions].map((sets) => sets.map(keyOf));
    const needed = [
      ...(additions.length > 0 ? ['dns.resourceRecordSets.create'] : []),
      ...(added!.some((key) => deleted!.includes(key)) ? ['dns.resourceRecordSets.update'] : []),
      ...(deletions.length > 0 ? ['dns.resourceRecordSets.delete'] : []),
    ];
    if (needed.some((one) => deny.includes(one) || isDenied(settings, one))) throw forbidden();
  }
}

const base = '^/dns/v1/projects/([^/]+)/managedZones';
const routes = [
  ['GET', new RegExp(`${base}$`), 'dns.managedZones.list'],
  ['GET', new RegExp(`${base}/([^/]+)$`), 'dns.managedZones.get'],
  ['GET', new RegExp(`${base}/([^/]+)/rrsets$`), 'dns.resourceRecordSets.list'],
  ['POST', new RegExp(`${base}/([^/]+)/changes$`), 'dns.changes.create'],
  ['GET', new RegExp(`${base}/([^/]+)/changes$`), 'dns.changes.list'],
  ['GET', new RegExp(`${base}/([^/]+)/changes/([^/]+)$`), 'dns.changes.get'],
] as const;

interface Route {
  readonly operation: (typeof routes)[number][2];
  readonly project: string;
  /** A zone's resource name or number; empty where there is none. */
  readonly zone: string;
  readonly change: string;
}

/** A part of a path; what cannot be decoded stays as it is, and names nothing. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Another zone of the same name in DNS, as split horizons have it. */
function twinOf(zone: ManagedZone): readonly ManagedZone[] {
  const { twin } = zone.settings;
  if (twin === undefined) return [];
  const settings = { privateZone: twin === 'private' };
  return [{ ...zone, id: `9${zone.id}`, name: `${zone.name}-twin`, settings }];
}

// ---------------------------------------------------------------- reading

function listSets(sets: Sets, query: URLSearchParams): ApiReply {
  const [name, type] = [query.get('name'), query.get('type')];
  if (type !== null && name === null) {
    throw new Refused(
      400,
      'required',
      "The 'parameters.name' parameter is required but was missing.",
    );
  }
  if (name !== null && !isFullName(name)) throw invalid('parameters.name', name);
  const found = [...sets.values()].filter(
    (set) => (name === null || set.name === name) && (type === null || set.type === type),
  );
  const { items, next } = pageOf(found, keyOf, query, pageUsual, pageMost);
  const rrsets = items.map(printSet);
  return reply({ kind: 'dns#resourceRecordSetsListResponse', rrsets, ...next });
}

function pageOf<T>(
  all: readonly T[],
  key: (one: T) => string,
  query: URLSearchParams,
  usual: number,
  most: number,
): { readonly items: readonly T[]; readonly next: object } {
  const asked = query.get('maxResults');
  const max = asked === null ? usual : Math.min(most, Number(asked));
  if (!(Number.isInteger(max) && max >= 1)) throw invalid('parameters.maxResults', asked ?? '');
  const token = query.get('pageToken');
  const from = token === null ? '' : Buffer.from(token, 'base64url').toString();
  if (token !== null && !from.startsWith('from ')) throw invalid('parameters.pageToken', token);
  const sorted = [...all].sort((a, b) => (key(a) < key(b) ? -1 : 1));
  const rest = sorted.filter((one) => `from ${key(one)}` >= from);
  const following = rest[max];
  const next =
    following === undefined
      ? {}
      : { nextPageToken: Buffer.from(`from ${key(following)}`).toString('base64url') };
  return { items: rest.slice(0, max), next };
}

// ---------------------------------------------------------------- writing

interface Wanted {
  readonly additions: readonly RecordSet[];
  readonly deletions: readonly RecordSet[];
}

function parseChange(body: Buffer): Wanted {
  let change: unknown;
  try {
    change = JSON.parse(body.toString('utf8'));
  } catch {
    throw new Refused(400, 'parseError', 'Parse Error');
  }
  const { additions = [], deletions = [] } = objectOf(change, 'entity.change');
  const stray = Object.keys(change as object).find((key) => !changeFields.includes(key));
  if (stray !== undefined) {
    const text = `Invalid JSON payload received. Unknown name "${stray}": Cannot find field.`;
    throw new Refused(400, 'invalid', text);
  }
  if (!Array.isArray(additions) || !Array.isArray(deletions)) {
    throw invalid('entity.change', 'additions');
  }
  if (additions.length + deletions.length === 0) {
    throw new Refused(
      400,
      'required',
      "The 'entity.change' parameter is required but was missing.",
    );
  }
  const parsed = {
    additions: additions.map((set, i) => parseSet(set, `entity.change.additions[${i}]`)),
    deletions: deletions.map((set, i) => parseSet(set, `entity.change.deletions[${i}]`)),
  };
  const limits = [
    ['rrsetAdditionsPerChange', additions.length, additionsMost],
    ['rrsetDeletionsPerChange', deletions.length, deletionsMost],
    ['totalRrdataSizePerChange', sizeOf(parsed), rrdataMost],
  ] as const;
  for (const [what, size, most] of limits) if (size > most) throw overQuota(what, size, most);
  return parsed;
}

const changeFields = ['kind', 'additions', 'deletions'];

function parseSet(given: unknown, at: string): RecordSet {
  const { name, type, ttl, rrdatas, routingPolicy } = objectOf(given, at);
  const missing = [
    ['name', name],
    ['type', type],
    ['ttl', ttl],
  ].find(([, value]) => value === undefined);
  if (missing !== undefined) {
    const text = `The '${at}.${missing[0]}' parameter is required but was missing.`;
    throw new Refused(400, 'required', text);
  }
  if (typeof name !== 'string' || !isFullName(name)) throw invalid(`${at}.name`, String(name));
  const isType = typeof type === 'string' && ['SOA', ...servedTypes].includes(type);
  if (!isType) throw invalid(`${at}.type`, String(type));
  const isTtl = typeof ttl === 'number' && Number.isInteger(ttl) && ttl >= 0 && ttl <= ttlMost;
  if (!isTtl) throw invalid(`${at}.ttl`, String(ttl));
  const values = Array.isArray(rrdatas) ? rrdatas : [];
  if (!values.every((one) => typeof one === 'string')) throw invalid(`${at}.rrdata`, '');
  if (values.length > recordsMost) {
    throw overQuota('resourceRecordsPerRrset', values.length, recordsMost);
  }
  const policy = routingPolicy === undefined ? {} : { routingPolicy: routingPolicy as object };
  return { name: name.toLowerCase(), type, ttl, rrdatas: values, ...policy };
}

/** The sets after the whole change. Throws Refused with the first thing that is wrong. */
function applied(zone: ManagedZone, { additions, deletions }: Wanted, ttlMin: number): Sets {
  const sets = new Map(zone.sets.now);
  for (const [i, set] of deletions.entries()) {
    const at = `entity.change.deletions[${i}]`;
    const found = sets.get(keyOf(set));
    if (found === undefined) throw gone(at, `${set.name} (${set.type})`);
    if (!isExact(found, set)) {
      throw new Refused(412, 'conditionNotMet', `Precondition not met for '${at}'`);
    }
    sets.delete(keyOf(set));
  }
  for (const [i, set] of additions.entries()) {
    const at = `entity.change.additions[${i}]`;
    checkAddition(zone, set, at, ttlMin);
    if (sets.has(keyOf(set))) {
      const text = `The resource '${at}' named '${set.name} (${set.type})' already exists`;
      throw new Refused(409, 'alreadyExists', text);
    }
    sets.set(keyOf(set), set);
  }
  for (const type of ['SOA', 'NS']) {
    if (sets.has(`${zone.dnsName} ${type}`)) continue;
    const text = `The zone ${zone.dnsName} must have exactly one apex ${type} resource record set.`;
    throw new Refused(400, 'invalidZoneApex', text);
  }
  checkClashes(sets, additions);
  if (sets.size > setsMost) throw overQuota('rrsetsPerManagedZone', sets.size, setsMost);
  return sets;
}

/** Name, type, TTL and every value, in whatever order. */
function isExact(found: RecordSet, set: RecordSet): boolean {
  const plain = ({ ttl, rrdatas, routingPolicy }: RecordSet) =>
    JSON.stringify([ttl, [...rrdatas].sort(), routingPolicy ?? null]);
  return plain(found) === plain(set);
}

function checkAddition(zone: ManagedZone, set: RecordSet, at: string, ttlMin: number): void {
  const { name, type, ttl, rrdatas, routingPolicy } = set;
  if (name !== zone.dnsName && !name.endsWith(`.${zone.dnsName}`))
    throw invalid(`${at}.name`, name);
  if (ttl < ttlMin) throw invalid(`${at}.ttl`, String(ttl));
  if (rrdatas.length === 0 && routingPolicy === undefined) {
    const text = `The '${at}.rrdata' parameter is required but was missing.`;
    throw new Refused(400, 'required', text);
  }
  const isOdd = (value: string, i: number) => {
    return valueIsWrong(type, value) || rrdatas.indexOf(value) !== i;
  };
  const odd = rrdatas.findIndex(isOdd);
  if (odd >= 0) throw invalid(`${at}.rrdata[${odd}]`, rrdatas[odd]!);
  if (type === 'CNAME' && rrdatas.length > 1) throw invalid(`${at}.rrdata`, rrdatas.join(' '));
}

function valueIsWrong(type: string, value: string): boolean {
  if (type === 'A') return !isIPv4(value);
  if (type === 'AAAA') return !isIPv6(value) || value.includes('%');
  if (type === 'SOA') return false;
  if (type === 'TXT') {
    const strings = value.startsWith('"') ? parseStrings(value) : null;
    return strings === null || strings.some((one) => one.length > 255);
  }
  // Host names are whole ones.
  if (!/[\s"]/.test(value) && !isFullName(value)) return true;
  try {
    toAnswers({ name: '.', type, ttl: 0, values: [value] });
    return false;
  } catch (error) {
    if (error instanceof ZoneError) return true;
    throw error;
  }
}

function checkClashes(sets: Sets, additions: readonly RecordSet[]): void {
  const typesAt = new Map<string, Set<string>>();
  for (const { name, type } of sets.values()) {
    typesAt.set(name, (typesAt.get(name) ?? new Set()).add(type));
  }
  for (const [i, { name }] of additions.entries()) {
    const types = typesAt.get(name)!;
    if (!types.has('CNAME') || types.size === 1) continue;
    const text =
      `The resource record set 'entity.change.additions[${i}]' is invalid because the DNS name ` +
      `'${name}' may have either one CNAME resource record set or resource record sets of other ` +
      'types, but not both.';
    throw new Refused(400, 'cnameResourceRecordSetConflict', text);
  }
}

function sizeOf({ additions, deletions }: Wanted): number {
  const values = [...additions, ...deletions].flatMap((set) => set.rrdatas);
  return values.reduce((sum, value) => sum + Buffer.byteLength(value), 0);
}

// ---------------------------------------------------------------- names and sets

function keyOf({ name, type }: Pick<RecordSet, 'name' | 'type'>): string {
  return `${name} ${type}`;
}

/** Fully qualified, in ASCII. */
function isFullName(text: string): boolean {
  if (!text.endsWith('.') || /[^\x21-\x7e]/.test(text)) return false;
  try {
    return normalName(text).length > 1;
  } catch (error) {
    if (error instanceof ZoneError) return false;
    throw error;
  }
}

function fromRecord(record: LabRecord): RecordSet {
  const { routingPolicy } = record.extra ?? {};
  const type = record.type.toUpperCase();
  const values = valuesOf(record.value).map((value) =>
    type === 'TXT' && !value.startsWith('"') ? printStrings([value]) : value,
  );
  const set = { name: normalName(record.name), type, ttl: record.ttl };
  if (routingPolicy !== 'wrr') return { ...set, rrdatas: values };
  const items = values.map((value) => ({ weight: 1, rrdatas: [value] }));
  return { ...set, rrdatas: [], routingPolicy: { wrr: { items } } };
}

/** What the name servers give: of a routing policy nothing, for here nobody is weighed. */
function served(sets: Sets): RRset[] {
  return [...sets.values()]
    .filter(({ type, rrdatas }) => type !== 'SOA' && rrdatas.length > 0)
    .map(({ name, type, ttl, rrdatas }) => ({ name, type, ttl, values: rrdatas }));
}

function printSet(set: RecordSet): object {
  return { kind: 'dns#resourceRecordSet', ...set };
}

function printChange({ id, startTime, additions, deletions, doneAt }: Change) {
  return {
    kind: 'dns#change',
    additions: additions.map(printSet),
    deletions: deletions.map(printSet),
    ...{ startTime, id },
    status: performance.now() < doneAt ? 'pending' : 'done',
    isServing: false,
  };
}

function objectOf(given: unknown, at: string): Readonly<Record<string, unknown>> {
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) {
    return given as Readonly<Record<string, unknown>>;
  }
  throw invalid(at, String(given));
}

// ---------------------------------------------------------------- refusals

const badToken =
  'Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or ' +
  'other valid authentication credential.';
const tooMany =
  "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute' of service " +
  "'dns.googleapis.com'.";

function forbidden(): Refused {
  return new Refused(403, 'forbidden', 'Forbidden');
}

function invalid(where: string, value: string): Refused {
  return new Refused(400, 'invalid', `Invalid value for '${where}': '${value}'`);
}

function gone(where: string, name: string): Refused {
  return new Refused(404, 'notFound', `The '${where}' resource named '${name}' does not exist.`);
}

function overQuota(what: string, size: number, most: number): Refused {
  const text = `The value '${size}' is greater than the quota '${what}' of ${most}.`;
  return new Refused(403, 'quotaExceeded', text);
}

/** The statuses of google.rpc that go with an HTTP status. */
const rpcWords: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  429: 'RESOURCE_EXHAUSTED',
  503: 'UNAVAILABLE',
};

function errorReply(code: number, reason: string, message: string): ApiReply {
  const status = rpcWords[code];
  const error = {
    ...{ code, message },
    errors: [{ message, domain: 'global', reason }],
    ...(status === undefined ? {} : { status }),
  };
  return { status: code, ...json, body: JSON.stringify({ error }) };
}

const json = { type: 'application/json; charset=UTF-8', headers: { vary: 'Origin, X-Origin' } };

function reply(body: object): ApiReply {
  return { status: 200, ...json, body: JSON.stringify(body) };
}
