// When to probe what. Regular probes keep their phase; the first failure, the first pass after an
// outage, or a probe that takes far longer than usual starts a burst on all the check's paths that
// confirms or clears it (design, section 4).
//
// A failure counts once a reference point vouches that the path could see just then (sight.ts);
// until then it only starts a burst, and what nobody vouches for is void. So neither the moment an
// uplink is cut nor the moment it comes back looks like an outage of whatever answers last. What the
// observations come to is judge.ts's.

import { since } from './behaviour.ts';
import {
  burst,
  call,
  callToConfirm,
  endBurst,
  isOverdue,
  isPlain,
  launch,
  launchOfBurst,
  pauseOf,
  voterOf,
} from './burst.ts';
import {
  type CheckState,
  FAIL_IF_DOWN,
  forget,
  hear,
  isStale,
  lossRate,
  observe,
  quorum,
  silentMs,
  weigh,
} from './detect.ts';
import { askOfEnd } from './ended.ts';
import { forgetOthers } from './heard.ts';
import {
  countDown,
  diagnoseSoon,
  isInDoubt,
  join,
  judge,
  leavingFor,
  lookAgain,
  MAJORITY,
  NOBODY,
  nobodySees,
  resolvedOf,
  sees,
  suspectAnew,
  thresholdOf,
  votes,
} from './judge.ts';
import type { CheckConfig, CheckId, Name, Observation, Verdict } from './model.ts';
import {
  countPass,
  countRefusal,
  giveBack,
  limitOf,
  mayWitness,
  slowedMs,
  slowness,
  waitByClockMs,
  waitForExtraMs,
  waitForRecoveryMs,
} from './rate.ts';
import { count, isDark, lightAt, lossNow, lostAround } from './sight.ts';
import {
  type CallReason,
  type Eyes,
  type Judged,
  jitter,
  note,
  type OriginState,
  type PathState,
  put,
  type State,
  type Step,
  takeTokens,
  type Voter,
} from './state.ts';
import { hasMoved, isLateToTell, isNews } from './tell.ts';
import { setDeadline } from './timers.ts';
import { beginSoon, nextInPhase, placeOf } from './watched.ts';

/** Reference points asked at once when a failure must be put in its light. */
const REFERENCES_ASKED = 2;

/** Of a place's allowance, what doubt leaves that has found nothing yet. */
const KEPT_SHARE = 2 / 3;

/** What a decision rests on is no older than this. */
const FRESH_MS = 15_000;

/** Failures of one check by one path that may wait to be vouched for. */
const UNVOUCHED_MAX = 16;

/** How far a decision may overdraw what its place allows, and what another replica's may here. */
const OVERDRAFT = -1;
const CALLED_OVERDRAFT = -0.5;

/** Of the budget of confirm probes, what is not for calls. */
const CALLED_SHARE = 0.5;

/** Probes that a call to confirm gets though nothing has failed here, until the caller is heard. */
const CALLED_PROBES = 2;

/** What a call asked for is told for so long, in milliseconds, after it can have ended. */
const CALL_ANSWER_MS = 2_000;

/** A deadline of a check's own is due. */
export function onDeadline(
  state: State,
  what: 'probe' | 'confirm' | 'overdue',
  key: string,
  out: Step,
): readonly Name[] {
  const cs = state.checks.get(key);
  if (cs === undefined) return NOBODY;
  const judged = state.judged.get(cs.check)!;
  if (what === 'probe') return onInterval(state, cs, judged, out);
  if (what === 'overdue') return onOverdue(state, cs, judged, out);
  onConfirm(state, cs, judged, out);
  return NOBODY;
}

/** A probe that another replica asked for has begun: what it shows makes no call of our own. */
function pay(state: State, cs: CheckState): void {
  cs.owed = Math.max(0, cs.owed - 1);
  if (cs.pending.at(-1) === state.now) cs.forOthers.push(state.now);
}

