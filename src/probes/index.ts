// The one table of checks, and the prober over it: one more kind of check is one more file and one
// more line here. The prober must never reject, never answer later than the port says even when a
// check misbehaves, and never have more probes under way than its bound. They take turns: some are
// begun, then what has come is read, then the next are begun, so that what is measured is the origins
// and not our own queue. What has waited too long is shed and counted, because a loop that is
// overloaded and does not shed collapses: everything is late, times out, and is asked again.

import { type CheckId, outcomes } from '../core/model.ts';
import type { End } from '../core/state.ts';
import type { AdapterContext, CheckType, PathSpec, ProbeResult } from '../kit/extend.ts';
import { type Renewal, Renewed, type Secrets } from '../kit/renew.ts';
import { SecretError } from '../kit/secret.ts';
import type { HeldFigures, Prober } from '../ports.ts';
import { dns } from './dns.ts';
import { exec } from './exec.ts';
import { grpc } from './grpc.ts';
import { Holder, holding, type Making } from './held.ts';
import { http } from './http.ts';
import { isOver, type Means, problemOfPath, straight, wayOf } from './path.ts';
import { prometheus } from './prometheus.ts';
import { push } from './push.ts';
import { Bag, type Stoppable, stoppedBy } from './signals.ts';
import { tcp } from './tcp.ts';
import { tls } from './tls.ts';
import { type ClientFiles, type FileProblem, problemOfBundle, problemOfClient } from './trust.ts';
import { type Answer, blind, clause, messageOf, Told } from './words.ts';

export { holding };

type CheckTypes = Readonly<Record<string, CheckType<unknown>>>;

/** Every kind of check, by its word in the configuration. */
export const checkTypes: CheckTypes = table(...[http, tcp, tls, dns, grpc, exec, prometheus, push]);

/**
 * Why a kind of check cannot be asked by a path, as one sentence with its cure; null: it can.
 * `settings`, as the kind's own schema has read them, are looked at where they are given: whether
 * a path carries a check may depend on them (DNS over UDP, what only an exporter's module can say).
 */
export function pathProblem(
  kind: string,
  path: PathSpec,
  settings?: unknown,
  types: CheckTypes = checkTypes,
): string | null {
  return problemOfPath(path) ?? types[kind]?.pathProblem(path, settings) ?? null;
}

/**
 * Every secret of checks and paths that cannot be had, one sentence each, by reading each once.
 * What is not looked at here shows at the first probe, as `blind secret`.
 */
export function secretProblems(
  probes: Readonly<Record<CheckId, ProbeSpec>>,
  paths: Readonly<Record<string, PathSpec>>,
  context: Pick<AdapterContext, 'secret'>,
  types: CheckTypes = checkTypes,
): readonly string[] {
  const problems: string[] = [];
  const trying = (where: string, what: () => unknown) => {
    try {
      what();
    } catch (error) {
      if (!(error instanceof SecretError)) throw error;
      problems.push(`${where}: ${error.message}`);
    }
  };
  for (const [name, spec] of Object.entries(paths)) {
    trying(`paths.${name}`, () => wayOf(spec, context));
  }
  for (const [id, { kind, settings, timeoutMs }] of Object.entries(probes)) {
    trying(`check ${id}`, () =>
      types[kind]?.create(settings, straight().spec, timeoutMs, context).close(),
    );
  }
  return problems;
}

/** Every file of checks and paths that cannot be used, by reading each once. */
export function fileProblems(
  probes: Readonly<Record<CheckId, ProbeSpec>>,
  paths: Readonly<Record<string, PathSpec>> = {},
): readonly FileProblem[] {
  const places = [
    ...Object.entries(probes).map(([id, { settings }]) => [`check ${id}`, settings] as const),
    ...Object.entries(paths).map(([name, path]) => [`paths.${name}`, path] as const),
  ];
  return places.flatMap(([where, settings]) => {
    const { ca, client } = (settings ?? {}) as Partial<Record<string, unknown>>;
    const problems = [
      typeof ca === 'string' ? problemOfBundle(ca) : null,
      isClient(client) ? problemOfClient(client) : null,
    ];
    return problems.flatMap((one) =>
      one === null ? [] : { ...one, text: `${where}: ${one.text}` },
    );
  });
}

/** Settings are as their own schema has read them. */
function isClient(value: unknown): value is ClientFiles {
  const { cert, key } = (value ?? {}) as Partial<Record<string, unknown>>;
  return typeof cert === 'string' && typeof key === 'string';
}

