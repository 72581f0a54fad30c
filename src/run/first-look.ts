// What `detour init` sees: each name at each vendor, the way of names in DNS, the delegation above,
// and what each key may do. It asks everything side by side, within one deadline, and writes nothing
// anywhere: a preflight's try at writing changes nothing, and is left out where that is asked for.

import type { Wish } from '../config/wish.ts';
import { parseMarker } from '../core/marker.ts';
import type { Answer, Fault, Name, Seen } from '../core/model.ts';
import { isWithin, listOf } from '../core/name.ts';
import { createLimit } from '../dns/limit.ts';
import { createResolver, type Resolver } from '../dns/resolver.ts';
import type { Provider, ReachingFinding, ZoneFacts } from '../kit/extend.ts';
import { parseHostPort, toName } from '../kit/schema.ts';
import { SecretError } from '../kit/secret.ts';
import { readSecretOf } from './build.ts';
import { createClock } from './clock.ts';

/** What one vendor said of one name. */
export interface Sighting {
  readonly provider: string;
  readonly name: Name;
  readonly state: (typeof sightStates)[number];
  readonly facts: ZoneFacts | null;
  readonly values: readonly { readonly value: Name; readonly ttl: number }[];
  /** On which lines it stands, the default one first; absent: on that alone. */
  readonly lines?: readonly string[];
  /** The cluster of a marker that stands there. */
  readonly steeredBy: string | null;
  /** One clause; empty where the state says it all. */
  readonly detail: string;
  readonly cure: string | null;
}

/**
 * found: a CNAME or what stands in its place; absent: a zone without it; no-zone: no zone for it in
 * that account; apex: the zone itself; refused: the key was; unreachable: nobody answered in time.
 */
const sightStates = [
  'found',
  'absent',
  'no-zone',
  'apex',
  'refused',
  'unreachable',
  'no-key',
] as const;

/** A name that was typed, and which record it was taken for. */
export interface Taken {
  readonly typed: Name;
  readonly record: Name;
  readonly publicName: Name | null;
  readonly why: string;
  /** Of names in DNS, from the typed one on. */
  readonly chain: readonly Name[];
  /** Why DNS was not followed to an address; empty: it was. */
  readonly detail: string;
  /** Of the record, one a vendor. */
  readonly sightings: readonly Sighting[];
}

interface ZoneSeen {
  readonly zone: Name;
  /** Its NS set at the parent; null: not seen. */
  readonly names: readonly Name[] | null;
  readonly detail: string;
  /** What each vendor calls its servers; null: it gave no host names. */
  readonly claims: ReadonlyMap<string, readonly Name[] | null>;
}

export interface FirstLook {
  readonly taken: readonly Taken[];
  readonly zones: readonly ZoneSeen[];
  readonly findings: readonly (ReachingFinding & {
    readonly provider: string;
    readonly zone: Name;
  })[];
  /** Where each target leads in DNS, as far as it was seen. */
  readonly targets: ReadonlyMap<Name, { readonly chain: readonly Name[]; readonly detail: string }>;
}

interface Vendor {
  readonly name: string;
  readonly zone: string | null;
  readonly provider: Provider | null;
  /** Why there is none. */
  readonly why: string;
}

/** For everything together. */
const limitMs = 45_000;
/** A vendor's quota is shared with whatever runs there already. */
const asksAtOnce = 4;
/** Names behind a typed one that are looked for at the vendors. */
const candidatesMost = 4;

/** Looks once. `tries`: whether keys may write is tried, by writes that change nothing. */
export async function lookFirst(
  { names, targets, config }: Wish,
  { tries }: { readonly tries: boolean },
): Promise<FirstLook> {
  const { dns } = config;
  const resolver = createResolver({
    roots: dns.roots,
    port: dns.port,
    timeoutMs: dns.timeoutMs,
    clock: createClock(0),
    ...(dns.resolvers === null
      ? {}
      : { resolvers: dns.resolvers.map((text) => parseHostPort(text, 53)!) }),
  });
  const vendors = vendorsOf(config);
  const signal = AbortSignal.timeout(limitMs);
  const see = sightsOf(vendors, signal);
  try {
    const taken = await Promise.all(names.map((typed) => take(typed, see, resolver, signal)));
    const values = taken.flatMap(({ record, chain, sightings }) => [
      ...sightings.flatMap((one) => one.values.map(({ value }) => value)),
      ...chain.slice(chain.indexOf(record) + 1).slice(0, 1),
    ]);
    const wanted = new Set([...targets.map(({ cname }) => cname), ...values]);
    const [zones, findings, led] = await Promise.all([
      seeZones(taken, resolver, signal),
      tries ? tryKeys(vendors, taken, signal) : [],
      Promise.all(
        [...wanted].map(async (name) => [name, await follow(name, resolver, signal)] as const),
      ),
    ]);
    return { taken, zones, findings, targets: new Map(led) };
  } finally {
    resolver.close();
    for (const { provider } of vendors) provider?.close();
  }
}

