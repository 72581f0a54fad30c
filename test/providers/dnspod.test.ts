// The DNSPod adapter against the lab's DNSPod, with lists that are far behind what was made, with
// lines, and with answers of any one call taken over: what the vendor's SDK gets wrong, and what two
// writers of one record may meet.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, beforeEach, test } from 'node:test';
import fc from 'fast-check';
import { dnspod } from '../../providers/dnspod.ts';
import { claimName, FIRST_ID } from '../../src/core/marker.ts';
import type { Change, Fault, Result, Seen } from '../../src/core/model.ts';
import type { Provider } from '../../src/kit/extend.ts';
import { SecretError } from '../../src/kit/secret.ts';
import { startDnspod } from '../../src/lab/vendors/dnspod.ts';
import type { LabVendor, VendorOptions } from '../../src/lab/vendors/vendor.ts';
import { marker, markerText, readAll, writeAll } from '../parts/answers.ts';

const ID = 'AKIDexample0123456789';
const KEY = 'exampleSecret0123456789';
const ZONE = 'example.net.';
const WWW = 'www.gslb.example.net.';
const MARK = `_detour.${WWW}`;
const DEFAULT = '默认';

type Asked = Readonly<Record<string, unknown>>;
/** Takes over one call of an action: true when it has answered, or will never. */
type Hook = (params: Asked, response: ServerResponse, nth: number) => boolean | Promise<boolean>;

/** Stands before the lab's vendor and can answer in its place. */
class Front {
  readonly hooks = new Map<string, Hook>();
  /** Every call, in order. */
  readonly asked: { readonly action: string; readonly params: Asked }[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(target: () => string) {
    this.#server = createServer((from, response) => {
      const chunks: Buffer[] = [];
      from.on('data', (chunk: Buffer) => chunks.push(chunk));
      from.on('end', async () => {
        const body = Buffer.concat(chunks);
        const action = String(from.headers['x-tc-action']);
        const params = JSON.parse(body.toString() || '{}') as Asked;
        this.asked.push({ action, params });
        const nth = this.of(action).length;
        const hook = this.hooks.get(action) ?? this.hooks.get('*');
        if (await hook?.(params, response, nth)) return;
        const { method, headers } = from;
        const passed = request(target(), { method: method!, headers }, (answer) => {
          response.writeHead(answer.statusCode!, answer.headers);
          answer.pipe(response);
        });
        passed.on('error', () => response.destroy());
        passed.end(body);
      });
    });
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  of(action: string): readonly Asked[] {
    return this.asked.filter((one) => one.action === action).map(({ params }) => params);
  }

  writes(): string[] {
    return this.asked.map(({ action }) => action).filter((a) => !a.startsWith('Describe'));
  }
}

function answer(response: ServerResponse, status: number, body: unknown, type = 'json'): true {
  response.writeHead(status, { 'content-type': `application/${type}` });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
  return true;
}

function refuse(response: ServerResponse, Code: string): true {
  return answer(response, 200, { Response: { Error: { Code, Message: 'no' }, RequestId: 'R' } });
}

let vendor: LabVendor;
let front: Front;
let base = '';
let provider: Provider;
const opened: Provider[] = [];

async function start(more: Partial<VendorOptions> = {}): Promise<void> {
  vendor = await startDnspod({
    address: '127.0.0.1',
    dnsAddresses: ['127.0.0.1'],
    dnsPort: 0,
    zones: [{ name: ZONE, records: [] }],
    quotas: 'off',
    ttlMin: 60,
    propagationMs: 1,
    // Whatever is shown late here is shown after the test has ended.
    indexLagMs: 3_600_000,
    ...more,
    credentials: { secretId: ID, secretKey: KEY },
  });
  front = new Front(() => vendor.api);
  base = await front.start();
  provider = open();
}

function open(settings: object = {}, callTimeoutMs = 5000): Provider {
  const parsed = dnspod.settings.parse({
    secretId: { env: 'ID' },
    secretKey: { env: 'KEY' },
    zone: 'example.net',
    endpoint: base,
    ...settings,
  });
  const secrets: Record<string, string> = { ID, KEY, WRONG: 'not-the-secret', EMPTY: '' };
  const made = dnspod.create('dp', parsed, {
    secret: (ref) => secrets[(ref as { env: string }).env]!,
    callTimeoutMs,
  });
  opened.push(made);
  return made;
}

