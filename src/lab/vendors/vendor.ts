// What the lab's DNS vendors have in common: an HTTP API on loopback with bounded bodies, a log of
// its calls and faults on request, of all of it or of one zone; name servers that serve what the API
// holds, a moment later; the bookkeeping behind stale reads and quotas. It knows no vendor's wire
// format: that is the dialect's business. It never contacts anybody, its log never holds a header,
// a query or a body, and trouble of one zone never reaches another one.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { domainToASCII, domainToUnicode } from 'node:url';
import { type Nameserver, startNameserver } from './nameserver.ts';
import { LabZone, normalName, type RRset, type Soa } from './zone.ts';

/** A record of a zone at its start. `value` is in presentation form, host names fully qualified. */
export interface LabRecord {
  readonly name: string;
  readonly type: string;
  readonly value: string | readonly string[];
  readonly ttl: number;
  readonly extra?: RecordExtra;
}

/** What only some vendors know about a record, named as they name it. */
export interface RecordExtra {
  /** Route 53: one of several sets of a name and type. */
  readonly setIdentifier?: string;
  readonly weight?: number;
  readonly healthCheckId?: string;
  /** Route 53: an alias to this name, in place of TTL and values. */
  readonly aliasTarget?: string;
  /** Cloudflare: the edge answers in the origin's place. */
  readonly proxied?: boolean;
  readonly flattenCname?: boolean;
  readonly comment?: string;
  /** Alidns and DNSPod: the line it is given to, as each spells it; absent: everybody. */
  readonly line?: string;
  readonly status?: 'ENABLE' | 'DISABLE';
  readonly locked?: boolean;
  readonly remark?: string;
  /** DNSPod: what its own monitor says of it; absent: it is not watched. */
  readonly monitorStatus?: string;
}

/** What a zone is at its vendor, beyond its records; each vendor reads its own words. */
export interface ZoneSettings {
  /** No parent leads to it, so nobody is served from it: its names are those of a zone above. */
  readonly undelegated?: boolean;
  /** Operations that the key may not use on this zone, by the name in `calls`; true: none at all. */
  readonly denied?: true | readonly string[];
  /** Another account's by now; not at Cloudflare. */
  readonly foreign?: boolean;
  /** Route 53. */
  readonly privateZone?: boolean;
  readonly linkedService?: string;
  readonly acceleratedRecovery?: string;
  /** Route 53: names and types that an operator has protected, with the operator's comment. */
  readonly protections?: readonly { name: string; type: string; comment: string }[];
  /** Cloudflare; and DNSPod: `PAUSE`, `SPAM` or `LOCK`, `ENABLE` unless given. */
  readonly status?: string;
  readonly type?: string;
  readonly paused?: boolean;
  readonly plan?: 'free' | 'pro' | 'business' | 'enterprise';
  readonly flattenAllCnames?: boolean;
  readonly multiProvider?: boolean;
  /** Seconds, as the console shows it; the vendor's 1,800 unless given. */
  readonly soaMinimum?: number;
  readonly zoneMode?: 'standard' | 'cdn_only' | 'dns_only';
  /** Alidns: the edition, and whether the domain is being cleaned or dropped. */
  readonly versionCode?: string;
  readonly inBlackHole?: boolean;
  readonly inClean?: boolean;
  /** Alidns: locked by the vendor, so that nothing in it can be changed. */
  readonly forbidden?: boolean;
  /** DNSPod: the plan, such as `DP_FREE`, and whether it has run out. */
  readonly grade?: string;
  readonly gracePeriod?: boolean;
}

export interface ZoneSpec {
  readonly name: string;
  readonly soa?: Partial<Soa>;
  readonly records: readonly LabRecord[];
  readonly settings?: ZoneSettings;
}

