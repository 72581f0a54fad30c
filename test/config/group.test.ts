// One configuration for several replicas: which this is, whose paths are whose and who votes with
// whom, what is unwise about where they stand, what a reload must leave alone, and the hashes by
// which replicas know that they speak of the same thing. What is refused stands in group-*.yaml.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parse, stringify } from 'yaml';
import { boundToStart, changesOf } from '../../src/config/changes.ts';
import { type Config, parseConfig, printProblem } from '../../src/config/config.ts';
import { voteTable } from '../../src/config/votes.ts';
import { tables } from '../../src/run/build.ts';

const text = `
cluster: shop
clusterKey: { file: /etc/detour/cluster.key }
replicas:
  hz-1: { address: "hz-1.example:7947", site: hz, cloud: aliyun }
  fra-1: { address: "fra-1.example:7947", site: fra, uplink: as1, cloud: hetzner }
  nrt-1:
    address: "[2001:db8::3]:7947"
    site: nrt
    paths:
      line-a: { uplink: x, references: { one: { tcp: "192.0.2.1:443" }, two: { tcp: "192.0.2.2:443" } } }
      line-b: { site: elsewhere, localAddress: 192.0.2.7, credentials-free: no }
group:
  etcd:
    endpoints: ["https://e-1.example:2379", "https://e-2.example:2379", "https://e-3.example:2379"]
    username: detour
    password: { file: /etc/detour/etcd-password }
paths:
  tokyo: { site: tokyo, proxy: "http://probe.example.jp:3128", credentials: { env: PROXY } }
providers:
  cf:  { type: cloudflare, apiToken: { env: CF_API_TOKEN }, zone: example.net }
  r53: { type: route53, credentials: { file: /etc/detour/aws.json }, zone: example.net }
clouds:
  aliyun: { checks: { oss: { plane: service, http: "https://oss.example.com/" } } }
  aws:
  hetzner:
origins:
  a:
    cloud: aliyun
    needs: [oss]
    checks:
      web: { http: "https://a.example.com/", headers: { x-a: "1", x-b: "2" }, paths: [direct, nrt-1/line-a] }
      page: { http: "https://a.example.com/page", advisory: true }
  b: { cloud: aws, checks: { web: { http: "https://b.example.com/" } } }
records:
  www.example.net:
    publish: [cf, { provider: r53, ttl: 30 }]
    targets: [{ origin: a, cname: a.example.com }, { origin: b, cname: b.example.com }]
  api.example.net:
    publish: [cf, r53]
    targets: [{ origin: b, cname: b.example.com }, { origin: a, cname: a.example.com }]
`.replace(', credentials-free: no', '');

// biome-ignore lint/suspicious/noExplicitAny: a configuration as a user writes it.
type Plain = any;
const written = (): Plain => parse(text);

function read(of: Plain, replica: string | null = 'hz-1') {
  const source = typeof of === 'string' ? of : stringify(of);
  const named = replica === null ? null : { name: replica, by: '--replica' };
  const parsed = parseConfig(source, 'detour.yaml', tables, named);
  if (!parsed.ok) assert.fail(parsed.problems.map(printProblem).join('\n'));
  return { config: parsed.config, warnings: parsed.warnings.map(({ message }) => message) };
}

const replicas = ['hz-1', 'fra-1', 'nrt-1'];

// ---------------------------------------------------------------- whose is what

test('every replica knows the paths of all, and leaves by its own alone', () => {
  for (const replica of replicas) {
    const { core, paths, probes, group } = read(written(), replica).config;
    assert.deepEqual(Object.keys(core.paths), [
      ...['hz-1/direct', 'hz-1/tokyo', 'fra-1/direct', 'fra-1/tokyo'],
      ...['nrt-1/line-a', 'nrt-1/line-b', 'nrt-1/tokyo'],
    ]);
    for (const path of Object.values(core.paths)) {
      assert.equal(path.replica, path.name.split('/')[0]);
      assert.equal(Object.hasOwn(paths, path.name), path.replica === replica, path.name);
    }
    assert.equal(Object.keys(paths).length, replica === 'nrt-1' ? 3 : 2);
    const own = (id: string) => core.checks[id]!.paths.some((path) => Object.hasOwn(paths, path));
    assert.deepEqual(Object.keys(probes).filter(own), Object.keys(probes));
    assert.deepEqual(Object.keys(core.checks).filter(own), Object.keys(probes));
    const { hash, ...who } = core.group!;
    assert.deepEqual(who, { self: replica, replicas: replicas.toSorted() });
    assert.match(hash!, /^[0-9a-f]{16}$/);
    assert.equal(group?.self, replica);
  }
});

