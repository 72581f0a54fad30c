// The configuration: every bad one in test/config/ is answered with exactly the text beside it
// (UPDATE=1 rewrites the texts; the diff is reviewed), a good one with everything the rest of the
// house relies on, and whatever the text is, nothing throws and no secret is quoted.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parse, stringify } from 'yaml';
import { providerTypes } from '../../providers/index.ts';
import { type Config, parseConfig, printProblem } from '../../src/config/config.ts';
import { jsonSchema } from '../../src/config/json-schema.ts';
import { notifierTypes } from '../../src/notify/index.ts';
import { checkTypes, pathProblem } from '../../src/probes/index.ts';
import { anySign } from '../parts/any-sign.ts';

const tables = {
  providers: providerTypes,
  checks: checkTypes,
  notifiers: notifierTypes,
  pathProblem,
};
const directory = new URL('./', import.meta.url);

const good = {
  cluster: 'shop',
  providers: {
    cf: { type: 'cloudflare', apiToken: { env: 'CF_API_TOKEN' } },
    r53: { type: 'route53', credentials: { file: '/etc/detour/aws.json' } },
  },
  origins: {
    a: { cloud: 'east', region: 'e-1', checks: { web: { http: 'https://a.example.com/' } } },
    b: { cloud: 'west', checks: { web: { http: 'https://b.example.com/' } } },
  },
  records: {
    'WWW.example.net': {
      mode: 'steer',
      publish: ['cf', 'r53'],
      targets: [
        { origin: 'a', cname: 'A.example.com' },
        { origin: 'b', cname: 'b.example.com.' },
      ],
    },
  },
};

function accepted(text: string): { config: Config; warnings: string[] } {
  const parsed = parseConfig(text, 'detour.yaml', tables);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.problems.map(printProblem).join('\n'));
  return { config: parsed.config, warnings: parsed.warnings.map(printProblem) };
}

function refused(text: string): string[] {
  const parsed = parseConfig(text, 'detour.yaml', tables);
  assert.ok(!parsed.ok, 'it was accepted');
  assert.ok(parsed.problems.length > 0);
  return parsed.problems.map(printProblem);
}

describe('a bad configuration is refused with every error and its line', () => {
  const names = readdirSync(directory).filter((name) => name.endsWith('.yaml'));
  assert.ok(names.length >= 25);
  for (const name of names) {
    test(name, () => {
      const parsed = parseConfig(readFileSync(new URL(name, directory), 'utf8'), name, tables);
      assert.ok(!parsed.ok, 'it was accepted');
      const text = `${parsed.problems.map(printProblem).join('\n')}\n`;
      const beside = new URL(name.replace('.yaml', '.txt'), directory);
      if (process.env['UPDATE']) writeFileSync(beside, text);
      assert.equal(text, readFileSync(beside, 'utf8'));
      assert.doesNotMatch(text, /sesame|123456789/i, 'a secret is quoted');
    });
  }
});

test('ten errors of all kinds in one file are all told, each with its own line', () => {
  const text = readFileSync(new URL('ten-at-once.txt', directory), 'utf8');
  const lines = text.trimEnd().split('\n');
  assert.equal(lines.length, 10);
  const places = lines.map((line) => /^ten-at-once\.yaml:(\d+):\d+ {2}\S/.exec(line)![1]);
  assert.deepEqual(places, ['1', '3', '4', '8', '8', '9', '10', '13', '14', '16']);
});

test('a configuration with nothing but what must stand gets the defaults of the design', () => {
  const { config } = accepted(stringify(good));
  const check = { intervalMs: 5000, timeoutMs: 2000, confirmMs: 500, fall: 3, rise: 2 };
  const place = { role: 'origin', plane: null, paths: ['direct'] } as const;
  const common = { ...place, advisory: false, ...check };
  assert.deepEqual(config.core, {
    cluster: 'shop',
    signed: false,
    paths: { direct: { name: 'direct', group: 'direct', cloud: null, references: [] } },
    clouds: { east: { name: 'east', checks: [] }, west: { name: 'west', checks: [] } },
    detector: { kind: 'sequential', falseSwitchEveryMs: 315_576_000_000 },
    checks: {
      'a/web': { id: 'a/web', origin: 'a', cloud: 'east', region: 'e-1', ...common },
      'b/web': { id: 'b/web', origin: 'b', cloud: 'west', region: null, ...common },
    },
    origins: {
      a: {
        ...{ name: 'a', cloud: 'east', region: 'e-1', checks: ['a/web'], needs: [] },
        quorum: { kind: 'majority' },
      },
      b: {
        ...{ name: 'b', cloud: 'west', region: null, checks: ['b/web'], needs: [] },
        quorum: { kind: 'majority' },
      },
    },
    records: {
      'www.example.net.': {
        name: 'www.example.net.',
        mode: 'steer',
        targets: [
          { origin: 'a', cname: 'a.example.com.' },
          { origin: 'b', cname: 'b.example.com.' },
        ],
        publish: [
          { provider: 'cf', ttl: 60 },
          { provider: 'r53', ttl: 60 },
        ],
        patienceMs: 10_000,
        failback: { kind: 'manual' },
        switchesPerHour: 3,
        edits: 'hold',
      },
    },
    lanes: {
      cf: laneOf('cf', 'cloudflare', 2000),
      r53: laneOf('r53', 'route53', 2000),
    },
    confirm: { burst: 400, perSecond: 200 },
  });
  assert.deepEqual(config.paths, {
    direct: { name: 'direct', kind: 'direct', localAddress: null, resolver: null },
  });
  assert.deepEqual(config.dns, { port: 53, roots: null, resolvers: null, timeoutMs: 1000 });
  assert.equal(config.stateDir, '/var/lib/detour');
  assert.equal(config.socket, '/var/lib/detour/control.sock');
  assert.deepEqual(config.listen, { host: '127.0.0.1', port: 9353 });
  assert.equal(config.notify, null);
  assert.equal(config.timezone, 'UTC');
  assert.deepEqual(config.maintenance, { origins: {}, records: {} });
  assert.deepEqual(config.drills, {
    ...{ canary: null, live: {}, windowMs: 1_800_000 },
    dry: { kind: 'at', days: [2], minute: 600, text: 'Tue 10:00' },
  });
  assert.deepEqual(config.log, { format: 'auto', level: 'info' });
  const { settings, ...probe } = config.probes['a/web']!;
  assert.deepEqual(probe, { kind: 'http', timeoutMs: 2000 });
  assert.equal((settings as { http: string }).http, 'https://a.example.com/');
  const { settings: account, ...provider } = config.providers['cf']!;
  const rest = { nameservers: null, callTimeoutMs: 2000, canary: null, cloud: 'cloudflare' };
  assert.deepEqual(provider, { type: 'cloudflare', ...rest });
  assert.deepEqual((account as { apiToken: unknown }).apiToken, { env: 'CF_API_TOKEN' });
});

