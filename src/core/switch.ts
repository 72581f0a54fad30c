// Putting a target in force: the one way in which any record moves, whoever wishes it. It takes the
// next epoch, remembers what a step that cannot be committed takes back, and sends the lanes. It
// never decides whether to move; what a decision looks at is gathered here, too.

import { isOut, isSwitching, restartCell } from './cell.ts';
import { alternatives, HOUR_MS, type Situation, type TargetFacts } from './decide.ts';
import { evidence, nobodySees } from './judge.ts';
import { markerNumber, nextEpoch } from './marker.ts';
import type { Marker, MarkerKind, Name } from './model.ts';
import {
  keep,
  note,
  type OriginState,
  type RecordState,
  randomId,
  type State,
  type Step,
  tell,
} from './state.ts';
import { setTimer } from './timers.ts';
import { settleMs } from './watch.ts';

/** A switch ends when every lane in reach is visible, or after this (rule 16). */
export const SWITCH_END_MS = 30_000;

export interface Move {
  readonly to: string;
  readonly kind: MarkerKind;
  readonly sentence: string;
  readonly why: string;
  /** Counts against the budget of automatic switches. */
  readonly spends: boolean;
  readonly overspends: boolean;
  readonly pinned: boolean;
  readonly pinUntilAt: number | null;
  /** What was looked at when it was decided; looked at again when left out. */
  readonly situation?: Situation;
}

/**
 * Makes a target the one in force, under the next epoch, and sends every lane there. Without a next
 * epoch it does nothing: whoever decides or commands looks at `isSpent` first.
 */
export function switchTo(state: State, r: RecordState, m: Move, out: Step): void {
  const id = randomId(state);
  // What is only imagined bears no marker: the one that stands belongs to another target.
  const lifted = r.config.mode === 'observe' ? null : nextMarker(state, r, m, id);
  if (lifted === null && r.config.mode !== 'observe') return;
  const s = m.situation ?? situation(state, r, null);
  const target = r.config.targets.find((t) => t.origin === m.to)!;
  const from = r.doc.target;
  dropChoice(state, r);
  r.stay = { reason: 'target-up', sentence: `${m.to} was just taken` };
  r.prior = r.doc;
  state.tentative.push(r.name);
  const recent = r.doc.switches.filter((at) => state.now - at < HOUR_MS);
  r.doc = {
    ...r.doc,
    target: m.to,
    cname: target.cname,
    marker: lifted,
    epochMax: Math.max(r.doc.epochMax, lifted?.epoch ?? 0),
    decidedAt: state.now,
    endedAt: null,
    switches: m.spends ? [...recent, state.now] : recent,
    overspentAt: m.overspends ? state.now : r.doc.overspentAt,
    quietSinceAt: state.now,
    adopted: false,
  };
  keep(out, r);
  const word = r.config.mode === 'observe' ? 'would-switch' : 'switch';
  const data = {
    from,
    to: m.to,
    epoch: r.doc.marker?.epoch ?? 0,
    id,
    kind: m.kind,
    why: m.why,
    ...grounds(state, s, from, m.to),
  };
  note(out, word, r.name, `${r.name}: ${m.sentence}`, data);
  tell(out, 'switch', r.name, `${word === 'switch' ? '' : 'would switch: '}${m.sentence}`, data);
  if (r.config.mode === 'observe') {
    r.doc.endedAt = state.now;
    return;
  }
  startLanes(state, r);
}

/** What a decision rested on, for `detour explain`: bounded, and kept with it in the journal. */
function grounds(state: State, s: Situation, from: string | null, to: string) {
  const cloud = state.config.origins[from ?? '']?.cloud ?? '';
  return {
    votes: state.origins.get(from ?? '')?.why ?? '',
    candidate: evidence(state, state.origins.get(to)!),
    alternatives: alternatives(s, to),
    diagnosis: state.clouds.get(cloud)?.diagnosis.sentence ?? '',
    budget: `${s.switches.length} of ${s.switchesPerHour} in the last hour`,
    patienceMs: s.patienceMs,
  };
}

/** The marker of a record's next switch; null when no epoch is left for it. */
export function nextMarker(state: State, r: RecordState, m: Move, id: string): Marker | null {
  const epoch = nextEpoch(r.doc.epochMax);
  if (epoch === null) return null;
  const until = m.pinUntilAt === null ? null : m.pinUntilAt - state.now + state.wall;
  return {
    cluster: state.config.cluster,
    epoch,
    id,
    term: markerNumber(state.lease.term),
    kind: m.kind,
    target: m.to,
    pinned: m.pinned,
    untilWall: until === null ? null : markerNumber(until),
  };
}

