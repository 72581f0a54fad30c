// Every command as a user types it: against the real control socket in front of a stand-in desk, or
// against hands that note what they were asked. What is printed, where, and with which exit code.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import type { InitOrder, InitReport, ReportOrder } from '../../src/cli/hands.ts';
import { type DirectOrder, type Hands, type Io, type Looked, runCli } from '../../src/cli/index.ts';
import { age, clean, printStatus, span } from '../../src/cli/print.ts';
import type { StayReason } from '../../src/core/model.ts';
import { serveControl } from '../../src/serve/control.ts';
import type { Served } from '../../src/serve/desk.ts';
import { Readers } from '../../src/serve/readers.ts';
import { at, provider, record, type StandIn, sampleView, standIn, wall } from './desk.ts';

let directory: string;
let socket: string;
let desk: StandIn;
let served: Served;
let asked: unknown[];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'detour-'));
  socket = join(directory, 'control.sock');
  desk = standIn();
  asked = [];
  served = await serveControl({
    path: socket,
    desk,
    readers: new Readers(),
    trouble: () => undefined,
  });
});

afterEach(async () => {
  await served.close();
  rmSync(directory, { recursive: true, force: true });
});

const hands: Hands = {
  version: '1.2.3',
  async run(configPath, options) {
    asked.push(['run', configPath, options]);
    return 0;
  },
  async validate(configPath, { byName, replica }) {
    asked.push(['validate', configPath, byName, ...named(replica)]);
    return { problems: [], warnings: [] };
  },
  async texts(configPath) {
    return { file: configPath, text: 'a: 1', included: {} };
  },
  async installService(dryRun) {
    asked.push(['installService', dryRun]);
    return { exit: 0, message: 'done' };
  },
  async makeKey(path) {
    asked.push(['makeKey', path]);
    return { exit: 0, message: `${path} holds a key` };
  },
  async init(order) {
    asked.push(['init', order]);
    return looking;
  },
  async jsonSchema() {
    return { type: 'object' };
  },
  async delegate(order, about) {
    asked.push(['delegate', order, about]);
    return { exit: 3, message: 'the apex at cf is as it was' };
  },
  async direct(order: DirectOrder, tell) {
    asked.push(['direct', order]);
    tell('cf  written  200 ms');
    return { exit: 3, message: 'r53 did not follow' };
  },
  async report(order) {
    asked.push(['report', order]);
    return { text: 'reported\n', json: { month: '2023-11' } };
  },
  async channels(configPath, replica) {
    asked.push(['channels', configPath, ...named(replica)]);
    const rule = { severity: ['page', 'warn'], records: ['*.shop'], quietMs: 60_000 } as const;
    return [{ name: 'chat', type: 'webhook', ...rule }];
  },
  async tryChannels(configPath, name, replica) {
    asked.push(['tryChannels', configPath, name, ...named(replica)]);
    const told = { channel: 'chat', state: 'open', ms: 12, why: null } as const;
    return [told, { ...told, state: 'closed', why: 'status 500' }];
  },
  async simulate(order) {
    asked.push(['simulate', order]);
    return { json: [], text: () => 'replayed\n', html: null };
  },
  async audit(configPath, replica) {
    asked.push(['audit', configPath, ...named(replica)]);
    return { exit: 2, message: `${configPath}: ENOENT` };
  },
  async probe(configPath, what, replica) {
    asked.push(['probe', configPath, what, ...named(replica)]);
    return [looked('pass'), looked('fail')];
  },
  async drill(configPath, check, replica) {
    asked.push(['drill', configPath, check, ...named(replica)]);
    return [{ ...looked(check.startsWith('tame') ? 'pass' : 'fail'), check }];
  },
  async breakGlass(configPath, wanted, replica) {
    asked.push(['breakGlass', configPath, wanted, ...named(replica)]);
    const steps = [{ text: 'In <the> console.' }, { text: 'Or so.', shell: 'ask www.\n  & go' }];
    const vendors = [{ provider: 'cf', title: 'Cloudflare', ttl: 60, steps }];
    const moves = [{ target: 'tokyo', cname: 'nrt.shop.example.', vendors }];
    return { cluster: 'shop', records: [{ record: 'www.gslb.example.net.', moves }] };
  },
  async lab(argv) {
    asked.push(['lab', argv]);
    return 0;
  },
};

const looking: InitReport = {
  exit: 3,
  message: 'detour.yaml: one thing is still missing',
  tookMs: 1234,
  asked: { names: ['www.shop.example.'], providers: ['cf', 'r53'], tries: true },
  names: [
    {
      typed: 'www.shop.example.',
      record: 'www.gslb.example.net.',
      takenFor: 'public-name',
      why: 'it leads there',
      chain: ['www.shop.example.', 'www.gslb.example.net.'],
    },
  ],
  seen: [
    {
      record: 'www.gslb.example.net.',
      provider: 'cf',
      state: 'found',
      zone: 'gslb.example.net.',
      values: [{ value: 'hz.shop.example.', ttl: 60 }],
      sentence: 'CNAME hz.shop.example. (TTL 60 s)\u001b[31m',
    },
  ],
  delegation: [{ zone: 'gslb.example.net.', names: ['ns1.cf.example.'], detail: '' }],
  findings: [],
  written: [{ file: '/x/detour.yaml', what: 'the configuration' }],
  missing: [{ what: 'a second target', cure: 'give it' }],
  look: [],
  next: ['detour validate -c /x/detour.yaml'],
};

const named = (replica: string | null) => (replica === null ? [] : [replica]);

function looked(outcome: Looked['outcome']): Looked {
  const [reason, detail] = ['status', 'status 503\u001b[31m'];
  return { check: 'hangzhou/web', path: 'line-a', outcome, reason, detail, ms: 12 };
}

