// Dynamic update against three real servers that word the same refusals differently: BIND, Knot and
// PowerDNS. Every algorithm of TSIG, every way to be refused, an update that is taken and ignored, a
// clock that is off, and a primary that nobody is told of. What stands is looked up on the wire.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import packet from 'dns-packet';
import type { TsigKey } from '../../providers/kit/dns-update.ts';
import { SignedServer } from '../../providers/kit/signed.ts';
import { rfc2136 } from '../../providers/rfc2136.ts';
import { formatMarker, markerName } from '../../src/core/marker.ts';
import type { Answer, Change, FaultKind, Marker, Name, Seen } from '../../src/core/model.ts';
import { ask, exchangeTcp, type Server } from '../../src/dns/ask.ts';
import { createResolver } from '../../src/dns/resolver.ts';
import { createServers } from '../../src/dns/servers.ts';
import { createVerifier } from '../../src/dns/verify.ts';
import { joinText } from '../../src/dns/wire.ts';
import type { Provider } from '../../src/kit/extend.ts';
import { parseHostPort } from '../../src/kit/schema.ts';
import { type BindKey, newKey, startBind, withoutBind } from '../parts/bind.ts';
import { startKnot, withoutKnot } from '../parts/knot.ts';
import { powerdnsAbsent, startPowerdns } from '../parts/powerdns.ts';

const zone: Name = 'fo.test.';
const algorithms: readonly TsigKey['algorithm'][] = ['hmac-sha256', 'hmac-sha384', 'hmac-sha512'];
const writing = algorithms.map((algorithm) => newKey(`${algorithm.slice(5)}.`, algorithm));
const key = writing[0]!;
/** Known to the server, and not allowed to change anything. */
const reader = newKey('reader.');
const keys = [...writing, reader];
const never = (): AbortSignal => AbortSignal.timeout(20_000);
const opened: { close(): void }[] = [];

interface Running extends Server {
  /** Has it serve one zone more. */
  add(): Promise<void>;
  stop(): Promise<void>;
}

/** What a refusal must say: its kind, and a word of its sentence and of its cure. */
type Words = readonly [kind: FaultKind, detail: RegExp, cure?: RegExp];

interface Row {
  readonly title: string;
  readonly skip: string | false;
  start(): Promise<Running>;
  readonly wrongSecret: Words;
  readonly unknownKey: Words;
  /** A key that the server knows and that may not update the zone. */
  readonly readerOnly: Words;
  readonly notServed: Words;
  readonly skew: Words;
  /** A marker where a CNAME stands in its way, which no server takes. */
  readonly blocked: Words;
}

