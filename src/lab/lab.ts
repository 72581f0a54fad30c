// A small internet on loopback: a root with its registry, three DNS vendors that each hold the
// steered zones, clouds with origins, object stores and control APIs, and, if wanted, several ways
// out with reference points. It takes a network of its own inside 127.0.0.0/8, so that labs can
// stand side by side. It knows nothing of the daemon that is pointed at it, and it must never listen
// outside 127.0.0.0/8 nor leave a server behind, also when it fails to start.

import { randomBytes, randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import type { Name } from '../core/model.ts';
import { toName } from '../kit/schema.ts';
import {
  faultsOf,
  isInRegion,
  type Origin,
  originFaults,
  type Part,
  type PartFault,
  serviceFaults,
  startApi,
  startOrigin,
  startReference,
  startStore,
} from './clouds/cloud.ts';
import { isPathFault, type LabPath, pathFaults, startPath } from './clouds/paths.ts';
import { LabError, type Scope, scopes } from './shell/control.ts';
import { startAlidns } from './vendors/alidns.ts';
import { startCloudflare } from './vendors/cloudflare.ts';
import { startDnspod } from './vendors/dnspod.ts';
import { type Nameserver, startNameserver } from './vendors/nameserver.ts';
import { type Rival, startRival } from './vendors/rival.ts';
import { startRoute53 } from './vendors/route53.ts';
import type { SigningKey } from './vendors/sigv4.ts';
import type { LabVendor, VendorType } from './vendors/vendor.ts';
import { LabZone } from './vendors/zone.ts';

/** Those of every lab; a fourth one is there on request. */
export type ReadyVendor = Exclude<VendorType, 'dnspod'>;
export const vendorTypes: readonly ReadyVendor[] = ['route53', 'cloudflare', 'alidns'];
const everyType: readonly VendorType[] = [...vendorTypes, 'dnspod'];

/** The names that the ready configuration gives to the accounts at the vendors. */
const providerNames: Readonly<Record<VendorType, string>> = {
  route53: 'r53',
  cloudflare: 'cf',
  alidns: 'ali',
  dnspod: 'dp',
};

export interface LabOptions {
  /** More records, `r0001.gslb.example.net` and so on, on hangzhou; 0 unless set. */
  readonly records?: number;
  /** Whether the vendors throttle as the real ones do; `real` unless set. */
  readonly quotas?: 'real' | 'off';
  /** TTL of the records in seconds; 60 unless set. The vendors' least TTL is never above it. */
  readonly ttl?: number;
  /** Ways out, 1 or 3; 1 unless set, and then it is this machine's own, which cannot be broken. */
  readonly paths?: number;
  /** Clouds, 2 or 3; 2 unless set. The third has the last target of every record. */
  readonly clouds?: number;
  /** DNS vendors, 3 or 4; 3 unless set. The fourth is DNSPod. */
  readonly vendors?: number;
  /** More zones at every vendor, beside `gslb.example.net`; none unless set. */
  readonly zones?: readonly ZoneWish[];
}

/** A zone to steer records in, at the accounts that hold `gslb.example.net` too. */
interface ZoneWish {
  /** Such as `other.example`; neither inside nor above anything else that the lab serves. */
  readonly name: string;
  /** Its records by their first label, each with the origins it may lead to, the best first. */
  readonly records: Readonly<Record<string, readonly string[]>>;
}

/** What `detour lab --zones 2` adds. */
export const otherZone: ZoneWish = {
  name: 'other.example',
  records: { www: ['hangzhou', 'tokyo'], api: ['beijing', 'tokyo'] },
};

export interface LabRecord {
  readonly name: Name;
  /** Seconds. */
  readonly ttl: number;
  /** In order of preference; the first is in force, unmarked, when the lab starts. */
  readonly targets: readonly { readonly origin: string; readonly cname: Name }[];
}

interface LabCredentials {
  readonly route53: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly cloudflare: { readonly apiToken: string };
  readonly alidns: { readonly accessKeyId: string; readonly accessKeySecret: string };
  readonly dnspod: { readonly secretId: string; readonly secretKey: string };
  /** The key that the object stores of every cloud know. */
  readonly stores: SigningKey;
}

type LabVendors = Readonly<Record<ReadyVendor, LabVendor> & Partial<Record<VendorType, LabVendor>>>;

export interface Lab {
  /** First three octets of every address: `127.81.7`. */
  readonly network: string;
  /** The zone that every vendor holds in every lab; the first of `zones`. */
  readonly zone: Name;
  /** Every zone that was asked for; each vendor holds all of them, delegated to all vendors. */
  readonly zones: readonly Name[];
  /** Port of every name server, for UDP and TCP. */
  readonly dnsPort: number;
  /** Addresses of the root. */
  readonly roots: readonly string[];
  readonly root: Nameserver;
  readonly vendors: LabVendors;
  /** Which vendors there are. */
  readonly vendorTypes: readonly VendorType[];
  /** The primary cloud first. */
  readonly clouds: readonly string[];
  readonly origins: readonly Origin[];
  /** Object stores, one a region. */
  readonly stores: readonly Origin[];
  /** Control APIs, one a cloud. */
  readonly apis: readonly Part[];
  /** The ways out that can be broken; none where the lab has a single path. */
  readonly paths: readonly LabPath[];
  /** Things that are up, outside every cloud; none where the lab has a single path. */
  readonly references: readonly Part[];
  /** Of all zones; the numbered ones last. */
  readonly records: readonly LabRecord[];
  readonly credentials: LabCredentials;
  /** The host name whose address record is that of an origin, store, API or reference point. */
  hostOf(part: string): Name;
  /**
   * Breaks something; says what. `share`, above 0 and at most 1, is for `loss`. Throws LabError,
   * naming what there is.
   */
  break(scope: Scope, name: string, how: string, share?: number | null): Promise<string>;
  /** Heals something; without a scope, everything. Says what. Throws LabError. */
  heal(scope: Scope | null, name: string): Promise<string>;
  /** What a person does at a vendor's console; `value` is a name or a target, null removes. */
  edit(vendor: string, record: string, value: string | null): string;
  /** Protects a record at a vendor until that vendor is healed. */
  protect(vendor: string, record: string): string;
  /** The faults in force at a vendor; null: none. */
  vendorFault(type: VendorType): string | null;
  /** Ends every server and gives every port back. */
  close(): Promise<void>;
}

/** What `records` may ask for: a zone at Cloudflare takes 3,500, and each record has a marker. */
export const recordsMost = 1700;
/** Records in a zone of Cloudflare's free plan. */
const freePlanMost = 200;

const zoneName = 'gslb.example.net.';
const registryHost = 'ns.registry.example.';
/** Zones of the registry that hold the hosts of the lab's parts. */
const hostZones: readonly Name[] = ['shop.example.', 'cloud.example.', 'reference.example.'];

const sites = [
  { name: 'hangzhou', host: 'hz', cloud: 'aliyun', region: 'cn-hangzhou', octet: 21 },
  { name: 'hangzhou2', host: 'hz2', cloud: 'aliyun', region: 'cn-hangzhou', octet: 23 },
  { name: 'beijing', host: 'bj', cloud: 'aliyun', region: 'cn-beijing', octet: 22 },
  { name: 'tokyo', host: 'nrt', cloud: 'aws', region: 'ap-northeast-1', octet: 31 },
  { name: 'singapore', host: 'sin', cloud: 'gcp', region: 'asia-southeast1', octet: 41 },
] as const;
/** In order of preference. */
const clouds = ['aliyun', 'aws', 'gcp'] as const;
/** Last octets of the object stores, by region, and of the control APIs, by cloud. */
const storeOctets: Readonly<Record<string, number>> = {
  'cn-hangzhou': 24,
  'cn-beijing': 25,
  'ap-northeast-1': 34,
  'asia-southeast1': 44,
};
const apiOctets: Readonly<Record<string, number>> = { aliyun: 26, aws: 36, gcp: 46 };
const referenceOctets: Readonly<Record<string, number>> = { 'ref-a': 91, 'ref-b': 92 };
/**
 * Each with a site and an uplink of its own: what shares one is one vote. Two of them speak SOCKS5,
 * which says whether the far end refused; a CONNECT proxy says 502 for that and for its own trouble.
 */
const ways = [
  { name: 'line-a', kind: 'socks5', site: 'hangzhou-office', uplink: 'as4134', octet: 81 },
  { name: 'line-b', kind: 'http', site: 'shanghai-office', uplink: 'as4837', octet: 82 },
  { name: 'abroad', kind: 'socks5', site: 'osaka', uplink: 'as2497', octet: 83 },
] as const;
/** What `break uplink` calls all paths together. */
const everyUplink = 'all';

/** Last octet of a vendor's API; its name servers have the two after it. */
const vendorOctet: Readonly<Record<VendorType, number>> = {
  route53: 51,
  cloudflare: 61,
  alidns: 71,
  dnspod: 74,
};

function vendorHosts(type: VendorType): readonly Name[] {
  return [1, 2].map((n) => `ns${n}.${type}.example.net.`);
}

/** Names that the registry needs, so that no zone may take them over. */
const registryNames: readonly Name[] = [
  ...['example.', 'net.', 'example.net.', registryHost],
  ...everyType.flatMap(vendorHosts),
];

const allOctets = [
  ...[1, 51, 52, 53, 61, 62, 63, 71, 72, 73, 74, 75, 76],
  ...sites.map((s) => s.octet),
  ...Object.values({ ...storeOctets, ...apiOctets, ...referenceOctets }),
  ...ways.map((w) => w.octet),
];
/** For how long DNSPod's lists do not show a new record; the real ones need up to 30 s. */
const indexLagMs = 3000;
/** How often a second writer writes. */
const rivalMs = 5000;
const attempts = 12;

/** Starts everything. Rejects with LabError when this machine has no room for it. */
export async function startLab(options: LabOptions = {}): Promise<Lab> {
  const count = options.records ?? 0;
  if (!Number.isInteger(count) || count < 0 || count > recordsMost) {
    throw new LabError(`records: expected a whole number from 0 to ${recordsMost}`, 2);
  }
  const ttl = options.ttl ?? 60;
  if (!Number.isInteger(ttl) || ttl < 1 || ttl > 86_400) {
    throw new LabError('ttl: expected whole seconds from 1 to 86400', 2);
  }
  const paths = options.paths ?? 1;
  if (paths !== 1 && paths !== ways.length) {
    throw new LabError(`paths: expected 1 or ${ways.length}`, 2);
  }
  const cloudCount = options.clouds ?? 2;
  if (cloudCount !== 2 && cloudCount !== clouds.length) {
    throw new LabError(`clouds: expected 2 or ${clouds.length}`, 2);
  }
  const vendors = options.vendors ?? vendorTypes.length;
  if (vendors < vendorTypes.length || vendors > everyType.length) {
    throw new LabError(`vendors: expected ${vendorTypes.length} or ${everyType.length}`, 2);
  }
  const wish: Wish = {
    count,
    ttl,
    quotas: options.quotas ?? 'real',
    paths: paths === 1 ? 0 : paths,
    clouds: clouds.slice(0, cloudCount),
    zones: options.zones ?? [],
    vendors: everyType.slice(0, vendors),
  };
  const zones = labZones(wish);
  for (let attempt = 1; ; attempt++) {
    const place = await findPlace(attempt);
    const opened: (() => Promise<void>)[] = [];
    try {
      return await build(place, wish, zones, opened);
    } catch (error) {
      await Promise.all(opened.map((close) => close()));
      // Another lab may have taken the same network since it was looked at.
      const taken = /EADDRINUSE/.test((error as Error).message);
      if (!taken || attempt >= attempts) throw error;
    }
  }
}

interface Place {
  readonly network: string;
  readonly dnsPort: number;
  readonly httpPort: number;
}

interface Wish {
  readonly count: number;
  readonly ttl: number;
  readonly quotas: 'real' | 'off';
  /** Ways out that can be broken; 0: none. */
  readonly paths: number;
  readonly clouds: readonly string[];
  readonly zones: readonly ZoneWish[];
  readonly vendors: readonly VendorType[];
}

/** A zone with the records that are steered in it. */
interface SteeredZone {
  readonly name: Name;
  readonly records: readonly LabRecord[];
}

async function build(
  place: Place,
  wish: Wish,
  zones: readonly SteeredZone[],
  opened: (() => Promise<void>)[],
): Promise<Lab> {
  const at = (octet: number) => `${place.network}.${octet}`;
  const keep = <T extends { close(): Promise<void> }>(part: T): T => {
    opened.push(() => part.close());
    return part;
  };
  const registry: LabZone[] = [];
  const root = keep(
    await startNameserver({ address: at(1), port: place.dnsPort, zones: () => registry }),
  );
  const credentials = newCredentials();
  const servers = await startServers(place, wish, credentials.stores, keep);
  const shared = (type: VendorType) => ({
    address: at(vendorOctet[type]),
    apiPort: place.httpPort,
    dnsAddresses: [at(vendorOctet[type] + 1), at(vendorOctet[type] + 2)],
    dnsPort: place.dnsPort,
    nameServers: vendorHosts(type),
    zones: zones.map(({ name, records }) => ({
      name,
      records: records.map(unmarked),
      settings: { plan: planFor(records.length) },
    })),
    quotas: wish.quotas,
    resolve: (name: string) => addressesOf(name, at),
    ...ttlMinOf(type, wish.ttl),
  });
  const vendors = {
    route53: keep(await startRoute53({ ...shared('route53'), credentials: credentials.route53 })),
    cloudflare: keep(
      await startCloudflare({ ...shared('cloudflare'), credentials: credentials.cloudflare }),
    ),
    alidns: keep(await startAlidns({ ...shared('alidns'), credentials: credentials.alidns })),
    ...(wish.vendors.includes('dnspod')
      ? {
          dnspod: keep(
            await startDnspod({ ...shared('dnspod'), indexLagMs, credentials: credentials.dnspod }),
          ),
        }
      : {}),
  };
  registry.push(...registryZones(at, vendors, servers, zones));
  return new LoopbackLab(place, { root, ...servers, zones, credentials, vendors }, opened);
}

/** A plan of Cloudflare's that has room for so many records with their markers. */
function planFor(records: number): 'free' | 'pro' {
  return 2 * records <= freePlanMost ? 'free' : 'pro';
}

interface Servers {
  readonly origins: readonly Origin[];
  readonly stores: readonly Origin[];
  readonly apis: readonly Part[];
  readonly references: readonly Part[];
  readonly paths: readonly LabPath[];
}

/** Everything that a probe may meet: clouds, reference points, ways out. */
async function startServers(
  place: Place,
  wish: Wish,
  key: SigningKey,
  keep: <T extends { close(): Promise<void> }>(part: T) => T,
): Promise<Servers> {
  const where = (octet: number) => ({
    address: `${place.network}.${octet}`,
    port: place.httpPort,
  });
  const here = sites.filter((s) => wish.clouds.includes(s.cloud));
  const origins: Origin[] = [];
  for (const { name, cloud, region, octet } of here) {
    origins.push(keep(await startOrigin({ name, cloud, region, ...where(octet) })));
  }
  const stores: Origin[] = [];
  for (const [region, octet] of Object.entries(storeOctets)) {
    const cloud = here.find((s) => s.region === region)?.cloud;
    if (cloud === undefined) continue;
    const name = `oss-${region}`;
    stores.push(keep(await startStore({ name, cloud, region, key, ...where(octet) })));
  }
  const apis: Part[] = [];
  for (const cloud of wish.clouds) {
    const name = `api-${cloud}`;
    apis.push(keep(await startApi({ name, cloud, ...where(apiOctets[cloud]!) })));
  }
  const references: Part[] = [];
  for (const [name, octet] of wish.paths === 0 ? [] : Object.entries(referenceOctets)) {
    references.push(keep(await startReference({ name, ...where(octet) })));
  }
  const addresses = new Map(
    [...origins, ...stores, ...apis, ...references].flatMap((part) => [
      [partHost(part), part.address],
      [part.address, part.address],
    ]),
  );
  const resolve = (host: string) => addresses.get(host.replace(/\.?$/, '.')) ?? addresses.get(host);
  const paths: LabPath[] = [];
  for (const { octet, ...way } of ways.slice(0, wish.paths)) {
    const options = { ...way, ...where(octet), resolve: (h: string) => resolve(h) ?? null };
    paths.push(keep(await startPath(options)));
  }
  return { origins, stores, apis, references, paths };
}

interface Parts extends Servers {
  readonly root: Nameserver;
  readonly zones: readonly SteeredZone[];
  readonly credentials: LabCredentials;
  readonly vendors: LabVendors;
}

class LoopbackLab implements Lab {
  readonly network: string;
  readonly zone = zoneName;
  readonly zones: readonly Name[];
  readonly dnsPort: number;
  readonly roots: readonly string[];
  readonly root: Nameserver;
  readonly vendors: LabVendors;
  readonly vendorTypes: readonly VendorType[];
  readonly clouds: readonly string[];
  readonly origins: readonly Origin[];
  readonly records: readonly LabRecord[];
  readonly credentials: LabCredentials;
  readonly stores: readonly Origin[];
  readonly apis: readonly Part[];
  readonly references: readonly Part[];
  readonly paths: readonly LabPath[];
  readonly #rivals = new Map<VendorType, Rival>();
  readonly #protected = new Map<VendorType, Set<Name>>();
  readonly #opened: readonly (() => Promise<void>)[];

  constructor(place: Place, parts: Parts, opened: readonly (() => Promise<void>)[]) {
    this.network = place.network;
    this.dnsPort = place.dnsPort;
    this.root = parts.root;
    this.roots = [parts.root.address];
    this.vendors = parts.vendors;
    this.vendorTypes = everyType.filter((type) => type in parts.vendors);
    this.origins = parts.origins;
    this.stores = parts.stores;
    this.apis = parts.apis;
    this.references = parts.references;
    this.paths = parts.paths;
    this.clouds = [...new Set(parts.origins.map((o) => o.cloud))];
    this.zones = parts.zones.map((zone) => zone.name);
    const records = parts.zones.flatMap((zone) => zone.records);
    const numbered = new Set(records.filter(isNumbered));
    this.records = [...records.filter((r) => !numbered.has(r)), ...numbered];
    this.credentials = parts.credentials;
    this.#opened = opened;
  }

  hostOf(name: string): Name {
    const part = this.#all().find((p) => p.name === name);
    if (part === undefined) throw new LabError(`there is no ${name} in the lab`, 2);
    return partHost(part);
  }

  async break(
    scope: Scope,
    name: string,
    how: string,
    share: number | null = null,
  ): Promise<string> {
    if (share !== null && (how !== 'loss' || scope === 'vendor' || scope === 'zone')) {
      throw new LabError(`a share goes with loss alone, not with ${how} of a ${scope}`, 2);
    }
    const odds = share ?? usualShare;
    if (scope === 'vendor') return this.#breakVendor(this.#vendor(name), how);
    if (scope === 'zone') return this.#breakZone(name, how);
    if (scope === 'path' || scope === 'uplink') {
      const struck = this.#ways(scope, name);
      if (!isPathFault(how)) throw unknownFault(scope, how, Object.keys(pathFaults));
      await Promise.all(struck.map((p) => p.break(how, odds)));
      const words = how === 'loss' ? lossWords(odds) : `${how}, it ${pathFaults[how]}`;
      return `${scope} ${name}${listed(scope === 'path', struck)} is broken: ${words}`;
    }
    const meant = this.#parts(scope, name);
    const known = new Set(meant.flatMap((p) => faultsOf(p.kind)));
    const fault = [...known].find((word) => word === how);
    if (fault === undefined) throw unknownFault(scope, how, [...known]);
    const struck = meant.filter((p) => faultsOf(p.kind).includes(fault));
    await Promise.all(struck.map((p) => p.break(fault, odds)));
    const words = fault === 'loss' ? lossWords(odds) : faultWords(fault);
    return `${scope} ${name}${listed(isSingle(scope), struck)} is broken: ${words}`;
  }

  async heal(scope: Scope | null, name: string): Promise<string> {
    if (scope === null) {
      for (const type of this.vendorTypes) this.#healVendor(type);
      await Promise.all([...this.#all(), ...this.paths].map((part) => part.heal()));
      return 'everything is healed';
    }
    if (scope === 'vendor') {
      const type = this.#vendor(name);
      this.#healVendor(type);
      return `vendor ${type} is healed`;
    }
    if (scope === 'zone') {
      const { type, zone } = this.#zone(name);
      this.#at(type).zoneFault(zone, null);
      return `zone ${zoneWord(type, zone)} is healed`;
    }
    const isWay = scope === 'path' || scope === 'uplink';
    const healed = isWay ? this.#ways(scope, name) : this.#parts(scope, name);
    await Promise.all(healed.map((part) => part.heal()));
    return `${scope} ${name}${listed(isSingle(scope), healed)} is healed`;
  }

  edit(vendor: string, record: string, value: string | null): string {
    const type = this.#vendor(vendor);
    const { name, ttl, targets } = this.#record(record);
    const cname =
      value === null ? null : (targets.find((t) => t.origin === value)?.cname ?? toName(value));
    if (value !== null && cname === null) {
      const known = targets.map((t) => t.origin).join(', ');
      throw new LabError(`${value} is no DNS name and none of the targets ${known}`, 2);
    }
    this.#at(type).edit(name, 'CNAME', cname, ttl);
    const what = cname === null ? 'removed' : `changed to ${cname}`;
    return `${name} was ${what} by hand at ${type}`;
  }

  protect(vendor: string, record: string): string {
    const type = this.#vendor(vendor);
    const { name } = this.#record(record);
    this.#protect(type, name);
    return `${name} is protected at ${type} until that vendor is healed`;
  }

  vendorFault(type: VendorType): string | null {
    const protects = (this.#protected.get(type)?.size ?? 0) > 0;
    const words = [
      this.#at(type).broken,
      this.#rivals.has(type) ? 'second-writer' : null,
      protects ? 'protected' : null,
    ].filter((word) => word !== null);
    return words.length === 0 ? null : words.join(', ');
  }

  async close(): Promise<void> {
    for (const rival of this.#rivals.values()) rival.close();
    this.#rivals.clear();
    await Promise.all(this.#opened.map((close) => close()));
  }

  #at(type: VendorType): LabVendor {
    return this.vendors[type]!;
  }

  #breakVendor(type: VendorType, how: string): string {
    const vendor = this.#at(type);
    if (how === 'partial-batch') throw new LabError(noPartialBatch, 2);
    if (how === 'second-writer') {
      this.#rivals.get(type)?.close();
      this.#rivals.set(type, startRival(vendor, this.records[0]!, rivalMs));
    } else if (how === 'protected') {
      for (const { name } of this.records.slice(0, 2)) this.#protect(type, name);
    } else if (vendor.faults.includes(how)) {
      vendor.fault(how);
    } else {
      throw unknownFault('vendor', how, [...vendor.faults, ...handFaults]);
    }
    return `vendor ${type} is broken: ${how}, it ${vendorWords[how] ?? 'fails'}`;
  }

  #breakZone(name: string, how: string): string {
    const { type, zone } = this.#zone(name);
    const vendor = this.#at(type);
    if (!vendor.zoneFaults.includes(how)) throw unknownFault('zone', how, vendor.zoneFaults);
    vendor.zoneFault(zone, how);
    return `zone ${zoneWord(type, zone)} is broken: ${how}, it ${zoneWords[how] ?? 'fails'}`;
  }

  #protect(type: VendorType, name: Name): void {
    if (type === 'cloudflare' || type === 'dnspod') {
      throw new LabError(`${type} protects no single record: choose route53 or alidns`, 2);
    }
    this.#at(type).protect(name, true);
    this.#protected.set(type, (this.#protected.get(type) ?? new Set()).add(name));
  }

  #healVendor(type: VendorType): void {
    this.#at(type).fault(null);
    for (const zone of this.#at(type).zones) this.#at(type).zoneFault(zone, null);
    this.#rivals.get(type)?.close();
    this.#rivals.delete(type);
    for (const name of this.#protected.get(type) ?? []) this.#at(type).protect(name, false);
    this.#protected.delete(type);
  }

  #all(): readonly Part[] {
    return [...this.origins, ...this.stores, ...this.apis, ...this.references];
  }

  #parts(scope: PartScope, name: string): readonly Part[] {
    const found = this.#all().filter((part) => isMeant(part, scope, name));
    if (found.length > 0) return found;
    if (scope === 'reference' && this.references.length === 0) throw singlePath(scope, name);
    const known = new Set(this.#all().flatMap((part) => knownAs(part, scope)));
    throw new LabError(`there is no ${scope} ${name}: there are ${[...known].join(', ')}`, 2);
  }

  /** A path by its name; an uplink's by the line's or the site's, or several with commas. */
  #ways(scope: 'path' | 'uplink', name: string): readonly LabPath[] {
    if (this.paths.length === 0) throw singlePath(scope, name);
    const wordsOf = (p: LabPath) => (scope === 'path' ? [p.name] : [p.uplink, p.site, everyUplink]);
    const known = [...new Set(this.paths.flatMap(wordsOf))];
    const wanted = scope === 'path' ? [name] : name.split(',');
    const stray = wanted.find((word) => !known.includes(word));
    if (stray !== undefined) {
      throw new LabError(`there is no ${scope} ${stray}: there are ${known.join(', ')}`, 2);
    }
    return this.paths.filter((p) => wordsOf(p).some((word) => wanted.includes(word)));
  }

  /** By its whole name or by its first label. */
  #record(name: string): LabRecord {
    const wanted = name.toLowerCase().replace(/\.?$/, '.');
    const found = this.records.find((r) => r.name === wanted || r.name === wanted + this.zone);
    if (found !== undefined) return found;
    const known = this.records.slice(0, 3).map((r) => r.name.replace(/\.$/, ''));
    throw new LabError(`there is no record ${name}: there are ${known.join(', ')}`, 2);
  }

  /** One zone at one vendor, `VENDOR/ZONE`. */
  #zone(name: string): { readonly type: VendorType; readonly zone: Name } {
    const [vendor, zone = ''] = name.toLowerCase().split('/', 2) as [string, string?];
    const type = this.#vendor(vendor);
    const wanted = zone.replace(/\.?$/, '.');
    if (this.#at(type).zones.includes(wanted)) return { type, zone: wanted };
    const known = this.#at(type)
      .zones.map((z) => zoneWord(type, z))
      .join(', ');
    throw new LabError(`there is no zone ${name}: there are ${known}`, 2);
  }

  /** By the vendor's name or by that of the account in the ready configuration. */
  #vendor(name: string): VendorType {
    const type = this.vendorTypes.find((t) => t === name || providerNames[t] === name);
    if (type !== undefined) return type;
    throw new LabError(`there is no vendor ${name}: there are ${this.vendorTypes.join(', ')}`, 2);
  }
}

