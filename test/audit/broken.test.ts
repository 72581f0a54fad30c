// Set-ups that are broken on purpose, one thing in each: the audit must find that thing, say it with
// the cure that helps, and grade it; and the same set-up with nothing broken is an A in every area.
// The world is that of world.ts, on loopback; `npm run audits` does the like with the lab's vendors.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import { rootCertificates } from 'node:tls';
import { networkOf, operatorOf } from '../../src/audit/hands.ts';
import type { Need, Surroundings } from '../../src/audit/run.ts';
import { type AuditArea, type AuditReport, gradesOf, isAsBadAs } from '../../src/core/audit.ts';
import type { FindingWord, Severity } from '../../src/core/model.ts';
import type { StatusView } from '../../src/core/view.ts';
import type { KeyFacts, ReachingFinding } from '../../src/kit/extend.ts';
import { sampleView } from '../cli/desk.ts';
import {
  audited,
  bothLead,
  cfAt,
  found,
  lines,
  ns,
  r53At,
  recordAt,
  say,
  sound,
  typed,
  type World,
  www,
  zone,
} from './world.ts';

type Options = NonNullable<Parameters<typeof audited>[1]>;

const dayMs = 86_400_000;
const [pem] = rootCertificates as [string];
const end = new X509Certificate(pem).validToDate.getTime();

function need(what: string, kind: string, host: string | null, more: Partial<Need> = {}): Need {
  return { what, kind, host, cloud: null, enough: 'one', ...more };
}

const etcd = (...hosts: readonly string[]) =>
  hosts.map((host) => need(`the member ${host} of etcd`, 'etcd', host, { enough: 'majority' }));

const now = 1_700_000_000_000;
const hourMs = 3_600_000;

/** A key that a token service somewhere renews, in good order but for what is given. */
function shown(more: Partial<KeyFacts>): KeyFacts {
  const held = { untilAt: now + 11 * hourMs, lastsMs: 10 * hourMs, why: null, failures: 0 };
  return { kind: 'assume-role', needs: ['sts.elsewhere.test'], ...held, ...more };
}

function brought(untilAt: number | null): KeyFacts {
  return { kind: 'session-token', needs: [], untilAt, why: null };
}

function around(more: Partial<Surroundings> = {}): Surroundings {
  return {
    needs: [
      need('the resolver 198.51.100.53', 'resolver', '198.51.100.53'),
      ...etcd('198.51.100.1', '198.51.101.1', '198.51.102.1'),
      need('the API of cf', 'provider', '198.51.100.8', { provider: 'cf' }),
      need('the API of r53', 'provider', '198.51.101.8', { provider: 'r53' }),
    ],
    endings: [{ what: 'the certificate etcd.pem', read: () => ({ pem }) }],
    clouds: { hangzhou: 'aliyun', tokyo: 'nimbus' },
    addresses: {},
    operators: { cf: null, r53: null },
    regions: { hangzhou: 'cn-hangzhou' },
    vendorClouds: {},
    ...more,
  };
}

const canary = { drill: 'canary', name: 'cf' };
const passed = { last: [{ ...canary, result: 'passed', sentence: '' }], overdue: [] };

function statusWith(more: object = {}): StatusView {
  return { ...sampleView(), records: [], drills: passed, ...more } as unknown as StatusView;
}

const steered = recordAt(www, ['cf', 'r53'], { names: [typed], objectiveMs: 90_000 });

const keys = ['cure', 'provider', 'record', 'sentence', 'severity', 'word', 'zone'];

/** The same with another objective. */
const within = (objectiveMs: number) => ({ records: [{ ...steered, ...{ objectiveMs } }] });

/** The sound set-up, with one thing in it changed. */
function look(change: Partial<World> = {}, options: Options = {}): Promise<AuditReport> {
  return audited(
    { records: [steered], timeoutMs: 5000, ...change },
    { status: statusWith(), surroundings: around(), ...options },
  );
}

