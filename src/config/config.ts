// Text to configuration, or every error at once with its line (design, section 7). Pure: it looks
// nothing up, reads no file and no secret; the tables of providers and checks are given. What it
// lets through, everything behind it may rely on: every name refers to something that exists, every
// duration is in bounds, every DNS name is lower-case with its trailing dot. What is lawful but
// unwise is a warning. It must never let a secret through that is written out, nor quote one.

import { z } from 'zod';
import { isMarkerName, markerName, RECORD_NAME_MAX } from '../core/marker.ts';
import type {
  CheckConfig,
  CheckId,
  CloudConfig,
  CoreConfig,
  Detector,
  Edits,
  LaneConfig,
  Name,
  NoticeSeverity,
  OriginConfig,
  PathConfig,
  RecordConfig,
  RecordMode,
  TargetConfig,
} from '../core/model.ts';
import { closest, isWithin, listOf, notAmong, unrooted } from '../core/name.ts';
import type { CheckType, NotifierType, PathSpec, ProviderType } from '../kit/extend.ts';
import {
  dnsName,
  type HostPort,
  parseHostPort,
  printDuration,
  type SecretRef,
} from '../kit/schema.ts';
import { type ApiConfig, readApi } from './api.ts';
import { checkCanaries, type DrillsConfig, readDrills } from './drills.ts';
import {
  cadenceFields,
  fields,
  packageMark,
  packagePattern,
  packageRule,
  yearMs,
} from './fields.ts';
import {
  type GroupConfig,
  type Named,
  type ReadReplica,
  readGroup,
  warnOfSharedFate,
} from './group.ts';
import { hashed } from './hash.ts';
import { emptyMap, entriesOf, pick } from './maps.ts';
import { groupsOf, type ReadPath, readPaths, shorten } from './paths.ts';
import type { SlaService } from './sla.ts';
import {
  type MapTree,
  type Path,
  type Problem,
  plainOf,
  type Read,
  readFields,
  readPlain,
  readSource,
  readValue,
  type Source,
  show,
  type Text,
  type Tree,
} from './text.ts';
import { type Ballot, ballotsOf, indispensable, neededOf, seatsOf } from './votes.ts';
import type { Window } from './windows.ts';

export { printProblem } from './text.ts';

export interface Config {
  /** In a group its paths are those of all replicas, `REPLICA/PATH`. */
  readonly core: CoreConfig;
  /** What it was read with: whoever builds takes the rows of its providers and checks from here. */
  readonly tables: Tables;
  readonly providers: Readonly<Record<string, ProviderConfig>>;
  /** Of all checks that a path of this replica's asks. */
  readonly probes: Readonly<Record<CheckId, ProbeConfig>>;
  /** Of this replica alone: nobody leaves by another's. */
  readonly paths: Readonly<Record<string, PathSpec>>;
  readonly dns: {
    readonly port: number;
    /** Addresses of root servers; null: the public ones. */
    readonly roots: readonly string[] | null;
    /** Resolvers for the names of authoritative servers; null: the system's. */
    readonly resolvers: readonly string[] | null;
    readonly timeoutMs: number;
  };
  /** The replicas that share eyes and hands, and by what; null: alone. */
  readonly group: GroupConfig | null;
  /** What signs markers: the first; the others are kept for what they signed. Empty: unsigned. */
  readonly clusterKeys: readonly SecretRef[];
  readonly stateDir: string;
  /** Unix socket for operators. */
  readonly socket: string;
  /** Metrics, health and status over HTTP; null: off. */
  readonly listen: HostPort | null;
  /** The operators' door over the network; null: off. */
  readonly api: ApiConfig | null;
  /** How long a gate holds the last decision while it cannot be known to be right. */
  readonly gateHoldMs: number;
  /** What is run around the switches of a record, by its name; the core knows when. */
  readonly hooks: Readonly<Record<Name, HookCommands>>;
  /** Windows of maintenance, of what has any. */
  readonly maintenance: {
    readonly origins: Readonly<Record<string, readonly Window[]>>;
    readonly records: Readonly<Record<Name, readonly Window[]>>;
  };
  readonly drills: DrillsConfig;
  /** A row of the table of notifiers; null: nobody is told. */
  readonly notify: Way | null;
  /** Further ways to tell, by their names. */
  readonly channels: Readonly<Record<string, ChannelConfig>>;
  /** By cloud what its agreement promises. */
  readonly sla: Readonly<Record<string, readonly SlaService[]>>;
  /** Zone of IANA in which reports give times and months begin. */
  readonly timezone: string;
  readonly log: {
    readonly format: 'json' | 'text' | 'auto';
    readonly level: 'debug' | 'info' | 'warn' | 'error';
  };
}

interface HookCommands {
  readonly before: { readonly command: readonly string[]; readonly timeoutMs: number } | null;
  readonly after: { readonly command: readonly string[]; readonly timeoutMs: number } | null;
}

/** A row of the table of notifiers, and its settings as that row has read them. */
interface Way {
  readonly type: string;
  readonly settings: unknown;
}

export interface ChannelConfig extends Way {
  readonly severity: readonly NoticeSeverity[];
  /** As configured, `*` for anything; null: all. */
  readonly records: readonly string[] | null;
  readonly quietMs: number;
}

interface ProviderConfig {
  readonly type: string;
  /** As the row's own schema has read them. */
  readonly settings: unknown;
  /**
   * What it is judged by, `HOST` or `HOST:PORT`: as configured, or itself where it is a server of
   * the user's own; null: as its API says.
   */
  readonly nameservers: readonly string[] | null;
  readonly callTimeoutMs: number;
  /** The name by which it is tried; null: it is not. */
  readonly canary: Name | null;
}

