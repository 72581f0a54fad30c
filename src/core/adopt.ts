// Taking over what stands at the providers: a record that bears no marker yet, a marker of ours that
// is ahead, a value that somebody set by hand. It never writes, and what is nobody's or somebody
// else's it leaves alone (design, rules 4 and 14).

import { markerAhead } from './cell.ts';
import type { Situation } from './decide.ts';
import { FIRST_ID } from './marker.ts';
import type { Marker, MarkerKind } from './model.ts';
import { adoption } from './plan.ts';
import { isSpent, spentSays } from './situation.ts';
import {
  amend,
  type Cell,
  note,
  type RecordState,
  randomId,
  type State,
  type Step,
} from './state.ts';
import { dropChoice, endOf, type Move, nextMarker, startLanes, switchTo } from './switch.ts';

/** How long an edit to a configured target is held. */
const EDIT_PIN_MS = 3_600_000;

/** Somebody else's marker or value was found at one of its providers. */
export function isChallenged(r: RecordState): boolean {
  for (const cell of r.cells.values()) {
    if (cell.ahead !== null || cell.edited !== null) return true;
  }
  return false;
}

/** Rule 14: a marker of ours that is ahead is taken if an operator's, and deposes us if not. */
export function takeMarkers(state: State, r: RecordState, out: Step): void {
  const ahead = r.doc.target === null ? null : markerAhead(r);
  if (ahead === null) return;
  const own = r.doc.marker;
  const isRival = own !== null && ahead.epoch === own.epoch && ahead.kind === own.kind;
  if (isRival || (own !== null && ahead.epoch < own.epoch)) return;
  for (const cell of r.cells.values()) cell.ahead = null;
  if (isOfGroup(state, ahead)) amend(out, r, { deposed: null });
  if (ahead.kind === 'operator' || isOfGroup(state, ahead)) return take(state, r, ahead, out);
  if (r.doc.deposed !== null && r.doc.deposed.epoch >= ahead.epoch) return;
  amend(out, r, { deposed: ahead });
  dropChoice(state, r);
  for (const cell of r.cells.values()) cell.work = 'none';
  const sentence = `${r.name}: somebody else of this cluster wrote epoch ${ahead.epoch}`;
  note(out, 'deposed', r.name, sentence, { epoch: ahead.epoch, id: ahead.id });
}

function take(state: State, r: RecordState, m: Marker, out: Step): void {
  force(state, r, m, out);
  const whose = m.kind === 'operator' ? 'an operator' : 'another replica';
  note(out, 'taken', r.name, `${r.name}: ${whose}'s switch to ${m.target} was found`, {
    epoch: m.epoch,
    id: m.id,
  });
  startLanes(state, r);
}

/** The lease has gone to others, or come from them: what they wrote no longer deposes. */
export function reconcile(state: State, r: RecordState, out: Step): void {
  const { deposed } = r.doc;
  if (deposed === null || !isOfGroup(state, deposed)) return;
  amend(out, r, { deposed: null });
  take(state, r, deposed, out);
}

/**
 * Of replicas that share a lease, whoever does not hold it follows the one who does, and whoever
 * takes it over goes on from where its predecessors were: their terms are lower.
 */
function isOfGroup(state: State, m: Marker): boolean {
  const { held, term, shared } = state.lease;
  return shared && (!held || m.term < term);
}

/**
 * A human set one of the record's own targets at one provider: that is an operator's switch made
 * elsewhere, so it is carried to all providers and held as a pin, if that target is up. To one
 * that is not up it stays what it is, an edit: a stale tool that puts back an old value must not
 * drag everybody to a dead origin.
 */
export function takeEdit(state: State, r: RecordState, out: Step): void {
  let cell: Cell | null = null;
  for (const c of r.cells.values()) {
    if (c.edited !== null && c.edited !== r.doc.target) cell ??= c;
  }
  if (cell === null || r.doc.deposed !== null || isSpent(r)) return;
  if (!state.storeOk || !state.lease.held) return;
  const to = cell.edited!;
  // Looked at once, when it is found: an edit left standing must not act hours later.
  cell.edited = null;
  if (state.origins.get(to)?.health !== 'up') return;
  const pinUntilAt = state.now + EDIT_PIN_MS;
  const sentence = `${r.doc.target} -> ${to}: set by hand at ${cell.provider}`;
  const operator = { kind: 'operator', why: 'edited', spends: false, overspends: false } as const;
  switchTo(state, r, { to, sentence, ...operator, pinned: true, pinUntilAt }, out);
  const by = `an edit at ${cell.provider}`;
  const pin = { target: to, reason: 'set by hand', by, sinceAt: state.now, untilAt: pinUntilAt };
  amend(out, r, { pin });
}

