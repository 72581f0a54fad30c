// The lab's Route 53: the REST-XML API of 2013-04-01 with its signature check, its batches that are
// made whole or not at all, its limits and its error texts, as the vendor's SDK meets them. It
// holds one account's hosted zones in memory. It never accepts what AWS would refuse in order to
// be kind, and it never logs or echoes a credential.
// Sources: AWS API reference and DNSLimitations (read 2026-11), error texts from users' reports.

import { randomBytes, randomInt } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import type { Session } from './sessions.ts';
import { signatureFlaw, stamp } from './sigv4.ts';
import {
  type ApiReply,
  type ApiRequest,
  Busy,
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
  printStrings,
  type RRset,
  servedTypes,
  soaFrom,
  toAnswers,
  ZoneError,
} from './zone.ts';

interface Route53Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** Starts a Route 53 account. Rejects when an address or port cannot be had. */
export function startRoute53(options: VendorOptions<Route53Credentials>): Promise<LabVendor> {
  return startVendor('route53', options, (publish) => new Route53(options, publish));
}

interface RecordSet {
  readonly name: string;
  readonly type: string;
  /** Null for an alias. */
  readonly ttl: number | null;
  /** As they were sent: AWS gives them back unchanged. */
  readonly values: readonly string[];
  readonly setIdentifier: string | null;
  readonly weight: number | null;
  readonly healthCheckId: string | null;
  readonly alias: Alias | null;
  /** How it is chosen among its siblings beside a weight, as XML; empty when it is not. */
  readonly routing: string;
}

interface Alias {
  /** Fully qualified. */
  readonly target: string;
  /** Of the zone that holds the target. */
  readonly zoneId: string;
  readonly evaluatesHealth: boolean;
}

type Sets = ReadonlyMap<string, RecordSet>;

interface HostedZone {
  readonly id: string;
  readonly name: string;
  readonly callerReference: string;
  settings: ZoneSettings;
  /** Names and types that an operator has protected. */
  readonly protections: { name: string; type: string; comment: string }[];
  readonly sets: Ledger<Sets>;
}

interface ChangeRecord {
  readonly id: string;
  readonly submittedAt: string;
  readonly comment: string;
  insync: boolean;
}

interface Change {
  readonly action: 'CREATE' | 'DELETE' | 'UPSERT';
  readonly set: RecordSet;
}

/** What is wrong with a request, in the vendor's words. */
class Refused extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const version = '2013-04-01';
const xmlns = `https://route53.amazonaws.com/doc/${version}/`;
const changeMs = 30;
const changesKept = 1000;
const pageMax = 300;
/** Hosted zones that a list gives at once; who asks for more gets as many (AWS API reference). */
const zonePageMax = 100;
const recordsMax = 1000;
const charactersMax = 32_000;
const valuesMax = 400;
/** Requests: 50 at once, then 10 a second, for the account and for each action (AWS, 2026). */
const quota = { burst: 50, perSecond: 10 };

class Route53 implements Dialect {
  /** Route 53 pauses no zone: what comes near is the lock while its recovery is being enabled. */
  readonly symptoms = {
    paused: { acceleratedRecovery: 'ENABLING_HOSTED_ZONE_LOCKED' },
    moved: { foreign: true },
  };
  readonly #options: VendorOptions<Route53Credentials>;
  readonly #publish: Publish;
  /** By id. */
  readonly #zones = new Map<string, HostedZone>();
  readonly #changes = new Map<string, ChangeRecord>();
  readonly #busy = new Busy();
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #nameServers: readonly string[];

  constructor(options: VendorOptions<Route53Credentials>, publish: Publish) {
    this.#options = options;
    this.#publish = publish;
    this.#nameServers = serverNames('route53', options);
  }