type PartScope = Exclude<Scope, 'vendor' | 'zone' | 'path' | 'uplink'>;

function isMeant(part: Part, scope: PartScope, name: string): boolean {
  switch (scope) {
    case 'cloud':
      return part.cloud === name;
    case 'region':
      return isInRegion(part, name);
    case 'store':
      return part.kind === 'store' && (part.name === name || isInRegion(part, name));
    case 'api':
      return part.kind === 'api' && (part.name === name || part.cloud === name);
    default:
      return part.kind === scope && part.name === name;
  }
}

/** What to call a part, or what it lies in, on the command line. */
function knownAs(part: Part, scope: PartScope): readonly string[] {
  if (scope === 'cloud') return part.cloud === null ? [] : [part.cloud];
  if (scope === 'region') return part.region === null ? [] : [`${part.cloud}/${part.region}`];
  return part.kind === scope ? [part.name] : [];
}

function singlePath(scope: Scope, name: string): LabError {
  const cure = 'this lab has one way out: start it with --paths 3';
  return new LabError(`there is no ${scope} ${name}: ${cure}`, 2);
}

const usualShare = 0.3;

/** Faults of a vendor that are somebody's deed, not its API's. */
export const handFaults = ['second-writer', 'protected'] as const;

const vendorWords: Readonly<Record<string, string>> = {
  hang: 'accepts calls and never answers, while its DNS goes on',
  refuse: 'refuses connections, while its DNS goes on',
  reset: 'cuts every call before it is looked at',
  error: 'answers 503 in its own form',
  html: "answers with a proxy's page in HTML",
  throttle: 'says that calls come too fast',
  auth: 'refuses keys that are valid',
  'lost-reply': 'applies the next write, loses the reply, and is well again',
  'stale-read': 'reads the state before the last write',
  'dns-lag': 'leaves one of its name servers behind',
  block: 'blocks everything for five minutes',
  'second-writer': `is written by another hand every ${rivalMs / 1000} s, at the same epoch or above`,
  protected: 'refuses changes of the records that an operator has protected',
};

