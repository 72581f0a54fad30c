// Text to configuration, or every error at once with its line (design, section 7). Pure: it looks
// nothing up, reads no file and no secret; the tables of providers and checks are given. What it
// lets through, everything behind it may rely on: every name refers to something that exists, every
// duration is in bounds, every DNS name is lower-case with its trailing dot. What is lawful but
// unwise is a warning. It must never let a secret through that is written out, nor quote one.

import { z } from 'zod';
import {
  closest,
  listOf,
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
  type Tree,
} from './config-text.ts';
import type {
  CheckConfig,
  CheckId,
  CoreConfig,
  Detector,
  Failback,
  LaneConfig,
  Name,
  OriginConfig,
  PathConfig,
  RecordConfig,
  TargetConfig,
} from './core/model.ts';
import type { CheckType, PathSpec, ProviderType } from './ports.ts';
import {
  dnsName,
  duration,
  type HostPort,
  hostPort,
  parseHostPort,
  printDuration,
} from './schema.ts';

export { type Problem, printProblem } from './config-text.ts';

export interface Config {
  readonly core: CoreConfig;
  readonly providers: Readonly<Record<string, ProviderConfig>>;
  readonly probes: Readonly<Record<CheckId, ProbeConfig>>;
  readonly paths: Readonly<Record<string, PathSpec>>;
  readonly dns: {
    readonly port: number;
    /** Addresses of root servers; null: the public ones. */
    readonly roots: readonly string[] | null;
    /** Resolvers for the names of authoritative servers; null: the system's. */
    readonly resolvers: readonly string[] | null;
    readonly timeoutMs: number;
  };
  readonly stateDir: string;
  /** Unix socket for operators. */
  readonly socket: string;
  /** Metrics, health and status over HTTP; null: off. */
  readonly listen: HostPort | null;
  readonly notify: { readonly command: readonly string[]; readonly timeoutMs: number } | null;
  readonly log: {
    readonly format: 'json' | 'text' | 'auto';
    readonly level: 'debug' | 'info' | 'warn' | 'error';
  };
}

export interface ProviderConfig {
  readonly type: string;
  /** As the row's own schema has read them. */
  readonly settings: unknown;
  /** Its authoritative servers where they cannot be found out, `HOST` or `HOST:PORT`. */
  readonly nameservers: readonly string[] | null;
  readonly callTimeoutMs: number;
}

export interface ProbeConfig {
  /** A key of the table of checks. */
  readonly kind: string;
  readonly settings: unknown;
  readonly timeoutMs: number;
}

/** What may stand in a configuration as the `type` of a provider and the kind of a check. */
export interface Tables {
  // biome-ignore lint/suspicious/noExplicitAny: each row has settings of its own.
  readonly providers: Readonly<Record<string, ProviderType<any>>>;
  // biome-ignore lint/suspicious/noExplicitAny: each row has settings of its own.
  readonly checks: Readonly<Record<string, CheckType<any>>>;
}

export type Parsed =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/**
 * Reads a configuration (YAML 1.2, at most 1 MiB); `file` is the name to print. Never throws:
 * either a configuration and its warnings, or every problem, by line, at most 200 and a count.
 */
export function parseConfig(text: string, file: string, tables: Tables): Parsed {
  const source = readSource(text, file);
  const config = source.root === null ? null : readConfig({ source, tables }, source.root);
  const problems = source.problems();
  if (problems.length > 0 || config === null) return { ok: false, problems };
  return { ok: true, config, warnings: source.warnings() };
}

// ---------------------------------------------------------------- the notation

const namePattern = /^[a-z0-9-]{1,40}$/;
const nameRule = '1 to 40 characters of a-z, 0-9 and -';

