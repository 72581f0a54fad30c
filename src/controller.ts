// The loop: fold an event into the state, commit what it says, then perform it; results come back as
// new events. It owns no policy and no adapter: it decides nothing, retries nothing, and performs
// nothing before the commit. Where events come thick, those of a round share one commit, and nothing
// that they decided is shown before it. It knows three things the engine cannot: that a result is
// missing past its deadline, that this process stood still, and that a commit failed. A fault of our
// own, thrown while an event is folded in, never ends it: the event is refused, the engine begins
// anew from what is committed, and what was refused is shut out for a while.

import {
  type Effect,
  type Event,
  holding,
  isShared,
  Ledger,
  measureCommit,
  nextDeadline,
  owed,
  reloadProblems,
  start,
  step,
  telling,
  toldVersion,
  violations,
} from './core/engine.ts';
import type {
  Answer,
  ChainAnswer,
  Command,
  CoreConfig,
  Entry,
  EntryKind,
  Fault,
  FaultKind,
  GroupState,
  Json,
  Name,
  Notice,
  Observation,
  Reply,
  Seen,
  ServerAnswer,
  Standby,
  Survey,
} from './core/model.ts';
import type { State, Step } from './core/state.ts';
import { storedProblem } from './core/stored.ts';
import {
  type GateView,
  gateView,
  openNotices,
  readyView,
  type StatusView,
  slackView,
  view,
  viewing,
} from './core/view.ts';
import type { Notifier, ProbeResult, Provider } from './kit/extend.ts';
import type {
  Batch,
  CallResult,
  Clock,
  Coordinator,
  Eyes,
  HistoryQuery,
  Hooks,
  LeaseEvent,
  Moment,
  Observer,
  Operation,
  Outcome,
  Prober,
  Shared,
  Store,
  StoredEntry,
  TroubleWord,
  Verifier,
} from './ports.ts';

/** What a configuration is built into; replaced as a whole by a reload. */
export interface Adapters {
  readonly prober: Prober;
  readonly providers: Readonly<Record<string, Provider>>;
  readonly verifier: Verifier;
  readonly notifier: Notifier | null;
  /** Absent: no record has any. */
  readonly hooks?: Hooks;
}

export interface World {
  readonly clock: Clock;
  readonly store: Store;
  readonly coordinator: Coordinator;
  /** What the replicas tell each other; absent: alone. */
  readonly eyes?: Eyes;
  readonly observers: readonly Observer[];
  /** Four random 32-bit integers. */
  readonly seed: readonly [number, number, number, number];
  readonly version: string;
}

/** The loop's heart beats this often; a gap this much longer is a stall of our own. */
const BEAT_MS = 100;
const STALL_MS = 300;
/** A stall of this length, or a wall clock that ran on without us, is a pause of the process. */
const PAUSE_MS = 5_000;
const ASK_DEADLINE_MS = 4_000;
const CHAIN_DEADLINE_MS = 5_000;
const NOTIFY_DEADLINE_MS = 30_000;
/** What killing a hook that has not ended may take beyond its deadline. */
const HOOK_GRACE_MS = 2_000;
const STORE_RETRY_MS = 1_000;
/** Entries that wait for a store that cannot commit, and words of operators among them, at most. */
const WAITING_MAX = 1_000;
const WORDS_MAX = 100;
/** How long adapters of an earlier configuration may finish what is under way. */
const RETIRE_MS = 15_000;
const STOP_GRACE_MS = 3_000;
/** How long an event that could not be folded in is shut out: at first, at most, and of how many. */
const SHUT_OUT_MS = 60_000;
const SHUT_OUT_MOST_MS = 3_600_000;
const SHUT_OUT_COUNT = 100;
const OWN_FAULT = 'a fault in Detour itself';
/** A write is begun with at least so much authority left: what all but a failing call takes. */
const AUTHORITY_MS = 2_500;
/** A write waits so long for the keep-alive that brings it, looking so often. */
const AUTHORITY_WAIT_MS = 5_000;
const AUTHORITY_LOOK_MS = 50;
/** How long a group that refused a commit is left alone: at first and at most. */
const GROUP_RETRY_MS = 1_000;
const GROUP_RETRY_MOST_MS = 10_000;
/** What comes within so long of a commit shares the next one; more where commits take long. */
const ROUND_MS = 20;
const ROUND_MOST_MS = 200;
/** So many times as long as the last commit took. */
const ROUND_FACTOR = 8;
/** Steps that share a commit, at most. */
const ROUND_MAX = 1_000;
/** Effects that wait for a commit, and orders that are remembered, at most. */
const HELD_MAX = 10_000;
const ORDERS_MAX = 1_000;
/** A hand-over waits so long for what is under way. */
const HAND_OVER_MS = 2_000;
const DIRECT = 'use `detour switch --direct`';

export class Controller {
  readonly #world: World;
  #state: State;
  readonly #first: Step;
  /** What threw when it was folded in: shut out until then, for ever longer. */
  readonly #shutOut = new Map<string, { readonly untilAt: number; readonly forMs: number }>();
  #adapters: Adapters;
  #reload: StatusView['reload'] = null;
  #wake: { readonly at: number; readonly cancel: () => void } | null = null;
  #stopped = false;
  #storeFailed = false;
  /** Steps that are folded in and not committed yet, oldest first. */
  #round: Folded[] = [];
  /** Ends the round when it is due; null: nothing waits for that. */
  #roundEnds: (() => void) | null = null;
  #committedAt = Number.NEGATIVE_INFINITY;
  #commitMs = 0;
  #beat = 0;
  #beatWall = 0;
  /** The last stall of this process: whatever straddles it says nothing about an origin. */
  #stall = { from: 0, to: 0 };
  readonly #abort = new AbortController();
  /** What is under way with a deadline of its own; all of it ends with this. */
  readonly #under = new Set<AbortController>();
  readonly #replies = new Map<number, Asked>();
  /** Documents that were dropped and may still stand in the store or the group, which were full. */
  readonly #undropped = new Set<string>();
  /** Entries that could not be committed, oldest first, and how many more there was no room for. */
  #waiting: { readonly at: number; readonly wall: number; readonly entry: Entry }[] = [];
  #lost = 0;
  /** What operators said that holds and is not durable. */
  #words: readonly string[];
  #nextRequest = 1;
  #writing = 0;
  /** Readings under way by id, to be cut off where something urgent comes. */
  readonly #readings = new Map<number, AbortController>();
  readonly #cancels = new Set<() => void>();
  /** How many of a provider's calls its lane has been told of. */
  readonly #counted = new WeakMap<Provider, number>();
  /** What the group of replicas shares; null alone: then nothing of it is ever looked at. */
  readonly #hands: Hands | null;
  /** The windows of maintenance that are open; null: nobody has said so yet. */
  #maintained: Extract<Event, { kind: 'maintained' }> | null = null;
  /** Of which version the others know that there is something to tell. */
  #told = 0;

