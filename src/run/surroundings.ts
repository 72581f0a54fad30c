// What Detour needs besides its records' vendors, read out of a configuration: resolvers, members of
// etcd, replicas, proxies, far probers, channels, the vendors' APIs, where the state lies; and the
// certificates that have an end. Nothing is asked of anybody. Of settings only hosts are taken, never
// a secret: a URL's user, path and query stay where they are.

import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { Ending, Need, Surroundings } from '../audit/run.ts';
import type { Config } from '../config/config.ts';
import { whyOfFile } from '../kit/errno.ts';
import { parseHostPort } from '../kit/schema.ts';

/** Where an account's API is, when its settings do not say. */
const usualApis: Readonly<Record<string, string>> = {
  route53: 'route53.amazonaws.com',
  cloudflare: 'api.cloudflare.com',
  alidns: 'alidns.aliyuncs.com',
  google: 'dns.googleapis.com',
};

/** Settings by which an account shows who asks. */
const keySettings = new Set(['credentials', 'assumeRole', 'webIdentity', 'profile']);

/** Bytes of one file of certificates that are looked at. */
const pemMax = 1024 * 1024;

export function surroundingsOf(config: Config, providers: readonly string[]): Surroundings {
  const { core, tables } = config;
  const clouds = Object.values(core.origins).map(({ name, cloud }) => [name, cloud] as const);
  const operators = providers.map((name) => {
    const { type } = config.providers[name]!;
    const isOwn = tables.providers[type]?.ownServers !== undefined;
    return [name, isOwn ? null : type] as const;
  });
  const regions = Object.values(core.origins).flatMap(({ name, region }) =>
    region === null ? [] : [[name, region] as const],
  );
  return {
    needs: [
      ...resolverNeeds(config),
      ...groupNeeds(config),
      ...pathNeeds(config),
      ...vendorNeeds(config, providers),
      ...channelNeeds(config),
      ...stateNeeds(config.stateDir, mounts()),
    ],
    endings: endingsOf(config),
    clouds: Object.fromEntries(clouds),
    addresses: addressesOf(config),
    operators: Object.fromEntries(operators),
    regions: Object.fromEntries(regions),
    vendorClouds: Object.fromEntries(
      providers.map((name) => [name, config.providers[name]!.cloud] as const),
    ),
  };
}

/** Of the checks of each cloud's origins. */
function addressesOf({ core, probes }: Config): Surroundings['addresses'] {
  const all = new Map<string, string[]>();
  for (const { cloud, checks } of Object.values(core.origins)) {
    const hosts = checks.flatMap((id) => hostsIn(probes[id]?.settings));
    all.set(cloud, [...(all.get(cloud) ?? []), ...hosts.filter((host) => isIP(host) !== 0)]);
  }
  return Object.fromEntries(all);
}

function need(what: string, kind: string, host: string | null, more: Partial<Need> = {}): Need {
  return { what, kind, host, cloud: null, enough: 'one', ...more };
}

function resolverNeeds({ dns }: Config): readonly Need[] {
  return (dns.resolvers ?? []).map((text) =>
    need(`the resolver ${text}`, 'resolver', hostIn(text)),
  );
}

function groupNeeds({ group, core }: Config): readonly Need[] {
  if (group === null) return [];
  // Of its paths the first is its own line; those after it may lead through machines elsewhere.
  const clouds = new Map(
    Object.values(core.paths)
      .toReversed()
      .map((p) => [p.replica ?? '', p.cloud]),
  );
  const replicas = Object.entries(group.replicas).map(([name, { host }]) =>
    need(`the replica ${name}`, 'replica', host, {
      ...{ cloud: clouds.get(name) ?? null, isAllowedFor: true },
    }),
  );
  const { engine } = group;
  const members = engine.kind === 'etcd' ? engine.endpoints : [];
  const cloudOf = (host: string | null) =>
    replicas.find((replica) => replica.host === host)?.cloud ?? null;
  return [
    ...replicas,
    ...members.map((url) => {
      const host = hostIn(url);
      const cloud = cloudOf(host);
      const told = { cloud, isAllowedFor: cloud !== null };
      return need(`the member ${host} of etcd`, 'etcd', host, { enough: 'majority', ...told });
    }),
  ];
}

/** A way out by which probes leave; one that sits in a cloud has no vote about it anyway. */
function pathNeeds({ core, paths }: Config): readonly Need[] {
  return Object.values(paths).map((spec) => {
    const cloud = core.paths[spec.name]?.cloud ?? null;
    const told = { cloud, isAllowedFor: cloud !== null };
    if (spec.kind === 'direct') return need(`this machine (path ${spec.name})`, 'path', null, told);
    const host = hostIn(spec.url);
    const what = spec.kind === 'blackbox' ? 'the blackbox exporter' : 'the proxy';
    return need(`${what} ${host} of path ${spec.name}`, 'path', host, told);
  });
}

