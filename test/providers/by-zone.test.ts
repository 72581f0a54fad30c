// The kit's grouping by zone, its finding of zones and its bounds, without any vendor: each zone's
// fate is its own, silence is told from sickness, and nothing is left without an answer.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByZone, oneByOne } from '../../providers/kit/by-zone.ts';
import { type Called, done, exchange, failed, type Scope } from '../../providers/kit/fault.ts';
import { Listing } from '../../providers/kit/listing.ts';
import type { Clock } from '../../providers/kit/patience.ts';
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

// ---------------------------------------------------------------- how long silence is waited for

/** A clock that stands still until it is told to go on; alarms ring in their order. */
function handClock() {
  let now = 0;
  const alarms = new Set<{ readonly at: number; readonly then: () => void }>();
  const clock: Clock = {
    nowMs: () => now,
    after(ms, then) {
      const alarm = { at: now + ms, then };
      alarms.add(alarm);
      return () => void alarms.delete(alarm);
    },
  };
  const settled = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    clock,
    get pending() {
      return alarms.size;
    },
    async pass(ms: number): Promise<void> {
      const end = now + ms;
      await settled();
      for (;;) {
        const [next] = [...alarms].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
        if (next === undefined) break;
        alarms.delete(next);
        now = Math.max(now, next.at);
        next.then();
        await settled();
      }
      now = end;
      await settled();
    },
    /** Our own process stands still: the time is over before any alarm can ring. */
    standStill(ms: number): void {
      now += ms;
    },
  };
}

/** An account whose zones answer when a test lets them; `unknown`: each is looked for first. */
function slowAccount({ unknown = false } = {}) {
  const hand = handClock();
  const open = new Map<string, (answer: Called<Seen>) => void>();
  const stopped: string[] = [];
  const asked: string[] = [];
  const call = async (what: string, signal: AbortSignal, write = false): Promise<Called<Seen>> => {
    asked.push(what);
    const options = { doing: what, write, signal, timeoutMs: 20_000, explain: () => null };
    const answer = await exchange(options, (stop) => {
      stop.addEventListener('abort', () => stopped.push(what));
      return new Promise<Called<Seen>>((resolve) => open.set(what, resolve));
    });
    open.delete(what);
    return answer.ok ? answer.value : answer;
  };
  const zoneName = (name: Name): Name => name.slice(name.indexOf('.') + 1);
  const byZone = new ByZone<Zone>({
    callsMax: 100,
    callTimeoutMs: 600_000,
    clock: hand.clock,
    zones: {
      async findWithin(name, signal, room) {
        const zone = zoneName(name);
        if (unknown && !room.take(1)) return null;
        const found = unknown ? await call(`find ${zone}`, signal) : done(nothing);
        return found.ok ? done({ id: zone, name: zone }) : found;
      },
      forget: () => {},
    },
  });
  /** `calls` of a zone are made one after the other, each with its room. */
  const read = (names: readonly Name[], calls = 1) =>
    byZone.read(names, never(), async (zone, some, room, signal) => {
      let told: Told<Seen> = null;
      for (let i = 1; i <= calls && told?.ok !== false; i++) {
        if (room.take(1)) told = await call(zone.name, signal);
      }
      return some.map(() => told);
    });
  const write = (changes: readonly Change[]) =>
    byZone.write<Change, Zone>(changes, never(), {
      prepare: done,
      zoneOf: async ({ name }) => done({ id: zoneName(name), name: zoneName(name) }),
      async writeZone(zone, some, _, signal) {
        const told = await call(zone.name, signal, true);
        return some.map(() => (told.ok ? done(null) : told));
      },
    });
  const answers = (what: string, answer: Called<Seen> = done(nothing)) => open.get(what)!(answer);
  return { hand, read, write, answers, stopped, asked };
}

/** Whether a promise has settled, without waiting for it. */
function watch<T>(work: Promise<T>) {
  const state = { isOver: false, work };
  void work.then(() => (state.isOver = true));
  return state;
}

