// Checks, of origins, clouds and reference points alike: their kind's settings, their cadence, and
// the paths that can carry them. Pure; values of a kind are never quoted.

import type { CheckConfig, CheckId, PathConfig } from '../core/model.ts';
import { closest, listOf, notAmong } from '../core/name.ts';
import type { PathSpec } from '../kit/extend.ts';
import { printDuration } from '../kit/schema.ts';
import {
  type Context,
  defaults,
  type Parts,
  type Policy,
  type ProbeConfig,
  wantPackage,
} from './context.ts';
import { cadenceFields } from './fields.ts';
import { entriesOf, pick } from './maps.ts';
import { groupsOf, type ReadPath } from './paths.ts';
import { isPackage, rowOf, unread } from './tables.ts';
import {
  type MapTree,
  type Path,
  plainOf,
  readFields,
  readPlain,
  show,
  type Tree,
} from './text.ts';

/**
 * Groups the paths, and reads their reference points: a path's own, or else those of the policy.
 * With none at all nothing else is contacted: the origins of other clouds serve as such.
 */
export function readReferences(
  context: Context,
  root: MapTree,
  policy: Policy,
  paths: readonly ReadPath[],
  parts: Parts,
): Record<string, PathConfig> {
  const groupOf = groupsOf(context, root, paths);
  const specs = paths.map((path) => path.spec);
  const policyTree = root.entries.get('policy')?.tree;
  const common = readPoints(context, ['policy'], policyTree, policy, specs) ?? [];
  const places: Record<string, PathConfig> = {};
  const points = new Map<Path, ReturnType<typeof readPoints>>();
  for (const { spec, given, tree, at, replica } of paths) {
    // What every replica walks is read once.
    const own = points.has(at) ? points.get(at)! : readPoints(context, at, tree, policy, spec);
    points.set(at, own);
    const references: CheckId[] = [];
    for (const { name, by, cadence, probe } of own ?? common) {
      if (own === null ? !by.includes(spec) : by.length === 0) continue;
      const id = `@${spec.name}:${name}`;
      references.push(id);
      parts.checks[id] = {
        ...{ id, role: 'reference', origin: null, cloud: null, plane: null, region: null },
        ...{ paths: [spec.name], advisory: false, ...cadence },
      };
      parts.probes[id] = probe;
    }
    const group = groupOf.get(spec.name)!;
    const whose = replica === null || context.named === 'all' ? {} : { replica };
    const { name } = spec;
    places[name] = { name, ...whose, group, cloud: given.cloud ?? null, references };
  }
  return places;
}

/** The reference points that stand at a place, for one path or for all; null: none stand there. */
function readPoints(
  context: Context,
  at: Path,
  parent: Tree | undefined,
  policy: Policy,
  paths: PathSpec | readonly PathSpec[],
) {
  const tree = parent?.kind === 'map' ? parent.entries.get('references')?.tree : undefined;
  if (tree === undefined) return null;
  const isNamed = !Array.isArray(paths);
  // `references: {}` at a path says that those of the policy are not for it.
  if (isNamed && tree.kind === 'map' && tree.entries.size === 0) return [];
  const where = [...at, 'references'];
  const entries = entriesOf(context, where, parent, 'reference point');
  if (entries.length === 1) {
    const message = 'one reference point alone: while it is down, the path counts as blind';
    context.source.warning(where, `${message}; name a second one`);
  }
  return entries.map(([name, below, here]) => {
    const { cadence, probe } = readCheck(context, here, below, policy, []);
    if (isAside(context, probe)) {
      const message = `a ${probe.kind} check shows nothing of what a path can see`;
      context.source.problem(here, `${message}: ask something there by http, tcp or dns`, 'key');
    }
    const by = fitting(context, here, probe, [paths].flat(), isNamed);
    return { name, by, cadence, probe };
  });
}

/**
 * The paths named at a place, or all; in the order of the configuration. In a group a path's own name
 * alone means that of every replica that has one.
 */
export function namedPaths(
  { source }: Context,
  at: Path,
  names: readonly string[] | undefined,
  paths: readonly ReadPath[],
): readonly PathSpec[] {
  const all = paths.map((path) => path.spec);
  if (names === undefined) return all;
  const words = paths.filter((path) => path.replica !== null).map((path) => path.word);
  const known = [...new Set([...words, ...all.map((spec) => spec.name)])];
  for (const [i, name] of names.entries()) {
    if (!known.includes(name)) source.problem([...at, i], notAmong('path', name, known));
    else if (names.indexOf(name) < i) {
      source.problem([...at, i], `${show(name)} stands twice: keep one`);
    }
  }
  const isNamed = ({ spec, word }: ReadPath) => names.includes(spec.name) || names.includes(word);
  return paths.filter(isNamed).map((path) => path.spec);
}

/**
 * The paths that can carry a check. One that cannot is refused where paths were named, or where
 * none is left; else it is left out with a warning, and so has no vote.
 */
