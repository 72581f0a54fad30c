// A daemon's inside on a clock moved by hand: the real engine, the real drills, vendors and origins
// that answer as they are told. Nothing sleeps and nothing listens.

import assert from 'node:assert/strict';
import { createKeyring, proving, signing } from '../../src/cluster/keyring.ts';
import { createSingleCoordinator } from '../../src/cluster/single.ts';
import type { Config } from '../../src/config/config.ts';
import { parseSchedule, parseWindow } from '../../src/config/windows.ts';
import { type Adapters, Controller } from '../../src/controller.ts';
import { formatMarker } from '../../src/core/marker.ts';
import type {
  Answer,
  Change,
  Command,
  CoreConfig,
  Entry,
  Fault,
  Name,
  Reply,
  Seen,
} from '../../src/core/model.ts';
import type { StatusView } from '../../src/core/view.ts';
import { createDrills, type Drills } from '../../src/drill/drills.ts';
import { createMaintenance } from '../../src/drill/maintenance.ts';
import { createSteadyWall } from '../../src/drill/steady.ts';
import type { Provider } from '../../src/kit/extend.ts';
import type { Prober, Verifier } from '../../src/ports.ts';
import { coreConfig, type Shape } from '../core/world.ts';
import { HandClock } from '../parts/hand-clock.ts';
import { newMemoryDisk, openMemoryStore } from '../parts/memory-store.ts';

export const WWW = 'www.gslb.test.';
export const CANARY = 'canary.gslb.test.';

type Held = { cname: Name; ttl: number; markers: string[] };

export class Vendor implements Provider {
  readonly name: string;
  readonly capabilities = {} as Provider['capabilities'];
  readonly records = new Map<Name, Held>();
  /** What its name servers give, where that is not what its API holds. */
  readonly served: Map<Name, Held>[] = [this.records, this.records];
  calls = 0;
  readonly writes: Change[] = [];
  reads: string[] = [];
  /** How the next writes of the canary end; applied all the same where it is `lost`. */
  writing: 'ok' | 'lost' | Fault = 'ok';
  readonly #clock: HandClock;

  constructor(name: string, clock: HandClock) {
    this.name = name;
    this.#clock = clock;
  }

  zone(): never {
    throw new Error('not asked here');
  }

  preflight(): never {
    throw new Error('not asked here');
  }

  async read(names: readonly Name[]): Promise<Readonly<Record<Name, Answer<Seen>>>> {
    this.calls++;
    this.reads.push(...names);
    await this.pause(20);
    return Object.fromEntries(
      names.map((n) => [n, { kind: 'answered', value: this.#seen(n) }] as const),
    );
  }

  async write(changes: readonly Change[]): Promise<readonly Answer<null>[]> {
    this.calls++;
    this.writes.push(...changes);
    await this.pause(30);
    const reach = { kind: 'record' } as const;
    const lost: Fault = { kind: 'uncertain', detail: 'no reply' };
    const fault = this.writing === 'lost' ? lost : this.writing === 'ok' ? null : this.writing;
    if (this.writing === 'ok' || this.writing === 'lost') {
      for (const { name, to } of changes) {
        const markers = [formatMarker(to.marker)];
        this.records.set(name, { cname: to.cname, ttl: to.ttl, markers });
      }
    }
    return changes.map(() =>
      fault === null ? { kind: 'answered', value: null } : { kind: 'fault', fault, reach },
    );
  }

  #seen(name: Name): Seen {
    const held = this.records.get(name);
    const cnames = held === undefined ? [] : [{ value: held.cname, ttl: held.ttl }];
    return { cnames, markers: held?.markers ?? [], refusal: null, ref: null };
  }

  close(): void {}

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#clock.after(ms, resolve));
  }
}

interface Wanted extends Shape {
  readonly canary?: string | null;
  readonly dry?: string | null;
  readonly live?: string | null;
  readonly maintenance?: Readonly<Record<string, readonly string[]>>;
  readonly timezone?: string;
}

const KEY = 'k'.repeat(43);

export class DrillWorld {
  readonly clock: HandClock;
  readonly vendors: Record<string, Vendor>;
  readonly origins = new Map<string, 'pass' | 'fail'>();
  readonly chains = new Map<Name, 'answered' | 'broken'>();
  /** Probes by check, in the order in which they were begun. */
  readonly probes: { readonly check: string; readonly at: number }[] = [];
  readonly entries: Entry[] = [];
  readonly orders: Command[] = [];
  looks = 0;
  /** What becomes of an order for a live drill. */
  live: Reply = { exit: 0, message: 'began' };
  readonly disk: ReturnType<typeof newMemoryDisk>;
  readonly wanted: Wanted;
  config: Config;
  controller!: Controller;
  drills!: Drills;
  maintenance!: ReturnType<typeof createMaintenance>;
  engines = 0;
  readonly troubles: string[] = [];
  /** Told what each second engine is given. */
  seen: (config: CoreConfig) => void = () => {};

