// How far trouble of one zone reaches, end to end: the built daemon steers records of two zones at
// the same accounts, one zone is sick at one vendor and nobody has noticed, and a cloud breaks. The
// other zone's record must move at every vendor as if nothing were the matter. Times are printed,
// conditions decide. `DETOUR_REACH=all` goes through every sickness of every vendor.

import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { StatusView } from '../../src/core/view.ts';
import { zoneFaults } from '../../src/lab/vendors/vendor.ts';
import { status } from '../parts/daemon.ts';
import {
  cnameAt,
  type RunningLab,
  socketOf,
  startDaemon,
  startLabProgram,
  stopChild,
  until,
} from '../parts/program.ts';

const sickZone = 'other.example';
const well = 'www.gslb.example.net';
const ill = `www.${sickZone}`;
/** The values of both records, by the cloud that breaks. */
const standbys: Readonly<Record<string, string>> = {
  aliyun: 'nrt.shop.example',
  aws: 'hz.shop.example',
};
const providers: Readonly<Record<string, string>> = {
  route53: 'r53',
  cloudflare: 'cf',
  alidns: 'ali',
};
/** A switch has this long from the moment a cloud is broken: it is seen, decided and written. */
const boundMs = 30_000;

/** What throttles does so for a whole account. */
const alone = zoneFaults.filter((how) => how !== 'throttle');
const rounds: readonly (readonly [vendor: string, how: string])[] =
  process.env['DETOUR_REACH'] === 'all'
    ? Object.keys(providers).flatMap((vendor) => alone.map((how) => [vendor, how] as const))
    : [
        ['route53', 'hang'],
        ['cloudflare', 'deleted'],
        ['alidns', 'denied'],
      ];

let lab: RunningLab;
let usual: Moved;

before(async () => {
  lab = await startLabProgram('--zones', '2', '--quotas', 'off', '--no-daemon');
  const config = await readFile(lab.ready.config, 'utf8');
  await writeFile(lab.ready.config, `${config}  switchesPerHour: 60\n`);
});
after(() => lab?.stop());

interface Moved {
  /** Until every vendor's DNS gives the standby, from the break. */
  readonly servedMs: number;
  /** Until each provider's API had taken the change, from the decision; its provider in front. */
  readonly writtenMs: Readonly<Record<string, number | null>>;
}

/** A daemon that knows nothing yet, in a lab that is well; what it sees once all is calm. */
async function begun() {
  lab.lab('heal');
  await rm(join(lab.directory, 'state'), { recursive: true, force: true });
  const daemon = startDaemon(lab.ready.config);
  let view: StatusView | null = null;
  await until('every record is visible everywhere, and every origin is up', 60_000, async () => {
    if (daemon.child.exitCode !== null) throw new Error(daemon.err() + daemon.out());
    view = await status(socketOf(lab.directory));
    if (view === null) return false;
    const stages = view.records.flatMap((r) => r.providers.map((p) => p.stage));
    const isCalm = view.records.length > 0 && stages.every((stage) => stage === 'visible');
    return isCalm && view.origins.every((o) => o.health === 'up');
  });
  return { daemon, view: view! as StatusView };
}

/** One zone falls sick, and then the cloud breaks on which both records are. */
async function breakCloud(sickness: readonly [vendor: string, how: string] | null): Promise<Moved> {
  const { daemon, view } = await begun();
  try {
    const on = view.records.find((r) => r.name === `${well}.`)!.target;
    assert.equal(view.records.find((r) => r.name === `${ill}.`)!.target, on);
    const { cloud } = view.origins.find((o) => o.name === on)!;
    const standby = standbys[cloud]!;
    if (sickness) {
      const [vendor, how] = sickness;
      lab.lab('break', 'zone', vendor, sickZone, '--how', how);
    }
    lab.lab('break', 'cloud', cloud, '--how', 'refuse');
    const served = async (vendor: string, name: string) => {
      const { dns } = lab.ready.vendors[vendor]!;
      return until(`${vendor} gives ${standby} for ${name}`, boundMs, async () => {
        return (await cnameAt(dns, name)) === standby;
      });
    };
    const vendors = Object.keys(lab.ready.vendors);
    const times = await Promise.all(vendors.map((vendor) => served(vendor, well)));
    const others = vendors.filter((vendor) => vendor !== sickness?.[0]);
    await Promise.all(others.map((vendor) => served(vendor, ill)));
    let writtenMs: Moved['writtenMs'] = {};
    await until('every provider has said so', boundMs, async () => {
      const now = await status(socketOf(lab.directory));
      const record = now?.records.find((r) => r.name === `${well}.`);
      writtenMs = Object.fromEntries(
        (record?.providers ?? []).map((p) => [p.provider, p.writtenAfterMs]),
      );
      return record?.providers.every((p) => p.stage === 'visible') === true;
    });
    return { servedMs: Math.round(Math.max(...times)), writtenMs };
  } finally {
    await stopChild(daemon.child);
  }
}

test('a cloud breaks, and no zone is sick', async (t) => {
  usual = await breakCloud(null);
  t.diagnostic(`served everywhere after ${usual.servedMs} ms; ${JSON.stringify(usual.writtenMs)}`);
});

for (const [vendor, how] of rounds) {
  test(`a cloud breaks while one zone is sick at ${vendor}: ${how}`, async (t) => {
    const moved = await breakCloud([vendor, how]);
    const provider = providers[vendor]!;
    t.diagnostic(
      `the other zone's record: served everywhere after ${moved.servedMs} ms ` +
        `(${usual.servedMs} without), written at ${vendor} ${moved.writtenMs[provider]} ms after ` +
        `the decision (${usual.writtenMs[provider]} without)`,
    );
  });
}
