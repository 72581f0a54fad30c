// Makes adapters out of a configuration: the same for the daemon and for `switch --direct`. It opens
// no connection and decides nothing; what can be wrong here is a secret or file that cannot be had.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { providerTypes } from '../../providers/index.ts';
import { type Auditor, createAuditor } from '../audit/audit.ts';
import { createKeyring, type Keyring, proving, signing } from '../cluster/keyring.ts';
import { type Config, includesOf, parseConfig, printProblem } from '../config/config.ts';
import type { Included } from '../config/context.ts';
import type { Tables } from '../config/tables.ts';
import type { ChannelConfig } from '../config/ways.ts';
import type { Adapters } from '../controller.ts';
import { noticeSeverities } from '../core/model.ts';
import { accompanied, type Texts } from '../dns/company.ts';
import { createResolver } from '../dns/resolver.ts';
import { createServers } from '../dns/servers.ts';
import { createVerifier } from '../dns/verify.ts';
import { whyOfFile } from '../kit/errno.ts';
import type { Provider } from '../kit/extend.ts';
import { type Renewal, Renewed, type Secrets } from '../kit/renew.ts';
import {
  isCredentialName,
  parseHostPort,
  parseSubnet,
  type SecretRef,
  type Subnet,
} from '../kit/schema.ts';
import { markOfSecret, readSecret, SecretError } from '../kit/secret.ts';
import type { ChannelSpec, Channels } from '../notify/channels.ts';
import { createChannels } from '../notify/channels.ts';
import { createHooks } from '../notify/hooks.ts';
import { notifierTypes } from '../notify/index.ts';
import { givenTo } from '../notify/run.ts';
import type { Clock, Prober, Verifier } from '../ports.ts';
import {
  checkTypes,
  createProber,
  fileProblems,
  holding,
  pathProblem,
  secretProblems,
} from '../probes/index.ts';
import { LINK_PURPOSE } from '../serve/link.ts';
import { locateCredential } from './credentials.ts';
import { environment } from './environment.ts';
import { createEviction, type DelegationOrders } from './evict.ts';
import { createLinker } from './links.ts';
import { withPackages } from './plugins.ts';
import { renewing, renewingNotifier } from './renew.ts';
import { surroundingsOf } from './surroundings.ts';
import { visitsOf } from './visits.ts';

/** The configuration cannot be used; every reason, one a line. */
export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/** Detour's own rows; what a configuration adds to them by packages stands in its `tables`. */
export const tables: Tables = {
  providers: providerTypes,
  checks: checkTypes,
  notifiers: notifierTypes,
  pathProblem,
  holding,
};

export interface Loaded {
  readonly config: Config;
  readonly warnings: readonly string[];
}

interface LoadOptions {
  /** No package is loaded: what comes can be looked at and not be built. */
  readonly byName?: boolean;
  /** Which replica this is, before the environment and the file; absent, null: as they say. */
  readonly replica?: string | null;
  /** All replicas' paths as one daemon's, for a look that needs no one of them. */
  readonly together?: boolean;
  /** In place of what the file holds now. */
  readonly texts?: ConfigTexts;
}

/** What a configuration file and the folders that it includes hold. */
interface ConfigTexts {
  readonly text: string;
  readonly included: Included;
}

/** Files of one folder that are read at most. */
const filesMax = 500;

/** Throws ConfigError where the file itself cannot be read. */
export function textsOf(path: string): ConfigTexts {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError([`${path} ${whyOfFile(error)}: name the configuration with -c FILE`]);
  }
  const folders = includesOf(text);
  return { text, included: Object.fromEntries(folders.map((at) => [at, inFolder(path, at)])) };
}

/** Its YAML files by name, but not what is hidden: editors leave such things behind. */
function inFolder(path: string, folder: string): Included[string] {
  const whole = resolve(dirname(path), folder);
  try {
    const names = readdirSync(whole).filter((name) => /^[^.].*\.ya?ml$/.test(name));
    if (names.length > filesMax) return { why: `holds more than ${filesMax} files` };
    return names.sort().map((name) => {
      const file = join(dirname(path), folder, name);
      return { file, text: readFileSync(join(whole, name), 'utf8') };
    });
  } catch (error) {
    return { why: `${whyOfFile(error)}: a folder with *.yaml files is wanted` };
  }
}

/**
 * Reads and checks a configuration file, and loads the packages that it names, each once in the life
 * of this process. Throws ConfigError with every problem at once.
 */