interface Ran {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

type More = Partial<Io> & { readonly hands?: Partial<Hands>; readonly onOut?: () => void };

async function run(argv: readonly string[], more: More = {}): Promise<Ran> {
  let out = '';
  let err = '';
  let set: number | undefined;
  const io: Io = {
    out(text) {
      out += text;
      more.onOut?.();
    },
    err(text) {
      err += text;
    },
    exit(code) {
      set = code;
    },
    env: { DETOUR_SOCKET: socket },
    user: 'ann',
    terminal: false,
    interactive: false,
    colour: false,
    columns: () => 100,
    rows: () => 40,
    confirm: async () => assert.fail('nobody is there to ask'),
    interrupted: () => () => undefined,
    ...more,
  };
  const exit = await runCli(argv, { ...hands, ...more.hands }, io);
  assert.equal(set ?? 0, exit, 'the code is set on the process too');
  return { exit, out, err };
}

/** The one document that a command printed, without the version it bears. */
function documentOf(out: string) {
  const { version, ...document } = JSON.parse(out);
  assert.equal(version, 1);
  return document;
}

const full = { form: 'full', of: 1 } as const;
const www = 'www.gslb.example.net';
const orderSwitch = ['switch', www, 'tokyo', '--reason', 'storage fails'];

// ---------------------------------------------------------------- status

const golden = `\
cluster shop  detour 0.1.0  2026-01-02 03:04:05Z  ready
  drained    tokyo by ann for 12m: kernel update
  stuck      lane r53: status 503 from the API

www.gslb.example.net  steer  epoch 7
  target   hangzhou (hz.shop.example), decided 3h 12m ago (auto)
  stays    target-up: hangzhou is up and preferred
  budget   1 of 3 automatic switches used this hour
   TARGET    HEALTH       FOR     CNAME
>  hangzhou  up           2h 5m   hz.shop.example
   tokyo     up, drained  1m 35s  nrt.shop.example
  PROVIDER  STAGE    SERVES    EPOCH  SERVERS  WRITTEN  VISIBLE  SEEN
  cf        visible  hangzhou      7      4/4   312 ms    1.2 s  dns 3s ago
  r53       lagging  tokyo         6      0/4        -        -  dns 3s ago
  ! r53: stuck for 5 minutes: the API answers 503; nothing to do but wait, or move the NS

ORIGIN    CLOUD   REGION       HEALTH       FOR     CHECKS
hangzhou  aliyun  cn-hangzhou  up           2h 5m   web: line-a up, line-b down
tokyo     aws     -            up, drained  1m 35s  web: line-a up
  ! hangzhou/web by line-b: timeout, no answer within 2 s

LANE  TYPE        STATE  FOR  PENDING  RETRY  DETAIL
cf    cloudflare  ok     1d         0  -
r53   route53     stuck  5m         1  in 2s  status 503 from the API
`;

test('status of a record shows what is served where and why', async () => {
  const { exit, out, err } = await run(['status', www]);
  assert.equal(out, golden);
  assert.deepEqual([exit, err], [0, '']);
});

test('a pin shows beside the real health of its target, with the other worries', () => {
  const view = {
    ...sampleView(),
    ready: { ok: false, reasons: ['the store cannot commit'] },
    freeze: { reason: 'zone moves', by: 'bo', sinceAt: at - 60_000, untilAt: at + 120_000 },
    reload: { ok: false, at: at - 5000, errors: 2 },
    drains: [],
    origins: [],
    lanes: [],
    records: [
      record({
        mode: 'observe',
        switching: true,
        retired: true,
        switchKind: null,
        pin: {
          target: 'tokyo',
          reason: 'until the vendor answers',
          by: 'ann',
          sinceAt: at,
          untilAt: at + 4_800_000,
        },
        targets: [
          {
            ...record().targets[1]!,
            ...({ health: 'down', drained: false } as const),
            flaw: { word: 'unfit', why: 'a block page answers' },
          },
        ],
        earliestBenefitAt: at + 70_000,
        leftBehind: { share: 0.5, sentence: 'about 50 % still get the old answer', cure: 'wait' },
        cachesExpiredAt: at + 40_000,
        budget: { used: 3, limit: 3, spent: true },
        needless: 0,
        providers: [provider('cf', { cname: null, seenAt: null, seenBy: null })],
      }),
    ],
  };
  const text = printStatus(view, { columns: 100, colour: false }, full);
  assert.equal(
    text,
    `\
cluster shop  detour 0.1.0  2026-01-02 03:04:05Z  NOT READY
  frozen     by bo for 1m, 2m left: zone moves
  not-ready  the store cannot commit
  reload     refused, 2 errors; the configuration before it holds

www.gslb.example.net  observe: decided and journalled, never written  epoch 7  switching
  target   would be hangzhou (hz.shop.example), decided 3h 12m ago; nothing is written: see SERVES
  stays    target-up: hangzhou is up and preferred
  pin      tokyo  now down  by ann, 1h 20m left: until the vendor answers
  move     could help clients from 2026-01-02 03:05:15Z, in 1m 10s
  behind   about 50 % still get the old answer; wait
  caches   the last may hold the old answer for 40s more
  budget   3 of 3 automatic switches used this hour, spent
  TARGET  HEALTH  FOR     CNAME
  tokyo   down    1m 35s  nrt.shop.example
  ! tokyo: cannot serve the public names: a block page answers
  PROVIDER  STAGE    SERVES   EPOCH  SERVERS  WRITTEN  VISIBLE  SEEN
  cf        visible  nothing      7      4/4   312 ms    1.2 s  never
`,
  );
});

test('an origin that answers 429 is named with what that costs', () => {
  const view = sampleView();
  const wide = { columns: 100, colour: false };
  const limited = { perSecond: 1.5, sinceAt: view.at - 60_000, pausedUntil: null };
  const [hangzhou, ...others] = view.origins;
  const shown = (pausedUntil: number | null) => {
    const rate = { perSecond: 0.6, detectionMs: 9_000, usualMs: 3_167 };
    const slow = { ...hangzhou!, rate: { ...rate, limited: { ...limited, pausedUntil } } };
    const seen = { ...view, origins: [slow, ...others] };
    const forms = [full, { ...full, form: 'wide' as const }];
    return forms.map((form) => printStatus(seen, wide, form).replace(/\s+/g, ' '));
  };
  const cost = 'an outage is seen within 9 s instead of 3.2 s';
  const says = 'hangzhou: it says that it is asked too often:';
  for (const text of shown(null)) {
    assert.ok(text.includes(`${says} asked 0.6 times a second, at most 1.5; ${cost}`), text);
  }
  for (const text of shown(view.at + 45_000)) {
    assert.ok(text.includes(`${says} left alone for 45 s; ${cost}`), text);
  }
  assert.ok(!printStatus(view, wide, full).includes('asked too often'));
});

test('status fits 80 columns and is the same text under its colours', () => {
  const view = sampleView();
  const plain = printStatus(view, { columns: 80, colour: false }, full);
  for (const line of plain.split('\n')) assert.ok(line.length <= 80, line);
  const coloured = printStatus(view, { columns: 80, colour: true }, full);
  assert.notEqual(coloured, plain);
  assert.equal(stripVTControlCharacters(coloured), plain);
});

test('status of one record shows the origins and lanes it depends on, however it is typed', async () => {
  const other = record({ name: 'api.gslb.example.net.', targets: [], providers: [] });
  desk.view = { ...desk.view, records: [other, ...desk.view.records] };
  for (const typed of [www, `${www}.`, www.toUpperCase(), 'www', 'WWW.gslb', 'w']) {
    assert.equal((await run(['status', typed])).out, golden, typed);
  }
  const one = await run(['status', 'api']);
  assert.ok(!one.out.includes('aliyun') && !one.out.includes('cloudflare'), one.out);
  const none = await run(['status', 'nope.example.net']);
  assert.equal(none.exit, 2);
  const known = 'known: www.gslb.example.net and api.gslb.example.net';
  assert.ok(none.err.includes('there is no record "nope.example.net"'), none.err);
  assert.ok(none.err.includes(known.split(' ')[0]!), none.err);
  const near = await run(['status', 'apo.gslb.example.net']);
  assert.match(near.err, /did you mean api\.gslb\.example\.net\?/);
  desk.view = {
    ...desk.view,
    records: [...desk.view.records, record({ name: 'www.other.test.' })],
  };
  const many = await run(['status', 'www']);
  assert.equal(many.exit, 2);
  assert.match(many.err, /"www" could be www\.gslb\.example\.net or www\.other\.test/);
});

test('status --json is the view with its times as dates and its names as they are typed', async () => {
  const { out } = await run(['status', '--json']);
  const document = documentOf(out);
  assert.equal(document.time, '2026-01-02T03:04:05.000Z');
  assert.equal(document.records[0].name, www);
  assert.equal(document.records[0].cname, 'hz.shop.example');
  assert.equal(document.drains[0].sinceAt, '2026-01-02T02:52:05.000Z');
  assert.equal(document.records[0].providers[0].writtenAfterMs, 312, 'what lasts stays a number');
  assert.doesNotMatch(out, /example\.(net|com)?\./);
  assert.equal('at' in document || 'wall' in document, false, 'a time stands there once');
  assert.equal(documentOf((await run(['status', www, '--json'])).out).records.length, 1);
  const none = await run(['status', 'nope.example.net', '--json']);
  assert.deepEqual([none.exit, none.err, JSON.parse(none.out).exit], [2, '', 2]);
});

test('no text from outside moves the cursor or forges a line', async () => {
  const evil = 'ok\x1b[2J\x1b]0;x\x07\r\nwww.gslb.example.net  steer\u202e\u0085\u2028x';
  const [first] = desk.view.records;
  desk.view = {
    ...desk.view,
    cluster: evil,
    ready: { ok: false, reasons: [evil] },
    drains: [{ what: evil, reason: evil, by: evil, sinceAt: at, untilAt: null }],
    records: [
      {
        ...first!,
        stay: { reason: evil as StayReason, sentence: evil },
        providers: [provider(evil, { problem: evil, cname: evil })],
      },
    ],
    lanes: [{ ...desk.view.lanes[0]!, detail: evil }],
  };
  const { out } = await run(['status', '-o', 'full']);
  assert.doesNotMatch(out.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\u2028]/u);
  const forged = out.split('\n').filter((line) => line.startsWith(www));
  assert.equal(forged.length, 1, out);
  desk.reply = () => ({ exit: 1, message: evil });
  const { err } = await run(['ack', www]);
  assert.match(err, /^detour: ok[^\n]*\n {2}www[^\n]*\n$/);
  assert.doesNotMatch(err.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\u2028]/u);
});

test('whatever text stands in a view, nothing is lost and no line is wider than the paper', () => {
  const text = fc.array(
    fc.oneof(
      fc.string({ maxLength: 60 }),
      fc.string({ unit: 'grapheme', maxLength: 60 }),
      fc.string({ unit: fc.constantFrom('负', '载', '。'), maxLength: 60 }),
    ),
    { maxLength: 12 },
  );
  fc.assert(
    fc.property(text, fc.integer({ min: 40, max: 140 }), (list, columns) => {
      const sentence = list.join(' ');
      const view = {
        ...sampleView(),
        records: [record({ stay: { reason: 'settling', sentence }, providers: [] })],
      };
      const printed = printStatus(view, { columns, colour: false }, full);
      const flat = (t: string) => t.replace(/\s/g, '');
      assert.ok(flat(printed).includes(flat(clean(`settling: ${sentence}`))));
      const stays = printed.slice(printed.indexOf('  stays '), printed.indexOf('  budget '));
      for (const line of stays.split('\n')) {
        if (!/^[ -~负载。]*$/.test(line)) continue;
        const width = line.length + (line.match(/[负载。]/g) ?? []).length;
        assert.ok(width <= columns, `${width} > ${columns}: ${line}`);
      }
    }),
    { numRuns: 200 },
  );
});

test('ages and spans are short and never negative', () => {
  assert.deepEqual([-5, 0, 999, 61_000, 3_600_000, 90_061_000, 86_401_000].map(age), [
    '0s',
    '0s',
    '0s',
    '1m 1s',
    '1h',
    '1d 1h',
    '1d',
  ]);
  assert.deepEqual([0, 312.4, 1240, 61_000].map(span), ['0 ms', '312 ms', '1.2 s', '1m 1s']);
});

test('status --watch draws again and ends with 0 on Ctrl-C, the cursor put back', async () => {
  let interrupt = () => {};
  let frames = 0;
  const { exit, out } = await run(['status', '--watch', '-o', 'full'], {
    terminal: true,
    rows: () => 12,
    interrupted(then) {
      interrupt = then;
      return () => undefined;
    },
    onOut() {
      frames += 1;
      if (frames === 2) desk.view = { ...desk.view, cluster: 'changed' };
      if (frames === 3) interrupt();
    },
  });
  assert.equal(exit, 0);
  assert.ok(out.startsWith('\x1b[?25l'));
  assert.ok(out.endsWith('\x1b[?25h\n'));
  assert.ok(out.includes('cluster shop') && out.includes('cluster changed'));
  assert.match(out, /\(\d+ more lines: --trouble, or name a record\)/);
});

test('status --watch says that the daemon is away and goes on', async () => {
  await served.close();
  let interrupt = () => {};
  const { exit, out } = await run(['status', '--watch'], {
    interrupted(then) {
      interrupt = then;
      return () => undefined;
    },
    onOut: () => interrupt(),
  });
  assert.equal(exit, 0);
  assert.match(out, /^no daemon: there is no socket/);
});

