// What this replica tells the others of a group: its own checks by its own paths, each where it has
// changed. A pass of what is up, and a failure of what is down, is no news: what is not told again
// stands, and is as young as the latest word. It never tells of another's paths, and never a time of
// its own clock: ages only.

import { type CheckState, lossRate, promisedMs, silentMs } from './detect.ts';
import { DETAIL_MAX, type Sighting, type Telling } from './heard.ts';
import type { CheckConfig, Verdict } from './model.ts';
import type { Eyes, Judged, State } from './state.ts';

/** What the sum of the turn that is not now's must change by to be told again, in nats. */
const OTHER_TURN_NATS = 8;

/** An own check has changed: the others are to be told. O(1). */
export function isNews(eyes: Eyes, cs: CheckState, now: number): void {
  if (cs.told === null) return;
  if (eyes.isRead) {
    // By the time, so that no later life of this process gives a version out twice.
    eyes.version = Math.max(eyes.version + 1, Math.floor(now));
    eyes.isRead = false;
  }
  cs.told.evidence = cs.evidence;
  cs.told.recovery = cs.recovery;
  if (cs.told.version === eyes.version) return;
  cs.told.version = eyes.version;
  eyes.log.push({ version: eyes.version, cs });
}

/** The sums of an own check have moved: whether that is news depends on whose turn it is. */
export function hasMoved(cs: CheckState, judged: Verdict): boolean {
  if (cs.told === null) return false;
  const down = Math.abs(cs.evidence - cs.told.evidence);
  const up = Math.abs(cs.recovery - cs.told.recovery);
  const [own, other] = judged === 'down' ? [up, down] : [down, up];
  return own > 0 || other >= OTHER_TURN_NATS;
}

/** What is told next is of this version: whoever was told less has something to hear. */
export function toldVersion(state: State): number {
  return state.eyes?.version ?? 0;
}

/**
 * All that changed after a version, and of which version it is; all there is where that is none of
 * this life. Null alone. O(what changed).
 */
export function telling(
  state: State,
  since: number,
): { readonly telling: Telling; readonly version: number } | null {
  const { eyes } = state;
  if (eyes === null) return null;
  eyes.isRead = true;
  compact(eyes);
  const whole = since < eyes.firstVersion || since > eyes.version;
  const sightings: Sighting[] = [];
  for (let i = whole ? 0 : firstAfter(eyes, since); i < eyes.log.length; i++) {
    const { version, cs } = eyes.log[i]!;
    if (cs.told!.version === version) sightings.push(sightingOf(state, cs));
  }
  const own = [...state.paths.values()].filter((path) => path.replica === null);
  return {
    version: eyes.version,
    telling: {
      replica: eyes.self,
      config: state.config.group?.hash ?? '',
      paths: own.map(({ name, blind, loss }) => ({
        path: name,
        blind,
        lossPermille: Math.round(1000 * lossRate(loss)),
      })),
      sightings,
      whole,
      records: whole || since < eyes.recordsVersion ? eyes.records : null,
      blind: own.every((path) => path.blind),
      acts: state.lease.held,
      head: 0,
      term: 0,
    },
  };
}

function sightingOf(state: State, cs: CheckState): Sighting {
  const judged = state.judged.get(cs.check)!;
  const { evidence, recovery } = worth(cs, judged);
  const ageMs = (at: number) => (at < 0 ? null : Math.max(0, state.now - at));
  const openMs = silentMs(cs, judged.config);
  const openAt = cs.pending.findLast((at) => state.now - at >= openMs);
  return {
    check: cs.check,
    path: cs.path,
    hash: judged.config.hash ?? '',
    verdict: cs.verdict,
    evidence,
    recovery,
    fails: cs.fails,
    passes: cs.passes,
    missed: cs.missed,
    passAgeMs: ageMs(cs.passBeganAt),
    failAgeMs: ageMs(cs.brokeAt),
    openAgeMs: openAt === undefined ? null : state.now - openAt,
    heardAgeMs: Math.max(0, state.now - cs.heardAt),
    outcome: cs.last?.outcome ?? null,
    detail: cs.last?.detail.slice(0, DETAIL_MAX) ?? '',
  };
}

/**
 * What the two sums are worth to somebody whose turn may be the other one: that of the turn which is
 * over counts only while nothing was seen yet that speaks for this one's end.
 */
function worth(cs: CheckState, { verdict }: Judged): { evidence: number; recovery: number } {
  const isOver = verdict === 'down' ? cs.recovery > 0 : cs.evidence > 0;
  const round = (nats: number) => Math.round(nats * 1000) / 1000;
  return {
    evidence: verdict === 'down' && isOver ? 0 : round(cs.evidence),
    recovery: verdict !== 'down' && isOver ? 0 : round(cs.recovery),
  };
}

/** Nothing was heard of it for longer than is promised: the others count its age themselves. */
export function isLateToTell(cs: CheckState, config: CheckConfig, now: number): boolean {
  return cs.told !== null && now - cs.heardAt > promisedMs(config);
}

/** The place in the log of the first change after a version. */
function firstAfter({ log }: Eyes, version: number): number {
  let [low, high] = [0, log.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (log[middle]!.version <= version) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Drops what has changed again since, once that is most of the log. */
function compact(eyes: Eyes): void {
  if (eyes.log.length <= 2 * eyes.checks + 64) return;
  eyes.log = eyes.log.filter(({ version, cs }) => cs.told?.version === version);
}
