// Three daemons in three clouds over a real etcd, and everything that can be cut, killed, stopped or
// slowed, one after another: who believes to act is sampled every 5 ms, every record is asked for on the
// wire all the time, and after each fault a record's origin fails and whoever acts must move it. Never
// two who act, never an empty or wrong answer, never a pin lost or come back. `npm run storm`.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Command } from '../../src/core/model.ts';
import type { RecordView } from '../../src/core/view.ts';
import {
  actor,
  actsNow,
  type Group,
  machineNow,
  overlaps,
  type Reign,
  type Replica,
  startGroup,
} from '../parts/group.ts';
import { cnameAt, until } from '../parts/program.ts';

/** Of the lease, as the configuration says. */
const TTL_MS = 5000;
/** What a take-over may cost beyond it. */
const MORE_MS = 1500;
/** etcd draws its election timeout between one and two of these, and asks around once. */
const ELECTION_MS = 2500;
const ELECTED_MS = 2 * ELECTION_MS + 500;
/** There and back between members that are slow: a commit takes one or two of these. */
const SLOW_MS = 1000;
const SLOW_COMMIT_MS = 2 * SLOW_MS;
/** Rows that one group goes through. */
const AT_ONCE = 6;
/** Records that rows use up: one each; before them those of the pins. */
const FIRST_FREE = 4;
const VENDORS = 3;

export interface Row {
  readonly title: string;
  /** The next one acts so long after the fault at most; null: whoever acts goes on. */
  readonly nextMs: ((world: World) => number) | null;
  /** Breaks something; resolves once it is broken. */
  fault(world: World): Promise<void> | void;
  /** What is to be seen while it is broken; before a record is moved. */
  readonly meanwhile?: (world: World) => Promise<void>;
  /**
   * Whether a record can be moved meanwhile: everywhere unless given. `somewhere`: vendors whose
   * signatures bear the time refuse whoever has a wrong one.
   */
  readonly moves?: 'nowhere' | 'somewhere';
  mend(world: World): Promise<void> | void;
}

/** What a row finds. */
export interface World {
  readonly group: Group;
  readonly wire: Wire;
  readonly pins: Pins;
  /** Who acted when the fault came, and which member led etcd. */
  readonly leader: Replica;
  readonly etcdLeader: number;
  /** A record of this row alone. */
  readonly record: Group['records'][number];
  /** When the row's fault came, of this machine's clock. */
  readonly at: number;
}

export interface Found {
  readonly title: string;
  readonly leader: string;
  readonly next: string;
  /** From the fault until the next one acted; null: whoever acted went on. */
  readonly nextMs: number | null;
  readonly goalMs: number | null;
  /** In which nobody acted. */
  readonly nobodyMs: number;
  readonly movedMs: number | null;
  readonly wrong: readonly string[];
}

// ---------------------------------------------------------------- the rows

const others = ({ group, leader }: World) => group.replicas.filter((one) => one !== leader);
const lease = () => TTL_MS + MORE_MS;

