// README.md against the program: commands, options, metrics, files, permissions and the
// configuration that it names are those that exist. A page that promises more than there is fails.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { providerTypes } from '../../providers/index.ts';
import type { Hands } from '../../src/cli/hands.ts';
import { buildProgram } from '../../src/cli/index.ts';
import { type Config, parseConfig, printProblem } from '../../src/config/config.ts';
import { labCommand } from '../../src/lab/shell/command.ts';
import { tables } from '../../src/run/build.ts';
import { metricNames } from '../../src/serve/metrics.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(join(root, 'README.md'), 'utf8');

/** What stands in fences, with the language they are marked with. */
const blocks = [...page.matchAll(/^```(\w*)\n(.+?)^```$/gms)].map(([, language, text]) => ({
  language: language!,
  text: text!,
}));
const block = (language: string) => blocks.filter((b) => b.language === language);
/** What stands in backquotes, on one line. */
const spans = [...page.replace(/^```.+?^```$/gms, '').matchAll(/`([^`]+)`/g)].map(([, text]) =>
  text!.replace(/\s+/g, ' '),
);
const said = [...spans, ...block('').flatMap(({ text }) => text.split('\n'))];

// Nothing is run: only names and options are asked for.
const program = buildProgram({ version: '0' } as Hands);
const commandOf = (name: string): Command | undefined =>
  program.commands.find((command) => command.name() === name);

/** `switch` and `--direct` for each time a command is written out. */
const calls = said.flatMap((text) =>
  [...text.matchAll(/\bdetour ([a-z]+(?:-[a-z]+)*)\b([^#|]*)/g)].map(([, name, rest]) => ({
    name: name!,
    rest: rest!.trim(),
    options: rest!.match(/(?<=\s)--?[a-z][a-z-]*/g) ?? [],
  })),
);

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

test('every command that the page names exists, with the options it is given', async () => {
  const lab = await labHelp();
  assert.ok(calls.length > 40, `the page names commands (${calls.length})`);
  for (const { name, rest, options } of calls) {
    const command = commandOf(name);
    assert.ok(command, `detour ${name}`);
    const [word = ''] = rest.split(' ');
    if (name === 'lab') {
      if (/^[a-z]/.test(word)) assert.ok(lab.includes(`  detour lab ${word}`), `lab ${word}`);
      for (const option of options) {
        assert.ok(option === '--help' || lab.includes(option), `lab ${option}`);
      }
      continue;
    }
    const inner = command.commands.find((c) => c.name() === word) ?? command;
    const known = inner.options.flatMap((o) => [o.long, o.short]);
    for (const option of options) assert.ok(known.includes(option), `detour ${name} ${option}`);
  }
});

test('every command of the program is in the table, with options that it has', () => {
  const rows = page.split('\n').filter((line) => line.startsWith('| `detour '));
  const shown = program
    .createHelp()
    .visibleCommands(program)
    .filter((c) => c.name() !== 'help');
  const listed = rows.flatMap((row) => [...row.split('|')[1]!.matchAll(/`detour ([a-z-]+)`/g)]);
  assert.deepEqual(
    listed.map(([, name]) => name).toSorted(),
    shown.map((command) => command.name()).toSorted(),
  );
  for (const row of rows) {
    const command = commandOf(/`detour ([a-z-]+)`/.exec(row)![1]!)!;
    for (const [, option] of row.matchAll(/`(--[a-z-]+)`/g)) {
      assert.ok(
        command.options.some((o) => o.long === option),
        `${command.name()} ${option}`,
      );
    }
  }
});

test('every command takes --json, as the page says', () => {
  assert.ok(page.includes('Every command takes `--json`'));
  const bare = program.commands
    .filter((command) => !['lab', 'completion', 'complete', 'man'].includes(command.name()))
    .flatMap((command) => (command.commands.length > 0 ? command.commands : [command]))
    .filter((command) => !command.options.some((option) => option.long === '--json'));
  assert.deepEqual(
    bare.map((command) => command.name()),
    [],
  );
});