beforeEach(() => start());
afterEach(async () => {
  for (const made of opened.splice(0)) made.close();
  await front.close();
  await vendor.close();
});

async function again(more: Partial<VendorOptions>): Promise<void> {
  for (const made of opened.splice(0)) made.close();
  await front.close();
  await vendor.close();
  await start(more);
}

const never = (): AbortSignal => new AbortController().signal;
const sign = (epoch: number, id = `id${epoch}`) => markerText(epoch, { id });

async function see(by = provider): Promise<Seen> {
  const read = await readAll(by, [WWW], never());
  assert.ok(read.ok, JSON.stringify(read));
  return read.value[WWW]!;
}

interface More {
  readonly id?: string;
  readonly ttl?: number;
  readonly lines?: readonly string[];
}

function change(from: Seen, cname: string, epoch: number, { id, ttl = 600, lines }: More = {}) {
  const to = { cname, ttl, marker: marker(epoch, id === undefined ? {} : { id }) };
  return { name: WWW, from, to: lines === undefined ? to : { ...to, lines } } satisfies Change;
}

async function put(c: Change, by = provider): Promise<Result<null>> {
  return (await writeAll(by, [c], never()))[0]!;
}

function faultOf(result: Result<unknown>): Fault {
  assert.ok(!result.ok, 'it should have failed');
  const shown = JSON.stringify(result.fault);
  assert.ok(!shown.includes(ID) && !shown.includes(KEY), `a secret in ${shown}`);
  return result.fault;
}

/** `www` on a., marked with epoch 4; a person made them long ago. */
function stands(lines: readonly string[] = []): void {
  vendor.edit(WWW, 'CNAME', 'a.example.com.', 600);
  for (const line of lines) vendor.edit(WWW, 'CNAME', 'a.example.com.', 600, { line });
  vendor.edit(MARK, 'TXT', sign(4), 600);
}

/** As the account holds it, whatever its lists show. */
async function rows(name: string): Promise<string[]> {
  const { cnames, markers } = await see(open());
  const values = cnames.map(({ value, ttl, line = DEFAULT }) => `${line} ${value} ${ttl}`);
  return name === WWW ? values.toSorted() : [...markers];
}

// ---------------------------------------------------------------- one writer

test('a CNAME is changed in place, then the marker, and the claim goes', async () => {
  stands();
  const from = await see();
  assert.deepEqual(from.cnames, [{ value: 'a.example.com.', ttl: 600 }]);
  front.asked.length = 0;
  assert.deepEqual(await put(change(from, 'b.example.com.', 5)), { ok: true, value: null });
  assert.deepEqual(front.writes(), [
    'CreateRecord',
    'ModifyRecord',
    'ModifyRecord',
    'DeleteRecord',
  ]);
  const [claim] = front.of('CreateRecord');
  assert.deepEqual(
    [claim!['SubDomain'], claim!['Remark']],
    ['_detour-epoch.www.gslb', 'epoch=5 id=id5'],
  );
  for (const params of [...front.of('ModifyRecord'), claim!]) {
    // What is left out falls back to `@` and to what the vendor likes.
    for (const key of ['SubDomain', 'RecordLine', 'RecordLineId', 'TTL']) assert.ok(key in params);
    assert.ok(!('Remark' in params) || params === claim, 'somebody’s remark is left alone');
  }
  assert.deepEqual(await rows(WWW), [`${DEFAULT} b.example.com. 600`]);
  assert.ok(front.asked.length <= dnspod.capabilities.callsMax);
});

test('in a crowd a change is its claim and its CNAME; the marker comes after, under that claim', async () => {
  await again({ indexLagMs: 0 });
  stands();
  const from = await see();
  front.asked.length = 0;
  assert.ok((await put({ ...change(from, 'b.example.com.', 5), settle: 'later' })).ok);
  assert.deepEqual(front.writes(), ['CreateRecord', 'ModifyRecord']);
  assert.equal(front.asked.length, 7, 'what the pace of the lane is reckoned by');
  const moved = await see();
  assert.deepEqual(moved.cnames, [{ value: 'b.example.com.', ttl: 600 }]);
  assert.deepEqual(moved.markers, [sign(4)]);
  // Whoever is behind finds the claim.
  const late = change(moved, 'c.example.com.', 4, { id: 'late' });
  assert.equal(faultOf(await put(late, open())).kind, 'conflict');
  front.asked.length = 0;
  assert.ok((await put(change(moved, 'b.example.com.', 5))).ok);
  assert.deepEqual(front.writes(), ['ModifyRecord', 'DeleteRecord']);
  assert.deepEqual((await see()).markers, [sign(5)]);
  assert.equal(vendor.zone(ZONE).get(claimName(WWW), 'TXT'), null);
});

