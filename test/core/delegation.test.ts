// The plan of an eviction: what it may take out and put back, what it refuses, and for whatever is seen
// that two vendors which answer are left and nobody else's server is touched.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { mayEvict, planDelegation, type VendorFacts } from '../../src/core/delegation.ts';
import {
  type DelegationMarker,
  delegationInput,
  delegationMarkerName,
  formatDelegation,
  markerName,
  parseDelegation,
  parseMarker,
} from '../../src/core/marker.ts';
import type { Name, NsSeen } from '../../src/core/model.ts';

const zone: Name = 'gslb.example.net.';
const parentZone: Name = 'example.net.';
const servers = (vendor: string) => [1, 2].map((n) => `ns${n}.${vendor}.example.`);
const names = ['r53', 'cf', 'ali'] as const;
const all = names.flatMap(servers);

function seen(list: readonly Name[], markers: readonly string[] = [], ttl = 300): NsSeen {
  return { servers: list, fixed: [], ttl, markers, ref: null };
}

function vendor(provider: string, more: Partial<VendorFacts> = {}): VendorFacts {
  const plain = { provider, vendor: provider, servers: servers(provider), speaks: true };
  return { ...plain, behind: null, apex: 'it cannot be changed there', ...more };
}

type Situation = Parameters<typeof planDelegation>[1];

function situation(more: Partial<Situation> = {}): Situation {
  return {
    ...{ cluster: 'shop', parentZone, parent: seen(all), id: 'abc123' },
    vendors: names.map((name) => vendor(name)),
    proves: (m) => m.mac === 'x'.repeat(22),
    distrust: () => null,
    ...more,
  };
}

const evict = (provider: string) => ({ kind: 'evict', provider, zone }) as const;
const readmit = (provider: string) => ({ kind: 'readmit', provider, zone }) as const;

function planned(...asked: Parameters<typeof planDelegation>) {
  const plan = planDelegation(...asked);
  assert.ok(plan.kind === 'plan', plan.kind === 'refused' ? plan.sentence : '');
  return plan;
}

function refused(...asked: Parameters<typeof planDelegation>): string {
  const plan = planDelegation(...asked);
  assert.ok(plan.kind === 'refused', 'it is refused');
  assert.ok(plan.cure.length > 5);
  return plan.sentence;
}

const marker = (more: Partial<DelegationMarker> = {}): DelegationMarker => ({
  ...{ cluster: 'shop', zone, epoch: 4, id: 'before', out: [], mac: 'x'.repeat(22) },
  ...more,
});
const text = (more: Partial<DelegationMarker> = {}) => formatDelegation(marker(more));

test('a vendor goes out: its own servers alone, under the next epoch', () => {
  const stranger = 'ns.stranger.example.';
  const parent = seen([...all, stranger], [text({ out: ['old'] }), 'of somebody else']);
  const plan = planned(evict('ali'), situation({ parent }));
  assert.deepEqual(plan.left, [...servers('r53'), ...servers('cf'), stranger]);
  assert.deepEqual(plan.parent?.others, ['of somebody else']);
  const { epoch, out, id, mac } = plan.marker;
  assert.deepEqual(
    { epoch, out, id, mac },
    { epoch: 5, out: ['ali', 'old'], id: 'abc123', mac: undefined },
  );
});

test('two vendors that answer are the least', () => {
  const two = (more: Partial<VendorFacts>) =>
    situation({ vendors: [vendor('r53'), vendor('cf', more), vendor('ali')] });
  assert.match(refused(evict('ali'), two({ speaks: false })), /would be r53; cf did not answer/);
  assert.match(
    refused(evict('ali'), two({ vendor: 'r53' })),
    /2 vendors that answer are the least/,
  );
  assert.match(refused(evict('ali'), two({ servers: null })), /would be r53/);
  const parent = seen([...servers('r53'), ...servers('ali')]);
  assert.match(refused(evict('ali'), situation({ parent })), /would be r53/);
});

