// What this replica has read of the group's keys in the engine, and whether it may be believed:
// every text opened by its seal, none older than one that was seen, and all of them together what
// the head says there is. It asks nobody and decides nothing; etcd.ts feeds it. It must never give
// out a document of a group whose head and documents do not belong together.

import type { Command, Json, Reply } from '../core/model.ts';
import type { Changed, Kv } from './gateway.ts';
import { digestOf, macIn, type Purpose, type Seal } from './sealed.ts';

/** The newest thing that the group decided: every commit writes the next one. */
export interface Head {
  /** The holding of the lease under which it was written. */
  readonly term: number;
  /** 1, 2, 3, … */
  readonly number: number;
  /** Which transaction wrote it: random, so that a lost reply can be read back. */
  readonly tx: string;
  /** When, in group time. */
  readonly at: number;
  /** The replica that wrote it. */
  readonly by: string;
  /** Added to the lease key's create revision, it makes the term; higher after each restoration. */
  readonly base: number;
  /** The engine's cluster that it was written for. */
  readonly cluster: string;
  /** An order that was said at this number or before may have been done and forgotten. */
  readonly floor: number;
  /** Some document was shared, now or before: where none is there, each was taken away. */
  readonly shared: boolean;
  /** Of all documents and answers there are (sealed.ts). */
  readonly digest: string;
  /** Whoever may still believe in his right to act: the writer's lease, and those before it. */
  readonly leases: readonly Before[];
}

/** A lease under which somebody acted. Once it is gone he does not, nor so long after his key is. */
export interface Before {
  /** null: not known. */
  readonly id: string | null;
  readonly ttlMs: number;
}

interface Order {
  readonly id: string;
  /** The head's number when it was said. */
  readonly number: number;
  readonly command: Command;
  readonly replica: string;
}

interface Opened {
  readonly raw: string;
  readonly modRevision: number;
  readonly number: number;
  readonly term: number;
  readonly text: string;
}

const purposes: readonly (readonly [start: string, purpose: Purpose])[] = [
  ['head', 'head'],
  ['doubt', 'doubt'],
  ['doc/', 'document'],
  ['done/', 'done'],
  ['order/', 'order'],
];

/** What a key below the prefix is for; null: nothing that is mirrored. */
function purposeOf(key: string): Purpose | null {
  const found = purposes.find(([start]) =>
    start.endsWith('/') ? key.startsWith(start) : key === start,
  );
  return found?.[1] ?? null;
}

const isCounted = (key: string) => key.startsWith('doc/') || key.startsWith('done/');

export class Mirror {
  /** Everything up to here is known. */
  revision = 0;
  /** The lease's key as it stands; not sealed, because only its revisions say anything. */
  lease: Kv | null = null;
  readonly #seal: () => Seal;
  readonly #prefix: string;
  readonly #opened = new Map<string, Opened>();
  /** Keys whose text cannot be believed, and why. */
  readonly #wrong = new Map<string, string>();
  /** The highest number seen at a key, also of what is gone: none may go back. */
  readonly #highest = new Map<string, number>();
  /** MACs of documents and answers. */
  readonly #macs = new Map<string, string>();
  #head: Head | null = null;
  /** What the head's key holds, whether it can be believed or not; null: there is none. */
  headKeyText: string | null = null;
  #digest: string | null = null;

  constructor(prefix: string, seal: () => Seal) {
    this.#prefix = prefix;
    this.#seal = seal;
  }

