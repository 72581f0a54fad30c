// Dynamic update against a real BIND: what is promised of a write (all or nothing, only against
// what was read, never believed without a signature) is looked up on the wire afterwards.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { checkReply, encodeText, encodeUpdate, sign } from '../../providers/kit/dns-update.ts';
import { type Rfc2136Settings, rfc2136 } from '../../providers/rfc2136.ts';
import { formatMarker } from '../../src/core/marker.ts';
import type { Answer, Change, Fault, Marker, Name, Result, Seen } from '../../src/core/model.ts';
import { ask } from '../../src/dns/ask.ts';
import { joinText } from '../../src/dns/wire.ts';
import type { Provider } from '../../src/kit/extend.ts';
import { SecretError } from '../../src/kit/secret.ts';
import { type Bind, freePort, newKey, startBind, withoutBind } from '../parts/bind.ts';

const zone = 'gslb.example.net.';
const key = newKey('detour.');
const narrow = newKey('narrow.', 'hmac-sha512');
let bind: Bind;
const open = new Set<{ close(): void }>();

function account(
  over: { port?: number; tsig?: Partial<Rfc2136Settings['tsig']>; zone?: Name | undefined } = {},
  secret = key.secret,
  callTimeoutMs = 2000,
): Provider {
  const provider = rfc2136.create(
    'own',
    {
      server: `127.0.0.1:${over.port ?? bind.port}`,
      ...('zone' in over ? { zone: over.zone } : { zone }),
      tsig: { name: 'detour.', algorithm: 'hmac-sha256', secret: { env: 'KEY' }, ...over.tsig },
    },
    { secret: () => secret, callTimeoutMs },
  );
  open.add(provider);
  return provider;
}

const signal = () => AbortSignal.timeout(10_000);

function value<T>(result: Result<T>): T {
  assert.ok(result.ok, result.ok ? '' : `${result.fault.kind}: ${result.fault.detail}`);
  return result.value;
}

function told<T>(answer: Answer<T> | undefined): T {
  assert.ok(answer?.kind === 'answered', JSON.stringify(answer));
  return answer.value;
}

function faultOf(answer: Answer<unknown> | undefined): Fault {
  return fellOf(answer).fault;
}

function fellOf(answer: Answer<unknown> | undefined) {
  assert.ok(answer?.kind === 'fault', `a fault was expected: ${JSON.stringify(answer)}`);
  return answer;
}

/** What was read of each name, all of it answered. */
async function readAll(provider: Provider, names: readonly Name[]): Promise<Record<Name, Seen>> {
  const read = await provider.read(names, signal());
  return Object.fromEntries(names.map((name) => [name, told(read[name])]));
}

async function seen(name: Name, provider = account()): Promise<Seen> {
  return (await readAll(provider, [name]))[name]!;
}

function marker(id: string): Marker {
  const rest = { term: 1, kind: 'auto', target: 't', pinned: false, pinMs: null } as const;
  return { cluster: 'shop', epoch: 1, id, ...rest };
}

function text(id: string): string {
  return formatMarker(marker(id));
}

function change(name: Name, from: Seen, cname: Name, id: string, ttl = 60): Change {
  return { name, from, to: { cname, ttl, marker: marker(id) } };
}

/** What stands there by the wire, not by the adapter. */
async function onWire(name: Name): Promise<{ cname: string | null; markers: string[] }> {
  const server = { address: bind.address, port: bind.port };
  const [c, t] = await Promise.all([
    ask(server, { name, type: 'CNAME' }, { timeoutMs: 2000 }),
    ask(server, { name: `_detour.${name}`, type: 'TXT' }, { timeoutMs: 2000 }),
  ]);
  assert.ok(c.kind === 'reply' && t.kind === 'reply');
  const cname = c.message.answers.find((r) => r.type === 'CNAME');
  return {
    cname: cname?.type === 'CNAME' ? cname.target : null,
    markers: t.message.answers.flatMap((r) => (r.type === 'TXT' ? joinText(r.strings) : [])),
  };
}