const records = ['_detour.busy 60 CNAME elsewhere.example.', 'cut 60 NS ns1.elsewhere.example.'];
/** Beside it: one in another script, and one within it that it does not delegate to. */
const others: readonly Name[] = ['xn--fsqu00a.test.', `inner.${zone}`];
const later: Name = 'later.test.';
const updaters = writing.map((k) => k.name);
const compare = /compare the name, algorithm and secret/;
const compareAll = /name, algorithm and secret, and the clocks/;
const grant = /grant the key/;
const ignored: Words = ['rejected', /NOERROR and ignored the marker/, /is a CNAME/];
const skewed: Words = ['auth-suspect', /clock skew.*BADTIME/, /NTP/];
const unsigned: Words = ['auth-suspect', /\(REFUSED, unsigned\)/, compareAll];
/** Knot 3.2 signs a BADKEY, 3.4 signs nothing: the kind, the sentence and the cure are as good. */
const noSuchKey: Words = [
  'auth-suspect',
  /\((BADKEY|NOTAUTH, unsigned): no such key there/,
  /name, algorithm and secret/,
];

const servers: readonly Row[] = [
  {
    title: 'BIND',
    skip: withoutBind,
    start: async () => {
      const policy = updaters.map((name) => `grant ${name} zonesub ANY;`);
      const zones = [{ name: zone, policy, records }, ...others.map((name) => ({ name }))];
      const bind = await startBind({ zones, keys });
      return { ...bind, add: () => bind.reload([...zones, { name: later }]) };
    },
    wrongSecret: ['auth-suspect', /BADSIG: the secret differs/, compare],
    unknownKey: ['auth-suspect', /BADKEY: no such key there/, compare],
    readerOnly: ['rejected', /knows the key reader\..*\(REFUSED\)/, grant],
    notServed: ['rejected', /not the primary server of example\.com\. \(NOTAUTH\)/],
    skew: skewed,
    blocked: ignored,
  },
  {
    title: 'Knot',
    skip: withoutKnot,
    start: async () => {
      const zones = [{ name: zone, updaters, records }, ...others.map((name) => ({ name }))];
      const knot = await startKnot({ zones, keys });
      return { ...knot, add: () => knot.reload([...zones, { name: later }]) };
    },
    wrongSecret: ['auth-suspect', /BADSIG: the secret differs/, compare],
    unknownKey: noSuchKey,
    // To Knot a key that no acl of the zone names is no key.
    readerOnly: noSuchKey,
    notServed: ['auth-suspect', /\(NOTAUTH, unsigned: .*the zone is not served/, compareAll],
    skew: skewed,
    blocked: ignored,
  },
  {
    title: 'PowerDNS',
    skip: process.env['CI'] ? false : (powerdnsAbsent() ?? false),
    start: async () => {
      const server = await startPowerdns({ keys, updaters, others });
      server.util('add-record', 'fo.test', '_detour.busy', 'CNAME', 'elsewhere.example.');
      server.util('add-record', 'fo.test', 'cut', 'NS', 'ns1.elsewhere.example.');
      const { host, port } = parseHostPort(server.dns, null)!;
      // By its API: what stands in its database it sees within five minutes (zone-cache).
      const add = async () => {
        const body = { name: later, kind: 'Native', nameservers: [`ns1.${later}`] };
        const made = await fetch(`${server.api}/api/v1/servers/localhost/zones`, {
          method: 'POST',
          headers: { 'x-api-key': server.apiKey },
          body: JSON.stringify(body),
          signal: never(),
        });
        assert.equal(made.status, 201, await made.text());
      };
      return { address: host, port, add, stop: server.close };
    },
    // It answers a signature that it does not accept with a REFUSED that it does not sign.
    wrongSecret: unsigned,
    unknownKey: unsigned,
    readerOnly: ['rejected', /knows the key reader\..*\(REFUSED\)/, grant],
    notServed: ['rejected', /not the primary server of example\.com\. \(NOTAUTH\)/],
    skew: unsigned,
    // It refuses what the others leave out in silence.
    blocked: ['rejected', /\(REFUSED\)/, grant],
  },
];

function account(server: Server, as: BindKey = key, over: { zone?: Name | null } = {}): Provider {
  const settings = rfc2136.settings.parse({
    server: `${server.address}:${server.port}`,
    ...(over.zone === null ? {} : { zone: over.zone ?? zone }),
    tsig: { name: as.name, algorithm: as.algorithm, secret: { env: 'KEY' } },
  });
  const provider = rfc2136.create('own', settings, {
    secret: () => as.secret,
    callTimeoutMs: 5000,
  });
  opened.push(provider);
  return provider;
}

async function see(provider: Provider, name: Name): Promise<Seen> {
  const { [name]: answer } = await provider.read([name], never());
  assert.ok(answer?.kind === 'answered', JSON.stringify(answer));
  return answer.value;
}

function change(name: Name, from: Seen, cname: Name, id: string): Change {
  return { name, from, to: { cname, ttl: 60, marker: marker(id) } };
}

function marker(id: string): Marker {
  const rest = { term: 1, kind: 'auto', target: 't', pinned: false, pinMs: null } as const;
  return { cluster: 'shop', epoch: 1, id, ...rest };
}

async function put(provider: Provider, wanted: Change): Promise<Answer<null>> {
  return (await provider.write([wanted], never()))[0]!;
}

async function made(provider: Provider, wanted: Change): Promise<void> {
  const answer = await put(provider, wanted);
  assert.equal(answer.kind, 'answered', JSON.stringify(answer));
}

const nothing: Seen = { cnames: [], markers: [], refusal: null, ref: null };
const intruder: Change = change(`intruder.${zone}`, nothing, 'a.example.com.', 'm');

function says(answer: Answer<null>, [kind, detail, cure]: Words): void {
  assert.ok(answer.kind === 'fault', 'it was taken');
  const { fault } = answer;
  assert.equal(fault.kind, kind, fault.detail);
  assert.match(fault.detail, detail);
  if (cure !== undefined) assert.match(fault.cure ?? '', cure);
  for (const { secret } of keys) assert.ok(!JSON.stringify(fault).includes(secret), 'a secret');
}

/** CNAME and marker that a server gives, by the wire. */
async function onWire(server: Server, name: Name): Promise<readonly (readonly string[])[]> {
  const questions = [
    { name, type: 'CNAME' },
    { name: markerName(name), type: 'TXT' },
  ];
  return Promise.all(
    questions.map(async (question) => {
      const asked = await ask(server, question, { timeoutMs: 5000 });
      assert.ok(asked.kind === 'reply', asked.kind);
      return asked.message.answers.map((a) =>
        a.type === 'CNAME' ? a.target : a.type === 'TXT' ? joinText(a.strings) : a.type,
      );
    }),
  );
}

for (const row of servers) {
  describe(`dynamic update on ${row.title}`, { skip: row.skip }, () => {
    let server: Running;
    before(async () => {
      server = await row.start();
    });
    after(async () => {
      for (const each of opened.splice(0)) each.close();
      await server?.stop();
    });

    /** With all that the server holds. */
    const all = () => account(server, key, { zone: null });

    /** Refused with these words, and nothing of it stands. */
    async function refused(by: Provider, words: Words): Promise<void> {
      says(await put(by, intruder), words);
      assert.deepEqual(await onWire(server, intruder.name), [[], []]);
    }

    for (const signing of writing) {
      test(`${signing.algorithm}: creates, moves, and refuses what is stale`, async () => {
        const provider = account(server, signing);
        const name = `${signing.algorithm}.${zone}`;
        await made(provider, change(name, nothing, 'a.example.com.', 'm1'));
        const from = await see(provider, name);
        await made(provider, change(name, from, 'b.example.com.', 'm2'));
        says(await put(provider, change(name, from, 'c.example.com.', 'm3')), [
          'conflict',
          /no longer stands there \(NXRRSET\)/,
        ]);
        assert.deepEqual(await onWire(server, name), [
          ['b.example.com.'],
          [formatMarker(marker('m2'))],
        ]);
      });
    }

    test('a wrong secret is told, and changes nothing', () =>
      refused(account(server, { ...key, secret: newKey('x.').secret }), row.wrongSecret));

    test('a key of another algorithm is told as one that is not there', () =>
      refused(account(server, { ...key, algorithm: 'hmac-sha512' }), row.unknownKey));

    test('an unknown key is told, and changes nothing', () =>
      refused(account(server, newKey('nobody.')), row.unknownKey));

    test('a key that may not update the zone is told, and changes nothing', () =>
      refused(account(server, reader), row.readerOnly));

    test('a zone that is not served there: reading and writing say so', async () => {
      const other = account(server, key, { zone: 'example.com.' });
      const { 'www.example.com.': read } = await other.read(['www.example.com.'], never());
      assert.ok(read?.kind === 'fault');
      assert.equal(read.fault.kind, 'auth-suspect');
      assert.match(read.fault.cure ?? '', /serve the zone there/);
      assert.deepEqual(read.reach, { kind: 'zone', zone: 'example.com.' });
      says(
        await put(other, change('www.example.com.', nothing, 'a.example.net.', 'm')),
        row.notServed,
      );
    });

    test('a zone and a target may be named in another script', async () => {
      const name = 'www.xn--fsqu00a.test.';
      const target = 'xn--bcher-kva.example.';
      for (const provider of [account(server, key, { zone: '例子.test' }), all()]) {
        const from = await see(provider, name);
        await made(provider, change(name, from, target, 'm1'));
        const seen = await see(provider, name);
        assert.deepEqual([seen.cnames, seen.refusal], [[{ value: target, ttl: 60 }], null]);
        const facts = await provider.zone(name, never());
        assert.ok(facts.ok && facts.value.zone === 'xn--fsqu00a.test.', JSON.stringify(facts));
        await made(provider, change(name, seen, 'a.example.com.', 'm2'));
      }
      assert.deepEqual((await onWire(server, name))[0], ['a.example.com.']);
    });

    test('a zone within a zone is found by itself, and what lies below others’ servers refused', async () => {
      const provider = all();
      const name = `www.inner.${zone}`;
      const facts = await provider.zone(name, never());
      assert.ok(facts.ok && facts.value.zone === `inner.${zone}`, JSON.stringify(facts));
      await made(provider, change(name, await see(provider, name), 'a.example.com.', 'm'));
      assert.deepEqual((await onWire(server, name))[0], ['a.example.com.']);
      // To one that is told of the zone above the name is another's.
      const { [name]: told } = await account(server).read([name], never());
      assert.ok(told?.kind === 'fault' && told.reach.kind === 'record');
      assert.match(told.fault.detail, /lies in inner\.fo\.test\., a zone of its own/);
      for (const below of [`cut.${zone}`, `www.cut.${zone}`, `a.b.cut.${zone}`]) {
        const seen = await see(provider, below);
        assert.equal(seen.refusal?.word, 'delegated', below);
        says(await put(provider, change(below, seen, 'a.example.com.', 'm')), ['rejected', /cut/]);
      }
      assert.equal((await see(provider, `www.${zone}`)).refusal, null);
    });

    test('a zone that is added later is found within a minute', async (context) => {
      const provider = all();
      const name = `www.${later}`;
      const { [name]: before } = await provider.read([name], never());
      assert.ok(before?.kind === 'fault' && before.reach.kind === 'record', JSON.stringify(before));
      await server.add();
      const now = performance.now.bind(performance);
      context.mock.method(performance, 'now', () => now() + 61_000);
      const seen = await see(provider, name);
      assert.deepEqual([seen.cnames, seen.refusal], [[], null]);
    });

    test('a clock that is off by an hour', async (context) => {
      const provider = account(server);
      const off = Date.now() - 3_600_000;
      context.mock.method(Date, 'now', () => off);
      const result = await put(provider, intruder);
      context.mock.restoreAll();
      says(result, row.skew);
      assert.deepEqual(await onWire(server, intruder.name), [[], []]);
    });

    test('what the server leaves out, with a word or without, is never taken for done', async () => {
      const provider = account(server);
      const name = `busy.${zone}`;
      const seen = await see(provider, name);
      assert.equal(seen.refusal?.word, 'other-type');
      says(await put(provider, change(name, seen, 'a.example.com.', 'm')), [
        'rejected',
        /no marker can stand there/,
      ]);
      assert.deepEqual(await onWire(server, name), [[], ['elsewhere.example.']]);
      const blind = { ...seen, refusal: null };
      says(await put(provider, change(name, blind, 'a.example.com.', 'm')), row.blocked);
    });
  });
}

/** Tells a secondary that its primary has something new (RFC 1996). */
async function notify(secondary: Server): Promise<void> {
  const message = packet.encode({
    type: 'query',
    id: 7,
    flags: (4 << 11) | packet.AUTHORITATIVE_ANSWER,
    questions: [{ name: zone, type: 'SOA', class: 'IN' }],
  });
  const to = { host: secondary.address, port: secondary.port };
  const { replies } = await exchangeTcp(to, [Buffer.from(message)], { timeoutMs: 5000 });
  assert.equal((replies[0]?.[3] ?? 15) & 15, 0, 'the notification was not taken');
}

describe('a primary that nobody is told of', { skip: withoutBind || withoutKnot }, () => {
  test('visible is what the servers of the setting give, not what was written', async (context) => {
    const bind = await startBind({ zones: [{ name: zone }], keys: [key] });
    context.after(() => bind.stop());
    const knot = await startKnot({ zones: [{ name: zone, primary: bind }], keys: [] });
    context.after(() => knot.stop());
    const provider = account(bind);
    const resolver = createResolver({
      roots: [`127.0.0.1:${bind.port}`],
      port: bind.port,
      timeoutMs: 2000,
      clock: { now: () => performance.now() },
    });
    const verifier = createVerifier({
      servers: createServers({
        providers: { own: provider },
        configured: { own: [`${knot.address}:${knot.port}`] },
        clock: { now: () => performance.now() },
        file: null,
      }),
      resolver,
      port: 53,
      timeoutMs: 2000,
    });
    try {
      const name = `www.${zone}`;
      const look = async () => {
        const answers = await verifier.ask('own', name, { marker: true }, never());
        assert.equal(answers.length, 1);
        const [{ server, answer, markers }] = answers as [(typeof answers)[0]];
        assert.equal(server, `${knot.address}:${knot.port}`, 'the primary is not asked');
        return [answer.kind === 'cname' ? answer.value : answer.kind, markers];
      };
      await made(provider, change(name, nothing, 'a.example.com.', 'm1'));
      assert.deepEqual(await look(), ['nxdomain', []], 'not told of it yet');
      await notify(knot);
      const deadline = performance.now() + 10_000;
      while ((await look())[0] !== 'a.example.com.') {
        assert.ok(performance.now() < deadline, 'the secondary does not follow');
        await pause(20);
      }
      assert.deepEqual(await look(), ['a.example.com.', [formatMarker(marker('m1'))]]);
      says(
        await put(account(knot), change(name, await see(provider, name), 'b.example.com.', 'm2')),
        ['auth-suspect', /unsigned|BADKEY/],
      );
    } finally {
      verifier.close();
      resolver.close();
      for (const each of opened.splice(0)) each.close();
    }
  });
});

describe('a BIND that signs its zone by itself', { skip: withoutBind }, () => {
  test('what it takes is given a while later, and is no refusal', async (context) => {
    const bind = await startBind({ zones: [{ name: zone, signed: true }], keys: [key] });
    context.after(() => bind.stop());
    const provider = account(bind);
    context.after(() => provider.close());
    const name = `www.${zone}`;
    await made(provider, change(name, nothing, 'a.example.com.', 'm0'));
    for (let i = 1; i <= 20; i++) {
      const from = await see(provider, name);
      await made(provider, change(name, from, `${i % 2 ? 'b' : 'a'}.example.com.`, `m${i}`));
    }
    assert.deepEqual(await onWire(bind, name), [['a.example.com.'], [formatMarker(marker('m20'))]]);
  });
});

describe('a Knot that signs its zone by itself', { skip: withoutKnot }, () => {
  test('a CNAME is never taken away on its way to another', async (context) => {
    const knot = await startKnot({ zones: [{ name: zone, signed: true }], keys: [key] });
    context.after(() => knot.stop());
    const provider = account(knot);
    context.after(() => provider.close());
    const name = `www.${zone}`;
    await made(provider, change(name, nothing, 'a.example.com.', 'm1'));
    const from = await see(provider, name);
    await made(provider, change(name, from, 'b.example.com.', 'm2'));
    assert.deepEqual(await onWire(knot, name), [['b.example.com.'], [formatMarker(marker('m2'))]]);
  });
});

describe('a server that takes and gives nothing of it', { skip: withoutBind }, () => {
  test('is uncertain for a minute, and then it was left out', async (context) => {
    const bind = await startBind({ zones: [{ name: zone }], keys: [key] });
    context.after(() => bind.stop());
    const provider = account(bind);
    context.after(() => provider.close());
    const name = `www.${zone}`;
    await made(provider, change(name, nothing, 'a.example.com.', 'm1'));
    const from = await see(provider, name);
    // Each update is taken as if it were one that changes nothing.
    const isTaken = context.mock.method(SignedServer.prototype, 'update', async () => [
      { kind: 'signature', signature: { kind: 'valid', rcode: 0 }, bytes: Buffer.alloc(0) },
    ]);
    let now = performance.now();
    context.mock.method(performance, 'now', () => now);
    const wanted = change(name, from, 'b.example.com.', 'm2');
    const first = await put(provider, wanted);
    says(first, [
      'uncertain',
      /took the update of www\.fo\.test\. and gives a\.example\.com\. still/,
    ]);
    assert.deepEqual(first.kind === 'fault' && first.reach, { kind: 'record' });
    now += 59_000;
    says(await put(provider, wanted), ['uncertain', /gives a\.example\.com\. still/]);
    now += 2_000;
    says(await put(provider, wanted), [
      'rejected',
      /took the update with NOERROR and ignored/,
      /log/,
    ]);
    // Another switch is another question.
    const next = change(name, from, 'b.example.com.', 'm3');
    says(await put(provider, next), ['uncertain', /gives a\.example\.com\. still/]);
    assert.ok(isTaken.mock.callCount() >= 4);
  });
});

describe('a BIND whose views are chosen by key', { skip: withoutBind }, () => {
  test('what is written is what is read: one identity for both', async (context) => {
    const records = (target: string) => [`www 60 CNAME ${target}.example.com.`];
    const views = [
      { name: 'ours', key, zones: [{ name: zone, records: records('a') }] },
      { name: 'others', key: null, zones: [{ name: zone, records: records('other'), policy: [] }] },
    ];
    const bind = await startBind({ zones: views[1]!.zones, views, keys: [key] });
    context.after(() => bind.stop());
    const provider = account(bind);
    context.after(() => provider.close());
    const name = `www.${zone}`;
    const from = await see(provider, name);
    assert.deepEqual(from.cnames, [{ value: 'a.example.com.', ttl: 60 }]);
    await made(provider, change(name, from, 'b.example.com.', 'm1'));
    const after = await see(provider, name);
    assert.deepEqual(after.cnames, [{ value: 'b.example.com.', ttl: 60 }]);
    assert.deepEqual(after.markers, [formatMarker(marker('m1'))]);
    // Whoever has no key is answered from the other one.
    assert.deepEqual(await onWire(bind, name), [['other.example.com.'], []]);
  });
});

describe('a server that nobody stops', { skip: withoutBind }, () => {
  test('holds no process open, and ends with it', async () => {
    const code = `
      import { newKey, startBind } from '${new URL('../parts/bind.ts', import.meta.url)}';
      const bind = await startBind({ zones: [{ name: 'a.test.' }], keys: [newKey('k.')] });
      console.log(bind.port, bind.directory);`;
    const args = ['--input-type=module', '--eval', code];
    const done = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 });
    assert.equal(done.status, 0, done.stderr);
    const [port, directory] = done.stdout.trim().split(' ');
    rmSync(directory!, { recursive: true });
    const question = { name: 'a.test.', type: 'SOA' };
    const deadline = performance.now() + 10_000;
    for (;;) {
      const server = { address: '127.0.0.1', port: Number(port) };
      const reply = await ask(server, question, { timeoutMs: 500, tcp: true });
      if (reply.kind !== 'reply') return;
      assert.ok(performance.now() < deadline, 'it answers still');
      await pause(20);
    }
  });
});