/** The regular probe of one check is due. */
function onInterval(state: State, cs: CheckState, judged: Judged, out: Step): readonly Name[] {
  const { config } = judged;
  // By its phase, so that being late does not add up; what was missed is not made up.
  if (cs.dueAt <= state.now) cs.dueAt = nextInPhase(cs, config, state.now);
  const waitMs = waitByClockMs(cs.rate, config.intervalMs, cs.askedAt, state.now);
  if (waitMs === 0) launch(state, cs, config, out, isPlain(cs, judged));
  // What has to wait looks at its silence all the same.
  const soonest = waitMs === 0 ? cs.dueAt : Math.min(cs.dueAt, state.now + waitMs);
  setDeadline(state.timers, cs.deadlines.probe, soonest);
  if (state.eyes !== null && isLateToTell(cs, config, state.now)) {
    isNews(state.eyes, cs, state.now);
  }
  if (!isStale(cs, config, judged.verdict, state.now)) return NOBODY;
  cs.unvouched.length = 0;
  if (cs.verdict === 'unknown') {
    // A run that was begun before the silence does not go on after it.
    if (cs.fails > 0 || cs.passes > 0) forget(cs, state.now);
    return NOBODY;
  }
  countDown(state, cs, cs.verdict === 'down' ? -1 : 0);
  forget(cs, state.now);
  if (state.eyes !== null) isNews(state.eyes, cs, state.now);
  return judge(state, judged, out);
}

/** The next probe of a confirm burst is due. */
function onConfirm(state: State, cs: CheckState, judged: Judged, out: Step): void {
  if (cs.burst === 0) return;
  const { config } = judged;
  const open = isOpen(state, cs, judged);
  if (cs.owed === 0 && !open) return cs.sure > 0 ? askOfEnd(state, cs, config, out) : endBurst(cs);
  const counters = state.config.detector.kind === 'counters' || config.role === 'reference';
  const enough = counters ? couldSettle(cs, config) : isFull(state, cs, judged);
  let pauseMs = pauseOf(state, cs, config);
  if (enough) cs.sure = 0;
  else {
    // A burst thins out as the allowance runs out, and all that ask one place share what is left.
    const waitMs =
      judged.verdict === 'down'
        ? waitForRecoveryMs(cs.rate, state.now)
        : waitForExtraMs(cs.rate, keptFromDoubt(state, judged), state.now);
    pauseMs = Math.max(pauseMs, waitMs);
    const budget = state.eyes?.confirm ?? state.config.confirm;
    // What others ask for leaves enough for what is seen here.
    const floor = cs.owed > 0 ? budget.burst * CALLED_SHARE : 0;
    if (waitMs === 0 && takeTokens(state.confirm, budget, state.now, 1, floor)) {
      cs.burst--;
      launchOfBurst(state, cs, config, out);
      if (cs.owed > 0) pay(state, cs);
    } else if (waitMs === 0) giveBack(cs.rate);
  }
  setDeadline(state.timers, cs.deadlines.confirm, state.now + jitter(state, pauseMs, 0.1));
}

/**
 * The share of its place's allowance that a doubt must leave: none once it is near a verdict.
 * So a lossy path, of which there is always some doubt, cannot use up what a decision needs. What is
 * overdue counts as what it is about to be.
 */
function keptFromDoubt(state: State, judged: Judged): number {
  const h = thresholdOf(state, judged.config);
  if (h === 0 || judged.verdict === 'unknown') return 0;
  let [found, most] = [0, 0];
  for (const { cs, way } of judged.all) {
    let own = cs.evidence;
    if (isOverdue(state, cs, judged.config)) own += Math.log(FAIL_IF_DOWN / lossRate(way.loss));
    found += own;
    most = Math.max(most, own);
  }
  // Where two must agree, one path alone is no serious doubt.
  if (judged.groups.length > 1) found -= most;
  return Math.max(0, KEPT_SHARE - found / h);
}

/** Whether one more failure by this path would add nothing to what is said against the check. */
function isFull(state: State, cs: CheckState, judged: Judged): boolean {
  if (state.config.detector.kind === 'counters') return cs.verdict === 'down';
  // Once it passes by one path, the others are asked whether it does by theirs.
  const isSame = ({ cs: one, way }: Voter) =>
    (one.verdict === 'down' && one.recovery === 0) || way.replica?.heard === false;
  if (judged.verdict === 'down') return judged.all.every(isSame);
  return cs.evidence >= 2 * thresholdOf(state, judged.config);
}

