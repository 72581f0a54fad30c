// When to wake, and why: a binary heap of deadlines, each of which knows its place in it, so that
// setting one again moves it in O(log n), taking one away costs no more, and nothing stale is ever
// kept. Each deadline is one object, made with what it is for and kept by that for good. It never
// acts: the engine pops what is due and does it.

import type { Name } from './model.ts';

/** What a deadline is for. Plain JSON. */
export type Wake =
  /** A check on a path, by the key of its state: its regular probe, one of a burst, one overdue. */
  | { readonly kind: 'probe' | 'confirm' | 'overdue'; readonly check: string }
  /** A record at a provider: its name servers are to be asked, or its work is tried again. */
  | { readonly kind: 'ask' | 'retry'; readonly provider: string; readonly record: Name }
  /** A lane may send again. */
  | { readonly kind: 'lane'; readonly provider: string }
  /** A cloud's verdicts have changed: they are diagnosed together. */
  | { readonly kind: 'diagnose'; readonly cloud: string }
  /** A candidate has not been confirmed yet: it is asked again. */
  | { readonly kind: 'choose'; readonly origin: string }
  /** A drain, or the freeze of everything, is over. */
  | { readonly kind: 'holds' }
  /** What another replica said may be too old by now. */
  | { readonly kind: 'replica'; readonly replica: string }
  /** What no API has said is asked of DNS; a stay may be over by time; a switch may. */
  | { readonly kind: 'read-dns' | 'review' | 'end-switch'; readonly record: Name };

export interface Deadline {
  readonly wake: Wake;
  /** In engine milliseconds. */
  at: number;
  /** Its place in the heap; -1 while it is not set. */
  place: number;
}

export interface Timers {
  /** Least time first. */
  readonly heap: Deadline[];
}

export function timers(): Timers {
  return { heap: [] };
}

/** A deadline that is not set yet. */
export function deadline(wake: Wake): Deadline {
  return { wake, at: 0, place: -1 };
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

/** Those of one thing that is gone. */
export function clearAll(t: Timers, all: Readonly<Record<string, Deadline>>): void {
  for (const d of Object.values(all)) clearDeadline(t, d);
}

export function isSet(d: Deadline): boolean {
  return d.place >= 0;
}

/** The earliest deadline; null when there is none. */
export function nextTimer({ heap }: Timers): Deadline | null {
  return heap[0] ?? null;
}

/** Takes the earliest deadline at or before `now`; null when none is due. */
export function popTimer(t: Timers, now: number): Deadline | null {
  const top = t.heap[0];
  if (top === undefined || top.at > now) return null;
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
