// Observations to verdicts. It never decides what to do about a verdict, and never looks beyond one
// check: who votes and who is blind is watch.ts's business.
//
// Two detectors share the same observations.
//
// Counters: `fall` failures in a row make a path's verdict `down`, `rise` passes in a row make it
// `up`, silence for three intervals makes it `unknown`.
//
// Sequential: Wald's sequential probability ratio test (Wald, "Sequential Tests of Statistical
// Hypotheses", Ann. Math. Stat. 16, 1945; book 1947) in the form of Page's CUSUM ("Continuous
// Inspection Schemes", Biometrika 41, 1954). Each observation adds the logarithm of how much likelier
// it is if the origin is down than if this path merely loses what it usually loses, q:
//     failure: ln(0.9 / q)        pass: ln(0.1 / (1 - q))
// and the sum never falls below 0. P(fail | down) is 0.9, so a grey failure (half the requests) is
// found and a pass costs finite evidence. By Lorden (1971) such a sum crosses h by chance at most
// once in e^h observations on average, whatever the other distribution is; so for one false alarm
// in T, with one observation each `interval` on n paths, h = ln(n T / interval).
// Assumptions: losses on one path are independent given q (bursts are not: that is what independent
// groups are for), and groups fail independently. So that one broken group can never decide with a
// little help from chance, the largest group's evidence is left out of the sum wherever two must
// agree: the others alone must carry the whole threshold. With every group sound that makes a false
// alarm far rarer than asked for; beside one that is broken for good, the sum of two others crosses
// up to h / 4 times as often as one would (measured; test/core/detect.test.ts).
// Recovery is the same test the other way round, against an origin of which half still fails
// (`grey`), so that what fails every other request is not called up again each time it is lucky.
//
// q is estimated per path over all its origins, only from observations while a check is `up` and
// without evidence against it; what an excursion held is counted once it has come back to 0, so that
// an outage never teaches the estimator that failing is usual. It is kept between 1 and 30 %. A path
// that has just got worse is believed at once: what its reference points lose now counts if it is
// more (sight.ts), and so does what everything else by that path lost around each failure. Then a
// failure tells as much less, down to nothing. Only failures that a reference point vouches for come
// here at all.

import type { CheckConfig, Health, Observation, QuorumRule, Verdict } from './model.ts';
import { isRefusing, type Rate, slowedMs } from './rate.ts';
import { remember, type Track } from './sight.ts';
import type { Hearsay, Told } from './state.ts';
import { type Deadline, deadline } from './timers.ts';

/** One check on one path. Owned and changed in place by the engine. */
export interface CheckState {
  readonly key: string;
  readonly check: string;
  readonly path: string;
  /** Its next probe by the clock, the next of a burst, and when the one under way is overdue. */
  readonly deadlines: {
    readonly probe: Deadline;
    readonly confirm: Deadline;
    readonly overdue: Deadline;
  };
  /** When its next probe by the clock is due. */
  dueAt: number;
  /** A moment that is so many intervals away from each of its probes by the clock. */
  phaseMs: number;
  /** When its latest probe began, of whatever kind; 0 before the first. */
  askedAt: number;
  /** How fast the place may be asked that it asks. */
  readonly rate: Rate;
  verdict: Verdict;
  sinceAt: number;
  /** Failures and passes in a row; one of the two is 0. */
  fails: number;
  passes: number;
  /** When the latest pass and the latest failure began; -1 before the first. */
  passBeganAt: number;
  failBeganAt: number;
  /** When the latest probe began that failed, whether that counts or not; -1 before the first. */
  brokeAt: number;
  /** Probes in a row that did not pass, whether their failures count or not, and since when. */
  missed: number;
  missedSinceAt: number;
  /** Failures of probes begun before this are void: all was forgotten then. */
  forgotAt: number;
  /** Failures that nobody has vouched for yet (sight.ts), oldest first; at most UNVOUCHED_MAX. */
  readonly unvouched: Observation[];
  /** Where this check shows what its path can see; null where it does not. */
  track: Track | null;
  /** When the last observation that was a vote ended. */
  heardAt: number;
  last: Observation | null;
  /** Moving average of how long a pass takes, in milliseconds; 0 before the first. */
  usualMs: number;
  everFailed: boolean;
  /** Start times of the probes under way. */
  readonly pending: number[];
  /** Confirm probes still allowed in this burst; 0: no burst. */
  burst: number;
  /** Of those, how many another replica has asked for, whatever is seen here. */
  owed: number;
  /** Of those of a burst that the end of a held connection began: still to come close together. */
  eager: number;
  /** Of these, how many are made whatever is seen. */
  sure: number;
  /** When probes under way began that another replica has asked for. */
  readonly forOthers: number[];
  /** Sum of log-likelihood ratios for `down`, in nats, until judged down; 0: nothing against it. */
  evidence: number;
  /** What that sum is of, oldest first; at most WEIGHED_MAX, and what it was before these. */
  readonly weighed: Weighed[];
  before: number;
  /** The mirrored sum, for `up`, while judged down. */
  recovery: number;
  /** Observations and failures since the evidence left 0: they count as loss if it comes back. */
  readonly excursion: { total: number; failed: number };
  /** Where another replica probes it: what that one says; null: it is probed here. */
  hearsay: Hearsay | null;
  /** Where it is probed here and others are told of it; null: alone. */
  told: Told | null;
}