async function serial(): Promise<number> {
  const server = { address: bind.address, port: bind.port };
  const reply = await ask(server, { name: zone, type: 'SOA' }, { timeoutMs: 2000 });
  const soa = reply.kind === 'reply' ? reply.message.answers[0] : undefined;
  assert.ok(soa?.type === 'SOA');
  return soa.serial;
}

/** A relay in front of BIND whose `onRequest` may cut, keep back or alter what passes. */
async function relay(
  handle: (request: Buffer, forward: () => void, client: Socket, server: Socket) => void,
  onReply: (reply: Buffer) => Buffer | null = (reply) => reply,
): Promise<number> {
  const sockets = new Set<Socket>();
  const proxy = createServer((client) => {
    const server = connect(bind.port, bind.address);
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on('error', () => {});
    }
    client.on('data', (chunk) => handle(chunk, () => server.write(chunk), client, server));
    server.on('data', (chunk) => {
      const reply = onReply(chunk);
      if (reply === null) client.destroy();
      else client.write(reply);
    });
    client.on('close', () => server.destroy());
    server.on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  open.add({
    close: () => {
      for (const socket of sockets) socket.destroy();
      proxy.close();
    },
  });
  return (proxy.address() as { port: number }).port;
}

const isUpdate = (framed: Buffer) => ((framed[4]! >> 3) & 0xf) === 5;

describe('rfc2136 on a real BIND', { skip: withoutBind }, () => {
  before(async () => {
    bind = await startBind({
      keys: [key, narrow],
      zones: [
        {
          name: zone,
          records: [
            'www 60 CNAME a.target.example.',
            'plain 60 A 192.0.2.1',
            'held 60 CNAME a.target.example.',
            '_detour.held 60 TXT "part one, " "part two"',
            '_detour.busy 60 CNAME elsewhere.example.',
            'child NS ns.child',
            'ns.child A 127.0.0.1',
            '*.wild 60 CNAME w.target.example.',
            'known.wild 60 CNAME w.target.example.',
            '*.addr 60 A 192.0.2.8',
            'starred 60 CNAME a.target.example.',
            '*.starred 60 CNAME w.target.example.',
            'old DNAME new.example.',
            'only.below 60 A 192.0.2.9',
            ...Array.from({ length: 12 }, (_, i) => `many${i} 60 CNAME a.target.example.`),
          ],
          policy: [
            'grant detour. zonesub ANY;',
            'grant narrow. name many0.gslb.example.net. CNAME;',
            'grant narrow. name _detour.many0.gslb.example.net. TXT;',
          ],
        },
        { name: 'slow.example.org.', minimum: 3600 },
        { name: 'inner.gslb.example.net.', records: ['www 60 CNAME a.target.example.'] },
      ],
    });
  });
  after(async () => {
    for (const each of open) each.close();
    await bind?.stop();
  });

  test('reads the CNAME with its TTL, the marker joined, and absence', async () => {
    const names = [`www.${zone}`, `held.${zone}`, `none.${zone}`, `below.${zone}`];
    const read = await readAll(account(), names);
    assert.deepEqual(read[`www.${zone}`]?.cnames, [{ value: 'a.target.example.', ttl: 60 }]);
    assert.deepEqual(read[`www.${zone}`]?.markers, []);
    assert.deepEqual(read[`held.${zone}`]?.markers, ['part one, part two']);
    for (const absent of [`none.${zone}`, `below.${zone}`]) {
      assert.deepEqual(read[absent]?.cnames, []);
      assert.equal(read[absent]?.refusal, null);
    }
  });

  test('refuses the apex, other types, a child zone, a DNAME, a taken marker', async () => {
    const names = [zone, ...['plain', 'child', 'x.old', 'busy'].map((l) => `${l}.${zone}`)];
    const read = await readAll(account(), names);
    assert.deepEqual(
      names.map((name) => read[name]?.refusal?.word),
      ['apex', 'other-type', 'delegated', 'synthesized', 'other-type'],
    );
    const plain = read[`plain.${zone}`]!;
    assert.match(plain.refusal!.sentence, /has A records/);
    const [result] = await account().write(
      [change(`plain.${zone}`, plain, 'b.target.example.', 'm1')],
      signal(),
    );
    assert.equal(faultOf(result).kind, 'rejected');
  });

  test('finds the zone by itself, the nearest one, and says what is odd about it', async () => {
    const provider = account({ zone: undefined });
    const inner = value(await provider.zone(`a.b.inner.${zone}`, signal()));
    assert.equal(inner.zone, `inner.${zone}`);
    assert.deepEqual(inner.nameServers, [`ns1.inner.${zone}`]);
    assert.deepEqual(inner.warnings, []);
    const slow = value(await provider.zone('www.slow.example.org.', signal()));
    assert.equal(slow.warnings.length, 1);
    assert.match(slow.warnings[0]!, /negative TTL of 3600 s/);
    const foreign = await provider.zone('www.example.com.', signal());
    assert.equal(foreign.ok ? '' : foreign.fault.kind, 'rejected');
    const name = `www.${zone}`;
    const read = await account().read(['www.example.com.', name], signal());
    const outside = fellOf(read['www.example.com.']);
    assert.match(outside.fault.detail, /not within the configured zone/);
    assert.deepEqual(outside.reach, { kind: 'record' });
    assert.equal(told(read[name]).cnames.length, 1);
  });

  test('creates a record that is absent, and a second creator is a conflict', async () => {
    const name = `create.${zone}`;
    const from = await seen(name);
    const provider = account();
    const first = await provider.write([change(name, from, 'a.target.example.', 'm1')], signal());
    assert.deepEqual(first, [{ kind: 'answered', value: null }]);
    assert.deepEqual(await onWire(name), { cname: 'a.target.example.', markers: [text('m1')] });
    const second = await provider.write([change(name, from, 'b.target.example.', 'm2')], signal());
    assert.equal(faultOf(second[0]).kind, 'conflict');
    assert.deepEqual(await onWire(name), { cname: 'a.target.example.', markers: [text('m1')] });
  });

  test('moves CNAME and marker in one step of the serial', async () => {
    const name = `held.${zone}`;
    const from = await seen(name);
    const before = await serial();
    const provider = account();
    told((await provider.write([change(name, from, 'b.target.example.', 'm1')], signal()))[0]!);
    assert.deepEqual(await onWire(name), { cname: 'b.target.example.', markers: [text('m1')] });
    assert.equal(await serial(), before + 1);
  });

  test('a stale writer is a conflict and changes nothing, by value or marker', async () => {
    const name = `stale.${zone}`;
    const provider = account();
    const absent = await seen(name);
    told((await provider.write([change(name, absent, 'a.target.example.', 'm1')], signal()))[0]!);
    const stale = await seen(name);
    told((await provider.write([change(name, stale, 'a.target.example.', 'm2')], signal()))[0]!);
    const [byMarker] = await provider.write(
      [change(name, stale, 'b.target.example.', 'm3')],
      signal(),
    );
    assert.equal(faultOf(byMarker).kind, 'conflict');
    const other: Seen = { ...(await seen(name)), cnames: [{ value: 'z.example.', ttl: 60 }] };
    const [byValue] = await provider.write(
      [change(name, other, 'b.target.example.', 'm3')],
      signal(),
    );
    assert.equal(faultOf(byValue).kind, 'conflict');
    assert.deepEqual(await onWire(name), { cname: 'a.target.example.', markers: [text('m2')] });
  });

  test('adoption writes the marker alone, also from a reading that DNS gave', async () => {
    const name = `www.${zone}`;
    const read = await seen(name);
    const port = await relay((request, forward) => {
      if (isUpdate(request)) updates.push(request.subarray(2));
      forward();
    });
    const updates: Buffer[] = [];
    const provider = account({ port });
    const from: Seen = { ...read, ref: null };
    told((await provider.write([change(name, from, 'a.target.example.', 'm1')], signal()))[0]!);
    assert.deepEqual(await onWire(name), { cname: 'a.target.example.', markers: [text('m1')] });
    assert.equal(updates.length, 1);
    assert.equal(updates[0]!.readUInt16BE(8), 1, 'one record in the update section: the TXT');
    const texts: Seen = { ...(await seen(name)), ref: null };
    told((await provider.write([change(name, texts, 'a.target.example.', 'm2')], signal()))[0]!);
    assert.deepEqual((await onWire(name)).markers, [text('m2')]);
  });

  test('in a batch only the stale change is a conflict, and the others are made', async () => {
    const provider = account();
    const names = Array.from({ length: 12 }, (_, i) => `many${i}.${zone}`);
    const read = await readAll(provider, names);
    const before = await serial();
    const ok = await provider.write(
      names.map((n) => change(n, read[n]!, 'b.target.example.', 'm1')),
      signal(),
    );
    assert.ok(ok.every((a) => a.kind === 'answered'));
    assert.equal(await serial(), before + 1, 'the whole batch is one message');
    const fresh = await readAll(provider, names);
    const mixed = await provider.write(
      names.map((n, i) => change(n, i === 5 ? read[n]! : fresh[n]!, 'c.target.example.', 'm2')),
      signal(),
    );
    assert.deepEqual(
      mixed.map((a) => (a.kind === 'fault' ? a.fault.kind : a.kind)),
      names.map((_, i) => (i === 5 ? 'conflict' : 'answered')),
    );
    assert.equal((await onWire(names[5]!)).cname, 'b.target.example.');
    assert.equal((await onWire(names[6]!)).cname, 'c.target.example.');
  });

  test('two zones at one server have a connection each, for reading and for writing', async () => {
    const provider = account({ zone: undefined });
    const names = ['two.slow.example.org.', `two.${zone}`];
    const read = await readAll(provider, names);
    // Where the zones are, and what stands there.
    assert.equal(provider.calls, 4);
    const written = await provider.write(
      names.map((n) => change(n, read[n]!, 'a.target.example.', 'm1')),
      signal(),
    );
    for (const answer of written) told(answer);
    // The updates of both, and what stands there afterwards.
    assert.equal(provider.calls, 8);
    for (const n of names) {
      assert.deepEqual(await onWire(n), { cname: 'a.target.example.', markers: [text('m1')] });
    }
  });

  test('a zone that the server is silent about holds up no other', async () => {
    let isSilent = false;
    const port = await relay((request, forward) => {
      if (!isSilent || !request.includes('slow')) forward();
    });
    // No call is over before the test is: only the patience with the silent one ends it.
    const provider = account({ port, zone: undefined }, key.secret, 60_000);
    const [ill, well] = ['ill.slow.example.org.', `well.${zone}`];
    const before = await readAll(provider, [ill, well]);
    isSilent = true;
    const read = await provider.read([ill, well], signal());
    assert.equal(told(read[well]).cnames.length, 0);
    const { fault, reach } = fellOf(read[ill]);
    assert.deepEqual(
      [fault.kind, reach],
      ['unavailable', { kind: 'zone', zone: 'slow.example.org.' }],
    );
    const wanted = change(well, before[well]!, 'a.target.example.', 'm1');
    const other = change(ill, before[ill]!, 'a.target.example.', 'm1');
    const over = AbortSignal.timeout(5000);
    const [lost, made] = await provider.write([other, wanted], over);
    told(made);
    assert.equal(faultOf(lost).kind, 'uncertain');
    assert.equal((await onWire(well)).cname, 'a.target.example.');
  });

  test('a key that may change one name only is rejected for the others', async () => {
    const tsig = { name: 'narrow.', algorithm: 'hmac-sha512' } as const;
    const provider = account({ tsig }, narrow.secret);
    const names = [`many0.${zone}`, `many1.${zone}`];
    const read = await readAll(provider, names);
    const results = await provider.write(
      names.map((n) => change(n, read[n]!, 'n.target.example.', 'n1')),
      signal(),
    );
    told(results[0]);
    const { fault, reach } = fellOf(results[1]);
    assert.equal(fault.kind, 'rejected');
    assert.deepEqual(reach, { kind: 'record' });
    assert.match(fault.cure!, /grant the key/);
  });

  test('a wrong secret and an unknown key are auth-suspect, and change nothing', async () => {
    const name = `www.${zone}`;
    const from = await seen(name);
    const before = await onWire(name);
    const wanted = [change(name, from, 'b.target.example.', 'bad')];
    const wrong = Buffer.alloc(32, 7).toString('base64');
    const [badSig] = await account({}, wrong).write(wanted, signal());
    assert.equal(faultOf(badSig).kind, 'auth-suspect');
    assert.match(faultOf(badSig).detail, /BADSIG/);
    assert.deepEqual(fellOf(badSig).reach, { kind: 'account' });
    assert.ok(!JSON.stringify(badSig).includes(wrong));
    const [badKey] = await account({ tsig: { name: 'nobody.' } }).write(wanted, signal());
    assert.match(faultOf(badKey).detail, /BADKEY/);
    // Some servers say so of a key that only this zone does not name.
    assert.deepEqual(fellOf(badKey).reach, { kind: 'zone', zone });
    assert.deepEqual(await onWire(name), before);
  });

  test('a clock that is off is named with both times', async (context) => {
    const name = `www.${zone}`;
    const from = await seen(name);
    const real = Date.now;
    const ours = real() - 3_600_000;
    context.mock.method(Date, 'now', () => ours);
    const [result] = await account().write(
      [change(name, from, 'b.target.example.', 'x')],
      signal(),
    );
    context.mock.restoreAll();
    const fault = faultOf(result);
    assert.equal(fault.kind, 'auth-suspect');
    assert.match(fault.detail, /clock skew/);
    const dates = fault.detail.match(/\d{4}-\d\d-\d\dT[\d:.]+Z/g)!.map((d) => Date.parse(d));
    assert.ok(Math.abs(dates[0]! - real()) < 60_000, 'the server time');
    assert.ok(Math.abs(dates[1]! - ours) < 2000, 'our time');
  });

  test('a change that BIND takes with NOERROR and ignores is rejected, not done', async () => {
    // The marker's name has a CNAME: BIND leaves a TXT beside it out without a word.
    const name = `busy.${zone}`;
    const from: Seen = { ...(await seen(name)), refusal: null };
    const [result] = await account().write(
      [change(name, from, 'b.target.example.', 'm')],
      signal(),
    );
    const fault = faultOf(result);
    assert.equal(fault.kind, 'rejected');
    assert.match(fault.detail, /NOERROR and ignored the marker/);
    assert.match(fault.cure!, /free it/);
  });

  test('what a wildcard makes up is told from a record: it can be created beside it', async () => {
    const [made, known] = [`any.wild.${zone}`, `known.wild.${zone}`];
    assert.equal((await onWire(made)).cname, 'w.target.example.', 'the wildcard answers for it');
    const read = await readAll(account(), [made, known, `a.b.wild.${zone}`, `x.addr.${zone}`]);
    const nothing: Seen = { cnames: [], markers: [], refusal: null, ref: { texts: [] } };
    assert.deepEqual(read[made], nothing);
    assert.deepEqual(read[`a.b.wild.${zone}`], nothing, 'by a wildcard further up');
    assert.deepEqual(read[`x.addr.${zone}`], nothing, 'by a wildcard of addresses');
    // A record of its own, though it is what the wildcard says.
    assert.deepEqual(read[known]!.cnames, [{ value: 'w.target.example.', ttl: 60 }]);
    const wanted = change(made, nothing, 'b.target.example.', 'm');
    told((await account().write([wanted], signal()))[0]!);
    assert.deepEqual(await onWire(made), { cname: 'b.target.example.', markers: [text('m')] });
    const marked = await seen(made);
    assert.deepEqual([marked.markers, marked.refusal], [[text('m')], null]);
  });

  test('a wildcard below the record is told from its marker', async () => {
    const name = `starred.${zone}`;
    const read = await seen(name);
    assert.deepEqual([read.markers, read.refusal], [[], null]);
    told((await account().write([change(name, read, 'b.target.example.', 'm')], signal()))[0]!);
    assert.deepEqual(await onWire(name), { cname: 'b.target.example.', markers: [text('m')] });
  });

  test('a zone between the configured one and the record is refused', async () => {
    const name = `www.inner.${zone}`;
    const { [name]: answer } = await account().read([name], signal());
    const { fault, reach } = fellOf(answer);
    assert.deepEqual([fault.kind, reach], ['rejected', { kind: 'record' }]);
    assert.match(fault.detail, /lies in inner\.gslb\.example\.net\., a zone of its own/);
    const below = `a.b.child.${zone}`;
    assert.equal((await seen(below)).refusal?.word, 'delegated');
  });

  test('a reply lost after the update was sent is uncertain, though it was applied', async () => {
    const name = `lost.${zone}`;
    const from = await seen(name);
    let cut = false;
    const port = await relay(
      (request, forward) => {
        cut = isUpdate(request);
        forward();
      },
      (reply) => (cut ? null : reply),
    );
    const [result] = await account({ port }).write(
      [change(name, from, 'a.target.example.', 'm1')],
      signal(),
    );
    assert.equal(faultOf(result).kind, 'uncertain');
    assert.deepEqual(await onWire(name), { cname: 'a.target.example.', markers: [text('m1')] });
  });

  test('silence after the update was sent is uncertain within the time limit', async () => {
    const name = `www.${zone}`;
    const from = await seen(name);
    const port = await relay((request, forward) => {
      if (!isUpdate(request)) forward();
    });
    const provider = account({ port }, key.secret, 300);
    const [result] = await provider.write([change(name, from, 'b.target.example.', 'm')], signal());
    assert.equal(faultOf(result).kind, 'uncertain');
  });

  test('a reply that somebody altered is not believed', async () => {
    const name = `forged.${zone}`;
    const from = await seen(name);
    const port = await relay(
      (_request, forward) => forward(),
      (reply) => {
        // Turns NXRRSET, NOERROR or whatever the server said into NOERROR's neighbour.
        if (isUpdate(reply)) reply[5] = (reply[5]! & 0xf0) | 8;
        return reply;
      },
    );
    const [result] = await account({ port }).write(
      [change(name, from, 'a.target.example.', 'm1')],
      signal(),
    );
    assert.equal(faultOf(result).kind, 'uncertain');
  });

  test('nobody listening is unavailable, for reading and for writing', async () => {
    const from = await seen(`www.${zone}`);
    const provider = account({ port: await freePort() });
    const read = fellOf((await provider.read([`www.${zone}`], signal()))[`www.${zone}`]);
    assert.deepEqual([read.fault.kind, read.reach], ['unavailable', { kind: 'account' }]);
    const [result] = await provider.write(
      [change(`www.${zone}`, from, 'b.target.example.', 'm')],
      signal(),
    );
    assert.equal(faultOf(result).kind, 'unavailable');
  });

  test('a server that is not the primary of the configured zone is a clear fault', async () => {
    const provider = account({ zone: 'example.com.' });
    const { 'www.example.com.': answer } = await provider.read(['www.example.com.'], signal());
    const { fault, reach } = fellOf(answer);
    assert.deepEqual(reach, { kind: 'zone', zone: 'example.com.' });
    assert.equal(fault.kind, 'auth-suspect');
    assert.match(fault.detail, /refuses to answer/);
  });

  async function nsupdate(...lines: string[]): Promise<void> {
    const file = join(bind.directory, 'nsupdate.txt');
    const all = [`server ${bind.address} ${bind.port}`, `zone ${zone}`, ...lines, 'send'];
    await writeFile(file, `${all.join('\n')}\n`);
    const auth = `${key.algorithm}:${key.name}:${key.secret}`;
    await promisify(execFile)('nsupdate', ['-v', '-y', auth, file], { timeout: 5000 });
  }

  test('other records that came since the reading are a conflict, without a marker', async () => {
    const name = `taken.${zone}`;
    const from = await seen(name);
    await nsupdate(`update add ${name} 60 A 192.0.2.7`);
    const [result] = await account().write(
      [change(name, from, 'b.target.example.', 'm')],
      signal(),
    );
    assert.equal(faultOf(result).kind, 'conflict');
    assert.deepEqual(await onWire(name), { cname: null, markers: [] });
  });

  test('nsupdate with the same key sees what we wrote as its prerequisite', async () => {
    const name = `oracle.${zone}`;
    const provider = account();
    const wanted = [change(name, await seen(name), 'a.target.example.', 'm7')];
    told((await provider.write(wanted, signal()))[0]!);
    await nsupdate(
      `prereq yxrrset ${name} CNAME a.target.example.`,
      `prereq yxrrset _detour.${name} TXT "${text('m7')}"`,
      `update delete ${name} CNAME`,
      `update add ${name} 60 CNAME by.nsupdate.example.`,
    );
    assert.equal((await seen(name)).cnames[0]?.value, 'by.nsupdate.example.');
  });
});

describe('the settings of rfc2136', () => {
  test('the example of the design is read, and the names get their dots', () => {
    const read = rfc2136.settings.parse({
      server: '192.0.2.53',
      zone: 'GSLB.example.net',
      tsig: { name: 'detour', secret: { file: '/etc/detour/tsig' } },
    });
    assert.equal(read.zone, zone);
    assert.equal(read.tsig.name, 'detour.');
    assert.equal(read.tsig.algorithm, 'hmac-sha256');
  });

  test('an unsigned account, a weak algorithm and a written-out secret are refused', () => {
    const tsig = { name: 'detour', secret: { env: 'K' } };
    const bad = [
      { server: '192.0.2.53' },
      { server: '192.0.2.53', tsig: { ...tsig, algorithm: 'hmac-md5' } },
      { server: '192.0.2.53', tsig: { ...tsig, secret: 'c2VjcmV0' } },
      { server: 'not a server', tsig },
    ];
    for (const each of bad) assert.equal(rfc2136.settings.safeParse(each).success, false);
  });

  test('a secret that is no base64 is refused without being shown', () => {
    const settings = rfc2136.settings.parse({
      server: '192.0.2.53',
      tsig: { name: 'detour', secret: { env: 'K' } },
    });
    const context = { secret: () => 'not base64!', callTimeoutMs: 1000 };
    assert.throws(
      () => rfc2136.create('own', settings, context),
      (error) => error instanceof SecretError && !error.message.includes('not base64!'),
    );
  });
});

describe('signatures', () => {
  const secret = { name: 'k.', algorithm: 'hmac-sha256', secret: Buffer.alloc(32, 1) } as const;

  test('no bytes make the check of a reply throw, and none pass it', () => {
    const request = sign(encodeUpdate(77, zone, [], []), secret, 1_700_000_000_000);
    const head = Buffer.from([0, 77, 0xa8, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.boolean(), (noise, headed) => {
        const bytes = Buffer.concat([headed ? head : Buffer.alloc(0), noise]);
        assert.notEqual(checkReply(bytes, request, secret).kind, 'valid');
      }),
      { numRuns: 500 },
    );
  });

  test('a long text is split into strings of at most 255 bytes and nothing is lost', () => {
    for (const length of [0, 1, 127, 128, 254, 255, 256, 510, 511, 700]) {
      const text = 'é'.repeat(length / 2) + 'x'.repeat(length % 2);
      const data = encodeText(text);
      const strings: Buffer[] = [];
      for (let at = 0; at < data.length; at += 1 + data[at]!) {
        strings.push(data.subarray(at + 1, at + 1 + data[at]!));
      }
      assert.equal(strings.length, Math.max(1, Math.ceil(length / 255)));
      assert.equal(Buffer.concat(strings).toString(), text);
    }
  });
});
