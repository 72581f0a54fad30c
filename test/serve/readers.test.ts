// What readers may cost, counted and not timed: the loop's time is a number that the work itself moves
// on, so that slices, rests and shares come out exactly.

import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { Readers, together, type Work } from '../../src/serve/readers.ts';

interface Loop {
  readonly sliceMs?: number;
  readonly texts?: number;
  readonly busy?: () => number;
}

/** A loop whose time is spent by the work alone. */
function loop(options: Loop = {}) {
  let now = 0;
  let used = 0;
  const due: { at: number; then: () => void }[] = [];
  const after = (ms: number, then: () => void) => void due.push({ at: now + ms, then });
  const readers = new Readers({
    now: () => now,
    used: () => used,
    busy: () => 0,
    share: 0.1,
    after,
    ...options,
  });
  const turns: number[] = [];
  return {
    readers,
    turns,
    now: () => now,
    used: () => used,
    spend(ms: number) {
      now += ms;
      used += ms;
    },
    /** Other processes have the processor. */
    starve(ms: number) {
      now += ms;
    },
    /** Everything that is due until then, one turn after the other. */
    async go(ms: number) {
      const until = now + ms;
      for (;;) {
        await settled();
        due.sort((a, b) => a.at - b.at);
        if (due.length === 0 || due[0]!.at > until) break;
        const { at, then } = due.shift()!;
        now = Math.max(now, at);
        const before = used;
        then();
        turns.push(used - before);
      }
      now = Math.max(now, until);
    },
  };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('work is done in slices, and readers never have more than their share of the loop', async () => {
  const l = loop();
  const piecesOf = function* (count: number): Work<number> {
    for (let i = 0; i < count; i++) {
      l.spend(0.5);
      yield;
    }
    return count;
  };
  const works = Array.from({ length: 6 }, () => l.readers.spend(piecesOf(500)));
  await l.go(60_000);
  assert.deepEqual(await Promise.all(works), Array(6).fill(500));
  assert.equal(l.used(), 1500);
  assert.ok(Math.max(...l.turns) <= 2.5, `a turn of ${Math.max(...l.turns)} ms`);
  const spent = l.turns.reduce((sum, ms) => sum + ms, 0);
  assert.equal(spent, 1500);
  // 1,500 ms of work is a tenth of 15 s: it cannot have been done in less.
  const busy = loop();
  const work = busy.readers.spend(
    (function* (): Work<void> {
      for (let i = 0; i < 3000; i++) {
        busy.spend(0.5);
        yield;
      }
    })(),
  );
  let done = false;
  void work.then(() => {
    done = true;
  });
  await busy.go(14_900);
  assert.equal(done, false, 'not before its time');
  await busy.go(1_000);
  assert.equal(done, true, 'and not much later');
});

test('who comes often gets no more than who comes once', async () => {
  const l = loop();
  const small = function* (): Work<void> {
    l.spend(2);
    yield;
  };
  for (let i = 0; i < 500; i++) {
    void l.readers.spend(small());
    await l.go(2);
  }
  assert.ok(l.used() <= 0.1 * l.now() + 2, `${l.used()} of ${l.now()} ms`);
});

test('the busier the loop, the less readers have of it, and never nothing', async () => {
  const used: number[] = [];
  for (const busy of [0, 0.5, 0.75, 1]) {
    const l = loop({ busy: () => busy });
    const work = function* (): Work<void> {
      for (let i = 0; i < 10_000; i++) {
        l.spend(1);
        yield;
      }
    };
    void l.readers.spend(work());
    await l.go(10_000);
    used.push(Math.round(l.used() / 10));
  }
  assert.deepEqual(used, [100, 50, 25, 25], 'thousandths of the time');
});

test('what other processes took of this one is not charged, what a piece set going is', async () => {
  const starved = loop();
  const begin = starved.readers.spend(
    (function* (): Work<void> {
      starved.spend(1);
      starved.starve(500);
      yield;
    })(),
  );
  await starved.go(520);
  await begin;
  const sending = loop({ sliceMs: 2 });
  let pieces = 0;
  void sending.readers.spend(
    (function* (): Work<void> {
      while (pieces < 5000) {
        pieces++;
        yield 1;
      }
    })(),
  );
  await sending.go(1);
  assert.equal(pieces, 2, 'two pieces of a millisecond each are a slice');
  await sending.go(1000);
  assert.ok(pieces <= 102, `${pieces} pieces of 1 ms in a second`);
});

test('each work gets a piece in turn: the short is not behind the long', async () => {
  const l = loop({ sliceMs: 1 });
  const order: string[] = [];
  const work = function* (name: string, count: number): Work<void> {
    for (let i = 0; i < count; i++) {
      order.push(name);
      l.spend(0.1);
      yield;
    }
  };
  void l.readers.spend(work('long', 1000));
  void l.readers.spend(work('short', 3));
  await l.go(1);
  assert.equal(order.indexOf('short'), 1);
  assert.equal(order.filter((name) => name === 'short').length, 3);
  assert.ok(order.filter((name) => name === 'long').length <= 10);
});

test('a work that throws rejects, and the others go on', async () => {
  const l = loop();
  const bad = l.readers.spend(
    (function* (): Work<void> {
      yield;
      throw new Error('broken');
    })(),
  );
  const good = l.readers.spend(
    (function* (): Work<string> {
      yield;
      yield;
      return 'made';
    })(),
  );
  const rejected = assert.rejects(bad, /broken/);
  await l.go(100);
  await rejected;
  assert.equal(await good, 'made');
});

test('one is made at a time, for all who asked before it began, and none is older', async () => {
  const makings: { resolve: (n: number) => void; reject: (error: Error) => void }[] = [];
  const ask = together(
    () => new Promise<number>((resolve, reject) => void makings.push({ resolve, reject })),
  );
  const first = [ask(), ask(), ask()];
  await settled();
  assert.equal(makings.length, 1);
  const second = [ask(), ask()];
  await settled();
  assert.equal(makings.length, 1, 'the second waits for the first');
  makings[0]!.resolve(1);
  assert.deepEqual(await Promise.all(first), [1, 1, 1]);
  await settled();
  assert.equal(makings.length, 2);
  makings[1]!.reject(new Error('broken'));
  await Promise.all(second.map((one) => assert.rejects(one, /broken/)));
  const third = ask();
  await settled();
  makings[2]!.resolve(3);
  assert.equal(await third, 3);
});

class Taker extends EventEmitter {
  destroyed = false;
  closed = false;
  destroy(): void {
    this.destroyed = true;
    this.leave();
  }
  leave(): void {
    this.closed = true;
    this.emit('close');
  }
}
const response = (taker: Taker) => taker as unknown as ServerResponse;

test('no more texts are held than may be: the next waits, then the oldest gives way', async () => {
  const l = loop({ texts: 2 });
  let made = 0;
  const get = l.readers.shelf().shared(async () => ++made);
  const takers = Array.from({ length: 40 }, () => new Taker());
  for (const taker of takers.slice(0, 2)) {
    void get(response(taker));
    await l.go(1000);
  }
  assert.equal(made, 2);
  const waiting = takers.slice(2).map((taker) => get(response(taker)));
  await l.go(900);
  assert.deepEqual([made, takers.filter((t) => t.destroyed).length], [2, 0], 'it has its time');
  await l.go(200);
  assert.deepEqual([made, takers[0]!.destroyed, takers[1]!.destroyed], [3, true, false]);
  assert.deepEqual(await Promise.all(waiting), Array(38).fill(3), 'all who waited share one');
  takers[1]!.leave();
  const last = new Taker();
  void get(response(last));
  await l.go(0);
  assert.deepEqual(
    [made, takers.filter((t) => t.destroyed).length],
    [4, 1],
    'room was made by leaving',
  );
});

test('what each asks for alone has the same bound, and is not made for who has gone', async () => {
  const l = loop({ texts: 2 });
  const shelf = l.readers.shelf();
  const takers = Array.from({ length: 6 }, () => new Taker());
  const made: number[] = [];
  const asked = takers.map((taker, i) => shelf.own(response(taker), async () => made.push(i)));
  await l.go(100);
  assert.deepEqual(made, [0, 1]);
  takers[2]!.destroy();
  takers[0]!.leave();
  await l.go(100);
  assert.deepEqual(made, [0, 1, 3]);
  assert.equal(await asked[2], null);
});