test('every command that the program itself names exists, with the options it gives', () => {
  const texts = ['src', 'providers', 'deploy'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(ts|yaml|service)$/.test(name) && !/^lab/.test(name))
      .map((name) => ({
        path: `${folder}/${name}`,
        text: readFileSync(join(root, folder, name), 'utf8'),
      })),
  );
  let count = 0;
  for (const { path, text } of texts) {
    // In the sources the backquotes of a sentence in a template are escaped.
    for (const [, name, rest] of text.matchAll(/`detour ([a-z][a-z-]*)\b([^`\\]*)\\?`/g)) {
      const command = commandOf(name!);
      assert.ok(command, `${path} names detour ${name}, and there is no such command`);
      count++;
      if (name === 'lab' || command.commands.length > 0) continue;
      const known = command.options.flatMap((o) => [o.long, o.short]);
      for (const option of rest!.match(/(?<=\s)--?[a-z][a-z-]*/g) ?? []) {
        assert.ok(known.includes(option), `${path}: detour ${name} ${option}`);
      }
    }
  }
  assert.ok(count > 40, `${count} are named`);
});

test('every metric that the page names exists', () => {
  const known = metricNames.map(({ name }) => name);
  const named = [...page.matchAll(/\bdetour_[a-z_]+/g)].map(([name]) => name);
  assert.ok(named.length > 0);
  for (const name of named) assert.ok(known.includes(name), name);
});

function readConfig(): Config {
  const [yaml, ...others] = block('yaml');
  assert.equal(others.length, 0, 'one configuration');
  const parsed = parseConfig(yaml!.text, 'README.md', tables);
  if (!parsed.ok) assert.fail(parsed.problems.map(printProblem).join('\n'));
  const warnings = parsed.warnings.map(({ message }) => message);
  // What the page says of itself: it only observes, and one vendor takes no shorter TTL.
  assert.equal(warnings.length, 2, warnings.join('\n'));
  return parsed.config;
}

test('the configuration is good, and its credentials are those of the systemd unit', () => {
  const config = readConfig();
  assert.deepEqual(Object.keys(config.providers), ['cf', 'r53', 'ali']);
  const unit = readFileSync(join(root, 'deploy/systemd/detour.service'), 'utf8');
  const loaded = [...unit.matchAll(/^LoadCredential=([^:]+):/gm)].map(([, name]) => name);
  const wanted = [...page.matchAll(/\{ credential: ([a-z-]+) \}/g)].map(([, name]) => name);
  assert.deepEqual(loaded.toSorted(), wanted.toSorted());
});

interface Policy {
  readonly Statement: readonly {
    readonly Action: string | readonly string[];
    readonly Condition?: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
  }[];
}

test('each policy grants what the adapter needs, and no more', () => {
  const policies = block('json').map(({ text }) => JSON.parse(text) as Policy);
  const granted = policies.map((p) => p.Statement.flatMap((s) => s.Action).toSorted());
  const needed = ['route53', 'alidns'].map((type) =>
    providerTypes[type]!.capabilities.permissions.map((one) => one.permission).toSorted(),
  );
  assert.deepEqual(granted, needed);
  for (const { permission } of providerTypes['cloudflare']!.capabilities.permissions) {
    assert.ok(spans.includes(permission), `the page names the permission ${permission}`);
  }
  const names = policies
    .flatMap((p) => p.Statement)
    .flatMap((s) => Object.values(s.Condition ?? {}))
    .flatMap((keys) => keys['route53:ChangeResourceRecordSetsNormalizedRecordNames'] ?? []);
  const [record] = Object.keys(readConfig().core.records);
  const bare = record!.slice(0, -1);
  assert.deepEqual(names, [bare, `_detour.${bare}`]);
});

test('every file and folder that the page names exists, and every link leads somewhere', () => {
  const top = readdirSync(root);
  const named = spans.filter((text) => {
    const [first] = text.split('/');
    return /^[\w./-]+$/.test(text) && text.includes('/') && top.includes(first!);
  });
  const linked = [...page.matchAll(/\]\(([^)]+)\)/g)].map(([, path]) => path!);
  assert.ok(named.length > 15 && linked.length > 5);
  for (const path of [...named, ...linked]) {
    if (path.startsWith('node_modules/')) continue;
    assert.ok(path.startsWith('dist/') || existsSync(join(root, path)), path);
  }
});

test('the map has every folder of the sources', () => {
  const rooms = readdirSync(join(root, 'src'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => `src/${entry.name}/`);
  for (const folder of [...rooms, 'providers/', 'deploy/', 'test/', 'tools/']) {
    assert.ok(spans.includes(folder), `${folder} is in the map of the code`);
  }
});

test('the npm scripts that the page names exist', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const named = said.flatMap((text) => /^npm (?:run )?([a-z:]+)/.exec(text)?.[1] ?? []);
  assert.ok(named.includes('start') && named.includes('test'));
  for (const name of named) assert.ok(name in scripts, name);
});

test('the reasons, states and options in its tables are words of the program', () => {
  const sources = ['src/core', 'src/serve'].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(join(root, folder, name), 'utf8')),
  );
  const text = sources.join('\n');
  const odd = page.slice(page.indexOf('## When something is odd'), page.indexOf('## Map of'));
  const reasons = odd
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .flatMap((line) => [...line.split('|')[1]!.matchAll(/`([a-z-]+)`/g)].map(([, w]) => w!));
  assert.ok(reasons.length > 10);
  const words = ['auth-suspect', 'lagging', 'diverged', 'cloud-down', 'auth-down', ...reasons];
  for (const word of words) {
    assert.ok(page.includes(`\`${word}\``), word);
    assert.ok(text.includes(`'${word}'`), `nobody says ${word}`);
  }
  for (const path of ['/gates/', '/readyz']) assert.ok(text.includes(`'${path}'`), path);
});

test('the page stays short and names no machine', () => {
  const lines = page.split('\n');
  assert.ok(lines.length <= 331, `${lines.length} lines`);
  assert.doesNotMatch(page, /\/(root|home|tmp|work)\//);
});
