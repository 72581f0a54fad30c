// Loads the packages that a configuration names, and makes rows of the tables of them. Their code
// runs with all that this process may do, so it is loaded only from where nobody but root and the
// running user could have put it. It must never let a package throw into the house, never wait for
// one without end, and never show what one says: that may be a secret.

import { lstatSync, readFileSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { z } from 'zod';
import { packageMark, type Role, type Tables, type Wanted } from '../config/tables.ts';
import type { CheckType, Extension, NotifierType, ProviderType } from '../kit/extend.ts';
import { SecretError } from '../kit/secret.ts';
import { pathProblem } from '../probes/index.ts';

/** The version of the door that this Detour has. */
const contract: Extension['contract'] = 1;

/** A package that takes longer to load than this hangs. */
const loadMs = 10_000;

/** More than any package.json needs. */
const manifestBytesMax = 1_048_576;

/** Links that are followed on the way to one file, as the kernel counts (path_resolution(7)). */
const linksMax = 40;

/** Why a package cannot be used: a clause that begins where its name ends, with its cure. */
class Unusable extends Error {}

/**
 * The tables with a row for each package that can be used, and the reason for each that cannot.
 * `folder` is the configuration's: a package is looked for in its `node_modules`, then where Node
 * would find it for Detour itself. Never rejects for what a package is or does.
 */
export async function withPackages(
  tables: Tables,
  wanted: Wanted,
  folder: string,
): Promise<Tables> {
  const providers: Record<string, ProviderType<unknown>> = { ...tables.providers };
  const checks: Record<string, CheckType<unknown>> = { ...tables.checks };
  const notifiers: Record<string, NotifierType<unknown>> = { ...tables.notifiers };
  const unusable = new Map<string, string>();
  for (const [word, roles] of wanted) {
    try {
      const extension = await load(word, roles, folder);
      if (roles.has('provider')) providers[word] = providerRow(word, extension.provider!);
      if (roles.has('check')) checks[word] = checkRow(word, extension.check!);
      if (roles.has('notifier')) notifiers[word] = notifierRow(word, extension.notifier!);
    } catch (error) {
      const why = error instanceof Unusable ? error.message : ofSystem(error);
      if (why === null) throw error;
      unusable.set(word, why);
    }
  }
  return {
    providers,
    checks,
    notifiers,
    unusable,
    pathProblem: (kind, path, settings) => pathProblem(kind, path, settings, checks),
  };
}

async function load(word: string, roles: ReadonlySet<Role>, folder: string): Promise<Extension> {
  const name = word.slice(packageMark.length);
  const home = find(name, folder);
  const manifest = join(home, 'package.json');
  trust(manifest);
  const entry = entryOf(home, readManifest(manifest));
  trust(entry);
  const namespace = await imported(entry);
  return shaped(roles, namespace['default']);
}

/** What the file system says of a place on the way; null: the error is none of its. */
function ofSystem(error: unknown): string | null {
  const { syscall, code, path } = error as NodeJS.ErrnoException;
  return syscall === undefined ? null : `cannot be looked at: ${code} at ${path}`;
}

// ---------------------------------------------------------------- where it is

function find(name: string, folder: string): string {
  const own = ancestors(dirname(fileURLToPath(import.meta.url)));
  const places = [folder, ...own].map((at) => join(at, 'node_modules', name));
  const home = places.find((place) => isThere(join(place, 'package.json')));
  if (home !== undefined) return home;
  const ours = own.find((at) => isThere(join(at, 'package.json')));
  throw new Unusable(
    `is not installed: npm install it beside the configuration (in ${folder}) or beside Detour ` +
      `(in ${ours})`,
  );
}

function ancestors(folder: string): string[] {
  const above = dirname(folder);
  return above === folder ? [folder] : [folder, ...ancestors(above)];
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

const exported = z.json().optional();

function readManifest(path: string): { readonly main: unknown; readonly exports: unknown } {
  const shape = z.looseObject({ main: exported, exports: exported });
  const text = readFileSync(path, 'utf8');
  if (text.length > manifestBytesMax) {
    throw new Unusable(`has a package.json of more than 1 MiB (${path}); install it anew`);
  }
  const read = shape.safeParse(parsed(text));
  if (read.success) return { main: read.data.main, exports: read.data.exports };
  throw new Unusable(`has a package.json that is no JSON object (${path}); install it anew`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** What Node would import by the package's name alone (packages, "Conditional exports"). */
function entryOf(home: string, { main, exports }: ReturnType<typeof readManifest>): string {
  const isMap = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const choose = (value: unknown): string | null => {
    if (typeof value === 'string') return value;
    if (!isMap(value)) return null;
    for (const [condition, below] of Object.entries(value)) {
      const isOurs = ['node', 'import', 'module-sync', 'default'].includes(condition);
      const chosen = isOurs ? choose(below) : null;
      if (chosen !== null) return chosen;
    }
    return null;
  };
  const isPaths = isMap(exports) && Object.keys(exports).some((key) => key.startsWith('.'));
  const chosen =
    exports === undefined
      ? choose(main ?? 'index.js')
      : choose(isPaths ? (exports as Record<string, unknown>)['.'] : exports);
  const entry = chosen === null ? null : join(home, chosen);
  const isInside = entry !== null && !/^\.\.(\/|$)|^$/.test(relative(home, entry));
  if (entry !== null && isInside && isThere(entry)) return entry;
  throw new Unusable(
    `names no file of its own to import (exports or main in ${join(home, 'package.json')})`,
  );
}

// ---------------------------------------------------------------- whether it may be trusted

/** Goes to a file the way the kernel does, link by link, and refuses what others may change. */
function trust(path: string): void {
  let here = '/';
  let links = 0;
  const rest = ['.', ...path.split('/')];
  while (rest.length > 0) {
    const next = join(here, rest.shift()!);
    const stat = lstatSync(next);
    if (!stat.isSymbolicLink()) {
      refuseOthers(next, stat);
      here = next;
    } else {
      if (++links > linksMax) throw new Unusable(`lies behind too many links (${path})`);
      const to = readlinkSync(next);
      if (isAbsolute(to)) here = '/';
      rest.unshift(...to.split('/'));
    }
  }
}

function refuseOthers(path: string, { mode, uid }: Stats): void {
  const why = `is not loaded, because others could have changed it: ${path}`;
  const us = process.geteuid?.() ?? 0;
  if (uid !== 0 && uid !== us) {
    throw new Unusable(`${why} belongs to user ${uid}; give it to root or to user ${us}`);
  }
  if ((mode & 0o022) !== 0) {
    throw new Unusable(`${why} may be written by its group or by all; chmod go-w ${path}`);
  }
}

// ---------------------------------------------------------------- whether it is an extension

async function imported(entry: string): Promise<Record<string, unknown>> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Unusable(`did not load within ${loadMs / 1000} s (${entry})`)),
    loadMs,
  );
  try {
    return await Promise.race([import(pathToFileURL(entry).href), late]);
  } catch (error) {
    if (error instanceof Unusable) throw error;
    throw new Unusable(
      `cannot be loaded: importing ${entry} throws ${nameOf(error)}; ` +
        'look at it with node, and start Detour again once it is mended',
    );
  } finally {
    clearTimeout(timer);
  }
}

/** An error's code or name; its message may hold anything. */
function nameOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { readonly code?: unknown; readonly name?: unknown };
  const word =
    typeof code === 'string' ? code : typeof name === 'string' ? name : 'what is no error';
  return word.replaceAll(/[^\w. -]/g, '').slice(0, 60);
}