export async function loadConfig(path: string, options: LoadOptions = {}): Promise<Loaded> {
  const { text, included } = options.texts ?? textsOf(path);
  const named = options.together ? 'all' : namedReplica(options.replica ?? null);
  let parsed = parseConfig(text, path, tables, named, included);
  if (parsed.wanted.size > 0 && !options.byName) {
    const { wanted } = parsed;
    const whole = await withPackages(tables, wanted, dirname(resolve(path)));
    parsed = parseConfig(text, path, whole, named, included);
  }
  if (!parsed.ok) throw new ConfigError(parsed.problems.map(printProblem));
  return { config: parsed.config, warnings: parsed.warnings.map(printProblem) };
}

/** Which replica this is, by the word that goes before the file's; null: as the file says. */
function namedReplica(word: string | null): { name: string; by: string } | null {
  if (word !== null) return { name: word, by: '--replica' };
  const { DETOUR_REPLICA: name } = environment();
  return name ? { name, by: 'DETOUR_REPLICA' } : null;
}

/** The same, and the files that it names. One that is absent may be there where it is used. */
export async function lookAtConfig(path: string, options: LoadOptions): Promise<Loaded> {
  const { config, warnings } = await loadConfig(path, options);
  const files = fileProblems(config.probes, config.paths);
  const found = [...files, ...secretFiles(config)];
  const damaged = found.filter(({ isAbsent }) => !isAbsent);
  if (damaged.length > 0) throw new ConfigError(damaged.map(({ text }) => text));
  return { config, warnings: [...warnings, ...found.map(({ text }) => text)] };
}

/** The files of secrets and authorities that cannot be used, each once; none of them is read. */
function secretFiles(
  config: Config,
): readonly { readonly text: string; readonly isAbsent: boolean }[] {
  const seen = new Set<string>();
  const places = [
    ...Object.entries(config.providers).map(([name, p]) => [`providers.${name}`, p] as const),
    ...Object.entries(config.paths).map(([name, p]) => [`paths.${name}`, p] as const),
    ...Object.entries(config.probes).map(([id, p]) => [`check ${id}`, p] as const),
    ['notify', config.notify] as const,
    ...Object.entries(config.channels).map(([name, c]) => [`channels.${name}`, c] as const),
    ['group', config.group] as const,
    ['api', config.api] as const,
  ];
  return places.flatMap(([where, part]) =>
    [...filesIn(part, 0), ...plainFiles(config, where)].flatMap((file) => {
      if (seen.has(file)) return [];
      seen.add(file);
      const wrong = problemOfFile(file);
      return wrong === null ? [] : { ...wrong, text: `${where}: file ${file} ${wrong.text}` };
    }),
  );
}

/** Those that stand as plain paths. */
function plainFiles(config: Config, where: string): readonly string[] {
  if (where === 'group') return tlsFiles(config);
  return where === 'api' && config.api !== null ? [config.api.cert, config.api.key] : [];
}

function tlsFiles({ group }: Config): readonly string[] {
  const { tls = null, engine = null } = group ?? {};
  const shown = engine?.kind === 'etcd' ? engine : null;
  const identities = [tls, shown?.identity].flatMap((one) => (one ? [one.cert, one.key] : []));
  return [tls?.ca, shown?.ca, ...identities].filter((file) => typeof file === 'string');
}

function problemOfFile(file: string): { readonly text: string; readonly isAbsent: boolean } | null {
  try {
    const found = statSync(file);
    const text = !found.isFile() ? 'is no plain file' : found.size === 0 ? 'is empty' : null;
    return text === null ? null : { text, isAbsent: false };
  } catch (error) {
    // Keys lie where the daemon runs, and may be its user's alone.
    return { text: `${whyOfFile(error)} (it must be, where the daemon runs)`, isAbsent: true };
  }
}

/** Of all `{ file: PATH }` in some settings; they are parsed, so nothing else has that form. */
function filesIn(value: unknown, depth: number): readonly string[] {
  if (typeof value !== 'object' || value === null || depth > 8) return [];
  const entries = Object.entries(value);
  const [first] = entries;
  const isRef = entries.length === 1 && first![0] === 'file' && typeof first![1] === 'string';
  if (isRef) return [first![1] as string];
  return entries.flatMap(([, inner]) => filesIn(inner, depth + 1));
}