  addZone(spec: ZoneSpec): void {
    const name = normalName(spec.name);
    const soa = soaFrom(name, this.#nameServers[0]!, spec.soa ?? {});
    const numbers = [1, soa.refresh, soa.retry, soa.expire, soa.minimum].join(' ');
    const apex = [
      simple(name, 'NS', 172_800, this.#nameServers),
      simple(name, 'SOA', soa.ttl, [`${soa.mname} ${soa.rname} ${numbers}`]),
    ];
    const sets = new Map<string, RecordSet>();
    for (const set of [...apex, ...spec.records.map(fromRecord)]) sets.set(keyOf(set), set);
    const settings = spec.settings ?? {};
    const protections = [...(settings.protections ?? [])];
    this.#take({ name, settings, protections, sets: new Ledger<Sets>(sets) });
  }

  removeZone(zone: string): () => void {
    const { id, callerReference: _, ...state } = this.#named(zone);
    this.#zones.delete(id);
    return () => this.#take(state);
  }

  settle(zone: string, settings: ZoneSettings): void {
    this.#named(zone).settings = settings;
  }

  zoneOf(request: ApiRequest): string | null {
    return this.#zones.get(route(request)?.id ?? '')?.name ?? null;
  }

  zoneId(zone: string): string {
    return this.#named(zone).id;
  }

  /** A zone of another account has other name servers. */
  rrsets(zone: string): readonly RRset[] | null {
    const { sets, settings } = this.#named(zone);
    return settings.foreign ? null : served(sets.now);
  }

  edit(zone: string, records: readonly LabRecord[], name: string, type: string): void {
    const { sets } = this.#named(zone);
    const next = new Map(sets.now);
    for (const [key, set] of next) if (set.name === name && set.type === type) next.delete(key);
    for (const set of records.map(fromRecord)) next.set(keyOf(set), set);
    for (const rrset of served(next)) toAnswers(rrset);
    sets.commit(next);
    this.#publish(zone);
  }

  protect(zone: string, name: string, on: boolean): boolean {
    const { protections, sets } = this.#named(zone);
    const kept = protections.filter((p) => normalName(p.name) !== name || p.type !== 'CNAME');
    protections.splice(0, protections.length, ...kept);
    const exists = [...sets.now.values()].some((set) => set.name === name && set.type === 'CNAME');
    if (on && exists) protections.push({ name, type: 'CNAME', comment: 'protected in the lab' });
    return exists;
  }

  operation(request: ApiRequest): string {
    return route(request)?.operation ?? 'Unknown';
  }

  refusal(how: 'error' | 'throttle' | 'auth' | 'block' | 'too-large'): ApiReply {
    switch (how) {
      case 'error':
        return errorReply(503, 'ServiceUnavailable', 'Service Unavailable');
      case 'auth':
        return errorReply(403, 'InvalidClientTokenId', badToken);
      case 'too-large':
        return errorReply(413, 'RequestEntityTooLarge', 'Request body is too large');
      default:
        return errorReply(400, 'Throttling', 'Rate exceeded');
    }
  }

  async answer(request: ApiRequest): Promise<ApiReply> {
    try {
      const found = route(request);
      checkSignature(request, this.#options);
      if (!found) throw new Refused(404, 'UnknownOperationException', 'Unknown operation');
      this.#charge(found.operation);
      this.#permit(found.operation, found.id);
      return await this.#dispatch(request, found);
    } catch (error) {
      if (error instanceof Refused) return errorReply(error.status, error.code, error.message);
      throw error;
    }
  }

  #dispatch(request: ApiRequest, found: Route): ApiReply | Promise<ApiReply> {
    switch (found.operation) {
      case 'ListHostedZonesByName':
        return this.#listByName(request.query);
      case 'ListHostedZones':
        return this.#list(request.query);
      case 'GetHostedZone':
        return this.#getZone(this.#zone(found.id));
      case 'ListResourceRecordSets':
        return listSets(this.#zone(found.id), request);
      case 'ChangeResourceRecordSets':
        return this.#change(this.#zone(found.id), request.body);
      case 'GetChange':
        return this.#getChange(found.id);
      case 'ListHealthChecks':
        // Nothing here needs one; other tools look for theirs before they change a record.
        return reply('ListHealthChecksResponse', [
          element('HealthChecks', ''),
          text('Marker', ''),
          text('IsTruncated', false),
          text('MaxItems', zonePageMax),
        ]);
      case 'ListResourceRecordSetProtections':
        return listProtections(this.#zone(found.id), request.query);
    }
  }

  #take(state: Omit<HostedZone, 'id' | 'callerReference'>): void {
    const id = `Z${randomWord(20)}`;
    const callerReference = randomBytes(16).toString('hex');
    this.#zones.set(id, { ...state, id, callerReference });
  }

  /** The zones that the account owns. */
  #own(): HostedZone[] {
    return [...this.#zones.values()].filter(({ settings }) => !settings.foreign);
  }

  #named(name: string): HostedZone {
    for (const zone of this.#zones.values()) if (zone.name === name) return zone;
    throw new Error(`route53: no zone ${name} in the lab`);
  }

  #zone(id: string): HostedZone {
    const zone = this.#zones.get(id);
    if (!zone) throw new Refused(404, 'NoSuchHostedZone', `No hosted zone found with ID: ${id}`);
    return zone;
  }

  #charge(operation: string): void {
    if (this.#options.quotas === 'off') return;
    for (const key of ['account', operation]) {
      const bucket = this.#buckets.get(key) ?? new TokenBucket(quota.burst, quota.perSecond);
      this.#buckets.set(key, bucket);
      if (!bucket.take()) throw new Refused(400, 'Throttling', 'Rate exceeded');
    }
  }

  #permit(operation: string, id: string): void {
    const settings = this.#zones.get(id)?.settings ?? {};
    if (settings.foreign) throw new Refused(403, 'AccessDenied', notOurs);
    if (!this.#options.deny?.includes(operation) && !isDenied(settings, operation)) return;
    const kind = operation === 'GetChange' ? 'change' : 'hostedzone';
    throw new Refused(
      403,
      'AccessDenied',
      `User: arn:aws:iam::123456789012:user/lab is not authorized to perform: ` +
        `route53:${operation} on resource: arn:aws:route53:::${kind}/${id || '*'} because no ` +
        `identity-based policy allows the route53:${operation} action`,
    );
  }

  #listByName(query: URLSearchParams): ApiReply {
    const max = Math.min(zonePageMax, maxItems(query, zonePageMax));
    const from = query.get('dnsname');
    const fromId = query.get('hostedzoneid');
    const sorted = this.#own().sort(
      (a, b) => compare(sortKey(a.name), sortKey(b.name)) || compare(a.id, b.id),
    );
    const start = from === null ? null : sortKey(parseName(from, 'dnsname'));
    const rest = sorted.filter((zone) => {
      const order = start === null ? 1 : compare(sortKey(zone.name), start);
      return order > 0 || (order === 0 && (fromId === null || zone.id >= bareId(fromId)));
    });
    const next = rest[max];
    return reply('ListHostedZonesByNameResponse', [
      element('HostedZones', rest.slice(0, max).map(zoneElement).join('')),
      from === null ? '' : text('DNSName', from),
      fromId === null ? '' : text('HostedZoneId', bareId(fromId)),
      text('IsTruncated', next !== undefined),
      next ? text('NextDNSName', escapeName(next.name)) + text('NextHostedZoneId', next.id) : '',
      text('MaxItems', max),
    ]);
  }

