// A real Alertmanager for the tests: alone, on a free loopback port, with one receiver that is a
// webhook of the test's, in a folder that goes with it. It never outlives the test that started it.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, letGo } from './bind.ts';

const program = '/usr/bin/prometheus-alertmanager';
const startMs = 30_000;

// The shell kills it as soon as its own input ends, which also happens when this process is killed
// without a chance to clean up.
const guard =
  'exec 3<&0; "$@" <&- & it=$!; ' +
  '(while read -r _ <&3; do :; done; kill -9 "$it" 2>/dev/null) >/dev/null 2>&1 & wait "$it"';

/** Why it cannot be started here; null when it can. */
export function alertmanagerAbsent(): string | null {
  return existsSync(program) ? null : `${program} is not installed (prometheus-alertmanager)`;
}

export interface AlertmanagerPart {
  readonly url: string;
  close(): Promise<void>;
}

/** Starts one that tells a webhook at once, with a bearer, and resolves once it is ready. */
export async function startAlertmanager(hook: string, token: string): Promise<AlertmanagerPart> {
  const directory = mkdtempSync(join(tmpdir(), 'detour-alertmanager-'));
  const config = join(directory, 'alertmanager.yml');
  writeFileSync(
    config,
    'route: { receiver: detour, group_by: [alertname], group_wait: 0s, group_interval: 1s, ' +
      'repeat_interval: 1m }\nreceivers:\n  - name: detour\n    webhook_configs:\n' +
      `      - { url: "${hook}", send_resolved: true, ` +
      `http_config: { authorization: { credentials: "${token}" } } }\n`,
  );
  const port = await freePort();
  const args = [
    ...['-c', guard, 'sh', program, `--config.file=${config}`, '--cluster.listen-address='],
    ...[`--web.listen-address=127.0.0.1:${port}`, `--storage.path=${join(directory, 'data')}`],
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
      throw new Error(`the Alertmanager does not answer: ${log}`);
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