/** The adapters, and what audits them: both of one configuration, closed together. */
export interface Built extends Adapters {
  readonly auditor: Auditor;
  /** A person's orders about delegations. */
  readonly eviction: DelegationOrders;
  /** The notifier, by its channels; null: nobody is told. */
  readonly channels: Channels | null;
}

/** Told when something was made again because its secrets have changed, or could not be. */
type Told = (where: string, renewal: Renewal) => void;

interface BuildOptions {
  readonly remember: boolean;
  readonly told?: Told;
  /** Told of what goes wrong with a channel. */
  readonly channelTrouble?: (sentence: string) => void;
}

/** Throws ConfigError naming every secret that cannot be had. */
export function buildAdapters(config: Config, clock: Clock, options: BuildOptions): Built {
  // A check whose secret or file is missing would only ever be blind: said at once, not at 3 a.m.
  const missing = [
    ...secretProblems(config.probes, config.paths, { secret }, config.tables.checks),
    ...fileProblems(config.probes, config.paths).map(({ text }) => text),
  ];
  if (missing.length > 0) throw new ConfigError(missing);
  const told = options.told ?? (() => {});
  const keys = buildKeys(config, told);
  const channels = buildChannels(config, clock, { ...options, told, keys });
  const { records } = config.core;
  const texts: Texts = (...asked) => asker.texts(...asked);
  const providers = Object.fromEntries(
    Object.entries(buildProviders(config, told)).map(([name, plain]) => {
      const provider = accompanied(plain, texts);
      return [name, keys === null ? provider : signing(provider, () => keys.get(), records)];
    }),
  );
  const { dns } = config;
  const resolver = createResolver({
    roots: dns.roots,
    port: dns.port,
    timeoutMs: dns.timeoutMs,
    clock,
    ...(dns.resolvers === null
      ? {}
      : { resolvers: dns.resolvers.map((r) => parseHostPort(r, 53)!) }),
  });
  const configured = Object.entries(config.providers).map(([n, p]) => [n, p.nameservers] as const);
  const servers = createServers({
    providers,
    configured: Object.fromEntries(configured),
    clock,
    file: options.remember ? join(config.stateDir, 'nameservers.json') : null,
  });
  const { port, timeoutMs } = dns;
  const asker = createVerifier({ servers, resolver, port, timeoutMs, subnets: subnetsOf(config) });
  const close = () => {
    keys?.close();
    asker.close();
    resolver.close();
  };
  const asking: Verifier = {
    ask: (...asked) => asker.ask(...asked),
    chain: (...asked) => asker.chain(...asked),
    close,
  };
  const verifier = keys === null ? asking : proving(asking, () => keys.get(), records);
  const looking = {
    ...{ records, providers, servers, resolver, verifier, texts, clock, port, timeoutMs },
    surroundings: surroundingsOf(config, Object.keys(providers)),
    visits: visitsOf(config, { secret }),
  };
  const auditor = createAuditor(looking);
  const eviction = createEviction({
    ...looking,
    config,
    keys: keys === null ? null : () => keys.get(),
  });
  const prober = buildProber(config, options.told, config.held);
  const hooked = new Map(Object.entries(config.hooks));
  const hooks = hooked.size === 0 ? {} : { hooks: createHooks(hooked, givenTo(secret)) };
  const own = { channels, auditor, eviction };
  return { prober, providers, verifier, notifier: channels, ...own, ...hooks };
}

/** Where users of each line are, by provider. */
function subnetsOf({ providers }: Config): Readonly<Record<string, ReadonlyMap<string, Subnet>>> {
  const all = Object.entries(providers).map(([name, { lineSubnets = {} }]) => {
    const known = Object.entries(lineSubnets).map(([l, text]) => [l, parseSubnet(text)!] as const);
    return [name, new Map(known)] as const;
  });
  return Object.fromEntries(all);
}

/** A prober that may read the secrets its checks and paths refer to. */
export function buildProber(
  { probes, paths, tables: { checks } }: Pick<Config, 'probes' | 'paths' | 'tables'>,
  told: Told = () => {},
  held?: Config['held'],
): Prober {
  return createProber(probes, paths, {
    secret,
    mark: secrets.mark,
    told: (check, renewal) => told(`check ${check}`, renewal),
    types: checks,
    ...(held === undefined ? {} : { held }),
  });
}

const secret = (ref: SecretRef): string => {
  const found = located(ref);
  if (typeof found === 'string') throw new SecretError(found);
  return readSecret(found, environment());
};
/** Throws SecretError. */
export function readSecretOf(ref: SecretRef): string {
  return secret(ref);
}

