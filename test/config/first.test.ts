// The text of a first configuration: whatever was seen, it parses without a problem, marks what is a
// guess or missing, and nothing from outside gets out of its comment. The words that it is made from.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseConfig, printProblem } from '../../src/config/config.ts';
import { type First, firstText, seenCloud } from '../../src/config/first.ts';
import { readWish, type WishWords } from '../../src/config/wish.ts';
import { inScript } from '../../src/core/name.ts';
import { tables } from '../../src/run/build.ts';
import { anySign } from '../parts/any-sign.ts';

const whole: First = {
  cluster: 'shop',
  keyFile: '/etc/detour/it is: #1.key',
  stateDir: '/srv/it is: #1',
  dns: null,
  providers: [
    {
      name: 'cf',
      spelt: { type: 'cloudflare', apiToken: { env: 'CF' }, zone: 'gslb.example.net' },
      notes: ['the zone gslb.example.net., served by ns1.example.'],
      missing: [],
    },
    {
      name: 'own',
      spelt: {
        type: 'rfc2136',
        server: '192.0.2.53',
        tsig: { name: 'detour', secret: { file: '/etc/detour/tsig' } },
        nameservers: ['192.0.2.53', '198.51.100.53'],
      },
      notes: [],
      missing: ['own could not be asked (timeout): look again later'],
    },
  ],
  origins: [
    {
      ...{ name: 'hz', cname: 'hz.shop.example.', cloud: null, host: 'www.shop.example.' },
      seen: { cloud: 'aliyun', region: 'cn-hangzhou', by: 'slb.cn-hangzhou.aliyuncs.com.' },
    },
    { name: 'tokyo', cname: 'nrt.shop.example.', cloud: 'aws', seen: null, host: null },
  ],
  records: [
    {
      name: 'www.gslb.example.net.',
      ttl: 60,
      publish: [
        { provider: 'cf', ttl: 60, note: null },
        { provider: 'own', ttl: 600, note: 'nothing stands there' },
      ],
      targets: [
        { origin: 'hz', note: 'it stands at cf now' },
        { origin: 'tokyo', note: 'as given by --target' },
      ],
      notes: ['users type www.shop.example.'],
      missing: [],
    },
  ],
  unwritten: [{ name: 'mail.gslb.example.net.', why: 'a value for it: give two by --target' }],
};

function parsed(first: First) {
  const text = firstText(first);
  const read = parseConfig(text, 'first.yaml', tables);
  assert.ok(read.ok, read.ok ? '' : `${read.problems.map(printProblem).join('\n')}\n${text}`);
  return { text, config: read.config };
}

