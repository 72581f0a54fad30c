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
  /** The times of the same, side by side: what is compared is read without going to each deadline. */
  readonly times: number[];
}

export function timers(): Timers {
  return { named: new Map(), heap: [], times: [] };
}

/** A deadline that is not set yet. */
export function deadline(key: string): Deadline {
  return { key, check: null, at: 0, place: -1 };
}

/** Sets or moves one deadline. */
export function setDeadline(t: Timers, d: Deadline, at: number): void {
  const was = d.at;
  d.at = at;
  if (d.place < 0) {
    t.times.push(at);
    rise(t, d, t.heap.push(d) - 1);
  } else if (at < was) rise(t, d, d.place);
  else sink(t, d, d.place);
}

export function clearDeadline(t: Timers, d: Deadline): void {
  const { place } = d;
  if (place < 0) return;
  d.place = -1;
  const last = t.heap.pop()!;
  t.times.pop();
  if (last === d) return;
  rise(t, last, place);
  sink(t, last, last.place);
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
  if (t.heap.length === 0 || t.times[0]! > now) return null;
  const top = t.heap[0]!;
  if (top.check === null) t.named.delete(top.key);
  clearDeadline(t, top);
  return top;
}

function rise({ heap, times }: Timers, d: Deadline, from: number): void {
  const { at } = d;
  let place = from;
  while (place > 0) {
    const parent = (place - 1) >> 1;
    const above = times[parent]!;
    if (above <= at) break;
    put(heap, times, heap[parent]!, above, place);
    place = parent;
  }
  put(heap, times, d, at, place);
}

function sink({ heap, times }: Timers, d: Deadline, from: number): void {
  const { at } = d;
  const size = heap.length;
  let place = from;
  for (;;) {
    let child = 2 * place + 1;
    if (child >= size) break;
    if (child + 1 < size && times[child + 1]! < times[child]!) child++;
    const below = times[child]!;
    if (below >= at) break;
    put(heap, times, heap[child]!, below, place);
    place = child;
  }
  put(heap, times, d, at, place);
}

function put(heap: Deadline[], times: number[], d: Deadline, at: number, place: number): void {
  heap[place] = d;
  times[place] = at;
  d.place = place;
}
