// The lab's zones and name servers, asked over real sockets.

import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { type DecodedPacket, decode, encode, type Question, streamEncode } from 'dns-packet';
import fc from 'fast-check';
import { type Nameserver, startNameserver } from '../../src/lab/vendors/nameserver.ts';
import { LabZone, parseStrings, printStrings, ZoneError } from '../../src/lab/vendors/zone.ts';
import { withoutIpv6 } from '../parts/limits.ts';

type Reply = DecodedPacket & { rcode: string };

function zoneOf(...records: readonly [string, string, string, number?][]): LabZone {
  return new LabZone({
    name: 'gslb.example.net',
    soa: { minimum: 30 },
    nameServers: ['ns1.vendor.test.', 'ns2.vendor.test.'],
    rrsets: records.map(([name, type, value, ttl]) => ({
      name: name === '@' ? 'gslb.example.net.' : `${name}.gslb.example.net.`,
      type,
      ttl: ttl ?? 60,
      values: [value],
    })),
  });
}

async function served(
  zones: readonly LabZone[],
  body: (server: Nameserver) => Promise<void>,
  address = '127.0.0.1',
) {
  const server = await startNameserver({ address, port: 0, zones: () => zones });
  try {
    await body(server);
  } finally {
    await server.close();
  }
}

/** One raw datagram there and back; null when none comes within the time. */
function exchange(server: Nameserver, message: Buffer, waitMs = 10_000): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(server.address.includes(':') ? 'udp6' : 'udp4');
    const done = (value: Buffer | null) => {
      clearTimeout(timer);
      socket.close();
      resolve(value);
    };
    const timer = setTimeout(() => done(null), waitMs);
    socket.once('error', reject);
    socket.once('message', done);
    socket.send(message, server.port, server.address);
  });
}

async function ask(server: Nameserver, name: string, type: string, extra = {}): Promise<Reply> {
  const question = { name, type, class: 'IN' } as Question;
  const reply = await exchange(server, encode({ id: 7, questions: [question], ...extra }));
  assert.ok(reply, `an answer for ${name} ${type}`);
  return decode(reply) as Reply;
}

function shown(records: DecodedPacket['answers']): string[] {
  return (records ?? []).map((r) => {
    const data = 'data' in r ? r.data : null;
    if (r.type === 'SOA') return `${r.name} SOA ${r.ttl}`;
    const ttl = 'ttl' in r ? r.ttl : '';
    return `${r.name} ${r.type} ${ttl} ${Array.isArray(data) ? data.join('|') : String(data)}`;
  });
}

test('a CNAME that leads out of the zone is answered alone, with authority', async () => {
  await served([zoneOf(['www', 'CNAME', 'hz.shop.example.'])], async (server) => {
    const reply = await ask(server, 'WWW.gslb.example.net', 'A');
    assert.equal(reply.rcode, 'NOERROR');
    assert.equal(reply.flag_aa, true);
    assert.equal(reply.flag_ra, false);
    assert.equal(reply.id, 7);
    assert.deepEqual(shown(reply.answers), ['www.gslb.example.net CNAME 60 hz.shop.example']);
    assert.equal(reply.questions?.[0]?.name, 'WWW.gslb.example.net');
  });
});

test('a CNAME inside the zone is followed, and a circle ends', async () => {
  const zone = zoneOf(
    ['www', 'CNAME', 'a.gslb.example.net.'],
    ['a', 'A', '192.0.2.1'],
    ['x', 'CNAME', 'y.gslb.example.net.'],
    ['y', 'CNAME', 'x.gslb.example.net.'],
    ['gone', 'CNAME', 'missing.gslb.example.net.'],
  );
  await served([zone], async (server) => {
    assert.deepEqual(shown((await ask(server, 'www.gslb.example.net', 'A')).answers), [
      'www.gslb.example.net CNAME 60 a.gslb.example.net',
      'a.gslb.example.net A 60 192.0.2.1',
    ]);
    assert.equal((await ask(server, 'x.gslb.example.net', 'A')).answers?.length, 2);
    const gone = await ask(server, 'gone.gslb.example.net', 'A');
    assert.equal(gone.rcode, 'NXDOMAIN');
    assert.equal(gone.answers?.length, 1);
    const alias = await ask(server, 'www.gslb.example.net', 'CNAME');
    assert.equal(alias.answers?.length, 1);
  });
});