interface ProbeConfig {
  /** A key of the table of checks. */
  readonly kind: string;
  readonly settings: unknown;
  readonly timeoutMs: number;
}

/** What may stand in a configuration as a provider's `type`, a kind of check, a way to tell. */
export interface Tables {
  // biome-ignore lint/suspicious/noExplicitAny: each row has settings of its own.
  readonly providers: Readonly<Record<string, ProviderType<any>>>;
  // biome-ignore lint/suspicious/noExplicitAny: each row has settings of its own.
  readonly checks: Readonly<Record<string, CheckType<any>>>;
  // biome-ignore lint/suspicious/noExplicitAny: each row has settings of its own.
  readonly notifiers: Readonly<Record<string, NotifierType<any>>>;
  /** Why a check of a kind cannot be asked by a path, with the cure; null when it can. */
  readonly pathProblem?: (kind: string, path: PathSpec, settings?: unknown) => string | null;
  /** Of packages without a row: why it cannot be used, in one clause with its cure. */
  readonly unusable?: ReadonlyMap<string, string>;
}

/** What a package is wanted for; the member of an `Extension` that must be there. */
export type Role = 'provider' | 'check' | 'notifier';

/** Packages that a text names, by their word `npm:NAME`. */
export type Wanted = ReadonlyMap<string, ReadonlySet<Role>>;

export type Parsed = { readonly wanted: Wanted } & (
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] }
);

/** What the folders of `include:` hold, by their name in the text; a clause says why nothing. */
export type Included = Readonly<Record<string, readonly Text[] | { readonly why: string }>>;

/** The folders that a configuration includes, before it is read: none where it cannot be. */
export function includesOf(text: string): readonly string[] {
  const { root } = readSource([{ file: '', text }], []);
  const tree = root?.kind === 'map' ? root.entries.get('include')?.tree : undefined;
  const read = fields.top.include.safeParse(plainOf(tree));
  return read.success ? (read.data ?? []) : [];
}

/**
 * Reads a configuration (YAML 1.2, at most 1 MiB a file); `file` is the name to print, `named` the replica
 * that the command line or the environment says this is, or `all`: to be looked at as if one daemon
 * alone had every path of theirs. Never throws: either a configuration and its warnings, or every
 * problem, by line, at most 200 and a count. A package without a row is known by its name alone, with
 * a warning; such a configuration can be looked at and not be built.
 */
export function parseConfig(
  text: string,
  file: string,
  tables: Tables,
  named: Named | 'all' | null = null,
  included: Included = {},
): Parsed {
  const more = Object.values(included).flatMap((found) => ('why' in found ? [] : found));
  const source = readSource([{ file, text }, ...more], nested);
  const wanted = new Map<string, Set<Role>>();
  const asked = new Map<ProbeConfig, unknown>();
  const pushed = new Map<string, Path>();
  const context = { source, tables, wanted, named, asked, included, pushed };
  const config = source.root === null ? null : readConfig(context, source.root);
  const problems = source.problems();
  if (problems.length > 0 || config === null) return { ok: false, problems, wanted };
  return { ok: true, config, warnings: source.warnings(), wanted };
}

const defaults = {
  intervalMs: 5000,
  timeoutMs: 2000,
  confirmMs: 500,
  fall: 3,
  rise: 2,
  patienceMs: 10_000,
  failback: { kind: 'manual' },
  switchesPerHour: 3,
  edits: 'hold',
} as const;

const DEFAULT_DETECTOR: Detector['kind'] = 'sequential';
/** One false switch of a record in ten years. */
const DEFAULT_FALSE_SWITCH_EVERY_MS = 10 * yearMs;

type Policy = Read<typeof fields.policy>;

/** Longest path that a Unix socket's address holds (unix(7), Linux: 108 bytes with the zero). */
const socketBytesMax = 107;

/** Above this TTL in seconds a warning says what it costs. */
const ttlWarned = 300;

// ---------------------------------------------------------------- reading

interface Context {
  readonly source: Source;
  readonly tables: Tables;
  /** Grows as packages are met. */
  readonly wanted: Map<string, Set<Role>>;
  readonly named: Named | 'all' | null;
  /** What each check asks, as it was written. */
  readonly asked: Map<ProbeConfig, unknown>;
  readonly included: Included;
  /** Where each name stands that others push to. */
  readonly pushed: Map<string, Path>;
}

const nested = ['providers', 'paths', 'clouds', 'origins', 'records', 'replicas'];
const groups = ['policy', 'dns', 'notify', 'channels', 'log', 'group', 'api', 'drills'];

