// A hundred steered names, with the real loop and the real adapters against the lab's vendors, whose
// answers pass a relay that can hold or change them: in a zone too long to list they are read name
// by name, in as few rounds as that takes, and nothing is shown as troubled meanwhile; and a switch
// that is ordered while a routine listing takes half a minute overtakes it.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request as forward, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createSingleCoordinator } from '../../src/cluster/single.ts';
import { Controller } from '../../src/controller.ts';
import type { CoreConfig, Name } from '../../src/core/model.ts';
import type { StatusView } from '../../src/core/view.ts';
import type { Provider } from '../../src/kit/extend.ts';
import { type Lab, type ReadyVendor, startLab, vendorTypes } from '../../src/lab/lab.ts';
import { configPath, labSettings, writeSettings } from '../../src/lab/shell/settings.ts';
import { buildAdapters, loadConfig } from '../../src/run/build.ts';
import { createClock } from '../../src/run/clock.ts';
import { type MemoryDisk, newMemoryDisk, openMemoryStore } from '../parts/memory-store.ts';
import { until } from '../parts/program.ts';

const names = 100;
const www = 'www.gslb.example.net.';

/** What tells a question for a list of the whole zone, and what makes its answer too long. */
const vendors: Readonly<
  Record<
    ReadyVendor,
    {
      readonly provider: string;
      readonly isListing: (url: string, body: string) => boolean;
      readonly tooLong: readonly [RegExp, string];
      /** Names that are read one by one in one round. */
      readonly byNameMax: number;
    }
  >
> = {
  route53: {
    provider: 'r53',
    isListing: (url) => url.includes('/rrset') && /maxitems=300\b/.test(url),
    tooLong: [/<ResourceRecordSetCount>\d+</, '<ResourceRecordSetCount>100000<'],
    byNameMax: 16,
  },
  cloudflare: {
    provider: 'cf',
    isListing: (url) => url.includes('/dns_records') && /per_page=5000\b/.test(url),
    tooLong: [/"total_count":\d+/, '"total_count":1000000'],
    byNameMax: 32,
  },
  alidns: {
    provider: 'ali',
    isListing: (_, body) => /\bAction=DescribeDomainRecords\b/.test(body),
    tooLong: [/"TotalCount":\d+/, '"TotalCount":1000000'],
    byNameMax: 50,
  },
};

/** Stands between an adapter and its vendor. */
interface Relay {
  readonly url: string;
  /** How long answers are held, in milliseconds. */
  holdMs: { listing: number; other: number };
  isTooLong: boolean;
  /** Listings that are being held. */
  readonly held: number;
  readonly listings: number;
  close(): Promise<void>;
}

async function textOf(message: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of message) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

