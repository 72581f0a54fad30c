// README.md and the pages that a newcomer reads after it, against the program: the tables of commands and
// of reasons, the first configuration, the permissions that keys need. A page that promises more than there
// is fails; a README that grows into a reference does, too.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Command } from 'commander';
import { providerTypes } from '../../providers/index.ts';
import type { Hands } from '../../src/cli/hands.ts';
import { buildProgram } from '../../src/cli/index.ts';
import { type Config, parseConfig, printProblem } from '../../src/config/config.ts';
import { tables } from '../../src/run/build.ts';
import { pageAt, root } from './pages.ts';

const commands = pageAt('docs/commands.md');
const start = pageAt('docs/getting-started.md');

// Nothing is run: only names and options are asked for.
const program = buildProgram({ version: '0' } as Hands);
const commandOf = (name: string): Command | undefined =>
  program.commands.find((command) => command.name() === name);

test('every command of the program is in the table, with options that it has', () => {
  const rows = commands.text.split('\n').filter((line) => line.startsWith('| `detour '));
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
  assert.ok(commands.text.includes('Every command takes `--json`'));
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

function readConfig(): Config {
  const [yaml, ...others] = start.blocks.filter(({ language }) => language === 'yaml');
  assert.equal(others.length, 0, 'one configuration');
  const parsed = parseConfig(yaml!.text, start.path, tables);
  if (!parsed.ok) assert.fail(parsed.problems.map(printProblem).join('\n'));
  const warnings = parsed.warnings.map(({ message }) => message);
  // What the page says of itself: it only observes, and one vendor takes no shorter TTL.
  assert.equal(warnings.length, 2, warnings.join('\n'));
  return parsed.config;
}

test('the configuration is good, and its credentials lie where the systemd unit looks', () => {
  const config = readConfig();
  assert.deepEqual(Object.keys(config.providers), ['cf', 'r53', 'ali']);
  const unit = readFileSync(join(root, 'deploy/systemd/detour.service'), 'utf8');
  const [, folder] = /^LoadCredential=detour:(\S+)$/m.exec(unit) ?? [];
  assert.ok(folder !== undefined && start.text.includes(folder), `${folder}`);
});

interface Policy {
  readonly Statement: readonly {
    readonly Action: string | readonly string[];
    readonly Condition?: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
  }[];
}

function capital(_: string, first: string, rest: string): string {
  return `"${first.toUpperCase()}${rest}"`;
}

test('each policy grants what the adapter needs, and no more', () => {
  const policies = start.blocks
    .filter(({ language }) => language === 'json')
    // AWS and Alibaba Cloud begin their words with a capital, Tencent Cloud does not.
    .map(
      ({ text }) =>
        JSON.parse(text.replaceAll(/"([sea])(tatement|ffect|ction)"/g, capital)) as Policy,
    );
  const granted = policies.map((p) => p.Statement.flatMap((s) => s.Action).toSorted());
  const needed = ['route53', 'alidns', 'dnspod'].map((type) =>
    providerTypes[type]!.capabilities.permissions.map((one) => one.permission).toSorted(),
  );
  assert.deepEqual(granted, needed);
  for (const { permission } of providerTypes['cloudflare']!.capabilities.permissions) {
    assert.ok(start.spans.includes(permission), `the page names the permission ${permission}`);
  }
  const names = policies
    .flatMap((p) => p.Statement)
    .flatMap((s) => Object.values(s.Condition ?? {}))
    .flatMap((keys) => keys['route53:ChangeResourceRecordSetsNormalizedRecordNames'] ?? []);
  const [record] = Object.keys(readConfig().core.records);
  const bare = record!.slice(0, -1);
  assert.deepEqual(names, [bare, `_detour.${bare}`]);
});

test('the reasons, states and options in its tables are words of the program', () => {
  const sources = ['src/core', 'src/serve'].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(join(root, folder, name), 'utf8')),
  );
  const text = sources.join('\n');
  const page = pageAt('docs/operations.md').text;
  const odd = page.slice(
    page.indexOf('## When something is odd'),
    page.indexOf('## When Detour itself'),
  );
  const reasons = odd
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .flatMap((line) => [...line.split('|')[1]!.matchAll(/`([a-z-]+)`/g)].map(([, w]) => w!));
  assert.ok(reasons.length > 10);
  const words = ['auth-suspect', 'lagging', 'diverged', 'stuck', 'throttled', ...reasons];
  for (const word of words) {
    assert.ok(page.includes(`\`${word}\``), word);
    assert.ok(text.includes(`'${word}'`), `nobody says ${word}`);
  }
  for (const path of ['/metrics', '/readyz', '/healthz'])
    assert.ok(text.includes(`'${path}'`), path);
});

test('what a newcomer reads first stays short, and has the two commands before anything else', () => {
  const readme = pageAt('README.md');
  const lines = readme.text.split('\n');
  assert.ok(lines.length <= 150, `${lines.length} lines`);
  assert.match(readme.blocks[0]!.text, /^npm start .*\nnpm test .*\n$/);
});
