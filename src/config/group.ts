// Several replicas that share eyes and hands: which one this is, where the others are, and what
// engine elects the one who acts (design, sections 6 and 7). One text serves all of them. It reads
// and refuses; what is lawful but unwise is a warning. It must never guess which replica this is:
// two that take themselves for the same one would tell each other's votes.

import { z } from 'zod';
import { listOf, notAmong } from '../core/name.ts';
import { type HostPort, parseHostPort, type SecretRef } from '../kit/schema.ts';
import { fields } from './fields.ts';
import { emptyMap, entriesOf } from './maps.ts';
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

/** PEM files, by their paths, the same on each machine. */
interface TlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** What a group of replicas is built from. */
export interface GroupConfig {
  /** This replica. */
  readonly self: string;
  /** All of them, this one too, in the order of the text: where the others reach each. */
  readonly replicas: Readonly<Record<string, HostPort>>;
  /** Where this one listens for the others; no host: on all interfaces. */
  readonly listen: { readonly host: string | null; readonly port: number };
  /** Between replicas; null: what they tell is signed with the cluster key. */
  readonly tls: TlsFiles | null;
  readonly engine: EtcdConfig | KubernetesConfig;
}

interface EtcdConfig {
  readonly kind: 'etcd';
  /** At least one, each once: `https://HOST:PORT`, lower-case; http on this machine only. */
  readonly endpoints: readonly string[];
  /** PEM files; null: the well-known authorities, and no certificate of ours. */
  readonly ca: string | null;
  readonly identity: { readonly cert: string; readonly key: string } | null;
  readonly user: { readonly name: string; readonly password: SecretRef } | null;
  /** What all keys begin with; ends with a slash. */
  readonly prefix: string;
  /** Of the lease: whole seconds, 2 to 60. */
  readonly ttlMs: number;
}

interface KubernetesConfig {
  readonly kind: 'kubernetes';
  /** null: the pod's own. */
  readonly namespace: string | null;
  readonly lease: string;
  readonly documents: { readonly kind: 'secret' | 'configMap'; readonly name: string };
  /** Of the lease: whole seconds, 2 to 60. */
  readonly ttlMs: number;
}

/** Which replica this is, as the command line or the environment says; it goes before the text. */
export interface Named {
  readonly name: string;
  /** Who says so: `--replica`, `DETOUR_REPLICA`. */
  readonly by: string;
}

/** One of `replicas`, as it stands in the text. */
export interface ReadReplica {
  readonly name: string;
  readonly given: Read<typeof fields.replica>;
  readonly tree: MapTree;
  readonly at: Path;
}

interface ReadGroup {
  /** In the order of the text; none: alone. */
  readonly replicas: readonly ReadReplica[];
  /** null: alone, or something is wrong that has been noted. */
  readonly group: GroupConfig | null;
}

const alone: ReadGroup = { replicas: [], group: null };

interface Top {
  readonly cluster?: string | undefined;
  readonly replica?: string | undefined;
}

/** Who the replicas are and what elects among them; a text without any is for one daemon. */
export function readGroup(
  source: Source,
  root: MapTree,
  top: Top,
  given: Named | 'all' | null,
): ReadGroup {
  const named = given === 'all' ? null : given;
  const word = named ?? (top.replica === undefined ? null : { name: top.replica, by: 'replica' });
  const has = (key: string) => root.entries.has(key);
  const at = named === null ? ['replica'] : [];
  if (!has('replicas') && !has('group')) {
    if (word === null) return alone;
    const cure = 'leave it out, or say under replicas who they are';
    source.problem(at, `${word.by} says ${show(word.name)}, and there are no replicas: ${cure}`);
    return alone;
  }
  if (!has('group')) {
    const message = 'several replicas need what elects the one who acts: add group: { etcd: … }';
    source.problem(['replicas'], message, 'key');
  }
  if (has('group') && !has('clusterKey')) {
    const message =
      'needs a clusterKey: it signs what replicas tell each other and what they store';
    source.problem(['group'], `${message}; make one with \`detour init --key-only FILE\``, 'key');
  }
  const replicas = readReplicas(source, root);
  const self = given === 'all' ? null : selfOf(source, at, word, replicas);
  const group = readEngine(source, root, top, replicas, self);
  warnOfCount(source, ['replicas'], replicas.length, 'replica');
  return { replicas, group };
}