  constructor(config: CoreConfig, adapters: Adapters, world: World) {
    this.#world = world;
    this.#adapters = adapters;
    const { clock, store, seed } = world;
    const { docs, unkept } = store.load();
    const { shared } = world.coordinator;
    this.#hands = shared === null ? null : newHands(shared);
    const [now, wall, grouped] = [clock.now(), clock.wall(), shared !== null];
    const begun = start({ config, docs, unkept, now, wall, seed, grouped });
    this.#words = unkept;
    this.#state = begun.state;
    this.#first = begun.step;
    this.#beat = clock.now();
    this.#beatWall = clock.wall();
  }

  /** Begins to act. */
  start(): void {
    this.#finish(this.#first);
    this.#heed();
    this.#heartbeat();
    this.#look();
    this.#world.coordinator.start((event) => {
      if (this.#stopped) return;
      if (this.#hands !== null) return this.#ofGroup(this.#hands, event);
      if (event.kind !== 'held' && event.kind !== 'lost') return;
      const held = event.kind === 'held';
      this.#step({ kind: 'lease', held, term: held ? event.term : this.#state.lease.term });
    });
  }

  /** Is told of held connections that end, by the prober that is in force. */
  #heed(): void {
    const { prober } = this.#adapters;
    prober.heed?.((ends) => {
      if (!this.#stopped && prober === this.#adapters.prober) this.#step({ kind: 'ended', ends });
    });
  }

