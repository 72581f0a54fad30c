// Every command as a user types it: against the real control socket in front of a stand-in desk, or
// against hands that note what they were asked. What is printed, where, and with which exit code.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { type DirectOrder, type Hands, type Io, type Looked, runCli } from '../../src/cli/index.ts';
import { age, clean, printStatus, span } from '../../src/cli/print.ts';
import type { StayReason } from '../../src/core/model.ts';
import { serveControl } from '../../src/serve/control.ts';
import type { Served } from '../../src/serve/desk.ts';
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
  served = await serveControl({ path: socket, desk, trouble: () => undefined });
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
  async validate(configPath, { byName }) {
    asked.push(['validate', configPath, byName]);
    return { problems: [], warnings: [] };
  },
  async makeKey(path) {
    asked.push(['makeKey', path]);
    return { exit: 0, message: `${path} holds a key` };
  },
  async jsonSchema() {
    return { type: 'object' };
  },
  async direct(order: DirectOrder, tell) {
    asked.push(['direct', order]);
    tell('cf  written  200 ms');
    return { exit: 3, message: 'r53 did not follow' };
  },
  async simulate(order) {
    asked.push(['simulate', order]);
    return { json: [], text: () => 'replayed\n', html: null };
  },
  async audit(configPath) {
    asked.push(['audit', configPath]);
    return { exit: 2, message: `${configPath}: ENOENT` };
  },
  async probe(configPath, what) {
    asked.push(['probe', configPath, what]);
    return what === 'nobody' ? [] : [looked('pass'), looked('fail')];
  },
  async drill(configPath, check) {
    asked.push(['drill', configPath, check]);
    return check === 'nobody/web' ? null : [looked(check === 'tame/web' ? 'pass' : 'fail')];
  },
  async lab(argv) {
    asked.push(['lab', argv]);
    return 0;
  },
};

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

const www = 'www.gslb.example.net';
const orderSwitch = ['switch', www, 'tokyo', '--reason', 'storage fails'];

// ---------------------------------------------------------------- status

const golden = `\
cluster shop  detour 0.1.0  2026-01-02 03:04:05Z  ready
  drained    tokyo by ann for 12m: kernel update

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

test('status shows what is served where and why', async () => {
  const { exit, out, err } = await run(['status']);
  assert.equal(out, golden);
  assert.deepEqual([exit, err], [0, '']);
});

test('a pin shows beside the real health of its target, with the other worries', () => {
  const view = {
    ...sampleView(),
    ready: { ok: false, reasons: ['the store cannot commit'] },
    freeze: { reason: 'zone moves', by: 'bo', sinceAt: at - 60_000 },
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
        targets: [{ ...record().targets[1]!, health: 'down', drained: false }],
        earliestBenefitAt: at + 70_000,
        leftBehind: { share: 0.5, sentence: 'about 50 % still get the old answer', cure: 'wait' },
        cachesExpiredAt: at + 40_000,
        budget: { used: 3, limit: 3, spent: true },
        providers: [provider('cf', { cname: null, seenAt: null, seenBy: null })],
      }),
    ],
  };
  const text = printStatus(view, { columns: 100, colour: false });
  assert.equal(
    text,
    `\
cluster shop  detour 0.1.0  2026-01-02 03:04:05Z  NOT READY
  not ready  the store cannot commit
  frozen     by bo for 1m: zone moves
  reload     refused 5s ago, 2 errors; the configuration before it holds

www.gslb.example.net  observe: decided and journalled, never written  epoch 7  switching
  target   hangzhou (hz.shop.example), decided 3h 12m ago, RETIRED: no longer configured, never
           written again
  stays    target-up: hangzhou is up and preferred
  pin      tokyo  now down  by ann, 1h 20m left: until the vendor answers
  move     could help clients from 2026-01-02 03:05:15Z, in 1m 10s
  behind   about 50 % still get the old answer; wait
  caches   the last may hold the old answer for 40s more
  budget   3 of 3 automatic switches used this hour, spent
  TARGET  HEALTH  FOR     CNAME
  tokyo   down    1m 35s  nrt.shop.example
  PROVIDER  STAGE    SERVES   EPOCH  SERVERS  WRITTEN  VISIBLE  SEEN
  cf        visible  nothing      7      4/4   312 ms    1.2 s  never
