// What replicas tell one another, over real sockets of loopback: each hears what the others see,
// knows its age by its own clock alone, and is harmed by nobody: not by a slow reader, a forger, a
// flood of strangers, a line that is cut, nor by a replica that is gone.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import dns from 'node:dns';
import net from 'node:net';
import { after, mock, test } from 'node:test';
import type { TlsFiles } from '../../src/cluster/door.ts';
import { createKeyring } from '../../src/cluster/keyring.ts';
import { beatLetter, toBytes } from '../../src/cluster/letter.ts';
import { Line } from '../../src/cluster/line.ts';
import { answer, dial, Frames, PURPOSE, type Session } from '../../src/cluster/session.ts';
import type { EntryKind, Json } from '../../src/core/model.ts';
import {
  clockOff,
  group,
  key,
  type Replica,
  replicaOf,
  StandingClock,
  sighting,
  started,
} from '../parts/eyes.ts';
import { closedPort, createCertificates, until, withServer, withTcp } from '../parts/listening.ts';
import { createRelay, type Relay } from '../parts/relay.ts';

const viewOf = (replica: Replica, of: string) =>
  replica.eyes.peers().find((p) => p.replica === of)!;
const isHeard = (by: Replica, from: string) => by.heard(from).length > 0;
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Two replicas, each far off from the other in time; what `a` says to `b` goes through a relay. */
async function withRelay(
  work: (a: Replica, b: Replica, relay: Relay) => Promise<void>,
  making: (name: string) => Parameters<typeof replicaOf>[1] = () => ({}),
): Promise<void> {
  let relay: Relay | null = null;
  const offset = { a: 86_400_000, b: -900_000 } as Readonly<Record<string, number>>;
  const [a, b] = await group(
    ['a', 'b'],
    (name) => ({ clock: clockOff(offset[name]!), ...making(name) }),
    async (from, _, address) => {
      if (from === 'b') return address;
      relay = await createRelay(address);
      return { host: '127.0.0.1', port: relay.port };
    },
  );
  try {
    await started([a!, b!], () => work(a!, b!, relay!));
  } finally {
    await relay!.close();
  }
}

const web = (n: number, replica: string) => ({
  check: `origin-${n}/web`,
  path: `${replica}/direct`,
});

// ---------------------------------------------------------------- telling

test('an address means its name: no search list of the system is asked', async () => {
  const system = mock.method(dns, 'lookup');
  const byName = async (_: string, __: string, { port }: { port: number }) => {
    return { host: 'localhost', port };
  };
  try {
    const [a, b] = await group(['a', 'b'], () => ({}), byName);
    await started([a!, b!], async () => {
      await until(() => isHeard(a!, 'b') && isHeard(b!, 'a'), 'they hear each other');
    });
    const asked: readonly unknown[] = system.mock.calls.map(({ arguments: [name] }) => name);
    assert.ok(!asked.includes('localhost'), String(asked));
  } finally {
    system.mock.restore();
  }
});

test('each hears all of it at first, then what changed, and beats between', async () => {
  const replicas = await group(['a', 'b', 'c']);
  const [a, b, c] = replicas as [Replica, Replica, Replica];
  a.sights.set(sighting(web(1, 'a')), sighting(web(2, 'a')));
  a.sights.records = { 'www.gslb.test.': 'abc' };
  await started(replicas, async () => {
    for (const by of replicas) {
      for (const from of replicas.filter((r) => r !== by)) {
        await until(() => isHeard(by, from.name), `${by.name} hears ${from.name}`);
      }
    }
    for (const by of [b, c]) {
      const { telling } = by.heard('a')[0]!;
      assert.deepEqual(telling, a.sights.told(null).telling);
    }
    const before = b.heard('a').length;
    a.sights.set(sighting({ ...web(2, 'a'), verdict: 'down', evidence: 21.5, detail: 'refused' }));
    a.eyes.changed();
    const news = () =>
      b
        .heard('a')
        .slice(before)
        .filter(({ telling }) => telling.sightings.length);
    await until(() => news().length > 0, 'b hears what changed');
    const { telling } = news()[0]!;
    assert.equal(telling.whole, false);
    assert.equal(telling.records, null);
    assert.deepEqual(
      telling.sightings.map((s) => [s.check, s.verdict, s.evidence, s.detail]),
      [['origin-2/web', 'down', 21.5, 'refused']],
    );
    const beats = b.heard('a').length;
    await until(() => b.heard('a').length >= beats + 2, 'it is told though nothing changed');
    assert.equal(b.heard('a').at(-1)!.telling.sightings.length, 0);
    const view = viewOf(b, 'a');
    assert.ok(view.reached && view.heard && view.trouble === null);
    assert.ok(view.bytesIn > 100 && view.bytesOut > 100 && view.roundTripMs !== null);
  });
});

