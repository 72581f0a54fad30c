// Questions over a wire that loses, forges and lies, and the walk from the roots over a small
// internet of name servers on loopback.

import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, afterEach, describe, test } from 'node:test';
import packet from 'dns-packet';
import fc from 'fast-check';
import { ask, askAll, exchangeTcp } from '../../src/dns/ask.ts';
import { createLimit } from '../../src/dns/limit.ts';
import { createResolver, ianaRoots, type Resolver } from '../../src/dns/resolver.ts';
import { decode, encodeQuestion, fitsWire } from '../../src/dns/wire.ts';
import { freePort } from '../parts/bind.ts';
import {
  type Nameserver,
  type Respond,
  rcode,
  rr,
  serveZones,
  startNameserver,
  startNameservers,
} from '../parts/nameserver.ts';

const running: { close(): unknown }[] = [];
const signal = () => AbortSignal.timeout(10_000);
const question = { name: 'www.example.', type: 'CNAME' };
const answer = rr('www.example. 60 CNAME a.target.');

async function serve(respond: Respond): Promise<Nameserver> {
  const server = await startNameserver('127.0.0.1', await freePort(), respond);
  running.push(server);
  return server;
}

async function closeAll() {
  await Promise.all(running.splice(0).map((each) => each.close()));
}

function standStill(ms: number) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

describe('the wire', () => {
  test('no bytes make decode throw', () => {
    const valid = packet.encode({
      type: 'response',
      id: 1,
      questions: [{ name: 'www.example', type: 'A' }],
      answers: [answer, rr('www.example. 60 TXT one two'), rr('www.example. 60 A 127.0.0.1')],
    });
    const edits = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 6 });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), edits, fc.nat(400), (noise, changes, cut) => {
        decode(Buffer.from(noise));
        const mutant = Buffer.from(valid);
        for (const [at, byte] of changes) mutant[at] = byte;
        decode(mutant.subarray(0, cut));
      }),
      { numRuns: 2000 },
    );
  });

  test('a message cut short anywhere is no message', () => {
    const answers = [answer, rr('x.example. 60 TXT one two'), rr('x.example. 60 A 127.0.0.1')];
    const valid = packet.encode({ type: 'response', id: 1, questions: [], answers });
    assert.ok(decode(valid));
    for (let end = 0; end < valid.length; end += 1) {
      assert.equal(decode(valid.subarray(0, end)), null, `cut at ${end}`);
    }
  });

  test('names come out lower-case with their dot, and a huge TTL is none', () => {
    const bytes = packet.encode({
      type: 'response',
      id: 1,
      answers: [{ name: 'WwW.Example', type: 'CNAME', ttl: 0xffff_ffff, data: 'A.TARGET' }],
    });
    assert.deepEqual(decode(bytes)!.answers, [
      { name: 'www.example.', ttl: 0, type: 'CNAME', target: 'a.target.' },
    ]);
  });

  test('a name that does not fit the wire is never sent', async () => {
    for (const name of ['', 'a', 'a..b.', `${'x'.repeat(64)}.b.`, `${'abc.'.repeat(64)}`]) {
      assert.equal(fitsWire(name), false, name);
      const result = await ask({ address: '127.0.0.1', port: 9 }, { name, type: 'A' }, wait(50));
      assert.equal(result.kind, 'malformed');
    }
    assert.ok(fitsWire('.') && fitsWire(`${'abc.'.repeat(63)}`));
  });

  test('ids are spread over all 16 bits and recursion is asked for only when wanted', () => {
    const wires = Array.from({ length: 500 }, () => encodeQuestion(question, false, true));
    const ids = new Set(wires.map((w) => w.readUInt16BE(0)));
    assert.ok(ids.size > 450);
    assert.ok([...ids].some((id) => id > 0xf000) && [...ids].some((id) => id < 0x1000));
    assert.ok(wires.every((w) => (w[2]! & 1) === 0));
    assert.equal(encodeQuestion(question, true, true)[2]! & 1, 1);
  });
});

function wait(timeoutMs: number) {
  return { timeoutMs };
}

