// The kit's grouping by zone, its finding of zones and its bounds, without any vendor: each zone's
// fate is its own, silence is told from sickness, and nothing is left without an answer.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByZone, oneByOne } from '../../providers/kit/by-zone.ts';
import { type Called, done, failed, type Scope } from '../../providers/kit/fault.ts';
import { Listing } from '../../providers/kit/listing.ts';
import { Room, type Told } from '../../providers/kit/room.ts';
import { zoneFinder } from '../../providers/kit/zone.ts';
import type { Answer, Change, FaultKind, Name, Seen } from '../../src/core/model.ts';
import { marker } from '../parts/answers.ts';

const never = (): AbortSignal => new AbortController().signal;
const nothing: Seen = { cnames: [], markers: [], refusal: null, ref: null };
const forEver = Number.POSITIVE_INFINITY;

interface Zone {
  readonly id: string;
  readonly name: Name;
}

/** What a zone answers with: well, a scope of trouble, or nothing known of where it is. */
type Fate = 'well' | Scope;

const kinds: Readonly<Record<Scope, FaultKind>> = {
  record: 'conflict',
  zone: 'unavailable',
  account: 'throttled',
  unheard: 'unavailable',
};

function answerOf(fate: Fate): Called<Seen> {
  return fate === 'well' ? done(nothing) : failed(fate, kinds[fate], `it is ${fate}`);
}

/** An account with these zones: `z0.`, `z1.`, …, each with its fate; and what was asked of it. */
function accountOf(fates: readonly Fate[], finds: readonly Fate[] = []) {
  const asked: Name[] = [];
  const looked: Name[] = [];
  const forgotten: Name[] = [];
  const zoneOf = (name: Name): number => Number(/z(\d+)\.$/.exec(name)![1]);
  const byZone = new ByZone<Zone>({
    callsMax: 100,
    callTimeoutMs: 1000,
    zones: {
      async findWithin(name, _, room) {
        const i = zoneOf(name);
        if (!room.take(1)) return null;
        looked.push(name);
        const found = answerOf(finds[i] ?? 'well');
        return found.ok ? done({ id: `id${i}`, name: `z${i}.` }) : found;
      },
      forget: (zone) => forgotten.push(zone),
    },
  });
  const readZone = async (zone: Zone, names: readonly Name[]): Promise<readonly Told<Seen>[]> => {
    asked.push(zone.name);
    await new Promise((resolve) => setImmediate(resolve));
    return names.map(() => answerOf(fates[zoneOf(zone.name)]!));
  };
  const read = (names: readonly Name[], signal = never()) => byZone.read(names, signal, readZone);
  return { byZone, read, asked, looked, forgotten, zoneOf };
}

const namesOf = (count: number): Name[] => Array.from({ length: count }, (_, i) => `www.z${i}.`);

function reaches(answers: Readonly<Record<Name, Answer<Seen>>>): string[] {
  return Object.values(answers).map((a) => (a.kind === 'fault' ? a.reach.kind : a.kind));
}

// ---------------------------------------------------------------- how far trouble reaches

test('a zone that is sick or silent is alone in it, and comes last the next time', async () => {
  const { read, asked } = accountOf(['unheard', 'well', 'zone', 'record']);
  const answers = await read(namesOf(4));
  assert.deepEqual(reaches(answers), ['zone', 'answered', 'zone', 'record']);
  const [first] = Object.values(answers);
  assert.ok(first?.kind === 'fault');
  assert.deepEqual(first.reach, { kind: 'zone', zone: 'z0.' });
  asked.length = 0;
  await read(namesOf(4));
  assert.equal(asked.at(-1), 'z0.', 'it keeps nobody waiting');
});

test('one zone alone that is silent is no account that is', async () => {
  assert.deepEqual(reaches(await accountOf(['unheard']).read(namesOf(1))), ['zone']);
});

test('a vendor that is silent to all costs the time of one call, not of each zone', async () => {
  const { read, asked } = accountOf(Array.from({ length: 40 }, () => 'unheard'));
  const answers = await read(namesOf(40));
  assert.deepEqual(new Set(reaches(answers)), new Set(['account']));
  assert.equal(asked.length, 8, 'those that were asked at the same time');
});

test('what is wrong with the account ends the asking, and is said of the rest', async () => {
  const fates: Fate[] = Array.from({ length: 40 }, () => 'well');
  fates[3] = 'account';
  const { read, asked } = accountOf(fates);
  const answers = Object.values(await read(namesOf(40)));
  assert.ok(asked.length < 40);
  for (const [i, answer] of answers.entries()) {
    if (asked.includes(`z${i}.`) && i !== 3) assert.equal(answer.kind, 'answered');
    else
      assert.deepEqual(answer.kind === 'fault' && [answer.fault.kind, answer.reach.kind], [
        'throttled',
        'account',
      ]);
  }
});

