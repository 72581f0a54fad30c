// What the group has committed, and what it must have committed before anything rests on it: changes
// by key, the newest of each, in the order in which they came. One batch of them is under way at a
// time. It talks to nobody and waits for nothing; what it is told to forget was never so.

import { isSameMarker } from './marker.ts';
import type { Change, Entry, EntryKind, Json, Marker, Reply } from './model.ts';
import { isShared, type Step } from './state.ts';

/** Of one batch. Bytes are those of JSON in UTF-8, over-counted where they are not known. */
const DOCS_MAX = 100;
const BYTES_MAX = 512 * 1024;
const ENTRIES_MAX = 100;
/** Entries and answers that wait at most; the journal of the replica has them all. */
const WAITING_MAX = 1_000;

type Docs = readonly (readonly [key: string, value: Json | null])[];

interface Put {
  readonly value: Json | null;
  readonly bytes: number;
  /** The first change of this key that the group lacks. */
  readonly first: number;
}

interface Done {
  readonly id: string;
  readonly reply: Reply;
}

interface Sent {
  readonly docs: ReadonlyMap<string, Put>;
  readonly entries: readonly Entry[];
  readonly done: readonly Done[];
}

/** Of no record, and all the same a person's word. */
const words: ReadonlySet<EntryKind> = new Set(['drain', 'freeze', 'undrain', 'unfreeze']);

/**
 * What was seen stays in each journal: one telling may change the health of a thousand origins, and
 * the engine's traffic does not grow with what is watched.
 */
const isDecision = ({ record, kind }: Entry) => record !== null || words.has(kind);

export class Ledger {
  /** The group's documents, as last known. */
  readonly #group = new Map<string, Json>();
  readonly #waiting = new Map<string, Put>();
  #sent: Sent | null = null;
  #entries: Entry[] = [];
  #done: { readonly done: Done; readonly after: number }[] = [];
  #count = 0;

  /** How many changes there have been: what a reply waits for. */
  get count(): number {
    return this.#count;
  }