/** The whole; what is wrong has been noted, and then the result is of no use. */
function readConfig(context: Context, root: Tree): Config | null {
  const { source } = context;
  const top = readFields(source, [], root, fields.top, [...nested, ...groups, 'clusterKey']);
  if (root.kind !== 'map') return null;
  checkIncluded(context, top.include ?? []);
  const part = (key: string) => root.entries.get(key)?.tree ?? emptyMap;
  const policyTree = part('policy');
  const policy = readFields(source, ['policy'], policyTree, fields.policy, [
    'confirmBudget',
    'references',
  ]);
  checkCadence(context, ['policy'], policyTree, policy, {});
  const detector = detectorOf(context, policy);
  const budget =
    (policyTree.kind === 'map' && policyTree.entries.get('confirmBudget')?.tree) || emptyMap;
  const confirm = readFields(source, ['policy', 'confirmBudget'], budget, fields.confirmBudget);
  const dns = readFields(source, ['dns'], part('dns'), fields.dns);
  const log = readFields(source, ['log'], part('log'), fields.log);

  const parts: Parts = { checks: {}, probes: {} };
  const { replicas, group } = readGroup(source, root, top, context.named);
  const paths = readPaths(context, root, replicas);
  const places = readReferences(context, root, policy, paths, parts);
  const { providers, lanes } = readProviders(context, root);
  const clouds = readClouds(context, root, policy, paths, parts);
  const origins = readOrigins(context, root, policy, clouds, paths, parts);
  checkCloudsOfPaths(context, replicas, paths, clouds, origins);
  const { records, hooks, maintained } = readRecords(context, root, policy, origins, providers);
  const drills = readDrills(source, root, records);
  checkCanaries(source, drills, providers, records);
  warnOfParts(context, records, origins, providers);
  const guarded = new Set([...origins.values()].map(({ config }) => config.cloud));
  warnOfSharedFate(source, { replicas, group }, guarded);

  const { cluster, stateDir = '/', listen } = top;
  const clusterKeys = readKeys(context, root);
  const core: CoreConfig = {
    cluster: cluster ?? '',
    ...membersOf(group),
    signed: clusterKeys.length > 0,
    paths: places,
    clouds: cloudsOf(clouds, origins),
    detector,
    checks: parts.checks,
    origins: Object.fromEntries([...origins].map(([name, { config }]) => [name, config])),
    records: Object.fromEntries(records),
    lanes,
    confirm: { burst: confirm.burst ?? 0, perSecond: confirm.perSecond ?? 0 },
  };
  checkQuorums(context, core, origins, policy);
  const asked = (id: CheckId) => context.asked.get(parts.probes[id]!);
  return {
    core: source.problems().length > 0 ? core : hashed({ core, plain: plainOf(root), asked }),
    ...{ group, clusterKeys, tables: context.tables },
    providers: Object.fromEntries(providers),
    ...ownPart(paths, parts, group),
    dns: dnsOf(dns),
    stateDir,
    socket: socketOf(context, top.socket ?? `${stateDir.replace(/\/+$/, '')}/control.sock`),
    listen: listenOf(context, listen),
    api: readApi(source, root, listen),
    gateHoldMs: top.gateHold ?? 0,
    maintenance: { origins: windowsOf(origins), records: Object.fromEntries(maintained) },
    ...{ drills, hooks },
    ...readWays(context, root),
    ...reportsOf(context, part('sla'), top, core),
    log: { format: log.format ?? 'auto', level: log.level ?? 'info' },
  };
}

/** What reports want to know: the zone, and agreements, each of a cloud that is known. */
function reportsOf(
  { source }: Context,
  tree: Tree,
  { sla = {}, timezone = 'UTC' }: Pick<Read<typeof fields.top>, 'sla' | 'timezone'>,
  { clouds }: CoreConfig,
): Pick<Config, 'sla' | 'timezone'> {
  for (const cloud of tree.kind === 'map' ? tree.entries.keys() : []) {
    if (Object.hasOwn(clouds, cloud)) continue;
    source.problem(['sla', cloud], notAmong('cloud', cloud, Object.keys(clouds)), 'key');
  }
  return { sla, timezone };
}

/** What the folders hold is in the tree already; here is said why one of them holds nothing. */
function checkIncluded({ source, included }: Context, folders: readonly string[]): void {
  for (const [i, folder] of folders.entries()) {
    const found = included[folder] ?? { why: 'is not read here' };
    if ('why' in found) source.problem(['include', i], `${show(folder)} ${found.why}`);
  }
}

function dnsOf({ port, roots, resolvers, timeout }: Read<typeof fields.dns>): Config['dns'] {
  return {
    port: port ?? 0,
    roots: roots ?? null,
    resolvers: resolvers ?? null,
    timeoutMs: timeout ?? 0,
  };
}

function windowsOf(origins: ReadonlyMap<string, ReadOrigin>) {
  const some = [...origins].filter(([, { maintenance }]) => maintenance.length > 0);
  return Object.fromEntries(some.map(([name, { maintenance }]) => [name, maintenance]));
}

function membersOf(group: GroupConfig | null): Pick<CoreConfig, 'group'> {
  if (group === null) return {};
  return { group: { self: group.self, replicas: Object.keys(group.replicas).toSorted() } };
}

function socketOf({ source }: Context, socket: string): string {
  if (Buffer.byteLength(socket) > socketBytesMax) {
    const message = `${show(socket)} is longer than the ${socketBytesMax} bytes a socket may have`;
    source.problem(['socket'], `${message}: give a shorter one`);
  }
  return socket;
}

/** What this replica asks itself, and by which ways: all of it alone, never what is another's. */
function ownPart(
  paths: readonly ReadPath[],
  { checks, probes }: Parts,
  group: GroupConfig | null,
): Pick<Config, 'paths' | 'probes'> {
  const own = paths.filter(({ replica }) => group === null || replica === group.self);
  const names = new Set(own.map(({ spec }) => spec.name));
  const asked = Object.entries(probes).filter(
    ([id]) => group === null || checks[id]!.paths.some((name) => names.has(name)),
  );
  return {
    paths: Object.fromEntries(own.map(({ spec }) => [spec.name, spec])),
    probes: Object.fromEntries(asked),
  };
}

/** What signs markers, the first of them; none, and a warning, where nothing does. */
function readKeys({ source }: Context, root: MapTree): readonly SecretRef[] {
  const tree = root.entries.get('clusterKey')?.tree;
  if (tree !== undefined) {
    return readValue(source, ['clusterKey'], tree, fields.secrets.clusterKey, 'kind') ?? [];
  }
  source.warning(
    ['cluster'],
    'no clusterKey: markers prove nothing, so a switch made elsewhere (--direct) is not followed, ' +
      'and with a lost store most vendors must agree; make one with `detour init --key-only FILE`',
  );
  return [];
}

