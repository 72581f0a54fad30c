// Of the suite: what must be left alone, and what the vendor will never take.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { marker, move, never, type Stage } from './stage.ts';

export function refusalStory(stage: Stage): void {
  /** Refused as one record's trouble; which of the two words depends on who notices. */
  const refuses = async (change: ReturnType<typeof move>): Promise<void> => {
    const { fault, reach } = stage.faultOf(await stage.put(change));
    assert.ok(fault.kind === 'rejected' || fault.kind === 'conflict', fault.kind);
    assert.deepEqual(reach, { kind: 'record' });
    await stage.gives(change.name, [], []);
  };

  test('a record that must be refused: an address at the name', async () => {
    const name = stage.fresh();
    await stage.account.edit(name, 'A', ['192.0.2.1'], 300);
    const seen = await stage.see(name);
    assert.equal(seen.refusal?.word, 'other-type');
    assert.match(seen.refusal.sentence, /\bA\b/);
    await refuses(move(name, seen, 'b.example.com.', 1));
  });

  test('an address that came after the reading is not hidden by a CNAME', async () => {
    const name = stage.fresh();
    const nothing = await stage.see(name);
    await stage.account.edit(name, 'A', ['192.0.2.1'], 300);
    await refuses(move(name, nothing, 'b.example.com.', 1));
  });

  test('a record that must be refused: the zone’s own name', async () => {
    const { zone } = stage.account;
    const answer = (await stage.provider.read([zone], never()))[zone];
    // Some vendors say it of the name, some find no zone that could hold it.
    if (answer?.kind === 'answered') return assert.equal(answer.value.refusal?.word, 'apex');
    const { fault, reach } = stage.faultOf(answer);
    assert.deepEqual([fault.kind, reach], ['rejected', { kind: 'record' }]);
  });

  test('what only this vendor knows is refused, and left alone', async (t) => {
    const { oddities } = stage.account;
    if (oddities.length === 0) return t.skip('missing: records of the vendor’s own kind');
    for (const { word, what, make } of oddities) {
      const name = stage.fresh();
      await make(name);
      const seen = await stage.see(name);
      assert.equal(seen.refusal?.word, word, what);
      stage.faultOf(await stage.put(move(name, seen, 'b.example.com.', 1)));
      const after = await stage.see(name);
      assert.equal(after.refusal?.word, word, what);
      assert.deepEqual(after.markers, [], what);
    }
  });

  test('a TTL under the vendor’s floor is rejected with the cure', async (t) => {
    const facts = await stage.provider.zone(`www.${stage.account.zone}`, never());
    assert.ok(facts.ok);
    const floor = facts.value.ttlMin;
    if (floor === null || floor < 2) return t.skip('missing: a floor under the TTL');
    const { name, from } = await stage.begun();
    const to = { cname: 'b.example.com.', ttl: floor - 1, marker: marker(2) };
    const { fault } = stage.faultOf(await stage.put({ name, from, to }));
    assert.equal(fault.kind, 'rejected');
    assert.ok(fault.cure);
    await stage.stands(name, 'a.example.com.', marker(1));
  });
}
