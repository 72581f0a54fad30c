// A world for the audit, on loopback: a root, two vendors' name servers, and providers of the tests'
// own making. One that is given nothing is sound; a test breaks one thing in it.

import assert from 'node:assert/strict';
import type { Answer } from 'dns-packet';
import { type Auditor, createAuditor } from '../../src/audit/audit.ts';
import type { Surroundings, Visits } from '../../src/audit/run.ts';
import type { AuditFinding, AuditReport } from '../../src/core/audit.ts';
import type { Name, RecordConfig, Survey } from '../../src/core/model.ts';
import type { StatusView } from '../../src/core/view.ts';
import { createResolver } from '../../src/dns/resolver.ts';
import { createVerifier } from '../../src/dns/verify.ts';
import type { Resource } from '../../src/dns/wire.ts';
import type { KeyFacts, Provider, ReachingFinding } from '../../src/kit/extend.ts';
import {
  type Asked,
  type Reply,
  rcode,
  rr,
  serveZones,
  startNameservers,
} from '../parts/nameserver.ts';

export const zone = 'gslb.example.net.';
export const www = `www.${zone}`;
const businessZone = 'shop-front.test.';
const targetZone = 'origins.test.';
/** What users type. */
export const typed = `www.${businessZone}`;
export const [root, cfAt, r53At] = ['127.0.0.41', '127.0.0.42', '127.0.0.43'];

export type Key = Extract<Resource, { type: 'DNSKEY' }>;
export type Ds = Extract<Resource, { type: 'DS' }>;

/** What is so in the world of one test; the one that is given is sound. */
export interface World {
  readonly records: readonly RecordConfig[];
  /** NS set of the zone at its parent. */
  readonly delegated: readonly string[];
  readonly parentTtl: number;
  readonly ds: readonly Ds[];
  /** Lines of the zone at each provider; null is silence. */
  readonly served: Readonly<Record<string, readonly string[] | null>>;
  readonly keys: Readonly<Record<string, readonly Key[] | null>>;
  readonly signers: Readonly<Record<string, readonly number[]>>;
  readonly negative: Readonly<Record<string, number>>;
  /** More of the root zone: hosts, other zones. */
  readonly root: readonly string[];
  readonly preflights: Readonly<Record<string, readonly ReachingFinding[]>>;
  /** Providers whose API is down. */
  readonly down: readonly string[];
  /** What each provider says of its key; nothing unless given. */
  readonly shown: Readonly<Record<string, KeyFacts>>;
  readonly hosts: Readonly<Record<string, readonly string[]>>;
  /** Whom a provider is judged by, where that is not as its zone says. */
  readonly judged: Readonly<Record<string, readonly string[]>>;
  /** Of the zone's start, where each server has its own. */
  readonly serial: Readonly<Record<string, number>>;
  /** How a name that is missing in the zone is answered for. */
  readonly denial: Readonly<Record<string, 'plain' | 'unproven' | 'answered'>>;
  /** The zone of the names that users type: its NS set, and its lines at each provider. */
  readonly business: {
    readonly ns: readonly string[];
    readonly lines: Readonly<Record<string, readonly string[]>>;
  };
  /** The zone of targets with names of their own, `origins.test.`: its lines, all at one provider. */
  readonly targets?: readonly string[];
  /** Of one exchange; short where a server is to stay silent, unless given. */
  readonly timeoutMs?: number;
}

export function recordAt(
  name: Name,
  providers: readonly string[],
  more: Partial<RecordConfig> & { readonly objectiveMs?: number } = {},
) {
  return {
    name,
    mode: 'steer',
    targets: [
      { origin: 'hangzhou', cname: 'hz.shop.test.' },
      { origin: 'tokyo', cname: 'nrt.shop.test.' },
    ],
    publish: providers.map((provider) => ({ provider, ttl: 60 })),
    patienceMs: 0,
    failback: { kind: 'manual' },
    switchesPerHour: 3,
    edits: 'hold',
    ...more,
  } satisfies RecordConfig;
}

export const ns = ['ns1.cf.test.', 'ns1.r53.test.'];
export const lines = (...more: string[]) => [...ns.map((n) => `${zone} 3600 NS ${n}`), ...more];