test('many changes in a moment are told together', async () => {
  await withRelay(async (a, b) => {
    await until(() => isHeard(b, 'a'), 'b hears a');
    const before = a.sights.asked.length;
    const from = performance.now();
    for (let i = 0; i < 300; i++) {
      a.sights.set(sighting({ ...web(i % 7, 'a'), passes: i }));
      a.eyes.changed();
      await turn();
    }
    await until(() => b.heard('a').at(-1)!.telling.head === a.sights.version, 'the last comes');
    const most = Math.ceil((performance.now() - from) / 50) + 2;
    const asked = a.sights.asked.length - before;
    assert.ok(asked <= most, `${asked} tellings, at most ${most}`);
  });
});

// ---------------------------------------------------------------- age

test('when it was said is never taken for later than it was, nor for much earlier', async () => {
  await withRelay(async (a, b, relay) => {
    relay.delayMs = 300;
    a.eyes.changed();
    const clockOfB = b.clock.now() - performance.now();
    let closest = Number.POSITIVE_INFINITY;
    let slow = 0;
    await until(
      () => {
        for (const { saidAt, cameAt, telling } of b.heard('a')) {
          // The moment at which a was asked what it has to tell, on b's clock.
          const of = a.sights.asked[b.heard('a').findIndex((h) => h.telling === telling)]!;
          const said = of.at + clockOfB;
          assert.ok(saidAt <= said + 1, `said at ${said}, taken for ${saidAt}`);
          if (cameAt - of.at < 290) continue;
          slow++;
          closest = Math.min(closest, said - saidAt);
        }
        a.eyes.changed();
        return slow > 0 && closest < 2000;
      },
      'a telling that was long under way, and is known to be',
      15_000,
    );
    assert.ok(viewOf(b, 'a').roundTripMs !== null);
  });
});

/** Two ends of a line over a socket, on clocks that the test moves. */
interface Ends {
  readonly a: Line;
  readonly b: Line;
  readonly clockA: StandingClock;
  readonly clockB: StandingClock;
  /** When each letter that `b` has heard was said, on its clock. */
  readonly saidAt: readonly number[];
  readonly closed: readonly string[];
  /** What is under `a`. */
  readonly near: net.Socket;
}

async function onLine(work: (ends: Ends) => Promise<void>): Promise<void> {
  const [clockA, clockB] = [new StandingClock(), new StandingClock()];
  clockB.advance(5_000_000);
  const keys = createKeyring([key('group')]).derive(PURPOSE);
  const dialling = dial({ cluster: 'shop', from: 'a', to: 'b' }, 'life', keys);
  const here = { cluster: 'shop', self: 'b', may: () => null, keys };
  const { bytes, met } = answer(dialling.bytes.subarray(4), here);
  const session = dialling.finish(bytes.subarray(4));
  assert.ok(typeof session !== 'string' && met !== null);
  const accepted = Promise.withResolvers<net.Socket>();
  const server = net.createServer({ pauseOnConnect: true }, accepted.resolve);
  await withServer(server, async (port) => {
    const near = net.connect(port, '127.0.0.1');
    const far = await accepted.promise;
    const lineOf = (socket: net.Socket, clock: StandingClock, of: Session, replica: string) => {
      const hello = { helloSentAt: clock.now(), helloHeardAt: clock.now() };
      return new Line({ socket, frames: new Frames(), session: of, clock, replica, ...hello });
    };
    const a = lineOf(near, clockA, session, 'b');
    const b = lineOf(far, clockB, met.session, 'a');
    const [saidAt, closed]: [number[], string[]] = [[], []];
    a.listen({ letter: () => {}, closed: (why) => closed.push(why) });
    b.listen({ letter: (_, at) => saidAt.push(at), closed: (why) => closed.push(why) });
    try {
      await work({ a, b, clockA, clockB, saidAt, closed, near });
    } finally {
      a.close('the test ends');
      b.close('the test ends');
    }
  });
}

