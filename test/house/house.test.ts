// The house's own rules, as a test over the sources: who may import whom, what only one file may
// touch, how long a line may be. Each failure says what to do. The core's purity is the compiler's
// business as well (src/core has no Node types); here it is said in words.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

interface Source {
  readonly path: string;
  readonly lines: readonly string[];
  readonly imports: readonly string[];
}

const sources: readonly Source[] = ['src', 'providers'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => read(join(folder, name))),
);

function read(path: string): Source {
  const text = readFileSync(join(root, path), 'utf8');
  const imports = [...text.matchAll(/(?:from|import\()\s*'([^']+)'/g)].map(([, what]) =>
    what!.startsWith('.') ? normalize(join(dirname(path), what!)) : what!,
  );
  return { path, lines: text.split('\n'), imports };
}

/** The room a file of ours is in: `core`, `probes`, `providers`, …; or its own name under src/. */
function room(path: string): string {
  const [top, second] = path.split('/') as [string, string];
  return top === 'providers' ? 'providers' : second;
}

/** What every adapter may lean on. */
const floor = ['core', 'kit', 'ports.ts', 'dns'];
/** Which rooms a room may import, itself aside. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  core: [],
  kit: ['core'],
  'ports.ts': ['core', 'kit'],
  dns: ['core', 'kit', 'ports.ts'],
  'controller.ts': ['core', 'kit', 'ports.ts'],
  config: ['core', 'kit'],
  probes: floor,
  store: floor,
  cluster: floor,
  notify: floor,
  providers: floor,
  audit: floor,
  serve: ['core', 'kit', 'ports.ts'],
  cli: ['core', 'kit', 'ports.ts'],
  lab: ['core', 'kit', 'dns'],
  // Outages are replayed through the engine alone: no adapter, no lab.
  replay: ['core', 'kit', 'ports.ts', 'config'],
};
/** The places that build: they may import anything but each other's callers. */
const builders = ['main.ts', 'run'];

test('every import keeps to the rules of the house', () => {
  const wrong: string[] = [];
  for (const { path, imports } of sources) {
    const here = room(path);
    if (builders.includes(here)) continue;
    const allowed = mayImport[here];
    if (allowed === undefined) {
      wrong.push(`${path}: a room the table in this test does not know: say what it may import`);
      continue;
    }
    for (const what of imports) {
      if (!what.startsWith('src/') && !what.startsWith('providers/')) {
        if (here === 'core') wrong.push(`${path} imports ${what}: the core imports only itself`);
        continue;
      }
      const there = room(what);
      if (there !== here && !allowed.includes(there)) {
        wrong.push(
          `${path} imports ${what}: ${here} may import ${allowed.join(', ') || 'nothing'}`,
        );
      }
    }
  }
  assert.deepEqual(wrong, []);
});

test('nothing imports main, and nothing outside the lab imports the lab but main', () => {
  const wrong = sources.flatMap(({ path, imports }) =>
    imports
      .filter((what) => what === 'src/main.ts' || (room(what) === 'lab' && what.startsWith('src/')))
      .filter((what) => !(path === 'src/main.ts' && what.startsWith('src/lab/')))
      .filter(() => room(path) !== 'lab')
      .map((what) => `${path} imports ${what}`),
  );
  assert.deepEqual(wrong, []);
});

