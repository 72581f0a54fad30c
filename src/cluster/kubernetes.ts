// Who acts, and what all share, by the API of the Kubernetes cluster that the replicas run in: a
// Lease elects, one Secret or ConfigMap holds the documents. It is for restarts and upgrades inside
// one cluster, not for the day that cluster's cloud dies.
//
// Two can never both commit. A commit is a write of the documents' object that Kubernetes takes
// only over the very version (`resourceVersion`) that the writer read, and it is sent only over a
// head that bears the writer's own term. Whoever takes the Lease gets a term that nobody had (base
// + its transitions, which each taking raises by one, compared and set), and acts only after it has
// written a head of that term, which it does only over a head of a lower one. From then on the
// version that the one before had read stands no more: his next write is a conflict, he reads a
// head of a higher term, and is deposed. Before that, what he commits is read by the successor,
// whose own head goes over it. This rests on no clock. Clocks only bound how long he believes that
// he may act: from when his last renewal that is known to have been taken was sent, less a margin,
// on clocks that notice a suspension; while another takes the Lease only after it saw no renewal
// for as long as it lasts, by its own monotonic clock, from when it saw the last one. A Lease that
// was made anew has another uid, documents that were put back have a lower number or term: then
// nobody acts until a person says so.
//
// It must never act on a group in doubt, nor update an object blindly.

import { MARKER_NUMBER_MAX } from '../core/marker.ts';
import type { Clock, GroupWord, LeaseEvent, Shared } from '../ports.ts';
import type { GroupCoordinator, GroupHead } from './etcd.ts';
import type { KubeAnswer, KubeApi, KubeKind, KubeObject } from './kube-api.ts';
import { Documents } from './kube-documents.ts';
import { Seat } from './kube-lease.ts';
import { type KubeMemory, Office } from './kube-office.ts';
import type { Seal } from './sealed.ts';
import type { Place } from './shelf.ts';

interface KubernetesOptions {
  readonly api: KubeApi;
  readonly clock: Clock;
  /** Milliseconds that have passed since some moment, those while the machine slept included. */
  readonly elapsed: () => number;
  readonly replica: string;
  /** The Lease's name. */
  readonly lease: string;
  readonly documents: { readonly kind: Place; readonly name: string };
  /** Of the lease; whole seconds. */
  readonly ttlMs: number;
  /** The one to use now: keys are rotated while it runs. */
  readonly seal: () => Seal;
  readonly memory: { load(): KubeMemory | null; save(memory: KubeMemory): void };
  /** A random id. */
  readonly id: () => string;
  /** Something is wrong that stops nobody. */
  readonly trouble: (sentence: string) => void;
}

const CURE = 'apply deploy/kubernetes/overlays/lease (or the chart) again, with its Role';
/** After a renewal that failed, and where the Lease is free. */
const SOON_MS = 300;
/** Between two rounds, at least. */
const LEAST_MS = 50;
/** Where there is no Lease. */
const MISSING_MS = 1000;
const WATCH_AGAIN_MS = 2000;
/** The documents are read so often, whatever a watch tells. */
const READ_MS = 30_000;
const RELEASE_MS = 3000;

/** Tells nothing before `start`. */
export function createKubernetesCoordinator(options: KubernetesOptions): GroupCoordinator {
  return new KubernetesCoordinator(options);
}

class KubernetesCoordinator implements GroupCoordinator {
  readonly shared: Shared;
  readonly #options: KubernetesOptions;
  readonly #seat: Seat;
  readonly #documents: Documents;
  readonly #office: Office;
  #tell: (event: LeaseEvent) => void = () => {};
  #state: 'new' | 'started' | 'closed' = 'new';
  /** Under which it may act; null: it may not. */
  #term: number | null = null;
  #claiming = false;
  #refreshing: Promise<void> | null = null;
  /** Engine time at which the documents were last asked for. */
  #readAt = 0;
  /** After a hand-over, others go first. */
  #restUntil = 0;
  #last: Promise<unknown> = Promise.resolve();
  #cancelRound = () => {};
  /** Engine time of the next round; null: none is waited for. */
  #roundAt: number | null = null;
  #cancelLapse = () => {};
  /** What ends each watch that runs. */
  readonly #watches = new Map<KubeKind, () => void>();
  /** Engine time before which none is begun again. */
  readonly #watchAt = new Map<KubeKind, number>();
  #silent: { readonly since: number; readonly why: string } | null = null;
  #refused: { readonly verb: string; readonly said: string; readonly sentence: string } | null =
    null;
  /** The API has said that there is no Lease. */
  #isGone = false;
  #word = 'null';
  #who: { readonly replica: string | null; readonly term: number } = { replica: null, term: 0 };

