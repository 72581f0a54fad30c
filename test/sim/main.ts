// `npm run sim`: a simulated world a seed, and what came of all of them.
//
//   node test/sim/main.ts --seeds 1000 [--from 1]   so many worlds, one after the other
//   node test/sim/main.ts --seed 42                 one world, with everything that happened in it
//   node test/sim/main.ts --for 10m                 random seeds; those that fail go into seeds.txt
//   ... --thief                                     in each of them somebody has one vendor's key
//   ... --people                                    records ask first; people and hooks answer
//   ... --lines                                     records stand on several lines of a vendor
//   ... --group                                     a group of replicas over a simulated etcd
//
// A failure prints one line to paste. Exit code 1 when anything failed.

import { appendFileSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { parseDuration } from '../../src/kit/schema.ts';
import { runGroup } from './group-world.ts';
import { type Report, type RunOptions, runSeed } from './world.ts';

const list = new URL('seeds.txt', import.meta.url);

/** Which worlds: of one lease and a store each, the same with a thief in each, or a group's. */
export type Kind = 'plain' | 'thief' | 'people' | 'lines' | 'group';

/** Seeds that once failed: they always run. */
export function keptSeeds(kind: Kind = 'plain'): number[] {
  const lines = readFileSync(list, 'utf8').split('\n');
  const shape = {
    plain: /^(\d+) /,
    thief: /^thief (\d+) /,
    people: /^people (\d+) /,
    lines: /^lines (\d+) /,
    group: /^group (\d+) /,
  }[kind];
  return lines.flatMap((line) => shape.exec(line)?.slice(1).map(Number) ?? []);
}

/** What many worlds came to. */
export class Tally {
  seeds = 0;
  simulatedMs = 0;
  switches = 0;
  drills = { moved: 0, passed: 0 };
  splits = 0;
  crashes = 0;
  probes = 0;
  helped = 0;
  longestMs = 0;
  longestSeed = 0;
  readonly failed: Report[] = [];
  readonly #from = performance.now();

  add(report: Report): void {
    this.seeds++;
    this.simulatedMs += report.simulatedMs;
    this.switches += report.switches;
    this.drills.moved += report.drills?.moved ?? 0;
    this.drills.passed += report.drills?.passed ?? 0;
    this.splits += report.splits ?? 0;
    this.crashes += report.crashes;
    this.probes += report.probes;
    if (report.helped > 0) this.helped++;
    if ((report.convergedMs ?? 0) > this.longestMs) {
      this.longestMs = report.convergedMs!;
      this.longestSeed = report.seed;
    }
    if (report.violations.length > 0) this.failed.push(report);
  }

  text(): string {
    const years = this.simulatedMs / (365.25 * 86_400_000);
    const seconds = (performance.now() - this.#from) / 1000;
    const longest = `${(this.longestMs / 1000).toFixed(0)} s (seed ${this.longestSeed})`;
    return (
      `${this.seeds} seeds, ${this.failed.length} failed; ${years.toFixed(3)} simulated years, ` +
      `${this.switches} switches, ${this.drills.moved} drills (${this.drills.passed} passed), ${this.crashes} crashes, ${this.probes} probes; ` +
      (this.splits === 0 ? '' : `${this.splits} readings of lines that differ; `) +
      `longest non-convergence ${longest}, ${this.helped} worlds waited for a person; ` +
      `${seconds.toFixed(1)} s`
    );
  }
}

/** The line to paste, and why. */
export function failureText(report: Report, kind: Kind = 'plain'): string {
  const first = report.violations[0]!;
  const how = kind === 'plain' ? '' : `--${kind} `;
  return `npm run sim -- ${how}--seed ${report.seed}   # ${first.rule} at ${first.at} ms: ${first.what}`;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      for: { type: 'string' },
      thief: { type: 'boolean', default: false },
      people: { type: 'boolean', default: false },
      lines: { type: 'boolean', default: false },
      group: { type: 'boolean', default: false },
    },
  });
  const several = values.lines ? 'lines' : 'plain';
  const alone = values.thief ? 'thief' : values.people ? 'people' : several;
  const kind = values.group ? 'group' : alone;
  if (values.seed !== undefined) return one(Number(values.seed), kind);
  const tally = new Tally();
  const go = async (seed: number) => {
    const report = await run(seed, kind);
    tally.add(report);
    if (report.violations.length > 0) console.log(failureText(report, kind));
    return report;
  };
  if (values.for !== undefined) {
    const ms = parseDuration(values.for);
    if (ms === null) {
      console.error(`--for ${values.for}: give a duration such as 10m`);
      return 2;
    }
    const until = performance.now() + ms;
    while (performance.now() < until) {
      const report = await go(Math.floor(Math.random() * 2 ** 31));
      const first = report.violations[0];
      if (first !== undefined) {
        appendFileSync(list, `${kind === 'plain' ? '' : `${kind} `}${report.seed} ${first.rule}\n`);
      }
    }
  } else {
    for (const seed of keptSeeds(kind)) await go(seed);
    const from = Number(values.from);
    const count = Number(values.seeds ?? '200');
    for (let i = 0; i < count; i++) {
      await go(from + i);
      if ((i + 1) % 1000 === 0) console.log(tally.text());
    }
  }
  console.log(tally.text());
  return tally.failed.length > 0 ? 1 : 0;
}

function run(seed: number, kind: Kind, trace?: (line: string) => void): Promise<Report> {
  const traced = trace === undefined ? {} : { trace };
  if (kind === 'group') return runGroup(seed, traced);
  return runSeed(seed, { ...worldOf(kind), ...traced });
}

/** What of a kind makes its worlds. */
export function worldOf(kind: Exclude<Kind, 'group'>): RunOptions {
  return { thief: kind === 'thief', people: kind === 'people', lines: kind === 'lines' };
}

async function one(seed: number, kind: Kind): Promise<number> {
  const report = await run(seed, kind, (line) => console.log(line));
  for (const v of report.violations) console.log(`${v.rule} at ${v.at} ms: ${v.what}`);
  console.log(JSON.stringify({ ...report, violations: report.violations.length }));
  return report.violations.length > 0 ? 1 : 0;
}

if (process.argv[1] === import.meta.filename) process.exitCode = await main();
