// One simulated group from one seed: several real controllers, each over the real coordinator, in front
// of one simulated etcd; run through its faults and then left in peace until somebody acts, everything
// has converged and all know the same. Same seed, same world, same journals.

import { createHash } from 'node:crypto';
import {
  createEtcdCoordinator,
  type GroupCoordinator,
  type Memory,
} from '../../src/cluster/etcd.ts';
import type { Gateway } from '../../src/cluster/gateway.ts';
import { createKeyring, type Keyring } from '../../src/cluster/keyring.ts';
import { createSeal, type Seal } from '../../src/cluster/sealed.ts';
import { formatMarker } from '../../src/core/marker.ts';
import type { Command, Json, Marker, Name } from '../../src/core/model.ts';
import { shifted } from '../../src/core/stored.ts';
import type { Coordinator, Eyes, Store } from '../../src/ports.ts';
import { createElapsed } from '../../src/run/elapsed.ts';
import { type Link, SimEtcd } from '../parts/sim-etcd.ts';
import { behind, help } from './calm.ts';
import { Chance } from './chance.ts';
import { type Process, Timeline } from './clock.ts';
import { withCrowds, withDrills } from './draw.ts';
import { Truth } from './faults.ts';
import { hold } from './first.ts';
import { GroupCheckers, PREFIX } from './group-checkers.ts';
import { drawGroup, type GroupPlan, MEMBERS, ofReplica } from './group-draw.ts';
import { type GroupSite, groupFaults } from './group-faults.ts';
import { Net, type Post, SimEyes } from './group-wire.ts';
import { heldSeed, holdConnections } from './held.ts';
import { drawDrill, drawOrder, drawPrepare } from './orders.ts';
import { Replica, type Shared, type Told } from './replica.ts';
import { SimVendor, type Wire } from './vendors.ts';
import type { Report } from './world.ts';

/** A group broken on purpose, to see it caught; each part of it wraps one seam. */
export interface GroupSabotage {
  readonly coordinator?: (real: Coordinator, replica: Replica) => Coordinator;
  readonly gateway?: (real: Gateway, replica: Replica) => Gateway;
  readonly elapsed?: (real: () => number) => () => number;
  readonly eyes?: (real: Eyes) => Eyes;
  /** What the broken coordinator believes is shown to nobody. */
  readonly isSecret?: boolean;
}

export interface GroupOptions {
  readonly sabotage?: GroupSabotage;
  readonly trace?: (line: string) => void;
}

/** Left alone, an idle lane may wait 5 minutes, and DNS is looked at twice a minute. */
const ALONE_MS = 420_000;
const HELP_EVERY_MS = 30_000;
const HELPED_MS = 600_000;
/** Whoever is down or stands still is back by then. */
const BACK_MS = 240_000;
const BACKUP_EVERY_MS = 60_000;
const BACKUPS_KEPT = 5;
const OTHER = 0x5bd1e995;
const DRILLS = 0x2545f491;
const PREPARES = 0x7f4a7c15;
const PREPARE_MS = 120_000;
const DRILLS_FROM_MS = 60_000;

export async function runGroup(seed: number, options: GroupOptions = {}): Promise<Report> {
  return new GroupWorld(seed, options).run();
}

class GroupWorld {
  readonly #seed: number;
  readonly #options: GroupOptions;
  readonly #chance: Chance;
  readonly #other: Chance;
  readonly #drills: Chance;
  readonly #prepares: Chance;
  readonly #plan: GroupPlan & { readonly drillEveryMs: number | null };
  readonly #keys: Keyring;
  readonly #seal: Seal;
  readonly #timeline = new Timeline();
  readonly #truth: Truth;
  readonly #net: Net;
  readonly #etcd: SimEtcd;
  readonly #post: Post;
  readonly #checkers: GroupCheckers;
  readonly #vendors: ReadonlyMap<string, SimVendor>;
  readonly #replicas: readonly Replica[];
  readonly #byProcess = new Map<Process, Replica>();
  readonly #links = new Map<string, Link>();
  readonly #figures = { crashes: 0, probes: 0 };
  readonly #backups: { readonly restore: () => void; readonly number: number }[] = [];
  #clusters = 1;
  #ids = 0;
  #orders = 0;
  #faultsOver = false;

