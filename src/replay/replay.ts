// One outage through one configuration, in virtual time, with the real engine: what happened in the
// world, what Detour saw, diagnosed, decided, did and did not do, what each vendor served, and what
// it came to in minutes. The result is plain JSON; the same inputs give the same result. It reads
// nothing but what it is given, and it never moves a record but through the engine.

import type { Config } from '../config/config.ts';
import type { CoreConfig, EntryKind, Name, RecordConfig } from '../core/model.ts';
import { view } from '../core/view.ts';
import { minutesFailing } from './account.ts';
import { type Company, type Manner, type Outage, spanOf } from './outages.ts';
import {
  type Affliction,
  type Conditions,
  conditionsOf,
  failingShare,
  notesOf,
  type Struck,
  standIns,
  vendorTitle,
  whoIsStruck,
} from './struck.ts';
import { calm, World } from './world.ts';

interface ReplayOptions {
  readonly config: Config;
  readonly outage: Outage;
  /** Cloud, provider or path of the configuration in the place of the one struck. */
  readonly as: string | null;
  readonly seed: number;
  /** Share of all probes that is lost by chance, 0 to 1. */
  readonly loss: number;
  /** Ten minutes after the end an operator switches what was moved back to its first target. */
  readonly back: boolean;
  /** A calm time before, in milliseconds, on top of the time to start; for false switches. */
  readonly quietMs?: number;
  /** Ends so long after the first strike, in milliseconds, whatever is still to come. */
  readonly untilMs?: number;
  /** When an operator takes out vendors that stay behind; `usualEviction` unless given. */
  readonly eviction?: Eviction;
}

/** What a person does about a vendor that stays behind: `detour evict`. In milliseconds. */
export interface Eviction {
  /** From the switch that it did not follow. */
  readonly afterMs: number;
  /** How long resolvers keep the delegation. */
  readonly parentTtlMs: number;
}

/** What no source gives, so that it is said with each figure that rests on it. */
export const usualEviction: Eviction = { afterMs: 600_000, parentTtlMs: 3_600_000 };

export type LineKind =
  | 'world'
  | 'saw'
  | 'diagnosed'
  | 'decided'
  | 'stayed'
  | 'did'
  | 'served'
  | 'lane'
  | 'told';

interface Line {
  readonly at: number;
  readonly utc: string;
  /** Milliseconds since the first strike; negative before. */
  readonly sinceMs: number;
  readonly kind: LineKind;
  readonly about: string | null;
  readonly text: string;
}

interface Move {
  readonly at: number;
  readonly sinceMs: number;
  readonly from: string;
  readonly to: string;
  readonly by: 'auto' | 'operator';
  readonly why: string;
  /** Nothing failed of what it left. */
  readonly isFalse: boolean;
}

interface Behind {
  readonly provider: string;
  readonly vendor: string;
  readonly target: string;
  readonly from: number;
  /** When it gave the target in force; null: not by the end of the replay. */
  readonly to: number | null;
  readonly minutes: number;
  readonly why: string;
}

export interface RecordResult {
  readonly name: Name;
  readonly targets: readonly string[];
  readonly struck: boolean;
  /** One of its targets is in a cloud that was struck, whether anything of it failed or not. */
  readonly near: boolean;
  readonly endsOn: string | null;
  readonly moves: readonly Move[];
  /** When at least half of the requests to its first target began to fail; null: never. */
  readonly failedAt: number | null;
  /** From there to the first decision to move, and to the last vendor in reach that gave it. */
  readonly decidedAfterMs: number | null;
  readonly servedAfterMs: number | null;
  /** What was predicted just before: to the slowest vendor, and until its caches are empty. */
  readonly predicted: { readonly servedAfterMs: number; readonly totalMs: number } | null;
  /** When which of its targets fails, and for what share of requests. */
  readonly failing: readonly {
    readonly target: string;
    readonly from: number;
    readonly to: number;
    readonly share: number;
  }[];
  readonly minutesWithout: number;
  readonly minutesWith: number;
  /** The same with what stayed behind taken out of the delegation; null: nothing could be. */
  readonly evicted: {
    readonly providers: readonly string[];
    readonly at: number;
    readonly minutes: number;
  } | null;
  readonly stays: readonly {
    readonly at: number;
    readonly reason: string;
    readonly text: string;
  }[];
  readonly behind: readonly Behind[];
  readonly served: readonly {
    readonly provider: string;
    readonly gives: readonly { readonly at: number; readonly target: string | null }[];
  }[];
  /** Where it stays at the end, and why. */
  readonly ends: { readonly reason: string; readonly text: string };
}

