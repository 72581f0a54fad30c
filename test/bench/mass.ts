// `npm run bench:mass`: an origin dies under 1,000 records, each published at four vendors that
// throttle as the real ones do. Real controller, planner, adapters and probes, a store in memory;
// the vendors stand in a process of their own, so that what is measured here is Detour's. For each
// vendor it prints the calls by kind, the batches, the seconds from the decision to the last record
// written, the least time that its quotas and its own pace allow, and the ratio; and where markers
// come after all CNAMEs, when the last of them stands. It ends with 1 when a goal is missed, and
// never leaves the other process behind.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cpus, loadavg } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { alidns } from '../../providers/alidns.ts';
import { dnspod } from '../../providers/dnspod.ts';
import { fixedKeys } from '../../providers/kit/held.ts';
import { PopApi } from '../../providers/kit/pop.ts';
import { createSingleCoordinator } from '../../src/cluster/single.ts';
import { type Config, parseConfig, printProblem } from '../../src/config/config.ts';
import { Controller } from '../../src/controller.ts';
import { formatMarker } from '../../src/core/marker.ts';
import type { Entry, Marker } from '../../src/core/model.ts';
import type { Capabilities } from '../../src/kit/extend.ts';
import { startAlidns } from '../../src/lab/vendors/alidns.ts';
import { startCloudflare } from '../../src/lab/vendors/cloudflare.ts';
import { startDnspod } from '../../src/lab/vendors/dnspod.ts';
import { startGoogle } from '../../src/lab/vendors/google.ts';
import {
  type GoogleAccount,
  GoogleTokens,
  googleKeyFile,
  newGoogleAccount,
} from '../../src/lab/vendors/google-tokens.ts';
import { startNameserver } from '../../src/lab/vendors/nameserver.ts';
import { startRoute53 } from '../../src/lab/vendors/route53.ts';
import type { Call, LabVendor, VendorType } from '../../src/lab/vendors/vendor.ts';
import { LabZone } from '../../src/lab/vendors/zone.ts';
import { buildAdapters, tables } from '../../src/run/build.ts';
import { createClock } from '../../src/run/clock.ts';
import { newMemoryDisk, openMemoryStore } from '../parts/memory-store.ts';

/** How much slower than the least possible a lane may be. */
const ratioMost = 1.25;
/** The last of 1,000 records is written at Alibaba within this. */
const alibabaMostSeconds = 66;
/** No turn of our own event loop may be this long: a failure that straddles one is no vote. */
const stallMostMs = 300;
/** All is decided within this of the first decision. */
const decidedMostMs = 1_000;
/**
 * Where a quota's burst covers everything, the least time is this process's own work: reading,
 * planning and proving 1,000 records at four vendors, on processors shared with the vendors.
 */
const ownWorkSeconds = 2;
const boundMs = 400_000;

const zone = 'gslb.example.net.';
const origins = { hangzhou: 'hz.shop.example.', tokyo: 'nrt.shop.example.' } as const;
const providers = {
  ...{ r53: 'route53', cf: 'cloudflare', ali: 'alidns', dp: 'dnspod', gdns: 'google' },
} as const;
type ProviderName = keyof typeof providers;

const keys = {
  R53_ID: 'AKIDEXAMPLE',
  R53_SECRET: 'a-secret-of-the-bench',
  CF_TOKEN: 'the-token-of-the-bench-0123456789abcdefg',
  ALI_ID: 'LTAIexample',
  ALI_SECRET: 'a-secret-of-the-bench',
  DP_ID: 'AKIDexample',
  DP_KEY: 'a-secret-of-the-bench',
} as const;

const project = 'detour-bench';

/** What the other process says when it is ready. */
interface Lab {
  readonly google: GoogleAccount;
  readonly vendors: Readonly<Record<VendorType, { api: string; dns: readonly string[] }>>;
  readonly dns: { readonly address: string; readonly port: number };
  readonly origins: Readonly<Record<keyof typeof origins, number>>;
}

type Calls = Record<VendorType, Record<string, number>>;

function nameOf(i: number): string {
  return `r${String(i + 1).padStart(4, '0')}.${zone}`;
}

