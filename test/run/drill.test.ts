// A live drill by vendor against the lab, with the built program: one vendor's API fails half way. It
// is broken off and put back, the vendors' DNS gives nothing but the two targets all the while, and
// somebody is told. Times are bounds, never the judge.

import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Notice } from '../../src/core/model.ts';
import type { RecordView } from '../../src/core/view.ts';
import { mustCall, status, watchAnswers } from '../parts/daemon.ts';
import {
  cnameAt,
  type RunningLab,
  socketOf,
  startDaemon,
  startLabProgram,
  stopChild,
  until,
} from '../parts/program.ts';

const www = 'www.gslb.example.net';
const boundMs = 40_000;
let lab: RunningLab;
let daemon: ReturnType<typeof startDaemon>;
let toldIn: string;

before(async () => {
  lab = await startLabProgram('--no-daemon', '--quotas', 'off');
  toldIn = join(lab.directory, 'told');
  const teller = join(lab.directory, 'teller.sh');
  writeFileSync(teller, `#!/bin/sh\ncat >> '${toldIn}'\n`, { mode: 0o700 });
  appendFileSync(lab.ready.config, `\nnotify:\n  command: ["${teller}"]\n`);
  daemon = startDaemon(lab.ready.config);
  await calm();
});
after(async () => {
  if (daemon !== undefined) await stopChild(daemon.child);
  await lab?.stop();
});

async function recordOf(): Promise<RecordView | undefined> {
  const view = await status(socketOf(lab.directory));
  return view?.records.find((r) => r.name === `${www}.`);
}

/** Everything that a drill wants to be well is. */
async function calm(): Promise<void> {
  await until('all is well', 60_000, async () => {
    const r = await recordOf();
    const isUp = r?.targets.every((t) => t.health === 'up') === true;
    return isUp && !r.switching && r.providers.every((p) => p.stage === 'visible' && !p.problem);
  }).catch((error: Error) => {
    throw new Error(`${error.message}: ${daemon.err()}`);
  });
}

function stagesOf(r: RecordView | undefined): Readonly<Record<string, string>> {
  return Object.fromEntries((r?.providers ?? []).map((p) => [p.provider, p.stage]));
}

function drills(): readonly Notice[] {
  const lines = readFileSync(toldIn, 'utf8').trim().split('\n');
  const all = lines.map((line) => JSON.parse(line) as Notice);
  return all.filter((notice) => notice.kind === 'drill');
}

async function given(): Promise<readonly unknown[]> {
  return Promise.all(Object.values(lab.ready.vendors).map((v) => cnameAt(v.dns, www)));
}

test('a vendor fails half way: broken off, put back, nobody served a wrong answer, told', async (t) => {
  const watch = watchAnswers(lab.ready.vendors, www, ['hz.shop.example', 'nrt.shop.example']);
  try {
    const how = ['--by-vendor', '--watch', '2s', '--for', '1m', '--reason', 'Tuesday', '--yes'];
    const begun = lab.cli('drill', 'live', www, 'tokyo', ...how);
    assert.equal(begun.status, 0, begun.stderr);
    await until('the first has moved, the others wait', boundMs, async () => {
      const stages = stagesOf(await recordOf());
      return (
        stages['cf'] === 'visible' && stages['r53'] === 'waiting' && stages['ali'] === 'waiting'
      );
    });
    lab.lab('break', 'vendor', 'route53', '--how', 'error');
    const brokenAt = performance.now();
    await until('it is being put back', boundMs, async () => {
      const r = await recordOf();
      return r?.target === 'hangzhou' && stagesOf(r)['cf'] === 'visible';
    });
    const ms = Math.round(performance.now() - brokenAt);
    assert.equal(await cnameAt(lab.ready.vendors['cloudflare']!.dns, www), 'hz.shop.example');
    lab.lab('heal', 'vendor', 'route53');
    await until('the drill is over', boundMs, async () => (await recordOf())?.drill === null);
    const r = await recordOf();
    assert.equal(r?.lastDrill?.result, 'broken-off');
    assert.match(r.lastDrill.sentence, /^r53: .*back on hangzhou/);
    assert.deepEqual([r.pin, r.budget.used], [null, 0], 'neither pinned nor paid for');
    await calm();
    assert.ok((await given()).every((value) => value === 'hz.shop.example'));
    await until('it is told', boundMs, () => drills().length >= 2);
    const told = drills().map(({ data }) => (data as { result: string }).result);
    assert.deepEqual(told, ['began', 'broken-off']);
    t.diagnostic(`back at cf ${ms} ms after the vendor broke; ${r.lastDrill.sentence}`);
  } finally {
    t.diagnostic(`${await watch.stop()} answers, none of them wrong`);
  }
});

test('a drill in which all is well passes, and says what each vendor took', async (t) => {
  const watch = watchAnswers(lab.ready.vendors, www, ['hz.shop.example', 'nrt.shop.example']);
  try {
    const order = { kind: 'drill', record: www, target: null, byVendor: false, forMs: 1000 };
    const body = { ...order, reason: 'Tuesday', by: 'a test' };
    const reply = await mustCall(socketOf(lab.directory), 'POST', '/v1/command', body);
    assert.match(JSON.stringify(reply), /"exit":0/);
    await until('the drill is over', boundMs, async () => {
      return (await recordOf())?.lastDrill?.result === 'passed';
    });
    const { parts = [], back = [] } = (await recordOf())?.lastDrill ?? {};
    for (const one of [...parts, ...back]) assert.ok(one.visibleMs! >= one.writtenMs!);
    t.diagnostic(JSON.stringify({ parts, back }));
    const metrics = await (await fetch(lab.ready.metrics)).text();
    assert.match(metrics, /^detour_drill_last_ok\{drill="live",record="www[^}]*\} 1$/m);
  } finally {
    await watch.stop();
  }
});
