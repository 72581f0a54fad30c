// Who makes the drills: by the schedule, at whoever acts, and for whoever asks for one. One at a
// time; what it came to goes to the engine, which remembers it. A drill waits for a world in which
// nothing is the matter, and ends at the first sign that something is. It must never be in the way
// of a switch.

import type { Config } from '../config/config.ts';
import type { Adapters, Controller } from '../controller.ts';
import {
  type Command,
  type DrillDoc,
  type DrillKind,
  drillKinds,
  type Entry,
  type EntryKind,
  type Json,
  type Name,
  type Reply,
} from '../core/model.ts';
import { meant } from '../core/name.ts';
import type { StatusView } from '../core/view.ts';
import type { Clock, Observer } from '../ports.ts';
import { type CanaryOptions, tryCanary } from './canary.ts';
import { type DryOptions, drillDry } from './dry.ts';
import { namesOf, planOf, standingOf } from './due.ts';
import type { Outcome } from './outcome.ts';
import { worryOf } from './worry.ts';

interface DrillsOptions {
  readonly config: () => Config;
  /** Of the configuration in force. */
  readonly adapters: () => Adapters;
  readonly controller: Pick<
    Controller,
    'command' | 'documents' | 'rehearsed' | 'scheduled' | 'slack'
  >;
  readonly status: () => Promise<StatusView>;
  readonly clock: Clock;
  /** The wall clock that schedules go by. */
  readonly wall: () => number;
  readonly term: number;
  /** 16 hex digits, anew each time. */
  readonly id: () => string;
  readonly engine: DryOptions['engine'];
  /** A drill could not be made for a fault of our own. */
  readonly trouble: (detail: string) => void;
}

export interface Drills {
  start(): void;
  /** Another configuration is in force: what is under way is broken off. */
  renew(): void;
  /** Begins one; a reply says at once why it is not begun. `name`: as it was typed. */
  begin(kind: 'canary' | 'dry', name: string | null): Promise<Reply | null>;
  /** Whether one is under way, and what came of the last that somebody asked for. */
  drilled(): { readonly running: boolean; readonly reply: Reply | null };
  /** The view with what is due and what is overdue. */
  shown(view: StatusView): StatusView;
  readonly observer: Observer;
  close(): void;
}

const LOOK_MS = 15_000;
/** A live drill is waited for so long beyond the time that the record stays away. */
const LIVE_MORE_MS = 900_000;

/** Lines of the journal after which the world is not the one that was rehearsed. */
const alarms: ReadonlySet<EntryKind> = new Set<EntryKind>([
  ...(['deposed', 'diagnosis', 'drain', 'fault', 'freeze', 'health', 'lease', 'paused'] as const),
  ...(['pin', 'reload', 'store', 'switch', 'taken', 'undrain', 'unfreeze', 'unpin'] as const),
]);

export function createDrills(options: DrillsOptions): Drills {
  return new Scheduler(options);
}

