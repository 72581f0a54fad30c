// Where hosts are, by name servers of the tests' own on loopback: files that change, names that are
// silent beside names that are answered, and what a function for Node's agents gives back.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net, { type LookupFunction } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Exchange } from '../../src/dns/ask.ts';
import { type CountedLookup, createLookup } from '../../src/dns/lookup.ts';
import { OtherNames } from '../../src/dns/recursive.ts';
import type { Located } from '../../src/kit/extend.ts';
import { until, withTcp } from '../parts/listening.ts';
import { type Nameserver, type Respond, rcode, rr, startNameservers } from '../parts/nameserver.ts';

const scratch = mkdtempSync(join(tmpdir(), 'detour-lookup-'));
after(() => rmSync(scratch, { recursive: true, force: true }));
let files = 0;

interface Part {
  readonly lookup: CountedLookup;
  readonly hosts: string;
  readonly resolvConf: string;
  readonly at: Readonly<Record<string, Nameserver>>;
  readonly port: number;
}

/** Servers on 127.0.0.x, in order, and files that name them. */
async function withServers(
  responders: readonly Respond[],
  work: (part: Part) => Promise<void>,
  hostsText = '',
): Promise<void> {
  const entries = responders.map((respond, i) => [`127.0.53.${i + 1}`, respond] as const);
  const { at, port } = await startNameservers(Object.fromEntries(entries));
  const [hosts, resolvConf] = [join(scratch, `hosts${++files}`), join(scratch, `resolv${files}`)];
  writeFileSync(hosts, hostsText);
  writeFileSync(
    resolvConf,
    `search wild.test\noptions ndots:5\n${entries.map(([a]) => `nameserver ${a}`).join('\n')}\n`,
  );
  try {
    await work({ lookup: createLookup({ hosts, resolvConf, port }), hosts, resolvConf, at, port });
  } finally {
    await Promise.all(Object.values(at).map((server) => server.close()));
  }
}

const soa = rr('test. 1 SOA x');
Object.assign(soa, { data: { mname: 'ns.', rname: 'h.', serial: 1, minimum: 1 } });

/** Names with addresses; `null` is silence, a word an rcode; all other names do not exist. */
const zone =
  (names: Readonly<Record<string, string | null>>, ttl = 60): Respond =>
  ({ name, type }) => {
    const value = names[name];
    if (value === null) return null;
    if (value === undefined) return { rcode: rcode.nxDomain, authorities: [soa] };
    if (value === 'SERVFAIL') return { rcode: rcode.servFail };
    const isMine = type === (net.isIP(value) === 6 ? 'AAAA' : 'A');
    return isMine ? { answers: [rr(`${name} ${ttl} ${type} ${value}`)] } : { authorities: [soa] };
  };

const shown = (found: Located) =>
  found.kind === 'addresses' ? found.addresses.map((a) => a.address).join() : found.kind;

const ask = (lookup: LookupFunction, host: string, options: object) =>
  new Promise<unknown[]>((resolve) => {
    lookup(host, options as never, (...said) => resolve(said as unknown[]));
  });

test('addresses come from the hosts file, then from the servers, and mean the very name', () =>
  withServers(
    [zone({ 'www.shop.test.': '192.0.2.1', 'six.shop.test.': '2001:db8::1' })],
    async ({ lookup, at }) => {
      assert.equal(shown(await lookup.find('www.shop.test')), '192.0.2.1');
      assert.equal(shown(await lookup.find('WWW.Shop.test.')), '192.0.2.1');
      assert.equal(shown(await lookup.find('six.shop.test')), '2001:db8::1');
      assert.equal(shown(await lookup.find('listed.test')), '192.0.2.9,2001:db8::9');
      assert.equal(shown(await lookup.find('192.0.2.77')), '192.0.2.77');
      assert.equal(shown(await lookup.find('2001:db8::77')), '2001:db8::77');
      assert.equal(shown(await lookup.find('localhost')), '127.0.0.1,::1');
      assert.equal(shown(await lookup.find('a.localhost')), '127.0.0.1,::1');
      assert.equal(shown(await lookup.find('no such name')), 'none');
      assert.equal(shown(await lookup.find('gone')), 'none');
      const asked = new Set(at['127.0.53.1']!.asked.map(({ name }) => name));
      // Neither a search list nor ndots makes another name of it.
      assert.deepEqual([...asked].sort(), ['gone.', 'six.shop.test.', 'www.shop.test.']);
    },
    '# hosts\n192.0.2.9 listed.test alias.test # two\n2001:db8::9\tLISTED.test\nnonsense here\n',
  ));

