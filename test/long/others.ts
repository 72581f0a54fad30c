// Detour beside others in one zone: octoDNS from PyPI with what docs/other-tools.md says and without
// it, and people at the vendors' consoles. The built daemon, the lab, minutes as they are: an outage
// with octoDNS run every minute takes ten. `npm run test:others -- --minutes 10`. It prints what it
// measured, ends with 1 when something did not hold, and must never talk to anything but a lab.

import assert from 'node:assert/strict';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Command, Notice, Reply } from '../../src/core/model.ts';
import { mustCall, status } from '../parts/daemon.ts';
import { installOctodns, type Octodns, processorsOf } from '../parts/octodns.ts';
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
const api = 'api.gslb.example.net';
const dead = 'hz.shop.example';
const standby = 'nrt.shop.example';
/** The lab's vendors as its configuration calls them. */
const names = { cloudflare: 'cf', route53: 'r53', alidns: 'ali' } as const;
type Vendor = keyof typeof names;
const vendors = Object.keys(names) as Vendor[];
const page = new URL('../../docs/other-tools.md', import.meta.url);

/** A lab with a daemon whose notices go to a file. */
interface Stage {
  readonly lab: RunningLab;
  readonly notices: () => readonly Notice[];
  readonly stop: () => Promise<void>;
}

async function stage(): Promise<Stage> {
  const lab = await startLabProgram('--no-daemon', '--quotas', 'off');
  const told = join(lab.directory, 'told.jsonl');
  // One line a notice: `cat` alone would run them together.
  const command = ['sh', '-c', `{ cat; echo; } >> ${told}`];
  appendFileSync(lab.ready.config, `\nnotify: ${JSON.stringify({ command })}\n`);
  const daemon = startDaemon(lab.ready.config);
  const stop = async () => {
    await stopChild(daemon.child);
    await lab.stop();
  };
  const notices = () => {
    if (!existsSync(told)) return [];
    const all = readFileSync(told, 'utf8').split('\n');
    return all.filter((line) => line !== '').map((line) => JSON.parse(line) as Notice);
  };
  try {
    await inForce(lab, www, 'hangzhou', dead);
    await inForce(lab, api, 'beijing', 'bj.shop.example');
  } catch (error) {
    await stop();
    throw new Error(`${(error as Error).message}: ${daemon.err()}`);
  }
  return { lab, notices, stop };
}

async function given(lab: RunningLab, name: string): Promise<(string | null | undefined)[]> {
  return Promise.all(vendors.map((v) => cnameAt(lab.ready.vendors[v]!.dns, name)));
}

async function viewOf(lab: RunningLab, name: string) {
  return (await status(socketOf(lab.directory)))?.records.find((r) => r.name === `${name}.`);
}

/** Every vendor gives it, and the daemon has seen that. */
function inForce(lab: RunningLab, name: string, target: string, value: string): Promise<number> {
  return until(`${name} on ${target} everywhere`, 60_000, async () => {
    const view = await viewOf(lab, name);
    if (view?.target !== target || view.providers.some((p) => p.stage !== 'visible')) return false;
    return (await given(lab, name)).every((v) => v === value);
  });
}

async function order(lab: RunningLab, command: Command): Promise<void> {
  const socket = socketOf(lab.directory);
  const reply = await mustCall<Reply>(socket, 'POST', '/v1/command', command);
  assert.equal(reply.exit, 0, reply.message);
}

function pinFor(record: string, hours: number): Command {
  const forMs = hours * 3_600_000;
  return { kind: 'pin', record: `${record}.`, reason: 'we look', by: 'ann', forMs };
}

// ---------------------------------------------------------------- as the page says

/** With the page's own text octoDNS plans nothing, whatever Detour does meanwhile. */
async function asThePageSays(octodns: Octodns): Promise<string> {
  const text = readFileSync(page, 'utf8');
  const example = /## octoDNS.*?```yaml\n(.*?)```/s.exec(text)![1]!;
  const processors = processorsOf(example);
  const { lab, stop } = await stage();
  try {
    const without = octodns.sync(lab, { doit: false });
    assert.equal(without.length, 4, 'without the page it would delete two markers at two vendors');
    const plan = () => octodns.sync(lab, { doit: true, processors });
    assert.deepEqual(plan(), [], 'before an outage');
    lab.lab('break', 'cloud', 'aliyun', '--how', 'refuse');
    await inForce(lab, www, 'tokyo', standby);
    await inForce(lab, api, 'tokyo', standby);
    assert.deepEqual(plan(), [], 'after both records have moved');
    await order(lab, pinFor(www, 4));
    await inForce(lab, www, 'tokyo', standby);
    assert.deepEqual(plan(), [], 'under a pin');
    assert.deepEqual(await given(lab, www), [standby, standby, standby]);
    return `as the page says: octoDNS plans 0 changes before, after and under a pin (${without.length} without it)`;
  } finally {
    await stop();
  }
}

