// A bound on what runs at once, with a queue of its own that is bounded too. Order is kept, and
// nobody waits longer than its signal.

/** Runs at most so many at once and keeps at most so many waiting. */
export type Limit = <T>(signal: AbortSignal, run: () => Promise<T>) => Promise<T | null>;

/** A queue: null when the signal ended the waiting or the queue is full. Order is kept. */
export function createLimit(atOnce: number, waitingMax: number): Limit {
  let running = 0;
  const waiting = new Set<() => void>();
  return async (signal, run) => {
    if (signal.aborted) return null;
    if (running < atOnce) running += 1;
    else if (waiting.size >= waitingMax || !(await turn(waiting, signal))) return null;
    try {
      return await run();
    } finally {
      // The place goes straight to the next in line, so that nobody can slip in between.
      const [next] = waiting;
      if (next) next();
      else running -= 1;
    }
  };
}

function turn(waiting: Set<() => void>, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const leave = (mine: boolean) => {
      waiting.delete(go);
      signal.removeEventListener('abort', stop);
      resolve(mine);
    };
    const go = () => leave(true);
    const stop = () => leave(false);
    waiting.add(go);
    signal.addEventListener('abort', stop);
  });
}
