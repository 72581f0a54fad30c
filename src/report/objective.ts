// What is promised to each record's clients: what is predicted for each vendor beside what switches
// took there, promises kept and missed, and where the predictions are going. Pure: the prediction is
// the daemon's, the rest stands in the journal.

import type { Name } from '../core/model.ts';
import type { RecordView } from '../core/view.ts';
import { bare } from '../replay/replay.ts';
import type { Told } from './states.ts';
import { type Section, span } from './text.ts';
import type { Zone } from './zone.ts';

type Part = NonNullable<RecordView['predicted']>['parts'][number];

interface Vendor {
  readonly provider: string;
  /** null: the daemon was not asked. */
  readonly predicted: Part | null;
  /** Medians of the last switches there, from the decision on; null: there was none. */
  readonly took: {
    readonly switches: number;
    readonly writeMs: number;
    readonly visibleMs: number;
  } | null;
  /** What was predicted of writing and becoming visible, by what it took; null: one is not known. */
  readonly ratio: number | null;
}

interface Outcome {
  readonly at: number;
  readonly to: string;
  readonly ms: number;
  readonly objectiveMs: number;
  readonly kept: boolean;
}

interface ObjectiveRow {
  readonly record: Name;
  readonly objectiveMs: number | null;
  readonly predictedMs: number | null;
  readonly worst: string | null;
  readonly vendors: readonly Vendor[];
  readonly kept: number;
  readonly missed: number;
  /** The newest last. */
  readonly outcomes: readonly Outcome[];
  readonly predictions: readonly { readonly at: number; readonly ms: number }[];
  readonly trend: 'rising' | 'falling' | 'steady' | null;
}

/** Switches whose median is taken; outcomes and predictions that are kept. */
const SWITCHES_MOST = 20;
const LINES_MOST = 50;
/** What is less than that is no trend. */
const TREND_SHARE = 0.1;

/** A row a record: those that promise something, or the one that is named. */
export function objectivesOf(
  entries: readonly Told[],
  views: readonly RecordView[],
  only: Name | null,
): ObjectiveRow[] {
  const of = Map.groupBy(entries, ({ record }) => record ?? '');
  const spoken = [...of]
    .filter(([, all]) => all.some(({ kind }) => kind === 'objective'))
    .map(([record]) => record);
  const promised = views.filter(({ objectiveMs }) => objectiveMs !== null).map(({ name }) => name);
  const names = only === null ? [...new Set([...promised, ...spoken])].toSorted() : [only];
  return names.map((name) => {
    return rowOf(name, of.get(name) ?? [], views.find((view) => view.name === name) ?? null);
  });
}

function rowOf(record: Name, entries: readonly Told[], view: RecordView | null): ObjectiveRow {
  const ours = entries.toSorted((a, b) => a.seq - b.seq);
  const outcomes = ours.flatMap(outcomeOf);
  const predictions = ours.flatMap(({ kind, data, wall }) => {
    const { predictedMs } = (data ?? {}) as { predictedMs?: number };
    return kind === 'objective' && predictedMs !== undefined ? [{ at: wall, ms: predictedMs }] : [];
  });
  const predicted = view?.predicted ?? null;
  const times = timesOf(ours);
  const providers = [
    ...new Set([...(predicted?.parts ?? []).map((p) => p.provider), ...times.keys()]),
  ];
  const kept = outcomes.filter((one) => one.kept).length;
  return {
    record,
    objectiveMs: view?.objectiveMs ?? outcomes.at(-1)?.objectiveMs ?? null,
    predictedMs: predicted?.totalMs ?? null,
    worst: predicted?.worst ?? null,
    vendors: providers.toSorted().map((provider) => {
      const part = predicted?.parts.find((p) => p.provider === provider) ?? null;
      return vendorOf(provider, part, times.get(provider) ?? []);
    }),
    ...{ kept, missed: outcomes.length - kept },
    outcomes: outcomes.slice(-LINES_MOST),
    predictions: predictions.slice(-LINES_MOST),
    trend: trendOf([
      ...predictions.map(({ ms }) => ms),
      ...(predicted === null ? [] : [predicted.totalMs]),
    ]),
  };
}

function outcomeOf({ kind, data, wall }: Told): Outcome[] {
  const { kept, ms, objectiveMs, to } = (data ?? {}) as Partial<Outcome>;
  if (kind !== 'objective' || kept === undefined) return [];
  return [{ at: wall, to: to ?? '', ms: ms ?? 0, objectiveMs: objectiveMs ?? 0, kept }];
}

