// Tells somebody by running a command of the operator's: the notice as one JSON object on its
// standard input. It must never hand on the daemon's environment (secrets live there), never let a
// command or anything it started outlive its deadline, and never queue or read without a bound.

import { type ChildProcess, spawn } from 'node:child_process';
import { z } from 'zod';
import type { Notice } from '../core/model.ts';
import { whyOfFile } from '../kit/errno.ts';
import type { Notifier, NotifierType } from '../kit/extend.ts';
import { duration } from '../kit/schema.ts';
import { SecretError } from '../kit/secret.ts';

/** `command: [PROGRAM, ARGUMENT, …]`, and how long one run may take. */
const settings = z.strictObject({
  command: z.array(z.string().min(1).max(4096)).min(1).max(64),
  timeout: duration('100ms', '5m').default(10_000),
});

export const command: NotifierType<z.infer<typeof settings>> = {
  key: 'command',
  settings,
  create: ({ command, timeout }, { secret }) =>
    createCommandNotifier({ command, timeoutMs: timeout }, givenTo(secret)),
};

/** Of what the daemon was started with: it has taken it out of its own environment by now. */
function givenTo(secret: (ref: { readonly env: string }) => string): Record<string, string> {
  const given = passedOn.flatMap((name) => {
    try {
      return [[name, secret({ env: name })] as const];
    } catch (error) {
      if (error instanceof SecretError) return [];
      throw error;
    }
  });
  return Object.fromEntries(given);
}

interface CommandSettings {
  /** Program and arguments; no shell is involved. */
  readonly command: readonly string[];
  /** Limit of one run, in milliseconds. */
  readonly timeoutMs: number;
}

const runningMax = 4;
const waitingMax = 100;
/** Of the command's output, for the error; the rest is read and thrown away. */
const outputMax = 4096;
/** For what a killed command does or leaves behind after its end. */
const graceMs = 500;
const passedOn = ['PATH', 'HOME', 'LANG'];

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
        await run(settings, environment(notice, env), notice, signal);
      } finally {
        running--;
        next();
      }
    },
  };
}

/** One run: resolves on status 0, rejects on everything else; nothing of it runs afterwards. */
function run(
  settings: CommandSettings,
  env: NodeJS.ProcessEnv,
  notice: Notice,
  signal: AbortSignal,
): Promise<void> {
  const [program, ...args] = settings.command as [string, ...string[]];
  return new Promise((resolve, reject) => {
    // Of its own process group, so that its children can be ended with it.
    const child = spawn(program, args, {
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      env,
    });
    const output = collect(child);
    const timers: NodeJS.Timeout[] = [];
    let why = '';
    const finish = (problem: string | null) => {
      for (const timer of timers) clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      // Without a descriptor left there is neither a process nor a pipe.
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
      if (problem === null) resolve();
      else reject(new Error(`${program}: ${problem}`));
    };
    const stop = (reason: string) => {
      why ||= reason;
      endGroup(child);
      timers.push(setTimeout(finish, graceMs, `${why}, and it does not die`));
    };
    const abort = () => stop('killed: called off');
    const late = `killed: it did not end within ${settings.timeoutMs} ms`;
    timers.push(setTimeout(stop, settings.timeoutMs, late));
    signal.addEventListener('abort', abort, { once: true });
    child.once('error', (error: NodeJS.ErrnoException) =>
      finish(`cannot be started: it ${whyOfFile(error)}; give an executable's path`),
    );
    child.once('exit', (status, killer) => {
      endGroup(child);
      if (status === 0 && why === '') return finish(null);
      // What it wrote last may still be in the pipe. Its group is dead, so the pipe ends, unless
      // something left the group and holds it open.
      const said = () => finish(problemOf(why, status, killer, output()));
      child.once('close', said);
      timers.push(setTimeout(said, graceMs));
    });
    // A command that reads nothing closes its input early: that is its own affair.
    child.stdin?.on('error', () => {});
    child.stdin?.end(`${JSON.stringify(notice)}\n`);
  });
}

function environment(
  notice: Notice,
  env: Readonly<Record<string, string | undefined>>,
): NodeJS.ProcessEnv {
  const kept = passedOn.flatMap((name) => {
    const value = env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    ...Object.fromEntries(kept),
    DETOUR_NOTICE_KIND: notice.kind,
    DETOUR_NOTICE_KEY: notice.key,
    DETOUR_NOTICE_STATE: notice.state,
    DETOUR_RECORD: notice.record ?? '',
  };
}

/** Reads both outputs to their ends, so that the command never blocks; keeps the beginning. */
function collect(child: ChildProcess): () => string {
  let kept = '';
  for (const stream of [child.stderr, child.stdout]) {
    stream?.setEncoding('utf8');
    stream?.on('data', (chunk: string) => {
      if (kept.length < outputMax) kept = (kept + chunk).slice(0, outputMax);
    });
  }
  return () => kept;
}

function problemOf(
  why: string,
  status: number | null,
  killer: NodeJS.Signals | null,
  output: string,
): string {
  const ended = why || (killer === null ? `ended with status ${status}` : `ended by ${killer}`);
  const line = output
    .split('\n')
    .map((text) => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim())
    .find((text) => text !== '');
  return line === undefined ? ended : `${ended}: ${line.slice(0, 200)}`;
}

function endGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    // Nobody is left in it: that is what was wanted. (EPERM: what is left runs as somebody else.)
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ESRCH' && code !== 'EPERM') throw error;
  }
}
