// Text to configuration, or every error at once with its line (design, section 7). Pure: it looks
// nothing up, reads no file and no secret; the tables of providers and checks are given. What it
// lets through, everything behind it may rely on: every name refers to something that exists, every
// duration is in bounds, every DNS name is lower-case with its trailing dot. What is lawful but
// unwise is a warning. It must never let a secret through that is written out, nor quote one.

import type {
  CheckId,
  CoreConfig,
  Detector,
  HeavyFamily,
  Name,
  RecordConfig,
} from '../core/model.ts';
import { inScript, notAmong } from '../core/name.ts';
import type { End } from '../core/state.ts';
import type { PathSpec } from '../kit/extend.ts';
import { type HostPort, parseHostPort, type SecretRef } from '../kit/schema.ts';
import { type ApiConfig, readApi } from './api.ts';
import { checkCadence, readReferences } from './checks.ts';
import type { Context, Included, Parts, Policy, ProbeConfig, ProviderConfig } from './context.ts';
import { checkDelegations, type DelegationConfig, delegatedZone } from './delegation.ts';
import { checkCanaries, type DrillsConfig, readDrills } from './drills.ts';
import { fields, yearMs } from './fields.ts';
import { type GroupConfig, type Named, readGroup, warnOfSharedFate } from './group.ts';
import { hashed } from './hash.ts';
import { heldInOrder } from './holds.ts';
import { emptyMap } from './maps.ts';
import {
  checkCloudsOfPaths,
  cloudsOf,
  type ReadOrigin,
  readClouds,
  readOrigins,
  windowsOf,
} from './origins.ts';
import { type ReadPath, readPaths } from './paths.ts';
import { readProviders, warnOfSharedServers } from './providers.ts';
import { checkQuorums } from './quorums.ts';
import { type HookCommands, readRecords } from './records.ts';
import type { SlaService } from './sla.ts';
import { readSpelling } from './spelling.ts';
import type { Role, Tables, Wanted } from './tables.ts';
import {
  type MapTree,
  type Path,
  type Problem,
  plainOf,
  type Read,
  readFields,
  readSource,
  readValue,
  show,
  type Tree,
} from './text.ts';
import { type ChannelConfig, readWays, type Way } from './ways.ts';
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
  /** Where the status page is, beside the API: at `listen` if that is loopback, anyhow, nowhere. */
  readonly page: 'local' | 'public' | 'off';
  /** The operators' door over the network; null: off. */
  readonly api: ApiConfig | null;
  /** Connections held between probes: those wanted, the most worth first, and how many at most. */
  readonly held: { readonly wanted: readonly End[]; readonly most: number };
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
  /** By zone where its NS set stands. */
  readonly delegations: Readonly<Record<Name, DelegationConfig>>;
  /** By cloud what its agreement promises. */
  readonly sla: Readonly<Record<string, readonly SlaService[]>>;
  /** Zone of IANA in which reports give times and months begin. */
  readonly timezone: string;
  /** What audits want of the chains that targets show for public names: days that they hold. */
  readonly audit: { readonly certificateDays: number };
  /** What is left out of the metrics. */
  readonly metrics: { readonly without: readonly HeavyFamily[] };
  readonly log: {
    readonly format: 'json' | 'text' | 'auto';
    readonly level: 'debug' | 'info' | 'warn' | 'error';
  };
}

export type Parsed = { readonly wanted: Wanted } & (
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] }
);

/** The folders that a configuration includes, before it is read: none where it cannot be. */
export function includesOf(text: string): readonly string[] {
  // A large text is not read twice for a word that does not stand in it.
  if (!text.includes('include')) return [];
  const { root } = readSource([{ file: '', text }], []);
  const tree = root?.kind === 'map' ? root.entries.get('include')?.tree : undefined;
  const read = fields.top.include.safeParse(plainOf(tree));
  return read.success ? (read.data ?? []) : [];
}

/**
 * Reads a configuration (YAML 1.2, at most 8 MiB a file); `file` is the name to print, `named` the replica
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
  // What is wrong is told with the names as they stand there.
  const spelling = config?.core.spelling ?? {};
  const told = (all: readonly Problem[]) =>
    all.map((one) => ({ ...one, message: inScript(one.message, spelling) }));
  const problems = told(source.problems());
  if (problems.length > 0 || config === null) return { ok: false, problems, wanted };
  return { ok: true, config, warnings: told(source.warnings()), wanted };
}

const DEFAULT_DETECTOR: Detector['kind'] = 'sequential';
/** One false switch of a record in ten years. */
const DEFAULT_FALSE_SWITCH_EVERY_MS = 10 * yearMs;

/** Longest path that a Unix socket's address holds (unix(7), Linux: 108 bytes with the zero). */
const socketBytesMax = 107;