  /** Hears the other replicas from now on. */
  #look(): void {
    const { eyes } = this.#world;
    if (eyes === undefined) return;
    const listening = eyes.start((event) => {
      if (this.#stopped) return;
      if (event.kind === 'heard') {
        for (const o of this.#world.observers) o.heard?.(event.telling);
      }
      this.#step(event);
    });
    void listening.then((problem) => {
      if (problem !== null) this.#trouble('eyes', problem);
    });
  }

  /** What this replica tells the others: what changed since a version; all of it since null. */
  telling(since: number | null): ReturnType<typeof telling> {
    this.#flush();
    return telling(this.#state, since ?? -1);
  }

  /** This replica's copy of what the group decided. */
  documents(): Readonly<Record<string, Json>> {
    this.#flush();
    const { docs } = this.#world.store.load();
    return Object.fromEntries(Object.entries(docs).filter(([key]) => isShared(key)));
  }

  /** The whole state at once; whoever may not hold the loop takes it in pieces. */
  status(): StatusView {
    this.#flush();
    return view(this.#state, this.#about());
  }

  /** The same in pieces, as core/view.ts says. */
  *viewing(before: StatusView | null): ReturnType<typeof viewing> {
    const making = viewing(this.#state, () => this.#about(), before);
    for (;;) {
      // Steps may have been taken since the last piece: none is shown that is not committed.
      this.#flush();
      const made = making.next();
      if (made.done) return made.value;
      yield;
    }
  }

  /** What wants a person now, the longest first. O(what is open). */
  open(): StatusView['notices'] {
    this.#flush();
    return openNotices(this.#state);
  }

  ready(): StatusView['ready'] {
    return readyView(this.#state, this.#words);
  }

  #about() {
    return { version: this.#world.version, reload: this.#reload, unkept: this.#words };
  }

  /** What must hold after every step and does not; empty unless Detour itself is wrong. */
  violations(): readonly string[] {
    return violations(this.#state);
  }

  gate(record: Name): GateView | null {
    this.#flush();
    return gateView(this.#state, record, this.#world.clock.now());
  }

  history(query: HistoryQuery): readonly StoredEntry[] {
    this.#flush();
    return this.#world.store.history(query);
  }

  /**
   * Carries one command through a commit. In a group it reaches whoever acts, by its id: said twice
   * with one id, it is done once. A dry run is answered here, by what is seen here.
   */
  command(command: Command, id: string | null = null): Promise<Reply> {
    if (this.#stopped) return Promise.resolve({ exit: 1, message: 'the daemon is stopping' });
    return this.#hands === null ? this.#fold(command) : this.#anyDoor(this.#hands, command, id);
  }

  #fold(command: Command): Promise<Reply> {
    const request = this.#nextRequest++;
    const reply = new Promise<Reply>((resolve) => this.#replies.set(request, { command, resolve }));
    this.#step({ kind: 'command', request, command });
    return reply;
  }

  /** Takes over what an audit found about the zones, and about the records' targets. */
  surveyed(surveys: readonly Survey[], standbys: readonly Standby[]): void {
    if (!this.#stopped) this.#step({ kind: 'surveyed', surveys, standbys });
  }

  /** All windows of maintenance that are open, by the clock on the wall. */
  maintained(now: Omit<Extract<Event, { kind: 'maintained' }>, 'kind'>): void {
    this.#maintained = { kind: 'maintained', ...now };
    if (!this.#stopped) this.#step(this.#maintained);
  }

  /** Why no calls are to spare at a provider for a rehearsal; null: some are. */
  slack(provider: string): string | null {
    return slackView(this.#state, provider, this.#world.clock.now());
  }

  /** A drill has ended that was made outside the loop. */
  rehearsed(drilled: Extract<Event, { kind: 'rehearsed' }>['drilled']): void {
    if (!this.#stopped) this.#step({ kind: 'rehearsed', drilled });
  }

  /** What came of a person's order about a delegation, for the journal. */
  delegated(said: Omit<Extract<Event, { kind: 'delegated' }>, 'kind'>): void {
    if (!this.#stopped) this.#step({ kind: 'delegated', ...said });
  }

  /** Which drills are scheduled, and what each kind may be of. */
  scheduled(all: Omit<Extract<Event, { kind: 'scheduled' }>, 'kind'>): void {
    if (!this.#stopped) this.#step({ kind: 'scheduled', ...all });
  }

  /** Why a configuration cannot take over from the one in force; empty when it can. */
  reloadProblems(config: CoreConfig): readonly string[] {
    return this.#stopped ? ['the daemon is stopping'] : reloadProblems(this.#state, config);
  }

  /**
   * Puts a new configuration in force, or says why not and keeps the old one (rules 2 and 19). What
   * it changes, one line each, goes into the journal.
   */
  reload(
    config: CoreConfig,
    adapters: Adapters,
    changes: readonly string[] = [],
  ): readonly string[] {
    const problems = this.reloadProblems(config);
    this.noteReload(problems.length);
    if (problems.length > 0) return problems;
    const old = this.#adapters;
    this.#adapters = adapters;
    if (!this.#step({ kind: 'configured', config, changes })) {
      this.#adapters = old;
      this.noteReload(1);
      return [`${OWN_FAULT}: the log says which`];
    }
    this.#heed();
    this.#later(RETIRE_MS, () => closeAll(old));
    return [];
  }

  /** Remembers how the last reload ended, for the view. */
  noteReload(errors: number): void {
    this.#reload = { ok: errors === 0, at: this.#world.clock.now(), errors };
  }

  /** Ends: no new work, writes under way get a moment, sockets are let go. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    if (this.#hands !== null) await this.#handOver(this.#hands);
    if (this.#stopped) return;
    this.#flush();
    this.#stopped = true;
    this.#wake?.cancel();
    this.#world.eyes?.close();
    this.#world.coordinator.close();
    const { clock } = this.#world;
    const until = clock.now() + STOP_GRACE_MS;
    while (this.#writing > 0 && clock.now() < until) {
      await new Promise<void>((resolve) => void clock.after(20, resolve));
    }
    this.#abort.abort();
    for (const abort of this.#under) abort.abort();
    for (const cancel of this.#cancels) cancel();
    for (const { resolve } of this.#replies.values()) {
      resolve({ exit: 1, message: 'the daemon stopped' });
    }
    this.#replies.clear();
    closeAll(this.#adapters);
    const entry = { kind: 'stop', record: null, sentence: 'stopped', data: {} } as const;
    const owing = this.#storeFailed ? this.#owing() : [];
    const last = { entries: [...this.#hole(), entry], docs: owing };
    if (this.#tryCommit(last, this.#arrears()) && this.#words.length > 0) this.#remind([]);
  }

  // -------------------------------------------------------------- fold, commit, act

  /** False where the event was refused, because folding it in failed by a fault of our own. */
  #step(event: Event): boolean {
    const { clock } = this.#world;
    const now = clock.now();
    // Whatever comes first after a pause, no decision outlives it (rules 8 and 16).
    this.#noticeStall(now);
    const isShared = sharesCommits.has(event.kind);
    if (!isShared) this.#flush();
    const { config, lease } = this.#state;
    const shutOut = (this.#shutOut.get(keyOf(event))?.untilAt ?? 0) > now;
    const settled = this.#round.length === 0;
    let out: Step;
    try {
      const content = shutOut ? withoutContent(event) : event;
      out = step(this.#state, content, now, clock.wall(), settled);
    } catch (error) {
      this.#beginAnew(event, error, config, lease);
      return false;
    }
    this.#finish(
      out,
      { isOrder: event.kind === 'command', isLearnt: event.kind === 'learnt' },
      isShared,
    );
    return true;
  }

  /** Nothing of the refused step was committed or performed: what is committed goes on. */
  #beginAnew(event: Event, error: unknown, config: CoreConfig, lease: State['lease']): void {
    const { clock, store } = this.#world;
    const now = clock.now();
    const key = keyOf(event);
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#trouble('fold', `${key}: ${text}`);
    const before = this.#shutOut.get(key)?.forMs ?? SHUT_OUT_MS / 2;
    const forMs = Math.min(SHUT_OUT_MOST_MS, before * 2);
    this.#shutOut.delete(key);
    this.#shutOut.set(key, { untilAt: now + forMs, forMs });
    if (this.#shutOut.size > SHUT_OUT_COUNT) {
      this.#shutOut.delete(this.#shutOut.keys().next().value!);
    }
    // What was folded in before stands.
    this.#flush();
    // What is under way is of the engine before: its answers no longer count.
    for (const reading of this.#readings.values()) reading.abort();
    this.#readings.clear();
    const { docs } = store.load();
    const { nextEffect, random: seed } = this.#state;
    // What was said and is not in the store is gone with that engine.
    const unkept = this.#words;
    const wall = clock.wall();
    const hands = this.#hands;
    const grouped = hands !== null;
    const begun = start({ config, docs, unkept, now, wall, seed, nextEffect, grouped });
    this.#state = begun.state;
    const sentence = `${OWN_FAULT} (${key}): it was refused, and everything is looked at anew`;
    begun.step.entries.unshift({ kind: 'fault', record: null, sentence, data: { event: key } });
    // Its writes that wait were planned by the engine before.
    if (hands !== null) hands.held = hands.held.filter(({ effect }) => effect.kind !== 'write');
    this.#finish(begun.step);
    this.#step({ kind: 'lease', held: lease.held, term: lease.term });
    if (hands !== null) this.#step({ kind: 'group', group: hands.group });
    if (this.#maintained !== null) this.#step(this.#maintained);
    if (this.#storeFailed) this.#step({ kind: 'store', ok: false });
    else if (hands?.refused) this.#step({ kind: 'store', ok: false, what: 'the group' });
    if (event.kind !== 'command') return;
    const asked = this.#replies.get(event.request);
    this.#replies.delete(event.request);
    asked?.resolve({ exit: 1, message: `${OWN_FAULT}: nothing was done; the log says which` });
  }

  /** Says that there is something to tell, once for each telling. */
  #tellOthers(eyes: Eyes): void {
    const version = toldVersion(this.#state);
    if (version === this.#told) return;
    this.#told = version;
    eyes.changed();
  }

  #finish(out: Step, kind: Kind = plain, isShared = false): void {
    const { eyes } = this.#world;
    const isSilent = out.entries.length === 0 && out.docs.length === 0;
    if (!isSilent || out.effects.length > 0) {
      this.#round.push({ out, kind });
      if (isShared && !(isSilent && this.#round.length === 1)) this.#flushSoon();
      else this.#flush();
    }
    if (eyes !== undefined) this.#tellOthers(eyes);
    this.#arm();
  }

  /** Ends the round at once where the last commit is a while ago, or too much waits. */
  #flushSoon(): void {
    const { clock } = this.#world;
    const roundMs = Math.min(ROUND_MOST_MS, Math.max(ROUND_MS, ROUND_FACTOR * this.#commitMs));
    const leftMs = this.#committedAt + roundMs - clock.now();
    if (this.#storeFailed || leftMs <= 0 || this.#round.length >= ROUND_MAX) return this.#flush();
    this.#roundEnds ??= clock.after(Math.min(leftMs, roundMs), () => {
      this.#roundEnds = null;
      this.#flush();
    });
  }

  /** Commits what was folded in since the last commit, then performs it in order. */
  #flush(): void {
    if (this.#round.length === 0) return;
    this.#roundEnds?.();
    this.#roundEnds = null;
    const round = this.#round;
    this.#round = [];
    const committed = this.#commit(round);
    for (const folded of committed ? [] : round) this.#await(folded);
    if (committed && !this.#storeFailed && this.#words.length > 0) this.#remind([]);
    const hands = this.#hands;
    for (const { out, kind } of round) {
      if (hands !== null) this.#share(hands, out, committed, kind.isLearnt);
      else for (const effect of out.effects) this.#settle(effect, committed, round);
    }
    if (hands !== null) {
      this.#release(hands);
      this.#transact(hands);
    }
    if (!committed && !this.#storeFailed) {
      this.#storeFailed = true;
      this.#step({ kind: 'store', ok: false });
      this.#later(STORE_RETRY_MS, () => this.#retryStore());
    }
  }

  /** A write that may rest on what could not be committed is not sent: it is planned anew. */
  #settle(effect: Effect, committed: boolean, round: readonly Folded[]): void {
    if (effect.kind === 'write' && !committed && round.length > 1) {
      this.#unsent(effect, 'the store cannot commit');
    } else this.#perform(effect, committed);
  }

  /** True when there was nothing to commit, or all of it is durable. */
  #commit(round: readonly Folded[]): boolean {
    const entries = round.flatMap(({ out }) => out.entries);
    // Of a document that changed several times the last is what stands.
    const docs = [...new Map(round.flatMap(({ out }) => out.docs))];
    if (entries.length === 0 && docs.length === 0) return true;
    const committed = !this.#storeFailed && this.#tryCommit({ entries, docs });
    for (const [key, value] of docs) {
      if (value !== null) this.#undropped.delete(key);
      else if (!committed) this.#undropped.add(key);
    }
    return committed;
  }

  /** What happened without a store is written late, or at least counted. */
  #await({ out, kind }: Folded): void {
    const { clock, observers } = this.#world;
    const [at, wall] = [this.#state.now, clock.wall()];
    const words: string[] = [];
    for (const entry of holding(this.#state, out)) {
      for (const o of observers) o.unstored?.(entry, wall);
      this.#waiting.push({ at, wall, entry });
      if (kind.isOrder && isWord.has(entry.kind)) words.push(entry.sentence);
      if (this.#waiting.length <= WAITING_MAX) continue;
      // What a person said is worth more than what was seen.
      const oldest = this.#waiting.findIndex((one) => !isWord.has(one.entry.kind));
      this.#waiting.splice(Math.max(0, oldest), 1);
      this.#lost++;
    }
    if (words.length > 0) this.#remind([...this.#words, ...words].slice(-WORDS_MAX));
  }

  #remind(words: readonly string[]): void {
    this.#words = words;
    try {
      this.#world.store.remind(words);
    } catch (error) {
      this.#trouble('store', messageOf(error));
    }
  }

  /** Says that entries are missing, where some are. */
  #hole(): Entry[] {
    const lost = this.#lost;
    const sentence = `${lost} entries before this are missing: the store could not commit for long`;
    return lost === 0 ? [] : [{ kind: 'store', record: null, sentence, data: { lost } }];
  }

  /** What waits, by moments. */
  #arrears(): readonly Moment[] {
    const moments: { at: number; wall: number; entries: Entry[] }[] = [];
    for (const { at, wall, entry } of this.#waiting) {
      const last = moments.at(-1);
      if (last?.at === at && last.wall === wall) last.entries.push(entry);
      else moments.push({ at, wall, entries: [entry] });
    }
    return moments;
  }

  /** All that the state has, and what it no longer has and the store still does. */
  #owing(): Step['docs'] {
    return [...owed(this.#state), ...[...this.#undropped].map((key) => [key, null] as const)];
  }

  #tryCommit(
    { entries, docs }: Pick<Step, 'entries' | 'docs'>,
    earlier: readonly Moment[] = [],
  ): boolean {
    const { clock, store, observers } = this.#world;
    const [begunAt, wall] = [clock.now(), clock.wall()];
    try {
      store.commit({ at: this.#state.now, wall, entries, docs, earlier });
    } catch (error) {
      this.#trouble('store', messageOf(error));
      return false;
    } finally {
      this.#committedAt = clock.now();
      this.#commitMs = this.#committedAt - begunAt;
    }
    for (const o of observers) {
      for (const one of earlier) for (const e of one.entries) o.journalled?.(e, one.wall, true);
      for (const entry of entries) o.journalled?.(entry, wall, false);
    }
    return true;
  }

  #retryStore(): void {
    if (this.#stopped) return;
    const probe: Pick<Step, 'entries' | 'docs'> = {
      entries: this.#hole(),
      docs: [['alive', this.#state.now], ...this.#owing()],
    };
    if (!this.#tryCommit(probe, this.#arrears())) {
      return this.#later(STORE_RETRY_MS, () => this.#retryStore());
    }
    this.#waiting = [];
    this.#lost = 0;
    this.#storeFailed = false;
    if (this.#hands?.refused !== true) this.#commitsAgain();
  }

  /** Both the store and the group take what is decided; what ended meanwhile ends for both. */
  #commitsAgain(what?: string): void {
    const dropped = [...this.#undropped];
    this.#undropped.clear();
    this.#step({ kind: 'store', ok: true, dropped, ...(what === undefined ? {} : { what }) });
  }

  // -------------------------------------------------------------- the group of replicas

  /** What the coordinator tells of the group. */
  #ofGroup(hands: Hands, event: LeaseEvent): void {
    this.#flush();
    switch (event.kind) {
      case 'held':
        return this.#takeOver(hands, event.term);
      case 'lost':
        return this.#fall(hands, event.why);
      case 'documents':
        return this.#learn(hands, event);
      case 'order':
        return this.#order(hands, event);
      case 'acts':
        return this.#tellGroup(hands, { acts: event.replica, term: event.term });
      case 'group':
        return this.#tellGroup(hands, { word: event.word, sentence: event.sentence });
    }
  }

  #tellGroup(hands: Hands, change: Partial<GroupState>): void {
    hands.group = { ...hands.group, ...change };
    this.#step({ kind: 'group', group: hands.group });
  }

  get #self(): string {
    return this.#state.config.group?.self ?? 'this replica';
  }

  /** Every document of the head was told before: from now on this replica's are the group's. */
  #takeOver(hands: Hands, term: number): void {
    hands.acts = true;
    hands.refused = false;
    hands.reign++;
    this.#tellGroup(hands, { acts: this.#self, term });
    // Nothing was ever shared: what this replica knows, alone until now, comes first.
    if (hands.isNew) {
      const { docs } = this.#world.store.load();
      hands.ledger.put({ docs: Object.entries(docs), entries: [] });
      hands.isNew = false;
    }
    this.#step({ kind: 'lease', held: true, term });
  }

  /** The right to act is gone: what is not committed never was. */
  #fall(hands: Hands, why: string): void {
    const { acts, refused } = hands;
    hands.acts = false;
    hands.refused = false;
    if (this.#state.lease.held || !hands.told) {
      hands.told = true;
      this.#step({ kind: 'lease', held: false, term: this.#state.lease.term });
    }
    if (hands.group.acts === this.#self) this.#tellGroup(hands, { acts: null });
    if (!acts) return;
    hands.ledger.giveUp();
    hands.orders.clear();
    this.#step({ kind: 'learnt', docs: hands.ledger.docs(), whole: true });
    this.#letGo(hands, why, false);
    // That the group does not commit is the next one's trouble, and that one says so.
    if (refused && !this.#storeFailed) this.#step({ kind: 'store', ok: true, what: 'the group' });
  }

  #learn(hands: Hands, event: Extract<LeaseEvent, { kind: 'documents' }>): void {
    const { docs, whole, by, isNew } = event;
    const said: Record<string, Json> = {};
    for (const [key, value] of docs) if (value !== null) said[key] = value;
    const problem = storedProblem(said);
    if (problem !== null) {
      this.#trouble('coordinator', `of the group: ${problem}: it is not taken`);
      return this.#fall(hands, problem);
    }
    if (hands.acts) {
      if (by === this.#self) return;
      this.#fall(hands, `${by ?? 'somebody'} has committed meanwhile`);
    }
    // Until somebody has shared something, each shows what it knows itself.
    if (isNew) {
      if (whole) hands.isNew = true;
      return;
    }
    const isAll = whole || hands.isNew;
    if (docs.length === 0 && !isAll) return;
    hands.ledger.learn(docs, isAll);
    this.#step({ kind: 'learnt', docs, whole: isAll });
    hands.isNew = false;
  }

  /** A step's documents go to the group, and what rests on them waits. */
  #share(hands: Hands, out: Step, committed: boolean, isLearnt: boolean): void {
    const { ledger } = hands;
    const changed = committed && hands.acts && !isLearnt && ledger.put(out);
    for (const effect of out.effects) {
      if (effect.kind === 'reply' && this.#answers(hands, effect, committed)) continue;
      if (this.#mustWait(effect, committed, changed)) {
        hands.held.push({ effect, after: ledger.count, dueAt: null });
      } else this.#perform(effect, committed);
    }
    while (hands.held.length > HELD_MAX) {
      const at = hands.held.findIndex(({ effect }) => effect.kind === 'notify');
      if (at < 0) break;
      hands.held.splice(at, 1);
      this.#trouble('notify', 'too many notices wait for the group: the oldest is dropped');
    }
  }

  #mustWait(effect: Effect, committed: boolean, changed: boolean): effect is Held['effect'] {
    if (effect.kind === 'write') return true;
    // One that is not the group's may be run by somebody else, too.
    return (effect.kind === 'notify' || effect.kind === 'hook') && committed && changed;
  }

  /** True where the reply is an order's: it is in the transaction of what it did. */
  #answers(hands: Hands, e: Extract<Effect, { kind: 'reply' }>, committed: boolean): boolean {
    const id = this.#replies.get(e.request)?.order;
    if (id === undefined) return false;
    this.#replies.delete(e.request);
    this.#answer(hands, id, committed && !this.#storeFailed ? e.reply : notCommitted(e.reply));
    return true;
  }

  #answer(hands: Hands, id: string, reply: Reply): void {
    hands.orders.set(id, reply);
    if (hands.orders.size > ORDERS_MAX) hands.orders.delete(hands.orders.keys().next().value!);
    hands.ledger.answer(id, reply);
  }

  /** Sends the next transaction, if none is under way. */
  #transact(hands: Hands): void {
    if (hands.committing || !hands.acts || hands.refused) return;
    const batch = hands.ledger.next();
    if (batch !== null) {
      this.#send(hands, batch, (outcome) => {
        if (outcome.kind === 'deposed') this.#fall(hands, outcome.why);
        else if (outcome.kind === 'refused') this.#refused(hands, outcome.why);
        else {
          hands.ledger.committed();
          this.#release(hands);
        }
      });
    }
  }

  #send(hands: Hands, batch: Batch, ended: (outcome: Outcome) => void): void {
    const { clock, observers } = this.#world;
    const { reign } = hands;
    const beganAt = clock.now();
    const broken = (error: unknown): Outcome => {
      this.#trouble('coordinator', messageOf(error));
      return { kind: 'deposed', why: 'the coordinator failed' };
    };
    hands.committing = true;
    void hands.shared
      .commit(batch)
      .catch(broken)
      .then((outcome) => {
        this.#flush();
        hands.committing = false;
        const ms = clock.now() - beganAt;
        for (const o of observers) o.shared?.(outcome.kind, ms);
        if (outcome.kind === 'committed') measureCommit(this.#state, ms);
        if (this.#stopped) return;
        if (reign === hands.reign && hands.acts) ended(outcome);
        // Given up as lost, and committed all the same: it is the group's.
        else if (outcome.kind === 'committed' && !hands.acts) {
          hands.ledger.learn(batch.docs, false);
          this.#step({ kind: 'learnt', docs: batch.docs, whole: false });
        }
        this.#transact(hands);
      });
  }

  /** Nothing of it is committed, and the right to act is still ours: as a full disk (rule 13). */
  #refused(hands: Hands, why: string): void {
    this.#trouble('coordinator', `the group does not commit: ${why}`);
    hands.refused = true;
    const { docs, done } = hands.ledger.giveUp();
    this.#step({ kind: 'store', ok: false, what: 'the group' });
    this.#step({ kind: 'learnt', docs, whole: false });
    this.#letGo(hands, why, true);
    // Whoever asked is told as soon as anything can be.
    for (const { id, reply } of done) this.#answer(hands, id, notOfGroup(reply, why));
    this.#later(GROUP_RETRY_MS, () => this.#tryGroup(hands, hands.reign, GROUP_RETRY_MS));
  }

  /** An empty transaction shows whether it commits again. */
  #tryGroup(hands: Hands, reign: number, waitedMs: number): void {
    if (this.#stopped || !hands.refused || reign !== hands.reign) return;
    this.#send(hands, { docs: [], entries: [], done: [] }, (outcome) => {
      if (outcome.kind === 'deposed') return this.#fall(hands, outcome.why);
      if (outcome.kind === 'committed') {
        hands.refused = false;
        if (!this.#storeFailed) this.#commitsAgain('the group');
        return;
      }
      const waitMs = Math.min(GROUP_RETRY_MOST_MS, waitedMs * 2);
      this.#later(waitMs, () => this.#tryGroup(hands, reign, waitMs));
    });
  }

  /** Performs what need not wait any longer, in order. */
  #release(hands: Hands): void {
    const { held } = hands;
    for (let i = 0; i < held.length; ) {
      const one = held[i]!;
      const { effect } = one;
      const isOver =
        effect.kind === 'write'
          ? this.#begin(hands, one, effect)
          : hands.ledger.isCommittedTo(one.after);
      if (!isOver) i++;
      else {
        held.splice(i, 1);
        if (effect.kind !== 'write') this.#perform(effect, true);
      }
    }
  }

  /**
   * Rule 30: a write is begun only when what it rests on is committed, and the right to act outlasts
   * its deadline. True where it was begun, or never will be.
   */
  #begin(hands: Hands, one: Held, e: Extract<Effect, { kind: 'write' }>): boolean {
    const stands = e.changes.map((change) => hands.ledger.standing(change));
    if (stands.includes('stale')) return this.#unsent(e, 'another marker is in force by now');
    if (stands.includes('waits')) return false;
    const { clock, coordinator } = this.#world;
    const now = clock.now();
    const mayAct = hands.acts && !hands.leaving;
    const leftMs = mayAct ? coordinator.actsUntil() - now : 0;
    if (leftMs >= Math.min(AUTHORITY_MS, e.deadlineMs)) {
      this.#write(e, Math.min(e.deadlineMs, leftMs));
      return true;
    }
    one.dueAt ??= now + AUTHORITY_WAIT_MS;
    if (!mayAct || now >= one.dueAt) return this.#unsent(e, 'the right to act does not outlast it');
    if (!hands.looks) {
      hands.looks = true;
      this.#later(AUTHORITY_LOOK_MS, () => {
        hands.looks = false;
        if (!this.#stopped) this.#release(hands);
      });
    }
    return false;
  }

  /** It is told a turn later, so that no step begins within another. */
  #unsent(e: Extract<Effect, { kind: 'write' }>, why: string): true {
    this.#later(0, () => {
      if (this.#stopped) return;
      const answers = e.changes.map(() => ({ kind: 'not-asked' }) as const);
      this.#step({ kind: 'written', provider: e.provider, id: e.id, answers, unsent: why });
    });
    return true;
  }

  /** What waited for a commit that never comes: nothing was sent, and nobody is told that it was. */
  #letGo(hands: Hands, why: string, acts: boolean): void {
    for (const { effect } of hands.held.splice(0)) {
      if (effect.kind === 'write') this.#unsent(effect, why);
      else if (acts) this.#perform(effect, false);
    }
  }

  // -------------------------------------------------------------- orders at any door

  async #anyDoor(hands: Hands, command: Command, id: string | null): Promise<Reply> {
    const { group } = hands;
    if (command.kind === 'restored') return this.#restore(hands, command);
    // What this replica's own checks have shown is nobody else's.
    if (command.kind === 'drilled') return this.#fold(command);
    if (command.kind === 'yield' && command.dryRun === true) return wouldYield(group);
    if (command.dryRun === true) {
      const reply = await this.#fold(command);
      if (hands.acts) return reply;
      const as = `as ${this.#self} sees it, which does not act`;
      return { ...reply, message: `${reply.message} (${as})` };
    }
    if (group.word !== null) {
      const why = `nothing was done: ${group.sentence}`;
      return { exit: 1, message: `${why}; to move a record now, ${DIRECT}` };
    }
    if (hands.refused) return notOfGroup({ exit: 0, message: '' }, 'it takes no commits now');
    if (id === null) return { exit: 2, message: 'in a group an order bears an id: it has none' };
    return hands.shared.say(id, command);
  }

  /** An order that was said anywhere in the group; told only while this replica acts. */
  #order(hands: Hands, event: Extract<LeaseEvent, { kind: 'order' }>): void {
    const { id, replica } = event;
    if (!hands.acts || hands.leaving) return;
    const known = hands.orders.get(id);
    if (known !== undefined) {
      if (known !== null) hands.ledger.answer(id, known);
      return this.#transact(hands);
    }
    hands.orders.set(id, null);
    const said = event.command;
    const by = replica === this.#self ? said.by : `${said.by} at ${replica}`;
    const command = { ...said, by };
    if (command.kind === 'yield') {
      this.#answer(hands, id, { exit: 0, message: `${this.#self} hands over` });
      this.#transact(hands);
      return void this.#handOver(hands);
    }
    const request = this.#nextRequest++;
    this.#replies.set(request, { command, order: id, resolve: () => {} });
    this.#step({ kind: 'command', request, command });
  }

  /** A person has seen that the engine is another, or older: what this replica knows is right. */
  async #restore(hands: Hands, command: Command): Promise<Reply> {
    if (hands.group.word !== 'restored') {
      return { exit: 1, message: 'nothing was done: the group waits for no such word' };
    }
    const docs = this.documents();
    if (command.dryRun === true) {
      const message = `would make the ${Object.keys(docs).length} documents of ${this.#self} the group's`;
      return { exit: 0, message };
    }
    return hands.shared.restore(docs);
  }

  /**
   * Hands over: nothing more is decided or begun, what is under way is waited for, and then others
   * may act. Bounded by `HAND_OVER_MS` and the coordinator's own deadline.
   */
  async #handOver(hands: Hands): Promise<void> {
    const { clock, coordinator } = this.#world;
    if (hands.leaving) return;
    this.#flush();
    hands.leaving = true;
    if (hands.acts) {
      this.#step({ kind: 'lease', held: false, term: this.#state.lease.term });
      this.#release(hands);
      const until = clock.now() + HAND_OVER_MS;
      const isBusy = () => hands.acts && (this.#writing > 0 || !hands.ledger.isIdle);
      while (isBusy() && clock.now() < until) {
        await new Promise<void>((resolve) => void clock.after(5, resolve));
      }
    }
    await coordinator.yield().catch((error) => this.#trouble('coordinator', messageOf(error)));
    hands.leaving = false;
    if (hands.acts && !this.#stopped) this.#fall(hands, 'handed over');
  }

  #arm(): void {
    if (this.#stopped) return;
    const next = nextDeadline(this.#state);
    if (next === null || (this.#wake !== null && this.#wake.at <= next.at)) return;
    this.#wake?.cancel();
    const { clock } = this.#world;
    const cancel = clock.after(next.at - clock.now(), () => {
      this.#wake = null;
      if (!this.#stopped) this.#step({ kind: 'tick' });
    });
    this.#wake = { at: next.at, cancel };
  }

  #perform(effect: Effect, committed: boolean): void {
    switch (effect.kind) {
      case 'probe':
        return this.#probe(effect);
      case 'read':
        return this.#read(effect);
      case 'abandon':
        this.#readings.get(effect.id)?.abort();
        this.#readings.delete(effect.id);
        return;
      case 'write':
        return this.#write(effect);
      case 'ask':
        return this.#ask(effect);
      case 'chain':
        return this.#chain(effect);
      case 'call':
        return this.#world.eyes?.call(effect.checks, effect.why);
      case 'yield':
        // In a turn of its own: a step is not begun within another.
        this.#later(0, () => {
          if (this.#hands !== null) void this.#handOver(this.#hands);
        });
        return;
      case 'notify':
        // A switch that could not be committed is taken back: nobody is told of it.
        if (committed || !isTakenBack(effect.notice)) this.#notify(effect);
        return;
      case 'hook':
        return effect.when === 'before' ? this.#before(effect, committed) : this.#after(effect);
      case 'reply': {
        const asked = this.#replies.get(effect.request);
        this.#replies.delete(effect.request);
        // What was ordered before and is not durable yet says so again, though nothing changes now.
        const holds = committed && (!this.#storeFailed || isLook(asked?.command));
        asked?.resolve(holds ? effect.reply : notCommitted(effect.reply));
        return;
      }
    }
  }

  #probe(e: Extract<Effect, { kind: 'probe' }>): void {
    const asked = this.#adapters.prober.probe(e.check, e.path, this.#abort.signal, e.routine);
    const came = (result: ProbeResult) => {
      if (this.#stopped) return;
      const observation = this.#observed(result, e.at);
      for (const o of this.#world.observers) o.probed?.(e.check, e.path, observation);
      this.#step({ kind: 'probed', check: e.check, path: e.path, observation });
    };
    void asked.then(came, (error: unknown) => {
      this.#trouble('prober', messageOf(error));
      came({ outcome: 'blind', reason: 'internal', detail: 'the checker failed', phases: {} });
    });
  }

  /** Rule 6: a failure that straddles a stall of this process is no vote. */
  #observed(result: ProbeResult, startedAt: number): Observation {
    const endedAt = this.#world.clock.now();
    this.#noticeStall(endedAt);
    const straddles = startedAt < this.#stall.to && endedAt > this.#stall.from;
    if (result.outcome !== 'fail' || !straddles) return { ...result, startedAt, endedAt };
    const detail = `our own process stood still meanwhile (${result.detail})`;
    return { ...result, outcome: 'blind', reason: 'stalled', detail, startedAt, endedAt };
  }

  #read(e: Extract<Effect, { kind: 'read' }>): void {
    const provider = this.#adapters.providers[e.provider]!;
    const none = noAnswer('unavailable');
    const late = Object.fromEntries(e.names.map((name) => [name, none] as const));
    const abort = new AbortController();
    this.#readings.set(e.id, abort);
    type Answers = Readonly<Record<Name, Answer<Seen>>>;
    const work = (signal: AbortSignal): Promise<Answers> => provider.read(e.names, signal);
    void this.#bounded(work, e.deadlineMs, late, abort).then(([answers, ms]) => {
      // A step may have cut it off that is not committed yet: the core takes no answer to it either.
      const isAwaited = this.#state.lanes.get(e.provider)?.busy?.id === e.id;
      const wasCutOff = !this.#readings.delete(e.id) || !isAwaited;
      const word = wasCutOff ? 'abandoned' : wordOf(Object.values(answers));
      this.#called(e.provider, 'read', word, ms);
      if (this.#stopped) return;
      // What was cut off no longer counts, but its calls do.
      const calls = this.#callsOf(provider);
      this.#step({ kind: 'read', provider: e.provider, id: e.id, answers, calls });
    });
  }

  #write(e: Extract<Effect, { kind: 'write' }>, deadlineMs = e.deadlineMs): void {
    const provider = this.#adapters.providers[e.provider]!;
    const none = noAnswer('uncertain');
    const late = e.changes.map(() => none);
    this.#writing++;
    const work = (signal: AbortSignal) => provider.write(e.changes, signal);
    void this.#bounded<readonly Answer<null>[]>(work, deadlineMs, late).then(([answers, ms]) => {
      this.#writing--;
      this.#called(e.provider, 'write', wordOf(answers), ms);
      if (this.#stopped) return;
      const calls = this.#callsOf(provider);
      this.#step({ kind: 'written', provider: e.provider, id: e.id, answers, calls });
    });
  }

  /** API calls of a provider since the last time, an audit's among them. */
  #callsOf(provider: Provider): number {
    const { calls } = provider;
    const since = calls - (this.#counted.get(provider) ?? 0);
    this.#counted.set(provider, calls);
    return since;
  }

  #ask(e: Extract<Effect, { kind: 'ask' }>): void {
    const { verifier } = this.#adapters;
    const detail = 'no answer within the deadline';
    const late: readonly ServerAnswer[] = [
      { server: e.provider, answer: { kind: 'timeout', detail }, markers: null },
    ];
    const { provider: _provider, record: _record, kind: _kind, ...options } = e;
    const work = (signal: AbortSignal) => verifier.ask(e.provider, e.record, options, signal);
    void this.#bounded(work, ASK_DEADLINE_MS, late).then(([answers, ms]) => {
      const spoke = answers.some((a) => a.answer.kind === 'cname');
      this.#called(e.provider, 'ask', spoke ? 'ok' : (answers[0]?.answer.kind ?? 'error'), ms);
      if (this.#stopped) return;
      this.#step({ kind: 'asked', provider: e.provider, record: e.record, answers });
    });
  }

  #chain(e: Extract<Effect, { kind: 'chain' }>): void {
    const { verifier } = this.#adapters;
    const late: ChainAnswer = { kind: 'unknown', detail: 'no answer within the deadline' };
    const work = (signal: AbortSignal) => verifier.chain(e.name, signal);
    void this.#bounded(work, CHAIN_DEADLINE_MS, late).then(([answer]) => {
      if (this.#stopped) return;
      this.#step({ kind: 'chained', record: e.record, target: e.target, answer });
    });
  }

