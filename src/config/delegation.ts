// Where the NS sets of zones stand, so that a person can take a vendor out of one: what is written of
// it against the records and providers that there are. Pure. It lets nothing through by which an
// eviction would leave fewer than two vendors.

import type { Name, RecordConfig } from '../core/model.ts';
import { isWithin, listOf, notAmong, unrooted } from '../core/name.ts';
import { familyOf } from '../kit/clouds.ts';
import type { Context, ProviderConfig } from './context.ts';
import { isPackage, rowOf } from './tables.ts';
import type { Path } from './text.ts';

/** The parent of a zone: who holds it, and under which name. */
export interface DelegationConfig {
  readonly provider: string;
  readonly zone: Name;
}

/** Vendors that a zone needs so that one may be taken out. */
const vendorsLeast = 3;
/** Characters of a zone's name: its marker fits into one string of a TXT record. */
const zoneMax = 100;

type Providers = ReadonlyMap<string, ProviderConfig>;

/** Whom a provider counts as: two accounts at one vendor fail together. */
export function vendorOf(
  name: string,
  provider: Pick<ProviderConfig, 'cloud'> | undefined,
): string {
  const cloud = provider?.cloud ?? null;
  return cloud === null ? name : (familyOf(cloud) ?? cloud);
}

/** The configured zone that a record lies in, the nearest one; null: none. */
export function delegatedZone(zones: readonly Name[], record: Name): Name | null {
  const above = zones.filter((zone) => isWithin(record, zone));
  return above.toSorted((a, b) => b.length - a.length)[0] ?? null;
}

export function checkDelegations(
  context: Context,
  all: Readonly<Record<Name, DelegationConfig>>,
  {
    records,
    providers,
    isSigned,
  }: {
    readonly records: ReadonlyMap<Name, RecordConfig>;
    readonly providers: Providers;
    readonly isSigned: boolean;
  },
): void {
  const { source } = context;
  const zones = Object.keys(all);
  if (zones.length > 0 && !isSigned) {
    const cure = 'make one with `detour init --key-only FILE`';
    source.problem(
      ['delegation'],
      `needs a clusterKey, which signs who was taken out: ${cure}`,
      'key',
    );
  }
  for (const [zone, { provider, zone: parent }] of Object.entries(all)) {
    const path = ['delegation', unrooted(zone)];
    checkParent(context, path, zone, { provider, zone: parent }, providers);
    const held = [...records.values()].filter((r) => delegatedZone(zones, r.name) === zone);
    checkVendors(context, path, zone, held, providers);
  }
}

function checkParent(
  { source, tables }: Context,
  path: Path,
  zone: Name,
  { provider, zone: parent }: DelegationConfig,
  providers: Providers,
): void {
  if (zone.length > zoneMax) source.problem(path, `is longer than ${zoneMax} characters`, 'key');
  if (parent === zone || !isWithin(zone, parent)) {
    const message = `${zone} does not lie below ${parent}: name the zone that delegates it`;
    source.problem([...path, 'zone'], unrooted(message));
  }
  const type = providers.get(provider)?.type;
  if (type === undefined) {
    const cure =
      'where the parent is at a registrar, leave this out: it is changed by hand in its console';
    const message = notAmong('provider', provider, [...providers.keys()]);
    source.problem([...path, 'provider'], `${message}; ${cure}`);
    return;
  }
  const row = rowOf(tables.providers, type);
  if (isPackage(type) || row === undefined || row.capabilities.delegation !== undefined) return;
  source.problem([...path, 'provider'], `no NS set can be changed at ${provider} (${type})`);
}

/** What is left of it must be two vendors, whichever one is taken out. */
function checkVendors(
  { source }: Context,
  path: Path,
  zone: Name,
  held: readonly RecordConfig[],
  providers: Providers,
): void {
  if (held.length === 0) {
    source.problem(path, unrooted(`no record lies in ${zone}: name a zone that holds some`), 'key');
    return;
  }
  for (const { name, publish } of held) {
    const vendors = new Set(publish.map((p) => vendorOf(p.provider, providers.get(p.provider))));
    if (vendors.size >= vendorsLeast) continue;
    const who = listOf(
      publish.map((p) => p.provider),
      'and',
    );
    const message =
      `${name} is published at ${vendors.size} vendors alone (${who}): without one of them fewer ` +
      'than two would be left';
    const cure = 'publish it at a third, or leave this zone out';
    source.problem(path, unrooted(`${message}; ${cure}`), 'key');
    return;
  }
}