function vendorsOf({ providers, tables }: Wish['config']): readonly Vendor[] {
  return Object.entries(providers).map(([name, { type, settings, callTimeoutMs }]): Vendor => {
    const { zone = null } = settings as { readonly zone?: string | null };
    try {
      const context = { secret: readSecretOf, callTimeoutMs };
      const provider = tables.providers[type]!.create(name, settings, context);
      return { name, zone, provider, why: '' };
    } catch (error) {
      if (!(error instanceof SecretError)) throw error;
      return { name, zone, provider: null, why: error.message };
    }
  });
}

type See = (name: Name) => Promise<readonly Sighting[]>;

/** Each name is asked for once at each vendor, however often it is wanted. */
function sightsOf(vendors: readonly Vendor[], signal: AbortSignal): See {
  const asked = new Map<Name, Promise<readonly Sighting[]>>();
  const limits = vendors.map(() => createLimit(asksAtOnce, 1000));
  return (name) => {
    const known = asked.get(name);
    if (known !== undefined) return known;
    const all = vendors.map(async (vendor, i) => {
      const seen = await limits[i]!(signal, () => sight(vendor, name, signal));
      return seen ?? sightingOf(vendor, name, { state: 'unreachable', detail: late });
    });
    const answers = Promise.all(all);
    asked.set(name, answers);
    return answers;
  };
}

const late = 'it was not asked in the time there is';

type Part = Partial<Sighting> & Pick<Sighting, 'state'>;

function sightingOf({ name: provider }: Vendor, name: Name, part: Part): Sighting {
  const nothing = { facts: null, values: [], steeredBy: null, detail: '', cure: null };
  return { provider, name, ...nothing, ...part };
}

async function sight(vendor: Vendor, name: Name, signal: AbortSignal): Promise<Sighting> {
  const { provider, why, zone } = vendor;
  const saw = (part: Part) => sightingOf(vendor, name, part);
  if (provider === null) return saw({ state: 'no-key', detail: why });
  if (zone !== null && name === zone) return saw({ state: 'apex' });
  if (zone !== null && !isWithin(name, zone)) {
    return saw({ state: 'no-zone', detail: `it lies outside ${zone}, the zone of that account` });
  }
  const found = await provider.zone(name, signal);
  if (!found.ok) return saw(ofFault(found.fault));
  const facts = found.value;
  if (facts.zone === name) return saw({ state: 'apex', facts });
  const read: Answer<Seen> | undefined = (await provider.read([name], signal))[name];
  if (read === undefined || read.kind === 'not-asked') {
    return saw({ state: 'unreachable', detail: late, facts });
  }
  if (read.kind === 'fault') return saw({ ...ofFault(read.fault), facts });
  const { cnames, markers, refusal } = read.value;
  const markersRead = markers.flatMap((text) => parseMarker(text) ?? []);
  return saw({
    state: cnames.length > 0 || refusal !== null ? 'found' : 'absent',
    facts,
    values: cnames.filter((c, i) => cnames.findIndex((o) => o.value === c.value) === i),
    ...linesOf(provider, cnames),
    steeredBy: markersRead[0]?.cluster ?? (markers.length > 0 ? 'somebody' : null),
    detail: refusal?.sentence ?? '',
  });
}

function linesOf(
  { capabilities: { lines } }: Provider,
  cnames: Seen['cnames'],
): Pick<Sighting, 'lines'> {
  const others = new Set(cnames.flatMap((c) => c.line ?? []));
  return others.size === 0 || lines === undefined ? {} : { lines: [lines.default, ...others] };
}

function ofFault({ kind, detail, cure }: Fault): Part {
  const said = { detail, cure: cure ?? null };
  if (kind === 'rejected') return { state: 'no-zone', ...said };
  return { state: kind === 'auth-suspect' ? 'refused' : 'unreachable', ...said };
}

