// The words of `detour init` as settings: accounts, targets and how DNS is asked, each read by the
// same rows and with the same errors as in a configuration. Pure: it asks nobody and reads no secret.
// It must never quote what stands at an account: any of it may be a secret in the wrong place.

import { resolve } from 'node:path';
import type { Name } from '../core/model.ts';
import { dnsName, type SecretRef } from '../kit/schema.ts';
import { type Config, parseConfig } from './config.ts';
import { namePattern, nameRule } from './fields.ts';
import type { Tables, Wanted } from './tables.ts';

/** A setting as it will stand in the file. */
export type Spelt = string | SecretRef | readonly Spelt[] | { readonly [key: string]: Spelt };

/** One account, by the name that it is to have. */
export interface WishedProvider {
  readonly name: string;
  readonly spelt: { readonly [key: string]: Spelt };
}

/** A value that records may take. */
interface WishedTarget {
  readonly origin: string;
  readonly cloud: string | null;
  readonly cname: Name;
}

/** What was typed, word by word; lists where a word may stand several times. */
export interface WishWords {
  readonly names: readonly string[];
  readonly providers: readonly string[];
  readonly targets: readonly string[];
  readonly cluster: string | null;
  readonly roots: readonly string[];
  readonly resolvers: readonly string[];
  readonly dnsPort: string | null;
}

export interface Wish {
  readonly names: readonly Name[];
  readonly providers: readonly WishedProvider[];
  readonly targets: readonly WishedTarget[];
  readonly cluster: string | null;
  /** As it will stand in the file; null: nothing was said. */
  readonly dns: { readonly [key: string]: number | readonly string[] } | null;
  /** The accounts and DNS as the rows have read them. */
  readonly config: Pick<Config, 'providers' | 'dns' | 'tables'>;
}

const namesMost = 20;
const providersMost = 8;
const targetsMost = 16;

/** What is wanted, or every problem at once; `wanted` are packages that were named. */
export function readWish(
  words: WishWords,
  tables: Tables,
): { readonly wanted: Wanted } & (
  | { readonly ok: true; readonly wish: Wish }
  | { readonly ok: false; readonly problems: readonly string[] }
) {
  const problems: string[] = [];
  const names = [...new Set(words.names.flatMap((word) => nameOf(word, problems)))];
  if (words.names.length === 0) problems.push('name at least one: a record, or what users type');
  if (words.providers.length === 0) {
    problems.push("--provider: name at least one account, such as 'cf=cloudflare,apiToken=env:CF'");
  }
  for (const [what, given, most] of [
    ['names', words.names, namesMost],
    ['--provider', words.providers, providersMost],
    ['--target', words.targets, targetsMost],
  ] as const) {
    if (given.length > most) problems.push(`${what}: ${given.length} of them, at most ${most}`);
  }
  const providers = words.providers.flatMap((word, i) => providerOf(word, i + 1, problems));
  const targets = words.targets.flatMap((word) => targetOf(word, problems));
  noTwins('--provider', providers, ({ name }) => name, problems);
  noTwins('--target', targets, ({ origin }) => origin, problems);
  noTwins('--target', targets, ({ cname }) => cname, problems);
  if (problems.length > 0 || names.length === 0) return { ok: false, problems, wanted: new Map() };
  const dns = dnsOf(words);
  const { cluster } = words;
  const read = parseConfig(stubOf(cluster ?? 'x', providers, dns), 'init', tables);
  if (!read.ok) {
    // The rest of the stub is made up: what is wrong with it is wrong with what it was made from.
    const ours = read.problems.filter(({ path }) => /^(providers|cluster|dns)\b/.test(path));
    const shown = ours.length > 0 ? ours : read.problems;
    const said = shown.map(({ path, message }) => `${path}: ${message}`);
    return { ok: false, problems: said, wanted: read.wanted };
  }
  const { config, wanted } = read;
  return { ok: true, wish: { names, providers, targets, cluster, dns, config }, wanted };
}

function nameOf(word: string, problems: string[]): readonly Name[] {
  const read = dnsName.safeParse(word);
  if (read.success) return [read.data];
  problems.push(`${JSON.stringify(word.slice(0, 60))}: ${read.error.issues[0]!.message}`);
  return [];
}

const providerNotation = 'expected NAME=TYPE,KEY=VALUE,… such as cf=cloudflare,apiToken=env:CF';

