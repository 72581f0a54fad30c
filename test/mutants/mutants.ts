// Deliberate defects: each row of test/mutants/table.ts is put into a copy of the sources, alone, and
// the scenario or test that states its rule must fail. A safety rule whose breaking nobody notices is
// no rule; a row whose text is no longer found exactly once is an error, so that the table cannot
// rot. It never touches the tree it is run from, and it runs two copies at a time.
//
//   node test/mutants/mutants.ts                 the table; exit 1 when a defect survives
//   node test/mutants/mutants.ts --only NAME     one row, with the first line that gave it away
//   node test/mutants/mutants.ts --all           against every scenario, whoever is meant to catch it

import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { type Mutant, mutants } from './table.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** Past this, the defect has made something run for ever: that is noticed too. */
const LIMIT_MS = 90_000;
const COPIES = 2;

interface Outcome {
  readonly mutant: Mutant;
  /** Scenarios and tests that failed; empty when it survived. */
  readonly caughtBy: readonly string[];
  /** The first difference, or what went wrong with the row itself. */
  readonly detail: string;
  readonly error: boolean;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      all: { type: 'boolean', default: false },
      play: { type: 'string' },
    },
  });
  if (values.play !== undefined) return playIn(values.play.split(','));
  const chosen = mutants.filter((m) => values.only === undefined || m.name === values.only);
  if (chosen.length === 0) {
    console.error(`no defect is named ${values.only}: see test/mutants/table.ts`);
    return 2;
  }
  const names = new Set(mutants.map((m) => m.name));
  if (names.size !== mutants.length) throw new Error('two rows bear the same name');
  const rules = [...chosen].sort((a, b) => a.rule - b.rule);
  const broken = await brokenAlready(new Set(chosen.map((m) => m.by)));
  if (broken !== '') {
    console.error(`without any defect these fail already, so they prove nothing: ${broken}`);
    return 2;
  }
  const verbose = values.only !== undefined || values.all;
  const outcomes = await inCopies(rules, values.all, (o) => console.log(row(o, verbose)));
  const survived = outcomes.filter((o) => o.caughtBy.length === 0).length;
  console.log(`${outcomes.length} defects, ${outcomes.length - survived} caught`);
  return survived > 0 ? 1 : 0;
}

/** Works the rows off in a few copies at a time; the outcomes in the order of the rows. */
async function inCopies(
  rows: readonly Mutant[],
  all: boolean,
  tell: (o: Outcome) => void,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let [next, told] = [0, 0];
  const worker = async () => {
    const copy = copyTree();
    try {
      while (next < rows.length) {
        const i = next++;
        outcomes[i] = await tryOut(copy, rows[i]!, all);
        while (outcomes[told] !== undefined) tell(outcomes[told++]!);
      }
    } finally {
      rmSync(copy, { recursive: true, force: true });
    }
  };
  await Promise.all(Array.from({ length: COPIES }, worker));
  return outcomes;
}