export interface VendorOptions<Credentials = unknown> {
  /** The account's name in messages; the vendor's type unless given. */
  readonly name?: string;
  /** Where the API listens. */
  readonly address: string;
  /** 0, the default, takes a free one. */
  readonly apiPort?: number;
  /** One authoritative server each. */
  readonly dnsAddresses: readonly string[];
  /** 0 takes a free one for each server. */
  readonly dnsPort: number;
  /** Host names of those servers, in their order; `nsN.TYPE.test.` unless given. */
  readonly nameServers?: readonly string[];
  readonly zones: readonly ZoneSpec[];
  readonly credentials: Credentials;
  /** Whether the vendor's published limits of calls apply; `real` unless given. */
  readonly quotas?: 'real' | 'off';
  /** The least TTL in seconds; the vendor's own unless given. */
  readonly ttlMin?: number;
  /** From a change until the name servers give it, in milliseconds; 20 unless given. */
  readonly propagationMs?: number;
  /** How long the vendor works on one write before it answers, in milliseconds. */
  readonly changeMs?: number;
  /** DNSPod: for how long its lists do not show a new record, in milliseconds; 0 unless given. */
  readonly indexLagMs?: number;
  /** Operations that these credentials may not use, by the name in `calls`. */
  readonly deny?: readonly string[];
  /** Addresses of a name outside the vendor's zones, for those that flatten a CNAME. */
  readonly resolve?: (name: string) => readonly string[];
}

interface ZoneFaultOptions {
  /** Only these operations, by the name in `calls`; all unless given. */
  readonly operations?: readonly string[];
}

interface FaultOptions extends ZoneFaultOptions {
  /** Heals by itself after so many calls. */
  readonly times?: number;
  /** `dns-lag`: which of the name servers lags; the last unless given. */
  readonly server?: number;
}

export interface Call {
  /** Wall clock, milliseconds since 1970. */
  readonly at: number;
  readonly operation: string;
  /** The HTTP status; 0 where no answer was given. */
  readonly status: number;
}

export type VendorType = 'route53' | 'cloudflare' | 'alidns' | 'dnspod';

/** One account at one vendor in the lab. */
export interface LabVendor {
  readonly name: string;
  readonly type: VendorType;
  /** The base URL to hand to the vendor's SDK. */
  readonly api: string;
  /** HOST:PORT of each of its authoritative servers. */
  readonly dns: readonly string[];
  /** The servers themselves, to break one of them. */
  readonly servers: readonly Nameserver[];
  /** Names of its zones, oldest first; one that a fault has deleted is still among them. */
  readonly zones: readonly string[];
  /** What DNS serves of a zone now. Throws for a zone that is not here. */
  zone(name: string): LabZone;
  /** The vendor's own id of a zone, not made of its name. Throws for a zone that is not here. */
  zoneId(name: string): string;
  /**
   * Adds a zone to the account; API and name servers have it at once. Gives its id. Throws, and
   * changes nothing, when the account has one of that name or a record cannot be served.
   */
  addZone(spec: ZoneSpec): string;
  /** Takes a zone out of the account for good. Throws for a zone that is not here. */
  removeZone(name: string): void;
  /**
   * Changes these settings of a zone and leaves the others; what a fault of the zone has set stays
   * on top until that is healed. DNS follows as after any change. Throws for a zone that is not here.
   */
  setZone(name: string, settings: ZoneSettings): void;
  /**
   * Breaks one zone alone in one of the ways of `zoneFaults`, in the place of its last fault; null
   * heals. A deleted zone comes back with its records and another id, as when a person makes it
   * anew. Throws for another word, and for a zone that was never here.
   */
  zoneFault(name: string, how: string | null, options?: ZoneFaultOptions): void;
  readonly zoneFaults: readonly string[];
  /** The fault in force at one zone; null: none. Throws for a zone that was never here. */
  brokenZone(name: string): string | null;
  /**
   * What a person at the console does: puts these values in the place of everything that the name
   * has for the type (at Alidns and DNSPod: on its line), or removes it (null). API and DNS
   * follow as after any change. Throws, and changes nothing, when the zone is not here or the
   * record cannot be served; the vendor's own rules are not applied.
   */
  edit(
    name: string,
    type: string,
    value: string | readonly string[] | null,
    ttl?: number,
    extra?: RecordExtra,
  ): void;
  /**
   * Protects a record from changes through the API, as an operator at the console can, or lifts
   * that again. Throws when it cannot be protected: no such thing at this vendor, or no such record.
   */
  protect(name: string, on: boolean): void;
  /** Breaks it in one of the ways of `faults`; null heals. Throws for another word. */
  fault(how: string | null, options?: FaultOptions): void;
  readonly faults: readonly string[];
  /** The fault in force; null: none, also when the last one has healed by itself. */
  readonly broken: string | null;
  /** The last fault, if it has healed by itself; null otherwise. */
  readonly mended: string | null;
  /** The newest 10,000 calls, oldest first. */
  readonly calls: readonly Call[];
  close(): Promise<void>;
}