  #notify(e: Extract<Effect, { kind: 'notify' }>): void {
    const { notifier } = this.#adapters;
    if (notifier === null) return;
    const late = new Error('the notification did not end within its deadline');
    const work = (signal: AbortSignal) =>
      notifier.notify(e.notice, signal).then(
        () => null,
        (error: unknown) => error,
      );
    void this.#bounded<unknown>(work, NOTIFY_DEADLINE_MS, late).then(([error]) => {
      if (error !== null) this.#trouble('notify', messageOf(error));
    });
  }

  /** Run once what it is for is durable: a decision that is taken back has none. */
  #before(e: HookEffect, committed: boolean): void {
    const { record, id, about, deadlineMs } = e;
    type Said = Awaited<ReturnType<Hooks['before']>>;
    const none: Said = { answer: 'silent', detail: 'there is none' };
    const late: Said = { answer: 'silent', detail: 'it did not end within its deadline' };
    const tell = (answer: Said['answer'] | 'unrun', detail: string) => {
      if (!this.#stopped) this.#step({ kind: 'hooked', record, id, answer, detail });
    };
    // A turn later: no step begins within another.
    if (!committed) return this.#later(0, () => tell('unrun', 'the decision is not durable'));
    const { hooks } = this.#adapters;
    const work = (signal: AbortSignal) =>
      hooks === undefined ? Promise.resolve(none) : hooks.before(about, id, signal);
    void this.#bounded(work, deadlineMs + HOOK_GRACE_MS, late).then(([said]) =>
      tell(said.answer, said.detail),
    );
  }

  #after({ about, id, deadlineMs }: HookEffect): void {
    const { hooks } = this.#adapters;
    if (hooks === undefined) return;
    const late = new Error(`${about.record}: its hook after a switch did not end in time`);
    const work = (signal: AbortSignal) =>
      hooks.after(about, id, signal).then(
        () => null,
        (error: unknown) => error,
      );
    void this.#bounded<unknown>(work, deadlineMs + HOOK_GRACE_MS, late).then(([error]) => {
      if (error !== null) this.#trouble('hook', messageOf(error));
    });
  }

  /** Runs one piece of work under a deadline; past it, `late` stands for the answer. */
  async #bounded<T>(
    work: (signal: AbortSignal) => Promise<T>,
    deadlineMs: number,
    late: T,
    abort = new AbortController(),
  ): Promise<readonly [answer: T, ms: number]> {
    const { clock } = this.#world;
    const startedAt = clock.now();
    if (this.#abort.signal.aborted) abort.abort();
    this.#under.add(abort);
    let cancel = () => {};
    const deadline = new Promise<T>((resolve) => {
      cancel = clock.after(deadlineMs, () => {
        abort.abort();
        resolve(late);
      });
    });
    const answer = work(abort.signal).catch((error: unknown) => {
      // A port never rejects for the world's sake: this is a fault of the adapter's own.
      this.#trouble('adapter', messageOf(error));
      return late;
    });
    const first = await Promise.race([answer, deadline]);
    cancel();
    this.#under.delete(abort);
    return [first, clock.now() - startedAt];
  }

  // -------------------------------------------------------------- our own stalls

  #heartbeat(): void {
    const { clock } = this.#world;
    const beat = () => {
      if (this.#stopped) return;
      this.#noticeStall(clock.now());
      this.#beat = clock.now();
      this.#beatWall = clock.wall();
      // Timers that come are not enough: a loop that no longer wakes for what is due is dead as well.
      const isTurning = this.#wake === null || this.#beat - this.#wake.at < PAUSE_MS;
      if (isTurning) for (const o of this.#world.observers) o.beat?.();
      this.#later(BEAT_MS, beat);
    };
    this.#later(BEAT_MS, beat);
  }

  #noticeStall(now: number): void {
    const gapMs = now - this.#beat;
    // A suspended machine stops the monotonic clock, so the wall clock is asked as well.
    const wallMs = this.#world.clock.wall() - this.#beatWall;
    if (gapMs > BEAT_MS + STALL_MS) this.#stall = { from: this.#beat, to: now };
    if (Math.max(gapMs, wallMs) <= PAUSE_MS) return;
    this.#stall = { from: this.#beat, to: now };
    this.#beat = now;
    this.#beatWall = this.#world.clock.wall();
    this.#step({ kind: 'paused', forMs: Math.max(gapMs, wallMs) });
  }

  #later(ms: number, then: () => void): void {
    const cancel = this.#world.clock.after(ms, () => {
      this.#cancels.delete(cancel);
      then();
    });
    this.#cancels.add(cancel);
  }

  #called(provider: string, operation: Operation, result: CallResult, ms: number): void {
    for (const o of this.#world.observers) o.called?.(provider, operation, result, ms);
  }

  #trouble(what: TroubleWord, detail: string): void {
    for (const o of this.#world.observers) o.trouble?.(what, detail);
  }
}