function vendorNeeds(config: Config, providers: readonly string[]): readonly Need[] {
  return providers.flatMap((provider) => {
    const { type, settings } = config.providers[provider]!;
    const { proxy, ...all } = (settings ?? {}) as Readonly<Record<string, unknown>>;
    // What gives its key is no API of it: the audit looks at that by what the account says.
    const own = Object.fromEntries(Object.entries(all).filter(([key]) => !keySettings.has(key)));
    const [api = usualApis[type] ?? null] = hostsIn(own);
    return [
      need(`the API of ${provider}`, 'provider', api, { provider }),
      ...hostsIn(proxy).map((host) =>
        need(`the proxy ${host} of ${provider}`, `proxy of ${provider}`, host, { provider }),
      ),
    ];
  });
}

function channelNeeds(config: Config): readonly Need[] {
  const { channels = {} } = config as { readonly channels?: object };
  const all = [config.notify?.settings, ...Object.values(channels)];
  const hosts = new Set(all.flatMap((settings) => hostsIn(settings)));
  return [...hosts].map((host) => need(`the channel by ${host}`, 'channel', host));
}

/** File systems that lie on another machine (mount(8)); a bucket that is mounted is one, too. */
const remote = /^(?:nfs4?|cifs|smb3?|9p|ceph|glusterfs|lustre|fuse\.\w+)$/;

/** Whose a bucket is, by what mounts it. */
const buckets: Readonly<Record<string, string>> = {
  'fuse.ossfs': 'oss-cn-hangzhou.aliyuncs.com',
  'fuse.s3fs': 's3.amazonaws.com',
  'fuse.gcsfuse': 'storage.googleapis.com',
};

/** `mounted`: the text of /proc/self/mountinfo; null: there is none. */
export function stateNeeds(stateDir: string, mounted: string | null): readonly Need[] {
  const all = (mounted ?? '').split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [at = ''] = before.split(' ').slice(4);
    const [type = '', source = ''] = after.split(' ');
    const isAbove = at === '/' || stateDir === at || stateDir.startsWith(`${at}/`);
    return isAbove && at !== '' ? [{ at, type, source }] : [];
  });
  const [mount] = all.toSorted((a, b) => b.at.length - a.at.length);
  if (mount === undefined || !remote.test(mount.type)) return [];
  const [, named = null] = /^(?:\/\/)?([\w.-]+|\[[\da-f:]+\])(?::|\/)/i.exec(mount.source) ?? [];
  const host = named ?? (Object.hasOwn(buckets, mount.type) ? buckets[mount.type]! : null);
  return [need(`the state directory (${mount.type} of ${mount.source})`, 'state', host)];
}

function mounts(): string | null {
  try {
    return readFileSync('/proc/self/mountinfo', 'utf8');
  } catch {
    // Not Linux, or hidden: where the state lies is then not known.
    return null;
  }
}

/** The host of a URL, or of `HOST:PORT`; null: it is neither. */
function hostIn(text: string): string | null {
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(text)) {
    return URL.canParse(text) ? new URL(text).hostname.replace(/^\[|\]$/g, '') || null : null;
  }
  return parseHostPort(text, 1)?.host ?? null;
}

const hostKeys = ['server', 'servers', 'host', 'endpoint', 'smtp', 'address'];

/** Hosts of URLs in some settings, and of what stands under a key for hosts. */
function hostsIn(value: unknown, key = '', depth = 0): readonly string[] {
  if (depth > 6) return [];
  if (typeof value === 'string') {
    const isUrl = /^[a-z][a-z\d+.-]*:\/\//i.test(value);
    const host = isUrl || hostKeys.includes(key) ? hostIn(value) : null;
    return host === null ? [] : [host];
  }
  if (Array.isArray(value)) return value.flatMap((one) => hostsIn(one, key, depth + 1));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, one]) => hostsIn(one, name, depth + 1));
}

function endingsOf(config: Config): readonly Ending[] {
  const { group } = config;
  const engine = group?.engine.kind === 'etcd' ? group.engine : null;
  const api = (config as { readonly api?: { readonly cert?: unknown } | null }).api ?? null;
  const shown = [group?.tls?.cert, engine?.identity?.cert, api?.cert];
  const believed = [group?.tls?.ca, engine?.ca, ...authoritiesIn(config.providers)];
  return [
    ...filesOf(shown, 'the certificate'),
    ...filesOf(believed, 'the authority').map((one) => ({ ...one, isBundle: true })),
  ];
}

/** Files under `ca` in the settings of providers. */
function authoritiesIn(providers: Config['providers']): readonly unknown[] {
  return Object.values(providers).map(
    ({ settings }) => ((settings ?? {}) as { readonly ca?: unknown }).ca,
  );
}

function filesOf(files: readonly unknown[], what: string): readonly Ending[] {
  const paths = new Set(files.filter((file) => typeof file === 'string'));
  return [...paths].map((path) => ({ what: `${what} ${path}`, read: () => pemIn(path) }));
}

function pemIn(path: string): ReturnType<Ending['read']> {
  try {
    return { pem: readFileSync(path, 'latin1').slice(0, pemMax) };
  } catch (error) {
    return { why: `${path} ${whyOfFile(error)}` };
  }
}
