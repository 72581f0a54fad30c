// Whom an outage strikes in one configuration: clouds by their well-known names, DNS vendors by the
// type of their provider, paths by the resolver they ask; and what then becomes of each check, each
// vendor's API and each name server. Pure. It never guesses in silence: what it had to take for
// granted is a note.

import type { Config } from '../config/config.ts';
import type { CheckConfig, CheckId, Plane } from '../core/model.ts';
import { familyOf, familyTitle, isOfFamily } from '../kit/clouds.ts';
import {
  type Company,
  type Manner,
  type Outage,
  type Part,
  resolverAddresses,
  type Strike,
} from './outages.ts';

/** How something fails, and which share of what is asked of it. */
export interface Affliction {
  readonly manner: Manner;
  readonly share: number;
}

/** What fails at a moment; whatever is absent works. */
export interface Conditions {
  readonly checks: ReadonlyMap<CheckId, Affliction>;
  /** Paths that cannot see: their resolver does not answer, or what they leave by has failed. */
  readonly paths: ReadonlyMap<string, Affliction>;
  /** Vendors' APIs, for reading and for writing. */
  readonly api: ReadonlyMap<string, Affliction>;
  readonly authority: ReadonlyMap<string, Affliction>;
  /** Origins whose targets' names do not resolve. */
  readonly names: ReadonlyMap<string, Affliction>;
}

/** Who in a configuration stands for a company of an outage. */
export interface Struck {
  readonly clouds: ReadonlySet<string>;
  readonly providers: ReadonlySet<string>;
  readonly paths: ReadonlySet<string>;
  /** With `--as`: the region that stands for those of the trace; null: the trace's own. */
  readonly region: string | null;
}

/** The types of providers that are a company's own DNS. */
const dnsOf: Readonly<Partial<Record<Company, readonly string[]>>> = {
  ...{ alibaba: ['alidns'], aws: ['route53'], cloudflare: ['cloudflare'] },
  ...{ google: ['google'], tencent: ['dnspod'] },
};

/** The vendor behind a type of provider, as people call it; the type itself where it has none. */
export function vendorTitle(type: string): string {
  const known = Object.entries(dnsOf).find(([, types]) => types.includes(type));
  return known === undefined ? type : familyTitle(known[0] as Company);
}

function byName(config: Config, company: Company): Struck {
  const dns = dnsOf[company] ?? [];
  const providers = Object.entries(config.providers)
    .filter(([name, p]) => dns.includes(p.type) || (dns.length === 0 && isOfFamily(name, company)))
    .map(([name]) => name);
  const clouds = Object.keys(config.core.clouds).filter((name) => isOfFamily(name, company));
  const paths = company === 'cloudflare' ? pathsByResolver(config) : [];
  const sets = [clouds, providers, paths].map((names) => new Set(names));
  return { clouds: sets[0]!, providers: sets[1]!, paths: sets[2]!, region: null };
}

/** Paths that ask nobody but the resolver that failed. */
function pathsByResolver(config: Config): string[] {
  const isIt = (place: string) =>
    resolverAddresses.includes(
      place.replace(/^\[(.*)\](:\d+)?$/, '$1').replace(/^([\d.]+):\d+$/, '$1'),
    );
  return Object.values(config.paths)
    .filter(({ resolver }) => resolver !== null && resolver.length > 0 && resolver.every(isIt))
    .map(({ name }) => name);
}

/**
 * Who stands for the companies of an outage. `as`: a cloud, a provider or a path of the
 * configuration in the place of the one struck; null where it has none of that name.
 */
export function whoIsStruck(
  config: Config,
  outage: Outage,
  as: string | null,
): ReadonlyMap<Company, Struck> | null {
  const all = new Map<Company, Struck>();
  for (const { strikes } of outage.phases) {
    for (const { whose } of strikes) all.set(whose, all.get(whose) ?? byName(config, whose));
  }
  if (as === null) return all;
  const stand = standIn(config, outage, as);
  return stand === null ? null : all.set(outage.whose, stand);
}

function standIn(config: Config, outage: Outage, as: string): Struck | null {
  const { clouds, records, origins } = config.core;
  if (Object.hasOwn(config.paths, as) && !Object.hasOwn(clouds, as)) {
    return { clouds: new Set(), providers: new Set(), paths: new Set([as]), region: null };
  }
  const type = config.providers[as]?.type ?? as;
  const byDns = Object.entries(dnsOf).find(([, types]) => types.includes(type));
  const company = familyOf(as) ?? (byDns?.[0] as Company | undefined);
  const family = company === undefined ? null : byName(config, company);
  const known = Object.hasOwn(clouds, as) || Object.hasOwn(config.providers, as);
  if (!known && (family === null || family.clouds.size + family.providers.size === 0)) return null;
  const struck = new Set(family?.clouds ?? []);
  const providers = new Set(family?.providers ?? []);
  if (Object.hasOwn(clouds, as)) struck.add(as);
  if (Object.hasOwn(config.providers, as)) providers.add(as);
  const named = outage.phases.flatMap((p) => p.strikes.flatMap((s) => s.regions ?? []));
  const mine = Object.values(origins).filter((o) => struck.has(o.cloud) && o.region !== null);
  const first = Object.values(records).flatMap((r) => r.targets.slice(0, 1).map((t) => t.origin));
  const home = mine.find((o) => first.includes(o.name)) ?? mine[0];
  const isThere = mine.some((o) => named.includes(o.region!));
  const region = isThere ? null : (home?.region ?? null);
  return { clouds: struck, providers, paths: family?.paths ?? new Set(), region };
}

