// Who has a vote on what: groups against a naive closure, ballots against the engine's own quorum,
// and the table that an operator reads, word by word.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { providerTypes } from '../../providers/index.ts';
import { parseConfig, printProblem } from '../../src/config/config.ts';
import {
  ballotsOf,
  groupPaths,
  neededOf,
  type PlacedPath,
  voteTable,
} from '../../src/config/votes.ts';
import { quorum } from '../../src/core/detect.ts';
import type { CoreConfig, QuorumRule } from '../../src/core/model.ts';
import { notifierTypes } from '../../src/notify/index.ts';
import { checkTypes, pathProblem } from '../../src/probes/index.ts';

const tables = {
  providers: providerTypes,
  checks: checkTypes,
  notifiers: notifierTypes,
  pathProblem,
};

const web = { http: 'https://a.example.com/' };
const base = {
  cluster: 'shop',
  providers: { cf: { type: 'cloudflare', apiToken: { env: 'CF' } } },
  paths: {
    'line-a': { site: 'office' },
    'line-b': { site: 'office', localAddress: '192.0.2.7' },
    tokyo: { cloud: 'west', proxy: 'socks5://p.example.jp:1080' },
    sydney: { proxy: 'http://p.example.au:3128' },
  },
  clouds: { east: { checks: { oss: { plane: 'service', ...web, paths: ['tokyo', 'sydney'] } } } },
  origins: {
    a: { cloud: 'east', needs: ['oss'], checks: { web } },
    b: { cloud: 'west', checks: { web } },
    c: { cloud: 'west', checks: { web, hint: { ...web, advisory: true, paths: ['sydney'] } } },
  },
  records: {
    'www.example.net': {
      mode: 'steer',
      publish: ['cf'],
      targets: [
        { origin: 'a', cname: 'a.example.com' },
        { origin: 'b', cname: 'b.example.com' },
      ],
    },
  },
};

function coreOf(config: object): CoreConfig {
  const parsed = parseConfig(stringify({ ...base, ...config }), 'f', tables);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.problems.map(printProblem).join('\n'));
  return parsed.config.core;
}

const head =
  'Who has a vote: paths that share a site, an uplink, a cloud, a label or the way out are one ' +
  'group.\n\n';

test('the table says for each origin who votes, who does not and why, and how many must agree', () => {
  assert.equal(
    voteTable(coreOf({})),
    `${head}a
  web: quorum majority, 2 of 3 must agree (2 of 2 when others are blind); with fewer in sight it stays
    line-a+line-b  one vote by line-a, line-b
    tokyo          one vote
    sydney         one vote
  east:oss: quorum majority, 2 of 2 must agree; with fewer in sight it stays
    line-a+line-b  no vote: not probing this
    tokyo          one vote
    sydney         one vote

b, c
  web: quorum majority, 2 of 2 must agree; with fewer in sight it stays
    line-a+line-b  one vote by line-a, line-b
    tokyo          no vote: in west itself
    sydney         one vote
`,
  );
});

test('the table tells a group that decides alone, a share, all, and parts of a group', () => {
  const paths = {
    near: { site: 'x', cloud: 'east' },
    far: { site: 'x', localAddress: '192.0.2.7' },
    third: { site: 'x', localAddress: '192.0.2.8' },
    other: { localAddress: '192.0.2.9' },
  };
  const origins = {
    a: { cloud: 'east', paths: ['near', 'far'], checks: { web } },
    b: { cloud: 'west', quorum: '50%', checks: { web } },
    c: { cloud: 'north', quorum: 'all', checks: { web } },
    d: { cloud: 'north', quorum: 1, checks: { web } },
    e: { cloud: 'north', quorum: 0.125, checks: { web } },
  };
  assert.equal(
    voteTable(coreOf({ paths, origins, clouds: { east: null } })),
    `${head}a
  web: quorum majority, 1 of 1: it decides alone
    far+near+third  one vote by far (near in east itself, third not probing this)
    other           no vote: not probing this

b
  web: quorum 50%, 2 of 2 must agree; with fewer in sight it stays
    far+near+third  one vote by near, far, third
    other           one vote

c
  web: quorum all, 2 of 2 must agree; with fewer in sight it stays
    far+near+third  one vote by near, far, third
    other           one vote

d
  web: quorum 1 group, 1 of 2 must agree (1 of 1 when others are blind)
    far+near+third  one vote by near, far, third
    other           one vote

e
  web: quorum 12.5%, 2 of 2 must agree; with fewer in sight it stays
    far+near+third  one vote by near, far, third
    other           one vote
`,
  );
});

