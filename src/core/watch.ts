// When to probe what, whom to believe, and what it makes of the health of origins. Regular probes
// keep their phase; the first failure, the first pass after an outage, or a probe that takes far
// longer than usual starts a burst on all the check's paths that confirms or clears it (design,
// section 4).
//
// Whom to believe. A failure counts once a reference point vouches that the path could see just then
// (sight.ts); until then it only starts a burst, and what nobody vouches for is void. So neither the
// moment an uplink is cut nor the moment it comes back looks like an outage of whatever answers
// last. By a path that is blind altogether everything is unknown. It never moves anything: it says
// which records have a new situation to look at.

import {
  type CheckState,
  checkState,
  FALSE_RECOVERY_EVERY_MS,
  forget,
  groupVote,
  healthOf,
  hear,
  isDoubtful,
  isStale,
  lossRate,
  observe,
  quorum,
  quorumSize,
  threshold,
  weigh,
  weighAnew,
  weight,
} from './detect.ts';
import { type CloudFacts, diagnose } from './diagnose.ts';
import type { CheckConfig, Health, Name, Observation, QuorumRule, Verdict } from './model.ts';
import { isDark, lightAt, lossNow, newTrack, type Reference } from './sight.ts';
import {
  type Judged,
  jitter,
  note,
  type OriginState,
  type PathState,
  type State,
  type Step,
  takeTokens,
  tell,
  type Voter,
} from './state.ts';
import { clearDeadline, type Deadline, isSet, setDeadline, setTimer } from './timers.ts';

