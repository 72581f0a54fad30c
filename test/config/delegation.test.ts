// `delegation:` is refused where an eviction could not leave two vendors, or could not be written; and
// a provider's cloud follows from its type unless it is said.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig, printProblem } from '../../src/config/config.ts';
import { delegatedZone, vendorOf } from '../../src/config/delegation.ts';
import { tables } from '../../src/run/build.ts';

const base = `cluster: shop
clusterKey: { env: KEY }
providers:
  r53: { type: route53, credentials: { file: /etc/detour/aws.json } }
  cf: { type: cloudflare, apiToken: { env: CF } }
  ali: { type: alidns, accessKeyId: { env: A }, accessKeySecret: { env: B } }
delegation:
  gslb.example.net: { provider: r53, zone: example.net }
origins:
  a: { cloud: aliyun, checks: { web: { http: "https://a.example.com/" } } }
  b: { cloud: aws, checks: { web: { http: "https://b.example.com/" } } }
records:
  www.gslb.example.net:
    publish: [r53, cf, ali]
    targets: [{ origin: a, cname: a.example.com }, { origin: b, cname: b.example.com }]
`;

function problems(text: string): string {
  const parsed = parseConfig(text, 'detour.yaml', tables);
  return parsed.ok ? '' : parsed.problems.map(printProblem).join('\n');
}

test('three vendors and a parent whose keys are here: it is good', () => {
  const parsed = parseConfig(base, 'detour.yaml', tables);
  assert.ok(parsed.ok, problems(base));
  const { delegations, core, providers } = parsed.config;
  assert.deepEqual(delegations, { 'gslb.example.net.': { provider: 'r53', zone: 'example.net.' } });
  assert.equal(core.records['www.gslb.example.net.']?.evictable, true);
  assert.deepEqual(
    Object.values(providers).map((p) => p.cloud),
    ['aws', 'cloudflare', 'aliyun'],
  );
});

const wrong: readonly (readonly [what: string, text: string, says: RegExp])[] = [
  ['two vendors', base.replace('[r53, cf, ali]', '[r53, cf]'), /at 2 vendors alone \(r53 and cf\)/],
  [
    'two accounts at one vendor',
    base
      .replace('cf, ali]', 'cf, more]')
      .replace('delegation:', '  more: { type: cloudflare, apiToken: { env: D } }\ndelegation:'),
    /at 2 vendors alone/,
  ],
  ['no key', base.replace(/clusterKey.*\n/, ''), /needs a clusterKey/],
  [
    'a parent that is none',
    base.replace('zone: example.net', 'zone: example.org'),
    /not lie below/,
  ],
  ['the zone itself', base.replace('zone: example.net', 'zone: gslb.example.net'), /not lie below/],
  ['a registrar', base.replace('provider: r53, zone', 'provider: gandi, zone'), /at a registrar/],
  [
    'no record in it',
    base.replace(/ {2}gslb\.example\.net:/, '  x.example.net:'),
    /no record lies/,
  ],
  ['an odd key', base.replace(/ {2}gslb\.example\.net:/, '  "a b":'), /expected/],
];
for (const [what, text, says] of wrong) {
  test(`refused: ${what}`, () => assert.match(problems(text), says));
}

test('a provider that only holds the parent is no idle one', () => {
  const more = '  top: { type: route53, credentials: { env: TOP } }\ndelegation:';
  const text = base
    .replace('delegation:', more)
    .replace('provider: r53, zone', 'provider: top, zone');
  const parsed = parseConfig(text, 'detour.yaml', tables);
  assert.ok(parsed.ok, problems(text));
  const warned = parsed.warnings.map(printProblem).join('\n');
  assert.doesNotMatch(warned, /providers\.top.*no record is published/);
});

test('the nearest zone, and whom a provider counts as', () => {
  const zones = ['example.net.', 'gslb.example.net.'];
  assert.equal(delegatedZone(zones, 'www.gslb.example.net.'), 'gslb.example.net.');
  assert.equal(delegatedZone(zones, 'www.example.org.'), null);
  assert.equal(vendorOf('own', { cloud: null }), 'own');
  assert.equal(vendorOf('a', { cloud: 'aliyun' }), vendorOf('b', { cloud: 'alibaba-prod' }));
});