test('a name in its own script is the one that it is in ASCII; how it is shown stands beside', () => {
  const text = (name: string, zone: string, glob: string) =>
    stringify({
      ...good,
      providers: { ...good.providers, ali: { ...ali, zone } },
      records: {
        [`www.${name}`]: {
          ...good.records['WWW.example.net'],
          ...{ publish: ['cf', 'ali'], names: [`shop.${name}`] },
          targets: [
            { origin: 'a', cname: `a.${name}` },
            { origin: 'b', cname: 'b.пример.example' },
          ],
        },
      },
      channels: { chat: { webhook: { url: 'https://hooks.example/' }, records: [glob] } },
      drills: { records: { [`www.${name}`]: { live: '6h' } } },
    });
  const ali = {
    type: 'alidns',
    ...{ accessKeyId: { env: 'ALI_KEY' }, accessKeySecret: { env: 'ALI_SECRET' } },
  };
  const own = accepted(text('例子。Example', '例子.example', '*.例子.example')).config;
  const ascii = accepted(
    text('xn--fsqu00a.example', 'xn--fsqu00a.example', '*.xn--fsqu00a.example'),
  );
  const { spelling, ...core } = own.core;
  const { spelling: plain, ...same } = ascii.config.core;
  assert.deepEqual(core, same);
  assert.deepEqual(Object.keys(core.records), ['www.xn--fsqu00a.example.']);
  assert.deepEqual(plain, { 'xn--e1afmkfd': 'пример' });
  assert.deepEqual(spelling, { ...plain, 'xn--fsqu00a': '例子' });
  for (const part of ['providers', 'channels', 'drills'] as const) {
    assert.deepEqual(own[part], ascii.config[part]);
  }
});

test('a name that could pass for another is warned of where it stands, and never shown so', () => {
  const records = { 'www.аррӏе.example': good.records['WWW.example.net'] };
  const { config, warnings } = accepted(stringify({ ...good, records }));
  assert.equal(config.core.spelling, undefined);
  const [warning] = warnings.filter((line) => line.includes('xn--80ak6aa92e'));
  assert.match(
    warning!,
    /^detour\.yaml:\d+:\d+ {2}records\."www\.аррӏе\.example": xn--80ak6aa92e: /,
  );
  assert.match(warning!, /could pass for another .* shown in ASCII alone$/);
});

test('a server of one’s own is judged by itself, unless it is told otherwise', () => {
  const tsig = { name: 'detour', secret: { env: 'K' } };
  const own = (more: object) => ({ type: 'rfc2136', tsig, ...more });
  const pdns = {
    type: 'powerdns',
    endpoint: 'https://pdns.example.net:8443',
    apiKey: { env: 'K' },
  };
  const [record] = Object.entries(good.records);
  const read = (providers: object) => {
    const records = { [record![0]]: { ...record![1], publish: Object.keys(providers) } };
    const { config, warnings } = accepted(stringify({ ...good, providers, records }));
    const judged = Object.values(config.providers).map((p) => p.nameservers);
    return { judged, shared: warnings.filter((w) => w.includes('both judged by')) };
  };
  const apart = read({
    one: own({ server: '192.0.2.1:5353' }),
    two: own({ server: '192.0.2.2', nameservers: ['ns.example.net', '192.0.2.2'] }),
    three: { ...pdns, zone: 'example.net' },
  });
  assert.deepEqual(apart.judged, [
    ['192.0.2.1:5353'],
    ['ns.example.net', '192.0.2.2'],
    ['pdns.example.net'],
  ]);
  assert.deepEqual(apart.shared, []);
  const both = ['ns1.example.net', '192.0.2.2:53'];
  const mixed = read({
    one: own({ server: '192.0.2.1', nameservers: both }),
    two: own({ server: '192.0.2.2' }),
  });
  assert.equal(mixed.shared.length, 1);
  assert.match(mixed.shared[0]!, /two and one are both judged by 192\.0\.2\.2:53: one speaks for/);
});

function laneOf(provider: string, type: string, callTimeoutMs: number) {
  const { readMax, writeMax, callsMax, quota } = providerTypes[type]!.capabilities;
  return { provider, type, callTimeoutMs, readMax, writeMax, callsMax, quota };
}

test('the policy is the default of every check and record, and each may say otherwise', () => {
  const policy = {
    ...{ interval: '1m', timeout: '1s500ms', confirm: '250ms', fall: 4, rise: 5, patience: '0s' },
    ...{ failback: { after: '30m', byVendor: true }, switchesPerHour: 7, drift: 'repair' },
    confirmBudget: { burst: 9, perSecond: 8 },
  };
  const web = {
    http: 'https://b.example.com/',
    ...{ interval: '2s', timeout: '1s', confirm: '100ms', fall: 1, rise: 20, advisory: true },
  };
  const own = { patience: '1m', failback: 'manual', switchesPerHour: 1, edits: 'hold' };
  const record = { ...good.records['WWW.example.net'], ...own, ttl: 30 };
  const text = stringify({
    ...good,
    policy,
    origins: {
      a: good.origins.a,
      b: { cloud: 'west', checks: { web, db: { tcp: 'b.example.com:5432' } } },
    },
    records: {
      ...good.records,
      'x.example.net': { ...record, publish: ['cf', { provider: 'r53', ttl: 300 }] },
    },
  });
  const { core, probes } = accepted(text).config;
  const cadence = { intervalMs: 60_000, timeoutMs: 1500, confirmMs: 250, fall: 4, rise: 5 };
  const place = { role: 'origin', plane: null, paths: ['direct'] } as const;
  const [inA, inB] = [
    { ...place, cloud: 'east', region: 'e-1' },
    { ...place, cloud: 'west', region: null },
  ];
  assert.deepEqual(core.checks, {
    'a/web': { id: 'a/web', origin: 'a', ...inA, ...cadence, advisory: false },
    'b/web': {
      ...{ id: 'b/web', origin: 'b', ...inB, intervalMs: 2000, timeoutMs: 1000 },
      ...{ confirmMs: 100, fall: 1, rise: 20, advisory: true },
    },
    'b/db': { id: 'b/db', origin: 'b', ...inB, ...cadence, advisory: false },
  });
  assert.deepEqual([probes['b/db']!.kind, probes['b/db']!.timeoutMs], ['tcp', 1500]);
  assert.equal(probes['b/web']!.timeoutMs, 1000);
  assert.deepEqual(core.confirm, { burst: 9, perSecond: 8 });
  const steering = ({
    patienceMs,
    failback,
    switchesPerHour,
    edits,
  }: (typeof core.records)[string]) => [patienceMs, failback, switchesPerHour, edits];
  const [usual, other] = ['www.example.net.', 'x.example.net.'].map((name) => core.records[name]!);
  const back = { kind: 'after', ms: 1_800_000, byVendor: true };
  assert.deepEqual(steering(usual!), [0, back, 7, 'mend']);
  assert.deepEqual(steering(other!), [60_000, { kind: 'manual' }, 1, 'hold']);
  assert.deepEqual(other!.publish, [
    { provider: 'cf', ttl: 30 },
    { provider: 'r53', ttl: 300 },
  ]);
});

describe('lines of a vendor that has them', () => {
  const ali = {
    type: 'alidns',
    accessKeyId: { env: 'ALI_KEY' },
    accessKeySecret: { env: 'ALI_SECRET' },
  };
  const of = (lines: unknown, more: object = {}) => {
    const record = Object.values(good.records)[0]!;
    return stringify({
      ...good,
      providers: { ...good.providers, ali: { ...ali, ...more } },
      records: { 'www.example.net': { ...record, publish: ['cf', { provider: 'ali', lines }] } },
    });
  };
  const linesOf = (text: string) =>
    accepted(text).config.core.records['www.example.net.']!.publish[1]!.lines;

  test('the default one comes first, and alone it needs no list', () => {
    const lines = ['telecom', 'default', 'unicom'];
    assert.deepEqual(linesOf(of(lines)), ['default', 'telecom', 'unicom']);
    assert.equal(linesOf(of(['default'])), undefined);
    const subnets = { telecom: '202.96.128.0/24', oversea: '2001:db8::/32' };
    const { providers } = accepted(of(lines, { lineSubnets: subnets })).config;
    assert.deepEqual(providers['ali']!.lineSubnets, subnets);
  });

  test('a list without the default line, with one twice, or of a vendor without lines is refused', () => {
    const says = (text: string, pattern: RegExp) => {
      const all = refused(text).join('\n');
      assert.match(all, pattern);
      assert.match(all, /publish\[1\]\.lines|lineSubnets/);
    };
    says(of(['telecom']), /the default line is missing, "default", which answers whoever no other/);
    says(of(['default', 'telecom', 'telecom']), /lines\[2\]: "telecom" stands twice: keep one/);
    says(of([]), /lines/);
    says(of(['default', 7]), /lines\[1\]/);
    const none = of(['default', 'telecom']).replace('type: alidns', 'type: cloudflare');
    const bare = none.replace(/ +accessKey\w+:\n.*\n/g, '');
    says(bare, /Cloudflare DNS gives everybody the same answer, it has no lines: leave this out/);
    says(of(['default'], { lineSubnets: { telecom: '202.96.128.0/22' } }), /8, 16, 24/);
    says(of(['default'], { lineSubnets: { telecom: 'here' } }), /ADDRESS\/BITS/);
  });
});