class Scheduler implements Drills {
  readonly #o: DrillsOptions;
  #cancel = () => {};
  #closed = false;
  #under: AbortController | null = null;
  #reply: Reply | null = null;
  /** Why each was put off last. */
  readonly #put = new Map<string, string>();
  /** A live drill that was begun, and until when it is waited for. */
  #live: { readonly name: Name; readonly at: number; readonly untilAt: number } | null = null;
  readonly observer: Observer = { journalled: (entry) => this.#hear(entry) };

  constructor(options: DrillsOptions) {
    this.#o = options;
  }

  start(): void {
    this.#schedule();
    this.#cancel = this.#o.clock.after(LOOK_MS, () => void this.#look());
  }

  renew(): void {
    this.#under?.abort();
    this.#schedule();
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
    this.#under?.abort();
  }

  drilled(): ReturnType<Drills['drilled']> {
    return { running: this.#under !== null, reply: this.#reply };
  }

  async begin(kind: 'canary' | 'dry', typed: string | null): Promise<Reply | null> {
    const config = this.#o.config();
    const known = namesOf(config)[kind];
    const names = typed === null ? known : [typed];
    if (kind === 'canary' && known.length === 0) {
      const cure = 'give a provider a name to try: canary: detour-canary.example.net';
      return { exit: 2, message: `no provider has a canary: ${cure}` };
    }
    const wanted: string[] = [];
    for (const one of names) {
      const found = meant(kind === 'dry' ? 'origin' : 'provider with a canary', one, known);
      if (!found.ok) return { exit: 2, message: found.sentence };
      wanted.push(found.name);
    }
    if (this.#under !== null) return { exit: 1, message: 'a drill is under way: try again later' };
    const stop = new AbortController();
    this.#under = stop;
    this.#reply = null;
    void this.#asked(kind, wanted, stop);
    return null;
  }

  async #asked(kind: 'canary' | 'dry', names: readonly string[], stop: AbortController) {
    try {
      this.#reply = await this.#replyOf(kind, names, stop.signal);
    } catch (error) {
      this.#o.trouble(textOf(error));
      const message = 'a fault in Detour itself: the log says which';
      this.#reply = { exit: 1, message };
    } finally {
      this.#done(stop);
    }
  }

  async #replyOf(kind: 'canary' | 'dry', names: readonly string[], signal: AbortSignal) {
    const outcomes: { name: string; outcome: Outcome }[] = [];
    for (const name of names) {
      const outcome = await this.#make(kind, name, signal);
      outcomes.push({ name, outcome });
    }
    const passed = outcomes.every(({ outcome }) => outcome.result === 'passed');
    const lines = outcomes.map(({ name, outcome }) => sentenceOf(kind, name, outcome));
    const detail = outcomes.map(({ name, outcome: { result, ms, sentence, parts } }) => {
      return { drill: kind, name, result, ms, sentence, parts };
    });
    const message = lines.join('\n');
    return { exit: passed ? 0 : 1, message, detail: { drills: detail } } as const;
  }

  #done(stop: AbortController): void {
    if (this.#under === stop) this.#under = null;
  }

  #schedule(): void {
    if (this.#closed) return;
    const config = this.#o.config();
    const plan = planOf(config, null);
    const kinds = drillKinds.filter((kind) => plan.some(({ drill }) => drill === kind));
    this.#o.controller.scheduled({ kinds, names: namesOf(config) });
  }

  async #look(): Promise<void> {
    try {
      if (this.#under === null) await this.#makeDue();
    } catch (error) {
      this.#o.trouble(textOf(error));
    }
    if (this.#closed) return;
    this.#cancel = this.#o.clock.after(LOOK_MS, () => void this.#look());
  }

  /** One after the other: what was drilled longest ago first, so that each has its turn. */
  async #makeDue(): Promise<void> {
    const tried = new Set<string>();
    for (;;) {
      const view = await this.#o.status();
      if (this.#under !== null || this.#closed || !acts(view)) return;
      const all = this.#standings(view);
      // What this replica could not schedule while another acted.
      if (all.some(({ one }) => sinceOf(view, one.drill) === undefined)) return this.#schedule();
      const due = all
        .filter(({ one, is }) => is.due && !tried.has(`${one.drill}/${one.name}`))
        .sort((a, b) => a.lastAt - b.lastAt);
      const [next] = due;
      if (next === undefined) return;
      const { drill, name } = next.one;
      tried.add(`${drill}/${name}`);
      if (drill === 'live') {
        if (await this.#orderLive(view, name)) return;
        continue;
      }
      const stop = new AbortController();
      this.#under = stop;
      try {
        await this.#make(drill, name, stop.signal);
      } finally {
        this.#done(stop);
      }
    }
  }

  /** How each drill that is scheduled stands. */
  #standings(view: StatusView) {
    const config = this.#o.config();
    const now = { at: this.#o.clock.now(), wall: this.#o.wall() };
    const last = new Map(view.drills.last.map((doc) => [`${doc.drill}/${doc.name}`, doc]));
    const inForce = new Set(view.records.flatMap(({ target }) => target ?? []));
    const plan = planOf(config, inForce).filter(
      ({ drill, name }) => drill !== 'dry' || Object.hasOwn(config.core.origins, name),
    );
    return plan.map((one) => {
      const { sinceAt } = sinceOf(view, one.drill) ?? { sinceAt: Number.POSITIVE_INFINITY };
      const doc = last.get(`${one.drill}/${one.name}`);
      const is = standingOf(one, doc, sinceAt, config, now);
      return { one, is, lastAt: doc?.at ?? Number.NEGATIVE_INFINITY };
    });
  }

  /** True where one is begun or under way: the next record waits. */
  async #orderLive(view: StatusView, name: Name): Promise<boolean> {
    const { clock, config, controller, id } = this.#o;
    const live = this.#live;
    if (live !== null) {
      const isOver = view.drills.last.some(
        (d) => d.drill === 'live' && d.name === live.name && d.at >= live.at,
      );
      if (!isOver && clock.now() < live.untilAt) return true;
      this.#live = null;
      if (live.name === name && !isOver) return false;
    }
    const { byVendor, forMs } = config().drills.live[name]!;
    const reason = 'a drill by the schedule';
    const order = {
      ...{ kind: 'drill', record: name, target: null, byVendor, forMs, reason },
      ...{ asked: 'schedule', by: 'the schedule' },
    };
    // Each order is the group's to remember: what would be refused is not given, only asked.
    const look = await controller.command({ ...order, dryRun: true } as Command, id());
    const isRefused = look.exit !== 0 && look.exit !== 3;
    const { exit, message } = isRefused ? look : await controller.command(order as Command, id());
    if (exit === 0 || exit === 3) {
      this.#live = { name, at: clock.now(), untilAt: clock.now() + forMs + LIVE_MORE_MS };
      return true;
    }
    this.#put.set(`live/${name}`, message);
    return false;
  }

  /** One canary or dry drill, from looking at the world to the line in the journal. */
  async #make(kind: 'canary' | 'dry', name: string, signal: AbortSignal): Promise<Outcome> {
    const view = await this.#o.status();
    const worry = signal.aborted ? 'it was broken off' : worryOf(view, kind, name);
    const outcome =
      worry !== null
        ? { result: 'refused' as const, ms: null, sentence: worry, parts: null }
        : await this.#tried(view, kind, name, signal);
    const { result, ms, parts } = outcome;
    const sentence = sentenceOf(kind, name, outcome);
    if (result === 'refused') this.#put.set(`${kind}/${name}`, outcome.sentence);
    else {
      this.#put.delete(`${kind}/${name}`);
      this.#o.controller.rehearsed({ drill: kind, name, result, ms, sentence, parts });
    }
    return outcome;
  }

  /** A fault of our own, or of an adapter's, is one drill's that failed, and told. */
  async #tried(
    view: StatusView,
    kind: 'canary' | 'dry',
    name: string,
    signal: AbortSignal,
  ): Promise<Outcome> {
    try {
      if (kind === 'dry') return await this.#dry(view, name, signal);
      return brokenOff(await this.#canary(name, signal), signal);
    } catch (error) {
      this.#o.trouble(textOf(error));
      const sentence = 'a fault in Detour itself: the log says which';
      return { result: 'failed', ms: null, sentence, parts: null };
    }
  }

  async #canary(provider: string, signal: AbortSignal): Promise<Outcome> {
    const { config, adapters, clock, controller, id, term } = this.#o;
    const { core, providers } = config();
    const slack = controller.slack(provider);
    if (slack !== null) return { result: 'refused', ms: null, sentence: slack, parts: null };
    const { callTimeoutMs, canary } = providers[provider]!;
    const options: CanaryOptions = {
      ...{ name: canary!, clock, term, id: id(), cluster: core.cluster, signed: core.signed },
      provider: adapters().providers[provider]!,
      verifier: adapters().verifier,
      callMs: 4 * callTimeoutMs,
    };
    return tryCanary(options, signal);
  }

