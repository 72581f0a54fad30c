// Runs one target: draws inputs from seeded dice, hands each to the real code, and holds what it
// promises against what it did. An input that breaks a promise is kept as a file, which
// test/fuzz/fuzz.test.ts replays from then on. Slowness counts only when it shows three times over: the
// machine may be slow, the code may not.

import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Dice } from './dice.ts';

/** A promise of Detour's that an input has broken. */
export class Broken extends Error {}

/** Something took longer than it may; perhaps only because the machine was busy. */
export class Slow extends Broken {}

export function demand(holds: boolean, promise: string): asserts holds {
  if (!holds) throw new Broken(promise);
}

/** The real code, set up to be handed inputs. */
export interface Stand<Input> {
  /** How often each thing was reached that shows that inputs get somewhere. */
  readonly reached: Reached;
  /** One more input; plain JSON, and everything that its run depends on. */
  draw(dice: Dice): Input;
  /** Throws Broken, or whatever the code threw that must not throw. */
  run(input: Input): Promise<void>;
  close(): Promise<void>;
}

export class Reached {
  readonly counts: Record<string, number> = {};

  note(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }
}

export interface Target<Input = unknown> {
  readonly name: string;
  /** Inputs under way at once. */
  readonly atOnce: number;
  open(): Promise<Stand<Input>>;
}

/** Forgets what a target's inputs look like, so that all stand in one table. */
export function target<Input>(made: Target<Input>): Target {
  return made as Target as Target<unknown>;
}

export interface Finding {
  readonly file: string;
  readonly promise: string;
}

export interface Report {
  readonly inputs: number;
  readonly seconds: number;
  /** What the heap and its buffers held more at the end than when warm, in MiB. */
  readonly grownMib: number;
  readonly findings: readonly Finding[];
  readonly reached: Readonly<Record<string, number>>;
}

const growthMostMib = 48;
/** After so many findings of one run the rest can wait. */
const findingsMost = 8;
const warmAfter = 100;
const sampleEvery = 1000;

