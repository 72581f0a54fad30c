// The coordinator of a node that is alone: it holds the lease from the start to the end. The term
// is the caller's, who counts its starts in the store, so that two runs can be told apart. It must
// never be used where two nodes steer the same records: nothing here would keep them apart.

import type { Coordinator, LeaseEvent } from '../ports.ts';

/** One lease without an end, with this term; told once, just after `start` has returned. */
export function createSingleCoordinator(term: number): Coordinator {
  let state: 'new' | 'started' | 'closed' = 'new';
  return {
    start(tell: (event: LeaseEvent) => void) {
      if (state !== 'new') throw new Error(`the coordinator is already ${state}`);
      state = 'started';
      queueMicrotask(() => {
        if (state === 'started') tell({ kind: 'held', term });
      });
    },
    // Nobody else waits for it.
    actsUntil: () => (state === 'closed' ? 0 : Number.POSITIVE_INFINITY),
    yield: () => Promise.resolve(),
    shared: null,
    close() {
      state = 'closed';
    },
  };
}
