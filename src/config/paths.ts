// The ways out to the origins: how each leaves, what it shares with others, and so which of them
// are one vote. In a group every replica has its own, and those at the top of the text are walked by
// all of them: one way out each, whoever walks it. It must never let two ways count as independent
// that the text says share something.

import { z } from 'zod';
import { listOf } from '../core/name.ts';
import type { PathSpec } from '../kit/extend.ts';
import { fields } from './fields.ts';
import type { ReadReplica } from './group.ts';
import { emptyMap, entriesOf, pick } from './maps.ts';
import { rowOf } from './tables.ts';
import {
  type MapTree,
  type Path,
  plainOf,
  type Read,
  readFields,
  readPlain,
  type Source,
  show,
  type Tree,
} from './text.ts';
import { groupPaths, type Tie } from './votes.ts';

export interface ReadPath {
  /** In a group its name is `REPLICA/PATH`. */
  readonly spec: PathSpec;
  /** As it stands in the text. */
  readonly word: string;
  /** Whose it is; null: alone. */
  readonly replica: string | null;
  /** Walked by every replica. */
  readonly isCommon: boolean;
  /** A common one that was read, and told of, with an earlier replica. */
  readonly isTwin: boolean;
  /** What it shares, with what it has of its replica. */
  readonly given: Read<typeof fields.path>;
  readonly tree: MapTree;
  readonly at: Path;
}

/** Every way out of this daemon or, in a group, of all its replicas. */
export function readPaths(
  context: Reading,
  root: MapTree,
  replicas: readonly ReadReplica[],
): readonly ReadPath[] {
  const lone = { replica: null, isCommon: false, isTwin: false };
  if (!root.entries.has('paths') && replicas.length === 0) {
    return [{ ...lone, spec: straight('direct'), word: 'direct', ...bare([]) }];
  }
  const top = root.entries.has('paths') ? readAll(context, ['paths'], root, 'path') : [];
  if (replicas.length === 0) return top.map((path) => ({ ...path, ...lone }));
  for (const { spec, at } of top) refuseStraight(context, spec, at);
  return replicas.flatMap((replica, i) => {
    const own = readOwn(context, replica, top).map((path) => ({
      ...{ ...path, given: inherited(path, replica), isCommon: false, isTwin: false },
    }));
    const common = top.map((path) => ({ ...path, isCommon: true, isTwin: i > 0 }));
    return [...own, ...common].map((path) => ({
      ...{ ...path, replica: replica.name },
      spec: { ...path.spec, name: `${replica.name}/${path.word}` },
    }));
  });
}

interface Reading {
  readonly source: Source;
}

type Plain = Pick<ReadPath, 'spec' | 'word' | 'given' | 'tree' | 'at'>;

const straight = (name: string): PathSpec => ({
  ...{ name, kind: 'direct', localAddress: null, resolver: null },
});

const bare = (at: Path) => ({ given: {}, tree: emptyMap, at });

function readAll(context: Reading, where: Path, parent: Tree, what: string): readonly Plain[] {
  return entriesOf(context, where, parent, what).map(([name, below, at]) => {
    // Written as `office:` with nothing behind it.
    const isEmpty = below.kind === 'scalar' && below.value === null;
    const tree = isEmpty ? emptyMap : below;
    const others = [...Object.keys(fields.exit), 'references'];
    const given = readFields(context.source, at, tree, fields.path, others);
    const map = tree.kind === 'map' ? tree : emptyMap;
    return { spec: readExit(context, at, map, name, given), word: name, given, tree: map, at };
  });
}

/** A replica's own ways out: those that it names, or the machine's route and nothing else. */
function readOwn(
  context: Reading,
  { name, tree, at }: ReadReplica,
  top: readonly Plain[],
): readonly Plain[] {
  const own: readonly Plain[] = tree.entries.has('paths')
    ? readAll(context, [...at, 'paths'], tree, 'path')
    : [{ spec: straight('direct'), word: 'direct', ...bare(at) }];
  for (const { word, at: place } of own) {
    if (!top.some((path) => path.word === word)) continue;
    const message = `${word} stands under paths, too, where every replica walks it`;
    context.source.problem(place, `${message}: give the one of ${name} another name`, 'key');
  }
  return own;
}

/**
 * A way out that every machine has for itself is no one way out: as one it would let a single replica
 * speak for all of them, and beside their own it would count twice.
 */
function refuseStraight({ source }: Reading, spec: PathSpec, at: Path): void {
  if (spec.kind !== 'direct') return;
  const message = "leaves by each replica's own route, and so is another way out at each of them";
  const cure = 'put it under replicas.NAME.paths; here stand proxies and blackbox_exporters';
  source.problem(at, `${message}: ${cure}`, 'key');
}