/**
 * The ways to break a vendor. `hang` accepts and never answers; `refuse` stops listening; `reset`
 * cuts each connection before the request is looked at; `error` is 503 in the vendor's form, `html`
 * a proxy's 502 page; `throttle` and `auth` are the vendor's own refusals; `lost-reply` applies the
 * next write, cuts its connection and heals; `stale-read` reads the state before a zone's last
 * write; `dns-lag` keeps one name server on the old answers; `block` is the vendor's long block.
 */
export const vendorFaults = [
  'hang',
  'refuse',
  'reset',
  'error',
  'html',
  'throttle',
  'auth',
  'lost-reply',
  'stale-read',
  'dns-lag',
  'block',
] as const;
type VendorFault = (typeof vendorFaults)[number];

/**
 * The ways to break one zone of an account. `deleted` takes it away, and its name servers refuse it;
 * `paused` is the nearest thing that the vendor has: a pause, or a lock; `moved` is a zone that has
 * gone elsewhere: to another account, or its delegation to other servers; `denied` is a key without
 * permission for it; `hang`, `error` and `throttle` are those of `vendorFaults`, for it alone.
 */
export const zoneFaults = [
  'deleted',
  'paused',
  'moved',
  'denied',
  'hang',
  'error',
  'throttle',
] as const;
type ZoneFault = (typeof zoneFaults)[number];

// ---------------------------------------------------------------- for the dialects

export interface ApiRequest {
  readonly method: string;
  /** Path and query exactly as they were sent. */
  readonly target: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
  /** Reads are to give the state before the last write. */
  readonly stale: boolean;
}

export interface ApiReply {
  readonly status: number;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
  /** It changed something; what `lost-reply` waits for. */
  readonly wrote?: boolean;
}

/** The part of a vendor that speaks its language. */
export interface Dialect {
  /** The vendor's name of what is asked; never anything the caller chose freely. */
  operation(request: ApiRequest): string;
  answer(request: ApiRequest): ApiReply | Promise<ApiReply>;
  /** How the vendor words a refusal that does not depend on what was asked. */
  refusal(
    how: 'error' | 'throttle' | 'auth' | 'block' | 'too-large',
    request: ApiRequest,
  ): ApiReply;
  /** Takes a zone in, under an id of its own. */
  addZone(spec: ZoneSpec): void;
  /** Takes a zone out; what is returned puts it back as it was, under another id. */
  removeZone(zone: string): () => void;
  /** Puts these settings in the place of the zone's. */
  settle(zone: string, settings: ZoneSettings): void;
  /** What the settings of a zone are that is sick in one of these ways. */
  readonly symptoms: Readonly<Record<'paused' | 'moved', ZoneSettings>>;
  /** The name of the zone that is asked for; null when it is none, or none of this account. */
  zoneOf(request: ApiRequest): string | null;
  zoneId(zone: string): string;
  /** What DNS serves for the zone as it stands now; null when its servers refuse it. */
  rrsets(zone: string): readonly RRset[] | null;
  edit(zone: string, records: readonly LabRecord[], name: string, type: string): void;
  /** False where the vendor has no protection of single records, or no such record. */
  protect(zone: string, name: string, on: boolean): boolean;
}