test('said at: what the other echoes was sent, plus what it was held, by our own clock', async () => {
  await onLine(async ({ a, b, clockA, clockB, saidAt }) => {
    const start = clockB.now();
    // It has heard nothing but the hello: that is what it echoes.
    clockA.advance(40);
    clockB.advance(1000);
    a.send(beatLetter);
    await until(() => saidAt.length === 1, 'the first');
    assert.equal(saidAt[0], start + 39);
    // A beat of ours, which it holds for 70 ms by a clock that is far off; then 300 ms on the way.
    b.send(beatLetter);
    const sentAt = clockB.now();
    await until(() => a.session.heard === 1, 'our beat');
    clockA.advance(70);
    clockB.advance(70);
    a.send(beatLetter);
    clockB.advance(300);
    await until(() => saidAt.length === 2, 'the second');
    assert.equal(saidAt[1], sentAt + 69);
    assert.equal(b.roundTripMs, 301);
    // Said long after: held all the while, and not younger than that.
    clockA.advance(10_000);
    clockB.advance(10_000);
    a.send(beatLetter);
    await until(() => saidAt.length === 3, 'the third');
    assert.equal(saidAt[2], sentAt + 10_069);
  });
});

test('a lie about the holding makes nothing younger than now', async () => {
  await onLine(async ({ a, clockA, clockB, saidAt }) => {
    clockA.advance(3_600_000);
    a.send(beatLetter);
    await until(() => saidAt.length === 1, 'the letter');
    assert.equal(saidAt[0], clockB.now());
  });
});

test('who says too much is read on later; an echo out of mind is taken for older', async () => {
  await onLine(async ({ a, b, clockA, clockB, saidAt }) => {
    const start = clockB.now();
    clockB.advance(500);
    for (let i = 0; i < 2000; i++) b.send(beatLetter);
    await until(() => a.session.heard === 500, 'as many as in a second');
    // It echoes number 500 of 2,000: when that was sent is not known any more.
    a.send(beatLetter);
    await until(() => saidAt.length === 1, 'the letter');
    assert.equal(a.session.heard, 500);
    assert.equal(saidAt[0], start);
    assert.equal(b.unanswered.letters, 1500);
    for (let second = 2; second <= 4; second++) {
      clockA.advance(1000);
      await until(() => a.session.heard === 500 * second, 'as many more');
    }
    a.send(beatLetter);
    await until(() => saidAt.length === 2, 'the letter after them');
    assert.equal(saidAt[1], start + 500);
    assert.deepEqual(b.unanswered, { letters: 0, bytes: 0 });
  });
});

test('what is echoed and was never sent ends the line', async () => {
  await onLine(async ({ a, near, closed }) => {
    // In its place and with its MAC, by one who has the key and counts wrong.
    near.write(a.session.seal(toBytes(99, 0, beatLetter)));
    await until(() => closed.length > 0, 'the line ends');
    assert.match(closed[0]!, /echoed what was never sent/);
  });
});

// ---------------------------------------------------------------- silence

test('a replica that is cut off is unheard once, and is heard whole when it comes back', async () => {
  await withRelay(async (a, b, relay) => {
    a.sights.set(sighting(web(1, 'a')));
    await until(() => isHeard(b, 'a'), 'b hears a');
    relay.refuses = true;
    relay.cut();
    const silent = () => b.events.filter((e) => e.kind === 'unheard');
    await until(() => silent().length > 0, 'b hears a no more');
    const [event] = silent();
    assert.match((event as { why: string }).why, /^not heard for \d+\.\d s: \w/);
    assert.equal(viewOf(b, 'a').heard, false);
    assert.ok(viewOf(b, 'a').reached, 'the other way is open');
    const before = b.heard('a').length;
    relay.refuses = false;
    await until(() => b.heard('a').length > before, 'b hears a again', 10_000);
    const { telling } = b.heard('a')[before]!;
    assert.ok(telling.whole);
    assert.equal(telling.sightings.length, 1);
    assert.equal(silent().length, 1);
  });
});