/** Where secrets come from, and how it is seen that they have changed. */
export const secrets: Secrets = {
  read: secret,
  mark: (ref) => {
    const found = located(ref);
    return markOfSecret(typeof found === 'string' ? ref : found, environment());
  },
};

/** A credential of the unit's, where systemd has not handed it over; or why it cannot be had. */
function located(ref: SecretRef): SecretRef | string {
  const { CREDENTIALS_DIRECTORY: handed, DETOUR_UNIT: unit } = environment();
  if (!('credential' in ref) || handed || !isCredentialName(ref.credential)) return ref;
  const found = locateCredential(ref.credential, unit);
  return found.ok ? { file: found.path } : `credential ${ref.credential}: ${found.sentence}`;
}

/** Each channel that is configured, what stands under `notify:` first. */
export function channelSpecs(
  { notify, channels, tables }: Config,
  clock: Pick<Clock, 'wall'>,
  told: Told = () => {},
): readonly ChannelSpec[] {
  const all: [where: string, name: string, channel: ChannelConfig][] = [
    ...(notify === null ? [] : [['notify', 'notify', { ...notify, ...everything }] as const]),
    ...Object.entries(channels).map(([name, one]) => [`channels.${name}`, name, one] as const),
  ].map(([where, name, channel]) => [where, name, channel]);
  const problems: string[] = [];
  const specs = all.flatMap(([where, name, channel]) => {
    const { type, settings, severity, records, quietMs } = channel;
    try {
      const notifier = renewingNotifier(secrets, {
        make: (secret) =>
          tables.notifiers[type]!.create(settings, { secret, wall: () => clock.wall() }),
        told: (renewal) => told(where, renewal),
      });
      return [{ name, notifier, rule: { severity, records, quietMs } }];
    } catch (error) {
      if (!(error instanceof SecretError)) throw error;
      problems.push(`${where}: ${error.message}`);
      return [];
    }
  });
  if (problems.length > 0) throw new ConfigError(problems);
  return specs;
}

const everything = { severity: noticeSeverities, records: null, quietMs: 0 };

function buildChannels(
  config: Config,
  clock: Clock,
  {
    told,
    keys,
    channelTrouble = () => {},
  }: Omit<BuildOptions, 'remember'> & {
    readonly keys: Renewed<Keyring> | null;
  },
): Channels | null {
  const specs = channelSpecs(config, clock, told);
  if (specs.length === 0) return null;
  const { cluster, group, spelling } = config.core;
  const url = config.api?.url ?? null;
  return createChannels({
    cluster,
    replica: group?.self ?? null,
    clock,
    specs,
    apiUrl: url,
    spelling,
    ...(url === null || keys === null
      ? {}
      : { linkFor: createLinker(url, () => keys.get().derive(LINK_PURPOSE)) }),
    trouble: channelTrouble,
  });
}

/** What signs and proves markers; null without a cluster key. */
export function buildKeys(
  { clusterKeys }: Pick<Config, 'clusterKeys'>,
  told: Told,
): Renewed<Keyring> | null {
  if (clusterKeys.length === 0) return null;
  const make = (secret: (ref: SecretRef) => string) => createKeyring(clusterKeys.map(secret));
  try {
    return new Renewed(secrets, make, {
      told: (renewal) => told('clusterKey', renewal),
      graceMs: 0,
    });
  } catch (error) {
    if (!(error instanceof SecretError)) throw error;
    throw new ConfigError([`clusterKey: ${error.message}`]);
  }
}

function buildProviders(config: Config, told: Told): Record<string, Provider> {
  const problems: string[] = [];
  const providers: Record<string, Provider> = {};
  for (const [name, p] of Object.entries(config.providers)) {
    const { callTimeoutMs } = p;
    const type = config.tables.providers[p.type]!;
    try {
      providers[name] = renewing(secrets, {
        make: (secret) =>
          type.create(name, p.settings, { secret, current: secrets.read, callTimeoutMs }),
        told: (renewal) => told(`providers.${name}`, renewal),
      });
    } catch (error) {
      if (!(error instanceof SecretError)) throw error;
      problems.push(`providers.${name}: ${error.message}`);
    }
  }
  if (problems.length === 0) return providers;
  for (const provider of Object.values(providers)) provider.close();
  throw new ConfigError(problems);
}
