// The dry drill: one origin is said to be down, and everything but the writing is done and timed,
// by a second engine beside the one that steers. It has the real probes and readings, a store of
// its own in memory, no notices, and providers that write nothing; its records are only observed,
// so it does not even want to. It must never touch the engine that steers, nor ask an origin more
// than there is room.

import type { Adapters, Controller, World } from '../controller.ts';
import type { CoreConfig, Entry, Json, Name } from '../core/model.ts';
import type { ProbeResult, Provider } from '../kit/extend.ts';
import type { Clock, Prober, Verifier } from '../ports.ts';
import { createMemoryStore } from './memory.ts';
import type { Outcome } from './outcome.ts';

export interface DryOptions {
  readonly origin: string;
  /** What each of its records is to do, as the engine that steers foresees it; null: it stays. */
  readonly expected: Readonly<Record<Name, string | null>>;
  readonly config: CoreConfig;
  /** The paths by which this process asks. */
  readonly ownPaths: readonly string[];
  readonly adapters: Adapters;
  readonly clock: Clock;
  /** What the engine that steers has in force. */
  readonly docs: Readonly<Record<string, Json>>;
  /** Makes the second engine, which holds its own lease. */
  readonly engine: (
    config: CoreConfig,
    adapters: Adapters,
    world: Pick<World, 'clock' | 'store' | 'observers'>,
  ) => Controller;
}

const LOOK_MS = 50;
/** Records of which a result has a row. */
const ROWS_MOST = 100;
/** Origins of a cloud that are asked beside those to which records lead. */
const WITNESSES = 20;
/** The second engine is asked for all it has seen. */
const SETTLED_LOOK_MS = 500;
/** Beyond what settling and deciding may take by the configuration. */
const GRACE_MS = 30_000;
const MOST_MS = 600_000;

/** Ends within the times that the configuration implies, 10 minutes each at most; never rejects. */
export async function drillDry(options: DryOptions, signal: AbortSignal): Promise<Outcome> {
  const { origin, clock } = options;
  const walk = new Walk(options);
  const engine = options.engine(walk.config, walk.adapters(), {
    clock,
    store: createMemoryStore(options.docs, clock.now()),
    observers: [{ journalled: (entry) => walk.tell(entry) }],
  });
  engine.start();
  try {
    const isUp = () => isSettled(engine, walk.config);
    const settled = await until(clock, walk.settleMs, SETTLED_LOOK_MS, signal, isUp);
    if (signal.aborted) return brokenOff(walk, 'before it was begun', 'refused');
    if (!settled) {
      const sentence = 'not everything was seen to be up by the second engine: nothing was drilled';
      return { result: 'refused', ms: null, sentence, parts: null };
    }
    walk.declareDown();
    await until(clock, walk.decideMs, LOOK_MS, signal, () => walk.isOver());
    if (signal.aborted) return brokenOff(walk, 'the world was no longer as it was', 'broken-off');
    return walk.outcome();
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    const sentence = `${origin}: a fault in Detour itself: ${what}`;
    return { result: 'failed', ms: null, sentence, parts: null };
  } finally {
    await engine.stop();
  }
}

function brokenOff(walk: Walk, why: string, result: Outcome['result']): Outcome {
  return { result, ms: null, sentence: `broken off: ${why}`, parts: walk.parts() };
}

function isSettled(engine: Controller, { origins }: CoreConfig): boolean {
  const { records, origins: seen } = engine.status();
  const isReady = records.every(({ stay }) => !['reading', 'settling'].includes(stay.reason));
  const asked = seen.filter((o) => origins[o.name]!.checks.length > 0);
  return isReady && asked.every(({ health }) => health === 'up');
}

/** True once it holds, false past the time or the signal. */
async function until(
  clock: Clock,
  ms: number,
  everyMs: number,
  signal: AbortSignal,
  holds: () => boolean,
): Promise<boolean> {
  const endsAt = clock.now() + ms;
  while (!signal.aborted) {
    if (holds()) return true;
    if (clock.now() >= endsAt) return false;
    await new Promise<void>((resolve) => void clock.after(everyMs, resolve));
  }
  return false;
}

interface Decided {
  readonly to: string | null;
  readonly ms: number;
}

