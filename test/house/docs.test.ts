// Every document against the repository and the program: links, commands, scripts, configurations and
// files that a page names exist, and what pages promise about each other holds. A page that speaks of
// what is gone misleads, so it fails here.

import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { type Command, CommanderError } from 'commander';
import { parse } from 'yaml';
import type { Hands, Io } from '../../src/cli/hands.ts';
import { buildProgram } from '../../src/cli/index.ts';
import { parseConfig, printProblem } from '../../src/config/config.ts';
import { jsonSchema } from '../../src/config/json-schema.ts';
import { type AuditArea, gradesOf } from '../../src/core/audit.ts';
import { behaviours, newestBehaviour } from '../../src/core/engine.ts';
import { type FindingWord, findingWords } from '../../src/core/model.ts';
import { labCommand } from '../../src/lab/shell/command.ts';
import { tables } from '../../src/run/build.ts';
import { metricNames } from '../../src/serve/metrics.ts';
import { namedIn, optionsOf, type Schema } from '../../tools/options.ts';
import { broken, versions } from '../corpus/versions.ts';
import {
  anchorOf,
  callsIn,
  docs,
  type Page,
  pageAt as page,
  pages,
  placeOf,
  read,
  root,
} from './pages.ts';
import { mayImport } from './rules.ts';

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

const decisions = docs.filter((path) => /^docs\/decisions\/(?!README)/.test(path));

/** A changelog tells of the past: what it names may be gone. */
const current = pages.filter(({ path }) => path !== 'CHANGELOG.md');

/**
 * Paths that a page names, from the root: a page may leave out its own folder. `NAME` and `NN` stand
 * for what a reader chooses, so that only the folder must exist. `detour/…` is a door of the package.
 */
