// Names that are silent beside names that are answered, as when a cloud's own zone is gone: whoever
// connects by another name, straight, through a proxy, by an exporter, to a vendor or to a reference,
// is served as ever. Name servers of the test's own stand on loopback; no clock decides.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { providerTypes } from '../../providers/index.ts';
import { createLookup } from '../../src/dns/lookup.ts';
import type { PathSpec } from '../../src/kit/extend.ts';
import { checkTypes, createProber } from '../../src/probes/index.ts';
import { withServer, words } from '../parts/listening.ts';
import { type Respond, rr, startNameservers } from '../parts/nameserver.ts';
import { startHttpProxy, startSocks } from '../parts/proxy.ts';

const scratch = mkdtempSync(join(tmpdir(), 'detour-names-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

const silentNames = Array.from({ length: 6 }, (_, i) => `n${i}.dead.test`);
const respond: Respond = ({ name, type }) => {
  if (name.endsWith('.dead.test.')) return null;
  // Never kept: each look-up asks.
  return type === 'A' ? { answers: [rr(`${name} 0 A 127.0.0.1`)] } : {};
};

/** An account at each vendor, at a host that has a name; nothing there is an answer. */
const accounts = (port: number): Readonly<Record<string, Record<string, unknown>>> => {
  const endpoint = (vendor: string) => `http://${vendor}.vendor.test:${port}`;
  const secret = { env: 'SECRET' };
  return {
    cloudflare: { apiToken: secret, endpoint: endpoint('cloudflare'), zone: 'example.net.' },
    route53: {
      credentials: { accessKeyId: secret, secretAccessKey: secret },
      region: 'us-east-1',
      endpoint: endpoint('route53'),
      zone: 'example.net.',
    },
    alidns: {
      accessKeyId: secret,
      accessKeySecret: secret,
      endpoint: endpoint('alidns'),
      zone: 'example.net.',
    },
    dnspod: {
      secretId: secret,
      secretKey: secret,
      endpoint: endpoint('dnspod'),
      zone: 'example.net.',
    },
    powerdns: {
      apiKey: secret,
      endpoint: endpoint('powerdns'),
      server: 'localhost',
      zone: 'example.net.',
    },
    rfc2136: {
      server: `rfc2136.vendor.test:${port}`,
      tsig: { name: 'detour.', algorithm: 'hmac-sha256', secret },
      zone: 'example.net.',
    },
  };
};

test('six silent names at two name servers keep no vendor from being reached', async () => {
  const { at, port: dnsPort } = await startNameservers({
    '127.0.55.1': respond,
    '127.0.55.2': respond,
  });
  const files = { hosts: join(scratch, 'hosts-v'), resolvConf: join(scratch, 'resolv-v.conf') };
  writeFileSync(files.hosts, '');
  writeFileSync(files.resolvConf, 'nameserver 127.0.55.1\nnameserver 127.0.55.2\n');
  const lookup = createLookup({ ...files, port: dnsPort });
  const calling = new AbortController();
  const silent = silentNames.map((name) => lookup.find(name, calling.signal));
  let connections = 0;
  const web = createServer((_, response) => response.writeHead(400).end('{}'));
  web.on('connection', () => {
    connections += 1;
  });
  try {
    await withServer(web, async (port) => {
      for (const [type, settings] of Object.entries(accounts(port))) {
        const before = connections;
        const context = { secret: () => 'c2VjcmV0', callTimeoutMs: 20_000, lookup };
        const provider = providerTypes[type]!.create('one', settings as never, context);
        const found = await provider.zone('www.example.net.', AbortSignal.timeout(20_000));
        assert.equal(found.ok, false);
        assert.ok(connections > before, `${type} is reached: ${JSON.stringify(found)}`);
        const asked = Object.values(at).flatMap((server) => server.asked.map(({ name }) => name));
        assert.ok(asked.includes(`${type}.vendor.test.`), `${type} is looked up by Detour itself`);
        provider.close();
      }
    });
    // Every kind of provider there is.
    assert.deepEqual(Object.keys(accounts(1)).sort(), Object.keys(providerTypes).sort());
  } finally {
    calling.abort();
    await Promise.all(silent);
    await Promise.all(Object.values(at).map((server) => server.close()));
  }
});

test('six silent names at two name servers delay no probe, proxy, exporter or reference', async () => {
  const { at, port: dnsPort } = await startNameservers({
    '127.0.54.1': respond,
    '127.0.54.2': respond,
  });
  const files = { hosts: join(scratch, 'hosts'), resolvConf: join(scratch, 'resolv.conf') };
  writeFileSync(files.hosts, '');
  writeFileSync(files.resolvConf, 'nameserver 127.0.54.1\nnameserver 127.0.54.2\n');
  const lookup = createLookup({ ...files, port: dnsPort });
  const [proxy, socks] = [
    await startHttpProxy({ hosts: { 'origin.test': '127.0.0.1' } }),
    await startSocks({ hosts: { 'origin.test': '127.0.0.1' } }),
  ];
  const web = createServer((request, response) => {
    const isExporter = request.url?.startsWith('/probe') ?? false;
    response.end(isExporter ? 'probe_success 1\nprobe_http_status_code 200\n' : 'well');
  });
  await withServer(web, async (port) => {
    const own = { resolver: null };
    const named = { credentials: null, ...own };
    const paths: Record<string, PathSpec> = {
      direct: { ...own, name: 'direct', kind: 'direct', localAddress: null },
      proxy: { ...named, name: 'proxy', kind: 'proxy', url: `http://proxy.test:${proxy.port}` },
      socks: { ...named, name: 'socks', kind: 'socks5', url: `socks5://socks.test:${socks.port}` },
      exporter: {
        ...own,
        name: 'exporter',
        kind: 'blackbox',
        url: `http://exporter.test:${port}`,
        module: 'http_2xx',
      },
    };
    const check = (host: string) => ({
      kind: 'http',
      settings: checkTypes['http']!.settings.parse({ http: `http://${host}:${port}/` }),
      timeoutMs: 30_000,
    });
    const dead = Object.fromEntries(silentNames.map((name) => [name, check(name)]));
    const probes = { 'o/web': check('origin.test'), ...dead };
    const prober = createProber(probes, paths, { lookup });
    const { signal } = new AbortController();
    let isOver = false;
    const heard: string[] = [];
    // All six are being asked for at any time, by two paths each.
    const asking = silentNames.flatMap((name) =>
      ['direct', 'direct'].map(async (path) => {
        while (!isOver) heard.push(words(await prober.probe(name, path, signal)));
      }),
    );
    try {
      for (let round = 0; round < 40; round += 1) {
        const asked = Object.keys(paths).map(async (path) => {
          const result = await prober.probe('o/web', path, signal);
          assert.equal(words(result), 'pass ok', `${path}: ${result.detail}`);
        });
        await Promise.all(asked);
        assert.equal(lookup.underWay(), silentNames.length, 'one asking for each silent name');
      }
    } finally {
      isOver = true;
      prober.close();
      await Promise.all(asking);
      await Promise.all([proxy.close(), socks.close()]);
      await Promise.all(Object.values(at).map((server) => server.close()));
    }
    assert.equal(lookup.underWay(), 0, 'called off, nothing is asked for any more');
    const asked = Object.values(at).flatMap((server) => server.asked.map(({ name }) => name));
    for (const name of ['origin.test.', 'proxy.test.', 'socks.test.', 'exporter.test.']) {
      assert.ok(asked.includes(name), name);
    }
    for (const said of heard) assert.match(said, /^(?:fail dns|blind aborted)$/);
  });
});