interface VendorResult {
  readonly provider: string;
  readonly type: string;
  readonly vendor: string;
  readonly unwritable: readonly Stretch[];
  readonly silent: readonly Stretch[];
}

interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly minutes: number;
  readonly how: string;
}

export interface Replay {
  readonly outage: {
    readonly id: string;
    readonly title: string;
    readonly failed: string;
    readonly worked: string;
    readonly lesson: string;
    readonly sources: readonly string[];
    readonly assumed: readonly string[];
    readonly beganAt: number;
    readonly calmAt: number;
    readonly minutes: number;
    readonly phases: readonly {
      readonly at: number;
      readonly says: string;
      /** What fails: `machines`, `services`, `control`, `api`, `authority`, `resolver`. */
      readonly fails: readonly string[];
    }[];
  };
  readonly as: string | null;
  readonly seed: number;
  readonly loss: number;
  readonly eviction: Eviction;
  readonly beganAt: number;
  readonly endedAt: number;
  readonly struck: {
    readonly any: boolean;
    /** What `as` could be here. */
    readonly choices: readonly string[];
    readonly checks: readonly string[];
    readonly origins: readonly string[];
    readonly providers: readonly string[];
    readonly paths: readonly string[];
  };
  readonly notes: readonly string[];
  readonly warnings: readonly string[];
  readonly records: readonly RecordResult[];
  readonly clouds: readonly {
    readonly name: string;
    readonly diagnoses: readonly {
      readonly at: number;
      readonly word: string;
      readonly text: string;
    }[];
  }[];
  readonly vendors: readonly VendorResult[];
  readonly timeline: readonly Line[];
  /** Lines beyond the bound, which are left out. */
  readonly leftOut: number;
  readonly switches: number;
  readonly falseSwitches: number;
  readonly probes: number;
}

/** From a start to records adopted and everything seen up, with some to spare. */
const WARM_MS = 300_000;
/** After the end: long enough for a lane that was refused to catch up. */
const TAIL_MS = 900_000;
const BACK_AFTER_MS = 600_000;
/** A vendor that follows later than the end of a switch (rule 16) was left behind. */
const BEHIND_AFTER_MS = 30_000;
const LINES_MOST = 3000;

interface Moment {
  readonly at: number;
  readonly conditions: Conditions;
}

/** What is gathered while the world runs. */
interface Run {
  readonly foretold: ReadonlyMap<Name, RecordResult['predicted']>;
  readonly options: ReplayOptions;
  readonly core: CoreConfig;
  /** Clouds that were struck in whatever way. */
  readonly near: ReadonlySet<string>;
  readonly world: World;
  readonly moments: readonly Moment[];
  readonly beganAt: number;
  readonly fromAt: number;
  readonly toAt: number;
  readonly blindness: readonly {
    readonly at: number;
    readonly path: string;
    readonly blind: boolean;
  }[];
}

/** Replays an outage. Null where `as` is no name of the configuration's. */
export function replay(options: ReplayOptions): Replay | null {
  const { config, outage } = options;
  const struck = whoIsStruck(config, outage, options.as);
  if (struck === null) return null;
  return resultOf(runThrough(options, momentsOf(config, outage, struck), struck), struck);
}

/**
 * The records whose first target fails in an outage, with nobody looking: from how many
 * milliseconds after the first strike on. Null where `as` is no name of the configuration's.
 */
export function failuresOf(
  config: Config,
  outage: Outage,
  as: string | null,
): readonly { readonly name: Name; readonly afterMs: number }[] | null {
  const struck = whoIsStruck(config, outage, as);
  if (struck === null) return null;
  const moments = momentsOf(config, outage, struck);
  const { beganAt } = spanOf(outage);
  return Object.values(config.core.records).flatMap((r) => {
    const at = failureOf(config, moments, r);
    return at === null ? [] : [{ name: r.name, afterMs: at - beganAt }];
  });
}

function momentsOf(
  config: Config,
  outage: Outage,
  struck: ReadonlyMap<Company, Struck>,
): readonly Moment[] {
  return outage.phases.map(({ at, strikes }) => {
    return { at: Date.parse(at), conditions: conditionsOf(config, struck, strikes) };
  });
}

