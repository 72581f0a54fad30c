// Of the suite: what is made, moved and left as it is. Every change is looked up at the vendor.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatMarker, MARKER_NUMBER_MAX } from '../../core/marker.ts';
import type { Marker } from '../../core/model.ts';
import { marker, move, never, type Stage, told } from './stage.ts';

export function writeStory(stage: Stage): void {
  test('the zone: its name and its servers', async () => {
    const { zone } = stage.account;
    const facts = await stage.provider.zone(`www.${zone}`, never());
    assert.ok(facts.ok);
    assert.equal(facts.value.zone, zone);
    assert.ok(facts.value.nameServers.length > 0);
    assert.ok(facts.value.ttlMin === null || facts.value.ttlMin > 0);
  });

  test('a name nobody owns: nothing stands there, and it is made by a plain create', async () => {
    const name = stage.fresh();
    const nothing = await stage.see(name);
    assert.deepEqual([nothing.cnames, nothing.markers, nothing.refusal], [[], [], null]);
    await stage.make(move(name, nothing, 'a.example.com.', 1));
    await stage.stands(name, 'a.example.com.', marker(1));
  });

  test('a marker that may come later comes with the next change of its switch', async () => {
    const { name, from } = await stage.begun();
    await stage.make({ ...move(name, from, 'b.example.com.', 2), settle: 'later' });
    const seen = await stage.see(name);
    assert.deepEqual(seen.cnames, [{ value: 'b.example.com.', ttl: 300 }]);
    const left = marker(stage.capabilities.settlesLater === true ? 1 : 2);
    assert.deepEqual(seen.markers, [formatMarker(left)]);
    await stage.make(move(name, seen, 'b.example.com.', 2));
    await stage.stands(name, 'b.example.com.', marker(2));
  });

  test('adopt it: a person’s CNAME is read in the house’s form and left as it is', async () => {
    const name = stage.fresh();
    await stage.account.edit(name, 'CNAME', ['A.Example.COM.'], 777);
    const seen = await stage.see(name);
    assert.deepEqual(seen.cnames, [{ value: 'a.example.com.', ttl: 777 }]);
    const to = { cname: 'a.example.com.', ttl: 777, marker: marker(1) };
    await stage.make({ name, from: seen, to });
    await stage.stands(name, 'a.example.com.', marker(1), 777);
    await stage.make(move(name, await stage.see(name), 'b.example.com.', 2));
    await stage.stands(name, 'b.example.com.', marker(2));
  });

  test('move it: CNAME and marker follow, and no moment is without an answer', async () => {
    const { name } = await stage.begun();
    await stage.stands(name, 'a.example.com.', marker(1));
    const answers = new Set<string>();
    let moving = true;
    const watch = (async () => {
      while (moving) {
        for (const values of await stage.account.look(name, 'CNAME')) answers.add(values.join());
        // A fake answers without ever leaving this turn; the mover must have its own.
        await new Promise((done) => setImmediate(done));
      }
    })();
    for (let epoch = 2; epoch <= 5; epoch++) {
      const cname = epoch % 2 === 0 ? 'b.example.com.' : 'a.example.com.';
      await stage.make(move(name, await stage.see(name), cname, epoch));
    }
    await stage.stands(name, 'a.example.com.', marker(5));
    moving = false;
    await watch;
    answers.delete('a.example.com.');
    answers.delete('b.example.com.');
    assert.deepEqual([...answers], []);
  });

  moreStory(stage);
}