const whole = (least: number, most: number) => {
  const error = `expected a whole number from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
};

const absolutePath = z
  .string()
  .describe('an absolute path')
  .regex(/^\/[^\0]{0,1000}$/, { error: 'expected an absolute path, such as /var/lib/detour' });

const hosts = z.array(hostPort(53)).min(1).max(32);

const cadenceFields = {
  interval: duration('100ms', '1h').optional(),
  timeout: duration('50ms', '1m').optional(),
  confirm: duration('50ms', '1m').optional(),
  fall: whole(1, 20).optional(),
  rise: whole(1, 20).optional(),
};

const failbackError = 'expected manual or { after: DURATION } (1s to 30d)';
const steeringFields = {
  patience: duration('0s', '1d').optional(),
  failback: z
    .union([z.literal('manual'), z.strictObject({ after: duration('1s', '30d') })], {
      error: failbackError,
    })
    .transform(
      (value): Failback =>
        value === 'manual' ? { kind: 'manual' } : { kind: 'after', ms: value.after },
    )
    .optional(),
  switchesPerHour: whole(1, 60).optional(),
  drift: z.enum(['report', 'repair']).optional(),
};

const ttl = whole(0, 604_800);

const fields = {
  top: {
    cluster: z
      .string()
      .describe('name of this deployment, public in its markers')
      .regex(namePattern, { error: `expected ${nameRule}` }),
    stateDir: absolutePath.default('/var/lib/detour'),
    socket: absolutePath.optional(),
    listen: z
      .union([z.literal('off'), hostPort(null)], {
        error: 'expected off or HOST:PORT, such as 127.0.0.1:9353',
      })
      .default('127.0.0.1:9353'),
  },
  policy: { ...cadenceFields, ...steeringFields },
  confirmBudget: {
    burst: whole(1, 100_000).default(400),
    perSecond: whole(1, 100_000).default(200),
  },
  dns: {
    port: whole(1, 65_535).default(53),
    roots: hosts.optional(),
    resolvers: hosts.optional(),
    timeout: duration('50ms', '30s').default(1000),
  },
  notify: {
    command: z.array(z.string().min(1).max(4096)).min(1).max(64),
    timeout: duration('100ms', '5m').default(10_000),
  },
  log: {
    format: z.enum(['json', 'text', 'auto']).default('auto'),
    level: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  },
  path: {
    site: z.string().min(1).max(60).optional().describe('where it is'),
    uplink: z.string().min(1).max(60).optional().describe('the line it leaves by'),
  },
  provider: {
    nameservers: hosts
      .optional()
      .describe('its authoritative servers, where they cannot be found out'),
    timeout: duration('100ms', '1m').default(2000).describe('limit of one call to the API'),
  },
  origin: {
    cloud: z
      .string()
      .describe('who runs it')
      .regex(namePattern, { error: `expected ${nameRule}` }),
    region: z
      .string()
      .regex(/^[\w.-]{1,60}$/, { error: 'expected a region, such as eu-central-1' })
      .optional(),
  },
  check: { ...cadenceFields, advisory: z.boolean().default(false) },
  record: {
    ttl: ttl.default(60).describe('seconds that resolvers may keep an answer'),
    mode: z.enum(['observe', 'steer']).default('observe'),
    ...steeringFields,
  },
  publish: { provider: z.string().describe('name of a provider'), ttl: ttl.optional() },
  target: { origin: z.string().describe('name of an origin'), cname: dnsName },
} as const;

const defaults = {
  intervalMs: 5000,
  timeoutMs: 2000,
  confirmMs: 500,
  fall: 3,
  rise: 2,
  patienceMs: 10_000,
  failback: { kind: 'manual' },
  switchesPerHour: 3,
  drift: 'report',
} as const;

/** One false switch of a record in ten years. */
const DEFAULT_DETECTOR: Detector = {
  kind: 'sequential',
  falseSwitchEveryMs: 10 * 365.25 * 86_400_000,
};

type Policy = Read<typeof fields.policy>;

/** Longest path that a Unix socket's address holds (unix(7), Linux: 108 bytes with the zero). */
const socketBytesMax = 107;

/** A record's name and its marker's, `_detour.<name>`, both fit into 253 characters. */
const recordNameMax = 253 - '_detour.'.length;

/** Above this TTL in seconds a warning says what it costs. */
const ttlWarned = 300;

// ---------------------------------------------------------------- reading

interface Context {
  readonly source: Source;
  readonly tables: Tables;
}

const nested = ['providers', 'paths', 'clouds', 'origins', 'records'];
const groups = ['policy', 'dns', 'notify', 'log'];

/** The whole; what is wrong has been noted, and then the result is of no use. */
function readConfig(context: Context, root: Tree): Config | null {
  const { source } = context;
  const top = readFields(source, [], root, fields.top, [...nested, ...groups]);
  if (root.kind !== 'map') return null;
  const group = (key: string) => root.entries.get(key)?.tree ?? emptyMap;
  const policyTree = group('policy');
  const policy = readFields(source, ['policy'], policyTree, fields.policy, ['confirmBudget']);
  checkCadence(context, ['policy'], policyTree, policy, {});
  const budget =
    (policyTree.kind === 'map' && policyTree.entries.get('confirmBudget')?.tree) || emptyMap;
  const confirm = readFields(source, ['policy', 'confirmBudget'], budget, fields.confirmBudget);
  const dns = readFields(source, ['dns'], group('dns'), fields.dns);
  const log = readFields(source, ['log'], group('log'), fields.log);
  const notify = root.entries.has('notify')
    ? readFields(source, ['notify'], group('notify'), fields.notify)
    : null;

  const paths = readPaths(context, root);
  const { providers, lanes } = readProviders(context, root);
  const clouds = readClouds(context, root);
  const { origins, checks, probes } = readOrigins(
    context,
    root,
    policy,
    clouds,
    Object.keys(paths),
  );
  const records = readRecords(context, root, policy, origins, providers);
  warnOfIdleParts(context, records, origins, providers);

  const { cluster, stateDir = '/', listen } = top;
  const socket = top.socket ?? `${stateDir.replace(/\/+$/, '')}/control.sock`;
  if (Buffer.byteLength(socket) > socketBytesMax) {
    const message = `${show(socket)} is longer than the ${socketBytesMax} bytes a socket may have`;
    source.problem(['socket'], `${message}: give a shorter one`);
  }
  const core: CoreConfig = {
    cluster: cluster ?? '',
    paths: groupPaths(Object.keys(paths)),
    clouds: Object.fromEntries(
      [...new Set([...(clouds ?? []), ...[...origins.values()].map((o) => o.config.cloud)])].map(
        (name) => [name, { name, checks: [] }],
      ),
    ),
    detector: DEFAULT_DETECTOR,
    checks,
    origins: Object.fromEntries([...origins].map(([name, { config }]) => [name, config])),
    records: Object.fromEntries(records),
    lanes,
    confirm: { burst: confirm.burst ?? 0, perSecond: confirm.perSecond ?? 0 },
  };
  return {
    core,
    providers: Object.fromEntries(providers),
    probes,
    paths,
    dns: {
      port: dns.port ?? 0,
      roots: dns.roots ?? null,
      resolvers: dns.resolvers ?? null,
      timeoutMs: dns.timeout ?? 0,
    },
    stateDir,
    socket,
    listen: listen === undefined || listen === 'off' ? null : parseHostPort(listen, null),
    notify: notify && { command: notify.command ?? [], timeoutMs: notify.timeout ?? 0 },
    log: { format: log.format ?? 'auto', level: log.level ?? 'info' },
  };
}

const emptyMap: MapTree = { kind: 'map', entries: new Map(), offset: 0, size: 1, depth: 0 };

/** The named entries of a map, those with a lawful name; notes what is missing or no map. */
function entriesOf(
  { source }: Context,
  path: Path,
  parent: Tree | undefined,
  what: string,
  nameOf: (key: string) => string | null = plainName,
): [name: string, tree: Tree, path: Path][] {
  const key = path.at(-1)!;
  const tree = parent?.kind === 'map' ? parent.entries.get(String(key))?.tree : undefined;
  if (tree === undefined) {
    source.problem(path, `is missing; expected a map of at least one ${what} by its name`, 'key');
    return [];
  }
  if (tree.kind !== 'map' || tree.entries.size === 0) {
    const got = tree.kind === 'map' ? 'an empty one' : show(plainOf(tree));
    source.problem(path, `expected a map of at least one ${what} by its name, got ${got}`);
    return [];
  }
  const entries: [string, Tree, Path][] = [];
  for (const [word, entry] of tree.entries) {
    const name = nameOf(word);
    if (name !== null) entries.push([name, entry.tree, [...path, word]]);
    else source.problem([...path, word], `expected ${nameRule} as the name`, 'key');
  }
  return entries;
}

function plainName(key: string): string | null {
  return namePattern.test(key) ? key : null;
}

function readPaths(context: Context, root: MapTree): Record<string, PathSpec> {
  const { source } = context;
  const alone = 'one path alone decides; a second, independent one would have to agree';
  if (!root.entries.has('paths')) {
    source.warning([], alone);
    return { direct: directPath('direct') };
  }
  const paths: Record<string, PathSpec> = {};
  for (const [name, tree, path] of entriesOf(context, ['paths'], root, 'path')) {
    // Written as `office:` with nothing behind it.
    const isEmpty = tree.kind === 'scalar' && tree.value === null;
    readFields(source, path, isEmpty ? emptyMap : tree, fields.path);
    paths[name] = directPath(name);
  }
  const names = Object.keys(paths);
  if (names.length === 1) source.warning(['paths'], alone);
  if (names.length > 1) {
    const message = `${listOf(names)} all leave by this machine's own route and fail together`;
    source.warning(['paths'], `${message}: they are not independent votes`);
  }
  return paths;
}

