// What a record promises its clients, and what is to be expected of it: how long writing and becoming
// visible take at each provider, as measured; what that comes to with detection and TTL; and after a
// switch whether the promise was kept. For people alone: nothing of it moves a record.

import type { Json } from './model.ts';
import { patienceOf } from './patience.ts';
import { detectionMs } from './rate.ts';
import { type Cell, follows, note, put, type RecordState, type State, type Step } from './state.ts';
import { shownFor } from './ttl.ts';

/** Kept for each provider; their median is what is expected. */
const SAMPLES_MAX = 9;
/** One of each provider in so long: what moves together was measured once. */
const SAMPLE_EVERY_MS = 1_000;
/** One that took longer says nothing of what is usual. */
const SAMPLE_MOST_MS = 3_600_000;
/** Taken for granted where nothing was measured yet: writing within one call, and this. */
const VISIBLE_ASSUMED_MS = 5_000;
/** A prediction is journalled again when it has changed by this share. */
const NEWS_SHARE = 0.1;

interface Sample {
  /** From the decision until the vendor had it, and from there until all its servers gave it. */
  readonly writeMs: number;
  readonly visibleMs: number;
  readonly at: number;
}

/** What was measured at one provider: its document in the store, and the medians. */
export interface Measured {
  readonly samples: readonly Sample[];
  readonly writeMs: number;
  readonly visibleMs: number;
}

/** What clients of one provider wait for, in milliseconds. */
interface Part {
  readonly provider: string;
  readonly detectMs: number;
  /** 0 where this daemon is alone. */
  readonly commitMs: number;
  readonly writeMs: number;
  readonly visibleMs: number;
  readonly ttlMs: number;
}

interface PredictedPart extends Part {
  /** How many switches writing and visible were measured in; 0: taken for granted. */
  readonly measured: number;
}

export interface Predicted {
  /** Of the worst provider. */
  readonly totalMs: number;
  readonly worst: string;
  readonly parts: readonly PredictedPart[];
}

/** A switch whose clients have not all followed yet. */
export interface Promised {
  /** Since when clients were to be led elsewhere: the first failure, or the decision. */
  readonly sinceAt: number;
  readonly from: string | null;
  readonly why: string;
}

// ---------------------------------------------------------------- what is measured

export function measuredOf(docs: Readonly<Record<string, Json>>): Map<string, Measured> {
  const found = new Map<string, Measured>();
  for (const [key, doc] of Object.entries(docs)) {
    if (!key.startsWith('measured/')) continue;
    const { samples } = doc as unknown as { readonly samples: readonly Sample[] };
    found.set(key.slice(9), summed(samples.slice(-SAMPLES_MAX)));
  }
  return found;
}

function summed(samples: readonly Sample[]): Measured {
  const of = (key: 'writeMs' | 'visibleMs') => median(samples.map((sample) => sample[key]));
  return { samples, writeMs: of('writeMs'), visibleMs: of('visibleMs') };
}

/** 0 of none; of two the lower, or one outage of a vendor would count for half of it. */
function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? 0;
}

/** One record is visible at one provider by our own hand: how long that took is remembered. */
export function measure(state: State, r: RecordState, cell: Cell, out: Step): void {
  const { decidedAt, turns } = r.doc;
  // Where vendors go one after the other, the later ones waited for their turn.
  if (turns !== null) return;
  if (!cell.wrote || decidedAt === null || cell.writtenAt === null || cell.visibleAt === null)
    return;
  const sample: Sample = {
    writeMs: Math.max(0, cell.writtenAt - decidedAt),
    visibleMs: Math.max(0, cell.visibleAt - cell.writtenAt),
    at: state.now,
  };
  if (sample.writeMs + sample.visibleMs > SAMPLE_MOST_MS) return;
  const before = state.measured.get(cell.provider)?.samples ?? [];
  const last = before.at(-1);
  if (last !== undefined && state.now - last.at < SAMPLE_EVERY_MS) return;
  const samples = [...before, sample].slice(-SAMPLES_MAX);
  state.measured.set(cell.provider, summed(samples));
  put(out, `measured/${cell.provider}`, { samples });
}

