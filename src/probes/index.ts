// The one table of checks, and the prober over it: one more kind of check is one more file and one
// more line here. The prober must never reject, never answer later than the port says even when a
// check misbehaves, and never have more probes under way than its bound: beyond it they are shed
// and counted, because a loop that is overloaded and does not shed collapses.

import type { CheckId } from '../core/model.ts';
import type { AdapterContext, CheckType, PathSpec, ProbeResult, Prober } from '../ports.ts';
import { SecretError } from '../secret.ts';
import { problemForBlackbox } from './blackbox.ts';
import { dns, problemForDns } from './dns.ts';
import { http } from './http.ts';
import { isOver, problemOfPath, straight, wayOf } from './path.ts';
import { tcp } from './tcp.ts';
import { tls } from './tls.ts';
import { type Answer, blind, clause, messageOf, Told } from './words.ts';

/** Every kind of check, by its word in the configuration. */
export const checkTypes: Readonly<Record<string, CheckType<unknown>>> = table(http, tcp, tls, dns);

/**
 * Why a kind of check cannot be asked by a path, as one sentence with its cure; null: it can.
 * `settings`, as the kind's own schema has read them, are looked at where they are given: whether
 * a path carries a check may depend on them (DNS over UDP, what only an exporter's module can say).
 */
export function pathProblem(kind: string, path: PathSpec, settings?: unknown): string | null {
  const problem = problemOfPath(path);
  if (problem !== null) return problem;
  if (path.kind === 'blackbox') return problemForBlackbox(kind, settings);
  return kind === 'dns' ? problemForDns(path, settings) : null;
}

/**
 * Every secret of checks and paths that cannot be had, one sentence each, by reading each once.
 * What is not looked at here shows at the first probe, as `blind secret`.
 */
export function secretProblems(
  probes: Readonly<Record<CheckId, ProbeSpec>>,
  paths: Readonly<Record<string, PathSpec>>,
  context: Pick<AdapterContext, 'secret'>,
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
      checkTypes[kind]?.create(settings, straight.spec, timeoutMs, context).close(),
    );
  }
  return problems;
}

/** What one check asks: `settings` as its type's own schema has read them. */
export interface ProbeSpec {
  readonly kind: string;
  readonly settings: unknown;
  readonly timeoutMs: number;
}

export interface ProberOptions {
  /** Other kinds of checks than Detour's own. */
  readonly types?: Readonly<Record<string, CheckType<unknown>>>;
  /** The secret behind a reference, as AdapterContext has it; without it, none can be had. */
  readonly secret?: AdapterContext['secret'];
  /** Probes under way at once, at most. */
  readonly inFlightMax?: number;
}

export interface BoundedProber extends Prober {
  /** Probes under way. */
  inFlight(): number;
  /** Probes refused so far because too many were under way. */
  shed(): number;
}

type Asker = ReturnType<CheckType<unknown>['create']>;

/** The port allows 250 ms past the timeout; the rest is for the timer to be late in. */
const guardMs = 200;

/**
 * A prober over the given checks and paths. Throws when a check is of a kind that the table does
 * not have: the configuration was not read with this table.
 */
export function createProber(
  probes: Readonly<Record<CheckId, ProbeSpec>>,
  paths: Readonly<Record<string, PathSpec>>,
  options: ProberOptions = {},
): BoundedProber {
  const { types = checkTypes, inFlightMax = 10_000, secret = noSecret } = options;
  for (const [id, { kind }] of Object.entries(probes)) {
    if (!Object.hasOwn(types, kind)) throw new Error(`check ${id}: there is no kind ${kind}`);
  }
  const askers = new Map<CheckId, Map<string, Asker>>();
  const running = new Running();
  let closed = false;
  const counts = { inFlight: 0, shed: 0 };

  function askerOf(check: CheckId, path: string): { asker: Asker; timeoutMs: number } {
    const known = askers.get(check)?.get(path);
    if (known) return { asker: known, timeoutMs: probes[check]!.timeoutMs };
    const spec = Object.hasOwn(probes, check) ? probes[check] : undefined;
    const way = Object.hasOwn(paths, path) ? paths[path] : undefined;
    if (spec === undefined) throw new Error(`there is no check ${check}`);
    if (way === undefined) throw new Error(`there is no path ${path}`);
    const problem = pathProblem(spec.kind, way, spec.settings);
    if (problem !== null) throw new Told(blind('path', problem));
    const asker = types[spec.kind]!.create(spec.settings, way, spec.timeoutMs, { secret });
    askers.set(check, (askers.get(check) ?? new Map<string, Asker>()).set(path, asker));
    return { asker, timeoutMs: spec.timeoutMs };
  }

  return {
    probe(check, path, signal) {
      if (signal.aborted || closed) {
        return Promise.resolve(bare(blind('aborted', 'the probe was called off')));
      }
      if (counts.inFlight >= inFlightMax) {
        counts.shed++;
        return Promise.resolve(bare(blind('shed', `${inFlightMax} probes were under way already`)));
      }
      try {
        const { asker, timeoutMs } = askerOf(check, path);
        counts.inFlight++;
        return guarded(asker, timeoutMs, signal, running, () => counts.inFlight--);
      } catch (error) {
        if (error instanceof Told) return Promise.resolve(bare(error.answer));
        const word = error instanceof SecretError ? 'secret' : 'internal';
        return Promise.resolve(bare(blind(word, messageOf(error))));
      }
    },
    close() {
      closed = true;
      running.callOff();
      for (const byPath of askers.values()) for (const asker of byPath.values()) asker.close();
      askers.clear();
    },
    inFlight: () => counts.inFlight,
    shed: () => counts.shed,
  };
}