const zoneWords: Readonly<Record<string, string>> = {
  deleted: 'is gone from the account, and its name servers refuse it',
  paused: 'is paused, or locked where the vendor pauses no zone',
  moved: 'has gone to another account, or its delegation to other servers',
  denied: 'is closed to this key, which is good for the others',
  hang: 'alone never gets an answer from the API',
  error: 'alone is answered with 503',
  throttle: 'alone is said to be called too fast',
};

/** What `break` and `status` call a zone at a vendor. */
export function zoneWord(type: VendorType, zone: Name): string {
  return `${type}/${zone.replace(/\.$/, '')}`;
}

const noPartialBatch =
  'partial-batch is nothing that these vendors can do: route53 and cloudflare apply a batch whole ' +
  'or not at all, and alidns has no batches, nor has dnspod; lost-reply there falls between CNAME ' +
  'and marker';

function isSingle(scope: Scope): boolean {
  return !['cloud', 'region', 'uplink'].includes(scope);
}

function listed(isSingle: boolean, parts: readonly { readonly name: string }[]): string {
  return isSingle ? '' : ` (${parts.map((p) => p.name).join(', ')})`;
}

/** Whether a word names something that can be broken. */
export function isScope(word: string | undefined): word is Scope {
  return scopes.includes(word as Scope);
}