const NOBODY: readonly Name[] = [];
/** Confirm probes of one burst at most: a verdict that will not settle goes back to its interval. */
const BURST_MAX = 12;
/** A probe is overdue when it takes this many times what a pass usually takes. */
const OVERDUE_FACTOR = 4;
/** Regular probes at a start are spread by this, up to the interval. */
const START_SPREAD_MS = 5;
/** Origins that serve as reference points of a path, at most, shared out among the clouds. */
const NATURAL_REFERENCES = 6;
/** Reference points asked at once when a failure must be put in its light. */
const REFERENCES_ASKED = 2;
/** Failures of one check by one path that may wait to be vouched for. */
const UNVOUCHED_MAX = 16;
/** An origin that went down again within this is trusted less. */
const FLAP_MEMORY_MS = 3_600_000;
const FLAP_BASE_MS = 30_000;
const FLAP_CAP_MS = 1_800_000;
/** Paths disagree when one of them has said otherwise for so many intervals. */
const DISPUTE_INTERVALS = 3;
const MAJORITY: QuorumRule = { kind: 'majority' };

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
    const known = state.judged.get(check.id);
    if (known !== undefined) known.config = check;
    else {
      const unknown = { verdict: 'unknown' as const, sinceAt: state.now, disputed: false };
      state.judged.set(check.id, { config: check, all: [], groups: [], ...unknown });
    }
    check.paths.forEach((path, i) => {
      const key = checkKey(check.id, path);
      wanted.add(key);
      const spread = Math.min(check.intervalMs, count * START_SPREAD_MS);
      // The paths of one check take turns, so that an outage is first seen the sooner.
      const turn = (i / check.paths.length) * check.intervalMs;
      const at = state.now + Math.floor(((index++ / count) * spread + turn) % check.intervalMs);
      if (state.checks.has(key)) return;
      const cs = checkState(key, check.id, path, state.now);
      cs.dueAt = at;
      state.checks.set(key, cs);
      setDeadline(state.timers, cs.deadlines.interval, at);
    });
  }
  for (const [key, gone] of state.checks) {
    if (wanted.has(key)) continue;
    state.checks.delete(key);
    for (const d of Object.values(gone.deadlines)) clearDeadline(state.timers, d);
  }
  for (const id of [...state.judged.keys()]) {
    if (!(id in state.config.checks)) state.judged.delete(id);
  }
  watchOrigins(state);
  watchPaths(state);
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
  const origins = Object.values(state.config.checks).filter((c) => c.role === 'origin');
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
    state.paths.set(path.name, {
      name: path.name,
      group: path.group,
      cloud: path.cloud,
      references: [...own, ...natural].map((c) => referenceOf(state, c, path.name)),
      passBeganAt: known?.passBeganAt ?? -1,
      blind: known?.blind ?? false,
      waiting: new Set(),
      askedAt: 0,
      loss: known?.loss ?? { total: 0, failed: 0 },
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
}

function arrangeVoters(state: State, { config: check, all, groups }: Judged): void {
  all.length = 0;
  const byGroup = new Map<string, Voter[]>();
  for (const name of check.paths) {
    const cs = state.checks.get(checkKey(check.id, name))!;
    const voter = { cs, way: state.paths.get(name)! };
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
  cs: CheckState,
  due: Deadline,
  out: Step,
): readonly Name[] {
  const judged = state.judged.get(cs.check)!;
  if (due === cs.deadlines.interval) return onInterval(state, cs, judged, out);
  if (due === cs.deadlines.confirm) onConfirm(state, cs, judged, out);
  else onOverdue(state, cs, judged, out);
  return NOBODY;
}

/** The regular probe of one check is due. */
function onInterval(state: State, cs: CheckState, judged: Judged, out: Step): readonly Name[] {
  const { config } = judged;
  // From when it was due, so that being late does not add up; what was missed is not made up.
  const next = cs.dueAt + config.intervalMs;
  cs.dueAt = next > state.now ? next : state.now + config.intervalMs;
  setDeadline(state.timers, cs.deadlines.interval, cs.dueAt);
  launch(state, cs, config, out);
  if (!isStale(cs, config, state.now)) return NOBODY;
  cs.unvouched.length = 0;
  if (cs.verdict === 'unknown') return NOBODY;
  countDown(state, cs, cs.verdict === 'down' ? -1 : 0);
  forget(cs, state.now);
  return judge(state, judged, out);
}

/** The next probe of a confirm burst is due. */
function onConfirm(state: State, cs: CheckState, judged: Judged, out: Step): void {
  if (cs.burst === 0) return;
  const { config } = judged;
  if (!isOpen(state, cs, judged)) {
    cs.burst = 0;
    return;
  }
  const counters = state.config.detector.kind === 'counters' || config.role === 'reference';
  const enough = counters && couldSettle(cs, config);
  if (!enough && takeTokens(state.confirm, state.config.confirm, state.now, 1)) {
    cs.burst--;
    launch(state, cs, config, out);
  }
  const nextAt = state.now + jitter(state, config.confirmMs, 0.1);
  setDeadline(state.timers, cs.deadlines.confirm, nextAt);
}

/** Whether the probes under way suffice to change the verdict if they end like the last ones. */
function couldSettle(cs: CheckState, config: CheckConfig): boolean {
  const wanted = cs.verdict === 'up' ? config.fall : cs.verdict === 'down' ? config.rise : 0;
  const run = cs.verdict === 'down' ? cs.passes : cs.fails + cs.unvouched.length;
  return run + cs.pending.length >= (wanted || Math.max(config.fall, config.rise));
}

/** A probe has been under way for far longer than usual: confirm already. */
function onOverdue(state: State, cs: CheckState, judged: Judged, out: Step): void {
  if (cs.pending.length === 0) return;
  burstEverywhere(state, cs, judged, 0);
  askReferences(state, cs, judged.config, out);
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
  if (judged === undefined || voter === undefined) return NOBODY;
  const { config } = judged;
  const { cs, way } = voter;
  const at = cs.pending.indexOf(o.startedAt);
  if (at >= 0) cs.pending.splice(at, 1);
  if (o.outcome === 'fail' && !cs.everFailed) out.docs.push([`red/${cs.key}`, true]);
  const shaky = cs.missed > 0 || cs.fails > 0;
  hear(cs, o);
  let touched = lookAround(state, way, cs, o, out);
  if (o.outcome === 'fail' && config.role !== 'reference') {
    const isVoid = way.blind || o.startedAt < cs.forgotAt;
    if (!isVoid) touched = join(touched, doubt(state, voter, judged, o, out));
  } else if (o.outcome !== 'blind') {
    touched = join(touched, take(state, voter, judged, o, shaky, out));
    if (isInDoubt(state, voter, judged)) {
      burstEverywhere(state, cs, judged, config.confirmMs / 2);
    }
  }
  if (cs.track !== null && way.waiting.size > 0) {
    touched = join(touched, vouchForWaiting(state, way, out));
  }
  if (o.outcome !== 'pass' || config.origin === null) return touched;
  const awaited = resolvedOf(state, config.origin);
  return awaited.length > 0 ? join(touched, awaited) : touched;
}

/** A check has few paths, and walking along them is quicker than a table. */
function voterOf({ all }: Judged, path: string): Voter | undefined {
  for (const voter of all) if (voter.way.name === path) return voter;
  return undefined;
}

/** The records that wait for a pass from an origin alone: where its name leads is known already. */
function resolvedOf(state: State, origin: string): readonly Name[] {
  const { waiting } = state.origins.get(origin)!;
  if (waiting.size === 0) return NOBODY;
  return [...waiting].filter((name) => state.records.get(name)?.choosing?.chain != null);
}

/** Folds one observation that counts into its check, and judges where that may change something. */
function take(
  state: State,
  { cs, way }: Voter,
  judged: Judged,
  o: Observation,
  shaky: boolean,
  out: Step,
): readonly Name[] {
  const { config } = judged;
  const was = cs.verdict;
  const changed = observe(cs, config, o);
  if (config.role === 'reference') return NOBODY;
  // Counters weigh nothing (their threshold is 0), but what the path usually loses is learnt.
  const asks = o.outcome === 'fail' && state.config.detector.kind === 'sequential';
  const lost = asks ? lossNow(way.references, config.cloud, state.now) : 0;
  weigh(cs, o, way.loss, judged.verdict, 2 * thresholdOf(state, config), lost);
  if (changed) countDown(state, cs, cs.verdict === 'down' ? 1 : was === 'down' ? -1 : 0);
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
  out: Step,
): readonly Name[] {
  const { config } = judged;
  const { cs } = voter;
  if (cs.unvouched.length >= UNVOUCHED_MAX) cs.unvouched.shift();
  cs.unvouched.push(o);
  if (isInDoubt(state, voter, judged)) burstEverywhere(state, cs, judged, config.confirmMs / 2);
  askReferences(state, cs, config, out);
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
  for (const [, { cs }] of ours) forget(cs, state.now);
  for (const one of state.paths.values()) one.suspect = isSuspect(state, one);
  for (const [judged] of ours) touched = join(touched, judge(state, judged, out));
  for (const cloud of state.clouds.keys()) diagnoseSoon(state, cloud);
  return touched;
}

/** A path sees again: its checks settle in bursts, and rule 8 gives what is unknown time for it. */
function seeAgain(state: State, way: PathState, out: Step): readonly Name[] {
  const dawns = [...state.paths.values()].every((p) => p.blind || p.suspect);
  way.blind = false;
  note(out, 'path', null, `path ${way.name}: sees again`, { path: way.name, sees: true });
  let touched = NOBODY;
  for (const [judged, { cs }] of checksBy(state, way)) {
    burst(state, cs, 0);
    touched = join(touched, judge(state, judged, out));
  }
  for (const origin of state.origins.values()) {
    if (dawns && origin.health === 'unknown') origin.settleFromAt = state.now;
  }
  for (const cloud of state.clouds.keys()) diagnoseSoon(state, cloud);
  return touched;
}

/** Every check that goes by a path, and what it is there. */
function checksBy(state: State, way: PathState): (readonly [Judged, Voter])[] {
  return [...state.judged.values()].flatMap((judged) => {
    const voter = voterOf(judged, way.name);
    return voter === undefined ? [] : [[judged, voter] as const];
  });
}

/** Adds names to those already touched; a list of its own grows in place, so a storm stays linear. */
function join(a: readonly Name[], b: readonly Name[]): readonly Name[] {
  if (b.length === 0) return a;
  const all = a === NOBODY ? [] : (a as Name[]);
  for (const name of b) all.push(name);
  return all;
}

/** Probes every required check of an origin at once: rule 3 wants passes begun after a decision. */
export function probeFresh(state: State, origin: string, out: Step): void {
  for (const { config, all } of state.origins.get(origin)!.own) {
    for (const { cs } of all) {
      // Many records may choose one target at once: one probe begun now serves them all.
      if (cs.pending.at(-1) !== state.now) launch(state, cs, config, out);
    }
  }
}

/** Whether a quorum of passes of every required check began at or after a moment. */
export function hasFreshPasses(state: State, origin: string, sinceAt: number): boolean {
  const own = state.origins.get(origin)?.own ?? [];
  const rule = state.config.origins[origin]?.quorum ?? MAJORITY;
  const fresh = ({ cs }: Voter): Verdict =>
    cs.missed === 0 && cs.passBeganAt >= sinceAt ? 'up' : 'unknown';
  return own.length > 0 && own.every((j) => quorum(votes(j.groups, fresh), rule) === 'up');
}

/** The longest that the verdict of an origin may take to settle, in milliseconds (rule 8). */
export function settleMs(origin: OriginState): number {
  origin.settleMs ??= origin.required.reduce(
    (most, { config: c }) => Math.max(most, c.fall * (c.intervalMs + c.timeoutMs)),
    0,
  );
  return origin.settleMs;
}

/** Everything is unknown again: the process stood still, so nothing counted is worth anything. */
export function forgetAll(state: State, out: Step): void {
  for (const cs of state.checks.values()) {
    forget(cs, state.now);
    cs.pending.length = 0;
    cs.burst = 0;
    burst(state, cs, 0);
  }
  for (const path of state.paths.values()) {
    path.down.clear();
    path.suspect = false;
    path.blind = false;
    path.waiting.clear();
  }
  for (const origin of state.origins.values()) origin.settleFromAt = state.now;
  for (const judged of state.judged.values()) judge(state, judged, out);
}

/** Evidence for people: the same for every record that a step moves to one origin. */
export function evidence(state: State, origin: OriginState): string {
  if (origin.words?.step !== state.steps) {
    origin.words = { step: state.steps, text: inWords(origin) };
  }
  return origin.words.text;
}

/** What each required check says by each path. */
function inWords({ required }: OriginState): string {
  const parts = required.flatMap(({ config, all }) =>
    all.map((v) => {
      const last = v.cs.last === null ? '' : ` (${v.cs.last.detail})`;
      return `${config.id} by ${v.way.name} ${voteOf(v)}: ${runOf(v.cs)} in a row${last}`;
    }),
  );
  return parts.slice(0, 8).join('; ');
}

function runOf(cs: CheckState): string {
  if (cs.fails > 0) return `${cs.fails} failed`;
  return cs.missed > 0 ? `${cs.missed} void` : `${cs.passes} passed`;
}

/** A path none of whose reference points answers it. */
export function isBlind(path: PathState): boolean {
  return path.blind;
}

/** No path can be believed about anything: then it is us. */
export function nobodySees(state: State): boolean {
  for (const path of state.paths.values()) if (!path.suspect && !path.blind) return false;
  return true;
}

// ---------------------------------------------------------------- judging

/** What a check comes to over all its paths, and then the origins and clouds that rest on it. */
function judge(state: State, judged: Judged, out: Step): readonly Name[] {
  const { config } = judged;
  if (config.role === 'reference') return NOBODY;
  const verdict = verdictOf(state, config, judged);
  const disputed = isDisputed(state, config, judged);
  if (verdict === judged.verdict && disputed === judged.disputed) return NOBODY;
  const changed = verdict !== judged.verdict;
  judged.disputed = disputed;
  if (changed) {
    if (config.role === 'service') {
      const sentence = `${config.id}: ${judged.verdict} -> ${verdict}`;
      note(out, 'verdict', null, sentence, { check: config.id, was: judged.verdict, verdict });
    }
    // The two tests take turns: neither begins with what was gathered before its turn.
    if (verdict === 'down' || judged.verdict === 'down') {
      for (const { cs } of judged.all) weighAnew(cs);
    }
    judged.verdict = verdict;
    judged.sinceAt = state.now;
  }
  const touched = restingOn(state, config).flatMap((name) => [...rejudge(state, name, out)]);
  if (config.cloud !== null) diagnoseSoon(state, config.cloud);
  return touched;
}

function verdictOf(state: State, config: CheckConfig, { groups, verdict: was }: Judged): Verdict {
  const rule = ruleOf(state, config);
  const byCount = quorum(votes(groups, voteOf), rule);
  if (state.config.detector.kind === 'counters') {
    if (byCount !== 'unknown') return byCount;
  } else if (was === 'down') {
    const h = threshold(FALSE_RECOVERY_EVERY_MS, config.intervalMs, config.paths.length);
    if (byCount === 'up' && isProven(state, config, groups, (cs) => cs.recovery, h)) return 'up';
  } else {
    const h = thresholdOf(state, config);
    if (isProven(state, config, groups, (cs) => cs.evidence, h)) return 'down';
    if (byCount === 'up') return 'up';
  }
  // Not enough for another verdict: what was known holds, unless too few see any more.
  const heard = votes(groups, (v) => (canSee(state, config, v) ? 'up' : 'unknown'));
  return quorum(heard, rule) === 'up' ? was : 'unknown';
}

/** Whether the groups' sums of evidence together reach a threshold, in nats. */
function isProven(
  state: State,
  config: CheckConfig,
  groups: readonly (readonly Voter[])[],
  of: (cs: CheckState) => number,
  h: number,
): boolean {
  let sighted = 0;
  const each: number[] = [];
  for (const group of groups) {
    // Within a group the least counts: its paths share their failures.
    let least = Number.POSITIVE_INFINITY;
    for (const v of group) if (canSee(state, config, v)) least = Math.min(least, of(v.cs));
    if (least === Number.POSITIVE_INFINITY) continue;
    sighted++;
    if (least > 0) each.push(least);
  }
  if (each.length === 0) return false;
  const need = quorumSize(sighted, groups.length, ruleOf(state, config));
  return each.length >= need && weight(each, need) >= h;
}

function canSee(state: State, config: CheckConfig, { cs, way }: Voter): boolean {
  return !way.blind && !way.suspect && cs.last !== null && !isStale(cs, config, state.now);
}

/** A path's vote about one check: its own verdict, unless it is blind or not to be believed. */
function voteOf({ cs, way }: Voter): Verdict {
  return way.blind || way.suspect ? 'unknown' : cs.verdict;
}

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
      if (asked++ >= REFERENCES_ASKED) return;
      launch(state, reference, state.config.checks[reference.check]!, out);
    }
  }
}