test('where no zone is known, trouble is the record’s in an account that answers', async () => {
  const mixed = await accountOf(['well', 'well'], ['zone', 'well']).read(namesOf(2));
  assert.deepEqual(reaches(mixed), ['record', 'answered']);
  const alone = accountOf(['well', 'well'], ['zone', 'well']);
  assert.deepEqual(reaches(await alone.read(['www.z0.'])), ['account'], 'nobody has answered yet');
  await alone.read(['www.z1.']);
  assert.deepEqual(reaches(await alone.read(['www.z0.'])), ['record']);
});

test('a vendor that does not say where zones are is asked for those that are known', async () => {
  const { read } = accountOf(['well', 'well', 'well'], ['unheard', 'unheard', 'well']);
  assert.deepEqual(reaches(await read(namesOf(3))), ['record', 'record', 'answered']);
});

test('zones that are known do not wait behind many that nobody says the place of', async () => {
  const known = new Map<Name, Zone>();
  const byZone = new ByZone<Zone>({
    callsMax: 100,
    callTimeoutMs: 1000,
    zones: {
      async findWithin(name, _, room) {
        const zone = known.get(name);
        if (zone !== undefined) return done(zone);
        return room.take(1) ? failed('unheard', 'unavailable', 'no answer') : null;
      },
      forget: () => {},
    },
  });
  const names = namesOf(30);
  known.set(names[29]!, { id: 'it', name: 'z29.' });
  const answers = await byZone.read(names, never(), async (_, some) =>
    some.map(() => done(nothing)),
  );
  assert.equal(answers[names[29]!]?.kind, 'answered');
  const others = names.slice(0, 29).map((name) => answers[name]!);
  assert.ok(
    others.every(
      (a) => a.kind === 'not-asked' || (a.kind === 'fault' && a.reach.kind === 'record'),
    ),
  );
});

test('every name has one answer, whatever the zones do', async () => {
  const fate = fc.constantFrom<Fate>('well', 'record', 'zone', 'account', 'unheard');
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fate, fate), { minLength: 1, maxLength: 12 }),
      fc.array(fc.nat({ max: 30 }), { minLength: 1, maxLength: 40 }),
      async (zones, picks) => {
        const names = [...new Set(picks.map((n) => `n${n}.z${n % zones.length}.`))];
        const { read } = accountOf(
          zones.map(([one]) => one),
          zones.map(([, found]) => found),
        );
        const answers = await read(names);
        assert.deepEqual(Object.keys(answers), names);
        for (const [name, answer] of Object.entries(answers)) {
          const [inZone, found] = zones[Number(/z(\d+)/.exec(name)![1])]!;
          if (answer.kind === 'answered') assert.deepEqual([inZone, found], ['well', 'well']);
          const isAsked = zones.every((z) => !z.includes('account') && !z.includes('unheard'));
          if (isAsked && found === 'well' && inZone === 'well') {
            assert.equal(answer.kind, 'answered', 'no trouble of others reaches it');
          }
        }
      },
    ),
  );
});

// ---------------------------------------------------------------- what there is no room for

test('zones that there is no room to find are not asked, and found in the next readings', async () => {
  const known = new Map<Name, Zone>();
  const byZone = new ByZone<Zone>({
    callsMax: 10,
    callTimeoutMs: 1000,
    zones: {
      async findWithin(name, _, room) {
        const zone = known.get(name);
        if (zone !== undefined) return done(zone);
        if (!room.take(1)) return null;
        known.set(name, { id: name, name: name.slice(4) });
        return done(known.get(name)!);
      },
      forget: () => {},
    },
  });
  let open: readonly Name[] = namesOf(30);
  for (let round = 1; open.length > 0; round++) {
    assert.ok(round <= 30, 'it comes to an end');
    const answers = await byZone.read(open, never(), (_, names, room) =>
      oneByOne(names, {
        atOnce: 1,
        atMost: 5,
        room,
        callsEach: 1,
        work: async () => done(nothing),
      }),
    );
    const left = open.filter((name) => answers[name]!.kind === 'not-asked');
    assert.ok(left.length < open.length, 'a reading that answers nothing');
    open = left;
  }
});