test('who was never heard is said to be, with the reason', async () => {
  const b = await replicaOf('b', {
    peers: { a: { host: '127.0.0.1', port: await closedPort() } },
  });
  await started([b], async () => {
    await until(() => b.events.length > 0, 'b says so');
    const why = 'never heard yet: nobody listens there';
    assert.deepEqual(b.events, [{ kind: 'unheard', replica: 'a', why }]);
    assert.deepEqual(viewOf(b, 'a').trouble, 'nobody listens there');
  });
});

test('after a pause of this process what has come is read before anybody is judged', async () => {
  const clock = new StandingClock();
  const [a, b] = await group(['a', 'b'], (name) => (name === 'b' ? { clock } : {}));
  await started([a!, b!], async () => {
    await until(() => isHeard(b!, 'a'), 'b hears a');
    clock.stall(60_000);
    assert.deepEqual(
      b!.events.filter((e) => e.kind === 'unheard'),
      [],
    );
    const before = b!.heard('a').length;
    await until(() => b!.heard('a').length > before, 'b hears a still');
    clock.advance(500);
    assert.deepEqual(
      b!.events.filter((e) => e.kind === 'unheard'),
      [],
    );
  });
});

test('attempts to reach a replica that is gone come at most 5 s apart, and not in step', async () => {
  const dialled: number[] = [];
  const clock = new StandingClock();
  await withServer(
    net.createServer((socket) => {
      dialled.push(clock.now());
      socket.destroy();
    }),
    async (port) => {
      const a = await replicaOf('a', { clock, peers: { b: { host: '127.0.0.1', port } } });
      await started([a], async () => {
        while (clock.now() < 200_000) {
          const before = dialled.length;
          clock.advance(100);
          // Whether this was the moment of an attempt shows when its end is known.
          for (let i = 0; i < 20 && dialled.length === before; i++) await turn();
          await until(() => viewOf(a, 'b').trouble !== null, 'its end', 2000);
        }
        const gaps = dialled.slice(1).map((at, i) => at - dialled[i]!);
        assert.ok(Math.max(...gaps) <= 5500, `${Math.max(...gaps)} ms`);
        assert.ok(Math.min(...gaps.slice(10)) >= 2000, `${Math.min(...gaps.slice(10))} ms`);
        assert.ok(new Set(gaps.slice(10)).size > 5, 'not one rhythm');
      });
    },
  );
});

// ---------------------------------------------------------------- slow and much

test('a slow reader gets fewer and newer tellings, never a queue of old ones', async () => {
  const clock = new StandingClock();
  await withRelay(
    async (a, b, relay) => {
      await until(() => {
        clock.advance(50);
        return isHeard(b, 'a');
      }, 'b hears a');
      relay.hold(true);
      const before = a.sights.asked.length;
      for (let i = 0; i < 200; i++) {
        a.sights.set(sighting({ ...web(i % 7, 'a'), passes: i }));
        a.eyes.changed();
        clock.advance(50);
        await turn();
      }
      const asked = a.sights.asked.length - before;
      assert.ok(asked <= 10, `${asked} tellings lie on the way`);
      const heard = b.heard('a').length;
      relay.hold(false);
      await until(() => {
        clock.advance(50);
        return b.heard('a').at(-1)!.telling.head === a.sights.version;
      }, 'the newest comes');
      assert.ok(b.heard('a').length - heard <= 14, `${b.heard('a').length - heard} tellings`);
      const last = new Map<string, number>();
      for (const { telling } of b.heard('a')) {
        for (const s of telling.sightings) last.set(s.check, s.passes);
      }
      assert.deepEqual([...last.values()].toSorted(), [193, 194, 195, 196, 197, 198, 199]);
      assert.equal(b.events.filter((e) => e.kind === 'unheard').length, 0);
    },
    (name) => (name === 'a' ? { clock } : { clock: new StandingClock() }),
  );
});

test('1,000 checks that all change are told at once, and none is lost', async () => {
  await withRelay(async (a, b) => {
    const all = Array.from({ length: 1000 }, (_, i) => sighting(web(i, 'a')));
    a.sights.set(...all);
    await until(() => b.heard('a').some(({ telling }) => telling.sightings.length === 1000), 'all');
    const before = b.heard('a').length;
    const detail = 'the connection was refused';
    const down = all.map((s) => ({
      ...s,
      verdict: 'down' as const,
      outcome: 'fail' as const,
      detail,
    }));
    a.sights.set(...down);
    a.eyes.changed();
    const told = () =>
      b
        .heard('a')
        .slice(before)
        .find(({ telling }) => telling.sightings.length > 0);
    await until(() => told() !== undefined, 'they come');
    assert.deepEqual(told()!.telling.sightings, down);
  });
});