/** Whether the probes under way suffice to change the verdict if they end like the last ones. */
function couldSettle(cs: CheckState, config: CheckConfig): boolean {
  const wanted = cs.verdict === 'up' ? config.fall : cs.verdict === 'down' ? config.rise : 0;
  const run = cs.verdict === 'down' ? cs.passes : cs.fails + cs.unvouched.length;
  return run + cs.pending.length >= (wanted || Math.max(config.fall, config.rise));
}

/** A probe has been under way for far longer than usual: confirm already. */
function onOverdue(state: State, cs: CheckState, judged: Judged, out: Step): readonly Name[] {
  if (cs.pending.length === 0) return NOBODY;
  if (state.eyes !== null) isNews(state.eyes, cs, state.now);
  if (judged.verdict === 'down') return leavingFor(state, judged.config);
  const isEcho = cs.pending.every((at) => cs.forOthers.includes(at));
  burstEverywhere(state, cs, judged, 0, isEcho ? null : out);
  askReferences(state, cs, judged.config, out);
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
  const judged = state.judged.get(check);
  const voter = judged === undefined ? undefined : voterOf(judged, path);
  if (judged === undefined || voter === undefined || voter.cs.hearsay !== null) return NOBODY;
  const { config } = judged;
  const { cs, way, lot } = voter;
  if (state.eyes !== null) tellOf(state.eyes, cs, judged, o, state.now);
  const at = cs.pending.indexOf(o.startedAt);
  if (at >= 0) cs.pending.splice(at, 1);
  const called = isForOthers(cs, o) ? null : out;
  if (o.outcome === 'limited') return refused(state, cs, config, o, out);
  if (o.outcome === 'fail' && !cs.everFailed) put(out, `red/${cs.key}`, true);
  const shaky = cs.missed > 0 || cs.fails > 0;
  hear(cs, o);
  // What is known to be down says nothing about the path.
  if (o.outcome !== 'blind' && judged.verdict !== 'down' && !config.aside) {
    count(lot, o.startedAt, o.outcome);
  }
  if (o.outcome === 'pass') countPass(cs.rate, o.startedAt);
  let touched = config.aside ? NOBODY : lookAround(state, way, cs, o, out);
  if (o.outcome === 'fail' && config.role !== 'reference') {
    const isVoid = way.blind || o.startedAt < cs.forgotAt;
    if (!isVoid) touched = join(touched, doubt(state, voter, judged, o, called, out));
  } else if (o.outcome !== 'blind') {
    touched = join(touched, take(state, voter, judged, o, shaky, out));
    if (isInDoubt(state, voter, judged)) {
      // What has only to settle is no failure that the others should look at.
      const asks = judged.verdict === 'down' ? called : null;
      burstEverywhere(state, cs, judged, config.confirmMs / 2, asks);
    }
  }
  if (cs.track !== null && way.waiting.size > 0) {
    touched = join(touched, vouchForWaiting(state, way, out));
  }
  if (o.outcome === 'fail' && judged.verdict === 'down') {
    return join(touched, leavingFor(state, config));
  }
  if (o.outcome !== 'pass' || config.origin === null) return touched;
  const awaited = resolvedOf(state, config.origin);
  return awaited.length > 0 ? join(touched, awaited) : touched;
}

/** We ask too often: no vote, by nobody about nothing. The place is asked more slowly. */
function refused(
  state: State,
  cs: CheckState,
  config: CheckConfig,
  o: Observation,
  out: Step,
): readonly Name[] {
  hear(cs, o);
  endBurst(cs);
  const isNews = countRefusal(cs.rate, o.startedAt, o.retryAfterMs ?? 0, state.now);
  if (!isNews) return NOBODY;
  const place = placeOf(config);
  const perSecond = limitOf(cs.rate)!.perSecond;
  const most = Number(perSecond.toPrecision(2));
  const sentence = `${place} says that it is asked too often: at most ${most} times a second from now on`;
  note(out, 'limit', null, sentence, { place, perSecond });
  return NOBODY;
}