test('never where those left would not be believed', () => {
  const asked: (readonly string[])[] = [];
  const distrust = (left: readonly string[]) => {
    asked.push(left);
    return left.includes('ali') ? null : 'the parent has a DS that they do not sign by';
  };
  assert.match(refused(evict('ali'), situation({ distrust })), /who validates .* a DS that they/);
  assert.deepEqual(asked, [['r53', 'cf']]);
  const back = situation({
    parent: seen([...servers('r53'), ...servers('cf')]),
    distrust: () => 'no',
  });
  assert.match(refused(readmit('ali'), back), /with ali back who validates/);
});

test('who comes back answers, and answers as the others do', () => {
  const parent = seen([...servers('r53'), ...servers('cf')], [text({ out: ['ali'] })]);
  const with_ = (more: Partial<VendorFacts>) =>
    situation({ parent, vendors: [vendor('r53'), vendor('cf'), vendor('ali', more)] });
  assert.match(refused(readmit('ali'), with_({ speaks: false })), /no name server of ali answers/);
  assert.match(refused(readmit('ali'), with_({ behind: 'it gives x' })), /not in step: it gives x/);
  const plan = planned(readmit('ali'), with_({}));
  assert.deepEqual(plan.left, all.toSorted());
  assert.deepEqual(plan.marker.out, []);
});

test('apexes: what was taken out is put back there, and no other is written', () => {
  const vendors = [
    vendor('r53', { apex: seen(all, [], 3600) }),
    vendor('cf', { apex: seen(servers('cf')) }),
    vendor('ali', { apex: seen(all) }),
  ];
  const out = planned(evict('ali'), situation({ vendors }));
  assert.deepEqual(
    out.apexes.map((a) => [a.provider, a.to]),
    [['r53', all.slice(0, 4)]],
  );
  assert.equal(out.ttlSeconds, 3600, 'the longest that anybody keeps it');
  const gone = text({ out: ['ali'] });
  const after = [
    vendor('r53', { apex: seen(all.slice(0, 4), [gone]) }),
    vendor('cf', { apex: seen(servers('cf')) }),
    vendor('ali'),
  ];
  const parent = seen(all.slice(0, 4), [gone]);
  const back = planned(readmit('ali'), situation({ vendors: after, parent }));
  assert.deepEqual(
    back.apexes.map((a) => a.provider),
    ['r53'],
  );
});

test('an apex that only the vendor fills is never emptied; one of a later order is left', () => {
  const vendors = [
    vendor('r53', { apex: seen(servers('ali')) }),
    vendor('cf', { apex: seen(all, [text({ epoch: 9 })]) }),
    vendor('ali'),
  ];
  assert.deepEqual(
    planned(evict('ali'), situation({ vendors })).apexes.map((a) => a.provider),
    ['cf'],
  );
  const done = text({ out: ['ali'], epoch: 7 });
  const parent = seen(all.slice(0, 4), [done]);
  assert.deepEqual(planned(evict('ali'), situation({ vendors, parent })).apexes, []);
});

test('half done: the parent has it, and the rest follows under its epoch', () => {
  const done = marker({ out: ['ali'], epoch: 7 });
  const parent = seen(all.slice(0, 4), [formatDelegation(done)]);
  const vendors = [vendor('r53', { apex: seen(all) }), vendor('cf'), vendor('ali')];
  const plan = planned(evict('ali'), situation({ parent, vendors }));
  assert.equal(plan.parent, null);
  assert.deepEqual(plan.marker, done);
  assert.deepEqual(
    plan.apexes.map((a) => a.provider),
    ['r53'],
  );
});

test('markers: another cluster’s refuses, an unproven one counts for nothing', () => {
  const of = (more: Partial<DelegationMarker>) => situation({ parent: seen(all, [text(more)]) });
  assert.match(
    refused(evict('ali'), of({ cluster: 'other' })),
    /the cluster other has the delegation/,
  );
  assert.equal(planned(evict('ali'), of({ epoch: 99, mac: 'y'.repeat(22) })).marker.epoch, 1);
  assert.equal(planned(evict('ali'), of({ epoch: 99, zone: 'sub.example.net.' })).marker.epoch, 1);
  assert.match(refused(evict('ali'), of({ epoch: 2 ** 48 })), /no epoch is left/);
});

