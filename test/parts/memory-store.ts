// The store without a disk: the same promises within one process, nothing beyond it. For
// the simulation and the benchmarks, which must leave no trace and wait for no disk. What is kept
// lives in a `MemoryDisk`, so that closing a store and opening another on the same disk is a
// restart. Values are kept as JSON text: what a caller changes afterwards never reaches the store.

import type { Json } from '../../src/core/model.ts';
import type { Store, StoredEntry } from '../../src/ports.ts';

/** What outlives a store: documents and journal as JSON text. */
export interface MemoryDisk {
  docs: Map<string, string>;
  /** The journal, oldest first, bounded by `entries`. */
  journal: { readonly head: Omit<StoredEntry, 'data'>; readonly data: string }[];
  seq: number;
  at: number;
  unkept: readonly string[];
}

export function newMemoryDisk(): MemoryDisk {
  return { docs: new Map(), journal: [], seq: 0, at: 0, unkept: [] };
}

/** Opens a store on a disk, a fresh one by default; keeps the newest `entries` of the journal. */
export function openMemoryStore(disk: MemoryDisk = newMemoryDisk(), entries = 1_000_000): Store {
  let isOpen = true;
  const mustBeOpen = () => {
    if (!isOpen) throw new Error('the store in memory is closed');
  };
  return {
    load() {
      mustBeOpen();
      const docs = [...disk.docs].map(([key, text]) => [key, JSON.parse(text) as Json]);
      const { at, unkept } = disk;
      return { docs: Object.fromEntries(docs) as Record<string, Json>, at, unkept };
    },
    remind(words) {
      mustBeOpen();
      disk.unkept = [...words];
    },
    commit(commit) {
      mustBeOpen();
      const { at, docs, earlier = [] } = commit;
      const added = [...earlier, commit].flatMap((m) => {
        const isTimed = Number.isFinite(m.at) && Number.isFinite(m.wall);
        if (!isTimed) throw new Error('a commit has no time');
        return m.entries.map((entry) => ({ at: m.at, wall: m.wall, ...entry }));
      });
      // Everything that can throw comes first, so that a refused commit changes nothing.
      const texts = docs.map(
        ([key, value]) => [key, value === null ? null : toText(value)] as const,
      );
      const lines = added.map(({ data, ...head }, i) => ({
        head: { seq: disk.seq + i + 1, ...head },
        data: toText(data),
      }));
      for (const [key, text] of texts) {
        if (text === null) disk.docs.delete(key);
        else disk.docs.set(key, text);
      }
      disk.journal.push(...lines);
      disk.seq += lines.length;
      disk.at = at;
      // Cut in large steps, so that a full journal does not cost a copy a commit.
      if (disk.journal.length > entries * 1.1) disk.journal = disk.journal.slice(-entries);
    },
    history({ record, before = Number.POSITIVE_INFINITY, limit }) {
      mustBeOpen();
      const most = Math.min(Math.max(Math.trunc(limit) || 1, 1), 10_000);
      const found: StoredEntry[] = [];
      for (let i = disk.journal.length - 1; i >= 0 && found.length < most; i--) {
        const line = disk.journal[i]!;
        if (record !== undefined && line.head.record !== record) continue;
        if (line.head.seq >= before) continue;
        found.push({ ...line.head, data: JSON.parse(line.data) as Json });
      }
      return found;
    },
    close() {
      isOpen = false;
    },
  };
}

function toText(value: Json): string {
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) throw new TypeError('a document is no JSON');
  return text;
}
