// Runs one command of the operator's: input on its standard input, an end within a deadline. It must
// never hand on the daemon's environment (secrets live there), never let a command or anything it
// started outlive its deadline, and never read without a bound. What its end means, others say.

import { type ChildProcess, spawn } from 'node:child_process';
import { whyOfFile } from '../kit/errno.ts';
import { SecretError } from '../kit/secret.ts';

export interface CommandSettings {
  /** Program and arguments; no shell is involved. */
  readonly command: readonly string[];
  /** Limit of one run, in milliseconds. */
  readonly timeoutMs: number;
}

/** How one run ended. Nothing of it runs afterwards, unless it `does not die`. */
export interface Ended {
  /** The exit status; null: there is none, and `why` says why. */
  readonly status: number | null;
  /** Why it was killed, ended by a signal, or could not be started; empty: it ended by itself. */
  readonly why: string;
  /** The first line that it wrote, without control characters, at most 200; empty: none. */
  readonly line: string;
}

/** Of the command's output, for its first line; the rest is read and thrown away. */
const outputMax = 4096;
/** For what a killed command does or leaves behind after its end. */
const graceMs = 500;
const passedOn = ['PATH', 'HOME', 'LANG'];

/** Of what the daemon was started with: it has taken it out of its own environment by now. */
export function givenTo(secret: (ref: { readonly env: string }) => string): Record<string, string> {
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

/** PATH, HOME and LANG of an environment, and what a command is told by more. */
export function environment(
  env: Readonly<Record<string, string | undefined>>,
  more: Readonly<Record<string, string>>,
): NodeJS.ProcessEnv {
  const kept = passedOn.flatMap((name) => {
    const value = env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(kept), ...more };
}

/**
 * One run, with a text as its whole input. Never rejects. Killed at its deadline and when the signal
 * aborts, with all that it started in its process group.
 */
export function runCommand(
  settings: CommandSettings,
  env: NodeJS.ProcessEnv,
  input: string,
  signal: AbortSignal,
): Promise<Ended> {
  const [program, ...args] = settings.command as [string, ...string[]];
  return new Promise((resolve) => {
    // Of its own process group, so that its children can be ended with it.
    const child = spawn(program, args, {
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      env,
    });
    const output = collect(child);
    const timers: NodeJS.Timeout[] = [];
    let why = '';
    const finish = (status: number | null, because: string) => {
      for (const timer of timers) clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      // Without a descriptor left there is neither a process nor a pipe.
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
      resolve({ status, why: because, line: firstLine(output()) });
    };
    const stop = (reason: string) => {
      why ||= reason;
      endGroup(child);
      timers.push(setTimeout(() => finish(null, `${why}, and it does not die`), graceMs));
    };
    const abort = () => stop('killed: called off');
    const late = `killed: it did not end within ${settings.timeoutMs} ms`;
    timers.push(setTimeout(stop, settings.timeoutMs, late));
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    child.once('error', (error: NodeJS.ErrnoException) =>
      finish(null, `cannot be started: it ${whyOfFile(error)}; give an executable's path`),
    );
    child.once('exit', (status, killer) => {
      endGroup(child);
      if (status === 0 && why === '') return finish(0, '');
      // What it wrote last may still be in the pipe. Its group is dead, so the pipe ends, unless
      // something left the group and holds it open.
      const said = () => {
        if (why !== '') return finish(null, why);
        finish(status, killer === null ? '' : `ended by ${killer}`);
      };
      child.once('close', said);
      timers.push(setTimeout(said, graceMs));
    });
    // A command that reads nothing closes its input early: that is its own affair.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
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

function firstLine(output: string): string {
  const line = output
    .split('\n')
    .map((text) => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim())
    .find((text) => text !== '');
  return line === undefined ? '' : line.slice(0, 200);
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
