// Tells somebody by running a command of the operator's: the notice as one JSON object on its
// standard input. It must never hand on the daemon's environment (secrets live there), never let a
// command or anything it started outlive its deadline, and never queue or read without a bound.

import { z } from 'zod';
import type { Notice } from '../core/model.ts';
import type { Notifier, NotifierType } from '../kit/extend.ts';
import { commandLine, duration } from '../kit/schema.ts';
import { type CommandSettings, environment, givenTo, runCommand } from './run.ts';

/** `command: [PROGRAM, ARGUMENT, …]`, and how long one run may take. */
const settings = z.strictObject({
  command: commandLine,
  timeout: duration('100ms', '5m').prefault('10s').describe('limit of one telling'),
});

export const command: NotifierType<z.infer<typeof settings>> = {
  key: 'command',
  settings,
  create: ({ command, timeout }, { secret }) =>
    createCommandNotifier({ command, timeoutMs: timeout }, givenTo(secret)),
};

const runningMax = 4;
const waitingMax = 100;

interface Waiting {
  readonly start: () => void;
  readonly drop: (why: Error) => void;
}

/**
 * A notifier over one command. At most 4 run at once and 100 wait; beyond that the one that has
 * waited longest is dropped, and its `notify` rejects. It also rejects when the command cannot be
 * started, ends with another status than 0 (with the first line of its output), or is killed at
 * its deadline. What a command leaves running is killed when it ends. Of `env` it gets PATH, HOME
 * and LANG.
 */
export function createCommandNotifier(
  settings: CommandSettings,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Notifier {
  const [program] = settings.command;
  if (program === undefined || program === '') throw new Error('notify: the command is empty');
  let running = 0;
  const waiting = new Set<Waiting>();

  const next = () => {
    const [first] = waiting;
    if (first === undefined || running >= runningMax) return;
    waiting.delete(first);
    first.start();
  };

  /** Resolves when it is this notice's turn. */
  const turn = (signal: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      const leave = () => signal.removeEventListener('abort', abort);
      const self: Waiting = {
        start: () => {
          leave();
          running++;
          resolve();
        },
        drop: (why) => {
          leave();
          waiting.delete(self);
          reject(why);
        },
      };
      const abort = () => self.drop(new Error(`${program}: called off before it was its turn`));
      if (signal.aborted) return reject(new Error(`${program}: called off before it was its turn`));
      signal.addEventListener('abort', abort, { once: true });
      waiting.add(self);
      next();
      if (waiting.size > waitingMax) {
        const [oldest] = waiting;
        oldest?.drop(new Error(`${program}: dropped, ${waitingMax} newer notices are waiting`));
      }
    });

  return {
    async notify(notice, signal) {
      await turn(signal);
      try {
        await run(settings, env, notice, signal);
      } finally {
        running--;
        next();
      }
    },
  };
}

/** One run: resolves on status 0, rejects on everything else; nothing of it runs afterwards. */
async function run(
  settings: CommandSettings,
  env: Readonly<Record<string, string | undefined>>,
  notice: Notice,
  signal: AbortSignal,
): Promise<void> {
  const told = environment(env, {
    DETOUR_NOTICE_KIND: notice.kind,
    DETOUR_NOTICE_KEY: notice.key,
    DETOUR_NOTICE_STATE: notice.state,
    DETOUR_RECORD: notice.record ?? '',
  });
  const ended = await runCommand(settings, told, `${JSON.stringify(notice)}\n`, signal);
  if (ended.status === 0) return;
  const problem = ended.why || `ended with status ${ended.status}`;
  throw new Error(
    `${settings.command[0]}: ${problem}${ended.line === '' ? '' : `: ${ended.line}`}`,
  );
}
