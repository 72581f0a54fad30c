// Held connections that have ended: what that means is asked at once. An end is no evidence: nothing
// of it is counted until a probe has failed, and what it may ask has an allowance of its own. It must
// never use what doubt that has seen a failure needs.

import {
  burst,
  callToConfirm,
  EAGER_PROBES,
  endBurst,
  hasten,
  launchOfBurst,
  pauseOf,
  voterOf,
} from './burst.ts';
import type { CheckState } from './detect.ts';
import type { CheckConfig } from './model.ts';
import { mayAskOfEnd } from './rate.ts';
import {
  type End,
  type Judged,
  jitter,
  type State,
  type Step,
  takeTokens,
  type Voter,
} from './state.ts';
import { setDeadline } from './timers.ts';

/** Of such a burst, how many come whatever is seen. */
const EAGER_SURE = 2;

/** Ends so soon after a start or a reload ask for nothing. */
const ENDS_UNHEARD_MS = 30_000;

/** More ends within a second are a proxy's or a network's: each is looked at by its own path. */
const ENDS_APART = 16;

/** So is each of a check of which so many in turn meant nothing; one is forgotten in so long. */
const VAIN_ENDS = 3;
const VAIN_MOST = 6;
const VAIN_MEMORY_MS = 600_000;

/** Of the budget of confirm probes, what is not for ends. */
const ENDED_SHARE = 0.5;

/** Nothing has failed, but a connection has ended: that has an allowance of its own. */
export function askOfEnd(state: State, cs: CheckState, config: CheckConfig, out: Step): void {
  const budget = state.eyes?.confirm ?? state.config.confirm;
  const isFree = state.confirm.tokens >= budget.burst * ENDED_SHARE + 1;
  let pauseMs = config.confirmMs;
  cs.burst--;
  if (isFree && mayAskOfEnd(cs.rate, state.now)) {
    takeTokens(state.confirm, budget, state.now, 1);
    launchOfBurst(state, cs, config, out);
    pauseMs = pauseOf(state, cs, config);
  }
  if (cs.burst === 0) endBurst(cs);
  else setDeadline(state.timers, cs.deadlines.confirm, state.now + jitter(state, pauseMs, 0.1));
}

/**
 * Held connections have ended: what that means is asked at once, by all paths of the check; it is no
 * evidence, and nothing is counted until a probe has failed. Where ends are many, or have meant
 * nothing of late, only the path is asked whose connection it was. What the budget does not hold just
 * now comes when it does, the most preferred first, or by the clock.
 */
export function onEnded(state: State, ends: readonly End[], out: Step): void {
  // What the paths usually lose is not known yet, and without it haste may be wrong.
  if (state.now - state.configuredAt < ENDS_UNHEARD_MS) return;
  if (state.now - state.ends.sinceAt >= 1000) {
    [state.ends.count, state.ends.sinceAt] = [0, state.now];
  }
  state.ends.count += ends.length;
  const isMass = state.ends.count > ENDS_APART;
  const budget = state.eyes?.confirm ?? state.config.confirm;
  takeTokens(state.confirm, budget, state.now, 0);
  let free = state.confirm.tokens - budget.burst * ENDED_SHARE;
  for (const { judged, voter } of inOrder(state, ends)) {
    const { config } = judged;
    const { cs } = voter;
    if (cs.eager > 0) continue;
    const isVain = countEnd(state, judged);
    const few = isMass || isVain;
    const asked = few ? [voter] : judged.all.filter((v) => v.cs.hearsay === null && !v.way.blind);
    const sure = few ? 1 : EAGER_SURE;
    free -= asked.length * sure;
    const afterMs = free >= 0 ? 0 : (-free / budget.perSecond) * 1000;
    // By then the clock has asked.
    if (afterMs > config.intervalMs) continue;
    if (!few && state.eyes !== null) callToConfirm(state, judged, out);
    for (const v of asked) hurry(state, v.cs, sure, afterMs);
  }
}

/** Those of checks that are up, by paths of our own that see; the most preferred first. */
function inOrder(state: State, ends: readonly End[]): { judged: Judged; voter: Voter }[] {
  const all = ends.flatMap(({ check, path }) => {
    const judged = state.judged.get(check);
    const voter = judged === undefined ? undefined : voterOf(judged, path);
    if (judged?.verdict !== 'up' || voter === undefined) return [];
    if (voter.way.blind || voter.cs.hearsay !== null) return [];
    return [{ judged, voter, place: preference(state, judged.config.origin) }];
  });
  return all.sort((a, b) => a.place - b.place);
}

/** 0: in force for some record; then by its place among the targets; last: a target of none. */
function preference(state: State, origin: string | null): number {
  let best = Number.MAX_SAFE_INTEGER;
  for (const name of state.origins.get(origin ?? '')?.records ?? []) {
    const { doc, config } = state.records.get(name)!;
    if (doc.target === origin) return 0;
    best = Math.min(best, 1 + config.targets.findIndex((t) => t.origin === origin));
  }
  return best;
}

/** One more end, in vain until it is down; whether those of late were, each of them. */
function countEnd({ now }: State, judged: Judged): boolean {
  const { endedAt, sinceAt, vain } = judged;
  const forgotten = Math.floor((now - endedAt) / VAIN_MEMORY_MS);
  const left = sinceAt > endedAt ? 0 : Math.max(0, vain - forgotten);
  judged.vain = Math.min(VAIN_MOST, left + 1);
  judged.endedAt = now;
  return left >= VAIN_ENDS;
}

/** Begins a burst of probes close together, or makes one that is under way such a burst. */
function hurry(state: State, cs: CheckState, sure: number, afterMs: number): void {
  if (cs.burst > 0) hasten(state, cs, afterMs);
  else burst(state, cs, afterMs);
  [cs.eager, cs.sure] = [EAGER_PROBES, sure];
}