describe('the text', () => {
  test('has a line for each of the records that move together, and says how one could for all', () => {
    const [one] = whole.records;
    const group = ['www', 'api', 'img'].map((label) => {
      const note = { ...one!.targets[0]!, note: `it stands at ${label} now` };
      const targets = [note, one!.targets[1]!];
      return { ...one!, name: `${label}.gslb.example.net.`, targets };
    });
    const other = { ...one!, name: 'old.gslb.example.net.', ttl: 300 };
    const elsewhere = { ...one!, name: 'www.b.gslb.example.net.' };
    const { text, config } = parsed({ ...whole, records: [...group, other, elsewhere] });
    assert.equal(Object.keys(config.core.records).length, 5);
    for (const { name } of group) {
      const { hash: _, ...grouped } = config.core.records[name]!;
      const { hash: __, ...alone } = parsed({ ...whole, records: [{ ...one!, name }] }).config.core
        .records[name]!;
      assert.deepEqual(grouped, alone, 'the same as written out by itself');
    }
    const lines = text.split('\n');
    const at = (name: string) => lines.findIndex((line) => line.startsWith(`  ${name}:`));
    assert.match(lines[at('api.gslb.example.net')]!, /^ {2}api\S+: \{ mode: observe, ttl: 60, /);
    assert.match(lines[at('api.gslb.example.net') - 1]!, /# seen: hz: it stands at api now/);
    assert.equal(text.split('# seen: tokyo: as given by --target').length, 2, 'of all, once');
    assert.match(text, /# 3 records of gslb\.example\.net with the same/);
    assert.match(text, /"Many\n {2}# names, one write"/);
    assert.equal(lines[at('old.gslb.example.net')], '  old.gslb.example.net:');
    assert.equal(lines[at('www.b.gslb.example.net')], '  www.b.gslb.example.net:');
  });

  test('with names in their own script is the same configuration', () => {
    const renamed = JSON.parse(
      JSON.stringify(whole).replaceAll('gslb.example', 'xn--fsqu00a.example'),
    );
    const { text, config } = parsed(renamed as First);
    const own = inScript(text.replaceAll('shop.example', 'xn--fsqu00a.shop'), {
      'xn--fsqu00a': '例子',
    });
    assert.ok(own.includes('  www.例子.example.net:\n') && !own.includes('xn--'), own);
    const read = parseConfig(own, 'first.yaml', tables);
    assert.ok(read.ok, read.ok ? '' : read.problems.map(printProblem).join('\n'));
    assert.deepEqual(Object.keys(read.config.core.records), Object.keys(config.core.records));
    assert.equal(read.config.core.spelling!['xn--fsqu00a'], '例子');
    const asked = Object.values(read.config.probes).map(({ settings }) => JSON.stringify(settings));
    assert.ok(
      asked.some((settings) => settings.includes('xn--fsqu00a.shop')),
      asked.join(),
    );
  });

  test('parses without a problem, in mode observe, guesses and gaps marked', () => {
    const { text, config } = parsed(whole);
    const record = config.core.records['www.gslb.example.net.']!;
    assert.equal(record.mode, 'observe');
    assert.deepEqual(record.publish, [
      { provider: 'cf', ttl: 60 },
      { provider: 'own', ttl: 600 },
    ]);
    assert.deepEqual(config.clusterKeys, [{ file: whole.keyFile }]);
    assert.equal(config.stateDir, whole.stateDir);
    assert.equal(config.core.origins['hz']!.cloud, 'aliyun');
    assert.equal(config.core.origins['hz']!.region ?? null, null, 'a region is only proposed');
    assert.match(text, /# seen: hz\.shop\.example leads to .*aliyuncs\.com.*\n? *#?.*is that so\?/);
    assert.match(text, /# MISSING: mail\.gslb\.example\.net: a value for it/);
    assert.match(text, /# MISSING: own could not be asked/);
    assert.match(text, /#host: www\.example\.com/, 'what users type is not made up');
    assert.ok(text.split('\n').every((line) => line.length <= 110));
  });

  test('with nothing but one target at one vendor, and no cloud known', () => {
    const { text, config } = parsed({
      ...whole,
      stateDir: null,
      dns: { port: 5300, roots: ['127.0.0.1'] },
      providers: [whole.providers[0]!],
      origins: [{ ...whole.origins[0]!, seen: null, host: null }],
      records: [
        {
          ...whole.records[0]!,
          publish: [{ provider: 'cf', ttl: 60, note: null }],
          targets: [{ origin: 'hz', note: 'seen' }],
          missing: ['a second target: give it'],
        },
      ],
    });
    assert.equal(config.dns.port, 5300);
    assert.match(text, /# MISSING: the cloud of hz\.shop\.example/);
    assert.match(text, /cloud: unknown/);
  });

  test('whatever a vendor says stays in its comment', () => {
    const odd = fc.string({ unit: anySign, maxLength: 300 });
    fc.assert(
      fc.property(odd, (text) => {
        const note = `${text}\nmode: steer\u2028x: y\u0085z`;
        const { config } = parsed({
          ...whole,
          providers: [{ ...whole.providers[0]!, missing: [note] }, whole.providers[1]!],
          records: [{ ...whole.records[0]!, notes: [note], missing: [note] }],
          unwritten: [{ name: 'a.example.', why: note }],
        });
        assert.equal(config.core.records['www.gslb.example.net.']!.mode, 'observe');
      }),
      { numRuns: 12 },
    );
  });
});

test('a cloud is known by the listed names alone, and a region only where one says it', () => {
  const table: readonly (readonly [string, string | null, string | null])[] = [
    ['a.elb.ap-northeast-1.amazonaws.com.', 'aws', 'ap-northeast-1'],
    ['my-bucket.oss-cn-hangzhou.aliyuncs.com.', 'aliyun', 'cn-hangzhou'],
    ['1.2.3.4.bc.googleusercontent.com.', 'gcp', null],
    ['x.cos.ap-guangzhou.myqcloud.com.', 'tencent', 'ap-guangzhou'],
    ['x.eastasia.cloudapp.azure.com.', 'azure', null],
    ['amazonaws.com.example.net.', null, null],
    ['notamazonaws.com.', null, null],
    ['hz.shop.example.', null, null],
  ];
  for (const [name, cloud, region] of table) {
    const seen = seenCloud(['www.shop.example.', name]);
    assert.deepEqual([seen?.cloud ?? null, seen?.region ?? null], [cloud, region], name);
  }
});

describe('the words', () => {
  const words: WishWords = {
    names: ['WWW.shop.example'],
    providers: [
      'r53=route53,credentials.accessKeyId=env:ID,credentials.secretAccessKey=credential:k',
    ],
    targets: ['tokyo@aws=nrt.shop.example'],
    ...{ cluster: 'shop', roots: [], resolvers: [], dnsPort: null },
  };

  test('are read by the rows of the configuration', () => {
    const own =
      'own=rfc2136,server=192.0.2.53,tsig.name=d,tsig.secret=file:t,nameservers[]=192.0.2.9';
    const read = readWish({ ...words, providers: [...words.providers, own] }, tables);
    assert.ok(read.ok, JSON.stringify(read));
    const { wish } = read;
    assert.deepEqual(wish.names, ['www.shop.example.']);
    assert.deepEqual(wish.targets, [{ origin: 'tokyo', cloud: 'aws', cname: 'nrt.shop.example.' }]);
    assert.deepEqual(wish.providers[0]!.spelt, {
      type: 'route53',
      credentials: { accessKeyId: { env: 'ID' }, secretAccessKey: { credential: 'k' } },
    });
    assert.deepEqual(wish.config.providers['own']!.nameservers, ['192.0.2.9']);
    const { secret } = wish.providers[1]!.spelt['tsig'] as { secret: { file: string } };
    assert.ok(secret.file.startsWith('/'), 'a path is whole in the file');
  });

  test('that say too little or a thing twice are refused, all at once', () => {
    const twice = [...words.targets, 'tokyo=a.example.net'];
    const read = readWish({ ...words, names: [], providers: [], targets: twice }, tables);
    assert.ok(!read.ok && read.problems.length === 3);
    const port = readWish({ ...words, dnsPort: 'x', cluster: 'My Shop' }, tables);
    assert.ok(!port.ok);
    assert.deepEqual(port.problems.map((text) => text.split(':')[0]).sort(), [
      'cluster',
      'dns.port',
    ]);
  });
});
