// Observations to verdicts, verdicts to health. The counters: `fall` failures in a row make a
// verdict `down`, `rise` passes in a row make it `up`, silence for three intervals makes it
// `unknown`. A blind observation is no vote. It never decides what to do about a verdict.
//
// Confirm probes overlap, so observations may end out of order. Evidence is ordered by when the
// probe began: one that began before the latest contrary one is history and breaks no run.

import type { CheckConfig, Health, Observation, Verdict } from './model.ts';

/** One check on one path. Owned and changed in place by the engine. */
export interface CheckState {
  readonly key: string;
  readonly check: string;
  readonly path: string;
  verdict: Verdict;
  sinceAt: number;
  /** Failures and passes in a row; one of the two is 0. */
  fails: number;
  passes: number;
  passBeganAt: number;
  failBeganAt: number;
  /** When the last observation that was a vote ended. */
  heardAt: number;
  /** When the latest pass began: what rule 3 asks of a target. */
  last: Observation | null;
  /** Moving average of how long a pass takes, in milliseconds; 0 before the first. */
  usualMs: number;
  everFailed: boolean;
  /** Start times of the probes under way. */
  readonly pending: number[];
  /** Confirm probes still allowed in this burst; 0: no burst. */
  burst: number;
}

export function checkState(key: string, check: string, path: string, now: number): CheckState {
  return {
    key,
    check,
    path,
    verdict: 'unknown',
    sinceAt: now,
    fails: 0,
    passes: 0,
    passBeganAt: -1,
    failBeganAt: -1,
    heardAt: now,
    last: null,
    usualMs: 0,
    everFailed: false,
    pending: [],
    burst: 0,
  };
}

/** Folds one observation in; true when the verdict changed. O(1). */
export function observe(state: CheckState, config: CheckConfig, o: Observation): boolean {
  state.last = o;
  if (o.outcome === 'blind') return false;
  state.heardAt = o.endedAt;
  if (o.outcome === 'pass') {
    const took = o.endedAt - o.startedAt;
    state.usualMs = state.usualMs === 0 ? took : state.usualMs + (took - state.usualMs) / 8;
    if (o.startedAt > state.passBeganAt) state.passBeganAt = o.startedAt;
    if (o.startedAt < state.failBeganAt) return false;
    state.fails = 0;
    state.passes++;
    return state.verdict !== 'up' && state.passes >= config.rise && settle(state, 'up', o.endedAt);
  }
  state.everFailed = true;
  if (o.startedAt > state.failBeganAt) state.failBeganAt = o.startedAt;
  if (o.startedAt < state.passBeganAt) return false;
  state.passes = 0;
  state.fails++;
  return state.verdict !== 'down' && state.fails >= config.fall && settle(state, 'down', o.endedAt);
}

/** How long after its last vote a verdict is still worth something, in milliseconds. */
export function staleAfterMs(config: CheckConfig): number {
  return 3 * config.intervalMs + config.timeoutMs;
}

/** Makes a verdict `unknown` when nothing has been heard for too long; true when it changed. */
export function grow(state: CheckState, config: CheckConfig, now: number): boolean {
  if (state.verdict === 'unknown' || now - state.heardAt <= staleAfterMs(config)) return false;
  return forget(state, now);
}

/** Back to `unknown`, with no run counted: after a pause of the process, or silence. */
export function forget(state: CheckState, now: number): boolean {
  state.fails = 0;
  state.passes = 0;
  return state.verdict !== 'unknown' && settle(state, 'unknown', now);
}

/** True while probes beyond the usual ones should confirm what the verdict is. */
export function isDoubtful(state: CheckState): boolean {
  return state.verdict === 'unknown' || (state.verdict === 'up' && state.fails > 0);
}

/**
 * One verdict from those of a check's paths: a majority of those that can say something, and at
 * least two wherever two are configured (design, section 4).
 */
export function quorum(verdicts: readonly Verdict[]): Verdict {
  let up = 0;
  let down = 0;
  for (const v of verdicts) {
    if (v === 'up') up++;
    else if (v === 'down') down++;
  }
  const need = quorumSize(up + down, verdicts.length);
  return down >= need ? 'down' : up >= need ? 'up' : 'unknown';
}

/** Votes needed among `sighted` paths of `configured` ones. At least one. */
export function quorumSize(sighted: number, configured: number): number {
  return Math.max(Math.floor(sighted / 2) + 1, Math.min(2, configured));
}

/** An origin is down when one required check is, up when all are, else unknown. */
export function healthOf(required: readonly Verdict[]): Health {
  if (required.includes('down')) return 'down';
  return required.length > 0 && required.every((v) => v === 'up') ? 'up' : 'unknown';
}

function settle(state: CheckState, verdict: Verdict, at: number): true {
  state.verdict = verdict;
  state.sinceAt = at;
  return true;
}