test('when names fill a connection all is told anew on another; what no connection takes is said', async () => {
  await withRelay(async (a, b, relay) => {
    const rows = (count: number, hash: string) =>
      Array.from({ length: count }, (_, i) => sighting({ ...web(i, 'a'), hash }));
    a.sights.set(...rows(60_000, 'before'));
    const heard = (hash: string) =>
      b.heard('a').findLast(({ telling }) => telling.sightings[0]?.hash === hash)?.telling;
    await until(() => heard('before') !== undefined, 'the first', 20_000);
    const lines = relay.connections.length;
    a.sights.set(...rows(60_000, 'after'));
    a.eyes.changed();
    await until(() => heard('after') !== undefined, 'the second', 20_000);
    assert.equal(relay.connections.length, lines + 1);
    assert.ok(heard('after')!.whole);
    assert.equal(heard('after')!.sightings.length, 60_000);
    assert.equal(b.events.filter((e) => e.kind === 'unheard').length, 0);
    a.sights.set(...rows(100_001, 'more'));
    a.eyes.changed();
    await until(() => a.troubles.length > 0, 'it is told', 20_000);
    assert.match(a.troubles[0]!, /more checks and paths to tell of than the others take/);
  });
});

test('one that hangs, or says nothing, delays nobody else', async () => {
  let silent = 0;
  await withTcp(
    () => void silent++,
    async (port) => {
      const replicas = await group(
        ['a', 'b', 'c'],
        () => ({}),
        (from, to, address) => (from === 'a' && to === 'c' ? { host: '127.0.0.1', port } : address),
      );
      const [a, b] = replicas as [Replica, Replica, Replica];
      await started([a, b], async () => {
        await until(() => isHeard(b, 'a') && silent > 0, 'b hears a, and c says nothing');
        const beats = b.heard('a').length;
        await until(() => viewOf(a, 'c').trouble !== null, 'it is given up');
        assert.equal(viewOf(a, 'c').trouble, 'it does not answer within 3 s');
        assert.ok(b.heard('a').length > beats);
        assert.equal(b.events.filter((e) => e.kind === 'unheard' && e.replica === 'a').length, 0);
      });
    },
  );
});

// ---------------------------------------------------------------- strangers

test('a recorded connection that is said again is not heard, and harms none', async () => {
  await withRelay(async (_, b, relay) => {
    await until(() => b.heard('a').length >= 2, 'b hears a');
    const recorded = Buffer.concat(relay.connections[0]!.said);
    assert.ok(recorded.length > 300);
    const before = b.heard('a').length;
    const again = net.connect(b.eyes.port, '127.0.0.1');
    const answered: Buffer[] = [];
    again.on('data', (chunk: Buffer) => answered.push(chunk)).on('error', () => {});
    let isClosed = false;
    again.on('close', () => {
      isClosed = true;
    });
    again.write(recorded);
    await until(() => isClosed, 'it is turned away');
    assert.match(viewOf(b, 'a').trouble!, /another cluster key/);
    await until(() => b.heard('a').length > before + 1, 'a is heard on');
    assert.equal(relay.connections.length, 1, 'on the line that it had');
    assert.ok(b.heard('a').every(({ telling }) => telling.replica === 'a'));
  });
});

test('bytes put into a connection end it: nothing of them is heard, and a new one is made', async () => {
  const spliced: readonly ((relay: Relay) => Buffer)[] = [
    // A frame of this line once more; a frame of an older line; what nobody has said.
    (relay) => relay.connections.at(-1)!.said.at(-1)!,
    (relay) => relay.connections[0]!.said[2]!,
    () => Buffer.concat([Buffer.of(0, 0, 0, 40), randomBytes(40)]),
  ];
  await withRelay(async (a, b, relay) => {
    a.sights.set(sighting(web(1, 'a')));
    for (const [i, bytesOf] of spliced.entries()) {
      await until(() => relay.connections.length === i + 1, 'a line');
      await until(() => relay.connections[i]!.said.length >= 4, 'some letters on it');
      relay.connections[i]!.inject(bytesOf(relay));
      await until(() => relay.connections.length === i + 2, 'it is broken, and made anew');
      assert.match(viewOf(b, 'a').trouble ?? '', /not its own, or not in its place|closed/);
    }
    const wholes = () => b.heard('a').filter(({ telling }) => telling.whole).length;
    await until(() => wholes() === spliced.length + 1, 'each new line begins with the whole');
  });
});