test('a path shares what its replica has, unless it says otherwise or leaves from elsewhere', () => {
  const { core } = read(written()).config;
  const { paths, checks } = core;
  const clouds = Object.values(paths).map(({ name, cloud }) => [name, cloud]);
  assert.deepEqual(Object.fromEntries(clouds), {
    ...{ 'hz-1/direct': 'aliyun', 'hz-1/tokyo': null, 'fra-1/direct': 'hetzner' },
    ...{ 'fra-1/tokyo': null, 'nrt-1/line-a': null, 'nrt-1/line-b': null, 'nrt-1/tokyo': null },
  });
  // A way that all walk is one vote, whoever walks it; each one's own are votes by their labels.
  assert.equal(new Set(['hz-1', 'fra-1', 'nrt-1'].map((r) => paths[`${r}/tokyo`]!.group)).size, 1);
  assert.equal(paths['hz-1/tokyo']!.group, 'tokyo');
  assert.equal(new Set(Object.values(paths).map(({ group }) => group)).size, 5);
  // A path by its own name alone is that of every replica that has one.
  assert.deepEqual(checks['a/web']!.paths, ['hz-1/direct', 'fra-1/direct', 'nrt-1/line-a']);
  assert.deepEqual(paths['nrt-1/line-a']!.references, ['@nrt-1/line-a:one', '@nrt-1/line-a:two']);
  const table = voteTable(core);
  assert.match(table, /tokyo +one vote by hz-1\/tokyo, fra-1\/tokyo, nrt-1\/tokyo/);
  assert.match(table, /hz-1\/direct +no vote: in aliyun itself/);
});

test('replicas that share a label are one vote, and so are the ways of one that says nothing', () => {
  const of = written();
  of.replicas['fra-1'].site = 'hz';
  delete of.replicas['nrt-1'].paths['line-b'].site;
  const { config, warnings } = read(of);
  const groups = new Set(Object.values(config.core.paths).map(({ group }) => group));
  assert.deepEqual([...groups].toSorted(), [
    ...['fra-1/direct+hz-1/direct', 'nrt-1/line-a+nrt-1/line-b', 'tokyo'],
  ]);
  const told = (words: string) => warnings.filter((w) => w.includes(words)).length;
  assert.equal(told('hz-1/direct and fra-1/direct share site hz'), 1);
  assert.equal(told('nrt-1/line-a and nrt-1/line-b share site nrt'), 1);
  assert.equal(told('tokyo'), 0, 'of what is one by itself nothing is said');
});

test('who this is: the command line, or the environment, before the file', () => {
  const of = { ...written(), replica: 'fra-1' };
  assert.equal(read(of, null).config.group?.self, 'fra-1');
  assert.equal(read(of, 'nrt-1').config.group?.self, 'nrt-1');
});

test('looked at together, all paths are those of one daemon alone', () => {
  const parsed = parseConfig(text, 'detour.yaml', tables, 'all');
  if (!parsed.ok) assert.fail(parsed.problems.map(printProblem).join('\n'));
  const { core, paths, probes, group } = parsed.config;
  assert.deepEqual([group, core.group], [null, undefined]);
  assert.deepEqual(Object.keys(paths), Object.keys(core.paths));
  assert.deepEqual(Object.keys(probes), Object.keys(core.checks));
  assert.ok(Object.values(core.paths).every((path) => path.replica === undefined));
});

// ---------------------------------------------------------------- what it is built from

