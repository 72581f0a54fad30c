// The vendors' APIs: the real adapters over their real SDKs, against the lab's emulators behind a
// wire that forges replies: mutated ones, other statuses, pages, bodies that break off, go on for
// tens of megabytes or unfold out of few bytes, pages of lists without an end. Whatever comes, every
// call ends in time with a result, keeps little, shows no secret, and calls no write done that the
// vendor's own word for success did not stand for.

import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { alidns } from '../../providers/alidns.ts';
import { cloudflare } from '../../providers/cloudflare.ts';
import { dnspod } from '../../providers/dnspod.ts';
import { powerdns } from '../../providers/powerdns.ts';
import { route53 } from '../../providers/route53.ts';
import { claimName, formatMarker, markerName } from '../../src/core/marker.ts';
import type { Answer, Change, Result, Seen } from '../../src/core/model.ts';
import type { Provider, ProviderType } from '../../src/kit/extend.ts';
import { startAlidns } from '../../src/lab/vendors/alidns.ts';
import { startCloudflare } from '../../src/lab/vendors/cloudflare.ts';
import { startDnspod } from '../../src/lab/vendors/dnspod.ts';
import { startRoute53 } from '../../src/lab/vendors/route53.ts';
import type { LabVendor } from '../../src/lab/vendors/vendor.ts';
import { marker, markerText } from '../parts/answers.ts';
import { type Dice, mutateJson, mutateText, mutateXml, oddValue } from './dice.ts';
import { Broken, demand, ends, heldMib, Reached, Slow, type Stand, target } from './harness.ts';

const vendors = ['route53', 'cloudflare', 'alidns', 'powerdns', 'dnspod'] as const;
type VendorName = (typeof vendors)[number];
const calls = ['zone', 'read', 'readMany', 'write', 'preflight'] as const;
type CallName = (typeof calls)[number];

/** What is put in the place of one reply. */
interface Forged {
  readonly status: number;
  readonly type: string;
  readonly headers: readonly string[];
  readonly body:
    | { readonly kind: 'text'; readonly text: string }
    /** So many MiB of one text over and over. */
    | { readonly kind: 'long'; readonly text: string; readonly mib: number }
    /** So many MiB of zeros, compressed. */
    | { readonly kind: 'folded'; readonly mib: number };
  readonly framing: 'length' | 'short' | 'long' | 'chunked' | 'close';
  readonly end: 'end' | 'hold' | 'reset';
}

interface Input {
  readonly vendor: VendorName;
  readonly call: CallName;
  /** One for each request in turn; null: the vendor's own reply. */
  readonly script: readonly (Forged | null)[];
  /** From the script's end on its last reply is given for ever; otherwise the vendor's own. */
  readonly loops: boolean;
}

const callMs = 250;
const signalMs = 1200;
/** Of a call that is sent tens of megabytes: time enough to take them all. */
const bigCallMs = 2000;
const zone = 'fo.test.';
const name = 'www.fo.test.';
const fresh = 'new.fo.test.';
const others = [1, 2, 3, 4, 5].map((i) => `w${i}.fo.test.`);
/** Long enough that no reply holds it by chance. */
const secret = 'the-secret-of-this-test-0123456789-abcdefg';
const keyId = 'AKIDOFTHISTEST0123456';

/** Bytes that a reader may take beyond its bound: what the kernel and Node hold in between. */
const sentMostMib = 20;
/** More than this at once is not bounded; a body at its bound, as bytes, text and tree, is less. */
const heldMostMib = 120;

export const vendorApis = target<Input>({
  name: 'vendors',
  atOnce: 3,
  open: async () => {
    const stand = new Vendors();
    await stand.record();
    return stand;
  },
});

class Vendors implements Stand<Input> {
  readonly reached = new Reached();
  readonly #worlds: World[] = [];
  readonly #free: World[] = [];
  readonly #corpus = new Map<VendorName, Map<CallName, Recorded[]>>();
  #big: Promise<void> = Promise.resolve();

  /** What each call's requests are answered in good health. */
  async record(): Promise<void> {
    const world = await this.#take();
    for (const vendor of vendors) {
      const byCall = new Map<CallName, Recorded[]>();
      for (const call of calls) {
        const heard: Recorded[] = [];
        const input: Input = { vendor, call, script: [], loops: false };
        await world.run(input, (reply) => heard.push(reply), 10_000, new Reached());
        byCall.set(call, heard);
      }
      this.#corpus.set(vendor, byCall);
    }
    this.#free.push(world);
  }