test('NXDOMAIN and NODATA carry the SOA with the negative TTL', async () => {
  await served([zoneOf(['a.deep', 'A', '192.0.2.1'])], async (server) => {
    const nothing = await ask(server, 'nope.gslb.example.net', 'A');
    assert.equal(nothing.rcode, 'NXDOMAIN');
    assert.equal(nothing.flag_aa, true);
    assert.deepEqual(shown(nothing.authorities), ['gslb.example.net SOA 30']);
    for (const [name, type] of [
      ['a.deep.gslb.example.net', 'TXT'],
      ['deep.gslb.example.net', 'A'],
    ] as const) {
      const nodata = await ask(server, name, type);
      assert.equal(nodata.rcode, 'NOERROR', name);
      assert.deepEqual(shown(nodata.answers), []);
      assert.deepEqual(shown(nodata.authorities), ['gslb.example.net SOA 30']);
    }
  });
});

test('a delegation is a referral with glue and without authority', async () => {
  const zone = zoneOf(['shop', 'NS', 'ns.shop.gslb.example.net.'], ['ns.shop', 'A', '192.0.2.53']);
  await served([zone], async (server) => {
    const reply = await ask(server, 'www.shop.gslb.example.net', 'A');
    assert.equal(reply.rcode, 'NOERROR');
    assert.equal(reply.flag_aa, false);
    assert.deepEqual(shown(reply.answers), []);
    assert.deepEqual(shown(reply.authorities), [
      'shop.gslb.example.net NS 60 ns.shop.gslb.example.net',
    ]);
    assert.deepEqual(shown(reply.additionals), ['ns.shop.gslb.example.net A 60 192.0.2.53']);
    const ds = await ask(server, 'shop.gslb.example.net', 'DS');
    assert.equal(ds.flag_aa, true);
  });
});

test('a wildcard answers names that do not exist and no others', async () => {
  const zone = zoneOf(['*', 'TXT', '"wild"'], ['there', 'A', '192.0.2.1']);
  await served([zone], async (server) => {
    const wild = await ask(server, 'any.gslb.example.net', 'TXT');
    assert.deepEqual(shown(wild.answers), ['any.gslb.example.net TXT 60 wild']);
    const there = await ask(server, 'there.gslb.example.net', 'TXT');
    assert.deepEqual(shown(there.answers), []);
    assert.equal((await ask(server, 'x.there.gslb.example.net', 'TXT')).rcode, 'NXDOMAIN');
  });
});

test('a name in no zone is refused; of nested zones the deeper one answers', async () => {
  const inner = new LabZone({
    name: 'a.gslb.example.net',
    nameServers: ['ns.vendor.test'],
    rrsets: [{ name: 'a.gslb.example.net.', type: 'A', ttl: 5, values: ['192.0.2.9'] }],
  });
  await served([zoneOf(['a', 'A', '192.0.2.1']), inner], async (server) => {
    assert.equal((await ask(server, 'example.org', 'A')).rcode, 'REFUSED');
    const deeper = await ask(server, 'a.gslb.example.net', 'A');
    assert.deepEqual(shown(deeper.answers), ['a.gslb.example.net A 5 192.0.2.9']);
  });
});

test('the zone serves the apex, MX, SRV, CAA and AAAA in their own forms', async () => {
  const zone = zoneOf(
    ['@', 'MX', '10 mail.example.net.'],
    ['_s._tcp', 'SRV', '1 2 443 host.example.net.'],
    ['@', 'CAA', '0 issue "ca.example"'],
    ['six', 'AAAA', '2001:db8::1'],
  );
  await served([zone], async (server) => {
    const resolver = new Resolver();
    resolver.setServers([`${server.address}:${server.port}`]);
    const [mx] = await resolver.resolveMx('gslb.example.net');
    assert.deepEqual([mx?.priority, mx?.exchange], [10, 'mail.example.net']);
    const [srv] = await resolver.resolveSrv('_s._tcp.gslb.example.net');
    assert.equal(srv?.port, 443);
    const [caa] = await resolver.resolveCaa('gslb.example.net');
    assert.equal(caa?.issue, 'ca.example');
    assert.deepEqual(await resolver.resolve6('six.gslb.example.net'), ['2001:db8::1']);
    const soa = await resolver.resolveSoa('gslb.example.net');
    assert.equal(soa.minttl, 30);
    assert.equal(soa.serial, zone.serial);
    assert.deepEqual((await resolver.resolveNs('gslb.example.net')).sort(), [
      'ns1.vendor.test',
      'ns2.vendor.test',
    ]);
  });
});

