// What becomes of the engine of a group in the long run: how large etcd's database gets by a day of
// switches, what happens when it has no room left, and when a backup of an hour ago is put back under
// daemons that run. Nobody may act then, no epoch go back, and no pin that was lifted come back.
// `npm run storm:engine`; it ends with 1 when a goal is missed.

import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { loadavg } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import { createEtcdCoordinator, type Memory } from '../../src/cluster/etcd.ts';
import { createGateway } from '../../src/cluster/gateway.ts';
import { createSeal } from '../../src/cluster/sealed.ts';
import type { Command, Entry, Json } from '../../src/core/model.ts';
import type { LeaseEvent } from '../../src/ports.ts';
import { createClock } from '../../src/run/clock.ts';
import { createElapsed } from '../../src/run/elapsed.ts';
import { type Etcd, startEtcd } from '../parts/etcd.ts';
import { actor, actsNow, type Group, machineNow, startGroup } from '../parts/group.ts';
import { cnameAt, until } from '../parts/program.ts';
import { calm } from './group.ts';

const missed: string[] = [];
const say = (line: string) => console.log(line);
const load = () =>
  loadavg()
    .map((one) => one.toFixed(1))
    .join(' ');
const mb = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

function goal(holds: boolean, sentence: string): void {
  say(`${holds ? 'met' : 'MISSED'}: ${sentence}`);
  if (!holds) missed.push(sentence);
}

// ---------------------------------------------------------------- a day of switches

/** Ten a minute. */
const A_DAY = 14_400;
/** As deploy/etcd/etcd.env: so many revisions are kept. */
const KEPT = 1000;
/** etcd compacts every five minutes; so many switches fall into that, and here as much time passes. */
const EVERY = 50;

/** One commit after another, as fast as etcd takes them, compacted as often as in a day. */
async function day(commits: number, records: number): Promise<void> {
  say(
    `\n${commits} commits, ${records} records, ${KEPT} revisions kept, compacted every ${EVERY}; load ${load()}`,
  );
  const etcd = await startEtcd({
    heartbeatMs: 250,
    electionMs: 2500,
    flags: ['--snapshot-count=10000'],
  });
  const writer = await acting(etcd);
  try {
    const sizes: number[] = [];
    const from = performance.now();
    for (let i = 1; i <= commits; i++) {
      const name = `r${String((i % records) + 1).padStart(4, '0')}.gslb.example.net.`;
      const outcome = await writer.commit(
        [[`record/${name}`, documentOf(name, i)]],
        [entryOf(name, i)],
      );
      if (outcome.kind !== 'committed') throw new Error(`commit ${i}: ${JSON.stringify(outcome)}`);
      if (i % EVERY === 0) await compact(etcd, KEPT);
      if (i % Math.floor(commits / 10) !== 0) continue;
      const all = await etcd.sizes();
      const file = Math.max(...all.map((one) => one.file));
      const inUse = Math.max(...all.map((one) => one.inUse));
      sizes.push(file);
      const s = ((performance.now() - from) / 1000).toFixed(0);
      say(
        `after ${String(i).padStart(6)} commits, ${s.padStart(4)} s: file ${mb(file)}, of it in use ${mb(inUse)}`,
      );
    }
    const half = sizes[Math.floor(sizes.length / 2) - 1]!;
    const last = sizes.at(-1)!;
    goal(last <= 1.1 * half, `bounded: ${mb(last)} at the end, ${mb(half)} after half of them`);
    goal(last < 100e6, 'below a fifth of the quota of deploy/etcd (536.9 MB)');
  } finally {
    writer.close();
    await etcd.stop();
  }
}

/** All but the newest revisions, as etcd itself does it every five minutes. */
async function compact(etcd: Etcd, keep: number): Promise<void> {
  const at = Number(
    /"revision":(\d+)/.exec(await etcd.say('get', 'detour/head', '-w', 'json'))![1],
  );
  if (at <= keep) return;
  await etcd.say('compact', String(at - keep)).catch((error: Error) => {
    if (!error.message.includes('compacted')) throw error;
  });
}

async function acting(etcd: Etcd) {
  const { endpoints, ca, cert, key, user } = etcd;
  const clock = createClock(0);
  let memory: Memory | null = null;
  let held = false;
  const coordinator = createEtcdCoordinator({
    gateway: createGateway({ endpoints, ca, cert, key, user, clock }),
    clock,
    elapsed: createElapsed(),
    replica: 'hz',
    prefix: 'detour/',
    ttlMs: 5000,
    seal: () => createSeal(['k'.repeat(43)], ['shop']),
    memory: {
      load: () => memory,
      save: (one) => {
        memory = one;
        return true;
      },
    },
    id: randomUUID,
    trouble: say,
  });
  coordinator.start((event: LeaseEvent) => {
    if (event.kind === 'held') held = true;
  });
  await until('it acts', 30_000, () => held);
  return {
    commit: (docs: readonly (readonly [string, Json])[], entries: readonly Entry[]) =>
      coordinator.shared.commit({ docs, entries, done: [] }),
    close: () => coordinator.close(),
  };
}