/** Folds one observation that counts into its check, and judges where that may change something. */
function take(
  state: State,
  { cs, way, lot }: Voter,
  judged: Judged,
  o: Observation,
  shaky: boolean,
  out: Step,
): readonly Name[] {
  const { config } = judged;
  const was = cs.verdict;
  const run = cs.fails > 0;
  const wasLate = state.eyes !== null && isLateToTell(cs, config, state.now);
  const changed = observe(cs, config, o);
  if (config.role === 'reference') return NOBODY;
  // Counters weigh nothing (their threshold is 0), but what the path usually loses is learnt.
  const asks = o.outcome === 'fail' && state.config.detector.kind === 'sequential';
  const lost = asks ? lossNow(way.references, config.cloud, state.now) : 0;
  // What others have seen teaches nothing about what our path loses.
  const loss = config.aside ? { ...way.loss } : way.loss;
  const isShared = since(state.config, 2) && config.aside !== true;
  const around = isShared ? (at: number) => lostAround(way.lots, lot, at) : undefined;
  weigh(cs, o, loss, judged.verdict, 2 * thresholdOf(state, config), lost, around);
  if (changed) countDown(state, cs, cs.verdict === 'down' ? 1 : was === 'down' ? -1 : 0);
  if (state.eyes !== null) {
    const isOther = changed || wasLate || run !== cs.fails > 0;
    if (isOther || hasMoved(cs, judged.verdict)) isNews(state.eyes, cs, state.now);
  }
  // A pass leaves alone what is up, unless it ends a run or a dispute.
  const isQuiet = o.outcome === 'pass' && judged.verdict === 'up' && !shaky && !judged.disputed;
  return changed || !isQuiet ? judge(state, judged, out) : NOBODY;
}

/** A failure starts a burst at once, and counts when somebody has vouched for its path. */
function doubt(
  state: State,
  voter: Voter,
  judged: Judged,
  o: Observation,
  called: Step | null,
  out: Step,
): readonly Name[] {
  const { config } = judged;
  const { cs } = voter;
  if (cs.unvouched.length >= UNVOUCHED_MAX) cs.unvouched.shift();
  cs.unvouched.push(o);
  if (isInDoubt(state, voter, judged)) {
    burstEverywhere(state, cs, judged, config.confirmMs / 2, called);
  }
  const light = lightAt(voter.way.references, config.origin, o.startedAt);
  // What is down already has time until somebody answers by the clock.
  if (light !== 'clear' && !isFull(state, cs, judged)) askReferences(state, cs, config, out);
  return vouch(state, voter, judged, out);
}

/** Takes the failures that a reference point vouches for, and drops those that none will. */
function vouch(state: State, voter: Voter, judged: Judged, out: Step): readonly Name[] {
  const { config } = judged;
  const { cs, way } = voter;
  let touched = NOBODY;
  const all = cs.unvouched.splice(0);
  for (const o of all) {
    const light = lightAt(way.references, config.origin, o.startedAt);
    if (light === 'waiting') cs.unvouched.push(o);
    else if (light === 'clear') touched = join(touched, take(state, voter, judged, o, true, out));
  }
  if (cs.unvouched.length > 0) way.waiting.add(config.id);
  // What stays void may still have ended a dispute: the path says `up` no longer.
  return cs.unvouched.length < all.length ? join(touched, judge(state, judged, out)) : touched;
}

/** A reference point has answered, or failed to: what waited for its word is looked at again. */
function vouchForWaiting(state: State, way: PathState, out: Step): readonly Name[] {
  let touched = NOBODY;
  const ids = [...way.waiting];
  way.waiting.clear();
  for (const id of ids) {
    const judged = state.judged.get(id);
    const voter = judged === undefined ? undefined : voterOf(judged, way.name);
    if (judged === undefined || voter === undefined) continue;
    touched = join(touched, vouch(state, voter, judged, out));
  }
  return touched;
}

/** Whether this observation is the moment when its path goes blind, or sees again. */
function lookAround(
  state: State,
  way: PathState,
  cs: CheckState,
  o: Observation,
  out: Step,
): readonly Name[] {
  if (o.outcome === 'pass') {
    const seen = Math.max(way.passBeganAt, o.startedAt);
    const isNew = seen > way.passBeganAt;
    way.passBeganAt = seen;
    return way.blind && isNew ? seeAgain(state, way, out) : NOBODY;
  }
  if (way.blind || cs.track === null) return NOBODY;
  const isBlindNow = isDark(way.references, way.passBeganAt, lossRate(way.loss));
  return isBlindNow ? goBlind(state, way, out) : NOBODY;
}

