// What the other replicas see, folded into what this one knows: each tells its own paths' verdicts
// and evidence, newest state only, and here they become votes like those of a path of our own. It
// never takes an age from another's clock, never lets a replica speak for another's paths, and never
// takes silence for `down`: what is not heard any more, or is too old, is `unknown`.
//
// Ages. `saidAt` is no later, in own engine time, than when it was said; less the told age it is no
// later than when the thing happened. So what is said to have begun after a decision did. What is not
// told again stands as it was, and its age is that of the latest word.

import { type CheckState, checkKey, isStale, lossAsTold, promisedMs } from './detect.ts';
import {
  countDown,
  judge,
  leavingFor,
  lookAgain,
  NOBODY,
  nobodySees,
  resolvedOf,
  suspectAnew,
  thresholdOf,
} from './judge.ts';
import {
  type CheckConfig,
  type CheckId,
  type Name,
  type Outcome,
  outcomes,
  type Verdict,
  verdicts,
} from './model.ts';
import {
  type Eyes,
  type Hearsay,
  type Judged,
  note,
  type ReplicaState,
  type State,
  type Step,
} from './state.ts';
import { isNews } from './tell.ts';
import { clearDeadline, deadline, setDeadline } from './timers.ts';

/** One check by one of the teller's paths. Ages are milliseconds at the moment of telling. */
export interface Sighting {
  readonly check: CheckId;
  readonly path: string;
  /** Of the check's definition, as the teller has it. */
  readonly hash: string;
  /** The path's own verdict, by what it counted itself. */
  readonly verdict: Verdict;
  /** Its sums for `down` and for `up`, in nats: what the teller says they are worth now. */
  readonly evidence: number;
  readonly recovery: number;
  readonly fails: number;
  readonly passes: number;
  /** Probes in a row that did not pass, whether they counted or not. */
  readonly missed: number;
  /** Since the latest pass and the latest failure began; null: there was none. */
  readonly passAgeMs: number | null;
  readonly failAgeMs: number | null;
  /** Since a probe began that has taken far longer than usual and is not answered; null: none. */
  readonly openAgeMs: number | null;
  /** Since the last observation that was a vote ended. */
  readonly heardAgeMs: number;
  /** The latest observation; null before the first. */
  readonly outcome: Outcome | null;
  /** One clause for people, at most `DETAIL_MAX` characters. */
  readonly detail: string;
}

/** What one replica tells another, since what that one last answered for. */
export interface Telling {
  readonly replica: string;
  /** Hash of its whole configuration. */
  readonly config: string;
  /** All of its own paths. */
  readonly paths: readonly {
    readonly path: string;
    readonly blind: boolean;
    /** What it usually loses, in thousandths. */
    readonly lossPermille: number;
  }[];
  /** Those that changed; what is not in it stands as it was told, and is as young. */
  readonly sightings: readonly Sighting[];
  /** Nothing that is not in it stands any more. */
  readonly whole: boolean;
  /** Hashes of its records' definitions; null: as before. */
  readonly records: Readonly<Record<Name, string>> | null;
  /** None of its own paths sees anything: it does not vote. */
  readonly blind: boolean;
  /** It holds the lease, as it believes. */
  readonly acts: boolean;
  /** Newest number of the group's head that it knows, and the highest term; 0: none, or not said. */
  readonly head: number;
  readonly term: number;
}

/** The longest detail that is told, or taken. */
export const DETAIL_MAX = 200;
/** The longest run that is taken. */
const COUNT_MAX = 1_000_000;
/** A replica without a check of its own is heard of for so long after its latest word. */
const LEAST_SPAN_MS = 3_000;
/** What had come while this process stood still is read by then, and counts for nothing. */
const AFTER_PAUSE_MS = 1_000;
/** What is asked slowly is looked at again after this. */
const AGAIN_MS = 100;

// ---------------------------------------------------------------- who there is

