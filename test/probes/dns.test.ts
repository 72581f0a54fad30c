// The `dns` check against a name server that says what each test wants, over UDP and TCP.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PathSpec, ProbeResult } from '../../src/kit/extend.ts';
import { dns } from '../../src/probes/dns.ts';
import { freePort } from '../parts/bind.ts';
import { closedPort, withTcp, words } from '../parts/listening.ts';
import { type Respond, rcode, rr, startNameserver } from '../parts/nameserver.ts';

const direct: PathSpec = { name: 'line', kind: 'direct', resolver: null, localAddress: null };
const noSecrets = { secret: () => assert.fail('no secret is configured') };

async function ask(configured: Record<string, unknown>, timeoutMs = 10_000): Promise<ProbeResult> {
  const check = dns.create(dns.settings.parse(configured), direct, timeoutMs, noSecrets);
  let result = await check.ask(new AbortController().signal);
  for (let i = 0; i < 20 && result.reason === 'stalled'; i++) {
    result = await check.ask(new AbortController().signal);
  }
  return result;
}

async function withNames(
  respond: Respond,
  work: (
    ask: (more: Record<string, unknown>, timeoutMs?: number) => Promise<ProbeResult>,
    server: Awaited<ReturnType<typeof startNameserver>>,
  ) => Promise<void>,
): Promise<void> {
  const server = await startNameserver('127.0.0.1', await freePort(), respond);
  const base = { dns: `127.0.0.1:${server.port}`, name: 'www.shop.test' };
  try {
    await work((more, timeoutMs) => ask({ ...base, ...more }, timeoutMs), server);
  } finally {
    await server.close();
  }
}

const transports = ['udp', 'tcp'] as const;

test('values are compared as sets, in whatever notation, at the end of a chain too', () =>
  withNames(
    ({ type }) => ({
      answers: {
        A: ['www.shop.test. 60 A 192.0.2.8', 'www.shop.test. 60 A 192.0.2.7'],
        AAAA: ['www.shop.test. 60 CNAME a.test.', 'a.test. 60 AAAA 2001:db8:0:0::7'],
        CNAME: ['www.shop.test. 60 CNAME A.Test.'],
        NS: ['www.shop.test. 60 NS ns1.test.', 'www.shop.test. 60 NS ns2.test.'],
        TXT: ['www.shop.test. 60 TXT hello there'],
      }[type]!.map(rr),
    }),
    async (asking) => {
      const cases: [string, string[], string][] = [
        ['A', ['192.0.2.7', '192.0.2.8'], 'pass ok'],
        ['A', ['192.0.2.7'], 'fail values'],
        ['A', ['192.0.2.7', '192.0.2.8', '192.0.2.9'], 'fail values'],
        ['A', [], 'fail values'],
        ['AAAA', ['2001:DB8::7'], 'pass ok'],
        ['CNAME', ['a.test'], 'pass ok'],
        ['CNAME', ['b.test'], 'fail values'],
        ['NS', ['NS2.test', 'ns1.test.'], 'pass ok'],
        ['TXT', ['hellothere'], 'pass ok'],
      ];
      for (const transport of transports) {
        for (const [type, values, expected] of cases) {
          const result = await asking({ type, transport, expect: { values } });
          assert.equal(words(result), expected, `${type} ${values}: ${result.detail}`);
          assert.equal(typeof result.phases.firstByteMs, 'number');
        }
      }
    },
  ));

test('the code, the authority and an empty answer are judged', async () => {
  const yes = [rr('www.shop.test. 60 A 192.0.2.7')];
  const cases: [ReturnType<Respond>, Record<string, unknown>, string][] = [
    [{ answers: yes }, {}, 'pass ok'],
    [{}, {}, 'fail values'],
    [{}, { values: [] }, 'pass ok'],
    [{ rcode: rcode.nxDomain }, {}, 'fail rcode'],
    [{ rcode: rcode.servFail }, {}, 'fail rcode'],
    [{ rcode: rcode.refused }, {}, 'fail rcode'],
    [{ rcode: rcode.refused }, { rcode: 'REFUSED' }, 'pass ok'],
    [{ rcode: rcode.nxDomain }, { rcode: 'NXDOMAIN' }, 'pass ok'],
    [{ answers: yes }, { rcode: 'NXDOMAIN' }, 'fail rcode'],
    [{ answers: yes }, { aa: true }, 'pass ok'],
    [{ answers: yes, authoritative: false }, { aa: true }, 'fail aa'],
    [{ answers: yes, authoritative: false }, { aa: false }, 'pass ok'],
    [{ answers: yes }, { aa: false }, 'fail aa'],
  ];
  for (const [reply, expect, expected] of cases) {
    await withNames(
      () => reply,
      async (asking, server) => {
        for (const transport of transports) {
          const result = await asking({ transport, expect });
          assert.equal(words(result), expected, `${JSON.stringify(expect)}: ${result.detail}`);
        }
        assert.deepEqual(new Set(server.asked.map(({ via }) => via)), new Set(transports));
        assert.ok(server.asked.every(({ recurse }) => !recurse));
      },
    );
  }
});

