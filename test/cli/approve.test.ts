// What waits for a person, at the terminal: said above all else in the status, answered with an id or
// without one, followed until it has moved; and what is printed where it did not.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { type Hands, type Io, runCli } from '../../src/cli/index.ts';
import type { RecordView } from '../../src/core/view.ts';
import { serveControl } from '../../src/serve/control.ts';
import type { Served } from '../../src/serve/desk.ts';
import { Readers } from '../../src/serve/readers.ts';
import { at, provider, record, type StandIn, standIn, waiting } from './desk.ts';

const WWW = 'www.gslb.example.net.';

let directory: string;
let desk: StandIn;
let served: Served;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'detour-'));
  desk = standIn();
  const path = join(directory, 'control.sock');
  served = await serveControl({ path, desk, readers: new Readers(), trouble: () => undefined });
});

afterEach(async () => {
  await served.close();
  rmSync(directory, { recursive: true, force: true });
});

async function run(argv: readonly string[], more: Partial<Io> = {}) {
  let [out, err] = ['', ''];
  const io: Io = {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    exit: () => {},
    env: { DETOUR_SOCKET: join(directory, 'control.sock') },
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
  const exit = await runCli(argv, { version: '1' } as Hands, io);
  return { exit, out, err };
}

const asking = (more: Partial<RecordView> = {}): RecordView =>
  record({
    mode: 'approve',
    stay: { reason: 'awaiting-approval', sentence: 'hangzhou -> tokyo: hangzhou is down; …' },
    approval: waiting(),
    ...more,
  });

/** The daemon takes it: the record moves a moment later, or does not. */
function takes(then: Partial<RecordView>): void {
  desk.reply = (command) => {
    if (command.dryRun === true) return { exit: 0, message: 'would move it' };
    desk.view.records = [
      asking({
        approval: null,
        stay: { reason: 'confirming-target', sentence: 'confirming tokyo' },
      }),
    ];
    setTimeout(() => {
      desk.view.records = [asking({ approval: null, ...then })];
    }, 250);
    const detail = { record: WWW, from: 'hangzhou', target: 'tokyo', id: '9f2c41d0aa17be03' };
    return { exit: 0, message: `${WWW}: hangzhou -> tokyo: goes`, detail };
  };
}

const moved: Partial<RecordView> = {
  target: 'tokyo',
  cname: 'nrt.shop.example.',
  epoch: 8,
  stay: { reason: 'target-up', sentence: 'tokyo is up' },
  providers: [provider('cf', { cname: 'nrt.shop.example.', epoch: 8 })],
};

test('the status says what waits before anything else, and how to answer it', async () => {
  desk.view.records = [asking(), asking({ name: 'api.gslb.example.net.', approval: null })];
  const { out } = await run(['status']);
  const lines = out.split('\n');
  const first = lines.findIndex((line) => line.includes('WAITS'));
  assert.equal(first, 1, 'under the head');
  assert.match(out, /www\.gslb\.example\.net: hangzhou -> tokyo: hangzhou is down \(14m 12s left/);
  assert.match(out, /detour approve 9f2c41d0aa17be03 +detour reject 9f2c41d0aa17be03/);
  const goes = waiting({ goesAt: at + 120_000 });
  desk.view.records = [asking({ approval: goes })];
  const one = await run(['status', 'www']);
  assert.match(one.out, /with no answer it goes by itself in 2m/);
  assert.match(one.out, /hangzhou\/web by line-a down/);
  assert.match(one.out, /hangzhou: in force: down; tokyo: chosen/);
  assert.match(one.out, /approve: moves when a person says so/);
});

test('of many that wait the first are shown and the rest counted', async () => {
  desk.view.records = Array.from({ length: 9 }, (_, i) => asking({ name: `r${i}.example.net.` }));
  const { out } = await run(['status']);
  assert.equal(out.match(/WAITS/g)?.length, 5);
  assert.match(out, /and 4 more: `detour approve` names all/);
});

test('approve without an id where just one waits: it is said by its id, and followed', async () => {
  desk.view.records = [asking()];
  takes(moved);
  const { exit, out } = await run(['approve']);
  assert.deepEqual(desk.commands, [
    { kind: 'approve', id: '9f2c41d0aa17be03', by: 'ann (unverified)' },
  ]);
  assert.equal(exit, 0, out);
  assert.match(out, /confirming tokyo/);
  assert.match(out, /decided +epoch 8: tokyo/);
  assert.match(out, /done: every provider of www\.gslb\.example\.net serves tokyo/);
  desk.view.records = [asking()];
  takes(moved);
  const json = JSON.parse((await run(['approve', '9f2c', '--json'])).out);
  assert.equal(json.exit, 0);
  assert.match(json.outcome, /^done: /);
});

test('what was approved and then stays ends with 1 and why', async () => {
  desk.view.records = [asking()];
  takes({
    stay: { reason: 'no-target-up', sentence: 'hangzhou is down and no other target is up' },
  });
  const { exit, err } = await run(['approve']);
  assert.equal(exit, 1);
  assert.match(err, /www\.gslb\.example\.net stays: hangzhou is down and no other target is up/);
});

test('where several wait nobody guesses; --all is all of them', async () => {
  const api = waiting({ id: 'aaaabbbbccccdddd' });
  desk.view.records = [asking(), asking({ name: 'api.gslb.example.net.', approval: api })];
  const { exit, err } = await run(['approve']);
  assert.equal(exit, 2);
  assert.match(err, /2 decisions wait: say which, or --all/);
  assert.match(err, /detour approve aaaabbbbccccdddd +api\.gslb\.example\.net: hangzhou -> tokyo/);
  assert.deepEqual(desk.commands, []);
  desk.reply = (c) =>
    c.kind === 'reject' && c.id.startsWith('9f')
      ? { exit: 0, message: 'stays' }
      : { exit: 1, message: 'that question is over' };
  const all = await run(['reject', '--all', '--reason', 'not now']);
  assert.equal(all.exit, 3, 'partly done');
  assert.equal(desk.commands.length, 2);
  assert.deepEqual(desk.commands[0], {
    ...{ kind: 'reject', id: '9f2c41d0aa17be03', reason: 'not now', by: 'ann (unverified)' },
  });
  const both = await run(['approve', '--all', 'x1234']);
  assert.equal(both.exit, 2);
});

test('nothing waits, and an id that is none: said clearly', async () => {
  const none = await run(['approve']);
  assert.equal(none.exit, 1);
  assert.match(none.err, /no decision waits for a person/);
  desk.reply = () => ({
    exit: 2,
    message: 'no decision waits under "zzzz": used, over, never asked',
  });
  const unknown = await run(['reject', 'zzzz']);
  assert.equal(unknown.exit, 2);
  assert.match(unknown.err, /no decision waits under "zzzz"/);
});

test('at a terminal what would be written is shown and asked for; no does nothing', async () => {
  desk.view.records = [asking()];
  const questions: string[] = [];
  const confirm = async (question: string) => {
    questions.push(question);
    return false;
  };
  const plan = [{ provider: 'cf', from: 'hz.shop.example.', to: 'nrt.shop.example.', ttl: 60 }];
  desk.reply = () => ({ exit: 0, message: 'would move it', detail: { plan } });
  const { exit, out, err } = await run(['approve'], { interactive: true, confirm });
  assert.equal(exit, 1);
  assert.match(out, /would move it\n {2}cf {2}hz\.shop\.example -> nrt\.shop\.example, ttl 60/);
  assert.match(err, /nothing was done/);
  assert.deepEqual(questions, ['Let it go? [y/N] ']);
  assert.ok(desk.commands.every(({ dryRun }) => dryRun === true));
});