/** Often enough for a burst; rarely enough that a track is longer than the slowest probe. */
function askEveryMs(config: CheckConfig): number {
  return Math.max(config.confirmMs / 4, config.timeoutMs / 64);
}

/** The votes of the independent groups that may speak about a check. */
function votes(groups: readonly (readonly Voter[])[], of: (v: Voter) => Verdict): Verdict[] {
  return groups.map((group) => (group.length === 1 ? of(group[0]!) : groupVote(group.map(of))));
}

function isDisputed(state: State, config: CheckConfig, { groups }: Judged): boolean {
  if (groups.length < 2 || !groups.some((g) => g.some(({ cs }) => cs.verdict === 'down'))) {
    return false;
  }
  // Only what a path has firmly said for a while: neither an outage nor lossy paths are a dispute.
  const oldEnough = state.now - DISPUTE_INTERVALS * config.intervalMs;
  const all = votes(groups, (v) => {
    const vote = voteOf(v);
    const { missed, passes, sinceAt } = v.cs;
    const isFirm = vote === 'up' ? missed === 0 : passes === 0 && sinceAt <= oldEnough;
    return isFirm ? vote : 'unknown';
  });
  return all.includes('up') && all.includes('down');
}

function ruleOf(state: State, config: CheckConfig): QuorumRule {
  return (config.origin !== null && state.config.origins[config.origin]?.quorum) || MAJORITY;
}