// ---------------------------------------------------------------- switch

/** Moves the stand-in as a daemon would: what each look at the status shows, the last one staying. */
function stages(...views: ReturnType<typeof record>[]): void {
  const later = [...views];
  desk.reply = (command) => {
    if (command.kind === 'switch' && !command.dryRun) {
      desk.status = async () => {
        const next = later.length > 1 ? later.shift()! : later[0]!;
        return { ...desk.view, records: [next] };
      };
    }
    return { exit: 0, message: 'goes to tokyo (epoch 8)', detail: { id: 'new', epoch: 8 } };
  };
}

const nrt = 'nrt.shop.example.';
const late = { stage: 'decided', writtenAfterMs: null, visibleAfterMs: null } as const;
const going = (cf: Parameters<typeof provider>[1], r53: Parameters<typeof provider>[1]) =>
  record({
    target: 'tokyo',
    cname: nrt,
    epoch: 8,
    switchId: 'new',
    switching: true,
    providers: [provider('cf', cf), provider('r53', r53)],
  });

test('switch tells of each stage at each provider as it happens and ends with 0', async () => {
  const done = { cname: nrt, writtenAfterMs: 200, visibleAfterMs: 1100 };
  stages(
    record(),
    going(late, late),
    going({ ...late, stage: 'written', writtenAfterMs: 200 }, late),
    { ...going(done, { ...done, writtenAfterMs: 405, visibleAfterMs: 1900 }), switching: false },
  );
  const { exit, out, err } = await run(orderSwitch);
  assert.equal(
    out,
    `\
goes to tokyo (epoch 8)
decided   epoch 8: tokyo (nrt.shop.example)
cf        written  200 ms
r53       written  405 ms
cf        visible  1.1 s
r53       visible  1.9 s
done: every provider of www.gslb.example.net serves tokyo after 1.9 s
`,
  );
  assert.deepEqual([exit, err], [0, '']);
  assert.deepEqual(desk.commands, [
    {
      kind: 'switch',
      record: `${www}.`,
      target: 'tokyo',
      reason: 'storage fails',
      by: 'ann (unverified)',
      forMs: 7_200_000,
      force: false,
      dryRun: false,
    },
  ]);
});

test('switch ends with 3 and the cure when a provider does not follow', async () => {
  const problem = 'auth-suspect: the key is refused; check it at the vendor';
  stages({
    ...going({ cname: nrt }, { ...late, stage: 'lagging', problem }),
    switching: false,
    leftBehind: { share: 0.5, sentence: 'about 50 % are left', cure: 'change the delegation' },
  });
  const { exit, out, err } = await run(orderSwitch);
  assert.equal(exit, 3);
  assert.match(out, /^r53 {7}waits: auth-suspect/m);
  assert.match(err, /^partly done: 1 of 2 providers of www\.gslb\.example\.net serve tokyo/);
  assert.match(
    err,
    /^ {2}r53 \(lagging\) serves hangzhou: auth-suspect: .* check it at the vendor$/m,
  );
});

test('switch --json says the same in one document', async () => {
  stages({
    ...going({ cname: nrt }, { ...late, stage: 'lagging', problem: 'p' }),
    switching: false,
  });
  const { exit, out, err } = await run([...orderSwitch, '--json']);
  const document = documentOf(out);
  assert.deepEqual([exit, err, document.exit], [3, '', 3]);
  assert.equal(document.record.providers[1].stage, 'lagging');
  assert.match(document.outcome, /^partly done/);
});

test('switch that a later switch overtakes ends with 1', async () => {
  stages(going(late, late), { ...record(), epoch: 9, switchId: 'later' });
  const { exit, err } = await run(orderSwitch);
  assert.equal(exit, 1);
  assert.match(err, /a later switch took over: .* goes to hangzhou \(epoch 9\), not to tokyo/);
});

test('switch whose daemon ends on the way is 3: taken, not known how far', async () => {
  const reply = desk.reply;
  stages(going(late, late));
  const moved = desk.reply;
  desk.reply = async (command) => {
    const answer = await moved(command);
    const { status } = desk;
    let looks = 0;
    desk.status = () => {
      looks += 1;
      if (looks === 2) throw new Error('gone');
      return status();
    };
    return answer;
  };
  const { exit, err } = await run(orderSwitch);
  assert.equal(exit, 3);
  assert.match(err, /the switch was taken, and then could not be followed/);
  desk.reply = reply;
});

test('Ctrl-C while following leaves the switch alone and says so', async () => {
  stages(going(late, late));
  let interrupt = () => {};
  let lines = 0;
  const { exit, err } = await run(orderSwitch, {
    interrupted(then) {
      interrupt = then;
      return () => undefined;
    },
    onOut() {
      lines += 1;
      if (lines === 2) interrupt();
    },
  });
  assert.equal(exit, 3);
  assert.match(err, /the switch goes on/);
});

test('a dry run prints the plan and follows nothing', async () => {
  desk.reply = () => ({
    exit: 0,
    message: 'would switch it to tokyo',
    detail: {
      epoch: 8,
      plan: [
        { provider: 'cf', from: 'hz.shop.example.', to: nrt, ttl: 60, problem: null },
        { provider: 'r53', from: null, to: nrt, ttl: 60, problem: 'stuck' },
      ],
    },
  });
  const { exit, out } = await run([...orderSwitch, '--dry-run']);
  assert.equal(exit, 0);
  assert.equal(
    out,
    `\
would switch it to tokyo
  cf   hz.shop.example -> nrt.shop.example, ttl 60
  r53  nothing known -> nrt.shop.example, ttl 60  ! stuck
`,
  );
});

test('a refused switch ends with its code and its sentence on stderr', async () => {
  for (const exit of [1, 2] as const) {
    desk.reply = () => ({ exit, message: 'tokyo is down: give --force' });
    const ran = await run(orderSwitch);
    assert.deepEqual(ran, { exit, out: '', err: 'detour: tokyo is down: give --force\n' });
  }
});

test('on a terminal switch shows the plan and asks; no is 1 and nothing is done', async () => {
  const questions: string[] = [];
  const answering = (answer: boolean): More => ({
    interactive: true,
    async confirm(question) {
      questions.push(question);
      return answer;
    },
  });
  stages({ ...going({ cname: nrt }, { cname: nrt }), switching: false });
  const no = await run(orderSwitch, answering(false));
  assert.deepEqual([no.exit, no.err], [1, 'detour: nothing was done\n']);
  assert.deepEqual(
    desk.commands.map((c) => 'dryRun' in c && c.dryRun),
    [true],
  );
  assert.equal((await run(orderSwitch, answering(true))).exit, 0);
  assert.equal((await run([...orderSwitch, '--yes'], answering(false))).exit, 0);
  assert.equal(questions.length, 2);
});

test('switch reads --for, --force and --reason, and refuses what is none', async () => {
  desk.reply = () => ({ exit: 1, message: 'no' });
  const forMs = async (...more: string[]) => {
    await run([...orderSwitch, ...more]);
    const last = desk.commands.pop();
    return last?.kind === 'switch' ? [last.forMs, last.force] : null;
  };
  assert.deepEqual(await forMs('--for', '1h30m', '--force'), [5_400_000, true]);
  assert.deepEqual(await forMs('--for', 'unlimited'), [null, false]);
  for (const bad of ['0s', '2 hours', 'forever', '400d', '']) {
    const { exit, err } = await run([...orderSwitch, '--for', bad]);
    assert.equal(exit, 2, bad);
    assert.match(err, /--for .*: expected a duration from 1s to 366d/);
  }
  assert.equal((await run(['switch', www, 'tokyo'])).exit, 2);
  assert.match(
    (await run(['switch', www, 'tokyo', '--reason', ' '])).err,
    /'--reason <text>' argument ' ' is invalid\. It is empty: say why/,
  );
  assert.deepEqual(desk.commands, []);
});

test('switch --direct asks no daemon and ends as the hands say', async () => {
  await served.close();
  const argv = [...orderSwitch, '--direct', '-c', 'x.yaml', '--for', 'unlimited', '--force'];
  const ran = await run(argv);
  assert.deepEqual(ran, {
    exit: 3,
    out: 'cf  written  200 ms\n',
    err: 'detour: r53 did not follow\n',
  });
  const order: DirectOrder = {
    record: www,
    target: 'tokyo',
    reason: 'storage fails',
    by: 'ann',
    forMs: null,
    force: true,
    adopt: false,
    dryRun: false,
    configPath: 'x.yaml',
    replica: null,
  };
  assert.deepEqual(asked, [['direct', order]]);
  const inJson = await run([...argv, '--json']);
  assert.deepEqual(documentOf(inJson.out), { exit: 3, message: 'r53 did not follow' });
  const no = await run(argv, { interactive: true, confirm: async () => false });
  assert.equal(no.exit, 1);
  assert.equal(asked.length, 2);
  await run([...argv, '--adopt']);
  assert.deepEqual(asked[2], ['direct', { ...order, adopt: true }]);
  const alone = await run([...orderSwitch, '--adopt']);
  assert.equal(alone.exit, 2);
  assert.match(alone.err, /--adopt goes with --direct/);
});

// ---------------------------------------------------------------- the other orders