test('a zone that hangs keeps the others waiting half a second, and has its own fault', async () => {
  const { hand, read, answers, stopped } = slowAccount();
  const reading = watch(read(namesOf(3)));
  await hand.pass(40);
  answers('z0.');
  answers('z2.');
  await hand.pass(450);
  assert.equal(reading.isOver, false, 'a usual call is never cut short');
  await hand.pass(60);
  assert.equal(reading.isOver, true);
  const read3 = await reading.work;
  assert.deepEqual(reaches(read3), ['answered', 'zone', 'answered']);
  const silent = read3['www.z1.']!;
  assert.ok(silent.kind === 'fault');
  assert.deepEqual(silent.reach, { kind: 'zone', zone: 'z1.' });
  assert.equal(silent.fault.kind, 'unavailable');
  assert.match(silent.fault.detail, /no answer within 5\d\d ms, while other zones have theirs/);
  assert.deepEqual(stopped, ['z1.'], 'its call is ended, and no other');
  assert.equal(hand.pending, 0, 'no alarm is left behind');
});

test('while nobody has answered, it may be the vendor: nobody is given up', async () => {
  const { hand, read, answers, stopped } = slowAccount();
  const reading = watch(read(namesOf(2)));
  await hand.pass(300_000);
  assert.equal(reading.isOver, false);
  answers('z0.');
  answers('z1.');
  await hand.pass(0);
  assert.deepEqual(reaches(await reading.work), ['answered', 'answered']);
  assert.deepEqual(stopped, []);
});

test('one zone alone has its whole time, however slow', async () => {
  const { hand, read, answers } = slowAccount();
  const reading = watch(read(namesOf(1)));
  await hand.pass(500_000);
  assert.equal(reading.isOver, false);
  answers('z0.');
  await hand.pass(0);
  assert.deepEqual(reaches(await reading.work), ['answered']);
});

test('where a vendor is slow, the silent zone has three times as long as the slowest', async () => {
  const { hand, read, answers } = slowAccount();
  const reading = watch(read(namesOf(2)));
  await hand.pass(1000);
  answers('z0.');
  await hand.pass(1900);
  assert.equal(reading.isOver, false);
  answers('z1.');
  await hand.pass(0);
  assert.deepEqual(reaches(await reading.work), ['answered', 'answered']);
});

test('a zone that goes on answering is not silent, however many calls it takes', async () => {
  const { hand, read, answers } = slowAccount();
  const reading = watch(read(namesOf(2), 10));
  for (let i = 0; i < 10; i++) {
    await hand.pass(5);
    answers('z0.');
  }
  for (let i = 0; i < 10; i++) {
    await hand.pass(400);
    answers('z1.');
  }
  await hand.pass(0);
  assert.deepEqual(reaches(await reading.work), ['answered', 'answered']);
});

test('a zone that is slow as a rule is known to be, once it was read by itself', async () => {
  const { hand, read, answers } = slowAccount();
  const first = watch(read(namesOf(2)));
  await hand.pass(10);
  answers('z0.');
  await hand.pass(600);
  assert.deepEqual(reaches(await first.work), ['answered', 'zone'], 'nobody knew');
  const beside = watch(read(namesOf(2)));
  await hand.pass(10);
  answers('z0.');
  await hand.pass(30);
  assert.deepEqual(reaches(await beside.work), ['answered', 'zone'], 'it was silent before');
  const alone = watch(read(['www.z1.']));
  await hand.pass(900);
  answers('z1.');
  await hand.pass(0);
  assert.deepEqual(reaches(await alone.work), ['answered']);
  const again = watch(read(namesOf(2)));
  await hand.pass(10);
  answers('z0.');
  await hand.pass(1500);
  assert.equal(again.isOver, false);
  answers('z1.');
  await hand.pass(0);
  assert.deepEqual(reaches(await again.work), ['answered', 'answered']);
});

test('when our own process stood still, answers are looked at before anybody is given up', async () => {
  const { hand, read, answers } = slowAccount();
  const reading = watch(read(namesOf(2)));
  await hand.pass(10);
  answers('z0.');
  await hand.pass(100);
  hand.standStill(5000);
  await hand.pass(1);
  assert.equal(reading.isOver, false);
  answers('z1.');
  await hand.pass(0);
  assert.deepEqual(reaches(await reading.work), ['answered', 'answered']);
});

test('a zone that nobody says the place of keeps those that are found waiting no longer', async () => {
  const { hand, read, answers, asked } = slowAccount({ unknown: true });
  const reading = watch(read(namesOf(2)));
  await hand.pass(10);
  answers('find z0.');
  await hand.pass(600);
  assert.deepEqual(asked, ['find z0.', 'find z1.', 'z0.']);
  answers('z0.');
  await hand.pass(0);
  assert.equal(reading.isOver, true);
  assert.deepEqual(reaches(await reading.work), ['answered', 'record']);
});