/** One observation in a sum of evidence, and the loss that was usual then. */
interface Weighed {
  readonly at: number;
  readonly failed: boolean;
  readonly q: number;
}

/** How often a path loses a probe to a healthy origin: sums that fade, so that it can change. */
export interface Loss {
  total: number;
  failed: number;
}

export const FAIL_IF_DOWN = 0.9;
/** What has to be ruled out before something counts as recovered: that half of it still fails. */
const FAIL_IF_GREY = 0.5;
/** A recovery may be wrong this often: by itself it moves nothing. */
export const FALSE_RECOVERY_EVERY_MS = 86_400_000;
const LOSS_MIN = 0.01;
const LOSS_MAX = 0.3;
/** Observations after which old ones have faded to about a third. */
const LOSS_MEMORY = 2000;
const FADE = 1 - 1 / LOSS_MEMORY;
/** A probe is overdue when it takes this many times what a pass usually takes. */
export const OVERDUE_FACTOR = 4;
/** A vote comes each interval, and jitter: what is older is not regular. */
const REGULAR_INTERVALS = 1.25;
/** Observations that are weighed again when more is known of what else was lost. */
const WEIGHED_MAX = 64;
/** Weight of the first guess, 1 %, in observations. */
const LOSS_PRIOR = 100;

/** Under which the state of a check on a path is kept. */
export function checkKey(check: string, path: string): string {
  return `${check}@${path}`;
}

export function checkState(
  key: string,
  check: string,
  path: string,
  rate: Rate,
  now: number,
): CheckState {
  return {
    key,
    check,
    path,
    deadlines: {
      probe: deadline({ kind: 'probe', check: key }),
      confirm: deadline({ kind: 'confirm', check: key }),
      overdue: deadline({ kind: 'overdue', check: key }),
    },
    dueAt: now,
    phaseMs: 0,
    askedAt: 0,
    rate,
    verdict: 'unknown',
    sinceAt: now,
    fails: 0,
    passes: 0,
    passBeganAt: -1,
    failBeganAt: -1,
    brokeAt: -1,
    missed: 0,
    missedSinceAt: -1,
    forgotAt: -1,
    unvouched: [],
    track: null,
    heardAt: now,
    last: null,
    usualMs: 0,
    everFailed: false,
    pending: [],
    burst: 0,
    ...{ owed: 0, eager: 0, sure: 0 },
    forOthers: [],
    evidence: 0,
    weighed: [],
    before: 0,
    recovery: 0,
    excursion: { total: 0, failed: 0 },
    hearsay: null,
    told: null,
  };
}

/** Takes note of what came back, before anybody says whether it counts. */
export function hear(state: CheckState, o: Observation): void {
  state.last = o;
  // It was asked too often: that is about us alone.
  if (o.outcome === 'limited') return;
  if (o.outcome === 'fail') state.brokeAt = Math.max(state.brokeAt, o.startedAt);
  if (state.track !== null) remember(state.track, o.startedAt, o.outcome);
  if (o.outcome === 'fail') state.everFailed = true;
  if (o.outcome === 'pass') state.missed = 0;
  else if (o.startedAt >= state.passBeganAt) {
    if (state.missed === 0) state.missedSinceAt = o.startedAt;
    state.missed++;
  }
}

/**
 * Folds in one observation that counts; true when the path's own verdict changed. O(1). Confirm
 * probes overlap, so observations may end out of order: what is folded in is ordered by when the
 * probe began, and one that began before the latest contrary one is history and breaks no run.
 */
export function observe(state: CheckState, config: CheckConfig, o: Observation): boolean {
  if (o.outcome === 'blind') return false;
  state.heardAt = Math.max(state.heardAt, o.endedAt);
  if (o.outcome === 'pass') {
    const took = o.endedAt - o.startedAt;
    state.usualMs = state.usualMs === 0 ? took : state.usualMs + (took - state.usualMs) / 8;
    if (o.startedAt > state.passBeganAt) state.passBeganAt = o.startedAt;
    if (o.startedAt < state.failBeganAt) return false;
    state.fails = 0;
    state.passes++;
    return state.verdict !== 'up' && state.passes >= config.rise && settle(state, 'up', o.endedAt);
  }
  if (o.startedAt > state.failBeganAt) state.failBeganAt = o.startedAt;
  if (o.startedAt < state.passBeganAt) return false;
  state.passes = 0;
  state.fails++;
  return state.verdict !== 'down' && state.fails >= config.fall && settle(state, 'down', o.endedAt);
}