  #list(query: URLSearchParams): ApiReply {
    const max = Math.min(zonePageMax, maxItems(query, zonePageMax));
    const marker = query.get('marker');
    const sorted = this.#own().sort((a, b) => compare(a.id, b.id));
    const rest = sorted.filter((zone) => marker === null || zone.id >= marker);
    const next = rest[max];
    return reply('ListHostedZonesResponse', [
      element('HostedZones', rest.slice(0, max).map(zoneElement).join('')),
      marker === null ? '' : text('Marker', marker),
      text('IsTruncated', next !== undefined),
      next ? text('NextMarker', next.id) : '',
      text('MaxItems', max),
    ]);
  }

  #getZone(zone: HostedZone): ApiReply {
    const servers = this.#nameServers.map((name) => text('NameServer', bareName(name))).join('');
    const vpc = text('VPCRegion', 'us-east-1') + text('VPCId', 'vpc-0123456789abcdef0');
    return reply('GetHostedZoneResponse', [
      zoneElement(zone),
      zone.settings.privateZone
        ? element('VPCs', element('VPC', vpc))
        : element('DelegationSet', element('NameServers', servers)),
    ]);
  }

  async #change(zone: HostedZone, body: Buffer): Promise<ApiReply> {
    const { changes, comment } = parseBatch(body);
    const { linkedService, acceleratedRecovery } = zone.settings;
    if (linkedService !== undefined) {
      const what = `The resource hostedzone/${zone.id} can only be managed through`;
      throw new Refused(403, 'AccessDenied', `${what} ${linkedService}`);
    }
    if (acceleratedRecovery?.endsWith('_LOCKED')) {
      throw new Refused(400, 'InvalidInput', `The hosted zone ${zone.id} is locked`);
    }
    const ms = this.#options.changeMs ?? changeMs;
    const made = await this.#busy.run(zone.id, ms, () => {
      this.#zone(zone.id); // it may have been deleted meanwhile
      zone.sets.commit(applyBatch(zone, changes, this.#options.ttlMin ?? 0));
      return this.#record(zone, comment);
    });
    if (made === null) throw new Refused(400, 'PriorRequestNotComplete', priorRequest);
    const answer = reply('ChangeResourceRecordSetsResponse', [changeElement(made)]);
    return { ...answer, wrote: true };
  }

  #record(zone: HostedZone, comment: string): ChangeRecord {
    const id = `C${randomBytes(15).toString('hex').toUpperCase().slice(0, 20)}`;
    const change = { id, submittedAt: new Date().toISOString(), comment, insync: false };
    this.#changes.set(id, change);
    const oldest = this.#changes.keys().next();
    if (this.#changes.size > changesKept && !oldest.done) this.#changes.delete(oldest.value);
    this.#publish(zone.name, () => {
      change.insync = true;
    });
    return change;
  }

  #getChange(id: string): ApiReply {
    const change = this.#changes.get(id);
    if (!change) throw new Refused(404, 'NoSuchChange', `Could not find resource with ID: ${id}`);
    return reply('GetChangeResponse', [changeElement(change)]);
  }
}

// ---------------------------------------------------------------- routes

const routes = [
  ['GET', /^\/hostedzonesbyname$/, 'ListHostedZonesByName'],
  ['GET', /^\/hostedzone$/, 'ListHostedZones'],
  ['GET', /^\/hostedzone\/([^/]+)$/, 'GetHostedZone'],
  ['GET', /^\/hostedzone\/([^/]+)\/rrset$/, 'ListResourceRecordSets'],
  ['POST', /^\/hostedzone\/([^/]+)\/rrset$/, 'ChangeResourceRecordSets'],
  ['GET', /^\/hostedzone\/([^/]+)\/rrsetprotection$/, 'ListResourceRecordSetProtections'],
  ['GET', /^\/healthcheck$/, 'ListHealthChecks'],
  ['GET', /^\/change\/([^/]+)$/, 'GetChange'],
] as const;

interface Route {
  readonly operation: (typeof routes)[number][2];
  /** Of the zone or change, without prefix; empty where there is none. */
  readonly id: string;
}

function route(request: ApiRequest): Route | null {
  if (!request.path.startsWith(`/${version}/`)) return null;
  const path = request.path.slice(version.length + 1).replace(/\/$/, '');
  for (const [method, pattern, operation] of routes) {
    const match = request.method === method ? pattern.exec(path) : null;
    if (match) return { operation, id: match[1] ?? '' };
  }
  return null;
}

// ---------------------------------------------------------------- reading

function listSets(zone: HostedZone, request: ApiRequest): ApiReply {
  const { query } = request;
  const max = Math.min(pageMax, maxItems(query, pageMax));
  const [name, type, identifier] = [query.get('name'), query.get('type'), query.get('identifier')];
  if (type !== null && name === null) {
    throw new Refused(400, 'InvalidInput', 'The input is not valid: type without name');
  }
  if (identifier !== null && type === null) {
    throw new Refused(400, 'InvalidInput', 'The input is not valid: identifier without type');
  }
  const start = [
    name === null ? '' : sortKey(parseName(name, 'name')),
    type?.toUpperCase() ?? '',
    identifier ?? '',
  ];
  const position = (set: RecordSet) => [sortKey(set.name), set.type, set.setIdentifier ?? ''];
  const rest = [...zone.sets.read(request.stale).values()]
    .map((set) => ({ set, at: position(set) }))
    .filter(({ at }) => compareAll(at, start) >= 0)
    .sort((a, b) => compareAll(a.at, b.at))
    .map(({ set }) => set);
  const next = rest[max];
  return reply('ListResourceRecordSetsResponse', [
    element('ResourceRecordSets', rest.slice(0, max).map(setElement).join('')),
    text('IsTruncated', next !== undefined),
    text('MaxItems', max),
    next ? text('NextRecordName', escapeName(next.name)) + text('NextRecordType', next.type) : '',
    next?.setIdentifier ? text('NextRecordIdentifier', next.setIdentifier) : '',
  ]);
}

