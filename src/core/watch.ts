// When to probe what, and what the answers make of an origin's health. Regular probes keep their
// phase; the first failure, or the first probe that takes far longer than usual, starts a burst
// that confirms or clears it (design, section 4). It never moves anything: it says which records
// have a new situation to look at.

import {
  type CheckState,
  checkState,
  forget,
  grow,
  healthOf,
  isDoubtful,
  observe,
  quorum,
} from './detect.ts';
import type { CheckConfig, Health, Name, Observation, Verdict } from './model.ts';
import { jitter, note, type OriginState, type State, type Step, takeTokens } from './state.ts';
import { clearTimer, setTimer } from './timers.ts';

const NOBODY: readonly Name[] = [];
/** Confirm probes of one burst at most: a verdict that will not settle goes back to its interval. */
const BURST_MAX = 12;
/** A probe is overdue when it takes this many times what a pass usually takes. */
const OVERDUE_FACTOR = 4;
/** Regular probes at a start are spread by this, up to the interval. */
const START_SPREAD_MS = 5;

export function checkKey(check: string, path: string): string {
  return `${check}@${path}`;
}

/** Adds the checks of the configuration that are not watched yet; drops those that are gone. */
export function watchChecks(state: State): void {
  const wanted = new Set<string>();
  const all = Object.values(state.config.checks);
  const count = all.reduce((sum, c) => sum + c.paths.length, 0);
  let index = 0;
  for (const check of all) {
    for (const path of check.paths) {
      const key = checkKey(check.id, path);
      wanted.add(key);
      const spread = Math.min(check.intervalMs, count * START_SPREAD_MS);
      const at = state.now + Math.floor((index++ / count) * spread);
      if (state.checks.has(key)) continue;
      state.checks.set(key, checkState(key, check.id, path, state.now));
      setTimer(state.timers, `p:${key}`, at);
    }
  }
  for (const key of state.checks.keys()) {
    if (wanted.has(key)) continue;
    state.checks.delete(key);
    for (const timer of ['p:', 'f:', 'h:']) clearTimer(state.timers, timer + key);
  }
}

/** The regular probe of one check is due. */
export function onInterval(state: State, key: string, out: Step): readonly Name[] {
  const cs = state.checks.get(key);
  if (cs === undefined) return NOBODY;
  const config = state.config.checks[cs.check]!;
  setTimer(state.timers, `p:${key}`, state.now + config.intervalMs);
  launch(state, cs, config, out);
  return grow(cs, config, state.now) ? rejudge(state, config.origin, out) : NOBODY;
}

/** The next probe of a confirm burst is due. */
export function onConfirm(state: State, key: string, out: Step): readonly Name[] {
  const cs = state.checks.get(key);
  if (cs === undefined || cs.burst === 0) return NOBODY;
  const config = state.config.checks[cs.check]!;
  if (!isOpen(state, cs, config)) {
    cs.burst = 0;
    return NOBODY;
  }
  const enough = cs.fails + cs.pending.length >= Math.max(config.fall, config.rise);
  if (!enough && takeTokens(state.confirm, state.config.confirm, state.now, 1)) {
    cs.burst--;
    launch(state, cs, config, out);
  }
  setTimer(state.timers, `f:${key}`, state.now + jitter(state, config.confirmMs, 0.1));
  return NOBODY;
}

/** A probe has been under way for far longer than usual: confirm already. */
export function onOverdue(state: State, key: string): readonly Name[] {
  const cs = state.checks.get(key);
  if (cs !== undefined && cs.pending.length > 0) startBurst(state, cs, 0);
  return NOBODY;
}

/** Folds one observation in; the records whose situation it changes. */
export function onObservation(
  state: State,
  check: string,
  path: string,
  o: Observation,
  out: Step,
): readonly Name[] {
  const cs = state.checks.get(checkKey(check, path));
  if (cs === undefined) return NOBODY;
  const config = state.config.checks[check]!;
  const at = cs.pending.indexOf(o.startedAt);
  if (at >= 0) cs.pending.splice(at, 1);
  const neverFailed = !cs.everFailed;
  const changed = observe(cs, config, o);
  if (neverFailed && cs.everFailed) out.docs.set(`red/${cs.key}`, true);
  if (isDoubtful(cs) && o.outcome !== 'blind') {
    startBurst(state, cs, config.confirmMs / 2);
  }
  if (changed) return rejudge(state, config.origin, out);
  const origin = state.origins.get(config.origin)!;
  return o.outcome === 'pass' && origin.waiting.size > 0 ? [...origin.waiting] : NOBODY;
}

