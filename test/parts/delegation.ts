// A parent zone at one of the lab's vendors and a zone below it at three vendors of the lab, with the root above them:
// what evictions are tried on. It reaches nothing but addresses of its own within 127.0.0.0/8.

import { randomInt } from 'node:crypto';
import type { Name } from '../../src/core/model.ts';
import { createResolver } from '../../src/dns/resolver.ts';
import { startAlidns } from '../../src/lab/vendors/alidns.ts';
import { startCloudflare } from '../../src/lab/vendors/cloudflare.ts';
import { startNameserver } from '../../src/lab/vendors/nameserver.ts';
import { startRoute53 } from '../../src/lab/vendors/route53.ts';
import type { LabRecord, LabVendor } from '../../src/lab/vendors/vendor.ts';
import { LabZone } from '../../src/lab/vendors/zone.ts';

export const parent: Name = 'example.net.';
export const zone: Name = 'gslb.example.net.';
export const marker = '_detour-delegation';

const kinds = { r53: startRoute53, cf: startCloudflare, ali: startAlidns } as const;
export type Vendor = keyof typeof kinds;
const vendorNames = Object.keys(kinds) as Vendor[];

export const secrets: Readonly<Record<string, string>> = {
  R53_ID: 'AKIDEXAMPLE',
  R53_KEY: 'the-secret-of-this-test',
  CF_TOKEN: 'token-of-this-test-0123456789abcdefghijk',
  ALI_ID: 'LTAIexample',
  ALI_KEY: 'the-secret-of-this-test',
  CLUSTER_KEY: 'the-key-of-this-test-0123456789abcdef',
};

export function hostsOf(vendor: Vendor): readonly Name[] {
  return [1, 2].map((n) => `ns${n}.${vendor}.example.`);
}

export interface World {
  readonly vendors: Readonly<Record<Vendor, LabVendor>>;
  /** The account that holds the parent alone. */
  readonly top: LabVendor;
  /** A configuration whose records lead from hangzhou to tokyo. */
  readonly text: string;
  /** The NS set at the parent, as its name servers give it. */
  delegated(): readonly Name[];
  /** Texts of the markers in a zone at a vendor. */
  markers(at: Vendor | 'top', zone: Name): readonly string[];
  /** The NS set at an apex, as that vendor's name servers give it. */
  apex(at: Vendor): readonly Name[];
  /** One that remembers: the NS set by which it asks, so many milliseconds after its start. */
  resolver(): { asked(atMs: number): Promise<readonly Name[]> };
  /** As a resolver would find it: from the root. */
  seen(): Promise<readonly Name[]>;
  close(): Promise<void>;
}

