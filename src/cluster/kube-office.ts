// What one replica makes of the group's documents: tells them in its own time, commits under its
// term, passes operators' words to whoever acts, and puts its own documents in their place when a
// person says so. It must never tell documents that are not believed, nor write a head for a term
// that is not held.

import type { Command, Json, Reply } from '../core/model.ts';
import { shifted } from '../core/stored.ts';
import type { Batch, Clock, LeaseEvent, Outcome, Shared, SharedDoc } from '../ports.ts';
import type { Documents, Written } from './kube-documents.ts';
import type { Seal } from './sealed.ts';
import {
  doneWith,
  logWith,
  type Opened,
  ORDERS_MOST,
  orderChange,
  orderKey,
  pack,
  type Shelf,
  shelfChange,
  sizeOf,
} from './shelf.ts';

/** What a replica remembers of the group over restarts, to notice documents that went back. */
export interface KubeMemory {
  readonly term: number;
  /** The newest head's number and transaction. */
  readonly number: number;
  readonly tx: string;
  /** Own engine time less group time, in milliseconds; null: not known yet. */
  readonly shift: number | null;
}

interface OfficeOptions {
  readonly replica: string;
  readonly clock: Clock;
  readonly memory: { load(): KubeMemory | null; save(memory: KubeMemory): void };
  /** A random id. */
  readonly id: () => string;
  /** Something is wrong that stops nobody. */
  readonly trouble: (sentence: string) => void;
  readonly seal: () => Seal;
  readonly documents: Documents;
  readonly tell: (event: LeaseEvent) => void;
  /** Under which this replica may act; null: it may not. */
  readonly term: () => number | null;
  /** Engine time until which it surely holds the Lease. */
  readonly until: () => number;
  /** The Lease as it was last seen; null: there is none. */
  readonly lease: () => { readonly uid: string; readonly transitions: number } | null;
  readonly giveUp: (why: string) => void;
  /** Why nobody acts in the group; null: somebody may. */
  readonly idle: () => string | null;
}

/** A commit that is not known to be done by then is given up, and with it the right to act. */
const COMMIT_MS = 10_000;
const SAY_MS = 15_000;
/**
 * An order that the one who acts has not done by then is dropped: whoever said it waits no more.
 */
const ORDER_MS = 30_000;
const SAYINGS_MOST = 50;
const COMMAND_MOST = 8192;
const DOCS_MOST = 100;
const BATCH_MOST = 524_288;
const CLAIM_TRIES = 10;
const AGAIN_MS = 200;
/** A group in which nothing happens writes a head this often, from which others take its time. */
const BEAT_MS = 60_000;
/** A group time that is found to be this much off is told again in its documents. */
const SHIFT_NEWS_MS = 250;
/** Others may have known more than we: terms and numbers go on from so much higher. */
const NUMBERS_ON = 1000;
const TERMS_ON = 1_000_000;

interface Saying {
  readonly reply: Promise<Reply>;
  readonly resolve: (reply: Reply) => void;
}

interface Taken {
  readonly uid: string;
  readonly transitions: number;
}

export class Office implements Shared {
  /** Why the last writing was refused; null: it was not. */
  refused: { readonly word: 'full' | 'refused'; readonly sentence: string } | null = null;
  readonly #options: OfficeOptions;
  /** Own engine time less the group's; null: not known yet. */
  #shift: number | null;
  #isShiftLive = false;
  /** The last term under which a head was written here, or tried. */
  #own: number | null = null;
  /** By key what was told, in group time; null: whatever comes next is told as a whole. */
  #told: ReadonlyMap<string, string> | null = null;
  #toldRaw = '';
  #seen = '';
  /** Engine time at which the last head was written here. */
  #headAt = 0;
  /** When orders were first seen under this term, by their key in the object. */
  readonly #orders = new Map<string, number>();
  #tidying = false;
  /** One at a time: a beat that is under way is through in a moment. */
  #commits: Promise<unknown> = Promise.resolve();
  #committing = 0;
  readonly #sayings = new Map<string, Saying>();

