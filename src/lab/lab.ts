// A small internet on loopback: a root with its registry, three DNS vendors that each hold the
// steered zone, and two clouds with origins. It takes a network of its own inside 127.0.0.0/8, so
// that labs can stand side by side. It knows nothing of the daemon that is pointed at it, and it
// must never listen outside 127.0.0.0/8 nor leave a server behind, also when it fails to start.

import { randomBytes, randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import type { Name } from '../core/model.ts';
import { startAlidns } from './alidns.ts';
import {
  isOriginFault,
  type Origin,
  type OriginFault,
  originFaults,
  originsOf,
  startOrigin,
} from './cloud.ts';
import { startCloudflare } from './cloudflare.ts';
import { LabError, type Scope, scopes } from './control.ts';
import { type Nameserver, startNameserver } from './nameserver.ts';
import { startRoute53 } from './route53.ts';
import type { LabVendor, VendorType } from './vendor.ts';
import { LabZone, type RRset } from './zone.ts';

export const vendorTypes: readonly VendorType[] = ['route53', 'cloudflare', 'alidns'];

/** The names that the ready configuration gives to the accounts at the vendors. */
export const providerNames: Readonly<Record<VendorType, string>> = {
  route53: 'r53',
  cloudflare: 'cf',
  alidns: 'ali',
};

export interface LabOptions {
  /** More records, `r0001.gslb.example.net` and so on, on hangzhou; 0 unless set. */
  readonly records?: number;
  /** Whether the vendors throttle as the real ones do; `real` unless set. */
  readonly quotas?: 'real' | 'off';
  /** TTL of the records in seconds; 60 unless set. The vendors' least TTL is never above it. */
  readonly ttl?: number;
}

export interface LabRecord {
  readonly name: Name;
  /** Seconds. */
  readonly ttl: number;
  /** In order of preference; the first is in force, unmarked, when the lab starts. */
  readonly targets: readonly { readonly origin: string; readonly cname: Name }[];
}

export interface LabCredentials {
  readonly route53: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly cloudflare: { readonly apiToken: string };
  readonly alidns: { readonly accessKeyId: string; readonly accessKeySecret: string };
}

export interface Lab {
  /** First three octets of every address: `127.81.7`. */
  readonly network: string;
  /** The zone that every vendor holds. */
  readonly zone: Name;
  /** Port of every name server, for UDP and TCP. */
  readonly dnsPort: number;
  /** Addresses of the root. */
  readonly roots: readonly string[];
  readonly root: Nameserver;
  readonly vendors: Readonly<Record<VendorType, LabVendor>>;
  /** The primary cloud first. */
  readonly clouds: readonly string[];
  readonly origins: readonly Origin[];
  readonly records: readonly LabRecord[];
  readonly credentials: LabCredentials;
  /** The host name whose address record is the origin's. */
  hostOf(origin: string): Name;
  /** Breaks something; says what. Throws LabError, naming what there is. */
  break(scope: Scope, name: string, how: string): Promise<string>;
  /** Heals something; without a scope, everything. Says what. Throws LabError. */
  heal(scope: Scope | null, name: string): Promise<string>;
  /** The fault in force at a vendor; null: none. */
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

const sites = [
  { name: 'hangzhou', host: 'hz', cloud: 'aliyun', region: 'cn-hangzhou', octet: 21 },
  { name: 'beijing', host: 'bj', cloud: 'aliyun', region: 'cn-beijing', octet: 22 },
  { name: 'tokyo', host: 'nrt', cloud: 'aws', region: 'ap-northeast-1', octet: 31 },
] as const;

/** Last octet of a vendor's API; its name servers have the two after it. */
const vendorOctet: Readonly<Record<VendorType, number>> = {
  route53: 51,
  cloudflare: 61,
  alidns: 71,
};

const allOctets = [1, 21, 22, 31, 51, 52, 53, 61, 62, 63, 71, 72, 73];
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
  for (let attempt = 1; ; attempt++) {
    const place = await findPlace(attempt);
    const opened: (() => Promise<void>)[] = [];
    try {
      return await build(place, { count, ttl, quotas: options.quotas ?? 'real' }, opened);
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
}

async function build(place: Place, wish: Wish, opened: (() => Promise<void>)[]): Promise<Lab> {
  const at = (octet: number) => `${place.network}.${octet}`;
  const keep = <T extends { close(): Promise<void> }>(part: T): T => {
    opened.push(() => part.close());
    return part;
  };
  const registry: LabZone[] = [];
  const root = keep(
    await startNameserver({ address: at(1), port: place.dnsPort, zones: () => registry }),
  );
  const origins: Origin[] = [];
  for (const { name, cloud, region, octet } of sites) {
    const where = { address: at(octet), port: place.httpPort };
    origins.push(keep(await startOrigin({ name, cloud, region, ...where })));
  }
  const records = labRecords(wish);
  const credentials = newCredentials();
  const plan: 'free' | 'pro' = 2 * records.length <= freePlanMost ? 'free' : 'pro';
  const shared = (type: VendorType) => ({
    address: at(vendorOctet[type]),
    apiPort: place.httpPort,
    dnsAddresses: [at(vendorOctet[type] + 1), at(vendorOctet[type] + 2)],
    dnsPort: place.dnsPort,
    nameServers: [1, 2].map((n) => `ns${n}.${type}.example.net.`),
    zones: [{ name: zoneName, records: records.map(unmarked), settings: { plan } }],
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
  };
  registry.push(...registryZones(at, vendors));
  return new LoopbackLab(place, { root, origins, records, credentials, vendors }, opened);
}

interface Parts {
  readonly root: Nameserver;
  readonly origins: readonly Origin[];
  readonly records: readonly LabRecord[];
  readonly credentials: LabCredentials;
  readonly vendors: Readonly<Record<VendorType, LabVendor>>;
}

class LoopbackLab implements Lab {
  readonly network: string;
  readonly zone = zoneName;
  readonly dnsPort: number;
  readonly roots: readonly string[];
  readonly root: Nameserver;
  readonly vendors: Readonly<Record<VendorType, LabVendor>>;
  readonly clouds: readonly string[];
  readonly origins: readonly Origin[];
  readonly records: readonly LabRecord[];
  readonly credentials: LabCredentials;
  readonly #faults = new Map<VendorType, string>();
  readonly #opened: readonly (() => Promise<void>)[];

  constructor(place: Place, parts: Parts, opened: readonly (() => Promise<void>)[]) {
    this.network = place.network;
    this.dnsPort = place.dnsPort;
    this.root = parts.root;
    this.roots = [parts.root.address];
    this.vendors = parts.vendors;
    this.origins = parts.origins;
    this.clouds = [...new Set(parts.origins.map((o) => o.cloud))];
    this.records = parts.records;
    this.credentials = parts.credentials;
    this.#opened = opened;
  }

  hostOf(origin: string): Name {
    return cnameOf(origin);
  }

  async break(scope: Scope, name: string, how: string): Promise<string> {
    if (scope === 'vendor') {
      const type = this.#vendor(name);
      const { faults } = this.vendors[type];
      if (!faults.includes(how)) throw unknownFault(scope, how, faults);
      this.vendors[type].fault(how);
      this.#faults.set(type, how);
      return `vendor ${type} is broken: ${how}`;
    }
    const struck = this.#origins(scope, name);
    if (!isOriginFault(how)) throw unknownFault(scope, how, Object.keys(originFaults));
    await Promise.all(struck.map((o) => o.break(how)));
    const which = scope === 'origin' ? '' : ` (${struck.map((o) => o.name).join(', ')})`;
    return `${scope} ${name}${which} is broken: ${faultWords(how)}`;
  }

  async heal(scope: Scope | null, name: string): Promise<string> {
    if (scope === null) {
      for (const type of vendorTypes) this.#healVendor(type);
      await Promise.all(this.origins.map((o) => o.heal()));
      return 'everything is healed';
    }
    if (scope === 'vendor') {
      const type = this.#vendor(name);
      this.#healVendor(type);
      return `vendor ${type} is healed`;
    }
    const healed = this.#origins(scope, name);
    await Promise.all(healed.map((o) => o.heal()));
    const which = scope === 'origin' ? '' : ` (${healed.map((o) => o.name).join(', ')})`;
    return `${scope} ${name}${which} is healed`;
  }

  vendorFault(type: VendorType): string | null {
    return this.#faults.get(type) ?? null;
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.map((close) => close()));
  }

  #healVendor(type: VendorType): void {
    this.vendors[type].fault(null);
    this.#faults.delete(type);
  }

  #origins(scope: Exclude<Scope, 'vendor'>, name: string): readonly Origin[] {
    const found = originsOf(this.origins, scope, name);
    if (found.length > 0) return found;
    const known = new Set(this.origins.map((o) => (scope === 'origin' ? o.name : o[scope])));
    throw new LabError(`there is no ${scope} ${name}: there are ${[...known].join(', ')}`, 2);
  }

  /** By the vendor's name or by that of the account in the ready configuration. */
  #vendor(name: string): VendorType {
    const type = vendorTypes.find((t) => t === name || providerNames[t] === name);
    if (type !== undefined) return type;
    throw new LabError(`there is no vendor ${name}: there are ${vendorTypes.join(', ')}`, 2);
  }
}