/** What else a write may be of, and what may be written twice. */
function moreStory(stage: Stage): void {
  test('a TTL alone is moved, too', async () => {
    const { name, from } = await stage.begun();
    const to = { cname: 'a.example.com.', ttl: 600, marker: marker(2) };
    await stage.make({ name, from, to });
    await stage.stands(name, 'a.example.com.', marker(2), 600);
  });

  test('a TTL alone is moved under the marker that stands', async () => {
    const { name, from } = await stage.begun();
    await stage.make({ name, from, to: { cname: 'a.example.com.', ttl: 600, marker: marker(1) } });
    await stage.stands(name, 'a.example.com.', marker(1), 600);
    const again = { cname: 'b.example.com.', ttl: 600, marker: marker(2) };
    await stage.make({ name, from: await stage.see(name), to: again });
    await stage.stands(name, 'b.example.com.', marker(2), 600);
  });

  test('prepared and given back: its TTL goes down to the least there, and up', async () => {
    const { name } = await stage.begun();
    const facts = await stage.provider.zone(name, never());
    assert.ok(facts.ok);
    const { ttlMin } = facts.value;
    for (const ttl of [ttlMin ?? 60, 300]) {
      const from = await stage.see(name);
      if (from.ttlMin !== undefined) assert.equal(from.ttlMin, ttlMin, 'as its zone says');
      await stage.make({ name, from, to: { cname: 'a.example.com.', ttl, marker: marker(1) } });
      await stage.stands(name, 'a.example.com.', marker(1), ttl);
    }
  });

  for (const [what, bound] of Object.entries(bounds)) {
    test(`the ${what} marker that is ever written comes back whole`, async () => {
      const name = stage.fresh();
      const to = { cname: 'b.example.com.', ttl: 300, marker: bound };
      await stage.make({ name, from: await stage.see(name), to });
      await stage.stands(name, 'b.example.com.', bound);
    });
  }

  test('the same change twice does no harm', async () => {
    const { name, from } = await stage.begun();
    const change = move(name, from, 'b.example.com.', 2);
    await stage.make(change);
    const again = await stage.put(change);
    if (again.kind !== 'answered') assert.equal(stage.faultOf(again).fault.kind, 'conflict');
    await stage.stands(name, 'b.example.com.', marker(2));
  });

  severalStory(stage);
}

/** A name in the configuration has at most 40 characters. */
const bounds: Readonly<Record<string, Marker>> = {
  longest: {
    cluster: 'c'.repeat(40),
    epoch: MARKER_NUMBER_MAX,
    id: '9'.repeat(32),
    term: MARKER_NUMBER_MAX,
    kind: 'operator',
    target: 't'.repeat(40),
    pinned: true,
    pinMs: 9_999_999_999_999,
  },
  shortest: {
    cluster: 'c',
    epoch: 1,
    id: '0',
    term: 1,
    kind: 'auto',
    target: 't',
    pinned: false,
    pinMs: null,
  },
};

function severalStory(stage: Stage): void {
  const { writeMax } = stage.capabilities;
  const single = writeMax < 3 ? 'missing: several changes in one write' : false;

  test('several changes in one write: a stale one holds up no other, in their order', {
    skip: single,
  }, async () => {
    const all = [await stage.begun(), await stage.begun(), await stage.begun()];
    const stale = all[1]!;
    await stage.make(move(stale.name, stale.from, 'x.example.com.', 9));
    const answers = await stage.provider.write(
      all.map(({ name, from }) => move(name, from, 'b.example.com.', 2)),
      never(),
    );
    assert.deepEqual(
      answers.map((a) => a.kind),
      ['answered', 'fault', 'answered'],
    );
    const { fault, reach } = stage.faultOf(answers[1]);
    assert.deepEqual([fault.kind, reach], ['conflict', { kind: 'record' }]);
    await stage.stands(all[0]!.name, 'b.example.com.', marker(2));
    await stage.stands(stale.name, 'x.example.com.', marker(9));
    await stage.stands(all[2]!.name, 'b.example.com.', marker(2));
  });

  test('as many changes as a write takes: what was not sent is told, and sent next', async () => {
    const names = Array.from({ length: Math.min(writeMax, 30) }, () => stage.fresh());
    let open = names;
    while (open.length > 0) {
      const seen = await stage.seeAll(open);
      const changes = open.map((name) => move(name, seen.get(name)!, 'a.example.com.', 1));
      const answers = await stage.provider.write(changes, never());
      assert.equal(answers.length, open.length, 'one answer a change');
      for (const answer of answers) if (answer.kind !== 'not-asked') told(answer);
      const left = open.filter((_, i) => answers[i]!.kind === 'not-asked');
      assert.ok(left.length < open.length, 'a write that sends nothing');
      for (const [, { markers }] of await stage.seeAll(left)) assert.deepEqual(markers, []);
      open = left;
    }
    for (const name of names) await stage.stands(name, 'a.example.com.', marker(1));
  });
}
