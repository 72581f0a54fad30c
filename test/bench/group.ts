// `npm run bench:group`: what a group of three costs beside one node, in the same run. The time of a
// switch from the fault to the answer; what goes to etcd and between replicas; many records decided at
// once; and what one node alone pays for all of it. Everything is real but the distance, which ways of
// the tests make (test/parts/way.ts). It ends with 1 when a goal is missed.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { createGateway, type Gateway } from '../../src/cluster/gateway.ts';
import { createClock } from '../../src/run/clock.ts';
import { call } from '../parts/daemon.ts';
import { actor, type Group, type Replica, startGroup } from '../parts/group.ts';
import { cnameAt, main, startLabProgram, stopChild, until } from '../parts/program.ts';
import { newLane, openWay } from '../parts/way.ts';

/** There and back, to each member of etcd and between the clouds. */
const FAR_MS = 60;
/** Records decided at once are to be committed so long after the decision at most. */
const MANY_MS = 1500;
/** What else than the number of checks makes of the traffic to etcd: a share. */
const GROWTH_MOST = 1.2;

const missed: string[] = [];
const say = (line: string) => console.log(line);
const load = () =>
  loadavg()
    .map((one) => one.toFixed(1))
    .join(' ');

function goal(holds: boolean, sentence: string): void {
  say(`${holds ? 'met' : 'MISSED'}: ${sentence}`);
  if (!holds) missed.push(sentence);
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

const median = (values: readonly number[]) => quantile(values, 0.5);
const shown = (values: readonly number[]) =>
  `${Math.round(median(values))} (${Math.round(Math.min(...values))} to ${Math.round(Math.max(...values))})`;

async function ready(group: Group): Promise<void> {
  // One after the other: with many records a start is work, and this machine is small.
  for (const one of group.replicas) {
    one.start();
    if (group.etcd !== null) await actor(group, 180_000);
    await until(`${one.name} answers`, 180_000, async () => (await one.status()) !== null);
  }
  await until('all is settled', 300_000, async () => {
    const views = await Promise.all(group.replicas.map((one) => one.status()));
    return views.every((view) => {
      const acts = group.etcd === null || view?.group?.role === 'acts';
      const heard = view?.group?.replicas.every((one) => one.heard) ?? true;
      if (!view || !heard || view.origins.some(({ health }) => health !== 'up')) return false;
      return !acts || view.records.every((r) => r.providers.every((p) => p.stage === 'visible'));
    });
  });
}

interface Round {
  readonly decidedMs: number;
  readonly firstMs: number;
  readonly allMs: number;
}

/** An origin fails for all who look, at one moment: how long until it is decided, and answered. */
async function oneSwitch(group: Group, i: number): Promise<Round> {
  const record = group.records[i]!;
  const { vendors } = group.lab.ready;
  // At any point of an interval.
  await pause(Math.random() * 1000);
  const wall = Date.now();
  const from = performance.now();
  for (const { name } of group.replicas) group.lane(name, record.origin).state = 'refuses';
  const times = await Promise.all(
    Object.values(vendors).map(async ({ dns }) => {
      while ((await cnameAt(dns, record.name)) !== group.values.second) {
        if (performance.now() - from > 60_000) throw new Error(`${record.name} does not move`);
        await pause(3);
      }
      return performance.now() - from;
    }),
  );
  const decided = group.replicas.flatMap((one) => switchesOf(one, wall));
  return {
    decidedMs: Math.min(...decided) - wall,
    firstMs: Math.min(...times),
    allMs: Math.max(...times),
  };
}

/** When it decided, since a moment of the wall clock. */
function switchesOf({ stateDir }: Replica, since: number): readonly number[] {
  const db = new DatabaseSync(join(stateDir, 'detour.sqlite'), { readOnly: true });
  try {
    const sql = "SELECT wall FROM journal WHERE kind = 'switch' AND wall >= ?";
    return (db.prepare(sql).all(since) as { wall: number }[]).map(({ wall }) => wall);
  } finally {
    db.close();
  }
}

/** To etcd as a replica is, at a member of its own. */
async function farGateway(group: Group): Promise<{ gateway: Gateway; close(): Promise<void> }> {
  const { endpoints, ca, cert, key, user } = group.etcd!;
  const lane = newLane(FAR_MS / 2);
  const way = await openWay(
    { host: '127.0.0.1', port: Number(new URL(endpoints[0]!).port) },
    () => lane,
  );
  const at = [`https://127.0.0.1:${way.port}`];
  const gateway = createGateway({ endpoints: at, ca, cert, key, user, clock: createClock(0) });
  const close = async () => {
    gateway.close();
    await way.close();
  };
  return { gateway, close };
}

/** The round trip of one commit, as whoever acts has it. */
async function commitTimes(group: Group): Promise<readonly number[]> {
  const { gateway, close } = await farGateway(group);
  const times: number[] = [];
  for (let i = 0; i < 30; i++) {
    const from = performance.now();
    const put = { kind: 'put', key: 'detour/bench', value: 'x'.repeat(2000) } as const;
    const got = await gateway.txn({ compare: [], success: [put], failure: [] }, 5000);
    if (!got.ok) throw new Error(got.fault.detail);
    if (i >= 5) times.push(performance.now() - from);
  }
  await close();
  return times;
}

const far = { roundTrips: [FAR_MS, FAR_MS, FAR_MS], toEtcdMs: FAR_MS } as const;
const etcd = { heartbeatMs: 250, electionMs: 2500 } as const;

// ---------------------------------------------------------------- a switch

async function benchSwitch(rounds: number): Promise<void> {
  say(
    `\na switch, from an origin's failure to the answer, ${rounds} rounds in turn; load ${load()}`,
  );
  const alone = await startGroup({ ...far, records: rounds, alone: true });
  const three = await startGroup({ ...far, records: rounds, etcd }).catch(async (error) => {
    await alone.close();
    throw error;
  });
  try {
    await ready(alone);
    await ready(three);
    const found = { alone: [] as Round[], three: [] as Round[] };
    for (let i = 0; i < rounds; i++) {
      found.alone.push(await oneSwitch(alone, i));
      found.three.push(await oneSwitch(three, i));
    }
    const commits = await commitTimes(three);
    const part = (of: readonly Round[], key: keyof Round) => of.map((one) => one[key]);
    const after = (of: readonly Round[]) => of.map((one) => one.firstMs - one.decidedMs);
    say('ms, median (least to most)        one node              group of three');
    for (const [title, key] of [
      ['fault to decision', 'decidedMs'],
      ['fault to the first answer', 'firstMs'],
      ['fault to the last answer', 'allMs'],
    ] as const) {
      say(
        `${title.padEnd(33)} ${shown(part(found.alone, key)).padEnd(21)} ${shown(part(found.three, key))}`,
      );
    }
    const waits = [after(found.alone), after(found.three)] as const;
    say(
      `${'decision to the first answer'.padEnd(33)} ${shown(waits[0]).padEnd(21)} ${shown(waits[1])}`,
    );
    say(`one commit, there and back: ${shown(commits)}`);
    const [one, many] = [
      median(part(found.alone, 'firstMs')),
      median(part(found.three, 'firstMs')),
    ];
    say(`ratio ${(many / one).toFixed(2)}, difference ${Math.round(many - one)} ms`);
    goal(many - one <= median(commits), 'fault to answer: at most one commit more than one node');
    const paid = median(waits[1]) - median(waits[0]);
    goal(paid <= median(commits) + 20, `decision to answer: ${Math.round(paid)} ms more, a commit`);
  } finally {
    await alone.close();
    await three.close();
  }
}

// ---------------------------------------------------------------- what goes over the wire

interface Traffic {
  /** A second, of all replicas together. */
  readonly etcdBytes: number;
  readonly etcdRequests: number;
  readonly eyesBytes: number;
  readonly eyesPieces: number;
}

async function traffic(group: Group, forMs: number): Promise<Traffic> {
  const before = await tally(group);
  const from = performance.now();
  await pause(forMs);
  const after = await tally(group);
  const seconds = (performance.now() - from) / 1000;
  const rate = (key: keyof Traffic) => (after[key] - before[key]) / seconds;
  return {
    etcdBytes: rate('etcdBytes'),
    etcdRequests: rate('etcdRequests'),
    eyesBytes: rate('eyesBytes'),
    eyesPieces: rate('eyesPieces'),
  };
}

async function tally(group: Group): Promise<Traffic> {
  const sum = { etcdBytes: 0, etcdRequests: 0, eyesBytes: 0, eyesPieces: 0 };
  const members = group.etcd!.endpoints.map((url) => new URL(url).host);
  for (const replica of group.replicas) {
    for (const lane of group.lanes(replica.name, 'etcd'))
      sum.etcdBytes += lane.sent + lane.answered;
    for (const lane of group.lanes(replica.name, 'replicas')) {
      sum.eyesBytes += lane.sent + lane.answered;
      sum.eyesPieces += lane.pieces;
    }
    const requests = await replica.counted();
    for (const host of members) sum.etcdRequests += requests[host] ?? 0;
  }
  return sum;
}

const IN_TRAFFIC = { records: 10, seconds: 30 };

async function benchTraffic(): Promise<void> {
  const found = new Map<string, Traffic>();
  for (const checks of [100, 1000]) {
    const { records } = IN_TRAFFIC;
    const idleChecks = checks - records - 1;
    say(`\n${checks} checks of three replicas, every 5 s each, ${records} records; load ${load()}`);
    const policy = { interval: '5s', timeout: '2s' };
    const group = await startGroup({ ...far, records, idleChecks, etcd, policy });
    try {
      await ready(group);
      await pause(5000);
      const calm = await traffic(group, IN_TRAFFIC.seconds * 1000);
      group.lab.lab('break', 'origin', 'hangzhou');
      const failing = await traffic(group, IN_TRAFFIC.seconds * 1000);
      const failed = await traffic(group, IN_TRAFFIC.seconds * 1000);
      for (const [what, one] of [
        ['calm', calm],
        [`the ${IN_TRAFFIC.seconds} s in which all fail`, failing],
        ['after that, all down', failed],
      ] as const) {
        found.set(`${checks} ${what}`, one);
        const eyes = `${(one.eyesBytes / 1000).toFixed(1)} kB/s, ${one.eyesPieces.toFixed(1)} pieces/s`;
        const engine = `${(one.etcdBytes / 1000).toFixed(1)} kB/s, ${one.etcdRequests.toFixed(1)} requests/s`;
        say(`${what.padEnd(30)} to etcd ${engine.padEnd(32)} between replicas ${eyes}`);
      }
    } finally {
      await group.close();
    }
  }
  for (const what of ['calm', `the ${IN_TRAFFIC.seconds} s in which all fail`]) {
    const [few, many] = [found.get(`100 ${what}`)!, found.get(`1000 ${what}`)!];
    const share = many.etcdBytes / few.etcdBytes;
    const sentence = `etcd, ${what}: ${share.toFixed(2)} times the bytes with ten times the checks`;
    goal(share <= GROWTH_MOST, sentence);
  }
}

// ---------------------------------------------------------------- many at once

/** `peersMs`: there and back between members of etcd, which comes on top of the way to them. */
async function benchMany(records: number, peersMs: number): Promise<void> {
  const where = 'published at one vendor, so that three daemons have room on one machine';
  say(
    `\n${records} records decided at once, ${FAR_MS} ms to etcd and ${peersMs} between its members, ${where}; load ${load()}`,
  );
  const group = await startGroup({
    ...{ ...far, peersMs, records, etcd },
    ...{ together: true, publish: ['cf'] },
  });
  try {
    await ready(group);
    const { gateway, close } = await farGateway(group);
    const commits = await commitTimes(group);
    const seen = new Map<string, number>();
    let begun = false;
    const from = { key: 'detour/doc/record/', end: 'detour/doc/record0', revision: 0 };
    const stop = gateway.watch(from, (event) => {
      if (event.kind === 'begun') begun = true;
      if (event.kind !== 'changed') return;
      const wall = Date.now();
      for (const { key } of event.changes) if (!seen.has(key)) seen.set(key, wall);
    });
    await until('the watch begins', 5000, () => begun);
    const wall = Date.now();
    for (const { name } of group.replicas) group.lane(name, 'o0001').state = 'refuses';
    await until('all are committed', 60_000, () => seen.size === records);
    stop();
    await close();
    const decided = group.replicas.flatMap((one) => switchesOf(one, wall));
    const first = Math.min(...decided);
    const took = [...seen.values()].map((at) => at - first);
    const commitsAt = [...new Set(took)].sort((a, b) => a - b);
    say(`commits seen after ${commitsAt.join(', ')} ms`);
    say(
      `decided ${first - wall} ms after the fault, all ${decided.length} within ${Math.max(...decided) - first} ms`,
    );
    say(`one commit, there and back: ${shown(commits)}`);
    say(
      `committed, as seen ${FAR_MS} ms away: first after ${Math.min(...took)} ms, half after ${median(took)} ms, last after ${Math.max(...took)} ms`,
    );
    for (const one of group.replicas) {
      const text = await (await fetch(`http://${one.listen}/metrics`)).text();
      const of = (key: string) => Number(new RegExp(`^${key} (.*)$`, 'm').exec(text)?.[1] ?? 0);
      const count = of('detour_group_commit_seconds_count');
      if (count === 0) continue;
      const meanMs = (1000 * of('detour_group_commit_seconds_sum')) / count;
      say(`${one.name} made ${count} commits since its start, ${Math.round(meanMs)} ms each`);
    }
    goal(decided.length === records, `each decided once (${decided.length} of ${records})`);
    const last = Math.max(...took);
    if (peersMs > 0) say(`beyond the goal's distance: ${last} ms`);
    else goal(last <= MANY_MS, `all committed within ${MANY_MS} ms of the decision`);
  } finally {
    await group.close();
  }
}

// ---------------------------------------------------------------- one node

interface Life {
  readonly startMs: number;
  readonly rssMb: number;
  readonly modules: readonly string[];
}

/** One node of a build over the lab's ready configuration. */
async function oneLife(
  program: string,
  config: string,
  socket: string,
  looks: boolean,
): Promise<Life> {
  const list = join(tmpdir(), `detour-modules-${process.pid}`);
  // Of the bundle, the sources that stand in what is loaded.
  const hook = `data:text/javascript,${encodeURIComponent(
    `import { registerHooks } from 'node:module'; import { appendFileSync } from 'node:fs';
     registerHooks({ load(url, c, n) {
       const loaded = n(url, c);
       const parts = String(loaded.source ?? '').matchAll(/^\\/\\/ ((?:src|providers)\\/.*)$/gm);
       appendFileSync(${JSON.stringify(list)}, url + '\\n');
       for (const [, path] of parts) appendFileSync(${JSON.stringify(list)}, path + '\\n');
       return loaded;
     } });`,
  )}`;
  writeFileSync(list, '');
  const from = performance.now();
  const argv = [...(looks ? ['--import', hook] : []), program, 'run', '-c', config, '--json'];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'ignore', 'inherit'] });
  try {
    await until(
      'it answers',
      30_000,
      async () => (await call(socket, 'GET', '/v1/alive')) !== null,
    );
    const startMs = performance.now() - from;
    await pause(5000);
    const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
    const rssMb = Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
    return { startMs, rssMb, modules: readFileSync(list, 'utf8').split('\n') };
  } finally {
    await stopChild(child);
    rmSync(list);
  }
}

