// Which zone a name is served from, and how names are spelt, at each vendor in the lab: names in their
// own script, zones within zones, name server records between a zone and a name, wildcards above one.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { nameFrom, namesBetween, spellings } from '../../providers/kit/zone.ts';
import type { Name, Seen } from '../../src/core/model.ts';
import type { Provider } from '../../src/kit/extend.ts';
import type { LabVendor, ZoneSettings } from '../../src/lab/vendors/vendor.ts';
import { type Account, rows, zone } from '../parts/accounts.ts';
import { marker } from '../parts/answers.ts';
import { until } from '../parts/program.ts';

const noSignal = new AbortController().signal;

/** A zone whose name is not ASCII, as each vendor takes one: Alibaba Cloud and DNSPod take Chinese alone. */
const scripts: Readonly<Record<string, Name>> = {
  route53: 'xn--bcher-kva.example.',
  cloudflare: 'xn--bcher-kva.example.',
  alidns: 'xn--fsqu00a.example.',
  dnspod: 'xn--fsqu00a.example.',
};

/** What a zone is at each vendor from which nobody is served. */
const unserved: Readonly<Record<string, ZoneSettings>> = {
  route53: { undelegated: true },
  cloudflare: { undelegated: true, status: 'pending' },
  alidns: {},
  dnspod: { undelegated: true },
};

async function see(provider: Provider, name: Name, others: readonly Name[] = []): Promise<Seen> {
  const answer = (await provider.read([name, ...others], noSignal))[name];
  assert.ok(answer?.kind === 'answered', JSON.stringify(answer));
  return answer.value;
}

/** Sets a name to a value under an epoch, against what stands. */
async function put(provider: Provider, name: Name, cname: Name, epoch: number) {
  const from = await see(provider, name);
  const to = { cname, ttl: 300, marker: marker(epoch) };
  const [written] = await provider.write([{ name, from, to }], noSignal);
  return written!;
}

test('a name is one name in whatever script it is written', () => {
  assert.equal(nameFrom('www.Bücher.example'), 'www.xn--bcher-kva.example.');
  assert.equal(nameFrom('_detour.www.例子.example.'), '_detour.www.xn--fsqu00a.example.');
  // Octets of Route 53 are no script.
  assert.equal(nameFrom('\\052.example.net.'), '*.example.net.');
  assert.deepEqual(spellings('www.xn--bcher-kva.example.'), [
    'www.bücher.example',
    'www.xn--bcher-kva.example',
  ]);
  assert.deepEqual(spellings('www.example.net.'), ['www.example.net']);
  assert.deepEqual(namesBetween('c.', 'x.a.b.c.'), ['b.c.', 'a.b.c.']);
  assert.deepEqual(namesBetween('c.', 'x.c.'), []);
});

for (const type of Object.keys(scripts)) {
  describe(type, () => {
    let account: Account;
    let vendor: LabVendor;
    const opened: Provider[] = [];
    const open = (): Provider => {
      opened.push(account.open());
      return opened.at(-1)!;
    };

    before(async () => {
      account = await rows.find((r) => r.capabilities.type === type)!.start();
      vendor = account.vendor!;
    });
    after(async () => {
      for (const provider of opened) provider.close();
      await account?.close();
    });

    test('a zone and its targets may be named in another script than ASCII', async () => {
      const name = `www.${scripts[type]}`;
      vendor.addZone({ name: scripts[type]!, records: [] });
      const provider = open();
      const facts = await provider.zone(name, noSignal);
      assert.ok(facts.ok && facts.value.zone === scripts[type], JSON.stringify(facts));
      const [one, two] = ['xn--fsqu00a.one.example.', 'two.example.'];
      assert.equal((await put(provider, name, one, 1)).kind, 'answered');
      const seen = await see(
        provider,
        name,
        ['a', 'b', 'c'].map((n) => `${n}.${scripts[type]}`),
      );
      assert.deepEqual([seen.cnames[0]?.value, seen.markers.length, seen.refusal], [one, 1, null]);
      assert.equal((await put(provider, name, two, 2)).kind, 'answered');
      assert.equal((await see(open(), name)).cnames[0]?.value, two);
      const found = await account.look(name, 'CNAME');
      assert.equal(found.length, account.servers.length);
    });

    test('of a zone and one above it in one account, the one that serves the name is taken', async () => {
      const [child, name] = [`child.${zone}`, `www.child.${zone}`];
      const zoneNow = async (provider: Provider) => {
        const facts = await provider.zone(name, noSignal);
        return facts.ok ? facts.value.zone : JSON.stringify(facts);
      };
      vendor.edit(child, 'NS', 'ns1.elsewhere.example.');
      assert.equal((await see(open(), name)).refusal?.word, 'delegated', 'it is nobody’s here');
      vendor.addZone({ name: child, records: [] });
      assert.equal(await zoneNow(open()), child);
      vendor.removeZone(child);
      vendor.edit(child, 'NS', null);
      vendor.addZone({ name: child, records: [], settings: unserved[type]! });
      const provider = open();
      // Alibaba Cloud has no such zone: it answers from when it is added.
      assert.equal(await zoneNow(provider), type === 'alidns' ? child : zone);
      const { calls } = provider;
      assert.equal((await see(provider, name)).refusal, null);
      // Where it lies is remembered, and what stands there is asked for alone.
      assert.ok(provider.calls - calls <= 5, `${provider.calls - calls} calls`);
      assert.equal((await put(provider, name, 'a.example.com.', 1)).kind, 'answered');
      const given = async () => (await account.look(name, 'CNAME')).map(([value]) => value);
      const isGiven = async () => (await given()).every((value) => value === 'a.example.com.');
      await until('every server gives it', 5000, isGiven);
      vendor.removeZone(child);
    });

    test('a name below name server records between it and its zone is refused', async () => {
      const [cut, name] = [`cut.${zone}`, `www.deep.cut.${zone}`];
      const others = ['p', 'q', 'r', 's', 't', 'u'].map((n) => `${n}.${zone}`);
      const provider = open();
      assert.equal((await see(provider, name)).refusal, null);
      vendor.edit(cut, 'NS', ['ns1.elsewhere.example.', 'ns2.elsewhere.example.']);
      for (const many of [[], others]) {
        const { refusal } = await see(provider, name, many);
        assert.equal(refusal?.word, 'delegated');
        assert.match(refusal!.sentence, new RegExp(`NS records at cut\\.${zone}`));
      }
      assert.equal((await see(provider, others[0]!, others)).refusal, null);
      const written = await put(provider, name, 'a.example.com.', 1);
      assert.ok(written.kind === 'fault' && written.fault.kind === 'rejected');
      vendor.edit(cut, 'NS', null);
      assert.equal((await see(provider, name)).refusal, null);
    });

    test('a wildcard above a name is not the name: it is missing, and can be made', async () => {
      const name = `made.${zone}`;
      vendor.edit(`*.${zone}`, 'CNAME', 'everybody.example.com.');
      const provider = open();
      for (const many of [[], ['p', 'q', 'r', 's'].map((n) => `${n}.${zone}`)]) {
        const { cnames, markers, refusal } = await see(provider, name, many);
        assert.deepEqual([cnames, markers, refusal], [[], [], null]);
      }
      assert.equal((await put(provider, name, 'a.example.com.', 1)).kind, 'answered');
      assert.equal((await see(provider, name)).cnames[0]?.value, 'a.example.com.');
      assert.equal((await see(provider, `other.${zone}`)).cnames.length, 0);
      vendor.edit(`*.${zone}`, 'CNAME', null);
    });
  });
}