/** Some marker bore the highest epoch there is: none is left that would overrule it. */
export function isSpent(r: RecordState): boolean {
  return r.config.mode === 'steer' && nextEpoch(r.doc.epochMax) === null;
}

/** What a person does about a record whose epochs are spent. */
export function spentSays(name: Name): string {
  return (
    `a marker bears the highest epoch there is, so no switch can overrule it: remove it at every ` +
    `provider, take ${name} out of the configuration and reload, then put it back`
  );
}

/** Sends every lane of a record towards what is in force. */
export function startLanes(state: State, r: RecordState): void {
  for (const cell of r.cells.values()) restartCell(state, r, cell);
  if (isSwitching(r)) {
    const endsAt = (r.doc.decidedAt ?? state.now) + SWITCH_END_MS;
    setTimer(state.timers, `e:${r.name}`, Math.max(state.now, endsAt));
  }
}

/** The step that decided could not be committed: what was in force stays in force. */
export function takeBack(state: State, name: Name): void {
  const r = state.records.get(name);
  if (r === undefined || r.prior === null) return;
  r.doc = r.prior;
  r.prior = null;
  startLanes(state, r);
}

export function situation(state: State, r: RecordState, waits: Situation['unowned']): Situation {
  const { doc } = r;
  let reading = false;
  let lanesInStep = true;
  for (const cell of r.cells.values()) {
    if (cell.reading === 'pending') reading = true;
    if (!isOut(cell) && cell.visibleAt === null) lanesInStep = false;
  }
  const configured = r.config.targets.some((t) => t.origin === doc.target && t.cname === doc.cname);
  const freeze = r.doc.freeze ?? state.freeze;
  const unadopted = { reason: 'not-adopted' as const, sentence: 'nothing is in force yet' };
  return {
    now: state.now,
    leader: state.lease.held,
    storeOk: state.storeOk,
    frozen: freeze?.reason ?? null,
    deposed: doc.deposed !== null,
    spent: isSpent(r) ? spentSays(r.name) : null,
    unowned: waits ?? (doc.target === null ? unadopted : null),
    retired: !configured,
    blind: nobodySees(state),
    reading,
    current: doc.target,
    pin: doc.pin,
    targets: r.origins.map((origin) => targetFacts(state, r, origin)),
    patienceMs: r.config.patienceMs,
    dawnUntilAt: r.dawnUntilAt,
    failback: r.config.failback,
    quietSinceAt: doc.quietSinceAt,
    lanesInStep,
    switches:
      doc.switches.length === 0
        ? doc.switches
        : doc.switches.filter((at) => state.now - at < HOUR_MS),
    switchesPerHour: r.config.switchesPerHour,
    overspentAt: doc.overspentAt,
  };
}

function targetFacts(state: State, r: RecordState, origin: OriginState): TargetFacts {
  const { name } = origin;
  const settlesAt = origin.health === 'unknown' ? origin.settleFromAt + settleMs(origin) : 0;
  return {
    origin: name,
    health: origin.health,
    sinceAt: origin.sinceAt,
    downSinceAt: origin.downSinceAt,
    settlesAt: settlesAt > state.now ? settlesAt : null,
    drained: isDrained(state, name),
    unresolved: r.unresolved.size > 0 && (r.unresolved.get(name) ?? 0) > state.now,
    doomedSinceAt: doomedSince(origin),
    trustedAt: origin.trustedAt,
  };
}

/** Since when this origin's cloud or region has been failing around it; null when it is not. */
function doomedSince({ cloud, region }: OriginState): number | null {
  if (cloud === null) return null;
  const { word, regions } = cloud.diagnosis;
  const struck =
    word === 'cloud-down' || (word === 'region-down' && regions.includes(region ?? ''));
  return struck ? cloud.sinceAt : null;
}

export function isDrained(state: State, origin: string): boolean {
  if (state.drains.size === 0) return false;
  const cloud = state.config.origins[origin]?.cloud ?? '';
  return state.drains.has(origin) || state.drains.has(cloud);
}

/** Forgets a candidate: decided otherwise, or overtaken by a pause, which no decision outlives. */
export function dropChoice(state: State, r: RecordState): void {
  if (r.choosing === null) return;
  state.origins.get(r.choosing.to)?.waiting.delete(r.name);
  r.choosing = null;
}
