// A bound on what runs at once, with a queue of its own that is bounded too. Order is kept, and
// nobody waits longer than its signal.

/** Runs at most so many at once and keeps at most so many waiting. */
export type Limit = <T>(signal: AbortSignal, run: () => Promise<T>) => Promise<T | null>;

/** One that waits; what has left stays in the line until its turn would come. */
interface Waiting {
  go: (() => void) | null;
}

/** A queue: null when the signal ended the waiting or the queue is full. Order is kept. */
export function createLimit(atOnce: number, waitingMax: number): Limit {
  let running = 0;
  let waiting = 0;
  let line: Waiting[] = [];
  let first = 0;
  const next = (): (() => void) | null => {
    while (first < line.length) {
      const { go } = line[first++]!;
      if (go !== null) return go;
    }
    return null;
  };
  const turn = (signal: AbortSignal): Promise<boolean> =>
    new Promise((resolve) => {
      const leave = (mine: boolean) => {
        one.go = null;
        waiting -= 1;
        signal.removeEventListener('abort', stop);
        resolve(mine);
      };
      const stop = () => leave(false);
      const one: Waiting = { go: () => leave(true) };
      waiting += 1;
      line.push(one);
      signal.addEventListener('abort', stop);
    });
  return async (signal, run) => {
    if (signal.aborted) return null;
    if (running < atOnce) running += 1;
    else if (waiting >= waitingMax || !(await turn(signal))) return null;
    try {
      return await run();
    } finally {
      // The place goes straight to the next in line, so that nobody can slip in between.
      const go = next();
      if (go === null) running -= 1;
      else go();
      if (first > 1000 && first * 2 > line.length) {
        line = line.slice(first);
        first = 0;
      }
    }
  };
}
