// A reload apart from the daemon: what is put in force when, whatever building does; one at a time.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Config } from '../../src/config/config.ts';
import { type Built, loadConfig } from '../../src/run/build.ts';
import type { Log } from '../../src/run/log.ts';
import { createReload } from '../../src/run/reload.ts';

const directory = mkdtempSync(join(tmpdir(), 'detour-reload-'));
after(() => rmSync(directory, { recursive: true, force: true }));
const path = join(directory, 'detour.yaml');

function write(interval: string): void {
  writeFileSync(
    path,
    `
cluster: shop
policy: { interval: ${interval} }
providers: { cf: { type: cloudflare, apiToken: { env: TOKEN }, nameservers: ["127.0.0.1:9"] } }
origins: { a: { cloud: east, checks: { web: { tcp: "127.0.0.1:9" } } } }
records: { www.example.net: { publish: [cf], targets: [{ origin: a, cname: a.example.com }] } }
`,
  );
}

/** Everything around one reload; what happens to it in order. */
async function stand(build: (config: Config) => void = () => {}) {
  write('5s');
  const said: string[] = [];
  let inForce = (await loadConfig(path)).config;
  const intervalOf = (config: Config) => config.core.checks['a/web']!.intervalMs;
  const nothing = { close() {} };
  const say = (message: string) => void said.push(message);
  const log: Log = { debug() {}, info: say, warn() {}, error: say, flush() {}, become() {} };
  const reload = createReload({
    path,
    replica: null,
    inForce: () => inForce,
    controller: {
      reload: () => [],
      reloadProblems: () => [],
      noteReload: (errors) => void said.push(`${errors} errors`),
    },
    log,
    build(config) {
      build(config);
      const close = () => void said.push('closed');
      return { prober: { close }, verifier: nothing, providers: {} } as unknown as Built;
    },
    async take(config) {
      await new Promise((resolve) => setImmediate(resolve));
      inForce = config;
      return [];
    },
  });
  return { reload, said, interval: () => intervalOf(inForce) };
}

test('a fault of what is built ends nothing, changes nothing and is not quoted', async () => {
  const one = await stand(() => {
    throw new TypeError('sesame');
  });
  write('1s');
  const reply = await one.reload();
  assert.equal(reply.exit, 1);
  assert.match(reply.message, /a fault in Detour itself or in a package \(TypeError\): .* stays$/);
  assert.doesNotMatch(JSON.stringify([reply, one.said]), /sesame/);
  assert.equal(one.interval(), 5000);
});

test('of two that come together each compares with what the other has put in force', async () => {
  const one = await stand();
  write('1s');
  const [first, second] = await Promise.all([one.reload(), one.reload()]);
  assert.match(first.message, /with 1 change\ncheck a\/web: interval 5s -> 1s$/);
  assert.match(second.message, /has changed nothing$/);
  assert.equal(one.interval(), 1000);
});

test('a dry run builds, lets go of what it has built, and puts nothing in force', async () => {
  const one = await stand();
  write('1s');
  const reply = await one.reload({ dryRun: true });
  assert.deepEqual([reply.exit, one.interval(), one.said], [0, 5000, ['closed']]);
  assert.match(reply.message, /can be put in force, with 1 change\n/);
});

const records = (names: readonly string[], cname = 'a.example.com') =>
  names.map(
    (n) => `  ${n}.example.net: { publish: [cf], targets: [{ origin: a, cname: ${cname} }] }`,
  );

function writeRecords(lines: readonly string[]): void {
  writeFileSync(
    path,
    `
cluster: shop
providers: { cf: { type: cloudflare, apiToken: { env: TOKEN }, nameservers: ["127.0.0.1:9"] } }
origins: { a: { cloud: east, checks: { web: { tcp: "127.0.0.1:9" } } } }
records:
${lines.join('\n')}
`,
  );
}

test('what removes many records, or changes all their targets, wants to be meant', async () => {
  const one = await stand();
  writeRecords(records(['a', 'b', 'c', 'd']));
  assert.equal((await one.reload({ dryRun: false, force: true })).exit, 0);
  writeRecords(records(['a', 'b', 'c']));
  assert.equal((await one.reload()).exit, 0, 'one of four may go');
  writeRecords(records(['a', 'b']));
  const refused = await one.reload();
  assert.equal(refused.exit, 2);
  assert.match(refused.message, /removes 1 of 3 records: give `detour reload --force`.*\n.*stays$/);
  const look = await one.reload({ dryRun: true });
  assert.equal(look.exit, 3);
  assert.match(
    look.message,
    /^\S+ would be refused, with 1 change\n[\s\S]*removes 1 of 3 records: give/,
  );
  writeRecords(records(['a', 'b', 'c'], 'b.example.com'));
  assert.match((await one.reload()).message, /changes the targets of every record \(3\)/);
  writeRecords([...records(['a', 'b'], 'b.example.com'), ...records(['c'])]);
  assert.equal((await one.reload()).exit, 0, 'not of every one');
});

test('texts that are given in place of the file are compared, and never put in force', async () => {
  const one = await stand();
  write('3s');
  const { readFileSync } = await import('node:fs');
  const texts = { file: '/else/next.yaml', text: readFileSync(path, 'utf8'), included: {} };
  write('5s');
  const reply = await one.reload({ dryRun: true, texts });
  assert.equal(reply.exit, 0, reply.message);
  assert.match(reply.message, /^\/else\/next\.yaml can be put in force, with 1 change\n.*interval/);
  assert.equal(one.interval(), 5000);
});
