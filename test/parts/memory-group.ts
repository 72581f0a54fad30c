// A group of replicas without an engine: one head, one lease and the orders, in one process and in
// virtual time, with the promises of the ports `Coordinator` and `Shared`. Each replica's way to it can
// be slow, lose a reply, refuse, or be cut; the head itself never forgets. It checks what its callers
// promise: one transaction at a time, within the limits, under the lease.

import type { Command, Json, Reply } from '../../src/core/model.ts';
import type { Batch, Clock, Coordinator, LeaseEvent, Outcome, Shared } from '../../src/ports.ts';

/** How one replica's way to the group is. */
export interface Way {
  /** Nothing passes in either direction. */
  cut: boolean;
  /** Added to each transaction, in milliseconds, before it is decided. */
  slowMs: number;
  /** Transactions are applied and their replies lost; they are read back a second later. */
  losesReplies: boolean;
  /** The head takes none (NOSPACE), and the lease stays. */
  refuses: boolean;
  /** Keep-alives take so long that no more than this is left of the lease, in milliseconds. */
  leftMs: number | null;
}

const TTL_MS = 5_000;
const HALF_MS = 10;
const COMMIT_MS = 2_000;
const SAY_MS = 10_000;

type Tell = (event: LeaseEvent) => void;

interface Member {
  readonly name: string;
  readonly way: Way;
  tell: Tell;
  /** Its own belief: until when it may act, and the term. */
  until: number;
  term: number | null;
  committing: boolean;
  closed: boolean;
  /** It gave the lease back, and lets others have it first. */
  politeUntil: number;
  /** Told of the head up to this number. */
  seen: number;
}

export class MemoryGroup {
  readonly clock: Clock;
  readonly docs = new Map<string, Json>();
  readonly done = new Map<string, Reply>();
  /** Transactions that were applied, in order, with who made them. */
  readonly commits: { readonly by: string; readonly term: number; readonly batch: Batch }[] = [];
  readonly members = new Map<string, Member>();
  readonly orders = new Map<string, { readonly command: Command; readonly replica: string }>();
  holder: string | null = null;
  term = 0;
  #until = 0;
  #by: string | null = null;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Who holds the lease by the group's own word. */
  get owner(): string | null {
    return this.clock.now() < this.#until ? this.holder : null;
  }

  way(name: string): Way {
    return this.members.get(name)!.way;
  }

  /** Says how the group is, to all. */
  tell(word: Extract<LeaseEvent, { kind: 'group' }>['word'], sentence: string): void {
    for (const m of this.members.values()) m.tell({ kind: 'group', word, sentence });
  }

  coordinator(name: string): Coordinator {
    const way: Way = { cut: false, slowMs: 0, losesReplies: false, refuses: false, leftMs: null };
    const m: Member = {
      name,
      way,
      tell: () => {},
      until: 0,
      term: null,
      committing: false,
      closed: false,
      politeUntil: 0,
      seen: 0,
    };
    this.members.set(name, m);
    return {
      start: (tell) => {
        m.tell = (event) => {
          if (!m.closed) tell(event);
        };
        this.#start(m);
      },
      actsUntil: () => (m.term === null ? 0 : m.until),
      yield: () => this.#yield(m),
      shared: this.#shared(m),
      close: () => {
        if (!m.way.cut && this.holder === m.name) this.#until = 0;
        m.closed = true;
      },
    };
  }

  // -------------------------------------------------------------- the lease

