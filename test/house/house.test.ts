// The house's own rules, as a test over the sources: who may import whom, what only one file may
// touch, how long a line or a function may be, that nothing is exported for nobody. Each failure says
// what to do. Each rule is also shown to fail on a planted defect, so that none of them can rot. The
// core's purity is the compiler's business as well (src/core has no Node types); here it is in words.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  conformanceOf,
  exportsOf,
  faceOf,
  importsOf,
  longFunctions,
  type Source,
  source,
  wordsOf,
} from './rules.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

function sourcesOf(...folders: readonly string[]): readonly Source[] {
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(tsx?|mjs)$/.test(name))
      .map((name) => join(folder, name))
      .map((path) => source(path, readFileSync(join(root, path), 'utf8'))),
  );
}

const sources = sourcesOf('src', 'providers');
const { exports: doors = {} } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  exports?: Readonly<Record<string, { readonly types?: string }>>;
};
/** The sources of what package.json exports. */
const door = Object.values(doors).flatMap(({ types }) =>
  types === undefined ? [] : [types.replace(/^\.\/dist\//, '').replace(/\.d\.ts$/, '.ts')],
);

test('every import keeps to the rules of the house', () => {
  assert.deepEqual(importsOf(sources), []);
  const planted = source('src/probes/http.ts', "import { switchTo } from '../core/steer.ts';\n");
  const stranger = source('src/store/sqlite.ts', "import { x } from '../probes/http.ts';\n");
  const nowhere = source('src/odd/file.ts', '');
  assert.deepEqual(importsOf([planted]), []);
  assert.equal(importsOf([stranger, nowhere]).length, 2);
});

test('values of the core are taken from its face alone, types from any file of it', () => {
  assert.deepEqual(faceOf(sources), []);
  const value = source('src/probes/http.ts', "import { review } from '../core/steer.ts';\n");
  const type = source('src/probes/http.ts', "import type { Move } from '../core/switch.ts';\n");
  const whole = source('src/probes/http.ts', "import * as steer from '../core/steer.ts';\n");
  assert.equal(faceOf([value]).length, 1);
  assert.equal(faceOf([whole]).length, 1);
  assert.deepEqual(faceOf([type]), []);
});

test('src/ itself keeps three files, and only main imports the lab', () => {
  const loose = sources.map(({ path }) => path).filter((path) => /^src\/[^/]*$/.test(path));
  assert.deepEqual(loose.sort(), ['src/controller.ts', 'src/main.ts', 'src/ports.ts']);
  const wrong = sources.flatMap(({ path, imports }) =>
    imports
      .filter(({ what }) => what === 'src/main.ts' || what.startsWith('src/lab/'))
      .filter(({ what }) => !(path === 'src/main.ts' && what.startsWith('src/lab/')))
      .filter(() => !path.startsWith('src/lab/'))
      .map(({ what }) => `${path} imports ${what}`),
  );
  assert.deepEqual(wrong, []);
});

test('the sources do not know that tests exist', () => {
  assert.deepEqual(conformanceOf(sources), []);
  const leaning = source('src/run/build.ts', "import { x } from '../kit/conformance/index.ts';\n");
  const testing = source('src/run/build.ts', "import { test } from 'node:test';\n");
  assert.equal(conformanceOf([leaning, testing]).length, 2);
});

const ofThePage = ['src/cli/worry.ts', 'src/core/name.ts'];

test('the page takes types of anywhere, and values of two pure files', () => {
  const wrong = (pages: readonly Source[]) =>
    pages.flatMap(({ path, imports }) =>
      imports
        .filter(({ what }) => /^(src|providers)\//.test(what) && !ofThePage.includes(what))
        .filter(({ names }) => names === null || names.some(({ type }) => !type))
        .map(({ what }) => `${path} imports ${what}: its code would be in every browser`),
    );
  const pages = sourcesOf('web');
  assert.ok(pages.length > 8);
  assert.deepEqual(wrong(pages), []);
  const taken = sources.filter(({ path }) => ofThePage.includes(path));
  assert.equal(taken.length, ofThePage.length);
  const pure = ({ imports }: Source) => imports.every(({ names }) => names?.every((n) => n.type));
  assert.ok(taken.every(pure));
  const planted = source('web/src/x.tsx', "import { view } from '../../src/core/view.ts';\n");
  assert.equal(wrong([planted]).length, 1);
  for (const { path, lines } of pages) {
    assert.match(lines[0]!, /^\/\/ /, `${path}: open with what it is and what it must never do`);
    assert.ok(
      lines.every((line) => line.length <= 102),
      `${path}: a line is too long`,
    );
  }
});

test('nothing is exported that nobody takes', () => {
  const users = [...sources, ...sourcesOf('test', 'tools', 'web')];
  assert.deepEqual(exportsOf(sources, users, door), []);
  const idle = source('src/dns/limit.ts', 'export function idle(): void {}\nfunction own() {}\n');
  assert.equal(exportsOf([idle], [idle], []).length, 1);
  const user = source('src/dns/ask.ts', "import { idle } from './limit.ts';\n");
  assert.deepEqual(exportsOf([idle], [idle, user], []), []);
  assert.deepEqual(exportsOf([idle], [idle], ['src/dns/limit.ts']), []);
});

const functionLinesMost = 70;
/** Still longer, with the lines that each may have at most: this list only ever gets shorter. */
const stillLong: Readonly<Record<string, number>> = {};

test('a function fits on a screen', () => {
  const long = sources.flatMap((one) => longFunctions(one, functionLinesMost));
  const wrong = long
    .filter(({ path, name, lines }) => lines > (stillLong[`${path} ${name}`] ?? 0))
    .map(({ path, name, at, lines }) => `${path}:${at}: ${name} has ${lines} lines: split it`);
  assert.deepEqual(wrong, []);
  const gone = Object.keys(stillLong).filter(
    (key) => !long.some(({ path, name }) => key === `${path} ${name}`),
  );
  assert.deepEqual(gone, [], 'they fit now: take them off the list');
});

test('the measure of functions sees each kind of them, and nothing else', () => {
  const body = (lines: number) => Array.from({ length: lines - 2 }, () => '  work();').join('\n');
  const inner = (lines: number) => body(lines).replaceAll(/^/gm, '  ');
  const planted: readonly (readonly [text: string, found: boolean])[] = [
    [`export function long(): void {\n${body(71)}\n}\n`, true],
    [`export function fits(): void {\n${body(70)}\n}\n`, false],
    [`async function long(\n  a: string,\n): Promise<void> {\n${body(69)}\n}\n`, true],
    [`const long = async (): Promise<void> => {\n${body(71)}\n};\n`, true],
    [`class Big {\n  async #long(a: string): Promise<void> {\n${inner(71)}\n  }\n}\n`, true],
    [`class Big {\n  long(\n    a: string,\n  ): void {\n${inner(71)}\n  }\n}\n`, true],
    [`const table = {\n${body(200)}\n};\n`, false],
    [`  if (a(b)) {\n${inner(200)}\n  }\n`, false],
    [`call(\n${body(200)}\n);\n`, false],
  ];
  for (const [text, found] of planted) {
    assert.equal(
      longFunctions(source('src/x.ts', text), 70).length,
      found ? 1 : 0,
      text.slice(0, 60),
    );
  }
});

/** Words that only the named files may contain. */
const reserved: readonly (readonly [word: RegExp, allowed: readonly RegExp[], instead: string])[] =
  [
    [
      /\bDate\.now\(|\bnew Date\(\)/,
      [
        /^src\/run\/(clock|elapsed|log)\.ts$/,
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
        /^src\/run\/environment\.ts$/,
        /^src\/cli\/process\.ts$/,
        /^src\/notify\/command\.ts$/,
        /^src\/lab\//,
      ],
      'let main hand the environment over',
    ],
    [
      /\b_detour\b|'first'/,
      [/^src\/core\/marker\.ts$/],
      'the marker has one home: take its name and its first id from core/marker.ts',
    ],
    [/from 'node:dns'/, [], 'look names up with dns/lookup.ts: a silent name delays no other'],
    [
      /\bnew Https?Agent\(/,
      [
        /^providers\/kit\/agents\.ts$/,
        // The engine of a group is no vendor: looked up and verified in the same way, through no proxy.
        /^src\/cluster\/(gateway|kube-api)\.ts$/,
      ],
      'take an agent from providers/kit/agents.ts, which looks names up and verifies',
    ],
    [
      /\bconsole\.(?!aliyun|aws|cloud\.)/,
      [/^src\/cli\/completion\.ts$/],
      'write through the log or the io of a command',
    ],
    [
      /\brejectUnauthorized:\s*false|NODE_TLS_REJECT/,
      // Where it is refused by name.
      [/^src\/run\/environment\.ts$/],
      'TLS is verified (rule 21)',
    ],
    [/\b(FIXME|TODO|XXX)\b/, [], 'finish it, or say it in the closing note'],
    [/@ts-ignore|@ts-nocheck|@ts-expect-error/, [], 'mend the type'],
  ];

test('what belongs to one file stays in that file', () => {
  assert.deepEqual(wordsOf(sources, reserved), []);
  const planted = [
    source('providers/route53.ts', "const name = '_detour.' + record;\n"),
    source('src/cli/print.ts', "console.log('x');\n"),
    source('src/core/plan.ts', 'const now = Date.now();\n'),
  ];
  assert.equal(wordsOf(planted, reserved).length, planted.length);
  assert.deepEqual(
    wordsOf([source('src/core/marker.ts', "const label = '_detour';\n")], reserved),
    [],
  );
});

test('one more word without its row does not compile', () => {
  const copy = mkdtempSync(join(tmpdir(), 'detour-words-'));
  try {
    cpSync(join(root, 'src', 'core'), join(copy, 'src', 'core'), { recursive: true });
    cpSync(join(root, 'package.json'), join(copy, 'package.json'));
    const model = join(copy, 'src', 'core', 'model.ts');
    const text = readFileSync(model, 'utf8');
    const planted: readonly (readonly [list: string, table: string])[] = [
      ['stayReasons', 'steer.ts'],
      ['faultKinds', 'view.ts'],
    ];
    const compile = () => {
      const tsc = join(root, 'node_modules', '.bin', 'tsc');
      const core = join(copy, 'src', 'core', 'tsconfig.json');
      return spawnSync(tsc, ['-p', core, '--noEmit'], { encoding: 'utf8' });
    };
    assert.equal(compile().status, 0);
    for (const [list, table] of planted) {
      const start = `export const ${list} = [\n`;
      assert.ok(text.includes(start), list);
      writeFileSync(model, text.replace(start, `${start}  'one-more-word',\n`));
      const { status, stdout } = compile();
      assert.notEqual(status, 0, list);
      assert.match(stdout, new RegExp(`${table}.*[^]*one-more-word`), list);
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
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

test('no package runs a script when it is installed', () => {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Readonly<Record<string, { readonly hasInstallScript?: boolean }>>;
  };
  const scripted = Object.entries(packages).filter(([, { hasInstallScript }]) => hasInstallScript);
  assert.deepEqual(scripted, [], 'npm ci would run it: .npmrc lets scripts run, for prepack');
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
