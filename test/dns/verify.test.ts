// What is told of a provider's authoritative servers: every one of them, at once, and only what
// they say with authority.

import assert from 'node:assert/strict';
import { after, afterEach, describe, test } from 'node:test';
import { MARKER_LABEL } from '../../src/core/marker.ts';
import type { ServerAnswer } from '../../src/core/model.ts';
import type { Addresses, Resolver } from '../../src/dns/resolver.ts';
import { createVerifier } from '../../src/dns/verify.ts';
import type { Verifier } from '../../src/ports.ts';
import { freePort } from '../parts/bind.ts';
import { until } from '../parts/listening.ts';
import {
  type Nameserver,
  type Respond,
  rcode,
  rr,
  serveZones,
  startNameservers,
} from '../parts/nameserver.ts';

const record = 'www.gslb.example.net.';
const running: { close(): unknown }[] = [];
const signal = () => AbortSignal.timeout(10_000);
const closeAll = () => Promise.all(running.splice(0).map((each) => each.close()));
afterEach(closeAll);
after(closeAll);

const good = serveZones({
  'gslb.example.net.': [
    `${record} 60 CNAME a.target.example.`,
    `_detour.${record} 60 TXT detour=1 epoch=4`,
  ],
});

/** Knows a few hosts; the walk itself is tested with the resolver. */
function knowing(hosts: Readonly<Record<string, Addresses>>): Resolver {
  return {
    addresses: async (host) => hosts[host] ?? { kind: 'unknown', detail: 'nobody answered' },
    chain: async (name) => ({ kind: 'answered', chain: [name] }),
    nameServers: async () => ({ kind: 'unknown', detail: 'not here' }),
    delegation: async () => ({ kind: 'unknown', detail: 'not here' }),
    close: () => {},
  };
}

async function world(
  responders: Readonly<Record<string, Respond>>,
  servers: readonly string[] | ((provider: string) => Promise<readonly string[]>),
  hosts: Readonly<Record<string, Addresses>> = {},
  timeoutMs = 1500,
): Promise<{ verifier: Verifier; port: number; at: Readonly<Record<string, Nameserver>> }> {
  const { port, at } = await startNameservers(responders);
  running.push(...Object.values(at));
  const verifier = createVerifier({
    servers: typeof servers === 'function' ? servers : async () => servers,
    resolver: knowing(hosts),
    port,
    timeoutMs,
  });
  running.push(verifier);
  return { verifier, port, at };
}

const kinds = (answers: readonly ServerAnswer[]) =>
  Object.fromEntries(answers.map((a) => [a.server.replace(/:\d+$/, ''), a.answer.kind]));