test('a marker that was to follow is written after a restart; a next switch goes past it', async () => {
  await again({ indexLagMs: 0 });
  stands();
  for (const [cname, epoch] of [
    ['b.example.com.', 5],
    ['c.example.com.', 6],
  ] as const) {
    const [died, by] = [open(), open()];
    const first = change(await see(), 'b.example.com.', 5);
    assert.ok((await put({ ...first, settle: 'later' }, died)).ok);
    assert.ok((await put(change(await see(by), cname, epoch), by)).ok);
    assert.deepEqual((await see()).markers, [sign(epoch)]);
    assert.equal(vendor.zone(ZONE).get(claimName(WWW), 'TXT'), null);
    stands();
  }
});

test('what was made here is read back though no list shows it, and is moved in place', async () => {
  const from = await see();
  assert.deepEqual(from, { cnames: [], markers: [], ttlMin: 60, refusal: null, ref: null });
  assert.ok((await put(change(from, 'b.example.com.', 1))).ok);
  const seen = await see();
  assert.deepEqual(seen.cnames, [{ value: 'b.example.com.', ttl: 600 }]);
  assert.deepEqual(seen.markers, [sign(1)]);
  front.asked.length = 0;
  assert.ok((await put(change(seen, 'c.example.com.', 2))).ok);
  assert.equal(front.of('CreateRecord').length, 1, 'the claim alone');
  assert.deepEqual((await see()).cnames, [{ value: 'c.example.com.', ttl: 600 }]);
  // Many names are listed; these two are not in the list, and are read all the same.
  const many = [WWW, ...['p', 'q', 'r', 's'].map((n) => `${n}.example.net.`)];
  const read = await readAll(provider, many, never());
  assert.deepEqual(read.ok && read.value[WWW]?.markers, [sign(2)]);
});

test('who sees nothing in the lists makes nothing that another one has just made', async () => {
  const from = await see();
  assert.ok((await put(change(from, 'b.example.com.', 1))).ok);
  const other = open();
  const blind = await see(other);
  assert.deepEqual([blind.cnames, blind.markers], [[], []], 'the list is behind');
  for (const epoch of [1, 7]) {
    const told = faultOf(await put(change(blind, 'c.example.com.', epoch, { id: 'z' }), other));
    assert.equal(told.kind, 'unavailable');
    assert.match(told.detail, /claimed a moment ago/);
  }
  assert.deepEqual((await see()).cnames, [{ value: 'b.example.com.', ttl: 600 }]);
});

test('where the claim is shown and what was made under it not, a higher epoch waits, too', async () => {
  await again({ indexLagMs: 0 });
  assert.ok((await put(change(await see(), 'b.example.com.', 1))).ok);
  const other = open();
  front.hooks.set('DescribeRecordList', ({ Subdomain }, response) => {
    const isClaim = String(Subdomain).startsWith('_detour-epoch');
    return isClaim ? false : refuse(response, 'ResourceNotFound.NoDataOfRecord');
  });
  const blind = await see(other);
  assert.deepEqual(blind.cnames, []);
  const told = faultOf(await put(change(blind, 'c.example.com.', 7, { id: 'z' }), other));
  assert.equal(told.kind, 'conflict');
  front.hooks.clear();
  assert.deepEqual((await see()).cnames, [{ value: 'b.example.com.', ttl: 600 }]);
});

test('a claim whose reply was lost is nobody’s until the list shows whose', async () => {
  await again({ indexLagMs: 0 });
  stands();
  const from = await see();
  vendor.fault('lost-reply', { times: 1, operations: ['CreateRecord'] });
  assert.equal(faultOf(await put(change(from, 'b.example.com.', 5))).kind, 'uncertain');
  assert.deepEqual(await rows(WWW), [`${DEFAULT} a.example.com. 600`]);
  assert.ok((await put(change(from, 'b.example.com.', 5))).ok, 'it knows its own');
  assert.deepEqual(await rows(WWW), [`${DEFAULT} b.example.com. 600`]);
});

