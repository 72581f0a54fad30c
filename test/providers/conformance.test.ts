// One story for every DNS provider: what the loop may rely on, whichever vendor it is. What a
// vendor cannot do is named where the story skips it.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { markerName } from '../../src/core/marker.ts';
import type { Change, Fault, Name, Result, Seen } from '../../src/core/model.ts';
import { ask } from '../../src/dns/ask.ts';
import { joinText } from '../../src/dns/wire.ts';
import type { Provider } from '../../src/kit/extend.ts';
import { type Account, type Row, rows, zone } from '../parts/accounts.ts';
import { simRows } from '../sim/account.ts';

const never = (): AbortSignal => new AbortController().signal;

function marker(epoch: number, id = `id${epoch}`): string {
  return `detour=1 cluster=shop epoch=${epoch} id=${id} term=1 kind=auto target=t pin=none`;
}

function faultOf(result: Result<unknown>): Fault {
  assert.ok(!result.ok, 'it should have failed');
  const text = JSON.stringify(result.fault);
  assert.doesNotMatch(text, /of-this-test/, 'a secret is shown');
  assert.ok(result.fault.detail.length > 0 && result.fault.detail.length < 600, text);
  return result.fault;
}

async function eventually(what: string, check: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!(await check())) {
    assert.ok(performance.now() < deadline, `in vain: ${what}`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

/** What a fault on the way must look like to a reader; a write may be `uncertain` besides. */
const meanings: Readonly<Record<string, Fault['kind']>> = {
  hang: 'unavailable',
  refuse: 'unavailable',
  reset: 'unavailable',
  error: 'unavailable',
  html: 'unavailable',
  throttle: 'throttled',
  block: 'throttled',
  auth: 'auth-suspect',
};

const everyRow = [...rows, ...simRows];

describe('every provider', { concurrency: everyRow.length }, () => {
  for (const row of everyRow) {
    describe(row.title, { skip: row.skip, concurrency: 1 }, () => story(row));
  }
});

function story({ capabilities, start }: Row): void {
  let account: Account;
  let provider: Provider;
  let names = 0;
  const opened: Provider[] = [];

  const open = (...options: Parameters<Account['open']>): Provider => {
    const made = account.open(...options);
    opened.push(made);
    return made;
  };
  const fresh = (): Name => `n${++names}.${zone}`;
  const see = async (name: Name, by = provider): Promise<Seen> => {
    const read = await by.read([name], never());
    assert.ok(read.ok, JSON.stringify(read));
    return read.value[name]!;
  };
  const put = async (change: Change, by = provider): Promise<Result<null>> =>
    (await by.write([change], never()))[0]!;
  const move = (name: Name, from: Seen, cname: Name, epoch: number, id?: string): Change => ({
    name,
    from,
    to: { cname, ttl: 300, marker: marker(epoch, id), epoch },
  });
  const stands = async (name: Name, cname: Name, text: string, ttl = 300): Promise<void> => {
    const seen = await see(name);
    assert.deepEqual(seen.cnames, [{ value: cname, ttl }]);
    assert.deepEqual(seen.markers, [text]);
    assert.equal(seen.refusal, null);
  };
  const dns = async (name: Name, type: 'CNAME' | 'TXT'): Promise<string[]> =>
    Promise.all(
      account.servers.map(async (server) => {
        const asked = await ask(server, { name, type }, { timeoutMs: 2000 });
        if (asked.kind !== 'reply') return asked.kind;
        const { answers, authoritative, rcode } = asked.message;
        const found = answers.map((a) =>
          a.type === 'CNAME' ? a.target : a.type === 'TXT' ? joinText(a.strings) : a.type,
        );
        return authoritative ? `${rcode} ${found.join(',')}` : 'not authoritative';
      }),
    );
  const served = (name: Name, cname: Name, text: string): Promise<void> =>
    eventually(`${name} is served as ${cname}`, async () => {
      const all = [await dns(name, 'CNAME'), await dns(markerName(name), 'TXT')];
      return (
        all[0]!.every((a) => a === `NOERROR ${cname}`) &&
        all[1]!.every((a) => a === `NOERROR ${text}`)
      );
    });
  /** A name on a., marked with epoch 1. */
  const begun = async (): Promise<{ name: Name; from: Seen }> => {
    const name = fresh();
    const made = await put(move(name, await see(name), 'a.example.com.', 1));
    assert.ok(made.ok, JSON.stringify(made));
    return { name, from: await see(name) };
  };
  /** What a lane does: reads, and writes again, until it stands. */
  const converge = (name: Name, cname: Name, epoch: number, by = provider): Promise<void> =>
    eventually(`${name} converges on ${cname}`, async () => {
      const read = await by.read([name], never());
      if (!read.ok) return false;
      const seen = read.value[name]!;
      const done = seen.cnames[0]?.value === cname && seen.markers[0] === marker(epoch);
      return done || (await put(move(name, seen, cname, epoch), by)).ok;
    });

  before(async () => {
    account = await start();
    provider = account.open();
    // The SDK of a vendor may take its time to load, once.
    const facts = await provider.zone(`warm.${zone}`, never());
    assert.ok(facts.ok, JSON.stringify(facts));
  });
  afterEach(async () => {
    await account.fault(null);
    for (const made of opened.splice(0)) made.close();
  });
  after(async () => {
    provider?.close();
    await account?.close();
  });

  test('the zone: its name and its servers', async () => {
    const facts = await provider.zone(`www.${zone}`, never());
    assert.ok(facts.ok);
    assert.equal(facts.value.zone, zone);
    assert.ok(facts.value.nameServers.length > 0);
    assert.ok(facts.value.ttlMin === null || facts.value.ttlMin > 0);
  });

  test('a name in nobody’s zone is rejected, with the cure', async () => {
    const fault = faultOf(await provider.read(['www.elsewhere.example.'], never()));
    assert.equal(fault.kind, 'rejected');
    assert.ok(fault.cure);
  });

  test('a name nobody owns: nothing stands there, and it is made by a plain create', async () => {
    const name = fresh();
    const nothing = await see(name);
    assert.deepEqual([nothing.cnames, nothing.markers, nothing.refusal], [[], [], null]);
    assert.ok((await put(move(name, nothing, 'a.example.com.', 1))).ok);
    await stands(name, 'a.example.com.', marker(1));
    await served(name, 'a.example.com.', marker(1));
  });

  test('adopt it: a person’s CNAME is read in the house’s form and left as it is', async () => {
    const name = fresh();
    await account.edit(name, 'CNAME', 'A.Example.COM.', 777);
    const seen = await see(name);
    assert.deepEqual(seen.cnames, [{ value: 'a.example.com.', ttl: 777 }]);
    const to = { cname: 'a.example.com.', ttl: 777, marker: marker(1), epoch: 1 };
    assert.ok((await put({ name, from: seen, to })).ok);
    await stands(name, 'a.example.com.', marker(1), 777);
    assert.ok((await put(move(name, await see(name), 'b.example.com.', 2))).ok);
    await stands(name, 'b.example.com.', marker(2));
  });

  test('move it: CNAME, TTL and marker follow, and never is there a moment without an answer', async () => {
    const { name } = await begun();
    await served(name, 'a.example.com.', marker(1));
    const answers = new Set<string>();
    let moving = true;
    const watch = (async () => {
      while (moving) for (const answer of await dns(name, 'CNAME')) answers.add(answer);
    })();
    for (let epoch = 2; epoch <= 5; epoch++) {
      const cname = epoch % 2 === 0 ? 'b.example.com.' : 'a.example.com.';
      assert.ok((await put(move(name, await see(name), cname, epoch))).ok);
    }
    await served(name, 'a.example.com.', marker(5));
    moving = false;
    await watch;
    const allowed = ['NOERROR a.example.com.', 'NOERROR b.example.com.'];
    assert.deepEqual([...answers].sort(), allowed);
  });

  test('a TTL alone is moved, too', async () => {
    const { name, from } = await begun();
    const to = { cname: 'a.example.com.', ttl: 600, marker: marker(2), epoch: 2 };
    assert.ok((await put({ name, from, to })).ok);
    await stands(name, 'a.example.com.', marker(2), 600);
  });

  test('the longest marker that is ever written comes back whole', async () => {
    const { name, from } = await begun();
    const long = marker(2, '9'.repeat(32)).replace('shop', 'c'.repeat(63)).padEnd(200, '0');
    const to = { cname: 'b.example.com.', ttl: 300, marker: long, epoch: 2 };
    assert.ok((await put({ name, from, to })).ok);
    await stands(name, 'b.example.com.', long);
    await served(name, 'b.example.com.', long);
  });

  test('a stale writer loses, and nothing of its change is seen', async () => {
    const { name, from } = await begun();
    const other = open();
    assert.ok((await put(move(name, from, 'b.example.com.', 2), other)).ok);
    assert.equal(faultOf(await put(move(name, from, 'c.example.com.', 2, 'x'))).kind, 'conflict');
    await stands(name, 'b.example.com.', marker(2));
  });

  test('a stale writer loses against a marker alone', async () => {
    const { name, from } = await begun();
    assert.ok((await put(move(name, from, 'a.example.com.', 3), open())).ok);
    assert.equal(faultOf(await put(move(name, from, 'b.example.com.', 2))).kind, 'conflict');
    await stands(name, 'a.example.com.', marker(3));
  });

  test('two create the same name: one wins', async () => {
    const name = fresh();
    const nothing = await see(name);
    assert.ok((await put(move(name, nothing, 'a.example.com.', 1, 'one'), open())).ok);
    const late = faultOf(await put(move(name, nothing, 'b.example.com.', 1, 'two')));
    assert.equal(late.kind, 'conflict');
    await stands(name, 'a.example.com.', marker(1, 'one'));
  });

  test('the same change twice does no harm', async () => {
    const { name, from } = await begun();
    const change = move(name, from, 'b.example.com.', 2);
    assert.ok((await put(change)).ok);
    const again = await put(change);
    if (!again.ok) assert.equal(again.fault.kind, 'conflict');
    await stands(name, 'b.example.com.', marker(2));
  });

  const weak = capabilities.fence === 'weak' ? 'missing: a fence that is strict' : false;
  test('two switches at once: at most one wins, and it is what stands', {
    skip: weak,
  }, async () => {
    const [left, right] = [open(), open()];
    for (let round = 0; round < 4; round++) {
      const { name, from } = await begun();
      const results = await Promise.all([
        put(move(name, from, 'b.example.com.', 2, 'left'), left),
        put(move(name, from, 'c.example.com.', 2, 'right'), right),
      ]);
      assert.ok(results.filter((r) => r.ok).length <= 1, 'both think they won');
      if (results[0]!.ok) await stands(name, 'b.example.com.', marker(2, 'left'));
      else if (results[1]!.ok) await stands(name, 'c.example.com.', marker(2, 'right'));
    }
  });

  const blind =
    capabilities.fence === 'inferred'
      ? 'missing: a fence against an edit of the CNAME alone'
      : false;
  test('a human edits between read and write: the edit stands', { skip: blind }, async () => {
    const { name, from } = await begun();
    await account.edit(name, 'CNAME', 'human.example.org.');
    assert.equal(faultOf(await put(move(name, from, 'b.example.com.', 2))).kind, 'conflict');
    await stands(name, 'human.example.org.', marker(1));
  });

  test('a human removes the marker between read and write: conflict', async () => {
    const { name, from } = await begun();
    await account.edit(markerName(name), 'TXT', null);
    assert.equal(faultOf(await put(move(name, from, 'b.example.com.', 2))).kind, 'conflict');
    const seen = await see(name);
    assert.equal(seen.cnames[0]?.value, 'a.example.com.');
    assert.deepEqual(seen.markers, []);
  });

  test('two texts at the marker are told as two; a write leaves them, or one alone', async () => {
    const { name } = await begun();
    const two = [marker(1), 'something else'];
    await account.edit(markerName(name), 'TXT', two);
    const seen = await see(name);
    assert.deepEqual([...seen.markers].sort(), two);
    const written = await put(move(name, seen, 'b.example.com.', 2));
    if (written.ok) return stands(name, 'b.example.com.', marker(2));
    const after = await see(name);
    assert.equal(after.cnames[0]?.value, 'a.example.com.');
    assert.deepEqual([...after.markers].sort(), two);
  });

  test('a record that must be refused: an address at the name', async () => {
    const name = fresh();
    await account.edit(name, 'A', '192.0.2.1');
    const seen = await see(name);
    assert.equal(seen.refusal?.word, 'other-type');
    assert.match(seen.refusal.sentence, /\bA\b/);
    const fault = faultOf(await put(move(name, seen, 'b.example.com.', 1)));
    assert.ok(fault.kind === 'rejected' || fault.kind === 'conflict', fault.kind);
    assert.deepEqual((await see(name)).cnames, []);
  });

  test('an address that came after the reading is not hidden by a CNAME', async () => {
    const name = fresh();
    const nothing = await see(name);
    await account.edit(name, 'A', '192.0.2.1');
    const fault = faultOf(await put(move(name, nothing, 'b.example.com.', 1)));
    assert.ok(fault.kind === 'rejected' || fault.kind === 'conflict', fault.kind);
    assert.deepEqual((await see(name)).cnames, []);
  });

  test('a record that must be refused: the zone’s own name', async () => {
    const read = await provider.read([zone], never());
    // Some vendors say it of the name, some find no zone that could hold it.
    if (read.ok) assert.equal(read.value[zone]?.refusal?.word, 'apex');
    else assert.equal(read.fault.kind, 'rejected');
  });

  test('what only this vendor knows is refused, and left alone', async (t) => {
    if (account.oddities.length === 0) return t.skip('missing: records of the vendor’s own kind');
    for (const { word, what, make } of account.oddities) {
      const name = fresh();
      make(name);
      const seen = await see(name);
      assert.equal(seen.refusal?.word, word, what);
      assert.ok(!(await put(move(name, seen, 'b.example.com.', 1))).ok, what);
      const after = await see(name);
      assert.equal(after.refusal?.word, word, what);
      assert.deepEqual(after.markers, [], what);
    }
  });

  test('a TTL under the vendor’s floor is rejected with the cure', async (t) => {
    const facts = await provider.zone(`www.${zone}`, never());
    assert.ok(facts.ok);
    const floor = facts.value.ttlMin;
    if (floor === null || floor < 2) return t.skip('missing: a floor under the TTL');
    const { name, from } = await begun();
    const to = { cname: 'b.example.com.', ttl: floor - 1, marker: marker(2), epoch: 2 };
    const fault = faultOf(await put({ name, from, to }));
    assert.equal(fault.kind, 'rejected');
    assert.ok(fault.cure);
    await stands(name, 'a.example.com.', marker(1));
  });

  const single = capabilities.writeMax < 2 ? 'missing: several changes in one write' : false;
  test('several changes in one write: one that is stale holds up no other', {
    skip: single,
  }, async () => {
    const all = [await begun(), await begun(), await begun()];
    const stale = all[1]!;
    assert.ok((await put(move(stale.name, stale.from, 'x.example.com.', 9))).ok);
    const results = await provider.write(
      all.map(({ name, from }) => move(name, from, 'b.example.com.', 2)),
      never(),
    );
    assert.deepEqual(
      results.map((r) => r.ok),
      [true, false, true],
    );
    assert.equal(faultOf(results[1]!).kind, 'conflict');
    await stands(all[0]!.name, 'b.example.com.', marker(2));
    await stands(stale.name, 'x.example.com.', marker(9));
    await stands(all[2]!.name, 'b.example.com.', marker(2));
  });

  test('as many names as one reading may have, those that are not there among them', async () => {
    const made = [await begun(), await begun()].map((b) => b.name);
    const rest = Array.from({ length: Math.max(0, capabilities.readMax - 2) }, fresh);
    const asked = [...rest, ...made].slice(0, capabilities.readMax);
    const read = await provider.read(asked, never());
    assert.ok(read.ok, JSON.stringify(read));
    assert.deepEqual(Object.keys(read.value).sort(), [...asked].sort());
    for (const name of made) assert.equal(read.value[name]?.cnames[0]?.value, 'a.example.com.');
    for (const name of rest) assert.deepEqual(read.value[name]?.cnames, []);
  });

  test('the reply is lost: uncertain, and reading again settles it', async (t) => {
    if (!account.faults.includes('lost-reply')) return t.skip('missing: the fault lost-reply');
    const { name, from } = await begun();
    await account.fault('lost-reply');
    const lost = faultOf(await put(move(name, from, 'b.example.com.', 2)));
    assert.equal(lost.kind, 'uncertain');
    await converge(name, 'b.example.com.', 2);
    await stands(name, 'b.example.com.', marker(2));
    await served(name, 'b.example.com.', marker(2));
  });

  for (const [how, kind] of Object.entries(meanings)) {
    test(`${how}: a reading is ${kind}, a write never claims to be done, and it mends`, async (t) => {
      if (!account.faults.includes(how)) return t.skip(`missing: the fault ${how}`);
      const { name, from } = await begun();
      // Only what hangs is waited for; everything else answers, however busy this machine is.
      const hasty = open({ callTimeoutMs: how === 'hang' ? 300 : 5000 });
      await eventually('a first reading', async () => (await hasty.read([name], never())).ok);
      await account.fault(how);
      assert.equal(faultOf(await hasty.read([name], never())).kind, kind);
      const written = faultOf(await put(move(name, from, 'b.example.com.', 2), hasty));
      assert.ok([kind, 'uncertain'].includes(written.kind), written.kind);
      await account.fault(null);
      const seen = await see(name);
      assert.ok(['a.example.com.', 'b.example.com.'].includes(seen.cnames[0]?.value ?? ''));
      await converge(name, 'b.example.com.', 2, hasty);
      await stands(name, 'b.example.com.', marker(2));
    });
  }

  test('a vendor that reads the past: a write is never wrong, and converges', async (t) => {
    if (!account.faults.includes('stale-read')) return t.skip('missing: the fault stale-read');
    const { name } = await begun();
    assert.ok((await put(move(name, await see(name), 'b.example.com.', 2))).ok);
    await account.fault('stale-read');
    const past = await provider.read([name], never());
    assert.ok(past.ok);
    const written = await put(move(name, past.value[name]!, 'c.example.com.', 3));
    await account.fault(null);
    const seen = await see(name);
    if (written.ok) {
      await stands(name, 'c.example.com.', marker(3));
    } else {
      assert.ok(['b.example.com.', 'c.example.com.'].includes(seen.cnames[0]?.value ?? ''));
      faultOf(written);
    }
    await converge(name, 'c.example.com.', 3);
    await stands(name, 'c.example.com.', marker(3));
  });

  test('a wrong key is auth-suspect, for reading and for writing', async () => {
    const { name, from } = await begun();
    const wrong = open({ wrongKey: true });
    const read = await wrong.read([name], never());
    // Where reading needs no key, writing does.
    if (!read.ok) assert.equal(faultOf(read).kind, 'auth-suspect');
    assert.equal(
      faultOf(await put(move(name, from, 'b.example.com.', 2), wrong)).kind,
      'auth-suspect',
    );
    await stands(name, 'a.example.com.', marker(1));
  });

  test('told to stop before it began: unavailable at once, and nothing was written', async () => {
    const { name, from } = await begun();
    const stopped = AbortSignal.abort();
    assert.equal(faultOf(await provider.read([name], stopped)).kind, 'unavailable');
    const [written] = await provider.write([move(name, from, 'b.example.com.', 2)], stopped);
    assert.equal(faultOf(written!).kind, 'unavailable');
    await stands(name, 'a.example.com.', marker(1));
  });

  test('told to stop while the vendor hangs: it ends then, not at its own limit', async () => {
    const { name } = await begun();
    const patient = open({ callTimeoutMs: 60_000 });
    await see(name, patient);
    await account.fault('hang');
    const stop = new AbortController();
    const reading = patient.read([name], stop.signal);
    setTimeout(() => stop.abort(), 50);
    assert.equal(faultOf(await reading).kind, 'unavailable');
  });
}