/** Tells that a zone has changed; `published` is called when the name servers have it. */
export type Publish = (zone: string, published?: () => void) => void;

/** A value with the one before it, so that a read can be answered from the past. */
export class Ledger<T> {
  #now: T;
  #before: T;

  constructor(initial: T) {
    this.#now = initial;
    this.#before = initial;
  }

  get now(): T {
    return this.#now;
  }

  read(stale: boolean): T {
    return stale ? this.#before : this.#now;
  }

  commit(next: T): void {
    this.#before = this.#now;
    this.#now = next;
  }
}

/** A token bucket on the monotonic clock. */
export class TokenBucket {
  readonly #burst: number;
  readonly #perSecond: number;
  #tokens: number;
  #filledAt: number;

  constructor(burst: number, perSecond: number) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#tokens = burst;
    this.#filledAt = performance.now();
  }

  /** Takes one token; false when there is none. */
  take(): boolean {
    const now = performance.now();
    const earned = ((now - this.#filledAt) / 1000) * this.#perSecond;
    this.#tokens = Math.min(this.#burst, this.#tokens + earned);
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

/** A zone's one write at a time. */
export class Busy {
  readonly #zones = new Set<string>();

  /** Runs a write that takes its time; null when another one of the zone is under way. */
  async run<T>(zone: string, ms: number, write: () => T): Promise<T | null> {
    if (this.#zones.has(zone)) return null;
    this.#zones.add(zone);
    try {
      await new Promise((done) => setTimeout(done, ms));
      return write();
    } finally {
      this.#zones.delete(zone);
    }
  }
}

/** Whether the key has no permission for an operation on a zone with these settings. */
export function isDenied({ denied = [] }: ZoneSettings, operation: string): boolean {
  return denied === true || denied.includes(operation);
}

/** The values of a record as a list. */
export function valuesOf(value: string | readonly string[]): readonly string[] {
  return typeof value === 'string' ? [value] : value;
}

/** Without the trailing dot, as most vendors print names. */
export function bareName(name: string): string {
  return normalName(name).replace(/\.$/, '');
}

/** A name in ASCII, whatever script it is given in (RFC 5891); what is no name stays as it is. */
export function inAscii(name: string): string {
  const label = (l: string) => (/[^\p{ASCII}]/u.test(l) && domainToASCII(l)) || l;
  return name.split('.').map(label).join('.');
}

/** A name in its own script, as its owner reads it. */
export function inScript(name: string): string {
  return /(^|\.)xn--/.test(name) ? domainToUnicode(name) || name : name;
}

/** Host names of a vendor's authoritative servers, fully qualified. */
export function serverNames(type: VendorType, options: VendorOptions): readonly string[] {
  const given = options.nameServers?.map(normalName);
  return given ?? options.dnsAddresses.map((_, at) => `ns${at + 1}.${type}.test.`);
}

/** The zone of the longest name that holds a name, or null. */
export function zoneHolding(zones: Iterable<string>, name: string): string | null {
  let best: string | null = null;
  for (const zone of zones) {
    const holds = name === zone || name.endsWith(`.${zone}`);
    if (holds && zone.length > (best?.length ?? 0)) best = zone;
  }
  return best;
}

// ---------------------------------------------------------------- the plumbing

const callsMax = 10_000;
const bodyOctetsMax = 1 << 20;
const connectionsMax = 256;
const requestMs = 30_000;
const relistenMs = 20;

interface Fault {
  readonly how: VendorFault;
  readonly operations: readonly string[] | null;
  left: number;
}

/** One zone of the account, as the plumbing sees it. */
interface Held {
  readonly served: LabZone;
  /** Whether the name servers know it. */
  isServed: boolean;
  /** Without what a fault adds. */
  settings: ZoneSettings;
  sickness: Sickness | null;
}

interface Sickness {
  readonly how: ZoneFault;
  readonly operations: readonly string[] | null;
  /** Connections whose requests never get an answer. */
  readonly hung: Set<Socket>;
  /** Puts a deleted zone back; null where none is deleted. */
  readonly restore: (() => void) | null;
}

/** Starts the API and the name servers of a vendor. Rejects when a port cannot be had. */
export async function startVendor(
  type: VendorType,
  options: VendorOptions,
  speak: (publish: Publish) => Dialect,
): Promise<LabVendor> {
  const running = new Running(type, options, speak);
  try {
    await running.start();
  } catch (error) {
    await running.close();
    throw error;
  }
  return running;
}

class Running implements LabVendor {
  readonly name: string;
  readonly type: VendorType;
  readonly faults = vendorFaults;
  readonly zoneFaults = zoneFaults;
  readonly #options: VendorOptions;
  readonly #dialect: Dialect;
  readonly #zones = new Map<string, Held>();
  readonly #servers: Nameserver[] = [];
  readonly #http: Server;
  readonly #sockets = new Set<Socket>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #calls: Call[] = [];
  #fault: Fault | null = null;
  #mended: VendorFault | null = null;
  #port = 0;
  #lagging: Nameserver | null = null;
  #relistening = false;
  #closed = false;

  constructor(type: VendorType, options: VendorOptions, speak: (publish: Publish) => Dialect) {
    this.name = options.name ?? type;
    this.type = type;
    this.#options = options;
    this.#dialect = speak((zone, published) => this.#publish(zone, published));
    for (const spec of options.zones) this.addZone(spec);
    this.#http = createServer((request, response) => {
      void this.#serve(request, response);
    });
    this.#http.maxConnections = connectionsMax;
    this.#http.requestTimeout = requestMs;
    this.#http.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  async start(): Promise<void> {
    const zones = () => [...this.#zones.values()].filter((z) => z.isServed).map((z) => z.served);
    for (const address of this.#options.dnsAddresses) {
      const port = this.#options.dnsPort;
      this.#servers.push(await startNameserver({ address, port, zones }));
    }
    await this.#listen(this.#options.apiPort ?? 0);
  }

  get api(): string {
    const { address } = this.#options;
    const host = address.includes(':') ? `[${address}]` : address;
    const path = this.type === 'cloudflare' ? '/client/v4' : '';
    return `http://${host}:${this.#port}${path}`;
  }

  get dns(): readonly string[] {
    return this.#servers.map(({ address, port }) =>
      address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`,
    );
  }

  get servers(): readonly Nameserver[] {
    return this.#servers;
  }

  get calls(): readonly Call[] {
    return this.#calls;
  }

  get zones(): readonly string[] {
    return [...this.#zones.keys()];
  }

  zone(name: string): LabZone {
    const held = this.#held(name);
    if (held.sickness?.how !== 'deleted') return held.served;
    throw new Error(`${this.name}: zone ${name} is deleted`);
  }

  zoneId(name: string): string {
    return this.#dialect.zoneId(this.zone(name).name);
  }

  addZone(spec: ZoneSpec): string {
    const name = normalName(spec.name);
    if (this.#zones.has(name)) throw new Error(`${this.name}: there is a zone ${name} already`);
    const nameServers = serverNames(this.type, this.#options);
    const served = new LabZone({ name, nameServers, soa: spec.soa ?? {} });
    this.#dialect.addZone(spec);
    try {
      const settings = spec.settings ?? {};
      const rrsets = this.#rrsets(name, settings);
      served.replace(rrsets ?? []);
      this.#zones.set(name, { served, isServed: rrsets !== null, settings, sickness: null });
    } catch (error) {
      this.#dialect.removeZone(name);
      throw error;
    }
    return this.#dialect.zoneId(name);
  }

  removeZone(name: string): void {
    const held = this.#held(name);
    if (held.sickness?.how !== 'deleted') this.#dialect.removeZone(held.served.name);
    this.#release(held);
    this.#zones.delete(held.served.name);
  }

  setZone(name: string, settings: ZoneSettings): void {
    const held = this.#held(name);
    held.settings = { ...held.settings, ...settings };
    this.#settle(held);
  }

  zoneFault(name: string, how: string | null, options: ZoneFaultOptions = {}): void {
    const held = this.#held(name);
    const fault = zoneFaults.find((word) => word === how) ?? null;
    if (how !== null && fault === null) {
      throw new Error(
        `${this.name}: no zone breaks like ${how}; there is ${zoneFaults.join(', ')}`,
      );
    }
    this.#release(held);
    held.sickness?.restore?.();
    held.sickness = null;
    if (fault !== null) {
      const isGone = fault === 'deleted';
      const restore = isGone ? this.#dialect.removeZone(held.served.name) : null;
      const operations = options.operations ?? null;
      held.sickness = { how: fault, operations, hung: new Set(), restore };
      if (isGone) held.isServed = false;
    }
    this.#settle(held);
  }

  brokenZone(name: string): string | null {
    return this.#held(name).sickness?.how ?? null;
  }

  edit(
    name: string,
    type: string,
    value: string | readonly string[] | null,
    ttl = 300,
    extra: RecordExtra = {},
  ): void {
    const owner = normalName(name);
    const holder = this.#holding(owner);
    const kind = type.toUpperCase();
    const records = value === null ? [] : [{ name: owner, type: kind, value, ttl, extra }];
    this.#dialect.edit(holder, records, owner, kind);
  }

  protect(name: string, on: boolean): void {
    const owner = normalName(name);
    const holder = this.#holding(owner);
    if (this.#dialect.protect(holder, owner, on) || !on) return;
    throw new Error(`${this.name}: ${owner} cannot be protected: no such thing, or no such record`);
  }

  get broken(): string | null {
    return this.#fault?.how ?? null;
  }

  get mended(): string | null {
    return this.#mended;
  }

  fault(how: string | null, options: FaultOptions = {}): void {
    if (how !== null && !(vendorFaults as readonly string[]).includes(how)) {
      throw new Error(`${this.name}: no fault ${how}; there is ${vendorFaults.join(', ')}`);
    }
    const before = this.#fault?.how;
    const next = how as VendorFault | null;
    const lagging = next === 'dns-lag' ? this.#server(options.server) : null;
    if (this.#lagging) this.#lagging.fault = null;
    this.#lagging = lagging;
    this.#mended = null;
    this.#fault =
      next === null
        ? null
        : { how: next, operations: options.operations ?? null, left: options.times ?? Infinity };
    if (lagging) lagging.fault = 'stale';
    if (next === 'refuse' && before !== 'refuse') {
      // Closing would call off a listen that is under way without a word; that one looks itself.
      if (!this.#relistening) this.#http.close();
      this.#cutAll();
    }
    // What hung must not be answered by the healed vendor, nor hold its place for ever.
    if (before === 'hang' && next !== 'hang') this.#cutAll();
    if (before === 'refuse' && next !== 'refuse') this.#relisten();
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    const closed = this.#http.listening
      ? new Promise<void>((done) => this.#http.close(() => done()))
      : Promise.resolve();
    this.#cutAll();
    await Promise.all([closed, ...this.#servers.map((server) => server.close())]);
  }

  /** Throws for a zone that was never here. */
  #held(name: string): Held {
    const held = this.#zones.get(normalName(name));
    if (held) return held;
    const known = this.zones.join(', ') || 'none';
    throw new Error(`${this.name}: no zone ${name} in the lab; there is ${known}`);
  }

  /** The zone that holds a name; throws when there is none. */
  #holding(owner: string): string {
    const here = [...this.#zones].filter(([, held]) => held.sickness?.how !== 'deleted');
    const holder = zoneHolding(
      here.map(([name]) => name),
      owner,
    );
    if (holder !== null) return holder;
    throw new Error(`${this.name}: no zone in the lab holds ${owner}`);
  }

  /** Tells the vendor what a zone is by now, a fault of it counted in. */
  #settle({ served, settings, sickness }: Held): void {
    if (sickness?.how === 'deleted') return;
    this.#dialect.settle(served.name, { ...settings, ...this.#symptom(sickness) });
    this.#publish(served.name);
  }

  #symptom(sickness: Sickness | null): ZoneSettings {
    switch (sickness?.how) {
      case 'paused':
      case 'moved':
        return this.#dialect.symptoms[sickness.how];
      case 'denied':
        return { denied: sickness.operations ?? true };
      default:
        return {};
    }
  }

  /** What hung must not be answered by the healed zone, nor hold its place for ever. */
  #release({ sickness }: Held): void {
    for (const socket of sickness?.hung ?? []) socket.destroy();
  }

  #server(at = this.#servers.length - 1): Nameserver {
    const server = this.#servers[at];
    if (server) return server;
    throw new Error(`${this.name}: no name server ${at}; there are ${this.#servers.length}`);
  }

  #publish(zone: string, published?: () => void): void {
    const held = this.#zones.get(zone);
    if (!held || held.sickness?.how === 'deleted' || this.#closed) return;
    const rrsets = this.#rrsets(zone, held.settings);
    this.#later(this.#options.propagationMs ?? 20, () => {
      // A zone that has been deleted meanwhile is not served again by what was under way.
      const isGone = held.sickness?.how === 'deleted';
      held.isServed = rrsets !== null && !isGone;
      if (rrsets !== null && !isGone) held.served.replace(rrsets);
      published?.();
    });
  }

  /** What DNS can give: of several CNAMEs that a vendor lets stand, the first. */
  #rrsets(zone: string, { undelegated }: ZoneSettings): readonly RRset[] | null {
    if (undelegated) return null;
    const rrsets = this.#dialect.rrsets(zone)?.map((rrset) => {
      const isTooMany = rrset.type === 'CNAME' && rrset.values.length > 1;
      return isTooMany ? { ...rrset, values: rrset.values.slice(0, 1) } : rrset;
    });
    return rrsets ?? null;
  }

  #later(ms: number, then: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      then();
    }, ms);
    this.#timers.add(timer);
  }

  #listen(port: number): Promise<void> {
    const { address } = this.#options;
    return new Promise((done, fail) => {
      const failed = (error: NodeJS.ErrnoException) => {
        const where = `${address}:${port}`;
        fail(new Error(`${this.name}: cannot serve its API on ${where}: ${error.code}`));
      };
      this.#http.once('error', failed);
      this.#http.listen(port, address, () => {
        this.#http.off('error', failed);
        const bound = this.#http.address();
        this.#port = typeof bound === 'object' && bound ? bound.port : port;
        done();
      });
    });
  }

  /** Takes the port again; another process may hold it for a moment. */
  #relisten(): void {
    if (this.#relistening || this.#http.listening) return;
    const wanted = () => !this.#closed && this.#fault?.how !== 'refuse';
    this.#relistening = true;
    this.#listen(this.#port).then(
      () => {
        this.#relistening = false;
        if (!wanted()) this.#http.close();
      },
      () => {
        this.#relistening = false;
        if (wanted()) this.#later(relistenMs, () => this.#relisten());
      },
    );
  }

  #cutAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** The fault that meets this operation, if any; counts it. */
  #meets(operation: string): VendorFault | null {
    const fault = this.#fault;
    if (!fault || (fault.operations && !fault.operations.includes(operation))) return null;
    // These wait for a write, or work elsewhere: a call does not use them up.
    if (fault.how === 'lost-reply' || fault.how === 'dns-lag') return fault.how;
    fault.left -= 1;
    if (fault.left <= 0) this.#mend(fault.how);
    return fault.how;
  }

  /** The sickness of the zone that is asked for, if it shows on the wire. */
  #suffers(request: ApiRequest, operation: string): Sickness | null {
    const sick = [...this.#zones.values()].filter((held) => wireFault(held.sickness) !== null);
    if (sick.length === 0) return null;
    const zone = this.#dialect.zoneOf(request);
    const sickness = sick.find(({ served }) => served.name === zone)?.sickness ?? null;
    const isMeant = sickness?.operations?.includes(operation) ?? true;
    return isMeant ? sickness : null;
  }

  async #serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(message);
    if (body === 'cut') return;
    const target = message.url ?? '/';
    const mark = target.indexOf('?');
    const request: ApiRequest = {
      method: message.method ?? 'GET',
      target,
      path: mark < 0 ? target : target.slice(0, mark),
      query: new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1)),
      headers: message.headers,
      body: body === 'too-large' ? Buffer.alloc(0) : body,
      stale: false,
    };
    const operation = this.#dialect.operation(request);
    const whole = this.#meets(operation);
    const sickness = whole === null ? this.#suffers(request, operation) : null;
    if (sickness?.how === 'hang') hold(message.socket, sickness.hung);
    const fault = whole ?? wireFault(sickness);
    if (fault === 'hang') return this.#log(operation, 0);
    if (fault === 'reset') return this.#cut(operation, message);
    const reply =
      body === 'too-large'
        ? this.#dialect.refusal('too-large', request)
        : await this.#reply({ ...request, stale: fault === 'stale-read' }, fault);
    const lost = fault === 'lost-reply' && reply.wrote === true;
    if (lost && this.#useLostReply()) return this.#cut(operation, message);
    this.#log(operation, reply.status);
    response.writeHead(reply.status, {
      'content-type': reply.type ?? 'text/plain',
      'content-length': Buffer.byteLength(reply.body),
      ...reply.headers,
    });
    response.end(reply.body);
  }

  #reply(request: ApiRequest, fault: VendorFault | null): ApiReply | Promise<ApiReply> {
    switch (fault) {
      case 'html':
        return { status: 502, type: 'text/html', body: badGateway };
      case 'error':
      case 'throttle':
      case 'auth':
      case 'block':
        return this.#dialect.refusal(fault, request);
      default:
        return this.#dialect.answer(request);
    }
  }

  #mend(how: VendorFault): void {
    this.#fault = null;
    this.#mended = how;
  }

  /** False when the fault was healed or used up while the write was under way. */
  #useLostReply(): boolean {
    const fault = this.#fault;
    if (fault?.how !== 'lost-reply') return false;
    if (fault.left === Infinity) fault.left = 1;
    fault.left -= 1;
    if (fault.left <= 0) this.#mend(fault.how);
    return true;
  }

  #cut(operation: string, message: IncomingMessage): void {
    this.#log(operation, 0);
    message.socket.resetAndDestroy();
  }

  #log(operation: string, status: number): void {
    this.#calls.push({ at: Date.now(), operation, status });
    if (this.#calls.length > callsMax) this.#calls.shift();
  }
}