function thresholdOf(state: State, config: CheckConfig): number {
  const { detector } = state.config;
  if (detector.kind === 'counters') return 0;
  return threshold(detector.falseSwitchEveryMs, config.intervalMs, config.paths.length);
}

/** The origins that are down when this check is. */
function restingOn(state: State, config: CheckConfig): readonly string[] {
  if (config.advisory) return [];
  if (config.origin !== null) return [config.origin];
  return state.needing.get(config.id) ?? [];
}

function rejudge(state: State, name: string, out: Step): readonly Name[] {
  const origin = state.origins.get(name);
  if (origin === undefined) return NOBODY;
  const health = healthOf(origin.required.map(({ verdict }) => verdict));
  if (health === origin.health) return NOBODY;
  turn(state, origin, health, out);
  return [...origin.records];
}

function turn(state: State, origin: OriginState, health: Health, out: Step): void {
  const was = origin.health;
  origin.health = health;
  origin.sinceAt = state.now;
  if (health === 'up' && was === 'down') penalize(state, origin);
  if (health === 'up') origin.downSinceAt = null;
  if (health === 'down') origin.downSinceAt ??= state.now;
  if (health === 'unknown') origin.settleFromAt = state.now;
  const why = inWords(origin);
  origin.why = why;
  note(out, 'health', null, `${origin.name}: ${was} -> ${health}: ${why}`, {
    origin: origin.name,
    was,
    health,
  });
}