export const rows: readonly Row[] = [
  {
    title: 'whoever acts is killed (SIGKILL)',
    nextMs: lease,
    fault: ({ leader }) => leader.stop('SIGKILL'),
    mend: ({ leader }) => leader.start(),
  },
  {
    title: 'stopped (SIGSTOP) for 12 s, and back',
    nextMs: lease,
    fault: ({ leader }) => leader.signal('SIGSTOP'),
    async meanwhile({ leader, at }) {
      await pause(Math.max(0, 12_000 - (machineNow() - at)));
      leader.signal('SIGCONT');
      await pause(1000);
    },
    mend: ({ leader }) => leader.signal('SIGCONT'),
  },
  {
    title: 'cut from etcd only',
    nextMs: lease,
    fault: ({ group, leader }) => group.cut(leader.name, 'etcd'),
    mend: ({ group }) => group.mend(),
  },
  {
    title: 'cut from the vendors only, then `detour yield`',
    nextMs: null,
    fault: ({ group, leader }) => group.cut(leader.name, 'vendors'),
    async meanwhile(world) {
      const reply = await others(world)[0]!.command(
        { kind: 'yield', by: 'storm' },
        'storm-yield-1',
      );
      assert.equal(reply?.exit, 0, `yield: ${JSON.stringify(reply)}`);
      await until('another acts', 10_000, () => {
        const now = actsNow(world.group);
        return now !== null && now !== world.leader;
      });
    },
    mend: ({ group }) => group.mend(),
  },
  {
    title: 'cut from the origins only',
    nextMs: null,
    fault: ({ group, leader }) => group.cut(leader.name, 'origins'),
    meanwhile: async () => void (await pause(4000)),
    mend: ({ group }) => group.mend(),
  },
  {
    title: 'cut from origins and references: blind',
    nextMs: null,
    fault({ group, leader }) {
      group.cut(leader.name, 'origins');
      group.cut(leader.name, 'references');
    },
    meanwhile: async () => void (await pause(4000)),
    mend: ({ group }) => group.mend(),
  },
  {
    title: 'cut from the other replicas only',
    nextMs: null,
    fault: (world) => {
      for (const one of others(world))
        world.group.lane(one.name, world.leader.name).state = 'silent';
      world.group.cut(world.leader.name, 'replicas');
    },
    // It has one vote of three: it moves nothing, which is right.
    moves: 'nowhere',
    meanwhile: async () => void (await pause(4000)),
    mend: ({ group }) => group.mend(),
  },
  {
    title: 'it ends (SIGTERM)',
    nextMs: () => 1500,
    fault: ({ leader }) => leader.stop('SIGTERM'),
    mend: ({ leader }) => leader.start(),
  },
  {
    title: 'an etcd member that does not lead is killed',
    nextMs: null,
    fault: ({ group, etcdLeader }) => group.etcd!.kill((etcdLeader + 1) % 3),
    meanwhile: async () => void (await pause(4000)),
    mend: ({ group, etcdLeader }) => group.etcd!.restart((etcdLeader + 1) % 3),
  },
  {
    title: 'the member that leads etcd is killed',
    nextMs: () => lease() + ELECTED_MS + TTL_MS,
    fault: ({ group, etcdLeader }) => group.etcd!.kill(etcdLeader),
    meanwhile: async () => void (await pause(8000)),
    mend: ({ group, etcdLeader }) => group.etcd!.restart(etcdLeader),
  },
  {
    title: 'the member that leads etcd stops (SIGSTOP), and back',
    nextMs: () => lease() + ELECTED_MS + TTL_MS,
    fault: ({ group, etcdLeader }) => group.etcd!.freeze(etcdLeader, true),
    meanwhile: async () => void (await pause(12_000)),
    mend: ({ group, etcdLeader }) => group.etcd!.freeze(etcdLeader, false),
  },
  {
    title: 'leads etcd and acts, both on one machine: killed together',
    nextMs: () => lease() + ELECTED_MS + TTL_MS,
    async fault({ group, etcdLeader, leader }) {
      await Promise.all([group.etcd!.kill(etcdLeader), leader.stop('SIGKILL')]);
    },
    async mend({ group, etcdLeader, leader }) {
      await group.etcd!.restart(etcdLeader);
      leader.start();
    },
  },
  {
    title: 'the quorum is lost (two members killed) and comes back',
    nextMs: () => Number.POSITIVE_INFINITY,
    async fault({ group }) {
      await Promise.all([group.etcd!.kill(0), group.etcd!.kill(1)]);
    },
    moves: 'nowhere',
    async meanwhile(world) {
      const { group, at } = world;
      await until('nobody acts', TTL_MS, () => actsNow(group) === null);
      world.wire.notes.push(
        `nobody acts ${Math.round(machineNow() - at)} ms after the quorum went`,
      );
      await until('each says so', 20_000, async () => {
        const all = await Promise.all(group.replicas.map((one) => one.status()));
        return all.every((one) => one?.group?.word === 'no-quorum');
      });
    },
    async mend(world) {
      const { group } = world;
      await Promise.all([group.etcd!.restart(0), group.etcd!.restart(1)]);
      const from = machineNow();
      await actor(group, 60_000);
      const tookMs = Math.round(machineNow() - from);
      world.wire.notes.push(`one acts ${tookMs} ms after two members answered again`);
    },
  },
  {
    title: 'etcd is slow: a commit takes 1 to 2 s',
    nextMs: () => lease() + 3 * SLOW_COMMIT_MS,
    async fault({ group }) {
      for (const [one, other] of [
        [0, 1],
        [0, 2],
        [1, 2],
      ] as const) {
        group.between(one, other).delayMs = SLOW_MS / 2;
      }
    },
    meanwhile: async () => void (await pause(20_000)),
    mend({ group }) {
      const rtt = [
        [0, 1, 40],
        [0, 2, 90],
        [1, 2, 160],
      ] as const;
      for (const [one, other, ms] of rtt) group.between(one, other).delayMs = ms / 2;
    },
  },
  {
    title: 'as slow, and whoever acts is killed',
    nextMs: () => lease() + 3 * SLOW_COMMIT_MS,
    async fault({ group, leader }) {
      for (const [one, other] of [
        [0, 1],
        [0, 2],
        [1, 2],
      ] as const) {
        group.between(one, other).delayMs = SLOW_MS / 2;
      }
      await leader.stop('SIGKILL');
    },
    mend({ group, leader }) {
      const rtt = [
        [0, 1, 40],
        [0, 2, 90],
        [1, 2, 160],
      ] as const;
      for (const [one, other, ms] of rtt) group.between(one, other).delayMs = ms / 2;
      leader.start();
    },
  },
  // The last of all: at vendors that sign by time its lanes are tried slowly for a while after it.
  {
    title: 'its clock goes an hour ahead',
    nextMs: lease,
    fault: ({ leader }) => leader.tell({ kind: 'wall', ms: 3_600_000 }),
    moves: 'somewhere',
    mend: ({ leader }) => leader.tell({ kind: 'wall', ms: 0 }),
  },
  {
    title: 'its clock goes an hour back',
    nextMs: null,
    fault: ({ leader }) => leader.tell({ kind: 'wall', ms: -3_600_000 }),
    moves: 'somewhere',
    meanwhile: async () => void (await pause(3000)),
    mend: ({ leader }) => leader.tell({ kind: 'wall', ms: 0 }),
  },
];

