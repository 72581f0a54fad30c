// The lab as a whole, as a user and a resolver see it: the delegation from its root to all three
// vendors, faults made and healed from a second terminal, labs side by side, and an end that
// leaves nothing behind. A small script stands in for the daemon where one is needed.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { get, request as httpRequest } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { parse } from 'yaml';
import { parseConfig } from '../../src/config/config.ts';
import { markerName } from '../../src/core/marker.ts';
import { ask } from '../../src/dns/ask.ts';
import { createResolver } from '../../src/dns/resolver.ts';
import type { Message } from '../../src/dns/wire.ts';
import { parseHostPort } from '../../src/kit/schema.ts';
import { originFaults, serviceFaults } from '../../src/lab/clouds/cloud.ts';
import { pathFaults } from '../../src/lab/clouds/paths.ts';
import {
  handFaults,
  type Lab,
  type LabOptions,
  otherZone,
  startLab,
  vendorTypes,
} from '../../src/lab/lab.ts';
import { type LabIo, labCommand } from '../../src/lab/shell/command.ts';
import { LabError, scopes, socketPlace, startControl } from '../../src/lab/shell/control.ts';
import { labSettings } from '../../src/lab/shell/settings.ts';
import { askCname, Story, WireWatch } from '../../src/lab/shell/story.ts';
import { startRival } from '../../src/lab/vendors/rival.ts';
import { vendorFaults, zoneFaults } from '../../src/lab/vendors/vendor.ts';
import { tables } from '../../src/run/build.ts';

// ---------------------------------------------------------------- hands

