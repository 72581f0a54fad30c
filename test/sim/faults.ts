// What can go wrong in a simulated world, kind by kind, and the truth about it: how each origin,
// service, path and name really is at every moment. A fault begins, lasts, and ends without a trace
// but for what it has made others do. It knows nothing of Detour's state or decisions.

import type { CheckConfig, CoreConfig, Marker, Name } from '../../src/core/model.ts';
import { another } from './another.ts';
import type { Chance } from './chance.ts';
import type { ApiFault, SimVendor } from './vendors.ts';

/** How an origin or a service answers. */
export type Manner =
  | { readonly kind: 'refuse' }
  | { readonly kind: 'hang' }
  | { readonly kind: 'flap'; readonly everyMs: number }
  | { readonly kind: 'slow'; readonly ms: number }
  | { readonly kind: 'grey'; readonly share: number };

/** More requests in a second than it wants are told so; for a minute, where it bans. */
export interface Limit {
  readonly perSecond: number;
  readonly bans: boolean;
  readonly retryAfterMs?: number;
}

/** What a path does to probes by it. */
export type WayFault =
  | { readonly kind: 'cut' }
  | { readonly kind: 'no-route' }
  | { readonly kind: 'blind' }
  | { readonly kind: 'loss'; readonly share: number }
  /** Everything in one cloud is out of its reach. */
  | { readonly kind: 'apart'; readonly cloud: string };

/** Layers of trouble by key: the last one put on counts. */
export class Layers<T> {
  readonly #layers = new Map<string, T[]>();
  readonly #turnedAt = new Map<string, number>();
  /** Called with the key of whatever has changed. */
  turned: (key: string) => void = () => {};
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  put(key: string, layer: T): () => void {
    const all = this.#layers.get(key) ?? [];
    this.#layers.set(key, all);
    all.push(layer);
    this.#turnedAt.set(key, this.#now());
    this.turned(key);
    return () => {
      all.splice(all.indexOf(layer), 1);
      this.#turnedAt.set(key, this.#now());
      this.turned(key);
    };
  }

  top(key: string): T | null {
    return this.#layers.get(key)?.at(-1) ?? null;
  }

  /** Since when nothing has changed about it. */
  since(key: string): number {
    return this.#turnedAt.get(key) ?? Number.NEGATIVE_INFINITY;
  }

  /** When it was last in any trouble; never: minus infinity. */
  troubledAt(key: string): number {
    return this.top(key) === null ? this.since(key) : this.#now();
  }
}

export class Truth {
  /** By origin or service check. */
  readonly places: Layers<Manner>;
  /** By origin. It is no trouble of the origin's: whoever is not served asks too often. */
  readonly limits: Layers<Limit>;
  readonly #asked = new Map<string, { at: readonly number[]; bannedUntil: number }>();
  /** By `REPLICA/PATH`. */
  readonly ways: Layers<WayFault>;
  /** `silent`: whoever follows it is never answered. */
  readonly chains: Layers<'broken' | 'unknown' | 'silent'>;

  constructor(now: () => number) {
    this.places = new Layers(now);
    this.limits = new Layers(now);
    this.ways = new Layers(now);
    this.chains = new Layers(now);
  }

  /** One more request; what it is told if there are too many. */
  refusal(place: string, now: number): Limit | null {
    const limit = this.limits.top(place);
    if (limit === null) return null;
    const known = this.#asked.get(place) ?? { at: [], bannedUntil: 0 };
    const at = [...known.at.filter((t) => t > now - 1000), now];
    const isOver = at.length > limit.perSecond;
    const bannedUntil = isOver && limit.bans ? now + 60_000 : known.bannedUntil;
    this.#asked.set(place, { at, bannedUntil });
    return isOver || now < bannedUntil ? limit : null;
  }
}

/** What becomes of one probe: an outcome after so long; `hang` lasts as long as it may. */
export interface Fate {
  readonly outcome: 'pass' | 'fail' | 'blind' | 'hang' | 'limited';
  readonly ms: number;
  readonly retryAfterMs?: number;
}