/** An origin that came and went is trusted less, for twice as long each time, up to a cap. */
function penalize(state: State, origin: OriginState): void {
  origin.flaps = origin.flaps.filter((at) => state.now - at < FLAP_MEMORY_MS);
  origin.flaps.push(state.now);
  const times = origin.flaps.length;
  if (times < 2) return;
  origin.trustedAt = state.now + Math.min(FLAP_CAP_MS, FLAP_BASE_MS * 2 ** (times - 2));
}

// ---------------------------------------------------------------- clouds and paths

/** A diagnosis looks at a whole cloud, so a storm of verdicts is diagnosed together. */
function diagnoseSoon(state: State, cloud: string): void {
  const key = `z:${cloud}`;
  const known = state.clouds.get(cloud);
  if (known === undefined || isSet(state.timers, key)) return;
  setTimer(state.timers, key, state.now + 5 + Math.floor(known.origins.length / 50));
}

/** Reads a cloud's blast radius again; the records whose ranking it changes. */
export function rediagnose(state: State, cloud: string, out: Step): readonly Name[] {
  const known = state.clouds.get(cloud);
  if (known === undefined) return NOBODY;
  const facts = factsOf(state, cloud, known.origins);
  const d = diagnose(facts);
  const was = known.diagnosis;
  // While nothing is known of any of its origins, what was last said of it holds.
  const isKnown = facts.origins.length === 0 || facts.origins.some((o) => o.machine !== 'unknown');
  if (d.word === 'healthy' && !isKnown) return NOBODY;
  if (d.word === was.word && d.regions.length === was.regions.length) {
    known.diagnosis = d;
    return NOBODY;
  }
  known.diagnosis = d;
  known.sinceAt = state.now;
  note(out, 'diagnosis', null, `${was.word} -> ${d.word}: ${d.sentence}`, {
    cloud,
    was: was.word,
    diagnosis: d.word,
  });
  if (d.word === 'control-plane-down' || d.word === 'auth-down') {
    const warning = `${d.sentence}; its DNS may be unwritable`;
    tell(out, 'needs-person', null, warning, { cloud, diagnosis: d.word });
  }
  // It ranks what a record may move to; of the target in force its own health alone decides, and
  // whether anybody can see it.
  const isSight = d.word === 'blind' || was.word === 'blind';
  const names = new Set<Name>();
  for (const origin of known.origins) {
    for (const name of state.origins.get(origin)?.records ?? []) {
      if (isSight || state.records.get(name)?.doc.target !== origin) names.add(name);
    }
  }
  return [...names];
}