test('a reading whose time is over still answers for one name', async () => {
  const room = new Room(10, 0);
  assert.equal(room.take(1), false);
  const told = await oneByOne(['a', 'b', 'c'], {
    atOnce: 1,
    atMost: 3,
    room,
    callsEach: 2,
    work: async () => done(nothing),
  });
  assert.deepEqual(
    told.map((one) => one?.ok ?? null),
    [true, null, null],
  );
});

test('half of the room is taken from the whole, and leaves the other half', () => {
  const room = new Room(10, forEver);
  const half = room.half();
  for (let i = 0; i < 5; i++) assert.equal(half.take(1), true);
  assert.equal(half.take(1), false);
  for (let i = 0; i < 5; i++) assert.equal(room.take(1), true);
  assert.equal(room.take(1), false);
  const spent = new Room(3, forEver);
  const part = spent.half();
  assert.equal(spent.take(3), true);
  assert.equal(part.take(1), false, 'the whole is spent');
});

test('of a zone in trouble nothing more is begun, and all of its names say so', async () => {
  let calls = 0;
  const told = await oneByOne(['a', 'b', 'c', 'd'], {
    atOnce: 1,
    atMost: 3,
    room: new Room(10, forEver),
    callsEach: 1,
    async work(name) {
      calls++;
      return name === 'b' ? failed('zone', 'uncertain', 'lost') : done(null);
    },
  });
  assert.equal(calls, 2);
  const faults = told.map((one) => (one === null || one.ok ? one?.ok : one.fault.kind));
  assert.deepEqual(faults, [true, 'uncertain', 'unavailable', 'unavailable']);
});

test('told to stop: what was not begun is not asked', async () => {
  const stop = new AbortController();
  const { byZone } = accountOf([]);
  const answers = await byZone.read(namesOf(20), stop.signal, async (_, names) => {
    stop.abort();
    return names.map(() => done(nothing));
  });
  const kinds = Object.values(answers).map(({ kind }) => kind);
  assert.equal(kinds[0], 'answered');
  assert.equal(kinds.at(-1), 'not-asked');
});

test('a listing that was too long or too slow is not tried in vain again', () => {
  const listing = new Listing(3);
  assert.deepEqual([listing.isWorth(2), listing.isWorth(3)], [false, true]);
  listing.takes(11);
  assert.deepEqual([listing.isWorth(10), listing.isWorth(11)], [false, true]);
  listing.isSlow();
  assert.equal(listing.isWorth(100), false);
});

// ---------------------------------------------------------------- writing

function changesOf(names: readonly Name[]): Change[] {
  const to = { cname: 'b.example.org.', ttl: 60, marker: marker(1) };
  return names.map((name) => ({ name, from: nothing, to }));
}

test('a change that cannot be sent has its own fault; an unsent one is never uncertain', async () => {
  const { byZone, zoneOf } = accountOf([]);
  const sent: Name[] = [];
  const answers = await byZone.write(changesOf(namesOf(20)), never(), {
    prepare: (change) =>
      change.name === 'www.z1.' ? failed('record', 'rejected', 'as it is') : done(change),
    zoneOf: async ({ name }) => done({ id: name, name: `z${zoneOf(name)}.` }),
    async writeZone(zone, items) {
      sent.push(zone.name);
      await new Promise((resolve) => setImmediate(resolve));
      return items.map(() => failed('unheard', 'uncertain', 'no answer'));
    },
  });
  assert.equal(sent.includes('z1.'), false);
  for (const [i, answer] of answers.entries()) {
    assert.ok(answer.kind === 'fault');
    const wanted = sent.includes(`z${i}.`) ? 'uncertain' : i === 1 ? 'rejected' : 'unavailable';
    assert.equal(answer.fault.kind, wanted);
    assert.equal(answer.reach.kind, i === 1 ? 'record' : 'account');
  }
});

// ---------------------------------------------------------------- finding zones

/** A finder over an account of these zones, with a clock of its own and a count of its questions. */
function finderOf(zones: Map<Name, Called<Zone | null>>, zone: Name | null = null) {
  const clock = { now: 0 };
  const asked: Name[] = [];
  const finder = zoneFinder<Zone>({
    zone,
    byId: null,
    nowMs: () => clock.now,
    async byName(name) {
      asked.push(name);
      return zones.get(name) ?? done(null);
    },
  });
  const find = async (name: Name): Promise<string> => {
    const found = await finder.find(name, never());
    return found.ok ? found.value.id : `${found.scope} ${found.fault.kind}`;
  };
  return { finder, clock, asked, find };
}

const here = (name: Name, id = name): [Name, Called<Zone>] => [name, done({ id, name })];

