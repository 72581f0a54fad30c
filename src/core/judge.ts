// Whom to believe, and what it comes to: votes of independent groups into a check's verdict, verdicts
// into an origin's health, origins into a cloud's diagnosis. By a path that is blind altogether
// everything is unknown. It never asks for a regular probe and never moves anything: it hands back
// the records that have a new situation to look at.

import {
  type CheckState,
  FALSE_RECOVERY_EVERY_MS,
  groupVote,
  healthOf,
  isDoubtful,
  isStale,
  quorum,
  quorumSize,
  takeTurns,
  threshold,
  weight,
} from './detect.ts';
import { type CloudFacts, type Diagnosed, diagnose } from './diagnose.ts';
import type { CheckConfig, Health, Name, QuorumRule, Verdict } from './model.ts';
import { close, raise } from './notices.ts';
import { rememberAbsence } from './patience.ts';
import {
  type Judged,
  note,
  type OriginState,
  type PathState,
  type State,
  type Step,
  type Voter,
} from './state.ts';
import { isNews } from './tell.ts';
import { isSet, setDeadline } from './timers.ts';

export const NOBODY: readonly Name[] = [];

/** An origin that went down again within this is trusted less. */
const FLAP_MEMORY_MS = 3_600_000;

const FLAP_BASE_MS = 30_000;

const FLAP_CAP_MS = 1_800_000;

/** Paths disagree when one of them has said otherwise for so many intervals. */
const DISPUTE_INTERVALS = 3;

export const MAJORITY: QuorumRule = { kind: 'majority' };

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
      const by = `${config.id} by ${v.way.name}`;
      if (v.way.replica?.heard === false) return `${by}: not heard`;
      const last = v.cs.last === null ? [] : [`(${v.cs.last.detail})`];
      // It stays, for each origin: what is joined is one text, what is put together is a dozen.
      return [by, `${voteOf(v)}:`, runOf(v.cs), 'in a row', ...last].join(' ');
    }),
  );
  return parts.slice(0, 8).join('; ');
}

function runOf(cs: CheckState): string {
  if (cs.fails > 0) return `${cs.fails} failed`;
  return cs.missed > 0 ? `${cs.missed} void` : `${cs.passes} passed`;
}

/** Whether a path is believed: it sees, it does not stand alone, and whoever goes by it is heard. */
export function sees({ suspect, blind, replica }: PathState): boolean {
  return !suspect && !blind && (replica === null || replica.heard);
}

/** No path can be believed about anything: then it is us. */
export function nobodySees(state: State): boolean {
  for (const path of state.paths.values()) if (sees(path)) return false;
  return true;
}

/** What a check comes to over all its paths, and then the origins and clouds that rest on it. */
export function judge(state: State, judged: Judged, out: Step): readonly Name[] {
  const { config } = judged;
  if (config.role === 'reference') return NOBODY;
  const verdict = verdictOf(state, judged);
  const disputed = isDisputed(state, config, judged);
  if (verdict === judged.verdict && disputed === judged.disputed) return NOBODY;
  const changed = verdict !== judged.verdict;
  judged.disputed = disputed;
  if (changed) {
    if (config.role === 'service') {
      const sentence = `${config.id}: ${judged.verdict} -> ${verdict}`;
      note(out, 'verdict', null, sentence, { check: config.id, was: judged.verdict, verdict });
    }
    if (verdict === 'down' || judged.verdict === 'down') {
      for (const { cs } of judged.all) takeTurns(cs, verdict === 'down');
    }
    judged.verdict = verdict;
    judged.sinceAt = state.now;
    if (state.eyes !== null) for (const { cs } of judged.all) isNews(state.eyes, cs, state.now);
  }
  const touched = restingOn(state, config).flatMap((name) => [...rejudge(state, name, out)]);
  if (config.cloud !== null) diagnoseSoon(state, config.cloud);
  return touched;
}

function verdictOf(state: State, judged: Judged): Verdict {
  const { config, groups, verdict: was } = judged;
  const rule = ruleOf(state, config);
  const byCount = quorum(votes(groups, voteOf), rule);
  if (state.config.detector.kind === 'counters') {
    if (byCount !== 'unknown') return byCount;
  } else if (was === 'down') {
    const h = threshold(FALSE_RECOVERY_EVERY_MS, config.intervalMs, config.paths.length);
    if (byCount === 'up' && isProven(state, judged, (cs) => cs.recovery, h)) return 'up';
  } else {
    const h = thresholdOf(state, config);
    if (isProven(state, judged, (cs) => cs.evidence, h)) return 'down';
    if (byCount === 'up') return 'up';
  }
  // Not enough for another verdict: what was known holds, unless too few see any more.
  const heard = votes(groups, (v) => (canSee(state, judged, v) ? 'up' : 'unknown'));
  return quorum(heard, rule) === 'up' ? was : 'unknown';
}