/** Makes a marker that was found the one in force, with its pin. */
export function force(state: State, r: RecordState, m: Marker, out: Step): void {
  const target = r.config.targets.find((t) => t.origin === m.target);
  const untilAt = m.untilWall === null ? null : m.untilWall - state.wall + state.now;
  const pinned = m.pinned && (untilAt === null || untilAt > state.now);
  const stands = [...r.cells.values()].find(
    (c) => c.standing?.kind === 'ours' && c.standing.marker.id === m.id,
  );
  amend(out, r, {
    target: m.target,
    cname: target?.cname ?? stands?.seen?.cname ?? r.doc.cname,
    marker: m,
    epochMax: Math.max(r.doc.epochMax, m.epoch),
    decidedAt: state.now,
    endedAt: endOf(state, r),
    quietSinceAt: state.now,
    adopted: false,
    pin: pinned
      ? {
          target: m.target,
          reason: 'switched by hand',
          by: 'the marker',
          sinceAt: state.now,
          untilAt,
        }
      : null,
  });
}

/** Rule 4 for a record with nothing in force yet; why it waits, or null when it waits no more. */
export function adopt(state: State, r: RecordState, out: Step): Situation['unowned'] {
  const cells = [...r.cells.values()];
  if (cells.some((c) => c.reading === 'pending')) return null;
  const found = Object.fromEntries(
    cells.map((c) => [c.provider, c.reading === 'read' ? c.standing : null]),
  );
  if (!state.storeOk) return null;
  const a = adoption(r.config, found);
  if (a.kind === 'wait') return { reason: a.reason, sentence: a.sentence };
  if (a.kind === 'take') {
    force(state, r, a.marker, out);
    note(out, 'adopt', r.name, `${r.name}: found at epoch ${a.marker.epoch} on ${a.marker.target}`);
  } else {
    if (isSpent(r)) return { reason: 'epochs-spent', sentence: spentSays(r.name) };
    const claims = cells.map((c) => [c.provider, 'configured'] as const);
    amend(out, r, { claims: Object.fromEntries(claims) });
    begin(state, r, a.target, 'auto', out);
    const sentence = `${r.name}: adopted on ${a.target}, as it stood`;
    note(out, 'adopt', r.name, sentence, { target: a.target });
  }
  if (r.config.mode !== 'observe') startLanes(state, r);
  return null;
}

/** The first marker of a record: nothing moves, the marker alone is written. Not once `isSpent`. */
export function begin(state: State, r: RecordState, to: string, kind: MarkerKind, out: Step): void {
  const target = r.config.targets.find((t) => t.origin === to)!;
  const move = { to, kind, pinned: false, pinUntilAt: null };
  const m: Move = { ...move, sentence: '', why: 'adopt', spends: false, overspends: false };
  const observed = r.config.mode === 'observe';
  // The very first marker of a record is the same text whoever writes it: of two first writers at a
  // vendor without compare-and-swap the second is then refused as a duplicate.
  const isFirst = r.doc.epochMax === 0;
  const next = nextMarker(state, r, m, isFirst ? FIRST_ID : randomId(state));
  if (next === null && !observed) return;
  const first = { term: 0, kind: 'auto' as const };
  const marker = observed || next === null ? null : isFirst ? { ...next, ...first } : next;
  r.prior = r.doc;
  state.tentative.push(r.name);
  amend(out, r, {
    target: to,
    cname: target.cname,
    marker,
    epochMax: Math.max(r.doc.epochMax, marker?.epoch ?? 0),
    decidedAt: state.now,
    endedAt: endOf(state, r),
    quietSinceAt: state.now,
    adopted: true,
  });
}