/** Words that only the named files may contain. */
const reserved: readonly (readonly [word: RegExp, allowed: readonly RegExp[], instead: string])[] =
  [
    [
      /\bDate\.now\(|\bnew Date\(\)/,
      [
        /^src\/run\/(clock|direct|log)\.ts$/,
        /^src\/(lab|serve|cli)\//,
        // Dates on the wire: TSIG's time signed, a Retry-After that is a date, a certificate's end.
        /^providers\//,
        /^src\/probes\/path\.ts$/,
      ],
      'take the time from the Clock port',
    ],
    [
      /\bMath\.random\(/,
      [/^src\/lab\//, /^src\/dns\//],
      "use the state's own randomness, or node:crypto",
    ],
    [
      /\bprocess\.env\b/,
      [
        /^src\/run\/build\.ts$/,
        /^src\/cli\/process\.ts$/,
        /^src\/notify\/command\.ts$/,
        /^src\/lab\//,
      ],
      'let main hand the environment over',
    ],
    [/\bconsole\./, [], 'write through the log or the io of a command'],
    [/\brejectUnauthorized:\s*false|NODE_TLS_REJECT/, [], 'TLS is verified (rule 21)'],
    [/\b(FIXME|TODO|XXX)\b/, [], 'finish it, or say it in the closing note'],
    [/@ts-ignore|@ts-nocheck|@ts-expect-error/, [], 'mend the type'],
  ];

test('what belongs to one file stays in that file', () => {
  const wrong = sources.flatMap(({ path, lines }) =>
    reserved.flatMap(([word, allowed, instead]) => {
      if (allowed.some((a) => a.test(path))) return [];
      return lines
        .map((line, i) => ({ line, at: i + 1 }))
        .filter(({ line }) => word.test(line) && !/^\s*(\/\/|\*|\/\*)/.test(line))
        .map(({ line, at }) => `${path}:${at}: ${line.trim()}: ${instead}`);
    }),
  );
  assert.deepEqual(wrong, []);
});

test('the core has no clock, no randomness, no promise and no Node', () => {
  const word =
    /\bawait\b|\basync\b|\bPromise\b|\bsetTimeout\b|\bprocess\b\.|\bnew Date\b|from 'node:/;
  const wrong = sources
    .filter(({ path }) => path.startsWith('src/core/'))
    .flatMap(({ path, lines }) =>
      lines
        .map((line, i) => ({ line, at: i + 1 }))
        .filter(({ line }) => word.test(line) && !/^\s*(\/\/|\*|\/\*)/.test(line))
        .map(({ line, at }) => `${path}:${at}: ${line.trim()}`),
    );
  assert.deepEqual(wrong, []);
});

test('every source file opens by saying what it is', () => {
  const wrong = sources
    .filter(({ lines }) => !lines.find((line) => !line.startsWith('#!'))?.startsWith('//'))
    .map(({ path }) => `${path}: open with a comment: what it is and what it must never do`);
  assert.deepEqual(wrong, []);
});

test('no line is longer than the formatter would leave it and no file is named for nothing', () => {
  const long = sources.flatMap(({ path, lines }) =>
    lines.flatMap((line, i) =>
      line.length > 102 && !/^ +\/\^|`/.test(line) ? [`${path}:${i + 1}`] : [],
    ),
  );
  const vague = /(^|\/)(utils?|helpers?|common|manager|service|handler|misc|types)\.ts$/;
  const named = sources.filter(({ path }) => vague.test(path)).map(({ path }) => path);
  assert.deepEqual([...long, ...named], []);
});

test('the version stands in package.json alone', () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const others = ['deploy', 'tools'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((file) => file.isFile())
      .map((file) => relative(root, join(file.parentPath, file.name))),
  );
  const files = [...sources.map(({ path }) => path), ...others, 'README.md'];
  const literal = new RegExp(`(?<![\\d.])${version.replaceAll('.', '\\.')}(?![\\d.])`);
  const wrong = files.filter((path) => literal.test(readFileSync(join(root, path), 'utf8')));
  assert.deepEqual(wrong, []);
  assert.match(`detour ${version}`, literal);
});

test('the repository holds no path of one machine', () => {
  const files = ['README.md', 'package.json', 'package-lock.json', '.npmrc'];
  const wrong = files.filter((name) => {
    const text = readFileSync(join(root, name), 'utf8');
    return /"resolved": "http|\/(root|home)\/[a-z]/.test(text);
  });
  assert.deepEqual(wrong, []);
  assert.equal(relative(root, join(root, 'src')), 'src');
});