function readReplicas(source: Source, root: MapTree): readonly ReadReplica[] {
  const replicas = entriesOf({ source }, ['replicas'], root, 'replica').map(([name, tree, at]) => {
    const given = readFields(source, at, tree, fields.replica, ['paths']);
    return { name, given, tree: tree.kind === 'map' ? tree : emptyMap, at };
  });
  const taken = new Map<string, string>();
  for (const { name, given, at } of replicas) {
    const place = parseHostPort(given.address ?? '', null);
    if (place === null) continue;
    const key = `${place.host.toLowerCase()} ${place.port}`;
    const twin = taken.get(key);
    if (twin === undefined) taken.set(key, name);
    else source.problem([...at, 'address'], `is the address of ${twin}, too: give each its own`);
  }
  return replicas;
}

/** Which of them this is; null once it is noted that nothing says so, or what is wrong with it. */
function selfOf(
  source: Source,
  at: Path,
  word: Named | null,
  replicas: readonly ReadReplica[],
): ReadReplica | null {
  const known = replicas.map(({ name }) => name);
  if (replicas.length === 0) return null;
  if (word === null) {
    const cure = 'start with --replica NAME, set DETOUR_REPLICA, or write replica: NAME';
    const message = `nothing says which of them this is: ${cure} (known: ${listOf(known)})`;
    source.problem(['replicas'], message, 'key');
    return null;
  }
  const self = replicas.find(({ name }) => name === word.name);
  if (self !== undefined) return self;
  const by = word.by === 'replica' ? '' : `${word.by}: `;
  source.problem(at, `${by}${notAmong('replica', word.name, known)}`);
  return null;
}

/** How many members an engine, or replicas a group, should have. */
function warnOfCount(source: Source, at: Path, count: number, what: string): void {
  if (count === 0 || (count >= 3 && count % 2 === 1)) return;
  const many = `${count} ${what}${count === 1 ? '' : 's'}`;
  const message =
    count < 3
      ? `${many}: with one gone no majority is left; make it three, in three clouds`
      : `${many} bear the loss of no more than ${count - 1} do: take one away or add one`;
  source.warning(at, message);
}

// ---------------------------------------------------------------- what elects

const engines = ['etcd', 'kubernetes'] as const;
const etcdSchema = z.strictObject(fields.etcd);
const kubernetesSchema = z.strictObject(fields.kubernetes);

function readEngine(
  source: Source,
  root: MapTree,
  top: Top,
  replicas: readonly ReadReplica[],
  self: ReadReplica | null,
): GroupConfig | null {
  const tree = root.entries.get('group')?.tree;
  if (tree === undefined) return null;
  const given = readFields(source, ['group'], tree, fields.group, engines);
  const found = engines.filter((key) => tree.kind === 'map' && tree.entries.has(key));
  if (found.length !== 1) {
    const got = found.length === 0 ? 'none' : 'both';
    if (tree.kind === 'map') {
      source.problem(['group'], `expected one of etcd and kubernetes, got ${got}`, 'key');
    }
    return null;
  }
  const [kind] = found as [(typeof engines)[number]];
  const below = (tree as MapTree).entries.get(kind)!.tree;
  const engine =
    kind === 'etcd' ? readEtcd(source, below, top.cluster ?? '') : readKubernetes(source, below);
  const addresses = replicas.flatMap(({ name, given: { address = '' } }) => {
    const place = parseHostPort(address, null);
    return place === null ? [] : [[name, place] as const];
  });
  const own = addresses.find(([name]) => name === self?.name)?.[1];
  if (own === undefined || engine === null) return null;
  const listen = given.listen === undefined ? null : parseHostPort(given.listen, null);
  return {
    self: self!.name,
    replicas: Object.fromEntries(addresses),
    listen: listen ?? { host: null, port: own.port },
    tls: given.tls ?? null,
    engine,
  };
}