test('an interval shorter than the usual confirm pause shortens the pause with it', () => {
  const policy = { interval: '200ms', timeout: '200ms' };
  const { core } = accepted(stringify({ ...good, policy })).config;
  assert.equal(core.checks['a/web']!.confirmMs, 200);
});

test('paths, clouds, places, DNS, notices and logs are read as they stand', () => {
  const text = stringify({
    ...good,
    paths: { 'line-a': { site: 'office', uplink: 'as4134' }, 'line-b': null },
    clouds: { east: {}, west: null, north: {} },
    providers: {
      ...good.providers,
      cf: { ...good.providers.cf, nameservers: ['ns1.example.net', '[::1]:5353'], timeout: '5s' },
    },
    dns: { port: 5353, roots: ['127.0.0.1:5300'], resolvers: ['::1'], timeout: '250ms' },
    ...{ stateDir: '/srv/detour/', listen: 'off' },
    notify: { command: ['/usr/bin/mail', '-s', 'Detour'], timeout: '3s' },
    log: { format: 'text', level: 'debug' },
  });
  const { config } = accepted(text);
  assert.deepEqual(config.core.paths, {
    'line-a': { name: 'line-a', group: 'line-a+line-b', cloud: null, references: [] },
    'line-b': { name: 'line-b', group: 'line-a+line-b', cloud: null, references: [] },
  });
  assert.deepEqual(config.core.checks['a/web']!.paths, ['line-a', 'line-b']);
  assert.deepEqual(config.paths['line-b'], {
    ...{ name: 'line-b', kind: 'direct', localAddress: null, resolver: null },
  });
  assert.deepEqual(Object.keys(config.core.clouds), ['east', 'west', 'north']);
  assert.deepEqual(config.providers['cf']!.nameservers, ['ns1.example.net', '[::1]:5353']);
  assert.equal(config.providers['cf']!.callTimeoutMs, 5000);
  assert.equal(config.core.lanes['cf']!.callTimeoutMs, 5000);
  const dns = { port: 5353, roots: ['127.0.0.1:5300'], resolvers: ['::1'], timeoutMs: 250 };
  assert.deepEqual(config.dns, dns);
  assert.deepEqual([config.socket, config.listen], ['/srv/detour/control.sock', null]);
  assert.deepEqual(config.notify, {
    type: 'command',
    settings: { command: ['/usr/bin/mail', '-s', 'Detour'], timeout: 3000 },
  });
  assert.deepEqual(config.log, { format: 'text', level: 'debug' });
});

test('one cloud alone is warned of until something elsewhere is asked', () => {
  const told = (origins: object, policy: object = {}) =>
    accepted(stringify({ ...good, origins, policy })).warnings.filter((w) =>
      /no reference point/.test(w),
    );
  const web = (name: string) => ({ web: { http: `https://${name}.example.com/` } });
  const here = { cloud: 'east', checks: web('here') };
  assert.equal(told({ a: here, b: { ...here, checks: web('b') } }).length, 1);
  assert.deepEqual(told({ a: here, b: { ...here, cloud: 'west' } }), []);
  const references = { x: { tcp: 'x.example.net:443' }, y: { tcp: 'y.example.net:443' } };
  assert.deepEqual(told({ a: here, b: here }, { references }), []);
});

test('what is lawful but unwise is told as a warning with its line', () => {
  const { warnings } = accepted(`cluster: shop
clusterKey: { file: /etc/detour/cluster.key }
providers:
  cf: { type: cloudflare, apiToken: { env: CF } }
  idle: { type: cloudflare, apiToken: { env: CF } }
paths: { here: , there: { site: office } }
origins:
  a: { cloud: east, checks: { web: { http: "https://a.example.com/" } } }
  b: { cloud: east, checks: { web: { http: "https://b.example.com/" } } }
  c: { cloud: east, checks: { web: { http: "https://c.example.com/" } } }
records:
  www.example.net:
    ttl: 3600
    mode: steer
    publish: [{ provider: cf, ttl: 600 }]
    targets: [{ origin: a, cname: a.example.com }, { origin: b, cname: b.example.com }]
  api.example.net:
    publish: [cf]
    targets: [{ origin: a, cname: a.example.com }]
`);
  assert.deepEqual(warnings, [
    'detour.yaml:5:3  providers.idle: no record is published here',
    'detour.yaml:6:1  paths: one group of paths alone decides: what is lost on the way looks like ' +
      'an outage; a second, independent one would have to agree',
    "detour.yaml:6:18  paths.there: here and there leave by this machine's own route: they are " +
      'one group, here+there, and one vote',
    'detour.yaml:7:1  origins: all checks are in the cloud east, with no reference point ' +
      'elsewhere: what every path loses at once looks like an outage; give `references`',
    'detour.yaml:10:3  origins.c: no record leads here: it is probed, and moves nothing',
    'detour.yaml:13:10  records."www.example.net".ttl: after a switch, clients may keep the old ' +
      'answer for another 1h',
    'detour.yaml:15:5  records."www.example.net".publish: one provider alone: while its API ' +
      'fails, this record cannot be moved',
    'detour.yaml:15:36  records."www.example.net".publish[0].ttl: after a switch, clients may ' +
      'keep the old answer for another 10m',
    'detour.yaml:16:5  records."www.example.net".targets: all targets are in the cloud east: ' +
      'when it fails as a whole, none is left',
    'detour.yaml:17:3  records."api.example.net": observed only: decided and journalled, never ' +
      'written (mode: steer writes)',
    'detour.yaml:18:5  records."api.example.net".publish: one provider alone: while its API ' +
      'fails, this record cannot be moved',
    'detour.yaml:19:5  records."api.example.net".targets: one target alone leaves nowhere to ' +
      'move to',
  ]);
  assert.deepEqual(accepted(withKey('{ file: /k }')).warnings, [
    'detour.yaml:1:1  one path alone decides: what is lost on the way looks like an outage; a ' +
      'second, independent one would have to agree',
  ]);
});

// ---------------------------------------------------------------- paths, clouds and votes

