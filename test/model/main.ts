// `npm run model`: the model of a group (group.pml) in each of its configurations, checked by Spin,
// and the model broken on purpose in each way that there is a flag for: then a property must fail.
// It prints how many states each has, and ends with 1 when a property does not hold, or a defect
// breaks none.
//
//   npm run model                        all of it: some minutes on two cores, at most 2 GB at a time
//   npm run model -- --only NAME         one row; with the last steps of the way to what failed
//
// It installs Spin and a C compiler where it may, as `npm test` does; absent they are named, and
// with CI set that is a failure. It must never leave a file or a process behind.

import { spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { thisMachine } from '../parts/machine.ts';
import { list, type Part, prepare } from '../parts/packages.ts';

const source = fileURLToPath(new URL('group.pml', import.meta.url));
const endMs = 15 * 60_000;
const MEMORY_MB = 2000;
const AT_ONCE = 2;
/** Longer than any way through the model. */
const DEPTH = 10_000;

const parts: readonly Part[] = [
  { pkg: 'spin', program: '/usr/bin/spin', purpose: 'checks the model' },
  { pkg: 'gcc', program: '/usr/bin/gcc', purpose: 'compiles what Spin makes of it' },
  { pkg: 'libc6-dev', program: '/usr/include/stdio.h', purpose: 'for the compiler' },
];

interface Row {
  readonly name: string;
  readonly flags: readonly string[];
  /** What must come of it: nothing fails, or this assertion does. */
  readonly fails: RegExp | null;
  /** In a sentence. */
  readonly says: string;
  /** Whether any way goes round for ever is looked for, not whether an assertion fails. */
  readonly rounds?: true;
}

const flags = (text: string) => text.split(' ').map((flag) => `-D${flag}`);
const row = (name: string, text: string, fails: RegExp | null, says: string): Row => {
  return { name, flags: flags(text), fails, says };
};

const alone = /r\[k\]\.own==0/;
const committed = /known>>/;
const back = /^0$/;
const restored = 'RESTORES=1 LOSSES=0 TICKS=3';
const small = 'DECISIONS=1 LOSSES=1 TICKS=3';

const rows: readonly Row[] = [
  row('compare', 'N=2', null, 'two replicas, a vendor that compares and sets'),
  row('compare-3', `N=3 ${small}`, null, 'three replicas'),
  row('order', `ORDERS=2 ${small}`, null, 'one order, said twice'),
  row('by-hand', `DIRECTS=1 ${small} HAND_KEPT`, null, 'a switch past the group is followed'),
  row('restored', `${restored} DECISIONS=3`, null, 'etcd is put back from a backup'),
  row('restored-order', `${restored} DECISIONS=1 ORDERS=1`, null, 'the same, with an order'),
  row('weak', 'WEAK', null, 'a vendor that cannot compare: in the end it has what the head says'),
  row('weak-by-hand', `WEAK DIRECTS=1 ${small}`, null, 'the same, with a switch past the group'),
  {
    ...row('weak-ends', `WEAK DIRECTS=1 ${small}`, null, 'no way through it goes on for ever'),
    rounds: true,
  },
  row('weak-goes-back', 'WEAK NEVER_BACK', back, 'there it may show an older value for a while'),
  row(
    'weak-loses-a-hand',
    `WEAK DIRECTS=1 ${small} HAND_KEPT`,
    /docEpoch>=handEpoch/,
    'and a late write may cover a switch by hand before anybody has read it',
  ),
  row(
    'authority-from-reply',
    'AUTHORITY_FROM_REPLY_MUTANT',
    alone,
    'authority is counted from the reply',
  ),
  row(
    'no-lease-compare',
    'NO_LEASE_COMPARE_MUTANT',
    /holder==txn/,
    'a commit does not compare the lease',
  ),
  row('no-head-compare', 'NO_HEAD_COMPARE_MUTANT', /taken>>/, 'a commit does not compare the head'),
  row(
    'unknown-is-done',
    'UNKNOWN_IS_DONE_MUTANT',
    committed,
    'a commit without a reply counts as done',
  ),
  row('blind-write', 'BLIND_WRITE_MUTANT', back, 'a write compares nothing'),
  row('no-fence', `DIRECTS=1 ${small} NO_FENCE_MUTANT`, back, 'a higher marker is overwritten'),
  row('no-done', `ORDERS=2 ${small} NO_DONE_MUTANT`, /wasDone/, 'what was done is not looked up'),
  row(
    'no-notice',
    `${restored} DECISIONS=2 NO_NOTICE_MUTANT`,
    /inc<=ackedInc/,
    'nobody notices the restore',
  ),
  row(
    'ack-at-once',
    `${restored} DECISIONS=2 ACK_AT_ONCE_MUTANT`,
    /own==0|leaseTerm>acted/,
    'a restore is acked while a right from before it lives',
  ),
  row(
    'keep-base',
    'RESTORES=1 LOSSES=0 TICKS=5 DECISIONS=2 KEEP_BASE_MUTANT',
    /leaseTerm>acted/,
    'after a restore terms begin again',
  ),
];

// ---------------------------------------------------------------- one row

interface Found {
  /** The assertion that failed; null: none did. */
  readonly failed: string | null;
  readonly states: number;
  readonly steps: number;
  readonly memoryMb: number;
  /** Something else than an answer: it did not compile, or had no room. */
  readonly trouble: string | null;
}

interface Done {
  readonly status: number | null;
  readonly output: string;
}

const running = new Set<ReturnType<typeof spawn>>();

function run(cwd: string, program: string, ...args: readonly string[]): Promise<Done> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], timeout: endMs });
    running.add(child);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        // Some lines are wanted, whatever a checker that runs wild may say.
        if (output.length < 4_000_000) output += chunk.toString();
      });
    }
    child.on('error', (error) => {
      output += error.message;
    });
    child.on('close', (status) => {
      running.delete(child);
      resolve({ status, output });
    });
  });
}