export function fateOf(
  truth: Truth,
  c: Chance,
  check: CheckConfig,
  way: string,
  now: number,
): Fate {
  const usual = c.int(2, 40);
  const fault = truth.ways.top(way);
  switch (fault?.kind) {
    case 'cut':
      return { outcome: 'hang', ms: 0 };
    case 'no-route':
    case 'blind':
      return { outcome: 'blind', ms: usual };
    case 'loss':
      if (c.is(fault.share)) return c.is(0.5) ? FAILS(usual) : { outcome: 'hang', ms: 0 };
      break;
    case 'apart':
      if (check.cloud === fault.cloud) return { outcome: 'hang', ms: 0 };
  }
  const manner = truth.places.top(check.origin ?? check.id);
  switch (manner?.kind) {
    case 'refuse':
      return FAILS(usual);
    case 'hang':
      return { outcome: 'hang', ms: 0 };
    case 'flap':
      if (Math.floor(now / manner.everyMs) % 2 === 0) return FAILS(usual);
      break;
    case 'slow':
      return { outcome: 'pass', ms: manner.ms + usual };
    case 'grey':
      if (c.is(manner.share)) return FAILS(usual);
  }
  const limit = truth.refusal(check.origin ?? check.id, now);
  if (limit === null) return { outcome: 'pass', ms: usual };
  const { retryAfterMs } = limit;
  return { outcome: 'limited', ms: usual, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

const FAILS = (ms: number): Fate => ({ outcome: 'fail', ms });

/** What faults may lay hands on. */
export interface Site {
  readonly chance: Chance;
  readonly now: () => number;
  later(ms: number, run: () => void): void;
  readonly config: CoreConfig;
  readonly truth: Truth;
  readonly vendors: readonly SimVendor[];
  readonly replicas: readonly {
    readonly name: string;
    readonly store: { refuses: boolean; forgets: boolean; dies: 'before' | 'after' | null };
    readonly lease: { cutOff: boolean };
    readonly hand: { haltsMs: number };
    readonly notices: { fail: boolean };
    crash(): void;
    loseStore(): void;
    stop(): void;
    pause(ms: number, asleep: boolean): void;
    jump(ms: number): void;
    /** The file has changed, and it is told to read it; when it is dead it reads it at its start. */
    reload(config: CoreConfig): void;
  }[];
  /** An operator says something at random. */
  operate(): void;
  /** The vendor whose key is stolen, wherever a thief comes. */
  readonly stolen: SimVendor;
  /** A vendor is in somebody's hand from now on, or no longer. */
  stirred(vendor: SimVendor): void;
  /** Signs as whoever has the cluster's key; plainly where there is none. */
  sign(record: Name, cname: Name, marker: Marker): string;
}

/** Begins one fault; what it gives back ends it. */
export type Begin = (s: Site, c: Chance, lastsMs: number) => () => void;

export const over = () => {};

function anOrigin(manner: (c: Chance) => Manner): Begin {
  return (s, c) => s.truth.places.put(c.pick(Object.keys(s.config.origins)), manner(c));
}

function all(ends: readonly (() => void)[]): () => void {
  return () => {
    for (const end of ends) end();
  };
}

function hard(c: Chance): Manner {
  return { kind: c.pick(['refuse', 'hang'] as const) };
}

/** Every origin of a cloud, or of one region of it, in one manner. */
function manyOrigins(wide: 'cloud' | 'region'): Begin {
  return (s, c) => {
    const origins = Object.values(s.config.origins);
    const one = c.pick(origins);
    const struck = origins.filter((o) => o.cloud === one.cloud);
    const near = wide === 'cloud' ? struck : struck.filter((o) => o.region === one.region);
    const manner = c.is(0.7) ? hard(c) : anyManner(c);
    const ends = near.map((o) => s.truth.places.put(o.name, manner));
    if (wide === 'cloud') {
      const services = s.config.clouds[one.cloud]!.checks;
      ends.push(...services.map((id) => s.truth.places.put(id, manner)));
    }
    return all(ends);
  };
}

function anyManner(c: Chance): Manner {
  return c.pick<Manner>([
    { kind: 'refuse' },
    { kind: 'hang' },
    { kind: 'flap', everyMs: c.spread(500, 120_000) },
    { kind: 'slow', ms: c.spread(100, 6000) },
    { kind: 'grey', share: 0.1 + 0.8 * c.next() },
  ]);
}

/** At one replica, or for everybody. */
function aWay(fault: (c: Chance, s: Site) => WayFault): Begin {
  return (s, c) => {
    const path = c.pick(Object.keys(s.config.paths));
    const { group } = s.config.paths[path]!;
    const made = fault(c, s);
    // What paths of one group share fails for all of them.
    const paths = Object.values(s.config.paths).filter(
      (p) => p.name === path || (p.group === group && c.is(0.8)),
    );
    const where = c.is(0.5) ? s.replicas : [c.pick(s.replicas)];
    return all(
      where.flatMap((r) => paths.map((p) => s.truth.ways.put(`${r.name}/${p.name}`, made))),
    );
  };
}

function anApi(fault: (c: Chance) => ApiFault): Begin {
  return (s, c) => {
    const vendor = c.pick(s.vendors);
    const made = fault(c);
    vendor.faults.push(made);
    return () => void vendor.faults.splice(vendor.faults.indexOf(made), 1);
  };
}

const share = (c: Chance) => (c.is(0.6) ? 1 : 0.1 + 0.8 * c.next());

export const faultKinds = {
  'origin-refuse': anOrigin(() => ({ kind: 'refuse' })),
  'origin-hang': anOrigin(() => ({ kind: 'hang' })),
  'origin-flap': anOrigin((c) => ({ kind: 'flap', everyMs: c.spread(500, 120_000) })),
  'origin-slow': anOrigin((c) => ({ kind: 'slow', ms: c.spread(100, 6000) })),
  'origin-grey': anOrigin((c) => ({ kind: 'grey', share: 0.1 + 0.8 * c.next() })),
  'origin-limits': (s, c) => {
    const bans = c.is(0.3);
    const asks = c.is(0.5) ? { retryAfterMs: c.spread(1000, 60_000) } : {};
    const limit = { perSecond: c.int(1, 10), bans, ...asks };
    return s.truth.limits.put(c.pick(Object.keys(s.config.origins)), limit);
  },
  'region-down': manyOrigins('region'),
  'cloud-down': manyOrigins('cloud'),
  'service-down': (s, c) => {
    const ids = Object.values(s.config.checks).filter((k) => k.role === 'service');
    return ids.length === 0 ? over : s.truth.places.put(c.pick(ids).id, hard(c));
  },
  'path-cut': aWay(() => ({ kind: 'cut' })),
  'path-no-route': aWay(() => ({ kind: 'no-route' })),
  'path-blind': aWay(() => ({ kind: 'blind' })),
  'path-loss': aWay((c) => ({ kind: 'loss', share: 0.02 + 0.5 * c.next() })),
  'path-apart': aWay((c, s) => ({ kind: 'apart', cloud: c.pick(Object.keys(s.config.clouds)) })),
  'network-cut': (s) =>
    all(
      s.replicas.flatMap((r) =>
        Object.keys(s.config.paths).map((p) => s.truth.ways.put(`${r.name}/${p}`, { kind: 'cut' })),
      ),
    ),
  'api-hang': anApi((c) => ({ how: 'hang', share: share(c) })),
  'api-unavailable': anApi((c) => ({ how: 'unavailable', share: share(c) })),
  'api-throttle': anApi((c) => ({
    how: 'throttle',
    share: share(c),
    ...(c.is(0.5) ? { retryAfterMs: c.spread(1000, 60_000) } : {}),
  })),
  'api-auth': anApi((c) => ({ how: 'auth', share: share(c) })),
  'api-slow': anApi((c) => ({ how: 'slow', share: share(c) })),
  'api-lost-reply': anApi((c) => ({ how: 'lost-reply', share: share(c) })),
  'api-lost-write': anApi((c) => ({ how: 'lost-write', share: share(c) })),
  'api-late-write': anApi((c) => ({ how: 'late-write', share: share(c) })),
  'api-stale-read': anApi((c) => ({ how: 'stale-read', share: share(c) })),
  'zone-sick': (s, c) => {
    const vendor = c.pick(s.vendors);
    const zone = c.pick(vendor.options.zones);
    vendor.turn(zone, c.pick(['deleted', 'denied', 'unavailable', 'hang'] as const));
    return () => vendor.turn(zone, null);
  },
  'dns-lag': (s, c) => {
    const vendor = c.pick(s.vendors);
    const lag = c.spread(1000, 60_000);
    vendor.lagMs += lag;
    return () => {
      vendor.lagMs -= lag;
    };
  },
  'dns-stuck': (s, c) => {
    const vendor = c.pick(s.vendors);
    const server = c.pick(vendor.servers);
    server.stuck = true;
    return () => vendor.unstick(server);
  },
  'dns-hang': (s, c) => {
    const vendor = c.pick(s.vendors);
    vendor.hanging++;
    return () => {
      vendor.hanging--;
    };
  },
  'dns-silent': (s, c) => {
    const vendor = c.pick(s.vendors);
    vendor.silent++;
    return () => {
      vendor.silent--;
    };
  },
  'chain-broken': (s, c) => {
    const names = Object.values(s.config.records).flatMap((r) => r.targets.map((t) => t.cname));
    return s.truth.chains.put(c.pick(names), c.pick(['broken', 'unknown', 'silent'] as const));
  },
  'human-edit': (s, c) => {
    const record = c.pick(Object.values(s.config.records));
    const provider = c.pick(record.publish).provider;
    edit(s.vendors.find((v) => v.name === provider)!, record.name, record.targets, c);
    return over;
  },
  crash: (s, c) => {
    c.pick(s.replicas).crash();
    return over;
  },
  'crash-at-commit': (s, c) => {
    const { store } = c.pick(s.replicas);
    store.dies = c.pick(['before', 'after'] as const);
    return () => {
      store.dies = null;
    };
  },
  stop: (s, c) => {
    c.pick(s.replicas).stop();
    return over;
  },
  'store-refuses': (s, c) => {
    const { store } = c.pick(s.replicas);
    store.refuses = true;
    return () => {
      store.refuses = false;
    };
  },
  'store-full': (s, c) => {
    const { store } = c.pick(s.replicas);
    [store.refuses, store.forgets] = [true, true];
    return () => {
      [store.refuses, store.forgets] = [false, false];
    };
  },
  // One file for all, read by most of them, at their own times.
  reload: (s, c) => {
    const config = c.is(0.3) ? s.config : another(s.config, c);
    for (const r of s.replicas) if (c.is(0.8)) r.reload(config);
    return over;
  },
  'wall-jump': (s, c) => {
    const ms = c.spread(500, 7_200_000);
    c.pick(s.replicas).jump(c.is(0.5) ? ms : -ms);
    return over;
  },
  pause: (s, c, lastsMs) => {
    c.pick(s.replicas).pause(Math.min(lastsMs, c.spread(200, 90_000)), false);
    return over;
  },
  'pause-at-write': (s, c) => {
    const { hand } = c.pick(s.replicas);
    hand.haltsMs = c.spread(300, 240_000);
    return () => {
      hand.haltsMs = 0;
    };
  },
  sleep: (s, c, lastsMs) => {
    c.pick(s.replicas).pause(Math.min(lastsMs, c.spread(1000, 120_000)), true);
    return over;
  },
  'lease-cut': (s, c) => {
    const { lease } = c.pick(s.replicas);
    lease.cutOff = true;
    return () => {
      lease.cutOff = false;
    };
  },
  'notices-fail': (s, c) => {
    const { notices } = c.pick(s.replicas);
    notices.fail = true;
    return () => {
      notices.fail = false;
    };
  },
  operator: (s) => {
    s.operate();
    return over;
  },
} as const satisfies Readonly<Record<string, Begin>>;

export type FaultName = keyof typeof faultKinds;

export function beginFault(kind: FaultName, s: Site, lastsMs: number): () => void {
  return (faultKinds[kind] as Begin)(s, s.chance, lastsMs);
}

/** A person at a vendor's console, who does not know of Detour. */
function edit(
  vendor: SimVendor,
  name: Name,
  targets: readonly { readonly cname: Name }[],
  c: Chance,
): void {
  const ttl = c.pick([60, 300, 600]);
  switch (c.int(1, 8)) {
    case 1:
      return vendor.edit(name, { value: 'elsewhere.example.', ttl }, null);
    case 2:
      return vendor.edit(name, 'none', null);
    case 3:
      return vendor.edit(name, null, []);
    case 4:
      return vendor.edit(name, null, ['google-site-verification=1234']);
    case 5:
      return vendor.edit(name, 'none', []);
    default:
      return vendor.edit(name, { value: c.pick(targets).cname, ttl }, null);
  }
}