/** What an event is about, whatever it says of it. */
function keyOf(event: Event): string {
  switch (event.kind) {
    case 'probed':
      return `probed ${event.check} by ${event.path}`;
    case 'read':
    case 'written':
      return `${event.kind} at ${event.provider}`;
    case 'asked':
      return `asked ${event.provider} for ${event.record}`;
    case 'chained':
      return `chained ${event.record} to ${event.target}`;
    case 'command':
      return `command ${event.command.kind}`;
    default:
      return event.kind;
  }
}

/** The same event, ended without a word of what came: whoever waits for it goes on. */
function withoutContent(event: Event): Event {
  const fault = { kind: 'unavailable' as const, detail: `${OWN_FAULT}: what it says is shut out` };
  const own = { kind: 'fault', fault, reach: { kind: 'record' } } as const;
  switch (event.kind) {
    case 'probed': {
      const { detail } = fault;
      const said = { outcome: 'blind', reason: 'internal', detail } as const;
      return { ...event, observation: { ...event.observation, ...said } };
    }
    case 'read': {
      const names = Object.keys(event.answers);
      return { ...event, answers: Object.fromEntries(names.map((name) => [name, own])) };
    }
    case 'written': {
      const lost = { ...own, fault: { ...fault, kind: 'uncertain' as const } };
      return { ...event, answers: event.answers.map(() => lost) };
    }
    case 'asked': {
      const answer = { kind: 'error', detail: fault.detail } as const;
      return { ...event, answers: [{ server: event.provider, answer, markers: null }] };
    }
    case 'chained':
      return { ...event, answer: { kind: 'unknown', detail: fault.detail } };
    case 'surveyed':
    case 'maintained':
    case 'rehearsed':
    case 'scheduled':
    case 'ended':
      return { kind: 'tick' };
    // A person's word, the configuration and our own clock are tried again each time.
    default:
      return event;
  }
}