/** When at least half of the requests to a record's first target begin to fail. */
function failureOf(config: Config, moments: readonly Moment[], r: RecordConfig): number | null {
  const first = r.targets[0]!.origin;
  return moments.find((m) => failingShare(config, m.conditions, first) >= 0.5)?.at ?? null;
}

/** Every record steers: what an observed one would do is what is asked. */
function steering(core: CoreConfig): CoreConfig {
  const records = Object.entries(core.records).map(([name, r]): [Name, RecordConfig] => {
    const { hooks: _, ...rest } = r;
    return [name, { ...rest, mode: 'steer' }];
  });
  return { ...core, records: Object.fromEntries(records) };
}

function runThrough(
  options: ReplayOptions,
  moments: readonly Moment[],
  struck: ReadonlyMap<Company, Struck>,
): Run {
  const { config, outage, seed, loss, back, quietMs = 0, untilMs } = options;
  const core = steering(config.core);
  const { beganAt, calmAt, endedAt } = spanOf(outage);
  const firstAt = Math.min(beganAt, moments[0]!.at);
  const startsAt = firstAt - WARM_MS - quietMs;
  const toAt = untilMs === undefined ? endedAt + TAIL_MS : beganAt + untilMs;
  const world = new World({ config: core, startsAt, seed, loss });
  for (const r of Object.values(core.records)) world.hold(r.name, r.targets[0]!.cname);
  const blindness: { at: number; path: string; blind: boolean }[] = [];
  const wasBlind = new Set<string>();
  world.onStep = () => {
    for (const path of world.paths) {
      if (path.blind === wasBlind.has(path.name)) continue;
      if (path.blind) wasBlind.add(path.name);
      else wasBlind.delete(path.name);
      blindness.push({ at: world.now, path: path.name, blind: path.blind });
    }
  };
  world.begin();
  world.runTo(firstAt - 1);
  const foretold = foretoldOf(world);
  const backAt = back ? calmAt + BACK_AFTER_MS : Number.POSITIVE_INFINITY;
  const stops = [...moments.map((m) => m.at), backAt]
    .filter((at) => at < toAt)
    .toSorted((a, b) => a - b);
  for (const at of stops) {
    world.runTo(at);
    world.conditions = moments.findLast((m) => m.at <= at)?.conditions ?? calm;
    if (at === backAt) switchBack(world, core);
  }
  world.runTo(toAt);
  const fromAt = firstAt - quietMs;
  const near = new Set([...struck.values()].flatMap((who) => [...who.clouds]));
  return { options, core, near, world, foretold, moments, beganAt, fromAt, toAt, blindness };
}

/** What clients of each record have to expect, as things stand. */
function foretoldOf(world: World): Run['foretold'] {
  const { records } = view(world.state, { version: '', reload: null });
  return new Map(
    records.map(({ name, predicted: p }) => {
      const worst = p?.parts.find(({ provider }) => provider === p.worst);
      if (p === null || worst === undefined) return [name, null] as const;
      return [name, { servedAfterMs: p.totalMs - worst.ttlMs, totalMs: p.totalMs }] as const;
    }),
  );
}

/** As a person would, once it is over. */
function switchBack(world: World, core: CoreConfig): void {
  for (const r of world.state.records.values()) {
    const target = core.records[r.name]!.targets[0]!.origin;
    if (r.doc.target === null || r.doc.target === target) continue;
    const said = { kind: 'switch', reason: 'it is over', by: 'you', forMs: 3_600_000 } as const;
    world.order({ ...said, record: r.name, target, force: false, dryRun: false });
  }
}

// ---------------------------------------------------------------- what it came to