const design = `# detour.yaml
cluster: shop
providers:
  cf:  { type: cloudflare, apiToken: { env: CF_API_TOKEN } }
  r53: { type: route53, credentials: { file: /etc/detour/aws.json } }
  ali: { type: alidns, accessKeyId: { env: ALI_KEY }, accessKeySecret: { credential: ali-secret } }
  own: { type: rfc2136, server: "192.0.2.53:53", zone: gslb.example.net,
         tsig: { name: detour, algorithm: hmac-sha256, secret: { file: /etc/detour/tsig } } }
paths:
  line-a:  { site: office, uplink: as4134 }
  line-b:  { site: office, uplink: as4837, localAddress: 192.0.2.7 }
  tokyo:   { site: tokyo, proxy: "socks5://probe.example.jp:1080" }
  sydney:  { site: sydney, blackbox: "https://bb.example.au:9115", module: http_2xx }
clouds:
  aliyun:
    checks:
      oss-signed: { plane: service, http: "https://probe.oss-cn-hangzhou.example/probe.txt",
                    sign: { type: aws-sigv4, region: cn-hangzhou, accessKeyId: { env: OSS_ID },
                            secretAccessKey: { env: OSS_SECRET } } }
      ecs-api:    { plane: control, http: "https://ecs.aliyuncs.com/", expect: { status: "<500" } }
origins:
  hangzhou: { cloud: aliyun, region: cn-hangzhou, needs: [oss-signed],
              checks: { web: { http: "https://hz.shop.example/healthz", expect: { status: 200 } } } }
  tokyo:    { cloud: aws, region: ap-northeast-1,
              checks: { web: { http: "https://nrt.shop.example/healthz" } } }
records:
  www.gslb.example.net:
    ttl: 60
    publish: [cf, r53]
    targets:
      - { origin: hangzhou, cname: hz.shop.example }
      - { origin: tokyo, cname: nrt.shop.example }
    mode: observe          # decide and journal only; \`steer\` once trusted
policy: { interval: 5s, fall: 3, rise: 2, failback: manual }
`;

test("the design's own example is read, with its four paths, its services and its needs", () => {
  const { config, warnings } = accepted(design);
  const { core, paths } = config;
  assert.deepEqual(paths, {
    'line-a': { name: 'line-a', resolver: null, kind: 'direct', localAddress: null },
    'line-b': { name: 'line-b', resolver: null, kind: 'direct', localAddress: '192.0.2.7' },
    tokyo: {
      ...{ name: 'tokyo', resolver: null, kind: 'socks5', credentials: null },
      url: 'socks5://probe.example.jp:1080',
    },
    sydney: {
      ...{ name: 'sydney', resolver: null, kind: 'blackbox', module: 'http_2xx' },
      url: 'https://bb.example.au:9115',
    },
  });
  const groups = Object.values(core.paths).map((path) => path.group);
  assert.deepEqual(groups, ['line-a+line-b', 'line-a+line-b', 'tokyo', 'sydney']);
  assert.deepEqual(core.clouds, {
    aliyun: { name: 'aliyun', checks: ['aliyun:oss-signed', 'aliyun:ecs-api'] },
    aws: { name: 'aws', checks: [] },
  });
  const { intervalMs, timeoutMs, confirmMs, fall, rise, ...signed } =
    core.checks['aliyun:oss-signed']!;
  assert.deepEqual([intervalMs, timeoutMs, confirmMs, fall, rise], [5000, 2000, 500, 3, 2]);
  assert.deepEqual(signed, {
    ...{ id: 'aliyun:oss-signed', role: 'service', origin: null, cloud: 'aliyun' },
    // An exporter elsewhere cannot sign.
    ...{ plane: 'service', region: null, advisory: false, paths: ['line-a', 'line-b', 'tokyo'] },
  });
  assert.equal(core.checks['aliyun:ecs-api']!.plane, 'control');
  assert.deepEqual(core.checks['hangzhou/web']!.paths, ['line-a', 'line-b', 'tokyo', 'sydney']);
  assert.deepEqual(core.origins['hangzhou']!.needs, ['aliyun:oss-signed']);
  assert.deepEqual(core.origins['tokyo']!.needs, []);
  assert.equal(config.probes['aliyun:oss-signed']!.kind, 'http');
  assert.deepEqual(
    warnings.filter((line) => /path/.test(line)),
    [
      'detour.yaml:11:3  paths.line-b: line-a and line-b share site office: they are one group, ' +
        'line-a+line-b, and one vote',
      'detour.yaml:17:7  clouds.aliyun.checks.oss-signed: is not asked by the path sydney: sign: ' +
        "on a blackbox path the exporter's module decides that; write it there, and give this " +
        'path a check without it',
    ],
  );
});

/** A good configuration with its top-level parts replaced. */
const withParts = (parts: object) => stringify({ ...good, ...parts });

test('a path leaves by what it names, with its resolvers and a reference to its password', () => {
  const { paths } = accepted(
    withParts({
      paths: {
        a: { resolver: ['192.0.2.53', '[2001:db8::53]:5353'] },
        b: { localAddress: '2001:db8::7' },
        c: { proxy: 'HTTP://proxy.example.com:3128/', credentials: { file: '/etc/proxy' } },
        d: { proxy: 'https://[2001:db8::1]:443', resolver: ['192.0.2.53:53'] },
        e: { proxy: 'socks5://192.0.2.9:1080', credentials: { env: 'SOCKS' } },
        f: { blackbox: 'https://bb.example.com/prober/' },
        g: { blackbox: 'http://127.0.0.1:9115', module: 'tcp_connect' },
      },
    }),
  ).config;
  const { a, b, c, d, e, f, g } = paths as Record<string, (typeof paths)[string]>;
  assert.deepEqual(a!.resolver, ['192.0.2.53', '[2001:db8::53]:5353']);
  assert.deepEqual(b, { name: 'b', resolver: null, kind: 'direct', localAddress: '2001:db8::7' });
  assert.deepEqual(c, {
    ...{ name: 'c', resolver: null, kind: 'proxy', url: 'http://proxy.example.com:3128' },
    credentials: { file: '/etc/proxy' },
  });
  assert.deepEqual(d, {
    ...{ name: 'd', resolver: ['192.0.2.53:53'], kind: 'proxy', credentials: null },
    url: 'https://[2001:db8::1]:443',
  });
  assert.deepEqual(e, {
    ...{ name: 'e', resolver: null, kind: 'socks5', url: 'socks5://192.0.2.9:1080' },
    credentials: { env: 'SOCKS' },
  });
  const far = { resolver: null, kind: 'blackbox' };
  const url = 'https://bb.example.com/prober';
  assert.deepEqual(f, { name: 'f', ...far, url, module: 'http_2xx' });
  assert.deepEqual(g, { name: 'g', ...far, url: 'http://127.0.0.1:9115', module: 'tcp_connect' });
  // What the configuration lets through is a path that probes can go by.
  for (const path of Object.values(paths)) assert.equal(pathProblem('http', path), null);
});

test('paths that share a site, an uplink, a cloud, a label or the way out are one group', () => {
  const groupsOf = (paths: object) => {
    const { core } = accepted(withParts({ paths })).config;
    return Object.values(core.paths).map((path) => path.group);
  };
  const here = (octet: number) => ({ localAddress: `192.0.2.${octet}` });
  assert.deepEqual(groupsOf({ a: { ...here(1), site: 'x' }, b: { ...here(2), site: 'x' } }), [
    'a+b',
    'a+b',
  ]);
  const shared = {
    uplink: { uplink: 'x' },
    cloud: { cloud: 'x' },
    label: { labels: { rack: '7' } },
  };
  for (const domain of Object.values(shared)) {
    const [first] = groupsOf({ z: { ...here(1), ...domain }, a: { ...here(2), ...domain } });
    assert.equal(first, 'a+z', JSON.stringify(domain));
  }
  // Chained by different domains; a value shared across domains, or a missing one, is nothing.
  assert.deepEqual(
    groupsOf({
      c: { ...here(1), site: 'x', labels: { rack: 'x' } },
      b: { ...here(2), site: 'x', uplink: 'y' },
      a: { ...here(3), uplink: 'y' },
      d: { ...here(4), uplink: 'x', labels: { room: 'x' } },
      e: here(5),
    }),
    ['a+b+c', 'a+b+c', 'a+b+c', 'd', 'e'],
  );
  const proxy = 'http://proxy.example.com:3128';
  assert.deepEqual(groupsOf({ a: { site: 'x' }, b: { site: 'y' }, c: { proxy }, d: { proxy } }), [
    ...['a+b', 'a+b', 'c+d', 'c+d'],
  ]);
});

