// One replica: a process with the real controller in it, on simulated ports. It can be crashed,
// stopped, started again, paused; its disk stays. Everything it does passes the checkers' eyes.

import { type Keyring, proving, signing } from '../../src/cluster/keyring.ts';
import { type Adapters, Controller } from '../../src/controller.ts';
import type {
  Answer,
  ChainAnswer,
  Change,
  CheckConfig,
  CheckId,
  Command,
  CoreConfig,
  Entry,
  Name,
  Observation,
  Reply,
  ServerAnswer,
} from '../../src/core/model.ts';
import type { End } from '../../src/core/state.ts';
import type { StatusView } from '../../src/core/view.ts';
import type { ProbeResult } from '../../src/kit/extend.ts';
import type {
  Commit,
  Coordinator,
  Eyes,
  Hooks,
  Observer,
  Prober,
  Store,
  Verifier,
} from '../../src/ports.ts';
import { type MemoryDisk, newMemoryDisk } from '../parts/memory-store.ts';
import type { Chance } from './chance.ts';
import { Process, type Timeline } from './clock.ts';
import { type Fate, fateOf, type Truth } from './faults.ts';
import { type CommitFate, openSimStore } from './store.ts';
import { SimAccount, type SimVendor, type Wire } from './vendors.ts';

/** So long a controller waits for the answer about a chain. */
const CHAIN_MS = 5_000;

/** What became of one reload, and what was seen before it. */
export interface Reload {
  readonly was: CoreConfig;
  readonly is: CoreConfig;
  readonly before: StatusView;
  readonly problems: readonly string[];
}

/** Whoever watches what replicas do, and says where that breaks a rule. */
export interface Watcher {
  fail(rule: string, what: string): void;
  started(r: Replica): void;
  resumed(r: Replica): void;
  died(r: Replica): void;
  lost(r: Replica): void;
  paused(r: Replica, ms: number): void;
  reloading(r: Replica): void;
  reloaded(r: Replica, reload: Reload): void;
  commanded(r: Replica, command: Command, id: string | null): void;
  replied(r: Replica, command: Command, reply: Reply, id: string | null): void;
  committed(r: Replica, commit: Commit): void;
  unstored(r: Replica, entry: Entry): void;
  noted(r: Replica, could: boolean, words: readonly string[]): void;
  probing(r: Replica, check: CheckId, path: string, by: number): void;
  observed(r: Replica, check: CheckId, path: string, o: Observation): void;
  /** `null`: nobody has answered for as long as it is waited for. */
  chained(r: Replica, name: Name, answer: ChainAnswer | null): void;
  unheard(r: Replica, vendor: string): void;
  began(
    r: Replica,
    vendor: SimVendor,
    op: 'read' | 'write',
    names: readonly Name[],
    changes: readonly Change[],
  ): void;
  ended(
    r: Replica,
    vendor: SimVendor,
    op: 'read' | 'write',
    names: readonly Name[],
    answers: readonly Answer<unknown>[],
    changes: readonly Change[],
  ): void;
}

/** What there is to tell, as the controller says. */
export type Told = (since: number | null) => ReturnType<Controller['telling']>;

/** What all replicas share. */
export interface Shared {
  readonly timeline: Timeline;
  readonly chance: Chance;
  readonly wire: Wire;
  readonly config: CoreConfig;
  readonly truth: Truth;
  readonly vendors: ReadonlyMap<string, SimVendor>;
  readonly checkers: Watcher;
  /** How this life competes for the right to act. */
  readonly coordinator: (replica: Replica, start: number, store: Store) => Coordinator;
  /** What this life tells the others and hears of them; absent: it is alone in that. */
  readonly eyes?: (replica: Replica, told: Told) => Eyes;
  /** What stands in the file as one replica reads it. */
  readonly fileOf: (config: CoreConfig, replica: string) => CoreConfig;
  /** Whether nothing passes between a replica and a vendor or an origin. */
  readonly isCut: (replica: string, far: string) => boolean;
  readonly figures: { crashes: number; probes: number };
  /** What is run around its switches; absent: nothing is. */
  readonly hooks?: Hooks;
  /** Null: markers are not signed. */
  readonly keys: Keyring | null;
  /** Broken on purpose: the store loses an entry now and then. */
  readonly lossyStore: boolean;
  /** Broken on purpose: what is noted beside the store is gone with the process. */
  readonly forgetfulStore: boolean;
}

