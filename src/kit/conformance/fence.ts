// Of the suite: who comes late loses, as far as the vendor's fence goes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatMarker, markerName } from '../../core/marker.ts';
import { marker, move, type Stage } from './stage.ts';

export function fenceStory(stage: Stage): void {
  const fence = stage.capabilities.fence.kind;

  test('a stale writer loses, and nothing of its change is seen', async () => {
    const { name, from } = await stage.begun();
    await stage.make(move(name, from, 'b.example.com.', 2), stage.open());
    await late(stage, move(name, from, 'c.example.com.', 2, 'x'));
    await stage.stands(name, 'b.example.com.', marker(2));
  });

  test('a stale writer loses against a marker alone', async () => {
    const { name, from } = await stage.begun();
    await stage.make(move(name, from, 'a.example.com.', 3), stage.open());
    await late(stage, move(name, from, 'b.example.com.', 2));
    await stage.stands(name, 'a.example.com.', marker(3));
  });

  test('two create the same name: one wins', async () => {
    const name = stage.fresh();
    const nothing = await stage.see(name);
    await stage.make(move(name, nothing, 'a.example.com.', 1, 'one'), stage.open());
    await late(stage, move(name, nothing, 'b.example.com.', 1, 'two'));
    await stage.stands(name, 'a.example.com.', marker(1, 'one'));
  });

  const loose = ['weak', 'none'].includes(fence) ? 'missing: a fence that is strict' : false;
  test('two switches at once: at most one wins, and it is what stands', {
    skip: loose,
  }, async () => {
    const [left, right] = [stage.open(), stage.open()];
    for (let round = 0; round < 4; round++) {
      const { name, from } = await stage.begun();
      const [one, other] = await Promise.all([
        stage.put(move(name, from, 'b.example.com.', 2, 'left'), left),
        stage.put(move(name, from, 'c.example.com.', 2, 'right'), right),
      ]);
      const won = [one, other].map((answer) => answer.kind === 'answered');
      assert.ok(!(won[0] && won[1]), 'both think they won');
      if (won[0]) await stage.stands(name, 'b.example.com.', marker(2, 'left'));
      else if (won[1]) await stage.stands(name, 'c.example.com.', marker(2, 'right'));
    }
  });

  editStory(stage);
}

/** A person at the vendor's console comes between a reading and a write. */
function editStory(stage: Stage): void {
  const fence = stage.capabilities.fence.kind;
  const blind = ['inferred', 'none'].includes(fence)
    ? 'missing: a fence against an edit of the CNAME alone'
    : false;
  test('a human edits between read and write: the edit stands', { skip: blind }, async () => {
    const { name, from } = await stage.begun();
    await stage.account.edit(name, 'CNAME', ['human.example.org.'], 300);
    await late(stage, move(name, from, 'b.example.com.', 2));
    await stage.stands(name, 'human.example.org.', marker(1));
  });

  test('a human removes the marker between read and write: conflict', async () => {
    const { name, from } = await stage.begun();
    await stage.account.edit(markerName(name), 'TXT', [], 300);
    await late(stage, move(name, from, 'b.example.com.', 2));
    await stage.gives(name, ['a.example.com.'], []);
  });

  test('two texts at the marker are told as two; a write leaves them, or one alone', async () => {
    const { name } = await stage.begun();
    const two = [formatMarker(marker(1)), 'something else'];
    await stage.account.edit(markerName(name), 'TXT', two, 300);
    const seen = await stage.see(name);
    assert.deepEqual(seen.markers.toSorted(), two);
    const written = await stage.put(move(name, seen, 'b.example.com.', 2));
    if (written.kind === 'answered') return stage.stands(name, 'b.example.com.', marker(2));
    await stage.gives(name, ['a.example.com.'], two);
  });
}

/** A change that comes too late is a conflict, and its record's alone. */
async function late(stage: Stage, change: ReturnType<typeof move>): Promise<void> {
  const { fault, reach } = stage.faultOf(await stage.put(change));
  assert.deepEqual([fault.kind, reach], ['conflict', { kind: 'record' }], fault.detail);
}
