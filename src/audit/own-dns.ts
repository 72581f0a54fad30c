// Records that are to leave a cloud, and are published at that cloud's own DNS: when it fails as a
// whole, those who ask that vendor stay. It says what that costs, in the words of the day on which it
// was seen; it never calls a vendor bad for what its cloud once did where the records go elsewhere.

import type { Name, RecordConfig } from '../core/model.ts';
import { listOf } from '../core/name.ts';
import { isOneCloud, unchangedDay } from '../kit/clouds.ts';
import { type ZoneLook, zoneOf } from './delegation.ts';
import { percent, type Run } from './run.ts';
import { type Holding, parentOf } from './vendors.ts';

/** Names that one sentence lists. */
const namesMost = 5;

/** One record at its cloud's own DNS. */
interface Met {
  readonly provider: string;
  readonly cloud: string;
  readonly record: Name;
  /** Of its resolvers, 0 to 1: those that ask that vendor. */
  readonly share: number;
}

export function lookAtOwnDns(
  run: Run,
  zones: ReadonlyMap<Name, ZoneLook>,
  held: readonly Holding[],
): void {
  const { vendorClouds } = run.around;
  const met = run.all.flatMap((r) => metOf(run, vendorClouds, r, sharesOf(r, zones, held)));
  for (const all of Map.groupBy(met, (m) => `${m.provider} ${m.cloud}`).values()) say(run, all);
  const isKnown = Object.values(vendorClouds).some((cloud) => cloud !== null);
  if (met.length > 0 || !isKnown || run.all.length === 0) return;
  run.good(
    {},
    'shared-fate',
    'no record is published at the DNS of a cloud that it may have to leave',
  );
}

function metOf(
  run: Run,
  vendorClouds: Readonly<Record<string, string | null>>,
  { name, publish, targets }: RecordConfig,
  shares: ReadonlyMap<string, number> | null,
): readonly Met[] {
  const clouds = new Set(targets.flatMap(({ origin }) => run.around.clouds[origin] ?? []));
  return publish.flatMap(({ provider }) =>
    [...clouds].flatMap((cloud): Met[] => {
      const own = vendorClouds[provider] ?? null;
      if (own === null || !isOneCloud(own, cloud)) return [];
      // Where its part of the delegation was not seen, each vendor is as likely as the next.
      const share = shares?.get(provider) ?? 1 / publish.length;
      return [{ provider, cloud, record: name, share }];
    }),
  );
}

function sharesOf(
  record: RecordConfig,
  zones: ReadonlyMap<Name, ZoneLook>,
  held: readonly Holding[],
): ReadonlyMap<string, number> | null {
  const one = held.find((h) => h.parent === parentOf(record.name));
  const zone = one === undefined ? null : zoneOf(one, held);
  const shares = zone === null ? undefined : zones.get(zone)?.shares;
  return shares === undefined || shares.size === 0 ? null : shares;
}

function say(run: Run, all: readonly Met[]): void {
  const { provider, cloud } = all[0]!;
  const share = Math.max(...all.map((m) => m.share));
  const names = all.map((m) => m.record);
  const more = names.length > namesMost ? ` and ${names.length - namesMost} more` : '';
  const who = `${listOf(names.slice(0, namesMost), 'and')}${more}`;
  const day = unchangedDay(cloud);
  const cost =
    day === null
      ? 'they stay there until it can be changed again'
      : `on ${day.day} they stayed ${day.minutes} minutes`;
  const part = share >= 1 ? 'it is the only vendor' : `${fraction(share)} of resolvers ask it`;
  const sentence =
    `${who} may have to leave ${cloud}, and ${provider} is the DNS of ${cloud} itself: ` +
    `${part}, and ${cost}`;
  const evict = run.all.some((r) => names.includes(r.name) && r.evictable);
  const cure = evict
    ? `know \`detour evict ${provider}\`, or publish at a vendor outside ${cloud} in its place`
    : `publish at a vendor outside ${cloud} in its place, or set \`delegation\` for \`detour evict\``;
  if (share > 0.5) run.bad({ provider }, 'shared-fate', sentence, cure);
  else run.warn({ provider }, 'shared-fate', sentence, cure);
}

function fraction(share: number): string {
  if (Math.abs(share - 1 / 3) < 0.02) return 'a third';
  if (Math.abs(share - 1 / 2) < 0.02) return 'half';
  return Math.abs(share - 1 / 4) < 0.02 ? 'a quarter' : `about ${percent(share)}`;
}