test('a group by etcd has its defaults, and where each listens', () => {
  const { group } = read(written(), 'nrt-1').config;
  assert.deepEqual(group, {
    self: 'nrt-1',
    replicas: {
      'hz-1': { host: 'hz-1.example', port: 7947 },
      'fra-1': { host: 'fra-1.example', port: 7947 },
      'nrt-1': { host: '2001:db8::3', port: 7947 },
    },
    listen: { host: null, port: 7947 },
    tls: null,
    engine: {
      kind: 'etcd',
      endpoints: [
        'https://e-1.example:2379',
        'https://e-2.example:2379',
        'https://e-3.example:2379',
      ],
      ca: null,
      identity: null,
      user: { name: 'detour', password: { file: '/etc/detour/etcd-password' } },
      prefix: '/detour/shop/',
      ttlMs: 5000,
    },
  });
  const of = written();
  const files = { ca: '/ca.pem', cert: '/cert.pem', key: '/key.pem' };
  of.group.listen = '127.0.0.1:7000';
  of.group.tls = files;
  of.group.etcd = { endpoints: ['http://127.0.0.1:2379'], ...files, prefix: 'x/y', ttl: '2s' };
  const other = read(of).config.group;
  assert.deepEqual(other?.listen, { host: '127.0.0.1', port: 7000 });
  assert.deepEqual(other?.tls, files);
  assert.deepEqual(other?.engine, {
    ...{ kind: 'etcd', endpoints: ['http://127.0.0.1:2379'], ca: '/ca.pem', user: null },
    ...{ identity: { cert: '/cert.pem', key: '/key.pem' }, prefix: 'x/y/', ttlMs: 2000 },
  });
});

test('a group by a Lease of Kubernetes has its defaults, and says what it is not for', () => {
  const of = written();
  of.group = { kubernetes: null };
  const { config, warnings } = read(of);
  const documents = { kind: 'secret', name: 'detour-documents' };
  const engine = { kind: 'kubernetes', namespace: null, lease: 'detour', documents, ttlMs: 15_000 };
  assert.deepEqual(config.group?.engine, engine);
  assert.ok(warnings.some((w) => /one cluster, and so in one cloud: .*not for the day/.test(w)));
  of.group = { kubernetes: { namespace: 'shop', documents: { configMap: 'docs' } } };
  assert.deepEqual(read(of).config.group?.engine, {
    ...{ ...engine, namespace: 'shop', documents: { kind: 'configMap', name: 'docs' } },
  });
});

describe('what is unwise about where replicas and members stand is said', () => {
  const cases: readonly [string, (of: Plain) => void, RegExp][] = [
    ['a replica in a cloud that it guards', () => {}, /^hz-1 sits in aliyun, which it guards/],
    [
      'its member of etcd there',
      (of) => of.group.etcd.endpoints.splice(0, 1, 'https://HZ-1.example:2379'),
      /^hz-1 sits in aliyun.* takes its member of etcd along$/,
    ],
    [
      'a majority of members there',
      (of) => {
        of.replicas['fra-1'].cloud = 'aliyun';
        of.group.etcd.endpoints.splice(0, 2, 'https://hz-1.example:1', 'https://fra-1.example:1');
      },
      /^without aliyun no majority of etcd is left: when it fails, nobody acts/,
    ],
    [
      'two members on a machine',
      (of) => of.group.etcd.endpoints.splice(0, 1, 'https://e-2.example:2380'),
      /^two members are on one machine/,
    ],
    ['two replicas', (of) => delete of.replicas['fra-1'], /^2 replicas: with one gone no majority/],
    [
      'an origin that one replica alone keeps in sight',
      (of) => {
        of.origins.b.checks.web.paths = ['hz-1/direct', 'fra-1/direct', 'nrt-1/line-a'];
        of.origins.b.quorum = 'all';
        of.policy = { quorum: 2 };
        of.origins.a.checks.web.paths = ['fra-1/direct', 'tokyo'];
      },
      /^with fra-1 gone too few are left to agree that a is down, so it stays; give it one vote more/,
    ],
    [
      'four replicas',
      (of) => {
        of.replicas['syd-1'] = { address: 'syd-1.example:7947' };
      },
      /^4 replicas bear the loss of no more than 3 do/,
    ],
    [
      'one member',
      (of) => of.group.etcd.endpoints.splice(1),
      /^1 member: with one gone no majority is left/,
    ],
    [
      'nobody proves to etcd who they are',
      (of) => {
        of.group.etcd = { endpoints: of.group.etcd.endpoints };
      },
      /^no username and password: whoever reaches etcd may take the right to act/,
    ],
  ];
  for (const [what, change, said] of cases) {
    test(what, () => {
      const of = written();
      delete of.origins.a.checks.web.paths;
      const calm = (w: string) => !said.test(w);
      if (what !== cases[0]![0]) assert.ok(read(of).warnings.every(calm), 'not before');
      change(of);
      const { warnings } = read(of, 'nrt-1');
      assert.equal(warnings.filter((w) => said.test(w)).length, 1, warnings.join('\n'));
    });
  }
});