const nested = ['providers', 'paths', 'clouds', 'origins', 'records', 'replicas'];
const groups = [
  ...['policy', 'dns', 'notify', 'channels', 'log', 'group', 'api', 'drills', 'metrics'],
  'audit',
];

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
  const delegations = delegationsOf(context, root, top, { records, providers });
  warnOfParts(context, { records, origins, providers, delegations });
  warnOfSharedFate(source, { replicas, group }, guardedBy(origins));

  const { cluster, stateDir = '/', listen } = top;
  const clusterKeys = readKeys(context, root);
  const core: CoreConfig = {
    cluster: cluster ?? '',
    ...{ ...membersOf(group), ...readSpelling(source, root) },
    signed: clusterKeys.length > 0,
    paths: places,
    clouds: cloudsOf(clouds, origins),
    detector,
    checks: parts.checks,
    origins: Object.fromEntries([...origins].map(([name, { config }]) => [name, config])),
    records: Object.fromEntries([...records].map(([name, r]) => [name, evictable(delegations, r)])),
    lanes,
    confirm: { burst: confirm.burst ?? 0, perSecond: confirm.perSecond ?? 0 },
  };
  checkQuorums(context, core, origins, policy);
  const asked = (id: CheckId) => context.asked.get(parts.probes[id]!);
  return {
    core: source.problems().length > 0 ? core : hashed({ core, plain: plainOf(root), asked }),
    ...{ group, clusterKeys, delegations, tables: context.tables },
    providers: Object.fromEntries(providers),
    ...ownPart(core, paths, parts, { group, most: policy.holdMost ?? 0 }),
    dns: dnsOf(dns),
    stateDir,
    socket: socketOf(context, top.socket ?? `${stateDir.replace(/\/+$/, '')}/control.sock`),
    listen: listenOf(context, listen),
    page: pageOf(context, top.page ?? 'local', listen),
    api: readApi(source, root, listen),
    gateHoldMs: top.gateHold ?? 0,
    maintenance: { origins: windowsOf(origins), records: Object.fromEntries(maintained) },
    ...{ drills, hooks, ...readWays(context, root) },
    ...lookedAt(context, part),
    ...reportsOf(context, part('sla'), top, core),
    log: { format: log.format ?? 'auto', level: log.level ?? 'info' },
  };
}

/** What audits want, and what a scrape is spared. */
function lookedAt(
  { source }: Context,
  part: (key: string) => Tree,
): Pick<Config, 'audit' | 'metrics'> {
  const { without = [] } = readFields(source, ['metrics'], part('metrics'), fields.metrics);
  const { certificateDays = 0 } = readFields(source, ['audit'], part('audit'), fields.audit);
  return { audit: { certificateDays }, metrics: { without } };
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
  core: CoreConfig,
  paths: readonly ReadPath[],
  { probes }: Parts,
  { group, most }: { readonly group: GroupConfig | null; readonly most: number },
): Pick<Config, 'paths' | 'probes' | 'held'> {
  const { checks } = core;
  const own = paths.filter(({ replica }) => group === null || replica === group.self);
  const names = new Set(own.map(({ spec }) => spec.name));
  const asked = Object.entries(probes).filter(
    ([id]) => group === null || checks[id]!.paths.some((name) => names.has(name)),
  );
  // An exporter's connections are its own.
  const opens = new Set(own.flatMap(({ spec }) => (spec.kind === 'blackbox' ? [] : [spec.name])));
  return {
    paths: Object.fromEntries(own.map(({ spec }) => [spec.name, spec])),
    probes: Object.fromEntries(asked),
    held: { wanted: heldInOrder(core, (path) => opens.has(path)), most },
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

function pageOf(
  { source }: Context,
  page: Config['page'],
  listen: string | undefined,
): Config['page'] {
  if (page === 'public' && listen === 'off') {
    source.warning(['page'], 'listen is off, so that nobody can look: give it an address');
  }
  return page;
}

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

function guardedBy(origins: ReadonlyMap<string, ReadOrigin>): ReadonlySet<string> {
  return new Set([...origins.values()].map(({ config }) => config.cloud));
}

function delegationsOf(
  context: Context,
  root: MapTree,
  { delegation = {} }: Pick<Read<typeof fields.top>, 'delegation'>,
  parts: Pick<ReadParts, 'records' | 'providers'>,
): Config['delegations'] {
  const isSigned = root.entries.has('clusterKey');
  checkDelegations(context, delegation, { ...parts, isSigned });
  return delegation;
}

/** One whose zone's NS set a person may change. */
function evictable(delegations: Config['delegations'], record: RecordConfig): RecordConfig {
  const zone = delegatedZone(Object.keys(delegations), record.name);
  return zone === null ? record : { ...record, evictable: true };
}

interface ReadParts {
  readonly records: ReadonlyMap<Name, RecordConfig>;
  readonly origins: ReadonlyMap<string, ReadOrigin>;
  readonly providers: ReadonlyMap<string, ProviderConfig>;
  readonly delegations: Config['delegations'];
}

function warnOfParts(context: Context, parts: ReadParts): void {
  warnOfIdleParts(context, parts);
  warnOfSharedServers(context, parts.records, parts.providers);
}

function warnOfIdleParts(
  { source }: Context,
  { records, origins, providers, delegations }: ReadParts,
): void {
  const all = [...records.values()];
  const led = new Set(all.flatMap((record) => record.targets.map((t) => t.origin)));
  const used = new Set(all.flatMap((record) => record.publish.map((p) => p.provider)));
  const parents = new Set(Object.values(delegations).map(({ provider }) => provider));
  for (const [name, { path }] of origins) {
    if (!led.has(name))
      source.warning(path, 'no record leads here: it is probed, and moves nothing');
  }
  const seen = new Map<string, string>();
  for (const [name, { type, settings }] of providers) {
    if (!used.has(name) && !parents.has(name)) {
      source.warning(['providers', name], 'no record is published here');
    }
    const account = JSON.stringify([type, settings]);
    const twin = seen.get(account);
    if (!used.has(name)) continue;
    seen.set(account, name);
    if (twin === undefined) continue;
    const message = `has the type and the settings of ${twin}: one account fails as one`;
    source.warning(['providers', name], `${message}, and both would write the same record`);
  }
}
