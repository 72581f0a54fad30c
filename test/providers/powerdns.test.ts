// The PowerDNS adapter: against a real PowerDNS with SQLite for what the server does, and against
// a small server of its own for what a server must not be able to do to us.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import { powerdns } from '../../providers/powerdns.ts';
import { formatMarker } from '../../src/core/marker.ts';
import type { Answer, Change, Fault, Marker, Seen } from '../../src/core/model.ts';
import type { Provider } from '../../src/kit/extend.ts';
import { type PowerdnsPart, powerdnsAbsent, startPowerdns } from '../parts/powerdns.ts';

const WWW = 'www.fo.test.';
const KEY = 'the-key-of-this-test';

function open(endpoint: string, settings: object = {}, callTimeoutMs = 2000): Provider {
  const parsed = powerdns.settings.parse({
    endpoint,
    apiKey: { env: 'KEY' },
    zone: 'fo.test',
    ...settings,
  });
  const secrets: Record<string, string> = { KEY, WRONG: 'another-key' };
  return powerdns.create('pdns', parsed, {
    secret: (ref) => secrets[(ref as { env: string }).env]!,
    callTimeoutMs,
  });
}

const never = (): AbortSignal => new AbortController().signal;

function marker(epoch: number): Marker {
  const rest = { term: 1, kind: 'auto', target: 't', pinned: false, pinMs: null } as const;
  return { cluster: 'shop', epoch, id: `id${epoch}`, ...rest };
}

async function look(provider: Provider, name = WWW): Promise<Answer<Seen>> {
  return (await provider.read([name], never()))[name]!;
}

async function see(provider: Provider, name = WWW): Promise<Seen> {
  const answer = await look(provider, name);
  assert.ok(answer.kind === 'answered', JSON.stringify(answer));
  return answer.value;
}

function change(from: Seen, cname: string, epoch: number, ttl = 60): Change {
  return { name: WWW, from, to: { cname, ttl, marker: marker(epoch) } };
}

async function put(provider: Provider, c: Change): Promise<Answer<null>> {
  return (await provider.write([c], never()))[0]!;
}

async function made(provider: Provider, c: Change): Promise<void> {
  assert.deepEqual(await put(provider, c), { kind: 'answered', value: null });
}

function fellOf(answer: Answer<unknown> | undefined) {
  assert.ok(answer?.kind === 'fault', `it should have failed: ${JSON.stringify(answer)}`);
  assert.ok(!JSON.stringify(answer.fault).includes(KEY), 'the key is shown');
  return answer;
}

function faultOf(answer: Answer<unknown> | undefined): Fault {
  return fellOf(answer).fault;
}

const absent = powerdnsAbsent();
const skip = absent !== null && !process.env.CI ? absent : false;

