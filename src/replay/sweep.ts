// The trade between moving soon and moving for nothing: one outage under every combination of some
// thresholds, as a table. Each row is a replay of its own from the same seed: a calm time with the
// background loss first, then the outage until whoever had to move has had the time to. It judges
// nothing and recommends nothing.

import type { Config } from '../config/config.ts';
import type { Tables } from '../config/tables.ts';
import type { Outage } from './outages.ts';
import { failuresOf, type Replay, replay } from './replay.ts';
import { type Setting, withSettings } from './settings.ts';

interface Row {
  readonly settings: readonly Setting[];
  /** Switches away from what had failed, and those away from what had not. */
  readonly switches: number;
  readonly falseSwitches: number;
  /** From the failure to the decision, and to the last vendor in reach; of the slowest record. */
  readonly decidedAfterMs: number | null;
  readonly servedAfterMs: number | null;
  /** Records whose first target failed and that did not move. */
  readonly stayed: number;
  readonly probesPerSecond: number;
}

export interface Sweep {
  readonly rows: readonly Row[];
  readonly notes: readonly string[];
  /** Records whose first target fails in this outage. */
  readonly struck: readonly string[];
  /** Length of each replay at most, of which so much is calm. */
  readonly replayedMs: number;
  readonly calmMs: number;
}

interface SweepOptions {
  readonly config: Config;
  readonly outage: Outage;
  readonly as: string | null;
  readonly seed: number;
  readonly loss: number;
  readonly tables: Tables;
  readonly combinations: readonly (readonly Setting[])[];
}

/** Long enough for false switches to show, with loss; without any there are none to wait for. */
const CALM_MS = 3_600_000;
const CALM_WITHOUT_LOSS_MS = 60_000;
/** After a target has failed and patience is over: who has not moved by then does not. */
const WAIT_MS = 120_000;

/** Null where `as` is no name of the configuration's. Throws InputError for a value out of bounds. */
export function sweep(o: SweepOptions): Sweep | null {
  const { config, outage, as, seed, loss } = o;
  const plain = { outage, as, seed, back: false } as const;
  const failing = failuresOf(config, outage, as);
  if (failing === null) return null;
  const lastMs = Math.max(0, ...failing.map((f) => f.afterMs));
  const calmMs = loss > 0 ? CALM_MS : CALM_WITHOUT_LOSS_MS;
  const notes = new Set<string>();
  let longestMs = 0;
  const rows = o.combinations.map((settings) => {
    const changed = withSettings(config.core, settings, o.tables);
    for (const note of changed.notes) notes.add(note);
    const run = { ...config, core: changed.core };
    const untilMs = lastMs + WAIT_MS + longestPatienceMs(changed.core);
    longestMs = Math.max(longestMs, calmMs + untilMs);
    const result = replay({ ...plain, config: run, loss, quietMs: calmMs, untilMs })!;
    return rowOf(result, settings, calmMs + untilMs);
  });
  const struck = failing.map((f) => f.name);
  return { rows, notes: [...notes], struck, replayedMs: longestMs, calmMs };
}

function longestPatienceMs(core: Config['core']): number {
  return Math.max(0, ...Object.values(core.records).map((r) => r.patienceMs));
}

function rowOf(result: Replay, settings: readonly Setting[], ms: number): Row {
  const failed = result.records.filter((r) => r.failedAt !== null);
  const moved = failed.filter((r) => r.decidedAfterMs !== null);
  const slowest = (of: (number | null)[]): number | null => {
    const known = of.flatMap((one) => (one === null ? [] : [one]));
    return known.length === 0 ? null : Math.max(...known);
  };
  return {
    settings,
    switches: result.switches - result.falseSwitches,
    falseSwitches: result.falseSwitches,
    decidedAfterMs: slowest(moved.map((r) => r.decidedAfterMs)),
    servedAfterMs: slowest(moved.map((r) => r.servedAfterMs)),
    stayed: failed.length - moved.length,
    probesPerSecond: Math.round((result.probes / ms) * 10_000) / 10,
  };
}
