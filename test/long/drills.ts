// Twenty live drills against the lab with the built daemon, one after the other: what each vendor takes
// to be written and to be visible, counted from its turn. There is no detection in it: nothing fails.
// What is predicted for a record is held against these figures. `npm run drills -- --drills N`, with
// `--by-vendor` for drills vendor by vendor, `--json` for one document.

import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import type { Command, Reply } from '../../src/core/model.ts';
import type { RecordView } from '../../src/core/view.ts';
import { mustCall, status, watchAnswers } from '../parts/daemon.ts';
import { socketOf, startLabProgram, until } from '../parts/program.ts';

const www = 'www.gslb.example.net';
const targets = ['hz.shop.example', 'nrt.shop.example'];

/** Milliseconds. */
interface Figures {
  readonly median: number;
  readonly p90: number;
  readonly most: number;
}

/** What one vendor took over all moves, there and back. */
interface VendorFigures {
  readonly provider: string;
  readonly moves: number;
  readonly written: Figures;
  readonly visible: Figures;
}

export interface DrillsReport {
  readonly drills: number;
  readonly byVendor: boolean;
  /** Seconds for which what stands may be cached. */
  readonly ttl: number;
  /** DNS answers that were asked for meanwhile: each was one of the two targets. */
  readonly answers: number;
  readonly vendors: readonly VendorFigures[];
}

/** Drills so many times; throws at the first that does not pass, and at any wrong answer. */
export async function drills(count: number, byVendor: boolean): Promise<DrillsReport> {
  const lab = await startLabProgram('--quotas', 'off');
  const socket = socketOf(lab.directory);
  const watch = watchAnswers(lab.ready.vendors, www, targets, 50);
  const runs: NonNullable<RecordView['lastDrill']>[] = [];
  try {
    let record = await calm(socket);
    for (let i = 0; i < count; i++) {
      runs.push(await once(socket, byVendor));
      record = await calm(socket);
    }
    assert.deepEqual([record.pin, record.budget.used], [null, 0]);
    const ttl = Math.max(...record.providers.map((p) => p.ttl ?? 0));
    return { drills: count, byVendor, ttl, answers: await watch.stop(), vendors: figuresOf(runs) };
  } finally {
    await watch.stop();
    await lab.stop();
  }
}

async function recordOf(socket: string): Promise<RecordView | undefined> {
  return (await status(socket))?.records.find((r) => r.name === `${www}.`);
}

/** Waits until a drill would not be refused. */
async function calm(socket: string): Promise<RecordView> {
  let found: RecordView | undefined;
  await until('all is well', 60_000, async () => {
    found = await recordOf(socket);
    if (found === undefined || found.switching || found.drill !== null) return false;
    const isUp = found.targets.every((t) => t.health === 'up');
    return isUp && found.providers.every((p) => p.stage === 'visible' && p.problem === null);
  });
  return found!;
}

async function once(socket: string, byVendor: boolean) {
  const order: Command = {
    ...{ kind: 'drill', record: `${www}.`, target: null, byVendor },
    ...{ forMs: 1000, watchMs: 1000, reason: 'figures', by: 'npm run drills' },
  };
  const reply = await mustCall<Reply>(socket, 'POST', '/v1/command', order);
  assert.equal(reply.exit, 0, reply.message);
  const { id } = reply.detail as { readonly id: string };
  let run: RecordView['lastDrill'] = null;
  await until('the drill is over', 120_000, async () => {
    run = (await recordOf(socket))?.lastDrill ?? null;
    return run?.id === id;
  });
  assert.equal(run!.result, 'passed', run!.sentence);
  return run!;
}

function figuresOf(runs: readonly NonNullable<RecordView['lastDrill']>[]): VendorFigures[] {
  const parts = runs.flatMap((run) => [...run.parts, ...run.back]);
  const names = [...new Set(parts.map(({ provider }) => provider))];
  return names.map((provider) => {
    const own = parts.filter((part) => part.provider === provider);
    const times = (of: 'writtenMs' | 'visibleMs') => own.flatMap((part) => part[of] ?? []);
    const [written, visible] = [spread(times('writtenMs')), spread(times('visibleMs'))];
    return { provider, moves: own.length, written, visible };
  });
}

function spread(times: readonly number[]): Figures {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  return { median: at(0.5) ?? 0, p90: at(0.9) ?? 0, most: sorted.at(-1) ?? 0 };
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({
    options: {
      drills: { type: 'string', default: '20' },
      'by-vendor': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const report = await drills(Number(values.drills), values['by-vendor']);
  if (values.json) console.log(JSON.stringify(report));
  else {
    const { answers, ttl, vendors } = report;
    console.log(`${report.drills} live drills, all passed; ${answers} answers, none of them wrong`);
    console.log(`TTL ${ttl} s; milliseconds from a vendor's turn:`);
    const rows = vendors.map(({ provider, moves, written: w, visible: v }) => ({
      ...{ provider, moves, 'written median': w.median, p90: w.p90, most: w.most },
      ...{ 'visible median': v.median, 'p90 ': v.p90, 'most ': v.most },
    }));
    console.table(rows);
  }
}