function resultOf(run: Run, struck: ReadonlyMap<Company, Struck>): Replay {
  const { options, core, world, moments } = run;
  const { config, outage, as, seed, loss } = options;
  const { eviction = usualEviction } = options;
  const { beganAt, calmAt } = spanOf(outage);
  const records = Object.values(core.records).map((r) => recordResult(run, r));
  const vendors = Object.keys(core.lanes).map((name) => vendorResult(run, name));
  const hit = hitOf(config, moments);
  const [all, timeline] = [timelineOf(run), [] as Line[]];
  timeline.push(...all.slice(0, LINES_MOST));
  const moves = records.flatMap((r) => r.moves).filter((m) => m.by === 'auto');
  const of = (mode: RecordConfig['mode']) =>
    Object.values(config.core.records).flatMap((r) => (r.mode === mode ? [bare(r.name)] : []));
  const [names, asking] = [of('observe').join(', '), of('approve').join(', ')];
  const notes = [
    ...notesOf(config, outage, struck),
    ...(names === '' ? [] : [`in mode observe, replayed as if steered: ${names}`]),
    ...(asking === '' ? [] : [`in mode approve, replayed as if approved at once: ${asking}`]),
  ];
  return {
    outage: {
      ...{ id: outage.id, title: outage.title, failed: outage.failed, worked: outage.worked },
      ...{ lesson: outage.lesson, sources: outage.sources, assumed: outage.assumed },
      ...{ beganAt, calmAt, minutes: minutes(calmAt - beganAt) },
      phases: outage.phases.map((p) => {
        return {
          at: Date.parse(p.at),
          says: p.says,
          fails: [...new Set(p.strikes.map((s) => s.what))],
        };
      }),
    },
    ...{ as, seed, loss, eviction, beganAt: run.fromAt, endedAt: run.toAt },
    struck: hit,
    notes,
    warnings: warningsOf(records, vendors, core),
    records,
    clouds: Object.keys(core.clouds).map((name) => ({ name, diagnoses: diagnosesOf(run, name) })),
    vendors,
    timeline,
    leftOut: all.length - timeline.length,
    switches: moves.length,
    falseSwitches: moves.filter((m) => m.isFalse).length,
    probes: world.probes,
  };
}

function hitOf(config: Config, moments: readonly Moment[]): Replay['struck'] {
  const keysOf = (of: (c: Conditions) => ReadonlyMap<string, Affliction>) => [
    ...new Set(moments.flatMap((m) => [...of(m.conditions).keys()])),
  ];
  const checks = keysOf((c) => c.checks);
  const providers = [...new Set([...keysOf((c) => c.api), ...keysOf((c) => c.authority)])];
  const paths = keysOf((c) => c.paths);
  const origins = Object.keys(config.core.origins).filter((name) =>
    moments.some((m) => failingShare(config, m.conditions, name) > 0),
  );
  const any = checks.length + providers.length + paths.length > 0;
  return { any, choices: standIns(config), checks, origins, providers, paths };
}

function recordResult(run: Run, r: RecordConfig): RecordResult {
  const { world, options, moments } = run;
  const { config } = options;
  const moves = movesOf(run, r);
  const failing = (at: number, origin: string) =>
    failingShare(config, conditionsAt(run, at), origin);
  const failedAt = failureOf(config, moments, r);
  const away = moves.find((m) => failedAt !== null && m.at >= failedAt && m.by === 'auto');
  const behind = behindOf(run, r, moves);
  const served = r.publish.map(({ provider }) => ({ provider, gives: givesOf(run, r, provider) }));
  const reached = away === undefined ? [] : servedTimes(run, r, away, nextAt(run, moves, away));
  const inReach = reached.flatMap((at) =>
    at !== null && at - away!.at <= BEHIND_AFTER_MS ? [at] : [],
  );
  const state = world.state.records.get(r.name)!;
  const stays = entriesOf(run, 'stay', r.name).map(({ at, entry }) => {
    const { reason } = entry.data as { reason: string };
    return { at, reason, text: withoutName(entry.sentence, r.name) };
  });
  return {
    name: r.name,
    targets: r.targets.map((t) => t.origin),
    struck: moments.some((m) => r.targets.some((t) => failing(m.at, t.origin) > 0)),
    near: r.targets.some((t) => run.near.has(run.core.origins[t.origin]!.cloud)),
    endsOn: state.doc.target,
    moves,
    failedAt,
    decidedAfterMs: away === undefined ? null : away.at - failedAt!,
    servedAfterMs: inReach.length === 0 ? null : Math.max(...inReach) - failedAt!,
    predicted: run.foretold.get(r.name) ?? null,
    failing: failingOf(run, r),
    minutesWithout: round(minutesOf(run, r, false)),
    minutesWith: round(minutesOf(run, r, true)),
    evicted: evictedOf(run, r, behind),
    stays,
    behind,
    served,
    ends: { reason: state.stay.reason, text: state.stay.sentence },
  };
}

