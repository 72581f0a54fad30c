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
  type CheckState,
  checkKey,
  checkState,
  FAIL_IF_DOWN,
  forget,
  hear,
  isStale,
  lossRate,
  OVERDUE_FACTOR,
  observe,
  quorum,
  silentMs,
  weigh,
} from './detect.ts';
import { arrangeHearsay, forgetOthers } from './heard.ts';
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
  countProbe,
  countRefusal,
  giveBack,
  limitOf,
  mayAskOfEnd,
  mayWitness,
  newRate,
  slowedMs,
  slowness,
  waitByClockMs,
  waitForExtraMs,
  waitForRecoveryMs,
} from './rate.ts';
import {
  count,
  isDark,
  type Lot,
  lightAt,
  lossNow,
  lostAround,
  newLot,
  newTrack,
  type Reference,
} from './sight.ts';
import {
  type CallReason,
  type End,
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
import { clearAll, isSet, setDeadline } from './timers.ts';

/** Confirm probes of one burst at most: a verdict that will not settle goes back to its interval. */
const BURST_MAX = 12;
/** Regular probes at a start are spread by this, up to the interval. */
const START_SPREAD_MS = 5;
/** More checks by paths than these are spread over their whole interval. */
const CROWD = 50;
/** So many of a crowd may be due in one moment: at most this part of the interval, and so long. */
const MOMENT_CHECKS = 8;
const MOMENT_SHARE = 1 / 20;
const MOMENT_MAX_MS = 100;
/** Origins that serve as reference points of a path, at most, shared out among the clouds. */
const NATURAL_REFERENCES = 6;
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
/** Probes of a burst that an end began which come close together, and how many whatever is seen. */
const EAGER_PROBES = 6;
const EAGER_SURE = 2;
/** So much closer than in any other doubt, and no closer than this. */
const EAGER_FACTOR = 5;
const EAGER_LEAST_MS = 50;
/** On a path that loses more than this share, haste gains little and costs certainty. */
const EAGER_LOSS = 0.1;
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
/** Where nothing is counted: of what another replica probes. */
const NO_LOT = newLot();
/** What a call asked for is told for so long, in milliseconds, after it can have ended. */
const CALL_ANSWER_MS = 2_000;

/** Adds the checks of the configuration that are not watched yet; drops those that are gone. */
export function watchChecks(state: State): void {
  const wanted = new Set<string>();
  const all = Object.values(state.config.checks);
  const isOwn = (path: string) => isWalked(state, path);
  const count = all.reduce((sum, c) => sum + c.paths.filter(isOwn).length, 0);
  arrangeRates(state, all);
  let index = 0;
  for (const check of all) {
    const known = state.judged.get(check.id);
    const was = known?.config;
    if (known !== undefined) known.config = check;
    else {
      const unknown = { verdict: 'unknown' as const, sinceAt: state.now, disputed: false };
      const uncalled = { calledAt: -1, freshAt: -1, tellUntilAt: -1, vain: 0, endedAt: -1 };
      state.judged.set(check.id, { config: check, all: [], groups: [], ...unknown, ...uncalled });
    }
    check.paths.forEach((path, i) => {
      const key = checkKey(check.id, path);
      wanted.add(key);
      const old = state.checks.get(key);
      const rate = state.rates.get(placeOf(check))!;
      const cs = old ?? checkState(key, check.id, path, rate, state.now);
      state.checks.set(key, cs);
      // What others probe is only heard of.
      if (!isOwn(path)) {
        clearAll(state.timers, cs.deadlines);
        return;
      }
      const place = { share: index++ / count, turn: i / check.paths.length, count };
      if (old === undefined) beginSoon(state, cs, check, place);
      else if (was !== undefined) changeCadence(state, cs, was, check, place);
    });
  }
  for (const [key, gone] of state.checks) {
    if (wanted.has(key)) continue;
    state.checks.delete(key);
    clearAll(state.timers, gone.deadlines);
  }
  for (const id of [...state.judged.keys()]) {
    if (!(id in state.config.checks)) state.judged.delete(id);
  }
  watchOrigins(state);
  watchPaths(state);
}

/** Whether probes leave by this path from here; in a group each replica has its own. */
function isWalked({ config }: State, path: string): boolean {
  const { replica } = config.paths[path]!;
  return replica === undefined || config.group === undefined || replica === config.group.self;
}

/** Where a check by a path stands among all of them, and among the paths of its check. */
type Place = Readonly<Record<'share' | 'turn' | 'count', number>>;

/**
 * The first probe comes soon, so that a verdict settles soon. From then on each of many has its own
 * place in the interval, by its name; few are no crowd. The paths of one check take turns, so that an
 * outage is first seen the sooner.
 */
function beginSoon(
  state: State,
  cs: CheckState,
  { id, intervalMs }: CheckConfig,
  { share, turn, count }: Place,
): void {
  const spread = Math.min(intervalMs, count * START_SPREAD_MS);
  cs.dueAt = state.now + Math.floor((share * spread + turn * intervalMs) % intervalMs);
  const isCrowd = count > CROWD;
  const ownMs = hashOf(id) * intervalMs;
  const sharedMs = ownMs - (ownMs % momentMs(intervalMs, count));
  cs.phaseMs = isCrowd ? Math.floor(sharedMs + turn * intervalMs) : cs.dueAt;
  setDeadline(state.timers, cs.deadlines.probe, cs.dueAt);
}

/**
 * To wake this process costs more than a probe does, so a few checks of a crowd share a moment; the
 * more there are the shorter it is, until it is the clock's own.
 */
function momentMs(intervalMs: number, count: number): number {
  const share = Math.min(MOMENT_SHARE, MOMENT_CHECKS / count);
  return Math.max(1, Math.min(MOMENT_MAX_MS, Math.floor(intervalMs * share)));
}

/** A number in [0, 1) for a name, the same every time (FNV-1a by Fowler, Noll and Vo). */
function hashOf(name: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
  // Its last bits alone tell apart names that differ in their ends.
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  return ((h ^ (h >>> 13)) >>> 0) / 4_294_967_296;
}

/** The next moment in the phase of a check, no sooner than half an interval from now. */
function nextInPhase({ phaseMs }: CheckState, { intervalMs }: CheckConfig, now: number): number {
  const since = (now - phaseMs) % intervalMs;
  const next = now - since + (since < 0 ? 0 : intervalMs);
  return next - now < intervalMs / 2 ? next + intervalMs : next;
}

/** What a check asks, together with others: its origin; all that ask somebody else stand alone. */
function placeOf(check: CheckConfig): string {
  return check.aside ? check.id : (check.origin ?? check.id);
}

/** What the clocks ask of each place; what is known of its limit is kept. */
function arrangeRates(state: State, all: readonly CheckConfig[]): void {
  const sharers = state.config.group?.replicas.length ?? 1;
  const asked = new Set(all.map(placeOf));
  for (const rate of state.rates.values()) [rate.plain, rate.ways] = [0, 0];
  for (const check of all) {
    const place = placeOf(check);
    const rate = state.rates.get(place) ?? newRate(state.now);
    state.rates.set(place, rate);
    const ways = check.paths.filter((path) => isWalked(state, path)).length;
    rate.ways += ways;
    rate.plain += (1000 / check.intervalMs) * ways;
    // What a place may be asked is for all replicas together.
    rate.sharers = sharers;
    const set = state.config.origins[place]?.rate;
    rate.set = set === undefined ? null : set / sharers;
  }
  for (const place of [...state.rates.keys()]) if (!asked.has(place)) state.rates.delete(place);
}

/** A reload puts another cadence in force at once: nobody waits out the old one. */
function changeCadence(
  state: State,
  cs: CheckState,
  was: CheckConfig,
  is: CheckConfig,
  place: Place,
): void {
  if (is.intervalMs !== was.intervalMs) {
    // What was fresh a moment ago is not made old by being asked for more often from now on.
    const isOld = isStale(cs, was, cs.verdict, state.now);
    if (!isOld) cs.heardAt = Math.max(cs.heardAt, state.now - is.intervalMs);
    const { dueAt } = cs;
    beginSoon(state, cs, is, place);
    cs.dueAt = Math.min(cs.dueAt, dueAt);
    setDeadline(state.timers, cs.deadlines.probe, cs.dueAt);
  }
  const { confirm } = cs.deadlines;
  if (isSet(confirm)) {
    setDeadline(state.timers, confirm, Math.min(confirm.at, state.now + is.confirmMs));
  }
}

/** Finds the checks that move traffic away from each origin. */
function watchOrigins(state: State): void {
  for (const origin of state.origins.values()) {
    const { checks, needs } = state.config.origins[origin.name]!;
    const judged = (id: string) => state.judged.get(id)!;
    origin.own = checks.map(judged).filter(({ config }) => !config.advisory);
    origin.required = [...origin.own, ...needs.map(judged)];
  }
}

/** Finds each path's reference points: its own, and some origins of every cloud. */
function watchPaths(state: State): void {
  const origins = Object.values(state.config.checks).filter(
    (c) => c.role === 'origin' && c.aside !== true,
  );
  const clouds = [...new Set(origins.map((c) => c.cloud))];
  const each = Math.max(1, Math.floor(NATURAL_REFERENCES / Math.max(1, clouds.length)));
  const old = new Map(state.paths);
  state.paths.clear();
  for (const cs of state.checks.values()) cs.track = null;
  for (const path of Object.values(state.config.paths)) {
    const mine = origins.filter((c) => c.paths.includes(path.name) && c.cloud !== path.cloud);
    const natural = clouds.flatMap((cloud) => mine.filter((c) => c.cloud === cloud).slice(0, each));
    const own = path.references.map((id) => state.config.checks[id]!);
    const known = old.get(path.name);
    const replica = isWalked(state, path.name) ? null : state.eyes!.others.get(path.replica!)!;
    const references = replica === null ? [...own, ...natural] : [];
    state.paths.set(path.name, {
      name: path.name,
      replica,
      group: path.group,
      cloud: path.cloud,
      references: references.map((c) => referenceOf(state, c, path.name)),
      passBeganAt: known?.passBeganAt ?? -1,
      blind: known?.blind ?? false,
      waiting: new Set(),
      askedAt: 0,
      loss: known?.loss ?? { total: 0, failed: 0 },
      lots: replica === null ? lotsOf(state, path.name, known) : new Map(),
      down: new Map(),
      checks: mine.length,
      suspect: false,
    });
  }
  for (const judged of state.judged.values()) arrangeVoters(state, judged);
  for (const cs of state.checks.values()) {
    cs.unvouched.length = 0;
    countDown(state, cs, cs.verdict === 'down' ? 1 : 0);
  }
  if (state.eyes !== null) arrangeHearsay(state, state.eyes);
}

/** Of each cloud that is asked by a path; what is of no cloud stands for itself. */
function lotsOf({ config }: State, path: string, known: PathState | undefined): Map<string, Lot> {
  const lots = new Map<string, Lot>();
  for (const check of Object.values(config.checks)) {
    if (!check.paths.includes(path)) continue;
    const name = lotName(check);
    if (!lots.has(name)) lots.set(name, known?.lots.get(name) ?? newLot());
  }
  return lots;
}

function lotName({ cloud, id }: CheckConfig): string {
  return cloud === null ? `check ${id}` : `cloud ${cloud}`;
}

function arrangeVoters(state: State, { config: check, all, groups }: Judged): void {
  all.length = 0;
  const byGroup = new Map<string, Voter[]>();
  for (const name of check.paths) {
    const cs = state.checks.get(checkKey(check.id, name))!;
    const way = state.paths.get(name)!;
    const voter = { cs, way, lot: way.lots.get(lotName(check)) ?? NO_LOT };
    all.push(voter);
    // A path that sits in a cloud has no vote about that cloud.
    if (voter.way.cloud !== null && voter.way.cloud === check.cloud) continue;
    const { group } = voter.way;
    byGroup.set(group, [...(byGroup.get(group) ?? []), voter]);
  }
  groups.splice(0, groups.length, ...byGroup.values());
}

function referenceOf(state: State, c: CheckConfig, path: string): Reference {
  const cs = state.checks.get(checkKey(c.id, path))!;
  cs.track ??= newTrack();
  return { cs, origin: c.origin, cloud: c.cloud };
}

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

/** Nothing has failed, but a connection has ended: that has an allowance of its own. */
function askOfEnd(state: State, cs: CheckState, config: CheckConfig, out: Step): void {
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

function launchOfBurst(state: State, cs: CheckState, config: CheckConfig, out: Step): void {
  cs.eager = Math.max(0, cs.eager - 1);
  cs.sure = Math.max(0, cs.sure - 1);
  launch(state, cs, config, out);
}

function endBurst(cs: CheckState): void {
  [cs.burst, cs.eager, cs.sure] = [0, 0, 0];
}

/** As short as the end of a held connection lets `confirm` be; a lossy path is never hurried. */
function pauseOf(state: State, { eager, path }: CheckState, { confirmMs }: CheckConfig): number {
  if (eager === 0 || lossRate(state.paths.get(path)!.loss) > EAGER_LOSS) return confirmMs;
  return Math.min(confirmMs, Math.max(EAGER_LEAST_MS, confirmMs / EAGER_FACTOR));
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

/** A check has few paths, and walking along them is quicker than a table. */
function voterOf({ all }: Judged, path: string): Voter | undefined {
  for (const voter of all) if (voter.way.name === path) return voter;
  return undefined;
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

/** The oldest probe under way takes far longer than a pass usually does. */
function isOverdue(state: State, cs: CheckState, config: CheckConfig): boolean {
  const oldest = cs.pending[0];
  if (oldest === undefined || cs.verdict !== 'up') return false;
  return state.now - oldest >= overdueMs(cs, config);
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

function callToConfirm(state: State, judged: Judged, out: Step): void {
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

/** A decision needs what begins now, by the paths of all replicas. */
function callFresh(state: State, judged: Judged, out: Step): void {
  // Of many records that choose at once, one call is enough.
  if (state.eyes === null || judged.freshAt === state.now) return;
  judged.freshAt = state.now;
  call(judged.config.id, 'fresh', out);
}

/** One effect for all the checks of a step. */
function call(check: CheckId, why: CallReason, out: Step): void {
  const last = out.effects.at(-1);
  const isSame = last?.kind === 'call' && last.why === why;
  const checks = isSame ? [...last.checks, check] : [check];
  if (isSame) out.effects.pop();
  out.effects.push({ kind: 'call', checks, why });
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

function burst(state: State, cs: CheckState, afterMs: number): void {
  if (cs.burst > 0) {
    // What was only put off, and has asked nothing yet, puts off nothing that has been seen.
    if (cs.eager === EAGER_PROBES) hasten(state, cs, afterMs);
    return;
  }
  cs.burst = BURST_MAX;
  setDeadline(state.timers, cs.deadlines.confirm, state.now + jitter(state, afterMs, 0.1));
}

function hasten(state: State, { deadlines: { confirm } }: CheckState, afterMs: number): void {
  if (confirm.at > state.now + afterMs) setDeadline(state.timers, confirm, state.now + afterMs);
}

function overdueMs(cs: CheckState, config: CheckConfig): number {
  return Math.max(config.confirmMs, OVERDUE_FACTOR * cs.usualMs);
}

/** Nothing is in doubt about it, by this path or another. */
function isPlain({ verdict, missed, burst: left }: CheckState, judged: Judged): boolean {
  return verdict === 'up' && judged.verdict === 'up' && missed === 0 && left === 0;
}

function launch(
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
