// Two zones at one account of each cloud vendor, one of them sick in every way that the lab has: the
// other's record is read and written in the same calls, and what is said of the sick one's is that
// zone's, with what would cure it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { markerName } from '../../src/core/marker.ts';
import type { Answer, Change, FaultKind, Name, Reach, Seen } from '../../src/core/model.ts';
import type { Provider } from '../../src/kit/extend.ts';
import type { LabVendor } from '../../src/lab/vendors/vendor.ts';
import { type Account, rows, zone } from '../parts/accounts.ts';
import { marker, markerText } from '../parts/answers.ts';

/** What an answer must be: read or taken all the same, or a fault of this kind and reach. */
type Wanted = 'answered' | readonly [kind: FaultKind, reach: Reach['kind'], hasCure: boolean];

/** By vendor and sickness: to a reading, to a write, and to an account opened meanwhile. */
const sicknesses: Readonly<Record<string, Readonly<Record<string, readonly Wanted[]>>>> = {
  route53: {
    deleted: [zonewide('rejected'), zonewide('rejected'), ofOne('rejected')],
    // Locked by AWS: it can be read.
    paused: ['answered', ofOne('rejected'), 'answered'],
    moved: [zonewide('auth-suspect'), zonewide('auth-suspect'), ofOne('rejected')],
    denied: [zonewide('auth-suspect'), zonewide('auth-suspect'), zonewide('auth-suspect')],
    hang: [silent('unavailable'), silent('uncertain'), silent('unavailable')],
    error: [silent('unavailable'), silent('unavailable'), silent('unavailable')],
  },
  cloudflare: {
    deleted: [zonewide('rejected'), zonewide('rejected'), ofOne('rejected')],
    // The vendor takes changes of both.
    paused: [zonewide('rejected'), 'answered', zonewide('rejected')],
    moved: [zonewide('rejected'), 'answered', zonewide('rejected')],
    // A token sees only the zones it may use.
    denied: [zonewide('auth-suspect'), zonewide('auth-suspect'), ofOne('rejected')],
    hang: [silent('unavailable'), silent('uncertain'), silent('unavailable')],
    error: [silent('unavailable'), silent('unavailable'), silent('unavailable')],
  },
  alidns: {
    // Looked for again by the write: nobody knows of a zone any more.
    deleted: [zonewide('rejected'), ofOne('rejected'), ofOne('rejected')],
    // Locked by the vendor: it can be read.
    paused: ['answered', zonewide('rejected'), 'answered'],
    moved: [zonewide('rejected'), ofOne('rejected'), ofOne('rejected')],
    denied: [zonewide('auth-suspect'), zonewide('auth-suspect'), ofOne('auth-suspect')],
    hang: [silent('unavailable'), silent('uncertain'), ['unavailable', 'record', false]],
    error: [silent('unavailable'), silent('unavailable'), ['unavailable', 'record', false]],
  },
  dnspod: {
    deleted: [zonewide('rejected'), ofOne('rejected'), ofOne('rejected')],
    // It can be read and written, and is served to nobody.
    paused: ['answered', 'answered', 'answered'],
    moved: [zonewide('rejected'), ofOne('rejected'), ofOne('rejected')],
    denied: [zonewide('auth-suspect'), zonewide('auth-suspect'), ofOne('auth-suspect')],
    hang: [silent('unavailable'), silent('uncertain'), ['unavailable', 'record', false]],
    error: [silent('unavailable'), silent('uncertain'), ['unavailable', 'record', false]],
  },
};

function zonewide(kind: FaultKind): Wanted {
  return [kind, 'zone', true];
}

function ofOne(kind: FaultKind): Wanted {
  return [kind, 'record', true];
}

/** Nothing but waiting cures it. */
function silent(kind: FaultKind): Wanted {
  return [kind, 'zone', false];
}

const never = (): AbortSignal => new AbortController().signal;

function seenIn(answer: Answer<Seen> | undefined): Seen {
  assert.ok(answer?.kind === 'answered', JSON.stringify(answer));
  return answer.value;
}

function check(answer: Answer<unknown> | undefined, wanted: Wanted, sickZone: Name): void {
  const said = JSON.stringify(answer);
  if (wanted === 'answered') return assert.equal(answer?.kind, 'answered', said);
  assert.ok(answer?.kind === 'fault', said);
  const { fault, reach } = answer;
  assert.deepEqual([fault.kind, reach.kind, fault.cure !== undefined], wanted, said);
  if (reach.kind === 'zone') assert.equal(reach.zone, sickZone);
}

for (const [type, ways] of Object.entries(sicknesses)) {
  describe(`${type}: one of two zones is sick`, () => {
    let account: Account;
    let vendor: LabVendor;
    let sickZone: Name;
    let [ill, well]: Name[] = [];
    const opened: Provider[] = [];
    const open = (): Provider => {
      opened.push(account.open({ callTimeoutMs: 600 }));
      return opened.at(-1)!;
    };

    before(async () => {
      account = await rows.find((r) => r.capabilities.type === type)!.start();
      vendor = account.vendor!;
      sickZone = account.secondZone!.zone;
      [ill, well] = [`www.${sickZone}`, `www.${zone}`];
    });
    after(async () => {
      for (const provider of opened) provider.close();
      await account?.close();
    });

    /** Both at a., read by one that is open already; what it would change. */
    async function begun(): Promise<{ provider: Provider; changes: Change[] }> {
      vendor.zoneFault(sickZone, null);
      for (const name of [ill!, well!]) {
        await account.edit(name, 'CNAME', 'a.example.com.', 300);
        await account.edit(markerName(name), 'TXT', markerText(1), 300);
      }
      const provider = open();
      const to = { cname: 'b.example.com.', ttl: 300, marker: marker(2) };
      const read = await provider.read([ill!, well!], never());
      const changes = [ill!, well!].map((name) => ({ name, from: seenIn(read[name]), to }));
      return { provider, changes };
    }

    test('every way the lab has is in the table', () => {
      const alone = vendor.zoneFaults.filter((how) => how !== 'throttle');
      assert.deepEqual(Object.keys(ways).toSorted(), alone.toSorted());
    });

    for (const [how, [reading, writing, meanwhile]] of Object.entries(ways)) {
      test(how, async () => {
        const { provider, changes } = await begun();
        vendor.zoneFault(sickZone, how);
        const read = await provider.read([ill!, well!], never());
        assert.equal(seenIn(read[well!]).cnames[0]?.value, 'a.example.com.');
        check(read[ill!], reading!, sickZone);
        const [sick, sound] = await provider.write(changes, never());
        check(sick, writing!, sickZone);
        assert.equal(sound?.kind, 'answered', JSON.stringify(sound));
        const other = await open().read([ill!, well!], never());
        assert.equal(seenIn(other[well!]).cnames[0]?.value, 'b.example.com.');
        check(other[ill!], meanwhile!, sickZone);
        vendor.zoneFault(sickZone, null);
        const healed = await provider.read([ill!, well!], never());
        assert.equal(seenIn(healed[ill!]).cnames.length, 1, 'and it is read again');
      });
    }
  });
}