const method = z.custom<unknown>((value) => typeof value === 'function', 'expected a function');

const schema = z.custom<unknown>(
  (value) => typeof value === 'object' && value !== null && '_zod' in value && 'safeParse' in value,
  'expected a schema of zod 4',
);

const most = z.int().min(1);

/** What each role must have, as far as it can be seen without calling it. */
const shapes: Readonly<Record<Role, z.ZodType>> = {
  provider: z.looseObject({
    settings: schema,
    create: method,
    capabilities: z.looseObject({
      readMax: most,
      writeMax: most,
      callsMax: most,
      quota: z.looseObject({
        burst: z.number().positive(),
        perSecond: z.number().positive(),
        reserve: z.number().nonnegative(),
      }),
    }),
  }),
  check: z.looseObject({
    settings: schema,
    impossible: method,
    pathProblem: method,
    create: method,
  }),
  notifier: z.looseObject({ settings: schema, create: method }),
};

function shaped(roles: ReadonlySet<Role>, value: unknown): Extension {
  const extension = z.looseObject({}).safeParse(value);
  if (!extension.success) {
    throw new Unusable('exports no extension as its default; is it a package for Detour?');
  }
  const theirs = extension.data['contract'];
  if (theirs !== contract) {
    const what = typeof theirs === 'number' ? `contract ${theirs}` : 'no contract';
    throw new Unusable(
      `was written for ${what} and this Detour has ${contract}; install the versions that fit`,
    );
  }
  for (const role of roles) {
    const member = extension.data[role];
    if (member === undefined) throw new Unusable(`has no ${role}; name it where it belongs`);
    const read = shapes[role].safeParse(member);
    const issue = read.error?.issues[0];
    if (issue === undefined) continue;
    const at = [role, ...issue.path.map(String)].join('.');
    throw new Unusable(`is not as contract ${contract} wants it: ${at}: ${issue.message}`);
  }
  // What cannot be seen from outside is held where it is called.
  return value as Extension;
}

