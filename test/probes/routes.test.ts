// A network of its own, with a router that says what routers say: what comes from afar is about the
// origin, what this machine says by itself is not; and several addresses are tried side by side.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openWan, type Wan, withoutNetns } from '../parts/netns.ts';

const scratch = mkdtempSync(join(tmpdir(), 'detour-routes-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

async function heard(child: ReturnType<Wan['near']>): Promise<string> {
  let out = '';
  child.stdout!.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr!.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  await once(child, 'close');
  return out;
}

/** On the world's side. */
async function far(wan: Wan, ...lines: readonly string[]): Promise<void> {
  assert.equal(await heard(wan.far(['sh', '-ec', lines.join('\n')])), '');
}

/** Asks checks from Detour's side, `[kind, settings]`; one line each. Names are in a hosts file. */
async function ask(
  wan: Wan,
  checks: readonly (readonly [string, object])[],
  hosts = '',
  timeoutMs = 4000,
): Promise<string[]> {
  const files = { hosts: join(scratch, 'hosts'), resolvConf: join(scratch, 'resolv.conf') };
  writeFileSync(files.hosts, hosts);
  writeFileSync(files.resolvConf, '');
  const from = (file: string) => new URL(`../../src/${file}`, import.meta.url);
  const code = `
    import { checkTypes, createProber } from '${from('probes/index.ts')}';
    import { createLookup } from '${from('dns/lookup.ts')}';
    const path = { name: 'line', kind: 'direct', resolver: null, localAddress: null };
    const lookup = createLookup(${JSON.stringify(files)});
    for (const [kind, configured] of ${JSON.stringify(checks)}) {
      const settings = checkTypes[kind].settings.parse(configured);
      const probes = { c: { kind, settings, timeoutMs: ${timeoutMs} } };
      const prober = createProber(probes, { line: path }, { lookup });
      let result;
      do result = await prober.probe('c', 'line', new AbortController().signal);
      while (result.reason === 'stalled');
      console.log(result.outcome, result.reason, result.detail);
    }`;
  const said = await heard(wan.near([process.execPath, '--input-type=module', '-e', code]));
  return said.trim().split('\n');
}

test('no route said by a router far away fails, and said by this machine is blind', {
  skip: withoutNetns,
}, async () => {
  const wan = openWan(['203.0.113.7']);
  try {
    await far(
      wan,
      'echo 1 > /proc/sys/net/ipv4/ip_forward',
      'echo 1 > /proc/sys/net/ipv6/conf/all/forwarding',
      // A router says so at once, however often it is asked.
      'echo 0 > /proc/sys/net/ipv4/icmp_ratelimit',
      'echo 0 > /proc/sys/net/ipv6/icmp/ratelimit',
      'ip -6 address add 2001:db8::1/64 dev up0 nodad',
      'ip route add unreachable 198.51.100.0/25',
      'ip route add prohibit 198.51.100.128/25',
    );
    const own = [
      'ip -6 address add 2001:db8::2/64 dev up0 nodad',
      'ip -6 route add 2001:db8:1::/48 via 2001:db8::1',
      'ip route add unreachable 203.0.113.64/26',
      'ip route add prohibit 203.0.113.128/26',
      'ip route add blackhole 203.0.113.192/26',
      'ip -6 route add unreachable 2001:db8:2::/48',
    ];
    assert.equal(await heard(wan.near(['sh', '-ec', own.join('\n')])), '');
    const tcp = (tcp: string) => ['tcp', { tcp }] as const;
    const dns = (dns: string) => ['dns', { dns, name: 'a.test' }] as const;
    const hosts =
      '198.51.100.1 afar.test\n203.0.113.65 afar.test\n2001:db8:2::1 afar.test\n' +
      '203.0.113.65 here.test\n2001:db8:2::1 here.test\n';
    const cases: [readonly [string, object], RegExp][] = [
      [tcp('198.51.100.1:9'), /^fail unreachable /],
      [tcp('198.51.100.129:9'), /^fail unreachable /],
      [tcp('[2001:db8:1::1]:9'), /^fail unreachable /],
      [['http', { http: 'http://198.51.100.1/' }], /^fail unreachable /],
      [['tls', { tls: '198.51.100.1:443' }], /^fail unreachable /],
      [tcp('203.0.113.65:9'), /^blind no-route .*closed on this machine/],
      [tcp('203.0.113.129:9'), /^blind no-route .*forbidden on this machine/],
      [tcp('203.0.113.193:9'), /^blind no-route /],
      [tcp('[2001:db8:2::1]:9'), /^blind no-route /],
      [tcp('[2001:db8:9::1]:9'), /^blind no-route /],
      [dns('203.0.113.65'), /^blind no-route /],
      [dns('203.0.113.129'), /^blind no-route /],
      [dns('[2001:db8:2::1]'), /^blind no-route /],
      // Of several addresses the one that was asked counts.
      [tcp('afar.test:9'), /^fail unreachable /],
      [tcp('here.test:9'), /^blind no-route /],
    ];
    const said = await ask(
      wan,
      cases.map(([check]) => check),
      hosts,
    );
    for (const [i, [check, expected]] of cases.entries()) {
      assert.match(said[i] ?? 'nothing', expected, JSON.stringify(check));
    }
  } finally {
    await wan.close();
  }
});

test('three dead addresses of four keep nobody waiting for the fourth', {
  skip: withoutNetns,
}, async () => {
  const all = ['203.0.113.1', '203.0.113.2', '203.0.113.3', '203.0.113.4'];
  const wan = openWan(all);
  try {
    const server = wan.far([
      process.execPath,
      '-e',
      "require('net').createServer((s) => s.on('error', () => {}).end('well'))" +
        ".listen(9, '0.0.0.0', () => console.log('ready'))",
    ]);
    await once(server.stdout!, 'data');
    // Packets there are lost without a word.
    wan.blackHole(all.slice(0, 3));
    const hosts = `${all.map((address) => `${address} www.shop.test\n`).join('')}2001:db8::9 www.shop.test\n`;
    const well = { tcp: 'www.shop.test:9', expect: { text: 'well' } };
    // One after the other each would be given a third of the deadline, and the fourth none.
    for (const said of await ask(
      wan,
      [
        ['tcp', well],
        ['tcp', { tcp: 'www.shop.test:9' }],
      ],
      hosts,
    )) {
      assert.match(said, /^pass ok/);
    }
    wan.blackHole(all.slice(3));
    const [gone] = await ask(wan, [['tcp', well]], hosts, 600);
    assert.match(gone ?? '', /^fail timeout .*no connection to www\.shop\.test:9/);
  } finally {
    await wan.close();
  }
});