/** As large as that of a record at three vendors, which was seen to be 1.6 kB. */
function documentOf(name: string, epoch: number): Json {
  const cells = ['cf', 'r53', 'ali'].map((provider) => {
    return { provider, epoch, id: randomUUID(), written: epoch, seen: name, owned: randomUUID() };
  });
  return { name, epoch, switchId: randomUUID(), cells, rest: 'x'.repeat(900) };
}

function entryOf(name: string, epoch: number): Entry {
  const sentence = `${name}: hangzhou -> tokyo: hangzhou is down: hangzhou/web by hz/direct down, by fra down`;
  return {
    kind: 'switch',
    record: name,
    sentence,
    data: { epoch, id: randomUUID(), from: 'hangzhou', to: 'tokyo' },
  };
}

// ---------------------------------------------------------------- real daemons

const clouds = { roundTrips: [40, 90, 160] } as const;
const settings = { heartbeatMs: 250, electionMs: 2500 } as const;

async function begun(group: Group): Promise<void> {
  for (const one of group.replicas) one.start();
  await calm(group);
}

/** The origin of a record fails for everybody. */
function fail(group: Group, i: number, state: 'refuses' | 'open'): void {
  for (const { name } of group.replicas) group.lane(name, group.records[i]!.origin).state = state;
}

async function gives(group: Group, i: number, value: string): Promise<boolean> {
  const vendors = Object.values(group.lab.ready.vendors);
  const given = await Promise.all(vendors.map(({ dns }) => cnameAt(dns, group.records[i]!.name)));
  return given.every((one) => one === value);
}

async function words(group: Group): Promise<readonly (string | null | undefined)[]> {
  const views = await Promise.all(group.replicas.map((one) => one.status()));
  return views.map((view) => view?.group?.word);
}

async function order(group: Group, command: Command): Promise<void> {
  const reply = await group.replicas[0]!.command(command, `engine-${randomUUID()}`);
  if (reply?.exit !== 0) throw new Error(`${command.kind}: ${JSON.stringify(reply)}`);
}

/** Nobody believes to act for so long. */
async function nobodyFor(group: Group, forMs: number): Promise<boolean> {
  const until = machineNow() + forMs;
  while (machineNow() < until) {
    if (actsNow(group) !== null) return false;
    await pause(20);
  }
  return true;
}

// ---------------------------------------------------------------- no room left

const QUOTA = 16 * 1024 * 1024;

async function full(): Promise<void> {
  say(`\nno room: a quota of ${mb(QUOTA)} that somebody else fills; load ${load()}`);
  const group = await startGroup({
    ...clouds,
    records: 2,
    etcd: { ...settings, quotaBytes: QUOTA },
  });
  const etcd = group.etcd!;
  try {
    await begun(group);
    let junk = 0;
    for (; junk < 100; junk++) {
      const said = await etcd
        .say('put', `junk/${junk}`, 'x'.repeat(100_000))
        .catch((error: Error) => error);
      if (said instanceof Error) {
        if (!said.message.includes('space exceeded')) throw said;
        break;
      }
      for (let i = 0; i < 4; i++)
        await etcd.say('put', `junk/${junk}-${i}`, 'x'.repeat(100_000)).catch(() => {});
    }
    say(
      `etcd has raised the alarm: ${(await etcd.say('alarm', 'list')).trim().split('\n').join(', ')}`,
    );
    const from = machineNow();
    fail(group, 0, 'refuses');
    await until('nobody acts', 30_000, () => actsNow(group) === null);
    say(`nobody acts ${Math.round(machineNow() - from)} ms after the first origin failed`);
    let shown: readonly unknown[] = [];
    await until('each replica says `full`', 30_000, async () => {
      shown = await words(group);
      return shown.every((word) => word === 'full');
    }).catch((error: Error) => goal(false, `${error.message}: ${shown}`));
    say(`each says: ${shown}, ${Math.round(machineNow() - from)} ms after the first origin failed`);
    const view = await group.replicas[0]!.status();
    say(`in its words: ${view?.group?.sentence}; ${view?.records[0]?.stay.sentence}`);
    goal(await nobodyFor(group, 15_000), 'nobody acts while there is no room (15 s, every 20 ms)');
    goal(await gives(group, 0, group.values.first), 'nothing was moved meanwhile');
    const metrics = await scraped(group);
    goal(
      metrics.includes('detour_group_trouble{word="full"} 1'),
      'the alert DetourGroupFull sees it',
    );
    await recover(etcd);
    const mended = machineNow();
    await actor(group, 60_000);
    say(`one acts ${Math.round(machineNow() - mended)} ms after the steps of docs/replicas.md`);
    await until('the record moves', 60_000, () => gives(group, 0, group.values.second));
    say(`and the record has moved ${Math.round(machineNow() - mended)} ms after them`);
    fail(group, 0, 'open');
    await calm(group);
    goal(true, 'recovered');
  } finally {
    await group.close();
  }
}

async function scraped(group: Group): Promise<string> {
  const { listen } = group.replicas[0]!;
  const answer = await fetch(`http://${listen}/metrics`, { signal: AbortSignal.timeout(10_000) });
  return answer.text();
}