/** Whether a word names something that can be broken. */
export function isScope(word: string | undefined): word is Scope {
  return scopes.includes(word as Scope);
}

function unknownFault(scope: Scope, how: string, known: readonly string[]): LabError {
  return new LabError(`no ${scope} breaks like "${how}": choose one of ${known.join(', ')}`, 2);
}

function faultWords(how: OriginFault): string {
  return `${how}, it ${originFaults[how]}`;
}

function cnameOf(origin: string): Name {
  return `${sites.find((p) => p.name === origin)?.host ?? origin}.shop.example.`;
}

function labRecords(wish: Wish): readonly LabRecord[] {
  const record = (label: string, ...origins: readonly string[]): LabRecord => ({
    name: `${label}.${zoneName}`,
    ttl: wish.ttl,
    targets: origins.map((origin) => ({ origin, cname: cnameOf(origin) })),
  });
  const more = Array.from({ length: wish.count }, (_, i) =>
    record(`r${String(i + 1).padStart(4, '0')}`, 'hangzhou', 'tokyo'),
  );
  return [record('www', 'hangzhou', 'tokyo'), record('api', 'beijing', 'tokyo'), ...more];
}

function unmarked({ name, ttl, targets }: LabRecord) {
  return { name, type: 'CNAME', ttl, value: targets[0]!.cname };
}