/** Whether the groups' sums of evidence together reach a threshold, in nats. */
function isProven(
  state: State,
  judged: Judged,
  of: (cs: CheckState) => number,
  h: number,
): boolean {
  const { config, groups } = judged;
  let sighted = 0;
  const each: number[] = [];
  for (const group of groups) {
    // Within a group the least counts: its paths share their failures.
    let least = Number.POSITIVE_INFINITY;
    for (const v of group) if (canSee(state, judged, v)) least = Math.min(least, of(v.cs));
    if (least === Number.POSITIVE_INFINITY) continue;
    sighted++;
    if (least > 0) each.push(least);
  }
  if (each.length === 0) return false;
  const need = quorumSize(sighted, groups.length, ruleOf(state, config));
  return each.length >= need && weight(each, need) >= h;
}

function canSee(state: State, { config, verdict }: Judged, { cs, way }: Voter): boolean {
  if (!sees(way) || cs.last === null) return false;
  return !isStale(cs, config, verdict, state.now);
}

/** A path's vote about one check: its own verdict, unless it is blind or not to be believed. */
function voteOf({ cs, way }: Voter): Verdict {
  return sees(way) ? cs.verdict : 'unknown';
}

/** The votes of the independent groups that may speak about a check. */
export function votes(groups: readonly (readonly Voter[])[], of: (v: Voter) => Verdict): Verdict[] {
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

export function thresholdOf(state: State, config: CheckConfig): number {
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

/**
 * After a reload, by what is configured now: nothing is down any longer for what is asked no more.
 * What is up is not lost to checks and paths that have not spoken yet.
 */
export function judgeAnew(state: State, out: Step): void {
  for (const judged of state.judged.values()) {
    const { verdict } = judged;
    const isNew = verdict === 'up' && verdictOf(state, judged) === 'unknown';
    if (!isNew) judge(state, judged, out);
  }
  for (const { name, health, required } of state.origins.values()) {
    const isNew = health === 'up' && healthOf(required.map((j) => j.verdict)) === 'unknown';
    if (!isNew) rejudge(state, name, out);
  }
}

function turn(state: State, origin: OriginState, health: Health, out: Step): void {
  const was = origin.health;
  origin.health = health;
  origin.sinceAt = state.now;
  if (health === 'up' && was === 'down') penalize(state, origin);
  if (health === 'up' && was === 'down' && origin.downSinceAt !== null) {
    rememberAbsence(state, origin.name, origin.downSinceAt, out);
  }
  if (health === 'up') [origin.downSinceAt, origin.failingSinceAt] = [null, null];
  if (health === 'down') {
    origin.downSinceAt ??= state.now;
    origin.failingSinceAt ??= failingSince(state, origin);
  }
  if (health === 'unknown') origin.settleFromAt = state.now;
  const why = inWords(origin);
  origin.why = why;
  note(out, 'health', null, `${origin.name}: ${was} -> ${health}: ${why}`, {
    origin: origin.name,
    was,
    health,
  });
}

/** Since when it fails by all the paths that say so: a path that is broken for long tells no more. */
function failingSince({ now }: State, { required }: OriginState): number {
  const down = required.filter(({ verdict }) => verdict === 'down').flatMap(({ all }) => all);
  const began = down
    .filter(({ cs }) => cs.missed > 0 && cs.hearsay === null)
    .map(({ cs }) => cs.missedSinceAt);
  return began.length === 0 ? now : Math.max(...began);
}

/** An origin that came and went is trusted less, for twice as long each time, up to a cap. */
function penalize(state: State, origin: OriginState): void {
  origin.flaps = origin.flaps.filter((at) => state.now - at < FLAP_MEMORY_MS);
  origin.flaps.push(state.now);
  const times = origin.flaps.length;
  if (times < 2) return;
  origin.trustedAt = state.now + Math.min(FLAP_CAP_MS, FLAP_BASE_MS * 2 ** (times - 2));
}

/** A diagnosis looks at a whole cloud, so a storm of verdicts is diagnosed together. */
export function diagnoseSoon(state: State, cloud: string): void {
  const known = state.clouds.get(cloud);
  if (known === undefined || isSet(known.deadline)) return;
  const waitMs = 5 + Math.floor(known.origins.length / 50);
  setDeadline(state.timers, known.deadline, state.now + waitMs);
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
  warnOfDns(state, facts, d, out);
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

/** A cloud that may refuse its users may refuse changes of their DNS: a person should know. */
function warnOfDns(state: State, facts: CloudFacts, d: Diagnosed, out: Step): void {
  const { cloud } = facts;
  const about = { kind: 'diagnosis', cloud } as const;
  if (d.word === 'control-plane-down' || d.word === 'auth-down') {
    const sentence = `${d.sentence}; its DNS may be unwritable`;
    raise(state, about, d.word, { sentence, data: { cloud, diagnosis: d.word } }, out);
    return;
  }
  // Nobody has seen it end while nobody sees, or while a service is not known yet.
  if (d.word === 'blind' || facts.services.some((s) => s.verdict === 'unknown')) return;
  close(state, about, `${d.word}: ${d.sentence}; its DNS should be writable again`, out);
}

function factsOf(state: State, cloud: string, origins: readonly string[]): CloudFacts {
  const groups = new Map<string, boolean>();
  for (const path of state.paths.values()) {
    if (path.cloud === cloud) continue;
    groups.set(path.group, (groups.get(path.group) ?? false) || sees(path));
  }
  return {
    cloud,
    origins: origins.map((name) => {
      const { own } = state.origins.get(name)!;
      return {
        name,
        region: state.config.origins[name]!.region,
        machine: own.length === 1 ? own[0]!.verdict : healthOf(own.map(({ verdict }) => verdict)),
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
export function countDown(state: State, cs: CheckState, by: number): void {
  const config = state.config.checks[cs.check];
  const path = state.paths.get(cs.path);
  if (by === 0 || path === undefined || config?.role !== 'origin' || config.aside) return;
  const cloud = config.cloud ?? '';
  path.down.set(cloud, Math.max(0, (path.down.get(cloud) ?? 0) + by));
  suspectAnew(state);
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
  // Who is not heard says nothing against it.
  const others = [...state.paths.values()].filter((p) => {
    return p.group !== path.group && (p.replica === null || p.replica.heard);
  });
  return others.length > 0 && others.every((p) => share(p) < 0.25);
}

/** With the sequential detector doubt lasts as long as there is evidence, not only a run. */
export function isInDoubt(state: State, { cs, way }: Voter, judged: Judged): boolean {
  if (way.blind || (way.replica !== null && !way.replica.heard)) return false;
  if (state.config.detector.kind === 'counters') return isDoubtful(cs);
  if (judged.verdict !== 'down') return cs.evidence > 0 || isDoubtful(cs);
  return cs.recovery > 0 || cs.verdict === 'unknown';
}

/** The records that wait to see once more that what they leave fails. */
export function leavingFor(state: State, config: CheckConfig): readonly Name[] {
  let touched = NOBODY;
  for (const name of restingOn(state, config)) {
    const leaving = state.origins.get(name)?.leaving;
    if (leaving != null && leaving.size > 0) touched = join(touched, [...leaving]);
  }
  return touched;
}

/** The records that wait for a pass from an origin alone: where its name leads is known already. */
export function resolvedOf(state: State, origin: string): readonly Name[] {
  const { waiting } = state.origins.get(origin)!;
  if (waiting === null || waiting.size === 0) return NOBODY;
  return [...waiting].filter((name) => state.records.get(name)?.choosing?.chain != null);
}

/** Adds names to those already touched; a list of its own grows in place, so a storm stays linear. */
export function join(a: readonly Name[], b: readonly Name[]): readonly Name[] {
  if (b.length === 0) return a;
  const all = a === NOBODY ? [] : (a as Name[]);
  for (const name of b) all.push(name);
  return all;
}

/** Some path turned: which of them stands alone is looked at anew. */
export function suspectAnew(state: State): void {
  for (const one of state.paths.values()) one.suspect = isSuspect(state, one);
}

/** Some path sees again, or no longer. After the dark what is unknown has time to settle (rule 8). */
export function lookAgain(state: State, wasDark: boolean): void {
  const dawns = wasDark && !nobodySees(state);
  for (const origin of state.origins.values()) {
    if (dawns && origin.health === 'unknown') origin.settleFromAt = state.now;
  }
  for (const cloud of state.clouds.keys()) diagnoseSoon(state, cloud);
}