/** From a name to the record: the one of its chain that most vendors hold. */
async function take(
  typed: Name,
  see: See,
  resolver: Resolver,
  signal: AbortSignal,
): Promise<Taken> {
  const [led, own] = await Promise.all([follow(typed, resolver, signal), see(typed)]);
  const { chain, detail } = led;
  // Where DNS breaks off, a vendor may know the name behind it.
  const [told] = own.flatMap(({ values }) => values.map(({ value }) => value));
  const isWhole = detail === '' || told === undefined || chain.includes(told);
  const way = isWhole ? chain : [typed, told, ...chain.slice(1)];
  const candidates = way.slice(0, candidatesMost);
  const all = await Promise.all(candidates.map(see));
  const count = (i: number, state: Sighting['state']) =>
    all[i]!.filter((one) => one.state === state).length;
  const score = (i: number) => 100 * count(i, 'found') + count(i, 'absent');
  let at = 0;
  for (const i of candidates.keys()) if (score(i) > score(at)) at = i;
  const record = candidates[at]!;
  const holders = (i: number) =>
    all[i]!.filter(({ state }) => state === 'found').map(({ provider }) => provider);
  const publicName = at === 0 ? null : typed;
  const here = holders(0);
  const there = holders(at);
  let why = 'no vendor knows it or any name behind it, so it was taken as it was typed';
  if (at > 0) {
    const held =
      there.length > 0 ? `stands at ${listOf(there)}` : 'more of the vendors have a zone for';
    const own = here.length > 0 ? `, and itself stands at ${listOf(here)} alone` : '';
    why = `it leads by CNAME to ${record}, which ${held}${own}`;
  } else if (here.length > 0) {
    why = `it stands itself at ${listOf(here)}`;
  } else if (count(0, 'absent') > 0) {
    why = 'a zone for it is there, and it stands nowhere yet';
  }
  return { typed, record, publicName, why, chain: way, detail, sightings: all[at]! };
}

async function follow(name: Name, resolver: Resolver, signal: AbortSignal) {
  const answer = await resolver.chain(name, signal);
  if (answer.kind === 'answered') return { chain: answer.chain, detail: '' };
  if (answer.kind === 'unknown') return { chain: [name], detail: answer.detail };
  const chain = answer.at === name ? [name] : [name, answer.at];
  return { chain, detail: `${answer.at}: ${answer.detail}` };
}

// ---------------------------------------------------------------- zones and keys

function zonesOf(taken: readonly Taken[]): ReadonlyMap<Name, readonly Sighting[]> {
  const all = taken.flatMap(({ sightings }) => sightings).filter(({ facts }) => facts !== null);
  return Map.groupBy(all, ({ facts }) => facts!.zone);
}

async function seeZones(
  taken: readonly Taken[],
  resolver: Resolver,
  signal: AbortSignal,
): Promise<readonly ZoneSeen[]> {
  return Promise.all(
    [...zonesOf(taken)].map(async ([zone, sightings]) => {
      const parent = await resolver.delegation(zone, signal);
      const claims = new Map(sightings.map((one) => [one.provider, hostsOf(one.facts!)]));
      if (parent.kind !== 'found') return { zone, names: null, detail: parent.detail, claims };
      if (parent.names !== null) return { zone, names: parent.names, detail: '', claims };
      const own = await resolver.nameServers(zone, signal);
      const names = own.kind === 'found' ? own.names.toSorted() : null;
      const detail = 'its parent gave no referral; this is what the zone says of itself';
      return { zone, names, detail, claims };
    }),
  );
}

function hostsOf({ nameServers }: ZoneFacts): readonly Name[] | null {
  const names = nameServers.flatMap((text) => toName(parseHostPort(text, 53)?.host ?? '') ?? []);
  return names.length > 0 ? names : null;
}

/** Once a vendor and zone: what holds for one record of it holds for the others. */
async function tryKeys(
  vendors: readonly Vendor[],
  taken: readonly Taken[],
  signal: AbortSignal,
): Promise<FirstLook['findings']> {
  const each = [...zonesOf(taken)].flatMap(([zone, sightings]) =>
    [...Map.groupBy(sightings, ({ provider }) => provider)].map(async ([name, [first]]) => {
      const { provider } = vendors.find((vendor) => vendor.name === name)!;
      if (provider === null || first!.state === 'apex') return [];
      const found = await provider.preflight(first!.name, signal);
      return found.map((finding) => ({ ...finding, provider: name, zone }));
    }),
  );
  return (await Promise.all(each)).flat();
}
