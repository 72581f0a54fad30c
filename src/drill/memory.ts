// A store that ends with the drill it was made for: nothing of a rehearsal is remembered by it, and
// nothing of it reaches a disk.

import type { Json } from '../core/model.ts';
import type { Store } from '../ports.ts';

export function createMemoryStore(given: Readonly<Record<string, Json>>, at: number): Store {
  const docs = new Map<string, Json>(Object.entries(given));
  let now = at;
  return {
    load: () => ({ docs: Object.fromEntries(docs), at: now, unkept: [] }),
    commit(commit) {
      now = commit.at;
      for (const [key, value] of commit.docs) {
        if (value === null) docs.delete(key);
        else docs.set(key, value);
      }
    },
    remind() {},
    history: () => [],
    close() {},
  };
}