/** Brings what is known of the other replicas in line with the configuration. */
export function arrangeEyes(state: State): void {
  const { group, records, confirm } = state.config;
  const others = (group?.replicas ?? []).filter((name) => name !== group?.self);
  for (const [name, gone] of state.eyes?.others ?? []) {
    if (!others.includes(name)) clearDeadline(state.timers, gone.deadline);
  }
  if (group === undefined) {
    state.eyes = null;
    return;
  }
  const old = state.eyes;
  const share = group.replicas.length;
  const version = Math.max((old?.version ?? 0) + 1, Math.floor(state.now));
  const hashes = Object.values(records).map((r) => [r.name, r.hash ?? ''] as const);
  state.eyes = {
    self: group.self,
    others: new Map(others.map((name) => [name, old?.others.get(name) ?? newReplica(state, name)])),
    confirm: { burst: confirm.burst / share, perSecond: confirm.perSecond / share },
    log: [],
    checks: 0,
    version,
    // Whatever was told before was of another configuration: all of it is told anew.
    firstVersion: version,
    isRead: false,
    records: Object.fromEntries(hashes),
    recordsVersion: version,
    leaving: old?.leaving ?? new Set(),
    isAgreed: false,
    minority: old?.minority ?? null,
    yieldedAt: old?.yieldedAt ?? -1,
  };
}

function newReplica(state: State, name: string): ReplicaState {
  return {
    ...{ name, heard: false, sinceAt: state.now, saidAt: -1, notBefore: -1 },
    ...{ why: 'nothing was heard of it yet', config: null, records: null },
    ...{ blind: false, acts: false, head: 0, ways: [], checks: [], spansMs: [] },
    ...{ stale: new Set<CheckState>(), irregular: new Set<CheckState>() },
    deadline: deadline({ kind: 'replica', replica: name }),
  };
}

/** After the checks were arranged: each is told by whoever probes it, or heard of. */
export function arrangeHearsay(state: State, eyes: Eyes): void {
  eyes.log = [];
  eyes.checks = 0;
  for (const one of eyes.others.values()) {
    one.ways.length = 0;
    one.checks.length = 0;
    one.stale.clear();
    one.irregular.clear();
  }
  for (const way of state.paths.values()) way.replica?.ways.push(way);
  for (const judged of state.judged.values()) {
    for (const { cs, way } of judged.all) {
      if (way.replica === null) {
        cs.hearsay = null;
        cs.told = { version: -1, evidence: 0, recovery: 0 };
        eyes.checks++;
        isNews(eyes, cs, state.now);
        continue;
      }
      const was = cs.hearsay?.of === way.replica ? cs.hearsay : null;
      cs.hearsay = was ?? newHearsay(way.replica);
      if (was === null) cs.heardAt = -1;
      cs.told = null;
      way.replica.checks.push(cs);
      // By the definition that is in force now.
      adopt(state, judged, cs);
    }
  }
  for (const one of eyes.others.values()) {
    const spans = one.checks.map((cs) => spanOf(state.judged.get(cs.check)!.config));
    one.spansMs = [...new Set(spans)];
  }
}

/** So long after its latest word what a replica says of a check counts, without more. */
function spanOf(config: CheckConfig): number {
  return 3 * config.intervalMs + config.timeoutMs - promisedMs(config);
}

function newHearsay(of: ReplicaState): Hearsay {
  return { of, sighting: null, isRegular: false, openBeganAt: -1 };
}

// ---------------------------------------------------------------- what one says

/** Folds in what another replica tells; the records whose situation it changes. */
export function onHeard(
  state: State,
  telling: Telling,
  saidAt: number,
  out: Step,
): readonly Name[] {
  const eyes = state.eyes;
  const one = eyes?.others.get(telling.replica);
  if (eyes == null || one === undefined) return NOBODY;
  const wasDark = nobodySees(state);
  const at = Number.isFinite(saidAt) ? Math.min(state.now, saidAt) : -1;
  one.saidAt = Math.max(one.saidAt, at);
  [one.head, one.acts, one.config] = [telling.head, telling.acts, telling.config];
  one.blind = telling.blind;
  if (telling.records !== null) {
    one.records = telling.records;
    eyes.isAgreed = false;
  }
  const changed = take(state, one, telling, at);
  const isBack = !one.heard && at >= one.notBefore && spareMs(state, one) > 0;
  if (isBack) turn(state, one, '', changed, out);
  const isTurned = look(one, telling, changed, out) || isBack;
  // What was too old is as young again as this word.
  for (const cs of one.stale) if (!isTooOld(state, cs)) changed.add(cs);
  if (changed.size === 0 && !isTurned) return NOBODY;
  return fold(state, changed, isTurned ? wasDark : null, out);
}

/** Another replica is heard no longer: its votes are gone, and nothing is `down` for that. */
export function onUnheard(state: State, name: string, why: string, out: Step): readonly Name[] {
  const one = state.eyes?.others.get(name);
  if (one === undefined || !one.heard) return NOBODY;
  const changed = new Set<CheckState>();
  turn(state, one, why, changed, out);
  return fold(state, changed, false, out);
}