for (const nth of [1, 2]) {
  test(`the reply to change ${nth} is lost: uncertain, and the same switch gets through`, async () => {
    stands();
    const from = await see();
    let count = 0;
    front.hooks.set('ModifyRecord', (_, response) => {
      if (++count !== nth) return false;
      front.hooks.delete('ModifyRecord');
      vendor.fault('lost-reply', { times: 1, operations: ['ModifyRecord'] });
      void response;
      return false;
    });
    assert.equal(faultOf(await put(change(from, 'b.example.com.', 5))).kind, 'uncertain');
    assert.ok((await put(change(await see(), 'b.example.com.', 5))).ok);
    assert.deepEqual(
      [await rows(WWW), await rows(MARK)],
      [[`${DEFAULT} b.example.com. 600`], [sign(5)]],
    );
  });
}

test('an adoption writes the marker and leaves the CNAME alone, TTL and all', async () => {
  vendor.edit(WWW, 'CNAME', 'A.Example.com.', 30);
  const from = await see();
  assert.deepEqual(from.cnames, [{ value: 'a.example.com.', ttl: 30 }]);
  assert.ok((await put(change(from, 'a.example.com.', 1, { ttl: 30 }))).ok);
  assert.deepEqual(front.of('ModifyRecord'), []);
  // The plan's floor is 60: a new text keeps to it.
  assert.deepEqual(
    front.of('CreateRecord').map(({ TTL }) => TTL),
    [60, 60],
  );
});

test('a plan with room for one claim more, and what is past takes it: it makes room', async () => {
  await again({ indexLagMs: 0 });
  vendor.setZone(ZONE, { grade: 'DP_FREE' });
  stands();
  const old = ['after=none', 'after=0123456789abcdef01234567'];
  vendor.edit(claimName(WWW), 'TXT', old, 600, { remark: 'epoch=2 id=old' });
  assert.ok((await put(change(await see(), 'b.example.com.', 5))).ok);
  const zone = vendor.zone(ZONE);
  assert.equal(zone.get(claimName(WWW), 'TXT')?.values.length ?? 0, 0);
  // A text that is no claim is a person's.
  vendor.edit(claimName(WWW), 'TXT', ['hello', 'after=none'], 600);
  const told = faultOf(await put(change(await see(), 'c.example.com.', 6)));
  assert.equal(told.kind, 'rejected');
  assert.equal(zone.get(claimName(WWW), 'TXT')?.values.length, 2);
});

test('what the next switch claims of the marker that was just written stays its own', async () => {
  await again({ indexLagMs: 0 });
  stands();
  const next = open();
  let marked: Seen | null = null;
  front.hooks.set('DeleteRecord', async (_, __, nth) => {
    if (nth > 1) return false;
    // One of equal epoch, which is ahead by its kind: it has seen the marker, and moves in a crowd.
    marked = await see(next);
    const ahead = change(marked, 'c.example.com.', 5, { id: 'two' });
    assert.ok((await put({ ...ahead, settle: 'later' }, next)).ok);
    return false;
  });
  assert.ok((await put(change(await see(), 'b.example.com.', 5, { id: 'one' }))).ok);
  assert.deepEqual(marked!.markers, [sign(5, 'one')]);
  const [at] = vendor.zone(ZONE).get(claimName(WWW), 'TXT')?.values ?? [];
  assert.match(at ?? '', /after=/);
  // Whoever was first sees another value under its own marker, and may not put its own back.
  const back = change(await see(), 'b.example.com.', 5, { id: 'one' });
  assert.equal(faultOf(await put(back)).kind, 'conflict');
  assert.deepEqual(await rows(WWW), [`${DEFAULT} c.example.com. 600`]);
});

test('a claim under which a CNAME was changed outlives a conflict, after a restart too', async () => {
  await again({ indexLagMs: 0 });
  for (const restarts of [false, true]) {
    stands();
    const first = change(await see(), 'b.example.com.', 6);
    assert.ok((await put({ ...first, settle: 'later' })).ok);
    const by = restarts ? open() : provider;
    // The late write of one who is behind, and another one before it could be mended.
    vendor.edit(WWW, 'CNAME', 'c.example.com.', 600);
    const from = await see(by);
    vendor.edit(WWW, 'CNAME', 'd.example.com.', 600);
    assert.equal(faultOf(await put(change(from, 'b.example.com.', 6), by)).kind, 'conflict');
    const behind = open();
    const again = change(await see(behind), 'c.example.com.', 5);
    assert.equal(faultOf(await put(again, behind)).kind, 'conflict');
    assert.deepEqual(await rows(WWW), [`${DEFAULT} d.example.com. 600`]);
    assert.ok((await put(change(await see(by), 'b.example.com.', 6), by)).ok);
    assert.equal(vendor.zone(ZONE).get(claimName(WWW), 'TXT'), null);
  }
});

