// Real networks that break, in namespaces of the test's own: the prober and the built daemon behind
// an uplink that is cut, a cable that is pulled, a black hole, packets lost or held back. What is
// wrong with our own side must never look like an outage, nor move anything.

import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse, stringify } from 'yaml';
import type { Outcome } from '../../src/core/model.ts';
import type { StatusView } from '../../src/core/view.ts';
import { openWan, type Wan, withoutDelay, withoutLoss, withoutNetns } from '../parts/netns.ts';
import { main, type Ready, socketOf, until } from '../parts/program.ts';

/** Where each origin and reference point of the lab is on the world's side. */
const places = {
  hangzhou: '198.51.100.21',
  beijing: '198.51.100.22',
  tokyo: '198.51.100.31',
  'ref-a': '198.51.100.91',
  'ref-b': '198.51.100.92',
} as const;
const everywhere: readonly string[] = Object.values(places);
const port = 8080;

/** A web server on every address of the world's side, listening. */
async function startWorld(wan: Wan): Promise<void> {
  const script = `
    require('http').createServer((q, a) => a.end('ok'))
      .listen(${port}, '0.0.0.0', () => console.log('listening'));`;
  const said = listen(wan.far([process.execPath, '-e', script]));
  await until('the world listens', 20_000, () => said.out().includes('listening'));
}

function listen(child: ChildProcess): { out: () => string; err: () => string } {
  let [out, err] = ['', ''];
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (err += text));
  return { out: () => out, err: () => err };
}

// ---------------------------------------------------------------- the prober

interface Probed {
  readonly outcome: Outcome;
  readonly reason: string;
  readonly ms: number;
  readonly phases: { readonly connectMs?: number };
}

/** Probes addresses with the real prober on Detour's side, so many at a time. */
async function probe(
  wan: Wan,
  addresses: readonly string[],
  timeoutMs = 1000,
): Promise<readonly Probed[]> {
  const href = new URL('../../src/probes/index.ts', import.meta.url).href;
  const script = `
    import { checkTypes, createProber } from ${JSON.stringify(href)};
    const addresses = ${JSON.stringify(addresses)};
    const probes = Object.fromEntries(addresses.map((address, i) => ['a/' + i, {
      kind: 'http',
      settings: checkTypes.http.settings.parse({ http: 'http://' + address + ':${port}/' }),
      timeoutMs: ${timeoutMs},
    }]));
    const path = { name: 'direct', kind: 'direct', localAddress: null, resolver: null };
    const prober = createProber(probes, { direct: path });
    const asked = Object.keys(probes).map(async (id) => {
      const from = performance.now();
      const result = await prober.probe(id, 'direct', AbortSignal.timeout(60_000));
      return { ...result, ms: performance.now() - from };
    });
    console.log(JSON.stringify(await Promise.all(asked)));
    prober.close();`;
  const child = wan.near([process.execPath, '--input-type=module', '-e', script]);
  const said = listen(child);
  const status = await new Promise((resolve) => child.once('close', resolve));
  assert.equal(status, 0, said.err());
  return JSON.parse(said.out()) as readonly Probed[];
}

const words = (probed: readonly Probed[]) => probed.map((p) => `${p.outcome} ${p.reason}`);