function finding(word: FindingWord, severity: Severity): ReachingFinding {
  return { reach: { kind: 'record' }, word, severity, sentence: 'as the vendor says', cure: 'x' };
}

interface Row {
  readonly name: string;
  readonly change?: Partial<World>;
  readonly options?: Options;
  readonly word: FindingWord;
  readonly severity: Severity;
  readonly says: RegExp;
  readonly cure: RegExp | null;
  readonly area: AuditArea;
  /** What follows from the same thing. */
  readonly also?: readonly FindingWord[];
}

const ds = { name: zone, ttl: 60, type: 'DS', keyTag: 1, algorithm: 13, digestType: 99 } as const;
const key = {
  ...({ name: zone, ttl: 60, type: 'DNSKEY', flags: 256, algorithm: 13 } as const),
  key: Buffer.alloc(64, 2),
};
const alpha = ['ns.alpha.test', 'ns.beta.test'] as const;

/** Both vendors by hosts of other names, at these addresses. */
function hostedAt(hosts: readonly [string, string], addresses: readonly [string, string]) {
  return {
    delegated: hosts.map((host) => `${host}.`),
    hosts: { cf: [hosts[0]], r53: [hosts[1]] },
    judged: { cf: [cfAt], r53: [r53At] },
    root: hosts.map((host, i) => `${host}. 60 A ${addresses[i]}`),
    served: Object.fromEntries(
      Object.entries(sound.served).map(([name, all]) => [
        name,
        [...hosts.map((host) => `${zone} 3600 NS ${host}.`), all!.at(-1)!],
      ]),
    ),
  };
}

