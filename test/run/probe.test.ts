// `detour probe` as a program, in a network of its own whose name server says nothing: it says so,
// and then it is over.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { main } from '../parts/program.ts';

const scratch = mkdtempSync(join(tmpdir(), 'detour-probe-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

const [, server] =
  /^nameserver\s+(\d+\.\d+\.\d+\.\d+)/m.exec(readFileSync('/etc/resolv.conf', 'utf8')) ?? [];
const ownNetwork = spawnSync('unshare', ['-rn', 'ip', 'link'], { stdio: 'ignore' }).status === 0;
const skip =
  (ownNetwork ? false : 'needs unshare -rn and ip') ||
  (server === undefined ? 'this machine has no IPv4 name server' : false);

test('it ends when it has printed, though a name server is still silent', { skip }, async () => {
  const config = join(scratch, 'detour.yaml');
  writeFileSync(
    config,
    `cluster: x
stateDir: ${scratch}
providers: { a: { type: cloudflare, apiToken: { env: X }, zone: gslb.example.net } }
clouds: { c: {}, d: {} }
origins:
  one: { cloud: c, checks: { web: { http: "http://one.example.test/", timeout: 1s } } }
  two: { cloud: d, checks: { web: { http: "http://two.example.test/", timeout: 1s } } }
records:
  www.gslb.example.net:
    publish: [a]
    targets: [{ origin: one, cname: one.example.test }, { origin: two, cname: two.example.test }]
`,
  );
  const swallow = `require('dgram').createSocket('udp4').bind(53, '${server}', () => console.log())`;
  const script = `
    ip link set lo up
    ip address add ${server}/32 dev lo
    mkfifo ${scratch}/ready
    "$0" -e "${swallow}" > ${scratch}/ready &
    read -r _ < ${scratch}/ready
    "$0" ${main} probe -c ${config}
    echo over
    kill $!`;
  const child = spawn('unshare', ['-rn', 'sh', '-c', script, process.execPath]);
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const closed = once(child, 'close');
  try {
    while (!/two\/web/.test(said)) {
      assert.equal(child.exitCode, null, said);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    // The system's own look-up would hold the process for another nine seconds.
    const late = new Promise<string>((resolve) => setTimeout(resolve, 4000, 'late'));
    assert.notEqual(await Promise.race([closed, late]), 'late', said);
    assert.match(said, /one\/web .*blind .*resolver gave no answer/);
  } finally {
    child.kill('SIGKILL');
    await closed;
  }
});
