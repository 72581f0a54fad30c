// A real program of the Prometheus family for the tests: on a free loopback port, with a
// configuration of the test's own, in a folder that goes with it. It never outlives the test that
// started it.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort, launch } from './bind.ts';

const startMs = 30_000;

export interface ServedProgram {
  /** Its path, as its Debian package has it. */
  readonly program: string;
  /** Its Debian package. */
  readonly from: string;
  /** Path under its URL that answers 200 once it serves. */
  readonly ready: string;
}

export interface ServedPart {
  readonly url: string;
  close(): Promise<void>;
}

/** Why it cannot be started here; null when it can. */
export function absent({ program, from }: ServedProgram): string | null {
  return existsSync(program) ? null : `${program} is not installed (${from})`;
}

/**
 * Starts one over its configuration, as text, and further flags, which may name files in its folder;
 * resolves once it is ready, and throws with the end of its log where it is not within 30 s.
 */
export async function startServed(
  { program, from, ready }: ServedProgram,
  configuration: string,
  flags: (directory: string) => readonly string[] = () => [],
): Promise<ServedPart> {
  const directory = mkdtempSync(join(tmpdir(), `detour-${from}-`));
  const config = join(directory, 'config.yml');
  writeFileSync(config, configuration);
  const address = `127.0.0.1:${await freePort()}`;
  const common = [`--config.file=${config}`, `--web.listen-address=${address}`];
  const run = launch(program, [...common, ...flags(directory)], directory);
  const close = async (): Promise<void> => {
    await run.stop();
    rmSync(directory, { recursive: true, force: true });
  };
  const url = `http://${address}`;
  const giveUpAt = performance.now() + startMs;
  while (!(await isReady(`${url}${ready}`))) {
    if (run.exited() || performance.now() > giveUpAt) {
      const log = run.log().slice(-4000);
      await close();
      throw new Error(`${from} is not ready: ${log}`);
    }
    await pause(20);
  }
  return { url, close };
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    // Nobody listens yet.
    return false;
  }
}
