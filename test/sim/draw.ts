// What a seed's world is made of: the configuration, the replicas, and which faults strike how often
// (swarm testing: every seed knows only some kinds, so that no kind always hides another). Draws
// only; builds and runs nothing.

import type { CheckConfig, CoreConfig, Name } from '../../src/core/model.ts';
import { coreConfig, webCheck } from '../core/world.ts';
import type { Chance } from './chance.ts';
import { type FaultName, faultKinds } from './faults.ts';
import { type HandName, handKinds } from './hands.ts';
import { withLines } from './lines.ts';
import { withPeople } from './people.ts';
import { type Strength, strengths } from './vendors.ts';

export interface Plan {
  readonly config: CoreConfig;
  /** The key that signs this world's markers; null: none. */
  readonly key: string | null;
  /** Whose key somebody has stolen, wherever a thief comes. */
  readonly stolen: string;
  readonly vendors: Readonly<Record<string, Strength>>;
  readonly replicas: number;
  readonly leaseMs: number;
  /** How far each replica's wall clock is off from the beginning. */
  readonly wallOffMs: readonly number[];
  readonly durationMs: number;
  readonly faults: readonly {
    readonly kind: FaultName;
    readonly everyMs: number;
    readonly lastsMs: number;
  }[];
  /** What other hands do, drawn and timed from a chance of their own. */
  readonly others: readonly {
    readonly kind: HandName;
    readonly everyMs: number;
    readonly lastsMs: number;
  }[];
  /** How often a live drill is tried; null: never. */
  readonly drillEveryMs: number | null;
}

const MINUTE = 60_000;
/** Regular probes of one world, about. */
const PROBES = 3_000;

/**
 * `other` is a stream of its own, for whatever came later than the worlds that once failed: those keep
 * their configuration and their faults. With `thief` every world has one; with `people` records ask.
 */
export function drawPlan(
  c: Chance,
  other: Chance,
  {
    drills,
    people,
    lines,
  }: { readonly drills: Chance; readonly people: Chance | null; readonly lines: Chance | null },
  thief: boolean,
): Plan {
  const drawn = drawWorld(c);
  const { config, ...rest } = lines === null ? drawn : withLines(drawn, lines);
  const providers = Object.keys(rest.vendors);
  const signed = rest.replicas > 1 || other.is(0.4);
  const records = withFollowers(config.records, other);
  const plan = {
    ...rest,
    config: { ...config, signed, records: people === null ? records : withPeople(records, people) },
    key: signed ? 'the-key-of-the-simulated-cluster' : null,
    stolen: other.pick(providers),
    others: drawOthers(other, thief),
  };
  return withCrowds(withDrills(plan, drills));
}

/**
 * Where there are some records, vendors that take the last writer's word take so few at once that a
 * switch of all is a crowd there: their markers come after all CNAMEs. Draws nothing.
 */
export function withCrowds<
  P extends { readonly config: CoreConfig; readonly vendors: Readonly<Record<string, Strength>> },
>(plan: P): P {
  if (Object.keys(plan.config.records).length < 3) return plan;
  const lanes = Object.entries(plan.config.lanes).map(([name, lane]) => {
    const isWeak = plan.vendors[name] === 'weak';
    return [name, isWeak ? { ...lane, writeMax: 1, settlesLater: true } : lane] as const;
  });
  return { ...plan, config: { ...plan.config, lanes: Object.fromEntries(lanes) } };
}

/**
 * From a stream of its own: in some worlds live drills are tried again and again, most of them refused
 * for what is the matter just then, and failbacks go vendor by vendor.
 */
export function withDrills<P extends { readonly config: CoreConfig }>(
  plan: P,
  c: Chance,
): P & { readonly drillEveryMs: number | null } {
  if (!c.is(0.4)) return { ...plan, drillEveryMs: null };
  const records = Object.entries(plan.config.records).map(([name, r]) => {
    const byVendor = r.failback.kind === 'after' && c.is(0.5);
    // Each is watched for its TTL, and all of them have had their turn before the world ends.
    const publish = r.publish.map((p) => ({ ...p, ttl: Math.min(60, p.ttl) }));
    const own = byVendor ? { ...r, publish, failback: { ...r.failback, byVendor } } : r;
    return [name, own] as const;
  });
  const config = { ...plan.config, records: Object.fromEntries(records) };
  return { ...plan, config, drillEveryMs: c.spread(10_000, 2 * MINUTE) };
}