function listProtections(zone: HostedZone, query: URLSearchParams): ApiReply {
  const start = [
    query.has('name') ? sortKey(parseName(query.get('name')!, 'name')) : '',
    query.get('type')?.toUpperCase() ?? '',
  ];
  const items = zone.protections
    .filter((p) => compareAll([sortKey(normalName(p.name)), p.type], start) >= 0)
    .map((p) =>
      element(
        'ResourceRecordSetProtection',
        text('RecordName', escapeName(normalName(p.name))) +
          text('RecordType', p.type) +
          text('Comment', p.comment),
      ),
    );
  const protections = element('ResourceRecordSetProtections', items.join(''));
  return reply('ListResourceRecordSetProtectionsResponse', [protections]);
}

function maxItems(query: URLSearchParams, usual: number): number {
  const given = query.get('maxitems');
  if (given === null) return usual;
  if (/^\d{1,9}$/.test(given) && Number(given) >= 1) return Number(given);
  throw new Refused(400, 'InvalidInput', `Invalid value for MaxItems: ${given}`);
}

/** Labels from the right, as Route 53 sorts names: `net.example.www.` */
function sortKey(name: string): string {
  return `${bareName(name).split('.').reverse().join('.')}.`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareAll(a: readonly string[], b: readonly string[]): number {
  for (const [at, part] of a.entries()) {
    const order = compare(part, b[at] ?? '');
    if (order !== 0) return order;
  }
  return 0;
}

// ---------------------------------------------------------------- writing

function parseBatch(body: Buffer): { changes: readonly Change[]; comment: string } {
  const root = parseXml(body.toString('utf8'));
  if (root?.name !== 'ChangeResourceRecordSetsRequest') {
    throw new Refused(
      400,
      'MalformedInput',
      'The request body is not valid XML for this operation',
    );
  }
  const batch = child(root, 'ChangeBatch');
  const list = batch ? child(batch, 'Changes') : null;
  const changes = (list?.children ?? []).map(parseChange);
  if (changes.length === 0) {
    throw new Refused(
      400,
      'InvalidInput',
      "1 validation error detected: Value '[]' at 'changeBatch.changes' failed to satisfy " +
        'constraint: Member must have length greater than or equal to 1',
    );
  }
  const comment = batch ? (child(batch, 'Comment')?.text ?? '') : '';
  if (comment.length > 256) {
    throw new Refused(
      400,
      'InvalidInput',
      "1 validation error detected: Value at 'changeBatch.comment' failed to satisfy " +
        'constraint: Member must have length less than or equal to 256',
    );
  }
  checkLimits(changes);
  return { changes, comment };
}

function checkLimits(changes: readonly Change[]): void {
  let [records, characters] = [0, 0];
  for (const { action, set } of changes) {
    const times = action === 'UPSERT' ? 2 : 1;
    records += times * set.values.length;
    for (const value of set.values) characters += times * value.length;
  }
  if (records > recordsMax) throw batchError(['Number of records limit of 1000 exceeded.']);
  if (characters > charactersMax) throw batchError(['RDATA character limit of 32000 exceeded.']);
}

function parseChange(node: XmlNode): Change {
  const action = child(node, 'Action')?.text ?? '';
  const set = child(node, 'ResourceRecordSet');
  const field = (name: string) => (set ? (child(set, name)?.text ?? null) : null);
  const [name, type] = [field('Name'), field('Type')];
  const enumError = (value: string, at: string, all: readonly string[]) =>
    new Refused(
      400,
      'InvalidInput',
      `1 validation error detected: Value '${value}' at '${at}' failed to satisfy constraint: ` +
        `Member must satisfy enum value set: [${all.join(', ')}]`,
    );
  if (action !== 'CREATE' && action !== 'DELETE' && action !== 'UPSERT') {
    throw enumError(action, 'changeBatch.changes.action', ['CREATE', 'DELETE', 'UPSERT']);
  }
  const types: readonly string[] = ['SOA', ...servedTypes];
  if (!set || name === null || type === null || !types.includes(type)) {
    throw enumError(type ?? '', 'changeBatch.changes.resourceRecordSet.type', types);
  }
  const records = child(set, 'ResourceRecords')?.children ?? [];
  const values = records.map((record) => child(record, 'Value')?.text ?? '');
  const alias = child(set, 'AliasTarget');
  const ttl = field('TTL');
  const identifier = field('SetIdentifier');
  const which = `[Action=${action}, Name=${name}, Type=${type}, SetIdentifier=${identifier}]`;
  const plain = ttl !== null && values.length > 0;
  const some = ttl !== null || values.length > 0;
  if (alias ? some : !plain) {
    const found = alias ? 'more than one' : 'none';
    throw new Refused(
      400,
      'InvalidInput',
      'Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ' +
        `ResourceRecords], or TrafficPolicyInstanceId], but found ${found} in Change with ${which}`,
    );
  }
  const policies = ['Weight', ...routingElements].filter((policy) => child(set, policy) !== null);
  if (action !== 'DELETE') checkPolicies(policies, identifier, which);
  if (ttl !== null && !(/^\d{1,10}$/.test(ttl) && Number(ttl) <= 0x7fffffff)) {
    throw new Refused(400, 'InvalidInput', `Invalid TTL '${ttl}' in Change with ${which}`);
  }
  return {
    action,
    set: {
      name: parseName(name, 'name'),
      type,
      ttl: ttl === null ? null : Number(ttl),
      values,
      setIdentifier: identifier,
      weight: field('Weight') === null ? null : Number(field('Weight')),
      healthCheckId: field('HealthCheckId'),
      alias: alias === null ? null : parseAlias(alias),
      routing: routingElements.map((name) => printXml(child(set, name))).join(''),
    },
  };
}

/** A set that is one of several says by what it is chosen, by one thing, and which it is. */
function checkPolicies(policies: readonly string[], identifier: string | null, which: string) {
  const wrong =
    identifier === null && policies.length > 0
      ? `Missing field 'SetIdentifier' in Change with ${which}`
      : identifier !== null && policies.length !== 1
        ? `Expected exactly one of [${['Weight', ...routingElements].join(', ')}], but found ` +
          `${policies.length === 0 ? 'none' : 'more than one'} in Change with ${which}`
        : null;
  if (wrong !== null) throw new Refused(400, 'InvalidInput', `Invalid request: ${wrong}`);
}

/** By what a set is chosen among those of its name and type, beside its weight. */
const routingElements = [
  'Region',
  'GeoLocation',
  'Failover',
  'MultiValueAnswer',
  'CidrRoutingConfig',
  'GeoProximityLocation',
] as const;

function parseAlias(node: XmlNode): Alias {
  const zoneId = child(node, 'HostedZoneId')?.text ?? '';
  const evaluates = child(node, 'EvaluateTargetHealth')?.text ?? '';
  if (zoneId === '' || (evaluates !== 'true' && evaluates !== 'false')) {
    const what = 'HostedZoneId and EvaluateTargetHealth';
    throw new Refused(400, 'InvalidInput', `Invalid request: an AliasTarget needs ${what}`);
  }
  const target = parseName(child(node, 'DNSName')?.text ?? '', 'DNSName');
  return { target, zoneId, evaluatesHealth: evaluates === 'true' };
}

/** The sets after the whole batch; throws InvalidChangeBatch with every error. */
function applyBatch(zone: HostedZone, changes: readonly Change[], ttlMin: number): Sets {
  const sets = new Map(zone.sets.now);
  const errors: string[] = [];
  const done = new Set<string>();
  for (const { action, set } of changes) {
    const key = keyOf(set);
    if (done.has(`${action} ${key}`)) {
      const what = `'${set.type} ${set.name}'`;
      errors.push(
        `The request contains an invalid set of changes for a resource record set ${what}`,
      );
      continue;
    }
    done.add(`${action} ${key}`);
    const found = sets.get(key);
    const wrong =
      action === 'DELETE' ? notDeletable(zone, set, found) : notPutable(zone, set, ttlMin);
    const exists = action === 'CREATE' && found !== undefined;
    const which = `resource record set ${describe(set)}`;
    if (exists) errors.push(`Tried to create ${which} but it already exists`);
    errors.push(...wrong);
    if (exists || wrong.length > 0) continue;
    if (action === 'DELETE') sets.delete(key);
    else sets.set(key, set);
  }
  // Whether names still make sense is judged at the end: DELETE and CREATE may come in one batch.
  if (errors.length === 0) errors.push(...conflicts(zone, sets, changes));
  if (errors.length > 0) throw batchError(errors);
  return sets;
}

function notDeletable(zone: HostedZone, set: RecordSet, found: RecordSet | undefined): string[] {
  const which = `Tried to delete resource record set ${describe(set)}`;
  if (set.name === zone.name && set.type === 'SOA') {
    return ['A HostedZone must contain exactly one SOA record.'];
  }
  if (set.name === zone.name && set.type === 'NS') {
    return ['A HostedZone must contain at least one NS record for the zone itself.'];
  }
  if (!found) return [`${which} but it was not found`];
  const locked = protection(zone, set);
  if (locked) return locked;
  const same =
    found.ttl === set.ttl &&
    found.weight === set.weight &&
    found.healthCheckId === set.healthCheckId &&
    found.routing === set.routing &&
    sameAlias(found.alias, set.alias) &&
    [...found.values].sort().join('\n') === [...set.values].sort().join('\n');
  return same ? [] : [`${which} but the values provided do not match the current values`];
}

function sameAlias(a: Alias | null, b: Alias | null): boolean {
  const isSame = a?.target === b?.target && a?.zoneId === b?.zoneId;
  return isSame && a?.evaluatesHealth === b?.evaluatesHealth;
}

function notPutable(zone: HostedZone, set: RecordSet, ttlMin: number): string[] {
  const { name, type } = set;
  if (name !== zone.name && !name.endsWith(`.${zone.name}`)) {
    return [`RRSet with DNS name ${escapeName(name)} is not permitted in zone ${zone.name}`];
  }
  if (type === 'CNAME' && name === zone.name) {
    return [
      `RRSet of type CNAME with DNS name ${name} is not permitted at apex in zone ${zone.name}`,
    ];
  }
  const locked = protection(zone, set);
  if (locked) return locked;
  const errors = set.values.flatMap((value) => {
    const problem = valueProblem(type, value);
    const start = 'Invalid Resource Record: FATAL problem:';
    return problem ? [`${start} ${problem} encountered with '${value}'`] : [];
  });
  if (new Set(set.values).size < set.values.length) {
    errors.push(
      `Duplicate Resource Record: '${set.values.find((v, i, all) => all.indexOf(v) < i)}'`,
    );
  }
  if (type === 'CNAME' && set.values.length > 1) {
    errors.push(`RRSet of type CNAME with DNS name ${name} may have one resource record only`);
  }
  if (set.values.length > valuesMax) {
    errors.push(`Cannot have more than ${valuesMax} records in a RRSet.`);
  }
  if (set.ttl !== null && set.ttl < ttlMin) errors.push(`Invalid TTL ${set.ttl} for ${name}`);
  return errors;
}

function protection(zone: HostedZone, set: RecordSet): string[] | null {
  const found = zone.protections.find(
    (p) => normalName(p.name) === set.name && p.type === set.type,
  );
  if (!found) return null;
  return [`The resource record set ${describe(set)} is protected from changes: ${found.comment}`];
}

/** What a value breaks, with the code and clause that Route 53 gives; null when it is fine. */
function valueProblem(type: string, value: string): string | null {
  if (type === 'A' && !isIPv4(value)) {
    return 'ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)';
  }
  if (type === 'AAAA' && (!isIPv6(value) || value.includes('%'))) {
    return 'AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address)';
  }
  if (type === 'TXT') {
    const strings = parseAwsStrings(value);
    if (!strings) return 'InvalidCharacterString (Value should be enclosed in quotation marks)';
    if (strings.some((s) => s.length > 255)) return 'CharacterStringTooLong (Value is too long)';
    return null;
  }
  if (type === 'SOA') return null;
  try {
    toAnswers({ name: '.', type, ttl: 0, values: [value] });
    return null;
  } catch (error) {
    if (error instanceof ZoneError) return `${type}RRDATAInvalid (Value is not valid)`;
    throw error;
  }
}

function conflicts(zone: HostedZone, sets: Sets, changes: readonly Change[]): string[] {
  const typesAt = new Map<string, Set<string>>();
  for (const set of sets.values()) {
    typesAt.set(set.name, (typesAt.get(set.name) ?? new Set()).add(set.type));
  }
  return changes.flatMap(({ action, set: { name, type, setIdentifier } }) => {
    const types = typesAt.get(name);
    if (action === 'DELETE' || !types) return [];
    const start = `RRSet of type ${type} with DNS name ${escapeName(name)} is not permitted`;
    if (types.has('CNAME') && types.size > 1) {
      return type === 'CNAME'
        ? `${start} as it conflicts with other records with the same DNS name in zone ${zone.name}`
        : `${start} because a conflicting RRSet of type  CNAME with the same DNS name already ` +
            `exists in zone ${zone.name}`;
    }
    const siblings = [...sets.values()].filter((s) => s.name === name && s.type === type);
    const policyOf = (s: RecordSet) => (s.weight === null ? s.routing.split('>', 1)[0] : 'weight');
    const isMixed = new Set(siblings.map(policyOf)).size > 1;
    if (siblings.every((s) => (s.setIdentifier === null) === (setIdentifier === null))) {
      return isMixed && setIdentifier !== null
        ? [`${start.replace('is not permitted', 'cannot be created')}: ${otherPolicy}`]
        : [];
    }
    return (
      `RRSet with DNS name ${escapeName(name)}, type ${type}, SetIdentifier ${setIdentifier} ` +
      'cannot be created because a non-weighted rrset exists with the same name and type.'
    );
  });
}

function describe(set: RecordSet): string {
  const identifier = set.setIdentifier === null ? '' : `, set-identifier='${set.setIdentifier}'`;
  return `[name='${escapeName(set.name)}', type='${set.type}'${identifier}]`;
}

function batchError(errors: readonly string[]): Refused {
  return new Refused(400, 'InvalidChangeBatch', `[${errors.join(', ')}]`);
}

const otherPolicy = 'a different routing policy exists with the same name and type.';
const notOurs =
  'User: arn:aws:iam::123456789012:user/lab is not authorized to access this resource';
const badToken = 'The security token included in the request is invalid.';
const priorRequest =
  'The request was rejected because Route 53 was still processing a prior request.';

// ---------------------------------------------------------------- names, values, sets

function keyOf(set: RecordSet): string {
  return `${set.name} ${set.type} ${set.setIdentifier ?? ''}`;
}

function simple(name: string, type: string, ttl: number, values: readonly string[]): RecordSet {
  const none = { setIdentifier: null, weight: null, healthCheckId: null, alias: null };
  return { name, type, ttl, values, ...none, routing: '' };
}

function fromRecord(record: LabRecord): RecordSet {
  const { setIdentifier, weight, healthCheckId, aliasTarget } = record.extra ?? {};
  const zoneId = 'Z2FDTNDATAQYW2'; // of every alias to CloudFront
  const alias =
    aliasTarget === undefined
      ? null
      : { target: normalName(aliasTarget), zoneId, evaluatesHealth: false };
  return {
    name: normalName(record.name),
    type: record.type.toUpperCase(),
    ttl: alias === null ? record.ttl : null,
    values: alias === null ? [...valuesOf(record.value)] : [],
    setIdentifier: setIdentifier ?? null,
    weight: weight ?? null,
    healthCheckId: healthCheckId ?? null,
    alias,
    routing: '',
  };
}

/** What the name servers give: of several weighted sets the heaviest, aliases followed once. */
function served(sets: Sets): RRset[] {
  const chosen = new Map<string, RecordSet>();
  for (const set of sets.values()) {
    const key = `${set.name} ${set.type}`;
    const rival = chosen.get(key);
    if (!rival || (set.weight ?? 0) > (rival.weight ?? 0)) chosen.set(key, set);
  }
  return [...chosen.values()].flatMap((set) => {
    const source = set.alias === null ? set : chosen.get(`${set.alias.target} ${set.type}`);
    if (set.type === 'SOA' || !source || source.values.length === 0) return [];
    const values = source.values.map((value) =>
      set.type === 'TXT' ? printStrings(parseAwsStrings(value) ?? [value]) : value,
    );
    return [{ name: set.name, type: set.type, ttl: source.ttl ?? 60, values }];
  });
}

/** A name as it may be sent: any case, with octal escapes, the last dot or not. */
function parseName(raw: string, field: string): string {
  const plain = raw.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
  try {
    return normalName(plain);
  } catch (error) {
    if (!(error instanceof ZoneError)) throw error;
    throw new Refused(400, 'InvalidInput', `Invalid value for ${field}: not a domain name`);
  }
}

/** `*.example.net.` comes back as `\052.example.net.` */
function escapeName(name: string): string {
  return name.replace(
    /[^a-z0-9._-]/g,
    (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );
}

/** Quoted strings with Route 53's octal escapes; null when something is not in quotes. */
function parseAwsStrings(value: string): readonly Buffer[] | null {
  if (!/^\s*"(?:[^"\\]|\\.)*"(?:\s+"(?:[^"\\]|\\.)*")*\s*$/.test(value)) return null;
  return [...value.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, inner]) => {
    const octets = inner!.matchAll(/\\([0-3][0-7]{2})|\\(.)|([^\\]+)/gsu);
    const parts = [...octets].map(([, octal, escaped, plain]) =>
      octal ? Buffer.of(Number.parseInt(octal, 8)) : Buffer.from(escaped ?? plain ?? ''),
    );
    return Buffer.concat(parts);
  });
}