function directPath(name: string): PathSpec {
  return { name, kind: 'direct', localAddress: null, resolver: null };
}

/** Paths that leave by this machine's own route fail together: one group, one vote. */
function groupPaths(names: readonly string[]): Record<string, PathConfig> {
  const group = names.toSorted().join('+');
  return Object.fromEntries(
    names.map((name) => [name, { name, group, cloud: null, references: [] }]),
  );
}

/** The clouds that are named as such; null when the origins alone name them. */
function readClouds(context: Context, root: MapTree): readonly string[] | null {
  if (!root.entries.has('clouds')) return null;
  return entriesOf(context, ['clouds'], root, 'cloud').map(([name, tree, path]) => {
    const isEmpty = tree.kind === 'map' && tree.entries.size === 0;
    if (!isEmpty && plainOf(tree) !== null) {
      const message = 'expected nothing or {}: checks of a cloud itself are not understood';
      context.source.problem(path, `${message}; put checks below origins`);
    }
    return name;
  });
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
function readProvider({ source, tables }: Context, path: Path, tree: Tree): ProviderConfig {
  const known = Object.keys(tables.providers);
  if (tree.kind !== 'map') {
    source.problem(path, 'expected a map with type and the settings of that type');
    return { type: '', settings: null, nameservers: null, callTimeoutMs: 0 };
  }
  const common = new Set(['type', ...Object.keys(fields.provider)]);
  const own = { ...tree, entries: new Map([...tree.entries].filter(([key]) => !common.has(key))) };
  const shared = {
    ...tree,
    entries: new Map([...tree.entries].filter(([k]) => Object.hasOwn(fields.provider, k))),
  };
  const { nameservers, timeout } = readFields(source, path, shared, fields.provider);
  const type = plainOf(tree.entries.get('type')?.tree);
  const row = typeof type === 'string' ? rowOf(tables.providers, type) : undefined;
  let settings: unknown = null;
  if (row !== undefined) {
    settings = readPlain(source, path, plainOf(own), row.settings, 'kind', [...common]);
  } else if (type === undefined) {
    source.problem([...path, 'type'], `is missing; expected ${listOf(known, 'or')}`);
  } else {
    source.problem([...path, 'type'], notAmong('type of provider', type, known));
  }
  return {
    type: row === undefined ? '' : String(type),
    settings,
    nameservers: nameservers ?? null,
    callTimeoutMs: timeout ?? 0,
  };
}

function rowOf<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

/** `there is no origin "tokio"; did you mean tokyo? (there is hangzhou and tokyo)` */
function notAmong(what: string, value: unknown, known: readonly string[]): string {
  const close = typeof value === 'string' ? closest(value, known) : null;
  const hint = close === null ? '' : `; did you mean ${close}?`;
  const choice = known.length === 0 ? 'there is none' : `known: ${listOf(known)}`;
  return `there is no ${what} ${show(value)}${hint} (${choice})`;
}

// ---------------------------------------------------------------- origins and checks

interface ReadOrigin {
  readonly config: OriginConfig;
  readonly path: Path;
}

interface ReadOrigins {
  readonly origins: ReadonlyMap<string, ReadOrigin>;
  readonly checks: Record<CheckId, CheckConfig>;
  readonly probes: Record<CheckId, ProbeConfig>;
}

function readOrigins(
  context: Context,
  root: MapTree,
  policy: Policy,
  clouds: readonly string[] | null,
  paths: readonly string[],
): ReadOrigins {
  const { source } = context;
  const origins = new Map<string, ReadOrigin>();
  const checks: Record<CheckId, CheckConfig> = {};
  const probes: Record<CheckId, ProbeConfig> = {};
  for (const [name, tree, path] of entriesOf(context, ['origins'], root, 'origin')) {
    const { cloud = '', region = null } = readFields(source, path, tree, fields.origin, ['checks']);
    if (clouds !== null && cloud !== '' && !clouds.includes(cloud)) {
      source.problem([...path, 'cloud'], notAmong('cloud', cloud, clouds));
    }
    const config = {
      ...{ name, cloud, region, checks: [] as CheckId[], needs: [] },
      quorum: { kind: 'majority' } as const,
    };
    origins.set(name, { config, path });
    if (tree.kind !== 'map') continue;
    let required = 0;
    for (const [word, below, at] of entriesOf(context, [...path, 'checks'], tree, 'check')) {
      const id = `${name}/${word}`;
      const own = { id, role: 'origin', origin: name, cloud, plane: null, region, paths } as const;
      const { check, probe } = readCheck(context, at, below, policy, own);
      config.checks.push(id);
      checks[id] = check;
      probes[id] = probe;
      if (!check.advisory) required++;
    }
    if (required === 0 && config.checks.length > 0) {
      const message = 'all checks are advisory, so nothing says whether this origin is up';
      source.problem([...path, 'checks'], `${message}: leave advisory out of one`);
    }
  }
  return { origins, checks, probes };
}

type CheckPlace = Pick<
  CheckConfig,
  'id' | 'role' | 'origin' | 'cloud' | 'plane' | 'region' | 'paths'
>;

/** One check: its kind's own settings beside its cadence. Values of the kind are not quoted. */
function readCheck(
  context: Context,
  path: Path,
  tree: Tree,
  policy: Policy,
  own: CheckPlace,
): { check: CheckConfig; probe: ProbeConfig } {
  const { source, tables } = context;
  const map = tree.kind === 'map' ? tree : emptyMap;
  const split = (mine: boolean): MapTree => {
    const entries = [...map.entries].filter(([key]) => Object.hasOwn(fields.check, key) === mine);
    return { ...map, entries: new Map(entries) };
  };
  const given = readFields(source, path, split(true), fields.check);
  checkCadence(context, path, map, given, policy);
  const rest = split(false);
  const keys = [...rest.entries.keys()];
  const found = keys.filter((key) => Object.hasOwn(tables.checks, key));
  const [kind = ''] = found;
  let settings: unknown = null;
  if (found.length === 1) {
    const row = tables.checks[kind]!;
    settings = readPlain(
      source,
      path,
      plainOf(rest),
      row.settings,
      'kind',
      Object.keys(fields.check),
    );
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
  const check: CheckConfig = {
    ...own,
    intervalMs,
    timeoutMs,
    confirmMs: given.confirm ?? policy.confirm ?? Math.min(defaults.confirmMs, intervalMs),
    fall: given.fall ?? policy.fall ?? defaults.fall,
    rise: given.rise ?? policy.rise ?? defaults.rise,
    advisory: given.advisory ?? false,
  };
  return { check, probe: { kind, settings, timeoutMs } };
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

// ---------------------------------------------------------------- records

function readRecords(
  context: Context,
  root: MapTree,
  policy: Policy,
  origins: ReadonlyMap<string, ReadOrigin>,
  providers: ReadonlyMap<string, ProviderConfig>,
): ReadonlyMap<Name, RecordConfig> {
  const { source } = context;
  const records = new Map<Name, RecordConfig>();
  const places: { record: RecordConfig; path: Path; targets: readonly ReadTarget[] }[] = [];
  for (const [word, tree, path] of entriesOf(context, ['records'], root, 'record', (key) => key)) {
    const name = readRecordName(context, path, word);
    const given = readFields(source, path, tree, fields.record, ['publish', 'targets']);
    const recordTtl = given.ttl ?? 0;
    const targets = readTargets(context, path, tree, origins);
    const record: RecordConfig = {
      name,
      mode: given.mode ?? 'observe',
      targets: targets.map(({ origin, cname }) => ({ origin, cname })),
      publish: readPublish(context, path, tree, recordTtl, providers),
      patienceMs: given.patience ?? policy.patience ?? defaults.patienceMs,
      failback: given.failback ?? policy.failback ?? defaults.failback,
      switchesPerHour: given.switchesPerHour ?? policy.switchesPerHour ?? defaults.switchesPerHour,
      drift: given.drift ?? policy.drift ?? defaults.drift,
    };
    if (name !== '' && records.has(name))
      source.problem(path, `${name} stands twice: keep one`, 'key');
    records.set(name, record);
    places.push({ record, path, targets });
    warnOfTtl(context, [...path, 'ttl'], recordTtl);
    warnOfRecord(context, path, record, origins);
  }
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
  return records;
}

/** The record's name, or '' once it is noted what is wrong with it. */
function readRecordName({ source }: Context, path: Path, word: string): Name {
  const read = dnsName.safeParse(word);
  if (!read.success) {
    source.problem(path, `${read.error.issues[0]!.message}, got ${show(word)}`, 'key');
    return '';
  }
  const name = read.data;
  if (name.length - 1 > recordNameMax) {
    const message = `the name is ${name.length - 1} characters long; at most ${recordNameMax}`;
    source.problem(path, `${message} leave room for its marker at _detour.<name>`, 'key');
  }
  if (name.startsWith('_detour.')) {
    source.problem(path, 'names below _detour. are for markers: name the record itself', 'key');
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
  recordTtl: number,
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
    publish.push({ provider, ttl: override ?? recordTtl });
  }
  return publish;
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
  for (const name of providers.keys()) {
    if (!used.has(name)) source.warning(['providers', name], 'no record is published here');
  }
}

// ---------------------------------------------------------------- for editors

/**
 * The shape of a configuration as a JSON Schema (draft 2020-12), for editors: it knows every key
 * and its form, and leaves to `detour validate` what needs more than one place.
 */
export function jsonSchema(tables: Tables): object {
  const name = z.string().regex(namePattern);
  const byName = (value: z.ZodType) => z.record(name, value);
  /** Stands for the settings of a row until they are put in its place. */
  const hole = (of: string) => z.unknown().meta({ 'x-rows': of });
  const shape = z.strictObject({
    ...fields.top,
    providers: byName(hole('providers')),
    paths: byName(z.strictObject(fields.path).nullable()).optional(),
    clouds: byName(z.strictObject({}).nullable()).optional(),
    origins: byName(z.strictObject({ ...fields.origin, checks: byName(hole('checks')) })),
    records: z.record(
      z.string(),
      z.strictObject({
        ...fields.record,
        publish: z.array(z.union([name, z.strictObject(fields.publish)])).min(1),
        targets: z.array(z.strictObject(fields.target)).min(1),
      }),
    ),
    policy: z
      .strictObject({
        ...fields.policy,
        confirmBudget: z.strictObject(fields.confirmBudget).optional(),
      })
      .optional(),
    dns: z.strictObject(fields.dns).optional(),
    notify: z.strictObject(fields.notify).optional(),
    log: z.strictObject(fields.log).optional(),
  });
  const providers = Object.entries(tables.providers).map(([type, row]) =>
    withKeys(schemaOf(row.settings), { type: z.literal(type), ...fields.provider }),
  );
  const checks = Object.values(tables.checks).map((row) =>
    withKeys(schemaOf(row.settings), fields.check),
  );
  const rows: Readonly<Record<string, object>> = {
    providers: { anyOf: providers },
    checks: { anyOf: checks },
  };
  const filled = JSON.stringify(schemaOf(shape), (_key, value) => rows[value?.['x-rows']] ?? value);
  return { title: 'Configuration of Detour', ...JSON.parse(filled) };
}

function schemaOf(schema: z.ZodType): Record<string, unknown> {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
}

/** A row's schema with the keys that Detour itself reads beside it. */
function withKeys(own: Record<string, unknown>, keys: Record<string, z.ZodType>): object {
  const more = schemaOf(z.strictObject(keys)) as typeof own;
  const { $schema: _, ...rest } = own;
  return {
    ...rest,
    properties: { ...(more['properties'] as object), ...(own['properties'] as object) },
    required: [...((more['required'] as []) ?? []), ...((own['required'] as []) ?? [])],
  };
}