export class Replica {
  readonly name: string;
  readonly process: Process;
  disk: MemoryDisk = newMemoryDisk();
  readonly store: {
    refuses: boolean;
    forgets: boolean;
    dies: 'before' | 'after' | null;
    /** It has refused something, and taken nothing since. */
    owed: boolean;
  } = { refuses: false, forgets: false, dies: null, owed: false };
  readonly lease = { cutOff: false };
  /** How long it stands still before its next write is sent; 0: it does not. */
  readonly hand = { haltsMs: 0 };
  readonly notices = { fail: false };
  controller: Controller | null = null;
  /** What is in force here, and what stands in its file. */
  config: CoreConfig;
  #file: CoreConfig;
  /** Entries of the journal that the controller was told are durable, over all its lives. */
  journalled = 0;
  /** Faults are over: whatever dies now comes back at once. */
  isQuiet = false;
  readonly #s: Shared;
  #stopping = false;
  #starts = 0;
  /** Whoever is told of held connections that end. */
  #heard: (ends: readonly End[]) => void = () => {};

  constructor(name: string, shared: Shared) {
    this.name = name;
    this.#s = shared;
    this.config = shared.fileOf(shared.config, name);
    this.#file = this.config;
    this.process = new Process(name, shared.timeline, shared.chance);
  }

  get isLive(): boolean {
    return this.controller !== null && this.process.alive && !this.#stopping;
  }