function unknownFault(scope: Scope, how: string, known: readonly string[]): LabError {
  return new LabError(`no ${scope} breaks like "${how}": choose one of ${known.join(', ')}`, 2);
}

function faultWords(how: PartFault): string {
  return `${how}, it ${{ ...originFaults, ...serviceFaults }[how]}`;
}

function lossWords(share: number): string {
  return `loss, ${Math.round(share * 100)} % of what is asked gets no answer`;
}

function cnameOf(origin: string): Name {
  return `${sites.find((p) => p.name === origin)?.host ?? origin}.shop.example.`;
}

function partHost(part: Part): Name {
  if (part.kind === 'origin') return cnameOf(part.name);
  if (part.kind === 'reference') return `${part.name}.reference.example.`;
  return `${part.name}.cloud.example.`;
}

function labRecord(name: Name, origins: readonly string[], wish: Wish): LabRecord {
  const last = wish.clouds.length > 2 && !origins.includes('singapore') ? ['singapore'] : [];
  const targets = [...origins, ...last].map((origin) => ({ origin, cname: cnameOf(origin) }));
  return { name, ttl: wish.ttl, targets };
}

/** The records of the zone that every lab has. */
function labRecords(wish: Wish): readonly LabRecord[] {
  const record = (label: string, ...origins: readonly string[]) =>
    labRecord(`${label}.${zoneName}`, origins, wish);
  const more = Array.from({ length: wish.count }, (_, i) =>
    record(`r${String(i + 1).padStart(4, '0')}`, 'hangzhou', 'tokyo'),
  );
  const named = [record('www', 'hangzhou', 'tokyo'), record('api', 'beijing', 'tokyo')];
  // A second origin in a region tells the region's failure from the origin's.
  if (wish.paths > 0) named.push(record('img', 'hangzhou2', 'tokyo'));
  return [...named, ...more];
}

