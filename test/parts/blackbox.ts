// A real prometheus-blackbox-exporter for the tests: on a free loopback port, with modules of the
// test's own, in a folder that goes with it. It never outlives the test that started it.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, letGo } from './bind.ts';

const program = '/usr/bin/prometheus-blackbox-exporter';
const startMs = 20_000;

// The shell kills the exporter as soon as its own input ends, which also happens when this process
// is killed without a chance to clean up.
const guard =
  'exec 3<&0; "$@" <&- & it=$!; ' +
  '(while read -r _ <&3; do :; done; kill -9 "$it" 2>/dev/null) >/dev/null 2>&1 & wait "$it"';

/** Why it cannot be started here; null when it can. */
export function blackboxAbsent(): string | null {
  return existsSync(program) ? null : `${program} is not installed (prometheus-blackbox-exporter)`;
}

export interface BlackboxPart {
  readonly url: string;
  close(): Promise<void>;
}

/** Starts one over `blackbox.yml`, as text, and resolves once it takes connections. */
export async function startBlackbox(modules: string): Promise<BlackboxPart> {
  const directory = mkdtempSync(join(tmpdir(), 'detour-blackbox-'));
  const config = join(directory, 'blackbox.yml');
  writeFileSync(config, modules);
  const port = await freePort();
  const listen = `--web.listen-address=127.0.0.1:${port}`;
  const args = ['-c', guard, 'sh', program, `--config.file=${config}`, listen];
  const child: ChildProcess = spawn('/bin/sh', args, { stdio: ['pipe', 'ignore', 'pipe'] });
  letGo(child);
  // The guard may have ended before its input does.
  child.stdin!.on('error', () => {});
  let log = '';
  child.stderr!.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-4000);
  });
  const close = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit');
      child.ref();
      child.stdin!.end();
      await gone;
    }
    rmSync(directory, { recursive: true, force: true });
  };
  const limit = performance.now() + startMs;
  while (!(await answers(port))) {
    if (child.exitCode !== null || performance.now() > limit) {
      await close();
      throw new Error(`the exporter does not answer: ${log}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return { url: `http://127.0.0.1:${port}`, close };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