test('a search domain with a wildcard makes nothing of a name that is gone', () =>
  withServers(
    [
      ({ name, type }) =>
        name.endsWith('.wild.test.') && type === 'A'
          ? { answers: [rr(`${name} 60 A 192.0.2.66`)] }
          : { rcode: rcode.nxDomain, authorities: [soa] },
    ],
    async ({ lookup, at }) => {
      const found = await lookup.find('www.gone.test');
      assert.equal(found.kind, 'none');
      assert.match(found.kind === 'none' ? found.detail : '', /no such name \(NXDOMAIN\)/);
      assert.ok(at['127.0.53.1']!.asked.every(({ name }) => name === 'www.gone.test.'));
    },
  ));

test('both files are read again when they have changed', () =>
  withServers(
    [zone({ 'www.shop.test.': '192.0.2.1' }, 0), zone({ 'www.shop.test.': '192.0.2.2' }, 0)],
    async ({ lookup, hosts, resolvConf }) => {
      assert.equal(shown(await lookup.find('www.shop.test')), '192.0.2.1');
      writeFileSync(resolvConf, 'nameserver 127.0.53.2\n');
      const is = (host: string, address: string) => async () =>
        shown(await lookup.find(host)) === address;
      await until(is('www.shop.test', '192.0.2.2'), 'the other server is asked');
      writeFileSync(hosts, '192.0.2.3 www.shop.test\n');
      await until(is('www.shop.test', '192.0.2.3'), 'the hosts file counts');
      rmSync(hosts);
      await until(is('www.shop.test', '192.0.2.2'), 'the hosts file is gone');
    },
  ));

test('an answer is used again for as long as it says, a failure never', () =>
  withServers(
    [zone({ 'kept.test.': '192.0.2.1', 'bad.test.': 'SERVFAIL' })],
    async ({ lookup, at }) => {
      const asked = () => at['127.0.53.1']!.asked.length;
      assert.equal(lookup.known('kept.test'), null);
      await lookup.find('kept.test');
      const before = asked();
      assert.equal(shown(lookup.known('kept.test')!), '192.0.2.1');
      await lookup.find('kept.test');
      assert.equal(asked(), before);
      await lookup.find('gone.test');
      const gone = asked();
      await lookup.find('gone.test');
      assert.ok(asked() > gone);
      at['127.0.53.1']!.respond = zone({ 'short.test.': '192.0.2.1' }, 0);
      await lookup.find('short.test');
      assert.equal(lookup.known('short.test'), null);
    },
  ));

test('silent names delay no other, share one asking each, and leave nothing behind', () =>
  withServers(
    [
      zone({ 'well.test.': '192.0.2.1', 'a.silent.test.': null }, 0),
      zone({ 'well.test.': '192.0.2.1' }, 0),
    ],
    async ({ lookup, at }) => {
      for (const server of Object.values(at)) {
        const answers = zone({ 'well.test.': '192.0.2.1' }, 0);
        server.respond = (asked, build) =>
          asked.name.endsWith('.silent.test.') ? null : answers(asked, build);
      }
      assert.equal(shown(await lookup.find('well.test')), '192.0.2.1');
      const calling = new AbortController();
      const silent = Array.from({ length: 600 }, (_, i) =>
        lookup.find(`n${i % 300}.silent.test`, calling.signal),
      );
      assert.equal(lookup.underWay(), 300);
      let isSilent = true;
      void Promise.race(silent).then(() => {
        isSilent = false;
      });
      // Not by the clock: all of these are answered before the first of the silent ones is given up.
      for (let i = 0; i < 50; i += 1) {
        assert.equal(shown(await lookup.find('well.test')), '192.0.2.1');
      }
      assert.ok(isSilent, 'the silent names are still being asked for');
      calling.abort();
      await Promise.all(silent);
      assert.equal(lookup.underWay(), 0);
      // Silent before, they wait apart: however many, the others have places of their own.
      const again = new AbortController();
      const many = Array.from({ length: 300 }, (_, i) =>
        lookup.find(`n${i}.silent.test`, again.signal),
      );
      assert.equal(shown(await lookup.find('well.test')), '192.0.2.1');
      again.abort();
      await Promise.all(many);
    },
  ));