/** Whether a record is one of those that are there for their number alone. */
export function isNumbered({ name }: LabRecord): boolean {
  return name.endsWith(`.${zoneName}`) && /^r\d{4}\./.test(name);
}

/** The zones to steer in. Throws LabError for one that could not stand beside the others. */
function labZones(wish: Wish): readonly SteeredZone[] {
  const zones: SteeredZone[] = [{ name: zoneName, records: labRecords(wish) }];
  for (const { name: given, records: wanted } of wish.zones) {
    const name = toName(given);
    if (name === null) throw new LabError(`zones: ${given} is no DNS name`, 2);
    const inside = [...hostZones, ...zones.map((z) => z.name)];
    const taken =
      inside.find((other) => isWithin(name, other)) ??
      [...inside, ...registryNames].find((other) => isWithin(other, name));
    if (taken !== undefined) throw new LabError(`zones: ${name} is in the way of ${taken}`, 2);
    const records = Object.entries(wanted).map(([label, origins]) => {
      const owner = toName(`${label}.${name}`);
      const stray = origins.find((o) => !sites.some((s) => s.name === o));
      if (owner !== null && stray === undefined && origins.length > 0) {
        return labRecord(owner, origins, wish);
      }
      const known = sites.map((s) => s.name).join(', ');
      throw new LabError(`zones: ${label}.${name} needs a label and origins of ${known}`, 2);
    });
    zones.push({ name, records });
  }
  return zones;
}