function pathsIn({ path: from, said }: Page): string[] {
  return said.flatMap((text) => {
    const isFile = /\.(ts|mjs|cjs|json|md|yaml|txt)$/.test(text);
    if (text.startsWith('application/')) return [];
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

test('every link in the pages leads somewhere', () => {
  let count = 0;
  for (const from of pages) {
    for (const to of from.links) {
      count++;
      if (to.includes('://')) {
        assert.match(to, /^https:\/\//, `${from.path}: ${to}`);
        continue;
      }
      const { path, anchor } = placeOf(from, to);
      assert.ok(existsSync(join(root, path)), `${from.path}: ${to}`);
      if (anchor === undefined) continue;
      const anchors = page(path).headings.map(({ words }) => anchorOf(words));
      assert.ok(anchors.includes(anchor), `${from.path}: ${to}`);
    }
  }
  assert.ok(count > 150, `${count} links`);
});

test('the index of the documents leads to every one of them', () => {
  const index = page('docs/README.md');
  const led = new Set(index.links.map((to) => placeOf(index, to).path));
  const wanted = pages.map(({ path }) => path).filter((path) => !decisions.includes(path));
  const lost = wanted.filter((path) => path !== index.path && !led.has(path));
  assert.deepEqual(lost, [], 'give each of these a line in docs/README.md');
  assert.ok(page('README.md').links.includes('docs/README.md'));
});

// ---------------------------------------------------------------- commands and configurations

const silent = {
  out() {},
  err() {},
  exit() {},
  columns: () => 100,
  colour: false,
} as unknown as Io;

/** The real program; parsing a command line with it does nothing. */
function idleProgram(): Command {
  const program = buildProgram({ version: '0' } as Hands, silent);
  const lay = (command: Command): void => {
    if (command.commands.length === 0) command.action(() => {});
    for (const one of command.commands) lay(one);
  };
  lay(program);
  return program;
}

/** Why a command line is refused; null: it is not. */
async function refusal(words: readonly string[]): Promise<string | null> {
  try {
    await idleProgram().parseAsync([...words], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? null : error.message;
  }
  return null;
}

async function labHelp(): Promise<string> {
  let text = '';
  const stdout = new Writable({
    write(chunk, _, done) {
      text += String(chunk);
      done();
    },
  });
  assert.equal(await labCommand(['--help'], { daemonArgv: [], stdout }), 0);
  return text;
}

/** What is wrong with a command line of the lab, which reads its own; null: nothing. */
function refusalOfLab(words: readonly string[], help: string): string | null {
  const [first = ''] = words;
  const isWord = /^[a-z]/.test(first);
  if (isWord && !help.includes(`  detour lab ${first}`)) return `there is no lab ${first}`;
  const known = (option: string) => help.includes(`  ${option}`) || help.includes(`[${option}`);
  const strange = words.filter((word) => word.startsWith('--') && !known(word));
  return strange.every((word) => word === '--help') ? null : `it has no ${strange.join(', ')}`;
}

test('every command in a code block is taken by the program, with its options and arguments', async () => {
  const help = await labHelp();
  const wrong: string[] = [];
  let count = 0;
  for (const { path, blocks } of current) {
    for (const words of blocks.flatMap((block) => callsIn(block, 'detour'))) {
      count++;
      const [name, ...rest] = words;
      const why = name === 'lab' ? refusalOfLab(rest, help) : await refusal(words);
      if (why !== null) wrong.push(`${path}: detour ${words.join(' ')}: ${why}`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(count > 60, `${count} commands`);
  // The look itself can fail.
  assert.match((await refusal(['switch', 'www', '--reason', 'x'])) ?? '', /missing.*target/);
  assert.match((await refusal(['status', '--wach'])) ?? '', /unknown option/);
  assert.match((await refusal(['statsu'])) ?? '', /unknown command/);
  assert.notEqual(refusalOfLab(['brake', 'cloud'], help), null);
});

test('every command in the text exists, with the options it is given', async () => {
  const program = idleProgram();
  const help = await labHelp();
  for (const { path, spans } of current) {
    for (const span of spans) {
      for (const [, name, rest] of span.matchAll(
        /(?:^|(?<!-n)[\s(])detour ([a-z]+(?:-[a-z]+)*)\b([^#|;>]*)/g,
      )) {
        const command = program.commands.find((one) => one.name() === name);
        assert.ok(command, `${path}: ${span}`);
        const [word = ''] = rest!.trim().split(' ');
        const given = rest!.match(/(?<=\s)--?[a-z][a-z-]*/g) ?? [];
        const inner = command.commands.find((one) => one.name() === word) ?? command;
        const known = inner.options.flatMap((option) => [option.long, option.short]);
        for (const option of given) {
          const isKnown = name === 'lab' ? help.includes(option) : known.includes(option);
          assert.ok(isKnown || option === '--help', `${path}: ${span}: ${option}`);
        }
      }
    }
  }
});

test('every configuration in the pages is good, and a part of one has only keys that there are', () => {
  const kinds = Object.keys(tables.checks);
  const schema = jsonSchema(tables) as Schema;
  const known = new Set(optionsOf(schema, kinds).map(({ path }) => path));
  // A name of the operator's own is no key, nor is what stands in a reference to a secret.
  const isKnown = (named: string) =>
    [named, named.replace(/\.(env|file|credential)$/, '')].some((one) =>
      [...known].some(
        (key) => key === one || (key.startsWith(one) && /^[.[]/.test(key.slice(one.length))),
      ),
    );
  let [whole, parts] = [0, 0];
  for (const { path, blocks } of current) {
    for (const { language, text } of blocks) {
      // What a package brings is the package's business.
      if (language !== 'yaml' || text.includes('npm:')) continue;
      const value: unknown = parse(text);
      const keys = typeof value === 'object' && value !== null ? Object.keys(value) : [];
      if (keys.includes('cluster') && keys.includes('records')) {
        whole++;
        const parsed = parseConfig(text, path, tables);
        if (!parsed.ok) assert.fail(parsed.problems.map(printProblem).join('\n'));
        continue;
      }
      // Some blocks are other programs': a part of ours begins with a key of ours.
      if (keys.length === 0 || !keys.every((key) => key in (schema.properties ?? {}))) continue;
      parts++;
      const odd = namedIn(value, kinds, '').filter((one) => !one.includes('…') && !isKnown(one));
      assert.deepEqual(odd, [], `${path}:\n${text}`);
    }
  }
  assert.ok(whole > 0 && parts > 8, `${whole} whole ones, ${parts} parts`);
});

test('every metric that the pages name exists', () => {
  const known = metricNames.map(({ name }) => name);
  for (const { path, spans } of current) {
    for (const name of spans.flatMap((span) => span.match(/\bdetour_[a-z_]+/g) ?? [])) {
      const bare = name.replace(/_(bucket|sum|count)$/, '').replace(/_$/, '');
      const isKnown =
        known.includes(name) || known.some((one) => one === bare || one.startsWith(`${bare}_`));
      assert.ok(isKnown, `${path}: ${name}`);
    }
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
