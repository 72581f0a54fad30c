// SIGKILL at random points of switches, over and over: the built daemon in the lab, killed between
// any two instructions while a switch is on its way to three vendors, started again, and looked at.
// Never an empty or foreign answer at any vendor, never a hole in the journal, never a switch that
// was acknowledged and forgotten, always converged after the restart. `npm run chaos -- --kills N`.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Command, Reply } from '../../src/core/model.ts';
import { call, checkJournal, seeded, status, watchAnswers } from '../parts/daemon.ts';
import {
  cnameAt,
  socketOf,
  startDaemon,
  startLabProgram,
  stopChild,
  until,
} from '../parts/program.ts';

const www = 'www.gslb.example.net';
const values: Readonly<Record<string, string>> = {
  hangzhou: 'hz.shop.example',
  tokyo: 'nrt.shop.example',
};

export interface ChaosReport {
  readonly kills: number;
  readonly answers: number;
  readonly acknowledged: number;
  readonly journalled: number;
  readonly slowestMs: number;
}

/** Kills and restarts so many times; throws at the first thing that must never be. */
export async function chaos(kills: number, seed: number): Promise<ChaosReport> {
  const lab = await startLabProgram('--no-daemon', '--quotas', 'off');
  const watch = watchAnswers(lab.ready.vendors, www, Object.values(values));
  const socket = socketOf(lab.directory);
  let daemon = startDaemon(lab.ready.config);
  const random = seeded(seed);
  let acknowledged = 0;
  let slowestMs = 0;
  let target = 'hangzhou';
  try {
    await converged(socket, lab.ready.vendors, target, daemon.err);
    for (let i = 0; i < kills; i++) {
      target = target === 'hangzhou' ? 'tokyo' : 'hangzhou';
      const asked = order(socket, target);
      await pause(random() * 250);
      await stopChild(daemon.child, 'SIGKILL');
      const reply = await asked;
      daemon = startDaemon(lab.ready.config);
      const kept = await whatIsKept(socket, daemon.err);
      if (reply?.exit === 0) {
        acknowledged++;
        assert.equal(kept, target, `kill ${i}: an acknowledged switch was forgotten`);
      }
      target = kept;
      slowestMs = Math.max(
        slowestMs,
        await converged(socket, lab.ready.vendors, target, daemon.err),
      );
    }
    await stopChild(daemon.child);
    const journalled = checkJournal(join(lab.directory, 'state'));
    const answers = await watch.stop();
    return { kills, answers, acknowledged, journalled, slowestMs: Math.round(slowestMs) };
  } finally {
    await watch.stop();
    await stopChild(daemon.child, 'SIGKILL');
    await lab.stop();
  }
}

/** The target in force once the daemon has read what it remembers. */
async function whatIsKept(socket: string, err: () => string): Promise<string> {
  let kept: string | null = null;
  await until('the daemon says what is in force', 30_000, async () => {
    const record = (await status(socket))?.records.find((r) => r.name === `${www}.`);
    kept = record?.stay.reason === 'reading' ? null : (record?.target ?? null);
    return kept !== null;
  }).catch((error: Error) => {
    throw new Error(`${error.message}: ${err()}`);
  });
  return kept!;
}

async function converged(
  socket: string,
  vendors: Readonly<Record<string, { readonly dns: string }>>,
  target: string,
  err: () => string,
): Promise<number> {
  const ms = await until(`every vendor gives ${target}`, 40_000, async () => {
    const view = await status(socket);
    const record = view?.records.find((r) => r.name === `${www}.`);
    if (record?.target !== target) return false;
    if (!record.providers.every((p) => p.stage === 'visible')) return false;
    const given = await Promise.all(Object.values(vendors).map((v) => cnameAt(v.dns, www)));
    return given.every((value) => value === values[target]);
  }).catch((error: Error) => {
    throw new Error(`${error.message}: ${err()}`);
  });
  return ms;
}

function order(socket: string, target: string): Promise<Reply | null> {
  const command: Command = {
    kind: 'switch',
    record: `${www}.`,
    target,
    reason: 'chaos',
    by: 'chaos',
    forMs: null,
    force: true,
    dryRun: false,
  };
  return call<Reply>(socket, 'POST', '/v1/command', command);
}

if (process.argv[1] === import.meta.filename) {
  const { values: options } = parseArgs({
    options: {
      kills: { type: 'string', default: '200' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    },
  });
  console.log(`seed ${options.seed}`);
  const report = await chaos(Number(options.kills), Number(options.seed));
  console.log(
    `${report.kills} kills: ${report.answers} answers asked, none empty or foreign; ` +
      `${report.acknowledged} switches acknowledged, none forgotten; ` +
      `${report.journalled} journal entries without a hole; ` +
      `slowest convergence after a restart ${report.slowestMs} ms`,
  );
}