/** What docs/replicas.md says, and what filled it taken away before. */
async function recover(etcd: Etcd): Promise<void> {
  await etcd.say('del', 'junk/', '--prefix');
  const got = await etcd.say('get', '/', '--write-out=json');
  await etcd.say('compact', /"revision":([0-9]*)/.exec(got)![1]!);
  await etcd.say('defrag');
  await etcd.say('alarm', 'disarm');
}

// ---------------------------------------------------------------- a backup put back

const run = promisify(execFile);

interface Epochs {
  readonly [record: string]: number;
}

async function backup(how: 'copied' | 'snapshot'): Promise<void> {
  const what =
    how === 'copied' ? 'the data of all members' : 'a snapshot, restored as another cluster';
  say(`\nan older etcd under the running group: ${what}; load ${load()}`);
  const group = await startGroup({ ...clouds, records: 4, etcd: settings });
  try {
    await begun(group);
    const [pinned, lifted, moving] = group.records.map(({ name }) => `${name}.`) as [
      string,
      string,
      string,
    ];
    const pin = (record: string): Command => {
      return { kind: 'pin', record, reason: 'engine', forMs: 7_200_000, by: 'engine' };
    };
    await order(group, pin(pinned));
    await order(group, pin(lifted));
    const kept = await keep(group, how);
    await actor(group, 60_000);
    // What the backup does not know: a pin lifted, and a record moved.
    await order(group, { kind: 'unpin', record: lifted, by: 'engine' });
    fail(group, 2, 'refuses');
    await until('the record moves', 60_000, () => gives(group, 2, group.values.second));
    fail(group, 2, 'open');
    await calm(group);
    const before = await epochs(group);
    await kept.putBack();
    const at = machineNow();
    let shown: readonly unknown[] = [];
    await until('each replica says `restored`', 60_000, async () => {
      shown = await words(group);
      return shown.every((word) => word === 'restored');
    }).catch(async (error: Error) => {
      goal(false, `${error.message}: ${shown}; member ${await group.etcd!.leader()} leads etcd`);
      for (const member of [0, 1, 2]) say(group.etcd!.log(member).slice(-3000));
    });
    say(`each says: ${shown}, ${Math.round(machineNow() - at)} ms after etcd was back`);
    say(`in its words: ${(await group.replicas[1]!.status())?.group?.sentence}`);
    fail(group, 3, 'refuses');
    goal(await nobodyFor(group, 20_000), 'nobody acts until a person says so (20 s, every 20 ms)');
    goal(await gives(group, 3, group.values.first), 'nothing was moved meanwhile');
    const reply = await group.replicas[1]!.command(
      { kind: 'restored', by: 'engine' },
      'engine-restored',
    );
    say(`detour ack --restored: ${reply?.exit} ${reply?.message}`);
    const said = machineNow();
    await actor(group, 60_000);
    say(`one acts ${Math.round(machineNow() - said)} ms after it was said`);
    await until('the record moves', 60_000, () => gives(group, 3, group.values.second));
    fail(group, 3, 'open');
    await calm(group);
    const after = await epochs(group);
    const back = Object.keys(before).filter((name) => (after[name] ?? 0) < before[name]!);
    goal(
      back.length === 0,
      `no epoch goes back (${JSON.stringify(before)} then ${JSON.stringify(after)})`,
    );
    for (const replica of group.replicas) {
      const records = (await replica.status())?.records ?? [];
      const pins = records.filter((r) => r.pin !== null).map(({ name }) => name);
      goal(
        pins.join() === pinned,
        `at ${replica.name} the pin stands, the lifted one does not: ${pins}`,
      );
    }
    goal(await gives(group, 2, group.values.second), `${moving} is where it was moved to`);
  } finally {
    await group.close();
  }
}

async function keep(
  group: Group,
  how: 'copied' | 'snapshot',
): Promise<{ putBack(): Promise<void> }> {
  const etcd = group.etcd!;
  if (how === 'copied') {
    await etcd.backUp();
    return { putBack: () => etcd.restore() };
  }
  const file = `${group.lab.directory}/snapshot.db`;
  await etcd.saveSnapshot(file);
  await run('etcdctl', ['snapshot', 'status', file], { env: { ...process.env, ETCDCTL_API: '3' } });
  return { putBack: () => etcd.restoreSnapshot(file) };
}

async function epochs(group: Group): Promise<Epochs> {
  const view = await group.replicas[2]!.status();
  return Object.fromEntries((view?.records ?? []).map(({ name, epoch }) => [name, epoch]));
}

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    commits: { type: 'string', default: String(A_DAY) },
    records: { type: 'string', default: '100' },
  },
});
const wants = (part: string) => values.only === undefined || values.only.split(',').includes(part);
if (wants('day')) await day(Number(values.commits), Number(values.records));
if (wants('full')) await full();
if (wants('copied')) await backup('copied');
if (wants('snapshot')) await backup('snapshot');
say(missed.length === 0 ? '\nall goals met' : `\n${missed.length} MISSED`);
process.exitCode = missed.length === 0 ? 0 : 1;