// ---------------------------------------------------------------- reload

test('a reload changes paths and places, and refuses who the replicas are and what elects', () => {
  const was = read(written()).config;
  const is = (change: (of: Plain) => unknown, replica = 'hz-1') => {
    const of = written();
    change(of);
    return read(of, replica).config;
  };
  const refused = (config: Config) => boundToStart(was, config) ?? '';
  assert.equal(
    boundToStart(
      was,
      is(() => {}),
    ),
    null,
  );
  assert.match(refused(is(() => {}, 'fra-1')), /^replica changed, which a start alone takes in/);
  assert.match(
    refused(is((of) => delete of.replicas['fra-1'])),
    /^who the replicas are changed, .*: restart the daemons/,
  );
  const moved = is((of) => {
    of.replicas['fra-1'].address = 'fra-2.example:7947';
  });
  assert.match(refused(moved), /^who the replicas are changed/);
  const slower = is((of) => {
    of.group.etcd.ttl = '6s';
  });
  assert.match(refused(slower), /^group changed/);
  const { group: _, replicas: __, ...rest } = written();
  delete rest.origins.a.checks.web.paths;
  const alone = read(rest, null).config;
  assert.match(refused(alone), /^replica, who the replicas are and group changed/);
  assert.match(boundToStart(alone, was) ?? '', /^replica, who the replicas are and group changed/);
  assert.equal(boundToStart(alone, alone), null);
  const wider = is((of) => {
    of.replicas['nrt-1'].paths['line-c'] = { uplink: 'z' };
    of.policy = { interval: '6s' };
  });
  assert.equal(boundToStart(was, wider), null);
  const { now, atRestart } = changesOf(was, wider);
  assert.deepEqual(atRestart, []);
  assert.ok(now.includes('path nrt-1/line-c: added'), now.join('\n'));
  assert.doesNotMatch(now.join('\n'), /hash|group changed/, 'hashes are no news of their own');
});

// ---------------------------------------------------------------- hashes

interface Hashes {
  readonly whole: string;
  readonly checks: Readonly<Record<string, string>>;
  readonly records: Readonly<Record<string, string>>;
}

function hashes(of: Plain, replica = 'hz-1'): Hashes {
  const { core } = read(of, replica).config;
  const each = (all: Readonly<Record<string, { readonly hash?: string }>>) =>
    Object.fromEntries(Object.entries(all).map(([name, one]) => [name, one.hash!]));
  return { whole: core.group!.hash!, checks: each(core.checks), records: each(core.records) };
}

/** The same text with the keys of every map in another order. */
function shuffled(value: Plain, order: () => number): Plain {
  if (Array.isArray(value)) return value.map((one) => shuffled(one, order));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, below]) => {
    return [order(), key, shuffled(below, order)] as const;
  });
  return Object.fromEntries(
    entries.toSorted(([a], [b]) => a - b).map(([, key, below]) => [key, below]),
  );
}

test('the hashes are the same on every replica, whatever the order of keys, the comments, the machine', () => {
  const wanted = hashes(written());
  assert.equal(new Set(Object.values(wanted.records)).size, 2);
  for (const hash of [...Object.values(wanted.checks), ...Object.values(wanted.records)]) {
    assert.match(hash, /^[0-9a-f]{16}$/);
  }
  const ofMachine = fc.record(
    {
      replica: fc.constantFrom(...replicas),
      stateDir: fc.constantFrom('/srv/a', '/srv/b'),
      socket: fc.constantFrom('/run/a.sock', '/run/b.sock'),
      listen: fc.constantFrom('off', '127.0.0.1:9000'),
      log: fc.constantFrom({ level: 'debug' }, { format: 'json' }),
      clusterKey: fc.constantFrom({ env: 'K' }, [{ file: '/k' }, { credential: 'old' }]),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.constantFrom(...replicas), fc.infiniteStream(fc.nat()), ofMachine, (r, s, m) => {
      const order = () => s.next().value as number;
      assert.deepEqual(hashes(shuffled({ ...written(), ...m }, order), r), wanted);
    }),
    { numRuns: 60 },
  );
  const secrets = text
    .replace('{ env: CF_API_TOKEN }', '{ file: /cf }')
    .replace('cluster: shop', 'cluster: shop # ours')
    .replace('/etc/detour/aws.json', '/srv/aws.json')
    .replace('{ env: PROXY }', '{ credential: proxy }')
    .replace('[cf, r53]', '[r53, cf]');
  assert.deepEqual(hashes(secrets).checks, wanted.checks);
  assert.deepEqual(hashes(secrets).records, wanted.records);
});