function movesOf(run: Run, r: RecordConfig): Move[] {
  return entriesOf(run, 'switch', r.name).map(({ at, entry }) => {
    const { from, to, kind, why } = entry.data as Record<'from' | 'to' | 'kind' | 'why', string>;
    // What failed until a moment ago may still be judged down: that is no error about it.
    const recent = [at, at - BEHIND_AFTER_MS].map((then) =>
      failingShare(run.options.config, conditionsAt(run, then), from),
    );
    const isFalse = kind === 'auto' && why === 'target-down' && Math.max(...recent) === 0;
    return { ...{ at, sinceMs: at - run.beganAt, from, to, why }, by: kind as Move['by'], isFalse };
  });
}

function failingOf(run: Run, r: RecordConfig): RecordResult['failing'] {
  const { moments, options } = run;
  return r.targets.flatMap(({ origin: target }) => {
    const found: { target: string; from: number; to: number; share: number }[] = [];
    moments.forEach(({ at, conditions }, i) => {
      const share = failingShare(options.config, conditions, target);
      const to = Math.min(run.toAt, moments[i + 1]?.at ?? run.toAt);
      const last = found.at(-1);
      if (last?.to === at && last.share === share) last.to = to;
      else if (share > 0 && at < to) found.push({ target, from: at, to, share });
    });
    return found;
  });
}

function nextAt(run: Run, moves: readonly Move[], of: Move): number {
  return moves[moves.indexOf(of) + 1]?.at ?? run.toAt;
}

/** When each vendor gave the target of a move, before the next one; null: it did not. */
function servedTimes(run: Run, r: RecordConfig, move: Move, until: number): (number | null)[] {
  return r.publish.map(({ provider }) => {
    const gives = givesOf(run, r, provider);
    if (gives.findLast((g) => g.at <= move.at)?.target === move.to) return move.at;
    return gives.find((g) => g.at > move.at && g.at <= until && g.target === move.to)?.at ?? null;
  });
}

function behindOf(run: Run, r: RecordConfig, moves: readonly Move[]): Behind[] {
  return moves.flatMap((move) => {
    const until = nextAt(run, moves, move);
    const times = servedTimes(run, r, move, until);
    return r.publish.flatMap(({ provider }, i): Behind[] => {
      const to = times[i] ?? null;
      const ms = (to ?? until) - move.at;
      if (ms <= BEHIND_AFTER_MS) return [];
      const how = conditionsAt(run, move.at).api.get(provider)?.manner;
      const why = how === undefined ? 'it did not follow' : apiHow[how];
      const vendor = vendorTitle(run.core.lanes[provider]!.type);
      return [{ provider, vendor, target: move.to, from: move.at, to, minutes: minutes(ms), why }];
    });
  });
}

function givesOf(run: Run, r: RecordConfig, provider: string) {
  const target = (cname: Name | null) => r.targets.find((t) => t.cname === cname)?.origin ?? null;
  return run.world.served
    .filter((s) => s.provider === provider && s.record === r.name)
    .map((s) => ({ at: s.at, target: target(s.cname) }));
}

/** Vendors that a delegation keeps, whatever is taken out of it. */
const VENDORS_LEFT = 2;

/** What it comes to when a person takes out who stays behind, the longest first. */
function evictedOf(run: Run, r: RecordConfig, behind: readonly Behind[]): RecordResult['evicted'] {
  const { afterMs, parentTtlMs: overMs } = run.options.eviction ?? usualEviction;
  const late = behind
    .filter((b) => (b.to ?? run.toAt) > b.from + afterMs)
    .toSorted((a, b) => b.minutes - a.minutes)
    .slice(0, Math.max(0, r.publish.length - VENDORS_LEFT));
  if (late.length === 0) return null;
  const evicted = late.map(({ provider, from }) => {
    const vendor = r.publish.findIndex((p) => p.provider === provider);
    return { vendor, at: from + afterMs, overMs };
  });
  return {
    providers: late.map((b) => b.provider),
    at: Math.min(...evicted.map((e) => e.at)),
    minutes: round(minutesOf(run, r, true, evicted)),
  };
}