/** Probes every required check of an origin at once: rule 3 wants passes begun after a decision. */
export function probeFresh(state: State, origin: string, out: Step): void {
  for (const id of state.origins.get(origin)?.checks ?? []) {
    const config = state.config.checks[id]!;
    if (config.advisory) continue;
    for (const path of config.paths) {
      launch(state, state.checks.get(checkKey(id, path))!, config, out);
    }
  }
}

/** Whether a quorum of passes of every required check began at or after a moment. */
export function hasFreshPasses(state: State, origin: string, sinceAt: number): boolean {
  const required = requiredChecks(state, origin);
  const fresh = (cs: CheckState): Verdict =>
    cs.verdict === 'up' && cs.passBeganAt >= sinceAt ? 'up' : 'unknown';
  return required.length > 0 && required.every((c) => quorum(votes(state, c, fresh)) === 'up');
}

/** The longest that the verdict of an origin may take to settle, in milliseconds (rule 8). */
export function settleMs(state: State, origin: string): number {
  const bounds = requiredChecks(state, origin).map((c) => c.fall * (c.intervalMs + c.timeoutMs));
  return Math.max(0, ...bounds);
}

/** Everything is unknown again: the process stood still, so nothing counted is worth anything. */
export function forgetAll(state: State, out: Step): void {
  for (const cs of state.checks.values()) {
    forget(cs, state.now);
    cs.pending.length = 0;
    startBurst(state, cs, 0);
  }
  for (const origin of state.origins.values()) {
    origin.settleFromAt = state.now;
    rejudge(state, origin.name, out);
  }
}

/** Evidence for people: what each required check says by each path. */
export function evidence(state: State, origin: string): string {
  const parts = requiredChecks(state, origin).flatMap((c) =>
    c.paths.map((path) => {
      const cs = state.checks.get(checkKey(c.id, path))!;
      const run = cs.fails > 0 ? `${cs.fails} failed` : `${cs.passes} passed`;
      const last = cs.last === null ? '' : ` (${cs.last.detail})`;
      return `${c.id} by ${path} ${cs.verdict}: ${run} in a row${last}`;
    }),
  );
  return parts.slice(0, 8).join('; ');
}

function requiredChecks(state: State, origin: string): CheckConfig[] {
  const ids = state.origins.get(origin)?.checks ?? [];
  return ids.map((id) => state.config.checks[id]!).filter((c) => !c.advisory);
}

function votes(state: State, check: CheckConfig, of: (cs: CheckState) => Verdict): Verdict[] {
  return check.paths.map((path) => of(state.checks.get(checkKey(check.id, path))!));
}

function rejudge(state: State, name: string, out: Step): readonly Name[] {
  const origin = state.origins.get(name);
  if (origin === undefined) return NOBODY;
  const verdicts = requiredChecks(state, name).map((c) =>
    quorum(votes(state, c, (cs) => cs.verdict)),
  );
  const health = healthOf(verdicts);
  if (health === origin.health) return NOBODY;
  turn(state, origin, health, out);
  return [...origin.records];
}

function turn(state: State, origin: OriginState, health: Health, out: Step): void {
  const was = origin.health;
  origin.health = health;
  origin.sinceAt = state.now;
  if (health === 'up') origin.downSinceAt = null;
  if (health === 'down') origin.downSinceAt ??= state.now;
  if (health === 'unknown') origin.settleFromAt = state.now;
  const why = evidence(state, origin.name);
  note(out, 'health', null, `${origin.name}: ${was} -> ${health}: ${why}`, {
    origin: origin.name,
    was,
    health,
  });
}

/** A burst goes on while the verdict is in doubt or a probe is overdue. */
function isOpen(state: State, cs: CheckState, config: CheckConfig): boolean {
  if (isDoubtful(cs)) return true;
  const oldest = cs.pending[0];
  return cs.verdict === 'up' && oldest !== undefined && state.now - oldest >= overdueMs(cs, config);
}

function startBurst(state: State, cs: CheckState, afterMs: number): void {
  if (cs.burst > 0) return;
  cs.burst = BURST_MAX;
  setTimer(state.timers, `f:${cs.key}`, state.now + jitter(state, afterMs, 0.1));
}

function overdueMs(cs: CheckState, config: CheckConfig): number {
  return Math.max(config.confirmMs, OVERDUE_FACTOR * cs.usualMs);
}

function launch(state: State, cs: CheckState, config: CheckConfig, out: Step): void {
  // Probes of one check under way are bounded: more would say nothing that these will not.
  if (cs.pending.length >= config.fall + 2) return;
  cs.pending.push(state.now);
  out.effects.push({ kind: 'probe', check: cs.check, path: cs.path, at: state.now });
  const overdue = overdueMs(cs, config);
  if (cs.verdict === 'up' && cs.burst === 0 && overdue < config.timeoutMs) {
    setTimer(state.timers, `h:${cs.key}`, state.now + overdue);
  }
}
