// `detour switch --direct`: the way out with the daemon dead, the store gone and any one vendor out
// of reach (design, rule 23). It performs what core/direct.ts plans and tells it what came of each
// effect, by a deadline at the latest. It decides nothing of its own.

import { randomBytes } from 'node:crypto';
import type { DirectOrder, WithSpelling } from '../cli/hands.ts';
import type { Config } from '../config/config.ts';
import { rowOf } from '../config/tables.ts';
import { type Adapters, closeAll } from '../controller.ts';
import { type Effect, type Event, nextDeadline, start, step } from '../core/direct.ts';
import type { CoreConfig, DelegationCommand, Fault, Reply } from '../core/model.ts';
import { inScript } from '../core/name.ts';
import { toAscii } from '../kit/script.ts';
import type { Clock } from '../ports.ts';
import { buildAdapters, ConfigError, loadConfig } from './build.ts';
import { createClock } from './clock.ts';

/** An adapter that keeps its deadline says best why: it is waited for so much longer. */
const MARGIN_MS = 250;

/** Carries out one order; `tell` takes a line as each thing happens. */
export async function switchDirectly(
  order: DirectOrder,
  tell: (line: string) => void,
): Promise<WithSpelling<Reply>> {
  const clock = createClock(0);
  let config: Config;
  let adapters: Adapters;
  try {
    ({ config } = await loadConfig(order.configPath, { replica: order.replica }));
    adapters = buildAdapters(config, clock, { remember: false });
  } catch (error) {
    if (error instanceof ConfigError) return { exit: 2, message: error.message };
    throw error;
  }
  const { spelling } = config.core;
  const say = (line: string) => tell(inScript(line, spelling ?? {}));
  const record = toAscii(order.record) ?? order.record;
  try {
    const reply = await carryOut({ ...order, record }, config, adapters, clock, say);
    return spelling === undefined ? reply : { ...reply, spelling };
  } finally {
    closeAll(adapters);
  }
}

/** An order about a delegation from here: what the daemon would do, with nobody to journal it. */
export async function delegateDirectly(
  command: DelegationCommand,
  { configPath, replica }: { readonly configPath: string; readonly replica: string | null },
): Promise<Reply> {
  try {
    const { config } = await loadConfig(configPath, { replica });
    const adapters = buildAdapters(config, createClock(0), { remember: false });
    try {
      return await adapters.eviction(command, randomBytes(8).toString('hex'));
    } finally {
      closeAll(adapters);
    }
  } catch (error) {
    if (error instanceof ConfigError) return { exit: 2, message: error.message };
    throw error;
  }
}

async function carryOut(
  order: DirectOrder,
  config: Config,
  adapters: Adapters,
  clock: Clock,
  tell: (line: string) => void,
): Promise<Reply> {
  const deadlines = createDeadlines();
  const arrivals = createArrivals(clock);
  const id = randomBytes(8).toString('hex');
  const begun = start({ config: asSeenFrom(config), order, id, now: clock.now() });
  let { effects } = begun;
  try {
    for (;;) {
      for (const effect of effects) {
        if (effect.kind === 'end') return effect.reply;
        if (effect.kind === 'say') tell(effect.line);
        else void perform(effect, adapters, deadlines.within).then(arrivals.add);
      }
      const event = await arrivals.next(nextDeadline(begun.state));
      effects = step(begun.state, event, clock.now(), clock.wall());
    }
  } finally {
    deadlines.callOff();
  }
}

/** In a group each check with the paths of this replica: nobody can ask by another's. */
function asSeenFrom({ core, paths }: Config): CoreConfig {
  if (core.group === undefined) return core;
  const checks = Object.values(core.checks).map((check) => {
    const own = check.paths.filter((path) => Object.hasOwn(paths, path));
    return [check.id, { ...check, paths: own }] as const;
  });
  return { ...core, checks: Object.fromEntries(checks) };
}

