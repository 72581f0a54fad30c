// One incident out of the journal: from the first failure to the last cache that let go of the old
// answer; what failed, what was decided on which evidence and why nothing else, how long each vendor
// took, what was left behind. Pure. It reads what was written down and infers nothing beyond it: what
// the journal does not hold is said.

import type { Name } from '../core/model.ts';
import type { StoredEntry } from '../ports.ts';
import {
  type Gap,
  journalOf,
  merged,
  originsOf,
  type Places,
  type Span,
  type Stretch,
  type Told,
  within,
} from './states.ts';

/** What one vendor came to with one decision. Wall-clock milliseconds; null: not in the journal. */
interface VendorTime {
  readonly provider: string;
  readonly writtenMs: number | null;
  readonly visibleMs: number | null;
  /** When the last cache that had asked there let go of the old answer. */
  readonly expiredAt: number | null;
}

export interface Decision {
  readonly at: number;
  readonly record: Name;
  readonly from: string | null;
  readonly to: string;
  readonly by: 'auto' | 'operator';
  /** Only observed: nothing was written. */
  readonly observed: boolean;
  readonly sentence: string;
  /** When what it moved away from was first seen to fail; null: not in the journal. */
  readonly failedAt: number | null;
  /** What it rested on: a word and what was said. */
  readonly evidence: readonly (readonly [word: string, text: string])[];
  /** The other targets, and why not each. */
  readonly alternatives: readonly { readonly origin: string; readonly why: string }[];
  readonly vendors: readonly VendorTime[];
  /** Providers that had not followed when the switch ended. */
  readonly behind: readonly { readonly provider: string; readonly until: number | null }[];
  /** Of what was promised to its clients; null: nothing was, or it is not known yet. */
  readonly objective: string | null;
  readonly next: number | null;
}

interface Line {
  readonly at: number;
  readonly kind: StoredEntry['kind'];
  readonly replica: string | null;
  readonly record: Name | null;
  readonly text: string;
}

export interface Incident {
  readonly record: Name | null;
  readonly from: number;
  readonly to: number;
  /** Origins that were down then. */
  readonly failures: readonly (Span & { readonly origin: string; readonly why: string })[];
  readonly health: ReadonlyMap<string, readonly Stretch[]>;
  readonly diagnoses: readonly {
    readonly at: number;
    readonly cloud: string;
    readonly word: string;
    readonly text: string;
  }[];
  readonly decisions: readonly Decision[];
  /** Why records stayed where they were. */
  readonly stays: readonly Line[];
  readonly lines: readonly Line[];
  readonly leftOut: number;
  readonly gaps: readonly Gap[];
  readonly pruned: boolean;
}

interface IncidentOrder {
  readonly entries: readonly Told[];
  readonly aliveAt: number | null;
  readonly places: Places;
  /** null: of all records. */
  readonly record: Name | null;
  readonly since: number | null;
  readonly until: number | null;
}

/** What happens within this of each other is one incident. */
const TOGETHER_MS = 600_000;
const AROUND_MS = 30_000;
const LINES_MOST = 2_000;

