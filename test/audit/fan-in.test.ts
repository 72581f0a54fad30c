// The audit's finding about names that move one by one: which of them are one crowd, from which size
// on it is told, with what a switch takes at which vendor, and the name that would stand for all.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alidns } from '../../providers/alidns.ts';
import { dnspod } from '../../providers/dnspod.ts';
import { route53 } from '../../providers/route53.ts';
import { lookAtFanIn } from '../../src/audit/fan-in.ts';
import type { Name, RecordConfig } from '../../src/core/model.ts';
import type { Capabilities, Provider } from '../../src/kit/extend.ts';
import { recordAt, zone } from './world.ts';

const capabilities: Readonly<Record<string, Capabilities>> = {
  ali: alidns.capabilities,
  dp: dnspod.capabilities,
  r53: route53.capabilities,
};

function told(all: readonly RecordConfig[]) {
  const said: { place: object; sentence: string; cure: string }[] = [];
  const providers = Object.fromEntries(
    Object.entries(capabilities).map(([name, c]) => [name, { capabilities: c } as Provider]),
  );
  lookAtFanIn({
    ...{ all, providers },
    warn: (place, word, sentence, cure) => {
      assert.equal(word, 'fan-in');
      said.push({ place, sentence, cure });
    },
  });
  return said;
}

function many(count: number, at: readonly string[], more: object = {}, below: Name = zone) {
  return Array.from({ length: count }, (_, i) => recordAt(`r${i}.${below}`, at, more));
}

test('a thousand names at vendors that take one by one: what a switch takes there, and the cure', () => {
  const [one, ...others] = told(many(1000, ['r53', 'ali', 'dp']));
  assert.deepEqual(others, []);
  assert.deepEqual(one!.place, { zone, provider: 'ali' });
  assert.match(one!.sentence, /^1000 names of gslb\.example\.net\. have the same targets/);
  assert.match(one!.sentence, /2000 writes at ali, 62 s; 2000 writes at dp, 24 s/);
  assert.doesNotMatch(one!.sentence, /r53/, 'a batch takes all of them');
  assert.match(
    one!.cure,
    /such as shared\.gslb\.example\.net\., and let r0\.\S+ r1\.\S+ r2\.\S+ and 997 more/,
  );
  assert.match(one!.cure, /one name more/);
});

test('few names, quick vendors and names that differ hear nothing', () => {
  assert.deepEqual(told(many(49, ['ali'])), []);
  assert.deepEqual(told(many(100, ['ali'])), [], 'over within a few seconds');
  assert.deepEqual(told(many(5000, ['r53'])), []);
  const targets = [{ origin: 'tokyo', cname: 'nrt.shop.test.' }];
  const all = [
    ...many(120, ['ali']),
    ...many(120, ['ali'], { patienceMs: 1000 }, `p.${zone}`),
    ...many(120, ['ali'], { targets }, `t.${zone}`),
    ...many(120, ['dp'], {}, `d.${zone}`),
  ];
  assert.deepEqual(told(all), [], 'four crowds, each of them small');
});

test('names that users type may differ; two crowds of a zone have a name each', () => {
  const first = many(200, ['ali']).map((r, i) => ({ ...r, names: [`n${i}.shop.test.`] }));
  const second = many(200, ['ali'], { patienceMs: 5 }).map((r) => ({ ...r, name: `x${r.name}` }));
  const taken = recordAt(`shared.${zone}`, ['ali'], { mode: 'observe' });
  const cures = told([...first, ...second, taken]).map(({ cure }) => cure);
  assert.equal(cures.length, 2);
  assert.match(cures[0]!, /such as shared-2\./);
  assert.match(cures[1]!, /such as shared-3\./);
});