  #start(m: Member): void {
    this.#later(HALF_MS, () => {
      if (!m.way.cut) this.#catchUp(m, true);
      m.tell({ kind: 'acts', replica: this.owner, term: this.term });
      this.#renew(m);
    });
  }

  /** Asks for the lease, or to keep it, once every third of its time; oftener while nobody has it. */
  #renew(m: Member): void {
    if (m.closed) return;
    const sentAt = this.clock.now();
    if (m.term !== null && m.until <= sentAt) this.#lose(m, 'the lease ran out');
    if (!m.way.cut) this.#later(HALF_MS, () => this.#asked(m, sentAt));
    const waits = m.term === null ? 50 : TTL_MS / 3;
    this.#later(Math.min(waits, m.term === null ? waits : m.until - sentAt), () => this.#renew(m));
  }

  #asked(m: Member, sentAt: number): void {
    if (m.closed || m.way.cut) return;
    const now = this.clock.now();
    const isFree = this.owner === null;
    if (m.term === null && m.seen !== this.commits.length) this.#catchUp(m, true);
    if (isFree && now < m.politeUntil) return;
    if (!isFree && this.holder !== m.name) return;
    if (isFree) {
      this.term++;
      this.holder = m.name;
    }
    this.#until = now + TTL_MS;
    const { term } = this;
    this.#later(HALF_MS, () => {
      if (m.closed || m.way.cut || this.holder !== m.name || term !== this.term) return;
      m.until = sentAt + (m.way.leftMs ?? TTL_MS);
      if (m.term === term || m.until <= this.clock.now()) return;
      m.term = term;
      this.#catchUp(m, true);
      m.tell({ kind: 'held', term });
      for (const other of this.members.values()) {
        if (other !== m && !other.way.cut) other.tell({ kind: 'acts', replica: m.name, term });
      }
      for (const [id, order] of this.orders) m.tell({ kind: 'order', id, ...order });
      this.#later(m.until - this.clock.now(), () => this.#doubt(m));
    });
  }

  /** The lease has run out by its own clock, unless it was kept alive meanwhile. */
  #doubt(m: Member): void {
    if (m.term === null || m.closed) return;
    const leftMs = m.until - this.clock.now();
    if (leftMs <= 0) this.#lose(m, 'the lease ran out');
    else this.#later(leftMs, () => this.#doubt(m));
  }

  #lose(m: Member, why: string): void {
    if (m.term === null) return;
    m.term = null;
    m.until = 0;
    m.tell({ kind: 'lost', why });
    if (!m.way.cut) this.#catchUp(m, true);
  }

  async #yield(m: Member): Promise<void> {
    if (m.term === null) return;
    await this.#pause(HALF_MS);
    if (this.holder === m.name && !m.way.cut) this.#until = 0;
    m.politeUntil = this.clock.now() + 1_000;
    this.#lose(m, 'handed over');
    await this.#pause(HALF_MS);
  }

  get #isNew(): boolean {
    return !this.commits.some(({ batch }) => batch.docs.length > 0);
  }

  #catchUp(m: Member, whole: boolean): void {
    m.seen = this.commits.length;
    const docs = [...this.docs];
    m.tell({ kind: 'documents', docs, whole, number: m.seen, by: this.#by, isNew: this.#isNew });
  }

  // -------------------------------------------------------------- the head

  #shared(m: Member): Shared {
    return {
      commit: (batch) => this.#commit(m, batch),
      say: (id, command) => this.#say(m, id, command),
      restore: async (docs) => {
        await this.#pause(HALF_MS);
        this.docs.clear();
        for (const [key, value] of Object.entries(docs)) this.docs.set(key, value);
        this.term += 1_000;
        for (const one of this.members.values()) this.#catchUp(one, true);
        this.tell(null, '');
        return { exit: 0, message: 'restored' };
      },
    };
  }

  async #commit(m: Member, batch: Batch): Promise<Outcome> {
    if (m.committing) throw new Error(`${m.name}: two transactions at a time`);
    if (batch.docs.length > 100) throw new Error(`${batch.docs.length} documents in one batch`);
    const bytes = Buffer.byteLength(JSON.stringify(batch.docs));
    if (bytes > 512 * 1024) throw new Error(`${bytes} bytes in one batch`);
    const { term } = m;
    m.committing = true;
    try {
      await this.#pause(HALF_MS + m.way.slowMs);
      const outcome = m.way.cut ? null : this.#decide(m, term, structuredClone(batch));
      if (m.way.losesReplies) await this.#pause(1_000);
      else await this.#pause(HALF_MS);
      if (outcome !== null && !m.way.cut) return outcome;
      await this.#pause(COMMIT_MS);
      const why = 'nobody knows whether it was committed';
      this.#lose(m, why);
      return { kind: 'deposed', why };
    } finally {
      m.committing = false;
    }
  }

  #decide(m: Member, term: number | null, batch: Batch): Outcome {
    if (this.holder !== m.name || term !== this.term || this.owner === null) {
      this.#lose(m, 'another holds the lease');
      return { kind: 'deposed', why: 'another holds the lease' };
    }
    if (m.way.refuses) return { kind: 'refused', why: 'no space' };
    for (const [key, value] of batch.docs) {
      if (value === null) this.docs.delete(key);
      else this.docs.set(key, value);
    }
    this.commits.push({ by: m.name, term, batch });
    this.#by = m.name;
    for (const { id, reply } of batch.done) {
      this.done.set(id, reply);
      this.orders.delete(id);
    }
    for (const other of this.members.values()) if (other !== m) this.#tellLater(other, batch);
    return { kind: 'committed' };
  }

  #tellLater(other: Member, { docs }: Batch): void {
    const number = this.commits.length;
    const by = this.#by;
    this.#later(HALF_MS, () => {
      if (other.way.cut || other.seen >= number) return;
      // Whoever missed some is told of all there is.
      if (other.seen !== number - 1) return this.#catchUp(other, true);
      other.seen = number;
      other.tell({ kind: 'documents', docs, whole: false, number, by, isNew: this.#isNew });
    });
  }

  // -------------------------------------------------------------- orders

  async #say(m: Member, id: string, command: Command): Promise<Reply> {
    const until = this.clock.now() + SAY_MS;
    await this.#pause(HALF_MS);
    if (m.way.cut) {
      await this.#pause(COMMIT_MS);
      return { exit: 1, message: 'no majority of the group answers: use `switch --direct`' };
    }
    if (!this.done.has(id) && !this.orders.has(id)) {
      this.orders.set(id, { command, replica: m.name });
      this.order(id);
    }
    while (this.clock.now() < until) {
      await this.#pause(HALF_MS);
      const reply = this.done.get(id);
      if (reply !== undefined && !m.way.cut) return reply;
    }
    return { exit: 1, message: 'nobody has answered: it may still be carried out' };
  }

  /** Tells whoever acts of an order that waits; a watch may do so more than once. */
  order(id: string): void {
    const order = this.orders.get(id);
    const holder = this.members.get(this.owner ?? '');
    if (order === undefined || holder === undefined) return;
    this.#later(HALF_MS, () => {
      if (holder.term !== null && !holder.way.cut) holder.tell({ kind: 'order', id, ...order });
    });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.after(ms, resolve));
  }

  #later(ms: number, then: () => void): void {
    this.clock.after(ms, then);
  }
}