// ---------------------------------------------------------------- what must hold all the time

/** Every record at every vendor, asked for one after another all the time. */
export class Wire {
  answers = 0;
  readonly wrong: string[] = [];
  /** What is worth a line under the table. */
  readonly notes: string[] = [];
  readonly #group: Group;
  readonly #allowed = new Map<string, readonly string[]>();
  readonly #loops: readonly Promise<void>[];
  #on = true;

  constructor(group: Group) {
    this.#group = group;
    for (const { name } of group.records) this.#allowed.set(name, [group.values.first]);
    const { vendors } = group.lab.ready;
    this.#loops = Object.entries(vendors).map(([vendor, { dns }]) => this.#ask(vendor, dns));
  }

  /** From now on a record may have these answers. */
  allow(name: string, ...values: readonly string[]): void {
    this.#allowed.set(name, values);
  }

  async #ask(vendor: string, dns: string): Promise<void> {
    while (this.#on) {
      for (const { name } of this.#group.records) {
        const before = this.#allowed.get(name)!;
        const value = await cnameAt(dns, name);
        if (value !== undefined) {
          this.answers++;
          // It was given at some moment between.
          const right = [...before, ...this.#allowed.get(name)!];
          const isRight = value !== null && right.includes(value);
          if (!isRight && this.wrong.length < 100) {
            this.wrong.push(`${vendor} gave ${value ?? 'nothing'} for ${name}`);
          }
        }
        await pause(25);
      }
    }
  }

  /** How many vendors give this; there are three. */
  async gives(name: string, value: string): Promise<number> {
    const { vendors } = this.#group.lab.ready;
    const given = await Promise.all(Object.values(vendors).map(({ dns }) => cnameAt(dns, name)));
    return given.filter((one) => one === value).length;
  }

  async stop(): Promise<void> {
    this.#on = false;
    await Promise.all(this.#loops);
  }
}

const HOURS_2 = 7_200_000;

/** Three records: one is pinned, one was and is not, one changes before each fault. */
export class Pins {
  readonly #group: Group;
  readonly #untilAt: number;
  #toggled = false;
  #said = 0;

  constructor(group: Group) {
    this.#group = group;
    this.#untilAt = machineNow() + HOURS_2;
  }

  async begin(): Promise<void> {
    await this.#say(this.#pin(0, HOURS_2));
    await this.#say(this.#pin(1, HOURS_2));
    await this.#say({ kind: 'unpin', record: this.#name(1), by: 'storm' });
  }