async function until(what: string, holds: () => boolean | Promise<boolean>, ms = 8000) {
  const end = performance.now() + ms;
  while (!(await holds())) {
    if (performance.now() > end) assert.fail(`waited ${ms} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function withLab(work: (lab: Lab) => Promise<void>, options: LabOptions = {}) {
  const lab = await startLab(options);
  try {
    await work(lab);
  } finally {
    await lab.close();
  }
}

async function withDir(work: (dir: string) => Promise<void>) {
  const dir = mkdtempSync(join(tmpdir(), 'lab-test-'));
  try {
    await work(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function dig(server: string, name: string, type: string, tcp = false): Promise<Message> {
  const { host, port } = parseHostPort(server, 53)!;
  const got = await ask({ address: host, port }, { name, type }, { timeoutMs: 2000, tcp });
  assert.ok(got.kind === 'reply', `${server} ${name} ${type}: ${JSON.stringify(got)}`);
  return got.message;
}

function healthz(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const request = get({ host, port, path: '/healthz', agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk) => (text += chunk));
      response.on('end', () => resolve(`${response.statusCode} ${text}`));
    });
    request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

class Paper extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void) {
    this.text += chunk.toString();
    done();
  }
}

type Terminal = LabIo & { readonly stdout: Paper; readonly stderr: Paper };

function terminal(cwd: string, more: Partial<LabIo> = {}): Terminal {
  return {
    cwd,
    env: { PATH: process.env['PATH'] },
    daemonArgv: [process.execPath, '/nonexistent/main.js'],
    ...more,
    stdout: new Paper(),
    stderr: new Paper(),
  };
}

/** A command in a terminal of its own. */
async function type(cwd: string, ...argv: string[]) {
  const io = terminal(cwd, { stop: AbortSignal.timeout(5000) });
  const exit = await labCommand(argv, io);
  return { exit, out: io.stdout.text, err: io.stderr.text };
}

interface Ready {
  readonly config: string;
  readonly records: readonly string[];
  readonly vendors: Readonly<Record<string, { readonly api: string; readonly dns: string }>>;
  readonly clouds: readonly string[];
  readonly metrics: string;
}

/** A lab by its command, `--json`, ended in any case. */
async function withCommand(
  dir: string,
  argv: readonly string[],
  work: (ready: Ready, io: Terminal) => Promise<void>,
  more: Partial<LabIo> = {},
) {
  const stop = new AbortController();
  const io = terminal(dir, { stop: stop.signal, ...more });
  const exit = labCommand(['--json', ...argv], io);
  let over = false;
  exit.finally(() => (over = true)).catch(() => undefined);
  try {
    await until('the lab is ready', () => io.stdout.text.includes('\n') || over);
    assert.equal(io.stdout.text.split('\n').length, 2, `one line, not ${io.stdout.text}`);
    await work(JSON.parse(io.stdout.text), io);
  } finally {
    stop.abort();
    assert.equal(await exit, 0, io.stderr.text);
  }
}

// ---------------------------------------------------------------- the internet

test('the root leads to the name servers of all three vendors, with their addresses', () =>
  withLab(async (lab) => {
    const root = `${lab.roots[0]}:${lab.dnsPort}`;
    const referral = await dig(root, 'www.gslb.example.net.', 'CNAME');
    assert.equal(referral.rcode, 'NOERROR');
    assert.equal(referral.authoritative, false);
    assert.deepEqual(referral.answers, []);
    const hosts = referral.authority.flatMap((r) => (r.type === 'NS' ? [r.target] : []));
    assert.equal(hosts.length, 6);
    const glue = new Set(
      referral.additional.flatMap((r) =>
        r.type === 'A' && hosts.includes(r.name) ? [`${r.address}:${lab.dnsPort}`] : [],
      ),
    );
    for (const vendor of vendorTypes) {
      assert.equal(lab.vendors[vendor].dns.length, 2);
      for (const server of lab.vendors[vendor].dns) assert.ok(glue.has(server), server);
      const own = lab.vendors[vendor].zone(lab.zone).ns;
      assert.ok(own.every((host) => hosts.includes(host)));
    }
    for (const [name, tld] of [
      ['example.net.', 'net.'],
      ['shop.example.', 'example.'],
    ] as const) {
      for (const zone of [name, tld, '.']) {
        const soa = await dig(root, zone, 'SOA');
        assert.ok(soa.authoritative && soa.answers.length === 1, `${zone} has a SOA at the root`);
      }
    }
  }));

test('every name server of every vendor answers the records, over UDP and TCP', () =>
  withLab(async (lab) => {
    for (const vendor of vendorTypes) {
      for (const server of lab.vendors[vendor].dns) {
        for (const tcp of [false, true]) {
          const www = await dig(server, 'www.gslb.example.net.', 'CNAME', tcp);
          assert.ok(www.authoritative);
          const [cname] = www.answers;
          assert.ok(cname?.type === 'CNAME' && cname.target === 'hz.shop.example.');
          assert.equal(cname.ttl, 60);
        }
        assert.equal(await askCname(server, 'api.gslb.example.net.'), 'bj.shop.example.');
        const marker = await dig(server, '_detour.www.gslb.example.net.', 'TXT');
        assert.equal(marker.rcode, 'NXDOMAIN', 'records start unmarked');
      }
    }
  }));

test('the name of each target has the address where its origin answers', () =>
  withLab(async (lab) => {
    const root = `${lab.roots[0]}:${lab.dnsPort}`;
    for (const origin of lab.origins) {
      const answer = await dig(root, lab.hostOf(origin.name), 'A');
      const [address] = answer.answers;
      assert.ok(address?.type === 'A' && address.address === origin.address);
      assert.equal(await healthz(origin.address, origin.port), `200 ok ${origin.name}`);
    }
    assert.deepEqual(
      lab.records.map((r) => [r.name, r.targets.map((t) => t.origin)]),
      [
        ['www.gslb.example.net.', ['hangzhou', 'tokyo']],
        ['api.gslb.example.net.', ['beijing', 'tokyo']],
      ],
    );
  }));

test('a cloud, a region, an origin and a vendor break and heal by name', () =>
  withLab(async (lab) => {
    const faults = () => lab.origins.map((o) => o.fault);
    assert.match(await lab.break('cloud', 'aliyun', 'refuse'), /hangzhou, hangzhou2.*refuse/);
    assert.deepEqual(faults(), ['refuse', 'refuse', 'refuse', null]);
    const [hangzhou] = lab.origins;
    assert.equal(await healthz(hangzhou!.address, hangzhou!.port), 'ECONNREFUSED');
    await lab.heal('region', 'cn-beijing');
    assert.deepEqual(faults(), ['refuse', 'refuse', null, null]);
    await lab.heal('region', 'aliyun/cn-hangzhou');
    assert.deepEqual(faults(), [null, null, null, null]);
    await lab.break('region', 'aliyun/cn-hangzhou', 'hang');
    assert.deepEqual(faults(), ['hang', 'hang', null, null]);
    assert.deepEqual(
      lab.stores.map((s) => s.fault),
      ['hang', null, null],
    );
    await lab.break('origin', 'tokyo', '5xx');
    assert.deepEqual(faults(), ['hang', 'hang', null, '5xx']);
    await lab.break('vendor', 'r53', 'error');
    assert.equal(lab.vendorFault('route53'), 'error');
    const api = new URL(lab.vendors.route53.api);
    assert.match(await healthz(api.hostname, Number(api.port)), /^503 /);
    await lab.heal(null, '');
    assert.deepEqual(faults(), [null, null, null, null]);
    assert.equal(lab.vendorFault('route53'), null);
    assert.equal(await healthz(hangzhou!.address, hangzhou!.port), '200 ok hangzhou');
  }));

test('what cannot be broken is refused with the names there are', () =>
  withLab(async (lab) => {
    const refused = (pattern: RegExp) => (error: unknown) =>
      error instanceof LabError && error.exit === 2 && pattern.test(error.message);
    await assert.rejects(lab.break('cloud', 'azure', 'refuse'), refused(/aliyun, aws/));
    await assert.rejects(lab.break('vendor', 'dyn', 'hang'), refused(/route53, cloudflare/));
    await assert.rejects(lab.break('cloud', 'aliyun', 'melt'), refused(/refuse, hang/));
    await assert.rejects(lab.break('vendor', 'alidns', 'flap'), refused(/dns-lag/));
    await assert.rejects(lab.heal('origin', 'hz'), refused(/hangzhou, hangzhou2, beijing, tokyo/));
    await assert.rejects(startLab({ records: 1701 }), refused(/records/));
    await assert.rejects(startLab({ ttl: 0 }), refused(/ttl/));
  }));

// ---------------------------------------------------------------- several zones

/** Beside `gslb.example.net`: one below a zone of the registry, one below the root alone. */
const twoMore: LabOptions = {
  zones: [otherZone, { name: 'steer.xn--fsqu00a.org', records: { 'a.b': ['tokyo', 'beijing'] } }],
};

test('every zone that is asked for is held by every vendor and delegated to all of them', () =>
  withLab(
    async (lab) => {
      assert.deepEqual(lab.zones, [
        'gslb.example.net.',
        'other.example.',
        'steer.xn--fsqu00a.org.',
      ]);
      assert.deepEqual(
        lab.records.slice(2).map((r) => [r.name, r.targets.map((t) => t.origin)]),
        [
          ['www.other.example.', ['hangzhou', 'tokyo']],
          ['api.other.example.', ['beijing', 'tokyo']],
          ['a.b.steer.xn--fsqu00a.org.', ['tokyo', 'beijing']],
          ['r0001.gslb.example.net.', ['hangzhou', 'tokyo']],
        ],
      );
      const clock = { now: () => performance.now() };
      const options = { roots: lab.roots, port: lab.dnsPort, timeoutMs: 2000, clock };
      const resolver = createResolver(options);
      const { signal } = new AbortController();
      const hosts = vendorTypes.flatMap((v) => lab.vendors[v].zone(lab.zone).ns);
      try {
        for (const zone of lab.zones) {
          const found = await resolver.nameServers(zone, signal);
          assert.ok(found.kind === 'found', JSON.stringify(found));
          assert.deepEqual([...found.delegated!].sort(), [...hosts].sort());
        }
        for (const { name, targets } of lab.records) {
          const answer = await resolver.chain(name, signal);
          assert.deepEqual(answer, { kind: 'answered', chain: [name, targets[0]!.cname] });
        }
      } finally {
        resolver.close();
      }
      for (const vendor of vendorTypes) {
        for (const server of lab.vendors[vendor].dns) {
          for (const { name, targets } of lab.records) {
            assert.equal(await askCname(server, name), targets[0]!.cname);
          }
        }
      }
    },
    { ...twoMore, records: 1 },
  ));

test('one zone at one vendor breaks and heals, and no other zone or vendor feels it', () =>
  withLab(
    async (lab) => {
      const r53 = lab.vendors.route53;
      const www = 'www.other.example.';
      const said = await lab.break('zone', 'route53/other.example', 'deleted');
      assert.equal(
        said,
        'zone route53/other.example is broken: deleted, it is gone from the account, and its name ' +
          'servers refuse it',
      );
      assert.equal(r53.brokenZone('other.example'), 'deleted');
      assert.equal(await askCname(r53.dns[0]!, www), 'REFUSED');
      assert.equal(await askCname(r53.dns[0]!, 'www.gslb.example.net.'), 'hz.shop.example.');
      assert.equal(await askCname(lab.vendors.alidns.dns[0]!, www), 'hz.shop.example.');
      assert.equal(
        await lab.heal('zone', 'R53/Other.Example.'),
        'zone route53/other.example is healed',
      );
      await until('it is served again', async () => {
        return (await askCname(r53.dns[1]!, www)) === 'hz.shop.example.';
      });

      for (const how of zoneFaults) {
        assert.match(await lab.break('zone', 'cf/other.example', how), new RegExp(`: ${how}, it `));
        assert.equal(lab.vendors.cloudflare.brokenZone('other.example'), how);
      }
      await lab.heal('vendor', 'cf');
      assert.equal(lab.vendors.cloudflare.brokenZone('other.example'), null);
      await lab.break('zone', 'ali/gslb.example.net', 'denied');
      await lab.heal(null, '');
      assert.equal(lab.vendors.alidns.brokenZone(lab.zone), null);

      const refused = (pattern: RegExp) => (error: unknown) =>
        error instanceof LabError && error.exit === 2 && pattern.test(error.message);
      const zones = /there are route53\/gslb\.example\.net, route53\/other\.example$/;
      await assert.rejects(lab.break('zone', 'route53/nope.example', 'hang'), refused(zones));
      await assert.rejects(lab.break('zone', 'route53', 'hang'), refused(zones));
      await assert.rejects(lab.heal('zone', 'dyn/other.example'), refused(/no vendor dyn/));
      const words = refused(/no zone breaks like "flap".*deleted, paused/);
      await assert.rejects(lab.break('zone', 'r53/other.example', 'flap'), words);
      const share = refused(/a share goes with loss alone/);
      await assert.rejects(lab.break('zone', 'r53/other.example', 'hang', 0.5), share);
    },
    { zones: [otherZone] },
  ));

test('a zone that could not stand beside the others is refused', async () => {
  const wish = (name: string, records: Readonly<Record<string, readonly string[]>> = {}) =>
    startLab({ zones: [{ name, records }] });
  const refused = (pattern: RegExp) => (error: unknown) =>
    error instanceof LabError && error.exit === 2 && pattern.test(error.message);
  for (const name of ['example', 'net', 'a.gslb.example.net', 'gslb.example.net', 'example.net']) {
    await assert.rejects(wish(name), refused(/is in the way of/), name);
  }
  await assert.rejects(wish('x.shop.example'), refused(/in the way of shop\.example/));
  await assert.rejects(wish('route53.example.net'), refused(/in the way of ns1\.route53/));
  await assert.rejects(wish('no name'), refused(/no name is no DNS name/));
  await assert.rejects(wish('a.example', { www: ['paris'] }), refused(/hangzhou, hangzhou2/));
  await assert.rejects(wish('a.example', { www: [] }), refused(/www\.a\.example\. needs/));
  const twice = startLab({ zones: [otherZone, otherZone] });
  await assert.rejects(twice, refused(/other\.example\. is in the way of other\.example/));
});

test('two labs stand side by side, and a fault in one is none in the other', () =>
  withLab(async (one) => {
    await withLab(
      async (two) => {
        assert.notEqual(one.network, two.network);
        await one.break('cloud', 'aliyun', 'refuse');
        const [hangzhou] = two.origins;
        assert.equal(await healthz(hangzhou!.address, hangzhou!.port), '200 ok hangzhou');
        assert.equal(two.records.length, 42);
        const server = two.vendors.cloudflare.dns[1]!;
        assert.equal(await askCname(server, 'r0040.gslb.example.net.'), 'hz.shop.example.');
        const answer = await dig(server, 'www.gslb.example.net.', 'CNAME');
        assert.equal(answer.answers[0]?.ttl, 5);
      },
      { records: 40, ttl: 5, quotas: 'off' },
    );
  }));

test('with many records the zone at Cloudflare is of a plan that has room for their markers', () =>
  withLab(
    async (lab) => {
      const { cloudflare } = lab.vendors;
      const url = `${cloudflare.api}/zones/${cloudflare.zoneId(lab.zone)}`;
      const headers = { authorization: `Bearer ${lab.credentials.cloudflare.apiToken}` };
      const body = await new Promise<string>((resolve, reject) => {
        get(url, { agent: false, headers }, (response) => {
          let text = '';
          response.on('data', (chunk) => (text += chunk));
          response.on('end', () => resolve(text));
        }).on('error', reject);
      });
      assert.equal(JSON.parse(body).result.plan.legacy_id, 'pro');
      const last = await dig(cloudflare.dns[0]!, 'r1700.gslb.example.net.', 'CNAME');
      assert.equal(last.answers.length, 1);
    },
    { records: 1700 },
  ));

test('a closed lab has given back every address and port, and holds no process open', async () => {
  const lab = await startLab();
  const places = [
    ...lab.origins.map((o) => [o.address, o.port] as const),
    [lab.roots[0]!, lab.dnsPort] as const,
    ...vendorTypes.flatMap((v) =>
      lab.vendors[v].dns.map((d) => [d.split(':')[0]!, lab.dnsPort] as const),
    ),
  ];
  await lab.break('cloud', 'aliyun', 'refuse');
  await lab.close();
  for (const [host, port] of places) {
    const heir = createServer();
    await new Promise<void>((resolve, reject) => {
      heir.once('error', reject);
      heir.listen(port, host, resolve);
    });
    await new Promise((resolve) => heir.close(resolve));
  }
  const script = `
    import { startLab } from ${JSON.stringify(new URL('../../src/lab/lab.ts', import.meta.url).href)};
    const lab = await startLab();
    await lab.break('cloud', 'aliyun', 'hang');
    await lab.close();
    console.log('closed');
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 15_000,
  });
  let out = '';
  child.stdout.on('data', (chunk) => (out += chunk));
  const [code, signal] = await new Promise<unknown[]>((resolve) =>
    child.once('close', (...how) => resolve(how)),
  );
  assert.deepEqual([out.trim(), code, signal], ['closed', 0, null]);
});

