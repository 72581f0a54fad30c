// Putting a target in force: the one way in which any record moves, whoever wishes it. It takes the
// next epoch, remembers what a step that cannot be committed takes back, and sends the lanes. It
// never decides whether to move.

import { isWaiting, restartCell } from './cell.ts';
import { alternatives, ofLastHour, type Situation } from './decide.ts';
import { supersede } from './drill.ts';
import { evidence } from './judge.ts';
import { isSameMarker, markerNumber, nextEpoch } from './marker.ts';
import type { Marker, MarkerKind, Name, SwitchReason } from './model.ts';
import { news } from './notices.ts';
import { promise } from './objective.ts';
import { own } from './own.ts';
import { SWITCH_END_MS } from './pace.ts';
import { helpsWithinMs } from './patience.ts';
import { situation } from './situation.ts';
import { carriedAfter } from './standby.ts';
import {
  amend,
  isSwitching,
  type Late,
  note,
  type RecordDoc,
  type RecordState,
  randomId,
  type State,
  type Step,
  type Turns,
} from './state.ts';
import { setDeadline } from './timers.ts';

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
  /** Who goes when, where it goes provider by provider; all at once when left out. */
  readonly turns?: Turns | null | undefined;
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
  noteUsed(r, m);
  r.stay = { reason: 'target-up', sentence: `${m.to} was just taken` };
  r.prior ??= r.doc;
  state.tentative.push(r.name);
  promise(state, r, from, m.why);
  const late = lateWrites(state, r);
  if (m.why !== 'drill') supersede(state, r, m.sentence, out);
  const recent = ofLastHour(r.doc.switches, state.now);
  amend(out, r, {
    target: m.to,
    cname: target.cname,
    marker: lifted,
    since: lifted?.epoch ?? 0,
    epochMax: Math.max(r.doc.epochMax, lifted?.epoch ?? 0),
    decidedAt: state.now,
    endedAt: endOf(state, r),
    switches: m.spends ? [...recent, state.now] : recent,
    overspentAt: m.overspends ? state.now : r.doc.overspentAt,
    quietSinceAt: state.now,
    adopted: false,
    unheard: [],
    late,
    left: from,
    carried: carriedAfter(state, r),
    approval: null,
    hook: null,
    drill: drillAfter(state, r, m.to),
    turns: m.turns ?? null,
  });
  const helpsInMs = helpsWithinMs(state, r);
  r.helps = { decidedAt: state.now, at: state.now + helpsInMs };
  const word = r.config.mode === 'observe' ? 'would-switch' : 'switch';
  const data = {
    from,
    to: m.to,
    epoch: r.doc.marker?.epoch ?? 0,
    id,
    kind: m.kind,
    why: m.why,
    helpsInMs,
    ...grounds(state, s, from, m.to),
  };
  note(out, word, r.name, `${r.name}: ${m.sentence}`, data);
  // A drill tells of itself.
  const told = `${word === 'switch' ? '' : 'would switch: '}${m.sentence}`;
  if (m.why !== 'drill') news(r.name, told, data, out);
  if (r.config.mode !== 'observe') startLanes(state, r);
}

/** A question is used once, and whoever answers it later is told what became of it. */
function noteUsed(r: RecordState, m: Move): void {
  const { approval: a } = r.doc;
  if (a === null) return;
  const how =
    a.answer === 'approved' ? `${a.answer} ${a.by}, and done` : `overtaken: ${m.sentence}`;
  r.asked = { id: a.id, sentence: `${a.from} -> ${a.to}: ${how}` };
}

/** How far the drill is with this move; null: it is none of a drill's. */
function drillAfter(state: State, r: RecordState, to: string): RecordDoc['drill'] {
  const { drill } = r.doc;
  if (drill === null) return null;
  return { ...drill, stage: to === drill.to ? 'going' : 'returning', stageAt: state.now };
}

/**
 * The same target under a new epoch: a pin begins or ends, or a marker that gives no order stands
 * above ours; with `anew`, what is held at a provider ends as with a switch. False where no epoch is
 * left, or nothing is written for this record.
 */