/** One transaction of the group's has taken so long. It is no event: nothing is decided by it. */
export function measureCommit(state: State, ms: number): void {
  state.commits.push(ms);
  if (state.commits.length > SAMPLES_MAX) state.commits.shift();
}

// ---------------------------------------------------------------- what is predicted

/** What clients of a record have to expect when the target in force fails; null before adoption. */
export function predict(state: State, r: RecordState): Predicted | null {
  const detectMs = detectedWithin(state, r);
  const parts = [...r.cells.values()].map((cell) => partOf(state, r, cell, detectMs));
  const worst = worstOf(parts);
  if (worst === null) return null;
  return { totalMs: totalOf(worst), worst: worst.provider, parts };
}

/** Until a failure of the target in force, or else of the first, is judged and patience is over. */
function detectedWithin(state: State, r: RecordState): number {
  const name = r.doc.target ?? r.config.targets[0]?.origin ?? '';
  const patienceMs = patienceOf(state, r, name).ms;
  const own = state.origins.get(name)?.own ?? [];
  const rate = state.rates.get(name);
  if (rate === undefined || own.length === 0) return patienceMs;
  const times = own.map(({ config, all }) => {
    const here = all.filter(({ way }) => way.replica === null).length;
    return detectionMs(rate, config, all.length, here).slowedMs;
  });
  return patienceMs + Math.min(...times);
}

function partOf(state: State, r: RecordState, cell: Cell, detectMs: number): PredictedPart {
  const { provider } = cell;
  const known = state.measured.get(provider);
  const commitMs = usualCommitMs(state);
  const assumed = state.config.lanes[provider]?.callTimeoutMs ?? 0;
  return {
    provider,
    detectMs,
    commitMs,
    // What was measured as writing began with the decision, and so holds the commit.
    writeMs: known === undefined ? assumed : Math.max(0, known.writeMs - commitMs),
    visibleMs: known?.visibleMs ?? VISIBLE_ASSUMED_MS,
    ttlMs: 1000 * shownFor(state, r, cell),
    measured: known?.samples.length ?? 0,
  };
}

function usualCommitMs(state: State): number {
  return state.group === null ? 0 : Math.round(median(state.commits));
}

function totalOf({ detectMs, commitMs, writeMs, visibleMs, ttlMs }: Part): number {
  return detectMs + commitMs + writeMs + visibleMs + ttlMs;
}

function worstOf<P extends Part>(parts: readonly P[]): P | null {
  return parts.reduce<P | null>(
    (worst, part) => (worst === null || totalOf(part) > totalOf(worst) ? part : worst),
    null,
  );
}

/** At each audit: a prediction that is news goes into the journal, so that its trend can be seen. */
export function foretell(state: State, out: Step): void {
  if (follows(state)) return;
  for (const r of state.records.values()) {
    const { objectiveMs } = r.config;
    // What it is for an hour is no trend.
    const isUsual = r.doc.prepared === null && r.doc.drill === null;
    const p = objectiveMs === undefined || !isUsual ? null : predict(state, r);
    if (objectiveMs === undefined || p === null) continue;
    const within = p.totalMs <= objectiveMs;
    const was = r.foretold;
    const isNear = was !== null && Math.abs(p.totalMs - was.ms) <= NEWS_SHARE * was.ms;
    if (isNear && was.objectiveMs === objectiveMs && within === was.ms <= objectiveMs) continue;
    r.foretold = { ms: p.totalMs, objectiveMs };
    const says = `${seconds(p.totalMs)} predicted, ${seconds(objectiveMs)} promised`;
    const sentence = `${r.name}: objective ${within ? 'within reach' : 'out of reach'}: ${says}`;
    const { totalMs, worst, parts } = p;
    const data = { predictedMs: totalMs, objectiveMs, within, worst, parts: parts.map(plain) };
    note(out, 'objective', r.name, `${sentence} (${inWords(worstOf(parts)!)})`, data);
  }
}

// ---------------------------------------------------------------- what became of it

/** A switch begins: since when its clients are to be led elsewhere. */
export function promise(state: State, r: RecordState, from: string | null, why: string): void {
  r.promised = null;
  if (r.config.mode === 'observe' || r.config.objectiveMs === undefined) return;
  const sinceAt = why === 'target-down' ? firstFailure(state, from ?? '') : state.now;
  r.promised = { sinceAt, from, why };
}