function isWithin(name: Name, zone: Name): boolean {
  return zone === '.' || name === zone || name.endsWith(`.${zone}`);
}

function unmarked({ name, ttl, targets }: LabRecord) {
  return { name, type: 'CNAME', ttl, value: targets[0]!.cname };
}

/** An edition of each vendor that takes the lab's TTL; Route 53 has no least one. */
function ttlMinOf(type: VendorType, ttl: number): { ttlMin?: number } {
  if (type === 'alidns' || type === 'dnspod') return { ttlMin: Math.min(60, ttl) };
  return type === 'cloudflare' && ttl < 60 ? { ttlMin: ttl } : {};
}

function addressesOf(name: string, at: (octet: number) => string): readonly string[] {
  return sites.filter((p) => cnameOf(p.name) === name).map((p) => at(p.octet));
}

/** Everything above and beside the steered zones; one server is the root and every registry. */
function registryZones(
  at: (octet: number) => string,
  vendors: LabVendors,
  { origins, stores, apis, references }: Servers,
  steered: readonly SteeredZone[],
): readonly LabZone[] {
  const ttl = 3600;
  const delegate = (name: string, values: readonly string[]) => ({ name, type: 'NS', ttl, values });
  const address = (name: string, value: string) => ({ name, type: 'A', ttl, values: [value] });
  const servers = Object.values(vendors).flatMap(({ type, servers }) =>
    vendorHosts(type).map((host, i) => address(host, servers[i]!.address)),
  );
  const registry = address(registryHost, at(1));
  const hosts = [...origins, ...stores, ...apis, ...references].map((part) =>
    address(partHost(part), part.address),
  );
  // What users type, in front of the record.
  const typed = { name: 'www.shop.example.', type: 'CNAME', ttl, values: [`www.${zoneName}`] };
  const ours = ['example.', 'net.', 'example.net.', ...hostZones];
  const toVendors = steered.map(({ name }) =>
    delegate(
      name,
      servers.map((s) => s.name),
    ),
  );
  const all = [
    ...ours.map((name) => delegate(name, [registryHost])),
    ...toVendors,
    ...[registry, ...servers, ...hosts, typed],
  ];
  return ['.', ...ours].map((name) => {
    // A zone holds what lies in no zone below it, and the delegations of those.
    const below = ours.filter((other) => other !== name && isWithin(other, name));
    const own = all.filter(
      (set) =>
        isWithin(set.name, name) &&
        set.name !== name &&
        !below.some((other) => set.name !== other && isWithin(set.name, other)),
    );
    const glue = name === '.' ? [registry, ...servers] : [];
    const rrsets = [...own, ...glue];
    return new LabZone({ name, nameServers: [registryHost], rrsets });
  });
}