// ---------------------------------------------------------------- what people do at a vendor

const wwwName = 'www.gslb.example.net.';
const marked = (epoch: number, id: string) =>
  `detour=1 cluster=lab epoch=${epoch} id=${id} term=1 kind=auto target=hangzhou pin=none`;

/** What a vendor serves at a name: all values as one text. */
function servedAt(lab: Lab, vendor: (typeof vendorTypes)[number], name: string, type: string) {
  return lab.vendors[vendor].zone(lab.zone).get(name, type)?.values.join(' | ') ?? null;
}

test('a record is edited by hand at each vendor: to a target, to a name, to nothing', () =>
  withLab(async (lab) => {
    for (const vendor of vendorTypes) {
      const gives = async (cname: string | null) =>
        until(`${vendor} gives ${cname}`, () => servedAt(lab, vendor, wwwName, 'CNAME') === cname);
      assert.match(lab.edit(vendor, 'www', 'tokyo'), /changed to nrt\.shop\.example\. by hand/);
      await gives('nrt.shop.example.');
      lab.edit(vendor, 'www.gslb.example.net', 'other.example.org');
      await gives('other.example.org.');
      lab.edit(vendor, wwwName, null);
      await gives(null);
    }
    assert.throws(() => lab.edit('cf', 'www', 'not a name'), /none of the targets hangzhou, tokyo/);
    assert.throws(() => lab.edit('cf', 'nope', 'tokyo'), /there are www\.gslb\.example\.net/);
    assert.throws(() => lab.edit('dyn', 'www', 'tokyo'), /there is no vendor dyn/);
  }));

test('a second writer competes at the same epoch and above, where there is a marker', () =>
  withLab(async (lab) => {
    const at = `_detour.${wwwName}`;
    await lab.break('vendor', 'cloudflare', 'second-writer');
    assert.equal(lab.vendorFault('cloudflare'), 'second-writer');
    await lab.heal('vendor', 'cloudflare');
    assert.equal(servedAt(lab, 'cloudflare', at, 'TXT'), null, 'an unmarked record is left alone');
    for (const vendor of vendorTypes) {
      lab.vendors[vendor].edit(at, 'TXT', `"${marked(7, 'ours')}"`, 60);
      await until('the marker is there', () => servedAt(lab, vendor, at, 'TXT') !== null);
      await lab.break('vendor', vendor, 'second-writer');
      await until(`${vendor} has another's marker`, () =>
        /epoch=7 id=(?!ours)[0-9a-f]{16} term=1 kind=auto target=tokyo pin=none"$/.test(
          servedAt(lab, vendor, at, 'TXT') ?? '',
        ),
      );
      assert.equal(servedAt(lab, vendor, wwwName, 'CNAME'), 'nrt.shop.example.');
      await lab.heal('vendor', vendor);
      assert.equal(lab.vendorFault(vendor), null);
    }
  }));

