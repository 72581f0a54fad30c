// Of the suite: one answer for each name, a fault that reaches no further than it is known to, and
// calls that are counted.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatMarker, markerName } from '../../core/marker.ts';
import type { Name } from '../../core/model.ts';
import { marker, move, never, type Stage, told } from './stage.ts';

const outside = 'www.elsewhere.example.';

export function reachStory(stage: Stage): void {
  const { readMax, writeMax } = stage.capabilities;

  test('one answer for every name, and what was not asked is asked in few rounds', async () => {
    const made = [await stage.begun(), await stage.begun()].map((b) => b.name);
    const rest = Array.from({ length: Math.max(0, readMax - 2) }, () => stage.fresh());
    const names = [...rest, ...made].slice(-readMax);
    let open: readonly Name[] = names;
    let [rounds, room] = [0, 0];
    while (open.length > 0) {
      const read = await stage.provider.read(open, never());
      assert.deepEqual(Object.keys(read).toSorted(), open.toSorted());
      const left = open.filter((name) => read[name]!.kind === 'not-asked');
      for (const name of open.filter((n) => !left.includes(n))) {
        const values = told(read[name]).cnames.map((c) => c.value);
        assert.deepEqual(values, made.includes(name) ? ['a.example.com.'] : []);
      }
      assert.ok(left.length < open.length, 'a reading that asks nothing');
      if (rounds === 0) room = open.length - left.length;
      rounds++;
      open = left;
    }
    assert.ok(rounds <= Math.ceil(names.length / room), `${rounds} rounds with room for ${room}`);
  });

  test('a name in nobody’s zone is rejected with the cure, and holds up no other', async () => {
    const { name } = await stage.begun();
    const read = await stage.provider.read([outside, name], never());
    assert.deepEqual(Object.keys(read).toSorted(), [name, outside].toSorted());
    const { fault, reach } = stage.faultOf(read[outside]);
    assert.deepEqual([fault.kind, reach], ['rejected', { kind: 'record' }]);
    assert.ok(fault.cure);
    const again =
      read[name]!.kind === 'not-asked' ? await stage.provider.read([name], never()) : read;
    assert.equal(told(again[name]).cnames[0]?.value, 'a.example.com.');
  });

  test('a change in nobody’s zone is rejected, and holds up no other', async () => {
    const { name, from } = await stage.begun();
    const nothing = { cnames: [], markers: [], refusal: null, ref: null };
    const bad = move(outside, nothing, 'b.example.com.', 1);
    const good = move(name, from, 'b.example.com.', 2);
    const answers =
      writeMax > 1
        ? await stage.provider.write([bad, good], never())
        : [await stage.put(bad), await stage.put(good)];
    const { fault, reach } = stage.faultOf(answers[0]);
    // Nobody can have read it here: some notice that first.
    assert.ok(['rejected', 'conflict'].includes(fault.kind), fault.detail);
    assert.deepEqual(reach, { kind: 'record' });
    told(answers[1]);
    await stage.stands(name, 'b.example.com.', marker(2));
  });

  callStory(stage);
}

/** What an account says of itself, and what a look at it changes: nothing. */
function callStory(stage: Stage): void {
  const { readMax, callsMax } = stage.capabilities;

  test('calls are counted as the vendor counts them, and are never too many', async (t) => {
    const { name } = await stage.begun();
    const provider = stage.open();
    assert.equal(provider.calls, 0);
    const { requests } = stage.account;
    const counted = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
      const [own, there] = [provider.calls, requests?.() ?? 0];
      const result = await work();
      const grown = provider.calls - own;
      assert.ok(grown > 0 && grown <= callsMax, `${what}: ${grown} calls, ${callsMax} at most`);
      if (requests !== null)
        assert.equal(grown, requests() - there, `${what}: calls at the vendor`);
      return result;
    };
    const names = [name, ...Array.from({ length: readMax - 1 }, () => stage.fresh())];
    const read = await counted('a reading', () => provider.read(names, never()));
    const change = move(name, told(read[name]), 'b.example.com.', 2);
    const [written] = await counted('a write', () => provider.write([change], never()));
    told(written);
    if (requests === null) t.diagnostic('missing: the vendor’s own count of calls');
  });

  test('looking whether it could be written changes nothing, and says its reach', async () => {
    const { name } = await stage.begun();
    for (const finding of await stage.provider.preflight(name, never())) {
      assert.notEqual(finding.severity, 'bad', finding.sentence);
      assert.ok(['record', 'zone', 'account'].includes(finding.reach.kind), finding.sentence);
    }
    await stage.stands(name, 'a.example.com.', marker(1));
    const texts = await stage.account.look(markerName(name), 'TXT');
    for (const list of texts) assert.deepEqual(list, [formatMarker(marker(1))]);
  });
}