test('every other order reaches the daemon as typed, by the user who gave it', async () => {
  const by = 'ann (unverified)';
  const name = `${www}.`;
  const cases: [string[], unknown][] = [
    [['adopt', www, 'tokyo'], { kind: 'adopt', record: name, target: 'tokyo', create: false, by }],
    [
      ['adopt', www, 'tokyo', '--create'],
      { kind: 'adopt', record: name, target: 'tokyo', create: true, by },
    ],
    [
      ['pin', www, '--reason', 'r'],
      { kind: 'pin', record: name, reason: 'r', by, forMs: 7_200_000 },
    ],
    [
      ['pin', www, '--reason', 'r', '--for', 'unlimited'],
      { kind: 'pin', record: name, reason: 'r', by, forMs: null },
    ],
    [
      ['prepare', www, '--reason', 'r'],
      { kind: 'prepare', record: name, reason: 'r', by, ttl: 5, forMs: 3_600_000 },
    ],
    [
      ['prepare', www, '--reason', 'r', '--ttl', '20s', '--for', '10m'],
      { kind: 'prepare', record: name, reason: 'r', by, ttl: 20, forMs: 600_000 },
    ],
    [['prepare', www, '--undo'], { kind: 'unprepare', record: name, by }],
    [['unpin', www], { kind: 'unpin', record: name, by }],
    [['unpin', www, '--reason', 'r'], { kind: 'unpin', record: name, reason: 'r', by }],
    [
      ['drain', 'aliyun', '--reason', 'r'],
      { kind: 'drain', what: 'aliyun', reason: 'r', by, forMs: null },
    ],
    [
      ['drain', 'aliyun', '--reason', 'r', '--for', '90m'],
      { kind: 'drain', what: 'aliyun', reason: 'r', by, forMs: 5_400_000 },
    ],
    [['undrain', 'aliyun'], { kind: 'undrain', what: 'aliyun', by }],
    [['freeze', '--reason', 'r'], { kind: 'freeze', record: null, reason: 'r', by, forMs: null }],
    [
      ['freeze', www, '--reason', 'r', '--for', '2h'],
      { kind: 'freeze', record: name, reason: 'r', by, forMs: 7_200_000 },
    ],
    [['unfreeze'], { kind: 'unfreeze', record: null, by }],
    [['unfreeze', www], { kind: 'unfreeze', record: name, by }],
    [['unfreeze', '--reason', 'r'], { kind: 'unfreeze', record: null, reason: 'r', by }],
    [['ack', www], { kind: 'ack', record: name, by, reject: false }],
    [['ack', www, '--reject'], { kind: 'ack', record: name, by, reject: true }],
    [['ack', '--restored'], { kind: 'restored', by }],
    [['yield'], { kind: 'yield', by }],
  ];
  for (const [argv, command] of cases) {
    const { kind } = command as { kind: string };
    assert.deepEqual(await run(argv), { exit: 0, out: `done: ${kind}\n`, err: '' });
    assert.deepEqual(desk.commands.pop(), command);
    const inJson = await run([...argv, '--json']);
    assert.deepEqual(documentOf(inJson.out), { exit: 0, message: `done: ${kind}` });
    desk.commands.pop();
  }
});

test('evict and readmit: shown, asked for, and given to the daemon or done from here', async () => {
  const why = ['--reason', 'keys are refused'];
  const by = 'ann (unverified)';
  const said = { provider: 'ali', zone: null, reason: 'keys are refused', by };
  for (const kind of ['evict', 'readmit'] as const) {
    assert.deepEqual(await run([kind, 'ali', ...why]), { exit: 0, out: 'ali is out\n', err: '' });
    assert.deepEqual(desk.delegated.splice(0), [{ kind, ...said }]);
    assert.equal((await run([kind, 'ali', ...why, '--dry-run'])).exit, 0);
    assert.deepEqual(desk.delegated.splice(0), [{ kind, ...said, dryRun: true }]);
  }
  await run(['evict', 'ali', ...why, '--zone', 'GSLB.example.net']);
  assert.equal(desk.delegated.splice(0)[0]?.zone, 'gslb.example.net.');
  const no = { interactive: true, confirm: async () => false };
  assert.equal((await run(['evict', 'ali', ...why], no)).exit, 1, 'asked, and refused');
  assert.deepEqual(
    desk.delegated.splice(0).map((c) => c.dryRun),
    [true],
    'only looked at',
  );
  const direct = await run(['evict', 'ali', ...why, '--direct', '-c', 'my.yaml']);
  assert.deepEqual(direct, { exit: 3, out: '', err: 'detour: the apex at cf is as it was\n' });
  const [word, order, about] = asked.at(-1) as [string, object, object];
  assert.equal(word, 'delegate');
  assert.deepEqual(order, { kind: 'evict', ...said, by: 'ann' });
  assert.deepEqual(about, { configPath: 'my.yaml', replica: null });
  assert.deepEqual([desk.delegated, desk.commands], [[], []], 'no daemon was asked');
});

test('a reason is wanted where the design wants one', async () => {
  for (const argv of [['pin', www], ['drain', 'aliyun'], ['freeze'], ['evict', 'ali']]) {
    const { exit, err } = await run(argv);
    assert.equal(exit, 2);
    assert.match(err, /required option '--reason <text>'/);
  }
  assert.deepEqual(desk.commands, []);
});

test('each order bears an id of its own', async () => {
  await run(['ack', www]);
  await run(['ack', www]);
  const [first, second] = desk.ids.splice(0);
  assert.match(first!, /^[0-9a-f-]{36}$/);
  assert.notEqual(first, second);
});

test('ack is about one record, or with --restored about the group', async () => {
  for (const argv of [['ack'], ['ack', www, '--restored'], ['ack', '--restored', '--reject']]) {
    assert.equal((await run(argv)).exit, 2, argv.join(' '));
  }
  assert.deepEqual(desk.commands, []);
});

test('history --all shows whose entry each is, and who has not answered', async () => {
  assert.match((await run(['history', '--all'])).err, /there is no group of replicas/);
  const entry = { at: 2, kind: 'switch', record: `${www}.`, sentence: 'moved', data: {} } as const;
  const entries = [
    { ...entry, seq: 12, wall, replica: 'hz-1' },
    { ...entry, seq: 7, wall: wall - 1000, replica: 'nrt-1', sentence: 'seen' },
  ];
  desk.group = () => ({ entries, silent: [{ replica: 'syd-1', why: 'it is not reached' }] });
  const { exit, out, err } = await run(['history', '--all', '-n', '2']);
  assert.equal(exit, 3);
  assert.match(out, /nrt-1 {6}7 {2}switch .*seen\n.*hz-1 {6}12 {2}switch .*moved\n/);
  assert.match(err, /syd-1 has not answered: it is not reached/);
  const inJson = JSON.parse((await run(['history', '--all', '--json'])).out);
  assert.equal(inJson.entries[0].replica, 'hz-1');
  assert.deepEqual(inJson.silent, [{ replica: 'syd-1', why: 'it is not reached' }]);
});

test('what the daemon finds malformed is wrong input here too', async () => {
  const { exit, err } = await run(['ack', '']);
  assert.equal(exit, 2);
  assert.match(err, /^detour: record: expected a record, found nothing$/m);
});

test('init hands over what was typed, and says what was seen, written and is missing', async () => {
  const argv = ['--provider', 'cf=cloudflare', '--provider', 'r53=route53', '--reads-only'];
  const ran = await run(['init', 'www.shop.example', ...argv, '-o', '/x/detour.yaml']);
  assert.equal(ran.exit, 3);
  const order = asked.at(-1) as [string, InitOrder];
  assert.deepEqual(order[1].providers, ['cf=cloudflare', 'r53=route53']);
  assert.deepEqual([order[1].tries, order[1].out, order[1].targets], [false, '/x/detour.yaml', []]);
  assert.match(ran.out, /^Asked DNS and cf and r53 for www\.shop\.example, in 1\.2 s\.$/m);
  assert.match(ran.out, /Still missing:\n- a second target\n {2}give it\n/);
  assert.match(ran.out, /Next:\n {2}detour validate -c/);
  assert.ok(!ran.out.includes('\u001b'), 'what a vendor says moves no cursor');
  assert.equal((await run(['init', '--key-only', '/x/key'])).exit, 0);
  assert.deepEqual(asked.at(-1), ['makeKey', '/x/key']);
  assert.equal((await run(['install-service', '--dry-run'])).out, 'done\n');
  assert.deepEqual(asked.at(-1), ['installService', true]);
  assert.equal((await run(['init', 'www', '--key-only', '/x/key'])).exit, 2);
});

test("reload shows the daemon's answer", async () => {
  const { exit, err } = await run(['reload']);
  assert.equal(exit, 2);
  assert.equal(err, 'detour: detour.yaml:3:1: expected a mapping\n  what was in force stays\n');
  assert.equal(desk.reloads, 1);
});

test('reload --dry-run asks for nothing but the answer', async () => {
  const { exit, err } = await run(['reload', '--dry-run']);
  assert.deepEqual([exit, err], [3, 'detour: it would change\n  at restart: socket\n']);
  assert.equal(desk.reloads, 0);
});