/** Read as a whole and never quoted: below it even a key may be a secret in the wrong place. */
function readEtcd(source: Source, tree: Tree, cluster: string): EtcdConfig | null {
  const at = ['group', 'etcd'];
  const given = readPlain(source, at, plainOf(tree), etcdSchema, 'kind', []);
  const has = (key: string) => tree.kind === 'map' && tree.entries.has(key);
  for (const [one, other] of [
    ['cert', 'key'],
    ['key', 'cert'],
    ['username', 'password'],
    ['password', 'username'],
  ] as const) {
    if (!has(one) || has(other)) continue;
    source.problem([...at, one], `belongs to a ${other}: add ${other} or leave it out`, 'key');
  }
  if (given === undefined) return null;
  const { endpoints, ca = null, cert, key, username, password, prefix, ttl } = given;
  warnOfCount(source, [...at, 'endpoints'], endpoints.length, 'member');
  if (endpoints.some((url) => url.startsWith('https:')) && username === undefined) {
    const message = 'no username and password: whoever reaches etcd may take the right to act';
    source.warning(
      at,
      `${message}, unless a client certificate is all it takes (--client-cert-auth)`,
    );
  }
  return {
    ...{ kind: 'etcd', endpoints, ca, prefix: prefix ?? `/detour/${cluster}/`, ttlMs: ttl },
    identity: cert === undefined || key === undefined ? null : { cert, key },
    user: username === undefined || password === undefined ? null : { name: username, password },
  };
}

function readKubernetes(source: Source, tree: Tree): KubernetesConfig | null {
  const at = ['group', 'kubernetes'];
  const isEmpty = tree.kind === 'scalar' && tree.value === null;
  const given = readPlain(source, at, isEmpty ? {} : plainOf(tree), kubernetesSchema, 'value', []);
  source.warning(
    at,
    'a Lease lives in one cluster, and so in one cloud: it is for restarts and upgrades, ' +
      'not for the day that cloud dies; etcd in three clouds is',
  );
  if (given === undefined) return null;
  const { namespace = null, lease, documents, ttl } = given;
  const place =
    'secret' in documents
      ? ({ kind: 'secret', name: documents.secret } as const)
      : ({ kind: 'configMap', name: documents.configMap } as const);
  return { kind: 'kubernetes', namespace, lease, documents: place, ttlMs: ttl };
}

// ---------------------------------------------------------------- lawful but unwise

/**
 * Says who goes down with what is guarded: replicas by the cloud they say they sit in, members of
 * etcd by the replica on whose machine they are.
 */
export function warnOfSharedFate(
  source: Source,
  { replicas, group }: ReadGroup,
  guarded: ReadonlySet<string>,
): void {
  const endpoints = group?.engine.kind === 'etcd' ? group.engine.endpoints : [];
  const hosts = endpoints.map((url) => new URL(url).hostname.replace(/^\[|\]$/g, ''));
  const twice = hosts.find((host, i) => hosts.indexOf(host) < i);
  const at = ['group', 'etcd', 'endpoints'];
  if (twice !== undefined) {
    source.warning(at, 'two members are on one machine: it takes both along when it goes');
  }
  const members = new Map<string, number>();
  for (const { name, given, at: place } of replicas) {
    const { cloud, address = '' } = given;
    if (cloud === undefined || !guarded.has(cloud)) continue;
    const host = parseHostPort(address, null)?.host.toLowerCase();
    const beside = hosts.filter((one) => one === host).length;
    members.set(cloud, (members.get(cloud) ?? 0) + beside);
    const along = beside === 0 ? '' : ', and takes its member of etcd along';
    const message = `${name} sits in ${cloud}, which it guards: it has no vote about it`;
    source.warning(place, `${message}, goes down with it${along}`);
  }
  for (const [cloud, count] of members) {
    if (count === 0 || endpoints.length - count > endpoints.length / 2) continue;
    const message = `without ${cloud} no majority of etcd is left: when it fails, nobody acts`;
    source.warning(at, `${message}; put members elsewhere`);
  }
}