/**
 * Adds one observation's evidence, and counts it as usual loss where nothing speaks against it.
 * `lostAround`: the share that everything unrelated has at least lost by that path around a moment, as
 * far as that is known by now.
 */
export function weigh(
  state: CheckState,
  o: Observation,
  loss: Loss,
  judged: Verdict,
  cap: number,
  lostOfLate: number,
  lostAround: (at: number) => number = () => 0,
): void {
  if (o.outcome === 'blind') return;
  const failed = o.outcome === 'fail';
  // Nearly every observation: a pass where nothing speaks against it.
  const isCalm = !failed && judged === 'up' && state.evidence === 0;
  if (isCalm && (state.told === null || state.recovery >= cap)) return learn(loss, 1, 0);
  const q = Math.min(LOSS_MAX, Math.max(lossRate(loss), lostOfLate));
  // Others may not judge as we do yet: for them the sum of the other turn goes on.
  if (judged === 'down' || state.told !== null) {
    const forUp = failed ? Math.log(q / FAIL_IF_GREY) : Math.log((1 - q) / (1 - FAIL_IF_GREY));
    state.recovery = Math.min(cap, Math.max(0, state.recovery + forUp));
  }
  if (isCalm) return learn(loss, 1, 0);
  if (judged !== 'down' || state.told !== null) {
    state.weighed.push({ at: o.startedAt, failed, q });
    state.evidence = weighAgain(state, cap, lostAround);
  }
  if (judged === 'down') return;
  const { excursion } = state;
  if (judged !== 'up') {
    excursion.total = 0;
    excursion.failed = 0;
    return;
  }
  excursion.total++;
  if (failed) excursion.failed++;
  if (state.evidence > 0) return;
  learn(loss, excursion.total, excursion.failed);
  excursion.total = 0;
  excursion.failed = 0;
}

/** The sum of evidence anew, by all that is known now of what else was lost meanwhile. */
function weighAgain(state: CheckState, cap: number, lostAround: (at: number) => number): number {
  const { weighed } = state;
  const dropped = weighed.length > WEIGHED_MAX ? WEIGHED_MAX / 2 : 0;
  let [sum, emptyAt] = [state.before, -1];
  weighed.forEach(({ at, failed, q: usual }, i) => {
    const q = Math.min(FAIL_IF_DOWN, Math.max(usual, lostAround(at)));
    const nats = failed ? Math.log(FAIL_IF_DOWN / q) : Math.log((1 - FAIL_IF_DOWN) / (1 - q));
    sum = Math.min(cap, Math.max(0, sum + nats));
    if (sum === 0) emptyAt = i;
    if (i === dropped - 1) state.before = sum;
  });
  // What was before a sum of nothing adds nothing to it, whatever is still learnt of that.
  if (emptyAt >= dropped) state.before = 0;
  weighed.splice(0, Math.max(dropped, emptyAt + 1));
  return sum;
}

/** The share of probes this path usually loses, between 1 and 30 %. */
export function lossRate(loss: Loss): number {
  const rate = (loss.failed + LOSS_PRIOR * LOSS_MIN) / (loss.total + LOSS_PRIOR);
  return Math.min(LOSS_MAX, Math.max(LOSS_MIN, rate));
}

function learn(loss: Loss, total: number, failed: number): void {
  const fade = total === 1 ? FADE : FADE ** total;
  loss.total = loss.total * fade + total;
  loss.failed = loss.failed * fade + failed;
}

/** Nats that a check's evidence must reach: once wrong in `everyMs`, over all its observations. */
export function threshold(everyMs: number, intervalMs: number, paths: number): number {
  return Math.log(Math.max(2, (paths * everyMs) / intervalMs));
}

/**
 * What the groups' evidence is worth together, in nats: their sum without the `needed - 1` largest,
 * so that the groups beyond a broken one must carry the threshold themselves.
 */
export function weight(groups: readonly number[], needed: number): number {
  const most = [...groups].sort((a, b) => b - a).slice(needed - 1);
  return most.reduce((sum, x) => sum + x, 0);
}

/** Both sums begin anew. */
function weighAnew(state: CheckState): void {
  state.evidence = 0;
  state.weighed.length = 0;
  state.before = 0;
  state.recovery = 0;
  state.excursion.total = 0;
  state.excursion.failed = 0;
}

/**
 * The check has been judged down, or no longer: the two tests take turns, and neither begins with
 * what was gathered before its turn. What others are told goes on, for it may be their turn still;
 * what another replica tells is its own affair.
 */