test('history prints the newest last, and --json the newest first', async () => {
  desk.entries = [
    { seq: 12, at: 2, wall, kind: 'switch', record: `${www}.`, sentence: 'moved', data: {} },
    { seq: 11, at: 1, wall: wall - 1000, kind: 'start', record: null, sentence: 'up', data: {} },
  ];
  const { exit, out } = await run(['history']);
  assert.equal(exit, 0);
  assert.equal(
    out,
    `\
2026-01-02 03:04:04Z     11  start  up
2026-01-02 03:04:05Z     12  switch  www.gslb.example.net: moved
`,
  );
  const inJson = JSON.parse((await run(['history', www, '-n', '1', '--json'])).out);
  const { at: _, wall: __, ...rest } = desk.entries[0]!;
  const time = '2026-01-02T03:04:05.000Z';
  assert.deepEqual(inJson, { version: 1, entries: [{ ...rest, record: www, time }] });
  assert.deepEqual(desk.queries, [{ limit: 50 }, { record: `${www}.`, limit: 1 }]);
  for (const bad of ['0', '10001', '1.5', 'x', '-1']) {
    assert.equal((await run(['history', '-n', bad])).exit, 2, bad);
  }
  assert.equal((await run(['history', '-'])).exit, 2);
  desk.entries = [];
  assert.equal((await run(['history'])).out, 'nothing has happened yet\n');
});

// ---------------------------------------------------------------- a line a record, and one for monitors

/** Sixty records of which two are in trouble and one is only observed. */
function many(): void {
  const quiet = [provider('cf'), provider('r53')];
  const names = Array.from({ length: 60 }, (_, i) => `n${String(i).padStart(2, '0')}.example.net.`);
  const records = names.map((name) => record({ name, providers: quiet }));
  records[40] = record({ name: names[40]! });
  records[50] = record({
    name: names[50]!,
    stay: { reason: 'no-target-up', sentence: 'hangzhou is down and no other target is up' },
    providers: quiet,
  });
  records[7] = record({ name: names[7]!, mode: 'observe', target: 'tokyo', providers: quiet });
  desk.view = { ...desk.view, records, drains: [] };
}

test('status is a line a record, trouble first, under what all of them share', async () => {
  many();
  desk.view = {
    ...desk.view,
    clouds: [{ ...desk.view.clouds[0]!, diagnosis: 'cloud-down', sentence: 'aliyun: all fail' }],
    audit: {
      at,
      complete: true,
      grade: 'F',
      warn: 2,
      bad: [
        {
          ...{ word: 'delegation', severity: 'bad', cure: null, provider: 'cf', record: null },
          ...{ zone: 'example.net.', sentence: 'the parent names others' },
        },
      ],
    },
    notices: [
      {
        key: 'stay/n03',
        severity: 'page',
        record: 'n03.example.net.',
        sentence: 'n03 wants you',
        sinceAt: at,
      },
      {
        key: 'stay/n50',
        severity: 'page',
        record: 'n50.example.net.',
        sentence: 'said by its record',
        sinceAt: at,
      },
    ],
  };
  const { exit, out } = await run(['status']);
  assert.equal(exit, 0, 'it could be read');
  const lines = out.split('\n');
  assert.deepEqual(lines.slice(0, 10), [
    'cluster shop  detour 0.1.0  2026-01-02 03:04:05Z  ready  60 records, 2 in trouble',
    '  audit      grade F, 0s ago: 1 bad, 2 to look at (detour audit)',
    '  cloud-down  aliyun: all fail',
    '  stuck       lane r53: status 503 from the API',
    '  audit       cf example.net: the parent names others',
    '  notice      n03 wants you',
    '',
    '   RECORD           TARGET    HEALTH       SERVED  FOR     STATE         WHY',
    '!  n40.example.net  hangzhou  up              1/2  3h 12m  lagging       r53: stuck for 5 minutes:…',
    '!  n50.example.net  hangzhou  up              2/2  3h 12m  no-target-up  hangzhou is down and no ot…',
  ]);
  assert.equal(lines.length, 7 + 1 + 60 + 1, 'a line each, however many there are');
  const observed = lines.find((line) => line.includes('n07'))!;
  assert.match(observed, /n07\.example\.net +\(tokyo\) +up, drained +- .* observe/);
  const trouble = await run(['status', '--trouble']);
  assert.equal(trouble.out.split('\n').filter((l) => l.includes('example.net  ')).length, 2);
  assert.match(trouble.out, /60 records, 2 in trouble/);
  const wide = (await run(['status', '-o', 'wide'])).out;
  assert.match(wide, /MODE +EPOCH +PIN +BUDGET +TARGETS +SERVES +WHY/);
  assert.match(wide, /hangzhou:up tokyo:drained +cf:hangzhou r53:tokyo/);
});

test('in a pipe no line is wrapped or cut, and no name stands twice in one of history', async () => {
  many();
  const inPipe: More = { columns: () => Number.POSITIVE_INFINITY };
  const { out } = await run(['status', '-t'], inPipe);
  assert.match(out, /^! {2}n40.* the API answers 503; nothing to do but wait, or move the NS$/m);
  const sentence = `${www}.: on tokyo after 55 ms, behind: r53 (${'and so on '.repeat(30)}it is)`;
  desk.entries = [{ seq: 1, at, wall, kind: 'settled', record: `${www}.`, sentence, data: {} }];
  const history = await run(['history'], inPipe);
  assert.equal(history.out.split('\n').length, 2);
  assert.equal(history.out.split(www).length, 2, 'once');
  assert.ok(history.out.includes(`${www}: on tokyo`), 'without its last dot');
});

test('what is no terminal has no width', () => {
  const script = `
    import { processIo } from ${JSON.stringify(import.meta.resolve('../../src/cli/process.ts'))};
    console.log(processIo().columns());
  `;
  const done = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  assert.equal(done.stdout.trim(), 'Infinity', done.stderr);
});

test('status --check is one line and a code for monitors', async () => {
  const check = async (...argv: string[]) => {
    const { exit, out, err } = await run(['status', '--check', ...argv]);
    assert.equal(err, '');
    assert.match(out, /^[^\n]+\n$/, 'exactly one line');
    return [exit, out.trimEnd()];
  };
  const good = { ...desk.view.lanes[0]!, provider: 'r53' };
  const well = record({ providers: [provider('cf'), provider('r53')] });
  const calm = { ...desk.view, records: [well], lanes: [desk.view.lanes[0]!, good] };
  desk.view = { ...calm, drains: [] };
  assert.deepEqual(await check(), [0, 'well: 1 record']);
  desk.view = { ...calm, freeze: { reason: 'r', by: 'b', sinceAt: at, untilAt: null } };
  assert.deepEqual(await check(), [0, 'well: 1 record; everything is frozen; drained: tokyo']);
  desk.view = { ...calm, records: [well, record({ name: 'api.example.net.' })] };
  const [exit, line] = await check();
  assert.equal(exit, 1);
  assert.match(
    String(line),
    /^trouble: 1 of 2 records: api\.example\.net: lagging: r53: stuck for 5/,
  );
  assert.deepEqual((await check('www'))[0], 0, 'of one record its own alone');
  // Nobody can tell: a blind daemon, unreadable providers, one that has just started, none at all.
  const blind = calm.paths.map((p) => ({ ...p, state: 'blind' as const }));
  desk.view = { ...calm, paths: blind, records: [record()] };
  assert.deepEqual(await check(), [3, 'cannot tell: no path can see anything']);
  const stuck = { state: 'auth-suspect', detail: 'the key is refused' } as const;
  desk.view = { ...calm, lanes: calm.lanes.map((lane) => ({ ...lane, ...stuck })) };
  const unreadable = 'cannot tell: no provider can be read (cf: the key is refused)';
  assert.deepEqual(await check(), [3, unreadable]);
  desk.view = { ...calm, records: [{ ...well, stay: { reason: 'reading', sentence: 'read' } }] };
  assert.equal((await check())[0], 3);
  const wrong = await run(['status', '--check', 'nobody.example.net']);
  assert.deepEqual([wrong.exit, wrong.out], [2, '']);
  await served.close();
  const [away, sentence] = await check();
  assert.equal(away, 3);
  assert.match(String(sentence), /^cannot tell: no daemon/);
  assert.equal((await run(['status'])).exit, 1);
  assert.equal((await run(['status', '--check', '--watch'])).exit, 2);
});

// ---------------------------------------------------------------- shown and asked before it is done

const order = {
  adopt: ['adopt', www, 'tokyo', '--reason', 'r'],
  drain: ['drain', 'aliyun', '--reason', 'r'],
  undrain: ['undrain', 'aliyun'],
  freeze: ['freeze', '--reason', 'r'],
  unfreeze: ['unfreeze', www],
  pin: ['pin', www, '--reason', 'r'],
  prepare: ['prepare', www, '--reason', 'r'],
  unpin: ['unpin', www],
  ack: ['ack', www],
  yield: ['yield'],
  restored: ['ack', '--restored'],
};

const moving = {
  exit: 0,
  message: `would do it; ${www}. goes to tokyo`,
  detail: {
    plan: [
      { record: `${www}.`, from: 'hangzhou', to: 'tokyo', why: 'hangzhou -> tokyo: drained' },
      { record: 'api.example.net.', from: 'hangzhou', to: null, why: 'pinned to hangzhou' },
    ],
  },
} as const;

test('every order has --dry-run, which says what would be and does nothing', async () => {
  desk.reply = () => moving;
  for (const argv of Object.values(order)) {
    const { exit, out } = await run([...argv, '--dry-run']);
    assert.equal(exit, 0, argv[0]);
    assert.equal(
      out,
      `would do it; ${www} goes to tokyo\n` +
        `  ${www}  hangzhou -> tokyo  (hangzhou -> tokyo: drained)\n` +
        '  api.example.net       stays: pinned to hangzhou\n',
    );
    assert.equal(desk.commands.pop()?.dryRun, true);
    assert.deepEqual(desk.commands, []);
  }
});

