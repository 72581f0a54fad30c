// The store of a simulated node: a disk that survives the process, and every way in which a commit
// can go wrong on it. It keeps the promises of the store's conformance suite (test/store/store.test.ts);
// what it does beyond them is asked for by the world through `StoreHooks`.

import type { Commit, Store } from '../../src/ports.ts';
import { type MemoryDisk, newMemoryDisk, openMemoryStore } from '../parts/memory-store.ts';

/** What becomes of one commit. */
export type CommitFate =
  | 'kept'
  /** It throws, and nothing is changed. */
  | 'refused'
  /** The process dies before anything is durable. */
  | 'dies-before'
  /** All of it is durable, and the process dies before it can act on it. */
  | 'dies-after'
  /** Broken on purpose: its last entry is lost and nobody is told. */
  | 'loses';

export interface StoreHooks {
  fate(commit: Commit): CommitFate;
  die(): void;
  /** What is now on the disk. */
  kept(commit: Commit): void;
  /** Whether these words can be noted beside the store. */
  notes(words: readonly string[]): boolean;
}

const HONEST: StoreHooks = {
  fate: () => 'kept',
  die: () => {},
  kept: () => {},
  notes: () => true,
};

/** Opens the store on a disk, a fresh one by default. */
export function openSimStore(disk: MemoryDisk = newMemoryDisk(), hooks = HONEST): Store {
  const inner = openMemoryStore(disk);
  return {
    load: () => inner.load(),
    remind(words) {
      if (!hooks.notes(words)) throw new Error('the disk is full');
      inner.remind(words);
    },
    history: (query) => inner.history(query),
    close: () => inner.close(),
    commit(commit) {
      const fate = hooks.fate(commit);
      if (fate === 'dies-before') hooks.die();
      if (fate === 'refused' || fate === 'dies-before') throw new Error('the disk is full');
      const loses = fate === 'loses' && commit.entries.length > 0;
      inner.commit(loses ? { ...commit, entries: commit.entries.slice(0, -1) } : commit);
      hooks.kept(commit);
      if (fate === 'dies-after') hooks.die();
    },
  };
}