  constructor(wanted: Wanted = {}, before: DrillWorld | null = null) {
    this.wanted = wanted;
    this.clock = before?.clock ?? new HandClock();
    this.disk = before?.disk ?? newMemoryDisk();
    this.config = this.#config();
    this.vendors = before?.vendors ?? this.#newVendors();
  }

  #newVendors(): Record<string, Vendor> {
    const all = Object.keys(this.config.core.lanes).map((name) => {
      const vendor = new Vendor(name, this.clock);
      vendor.records.set(WWW, { cname: 'a.shop.test.', ttl: 60, markers: [] });
      return [name, vendor] as const;
    });
    return Object.fromEntries(all);
  }

  #config(): Config {
    const {
      canary = null,
      dry = null,
      live = null,
      maintenance = {},
      timezone = 'UTC',
    } = this.wanted;
    const core = coreConfig({ providers: ['cf', 'r53'], ...this.wanted });
    const at = (text: string | null) => (text === null ? null : parseSchedule(text));
    const windows = Object.fromEntries(
      Object.entries(maintenance).map(([name, all]) => [name, all.map((w) => parseWindow(w)!)]),
    );
    const isOrigin = (name: string) => Object.hasOwn(core.origins, name);
    const some = (fits: (name: string) => boolean) =>
      Object.fromEntries(Object.entries(windows).filter(([name]) => fits(name)));
    const order = { schedule: at(live)!, byVendor: true, forMs: 300_000 };
    return {
      ...{ core, timezone, paths: core.paths },
      maintenance: { origins: some(isOrigin), records: some((name) => !isOrigin(name)) },
      drills: {
        ...{ canary: at(canary), dry: at(dry), windowMs: 1_800_000 },
        live: live === null ? {} : { [WWW]: order },
      },
      providers: Object.fromEntries(
        Object.keys(core.lanes).map((name) => [name, { canary: CANARY, callTimeoutMs: 2000 }]),
      ),
    } as unknown as Config;
  }

  adapters(): Adapters {
    const prober: Prober = {
      probe: async (check) => {
        this.probes.push({ check, at: this.clock.now() });
        await new Promise<void>((resolve) => void this.clock.after(5, resolve));
        const outcome = this.origins.get(check.split('/')[0]!) ?? 'pass';
        return { outcome, reason: 'ok', detail: outcome, phases: {} };
      },
      close: () => {},
    };
    const asking: Verifier = {
      ask: async (provider, name, { marker }) => {
        const vendor = this.vendors[provider]!;
        await vendor.pause(5);
        return vendor.served.map((zone, i) => {
          const held = zone.get(name);
          const server = `${provider}-${i}`;
          const markers = marker ? (held?.markers ?? []) : null;
          const none = { kind: 'nxdomain', detail: 'NXDOMAIN' } as const;
          const found = held && ({ kind: 'cname', value: held.cname, ttl: held.ttl } as const);
          return { server, answer: found ?? none, markers };
        });
      },
      chain: async (name) => {
        await new Promise<void>((resolve) => void this.clock.after(5, resolve));
        const is = this.chains.get(name) ?? 'answered';
        if (is === 'answered') return { kind: 'answered', chain: [name] };
        return { kind: 'broken', at: name, detail: 'no such name' };
      },
      close: () => {},
    };
    const { core } = this.config;
    if (!core.signed) return { prober, providers: this.vendors, verifier: asking, notifier: null };
    const keys = createKeyring([KEY]);
    const providers = Object.entries(this.vendors).map(([name, one]) => {
      return [name, signing(one, () => keys, core.records)] as const;
    });
    const verifier = proving(asking, () => keys, core.records);
    return { prober, providers: Object.fromEntries(providers), verifier, notifier: null };
  }

  /** Starts all of it, and lets both origins come up and the record be adopted. */
  async start(): Promise<void> {
    const { clock } = this;
    const adapters = this.adapters();
    const hearing = { journalled: (e: Entry) => this.drills.observer.journalled?.(e, 0, false) };
    this.controller = new Controller(this.config.core, adapters, {
      ...{ clock, store: openMemoryStore(this.disk), coordinator: createSingleCoordinator(1) },
      observers: [{ journalled: (entry) => void this.entries.push(entry) }, hearing],
      ...{ seed: [1, 2, 3, 4], version: 'test' },
    });
    const wall = createSteadyWall(clock);
    const config = () => this.config;
    this.maintenance = createMaintenance({
      ...{ config, clock, wall },
      tell: (open) => this.controller.maintained(open),
    });
    const { controller } = this;
    let ids = 0;
    this.drills = createDrills({
      ...{ config, clock, wall, term: 1, adapters: () => adapters },
      controller: {
        command: (command, id) => this.#command(command, id ?? null),
        documents: () => controller.documents(),
        rehearsed: (drilled) => controller.rehearsed(drilled),
        scheduled: (all) => controller.scheduled(all),
        slack: (provider) => controller.slack(provider),
      },
      status: async () => controller.status(),
      id: () => (++ids).toString(16).padStart(16, '0'),
      engine: (core, second, world) => {
        this.engines++;
        this.seen(core);
        const coordinator = createSingleCoordinator(1);
        return new Controller(core, second, {
          ...world,
          ...{ coordinator, seed: [5, 6, 7, 8], version: 'test' },
        });
      },
      trouble: (detail) => void this.troubles.push(detail),
    });
    controller.start();
    this.maintenance.start();
    this.drills.start();
    await clock.advance(3000);
  }

  #command(command: Command, id: string | null): Promise<Reply> {
    if ((command.kind as string) !== 'drill') return this.controller.command(command, id);
    if (command.dryRun === true) {
      this.looks++;
      return Promise.resolve(this.live);
    }
    this.orders.push(command);
    return Promise.resolve(this.live);
  }

  async stop(troubles = 0): Promise<void> {
    assert.equal(this.troubles.length, troubles, this.troubles[0]);
    this.drills.close();
    this.maintenance.close();
    const stopping = this.controller.stop();
    await this.clock.advance(4000);
    await stopping;
  }

  /** By hand, to its end. */
  async drill(kind: 'canary' | 'dry', name: string | null): Promise<Reply> {
    const refused = await this.drills.begin(kind, name);
    if (refused !== null) return refused;
    for (let i = 0; i < 2000; i++) {
      const { running, reply } = this.drills.drilled();
      if (!running) return reply!;
      await this.clock.advance(100);
    }
    throw new Error('the drill does not end');
  }

  /** What the last drill measured, by its line in the journal. */
  parts(): unknown {
    const entry = this.entries.findLast(({ kind }) => kind === 'drill');
    return (entry!.data as { parts: unknown }).parts;
  }

  view(): StatusView {
    return this.drills.shown(this.controller.status());
  }

  /** `canary cf passed`, one a result that is remembered. */
  last(): readonly string[] {
    return this.view().drills.last.map(({ drill, name, result }) => `${drill} ${name} ${result}`);
  }

  overdue(): readonly string[] {
    return this.view().drills.overdue.map(({ drill, name, why }) => `${drill} ${name}: ${why}`);
  }

  said(kind: Entry['kind']): readonly string[] {
    return this.entries.filter((e) => e.kind === kind).map((e) => e.sentence);
  }
}