/** What stands for the answers of a call that has none; nobody knows how far that reaches. */
function noAnswer(kind: Fault['kind']): Extract<Answer<never>, { kind: 'fault' }> {
  const fault = { kind, detail: 'no answer within the deadline' };
  return { kind: 'fault', fault, reach: { kind: 'account' } };
}

/** The result of one call in a word: the first fault's kind. */
function wordOf(answers: readonly Answer<unknown>[]): 'ok' | FaultKind {
  for (const answer of answers) if (answer.kind === 'fault') return answer.fault.kind;
  return 'ok';
}

export function closeAll(adapters: Adapters): void {
  adapters.prober.close();
  adapters.verifier.close();
  for (const provider of Object.values(adapters.providers)) provider.close();
}

/** An effect that waits for what it rests on to be the group's. */
interface Held {
  readonly effect: Extract<Effect, { kind: 'write' | 'notify' | 'hook' }>;
  /** Changes until then must be committed. */
  readonly after: number;
  /** Of a write that waits for authority: until when. */
  dueAt: number | null;
}

/** What a step was made by, as far as its commit asks. */
interface Kind {
  readonly isOrder: boolean;
  readonly isLearnt: boolean;
}

const plain: Kind = { isOrder: false, isLearnt: false };

/** A step that was taken. */
interface Folded {
  readonly out: Step;
  readonly kind: Kind;
}