test('a second writer goes on, one epoch above the next time, until it is closed', () =>
  withLab(async (lab) => {
    const vendor = lab.vendors.alidns;
    const at = `_detour.${wwwName}`;
    vendor.edit(at, 'TXT', `"${marked(7, 'ours')}"`, 60);
    await until('the marker is there', () => servedAt(lab, 'alidns', at, 'TXT') !== null);
    const rival = startRival(vendor, lab.records[0]!, 100);
    try {
      await until('it has gone one above', () =>
        /epoch=8 /.test(servedAt(lab, 'alidns', at, 'TXT') ?? ''),
      );
      assert.ok(rival.writes >= 2);
    } finally {
      rival.close();
    }
    const writes = rival.writes;
    await new Promise((resolve) => setTimeout(resolve, 250));
    assert.equal(rival.writes, writes, 'it writes no more');
  }));

test('a second writer waits for a zone that is away', () =>
  withLab(async (lab) => {
    const vendor = lab.vendors.route53;
    vendor.edit(markerName(wwwName), 'TXT', `"${marked(7, 'ours')}"`, 60);
    await until('the marker', async () => {
      return servedAt(lab, 'route53', markerName(wwwName), 'TXT') !== null;
    });
    vendor.zoneFault(lab.zone, 'deleted');
    const rival = startRival(vendor, lab.records[0]!, 10);
    try {
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.equal(rival.writes, 0);
      vendor.zoneFault(lab.zone, null);
      await until('it writes', () => rival.writes > 0);
    } finally {
      rival.close();
    }
  }));

test('a protected record is refused by the vendor and free again when it is healed', () =>
  withLab(async (lab) => {
    assert.match(lab.protect('r53', 'www'), /protected at route53/);
    assert.equal(lab.vendorFault('route53'), 'protected');
    await lab.break('vendor', 'alidns', 'protected');
    assert.equal(lab.vendorFault('alidns'), 'protected');
    await lab.break('vendor', 'alidns', 'throttle');
    assert.equal(lab.vendorFault('alidns'), 'throttle, protected');
    await lab.heal(null, '');
    assert.deepEqual([lab.vendorFault('route53'), lab.vendorFault('alidns')], [null, null]);
    assert.throws(() => lab.protect('cf', 'www'), /cloudflare protects no single record/);
    assert.throws(() => lab.protect('ali', 'nope'), /there is no record nope/);
  }));

test('what no vendor can do is named with the reason', () =>
  withLab(async (lab) => {
    for (const vendor of vendorTypes) {
      await assert.rejects(lab.break('vendor', vendor, 'partial-batch'), /whole or not at all/);
    }
  }));

// ---------------------------------------------------------------- the configuration

test('the ready configuration says where everything is and holds no secret', () =>
  withLab(async (lab) => {
    const place = { directory: '/lab "x"', socket: '/s/detour.sock', listenPort: 9153 };
    const files = labSettings(lab, place);
    const config = files.find((f) => f.path.endsWith('detour.yaml'))!;
    const doc = parse(config.text);
    assert.deepEqual(doc.policy, {
      interval: '1s',
      timeout: '1s',
      confirm: '250ms',
      fall: 3,
      rise: 2,
      patience: '0s',
      failback: 'manual',
    });
    assert.deepEqual(doc.dns, { port: lab.dnsPort, roots: [...lab.roots] });
    assert.equal(doc.listen, '127.0.0.1:9153');
    assert.equal(doc.stateDir, '/lab "x"/state');
    assert.deepEqual(doc.clouds, { aliyun: {}, aws: {} });
    assert.deepEqual(doc.providers.r53, {
      type: 'route53',
      credentials: { file: '/lab "x"/secrets/aws.json' },
      zone: 'gslb.example.net',
      endpoint: lab.vendors.route53.api,
      nameservers: [...lab.vendors.route53.dns],
      canary: 'detour-canary.gslb.example.net',
    });
    const [hangzhou] = lab.origins;
    assert.deepEqual(doc.origins.hangzhou.checks.web, {
      http: `http://hz.shop.example:${hangzhou!.port}/healthz`,
      address: hangzhou!.address,
      expect: { status: 200 },
    });
    assert.deepEqual(doc.records['api.gslb.example.net'], {
      ttl: 60,
      publish: ['cf', 'r53', 'ali'],
      targets: [
        { origin: 'beijing', cname: 'bj.shop.example' },
        { origin: 'tokyo', cname: 'nrt.shop.example' },
      ],
      mode: 'steer',
    });
    const secrets = files.filter((f) => f !== config);
    // The cluster key, one of Cloudflare, one of Route 53, two of Alibaba.
    assert.equal(secrets.length, 5);
    const key = secrets.find((f) => f.path === doc.clusterKey.file)!;
    assert.match(key.text, /^[\w-]{43}\n$/);
    for (const file of files) assert.equal(file.mode, 0o600);
    const { cloudflare, route53, alidns } = lab.credentials;
    for (const secret of [
      key.text.trim(),
      cloudflare.apiToken,
      ...Object.values(route53),
      ...Object.values(alidns),
    ]) {
      assert.ok(!config.text.includes(secret), 'no secret in the configuration');
      assert.ok(secrets.some((f) => f.text.includes(secret)));
    }
  }));

test('with three paths and a need the configuration is one that Detour takes, without a warning', () =>
  withLab(
    async (lab) => {
      const place = { directory: '/lab', socket: '/s/detour.sock', listenPort: 9153, needs: true };
      const files = labSettings(lab, place);
      const text = files.find((f) => f.path.endsWith('detour.yaml'))!.text;
      const parsed = parseConfig(text, 'detour.yaml', tables);
      assert.ok(parsed.ok, JSON.stringify(parsed));
      assert.deepEqual(parsed.warnings, []);
      const { core, paths } = parsed.config;
      assert.deepEqual(
        Object.values(core.paths).map((p) => [p.name, p.group, p.references]),
        ['line-a', 'line-b', 'abroad'].map((p) => [p, p, [`@${p}:ref-a`, `@${p}:ref-b`]]),
      );
      assert.deepEqual(
        Object.values(paths).map((p) => p.kind),
        ['socks5', 'proxy', 'socks5'],
      );
      const planes = Object.values(core.checks).filter((c) => c.role === 'service');
      assert.deepEqual(
        planes.map((c) => [c.id, c.plane]),
        [
          ['aliyun:oss-signed', 'service'],
          ['aliyun:ecs-api', 'control'],
          ['aws:s3-signed', 'service'],
          ['aws:ec2-api', 'control'],
        ],
      );
      assert.deepEqual(core.origins['hangzhou']?.needs, ['aliyun:oss-signed']);
      assert.deepEqual(core.origins['hangzhou2']?.needs, []);
      assert.ok(Object.hasOwn(core.records, 'img.gslb.example.net.'));
      assert.ok(!text.includes(lab.credentials.stores.secretAccessKey));
      assert.ok(files.some((f) => f.text === `${lab.credentials.stores.secretAccessKey}\n`));
    },
    { paths: 3 },
  ));