// ---------------------------------------------------------------- two writers

test('a rival that has claimed what stands wins; one with a lower epoch gives way', async () => {
  await again({ indexLagMs: 0 });
  stands();
  const from = await see();
  // Its first change never comes back: the claim stands.
  front.hooks.set('ModifyRecord', (_, response) => refuse(response, 'RequestLimitExceeded'));
  assert.equal(
    faultOf(await put(change(from, 'b.example.com.', 5, { id: 'one' }))).kind,
    'throttled',
  );
  front.hooks.clear();
  const other = open();
  const lost = faultOf(await put(change(from, 'c.example.com.', 5, { id: 'two' }), other));
  assert.equal(lost.kind, 'conflict');
  assert.match(lost.cure ?? '', /delete its text/);
  assert.ok((await put(change(from, 'c.example.com.', 1005, { id: 'three' }), other)).ok);
  assert.deepEqual(await rows(WWW), [`${DEFAULT} c.example.com. 600`]);
  assert.equal(
    faultOf(await put(change(from, 'b.example.com.', 5, { id: 'one' }))).kind,
    'conflict',
  );
  assert.deepEqual(await rows(WWW), [`${DEFAULT} c.example.com. 600`]);
});

test('a claim that another one took over in the middle of a write is noticed', async () => {
  await again({ indexLagMs: 0 });
  stands();
  const from = await see();
  const other = open();
  front.hooks.set('ModifyRecord', async (_, __, nth) => {
    if (nth === 1) {
      assert.ok((await put(change(from, 'c.example.com.', 9, { id: 'two' }), other)).ok);
    }
    return false;
  });
  const told = faultOf(await put(change(from, 'b.example.com.', 5, { id: 'one' })));
  assert.equal(told.kind, 'uncertain');
});

for (const isFirst of [false, true]) {
  const who = isFirst ? 'first writers' : 'writers';
  test(`of two ${who} at once, never do both think they have won`, async () => {
    await again({ indexLagMs: 0 });
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), async (s) => {
        vendor.removeZone(ZONE);
        vendor.addZone({ name: ZONE, records: [] });
        if (isFirst) vendor.edit(WWW, 'CNAME', 'a.example.com.', 600);
        else stands();
        const [one, two] = [open(), open()];
        const from = await see(one);
        await see(two);
        // Each call of each writer is passed on when the scheduler says so.
        const gate = s.scheduleFunction(async () => false);
        front.hooks.set('*', () => gate());
        const move = (cname: string, id: string) => {
          const wanted = change(from, cname, isFirst ? 1 : 5, { id: isFirst ? FIRST_ID : id });
          const target = isFirst ? id : wanted.to.marker.target;
          return { ...wanted, to: { ...wanted.to, marker: { ...wanted.to.marker, target } } };
        };
        const both = Promise.all([
          put(move('b.example.com.', 'left'), one),
          put(move('c.example.com.', 'right'), two),
        ]);
        const [left, right] = await s.waitFor(both);
        front.hooks.clear();
        assert.ok(!(left!.ok && right!.ok), 'both think they have won');
        assert.equal((await see()).cnames.length, 1);
        for (const made of [one, two]) made.close();
      }),
      { numRuns: 12 },
    );
  });
}

// ---------------------------------------------------------------- lines

const three = [DEFAULT, '电信', '境外'];
/** `HALVES=1000 node --test test/providers/dnspod.test.ts` looks at more. */
const halves = Number(process.env['HALVES'] ?? 20);

test('every line is read, and all move to one target, the default one first', async () => {
  stands(['电信', '境外']);
  const from = await see();
  const shown = from.cnames.map(({ line }) => line ?? DEFAULT).toSorted();
  assert.deepEqual([shown, from.refusal], [three.toSorted(), null]);
  front.asked.length = 0;
  assert.ok((await put(change(from, 'b.example.com.', 5, { lines: three }))).ok);
  const moved = front
    .of('ModifyRecord')
    .map(({ RecordLine, RecordType }) => [RecordLine, RecordType]);
  assert.deepEqual(moved, [...three.map((line) => [line, 'CNAME']), [DEFAULT, 'TXT']]);
  assert.deepEqual(await rows(WWW), three.map((line) => `${line} b.example.com. 600`).toSorted());
});

