// What a seed's group is made of: how many replicas, over which paths each looks, how far they and
// the engine's members are apart, how well their clocks go, and which faults strike how often (swarm
// testing, as in draw.ts). Draws only; builds and runs nothing.

import { hashed } from '../../src/config/hash.ts';
import type { CoreConfig } from '../../src/core/model.ts';
import type { Chance } from './chance.ts';
import { drawConfig } from './draw.ts';
import { type GroupFaultName, groupFaults, ofClocks } from './group-faults.ts';
import { type Strength, strengths } from './vendors.ts';

export const MEMBERS = ['e1', 'e2', 'e3'] as const;

export interface GroupPlan {
  /** Of nobody: `ofReplica` makes each one's own. */
  readonly config: CoreConfig;
  readonly key: string;
  readonly stolen: string;
  readonly vendors: Readonly<Record<string, Strength>>;
  readonly replicas: readonly string[];
  readonly ttlMs: number;
  readonly wallOffMs: readonly number[];
  /** Of the clocks that notice suspension, against true time. */
  readonly speed: readonly number[];
  readonly durationMs: number;
  /** One way between a replica and a member, one round among members, one way between replicas. */
  readonly wayMs: readonly [number, number];
  readonly commitMs: readonly [number, number];
  readonly eyesMs: readonly [number, number];
  readonly faults: readonly {
    readonly kind: GroupFaultName;
    readonly everyMs: number;
    readonly lastsMs: number;
  }[];
}

const MINUTE = 60_000;

export function drawGroup(c: Chance): GroupPlan {
  const durationMs = Math.round(5 * MINUTE * 8 ** (c.next() * c.next()));
  const providers = ['va', 'vb', 'vc'].slice(0, c.int(1, 3));
  const count = c.pick([3, 3, 3, 3, 3, 3, 2, 5]);
  const replicas = Array.from({ length: count }, (_, i) => `n${i + 1}`);
  const all = Object.keys(groupFaults) as GroupFaultName[];
  const chosen = c.some(all, c.pick([0.08, 0.15, 0.3]));
  // Half of all worlds have clocks that agree, so that what ends too early shows.
  const isTimely = c.is(0.5);
  const kinds = isTimely ? chosen.filter((kind) => !ofClocks.has(kind)) : chosen;
  const usual = c.spread(20_000, 5 * MINUTE);
  const apart = c.pick([2, 10, 40, 120]);
  const layout = (c: Chance, clouds: readonly string[]) => drawLayout(c, replicas, clouds);
  const config = drawConfig(c, providers, durationMs, false, layout);
  const paths = Object.values(config.paths).map((path) => {
    return [path.name, { ...path, replica: path.name.split('/')[0]! }] as const;
  });
  return {
    config: { ...config, signed: true, paths: Object.fromEntries(paths) },
    key: 'the-key-of-the-simulated-cluster',
    stolen: c.pick(providers),
    vendors: Object.fromEntries(providers.map((p) => [p, c.pick(strengths)])),
    replicas,
    ttlMs: c.pick([3000, 5000, 5000, 10_000]),
    wallOffMs: replicas.map(() => {
      return isTimely || c.is(0.5) ? 0 : (c.is(0.5) ? -1 : 1) * c.spread(500, 7_200_000);
    }),
    speed: replicas.map(() => (isTimely ? 1 : 1 + 0.02 * (2 * c.next() - 1))),
    durationMs,
    wayMs: [1, apart],
    commitMs: [1, apart + c.int(1, 20)],
    eyesMs: [1, c.pick([5, 40, 200])],
    faults: kinds.map((kind) => ({
      kind,
      everyMs: Math.max(10_000, Math.round(usual * (0.3 + 2 * c.next()))),
      lastsMs: c.spread(1000, 3 * MINUTE),
    })),
  };
}

/** One or two paths a replica; sometimes two replicas share what their probes leave by. */
function drawLayout(c: Chance, replicas: readonly string[], clouds: readonly string[]): string[] {
  const isShared = c.is(0.15);
  return replicas.flatMap((name, i) => {
    const group = isShared && i === 1 ? 'g1' : `g${i + 1}`;
    const cloud = i > 0 && c.is(0.15) ? `:${c.pick(clouds)}` : '';
    const own = [`${name}/p1:${group}${cloud}`];
    if (c.is(0.2)) own.push(`${name}/p2:${c.is(0.5) ? group : `${group}b`}${cloud}`);
    return own;
  });
}

const made = new WeakMap<CoreConfig, Map<string, CoreConfig>>();

/** A configuration as one replica reads it: the same for the same. */
export function ofReplica(
  config: CoreConfig,
  self: string,
  replicas: readonly string[],
): CoreConfig {
  const known = made.get(config) ?? new Map<string, CoreConfig>();
  made.set(config, known);
  const own =
    known.get(self) ??
    hashed({ core: { ...config, group: { self, replicas } }, plain: config, asked: () => null });
  known.set(self, own);
  return own;
}