describe('the prober', { skip: withoutNetns }, () => {
  let wan: Wan;
  before(async () => {
    wan = openWan(everywhere);
    await startWorld(wan);
  });
  after(() => wan?.close());

  test('sees what is there', async () => {
    assert.deepEqual(
      words(await probe(wan, everywhere)),
      everywhere.map(() => 'pass ok'),
    );
  });

  test('is blind, at once, while its own uplink is cut, and sees again when it is back', async () => {
    wan.cut();
    const probed = await probe(wan, everywhere);
    assert.deepEqual(
      words(probed),
      everywhere.map(() => 'blind no-route'),
    );
    assert.ok(
      probed.every((p) => p.ms < 1000),
      'it needs no deadline to know that',
    );
    wan.mend();
    assert.deepEqual(
      words(await probe(wan, everywhere)),
      everywhere.map(() => 'pass ok'),
    );
  });

  test('a pulled cable passes nothing, and looks the same for everything', async () => {
    wan.unplug();
    const seen = new Set(words(await probe(wan, everywhere)));
    wan.mend();
    assert.equal(seen.size, 1);
    assert.doesNotMatch([...seen][0]!, /^pass/);
  });

  test('a black hole fails by its deadline, and takes nothing beside it along', async () => {
    wan.blackHole([places.hangzhou]);
    const [hole, beside] = await probe(wan, [places.hangzhou, places.tokyo]);
    wan.serve([places.hangzhou]);
    assert.deepEqual(words([hole!, beside!]), ['fail timeout', 'pass ok']);
    assert.ok(hole!.ms >= 990 && hole!.ms < 3000, `${hole!.ms} ms`);
  });

  test('30 % loss makes some probes time out and nothing else', { skip: withoutLoss }, async () => {
    wan.lose(30);
    const probed = await probe(
      wan,
      Array.from({ length: 60 }, () => places.tokyo),
    );
    wan.lose(0);
    // What a busy machine let wait for its turn was not asked: it says nothing of the way there.
    const asked = words(probed).filter((one) => one !== 'blind shed');
    const seen = new Set(asked);
    assert.ok(asked.length > probed.length / 2, `${asked.length} of ${probed.length} were asked`);
    assert.ok(seen.has('fail timeout') && seen.has('pass ok'), [...seen].join(', '));
    assert.equal(seen.size, 2, [...seen].join(', '));
    assert.deepEqual(words(await probe(wan, [places.tokyo])), ['pass ok']);
  });

  test('2 s of delay fail a probe of 1 s and pass one of 10 s', {
    skip: withoutDelay,
  }, async () => {
    wan.delay(2000);
    const quick = await probe(wan, [places.tokyo]);
    const patient = await probe(wan, [places.tokyo], 10_000);
    wan.delay(0);
    assert.deepEqual(words([...quick, ...patient]), ['fail timeout', 'pass ok']);
    assert.ok((patient[0]!.phases.connectMs ?? 0) >= 1900, 'the delay shows as time to connect');
  });
});

// ---------------------------------------------------------------- the daemon

const www = 'www.gslb.example.net';

interface Site {
  readonly wan: Wan;
  readonly ready: Ready;
  readonly log: () => string;
  status(): Promise<StatusView>;
  close(): Promise<void>;
}