  draw(dice: Dice): Input {
    const vendor = dice.pick(vendors);
    const call = dice.pick<CallName>([...calls, 'write', 'read']);
    const heard = this.#corpus.get(vendor)!.get(call)!;
    const at = dice.int(0, heard.length - 1);
    const script: (Forged | null)[] = Array.from({ length: at }, () => null);
    for (let i = 0; i < (dice.is(0.7) ? 1 : dice.int(2, 6)); i++) {
      const recorded = heard[Math.min(at + i, heard.length - 1)]!;
      script.push(dice.is(0.9) ? this.#forge(dice, vendor, recorded) : null);
    }
    return { vendor, call, script, loops: dice.is(0.3) };
  }

  #forge(dice: Dice, vendor: VendorName, { status, type, text }: Recorded): Forged {
    const all = [...this.#corpus.get(vendor)!.values()].flat().map((r) => r.text);
    const given = dice.is(0.85) ? text : dice.pick(all);
    const mutated = () =>
      vendor === 'route53' ? mutateXml(dice, given, all) : mutateJson(dice, given, all);
    const body = dice.pick<() => string>([
      ...Array.from({ length: 12 }, () => mutated),
      () => given.slice(0, dice.int(0, given.length)),
      () => '<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head></html>',
      () => '',
      () => JSON.stringify(oddValue(dice)),
      () => mutateText(dice, given, all),
      () => given.replaceAll(/>[^<>{}]{3,}<|"[^"]{3,}"/g, (m) => m[0] + leak(dice) + m.at(-1)),
      () => endless(vendor, given),
    ])();
    return {
      status: dice.is(0.6)
        ? status
        : dice.pick([
            200, 200, 204, 301, 400, 401, 403, 404, 408, 409, 418, 422, 429, 500, 502, 503,
          ]),
      type: dice.is(0.9) ? type : dice.pick(['text/html', 'application/json', 'text/xml', '']),
      headers: dice.is(0.8) ? [] : [drawHeader(dice)],
      body: dice.is(0.97)
        ? { kind: 'text', text: body }
        : dice.pick<() => Forged['body']>([
            () => ({ kind: 'long', text: body.slice(0, 500) || ' ', mib: 40 }),
            () => ({ kind: 'folded', mib: 512 }),
          ])(),
      framing: dice.is(0.7) ? 'length' : dice.pick(['short', 'long', 'chunked', 'close']),
      end: dice.is(0.8) ? 'end' : dice.pick(['hold', 'reset']),
    };
  }

  async run(input: Input): Promise<void> {
    const isBig = input.script.some((one) => one !== null && one.body.kind !== 'text');
    // Memory is measured over the whole process, so a big one has it for itself.
    if (isBig) return this.#alone(() => this.#runIn(input, true));
    return this.#runIn(input, false);
  }

  #alone(work: () => Promise<void>): Promise<void> {
    const turn = this.#big.then(work);
    this.#big = turn.catch(() => {});
    return turn;
  }

  async #runIn(input: Input, isBig: boolean): Promise<void> {
    const world = await this.#take();
    const watch = isBig ? watchHeap() : null;
    try {
      await world.run(input, null, isBig ? 3 * bigCallMs : signalMs, this.reached);
    } finally {
      watch?.stop();
      this.#free.push(world);
    }
    const grown = Math.round(watch?.mostMib() ?? 0);
    const promise = `one reply made the heap grow by more than ${heldMostMib} MiB`;
    if (grown > heldMostMib) throw new Slow(promise);
  }

  async #take(): Promise<World> {
    const free = this.#free.pop();
    if (free) return free;
    const world = new World();
    await world.start();
    this.#worlds.push(world);
    return world;
  }

  async close(): Promise<void> {
    await Promise.all(this.#worlds.map((world) => world.close()));
  }
}

function watchHeap() {
  const before = heldMib();
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, heldMib());
  }, 5);
  return { stop: () => clearInterval(timer), mostMib: () => most - before };
}

/** A text such as a vendor may send back: what it was sent. */
function leak(dice: Dice): string {
  return dice.pick([
    secret,
    keyId,
    `key ${secret}`,
    `${' '.repeat(dice.int(1, 2500))}${secret}`,
    Buffer.from(secret).toString('base64'),
    `https://x/?Signature=abc&Secret=${secret}`,
  ]);
}