test('what moves or overwrites is shown and asked for on a terminal, and only there', async () => {
  const asking = (answer: boolean, questions: string[] = []): [More, string[]] => [
    {
      interactive: true,
      async confirm(question) {
        questions.push(question);
        return answer;
      },
    },
    questions,
  ];
  for (const [kind, argv] of Object.entries(order)) {
    desk.reply = ({ dryRun }) => (dryRun ? moving : { exit: 0, message: 'done' });
    desk.commands.length = 0;
    const asks = !['freeze', 'pin', 'prepare', 'yield'].includes(kind);
    const [no, questions] = asking(false);
    const refused = await run(argv, no);
    assert.deepEqual([refused.exit, questions.length], asks ? [1, 1] : [0, 0], kind);
    assert.equal(
      desk.commands.some((c) => !c.dryRun),
      !asks,
    );
    const [yes] = asking(true);
    assert.equal((await run(argv, yes)).exit, 0);
    assert.equal(desk.commands.pop()?.dryRun, undefined);
    if (!asks) continue;
    assert.equal((await run([...argv, '--yes'], no)).exit, 0);
    // Nothing would move: nobody is asked, but for what overwrites.
    desk.reply = () => ({ exit: 0, message: 'nothing moves', detail: { plan: [] } });
    const [still, more] = asking(false);
    await run(argv, still);
    assert.equal(more.length, kind === 'adopt' ? 1 : 0, kind);
    desk.commands.length = 0;
  }
});

test('adopt over a stranger wants a reason before it asks', async () => {
  const detail = { plan: [], overwrites: ['cf gives old.other.test.'] };
  desk.reply = () => ({ exit: 0, message: 'would adopt it; overwrites old.other.test.', detail });
  const ran = await run(['adopt', www, 'tokyo'], { interactive: true });
  assert.equal(ran.exit, 2);
  assert.match(ran.err, /overwrites old\.other\.test: say why with --reason$/m);
  assert.deepEqual(
    desk.commands.map((c) => c.dryRun),
    [true],
  );
});

// ---------------------------------------------------------------- no daemon

test('without a daemon every command says so, names the way out and ends with 1', async () => {
  await served.close();
  for (const argv of [['status'], ['history'], ['reload'], ['ack', www], orderSwitch]) {
    const { exit, out, err } = await run(argv);
    assert.deepEqual([exit, out], [1, ''], argv[0]);
    assert.match(err, /no daemon: there is no socket at .*control\.sock/);
    assert.match(err, /`detour switch RECORD TARGET --reason TEXT --direct -c FILE`/);
    const inJson = await run([...argv, '--json']);
    assert.equal(documentOf(inJson.out).exit, 1);
  }
  const elsewhere = await run(['status', '--socket', join(directory, 'other.sock')]);
  assert.match(elsewhere.err, /other\.sock/);
});

test('--socket comes before DETOUR_SOCKET', async () => {
  const { exit } = await run(['status', '--socket', socket], { env: { DETOUR_SOCKET: '/nope' } });
  assert.equal(exit, 0);
});

test('something else at the socket is told apart from a daemon', async () => {
  const path = join(directory, 'other.sock');
  const answers = ['HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}', 'SSH-2.0-x\r\n', ''];
  for (const answer of answers) {
    const other = createServer((peer) => {
      peer.on('error', () => undefined);
      peer.once('data', () => peer.end(answer));
    });
    await new Promise<void>((resolve) => other.listen(path, resolve));
    try {
      for (const argv of [['status'], ['ack', www], ['history']]) {
        const { exit, err } = await run([...argv, '--socket', path]);
        assert.equal(exit, 1);
        assert.match(err, /no daemon of this version|is there and broke off/);
        assert.doesNotMatch(err, /no daemon:/, 'who holds its socket is not called dead');
      }
    } finally {
      await new Promise((resolve) => other.close(resolve));
    }
  }
});

// ---------------------------------------------------------------- hands, help, usage

test('whatever reads a configuration takes which replica it is', async () => {
  const is = ['--replica', 'fra-1', '-c', 'x.yaml'];
  await run(['run', ...is]);
  await run(['validate', ...is]);
  await run(['audit', ...is]);
  await run(['probe', ...is]);
  await run(['drill', 'check', 'hangzhou/web', ...is, '--socket', socket]);
  await run(['switch', www, 'tokyo', '--reason', 'x', '--direct', ...is]);
  const direct = asked.pop() as [string, DirectOrder];
  assert.deepEqual([direct[0], direct[1].replica], ['direct', 'fra-1']);
  assert.deepEqual(asked, [
    ['run', 'x.yaml', { json: false, newState: false, replica: 'fra-1' }],
    ['validate', 'x.yaml', true, 'fra-1'],
    ['audit', 'x.yaml', 'fra-1'],
    ['probe', 'x.yaml', null, 'fra-1'],
    ['drill', 'x.yaml', 'hangzhou/web', 'fra-1'],
  ]);
});

test('run, validate and lab go to the hands', async () => {
  await run(['run', '-c', 'a.yaml', '--json']);
  await run(['run']);
  const good = await run(['validate', '-c', 'a.yaml']);
  await run(['validate', '-c', 'a.yaml', '--plugins']);
  assert.equal(good.out, 'a.yaml is good\n');
  const lab = await run(['lab', 'start', '--help', '--port', '0', '--version', '--', '-x']);
  assert.equal(lab.out, '');
  await run(['lab']);
  assert.deepEqual(asked, [
    ['run', 'a.yaml', { json: true, newState: false, replica: null }],
    ['run', '/etc/detour/detour.yaml', { json: false, newState: false, replica: null }],
    ['validate', 'a.yaml', true],
    ['validate', 'a.yaml', false],
    ['lab', ['start', '--help', '--port', '0', '--version', '--', '-x']],
    ['lab', []],
  ]);
  assert.equal((await run(['run'], { hands: { run: async () => 1 } })).exit, 1);
  assert.equal((await run(['lab', 'x'], { hands: { lab: async () => 3 } })).exit, 3);
});

test('validate prints every problem, counts them and ends with 2; warnings alone are 0', async () => {
  const validate = async () => ({
    problems: ['a.yaml:3:5: expected a name', 'a.yaml:9:1: unknown key `colour`'],
    warnings: ['one path decides alone'],
  });
  const bad = await run(['validate', '-c', 'a.yaml'], { hands: { validate } });
  assert.equal(bad.exit, 2);
  assert.equal(
    bad.out,
    `\
a.yaml:3:5: expected a name
a.yaml:9:1: unknown key \`colour\`
warning: one path decides alone
2 problems, 1 warning
`,
  );
  const inJson = await run(['validate', '--json'], { hands: { validate } });
  assert.deepEqual(documentOf(inJson.out), { exit: 2, ...(await validate()) });
  const warned = await run(['validate', '-c', 'a.yaml'], {
    hands: { validate: async () => ({ problems: [], warnings: ['w'] }) },
  });
  assert.deepEqual([warned.exit, warned.out], [0, 'warning: w\na.yaml is good, 1 warning\n']);
  const schema = await run(['validate', '--json-schema']);
  assert.deepEqual([schema.exit, JSON.parse(schema.out)], [0, { type: 'object' }]);
});

test('usage errors end with 2 and say what was meant; help and version end with 0', async () => {
  const cases: [string[], RegExp][] = [
    [['swich'], /Did you mean switch\?/],
    [['status', '--wach'], /Did you mean --watch\?/],
    [['status', 'a', 'b'], /too many arguments/],
    [['switch', www, '--reason', 'x'], /missing required argument 'target'/],
    [[], /Usage: detour/],
  ];
  for (const [argv, pattern] of cases) {
    const { exit, out, err } = await run(argv);
    assert.deepEqual([exit, out], [2, ''], argv.join(' '));
    assert.match(err, pattern);
  }
  const version = await run(['--version']);
  assert.deepEqual(version, { exit: 0, out: '1.2.3\n', err: '' });
});

test('every command has help with an example, and --json where it answers', async () => {
  const main = await run(['--help']);
  assert.deepEqual([main.exit, main.err], [0, '']);
  const commands = [...main.out.matchAll(/^ {2}([a-z]+) .*/gm)].map(([, name]) => name!);
  for (const wanted of [
    ...['status', 'switch', 'adopt', 'pin', 'unpin', 'drain', 'undrain', 'freeze', 'unfreeze'],
    ...['ack', 'yield', 'history', 'reload', 'run', 'validate', 'lab'],
  ]) {
    assert.ok(commands.includes(wanted), wanted);
    if (wanted === 'lab') continue;
    const { exit, out } = await run([wanted, '--help']);
    assert.equal(exit, 0);
    assert.match(out, /--json/, wanted);
    assert.match(out, new RegExp(`Examples:[^]*\\$ .*detour ${wanted}`), wanted);
  }
});

test("a fault of Detour's own is told as one, with 1", async () => {
  const run1 = run(['run'], {
    hands: {
      run: async () => {
        throw new TypeError('x is not a function');
      },
    },
  });
  const { exit, err } = await run1;
  assert.equal(exit, 1);
  assert.match(err, /a fault in Detour itself: TypeError: x is not a function\n +at /);
});

test('help and status load commander and no other package', () => {
  const script = `
    import { registerHooks } from 'node:module';
    const loaded = new Set();
    registerHooks({
      load(url, context, next) {
        const from = /node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url);
        if (from) loaded.add(from[1]);
        return next(url, context);
      },
    });
    const { runCli } = await import(${JSON.stringify(import.meta.resolve('../../src/cli/index.ts'))});
    const io = { out() {}, err() {}, exit() {}, env: {}, columns: () => 80 };
    await runCli(['--help'], { version: '' }, io);
    await runCli(['status', '--socket', '/nonexistent/x.sock'], { version: '' }, io);
    console.log(JSON.stringify([...loaded]));
  `;
  const done = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  assert.equal(done.stdout.trim(), '["commander"]', done.stderr);
});