/** When what made an origin `down` began; now where nothing of it is known. */
function firstFailure(state: State, name: string): number {
  const origin = state.origins.get(name);
  let first = origin?.downSinceAt ?? state.now;
  for (const { verdict, all } of origin?.required ?? []) {
    if (verdict !== 'down') continue;
    for (const { cs } of all) if (cs.missed > 0) first = Math.min(first, cs.missedSinceAt);
  }
  return first;
}

/**
 * Kept, once every provider is visible: the last cache lets go of the old answer in time. Missed,
 * when it does not, or when the time is over and a provider has not followed.
 */
export function judgePromise(state: State, r: RecordState, out: Step): void {
  const { promised } = r;
  const { objectiveMs } = r.config;
  if (promised === null) return;
  // A move vendor by vendor takes its time on purpose, and promises nothing.
  if (objectiveMs === undefined || r.doc.decidedAt === null || r.doc.turns !== null) {
    r.promised = null;
    return;
  }
  // Nothing waits for what is held.
  const cells = [...r.cells.values()].filter((cell) => !cell.held);
  const behind = cells.filter((cell) => cell.visibleAt === null).map((cell) => cell.provider);
  if (behind.length > 0 && state.now <= dueAt(promised, objectiveMs)) return;
  r.promised = null;
  const parts = cells.map((cell) => actual(state, r.doc.decidedAt!, promised, cell));
  const worst = worstOf(parts);
  if (worst === null) return;
  const ms = totalOf(worst);
  const kept = behind.length === 0 && ms <= objectiveMs;
  const late = behind.length === 0 ? inWords(worst) : `behind: ${behind.join(', ')}`;
  const took =
    behind.length === 0 ? seconds(ms) : `more than ${seconds(state.now - promised.sinceAt)}`;
  const sentence =
    `${r.name}: objective ${kept ? 'kept' : 'missed'}: ${took} of ${seconds(objectiveMs)} ` +
    `until the last client can follow to ${r.doc.target} (${late})`;
  const { from, why } = promised;
  const about = { from, to: r.doc.target, why, epoch: r.doc.marker?.epoch ?? 0 };
  const data = { ms, objectiveMs, kept, ...about, behind, parts: parts.map(plain) };
  note(out, 'objective', r.name, sentence, data);
}

/** When a switch under way is looked at again for its promise; null: it is not. */
export function promiseDueAt(r: RecordState): number | null {
  const { promised, config } = r;
  if (promised === null || config.objectiveMs === undefined) return null;
  return dueAt(promised, config.objectiveMs) + 1;
}

function dueAt({ sinceAt }: Promised, objectiveMs: number): number {
  return sinceAt + objectiveMs;
}

/** What clients of one provider waited for; of one that is behind, so far. */
function actual(state: State, decidedAt: number, { sinceAt }: Promised, cell: Cell): Part {
  const { provider, writtenAt, visibleAt, oldTtl } = cell;
  const commitMs = usualCommitMs(state);
  const writtenMs = Math.max(0, (writtenAt ?? state.now) - decidedAt);
  return {
    provider,
    detectMs: Math.max(0, decidedAt - sinceAt),
    commitMs: Math.min(commitMs, writtenMs),
    writeMs: Math.max(0, writtenMs - commitMs),
    visibleMs: writtenAt === null ? 0 : Math.max(0, (visibleAt ?? state.now) - writtenAt),
    ttlMs: 1000 * oldTtl,
  };
}

function plain(part: Part): { readonly [key: string]: Json } {
  return { ...part };
}

function inWords(p: Part): string {
  const commit = p.commitMs > 0 ? `committed ${seconds(p.commitMs)}, ` : '';
  return (
    `${p.provider}: detected ${seconds(p.detectMs)}, ${commit}written ${seconds(p.writeMs)}, ` +
    `visible ${seconds(p.visibleMs)}, TTL ${seconds(p.ttlMs)}`
  );
}

/** `1.2 s`, `90 s`. */
function seconds(ms: number): string {
  return `${Number((ms / 1000).toFixed(ms < 100_000 ? 1 : 0))} s`;
}