export function reissue(
  state: State,
  r: RecordState,
  kind: MarkerKind,
  out: Step,
  anew: 'anew' | null = null,
): boolean {
  const { target, pin } = r.doc;
  if (target === null || r.doc.marker === null || r.config.mode === 'observe') return false;
  // No epoch is given out that is not committed: the marker follows when the store works again.
  if (!state.storeOk) {
    state.unmarked.add(r.name);
    return false;
  }
  const how = { to: target, kind, pinned: pin !== null, pinUntilAt: pin?.untilAt ?? null };
  const marker = nextMarker(state, r, how, randomId(state));
  if (marker === null) return false;
  r.prior ??= r.doc;
  state.tentative.push(r.name);
  const epochMax = Math.max(r.doc.epochMax, marker.epoch);
  const since = anew === null ? r.doc.since : marker.epoch;
  const decidedAt = state.now;
  const left = target;
  amend(out, r, { marker, since, epochMax, decidedAt, endedAt: null, unheard: [], left });
  startLanes(state, r);
  return true;
}

/** By provider: what was sent there, is not known to stand, and may still arrive (rule 15). */
function lateWrites(state: State, r: RecordState): RecordDoc['late'] {
  const late: Record<string, Late> = {};
  for (const cell of r.cells.values()) {
    const { cname, marker } = r.doc;
    // What has been seen to stand there was answered for, whoever has changed it since.
    const placed = own(r.doc.placed, cell.provider);
    const hasStood = placed !== undefined && marker !== null && isSameMarker(placed.marker, marker);
    const isSent = cell.writtenAt === null && cname !== null && !isWaiting(r, cell);
    const isOpen = isSent && !cell.held && !hasStood;
    const one = isOpen ? { value: cname, at: state.now } : cell.lost;
    if (one !== null) late[cell.provider] = one;
  }
  return late;
}

/** What is only observed ends as it is decided: there is nothing to wait for. */
export function endOf(state: State, r: RecordState): number | null {
  return r.config.mode === 'observe' ? state.now : null;
}

/** What a decision rested on, for `detour explain`: bounded, and kept with it in the journal. */
export function grounds(state: State, s: Situation, from: string | null, to: string) {
  const cloud = state.config.origins[from ?? '']?.cloud ?? '';
  return {
    votes: state.origins.get(from ?? '')?.why ?? '',
    candidate: evidence(state, state.origins.get(to)!),
    alternatives: alternatives(s, to),
    diagnosis: state.clouds.get(cloud)?.diagnosis.sentence ?? '',
    budget: budgetSays(s),
    patienceMs: s.patience.ms,
    ...(s.patience.why === null ? {} : { patience: s.patience.why }),
    ...whoHeard(state),
  };
}

function budgetSays({ switches, switchesPerHour, needless }: Situation): string {
  const but = needless === 0 ? '' : `, ${needless} of them needless`;
  return `${switches.length} of ${switchesPerHour} in the last hour${but}`;
}

/** In a group: who acted, and whom it heard by then. */
function whoHeard({ eyes, now }: State): { readonly acts?: string; readonly replicas?: string } {
  if (eyes === null) return {};
  const others = [...eyes.others.values()].map(({ name, heard, saidAt, why }) =>
    heard ? `${name} heard ${now - saidAt} ms ago` : `${name} not heard: ${why}`,
  );
  return { acts: eyes.self, replicas: others.join('; ') };
}

/** The marker of a record's next switch; null when no epoch is left for it. */
export function nextMarker(
  state: State,
  r: RecordState,
  m: Pick<Move, 'to' | 'kind' | 'pinned' | 'pinUntilAt'>,
  id: string,
): Marker | null {
  const epoch = nextEpoch(r.doc.epochMax);
  if (epoch === null) return null;
  return {
    cluster: state.config.cluster,
    epoch,
    id,
    term: markerNumber(state.lease.term),
    kind: m.kind,
    target: m.to,
    pinned: m.pinned,
    pinMs: m.pinUntilAt === null ? null : markerNumber(m.pinUntilAt - state.now),
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
  // Nothing moved: what was said holds, and its marker follows.
  if (r.prior.target === r.doc.target && r.prior.marker !== null) state.unmarked.add(name);
  r.doc = r.prior;
  r.prior = null;
  r.promised = null;
  startLanes(state, r);
}

/** Forgets a candidate: decided otherwise, or overtaken by a pause, which no decision outlives. */
export function dropChoice(state: State, r: RecordState): void {
  if (r.choosing === null) return;
  state.origins.get(r.choosing.to)?.waiting?.delete(r.name);
  state.origins.get(r.choosing.from)?.leaving?.delete(r.name);
  r.choosing = null;
}