// ---------------------------------------------------------------- a person at the consoles

async function personAtTheConsoles(): Promise<string> {
  const { lab, stop } = await stage();
  try {
    lab.lab('edit', 'cloudflare', www, 'tokyo');
    await pause(5_000);
    lab.lab('edit', 'route53', www, 'tokyo');
    const everywhere = await inForce(lab, www, 'tokyo', standby);
    const view = await viewOf(lab, www);
    assert.equal(view?.pin?.reason, 'set by hand');
    lab.lab('edit', 'alidns', api, 'tokyo');
    const seen = await until('the edit at one vendor is told', 60_000, async () => {
      const ali = (await viewOf(lab, api))?.providers.find((p) => p.provider === names.alidns);
      return /somebody edited it/.test(ali?.problem ?? '');
    });
    // Longer than an edit takes to be acted on.
    await pause(40_000);
    const bj = 'bj.shop.example';
    assert.deepEqual(await given(lab, api), [bj, bj, standby], 'it is there, and nowhere else');
    assert.equal((await viewOf(lab, api))?.target, 'beijing');
    return (
      `a person at two of three consoles: everywhere after ${seconds(everywhere)}, pinned for an hour; ` +
      `at one of three: there and nowhere else, told after ${seconds(seen)}`
    );
  } finally {
    await stop();
  }
}

// ---------------------------------------------------------------- without any exclusion

interface Wrong {
  readonly vendor: Vendor;
  readonly from: number;
  to: number | null;
}

/** When a vendor gave something else than what is in force, by its own name servers. */
function watchWrong(lab: RunningLab, right: string) {
  const all: Wrong[] = [];
  const state = { on: true };
  const loops = vendors.map(async (vendor) => {
    let open: Wrong | null = null;
    while (state.on) {
      const value = await cnameAt(lab.ready.vendors[vendor]!.dns, www);
      const at = performance.now();
      if (value !== undefined && value !== right && open === null) {
        open = { vendor, from: at, to: null };
        all.push(open);
      } else if (value === right && open !== null) {
        open.to = at;
        open = null;
      }
      await pause(100);
    }
  });
  const stop = async () => {
    state.on = false;
    await Promise.all(loops);
  };
  return { all, stop };
}

async function withoutExclusion(octodns: Octodns, minutes: number): Promise<void> {
  const { lab, notices, stop } = await stage();
  const say = (line: string) => console.log(`  ${line}`);
  console.log(`without any exclusion, each minute for ${minutes} minutes:`);
  try {
    lab.lab('break', 'origin', 'hangzhou', '--how', 'refuse');
    await inForce(lab, www, 'tokyo', standby);
    await order(lab, pinFor(www, 4));
    await inForce(lab, www, 'tokyo', standby);
    const wrong = watchWrong(lab, standby);
    const begin = performance.now();
    let pagedAfterRun: number | null = null;
    let behind = 0;
    for (let run = 1; run <= minutes; run++) {
      const planned = octodns.sync(lab, { doit: true });
      say(`run ${run} at ${clock(performance.now() - begin)}: ${planned.length} changes`);
      await pause(Math.max(0, begin + run * 60_000 - performance.now()));
      const paged = notices().some((n) => n.key.startsWith('edits') && n.state === 'open');
      if (paged) pagedAfterRun ??= run;
      behind = Math.max(behind, (await viewOf(lab, www))?.leftBehind?.share ?? 0);
    }
    // Three at once, then three at distances: the last of them may come after the last run.
    await until('mends after 1, 2 and 4 minutes', 300_000, () =>
      (['cf', 'r53'] as const).every((p) => (mendsOf(lab).get(p)?.length ?? 0) >= 6),
    );
    await wrong.stop();
    const mends = mendsOf(lab);
    for (const vendor of ['cloudflare', 'route53'] as const) {
      const spells = wrong.all.filter((w) => w.vendor === vendor);
      checkVendor(vendor, spells, mends.get(names[vendor]) ?? [], begin, say);
    }
    assert.deepEqual(
      wrong.all.filter((w) => w.vendor === 'alidns'),
      [],
      'the third vendor was never touched',
    );
    say(`left behind at the worst: ${behind.toFixed(2)} of the resolvers`);
    assert.ok(Math.abs(behind - 2 / 3) < 0.01, 'two of three vendors serve the dead origin');
    assert.equal(pagedAfterRun, 3, 'it pages at the third');
    const page = notices().find((n) => n.key.startsWith('edits'))!.sentence;
    assert.match(page, /exclude www\.gslb\.example\.net\. and _detour\.www\.gslb\.example\.net\./);
    say(`paged after run ${pagedAfterRun}: ${page}`);
    say(await afterTheOutage(lab, octodns));
  } finally {
    await stop();
  }
}