/** Draws and runs inputs until so many have run or so much time has passed. */
export async function fuzz(
  { name, atOnce, open }: Target,
  options: { readonly seed: number; readonly inputs: number; readonly forMs: number },
): Promise<Report> {
  const stand = await open();
  const findings: Finding[] = [];
  const seen = new Set<string>();
  const from = performance.now();
  const state = { next: 0, ended: 0, warmMib: Number.NaN, grownMib: 0 };
  const found = (input: unknown, error: unknown) => {
    const promise = sayOf(error);
    const kind = promise.replaceAll(/\d+/g, 'n').slice(0, 160);
    if (seen.has(kind)) return;
    seen.add(kind);
    findings.push({ file: keep(name, input), promise });
  };
  const worker = async () => {
    while (state.next < options.inputs && findings.length < findingsMost) {
      if (performance.now() - from > options.forMs) return;
      const input = stand.draw(new Dice(options.seed, state.next++));
      try {
        await runFairly(stand, input);
      } catch (error) {
        found(input, error);
      }
      state.ended++;
      if (state.ended === warmAfter || state.ended % sampleEvery === 0) sample(state);
      // Sync targets would otherwise never let a timer or a signal through.
      if (state.ended % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const stray = (error: unknown) => found({ stray: sayOf(error), seed: options.seed }, error);
  process.on('unhandledRejection', stray);
  process.on('uncaughtException', stray);
  try {
    await Promise.all(Array.from({ length: atOnce }, worker));
    await new Promise((resolve) => setImmediate(resolve));
    sample(state);
  } finally {
    await stand.close();
    process.off('unhandledRejection', stray);
    process.off('uncaughtException', stray);
  }
  if (state.grownMib > growthMostMib) {
    const promise = `the heap grew by ${Math.round(state.grownMib)} MiB over ${state.ended} inputs`;
    findings.push({ file: '', promise });
  }
  const reached = stand.reached.counts;
  const seconds = (performance.now() - from) / 1000;
  return { inputs: state.ended, seconds, grownMib: state.grownMib, findings, reached };
}

/** Runs every kept input of a target; one sentence for each that still breaks a promise. */
export async function replay({ name, open }: Target): Promise<string[]> {
  const stand = await open();
  const broken: string[] = [];
  try {
    for (const { file, input } of kept(name)) {
      await runFairly(stand, input).catch((error: unknown) => {
        broken.push(`${file}: ${sayOf(error)}`);
      });
    }
    return broken;
  } finally {
    await stand.close();
  }
}

/** The kept inputs of a target, by their file names. */
export function kept(name: string): readonly { readonly file: string; readonly input: unknown }[] {
  return readdirSync(folder)
    .filter((file) => new RegExp(`^${name}-[0-9a-f]{12}$`).test(file))
    .map((file) => ({ file, input: JSON.parse(readFileSync(new URL(file, folder), 'utf8')) }));
}

const folder = new URL('./found/', import.meta.url);

/** Writes an input down; the same input has the same file. */
function keep(name: string, input: unknown): string {
  const text = JSON.stringify(input);
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 12);
  const file = `${name}-${hash}`;
  mkdirSync(folder, { recursive: true });
  writeFileSync(new URL(file, folder), `${text}\n`);
  return file;
}

async function runFairly(stand: Stand<unknown>, input: unknown): Promise<void> {
  for (let turn = 1; ; turn++) {
    try {
      return await stand.run(input);
    } catch (error) {
      if (!(error instanceof Slow) || turn === 3) throw error;
    }
  }
}

function sayOf(error: unknown): string {
  if (error instanceof Broken) return error.message;
  if (!(error instanceof Error)) return `it threw ${String(error).slice(0, 200)}`;
  const where = (error.stack ?? '').split('\n').find((line) => /\/(src|providers)\//.test(line));
  const place = /((?:src|providers)\/[\w/.-]+:\d+)/.exec(where ?? '')?.[1] ?? 'somewhere';
  return `it threw ${error.name}: ${error.message.slice(0, 200)} (${place})`;
}

function sample(state: { warmMib: number; grownMib: number }): void {
  collect();
  const mib = heldMib();
  if (Number.isNaN(state.warmMib)) state.warmMib = mib;
  else state.grownMib = mib - state.warmMib;
}

/** What the heap and its buffers hold, garbage included. */
export function heldMib(): number {
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 1_048_576;
}

/** Collects garbage, so that what is left is held by somebody. */
export function collect(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

// ---------------------------------------------------------------- time

/** Runs something that does not wait; it may use so much of a processor, whoever else does too. */
export function inTime<T>(cpuMs: number, what: string, run: () => T): T {
  const before = process.cpuUsage();
  const result = run();
  const { user, system } = process.cpuUsage(before);
  const took = Math.round((user + system) / 1000);
  if (took > cpuMs) throw new Slow(`${what} took ${took} ms of a processor, more than ${cpuMs}`);
  return result;
}

const beatMs = 5;

/**
 * Waits for something that must end by itself within so many milliseconds. Only time in which this
 * process was let run counts: by beats of its own, or by the processor that it used.
 */
export async function ends<T>(boundMs: number, what: string, work: Promise<T>): Promise<T> {
  const from = performance.now();
  const before = process.cpuUsage();
  let beats = 0;
  const heart = setInterval(() => beats++, beatMs);
  let timer: NodeJS.Timeout | undefined;
  const hung = new Promise<never>((_, reject) => {
    // Long after the bound: an end that is only late is told apart from none at all.
    const never = () => reject(new Broken(`${what} did not end`));
    timer = setTimeout(never, boundMs + 5000);
  });
  try {
    const result = await Promise.race([work, hung]);
    const { user, system } = process.cpuUsage(before);
    const ranMs = Math.max(beats * beatMs, (user + system) / 1000);
    const took = Math.round(Math.min(performance.now() - from, ranMs));
    if (took > boundMs) throw new Slow(`${what} ended after ${took} ms, not ${boundMs}`);
    return result;
  } finally {
    clearInterval(heart);
    clearTimeout(timer);
  }
}

export const b64 = (bytes: Buffer): string => bytes.toString('base64');
export const unb64 = (text: string): Buffer => Buffer.from(text, 'base64');
