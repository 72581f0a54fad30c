// A move that goes provider by provider: one is written, followed until all its servers give the new
// target, and watched; then the next. Whoever waits for its turn keeps what it serves: nothing is
// written there, and it is not behind. It never decides a target, and never moves on while the target
// is not seen to be up.

import { converge, isOut, isWaiting } from './cell.ts';
import { own } from './own.ts';
import { SWITCH_END_MS } from './pace.ts';
import {
  amend,
  type Cell,
  note,
  type RecordState,
  type State,
  type Step,
  type Turns,
} from './state.ts';
import { setDeadline } from './timers.ts';
import { hasFreshPasses, probeFresh } from './watch.ts';

/** A provider is watched for its TTL, by when whoever asked it has moved; within these bounds. */
const WATCH_LEAST_MS = 10_000;
const WATCH_MOST_MS = 300_000;
/** Until the target is asked again for a pass begun while the provider was watched. */
const AGAIN_MS = 500;

/** The turns of a move that begins now; null where there is nobody to wait. */
export function turnsOf(state: State, r: RecordState, watchMs: number | null): Turns | null {
  const order = orderOf(r);
  const [first] = order;
  if (first === undefined || order.length === 1) return null;
  const ttl = Math.max(...[...r.cells.values()].map((cell) => cell.ttl)) * 1000;
  const usual = Math.min(WATCH_MOST_MS, Math.max(WATCH_LEAST_MS, ttl));
  return { order, openedAt: { [first]: state.now }, watchMs: watchMs ?? usual };
}

/** The smallest share of the resolvers first; where a share is not known, the order of publishing. */
export function orderOf(r: RecordState): readonly string[] {
  const cells = [...r.cells.values()];
  const shareOf = (cell: Cell) => cell.survey?.share ?? null;
  const names = cells.map(({ provider }) => provider);
  if (cells.some((cell) => shareOf(cell) === null)) return names;
  const least = [...cells].sort((a, b) => shareOf(a)! - shareOf(b)!);
  return least.map(({ provider }) => provider);
}

/** Whose turn it is, where it has not followed by the time a switch ends; null: nobody is late. */
export function lateTurn(state: State, r: RecordState): string | null {
  if (r.doc.turns === null) return null;
  const { provider, openedAt, cell } = latest(r, r.doc.turns);
  return isThere(cell) || state.now < openedAt + SWITCH_END_MS ? null : provider;
}

function latest(r: RecordState, { order, openedAt }: Turns) {
  const provider = order.findLast((name) => Object.hasOwn(openedAt, name)) ?? '';
  return { provider, openedAt: own(openedAt, provider) ?? 0, cell: r.cells.get(provider) };
}

function isThere(cell: Cell | undefined): boolean {
  return cell === undefined || isOut(cell) || cell.visibleAt !== null;
}

/** Gives the next provider its turn, once the one before has been watched. */
export function nextTurn(state: State, r: RecordState, out: Step): void {
  const { turns, drill } = r.doc;
  if (turns === null || !state.lease.held || !state.storeOk) return;
  const { openedAt, cell } = latest(r, turns);
  const isLate = state.now >= openedAt + SWITCH_END_MS;
  // A drill is broken off there; all else goes on, and whoever is behind follows by itself.
  if (!isThere(cell) && !(isLate && drill === null))
    return lookAt(state, r, openedAt + SWITCH_END_MS);
  const next = turns.order.find((name) => isWaiting(r, r.cells.get(name)));
  if (next === undefined) return amend(out, r, { turns: null });
  const sinceAt = cell?.visibleAt ?? openedAt;
  const dueAt = sinceAt + turns.watchMs;
  if (state.now < dueAt) return lookAt(state, r, dueAt);
  const target = r.doc.target ?? '';
  if (state.origins.get(target)?.health !== 'up') return;
  if (!hasFreshPasses(state, target, Math.max(sinceAt, dueAt - AGAIN_MS))) {
    probeFresh(state, target, out);
    return lookAt(state, r, state.now + AGAIN_MS);
  }
  amend(out, r, { turns: { ...turns, openedAt: { ...turns.openedAt, [next]: state.now } } });
  const sentence = `${r.name} at ${next}: its turn to go to ${target}`;
  note(out, 'turn', r.name, sentence, { provider: next, epoch: r.doc.marker?.epoch ?? 0 });
  const cellOf = r.cells.get(next)!;
  cellOf.turnAt = state.now;
  converge(state, r, cellOf, true);
}

function lookAt(state: State, r: RecordState, at: number): void {
  setDeadline(state.timers, r.deadlines.turn, Math.max(at, state.now + 1));
}

/** Nobody waits any longer: all go to what is in force. */
export function endTurns(state: State, r: RecordState, out: Step): void {
  if (r.doc.turns === null) return;
  const waiting = [...r.cells.values()].filter((cell) => isWaiting(r, cell));
  amend(out, r, { turns: null });
  if (r.config.mode === 'observe') return;
  for (const cell of waiting) {
    cell.turnAt = state.now;
    converge(state, r, cell, true);
  }
}
