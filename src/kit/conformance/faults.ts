// Of the suite: what a broken vendor, a wrong key and an end from outside look like to the loop. A
// write never claims to be done, and what is uncertain is settled by reading again.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Trouble, troubles } from './account.ts';
import { eventually, marker, move, never, type Stage, soon, told } from './stage.ts';

export function faultStory(stage: Stage): void {
  const missing = (how: Trouble): string | null =>
    stage.account.faults.includes(how) ? null : `missing: the fault ${how}`;

  test('the reply is lost: uncertain, and reading again settles it', async (t) => {
    const skip = missing('lost-reply');
    if (skip !== null) return t.skip(skip);
    const { name, from } = await stage.begun();
    await stage.account.fault('lost-reply');
    const { fault } = stage.faultOf(await stage.put(move(name, from, 'b.example.com.', 2)));
    assert.equal(fault.kind, 'uncertain');
    await stage.converge(name, 'b.example.com.', 2);
    await stage.stands(name, 'b.example.com.', marker(2));
  });

  for (const [how, kind] of Object.entries(troubles) as [keyof typeof troubles, string][]) {
    test(`${how}: a reading is ${kind}, a write is never done, and it mends`, async (t) => {
      const skip = missing(how);
      if (skip !== null) return t.skip(skip);
      const { name, from } = await stage.begun();
      // Only what hangs is waited for; everything else answers, however busy this machine is.
      const hasty = stage.open({ callTimeoutMs: how === 'hang' ? 300 : 5000 });
      await eventually('a first reading', async () => {
        return (await hasty.read([name], never()))[name]?.kind === 'answered';
      });
      await stage.account.fault(how);
      assert.equal(stage.faultOf((await hasty.read([name], never()))[name]).fault.kind, kind);
      const written = stage.faultOf(await stage.put(move(name, from, 'b.example.com.', 2), hasty));
      assert.ok([kind, 'uncertain'].includes(written.fault.kind), written.fault.kind);
      await stage.account.fault(null);
      const seen = await stage.see(name);
      assert.ok(['a.example.com.', 'b.example.com.'].includes(seen.cnames[0]?.value ?? ''));
      await stage.converge(name, 'b.example.com.', 2, hasty);
      await stage.stands(name, 'b.example.com.', marker(2));
    });
  }

  test('a vendor that reads the past: a write is never wrong, and converges', async (t) => {
    const skip = missing('stale-read');
    if (skip !== null) return t.skip(skip);
    const { name } = await stage.begun();
    await stage.make(move(name, await stage.see(name), 'b.example.com.', 2));
    await stage.account.fault('stale-read');
    const past = await stage.see(name);
    const written = await stage.put(move(name, past, 'c.example.com.', 3));
    await stage.account.fault(null);
    if (written.kind === 'answered') {
      await stage.stands(name, 'c.example.com.', marker(3));
    } else {
      stage.faultOf(written);
      const seen = await stage.see(name);
      assert.ok(['b.example.com.', 'c.example.com.'].includes(seen.cnames[0]?.value ?? ''));
    }
    await stage.converge(name, 'c.example.com.', 3);
    await stage.stands(name, 'c.example.com.', marker(3));
  });

  test('a wrong key is auth-suspect, for reading and for writing', async () => {
    const { name, from } = await stage.begun();
    const wrong = stage.open({ wrongKey: true });
    const read = (await wrong.read([name], never()))[name];
    // Where reading needs no key, writing does.
    if (read?.kind !== 'answered') assert.equal(stage.faultOf(read).fault.kind, 'auth-suspect');
    const change = move(name, from, 'b.example.com.', 2);
    assert.equal(stage.faultOf(await stage.put(change, wrong)).fault.kind, 'auth-suspect');
    await stage.stands(name, 'a.example.com.', marker(1));
  });

  endStory(stage);
}

/** Told to stop by the signal: of the vendor that says nothing but that it is not known. */
function endStory(stage: Stage): void {
  const ended = (answer: Parameters<Stage['faultOf']>[0]): void => {
    if (answer?.kind === 'not-asked') return;
    assert.equal(stage.faultOf(answer).fault.kind, 'unavailable');
  };

  test('told to stop before it began: it ends at once, and nothing was sent', async () => {
    const { name, from } = await stage.begun();
    const calls = stage.provider.calls;
    const stopped = AbortSignal.abort();
    const read = await soon('a reading', stage.provider.read([name], stopped));
    assert.deepEqual(Object.keys(read), [name]);
    ended(read[name]);
    const change = move(name, from, 'b.example.com.', 2);
    const written = await soon('a write', stage.provider.write([change], stopped));
    assert.equal(written.length, 1);
    ended(written[0]);
    assert.equal(stage.provider.calls, calls, 'calls');
    await stage.stands(name, 'a.example.com.', marker(1));
  });

  test('told to stop while the vendor hangs: it ends then, not at its own limit', async (t) => {
    if (!stage.account.faults.includes('hang')) return t.skip('missing: the fault hang');
    const { name } = await stage.begun();
    const patient = stage.open({ callTimeoutMs: 60_000 });
    told((await patient.read([name], never()))[name]);
    await stage.account.fault('hang');
    const calls = patient.calls;
    const stop = new AbortController();
    const reading = patient.read([name], stop.signal);
    await eventually('it is sent', async () => patient.calls > calls);
    stop.abort();
    const read = await soon('a reading', reading);
    assert.deepEqual(Object.keys(read), [name]);
    ended(read[name]);
  });
}