export const sound: World = {
  records: [recordAt(www, ['cf', 'r53'])],
  delegated: ns,
  parentTtl: 3600,
  ds: [],
  served: {
    cf: lines(`${www} 60 CNAME hz.shop.test.`),
    r53: lines(`${www} 60 CNAME hz.shop.test.`),
  },
  keys: { cf: [], r53: [] },
  signers: { cf: [], r53: [] },
  negative: { cf: 60, r53: 60 },
  root: [],
  preflights: {},
  down: [],
  shown: {},
  hosts: { cf: ['ns1.cf.test'], r53: ['ns1.r53.test'] },
  judged: {},
  serial: {},
  denial: {},
  business: { ns, lines: bothLead(`${typed} 3600 CNAME ${www}`) },
};

/** The business zone with the same lines at both providers. */
export function bothLead(...all: readonly string[]): World['business']['lines'] {
  const lines = [...ns.map((n) => `${businessZone} 3600 NS ${n}`), ...all];
  return { cf: lines, r53: lines };
}

function soa(name: Name, minimum: number, serial = 1, ttl = 3600): Answer {
  const data = { mname: 'ns.', rname: 'h.', serial, refresh: 1, retry: 1, expire: 1, minimum };
  return { name, ttl, type: 'SOA', data };
}

function respond(world: World, provider: string) {
  const plain = serveZones({
    [zone]: world.served[provider] ?? [],
    [businessZone]: world.business.lines[provider] ?? [],
    ...(world.targets && provider === 'cf' ? { [targetZone]: world.targets } : {}),
  });
  return (asked: Asked, build: (reply: Reply) => Buffer) => {
    if (world.served[provider] === null) return null;
    if (asked.name.startsWith('detour-audit-') && asked.name.endsWith(zone)) {
      const denial = world.denial[provider] ?? 'plain';
      if (denial === 'answered') return { answers: [rr(`${asked.name} 60 A 127.0.0.9`)] };
      // As one that speaks EDNS and has nothing to prove it by.
      if (denial === 'unproven') return { rcode: rcode.nxDomain, additionals: [edns] };
    }
    if (asked.name !== zone) return plain(asked, build);
    if (asked.type === 'SOA') {
      const signatures = world.signers[provider]!.map(signature);
      const start = soa(zone, world.negative[provider]!, world.serial[provider]);
      return { answers: [start, ...signatures] };
    }
    if (asked.type === 'DNSKEY') {
      const keys = world.keys[provider];
      return keys === null ? null : { answers: (keys ?? []).map(keyRecord) };
    }
    return plain(asked, build);
  };
}

const edns = {
  name: '.',
  type: 'OPT',
  udpPayloadSize: 1232,
  flags: 0,
  options: [],
} as unknown as Answer;

function signature(keyTag: number): Answer {
  const data = {
    typeCovered: 'SOA',
    algorithm: 13,
    labels: 3,
    originalTTL: 3600,
    expiration: 2_000_000_000,
    inception: 1_700_000_000,
    keyTag,
    signersName: zone.slice(0, -1),
    signature: Buffer.alloc(64, 7),
  };
  return { name: zone, ttl: 60, type: 'RRSIG', data } as unknown as Answer;
}

function keyRecord({ flags, algorithm, key }: Key): Answer {
  const data = { flags, algorithm, key: Buffer.from(key) };
  return { name: zone, ttl: 60, type: 'DNSKEY', data } as unknown as Answer;
}

function provider(name: string, world: World): Provider {
  const down = world.down.includes(name);
  const fault = { kind: 'unavailable', detail: `${name} does not answer` } as const;
  const reach = { kind: 'account' } as const;
  const unreached: ReachingFinding = {
    reach,
    word: 'reach',
    severity: 'bad',
    sentence: fault.detail,
    cure: null,
  };
  return {
    name,
    capabilities: {
      writeMax: 100,
      quota: { burst: 100, perSecond: 100, reserve: 10 },
    } as Provider['capabilities'],
    zone: async () =>
      down
        ? { ok: false, fault }
        : {
            ok: true,
            value: { zone, nameServers: world.hosts[name]!, ttlMin: null, warnings: [] },
          },
    calls: 0,
    read: async (names) =>
      Object.fromEntries(names.map((one) => [one, { kind: 'fault', fault, reach } as const])),
    write: async () => [],
    preflight: async () => (down ? [unreached] : (world.preflights[name] ?? [])),
    ...(world.shown[name] === undefined ? {} : { key: () => world.shown[name]! }),
    close: () => {},
  };
}