/** An edition of each vendor that takes the lab's TTL; Route 53 has no least one. */
function ttlMinOf(type: VendorType, ttl: number): { ttlMin?: number } {
  if (type === 'alidns') return { ttlMin: Math.min(60, ttl) };
  return type === 'cloudflare' && ttl < 60 ? { ttlMin: ttl } : {};
}

function addressesOf(name: string, at: (octet: number) => string): readonly string[] {
  return sites.filter((p) => cnameOf(p.name) === name).map((p) => at(p.octet));
}

/** Everything above and beside the steered zone; one server is the root and every registry. */
function registryZones(
  at: (octet: number) => string,
  vendors: Readonly<Record<VendorType, LabVendor>>,
): readonly LabZone[] {
  const ttl = 3600;
  const zone = (name: string, ...rrsets: readonly RRset[]) =>
    new LabZone({ name, nameServers: [registryHost], rrsets });
  const delegate = (name: string, values: readonly string[]) => ({ name, type: 'NS', ttl, values });
  const address = (name: string, value: string) => ({ name, type: 'A', ttl, values: [value] });
  const servers = vendorTypes.flatMap((type) =>
    vendors[type].zone(zoneName).ns.map((host, i) => ({ host, at: vendors[type].servers[i]! })),
  );
  const registry = address(registryHost, at(1));
  return [
    zone('.', delegate('example.', [registryHost]), delegate('net.', [registryHost]), registry),
    zone('example.', delegate('shop.example.', [registryHost]), registry),
    zone('net.', delegate('example.net.', [registryHost])),
    zone(
      'example.net.',
      delegate(
        zoneName,
        servers.map((s) => s.host),
      ),
      ...servers.map((s) => address(s.host, s.at.address)),
    ),
    zone('shop.example.', ...sites.map((p) => address(cnameOf(p.name), at(p.octet)))),
  ];
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
