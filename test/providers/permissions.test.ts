// An adapter asks for nothing but what the permissions allow that providers/README.md names, whatever is
// done with it; and where a key may use one zone alone, that zone is all it needs.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Name } from '../../src/core/model.ts';
import { rows, second, zone } from '../parts/accounts.ts';
import { marker } from '../parts/answers.ts';

const noSignal = new AbortController().signal;

/** What each permission allows, by the lab's names of the vendor's calls. */
const allowed: Readonly<Record<string, (permission: string) => readonly string[]>> = {
  route53: (permission) => [permission.replace('route53:', '')],
  alidns: (permission) => [permission.replace('alidns:', '')],
  dnspod: (permission) => [permission.replace('dnspod:', '')],
  cloudflare: (permission) =>
    ({
      'Zone Read': ['zones.list', 'zones.get'],
      'DNS Write': ['dns.records.list', 'dns.records.batch'],
      'Zone DNS Settings Read': ['dns.settings.zone.get'],
    })[permission] ?? [],
};

/** What any key may ask of itself. */
const free = ['user.tokens.verify'];

for (const [type, operations] of Object.entries(allowed)) {
  test(`${type} needs no permission but those that are named, and all of those`, async (t) => {
    const row = rows.find((r) => r.capabilities.type === type)!;
    const account = await row.start();
    t.after(() => account.close());
    const vendor = account.vendor!;
    const child = `child.${zone}`;
    vendor.edit(child, 'NS', 'ns1.elsewhere.example.');
    vendor.addZone({ name: child, records: [] });
    const provider = account.open();
    t.after(() => provider.close());
    const listed = ['c', 'd', 'e'].map((label) => `${label}.${zone}`);
    const one: Name[] = [`www.${zone}`, `a.b.${zone}`, `www.${child}`, `www.${second}`];
    const names = [...one, ...listed];
    for (const epoch of [1, 2, 3]) {
      for (const some of [names, names.slice(0, 1), names.slice(1, 2)]) {
        const seen = await provider.read(some, noSignal);
        const changes = some.flatMap((name) => {
          const answer = seen[name]!;
          const lines = type === 'dnspod' ? { lines: ['默认', '电信'] } : {};
          const to = { cname: `t${epoch}.example.com.`, ttl: 300, marker: marker(epoch), ...lines };
          return answer.kind === 'answered' ? [{ name, from: answer.value, to }] : [];
        });
        await provider.write(changes, noSignal);
      }
      await provider.zone(names[0]!, noSignal);
      await provider.preflight(names[0]!, noSignal);
    }
    const asked = new Set(vendor.calls.map(({ operation }) => operation));
    const named = row.capabilities.permissions.flatMap(({ permission }) => operations(permission));
    const unnamed = [...asked].filter((operation) => ![...named, ...free].includes(operation));
    assert.deepEqual(unnamed, [], 'name the permission in the adapter’s capabilities');
    // By name a zone is found; by id, where one is configured.
    const byId = ['GetHostedZone', 'zones.get'];
    const idle = named.filter((operation) => !asked.has(operation) && !byId.includes(operation));
    assert.deepEqual(idle, [], 'what is never used is not to be asked for');
  });

  test(`${type}: a key that may use one zone alone needs nothing of the zone above it`, async (t) => {
    const account = await rows.find((r) => r.capabilities.type === type)!.start();
    t.after(() => account.close());
    const vendor = account.vendor!;
    const child = `child.${zone}`;
    vendor.edit(child, 'NS', 'ns1.elsewhere.example.');
    vendor.addZone({ name: child, records: [] });
    vendor.zoneFault(zone, 'denied');
    const provider = account.open();
    t.after(() => provider.close());
    const answer = (await provider.read([`www.${child}`], noSignal))[`www.${child}`]!;
    assert.equal(answer.kind, 'answered', JSON.stringify(answer));
    const facts = await provider.zone(`www.${child}`, noSignal);
    assert.ok(facts.ok && facts.value.zone === child);
  });
}