test('a zone that nobody is served from, or that may not be seen, gives way to its parent', async () => {
  const pending = failed('zone', 'rejected', 'pending', { zone: 'a.example.net.', unserved: true });
  const zones = new Map<Name, Called<Zone | null>>([
    here('example.net.'),
    ['a.example.net.', pending],
    ['b.example.net.', failed('zone', 'auth-suspect', 'denied')],
    ['c.example.net.', failed('zone', 'rejected', 'paused', { zone: 'c.example.net.' })],
  ]);
  const { find } = finderOf(zones);
  assert.equal(await find('www.a.example.net.'), 'example.net.');
  assert.equal(await find('www.b.example.net.'), 'example.net.');
  assert.equal(await find('www.c.example.net.'), 'zone rejected', 'it is served: not passed over');
  zones.delete('example.net.');
  const alone = finderOf(zones);
  assert.equal(await alone.find('www.a.example.net.'), 'zone rejected', 'no parent holds it');
  assert.equal(await alone.find('www.b.example.net.'), 'record auth-suspect');
});

test('a nearer zone that cannot be asked for is never guessed past', async () => {
  const zones = new Map<Name, Called<Zone | null>>([
    here('example.net.'),
    ['a.example.net.', failed('zone', 'unavailable', 'HTTP 503')],
  ]);
  const { find } = finderOf(zones);
  assert.equal(await find('www.a.example.net.'), 'record unavailable');
  assert.equal(await find('www.b.example.net.'), 'example.net.');
});

test('one zone is forgotten alone, and found again under another id', async () => {
  const zones = new Map<Name, Called<Zone | null>>([here('example.net.'), here('example.org.')]);
  const { finder, find, asked } = finderOf(zones);
  assert.equal(await find('www.example.net.'), 'example.net.');
  assert.equal(await find('www.example.org.'), 'example.org.');
  zones.set(...here('example.net.', 'anew'));
  finder.forget('example.net.');
  asked.length = 0;
  assert.equal(await find('www.example.net.'), 'anew');
  assert.equal(await find('www.example.org.'), 'example.org.');
  assert.deepEqual(asked, ['example.net.']);
});

test('a zone that was there is looked for each time it is gone', async () => {
  const zones = new Map<Name, Called<Zone | null>>([here('example.net.')]);
  const { finder, find } = finderOf(zones);
  assert.equal(await find('www.example.net.'), 'example.net.');
  zones.delete('example.net.');
  finder.forget('example.net.');
  assert.equal(await find('www.example.net.'), 'record rejected');
  zones.set(...here('example.net.', 'anew'));
  assert.equal(await find('www.example.net.'), 'anew');
});

test('what is known of a zone is looked at daily, and kept where that fails', async () => {
  const zones = new Map<Name, Called<Zone | null>>([here('example.net.', 'free')]);
  const { find, clock, asked } = finderOf(zones);
  assert.equal(await find('www.example.net.'), 'free');
  zones.set(...here('example.net.', 'paid'));
  clock.now += 23 * 3_600_000;
  assert.equal(await find('www.example.net.'), 'free');
  clock.now += 2 * 3_600_000;
  zones.set('example.net.', failed('unheard', 'unavailable', 'no answer'));
  asked.length = 0;
  assert.equal(await find('www.example.net.'), 'free', 'a zone once found is not lost by silence');
  assert.equal(await find('www.example.net.'), 'free');
  assert.deepEqual(asked, ['example.net.'], 'nor asked for at every turn');
  zones.set(...here('example.net.', 'paid'));
  clock.now += 61_000;
  assert.equal(await find('www.example.net.'), 'paid');
});

test('within one piece of work no question is asked twice, not even one without an answer', async () => {
  const zones = new Map<Name, Called<Zone | null>>([
    ['example.net.', failed('unheard', 'unavailable', 'no answer')],
  ]);
  const { finder, asked } = finderOf(zones);
  const room = new Room(5, forEver);
  const names = Array.from({ length: 20 }, (_, i) => `n${i}.example.net.`);
  const found = await Promise.all(names.map((name) => finder.findWithin(name, never(), room)));
  assert.ok(found.every((one) => one !== null && !one.ok && one.scope === 'unheard'));
  assert.equal(asked.length, 1);
});

test('a configured zone that is gone is that zone’s trouble, with the cure', async () => {
  const { finder } = finderOf(new Map(), 'example.net.');
  const found = await finder.find('www.example.net.', never());
  assert.ok(!found.ok && found.scope === 'zone' && found.zone === 'example.net.');
  assert.match(found.fault.cure ?? '', /zone/);
});
