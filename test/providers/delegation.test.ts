// NS sets at each vendor, the lab's and real servers: what stands is read, a change is made whole against
// what was read, and whoever is behind or at work at the same time changes nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Name, NsPlace, NsSeen, Result } from '../../src/core/model.ts';
import type { DelegationHands, Provider } from '../../src/kit/extend.ts';
import { type Account, rows, zone } from '../parts/accounts.ts';

const child: NsPlace = { zone, name: `child.${zone}` };
const apex: NsPlace = { zone, name: zone };
const host = (n: number, of = 'vendor') => `ns${n}.${of}.example.`;
const all = [1, 2, 3, 4].map((n) => host(n));
const marker = (epoch: number, of = child.name) =>
  `detour-delegation=1 cluster=shop zone=${of} epoch=${epoch} id=e${epoch} out=none`;
const signal = () => AbortSignal.timeout(20_000);

function taken<T>(result: Result<T>): T {
  assert.ok(result.ok, result.ok ? '' : `${result.fault.kind}: ${result.fault.detail}`);
  return result.value;
}

function kindOf(result: Result<null>): string {
  return result.ok ? 'done' : result.fault.kind;
}

async function read(hands: DelegationHands, place = child): Promise<NsSeen> {
  return taken(await hands.read(place, signal()));
}

const plain = ({ servers, markers }: NsSeen) => ({
  servers: servers.toSorted(),
  markers: markers.toSorted(),
});

/** The first set at the cut: by a person at the console, or as the first change of one's own. */
async function seed(account: Account, hands: DelegationHands): Promise<void> {
  if (account.vendor !== null) return account.vendor.edit(child.name, 'NS', all, 600);
  const from = await read(hands);
  taken(await hands.write({ place: child, from, to: { servers: all, markers: [] } }, signal()));
}

/** Without one server, and with the marker of that change. */
function without(from: NsSeen, n: number, epoch: number, place = child) {
  const servers = from.servers.filter((name) => name !== host(n));
  return { place, from, to: { servers, markers: [marker(epoch, place.name)] } };
}

for (const row of rows) {
  const can = row.capabilities.delegation;
  if (can === undefined || row.givesLater === true) continue;
  test(`NS sets at ${row.title}`, { skip: row.skip }, async (t) => {
    const account = await row.start();
    const open: Provider[] = [];
    const another = (): DelegationHands => {
      const provider = account.open({ callTimeoutMs: 5000 });
      open.push(provider);
      return provider.delegation!;
    };
    try {
      const [me, you] = [another(), another()];
      await seed(account, me);
      await t.test('what stands is read, and a change is made whole', async () => {
        const before = await read(me);
        assert.deepEqual(plain(before), { servers: all, markers: [] });
        assert.ok(before.ttl! > 0);
        taken(await me.write(without(before, 1, 1), signal()));
        const servers = all.slice(1);
        assert.deepEqual(plain(await read(you)), { servers, markers: [marker(1)] });
        assert.equal((await read(you)).ttl, before.ttl, 'under the TTL that it had');
        const stale = await you.write(without(before, 2, 1), signal());
        assert.equal(kindOf(stale), 'conflict', 'what was read stands no more');
        assert.deepEqual(plain(await read(me)).servers, servers);
      });
      await t.test('two at once from one reading: one is made', async () => {
        const before = await read(me);
        const both = [
          me.write(without(before, 2, 2), signal()),
          you.write(without(before, 3, 2), signal()),
        ];
        const kinds = (await Promise.all(both)).map(kindOf).toSorted();
        // Of two between the same two readings a vendor without any fence notices one at the most.
        if (row.capabilities.type === 'powerdns') assert.ok(kinds.includes('done'), kinds.join());
        else
          assert.match(
            kinds.join(),
            /^(conflict,done|done,throttled)$/,
            'the other changes nothing',
          );
        const after = await read(you);
        assert.equal(after.servers.length, 2);
        assert.deepEqual(after.markers, [marker(2)]);
      });
      await t.test('never an empty set; what others wrote beside it stays', async () => {
        const before = await read(me);
        const none = { place: child, from: before, to: { servers: [], markers: [] } };
        assert.equal(kindOf(await me.write(none, signal())), 'rejected');
        assert.deepEqual(plain(await read(me)), plain(before));
        const markers = [...before.markers, marker(9, `other.${zone}`)];
        const same = before.servers;
        taken(
          await me.write({ place: child, from: before, to: { servers: same, markers } }, signal()),
        );
        const now = await read(me);
        const back = { servers: all, markers: [marker(3), marker(9, `other.${zone}`)] };
        taken(await me.write({ place: child, from: now, to: back }, signal()));
        assert.deepEqual(plain(await read(you)), plain({ ...now, ...back }));
      });
      await t.test(can.apex ? 'the apex, too' : 'the apex is refused', async () => {
        const found = await me.read(apex, signal());
        if (!can.apex) return assert.equal(found.ok, false);
        const before = taken(found);
        assert.ok(before.servers.length + before.fixed.length > 0);
        const others: readonly Name[] = [host(1, 'other'), host(2, 'other')];
        const to = { servers: [...before.servers, ...others], markers: [marker(4, zone)] };
        const from = { ...before };
        taken(
          await me.write(
            { place: apex, from, to: { ...to, markers: [...before.markers, ...to.markers] } },
            signal(),
          ),
        );
        const more = await read(you, apex);
        assert.deepEqual(more.servers.toSorted(), to.servers.toSorted());
        const rest = more.servers.filter((name) => name !== others[0]);
        taken(
          await you.write(
            { place: apex, from: more, to: { servers: rest, markers: more.markers } },
            signal(),
          ),
        );
        assert.deepEqual((await read(me, apex)).servers.toSorted(), rest.toSorted());
        const late = {
          place: apex,
          from: more,
          to: { servers: before.servers, markers: [marker(5, zone)] },
        };
        if (row.capabilities.type !== 'route53') {
          assert.equal(kindOf(await me.write(late, signal())), 'conflict');
        }
      });
    } finally {
      for (const provider of open) provider.close();
      await account.close();
    }
  });
}