test('a line that is wanted and stands nowhere is made, by the id that the plan gives it', async () => {
  stands();
  const lines = ['default', '移动', '东北'];
  assert.ok((await put(change(await see(), 'b.example.com.', 5, { lines }))).ok);
  const made = front.of('CreateRecord').filter(({ RecordType }) => RecordType === 'CNAME');
  assert.deepEqual(
    made.map(({ RecordLine, RecordLineId }) => [RecordLine, RecordLineId]),
    [
      ['移动', '10=3'],
      ['东北', '15=1'],
    ],
  );
  assert.equal((await see()).cnames.length, 3);
});

test('a line that stands there and is not listed is refused with the cure, before anything', async () => {
  stands(['电信']);
  const from = await see();
  front.asked.length = 0;
  for (const lines of [undefined, [DEFAULT, '境外']]) {
    const more = lines === undefined ? {} : { lines };
    const told = faultOf(await put(change(from, 'b.example.com.', 5, more)));
    assert.equal(told.kind, 'rejected');
    assert.match(told.detail, /on the line 电信/);
    assert.match(told.cure ?? '', /add 电信/);
  }
  assert.deepEqual(front.asked, []);
});

test('a line that the plan does not have is refused, with some that it has', async () => {
  stands();
  const lines = [DEFAULT, '火星'];
  const told = faultOf(await put(change(await see(), 'b.example.com.', 5, { lines })));
  assert.equal(told.kind, 'rejected');
  assert.match(told.cure ?? '', /电信, 联通/);
  assert.deepEqual(front.writes(), []);
});

test('a set written by halves is read as it stands, and the next write completes it', async () => {
  for (const [at, isMade] of [
    [2, false],
    [3, false],
    [2, true],
  ] as const) {
    await again({});
    stands(isMade ? [] : ['电信', '境外']);
    const from = await see();
    const kind = isMade ? 'CreateRecord' : 'ModifyRecord';
    front.hooks.set(kind, (_, response, nth) =>
      nth === at ? refuse(response, 'RequestLimitExceeded') : false,
    );
    const half = faultOf(await put(change(from, 'b.example.com.', 5, { lines: three })));
    assert.equal(half.kind, 'uncertain', half.detail);
    front.hooks.clear();
    const seen = await see();
    assert.deepEqual(seen.markers, [sign(4)], 'the marker comes last');
    assert.equal(seen.cnames.find(({ line }) => line === undefined)?.value, 'b.example.com.');
    assert.ok((await put(change(seen, 'b.example.com.', 5, { lines: three }))).ok);
    const after = await see();
    assert.ok(after.cnames.every(({ value }) => value === 'b.example.com.'));
    assert.deepEqual([after.cnames.length, after.markers], [3, [sign(5)]]);
  }
});

test('half-written sets of every shape: none is left behind, none is empty', async () => {
  const states = fc.array(fc.constantFrom('a', 'b', 'none'), { minLength: 2, maxLength: 2 });
  await fc.assert(
    fc.asyncProperty(states, fc.nat(12), fc.boolean(), async (others, failAt, isLost) => {
      vendor.removeZone(ZONE);
      vendor.addZone({ name: ZONE, records: [] });
      stands();
      for (const [i, state] of others.entries()) {
        const line = three[i + 1]!;
        if (state !== 'none') vendor.edit(WWW, 'CNAME', `${state}.example.com.`, 600, { line });
      }
      const by = open();
      let calls = 0;
      front.hooks.set('*', (_, response) => {
        if (calls++ !== failAt) return false;
        if (isLost) response.destroy();
        else refuse(response, 'InternalError');
        return true;
      });
      for (let tries = 0; ; tries++) {
        assert.ok(tries < 5, 'it never gets through');
        const read = await readAll(by, [WWW], never());
        if (!read.ok) continue;
        const seen = read.value[WWW]!;
        assert.ok(seen.cnames.length > 0, 'never empty');
        const done = await put(change(seen, 'b.example.com.', 5, { lines: three }), by);
        if (done.ok) break;
      }
      front.hooks.clear();
      const after = await see(by);
      assert.deepEqual(
        after.cnames.map(({ value }) => value),
        Array(3).fill('b.example.com.'),
      );
      assert.deepEqual(after.markers, [sign(5)]);
      by.close();
    }),
    { numRuns: halves },
  );
});