async function startRelay(type: ReadyVendor, api: string): Promise<Relay> {
  const { isListing, tooLong } = vendors[type];
  const sockets = new Set<Socket>();
  let [held, listings] = [0, 0];
  const server = createServer(async (asked, response) => {
    const body = await textOf(asked);
    const isOfAll = isListing(asked.url!, body);
    const holdMs = isOfAll ? relay.holdMs.listing : relay.holdMs.other;
    const { method, headers } = asked;
    const onward = forward(`${api}${asked.url}`, { method, headers, agent: false });
    onward.on('error', () => response.destroy());
    onward.on('response', async (answer) => {
      let text = await textOf(answer);
      const isChanged = relay.isTooLong && (isOfAll || type === 'route53');
      if (isChanged) text = text.replace(...tooLong);
      const { 'content-length': _, 'transfer-encoding': __, ...rest } = answer.headers;
      const timer = setTimeout(() => {
        response.writeHead(answer.statusCode!, rest).end(text);
      }, holdMs);
      if (isOfAll) listings++;
      if (isOfAll && holdMs > 0) held++;
      response.once('close', () => {
        clearTimeout(timer);
        if (isOfAll && holdMs > 0) held--;
      });
    });
    onward.end(body);
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const relay = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    holdMs: { listing: 0, other: 0 },
    isTooLong: false,
    get held() {
      return held;
    },
    get listings() {
      return listings;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return relay;
}

let lab: Lab;
let directory: string;
const relays = new Map<ReadyVendor, Relay>();

before(async () => {
  // Two of the lab's records have names of their own.
  lab = await startLab({ records: names - 2, quotas: 'off' });
  directory = await mkdtemp(join(tmpdir(), 'detour-long-'));
  for (const type of vendorTypes) relays.set(type, await startRelay(type, lab.vendors[type].api));
  const socket = join(directory, 'detour.sock');
  const files = labSettings(lab, { directory, socket, listenPort: 1 }).map((file) => {
    let { text } = file;
    for (const [type, { url }] of relays) {
      const endpoint = `    endpoint: "${lab.vendors[type].api}"\n`;
      text = text.replace(endpoint, `    endpoint: "${url}"\n    timeout: 1m\n`);
    }
    return { ...file, text };
  });
  writeSettings(files, directory);
});

after(async () => {
  for (const relay of relays.values()) await relay.close();
  await lab?.close();
  if (directory) await rm(directory, { recursive: true, force: true });
});

/** One reading by the loop, as its adapter was asked and answered. */
interface Reading {
  readonly asked: readonly Name[];
  readonly read: readonly Name[];
  readonly calls: number;
}

/** Notes what a provider is asked to read. */
function noting(provider: Provider, readings: Reading[]): Provider {
  return {
    name: provider.name,
    capabilities: provider.capabilities,
    get calls() {
      return provider.calls;
    },
    zone: (...given) => provider.zone(...given),
    preflight: (...given) => provider.preflight(...given),
    write: (...given) => provider.write(...given),
    close: () => provider.close(),
    async read(asked, signal) {
      const before = provider.calls;
      const answers = await provider.read(asked, signal);
      const read = asked.filter((name) => answers[name]?.kind === 'answered');
      // One that was cut off for urgent work has no say in how much a reading takes.
      if (!signal.aborted) readings.push({ asked, read, calls: provider.calls - before });
      return answers;
    },
  };
}

/** The loop as the daemon runs it; a quota of Detour's own would only make it slower to watch. */
async function startLoop(disk: MemoryDisk) {
  const { config } = await loadConfig(configPath(directory));
  const clock = createClock(0);
  const built = buildAdapters(config, clock, { remember: false });
  const readings: Record<string, Reading[]> = {};
  const providers = Object.fromEntries(
    Object.entries(built.providers).map(([name, provider]) => {
      readings[name] = [];
      return [name, noting(provider, readings[name])] as const;
    }),
  );
  const quota = { burst: 10_000, perSecond: 1000, reserve: 0 };
  const lanes = Object.fromEntries(
    Object.entries(config.core.lanes).map(([name, lane]) => [name, { ...lane, quota }]),
  );
  const core: CoreConfig = { ...config.core, lanes };
  const controller = new Controller(
    core,
    { ...built, providers },
    {
      clock,
      store: openMemoryStore(disk),
      coordinator: createSingleCoordinator(1),
      observers: [],
      seed: [1, 2, 3, 4],
      version: 'test',
    },
  );
  controller.start();
  return { controller, readings };
}

/** What a view shows as troubled. */
function troubles(view: StatusView): string[] {
  const ofRecords = view.records.flatMap((r) =>
    r.providers.flatMap((p) => (p.problem === null ? [] : [`${r.name} ${p.problem}`])),
  );
  const ofLanes = view.lanes.flatMap((lane) =>
    lane.detail === null && lane.zones.length === 0 ? [] : [`${lane.provider} ${lane.detail}`],
  );
  return [...ofRecords, ...ofLanes];
}

const isCalm = (view: StatusView) =>
  view.records.every((r) => r.providers.every((p) => p.stage === 'visible')) &&
  view.origins.every((o) => o.health === 'up');

/** Watches a loop until all is calm: nothing may be shown as troubled on the way. */
async function watch(controller: Controller): Promise<number> {
  const shown = new Set<string>();
  const ms = await until('all are adopted and visible', 120_000, () => {
    const view = controller.status();
    for (const trouble of troubles(view)) shown.add(trouble);
    return isCalm(view);
  });
  assert.deepEqual([...shown], []);
  assert.equal(controller.status().records.length, names);
  return Math.round(ms);
}

test('100 names in a zone too long to list: few rounds, and nothing is shown as troubled', async (t) => {
  t.after(() => {
    for (const relay of relays.values()) relay.isTooLong = false;
  });
  for (const relay of relays.values()) relay.isTooLong = true;
  const disk = newMemoryDisk();
  const first = await startLoop(disk);
  try {
    t.diagnostic(`adopted and visible after ${await watch(first.controller)} ms`);
  } finally {
    await first.controller.stop();
  }
  for (const type of vendorTypes) {
    const { provider, byNameMax } = vendors[type];
    const { listings } = relays.get(type)!;
    assert.ok(listings <= 1, `${type}: ${listings} listings, reading and writing`);
    for (const { asked, read } of first.readings[provider]!) {
      assert.equal(read.length, Math.min(asked.length, byNameMax), `${type}: each is a full round`);
    }
  }
  // Known already, each name is read once and no more.
  const before = new Map([...relays].map(([type, { listings }]) => [type, listings]));
  const { controller, readings } = await startLoop(disk);
  try {
    const ms = await watch(controller);
    const readAt = (provider: string) => new Set(readings[provider]!.flatMap(({ read }) => read));
    await until('every name is read everywhere, after DNS has said it or before', 60_000, () =>
      Object.keys(readings).every((provider) => readAt(provider).size === names),
    );
    for (const type of vendorTypes) {
      const { provider, byNameMax } = vendors[type];
      const all = readings[provider]!;
      const rounds = all.length;
      const calls = all.reduce((sum, one) => sum + one.calls, 0);
      const listings = relays.get(type)!.listings - before.get(type)!;
      t.diagnostic(
        `${type}: ${rounds} rounds, ${calls} calls, of them ${listings} in vain; ` +
          `read again and visible after ${ms} ms`,
      );
      // What DNS says meanwhile, on a slow machine, is no longer urgent, and read in a round of its own.
      assert.ok(rounds <= Math.ceil(names / byNameMax) + 1, `${type}: ${rounds} rounds`);
      assert.ok(listings <= 1, `${type}: ${listings} listings`);
    }
  } finally {
    await controller.stop();
  }
});

test('a switch ordered while a listing takes half a minute is written before that ends', async (t) => {
  const { controller } = await startLoop(newMemoryDisk());
  try {
    await until('all are visible', 60_000, () => isCalm(controller.status()));
    const target = controller.status().records.find((r) => r.name === www)!.targets[1]!;
    // What is doubted is read; while that takes a while, so many more are that all are listed.
    for (const relay of relays.values()) relay.holdMs = { listing: 30_000, other: 2000 };
    for (const record of lab.records.filter(({ name }) => /^r\d/.test(name))) {
      for (const type of vendorTypes) {
        lab.vendors[type].edit(record.name, 'CNAME', 'odd.shop.example.', record.ttl);
      }
    }
    const all = [...relays.values()];
    await until('every vendor is being listed', 60_000, () => all.every((r) => r.held > 0));
    for (const relay of all) relay.holdMs = { listing: 30_000, other: 0 };
    const begun = performance.now();
    const reply = await controller.command({
      kind: 'switch',
      record: www,
      target: target.origin,
      by: 'ann',
      reason: 'because',
      forMs: 3_600_000,
      force: true,
      dryRun: false,
    });
    assert.equal(reply.exit, 0, reply.message);
    const written: Record<string, number> = {};
    await until('written at every vendor', 20_000, () => {
      const record = controller.status().records.find((r) => r.name === www)!;
      for (const { provider, writtenAfterMs } of record.providers) {
        if (writtenAfterMs !== null) written[provider] ??= writtenAfterMs;
      }
      return Object.keys(written).length === all.length;
    });
    t.diagnostic(
      `after the decision, in ms: ${JSON.stringify(written)}; ` +
        `after the order: ${Math.round(performance.now() - begun)} ms`,
    );
  } finally {
    for (const relay of relays.values()) relay.holdMs = { listing: 0, other: 0 };
    await controller.stop();
  }
});
