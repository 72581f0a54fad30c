// How well a prediction fits: the built daemon in the lab is switched to and fro, and before each switch
// its prediction is noted, for each vendor; afterwards what it took. The medians of both must be within
// 20 % of each other at every vendor. `npm run objective -- --switches N`; with `--drills N` by live
// drills, each of which is two moves.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Command, Reply } from '../../src/core/model.ts';
import type { RecordView } from '../../src/core/view.ts';
import type { StoredEntry } from '../../src/ports.ts';
import { call, mustCall, status } from '../parts/daemon.ts';
import { socketOf, startDaemon, startLabProgram, stopChild, until } from '../parts/program.ts';

const www = 'www.gslb.example.net.';
/** As many as a prediction rests on. */
const LEARNT_BY = 9;
const WITHIN = 0.2;

interface VendorFit {
  readonly provider: string;
  readonly predictedMs: number;
  readonly tookMs: number;
  /** The one by the other, less one. */
  readonly off: number;
}

interface Fit {
  readonly switches: number;
  readonly vendors: readonly VendorFit[];
  readonly kept: number;
  readonly missed: number;
}

/** Moves so often after it has learnt; throws where a move does not come to its end. */
async function fit(switches: number, how: 'switch' | 'drill'): Promise<Fit> {
  const lab = await startLabProgram('--no-daemon', '--quotas', 'off');
  const { config } = lab.ready;
  const text = readFileSync(config, 'utf8');
  writeFileSync(config, text.replace('  failback: manual', '  failback: manual\n  objective: 90s'));
  const socket = socketOf(lab.directory);
  const daemon = startDaemon(config);
  const predicted = new Map<string, number[]>();
  const took = new Map<string, number[]>();
  const add = (to: Map<string, number[]>, provider: string, ms: number) =>
    to.set(provider, [...(to.get(provider) ?? []), ms]);
  try {
    await settled(socket, null, daemon.err);
    let target = 'hangzhou';
    for (let i = 0; i < LEARNT_BY + switches; i++) {
      target = target === 'hangzhou' ? 'tokyo' : 'hangzhou';
      const before = await recordOf(socket);
      const all =
        how === 'drill' ? await drilled(socket) : await switched(socket, target, daemon.err);
      // A vendor is measured once a second at most.
      await pause(1_100);
      if (i < LEARNT_BY) continue;
      for (const { provider, commitMs, writeMs, visibleMs } of before!.predicted!.parts) {
        add(predicted, provider, commitMs + writeMs + visibleMs);
        for (const ms of all.get(provider)!) add(took, provider, ms);
      }
    }
    const { entries } = await mustCall<{ entries: readonly StoredEntry[] }>(
      socket,
      'GET',
      '/v1/history?limit=10000',
    );
    const outcomes = entries.flatMap(({ kind, data }) => {
      const { kept } = (data ?? {}) as { kept?: boolean };
      return kind === 'objective' && kept !== undefined ? [kept] : [];
    });
    await stopChild(daemon.child);
    const kept = outcomes.filter((one) => one).length;
    const vendors = [...predicted.keys()].toSorted().map((provider): VendorFit => {
      const predictedMs = median(predicted.get(provider)!);
      const tookMs = median(took.get(provider)!);
      return { provider, predictedMs, tookMs, off: predictedMs / tookMs - 1 };
    });
    return { switches, vendors, kept, missed: outcomes.length - kept };
  } finally {
    await stopChild(daemon.child, 'SIGKILL');
    await lab.stop();
  }
}

type Took = ReadonlyMap<string, readonly number[]>;

async function switched(socket: string, target: string, err: () => string): Promise<Took> {
  const reply = await order(socket, target);
  assert.equal(reply?.exit, 0, reply?.message);
  const { providers } = await settled(socket, target, err);
  return new Map(providers.map((p) => [p.provider, [p.visibleAfterMs!]]));
}

/** There and back; both are moves of the same kind. */
async function drilled(socket: string): Promise<Took> {
  const said = { reason: 'a rehearsal', by: 'objective', byVendor: false, forMs: 2_000 };
  const command: Command = { kind: 'drill', record: www, target: null, ...said };
  const reply = await call<Reply>(socket, 'POST', '/v1/command', command);
  assert.equal(reply?.exit, 0, reply?.message);
  const { id } = reply!.detail as { id: string };
  let last: RecordView['lastDrill'] = null;
  await until('the drill is over', 60_000, async () => {
    const record = await recordOf(socket);
    last = record?.lastDrill ?? null;
    return record?.drill === null && last?.id === id;
  });
  const { result, sentence, parts, back } = last!;
  assert.equal(result, 'passed', sentence);
  const all = Map.groupBy([...parts, ...back], (p) => p.provider);
  return new Map([...all].map(([provider, some]) => [provider, some.map((p) => p.visibleMs!)]));
}

async function recordOf(socket: string): Promise<RecordView | undefined> {
  return (await status(socket))?.records.find(({ name }) => name === www);
}

/** Visible at every vendor; null: wherever it is. */
async function settled(
  socket: string,
  target: string | null,
  err: () => string,
): Promise<RecordView> {
  let found: RecordView | undefined;
  await until(`every vendor gives ${target ?? 'its target'}`, 40_000, async () => {
    found = await recordOf(socket);
    const isThere = found?.target !== null && (target === null || found?.target === target);
    return isThere && found?.providers.every(({ stage }) => stage === 'visible') === true;
  }).catch((error: Error) => {
    throw new Error(`${error.message}: ${err()}`);
  });
  return found!;
}

function order(socket: string, target: string): Promise<Reply | null> {
  const said = { reason: 'to and fro', by: 'objective', forMs: null, force: true, dryRun: false };
  const command: Command = { kind: 'switch', record: www, target, ...said };
  return call<Reply>(socket, 'POST', '/v1/command', command);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({
    options: { switches: { type: 'string', default: '20' }, drills: { type: 'string' } },
  });
  const { switches, drills } = values;
  const made = await fit(Number(drills ?? switches), drills === undefined ? 'switch' : 'drill');
  for (const { provider, predictedMs, tookMs, off } of made.vendors) {
    const share = `${off < 0 ? '' : '+'}${(100 * off).toFixed(1)} %`;
    console.log(`${provider.padEnd(4)} predicted ${predictedMs} ms, took ${tookMs} ms (${share})`);
  }
  console.log(
    `${made.switches} ${drills === undefined ? 'switches' : 'live drills'}; objective of 90 s kept ${made.kept}, missed ${made.missed}`,
  );
  const wrong = made.vendors.filter(({ off }) => Math.abs(off) > WITHIN);
  if (wrong.length > 0) {
    console.error(`off by more than 20 %: ${wrong.map(({ provider }) => provider).join(', ')}`);
    process.exitCode = 1;
  }
}