function factsOf(state: State, cloud: string, origins: readonly string[]): CloudFacts {
  const groups = new Map<string, boolean>();
  for (const path of state.paths.values()) {
    if (path.cloud === cloud) continue;
    const sees = !path.suspect && !path.blind;
    groups.set(path.group, (groups.get(path.group) ?? false) || sees);
  }
  return {
    cloud,
    origins: origins.map((name) => {
      const { own } = state.origins.get(name)!;
      return {
        name,
        region: state.config.origins[name]!.region,
        machine: healthOf(own.map(({ verdict }) => verdict)),
        disputed: own.some((j) => j.disputed && j.verdict !== 'down'),
      };
    }),
    services: (state.config.clouds[cloud]?.checks ?? []).map((id) => {
      const { config, verdict } = state.judged.get(id)!;
      return { id, plane: config.plane!, region: config.region, verdict };
    }),
    sighted: [...groups.values()].filter(Boolean).length,
    groups: groups.size,
  };
}

/** Keeps how many origins' checks each path condemns, by cloud, and whether that is suspect. */
function countDown(state: State, cs: CheckState, by: number): void {
  const config = state.config.checks[cs.check];
  const path = state.paths.get(cs.path);
  if (by === 0 || path === undefined || config?.role !== 'origin') return;
  const cloud = config.cloud ?? '';
  path.down.set(cloud, Math.max(0, (path.down.get(cloud) ?? 0) + by));
  for (const one of state.paths.values()) one.suspect = isSuspect(state, one);
}