// ---------------------------------------------------------------- what is refused

const refusals: readonly [word: string, what: string, setUp: () => void][] = [
  ['line', 'a marker on a line', () => vendor.edit(MARK, 'TXT', sign(4), 600, { line: '电信' })],
  ['other-type', 'an address', () => vendor.edit(WWW, 'A', '192.0.2.1', 600)],
  [
    'other-type',
    'an address on a line',
    () => vendor.edit(WWW, 'A', '192.0.2.1', 600, { line: '电信' }),
  ],
  [
    'disabled',
    'a pause, of any line',
    () => vendor.edit(WWW, 'CNAME', 'a.example.com.', 600, { line: '电信', status: 'DISABLE' }),
  ],
  [
    'weighted',
    'a second CNAME on a line',
    () => vendor.edit(WWW, 'CNAME', ['x.example.com.', 'y.example.com.'], 600, { line: '电信' }),
  ],
  ['weighted', 'a weight', () => vendor.edit(WWW, 'CNAME', 'a.example.com.', 600, { weight: 5 })],
  [
    'health-check',
    'a monitor of the vendor’s',
    () => vendor.edit(WWW, 'CNAME', 'a.example.com.', 600, { monitorStatus: 'Warn' }),
  ],
];

for (const [word, what, setUp] of refusals) {
  test(`${what} is refused as ${word}, before and while writing`, async () => {
    stands();
    const from = await see();
    setUp();
    const seen = await see();
    assert.equal(seen.refusal?.word, word);
    assert.equal(faultOf(await put(change(seen, 'b.example.com.', 5))).kind, 'rejected');
    assert.equal(faultOf(await put(change(from, 'b.example.com.', 5))).kind, 'conflict');
    assert.ok((await see()).cnames.every(({ value }) => value !== 'b.example.com.'));
  });
}

test('a TTL under the floor of the plan is rejected with the cure, until the plan is another', async () => {
  stands();
  const from = await see();
  const told = faultOf(await put(change(from, 'b.example.com.', 5, { ttl: 30 })));
  assert.deepEqual([told.kind, /ttl of 60/.test(told.cure ?? '')], ['rejected', true]);
  await again({});
  stands();
  front.hooks.set('DescribePackageDetail', (_, response) => refuse(response, 'InternalError'));
  const facts = await provider.zone(WWW, never());
  assert.ok(facts.ok && facts.value.ttlMin === null);
  assert.match(facts.value.warnings.join(), /could not be read/);
  // The vendor says it where nobody else does.
  const refused = faultOf(await put(change(await see(), 'b.example.com.', 5, { ttl: 30 })));
  assert.match(refused.detail, /RecordTtlLimit/);
});

// ---------------------------------------------------------------- what the SDK gets wrong

test('an empty list is no error, and a page that is not the whole is refused', async () => {
  stands();
  front.hooks.set('DescribeRecordList', (_, response) =>
    refuse(response, 'ResourceNotFound.NoDataOfRecord'),
  );
  assert.deepEqual((await see()).cnames, []);
  const row = { RecordId: 1, Name: 'www.gslb', Type: 'CNAME', Value: 'a.example.com.', TTL: 600 };
  front.hooks.set('DescribeRecordList', (_, response) =>
    answer(response, 200, {
      Response: {
        RequestId: 'R',
        RecordCountInfo: { TotalCount: 101 },
        RecordList: [{ ...row, Line: DEFAULT, LineId: '0', Status: 'ENABLE' }],
      },
    }),
  );
  assert.equal((await see()).refusal?.word, 'other-type');
});

test('nobody listening is unavailable, a connection that is cut in a write uncertain', async () => {
  stands();
  const from = await see();
  front.hooks.set('CreateRecord', (_, response) => {
    response.socket!.resetAndDestroy();
    return true;
  });
  const cut = faultOf(await put(change(from, 'b.example.com.', 5)));
  assert.match(`${cut.kind} ${cut.detail}`, /^uncertain .*ECONNRESET/);
  await front.close();
  const gone = faultOf(await put(change(from, 'b.example.com.', 5), open()));
  assert.match(`${gone.kind} ${gone.detail}`, /^unavailable .*ECONNREFUSED/);
});