interface Time {
  readonly writeMs: number;
  readonly visibleMs: number;
}

/** By provider what each switch took there, the newest last. */
function timesOf(entries: readonly Told[]): Map<string, Time[]> {
  const written = new Map<string, number>();
  const found = new Map<string, Time[]>();
  for (const { kind, data } of entries) {
    if (kind !== 'written' && kind !== 'visible') continue;
    const { provider, epoch, ms } = data as { provider: string; epoch: number; ms: number };
    const key = `${epoch} ${provider}`;
    const writeMs = written.get(key);
    if (kind === 'written') written.set(key, ms);
    else if (writeMs !== undefined) {
      const times = [...(found.get(provider) ?? []), { writeMs, visibleMs: ms - writeMs }];
      found.set(provider, times.slice(-SWITCHES_MOST));
    }
  }
  return found;
}

function vendorOf(provider: string, predicted: Part | null, times: readonly Time[]): Vendor {
  if (times.length === 0) return { provider, predicted, took: null, ratio: null };
  const writeMs = median(times.map((time) => time.writeMs));
  const visibleMs = median(times.map((time) => time.visibleMs));
  const took = { switches: times.length, writeMs, visibleMs };
  const expected = predicted && predicted.commitMs + predicted.writeMs + predicted.visibleMs;
  const ratio =
    expected === null || writeMs + visibleMs === 0 ? null : expected / (writeMs + visibleMs);
  return { provider, predicted, took, ratio };
}

function median(values: readonly number[]): number {
  // Of two the lower, as the core has it: one outage of a vendor is not half of what is usual.
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? 0;
}

function trendOf(all: readonly number[]): ObjectiveRow['trend'] {
  const [first, last] = [all[0], all.at(-1)];
  if (all.length < 2 || first === undefined || last === undefined) return null;
  if (last > first * (1 + TREND_SHARE)) return 'rising';
  return last < first * (1 - TREND_SHARE) ? 'falling' : 'steady';
}

// ---------------------------------------------------------------- in words

export function objectiveSections(rows: readonly ObjectiveRow[], zone: Zone): Section[] {
  if (rows.length === 0) {
    const cure = 'give a record one: objective: 90s';
    return [{ title: '', lines: [`no record has an objective; ${cure}`] }];
  }
  return rows.map((row) => ({
    title: bare(row.record),
    lines: linesOf(row),
    table: {
      heads: [
        ...['VENDOR', 'DETECTED', 'COMMIT', 'WRITTEN', 'VISIBLE', 'TTL', 'IN ALL'],
        ...['TOOK (MEDIAN)', 'SWITCHES', 'PREDICTED/TOOK'],
      ],
      rows: row.vendors.map(vendorRow),
    },
    items: row.outcomes.slice(-10).map((o) => {
      const word = o.kept ? 'kept' : 'missed';
      return `${zone.stamp(o.at)} to ${o.to}: ${word}, ${span(o.ms)} of ${span(o.objectiveMs)}`;
    }),
  }));
}

function linesOf(row: ObjectiveRow): string[] {
  const { objectiveMs, predictedMs, worst, kept, missed, trend } = row;
  const promise = objectiveMs === null ? 'no objective' : `objective ${span(objectiveMs)}`;
  const expected =
    predictedMs === null
      ? 'no prediction: the daemon was not asked'
      : `predicted ${span(predictedMs)} (${worst})`;
  const word =
    objectiveMs === null || predictedMs === null
      ? ''
      : predictedMs <= objectiveMs
        ? ', within reach'
        : ', OUT OF REACH';
  const trends = trend === null ? '' : `; predictions ${trend}`;
  return [`${promise}, ${expected}${word}; kept ${kept}, missed ${missed}${trends}`];
}

function vendorRow({ provider, predicted: p, took, ratio }: Vendor): string[] {
  const total = p && p.detectMs + p.commitMs + p.writeMs + p.visibleMs + p.ttlMs;
  const isTaken = p?.measured === 0 ? '?' : '';
  return [
    provider,
    ...(p === null
      ? ['-', '-', '-', '-', '-', '-']
      : [
          ...[span(p.detectMs), span(p.commitMs), span(p.writeMs) + isTaken],
          ...[span(p.visibleMs) + isTaken, span(p.ttlMs), span(total!)],
        ]),
    took === null ? '-' : `${span(took.writeMs)} + ${span(took.visibleMs)}`,
    String(took?.switches ?? 0),
    ratio === null ? '-' : ratio.toFixed(2),
  ];
}