test('what is not known is not guessed', () => {
  assert.match(refused(evict('nobody'), situation()), /publishes nothing in/);
  const vendors = [vendor('r53'), vendor('cf'), vendor('ali', { servers: null })];
  assert.match(refused(evict('ali'), situation({ vendors })), /is not known/);
  assert.match(refused(evict('ali'), situation({ parent: seen([]) })), /it delegates nothing/);
});

test('whatever is seen: two vendors that answer are left, and only its servers go', () => {
  const anyVendor = fc.record({
    speaks: fc.boolean(),
    isKnown: fc.boolean(),
    isIn: fc.boolean(),
    vendor: fc.constantFrom('a', 'b', 'c', 'd'),
  });
  fc.assert(
    fc.property(fc.array(anyVendor, { minLength: 1, maxLength: 5 }), (drawn) => {
      const vendors = drawn.map((v, i) =>
        vendor(`p${i}`, {
          ...{ vendor: v.vendor, speaks: v.speaks },
          servers: v.isKnown ? servers(`p${i}`) : null,
        }),
      );
      const stranger = 'ns.stranger.example.';
      const list = [...drawn.flatMap((v, i) => (v.isIn ? servers(`p${i}`) : [])), stranger];
      const plan = planDelegation(evict('p0'), situation({ vendors, parent: seen(list) }));
      if (plan.kind === 'refused') return;
      const gone = list.filter((name) => !plan.left.includes(name));
      assert.ok(gone.every((name) => servers('p0').includes(name)));
      assert.ok(plan.left.includes(stranger) && plan.left.every((name) => list.includes(name)));
      const alive = vendors.filter(
        (v, i) => i > 0 && v.speaks && v.servers?.some((name) => plan.left.includes(name)),
      );
      assert.ok(new Set(alive.map((v) => v.vendor)).size >= 2);
    }),
  );
});

test('the text of a marker is read back, and nothing else is taken for one', () => {
  const anyMarker = fc.record({
    cluster: fc.stringMatching(/^[a-z0-9-]{1,40}$/),
    zone: fc.constant(zone),
    epoch: fc.integer({ min: 0, max: 2 ** 48 }),
    id: fc.stringMatching(/^[a-z0-9]{1,32}$/),
    out: fc.uniqueArray(
      fc.stringMatching(/^[a-z0-9-]{1,40}$/).filter((s) => s !== 'none'),
      { maxLength: 3 },
    ),
    mac: fc.constant('x'.repeat(22)),
  });
  fc.assert(
    fc.property(anyMarker, (m) => {
      const read = parseDelegation(formatDelegation(m));
      assert.deepEqual(read, { ...m, out: m.out.toSorted() });
      assert.equal(delegationInput(read!), delegationInput(m));
      assert.equal(parseMarker(formatDelegation(m)), null);
    }),
  );
  fc.assert(
    fc.property(fc.string(), (any) => {
      const read = parseDelegation(any);
      assert.ok(read === null || formatDelegation(read).length > 0);
    }),
  );
  const twice = `${text()} out=ali`;
  for (const wrong of [twice, text().replace('epoch=4', 'epoch=04'), 'detour-delegation=2 a=b']) {
    assert.equal(parseDelegation(wrong), null, wrong);
  }
  assert.notEqual(delegationMarkerName(zone), markerName(zone));
});

test('it is proposed where a zone can be written and two vendors are left', () => {
  const publish = names.map((provider) => ({ provider, ttl: 60 }));
  assert.match(mayEvict({ evictable: true, publish }, ['ali']) ?? '', /detour evict ali --reason/);
  assert.equal(mayEvict({ publish }, ['ali']), null);
  assert.equal(mayEvict({ evictable: true, publish }, ['ali', 'cf']), null);
});