test('the configuration of every kind of lab is one that Detour takes', async () => {
  const kinds: readonly LabOptions[] = [
    ...[{}, { clouds: 3 }, { clouds: 3, paths: 3 }, { records: 3, paths: 3 }],
    twoMore,
  ];
  for (const options of kinds) {
    for (const needs of [false, true]) {
      await withLab(async (lab) => {
        const place = { directory: '/lab', socket: '/s/d.sock', listenPort: 9153, needs };
        const [config] = labSettings(lab, place);
        const parsed = parseConfig(config!.text, 'detour.yaml', tables);
        assert.ok(parsed.ok, JSON.stringify(parsed));
        const names = Object.keys(parsed.config.core.records).sort();
        assert.deepEqual(names, lab.records.map((r) => r.name).sort());
        // One zone is named; of several each account finds the right one.
        const isNamed = config!.text.includes('    zone: gslb.example.net\n');
        assert.equal(isNamed, lab.zones.length === 1);
      }, options);
    }
  }
});

// ---------------------------------------------------------------- the command

test('detour lab --json prints one line that says where everything is', () =>
  withDir((dir) =>
    withCommand(dir, ['--no-daemon', '--records', '2'], async (ready, io) => {
      assert.deepEqual(Object.keys(ready), ['config', 'records', 'vendors', 'clouds', 'metrics']);
      assert.equal(ready.config, join(dir, '.detour', 'lab', 'detour.yaml'));
      assert.deepEqual(ready.records, [
        'www.gslb.example.net',
        'api.gslb.example.net',
        'r0001.gslb.example.net',
        'r0002.gslb.example.net',
      ]);
      assert.deepEqual(ready.clouds, ['aliyun', 'aws']);
      assert.deepEqual(Object.keys(ready.vendors).sort(), [...vendorTypes].sort());
      for (const { api, dns } of Object.values(ready.vendors)) {
        assert.match(api, /^http:\/\/127\./);
        assert.equal(await askCname(dns, 'www.gslb.example.net.'), 'hz.shop.example.');
      }
      assert.match(ready.metrics, /^http:\/\/127\.0\.0\.1:\d+\/metrics$/);
      assert.match(io.stderr.text, /dig \+norecurse @127\./);
      assert.match(io.stderr.text, /^ {2}detour lab break cloud aliyun {4}\(--how/m);
      assert.doesNotMatch(io.stderr.text, /daemon is ready/);
      assert.equal(
        statSync(join(dir, '.detour', 'lab', 'secrets', 'aws.json')).mode & 0o777,
        0o600,
      );
      assert.equal(statSync(join(dir, '.detour', 'lab', 'lab.sock')).mode & 0o777, 0o600);
    }),
  ));

test('a second terminal sees, breaks, heals and stops the lab', () =>
  withDir((dir) =>
    withCommand(dir, ['--no-daemon'], async (_ready, io) => {
      const whole = await type(dir, 'status');
      assert.match(whole.out, /origin hangzhou +serves/);
      assert.match(whole.out, /www\.gslb\.example\.net at alidns: hz\.shop\.example\.\n/);
      const broken = await type(dir, 'break', 'cloud', 'aliyun');
      assert.equal(broken.exit, 0);
      assert.match(broken.out, /^cloud aliyun \(hangzhou, hangzhou2, .*\) is broken: refuse/);
      const how = await type(dir, 'break', 'vendor', 'cloudflare', '--how', 'throttle');
      assert.equal(how.exit, 0);
      const status = JSON.parse((await type(dir, 'status', '--json')).out);
      assert.deepEqual(
        status.origins.map((o: { fault: string | null }) => o.fault),
        ['refuse', 'refuse', 'refuse', null],
      );
      assert.equal(
        status.vendors.find((v: { name: string }) => v.name === 'cloudflare').fault,
        'throttle',
      );
      const unknown = await type(dir, 'break', 'region', 'mars');
      assert.equal(unknown.exit, 2);
      assert.match(unknown.err, /there is no region mars: there are aliyun\/cn-hangzhou/);
      assert.equal((await type(dir, 'heal')).exit, 0);
      assert.match(io.stderr.text, /everything is healed/);
      const second = await type(dir, '--no-daemon');
      assert.equal(second.exit, 1);
      assert.match(second.err, /already running/);
      const stopped = await type(dir, 'stop');
      assert.deepEqual([stopped.exit, stopped.err], [0, '']);
      const after = await type(dir, 'status');
      assert.equal(after.exit, 1);
      assert.match(after.err, /no lab is running/);
    }),
  ));

test('a second terminal breaks one zone of two, and status says which', () =>
  withDir((dir) =>
    withCommand(dir, ['--no-daemon', '--zones', '2'], async (ready) => {
      assert.ok(ready.records.includes('www.other.example'));
      const zone = ['zone', 'route53', 'other.example'];
      const denied = await type(dir, 'break', ...zone);
      assert.match(denied.out, /^zone route53\/other\.example is broken: denied/);
      const gone = await type(dir, 'break', 'zone', 'cf/other.example', '--how', 'deleted');
      assert.equal(gone.exit, 0, gone.err);
      const { out } = await type(dir, 'status');
      assert.match(out, /zone route53\/other\.example +broken: denied +Z[0-9A-Z]{20}\n/);
      assert.match(out, /zone cloudflare\/other\.example +broken: deleted +no id\n/);
      assert.match(out, /zone route53\/gslb\.example\.net +serves +Z/);
      assert.match(out, /www\.other\.example at cloudflare: REFUSED\n/);
      assert.match(out, /www\.other\.example at alidns: hz\.shop\.example\.\n/);
      const { vendors } = JSON.parse((await type(dir, 'status', '--json')).out);
      assert.deepEqual(
        vendors.map((v: { zones: { name: string; fault: string | null }[] }) =>
          v.zones.map((z) => z.fault),
        ),
        [
          [null, 'denied'],
          [null, 'deleted'],
          [null, null],
        ],
      );
      const healed = await type(dir, 'heal', ...zone);
      assert.equal(healed.out, 'zone route53/other.example is healed\n');
      const wrong = await type(dir, 'break', ...zone, '--how', 'melt');
      assert.equal(wrong.exit, 2);
      assert.match(wrong.err, /no zone breaks like "melt": choose one of deleted, paused/);
    }),
  ));

test('a fourth vendor is DNSPod, with the same records and an account in the configuration', () =>
  withDir((dir) =>
    withCommand(dir, ['--no-daemon', '--vendors', '4'], async (ready) => {
      assert.deepEqual(Object.keys(ready.vendors), [...vendorTypes, 'dnspod']);
      const text = readFileSync(ready.config, 'utf8');
      assert.match(text, /^ {2}dp:\n {4}type: dnspod$/m);
      assert.match(text, /publish: \[cf, r53, ali, dp\]/);
      const edited = await type(dir, 'edit', 'dp', 'www', 'tokyo');
      assert.match(edited.out, /by hand at dnspod/);
      assert.match((await type(dir, 'break', 'vendor', 'dnspod', '--how', 'auth')).out, /dnspod/);
      const { out } = await type(dir, 'status');
      assert.match(out, /www\.gslb\.example\.net at dnspod: (hz|nrt)\.shop\.example\./);
      assert.match(out, /vendor dnspod +broken: auth/);
      const refused = await type(dir, 'protect', 'dnspod', 'www');
      assert.match(refused.err, /dnspod protects no single record/);
      assert.equal((await type(dir, 'heal')).exit, 0);
    }),
  ));

test('status shows a lost reply as mended once it has happened, and ways out by their faults', () =>
  withDir((dir) =>
    withCommand(dir, ['--no-daemon', '--paths', '3', '--clouds', '3'], async (ready) => {
      const vendorOf = async () => {
        const { vendors } = JSON.parse((await type(dir, 'status', '--json')).out);
        return vendors.find((v: { name: string }) => v.name === 'cloudflare');
      };
      assert.deepEqual(ready.clouds, ['aliyun', 'aws', 'gcp']);
      assert.ok(ready.records.includes('img.gslb.example.net'));
      await type(dir, 'break', 'vendor', 'cf', '--how', 'lost-reply');
      assert.equal((await vendorOf()).fault, 'lost-reply');
      const token = readFileSync(join(dir, '.detour/lab/secrets/cf-token'), 'utf8').trim();
      await writeAtCloudflare(ready.vendors['cloudflare']!.api, token);
      const after = await vendorOf();
      assert.deepEqual([after.fault, after.mended], [null, 'lost-reply']);
      assert.match((await type(dir, 'status')).out, /vendor cloudflare +mended: lost-reply/);
      await type(dir, 'heal', 'vendor', 'cf');
      assert.match((await type(dir, 'status')).out, /vendor cloudflare +serves/);

      const cut = await type(dir, 'break', 'uplink', 'as4134,as4837');
      assert.match(cut.out, /^uplink as4134,as4837 \(line-a, line-b\) is broken: cut/);
      const loss = await type(dir, 'break', 'path', 'abroad', '--how', 'loss', '--share', '0.25');
      assert.match(loss.out, /loss, 25 % of what is asked/);
      const { out } = await type(dir, 'status');
      assert.match(out, /path line-a +broken: cut +0 requests, hangzhou-office as4134/);
      assert.match(out, /path abroad +broken: loss 25 %/);
      assert.match(out, /store oss-cn-hangzhou +serves/);
      assert.match(out, /reference ref-a +serves/);

      const edited = await type(dir, 'edit', 'ali', 'www', 'tokyo');
      assert.match(edited.out, /changed to nrt\.shop\.example\. by hand at alidns/);
      assert.match((await type(dir, 'edit', 'ali', 'api', 'none')).out, /removed by hand/);
      assert.match((await type(dir, 'protect', 'r53', 'www')).out, /protected at route53/);
      assert.match((await type(dir, 'status')).out, /vendor route53 +broken: protected/);
      const never = await type(dir, 'break', 'vendor', 'ali', '--how', 'partial-batch');
      assert.deepEqual([never.exit, never.out], [2, '']);
      assert.match(never.err, /alidns has no batches/);
      const share = await type(dir, 'break', 'cloud', 'aws', '--share', '0.5');
      assert.equal(share.exit, 2);
      assert.match(share.err, /a share goes with loss alone/);
    }),
  ));

/** One record created through Cloudflare's API; resolves when the call has ended somehow. */
function writeAtCloudflare(api: string, token: string): Promise<void> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const call = (method: string, path: string, body?: object) =>
    new Promise<string>((resolve) => {
      const asked = httpRequest(`${api}${path}`, { method, headers, agent: false }, (response) => {
        let text = '';
        response.on('data', (chunk) => (text += chunk));
        response.on('end', () => resolve(text));
      });
      asked.on('error', () => resolve(''));
      asked.end(body === undefined ? undefined : JSON.stringify(body));
    });
  return call('GET', '/zones').then(async (text) => {
    const id = JSON.parse(text).result[0].id;
    const record = { type: 'TXT', name: 'x.gslb.example.net', content: '"x"', ttl: 60 };
    assert.equal(await call('POST', `/zones/${id}/dns_records`, record), '', 'the reply is lost');
  });
}

