// One simulated world from one seed: built, run through its faults for minutes to hours of its own
// time, and then left in peace until everything has converged. Same seed, same world, same journal.

import { createHash } from 'node:crypto';
import { createKeyring, type Keyring } from '../../src/cluster/keyring.ts';
import { formatMarker } from '../../src/core/marker.ts';
import type { Marker, Name, Standby } from '../../src/core/model.ts';
import { behind, help } from './calm.ts';
import { Chance } from './chance.ts';
import { Checkers, type Violation } from './checkers.ts';
import { type Process, Timeline } from './clock.ts';
import { drawPlan, type Plan } from './draw.ts';
import { beginFault, type Site, Truth } from './faults.ts';
import { hold, type Keeper } from './first.ts';
import { beginHand } from './hands.ts';
import { heldSeed, holdConnections } from './held.ts';
import { Lease, SimCoordinator, single } from './lease.ts';
import { endLines, holdLines, meddle } from './lines.ts';
import { drawDrill, drawOrder, drawPrepare } from './orders.ts';
import { drawAnswer } from './people.ts';
import { Replica, type Shared } from './replica.ts';
import { SimVendor } from './vendors.ts';

export interface Report {
  readonly seed: number;
  readonly violations: readonly Violation[];
  /** Of every disk's journal and every vendor's records. */
  readonly hash: string;
  readonly simulatedMs: number;
  readonly switches: number;
  /** Live drills that moved a record, and those of them that passed. */
  readonly drills?: { readonly moved: number; readonly passed: number };
  /** Readings that met lines of one record which differ. */
  readonly splits?: number;
  readonly crashes: number;
  readonly probes: number;
  /** From the end of all faults until every vendor was in step, by itself. */
  readonly convergedMs: number | null;
  /** Times that a person had to help after the faults had ended. */
  readonly helped: number;
  /** Of a group: transactions, and how often another took over. */
  readonly commits?: number;
  readonly takeOvers?: number;
}

/** A world broken on purpose, to see it caught. */
export interface Sabotage {
  readonly unfenced?: boolean;
  readonly lossyStore?: boolean;
  /** Every signature proves something. */
  readonly credulous?: boolean;
  /** What is noted beside the store is gone with the process. */
  readonly forgetfulStore?: boolean;
}

export interface RunOptions {
  /** A thief in every world. */
  readonly thief?: boolean;
  /** Records that ask a person first, people who answer, and hooks. */
  readonly people?: boolean;
  /** Records on several lines, and a person who touches single ones. */
  readonly lines?: boolean;
  readonly sabotage?: Sabotage;
  readonly trace?: (line: string) => void;
}

/** Left alone, an idle lane may wait 5 minutes, and DNS is looked at twice a minute. */
const ALONE_MS = 420_000;
const MINUTE = 60_000;
const HELP_EVERY_MS = 30_000;
const HELPED_MS = 600_000;

/** Tells the second stream of a seed from the first. */
const OTHER = 0x5bd1e995;
const PEOPLE = 0x2545f491;
const DRILLS = 0x61c88647;
const AUDITS = 0x1b873593;
const LINES = 0x3c6ef372;
const PREPARES = 0x7f4a7c15;

export async function runSeed(seed: number, options: RunOptions = {}): Promise<Report> {
  const world = new World(seed, options);
  return world.run();
}

class World {
  readonly #seed: number;
  readonly #chance: Chance;
  /** For what came later than the seeds that once failed. */
  readonly #other: Chance;
  /** Of those who answer what waits; null: nobody is asked. */
  readonly #people: Chance | null;
  readonly #answered: string[] = [];
  readonly #drills: Chance;
  readonly #audits: Chance;
  /** Of TTLs that are brought down, and of vendors that do not take every one. */
  readonly #prepares: Chance;
  /** Of what is done to single lines; null: there are none. */
  readonly #lines: Chance | null;
  readonly #keys: Keyring | null;
  readonly #plan: Plan;
  readonly #timeline = new Timeline();
  readonly #truth: Truth;
  readonly #checkers: Checkers;
  readonly #vendors: ReadonlyMap<string, SimVendor>;
  readonly #lease: Lease | null;
  readonly #replicas: readonly Replica[];
  readonly #byProcess = new Map<Process, Replica>();
  readonly #figures = { crashes: 0, probes: 0 };
  #faultsOver = false;