/** The last incident, or what lies in the span that is given; null: there was none. */
export function incidentOf(order: IncidentOrder): Incident | null {
  const { record, since, until, places } = order;
  const sources = [...Map.groupBy(order.entries, ({ replica }) => replica ?? '').values()];
  const journals = sources.map((entries) => journalOf(entries, order.aliveAt));
  const all = journals
    .flatMap(({ entries }) => entries)
    .toSorted((a, b) => a.wall - b.wall || a.seq - b.seq);
  const ours = record === null ? null : originsOfRecord(all, places, record);
  const isOurs = (origin: string) => ours === null || ours.has(origin);
  const endsAt = Math.max(...journals.map(({ to }) => to));
  const health = new Map<string, Stretch[]>();
  for (const journal of journals) {
    for (const [origin, stretches] of originsOf(journal)) {
      if (isOurs(origin)) health.set(origin, [...(health.get(origin) ?? []), ...stretches]);
    }
  }
  const failures = [...health].flatMap(([origin, stretches]) =>
    merged(stretches.filter(({ word }) => word === 'down')).map(({ from, to, why }) => {
      return { origin, from, to: Math.min(to, endsAt), why };
    }),
  );
  const decisions = decisionsOf(all, places, record);
  const given = { from: since ?? Number.NEGATIVE_INFINITY, to: until ?? Number.POSITIVE_INFINITY };
  const isGiven = since !== null || until !== null;
  const spans = [
    ...failures.filter(({ from, to }) => to >= given.from && from <= given.to),
    ...decisions
      .filter(({ at }) => at >= given.from && at <= given.to)
      .map((d) => ({ from: d.failedAt ?? d.at, to: endOf(d) })),
  ];
  const span = isGiven ? wholeOf(spans) : lastOf(spans);
  if (span === null) return null;
  const inSpan = (at: number) => at >= span.from && at <= span.to;
  const lines = linesOf(all, { from: span.from - AROUND_MS, to: span.to + AROUND_MS }, record);
  return {
    ...{ record, ...span },
    failures: failures.filter(({ from, to }) => to > span.from && from <= span.to),
    health,
    diagnoses: diagnosesOf(all, { from: span.from - AROUND_MS, to: span.to }),
    decisions: decisions.filter(({ at }) => inSpan(at)),
    stays: lines.filter(({ kind }) => kind === 'stay'),
    lines: lines.slice(0, LINES_MOST),
    leftOut: Math.max(0, lines.length - LINES_MOST),
    gaps: merged(journals.flatMap(({ gaps }) => within(gaps, span))),
    pruned: journals.some(({ pruned, from }) => pruned && from > span.from - AROUND_MS),
  };
}

function wholeOf(spans: readonly Span[]): Span | null {
  if (spans.length === 0) return null;
  const from = Math.min(...spans.map((s) => s.from));
  return { from, to: Math.max(...spans.map((s) => s.to)) };
}

/** Of what lies close together, the last. */
function lastOf(spans: readonly Span[]): Span | null {
  const near = merged(spans.map(({ from, to }) => ({ from, to: to + TOGETHER_MS })));
  const last = near.at(-1);
  return last === undefined ? null : { from: last.from, to: last.to - TOGETHER_MS };
}

function originsOfRecord(all: readonly Told[], places: Places, record: Name): ReadonlySet<string> {
  const moves = all.flatMap(({ record: of, data }) => {
    const { from, to } = (data ?? {}) as { from?: unknown; to?: unknown };
    return of === record ? [from, to].filter((one) => typeof one === 'string') : [];
  });
  return new Set([...(places.records[record] ?? []), ...moves]);
}

// ---------------------------------------------------------------- decisions

const evidenceKeys = ['votes', 'candidate', 'diagnosis', 'budget', 'acts', 'replicas'] as const;

function decisionsOf(all: readonly Told[], places: Places, record: Name | null): Decision[] {
  const moves = all.filter(({ kind, record: of }) => {
    const isMove = kind === 'switch' || kind === 'would-switch';
    return isMove && of !== null && (record === null || of === record);
  });
  return moves.map((entry) => {
    const of = entry.record!;
    const next = moves.find(
      ({ wall, seq, record: other }) => other === of && (wall > entry.wall || seq > entry.seq),
    );
    const until = next?.wall ?? Number.POSITIVE_INFINITY;
    const after = all.filter(
      ({ wall, record: other }) => other === of && wall >= entry.wall && wall < until,
    );
    return decisionOf(entry, after, places.ttls[of] ?? {}, next?.wall ?? null);
  });
}