test('no ballot is found for an origin that is not configured, nor through a prototype', () => {
  const core = coreOf({});
  assert.deepEqual(ballotsOf(core, 'nowhere'), []);
  assert.deepEqual(ballotsOf(core, 'constructor'), []);
});

test('many origins with the same votes stand together', () => {
  const origins = Object.fromEntries(
    ['a', 'b', ...Array.from({ length: 20 }, (_, i) => `o${i}`)].map((name) => [
      name,
      { cloud: 'north', checks: { web } },
    ]),
  );
  const table = voteTable(coreOf({ origins, clouds: { east: null } }));
  assert.match(table, /\n\na, b, o0, o1, o2, o3, o4, o5, … \(22 in all\)\n/);
  assert.equal(table.split('\n').length, 8);
});

const domain = fc.tuple(fc.constantFrom('site', 'uplink', 'rack'), fc.constantFrom('x', 'y', 'z'));
const placed = fc
  .array(fc.array(domain, { maxLength: 3 }), { minLength: 1, maxLength: 8 })
  .map((all): PlacedPath[] => all.map((domains, i) => ({ name: `p${i}`, domains })));

test('two paths are in one group exactly when a chain of shared values leads between them', () => {
  fc.assert(
    fc.property(placed, (paths) => {
      const { groupOf, ties } = groupPaths(paths);
      const shares = (a: PlacedPath, b: PlacedPath) =>
        a.domains.some(([k, v]) => b.domains.some(([l, w]) => k === l && v === w));
      for (const start of paths) {
        const reached = new Set([start]);
        for (const at of reached) {
          for (const next of paths) if (shares(at, next)) reached.add(next);
        }
        const names = [...reached].map((p) => p.name).toSorted();
        assert.equal(groupOf.get(start.name), names.join('+'));
      }
      // One reason for each path that is not the first of its group, and each reason holds.
      assert.equal(ties.length, paths.length - new Set(groupOf.values()).size);
      for (const { paths: pair, domain: key, value } of ties) {
        for (const name of pair) {
          const { domains } = paths.find((p) => p.name === name)!;
          assert.ok(domains.some(([k, v]) => k === key && v === value));
        }
      }
    }),
    { numRuns: 300 },
  );
});

const rule: fc.Arbitrary<QuorumRule> = fc.oneof(
  fc.constant<QuorumRule>({ kind: 'majority' }),
  fc.constant<QuorumRule>({ kind: 'all' }),
  fc.integer({ min: 1, max: 6 }).map((groups): QuorumRule => ({ kind: 'count', groups })),
  fc
    .double({ min: 0.01, max: 1, noNaN: true })
    .map((share): QuorumRule => ({ kind: 'share', share })),
);

test('a quorum can be met by all who vote exactly when the engine would find it met', () => {
  fc.assert(
    fc.property(rule, fc.integer({ min: 0, max: 8 }), (r, voting) => {
      const needed = neededOf({ rule: r, voting });
      const down = quorum(Array(voting).fill('down'), r) === 'down';
      assert.equal(needed <= voting, down);
      if (!down) return;
      const votes = (failing: number) =>
        Array.from({ length: voting }, (_, i) => (i < failing ? ('down' as const) : 'up'));
      assert.equal(quorum(votes(needed), r), 'down');
      assert.notEqual(quorum(votes(needed - 1), r), 'down');
    }),
  );
});