describe('one question to one server', () => {
  afterEach(closeAll);

  test('over UDP with EDNS, without recursion', async () => {
    const server = await serve(() => ({ answers: [answer] }));
    const result = await ask(server, question, wait(2000));
    assert.ok(result.kind === 'reply');
    assert.equal(result.message.rcode, 'NOERROR');
    assert.ok(result.message.authoritative);
    assert.equal(server.asked.length, 1);
    const { via, edns, recurse } = server.asked[0]!;
    assert.deepEqual({ via, edns, recurse }, { via: 'udp', edns: true, recurse: false });
  });

  test('a truncated reply is asked again over TCP', async () => {
    const server = await serve(({ via }) => ({ truncated: via === 'udp', answers: [answer] }));
    const result = await ask(server, question, wait(2000));
    assert.ok(result.kind === 'reply' && !result.message.truncated);
    assert.deepEqual(
      server.asked.map((a) => a.via),
      ['udp', 'tcp'],
    );
  });

  test('a server without EDNS is asked again without it', async () => {
    const server = await serve(({ edns }) =>
      edns ? { rcode: rcode.formErr } : { answers: [answer] },
    );
    const result = await ask(server, question, wait(2000));
    assert.ok(result.kind === 'reply' && result.message.answers.length === 1);
  });

  test('forged replies (another id, another question) do not end the waiting', async () => {
    const server = await serve((_asked, build) => {
      const right = build({ answers: [answer] });
      const otherId = build({ answers: [rr('www.example. 60 CNAME evil.')] });
      otherId.writeUInt16BE(otherId.readUInt16BE(0) ^ 1, 0);
      const other = packet.encode({
        type: 'response',
        id: right.readUInt16BE(0),
        questions: [{ name: 'evil.example', type: 'CNAME' }],
        answers: [rr('evil.example. 60 CNAME evil.')],
      });
      return [otherId, other, Buffer.from('noise'), right];
    });
    const result = await ask(server, question, wait(2000));
    assert.ok(result.kind === 'reply');
    assert.deepEqual(result.message.answers, [
      { name: 'www.example.', ttl: 60, type: 'CNAME', target: 'a.target.' },
    ]);
  });

  test('only nonsense from the server is malformed, silence is a timeout', async () => {
    const nonsense = await serve((_a, build) => [build({}).subarray(0, 20)]);
    assert.equal((await ask(nonsense, question, wait(150))).kind, 'malformed');
    const silent = await serve(() => null);
    assert.equal((await ask(silent, question, wait(100))).kind, 'timeout');
    assert.equal((await ask(silent, question, { ...wait(100), tcp: true })).kind, 'timeout');
  });

  test('a reply that came while this process stood still is a reply, past the limit too', async () => {
    const timeoutMs = 200;
    for (const tcp of [false, true]) {
      let isFirst = true;
      const server = await serve(() => {
        // What is sent now is there when the loop goes on, and not read before.
        if (isFirst) setImmediate(() => standStill(2 * timeoutMs));
        isFirst = false;
        return { answers: [answer] };
      });
      const { kind } = await ask(server, question, { timeoutMs, tcp });
      assert.equal(kind, 'reply', tcp ? 'TCP' : 'UDP');
    }
  });

  test('one lost datagram is made good within the same exchange', async () => {
    let count = 0;
    const server = await serve(() => (++count === 1 ? null : { answers: [answer] }));
    const result = await ask(server, question, wait(500));
    assert.equal(result.kind, 'reply');
    assert.equal(count, 2);
    assert.equal(server.asked[0]!.id, server.asked[1]!.id);
  });

  test('a port where nobody listens is refused over UDP and TCP, with nothing sent', async () => {
    const server = { address: '127.0.0.1', port: await freePort() };
    for (const tcp of [false, true]) {
      const result = await ask(server, question, { timeoutMs: 2000, tcp });
      assert.ok(result.kind === 'refused' && result.sent === false, result.kind);
    }
  });

  test('the signal ends it at once, before and during', async () => {
    const server = await serve(() => null);
    const stop = new AbortController();
    const during = [false, true].map((tcp) =>
      ask(server, question, { timeoutMs: 60_000, tcp, signal: stop.signal }),
    );
    await until(() => server.asked.length === 2);
    stop.abort();
    for (const each of during) assert.equal((await each).kind, 'aborted');
    const before = await ask(server, question, { timeoutMs: 60_000, signal: stop.signal });
    assert.ok(before.kind === 'aborted' && !before.sent);
  });

  test('no exchange leaves a socket behind', async () => {
    const server = await serve(({ via }) => (via === 'udp' ? { truncated: true } : null));
    const busy = () =>
      process.getActiveResourcesInfo().filter((r) => /udp|tcpsocket|timeout/i.test(r)).length;
    await ask(server, question, wait(100));
    await Promise.all(Array.from({ length: 20 }, () => ask(server, question, wait(100))));
    await server.close();
    running.length = 0;
    await until(() => busy() === 0 || busy() === testRunnerTimers);
  });
});