test('a lab that was killed leaves a socket and a state that the next one replaces', () =>
  withDir(async (dir) => {
    const lab = join(dir, 'lab');
    await withCommand(dir, ['--no-daemon', '--dir', 'lab'], async () => undefined);
    mkdirSync(join(lab, 'state'));
    writeFileSync(join(lab, 'state', 'old'), 'epoch 7');
    // A socket whose listener is gone, as after SIGKILL.
    const dead = spawn(process.execPath, [
      '-e',
      `require('net').createServer().listen(${JSON.stringify(join(lab, 'lab.sock'))},
        () => process.kill(process.pid, 'SIGKILL'))`,
    ]);
    await new Promise((resolve) => dead.once('close', resolve));
    assert.ok(existsSync(join(lab, 'lab.sock')));
    await withCommand(dir, ['--no-daemon', '--dir', 'lab'], async () => {
      assert.ok(!existsSync(join(lab, 'state', 'old')));
      assert.equal((await type(dir, 'status', '--dir', 'lab')).exit, 0);
    });
  }));

test('a directory with files of somebody else is left alone', () =>
  withDir(async (dir) => {
    mkdirSync(join(dir, 'state'));
    writeFileSync(join(dir, 'state', 'precious'), 'do not lose me');
    const done = await type(dir, '--no-daemon', '--dir', '.');
    assert.equal(done.exit, 2);
    assert.match(done.err, /was not made by a lab/);
    assert.equal(readFileSync(join(dir, 'state', 'precious'), 'utf8'), 'do not lose me');
  }));

test('a directory that cannot be made or written is named, with the cure', () =>
  withDir(async (dir) => {
    writeFileSync(join(dir, 'file'), '');
    const done = await type(dir, '--no-daemon', '--dir', 'file/lab');
    assert.equal(done.exit, 2);
    assert.match(done.err, /file\/lab: cannot be written \(ENOTDIR\): choose another by --dir/);
  }));

