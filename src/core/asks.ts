// Questions to a provider's name servers: when a record is asked for again, and how many are under
// way at once. What the answers mean others say. It must never ask for more than can be heard.

import type { Name } from './model.ts';
import { own } from './own.ts';
import {
  type Cell,
  follows,
  isUnderWay,
  jitter,
  type RecordState,
  type State,
  type Step,
} from './state.ts';
import { setDeadline } from './timers.ts';
import { queueOf } from './zone.ts';

/** Watching through DNS: at most so long until an edit is seen, where there are not too many. */
export const WATCH_MS = 25_000;
/** Of all records at all their providers so many are watched in a second, at most. */
const WATCHED_A_SECOND = 200;

const LAGGING_ASK_MS = 3_000;

/** Pause that each record in a lane's queue adds to that. */
const CROWD_ASK_MS = 25;

export const ASK_FIRST_MS = 25;

/**
 * Questions to one provider's name servers that are under way at once. More would wait in the
 * verifier for longer than their deadline, and be asked again: then nobody hears anything.
 */
const ASKS_AT_ONCE = 100;

export const ASK_CAP_MS = 1_000;

/** For so long after a record is visible its other lines are asked for as often as a switch's. */
const PROVING_MS = 30_000;

/** It is time to ask a provider's authoritative servers for one record. */
export function onAskDue(state: State, provider: string, record: Name, out: Step): void {
  const r = state.records.get(record);
  const cell = r?.cells.get(provider);
  if (r === undefined || cell === undefined || cell.asking) return;
  const { asks } = state.lanes.get(provider)!;
  asks[isAwaited(state, r, cell) ? 'urgent' : 'routine'].add(record);
  askWaiting(state, provider, out);
}

/** One question has come back, with or without an answer: the next of those that wait goes. */
export function onAnswered(state: State, provider: string, out: Step): void {
  const lane = state.lanes.get(provider);
  if (lane === undefined) return;
  lane.asks.under = Math.max(0, lane.asks.under - 1);
  askWaiting(state, provider, out);
}

/** Asks as many of those that wait as may be under way at once, switches first. */
function askWaiting(state: State, provider: string, out: Step): void {
  const { asks } = state.lanes.get(provider)!;
  while (asks.under < ASKS_AT_ONCE) {
    const record = first(asks.urgent) ?? first(asks.routine);
    if (record === undefined) return;
    asks.urgent.delete(record);
    asks.routine.delete(record);
    const r = state.records.get(record);
    const cell = r?.cells.get(provider);
    if (r !== undefined && cell?.asking === false) ask(state, r, cell, out);
  }
}

const first = (names: ReadonlySet<Name>): Name | undefined => names.values().next().value;

function ask(state: State, r: RecordState, cell: Cell, out: Step): void {
  const { provider } = cell;
  // Its API has been quicker than its turn here.
  if (cell.fallback && cell.reading === 'read' && cell.writtenAt === null) {
    cell.fallback = false;
    return scheduleAsk(state, r, cell);
  }
  cell.asking = true;
  state.lanes.get(provider)!.asks.under++;
  // Once visible, the marker is watched too: another writer may change it and nothing else.
  const waits = cell.held || r.doc.target === null;
  const marker = cell.fallback || cell.visibleAt !== null || waits;
  const lines = unprovenOf(cell);
  const also = lines.length === 0 ? {} : { lines };
  out.effects.push({ kind: 'ask', provider, record: r.name, marker, ...also });
}

/** Asks DNS as soon as possible. */
export function askSoon(state: State, cell: Cell): void {
  cell.askAfterMs = ASK_FIRST_MS;
  setDeadline(state.timers, cell.deadlines.ask, state.now);
}

/** How long it takes to watch all of them once. */
function roundMs({ records, lanes }: State): number {
  return (1000 * records.size * lanes.size) / WATCHED_A_SECOND;
}

/** Begins the watch through DNS, spread so that many records do not ask all at once. */
export function watchCell(state: State, cell: Cell): void {
  const at = state.now + jitter(state, Math.max(WATCH_MS / 10, roundMs(state) / 2), 0.9);
  setDeadline(state.timers, cell.deadlines.ask, at);
}

/** Lines whose askers have not been seen to get what is visible from here. */
function unprovenOf({ lines, proofs, visibleAt }: Cell): readonly string[] {
  // Not before: a server that is silent about them must not hold up what is seen from here.
  if (lines === undefined || visibleAt === null) return [];
  return lines.filter((line) => (proofs[line]?.provenAt ?? null) === null);
}

/** Whoever does not write knows of a write by its answers alone. */
const isSent = (state: State, cell: Cell) => cell.writtenAt !== null || follows(state);

/** A switch has been sent, and is not seen yet. */
function isAwaited(state: State, r: RecordState, cell: Cell): boolean {
  return cell.visibleAt === null && isSent(state, cell) && isUnderWay(state, r);
}

export function scheduleAsk(state: State, r: RecordState, cell: Cell): void {
  const waiting = cell.visibleAt === null && r.doc.marker !== null && cell.problem === null;
  if (isAwaited(state, r, cell) || isProving(state, cell))
    cell.askAfterMs = Math.min(ASK_CAP_MS, Math.max(ASK_FIRST_MS, cell.askAfterMs * 1.6));
  else if (waiting && isSent(state, cell)) cell.askAfterMs = LAGGING_ASK_MS;
  else if (waiting || cell.fallback || isLowering(r, cell))
    cell.askAfterMs = laggingAskMs(state, cell);
  else cell.askAfterMs = Math.max(WATCH_MS, roundMs(state));
  const at = state.now + jitter(state, cell.askAfterMs, 0.1);
  setDeadline(state.timers, cell.deadlines.ask, at);
}

/** Its short TTL has been written, and is not given by all its servers yet. */
function isLowering({ doc }: RecordState, { provider, work, held }: Cell): boolean {
  const part = own(doc.prepared?.parts ?? {}, provider);
  return part?.at === null && work === 'none' && !held;
}

/** Its lines are still being looked at; where no subnet is known nothing ever comes of it. */
function isProving(state: State, cell: Cell): boolean {
  if (cell.lines === undefined || cell.visibleAt === null) return false;
  if (state.now - cell.visibleAt >= PROVING_MS) return false;
  const isNew = cell.visibleAt === state.now;
  return isNew || unprovenOf(cell).some((line) => Object.hasOwn(cell.proofs, line));
}

/** Many records in one queue are asked for less often: nothing moves before that does. */
function laggingAskMs(state: State, cell: Cell): number {
  const { urgent, routine } = queueOf(state.lanes.get(cell.provider)!, cell);
  const crowd = (urgent.size + routine.size) * CROWD_ASK_MS;
  return Math.min(Math.max(WATCH_MS, roundMs(state)), Math.max(LAGGING_ASK_MS, crowd));
}
