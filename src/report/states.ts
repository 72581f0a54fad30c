// What a journal knows of the past: from when to when each origin, cloud and record was up, down, or
// nobody can say. Pure. What it does not hold (before its first entry, while Detour was stopped or
// stood still) is unknown, and unknown is never down.

import type { Name } from '../core/model.ts';
import type { StoredEntry } from '../ports.ts';

/** An entry, and in a group whose it is. */
export type Told = StoredEntry & { readonly replica?: string };

type Word = 'up' | 'down' | 'unknown';

/** Wall-clock milliseconds. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

export interface Stretch extends Span {
  readonly word: Word;
  /** What was said of it. */
  readonly why: string;
}

/** When a journal says nothing, and why. */
export interface Gap extends Span {
  readonly why: string;
}

/** What is known of the configuration: where origins are, and where records may lead. */
export interface Places {
  readonly clouds: Readonly<Record<string, readonly string[]>>;
  /** By record its targets, the preferred one first. */
  readonly records: Readonly<Record<Name, readonly string[]>>;
  /** By record and provider, seconds for which caches keep an answer. */
  readonly ttls: Readonly<Record<Name, Readonly<Record<string, number>>>>;
}

/** One journal, in order, with times that never go back. */
export interface Journal {
  readonly entries: readonly Told[];
  readonly from: number;
  readonly to: number;
  readonly gaps: readonly Gap[];
  /** Older entries were there and are gone. */
  readonly pruned: boolean;
}

/** `aliveAt`: the daemon that wrote it was asked then and runs; null: it was read without one. */
export function journalOf(all: readonly Told[], aliveAt: number | null): Journal {
  let last = Number.NEGATIVE_INFINITY;
  const entries = all
    .toSorted((a, b) => a.seq - b.seq)
    .map((entry) => {
      // A clock that was put back must not make time run twice.
      last = Math.max(last, entry.wall);
      return last === entry.wall ? entry : { ...entry, wall: last };
    });
  const from = entries[0]?.wall ?? aliveAt ?? 0;
  const to = Math.max(entries.at(-1)?.wall ?? from, aliveAt ?? 0);
  const pruned = (entries[0]?.seq ?? 1) > 1;
  return { entries, from, to, gaps: gapsOf(entries, from, to, aliveAt !== null, pruned), pruned };
}

function gapsOf(
  entries: readonly Told[],
  from: number,
  to: number,
  alive: boolean,
  pruned: boolean,
): Gap[] {
  const gaps: Gap[] = [];
  const began = pruned ? 'older entries are no longer in the journal' : 'the journal begins here';
  gaps.push({ from: Number.NEGATIVE_INFINITY, to: from, why: began });
  let stoppedAt: number | null = null;
  entries.forEach(({ kind, wall, data }, i) => {
    if (kind === 'stop') stoppedAt = wall;
    if (kind === 'start' && i > 0) {
      const ended = 'it ended without a word after this, nobody knows when';
      const why = stoppedAt === null ? ended : 'Detour was stopped';
      gaps.push({ from: stoppedAt ?? entries[i - 1]!.wall, to: wall, why });
      stoppedAt = null;
    }
    const { forMs } = (data ?? {}) as { forMs?: unknown };
    if (kind === 'paused' && typeof forMs === 'number') {
      gaps.push({ from: Math.max(from, wall - forMs), to: wall, why: 'Detour stood still' });
    }
  });
  if (stoppedAt !== null) {
    gaps.push({ from: stoppedAt, to: Number.POSITIVE_INFINITY, why: 'Detour was stopped' });
  } else if (!alive || to < Number.POSITIVE_INFINITY) {
    const why = alive ? 'not yet' : 'the journal ends here, and its daemon was not asked';
    gaps.push({ from: to, to: Number.POSITIVE_INFINITY, why });
  }
  return gaps;
}

// ---------------------------------------------------------------- by what happened

/** One who writes down each change of a word, and forgets at a start. */
class Track {
  readonly stretches: { from: number; to: number; word: Word; why: string }[] = [];

  turn(at: number, word: Word, why: string): void {
    const last = this.stretches.at(-1);
    if (last?.word === word) return;
    if (last !== undefined) last.to = at;
    this.stretches.push({ from: at, to: Number.POSITIVE_INFINITY, word, why });
  }
}

export type Tracks = ReadonlyMap<string, readonly Stretch[]>;

/** The health of each origin, as it was judged. */
export function originsOf({ entries }: Journal): Tracks {
  const tracks = new Map<string, Track>();
  for (const { kind, wall, data, sentence } of entries) {
    if (kind === 'start') for (const t of tracks.values()) t.turn(wall, 'unknown', 'a start');
    if (kind !== 'health') continue;
    const { origin, health } = data as { origin?: string; health?: Word };
    if (origin !== undefined && health !== undefined)
      track(tracks, origin).turn(wall, health, sentence);
  }
  return done(tracks);
}

/** What a diagnosis says of a service that rests on machines, or on the cloud's own services. */
const downBy: Readonly<Record<'resource' | 'service', ReadonlySet<string>>> = {
  resource: new Set(['cloud-down', 'region-down']),
  service: new Set(['cloud-down', 'region-down', 'auth-down']),
};
/** Nobody could tell then. */
const unsure: ReadonlySet<string> = new Set(['blind', 'paths-disagree']);