test('with another key, cluster or name nobody is heard, and either end says why', async () => {
  const rows: readonly (readonly [making: Parameters<typeof replicaOf>[1], why: RegExp])[] = [
    [{ keys: [key('other')] }, /another cluster key/],
    [{ cluster: 'other' }, /does not know this cluster, or this name/],
  ];
  for (const [making, why] of rows) {
    const [a, b] = await group(['a', 'b'], (name) => (name === 'a' ? making : {}));
    await started([a!, b!], async () => {
      await until(() => why.test(viewOf(a!, 'b').trouble ?? ''), `a says ${why}`);
      await until(() => b!.troubles.length > 0, 'b says that it has refused somebody');
      assert.equal(b!.heard('a').length + a!.heard('b').length, 0);
    });
  }
});

test('a replica that is not in the list, or bears our own name, is not let in', async () => {
  for (const name of ['stranger', 'b']) {
    const b = await replicaOf('b', {
      peers: { a: { host: '127.0.0.1', port: await closedPort() } },
    });
    await started([b], async () => {
      const odd = await replicaOf(name, { peers: { b: { host: '127.0.0.1', port: b.eyes.port } } });
      await started([odd], async () => {
        await until(() => viewOf(odd, 'b').trouble !== null, 'it is told');
        assert.match(viewOf(odd, 'b').trouble!, /does not know this cluster, or this name/);
        assert.equal(b.heard(name).length, 0);
      });
    });
  }
});

test('two daemons with one name: the second is refused while the first is heard', async () => {
  await withRelay(async (a, b) => {
    await until(() => isHeard(b, 'a'), 'b hears a');
    const twin = await replicaOf('a', { peers: { b: { host: '127.0.0.1', port: b.eyes.port } } });
    twin.sights.set(sighting({ ...web(1, 'a'), verdict: 'down' }));
    await started([twin], async () => {
      await until(() => viewOf(twin, 'b').trouble !== null, 'it is told');
      assert.match(viewOf(twin, 'b').trouble!, /another daemon with this name/);
      assert.ok(b.heard('a').every(({ telling }) => telling.sightings.length === 0));
      // Once the first is gone, the second is heard.
      a.eyes.close();
      await until(
        () => b.heard('a').some(({ telling }) => telling.sightings.length === 1),
        'it is',
      );
    });
  });
});

test('floods of garbage and of silence keep no replica out, and fill nothing', async () => {
  // Where no time goes by nobody is sent away for being slow: it is by seats alone.
  const clock = new StandingClock();
  const [a, b] = await group(['a', 'b'], (name) => (name === 'b' ? { clock } : {}));
  const sockets: net.Socket[] = [];
  assert.equal(await b!.eyes.start(() => {}), null);
  const to = { port: b!.eyes.port, host: '127.0.0.1', localAddress: '127.0.0.9' };
  try {
    for (let i = 0; i < 150; i++) {
      const socket = net.connect(to).on('error', () => {});
      sockets.push(socket);
      // Some say nothing, some a byte, some all at once.
      if (i % 3 === 1) socket.write(Buffer.of(0));
      if (i % 3 === 2) socket.write(randomBytes(100_000));
    }
    const open = () => sockets.filter((s) => s.readyState === 'open').length;
    await until(() => sockets.every((s) => !s.connecting) && open() <= 32, 'few are left');
    assert.ok(open() > 10, 'and these wait');
    await started([a!], async () => {
      await until(() => isHeard(b!, 'a'), 'a is heard', 10_000);
      clock.advance(3000);
      await until(() => open() === 0, 'after three seconds they are gone');
      assert.ok(b!.troubles.length <= 3, `${b!.troubles.length} lines about it`);
    });
  } finally {
    for (const socket of sockets) socket.destroy();
    b!.eyes.close();
  }
});

test('a replica that speaks for another path, or tells a part first, is not heard', async () => {
  const [a, b] = await group(['a', 'b']);
  a!.sights.set(sighting({ check: 'origin/web', path: 'b/direct', verdict: 'down' }));
  await started([a!, b!], async () => {
    await until(
      () => /a path that is not its own/.test(viewOf(b!, 'a').trouble ?? ''),
      'b says so',
    );
    assert.equal(b!.heard('a').length, 0);
  });
});