function newCredentials(): LabCredentials {
  const word = (octets: number) => randomBytes(octets).toString('hex');
  return {
    route53: {
      accessKeyId: `AKIA${word(8).toUpperCase()}`,
      secretAccessKey: randomBytes(30).toString('base64'),
    },
    cloudflare: { apiToken: word(20) },
    alidns: { accessKeyId: `LTAI${word(10)}`, accessKeySecret: word(15) },
    dnspod: { secretId: `AKID${word(16)}`, secretKey: word(16) },
    stores: { accessKeyId: `LTAI${word(10)}`, secretAccessKey: word(20) },
  };
}

/**
 * A network and ports that are free on every address of it. Ports lie below the range from which
 * systems take those of outgoing connections, so that a broken origin gets its port back.
 */
async function findPlace(attempt: number): Promise<Place> {
  const tries = 24;
  for (let i = 1; i <= tries; i++) {
    const usual = attempt === 1 && i <= 4;
    const place = {
      network: `127.${randomInt(16, 240)}.${randomInt(1, 255)}`,
      dnsPort: usual ? 5300 : randomInt(10_240, 32_000),
      httpPort: usual ? 8080 : randomInt(10_240, 32_000),
    };
    if (place.dnsPort !== place.httpPort && (await isFree(place))) return place;
  }
  throw new LabError(
    'found no free network in 127.0.0.0/8: another program listens on every port that was tried',
  );
}

async function isFree(place: Place): Promise<boolean> {
  for (const octet of allOctets) {
    const address = `${place.network}.${octet}`;
    const free =
      (await canListen(address, place.httpPort)) &&
      (await canListen(address, place.dnsPort)) &&
      (await canBind(address, place.dnsPort));
    if (!free) return false;
  }
  return true;
}

function canListen(address: string, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => tell(error, address, resolve, reject));
    server.listen({ host: address, port, exclusive: true }, () => {
      server.close(() => resolve(true));
    });
  });
}

function canBind(address: string, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    socket.once('error', (error) => {
      socket.close();
      tell(error, address, resolve, reject);
    });
    socket.bind({ address, port, exclusive: true }, () => socket.close(() => resolve(true)));
  });
}

function tell(
  error: NodeJS.ErrnoException,
  address: string,
  resolve: (free: boolean) => void,
  reject: (error: Error) => void,
): void {
  if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false);
  else if (error.code === 'EADDRNOTAVAIL') {
    reject(
      new LabError(
        `${address} cannot be listened on: the lab needs all of 127.0.0.0/8 on the loopback ` +
          'interface, as Linux has it; elsewhere run it in a container or a virtual machine',
      ),
    );
  } else reject(error);
}