test('reference points of the policy are for every path, those of a path stand in their place', () => {
  const { core, probes } = accepted(
    withParts({
      policy: {
        fall: 4,
        references: {
          root: { dns: '192.0.2.53', name: 'example.net', interval: '20s' },
          site: { http: 'https://r.example.net/' },
        },
      },
      paths: {
        line: {},
        tunnel: { proxy: 'socks5://p.example.jp:1080' },
        own: {
          localAddress: '192.0.2.7',
          references: { x: { tcp: 'x.net:1' }, y: { tcp: 'y.net:1' } },
        },
        bare: { localAddress: '192.0.2.8', references: {} },
      },
    }),
  ).config;
  const references = Object.values(core.paths).map((path) => path.references);
  // Questions over UDP do not go through a proxy.
  const expected = [['@line:root', '@line:site'], ['@tunnel:site'], ['@own:x', '@own:y'], []];
  assert.deepEqual(references, expected);
  assert.deepEqual(core.checks['@line:root'], {
    ...{ id: '@line:root', role: 'reference', origin: null, cloud: null, plane: null },
    ...{ region: null, paths: ['line'], advisory: false, intervalMs: 20_000, timeoutMs: 2000 },
    ...{ confirmMs: 500, fall: 4, rise: 2 },
  });
  assert.deepEqual(probes['@own:x']!.kind, 'tcp');
  assert.equal(core.checks['@line:x'], undefined);
  const none = accepted(stringify(good)).config;
  assert.ok(
    Object.keys(none.probes).every((id) => !id.startsWith('@')),
    'nothing else is asked',
  );
});

test('a check is asked by the paths it names, else by those its origin names, else by all', () => {
  const web = { http: 'https://b.example.com/' };
  const { core } = accepted(
    withParts({
      paths: { x: {}, y: { localAddress: '192.0.2.7' }, z: { localAddress: '192.0.2.8' } },
      clouds: {
        east: { checks: { api: { plane: 'control', ...web, paths: ['z'], region: 'e-1' } } },
      },
      origins: {
        a: good.origins.a,
        b: { cloud: 'west', paths: ['z', 'x'], checks: { web, own: { ...web, paths: ['y'] } } },
      },
    }),
  ).config;
  const paths = Object.values(core.checks).map((check) => [check.id, ...check.paths]);
  assert.deepEqual(paths, [
    ['east:api', 'z'],
    ['a/web', 'x', 'y', 'z'],
    ['b/web', 'x', 'z'],
    ['b/own', 'y'],
  ]);
  assert.equal(core.checks['east:api']!.region, 'e-1');
});

test('a quorum is a word, a number of groups or a share; an origin may say otherwise', () => {
  const paths = { x: {}, y: { localAddress: '192.0.2.7' }, z: { localAddress: '192.0.2.8' } };
  const of = (policy: object, own: object) => {
    const origins = { ...good.origins, a: { ...good.origins.a, ...own } };
    const { core } = accepted(withParts({ paths, policy, origins })).config;
    return [core.origins['a']!.quorum, core.origins['b']!.quorum];
  };
  const majority = { kind: 'majority' };
  assert.deepEqual(of({}, { quorum: 'all' }), [{ kind: 'all' }, majority]);
  assert.deepEqual(of({ quorum: 2 }, { quorum: 3 }), [
    { kind: 'count', groups: 3 },
    { kind: 'count', groups: 2 },
  ]);
  assert.deepEqual(of({ quorum: '50%' }, { quorum: 0.25 }), [
    { kind: 'share', share: 0.25 },
    { kind: 'share', share: 0.5 },
  ]);
  assert.deepEqual(of({ quorum: '100%' }, { quorum: 'majority' }), [
    majority,
    { kind: 'share', share: 1 },
  ]);
});

test('a quorum that can be met is accepted at its very edge and refused one beyond', () => {
  const paths = {
    x: {},
    y: { localAddress: '192.0.2.7' },
    z: { proxy: 'http://p.net:1', cloud: 'east' },
  };
  const text = (groups: number) =>
    withParts({
      paths,
      origins: { ...good.origins, a: { ...good.origins.a, quorum: groups } },
    });
  assert.deepEqual(accepted(text(2)).config.core.origins['a']!.quorum, {
    kind: 'count',
    groups: 2,
  });
  assert.match(
    refused(text(3)).join('\n'),
    /origins\.a\.quorum: 3 groups must agree on a\/web, and only 2 have a vote: x and y \(z sits in its cloud east\); lower the quorum of a to 2, or add/,
  );
});

test('the detector is sequential with one false switch in ten years unless said otherwise', () => {
  const of = (policy: object) => accepted(withParts({ policy })).config.core.detector;
  const year = 365.25 * 86_400_000;
  const sequential = (falseSwitchEveryMs: number) => ({ kind: 'sequential', falseSwitchEveryMs });
  assert.deepEqual(of({}), sequential(10 * year));
  assert.deepEqual(of({ detector: 'counters' }), { kind: 'counters' });
  assert.deepEqual(of({ detector: 'sequential' }), sequential(10 * year));
  const rarities = {
    ...{ '1 per 10 years': 10 * year, '1 per year': year, '2 per month': year / 24 },
    ...{ '1 per 1 hour': 3_600_000, '3 per week': 201_600_000, '1 per 1000 years': 1000 * year },
  };
  for (const [falseSwitches, ms] of Object.entries(rarities)) {
    assert.deepEqual(of({ falseSwitches }), sequential(Math.round(ms)), falseSwitches);
  }
});

test('where one group decides alone, a path is left out or forgeable, a warning says so', () => {
  const lines = `cluster: shop
clusterKey: { file: /etc/detour/cluster.key }
providers:
  cf: { type: cloudflare, apiToken: { env: CF } }
  r53: { type: route53, credentials: { file: /etc/detour/aws.json } }
policy: { references: { one: { http: "https://r.example.com/" } } }
paths:
  a: { site: "x\\ny", cloud: east }
  b: { site: "x\\ny", labels: { rack: r 7 } }
  c: { labels: { rack: r 7 }, blackbox: "http://bb.example.com:9115" }
  d: { cloud: west, proxy: "http://proxy.example.com:3128" }
clouds:
  east:
    checks:
      api: { plane: control, http: "https://api.example.com/" }
      oss: { plane: service, http: "https://oss.example.com/", paths: [a] }
origins:
  a: { cloud: east, needs: [api], quorum: 1, checks: { web: { http: "https://a.example.com/" } } }
  b: { cloud: west, checks: { web: { http: "https://b.example.com/" } } }
  c: { cloud: south, checks: { up: { http: "https://c.example.com/", expect: { body: { text: x } } } } }
records:
  www.example.net:
    mode: steer
    publish: [cf, r53]
    targets:
      - { origin: a, cname: a.example.com }
      - { origin: b, cname: b.example.com }
      - { origin: c, cname: c.example.com }
`;
  assert.deepEqual(accepted(lines).warnings, [
    'detour.yaml:6:11  policy.references: one reference point alone: while it is down, the path ' +
      'counts as blind; name a second one',
    'detour.yaml:9:3  paths.b: a and b share site "x\\ny" and b and c share rack r 7: they are ' +
      'one group, a+b+c, and one vote',
    'detour.yaml:10:41  paths.c.blackbox: what it saw comes back in the clear, where anybody on ' +
      'the way may forge it: use https',
    'detour.yaml:16:7  clouds.east.checks.oss: all its paths sit in east: nobody has a vote on it',
    "detour.yaml:18:29  origins.a.needs[0]: east:api is about the cloud's API: when it fails " +
      'alone, what runs keeps running, and this would move off it all the same',
    'detour.yaml:18:43  origins.a.quorum: with a quorum of 1 any one of 2 groups alone decides on ' +
      'a/web',
    'detour.yaml:19:3  origins.b: a+b+c alone decides on b/web (d sits in its cloud west)',
    'detour.yaml:20:32  origins.c.checks.up: is not asked by the path c: expect.body: on a ' +
      "blackbox path the exporter's module decides that; write it there, and give this path a " +
      'check without it',
  ]);
});