  constructor(options: KubernetesOptions) {
    this.#options = options;
    const { replica, ttlMs, api, clock, elapsed, seal, documents, memory, id, trouble } = options;
    // Another at each start: two processes of one name are two.
    const identity = `${replica}_${id()}`;
    this.#seat = new Seat({ name: options.lease, identity, ttlMs, api, clock, elapsed });
    const { kind: place, name } = documents;
    const changed = (isLive: boolean) => this.#changed(isLive);
    const known = memory.load();
    this.#documents = new Documents({ place, name, api, clock, seal, replica, known, changed });
    this.#office = new Office({
      ...{ replica, clock, memory, id, trouble, seal, documents: this.#documents },
      tell: (event) => this.#tell(event),
      term: () => this.#term,
      until: () => this.#seat.until(),
      lease: () => this.#lease(),
      giveUp: (why) => this.#giveUp(why),
      idle: () => this.#groupWord()?.sentence ?? null,
    });
    this.shared = this.#office;
  }

  start(tell: (event: LeaseEvent) => void): void {
    if (this.#state !== 'new') throw new Error(`the coordinator is already ${this.#state}`);
    this.#state = 'started';
    this.#tell = tell;
    queueMicrotask(() => {
      if (this.#state !== 'started') return;
      tell({ kind: 'lost', why: 'competing for the lease' });
      this.#goOn(0);
    });
  }

  actsUntil(): number {
    return this.#term === null || this.#state !== 'started' ? 0 : this.#seat.until();
  }

  async yield(): Promise<void> {
    const { clock, ttlMs } = this.#options;
    this.#restUntil = clock.now() + ttlMs / 2 + SOON_MS;
    this.#seat.forget();
    this.#lose('handed over');
    await this.#giveBack();
    this.#goOn(SOON_MS);
  }

  get head(): GroupHead {
    const { number, term } = this.#documents.known;
    return { head: number, term };
  }

  highest({ head, term }: GroupHead, replica: string): void {
    if (!Number.isSafeInteger(head) || Math.max(head, term) > MARKER_NUMBER_MAX) return;
    if (this.#documents.hear({ number: head, term }, replica)) this.#safely(this.#refreshSoon());
  }

  close(): void {
    if (this.#state === 'closed') return;
    const wasStarted = this.#state === 'started';
    this.#state = 'closed';
    this.#tell = () => {};
    this.#term = null;
    this.#seat.forget();
    this.#cancelRound();
    this.#cancelLapse();
    this.#unwatch();
    this.#office.close();
    const end = () => this.#options.api.close();
    if (wasStarted) void this.#giveBack().then(end);
    else end();
  }

  // -------------------------------------------------------------- who acts

  /** The next round, so many milliseconds from now at most. */
  #goOn(ms: number): void {
    if (this.#state !== 'started') return;
    const { clock } = this.#options;
    const at = clock.now() + ms;
    if (this.#roundAt !== null && this.#roundAt <= at) return;
    this.#cancelRound();
    this.#roundAt = at;
    this.#cancelRound = clock.after(ms, () => {
      this.#roundAt = null;
      const begunAt = clock.now();
      const round = this.#inTurn(() => this.#round());
      this.#safely(
        round.then((next) => this.#goOn(Math.max(LEAST_MS, next - clock.now() + begunAt))),
      );
    });
  }

  /** A fault of our own: whoever does not know what it does must not act. */
  #safely(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#options.trouble(`the coordinator: ${text}`);
      this.#giveUp('a fault in Detour itself');
      this.#goOn(this.#options.ttlMs);
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(work);
    this.#last = mine.catch(() => {});
    return mine;
  }

  /** One look at the Lease, and what follows from it. Answers when to look again. */
  async #round(): Promise<number> {
    const { ttlMs } = this.#options;
    if (this.#state !== 'started') return ttlMs;
    this.#lapsed();
    if (this.#seat.holding !== null) return this.#renew();
    // Where a watch has just shown that nobody holds it, there is nothing to look at.
    if (!this.#mayTake()) this.#heard(await this.#seat.look(), 'get');
    this.#documents.judge(this.#seat.sight);
    if (!this.#isFollowed()) await this.#refreshSoon();
    if (this.#seat.sight === null || this.#documents.isMissing) await this.#make();
    await this.#doubt();
    this.#follow();
    if (this.#mayTake()) await this.#take();
    this.#tellWord();
    return this.#nextMs();
  }

  /** Whether each change of the documents is told of. */
  #isFollowed(): boolean {
    const { clock, documents } = this.#options;
    // A connection that is dead may look like one on which nothing happens.
    const isFresh = clock.now() - this.#readAt < READ_MS;
    return isFresh && this.#documents.opened !== null && this.#watches.has(documents.kind);
  }

  #mayTake(): boolean {
    if (this.#seat.holding !== null) return false;
    const now = this.#options.clock.now();
    const freeAt = this.#seat.freeAt();
    const isFree = freeAt !== null && now >= freeAt && now >= this.#restUntil;
    return isFree && this.#documents.opened !== null && this.#state === 'started';
  }

  #nextMs(): number {
    const { clock, ttlMs } = this.#options;
    const third = Math.floor(ttlMs / 3);
    if (this.#seat.holding !== null) return third;
    if (this.#seat.sight === null) return Math.min(third, MISSING_MS);
    const freeAt = Math.max(this.#seat.freeAt() ?? 0, this.#restUntil);
    const waitMs = freeAt - clock.now();
    if (waitMs > 0) return Math.min(third, waitMs);
    return this.#documents.opened === null ? third : SOON_MS;
  }

  async #take(): Promise<void> {
    const answer = await this.#seat.take();
    this.#heard(answer, 'update');
    // Another was quicker, or the reply was lost: what stands there says which.
    if (!answer.ok) this.#heard(await this.#seat.look(), 'get');
    this.#documents.judge(this.#seat.sight);
    if (this.#seat.holding !== null) this.#claimSoon();
  }

  async #renew(): Promise<number> {
    const before = this.#seat.holding!;
    const answer = await this.#seat.renew(this.#term !== null);
    this.#heard(answer, 'update');
    const isUnclear = !answer.ok && answer.word !== 'unavailable' && answer.word !== 'refused';
    if (isUnclear) this.#heard(await this.#seat.look(), 'get');
    this.#documents.judge(this.#seat.sight);
    this.#lapsed();
    const { holding } = this.#seat;
    if (holding?.transitions !== before.transitions) this.#lose(this.#whyLost());
    else if (this.#term === null) this.#claimSoon();
    else this.#arm();
    this.#office.beat();
    // Not waited for: nothing of the documents may hold up the next renewal.
    if (!this.#isFollowed()) this.#safely(this.#refreshSoon());
    this.#follow();
    this.#tellWord();
    return answer.ok ? this.#nextMs() : SOON_MS;
  }

  #refreshSoon(): Promise<void> {
    this.#refreshing ??= this.#documents.refresh().finally(() => {
      this.#refreshing = null;
      this.#readAt = this.#options.clock.now();
    });
    return this.#refreshing;
  }

  #whyLost(): string {
    const { sight } = this.#seat;
    if (sight === null) return 'the Lease is gone';
    return sight.holder === '' ? 'the Lease was given back' : `${sight.holder} holds the Lease`;
  }

  /** The first Lease and the first documents ever are made, where that is allowed. */
  async #make(): Promise<void> {
    if (this.#silent !== null || this.#documents.problem !== null) return;
    if (this.#documents.isMissing) {
      const made = await this.#documents.create();
      if (!made.ok) await this.#documents.refresh();
    }
    const isNew = this.#documents.opened?.shelf === null;
    if (!isNew || this.#seat.sight !== null) return;
    const made = await this.#seat.create();
    this.#heard(made, 'create');
    // Another was quicker.
    if (!made.ok && made.word === 'conflict') this.#heard(await this.#seat.look(), 'get');
  }

  /** Others may know less: they are let know that nobody may act. */
  async #doubt(): Promise<void> {
    const doubt = this.#documents.doubt();
    if (doubt !== null) await this.#documents.raise(doubt);
  }

  /** Rule 30: the right to act ends by itself. */
  #lapsed(): void {
    if (this.#seat.holding === null || this.#seat.until() > this.#options.clock.now()) return;
    this.#seat.forget();
    this.#lose('the lease ran out before it was renewed');
  }

  #arm(): void {
    this.#cancelLapse();
    const { clock } = this.#options;
    const leftMs = this.#seat.until() - clock.now();
    this.#cancelLapse = clock.after(Math.max(0, leftMs) + 1, () => {
      this.#lapsed();
      if (this.#seat.holding !== null) this.#arm();
    });
  }

  #lose(why: string): void {
    this.#cancelLapse();
    if (this.#term === null) return;
    this.#term = null;
    // It may have come unheard: what a watch did not tell then, it may never tell.
    this.#unwatch();
    this.#tell({ kind: 'lost', why });
    this.#office.lost();
  }

  /** The right to act is given up for good, and the Lease with it. */
  #giveUp(why: string): void {
    const held = this.#seat.holding !== null;
    this.#seat.forget();
    this.#lose(why);
    if (held) this.#safely(this.#inTurn(() => this.#seat.release()));
  }

  /** Resolves when others may take it, within a deadline. */
  #giveBack(): Promise<void> {
    const { clock } = this.#options;
    return new Promise((resolve) => {
      const cancel = clock.after(RELEASE_MS, resolve);
      void this.#inTurn(() => this.#seat.release()).then(() => {
        cancel();
        resolve();
      });
    });
  }

  // -------------------------------------------------------------- the head of a new term

  #claimSoon(): void {
    if (this.#claiming || this.#state !== 'started') return;
    this.#claiming = true;
    const claim = this.#claim().finally(() => {
      this.#claiming = false;
    });
    this.#safely(claim);
  }

  /** Renewals go on meanwhile. */
  async #claim(): Promise<void> {
    const taken = this.#seat.holding!;
    const isOurs = () => this.#seat.holding?.transitions === taken.transitions;
    const until = () => (isOurs() ? this.#seat.until() : 0);
    const claimed = await this.#office.claim(taken, until);
    if (this.#state !== 'started' || !isOurs()) return;
    if ('why' in claimed) {
      // Others may have more luck; else the next try is not at once.
      this.#restUntil = this.#options.clock.now() + this.#options.ttlMs / 3;
      return this.#giveUp(claimed.why);
    }
    if (this.#seat.until() <= this.#options.clock.now()) return this.#lapsed();
    this.#term = claimed.term;
    this.#arm();
    this.#office.held(claimed.term);
    // The Lease is to witness at once that there are documents.
    this.#goOn(0);
  }

  #lease(): { readonly uid: string; readonly transitions: number } | null {
    const { sight } = this.#seat;
    return sight === null ? null : { uid: sight.uid, transitions: sight.transitions };
  }

  // -------------------------------------------------------------- watching

  /** Begins the watches that do not run, from what was read. */
  #follow(): void {
    if (this.#state !== 'started') return;
    const { lease, documents, api, clock } = this.#options;
    const leaseVersion = this.#seat.sight?.object.metadata.resourceVersion ?? null;
    const places = [
      ['lease', lease, leaseVersion],
      [documents.kind, documents.name, this.#documents.resourceVersion],
    ] as const;
    for (const [kind, name, version] of places) {
      const isEarly = clock.now() < (this.#watchAt.get(kind) ?? 0);
      if (version === null || isEarly || this.#watches.has(kind)) continue;
      const cancel = api.watch(kind, name, version, (event) => {
        if (event.kind === 'ended') {
          this.#watches.delete(kind);
          this.#watchAt.set(kind, clock.now() + WATCH_AGAIN_MS);
        } else if (kind === 'lease')
          this.#leaseChanged(event.kind === 'gone' ? null : event.object);
        else if (event.kind === 'gone') this.#safely(this.#documents.refresh());
        else this.#safely(this.#documents.event(event.object));
      });
      this.#watches.set(kind, cancel);
    }
  }

  #unwatch(): void {
    for (const cancel of this.#watches.values()) cancel();
    this.#watches.clear();
  }

  #leaseChanged(object: KubeObject | null): void {
    if (this.#state !== 'started') return;
    const before = this.#seat.holding;
    const isKnown = object !== null && this.#seat.observeEvent(object);
    if (!isKnown) return this.#goOn(0);
    this.#silent = null;
    this.#documents.judge(this.#seat.sight);
    if (before !== null && this.#seat.holding?.transitions !== before.transitions) {
      this.#lose(this.#whyLost());
    }
    this.#tellWord();
    if (this.#mayTake()) this.#goOn(0);
  }

  #changed(isLive: boolean): void {
    if (this.#state !== 'started') return;
    const { problem } = this.#documents;
    if (problem !== null && this.#seat.holding !== null) this.#giveUp(problem.sentence);
    const head = this.#documents.opened?.shelf?.term;
    if (this.#term !== null && head !== undefined && head > this.#term) {
      this.#giveUp('a head of a higher term stands there');
    }
    this.#office.changed(isLive);
    this.#tellWord();
  }

  // -------------------------------------------------------------- how the group is

  /** Notes what an answer about the Lease says of the API itself. */
  #heard(answer: KubeAnswer, verb: 'get' | 'update' | 'create'): void {
    const { clock, api, lease } = this.#options;
    if (!answer.ok && (answer.word === 'unavailable' || answer.word === 'uncertain')) {
      const since = this.#silent?.since ?? clock.now();
      this.#silent = { since, why: answer.detail };
      // Where no call gets through, nothing of a watch did either.
      return this.#unwatch();
    }
    this.#silent = null;
    this.#isGone = !answer.ok && (answer.word === 'missing' || (this.#isGone && verb === 'create'));
    const isRefused = !answer.ok && (answer.word === 'refused' || answer.word === 'invalid');
    const said = this.#seat.sight?.said ?? '';
    if (isRefused) {
      const what = `the Kubernetes API (${api.place}) does not let this replica ${verb}`;
      this.#refused = {
        verb,
        said,
        sentence: `${what} the Lease ${lease}: ${answer.detail}: ${CURE}`,
      };
      return;
    }
    // That one may read it says nothing of writing, unless another has written since.
    const refused = this.#refused;
    if (refused?.verb === verb || refused?.said !== said) this.#refused = null;
  }

  #groupWord(): { readonly word: GroupWord; readonly sentence: string } | null {
    const { ttlMs, clock, api, documents, lease } = this.#options;
    const { problem, fault } = this.#documents;
    if (problem !== null) return problem;
    if (this.#isGone && this.#documents.opened?.shelf) {
      const what = `the Lease ${lease} is gone (${api.place})`;
      const cure = 'apply deploy/kubernetes/overlays/lease (or the chart) again';
      const then = 'then `detour ack --restored`';
      return { word: 'restored', sentence: `${what}; nobody acts: ${cure}, ${then}` };
    }
    if (this.#refused !== null) return { word: 'refused', sentence: this.#refused.sentence };
    const isRefused = fault !== null && ['refused', 'invalid', 'missing'].includes(fault.word);
    if (isRefused) {
      const what = `the group's documents (${documents.kind} ${documents.name})`;
      return { word: 'refused', sentence: `${what}: ${fault.detail}: ${CURE}` };
    }
    if (this.#office.refused !== null) return this.#office.refused;
    const silent = this.#silent;
    if (silent === null || clock.now() - silent.since < ttlMs / 3) return null;
    return {
      word: 'no-quorum',
      sentence: `the Kubernetes API (${api.place}) does not answer: ${silent.why}`,
    };
  }

  /** Who holds the Lease, as it says: shown, and nothing rests on it. */
  #tellWho(): void {
    const { sight } = this.#seat;
    const replica = sight === null || sight.holder === '' ? null : replicaOf(sight.holder);
    const base = this.#documents.opened?.shelf?.base ?? 0;
    const term = replica === null ? 0 : base + sight!.transitions;
    if (this.#who.replica === replica && this.#who.term === term) return;
    this.#who = { replica, term };
    this.#tell({ kind: 'acts', replica, term });
  }

  #tellWord(): void {
    if (this.#state === 'started') this.#tellWho();
    const found = this.#groupWord();
    const text = JSON.stringify(found);
    if (text === this.#word || this.#state !== 'started') return;
    this.#word = text;
    this.#tell({ kind: 'group', word: found?.word ?? null, sentence: found?.sentence ?? 'well' });
  }
}

/** The name of the replica that an identity is a life of. */
function replicaOf(identity: string): string {
  const end = identity.lastIndexOf('_');
  return (end > 0 ? identity.slice(0, end) : identity).slice(0, 64);
}
