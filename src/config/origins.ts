// Clouds and origins, with their checks and needs. Pure; what is lawful but unwise is a warning.

import type { CheckConfig, CheckId, CloudConfig, OriginConfig } from '../core/model.ts';
import { closest, notAmong } from '../core/name.ts';
import { fitting, isAside, namedPaths, readCheck } from './checks.ts';
import type { Context, Parts, Policy } from './context.ts';
import { fields } from './fields.ts';
import type { ReadReplica } from './group.ts';
import { holdOf } from './holds.ts';
import { entriesOf, pick } from './maps.ts';
import type { ReadPath } from './paths.ts';
import { rowOf } from './tables.ts';
import { type MapTree, type Path, plainOf, readFields, show } from './text.ts';
import type { Window } from './windows.ts';

interface ReadClouds {
  /** Those that stand under `clouds`; null when the origins alone name them. */
  readonly declared: ReadonlyMap<string, CloudConfig> | null;
}

export function readClouds(
  context: Context,
  root: MapTree,
  policy: Policy,
  paths: readonly ReadPath[],
  parts: Parts,
): ReadClouds {
  const { source } = context;
  if (!root.entries.has('clouds')) return { declared: null };
  const declared = new Map<string, CloudConfig>();
  for (const [cloud, tree, path] of entriesOf(context, ['clouds'], root, 'cloud')) {
    const checks: CheckId[] = [];
    declared.set(cloud, { name: cloud, checks });
    const isEmpty = plainOf(tree) === null || (tree.kind === 'map' && tree.entries.size === 0);
    if (isEmpty) continue;
    readFields(source, path, tree, {}, ['checks']);
    if (tree.kind !== 'map' || !tree.entries.has('checks')) continue;
    for (const [word, below, at] of entriesOf(context, [...path, 'checks'], tree, 'check')) {
      const id = `${cloud}:${word}`;
      const keys = Object.keys(fields.service);
      const { cadence, probe } = readCheck(context, at, below, policy, keys);
      const given = readFields(source, at, pick(below, keys), fields.service);
      const named = namedPaths(context, [...at, 'paths'], given.paths, paths);
      const by = fitting(context, at, probe, named, given.paths !== undefined);
      checks.push(id);
      parts.checks[id] = {
        ...{ id, role: 'service', origin: null, cloud, plane: given.plane ?? 'resource' },
        ...{ region: given.region ?? null, paths: by.map((p) => p.name), advisory: false },
        ...cadence,
        ...(isAside(context, probe) ? { aside: true as const } : {}),
        // Somebody else's service, which many ask: only where it is wished.
        ...holdOf(context, at, probe, given.hold, false),
      };
      parts.probes[id] = probe;
    }
  }
  return { declared };
}

/** Every cloud there is: those with an entry of their own, and those that origins name. */
export function cloudsOf(
  { declared }: ReadClouds,
  origins: ReadonlyMap<string, ReadOrigin>,
): Record<string, CloudConfig> {
  const clouds = new Map(declared ?? []);
  for (const { config } of origins.values()) {
    const name = config.cloud;
    if (!clouds.has(name)) clouds.set(name, { name, checks: [] });
  }
  return Object.fromEntries(clouds);
}

/** A cloud that nobody has named is taken for a new one, unless it looks like one that is known. */
function checkCloud({ source }: Context, at: Path, cloud: string, known: readonly string[]): void {
  if (cloud === '' || known.includes(cloud) || closest(cloud, known) === null) return;
  const cure = `if it is another one, name it under clouds as well: ${cloud}: {}`;
  source.problem(at, `${notAmong('cloud', cloud, known)}; ${cure}`);
}

export function checkCloudsOfPaths(
  context: Context,
  replicas: readonly ReadReplica[],
  paths: readonly ReadPath[],
  clouds: ReadClouds,
  origins: ReadonlyMap<string, ReadOrigin>,
): void {
  const known = Object.keys(cloudsOf(clouds, origins));
  const check = (at: Path, cloud = '') => checkCloud(context, [...at, 'cloud'], cloud, known);
  for (const { given, at } of replicas) check(at, given.cloud);
  for (const { given, at, tree, isTwin } of paths) {
    if (tree.entries.has('cloud') && !isTwin) check(at, given.cloud);
  }
}

export interface ReadOrigin {
  readonly config: OriginConfig;
  readonly path: Path;
  /** Its quorum is its own, not that of the policy. */
  readonly hasQuorum: boolean;
  readonly maintenance: readonly Window[];
}