  /** All there is at a revision. */
  load(kvs: readonly Kv[], revision: number): void {
    const there = new Set(kvs.map(({ key }) => key.slice(this.#prefix.length)));
    for (const key of [...this.#opened.keys(), ...this.#wrong.keys()]) {
      if (!there.has(key)) this.#remove(key);
    }
    if (!there.has('lease')) this.lease = null;
    for (const kv of kvs) this.#put(kv, true);
    this.revision = revision;
  }

  /** Changes as a watch tells of them; what is older than what is known is left out. */
  apply(changes: readonly Changed[]): void {
    for (const { key: whole, kv, modRevision } of changes) {
      const key = whole.slice(this.#prefix.length);
      this.revision = Math.max(this.revision, modRevision);
      if (kv !== null) this.#put(kv, false);
      else if (modRevision > this.modRevision(key)) {
        if (key === 'lease') this.lease = null;
        else this.#remove(key);
      }
    }
  }

  get head(): Head | null {
    return this.#head;
  }

  /** 0: there is none. */
  get headRevision(): number {
    return this.modRevision('head');
  }

  /** Its text, which no other head ever had; null: there is none that can be believed. */
  get headRaw(): string | null {
    return this.#opened.get('head')?.raw ?? null;
  }

  /** What stands for a head cannot be believed. */
  get isHeadWrong(): boolean {
    return this.#wrong.has('head');
  }

  /** Of what stands at a key below the prefix; 0: nothing, or nothing that can be believed. */
  modRevision(key: string): number {
    if (key === 'lease') return this.lease?.modRevision ?? 0;
    return this.#opened.get(key)?.modRevision ?? 0;
  }

  /** Somebody has found the group restored, or is restoring it: the highest number he knew. */
  get doubt(): number | null {
    return this.#opened.get('doubt')?.number ?? (this.#wrong.has('doubt') ? 0 : null);
  }

  /** Why the group's documents cannot be believed; null: they can. */
  problem(): string | null {
    for (const [key, why] of this.#wrong) if (!key.startsWith('order/')) return `${key} ${why}`;
    if (this.#head === null) {
      return this.#macs.size === 0 ? null : 'documents stand there without a head';
    }
    this.#digest ??= digestOf(this.#macs);
    if (this.#digest === this.#head.digest) return null;
    return 'the documents are not those that the head was written with';
  }

  /** Orders that cannot be believed, which nobody follows, and why. */
  strangeOrders(): readonly string[] {
    return [...this.#wrong].filter(([key]) => key.startsWith('order/')).map(([, why]) => why);
  }

  /** By key without `doc/`, the MAC by which a change of it shows. */
  documents(): ReadonlyMap<string, string> {
    const all = new Map<string, string>();
    for (const [key, mac] of this.#macs) {
      if (key.startsWith('doc/')) all.set(key.slice('doc/'.length), mac);
    }
    return all;
  }

  /** In group time; one that is not there is null. */
  document(key: string): Json {
    const opened = this.#opened.get(`doc/${key}`);
    return opened === undefined ? null : (parsed(opened.text) as Json);
  }

  reply(id: string): Reply | null {
    const done = this.#opened.get(`done/${id}`);
    return done === undefined ? null : (parsed(done.text) as { reply: Reply }).reply;
  }

  /** Ids of the orders that are done and remembered, the oldest first, with their numbers. */
  done(): readonly { readonly id: string; readonly number: number }[] {
    return [...this.#opened]
      .filter(([key]) => key.startsWith('done/'))
      .map(([key, { number }]) => ({ id: key.slice('done/'.length), number }))
      .sort((a, b) => a.number - b.number);
  }

  orders(): readonly Order[] {
    return [...this.#opened]
      .filter(([key]) => key.startsWith('order/'))
      .map(([key, { number, text }]) => {
        const { command, replica } = parsed(text) as { command: Command; replica: string };
        return { id: key.slice('order/'.length), number, command, replica };
      });
  }

  /** What the digest is once these stand there, or (null) do not. */
  digestWith(changes: readonly (readonly [key: string, raw: string | null])[]): string {
    const macs = new Map(this.#macs);
    for (const [key, raw] of changes) {
      if (raw === null) macs.delete(key);
      else if (isCounted(key)) macs.set(key, macIn(raw));
    }
    return digestOf(macs);
  }

  /** `isLoaded`: it is there, whatever was known. */
  #put(kv: Kv, isLoaded: boolean): void {
    const key = kv.key.slice(this.#prefix.length);
    const before = this.#opened.get(key);
    if (!isLoaded && kv.modRevision <= this.modRevision(key)) return;
    if (key === 'lease') {
      this.lease = kv;
      return;
    }
    const purpose = purposeOf(key);
    if (purpose === null || (before?.raw === kv.value && before.modRevision === kv.modRevision)) {
      return;
    }
    const sealed = this.#seal().open(purpose, key, kv.value);
    this.#remove(key);
    if (key === 'head') this.headKeyText = kv.value;
    if (sealed === null) {
      this.#wrong.set(key, 'does not bear the seal of the cluster key');
      return;
    }
    // A head that went back is the group's own matter: it was restored.
    if (key !== 'head' && sealed.number < (this.#highest.get(key) ?? 0)) {
      this.#wrong.set(key, 'is an old one that was put back');
      return;
    }
    if (!isWhole(purpose, sealed.text)) {
      this.#wrong.set(key, 'is not what Detour writes');
      return;
    }
    this.#highest.set(key, sealed.number);
    this.#opened.set(key, { ...sealed, raw: kv.value, modRevision: kv.modRevision });
    if (isCounted(key)) {
      this.#macs.set(key, macIn(kv.value));
      this.#digest = null;
    }
    if (key === 'head') {
      const head = parsed(sealed.text) as Omit<Head, 'term' | 'number'>;
      this.#head = { ...head, term: sealed.term, number: sealed.number };
    }
    // An order bears no number of its own: what is gone needs no memory.
    if (purpose === 'order') this.#highest.delete(key);
  }

  #remove(key: string): void {
    this.#opened.delete(key);
    this.#wrong.delete(key);
    if (this.#macs.delete(key)) this.#digest = null;
    if (key === 'head') [this.#head, this.headKeyText] = [null, null];
    // Its head remembers that it was done.
    if (key.startsWith('done/')) this.#highest.delete(key);
  }
}

function parsed(text: string): unknown {
  return JSON.parse(text);
}

/** Whether a text that a seal vouches for is of the form this version writes. */
function isWhole(purpose: Purpose, text: string): boolean {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return false;
  }
  if (purpose === 'document') return true;
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Readonly<Record<string, unknown>>;
  const has = (type: string, ...names: readonly string[]) =>
    names.every((name) => typeof fields[name] === type);
  switch (purpose) {
    case 'head':
      return (
        has('string', 'tx', 'by', 'cluster', 'digest') &&
        has('number', 'at', 'base', 'floor') &&
        has('boolean', 'shared') &&
        Array.isArray(fields['leases'])
      );
    case 'order':
      return has('object', 'command') && has('string', 'replica');
    case 'done':
      return has('object', 'reply');
    default:
      return true;
  }
}
