// Putting a target in force: the one way in which any record moves, whoever wishes it. It takes the
// next epoch, remembers what a step that cannot be committed takes back, and sends the lanes. It
// never decides whether to move.

import { isSwitching, restartCell } from './cell.ts';
import { alternatives, HOUR_MS, type Situation } from './decide.ts';
import { evidence } from './judge.ts';
import { markerNumber, nextEpoch } from './marker.ts';
import type { Marker, MarkerKind, Name, SwitchReason } from './model.ts';
import { news } from './notices.ts';
import { situation } from './situation.ts';
import { amend, note, type RecordState, randomId, type State, type Step } from './state.ts';
import { setDeadline } from './timers.ts';

/** A switch ends when every lane in reach is visible, or after this (rule 16). */
export const SWITCH_END_MS = 30_000;

export interface Move {
  readonly to: string;
  readonly kind: MarkerKind;
  readonly sentence: string;
  readonly why: SwitchReason;
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
  amend(out, r, {
    target: m.to,
    cname: target.cname,
    marker: lifted,
    epochMax: Math.max(r.doc.epochMax, lifted?.epoch ?? 0),
    decidedAt: state.now,
    endedAt: endOf(state, r),
    switches: m.spends ? [...recent, state.now] : recent,
    overspentAt: m.overspends ? state.now : r.doc.overspentAt,
    quietSinceAt: state.now,
    adopted: false,
  });
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
  news(r.name, `${word === 'switch' ? '' : 'would switch: '}${m.sentence}`, data, out);
  if (r.config.mode !== 'observe') startLanes(state, r);
}

/** What is only observed ends as it is decided: there is nothing to wait for. */
export function endOf(state: State, r: RecordState): number | null {
  return r.config.mode === 'observe' ? state.now : null;
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

/** Sends every lane of a record towards what is in force. */
export function startLanes(state: State, r: RecordState): void {
  for (const cell of r.cells.values()) restartCell(state, r, cell);
  if (isSwitching(r)) {
    const endsAt = (r.doc.decidedAt ?? state.now) + SWITCH_END_MS;
    setDeadline(state.timers, r.deadlines.endSwitch, Math.max(state.now, endsAt));
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

/** Forgets a candidate: decided otherwise, or overtaken by a pause, which no decision outlives. */
export function dropChoice(state: State, r: RecordState): void {
  if (r.choosing === null) return;
  state.origins.get(r.choosing.to)?.waiting.delete(r.name);
  state.origins.get(r.choosing.from)?.leaving.delete(r.name);
  r.choosing = null;
}