// The runner's own; what a test leaves behind comes on top.
const testRunnerTimers = process
  .getActiveResourcesInfo()
  .filter((r) => /udp|tcpsocket|timeout/i.test(r)).length;

async function until(condition: () => boolean): Promise<void> {
  const giveUpAt = Date.now() + 5000;
  while (!condition()) {
    assert.ok(Date.now() < giveUpAt, 'the condition did not come');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('many questions over one connection', () => {
  afterEach(closeAll);
  const questions = Array.from({ length: 250 }, (_, i) => ({ name: `n${i}.example.`, type: 'A' }));

  test('all are answered in order, whatever order the replies have', async () => {
    const held: Buffer[] = [];
    const server = await serve((asked, build) => {
      held.push(build({ answers: [rr(`${asked.name} 60 A 127.0.0.1`)] }));
      const full = held.length === 200 || asked.name === 'n249.example.';
      return full ? held.splice(0).reverse() : null;
    });
    const result = await askAll({ host: server.address, port: server.port }, questions, wait(5000));
    assert.ok(result.kind === 'replies');
    assert.deepEqual(
      result.messages.map((m) => m.questions[0]?.name),
      questions.map((q) => q.name),
    );
  });

  test('a reply to nothing that was asked ends it, and what arrived is kept', async () => {
    const server = await serve((asked, build) => {
      const reply = build({});
      if (asked.name === 'n1.example.') reply.writeUInt16BE(asked.id ^ 0x8000, 0);
      return [reply];
    });
    const wires = questions.slice(0, 2).map((q) => encodeQuestion(q, false, false));
    wires[0]!.writeUInt16BE(1, 0);
    wires[1]!.writeUInt16BE(2, 0);
    const result = await exchangeTcp(
      { host: server.address, port: server.port },
      wires,
      wait(2000),
    );
    assert.equal(result.failure?.kind, 'malformed');
    assert.ok(result.replies[0] && result.replies[1] === null);
  });

  test('a server that closes after each reply is asked on with new connections', async () => {
    let connections = 0;
    const server = createServer((socket) => {
      connections += 1;
      socket.on('error', () => {});
      socket.once('data', (chunk: Buffer) => {
        const reply = Buffer.from(chunk.subarray(0, 2 + chunk.readUInt16BE(0)));
        reply[4] = reply[4]! | 0x80;
        socket.end(reply);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    running.push(server);
    const { port } = server.address() as { port: number };
    const some = questions.slice(0, 3);
    const result = await askAll({ host: '127.0.0.1', port }, some, wait(2000));
    assert.ok(result.kind === 'replies' && result.messages.length === 3, result.kind);
    assert.equal(connections, 3);
  });

  test('no questions are answered without a connection', async () => {
    const none = await askAll({ host: '127.0.0.1', port: await freePort() }, [], wait(1000));
    assert.deepEqual(none, { kind: 'replies', messages: [] });
  });
});

describe('the limit on what runs at once', () => {
  test('never more than so many run, order is kept, and the waiting can be left', async () => {
    const limit = createLimit(3, 5);
    const go: (() => void)[] = [];
    const order: number[] = [];
    let most = 0;
    let now = 0;
    const stop = new AbortController();
    const start = (n: number, signal: AbortSignal) =>
      limit(signal, async () => {
        order.push(n);
        now += 1;
        most = Math.max(most, now);
        await new Promise<void>((resolve) => go.push(resolve));
        now -= 1;
        return n;
      });
    const never = new AbortController().signal;
    const all = Array.from({ length: 9 }, (_, n) => start(n, n === 4 ? stop.signal : never));
    assert.equal(await all[8], null, 'the ninth finds the queue full');
    stop.abort();
    assert.equal(await all[4], null, 'the fifth left');
    for (let done = 0; done < 7; done += 1) {
      await until(() => go.length > 0);
      go.shift()!();
    }
    assert.deepEqual(await Promise.all(all), [0, 1, 2, 3, null, 5, 6, 7, null]);
    assert.deepEqual(order, [0, 1, 2, 3, 5, 6, 7]);
    assert.equal(most, 3);
  });

  test('a run that throws gives its place back', async () => {
    const limit = createLimit(1, 1);
    const { signal } = new AbortController();
    await assert.rejects(limit(signal, () => Promise.reject(new Error('no'))));
    assert.equal(await limit(signal, async () => 1), 1);
  });
});

describe('the resolver', () => {
  afterEach(closeAll);
  const [root, tld, shop, cdn, dead] = [
    '127.0.0.2',
    '127.0.0.3',
    '127.0.0.4',
    '127.0.0.5',
    '127.0.0.6',
  ] as const;
  const rootZone = [
    'example. 60 NS ns.tld.example.',
    'test. 60 NS ns.tld.example.',
    `ns.tld.example. 60 A ${tld}`,
  ];
  const tldZones = {
    'example.': [
      'tld.example. 60 A 127.0.0.9',
      `ns.tld.example. 60 A ${tld}`,
      'shop.example. 60 NS ns1.shop.example.',
      `ns1.shop.example. 60 A ${shop}`,
      'lame.example. 60 NS ns1.shop.example.',
      'dead.example. 60 NS ns.dead.example.',
      `ns.dead.example. 60 A ${dead}`,
      // Each needs the other to be found.
      'left.example. 60 NS ns.right.example.',
      'right.example. 60 NS ns.left.example.',
    ],
    // No glue: the servers' names stand in another zone.
    'test.': ['cdn.test. 60 NS ns.shop.example.', 'cdn.test. 60 NS ns2.shop.example.'],
  };
  const shopZones = {
    'shop.example.': [
      `ns1.shop.example. 60 A ${shop}`,
      `ns.shop.example. 60 A ${cdn}`,
      'ns2.shop.example. 60 AAAA fe80::1%lo',
      'direct.shop.example. 60 A 192.0.2.1',
      'six.shop.example. 60 AAAA 2001:db8::1',
      'www.shop.example. 60 CNAME edge.cdn.test.',
      'loop.shop.example. 60 CNAME pool.shop.example.',
      'pool.shop.example. 60 CNAME loop.shop.example.',
      'empty.shop.example. 60 TXT nothing',
      'gone.shop.example. 60 CNAME missing.cdn.test.',
      'silent.shop.example. 60 CNAME www.dead.example.',
      'lost.shop.example. 60 CNAME www.lame.example.',
      'odd.shop.example. 60 CNAME 10.0.0.1.',
      ...Array.from(
        { length: 20 },
        (_, i) => `l${i}.shop.example. 60 CNAME l${i + 1}.shop.example.`,
      ),
    ],
  };
  const cdnZones = {
    'cdn.test.': ['edge.cdn.test. 60 A 192.0.2.2', 'cdn.test. 60 NS ns.shop.example.'],
  };

  async function internet(over: Readonly<Record<string, Respond>> = {}) {
    const world = await startNameservers({
      [root]: serveZones({ '.': rootZone }),
      [tld]: serveZones(tldZones),
      [shop]: serveZones(shopZones),
      [cdn]: serveZones(cdnZones),
      [dead]: () => null,
      ...over,
    });
    running.push(...Object.values(world.at));
    const clock = { at: 0, now: () => clock.at };
    const resolver: Resolver = createResolver({
      roots: [root],
      port: world.port,
      timeoutMs: 300,
      clock,
    });
    running.push(resolver);
    return { ...world, clock, resolver };
  }

  test('follows a CNAME across zones, through referrals and servers without glue', async () => {
    const { resolver, at } = await internet();
    assert.deepEqual(await resolver.chain('www.shop.example.', signal()), {
      kind: 'answered',
      chain: ['www.shop.example.', 'edge.cdn.test.'],
    });
    const asked = Object.values(at).flatMap((s) => s.asked);
    assert.ok(asked.every((a) => !a.recurse));
  });

  test('one address of either family is enough', async () => {
    const { resolver } = await internet();
    for (const name of ['direct.shop.example.', 'six.shop.example.']) {
      assert.deepEqual(await resolver.chain(name, signal()), { kind: 'answered', chain: [name] });
    }
  });

  test('delegations are remembered for their TTL, answers never', async () => {
    const { resolver, at, clock } = await internet();
    const count = () => [root, tld, shop].map((address) => at[address]!.asked.length);
    await resolver.chain('direct.shop.example.', signal());
    assert.deepEqual(count(), [1, 1, 1]);
    await resolver.chain('direct.shop.example.', signal());
    assert.deepEqual(count(), [1, 1, 2]);
    clock.at += 60_001;
    await resolver.chain('direct.shop.example.', signal());
    assert.deepEqual(count(), [2, 2, 3]);
  });

  const broken: readonly [what: string, name: string, at: string, why: RegExp][] = [
    ['NXDOMAIN behind a CNAME', 'gone.shop.example.', 'missing.cdn.test.', /NXDOMAIN/],
    ['NODATA', 'empty.shop.example.', 'empty.shop.example.', /NODATA/],
    ['a loop', 'loop.shop.example.', 'pool.shop.example.', /returns to loop/],
    ['a lame delegation', 'lost.shop.example.', 'www.lame.example.', /REFUSED/],
    ['more than 16 names', 'l0.shop.example.', 'l15.shop.example.', /longer than 16/],
    ['a CNAME to no host name', 'odd.shop.example.', 'odd.shop.example.', /no host name/],
    ['servers that need each other', 'www.left.example.', 'www.left.example.', /no address|nested/],
  ];
  for (const [what, name, where, why] of broken) {
    test(`${what} is broken, at the name where it is`, async () => {
      const { resolver } = await internet();
      const result = await resolver.chain(name, signal());
      assert.ok(result.kind === 'broken', JSON.stringify(result));
      assert.equal(result.at, where);
      assert.match(result.detail, why);
    });
  }

  test('SERVFAIL from every server is broken, from one of two is not', async () => {
    const half = await internet({
      [root]: serveZones({
        '.': [
          'shop.example. 60 NS a.x.',
          'shop.example. 60 NS b.x.',
          `a.x. 60 A ${dead}`,
          `b.x. 60 A ${shop}`,
        ],
      }),
      [dead]: () => ({ rcode: rcode.servFail }),
    });
    for (let i = 0; i < 4; i += 1) {
      const result = await half.resolver.chain('direct.shop.example.', signal());
      assert.equal(result.kind, 'answered');
    }
    half.at[shop]!.respond = () => ({ rcode: rcode.servFail });
    const result = await half.resolver.chain('direct.shop.example.', signal());
    assert.ok(result.kind === 'broken');
    assert.match(result.detail, /SERVFAIL/);
  });

  test('silence from every server is unknown, at the zone and at the roots', async () => {
    const { resolver, at } = await internet();
    const zone = await resolver.chain('silent.shop.example.', signal());
    assert.ok(zone.kind === 'unknown', JSON.stringify(zone));
    assert.match(zone.detail, /www\.dead\.example\..*timeout/);
    at[root]!.respond = () => null;
    assert.equal((await resolver.chain('www.test.', signal())).kind, 'unknown');
  });

  test('an answer without authority is not taken', async () => {
    const { resolver } = await internet({
      [shop]: ({ name }) => ({ authoritative: false, answers: [rr(`${name} 60 A 192.0.2.1`)] }),
    });
    const result = await resolver.chain('direct.shop.example.', signal());
    assert.ok(result.kind === 'broken');
    assert.match(result.detail, /not authoritative/);
  });

  test('a referral upwards or sideways, or glue for somebody else, is not followed', async () => {
    const { resolver, at } = await internet({
      [shop]: () => ({
        authoritative: false,
        authorities: [rr('example. 60 NS ns.evil.'), rr('other.example. 60 NS ns.evil.')],
        additionals: [rr(`ns.evil. 60 A ${dead}`)],
      }),
    });
    const result = await resolver.chain('direct.shop.example.', signal());
    assert.equal(result.kind, 'broken');
    assert.equal(at[dead]!.asked.length, 0);
    at[shop]!.respond = () => ({
      authoritative: false,
      authorities: [rr('direct.shop.example. 60 NS ns.tld.example.')],
      additionals: [rr(`ns.tld.example. 60 A ${dead}`)],
    });
    await resolver.chain('direct.shop.example.', signal());
    assert.equal(at[dead]!.asked.length, 0, 'the poisoned address was asked');
  });

  test('endless referrals end', async () => {
    const { resolver } = await internet({
      [root]: ({ name }) => ({ authoritative: false, ...deeper(name, 1) }),
      [shop]: ({ name }) => {
        depth += 1;
        return { authoritative: false, ...deeper(name, depth) };
      },
    });
    let depth = 1;
    const deeper = (name: string, labels: number) => {
      const zone = `${name
        .split('.')
        .slice(-1 - labels)
        .join('.')}`;
      const glue = [rr(`ns.${zone} 60 A ${shop}`)];
      return { authorities: [rr(`${zone} 60 NS ns.${zone}`)], additionals: glue };
    };
    const name = `${'a.'.repeat(100)}`;
    const result = await resolver.chain(name, signal());
    assert.notEqual(result.kind, 'answered');
    assert.ok(depth > 20 && depth <= 40, `${depth} referrals were followed`);
  });

  test('servers that moved are found again from the roots', async () => {
    const { resolver, at } = await internet();
    assert.equal((await resolver.chain('direct.shop.example.', signal())).kind, 'answered');
    at[shop]!.respond = () => null;
    at[cdn]!.respond = serveZones(shopZones);
    const moved = tldZones['example.'].map((l) =>
      l.startsWith('ns1.shop') ? `ns1.shop.example. 60 A ${cdn}` : l,
    );
    at[tld]!.respond = serveZones({ ...tldZones, 'example.': moved });
    assert.equal((await resolver.chain('direct.shop.example.', signal())).kind, 'answered');
  });

  test('addresses of a host are kept when they cannot be looked up any more', async () => {
    const { resolver, at, clock } = await internet();
    const host = 'ns.shop.example.';
    const fresh = { kind: 'found', addresses: [cdn], stale: false };
    assert.deepEqual(await resolver.addresses(host, signal()), fresh);
    const count = at[shop]!.asked.length;
    assert.deepEqual(await resolver.addresses(host, signal()), fresh);
    assert.equal(at[shop]!.asked.length, count, 'from memory');
    clock.at += 61_000;
    for (const address of [root, tld, shop]) at[address]!.respond = () => null;
    assert.deepEqual(await resolver.addresses(host, signal()), { ...fresh, stale: true });
    const unknown = await resolver.addresses('ns.nowhere.test.', signal());
    assert.equal(unknown.kind, 'unknown');
  });

  test('one who leaves a lookup does not end it for the others', async () => {
    const { resolver, at } = await internet();
    const stop = new AbortController();
    const first = resolver.addresses('ns.shop.example.', stop.signal);
    const second = resolver.addresses('ns.shop.example.', signal());
    stop.abort();
    assert.equal((await first).kind, 'unknown');
    assert.equal((await second).kind, 'found');
    const asked = at[shop]!.asked.filter((a) => a.name === 'ns.shop.example.' && a.type === 'A');
    assert.equal(asked.length, 1, 'the lookup is shared');
  });

  test('the name servers of a zone, and what its parent says of them', async () => {
    const { resolver } = await internet();
    assert.deepEqual(await resolver.nameServers('cdn.test.', signal()), {
      kind: 'found',
      names: ['ns.shop.example.'],
      delegated: ['ns.shop.example.', 'ns2.shop.example.'],
    });
    assert.equal((await resolver.nameServers('direct.shop.example.', signal())).kind, 'broken');
  });

  test('with recursive resolvers configured only those are asked, with recursion', async () => {
    const server = await serve(({ name, type }) => {
      const line =
        name === 'www.example.' ? `${name} 60 CNAME edge.test.` : `${name} 60 A 192.0.2.1`;
      if (name === 'gone.example.') return { rcode: rcode.nxDomain, authoritative: false };
      return { authoritative: false, answers: type === 'A' ? [rr(line)] : [] };
    });
    const resolver = createResolver({
      roots: ['127.0.0.1:9'],
      timeoutMs: 500,
      clock: { now: () => 0 },
      resolvers: [{ host: server.address, port: server.port }],
    });
    assert.deepEqual(await resolver.chain('www.example.', signal()), {
      kind: 'answered',
      chain: ['www.example.', 'edge.test.'],
    });
    assert.equal((await resolver.chain('gone.example.', signal())).kind, 'broken');
    assert.ok(server.asked.every((a) => a.recurse));
    resolver.close();
  });

  test('closing and an aborted signal end a walk as unknown', async () => {
    const { resolver, at } = await internet({ [root]: () => null });
    const walk = resolver.chain('direct.shop.example.', signal());
    await until(() => at[root]!.asked.length > 0);
    resolver.close();
    assert.equal((await walk).kind, 'unknown');
    assert.equal((await resolver.chain('direct.shop.example.', signal())).kind, 'unknown');
  });

  test('the built-in hints are 13 servers with both families', () => {
    assert.equal(ianaRoots.length, 26);
    assert.equal(new Set(ianaRoots).size, 26);
    assert.equal(ianaRoots.filter((a) => a.includes(':')).length, 13);
  });
});

after(closeAll);
