// Taking over what stands at the providers: a record of which nothing is in force yet, and a genuine
// marker that is ahead. It never writes, and what is nobody's or somebody else's it leaves alone; an
// answer of DNS adopts nothing and moves nobody (design, rules 4, 14, 25 and 26).

import { hold, markerAhead } from './cell.ts';
import type { Situation } from './decide.ts';
import { supersede } from './drill.ts';
import { compareMarkers, FIRST_ID } from './marker.ts';
import type { Marker, MarkerKind } from './model.ts';
import { adoption, companySays, isConfigured, type Standing } from './plan.ts';
import { isSpent, spentSays } from './situation.ts';
import { carriedAfter } from './standby.ts';
import {
  amend,
  type Cell,
  note,
  type RecordState,
  randomId,
  type State,
  type Step,
} from './state.ts';
import { dropChoice, endOf, nextMarker, startLanes } from './switch.ts';

/** A pin that only a marker tells of lasts at most so long. */
const MARKER_PIN_MS = 7_200_000;

/** Somebody else's marker or value was found at one of its providers. */
export function isChallenged(r: RecordState): boolean {
  for (const cell of r.cells.values()) {
    if (cell.ahead !== null || cell.edited !== null) return true;
  }
  return false;
}

/**
 * Rule 14: a genuine marker that is ahead is followed if an operator's, and deposes us if not. To a
 * target that is not configured here it leads nobody: its epoch counts, and that provider is held.
 */
