// A simulated etcd in virtual time: one history of revisions behind several members, with the things
// that go wrong with a real one. Members are cut off from one another, stand still, die, and elect a
// leader anew; a leader that does not know yet that it was deposed still renews leases that nobody
// else knows of; commits are slow, or are made though the reply is lost; the room runs out; a backup
// is put back. It is held to the conformance suite that the real one passes (test/cluster/etcd.test.ts).
// It must never be kinder than the real one.

import {
  type Changed,
  type Gateway,
  type GatewayFault,
  type GatewayWord,
  type Got,
  type Header,
  inTurn,
  type Kv,
  type Op,
  type Range,
  type Txn,
  type TxnReply,
  type WatchEvent,
} from '../../src/cluster/gateway.ts';
import type { Process, Timeline } from '../sim/clock.ts';

/** etcd's own limits and times, as far as a client can tell (etcd 3.4, its configuration flags). */
const OPS_MOST = 128;
const REQUEST_TIMEOUT_MS = 5000;
const ELECTION_MS = 1000;
const MIN_TTL_S = 2;
const HISTORY_MOST = 10_000;

interface Stored {
  readonly value: string;
  readonly create: number;
  readonly mod: number;
  readonly lease: string;
}

interface Granted {
  readonly ttlMs: number;
  /** By the leader's clock. */
  endsAt: number;
}

interface Data {
  revision: number;
  compacted: number;
  raftTerm: number;
  readonly keys: Map<string, Stored>;
  /** The keys as they were before the first of the history that is kept. */
  readonly base: Map<string, Stored>;
  readonly leases: Map<string, Granted>;
  readonly history: { readonly revision: number; readonly changes: readonly Changed[] }[];
}

interface SimMember {
  isDown: boolean;
  isPaused: boolean;
  /** Cut off from the other members. */
  isAlone: boolean;
  /** What came while it stood still. */
  waiting: (() => void)[];
  /** The election that it knows of: it may be behind. */
  raftTerm: number;
  /** How far it has applied the history. */
  revision: number;
}

interface Watcher {
  readonly member: number;
  readonly link: Link;
  readonly key: string;
  readonly end: string;
  next: number;
  isOver: boolean;
  readonly tell: (event: WatchEvent) => void;
}

/** How one client reaches the members. */
export interface Link {
  /** Nothing gets through, either way, and nobody is told. */
  readonly cut: Set<number>;
  /** Added to every way, in milliseconds. */
  delayMs: number;
  /** Added to the way back alone. */
  replyDelayMs: number;
  /** So many replies from now on are lost. */
  loseReplies: number;
  /** Connections are refused at once. */
  isRefused: boolean;
  /** Transactions that write never arrive. */
  dropsWrites: boolean;
  /** Watches are told nothing, and nobody says so. */
  isDeaf: boolean;
}

type Outcome<T> = { readonly value: T } | { readonly fault: GatewayFault };

export interface SimOptions {
  readonly timeline: Timeline;
  /** 0 to 1, from a seed. */
  readonly random: () => number;
  readonly members?: number;
  /** One way between a client and a member, and one round between members, in milliseconds. */
  readonly wayMs?: readonly [from: number, to: number];
  readonly commitMs?: readonly [from: number, to: number];
}

