// The pages for whoever changes Detour against the repository: what they name exists, what they promise
// about each other holds. A page that speaks of a file that is gone misleads, so it fails here.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type AuditArea, gradesOf } from '../../src/core/audit.ts';
import { behaviours, newestBehaviour } from '../../src/core/engine.ts';
import { type FindingWord, findingWords } from '../../src/core/model.ts';
import { broken, versions } from '../corpus/versions.ts';
import { mayImport } from './rules.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const {
  exports: doors,
  scripts,
  license,
  version,
} = JSON.parse(read('package.json')) as {
  readonly exports: Readonly<Record<string, { readonly default: string }>>;
  readonly scripts: Readonly<Record<string, string>>;
  readonly license: string;
  readonly version: string;
};

const docs = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.md'))
  .map((name) => `docs/${name}`);
const decisions = docs.filter((path) => /^docs\/decisions\/(?!README)/.test(path));

interface Page {
  readonly path: string;
  readonly text: string;
  /** What stands in backquotes, and each line in a fence. */
  readonly said: readonly string[];
}

const pages = ['CONTRIBUTING.md', 'CHANGELOG.md', 'test/README.md', ...docs].map(pageOf);

function pageOf(path: string): Page {
  const text = read(path);
  const fence = /^ *```\w*\n(.*?)^ *```$/gms;
  const fenced = [...text.matchAll(fence)].flatMap(([, lines]) => lines!.split('\n'));
  const spans = [...text.replace(fence, '').matchAll(/`([^`]+)`/g)].map(([, span]) => span!);
  return { path, text, said: [...spans, ...fenced].map((s) => s.trim().replace(/\s+/g, ' ')) };
}

const page = (path: string): Page => pages.find((p) => p.path === path)!;

/** A changelog tells of the past: what it names may be gone. */
const current = pages.filter(({ path }) => path !== 'CHANGELOG.md');

/**
 * Paths that a page names, from the root: a page may leave out its own folder. `NAME` and `NN` stand
 * for what a reader chooses, so that only the folder must exist. `detour/…` is a door of the package.
 */
function pathsIn({ path: from, said }: Page): string[] {
  return said.flatMap((text) => {
    const isFile = /\.(ts|mjs|cjs|json|md|yaml|txt)$/.test(text);
    if (!/^[\w.-]+(\/[\w.-]+)*\/?$/.test(text) || !(text.includes('/') || isFile)) return [];
    const door = text.startsWith('detour/')
      ? doors[`./${text.slice('detour/'.length)}`]
      : undefined;
    if (door !== undefined) return [door.default.replace(/^\.\/dist\/(.+)\.js$/, '$1.ts')];
    const named = /\b(NAME|NN)\b/.test(text) ? dirname(text) : text;
    const near = join(dirname(from), named);
    return [existsSync(join(root, near)) ? near : named];
  });
}

test('every file and folder that the pages name exists', () => {
  const named = current.flatMap((p) => pathsIn(p).map((path) => ({ path, by: p.path })));
  assert.ok(named.length > 100, `${named.length} are named`);
  const built = /^(dist|node_modules)\//;
  const gone = named.filter(({ path }) => !built.test(path) && !existsSync(join(root, path)));
  assert.deepEqual(gone, []);
});

test('every npm script that the pages name exists', () => {
  const own = new Set(['ci', 'install', 'pack', 'publish']);
  const named = current.flatMap((p) =>
    p.said.flatMap((text) => [...text.matchAll(/\bnpm (run )?([a-z:]+)(\*?)/g)]),
  );
  assert.ok(named.length > 20, `${named.length} are named`);
  for (const [text, run, name, star] of named) {
    if (run === undefined && own.has(name!)) continue;
    const known = Object.keys(scripts).some((s) => (star ? s.startsWith(name!) : s === name));
    assert.ok(known, text);
  }
});

/** A heading as a link says it. */
function anchorOf(heading: string): string {
  const words = heading.toLowerCase().replace(/[^\w\- ]/g, '');
  return words.trim().replaceAll(' ', '-');
}

test('every link in the pages leads somewhere', () => {
  const links = pages.flatMap((p) =>
    [...p.text.matchAll(/\]\(([^)]+)\)/g)].map(([, to]) => ({ from: p.path, to: to! })),
  );
  assert.ok(links.length > 15, `${links.length} links`);
  for (const { from, to } of links) {
    if (to.includes('://')) {
      assert.match(to, /^https:\/\//, `${from}: ${to}`);
      continue;
    }
    const [file = '', anchor] = to.split('#');
    const path = file === '' ? from : normalize(join(dirname(from), file));
    assert.ok(existsSync(join(root, path)), `${from}: ${to}`);
    if (anchor === undefined) continue;
    const headings = [...read(path).matchAll(/^#+ (.+)$/gm)].map(([, words]) => anchorOf(words!));
    assert.ok(headings.includes(anchor), `${from}: ${to}`);
  }
});

test('the life of a switch names every file of the core, and the folders it goes through', () => {
  const named = pathsIn(page('docs/life-of-a-switch.md'));
  const core = readdirSync(join(root, 'src/core')).filter((name) => name.endsWith('.ts'));
  const missing = core.map((name) => `src/core/${name}`).filter((path) => !named.includes(path));
  assert.deepEqual(missing, [], 'say in docs/life-of-a-switch.md what happens there');
  for (const folder of ['probes', 'dns', 'store', 'cluster', 'notify', 'serve', 'cli', 'run']) {
    assert.ok(
      named.some((path) => path.startsWith(`src/${folder}/`)),
      `it goes through src/${folder}/`,
    );
  }
  for (const folder of ['providers/', 'providers/kit/']) {
    assert.ok(
      named.some((path) => path.startsWith(folder)),
      `it goes through ${folder}`,
    );
  }
});

test('every decision has the same five headings, is short, and says whether it is built', () => {
  assert.ok(decisions.length > 10);
  for (const path of decisions) {
    const { text } = page(path);
    const parts = text
      .split(/^## /m)
      .slice(1)
      .map((part) => part.split('\n'));
    assert.deepEqual(
      parts.map(([heading]) => heading),
      ['Status', 'Context', 'Decision', 'Consequences', 'Alternatives'],
      path,
    );
    for (const [heading, ...lines] of parts) {
      assert.ok(lines.join('').trim().length > 5, `${path}: ${heading} is empty`);
    }
    assert.match(text, /^# [A-Z].+\n\n## Status\n\n(Built\.|Decided, not built\.)/, path);
    assert.ok(text.split('\n').length <= 45, `${path} is longer than a page`);
  }
});

test('the index of the decisions has each of them once, under its own title and status', () => {
  const rows = [
    ...page('docs/decisions/README.md').text.matchAll(/^\| \[(.+)\]\((.+)\) \| (.+) \|$/gm),
  ];
  const wanted = decisions.map((path) => {
    const { text } = page(path);
    const [, title] = /^# (.+)$/m.exec(text)!;
    const status = text.includes('## Status\n\nBuilt.') ? 'built' : 'decided, not built';
    return [title, path.replace('docs/decisions/', ''), status];
  });
  const byFile = (a: readonly unknown[], b: readonly unknown[]) =>
    String(a[1]) < String(b[1]) ? -1 : 1;
  assert.deepEqual(rows.map(([, ...row]) => row).toSorted(byFile), wanted.toSorted(byFile));
});

/** `src/core/` as `core`, `src/ports.ts` and `ports.ts` as `ports`, `providers/` as itself. */
function roomOf(path: string): string {
  return path.replace(/^src\//, '').replace(/(\.ts|\/)$/, '');
}

test('the table of folders says of each whom it may import, as the house does', () => {
  const row = /^\| `((?:src|providers)\/[^`]*)` \|.*\| (.+) \|$/gm;
  const said = [...page('CONTRIBUTING.md').text.matchAll(row)].map(
    ([, where, whom]) =>
      [roomOf(where!), [...whom!.matchAll(/`([^`]+)`/g)].map(([, room]) => room!).sort()] as const,
  );
  const held = Object.entries(mayImport).map(
    ([where, whom]) => [roomOf(where), whom.map(roomOf).sort()] as const,
  );
  assert.deepEqual(Object.fromEntries(said), Object.fromEntries(held));
});

test('the licence is the one that package.json says, whole', () => {
  const text = read('LICENSE');
  assert.equal(license, 'Apache-2.0');
  assert.match(text, /Apache License\n\s+Version 2\.0, January 2004/);
  assert.match(text, /END OF TERMS AND CONDITIONS/);
  for (let section = 1; section <= 9; section++) {
    assert.match(text, new RegExp(`^ +${section}\\. [A-Z]`, 'm'), `section ${section}`);
  }
});

test('the changelog begins with what is unreleased and has the version of package.json', () => {
  const headings = [...read('CHANGELOG.md').matchAll(/^## \[(.+)\](?: - (.+))?$/gm)];
  const [first, ...released] = headings;
  assert.equal(first?.[1], 'Unreleased');
  assert.equal(released[0]?.[1], version);
  for (const [text, , day] of released) assert.match(day ?? '', /^\d{4}-\d\d-\d\d$/, text);
  const kinds = [...read('CHANGELOG.md').matchAll(/^### (.+)$/gm)].map(([, kind]) => kind!);
  const known = ['Added', 'Changed', 'Deprecated', 'Removed', 'Fixed', 'Security'];
  for (const kind of kinds) assert.ok(known.includes(kind), kind);
});

test('behaviours are numbered without a hole, and the page about compatibility says each', () => {
  const { text } = page('docs/compatibility.md');
  const rows = [...text.matchAll(/^\| (\d+) \| .*? \| (.+) \|$/gm)].map(([, n, says]) => [n, says]);
  assert.deepEqual(rows.slice(1), Object.entries(behaviours));
  const numbers = Object.keys(behaviours).map(Number);
  assert.deepEqual(
    numbers,
    Array.from({ length: newestBehaviour }, (_, i) => i + 1),
  );
});

test('the changelog says which fields of --json are not printed as they were, and since when', () => {
  const parts = page('CHANGELOG.md').text.split(/^## /m);
  for (const [field, version] of Object.entries(broken)) {
    const part = parts.find((text) => text.startsWith(`[${version}.0]`)) ?? '';
    const [command, path] = field.split(' ') as [string, string];
    const says = part.replace(/\s+/g, ' ').split('. ');
    const told = says.some((t) => t.includes(`detour ${command}`) && t.includes(`\`${path}\``));
    assert.ok(told, `${version} says nothing of ${field}`);
  }
});

test('the changelog has each version of the corpus, with its commit', () => {
  const parts = page('CHANGELOG.md').text.split(/^## /m);
  for (const { name, commit } of versions) {
    const part = parts.find((text) => text.startsWith(`[${name}.0]`)) ?? '';
    assert.ok(part.includes(`\`${commit.slice(0, 7)}\``), name);
  }
});

test('the pages name no machine', () => {
  for (const { path, text } of pages) assert.doesNotMatch(text, /\/(root|home|tmp|work)\//, path);
});

test('the page about audits has each word of a finding once, under its own area, and no other', () => {
  const page = read('docs/audit.md');
  const parts = page.split(/^### /m).slice(1);
  const told = parts.flatMap((part) => {
    const area = part.split('\n', 1)[0]!;
    return [...part.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, word]) => [word!, area] as const);
  });
  assert.deepEqual(told.map(([word]) => word).sort(), [...findingWords].sort());
  for (const [word, area] of told) {
    const { areas } = gradesOf([{ word: word as FindingWord, severity: 'bad' }]);
    assert.equal(areas[area as AuditArea], 'F', `${word} stands under ${area}`);
  }
});