/** What a replica said may be too old by now. */
export function onReplicaDue(state: State, name: string, out: Step): readonly Name[] {
  const one = state.eyes?.others.get(name);
  if (one === undefined || !one.heard) return NOBODY;
  if (spareMs(state, one) <= 0) {
    const silentMs = state.now - one.saidAt;
    return onUnheard(state, name, `nothing was heard of it for ${silentMs} ms`, out);
  }
  const old = one.checks.filter((cs) => !one.stale.has(cs) && isTooOld(state, cs));
  setDeadline(state.timers, one.deadline, dueAt(state, one));
  return fold(state, new Set(old), null, out);
}

/** This process stood still: what was said before is older than it looks. */
export function forgetOthers(state: State, out: Step): void {
  for (const one of state.eyes?.others.values() ?? []) {
    one.notBefore = state.now + AFTER_PAUSE_MS;
    onUnheard(state, one.name, 'this process stood still', out);
  }
}

/** Keeps what was told, counting or not; the checks of which it says something new. */
function take(state: State, one: ReplicaState, telling: Telling, at: number): Set<CheckState> {
  const changed = new Set<CheckState>();
  for (const s of telling.sightings) {
    const cs = state.checks.get(checkKey(s.check, s.path));
    // It speaks for its own paths alone.
    if (cs === undefined || cs.hearsay?.of !== one) continue;
    changed.add(cs);
    const { hearsay } = cs;
    const { config } = state.judged.get(cs.check)!;
    const since = (ageMs: number | null) => (isAge(ageMs) ? at - ageMs : -1);
    hearsay.sighting = s;
    hearsay.isRegular = isAge(s.heardAgeMs) && s.heardAgeMs <= promisedMs(config);
    hearsay.openBeganAt = since(s.openAgeMs);
    if (hearsay.isRegular) one.irregular.delete(cs);
    else one.irregular.add(cs);
    cs.heardAt = Math.max(cs.heardAt, since(s.heardAgeMs));
    cs.passBeganAt = Math.max(cs.passBeganAt, since(s.passAgeMs));
    cs.brokeAt = Math.max(cs.brokeAt, since(s.failAgeMs));
    cs.failBeganAt = cs.brokeAt;
  }
  if (!telling.whole) return changed;
  for (const cs of one.checks) {
    if (changed.has(cs) || cs.hearsay!.sighting === null) continue;
    cs.hearsay!.sighting = null;
    changed.add(cs);
  }
  return changed;
}

/** What it says of its own paths; true when one of them sees again, or no longer. O(paths). */
function look(one: ReplicaState, telling: Telling, changed: Set<CheckState>, out: Step): boolean {
  let isTurned = false;
  for (const way of one.ways) {
    const said = telling.paths.find(({ path }) => path === way.name);
    if (said !== undefined) lossAsTold(way.loss, within(said.lossPermille, 1000));
    // Of a path that it does not know of it says nothing.
    const isBlind = said === undefined || said.blind || telling.blind;
    if (isBlind === way.blind) continue;
    way.blind = isBlind;
    isTurned = true;
    for (const cs of one.checks) if (cs.path === way.name) changed.add(cs);
    const says = isBlind ? 'blind' : 'sees again';
    const data = { path: way.name, sees: !isBlind, by: one.name };
    note(out, 'path', null, `path ${way.name}: ${says}, as ${one.name} tells`, data);
  }
  return isTurned;
}

/** What a replica says counts from now on, or (with a reason) no longer. */
function turn(
  state: State,
  one: ReplicaState,
  why: string,
  changed: Set<CheckState>,
  out: Step,
): void {
  one.heard = why === '';
  one.why = why;
  one.sinceAt = state.now;
  state.eyes!.isAgreed = false;
  for (const cs of one.checks) changed.add(cs);
  if (one.heard) setDeadline(state.timers, one.deadline, dueAt(state, one));
  else clearDeadline(state.timers, one.deadline);
  const says = one.heard ? 'is heard' : `is heard no longer, and has no vote: ${why}`;
  const data = { replica: one.name, heard: one.heard };
  note(out, 'replica', null, `replica ${one.name} ${says}`, data);
}

// ---------------------------------------------------------------- what it counts for