const rows: readonly Row[] = [
  {
    name: 'a vendor is left out of the delegation',
    also: ['left-behind'],
    change: { delegated: ['ns1.cf.test.'] },
    ...{ word: 'delegation', severity: 'bad', area: 'delegation' },
    ...{ says: /r53 is not in the delegation/, cure: /add ns1\.r53\.test\. to the NS set/ },
  },
  {
    name: 'servers of nobody stand in the delegation',
    also: ['ns-set'],
    change: { delegated: [...ns, 'ns.old.test.'] },
    ...{ word: 'delegation', severity: 'bad', area: 'delegation' },
    ...{ says: /ns\.old\.test\.,? which no provider.* 33 %/, cure: /take them out at the parent/ },
  },
  {
    name: 'one vendor has most of the resolvers',
    change: {
      delegated: [...ns, 'ns2.cf.test.', 'ns3.cf.test.'],
      hosts: { ...sound.hosts, cf: ['ns1.cf.test', 'ns2.cf.test', 'ns3.cf.test'] },
      judged: { cf: [cfAt] },
      served: Object.fromEntries(
        Object.entries(sound.served).map(([name, all]) => [
          name,
          [...all!, ...[2, 3].map((n) => `${zone} 3600 NS ns${n}.cf.test.`)],
        ]),
      ),
      root: [2, 3].map((n) => `ns${n}.cf.test. 60 A ${cfAt}`),
    },
    ...{ word: 'left-behind', severity: 'warn', area: 'delegation' },
    ...{ says: /if cf froze now, about 75 % .* or for 61 min after/, cure: /more vendors/ },
  },
  {
    name: 'resolvers keep the delegation for days',
    change: { parentTtl: 172_800 },
    ...{ word: 'parent-ttl', severity: 'warn', area: 'times' },
    ...{ says: /48 h/, cure: /lower the TTL of its NS set/ },
  },
  {
    name: 'two vendors have name servers of one operator',
    change: hostedAt(['ns1.one.test', 'ns2.one.test'], ['198.51.100.71', '198.51.101.71']),
    ...{ word: 'same-hands', severity: 'warn', area: 'independence' },
    ...{ says: /one\.test\. runs the name servers of both/, cure: /another vendor/ },
  },
  {
    name: 'two vendors answer from one network',
    change: hostedAt(alpha, ['198.51.100.71', '198.51.100.72']),
    ...{ word: 'same-hands', severity: 'warn', area: 'independence' },
    ...{ says: /both answer from 198\.51\.100\.0\/24/, cure: /another vendor/ },
  },
  {
    name: 'a record has one vendor alone',
    change: {
      records: [{ ...steered, publish: [{ provider: 'cf', ttl: 60 }] }],
      delegated: ['ns1.cf.test.'],
    },
    ...{ word: 'single-provider', severity: 'warn', area: 'independence' },
    ...{ says: /published at cf alone/, cure: /second vendor, and put both in the delegation/ },
  },
  {
    name: 'a name server is silent',
    also: ['public-name'],
    change: { served: { ...sound.served, r53: null }, timeoutMs: 300 },
    ...{ word: 'serving', severity: 'bad', area: 'delegation' },
    ...{ says: /of r53 does not answer for www/, cure: /look at that server/ },
  },
  {
    name: 'a server of one vendor has an older state than the other',
    change: { judged: { cf: [cfAt, r53At] }, serial: { cf: 7, r53: 9 } },
    ...{ word: 'serials', severity: 'warn', area: 'delegation' },
    ...{ says: /127\.0\.0\.42 of cf give an older state/, cure: /zone transfers/ },
  },
  {
    name: 'the vendors give different targets',
    change: { served: { ...sound.served, r53: lines(`${www} 60 CNAME nrt.shop.test.`) } },
    ...{ word: 'in-step', severity: 'bad', area: 'names' },
    ...{ says: /cf gives hz\S+, r53 gives nrt/, cure: /detour status/ },
  },
  {
    name: 'the record is missing at one vendor',
    change: { served: { ...sound.served, r53: lines() } },
    ...{ word: 'cname', severity: 'bad', area: 'names' },
    ...{ says: /of r53 give no CNAME for www/, cure: /detour adopt www\S+ TARGET --create/ },
  },
  {
    name: 'a target’s name is gone',
    change: {
      records: [
        {
          ...steered,
          targets: [steered.targets[0]!, { origin: 'tokyo', cname: 'gone.shop.test.' }],
        },
      ],
    },
    ...{ word: 'target', severity: 'bad', area: 'names' },
    ...{ says: /gone\.shop\.test\. does not lead to an address/, cure: /take the target out/ },
  },
  {
    name: 'what users type is an address',
    change: { business: { ns, lines: bothLead(`${typed} 60 A 127.0.0.9`) } },
    ...{ word: 'public-name', severity: 'bad', area: 'names' },
    ...{ says: /is an address and no CNAME/, cure: /make it one CNAME to www\.gslb/ },
  },
  {
    name: 'what users type leads past the record',
    change: { business: { ns, lines: bothLead(`${typed} 60 CNAME hz.shop.test.`) } },
    ...{ word: 'public-name', severity: 'bad', area: 'names' },
    ...{
      says: /leads to hz\.shop\.test\., and not to www/,
      cure: /make it one CNAME to www\.gslb/,
    },
  },
  {
    name: 'what users type has one vendor alone',
    change: {
      business: {
        ns: ['ns1.cf.test.'],
        lines: { cf: ['shop-front.test. 60 NS ns1.cf.test.', `${typed} 3600 CNAME ${www}`] },
      },
    },
    ...{ word: 'public-name', severity: 'warn', area: 'names' },
    ...{ says: /TTL of 3600 s, at cf\.test\. alone/, cure: /second vendor, too/ },
  },
  {
    name: 'a vendor gives another TTL',
    change: { served: { ...sound.served, cf: lines(`${www} 600 CNAME hz.shop.test.`) } },
    ...{ word: 'ttl', severity: 'warn', area: 'times' },
    ...{ says: /a TTL of 600 s, not the 60 s/, cure: /correct ttl/ },
  },
  {
    name: 'a missing name is remembered for an hour',
    also: ['objective'],
    change: { negative: { cf: 60, r53: 3600 } },
    ...{ word: 'negative-ttl', severity: 'warn', area: 'times' },
    ...{ says: /at r53 is remembered 3600 s/, cure: /SOA's minimum/ },
  },
  {
    name: 'the TTL alone breaks the objective',
    change: within(45_000),
    ...{ word: 'objective', severity: 'bad', area: 'times' },
    ...{ says: /within 45 s, and its TTL alone is 60 s/, cure: /lower its ttl/ },
  },
  {
    name: 'detection and TTL together break the objective',
    change: within(63_000),
    options: {
      status: statusWith({
        records: [
          {
            ...{ name: www, target: 'hangzhou', providers: [] },
            objectiveMs: null,
            predicted: null,
          },
        ],
      }),
    },
    ...{ word: 'objective', severity: 'warn', area: 'times' },
    ...{ says: /within 63 s; it takes about 64 s/, cure: /lower ttl, interval or patience/ },
  },
  {
    name: 'a missing name is remembered longer than the objective',
    change: { negative: { cf: 60, r53: 200 } },
    ...{ word: 'objective', severity: 'warn', area: 'times' },
    ...{ says: /r53 lets resolvers remember for 200 s .* the 90 s/, cure: /SOA's minimum at r53/ },
  },
  {
    name: 'a signed zone is served unsigned by one vendor',
    change: {
      ds: [{ ...ds, digest: Buffer.alloc(32) }],
      keys: { cf: [key], r53: [] },
    },
    ...{ word: 'dnssec', severity: 'bad', area: 'signatures' },
    ...{ says: /r53 serves it unsigned/, cure: /RFC 8901/ },
  },
  {
    name: 'a signed zone denies names without a proof',
    change: {
      ds: [{ ...ds, digest: Buffer.alloc(32) }],
      keys: { cf: [key], r53: [key] },
      denial: { r53: 'unproven' },
    },
    ...{ word: 'negative-answer', severity: 'bad', area: 'signatures' },
    ...{ says: /r53 denies names in signed gslb\S+ without a proof/, cure: /sign gslb\S+ anew/ },
  },
  {
    name: 'a wildcard answers for what is missing',
    change: { denial: { cf: 'answered' } },
    ...{ word: 'negative-answer', severity: 'warn', area: 'signatures' },
    ...{ says: /cf answers for names .* that nobody has made/, cure: /remove the wildcard/ },
  },
  {
    name: 'a vendor refuses the keys',
    change: { preflights: { cf: [finding('credentials', 'bad')] } },
    ...{ word: 'credentials', severity: 'bad', area: 'vendors' },
    ...{ says: /as the vendor says/, cure: /x/ },
  },
  {
    name: 'a key cannot be renewed, and what is held ends within an outage',
    change: { shown: { r53: shown({ untilAt: now + hourMs, why: 'credentials: sts: HTTP 503' }) } },
    ...{ word: 'key', severity: 'bad', area: 'vendors' },
    ...{ says: /r53 \(assume-role\) could not be renewed; what is held ends in 60 min: .*503/ },
    cure: /static/,
  },
  {
    name: 'a key was never had',
    change: { shown: { r53: shown({ untilAt: null, why: 'credentials: sts: HTTP 403' }) } },
    ...{ word: 'key', severity: 'bad', area: 'vendors' },
    ...{ says: /could not be renewed, and none is held: .*403/, cure: /static/ },
  },
  {
    name: 'a key cannot be renewed, with time left for an outage',
    change: { shown: { r53: shown({ untilAt: now + 9 * hourMs, why: 'credentials: sts: 503' }) } },
    ...{ word: 'key', severity: 'warn', area: 'vendors' },
    ...{ says: /could not be renewed; what is held ends in 9 h/, cure: /static/ },
  },
  {
    name: 'a key is renewed by a cloud that is guarded',
    change: { shown: { r53: shown({ needs: ['sts.cn-beijing.aliyuncs.com'] }) } },
    options: { surroundings: around() },
    ...{ word: 'key', severity: 'warn', area: 'vendors' },
    ...{ says: /sts\.cn-beijing\.aliyuncs\.com of aliyun .*, it goes on for 10 h at worst/ },
    cure: /static key, which asks nobody/,
  },
  {
    name: 'a session is shorter than an outage',
    change: { shown: { r53: shown({ lastsMs: hourMs / 2 }) } },
    options: { surroundings: around() },
    ...{ word: 'key', severity: 'warn', area: 'vendors' },
    ...{ says: /goes on for 30 min at worst, less than an outage of 3\.5 h/, cure: /last longer/ },
  },
  {
    name: 'a token service stands in the region of targets',
    change: { shown: { r53: shown({ needs: ['sts.cn-hangzhou.example.test'] }) } },
    options: { surroundings: around() },
    ...{ word: 'key', severity: 'warn', area: 'vendors' },
    ...{ says: /renewed by sts\S+, in cn-hangzhou as targets/, cure: /elsewhere/ },
  },
  {
    name: 'a token service stands in the region of the vendor itself',
    change: { shown: { r53: shown({ needs: ['sts.us-east-1.amazonaws.com'] }) } },
    options: { surroundings: around() },
    ...{ word: 'key', severity: 'warn', area: 'vendors' },
    ...{ says: /in the region of Route 53's own control plane/, cure: /elsewhere/ },
  },
  {
    name: 'a key that somebody brings ends soon',
    change: { shown: { r53: brought(now + hourMs) } },
    ...{ word: 'key', severity: 'warn', area: 'vendors' },
    ...{ says: /brought by somebody else; what is held ends in 60 min/, cure: /long before/ },
  },
  {
    name: 'a key that somebody brings has ended',
    change: { shown: { r53: brought(now - hourMs) } },
    ...{ word: 'key', severity: 'bad', area: 'vendors' },
    ...{ says: /what is held ended 60 min ago/, cure: /long before/ },
  },
  {
    name: 'nobody knows when a key ends',
    change: { shown: { r53: brought(null) } },
    ...{ word: 'key', severity: 'warn', area: 'vendors' },
    ...{ says: /when the key of r53 \(session-token\) ends is not known/, cure: /expiration/ },
  },
  {
    name: 'a certificate is about to end',
    options: { wall: end - 5.5 * dayMs },
    ...{ word: 'expiry', severity: 'warn', area: 'vendors' },
    ...{ says: /etcd\.pem ends in 5 days/, cure: /renew it/ },
  },
  {
    name: 'a certificate has ended',
    options: { wall: end + 2.5 * dayMs },
    ...{ word: 'expiry', severity: 'bad', area: 'vendors' },
    ...{ says: /etcd\.pem ended 3 days ago/, cure: /renew it/ },
  },
  {
    name: 'most members of etcd sit beside the targets',
    change: { root: ['hz.shop.test. 60 A 198.51.100.9'] },
    options: {
      surroundings: around({ needs: etcd('198.51.100.1', '198.51.100.2', '198.51.102.1') }),
    },
    ...{ word: 'shared-fate', severity: 'bad', area: 'independence' },
    ...{
      says: /etcd sits in aliyun.*by its address 198\.51\.100\.1.*1 of 3 are left/,
      cure: /put it/,
    },
  },
  {
    name: 'one member of etcd sits in a guarded cloud',
    options: {
      surroundings: around({
        needs: etcd('a.aliyuncs.com', '198.51.101.1', '198.51.102.1'),
      }),
    },
    ...{ word: 'shared-fate', severity: 'warn', area: 'independence' },
    ...{ says: /by its domain a\.aliyuncs\.com.*2 of 3 are left/, cure: /elsewhere than aliyun/ },
  },
  {
    name: 'the only way out sits in a guarded cloud',
    options: {
      surroundings: around({
        needs: [
          need('this machine (path direct)', 'path', null, { cloud: 'aliyun', isAllowedFor: true }),
        ],
      }),
    },
    ...{ word: 'shared-fate', severity: 'bad', area: 'independence' },
    ...{ says: /this machine .* sits in aliyun.* nothing of its kind is left/, cure: /elsewhere/ },
  },
  {
    name: 'another tool writes the record',
    change: {
      served: {
        ...sound.served,
        cf: [...sound.served['cf']!, `cname-${www} 60 TXT heritage=external-dns`],
      },
    },
    ...{ word: 'company', severity: 'warn', area: 'vendors' },
    ...{ says: /external-dns manages www/, cure: /exclude www/ },
  },
  {
    name: 'a target leans on the zone that is steered',
    change: {
      records: [
        { ...steered, targets: [steered.targets[0]!, { origin: 'tokyo', cname: `t.${zone}` }] },
      ],
      served: {
        cf: [...sound.served['cf']!, `t.${zone} 60 A 127.0.0.9`],
        r53: [...sound.served['r53']!, `t.${zone} 60 A 127.0.0.9`],
      },
    },
    ...{ word: 'dependence', severity: 'warn', area: 'independence' },
    ...{ says: /the target t\.gslb\S+ leans on the zone/, cure: /nothing here steers/ },
  },
  {
    name: 'a check has never been red',
    options: {
      status: statusWith({
        origins: [
          {
            ...sampleView().origins[1]!,
            checks: [{ ...sampleView().origins[1]!.checks[0]!, everFailed: false }],
          },
        ],
      }),
    },
    ...{ word: 'never-red', severity: 'warn', area: 'practice' },
    ...{ says: /tokyo\/web has never been red/, cure: /detour drill/ },
  },
  {
    name: 'a drill is overdue',
    options: {
      status: statusWith({ drills: { last: [], overdue: [{ ...canary, why: 'a freeze' }] } }),
    },
    ...{ word: 'drill', severity: 'warn', area: 'practice' },
    ...{ says: /the canary drill of cf is overdue: a freeze/, cure: /detour drill canary/ },
  },
  {
    name: 'the last drill has failed',
    options: {
      status: statusWith({
        drills: { last: [{ ...canary, result: 'failed', sentence: 'not visible' }], overdue: [] },
      }),
    },
    ...{ word: 'drill', severity: 'bad', area: 'practice' },
    ...{ says: /the last canary drill of cf failed: not visible/, cure: /detour drill canary/ },
  },
];

describe('set-ups that are broken on purpose', () => {
  test('the good one is an A in every area, and whole', async () => {
    const report = await look();
    assert.equal(report.complete, true);
    const odd = report.findings.filter(({ severity }) => severity !== 'good');
    assert.deepEqual(odd, []);
    assert.deepEqual(new Set(Object.values(report.grades.areas)), new Set(['A']), say(report));
    assert.equal(report.grades.overall, 'A');
    assert.match(
      found(report, 'public-name').sentence,
      /TTL of 3600 s, at cf\.test\., r53\.test\./,
    );
    assert.match(found(report, 'left-behind', { provider: 'cf' }).sentence, /about 50 %/);
  });

  assert.ok(rows.length >= 20);
  for (const { name, change, options, word, severity, says, cure, area, also = [] } of rows) {
    test(name, async () => {
      const report = await look(change, options);
      const same = report.findings.filter((f) => f.word === word && f.severity === severity);
      const it = same.find(({ sentence }) => says.test(sentence));
      assert.ok(it !== undefined, say(report));
      assert.match(it.cure ?? '', cure ?? /^$/);
      const grade = report.grades.areas[area];
      assert.ok(severity === 'bad' ? grade === 'F' : grade !== 'A' && grade !== null, `${grade}`);
      for (const one of report.findings) assert.deepEqual(Object.keys(one).sort(), keys);
      const others = report.findings.filter(
        (f) => (f.severity === 'bad' || f.severity === 'warn') && ![word, ...also].includes(f.word),
      );
      assert.deepEqual(others, [], 'and nothing that is sound');
      assert.ok(isAsBadAs(report.grades.overall, severity === 'bad' ? 'F' : 'B'));
      const cureless = report.findings.filter((f) => f.severity !== 'good' && f.cure === null);
      assert.deepEqual(cureless, [], 'whoever is asked to look is told what to do');
    });
  }

  test('what could not be seen is unknown, with its place, and fails nothing', async () => {
    const dark = await look(
      {
        business: { ns: ['ns.dark.test.'], lines: {} },
        root: ['ns.dark.test. 60 A 127.0.0.44'],
        timeoutMs: 300,
      },
      {
        surroundings: around({
          needs: [need('the resolver here', 'resolver', 'nowhere.test')],
          endings: [{ what: 'the certificate x', read: () => ({ why: 'x may not be read' }) }],
        }),
      },
    );
    for (const word of ['public-name', 'shared-fate', 'expiry'] as const) {
      assert.equal(found(dark, word).severity, 'unknown', say(dark));
    }
    assert.equal(found(dark, 'public-name').record, www);
    assert.equal(
      dark.findings.some(({ severity }) => severity === 'bad'),
      false,
      say(dark),
    );
    assert.equal(dark.grades.overall, 'A');
  });
});

test('a grade goes by kinds of things, is the worst of its areas, and none where none was seen', () => {
  const of = (...all: readonly [FindingWord, Severity][]) =>
    gradesOf(all.map(([word, severity]) => ({ word, severity })));
  assert.equal(of().overall, null);
  assert.equal(of(['target', 'unknown']).overall, null);
  assert.equal(of(['target', 'unknown'], ['cname', 'good']).areas.names, 'A');
  assert.equal(of(['ttl', 'warn'], ['ttl', 'warn'], ['ttl', 'good']).areas.times, 'B');
  const three = of(
    ['ttl', 'warn'],
    ['ttl-floor', 'warn'],
    ['objective', 'warn'],
    ['cname', 'good'],
  );
  assert.deepEqual([three.areas.times, three.areas.names, three.overall], ['D', 'A', 'D']);
  assert.equal(of(['ttl', 'warn'], ['ttl-floor', 'warn']).overall, 'C');
  assert.equal(of(['ttl', 'bad'], ['cname', 'good']).overall, 'F');
  assert.deepEqual(
    [isAsBadAs(null, 'A'), isAsBadAs('B', 'C'), isAsBadAs('C', 'C')],
    [false, false, true],
  );
});

test('whose hands a server is in follows from its name and its address', () => {
  assert.equal(operatorOf('ns-12.awsdns-34.co.uk.'), operatorOf('ns-1.awsdns-7.com.'));
  assert.equal(operatorOf('dns13.hichina.com.'), operatorOf('vip3.alidns.com.'));
  assert.equal(operatorOf('ns1.shop.com.cn.'), 'shop.com.cn.');
  assert.equal(operatorOf('a.ns.shop.net.'), 'shop.net.');
  assert.notEqual(operatorOf('ns1.one.example.net.'), operatorOf('ns1.two.example.net.'));
  assert.equal(networkOf('203.0.113.77'), '203.0.113.0/24');
  assert.equal(networkOf('2001:db8:7::1'), networkOf('2001:0db8:0007:1::2'));
  assert.notEqual(networkOf('2001:db8:7::1'), networkOf('2001:db8:8::1'));
  assert.deepEqual([networkOf('127.0.0.1'), networkOf('::1')], [null, null]);
});