async function check({ flags, fails, rounds }: Row, folder: string): Promise<Found> {
  copyFileSync(source, join(folder, 'group.pml'));
  const none = { failed: null, states: 0, steps: 0, memoryMb: 0 };
  const made = await run(folder, 'spin', '-a', ...flags, 'group.pml');
  if (made.status !== 0 || /Error/.test(made.output)) return { ...none, trouble: made.output };
  // What is meant to fail does so at once: there the compiler is most of the time.
  const level = fails === null ? '-O1' : '-O0';
  const defines = [rounds ? '-DNP' : '-DSAFETY', `-DMEMLIM=${MEMORY_MB}`, '-w'];
  const built = await run(folder, 'gcc', level, ...defines, '-o', 'pan', 'pan.c');
  if (built.status !== 0) return { ...none, trouble: built.output };
  const { output, status } = await run(
    folder,
    './pan',
    ...(rounds ? ['-l'] : []),
    `-m${DEPTH}`,
    '-w22',
  );
  const number = (pattern: RegExp) => Number(pattern.exec(output)?.[1] ?? Number.NaN);
  const pattern = /(?:assertion violated (.+)|(non-progress cycle)) \(at depth/;
  const [, assertion, cycle] = pattern.exec(output) ?? [];
  const failed = assertion ?? cycle ?? null;
  const states = number(/(\d+) states, stored/);
  const isWhole = status === 0 && !/max search depth|out of memory|not completed/.test(output);
  const isAnswer =
    Number.isFinite(states) && (failed !== null || (isWhole && /errors: 0/.test(output)));
  return {
    failed: failed === null ? null : failed.trim(),
    states,
    steps: number(/(\d+) transitions/),
    memoryMb: number(/([\d.]+)\s+total actual memory usage/),
    trouble: isAnswer ? null : output,
  };
}

/** The last steps of the way to what failed. */
async function trail(flags: readonly string[], folder: string): Promise<string> {
  const { output } = await run(folder, 'spin', '-t', '-p', ...flags, 'group.pml');
  const steps = output.split('\n').filter((line) => /proc +\d/.test(line));
  return steps.slice(-120).join('\n');
}

/** Whether it came as it must, and a line about it. */
async function judge(one: Row, folder: string): Promise<readonly [ok: boolean, line: string]> {
  const from = performance.now();
  const found = await check(one, folder);
  const seconds = ((performance.now() - from) / 1000).toFixed(0);
  const { failed, states, steps, memoryMb, trouble } = found;
  if (trouble !== null) return [false, `${one.name}: no answer: ${trouble.slice(-2000)}`];
  const size = `${states.toLocaleString('en')} states, ${steps.toLocaleString('en')} steps`;
  const ok = one.fails === null ? failed === null : failed !== null && one.fails.test(failed);
  const came = failed === null ? 'holds' : `fails: ${failed}`;
  const line =
    `${ok ? 'ok ' : 'NOT'} ${one.name.padEnd(21)} ${one.says}: ${came} ` +
    `(${size}, ${Math.round(memoryMb)} MB, ${seconds} s)`;
  if (failed === null || (ok && options.only === undefined)) return [ok, line];
  return [ok, `${line}\n${await trail(one.flags, folder)}`];
}

const { values: options } = parseArgs({ options: { only: { type: 'string' } } });
const wanted = rows.filter(({ name }) => options.only === undefined || options.only === name);
if (wanted.length === 0) {
  const names = rows.map(({ name }) => name).join(', ');
  console.error(`model: no row is named ${options.only}: there are ${names}`);
  process.exit(2);
}
const missing = await prepare(parts, thisMachine(endMs));
if (missing.length > 0) {
  console.log(`skipped: not installed: ${list(missing)}`);
  process.exit(process.env['CI'] ? 1 : 0);
}
const scratch = mkdtempSync(join(tmpdir(), 'detour-model-'));
const isEnding = { by: null as string | null };
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    isEnding.by = name;
    for (const child of running) child.kill();
  });
}
let wrong = 0;
try {
  // The great ones first, so that two cores end at one time.
  const left = [...wanted];
  const worker = async () => {
    for (let one = left.shift(); one !== undefined && isEnding.by === null; one = left.shift()) {
      const folder = mkdtempSync(join(scratch, 'row-'));
      const [ok, line] = await judge(one, folder);
      if (!ok) wrong++;
      console.log(line);
      rmSync(folder, { recursive: true, force: true });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
console.log(`${wanted.length} rows, ${wanted.length - wrong} as they must be`);
process.exit(wrong > 0 || isEnding.by !== null ? 1 : 0);