/** Who is told: one of its keys says how, and that row reads all of it. Values are not quoted. */
function readWay(context: Context, path: Path, tree: Tree, others: readonly string[]): Way | null {
  const { source, tables } = context;
  const known = Object.keys(tables.notifiers);
  const keys = tree.kind === 'map' ? [...tree.entries.keys()] : [];
  const found = keys.filter((key) => Object.hasOwn(tables.notifiers, key) || isPackage(key));
  if (found.length !== 1) {
    const close = keys.map((key) => closest(key, known)).find((word) => word !== null);
    const hint = close && found.length === 0 ? `; did you mean ${close}?` : '';
    const got = found.length === 0 ? 'none' : listOf(found);
    source.problem(path, `expected one way to tell, ${listOf(known, 'or')}, got ${got}${hint}`);
    return null;
  }
  const [type] = found as [string];
  if (isPackage(type)) wantPackage(context, 'notifier', type, [...path, type], 'key');
  const schema = rowOf(tables.notifiers, type)?.settings ?? unread(type);
  return { type, settings: readPlain(source, path, plainOf(tree), schema, 'kind', others) };
}

/** All ways to tell. */
function readWays(context: Context, root: MapTree): Pick<Config, 'notify' | 'channels'> {
  const tree = root.entries.get('notify')?.tree;
  const notify = tree === undefined ? null : readWay(context, ['notify'], tree, []);
  return { notify, channels: readChannels(context, root, notify !== null) };
}

/** The channels by name; `notify` is one of them, so that its name is taken where it stands. */
function readChannels(
  context: Context,
  root: MapTree,
  hasNotify: boolean,
): Record<string, ChannelConfig> {
  const { source } = context;
  const channels: Record<string, ChannelConfig> = {};
  if (!root.entries.has('channels')) return channels;
  const common = Object.keys(fields.channel);
  for (const [name, tree, path] of entriesOf(context, ['channels'], root, 'channel')) {
    if (name === 'notify' && hasNotify) {
      source.problem(path, 'is the name of what stands under `notify:`; give another', 'key');
    }
    const rule = readFields(source, path, pick(tree, common), fields.channel);
    const way = readWay(context, path, pick(tree, common, false), common);
    if (way === null) continue;
    const { severity = [], records = null, quiet = 0 } = rule;
    channels[name] = { ...way, severity, records, quietMs: quiet };
  }
  return channels;
}

// ---------------------------------------------------------------- the paths' reference points

/** What checks of all kinds come to. */
interface Parts {
  readonly checks: Record<CheckId, CheckConfig>;
  readonly probes: Record<CheckId, ProbeConfig>;
}

/**
 * Groups the paths, and reads their reference points: a path's own, or else those of the policy.
 * With none at all nothing else is contacted: the origins of other clouds serve as such.
 */
function readReferences(
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

// ---------------------------------------------------------------- clouds

interface ReadClouds {
  /** Those that stand under `clouds`; null when the origins alone name them. */
  readonly declared: ReadonlyMap<string, CloudConfig> | null;
}

function readClouds(
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
      };
      parts.probes[id] = probe;
    }
  }
  return { declared };
}