describe('a real PowerDNS', { skip }, () => {
  let server: PowerdnsPart;
  let provider: Provider;

  before(async () => {
    server = await startPowerdns();
    provider = open(server.api);
  });
  after(async () => {
    provider?.close();
    await server?.close();
  });
  beforeEach(() => {
    server.sql("DELETE FROM records WHERE name NOT IN ('fo.test', 'ns1.fo.test')");
  });

  test('a name is created, moved and read back, marker and all', async () => {
    const nothing = await see(provider);
    assert.deepEqual(nothing, { cnames: [], markers: [], refusal: null, ref: null });
    await made(provider, change(nothing, 'a.example.com.', 1));
    const first = await see(provider);
    assert.deepEqual(first.cnames, [{ value: 'a.example.com.', ttl: 60 }]);
    assert.deepEqual(first.markers, [formatMarker(marker(1))]);
    await made(provider, change(first, 'b.example.com.', 2, 30));
    assert.deepEqual((await see(provider)).cnames, [{ value: 'b.example.com.', ttl: 30 }]);
    assert.equal(faultOf(await put(provider, change(first, 'c.example.com.', 2))).kind, 'conflict');
    assert.deepEqual((await see(provider)).cnames, [{ value: 'b.example.com.', ttl: 30 }]);
    // Said again, it is a success and no second write.
    await made(provider, change(first, 'b.example.com.', 2, 30));
  });

  test('a zone and a target may be named in another script; one added later is found', async () => {
    const zone = 'xn--fsqu00a.test.';
    const name = `www.${zone}`;
    const own = open(server.api, { zone: '例子.test' });
    const before = fellOf(await look(own, name));
    assert.deepEqual([before.fault.kind, before.reach], ['rejected', { kind: 'zone', zone }]);
    assert.match(before.fault.detail, /the server has no zone xn--fsqu00a\.test\./);
    server.util('create-zone', zone, `ns1.${zone}`);
    const from = await see(own, name);
    const to = { cname: 'xn--bcher-kva.example.', ttl: 60, marker: marker(1) };
    await made(own, { name, from, to });
    const seen = await see(own, name);
    assert.deepEqual(seen.cnames, [{ value: 'xn--bcher-kva.example.', ttl: 60 }]);
    assert.equal(seen.refusal, null);
    const facts = await own.zone(name, never());
    assert.ok(facts.ok && facts.value.zone === zone, JSON.stringify(facts));
    server.util('delete-zone', zone);
    assert.deepEqual(fellOf(await look(own, name)).reach, { kind: 'zone', zone });
    own.close();
  });

  test('an adoption leaves the CNAME alone', async () => {
    server.util('add-record', 'fo.test', 'www', 'CNAME', '77', 'a.example.com.');
    const id = server.sql("SELECT id FROM records WHERE type = 'CNAME'");
    const from = await see(provider);
    await made(provider, change(from, 'a.example.com.', 1, 77));
    assert.equal(server.sql("SELECT id FROM records WHERE type = 'CNAME'"), id);
    assert.deepEqual((await see(provider)).markers, [formatMarker(marker(1))]);
  });

  test('comments that name another tool are told, and outlive our writes', async () => {
    const comments = [{ content: 'managed by terraform', account: 'ann' }];
    const records = [{ content: 'a.example.com.', disabled: false }];
    const rrset = { name: 'www.fo.test.', type: 'CNAME', ttl: 60, changetype: 'REPLACE', records };
    const patched = await fetch(`${server.api}/api/v1/servers/localhost/zones/fo.test.`, {
      method: 'PATCH',
      headers: { 'x-api-key': server.apiKey },
      body: JSON.stringify({ rrsets: [{ ...rrset, comments }] }),
    });
    assert.equal(patched.status, 204);
    const company = [{ tool: 'Terraform', by: 'its comments' }];
    const from = await see(provider);
    assert.deepEqual(from.company, company);
    await made(provider, change(from, 'b.example.com.', 1));
    assert.deepEqual((await see(provider)).company, company);
  });

  test('what a person has disabled is refused, and stays as it is', async () => {
    for (const [type, name, value] of [
      ['CNAME', 'www', 'a.example.com.'],
      ['TXT', '_detour.www', '"one"'],
    ] as const) {
      server.sql("DELETE FROM records WHERE name NOT IN ('fo.test', 'ns1.fo.test')");
      server.util('add-record', 'fo.test', name, type, '60', value);
      server.sql(`UPDATE records SET disabled = 1 WHERE type = '${type}' AND name != 'fo.test'`);
      const from = await see(provider);
      assert.deepEqual([from.cnames, from.markers, from.refusal?.word], [[], [], 'disabled']);
      assert.equal(
        faultOf(await put(provider, change(from, 'b.example.com.', 1))).kind,
        'rejected',
      );
      // Disabled since the reading: the one before the write notices.
      const late = { ...from, refusal: null };
      const refused = await put(provider, change(late, 'b.example.com.', 1));
      assert.equal(faultOf(refused).kind, 'conflict');
      const rows = server.sql(
        "SELECT content, disabled FROM records WHERE type IN ('CNAME', 'TXT')",
      );
      assert.equal(rows.trim(), `${value.replace(/\.$/, '')}|1`);
    }
  });

  test('a cut between the zone and the record is refused: NS, DNAME, a zone of its own', async () => {
    assert.equal((await see(provider, 'a.b.fo.test.')).refusal, null);
    server.util('add-record', 'fo.test', 'cut', 'NS', '60', 'ns1.elsewhere.example.');
    assert.equal((await see(provider, 'www.cut.fo.test.')).refusal?.word, 'delegated');
    assert.equal((await see(provider, 'a.b.cut.fo.test.')).refusal?.word, 'delegated');
    server.util('add-record', 'fo.test', 'old', 'DNAME', '60', 'new.example.');
    assert.equal((await see(provider, 'www.old.fo.test.')).refusal?.word, 'synthesized');
    server.util('create-zone', 'inner.fo.test', 'ns1.fo.test');
    const inner = (await see(provider, 'www.inner.fo.test.')).refusal;
    server.util('delete-zone', 'inner.fo.test');
    assert.equal(inner?.word, 'delegated');
    assert.match(inner.sentence, /inner\.fo\.test\., a zone of its own/);
  });

  test('other types, at the name or at the marker, are refused', async () => {
    server.util('add-record', 'fo.test', 'www', 'A', '60', '192.0.2.1');
    const seen = await see(provider);
    assert.equal(seen.refusal?.word, 'other-type');
    assert.equal(faultOf(await put(provider, change(seen, 'a.example.com.', 1))).kind, 'rejected');
    server.util('add-record', 'fo.test', '_detour.other', 'A', '60', '192.0.2.1');
    assert.equal((await see(provider, 'other.fo.test.')).refusal?.word, 'other-type');
  });

  test('the apex is refused', async () => {
    assert.equal((await see(provider, 'fo.test.')).refusal?.word, 'apex');
  });

  test('what the server will never take is rejected, in its own words', async () => {
    const bad = change(await see(provider), `${'x'.repeat(70)}.example.com.`, 1);
    const fault = faultOf(await put(provider, bad));
    assert.equal(fault.kind, 'rejected');
    assert.match(fault.detail, /refuses it \(.+\)/);
    assert.deepEqual((await see(provider)).markers, [], 'nothing of the PATCH was applied');
  });

  test('two values at the marker are told, and not written over', async () => {
    server.util('add-record', 'fo.test', '_detour.www', 'TXT', '60', '"one"');
    server.util('add-record', 'fo.test', '_detour.www', 'TXT', '60', '"two" "parts"');
    const seen = await see(provider);
    assert.deepEqual([...seen.markers].sort(), ['one', 'twoparts']);
    assert.equal(faultOf(await put(provider, change(seen, 'a.example.com.', 1))).kind, 'rejected');
  });

  test('the zone tells its servers, and warns of a serial that never moves', async () => {
    const facts = await provider.zone(WWW, never());
    assert.ok(facts.ok);
    assert.deepEqual(facts.value, {
      zone: 'fo.test.',
      nameServers: ['ns1.fo.test.'],
      ttlMin: null,
      warnings: [],
    });
    server.util('set-kind', 'fo.test', 'primary');
    const fresh = open(server.api);
    const warned = await fresh.zone(WWW, never());
    assert.ok(warned.ok);
    assert.match(warned.value.warnings.join(), /SOA-EDIT-API/);
    server.util('set-kind', 'fo.test', 'native');
    fresh.close();
  });

  test('a zone that became a copy is looked at again once it is refused', async () => {
    const fresh = open(server.api);
    const from = await see(fresh);
    // 4.7 lets its own API change a copy; what refuses is the change itself, and the look is the same.
    server.util('set-kind', 'fo.test', 'secondary');
    assert.equal((await see(fresh)).refusal, null, 'its facts are of before');
    const bad = change(from, `${'x'.repeat(70)}.example.com.`, 1);
    assert.equal(faultOf(await put(fresh, bad)).kind, 'rejected');
    assert.equal((await see(fresh)).refusal?.word, 'secondary');
    server.util('set-kind', 'fo.test', 'native');
    fresh.close();
  });

  test('a copy of another server is refused', async () => {
    server.util('set-kind', 'fo.test', 'secondary');
    const fresh = open(server.api);
    assert.equal((await see(fresh)).refusal?.word, 'secondary');
    server.util('set-kind', 'fo.test', 'native');
    fresh.close();
  });

  test('a wrong key is auth-suspect; a wrong zone or server is rejected with the cure', async () => {
    for (const [settings, kind, far] of [
      [{ apiKey: { env: 'WRONG' } }, 'auth-suspect', { kind: 'account' }],
      [{ zone: 'none.test' }, 'rejected', { kind: 'zone', zone: 'none.test.' }],
      [{ server: 'other' }, 'rejected', { kind: 'zone', zone: 'fo.test.' }],
    ] as const) {
      const wrong = open(server.api, settings);
      const name = 'zone' in settings ? 'www.none.test.' : WWW;
      const { fault, reach } = fellOf(await look(wrong, name));
      assert.equal(fault.kind, kind);
      assert.deepEqual(reach, far);
      assert.ok(fault.cure);
      wrong.close();
    }
  });

  test('a server that stands still is unavailable, and found again when it goes on', async () => {
    const hasty = open(server.api, {}, 300);
    const from = await see(provider);
    for (let tries = 0; tries < 50 && !(await hasty.zone(WWW, never())).ok; tries++);
    server.pause();
    assert.equal(faultOf(await look(hasty)).kind, 'unavailable');
    const held = await put(hasty, change(from, 'a.example.com.', 1));
    assert.equal(faultOf(held).kind, 'unavailable', 'the reading before it stood in the way');
    server.resume();
    await made(provider, change(from, 'a.example.com.', 1));
    hasty.close();
  });
});