  constructor(seed: number, options: GroupOptions) {
    this.#seed = seed;
    this.#options = options;
    const chance = new Chance(seed);
    this.#chance = chance;
    this.#other = new Chance(seed ^ OTHER);
    this.#drills = new Chance(seed ^ DRILLS);
    this.#prepares = new Chance(seed ^ PREPARES);
    const plan = withCrowds(withDrills(drawGroup(chance), this.#drills));
    this.#plan = plan;
    this.#keys = createKeyring([plan.key]);
    this.#seal = createSeal([plan.key], [plan.config.cluster, PREFIX]);
    const timeline = this.#timeline;
    const now = () => timeline.now;
    this.#truth = new Truth(now);
    this.#net = new Net(now);
    const { wayMs, commitMs } = plan;
    const random = () => chance.next();
    this.#etcd = new SimEtcd({ timeline, random, members: MEMBERS.length, wayMs, commitMs });
    this.#post = { net: this.#net, chance, wayMs: plan.eyesMs, eyes: new Map() };
    this.#checkers = new GroupCheckers({
      ...{ timeline, plan, truth: this.#truth },
      ...{ net: this.#net, etcd: this.#etcd, seal: this.#seal },
    });
    this.#etcd.applied = () => this.#checkers.applied();
    if (options.trace !== undefined) {
      const say = options.trace;
      const stamp = () => `${(timeline.now / 1000).toFixed(3).padStart(10)}s`;
      this.#checkers.trace = (line) => say(`${stamp()} ${line}`);
    }
    const wire = { chance, later: (ms: number, run: () => void) => timeline.later(ms, run) };
    this.#vendors = this.#makeVendors(wire);
    this.#replicas = plan.replicas.map((name) => new Replica(name, this.#shared(wire)));
    this.#checkers.replicas = this.#replicas;
    this.#replicas.forEach((r, i) => {
      this.#byProcess.set(r.process, r);
      r.process.wallOffMs = plan.wallOffMs[i]!;
      r.process.speed = plan.speed[i]!;
    });
  }

  async run(): Promise<Report> {
    let convergedMs: number | null = null;
    let helped = 0;
    try {
      this.#begin();
      const ends = this.#scheduleFaults();
      this.#timeline.later(DRILLS_FROM_MS, () => this.#drill());
      this.#timeline.later(this.#prepares.wait(PREPARE_MS), () => this.#prepare());
      await this.#runUntil(this.#plan.durationMs);
      this.#faultsOver = true;
      for (const end of ends) end();
      [convergedMs, helped] = await this.#quiet();
      await this.#mustAgree();
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#checkers.fail('never-throws', text);
    }
    return {
      seed: this.#seed,
      violations: this.#checkers.found,
      hash: this.#hash(),
      simulatedMs: this.#timeline.now,
      switches: this.#checkers.switches,
      drills: this.#checkers.drills,
      ...this.#figures,
      convergedMs,
      helped,
      commits: this.#checkers.commits,
      takeOvers: this.#checkers.takeOvers,
    };
  }

  // ------------------------------------------------------------ what there is