function markerOf(epoch: number, target: string): Marker {
  const rest = { term: 1, kind: 'auto', target, pinMs: null, pinned: false } as const;
  return { cluster: 'bench', epoch, id: 'b'.repeat(16), ...rest };
}

// ---------------------------------------------------------------- the other process

/** Vendors with every record adopted on the first origin, the origins, and a root. */
async function serveLab(count: number): Promise<void> {
  const google = newGoogleAccount(project);
  const vendors = await startVendors(count, google);
  const rrsets = Object.values(origins).map((name) => {
    return { name, type: 'A', ttl: 3600, values: ['127.0.0.1'] };
  });
  const root = new LabZone({ name: '.', nameServers: ['ns.example.'], rrsets });
  const dns = await startNameserver({ address: '127.0.0.1', port: 0, zones: () => [root] });
  const ports: Record<string, number> = {};
  const kill: Record<string, () => void> = {};
  for (const origin of Object.keys(origins)) {
    const server = createServer((_, response) => response.end('ok'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ports[origin] = (server.address() as AddressInfo).port;
    kill[origin] = () => {
      server.close();
      server.closeAllConnections();
    };
  }
  const callsSince = counting(vendors);
  process.on('message', (what) => {
    if (what === 'calls') process.send!(callsSince());
    else kill[String(what)]?.();
  });
  // Whoever started this process is gone: nothing is left to do here.
  process.on('disconnect', () => process.exit(0));
  const places = Object.values(vendors).map((v) => [v.type, { api: v.api, dns: v.dns }] as const);
  const place = { address: dns.address, port: dns.port };
  process.send!({ google, vendors: Object.fromEntries(places), dns: place, origins: ports });
}

async function startVendors(
  count: number,
  google: GoogleAccount,
): Promise<Record<VendorType, LabVendor>> {
  const names = Array.from({ length: count }, (_, i) => nameOf(i));
  const { id } = markerOf(1, 'hangzhou');
  const text = `"${formatMarker(markerOf(1, 'hangzhou'))}"`;
  const records = names.flatMap((name) => [
    { name, type: 'CNAME', ttl: 60, value: origins.hangzhou },
    { name: `_detour.${name}`, type: 'TXT', ttl: 60, value: text },
  ]);
  const claims = names.map((name) => {
    return { name: `_detour-epoch.${name}`, type: 'TXT', ttl: 60, value: `"epoch=1 id=${id}"` };
  });
  const scratch = { name: `pace.${zone}`, type: 'TXT', ttl: 60, value: '"0"' };
  const shared = {
    address: '127.0.0.1',
    dnsAddresses: ['127.0.0.1', '127.0.0.2'],
    dnsPort: 0,
    quotas: 'real' as const,
  };
  const holding = (more: typeof records) => {
    return [{ name: zone, records: [...records, ...more], settings: { plan: 'pro' as const } }];
  };
  const { R53_ID, R53_SECRET, CF_TOKEN, ALI_ID, ALI_SECRET, DP_ID, DP_KEY } = keys;
  const [amazon, alibaba] = [
    { accessKeyId: R53_ID, secretAccessKey: R53_SECRET },
    { accessKeyId: ALI_ID, accessKeySecret: ALI_SECRET },
  ];
  return {
    route53: await startRoute53({ ...shared, zones: holding([]), credentials: amazon }),
    cloudflare: await startCloudflare({
      ...shared,
      zones: holding([]),
      credentials: { apiToken: CF_TOKEN },
    }),
    alidns: await startAlidns({
      ...shared,
      zones: holding([...claims, scratch]),
      ttlMin: 60,
      credentials: alibaba,
    }),
    dnspod: await startDnspod({
      ...shared,
      zones: holding([]),
      ttlMin: 60,
      indexLagMs: 30_000,
      credentials: { secretId: DP_ID, secretKey: DP_KEY },
    }),
    google: await startGoogle({
      ...shared,
      zones: holding([]),
      credentials: { project, tokens: new GoogleTokens(google) },
    }),
  };
}

/** Calls since the last time, by vendor and kind; the vendors' own logs forget the oldest. */
function counting(vendors: Record<VendorType, LabVendor>): () => Calls {
  const kinds: Calls = { route53: {}, cloudflare: {}, alidns: {}, dnspod: {}, google: {} };
  const last = new Map<VendorType, Call>();
  const collect = () => {
    for (const [type, { calls }] of Object.entries(vendors) as [VendorType, LabVendor][]) {
      const seen = last.get(type);
      const from = seen === undefined ? 0 : calls.lastIndexOf(seen) + 1;
      for (const { operation, status } of calls.slice(from)) {
        const kind = status === 200 ? operation : `${operation} REFUSED ${status}`;
        kinds[type][kind] = (kinds[type][kind] ?? 0) + 1;
      }
      const newest = calls.at(-1);
      if (newest !== undefined) last.set(type, newest);
    }
  };
  setInterval(collect, 1000).unref();
  return () => {
    collect();
    const now = structuredClone(kinds);
    for (const type of Object.keys(kinds)) kinds[type as VendorType] = {};
    return now;
  };
}

// ---------------------------------------------------------------- this process

function configuration(lab: Lab, count: number): Config {
  const common = (type: VendorType) => {
    const { api, dns } = lab.vendors[type];
    return `zone: ${zone}, endpoint: "${api}", nameservers: ${JSON.stringify(dns)}`;
  };
  const check = (origin: keyof typeof origins) => {
    const http = `"http://127.0.0.1:${lab.origins[origin]}/"`;
    return `checks: { web: { http: ${http}, expect: { status: 200 } } }`;
  };
  const text = `
cluster: bench
providers:
  r53: { type: route53, ${common('route53')},
    credentials: { accessKeyId: { env: R53_ID }, secretAccessKey: { env: R53_SECRET } } }
  cf: { type: cloudflare, apiToken: { env: CF_TOKEN }, ${common('cloudflare')} }
  ali: { type: alidns, ${common('alidns')},
    accessKeyId: { env: ALI_ID }, accessKeySecret: { env: ALI_SECRET } }
  dp: { type: dnspod, ${common('dnspod')}, secretId: { env: DP_ID }, secretKey: { env: DP_KEY } }
  gdns: { type: google, project: ${project}, ${common('google')},
    credentials: { serviceAccount: { env: GOOGLE_KEY } } }
dns: { port: ${lab.dns.port}, roots: ["${lab.dns.address}"] }
clouds: { aliyun: {}, aws: {} }
origins:
  hangzhou: { cloud: aliyun, ${check('hangzhou')} }
  tokyo: { cloud: aws, ${check('tokyo')} }
policy: { interval: 1s, timeout: 1s, confirm: 250ms, fall: 3, rise: 2, patience: 0s }
records:
${Array.from({ length: count }, (_, i) => record(nameOf(i))).join('\n')}
`;
  const parsed = parseConfig(text, 'bench.yaml', tables);
  if (!parsed.ok) throw new Error(parsed.problems.map(printProblem).join('\n'));
  return parsed.config;
}

function record(name: string): string {
  const targets = Object.entries(origins).map(([o, cname]) => `{ origin: ${o}, cname: ${cname} }`);
  const list = targets.join(', ');
  return `  ${name}: { ttl: 60, publish: [r53, cf, ali, dp, gdns], mode: steer, targets: [${list}] }`;
}

/** What the store remembers: every record decided long ago, on the first origin. */
function remembered(count: number) {
  const disk = newMemoryDisk();
  const times = { decidedAt: 1, endedAt: 1, quietSinceAt: 1 };
  const force = { target: 'hangzhou', cname: origins.hangzhou };
  const doc = { ...force, marker: markerOf(1, 'hangzhou'), epochMax: 1, ...times };
  for (let i = 0; i < count; i++) disk.docs.set(`record/${nameOf(i)}`, JSON.stringify(doc));
  return openMemoryStore(disk);
}

/** Milliseconds in which Alibaba's API takes one write after another, from anybody: the median. */
async function paceOf(api: string): Promise<number> {
  const pop = new PopApi({
    base: api,
    version: '2015-01-09',
    keys: fixedKeys(
      'static',
      { keys: { accessKeyId: keys.ALI_ID, accessKeySecret: keys.ALI_SECRET }, untilAt: null },
      [],
    ),
    timeoutMs: 5000,
    context: {},
  });
  try {
    const signal = AbortSignal.timeout(30_000);
    const asked = { about: 'the scratch record', write: false };
    const where = { DomainName: zone.slice(0, -1), SubDomain: `pace.${zone.slice(0, -1)}` };
    const found = await pop.call({ ...asked, action: 'DescribeSubDomainRecords' }, where, signal);
    if (!found.ok) throw new Error(found.fault.detail);
    const { Record } = found.value['DomainRecords'] as { Record: { RecordId: string }[] };
    const { RecordId } = Record[0]!;
    const took: number[] = [];
    for (let i = 1; i <= 41; i++) {
      const begin = performance.now();
      const values = { RecordId, RR: 'pace', Type: 'TXT', Value: String(i), TTL: 60 };
      const put = await pop.call({ ...asked, action: 'UpdateDomainRecord' }, values, signal);
      if (!put.ok) throw new Error(put.fault.detail);
      took.push(performance.now() - begin);
    }
    return took.sort((a, b) => a - b)[20]!;
  } finally {
    pop.close();
  }
}

/** The longest turn of our event loop: in time, and in processor time of this thread alone. */
function watchTurns(): { take(): { wallMs: number; ownMs: number }; stop(): void } {
  const beatMs = 10;
  let longest = { wallMs: 0, ownMs: 0 };
  let last = { at: performance.now(), cpu: process.threadCpuUsage() };
  const timer = setInterval(() => {
    const at = performance.now();
    const used = process.threadCpuUsage(last.cpu);
    const ownMs = Math.min(at - last.at, (used.user + used.system) / 1000);
    longest = {
      wallMs: Math.max(longest.wallMs, at - last.at - beatMs),
      ownMs: Math.max(longest.ownMs, ownMs),
    };
    last = { at, cpu: process.threadCpuUsage() };
  }, beatMs);
  return {
    take() {
      const taken = longest;
      longest = { wallMs: 0, ownMs: 0 };
      return taken;
    },
    stop: () => clearInterval(timer),
  };
}

/** What a record costs until it gives the new answer, where its marker comes later. */
const brief: Readonly<Partial<Record<ProviderName, Capabilities['eachRecord']>>> = {
  ali: alidns.capabilities.eachRecord,
  dp: dnspod.capabilities.eachRecord,
};

/** The fewest writes each vendor can do it with, by its published limits, its markers included. */
function fewestWrites(count: number): Record<ProviderName, number> {
  const markers = [markerOf(1, 'hangzhou'), markerOf(2, 'tokyo')].map(formatMarker);
  const texts = markers.reduce((sum, text) => sum + text.length + 2, 0);
  const characters = origins.hangzhou.length + origins.tokyo.length + texts;
  // A record is four elements: CNAME and marker, each deleted and created; 1,000 in a batch, and
  // 32,000 characters.
  const perBatch = Math.min(250, Math.floor(32_000 / characters));
  return {
    r53: Math.ceil(count / perBatch),
    // Three operations a record, and 3,500 in a batch of a paid plan.
    cf: Math.ceil(count / Math.floor(3500 / 3)),
    // Claim the epoch, change CNAME and marker, delete the old claim.
    ali: 4 * count,
    // The same, and the claim of its own that is over.
    dp: 4 * count,
    // Two sets a record either way, 1,000 in a change, and 100,000 bytes of values.
    gdns: Math.ceil(count / Math.min(500, Math.floor(100_000 / characters))),
  };
}

const writes: Readonly<Record<ProviderName, readonly string[]>> = {
  r53: ['ChangeResourceRecordSets'],
  cf: ['dns.records.batch'],
  ali: ['AddDomainRecord', 'UpdateDomainRecord', 'DeleteDomainRecord'],
  dp: ['CreateRecord', 'ModifyRecord', 'DeleteRecord'],
  gdns: ['dns.changes.create'],
};

interface Measured {
  readonly calls: Calls;
  readonly seconds: Record<ProviderName, number>;
  readonly visibleSeconds: Record<ProviderName, number>;
  /** Until the last marker stands. */
  readonly settledSeconds: Record<ProviderName, number>;
  readonly decidedMs: number;
  readonly turns: { wallMs: number; ownMs: number };
  readonly paceMs: number;
  readonly troubles: readonly string[];
}

async function measure(child: ChildProcess, lab: Lab, count: number): Promise<Measured> {
  const config = configuration(lab, count);
  const clock = createClock(0);
  const entries: { readonly at: number; readonly entry: Entry }[] = [];
  const troubles: string[] = [];
  const of = (kind: string, provider?: ProviderName) =>
    entries
      .filter((e) => e.entry.kind === kind)
      .filter((e) => provider === undefined || placeOf(e.entry) === provider)
      .map((e) => e.at);
  const before = await paceOf(lab.vendors.alidns.api);
  const controller = new Controller(
    config.core,
    buildAdapters(config, clock, { remember: false }),
    {
      clock,
      store: remembered(count),
      coordinator: createSingleCoordinator(1),
      observers: [
        {
          journalled: (entry) => void entries.push({ at: performance.now(), entry }),
          trouble: (what, detail) => void troubles.push(`${what}: ${detail}`),
        },
      ],
      seed: [1, 2, 3, 4],
      version: 'bench',
    },
  );
  const turns = watchTurns();
  try {
    controller.start();
    await until('every record is read and in step', () =>
      controller.status().records.every((r) => r.providers.every((p) => p.stage === 'visible')),
    );
    const atStart = await say<Calls>(child, 'calls');
    const start = turns.take();
    console.log(`a start with ${count} records: ${count} names read at each vendor:`);
    for (const [type, kinds] of Object.entries(atStart)) console.log(`  ${type}: ${print(kinds)}`);
    console.log(`  longest turn of our own: ${start.ownMs.toFixed(0)} ms of processor time`);
    // The quotas refill, as they would have before an outage.
    await pause(8_000);
    await say<Calls>(child, 'calls');
    turns.take();
    child.send('hangzhou');
    await until('all is decided', () => of('switch').length === count);
    const decided = of('switch');
    const names = Object.keys(providers) as ProviderName[];
    for (const name of names) {
      await until(`${name} is visible`, () => of('visible', name).length >= count);
    }
    const settledSeconds = Object.fromEntries(names.map((name) => [name, 0]));
    for (const name of names) {
      const isSettled = () =>
        controller
          .status()
          .records.every((r) => r.providers.some((p) => p.provider === name && p.epoch === 2));
      await until(`${name} has all markers`, isSettled);
      settledSeconds[name] = (performance.now() - decided[0]!) / 1000;
    }
    // The claims that are over go last.
    await pause(3_000);
    const since = (kind: string) =>
      Object.fromEntries(
        names.map((name) => [name, (of(kind, name).at(-1)! - decided[0]!) / 1000]),
      ) as Record<ProviderName, number>;
    const calls = await say<Calls>(child, 'calls');
    const longest = turns.take();
    return {
      calls,
      seconds: since('written'),
      visibleSeconds: since('visible'),
      settledSeconds: settledSeconds as Record<ProviderName, number>,
      decidedMs: decided.at(-1)! - decided[0]!,
      turns: longest,
      // Before and after, because this machine is seldom ours alone.
      paceMs: (before + (await paceOf(lab.vendors.alidns.api))) / 2,
      troubles,
    };
  } finally {
    turns.stop();
    await controller.stop();
  }
}

function placeOf(entry: Entry): unknown {
  return (entry.data as { readonly provider?: unknown }).provider;
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + boundMs;
  while (!holds()) {
    if (performance.now() > giveUpAt) throw new Error(`${what}: not within ${boundMs} ms`);
    await pause(500);
  }
}

async function say<T>(child: ChildProcess, what: string): Promise<T> {
  const answered = once(child, 'message') as Promise<[T]>;
  child.send(what);
  return (await answered)[0];
}

/** Prints what was measured against the goals; the goals that were missed. */
function judge(m: Measured, config: Config, count: number): string[] {
  const missed: string[] = [];
  const goal = (holds: boolean, what: string) => {
    if (!holds) missed.push(what);
  };
  const fewest = fewestWrites(count);
  console.log(`\nthe origin dies: ${count} records decided within ${m.decidedMs.toFixed(0)} ms`);
  goal(m.decidedMs <= decidedMostMs, `all decided within ${decidedMostMs} ms`);
  for (const [name, type] of Object.entries(providers) as [ProviderName, VendorType][]) {
    const kinds = m.calls[type];
    const calls = Object.values(kinds).reduce((sum, n) => sum + n, 0);
    const wrote = writes[name].reduce((sum, kind) => sum + (kinds[kind] ?? 0), 0);
    const { quota } = config.core.lanes[name]!;
    const first = brief[name];
    const due = first === undefined ? calls : first.calls * count;
    const quotaSeconds = Math.max(0, due - quota.burst) / quota.perSecond;
    const paced = name === 'ali' ? first!.writes * count : 0;
    const paceSeconds = (paced * m.paceMs) / 1000;
    const floor = Math.max(quotaSeconds, paceSeconds, ownWorkSeconds);
    const why =
      floor === ownWorkSeconds
        ? 'its burst covers it: our own work'
        : floor === quotaSeconds
          ? `${quota.burst} calls at once, then ${quota.perSecond}/s`
          : `${paced} writes, one after another, ${m.paceMs.toFixed(1)} ms each`;
    const ratio = m.seconds[name] / floor;
    const seen = m.visibleSeconds[name].toFixed(1);
    console.log(`${type}: ${calls} calls: ${print(kinds)}`);
    console.log(`  ${wrote} writes, the fewest possible: ${fewest[name]}`);
    console.log(
      `  written after ${m.seconds[name].toFixed(1)} s, visible after ${seen} s; ` +
        `the least: ${floor.toFixed(1)} s (${why}); ratio ${ratio.toFixed(2)}`,
    );
    if (first !== undefined) {
      const settled = m.settledSeconds[name].toFixed(1);
      console.log(`  ${first.writes} writes a record until then; its markers after ${settled} s`);
    }
    if (name === 'ali') {
      const most = (alibabaMostSeconds * count) / 1000;
      goal(m.seconds.ali <= most, `${type} written within ${most.toFixed(0)} s`);
    }
    goal(wrote === fewest[name], `${type} in ${fewest[name]} writes`);
    goal(ratio <= ratioMost, `${type} within ${ratioMost} x of the least`);
    goal(!Object.keys(kinds).some((k) => k.includes('REFUSED')), `${type} refuses no call`);
  }
  const { ownMs, wallMs } = m.turns;
  console.log(
    `longest turn of our own: ${ownMs.toFixed(0)} ms of processor time ` +
      `(${wallMs.toFixed(0)} ms with what else this machine did)`,
  );
  goal(ownMs <= stallMostMs, `no turn of our own over ${stallMostMs} ms`);
  goal(m.troubles.length === 0, `no trouble (${m.troubles[0]})`);
  return missed;
}

function print(kinds: Readonly<Record<string, number>>): string {
  const list = Object.entries(kinds).map(([kind, n]) => `${n} ${kind}`);
  return list.join(', ') || 'none';
}

async function main(count: number): Promise<number> {
  Object.assign(process.env, keys);
  console.log(
    `machine: ${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}, ` +
      `load ${loadavg()[0]!.toFixed(1)} before the start`,
  );
  const child = fork(import.meta.filename, ['--records', String(count), '--lab']);
  try {
    const [lab] = (await once(child, 'message')) as [Lab];
    process.env.GOOGLE_KEY = googleKeyFile(project, lab.google, 'https://oauth2.googleapis.com');
    const missed = judge(await measure(child, lab, count), configuration(lab, count), count);
    console.log(missed.length === 0 ? 'goals: met' : `goals MISSED: ${missed.join('; ')}`);
    return missed.length === 0 ? 0 : 1;
  } finally {
    const gone = once(child, 'exit');
    child.disconnect();
    await gone;
  }
}

const { values: options } = parseArgs({
  options: { records: { type: 'string', default: '1000' }, lab: { type: 'boolean' } },
});
if (options.lab) await serveLab(Number(options.records));
else process.exitCode = await main(Number(options.records));