/** With Detour, or on its first target throughout. */
function minutesOf(
  run: Run,
  r: RecordConfig,
  withDetour: boolean,
  evicted: Parameters<typeof minutesFailing>[0]['evicted'] = [],
): number {
  const { config } = run.options;
  const index = (origin: string | null) => r.targets.findIndex((t) => t.origin === origin);
  const moments = [{ at: run.fromAt, conditions: calm }, ...run.moments];
  return minutesFailing({
    startsAt: run.fromAt,
    endsAt: run.toAt,
    evicted,
    vendors: r.publish.map(({ provider, ttl }) => {
      const gives = givesOf(run, r, provider).map((g) => {
        const target = index(g.target);
        return { at: g.at, target: target < 0 ? null : target };
      });
      return { ttl, gives: withDetour ? gives : [{ at: run.fromAt, target: 0 }] };
    }),
    phases: moments.map(({ at, conditions }) => ({
      at,
      failing: r.targets.map((t) => failingShare(config, conditions, t.origin)),
      silent: r.publish.map(({ provider }) => conditions.authority.get(provider)?.share ?? 0),
    })),
  });
}

function vendorResult(run: Run, provider: string): VendorResult {
  const { type } = run.core.lanes[provider]!;
  const stretches = (
    of: (c: Conditions) => Affliction | undefined,
    words: Readonly<Record<Manner, string>>,
  ): Stretch[] => {
    const found: Stretch[] = [];
    run.moments.forEach(({ at, conditions }, i) => {
      const struck = of(conditions);
      if (struck === undefined) return;
      const to = run.moments[i + 1]?.at ?? run.toAt;
      const last = found.at(-1);
      const how = words[struck.manner];
      const from = last?.to === at && last.how === how ? found.pop()!.from : at;
      found.push({ from, to, minutes: minutes(to - from), how });
    });
    return found;
  };
  return {
    provider,
    type,
    vendor: vendorTitle(type),
    unwritable: stretches((c) => c.api.get(provider), apiHow),
    silent: stretches((c) => c.authority.get(provider), authorityHow),
  };
}

const apiHow: Readonly<Record<Manner, string>> = {
  refuse: 'its API refuses connections',
  '5xx': 'its API answers with errors (5xx)',
  hang: 'its API does not answer',
  denied: 'its API refuses valid keys',
  nxdomain: 'the name of its API does not exist',
  servfail: 'the name of its API does not resolve',
  tls: 'the name of its API leads to a stranger, whose certificate is refused',
};

const authorityHow: Readonly<Record<Manner, string>> = {
  ...apiHow,
  hang: 'its name servers do not answer',
  servfail: 'its name servers answer SERVFAIL',
};

/** What a user of this configuration should know, whether a record moved or not. */
function warningsOf(
  records: readonly RecordResult[],
  vendors: readonly VendorResult[],
  core: CoreConfig,
): string[] {
  const warnings: string[] = [];
  const at = (name: string) =>
    records.filter((r) => core.records[r.name]!.publish.some((p) => p.provider === name));
  for (const v of vendors) {
    const published = at(v.provider);
    if (published.length === 0) continue;
    const alone = published.filter((r) => core.records[r.name]!.publish.length === 1);
    const only = alone.map((r) => bare(r.name)).join(', ');
    for (const s of v.unwritable) {
      warnings.push(
        `${v.vendor}'s DNS (${v.provider}) cannot be written from ${clock(s.from)} to ` +
          `${clock(s.to)} (${s.minutes} min): ${s.how}. What has to move meanwhile stays behind ` +
          `there${only === '' ? '' : `, and ${only}, published nowhere else, cannot be moved at all`}`,
      );
    }
    for (const s of v.silent) {
      const rest =
        only === '' ? 'resolvers ask the other vendors' : `${only} cannot be found at all`;
      warnings.push(
        `${v.vendor}'s DNS (${v.provider}) does not serve from ${clock(s.from)} to ` +
          `${clock(s.to)} (${s.minutes} min): ${s.how}; ${rest}`,
      );
    }
  }
  for (const r of records) {
    const trapped =
      r.ends.reason === 'no-target-up' || r.stays.some((s) => s.reason === 'no-target-up');
    if (trapped) {
      const text =
        'for a time none of its targets was up, so it stayed where it was: they share a fate';
      warnings.push(`${bare(r.name)}: ${text}`);
    }
  }
  return warnings;
}

// ---------------------------------------------------------------- the timeline

function diagnosesOf(run: Run, cloud: string) {
  return run.world.entries.flatMap(({ at, entry }) => {
    const data = entry.data as { cloud?: string; diagnosis?: string };
    if (entry.kind !== 'diagnosis' || data.cloud !== cloud || at < run.fromAt) return [];
    return [{ at, word: data.diagnosis!, text: entry.sentence }];
  });
}

