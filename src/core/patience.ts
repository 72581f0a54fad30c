// How long a target that is down is waited for: as configured, or as long as its origin usually takes
// to come back by itself, where that is sooner than a switch could help its clients. Absences that
// ended by themselves are remembered by origin, a few of them, and fade within days. It only counts:
// who moves, and when, decide.ts says. It must never wait for less than is configured, nor beyond the
// bound.

import { since } from './behaviour.ts';
import type { Json } from './model.ts';
import { amend, drop, put, type RecordState, type State, type Step } from './state.ts';
import { shownFor } from './ttl.ts';

/** One absence of an origin, from `down` to `up`: when it ended, and how long it was. */
export interface Absence {
  readonly at: number;
  readonly ms: number;
}

/** How long the target in force of a record is waited for once it is down, in milliseconds. */
export interface Patience {
  readonly ms: number;
  /** Why that is more than is configured, for people; null: it is not. */
  readonly why: string | null;
}

/** Where patience is configured, history makes it no longer than this unless another bound is. */
export const PATIENCE_MAX_MS = 60_000;
const ABSENCES_MAX = 20;
/** What an absence says is worth half after so long: two say enough for three days. */
const HALF_LIFE_MS = 3 * 86_400_000;
const FORGOTTEN_MS = 5 * HALF_LIFE_MS;
/** More than so much must say the same, which one alone never does. */
const ENOUGH = 1;
/** What is waited for may take longer than it usually does: by half, and by so long at least. */
const MARGIN = 1.5;
const MARGIN_MS = 10_000;
const KEY = 'absences/';

// ---------------------------------------------------------------- what is remembered

export function absencesOf(docs: Readonly<Record<string, Json>>): Map<string, readonly Absence[]> {
  const found = new Map<string, readonly Absence[]>();
  for (const [key, doc] of Object.entries(docs)) {
    if (!key.startsWith(KEY)) continue;
    const { absences } = doc as unknown as { readonly absences: readonly Absence[] };
    found.set(key.slice(KEY.length), absences.slice(-ABSENCES_MAX));
  }
  return found;
}

/** An origin that was down has come back by itself. Each replica remembers what it saw. */
export function rememberAbsence(
  state: State,
  origin: string,
  downSinceAt: number,
  out: Step,
): void {
  const { now } = state;
  const before = state.absences.get(origin) ?? [];
  const young = before.filter(({ at }) => now - at < FORGOTTEN_MS);
  const absences = [...young, { at: now, ms: now - downSinceAt }].slice(-ABSENCES_MAX);
  state.absences.set(origin, absences);
  put(out, KEY + origin, { absences });
}

/** What is no origin any longer has no history. */
export function forgetAbsences(state: State, out: Step): void {
  for (const origin of [...state.absences.keys()]) {
    if (state.origins.has(origin)) continue;
    state.absences.delete(origin);
    drop(out, KEY + origin);
  }
}

// ---------------------------------------------------------------- what it says

/** From a decision until the last cache can have let go, as last measured, in milliseconds. */
export function helpsWithinMs(state: State, r: RecordState): number {
  const times = [...r.cells.values()].map((cell) => {
    const { writeMs = 0, visibleMs = 0 } = state.measured.get(cell.provider) ?? {};
    return writeMs + visibleMs + 1000 * shownFor(state, r, cell);
  });
  return Math.max(0, ...times);
}

/** The most that is waited for a record's targets, whatever their histories say. */
export function boundOf({ config }: RecordState): number {
  const { patienceMs, patienceMaxMs } = config;
  // Who wants no patience at all gets none unasked.
  const max = patienceMaxMs ?? (patienceMs === 0 ? 0 : PATIENCE_MAX_MS);
  return Math.max(patienceMs, max);
}

