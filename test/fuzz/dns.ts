// DNS: bytes to messages, the exchange with a server that answers anything, the resolver's walk, and
// dynamic updates whose replies are mutated before or after they are signed. Servers are on
// loopback; a reply that names an address elsewhere is not given, for the resolver would go there.

import { createHmac } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import packet, { type Answer } from 'dns-packet';
import {
  checkReply,
  encodeName,
  encodeUpdate,
  sign,
  type TsigKey,
} from '../../providers/kit/dns-update.ts';
import { rfc2136 } from '../../providers/rfc2136.ts';
import { formatMarker, markerName } from '../../src/core/marker.ts';
import type { Change, Result } from '../../src/core/model.ts';
import { ask } from '../../src/dns/ask.ts';
import { createResolver } from '../../src/dns/resolver.ts';
import { decode, type Message, type Resource } from '../../src/dns/wire.ts';
import { marker, markerText, resultOf } from '../parts/answers.ts';
import { Dice, mutate } from './dice.ts';
import { b64, demand, ends, inTime, Reached, type Stand, target, unb64 } from './harness.ts';

type Input =
  | { readonly kind: 'decode'; readonly bytes: string }
  | { readonly kind: 'signature'; readonly bytes: string }
  | {
      readonly kind: 'ask';
      readonly tcp: boolean;
      readonly type: string;
      readonly datagrams: readonly string[];
      readonly stream: readonly string[];
      readonly end: 'end' | 'hold' | 'reset';
    }
  | {
      readonly kind: 'resolve';
      readonly what: 'chain' | 'addresses' | 'nameServers' | 'delegation';
      /** Flags, counts and sections behind the question, one for each question asked. */
      readonly replies: readonly string[];
    }
  | {
      readonly kind: 'update';
      readonly call: 'read' | 'write' | 'zone' | 'preflight';
      readonly fresh: boolean;
      readonly rcode: number;
      readonly applies: boolean;
      /** Of the reply with the same number: 0 leaves it alone; odd ones come before the signature. */
      readonly seeds: readonly number[];
    };

const name = 'www.fo.test.';
const askMs = 100;
const stepMs = 40;
const callMs = 150;

const key: TsigKey = {
  name: 'detour.',
  algorithm: 'hmac-sha256',
  secret: Buffer.from('the-key-of-this-test-0123456789'),
};

export const dns = target<Input>({
  name: 'dns',
  atOnce: 6,
  open: async () => new Dns(),
});