/** Clouds by their diagnosis. */
export function cloudsOf(
  { entries }: Journal,
  places: Places,
  plane: 'resource' | 'service',
): Tracks {
  const tracks = new Map<string, Track>();
  const words = new Map<string, string>();
  const cloudOf = new Map(
    Object.entries(places.clouds).flatMap(([cloud, origins]) => origins.map((o) => [o, cloud])),
  );
  const turn = (cloud: string, wall: number, why: string) => {
    const word = words.get(cloud) ?? 'healthy';
    const is: Word = downBy[plane].has(word) ? 'down' : unsure.has(word) ? 'unknown' : 'up';
    track(tracks, cloud).turn(wall, is, why);
  };
  for (const { kind, wall, data, sentence } of entries) {
    const { cloud, diagnosis, origin, health } = (data ?? {}) as Record<string, string | undefined>;
    if (kind === 'start') {
      words.clear();
      for (const t of tracks.values()) t.turn(wall, 'unknown', 'a start');
    } else if (kind === 'diagnosis' && cloud !== undefined && diagnosis !== undefined) {
      words.set(cloud, diagnosis);
      turn(cloud, wall, sentence);
    } else if (kind === 'health' && health !== 'unknown') {
      // Of a cloud that is well nothing is said; that something of it was seen says so.
      const of = cloudOf.get(origin ?? '');
      if (of !== undefined && !words.has(of)) turn(of, wall, sentence);
    }
  }
  return done(tracks);
}

/** Records by the health of what they lead to; once switched away from that, until it is settled. */
export function recordsOf(journal: Journal, places: Places): Tracks {
  const { entries } = journal;
  const leads = new Map<Name, string | null>();
  for (const [name, targets] of Object.entries(places.records)) leads.set(name, targets[0] ?? null);
  for (const { record, from } of entries
    .map(firstLed)
    .filter((one) => one !== null)
    .toReversed()) {
    leads.set(record, from);
  }
  const tracks = new Map<string, Track>();
  const health = new Map<string, Word>();
  const moving = new Set<Name>();
  const turn = (name: Name, wall: number, why: string) => {
    const target = leads.get(name) ?? null;
    const is = target === null ? 'unknown' : (health.get(target) ?? 'unknown');
    const waits = moving.has(name) && tracks.get(name)?.stretches.at(-1)?.word === 'down';
    if (waits) return;
    track(tracks, name).turn(wall, is, why);
  };
  for (const { kind, wall, record, data, sentence } of entries) {
    const { origin, health: is, to, target } = (data ?? {}) as Record<string, string | undefined>;
    if (kind === 'start') {
      health.clear();
      moving.clear();
      for (const name of leads.keys()) turn(name, wall, 'a start');
    } else if (kind === 'health' && origin !== undefined) {
      health.set(origin, is as Word);
      for (const [name, at] of leads) if (at === origin) turn(name, wall, sentence);
    } else if (record !== null && (kind === 'switch' || kind === 'adopt')) {
      leads.set(record, to ?? target ?? leads.get(record) ?? null);
      if (kind === 'switch') moving.add(record);
      turn(record, wall, sentence);
    } else if (kind === 'settled' && record !== null && leads.has(record)) {
      moving.delete(record);
      turn(record, wall, sentence);
    }
  }
  return done(tracks);
}

/** Where a record stood before its first word; nothing moves what is only observed. */
function firstLed({ kind, record, data }: Told): { record: Name; from: string } | null {
  if (record === null || (kind !== 'switch' && kind !== 'would-switch')) return null;
  const { from } = (data ?? {}) as { from?: string | null };
  return from == null ? null : { record, from };
}

function track(tracks: Map<string, Track>, name: string): Track {
  const known = tracks.get(name) ?? new Track();
  tracks.set(name, known);
  return known;
}

function done(tracks: ReadonlyMap<string, Track>): Tracks {
  return new Map([...tracks].map(([name, { stretches }]) => [name, stretches]));
}

// ---------------------------------------------------------------- spans of time

/** The same time in as few spans as there can be, in order: nothing is counted twice. */
export function merged<S extends Span>(spans: readonly S[]): S[] {
  const found: S[] = [];
  for (const span of spans.toSorted((a, b) => a.from - b.from)) {
    const last = found.at(-1);
    if (last !== undefined && span.from <= last.to) {
      found[found.length - 1] = { ...last, to: Math.max(last.to, span.to) };
    } else found.push(span);
  }
  return found;
}

/** What of some spans lies within another. */
export function within<S extends Span>(spans: readonly S[], { from, to }: Span): S[] {
  return spans.flatMap((span) => {
    const cut = { ...span, from: Math.max(span.from, from), to: Math.min(span.to, to) };
    return cut.from < cut.to ? [cut] : [];
  });
}

/** What of some spans lies outside all of the others. */
export function without<S extends Span>(spans: readonly S[], others: readonly Span[]): S[] {
  return merged(others).reduce<S[]>(
    (left, { from, to }) =>
      left.flatMap((span) => [
        ...within([span], { from: Number.NEGATIVE_INFINITY, to: from }),
        ...within([span], { from: to, to: Number.POSITIVE_INFINITY }),
      ]),
    [...spans],
  );
}

/** Milliseconds, nothing counted twice. */
export function lengthOf(spans: readonly Span[]): number {
  return merged(spans).reduce((sum, { from, to }) => sum + to - from, 0);
}