test('what was sent to be written is never given up before its time', async () => {
  const { hand, write, answers, stopped } = slowAccount();
  const writing = watch(write(changesOf(namesOf(2))));
  await hand.pass(10);
  answers('z0.');
  await hand.pass(500_000);
  assert.equal(writing.isOver, false);
  answers('z1.');
  await hand.pass(0);
  assert.deepEqual(
    (await writing.work).map(({ kind }) => kind),
    ['answered', 'answered'],
  );
  assert.deepEqual(stopped, []);
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

test('a room gives calls that leave enough, or none', () => {
  const room = new Room(10, forEver);
  assert.deepEqual(
    [room.takeBut(4, 7), room.takeBut(4, 6), room.takeBut(4, 1)],
    [false, true, false],
  );
  assert.deepEqual([room.take(5), room.take(4)], [false, true]);
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

const wide = () => new Room(100, forEver);

/** How many pages a listing may ask of a zone that has so many; whether it came to its end. */
function pagesAsked(
  listing: Listing,
  pagesMax: number,
  room: Room,
  has: number,
): [number, boolean] {
  const turn = listing.begin(pagesMax, room);
  for (let asked = 0; ; asked++) {
    if (asked === has) turn!.ended();
    if (asked === has || !turn?.next()) return [asked, asked === has];
  }
}

test('a listing that was too long is not tried in vain again', () => {
  const listing = new Listing(3);
  assert.deepEqual(pagesAsked(listing, 2, wide(), 9), [0, false]);
  assert.deepEqual(pagesAsked(listing, 3, wide(), 9), [3, false]);
  assert.deepEqual(pagesAsked(listing, 3, wide(), 9), [0, false], 'it has four at least');
  assert.deepEqual(pagesAsked(listing, 9, wide(), 9), [9, true]);
  assert.deepEqual(pagesAsked(listing, 8, wide(), 9), [0, false], 'it has nine');
  // It became shorter, which a listing shows.
  assert.deepEqual(pagesAsked(listing, 9, wide(), 2), [2, true]);
  assert.deepEqual(pagesAsked(listing, 2, wide(), 2), [2, true]);
});

test('what a vendor says of its pages is believed at once', () => {
  const listing = new Listing();
  const turn = listing.begin(20, wide())!;
  assert.equal(turn.next(), true);
  assert.equal(turn.takes(21), false);
  assert.deepEqual([listing.begin(20, wide()), listing.begin(21, wide()) === null], [null, false]);
  // Room for all of them is taken then, so that nobody takes it from under them.
  const room = new Room(30, forEver);
  const another = new Listing().begin(20, room)!;
  assert.deepEqual([another.next(), another.takes(20), room.take(11)], [true, true, false]);
});

test('of ten zones that share a room some are listed to their end, and then the others', () => {
  const listings = Array.from({ length: 10 }, () => new Listing());
  const ended = new Set<Listing>();
  let readings = 0;
  for (; ended.size < 10; readings++) {
    assert.ok(readings < 20, `${ended.size} of 10 were listed`);
    const room = new Room(90, forEver);
    // Each asks for one page when it is its turn, as they do side by side.
    let turns = listings
      .filter((listing) => !ended.has(listing))
      .map((listing) => ({ listing, turn: listing.begin(40, room), asked: 0 }));
    while (turns.length > 0) {
      turns = turns.filter((one) => one.turn?.next());
      for (const one of turns) {
        one.asked++;
        if (one.asked < 20) continue;
        one.turn!.ended();
        ended.add(one.listing);
      }
      turns = turns.filter(({ asked }) => asked < 20);
    }
  }
});

test('a zone that was slow to list once is listed again soon, one that always is hardly ever', () => {
  let nowMs = 0;
  const listing = new Listing(1, () => nowMs);
  const over = (): Room => new Room(100, -1);
  const isSlow = (): void => {
    // Its time was over after it had begun.
    const room = wide();
    const turn = listing.begin(10, room)!;
    room.take = () => false;
    assert.equal(turn.next(), false);
  };
  const isWorth = (): boolean => listing.begin(10, wide()) !== null;
  assert.equal(listing.begin(10, over()), null);
  assert.equal(isWorth(), true, 'without time to begin it is not slow');
  const pausesMs = Array.from({ length: 9 }, () => {
    isSlow();
    const sinceMs = nowMs;
    while (!isWorth()) nowMs += 1000;
    return nowMs - sinceMs;
  });
  const s = 1000;
  assert.deepEqual(
    pausesMs,
    [10, 20, 40, 80, 160, 320, 600, 600, 600].map((seconds) => seconds * s),
  );
  // Well for as long as the longest of them, it begins anew.
  nowMs += 601_000;
  isSlow();
  nowMs += 10_000;
  assert.equal(isWorth(), true);
});

test('a listing that lacks calls alone is not slow', () => {
  const listing = new Listing();
  assert.deepEqual(pagesAsked(listing, 40, new Room(15, forEver), 8), [5, false]);
  assert.deepEqual(
    pagesAsked(listing, 40, new Room(15, forEver), 8),
    [0, false],
    'nothing in vain',
  );
  assert.deepEqual(pagesAsked(listing, 40, wide(), 8), [8, true]);
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
function finderOf(
  zones: Map<Name, Called<Zone | null>>,
  zone: Name | null = null,
  cuts: Map<Name, Called<boolean>> | null = null,
) {
  const clock = { now: 0 };
  const asked: Name[] = [];
  const delegates = async (above: Zone, name: Name) => {
    asked.push(`${name} in ${above.name}`);
    return cuts?.get(name) ?? done(false);
  };
  const finder = zoneFinder<Zone>({
    zone,
    byId: null,
    ...(cuts === null ? {} : { delegates }),
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

test('a zone counts that the account’s zone above it delegates to, and that is looked at daily', async () => {
  const zones = new Map<Name, Called<Zone | null>>([here('example.net.'), here('a.example.net.')]);
  const cuts = new Map<Name, Called<boolean>>();
  const { finder, find, asked, clock } = finderOf(zones, null, cuts);
  const [name, cut] = ['www.a.example.net.', 'a.example.net. in example.net.'];
  assert.equal(await find(name), 'example.net.');
  assert.deepEqual(asked, ['a.example.net.', 'example.net.', cut]);
  asked.length = 0;
  assert.equal(await find(name), 'example.net.');
  assert.deepEqual(asked, []);
  cuts.set('a.example.net.', done(true));
  clock.now += 60_000;
  assert.equal(await find(name), 'a.example.net.', 'what is missing is looked for soon again');
  asked.length = 0;
  cuts.set('a.example.net.', done(false));
  clock.now += 23 * 3_600_000;
  assert.equal(await find(name), 'a.example.net.');
  assert.deepEqual(asked, []);
  cuts.set('a.example.net.', failed('zone', 'unavailable', 'HTTP 503'));
  clock.now += 2 * 3_600_000;
  assert.equal(await find(name), 'a.example.net.', 'what was seen is kept where nobody answers');
  cuts.set('a.example.net.', done(false));
  finder.forget('a.example.net.');
  assert.equal(await find(name), 'example.net.');
});

test('whether a zone is delegated to is never guessed, unless the zone above may not be seen', async () => {
  const silent = failed('zone', 'unavailable', 'HTTP 503');
  const cuts = new Map<Name, Called<boolean>>([['a.example.net.', silent]]);
  const zones = new Map<Name, Called<Zone | null>>([here('example.net.'), here('a.example.net.')]);
  assert.equal(await finderOf(zones, null, cuts).find('www.a.example.net.'), 'record unavailable');
  zones.set('example.net.', failed('zone', 'unavailable', 'HTTP 503'));
  assert.equal(await finderOf(zones, null, cuts).find('www.a.example.net.'), 'record unavailable');
  zones.set('example.net.', failed('zone', 'auth-suspect', 'denied'));
  assert.equal(await finderOf(zones, null, cuts).find('www.a.example.net.'), 'a.example.net.');
  zones.set(...here('example.net.'));
  cuts.set('a.example.net.', failed('zone', 'auth-suspect', 'may not list it'));
  assert.equal(await finderOf(zones, null, cuts).find('www.a.example.net.'), 'a.example.net.');
  // A key that is refused in an outage takes nothing back that it has seen.
  const seen = finderOf(zones, null, cuts);
  cuts.set('a.example.net.', done(false));
  assert.equal(await seen.find('www.a.example.net.'), 'example.net.');
  cuts.set('a.example.net.', failed('zone', 'auth-suspect', 'may not list it'));
  seen.clock.now += 120_000;
  assert.equal(await seen.find('www.a.example.net.'), 'example.net.');
  zones.delete('example.net.');
  assert.equal(await finderOf(zones, null, cuts).find('www.a.example.net.'), 'a.example.net.');
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
