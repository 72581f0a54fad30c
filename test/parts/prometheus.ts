// A real Prometheus for the tests: on a free loopback port, over metrics that the test serves itself,
// in a folder that goes with it. It never outlives the test that started it.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, letGo } from './bind.ts';

const program = '/usr/bin/prometheus';
const startMs = 30_000;

// The shell kills it as soon as its own input ends, which also happens when this process is killed
// without a chance to clean up.
const guard =
  'exec 3<&0; "$@" <&- & it=$!; ' +
  '(while read -r _ <&3; do :; done; kill -9 "$it" 2>/dev/null) >/dev/null 2>&1 & wait "$it"';

/** Why it cannot be started here; null when it can. */
export function prometheusAbsent(): string | null {
  return existsSync(program) ? null : `${program} is not installed (prometheus)`;
}

export interface PrometheusPart {
  readonly url: string;
  close(): Promise<void>;
}

/** Starts one that scrapes a port of 127.0.0.1 as the job `shop`, and resolves once it is ready. */
export async function startPrometheus(scraped: number): Promise<PrometheusPart> {
  const directory = mkdtempSync(join(tmpdir(), 'detour-prometheus-'));
  const config = join(directory, 'prometheus.yml');
  writeFileSync(
    config,
    'global: { scrape_interval: 200ms, scrape_timeout: 200ms }\nscrape_configs:\n' +
      `  - { job_name: shop, static_configs: [ { targets: ["127.0.0.1:${scraped}"] } ] }\n`,
  );
  const port = await freePort();
  const args = [
    ...['-c', guard, 'sh', program, `--config.file=${config}`],
    ...[`--web.listen-address=127.0.0.1:${port}`, `--storage.tsdb.path=${join(directory, 'tsdb')}`],
  ];
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
  const url = `http://127.0.0.1:${port}`;
  const limit = performance.now() + startMs;
  while (!(await isReady(url))) {
    if (child.exitCode !== null || performance.now() > limit) {
      await close();
      throw new Error(`the Prometheus does not answer: ${log}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { url, close };
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/-/ready`)).ok;
  } catch {
    // Nobody listens yet.
    return false;
  }
}