/** What leaves from the replica's own machine shares what that shares, unless it says otherwise. */
function inherited({ spec, given }: Plain, { given: own }: ReadReplica): ReadPath['given'] {
  if (spec.kind !== 'direct') return given;
  const { site = own.site, uplink = own.uplink, cloud = own.cloud } = given;
  return { ...given, site, uplink, cloud };
}
/** How a path leaves: by this machine's own route, from an address, by a proxy, or not at all. */
function readExit(
  { source }: Reading,
  at: Path,
  tree: MapTree,
  name: string,
  place: Read<typeof fields.path>,
): PathSpec {
  const given = pick(tree, Object.keys(fields.exit));
  // Read as a whole, because below a setting even a key may be a secret in the wrong place.
  const exit = readPlain(source, at, plainOf(given), z.strictObject(fields.exit), 'kind', []);
  const { proxy, blackbox, credentials, ca } = exit ?? {};
  const ways = ['localAddress', 'proxy', 'blackbox'].filter((key) => tree.entries.has(key));
  if (ways.length > 1) {
    const message = `${listOf(ways)} are different ways out: keep one of them`;
    source.problem([...at, ways[1]!], message, 'key');
  }
  const belongs = (key: string, ...to: readonly string[]) => {
    if (!tree.entries.has(key) || to.some((one) => tree.entries.has(one))) return;
    const one = listOf(to, 'or');
    source.problem([...at, key], `belongs to a ${one}: add ${one} or leave it out`, 'key');
  };
  belongs('credentials', 'proxy', 'blackbox');
  belongs('ca', 'proxy', 'blackbox');
  belongs('module', 'blackbox');
  const scheme = URL.parse(proxy?.url ?? blackbox ?? '')?.protocol;
  if (ca !== undefined && scheme !== undefined && scheme !== 'https:') {
    const message = `${scheme.slice(0, -1)} has no TLS of its own: write https or leave it out`;
    source.problem([...at, 'ca'], message, 'key');
  }
  if (tree.entries.has('blackbox') && tree.entries.has('resolver')) {
    const message = 'a blackbox_exporter resolves names by itself: leave it out';
    source.problem([...at, 'resolver'], message, 'key');
  }
  const { localAddress = null, module = 'http_2xx' } = place;
  const resolver = blackbox === undefined ? (place.resolver ?? null) : null;
  const trust = ca === undefined ? {} : { ca };
  if (proxy !== undefined) {
    return { name, resolver, ...proxy, credentials: credentials ?? null, ...trust };
  }
  if (blackbox === undefined) return { name, resolver, kind: 'direct', localAddress };
  const { hostname, protocol } = new URL(blackbox);
  if (protocol === 'http:' && !/^127\.|^\[::1\]$|^localhost$/.test(hostname)) {
    if (credentials !== undefined) {
      const message = 'http would show the credentials to everybody on the way: use https';
      source.problem([...at, 'blackbox'], message);
    }
    const message = 'what it saw comes back in the clear, where anybody on the way may forge it';
    source.warning([...at, 'blackbox'], `${message}: use https`);
  }
  const shown = credentials === undefined ? {} : { credentials };
  return { name, resolver, kind: 'blackbox', url: blackbox, module, ...shown, ...trust };
}

/**
 * Which paths are one vote: by each path's name the name of its group. Says why, where the text does
 * not say so itself, and whether there is only one.
 */
export function groupsOf(
  { source }: Reading,
  root: MapTree,
  paths: readonly ReadPath[],
): ReadonlyMap<string, string> {
  const { groupOf, ties } = groupPaths(
    paths.map((path) => ({
      name: path.spec.name,
      label: path.isCommon ? path.word : path.spec.name,
      domains: domainsOf(path),
    })),
  );
  const byName = new Map(paths.map((path) => [path.spec.name, path]));
  const groups = new Map<string, Tie[]>();
  for (const tie of ties) {
    const [first, second] = tie.paths.map((name) => byName.get(name)!.at);
    if (first === second) continue;
    const group = groupOf.get(tie.paths[0])!;
    groups.set(group, [...(groups.get(group) ?? []), tie]);
  }
  for (const [group, joined] of groups) {
    const members = paths.filter((p) => groupOf.get(p.spec.name) === group);
    const why = listOf(joined.map(printTie));
    source.warning(members[1]!.at, `${why}: they are one group, ${shorten(group)}, and one vote`);
  }
  if (new Set(groupOf.values()).size === 1) {
    const alone = paths.length === 1 ? 'one path' : 'one group of paths';
    const message = `${alone} alone decides: what is lost on the way looks like an outage`;
    const cure = 'a second, independent one would have to agree';
    const at = ['replicas', 'paths'].find((key) => root.entries.has(key));
    source.warning(at === undefined ? [] : [at], `${message}; ${cure}`);
  }
  return groupOf;
}

const routeOf = 'exit direct of ';

/** What a path may share with others; the same way out is shared, too, whatever is said of it. */
function domainsOf({ spec, given, replica }: ReadPath): [domain: string, value: string][] {
  const said = Object.entries({
    site: given.site,
    uplink: given.uplink,
    cloud: given.cloud,
    ...given.labels,
  }).flatMap(([key, value]): [string, string][] => (value === undefined ? [] : [[key, value]]));
  if (spec.kind !== 'direct') return [...said, [`exit ${spec.kind}`, spec.url]];
  const exit = replica === null ? 'exit direct' : `${routeOf}${replica}`;
  return [...said, [exit, spec.localAddress ?? '']];
}

/** `a and b share site office`; the ways out are not quoted. */
function printTie({ paths: [first, second], domain, value }: Tie): string {
  const machine = domain.startsWith(routeOf) ? domain.slice(routeOf.length) : 'this machine';
  const ways: Readonly<Record<string, string>> = {
    'exit direct': value === '' ? `${machine}'s own route` : `the address ${value}`,
    'exit proxy': 'the same proxy',
    'exit socks5': 'the same proxy',
    'exit blackbox': 'the same blackbox_exporter',
  };
  const way = rowOf(ways, domain.startsWith(routeOf) ? 'exit direct' : domain);
  const and = `${first} and ${second}`;
  const plain = /^[\w .:-]+$/.test(value) ? value : show(value);
  return way === undefined ? `${and} share ${domain} ${plain}` : `${and} leave by ${way}`;
}

export function shorten(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}
