// `npm run bench:cli`: how long an operator waits. Some runs of the built program: from the start of
// the daemon to 200 from /readyz, and `detour --help`, `status`, `validate` beside a bare `node -e 0`,
// each with its goal on an idle machine. On a busy one look at the processor time that one run takes
// (of the daemon, until it is ready), and at what bare Node takes.
// The daemon and its three vendors are the lab's. One run at a time (`--runs 15`).

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { socketOf, startDaemon, startLabProgram, stopChild, until } from '../parts/program.ts';
import { calm, costOf, machine } from './peers.ts';

const { values } = parseArgs({ options: { runs: { type: 'string', default: '15' } } });
const runs = Number(values.runs);
const CALM_MS = 60_000;
const READY_MS = 60_000;

const quantile = (ms: readonly number[], share: number) =>
  ms.toSorted((a, b) => a - b)[Math.min(ms.length - 1, Math.floor(ms.length * share))]!;

/** What people start. */
const detour = join(import.meta.dirname, '..', '..', 'bin', 'detour.cjs');

/** Of one thing that was run: how long each took, and of them all the mean processor time. */
interface Timed {
  readonly ms: readonly number[];
  readonly cpuMs: number;
}

function print(what: string, { ms, cpuMs }: Timed, goalMs: number | null): void {
  const cells = [0, 0.5, 0.95].map((share) => `${quantile(ms, share).toFixed(0).padStart(5)} ms`);
  const goal = goalMs === null ? '' : `  goal ${goalMs} ms`;
  const [least, median, most] = cells;
  console.log(
    `${what.padEnd(34)} least ${least}  median ${median}  95 % ${most}  cpu ${cpuMs.toFixed(0).padStart(4)} ms  n ${ms.length}${goal}`,
  );
}

/** Milliseconds of processor that children of this process took which have ended: /proc, in ticks. */
function spentByChildren(): number {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13]) + Number(fields[14])) * 10;
}

/** Runs a program some times; throws where one run fails. */
function timed(args: readonly string[], env: NodeJS.ProcessEnv): Timed {
  const before = spentByChildren();
  const ms = Array.from({ length: runs }, () => {
    const from = performance.now();
    const done = spawnSync(process.execPath, args, { env, encoding: 'utf8', timeout: 60_000 });
    const ms = performance.now() - from;
    if (done.status !== 0) throw new Error(`${args.join(' ')}: ${done.stderr}${done.stdout}`);
    return ms;
  });
  return { ms, cpuMs: (spentByChildren() - before) / runs };
}

/** Where the lab's configuration has the daemon listen. */
function readyUrl(metrics: string): string {
  return new URL('/readyz', metrics).href;
}

async function startUps(config: string, metrics: string): Promise<Timed> {
  const ms: number[] = [];
  let cpuMs = 0;
  for (let i = 0; i < Math.min(runs, 7); i++) {
    const from = performance.now();
    const { child, err } = startDaemon(config);
    try {
      await until('the daemon is ready', READY_MS, () => {
        if (child.exitCode !== null) throw new Error(`the daemon ended: ${err()}`);
        return fetch(readyUrl(metrics)).then(
          (answer) => answer.ok,
          () => false,
        );
      });
      ms.push(performance.now() - from);
      cpuMs += costOf([child.pid!]).cpuMs;
    } finally {
      await stopChild(child);
    }
  }
  return { ms, cpuMs: cpuMs / ms.length };
}

async function measure(): Promise<void> {
  await calm(CALM_MS);
  console.log(`machine: ${machine()}`);
  const lab = await startLabProgram('--no-daemon');
  try {
    const { config, metrics } = lab.ready;
    const lines = readFileSync(config, 'utf8').split('\n').length;
    print('detour run, until /readyz is 200', await startUps(config, metrics), 700);
    const { child } = startDaemon(config);
    try {
      const env = { ...process.env, DETOUR_SOCKET: socketOf(lab.directory) };
      const isUp = () => lab.cli('status').status === 0;
      await until('the daemon answers', READY_MS, isUp);
      print('node -e 0', timed(['-e', '0'], env), null);
      print('detour --help', timed([detour, '--help'], env), 90);
      print('detour status', timed([detour, 'status'], env), 120);
      const validate = [detour, 'validate', '-c', config];
      print(`detour validate (${lines} lines)`, timed(validate, env), 250);
    } finally {
      await stopChild(child);
    }
  } finally {
    await lab.stop();
  }
}

await measure();