function copyTree(): string {
  const copy = mkdtempSync(join(tmpdir(), 'detour-mutants-'));
  for (const part of ['src', 'providers', 'test', 'web', 'dist/web', 'package.json']) {
    cpSync(join(root, part), join(copy, part), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

async function tryOut(copy: string, mutant: Mutant, all: boolean): Promise<Outcome> {
  const kept = new Map<string, string>();
  try {
    for (const { file, find, replace } of mutant.edits) {
      const path = join(copy, file);
      const text = readFileSync(path, 'utf8');
      const times = text.split(find).length - 1;
      if (times !== 1) {
        const detail = `its text stands ${times} times in ${file}: ${find}`;
        return { mutant, caughtBy: [], detail, error: true };
      }
      if (!kept.has(path)) kept.set(path, text);
      writeFileSync(
        path,
        text.replace(find, () => replace),
      );
    }
    return await judge(copy, mutant, all);
  } finally {
    for (const [path, text] of kept) writeFileSync(path, text);
  }
}

/** What fails in a copy without a defect: whatever it says of a defect would be worth nothing. */
async function brokenAlready(named: ReadonlySet<string>): Promise<string> {
  const copy = copyTree();
  try {
    const files = [...named];
    const scenarios = files.filter((by) => !isTest(by)).map((by) => `${by}.txt`);
    const ends = scenarios.length === 0 ? [] : [await play(copy, scenarios)];
    const left = files.filter(isTest);
    // No more at once than of the defects: what fails by load alone would stop the run.
    const worker = async () => {
      for (let file = left.pop(); file !== undefined; file = left.pop()) {
        ends.push(await runTests(copy, file));
      }
    };
    await Promise.all(Array.from({ length: COPIES }, worker));
    return ends.flatMap((end) => [...end.failed, ...end.errors]).join(', ');
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

async function judge(copy: string, mutant: Mutant, all: boolean): Promise<Outcome> {
  const every = readdirSync(join(copy, 'test', 'scenarios')).sort();
  const end = isTest(mutant.by)
    ? await runTests(copy, mutant.by)
    : await play(copy, all ? every : [`${mutant.by}.txt`]);
  const error = end.errors.length > 0;
  const detail = error ? end.errors.join(' ') : end.detail;
  return { mutant, caughtBy: error ? [] : end.failed, detail, error };
}

interface End {
  readonly failed: readonly string[];
  /** The first difference. */
  readonly detail: string;
  /** Why nothing was found out. */
  readonly errors: readonly string[];
}

const neverEnds: End = { failed: ['(it never ends)'], detail: '', errors: [] };

function isTest(by: string): boolean {
  return by.endsWith('.test.ts');
}

async function play(copy: string, files: readonly string[]): Promise<End> {
  const missing = files.filter((file) => !existsSync(join(copy, 'test', 'scenarios', file)));
  if (missing.length > 0) return { failed: [], detail: '', errors: [`no ${missing.join(', ')}`] };
  const { out, ended } = await runNode(copy, [
    'test/mutants/mutants.ts',
    '--play',
    files.join(','),
  ]);
  if (!ended) return neverEnds;
  if (!out.includes('PLAYED')) {
    const said = out.trim().split('\n').slice(0, 6).join(' ');
    return { failed: [], detail: '', errors: [`the copy does not run: ${said}`] };
  }
  const lines = out.split('\n').filter((line) => line.startsWith('FAILED '));
  const failed = lines.map((line) => line.slice(7, line.indexOf('\t')));
  return { failed, detail: lines[0]?.slice(lines[0].indexOf('\t') + 1) ?? '', errors: [] };
}

async function runTests(copy: string, file: string): Promise<End> {
  const path = join('test', file);
  const flags = ['--test', '--test-reporter=tap', '--test-timeout=60000'];
  const { out, ended } = await runNode(copy, [...flags, path]);
  if (!ended) return neverEnds;
  if (!/^# pass [1-9]/m.test(out)) {
    return { failed: [], detail: '', errors: [`${file} does not run in the copy`] };
  }
  return { ...failedTests(out), errors: [] };
}

/** Names of the tests of a file that failed, from TAP; the file's own line is not one of them. */
function failedTests(tap: string): { failed: string[]; detail: string } {
  const failed = [...tap.matchAll(/^ *not ok \d+ - (.*)$/gm)].map((m) => m[1]!);
  const message = /^ *error: (.*)$/m.exec(tap)?.[1] ?? '';
  return { failed, detail: message };
}

function runNode(cwd: string, args: readonly string[]): Promise<{ out: string; ended: boolean }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    const take = (part: string) => {
      if (out.length < 4_000_000) out += part;
    };
    child.stdout.setEncoding('utf8').on('data', take);
    child.stderr.setEncoding('utf8').on('data', take);
    let ended = true;
    const timer = setTimeout(() => {
      ended = false;
      child.kill('SIGKILL');
    }, LIMIT_MS);
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(timer);
      resolve({ out, ended });
    });
  });
}

/** The part that runs inside a copy: plays scenarios and says which of them give another trace. */
async function playIn(files: readonly string[]): Promise<number> {
  const here = join(process.cwd(), 'test');
  const scenario = (await import(
    pathToFileURL(join(here, 'core', 'scenario.ts')).href
  )) as typeof import('../core/scenario.ts');
  for (const file of files) {
    const text = readFileSync(join(here, 'scenarios', file), 'utf8');
    try {
      const first = scenario.play(text).failures[0];
      if (first !== undefined) console.log(`FAILED ${file}\t${difference(first)}`);
    } catch (error) {
      console.log(`FAILED ${file}\tthrew: ${error instanceof Error ? error.message : error}`);
    }
  }
  console.log('PLAYED');
  return 0;
}

/** The first line that differs between two traces. */
function difference({ want, got }: { want: string; got: string }): string {
  const [wanted, given] = [want.split('\n'), got.split('\n')];
  const at = wanted.findIndex((line, i) => line !== given[i]);
  if (at < 0) return `it goes on: ${given[wanted.length]}`;
  return `instead of "${wanted[at]}": "${given[at] ?? 'nothing'}"`;
}

function row(o: Outcome, verbose: boolean): string {
  const [first, ...more] = o.caughtBy;
  const who = first?.replace(/\.txt$/, '') ?? (o.error ? `ERROR ${o.detail}` : 'SURVIVED');
  const rest = more.map((name) => `, ${name.replace(/\.txt$/, '')}`).join('');
  const line = `${String(o.mutant.rule).padStart(4)}  ${o.mutant.name.padEnd(58)} ${who}${rest}`;
  return verbose && o.detail !== '' ? `${line}\n      ${o.detail}` : line;
}

process.exitCode = await main();
