// The documents that are made from the code are those that stand in docs/: `npm run docs` writes them, and
// this says when that was forgotten.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jsonSchema } from '../../src/config/json-schema.ts';
import { entryKinds } from '../../src/core/model.ts';
import { tables } from '../../src/run/build.ts';
import { metricNames } from '../../src/serve/metrics.ts';
import { configurationPage } from '../../tools/configuration.ts';
import { written } from '../../tools/docs.ts';
import { optionsOf, type Schema } from '../../tools/options.ts';
import { pageAt, read } from './pages.ts';

for (const [path, text] of Object.entries(written())) {
  test(`${path} is what the code says`, () => {
    assert.ok(
      read(path) === text,
      `${path} is stale: run \`npm run docs\` and look at what changed`,
    );
  });
}

const firstCells = (path: string) =>
  [...read(path).matchAll(/^\| `([^`]+)` \|/gm)].map(([, cell]) => cell!);

test('every metric and every kind of line in the journal has its row', () => {
  assert.deepEqual(firstCells('docs/metrics.md'), metricNames.map(({ name }) => name).toSorted());
  assert.deepEqual(firstCells('docs/journal.md'), [...entryKinds].toSorted());
});

test('every key of the configuration has a row, or keys below it that have', () => {
  const kinds = Object.keys(tables.checks);
  const rows = firstCells('docs/configuration.md');
  assert.ok(rows.length > 200, `${rows.length} rows`);
  const all = optionsOf(jsonSchema(tables) as Schema, kinds).map(({ path }) => path);
  const missing = all.filter((path) => {
    const shared = path.replace(/^(check|providers)\.\w+\./, '$1.*.');
    return !rows.some((row) =>
      [path, shared].some(
        (one) => row === one || (/^[.[]/.test(row.slice(one.length)) && row.startsWith(one)),
      ),
    );
  });
  assert.deepEqual(missing, []);
});

test('each row says what its key is for', () => {
  const { text } = pageAt('docs/configuration.md');
  for (const line of text.split('\n').filter((one) => one.startsWith('| `'))) {
    const cells = line.replaceAll('\\|', '/').split(' | ');
    assert.equal(cells.length, 5, line);
    assert.match(cells[4]!, /[.?!)]\)? \|$/, line);
  }
  assert.throws(
    () =>
      configurationPage({
        schema: { properties: { odd: { type: 'string' } } },
        kinds: [],
        examples: [],
      }),
    /nothing says what these are for: odd/,
  );
});