test('a directory too deep for a Unix socket gets its sockets elsewhere, and says so', () =>
  withDir(async (dir) => {
    const deep = join('d'.repeat(60), 'e'.repeat(60));
    await withCommand(dir, ['--no-daemon', '--dir', deep], async (ready, io) => {
      assert.equal(ready.config, join(dir, deep, 'detour.yaml'));
      assert.match(io.stderr.text, /at most 103 octets; the lab's sockets are in /);
      assert.equal((await type(dir, 'status', '--dir', deep)).exit, 0);
      const { directory } = socketPlace(join(dir, deep), ['lab.sock', 'detour.sock']);
      const doc = parse(readFileSync(ready.config, 'utf8'));
      assert.equal(doc.socket, join(directory, 'detour.sock'));
    });
    const lab = join(dir, deep);
    const { directory } = socketPlace(lab, ['lab.sock']);
    rmSync(directory, { recursive: true });
    // Somebody else's directory of that name is no place for a key.
    mkdirSync(directory, { mode: 0o755 });
    assert.throws(() => socketPlace(lab, ['lab.sock']), /not a private directory/);
    rmSync(directory, { recursive: true });
  }));

test('wrong words are exit 2 and say where the right ones are', () =>
  withDir(async (dir) => {
    for (const argv of [
      ['brake'],
      ['--quotas', 'some'],
      ['--records', '-1'],
      ['--records', '1701'],
      ['--ttl', '1.5'],
      ['--what'],
      ['break', 'cloud'],
      ['break', 'planet', 'mars'],
      ['--paths', '2'],
      ['--clouds', '4'],
      ['--zones', '3'],
      ['--vendors', '5'],
      ['--port', '0'],
      ['break', 'zone', 'route53', 'other.example', 'now'],
      ['break', 'origin', 'tokyo', '--how', 'loss', '--share', '30'],
      ['break', 'origin', 'tokyo', '--how', 'loss', '--share', '0'],
      ['heal', 'origin', 'tokyo', '--share', '0.5'],
      ['edit', 'cf', 'www'],
      ['protect', 'cf'],
      ['protect', 'cf', 'www', 'now'],
      ['status', '--how', 'hang'],
      ['stop', 'now'],
      ['--demo', '--no-daemon'],
    ]) {
      const done = await type(dir, ...argv);
      assert.deepEqual([done.exit, done.out], [2, ''], argv.join(' '));
      assert.match(done.err, /^detour lab: .*detour lab --help/, argv.join(' '));
    }
    const help = await type(dir, '--help');
    assert.equal(help.exit, 0);
    for (const word of ['detour lab break', 'detour lab edit', 'detour lab protect', '--needs']) {
      assert.ok(help.out.includes(word), word);
    }
    const faults = [originFaults, serviceFaults, pathFaults].flatMap((f) => Object.keys(f));
    for (const fault of [...faults, ...vendorFaults, ...zoneFaults, ...handFaults, ...scopes]) {
      assert.match(help.out, new RegExp(`\\b${fault}\\b`), 'every fault and scope is in the help');
    }
    const wide = help.out.split('\n').filter((line) => line.length > 100);
    assert.deepEqual(wide, []);
    assert.equal(existsSync(join(dir, '.detour')), false);
  }));

test('the control refuses what is no command of it', () =>
  withDir(async (dir) => {
    const path = join(dir, 'c.sock');
    const control = await startControl(path, async () => ({ exit: 0, message: 'done' }));
    const say = (method: string, target: string, body: string) =>
      new Promise<string>((resolve, reject) => {
        const request = httpRequest(
          { socketPath: path, path: target, method, agent: false },
          (response) => {
            let text = '';
            response.on('data', (chunk) => (text += chunk));
            response.on('end', () => resolve(`${response.statusCode} ${text.trim()}`));
          },
        );
        request.on('error', reject);
        request.end(body);
      });
    try {
      assert.match(await say('GET', '/status', ''), /^200 .*done/);
      assert.match(await say('GET', '/stop', ''), /^400 .*POST \/break/);
      assert.match(await say('POST', '/break', '{'), /^400 .*not a JSON object/);
      assert.match(await say('POST', '/break', '{"scope":"sea"}'), /^400 .*scope/);
      assert.match(await say('POST', '/break', '{"scope":"cloud","name":"a"}'), /^400 .*how/);
      const lossy = '{"scope":"path","name":"a","how":"loss","share":';
      assert.match(await say('POST', '/break', `${lossy}2}`), /^400 .*share/);
      assert.match(await say('POST', '/break', `${lossy}"0.5"}`), /^400 .*share/);
      assert.match(await say('POST', '/break', `${lossy}0.5}`), /^200 /);
      assert.match(await say('POST', '/edit', '{"vendor":"cf"}'), /^400 .*record/);
      assert.match(await say('POST', '/edit', '{"vendor":"cf","record":"w","value":1}'), /^400/);
      assert.match(await say('POST', '/protect', '{"record":"w"}'), /^400 .*vendor/);
      assert.match(await say('POST', '/protect', '{"vendor":"cf","record":"w"}'), /^200 /);
      assert.match(await say('POST', '/heal', '{}'), /^200 /);
      await assert.rejects(say('POST', '/break', 'x'.repeat(100_000)));
    } finally {
      await control.close();
    }
    assert.equal(existsSync(path), false);
  }));

// ---------------------------------------------------------------- the daemon beside it

/** Reads the configuration, is ready after a moment, and ends by SIGTERM, telling so. */
const standIn = `
  import { readFileSync } from 'node:fs';
  import { createServer } from 'node:http';
  const [word, c, file] = process.argv.slice(2);
  if (word !== 'run' || c !== '-c') process.exit(9);
  const port = Number(/listen: 127.0.0.1:(\\d+)/.exec(readFileSync(file, 'utf8'))[1]);
  const say = (o) => console.log(JSON.stringify({ time: Date.now(), level: 'info', ...o }));
  let asked = 0;
  createServer((q, a) => a.writeHead(++asked > 2 ? 200 : 503).end('not yet')).listen(port, '127.0.0.1');
  say({ kind: 'adopt', record: 'www.gslb.example.net.', msg: 'www.gslb.example.net. at cf: adopted', data: { provider: 'cf' } });
  process.on('SIGTERM', () => { say({ msg: 'ending' }); process.exit(0); });
`;

test('the lab waits for the daemon to be ready, tells its story, and ends it', () =>
  withDir(async (dir) => {
    const main = join(dir, 'main.mjs');
    writeFileSync(main, standIn);
    const daemonArgv = [process.execPath, main];
    let story = '';
    await withCommand(
      dir,
      [],
      async (ready, io) => {
        assert.equal(await fetchStatus(ready.metrics), 200);
        await until('the story is told', () => /www cf +adopted/.test(io.stderr.text));
        const status = JSON.parse((await type(dir, 'status', '--json')).out);
        assert.equal(status.daemon, true);
        story = io.stderr.text;
      },
      { daemonArgv },
    );
    assert.match(story, /The daemon is ready/);
    assert.match(story, /status --watch --socket .*detour\.sock/);
    assert.match(story, /\d\d:\d\d:\d\d\.\d\d\d/);
    const log = readFileSync(join(dir, '.detour', 'lab', 'daemon.log'), 'utf8');
    assert.match(log, /"kind":"adopt"/);
    assert.match(log, /ending/, 'it was ended by SIGTERM and could say goodbye');
  }));

function fetchStatus(url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    }).on('error', reject);
  });
}

test('a daemon that dies early is reported with its last words, and nothing stays up', () =>
  withDir(async (dir) => {
    const main = join(dir, 'main.mjs');
    writeFileSync(main, `console.error('detour.yaml:3: no such provider'); process.exit(2);`);
    const io = terminal(dir, { daemonArgv: [process.execPath, main] });
    assert.equal(await labCommand(['--json'], io), 1);
    assert.equal(io.stdout.text, '');
    assert.match(io.stderr.text, /ended before it was ready: exit 2\n {2}detour\.yaml:3: no such/);
    assert.equal((await type(dir, 'status')).exit, 1);
    const missing = terminal(dir, { daemonArgv: [join(dir, 'nothing')] });
    assert.equal(await labCommand([], missing), 1);
    assert.match(missing.stderr.text, /could not be started/);
  }));

/** The command in a process of its own. */
function program(dir: string): string {
  const main = join(dir, 'main.mjs');
  const href = new URL('../../src/lab/shell/command.ts', import.meta.url).href;
  writeFileSync(
    main,
    `import { labCommand } from ${JSON.stringify(href)};
     process.exitCode = await labCommand(process.argv.slice(2), { daemonArgv: ['x'] });`,
  );
  return main;
}