// ---------------------------------------------------------------- the notation

test('an anchor stands for its value wherever it is used', () => {
  const text = `${stringify(good)}
policy: { interval: &pause 5s, patience: *pause, failback: &back { after: 1h } }
`.replace('mode: steer', 'failback: *back');
  assert.match(refused(text)[0]!, /there is no anchor of that name before this alias/);
  const lines = stringify({ policy: {}, ...good })
    .split('\n')
    .slice(1);
  const policy = 'policy: { interval: &pause 5s, patience: *pause, failback: &back { after: 1h } }';
  const ordered = [policy, ...lines].join('\n').replace('mode: steer', 'failback: *back');
  const record = accepted(ordered).config.core.records['www.example.net.']!;
  assert.equal(record.patienceMs, 5000);
  assert.deepEqual(record.failback, { kind: 'after', ms: 3_600_000 });
});

test('a problem inside an anchor is told where the anchor stands', () => {
  const check = '{ web: { http: "https://x.example.com/", fall: 99 } }';
  const origins = `origins:
  a: { cloud: east, checks: &usual ${check} }
  b: { cloud: west, checks: *usual }
`;
  const text = stringify(good).replace(/origins:\n( .*\n)+/, origins);
  const problems = refused(text);
  assert.equal(problems.length, 2, problems.join('\n'));
  assert.deepEqual(
    problems.map((line) => line.replace(/^(\S+) {2}(\S+): .*$/, '$1 $2')),
    ['detour.yaml:12:83 origins.a.checks.web.fall', 'detour.yaml:12:83 origins.b.checks.web.fall'],
  );
});

test('more than 200 problems are cut and the rest is counted', () => {
  const keys = Array.from({ length: 1000 }, (_, i) => `wrong${i}: 1`).join('\n');
  const problems = refused(`${stringify(good)}\n${keys}`);
  assert.equal(problems.length, 201);
  assert.match(problems[199]!, /wrong199: unknown key/);
  assert.match(problems[200]!, /^detour\.yaml:\d+:1 {2}800 more problems are not shown/);
});

test('more than 5000 problems are counted without being kept', () => {
  const keys = Array.from({ length: 5500 }, (_, i) => `wrong${i}: 1`).join('\n');
  assert.match(refused(keys).at(-1)!, / 5\d\d\d more problems are not shown/);
});

test('a file of more than 8 MiB is refused by its size, one just below is read', () => {
  const text = stringify(good);
  const filler = (bytes: number) => `${text}\n#${'x'.repeat(bytes - Buffer.byteLength(text) - 2)}`;
  const most = 8 * 1_048_576;
  assert.deepEqual(refused(filler(most + 1)), [
    `detour.yaml:1:1  the file has ${most + 1} bytes; at most ${most} (8 MiB) are read`,
  ]);
  accepted(filler(most));
});

test('5000 origins in 2500 records load in seconds', () => {
  const many = (count: number, line: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => line(i)).join('\n');
  const text = `cluster: big
providers: { cf: { type: cloudflare, apiToken: { env: CF } } }
origins:
${many(5000, (i) => `  o${i}: { cloud: c${i % 7}, checks: { web: { http: "http://${i}.net/" } } }`)}
records:
${many(
  2500,
  (i) => `  r${i}.net:
    publish: [cf]
    targets: [{ origin: o${i + 2500}, cname: a${i}.net }, { origin: o${i}, cname: b${i}.net }]`,
)}
`;
  const started = process.cpuUsage();
  const { config } = accepted(text);
  const used = process.cpuUsage(started);
  assert.equal(Object.keys(config.core.origins).length, 5000);
  assert.equal(Object.keys(config.core.records).length, 2500);
  // About 2 s of CPU time; the bound is for what grows with the square (which took minutes).
  const ms = (used.user + used.system) / 1000;
  assert.ok(ms < 10_000, `${ms} ms`);
});

// ---------------------------------------------------------------- whatever the text is

/** Reads a text, and says what must hold for every text. */
function check(text: string): void {
  const parsed = parseConfig(text, 'f', tables);
  const told = parsed.ok ? parsed.warnings : parsed.problems;
  if (!parsed.ok) assert.ok(told.length > 0, 'refused without a reason');
  assert.ok(told.length <= 201);
  for (const problem of told) {
    assert.ok(problem.line >= 1 && problem.column >= 1 && problem.message.length > 0);
    assert.match(printProblem(problem), /^f:\d+:\d+ {2}[^\n]+$/);
  }
  if (parsed.ok) JSON.stringify(parsed.config);
}

const yamlPieces = [
  ...['{', '}', '[', ']', ',', ': ', '- ', '? ', '&a ', '*a ', '!t ', '!!set ', '|', '>', '#'],
  ...[
    '"',
    "'",
    '%',
    '@',
    '\t',
    '\n',
    '\n  ',
    '\n    ',
    '---\n',
    '...',
    '<<',
    '\0',
    '\ufeff',
    '\ud800',
  ],
  ...[
    'cluster',
    'providers',
    'origins',
    'records',
    'policy',
    'type',
    'http',
    'a',
    '5s',
    '1',
    'null',
  ],
  ...['__proto__', 'constructor', 'toString', '1e999', '.nan', '0x10', '2024-01-01', '~'],
];

test('no text makes it throw', () => {
  fc.assert(fc.property(fc.string({ unit: anySign, maxLength: 200 }), check), { numRuns: 150 });
  const pieces = fc.array(fc.constantFrom(...yamlPieces), { maxLength: 40 });
  fc.assert(
    fc.property(pieces, (words) => check(words.join(''))),
    { numRuns: 400 },
  );
});

test('no damage to a good configuration makes it throw', () => {
  const text = design;
  const cut = fc.record({
    from: fc.nat(text.length),
    length: fc.nat(20),
    by: fc.array(fc.constantFrom(...yamlPieces), { maxLength: 3 }),
  });
  fc.assert(
    fc.property(fc.array(cut, { minLength: 1, maxLength: 4 }), (cuts) => {
      let damaged = text;
      for (const { from, length, by } of cuts) {
        damaged = damaged.slice(0, from) + by.join('') + damaged.slice(from + length);
      }
      check(damaged);
    }),
    { numRuns: 150 },
  );
});