  async toggle(): Promise<void> {
    this.#toggled = !this.#toggled;
    const unpin: Command = { kind: 'unpin', record: this.#name(2), by: 'storm' };
    await this.#say(this.#toggled ? this.#pin(2, null) : unpin);
  }

  #name(i: number): string {
    return `${this.#group.records[i]!.name}.`;
  }

  #pin(i: number, forMs: number | null): Command {
    return { kind: 'pin', record: this.#name(i), reason: 'storm', forMs, by: 'storm' };
  }

  /** At another door each time. */
  async #say(command: Command): Promise<void> {
    const { replicas } = this.#group;
    const at = replicas[this.#said++ % replicas.length]!;
    const reply = await at.command(command, `storm-order-${this.#said}`);
    assert.equal(reply?.exit, 0, `${at.name}: ${command.kind}: ${JSON.stringify(reply)}`);
  }

  /** What is wrong with the pins, as a replica shows them. */
  async wrong(replica: Replica): Promise<readonly string[]> {
    const view = await replica.status();
    if (view === null) return [`${replica.name} does not answer`];
    const found = [0, 1, 2].map((i) => {
      return view.records.find(({ name }) => name === this.#name(i))?.pin ?? null;
    });
    const out: string[] = [];
    const say = (what: string) => out.push(`at ${replica.name} ${what}`);
    const [first, second, third] = found as readonly (RecordView['pin'] | undefined)[];
    if (!first) say('the pin is lost');
    else {
      const leftMs = (first.untilAt ?? Number.POSITIVE_INFINITY) - view.at;
      const offMs = leftMs - (this.#untilAt - machineNow());
      if (Math.abs(offMs) > 5000) say(`the pin ends ${Math.round(offMs)} ms off`);
    }
    if (second) say('a lifted pin has come back');
    if (Boolean(third) !== this.#toggled) {
      say(this.#toggled ? 'the last pin is lost' : 'the last pin has come back');
    }
    return out;
  }
}

/** Automatic switches in the journals of all, by record, and epochs that went back. */
function journalled(group: Group): { readonly moved: readonly string[]; readonly wrong: string[] } {
  const moved: string[] = [];
  const wrong: string[] = [];
  for (const { name, stateDir } of group.replicas) {
    const db = new DatabaseSync(join(stateDir, 'detour.sqlite'), { readOnly: true });
    try {
      const sql = 'SELECT seq, record, kind, data FROM journal ORDER BY seq';
      const found = db.prepare(sql).all() as { record: string; kind: string; data: string }[];
      const epochs = new Map<string, number>();
      for (const { record, kind, data } of found) {
        if (kind !== 'switch') continue;
        const said = JSON.parse(data) as { epoch?: number; kind?: string };
        if (said.epoch !== undefined && said.epoch <= (epochs.get(record) ?? 0)) {
          wrong.push(`${name}: ${record} got epoch ${said.epoch} after ${epochs.get(record)}`);
        }
        epochs.set(record, said.epoch ?? 0);
        if (said.kind !== 'operator') moved.push(record);
      }
    } finally {
      db.close();
    }
  }
  return { moved, wrong };
}

// ---------------------------------------------------------------- one row

/** One acts, all hear one another, every origin is up and every record where it belongs. */
export async function calm(group: Group): Promise<void> {
  let why = '';
  await until('the group is calm', 120_000, async () => {
    const all = await Promise.all(group.replicas.map((one) => one.status()));
    const ill = all.flatMap((view, i) => {
      const { name } = group.replicas[i]!;
      if (view === null) return [`${name} does not answer`];
      if (view.group === null || view.group.word !== null) return [`${name}: ${view.group?.word}`];
      if (view.group.acts === null) return [`${name} knows of nobody who acts`];
      const silent = view.group.replicas.filter(({ heard }) => !heard);
      const down = view.origins.filter(({ health }) => health !== 'up');
      const late = view.records.filter(({ target, switching, providers }) => {
        const isBehind = providers.some(({ stage }) => stage !== 'visible');
        return target === null || switching || isBehind;
      });
      return [
        ...silent.map((one) => `${name} does not hear ${one.name}`),
        ...down.map((one) => `${name}: ${one.name} is ${one.health}`),
        ...late.map((r) => `${name}: ${r.name} is not settled`),
      ];
    });
    if (all.every((view) => view?.group?.role !== 'acts')) ill.push('nobody says that it acts');
    why = ill.join('; ');
    return ill.length === 0;
  }).catch((error: Error) => {
    throw new Error(`${error.message}: ${why}`);
  });
}

/** Its origin fails for everybody; resolves with how long until the vendors give the other. */
async function moved(world: World, moves: Row['moves']): Promise<number> {
  const { group, wire, record } = world;
  const { first, second } = group.values;
  wire.allow(record.name, first, second);
  for (const { name } of group.replicas) group.lane(name, record.origin).state = 'refuses';
  const least = moves === 'somewhere' ? 1 : VENDORS;
  const isThere = async () => (await wire.gives(record.name, second)) >= least;
  const ms = await until(`${record.name} moves`, 60_000, isThere);
  if (least === VENDORS) wire.allow(record.name, second);
  else wire.notes.push(`${world.leader.name}: ${await wire.gives(record.name, second)} of 3 moved`);
  return ms;
}

export async function play(
  row: Row,
  i: number,
  parts: Pick<World, 'group' | 'wire' | 'pins'>,
): Promise<Found> {
  const { group, wire, pins } = parts;
  await pins.toggle();
  const record = group.records[FIRST_FREE + i]!;
  const leader = await actor(group);
  const etcdLeader = (await group.etcd!.leader()) ?? 0;
  const at = machineNow();
  const world: World = { ...parts, leader, etcdLeader, record, at };
  const before = wire.wrong.length;
  const goalMs = row.nextMs?.(world) ?? null;
  const wrong: string[] = [];
  try {
    await row.fault(world);
    if (goalMs !== null && Number.isFinite(goalMs)) await gone(world, goalMs);
    await row.meanwhile?.(world);
    const movedMs = row.moves === 'nowhere' ? null : await moved(world, row.moves);
    await row.mend(world);
    for (const { name } of group.replicas) group.lane(name, record.origin).state = 'open';
    await calm(group);
    if (movedMs !== null) wire.allow(record.name, group.values.second);
    const all = group.replicas.flatMap((one) => one.beliefs.reigns());
    const shown = await Promise.all(group.replicas.map((one) => pins.wrong(one)));
    wrong.push(...shown.flat(), ...wire.wrong.slice(before));
    wrong.push(...overlaps(all.filter(({ to }) => to >= at)));
    return { ...result(world, row, goalMs, all, movedMs), wrong };
  } catch (error) {
    group.mend();
    return {
      ...empty(world, row, goalMs),
      wrong: [...wrong, (error as Error).message.slice(0, 4000)],
    };
  }
}

/** Whoever acted acts no more, or again; a row that wants no change sees none. */
async function gone({ group, leader, at }: World, goalMs: number): Promise<void> {
  const next = () => group.replicas.some((one) => nextOf(one.beliefs.reigns(), at) !== null);
  await until(`another than ${leader.name} acts`, goalMs + 10_000, next).catch((error: Error) => {
    // Where etcd bears it, whoever acts goes on, which is better.
    if (actsNow(group) !== leader) throw error;
  });
}

function nextOf(all: readonly Reign[], at: number): Reign | null {
  const later = all.filter(({ from }) => from > at).sort((a, b) => a.from - b.from);
  return later[0] ?? null;
}

function result(
  world: World,
  row: Row,
  goalMs: number | null,
  all: readonly Reign[],
  movedMs: number | null,
) {
  const { at, leader } = world;
  const next = nextOf(all, at);
  const last = all.filter(({ from }) => from <= at).map(({ to }) => to);
  const nobodyMs = next === null ? 0 : next.from - Math.min(next.from, Math.max(...last));
  return {
    ...empty(world, row, goalMs),
    next: next === null ? leader.name : next.replica,
    nextMs: next === null ? null : next.from - at,
    nobodyMs,
    movedMs,
  };
}

function empty({ leader }: World, { title }: Row, goalMs: number | null): Omit<Found, 'wrong'> {
  const none = { next: '?', nextMs: null, nobodyMs: 0, movedMs: null };
  return { title, leader: leader.name, goalMs, ...none };
}

const isLate = ({ nextMs, goalMs }: Found) => nextMs !== null && goalMs !== null && nextMs > goalMs;

// ---------------------------------------------------------------- what three see

/** One origin seen down by some of three. */
interface Sight {
  readonly title: string;
  /** Who sees it fail, whoever acts first. */
  readonly down: readonly (0 | 1 | 2)[];
  /** Whoever acts sees nothing at all. */
  readonly blind: boolean;
  readonly moves: boolean;
}

export const sights: readonly Sight[] = [
  { title: 'down as one follower sees it', down: [1], blind: false, moves: false },
  { title: 'down as whoever acts sees it', down: [0], blind: false, moves: false },
  { title: 'down as two see it', down: [1, 2], blind: false, moves: true },
  { title: 'down for all, whoever acts is blind itself', down: [1, 2], blind: true, moves: true },
];

export interface Seen {
  readonly title: string;
  readonly movedMs: number | null;
  readonly words: readonly string[];
  readonly wrong: readonly string[];
}

/** How long an origin that one alone condemns is watched. */
const WATCHED_MS = 10_000;

export async function see(
  sight: Sight,
  i: number,
  { group, wire }: Pick<World, 'group' | 'wire'>,
): Promise<Seen> {
  await calm(group);
  const leader = await actor(group);
  const ordered = [leader, ...group.replicas.filter((one) => one !== leader)];
  const record = group.records[FIRST_FREE + i]!;
  const { first, second } = group.values;
  const before = wire.wrong.length;
  if (sight.moves) wire.allow(record.name, first, second);
  if (sight.blind) {
    group.cut(leader.name, 'origins');
    group.cut(leader.name, 'references');
    await until(`${leader.name} is blind`, 20_000, async () => {
      const view = await leader.status();
      return view?.group?.replicas.find(({ self }) => self)?.blind === true;
    });
  }
  for (const at of sight.down) group.lane(ordered[at]!.name, record.origin).state = 'refuses';
  const words = new Set<string>();
  const look = async () => {
    for (const one of group.replicas) {
      const view = await one.status();
      const cloud = view?.clouds.find(({ name }) => name === 'aliyun');
      if (cloud) words.add(cloud.diagnosis);
    }
    return wire.gives(record.name, second);
  };
  const wrong: string[] = [];
  let movedMs: number | null = null;
  if (sight.moves) {
    // Until the last vendor has moved, either answer is right.
    const isThere = async () => (await look()) >= VENDORS;
    movedMs = await until(`${record.name} moves`, 60_000, isThere);
  } else {
    const from = machineNow();
    while (machineNow() - from < WATCHED_MS) {
      if ((await look()) > 0) wrong.push('it moved');
      await pause(200);
    }
    if (!words.has('paths-disagree')) wrong.push(`nobody said paths-disagree: ${[...words]}`);
  }
  if (sight.moves) wire.allow(record.name, second);
  if (sight.blind && actsNow(group) !== leader) wrong.push('the blind one no longer acts');
  group.mend();
  await calm(group);
  wrong.push(...wire.wrong.slice(before));
  return { title: sight.title, movedMs, words: [...words], wrong };
}

// ---------------------------------------------------------------- all of it

export interface StormReport {
  readonly found: readonly Found[];
  readonly seen: readonly Seen[];
  readonly answers: number;
  readonly samples: number;
  readonly wrong: readonly string[];
  readonly notes: readonly string[];
  /** The longest turn of this process, whose ways stood still meanwhile. */
  readonly stoodStillMs: number;
}

/**
 * Throws only where the parts do not come up; what must never be stands in the report. What the
 * daemons wrote is left in the folder `logs`.
 */
export async function storm(
  wanted: readonly Row[],
  looks: readonly Sight[],
  told: (one: Found | Seen) => void,
  logs?: string,
): Promise<StormReport> {
  const group = await startGroup({
    roundTrips: [40, 90, 160],
    records: FIRST_FREE + wanted.length + looks.length,
    etcd: { heartbeatMs: 250, electionMs: ELECTION_MS },
  });
  const wire = new Wire(group);
  const turns = monitorEventLoopDelay({ resolution: 10 });
  turns.enable();
  const found: Found[] = [];
  const seen: Seen[] = [];
  try {
    for (const one of group.replicas) one.start();
    await calm(group);
    const pins = new Pins(group);
    await pins.begin();
    for (const [i, row] of wanted.entries()) {
      found.push(await play(row, i, { group, wire, pins }));
      told(found.at(-1)!);
      // What comes after a row that failed would say nothing.
      if (found.at(-1)!.movedMs === null && found.at(-1)!.wrong.length > 0) break;
    }
    for (const [i, look] of looks.entries()) {
      seen.push(await see(look, wanted.length + i, { group, wire }));
      told(seen.at(-1)!);
    }
    await Promise.all(group.replicas.map((one) => one.stop()));
    const all = group.replicas.flatMap((one) => one.beliefs.reigns());
    const { moved, wrong } = journalled(group);
    wrong.push(...overlaps(all), ...wire.wrong);
    const free = new Set(group.records.slice(FIRST_FREE).map(({ name }) => `${name}.`));
    wrong.push(...moved.filter((name) => !free.has(name)).map((name) => `${name} was moved`));
    const samples = group.replicas.reduce((sum, one) => sum + one.beliefs.samples, 0);
    const { answers, notes } = wire;
    const stoodStillMs = turns.max / 1e6;
    return { found, seen, answers, samples, wrong, notes, stoodStillMs };
  } finally {
    await wire.stop();
    if (logs !== undefined) {
      for (const one of group.replicas) writeFileSync(join(logs, `${one.name}.log`), one.log());
    }
    await group.close();
  }
}

const ms = (value: number | null) => (value === null ? '-' : `${Math.round(value)} ms`);

export function line(one: Found | Seen): string {
  const wrong = one.wrong.length > 0 ? ` | WRONG: ${one.wrong.slice(0, 3).join('; ')}` : '';
  if ('words' in one) {
    const what = one.movedMs === null ? 'stays' : `moved after ${ms(one.movedMs)}`;
    return `${one.title} | ${what} | said: ${one.words.join(', ')}${wrong}`;
  }
  const next = one.nextMs === null ? `${one.next} goes on` : `${one.next} after ${ms(one.nextMs)}`;
  const goal = one.goalMs === null || !Number.isFinite(one.goalMs) ? '-' : ms(one.goalMs);
  const late = isLate(one) ? ' LATE' : '';
  const rest = `nobody for ${ms(one.nobodyMs)} | record moved in ${ms(one.movedMs)}`;
  return `${one.title} | ${one.leader} acts | ${next} (at most ${goal})${late} | ${rest}${wrong}`;
}

/** What was missed, a line each; none: all goals are met. */
export function missed({ found, seen, wrong }: StormReport): readonly string[] {
  const late = found.filter(isLate).map(({ title }) => `${title}: the next one acts too late`);
  return [...late, ...[...found, ...seen].flatMap((one) => one.wrong), ...wrong];
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      /** The rows before this one are left out. */
      from: { type: 'string', default: '0' },
      logs: { type: 'string' },
    },
  });
  const wants = (title: string) => values.only === undefined || title.includes(values.only);
  const load = () =>
    loadavg()
      .map((one) => one.toFixed(1))
      .join(' ');
  console.log(`${cpus().length} × ${cpus()[0]!.model}; lease ${TTL_MS} ms`);
  const reports: StormReport[] = [];
  const take = async (some: readonly Row[], looks: readonly Sight[]) => {
    if (some.length + looks.length === 0) return;
    console.log(`load ${load()}`);
    const report = await storm(some, looks, (one) => console.log(line(one)), values.logs);
    for (const note of report.notes) console.log(note);
    const still = `${Math.round(report.stoodStillMs)} ms`;
    const { samples, answers } = report;
    console.log(
      `${samples} samples, ${answers} answers; the ways stood still for ${still} at most`,
    );
    reports.push(report);
  };
  const wanted = rows.slice(Number(values.from)).filter(({ title }) => wants(title));
  for (let i = 0; i < wanted.length; i += AT_ONCE) {
    await take(wanted.slice(i, i + AT_ONCE), []);
  }
  await take(
    [],
    sights.filter(({ title }) => wants(title)),
  );
  const failed = reports.flatMap(missed);
  for (const one of failed) console.log(`MISSED: ${one}`);
  console.log(failed.length === 0 ? 'all goals met' : `${failed.length} MISSED`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}