/** Some records follow what is set by hand at one vendor. */
function withFollowers(records: CoreConfig['records'], c: Chance): CoreConfig['records'] {
  return Object.fromEntries(
    Object.entries(records).map(([name, r]) => {
      return [name, c.is(0.15) ? { ...r, edits: 'follow' as const } : r];
    }),
  );
}

function drawOthers(c: Chance, thief: boolean): Plan['others'] {
  const usual = c.spread(MINUTE, 10 * MINUTE);
  const share = { thief: 0.15, tool: 0.15, stale: 0.15, word: 0.15, 'lost-store': 0.1 };
  const often = { thief: 1, tool: 0.1, stale: 0.1, word: 0.1, 'lost-store': 0.4 };
  const kinds = (Object.keys(handKinds) as HandName[]).filter((kind) => {
    return c.is((thief ? often : share)[kind]);
  });
  return kinds.map((kind) => ({
    kind,
    everyMs: Math.round(usual * (0.3 + 2 * c.next()) * (kind === 'lost-store' ? 3 : 1)),
    lastsMs: c.spread(30_000, 30 * MINUTE),
  }));
}

function drawWorld(c: Chance): Omit<Plan, 'key' | 'stolen' | 'others' | 'drillEveryMs'> {
  // Ten minutes to six hours, most of them short: faults come in minutes.
  const durationMs = Math.round(10 * MINUTE * 36 ** (c.next() * c.next()));
  const providers = ['va', 'vb', 'vc'].slice(0, c.int(1, 3));
  const chosen = c.some(Object.keys(faultKinds) as FaultName[], c.pick([0.1, 0.25, 0.5]));
  const replicas = c.pick([1, 1, 2, 2, 3]);
  const usual = c.spread(30_000, 15 * MINUTE);
  // A zone in trouble is met only when something is to be done there: it lasts, and there are others.
  const sickly = c.is(0.25);
  const kinds = sickly ? chosen.filter((k) => k !== 'zone-sick') : chosen;
  return {
    config: drawConfig(c, providers, durationMs * replicas, sickly),
    vendors: Object.fromEntries(providers.map((p) => [p, c.pick(strengths)])),
    replicas,
    leaseMs: c.spread(3000, 30_000),
    wallOffMs: Array.from({ length: replicas }, () =>
      c.is(0.5) ? 0 : (c.is(0.5) ? -1 : 1) * c.spread(500, 7_200_000),
    ),
    durationMs,
    faults: [
      ...kinds.map((kind) => ({
        kind,
        everyMs: Math.max(10_000, Math.round(usual * (0.3 + 2 * c.next()))),
        lastsMs: c.spread(2000, 10 * MINUTE),
      })),
      ...(sickly ? [{ kind: 'zone-sick' as const, everyMs: 8 * MINUTE, lastsMs: 5 * MINUTE }] : []),
    ],
  };
}

/** `layout` draws the paths, as `NAME:GROUP:CLOUD`; of one replica, where it is left out. */
export function drawConfig(
  c: Chance,
  providers: readonly string[],
  watchedMs: number,
  manyZones: boolean,
  layout: (c: Chance, clouds: readonly string[]) => string[] = drawPaths,
): CoreConfig {
  const clouds = ['ca', 'cb', 'cc'].slice(0, c.int(2, 3));
  const names = ['oa', 'ob', 'oc', 'od'].slice(0, c.int(2, 4));
  const origins = Object.fromEntries(
    names.map((name, i) => {
      const cloud = i < clouds.length ? clouds[i]! : c.pick(clouds);
      return [name, { cloud, region: `${cloud}-${c.int(1, 2)}` }];
    }),
  );
  const paths = layout(c, clouds);
  const extra = drawExtra(c, clouds, paths);
  const services = extra.filter((e) => e.role === 'service');
  const needs = Object.fromEntries(
    names.map((name) => {
      const own = services.filter((s) => s.cloud === origins[name]!.cloud && s.plane === 'service');
      return [name, c.is(0.5) ? own.map((s) => s.id) : []];
    }),
  );
  const watched = (names.length + services.length) * paths.length + extra.length;
  const config = coreConfig({
    origins,
    paths,
    extra,
    needs,
    providers,
    quorum: c.is(0.8)
      ? { kind: 'majority' }
      : c.pick([{ kind: 'all' }, { kind: 'share', share: 0.6 }]),
    detector: c.is(0.5)
      ? { kind: 'counters' }
      : { kind: 'sequential', falseSwitchEveryMs: 3650 * 86_400_000 },
    check: {
      intervalMs: drawInterval(c, (watchedMs * watched) / PROBES),
      timeoutMs: c.pick([500, 1000, 2000]),
      confirmMs: c.pick([250, 500]),
      fall: c.int(2, 4),
      rise: c.int(1, 3),
    },
    records: drawRecords(c, names, providers, manyZones),
  });
  const perSecond = c.pick([1, 4, 20]);
  return { ...config, confirm: { burst: c.pick([20, 100, 400]), perSecond } };
}