// ---------------------------------------------------------------- keys and TLS

test('a key is rotated without a gap; one that is taken away ends what it has made', async () => {
  await withRelay(async (a, b, relay) => {
    await until(() => isHeard(b, 'a'), 'b hears a');
    a.keys = [key('new'), key('group')];
    b.keys = [key('group')];
    relay.cut();
    const heard = async (what: string) => {
      const lines = relay.connections.length;
      const before = b.heard('a').length;
      await until(() => b.heard('a').length > before + 1, what);
      return lines;
    };
    await heard('by the retired key');
    b.keys = [key('new'), key('group')];
    const lines = await heard('by either');
    a.keys = [key('new')];
    b.keys = [key('new')];
    await until(() => relay.connections.length > lines, 'its session ends with the old key');
    await heard('by the new key alone');
    assert.equal(b.events.filter((e) => e.kind === 'unheard').length, 0);
  });
});

const certificates = createCertificates();
after(() => certificates.remove());

test('over TLS each end has a certificate of the group, for the host of its address', async () => {
  const make = (label: string, names: string) => certificates.certificate(label, names, -1, 2);
  const [one, two] = [make('one', 'IP:127.0.0.1'), make('two', 'IP:127.0.0.1')];
  const [elsewhere, stranger] = [make('else', 'IP:127.0.0.5'), make('strange', 'IP:127.0.0.1')];
  const ca = [one, two, elsewhere].map(({ cert }) => cert.toString()).join('\n');
  const files = ({ cert, key: of }: typeof one, trusted = ca): TlsFiles => ({
    ca: trusted,
    cert: cert.toString(),
    key: of.toString(),
  });
  const rows: readonly (readonly [a: TlsFiles, b: TlsFiles, heard: boolean])[] = [
    [files(one), files(two), true],
    [files(elsewhere), files(two), false],
    [files(stranger, `${ca}\n${stranger.cert}`), files(two), false],
  ];
  for (const [ofA, ofB, isGood] of rows) {
    const [a, b] = await group(['a', 'b'], (name) => ({ tls: () => (name === 'a' ? ofA : ofB) }));
    await started([a!, b!], async () => {
      if (isGood) await until(() => isHeard(b!, 'a') && isHeard(a!, 'b'), 'each hears the other');
      else {
        await until(() => b!.troubles.length > 0 || viewOf(b!, 'a').trouble !== null, 'a trouble');
        await until(() => viewOf(a!, 'b').trouble !== null, 'a says so');
        assert.equal(b!.heard('a').length, 0);
      }
    });
  }
  // Somebody without TLS says a hello: it is none.
  const [a, b] = await group(['a', 'b'], (name) => (name === 'b' ? { tls: () => files(two) } : {}));
  await started([a!, b!], async () => {
    await until(() => viewOf(a!, 'b').trouble !== null, 'it is told');
    assert.equal(b!.heard('a').length, 0);
  });
});

test('files that are no certificates are said to be, and nothing is thrown', async () => {
  const a = await replicaOf('a', { tls: () => ({ ca: '', cert: 'x', key: 'y' }) });
  assert.match((await a.eyes.start(() => {})) ?? '', /^group\.tls: its files cannot be used: /);
  a.eyes.close();
});

test('a port that is taken is said to be, with its cure, and is taken once it is free', async () => {
  let a: Replica | null = null;
  let taken = 0;
  await withTcp(
    () => {},
    async (port) => {
      taken = port;
      a = await replicaOf('a', { port });
      const told = await a.eyes.start(() => {});
      assert.match(
        told ?? '',
        /^group\.listen: 127\.0\.0\.1, port \d+ cannot be.*EADDRINUSE.*free/,
      );
      assert.equal(a.eyes.port, 0);
    },
  );
  await until(() => a!.eyes.port === taken, 'it listens where it could not');
  a!.eyes.close();
});

// ---------------------------------------------------------------- calls and questions

