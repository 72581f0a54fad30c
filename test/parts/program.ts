// The built program for tests: the lab and the daemon as a user starts them, asked over real DNS.
// Everything started here is stopped for certain; nothing here decides by time: it waits for a
// condition, with a bound.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ask } from '../../src/dns/ask.ts';
import { parseHostPort } from '../../src/kit/schema.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const main = join(root, 'dist', 'program', 'main.cjs');

export interface Ready {
  readonly config: string;
  readonly records: readonly string[];
  readonly vendors: Readonly<Record<string, { readonly api: string; readonly dns: string }>>;
  readonly clouds: readonly string[];
  readonly metrics: string;
}

export interface RunningLab {
  readonly ready: Ready;
  readonly directory: string;
  /** `detour lab …` from a second terminal. */
  lab(...argv: readonly string[]): string;
  /** Any other command against the lab's daemon. */
  cli(...argv: readonly string[]): { status: number | null; stdout: string; stderr: string };
  stop(): Promise<void>;
}

/** `detour lab --json` in a folder of its own, ready. */
export async function startLabProgram(...argv: readonly string[]): Promise<RunningLab> {
  const directory = await mkdtemp(join(tmpdir(), 'detour-e2e-'));
  const args = [main, 'lab', '--json', '--dir', directory, ...argv];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = collect(child);
  await until('the lab is ready', 60_000, () => {
    if (child.exitCode !== null) throw new Error(`the lab ended: ${said.err()}`);
    return said.out().includes('\n');
  });
  const ready = JSON.parse(said.out().split('\n')[0]!) as Ready;
  const run = (...words: readonly string[]) =>
    spawnSync(process.execPath, [main, ...words], {
      encoding: 'utf8',
      timeout: 60_000,
      env: { ...process.env, DETOUR_SOCKET: socketOf(directory) },
    });
  return {
    ready,
    directory,
    lab: (...words) => {
      const done = run('lab', ...words, '--dir', directory);
      if (done.status !== 0) throw new Error(`lab ${words.join(' ')}: ${done.stderr}`);
      return done.stdout;
    },
    cli: (...words) => run(...words),
    stop: async () => {
      await stopChild(child);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Where the lab's ready configuration puts the daemon's control socket. */
export function socketOf(directory: string): string {
  return join(directory, 'detour.sock');
}

/** What Node is told on the unit's command line; `young` in place of the unit's own, in megabytes. */
export function nodeOptions(young?: number): readonly string[] {
  const unit = readFileSync(join(root, 'deploy/systemd/detour.service'), 'utf8');
  const [, own] = /^Environment=DETOUR_YOUNG_MB=(\d+)$/m.exec(unit)!;
  const line = /^ExecStart=(.*)$/m.exec(unit)![1]!;
  const options = line.split(' ').filter((word) => /^--max-/.test(word));
  return options.map((word) => word.replace(/\$\{DETOUR_YOUNG_MB\}/, String(young ?? own)));
}

/** A daemon on a configuration of the test's own, started as the unit starts it. */
export function startDaemon(
  config: string,
  ...more: readonly string[]
): {
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly err: () => string;
} {
  const args = [...nodeOptions(), main, 'run', '-c', config, '--json', ...more];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  return { child, ...collect(child) };
}

export function collect(child: ChildProcess): { out: () => string; err: () => string } {
  let [out, err] = ['', ''];
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    out = (out + text).slice(-1_000_000);
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    err = (err + text).slice(-100_000);
  });
  return { out: () => out, err: () => err };
}

export async function stopChild(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM') {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill(signal);
  const late = pause(10_000, 'late', { ref: false });
  if ((await Promise.race([ended, late])) === 'late') child.kill('SIGKILL');
  await ended;
}

/** The CNAME that one server gives, without its dot; null: it gives none; undefined: no reply. */
export async function cnameAt(server: string, name: string): Promise<string | null | undefined> {
  const { host, port } = parseHostPort(server, 53)!;
  const fqdn = name.endsWith('.') ? name : `${name}.`;
  const reply = await ask(
    { address: host, port },
    { name: fqdn, type: 'CNAME' },
    {
      timeoutMs: 1000,
      signal: AbortSignal.timeout(2000),
    },
  );
  if (reply.kind !== 'reply') return undefined;
  const found = reply.message.answers.find((a) => a.type === 'CNAME');
  return found?.type === 'CNAME' ? found.target.replace(/\.$/, '') : null;
}

/** Waits for a condition, looking every 20 ms; throws when it has not come by the bound. */
export async function until(
  what: string,
  boundMs: number,
  holds: () => boolean | Promise<boolean>,
): Promise<number> {
  const begin = performance.now();
  while (!(await holds())) {
    if (performance.now() - begin > boundMs) throw new Error(`${what}: not within ${boundMs} ms`);
    await pause(20);
  }
  return performance.now() - begin;
}