test('probe shows every answer and fails when one does not pass', async () => {
  const ran = await run(['probe', 'hangzhou', '-c', 'x.yaml']);
  assert.equal(ran.exit, 1);
  assert.deepEqual(asked.at(-1), ['probe', 'x.yaml', 'hangzhou']);
  assert.match(ran.out, /hangzhou\/web {2}line-a {2}pass +12 ms {2}status: status 503/);
  assert.ok(!ran.out.includes('\u001b'), 'no control character reaches the terminal');
});

test('a drill tells the daemon that a check can fail, and refuses one that cannot', async () => {
  const ran = await run(['drill', 'check', 'hangzhou/web', '-c', 'x.yaml', '--socket', socket]);
  assert.equal(ran.exit, 0, ran.err);
  assert.deepEqual(desk.commands.at(-1)?.kind, 'drilled');
  const tame = await run(['drill', 'check', 'tame/web', '-c', 'x.yaml', '--socket', socket]);
  assert.equal(tame.exit, 1);
  assert.match(tame.err, /did not fail when it had to/);
  const inJson = await run(['drill', 'check', 'tame/web', '-c', 'x.yaml', '--json']);
  assert.equal(documentOf(inJson.out).exit, 1, 'one document, whatever came of it');
});

test('a live drill that is waited for ends with a line a vendor', async () => {
  const was = desk.view;
  const part = (provider: string, ttl?: number) => ({
    ...{ provider, writtenMs: 80, visibleMs: 103 },
    ...(ttl === undefined ? {} : { ttl }),
  });
  const lastDrill = {
    ...{ id: 'd', result: 'passed' as const, from: 'hangzhou', to: 'tokyo', byVendor: true },
    ...{
      at: 0,
      ms: 3000,
      sentence: 'back on hangzhou',
      parts: [part('cf', 60), part('r53')],
      back: [part('cf', 5)],
    },
  } as const;
  desk.view = { ...was, records: was.records.map((one) => ({ ...one, lastDrill })) };
  desk.reply = () => ({ exit: 0, message: 'begins', detail: { id: 'd' } });
  const ran = await run([
    ...['drill', 'live', 'www', 'tokyo', '--wait', '--reason', 'r', '--yes'],
    ...['--socket', socket],
  ]);
  assert.equal(ran.exit, 0);
  assert.deepEqual(ran.out.split('\n').slice(-5), [
    'passed after 3.0 s: back on hangzhou',
    '  cf   out:  written 80 ms, visible 103 ms, then caches keep the old answer up to 60 s',
    '  r53  out:  written 80 ms, visible 103 ms',
    '  cf   back: written 80 ms, visible 103 ms, then caches keep the old answer up to 5 s',
    '',
  ]);
  desk.view = was;
});

test('canary and dry drills are made by the daemon, waited for, and shown a record a line', async () => {
  const parts = [
    {
      ...{ record: 'www.gslb.example.net.', detectMs: 1500, decidedMs: 1900 },
      ...{ to: 'tokyo', expected: 'tokyo', chain: 'answered' },
      vendors: [
        { provider: 'cf', readMs: 40 },
        { provider: 'r53', readMs: null },
      ],
    },
    {
      ...{ record: 'api.gslb.example.net.', detectMs: 1500, decidedMs: null },
      ...{ to: null, expected: 'tokyo', chain: null, vendors: [] },
    },
  ];
  const one = { drill: 'dry', name: 'hangzhou', result: 'failed', ms: 1900, sentence: 's', parts };
  desk.drillReply = { begun: null, end: { exit: 1, message: 'wrong', detail: { drills: [one] } } };
  const ran = await run(['drill', 'dry', 'hangzhou', '--socket', socket]);
  assert.deepEqual([ran.exit, ran.err], [1, 'detour: wrong\n']);
  assert.deepEqual(ran.out.split('\n'), [
    'www.gslb.example.net seen down in 1500 ms, goes to tokyo in 1900 ms, its chain answered; ' +
      'would write at cf (read in 40 ms), r53 (not read)',
    'api.gslb.example.net seen down in 1500 ms, stays (expected: tokyo)',
    '',
  ]);
  const inJson = await run(['drill', 'dry', 'hangzhou', '--socket', socket, '--json']);
  assert.equal((documentOf(inJson.out).detail as { drills: unknown[] }).drills.length, 1);
  desk.drillReply = { begun: { exit: 2, message: 'there is none' }, end: { exit: 0, message: '' } };
  const none = await run(['drill', 'canary', '--socket', socket]);
  assert.deepEqual([none.exit, none.err], [2, 'detour: there is none\n']);
  assert.deepEqual(desk.drills, [
    ['dry', 'hangzhou'],
    ['dry', 'hangzhou'],
    ['canary', null],
  ]);
  desk.drillReply = { begun: null, end: { exit: 0, message: 'passed' } };
  const passed = await run(['drill', 'canary', 'r53', '--socket', socket]);
  assert.deepEqual([passed.exit, passed.out], [0, 'passed\n']);
});

test('what is in maintenance and what was drilled stand at the head of the status', async () => {
  const [first] = desk.view.origins;
  const kept = { window: 'Sun 02:00-04:00', untilAt: desk.view.at + 2_880_000 };
  const ended = { at: desk.view.at - 7_200_000, sentence: 's' };
  desk.view = {
    ...desk.view,
    origins: [{ ...first!, maintenance: kept }, ...desk.view.origins.slice(1)],
    records: desk.view.records.map((r) => ({ ...r, maintenance: kept })),
    drills: {
      last: [
        { drill: 'canary', name: 'cf', result: 'passed', ms: 900, ...ended },
        { drill: 'canary', name: 'r53', result: 'failed', ms: null, ...ended },
        { drill: 'dry', name: 'tokyo', result: 'passed', ms: 1900, ...ended },
      ],
      scheduled: [{ drill: 'dry', sinceAt: 0, nextAt: desk.view.at + 3_600_000 }],
      overdue: [{ drill: 'live', name: 'www.x.', dueAt: 0, why: 'b is down' }],
    },
  };
  const { out } = await run(['status', '--socket', socket], { columns: () => 200 });
  assert.match(
    out,
    /maintained +hangzhou is out of choice for 48m more \(maintenance, Sun 02:00-04:00\)/,
  );
  assert.match(out, /drills +canary 2h ago, 900 ms; r53 did not pass/);
  assert.match(out, /dry 2h ago, 1\.9 s, next in 1h/);
  assert.match(out, /live never; www\.x overdue \(b is down\)/);
  const full = await run(['status', 'www', '-o', 'full', '--socket', socket], {
    columns: () => 200,
  });
  assert.match(full.out, /frozen +nothing is decided for 48m more/);
});

test('reports are made of all that the journal holds, page by page, or of a state directory', async () => {
  const line = { at: 1, wall: 1, kind: 'start', record: null, sentence: 's', data: {} } as const;
  desk.entries = Array.from({ length: 10_050 }, (_, i) => ({ ...line, seq: 10_050 - i }));
  const ran = await run(['report', 'sla', '--month', '2023-11', '--socket', socket]);
  assert.equal(ran.out, 'reported\n', ran.err);
  const [, order] = asked.pop() as [string, ReportOrder];
  assert.deepEqual(order.ask, { kind: 'sla', month: '2023-11' });
  assert.equal(order.told?.entries.length, 10_050);
  assert.equal(new Set(order.told?.entries.map(({ seq }) => seq)).size, 10_050);
  const out = join(directory, 'incident.html');
  await run(['report', 'incident', '--record', 'www', '--state', '/var/lib/x', '-o', out]);
  const [, dead] = asked.pop() as [string, ReportOrder];
  assert.deepEqual([dead.state, dead.told], ['/var/lib/x', null]);
  assert.equal(dead.ask.kind === 'incident' && dead.ask.format, 'html', 'by the name of the file');
  assert.equal(readFileSync(out, 'utf8'), 'reported\n');
  const nowhere = join(directory, 'no', 'file.md');
  const refused = await run(['report', 'incident', '--state', '/x', '-o', nowhere]);
  assert.equal(refused.exit, 1);
  assert.match(refused.err, /name a file that can be written/);
});

test('explain prints the rule, the votes and why not each other target', async () => {
  desk.entries = [
    {
      seq: 9,
      at: 2,
      wall: Date.UTC(2026, 0, 2),
      kind: 'visible',
      record: 'www.gslb.example.net.',
      sentence: 'www at cf: visible after 55 ms',
      data: { provider: 'cf', epoch: 7 },
    },
    {
      seq: 8,
      at: 1,
      wall: Date.UTC(2026, 0, 2),
      kind: 'switch',
      record: 'www.gslb.example.net.',
      sentence: 'hangzhou -> tokyo: hangzhou is down',
      data: {
        id: 'abc123',
        epoch: 7,
        why: 'target-down',
        votes: 'hangzhou/web by line-a down: 3 failed in a row',
        helpsInMs: 61_800,
        alternatives: [{ origin: 'beijing', why: 'drained' }],
      },
    },
  ];
  const ran = await run(['explain', 'abc123', '--socket', socket]);
  assert.equal(ran.exit, 0, ran.err);
  for (const part of [
    'target-down',
    '3 failed in a row',
    'beijing',
    'drained',
    'visible after',
    '61.8 s',
  ]) {
    assert.ok(ran.out.includes(part), part);
  }
  assert.equal((await run(['explain', 'nothing', '--socket', socket])).exit, 1);
});