describe('the verifier', () => {
  test('gives the CNAME with its TTL, and the marker when it is wanted', async () => {
    const { verifier, port, at } = await world({ '127.0.0.2': good }, ['127.0.0.2']);
    const server = `127.0.0.2:${port}`;
    const answer = { kind: 'cname', value: 'a.target.example.', ttl: 60 };
    assert.deepEqual(await verifier.ask('own', record, { marker: true }, signal()), [
      { server, answer, markers: ['detour=1epoch=4'] },
    ]);
    assert.equal(at['127.0.0.2']!.asked.length, 2);
    assert.deepEqual(await verifier.ask('own', record, { marker: false }, signal()), [
      { server, answer, markers: null },
    ]);
    assert.equal(at['127.0.0.2']!.asked.length, 3, 'the marker was not asked for');
    assert.ok(at['127.0.0.2']!.asked.every((a) => !a.recurse));
    assert.equal(MARKER_LABEL, '_detour');
  });

  test('names each way a server can fail to give it', async () => {
    const port = await freePort();
    const { verifier } = await world(
      {
        '127.0.0.2': good,
        '127.0.0.3': serveZones({ 'gslb.example.net.': [] }),
        '127.0.0.4': serveZones({ 'gslb.example.net.': [`${record} 60 A 192.0.2.1`] }),
        '127.0.0.5': () => ({ rcode: rcode.servFail }),
        '127.0.0.6': () => ({ rcode: rcode.refused }),
        '127.0.0.7': () => ({
          authoritative: false,
          answers: [rr(`${record} 60 CNAME a.target.example.`)],
        }),
        '127.0.0.8': () => null,
        '127.0.0.9': () => ({ rcode: rcode.notImp }),
        '127.0.0.10': () => ({
          answers: [rr(`${record} 60 CNAME a.x.`), rr(`${record} 60 CNAME b.x.`)],
        }),
      },
      [...Array.from({ length: 9 }, (_, i) => `127.0.0.${i + 2}`), `127.0.0.11:${port}`],
    );
    const answers = await verifier.ask('own', record, { marker: true }, signal());
    assert.deepEqual(kinds(answers), {
      '127.0.0.2': 'cname',
      '127.0.0.3': 'nxdomain',
      '127.0.0.4': 'nodata',
      '127.0.0.5': 'servfail',
      '127.0.0.6': 'refused',
      '127.0.0.7': 'not-authoritative',
      '127.0.0.8': 'timeout',
      '127.0.0.9': 'error',
      '127.0.0.10': 'error',
      '127.0.0.11': 'error',
    });
    const markers = Object.fromEntries(answers.map((a) => [a.server.split(':')[0], a.markers]));
    assert.deepEqual(markers['127.0.0.3'], [], 'authoritatively none');
    assert.deepEqual(markers['127.0.0.4'], [], 'authoritatively none');
    for (const n of [5, 6, 7, 8, 9]) assert.equal(markers[`127.0.0.${n}`], null);
  });

  test('another name in the answer is not the record', async () => {
    const { verifier } = await world(
      { '127.0.0.2': () => ({ answers: [rr('other.example.net. 60 CNAME evil.example.')] }) },
      ['127.0.0.2'],
    );
    const [answer] = await verifier.ask('own', record, { marker: true }, signal());
    assert.equal(answer?.answer.kind, 'nodata');
    assert.deepEqual(answer?.markers, []);
  });

  test('hosts are looked up, each address is asked once, and one without is named', async () => {
    const found = (...addresses: string[]): Addresses => ({
      kind: 'found',
      addresses,
      stale: false,
    });
    const { verifier, port, at } = await world(
      { '127.0.0.2': good, '127.0.0.3': good },
      [
        'ns1.example.net',
        'NS2.example.net.',
        '127.0.0.2',
        'ns3.example.net.',
        'ns4.example.net.',
        '?',
      ],
      {
        'ns1.example.net.': found('127.0.0.2', '127.0.0.3'),
        'ns2.example.net.': found('127.0.0.3'),
        'ns4.example.net.': { kind: 'broken', detail: 'NXDOMAIN' },
      },
    );
    const answers = await verifier.ask('own', record, { marker: false }, signal());
    assert.deepEqual(
      answers.map((a) => [a.server, a.answer.kind]),
      [
        [`127.0.0.2:${port}`, 'cname'],
        [`127.0.0.3:${port}`, 'cname'],
        ['ns3.example.net.', 'timeout'],
        ['ns4.example.net.', 'error'],
        ['?', 'error'],
      ],
    );
    assert.equal(at['127.0.0.2']!.asked.length, 1);
  });

  test('IPv6 without a route is dropped where the host has IPv4, else named', async () => {
    const six = 'fe80::1%lo';
    const { verifier } = await world({ '127.0.0.2': good }, ['both.example.', 'six.example.'], {
      'both.example.': { kind: 'found', addresses: ['127.0.0.2', six], stale: false },
      'six.example.': { kind: 'found', addresses: [six], stale: false },
    });
    const only = await verifier.ask('own', record, { marker: false }, signal());
    assert.deepEqual(
      only.map((a) => a.answer.kind),
      ['cname', 'error'],
    );
    const { verifier: alone } = await world({ '127.0.0.2': good }, ['both.example.'], {
      'both.example.': { kind: 'found', addresses: ['127.0.0.2', six], stale: false },
    });
    assert.equal((await alone.ask('own', record, { marker: false }, signal())).length, 1);
  });

  test('a provider whose servers are all silent holds up no other’s', async () => {
    const deafOrNot = async (provider: string) => [provider === 'deaf' ? '127.0.0.2' : '127.0.0.4'];
    const servers = { '127.0.0.2': () => null, '127.0.0.4': good };
    const { verifier } = await world(servers, deafOrNot, {}, 60_000);
    const stop = new AbortController();
    const none = Array.from({ length: 500 }, () =>
      verifier.ask('deaf', record, { marker: true }, stop.signal),
    );
    const [heard] = await verifier.ask('own', record, { marker: true }, signal());
    assert.equal(heard?.answer.kind, 'cname');
    stop.abort();
    await Promise.all(none);
  });

  test('all servers are asked at once: a silent one delays nobody', async () => {
    const silent: Respond = () => null;
    const { verifier, at } = await world(
      { '127.0.0.2': silent, '127.0.0.3': silent, '127.0.0.4': good },
      ['127.0.0.2', '127.0.0.3', '127.0.0.4'],
    );
    let over = false;
    const asking = verifier.ask('own', record, { marker: true }, signal()).finally(() => {
      over = true;
    });
    const all = () => Object.values(at).every((s) => s.asked.length >= 2);
    while (!all()) {
      assert.ok(!over, 'the asking ended before every server was asked');
      await new Promise((resolve) => setImmediate(resolve));
    }
    await asking;
  });

  test('at most 64 addresses of one provider are asked', async () => {
    const { verifier } = await world(
      { '127.0.0.2': good },
      Array.from({ length: 100 }, (_, i) => `127.0.2.${i + 1}`),
    );
    assert.equal((await verifier.ask('own', record, { marker: false }, signal())).length, 64);
  });

  test('many askings come through the limit of 200 exchanges at once, by few sockets', async () => {
    let most = 0;
    const sockets = () => process.getActiveResourcesInfo().filter((r) => /^udp/i.test(r)).length;
    const counting: Respond = (asked, build) => {
      most = Math.max(most, sockets());
      return good(asked, build);
    };
    const { verifier } = await world({ '127.0.0.2': counting }, ['127.0.0.2'], {}, 5000);
    const many = Array.from({ length: 300 }, () =>
      verifier.ask('own', record, { marker: true }, signal()),
    );
    for (const [answer] of await Promise.all(many)) assert.equal(answer?.answer.kind, 'cname');
    assert.ok(most > 1 && most <= 30, `${most} sockets at once`);
  });

  test('no more than 200 exchanges are under way at once', async () => {
    const silent: Respond = () => null;
    const { verifier, at } = await world({ '127.0.0.2': silent }, ['127.0.0.2'], {}, 400);
    const many = Array.from({ length: 300 }, () =>
      verifier.ask('own', record, { marker: false }, signal()),
    );
    // Each is asked twice within its time: 200 at first, and the others after that.
    const asked = () => new Set(at['127.0.0.2']!.asked.map(({ id }) => id)).size;
    const [first] = await Promise.race(many);
    assert.equal(first?.answer.kind, 'timeout');
    assert.ok(asked() <= 200, `${asked()} were asked`);
    await Promise.all(many);
    // Two may have drawn the same number.
    await until(() => asked() > 290, 'all were asked');
  });

  test('a provider whose servers are not known gives one answer that says so', async () => {
    const none = await world({ '127.0.0.2': good }, []);
    const [empty] = await none.verifier.ask('own', record, { marker: true }, signal());
    assert.equal(empty?.answer.kind, 'error');
    const failing = await world({ '127.0.0.2': good }, () => Promise.reject(new Error('no zone')));
    const [failed] = await failing.verifier.ask('own', record, { marker: true }, signal());
    assert.ok(failed?.answer.kind === 'error');
    assert.match(failed.answer.detail, /no zone/);
  });

  test('an aborted signal and closing end the asking with an answer', async () => {
    const { verifier } = await world({ '127.0.0.2': () => null }, ['127.0.0.2']);
    const stopped = AbortSignal.abort();
    const [before] = await verifier.ask('own', record, { marker: true }, stopped);
    assert.equal(before?.answer.kind, 'timeout');
    const asking = verifier.ask('own', record, { marker: true }, signal());
    verifier.close();
    assert.equal((await asking)[0]?.answer.kind, 'timeout');
  });
});