test('a resolver is asked to resolve, and an impossible expectation fails', () =>
  withNames(
    ({ recurse }) => (recurse ? { answers: [rr('www.shop.test. 60 A 192.0.2.7')] } : {}),
    async (asking, server) => {
      assert.equal(words(await asking({ recurse: true })), 'pass ok');
      assert.equal(words(await asking({ recurse: false })), 'fail values');
      const settings = dns.settings.parse({
        dns: `127.0.0.1:${server.port}`,
        name: 'www.shop.test',
        recurse: true,
      });
      const check = dns.create(dns.impossible(settings), direct, 10_000, noSecrets);
      assert.equal(words(await check.ask(new AbortController().signal)), 'fail rcode');
    },
  ));

test('silence, nonsense, a closed port and a forged answer have their words', async () => {
  await withNames(
    () => null,
    async (asking) => {
      for (const transport of transports) {
        const result = await asking({ transport }, 300);
        assert.equal(words(result), 'fail timeout', `${transport}: ${result.detail}`);
        assert.match(result.detail, /no answer from 127\.0\.0\.1/);
      }
    },
  );
  await withNames(
    ({ id }) => {
      const bytes = Buffer.alloc(12);
      bytes.writeUInt16BE(id);
      return [bytes];
    },
    async (asking) => {
      const tcp = await asking({ transport: 'tcp' });
      assert.equal(words(tcp), 'fail protocol', tcp.detail);
      assert.equal(words(await asking({ transport: 'udp' }, 300)), 'fail timeout');
    },
  );
  const forged: Respond[] = [
    (_, build) => {
      const bytes = build({ answers: [rr('www.shop.test. 60 A 192.0.2.7')] });
      bytes.writeUInt16BE(bytes.readUInt16BE(0) ^ 1);
      return [bytes];
    },
    (_, build) => {
      const bytes = build({ answers: [rr('www.shop.test. 60 A 192.0.2.7')] });
      // The first letter of the question.
      bytes[13] = 'v'.charCodeAt(0);
      return [bytes];
    },
  ];
  for (const respond of forged) {
    await withNames(respond, async (asking) => {
      assert.equal(words(await asking({ transport: 'tcp' })), 'fail protocol');
      assert.equal(words(await asking({ transport: 'udp' }, 300)), 'fail timeout');
    });
  }
  const closed = await closedPort();
  for (const transport of transports) {
    const settings = { dns: `127.0.0.1:${closed}`, name: 'www.shop.test', transport };
    const result = await ask(settings);
    assert.equal(words(result), 'fail refused', `${transport}: ${result.detail}`);
  }
  await withTcp(
    (socket) => socket.once('data', () => socket.end()),
    async (port) => {
      const settings = { dns: `127.0.0.1:${port}`, name: 'www.shop.test', transport: 'tcp' };
      assert.equal(words(await ask(settings)), 'fail closed');
    },
  );
});

test('settings name what is wrong with them', () => {
  const base = { dns: '192.0.2.53', name: 'www.shop.test' };
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ ...base, dns: '10.0.0.300' }, /HOST/],
    [{ ...base, name: 'localhost' }, /two labels/],
    [{ dns: '192.0.2.53' }, /name/],
    [{ ...base, type: 'ANY' }, /type/],
    [{ ...base, expect: { rcode: 'NXDOMAIN', values: [] } }, /has no values/],
    [{ ...base, type: 'MX', expect: { values: ['a'] } }, /are compared for A, /],
    [{ ...base, expect: { values: ['2001:db8::1'] } }, /no value of type A/],
    [{ ...base, type: 'CNAME', expect: { values: ['a b'] } }, /no value of type CNAME/],
    [{ ...base, expect: { ttl: 1 } }, /ttl/],
  ];
  for (const [settings, message] of wrong) {
    const read = dns.settings.safeParse(settings);
    assert.equal(read.success, false, JSON.stringify(settings));
    assert.match(JSON.stringify(read.error?.issues), message);
  }
});