/** Where each kind of entry stands in the timeline; null: not in it. */
const lineOf = {
  health: 'saw',
  verdict: 'saw',
  unresolved: 'saw',
  diagnosis: 'diagnosed',
  switch: 'decided',
  stay: 'stayed',
  settled: 'did',
  lane: 'lane',
  zone: 'lane',
  unreadable: 'lane',
  rejected: 'lane',
  hold: 'lane',
  ack: null,
  adopt: null,
  delegation: null,
  deposed: null,
  drain: null,
  drill: null,
  forgotten: null,
  fault: null,
  freeze: null,
  group: null,
  lease: null,
  path: null,
  paused: null,
  limit: 'saw',
  objective: 'did',
  pin: null,
  prepare: null,
  release: null,
  approval: null,
  hook: null,
  reload: null,
  repair: null,
  replica: null,
  standby: 'saw',
  start: null,
  stop: null,
  store: null,
  taken: null,
  turn: 'did',
  undone: null,
  undrain: null,
  unfreeze: null,
  unpin: null,
  visible: null,
  'would-switch': null,
  written: null,
} satisfies Readonly<Record<EntryKind, LineKind | null>>;

/** Of things of one moment, the world's come first and what was served comes last. */
const order: readonly LineKind[] = [
  ...(['world', 'saw', 'diagnosed', 'stayed', 'decided', 'lane', 'did', 'served', 'told'] as const),
];

function timelineOf(run: Run): Line[] {
  const lines: Line[] = [];
  const add = (at: number, kind: LineKind, about: string | null, text: string) => {
    if (at < run.fromAt || at > run.toAt) return;
    lines.push({
      at,
      utc: new Date(at).toISOString(),
      sinceMs: at - run.beganAt,
      kind,
      about,
      text,
    });
  };
  for (const p of run.options.outage.phases) add(Date.parse(p.at), 'world', null, p.says);
  for (const { at, entry } of run.world.entries) {
    const kind = lineOf[entry.kind];
    if (kind === null) continue;
    const about = entry.record === null ? null : bare(entry.record);
    const text = entry.record === null ? entry.sentence : withoutName(entry.sentence, entry.record);
    add(at, kind, about, text);
  }
  for (const { at, path, blind } of run.blindness) {
    const text = blind ? 'is blind: it has no vote' : 'sees again';
    add(at, 'saw', null, `path ${path} ${text}`);
  }
  for (const s of run.world.served) {
    const target = run.core.records[s.record]!.targets.find((t) => t.cname === s.cname);
    const text = `${s.provider} gives ${target?.origin ?? s.cname ?? 'nothing'}`;
    add(s.at, 'served', bare(s.record), text);
  }
  for (const { at, notice } of run.world.notices) {
    // A switch has its own line; this is what would wake somebody.
    if (notice.kind === 'switch') continue;
    const { record, sentence, kind } = notice;
    const text = record === null ? sentence : withoutName(sentence, record);
    add(at, 'told', record === null ? null : bare(record), `${kind}: ${text}`);
  }
  const rank = new Map(order.map((kind, i) => [kind, i]));
  return lines.sort((a, b) => a.at - b.at || rank.get(a.kind)! - rank.get(b.kind)!);
}

function conditionsAt(run: Run, at: number): Conditions {
  return run.moments.findLast((m) => m.at <= at)?.conditions ?? calm;
}

function entriesOf(run: Run, kind: EntryKind, record: Name) {
  return run.world.entries.filter(
    ({ at, entry }) => entry.kind === kind && entry.record === record && at >= run.fromAt,
  );
}

/** The sentence of an entry without the record's name at its head. */
function withoutName(sentence: string, record: Name): string {
  for (const head of [`${record}: `, `${record} stays: `, `${record} `]) {
    if (sentence.startsWith(head)) return sentence.slice(head.length);
  }
  return sentence;
}

/** A name as it stands in the configuration: without the last dot. */
export function bare(name: Name): string {
  return name.replace(/\.$/, '');
}

/** `09:39`, in UTC. */
function clock(at: number): string {
  return new Date(at).toISOString().slice(11, 16);
}

function minutes(ms: number): number {
  return Math.round(ms / 60_000);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