function decisionOf(
  entry: Told,
  after: readonly Told[],
  ttls: Readonly<Record<string, number>>,
  next: number | null,
): Decision {
  const data = (entry.data ?? {}) as Record<string, unknown>;
  const objective = after.find(({ kind, data: d }) => kind === 'objective' && 'kept' in Object(d));
  const parts = partsOf(objective);
  const detectMs = Math.max(0, ...parts.map((p) => p.detectMs));
  const evidence = evidenceKeys.flatMap((key): (readonly [string, string])[] => {
    const text = String(data[key] ?? '');
    return text === '' ? [] : [[key, text]];
  });
  const settled = after.find(({ kind }) => kind === 'settled');
  const { behind = [] } = (settled?.data ?? {}) as { behind?: readonly string[] };
  const vendors = vendorsOf(entry, after, parts, ttls);
  return {
    at: entry.wall,
    record: entry.record!,
    from: (data['from'] as string | null) ?? null,
    to: String(data['to']),
    by: data['kind'] === 'operator' ? 'operator' : 'auto',
    observed: entry.kind === 'would-switch',
    sentence: entry.sentence,
    failedAt: parts.length > 0 && detectMs > 0 ? entry.wall - detectMs : null,
    evidence,
    alternatives: (data['alternatives'] ?? []) as Decision['alternatives'],
    vendors,
    behind: behind.map((provider) => ({ provider, until: visibleAt(after, provider) })),
    objective: objective?.sentence ?? null,
    next,
  };
}

interface Measured {
  readonly provider: string;
  readonly detectMs: number;
  readonly ttlMs: number;
}

function partsOf(entry: Told | undefined): readonly Measured[] {
  const { parts } = (entry?.data ?? {}) as { parts?: readonly Measured[] };
  return parts ?? [];
}

function vendorsOf(
  entry: Told,
  after: readonly Told[],
  parts: readonly Measured[],
  ttls: Readonly<Record<string, number>>,
): VendorTime[] {
  const names = new Set<string>(Object.keys(ttls));
  const times = { written: new Map<string, number>(), visible: new Map<string, number>() };
  for (const { kind, data, wall } of after) {
    const of = kind === 'written' ? times.written : kind === 'visible' ? times.visible : null;
    if (of === null) continue;
    const { provider = '' } = data as { provider?: string };
    names.add(provider);
    if (!of.has(provider)) of.set(provider, wall - entry.wall);
  }
  if (entry.kind === 'would-switch') return [];
  return [...names].toSorted().map((provider) => {
    const visibleMs = times.visible.get(provider) ?? null;
    const part = parts.find((p) => p.provider === provider);
    const ttlMs = part?.ttlMs ?? (ttls[provider] === undefined ? null : 1000 * ttls[provider]);
    const isKnown = visibleMs !== null && ttlMs !== null;
    return {
      provider,
      writtenMs: times.written.get(provider) ?? null,
      visibleMs,
      expiredAt: isKnown ? entry.wall + visibleMs + ttlMs : null,
    };
  });
}

function visibleAt(after: readonly Told[], provider: string): number | null {
  const of = (data: unknown) => (data as { provider?: string }).provider;
  return after.find(({ kind, data }) => kind === 'visible' && of(data) === provider)?.wall ?? null;
}

/** The last cache has let go, or what is known of it. */
function endOf({ at, vendors }: Decision): number {
  const times = vendors.map(({ expiredAt, visibleMs }) => expiredAt ?? at + (visibleMs ?? 0));
  return Math.max(at, ...times);
}

// ---------------------------------------------------------------- what else happened

function diagnosesOf(all: readonly Told[], span: Span): Incident['diagnoses'] {
  return all.flatMap(({ kind, wall, data, sentence }) => {
    const { cloud, diagnosis } = (data ?? {}) as { cloud?: string; diagnosis?: string };
    if (kind !== 'diagnosis' || cloud === undefined || diagnosis === undefined) return [];
    const isIn = wall >= span.from && wall <= span.to;
    return isIn ? [{ at: wall, cloud, word: diagnosis, text: sentence }] : [];
  });
}

function linesOf(all: readonly Told[], { from, to }: Span, record: Name | null): Line[] {
  return all
    .filter((e) => e.wall >= from && e.wall <= to)
    .filter((e) => record === null || e.record === null || e.record === record)
    .map(({ wall, kind, replica = null, record: of, sentence }) => {
      return { at: wall, kind, replica, record: of, text: sentence };
    });
}