/** Large and long worlds look less often, so that every seed costs about the same. */
function drawInterval(c: Chance, leastMs: number): number {
  const usual = [1000, 2000, 5000, 10_000, 20_000, 30_000, 60_000];
  const fits = usual.filter((ms) => ms >= leastMs);
  return fits.length === 0 ? 60_000 : c.pick(fits.slice(0, 3));
}

/** One to three groups of one or two paths; some sit in a cloud. */
function drawPaths(c: Chance, clouds: readonly string[]): string[] {
  const groups = c.int(1, 3);
  const paths: string[] = [];
  for (let g = 1; g <= groups; g++) {
    const many = c.is(0.2) ? 2 : 1;
    const cloud = g > 1 && c.is(0.15) ? `:${c.pick(clouds)}` : '';
    for (let i = 1; i <= many; i++) paths.push(`p${g}${'ab'[i - 1]}:g${g}${cloud}`);
  }
  return paths;
}

function drawExtra(c: Chance, clouds: readonly string[], paths: readonly string[]): CheckConfig[] {
  const extra: CheckConfig[] = [];
  for (const cloud of clouds) {
    const base = { ...webCheck(cloud, cloud, null), origin: null, role: 'service' as const };
    if (c.is(0.4)) extra.push({ ...base, id: `${cloud}:store`, plane: 'service' });
    if (c.is(0.2)) extra.push({ ...base, id: `${cloud}:api`, plane: 'control' });
  }
  if (c.is(0.4)) {
    for (const path of paths.map((p) => p.split(':')[0]!)) {
      const base = { ...webCheck(path, path, null), origin: null, cloud: null };
      extra.push({ ...base, id: `@${path}:far`, role: 'reference', paths: [path] });
    }
  }
  return extra;
}

type Records = Readonly<Record<Name, Partial<CoreConfig['records'][string]>>>;

function drawRecords(
  c: Chance,
  origins: readonly string[],
  providers: readonly string[],
  manyZones: boolean,
): Records {
  const many = c.pick([1, 1, 2, 3]);
  const names = ['www', 'api', 'img'].slice(0, manyZones ? Math.max(2, many) : many);
  return Object.fromEntries(
    names.map((name) => {
      const rotate = c.int(0, origins.length - 1);
      const order = [...origins.slice(rotate), ...origins.slice(0, rotate)];
      const targets = order.slice(0, c.int(2, order.length));
      const everywhere = name === 'www' || (manyZones && name === 'api');
      const publish = everywhere ? providers : providers.slice(0, c.int(1, providers.length));
      return [
        // Two zones an account, wherever there are two records.
        name === 'api' ? 'api.edge.test.' : `${name}.gslb.test.`,
        {
          mode: c.is(0.92) ? ('steer' as const) : ('observe' as const),
          targets: targets.map((origin) => ({ origin, cname: `${origin}.shop.test.` })),
          publish: publish.map((provider) => ({ provider, ttl: c.pick([60, 60, 300]) })),
          patienceMs: c.pick([0, 0, 5000, 10_000, 30_000]),
          failback: c.is(0.5)
            ? { kind: 'manual' as const }
            : { kind: 'after' as const, ms: c.spread(10_000, 900_000) },
          switchesPerHour: c.int(1, 4),
          edits: c.pick(['hold', 'mend'] as const),
        },
      ];
    }),
  );
}