const a = ['a/page', 'a/web'];
const all = ['api.example.net.', 'www.example.net.'];
const both = { records: all };

/** A change of meaning: what it makes another thing of, checks and records. */
const changes: readonly (readonly [
  what: string,
  change: (of: Plain) => unknown,
  touched: { readonly checks?: readonly string[]; readonly records?: readonly string[] },
])[] = [
  ['what is asked', (of) => (of.origins.b.checks.web.http += 'x'), { checks: ['b/web'], ...both }],
  [
    'what is expected',
    (of) => (of.origins.b.checks.web.expect = { status: 204 }),
    { checks: ['b/web'], ...both },
  ],
  [
    'a header',
    (of) => (of.origins.a.checks.web.headers['x-b'] = '3'),
    { checks: ['a/web'], ...both },
  ],
  ...(
    [
      ['a body', { method: 'POST', body: 'x' }],
      ['a certificate of ours', { client: { cert: '/c', key: '/k' } }],
      ['HTTP/2', { http2: 'only' }],
      ['a port for Host', { host: 'a.example.com:8443' }],
    ] as const
  ).map(
    ([what, more]) =>
      [
        what,
        (of: Plain) => (of.origins.b.checks.web = { ...of.origins.b.checks.web, ...more }),
        { checks: ['b/web'], ...both },
      ] as const,
  ),
  ['an advisory check', (of) => (of.origins.a.checks.page.http += 'x'), { checks: ['a/page'] }],
  [
    'what it is for',
    (of) => (of.origins.a.checks.page.advisory = false),
    { checks: ['a/page'], ...both },
  ],
  [
    'what an origin needs of its cloud',
    (of) => (of.clouds.aliyun.checks.oss.plane = 'resource'),
    { checks: ['aliyun:oss'], ...both },
  ],
  ['that it needs it', (of) => delete of.origins.a.needs, both],
  ['how often', (of) => (of.origins.b.checks.web.interval = '6s'), { checks: ['b/web'], ...both }],
  ['how many fails', (of) => (of.origins.b.checks.web.fall = 4), { checks: ['b/web'], ...both }],
  [
    'how rarely it may be wrong',
    (of) => (of.policy = { falseSwitches: '1 per 20 years' }),
    {
      checks: ['@nrt-1/line-a:one', '@nrt-1/line-a:two', ...a, 'aliyun:oss', 'b/web'],
      ...both,
    },
  ],
  [
    'a reference point',
    (of) => (of.replicas['nrt-1'].paths['line-a'].references.one.tcp = '192.0.2.9:443'),
    { checks: ['@nrt-1/line-a:one'] },
  ],
  ['where an origin is', (of) => (of.origins.a.region = 'cn-east'), { checks: a, ...both }],
  ['how many must agree', (of) => (of.origins.b.quorum = 2), both],
  [
    'the order of targets',
    (of) => of.records['api.example.net'].targets.reverse(),
    { records: ['api.example.net.'] },
  ],
  [
    'where a target leads',
    (of) => (of.records['api.example.net'].targets[0].cname = 'c.example.com'),
    { records: ['api.example.net.'] },
  ],
  [
    'where it is published',
    (of) => of.records['www.example.net'].publish.pop(),
    { records: ['www.example.net.'] },
  ],
  [
    'for how long',
    (of) => (of.records['www.example.net'].publish[1].ttl = 31),
    { records: ['www.example.net.'] },
  ],
  ['what a vendor is judged by', (of) => (of.providers.cf.nameservers = ['192.0.2.53']), both],
  [
    'the mode',
    (of) => (of.records['www.example.net'].mode = 'steer'),
    { records: ['www.example.net.'] },
  ],
  [
    'patience',
    (of) => (of.records['www.example.net'].patience = '11s'),
    { records: ['www.example.net.'] },
  ],
  [
    'failback',
    (of) => (of.records['www.example.net'].failback = { after: '1m' }),
    { records: ['www.example.net.'] },
  ],
  ['the budget', (of) => (of.policy = { switchesPerHour: 4 }), both],
  ['edits', (of) => (of.policy = { edits: 'mend' }), both],
  // Paths are nobody's definition: one replica more makes no strangers of the others.
  [
    'a replica',
    (of) => (of.replicas['syd-1'] = { address: 'syd-1.example:7947', site: 'syd' }),
    {},
  ],
  ['a label', (of) => (of.replicas['fra-1'].site = 'fra-2'), {}],
  ['who is told', (of) => (of.notify = { command: ['true'] }), {}],
];