/** `r53=route53,credentials.accessKeyId=env:ID`; a key that stands again, or ends in [], is a list. */
function providerOf(word: string, at: number, problems: string[]): readonly WishedProvider[] {
  const [first = '', ...rest] = word.split(',');
  const [, name = '', type = ''] = /^([^=]+)=([^=]+)$/.exec(first) ?? [];
  if (!namePattern.test(name) || type === '') {
    const rule = name === '' ? providerNotation : `${providerNotation}; its name is ${nameRule}`;
    problems.push(`--provider number ${at}: ${rule}`);
    return [];
  }
  const spelt: Record<string, Spelt> = { type };
  for (const pair of rest) {
    const [, key = '', list, value = ''] = /^([A-Za-z][\w.]*)(\[\])?=(.+)$/s.exec(pair) ?? [];
    if (key === '' || !put(spelt, key.split('.'), speltOf(value), list !== undefined)) {
      problems.push(`--provider ${name}: ${providerNotation}`);
    }
  }
  return [{ name, spelt }];
}

/** False where something of another shape stands there already. */
function put(into: Record<string, Spelt>, keys: readonly string[], value: Spelt, list: boolean) {
  const [key, ...deeper] = keys;
  if (key === undefined || key === '' || key === '__proto__') return false;
  const here = Object.hasOwn(into, key) ? into[key] : undefined;
  if (deeper.length > 0) {
    if (here !== undefined && (typeof here !== 'object' || Array.isArray(here))) return false;
    into[key] = (here ?? {}) as Record<string, Spelt>;
    return put(into[key] as Record<string, Spelt>, deeper, value, list);
  }
  if (here === undefined) into[key] = list ? [value] : value;
  else if (Array.isArray(here)) into[key] = [...here, value];
  else if (typeof here === 'string') into[key] = [here, value];
  else return false;
  return true;
}

function speltOf(text: string): Spelt {
  const [, kind, rest = ''] = /^(env|file|credential):(.+)$/s.exec(text) ?? [];
  // The daemon is started elsewhere: a path from here would lead nowhere there.
  if (kind === 'file') return { file: resolve(rest) };
  if (kind === 'env') return { env: rest };
  return kind === 'credential' ? { credential: rest } : text;
}

function targetOf(word: string, problems: string[]): readonly WishedTarget[] {
  const found = /^([a-z0-9-]{1,40})(?:@([a-z0-9-]{1,40}))?=(.+)$/s.exec(word);
  const [, origin = '', cloud = null, name = ''] = found ?? [];
  const read = dnsName.safeParse(name);
  if (found !== null && read.success) return [{ origin, cloud, cname: read.data }];
  const form = 'expected ORIGIN=NAME or ORIGIN@CLOUD=NAME';
  const why = found === null || read.success ? form : read.error.issues[0]!.message;
  const such = 'such as tokyo@aws=nrt.shop.example';
  problems.push(`--target ${JSON.stringify(word.slice(0, 60))}: ${why}, ${such}`);
  return [];
}

function noTwins<T>(what: string, all: readonly T[], of: (one: T) => string, problems: string[]) {
  for (const [word, same] of Map.groupBy(all, of)) {
    if (same.length > 1) problems.push(`${what}: ${word} stands twice: keep one`);
  }
}

function dnsOf({ roots, resolvers, dnsPort }: WishWords): Wish['dns'] {
  const dns = {
    ...(dnsPort === null ? {} : { port: Number(dnsPort) }),
    ...(roots.length === 0 ? {} : { roots }),
    ...(resolvers.length === 0 ? {} : { resolvers }),
  };
  return Object.keys(dns).length === 0 ? null : dns;
}

/** A whole configuration around what was typed, so that the one reader of configurations reads it. */
function stubOf(cluster: string, providers: readonly WishedProvider[], dns: Wish['dns']): string {
  const [first] = providers;
  const { zone } = first!.spelt;
  const record = typeof zone === 'string' ? `x.${zone}` : 'x.example.net';
  return JSON.stringify({
    cluster,
    providers: Object.fromEntries(providers.map(({ name, spelt }) => [name, spelt])),
    ...(dns === null ? {} : { dns }),
    origins: { x: { cloud: 'x', checks: { web: { tcp: '192.0.2.1:9' } } } },
    records: {
      [record]: { publish: [first!.name], targets: [{ origin: 'x', cname: 'y.example.org' }] },
    },
  });
}