/** `kind`: of the vendor that holds the parent. */
export async function startWorld(kind: Vendor = 'r53'): Promise<World> {
  const network = `127.${randomInt(64, 120)}.${randomInt(1, 250)}`;
  const zones: LabZone[] = [];
  const root = await startNameserver({ address: `${network}.1`, port: 0, zones: () => zones });
  const { port } = root;
  const all = vendorNames.flatMap(hostsOf);
  const records: LabRecord[] = ['www', 'api'].map((label) => ({
    ...{ name: `${label}.${zone}`, type: 'CNAME', value: 'hz.shop.example.', ttl: 60 },
  }));
  const ns = (name: Name, ttl: number) => ({ name, type: 'NS', ttl, value: all });
  const open = async (vendor: Vendor, octet: number, isTop = false) => {
    const plain = {
      ...{ address: `${network}.${octet}`, dnsPort: port, quotas: 'off' as const, ttlMin: 60 },
      ...{ dnsAddresses: [octet + 1, octet + 2].map((n) => `${network}.${n}`) },
      ...{ nameServers: isTop ? topHosts : hostsOf(vendor), propagationMs: 5, changeMs: 2 },
    };
    const own = vendor === 'cf' && !isTop ? [ns(zone, 3600)] : [];
    const held = isTop
      ? { name: parent, records: [ns(zone, 600)] }
      : { name: zone, records: [...records, ...own] };
    if (vendor === 'r53') {
      const credentials = { accessKeyId: secrets['R53_ID']!, secretAccessKey: secrets['R53_KEY']! };
      const made = await startRoute53({ ...plain, zones: [held], credentials });
      if (!isTop) made.edit(zone, 'NS', all, 3600);
      return made;
    }
    if (vendor === 'cf') {
      const others = { ...held, settings: { multiProvider: true, plan: 'pro' as const } };
      const credentials = { apiToken: secrets['CF_TOKEN']! };
      return startCloudflare({ ...plain, zones: [others], credentials });
    }
    const credentials = { accessKeyId: secrets['ALI_ID']!, accessKeySecret: secrets['ALI_KEY']! };
    return startAlidns({ ...plain, zones: [held], credentials });
  };
  const [r53, cf, ali] = [await open('r53', 10), await open('cf', 20), await open('ali', 30)];
  const vendors = { r53, cf, ali };
  const top = await open(kind, 40, true);
  const at = (name: Vendor | 'top') => (name === 'top' ? top : vendors[name]);
  const hosts = [
    ...vendorNames.map((v) => [hostsOf(v), vendors[v]] as const),
    [topHosts, top],
  ] as const;
  const glue = hosts.flatMap(([names, vendor]) =>
    names.map((name, i) => ({
      ...{ name, type: 'A', ttl: 3600, values: [vendor.servers[i]!.address] },
    })),
  );
  const cut = { name: parent, type: 'NS', ttl: 3600, values: topHosts };
  zones.push(new LabZone({ name: '.', nameServers: ['a.root.example.'], rrsets: [cut, ...glue] }));
  const clock = { now: () => performance.now() };
  const roots = [`${network}.1`];
  const resolver = createResolver({ roots, port, timeoutMs: 2000, clock });
  const resolvers = [resolver];
  const setAt = (who: Vendor | 'top', of: Name, name: Name, type: string) =>
    at(who).zone(of).get(name, type)?.values ?? [];
  return {
    ...{ vendors, top },
    text: textOf({ network, port, vendors, top, kind }),
    delegated: () => setAt('top', parent, zone, 'NS').toSorted(),
    markers: (who, of) => setAt(who, of, `${marker}.${of}`, 'TXT').map((t) => t.replace(/"/g, '')),
    apex: (who) => setAt(who, zone, zone, 'NS').toSorted(),
    resolver() {
      let now = 0;
      const own = createResolver({ roots, port, timeoutMs: 2000, clock: { now: () => now } });
      resolvers.push(own);
      return {
        async asked(atMs) {
          now = atMs;
          const found = await own.nameServers(zone, AbortSignal.timeout(10_000));
          return (found.kind === 'found' ? (found.delegated ?? []) : []).toSorted();
        },
      };
    },
    async seen() {
      const found = await resolver.delegation(zone, AbortSignal.timeout(5000));
      return found.kind === 'found' ? (found.names ?? []).toSorted() : [];
    },
    async close() {
      for (const one of resolvers) one.close();
      await Promise.all([root, top, ...Object.values(vendors)].map((part) => part.close()));
    },
  };
}

const topHosts = ['ns1.top.example.', 'ns2.top.example.'];

function providerOf(kind: Vendor, { api }: LabVendor): string {
  const keys = {
    r53: 'type: route53, credentials: { accessKeyId: { env: R53_ID }, secretAccessKey: { env: R53_KEY } }',
    cf: 'type: cloudflare, apiToken: { env: CF_TOKEN }',
    ali: 'type: alidns, accessKeyId: { env: ALI_ID }, accessKeySecret: { env: ALI_KEY }',
  };
  return `{ ${keys[kind]}, endpoint: "${api}" }`;
}

function textOf(at: {
  readonly network: string;
  readonly port: number;
  readonly vendors: World['vendors'];
  readonly top: LabVendor;
  readonly kind: Vendor;
}): string {
  const { r53, cf, ali } = at.vendors;
  return `
cluster: shop
clusterKey: { env: CLUSTER_KEY }
dns: { port: ${at.port}, roots: ["${at.network}.1"], timeout: 1s }
providers:
  r53: ${providerOf('r53', r53)}
  cf: ${providerOf('cf', cf)}
  ali: ${providerOf('ali', ali)}
  top: ${providerOf(at.kind, at.top)}
delegation:
  gslb.example.net: { provider: top, zone: example.net }
paths: { here: {} }
origins:
  hangzhou: { cloud: aliyun, checks: { web: { tcp: "127.0.0.1:9" } } }
  tokyo: { cloud: aws, checks: { web: { tcp: "127.0.0.1:9" } } }
records:
${['www', 'api']
  .map(
    (label) => `  ${label}.gslb.example.net:
    mode: steer
    publish: [r53, cf, ali]
    targets: [ { origin: hangzhou, cname: hz.shop.example }, { origin: tokyo, cname: nrt.shop.example } ]`,
  )
  .join('\n')}
`;
}
