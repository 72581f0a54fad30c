// The coordinator of a group of replicas over an etcd: who may act, and what they share. The right
// to act is counted from when the keep-alive was sent, on a clock that notices suspension, and ends
// a margin before etcd would give the lease to another; every commit goes under the lease's key and
// the head (ledger.ts); what is read is believed only as a whole (mirror.ts). It must never let two
// replicas act at once, take a lost reply for either answer, or go on over an etcd that was put
// back to an earlier time: then nobody acts until a person says so (restore.ts).

import type { Telling } from '../core/heard.ts';
import { MARKER_NUMBER_MAX } from '../core/marker.ts';
import type { Command, Json, Reply } from '../core/model.ts';
import { shifted } from '../core/stored.ts';
import type {
  Batch,
  Clock,
  Coordinator,
  GroupWord,
  LeaseEvent,
  Outcome,
  Shared,
  SharedDoc,
} from '../ports.ts';
import type {
  Gateway,
  GatewayFault,
  Got,
  Header,
  Kv,
  Op,
  TxnReply,
  WatchEvent,
} from './gateway.ts';
import {
  type Flight,
  type Holding,
  type Planned,
  plan,
  type Settled,
  settle,
  tooLarge,
} from './ledger.ts';
import { type Before, type Head, Mirror } from './mirror.ts';
import { type Aim, restoreAll, sameHead } from './restore.ts';
import type { Seal } from './sealed.ts';

/** What a replica remembers of the group over restarts, to notice an etcd that went back. */
export interface Memory {
  readonly clusterId: string;
  readonly revision: number;
  readonly term: number;
  /** The newest head's number, transaction and base. */
  readonly number: number;
  readonly tx: string;
  readonly base: number;
  /** Own engine time less group time, in milliseconds; null: not known yet. */
  readonly shift: number | null;
  /** Of the last restoration that was begun here; null: none was. */
  readonly aimed: Aim | null;
}

interface EtcdOptions {
  readonly gateway: Gateway;
  readonly clock: Clock;
  /** Milliseconds that have passed since some moment, those while the machine slept included. */
  readonly elapsed: () => number;
  readonly replica: string;
  /** Below which all keys are; ends with a slash. */
  readonly prefix: string;
  /** Of the lease; whole seconds. */
  readonly ttlMs: number;
  /** The one to use now: keys are rotated while it runs. */
  readonly seal: () => Seal;
  /** `save`: false where it could not be kept. */
  readonly memory: { load(): Memory | null; save(memory: Memory): boolean };
  /** A random id. */
  readonly id: () => string;
  /** Something is wrong that stops nobody. */
  readonly trouble: (sentence: string) => void;
}

/** The number of the newest head that is known, and the highest term. */
export type GroupHead = Pick<Telling, 'head' | 'term'>;

export interface GroupCoordinator extends Coordinator {
  readonly shared: Shared;
  readonly head: GroupHead;
  /** Another replica says that it knows such a head. */
  highest(known: GroupHead, replica: string): void;
}

/** How much sooner the right to act ends than the lease: for clocks that run at different speeds. */
const MARGIN = 0.1;
const MARGIN_MIN_MS = 200;
/** A commit whose outcome is not known by then costs the right to act. */
const COMMIT_MS = 10_000;
/** What only the engine has to do: a slow disk of its takes seconds. */
const CALL_MS = 5000;
const STATUS_MS = 1000;
/** How long a command to another replica waits for its reply, and stands in the engine. */
const SAY_MS = 15_000;
const ORDER_TTL_S = 30;
/** Orders that were told of and are not done yet, and one order in bytes, at most. */
const ORDERS_MOST = 100;
const ORDER_BYTES_MOST = 65_536;
/** Of the largest documents, one page is what the gateway reads at once. */
const PAGE = 100;
/** The pause after a watch ended: at first, and twice as long each time until one tells something. */
const WATCH_AGAIN_MS = 200;
const WATCH_AGAIN_MOST_MS = 10_000;
/** A group in which nothing happens writes a head this often, from which others take its time. */
const BEAT_MS = 60_000;
/** Leases of those who acted before that are named in a head, and how often they are looked for. */
const BEFORE_MOST = 8;
const OUTLIVE_MS = 100;
/** A group time that is found to be this much off is told again in its documents. */
const SHIFT_NEWS_MS = 250;

const nothing: Batch = { docs: [], entries: [], done: [] };
const nothingRemembered: Memory = {
  clusterId: '',
  revision: 0,
  term: 0,
  number: 0,
  tx: '',
  base: 0,
  shift: null,
  aimed: null,
};

/** Starts nothing yet. */
export function createEtcdCoordinator(options: EtcdOptions): GroupCoordinator {
  return new EtcdCoordinator(options);
}

interface Lease {
  readonly id: string;
  /** What its key says: who, and a word that no other claim has. */
  readonly claim: string;
  /** On the clock that notices suspension. */
  until: number;
}

/** What was known when something was asked: the answer may not be older. */
interface Known {
  readonly memory: Memory;
  readonly heard: { readonly number: number; readonly replica: string } | null;
}

interface Under extends Flight {
  readonly tx: string;
  readonly end: (settled: Settled) => void;
}