  constructor(seed: number, options: RunOptions) {
    this.#seed = seed;
    const chance = new Chance(seed);
    this.#chance = chance;
    this.#other = new Chance(seed ^ OTHER);
    this.#people = options.people ? new Chance(seed ^ PEOPLE) : null;
    this.#drills = new Chance(seed ^ DRILLS);
    this.#audits = new Chance(seed ^ AUDITS);
    this.#prepares = new Chance(seed ^ PREPARES);
    this.#lines = options.lines ? new Chance(seed ^ LINES) : null;
    const draws = { drills: this.#drills, people: this.#people, lines: this.#lines };
    this.#plan = drawPlan(chance, this.#other, draws, options.thief ?? false);
    const keys = this.#plan.key === null ? null : createKeyring([this.#plan.key]);
    this.#keys = keys !== null && options.sabotage?.credulous ? credulous(keys) : keys;
    const timeline = this.#timeline;
    const now = () => timeline.now;
    this.#truth = new Truth(now);
    this.#checkers = new Checkers(timeline, this.#plan, this.#truth);
    if (options.trace !== undefined) {
      const say = options.trace;
      this.#checkers.trace = (line) => say(`${stamp(timeline.now)} ${line}`);
    }
    const wire = {
      chance,
      later: (ms: number, run: () => void) => timeline.later(ms, run),
    };
    this.#vendors = new Map(
      Object.entries(this.#plan.vendors).map(([name, strength]) => {
        const vendor = new SimVendor(name, strength, wire, now, {
          zones: ['gslb.test.', 'edge.test.'],
          ttlMin: this.#prepares.pick([null, null, 10, 30]),
          saysTtlMin: this.#prepares.is(0.5),
          lagMs: [1, 300],
          staleMs: 20_000,
          unfenced: options.sabotage?.unfenced ?? false,
          hasLines: this.#lines !== null && strength === 'weak',
        });
        vendor.changed = (change) => this.#checkers.changed(vendor, change);
        return [name, vendor];
      }),
    );
    this.#checkers.vendors = this.#vendors;
    const lease = this.#plan.replicas === 1 ? null : new Lease(this.#plan.leaseMs, now);
    this.#lease = lease;
    const shared: Shared = {
      timeline,
      chance,
      wire,
      config: this.#plan.config,
      truth: this.#truth,
      vendors: this.#vendors,
      checkers: this.#checkers,
      coordinator: (r, start) =>
        lease === null
          ? single(r.process, start)
          : new SimCoordinator(lease, r.process, wire, r.lease),
      fileOf: (config) => config,
      isCut: () => false,
      figures: this.#figures,
      ...(this.#people === null
        ? {}
        : {
            hooks: this.#checkers.answers.hooks(this.#people, (ms, run) => timeline.later(ms, run)),
          }),
      keys: this.#keys,
      lossyStore: options.sabotage?.lossyStore ?? false,
      forgetfulStore: options.sabotage?.forgetfulStore ?? false,
    };
    this.#replicas = Array.from(
      { length: this.#plan.replicas },
      (_, i) => new Replica(`n${i + 1}`, shared),
    );
    this.#replicas.forEach((r, i) => {
      this.#byProcess.set(r.process, r);
      r.process.wallOffMs = this.#plan.wallOffMs[i]!;
    });
  }

  async run(): Promise<Report> {
    let convergedMs: number | null = null;
    let helped = 0;
    try {
      hold(this.#keeper());
      if (this.#lines !== null) {
        holdLines(this.#plan.config, this.#vendors, this.#lines);
        this.#timeline.later(MINUTE, () => this.#meddle());
      }
      this.#sayPlan();
      for (const r of this.#replicas) {
        this.#timeline.later(this.#chance.int(0, 2000), () => r.start());
      }
      const ends = this.#scheduleFaults();
      this.#timeline.later(MINUTE, () => this.#drill());
      this.#timeline.later(this.#prepares.wait(2 * MINUTE), () => this.#prepare());
      this.#timeline.later(20_000, () => this.#audit());
      holdConnections(new Chance(heldSeed(this.#seed)), {
        ...{ truth: this.#truth, replicas: this.#replicas, isOver: () => this.#faultsOver },
        later: (ms, run) => this.#timeline.later(ms, run),
      });
      this.#watch();
      if (this.#people !== null) this.#answer(this.#people);
      await this.#runUntil(this.#plan.durationMs);
      for (const end of ends) end();
      [convergedMs, helped] = await this.#quiet();
      this.#checkJournals();
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
      splits: this.#checkers.splits,
      ...this.#figures,
      convergedMs,
      helped,
    };
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

  // ------------------------------------------------------------ before

  #keeper(): Keeper {
    return {
      chance: this.#chance,
      other: this.#other,
      config: this.#plan.config,
      vendors: this.#vendors,
      gives: (name, epoch) => this.#checkers.gives(name, epoch),
      sign: (name, cname, marker) => this.#sign(name, cname, marker),
    };
  }

  #sign(name: Name, cname: Name, marker: Marker): string {
    const signed = this.#keys?.sign(name, cname, marker) ?? marker;
    this.#checkers.signs(name, cname, signed);
    return formatMarker(signed);
  }

  #sayPlan(): void {
    const { config, faults, replicas, durationMs, leaseMs, wallOffMs } = this.#plan;
    const { trace } = this.#checkers;
    const check = Object.values(config.checks)[0]!;
    trace(`${replicas} replicas, lease ${leaseMs} ms, ${durationMs} ms, ${config.detector.kind}`);
    trace(`wall clocks off by ${wallOffMs.join(', ')} ms`);
    trace(`vendors ${JSON.stringify(this.#plan.vendors)}`);
    trace(`check ${JSON.stringify(check)}`);
    trace(`paths ${JSON.stringify(Object.values(config.paths))}`);
    trace(`origins ${JSON.stringify(Object.values(config.origins))}`);
    trace(`records ${JSON.stringify(Object.values(config.records))}`);
    trace(`faults ${JSON.stringify(faults)}`);
    const { key, stolen, others } = this.#plan;
    trace(
      `${key === null ? 'no key' : 'signed'}; stolen ${stolen}; others ${JSON.stringify(others)}`,
    );
  }

  // ------------------------------------------------------------ while it lasts

  /** Begins each kind again and again; what comes back ends those that last. */
  #scheduleFaults(): Set<() => void> {
    const going = new Set<() => void>();
    const { faults, others } = this.#plan;
    const usual = this.#site(this.#chance);
    for (const f of faults) {
      this.#repeat(going, f, this.#chance, (ms) => beginFault(f.kind, usual, ms));
    }
    const other = this.#site(this.#other);
    for (const f of others) {
      this.#repeat(going, f, this.#other, (ms) => beginHand(f.kind, other, ms));
    }
    return going;
  }

  #repeat(
    going: Set<() => void>,
    { kind, everyMs, lastsMs }: Plan['faults' | 'others'][number],
    chance: Chance,
    begin: (ms: number) => () => void,
  ): void {
    const again = () => {
      if (this.#faultsOver) return;
      const ms = chance.wait(lastsMs) + 1;
      const before = new Map([...this.#vendors].map(([name, v]) => [name, v.faults.length]));
      const undo = begin(ms);
      this.#checkers.trace(`fault ${kind} for ${ms} ms`);
      const touched = [...this.#vendors].filter(
        ([name, v]) => v.faults.length !== before.get(name),
      );
      for (const [name] of touched) this.#checkers.stirred(name);
      const end = () => {
        if (!going.delete(end)) return;
        undo();
        for (const [name] of touched) this.#checkers.stirred(name);
        this.#checkers.trace(`fault ${kind} is over`);
      };
      going.add(end);
      this.#timeline.later(ms, end);
      this.#timeline.later(chance.wait(everyMs), again);
    };
    this.#timeline.later(chance.wait(everyMs), again);
  }

  /** Live drills, asked for of whoever leads. */
  #drill(): void {
    const { drillEveryMs, config } = this.#plan;
    if (drillEveryMs === null || this.#faultsOver) return;
    const order = drawDrill(this.#drills, config);
    this.#leader()?.command(order);
    this.#timeline.later(this.#drills.wait(drillEveryMs), () => this.#drill());
  }

  /** Now and then a TTL is brought down, or a window of maintenance is about to open. */
  #prepare(): void {
    if (this.#faultsOver) return;
    const c = this.#prepares;
    const { config } = this.#plan;
    if (c.is(0.7)) this.#leader()?.command(drawPrepare(c, config));
    else {
      const soon = { window: 'soon', fromAt: 0 };
      for (const r of this.#replicas) {
        if (!r.isLive || r.process.isPaused) continue;
        const fromAt = r.process.now() + c.spread(1000, 5 * MINUTE);
        const origin = c.pick(Object.keys(config.origins));
        r.controller!.maintained({
          origins: {},
          records: {},
          soon: { [origin]: { ...soon, fromAt } },
        });
      }
    }
    this.#timeline.later(c.wait(2 * MINUTE), () => this.#prepare());
  }

  /** Audits, each replica's own: which targets serve the public names of their record. */
  #audit(): void {
    if (this.#faultsOver) return;
    const c = this.#audits;
    const r = c.pick(this.#replicas);
    const standbys = Object.values(this.#plan.config.records).flatMap(({ name, targets }) =>
      targets.map(({ origin }): Standby => {
        const [word] = ['unfit', 'poor', 'unknown'].filter(() => c.is(0.3));
        const found = (word ?? 'fit') as Standby['word'];
        const why = found === 'fit' ? '' : found;
        return { record: name, target: origin, word: found, why, certificateDays: null };
      }),
    );
    if (r.isLive && !r.process.isPaused) {
      this.#checkers.audited(r, standbys);
      r.controller!.surveyed([], standbys);
    }
    this.#timeline.later(c.wait(MINUTE), () => this.#audit());
  }

  #meddle(): void {
    if (this.#faultsOver || this.#lines === null) return;
    const later = (ms: number, run: () => void) => this.#timeline.later(ms, run);
    const waitMs = meddle(this.#plan.config, this.#vendors, this.#lines, later);
    this.#timeline.later(waitMs, () => this.#meddle());
  }

  /** Looks now and then whether whoever leads has done what was to be done. */
  #watch(): void {
    if (this.#faultsOver) return;
    const leader = this.#leader();
    const isCalm = leader !== null && !leader.process.isPaused && !leader.store.refuses;
    if (isCalm) this.#checkers.mustHaveMoved(leader);
    this.#timeline.later(5000, () => this.#watch());
  }

  #site(chance: Chance): Site {
    return {
      chance,
      now: () => this.#timeline.now,
      later: (ms, run) => {
        this.#timeline.later(ms, () => {
          if (!this.#faultsOver) run();
        });
      },
      stolen: this.#vendors.get(this.#plan.stolen)!,
      stirred: (vendor) => this.#checkers.stirred(vendor.name),
      sign: (name, cname, marker) => this.#sign(name, cname, marker),
      config: this.#plan.config,
      truth: this.#truth,
      vendors: [...this.#vendors.values()],
      replicas: this.#replicas,
      operate: () => this.#operate(),
    };
  }

  /** Most of all to the replica that leads. */
  #operate(): void {
    const c = this.#chance;
    const leader = this.#leader();
    const replica = leader !== null && c.is(0.8) ? leader : c.pick(this.#replicas);
    replica.command(drawOrder(this.#chance, this.#plan.config));
  }

  /** Somebody looks at what waits, and answers or does not. */
  #answer(c: Chance): void {
    if (this.#faultsOver) return;
    const leader = this.#leader();
    if (leader !== null && !leader.process.isPaused) {
      const order = drawAnswer(c, leader.controller!.status(), this.#answered);
      if (order !== null) leader.command(order);
    }
    this.#timeline.later(c.wait(45_000), () => this.#answer(c));
  }

  #leader(): Replica | null {
    if (this.#lease === null) return this.#replicas[0]!.isLive ? this.#replicas[0]! : null;
    const owner = this.#lease.owner?.split('#')[0];
    return this.#replicas.find((r) => r.name === owner && r.isLive) ?? null;
  }

  #behind(): string[] {
    // What a store could not keep was said to be forgotten: nobody knows of it to bring it back.
    const leader = this.#leader();
    const isKept = (name: Name) => this.#lease === null && !this.#checkers.unprepared.has(name);
    const isFound = (name: Name, provider: string) =>
      leader !== null && this.#checkers.hasFoundTtl(leader, name, provider);
    return behind(leader, this.#vendors, (...at) => isKept(at[0]) && !isFound(...at));
  }

  // ------------------------------------------------------------ after

  /** All faults are over: alone first, then with a person who does what Detour asks for. */
  async #quiet(): Promise<[number | null, number]> {
    this.#faultsOver = true;
    endLines(this.#vendors);
    for (const r of this.#replicas) {
      r.isQuiet = true;
      r.reload(this.#plan.config);
    }
    this.#checkers.trace('all faults are over');
    const from = this.#timeline.now;
    if (await this.#converges(from + ALONE_MS)) return [this.#timeline.now - from, 0];
    if (this.#checkers.found.length > 0) return [null, 0];
    this.#mustBeSaid();
    let helped = 0;
    const until = this.#timeline.now + HELPED_MS;
    while (this.#timeline.now < until && this.#checkers.found.length === 0) {
      helped++;
      this.#help();
      if (await this.#converges(this.#timeline.now + HELP_EVERY_MS)) return [null, helped];
    }
    if (this.#checkers.found.length === 0) {
      this.#checkers.fail('rule-16-converges', this.#behind().join('; '));
    }
    return [null, helped];
  }

  async #converges(until: number): Promise<boolean> {
    while (this.#timeline.now < until && this.#checkers.found.length === 0) {
      await this.#runUntil(this.#timeline.now + 1000);
      if (this.#behind().length === 0) return this.#checkers.found.length === 0;
    }
    return false;
  }

  /** Rule 16: whoever is behind and does not converge by itself waits for a person, and says so. */
  #mustBeSaid(): void {
    const leader = this.#leader();
    if (leader === null) return this.#checkers.fail('somebody-leads', 'nobody leads');
    for (const o of leader.controller!.status().origins) {
      if (o.health !== 'up') this.#checkers.fail('recovery-is-seen', `${o.name} is ${o.health}`);
    }
    const waits = new Set(['missing', 'disagreement', 'foreign', 'unreadable']);
    for (const r of leader.controller!.status().records) {
      if (r.mode === 'observe' || waits.has(r.stay.reason)) continue;
      if (r.stay.reason === 'epochs-spent') {
        this.#checkers.fail('rule-25-never-unmovable', `${leader.name}: ${r.name}`);
      }
      if (r.stay.reason === 'deposed') {
        // Whoever has lost its store may meet its own later marker, and does not know it.
        if (this.#checkers.hasLostStores) continue;
        this.#checkers.fail('rule-14-its-own-group-deposes-nobody', `${leader.name}: ${r.name}`);
      }
      for (const p of r.providers) {
        const isBehind = this.#behind().some((b) => b === `${r.name} at ${p.provider}`);
        if (!isBehind || p.problem !== null || p.stage === 'untouched') continue;
        const where = `${r.name} at ${p.provider} is ${p.stage}: ${p.problem}`;
        this.#checkers.fail('rule-16-converges-or-says-why', where);
      }
    }
  }

  /** A person does what the status asks for. */
  #help(): void {
    const leader = this.#leader();
    const { config } = this.#plan;
    const vendors = this.#vendors;
    const isOurs: Parameters<typeof help>[1]['isOurs'] = (...asked) =>
      this.#checkers.isOurs(...asked);
    if (leader !== null)
      help(leader.controller!.status(), { config, vendors, isOurs }, (order) =>
        leader.command(order),
      );
  }

  /** Rule: what the controller was told is durable is in the journal, in order, without a hole. */
  #checkJournals(): void {
    for (const r of this.#replicas) {
      const { journal, seq } = r.disk;
      const hole = journal.findIndex((line, i) => line.head.seq !== i + 1);
      if (hole >= 0 || seq !== journal.length || r.journalled !== journal.length) {
        const what = `${r.name}: ${journal.length} lines of ${r.journalled}, hole at ${hole}`;
        this.#checkers.fail('journal-without-hole', what);
      }
    }
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

/** Believes whatever bears a signature. */
function credulous(keys: Keyring): Keyring {
  return {
    ...keys,
    prove: (record, text, cnames) => {
      const proof = keys.prove(record, text, cnames);
      const [cname] = cnames;
      return proof.word !== 'wrong' || cname === undefined ? proof : { word: 'genuine', cname };
    },
  };
}

function stamp(ms: number): string {
  return `${(ms / 1000).toFixed(3).padStart(10)}s`;
}