/** `wasDark`: nobody could see before some path turned; null: no path has. */
function fold(
  state: State,
  changed: ReadonlySet<CheckState>,
  wasDark: boolean | null,
  out: Step,
): readonly Name[] {
  for (const cs of changed) adopt(state, state.judged.get(cs.check)!, cs);
  if (wasDark !== null) suspectAnew(state);
  const touched = new Set<Name>();
  const judged = new Set<Judged>();
  for (const cs of changed) judged.add(state.judged.get(cs.check)!);
  for (const one of judged) {
    for (const name of judge(state, one, out)) touched.add(name);
    // Whoever waits for a pass or a failure begun after a decision looks whether this was it.
    if (one.verdict === 'down') for (const name of leavingFor(state, one.config)) touched.add(name);
    const { origin } = one.config;
    if (origin !== null) for (const name of resolvedOf(state, origin)) touched.add(name);
  }
  if (wasDark !== null) lookAgain(state, wasDark);
  return touched.size === 0 ? NOBODY : [...touched];
}

/** Makes a check by another's path what its latest sighting says, where that counts. */
function adopt(state: State, judged: Judged, cs: CheckState): void {
  const { of, sighting: s } = cs.hearsay!;
  const { config } = judged;
  const was = cs.verdict;
  of.stale.delete(cs);
  const isSame = s !== null && isSameDefinition(s, config);
  if (s === null || !isSame) {
    // What another question was answered is no answer to ours.
    [cs.last, cs.passBeganAt, cs.brokeAt] = [null, -1, -1];
    cs.hearsay!.openBeganAt = -1;
  }
  if (!isSame || !of.heard) mute(cs);
  else {
    say(cs, s, 2 * thresholdOf(state, config));
    if (isTooOld(state, cs)) {
      of.stale.add(cs);
      mute(cs);
    }
  }
  if (cs.verdict === was) return;
  cs.sinceAt = state.now;
  countDown(state, cs, cs.verdict === 'down' ? 1 : was === 'down' ? -1 : 0);
}

function say(cs: CheckState, s: Sighting, cap: number): void {
  cs.verdict = verdicts.includes(s.verdict) ? s.verdict : 'unknown';
  cs.evidence = within(s.evidence, cap);
  cs.recovery = within(s.recovery, cap);
  cs.fails = within(s.fails, COUNT_MAX);
  cs.passes = within(s.passes, COUNT_MAX);
  cs.missed = within(s.missed, COUNT_MAX);
  const outcome = outcomes.find((word) => word === s.outcome);
  const at = { startedAt: cs.heardAt, endedAt: cs.heardAt };
  const detail = s.detail.slice(0, DETAIL_MAX);
  cs.last = outcome === undefined ? null : { outcome, ...at, reason: outcome, detail, phases: {} };
  if (outcome === 'fail') cs.everFailed = true;
}

function mute(cs: CheckState): void {
  cs.verdict = 'unknown';
  [cs.fails, cs.passes, cs.missed, cs.evidence, cs.recovery] = [0, 0, 0, 0, 0];
}

/** A check whose definition differs between two replicas: what one sees is no vote on the other's. */
export function isSameDefinition(s: Sighting, { hash = '' }: CheckConfig): boolean {
  return s.hash === hash;
}

/** A number of another's, between 0 and so much; 0 for what is none. */
function within(n: number, most: number): number {
  return n > 0 ? Math.min(most, n) : 0;
}

function isAge(ms: number | null): ms is number {
  return ms !== null && Number.isFinite(ms) && ms >= 0;
}

// ---------------------------------------------------------------- how old it is

function isTooOld(state: State, cs: CheckState): boolean {
  const { config, verdict } = state.judged.get(cs.check)!;
  return isStale(cs, config, verdict, state.now);
}

/** How long until all that a replica said is too old, in milliseconds; below 0: it is. */
function spareMs(state: State, one: ReplicaState): number {
  return one.saidAt + Math.max(LEAST_SPAN_MS, ...one.spansMs) - state.now;
}

/** When something of it may next be too old. */
function dueAt(state: State, one: ReplicaState): number {
  let soonest = Number.POSITIVE_INFINITY;
  for (const span of one.spansMs) {
    if (one.saidAt + span >= state.now) soonest = Math.min(soonest, one.saidAt + span + 1);
  }
  for (const cs of one.irregular) {
    const { config } = state.judged.get(cs.check)!;
    const at = cs.heardAt + 3 * config.intervalMs + config.timeoutMs + 1;
    if (!one.stale.has(cs)) soonest = Math.min(soonest, Math.max(at, state.now + AGAIN_MS));
  }
  return Math.min(soonest, one.saidAt + Math.max(LEAST_SPAN_MS, ...one.spansMs));
}