/** A list that says it goes on. */
function endless(vendor: VendorName, text: string): string {
  if (vendor === 'route53') {
    const next = '<NextRecordName>zz.fo.test.</NextRecordName><NextRecordType>A</NextRecordType>';
    return text.replace(
      '<IsTruncated>false</IsTruncated>',
      `<IsTruncated>true</IsTruncated>${next}`,
    );
  }
  return text
    .replaceAll(/"(total_count|TotalCount|total_pages|count)":\d+/g, '"$1":1000000')
    .replace(/"(page|PageNumber)":\d+/, '"$1":1');
}

function drawHeader(dice: Dice): string {
  return dice.pick([
    'content-encoding: gzip',
    'content-encoding: br',
    'content-encoding: deflate, gzip, gzip',
    'location: /elsewhere',
    `retry-after: ${dice.pick(['0', '1', '99999999999999999999', '-1', 'soon', 'Tue, 01 Jan 2999 00:00:00 GMT'])}`,
    'transfer-encoding: chunked',
    `x-amzn-errortype: ${dice.pick(['Throttling', '__proto__', 'constructor', '', secret])}`,
    'content-type: application/json; charset=utf-16',
    `x-big: ${'x'.repeat(dice.pick([100, 20_000]))}`,
    'set-cookie: a=b',
    'content-length: 5',
    'content-length: -1',
  ]);
}

// ---------------------------------------------------------------- one account at each vendor

interface Recorded {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

const before = { cname: 'a.example.com.', marker: markerText(1), ttl: 60 };
const wanted = { cname: 'b.example.com.', marker: marker(2), ttl: 60 };

interface Account {
  readonly api: string;
  open(via: string, callTimeoutMs?: number): Provider;
  reset(): void;
  close(): Promise<void>;
}

class World {
  readonly #accounts = new Map<VendorName, { readonly account: Account; readonly wire: Wire }>();

  async start(): Promise<void> {
    for (const vendor of vendors) {
      const account = await openAccount(vendor);
      const wire = new Wire(account);
      await wire.start();
      this.#accounts.set(vendor, { account, wire });
    }
  }

  async close(): Promise<void> {
    for (const { account, wire } of this.#accounts.values()) {
      await wire.close();
      await account.close();
    }
  }