`,
  );
});

test('status fits 80 columns and is the same text under its colours', () => {
  const view = sampleView();
  const plain = printStatus(view, { columns: 80, colour: false });
  for (const line of plain.split('\n')) assert.ok(line.length <= 80, line);
  const coloured = printStatus(view, { columns: 80, colour: true });
  assert.notEqual(coloured, plain);
  assert.equal(stripVTControlCharacters(coloured), plain);
});

test('status of one record shows the origins and lanes it depends on, however it is typed', async () => {
  const other = record({ name: 'api.gslb.example.net.', targets: [], providers: [] });
  desk.view = { ...desk.view, records: [other, ...desk.view.records] };
  for (const typed of [www, `${www}.`, www.toUpperCase()]) {
    assert.equal((await run(['status', typed])).out, golden);
  }
  const one = await run(['status', 'api.gslb.example.net']);
  assert.ok(!one.out.includes('aliyun') && !one.out.includes('cloudflare'), one.out);
  const none = await run(['status', 'nope.example.net']);
  assert.equal(none.exit, 2);
  assert.match(none.err, /no record nope\.example\.net: there are api\.gslb.*, www\.gslb/);
});

test('status --json is the view, narrowed to the record', async () => {
  const { out } = await run(['status', '--json']);
  assert.deepEqual(JSON.parse(out), JSON.parse(JSON.stringify(desk.view)));
  assert.equal(JSON.parse((await run(['status', www, '--json'])).out).records.length, 1);
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
    drains: [{ what: evil, reason: evil, by: evil, sinceAt: at }],
    records: [
      {
        ...first!,
        stay: { reason: evil as StayReason, sentence: evil },
        providers: [provider(evil, { problem: evil, cname: evil })],
      },
    ],
    lanes: [{ ...desk.view.lanes[0]!, detail: evil }],
  };
  const { out } = await run(['status']);
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
      const printed = printStatus(view, { columns, colour: false });
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
  const { exit, out } = await run(['status', '--watch'], {
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
  assert.match(out, /\(\d+ more lines: name a record\)/);
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
      desk.status = () => {
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
  const document = JSON.parse(out);
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
  assert.match((await run(['switch', www, 'tokyo', '--reason', ' '])).err, /--reason is empty/);
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
  };
  assert.deepEqual(asked, [['direct', order]]);
  const inJson = await run([...argv, '--json']);
  assert.deepEqual(JSON.parse(inJson.out), { exit: 3, message: 'r53 did not follow' });
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
    [['unpin', www], { kind: 'unpin', record: name, by }],
    [['drain', 'aliyun', '--reason', 'r'], { kind: 'drain', what: 'aliyun', reason: 'r', by }],
    [['undrain', 'aliyun'], { kind: 'undrain', what: 'aliyun', by }],
    [['freeze', '--reason', 'r'], { kind: 'freeze', record: null, reason: 'r', by }],
    [['freeze', www, '--reason', 'r'], { kind: 'freeze', record: name, reason: 'r', by }],
    [['unfreeze'], { kind: 'unfreeze', record: null, by }],
    [['unfreeze', www], { kind: 'unfreeze', record: name, by }],
    [['ack', www], { kind: 'ack', record: name, by, reject: false, dryRun: false }],
    [['ack', www, '--reject'], { kind: 'ack', record: name, by, reject: true, dryRun: false }],
  ];
  for (const [argv, command] of cases) {
    const { kind } = command as { kind: string };
    assert.deepEqual(await run(argv), { exit: 0, out: `done: ${kind}\n`, err: '' });
    assert.deepEqual(desk.commands.pop(), command);
    const inJson = await run([...argv, '--json']);
    assert.deepEqual(JSON.parse(inJson.out), { exit: 0, message: `done: ${kind}` });
    desk.commands.pop();
  }
});

test('a reason is wanted where the design wants one', async () => {
  for (const argv of [['pin', www], ['drain', 'aliyun'], ['freeze']]) {
    const { exit, err } = await run(argv);
    assert.equal(exit, 2);
    assert.match(err, /required option '--reason <text>'/);
  }
  assert.deepEqual(desk.commands, []);
});

test('what the daemon finds malformed is wrong input here too', async () => {
  const { exit, err } = await run(['ack', 'no_dots']);
  assert.equal(exit, 2);
  assert.match(err, /record: expected a DNS name/);
});

test("reload shows the daemon's answer", async () => {
  const { exit, err } = await run(['reload']);
  assert.equal(exit, 2);
  assert.equal(err, 'detour: detour.yaml:3:1: expected a mapping\n  what was in force stays\n');
  assert.equal(desk.reloads, 1);
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
  assert.deepEqual(inJson, [desk.entries[0]]);
  assert.deepEqual(desk.queries, [{ limit: 50 }, { record: `${www}.`, limit: 1 }]);
  for (const bad of ['0', '10001', '1.5', 'x', '-1']) {
    assert.equal((await run(['history', '-n', bad])).exit, 2, bad);
  }
  assert.equal((await run(['history', '-'])).exit, 2);
  desk.entries = [];
  assert.equal((await run(['history'])).out, 'nothing has happened yet\n');
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
    assert.equal(JSON.parse(inJson.out).exit, 1);
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
    ['run', 'a.yaml', { json: true, newState: false }],
    ['run', '/etc/detour/detour.yaml', { json: false, newState: false }],
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
  assert.deepEqual(JSON.parse(inJson.out), { exit: 2, ...(await validate()) });
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
    ...['ack', 'history', 'reload', 'run', 'validate', 'lab'],
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
  assert.equal((await run(['probe', 'nobody', '-c', 'x.yaml'])).exit, 2);
});

test('a drill tells the daemon that a check can fail, and refuses one that cannot', async () => {
  const ran = await run(['drill', 'check', 'hangzhou/web', '-c', 'x.yaml', '--socket', socket]);
  assert.equal(ran.exit, 0, ran.err);
  assert.deepEqual(desk.commands.at(-1)?.kind, 'drilled');
  const tame = await run(['drill', 'check', 'tame/web', '-c', 'x.yaml', '--socket', socket]);
  assert.equal(tame.exit, 1);
  assert.match(tame.err, /did not fail when it had to/);
  assert.equal((await run(['drill', 'check', 'nobody/web', '-c', 'x.yaml'])).exit, 2);
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
        alternatives: [{ origin: 'beijing', why: 'drained' }],
      },
    },
  ];
  const ran = await run(['explain', 'abc123', '--socket', socket]);
  assert.equal(ran.exit, 0, ran.err);
  for (const part of ['target-down', '3 failed in a row', 'beijing', 'drained', 'visible after']) {
    assert.ok(ran.out.includes(part), part);
  }
  assert.equal((await run(['explain', 'nothing', '--socket', socket])).exit, 1);
});
