// The house's rules as functions over sources: each takes files and gives the sentences that say what
// is wrong and what to do instead. Pure, so that a rule can be shown to fail on a planted defect. It
// reads text, as the formatter leaves it; it must never need the compiler.

import { dirname, join, normalize } from 'node:path';

export interface Import {
  /** Path of the file, from the root; or the package's name. */
  readonly what: string;
  /** What is taken by name; null where the whole module is (`* as`, `import()`, for its effect). */
  readonly names: readonly { readonly name: string; readonly type: boolean }[] | null;
}

export interface Source {
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  readonly imports: readonly Import[];
}

/** One file as it is read: `path` from the root, with slashes. */
export function source(path: string, text: string): Source {
  const named = /^(?:import|export)( type)? (?:(\w+)(?:, )?)?(?:\{([^}]*)\})? ?from '([^']+)'/gm;
  const whole =
    /(?:^import (?:type )?\* as \w+ from|^export \* from|^import|\bimport\()\s*'([^']+)'/gm;
  const at = (what: string) => (what.startsWith('.') ? normalize(join(dirname(path), what)) : what);
  const imports: Import[] = [];
  for (const [, type, byDefault, list, what] of text.matchAll(named)) {
    const names = (list ?? '')
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== '')
      .map((one) => ({
        name: one.replace(/^type /, '').split(' as ')[0]!,
        type: type !== undefined || one.startsWith('type '),
      }));
    if (byDefault !== undefined) names.push({ name: 'default', type: type !== undefined });
    imports.push({ what: at(what!), names });
  }
  for (const [, what] of text.matchAll(whole)) imports.push({ what: at(what!), names: null });
  return { path, text, lines: text.split('\n'), imports };
}

const isOurs = (path: string) => path.startsWith('src/') || path.startsWith('providers/');

/** The room a file of ours is in: `core`, `probes`, `providers`, …; or its own name under src/. */
function room(path: string): string {
  const [top, second] = path.split('/') as [string, string];
  return top === 'providers' ? 'providers' : second;
}

/** What every adapter may lean on. */
const floor = ['core', 'kit', 'ports.ts', 'dns'];
const adapters = ['probes', 'store', 'cluster', 'notify', 'providers', 'audit'];
/** Which rooms a room may import, itself aside; CONTRIBUTING.md says the same. */
export const mayImport: Readonly<Record<string, readonly string[]>> = {
  core: [],
  kit: ['core'],
  'ports.ts': ['core', 'kit'],
  dns: ['core', 'kit', 'ports.ts'],
  'controller.ts': ['core', 'kit', 'ports.ts'],
  config: ['core', 'kit'],
  ...Object.fromEntries(adapters.map((name) => [name, floor])),
  serve: ['core', 'kit', 'ports.ts'],
  cli: ['core', 'kit', 'ports.ts'],
  lab: ['core', 'kit', 'dns'],
  // Outages are replayed through the engine alone: no adapter, no lab.
  replay: ['core', 'kit', 'ports.ts', 'config'],
  // A dry drill is a second engine beside the one that steers.
  drill: ['core', 'kit', 'ports.ts', 'controller.ts', 'config'],
  // Reports read what is handed to them, and are drawn as replays are.
  report: ['core', 'kit', 'ports.ts', 'config', 'replay'],
  run: [
    ...[...floor, ...adapters, 'controller.ts', 'config', 'serve', 'cli', 'replay'],
    ...['drill', 'report'],
  ],
  'main.ts': ['run', 'cli', 'config', 'replay', 'lab'],
};

/** Who may import whom: the design's section 2. Nobody is exempt. */
export function importsOf(sources: readonly Source[]): string[] {
  const wrong: string[] = [];
  for (const { path, imports } of sources) {
    const here = room(path);
    const allowed = Object.hasOwn(mayImport, here) ? mayImport[here] : undefined;
    if (allowed === undefined) {
      wrong.push(`${path}: a room the table in test/house/rules.ts lacks: say what it may import`);
      continue;
    }
    for (const { what } of imports) {
      if (!isOurs(what)) {
        if (here === 'core') wrong.push(`${path} imports ${what}: the core imports only itself`);
        continue;
      }
      const there = room(what);
      if (there === here || allowed.includes(there)) continue;
      wrong.push(`${path} imports ${what}: ${here} may import ${allowed.join(', ') || 'nothing'}`);
    }
  }
  return wrong;
}

/** The core's files that others may take values from; types they may take from any of it. */
const face = new Set(
  'model name marker engine view plan detect direct stored audit delegation'
    .split(' ')
    .map((name) => {
      return `src/core/${name}.ts`;
    }),
);

export function faceOf(sources: readonly Source[]): string[] {
  return sources
    .filter(({ path }) => room(path) !== 'core')
    .flatMap(({ path, imports }) =>
      imports
        .filter(({ what }) => what.startsWith('src/core/') && !face.has(what))
        .flatMap(({ what, names }) => {
          const values = names?.filter(({ type }) => !type).map(({ name }) => name) ?? [
            'all of it',
          ];
          if (values.length === 0) return [];
          return `${path} takes ${values.join(', ')} from ${what}: values come from the core's face`;
        }),
    );
}

