// Availability of one month: of each cloud by its diagnosis, of each origin by its health, of each
// record by what it led to; the windows of outage, and what a cloud's agreement gives back for them.
// Pure. Time of which nothing is known is counted apart: it is never an outage, and it is said.

import type { SlaService } from '../config/sla.ts';
import {
  cloudsOf,
  type Gap,
  type Journal,
  lengthOf,
  merged,
  originsOf,
  type Places,
  recordsOf,
  type Span,
  type Stretch,
  type Tracks,
  within,
  without,
} from './states.ts';
import type { Zone } from './zone.ts';

interface Window extends Span {
  readonly ms: number;
  readonly why: string;
}

export interface SlaRow {
  readonly kind: 'cloud' | 'origin' | 'record';
  readonly name: string;
  /** The service of the cloud's agreement that it is held against; null: there is none. */
  readonly service: string | null;
  /** Percent of the month that was no outage, as an agreement counts it; what is unknown is none. */
  readonly availability: number;
  /** Percent of the time of which something is known; null: of none. */
  readonly ofKnown: number | null;
  readonly downMs: number;
  readonly unknownMs: number;
  readonly windows: readonly Window[];
  /** The tier that is reached, and the percent of the bill that is given back; null: none. */
  readonly tier: { readonly below: number; readonly credit: number } | null;
}

export interface SlaReport {
  readonly month: string;
  readonly zone: string;
  readonly from: number;
  readonly to: number;
  /** The month is over. */
  readonly isOver: boolean;
  readonly rows: readonly SlaRow[];
  /** When nothing is known of anything. */
  readonly gaps: readonly Gap[];
  readonly notes: readonly string[];
}

interface SlaOrder {
  readonly month: string;
  readonly zone: Zone;
  /** The journals of one daemon, or of the replicas of a group. */
  readonly journals: readonly Journal[];
  readonly places: Places;
  readonly sla: Readonly<Record<string, readonly SlaService[]>>;
  /** The present. */
  readonly now: number;
}

/** Null where the month is none, or has not begun. */
export function slaOf(order: SlaOrder): SlaReport | null {
  const { month, zone, journals, places, sla, now } = order;
  const bounds = zone.bounds(month);
  if (bounds === null || bounds.from >= now) return null;
  const isOver = bounds.to <= now;
  const whole: Span = { from: bounds.from, to: Math.min(bounds.to, now) };
  const count = (of: (journal: Journal) => Tracks) => counted(journals, of, whole);
  const rows: SlaRow[] = [];
  const services = (cloud: string) => (Object.hasOwn(sla, cloud) ? sla[cloud]! : []);
  const byPlane = {
    resource: count((journal) => cloudsOf(journal, places, 'resource')),
    service: count((journal) => cloudsOf(journal, places, 'service')),
  };
  for (const cloud of namesOf(Object.keys(places.clouds), byPlane.service)) {
    const held = services(cloud);
    for (const one of held.length === 0 ? [null] : held) {
      const known = byPlane[one?.plane ?? 'service'].get(cloud);
      rows.push(rowOf('cloud', cloud, known, whole, one));
    }
  }
  const cloudOf = new Map(
    Object.entries(places.clouds).flatMap(([cloud, origins]) => origins.map((o) => [o, cloud])),
  );
  const origins = count(originsOf);
  for (const name of namesOf([...cloudOf.keys()], origins)) {
    const held = services(cloudOf.get(name) ?? '');
    // Held against the agreement about machines, where there is one.
    const one = held.find(({ plane }) => plane === 'resource') ?? held[0] ?? null;
    rows.push(rowOf('origin', name, origins.get(name), whole, one));
  }
  const records = count((journal) => recordsOf(journal, places));
  for (const name of namesOf(Object.keys(places.records), records)) {
    rows.push(rowOf('record', name, records.get(name), whole, null));
  }
  const gaps = gapsIn(journals, whole);
  return {
    ...{ month, zone: zone.name, ...whole, isOver, rows, gaps },
    notes: notesOf(order, whole, gaps, isOver),
  };
}

function namesOf(known: readonly string[], found: ReadonlyMap<string, unknown>): string[] {
  return [...new Set([...known, ...found.keys()])].toSorted();
}

interface Counted {
  readonly down: readonly Stretch[];
  readonly unknown: readonly Span[];
}

/** Over all journals: what any of them saw is known, and what one saw down was down. */
function counted(
  journals: readonly Journal[],
  of: (journal: Journal) => Tracks,
  whole: Span,
): Map<string, Counted> {
  const all = journals.map((journal) => ({ journal, tracks: of(journal) }));
  const names = new Set(all.flatMap(({ tracks }) => [...tracks.keys()]));
  const found = new Map<string, Counted>();
  for (const name of names) {
    const seen = all.flatMap(({ journal, tracks }) => {
      const stretches = within(tracks.get(name) ?? [], whole);
      return without(stretches, journal.gaps).filter(({ word }) => word !== 'unknown');
    });
    const down = merged(seen.filter(({ word }) => word === 'down'));
    found.set(name, { down, unknown: without([whole], seen) });
  }
  return found;
}

function rowOf(
  kind: SlaRow['kind'],
  name: string,
  known: Counted | undefined,
  whole: Span,
  service: SlaService | null,
): SlaRow {
  const down = known?.down ?? [];
  const totalMs = whole.to - whole.from;
  const unknownMs = known === undefined ? totalMs : lengthOf(known.unknown);
  const downMs = lengthOf(down);
  const availability = 100 * (1 - downMs / totalMs);
  const knownMs = totalMs - unknownMs;
  return {
    ...{ kind, name, service: service?.service ?? null, availability, downMs, unknownMs },
    ofKnown: knownMs === 0 ? null : 100 * (1 - downMs / knownMs),
    windows: down.map(({ from, to, why }) => ({ from, to, ms: to - from, why })),
    tier: tierOf(service, availability),
  };
}

/** The lowest bound that is undercut. */
function tierOf(service: SlaService | null, availability: number): SlaRow['tier'] {
  const reached = (service?.tiers ?? []).filter(({ below }) => availability < below);
  return reached.toSorted((a, b) => a.below - b.below)[0] ?? null;
}

/** When no journal says anything. */
function gapsIn(journals: readonly Journal[], whole: Span): readonly Gap[] {
  const [first, ...rest] = journals.map(({ gaps }) => within(gaps, whole));
  return rest.reduce<Gap[]>(
    (both, gaps) => both.flatMap((gap) => within(merged(gaps), gap).map((g) => ({ ...gap, ...g }))),
    first ?? [],
  );
}

function notesOf(
  { journals, sla, places, now }: SlaOrder,
  whole: Span,
  gaps: readonly Gap[],
  isOver: boolean,
): string[] {
  const notes: string[] = [];
  if (!isOver) notes.push('the month is not over: these are the figures so far');
  if (gaps.length > 0) {
    notes.push(
      `of ${hours(lengthOf(gaps))} of ${hours(whole.to - whole.from)} nothing is known: no outage ` +
        'is counted there, and none can be ruled out',
    );
  }
  const begins = Math.min(...journals.map(({ from }) => from));
  if (journals.some(({ pruned }) => pruned) && begins > whole.from && begins < now) {
    notes.push('the journal has been pruned: what was before its first entry is gone from it');
  }
  const strange = Object.keys(sla).filter((cloud) => !Object.hasOwn(places.clouds, cloud));
  if (strange.length > 0) notes.push(`an agreement, and no origin there: ${strange.join(', ')}`);
  return notes;
}

function hours(ms: number): string {
  return `${Number((ms / 3_600_000).toFixed(1))} h`;
}