/** By a path that is blind everything is unknown, and nothing that it said of late counts. */
function goBlind(state: State, way: PathState, out: Step): readonly Name[] {
  way.blind = true;
  const sentence = `path ${way.name}: blind: none of its reference points answers`;
  note(out, 'path', null, sentence, { path: way.name, sees: false });
  way.waiting.clear();
  way.down.clear();
  let touched = NOBODY;
  const ours = checksBy(state, way);
  for (const [, { cs }] of ours) {
    forget(cs, state.now);
    if (state.eyes !== null) isNews(state.eyes, cs, state.now);
  }
  suspectAnew(state);
  for (const [judged] of ours) touched = join(touched, judge(state, judged, out));
  for (const cloud of state.clouds.keys()) diagnoseSoon(state, cloud);
  return touched;
}

/** A path sees again: its checks settle in bursts, and rule 8 gives what is unknown time for it. */
function seeAgain(state: State, way: PathState, out: Step): readonly Name[] {
  const wasDark = nobodySees(state);
  way.blind = false;
  note(out, 'path', null, `path ${way.name}: sees again`, { path: way.name, sees: true });
  let touched = NOBODY;
  for (const [judged, { cs }] of checksBy(state, way)) {
    burst(state, cs, 0);
    touched = join(touched, judge(state, judged, out));
  }
  lookAgain(state, wasDark);
  return touched;
}

/** Every check that goes by a path, and what it is there. */
function checksBy(state: State, way: PathState): (readonly [Judged, Voter])[] {
  return [...state.judged.values()].flatMap((judged) => {
    const voter = voterOf(judged, way.name);
    return voter === undefined ? [] : [[judged, voter] as const];
  });
}

/** Probes every required check of an origin at once: rule 3 wants passes begun after a decision. */
export function probeFresh(state: State, origin: string, out: Step): void {
  for (const judged of state.origins.get(origin)!.own) {
    callFresh(state, judged, out);
    for (const { cs } of judged.all) {
      // Many records may choose one target at once: one probe begun now serves them all.
      if (cs.hearsay !== null || cs.pending.at(-1) === state.now) continue;
      launchFresh(state, cs, judged.config, out);
    }
  }
}

/** Probes at once what says that an origin is down: rule 3 wants a failure begun after a decision. */
export function probeFailing(state: State, origin: string, out: Step): void {
  for (const judged of state.origins.get(origin)!.required) {
    if (judged.verdict !== 'down') continue;
    callFresh(state, judged, out);
    for (const { cs } of judged.all) {
      if (cs.hearsay !== null || cs.pending.at(-1) === state.now) continue;
      launchFresh(state, cs, judged.config, out);
      lookForSilence(state, cs, judged.config);
    }
  }
}

/** What is asked now and not answered by then is failing still. */
function lookForSilence(state: State, cs: CheckState, config: CheckConfig): void {
  setDeadline(state.timers, cs.deadlines.overdue, state.now + silentMs(cs, config));
}

/**
 * Whether a quorum of failures of a check that says that an origin is down began at or after a
 * moment; what takes far longer than a pass ever does fails. That the paths see just then, the passes
 * of the candidate show.
 */
export function hasFreshFailure(state: State, origin: string, sinceAt: number): boolean {
  const rule = state.config.origins[origin]?.quorum ?? MAJORITY;
  const required = state.origins.get(origin)?.required ?? [];
  return required.some(({ config, groups, verdict }) => {
    const fresh = ({ cs, way }: Voter): Verdict => {
      if (!sees(way)) return 'unknown';
      const { brokeAt, passBeganAt, pending, hearsay } = cs;
      if (Math.max(brokeAt, passBeganAt) >= freshFrom(state, cs, sinceAt)) {
        return brokeAt > passBeganAt ? 'down' : 'up';
      }
      if (hearsay !== null) return hearsay.openBeganAt >= sinceAt ? 'down' : 'unknown';
      const began = pending.find((at) => at >= sinceAt) ?? Number.POSITIVE_INFINITY;
      return state.now - began >= silentMs(cs, config) ? 'down' : 'unknown';
    };
    return verdict === 'down' && quorum(votes(groups, fresh), rule) === 'down';
  });
}