export function takeTurns(state: CheckState, isDown: boolean): void {
  if (state.hearsay !== null) return;
  const { evidence, recovery, told } = state;
  weighAnew(state);
  if (told === null) return;
  if (isDown) [state.evidence, state.before] = [evidence, evidence];
  else state.recovery = recovery;
}

/** What a path of another replica, by what it usually loses in thousandths, is taken to lose. */
export function lossAsTold(loss: Loss, permille: number): void {
  loss.total = LOSS_MEMORY;
  loss.failed = (LOSS_MEMORY * permille) / 1000;
}

/**
 * Whether a verdict is worth nothing any more, so long after its last vote. Where a place lets itself
 * be asked only slowly, silence counts by that; but what is judged down, and now answers that it is
 * asked too often, is not known to be down for so long.
 */
export function isStale(
  state: CheckState,
  config: CheckConfig,
  judged: Verdict,
  now: number,
): boolean {
  const { intervalMs, timeoutMs } = config;
  const silentMs = now - lastHeardAt(state, config);
  if (silentMs <= 3 * intervalMs + timeoutMs) return false;
  const isUp = state.verdict === 'up' && judged !== 'down';
  if (!isUp && isRefusing(state.rate)) return true;
  return silentMs > 3 * slowedMs(state.rate, intervalMs, now) + timeoutMs;
}

/**
 * When its last vote ended, at the earliest. What another replica told that asks regularly is as
 * young as its latest word, whatever that was about: it says so where it asks no longer.
 */
function lastHeardAt({ heardAt, hearsay }: CheckState, config: CheckConfig): number {
  if (hearsay === null || !hearsay.isRegular) return heardAt;
  return Math.max(heardAt, hearsay.of.saidAt - promisedMs(config));
}

/** So young a replica promises what it does not tell anew to be, in milliseconds. */
export function promisedMs({ intervalMs, timeoutMs }: CheckConfig): number {
  return REGULAR_INTERVALS * intervalMs + timeoutMs;
}

/** What has been asked for so long, in milliseconds, and not answered is failing still. */
export function silentMs({ usualMs }: CheckState, { confirmMs }: CheckConfig): number {
  return Math.max(confirmMs / 2, OVERDUE_FACTOR * usualMs);
}

/** Back to `unknown`, with no run counted: after a pause, silence, or failures seen while blind. */
export function forget(state: CheckState, now: number): boolean {
  state.forgotAt = now;
  state.fails = 0;
  state.passes = 0;
  state.unvouched.length = 0;
  weighAnew(state);
  return state.verdict !== 'unknown' && settle(state, 'unknown', now);
}

/** True while the path's own verdict is not known, or what it sees lately contradicts it. */
export function isDoubtful(state: CheckState): boolean {
  if (state.verdict === 'down') return state.passes > 0;
  return state.verdict === 'unknown' || state.fails > 0 || state.unvouched.length > 0;
}

/**
 * One verdict from the votes of independent groups. `voters`: groups configured that may vote. A
 * group that says nothing is `unknown` and not sighted.
 */
export function quorum(votes: readonly Verdict[], rule: QuorumRule): Verdict {
  let up = 0;
  let down = 0;
  for (const v of votes) {
    if (v === 'up') up++;
    else if (v === 'down') down++;
  }
  const need = quorumSize(up + down, votes.length, rule);
  return down >= need ? 'down' : up >= need ? 'up' : 'unknown';
}

/**
 * Groups that must agree, of `sighted` ones among `configured` ones. By default a majority of the
 * sighted, and at least two wherever two are configured; at least one always.
 */
export function quorumSize(sighted: number, configured: number, rule: QuorumRule): number {
  const least = Math.max(1, Math.min(2, configured));
  switch (rule.kind) {
    case 'majority':
      return Math.max(Math.floor(sighted / 2) + 1, least);
    case 'count':
      return rule.groups;
    case 'all':
      return Math.max(configured, 1);
    case 'share':
      return Math.max(Math.ceil(sighted * rule.share), least);
  }
}

/** The vote of several paths that share a failure domain: down only if all that see say so. */
export function groupVote(verdicts: readonly Verdict[]): Verdict {
  if (verdicts.includes('up')) return 'up';
  return verdicts.includes('down') ? 'down' : 'unknown';
}

/** An origin is down when one required check is down, up when all are, else unknown. */
export function healthOf(required: readonly Verdict[]): Health {
  if (required.includes('down')) return 'down';
  return required.length > 0 && required.every((v) => v === 'up') ? 'up' : 'unknown';
}

function settle(state: CheckState, verdict: Verdict, at: number): true {
  state.verdict = verdict;
  state.sinceAt = at;
  return true;
}