class EtcdCoordinator implements GroupCoordinator {
  readonly shared: Shared;
  readonly #o: EtcdOptions;
  readonly #mirror: Mirror;
  readonly #end: string;
  #tell: (event: LeaseEvent) => void = () => {};
  #closed = false;
  #lease: Lease | null = null;
  /** The key is ours, and the head is under it. */
  #held: Holding | null = null;
  /** That was told. */
  #acting = false;
  #claiming = false;
  /** Whoever acted before us and may not know yet that he does not. */
  #before: readonly Before[] = [];
  #flight: Under | null = null;
  #lapseTimer = () => {};
  #wake = () => {};
  /** Until then it leaves the lease to others. */
  #restUntil = 0;
  #memory: Memory;
  #heard: Known['heard'] = null;
  /** The highest that another replica has told of. */
  #heardTerm = 0;
  #mirrored = false;
  #loading: Promise<void> | null = null;
  #unwatch = () => {};
  #watchAgainMs = WATCH_AGAIN_MS;
  /** What the last look showed that the watch had not told yet. */
  #owed: { readonly revision: number; readonly gone: readonly (readonly [string, number])[] } = {
    revision: 0,
    gone: [],
  };
  /** The head and documents that were last told; null: whatever comes is told whole. */
  #told: { readonly number: number; readonly macs: ReadonlyMap<string, string> } | null = null;
  #toldOrders = new Set<string>();
  #strange = '';
  #shift: number | null;
  #isShiftLive = false;
  /** Those by which what is known was told or decided; null: nothing was. */
  #toldShifts: { readonly least: number; readonly most: number } | null = null;
  #restored: string | null = null;
  #raising = false;
  #restoring: Promise<Reply> | null = null;
  #ill: { readonly word: GroupWord; readonly sentence: string } | null = null;
  #word: GroupWord | null = null;
  #who: { readonly replica: string | null; readonly term: number } = { replica: null, term: 0 };
  #sentence = '';
  #answeredAt: number;
  #headAt: number;
  readonly #replies = new Map<string, Set<(reply: Reply) => void>>();

  constructor(options: EtcdOptions) {
    this.#o = options;
    const { prefix } = options;
    this.#end = `${prefix.slice(0, -1)}0`;
    this.#mirror = new Mirror(prefix, options.seal);
    this.#memory = { ...nothingRemembered, ...options.memory.load() };
    this.#shift = this.#memory.shift;
    this.#answeredAt = options.clock.now();
    this.#headAt = this.#answeredAt;
    this.shared = {
      commit: (batch) => this.#commit(batch),
      say: (id, command) => this.#say(id, command),
      restore: (docs) => {
        // Said twice, done once.
        this.#restoring ??= this.#restore(docs).finally(() => {
          this.#restoring = null;
        });
        return this.#restoring;
      },
    };
  }

  start(tell: (event: LeaseEvent) => void): void {
    this.#tell = tell;
    // Whoever is not alone says so first: what others write meanwhile is then no stranger's.
    tell({ kind: 'lost', why: 'competing for the lease' });
    void this.#rounds();
  }

  actsUntil(): number {
    const leftMs = this.#authority() - this.#o.elapsed();
    return this.#acting && leftMs > 0 ? this.#o.clock.now() + leftMs : 0;
  }

  async yield(): Promise<void> {
    if (this.#held === null) return;
    this.#restUntil = this.#o.clock.now() + 2 * this.#o.ttlMs;
    this.#quit('handed over');
    // What is under way is refused from the moment the key is gone; better it is through before.
    if (this.#flight !== null) await this.#within(this.#flight.over, CALL_MS);
    await this.#stepDown('handed over');
  }

  get head(): GroupHead {
    return { head: this.#memory.number, term: this.#memory.term };
  }

  highest({ head: number, term }: GroupHead, replica: string): void {
    if (Math.max(number, term) > MARKER_NUMBER_MAX) return;
    this.#heardTerm = Math.max(this.#heardTerm, term);
    if (number > (this.#heard?.number ?? 0)) this.#heard = { number, replica };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#acting = false;
    this.#unwatch();
    this.#wake();
    for (const id of [...this.#replies.keys()]) {
      this.#answer(id, { exit: 1, message: 'the daemon is stopping' });
    }
    void this.#stepDown('closed').finally(() => this.#o.gateway.close());
  }

  // -------------------------------------------------------------- the lease

  async #rounds(): Promise<void> {
    const { clock, ttlMs, trouble } = this.#o;
    while (!this.#closed) {
      const begunAt = clock.now();
      const stopRenewing = this.#renewMeanwhile();
      try {
        await this.#round();
      } catch (error) {
        // A fault of our own: whoever does not know what it does must not act.
        trouble(`the coordinator: ${error instanceof Error ? error.stack : String(error)}`);
        void this.#stepDown('a fault in Detour itself');
      } finally {
        stopRenewing();
      }
      if (this.#closed) return;
      const spentMs = clock.now() - begunAt;
      await new Promise<void>((resolve) => {
        const cancel = clock.after(Math.max(100, ttlMs / 3 - spentMs), resolve);
        this.#wake = () => {
          cancel();
          resolve();
        };
      });
    }
  }

  /** While a round waits for a slow engine, the lease is renewed as often as ever. */
  #renewMeanwhile(): () => void {
    const { clock, ttlMs } = this.#o;
    let cancel = () => {};
    const again = () => {
      cancel = clock.after(ttlMs / 3, () => {
        if (this.#lease !== null) void this.#renew();
        again();
      });
    };
    again();
    return () => cancel();
  }

  /** Renews and looks at once; null where nothing was seen. */
  async #renew(): Promise<Got<TxnReply> | null> {
    const { gateway, elapsed, ttlMs } = this.#o;
    const sentAt = elapsed();
    const lease = this.#lease;
    const deadlineMs = ttlMs / 2;
    const renewing = lease === null ? this.#grant() : gateway.keepAlive(lease.id, deadlineMs);
    const looking = gateway.txn(this.#look(), deadlineMs);
    const [renewed, looked] = await Promise.all([renewing, looking]);
    if (this.#closed) return null;
    if (!looked.ok) return looked;
    this.#answeredAt = this.#o.clock.now();
    if (renewed !== null && !renewed.ok) this.#refusedBy(renewed.fault);
    else if (this.#ill?.word !== 'full') this.#ill = null;
    if (lease !== null && renewed?.ok && lease === this.#lease) {
      if (renewed.value.ttlMs === 0) {
        this.#lease = null;
        await this.#stepDown('etcd has ended the lease');
      } else if (renewed.header.raftTerm === looked.header.raftTerm) {
        // Answered by whoever led etcd when the look was: a deposed one of its renews nothing.
        lease.until = Math.max(lease.until, sentAt + Math.min(renewed.value.ttlMs, ttlMs));
      }
    }
    return looked;
  }

  /** Renews, looks, and does what follows from it. */
  async #round(): Promise<void> {
    this.#lapse();
    const known: Known = { memory: this.#memory, heard: this.#heard };
    const looked = await this.#renew();
    if (looked === null) return;
    if (!looked.ok) return this.#unanswered(looked.fault);
    const { header, value } = looked;
    if (!this.#mirrored) await this.#load();
    if (!this.#mirrored || this.#closed) return;
    const [leaseKvs, headKvs, doubtKvs, orders] = value.ranges;
    const seen = { lease: leaseKvs![0] ?? null, head: headKvs![0] ?? null };
    this.#noteRevision(header);
    const head = this.#openHead(seen.head);
    // One that cannot be opened is forged, whatever it says.
    if (head !== null || seen.head === null) this.#checkRestored(header, head, known);
    // Of another base: what was read is of another history, however its revisions look.
    const isOther = head !== null && head.base !== this.#mirror.head?.base;
    if (isOther) await this.#load();
    else await this.#catchUp(header, { ...seen, doubt: doubtKvs![0] ?? null }, orders!);
    if (isOther && head.base !== this.#mirror.head?.base) return;
    this.#evaluate(false);
    if (this.#restored !== null && doubtKvs!.length === 0) void this.#raise(seen.head);
    this.#arm();
    await this.#follow(seen.lease);
  }

  /** What the lease's key, as a linearizable look shows it, makes of us. */
  async #follow(key: Kv | null): Promise<void> {
    if (this.#held !== null) {
      if (key?.createRevision !== this.#held.create) {
        await this.#stepDown('the key of its lease was deleted');
      } else if (!this.#acting) this.#begin();
      else if (this.#o.clock.now() - this.#headAt > BEAT_MS) void this.#beat();
    } else if (key === null) await this.#campaign();
    // The reply to our own success was lost.
    else if (key.lease === this.#lease?.id) await this.#claim(key.createRevision, this.#lease);
  }

  #look() {
    const { prefix } = this.#o;
    const ranges = ['lease', 'head', 'doubt'].map(
      (key): Op => ({ kind: 'range', key: prefix + key }),
    );
    const end = `${prefix}order0`;
    const orders: Op = { kind: 'range', key: `${prefix}order/`, end, limit: 200, keysOnly: true };
    return { compare: [], success: [...ranges, orders], failure: [] };
  }

  async #grant() {
    const { gateway, elapsed, ttlMs, replica, id } = this.#o;
    const sentAt = elapsed();
    const got = await gateway.grant(Math.ceil(ttlMs / 1000), CALL_MS);
    if (!got.ok || this.#lease !== null) return got;
    const claim = JSON.stringify({ replica, claim: id() });
    this.#lease = { id: got.value.id, claim, until: sentAt + Math.min(got.value.ttlMs, ttlMs) };
    return got;
  }

  /** When the right to act ends, on the clock that notices suspension. */
  #authority(): number {
    const { ttlMs } = this.#o;
    if (this.#lease === null) return Number.NEGATIVE_INFINITY;
    return this.#lease.until - Math.max(MARGIN_MIN_MS, MARGIN * ttlMs);
  }

  #lapse(): void {
    if (this.#held === null || this.#o.elapsed() < this.#authority()) return;
    void this.#stepDown('the lease ran out: etcd did not renew it in time');
  }

  #arm(): void {
    this.#lapseTimer();
    if (this.#held === null) return;
    const leftMs = this.#authority() - this.#o.elapsed();
    this.#lapseTimer = this.#o.clock.after(Math.max(0, leftMs), () => {
      this.#lapse();
      this.#arm();
    });
  }

  async #campaign(): Promise<void> {
    const { gateway, prefix, elapsed, clock } = this.#o;
    const lease = this.#lease;
    if (this.#closed || this.#claiming || this.#held !== null || lease === null) return;
    if (!this.#mirrored || this.#stop() !== null || clock.now() < this.#restUntil) return;
    if (this.#authority() <= elapsed()) return;
    this.#claiming = true;
    const key = `${prefix}lease`;
    const got = await gateway.txn(
      {
        compare: [{ key, target: 'create', revision: 0 }],
        success: [{ kind: 'put', key, value: lease.claim, lease: lease.id }],
        failure: [{ kind: 'range', key }],
      },
      CALL_MS,
    );
    this.#claiming = false;
    if (this.#closed) return;
    if (!got.ok) {
      if (got.fault.kind === 'no-lease') this.#lease = null;
      // Whether it is ours after all shows at the next look.
      return this.#refusedBy(got.fault);
    }
    const there = got.value.ranges[0]?.[0];
    if (got.value.succeeded) await this.#claim(got.header.revision, lease);
    else if (there?.lease === lease.id) await this.#claim(there.createRevision, lease);
  }

  /** The key is ours: the head comes under it before anything else, and then we act. */
  async #claim(create: number, { claim }: Lease): Promise<void> {
    if (this.#claiming || this.#held !== null || this.#closed) return;
    this.#claiming = true;
    try {
      for (let tries = 0; tries < 3; tries++) {
        const holding = this.#stop() === null ? this.#holdingOf(create, claim) : null;
        if (holding === null) break;
        this.#tellDocuments(false);
        this.#before = this.#predecessors();
        const leaving = this.#leftOf(this.#before);
        const settled = await this.#write(holding, nothing);
        this.#before = await leaving;
        if (settled.kind === 'refused') this.#refusedBy(settled.fault);
        if (settled.kind === 'overtaken') {
          await this.#load();
          continue;
        }
        if (settled.kind !== 'committed' || this.#lease === null || this.#closed) break;
        if (this.#ill?.word === 'full') this.#ill = null;
        this.#held = holding;
        this.#evaluate(false);
        this.#arm();
        void this.#outlive(holding);
        return this.#begin();
      }
    } finally {
      this.#claiming = false;
    }
    await this.#stepDown('the head could not be taken over');
  }

  #holdingOf(create: number, claim: string): Holding | null {
    const { memory, head } = { memory: this.#memory, head: this.#mirror.head };
    const base = Math.max(memory.base, head?.base ?? 0);
    const term = base + create;
    if (term > Math.max(memory.term, head?.term ?? 0) && term <= MARKER_NUMBER_MAX) {
      return { create, claim, term, base };
    }
    this.#restored = `its revisions went back: the next term would be ${term}`;
    this.#evaluate(false);
    return null;
  }

  #predecessors(): readonly Before[] {
    const { ttlMs } = this.#o;
    const { head } = this.#mirror;
    const own = this.#lease?.id;
    const before = head?.leases.filter(({ id }) => id === null || id !== own) ?? null;
    if (before !== null && before.length < BEFORE_MOST) return before;
    return [{ id: null, ttlMs: Math.max(ttlMs, ...(before ?? []).map((one) => one.ttlMs)) }];
  }

  /** Those of them that are not known to be gone. */
  async #leftOf(before: readonly Before[]): Promise<readonly Before[]> {
    const { gateway } = this.#o;
    const gone = await Promise.all(
      before.map(async ({ id }) => {
        if (id === null) return false;
        const { clusterId, revision } = this.#memory;
        const got = await gateway.timeToLive(id, CALL_MS);
        if (!got.ok || got.value.isThere) return false;
        // An etcd that was put back to an earlier time knows nothing of it, and its holder still may.
        return got.header.clusterId === clusterId && got.header.revision >= revision;
      }),
    );
    return before.filter((_, i) => !gone[i]);
  }

  /**
   * Waits until nobody who acted before can believe that he still does: his lease is gone, or the
   * time it lasts has passed since we have the key. A person who deletes a key leaves the lease.
   */
  async #outlive(holding: Holding): Promise<void> {
    const { elapsed } = this.#o;
    const sinceAt = elapsed();
    const isWritten = this.#before.some(({ id }) => id === null);
    while (this.#before.length > 0) {
      await this.#within(new Promise(() => {}), OUTLIVE_MS);
      if (this.#held !== holding) return;
      const pastMs = elapsed() - sinceAt;
      const left = await this.#leftOf(this.#before.filter(({ ttlMs }) => ttlMs > pastMs));
      if (this.#held !== holding) return;
      this.#before = left;
    }
    // Whoever comes next could not see that one who is not known by his lease is gone.
    const settled = isWritten ? await this.#write(holding, nothing) : null;
    if (this.#held !== holding) return;
    if (settled === null || settled.kind === 'committed') this.#begin();
    else void this.#stepDown(whyNot(settled));
  }

  #begin(): void {
    if (this.#held === null || this.#acting || this.#stop() !== null) return;
    if (this.#before.length > 0 || this.#flight !== null) return;
    if (this.#authority() <= this.#o.elapsed()) return;
    this.#tellDocuments(false);
    this.#acting = true;
    this.#tell({ kind: 'held', term: this.#held.term });
    this.#tellOrders();
  }

  /** No longer acts, and says so. */
  #quit(why: string): void {
    if (!this.#acting) return;
    this.#acting = false;
    this.#tell({ kind: 'lost', why });
  }

  /** Gives everything up. Resolves when etcd has let go of the key, or a deadline has passed. */
  #stepDown(why: string): Promise<void> {
    this.#quit(why);
    this.#held = null;
    this.#lapseTimer();
    // Whoever folded what was not committed hears anew what is.
    if (this.#flight !== null) this.#told = null;
    this.#flight?.end({ kind: 'deposed', why });
    const lease = this.#lease;
    this.#lease = null;
    this.#toldOrders.clear();
    if (lease === null) return Promise.resolve();
    return this.#o.gateway.revoke(lease.id, CALL_MS).then(() => {});
  }

  // -------------------------------------------------------------- what is shared

  async #commit(batch: Batch): Promise<Outcome> {
    const large = tooLarge(batch);
    if (large !== null) return { kind: 'refused', why: large };
    // A beat is through in a moment, or is given up.
    while (this.#flight !== null) await this.#flight.over;
    const holding = this.#held;
    if (holding === null || this.actsUntil() === 0) {
      // Whoever is told so has let go: a reply that comes now must not renew what nobody acts on.
      this.#lapse();
      return { kind: 'deposed', why: 'the lease is not held' };
    }
    const settled = await this.#write(holding, batch);
    if (settled.kind === 'committed') return { kind: 'committed' };
    if (settled.kind === 'refused' && settled.fault.kind === 'invalid') {
      return { kind: 'refused', why: settled.fault.detail };
    }
    const why = whyNot(settled);
    if (settled.kind === 'refused') this.#refusedBy(settled.fault);
    this.#told = null;
    if (this.#held === holding) void this.#stepDown(why);
    return { kind: 'deposed', why };
  }

  async #beat(): Promise<void> {
    if (this.#flight !== null) return;
    await this.#commit(nothing);
  }

  /** One transaction, and what follows from its success. */
  async #write(holding: Holding, batch: Batch): Promise<Settled> {
    const { gateway, clock, seal, prefix, replica, id, ttlMs } = this.#o;
    const by = -(this.#shift ?? 0);
    const docs = batch.docs.map(([key, value]): SharedDoc => [key, shifted(key, value, by)]);
    if (docs.length > 0) this.#noteTold();
    const { head } = this.#mirror;
    const terms = {
      ...holding,
      prefix,
      seal: seal(),
      tx: id(),
      by: replica,
      at: Math.max(this.#groupNow(), head?.at ?? Number.NEGATIVE_INFINITY),
      cluster: this.#memory.clusterId,
      leases: [...(this.#lease === null ? [] : [{ id: this.#lease.id, ttlMs }]), ...this.#before],
      after: Math.max(head?.number ?? 0, this.#memory.number),
    };
    const planned = plan({ ...batch, docs }, this.#mirror, terms);
    let end = (_: Settled) => {};
    let over = false;
    const ended = new Promise<Settled>((resolve) => {
      end = (settled) => {
        over = true;
        resolve(settled);
      };
    });
    const flight: Under = { tx: terms.tx, over: ended, isOver: () => over, end };
    this.#flight = flight;
    const means = { gateway, clock, seal: terms.seal };
    const settled = await settle(planned, flight, means, COMMIT_MS);
    if (settled.kind === 'committed') this.#committed(planned, settled.revision);
    this.#flight = null;
    flight.end(settled);
    return settled;
  }

  #committed({ changes, head }: Planned, revision: number): void {
    const { prefix } = this.#o;
    const made = changes.map(([key, value]) => {
      const whole = prefix + key;
      const kv = { key: whole, createRevision: 0, modRevision: revision, lease: '0' };
      return { key: whole, kv: value === null ? null : { ...kv, value }, modRevision: revision };
    });
    // What the watch tells between is later told by it again, or by the next look.
    const before = this.#mirror.revision;
    this.#mirror.apply(made);
    this.#mirror.revision = before;
    this.#headAt = this.#o.clock.now();
    this.#remember(head, revision);
    // Ours is known to whoever asked for it.
    if (this.#told !== null) {
      this.#told = { number: head.number, macs: this.#mirror.documents() };
    }
    this.#tellReplies();
  }

  #groupNow(): number {
    this.#shift ??= 0;
    // From here on the group goes by this clock; a head that is read late must not set it anew.
    this.#isShiftLive = true;
    return this.#o.clock.now() - this.#shift;
  }

  // -------------------------------------------------------------- reading along

  /** Reads everything there is, and watches from there on. */
  #load(): Promise<void> {
    this.#loading ??= this.#loadAll().finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  async #loadAll(): Promise<void> {
    const { prefix } = this.#o;
    const known: Known = { memory: this.#memory, heard: this.#heard };
    const before = Math.max(this.#mirror.revision, this.#mirror.headRevision);
    const first = await this.#pages(`${prefix}`, `${prefix}log/`, undefined);
    const rest = first && (await this.#pages(`${prefix}log0`, this.#end, first.header.revision));
    if (!first || !rest || this.#closed) return;
    const { header } = first;
    // More was told, or committed here, while it was read: the next round reads what is newer.
    const now = Math.max(this.#mirror.revision, this.#mirror.headRevision);
    if (now !== before && header.revision < now) return;
    this.#unwatch();
    this.#mirror.load([...first.kvs, ...rest.kvs], header.revision);
    this.#mirrored = true;
    this.#owed = { revision: 0, gone: [] };
    this.#noteRevision(header);
    if (!this.#mirror.isHeadWrong) this.#checkRestored(header, this.#mirror.head, known);
    this.#watch();
    this.#evaluate(false);
  }

  async #pages(key: string, end: string, revision: number | undefined) {
    const kvs: Kv[] = [];
    let from = key;
    let header: Header | null = null;
    let at = revision;
    for (;;) {
      const asked = { key: from, end, limit: PAGE, ...(at === undefined ? {} : { revision: at }) };
      const got = await this.#o.gateway.range(asked, CALL_MS);
      if (!got.ok) {
        await this.#unanswered(got.fault);
        return null;
      }
      header ??= got.header;
      at ??= header.revision;
      kvs.push(...got.value.kvs);
      const last = got.value.kvs.at(-1);
      if (!got.value.more || last === undefined) return { kvs, header };
      from = `${last.key}\0`;
    }
  }

  #watch(): void {
    const { gateway, prefix, clock } = this.#o;
    if (this.#closed) return;
    let isOver = false;
    let cancel = () => {};
    const from = { key: prefix, end: this.#end, revision: this.#mirror.revision + 1 };
    const stop = gateway.watch(from, (event: WatchEvent) => {
      if (isOver || this.#closed) return;
      if (event.kind === 'changed') {
        this.#watchAgainMs = WATCH_AGAIN_MS;
        this.#mirror.apply(event.changes);
        return this.#changed();
      }
      if (event.kind === 'begun') return;
      isOver = true;
      if (event.compacted) return void this.#load();
      cancel = clock.after(this.#watchAgainMs, () => this.#watch());
      this.#watchAgainMs = Math.min(2 * this.#watchAgainMs, WATCH_AGAIN_MOST_MS);
    });
    this.#unwatch = () => {
      isOver = true;
      cancel();
      stop();
    };
  }

  #changed(): void {
    const { head, lease } = this.#mirror;
    const flight = this.#flight;
    if (flight !== null && head?.tx === flight.tx) {
      flight.end({ kind: 'committed', revision: this.#mirror.headRevision });
    }
    const held = this.#held;
    // What happened before our own election says nothing of it.
    const isLater = held !== null && this.#mirror.revision >= held.create;
    if (isLater && lease?.createRevision !== held.create) {
      void this.#stepDown('the key of its lease was deleted');
    }
    this.#evaluate(true);
    if (this.#held === null && lease === null) void this.#campaign();
    this.#tellReplies();
    if (this.#acting) this.#tellOrders();
  }

  /** Reads anew where the watch has not told, by the next look, what a look has shown. */
  async #catchUp(
    header: Header,
    seen: { readonly lease: Kv | null; readonly head: Kv | null; readonly doubt: Kv | null },
    orders: readonly Kv[],
  ): Promise<void> {
    const known = this.#mirror;
    const still = this.#owed.gone.some(([key, at]) => known.modRevision(key) === at);
    if (known.revision < this.#owed.revision || still) {
      this.#owed = { revision: 0, gone: [] };
      return this.#load();
    }
    const shown = [...Object.entries(seen), ...orders.map((kv) => [kv.key, kv] as const)];
    const newer = shown.map(([, kv]) => kv?.modRevision ?? 0);
    const gone = Object.entries(seen)
      .filter(([, kv]) => kv === null)
      .map(([key]) => [key, known.modRevision(key)] as const)
      .filter(([, at]) => at > 0 && at <= header.revision);
    this.#owed = { revision: Math.max(0, ...newer), gone };
  }

  // -------------------------------------------------------------- whether it may be believed

  #openHead(kv: Kv | null): Head | null {
    const opened = kv === null ? null : this.#o.seal().open('head', 'head', kv.value);
    if (opened === null) return null;
    const head = JSON.parse(opened.text) as Omit<Head, 'term' | 'number'>;
    return { ...head, term: opened.term, number: opened.number };
  }

  /** Of a linearizable answer. */
  #noteRevision({ clusterId, revision }: Header): void {
    const memory = this.#memory;
    if (memory.clusterId === '') this.#memory = { ...memory, clusterId };
    if (memory.clusterId !== clusterId || revision <= memory.revision) return;
    this.#memory = { ...memory, revision };
  }

  /** Compares an answer with what was known when it was asked for. */
  #checkRestored(header: Header, head: Head | null, known: Known): void {
    const { memory, heard } = known;
    const isNewer =
      head !== null &&
      head.base > memory.base &&
      head.number > memory.number &&
      head.cluster === header.clusterId;
    if (isNewer && head.base > this.#memory.base) {
      // A person said so, here or at another replica.
      const { clusterId, revision } = header;
      this.#memory = { ...this.#memory, clusterId, revision };
    }
    this.#restored = isNewer
      ? heardWhy(head, heard)
      : (restoredWhy(header, head, memory) ?? heardWhy(head, heard));
  }

  /** Why nobody may act, whatever the lease says. */
  #stop(): { readonly word: GroupWord; readonly sentence: string } | null {
    const cure = '`detour ack --restored` on the replica that knows best puts its state in force';
    const why =
      this.#restored ??
      (this.#mirror.doubt === null ? null : 'a replica has found that it went back');
    if (why !== null) {
      return {
        word: 'restored',
        sentence: `etcd is not what it was: ${why}; nobody acts: ${cure}`,
      };
    }
    const problem = this.#mirrored ? this.#mirror.problem() : null;
    if (problem === null) return null;
    return { word: 'forged', sentence: `in etcd ${problem}; nobody acts: ${cure}` };
  }

  /** Tells what follows from all that is known now; `isLive`: the watch has just told it. */
  #evaluate(isLive: boolean): void {
    const { head } = this.#mirror;
    const isSound = this.#mirrored && this.#mirror.problem() === null;
    // What a watch has told is read anew before anybody is accused.
    if (isLive && !isSound && this.#mirror.doubt === null) return void this.#load();
    if (isSound && this.#restored === null && isBehind(head, this.#memory)) {
      this.#restored = `its head went back to number ${head?.number ?? 0}`;
    }
    this.#tellWho();
    const stop = this.#stop();
    if (stop !== null) {
      this.#showGroup(stop);
      if (this.#held !== null) void this.#stepDown(stop.sentence);
      return;
    }
    // A person may have restored the group before we saw that it went back, and our key is in both.
    if (this.#held !== null && head !== null && head.base > this.#held.base) {
      void this.#stepDown('the group was restored since its lease was taken');
    }
    const isNew = head !== null && head.number > this.#memory.number;
    // Somebody could write.
    if (isNew && this.#ill?.word === 'full') this.#ill = null;
    this.#showGroup(this.#ill);
    if (!this.#mirrored) return;
    if (head !== null && head.tx !== this.#flight?.tx) this.#remember(head, this.#memory.revision);
    this.#tellDocuments(isLive);
    const strange = this.#mirror.strangeOrders().join();
    if (strange !== this.#strange && strange !== '') {
      this.#o.trouble(`an order in etcd ${strange}: nobody follows it`);
    }
    this.#strange = strange;
  }

  /** Who holds the lease, by its key: shown, and nothing rests on it. */
  #tellWho(): void {
    const { lease, head } = this.#mirror;
    const replica = lease === null ? null : whoIn(lease.value);
    const base = Math.max(this.#memory.base, head?.base ?? 0);
    const term = lease === null ? 0 : base + lease.createRevision;
    if (replica === this.#who.replica && term === this.#who.term) return;
    this.#who = { replica, term };
    this.#tell({ kind: 'acts', replica, term });
  }

  #showGroup(ill: { readonly word: GroupWord; readonly sentence: string } | null): void {
    const { word, sentence } = ill ?? { word: null, sentence: 'the group is well' };
    if (word === this.#word && (word === null || sentence === this.#sentence)) return;
    this.#word = word;
    this.#sentence = sentence;
    this.#tell({ kind: 'group', word, sentence });
  }

  #remember({ term, number, tx, base, cluster }: Head, revision: number): void {
    const before = this.#memory;
    // A watch may tell of a person's word before a look does: it names the engine it was said in.
    const isWord = base > before.base;
    if (before.number === number && before.tx === tx && before.shift === this.#shift) return;
    this.#memory = {
      clusterId: isWord ? cluster : before.clusterId,
      revision: isWord ? revision : Math.max(before.revision, revision),
      term: Math.max(before.term, term),
      number,
      tx,
      base,
      shift: this.#shift,
      aimed: before.aimed,
    };
    this.#o.memory.save(this.#memory);
  }

  /** Leaves word for replicas that remember less. */
  async #raise(head: Kv | null): Promise<void> {
    if (this.#raising) return;
    this.#raising = true;
    const { gateway, prefix, seal, replica } = this.#o;
    const key = `${prefix}doubt`;
    const { term, number } = this.#memory;
    const what = {
      term,
      number: Math.max(number, this.#heard?.number ?? 0),
      text: JSON.stringify({ by: replica, why: this.#restored }),
    };
    const value = seal().close('doubt', 'doubt', what);
    // Where it cannot be left, the next look tries again.
    await gateway.txn(
      {
        compare: [
          { key, target: 'create', revision: 0 },
          // It was this one that was found wanting; a later one may be the cure.
          sameHead(prefix, head?.value ?? null),
        ],
        success: [{ kind: 'put', key, value }],
        failure: [],
      },
      CALL_MS,
    );
    this.#raising = false;
  }

  async #unanswered(fault: GatewayFault): Promise<void> {
    const { gateway, clock, ttlMs } = this.#o;
    if (fault.kind === 'refused') return this.#refusedBy(fault);
    if (clock.now() - this.#answeredAt < ttlMs) return;
    const status = await gateway.status(STATUS_MS);
    const isLed = status.ok && status.value.hasLeader;
    const what = status.ok ? 'a member answers and knows no leader' : 'no member answers';
    const how = isLed ? 'a member answers, too slowly or without a majority' : what;
    const sentence = `no majority of etcd answers: nobody acts (${how}: ${fault.detail})`;
    this.#ill = { word: 'no-quorum', sentence };
    this.#showGroup(this.#stop() ?? this.#ill);
  }

  #refusedBy({ kind, detail }: GatewayFault): void {
    if (kind !== 'full' && kind !== 'refused') return;
    const cure =
      kind === 'full'
        ? 'compact and defragment it, and disarm its alarm'
        : 'look at the user, its password and its role';
    const what = kind === 'full' ? 'has no room left' : 'refuses this replica';
    this.#ill = { word: kind, sentence: `etcd ${what} (${detail}): ${cure}` };
    this.#showGroup(this.#stop() ?? this.#ill);
  }

  // -------------------------------------------------------------- telling

  /** What the group decided and was not told yet, in our own time. */
  #tellDocuments(isLive: boolean): void {
    const { head } = this.#mirror;
    if (head === null) {
      if (this.#told !== null) return;
      this.#told = { number: 0, macs: new Map() };
      const none = { docs: [], whole: true, number: 0, by: null, isNew: true };
      return this.#tell({ kind: 'documents', ...none });
    }
    if (this.#told?.number === head.number || head.tx === this.#flight?.tx) return;
    const isOther = head.by !== this.#o.replica;
    this.#observe(head, isLive && isOther && this.#told !== null);
    const from = this.#told?.macs ?? new Map<string, string>();
    const macs = this.#mirror.documents();
    const docs: SharedDoc[] = [];
    for (const [key, mac] of macs) {
      if (from.get(key) !== mac) docs.push([key, this.#own(key)]);
    }
    for (const key of from.keys()) if (!macs.has(key)) docs.push([key, null]);
    const whole = this.#told === null;
    if (whole) this.#toldShifts = null;
    if (docs.length > 0) this.#noteTold();
    this.#told = { number: head.number, macs };
    const { number, by } = head;
    this.#tell({ kind: 'documents', docs, whole, number, by, isNew: !head.shared });
  }

  /** A document in our own time. */
  #own(key: string): Json {
    return shifted(key, this.#mirror.document(key), this.#shift ?? 0);
  }

  /**
   * Sets our clock against the group's: the least that was ever between a head and its receipt. One
   * that was read late says only what it is at most.
   */
  #observe(head: Head, isLive: boolean): void {
    if (this.#held !== null) return;
    const seen = this.#o.clock.now() - head.at;
    const before = this.#shift;
    const isFirst = isLive && !this.#isShiftLive;
    this.#shift = isFirst || before === null ? seen : Math.min(before, seen);
    if (isLive) this.#isShiftLive = true;
    // Many small steps make a large one, and each document was told after another of them.
    const told = this.#toldShifts ?? { least: before ?? seen, most: before ?? seen };
    this.#toldShifts = told;
    const off = Math.max(told.most - this.#shift, this.#shift - told.least);
    if (off > SHIFT_NEWS_MS) this.#told = null;
  }

  /** By which shifts what is known was told or decided. */
  #noteTold(): void {
    const shift = this.#shift ?? 0;
    const { least, most } = this.#toldShifts ?? { least: shift, most: shift };
    this.#toldShifts = { least: Math.min(least, shift), most: Math.max(most, shift) };
  }

  #tellReplies(): void {
    for (const id of [...this.#replies.keys()]) {
      const reply = this.#mirror.reply(id);
      if (reply !== null) this.#answer(id, reply);
    }
  }

  #tellOrders(): void {
    const floor = this.#mirror.head?.floor ?? 0;
    const orders = this.#mirror.orders();
    const there = new Set(orders.map(({ id }) => id));
    for (const id of this.#toldOrders) if (!there.has(id)) this.#toldOrders.delete(id);
    for (const { id, number, command, replica } of orders) {
      const isDone = number <= floor || this.#mirror.reply(id) !== null;
      if (isDone || this.#toldOrders.has(id) || this.#toldOrders.size >= ORDERS_MOST) continue;
      this.#toldOrders.add(id);
      this.#tell({ kind: 'order', id, command, replica });
    }
  }

  // -------------------------------------------------------------- what a person says

  async #say(id: string, command: Command): Promise<Reply> {
    const { gateway, prefix, seal, replica, clock } = this.#o;
    const done = this.#mirror.reply(id);
    if (done !== null) return done;
    const stop = this.#stop() ?? this.#ill;
    if (stop !== null) return { exit: 1, message: stop.sentence };
    const text = JSON.stringify({ command, replica });
    if (!/^[\w.-]{1,100}$/.test(id) || text.length > ORDER_BYTES_MOST) {
      return { exit: 2, message: 'the order is too long for the group' };
    }
    const until = clock.now() + SAY_MS;
    const lease = await gateway.grant(ORDER_TTL_S, CALL_MS);
    if (!lease.ok) return { exit: 1, message: `not said to the group: ${lease.fault.detail}` };
    const [order, answer] = [`order/${id}`, `done/${id}`];
    const number = this.#mirror.head?.number ?? 0;
    const value = seal().close('order', order, { term: 0, number, text });
    const said = await gateway.txn(
      {
        compare: [order, answer].map((key) => {
          return { key: prefix + key, target: 'create', revision: 0 } as const;
        }),
        success: [{ kind: 'put', key: prefix + order, value, lease: lease.value.id }],
        failure: [{ kind: 'range', key: prefix + answer }],
      },
      CALL_MS,
    );
    if (!said.ok && said.fault.kind !== 'uncertain') {
      return { exit: 1, message: `not said to the group: ${said.fault.detail}` };
    }
    const reply = await this.#awaited(id, until - clock.now());
    // It has been answered, or shall not be carried out any more.
    await gateway.revoke(lease.value.id, CALL_MS);
    return reply;
  }

  /** The reply once whoever acts has committed it, or what is not known. */
  async #awaited(id: string, forMs: number): Promise<Reply> {
    const waiters = this.#replies.get(id) ?? new Set();
    this.#replies.set(id, waiters);
    let tell = (_: Reply) => {};
    const replied = new Promise<Reply>((resolve) => {
      tell = resolve;
    });
    waiters.add(tell);
    this.#tellReplies();
    const reply = await this.#within(replied, forMs);
    waiters.delete(tell);
    if (waiters.size === 0 && this.#replies.get(id) === waiters) this.#replies.delete(id);
    const message =
      'whoever acts has not answered in time: whether it is done is not known; `detour status` ' +
      'shows it, and said again it is done once at most';
    return reply ?? { exit: 1, message };
  }

  #answer(id: string, reply: Reply): void {
    const waiters = this.#replies.get(id);
    this.#replies.delete(id);
    for (const tell of waiters ?? []) tell(reply);
  }

  async #restore(docs: Readonly<Record<string, Json>>): Promise<Reply> {
    await this.#load();
    if (this.#stop() === null) {
      return { exit: 2, message: 'the group is well: there is nothing to restore' };
    }
    const { gateway, prefix, seal, replica, id } = this.#o;
    const by = -(this.#shift ?? 0);
    const own = Object.entries(docs).map(([key, doc]) => [key, shifted(key, doc, by)] as const);
    const known = [this.#memory.number, this.#mirror.head?.number ?? 0, this.#heard?.number ?? 0];
    const { term, base } = this.#memory;
    const terms = [term, base, this.#mirror.head?.term ?? 0, this.#heardTerm];
    const { aimed } = this.#memory;
    const restored = await restoreAll(own, {
      gateway,
      prefix,
      seal: seal(),
      by: replica,
      tx: id(),
      at: this.#groupNow(),
      number: Math.max(...known, this.#mirror.doubt ?? 0, aimed?.number ?? 0),
      term: Math.max(...terms, aimed?.base ?? 0),
      aim: (next) => {
        this.#memory = { ...this.#memory, aimed: next };
        return this.#o.memory.save(this.#memory);
      },
      ttlMs: this.#o.ttlMs,
      headText: this.#mirror.headKeyText,
    });
    if ('message' in restored) return { exit: 1, message: restored.message };
    const { head, header } = restored;
    const { clusterId, revision } = header;
    this.#memory = { ...this.#memory, clusterId, revision };
    this.#remember(head, revision);
    this.#heard = null;
    this.#told = null;
    await this.#load();
    return { exit: 0, message: `${own.length} documents of ${replica} are the group's again` };
  }

  /** What a promise gives within so many milliseconds, else null. */
  #within<T>(promise: Promise<T>, ms: number): Promise<T | null> {
    return new Promise((resolve) => {
      const end = (value: T | null) => {
        cancel();
        resolve(value);
      };
      const cancel = this.#o.clock.after(Math.max(0, ms), () => end(null));
      void promise.then(end);
    });
  }
}

function isBehind(head: Head | null, memory: Memory): boolean {
  if (head === null) return memory.number > 0;
  if (head.number === memory.number) return head.tx !== memory.tx;
  return head.number < memory.number;
}

/** Why an answer shows another history than what is remembered; null: it does not. */
function restoredWhy(header: Header, head: Head | null, memory: Memory): string | null {
  const { clusterId, revision, number } = memory;
  if (clusterId !== '' && header.clusterId !== clusterId) {
    return `its cluster id changed from ${clusterId} to ${header.clusterId}`;
  }
  if (head !== null && head.cluster !== header.clusterId) {
    return `its data is of cluster ${head.cluster}, and it is ${header.clusterId}`;
  }
  if (header.revision < revision) {
    return `its revision went back from ${revision} to ${header.revision}`;
  }
  if (!isBehind(head, memory)) return null;
  if (head === null) return `it is empty, and head number ${number} was known`;
  return `its head is number ${head.number}, and number ${number} was known`;
}

function heardWhy(head: Head | null, heard: Known['heard']): string | null {
  if (heard === null || (head?.number ?? 0) >= heard.number) return null;
  const { replica, number } = heard;
  return `its head is number ${head?.number ?? 0}, and replica ${replica} knows number ${number}`;
}

function whyNot(settled: Exclude<Settled, { kind: 'committed' }>): string {
  switch (settled.kind) {
    case 'deposed':
      return settled.why;
    case 'overtaken':
      return 'another replica has written the head';
    case 'refused':
      return `etcd refuses the commit: ${settled.fault.detail}`;
    case 'unknown':
      return `whether the commit was made is not known: ${settled.why}`;
  }
}

/** The name in the lease's key; null where there is none. */
function whoIn(text: string): string | null {
  try {
    const { replica } = JSON.parse(text) as { readonly replica?: unknown };
    return typeof replica === 'string' ? replica.slice(0, 64) : null;
  } catch {
    return null;
  }
}
