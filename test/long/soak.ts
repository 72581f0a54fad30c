// `npm run soak -- --minutes N`: the built daemon in the lab under random faults of every kind the
// lab knows, random commands of an operator and hands at the vendors' consoles, while its memory,
// descriptors and processor time are drawn. Every two minutes all is healed and everything must come
// back into step. It throws at the first thing that must never be: an answer that is no target of
// the record, a daemon that ended, a journal with a hole, a calm in which something stays behind.
// Memory is judged by its last third against its first, in runs long enough to say so, and
// descriptors by what is held at rest in each: how many are open in between is the faults' doing.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Command, Reply } from '../../src/core/model.ts';
import type { StatusView } from '../../src/core/view.ts';
import { checkJournal, mustCall, seeded, status, watchAnswers } from '../parts/daemon.ts';
import {
  type RunningLab,
  socketOf,
  startDaemon,
  startLabProgram,
  stopChild,
  until,
} from '../parts/program.ts';

/** A long run must not hold more at its end than this much over its beginning. */
const growthMost = 1.05;
/** Runs shorter than this cannot tell growth from warming up: it is printed and not judged. */
const judgedFromMinutes = 20;
const calmEveryMs = 120_000;
const calmBoundMs = 90_000;
const commandBoundMs = 20_000;
const sampleMs = 1_000;
const processHz = 100;

export interface SoakReport {
  readonly minutes: number;
  readonly faults: number;
  readonly commands: number;
  readonly reloads: number;
  readonly switches: number;
  readonly answers: number;
  readonly journalled: number;
  readonly calms: number;
  readonly slowestCalmMs: number;
  readonly slowestCommandMs: number;
  readonly samples: readonly Sample[];
}

/** What the daemon held at one moment. */
export interface Sample {
  readonly atMs: number;
  readonly rssMiB: number;
  readonly heapMiB: number;
  readonly descriptors: number;
  /** Share of one processor since the sample before. */
  readonly cpu: number;
  readonly storeKiB: number;
}

const parts: readonly (readonly [
  scope: string,
  names: readonly string[],
  hows: readonly string[],
])[] = [
  ['cloud', ['aliyun', 'aws'], ['refuse', 'hang', 'reset', '5xx', 'slow', 'drip', 'wrong-body']],
  ['cloud', ['aliyun', 'aws'], ['flap', 'auth', 'control']],
  ['region', ['cn-hangzhou', 'cn-beijing'], ['refuse', 'hang', '5xx', 'auth', 'flap', 'loss']],
  ['origin', ['hangzhou', 'hangzhou2', 'beijing', 'tokyo'], ['refuse', 'hang', '5xx', 'loss']],
  ['path', ['line-a', 'line-b', 'abroad'], ['refuse', 'hang', 'auth', 'cut', 'loss', 'slow']],
  ['uplink', ['all'], ['cut', 'hang', 'loss']],
  ['reference', ['ref-a', 'ref-b'], ['refuse', 'hang', '5xx']],
  ['vendor', ['route53', 'cloudflare', 'alidns'], ['hang', 'refuse', 'reset', 'error', 'html']],
  ['vendor', ['route53', 'cloudflare', 'alidns'], ['throttle', 'auth', 'lost-reply', 'dns-lag']],
  ['vendor', ['route53', 'cloudflare', 'alidns'], ['stale-read', 'second-writer']],
];

/** Runs for so many minutes; throws at the first thing that must never be. */
export async function soak(
  minutes: number,
  seed: number,
  say: (line: string) => void,
): Promise<SoakReport> {
  const lab = await startLabProgram('--no-daemon', '--paths', '3', '--needs', '--quotas', 'off');
  const run = new Run(lab, seeded(seed));
  try {
    await run.start();
    const begin = performance.now();
    const end = begin + minutes * 60_000;
    let [calmAt, sayAt] = [begin + calmEveryMs, begin + 60_000];
    while (performance.now() < end) {
      await run.disturb();
      if (performance.now() >= Math.min(calmAt, end)) {
        await run.calm();
        calmAt = performance.now() + calmEveryMs;
      }
      if (performance.now() < sayAt) continue;
      sayAt += 60_000;
      say(run.line(Math.round((performance.now() - begin) / 60_000)));
    }
    await run.calm();
    return await run.finish(minutes);
  } finally {
    await run.end();
    await lab.stop();
  }
}