export function readOrigins(
  context: Context,
  root: MapTree,
  policy: Policy,
  clouds: ReadClouds,
  paths: readonly ReadPath[],
  parts: Parts,
): ReadonlyMap<string, ReadOrigin> {
  const { source } = context;
  const origins = new Map<string, ReadOrigin>();
  const declared = clouds.declared === null ? null : [...clouds.declared.keys()];
  for (const [name, tree, path] of entriesOf(context, ['origins'], root, 'origin')) {
    const given = readFields(source, path, tree, fields.origin, ['checks']);
    const { cloud = '', region = null } = given;
    if (declared !== null) checkCloud(context, [...path, 'cloud'], cloud, declared);
    const config = {
      ...{ name, cloud, region, checks: [] as CheckId[] },
      needs: readNeeds(context, [...path, 'needs'], given.needs ?? [], cloud, clouds, parts),
      quorum: given.quorum ?? policy.quorum ?? ({ kind: 'majority' } as const),
      ...rateOf(given, policy),
    };
    const { maintenance = [] } = given;
    origins.set(name, { config, path, hasQuorum: given.quorum !== undefined, maintenance });
    if (tree.kind !== 'map') continue;
    const usual = namedPaths(context, [...path, 'paths'], given.paths, paths);
    const isNamed = given.paths !== undefined;
    for (const [word, below, at] of entriesOf(context, [...path, 'checks'], tree, 'check')) {
      const id = `${name}/${word}`;
      const keys = Object.keys(fields.check);
      const { cadence, probe } = readCheck(context, at, below, policy, keys);
      const own = readFields(source, at, pick(below, keys), fields.check);
      const named =
        own.paths === undefined ? usual : namedPaths(context, [...at, 'paths'], own.paths, paths);
      const by = fitting(context, at, probe, named, isNamed || own.paths !== undefined);
      config.checks.push(id);
      parts.checks[id] = {
        ...{ id, role: 'origin', origin: name, cloud, plane: null, region },
        ...{ paths: by.map((p) => p.name), advisory: own.advisory ?? false, ...cadence },
        ...(isAside(context, probe) ? { aside: true as const } : {}),
        ...holdOf(context, at, probe, own.hold, own.advisory ? false : policy.hold),
      };
      parts.probes[id] = probe;
    }
    warnOfRate(context, given.rate === undefined ? ['policy', 'rate'] : [...path, 'rate'], {
      ...{ config, checks: config.checks.map((id) => parts.checks[id]!) },
    });
    if (config.checks.length > 0 && config.checks.every((id) => parts.checks[id]!.advisory)) {
      const message = 'all checks are advisory, so nothing says whether this origin is up';
      source.problem([...path, 'checks'], `${message}: leave advisory out of one`);
    }
  }
  return origins;
}

function rateOf(given: { rate?: number | undefined }, policy: Policy): { readonly rate?: number } {
  const rate = given.rate ?? policy.rate;
  return rate === undefined ? {} : { rate };
}

/** A rate that its clocks alone would exceed slows them down, and with them all that is seen. */
function warnOfRate(
  { source }: Context,
  at: Path,
  of: { readonly config: OriginConfig; readonly checks: readonly CheckConfig[] },
): void {
  const { name, rate } = of.config;
  const plain = of.checks.reduce((sum, c) => sum + (1000 / c.intervalMs) * c.paths.length, 0);
  if (rate === undefined || rate > plain) return;
  const asked = `${name} is asked ${Number(plain.toPrecision(2))} times a second by its intervals`;
  const cure = 'raise it, or lengthen the intervals';
  source.warning(
    at,
    `${asked}, and ${rate} leave its checks slower and no room for doubt: ${cure}`,
  );
}

/** The cloud checks that an origin needs: `oss` of its own cloud, `east:oss` of another one. */
function readNeeds(
  { source }: Context,
  path: Path,
  given: readonly string[],
  cloud: string,
  { declared }: ReadClouds,
  parts: Parts,
): readonly CheckId[] {
  const short = (id: CheckId) => (id.startsWith(`${cloud}:`) ? id.slice(cloud.length + 1) : id);
  const needs: CheckId[] = [];
  for (const [i, word] of given.entries()) {
    const at = [...path, i];
    const id = word.includes(':') ? word : `${cloud}:${word}`;
    if (rowOf(parts.checks, id)?.role !== 'service') {
      const all = [...(declared ?? new Map<string, CloudConfig>()).values()].flatMap(
        (one) => one.checks,
      );
      const cure = `; checks of clouds stand under clouds.${cloud || 'NAME'}.checks`;
      source.problem(at, `${notAmong('check of a cloud', word, all.map(short))}${cure}`);
    } else if (needs.includes(id)) {
      source.problem(at, `${show(word)} stands twice: keep one`);
    } else {
      needs.push(id);
      if (parts.checks[id]!.plane !== 'control') continue;
      const message = `${id} is about the cloud's API: when it fails alone, what runs keeps running`;
      source.warning(at, `${message}, and this would move off it all the same`);
    }
  }
  return needs;
}

/** Windows of maintenance, of those origins that have any. */
export function windowsOf(origins: ReadonlyMap<string, ReadOrigin>) {
  const some = [...origins].filter(([, { maintenance }]) => maintenance.length > 0);
  return Object.fromEntries(some.map(([name, { maintenance }]) => [name, maintenance]));
}
