// What comes with Detour and what is in its own package: the page of packages against the lock file,
// row by row, and the list of files that `npm pack` would take. Nothing is built and nothing fetched.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

interface Locked {
  readonly version: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
}

const { '': own, ...locked } = JSON.parse(read('package-lock.json')).packages as Record<
  string,
  Locked
> & {
  readonly '': { readonly dependencies: object; readonly devDependencies: object };
};
const page = 'docs/dependencies.md';

/** Bytes of a package's own files. */
function bytesOf(folder: string): number {
  return readdirSync(folder, { withFileTypes: true })
    .filter(({ name }) => name !== 'node_modules')
    .map((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? bytesOf(path) : statSync(path).size;
    })
    .reduce((sum, size) => sum + size, 0);
}

/** Rows of the tables by the first cell, each with the other cells and the title above it. */
function rowsOf(text: string): ReadonlyMap<string, { title: string; cells: readonly string[] }> {
  const rows = new Map<string, { title: string; cells: readonly string[] }>();
  for (const part of text.split(/^## /m).slice(1)) {
    const title = part.split('\n')[0]!;
    for (const [, line] of part.matchAll(/^\| (?!package |---)(.*) \|$/gm)) {
      const [name, ...cells] = line!.split(' | ');
      assert.ok(!rows.has(name!), `${page} has ${name} twice`);
      rows.set(name!, { title, cells });
    }
  }
  return rows;
}

test('every package that runs with Detour, or builds it, stands on the page as it is', () => {
  const rows = rowsOf(read(page));
  const wrong: string[] = [];
  const expected = new Set<string>();
  const expect = (
    name: string,
    title: string,
    cells: readonly string[],
    more: readonly string[],
  ) => {
    expected.add(name);
    const found = rows.get(name);
    const row = `| ${[name, ...cells, ...more].join(' | ')} |`;
    if (found === undefined) wrong.push(`under "${title}" add: ${row}`);
    else if (found.title !== title) wrong.push(`${name} belongs under "${title}"`);
    else {
      const isSame = cells.every((cell, i) => found.cells[i] === cell);
      if (!isSame) wrong.push(`${name} is no longer so: ${row}`);
      if (found.cells.length !== cells.length + more.length || found.cells.includes(''))
        wrong.push(`${name} has an empty or a missing cell: ${row}`);
    }
  };
  for (const [path, { version, license = '?', dev, optional }] of Object.entries(locked)) {
    if (dev) continue;
    const name = path.replace(/^node_modules\//, '');
    const folder = join(root, path);
    // What is for another processor is not here to be measured.
    const size = existsSync(folder)
      ? [Math.max(1, Math.round(bytesOf(folder) / 1000)).toLocaleString('en')]
      : [rows.get(name)?.cells[2] ?? 'KB'];
    const cells = [version, license, ...size];
    const chosen = ['FOR WHAT', 'WHAT ELSE'];
    if (optional) expect(name, 'Where the machine wants them', cells, chosen);
    else if (name in own.dependencies) expect(name, 'Chosen', cells, chosen);
    else expect(name, 'Brought along', cells, ['BY WHOM']);
  }
  for (const name of Object.keys(own.devDependencies)) {
    const { version, license = '?' } = locked[`node_modules/${name}`]!;
    expect(name, 'To build and test', [version, license], ['FOR WHAT']);
  }
  for (const name of rows.keys()) if (!expected.has(name)) wrong.push(`take off: ${name}`);
  assert.deepEqual(wrong, [], `mend ${page}`);
  assert.ok(rows.size > 70);
});

test('licences are of the kinds that ask for no more than their text', () => {
  const free = /^(MIT|MIT-0|ISC|0BSD|Apache-2\.0|BlueOak-1\.0\.0|BSD-[23]-Clause)$/;
  const other = Object.entries(locked).filter(
    ([, { dev, license }]) => !dev && !free.test(license!),
  );
  assert.deepEqual(other, [], 'look at what it asks for before it ships');
});

/** What npm would pack now. */
function packed(): readonly string[] {
  const argv = ['pack', '--dry-run', '--json', '--ignore-scripts'];
  const done = spawnSync('npm', argv, { cwd: root, encoding: 'utf8', timeout: 60_000 });
  assert.equal(done.status, 0, done.stderr);
  const [{ files }] = JSON.parse(done.stdout) as [{ files: readonly { path: string }[] }];
  return files.map(({ path }) => path);
}

test('in the package of npm is what runs, what its doors promise, and nothing else', () => {
  const files = packed();
  for (const path of ['bin/detour.cjs', 'dist/program/main.cjs', 'LICENSE']) {
    assert.ok(files.includes(path), path);
  }
  for (const path of ['deploy/example.yaml', 'deploy/systemd/detour.service']) {
    assert.ok(files.includes(path), `${path}, which commands or the README name`);
  }
  const kinds =
    /^(LICENSE|README(\.[\w-]+)?\.md|package\.json|bin\/|deploy\/(?!debian|docker)|dist\/program\/[\w-]+\.cjs|dist\/(src|providers)\/.*\.d\.ts|dist\/web\/)/;
  const odd = files.filter((path) => !kinds.test(path) || /(^|\/)(test|tests)\/|\.map$/.test(path));
  assert.deepEqual(
    odd,
    [],
    'leave it out by `files` of package.json, or say here why it is needed',
  );
  const types = files.filter((path) => path.endsWith('.d.ts'));
  const reached = doorTypes();
  for (const path of reached) assert.ok(types.includes(path), `${path} is a type of a door`);
  const idle = types.filter((path) => !reached.has(path) && !/\/kit\//.test(path));
  assert.deepEqual(idle, [], 'types that no door leads to');
});

/** The declarations that the doors of package.json lead to. */
function doorTypes(): ReadonlySet<string> {
  const { exports: doors } = JSON.parse(read('package.json')) as {
    exports: Record<string, { types?: string }>;
  };
  const seen = new Set<string>();
  const walk = (path: string) => {
    if (seen.has(path)) return;
    seen.add(path);
    for (const [, double] of read(path).matchAll(/(?:from |import\()'(\.[^']+)'/g)) {
      walk(normalize(join(dirname(path), double!.replace(/\.(js|ts)$/, '.d.ts'))));
    }
  };
  for (const { types } of Object.values(doors)) if (types !== undefined) walk(normalize(types));
  return seen;
}