// ---------------------------------------------------------------- rows that cannot throw

/** Runs a package's own code; whatever it throws becomes the one error its caller knows. */
function held<T>(word: string, doing: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof SecretError) throw error;
    throw new SecretError(`${word} throws ${nameOf(error)} in ${doing}: tell its author`);
  }
}

/** A schema that may throw where one only reads, as one that says so. */
function guarded(word: string, own: z.ZodType): z.ZodType {
  const safeParse: z.ZodType['safeParse'] = (value, params) => {
    try {
      return own.safeParse(value, params);
    } catch (error) {
      const message = `${word} throws ${nameOf(error)} in settings: tell its author`;
      return { success: false, error: new z.ZodError([{ code: 'custom', path: [], message }]) };
    }
  };
  return Object.assign(Object.create(own) as z.ZodType, { safeParse });
}

const opened = z.looseObject({
  zone: method,
  read: method,
  write: method,
  preflight: method,
  close: method,
});

function providerRow(word: string, row: ProviderType<unknown>): ProviderType<unknown> {
  return {
    type: word,
    ...(row.cloud === undefined ? {} : { cloud: row.cloud }),
    capabilities: row.capabilities,
    settings: guarded(word, row.settings),
    create: (name, settings, context) =>
      held(word, 'create', () => {
        const provider = row.create(name, settings, context);
        // A class keeps its methods in its prototype, which only `in` and `.` see.
        const { zone, read, write, preflight, close } = provider;
        opened.parse({ zone, read, write, preflight, close });
        return provider;
      }),
  };
}

/** Its settings stand behind its word, where those of Detour's own rows stand beside theirs. */
function behind(word: string, own: z.ZodType): z.ZodType {
  return guarded(
    word,
    z.strictObject({ [word]: own }).transform((all) => all[word]),
  );
}

function checkRow(word: string, row: CheckType<unknown>): CheckType<unknown> {
  return {
    key: word,
    settings: behind(word, row.settings),
    ...(row.aside === true ? { aside: true } : {}),
    impossible: (asked) => held(word, 'impossible', () => row.impossible(asked)),
    pathProblem(path, asked) {
      try {
        return row.pathProblem(path, asked);
      } catch (error) {
        return `${word} throws ${nameOf(error)} in pathProblem: tell its author`;
      }
    },
    create: (asked, path, timeoutMs, context) =>
      held(word, 'create', () => row.create(asked, path, timeoutMs, context)),
  };
}

function notifierRow(word: string, row: NotifierType<unknown>): NotifierType<unknown> {
  return {
    key: word,
    settings: behind(word, row.settings),
    create: (settings, context) =>
      held(word, 'create', () => {
        const notifier = row.create(settings, context);
        z.looseObject({ notify: method }).parse({ notify: notifier.notify });
        return notifier;
      }),
  };
}
