// When to wake, and why: a binary heap of named deadlines. Setting a name again moves its deadline;
// the stale copy in the heap is skipped when it surfaces, so that moving costs O(log n) and nothing
// is ever searched. It never acts: the engine pops what is due and does it.

export interface Timers {
  /** The deadline in force for each name. */
  readonly due: Map<string, number>;
  /** Heap of (time, name), least time first; may hold stale copies. */
  readonly heap: { at: number; key: string }[];
}

export function timers(): Timers {
  return { due: new Map(), heap: [] };
}

/** Sets or moves one deadline, in engine milliseconds. */
export function setTimer(t: Timers, key: string, at: number): void {
  t.due.set(key, at);
  const heap = t.heap;
  heap.push({ at, key });
  let child = heap.length - 1;
  const item = heap[child]!;
  while (child > 0) {
    const parent = (child - 1) >> 1;
    if (heap[parent]!.at <= at) break;
    heap[child] = heap[parent]!;
    child = parent;
  }
  heap[child] = item;
  // Stale copies are bounded: past four a live deadline, the heap is made anew.
  if (heap.length > 64 && heap.length > 4 * t.due.size) rebuild(t);
}

export function clearTimer(t: Timers, key: string): void {
  t.due.delete(key);
}

/** The earliest deadline and its name; null when there is none. */
export function nextTimer(t: Timers): { at: number; key: string } | null {
  while (t.heap.length > 0) {
    const top = t.heap[0]!;
    if (t.due.get(top.key) === top.at) return top;
    removeTop(t.heap);
  }
  return null;
}

/** Takes the earliest name whose deadline is at or before `now`; null when none is due. */
export function popTimer(t: Timers, now: number): string | null {
  const top = nextTimer(t);
  if (top === null || top.at > now) return null;
  removeTop(t.heap);
  t.due.delete(top.key);
  return top.key;
}

function removeTop(heap: Timers['heap']): void {
  const last = heap.pop()!;
  const size = heap.length;
  if (size === 0) return;
  let parent = 0;
  for (;;) {
    let child = 2 * parent + 1;
    if (child >= size) break;
    if (child + 1 < size && heap[child + 1]!.at < heap[child]!.at) child++;
    if (heap[child]!.at >= last.at) break;
    heap[parent] = heap[child]!;
    parent = child;
  }
  heap[parent] = last;
}

function rebuild(t: Timers): void {
  t.heap.length = 0;
  for (const [key, at] of t.due) t.heap.push({ at, key });
  t.heap.sort((a, b) => a.at - b.at);
}