  async #dry(view: StatusView, origin: string, signal: AbortSignal): Promise<Outcome> {
    const { config, adapters, clock, controller, engine, id } = this.#o;
    const { core, paths } = config();
    const on = view.records.filter((r) => r.target === origin).map((r) => r.name);
    if (on.length === 0) {
      const sentence = 'no record is on it: there is nothing to decide';
      return { result: 'passed', ms: null, sentence, parts: [] };
    }
    const asked = { kind: 'drain', what: origin, reason: 'a dry drill', by: 'the drill' } as const;
    const foreseen = await controller.command({ ...asked, dryRun: true }, id());
    const rows = ((foreseen.detail as { plan?: Json } | undefined)?.plan ?? []) as readonly {
      readonly record: Name;
      readonly to: string | null;
    }[];
    const expected = on.map((name) => {
      return [name, rows.find((row) => row.record === name)?.to ?? null] as const;
    });
    const options: DryOptions = {
      ...{ origin, clock, engine, config: core, ownPaths: Object.keys(paths) },
      adapters: adapters(),
      docs: controller.documents(),
      expected: Object.fromEntries(expected),
    };
    return drillDry(options, signal);
  }

  #hear({ kind }: Entry): void {
    if (this.#under !== null && alarms.has(kind)) this.#under.abort();
  }

  shown(view: StatusView): StatusView {
    const overdue: StatusView['drills']['overdue'][number][] = [];
    const next = new Map<DrillKind, number>();
    for (const { one, is } of this.#standings(view)) {
      const { drill, name } = one;
      const { overdueAt, nextAt } = is;
      next.set(drill, Math.min(nextAt, next.get(drill) ?? Number.POSITIVE_INFINITY));
      if (overdueAt === null) continue;
      const why = this.#put.get(`${drill}/${name}`) ?? '';
      overdue.push({ drill, name, dueAt: overdueAt, why });
    }
    const scheduled = view.drills.scheduled.map((one) => {
      const at = next.get(one.drill) ?? null;
      return { ...one, nextAt: at !== null && Number.isFinite(at) ? at : null };
    });
    return { ...view, drills: { last: view.drills.last, scheduled, overdue } };
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** What did not come to its end because it was told to end. */
function brokenOff(outcome: Outcome, { aborted }: AbortSignal): Outcome {
  return aborted && outcome.result === 'failed' ? { ...outcome, result: 'broken-off' } : outcome;
}

function sinceOf({ drills }: StatusView, kind: DrillKind) {
  return drills.scheduled.find(({ drill }) => drill === kind);
}

function acts({ group, records }: StatusView): boolean {
  if (group !== null) return group.role === 'acts';
  return records.every(({ stay }) => stay.reason !== 'no-lease');
}

function sentenceOf(kind: DrillDoc['drill'], name: string, { result, sentence }: Outcome): string {
  return `${kind} drill of ${name} ${result === 'broken-off' ? '' : `${result}: `}${sentence}`;
}