/**
 * The probes under way, each by what calls it off. Many share one signal, and taking a listener off
 * a signal walks along all the others: so a signal is listened to once, for all of them.
 */
class Running {
  /** Of probes that ended by themselves: nobody listens to them, and to make one costs more. */
  readonly spare: AbortController[] = [];
  readonly #all = new Set<() => void>();
  readonly #bySignal = new WeakMap<AbortSignal, Set<() => void>>();

  add(signal: AbortSignal, callOff: () => void): void {
    this.#all.add(callOff);
    const known = this.#bySignal.get(signal);
    if (known) return void known.add(callOff);
    const these = new Set([callOff]);
    this.#bySignal.set(signal, these);
    signal.addEventListener('abort', () => runAll(these), { once: true });
  }

  remove(signal: AbortSignal, callOff: () => void): void {
    this.#all.delete(callOff);
    this.#bySignal.get(signal)?.delete(callOff);
  }

  callOff(): void {
    runAll(this.#all);
  }
}

/** Each takes itself out of the set. */
function runAll(these: ReadonlySet<() => void>): void {
  for (const one of [...these]) one();
}

/** Asks once; answers by itself where the check does not, and then calls the check off. */
function guarded(
  asker: Asker,
  timeoutMs: number,
  signal: AbortSignal,
  running: Running,
  ended: () => void,
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const own = running.spare.pop() ?? new AbortController();
    let isOpen = true;
    const settle = (result: ProbeResult) => {
      if (!isOpen) return;
      isOpen = false;
      clearTimeout(timer);
      running.remove(signal, callOff);
      ended();
      resolve(result);
    };
    const giveUp = (answer: Answer) => {
      if (!isOpen) return;
      settle(bare(answer));
      own.abort(isOver);
    };
    const callOff = () => giveUp(blind('aborted', 'the probe was called off'));
    const timer = setTimeout(() => {
      const late = blind('internal', `the check did not end within ${timeoutMs + guardMs} ms`);
      // After a stall of this process the check's own deadline is due as well, and says so.
      setImmediate(() => giveUp(late));
    }, timeoutMs + guardMs);
    running.add(signal, callOff);
    const broke = (error: unknown) => giveUp(blind('internal', messageOf(error)));
    const answered = (result: ProbeResult) => {
      const known = ['pass', 'fail', 'blind'].includes(result?.outcome);
      if (!known || typeof result.reason !== 'string' || typeof result.detail !== 'string') {
        return giveUp(blind('internal', 'the check answered with something that is no result'));
      }
      if (isOpen) running.spare.push(own);
      const detail = clause(result.detail);
      settle(detail === result.detail ? result : { ...result, detail });
    };
    try {
      Promise.resolve(asker.ask(own.signal)).then(answered, broke);
    } catch (error) {
      broke(error);
    }
  });
}

function noSecret(): string {
  throw new SecretError('this prober was made without a way to read secrets');
}

function bare(answer: Answer): ProbeResult {
  return { ...answer, phases: {} };
}

function table(
  ...types: readonly CheckType<unknown>[]
): Readonly<Record<string, CheckType<unknown>>> {
  return Object.fromEntries(types.map((type) => [type.key, type]));
}