test('an answer too long for UDP is cut with TC set and whole over TCP', async () => {
  const values = Array.from(
    { length: 12 },
    (_, i) => `"${String(i).padStart(2, '0')}${'x'.repeat(200)}"`,
  );
  const zone = zoneOf();
  zone.set({ name: 'big.gslb.example.net', type: 'TXT', ttl: 60, values });
  await served([zone], async (server) => {
    const cut = await ask(server, 'big.gslb.example.net', 'TXT');
    assert.equal(cut.flag_tc, true);
    assert.deepEqual(cut.answers, []);
    const resolver = new Resolver();
    resolver.setServers([`${server.address}:${server.port}`]);
    assert.equal((await resolver.resolveTxt('big.gslb.example.net')).length, 12);
  });
});

test('EDNS is answered with EDNS, and an unknown version with BADVERS', async () => {
  await served([zoneOf(['a', 'A', '192.0.2.1'])], async (server) => {
    const opt = (ednsVersion: number) => ({
      additionals: [
        { name: '.', type: 'OPT', udpPayloadSize: 4096, ednsVersion, options: [] } as never,
      ],
    });
    const good = await ask(server, 'a.gslb.example.net', 'A', opt(0));
    assert.equal(good.additionals?.[0]?.type, 'OPT');
    assert.equal(good.answers?.length, 1);
    const bad = await ask(server, 'a.gslb.example.net', 'A', opt(1));
    const record = bad.additionals?.[0];
    assert.equal(record?.type === 'OPT' ? record.extendedRcode : null, 1);
    assert.equal(bad.answers?.length, 0);
  });
});

test('several messages on one TCP connection are answered in turn, however they are cut', async () => {
  await served([zoneOf(['a', 'A', '192.0.2.1'])], async (server) => {
    const question = { name: 'a.gslb.example.net', type: 'A' } as const;
    const bytes = Buffer.concat([
      streamEncode({ id: 1, questions: [question] }),
      streamEncode({ id: 2, questions: [question] }),
    ]);
    const socket = connect(server.port, server.address);
    let got = Buffer.alloc(0);
    const two = new Promise<void>((resolve, reject) => {
      socket.on('error', reject);
      socket.on('data', (chunk) => {
        got = Buffer.concat([got, chunk]);
        const first = got.length >= 2 ? got.readUInt16BE(0) + 2 : Infinity;
        if (got.length >= first + 2 && got.length >= first + 2 + got.readUInt16BE(first)) resolve();
      });
    });
    for (const byte of bytes) socket.write(Buffer.of(byte));
    await two;
    const first = got.readUInt16BE(0) + 2;
    assert.equal(decode(got.subarray(2, first)).id, 1);
    assert.equal(decode(got.subarray(first + 2)).id, 2);
    socket.destroy();
  });
});

test('each fault shows on the wire and heals', async () => {
  const zone = zoneOf(['www', 'CNAME', 'old.example.']);
  await served([zone], async (server) => {
    const query = encode({ questions: [{ name: 'www.gslb.example.net', type: 'CNAME' }] });
    server.fault = 'servfail';
    assert.equal((await ask(server, 'www.gslb.example.net', 'CNAME')).rcode, 'SERVFAIL');
    server.fault = 'refuse';
    assert.equal((await ask(server, 'www.gslb.example.net', 'CNAME')).rcode, 'REFUSED');
    server.fault = 'hang';
    assert.equal(await exchange(server, query, 150), null);
    server.fault = 'stale';
    zone.set({ name: 'www.gslb.example.net', type: 'CNAME', ttl: 60, values: ['new.example.'] });
    const stale = await ask(server, 'www.gslb.example.net', 'CNAME');
    assert.deepEqual(shown(stale.answers), ['www.gslb.example.net CNAME 60 old.example']);
    server.fault = null;
    const healed = await ask(server, 'www.gslb.example.net', 'CNAME');
    assert.deepEqual(shown(healed.answers), ['www.gslb.example.net CNAME 60 new.example']);
  });
});

