// Probes that are made at once, and how close together: a probe begins, a burst begins, hastens and
// ends, and the other replicas are asked to confirm. Whether there is a reason is for others to say.
// It must never count what comes of it.

import { type CheckState, lossRate, OVERDUE_FACTOR } from './detect.ts';
import type { CheckConfig, CheckId } from './model.ts';
import { countProbe } from './rate.ts';
import {
  type CallReason,
  type Judged,
  jitter,
  note,
  type State,
  type Step,
  type Voter,
} from './state.ts';
import { setDeadline } from './timers.ts';
import { placeOf } from './watched.ts';

/** Confirm probes of one burst at most: a verdict that will not settle goes back to its interval. */
const BURST_MAX = 12;

/** Probes of a burst that an end began which come close together. */
export const EAGER_PROBES = 6;
/** So much closer than in any other doubt, and no closer than this. */
const EAGER_FACTOR = 5;
const EAGER_LEAST_MS = 50;

/** On a path that loses more than this share, haste gains little and costs certainty. */
const EAGER_LOSS = 0.1;

export function launchOfBurst(state: State, cs: CheckState, config: CheckConfig, out: Step): void {
  cs.eager = Math.max(0, cs.eager - 1);
  cs.sure = Math.max(0, cs.sure - 1);
  launch(state, cs, config, out);
}

export function endBurst(cs: CheckState): void {
  [cs.burst, cs.eager, cs.sure] = [0, 0, 0];
}

/** As short as the end of a held connection lets `confirm` be; a lossy path is never hurried. */
export function pauseOf(
  state: State,
  { eager, path }: CheckState,
  { confirmMs }: CheckConfig,
): number {
  if (eager === 0 || lossRate(state.paths.get(path)!.loss) > EAGER_LOSS) return confirmMs;
  return Math.min(confirmMs, Math.max(EAGER_LEAST_MS, confirmMs / EAGER_FACTOR));
}

/** A check has few paths, and walking along them is quicker than a table. */
export function voterOf({ all }: Judged, path: string): Voter | undefined {
  for (const voter of all) if (voter.way.name === path) return voter;
  return undefined;
}

/** The oldest probe under way takes far longer than a pass usually does. */
export function isOverdue(state: State, cs: CheckState, config: CheckConfig): boolean {
  const oldest = cs.pending[0];
  if (oldest === undefined || cs.verdict !== 'up') return false;
  return state.now - oldest >= overdueMs(cs, config);
}

export function callToConfirm(state: State, judged: Judged, out: Step): void {
  // By then the others go on by what they see themselves.
  const isRecent = judged.calledAt >= 0 && state.now - judged.calledAt < restMs(judged.config);
  if (isRecent || judged.config.role === 'reference') return;
  judged.calledAt = state.now;
  call(judged.config.id, 'confirm', out);
}

/** As long as the longest burst, and what it launched last, may take. */
function restMs({ confirmMs, timeoutMs }: CheckConfig): number {
  return BURST_MAX * confirmMs + timeoutMs;
}

/** One effect for all the checks of a step. */
export function call(check: CheckId, why: CallReason, out: Step): void {
  const last = out.effects.at(-1);
  const isSame = last?.kind === 'call' && last.why === why;
  const checks = isSame ? [...last.checks, check] : [check];
  if (isSame) out.effects.pop();
  out.effects.push({ kind: 'call', checks, why });
}

export function burst(state: State, cs: CheckState, afterMs: number): void {
  if (cs.burst > 0) {
    // What was only put off, and has asked nothing yet, puts off nothing that has been seen.
    if (cs.eager === EAGER_PROBES) hasten(state, cs, afterMs);
    return;
  }
  cs.burst = BURST_MAX;
  setDeadline(state.timers, cs.deadlines.confirm, state.now + jitter(state, afterMs, 0.1));
}

export function hasten(
  state: State,
  { deadlines: { confirm } }: CheckState,
  afterMs: number,
): void {
  if (confirm.at > state.now + afterMs) setDeadline(state.timers, confirm, state.now + afterMs);
}

function overdueMs(cs: CheckState, config: CheckConfig): number {
  return Math.max(config.confirmMs, OVERDUE_FACTOR * cs.usualMs);
}

/** Nothing is in doubt about it, by this path or another. */
export function isPlain({ verdict, missed, burst: left }: CheckState, judged: Judged): boolean {
  return verdict === 'up' && judged.verdict === 'up' && missed === 0 && left === 0;
}

export function launch(
  state: State,
  cs: CheckState,
  config: CheckConfig,
  out: Step,
  routine = false,
): void {
  // Probes of one check under way are bounded: more would say nothing that these will not.
  if (cs.pending.length >= config.fall + 5) return;
  cs.pending.push(state.now);
  cs.askedAt = state.now;
  if (countProbe(cs.rate, state.now)) {
    const place = placeOf(config);
    note(out, 'limit', null, `${place} is asked as ever again`, { place, perSecond: null });
  }
  const { check, path } = cs;
  out.effects.push({ kind: 'probe', check, path, at: state.now, routine });
  const overdue = overdueMs(cs, config);
  const isCalm = cs.burst === 0 || cs.sure > 0;
  if (cs.verdict === 'up' && isCalm && overdue < config.timeoutMs) {
    setDeadline(state.timers, cs.deadlines.overdue, state.now + overdue);
  }
}