/** One walk: what is asked of it, and what was seen on the way. */
class Walk {
  readonly config: CoreConfig;
  readonly settleMs: number;
  readonly decideMs: number;
  readonly #options: DryOptions;
  #downAt: number | null = null;
  #detectMs: number | null = null;
  #wrote = false;
  readonly #decided = new Map<Name, Decided>();
  readonly #chains = new Map<Name, string>();
  readonly #readMs = new Map<string, number>();

  constructor(options: DryOptions) {
    this.#options = options;
    this.config = rehearsal(options);
    const checks = Object.values(this.config.checks);
    const seeMs = Math.max(0, ...checks.map((c) => c.fall * (c.intervalMs + c.timeoutMs)));
    const waits = Object.values(this.config.records).map((r) => r.patienceMs);
    this.settleMs = Math.min(MOST_MS, 2 * seeMs + GRACE_MS);
    this.decideMs = Math.min(MOST_MS, 2 * seeMs + Math.max(0, ...waits) + GRACE_MS);
  }

  /** The real ones, but for what is written and what is said of the origin. */
  adapters(): Adapters {
    const { adapters } = this.#options;
    const providers = Object.entries(adapters.providers).map(([name, one]) => {
      return [name, this.#reader(one)] as const;
    });
    return {
      prober: this.#prober(adapters.prober),
      providers: Object.fromEntries(providers),
      verifier: this.#verifier(adapters.verifier),
      notifier: null,
    };
  }

  declareDown(): void {
    this.#downAt = this.#options.clock.now();
  }

  tell({ kind, record, data }: Entry): void {
    if (this.#downAt === null) return;
    const ms = this.#options.clock.now() - this.#downAt;
    const said = (data ?? {}) as Readonly<Record<string, Json>>;
    const { origin } = this.#options;
    if (kind === 'health' && said['origin'] === origin && said['health'] === 'down') {
      this.#detectMs ??= ms;
    }
    if (kind === 'would-switch' && record !== null && !this.#decided.has(record)) {
      this.#decided.set(record, { to: String(said['to']), ms });
    }
  }

  /** It was seen, and whatever is to move has moved. */
  isOver(): boolean {
    const moving = Object.entries(this.#options.expected).filter(([, to]) => to !== null);
    return this.#detectMs !== null && moving.every(([record]) => this.#decided.has(record));
  }

  outcome(): Outcome {
    const { origin, expected } = this.#options;
    const parts = this.parts();
    if (this.#wrote) {
      const sentence = `${origin}: the second engine wanted to write, which is a fault in Detour itself`;
      return { result: 'failed', ms: null, sentence, parts };
    }
    if (this.#detectMs === null) {
      const sentence = `${origin} was not seen to be down within ${this.decideMs / 1000} s`;
      return { result: 'failed', ms: null, sentence, parts };
    }
    const wrong = Object.entries(expected).flatMap(([record, to]) => {
      const went = this.#decided.get(record)?.to ?? null;
      return went === to ? [] : [`${record} ${does(went)}, expected that it ${does(to)}`];
    });
    const ms = Math.max(this.#detectMs, ...[...this.#decided.values()].map((one) => one.ms));
    const seen = `${origin} seen down in ${this.#detectMs} ms`;
    if (wrong.length > 0) {
      return { result: 'failed', ms, sentence: `${seen}; ${wrong.slice(0, 5).join('; ')}`, parts };
    }
    const count = Object.keys(expected).length;
    const what = `${count} ${count === 1 ? 'record' : 'records'} decided in ${ms} ms`;
    return { result: 'passed', ms, sentence: `${seen}, ${what}`, parts };
  }

  /** A row a record, of the first of them. */
  parts(): Json {
    const rows = Object.entries(this.#options.expected).slice(0, ROWS_MOST);
    return rows.map(([record, to]) => {
      const decided = this.#decided.get(record);
      const { targets, publish } = this.config.records[record]!;
      const cname = targets.find((t) => t.origin === decided?.to)?.cname;
      return {
        record,
        detectMs: this.#detectMs,
        decidedMs: decided?.ms ?? null,
        to: decided?.to ?? null,
        expected: to,
        chain: cname === undefined ? null : (this.#chains.get(cname) ?? 'not asked'),
        vendors: publish.map(({ provider }) => {
          return { provider, readMs: this.#readMs.get(provider) ?? null };
        }),
      };
    });
  }

  #prober(inner: Prober): Prober {
    const own = new Set(this.config.origins[this.#options.origin]!.checks);
    return {
      probe: (check, path, signal) => {
        const isSaid = this.#downAt !== null && own.has(check);
        // Nobody is asked: what comes of it is said.
        return isSaid ? Promise.resolve(said) : inner.probe(check, path, signal);
      },
      close() {},
    };
  }

  #verifier(inner: Verifier): Verifier {
    return {
      ask: (...asked) => inner.ask(...asked),
      chain: async (name, signal) => {
        const answer = await inner.chain(name, signal);
        this.#chains.set(name, answer.kind);
        return answer;
      },
      close() {},
    };
  }

  #reader(inner: Provider): Provider {
    const { clock } = this.#options;
    const before = inner.calls;
    return {
      name: inner.name,
      capabilities: inner.capabilities,
      get calls() {
        return inner.calls - before;
      },
      zone: (name, signal) => inner.zone(name, signal),
      read: async (names, signal) => {
        const beganAt = clock.now();
        const answers = await inner.read(names, signal);
        const isRead = Object.values(answers).every(({ kind }) => kind === 'answered');
        if (isRead) this.#readMs.set(inner.name, clock.now() - beganAt);
        return answers;
      },
      write: (changes) => {
        this.#wrote = true;
        const detail = 'this is a dry drill: nothing is written';
        const fault = { kind: 'rejected', detail } as const;
        const reach = { kind: 'record' } as const;
        return Promise.resolve(changes.map(() => ({ kind: 'fault', fault, reach }) as const));
      },
      preflight: () => Promise.resolve([]),
      close() {},
    };
  }
}

const said: ProbeResult = {
  ...{ outcome: 'fail', reason: 'drill', detail: 'said to be down by a drill' },
  phases: {},
};

function does(to: string | null): string {
  return to === null ? 'stays' : `goes to ${to}`;
}

/**
 * The origins that matter: where the records may go, and of each cloud some more, by which it is
 * diagnosed and paths are known to see.
 */
function around(core: CoreConfig, origin: string, records: readonly Name[]): ReadonlySet<string> {
  const targets = records.flatMap((name) => core.records[name]!.targets.map((t) => t.origin));
  const kept = new Set([origin, ...targets]);
  const more = new Map<string, number>();
  for (const { name, cloud } of Object.values(core.origins)) {
    const count = more.get(cloud) ?? 0;
    if (kept.has(name) || count >= WITNESSES) continue;
    more.set(cloud, count + 1);
    kept.add(name);
  }
  return kept;
}

/**
 * What the second engine is given: the records on the origin, only observed; what this process asks
 * itself; and of each origin's rate no more than the engine that steers leaves free while all is
 * well.
 */
function rehearsal({ config, origin, expected, ownPaths }: DryOptions): CoreConfig {
  const own = new Set(ownPaths);
  const { group: _group, ...core } = config;
  const kept = around(core, origin, Object.keys(expected));
  const paths = Object.entries(core.paths).filter(([name]) => own.has(name));
  const checks = Object.entries(core.checks).flatMap(([id, check]) => {
    const isAsked = check.origin === null || kept.has(check.origin);
    const by = isAsked ? check.paths.filter((path) => own.has(path)) : [];
    return by.length === 0 ? [] : [[id, { ...check, paths: by }] as const];
  });
  const known = new Map(checks);
  const isKnown = (id: string) => known.has(id);
  const origins = [...kept].map((name) => {
    const one = core.origins[name]!;
    const left = one.checks.filter(isKnown);
    const plain = left.reduce((sum, id) => {
      const { intervalMs, paths: by } = known.get(id)!;
      return sum + (1000 / intervalMs) * by.length;
    }, 0);
    const rest = Math.max(0.01, Math.min(plain, (one.rate ?? 2 * plain) - plain));
    // Once it is said to be down nobody asks it.
    const rate = name === origin || plain === 0 ? {} : { rate: rest };
    return [name, { ...one, checks: left, needs: one.needs.filter(isKnown), ...rate }] as const;
  });
  const records = Object.keys(expected).map((name) => {
    return [name, { ...core.records[name]!, mode: 'observe' }] as const;
  });
  return {
    ...core,
    paths: Object.fromEntries(paths.map(([name, { replica: _replica, ...path }]) => [name, path])),
    checks: Object.fromEntries(checks),
    clouds: Object.fromEntries(
      Object.entries(core.clouds).map(([name, cloud]) => {
        return [name, { ...cloud, checks: cloud.checks.filter(isKnown) }];
      }),
    ),
    origins: Object.fromEntries(origins),
    records: Object.fromEntries(records),
  };
}
