// A configuration in several files: what the folders of `include:` hold adds to the maps of the first
// file, and every problem names the file and the line where it stands.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { ConfigError, loadConfig } from '../../src/run/build.ts';

let directory: string;
const first = `include: conf.d
cluster: shop
providers: { cf: { type: cloudflare, apiToken: { env: TOKEN } } }
origins: { a: { cloud: east, checks: { web: { tcp: "127.0.0.1:9" } } } }
`;
const record = (name: string, origin: string) =>
  `records:
  ${name}.example.net:
    publish: [cf]
    targets: [{ origin: ${origin}, cname: ${origin}.example.com }]
`;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'detour-include-'));
  mkdirSync(join(directory, 'conf.d'));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

function write(files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
}

/** Its records; or what is wrong, without the folder of this test. */
async function read(): Promise<readonly string[]> {
  try {
    const { config } = await loadConfig(join(directory, 'detour.yaml'));
    return Object.keys(config.core.records).sort();
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems.map((text) => text.replaceAll(`${directory}/`, ''));
  }
}

test('the files of a folder add to the maps of the first, in the order of their names', async () => {
  write({
    'detour.yaml': first,
    'conf.d/20-b.yaml': `origins: { b: { cloud: west, checks: { web: { tcp: "127.0.0.1:9" } } } }
${record('shop', 'b')}`,
    'conf.d/10-a.yml': record('www', 'a'),
    'conf.d/.30-c.yaml.swp': 'what an editor leaves behind: {',
    'conf.d/notes.txt': 'nothing of ours: {',
  });
  assert.deepEqual(await read(), ['shop.example.net.', 'www.example.net.']);
});

test('a problem names the file and the line where it stands, all of them at once', async () => {
  write({
    'detour.yaml': `${first}listen: nowhere\n`,
    'conf.d/a.yaml': record('www', 'a'),
    'conf.d/b.yaml': record('shop', 'c'),
  });
  const problems = await read();
  assert.equal(problems.length, 2, problems.join('\n'));
  assert.match(problems[0]!, /^detour\.yaml:5:9 {2}listen: expected HOST:PORT/);
  assert.match(problems[1]!, /^conf\.d\/b\.yaml:4:25 {2}records\.[^ ]*targets\[0\]\.origin: /);
});

test('what stands in two files, or does not belong into an included one, is refused', async () => {
  write({
    'detour.yaml': `${first}${record('www', 'a')}`,
    'conf.d/a.yaml': `# once more\n${record('www', 'a')}policy: { interval: 1s }\n`,
    'conf.d/b.yaml': '[not, a, map]\n',
    'conf.d/c.yaml': 'records: [no]\n',
  });
  const problems = await read();
  assert.match(problems[0]!, /^conf\.d\/a\.yaml:3:3 .*stands in detour\.yaml:6 too: keep one$/);
  assert.match(problems[1]!, /^conf\.d\/a\.yaml:6:1 {2}policy: an included file holds providers/);
  assert.match(problems[2]!, /^conf\.d\/b\.yaml:1:1 {2}expected a map/);
  assert.match(problems[3]!, /^conf\.d\/c\.yaml:1:10 {2}records: expected a map, here and/);
  assert.equal(problems.length, 4, problems.join('\n'));
});

test('a folder that is not there, and a file that is no YAML, are problems with their places', async () => {
  write({
    'detour.yaml': first.replace('conf.d', '[conf.d, gone]'),
    'conf.d/a.yaml': 'x: "open\n',
  });
  const problems = await read();
  assert.match(problems.join('\n'), /^conf\.d\/a\.yaml:\d+:\d+ {2}this is no YAML/m);
  write({ 'conf.d/a.yaml': record('www', 'a') });
  assert.match(
    (await read()).join('\n'),
    /^detour\.yaml:1:19 {2}include\[1\]: "gone" is not there/,
  );
});
