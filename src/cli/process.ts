// The terminal of the real process, as commands see it: streams, colours, who is asking, Ctrl-C.
// It must never end the process on its own while there is output to write.

import { userInfo } from 'node:os';
import type { Io } from './hands.ts';

export function processIo(): Io {
  const { stdout, stderr, stdin } = process;
  // A copy: what a command needs of it must outlast what is taken out of the process later.
  const env = { ...process.env };
  let guarded = false;
  return {
    out(text) {
      // `detour history | head` closes the pipe early: that is an end, not a fault.
      if (!guarded) stdout.on('error', (error: NodeJS.ErrnoException) => endOnPipe(error));
      guarded = true;
      stdout.write(text);
    },
    err: (text) => void stderr.write(text),
    exit(code) {
      process.exitCode = code;
    },
    env,
    get user() {
      return env.SUDO_USER || loginName();
    },
    terminal: stdout.isTTY === true,
    interactive: stdout.isTTY === true && stdin.isTTY === true,
    // NO_COLOR: https://no-color.org, present and not empty.
    colour: stdout.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb',
    // In a pipe nothing is wrapped: what reads it goes by lines.
    columns: () => (stdout.isTTY ? stdout.columns || 100 : Number.POSITIVE_INFINITY),
    rows: () => stdout.rows ?? 40,
    async confirm(question) {
      const { createInterface } = await import('node:readline/promises');
      const lines = createInterface({ input: stdin, output: stdout });
      // Without an answer (end of input, Ctrl-C) the answer is no.
      const ended = new Promise<string>((resolve) => lines.once('close', () => resolve('')));
      try {
        const answer = await Promise.race([lines.question(question), ended]);
        return /^y(es)?$/i.test(answer.trim());
      } finally {
        lines.close();
      }
    },
    interrupted(then) {
      process.once('SIGINT', then);
      process.once('SIGTERM', then);
      return () => {
        process.off('SIGINT', then);
        process.off('SIGTERM', then);
      };
    },
  };
}

function endOnPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
}

function loginName(): string {
  try {
    return userInfo().username;
  } catch {
    // A container's user may have a number only.
    return `uid-${process.getuid?.() ?? 'unknown'}`;
  }
}