/**
 * What a decision rests on began after it, and not long ago: one half of it may have had to wait for
 * the other. What lets itself be asked only slowly may be as much older.
 */
function freshFrom(state: State, cs: CheckState, sinceAt: number): number {
  const { config } = state.judged.get(cs.check)!;
  const slowMs = slowness(cs.rate) > 1 ? 3 * slowedMs(cs.rate, config.intervalMs, state.now) : 0;
  return Math.max(sinceAt, state.now - Math.max(FRESH_MS, slowMs));
}

/** A decision may overdraw what its place allows; where that is asked at distances, it waits. */
function launchFresh(state: State, cs: CheckState, config: CheckConfig, out: Step): void {
  const waitMs = waitForExtraMs(cs.rate, OVERDRAFT, state.now);
  if (waitMs === 0) return launch(state, cs, config, out);
  cs.askedAt = 0;
  const at = Math.min(cs.dueAt, state.now + waitMs);
  setDeadline(state.timers, cs.deadlines.probe, at);
}

/** Whether a quorum of passes of every required check began at or after a moment. */
export function hasFreshPasses(state: State, origin: string, sinceAt: number): boolean {
  const own = state.origins.get(origin)?.own ?? [];
  const rule = state.config.origins[origin]?.quorum ?? MAJORITY;
  const fresh = ({ cs, way }: Voter): Verdict => {
    // What another tells counts while it has a vote.
    if (cs.hearsay !== null && !(sees(way) && cs.verdict !== 'unknown')) return 'unknown';
    return cs.missed === 0 && cs.passBeganAt >= freshFrom(state, cs, sinceAt) ? 'up' : 'unknown';
  };
  return own.length > 0 && own.every((j) => quorum(votes(j.groups, fresh), rule) === 'up');
}

/** The longest that the verdict of an origin may take to settle, in milliseconds (rule 8). */
export function settleMs(origin: OriginState): number {
  origin.settleMs ??= origin.required.reduce((most, { config: c, all }) => {
    const slow = all.length === 0 ? 1 : slowness(all[0]!.cs.rate);
    return Math.max(most, c.fall * (c.intervalMs * slow + c.timeoutMs));
  }, 0);
  return origin.settleMs;
}

/** Everything is unknown again: the process stood still, so nothing counted is worth anything. */
export function forgetAll(state: State, out: Step): void {
  forgetOthers(state, out);
  const count = state.eyes?.checks ?? state.checks.size;
  let index = 0;
  for (const { config, all } of state.judged.values()) {
    all.forEach(({ cs }, i) => {
      if (cs.hearsay !== null) return;
      forget(cs, state.now);
      cs.owed = 0;
      cs.forOthers.length = 0;
      if (state.eyes !== null) isNews(state.eyes, cs, state.now);
      cs.pending.length = 0;
      endBurst(cs);
      // As at a start: what was missed is not all asked in one moment.
      const share = index++ / count;
      beginSoon(state, cs, config, { share, turn: i / all.length, count });
    });
  }
  for (const path of state.paths.values()) {
    path.down.clear();
    path.suspect = false;
    if (path.replica === null) path.blind = false;
    path.waiting.clear();
  }
  for (const origin of state.origins.values()) origin.settleFromAt = state.now;
  for (const judged of state.judged.values()) judge(state, judged, out);
}

// ---------------------------------------------------------------- looking at the path itself

/** A failure must be put in its light at once: the path's reference points are asked. */
function askReferences(state: State, cs: CheckState, config: CheckConfig, out: Step): void {
  if (config.role === 'reference') return;
  const path = state.paths.get(cs.path)!;
  if (path.blind || state.now - path.askedAt < askEveryMs(config)) return;
  path.askedAt = state.now;
  let asked = 0;
  // Those that answered last have more to say than those that are down themselves.
  for (const wanted of [true, false]) {
    for (const { cs: reference, origin } of path.references) {
      const isOwn = origin !== null && origin === config.origin;
      if (isOwn || (reference.missed === 0) !== wanted) continue;
      if (asked >= REFERENCES_ASKED) return;
      if (!mayWitness(reference.rate, state.now)) continue;
      asked++;
      launch(state, reference, state.config.checks[reference.check]!, out);
    }
  }
}