export class SimEtcd {
  clusterId = 'c1';
  /** Added to every commit. */
  slowMs = 0;
  /** NOSPACE is raised. */
  isFull = false;
  /** Told of every revision, once it stands. */
  applied: () => void = () => {};
  readonly members: SimMember[];
  readonly #timeline: Timeline;
  readonly #random: () => number;
  readonly #wayMs: readonly [number, number];
  readonly #commitMs: readonly [number, number];
  #data: Data = {
    revision: 1,
    compacted: 0,
    raftTerm: 2,
    keys: new Map(),
    base: new Map(),
    leases: new Map(),
    history: [],
  };
  /** By the member's name and clock (v3_server.go, LeaseGrant): none comes twice, whatever is put back. */
  #nextLease = 7000;
  #leader = 0;
  /** When the members have agreed on that. */
  #ledFrom = 0;
  #lastCommitAt = 0;
  /** Another life of the data: what was under way in the last one never comes. */
  #life = 0;
  readonly #watchers = new Set<Watcher>();
  readonly #blocked: { readonly run: () => void; readonly until: number }[] = [];
  /** Writes that were proposed to a leader without a majority. */
  readonly #stranded: (() => void)[] = [];

  constructor({ timeline, random, members = 3, wayMs = [1, 5], commitMs = [1, 5] }: SimOptions) {
    this.#timeline = timeline;
    this.#random = random;
    this.#wayMs = wayMs;
    this.#commitMs = commitMs;
    this.members = Array.from({ length: members }, () => ({
      isDown: false,
      isPaused: false,
      isAlone: false,
      waiting: [],
      raftTerm: 2,
      revision: 1,
    }));
    this.#expire();
  }

  // -------------------------------------------------------------- what a test does to it

  get revision(): number {
    return this.#data.revision;
  }

  get leader(): number {
    return this.#leader;
  }

  /** As it stands now, past every client. */
  peek(key: string): string | null {
    return this.#data.keys.get(key)?.value ?? null;
  }

  keys(prefix: string): readonly string[] {
    return [...this.#data.keys.keys()].filter((key) => key.startsWith(prefix)).sort();
  }

  /** By somebody with a client of his own. */
  put(key: string, value: string): void {
    this.#apply([{ kind: 'put', key, value }]);
  }

  delete(key: string, end?: string): void {
    this.#apply([end === undefined ? { kind: 'delete', key } : { kind: 'delete', key, end }]);
  }

  /** History up to a revision is forgotten; whoever watches from before is told so. */
  compact(revision: number): void {
    this.#data.compacted = Math.max(this.#data.compacted, revision);
    const { history, base } = this.#data;
    while (history.length > 0 && history[0]!.revision < revision) replay(base, history.shift()!);
  }

  /** A member stands still, or goes on: whatever came meanwhile is worked off. */
  pause(member: number, isPaused: boolean): void {
    const one = this.members[member]!;
    one.isPaused = isPaused;
    this.#regroup();
    if (isPaused) return;
    const { waiting } = one;
    one.waiting = [];
    // It does not know yet what it missed: it hears of a new leader a moment later.
    for (const work of waiting) work();
    this.#timeline.later(20, () => this.#learn(member));
  }

  /** Cut off from the other members, not from its clients. */
  isolate(member: number, isAlone: boolean): void {
    this.members[member]!.isAlone = isAlone;
    this.#regroup();
    if (!isAlone) this.#timeline.later(20, () => this.#learn(member));
  }

  kill(member: number, isDown: boolean): void {
    const one = this.members[member]!;
    one.isDown = isDown;
    one.waiting = [];
    if (isDown) {
      for (const watcher of [...this.#watchers]) {
        if (watcher.member === member) this.#endWatch(watcher, 'ECONNRESET');
      }
    }
    this.#regroup();
    if (!isDown) this.#learn(member);
  }

  /** Everything in it, as a backup keeps it. */
  backUp(): () => void {
    const kept = structuredClone(this.#data);
    return () => this.#restore(structuredClone(kept));
  }

  /** All of it is gone, as after a start with empty data. */
  empty(clusterId: string): void {
    this.clusterId = clusterId;
    const none = { keys: new Map(), base: new Map(), leases: new Map(), history: [] };
    this.#restore({ revision: 1, compacted: 0, raftTerm: 2, ...none });
  }

  #restore(data: Data): void {
    this.#life++;
    this.#data = data;
    this.#stranded.length = 0;
    const now = this.#timeline.now;
    for (const lease of data.leases.values()) lease.endsAt = now + lease.ttlMs;
    for (const watcher of [...this.#watchers]) this.#endWatch(watcher, 'ECONNRESET');
    for (const one of this.members) {
      one.revision = data.revision;
      one.raftTerm = data.raftTerm;
    }
  }

  // -------------------------------------------------------------- members among themselves

  #isWell(member: number): boolean {
    const { isDown, isPaused, isAlone } = this.members[member]!;
    return !isDown && !isPaused && !isAlone;
  }

  #hasMajority(): boolean {
    const well = this.members.filter((_, i) => this.#isWell(i)).length;
    return well > this.members.length / 2;
  }

  /** There is a leader that a majority follows. */
  get isLed(): boolean {
    return this.#hasMajority() && this.#isWell(this.#leader) && this.#timeline.now >= this.#ledFrom;
  }

  #regroup(): void {
    if (!this.#hasMajority() || this.#isWell(this.#leader)) return this.#unblock();
    const electionMs = ELECTION_MS * (1 + this.#random());
    this.#ledFrom = this.#timeline.now + electionMs;
    const life = this.#life;
    this.#timeline.later(electionMs, () => {
      if (life === this.#life) this.#elect();
    });
  }

  #elect(): void {
    if (!this.#hasMajority() || this.#isWell(this.#leader)) return this.#unblock();
    const able = this.members.flatMap((_, i) => (this.#isWell(i) ? [i] : []));
    this.#leader = able[Math.floor(this.#random() * able.length)]!;
    this.#data.raftTerm++;
    const now = this.#timeline.now;
    // etcd's lessor: whoever begins to lead gives every lease its whole time again.
    for (const lease of this.#data.leases.values()) lease.endsAt = now + lease.ttlMs;
    for (const member of able) this.#learn(member);
    this.#unblock();
  }

  /** Hears who leads, and what was committed. */
  #learn(member: number): void {
    if (!this.#isWell(member)) return;
    this.members[member]!.raftTerm = this.#data.raftTerm;
    this.#unblock();
    this.#pump();
  }

  #unblock(): void {
    if (!this.isLed) return;
    // What an old leader had taken in and could not commit comes after all, or never.
    const stranded = this.#stranded.splice(0);
    for (const write of stranded) if (this.#random() < 0.5) write();
    for (const { run, until } of this.#blocked.splice(0)) if (until > this.#timeline.now) run();
  }

  #spread([from, to]: readonly [number, number]): number {
    return from + (to - from) * this.#random();
  }

  // -------------------------------------------------------------- the history

  #expire(): void {
    this.#timeline.later(100, () => {
      if (this.isLed) {
        for (const [id, { endsAt }] of [...this.#data.leases]) {
          if (endsAt <= this.#timeline.now) this.#revoke(id);
        }
      }
      this.#expire();
    });
  }

  #revoke(id: string): void {
    if (!this.#data.leases.delete(id)) return;
    const held = [...this.#data.keys].filter(([, { lease }]) => lease === id);
    this.#apply(held.map(([key]) => ({ kind: 'delete', key })));
  }

  /** One transaction's writes, at one revision. */
  #apply(ops: readonly Op[]): void {
    const { keys, history } = this.#data;
    const mod = this.#data.revision + 1;
    const changes: Changed[] = [];
    for (const op of ops) {
      if (op.kind === 'put') {
        const create = keys.get(op.key)?.create ?? mod;
        const lease = op.lease ?? '0';
        keys.set(op.key, { value: op.value, create, mod, lease });
        changes.push({ key: op.key, kv: kvOf(op.key, keys.get(op.key)!), modRevision: mod });
      } else if (op.kind === 'delete') {
        for (const key of within(keys, op)) {
          keys.delete(key);
          changes.push({ key, kv: null, modRevision: mod });
        }
      }
    }
    if (changes.length === 0) return;
    this.#data.revision = mod;
    history.push({ revision: mod, changes });
    this.applied();
    // As deploy/etcd has it: so many revisions are kept.
    if (history.length > HISTORY_MOST) this.compact(mod - HISTORY_MOST / 2);
    this.#pump();
  }

  /** Tells every watcher what its member has and it does not know yet. */
  #pump(): void {
    for (let i = 0; i < this.members.length; i++) {
      if (this.#isWell(i)) this.members[i]!.revision = this.#data.revision;
    }
    for (const watcher of [...this.#watchers]) this.#feed(watcher);
  }

  #feed(watcher: Watcher): void {
    const { member, link, key, end } = watcher;
    const one = this.members[member]!;
    if (watcher.isOver || one.isPaused || one.isDown) return;
    if (watcher.next < this.#data.compacted) return this.#endWatch(watcher, 'compacted', true);
    const due = this.#data.history.filter(
      ({ revision }) => revision >= watcher.next && revision <= one.revision,
    );
    if (due.length === 0) return;
    // What cannot get through comes later on the same connection, or that is dead and nobody says so.
    if (link.cut.has(member) || link.isDeaf) {
      watcher.isOver = this.#random() < 0.5;
      return;
    }
    watcher.next = due.at(-1)!.revision + 1;
    const changes = due.flatMap((at) => at.changes).filter((c) => c.key >= key && c.key < end);
    if (changes.length === 0) return;
    const header = this.#header(member);
    watcher.tell({ kind: 'changed', changes, header });
  }

  #endWatch(watcher: Watcher, detail: string, compacted = false): void {
    if (watcher.isOver) return;
    this.#watchers.delete(watcher);
    watcher.tell({ kind: 'ended', compacted, fault: { kind: 'unavailable', detail } });
  }

  #header(member: number): Header {
    const { revision, raftTerm } = this.members[member]!;
    return { clusterId: this.clusterId, revision, raftTerm };
  }

  // -------------------------------------------------------------- what a member does with a call

  /** Runs once a majority follows a leader that the member knows; else it times out. */
  #led(member: number, run: () => void, failed: (detail: string) => void): void {
    const mayRun = () =>
      this.#isWell(member) && this.members[member]!.raftTerm === this.#data.raftTerm;
    if (this.isLed && mayRun()) return run();
    let over = false;
    const again = () => {
      if (over) return;
      if (!mayRun()) {
        this.#blocked.push({ run: again, until: this.#timeline.now + REQUEST_TIMEOUT_MS });
        return;
      }
      over = true;
      run();
    };
    this.#blocked.push({ run: again, until: this.#timeline.now + REQUEST_TIMEOUT_MS });
    this.#timeline.later(REQUEST_TIMEOUT_MS, () => {
      if (over) return;
      over = true;
      failed('etcdserver: request timed out');
    });
  }

  /** Through the log: done after a commit, one after the other; or later, or never. */
  #commit<T>(
    member: number,
    work: () => Outcome<T>,
    done: (outcome: Outcome<T>, header: Header) => void,
  ): void {
    const failed = (detail: string) => {
      done({ fault: { kind: 'uncertain', detail } }, this.#header(member));
    };
    const life = this.#life;
    const propose = () => {
      const now = this.#timeline.now;
      const at = Math.max(now + this.#spread(this.#commitMs) + this.slowMs, this.#lastCommitAt);
      this.#lastCommitAt = at;
      this.#timeline.later(at - now, () => {
        if (life !== this.#life) return failed('etcdserver: server stopped');
        if (!this.isLed) {
          this.#stranded.push(() => void work());
          return this.#timeline.later(REQUEST_TIMEOUT_MS, () => {
            failed('etcdserver: request timed out, possibly due to previous leader failure');
          });
        }
        const outcome = work();
        const header = { ...this.#header(member), revision: this.#data.revision };
        done(outcome, header);
      });
    };
    this.#led(member, propose, failed);
  }

  txn(member: number, txn: Txn, done: (o: Outcome<TxnReply>, header: Header) => void): void {
    const wrong = this.#wrongOf(txn);
    if (wrong !== null) return done({ fault: wrong }, this.#header(member));
    const work = () => this.#txn(txn);
    if (!isRead(txn)) return this.#commit(member, work, done);
    this.#led(
      member,
      () => done(work(), { ...this.#header(member), revision: this.#data.revision }),
      (detail) => done({ fault: { kind: 'uncertain', detail } }, this.#header(member)),
    );
  }

  #wrongOf({ success, failure }: Txn): GatewayFault | null {
    const invalid = (detail: string): GatewayFault => ({ kind: 'invalid', detail });
    for (const ops of [success, failure]) {
      if (ops.length > OPS_MOST) return invalid('too many operations in txn request');
      const puts = ops.filter((op) => op.kind === 'put').map(({ key }) => key);
      const ranges = ops.filter((op) => op.kind === 'delete');
      const twice = puts.some((key, i) => {
        return puts.indexOf(key) !== i || ranges.some((op) => isWithin(key, op));
      });
      if (twice) return invalid('duplicate key given in txn request');
    }
    return null;
  }

  #txn({ compare, success, failure }: Txn): Outcome<TxnReply> {
    const { keys, leases } = this.#data;
    const puts = [...success, ...failure].filter((op) => op.kind === 'put');
    if (this.isFull && puts.length > 0) {
      const detail = 'etcdserver: mvcc: database space exceeded';
      return { fault: { kind: 'full', detail } };
    }
    const succeeded = compare.every((one) => {
      const stored = keys.get(one.key);
      if (one.target === 'value') return stored?.value === one.value;
      return ((one.target === 'create' ? stored?.create : stored?.mod) ?? 0) === one.revision;
    });
    const ops = succeeded ? success : failure;
    const lost = ops.some((op) => op.kind === 'put' && op.lease && !leases.has(op.lease));
    if (lost) return { fault: { kind: 'no-lease', detail: 'requested lease not found' } };
    const ranges = ops.flatMap((op) => (op.kind === 'range' ? [this.#range(op)] : []));
    this.#apply(ops);
    return { value: { succeeded, ranges: ranges.map(({ kvs }) => kvs) } };
  }

  #range(range: Range): { readonly kvs: readonly Kv[]; readonly more: boolean } {
    const { keys } = this.#data;
    const all = range.revision === undefined ? keys : this.#asOf(range.revision);
    const found = within(all, range);
    const limit = range.limit ?? found.length;
    const kvs = found.slice(0, limit).map((key) => {
      const kv = kvOf(key, all.get(key)!);
      return range.keysOnly ? { ...kv, value: '' } : kv;
    });
    return { kvs, more: found.length > limit };
  }

  /** The keys as they were, by undoing what came later. */
  #asOf(revision: number): ReadonlyMap<string, Stored> {
    if (revision === this.#data.revision) return this.#data.keys;
    const keys = new Map(this.#data.base);
    for (const at of this.#data.history) if (at.revision <= revision) replay(keys, at);
    return keys;
  }

  range(
    member: number,
    range: Range,
    done: (
      o: Outcome<{ readonly kvs: readonly Kv[]; readonly more: boolean }>,
      header: Header,
    ) => void,
  ): void {
    const { revision } = range;
    if (revision !== undefined && revision < this.#data.compacted) {
      const detail = 'etcdserver: mvcc: required revision has been compacted';
      return done({ fault: { kind: 'invalid', detail } }, this.#header(member));
    }
    this.#led(
      member,
      () => {
        const header = { ...this.#header(member), revision: this.#data.revision };
        done({ value: this.#range(range) }, header);
      },
      (detail) => done({ fault: { kind: 'uncertain', detail } }, this.#header(member)),
    );
  }

  grant(
    member: number,
    ttlS: number,
    done: (o: Outcome<{ readonly id: string; readonly ttlMs: number }>, header: Header) => void,
  ): void {
    const work = (): Outcome<{ id: string; ttlMs: number }> => {
      if (this.isFull) {
        return { fault: { kind: 'full', detail: 'etcdserver: mvcc: database space exceeded' } };
      }
      const id = String(this.#nextLease++);
      const ttlMs = Math.max(MIN_TTL_S, ttlS) * 1000;
      this.#data.leases.set(id, { ttlMs, endsAt: this.#timeline.now + ttlMs });
      return { value: { id, ttlMs } };
    };
    this.#commit(member, work, done);
  }

  keepAlive(
    member: number,
    id: string,
    done: (o: Outcome<{ readonly ttlMs: number }>, header: Header) => void,
  ): void {
    const header = this.#header(member);
    // The leader of an election that is over, as long as it does not know: it renews for itself.
    const isStale = member === this.#leader ? !this.isLed : header.raftTerm < this.#data.raftTerm;
    const lease = this.#data.leases.get(id);
    if (isStale) {
      // What it renewed so far holds if it leads on (lessor.go, Renew); an election renews them all.
      const isSole = member === this.#leader && lease !== undefined;
      if (isSole) lease.endsAt = this.#timeline.now + lease.ttlMs;
      return done({ value: { ttlMs: lease?.ttlMs ?? 5000 } }, header);
    }
    this.#led(
      member,
      () => {
        const now = this.#data.leases.get(id);
        if (now !== undefined) now.endsAt = this.#timeline.now + now.ttlMs;
        done({ value: { ttlMs: now?.ttlMs ?? 0 } }, header);
      },
      (detail) => done({ fault: { kind: 'uncertain', detail } }, header),
    );
  }

  timeToLive(
    member: number,
    id: string,
    done: (o: Outcome<{ readonly isThere: boolean }>, header: Header) => void,
  ): void {
    const header = this.#header(member);
    this.#led(
      member,
      () => done({ value: { isThere: this.#data.leases.has(id) } }, header),
      (detail) => done({ fault: { kind: 'uncertain', detail } }, header),
    );
  }

  revoke(member: number, id: string, done: (o: Outcome<null>, header: Header) => void): void {
    const work = (): Outcome<null> => {
      if (!this.#data.leases.has(id)) {
        return { fault: { kind: 'no-lease', detail: 'requested lease not found' } };
      }
      this.#revoke(id);
      return { value: null };
    };
    this.#commit(member, work, done);
  }

  // -------------------------------------------------------------- clients

  link(): Link {
    const whole = { isRefused: false, dropsWrites: false, isDeaf: false };
    return { cut: new Set(), delayMs: 0, replyDelayMs: 0, loseReplies: 0, ...whole };
  }

  /** A client on a process, by a link. */
  gateway(process: Process, link: Link): Gateway {
    let first = Math.floor(this.#random() * this.members.length);
    const { life } = process;
    // What comes back in a later life of the process finds nobody who asked.
    const seat = {
      io: (ms: number, run: () => void) => {
        if (life === process.life) process.io(ms, run);
      },
    };
    const call = async <T>(
      deadlineMs: number,
      work: (member: number, done: (o: Outcome<T>, header: Header) => void) => void,
    ): Promise<Got<T>> => {
      const race = { clock: process.clock(), count: this.members.length, first, deadlineMs };
      const raced = await inTurn<Got<T>>(race, (member, done) => {
        return this.#send(seat, link, member, work, done);
      });
      if (!('answer' in raced)) return { ok: false, fault: raced.fault };
      first = raced.member;
      const { answer, alone } = raced;
      if (answer.ok || alone || answer.fault.kind === 'refused') return answer;
      return { ok: false, fault: { ...answer.fault, kind: 'uncertain' } };
    };
    return {
      range: (range, ms) => call(ms, (m, done) => this.range(m, range, done)),
      txn: (txn, ms) =>
        call(ms, (m, done) => {
          if (!link.dropsWrites || isRead(txn)) this.txn(m, txn, done);
        }),
      grant: (ttlS, ms) => call(ms, (m, done) => this.grant(m, ttlS, done)),
      keepAlive: (id, ms) => call(ms, (m, done) => this.keepAlive(m, id, done)),
      timeToLive: (id, ms) => call(ms, (m, done) => this.timeToLive(m, id, done)),
      revoke: (id, ms) => call(ms, (m, done) => this.revoke(m, id, done)),
      status: (ms) =>
        call(ms, (m, done) => {
          done({ value: { hasLeader: this.isLed, isFull: this.isFull } }, this.#header(m));
        }),
      watch: (from, tell) => {
        const member = first;
        first = (first + 1) % this.members.length;
        return this.#watch(seat, link, member, from, (event) => {
          if (life === process.life) tell(event);
        });
      },
      close: () => {},
    };
  }

  /** One call to one member, and back. */
  #send<T>(
    process: Pick<Process, 'io'>,
    link: Link,
    member: number,
    work: (member: number, done: (o: Outcome<T>, header: Header) => void) => void,
    done: (tried: { readonly answer: Got<T> } | { readonly fault: GatewayFault }) => void,
  ): { destroy(): void } {
    let isGone = false;
    const one = this.members[member]!;
    const life = this.#life;
    const fail = (kind: GatewayWord, detail: string) => {
      process.io(this.#spread(this.#wayMs) + link.delayMs, () => {
        if (!isGone) done({ fault: { kind, detail } });
      });
    };
    if (link.isRefused || (one.isDown && !link.cut.has(member))) {
      fail('unavailable', 'ECONNREFUSED');
    } else if (!link.cut.has(member)) {
      const arrived = () => {
        if (one.isDown || link.cut.has(member)) return;
        // Its members were other processes then: a connection does not outlast them.
        if (life !== this.#life) return fail('uncertain', 'ECONNRESET');
        if (one.isPaused) return void one.waiting.push(arrived);
        work(member, (outcome, header) => {
          if (one.isDown || link.cut.has(member)) return;
          if (link.loseReplies > 0) {
            link.loseReplies--;
            return;
          }
          const backMs = this.#spread(this.#wayMs) + link.delayMs + link.replyDelayMs;
          process.io(backMs, () => {
            if (isGone || link.cut.has(member)) return;
            if ('value' in outcome) {
              done({ answer: { ok: true, value: outcome.value, header } });
            } else if (outcome.fault.kind === 'uncertain') done({ fault: outcome.fault });
            else done({ answer: { ok: false, fault: outcome.fault } });
          });
        });
      };
      this.#timeline.later(this.#spread(this.#wayMs) + link.delayMs, arrived);
    }
    return {
      destroy: () => {
        isGone = true;
      },
    };
  }

  #watch(
    process: Pick<Process, 'io'>,
    link: Link,
    member: number,
    from: { readonly key: string; readonly end: string; readonly revision: number },
    tell: (event: WatchEvent) => void,
  ): () => void {
    let isOver = false;
    // One connection: nothing overtakes anything on it.
    let lastAt = 0;
    const watcher: Watcher = {
      member,
      link,
      key: from.key,
      end: from.end,
      next: from.revision,
      isOver: false,
      tell: (event) => {
        const now = this.#timeline.now;
        const at = Math.max(lastAt, now + this.#spread(this.#wayMs) + link.delayMs);
        lastAt = at;
        process.io(at - now, () => {
          if (link.cut.has(member)) watcher.isOver = true;
          if (!isOver && !watcher.isOver) tell(event);
        });
      },
    };
    const begin = () => {
      const one = this.members[member]!;
      if (isOver || link.cut.has(member)) return;
      if (one.isDown || link.isRefused) return this.#endWatch(watcher, 'ECONNREFUSED');
      if (one.isPaused) return void one.waiting.push(begin);
      this.#watchers.add(watcher);
      watcher.tell({ kind: 'begun' });
      this.#feed(watcher);
    };
    this.#timeline.later(this.#spread(this.#wayMs) + link.delayMs, begin);
    return () => {
      isOver = true;
      watcher.isOver = true;
      this.#watchers.delete(watcher);
    };
  }
}

function isRead({ success, failure }: Txn): boolean {
  return [...success, ...failure].every(({ kind }) => kind === 'range');
}

function replay(keys: Map<string, Stored>, at: { readonly changes: readonly Changed[] }): void {
  for (const { key, kv } of at.changes) {
    if (kv === null) keys.delete(key);
    else {
      const { value, createRevision, modRevision, lease } = kv;
      keys.set(key, { value, create: createRevision, mod: modRevision, lease });
    }
  }
}

function kvOf(key: string, { value, create, mod, lease }: Stored): Kv {
  return { key, value, createRevision: create, modRevision: mod, lease };
}

function isWithin(key: string, range: { readonly key: string; readonly end?: string }): boolean {
  return range.end === undefined ? key === range.key : key >= range.key && key < range.end;
}

function within(
  keys: ReadonlyMap<string, unknown>,
  range: { readonly key: string; readonly end?: string },
): readonly string[] {
  if (range.end === undefined) return keys.has(range.key) ? [range.key] : [];
  return [...keys.keys()].filter((key) => isWithin(key, range)).sort();
}