function hold(socket: Socket, among: Set<Socket>): void {
  among.add(socket);
  socket.once('close', () => among.delete(socket));
}

/** The faults of a zone that are the plumbing's: the others are what the vendor says of it. */
function wireFault(sickness: Sickness | null): 'hang' | 'error' | 'throttle' | null {
  switch (sickness?.how) {
    case 'hang':
    case 'error':
    case 'throttle':
      return sickness.how;
    default:
      return null;
  }
}

const badGateway = `<html>
<head><title>502 Bad Gateway</title></head>
<body>
<center><h1>502 Bad Gateway</h1></center>
</body>
</html>
`;

/** A request's body of at most 1 MiB; what is more is read off and dropped. */
function readBody(message: IncomingMessage): Promise<Buffer | 'too-large' | 'cut'> {
  return new Promise((done) => {
    const chunks: Buffer[] = [];
    let octets = 0;
    message.on('data', (chunk: Buffer) => {
      octets += chunk.length;
      if (octets <= bodyOctetsMax) chunks.push(chunk);
      // Twice the bound and still talking: not worth an answer.
      else if (octets > 2 * bodyOctetsMax) message.destroy();
    });
    message.on('end', () => done(octets > bodyOctetsMax ? 'too-large' : Buffer.concat(chunks)));
    message.on('error', () => done('cut'));
    message.on('close', () => done('cut'));
  });
}