/** Often enough for a burst; rarely enough that a track is longer than the slowest probe. */
function askEveryMs(config: CheckConfig): number {
  return Math.max(config.confirmMs / 4, config.timeoutMs / 64);
}

// ---------------------------------------------------------------- probing

/** A burst goes on while the verdict by any path is in doubt or a probe is overdue. */
function isOpen(state: State, cs: CheckState, judged: Judged): boolean {
  for (const voter of judged.all) {
    // Another path of this check is in doubt: this one is its witness.
    if (voter.cs !== cs && voter.cs.verdict === 'unknown') continue;
    if (isInDoubt(state, voter, judged) || isOverdue(state, voter.cs, judged.config)) return true;
  }
  return false;
}

/**
 * The first failure on one path re-probes the check on all its paths, and those of other replicas:
 * `called` is null for what another replica has asked for, for a call never makes a call.
 */
function burstEverywhere(
  state: State,
  cs: CheckState,
  judged: Judged,
  afterMs: number,
  called: Step | null,
): void {
  // One that an end began has told nobody yet.
  const isNew = cs.burst === 0 || cs.eager > 0;
  burst(state, cs, afterMs);
  for (const { cs: other } of judged.all) {
    if (other === cs || other.hearsay !== null) continue;
    burst(state, other, 0);
    other.eager = Math.max(other.eager, cs.eager);
  }
  if (state.eyes !== null && called !== null && isNew) callToConfirm(state, judged, called);
}

/** A decision needs what begins now, by the paths of all replicas. */
function callFresh(state: State, judged: Judged, out: Step): void {
  // Of many records that choose at once, one call is enough.
  if (state.eyes === null || judged.freshAt === state.now) return;
  judged.freshAt = state.now;
  call(judged.config.id, 'fresh', out);
}

/** Another replica asks for these to be probed here too: by own paths, and within the rates. */
export function onCalled(
  state: State,
  replica: string,
  checks: readonly CheckId[],
  why: CallReason,
  out: Step,
): void {
  if (state.eyes?.others.has(replica) !== true) return;
  for (const id of checks) {
    const judged = state.judged.get(id);
    if (judged === undefined || judged.config.role === 'reference') continue;
    // The answer is told even where it is no news.
    judged.tellUntilAt = state.now + judged.config.timeoutMs + CALL_ANSWER_MS;
    for (const { cs, way } of judged.all) {
      if (cs.hearsay !== null || way.blind) continue;
      if (why === 'fresh') answerFresh(state, cs, judged, out);
      else if (cs.burst === 0) {
        cs.owed = CALLED_PROBES;
        burst(state, cs, 0);
      }
    }
  }
}

/**
 * What is down here as well may be asked beyond what its place allows, as for a decision of our own.
 * Where that is spent too, it is the clock that answers: whoever calls without end hurries nothing.
 */
function answerFresh(state: State, cs: CheckState, { config, verdict }: Judged, out: Step): void {
  if (cs.pending.at(-1) === state.now) return;
  const keep = verdict === 'down' ? CALLED_OVERDRAFT : KEPT_SHARE;
  if (waitForExtraMs(cs.rate, keep, state.now) > 0) return;
  launch(state, cs, config, out);
  pay(state, cs);
  if (verdict === 'down') lookForSilence(state, cs, config);
}

/** Whether a probe that has ended was made because another replica asked for it. */
function isForOthers({ forOthers }: CheckState, o: Observation): boolean {
  const at = forOthers.indexOf(o.startedAt);
  if (at >= 0) forOthers.splice(at, 1);
  return at >= 0;
}

/**
 * What an observation of our own tells the others, where it is news: a vote like the last is none,
 * unless it stands against what is judged.
 */
function tellOf(eyes: Eyes, cs: CheckState, judged: Judged, o: Observation, now: number): void {
  const { verdict } = judged;
  const isOther = cs.last?.outcome !== o.outcome || cs.missed > 0 !== (o.outcome !== 'pass');
  const isAgainst = o.outcome === 'pass' ? verdict === 'down' : verdict !== 'down';
  if (isOther || isAgainst || now < judged.tellUntilAt || isLateToTell(cs, judged.config, now)) {
    isNews(eyes, cs, now);
  }
}