/** `before`: a commit of this repository, built beside this one. */
async function benchAlone(before: string, rounds: number): Promise<void> {
  say(`\none node alone, now and at ${before}, ${rounds} starts in turn; load ${load()}`);
  const root = join(import.meta.dirname, '..', '..');
  const folder = join(mkdtempSync(join(tmpdir(), 'detour-before-')), 'tree');
  const git = (...args: string[]) => spawnSync('git', ['-C', root, ...args], { encoding: 'utf8' });
  git('worktree', 'add', '--detach', folder, before);
  const lab = await startLabProgram('--no-daemon', '--quotas', 'off', '--paths', '3');
  try {
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    const built = spawnSync(process.execPath, ['tools/run.mjs', 'build'], {
      cwd: folder,
      encoding: 'utf8',
    });
    const old = join(folder, 'bin/detour.cjs');
    if (!existsSync(old))
      throw new Error(`${before} was not built: ${built.stdout}${built.stderr}`);
    const socket = join(lab.directory, 'detour.sock');
    const found = { now: [] as Life[], before: [] as Life[] };
    const fresh = () => rmSync(join(lab.directory, 'state'), { recursive: true, force: true });
    for (let i = 0; i < rounds; i++) {
      fresh();
      found.before.push(await oneLife(old, lab.ready.config, socket, false));
      fresh();
      found.now.push(await oneLife(main, lab.ready.config, socket, false));
    }
    fresh();
    const looked = await oneLife(main, lab.ready.config, socket, true);
    const own = looked.modules.filter((path) => path.startsWith('src/cluster/'));
    const of = (lives: readonly Life[], key: 'startMs' | 'rssMb') => lives.map((one) => one[key]);
    say('median (least to most)            before                now');
    say(
      `start to the first answer, ms     ${shown(of(found.before, 'startMs')).padEnd(21)} ${shown(of(found.now, 'startMs'))}`,
    );
    say(
      `memory after 5 s, MiB             ${shown(of(found.before, 'rssMb')).padEnd(21)} ${shown(of(found.now, 'rssMb'))}`,
    );
    say(
      `of src/cluster it loads ${own.map((path) => path.split('/').at(-1)).join(', ')} (${looked.modules.length} modules in all)`,
    );
    const group =
      /\/(etcd|gateway|ledger|mirror|restore|sealed|eyes|door|line|session|letter|asking|kubernetes|group)\.(ts|cjs)$/;
    const loaded = looked.modules.filter(
      (path) => group.test(path) && !/\/(config|core)\//.test(path),
    );
    goal(
      loaded.length === 0,
      `no code of a group is loaded${loaded.length > 0 ? `: ${loaded}` : ''}`,
    );
    goal(
      median(of(found.now, 'startMs')) <= 1.1 * median(of(found.before, 'startMs')),
      'start-up as before, within a tenth',
    );
    goal(
      median(of(found.now, 'rssMb')) <= 1.05 * median(of(found.before, 'rssMb')),
      'memory as before, within a twentieth',
    );
  } finally {
    await lab.stop();
    git('worktree', 'remove', '--force', folder);
  }
}

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    rounds: { type: 'string', default: '12' },
    /** The last commit without a group. */
    before: { type: 'string', default: '0214afa' },
  },
});
say(`${cpus().length} × ${cpus()[0]!.model}, Node ${process.version}, load ${load()}`);
const wants = (part: string) =>
  options.only === undefined || options.only.split(',').includes(part);
if (wants('switch')) await benchSwitch(Number(options.rounds));
if (wants('traffic')) await benchTraffic();
if (wants('many')) await benchMany(1000, 0);
if (wants('many-far')) await benchMany(1000, FAR_MS);
if (wants('alone')) await benchAlone(options.before, 5);
say(missed.length === 0 ? '\nall goals met' : `\n${missed.length} MISSED`);
process.exitCode = missed.length === 0 ? 0 : 1;