/** What comes thick may share a commit; a person's word, a lease, a configuration has its own. */
const sharesCommits: ReadonlySet<Event['kind']> = new Set([
  ...(['asked', 'chained', 'probed', 'read', 'tick', 'written'] as const),
]);

type HookEffect = Extract<Effect, { kind: 'hook' }>;

/** What is known of the group, and what waits for it. */
interface Hands {
  readonly shared: Shared;
  readonly ledger: Ledger;
  group: GroupState;
  acts: boolean;
  /** Counts the holdings of the lease. */
  reign: number;
  /** The engine has been told that the lease is not held. */
  told: boolean;
  /** Nothing was ever shared in this group. */
  isNew: boolean;
  committing: boolean;
  /** The group commits nothing, though the lease is held. */
  refused: boolean;
  leaving: boolean;
  /** A look at the authority is due. */
  looks: boolean;
  held: Held[];
  /** Orders of this holding; null: being done. */
  readonly orders: Map<string, Reply | null>;
}

function newHands(shared: Shared): Hands {
  return {
    shared,
    ledger: new Ledger(),
    group: { acts: null, term: 0, word: null, sentence: '' },
    acts: false,
    reign: 0,
    told: false,
    isNew: false,
    committing: false,
    refused: false,
    leaving: false,
    looks: false,
    held: [],
    orders: new Map(),
  };
}