test('no bytes stop the server', async () => {
  await served([zoneOf(['a', 'A', '192.0.2.1'])], async (server) => {
    const valid = encode({ id: 3, questions: [{ name: 'a.gslb.example.net', type: 'A' }] });
    const socket = createSocket('udp4');
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 80 }).map((b) => Buffer.from(b)),
          fc
            .tuple(fc.nat(valid.length - 1), fc.nat(255))
            .map(([at, octet]) => Buffer.from(valid.with(at, octet))),
        ),
        async (bytes) => {
          await new Promise<void>((done, fail) =>
            socket.send(bytes, server.port, server.address, (e) => (e ? fail(e) : done())),
          );
          // Lets the server read, so that the kernel's queue never overflows.
          await setImmediate();
        },
      ),
      { numRuns: 300 },
    );
    socket.close();
    assert.equal((await ask(server, 'a.gslb.example.net', 'A')).answers?.length, 1);
    assert.equal(await exchange(server, Buffer.of(0, 1, 0x80, ...Array(20).fill(0)), 100), null);
  });
});

test('a label that is a dot, lawful on the wire and in no zone, is a malformed question', async () => {
  await served([zoneOf(['a', 'A', '192.0.2.1'])], async (server) => {
    const dotted = encode({ id: 4, questions: [{ name: 'a.gslb.example.net', type: 'A' }] });
    // The name begins at octet 12: a label of one octet.
    dotted[13] = '.'.charCodeAt(0);
    const answer = await exchange(server, dotted);
    assert.equal(answer === null ? null : answer[3]! & 0xf, 1, 'FORMERR');
    assert.equal((await ask(server, 'a.gslb.example.net', 'A')).answers?.length, 1);
  });
});

for (const [address, skip] of [
  ['127.0.0.1', false],
  ['::1', withoutIpv6],
] as const) {
  test(`one port serves both protocols, and a taken one is named: ${address}`, {
    skip,
  }, async () => {
    const zone = zoneOf(['a', 'A', '192.0.2.1']);
    await served(
      [zone],
      async (server) => {
        assert.equal((await ask(server, 'a.gslb.example.net', 'A')).answers?.length, 1);
        await assert.rejects(
          startNameserver({ address, port: server.port, zones: () => [] }),
          (error: Error) => error.message.includes(`${address}:${server.port}: EADDRINUSE`),
        );
      },
      address,
    );
  });
}

test('the zone refuses what has no wire form and says which record it was', () => {
  const zone = zoneOf(['a', 'A', '192.0.2.1']);
  const before = zone.serial;
  const bad: readonly [string, string, string[], number][] = [
    ['a.gslb.example.net', 'A', ['10.0.0.300'], 60],
    ['a.gslb.example.net', 'CNAME', ['a.', 'b.'], 60],
    ['a.gslb.example.net', 'TXT', ['"unclosed'], 60],
    ['a.gslb.example.net', 'TXT', [`"${'x'.repeat(256)}"`], 60],
    ['a.gslb.example.net', 'A', [], 60],
    ['a.gslb.example.net', 'A', ['192.0.2.1'], -1],
    ['a.gslb.example.net', 'NAPTR', ['x'], 60],
    ['other.example', 'A', ['192.0.2.1'], 60],
    [`${'l'.repeat(64)}.gslb.example.net`, 'A', ['192.0.2.1'], 60],
  ];
  for (const [name, type, values, ttl] of bad) {
    assert.throws(() => zone.set({ name, type, ttl, values }), ZoneError, `${name} ${type}`);
    assert.throws(() => zone.replace([{ name, type, ttl, values }]), ZoneError);
  }
  assert.equal(zone.serial, before);
  assert.deepEqual(zone.names(), ['a.gslb.example.net.', 'gslb.example.net.']);
});

test('the serial rises with a change and only with a change', () => {
  const zone = zoneOf(['a', 'A', '192.0.2.1']);
  assert.equal(zone.serial, 1);
  zone.set({ name: 'A.gslb.example.net', type: 'a', ttl: 60, values: ['192.0.2.1'] });
  zone.replace(zone.rrsets());
  assert.equal(zone.serial, 1);
  zone.set({ name: 'a.gslb.example.net', type: 'A', ttl: 61, values: ['192.0.2.1'] });
  assert.equal(zone.serial, 2);
  assert.equal(zone.delete('a.gslb.example.net', 'A'), true);
  assert.equal(zone.delete('a.gslb.example.net', 'A'), false);
  assert.equal(zone.serial, 3);
});

test('whatever strings a TXT has, printing and parsing them gives them back', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 255 }), { minLength: 1, maxLength: 5 }),
      (strings) => {
        const back = parseStrings(printStrings(strings));
        assert.deepEqual(
          back?.map((b) => [...b]),
          strings.map((b) => [...b]),
        );
      },
    ),
  );
  fc.assert(fc.property(fc.string(), (text) => void parseStrings(text)));
});