/** What one check asks: `settings` as its type's own schema has read them. */
interface ProbeSpec {
  readonly kind: string;
  readonly settings: unknown;
  readonly timeoutMs: number;
}

interface ProberOptions {
  /** Other kinds of checks than Detour's own. */
  readonly types?: CheckTypes;
  /** The secret behind a reference, as AdapterContext has it; without it, none can be had. */
  readonly secret?: AdapterContext['secret'];
  /** How names are looked up; without it, as this machine has it. */
  readonly lookup?: AdapterContext['lookup'];
  /** What changes when a secret may have; without it, none is read again. */
  readonly mark?: Secrets['mark'];
  /** Told when a check was made again because its secrets have changed, or could not be. */
  readonly told?: (check: CheckId, renewal: Renewal) => void;
  /** Probes under way at once, at most. */
  readonly inFlightMax?: number;
  /** Whose connections are held, the most worth first, and how many at most; absent: none. */
  readonly held?: { readonly wanted: readonly End[]; readonly most: number };
}

interface BoundedProber extends Prober {
  /** Probes under way. */
  inFlight(): number;
  /** Probes refused so far because too many were under way. */
  shed(): number;
  held(): HeldFigures;
}

type Asker = ReturnType<CheckType<unknown>['create']>;

/** A check by a path, ready to be asked. */
interface Ready {
  readonly asker: Renewed<Asker>;
  readonly timeoutMs: number;
}

/** What one call asks. */
interface Asked {
  readonly asker: Asker;
  readonly timeoutMs: number;
  readonly routine: boolean;
}

/** The port allows 250 ms past the timeout; the rest is for the look, which may be late itself. */
const guardMs = 150;
/** Those that end within so much are looked at together. */
const guardEveryMs = 50;
/** Probes begun in one turn of the event loop. */
export const turnMost = 32;
/** The same while they are late by this, in milliseconds. */
const lateTurnMost = 256;
const lateMs = 80;
/** A probe may wait so long for its turn. */
const waitMost = 250;

/**
 * A prober over the given checks and paths. Throws when a check is of a kind that the table does
 * not have: the configuration was not read with this table.
 */
export function createProber(
  probes: Readonly<Record<CheckId, ProbeSpec>>,
  paths: Readonly<Record<string, PathSpec>>,
  options: ProberOptions = {},
): BoundedProber {
  return new TurnTakingProber(probes, paths, options);
}

class TurnTakingProber implements BoundedProber {
  readonly #probes: Readonly<Record<CheckId, ProbeSpec>>;
  readonly #paths: Readonly<Record<string, PathSpec>>;
  readonly #types: CheckTypes;
  readonly #secrets: Secrets;
  readonly #told: NonNullable<ProberOptions['told']>;
  readonly #lookup: Means['lookup'];
  readonly #inFlightMax: number;
  readonly #holder: Holder;
  readonly #askers = new Map<CheckId, Map<string, Ready>>();
  readonly #under = new Bag<Call>();
  /** Of probes that ended by themselves: nobody listens to them, and to make one costs more. */
  readonly #spare: AbortController[] = [];
  /** What was left with the signals that probes came with. */
  readonly #stops = new Map<AbortSignal, Stoppable>();
  readonly #waiting = new Queue();
  #look: NodeJS.Timeout | null = null;
  /** When it is due. */
  #lookAt = 0;
  #isTurnComing = false;
  #closed = false;
  #shed = 0;

  constructor(
    probes: Readonly<Record<CheckId, ProbeSpec>>,
    paths: Readonly<Record<string, PathSpec>>,
    options: ProberOptions,
  ) {
    const { types = checkTypes, inFlightMax = 10_000, secret = noSecret } = options;
    const { mark = () => '', told = () => {}, lookup, held } = options;
    for (const [id, { kind }] of Object.entries(probes)) {
      if (!Object.hasOwn(types, kind)) throw new Error(`check ${id}: there is no kind ${kind}`);
    }
    this.#probes = probes;
    this.#paths = paths;
    this.#types = types;
    this.#secrets = { read: secret, mark };
    this.#told = told;
    this.#lookup = lookup;
    this.#inFlightMax = inFlightMax;
    this.#holder = new Holder(held?.wanted ?? [], held?.most ?? 0);
  }