test('any change of meaning makes another hash of what it is about, and of nothing else', () => {
  const was = hashes(written());
  const differing = (
    before: Readonly<Record<string, string>>,
    after: Readonly<Record<string, string>>,
  ) => Object.keys(before).filter((name) => before[name] !== after[name]);
  for (const [what, change, touched] of changes) {
    const of = written();
    change(of);
    const is = hashes(of);
    assert.notEqual(is.whole, was.whole, what);
    assert.deepEqual(differing(was.checks, is.checks).toSorted(), touched.checks ?? [], what);
    assert.deepEqual(differing(was.records, is.records).toSorted(), touched.records ?? [], what);
  }
});

test('of every kind of check all that it asks is in its hash, and no secret is', () => {
  const token = { token: { env: 'T' } };
  const kinds: readonly (readonly [object, ...(readonly object[])])[] = [
    [{ grpc: 'a.example.com:443' }, { service: 'x' }, { plaintext: true }, { authority: 'b.test' }],
    [
      { exec: ['/x'] },
      { exec: ['/x', 'a'] },
      { warning: 'fail' },
      { late: 'fail' },
      { env: { A: '1' } },
    ],
    [
      { prometheus: 'https://p', query: 'up', pass: '== 1' },
      ...[
        { query: 'up{}' },
        { pass: '== 2' },
        { series: 'any' },
        { empty: 'fail' },
        { stale: '2m' },
      ],
    ],
    [{ push: 'a', ...token }, { push: 'b' }, { format: 'gatus' }, { expires: '1m' }],
  ];
  const hashOf = (check: object) => {
    const of = written();
    const { paths: _, ...b } = of.origins.b;
    of.origins.b = { ...b, checks: { ...b.checks, one: check } };
    return hashes(of).checks['b/one']!;
  };
  for (const [plain, ...changes] of kinds) {
    const all = [plain, ...changes.map((more) => ({ ...plain, ...more }))].map(hashOf);
    assert.equal(new Set(all).size, all.length, JSON.stringify(plain));
  }
  const another = { token: { file: '/etc/detour/t' } };
  assert.equal(hashOf({ push: 'a', ...token }), hashOf({ push: 'a', ...another }));
});

test('whatever meaning is changed, one after another, no two states have the same hash', () => {
  fc.assert(
    fc.property(fc.shuffledSubarray(changes.slice(), { minLength: 2, maxLength: 5 }), (some) => {
      const of = written();
      const seen = [hashes(of).whole];
      for (const [, change] of some) {
        // What a change before this one took away cannot be changed.
        try {
          change(of);
        } catch {
          return;
        }
        const { whole } = hashes(of);
        assert.ok(!seen.includes(whole), some.map(([w]) => w).join());
        seen.push(whole);
      }
    }),
    { numRuns: 60 },
  );
});

test('alone there is no hash, no replica and no group', () => {
  const { group: _, replicas: __, ...rest } = written();
  delete rest.origins.a.checks.web.paths;
  const { config } = read(rest, null);
  assert.equal(config.group, null);
  assert.doesNotMatch(JSON.stringify(config.core), /"(hash|replica|group)":(?!"tokyo")/);
});