/** The patience in force for a target of a record, whether that is in force or not. */
export function patienceOf(state: State, r: RecordState, origin: string | null): Patience {
  const { patienceMs } = r.config;
  const known = origin === null ? undefined : state.absences.get(origin);
  const max = boundOf(r);
  const plain = { ms: patienceMs, why: null };
  if (known === undefined || max <= patienceMs || !since(state.config, 2)) return plain;
  const helpsMs = helpsWithinMs(state, r);
  const waitMs = usualMs(state.now, known, { patienceMs, helpsMs, max });
  if (waitMs === patienceMs) return plain;
  const ms = Math.round(Math.min(max, Math.max(MARGIN * waitMs, waitMs + MARGIN_MS)));
  return { ms, why: inWords(state.now, known, { patienceMs, helpsMs, ms }) };
}

/**
 * When patience with a target is over; null: it is not down. As configured it counts from `down`; what a
 * history adds counts from when the target began to fail, so that it costs no more than it says.
 */
export function patienceEndsAt(
  {
    downSinceAt,
    failingSinceAt,
  }: Readonly<Record<'downSinceAt' | 'failingSinceAt', number | null>>,
  configuredMs: number,
  { ms, why }: Patience,
): number | null {
  if (downSinceAt === null) return null;
  const plain = downSinceAt + configuredMs;
  return why === null ? plain : Math.max(plain, (failingSinceAt ?? downSinceAt) + ms);
}

/**
 * The longest that it pays to wait: while an absence that has lasted so far usually ends before a
 * switch would help, and within the bound.
 */
function usualMs(
  now: number,
  known: readonly Absence[],
  { patienceMs, helpsMs, max }: Readonly<Record<'patienceMs' | 'helpsMs' | 'max', number>>,
): number {
  const sorted = known.toSorted((a, b) => a.ms - b.ms);
  const worth = (all: readonly Absence[]) =>
    all.reduce((sum, { at }) => sum + 2 ** -((now - at) / HALF_LIFE_MS), 0);
  for (let waitMs = patienceMs; ; ) {
    const longer = sorted.filter(({ ms }) => ms > waitMs);
    const limit = Math.min(max, waitMs + helpsMs);
    const soon = longer.filter(({ ms }) => ms <= limit);
    const says = worth(soon);
    if (says <= ENOUGH || says <= worth(longer) - says) return waitMs;
    waitMs = soon[0]!.ms;
  }
}

/** `3 absences in the last 2 h ended by themselves after 18 to 22 s; a switch helps after 63 s`. */
function inWords(
  now: number,
  known: readonly Absence[],
  { patienceMs, helpsMs, ms }: Readonly<Record<'patienceMs' | 'helpsMs' | 'ms', number>>,
): string {
  const told = known.filter((one) => one.ms > patienceMs && one.ms <= ms);
  const times = told.map((one) => one.ms);
  const [least, most] = [Math.min(...times), Math.max(...times)].map((t) => Math.round(t / 1000));
  const range = least === most ? `${least} s` : `${least} to ${most} s`;
  const hours = Math.max(1, Math.ceil((now - told[0]!.at) / 3_600_000));
  const span = hours <= 48 ? `${hours} h` : `${Math.ceil(hours / 24)} days`;
  const helps = Math.round(helpsMs / 1000);
  return (
    `${told.length} absences in the last ${span} ended by themselves after ${range}; ` +
    `a switch helps clients after ${helps} s`
  );
}

// ---------------------------------------------------------------- what it cost

/**
 * The target that the last switch left was back before that switch was to help: it was needless, and
 * is not held against a real outage (decide.ts). That its vendors were slower than foreseen does not
 * make it so, and who has not decided it does not know.
 */
export function noteNeedless(state: State, r: RecordState, out: Step): void {
  if (!since(state.config, 2)) return;
  const { left, decidedAt, switches, needless } = r.doc;
  if (left === null || decidedAt === null || switches.at(-1) !== decidedAt) return;
  const last = state.absences.get(left)?.at(-1);
  if (last === undefined || needless.at(-1) === decidedAt) return;
  const wasDown = last.at > decidedAt && last.at - last.ms <= decidedAt;
  const foreseen = r.helps?.decidedAt === decidedAt ? r.helps.at : decidedAt;
  if (!wasDown || last.at > foreseen) return;
  amend(out, r, { needless: [...needless.filter((at) => switches.includes(at)), decidedAt] });
}