  probe(check: CheckId, path: string, signal: AbortSignal, routine = false): Promise<ProbeResult> {
    if (signal.aborted || this.#closed) {
      return Promise.resolve(bare(blind('aborted', 'the probe was called off')));
    }
    if (this.#under.all.length >= this.#inFlightMax) {
      this.#shed++;
      return Promise.resolve(
        bare(blind('shed', `${this.#inFlightMax} probes were under way already`)),
      );
    }
    try {
      const { asker, timeoutMs } = this.#readyFor(check, path);
      return new Promise((resolve) => {
        const own = this.#spare.pop() ?? new AbortController();
        const asked = { asker: asker.get(), timeoutMs, routine };
        const call = new Call(signal, own, asked, (result) => {
          this.#end(call, own);
          resolve(result);
        });
        this.#admit(call);
      });
    } catch (error) {
      if (error instanceof Told) return Promise.resolve(bare(error.answer));
      const word = error instanceof SecretError ? 'secret' : 'internal';
      return Promise.resolve(bare(blind(word, messageOf(error))));
    }
  }

  heed(tell: (ends: readonly End[]) => void): void {
    this.#holder.heed(tell);
  }

  close(): void {
    this.#closed = true;
    this.#holder.close();
    this.#under.stopAll();
    for (const [signal, left] of this.#stops) stoppedBy(signal).remove(left);
    this.#stops.clear();
    for (const byPath of this.#askers.values())
      for (const { asker } of byPath.values()) asker.close();
    this.#askers.clear();
  }

  inFlight(): number {
    return this.#under.all.length;
  }

  shed(): number {
    return this.#shed;
  }

  held(): HeldFigures {
    return this.#holder.figures();
  }

  #readyFor(check: CheckId, path: string): Ready {
    const known = this.#askers.get(check)?.get(path);
    if (known !== undefined) return known;
    const spec = Object.hasOwn(this.#probes, check) ? this.#probes[check] : undefined;
    const way = Object.hasOwn(this.#paths, path) ? this.#paths[path] : undefined;
    if (spec === undefined) throw new Error(`there is no check ${check}`);
    if (way === undefined) throw new Error(`there is no path ${path}`);
    const problem = pathProblem(spec.kind, way, spec.settings, this.#types);
    if (problem !== null) throw new Told(blind('path', problem));
    const { kind, settings, timeoutMs } = spec;
    const type = this.#types[kind]!;
    const asker = new Renewed(
      this.#secrets,
      (secret) => type.create(settings, way, timeoutMs, this.#making(secret, check, path)),
      { graceMs: timeoutMs + guardMs, told: (renewal) => this.#told(check, renewal) },
    );
    const ready = { asker, timeoutMs };
    this.#askers.set(check, (this.#askers.get(check) ?? new Map<string, Ready>()).set(path, ready));
    return ready;
  }

  #making(secret: Means['secret'], check: CheckId, path: string): Making {
    const keeper = this.#holder.keeperOf(check, path);
    return { secret, lookup: this.#lookup, ...(keeper === undefined ? {} : { keeper }) };
  }

  #admit(call: Call): void {
    const { signal } = call;
    this.#under.add(call);
    this.#waiting.push(call);
    if (!this.#isTurnComing) setImmediate(this.#begin);
    this.#isTurnComing = true;
    if (this.#stops.has(signal)) return;
    const stop = () => {
      this.#stops.delete(signal);
      for (const one of this.#under.all.filter((other) => other.signal === signal)) one.stop();
    };
    const left = { place: -1, stop };
    this.#stops.set(signal, left);
    stoppedBy(signal).add(left);
  }

  readonly #begin = (): void => {
    this.#isTurnComing = false;
    for (let [begun, most] = [0, turnMost]; begun < most; ) {
      const call = this.#waiting.shift();
      if (call === null) return;
      if (!call.isOpen) continue;
      const waitedMs = performance.now() - call.askedAt;
      if (waitedMs > waitMost) {
        this.#shed++;
        call.shed(waitedMs);
        continue;
      }
      call.ask();
      if (call.isOpen) this.#lookBy(call.guardAt);
      begun++;
      // Turns are long: what waits would be shed before its own comes.
      if (waitedMs > lateMs) most = lateTurnMost;
    }
    this.#isTurnComing = true;
    setImmediate(this.#begin);
  };

  #end(call: Call, own: AbortController): void {
    this.#under.remove(call);
    if (!own.signal.aborted) this.#spare.push(own);
    if (this.#under.all.length > 0 || this.#look === null) return;
    clearTimeout(this.#look);
    this.#look = null;
  }

  /** Looks at a moment, or sooner: most probes have ended by then, and need no look of their own. */
  #lookBy(at: number): void {
    if (this.#look !== null && this.#lookAt <= at) return;
    if (this.#look !== null) clearTimeout(this.#look);
    this.#lookAt = at;
    this.#look = setTimeout(this.#guard, Math.max(guardEveryMs, at - performance.now()));
  }

  readonly #guard = (): void => {
    this.#look = null;
    const now = performance.now();
    let next = Number.POSITIVE_INFINITY;
    for (const call of this.#under.all) {
      if (call.guardAt <= now) call.guard();
      else next = Math.min(next, call.guardAt);
    }
    if (next < Number.POSITIVE_INFINITY) this.#lookBy(next);
  };
}

/**
 * One probe under way. It answers by itself where the check does not, and then calls the check off.
 * It has no timer of its own: a look every few milliseconds finds those that are over.
 */
class Call implements Stoppable {
  place = -1;
  isOpen = true;
  /** The one that waits behind it. */
  next: Call | null = null;
  readonly signal: AbortSignal;
  /** By `performance.now()`, like all of these. */
  readonly askedAt = performance.now();
  /** When the check must have ended. */
  guardAt = Number.POSITIVE_INFINITY;
  readonly #own: AbortController;
  readonly #asked: Asked;
  readonly #settled: (result: ProbeResult) => void;

  constructor(
    signal: AbortSignal,
    own: AbortController,
    asked: Asked,
    settled: (result: ProbeResult) => void,
  ) {
    this.signal = signal;
    this.#own = own;
    this.#asked = asked;
    this.#settled = settled;
  }

  /** Asks once. */
  ask(): void {
    const { asker, timeoutMs, routine } = this.#asked;
    this.guardAt = performance.now() + timeoutMs + guardMs;
    const broke = (error: unknown) => this.#giveUp(blind('internal', messageOf(error)));
    try {
      const answered = (result: ProbeResult) => this.#answered(result);
      Promise.resolve(asker.ask(this.#own.signal, routine)).then(answered, broke);
    } catch (error) {
      broke(error);
    }
  }

  shed(waitedMs: number): void {
    const detail = `it waited ${Math.round(waitedMs)} ms for its turn: too many probes for this machine`;
    this.#giveUp(blind('shed', detail));
  }

  stop(): void {
    this.#giveUp(blind('aborted', 'the probe was called off'));
  }

  guard(): void {
    const late = `the check did not end within ${this.#asked.timeoutMs + guardMs} ms`;
    // After a stall of this process the check's own deadline is due as well: it hears what has come
    // meanwhile before it says so, which takes it one turn of the event loop.
    setImmediate(() => setImmediate(() => this.#giveUp(blind('internal', late))));
  }

  #giveUp(answer: Answer): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    // First of all, so that nobody is given a signal that was used up.
    this.#own.abort(isOver);
    this.#settled(bare(answer));
  }

  #answered(result: ProbeResult): void {
    if (!this.isOpen) return;
    const known = outcomes.includes(result?.outcome);
    if (!known || typeof result.reason !== 'string' || typeof result.detail !== 'string') {
      return this.#giveUp(blind('internal', 'the check answered with something that is no result'));
    }
    this.isOpen = false;
    const detail = clause(result.detail);
    this.#settled(detail === result.detail ? result : { ...result, detail });
  }
}

/** Calls in the order in which they came. */
class Queue {
  #first: Call | null = null;
  #last: Call | null = null;

  push(call: Call): void {
    if (this.#last === null) this.#first = call;
    else this.#last.next = call;
    this.#last = call;
  }

  shift(): Call | null {
    const call = this.#first;
    if (call === null) return null;
    this.#first = call.next;
    if (this.#first === null) this.#last = null;
    call.next = null;
    return call;
  }
}

function noSecret(): string {
  throw new SecretError('this prober was made without a way to read secrets');
}

function bare(answer: Answer): ProbeResult {
  return { ...answer, phases: {} };
}

function table(...types: readonly CheckType<unknown>[]): CheckTypes {
  return Object.fromEntries(types.map((type) => [type.key, type]));
}
