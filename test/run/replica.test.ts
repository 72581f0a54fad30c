// Which of several replicas a process is: the command line, the environment and the file, in this
// order; and what then is asked from here, which is never another's.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ConfigError, loadConfig, lookAtConfig } from '../../src/run/build.ts';
import { drillCheck, probeAll } from '../../src/run/probe.ts';
import { createReload } from '../../src/run/reload.ts';

const directory = mkdtempSync(join(tmpdir(), 'detour-replica-'));
const target = createServer((socket) => socket.end());
await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve));
after(() => {
  target.close();
  rmSync(directory, { recursive: true, force: true });
});

function write(more: string): string {
  const { port } = target.address() as { readonly port: number };
  const path = join(directory, 'detour.yaml');
  writeFileSync(
    path,
    `
cluster: shop
clusterKey: { file: ${directory}/cluster.key }
${more}
replicas:
  hz-1: { address: "hz.example:7947", site: hz }
  fra-1: { address: "fra.example:7947", site: fra }
  nrt-1: { address: "nrt.example:7947", site: nrt }
providers: { cf: { type: cloudflare, apiToken: { env: TOKEN } } }
origins:
  a: { cloud: east, checks: { web: { tcp: "127.0.0.1:${port}" } } }
  b: { cloud: west, checks: { web: { tcp: "127.0.0.1:${port}", paths: [fra-1/direct] } } }
records: { www.example.net: { publish: [cf], targets: [{ origin: a, cname: a.example.com }] } }
`,
  );
  return path;
}

const etcd = `group: { etcd: { endpoints: ["https://e.example:2379"], ca: ${directory}/ca.pem } }`;

async function selfOf(path: string, replica: string | null, env: string | null) {
  if (env !== null) process.env['DETOUR_REPLICA'] = env;
  try {
    return (await loadConfig(path, { replica })).config.group?.self;
  } finally {
    delete process.env['DETOUR_REPLICA'];
  }
}

test('the command line says which replica this is, else the environment, else the file', async () => {
  const path = write(`replica: nrt-1\n${etcd}`);
  assert.equal(await selfOf(path, 'hz-1', 'fra-1'), 'hz-1');
  assert.equal(await selfOf(path, null, 'fra-1'), 'fra-1');
  assert.equal(await selfOf(path, null, ''), 'nrt-1');
  assert.equal(await selfOf(path, null, null), 'nrt-1');
  const refused = (how: Promise<unknown>, said: RegExp) =>
    assert.rejects(how, (e) => e instanceof ConfigError && said.test(e.message));
  await refused(selfOf(path, 'hz-2', null), /--replica: there is no replica "hz-2"/);
  await refused(selfOf(path, null, 'hz-2'), /DETOUR_REPLICA: there is no replica "hz-2"/);
  await refused(selfOf(write(etcd), null, null), /nothing says which of them this is/);
});

test('what is asked by hand is asked by the paths of this replica alone', async () => {
  const path = write(etcd);
  const ways = async (replica: string) =>
    (await probeAll(path, null, replica)).map((looked) => `${looked.check} ${looked.path}`);
  assert.deepEqual(await ways('hz-1'), ['a/web hz-1/direct']);
  assert.deepEqual(await ways('fra-1'), ['a/web fra-1/direct', 'b/web fra-1/direct']);
  const drilled = await drillCheck(path, 'a/web', 'nrt-1');
  assert.deepEqual(
    drilled.map((looked) => looked.path),
    ['nrt-1/direct'],
  );
  await assert.rejects(drillCheck(path, 'b/web', 'hz-1'), /there is no check "b\/web"/);
});

test('the files of a group are looked for like those of everything else', async () => {
  const tls = `tls: { ca: ${directory}/r.pem, cert: ${directory}/c.pem, key: ${directory}/k.pem }`;
  const path = write(etcd.replace('group: {', `group: { ${tls},`));
  const { warnings } = await lookAtConfig(path, { byName: true, replica: 'hz-1' });
  for (const name of ['ca.pem', 'r.pem', 'c.pem', 'k.pem']) {
    const said = warnings.filter((w) => w.startsWith(`group: file ${directory}/${name} `));
    assert.equal(said.length, 1, `${name}: ${warnings.join('\n')}`);
  }
});

test('a reload that would change the group is refused, and puts nothing in force', async () => {
  const path = write(etcd);
  const { config } = await loadConfig(path, { replica: 'hz-1' });
  const said: string[] = [];
  const log = { debug() {}, info() {}, warn() {}, error: (m: string) => void said.push(m) };
  const never = () => assert.fail('nothing may be built');
  const reload = createReload({
    ...{ path, replica: 'hz-1', inForce: () => config, build: never, take: never },
    controller: { reload: never, reloadProblems: never, noteReload: () => undefined },
    log: { ...log, flush() {}, become() {} },
  });
  write(etcd.replace('ca:', 'ttl: 9s, ca:'));
  for (const dryRun of [true, false]) {
    const reply = await reload({ dryRun });
    assert.equal(reply.exit, 2);
    assert.match(
      reply.message,
      /detour\.yaml: group changed, which a start alone takes in: restart/,
    );
  }
  assert.equal(said.length, 1);
});