test('no value in the place of another makes it throw', () => {
  const key = fc.constantFrom(
    'type',
    'http',
    'checks',
    'web',
    'a',
    'cname',
    ...['plane', 'proxy', 'blackbox', 'labels', 'references', 'paths', 'tokyo', 'line-a'],
    '__proto__',
    'constructor',
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom<unknown>(
        'cf',
        'a',
        'cloudflare',
        '5s',
        'a.example.com',
        '',
        null,
        true,
        -1,
        1e99,
        ...['50%', 0.5, 3, 'all', 'service', 'aliyun', 'aliyun:oss-signed', 'hangzhou/web'],
        ...['socks5://x:1', 'https://x', '192.0.2.1', 'line-a', '1 per year'],
      ),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
    ),
  }));
  const places: string[][] = [];
  const visit = (node: unknown, path: string[]) => {
    if (path.length > 0) places.push(path);
    if (typeof node !== 'object' || node === null) return;
    for (const [name, below] of Object.entries(node)) visit(below, [...path, name]);
  };
  const rich = parse(design) as Record<string, unknown>;
  rich['policy'] = {
    ...{ quorum: 2, detector: 'sequential', falseSwitches: '1 per year' },
    references: { x: { tcp: 'x.net:1' }, y: { dns: '192.0.2.53', name: 'y.net' } },
  };
  const lines = rich['paths'] as Record<string, object>;
  lines['line-a'] = { ...lines['line-a'], labels: { rack: 'x' }, cloud: 'aws', resolver: ['::1'] };
  (rich['origins'] as Record<string, object>)['more'] = {
    ...{ cloud: 'aliyun', quorum: 'all', needs: ['oss-signed'], paths: ['line-a', 'tokyo'] },
    checks: { web: { http: 'http://x.net', advisory: false, paths: ['tokyo'], fall: 2 } },
  };
  accepted(stringify(rich));
  visit({ ...rich, dns: {}, notify: {}, log: {}, listen: 1 }, []);
  fc.assert(
    fc.property(fc.constantFrom(...places), value, (place, instead) => {
      const copy = structuredClone(rich);
      let here = copy;
      for (const name of place.slice(0, -1)) here = here[name] as typeof here;
      here[place.at(-1)!] = instead;
      check(stringify(copy, { aliasDuplicateObjects: false }));
    }),
    { numRuns: 250 },
  );
});

test('nothing that stands where a secret may stand is quoted', () => {
  const secret = fc.constantFrom<string>(
    ...['sesame', '"sesame"', '*sesame', '&sesame', '!sesame', '!sesame x', '"sesame', '|sesame'],
    ...['{ sesame }', '{ sesame: 1 }', '[sesame]', '{ env: [sesame] }', '{ env: { sesame: x } }'],
    ...[
      'sesame: sesame',
      '@sesame',
      '%sesame',
      '`sesame`',
      'x #sesame',
      '{ value: sesame',
      'x\\sesame',
    ],
    ...[
      '"\\sesame"',
      '\tsesame',
      '{ file: x, sesame: y }',
      '- sesame',
      '? sesame',
      '{ env: sesame, file: sesame }',
    ],
  );
  const line = fc.constantFrom(
    ...['apiToken: ', 'credentials: ', 'credentials: { secretAccessKey: ', 'accessKeySecret: '],
    ...['tsig: ', 'tsig: { secret: ', 'apiKey: ', 'endpoint: ', 'zone: ', 'zoneId: ', 'region: '],
  );
  const type = fc.constantFrom(...Object.keys(providerTypes));
  fc.assert(
    fc.property(type, line, secret, (which, where, what) => {
      const ends = where.includes('{') ? ' }' : '';
      const text = `providers:\n  p:\n    type: ${which}\n    ${where}${what}${ends}\n`;
      assert.doesNotMatch(refused(text).join('\n'), /sesame/);
    }),
    { numRuns: 400 },
  );
  const exit = fc.constantFrom('proxy: ', 'blackbox: ', 'credentials: ', 'credentials: { env: ');
  const url = fc.constantFrom('', 'http://u:sesame@p.net:1', 'socks5://sesame@p.net', '//sesame');
  fc.assert(
    fc.property(exit, fc.oneof(secret, url), (where, what) => {
      const ends = where.includes('{') ? ' }' : '';
      const text = `paths:\n  p:\n    proxy: "http://p.net:1"\n    ${where}${what}${ends}\n`;
      assert.doesNotMatch(refused(text).join('\n'), /sesame/);
    }),
    { numRuns: 400 },
  );
});

test('texts made to exhaust a reader are refused soon', () => {
  const hostile = {
    brackets: '['.repeat(1_000_000),
    maps: '{a: '.repeat(200_000),
    dashes: '- '.repeat(500_000),
    keys: Array.from({ length: 20_000 }, (_, i) => `k${i}:`).join('\n'),
    'one key': 'k: 1\n'.repeat(20_000),
    aliases: `a: &a 1\nb: [${'*a,'.repeat(50_000)}]`,
    chain: Array.from(
      { length: 20_000 },
      (_, i) => `k${i}: &k${i} [${i ? `*k${i - 1}` : ''}]`,
    ).join('\n'),
    digits: `cluster: ${'9'.repeat(1_000_000)}`,
    duration: `policy: { interval: ${'9'.repeat(500_000)}x }`,
  };
  for (const [name, text] of Object.entries(hostile)) {
    const started = process.cpuUsage();
    refused(text);
    const { user, system } = process.cpuUsage(started);
    const ms = (user + system) / 1000;
    assert.ok(ms < 10_000, `${name}: ${ms} ms`);
  }
});

// ---------------------------------------------------------------- for editors

interface Shape {
  properties?: Record<string, Shape>;
  additionalProperties?: Shape | boolean;
  anyOf?: Shape[];
  required?: string[];
  const?: unknown;
  pattern?: string;
  patternProperties?: object;
  items?: Shape;
}

const cadence = ['interval', 'timeout', 'confirm', 'fall', 'rise'];

test('the JSON Schema knows every key, every provider and every check', () => {
  const schema = jsonSchema(tables) as Shape;
  assert.deepEqual(JSON.parse(JSON.stringify(schema)), schema, 'it is plain JSON');
  assert.deepEqual(Object.keys(schema.properties!).toSorted(), [
    ...[
      'api',
      'audit',
      'channels',
      'clouds',
      'cluster',
      'clusterKey',
      'delegation',
      'dns',
      'drills',
      'gateHold',
      'group',
      'include',
      'listen',
      'log',
      'metrics',
      'notify',
      'origins',
      'page',
      'paths',
    ],
    ...['policy', 'providers', 'records', 'replica', 'replicas', 'sla', 'socket', 'stateDir'],
    'timezone',
  ]);
  assert.deepEqual(schema.required!.toSorted(), ['cluster', 'origins', 'providers', 'records']);
  const below = (shape: Shape) => shape.additionalProperties as Shape;
  const rows = below(schema.properties!['providers']!).anyOf!;
  const ofPackage = rows.pop()!;
  const name = new RegExp(ofPackage.properties!['type']!.pattern!);
  assert.ok(name.test('npm:detour-provider-x') && !name.test('npm:../x'));
  assert.equal(ofPackage.additionalProperties, undefined, 'its settings are its own');
  assert.deepEqual(
    rows.map((row) => row.properties!['type']!.const),
    Object.keys(providerTypes),
  );
  for (const row of rows) {
    assert.equal(row.additionalProperties, false);
    assert.ok(row.required!.includes('type') && !row.required!.includes('timeout'));
    assert.ok(row.properties!['nameservers'] && row.properties!['timeout']);
  }
  const checks = below(below(schema.properties!['origins']!).properties!['checks']!).anyOf!;
  const checkOfPackage = checks.pop()!;
  assert.deepEqual(Object.keys(checkOfPackage.patternProperties!), [name.source]);
  assert.deepEqual(Object.keys(checkOfPackage.properties!), [
    ...cadence,
    'advisory',
    'hold',
    'paths',
  ]);
  assert.equal(checks.length, Object.keys(checkTypes).length);
  for (const [i, kind] of Object.keys(checkTypes).entries()) {
    const { properties, required } = checks[i]!;
    assert.ok(required!.includes(kind));
    for (const key of [kind, ...cadence, 'advisory', 'hold', 'paths']) {
      assert.ok(properties![key], `${kind}: ${key}`);
    }
  }
  const services = below(below(schema.properties!['clouds']!).anyOf![0]!.properties!['checks']!);
  const references = below(schema.properties!['policy']!.properties!['references']!);
  for (const [i, kind] of Object.keys(checkTypes).entries()) {
    const [service, reference] = [services.anyOf![i]!, references.anyOf![i]!];
    assert.ok(service.required!.includes(kind) && service.required!.includes('plane'));
    assert.ok(['region', 'paths', ...cadence].every((key) => service.properties![key]));
    assert.ok(reference.required!.includes(kind) && !reference.required!.includes('plane'));
    assert.ok(cadence.every((key) => reference.properties![key]));
    assert.equal(reference.properties!['advisory'], undefined);
  }
  const path = below(schema.properties!['paths']!).anyOf![0]!.properties!;
  assert.deepEqual(Object.keys(path).toSorted(), [
    ...['blackbox', 'ca', 'cloud', 'credentials', 'labels', 'localAddress', 'module', 'proxy'],
    ...['references', 'resolver', 'site', 'uplink'],
  ]);
});

