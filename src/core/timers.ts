// When to wake, and why: a binary heap of deadlines, each of which knows its place in it, so that
// setting one again moves it in O(log n), taking one away costs no more, and nothing stale is ever
// kept. What is set for every probe is a deadline that its check owns; all else is found by name. It
// never acts: the engine pops what is due and does it.

import type { CheckState } from './detect.ts';

export interface Deadline {
  /** What it is for; unique. */
  readonly key: string;
  /** The check that owns it, as `checkState` says; null for one that is found by its name. */
  check: CheckState | null;
  /** In engine milliseconds. */
  at: number;
  /** Its place in the heap; -1 while it is not set. */
  place: number;
}

export interface Timers {
  /** Those found by name, while they are set. */
  readonly named: Map<string, Deadline>;
  /** Least time first. */
  readonly heap: Deadline[];
}

export function timers(): Timers {
  return { named: new Map(), heap: [] };
}

/** A deadline that is not set yet. */
export function deadline(key: string): Deadline {
  return { key, check: null, at: 0, place: -1 };
}

/** Sets or moves one deadline. */
export function setDeadline({ heap }: Timers, d: Deadline, at: number): void {
  const was = d.at;
  d.at = at;
  if (d.place < 0) rise(heap, d, heap.push(d) - 1);
  else if (at < was) rise(heap, d, d.place);
  else sink(heap, d, d.place);
}

export function clearDeadline({ heap }: Timers, d: Deadline): void {
  const { place } = d;
  if (place < 0) return;
  d.place = -1;
  const last = heap.pop()!;
  if (last === d) return;
  rise(heap, last, place);
  sink(heap, last, last.place);
}

/** The same by name. */
export function setTimer(t: Timers, key: string, at: number): void {
  let d = t.named.get(key);
  if (d === undefined) {
    d = deadline(key);
    t.named.set(key, d);
  }
  setDeadline(t, d, at);
}

export function clearTimer(t: Timers, key: string): void {
  const d = t.named.get(key);
  if (d === undefined) return;
  t.named.delete(key);
  clearDeadline(t, d);
}

export function isSet(t: Timers, key: string): boolean {
  return t.named.has(key);
}

/** The earliest deadline; null when there is none. */
export function nextTimer({ heap }: Timers): Deadline | null {
  return heap[0] ?? null;
}

/** Takes the earliest deadline at or before `now`; null when none is due. */
export function popTimer(t: Timers, now: number): Deadline | null {
  const top = t.heap[0];
  if (top === undefined || top.at > now) return null;
  if (top.check === null) t.named.delete(top.key);
  clearDeadline(t, top);
  return top;
}

function rise(heap: Deadline[], d: Deadline, from: number): void {
  let place = from;
  while (place > 0) {
    const parent = (place - 1) >> 1;
    const above = heap[parent]!;
    if (above.at <= d.at) break;
    heap[place] = above;
    above.place = place;
    place = parent;
  }
  heap[place] = d;
  d.place = place;
}

function sink(heap: Deadline[], d: Deadline, from: number): void {
  const size = heap.length;
  let place = from;
  for (;;) {
    let child = 2 * place + 1;
    if (child >= size) break;
    if (child + 1 < size && heap[child + 1]!.at < heap[child]!.at) child++;
    const below = heap[child]!;
    if (below.at >= d.at) break;
    heap[place] = below;
    below.place = place;
    place = child;
  }
  heap[place] = d;
  d.place = place;
}
