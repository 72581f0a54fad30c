// The commands around a switch: what comes before it may veto it or prepare it, what comes after it
// is told of it. Each is run with a deadline of its own, counted from when it is asked for, so that
// none ever waits long for another. It must never take a hook's own trouble for an answer.

import type { HookAbout } from '../core/state.ts';
import type { Hooks } from '../ports.ts';
import { type CommandSettings, type Ended, environment, runCommand } from './run.ts';

/** Of one record, as configured. */
interface HookCommands {
  readonly before: CommandSettings | null;
  readonly after: CommandSettings | null;
}

/** Commands that run at once: of what is waited for, and of what only informs. */
const beforeMax = 64;
const afterMax = 16;
/** Of what only informs so many wait; beyond that the newest is dropped. */
const waitingMax = 1000;

/**
 * Hooks by record. Of what comes before a switch at most 64 run at once, of what comes after one 16;
 * what waits for its turn until its deadline was silent. Status 0 is `go`, any other that a program
 * chose is `veto` with the first line of its output; one that cannot be started (126 and 127 of a
 * shell, too), is killed or ends by a signal is `silent`. Of `env` they get PATH, HOME and LANG.
 */
export function createHooks(
  commands: ReadonlyMap<string, HookCommands>,
  env: Readonly<Record<string, string | undefined>>,
): Hooks {
  const [first, last] = [new Turns(beforeMax), new Turns(afterMax)];
  const run = async (
    turns: Turns,
    when: 'before' | 'after',
    { about, id }: { readonly about: HookAbout; readonly id: string },
    signal: AbortSignal,
  ): Promise<Ended> => {
    const settings = commands.get(about.record)?.[when] ?? null;
    if (settings === null) return { status: null, why: 'there is none', line: '' };
    const { timeoutMs } = settings;
    const late = AbortSignal.timeout(timeoutMs);
    const ended = await turns.take(AbortSignal.any([signal, late]), () => {
      const input = `${JSON.stringify({ when: `${when}-switch`, id, ...about })}\n`;
      return runCommand(
        settings,
        environmentOf(env, when, about, id),
        input,
        AbortSignal.any([signal, late]),
      );
    });
    if (ended === null) return { status: null, why: 'other hooks left it no turn', line: '' };
    const isLate = ended.status === null && late.aborted;
    return isLate ? { ...ended, why: `killed: it did not end within ${timeoutMs} ms` } : ended;
  };
  return {
    async before(about, id, signal) {
      const ended = await run(first, 'before', { about, id }, signal);
      const says = [ended.why, ended.line].filter((text) => text !== '').join(': ');
      if (ended.status === null) return { answer: 'silent', detail: says };
      if (ended.status === 126 || ended.status === 127) {
        return { answer: 'silent', detail: says || 'its command was not found' };
      }
      if (ended.status === 0) return { answer: 'go', detail: ended.line };
      return { answer: 'veto', detail: says || `ended with status ${ended.status}` };
    },
    async after(about, id, signal) {
      const ended = await run(last, 'after', { about, id }, signal);
      if (ended.status === 0) return;
      const why = ended.why || `ended with status ${ended.status}`;
      const line = ended.line === '' ? '' : `: ${ended.line}`;
      throw new Error(`${about.record}: the hook after its switch: ${why}${line}`);
    },
  };
}

function environmentOf(
  env: Readonly<Record<string, string | undefined>>,
  when: 'before' | 'after',
  about: HookAbout,
  id: string,
): NodeJS.ProcessEnv {
  return environment(env, {
    DETOUR_HOOK: `${when}-switch`,
    DETOUR_ID: id,
    DETOUR_CLUSTER: about.cluster,
    DETOUR_RECORD: about.record,
    DETOUR_FROM: about.from ?? '',
    DETOUR_TO: about.to,
    DETOUR_CNAME: about.cname,
    DETOUR_EPOCH: String(about.epoch),
  });
}

/** Work that is done so many at once, begun one in a turn of the loop: a process costs it time. */
class Turns {
  readonly #most: number;
  #running = 0;
  #beginning = false;
  readonly #waiting = new Set<() => void>();

  constructor(most: number) {
    this.#most = most;
  }

  /** Null where its turn did not come before the signal. */
  async take<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T | null> {
    if (!(await this.#turn(signal))) return null;
    try {
      return await work();
    } finally {
      this.#running--;
      this.#next();
    }
  }

  #turn(signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (mayGo: boolean) => {
        signal.removeEventListener('abort', give);
        this.#waiting.delete(begin);
        resolve(mayGo);
      };
      const give = () => end(false);
      const begin = () => end(true);
      if (signal.aborted || this.#waiting.size >= waitingMax) return resolve(false);
      signal.addEventListener('abort', give, { once: true });
      this.#waiting.add(begin);
      this.#next();
    });
  }

  #next(): void {
    if (this.#beginning || this.#running >= this.#most || this.#waiting.size === 0) return;
    this.#beginning = true;
    setImmediate(() => {
      this.#beginning = false;
      const [begin] = this.#waiting;
      if (begin === undefined || this.#running >= this.#most) return;
      this.#running++;
      begin();
      this.#next();
    });
  }
}