/** Every cloud there is: those with an entry of their own, and those that origins name. */
function cloudsOf(
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

function checkCloudsOfPaths(
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

// ---------------------------------------------------------------- providers

interface ReadProviders {
  readonly providers: ReadonlyMap<string, ProviderConfig>;
  readonly lanes: Record<string, LaneConfig>;
}

function readProviders(context: Context, root: MapTree): ReadProviders {
  const providers = new Map<string, ProviderConfig>();
  const lanes: Record<string, LaneConfig> = {};
  for (const [name, tree, path] of entriesOf(context, ['providers'], root, 'provider')) {
    const read = readProvider(context, path, tree);
    providers.set(name, read);
    const row = rowOf(context.tables.providers, read.type);
    if (row === undefined) continue;
    const { readMax, writeMax, callsMax, quota } = row.capabilities;
    const { type, callTimeoutMs } = read;
    lanes[name] = { provider: name, type, readMax, writeMax, callTimeoutMs, callsMax, quota };
  }
  return { providers, lanes };
}

/** One provider. Its values are never quoted: any of them may be a secret in the wrong place. */
function readProvider(context: Context, path: Path, tree: Tree): ProviderConfig {
  const { source, tables } = context;
  const known = Object.keys(tables.providers);
  if (tree.kind !== 'map') {
    source.problem(path, 'expected a map with type and the settings of that type');
    return { type: '', settings: null, nameservers: null, callTimeoutMs: 0, canary: null };
  }
  const common = new Set(['type', ...Object.keys(fields.provider)]);
  const own = { ...tree, entries: new Map([...tree.entries].filter(([key]) => !common.has(key))) };
  const shared = {
    ...tree,
    entries: new Map([...tree.entries].filter(([k]) => Object.hasOwn(fields.provider, k))),
  };
  const { nameservers, timeout, canary } = readFields(source, path, shared, fields.provider);
  const type = plainOf(tree.entries.get('type')?.tree);
  const row = typeof type === 'string' ? rowOf(tables.providers, type) : undefined;
  const isNamed = typeof type === 'string' && isPackage(type);
  if (isNamed) wantPackage(context, 'provider', type, [...path, 'type'], 'value');
  let settings: unknown = null;
  if (row !== undefined) {
    settings = readPlain(source, path, plainOf(own), row.settings, 'kind', [...common]);
  } else if (isNamed) {
    settings = plainOf(own);
  } else if (type === undefined) {
    source.problem([...path, 'type'], `is missing; expected ${listOf(known, 'or')}`);
  } else {
    const message =
      typeof type === 'string'
        ? notAmong('type of provider', type, known)
        : `expected ${listOf(known, 'or')}, got ${show(type)}`;
    source.problem([...path, 'type'], message);
  }
  return {
    type: row === undefined && !isNamed ? '' : String(type),
    settings,
    nameservers: nameservers ?? ownServersOf(row, settings),
    callTimeoutMs: timeout ?? 0,
    canary: canary ?? null,
  };
}

function ownServersOf(row: Tables['providers'][string] | undefined, settings: unknown) {
  const isRead = settings !== null && settings !== undefined;
  return isRead ? (row?.ownServers?.(settings) ?? null) : null;
}

const isPackage = (word: string) => word.startsWith(packageMark);

/** Stands for the schema of a package that was not loaded, where its word is a key. */
const unread = (word: string) => z.strictObject({ [word]: z.unknown() });

/**
 * A package that stands where a row's word may stand. Without its row it is told why it has none, or
 * that nobody has looked at it.
 */
function wantPackage(
  { source, tables, wanted }: Context,
  role: Role,
  word: string,
  path: Path,
  at: 'key' | 'value',
): void {
  if (!packagePattern.test(word)) {
    source.problem(path, `${show(word)}: ${packageRule}`, at);
    return;
  }
  wanted.set(word, (wanted.get(word) ?? new Set<Role>()).add(role));
  const { providers: provider, checks: check, notifiers: notifier } = tables;
  const rows: Readonly<Record<string, unknown>> = { provider, check, notifier }[role];
  const why = tables.unusable?.get(word);
  if (why !== undefined) {
    source.problem(path, `${word} ${why}`, at);
  } else if (rowOf(rows, word) === undefined) {
    const message = 'is known by its name alone: it was not loaded and its settings were not read';
    source.warning(path, `${word} ${message} (validate --plugins does)`);
  }
}

export function rowOf<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

// ---------------------------------------------------------------- origins and checks

interface ReadOrigin {
  readonly config: OriginConfig;
  readonly path: Path;
  /** Its quorum is its own, not that of the policy. */
  readonly hasQuorum: boolean;
  readonly maintenance: readonly Window[];
}

function readOrigins(
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

/**
 * The paths named at a place, or all; in the order of the configuration. In a group a path's own name
 * alone means that of every replica that has one.
 */
function namedPaths(
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
function fitting(
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
function readCheck(
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
function isAside({ tables }: Context, { kind }: ProbeConfig): boolean {
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

/** The door for readers, by which pushes come in. */
function listenOf({ source, pushed }: Context, listen: string | undefined): HostPort | null {
  if (listen === undefined) return null;
  if (pushed.size === 0) return listen === 'off' ? null : parseHostPort(listen, null);
  if (listen === 'off') {
    const message = 'is off, and what is pushed comes in there: give it an address';
    source.problem(['listen'], `${message}, or leave the push checks out`);
  } else if (!/^(127\.|\[::1\]|localhost:)/.test(listen)) {
    const message = 'takes pushes in the clear, where anybody on the way reads their tokens';
    source.warning(['listen'], `${message}: have a proxy with TLS in front of it`);
  }
  return listen === 'off' ? null : parseHostPort(listen, null);
}

/** The durations of a cadence against each other, told at the place that sets one of them. */
function checkCadence(
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

// ---------------------------------------------------------------- who decides

function detectorOf({ source }: Context, policy: Policy): Detector {
  const kind = policy.detector ?? DEFAULT_DETECTOR;
  if (kind === 'counters') {
    if (policy.falseSwitches === undefined) return { kind };
    const message = 'counters know no such rate: use detector: sequential or leave it out';
    source.problem(['policy', 'falseSwitches'], message, 'key');
  }
  const falseSwitchEveryMs = policy.falseSwitches ?? DEFAULT_FALSE_SWITCH_EVERY_MS;
  return { kind: 'sequential', falseSwitchEveryMs };
}

/** Refuses a quorum that can never be met, and says where one group decides alone. */
function checkQuorums(
  context: Context,
  core: CoreConfig,
  origins: ReadonlyMap<string, ReadOrigin>,
  policy: Policy,
): void {
  const { source } = context;
  const groups = new Set(Object.values(core.paths).map((path) => path.group)).size;
  const broken = source.problems().map((problem) => `${problem.path}.`);
  // Who has a vote is not known yet where that is wrong which it follows from.
  if (broken.some((path) => /^(paths|clouds|replicas)\b/.test(path))) return;
  warnOfLostReplicas(context, core, origins);
  for (const [name, { path, hasQuorum }] of origins) {
    if (broken.some((other) => other.startsWith(`origins.${name}.`))) continue;
    const where = hasQuorum ? [...path, 'quorum'] : path;
    for (const ballot of ballotsOf(core, name)) {
      const what = listOf(ballot.checks);
      const needed = neededOf(ballot);
      const others = withoutVote(ballot);
      if (ballot.voting === 0) {
        const cure = 'let a path that sits elsewhere probe it';
        source.problem(path, `nobody has a vote on ${what} (${others}): ${cure}`, 'key');
      } else if (needed > ballot.voting) {
        const voting = listOf(ballot.seats.filter((s) => s.voters.length > 0).map(groupOf));
        const least = `${needed} groups must agree on ${what}, and only ${ballot.voting} `;
        const have = `${ballot.voting === 1 ? 'has' : 'have'} a vote: ${voting}`;
        const cure = `lower the quorum of ${name} to ${ballot.voting}, or add paths that share nothing`;
        const why = others === '' ? '' : ` (${others})`;
        const at = hasQuorum || policy.quorum === undefined ? where : ['policy', 'quorum'];
        source.problem(at, `${least}${have}${why}; ${cure} with these`);
      } else if (ballot.voting === 1 && groups > 1) {
        const only = ballot.seats.find((s) => s.voters.length > 0)!.group;
        source.warning(path, `${shorten(only)} alone decides on ${what} (${others})`);
      } else if (needed === 1 && groups > 1) {
        const message = `with a quorum of 1 any one of ${ballot.voting} groups alone decides`;
        source.warning(where, `${message} on ${what}`);
      }
    }
  }
  for (const check of Object.values(core.checks)) {
    if (check.role !== 'service') continue;
    if (seatsOf(core, check.cloud, check.paths).some((s) => s.voters.length > 0)) continue;
    const at = ['clouds', check.cloud!, 'checks', check.id.slice(check.cloud!.length + 1)];
    source.warning(at, `all its paths sit in ${check.cloud}: nobody has a vote on it`);
  }
}

/** In a group: an origin that nobody could call down any more with one replica gone. */
function warnOfLostReplicas(
  { source }: Context,
  core: CoreConfig,
  origins: ReadonlyMap<string, ReadOrigin>,
): void {
  if (core.group === undefined || source.problems().length > 0) return;
  for (const [name, { path }] of origins) {
    const lost = new Set(ballotsOf(core, name).flatMap((one) => indispensable(core, one)));
    if (lost.size === 0) continue;
    const gone = listOf([...lost], 'or');
    const message = `with ${gone} gone too few are left to agree that ${name} is down, so it stays`;
    source.warning(path, `${message}; give it one vote more, by another replica or way out`);
  }
}

const groupOf = ({ group }: { readonly group: string }) => shorten(group);

/** `tokyo sits in its cloud aws and sydney does not probe it`; empty when all have a vote. */
function withoutVote({ seats, cloud }: Ballot): string {
  const out = seats.filter((seat) => seat.voters.length === 0);
  return listOf(
    out.map((seat) =>
      seat.barred.length > 0
        ? `${groupOf(seat)} sits in its cloud ${cloud}`
        : `${groupOf(seat)} does not probe it`,
    ),
  ).replace(/^nothing$/, '');
}

// ---------------------------------------------------------------- records

function readRecords(
  context: Context,
  root: MapTree,
  policy: Policy,
  origins: ReadonlyMap<string, ReadOrigin>,
  providers: ReadonlyMap<string, ProviderConfig>,
): {
  readonly records: ReadonlyMap<Name, RecordConfig>;
  readonly hooks: Record<Name, HookCommands>;
  readonly maintained: ReadonlyMap<Name, readonly Window[]>;
} {
  const { source } = context;
  const policyEdits = editsOf(context, ['policy'], policy);
  const records = new Map<Name, RecordConfig>();
  const hooks: Record<Name, HookCommands> = {};
  const maintained = new Map<Name, readonly Window[]>();
  const places: { record: RecordConfig; path: Path; targets: readonly ReadTarget[] }[] = [];
  for (const [word, tree, path] of entriesOf(context, ['records'], root, 'record', (key) => key)) {
    const name = readRecordName(context, path, word);
    const given = readFields(source, path, tree, fields.record, ['publish', 'targets']);
    const recordTtl = given.ttl ?? 0;
    const targets = readTargets(context, path, tree, origins);
    const record: RecordConfig = {
      name,
      mode: given.mode ?? 'observe',
      ...(given.names === undefined ? {} : { names: given.names }),
      targets: targets.map(({ origin, cname }) => ({ origin, cname })),
      publish: readPublish(context, path, tree, { name, ttl: recordTtl }, providers),
      patienceMs: given.patience ?? policy.patience ?? defaults.patienceMs,
      failback: given.failback ?? policy.failback ?? defaults.failback,
      switchesPerHour: given.switchesPerHour ?? policy.switchesPerHour ?? defaults.switchesPerHour,
      edits: editsOf(context, path, given) ?? policyEdits ?? defaults.edits,
      ...objectiveOf(given.objective ?? policy.objective),
      ...approvalOf(context, path, given, policy),
      ...hooksOf(name, given.hooks ?? policy.hooks, hooks),
    };
    if (name !== '' && records.has(name))
      source.problem(path, `${name} stands twice: keep one`, 'key');
    records.set(name, record);
    if (given.maintenance) maintained.set(name, given.maintenance);
    places.push({ record, path, targets });
    warnOfTtl(context, [...path, 'ttl'], recordTtl);
    warnOfRecord(context, path, record, origins);
    warnOfFollowing(context, path, record);
  }
  checkPublicNames(context, places, records);
  for (const { record, path, targets } of places) {
    for (const { cname, at } of targets) {
      if (cname === '' || !records.has(cname)) continue;
      const message =
        cname === record.name
          ? 'a record cannot lead to itself: name the target by a name of its own'
          : 'this name is a record steered here, too: lead to where that one leads';
      source.problem([...path, 'targets', at, 'cname'], message);
    }
  }
  return { records, hooks, maintained };
}

/** Of mode `approve` alone: elsewhere nobody is asked. */
function approvalOf(
  { source }: Context,
  path: Path,
  given: { readonly mode?: RecordMode | undefined; readonly approveAfter?: number | undefined },
  policy: Policy,
): Pick<RecordConfig, 'approveAfterMs'> {
  if (given.mode === 'approve') {
    const approveAfterMs = given.approveAfter ?? policy.approveAfter;
    return approveAfterMs === undefined ? {} : { approveAfterMs };
  }
  if (given.approveAfter !== undefined) {
    const message = 'nobody is asked in this mode: it counts with mode: approve alone';
    source.warning([...path, 'approveAfter'], message);
  }
  return {};
}

/** What of its hooks decides; their commands are kept apart, and are nobody else's business. */
function hooksOf(
  name: Name,
  given: Policy['hooks'],
  commands: Record<Name, HookCommands>,
): Pick<RecordConfig, 'hooks'> {
  const { before, after } = given ?? {};
  if (before === undefined && after === undefined) return {};
  const of = (one: typeof after) =>
    one === undefined ? null : { command: one.command, timeoutMs: one.timeout };
  commands[name] = { before: of(before), after: of(after) };
  return {
    hooks: {
      before: before === undefined ? null : { timeoutMs: before.timeout, silence: before.silence },
      after: after === undefined ? null : { timeoutMs: after.timeout },
    },
  };
}

function objectiveOf(objectiveMs: number | undefined): Pick<RecordConfig, 'objectiveMs'> {
  return objectiveMs === undefined ? {} : { objectiveMs };
}

/** A name that users type leads to one record, by a CNAME that nobody here writes. */
function checkPublicNames(
  { source }: Context,
  places: readonly { readonly record: RecordConfig; readonly path: Path }[],
  records: ReadonlyMap<Name, RecordConfig>,
): void {
  const taken = new Map<Name, Name>();
  for (const { record, path } of places) {
    for (const [i, name] of (record.names ?? []).entries()) {
      const at = [...path, 'names', i];
      const twin = taken.get(name);
      if (records.has(name)) {
        const message = 'is a record steered here: name what leads to it by CNAME';
        source.problem(at, `${unrooted(name)} ${message}`);
      } else if (twin !== undefined) {
        const message = `${name} stands at ${twin} already: it leads to one record`;
        source.problem(at, unrooted(message));
      } else taken.set(name, record.name);
    }
  }
}

/** What is done about edits; `drift` is its old name, read for one version. */
function editsOf(
  { source }: Context,
  path: Path,
  given: { readonly edits?: Edits | undefined; readonly drift?: 'report' | 'repair' | undefined },
): Edits | undefined {
  if (given.drift === undefined) return given.edits;
  const edits = given.drift === 'repair' ? 'mend' : 'hold';
  const place = [...path, 'drift'];
  if (given.edits !== undefined) {
    source.problem(place, 'stands beside edits, which is its new name: keep edits alone', 'key');
    return given.edits;
  }
  source.warning(
    place,
    `is read as \`edits: ${edits}\`: write it so, drift goes with the next version`,
  );
  return edits;
}

function warnOfFollowing({ source }: Context, path: Path, record: RecordConfig): void {
  if (record.edits !== 'follow') return;
  const vendors = listOf(
    record.publish.map((p) => p.provider),
    'or',
  );
  source.warning(
    path,
    `edits: follow: whoever can edit it at ${vendors} moves it everywhere, to any of its targets ` +
      'that is up',
  );
}

/** The record's name, or '' once it is noted what is wrong with it. */
function readRecordName({ source }: Context, path: Path, word: string): Name {
  const read = dnsName.safeParse(word);
  if (!read.success) {
    source.problem(path, `${read.error.issues[0]!.message}, got ${show(word)}`, 'key');
    return '';
  }
  const name = read.data;
  if (name.length - 1 > RECORD_NAME_MAX) {
    const message = `the name is ${name.length - 1} characters long; at most ${RECORD_NAME_MAX}`;
    source.problem(path, `${message} leave room for its marker at ${markerName('<name>')}`, 'key');
  }
  if (isMarkerName(name)) {
    const below = markerName('');
    source.problem(path, `names below ${below} are for markers: name the record itself`, 'key');
  }
  return name;
}

type ReadTarget = TargetConfig & { readonly at: number };

function readTargets(
  { source }: Context,
  record: Path,
  tree: Tree,
  origins: ReadonlyMap<string, ReadOrigin>,
): readonly ReadTarget[] {
  const path = [...record, 'targets'];
  const targets: ReadTarget[] = [];
  for (const [at, item] of itemsOf(source, path, tree, '{ origin, cname }').entries()) {
    const { origin = '', cname = '' } = readFields(source, [...path, at], item, fields.target);
    if (origin !== '' && !origins.has(origin)) {
      source.problem([...path, at, 'origin'], notAmong('origin', origin, [...origins.keys()]));
    }
    if (origin !== '' && targets.some((t) => t.origin === origin)) {
      source.problem([...path, at, 'origin'], `${show(origin)} is a target already: keep one`);
    }
    const twin = cname === '' ? undefined : targets.find((t) => t.cname === cname);
    if (twin !== undefined && twin.origin !== origin) {
      const message = `${twin.origin} has this name as well: moving between them changes nothing`;
      source.problem([...path, at, 'cname'], `${message}; give each target a name of its own`);
    }
    targets.push({ origin, cname, at });
  }
  return targets;
}

function readPublish(
  context: Context,
  record: Path,
  tree: Tree,
  { name, ttl }: { readonly name: Name; readonly ttl: number },
  providers: ReadonlyMap<string, ProviderConfig>,
): RecordConfig['publish'] {
  const { source } = context;
  const path = [...record, 'publish'];
  const publish: { provider: string; ttl: number }[] = [];
  const items = itemsOf(source, path, tree, 'PROVIDER or { provider, ttl }');
  for (const [at, item] of items.entries()) {
    const isName = item.kind === 'scalar';
    const here = isName ? [...path, at] : [...path, at, 'provider'];
    const { provider = '', ttl: override } = isName
      ? { provider: readValue(source, here, item, fields.publish.provider, 'value') }
      : readFields(source, [...path, at], item, fields.publish);
    if (provider !== '' && !providers.has(provider)) {
      source.problem(here, notAmong('provider', provider, [...providers.keys()]));
    }
    if (provider !== '' && publish.some((p) => p.provider === provider)) {
      source.problem(here, `${show(provider)} stands twice: keep one`);
    }
    if (override !== undefined) warnOfTtl(context, [...path, at, 'ttl'], override);
    if (name !== '') checkZone(context, here, name, provider, providers);
    publish.push({ provider, ttl: override ?? ttl });
  }
  return publish;
}

/** A record lies below the apex of the zone that its provider is told of. */
function checkZone(
  { source }: Context,
  path: Path,
  name: Name,
  provider: string,
  providers: ReadonlyMap<string, ProviderConfig>,
): void {
  const { zone } = (providers.get(provider)?.settings ?? {}) as { readonly zone?: unknown };
  if (typeof zone !== 'string' || zone === '') return;
  if (!isWithin(name, zone)) {
    // The zone itself is not quoted: a secret may stand in its place.
    const message = `${name} does not lie in the zone of ${provider}`;
    source.problem(path, unrooted(`${message}: publish it where its zone is`));
  } else if (name === zone) {
    const message = `${name} is the apex of its zone at ${provider}, where no CNAME can stand`;
    source.problem(path, unrooted(`${message} (RFC 1034, 3.6.2): name a record below it`));
  }
}

function itemsOf(source: Source, path: Path, parent: Tree, what: string): readonly Tree[] {
  const key = String(path.at(-1));
  const tree = parent.kind === 'map' ? parent.entries.get(key)?.tree : undefined;
  const expected = `expected a list of at least one ${what}`;
  if (parent.kind !== 'map') return [];
  if (tree === undefined) source.problem(path, `is missing; ${expected}`);
  else if (tree.kind !== 'list') source.problem(path, `${expected}, got ${show(plainOf(tree))}`);
  else if (tree.items.length === 0) source.problem(path, `${expected}, got an empty one`);
  return tree?.kind === 'list' ? tree.items : [];
}

// ---------------------------------------------------------------- lawful but unwise

function warnOfTtl({ source }: Context, path: Path, seconds: number): void {
  if (seconds <= ttlWarned) return;
  const time = printDuration(seconds * 1000);
  source.warning(path, `after a switch, clients may keep the old answer for another ${time}`);
}

function warnOfRecord(
  { source }: Context,
  path: Path,
  { mode, targets, publish }: RecordConfig,
  origins: ReadonlyMap<string, ReadOrigin>,
): void {
  if (mode === 'observe') {
    source.warning(
      path,
      'observed only: decided and journalled, never written (mode: steer writes)',
    );
  }
  if (targets.length === 1) {
    source.warning([...path, 'targets'], 'one target alone leaves nowhere to move to');
  }
  const clouds = new Set(targets.map((t) => origins.get(t.origin)?.config.cloud));
  if (targets.length > 1 && clouds.size === 1) {
    const message = `all targets are in the cloud ${[...clouds][0]}`;
    source.warning([...path, 'targets'], `${message}: when it fails as a whole, none is left`);
  }
  if (publish.length === 1) {
    const message = 'one provider alone: while its API fails, this record cannot be moved';
    source.warning([...path, 'publish'], message);
  }
}

function warnOfParts(
  context: Context,
  records: ReadonlyMap<Name, RecordConfig>,
  origins: ReadonlyMap<string, ReadOrigin>,
  providers: ReadonlyMap<string, ProviderConfig>,
): void {
  warnOfIdleParts(context, records, origins, providers);
  warnOfSharedServers(context, records, providers);
}

function warnOfIdleParts(
  { source }: Context,
  records: ReadonlyMap<Name, RecordConfig>,
  origins: ReadonlyMap<string, ReadOrigin>,
  providers: ReadonlyMap<string, ProviderConfig>,
): void {
  const all = [...records.values()];
  const led = new Set(all.flatMap((record) => record.targets.map((t) => t.origin)));
  const used = new Set(all.flatMap((record) => record.publish.map((p) => p.provider)));
  for (const [name, { path }] of origins) {
    if (!led.has(name))
      source.warning(path, 'no record leads here: it is probed, and moves nothing');
  }
  const seen = new Map<string, string>();
  for (const [name, { type, settings }] of providers) {
    if (!used.has(name)) source.warning(['providers', name], 'no record is published here');
    const account = JSON.stringify([type, settings]);
    const twin = seen.get(account);
    if (!used.has(name)) continue;
    seen.set(account, name);
    if (twin === undefined) continue;
    const message = `has the type and the settings of ${twin}: one account fails as one`;
    source.warning(['providers', name], `${message}, and both would write the same record`);
  }
}

/** Two providers of one record that are judged by one server: what one does is taken for both's. */
function warnOfSharedServers(
  { source }: Context,
  records: ReadonlyMap<Name, RecordConfig>,
  providers: ReadonlyMap<string, ProviderConfig>,
): void {
  const placesOf = (name: string) =>
    (providers.get(name)?.nameservers ?? []).flatMap((text) => {
      const place = parseHostPort(text, 53);
      return place === null ? [] : [`${place.host.toLowerCase()}:${place.port}`];
    });
  const told = new Set<string>();
  for (const { publish } of records.values()) {
    const names = publish.map(({ provider }) => provider);
    for (const [i, name] of names.entries()) {
      for (const other of names.slice(0, i)) {
        const theirs = placesOf(other);
        const shared = placesOf(name).filter((place) => theirs.includes(place));
        const pair = [name, other].sort().join(' ');
        if (shared.length === 0 || told.has(pair)) continue;
        told.add(pair);
        const message = `${name} and ${other} are both judged by ${listOf(shared, 'and')}`;
        const cure = 'name under `nameservers` of each the servers that it alone answers with';
        source.warning(['providers', name], `${message}: one speaks for the other; ${cure}`);
      }
    }
  }
}