describe('a server that is up to something', () => {
  interface Asked {
    readonly method: string;
    readonly body: string;
  }
  let asked: Asked[] = [];
  let answer: (request: IncomingMessage, response: ServerResponse, body: string) => void;
  let provider: Provider;
  let base = '';
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      asked.push({ method: request.method ?? '', body });
      answer(request, response, body);
    });
  });
  let rrsets: object[] = [];

  const plain = (request: IncomingMessage, response: ServerResponse) => {
    const status = request.method === 'PATCH' ? 204 : 200;
    response.writeHead(status, { 'content-type': 'application/json' });
    // Its search is for what is disabled: nothing is.
    const isSearch = request.url?.includes('/search-data') === true;
    const body = isSearch ? [] : { kind: 'Native', rrsets };
    response.end(status === 204 ? '' : JSON.stringify(body));
  };
  const cname = (value: string) => ({
    name: WWW,
    type: 'CNAME',
    ttl: 60,
    records: [{ content: value, disabled: false }],
  });

  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(async () => {
    provider.close();
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  beforeEach(async () => {
    provider?.close();
    provider = open(base);
    rrsets = [cname('a.example.com.')];
    answer = plain;
    await provider.zone(WWW, never());
    asked = [];
  });

  test('no PATCH ever has a set without a record, and both sets go in one', async () => {
    await put(provider, change(await see(provider), 'b.example.com.', 1));
    const patches = asked.filter((a) => a.method === 'PATCH').map((a) => JSON.parse(a.body));
    assert.equal(patches.length, 1);
    const sets = patches[0].rrsets as { changetype: string; records: unknown[]; name: string }[];
    assert.deepEqual(
      sets.map((s) => [s.name, s.changetype, s.records.length]),
      [
        [WWW, 'REPLACE', 1],
        [`_detour.${WWW}`, 'REPLACE', 1],
      ],
    );
  });

  test('a PATCH that was answered well and did nothing is uncertain', async () => {
    const fault = faultOf(await put(provider, change(await see(provider), 'b.example.com.', 1)));
    assert.equal(fault.kind, 'uncertain');
  });

  test('an edit during the PATCH is a conflict', async () => {
    answer = (request, response) => {
      if (request.method === 'PATCH') rrsets = [cname('human.example.org.')];
      plain(request, response);
    };
    const fault = faultOf(await put(provider, change(await see(provider), 'b.example.com.', 1)));
    assert.equal(fault.kind, 'conflict');
    assert.match(fault.detail, /human\.example\.org/);
  });

  test('a refusal because somebody came before us is a conflict, not a rejection', async () => {
    answer = (request, response) => {
      if (request.method !== 'PATCH') return plain(request, response);
      rrsets = [{ ...cname('192.0.2.1'), type: 'A' }];
      response.writeHead(422).end('{"error": "Conflicts with pre-existing RRset"}');
    };
    const fault = faultOf(await put(provider, change(await see(provider), 'b.example.com.', 1)));
    assert.equal(fault.kind, 'conflict');
  });

  test('the reply to a PATCH is lost: uncertain, sent once', async () => {
    const from = await see(provider);
    asked = [];
    answer = (request, response) => {
      if (request.method === 'PATCH') request.socket.resetAndDestroy();
      else plain(request, response);
    };
    assert.equal(faultOf(await put(provider, change(from, 'b.example.com.', 1))).kind, 'uncertain');
    assert.equal(asked.filter((a) => a.method === 'PATCH').length, 1);
  });

  test('a server that ignores the filter gives the whole zone, and only the name is read', async () => {
    rrsets = [cname('a.example.com.'), { ...cname('192.0.2.9'), name: 'x.fo.test.', type: 'A' }];
    const seen = await see(provider);
    assert.equal(seen.refusal, null);
    assert.deepEqual(seen.cnames, [{ value: 'a.example.com.', ttl: 60 }]);
  });

  const faults: readonly [
    what: string,
    status: number,
    body: string,
    read: string,
    write: string,
  ][] = [
    ['a page of a proxy', 502, '<html>bad gateway</html>', 'unavailable', 'uncertain'],
    ['too many requests', 429, '', 'throttled', 'throttled'],
    ['a refused key', 401, 'Unauthorized', 'auth-suspect', 'auth-suspect'],
    ['a page with status 200', 200, '<html>hello</html>', 'unavailable', 'uncertain'],
    ['an endless answer', 200, `"${'x'.repeat(9 << 20)}"`, 'unavailable', 'uncertain'],
    ['a redirect', 302, '', 'unavailable', 'unavailable'],
  ];
  for (const [what, status, body, read, write] of faults) {
    test(`${what}: a read is ${read}, a write ${write}`, async () => {
      const from = await see(provider);
      const bad = (response: ServerResponse) =>
        void response.writeHead(status, { location: '/elsewhere' }).end(body);
      answer = (request, response) =>
        request.method === 'PATCH' ? bad(response) : plain(request, response);
      assert.equal(faultOf(await put(provider, change(from, 'b.example.com.', 1))).kind, write);
      answer = (_, response) => bad(response);
      assert.equal(faultOf(await look(provider)).kind, read);
    });
  }

  test('a server that hangs is left within the call', async () => {
    answer = () => {};
    const hasty = open(base, {}, 150);
    assert.equal(faultOf(await look(hasty)).kind, 'unavailable');
    hasty.close();
  });

  test('no JSON of any shape makes it throw or passes for a reading', async () => {
    let body: unknown = null;
    answer = (_, response) => void response.writeHead(200).end(JSON.stringify(body));
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), fc.boolean(), async (value, inside) => {
        body = inside ? { kind: 'Native', rrsets: [value] } : value;
        assert.equal((await look(provider)).kind, 'fault');
      }),
      { numRuns: 60 },
    );
  });

  test('settings: https unless this machine; endpoint, key and zone are needed', () => {
    const good = { endpoint: 'https://pdns.example.net', apiKey: { env: 'K' }, zone: 'fo.test' };
    assert.equal(powerdns.settings.parse(good).server, 'localhost');
    for (const bad of [
      { ...good, endpoint: 'http://192.0.2.1:8081' },
      { ...good, endpoint: undefined },
      { ...good, zone: undefined },
      { ...good, apiKey: 'written out' },
      { ...good, server: 'a/b' },
    ]) {
      assert.equal(powerdns.settings.safeParse(bad).success, false, JSON.stringify(bad));
    }
  });
});