  start(): void {
    const { process } = this;
    process.boot(this.disk.at);
    this.#stopping = false;
    const store = this.#openStore();
    this.store.owed = false;
    const term = ++this.#starts;
    const eyes = this.#s.eyes?.(this, (since) => this.controller?.telling(since) ?? null);
    const world = {
      clock: process.clock(),
      store,
      coordinator: this.#s.coordinator(this, term, store),
      ...(eyes === undefined ? {} : { eyes }),
      observers: [this.#observer()],
      seed: this.#s.chance.words(),
      version: 'sim',
    };
    this.config = this.#file;
    this.#s.checkers.started(this);
    this.controller = new Controller(this.config, this.#adapters(), world);
    this.controller.start();
    this.#s.checkers.resumed(this);
    this.#s.timeline.stirred = true;
  }

  crash(): void {
    if (!this.process.alive) return;
    this.#s.figures.crashes++;
    this.#gone();
  }

  /** Of the connections that it holds, some end. */
  endHeld(isEnded: (check: CheckConfig, path: string) => boolean): void {
    if (!this.isLive) return;
    const ends = Object.values(this.config.checks).flatMap((check) =>
      check.paths.flatMap((path) => (isEnded(check, path) ? { check: check.id, path } : [])),
    );
    if (ends.length > 0) this.#heard(ends);
  }

  /** Its disk is gone, and an empty one is put in its place. */
  loseStore(): void {
    this.crash();
    this.disk = newMemoryDisk();
    this.journalled = 0;
    this.#s.checkers.lost(this);
  }

  /** SIGTERM: it ends in good order, and is started again. */
  stop(): void {
    if (!this.isLive || this.process.isPaused) return;
    const { life } = this.process;
    this.#stopping = true;
    this.#s.timeline.stirred = true;
    void this.controller!.stop().then(() => {
      if (life === this.process.life) this.#gone();
    });
  }

  pause(ms: number, asleep: boolean): void {
    if (!this.isLive) return;
    this.#s.checkers.paused(this, ms);
    this.process.pause(ms, asleep);
  }

  jump(ms: number): void {
    this.process.wallOffMs += ms;
  }

  reload(config: CoreConfig): void {
    this.#file = this.#s.fileOf(config, this.name);
    this.#readFile();
  }

  #readFile(): void {
    const { controller } = this;
    const [was, is] = [this.config, this.#file];
    if (!this.isLive || controller === null || was === is) return;
    if (this.process.isPaused) return this.#s.timeline.later(500, () => this.#readFile());
    this.#s.timeline.stirred = true;
    const before = controller.status();
    // What the reload does in its own step it does by the new one.
    this.config = is;
    this.#s.checkers.reloading(this);
    const problems = controller.reload(is, this.#adapters());
    if (problems.length > 0) this.config = was;
    this.#s.checkers.reloaded(this, { was, is, before, problems });
  }

  /** In a group an order bears an id. */
  command(command: Command, id: string | null = null): void {
    const { controller } = this;
    if (!this.isLive || controller === null || this.process.isPaused) return;
    const { life } = this.process;
    this.#s.checkers.commanded(this, command, id);
    this.#s.timeline.stirred = true;
    void controller.command(command, id).then((reply) => {
      if (life === this.process.life) this.#s.checkers.replied(this, command, reply, id);
    });
  }

  #gone(): void {
    if (this.#s.forgetfulStore) this.disk.unkept = [];
    this.process.die();
    this.controller = null;
    this.#s.checkers.died(this);
    const downMs = this.isQuiet ? 500 : this.#s.chance.spread(50, 120_000);
    this.#s.timeline.later(downMs, () => this.start());
  }

  // -------------------------------------------------------------- its ports

  #openStore(): Store {
    const { life } = this.process;
    const isMine = () => life === this.process.life;
    const fate = (): CommitFate => {
      if (!isMine()) return 'refused';
      const { dies, refuses } = this.store;
      if (dies !== null) {
        this.store.dies = null;
        return dies === 'before' ? 'dies-before' : 'dies-after';
      }
      if (this.#s.lossyStore && this.#s.chance.is(0.02)) return 'loses';
      this.store.owed = refuses;
      return refuses ? 'refused' : 'kept';
    };
    return openSimStore(this.disk, {
      fate,
      die: () => this.crash(),
      kept: (commit) => this.#s.checkers.committed(this, commit),
      notes: (words) => {
        const can = isMine() && !this.store.forgets;
        if (isMine()) this.#s.checkers.noted(this, can, words);
        return can;
      },
    });
  }

  #observer(): Observer {
    const { life } = this.process;
    return {
      probed: (check, path, o) => {
        if (life === this.process.life) this.#s.checkers.observed(this, check, path, o);
      },
      called: (vendor, _, result) => {
        const isMine = life === this.process.life;
        if (isMine && result === 'abandoned') this.#s.checkers.unheard(this, vendor);
      },
      journalled: () => {
        this.journalled++;
      },
      unstored: (entry) => this.#s.checkers.unstored(this, entry),
      trouble: (what, detail) => {
        const isWorld = what === 'store' || what === 'notify' || what === 'hook';
        if (!isWorld) this.#s.checkers.fail('no-internal-fault', `${what}: ${detail}`);
      },
    };
  }

  #adapters(): Adapters {
    const { checkers } = this.#s;
    const { life } = this.process;
    const { keys } = this.#s;
    const { records } = this.#s.config;
    const accounts = [...this.#s.vendors].map(([name, vendor]) => {
      const account = new SimAccount(vendor, this.#seat(), {
        callTimeoutMs: 2000,
        began: (op, names, changes) => {
          this.#s.timeline.stirred = true;
          if (life === this.process.life) checkers.began(this, vendor, op, names, changes);
        },
        ended: (op, names, results, changes) => {
          if (life !== this.process.life) return;
          checkers.ended(this, vendor, op, names, results, changes);
        },
      });
      return [name, keys === null ? account : signing(account, () => keys, records)] as const;
    });
    const providers = Object.fromEntries(accounts);
    const asking = this.#verifier();
    const verifier = keys === null ? asking : proving(asking, () => keys, records);
    const notifier = {
      notify: () =>
        this.notices.fail ? Promise.reject(new Error('nobody listens')) : Promise.resolve(),
    };
    const { hooks } = this.#s;
    const prober = this.#prober();
    return { prober, providers, verifier, notifier, ...(hooks === undefined ? {} : { hooks }) };
  }

  /** The process in this life only: what an earlier one had begun must not go on in a later one. */
  #seat() {
    const { process } = this;
    const { life } = process;
    return {
      name: this.name,
      get alive() {
        return process.alive && process.life === life;
      },
      halts: () => {
        const { haltsMs } = this.hand;
        this.hand.haltsMs = 0;
        if (haltsMs > 0) this.pause(haltsMs, false);
        return haltsMs > 0;
      },
      isCut: (vendor: string) => this.#s.isCut(this.name, vendor),
      io: (ms: number, run: () => void) => {
        // The reply may come in a later life, which knows nothing of the question.
        if (process.life === life) process.io(ms, run);
      },
      after: (ms: number, then: () => void) => process.after(ms, then),
    };
  }

  #prober(): Prober {
    const { truth, chance, timeline, figures, checkers } = this.#s;
    const { life } = this.process;
    return {
      close: () => {},
      heed: (tell) => {
        this.#heard = (ends) => {
          if (life === this.process.life) this.process.io(1, () => tell(ends));
        };
      },
      probe: (id: CheckId, path: string): Promise<ProbeResult> => {
        timeline.stirred = true;
        return new Promise((resolve) => {
          if (!this.process.alive) return;
          figures.probes++;
          const check = this.config.checks[id]!;
          const fate = fateOf(truth, chance, check, `${this.name}/${path}`, timeline.now);
          const isCut = check.origin !== null && this.#s.isCut(this.name, check.origin);
          const hangs = isCut || fate.outcome === 'hang' || fate.ms > check.timeoutMs;
          const dueAt = timeline.now + check.timeoutMs;
          checkers.probing(this, id, path, 1);
          this.process.io(hangs ? check.timeoutMs : fate.ms, () => {
            checkers.probing(this, id, path, -1);
            const late = hangs || this.process.isLate(dueAt);
            resolve(late ? result('fail', 'timeout') : result(fate.outcome, fate.outcome, fate));
          });
        });
      },
    };
  }

  #verifier(): Verifier {
    const { chance, timeline, truth, vendors } = this.#s;
    return {
      close: () => {},
      ask: (provider, record, { marker }) => {
        timeline.stirred = true;
        return new Promise((resolve) => {
          if (!this.process.alive) return;
          const vendor = vendors.get(provider)!;
          if (vendor.hanging > 0) return;
          const isSilent = vendor.silent > 0 || this.#s.isCut(this.name, provider);
          const ms = isSilent ? 2000 : chance.spread(2, 50);
          this.process.io(ms, () => resolve(answers(vendor, record, marker, isSilent)));
        });
      },
      chain: (name) => {
        timeline.stirred = true;
        return new Promise((resolve) => {
          if (!this.process.alive) return;
          const how = truth.chains.top(name);
          if (how === 'silent') {
            this.process.after(CHAIN_MS, () => this.#s.checkers.chained(this, name, null));
            return;
          }
          const answer: ChainAnswer =
            how === 'broken'
              ? { kind: 'broken', at: name, detail: 'NXDOMAIN' }
              : how === 'unknown'
                ? { kind: 'unknown', detail: 'no server answered' }
                : { kind: 'answered', chain: [name] };
          this.process.io(chance.spread(2, 200), () => {
            this.#s.checkers.chained(this, name, answer);
            resolve(answer);
          });
        });
      },
    };
  }
}

function result(
  outcome: Fate['outcome'],
  reason: string,
  { retryAfterMs }: Partial<Fate> = {},
): ProbeResult {
  const said = outcome === 'hang' ? 'fail' : outcome;
  const limited = retryAfterMs === undefined ? {} : { retryAfterMs };
  return { outcome: said, reason, detail: reason, phases: {}, ...limited };
}

function answers(
  vendor: SimVendor,
  record: Name,
  marker: boolean,
  isSilent: boolean,
): readonly ServerAnswer[] {
  return vendor.servers.map((server): ServerAnswer => {
    if (isSilent) {
      const answer = { kind: 'timeout', detail: 'no answer' } as const;
      return { server: server.name, answer, markers: null };
    }
    const stand = server.gives.get(record);
    const cname = stand?.cname ?? null;
    const answer: ServerAnswer['answer'] =
      cname === null
        ? { kind: 'nxdomain', detail: 'NXDOMAIN' }
        : { kind: 'cname', value: cname.value, ttl: cname.ttl };
    const markers = marker ? (stand?.texts ?? []).map((t) => t.value) : null;
    return { server: server.name, answer, markers };
  });
}