  /** All that the group has. */
  docs(): Docs {
    return [...this.#group];
  }

  /** What the group says of itself. */
  learn(docs: Docs, whole: boolean): void {
    if (whole) this.#group.clear();
    for (const [key, value] of docs) {
      if (!isShared(key)) continue;
      if (value === null) this.#group.delete(key);
      else this.#group.set(key, value);
    }
  }

  /** What a step changed of the group's documents; false: nothing. */
  put({ docs, entries }: Pick<Step, 'docs' | 'entries'>): boolean {
    const before = this.#count;
    for (const [key, value] of docs) if (isShared(key)) this.#putOne(key, value);
    if (this.#count === before) return false;
    this.#entries.push(...entries.filter(isDecision));
    this.#entries.splice(0, this.#entries.length - WAITING_MAX);
    return true;
  }

  #putOne(key: string, value: Json | null): void {
    const was = this.#waiting.get(key);
    const isUnderWay = was !== undefined || this.#sent?.docs.has(key) === true;
    const text = JSON.stringify(value);
    const known = this.#group.get(key) ?? null;
    if (!isUnderWay && (known === value || JSON.stringify(known) === text)) return;
    this.#count++;
    const bytes = bytesOf(text) + key.length;
    this.#waiting.set(key, { value, bytes, first: was?.first ?? this.#count });
  }

  /** An order is done with what was put so far. */
  answer(id: string, reply: Reply): void {
    this.#done.push({ done: { id, reply }, after: this.#count });
    this.#done.splice(0, this.#done.length - WAITING_MAX);
  }

  /** The next batch, which is then under way; null: none is wanted, or one still is. */
  next(): {
    readonly docs: Docs;
    readonly entries: readonly Entry[];
    readonly done: readonly Done[];
  } | null {
    if (this.#sent !== null) return null;
    const docs = this.#take();
    const oldest = Math.min(Number.POSITIVE_INFINITY, ...[...this.#waiting.values()].map(firstOf));
    const done = this.#done.filter(({ after }) => after < oldest).slice(0, ENTRIES_MAX);
    if (docs.size === 0 && done.length === 0) return null;
    this.#done = this.#done.filter((one) => !done.includes(one));
    const entries = this.#entriesOf(docs);
    this.#sent = { docs, entries, done: done.map((one) => one.done) };
    const pairs = [...docs].map(([key, { value }]) => [key, value] as const);
    return { docs: pairs, entries, done: this.#sent.done };
  }

  /** The oldest first, as many as fit; what belongs together goes together. */
  #take(): Map<string, Put> {
    const taken = new Map<string, Put>();
    let bytes = 0;
    for (const key of this.#waiting.keys()) {
      const both = kinOf(key).flatMap((one) => {
        const put = taken.has(one) ? undefined : this.#waiting.get(one);
        return put === undefined ? [] : [[one, put] as const];
      });
      const more = both.reduce((sum, [, put]) => sum + put.bytes, 0);
      const fits = taken.size + both.length <= DOCS_MAX && bytes + more <= BYTES_MAX;
      if (!fits && taken.size > 0) break;
      for (const [one, put] of both) taken.set(one, put);
      bytes += more;
    }
    for (const key of taken.keys()) this.#waiting.delete(key);
    return taken;
  }

  /** What the batch decides, in words. */
  #entriesOf(docs: ReadonlyMap<string, Put>): readonly Entry[] {
    const isOf = ({ record }: Entry) => record === null || docs.has(`record/${record}`);
    const all = this.#entries.filter(isOf).slice(0, ENTRIES_MAX);
    const taken = new Set(all);
    this.#entries = this.#entries.filter((entry) => !taken.has(entry));
    // Room is for the documents first.
    let left = BYTES_MAX / 4;
    return all.filter((entry) => {
      left -= bytesOf(JSON.stringify(entry));
      return left >= 0;
    });
  }

  /** The batch under way is the group's. */
  committed(): void {
    const sent = this.#sent;
    this.#sent = null;
    if (sent !== null)
      this.learn(
        [...sent.docs].map(([key, { value }]) => [key, value]),
        false,
      );
  }

  /**
   * What is not committed is not so: the documents that the group has in its place, and the answers
   * that were to go with them.
   */
  giveUp(): { readonly docs: Docs; readonly done: readonly Done[] } {
    const keys = new Set([...(this.#sent?.docs.keys() ?? []), ...this.#waiting.keys()]);
    const done = [...(this.#sent?.done ?? []), ...this.#done.map((one) => one.done)];
    this.#sent = null;
    this.#waiting.clear();
    this.#entries = [];
    this.#done = [];
    return { docs: [...keys].map((key) => [key, this.#group.get(key) ?? null]), done };
  }

  /** Everything that was put until then is committed. */
  isCommittedTo(count: number): boolean {
    for (const { first } of this.#waiting.values()) if (first <= count) return false;
    for (const { first } of this.#sent?.docs.values() ?? []) if (first <= count) return false;
    return true;
  }

  /**
   * What a change rests on: `committed`, `waits`, or `stale`, where the group's document bears another
   * marker and none that waits is to bring this one.
   */
  standing({ name, to }: Change): 'committed' | 'waits' | 'stale' {
    const key = `record/${name}`;
    const bears = (doc: Json | null | undefined) => {
      const marker = (doc as { readonly marker?: Marker | null } | null | undefined)?.marker;
      return marker != null && isSameMarker(marker, to.marker);
    };
    if (bears(this.#group.get(key))) return 'committed';
    const coming = [this.#sent?.docs.get(key), this.#waiting.get(key)];
    return coming.some((put) => bears(put?.value)) ? 'waits' : 'stale';
  }

  /** Nothing waits and nothing is under way. */
  get isIdle(): boolean {
    return this.#sent === null && this.#waiting.size === 0 && this.#done.length === 0;
  }
}

function firstOf({ first }: Put): number {
  return first;
}

/** A record and its released epoch are never apart. */
function kinOf(key: string): readonly string[] {
  const name = /^(?:record|epoch)\/(.*)$/s.exec(key)?.[1];
  return name === undefined ? [key] : [`record/${name}`, `epoch/${name}`];
}

/** Never fewer than there are. */
function bytesOf(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) bytes += 2;
  return bytes;
}