function wouldYield({ acts }: GroupState): Reply {
  if (acts === null) return { exit: 1, message: 'nobody acts: there is nothing to hand over' };
  return { exit: 0, message: `${acts} would hand over to another replica; nothing moves` };
}

/** What the group did not commit was not done. */
function notOfGroup(reply: Reply, why: string): Reply {
  if (reply.exit !== 0 && reply.exit !== 3) return reply;
  const what = `the group has not committed it (${why}): it is not in force`;
  return { exit: 1, message: `${what}; say it again, or ${DIRECT}` };
}

/** A command whose answer may be awaited. */
interface Asked {
  readonly command: Command;
  /** The id by which it was said in the group. */
  readonly order?: string;
  readonly resolve: (reply: Reply) => void;
}

/** It changes nothing, so there is nothing to be durable. */
function isLook(command: Command | undefined): boolean {
  return command?.dryRun === true;
}

/** Entries that are an operator's own words, where a command made them. */
const isWord: ReadonlySet<EntryKind> = new Set([
  'ack',
  'adopt',
  'approval',
  'drain',
  'drill',
  'freeze',
  'pin',
  'prepare',
  'undrain',
  'unfreeze',
  'unpin',
]);

/** What it tells of is taken back where it cannot be committed. */
function isTakenBack({ kind }: Notice): boolean {
  return kind === 'switch' || kind === 'drill';
}

function notCommitted(reply: Reply): Reply {
  if (reply.exit !== 0) return reply;
  const message =
    'the store cannot commit: a switch was not made (use `detour switch --direct`), and anything ' +
    'else holds only until a restart, unless the store works again before it';
  return { exit: 1, message };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