  #makeVendors(wire: Wire): ReadonlyMap<string, SimVendor> {
    const options = {
      ...{ zones: ['gslb.test.', 'edge.test.'], ttlMin: null, saysTtlMin: false },
      ...{ lagMs: [1, 300] as const, staleMs: 20_000 },
    };
    return new Map(
      Object.entries(this.#plan.vendors).map(([name, strength]) => {
        const vendor = new SimVendor(name, strength, wire, () => this.#timeline.now, options);
        vendor.changed = (change) => this.#checkers.changed(vendor, change);
        return [name, vendor];
      }),
    );
  }

  #shared(wire: Wire): Shared {
    return {
      timeline: this.#timeline,
      chance: this.#chance,
      wire,
      config: this.#plan.config,
      truth: this.#truth,
      vendors: this.#vendors,
      checkers: this.#checkers,
      figures: this.#figures,
      keys: this.#keys,
      lossyStore: false,
      forgetfulStore: false,
      coordinator: (r, _, store) => this.#coordinator(r, store),
      eyes: (r, told) => this.#eyes(r, told),
      fileOf: (config, name) => ofReplica(config, name, this.#plan.replicas),
      isCut: (a, b) => this.#net.isCut(a, b),
    };
  }

  #link(name: string): Link {
    const link = this.#links.get(name) ?? this.#etcd.link();
    this.#links.set(name, link);
    return link;
  }

  /** Put together as src/run/group.ts does it. */
  #coordinator(r: Replica, store: Store): Coordinator {
    const { process, name } = r;
    const { sabotage = {} } = this.#options;
    const clock = process.clock();
    const elapsed = createElapsed({
      monotonic: () => process.monotonic(),
      wall: () => process.wall(),
      // In whole seconds.
      uptime: () => Math.floor(this.#timeline.now / 1000) * 1000,
    });
    const gateway = this.#etcd.gateway(process, this.#link(name));
    const { life } = process;
    const made = createEtcdCoordinator({
      gateway: sabotage.gateway?.(gateway, r) ?? gateway,
      clock,
      elapsed: sabotage.elapsed?.(elapsed) ?? elapsed,
      replica: name,
      prefix: PREFIX,
      ttlMs: this.#plan.ttlMs,
      seal: () => this.#seal,
      memory: {
        load: () => memoryOf(store.load().docs),
        save: (memory) => {
          if (life !== process.life) return false;
          const docs = [['group', memory as unknown as Json]] as const;
          try {
            store.commit({ at: clock.now(), wall: clock.wall(), entries: [], docs });
            return true;
          } catch {
            this.#checkers.trace(`${name}: cannot remember how far the group was`);
            return false;
          }
        },
      },
      id: () => `t${++this.#ids}`,
      trouble: (sentence) => this.#checkers.trace(`${name}: trouble: ${sentence}`),
    });
    this.#heads.set(name, made);
    const coordinator = sabotage.coordinator?.(made, r) ?? made;
    this.#checkers.coordinators.set(name, sabotage.isSecret ? made : coordinator);
    return coordinator;
  }

  readonly #heads = new Map<string, GroupCoordinator>();

  /** What the others say of the group's head reaches the coordinator too. */
  #eyes(r: Replica, told: Told): Eyes {
    const others = this.#plan.replicas.filter((name) => name !== r.name);
    const head = () => this.#heads.get(r.name)!;
    const eyes = new SimEyes(this.#post, r.process, others, (since) => {
      const said = told(since);
      return said && { ...said, telling: { ...said.telling, ...head().head } };
    });
    const knowing: Eyes = {
      start: (tell) =>
        eyes.start((event) => {
          if (event.kind === 'heard') head().highest(event.telling, event.telling.replica);
          tell(event);
        }),
      changed: () => eyes.changed(),
      call: (checks, why) => eyes.call(checks, why),
      close: () => eyes.close(),
    };
    return this.#options.sabotage?.eyes?.(knowing) ?? knowing;
  }

  // ------------------------------------------------------------ while it lasts

  #begin(): void {
    const { config, replicas, faults } = this.#plan;
    hold({
      chance: this.#chance,
      other: this.#other,
      config,
      vendors: this.#vendors,
      gives: () => {},
      sign: (name, cname, marker) => this.#sign(name, cname, marker),
    });
    const { trace } = this.#checkers;
    trace(`${replicas.length} replicas, TTL ${this.#plan.ttlMs} ms, ${this.#plan.durationMs} ms`);
    trace(`vendors ${JSON.stringify(this.#plan.vendors)}`);
    trace(`paths ${JSON.stringify(Object.values(config.paths))}`);
    trace(`check ${JSON.stringify(Object.values(config.checks)[0])}`);
    trace(`origins ${JSON.stringify(Object.values(config.origins))}`);
    trace(`records ${JSON.stringify(Object.values(config.records))}`);
    trace(`faults ${JSON.stringify(faults)}`);
    for (const r of this.#replicas) {
      this.#timeline.later(this.#chance.int(0, 2000), () => r.start());
    }
    holdConnections(new Chance(heldSeed(this.#seed)), {
      ...{ truth: this.#truth, replicas: this.#replicas, isOver: () => this.#faultsOver },
      later: (ms, run) => this.#timeline.later(ms, run),
    });
    this.#backUp();
  }

  #sign(name: Name, cname: Name, marker: Marker): string {
    const signed = this.#keys.sign(name, cname, marker);
    this.#checkers.signs(name, cname, signed);
    return formatMarker(signed);
  }

  #runUntil(until: number): Promise<void> {
    const { found } = this.#checkers;
    return this.#timeline.run(
      until,
      (process) => {
        const replica = process === null ? undefined : this.#byProcess.get(process);
        if (replica !== undefined) this.#checkers.looked(replica);
      },
      () => found.length > 0,
    );
  }

  #scheduleFaults(): Set<() => void> {
    const going = new Set<() => void>();
    const site = this.#site();
    const c = this.#chance;
    for (const { kind, everyMs, lastsMs } of this.#plan.faults) {
      const again = () => {
        if (this.#faultsOver) return;
        const ms = c.wait(lastsMs) + 1;
        const undo = groupFaults[kind](site, c, ms);
        this.#checkers.trace(`fault ${kind} for ${ms} ms`);
        if (kind === 'wall-jump') this.#checkers.slackMs += 2 * 7_200_000;
        if (kind === 'sleep' || kind === 'lost-store') this.#checkers.slackMs += 7_200_000;
        const end = () => {
          if (!going.delete(end)) return;
          undo();
          this.#checkers.trace(`fault ${kind} is over`);
        };
        going.add(end);
        this.#timeline.later(ms, end);
        this.#timeline.later(c.wait(everyMs), again);
      };
      this.#timeline.later(c.wait(everyMs), again);
    }
    return going;
  }

  #site(): GroupSite {
    return {
      chance: this.#chance,
      now: () => this.#timeline.now,
      later: (ms, run) => {
        this.#timeline.later(ms, () => {
          if (!this.#faultsOver) run();
        });
      },
      config: this.#plan.config,
      truth: this.#truth,
      vendors: [...this.#vendors.values()],
      replicas: this.#replicas,
      operate: () => this.#operate(),
      stolen: this.#vendors.get(this.#plan.stolen)!,
      stirred: () => {},
      sign: (name, cname, marker) => this.#sign(name, cname, marker),
      net: this.#net,
      etcd: this.#etcd,
      members: MEMBERS,
      link: (name) => this.#link(name),
      keyDeleted: () => {
        this.#checkers.robbed();
        this.#etcd.delete(`${PREFIX}lease`);
      },
      restore: () => this.#restore(),
      isRestored: () => this.#checkers.restored !== null,
      yield: () => this.#say({ kind: 'yield', by: 'ann' }),
    };
  }

  /** A live drill, at any door. */
  #drill(): void {
    const { drillEveryMs, config } = this.#plan;
    if (drillEveryMs === null || this.#faultsOver) return;
    const c = this.#drills;
    c.pick(this.#replicas).command(drawDrill(c, config), `drill-${++this.#orders}`);
    this.#timeline.later(c.wait(drillEveryMs), () => this.#drill());
  }

  /** A TTL that is brought down or given back, at any door. */
  #prepare(): void {
    if (this.#faultsOver) return;
    const c = this.#prepares;
    const said = drawPrepare(c, this.#plan.config);
    const id = `prepare-${++this.#orders}`;
    const order = 'reason' in said ? ({ ...said, reason: id } as Command) : said;
    c.pick(this.#replicas).command(order, id);
    this.#timeline.later(c.wait(PREPARE_MS), () => this.#prepare());
  }

  #operate(): void {
    this.#say(drawOrder(this.#chance, this.#plan.config));
  }

  /** At any door, and sometimes at two of them. */
  #say(said: Command): void {
    const c = this.#chance;
    const id = `order-${++this.#orders}`;
    const order = 'reason' in said ? ({ ...said, reason: id } as Command) : said;
    c.pick(this.#replicas).command(order, id);
    if (!c.is(0.25)) return;
    this.#timeline.later(c.spread(10, 20_000), () => {
      this.#checkers.repeats(id);
      c.pick(this.#replicas).command(order, id);
    });
  }

  // ------------------------------------------------------------ backups

  #numberNow(): number {
    const raw = this.#etcd.peek(`${PREFIX}head`);
    return raw === null ? 0 : (this.#seal.open('head', 'head', raw)?.number ?? 0);
  }

  #backUp(): void {
    if (this.#faultsOver) return;
    const hasRestores = this.#plan.faults.some(({ kind }) => kind === 'restore');
    if (hasRestores && this.#checkers.restored === null) {
      this.#backups.push({ restore: this.#etcd.backUp(), number: this.#numberNow() });
      if (this.#backups.length > BACKUPS_KEPT) this.#backups.shift();
    }
    this.#timeline.later(BACKUP_EVERY_MS, () => this.#backUp());
  }

  /** Where not every disk knows more than the backup, only another cluster id can show it. */
  #restore(): void {
    const c = this.#chance;
    // What says the same as what stands there is no restoration that anybody could notice or mind.
    const older = this.#backups.filter(({ number }) => number < this.#numberNow());
    if (this.#checkers.restored !== null || older.length === 0) return;
    const backup = c.pick(older);
    const isKnown = this.#replicas.every((r) => this.#knows(r) > backup.number);
    // Nor does that show to whoever knows nothing, where nothing stands there.
    if (!isKnown && backup.number === 0) return;
    if (!isKnown || c.is(0.6)) this.#etcd.clusterId = `c${++this.#clusters}`;
    this.#checkers.trace(`head ${backup.number} is put back, cluster ${this.#etcd.clusterId}`);
    this.#checkers.robbed();
    backup.restore();
    this.#checkers.putBack();
    this.#timeline.later(c.spread(5000, 120_000), () => this.#acknowledge());
  }

  #knows(r: Replica): number {
    const text = r.disk.docs.get('group');
    return text === undefined ? 0 : (JSON.parse(text) as Memory).number;
  }

  /** A person waits until all are there, and says it to the one that knows best. */
  #acknowledge(): void {
    if (this.#checkers.restored === null) return;
    const areThere = this.#replicas.every((r) => r.isLive && !r.process.isPaused);
    if (areThere) {
      const [best] = [...this.#replicas].sort((a, b) => this.#knows(b) - this.#knows(a));
      best!.command({ kind: 'restored', by: 'ann' });
    }
    this.#timeline.later(areThere ? 20_000 : 2000, () => this.#acknowledge());
  }

  // ------------------------------------------------------------ after

  #leader(): Replica | null {
    const [name] = this.#checkers.actors();
    const leader = this.#replicas.find((r) => r.name === name);
    return leader?.isLive && !leader.process.isPaused ? leader : null;
  }

  async #quiet(): Promise<[number | null, number]> {
    const { found } = this.#checkers;
    for (const r of this.#replicas) {
      r.isQuiet = true;
      r.reload(this.#plan.config);
    }
    this.#checkers.trace('all faults are over');
    await this.#somebodyActs();
    const from = this.#timeline.now;
    if (await this.#converges(from + ALONE_MS)) return [this.#timeline.now - from, 0];
    let helped = 0;
    const until = this.#timeline.now + HELPED_MS;
    while (this.#timeline.now < until && found.length === 0) {
      helped++;
      this.#help();
      if (await this.#converges(this.#timeline.now + HELP_EVERY_MS)) return [null, helped];
    }
    if (found.length === 0) {
      this.#checkers.fail('converges', behind(this.#leader(), this.#vendors).join('; '));
    }
    return [null, helped];
  }

  /** Within the lease, the rest after a hand-over and an election, once anybody can. */
  async #somebodyActs(): Promise<void> {
    const { found } = this.#checkers;
    const until = this.#timeline.now + BACK_MS;
    let ableMs = 0;
    while (found.length === 0 && this.#leader() === null) {
      await this.#runUntil(this.#timeline.now + 500);
      const isAble =
        this.#checkers.restored === null &&
        this.#replicas.some((r) => r.isLive && !r.process.isPaused);
      if (isAble) ableMs += 500;
      if (ableMs > 4 * this.#plan.ttlMs + 10_000) {
        this.#checkers.fail('somebody-acts', `nobody for ${ableMs} ms: ${this.#whoIsThere()}`);
      }
      if (this.#timeline.now > until) this.#checkers.fail('somebody-acts', 'nobody is back');
    }
  }

  #whoIsThere(): string {
    const all = this.#replicas.map((r) => {
      const how = r.isLive ? (r.process.isPaused ? 'stands still' : 'lives') : 'is dead';
      return `${r.name} ${how} at head ${this.#knows(r)}`;
    });
    const { isLed } = this.#etcd;
    const actors = this.#checkers.actors().join() || 'nobody';
    const holder = this.#checkers.holder() ?? 'nobody';
    return `${all.join(', ')}; ${holder} holds, ${actors} acts, ${isLed ? '' : 'not '}led`;
  }

  async #converges(until: number): Promise<boolean> {
    while (this.#timeline.now < until && this.#checkers.found.length === 0) {
      await this.#runUntil(this.#timeline.now + 1000);
      const isDone = behind(this.#leader(), this.#vendors).length === 0;
      if (isDone) return this.#checkers.found.length === 0;
    }
    return false;
  }

  #help(): void {
    const leader = this.#leader();
    if (leader === null) return;
    const means = {
      config: this.#plan.config,
      vendors: this.#vendors,
      isOurs: (name: Name, text: string, values: readonly (Name | null)[]) =>
        this.#checkers.isOurs(name, text, values[0] ?? null),
    };
    help(leader.controller!.status(), means, (order) => {
      const id = `order-${++this.#orders}`;
      const said = 'reason' in order ? ({ ...order, reason: id } as Command) : order;
      leader.command(said, id);
    });
  }

  /** Every replica's copy is what the group decided, in its own time. */
  async #mustAgree(): Promise<void> {
    const { found } = this.#checkers;
    const until = this.#timeline.now + BACK_MS;
    let odd: string[] = [];
    while (found.length === 0 && this.#timeline.now < until) {
      await this.#runUntil(this.#timeline.now + 2000);
      odd = this.#replicas.flatMap((r) => this.#strays(r));
      if (odd.length === 0) return;
    }
    if (found.length === 0) this.#checkers.fail('all-know-the-same', odd.join('; '));
  }

  #strays(r: Replica): string[] {
    if (!r.isLive || r.process.isPaused) return [`${r.name} is not there`];
    const group = new Map<string, Json>();
    for (const whole of this.#etcd.keys(`${PREFIX}doc/`)) {
      const key = whole.slice(PREFIX.length);
      const text = this.#seal.open('document', key, this.#etcd.peek(whole)!)?.text ?? 'null';
      group.set(key.slice('doc/'.length), JSON.parse(text) as Json);
    }
    const docs = Object.fromEntries([...r.disk.docs].map(([k, v]) => [k, JSON.parse(v) as Json]));
    const shift = memoryOf(docs)?.shift ?? 0;
    const own = r.controller!.documents();
    const keys = new Set([...group.keys(), ...Object.keys(own)]);
    return [...keys].flatMap((key) => {
      const [a, b] = [shifted(key, group.get(key) ?? null, shift), own[key] ?? null];
      if (isNear(a, b)) return [];
      return [`${r.name}: ${key}: ${JSON.stringify(a)} is ${JSON.stringify(b)}`];
    });
  }

  #hash(): string {
    const hash = createHash('sha256');
    for (const r of this.#replicas) {
      for (const { head, data } of r.disk.journal) hash.update(`${JSON.stringify(head)}${data}\n`);
    }
    for (const v of this.#vendors.values()) hash.update(JSON.stringify([...v.stands]));
    return hash.digest('hex').slice(0, 16);
  }
}

function memoryOf(docs: Readonly<Record<string, Json>>): Memory | null {
  return (docs['group'] as unknown as Memory | undefined) ?? null;
}

/** A shift that is found to be less by so little is not told anew. */
const SHIFT_NEWS_MS = 300;

/** The same but for what times may be off. */
function isNear(a: unknown, b: unknown, field = ''): boolean {
  if (typeof a === 'number' && typeof b === 'number') {
    // Epochs, terms and counts are far below any time.
    const isTime = field.endsWith('At') || Math.min(a, b) > 1_000_000_000_000;
    return isTime ? Math.abs(a - b) <= SHIFT_NEWS_MS : a === b;
  }
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].every((key) => {
    return isNear((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key], key);
  });
}
