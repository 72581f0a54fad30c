// `npm run bench:core`: what an observation that changes nothing costs at 10,000 checks, and how
// long a cloud-wide failure over 10,000 records takes to be decided. The engine alone, no IO: the
// figures are processor time of this machine.

import { cpus } from 'node:os';
import { type State, start, step } from '../../src/core/engine.ts';
import type { Observation } from '../../src/core/model.ts';
import { emptyStep } from '../../src/core/state.ts';
import { coreConfig } from '../world.ts';

const CHECKS = 10_000;
const RECORDS = 10_000;
/** The processor's time is told in coarse steps, so that many are measured together. */
const BATCH = 20_000;

function passes(state: State, origin: string, now: number, outcome: 'pass' | 'fail') {
  const observation: Observation = {
    outcome,
    startedAt: now,
    endedAt: now,
    reason: 'ok',
    detail: 'ok',
    phases: {},
  };
  const check = checkOf.get(origin)!;
  return step(state, { kind: 'probed', check, path: 'direct', observation }, now, now);
}

/** Check ids made once, as the loop has them: from the configuration. */
const checkOf = new Map(Array.from({ length: CHECKS }, (_, i) => [`o${i}`, `o${i}/web`]));

/** Processor time of this thread, so that a busy machine does not speak for the engine. */
function processorUs(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

/** A state with every origin up and every record adopted on its first target. */
function steadyState(origins: number, records: number): State {
  const names = Array.from({ length: origins }, (_, i) => `o${i}`);
  const half = origins / 2;
  const config = coreConfig({
    origins: Object.fromEntries(names.map((n, i) => [n, { cloud: i < half ? 'one' : 'two' }])),
    check: { intervalMs: 3_600_000 },
    records: Object.fromEntries(
      Array.from({ length: records }, (_, i) => {
        const [a, b] = [`o${i % half}`, `o${half + (i % half)}`];
        const targets = [a, b].map((origin) => ({ origin, cname: `${origin}.shop.test.` }));
        return [`r${i}.gslb.test.`, { targets }];
      }),
    ),
  });
  const docs = Object.fromEntries(
    Object.values(config.records).map((r) => [`record/${r.name}`, docOf(r.targets[0]!)]),
  );
  const begun = start({ config, docs: docs as never, now: 1, wall: 1, seed: [1, 2, 3, 4] });
  const state = begun.state;
  // What was read of the providers is not what is measured: every cell counts as read and in step.
  for (const r of state.records.values()) {
    for (const cell of r.cells.values()) {
      Object.assign(cell, { reading: 'read', work: 'none', writtenAt: 1, visibleAt: 1 });
    }
  }
  step(state, { kind: 'lease', held: true, term: 1 }, 2, 2);
  for (let round = 0; round < 2; round++) {
    for (const name of names) passes(state, name, 3 + round, 'pass');
  }
  return state;
}

function docOf(target: { origin: string; cname: string }) {
  const marker = {
    cluster: 'shop',
    epoch: 1,
    id: 'aa',
    term: 1,
    kind: 'auto',
    target: target.origin,
  };
  return {
    target: target.origin,
    cname: target.cname,
    marker: { ...marker, pinned: false, untilWall: null },
    epochMax: 1,
    decidedAt: 1,
    endedAt: 1,
  };
}

function quietObservation(): number {
  const state = steadyState(CHECKS, 100);
  const samples: number[] = [];
  let now = 100;
  for (let batch = 0; batch < 40; batch++) {
    const begin = processorUs();
    for (let i = 0; i < BATCH; i++) passes(state, `o${(batch * BATCH + i) % CHECKS}`, now, 'pass');
    samples.push((processorUs() - begin) / BATCH);
    now += 1;
  }
  return median(samples.slice(10));
}

function cloudFailure(): { ms: number; moved: number } {
  const state = steadyState(CHECKS, RECORDS);
  const half = CHECKS / 2;
  const now = 1000;
  for (let i = 0; i < half; i++) passes(state, `o${i}`, now, 'fail');
  for (let i = 0; i < half; i++) passes(state, `o${i}`, now + 1, 'fail');
  let chosen = 0;
  const begin = processorUs();
  const asked: { record: string; target: string }[] = [];
  const take = (out: ReturnType<typeof step>) => {
    for (const e of out.effects) {
      if (e.kind === 'chain') asked.push({ record: e.record, target: e.target });
    }
    for (const entry of out.entries) if (entry.kind === 'switch') chosen++;
  };
  for (let i = 0; i < half; i++) take(passes(state, `o${i}`, now + 2, 'fail'));
  // The path's reference points answer: what failed is now condemned in full sight.
  for (let i = half; i < CHECKS; i++) take(passes(state, `o${i}`, now + 3, 'pass'));
  for (const { record, target } of asked) {
    const answer = { kind: 'answered' as const, chain: [] };
    take(step(state, { kind: 'chained', record, target, answer }, now + 4, now + 4));
  }
  for (let i = half; i < CHECKS; i++) take(passes(state, `o${i}`, now + 5, 'pass'));
  const ms = (processorUs() - begin) / 1000;
  return { ms, moved: chosen };
}

emptyStep();
const perObservation = quietObservation();
cloudFailure();
const runs = Array.from({ length: 5 }, cloudFailure);
const cloud = median(runs.map((r) => r.ms));
console.log(
  `machine: ${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}`,
);
console.log(
  `observation that changes nothing, ${CHECKS} checks: ${perObservation.toFixed(2)} us median`,
);
console.log(
  `cloud-wide failure, ${RECORDS} records, ${CHECKS} checks: ` +
    `${cloud.toFixed(0)} ms median of ${runs.length} to decide ${runs[0]!.moved} switches`,
);
const ok = perObservation < 2 && cloud < 200 && runs.every((r) => r.moved === RECORDS);
console.log(
  ok ? 'goals: under 2 us and under 200 ms: met' : 'goals: under 2 us, under 200 ms: MISSED',
);
process.exitCode = ok ? 0 : 1;