test('break-glass prints the steps as they are, or one page for the printer', async () => {
  const { exit, out } = await run(['break-glass', 'www', '--to', 'tokyo', '-c', 'x.yaml']);
  assert.equal(exit, 0);
  assert.deepEqual(asked.at(-1), ['breakGlass', 'x.yaml', { record: 'www', target: 'tokyo' }]);
  assert.match(out, /### to tokyo: CNAME nrt\.shop\.example\n/);
  assert.match(out, /\n {6}ask www\.\n {6} {2}& go\n/, 'what is for a shell keeps its dots');
  const file = join(directory, 'page.html');
  assert.equal((await run(['break-glass', '--html', file])).exit, 0);
  const page = readFileSync(file, 'utf8');
  assert.match(page, /In &lt;the&gt; console\./);
  assert.match(page, /<pre>ask www\.\n {2}&amp; go<\/pre>/);
  assert.doesNotMatch(page, /<script|https?:\/\/[^<]*"/);
  const refused = await run(['break-glass', '--html', join(directory, 'no', 'page.html')]);
  assert.equal(refused.exit, 1);
});

test('what may come next is said for a shell, with the names that the daemon knows', async () => {
  const offered = async (...words: string[]) => {
    const { exit, out } = await run(['complete', '--', ...words]);
    assert.equal(exit, 0);
    return out
      .split('\n')
      .map((line) => line.split('\t')[0])
      .filter((word) => word !== '' && !word?.startsWith(':'));
  };
  assert.deepEqual(await offered('und'), ['undrain']);
  assert.ok((await offered('switch', '--dr')).includes('--dry-run'));
  assert.deepEqual(await offered('switch', 'www'), ['www.gslb.example.net']);
  assert.ok((await offered('switch', 'www.gslb.example.net', 'to')).includes('tokyo'));
  await served.close();
  assert.deepEqual(await offered('switch', 'www'), [], 'without a daemon no names, and no error');
  assert.equal((await run(['completion', 'tcsh'])).exit, 2);
  const { out } = await run(['completion', 'bash']);
  const syntax = spawnSync('bash', ['-n'], { input: out, encoding: 'utf8' });
  assert.equal(syntax.status, 0, syntax.stderr);
  assert.match(out, /complete -F \S+ detour/);
  const twice = spawnSync('bash', [], { input: `${out}\n${out}`, encoding: 'utf8' });
  assert.deepEqual([twice.status, twice.stderr], [0, ''], 'it may be read again');
});

test('the manual page has every command, and a reader of such pages finds nothing wrong', async () => {
  const { out } = await run(['man']);
  for (const name of ['status', 'drill check', 'break-glass', 'version']) {
    assert.match(out, new RegExp(`^\\.SS "detour ${name.replaceAll('-', '.{2}')}`, 'm'));
  }
  const read = spawnSync('groff', ['-man', '-Tascii', '-ww', '-z'], {
    input: out,
    encoding: 'utf8',
  });
  if (read.error === undefined) assert.deepEqual([read.status, read.stderr], [0, '']);
  assert.match((await run(['version'])).out, /^detour 1\.2\.3 \(node \d/);
});

test('explain takes the key of a notice, as channels give it', async () => {
  const [record, wall] = ['www.gslb.example.net.', Date.UTC(2026, 0, 2)];
  const stay = { kind: 'stay', at: 1, wall, record } as const;
  desk.entries = [
    { ...stay, seq: 3, sentence: 'blind', data: { reason: 'blind' } },
    { ...stay, seq: 2, sentence: 'nothing is up', data: { reason: 'no-target-up' } },
    { ...stay, seq: 1, record: 'api.example.net.', sentence: 'other', data: { reason: 'blind' } },
  ];
  const key = 'stay/www.gslb.example.net/no-target-up';
  const ran = await run(['explain', key, '--socket', socket]);
  assert.match(ran.out, /nothing is up/, ran.err);
});

test('channels are listed, and a test says how each telling went', async () => {
  const listed = await run(['channels', '-c', 'x.yaml']);
  assert.equal(listed.out, 'chat  webhook  page, warn  *.shop  the same not within 1m\n');
  const tried = await run(['channels', 'test', 'chat', '-c', 'x.yaml']);
  assert.equal(tried.exit, 1, 'one did not get through');
  assert.match(
    tried.out,
    /^chat {2}open +12 ms {2}told\nchat {2}closed +12 ms {2}not told: status 500/,
  );
  assert.deepEqual(asked.at(-1), ['tryChannels', 'x.yaml', 'chat']);
});

// ---------------------------------------------------------------- names in their own script

const own = 'www.例子.example';
const ascii = 'www.xn--fsqu00a.example';

function inScript(): void {
  desk.view.spelling = { 'xn--fsqu00a': '例子' };
  desk.view.records = [record({ name: `${ascii}.` })];
  const sentence = `${ascii}.: hangzhou -> tokyo`;
  desk.entries = [{ seq: 7, at, wall, kind: 'switch', record: `${ascii}.`, sentence, data: {} }];
}

test('a name is shown as its configuration writes it, and in ASCII once beside', async () => {
  inScript();
  const list = (await run(['status'])).out;
  assert.ok(list.includes(own) && !list.includes('xn--'), list);
  const whole = (await run(['status', own])).out;
  assert.match(whole, /^www\.例子\.example {2}steer/m);
  assert.equal(whole.split(ascii).length, 2, 'once');
  assert.match(whole, /^ {2}in DNS {3}www\.xn--fsqu00a\.example$/m);
  assert.match((await run(['history'])).out, /switch {2}www\.例子\.example: hangzhou -> tokyo\n$/);
  desk.reply = () => ({
    exit: 3,
    message: `${ascii}. waits`,
    detail: { plan: [{ record: `${ascii}.`, from: 'a', to: 'b', why: 'down' }] },
  });
  const { out, err } = await run(['drain', 'aliyun', '--reason', 'r', '--dry-run']);
  assert.deepEqual([out, err], [`  ${own}  a -> b  (down)\n`, `detour: ${own} waits\n`]);
});

test('a record is meant by its name in either form, wherever one is typed', async () => {
  inScript();
  for (const typed of [own, ascii, 'www.例子', 'WWW．例子。example', `${own}.`]) {
    assert.match((await run(['status', typed])).out, /in DNS/, typed);
    assert.equal((await run(['history', typed])).exit, 0, typed);
    assert.deepEqual(desk.queries.at(-1), { record: `${ascii}.`, limit: 50 });
    assert.equal((await run(['pin', typed, '--reason', 'r'])).exit, 0, typed);
    const { record: meant } = desk.commands.at(-1) as { readonly record?: string };
    assert.ok([`${ascii}.`, 'www.xn--fsqu00a.'].includes(meant!), meant);
  }
  for (const key of [`stay/${own}/all-down`, `switch/${ascii}`, `switch/${own}.`]) {
    desk.entries = [{ ...desk.entries[0]!, kind: key.startsWith('stay') ? 'stay' : 'switch' }];
    desk.entries = [{ ...desk.entries[0]!, data: { reason: 'all-down' } }];
    assert.equal((await run(['explain', key])).exit, 0, key);
  }
  const unknown = await run(['status', 'www.例孑.example']);
  assert.equal(unknown.exit, 2);
  assert.ok(
    unknown.err.includes(`no record "www.例孑.example"; did you mean ${own}?`),
    unknown.err,
  );
  desk.reply = () => ({ exit: 2, message: 'there is no record "www.xn--fsqw00a.example"' });
  const refused = await run(['unpin', 'www.例孑.example']);
  assert.equal(refused.err, 'detour: there is no record "www.例孑.example"\n');
  // Where the configuration has it in ASCII it is shown so, and found all the same.
  delete desk.view.spelling;
  const plain = (await run(['status', own])).out;
  assert.ok(plain.includes(ascii) && !plain.includes('例子') && !plain.includes('in DNS'), plain);
});

test('in JSON a name stays in ASCII, and how people write it stands beside', async () => {
  inScript();
  const { records, spelling } = documentOf((await run(['status', own, '--json'])).out);
  assert.deepEqual([records[0].name, records[0].shown, spelling], [ascii, own, undefined]);
  const { entries } = documentOf((await run(['history', '--json'])).out);
  const { record: name, shown, sentence } = entries[0];
  assert.deepEqual([name, shown, sentence], [ascii, own, `${ascii}: hangzhou -> tokyo`]);
});

test('break-glass shows both forms of a name, and what is typed at a vendor in ASCII', async () => {
  const steps = [{ text: `The record ${ascii}.`, shell: `dig ${ascii}. CNAME` }];
  const vendors = [{ provider: 'cf', title: 'Cloudflare', ttl: 60, steps }];
  const moves = [{ target: 'tokyo', cname: `nrt.${ascii}.`, vendors }];
  const records = [{ record: `${ascii}.`, moves }];
  const spelling = { 'xn--fsqu00a': '例子' };
  const glass = { breakGlass: async () => ({ cluster: 'shop', spelling, records }) };
  const { out } = await run(['break-glass'], { hands: glass });
  assert.ok(out.includes(`## ${own} (${ascii})\n`), out);
  assert.ok(out.includes(`### to tokyo: CNAME nrt.${own} (nrt.${ascii})\n`), out);
  assert.ok(out.includes(`- The record ${ascii}\n\n      dig ${ascii}. CNAME\n`), out);
  const document = documentOf((await run(['break-glass', '--json'], { hands: glass })).out);
  assert.deepEqual([document.records[0].record, document.records[0].shown], [ascii, own]);
  assert.equal(document.spelling, undefined);
});