export function fitting(
  { source, tables }: Context,
  at: Path,
  { kind, settings }: ProbeConfig,
  paths: readonly PathSpec[],
  isNamed: boolean,
): readonly PathSpec[] {
  const { pathProblem } = tables;
  if (kind === '' || pathProblem === undefined) return paths;
  const problems = new Map<PathSpec, string>();
  for (const path of paths) {
    const problem = pathProblem(kind, path, settings ?? undefined);
    if (problem !== null) problems.set(path, problem);
  }
  const isRefused = isNamed || problems.size === paths.length;
  // What every replica walks is told of once.
  const told = new Map<string, { name: string; why: string }>();
  for (const [{ name }, why] of problems) {
    const word = name.slice(name.indexOf('/') + 1);
    const key = JSON.stringify([word, why]);
    told.set(key, { name: told.has(key) ? word : name, why });
  }
  for (const { name, why } of told.values()) {
    if (isRefused) source.problem(at, `cannot be asked by the path ${name}: ${why}`, 'key');
    else source.warning(at, `is not asked by the path ${name}: ${why}`);
  }
  return paths.filter((path) => !problems.has(path));
}

const cadenceKeys = Object.keys(cadenceFields);

type Cadence = Pick<CheckConfig, 'intervalMs' | 'timeoutMs' | 'confirmMs' | 'fall' | 'rise'>;

/**
 * One check: its kind's own settings beside its cadence and `others`, keys that the caller reads.
 * Values of the kind are not quoted.
 */
export function readCheck(
  context: Context,
  path: Path,
  tree: Tree,
  policy: Policy,
  others: readonly string[],
): { readonly cadence: Cadence; readonly probe: ProbeConfig } {
  const { source, tables } = context;
  const mine = [...cadenceKeys, ...others];
  const given = readFields(source, path, pick(tree, cadenceKeys), cadenceFields);
  checkCadence(context, path, tree, given, policy);
  const rest = pick(tree, mine, false);
  const keys = [...rest.entries.keys()];
  const found = keys.filter((key) => Object.hasOwn(tables.checks, key) || isPackage(key));
  const kind = found.length === 1 ? found[0]! : '';
  if (isPackage(kind)) wantPackage(context, 'check', kind, [...path, kind], 'key');
  let settings: unknown = null;
  if (kind !== '') {
    const schema = rowOf(tables.checks, kind)?.settings ?? unread(kind);
    settings = readPlain(source, path, plainOf(rest), schema, 'kind', mine);
  } else {
    const known = Object.keys(tables.checks);
    const close = keys.map((key) => [key, closest(key, known)]).find(([, word]) => word !== null);
    const hint = close && found.length === 0 ? `; did you mean ${close[1]} by ${close[0]}?` : '';
    const got = found.length === 0 ? 'none' : listOf(found);
    const message = `expected one kind of check, ${listOf(known, 'or')}, got ${got}${hint}`;
    source.problem(path, message, 'key');
  }
  const intervalMs = given.interval ?? policy.interval ?? defaults.intervalMs;
  const timeoutMs = given.timeout ?? policy.timeout ?? defaults.timeoutMs;
  const cadence = {
    intervalMs,
    timeoutMs,
    confirmMs: given.confirm ?? policy.confirm ?? Math.min(defaults.confirmMs, intervalMs),
    fall: given.fall ?? policy.fall ?? defaults.fall,
    rise: given.rise ?? policy.rise ?? defaults.rise,
  };
  const probe = { kind, settings, timeoutMs };
  context.asked.set(probe, plainOf(rest));
  noteName(context, path, probe);
  return { cadence, probe };
}

/** Whether somebody else than the origin is asked. */
export function isAside({ tables }: Context, { kind }: ProbeConfig): boolean {
  return rowOf(tables.checks, kind)?.aside === true;
}

/** A name that others push to is one check's: else who speaks of what would be a guess. */
function noteName({ source, tables, pushed }: Context, at: Path, probe: ProbeConfig): void {
  const row = rowOf(tables.checks, probe.kind);
  if (row?.pushedAs === undefined || probe.settings == null) return;
  const name = row.pushedAs(probe.settings);
  const other = pushed.get(name);
  if (other === undefined) pushed.set(name, at);
  else {
    const message = `${show(name)} is pushed to ${other.join('.')} already: give it another name`;
    source.problem([...at, probe.kind], message);
  }
}

/** The durations of a cadence against each other, told at the place that sets one of them. */
export function checkCadence(
  { source }: Context,
  path: Path,
  tree: Tree,
  given: Pick<Policy, 'interval' | 'timeout' | 'confirm'>,
  above: Pick<Policy, 'interval' | 'timeout' | 'confirm'>,
): void {
  const keys = (['timeout', 'confirm', 'interval'] as const).filter((k) => given[k] !== undefined);
  if (tree.kind !== 'map' || keys.length === 0) return;
  const interval = given.interval ?? above.interval ?? defaults.intervalMs;
  const timeout = given.timeout ?? above.timeout ?? defaults.timeoutMs;
  const confirm = given.confirm ?? above.confirm ?? 0;
  const at = (key: 'timeout' | 'confirm') => [...path, keys.includes(key) ? key : 'interval'];
  if (timeout > 3 * interval && (keys.includes('timeout') || keys.includes('interval'))) {
    const message = `a timeout of ${printDuration(timeout)} is more than three intervals`;
    const cure = `make it at most ${printDuration(3 * interval)} or lengthen the interval`;
    source.problem(at('timeout'), `${message} of ${printDuration(interval)}: ${cure}`);
  }
  if (confirm > interval && (keys.includes('confirm') || keys.includes('interval'))) {
    const message = `to confirm every ${printDuration(confirm)} is slower than the interval`;
    const cure = `make it at most ${printDuration(interval)}`;
    source.problem(at('confirm'), `${message} of ${printDuration(interval)}: ${cure}`);
  }
}