/** The suite for tests and strangers: nobody in the house leans on it, and it alone knows tests. */
export function conformanceOf(sources: readonly Source[]): string[] {
  const suite = 'src/kit/conformance/';
  return sources.flatMap(({ path, imports }) =>
    path.startsWith(suite)
      ? []
      : imports
          .filter(({ what }) => what.startsWith(suite) || /^node:(test|assert)/.test(what))
          .map(({ what }) => `${path} imports ${what}: only ${suite} is about tests`),
  );
}

const declaration =
  /^export (?:declare )?(?:async )?(?:function\*?|const|let|class|interface|type) (\w+)/gm;
const handedOn = /^export (?:type )?\{([^}]*)\}/gm;

/**
 * What is exported and taken by nobody. `users` are all files that may take it; `door` the files
 * that package.json exports, whose exports are strangers'.
 */
export function exportsOf(
  sources: readonly Source[],
  users: readonly Source[],
  door: readonly string[],
): string[] {
  const taken = new Map<string, Set<string>>();
  const wholly = new Map<string, string[]>();
  for (const user of users) {
    for (const { what, names } of user.imports) {
      const known = taken.get(what) ?? new Set();
      for (const { name } of names ?? []) known.add(name);
      taken.set(what, known);
      if (names === null) wholly.set(what, [...(wholly.get(what) ?? []), user.text]);
    }
  }
  const wrong: string[] = [];
  for (const { path, text } of sources) {
    if (door.includes(path)) continue;
    const own = [...text.matchAll(declaration)].map(([, name]) => name!);
    const passed = [...text.matchAll(handedOn)].flatMap(([, list]) =>
      list!.split(',').map(
        (one) =>
          one
            .trim()
            .replace(/^type /, '')
            .split(' as ')
            .at(-1)!,
      ),
    );
    for (const name of [...own, ...passed].filter((one) => one !== '')) {
      const word = new RegExp(`\\b${name}\\b`);
      if (taken.get(path)?.has(name) || wholly.get(path)?.some((by) => word.test(by))) continue;
      wrong.push(`${path} exports ${name} and nobody takes it: keep it to the file`);
    }
  }
  return wrong;
}

interface LongFunction {
  readonly path: string;
  readonly name: string;
  readonly at: number;
  readonly lines: number;
}

/** Functions, methods and arrow functions with a body of more than so many lines, heads included. */
export function longFunctions({ path, lines }: Source, most: number): readonly LongFunction[] {
  return lines.flatMap((line, i) => {
    const [, indent = '', rest = ''] = /^( *)(?:export (?:default )?)?(.*)$/.exec(line) ?? [];
    if (!opensFunction(rest)) return [];
    const end = endOf(lines, i, indent.length, rest.endsWith('{'));
    const count = end - i + 1;
    if (end < 0 || count <= most) return [];
    const name = /(?:function |const )?([#\w]+)/.exec(rest.replace(/^async /, ''))?.[1] ?? rest;
    return [{ path, name: /^function (\w+)/.exec(rest)?.[1] ?? name, at: i + 1, lines: count }];
  });
}

function opensFunction(rest: string): boolean {
  if (/^(async )?function\b/.test(rest) || /=> \{$/.test(rest)) return true;
  const isMethod = /^(?:static |async |get |set )*[#\w]+(<[^(]*>)?\((.*[{(])?$/.test(rest);
  return (
    isMethod &&
    !/^(if|for|while|switch|catch|return|await|super)\b/.test(rest) &&
    !/\(\{$/.test(rest)
  );
}

/** The line that closes what begins at `start`; -1 where it is no function after all. */
function endOf(lines: readonly string[], start: number, indent: number, hasBrace: boolean): number {
  let inBody = hasBrace;
  for (let i = start + 1; i < lines.length; i++) {
    const line = lines[i]!;
    if (line.slice(0, indent).trim() !== '' || line.length <= indent || line[indent] === ' ') {
      if (line !== '' && line.slice(0, indent).trim() !== '') return -1;
      continue;
    }
    const rest = line.slice(indent);
    if (inBody) return rest.startsWith('}') ? i : -1;
    if (!/^\).*\{$/.test(rest)) return -1;
    inBody = true;
  }
  return -1;
}

/** What belongs to one file stays there: words that only the named files may contain. */
export function wordsOf(
  sources: readonly Source[],
  reserved: readonly (readonly [word: RegExp, allowed: readonly RegExp[], instead: string])[],
): string[] {
  return sources.flatMap(({ path, lines }) =>
    reserved.flatMap(([word, allowed, instead]) => {
      if (allowed.some((a) => a.test(path))) return [];
      return lines
        .map((line, i) => ({ line, at: i + 1 }))
        .filter(({ line }) => word.test(line) && !/^\s*(\/\/|\*|\/\*)/.test(line))
        .map(({ line, at }) => `${path}:${at}: ${line.trim()}: ${instead}`);
    }),
  );
}