test("SERVFAIL and silence are the name's own while others are answered, else nobody's", () =>
  withServers([zone({})], async ({ lookup, at }) => {
    const server = at['127.0.53.1']!;
    const words = async (host: string) => {
      const found = await lookup.find(host);
      return `${found.kind} ${found.kind === 'addresses' ? '' : found.detail}`;
    };
    server.respond = zone({ 'bad.test.': 'SERVFAIL' }, 0);
    // Alone it says nothing: a resolver that has lost its uplink says the same.
    server.respond = () => ({ rcode: rcode.servFail });
    assert.match(await words('bad.test'), /^unknown .* says SERVFAIL/);
    server.respond = zone({ 'bad.test.': 'SERVFAIL', 'well.test.': '192.0.2.1' }, 0);
    assert.equal(shown(await lookup.find('well.test')), '192.0.2.1');
    assert.match(await words('bad.test'), /^none .* says SERVFAIL/);
    // What was answered a moment ago is asked again, and proves nothing by itself.
    server.respond = () => ({ rcode: rcode.servFail });
    assert.match(await words('bad.test'), /^unknown .* says SERVFAIL/);
    server.respond = zone({ 'quiet.test.': null, 'well.test.': '192.0.2.1' }, 0);
    assert.equal(shown(await lookup.find('well.test')), '192.0.2.1');
    assert.match(await words('quiet.test'), /^none .* no reply within/);
    server.respond = () => null;
    assert.match(await words('quiet.test'), /^unknown .* no reply within/);
    server.respond = () => ({ rcode: rcode.refused });
    assert.match(await words('well.test'), /^unknown .* says REFUSED/);
  }));

test('a name that was asked when the time was over is not taken for silent, one that fails is', async () => {
  const others = new OtherNames();
  const how = (restMs: number, exchange: Exchange) => ({
    servers: [{ address: '127.0.53.1', port: 53 }],
    ask: async () => exchange,
    ...{ types: ['A' as const], timeoutMs: 5000, others, signal: new AbortController().signal },
    endsAt: performance.now() + restMs,
  });
  const began = performance.now();
  const silent: Exchange = { kind: 'timeout', detail: 'no reply', sent: true };
  others.answered('well.test.', began);
  await others.askAnother('quiet.test.', how(0, silent));
  assert.equal(others.answeredSince('quiet.test.', began), true);
  await others.askAnother('quiet.test.', how(5000, silent));
  assert.equal(others.answeredSince('quiet.test.', began), false);
});

test('a silent server does not keep the next one waiting for its end', () =>
  withServers([() => null, zone({ 'www.shop.test.': '192.0.2.1' })], async ({ lookup, at }) => {
    const found = lookup.find('www.shop.test');
    assert.equal(shown(await found), '192.0.2.1');
    assert.ok(at['127.0.53.1']!.asked.length > 0, 'the first was asked first');
  }));

test('a server that knows no EDNS is asked without it', () =>
  withServers(
    [(asked, build) => (asked.edns ? null : zone({ 'www.shop.test.': '192.0.2.1' })(asked, build))],
    async ({ lookup }) => {
      assert.equal(shown(await lookup.find('www.shop.test')), '192.0.2.1');
    },
  ));

test('a long answer comes over TCP', () =>
  withServers(
    [
      (asked, build) =>
        asked.via === 'udp'
          ? { truncated: true }
          : zone({ 'www.shop.test.': '192.0.2.1' })(asked, build),
    ],
    async ({ lookup }) => {
      assert.equal(shown(await lookup.find('www.shop.test')), '192.0.2.1');
    },
  ));

test('it gives agents what dns.lookup would', () =>
  withServers([zone({ 'www.shop.test.': '127.0.0.1', 'bad.test.': 'SERVFAIL' })], ({ lookup }) =>
    withTcp(
      (socket) => socket.end('well'),
      async (port) => {
        const say = lookup.lookup;
        const one = { address: '127.0.0.1', family: 4 };
        assert.deepEqual(await ask(say, 'www.shop.test', {}), [null, '127.0.0.1', 4]);
        assert.deepEqual(await ask(say, 'www.shop.test', { all: true }), [null, [one]]);
        assert.deepEqual(await ask(say, 'www.shop.test', { family: 4 }), [null, '127.0.0.1', 4]);
        for (const [host, options, code] of [
          ['www.shop.test', { family: 6 }, 'ENOTFOUND'],
          ['www.shop.test', { family: 'IPv6' }, 'ENOTFOUND'],
          ['gone.test', {}, 'ENOTFOUND'],
        ] as const) {
          const [error] = await ask(say, host, options);
          assert.equal((error as NodeJS.ErrnoException).code, code, host);
          assert.equal((error as NodeJS.ErrnoException).syscall, 'getaddrinfo');
        }
        const socket = net.connect({ host: 'www.shop.test', port, lookup: say });
        const heard: Buffer[] = [];
        for await (const chunk of socket) heard.push(chunk as Buffer);
        assert.equal(Buffer.concat(heard).toString(), 'well');
      },
    ),
  ));