/** Events in the order in which they came, or a tick where none came in time. */
function createArrivals(clock: Clock) {
  const waiting: Event[] = [];
  let wake = () => {};
  return {
    add(event: Event): void {
      waiting.push(event);
      wake();
    },
    async next(deadlineAt: number | null): Promise<Event> {
      if (waiting.length === 0) {
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        const cancel =
          deadlineAt === null ? () => {} : clock.after(deadlineAt - clock.now(), resolve);
        await promise;
        cancel();
      }
      return waiting.shift() ?? { kind: 'tick' };
    },
  };
}

type Asking = Exclude<Effect, { kind: 'say' | 'end' }>;

/** Never rejects: what goes wrong at one adapter is that one's answer. */
function perform(effect: Asking, adapters: Adapters, within: Within): Promise<Event> {
  const { prober, verifier } = adapters;
  switch (effect.kind) {
    case 'probe': {
      const { check, path } = effect;
      const ask = async (signal: AbortSignal): Promise<Event> => {
        const { outcome, detail } = await prober.probe(check, path, signal);
        return { kind: 'probed', check, outcome, detail };
      };
      const blind = (detail: string) =>
        ({ kind: 'probed', check, outcome: 'blind', detail }) as const;
      return within(effect.ms, ask, blind);
    }
    case 'ask': {
      const { provider, record, marker } = effect;
      const asked = { kind: 'asked', provider, marker } as const;
      const ask = async (signal: AbortSignal): Promise<Event> => ({
        ...asked,
        answers: await verifier.ask(provider, record, { marker }, signal),
      });
      return within(effect.ms, ask, (detail) => ({
        ...asked,
        answers: [{ server: provider, answer: { kind: 'timeout', detail }, markers: null }],
      }));
    }
    case 'read':
      return within(
        effect.ms,
        (signal) => read(effect, adapters, signal),
        (detail) => ({
          kind: 'read',
          provider: effect.provider,
          answer: failed({ kind: 'unavailable', detail }),
        }),
      );
    case 'write':
      return within(
        effect.ms,
        (signal) => write(effect, adapters, signal),
        (detail) => ({
          kind: 'written',
          provider: effect.provider,
          answer: failed({ kind: 'uncertain', detail }),
        }),
      );
  }
}

async function read(
  { provider, record }: Extract<Effect, { kind: 'read' }>,
  adapters: Adapters,
  signal: AbortSignal,
): Promise<Event> {
  const answers = await adapters.providers[provider]!.read([record], signal);
  return { kind: 'read', provider, answer: rowOf(answers, record) ?? { kind: 'not-asked' } };
}

async function write(
  { provider, change }: Extract<Effect, { kind: 'write' }>,
  adapters: Adapters,
  signal: AbortSignal,
): Promise<Event> {
  const [answer] = await adapters.providers[provider]!.write([change], signal);
  const silent: Fault = { kind: 'uncertain', detail: 'it said nothing of the change' };
  return { kind: 'written', provider, answer: answer ?? failed(silent) };
}

function failed(fault: Fault) {
  return { kind: 'fault', fault, reach: { kind: 'record' } } as const;
}

type Within = (
  ms: number,
  work: (signal: AbortSignal) => Promise<Event>,
  instead: (why: string) => Event,
) => Promise<Event>;

/** What some work answers; past its time, or when it breaks or is called off, `instead` of why. */
function createDeadlines(): { readonly within: Within; readonly callOff: () => void } {
  const open = new Set<() => void>();
  const within: Within = async (ms, work, instead) => {
    const late = new AbortController();
    const { promise, resolve } = Promise.withResolvers<Event>();
    const give = (why: string) => resolve(instead(why));
    const cut = setTimeout(() => late.abort(), ms);
    const end = setTimeout(() => give(`no answer within ${ms} ms`), ms + MARGIN_MS);
    const callOff = () => {
      late.abort();
      give('it was called off');
    };
    open.add(callOff);
    work(late.signal).then(resolve, (error: unknown) =>
      give(error instanceof Error ? error.message : String(error)),
    );
    const event = await promise;
    open.delete(callOff);
    clearTimeout(cut);
    clearTimeout(end);
    return event;
  };
  return {
    within,
    callOff: () => {
      for (const one of open) one();
    },
  };
}