class Run {
  readonly #lab: RunningLab;
  readonly #random: () => number;
  readonly #socket: string;
  readonly #daemon: ReturnType<typeof startDaemon>;
  readonly #samples: Sample[] = [];
  readonly #counts = {
    faults: 0,
    commands: 0,
    reloads: 0,
    calms: 0,
    slowestCalmMs: 0,
    slowestCommandMs: 0,
  };
  #watches: { stop: () => Promise<number> }[] = [];
  #sampling: Promise<void> | null = null;
  #targets: Readonly<Record<string, readonly string[]>> = {};
  #on = true;

  constructor(lab: RunningLab, random: () => number) {
    this.#lab = lab;
    this.#random = random;
    this.#socket = socketOf(lab.directory);
    this.#daemon = startDaemon(lab.ready.config);
  }

  async start(): Promise<void> {
    await this.#inStep('adopted everywhere');
    const view = await this.#view();
    this.#targets = Object.fromEntries(
      view.records.map((r) => [r.name, r.targets.map((t) => t.origin)]),
    );
    this.#watches = view.records.map((r) =>
      watchAnswers(
        this.#lab.ready.vendors,
        r.name,
        r.targets.map((t) => t.cname.replace(/\.$/, '')),
        100,
      ),
    );
    this.#sampling = this.#sample();
  }

  /** One thing goes wrong or is mended, somebody does something, and a moment passes. */
  async disturb(): Promise<void> {
    const dice = this.#random();
    if (dice < 0.5) this.#break();
    else if (dice < 0.75) this.#lab.lab('heal');
    else if (dice < 0.85) this.#edit();
    if (this.#random() < 0.5) await this.#operate();
    if (this.#random() < 0.1) {
      this.#daemon.child.kill('SIGHUP');
      this.#counts.reloads++;
    }
    await pause(500 + this.#random() * 5_000);
    this.#mustLive();
  }

  /** All is healed and every hand taken off: everything must come into step. */
  async calm(): Promise<void> {
    this.#lab.lab('heal');
    for (const what of ['aliyun', 'aws']) await this.#tell({ kind: 'undrain', what, by: 'soak' });
    await this.#tell({ kind: 'unfreeze', record: null, by: 'soak' });
    const ms = await this.#inStep('in step again after all was healed');
    this.#counts.calms++;
    this.#counts.slowestCalmMs = Math.max(this.#counts.slowestCalmMs, Math.round(ms));
  }

  async finish(minutes: number): Promise<SoakReport> {
    await mustCall(this.#socket, 'GET', '/v1/history?limit=1');
    this.#mustLive();
    await stopChild(this.#daemon.child);
    assert.equal(this.#daemon.child.exitCode, 0, `a clean end: ${this.#daemon.err()}`);
    const stateDir = join(this.#lab.directory, 'state');
    const answers = await Promise.all(this.#watches.map((w) => w.stop()));
    return {
      ...this.#counts,
      minutes,
      switches: this.#switches,
      answers: answers.reduce((a, b) => a + b, 0),
      journalled: checkJournal(stateDir),
      samples: this.#samples,
    };
  }

  async end(): Promise<void> {
    this.#on = false;
    await this.#sampling;
    await Promise.all(this.#watches.map((w) => w.stop()));
    await stopChild(this.#daemon.child, 'SIGKILL');
  }

  line(minute: number): string {
    const s = this.#samples.at(-1);
    const { faults, commands, calms } = this.#counts;
    const held = s && `${s.rssMiB.toFixed(0)} MiB, heap ${s.heapMiB.toFixed(0)}, `;
    const rest = s && `${s.descriptors} descriptors, ${(s.cpu * 100).toFixed(0)} % of a core`;
    return `${minute} min: ${faults} faults, ${commands} commands, ${calms} calms; ${held}${rest}`;
  }

  #switches = 0;

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)]!;
  }

  #break(): void {
    const [scope, names, hows] = this.#pick(parts);
    this.#lab.lab('break', scope, this.#pick(names), '--how', this.#pick(hows));
    this.#counts.faults++;
  }

  /** Somebody sets one of the record's own targets at a vendor's console. */
  #edit(): void {
    const record = this.#pick(Object.keys(this.#targets));
    const vendor = this.#pick(Object.keys(this.#lab.ready.vendors));
    this.#lab.lab('edit', vendor, record.replace(/\.$/, ''), this.#pick(this.#targets[record]!));
    this.#counts.faults++;
  }

  async #operate(): Promise<void> {
    const record = this.#pick(Object.keys(this.#targets));
    const target = this.#pick(this.#targets[record]!);
    const who = { reason: 'soak', by: 'soak' };
    const what = this.#pick(['aliyun', 'aws']);
    const doable: readonly Command[] = [
      { kind: 'switch', record, target, ...who, forMs: 20_000, force: true, dryRun: false },
      { kind: 'switch', record, target, ...who, forMs: null, force: false, dryRun: true },
      { kind: 'pin', record, ...who, forMs: 20_000 },
      { kind: 'unpin', record, by: 'soak' },
      { kind: 'drain', what, ...who },
      { kind: 'undrain', what, by: 'soak' },
      { kind: 'freeze', record, ...who },
      { kind: 'unfreeze', record, by: 'soak' },
      { kind: 'ack', reject: false, dryRun: false, record, by: 'soak' },
    ];
    await this.#tell(this.#pick(doable));
  }

  async #tell(command: Command): Promise<void> {
    this.#counts.commands++;
    const begin = performance.now();
    const asked = mustCall<Reply>(this.#socket, 'POST', '/v1/command', command, commandBoundMs);
    await asked.catch((error: Error) => {
      this.#mustLive();
      throw new Error(`${JSON.stringify(command)}: ${error.message}`);
    });
    const ms = Math.round(performance.now() - begin);
    this.#counts.slowestCommandMs = Math.max(this.#counts.slowestCommandMs, ms);
  }

  async #view(): Promise<StatusView> {
    const view = await status(this.#socket);
    assert.ok(view, `the daemon answers: ${this.#daemon.err()}`);
    return view;
  }

  async #inStep(what: string): Promise<number> {
    let last = '';
    return until(what, calmBoundMs, async () => {
      this.#mustLive();
      const view = await status(this.#socket);
      if (view === null) return false;
      for (const r of view.records) await this.#settle(r);
      await pause(200);
      const late = view.records.flatMap((r) =>
        r.providers
          .filter((p) => p.stage !== 'visible')
          .map((p) => `${r.name} at ${p.provider}: ${p.stage} (${p.problem})`),
      );
      const down = view.origins
        .filter((o) => o.health !== 'up')
        .map((o) => `${o.name} ${o.health}`);
      last = [...late, ...down].join('; ');
      return last === '';
    }).catch((error: Error) => {
      throw new Error(`${error.message}: ${last}`);
    });
  }

  /** What wants a person by design gets one: a record deposed, frozen, or edited by hand. */
  async #settle(r: StatusView['records'][number]): Promise<void> {
    const by = 'soak';
    if (r.stay.reason === 'deposed')
      await this.#tell({ kind: 'ack', reject: false, dryRun: false, record: r.name, by });
    if (r.stay.reason === 'frozen') await this.#tell({ kind: 'unfreeze', record: r.name, by });
    const isEdited = r.providers.some((p) => p.stage === 'diverged');
    if (!isEdited || r.target === null) return;
    const how = { reason: 'an edit is undone', by, forMs: 10_000, force: true, dryRun: false };
    await this.#tell({ kind: 'switch', record: r.name, target: r.target, ...how });
  }

  #mustLive(): void {
    const { exitCode, signalCode } = this.#daemon.child;
    assert.ok(exitCode === null && signalCode === null, `the daemon ended: ${this.#daemon.err()}`);
  }

  async #sample(): Promise<void> {
    const begin = performance.now();
    let before = { at: begin, ticks: ticksOf(this.#daemon.child.pid!) };
    while (this.#on && this.#daemon.child.exitCode === null) {
      await pause(sampleMs);
      const text = await metrics(this.#lab.ready.metrics);
      if (text === null || this.#daemon.child.exitCode !== null) continue;
      const [at, ticks] = [performance.now(), ticksOf(this.#daemon.child.pid!)];
      const cpu = (ticks - before.ticks) / processHz / ((at - before.at) / 1000);
      before = { at, ticks };
      this.#switches = sum(text, 'detour_switches_total');
      this.#samples.push({
        atMs: Math.round(at - begin),
        rssMiB: sum(text, 'process_resident_memory_bytes') / 2 ** 20,
        heapMiB: sum(text, 'nodejs_heap_size_used_bytes') / 2 ** 20,
        descriptors: readdirSync(`/proc/${this.#daemon.child.pid}/fd`).length,
        cpu,
        storeKiB: sizeOf(join(this.#lab.directory, 'state')) / 1024,
      });
    }
  }
}

/** Processor time of a process, in ticks: fields 14 and 15 of proc(5)'s stat. */
function ticksOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

function sizeOf(directory: string): number {
  return readdirSync(directory)
    .map((name) => statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0)
    .reduce((a, b) => a + b, 0);
}

async function metrics(url: string): Promise<string | null> {
  const text = await fetch(url, { signal: AbortSignal.timeout(5000) }).then(
    (r) => r.text(),
    () => null,
  );
  return text;
}

/** A metric over all its labels. */
function sum(text: string, name: string): number {
  const lines = text
    .split('\n')
    .filter((l) => l.startsWith(`${name} `) || l.startsWith(`${name}{`));
  return lines.reduce((total, line) => total + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

type Level = (values: readonly number[]) => number;

const mean: Level = (values) => values.reduce((a, b) => a + b, 0) / values.length;
/** What is held when nothing is going on: the mean of the least tenth. */
const atRest: Level = (values) =>
  mean([...values].sort((a, b) => a - b).slice(0, Math.ceil(values.length / 10)));

/** A level over the last third of the samples, over the same of the first. */
export function growth(
  samples: readonly Sample[],
  of: (s: Sample) => number,
  level: Level = mean,
): number {
  const third = Math.floor(samples.length / 3);
  return level(samples.slice(-third).map(of)) / level(samples.slice(0, third).map(of));
}

/** A line of at most 60 blocks, from the least value to the greatest. */
function graph(samples: readonly Sample[], of: (s: Sample) => number): string {
  const width = Math.min(60, samples.length);
  const means = Array.from({ length: width }, (_, i) => {
    const from = Math.floor((i * samples.length) / width);
    const part = samples.slice(
      from,
      Math.max(from + 1, Math.floor(((i + 1) * samples.length) / width)),
    );
    return part.reduce((a, s) => a + of(s), 0) / part.length;
  });
  const [least, most] = [Math.min(...means), Math.max(...means)];
  const step = (v: number) => (most === least ? 0 : Math.round(((v - least) / (most - least)) * 7));
  return means.map((v) => '▁▂▃▄▅▆▇█'[step(v)]).join('');
}

interface Curve {
  readonly name: string;
  readonly of: (s: Sample) => number;
  readonly unit: string;
  /** What may not grow; null: it is only drawn. */
  readonly judged: Level | null;
}

const curves: readonly Curve[] = [
  { name: 'resident', of: (s) => s.rssMiB, unit: 'MiB', judged: mean },
  { name: 'heap', of: (s) => s.heapMiB, unit: 'MiB', judged: null },
  { name: 'descriptors', of: (s) => s.descriptors, unit: '', judged: atRest },
  { name: 'processor', of: (s) => 100 * s.cpu, unit: '%', judged: null },
  { name: 'store', of: (s) => s.storeKiB, unit: 'KiB', judged: null },
];

/** The curves, and what of memory and descriptors grew more than it may. */
export function draw(report: SoakReport, say: (line: string) => void): string[] {
  const grown: string[] = [];
  for (const { name, of, unit, judged } of curves) {
    const values = report.samples.map(of);
    const [least, most] = [Math.min(...values), Math.max(...values)];
    const ratio = growth(report.samples, of, judged ?? mean);
    const what = judged === atRest ? 'at rest' : 'on average';
    say(
      `${name.padEnd(12)} ${graph(report.samples, of)} ${least.toFixed(0)} to ${most.toFixed(0)} ` +
        `${unit}, last third ${ratio.toFixed(3)} x the first ${what}`,
    );
    if (judged !== null && ratio > growthMost) grown.push(`${name} grew ${ratio.toFixed(3)} times`);
  }
  return report.minutes >= judgedFromMinutes ? grown : [];
}

if (process.argv[1] === import.meta.filename) {
  const { values: options } = parseArgs({
    options: {
      minutes: { type: 'string', default: '2' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      csv: { type: 'string' },
    },
  });
  const minutes = Number(options.minutes);
  if (!(minutes > 0)) throw new Error(`--minutes ${options.minutes}: expected a number above 0`);
  console.log(`seed ${options.seed}`);
  const report = await soak(minutes, Number(options.seed), (line) => console.log(line));
  const { samples, ...rest } = report;
  console.log(JSON.stringify(rest));
  const grown = draw(report, (line) => console.log(line));
  if (options.csv !== undefined) {
    const keys = Object.keys(samples[0]!) as (keyof Sample)[];
    const rows = samples.map((s) => keys.map((k) => s[k]).join(','));
    writeFileSync(options.csv, `${[keys.join(','), ...rows].join('\n')}\n`);
  }
  console.log(`goals: ${grown.length === 0 ? 'met' : `MISSED: ${grown.join('; ')}`}`);
  process.exitCode = grown.length === 0 ? 0 : 1;
}