/** Capitals and digits, as the ids of hosted zones are made of. */
function randomWord(length: number): string {
  const digits = Array.from({ length }, () => randomInt(36).toString(36));
  return digits.join('').toUpperCase();
}

function bareId(id: string): string {
  return id.replace(/^\/?hostedzone\//, '');
}

// ---------------------------------------------------------------- signature, version 4

const skewMs = 5 * 60_000;

/** Route 53 is one service for the whole world, and its signatures are for this region. */
const region = 'us-east-1';

/** Throws Refused unless the request is signed with these credentials, for this service. */
function checkSignature(
  request: ApiRequest,
  { credentials, sessions }: VendorOptions<Route53Credentials>,
): void {
  const [, id = ''] = /Credential=([^/,\s]+)/.exec(request.headers.authorization ?? '') ?? [];
  const session = sessions?.find(id);
  const key = session === undefined ? credentials : keyOfSession(session);
  const rule = { service: 'route53', region, key, skewMs };
  const flaw = signatureFlaw(request, rule);
  const refused = (code: string, message: string) => new Refused(403, code, message);
  if (flaw === null && session !== undefined && sessions?.hasEnded(session)) {
    throw refused('ExpiredToken', 'The security token included in the request is expired');
  }
  if (flaw === null) return;
  switch (flaw.kind) {
    case 'missing':
      throw refused('MissingAuthenticationToken', 'Request is missing Authentication Token');
    case 'malformed':
      throw refused(
        'IncompleteSignature',
        'The request signature does not conform to AWS standards.',
      );
    case 'scope':
      throw refused('SignatureDoesNotMatch', wrongScope(flaw.service, flaw.region));
    case 'unknown-key':
      throw refused('InvalidClientTokenId', badToken);
    case 'mismatch':
      throw refused('SignatureDoesNotMatch', wrongSignature);
    case 'expired': {
      const limit = `${stamp(flaw.nowMs - skewMs)} (${stamp(flaw.nowMs)} - 5 min.)`;
      const text = `Signature expired: ${flaw.date} is now earlier than ${limit}`;
      throw refused('SignatureDoesNotMatch', text);
    }
    case 'early': {
      const limit = `${stamp(flaw.nowMs + skewMs)} (${stamp(flaw.nowMs)} + 5 min.)`;
      const text = `Signature not yet current: ${flaw.date} is still later than ${limit}`;
      throw refused('SignatureDoesNotMatch', text);
    }
  }
}

function keyOfSession({ accessKeyId, secret, token }: Session): Route53Credentials {
  return { accessKeyId, secretAccessKey: secret, sessionToken: token };
}

function wrongScope(service: string, signedFor: string): string {
  const start = 'Credential should be scoped to';
  if (service !== 'route53') return `${start} correct service: 'route53'.`;
  return `${start} a valid region, not '${signedFor}'.`;
}

const wrongSignature =
  'The request signature we calculated does not match the signature you provided. Check your AWS ' +
  'Secret Access Key and signing method. Consult the service documentation for details.';

// ---------------------------------------------------------------- XML

function reply(root: string, parts: readonly string[]): ApiReply {
  return {
    status: 200,
    type: 'text/xml',
    headers: { 'x-amzn-requestid': requestId() },
    body: `<?xml version="1.0"?>\n<${root} xmlns="${xmlns}">${parts.join('')}</${root}>`,
  };
}

function errorReply(status: number, code: string, message: string): ApiReply {
  const id = requestId();
  const error =
    text('Type', status < 500 ? 'Sender' : 'Receiver') +
    text('Code', code) +
    text('Message', message);
  const inner = `${element('Error', error)}${text('RequestId', id)}`;
  return {
    status,
    type: 'text/xml',
    headers: { 'x-amzn-requestid': id },
    body: `<?xml version="1.0"?>\n<ErrorResponse xmlns="${xmlns}">${inner}</ErrorResponse>`,
  };
}

function requestId(): string {
  const hex = randomBytes(16).toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function zoneElement(zone: HostedZone): string {
  const { privateZone, linkedService, acceleratedRecovery } = zone.settings;
  const service =
    text('ServicePrincipal', linkedService ?? '') + text('Description', 'managed by a service');
  return element(
    'HostedZone',
    text('Id', `/hostedzone/${zone.id}`) +
      text('Name', escapeName(zone.name)) +
      text('CallerReference', zone.callerReference) +
      element('Config', text('PrivateZone', privateZone ?? false)) +
      text('ResourceRecordSetCount', zone.sets.now.size) +
      (linkedService === undefined ? '' : element('LinkedService', service)) +
      (acceleratedRecovery === undefined
        ? ''
        : element('Features', text('AcceleratedRecoveryStatus', acceleratedRecovery))),
  );
}

function setElement(set: RecordSet): string {
  const values = set.values.map((v) => element('ResourceRecord', text('Value', v))).join('');
  return element(
    'ResourceRecordSet',
    text('Name', escapeName(set.name)) +
      text('Type', set.type) +
      (set.setIdentifier === null ? '' : text('SetIdentifier', set.setIdentifier)) +
      (set.weight === null ? '' : text('Weight', set.weight)) +
      set.routing +
      (set.ttl === null ? '' : text('TTL', set.ttl)) +
      (set.alias === null ? element('ResourceRecords', values) : aliasElement(set.alias)) +
      (set.healthCheckId === null ? '' : text('HealthCheckId', set.healthCheckId)),
  );
}

function aliasElement({ target, zoneId, evaluatesHealth }: Alias): string {
  return element(
    'AliasTarget',
    text('HostedZoneId', zoneId) +
      text('DNSName', escapeName(target)) +
      text('EvaluateTargetHealth', evaluatesHealth),
  );
}

function changeElement(change: ChangeRecord): string {
  return element(
    'ChangeInfo',
    text('Id', `/change/${change.id}`) +
      text('Status', change.insync ? 'INSYNC' : 'PENDING') +
      text('SubmittedAt', change.submittedAt) +
      (change.comment === '' ? '' : text('Comment', change.comment)),
  );
}

function element(name: string, inner: string): string {
  return `<${name}>${inner}</${name}>`;
}

function text(name: string, value: string | number | boolean): string {
  const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };
  return element(
    name,
    String(value).replace(/[&<>]/g, (char) => escapes[char]!),
  );
}

interface XmlNode {
  readonly name: string;
  readonly children: XmlNode[];
  text: string;
}

const depthMax = 16;
const xmlTokens = [
  /<\?[^>]*\?>/,
  /<!--[\s\S]*?-->/,
  /<\/([\w:.-]+)\s*>/,
  /<([\w:.-]+)(?:\s+[\w:.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*\s*(\/?)>/,
  /([^<]+)/,
];

function child(node: XmlNode, name: string): XmlNode | null {
  return node.children.find((one) => one.name === name) ?? null;
}

/** An element as it came, without the space around its children; empty for none. */
function printXml(node: XmlNode | null): string {
  if (node === null) return '';
  const isLeaf = node.children.length === 0;
  return isLeaf
    ? text(node.name, node.text)
    : element(node.name, node.children.map(printXml).join(''));
}

/**
 * A request's elements and text. Attributes, comments and the prologue are skipped; a document type
 * is refused, so entities are the five of XML and numbers. Null when it is not well formed.
 */
function parseXml(source: string): XmlNode | null {
  const token = new RegExp(xmlTokens.map((part) => part.source).join('|'), 'y');
  const top: XmlNode = { name: '', children: [], text: '' };
  const open: XmlNode[] = [top];
  while (token.lastIndex < source.length) {
    const match = token.exec(source);
    if (!match) return null;
    const [, closes, opens, selfClosed, plain] = match;
    const node = open.at(-1)!;
    if (closes !== undefined) {
      if (open.length === 1 || node.name !== closes) return null;
      open.pop();
    } else if (opens !== undefined) {
      const next: XmlNode = { name: opens, children: [], text: '' };
      node.children.push(next);
      if (selfClosed === '') open.push(next);
      if (open.length > depthMax) return null;
    } else if (plain !== undefined) {
      const decoded = decodeEntities(plain);
      if (decoded === null) return null;
      node.text += decoded;
    }
  }
  const [root, ...others] = top.children;
  return open.length === 1 && others.length === 0 && top.text.trim() === '' ? (root ?? null) : null;
}

function decodeEntities(source: string): string | null {
  const known: Readonly<Record<string, string>> = {
    amp: '&',
    lt: '<',
    gt: '>',
    quot: '"',
    apos: "'",
  };
  let wrong = false;
  const decoded = source.replace(/&([^;&]{0,10});?/g, (whole, name: string) => {
    const number = /^#(?:x([0-9a-f]{1,6})|(\d{1,7}))$/i.exec(name);
    const point = number ? Number.parseInt(number[1] ?? number[2]!, number[1] ? 16 : 10) : -1;
    const named =
      known[name] ?? (point >= 0 && point <= 0x10ffff ? String.fromCodePoint(point) : '');
    if (named === '' || !whole.endsWith(';')) wrong = true;
    return named;
  });
  return wrong ? null : decoded;
}