test('a lab outlives the reader of its output and ends by a signal with exit 0', () =>
  withDir(async (dir) => {
    const child = spawn(process.execPath, [program(dir), '--no-daemon'], {
      cwd: dir,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 20_000,
    });
    const ended = new Promise((resolve) => child.once('exit', (...how) => resolve(how)));
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.stdout.destroy();
    child.stderr.destroy();
    // Each of these makes the lab write to a pipe that nobody holds any more.
    for (const word of ['hang', 'reset', '5xx', 'refuse']) {
      const done = await type(dir, 'break', 'cloud', 'aliyun', '--how', word);
      assert.equal(done.exit, 0, done.err);
    }
    child.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null]);
    assert.equal(existsSync(join(dir, '.detour', 'lab', 'lab.sock')), false);
  }));

test('a lab that npm started ends when the process in between is killed', () =>
  withDir(async (dir) => {
    const between = join(dir, 'between.mjs');
    writeFileSync(
      between,
      `import { spawnSync } from 'node:child_process';
       spawnSync(process.execPath, [${JSON.stringify(program(dir))}, '--no-daemon'],
         { stdio: ['ignore', 1, 2], timeout: 20000 });`,
    );
    const child = spawn(process.execPath, [between], {
      cwd: dir,
      env: { ...process.env, npm_lifecycle_event: 'start' },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 20_000,
    });
    let out = '';
    child.stdout.on('data', (chunk) => (out += chunk));
    // The pipe closes when the last process that holds it has ended.
    const over = new Promise((resolve) => child.stdout.once('close', () => resolve('over')));
    await until('the lab is up', () => out.includes('npm start -- break cloud aliyun'));
    child.kill('SIGKILL');
    const deadline = new Promise((resolve) => setTimeout(resolve, 8000, 'still up').unref());
    const seen = await Promise.race([over, deadline]);
    if (seen !== 'over') await type(dir, 'stop');
    assert.equal(seen, 'over');
    assert.equal(existsSync(join(dir, '.detour', 'lab', 'lab.sock')), false);
  }));

// ---------------------------------------------------------------- the story

function newStory(colour = false) {
  const lines: string[] = [];
  const story = new Story({
    print: (line) => lines.push(line),
    colour,
    zone: 'gslb.example.net.',
    vendors: ['route53', 'cloudflare', 'alidns'],
    originOf: (_record, answer) => (answer === 'nrt.shop.example.' ? 'tokyo' : null),
  });
  return { lines, story };
}

test('a line of the story has the time, the time since the fault, who and what', () => {
  const { lines, story } = newStory();
  const at = new Date(2023, 10, 12, 12, 0, 2, 502).getTime();
  const line = (o: object) => story.daemon(JSON.stringify({ level: 'info', ...o }));
  line({ time: at - 5, kind: 'adopt', msg: 'adopted', record: 'www.gslb.example.net.' });
  story.fault('cloud aliyun is broken', at);
  line({
    time: new Date(at + 910).toISOString(),
    kind: 'health',
    msg: 'hangzhou: up -> down: 3 of 3 probes refused',
    data: { origin: 'hangzhou', was: 'up', health: 'down' },
  });
  line({
    time: at + 1300,
    kind: 'written',
    record: 'www.gslb.example.net.',
    msg: 'www.gslb.example.net. at cf: written after 390 ms',
    data: { provider: 'cf' },
  });
  line({
    time: at + 1400,
    kind: 'lane',
    msg: 'lane ali: throttled: slow',
    data: { provider: 'ali' },
  });
  line({ time: at + 1, level: 'debug', msg: 'for machines' });
  line({ time: at + 2, level: 20, msg: 'for machines' });
  assert.deepEqual(lines, [
    '12:00:02.497             www         adopted',
    '12:00:02.502    +0.00 s  lab         cloud aliyun is broken',
    '12:00:03.412    +0.91 s  hangzhou    up -> down: 3 of 3 probes refused',
    '12:00:03.802    +1.30 s  www cf      written after 390 ms',
    '12:00:03.902    +1.40 s  ali         throttled: slow',
  ]);
});

test('the story says when every vendor has moved, and by how much each', () => {
  const { lines, story } = newStory();
  const at = Date.now();
  const www = 'www.gslb.example.net.';
  story.fault('cloud aliyun is broken', at);
  story.wire('route53', www, 'nrt.shop.example.', at + 800);
  story.wire('cloudflare', www, 'hz.shop.example.', at + 850);
  story.wire('alidns', www, 'nrt.shop.example.', at + 900);
  assert.equal(lines.length, 4);
  story.wire('cloudflare', www, 'nrt.shop.example.', at + 1210);
  const summary = 'tokyo at every vendor: route53 +0.80 s, cloudflare +1.21 s, alidns +0.90 s';
  assert.ok(lines.at(-1)?.endsWith(summary), lines.at(-1));
  story.fault('again', at + 5000);
  story.wire('route53', www, 'hz.shop.example.', at + 5100);
  assert.equal(lines.length, 8, 'a new fault starts a new count');
});

test('the story survives any line, prints no control characters, and does not flood', () => {
  const { lines, story } = newStory();
  for (const junk of ['', '   ', '{', '{}', '[1]', '{"msg":7}', '{"msg":"a","data":null}']) {
    story.daemon(junk);
  }
  story.daemon('{"msg":"a\\u001b[2Jb","data":"text","time":"never","record":5}');
  story.daemon('plain \x1b[31mtext\x07');
  const shown = lines.join('\n');
  assert.doesNotMatch(shown.replaceAll('\n', ''), /\p{Cc}/u);
  assert.match(shown, /a \[2Jb/);
  for (let i = 0; i < 5000; i++) story.daemon(`{"msg":"line ${i}"}`);
  assert.ok(lines.length < 200, `${lines.length} lines of 5000`);
});

test('colours are for terminals alone', () => {
  const plain = newStory();
  const bright = newStory(true);
  const line = '{"kind":"health","msg":"up -> down","data":{"health":"down"}}';
  plain.story.daemon(line);
  bright.story.daemon(line);
  assert.doesNotMatch(plain.lines[0]!, /\p{Cc}/u);
  const [line0 = ''] = bright.lines;
  assert.ok(line0.startsWith('\x1b[31m') && line0.endsWith('\x1b[0m'));
});

test('the watch tells a change when all servers of a vendor give it, and not before', () =>
  withLab(async (lab) => {
    const record = 'www.gslb.example.net.';
    const seen: string[] = [];
    const vendor = lab.vendors.cloudflare;
    const watch = new WireWatch({
      servers: { both: vendor.dns, first: vendor.dns.slice(0, 1) },
      records: [record],
      changed: (name, _record, answer) => seen.push(`${name} ${answer}`),
    });
    try {
      const known = (name: string) => watch.answer(name, record) === 'hz.shop.example.';
      await until('first answers', () => known('both') && known('first'));
      await lab.break('vendor', 'cloudflare', 'dns-lag');
      watch.hurry();
      for (const cname of ['bj.shop.example.', 'nrt.shop.example.']) {
        vendor.edit(record, 'CNAME', cname, 60);
        await until(`the first server gives ${cname}`, () => seen.includes(`first ${cname}`));
      }
      assert.equal(await askCname(vendor.dns[1]!, record), 'hz.shop.example.');
      assert.deepEqual(seen, ['first bj.shop.example.', 'first nrt.shop.example.']);
      await lab.heal('vendor', 'cloudflare');
      await until('the change is told', () => seen.length > 2);
      assert.deepEqual(seen.slice(2), ['both nrt.shop.example.']);
    } finally {
      watch.close();
    }
  }));