test('a notify or dns section gets its own defaults when it stands there in part', () => {
  const text = stringify({ ...good, notify: { command: ['true'] }, dns: { port: 54 } });
  const { notify, dns } = accepted(text).config;
  assert.deepEqual(notify, {
    type: 'command',
    settings: { command: ['true'], timeout: 10_000 },
  });
  assert.deepEqual(dns, { port: 54, roots: null, resolvers: null, timeoutMs: 1000 });
});

test('who is told is chosen by one word of the table, whose row reads the rest unquoted', () => {
  const one = notifierTypes['command']!;
  const two = { ...tables, notifiers: { command: one, page: { ...one, key: 'page' } } };
  const problems = (notify: unknown) => {
    const parsed = parseConfig(stringify({ ...good, notify }), 'c', two);
    return parsed.ok ? [] : parsed.problems.map((p) => p.message);
  };
  assert.deepEqual(problems({ command: ['true'] }), []);
  assert.deepEqual(problems({ comand: ['true'] }), [
    'expected one way to tell, command or page, got none; did you mean command?',
  ]);
  assert.deepEqual(problems({ command: ['true'], page: ['false'] }), [
    'expected one way to tell, command or page, got command and page',
  ]);
  assert.deepEqual(problems('mail'), ['expected one way to tell, command or page, got none']);
  assert.ok(!problems({ command: 'hunter2' }).join().includes('hunter2'));
});

// ---------------------------------------------------------------- the cluster key, and edits

const withKey = (text: string) => `clusterKey: ${text}\n${stringify(good)}`;

test('a cluster key is a reference, or a list of them while it is rotated', () => {
  const one = accepted(withKey('{ file: /k }'));
  assert.deepEqual([one.config.core.signed, one.config.clusterKeys], [true, [{ file: '/k' }]]);
  const two = accepted(withKey('[{ credential: new }, { env: OLD }]'));
  assert.deepEqual(two.config.clusterKeys, [{ credential: 'new' }, { env: 'OLD' }]);
  for (const text of ['a-key-written-out', '[]', '[a-key-written-out]', '{ file: /k, env: K }']) {
    const said = refused(withKey(text)).join('\n');
    assert.match(said, /clusterKey/);
    assert.doesNotMatch(said, /a-key-written-out/, 'what may be a key is never quoted');
  }
});

test('without a cluster key a warning says what is lost', () => {
  const { config, warnings } = accepted(stringify(good));
  assert.equal(config.core.signed, false);
  assert.ok(
    warnings.some((w) => /no clusterKey: .*init --key-only/.test(w)),
    warnings.join(),
  );
  assert.ok(!accepted(withKey('{ file: /k }')).warnings.some((w) => w.includes('clusterKey')));
});

test('the control API is off, or read as it stands with what vouches for it', () => {
  assert.equal(accepted(stringify(good)).config.api, null);
  const api = {
    ...{ listen: '0.0.0.0:9443', cert: '/etc/detour/api.crt', key: '/etc/detour/api.key' },
    tokens: { ops: { token: { env: 'OPS' }, role: 'operate' } },
    ...{ names: ['Detour.example.net', '192.0.2.7'], url: 'https://API.example.net:9443/' },
  };
  const { config, warnings } = accepted(stringify({ ...good, api }));
  assert.deepEqual(config.api, {
    ...{ listen: { host: '0.0.0.0', port: 9443 }, cert: api.cert, key: api.key },
    tokens: api.tokens,
    names: ['detour.example.net.', '192.0.2.7', 'api.example.net.'],
    url: 'https://api.example.net:9443',
  });
  assert.match(warnings.join('\n'), /no clusterKey: it signs links/);
  const signed = { ...good, clusterKey: { env: 'KEY' }, api };
  assert.doesNotMatch(accepted(stringify(signed)).warnings.join('\n'), /signs links/);
});

test('drift is read as edits for one version, with a warning, and not beside it', () => {
  const of = (line: string) => stringify(good).replace('mode: steer', `mode: steer\n    ${line}`);
  for (const [old, now] of [
    ['report', 'hold'],
    ['repair', 'mend'],
  ] as const) {
    const { config, warnings } = accepted(of(`drift: ${old}`));
    assert.equal(config.core.records['www.example.net.']!.edits, now);
    assert.ok(
      warnings.some((w) => w.includes(`is read as \`edits: ${now}\``)),
      warnings.join(),
    );
  }
  assert.match(refused(of('drift: report\n    edits: mend')).join(), /its new name/);
  assert.match(refused(of('edits: repair')).join(), /edits/);
});

test('edits: follow is warned of each time, with the vendors that it trusts', () => {
  const of = (line: string) => stringify(good).replace('mode: steer', `mode: steer\n    ${line}`);
  const { warnings } = accepted(of('edits: follow'));
  assert.ok(warnings.some((w) => /edits: follow: whoever can edit it at cf or r53/.test(w)));
  assert.ok(!accepted(of('edits: mend')).warnings.some((w) => w.includes('edits: follow')));
});

test('mode approve and hooks: of the policy or of the record, and of the core only what decides', () => {
  const before = { command: ['/bin/prepare', '--now'], silence: 'stay' };
  const asks = {
    mode: 'approve',
    approveAfter: '2m',
    hooks: { before: { ...before, timeout: '5s' } },
  };
  const records = {
    'www.example.net': { ...good.records['WWW.example.net'], ...asks },
    'api.example.net': { ...good.records['WWW.example.net'], mode: 'approve' },
    'img.example.net': { ...good.records['WWW.example.net'], approveAfter: '1m' },
  };
  const after = { command: ['/bin/tell'], timeout: '1m' };
  const policy = { hooks: { after } };
  const { config, warnings } = accepted(stringify({ ...good, policy, records }));
  const www = config.core.records['www.example.net.']!;
  assert.equal(www.mode, 'approve');
  assert.equal(www.approveAfterMs, 120_000);
  assert.deepEqual(www.hooks, { before: { timeoutMs: 5000, silence: 'stay' }, after: null });
  assert.deepEqual(config.hooks['www.example.net.']?.before?.command, before.command);
  const api = config.core.records['api.example.net.']!;
  assert.equal(api.approveAfterMs, undefined);
  assert.deepEqual(api.hooks, { before: null, after: { timeoutMs: 60_000 } });
  assert.ok(warnings.some((w) => /approveAfter: nobody is asked in this mode/.test(w)));
  const old = accepted(stringify(good)).config;
  assert.deepEqual(old.hooks, {});
  assert.equal('hooks' in old.core.records['www.example.net.']!, false);
  assert.equal('approveAfterMs' in old.core.records['www.example.net.']!, false);
});