export function takeMarkers(state: State, r: RecordState, out: Step): void {
  const ahead = r.doc.target === null ? null : markerAhead(r);
  const own = r.doc.marker;
  if (ahead === null || (own !== null && compareMarkers(ahead.marker, own) <= 0)) return;
  const { marker } = ahead;
  const cells = [...r.cells.values()].filter((cell) => cell.ahead !== null);
  for (const cell of cells) cell.ahead = null;
  const ofGroup = isOfGroup(state, marker);
  if (ofGroup) amend(out, r, { deposed: null });
  const isLate = cells.some((cell) => r.doc.unheard.includes(cell.provider));
  const isFollowed = marker.kind === 'operator' || ofGroup || isLate;
  if (isFollowed && isConfigured(r.config, ahead)) return take(state, r, marker, out);
  if (marker.kind === 'operator') {
    const what = `epoch ${marker.epoch}, an operator's, leads to ${marker.target} (${ahead.cname})`;
    const sentence = `${what}, which is not configured here: the next switch overrules it`;
    for (const cell of cells) hold(state, r, cell, { word: 'rival', sentence }, out);
    return;
  }
  if (r.doc.deposed !== null && r.doc.deposed.epoch >= marker.epoch) return;
  amend(out, r, { deposed: marker });
  dropChoice(state, r);
  for (const cell of r.cells.values()) cell.work = 'none';
  const sentence = `${r.name}: somebody else of this cluster wrote epoch ${marker.epoch}`;
  note(out, 'deposed', r.name, sentence, { epoch: marker.epoch, id: marker.id });
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

/**
 * The lease has gone to others, or come from them: what they wrote no longer deposes. While it leads
 * to what is not configured here, it does (rule 2).
 */
export function reconcile(state: State, r: RecordState, out: Step): void {
  const { deposed } = r.doc;
  if (deposed === null || !isOfGroup(state, deposed)) return;
  if (!r.config.targets.some((t) => t.origin === deposed.target)) return;
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

/** Makes a marker that was found the one in force, with its pin. */
export function force(state: State, r: RecordState, m: Marker, out: Step): void {
  const target = r.config.targets.find((t) => t.origin === m.target);
  const untilAt = state.now + Math.min(m.pinMs ?? MARKER_PIN_MS, MARKER_PIN_MS);
  supersede(state, r, `epoch ${m.epoch} on ${m.target} was found`, out);
  amend(out, r, {
    target: m.target,
    left: r.doc.target,
    carried: carriedAfter(state, r),
    cname: target?.cname ?? r.doc.cname,
    marker: m,
    since: m.epoch,
    epochMax: Math.max(r.doc.epochMax, m.epoch),
    decidedAt: state.now,
    endedAt: endOf(state, r),
    quietSinceAt: state.now,
    adopted: false,
    turns: null,
    unheard: [...r.cells.values()].filter((c) => c.answeredAt === 0).map((c) => c.provider),
    pin: m.pinned
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

/** What each provider's API has said; null where it has not. */
export function foundByApi(r: RecordState): Readonly<Record<string, Standing | null>> {
  const cells = [...r.cells.values()];
  // Whoever was read by its API before and by DNS since has not said what DNS says.
  const isByApi = (c: Cell) => c.answeredAt > 0 && c.standingBy === 'api';
  return Object.fromEntries(cells.map((c) => [c.provider, isByApi(c) ? c.standing : null]));
}

/** Rule 4 for a record with nothing in force yet; why it waits, or null when it waits no more. */
export function adopt(state: State, r: RecordState, out: Step): Situation['unowned'] {
  const cells = [...r.cells.values()];
  if (cells.some((c) => c.reading === 'pending')) return null;
  if (!state.storeOk) return null;
  const a = adoption(r.config, foundByApi(r));
  if (a.kind === 'wait') return { reason: a.reason, sentence: a.sentence };
  if (a.kind === 'take') {
    force(state, r, a.marker, out);
    note(out, 'adopt', r.name, `${r.name}: found at epoch ${a.marker.epoch} on ${a.marker.target}`);
  } else {
    if (isSpent(r)) return { reason: 'epochs-spent', sentence: spentSays(r.name) };
    const others = company(r);
    if (others !== null && r.config.mode !== 'observe') {
      const cure = `then run \`detour adopt ${r.name} ${a.target}\``;
      return { reason: 'foreign', sentence: `${others}, ${cure}` };
    }
    begin(state, r, a.target, 'auto', out);
    // Rule 4: those that differ are held alone. What cannot be committed goes with its marker.
    const claims = a.at.map((provider) => [provider, 'configured'] as const);
    amend(out, r, { claims: Object.fromEntries(claims) });
    const sentence = `${r.name}: adopted on ${a.target}, as it stood`;
    note(out, 'adopt', r.name, sentence, { target: a.target });
  }
  if (r.config.mode !== 'observe') startLanes(state, r);
  return null;
}

/** Which other tools manage the record, and what to do there; null: none that was seen. */
export function company(r: RecordState): string | null {
  return companySays(r.name, [...r.cells.values()]);
}

/** The first marker of a record: nothing moves, the marker alone is written. Not once `isSpent`. */
export function begin(state: State, r: RecordState, to: string, kind: MarkerKind, out: Step): void {
  const target = r.config.targets.find((t) => t.origin === to)!;
  // What is taken over again may be pinned meanwhile.
  const { pin } = r.doc;
  const move = { to, kind, pinned: pin !== null, pinUntilAt: pin?.untilAt ?? null };
  const observed = r.config.mode === 'observe';
  // The very first marker of a record is the same text whoever writes it: of two first writers at a
  // vendor without compare-and-swap the second is then refused as a duplicate.
  const isFirst = r.doc.epochMax === 0;
  const next = nextMarker(state, r, move, isFirst ? FIRST_ID : randomId(state));
  if (next === null && !observed) return;
  const first = { term: 0, kind: 'auto' as const };
  const marker = observed || next === null ? null : isFirst ? { ...next, ...first } : next;
  r.prior ??= r.doc;
  state.tentative.push(r.name);
  amend(out, r, {
    target: to,
    cname: target.cname,
    marker,
    since: marker?.epoch ?? 0,
    epochMax: Math.max(r.doc.epochMax, marker?.epoch ?? 0),
    decidedAt: state.now,
    endedAt: endOf(state, r),
    quietSinceAt: state.now,
    // A short TTL of our own wish is no one else's to be left as it is.
    adopted: r.doc.prepared === null,
    unheard: [],
  });
}
