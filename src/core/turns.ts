// A move that goes provider by provider: one is written, followed until all its servers give the new
// target, and watched; then the next. Whoever waits for its turn keeps what it serves: nothing is
// written there, and it is not behind. It never decides a target, and never moves on while the target
// is not seen to be up.

import { converge, isOut, isWaiting } from './cell.ts';
import { own } from './own.ts';
import { SWITCH_END_MS } from './pace.ts';
import { isDrained } from './situation.ts';
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

/** Who has had its turn and has not followed by the time a switch ends; null: nobody is late. */
export function lateTurn(state: State, r: RecordState): string | null {
  if (r.doc.turns === null) return null;
  const { behind, endsAt } = progressOf(r, r.doc.turns);
  return behind === undefined || state.now < endsAt ? null : behind.provider;
}

/** Those whose turn has come: the first that has not followed, and how long it may take. */
function progressOf(r: RecordState, { openedAt }: Turns) {
  const cells = Object.keys(openedAt).flatMap((provider) => r.cells.get(provider) ?? []);
  const lastAt = Math.max(...Object.values(openedAt));
  const behind = cells.find((cell) => !isOut(cell) && cell.visibleAt === null);
  const seenAt = Math.max(lastAt, ...cells.map((cell) => cell.visibleAt ?? 0));
  return { cells, behind, seenAt, endsAt: lastAt + SWITCH_END_MS };
}

/** Gives the next provider its turn, once those before have been watched. */
export function nextTurn(state: State, r: RecordState, out: Step): void {
  const { turns, drill } = r.doc;
  if (turns === null || !state.lease.held || !state.storeOk) return;
  if (r.config.mode === 'observe') return amend(out, r, { turns: null });
  const { cells, behind, seenAt, endsAt } = progressOf(r, turns);
  for (const cell of cells) start(state, r, cell, own(turns.openedAt, cell.provider)!);
  const next = turns.order.find((name) => isWaiting(r, r.cells.get(name)));
  const target = r.doc.target ?? '';
  const isUp = state.origins.get(target)?.health === 'up';
  if (next !== undefined && isUp && cannotWait(state, r, out)) return endTurns(state, r, out);
  const strays = turns.order.filter((name) => hasStrayed(r, r.cells.get(name)));
  if (strays.length > 0 && isUp && drill === null) {
    const what = `edited while it waited: it goes to ${target} now`;
    note(out, 'turn', r.name, `${r.name} at ${strays.join(', ')}: ${what}`, {
      epoch: r.doc.marker?.epoch ?? 0,
    });
    return open(state, r, turns, strays, out);
  }
  // A drill is broken off there; all else goes on, and whoever is behind follows by itself.
  const goesOn = behind === undefined || (state.now >= endsAt && drill === null);
  if (!goesOn) return lookAt(state, r, endsAt);
  if (next === undefined) return amend(out, r, { turns: null });
  const dueAt = seenAt + turns.watchMs;
  if (state.now < dueAt) return lookAt(state, r, dueAt);
  if (!isUp) return;
  if (!hasFreshPasses(state, target, Math.max(seenAt, dueAt - AGAIN_MS))) {
    probeFresh(state, target, out);
    return lookAt(state, r, state.now + AGAIN_MS);
  }
  open(state, r, turns, [next], out);
  const sentence = `${r.name} at ${next}: its turn to go to ${target}`;
  note(out, 'turn', r.name, sentence, { provider: next, epoch: r.doc.marker?.epoch ?? 0 });
}

/** By its API it gives something else than was left there, which nobody is to wait with. */
function hasStrayed(r: RecordState, cell: Cell | undefined): boolean {
  if (!isWaiting(r, cell) || cell?.seen?.by !== 'api') return false;
  const left = own(r.doc.placed, cell.provider);
  return left !== undefined && cell.seen.cname !== left.cname;
}

/** What those that wait still give has failed, or is to be left: nobody is to be kept on it. */
function cannotWait(state: State, r: RecordState, out: Step): boolean {
  const left = r.doc.left ?? '';
  const isDown = state.origins.get(left)?.health === 'down';
  if (!isDown && !isDrained(state, left)) return false;
  const why = `${left} is ${isDown ? 'down' : 'drained'}`;
  const sentence = `${r.name}: ${why}: all go to ${r.doc.target} at once`;
  note(out, 'turn', r.name, sentence, { epoch: r.doc.marker?.epoch ?? 0 });
  return true;
}

/** It is begun in the next step: only then is it known that this one could be committed. */
function open(
  state: State,
  r: RecordState,
  turns: Turns,
  names: readonly string[],
  out: Step,
): void {
  const now = names.map((name) => [name, state.now] as const);
  amend(out, r, {
    turns: { ...turns, openedAt: { ...turns.openedAt, ...Object.fromEntries(now) } },
  });
  lookAt(state, r, state.now);
}

function start(state: State, r: RecordState, cell: Cell, openedAt: number): void {
  if (cell.turnAt >= openedAt) return;
  cell.turnAt = state.now;
  converge(state, r, cell, true);
}

function lookAt(state: State, r: RecordState, at: number): void {
  setDeadline(state.timers, r.deadlines.turn, Math.max(at, state.now + 1));
}

/** Nobody waits any longer: all go to what is in force. */
export function endTurns(state: State, r: RecordState, out: Step): void {
  const { turns } = r.doc;
  if (turns === null) return;
  const waiting = turns.order.filter((name) => !Object.hasOwn(turns.openedAt, name));
  if (waiting.length > 0) open(state, r, turns, waiting, out);
}