/** An auditor in a world like the sound one, but for what is given. */
export async function audited(
  change: Partial<World>,
  options: {
    status?: StatusView;
    previous?: AuditReport;
    limitMs?: number;
    surroundings?: Surroundings;
    visits?: Visits;
    wall?: number;
  } = {},
): Promise<AuditReport> {
  const world = { ...sound, ...change };
  const registry = serveZones({
    '.': [
      ...world.delegated.map((host) => `${zone} ${world.parentTtl} NS ${host}`),
      `ns1.cf.test. 60 A ${cfAt}`,
      `ns1.r53.test. 60 A ${r53At}`,
      'hz.shop.test. 60 A 127.0.0.9',
      'nrt.shop.test. 60 A 127.0.0.9',
      ...world.business.ns.map((host) => `${businessZone} 3600 NS ${host}`),
      ...(world.targets ? [`${targetZone} 3600 NS ns1.cf.test.`] : []),
      ...world.root,
    ],
  });
  const { port, at } = await startNameservers({
    [root]: (asked, build) =>
      asked.type === 'DS' && asked.name === zone
        ? {
            answers: world.ds.map(
              (data) =>
                ({ ...rr(`${zone} 60 A 127.0.0.1`), type: 'DS', data }) as unknown as Answer,
            ),
          }
        : registry(asked, build),
    [cfAt]: respond(world, 'cf'),
    [r53At]: respond(world, 'r53'),
  });
  const clock = { now: () => performance.now(), wall: () => options.wall ?? 1_700_000_000_000 };
  // Short only where a server is to stay silent: elsewhere a busy machine must not decide.
  const silent = Object.values(world.served).includes(null) || world.root.length > 0;
  const short = silent || Object.values(world.keys).includes(null);
  const timeoutMs = world.timeoutMs ?? (short ? 300 : 5000);
  const resolver = createResolver({ roots: [root], port, timeoutMs, clock });
  const servers = async (name: string) => world.judged[name] ?? world.hosts[name] ?? [];
  const verifier = createVerifier({ servers, resolver, port, timeoutMs });
  const auditor: Auditor = createAuditor({
    records: Object.fromEntries(world.records.map((r) => [r.name, r])),
    providers: { cf: provider('cf', world), r53: provider('r53', world) },
    ...{ servers, resolver, verifier, texts: verifier.texts, clock, port, timeoutMs },
    againMs: 20,
    ...(options.limitMs === undefined ? {} : { limitMs: options.limitMs }),
    ...(options.surroundings === undefined ? {} : { surroundings: options.surroundings }),
    ...(options.visits === undefined ? {} : { visits: options.visits }),
  });
  try {
    const { status = null, previous = null } = options;
    return await auditor.audit(AbortSignal.timeout(60_000), { status, previous });
  } finally {
    verifier.close();
    resolver.close();
    await Promise.all(Object.values(at).map((server) => server.close()));
  }
}

export function found(
  report: AuditReport,
  word: string,
  more: Partial<AuditFinding> = {},
): AuditFinding {
  const same = report.findings.filter(
    (f) =>
      f.word === word &&
      Object.entries(more).every(([key, value]) => f[key as keyof AuditFinding] === value),
  );
  assert.ok(same.length > 0, `${word} ${JSON.stringify(more)} in ${say(report)}`);
  return same[0]!;
}

export function say(report: AuditReport): string {
  return report.findings.map((f) => `\n${f.severity} ${f.word} ${f.sentence}`).join('');
}

export function noneOf(report: AuditReport, ...severities: string[]): void {
  const odd = report.findings.filter((f) => severities.includes(f.severity));
  assert.deepEqual(odd, []);
}

export function survey(report: AuditReport, name: string, record = www): Survey {
  return report.surveys.find((s) => s.provider === name && s.record === record)!;
}