/** The lab's vendors beside the daemon, its origins and reference points behind the uplink. */
async function openSite(): Promise<Site> {
  const directory = await mkdtemp(join(tmpdir(), 'detour-netns-'));
  const wan = openWan(everywhere);
  const close = async () => {
    await wan.close();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await startWorld(wan);
    const lab = [main, 'lab', '--json', '--no-daemon', '--dir', directory];
    const said = listen(wan.near([process.execPath, ...lab]));
    await until('the lab is ready', 60_000, () => {
      if (said.err().includes('detour lab: ')) throw new Error(said.err());
      return said.out().includes('\n');
    });
    const ready = JSON.parse(said.out()) as Ready;
    writeFileSync(ready.config, behindUplink(readFileSync(ready.config, 'utf8')));
    const run = [main, 'run', '-c', ready.config, '--json'];
    const daemon = listen(wan.near([process.execPath, ...run]));
    const socket = socketOf(directory);
    await until('the daemon answers', 60_000, async () => (await statusAt(socket)) !== null);
    const status = async () => {
      const view = await statusAt(socket);
      if (view === null) throw new Error(`the daemon does not answer: ${daemon.err()}`);
      return view;
    };
    return { wan, ready, log: () => daemon.out() + daemon.err(), status, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What the daemon says of itself over its socket; null while nobody answers there. */
function statusAt(socketPath: string): Promise<StatusView | null> {
  return new Promise((resolve) => {
    const asked = get({ socketPath, path: '/v1/status', timeout: 5000 }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('error', () => resolve(null));
      response.on('end', () => resolve(text === '' ? null : (JSON.parse(text) as StatusView)));
    });
    asked.on('timeout', () => asked.destroy());
    asked.on('error', () => resolve(null));
  });
}

/** The ready configuration with every origin behind the uplink, and two reference points there. */
function behindUplink(text: string): string {
  const config = parse(text) as {
    origins: Record<string, { checks: { web: { http: string; address?: string } } }>;
    policy: Record<string, unknown>;
  };
  for (const [name, { checks }] of Object.entries(config.origins)) {
    checks.web.http = `http://${places[name as keyof typeof places]}:${port}/`;
    delete checks.web.address;
  }
  const reference = (name: 'ref-a' | 'ref-b') => ({ http: `http://${places[name]}:${port}/` });
  Object.assign(config.policy, { interval: '500ms', timeout: '500ms', confirm: '100ms' });
  config.policy['references'] = { 'ref-a': reference('ref-a'), 'ref-b': reference('ref-b') };
  return stringify(config);
}

const recordOf = (view: StatusView) => view.records.find((r) => r.name === `${www}.`)!;
const healths = (view: StatusView) => [...new Set(view.origins.map((o) => o.health))];

/** Waits until a view holds, and goes on holding for so many probes of each origin after that. */
async function settles(
  site: Site,
  what: string,
  holds: (view: StatusView) => boolean,
  probes = 6,
): Promise<void> {
  let view = await site.status();
  const look = async () => {
    view = await site.status();
    return holds(view);
  };
  await until(what, 30_000, look);
  const from = view.at;
  await until(`${what}, for ${probes} probes of each origin`, 30_000, async () => {
    assert.ok(await look(), `it no longer holds: ${what}, but ${healths(view).join(' and ')}`);
    return checksOf(view).every((c) => (c.last?.endedAt ?? 0) > from + probes * 500);
  });
}

const checksOf = (view: StatusView) => view.origins.flatMap((o) => o.checks);
const allUp = (view: StatusView) => healths(view).join() === 'up';
/** No check says anything by its path, and no origin is called up or down. */
const knowsNothing = (view: StatusView) =>
  checksOf(view).every((c) => c.verdict === 'unknown') && healths(view).join() === 'unknown';

/** What the daemon has said about origins being down, or about moving anything. */
function alarms(site: Site): readonly string[] {
  const lines = site.log().split('\n');
  return lines.filter((l) => /-> down\b|"kind":"switch"|"kind":"decide"/.test(l));
}

describe('the daemon behind a network that fails', { skip: withoutNetns }, () => {
  let site: Site;
  let switchId: string | null = null;
  before(async () => {
    site = await openSite();
    await until('adopted, and every origin up', 60_000, async () => {
      const view = await site.status();
      const { target, providers } = recordOf(view);
      const visible = providers.every((p) => p.stage === 'visible');
      return target === 'hangzhou' && visible && allUp(view);
    });
    switchId = recordOf(await site.status()).switchId;
  });
  after(() => site?.close());

  for (const [what, breaking] of [
    ['its own uplink is cut', (wan: Wan) => wan.cut()],
    ['its cable is pulled', (wan: Wan) => wan.unplug()],
    ['all beyond its uplink is a black hole', (wan: Wan) => wan.blackHole(everywhere)],
  ] as const) {
    test(`knows nothing while ${what}, and nothing moves then or after it`, async () => {
      const before = alarms(site).length;
      breaking(site.wan);
      try {
        await settles(site, 'nothing is known', knowsNothing);
      } finally {
        site.wan.serve(everywhere);
        site.wan.mend();
      }
      await settles(site, 'every origin is up again', allUp);
      assert.deepEqual(alarms(site).slice(before), []);
      const record = recordOf(await site.status());
      assert.deepEqual([record.target, record.switchId], ['hangzhou', switchId]);
      assert.deepEqual(await given(site), ['hz.shop.example']);
    });
  }

  test('still moves when one origin alone falls into a black hole', async () => {
    site.wan.blackHole([places.hangzhou]);
    try {
      await until('the record is on tokyo', 30_000, async () => {
        return recordOf(await site.status()).target === 'tokyo';
      });
      await until('every vendor gives the standby', 30_000, async () => {
        return (await given(site)).join() === 'nrt.shop.example';
      });
      assert.notDeepEqual(alarms(site), [], 'what the tests above look for is there to be seen');
    } finally {
      site.wan.serve([places.hangzhou]);
    }
  });
});

/** What the vendors' name servers give, asked on Detour's side, where the lab's loopback is. */
async function given({ wan, ready }: Site): Promise<readonly string[]> {
  const href = new URL('../parts/program.ts', import.meta.url).href;
  const servers = Object.values(ready.vendors).map(({ dns }) => dns);
  const script = `
    import { cnameAt } from ${JSON.stringify(href)};
    const ask = (server) => cnameAt(server, ${JSON.stringify(www)});
    const all = await Promise.all(${JSON.stringify(servers)}.map(ask));
    console.log([...new Set(all.map(String))].join());`;
  const child = wan.near([process.execPath, '--input-type=module', '-e', script]);
  const said = listen(child);
  await new Promise((resolve) => child.once('close', resolve));
  return said.out().trim().split(',');
}