  /** Runs one call through the wire; `heard` is told of every reply of the vendor's. */
  async run(
    input: Input,
    heard: ((reply: Recorded) => void) | null,
    boundMs: number,
    reached: Reached,
  ) {
    const { account, wire } = this.#accounts.get(input.vendor)!;
    account.reset();
    wire.begin(input, heard);
    const direct = account.open(new URL(account.api).host, 10_000);
    const provider = account.open(wire.host, boundMs > signalMs ? bigCallMs : callMs);
    try {
      const changes = input.call === 'write' ? await changesFrom(direct) : [];
      const signal = AbortSignal.timeout(boundMs);
      const work = callOf(provider, input.call, changes, signal);
      const results = await ends(boundMs + 250, `${input.vendor} ${input.call}`, work);
      if (heard) {
        const text = JSON.stringify(results);
        const isWhole = results.every(({ kind }) => kind === 'answered');
        return demand(isWhole, `it fails unforged: ${text}`);
      }
      for (const [i, answer] of results.entries()) {
        reached.note(`${input.call} ${wordOf(answer)}`);
        checkAnswer(answer);
        if (input.call !== 'write' || answer.kind !== 'answered' || wire.saidDone) continue;
        const done = await stands(direct, changes[i]!);
        demand(done, `${input.vendor}: a write is done without the vendor's word for it`);
      }
      demand(!wire.wentElsewhere, `${input.vendor}: a redirect was followed`);
      const sent = Math.round(wire.sentMib);
      demand(
        sent <= sentMostMib,
        `${input.vendor}: more than ${sentMostMib} MiB of one reply were read`,
      );
    } finally {
      provider.close();
      direct.close();
      wire.cut();
    }
  }
}

async function changesFrom(direct: Provider): Promise<Change[]> {
  const read = await direct.read([name, fresh], AbortSignal.timeout(10_000));
  const some = [name, fresh].slice(0, direct.capabilities.writeMax);
  return some.map((one) => ({ name: one, from: seenIn(read[one]), to: wanted }));
}

/** Whether a change is what the vendor holds now. */
async function stands(direct: Provider, { name: one, to }: Change): Promise<boolean> {
  const read = await direct.read([one], AbortSignal.timeout(10_000));
  const { cnames, markers } = seenIn(read[one]);
  const text = formatMarker(to.marker);
  return cnames[0]?.value === to.cname && markers.length === 1 && markers[0] === text;
}

function seenIn(answer: Answer<Seen> | undefined): Seen {
  if (answer?.kind === 'answered') return answer.value;
  throw new Broken(`the emulator cannot be read: ${JSON.stringify(answer)}`);
}

async function callOf(
  provider: Provider,
  call: CallName,
  changes: readonly Change[],
  signal: AbortSignal,
): Promise<readonly Answer<unknown>[]> {
  switch (call) {
    case 'zone':
      return [answerOf(await provider.zone(name, signal))];
    case 'read':
      return readWhole(provider, [name], signal);
    case 'readMany':
      return readWhole(provider, [name, ...others], signal);
    case 'write': {
      const results = await provider.write(changes, signal);
      demand(results.length === changes.length, 'a change has no result');
      return results;
    }
    case 'preflight': {
      const findings = await provider.preflight(name, signal);
      demand(Array.isArray(findings) && findings.length > 0, 'a preflight finds nothing');
      const text = JSON.stringify(findings);
      demand(!shows(text), `a finding shows a secret`);
      return [{ kind: 'answered', value: findings }];
    }
  }
}

function answerOf(result: Result<unknown>): Answer<unknown> {
  return result.ok
    ? { kind: 'answered', value: result.value }
    : { kind: 'fault', fault: result.fault, reach: { kind: 'record' } };
}

async function readWhole(
  provider: Provider,
  names: readonly string[],
  signal: AbortSignal,
): Promise<readonly Answer<Seen>[]> {
  const answers = await provider.read(names, signal);
  const given = Object.keys(answers).toSorted();
  demand(
    `${given}` === `${names.toSorted()}`,
    'a name has no answer, or one has that was not asked',
  );
  return names.map((one) => answers[one]!);
}

function wordOf(answer: Answer<unknown>): string {
  if (answer.kind === 'fault') return answer.fault.kind;
  return answer.kind === 'answered' ? 'ok' : 'not asked';
}

function checkAnswer(answer: Answer<unknown>): void {
  demand(typeof answer?.kind === 'string', 'a call ends without an answer');
  JSON.stringify(answer);
  if (answer.kind !== 'fault') return;
  const { reach } = answer;
  demand(
    reach.kind !== 'zone' || reach.zone === zone,
    'a fault is of a zone that nobody asked for',
  );
  const { kind, detail, cure, retryAfterMs } = answer.fault;
  const known = ['auth-suspect', 'throttled', 'conflict', 'rejected', 'unavailable', 'uncertain'];
  demand(known.includes(kind), `a fault is of kind ${kind}`);
  demand(typeof detail === 'string' && detail.length > 0, 'a fault says nothing');
  demand(detail.length <= 1500, 'a fault has more than 1500 characters');
  demand(!/\p{Cc}/u.test(detail), 'a fault holds control characters');
  demand(!shows(`${detail} ${cure}`), 'a fault shows a secret');
  const wait = retryAfterMs ?? 0;
  demand(wait >= 0 && wait <= 300_000, `a fault sends away for ${wait} ms`);
}

function shows(text: string): boolean {
  return text.includes(secret) || text.includes(Buffer.from(secret).toString('base64'));
}

// ---------------------------------------------------------------- the wire

class Wire {
  readonly #account: Account;
  #input: Input | null = null;
  #heard: ((reply: Recorded) => void) | null = null;
  readonly #server = createServer((asked, answer) => {
    asked.on('error', () => {});
    answer.on('error', () => {});
    void this.#serve(asked, answer).catch(() => answer.destroy());
  });
  #turn = 0;
  /** The most that was taken of one reply. */
  sentMib = 0;
  saidDone = false;
  wentElsewhere = false;

  constructor(account: Account) {
    this.#account = account;
  }

  begin(input: Input, heard: ((reply: Recorded) => void) | null): void {
    this.#input = input;
    this.#heard = heard;
    this.#turn = 0;
    this.sentMib = 0;
    this.saidDone = false;
    this.wentElsewhere = false;
  }

  cut(): void {
    this.#server.closeAllConnections();
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async start(): Promise<void> {
    this.#server.on('connection', (socket) => socket.on('error', () => {}));
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #serve(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const body: Buffer[] = [];
    for await (const chunk of asked) body.push(chunk as Buffer);
    if (asked.url === '/elsewhere') this.wentElsewhere = true;
    const { script, loops } = this.#input!;
    const turn = this.#turn++;
    const forged = script[turn] ?? (loops ? (script.at(-1) ?? null) : null);
    if (forged !== null) return this.#forge(forged, answer);
    const { status, type, bytes } = await forward(this.#account.api, asked, Buffer.concat(body));
    this.#heard?.({ status, type, text: bytes.toString('utf8') });
    const length = status === 204 ? {} : { 'content-length': bytes.length };
    answer.writeHead(status, { 'content-type': type, connection: 'close', ...length });
    answer.end(bytes);
  }

  /** Written past Node's server, which would mend it. */
  async #forge(forged: Forged, answer: ServerResponse): Promise<void> {
    const socket = answer.socket!;
    const text = forged.body.kind === 'folded' ? '' : forged.body.text;
    if (saysDone(this.#input!.vendor, forged.status, text)) this.saidDone = true;
    const part =
      forged.body.kind === 'folded'
        ? Buffer.concat(Array.from({ length: forged.body.mib / 32 }, () => folded()))
        : Buffer.from(text);
    const times = forged.body.kind === 'long' ? (forged.body.mib << 20) / part.length : 1;
    const length = Math.ceil(part.length * times);
    const lines = [`HTTP/1.1 ${forged.status} Whatever`, 'connection: close'];
    if (forged.type !== '') lines.push(`content-type: ${forged.type}`);
    if (forged.body.kind === 'folded') lines.push('content-encoding: gzip');
    const said = { length, short: Math.floor(length / 2), long: length + 100 };
    if (forged.framing === 'chunked') lines.push('transfer-encoding: chunked');
    else if (forged.framing !== 'close') lines.push(`content-length: ${said[forged.framing]}`);
    lines.push(...forged.headers);
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    const isChunked = forged.framing === 'chunked';
    const block = times > 1 ? Buffer.alloc(65_536, part) : part;
    for (let sent = 0; sent < length && !socket.destroyed; sent += block.length) {
      if (isChunked) socket.write(`${block.length.toString(16)}\r\n`);
      const goesOn = socket.write(block);
      if (isChunked) socket.write('\r\n');
      this.sentMib = Math.max(this.sentMib, (sent + block.length) / 1_048_576);
      if (!goesOn) await Promise.race([once(socket, 'drain'), once(socket, 'close'), pause(2000)]);
    }
    if (isChunked && forged.end === 'end') socket.write('0\r\n\r\n');
    if (forged.end === 'end') socket.end();
    else if (forged.end === 'reset') socket.resetAndDestroy();
  }
}

let foldedOnce: Buffer | null = null;

/** 32 MiB of zeros in 32 KiB; several behind one another are one stream (RFC 1952 2.2). */
function folded(): Buffer {
  foldedOnce ??= gzipSync(Buffer.alloc(32 << 20));
  return foldedOnce;
}

/** Whether a forged reply could be the vendor's own word for a write that was made. */
function saysDone(vendor: VendorName, status: number, text: string): boolean {
  if (status < 200 || status > 299) return false;
  if (vendor === 'route53')
    return /<Id>\s*(<!\[CDATA\[)?[^<\s]/.test(text) && /PENDING|INSYNC/.test(text);
  if (vendor === 'cloudflare') return /"success":\s*true/.test(text) && /"posts"/.test(text);
  // Read back after every write: what stands there must be said too.
  return text.includes(formatMarker(wanted.marker));
}

function forward(
  api: string,
  asked: IncomingMessage,
  body: Buffer,
): Promise<{ status: number; type: string; bytes: Buffer }> {
  const { hostname, port } = new URL(api);
  const { method, url, headers } = asked;
  return new Promise((resolve, reject) => {
    const sent = request(
      { host: hostname, port, method, path: url, headers, agent: false },
      async (reply) => {
        const chunks: Buffer[] = [];
        for await (const chunk of reply) chunks.push(chunk as Buffer);
        const type = reply.headers['content-type'] ?? '';
        resolve({ status: reply.statusCode!, type, bytes: Buffer.concat(chunks) });
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

// ---------------------------------------------------------------- the emulators

async function openAccount(vendor: VendorName): Promise<Account> {
  const options = {
    address: '127.0.0.1',
    dnsAddresses: ['127.0.0.1'],
    dnsPort: 0,
    zones: [{ name: zone, records: [] }],
    quotas: 'off' as const,
    ttlMin: 60,
    propagationMs: 1,
    changeMs: 0,
  };
  const A = { env: 'A' };
  const B = { env: 'B' };
  switch (vendor) {
    case 'route53': {
      const credentials = { accessKeyId: keyId, secretAccessKey: secret };
      const lab = await startRoute53({ ...options, credentials });
      const keys = { credentials: { accessKeyId: A, secretAccessKey: B } };
      return inLab(lab, route53, (endpoint) => ({ ...keys, endpoint, zone }));
    }
    case 'cloudflare': {
      const lab = await startCloudflare({ ...options, credentials: { apiToken: secret } });
      return inLab(lab, cloudflare, (endpoint) => ({ apiToken: B, endpoint, zone }));
    }
    case 'alidns': {
      const credentials = { accessKeyId: keyId, accessKeySecret: secret };
      const lab = await startAlidns({ ...options, credentials });
      const keys = { accessKeyId: A, accessKeySecret: B };
      return inLab(lab, alidns, (endpoint) => ({ ...keys, endpoint, zone }));
    }
    case 'dnspod': {
      const credentials = { secretId: keyId, secretKey: secret };
      const lab = await startDnspod({ ...options, credentials });
      const keys = { secretId: A, secretKey: B };
      return inLab(lab, dnspod, (endpoint) => ({ ...keys, endpoint, zone }));
    }
    case 'powerdns':
      return startPowerdnsStandIn();
  }
}

function opener(row: ProviderType<unknown>, settings: (endpoint: string) => object) {
  return (endpoint: string, callTimeoutMs = callMs): Provider =>
    row.create(row.type, row.settings.parse(settings(endpoint)), {
      callTimeoutMs,
      secret: (ref) => ('env' in ref && ref.env === 'A' ? keyId : secret),
    });
}

function inLab(
  lab: LabVendor,
  row: ProviderType<unknown>,
  settings: (endpoint: string) => object,
): Account {
  const { host } = new URL(lab.api);
  const open = opener(row, settings);
  return {
    api: lab.api,
    open: (via, timeoutMs) => open(lab.api.replace(host, via), timeoutMs),
    reset() {
      for (const one of [name, ...others]) {
        lab.edit(one, 'CNAME', before.cname, before.ttl);
        lab.edit(markerName(one), 'TXT', `"${before.marker}"`, before.ttl);
        lab.edit(claimName(one), 'TXT', null);
      }
      lab.edit(fresh, 'CNAME', null);
      for (const below of [markerName(fresh), claimName(fresh)]) lab.edit(below, 'TXT', null);
    },
    close: () => lab.close(),
  };
}

/** The few calls of PowerDNS's API that the adapter makes, over one zone in memory. */
async function startPowerdnsStandIn(): Promise<Account> {
  const sets = new Map<string, { name: string; type: string; ttl: number; records: object[] }>();
  const put = (owner: string, type: string, content: string, ttl: number) =>
    sets.set(`${owner} ${type}`, {
      name: owner,
      type,
      ttl,
      records: [{ content, disabled: false }],
    });
  const server = createServer(async (asked, answer) => {
    const chunks: Buffer[] = [];
    for await (const chunk of asked) chunks.push(chunk as Buffer);
    if (asked.method === 'PATCH') {
      const { rrsets } = JSON.parse(Buffer.concat(chunks).toString()) as {
        rrsets: { name: string; type: string; ttl: number; records: { content: string }[] }[];
      };
      const isOdd = rrsets.some((s) => s.type === 'A');
      if (isOdd) return void answer.writeHead(422).end('{"error":"no address"}');
      for (const s of rrsets) put(s.name, s.type, s.records[0]!.content, s.ttl);
      return void answer.writeHead(204).end();
    }
    const query = new URL(asked.url!, 'http://x').searchParams;
    const rrsets = [...sets.values()].filter((s) => s.name === query.get('rrset_name'));
    answer.writeHead(200, { 'content-type': 'application/json' });
    answer.end(JSON.stringify({ name: zone, kind: 'Native', dnssec: false, serial: 1, rrsets }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const api = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const open = opener(powerdns, (endpoint) => ({ endpoint, apiKey: { env: 'B' }, zone }));
  return {
    api,
    open: (via, timeoutMs) => open(`http://${via}`, timeoutMs),
    reset() {
      sets.clear();
      put(zone, 'NS', 'ns1.fo.test.', 60);
      put(zone, 'SOA', 'ns1.fo.test. h.fo.test. 1 2 3 4 60', 60);
      for (const one of [name, ...others]) {
        put(one, 'CNAME', before.cname, before.ttl);
        put(markerName(one), 'TXT', `"${before.marker}"`, before.ttl);
      }
    },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