/** One that alone condemns most origins, across unrelated clouds, is more likely wrong itself. */
function isSuspect(state: State, path: PathState): boolean {
  const share = (p: PathState) => {
    let down = 0;
    for (const n of p.down.values()) down += n;
    return p.checks === 0 ? 0 : down / p.checks;
  };
  const clouds = [...path.down.values()].filter((n) => n > 0).length;
  if (clouds < 2 || share(path) <= 0.5) return false;
  const others = [...state.paths.values()].filter((p) => p.group !== path.group);
  return others.length > 0 && others.every((p) => share(p) < 0.25);
}

// ---------------------------------------------------------------- probing

/** With the sequential detector doubt lasts as long as there is evidence, not only a run. */
function isInDoubt(state: State, { cs, way }: Voter, judged: Judged): boolean {
  if (way.blind) return false;
  if (state.config.detector.kind === 'counters') return isDoubtful(cs);
  if (judged.verdict !== 'down') return cs.evidence > 0 || isDoubtful(cs);
  return cs.recovery > 0 || cs.verdict === 'unknown';
}

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

/** The first failure on one path re-probes the check on all its paths. */
function burstEverywhere(state: State, cs: CheckState, judged: Judged, afterMs: number): void {
  burst(state, cs, afterMs);
  for (const v of judged.all) if (v.cs !== cs) burst(state, v.cs, 0);
}

function burst(state: State, cs: CheckState, afterMs: number): void {
  if (cs.burst > 0) return;
  cs.burst = BURST_MAX;
  setDeadline(state.timers, cs.deadlines.confirm, state.now + jitter(state, afterMs, 0.1));
}

function overdueMs(cs: CheckState, config: CheckConfig): number {
  return Math.max(config.confirmMs, OVERDUE_FACTOR * cs.usualMs);
}

function launch(state: State, cs: CheckState, config: CheckConfig, out: Step): void {
  // Probes of one check under way are bounded: more would say nothing that these will not.
  if (cs.pending.length >= config.fall + 5) return;
  cs.pending.push(state.now);
  out.effects.push({ kind: 'probe', check: cs.check, path: cs.path, at: state.now });
  const overdue = overdueMs(cs, config);
  if (cs.verdict === 'up' && cs.burst === 0 && overdue < config.timeoutMs) {
    setDeadline(state.timers, cs.deadlines.overdue, state.now + overdue);
  }
}