test('a call goes at once to all that are reached', async () => {
  const replicas = await group(['a', 'b', 'c']);
  const [a, b, c] = replicas as [Replica, Replica, Replica];
  await started(replicas, async () => {
    await until(() => isHeard(b, 'a') && isHeard(c, 'a'), 'both hear a');
    a.eyes.call(['origin-1/web'], 'confirm');
    a.eyes.call([], 'fresh');
    const called = { kind: 'called', replica: 'a', checks: ['origin-1/web'], why: 'confirm' };
    for (const by of [b, c]) {
      await until(() => by.events.some((e) => e.kind === 'called'), 'the call');
      assert.deepEqual(
        by.events.filter((e) => e.kind === 'called'),
        [called],
      );
    }
  });
});

test('a thousand calls in a moment are few letters, and none of them is lost', async () => {
  const clock = new StandingClock();
  const [a, b] = await group(['a', 'b'], (name) => (name === 'a' ? { clock } : {}));
  await started([a!, b!], async () => {
    await until(() => {
      clock.advance(20);
      return viewOf(a!, 'b').reached;
    }, 'a reaches b');
    const all = Array.from({ length: 1000 }, (_, i) => `origin-${i}/web`);
    for (const check of all) a!.eyes.call([check], check.endsWith('7/web') ? 'fresh' : 'confirm');
    const called = () => b!.events.filter((e) => e.kind === 'called');
    await until(() => called().length === 1, 'the first, at once');
    assert.deepEqual(called()[0]!.checks, ['origin-0/web']);
    clock.advance(20);
    await until(() => called().length === 3, 'the others, together');
    assert.deepEqual(
      called()
        .flatMap(({ checks }) => checks)
        .toSorted(),
      all.toSorted(),
    );
  });
});

test('history and documents are asked of another, in pieces that hold up no beat', async () => {
  const entry = (seq: number) => ({
    ...{ seq, at: seq, wall: seq, kind: 'switch' as EntryKind, record: null },
    ...{ sentence: `moved ${seq}`, data: { n: seq } },
  });
  const docs: Record<string, Json> = Object.fromEntries(
    Array.from({ length: 3000 }, (_, i) => [`record/r${i}.test.`, { text: `${i}`.repeat(100) }]),
  );
  const asked: unknown[] = [];
  const answers = {
    history: (query: { limit: number }) => {
      asked.push(query);
      return Array.from({ length: query.limit }, (_, i) => entry(i + 1));
    },
    documents: () => docs,
  };
  const [a, b] = await group(['a', 'b'], (name) => (name === 'b' ? { answers } : {}));
  await started([a!, b!], async () => {
    assert.equal(await a!.eyes.documents('b'), 'unanswered', 'not reached yet');
    assert.equal(await a!.eyes.documents('nobody'), 'unanswered');
    await until(() => viewOf(a!, 'b').reached, 'a reaches b');
    const query = { record: 'www.gslb.test.', before: 90, limit: 700 };
    const entries = await a!.eyes.history('b', query);
    assert.deepEqual(asked, [query]);
    assert.ok(entries !== 'unanswered');
    assert.deepEqual(entries, answers.history({ limit: 700 }));
    assert.deepEqual(await a!.eyes.documents('b'), docs);
    assert.equal(a!.events.concat(b!.events).filter((e) => e.kind === 'unheard').length, 0);
  });
});

test('who throws, is cut, is silent, or is asked too much, has not answered', async () => {
  const answers = {
    history: () => {
      throw new Error('the store is closed');
    },
    documents: () => ({ 'record/a': 'x'.repeat(300_000) }),
  };
  await withRelay(
    async (a, b, relay) => {
      await until(() => viewOf(a, 'b').reached, 'a reaches b');
      assert.equal(await a.eyes.history('b', { limit: 1 }), 'unanswered');
      assert.match(b.troubles.join(), /not answered: Error: the store is closed/);
      assert.equal(await a.eyes.documents('b'), 'unanswered', 'a row that is too long');
      relay.hold(true);
      const many = Array.from({ length: 9 }, () => a.eyes.documents('b'));
      assert.equal(await many.at(-1), 'unanswered', 'more than may be under way');
      relay.hold(false);
      relay.cut();
      for (const one of many) assert.equal(await one, 'unanswered', 'cut');
      await until(() => viewOf(a, 'b').reached && relay.connections.length > 1, 'a line again');
      relay.hold(true);
      assert.equal(await a.eyes.documents('b'), 'unanswered', 'within two seconds');
    },
    (name) => (name === 'b' ? { answers } : {}),
  );
});