type Afflicted = Map<string, Affliction>;

/** What fails of a configuration under some strikes. */
export function conditionsOf(
  config: Config,
  struck: ReadonlyMap<Company, Struck>,
  strikes: readonly Strike[],
): Conditions {
  const [checks, paths, api, authority, names] = Array.from(
    { length: 5 },
    () => new Map<string, Affliction>(),
  ) as [Afflicted, Afflicted, Afflicted, Afflicted, Afflicted];
  for (const strike of strikes) {
    const who = struck.get(strike.whose);
    if (who === undefined) continue;
    const { manner, share = 1 } = strike;
    const worst = (map: Afflicted, key: string) => {
      if ((map.get(key)?.share ?? 0) < share) map.set(key, { manner, share });
    };
    if (strike.what === 'resolver') for (const path of who.paths) worst(paths, path);
    if (strike.what === 'api') for (const p of who.providers) worst(api, p);
    if (strike.what === 'authority') for (const p of who.providers) worst(authority, p);
    for (const check of Object.values(config.core.checks)) {
      if (isHit(config, check, strike, who)) worst(checks, check.id);
    }
    if (strike.what !== 'machines') continue;
    // A path that sits in a cloud fails with all of it; a proxy that says 5xx is no path.
    if (strike.regions === undefined && manner !== '5xx') {
      for (const path of Object.values(config.core.paths)) {
        if (who.clouds.has(path.cloud ?? '')) worst(paths, path.name);
      }
    }
    if (!['nxdomain', 'servfail'].includes(manner)) continue;
    for (const o of Object.values(config.core.origins)) {
      if (who.clouds.has(o.cloud) && isIn(o.region, strike, who)) worst(names, o.name);
    }
  }
  return { checks, paths, api, authority, names };
}

/** The share of an origin's requests that fail: of what it needs, the worst. */
export function failingShare(config: Config, now: Conditions, origin: string): number {
  const o = config.core.origins[origin];
  if (o === undefined) return 0;
  const own = o.checks.filter((id) => config.core.checks[id]?.advisory === false);
  const all = [...own, ...o.needs].map((id) => now.checks.get(id)?.share ?? 0);
  return Math.max(0, now.names.get(origin)?.share ?? 0, ...all);
}

/** What had to be taken for granted, and what of the configuration is out of the outage's way. */
export function notesOf(
  config: Config,
  outage: Outage,
  struck: ReadonlyMap<Company, Struck>,
): readonly string[] {
  const notes: string[] = [];
  const strikes = outage.phases.flatMap((p) => p.strikes);
  for (const [company, who] of struck) {
    const mine = strikes.filter((s) => s.whose === company);
    const regions = [...new Set(mine.flatMap((s) => s.regions ?? []))];
    const list = [...who.clouds].join(', ');
    const isWatched = Object.values(config.core.checks).some(
      (c) => c.plane === 'service' && who.clouds.has(c.cloud ?? ''),
    );
    if (who.clouds.size > 0 && mine.some((s) => s.what === 'services') && !isWatched) {
      notes.push(
        `no check of plane service watches ${list}: an origin that cannot do without its ` +
          'services would fail unseen (give it such a check, and the origin `needs` it)',
      );
    }
    if (regions.length === 0 || who.clouds.size === 0) continue;
    if (who.region !== null) {
      notes.push(`the region ${regions.join(', ')} is taken to be ${who.region} of ${list}`);
      continue;
    }
    const inside = Object.values(config.core.origins).filter((o) => who.clouds.has(o.cloud));
    const nowhere = inside.filter((o) => o.region === null).map((o) => o.name);
    if (nowhere.length > 0) {
      notes.push(`${nowhere.join(', ')} name no region: taken to be in ${regions.join(', ')}`);
    } else if (inside.length > 0 && !inside.some((o) => regions.includes(o.region!))) {
      notes.push(
        `no origin of ${list} is in ${regions.join(', ')}: none of its machines is struck`,
      );
    }
  }
  return notes;
}

/** Names that `--as` takes: clouds with an origin, providers, and paths (for the resolver). */
export function standIns(config: Config): readonly string[] {
  const clouds = new Set(Object.values(config.core.origins).map((o) => o.cloud));
  return [...clouds, ...Object.keys(config.providers), ...Object.keys(config.paths)];
}

const partOf = {
  resource: 'machines',
  service: 'services',
  control: 'control',
} satisfies Readonly<Record<Plane, Part>>;

function isHit(config: Config, check: CheckConfig, strike: Strike, who: Struck): boolean {
  if (check.role === 'reference' || check.cloud === null || !who.clouds.has(check.cloud)) {
    return false;
  }
  const part = check.role === 'origin' ? 'machines' : check.plane && partOf[check.plane];
  const region = check.origin === null ? check.region : config.core.origins[check.origin]!.region;
  return part === strike.what && isIn(region, strike, who);
}

function isIn(region: string | null, { regions }: Strike, who: Struck): boolean {
  if (regions === undefined || region === null) return true;
  return who.region === null ? regions.includes(region) : region === who.region;
}
