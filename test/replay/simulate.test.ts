// `detour simulate`: each outage through the built-in example comes to what the public record of it
// demands; the goal case at defaults; journals, sweeps, the page, and every wrong input. All of it in
// virtual time, with the real engine.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { type Config, parseConfig, printProblem } from '../../src/config/config.ts';
import type { CoreConfig, EntryKind, Json } from '../../src/core/model.ts';
import { minutesFailing } from '../../src/replay/account.ts';
import { exampleText } from '../../src/replay/example.ts';
import { replayJournal } from '../../src/replay/journal.ts';
import { findOutage, outages, spanOf } from '../../src/replay/outages.ts';
import { troublesOf } from '../../src/replay/recorded.ts';
import type { RecordResult, Replay } from '../../src/replay/replay.ts';
import { parseSweep, withSettings } from '../../src/replay/settings.ts';
import { type Order, type Simulated, simulate } from '../../src/replay/simulate.ts';
import { calm, World } from '../../src/replay/world.ts';
import { tables } from '../../src/run/build.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';

const t0 = Date.UTC(2026, 4, 1);
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const folder = mkdtempSync(join(tmpdir(), 'detour-simulate-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Configurations by the name under which an order asks for them. */
const files = new Map<string, string>();

function configOf(text: string): Config {
  const parsed = parseConfig(text, 'detour.yaml', tables);
  if (!parsed.ok) throw new Error(parsed.problems.map(printProblem).join('\n'));
  return parsed.config;
}

const nothing: Order = {
  ...{ outage: null, config: null, as: null, set: [], sweep: null, journal: null },
  ...{ loss: null, seed: null, back: false, evictAfter: null, parentTtl: null },
};

function run(order: Partial<Order>): Simulated {
  const load = (path: string) => configOf(files.get(path) ?? assert.fail(`no ${path}`));
  return simulate({ ...nothing, ...order }, { tables, load, defaultConfig: 'default.yaml' });
}

const done = new Map<string, Replay & { through: string }>();

/** The result of a replay; the same order is run once. */
function replayed(order: Partial<Order>): Replay & { through: string } {
  const key = JSON.stringify(order);
  const result = done.get(key) ?? (run(order).json as Replay & { through: string });
  done.set(key, result);
  return result;
}

function refused(order: Partial<Order>): string {
  try {
    run(order);
  } catch (error) {
    assert.equal((error as Error).constructor.name, 'InputError', String(error));
    return (error as Error).message;
  }
  return assert.fail(`${JSON.stringify(order)} was taken`);
}

function recordOf(r: Replay, name: string): RecordResult {
  const found = r.records.find((one) => one.name.startsWith(`${name}.`));
  return found ?? assert.fail(`no record ${name}`);
}

/** `shop: storage-hz -> tokyo`, for every move of every record. */
function movesOf(r: Replay): string[] {
  return r.records.flatMap(({ name, moves }) =>
    moves.map((m) => `${name.split('.')[0]}: ${m.from} -> ${m.to}`),
  );
}

function diagnosesOf(r: Replay, cloud: string): string[] {
  return r.clouds.find((c) => c.name === cloud)!.diagnoses.map((d) => d.word);
}

function behindOf(r: Replay): string[] {
  return r.records.flatMap((one) => one.behind.map((b) => `${b.provider} ${b.minutes}`));
}

const printed = (s: Simulated) => s.text({ columns: 100, colour: false });

// ---------------------------------------------------------------- the goal

/** A user as in the README, every threshold at its default. */
const user = (needs: string) => `
cluster: shop
providers:
  cf: { type: cloudflare, apiToken: { env: CF }, zone: gslb.example.net }
  r53:
    type: route53
    credentials: { accessKeyId: { env: R53_ID }, secretAccessKey: { env: R53_KEY } }
    zone: gslb.example.net
  ali:
    type: alidns
    accessKeyId: { env: ALI_ID }
    accessKeySecret: { env: ALI_KEY }
    zone: gslb.example.net
paths:
  line-a: { site: office, uplink: as4134 }
  line-b: { site: annex, uplink: as4837, localAddress: 192.0.2.7 }
clouds:
  aliyun:
    checks:
      oss-signed: { plane: service, http: "https://oss.example/probe.txt" }
      ecs-api: { plane: control, http: "https://ecs.example/" }
origins:
  hangzhou:
    cloud: aliyun
    region: cn-hangzhou
    ${needs}
    checks: { web: { http: "https://hz.shop.example/healthz" } }
  tokyo:
    cloud: aws
    region: ap-northeast-1
    checks: { web: { http: "https://nrt.shop.example/healthz" } }
records:
  www.gslb.example.net:
    publish: [cf, r53, { provider: ali, ttl: 600 }]
    ttl: 60
    targets:
      - { origin: hangzhou, cname: hz.shop.example }
      - { origin: tokyo, cname: nrt.shop.example }
`;
files.set('storage.yaml', user('needs: [oss-signed]'));
files.set('plain.yaml', user(''));

test('Alibaba 2023-11-12 at defaults: who needs storage moves within two minutes', () => {
  const r = replayed({ outage: 'alibaba-2023-11-12', config: 'storage.yaml' });
  const www = recordOf(r, 'www');
  assert.deepEqual(movesOf(r), ['www: hangzhou -> tokyo']);
  assert.equal(www.failedAt, Date.parse('2023-11-12T09:39:00Z'));
  assert.ok(www.decidedAfterMs! <= 120_000, `decided after ${www.decidedAfterMs} ms`);
  assert.ok(www.servedAfterMs! <= 120_000, `served after ${www.servedAfterMs} ms`);
  assert.ok(diagnosesOf(r, 'aliyun').includes('auth-down'));
  assert.equal(www.minutesWithout, 101);
  assert.ok(www.minutesWith < 45, 'a third of the answers, those of the vendor left behind');
  const [left, ...more] = www.behind;
  assert.deepEqual([left?.provider, left?.minutes, more.length], ['ali', 101, 0]);
  assert.ok(left!.to! >= r.outage.calmAt, 'it converges when the keys are taken again');
});

test('Alibaba 2023-11-12 at defaults: it moves back only when told', () => {
  const alone = replayed({ outage: 'alibaba-2023-11-12', config: 'storage.yaml' });
  const www = recordOf(alone, 'www');
  assert.deepEqual([www.endsOn, www.ends.reason], ['tokyo', 'failback-manual']);
  assert.ok(alone.endedAt - alone.outage.calmAt >= 600_000, 'long after the end');
  const told = replayed({ outage: 'alibaba-2023-11-12', config: 'storage.yaml', back: true });
  const [away, home, ...rest] = recordOf(told, 'www').moves;
  assert.deepEqual([away?.by, home?.by, rest.length], ['auto', 'operator', 0]);
  assert.ok(home!.at > told.outage.calmAt);
  assert.equal(recordOf(told, 'www').endsOn, 'hangzhou');
});

test('Alibaba 2023-11-12 at defaults: who runs plain machines does not move at all', () => {
  const r = replayed({ outage: 'alibaba-2023-11-12', config: 'plain.yaml' });
  const www = recordOf(r, 'www');
  assert.deepEqual([www.moves, www.endsOn, www.ends.reason], [[], 'hangzhou', 'target-up']);
  assert.deepEqual(
    [www.struck, www.near, www.minutesWithout, www.minutesWith],
    [false, true, 0, 0],
  );
  assert.ok(diagnosesOf(r, 'aliyun').includes('auth-down'), 'and it is told what goes on');
});

test("Alibaba 2023-11-12: both are warned that Alibaba's DNS cannot be written", () => {
  for (const config of ['storage.yaml', 'plain.yaml']) {
    const r = replayed({ outage: 'alibaba-2023-11-12', config });
    const warned = r.warnings.find((w) => /^Alibaba's DNS \(ali\) cannot be written/.test(w));
    assert.match(warned ?? '', /from 09:39 to 11:20 \(101 min\): its API refuses valid keys/);
    const told = r.timeline.filter(
      (l) => l.kind === 'told' && /DNS may be unwritable/.test(l.text),
    );
    assert.ok(told.length > 0 && told[0]!.sinceMs < 60_000, `${config}: Detour itself tells it`);
    assert.match(printed(run({ outage: 'azure', config })), /www\.gslb\.example\.net/);
  }
});

// ---------------------------------------------------------------- out of the delegation

test('Alibaba 2023-11-12 with and without evict: both figures, and what they rest on', () => {
  const r = replayed({ outage: 'alibaba-2023-11-12' });
  const shop = recordOf(r, 'shop');
  assert.equal(shop.minutesWith, 34.1);
  assert.deepEqual(shop.evicted?.providers, ['ali']);
  assert.equal(shop.evicted?.at, shop.moves[0]!.at + 600_000);
  // A third of the answers for ten minutes, and then for half of an hour on the way out.
  const expect = 34.1 - (101 - 10 - 30 - 6) / 3;
  assert.ok(Math.abs(shop.evicted!.minutes - expect) < 1, `${shop.evicted!.minutes}`);
  const text = printed(run({ outage: 'alibaba-2023-11-12' }));
  assert.match(
    text,
    /shop\.gslb\.example\.net: 34\.1 min without `detour evict ali` at 09:49, 15\.4/,
  );
  assert.match(text, /assumed {2}a person takes the vendor out 10m after .* delegation for 1h/s);
});

test('evict comes to less the sooner it is done and the shorter the TTL of the parent', () => {
  const at = (evictAfter: string, parentTtl: string) =>
    recordOf(replayed({ outage: 'alibaba-2023', evictAfter, parentTtl }), 'shop').evicted;
  const [late, soon, short] = [at('1h', '1h'), at('1m', '1h'), at('1m', '5m')];
  assert.ok(late!.minutes > soon!.minutes && soon!.minutes > short!.minutes);
  assert.ok(short!.minutes < 3, 'a vendor that is out at once costs next to nothing');
  assert.equal(at('2h', '1h'), null, 'it had followed by itself');
  assert.match(
    refused({ outage: 'alibaba-2023', evictAfter: 'soon' }),
    /--evict-after "soon": expected/,
  );
  assert.match(refused({ evictAfter: '10m' }), /no outage is named/);
  assert.match(
    refused({ outage: 'alibaba-2023', sweep: 'fall=2..3', parentTtl: '1h' }),
    /--sweep counts no eviction/,
  );
  assert.match(refused({ journal: folder, parentTtl: '1h' }), /leave out .*--parent-ttl/);
});

test('two vendors of three stay in a delegation, whoever is behind', () => {
  files.set('two.yaml', user('needs: [oss-signed]').replace('cf, r53, {', 'cf, {'));
  const www = recordOf(replayed({ outage: 'alibaba-2023-11-12', config: 'two.yaml' }), 'www');
  assert.deepEqual([www.behind.map((b) => b.provider), www.evicted], [['ali'], null]);
});

/** A user who has DNSPod beside Alibaba, and at both of them lines. */
function withDnspod(outage: string): Replay {
  const secrets = 'secretId: { env: POD_ID }, secretKey: { env: POD_KEY }';
  const text = user('needs: [oss-signed]')
    .replace('paths:', `  pod: { type: dnspod, ${secrets}, zone: gslb.example.net }\npaths:`)
    .replace(
      'publish: [cf, r53, { provider: ali, ttl: 600 }]',
      'publish: [cf, { provider: pod, ttl: 600, lines: [默认, 电信, 境外] }, ' +
        '{ provider: ali, ttl: 600, lines: [default, telecom, oversea] }]',
    );
  const parsed = parseConfig(text, 'pod.yaml', tables);
  if (!parsed.ok) throw new Error(parsed.problems.map(printProblem).join('\n'));
  const { config } = parsed;
  const around = { tables, load: () => config, defaultConfig: 'pod.yaml' };
  return simulate({ ...nothing, outage, config: 'pod.yaml' }, around).json as unknown as Replay;
}

test('Alibaba 2023-11-12 with DNSPod beside it, both with lines: only the sick cloud is behind', () => {
  const r = withDnspod('alibaba-2023-11-12');
  assert.deepEqual(behindOf(r), ['ali 101']);
  assert.deepEqual(recordOf(r, 'www').evicted?.providers, ['ali']);
  const other = withDnspod('tencent-2024-04-08');
  assert.deepEqual(other.struck.providers, ['pod']);
  const warned = /Tencent's DNS \(pod\) cannot be written from 07:23 to 08:05 \(42 min\)/;
  assert.ok(
    other.warnings.some((w) => warned.test(w)),
    other.warnings.join('\n'),
  );
  assert.deepEqual(movesOf(other), [], 'it struck nobody who serves');
});

// ---------------------------------------------------------------- every outage, the example

/** Six hours and more of an outage are replayed at a third of the pace, for the sake of time. */
const slowly = { set: ['interval=15s'] };

interface Expected {
  readonly order: Partial<Order>;
  readonly moves: readonly string[];
  /** A cloud and the words that its diagnoses must hold, in this order. */
  readonly diagnosed: readonly [cloud: string, ...words: string[]];
  readonly behind: readonly string[];
  readonly warns: RegExp | null;
  readonly more?: (r: Replay) => void;
}

const expected: Readonly<Record<string, Expected>> = {
  'the authentication of a whole cloud: storage moves, machines stay': {
    order: { outage: 'alibaba-2023-11-12' },
    moves: ['shop: storage-hz -> tokyo'],
    diagnosed: ['aliyun', 'auth-down', 'healthy'],
    behind: ['ali 101'],
    warns: /Alibaba's DNS \(ali\) cannot be written/,
    more(r) {
      for (const name of ['www', 'asia']) assert.equal(recordOf(r, name).near, true);
      const lane = r.timeline.find((l) => l.kind === 'lane');
      assert.match(lane?.text ?? '', /ali: auth-suspect/, 'refused keys may be the outage');
    },
  },
  'one empty name: the other vendors are written at once, Route 53 when it can be': {
    order: { outage: 'aws-2025-10-20', ...slowly },
    moves: ['api: virginia -> falkenstein'],
    diagnosed: ['aws', 'auth-down', 'control-plane-down', 'healthy'],
    behind: ['r53 157'],
    warns: /AWS's DNS \(r53\) cannot be written from 06:48 to 09:25 \(157 min\)/,
    more(r) {
      const [left] = recordOf(r, 'api').behind;
      const fixed = Date.parse('2025-10-20T09:25:00Z');
      assert.ok(left!.to! >= fixed && left!.to! < fixed + 60_000, 'it converges by itself');
      assert.deepEqual(recordOf(r, 'blog').moves, [], 'a tenth of the connections is no outage');
      assert.ok(recordOf(r, 'blog').minutesWithout > 50, 'and is counted all the same');
    },
  },
  'a proxy that comes and goes: one move away, none back': {
    order: { outage: 'cloudflare-2025-11-18' },
    moves: ['app: edge-1 -> falkenstein'],
    diagnosed: ['cloudflare', 'control-plane-down', 'cloud-down', 'healthy'],
    behind: [],
    warns: null,
    more(r) {
      const app = recordOf(r, 'app');
      assert.equal(app.ends.reason, 'failback-manual');
      assert.ok(app.minutesWith < 2 && app.minutesWithout > 100);
      const did = r.timeline.find((l) => l.kind === 'did')?.text ?? '';
      const [, ms] = /on falkenstein after (\d+) ms, visible everywhere/.exec(did) ?? [];
      assert.ok(Number(ms) > 1000, `a vendor takes a moment to publish: ${did}`);
      const recovered = r.timeline.filter((l) => /edge-1: down -> up/.test(l.text));
      assert.ok(recovered.length > 5, 'it did come and go');
    },
  },
  'everything that could be moved to is down as well: fail static': {
    order: { outage: 'facebook-2021-10-04' },
    moves: [],
    diagnosed: ['facebook', 'auth-down', 'healthy'],
    behind: [],
    warns: /signin\.gslb\.example\.net: for a time none of its targets was up/,
    more(r) {
      const signin = recordOf(r, 'signin');
      assert.ok(signin.stays.some((s) => s.reason === 'no-target-up'));
      assert.deepEqual([signin.endsOn, signin.ends.reason], ['signin-1', 'target-up']);
      const told = r.timeline.filter((l) => l.kind === 'told' && l.about?.startsWith('signin'));
      assert.match(told[0]?.text ?? '', /no other target is up/);
    },
  },
  'a cloud that withdraws itself, DNS and all: whoever is in it moves': {
    order: { outage: 'facebook-2021-10-04', as: 'aliyun', ...slowly },
    moves: ['shop: storage-hz -> tokyo', 'www: plain-hz -> tokyo', 'asia: hongkong-1 -> tokyo'],
    diagnosed: ['aliyun', 'origin-down', 'cloud-down', 'healthy'],
    behind: ['ali 320', 'ali 320', 'ali 320'],
    warns: /Alibaba's DNS \(ali\) does not serve from 15:40 to 21:00 .*resolvers ask the other/,
    more(r) {
      for (const name of ['shop', 'www', 'asia']) {
        assert.ok(recordOf(r, name).minutesWith < 2, 'a vendor that is silent misleads nobody');
      }
    },
  },
  'a zone without cooling: slow at first, then one move out of the region': {
    order: { outage: 'alibaba-hongkong-2022-12-18', ...slowly },
    moves: ['asia: hongkong-1 -> tokyo'],
    diagnosed: ['aliyun', 'origin-down', 'region-down', 'healthy'],
    behind: [],
    warns: null,
    more(r) {
      const asia = recordOf(r, 'asia');
      assert.equal(asia.failedAt, Date.parse('2022-12-18T02:49:00Z'));
      assert.ok(asia.decidedAfterMs! < 120_000, 'not during the slow decline, but at once after');
      assert.ok(asia.minutesWithout > 500 && asia.minutesWith < 20);
    },
  },
  'an API whose name leads to a stranger': {
    order: { outage: 'aliyuncs-2025-06-06', ...slowly },
    moves: ['shop: storage-hz -> tokyo'],
    diagnosed: ['aliyun', 'auth-down', 'healthy'],
    behind: ['ali 343'],
    warns: /leads to a stranger, whose certificate is refused/,
  },
  'a control plane without power moves nobody': {
    order: { outage: 'cloudflare-2023-11-02', ...slowly },
    moves: [],
    diagnosed: ['cloudflare', 'control-plane-down', 'healthy'],
    behind: [],
    warns: /Cloudflare's DNS \(cf\) cannot be written from 11:43 to 17:57 \(374 min\)/,
  },
  'an API of 503s: machines stay, what needs the service moves': {
    order: { outage: 'google-2025-06-12', ...slowly },
    moves: ['data: iowa -> falkenstein'],
    diagnosed: ['google', 'auth-down', 'healthy'],
    behind: [],
    warns: null,
  },
  'a cloud API that cannot roll itself back: who needs its functions moves': {
    order: { outage: 'tencent-2024-04-08' },
    moves: ['pay: guangzhou -> falkenstein'],
    diagnosed: ['tencent', 'auth-down', 'control-plane-down', 'healthy'],
    behind: [],
    warns: null,
    more(r) {
      assert.equal(r.outage.minutes, 87);
      assert.equal(recordOf(r, 'docs').near, true, 'machines ran on, and stay');
      const pay = recordOf(r, 'pay');
      assert.equal(pay.minutesWithout, 42, 'every region but Shanghai was back at 16:05 CST');
      assert.equal(pay.evicted, null, 'no vendor of its was struck');
    },
  },
  'name servers that fall silent move no record': {
    order: { outage: 'dyn-2016-10-21', as: 'cf', ...slowly },
    moves: [],
    diagnosed: ['cloudflare'],
    behind: [],
    warns: /Cloudflare's DNS \(cf\) does not serve from 11:10 to 13:20 \(130 min\)/,
    more(r) {
      const total = r.records.reduce((sum, one) => sum + one.minutesWith, 0);
      assert.equal(total, 0, 'the other vendor answers for it');
    },
  },
  'names that do not resolve for 39 minutes': {
    order: { outage: 'azure-dns-2021-04-01', as: 'aliyun' },
    moves: ['shop: storage-hz -> tokyo', 'www: plain-hz -> tokyo', 'asia: hongkong-1 -> tokyo'],
    diagnosed: ['aliyun', 'cloud-down', 'healthy'],
    behind: [],
    warns: /Alibaba's DNS \(ali\) does not serve from 21:21 to 22:00 \(39 min\)/,
    more(r) {
      const did = r.timeline.filter((l) => l.kind === 'did');
      assert.match(did[0]?.text ?? '', /behind: ali/, 'what is written is not seen there yet');
    },
  },
  'an edge that answers SERVFAIL is not moved to, either': {
    order: { outage: 'akamai-2021-07-22', as: 'cloudflare' },
    moves: ['app: edge-1 -> falkenstein'],
    diagnosed: ['cloudflare', 'cloud-down', 'healthy'],
    behind: [],
    warns: null,
  },
  'a resolver that is gone blinds a path, and nothing else': {
    order: { outage: '1.1.1.1-2025-07-14' },
    moves: [],
    diagnosed: ['hetzner'],
    behind: [],
    warns: null,
    more(r) {
      assert.deepEqual(r.struck.paths, ['line-a']);
      const saw = r.timeline.filter((l) => /path line-a/.test(l.text)).map((l) => l.text);
      assert.match(saw[0] ?? '', /is blind: it has no vote/);
      assert.match(saw.at(-1) ?? '', /sees again/);
    },
  },
};

for (const [name, e] of Object.entries(expected)) {
  test(`${e.order.outage}: ${name}`, () => {
    const r = replayed(e.order);
    assert.deepEqual(movesOf(r), e.moves);
    const [cloud, ...words] = e.diagnosed;
    const seen = diagnosesOf(r, cloud);
    let from = 0;
    for (const word of words) {
      const at = seen.indexOf(word, from);
      assert.ok(at >= 0, `${cloud}: no ${word} after ${from} in ${seen.join(', ')}`);
      from = at + 1;
    }
    if (words.length === 0) assert.deepEqual(seen, []);
    assert.deepEqual(behindOf(r), e.behind);
    if (e.warns === null) assert.deepEqual(r.warnings, []);
    else
      assert.ok(
        r.warnings.some((w) => e.warns!.test(w)),
        r.warnings.join('\n'),
      );
    assert.equal(r.falseSwitches, 0);
    for (const { minutesWith, minutesWithout, name: who } of r.records) {
      assert.ok(minutesWith <= minutesWithout, `${who}: worse off with Detour`);
    }
    e.more?.(r);
  });
}

test('every outage has its expectation, and the list has them all with sources', () => {
  const covered = new Set(Object.values(expected).map((e) => e.order.outage));
  assert.deepEqual(
    outages.filter((o) => !covered.has(o.id)).map((o) => o.id),
    [],
  );
  assert.equal(new Set(outages.map((o) => o.id)).size, 13);
  for (const o of outages) {
    const times = o.phases.map((p) => Date.parse(p.at));
    assert.ok(times.every(Number.isFinite), o.id);
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
      `${o.id} runs forwards`,
    );
    assert.deepEqual(o.phases.at(-1)!.strikes, [], `${o.id} ends`);
    assert.ok(o.sources.length > 0 && o.assumed.length > 0, o.id);
    const { beganAt } = spanOf(o);
    const date = new Date(beganAt + 8 * 3_600_000).toISOString().slice(0, 10);
    const near = [date, new Date(beganAt).toISOString().slice(0, 10)];
    assert.ok(
      near.some((d) => o.id.endsWith(d)),
      `${o.id} began ${near.join(' or ')}`,
    );
  }
  const text = printed(run({}));
  for (const o of outages) assert.ok(text.includes(o.id));
  assert.equal((run({}).json as unknown[]).length, 13);
});

test('an outage of somebody you have nothing of says so, and how to replay it all the same', () => {
  for (const outage of ['dyn-2016-10-21', 'azure-dns-2021-04-01', 'akamai-2021-07-22']) {
    const simulated = run({ outage, config: 'plain.yaml' });
    assert.equal((simulated.json as Replay).struck.any, false);
    assert.match(printed(simulated), /nothing in this configuration/);
    assert.match(printed(simulated), /--as NAME/);
  }
});

test('with every path on the resolver that is gone, everybody is blind and nothing moves', () => {
  const paths = /paths:\n[\s\S]*?clouds:/;
  const blind = 'paths:\n  only: { resolver: ["1.1.1.1"] }\nclouds:';
  files.set('blind.yaml', user('').replace(paths, blind));
  const r = replayed({ outage: '1.1.1.1', config: 'blind.yaml' });
  assert.deepEqual(movesOf(r), []);
  assert.ok(
    recordOf(r, 'www').stays.some((s) => s.reason === 'blind'),
    'it says why',
  );
});

test('a path that sits in the cloud that is gone has no vote on the rest: unknown is not down', () => {
  const inside = user('').replace('{ site: office, uplink: as4134 }', '{ cloud: aws }');
  files.set('inside.yaml', inside);
  const r = replayed({ outage: 'azure', as: 'aws', config: 'inside.yaml' });
  assert.deepEqual([r.struck.paths, movesOf(r)], [['line-a'], []]);
  const unknown = r.timeline.find((l) => /hangzhou: up -> unknown/.test(l.text));
  assert.match(unknown?.text ?? '', /by line-a .* void in a row/);
  assert.deepEqual(
    recordOf(r, 'www').stays.map((s) => s.reason),
    ['target-unknown'],
  );
});

// ---------------------------------------------------------------- what may be relied on

test('the same seed gives the same result, and another one other probes', () => {
  const order = { outage: 'azure', as: 'aliyun', config: 'plain.yaml', loss: '10%' };
  const [one, two] = [run(order), run(order)].map((s) => JSON.stringify(s.json));
  assert.equal(one, two);
  assert.notEqual(JSON.stringify(run({ ...order, seed: '2' }).json), one);
});

test('what --json gives is plain and has what a reader needs', () => {
  const r = replayed({ outage: 'alibaba-2023-11-12', config: 'storage.yaml' });
  assert.deepEqual(JSON.parse(JSON.stringify(r)), r);
  for (const key of ['outage', 'struck', 'records', 'clouds', 'vendors', 'timeline', 'warnings']) {
    assert.ok(key in r, key);
  }
  const line = r.timeline.find((l) => l.kind === 'decided')!;
  assert.deepEqual(Object.keys(line).toSorted(), ['about', 'at', 'kind', 'sinceMs', 'text', 'utc']);
  assert.equal(line.at - r.outage.beganAt, line.sinceMs);
  assert.equal(new Date(line.at).toISOString(), line.utc);
  const kinds = new Set(r.timeline.map((l) => l.kind));
  const all = ['world', 'saw', 'diagnosed', 'decided', 'stayed', 'did', 'served', 'lane', 'told'];
  assert.deepEqual([...kinds].toSorted(), all.toSorted());
  const served = recordOf(r, 'www').served.map((s) => s.gives.map((g) => g.target));
  assert.deepEqual(served, Array(3).fill(['hangzhou', 'tokyo']));
  assert.equal(r.through, 'storage.yaml');
});

test('records in mode observe are replayed as if steered, and that is said', () => {
  const r = replayed({ outage: 'alibaba-2023-11-12', config: 'storage.yaml' });
  assert.ok(r.notes.some((n) => /in mode observe, replayed as if steered: www/.test(n)));
});

test('a cloud whose services nobody watches is named in a note', () => {
  const text = user('')
    .replace(/oss-signed:.*\n/, '')
    .replace('checks:\n', 'checks:\n');
  files.set('unwatched.yaml', text);
  const r = replayed({ outage: 'azure', as: 'aliyun', config: 'unwatched.yaml' });
  assert.ok(
    r.notes.some((n) => /no check of plane service watches aliyun/.test(n)),
    r.notes.join(),
  );
});

test('no name of a file moves the cursor, forges a line or escapes into the page', () => {
  const evil = '<b title="x">&\u001b[2J\u202e\nfake: line\'.yaml';
  files.set(evil, files.get('plain.yaml')!);
  const simulated = run({ outage: 'azure', config: evil });
  const text = printed(simulated);
  assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
  assert.ok(!text.split('\n').some((line) => line.startsWith('fake')), text);
  const html = simulated.html!();
  assert.ok(html.includes('&lt;b title=&quot;x&quot;&gt;&amp;[2J'), html.slice(0, 2000));
  wellFormed(html);
});

/** Every tag closed by its own, every entity one of XML's: then any reader takes it. */
function wellFormed(html: string): void {
  const open: string[] = [];
  const body = html.replace('<!DOCTYPE html>', '');
  for (const [whole, close, tag, , self] of body.matchAll(
    /<(\/?)([a-z][a-z0-9]*)((?:\s+[a-zA-Z0-9-]+="[^"<]*")*)\s*(\/?)>/g,
  )) {
    if (close === '/') assert.equal(open.pop(), tag, `${whole} closes another`);
    else if (self !== '/') open.push(tag!);
  }
  assert.deepEqual(open, [], 'nothing is left open');
  const rest = body.replace(/<\/?[a-z][a-z0-9]*(?:\s+[a-zA-Z0-9-]+="[^"<]*")*\s*\/?>/g, '');
  assert.doesNotMatch(rest.replace(/&(amp|lt|gt|quot|#39);/g, ''), /[<&]/);
}

test('the page is one well-formed file that fetches nothing and says in words what it draws', () => {
  for (const order of [
    { outage: 'alibaba-2023-11-12', config: 'storage.yaml' },
    { outage: 'azure', config: 'plain.yaml' },
  ]) {
    const html = run(order).html!();
    wellFormed(html);
    assert.doesNotMatch(
      html,
      /<(script|link|img|iframe|object|use|image)\b|url\(|@import|https?:\/\//,
    );
    assert.match(html, /<html lang="en">/);
    assert.match(html, /<svg [^>]*role="img" aria-labelledby="whole-t whole-d">/);
    assert.match(html, /<title id="whole-t">[^<]+<\/title><desc id="whole-d">[^<]+<\/desc>/);
    assert.match(html, /<th scope="col">/);
  }
  const html = run({ outage: 'alibaba-2023-11-12', config: 'storage.yaml' }).html!();
  for (const lane of ['world', 'diagnosis: aliyun', 'www at cf', 'www at r53', 'www at ali']) {
    assert.ok(html.includes(`>${lane}</text>`), lane);
  }
  assert.ok(html.includes('auth-down') && html.includes('decided: hangzhou to tokyo (auto)'));
});

// ---------------------------------------------------------------- minutes

test('minutes count each answer in a cache for one TTL', () => {
  const [beganAt, vendor] = [0, { ttl: 60, gives: [{ at: -1000, target: 0 }] }];
  const fails = [{ at: beganAt, failing: [1, 0], silent: [0] }];
  const plain = { startsAt: 0, endsAt: 600_000, phases: fails };
  assert.equal(minutesFailing({ ...plain, vendors: [vendor] }), 10);
  const moved = { ttl: 60, gives: [...vendor.gives, { at: 120_000, target: 1 }] };
  const minutes = minutesFailing({ ...plain, vendors: [moved] });
  assert.ok(Math.abs(minutes - 2.5) < 0.02, `two minutes and half a TTL, not ${minutes}`);
  const two = { ...plain, phases: [{ at: 0, failing: [1, 0], silent: [0, 0] }] };
  const half = minutesFailing({ ...two, vendors: [moved, vendor] });
  assert.ok(Math.abs(half - (2.5 + 10) / 2) < 0.02, `half of them were left behind: ${half}`);
});

test('where no vendor answers, clients last for as long as their caches', () => {
  const vendor = { ttl: 60, gives: [{ at: 0, target: 0 }] };
  const silent = [{ at: 0, failing: [0], silent: [1] }];
  const all = { startsAt: 0, endsAt: 120_000, vendors: [vendor], phases: silent };
  const minutes = minutesFailing(all);
  assert.ok(
    Math.abs(minutes - 1.5) < 0.02,
    `half of the first minute, all of the next: ${minutes}`,
  );
  const other = { ...all, vendors: [vendor, vendor], phases: [{ ...silent[0]!, silent: [1, 0] }] };
  assert.equal(minutesFailing(other), 0);
});

test('minutes are never negative, never more than passed, and more failing is never less', () => {
  const share = fc.integer({ min: 0, max: 4 }).map((n) => n / 4);
  const shape = fc.record({
    ttl: fc.integer({ min: 0, max: 90 }),
    turn: fc.integer({ min: 0, max: 200 }),
    first: fc.tuple(share, share),
    second: fc.tuple(share, share),
    silent: share,
  });
  fc.assert(
    fc.property(shape, ({ ttl, turn, first, second, silent }) => {
      const of = (later: readonly number[]) =>
        minutesFailing({
          ...{ startsAt: 0, endsAt: 300_000 },
          vendors: [
            {
              ttl,
              gives: [
                { at: 0, target: 0 },
                { at: turn * 1000, target: 1 },
              ],
            },
            { ttl, gives: [{ at: 0, target: 1 }] },
          ],
          phases: [
            { at: 0, failing: first, silent: [0, silent] },
            { at: 100_000, failing: later, silent: [silent, 0] },
          ],
        });
      const minutes = of(second);
      assert.ok(minutes >= -1e-9 && minutes <= 5 + 1e-9, String(minutes));
      assert.ok(of([1, 1]) >= minutes - 1e-9);
    }),
    { numRuns: 60 },
  );
});

// ---------------------------------------------------------------- thresholds

test('a threshold that is set holds everywhere, and counters are taken where counts need them', () => {
  const { core } = configOf(exampleText);
  const set = (key: string, value: string) => withSettings(core, [{ key, value }], tables);
  const slow = set('interval', '10s').core;
  assert.ok(Object.values(slow.checks).every((c) => c.intervalMs === 10_000 && c.fall === 3));
  const counted = set('fall', '5');
  assert.ok(Object.values(counted.core.checks).every((c) => c.fall === 5));
  assert.equal(counted.core.detector.kind, 'counters');
  assert.match(counted.notes.join(), /replayed with detector=counters/);
  const back = set('failback', '30m').core;
  assert.deepEqual(Object.values(back.records)[0]!.failback, { kind: 'after', ms: 1_800_000 });
  const rare = set('falseSwitches', '1 per 1 year').core.detector;
  assert.equal(rare.kind === 'sequential' && rare.falseSwitchEveryMs, 365.25 * 86_400_000);
  assert.deepEqual(set('patience', '0s').core.detector, core.detector);
});

test('a sweep goes through every combination, ranges of durations in at most ten steps', () => {
  const values = (text: string) => parseSweep(text).map((row) => row.map((s) => s.value).join(' '));
  assert.deepEqual(values('fall=2..4,interval=1s|5s'), [
    ...['2 1s', '2 5s', '3 1s', '3 5s', '4 1s', '4 5s'],
  ]);
  assert.equal(parseSweep('fall=2..6,interval=1s..10s').length, 50);
  const long = values('patience=0s..1h');
  assert.ok(long.length <= 11 && long[0] === '0s' && long.at(-1) === '1h', long.join());
});

test('a sweep prints the trade: longer patience moves later, fewer failures move for nothing', () => {
  const sweep = run({
    ...{ outage: 'alibaba-2023', config: 'storage.yaml', sweep: 'patience=0s|30s,fall=2..3' },
  });
  const { rows } = sweep.json as { rows: readonly Record<string, number>[] };
  assert.deepEqual(
    rows.map((r) => [r['switches'], r['falseSwitches'], r['stayed']]),
    [...Array(4).fill([1, 0, 0])],
  );
  const [soon, , late] = rows.map((r) => r['decidedAfterMs']!);
  assert.ok(late! - soon! > 25_000 && late! - soon! < 35_000, `${soon} and ${late}`);
  const lines = printed(sweep).split('\n');
  const head = lines.findIndex((l) => /^patience +fall +FALSE +SWITCHES +DECIDED/.test(l));
  assert.match(lines[head + 1] ?? '', /^0s +2 +0 +1 +[\d.]+ m?s/);
  assert.equal(lines.slice(head + 1, head + 5).filter((l) => /^(0|30)s +[23] /.test(l)).length, 4);
});

test('on one lossy path, few failures in a row switch for nothing and many do not', () => {
  const paths = /paths:\n[\s\S]*?clouds:/;
  files.set('one-path.yaml', user('').replace(paths, 'clouds:'));
  const sweep = run({
    ...{ outage: 'azure', as: 'aliyun', config: 'one-path.yaml', loss: '20%' },
    ...{ set: ['patience=0s', 'detector=counters'], sweep: 'fall=1|8' },
  });
  const { rows } = sweep.json as { rows: readonly Record<string, number>[] };
  assert.ok(rows[0]!['falseSwitches']! > 0, JSON.stringify(rows[0]));
  assert.equal(rows[1]!['falseSwitches'], 0, JSON.stringify(rows[1]));
});

test('an API that fails between a reading and the writing after it leaves the write uncertain', () => {
  const steered = files
    .get('plain.yaml')!
    .replace(/^ {4}ttl: 60$/m, '    ttl: 60\n    mode: steer');
  const { core } = configOf(steered);
  const world = new World({ config: core, startsAt: t0, seed: 1, loss: 0 });
  world.hold('www.gslb.example.net.', 'hz.shop.example.');
  world.begin();
  world.runTo(t0 + 60_000);
  const said = { reason: 'drill', by: 'ann', forMs: null, force: true, dryRun: false } as const;
  world.order({ kind: 'switch', record: 'www.gslb.example.net.', target: 'tokyo', ...said });
  world.runTo(world.now + 50);
  world.conditions = { ...calm, api: new Map([['cf', { manner: 'hang', share: 1 }]]) };
  world.runTo(world.now + 5000);
  const lanes = world.entries.filter((e) => e.entry.kind === 'lane').map((e) => e.entry.sentence);
  assert.match(lanes[0] ?? '', /lane cf: uncertain/);
  world.conditions = calm;
  world.runTo(world.now + 60_000);
  assert.equal(world.served.findLast((s) => s.provider === 'cf')?.cname, 'nrt.shop.example.');
});

// ---------------------------------------------------------------- one's own journal

type Told = readonly [second: number, kind: EntryKind, record: string | null, data: Json];

const health = (second: number, origin: string, was: string, now: string): Told => [
  ...([second, 'health', null, { origin, was, health: now }] as const),
];
const switched = (second: number, from: string, to: string): Told => [
  ...([
    second,
    'switch',
    'www.gslb.example.net.',
    { from, to, kind: 'auto', why: 'target-down' },
  ] as const),
];

/** Three troubles: of 5 s, of 30 s (it switched, and needed not), and of 10 minutes. */
const lived: readonly Told[] = [
  [0, 'start', null, {}],
  health(5, 'hangzhou', 'unknown', 'up'),
  health(5, 'tokyo', 'unknown', 'up'),
  [10, 'adopt', 'www.gslb.example.net.', { target: 'hangzhou' }],
  health(3600, 'hangzhou', 'up', 'down'),
  health(3605, 'hangzhou', 'down', 'up'),
  health(86_400, 'hangzhou', 'up', 'down'),
  switched(86_410, 'hangzhou', 'tokyo'),
  health(86_430, 'hangzhou', 'down', 'up'),
  [90_000, 'pin', 'www.gslb.example.net.', { target: 'hangzhou', untilAt: t0 + 97_200_000 }],
  health(172_800, 'hangzhou', 'up', 'down'),
  switched(172_810, 'hangzhou', 'tokyo'),
  health(173_400, 'hangzhou', 'down', 'up'),
];

function journalOf(name: string, told: readonly Told[]): string {
  const directory = join(folder, name);
  const store = openSqliteStore(directory);
  for (const [second, kind, record, data] of told) {
    const at = t0 + second * 1000;
    const entry = { kind, record, sentence: kind, data };
    store.commit({ at, wall: at, entries: [entry], docs: [] });
  }
  store.close();
  return directory;
}

interface Journalled {
  readonly recorded: readonly { readonly isFalse: boolean | null }[];
  readonly replayed: readonly {
    readonly isFalse: boolean | null;
    readonly at: number;
    readonly to: string;
  }[];
  readonly notes: readonly string[];
}

test('a journal as configured switches as it did; with more patience only where it helped', () => {
  files.set('default.yaml', files.get('plain.yaml')!);
  const journal = journalOf('lived', lived);
  const same = run({ journal });
  const as = same.json as Journalled;
  assert.deepEqual(
    as.recorded.map((m) => m.isFalse),
    [true, false],
  );
  assert.deepEqual(
    as.replayed.map((m) => m.isFalse),
    [true, false],
  );
  assert.ok(as.notes.some((n) => /1 order of operators, given again/.test(n)));
  assert.match(printed(same), /recorded: switched 2 times, 1 of them false/);
  assert.match(printed(same), /replayed: would have switched 2 times, 1 of them false/);
  assert.match(printed(same), /What this cannot know:\n- a journal has no probes/);
  const patient = run({ journal, set: ['patience=60s'] }).json as Journalled;
  assert.deepEqual(
    patient.replayed.map((m) => m.isFalse),
    [false],
  );
  const after = patient.replayed[0]!.at - (t0 + 172_800_000);
  // When it began is measured over several moments of the interval: a confirm may lie between.
  const confirmMs = 500;
  assert.ok(after >= 60_000 - confirmMs && after < 75_000, `decided after ${after} ms`);
  const hasty = run({ journal, set: ['patience=0s'] }).json as Journalled;
  assert.equal(hasty.replayed[0]!.isFalse, true, 'the shortest of them moves it, too');
});

test("the engine's own journal, replayed as configured, comes to the same decisions", () => {
  const config = configOf(
    files.get('storage.yaml')!.replace(/$/, 'policy: { switchesPerHour: 10 }'),
  );
  const records = Object.values(config.core.records).map((r) => [r.name, { ...r, mode: 'steer' }]);
  const core: CoreConfig = { ...config.core, records: Object.fromEntries(records) };
  const world = new World({ config: core, startsAt: t0, seed: 7, loss: 0 });
  world.hold('www.gslb.example.net.', 'hz.shop.example.');
  world.begin();
  const back = { kind: 'switch', record: 'www.gslb.example.net.', target: 'hangzhou' } as const;
  // A machine for 4, 40 and 400 s, and the service that it needs for 300 s.
  for (const [check, seconds] of [
    ...([
      ['hangzhou/web', 4],
      ['hangzhou/web', 40],
    ] as const),
    ...([
      ['hangzhou/web', 400],
      ['aliyun:oss-signed', 300],
    ] as const),
  ]) {
    world.runTo(world.now + 900_000);
    world.conditions = { ...calm, checks: new Map([[check, { manner: 'hang', share: 1 }]]) };
    world.runTo(world.now + seconds * 1000);
    world.conditions = calm;
    world.runTo(world.now + 600_000);
    const said = { reason: 'over', by: 'ann', forMs: 60_000, force: false, dryRun: false };
    world.order({ ...back, ...said });
  }
  const entries = world.entries.map(({ at, entry }, i) => ({ ...entry, seq: i + 1, at, wall: at }));
  const r = replayJournal('own', entries, config, config.core, 1);
  assert.deepEqual(
    r.recorded.map((m) => m.isFalse),
    [true, false, false],
  );
  assert.deepEqual(
    r.replayed.map((m) => m.isFalse),
    [true, false, false],
  );
  const apart = r.replayed.map((m, i) => m.at - r.recorded[i]!.at);
  const mean = apart.reduce((sum, ms) => sum + ms, 0) / apart.length;
  assert.ok(Math.abs(mean) < 1500, `decisions came ${apart.join(', ')} ms apart`);
  const last = troublesOf(entries, core).findLast((t) => t.name === 'hangzhou');
  assert.deepEqual(last?.fails, [], 'with its service down, its own machines are not blamed');
});

test('what `detour history --json` printed is a journal as well', () => {
  const entries = lived.map(([second, kind, record, data], i) => {
    const at = t0 + second * 1000;
    return { seq: i + 1, at, wall: at, kind, record, sentence: kind, data };
  });
  // Today's document, and the bare list of before it had a version.
  const today = entries.toReversed().map(({ at, wall: _, record, ...rest }) => {
    const name = record?.replace(/\.$/, '') ?? null;
    return { ...rest, time: new Date(at).toISOString(), record: name };
  });
  for (const document of [{ version: 1, entries: today }, entries.toReversed()]) {
    const file = join(folder, 'history.json');
    writeFileSync(file, JSON.stringify(document));
    const { replayed: moves } = run({ journal: file, config: 'plain.yaml' }).json as Journalled;
    assert.deepEqual(
      moves.map((m) => m.isFalse),
      [true, false],
    );
  }
});

test('a pin in the journal holds in the replay, too', () => {
  const pin: Told = [
    170_000,
    'pin',
    'www.gslb.example.net.',
    { target: 'hangzhou', untilAt: null },
  ];
  const told = [...lived, pin].toSorted((a, b) => a[0] - b[0]);
  const journal = journalOf('pinned', told);
  const { replayed: moves } = run({ journal, config: 'plain.yaml' }).json as Journalled;
  assert.deepEqual(
    moves.map((m) => m.isFalse),
    [true],
  );
});

test('what audits had said of the targets counts in the replay, too, hours later', () => {
  const third = user('')
    .replace(
      'records:',
      '  osaka: { cloud: gcp, checks: { web: { http: "https://osa.example/" } } }\n$&',
    )
    .replace('      - { origin: tokyo,', '      - { origin: osaka, cname: osa.example }\n$&');
  files.set('third.yaml', third);
  const www = 'www.gslb.example.net.';
  const said = (second: number, word: string): Told => [
    ...([second, 'standby', www, { target: 'osaka', word, why: 'a block page' }] as const),
  ];
  const told = (...more: readonly Told[]) =>
    [...lived, health(5, 'osaka', 'unknown', 'up'), ...more].toSorted((a, b) => a[0] - b[0]);
  const where = (name: string, ...more: readonly Told[]) => {
    const journal = journalOf(name, told(...more));
    const { replayed: moves } = run({ journal, config: 'third.yaml' }).json as Journalled;
    return moves.map(({ to }) => to);
  };
  assert.deepEqual(where('unaudited'), ['osaka', 'osaka']);
  assert.deepEqual(where('audited', said(40_000, 'unfit')), ['tokyo', 'tokyo']);
  assert.deepEqual(where('mended', said(40_000, 'unfit'), said(90_100, 'fit')), ['tokyo', 'osaka']);
  const restart: Told = [100_000, 'start', null, {}];
  assert.deepEqual(where('forgotten', said(40_000, 'unfit'), restart), ['tokyo', 'osaka']);
});

test('reading a journal changes nothing in it', () => {
  const journal = journalOf('untouched', lived);
  const before = readFileSync(join(journal, 'detour.sqlite'));
  run({ journal, config: 'plain.yaml' });
  assert.deepEqual(readFileSync(join(journal, 'detour.sqlite')), before);
});

// ---------------------------------------------------------------- wrong input

test('wrong input is named, with what would be right', () => {
  writeFileSync(join(folder, 'empty.json'), '[]');
  writeFileSync(join(folder, 'strange.json'), '{"a": 1}');
  writeFileSync(join(folder, 'secret.txt'), 'hunter2');
  const journal = journalOf('others', [health(5, 'elsewhere', 'unknown', 'up')]);
  const at = (name: string) => ({ journal: join(folder, name), config: 'plain.yaml' });
  const wrong: readonly (readonly [Partial<Order>, RegExp])[] = [
    [{ outage: 'alibabo' }, /no outage "alibabo"; the nearest are alibaba-2023-11-12/],
    [{ outage: 'fastly' }, /no outage "fastly"; the nearest are .*`detour simulate` lists them/],
    [{ outage: 'cloudflare' }, /could be cloudflare-2025-11-18, cloudflare-2023-11-02/],
    [{ outage: 'azure', as: 'nimbus' }, /no cloud, provider or path "nimbus" \(known: aliyun/],
    [{ outage: 'azure', set: ['fall'] }, /"fall" is no setting: write KEY=VALUE/],
    [{ outage: 'azure', set: ['fell=2'] }, /"fell" cannot be set: there are interval/],
    [{ outage: 'azure', set: ['fall=99'] }, /fall: expected a whole number from 1 to 20/],
    [{ outage: 'azure', set: ['interval=soon'] }, /interval: expected a duration from 100ms to 1h/],
    [{ outage: 'azure', set: ['interval=100ms'] }, /interval|timeout/],
    [{ outage: 'azure', set: ['fall=2', 'fall=3'] }, /fall is set twice/],
    [{ outage: 'azure', sweep: 'fall=6..2' }, /fall=6\.\.2: the range runs backwards/],
    [{ outage: 'azure', sweep: 'fall=a..b' }, /expected a range of numbers or durations/],
    [{ outage: 'azure', sweep: 'fall=2,fall=3' }, /fall stands twice in the sweep/],
    [{ outage: 'azure', sweep: 'fall=1..20,rise=1..20' }, /more than 200 combinations/],
    [{ outage: 'azure', sweep: 'fall=2', set: ['fall=3'] }, /stands in --set and in --sweep/],
    [{ outage: 'azure', sweep: 'fall=2', back: true }, /--sweep and --back do not go together/],
    [{ outage: 'azure', loss: '80%' }, /--loss "80%": expected a share from 0% to 50%/],
    [{ outage: 'azure', seed: 'x' }, /--seed "x": expected a whole number/],
    [{ as: 'aliyun' }, /no outage is named: `detour simulate` lists them/],
    [{ outage: 'azure', ...at('lived') }, /--journal replays what was recorded: leave out/],
    [at('nowhere'), /nowhere: there is nothing; name a state directory/],
    [{ ...at(''), journal: folder }, /holds no detour\.sqlite/],
    [at('empty.json'), /the journal is empty/],
    [at('strange.json'), /holds no journal/],
    [at('secret.txt'), /neither a store nor JSON/],
    [{ journal, config: 'plain.yaml' }, /speaks of elsewhere, and the configuration of hangzhou/],
  ];
  for (const [order, said] of wrong) {
    const message = refused(order);
    assert.match(message, said, JSON.stringify(order));
    assert.doesNotMatch(message, /hunter2/, 'what a file holds is not quoted');
  }
});

test('findOutage takes the only name that begins so', () => {
  const found = findOutage('ALIBABA-2023');
  assert.equal('outage' in found && found.outage.id, 'alibaba-2023-11-12');
});

test('the program itself: a wrong outage ends with 2, a page is written, --json is one document', () => {
  const main = join(root, 'src', 'main.ts');
  const detour = (...argv: string[]) => {
    return spawnSync(process.execPath, [main, 'simulate', ...argv], { encoding: 'utf8' });
  };
  const wrong = detour('alibabo', '--json');
  assert.equal(wrong.status, 2, wrong.stderr);
  assert.match((JSON.parse(wrong.stdout) as { message: string }).message, /nearest are alibaba/);
  const file = join(folder, 'page.html');
  const config = join(folder, 'plain.yaml');
  writeFileSync(config, files.get('plain.yaml')!);
  const drawn = detour('azure', '--as', 'aliyun', '-c', config, '--html', file, '--json');
  assert.equal(drawn.status, 0, drawn.stderr);
  assert.equal((JSON.parse(drawn.stdout) as Replay).as, 'aliyun');
  wellFormed(readFileSync(file, 'utf8'));
});
