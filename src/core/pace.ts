// How long whatever has failed is left alone: a record, a zone or a whole lane, all by one rule. It
// only counts; what is tried, and when there is something to try, others say.

import type { Fault, FaultKind } from './model.ts';
import { jitter, type Rest, type State } from './state.ts';

/** A switch ends when every lane in reach is visible, or after this (rule 16). */
export const SWITCH_END_MS = 30_000;

/** A switch that is under way is retried at most so far apart (design, section 5). */
export const SWITCH_RETRY_MS = 3_000;

export const IDLE_RETRY_MS = 300_000;

const AUTH_RETRY_MS = 30_000;

/** A vendor may ask to be left alone, but not for longer than this. */
const ASKED_CAP_MS = 300_000;

/** Full-jitter exponential back-off from 250 ms, never above the cap. */
export function backoff(state: State, failures: number, capMs: number): number {
  const ceiling = Math.min(capMs, 250 * 2 ** Math.min(failures, 20));
  return jitter(state, ceiling * 0.75, 0.25);
}

/** Slow, and the same for ever: refused keys may be the vendor's outage (rule 17). */
export function authRetryMs(state: State): number {
  return jitter(state, AUTH_RETRY_MS * 0.85, 0.15);
}

/** What is left alone for longer, first. */
const gravity = {
  'auth-suspect': 5,
  throttled: 4,
  unavailable: 3,
  uncertain: 2,
  rejected: 1,
  conflict: 0,
} satisfies Readonly<Record<FaultKind, number>>;

/** Of two faults met in one call at one place, the one that asks for more patience. */
export function graver(known: Fault | null, other: Fault): Fault {
  if (known === null) return other;
  const more = gravity[other.kind] - gravity[known.kind] || askedMs(other) - askedMs(known);
  return more > 0 ? other : known;
}

/** How long the vendor asked to be left alone, within reason. */
export function askedMs(fault: Fault): number {
  return Math.min(fault.retryAfterMs ?? 0, ASKED_CAP_MS);
}

/** Lays to rest a lane or a zone that has failed once more, by a call that began then. */
export function layToRest(
  state: State,
  one: Rest,
  fault: Fault,
  call: { readonly startedAt: number; readonly timeoutMs: number; readonly urgent: boolean },
): void {
  one.failures++;
  let waitMs = backoff(state, one.failures, call.urgent ? SWITCH_RETRY_MS : IDLE_RETRY_MS);
  if (fault.kind === 'auth-suspect') waitMs = authRetryMs(state);
  // A lost reply is read back at once: nothing else may be done before (rule 15).
  if (fault.kind === 'uncertain' && one.failures === 1) waitMs = 0;
  // Counted from the start of the call, so that a hanging vendor is still tried at this pace; no
  // further back than a call may last, or a reply met after a pause of ours would be retried at once.
  const beganAt = Math.max(call.startedAt, state.now - call.timeoutMs);
  const soonest = Math.max(state.now + askedMs(fault), state.now + 50);
  const urgentMs = fault.kind === 'auth-suspect' ? waitMs : Math.min(waitMs, SWITCH_RETRY_MS);
  one.retryAt = Math.max(soonest, beganAt + waitMs);
  one.urgentAt = Math.max(soonest, beganAt + urgentMs);
}
