// Which checks are watched: in what cadence and phase, at what rate a place may be asked, who votes,
// and what shows that a path can see. It must never ask all of a crowd in one moment.

import { type CheckState, checkKey, checkState, isStale } from './detect.ts';
import { arrangeHearsay } from './heard.ts';
import { countDown } from './judge.ts';
import type { CheckConfig } from './model.ts';
import { newRate } from './rate.ts';
import { type Lot, newLot, newTrack, type Reference } from './sight.ts';
import type { Judged, PathState, State, Voter } from './state.ts';
import { clearAll, isSet, setDeadline } from './timers.ts';

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

/** Where nothing is counted: of what another replica probes. */
const NO_LOT = newLot();

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
export function beginSoon(
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
export function nextInPhase(
  { phaseMs }: CheckState,
  { intervalMs }: CheckConfig,
  now: number,
): number {
  const since = (now - phaseMs) % intervalMs;
  const next = now - since + (since < 0 ? 0 : intervalMs);
  return next - now < intervalMs / 2 ? next + intervalMs : next;
}

/** What a check asks, together with others: its origin; all that ask somebody else stand alone. */
export function placeOf(check: CheckConfig): string {
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
