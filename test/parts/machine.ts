// This machine, as the ways to get Debian's packages see it (packages.ts): root with apt may
// install, and a person at the terminal is asked first. It must never wait for a person who does
// not answer.

import { spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline/promises';
import type { Machine } from './packages.ts';

/** How long a person has for an answer. */
const answerMs = 2 * 60_000;

/** `endMs`: nothing that is run there takes longer. */
export function thisMachine(endMs: number): Machine {
  return {
    root: '/',
    mayInstall: process.getuid?.() === 0,
    run: (program, args) => {
      const done = spawnSync(program, args, {
        encoding: 'utf8',
        env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' },
        maxBuffer: 64 * 1024 * 1024,
        timeout: endMs,
      });
      return { status: done.status, output: `${done.stdout}${done.stderr}${done.error ?? ''}` };
    },
    say: (sentence) => console.error(`detour: ${sentence}`),
    agree,
  };
}

/** Asks where a person sits at a terminal; elsewhere, and in CI, nobody is there to say no. */
async function agree(question: string): Promise<boolean> {
  if (process.env['CI'] || !process.stdin.isTTY || !process.stderr.isTTY) return true;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const signal = AbortSignal.timeout(answerMs);
    const answer = await terminal.question(`detour: ${question} [Y/n] `, { signal });
    return /^(y|yes|)$/i.test(answer.trim());
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'AbortError') throw error;
    console.error('\ndetour: no answer, so nothing is installed');
    return false;
  } finally {
    terminal.close();
  }
}
