// What records would do by themselves as things stand now: for whoever asks before an order is given.
// It asks the same rules as the loop does, decides nothing and changes nothing.

import { isAsked } from './approve.ts';
import { type Decision, decide, type Situation } from './decide.ts';
import type { Name } from './model.ts';
import { listOf } from './name.ts';
import { situation } from './situation.ts';
import type { RecordState, State } from './state.ts';

/** Plain JSON. */
type Row = {
  readonly record: Name;
  /** The target in force; null before adoption. */
  readonly from: string | null;
  /** Where it would go; null: it stays. */
  readonly to: string | null;
  readonly why: string;
};

export interface Glance {
  readonly rows: readonly Row[];
  readonly moves: readonly Row[];
  /** Only observed: decided, and nothing is written. */
  readonly watched: readonly Row[];
  readonly stays: readonly Row[];
}

/** Of each record where it would go, once what a move needs has been confirmed, or why it stays. */
export function outlook(state: State, records: readonly RecordState[]): Glance {
  const rows = records.map((r) => rowOf(r, decide(foreseen(state, r))));
  const isWatched = ({ record }: Row) => state.records.get(record)?.config.mode === 'observe';
  const going = rows.filter(({ to }) => to !== null);
  const moves = going.filter((row) => !isWatched(row));
  const watched = going.filter(isWatched);
  return { rows, moves, watched, stays: rows.filter(({ to }) => to === null) };
}

/** In a group it is asked for whoever acts. */
function foreseen(state: State, r: RecordState): Situation {
  const s = situation(state, r, null);
  return state.group === null ? s : { ...s, leader: true };
}

function rowOf(r: RecordState, d: Decision): Row {
  const base = { record: r.name, from: r.doc.target };
  if (d.kind === 'stay') return { ...base, to: null, why: d.sentence };
  // Its sentence begins with where from and where to.
  const asks = isAsked(r, d.why) ? '; a person is asked first' : '';
  return { ...base, to: d.to, why: `${d.sentence.slice(d.sentence.indexOf(': ') + 2)}${asks}` };
}

/** The same without those that stay. */
export function movesOf({ moves, watched }: Glance): Glance {
  return { rows: [...moves, ...watched], moves, watched, stays: [] };
}

/** `; www.example.net. goes to tokyo; 2 records stay: …`: after what was, or would be, done. */
export function tellGlance({ moves, watched, stays }: Glance): string {
  const [move, look, stay] = [moves[0], watched[0], stays[0]];
  const named = (rows: readonly Row[]) => listOf(rows.map(({ record }) => record));
  const parts: string[] = [];
  if (moves.length === 1) parts.push(`${move!.record} goes to ${move!.to}`);
  else if (moves.length > 1) parts.push(`${moves.length} records move: ${named(moves)}`);
  if (watched.length === 1)
    parts.push(`${look!.record} is only observed and would go to ${look!.to}`);
  else if (watched.length > 1)
    parts.push(`${watched.length} records are only observed and would move: ${named(watched)}`);
  if (stays.length === 1) parts.push(`${stay!.record} stays: ${stay!.why}`);
  else if (stays.length > 1) parts.push(`${stays.length} records stay: ${named(stays)}`);
  return parts.map((part) => `; ${part}`).join('');
}