/** Milliseconds of engine time at which a provider's record was mended away from the dead target. */
function mendsOf(lab: RunningLab): ReadonlyMap<string, number[]> {
  const file = join(lab.directory, 'state', 'detour.sqlite');
  const db = new DatabaseSync(file, { readOnly: true });
  try {
    const rows = db
      .prepare(`SELECT at, data FROM journal WHERE kind = 'repair' AND record = ? ORDER BY seq`)
      .all(`${www}.`) as { at: number; data: string }[];
    const by = (row: { data: string }) => (JSON.parse(row.data) as { provider: string }).provider;
    return new Map([...Map.groupBy(rows, by)].map(([p, all]) => [p, all.map((r) => r.at)]));
  } finally {
    db.close();
  }
}

/** The first three within 30 s each; what follows at 1, 2, 4 … 15 minutes from the one before. */
function checkVendor(
  vendor: Vendor,
  spells: readonly Wrong[],
  mends: readonly number[],
  begin: number,
  say: (line: string) => void,
): void {
  for (const w of spells) {
    const to = w.to === null ? 'the end' : `${clock(w.to - begin)}, ${seconds(w.to - w.from)}`;
    say(`${vendor} wrong from ${clock(w.from - begin)} to ${to}`);
  }
  const gaps = mends.slice(1).map((at, i) => at - mends[i]!);
  say(`${vendor} mended ${mends.length} times, ${gaps.map(seconds).join(', ')} apart`);
  for (const [i, w] of spells.slice(0, 3).entries()) {
    const took = w.to === null ? Number.POSITIVE_INFINITY : w.to - w.from;
    assert.ok(took <= 30_000, `${vendor}: mend ${i + 1} took ${seconds(took)}`);
  }
  const paced = gaps.slice(2);
  for (const [i, gap] of paced.entries()) {
    const wanted = Math.min(15, 2 ** i) * 60_000;
    // octoDNS comes each minute, and what it did is seen within half of one.
    const isPaced = gap >= wanted - 100 && gap <= wanted + 95_000;
    assert.ok(isPaced, `${vendor}: mend ${i + 4} after ${seconds(gap)}, wanted ${seconds(wanted)}`);
  }
}

/** The dead origin is back, octoDNS runs once more: the pin stands, and nobody else follows. */
async function afterTheOutage(lab: RunningLab, octodns: Octodns): Promise<string> {
  assert.equal((await viewOf(lab, www))?.pin?.reason, 'we look', 'the pin stands all the time');
  lab.lab('heal');
  await until('hangzhou is up again', 60_000, async () => {
    const view = await status(socketOf(lab.directory));
    return view?.origins.find((o) => o.name === 'hangzhou')?.health === 'up';
  });
  octodns.sync(lab, { doit: true });
  await pause(45_000);
  const view = await viewOf(lab, www);
  assert.equal(view?.target, 'tokyo');
  assert.equal(view.pin?.reason, 'we look');
  assert.equal(await cnameAt(lab.ready.vendors['alidns']!.dns, www), standby);
  return 'the pin of the outage stands after it, too, and the third vendor keeps its answer';
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function clock(ms: number): string {
  const s = Math.round(ms / 1000);
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}`;
}

const { values: options } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, only: { type: 'string' } },
});
const wanted = (story: string) => options.only === undefined || options.only === story;
const minutes = Number(options.minutes);
assert.ok(
  Number.isInteger(minutes) && minutes >= 6,
  '--minutes: expected a whole number from 6 on',
);
if (wanted('person')) console.log(await personAtTheConsoles());
const octodns = installOctodns();
if (typeof octodns === 'string') {
  console.log(`skipped: ${octodns}`);
  process.exit(process.env['CI'] ? 1 : 0);
}
try {
  if (wanted('page')) console.log(await asThePageSays(octodns));
  if (wanted('outage')) await withoutExclusion(octodns, minutes);
} finally {
  octodns.close();
}