class Dns implements Stand<Input> {
  readonly reached = new Reached();
  readonly #messages = corpus();
  readonly #request = sign(encodeUpdate(7, 'fo.test.', [], []), key, 1_700_000_000_000);
  readonly #replies = [0, 5, 8, 2].map((rcode) =>
    signReply(updateReply(this.#request.bytes, rcode), this.#request.mac, 1_700_000_000),
  );

  draw(dice: Dice): Input {
    const kind = dice.pick([
      ...(['decode', 'decode', 'decode', 'decode', 'decode', 'decode', 'decode'] as const),
      ...(['signature', 'signature', 'ask', 'resolve', 'update'] as const),
    ]);
    const message = () => this.#message(dice, kind === 'ask' ? 0.3 : 0.04);
    switch (kind) {
      case 'decode':
        return { kind, bytes: b64(message()) };
      case 'signature':
        return { kind, bytes: b64(mutate(dice, dice.pick(this.#replies), this.#replies)) };
      case 'ask':
        return {
          kind,
          tcp: dice.is(0.5),
          type: dice.is(0.8) ? 'CNAME' : dice.pick(['TXT', 'SOA', 'ANY']),
          datagrams: dice.list(0, 4, () => b64(message().subarray(0, 9000))),
          stream: dice.list(0, 5, () => b64(dice.is(0.7) ? framed(message()) : message())),
          end: dice.pick(['end', 'hold', 'reset']),
        };
      case 'resolve':
        return {
          kind,
          what: dice.pick(['chain', 'addresses', 'nameServers', 'delegation']),
          replies: dice.list(1, 6, () => b64(drawSections(dice))),
        };
      case 'update':
        return {
          kind,
          call: dice.pick(['read', 'write', 'write', 'write', 'zone', 'preflight']),
          fresh: dice.is(0.4),
          rcode: dice.is(0.7) ? 0 : dice.int(0, 15),
          applies: dice.is(0.7),
          seeds: dice.list(0, 12, () => (dice.is(0.6) ? 0 : dice.int(1, 2 ** 31))),
        };
    }
  }

  #message(dice: Dice, whole: number): Buffer {
    const one = dice.pick(this.#messages);
    return dice.is(whole) ? Buffer.from(one) : mutate(dice, one, this.#messages);
  }

  async run(input: Input): Promise<void> {
    switch (input.kind) {
      case 'decode': {
        const bytes = unb64(input.bytes);
        const message = inTime(250, 'decoding a message', () => decode(bytes));
        this.reached.note(message === null ? 'no message' : 'a message');
        if (message !== null) checkMessage(message);
        return;
      }
      case 'signature':
        return this.#runSignature(unb64(input.bytes));
      case 'ask':
        return runAsk(input, this.reached);
      case 'resolve':
        return runResolve(input, this.reached);
      case 'update':
        return runUpdate(input, this.reached);
    }
  }

  /** Nothing but what the key has signed is believed, and it says what was signed. */
  #runSignature(bytes: Buffer): void {
    const said = inTime(100, 'checking a signature', () => checkReply(bytes, this.#request, key));
    if (said.kind !== 'valid' && said.kind !== 'bad-time') return;
    const honest = this.#replies.some(
      (reply) => reply[3] === bytes[3] && sameCovered(reply, bytes),
    );
    demand(honest, `a reply that the key did not sign is taken as ${said.kind}`);
  }

  async close(): Promise<void> {}
}

/** The id aside, up to the signature. */
function sameCovered(signed: Buffer, other: Buffer): boolean {
  const end = signed.length - signatureSize;
  return other.length >= end && signed.subarray(2, end).equals(other.subarray(2, end));
}

// ---------------------------------------------------------------- what is promised

const kinds = ['timeout', 'refused', 'no-route', 'network', 'malformed', 'aborted'];

function checkMessage(message: Message): void {
  const isNumber = (value: unknown, most: number) =>
    Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most;
  demand(isNumber(message.id, 65_535), 'a message has no id');
  demand(typeof message.rcode === 'string', 'a message has no rcode');
  for (const question of message.questions) checkName(question.name);
  for (const one of [...message.answers, ...message.authority, ...message.additional]) {
    checkName(one.name);
    demand(isNumber(one.ttl, 2 ** 31 - 1), `a TTL is ${one.ttl}`);
    checkData(one, isNumber);
  }
}

function checkName(text: unknown): void {
  demand(typeof text === 'string' && text.endsWith('.'), `a name is ${JSON.stringify(text)}`);
  demand(text.length <= 1100, `a name has ${text.length} characters`);
}

function checkData(one: Resource, isNumber: (value: unknown, most: number) => boolean): void {
  const bad = `a ${one.type} record holds something else`;
  switch (one.type) {
    case 'A':
    case 'AAAA':
      return demand(typeof one.address === 'string' && one.address !== '', bad);
    case 'CNAME':
    case 'DNAME':
    case 'NS':
      return checkName(one.target);
    case 'TXT':
      return demand(
        one.strings.every((s) => s instanceof Uint8Array),
        bad,
      );
    case 'SOA':
      return demand(isNumber(one.serial, 2 ** 32 - 1) && isNumber(one.minimum, 2 ** 32 - 1), bad);
    case 'DS':
      return demand(isNumber(one.keyTag, 65_535) && one.digest instanceof Uint8Array, bad);
    case 'DNSKEY':
      return demand(isNumber(one.flags, 65_535) && one.key instanceof Uint8Array, bad);
    case 'RRSIG':
      return demand(typeof one.covered === 'string' && isNumber(one.keyTag, 65_535), bad);
    case 'other':
      return demand(typeof one.typeName === 'string', bad);
  }
}

// ---------------------------------------------------------------- one exchange

async function runAsk(input: Extract<Input, { kind: 'ask' }>, reached: Reached): Promise<void> {
  const server = await serve({
    udp: (query) => input.datagrams.map((text) => withId(unb64(text), query, 0)),
    tcp(socket, query) {
      input.stream.forEach((text, i) => {
        socket.write(i === 0 ? withId(unb64(text), query, 2) : unb64(text));
      });
      if (input.end === 'end') socket.end();
      else if (input.end === 'reset') socket.resetAndDestroy();
    },
  });
  try {
    const question = { name, type: input.type };
    const options = { timeoutMs: askMs, tcp: input.tcp };
    const exchange = await ends(askMs + 250, 'ask', ask(server.at, question, options));
    reached.note(`asked: ${exchange.kind}`);
    if (exchange.kind !== 'reply') return demand(kinds.includes(exchange.kind), 'an odd failure');
    checkMessage(exchange.message);
    const [first, ...more] = exchange.message.questions;
    demand(more.length === 0, 'a reply to several questions is taken');
    const mine = first === undefined || (first.name === name && first.type === input.type);
    demand(mine, 'a reply to another question is taken');
  } finally {
    await server.close();
  }
}

/** The bytes under the id of the question, which stands at `at`. */
function withId(bytes: Buffer, query: Buffer, at: number): Buffer {
  if (bytes.length >= at + 2) query.copy(bytes, at, 0, 2);
  return bytes;
}

// ---------------------------------------------------------------- a walk

async function runResolve(
  { what, replies }: Extract<Input, { kind: 'resolve' }>,
  reached: Reached,
): Promise<void> {
  let asked = 0;
  const answer = (query: Buffer): Buffer[] => {
    const rest = unb64(replies[asked++ % replies.length]!);
    const endOfQuestion = query.indexOf(0, 12) + 5;
    const head = Buffer.concat([rest, Buffer.alloc(10)]).subarray(0, 10);
    head.writeUInt16BE(1, 2);
    const parts = [query.subarray(0, 2), head, query.subarray(12, endOfQuestion)];
    const reply = Buffer.concat([...parts, rest.subarray(10)]);
    return leadsAway(reply) ? [] : [reply];
  };
  const server = await serve({
    udp: answer,
    tcp: (socket, query) => {
      for (const reply of answer(query)) socket.write(framed(reply));
    },
  });
  const { address, port } = server.at;
  const clock = { now: () => Math.floor(performance.now()) };
  const resolver = createResolver({
    roots: [`${address}:${port}`],
    port,
    timeoutMs: stepMs,
    clock,
  });
  const signal = new AbortController().signal;
  try {
    const walk: Promise<{ kind: string }> = resolver[what](name, signal);
    const found = await ends(5 * stepMs + 250, what, walk);
    reached.note(`walked: ${found.kind}`);
    demand(typeof found.kind === 'string', `${what} ends with nothing`);
    JSON.stringify(found);
  } finally {
    resolver.close();
    await server.close();
  }
}

/** Names an address that is not this machine's. */
function leadsAway(reply: Buffer): boolean {
  const message = decode(reply);
  if (message === null) return false;
  const all = [...message.answers, ...message.authority, ...message.additional];
  return all.some((r) => 'address' in r && !/^(127\.\d+\.\d+\.\d+|::1)$/.test(r.address));
}

const types = { A: 1, NS: 2, CNAME: 5, SOA: 6, TXT: 16, AAAA: 28, DNAME: 39, DS: 43, OPT: 41 };

/** Flags, counts and sections that fit behind any question; half of them mutated. */
function drawSections(dice: Dice): Buffer {
  const records = [0, 1, 2].map(() => dice.list(0, 3, () => drawRecord(dice)));
  const head = Buffer.alloc(10);
  const aa = dice.is(0.6) ? 0x0400 : 0;
  const tc = dice.is(0.05) ? 0x0200 : 0;
  head.writeUInt16BE(0x8000 | aa | tc | (dice.is(0.8) ? 0 : dice.int(0, 15)), 0);
  records.forEach((section, i) => {
    head.writeUInt16BE(section.length, 4 + 2 * i);
  });
  const whole = Buffer.concat([head, ...records.flat()]);
  return dice.is(0.5) ? whole : mutate(dice, whole).subarray(0, 60_000);
}

function drawRecord(dice: Dice): Buffer {
  const owner = () =>
    dice.pick([
      Buffer.of(0xc0, 12),
      Buffer.of(0xc0, 12),
      ...['www.fo.test.', 'fo.test.', 'test.', '.', 'ns.fo.test.', 'a.b.fo.test.'].map(encodeName),
      encodeName(`x${dice.int(0, 50)}.test.`),
    ]);
  const type = dice.pick([
    'A',
    'NS',
    'NS',
    'CNAME',
    'CNAME',
    'SOA',
    'DS',
    'AAAA',
    'DNAME',
  ] as const);
  const data: Record<typeof type, () => Buffer> = {
    A: () => Buffer.of(127, 0, 0, dice.int(1, 2)),
    AAAA: () => Buffer.of(...Array<number>(15).fill(0), 1),
    NS: owner,
    CNAME: owner,
    DNAME: owner,
    SOA: () => Buffer.concat([owner(), owner(), Buffer.alloc(20, dice.int(0, 255))]),
    DS: () => dice.bytes(36),
  };
  const rdata = data[type]();
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(types[type], 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt32BE(dice.pick([0, 1, 60, 0xffff_ffff]), 4);
  fixed.writeUInt16BE(rdata.length, 8);
  return Buffer.concat([owner(), fixed, rdata]);
}

// ---------------------------------------------------------------- an update

const sought = marker(2);
const wanted = { cname: 'b.example.com.', marker: formatMarker(sought), ttl: 60 };
const before = { cname: 'a.example.com.', marker: markerText(1), ttl: 60 };

/** A little name server with one record, whose replies are mutated as the input says. */
async function runUpdate(
  input: Extract<Input, { kind: 'update' }>,
  reached: Reached,
): Promise<void> {
  const state = { now: input.fresh ? null : before, proven: false, forgedAfter: false, turn: 0 };
  const answer = (query: Buffer): Buffer => {
    const seed = input.seeds[state.turn++] ?? 0;
    const isUpdate = ((query[2]! >> 3) & 15) === 5;
    if (isUpdate && input.applies && input.rcode === 0) state.now = wanted;
    const said = isUpdate ? updateReply(query, input.rcode) : answerOf(query, state.now);
    const before = seed % 2 === 1 ? withId(mutate(new Dice(seed), said), query, 0) : said;
    const mac = macOf(query);
    if (mac === null || before.length < 12) return before;
    const signed = signReply(before, mac, Math.floor(Date.now() / 1000));
    const given =
      seed !== 0 && seed % 2 === 0 ? withId(mutate(new Dice(seed), signed), query, 0) : signed;
    if (!sameCovered(signed, given)) return given.subarray(0, 65_535);
    if (isUpdate && (given[3]! & 15) === 0) state.proven = true;
    // Only who has the key can make a reading up.
    if (!isUpdate && seed % 2 === 1 && state.proven) state.forgedAfter = true;
    return given.subarray(0, 65_535);
  };
  const server = await serve({
    udp: (query) => [answer(query)],
    tcp: (socket, query) => void socket.write(framed(answer(query))),
  });
  const secretText = key.secret.toString('base64');
  const provider = rfc2136.create(
    'own',
    rfc2136.settings.parse({
      server: `127.0.0.1:${server.at.port}`,
      ...(input.fresh ? {} : { zone: 'fo.test.' }),
      tsig: { name: 'detour', secret: { env: 'K' } },
    }),
    { callTimeoutMs: callMs, secret: () => secretText },
  );
  const signal = AbortSignal.timeout(6 * callMs);
  const bound = 6 * callMs + 250;
  try {
    if (input.call === 'write') {
      const results = await ends(bound, 'write', provider.write([changeFrom(input.fresh)], signal));
      demand(results.length === 1, `one change has ${results.length} results`);
      const written = resultOf(results[0]);
      reached.note(written.ok ? 'written' : `not written: ${written.fault.kind}`);
      checkResult(written, secretText);
      if (!written.ok) return;
      demand(state.proven, 'a write is done without a signed reply that says so');
      demand(state.now === wanted || state.forgedAfter, 'a write is done that was not applied');
    } else if (input.call === 'preflight') {
      const findings = await ends(bound, 'preflight', provider.preflight(name, signal));
      demand(!JSON.stringify(findings).includes(secretText), 'a finding shows the key');
    } else if (input.call === 'zone') {
      checkResult(await ends(bound, 'zone', provider.zone(name, signal)), secretText);
    } else {
      const read = await ends(bound, 'read', provider.read([name], signal));
      checkResult(resultOf(read[name]), secretText);
    }
  } finally {
    provider.close();
    await server.close();
  }
}

function checkResult(result: Result<unknown>, secret: string): void {
  JSON.stringify(result);
  if (result.ok) return;
  const { kind, detail, cure } = result.fault;
  demand(typeof kind === 'string' && detail.length > 0, 'a fault says nothing');
  demand(detail.length <= 2000, `a fault has ${detail.length} characters`);
  demand(!`${detail} ${cure}`.includes(secret), 'a fault shows the key');
}

function changeFrom(fresh: boolean): Change {
  const cnames = fresh ? [] : [{ value: before.cname, ttl: before.ttl }];
  const from = { cnames, markers: fresh ? [] : [before.marker], refusal: null, ref: null };
  const { cname, ttl } = wanted;
  return { name, from, to: { cname, ttl, marker: sought } };
}

function answerOf(query: Buffer, now: typeof wanted | null): Buffer {
  const { id, questions } = packet.decode(query);
  const [question] = questions!;
  const at = `${question!.name.toLowerCase()}.`;
  const soa: Answer = {
    name: 'fo.test',
    type: 'SOA',
    ttl: 60,
    data: { mname: 'ns.fo.test', rname: 'h.fo.test', serial: 1, minimum: 60 },
  };
  const all: Answer[] = [soa, { name: 'fo.test', type: 'NS', ttl: 60, data: 'ns.fo.test' }];
  if (now !== null) {
    const { ttl } = now;
    all.push({ name: name.slice(0, -1), type: 'CNAME', ttl, data: now.cname.slice(0, -1) });
    all.push({ name: markerName(name).slice(0, -1), type: 'TXT', ttl, data: now.marker });
  }
  const here = all.filter((r) => `${r.name}.` === at);
  const answers = here.filter(
    (r) => r.type === question!.type || (question!.type as string) === 'ANY',
  );
  const authorities = answers.length === 0 ? [soa] : [];
  const flags = packet.AUTHORITATIVE_ANSWER | (here.length === 0 ? 3 : 0);
  return packet.encode({
    type: 'response',
    id: id!,
    flags,
    questions: questions!,
    answers,
    authorities,
  });
}

// ---------------------------------------------------------------- signatures, once more

/** Header and zone of an UPDATE's reply. */
function updateReply(request: Buffer, rcode: number): Buffer {
  const end = request.indexOf(0, 12) + 5;
  const reply = Buffer.concat([request.subarray(0, 12), request.subarray(12, end)]);
  reply.writeUInt16BE(0xa800 | rcode, 2);
  reply.fill(0, 6, 12);
  return reply;
}

const word = (...values: number[]) => {
  const bytes = Buffer.alloc(2 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt16BE(value, 2 * i);
  return bytes;
};

const signatureSize =
  encodeName(key.name).length + 10 + encodeName(key.algorithm).length + 6 + 4 + 32 + 6;

/** As RFC 8945 5.3 has it, written apart from the code under test. */
function signReply(reply: Buffer, requestMac: Buffer, atSeconds: number): Buffer {
  const time = Buffer.alloc(6);
  time.writeUIntBE(atSeconds, 0, 6);
  const hmac = createHmac('sha256', key.secret);
  hmac.update(word(requestMac.length)).update(requestMac).update(reply);
  hmac
    .update(encodeName(key.name))
    .update(word(255, 0, 0))
    .update(encodeName(key.algorithm));
  const mac = hmac
    .update(time)
    .update(word(300, 0, 0))
    .digest();
  const id = reply.subarray(0, 2);
  const data = [encodeName(key.algorithm), time, word(300, 32), mac, id, word(0, 0)];
  const rdata = Buffer.concat(data);
  const record = [encodeName(key.name), word(250, 255, 0, 0, rdata.length), rdata];
  const signed = Buffer.concat([reply, ...record]);
  signed.writeUInt16BE((reply.readUInt16BE(10) + 1) & 0xffff, 10);
  return signed;
}

/** The MAC of a request, which always stands at the same distance from its end. */
function macOf(request: Buffer): Buffer | null {
  return request.length < signatureSize ? null : request.subarray(-38, -6);
}

// ---------------------------------------------------------------- bytes and servers

function framed(message: Buffer): Buffer {
  const cut = message.subarray(0, 65_535);
  return Buffer.concat([word(cut.length), cut]);
}

function corpus(): Buffer[] {
  const question = { type: 'CNAME' as const, name: name.slice(0, -1), class: 'IN' as const };
  const ttl = 60;
  const at = question.name;
  const records: Answer[] = [
    { name: at, type: 'CNAME', ttl, data: 'a.example.com' },
    { name: at, type: 'DNAME', ttl, data: 'a.example.com' },
    { name: at, type: 'NS', ttl, data: 'ns.fo.test' },
    { name: at, type: 'A', ttl, data: '127.0.0.1' },
    { name: at, type: 'AAAA', ttl, data: '::1' },
    { name: at, type: 'TXT', ttl, data: [Buffer.from('detour=1'), Buffer.alloc(255, 'x')] },
    {
      name: at,
      type: 'SOA',
      ttl,
      data: { mname: 'ns.test', rname: 'h.test', serial: 9, minimum: 1 },
    },
    { name: at, type: 'MX', ttl, data: { preference: 1, exchange: 'mx.test' } },
    { name: at, type: 'SRV', ttl, data: { port: 53, target: 'srv.test' } },
    { name: at, type: 'CAA', ttl, data: { flags: 0, tag: 'issue', value: 'ca.test' } },
    { name: at, type: 'HINFO', ttl, data: { cpu: 'RFC8482', os: '' } },
    {
      name: at,
      type: 'DS',
      ttl,
      data: { keyTag: 1, algorithm: 8, digestType: 2, digest: Buffer.alloc(32) },
    },
    {
      name: at,
      type: 'DNSKEY',
      ttl,
      data: { flags: 257, algorithm: 8, key: Buffer.alloc(64) },
    },
    {
      name: at,
      type: 'RRSIG',
      ttl,
      data: {
        typeCovered: 'CNAME',
        algorithm: 8,
        labels: 3,
        originalTTL: 60,
        expiration: 1_700_000_000,
        inception: 1_600_000_000,
        keyTag: 1,
        signersName: 'fo.test',
        signature: Buffer.alloc(64),
      },
    },
    { name: at, type: 'NSEC', ttl, data: { nextDomain: 'x.fo.test', rrtypes: ['A', 'TXT'] } },
    {
      name: '.',
      type: 'OPT',
      udpPayloadSize: 1232,
      extendedRcode: 1,
      ednsVersion: 0,
      flags: 0,
      flag_do: false,
      options: [
        { code: 'PADDING', length: 8 } as never,
        { code: 'COOKIE', data: Buffer.alloc(8) } as never,
      ],
    },
  ];
  const one = (answers: Answer[], flags: number, additionals: Answer[] = []) =>
    packet.encode({ type: 'response', id: 1, flags, questions: [question], answers, additionals });
  const loop = one([], 0x400);
  loop.writeUInt16BE(1, 6);
  const header = one([], 0).subarray(0, 12);
  header.writeUInt16BE(60_000, 6);
  return [
    ...records.map((record) => one([record], 0x400)),
    one(records.slice(0, 8), 0x400, records.slice(8)),
    one([], 0x403),
    one([], 0x002),
    // A name that is a pointer to itself, and one to a name that points back.
    Buffer.concat([loop, Buffer.of(0xc0, loop.length, 0, 5, 0, 1, 0, 0, 0, 1, 0, 2, 0xc0, 12)]),
    Buffer.concat([loop, Buffer.of(0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 1, 0, 2, 0xc0, loop.length + 2)]),
    header,
    manyPointers(5000),
    manyPointers(499),
  ];
}

/** The dearest message that there is: each of its records begins with a chain of pointers. */
function manyPointers(most: number): Buffer {
  const chain = Buffer.alloc(16_000);
  // The first ends at the header's own zero byte; each other one leads to the one before.
  for (let i = 0; i < chain.length; i += 2) {
    chain.writeUInt16BE(0xc000 | (i === 0 ? 4 : 23 + i - 2), i);
  }
  const header = Buffer.alloc(12);
  header.writeUInt16BE(0x8400, 2);
  const opening = Buffer.concat([Buffer.of(0), word(0xff00, 1, 0, 60, chain.length)]);
  const room = Math.floor((65_000 - header.length - opening.length - chain.length) / 12);
  const count = Math.min(most, room);
  const record = Buffer.concat([word(0xc000 | (23 + chain.length - 2)), word(0xff00, 1, 0, 60, 0)]);
  header.writeUInt16BE(count + 1, 6);
  return Buffer.concat([header, opening, chain, ...Array.from({ length: count }, () => record)]);
}

/** A server on a free port of 127.0.0.1, over UDP and TCP. */
async function serve(how: {
  udp(query: Buffer): readonly Buffer[];
  tcp(socket: Socket, query: Buffer): void;
}): Promise<{ readonly at: { address: string; port: number }; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  for (;;) {
    const tcp = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => sockets.delete(socket));
      let buffer = Buffer.alloc(0);
      socket.on('data', (chunk: Buffer) => {
        buffer = Buffer.concat([buffer, chunk]);
        while (buffer.length >= 2 && buffer.length >= 2 + buffer.readUInt16BE(0)) {
          const end = 2 + buffer.readUInt16BE(0);
          if (!socket.writableEnded) how.tcp(socket, buffer.subarray(2, end));
          buffer = buffer.subarray(end);
        }
      });
    });
    tcp.listen(0, '127.0.0.1');
    await once(tcp, 'listening');
    const { port } = tcp.address() as AddressInfo;
    const udp = createSocket('udp4');
    const bound = await new Promise<boolean>((resolve) => {
      udp.once('error', () => resolve(false));
      udp.bind(port, '127.0.0.1', () => resolve(true));
    });
    if (!bound) {
      tcp.close();
      udp.close();
      continue;
    }
    udp.on('error', () => {});
    udp.on('message', (query, from) => {
      for (const reply of how.udp(query)) {
        if (reply.length <= 60_000) udp.send(reply, from.port, from.address);
      }
    });
    return {
      at: { address: '127.0.0.1', port },
      async close() {
        for (const socket of sockets) socket.destroy();
        await new Promise<void>((resolve) => udp.close(() => resolve()));
        await new Promise((resolve) => tcp.close(resolve));
      },
    };
  }
}