test('a redirect is not followed, and an answer without end is cut off', async () => {
  stands();
  const other = createServer((_, response) =>
    answer(response, 200, { Response: { RequestId: 'R' } }),
  );
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  let followed = 0;
  other.on('request', () => followed++);
  const { port } = other.address() as AddressInfo;
  front.hooks.set('*', (_, response) => {
    response.writeHead(302, { location: `http://127.0.0.1:${port}/` }).end();
    return true;
  });
  const told = faultOf(await readAll(provider, [WWW], never()));
  assert.deepEqual([told.kind, followed], ['unavailable', 0]);
  other.close();
  front.hooks.set('*', (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const more = () => {
      while (response.writable && response.write('x'.repeat(65_536)));
    };
    response.on('drain', more);
    response.on('error', () => {});
    more();
    return true;
  });
  const began = performance.now();
  assert.equal(faultOf(await readAll(open({}, 20_000), [WWW], never())).kind, 'unavailable');
  assert.ok(performance.now() - began < 15_000, 'it is not gathered until the time is over');
});

test('no answer of any shape is a success or makes it throw', async () => {
  stands();
  const from = await see();
  await fc.assert(
    fc.asyncProperty(fc.jsonValue(), fc.constantFrom(200, 400, 500), async (body, status) => {
      front.hooks.set('CreateRecord', (_, r) => answer(r, status, { Response: body }));
      assert.equal((await put(change(from, 'b.example.com.', 5))).ok, false);
      front.hooks.set('DescribeRecordList', (_, r) =>
        answer(r, status, { Response: { RequestId: 'R', RecordList: body } }),
      );
      assert.equal((await readAll(provider, [WWW], never())).ok, false);
      front.hooks.clear();
    }),
    { numRuns: 20 },
  );
});

test('the zone tells its servers and floor; an account of the other site is one that has none', async () => {
  const facts = await provider.zone(WWW, never());
  assert.deepEqual(facts, {
    ok: true,
    value: { zone: ZONE, nameServers: ['ns1.dnspod.test'], ttlMin: 60, warnings: [] },
  });
  const lost = faultOf(await open({ zone: 'other.example' }).zone('www.other.example.', never()));
  assert.deepEqual([lost.kind, /site/.test(lost.cure ?? '')], ['rejected', false]);
  vendor.setZone(ZONE, { status: 'SPAM' });
  const blocked = open();
  stands();
  assert.equal((await see(blocked)).refusal?.word, 'blocked');
  vendor.setZone(ZONE, { status: 'ENABLE' });
  assert.equal((await see(blocked)).refusal, null, 'blocks are lifted');
});

test('keys: static and temporary ones, and none that would be sent as nothing', async () => {
  assert.deepEqual(provider.key?.(), { kind: 'static', needs: [], untilAt: null, why: null });
  const temporary = open({ token: { env: 'KEY' } });
  assert.equal(temporary.key?.().kind, 'session-token');
  const told = faultOf(await temporary.zone(WWW, never()));
  assert.match(`${told.kind} ${told.detail}`, /^auth-suspect .*TokenFailure/);
  assert.match(
    faultOf(await open({ secretKey: { env: 'WRONG' } }).zone(WWW, never())).detail,
    /SignatureFailure/,
  );
  for (const settings of [{ secretId: { env: 'EMPTY' } }, { token: { env: 'EMPTY' } }]) {
    assert.throws(() => open(settings), SecretError);
  }
});

test('settings: the endpoint of each site, https unless this machine, no secret written out', () => {
  const good = { secretId: { env: 'A' }, secretKey: { file: '/x' } };
  const parse = (settings: object) => dnspod.settings.parse(settings).endpoint;
  assert.equal(parse(good), 'https://dnspod.tencentcloudapi.com');
  assert.equal(parse({ ...good, site: 'intl' }), 'https://dnspod.intl.tencentcloudapi.com');
  for (const bad of [
    { ...good, endpoint: 'http://dnspod.tencentcloudapi.com' },
    { ...good, secretKey: 'written out' },
    { ...good, site: 'us' },
    { ...good, region: 'ap-guangzhou' },
    { secretId: { env: 'A' } },
  ]) {
    assert.equal(dnspod.settings.safeParse(bad).success, false, JSON.stringify(bad));
  }
});