  constructor(options: OfficeOptions) {
    this.#options = options;
    this.#shift = options.memory.load()?.shift ?? null;
  }

  close(): void {
    const message = 'the daemon is stopping: it is not known whether this is done';
    for (const { resolve } of this.#sayings.values()) resolve({ exit: 1, message });
  }

  // -------------------------------------------------------------- what the group decided

  /** The documents have been read, or written; `isLive`: just now. */
  changed(isLive: boolean): void {
    const { documents, term } = this.#options;
    const opened = documents.opened;
    if (opened === null) return;
    if (opened.raw !== this.#seen) {
      this.#seen = opened.raw;
      if (opened.shelf !== null) this.#note(opened.shelf, isLive);
    }
    if (term() === null) this.#tellDocuments(opened);
    else this.#tellOrders(opened);
    this.#answer();
  }

  /**
   * Whoever acts writes a head now and then where nothing happens: others take its time from it.
   */
  beat(): void {
    const { clock, term } = this.#options;
    if (term() === null || this.#committing > 0 || clock.now() - this.#headAt < BEAT_MS) return;
    void this.commit({ docs: [], entries: [], done: [] });
  }

  /** What was folded and not committed is nobody's: all of the group's is told anew. */
  lost(): void {
    this.#orders.clear();
    this.#told = null;
    this.changed(false);
  }

  held(term: number): void {
    const { documents, tell } = this.#options;
    if (documents.opened !== null) this.#tellDocuments(documents.opened);
    tell({ kind: 'held', term });
    this.changed(false);
  }

  #note(shelf: Shelf, isLive: boolean): void {
    const { clock, memory, replica } = this.#options;
    // What an earlier life of ours wrote counts too: its clock need not have been this one.
    const isOurs = shelf.term === this.#own;
    if (!isOurs) this.#measure(clock.now() - shelf.at, isLive && shelf.by !== replica);
    const { term, number, tx } = shelf;
    memory.save({ term, number, tx, shift: this.#shift });
  }

  /**
   * Sets our clock against the group's: the least that was ever between a head and its receipt. One
   * that was read late says only what it is at most.
   */
  #measure(aheadMs: number, isLive: boolean): void {
    const before = this.#shift;
    const isFirst = isLive && !this.#isShiftLive;
    this.#shift = isFirst || before === null ? aheadMs : Math.min(before, aheadMs);
    if (isLive) this.#isShiftLive = true;
    if (before !== null && Math.abs(this.#shift - before) > SHIFT_NEWS_MS) this.#told = null;
  }

  #now(): number {
    return this.#options.clock.now() - (this.#shift ?? 0);
  }

  /** What the group decided and was not told yet, in our own time. */
  #tellDocuments({ raw, shelf }: Opened): void {
    const before = this.#told;
    if (before !== null && raw === this.#toldRaw) return;
    const { number, by } = shelf ?? { number: 0, by: null };
    const docs: Shelf['docs'] = shelf?.docs ?? {};
    const texts = new Map(Object.entries(docs).map(([key, doc]) => [key, JSON.stringify(doc)]));
    const told: SharedDoc[] = [];
    for (const [key, text] of texts) {
      if (before?.get(key) !== text) told.push([key, shifted(key, docs[key]!, this.#shift ?? 0)]);
    }
    for (const key of before?.keys() ?? []) if (!texts.has(key)) told.push([key, null]);
    this.#told = texts;
    this.#toldRaw = raw;
    const isNew = !(shelf?.shared ?? false);
    const whole = before === null;
    this.#options.tell({ kind: 'documents', docs: told, whole, number, by, isNew });
  }

  // -------------------------------------------------------------- writing

  /** Writes the head of a new term over what stands there, so that nobody of a lower one can. */
  async claim(
    taken: Taken,
    until: () => number,
  ): Promise<{ readonly term: number } | { readonly why: string }> {
    const { documents, clock } = this.#options;
    let why = 'the documents are not read';
    for (let tries = 0; tries < CLAIM_TRIES && until() > clock.now(); tries++) {
      const { opened } = documents;
      if (documents.problem !== null) return { why: documents.problem.sentence };
      if (opened === null) {
        await this.#pause();
        await documents.refresh();
        continue;
      }
      const base = opened.shelf?.base ?? 0;
      const term = base + taken.transitions;
      if (term <= Math.max(documents.known.term, opened.shelf?.term ?? 0)) {
        await this.#doubtLease();
        continue;
      }
      const make = (now: Opened, home: string) =>
        this.#next(now, { term, base, lease: taken.uid, home });
      this.#own = term;
      const written = await documents.write(opened.raw, make, until);
      if (written.kind === 'written') {
        this.refused = null;
        return { term };
      }
      why = written.why;
      if (written.kind === 'refused') this.#noteRefusal(written);
      if (written.kind !== 'overtaken') break;
    }
    return { why };
  }

  /** While it is still held: whoever takes it next must not get a term and act before it is known. */
  async #doubtLease(): Promise<void> {
    const { documents, replica, trouble } = this.#options;
    trouble('the Lease has changed hands less often than when the documents were written');
    const { term, number } = documents.known;
    await documents.raise({ term, number: number + 1, replica });
  }

  async commit(batch: Batch): Promise<Outcome> {
    const large = tooLarge(batch);
    if (large !== null) return { kind: 'refused', why: large };
    const mine = this.#commits.then(() => this.#commit(batch));
    this.#commits = mine;
    this.#committing++;
    const outcome = await mine;
    this.#committing--;
    return outcome;
  }

  async #commit(batch: Batch): Promise<Outcome> {
    const { documents, clock, term, until, giveUp } = this.#options;
    const own = term();
    const opened = documents.opened;
    if (own === null || opened?.shelf?.term !== own) {
      const why = 'this replica does not hold the lease';
      // Whoever is told so has let go.
      if (own !== null) giveUp(why);
      return { kind: 'deposed', why };
    }
    const { base, lease } = opened.shelf;
    const make = (now: Opened, home: string) =>
      this.#next(now, { term: own, base, lease, home }, batch);
    const untilAt = clock.now() + COMMIT_MS;
    // Its own term: that of a later holding does not let this one go on.
    const mayGoOn = () => (term() === own ? Math.min(untilAt, until()) : 0);
    const written = await documents.write(opened.raw, make, mayGoOn);
    return this.#outcome(written);
  }

  #outcome(written: Written): Outcome {
    const { giveUp } = this.#options;
    switch (written.kind) {
      case 'written':
        this.refused = null;
        this.#toldOwn();
        return { kind: 'committed' };
      case 'refused':
        this.#noteRefusal(written);
        return { kind: 'refused', why: written.why };
      case 'overtaken':
        giveUp(written.why);
        return { kind: 'deposed', why: written.why };
      case 'unknown': {
        const why = `it is not known whether it is committed: ${written.why}`;
        giveUp(why);
        return { kind: 'deposed', why };
      }
    }
  }

  /** Ours is known to whoever asked for it. */
  #toldOwn(): void {
    const { opened } = this.#options.documents;
    if (this.#options.term() === null || !opened?.shelf) return;
    const { docs } = opened.shelf;
    this.#told = new Map(Object.entries(docs).map(([key, doc]) => [key, JSON.stringify(doc)]));
    this.#toldRaw = opened.raw;
  }

  #noteRefusal({ word, why }: Extract<Written, { kind: 'refused' }>): void {
    const sentence = `the group's documents cannot be written: ${why}`;
    this.refused = word === 'full' ? { word, sentence: why } : { word: 'refused', sentence };
  }

  #next(
    opened: Opened,
    under: Pick<Shelf, 'term' | 'base' | 'lease' | 'home'>,
    batch: Batch = { docs: [], entries: [], done: [] },
  ) {
    const { replica: by, seal, documents, id, clock } = this.#options;
    const shelf = opened.shelf;
    const number = Math.max(shelf?.number ?? 0, documents.known.number) + 1;
    // The first writer of an empty group sets its time.
    this.#shift ??= 0;
    // From here on the group goes by this clock; a head that is read late must not set it anew.
    this.#isShiftLive = true;
    const docs = new Map(Object.entries(shelf?.docs ?? {}));
    for (const [key, value] of batch.docs) {
      if (value === null) docs.delete(key);
      else docs.set(key, shifted(key, value, -this.#shift));
    }
    const done = doneWith(shelf ?? { done: [], floor: 0 }, batch.done, number);
    const log = logWith(shelf?.log ?? [], batch.entries, number);
    // Group time does not go back either.
    const at = Math.max(this.#now(), shelf?.at ?? Number.NEGATIVE_INFINITY);
    const shared = batch.docs.length > 0 || (shelf?.shared ?? false);
    const head = { ...under, number, tx: id(), at, by, ...done, shared, log };
    const made = pack({ ...head, docs: Object.fromEntries(docs) }, seal(), sizeOf(opened));
    if ('full' in made) return made;
    this.#headAt = clock.now();
    const over = new Set([...this.#idle(opened), ...batch.done.map(({ id }) => orderKey(id))]);
    return [shelfChange(made), ...[...over].map((key) => [key, null] as const)];
  }

  // -------------------------------------------------------------- operators' words

  /** Tells whoever acts of each order once. */
  #tellOrders(opened: Opened): void {
    const { tell, clock, trouble } = this.#options;
    if (opened.strange.length > 0) {
      trouble(
        'an order among the documents does not bear the cluster key’s seal: nobody follows it',
      );
    }
    const idle = new Set(this.#idle(opened));
    for (const key of this.#orders.keys()) if (!opened.orders.has(key)) this.#orders.delete(key);
    for (const [key, { id, command, replica }] of opened.orders) {
      if (idle.has(key) || this.#orders.has(key)) continue;
      this.#orders.set(key, clock.now());
      tell({ kind: 'order', id, command, replica });
    }
    if (idle.size > 0) this.#tidy();
  }

  /** Keys of orders that nobody need do: done, too old, or nobody's of ours. */
  #idle(opened: Opened): readonly string[] {
    const { clock } = this.#options;
    const done = new Set(opened.shelf?.done.map(({ id }) => id));
    const floor = opened.shelf?.floor ?? 0;
    const isIdle = (key: string, id: string, number: number) =>
      done.has(id) ||
      number < floor ||
      clock.now() - (this.#orders.get(key) ?? Infinity) > ORDER_MS;
    const orders = [...opened.orders].filter(([key, { id, number }]) => isIdle(key, id, number));
    return [...opened.strange, ...orders.map(([key]) => key)];
  }

  #tidy(): void {
    if (this.#tidying) return;
    this.#tidying = true;
    const { documents, clock } = this.#options;
    const make = (opened: Opened) => {
      const keys = this.#idle(opened);
      return keys.length === 0 ? null : keys.map((key) => [key, null] as const);
    };
    void documents.beside(make, clock.now() + AGAIN_MS).then(() => {
      this.#tidying = false;
    });
  }

  async say(id: string, command: Command): Promise<Reply> {
    const before = this.#sayings.get(id);
    if (before !== undefined) return before.reply;
    const idle = this.#options.idle();
    if (idle !== null) {
      return { exit: 1, message: `nobody acts in the group: ${idle}; or \`switch --direct\`` };
    }
    if (this.#sayings.size >= SAYINGS_MOST) {
      return { exit: 1, message: `more than ${SAYINGS_MOST} commands wait already: try again` };
    }
    if (Buffer.byteLength(JSON.stringify(command)) > COMMAND_MOST) {
      return {
        exit: 2,
        message: `the command is larger than ${COMMAND_MOST} bytes: say it shorter`,
      };
    }
    const { promise: reply, resolve } = Promise.withResolvers<Reply>();
    this.#sayings.set(id, { reply, resolve });
    const cancel = this.#options.clock.after(SAY_MS, () => resolve(this.#unknown(id)));
    void this.#pass(id, command);
    const said = await reply;
    cancel();
    this.#sayings.delete(id);
    return said;
  }

  /** Nobody shall carry it out any more, once this is said. */
  #unknown(id: string): Reply {
    const { documents, clock } = this.#options;
    const key = orderKey(id);
    const make = (opened: Opened) => (opened.orders.has(key) ? [[key, null] as const] : null);
    void documents.beside(make, clock.now() + AGAIN_MS);
    const by = documents.opened?.shelf?.by;
    const who = by === undefined ? 'nobody has acted yet' : `${by} acted last`;
    const message = `no answer within ${SAY_MS / 1000} s (${who}): it is not known whether this is \
done; look with \`detour status\``;
    return { exit: 1, message };
  }

  async #pass(id: string, command: Command): Promise<void> {
    const { documents, clock, replica, seal } = this.#options;
    const key = orderKey(id);
    let isCrowded = false;
    const make = (opened: Opened) => {
      const done = opened.shelf?.done.some((one) => one.id === id);
      isCrowded = opened.orders.size >= ORDERS_MOST;
      if (done || isCrowded || opened.orders.has(key)) return null;
      const { number, term } = opened.shelf ?? { number: 0, term: 0 };
      return [orderChange({ id, number, command, replica }, term, seal())];
    };
    await documents.beside(make, clock.now() + SAY_MS);
    const message = `${ORDERS_MOST} commands wait already for the replica that acts: try again`;
    if (isCrowded) this.#sayings.get(id)?.resolve({ exit: 1, message });
    this.#answer();
  }

  /** Whoever waits for an answer that has come. */
  #answer(): void {
    if (this.#sayings.size === 0) return;
    for (const { id, reply } of this.#options.documents.opened?.shelf?.done ?? []) {
      this.#sayings.get(id)?.resolve(reply);
    }
  }

  // -------------------------------------------------------------- a person's word

  async restore(docs: Readonly<Record<string, Json>>): Promise<Reply> {
    const { documents, replica: by, seal, lease, id } = this.#options;
    const seen = lease();
    if (documents.problem === null && seen !== null) {
      return { exit: 2, message: 'the group is not in doubt: there is nothing to acknowledge' };
    }
    if (seen === null) {
      const cure = 'apply deploy/kubernetes/overlays/lease (or the chart) again';
      const message = `the Lease is not there: ${cure}, then say this once more`;
      return { exit: 1, message };
    }
    const shift = this.#shift ?? 0;
    const own = Object.entries(docs).map(([key, doc]) => [key, shifted(key, doc, -shift)] as const);
    const why = await documents.replace((above, home) => {
      const base = above.term + TERMS_ON;
      const number = above.number + NUMBERS_ON;
      const term = base + seen.transitions;
      const head = { term, number, tx: id(), at: this.#now(), by, base, lease: seen.uid, home };
      const all = Object.fromEntries(own);
      const rest = { floor: number, shared: true, docs: all, done: [], log: [] };
      return pack({ ...head, ...rest }, seal(), 0);
    });
    if (why !== null) return { exit: 1, message: `not restored, and nobody acts: ${why}` };
    return { exit: 0, message: `${own.length} documents of ${by} are the group's again` };
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => void this.#options.clock.after(AGAIN_MS, resolve));
  }
}

/** Why a batch is too large; null: it is not. */
function tooLarge({ docs, entries, done }: Batch): string | null {
  if (docs.length > DOCS_MOST) return `${docs.length} documents: ${DOCS_MOST} at most at once`;
  const size = Buffer.byteLength(JSON.stringify([docs, entries, done]));
  return size > BATCH_MOST ? `${size} bytes: ${BATCH_MOST} at most at once` : null;
}
