// What commands print with --json against the shapes that are promised: the real engine's view, an
// audit's report, every kind of answer. A key that no shape names fails here, and so does a shape that
// the exported JSON Schema does not hold.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { z } from 'zod';
import type { Hands, InitReport, Io } from '../../src/cli/hands.ts';
import { buildProgram, runCli } from '../../src/cli/index.ts';
import { documents, schemaOf } from '../../src/cli/schema.ts';
import { type AuditReport, gradesOf } from '../../src/core/audit.ts';
import { type RecordView, view, withAudit } from '../../src/core/view.ts';
import { serveControl } from '../../src/serve/control.ts';
import type { Served } from '../../src/serve/desk.ts';
import { Readers } from '../../src/serve/readers.ts';
import { coreConfig, World } from '../core/world.ts';
import { at, provider, record, type StandIn, standIn, waiting, wall } from './desk.ts';

let directory: string;
let socket: string;
let desk: StandIn;
let served: Served;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'detour-'));
  socket = join(directory, 'control.sock');
  desk = standIn();
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

const answer = {
  ...{ check: 'hangzhou/web', path: 'line-a', outcome: 'fail', reason: 'status' },
  ...{ detail: 'status 503', ms: 12, phases: { connectMs: 3 }, certificateDays: 40 },
} as const;

const report: AuditReport = {
  wall,
  tookMs: 312,
  complete: true,
  grades: gradesOf([{ word: 'delegation', severity: 'bad' }]),
  findings: [
    {
      word: 'delegation',
      severity: 'bad',
      sentence: 'it is not',
      cure: null,
      provider: 'cf',
      zone: 'example.net.',
      record: null,
    },
  ],
  surveys: [
    {
      ...{ provider: 'cf', record: 'www.example.net.', share: 0.5, parentTtl: 172_800 },
      ...{ negativeTtl: 300, bar: null },
    },
  ],
  standbys: [
    {
      ...{ record: 'www.example.net.', target: 'tokyo', word: 'unfit', why: 'a block page' },
      certificateDays: 61,
    },
  ],
};

const wanted = [{ what: 'a second target', cure: 'give it' }];
const firstLook: InitReport = {
  ...{ exit: 3, message: 'one thing is still missing', tookMs: 12 },
  asked: { names: ['www.shop.example.'], providers: ['cf'], tries: true },
  names: [
    {
      ...{ typed: 'www.shop.example.', record: 'www.example.net.', takenFor: 'public-name' },
      ...{ why: 'it leads there', chain: ['www.shop.example.', 'www.example.net.'] },
    },
  ],
  seen: [
    {
      ...{ record: 'www.example.net.', provider: 'cf', state: 'found', zone: 'example.net.' },
      ...{ values: [{ value: 'a.example.', ttl: 60 }], sentence: 'CNAME a.example.' },
    },
  ],
  delegation: [{ zone: 'example.net.', names: null, detail: 'timeout' }],
  findings: [
    {
      ...{ provider: 'cf', zone: 'example.net.', word: 'zone', severity: 'warn' },
      ...{ sentence: 'it is paused', cure: null },
    },
  ],
  written: [{ file: '/x/detour.yaml', what: 'the configuration' }],
  ...{ missing: wanted, look: wanted, next: ['detour validate -c /x/detour.yaml'] },
};

const hands = {
  version: '1',
  validate: async () => ({ problems: ['a:1:1: x'], warnings: [], votes: 'web  1 of 1\n' }),
  probe: async () => [answer],
  drill: async () => [answer],
  installService: async () => ({ exit: 0, message: 'done', detail: { steps: [] } }),
  makeKey: async () => ({ exit: 0, message: 'made' }),
  report: async () => ({ json: { month: '2026-05', rows: [] }, text: '' }),
  init: async () => firstLook,
  breakGlass: async () => ({
    cluster: 'shop',
    records: [
      {
        record: 'www.gslb.example.net.',
        moves: [{ target: 'tokyo', cname: 'a.example.', vendors: [] }],
      },
    ],
  }),
  channels: async () => [
    { name: 'chat', type: 'webhook', severity: ['page'], records: null, quietMs: 0 },
  ],
  tryChannels: async () => [{ channel: 'chat', state: 'open', ms: 7, why: 'status 500' }],
  simulate: async () => ({ json: [{ id: 'a' }], text: () => '', html: null }),
} as unknown as Hands;

async function printed(...argv: string[]): Promise<unknown> {
  let out = '';
  const io = {
    out: (text: string) => {
      out += text;
    },
    err: () => {},
    exit: () => {},
    env: { DETOUR_SOCKET: socket },
    user: 'ann',
    terminal: false,
    interactive: false,
    colour: false,
    columns: () => 100,
    rows: () => 40,
    confirm: async () => false,
    interrupted: () => () => undefined,
  } satisfies Io;
  await runCli([...argv, '--json'], hands, io);
  assert.equal(out.split('\n').length, 2, `${argv[0]} prints one line`);
  return JSON.parse(out);
}

type Name = keyof typeof documents;

/** Against the strict shape, and against what is exported of it. */
function holds(name: Name, document: unknown): void {
  const strict = documents[name].safeParse(document);
  assert.ok(strict.success, `${name}: ${strict.error && z.prettifyError(strict.error)}`);
  const exported = z.fromJSONSchema(schemaOf(name) as Parameters<typeof z.fromJSONSchema>[0]);
  const loose = exported.safeParse(document);
  assert.ok(loose.success, `${name}, exported: ${loose.error && z.prettifyError(loose.error)}`);
}

/** A world in which much is the matter, as the engine itself shows it. */
function troubled(): World {
  const world = new World(coreConfig({ providers: ['cf', 'r53'] }));
  const [record] = Object.keys(world.config.records);
  world.hold(record!, 'a.shop.test.');
  world.start();
  world.advance(10_000);
  const by = 'ann';
  const why = { reason: 'r', by, forMs: 3_600_000 };
  world.command({ kind: 'freeze', record: record!, ...why });
  world.command({ kind: 'freeze', record: null, ...why });
  world.command({ kind: 'pin', record: record!, ...why });
  world.command({ kind: 'drain', what: 'b', ...why });
  world.origins.set('a', 'fail');
  world.vendors.get('cf')!.api = 'hang';
  world.advance(60_000);
  return world;
}

test('the shapes hold what the program prints', async () => {
  const trouble = record({
    freeze: { reason: 'r', by: 'ann', sinceAt: at, untilAt: at + 1000 },
    pin: { target: 'tokyo', reason: 'r', by: 'ann', sinceAt: at, untilAt: null },
    leftBehind: { share: null, sentence: 's', cure: 'c' },
    earliestBenefitAt: at,
    cachesExpiredAt: at,
    providers: [provider('cf', { cname: null, seenAt: null, seenBy: null })],
    approval: waiting(),
  });
  const part = [{ provider: 'cf', writtenMs: 1, visibleMs: null }];
  const lastDrill: NonNullable<RecordView['lastDrill']> = {
    ...{ id: 'd', result: 'passed', from: 'hangzhou', to: 'tokyo', byVendor: true, at, ms: 5 },
    ...{ sentence: 'back on hangzhou', parts: part, back: part },
  };
  desk.view = { ...withAudit(desk.view, report), records: [record({ lastDrill }), trouble] };
  desk.entries = [
    { seq: 1, at, wall, kind: 'pin', record: 'www.example.net.', sentence: 's', data: { at } },
  ];
  const entries = desk.entries.map((entry) => ({ ...entry, replica: 'hz-1' }));
  desk.group = () => ({ entries, silent: [] });
  desk.report = report;
  const www = 'www.gslb.example.net';
  const why = ['--reason', 'r'];
  const asked: [Name, string[]][] = [
    ['status', []],
    ['status', [www]],
    ['history', []],
    ['explain', ['1']],
    ['audit', []],
    ['probe', []],
    ['channels', []],
    ['channels', ['test', 'chat']],
    ['drill', ['check', 'hangzhou/web']],
    ['drill', ['live', www, 'tokyo', '--by-vendor', ...why, '--dry-run']],
    ['drill', ['live', www, 'tokyo', ...why, '--wait']],
    ['drill', ['end', www]],
    ['validate', []],
    ['break-glass', []],
    ['version', []],
    ['simulate', []],
    ['report', ['sla']],
    ['switch', [www, 'tokyo', ...why, '--dry-run']],
    ['adopt', [www, 'tokyo', '--dry-run']],
    ['pin', [www, ...why]],
    ['unpin', [www]],
    ['prepare', [www, ...why]],
    ['drain', ['aliyun', ...why]],
    ['undrain', ['aliyun']],
    ['evict', ['ali', ...why, '--dry-run']],
    ['readmit', ['ali', ...why]],
    ['freeze', why],
    ['unfreeze', []],
    ['ack', [www]],
    ['approve', ['9f2c41d0', '--dry-run']],
    ['reject', []],
    ['yield', []],
    ['history', ['--all']],
    ['reload', []],
    ['install-service', ['--dry-run']],
    ['init', ['--key-only', 'x']],
    ['init', ['www.shop.example', '--provider', 'cf=cloudflare']],
  ];
  assert.deepEqual(
    new Set(asked.map(([name]) => name)),
    new Set(Object.keys(documents)),
    'every document is looked at',
  );
  for (const [name, argv] of asked) {
    desk.reply = () => ({
      exit: 0,
      message: 'would do it',
      detail: {
        id: 'd',
        epoch: 8,
        plan: [
          { provider: 'cf', from: null, to: 'b.example.', ttl: 60, problem: null },
          { record: 'www.example.net.', from: 'a', to: null, why: 'pinned' },
        ],
      },
    });
    holds(name, await printed(name, ...argv));
  }
  desk.reply = () => ({ exit: 1, message: 'no' });
  holds('adopt', await printed('adopt', www, 'tokyo'));
});

test('they hold it too where names are written in their own script', async () => {
  const name = 'www.xn--fsqu00a.example.';
  const sentence = 's';
  const finding = { ...report.findings[0]!, record: name };
  desk.report = {
    ...report,
    findings: [finding],
    surveys: [{ ...report.surveys[0]!, record: name }],
  };
  desk.view = {
    ...withAudit(desk.view, desk.report),
    spelling: { 'xn--fsqu00a': '例子' },
    records: [record({ name })],
    notices: [{ key: 'k', severity: 'page', record: name, sentence, sinceAt: at }],
  };
  desk.entries = [{ seq: 1, at, wall, kind: 'pin', record: name, sentence, data: null }];
  desk.reply = () => ({
    ...{ exit: 0, message: 'would do it' },
    detail: { plan: [{ record: name, from: 'a', to: null, why: 'pinned' }] },
  });
  const asked = ['status', 'history', 'audit', 'explain', 'drain'] as const;
  for (const command of asked) {
    const rest = { explain: ['1'], drain: ['aliyun', '--reason', 'r', '--dry-run'] };
    const document = await printed(command, ...((rest as Record<string, string[]>)[command] ?? []));
    holds(command, document);
    assert.match(JSON.stringify(document), /"shown":"www\.例子\.example"/, command);
  }
});

test('a switch that is followed is one document, with the record as it was last seen', async () => {
  const id = '00112233aabbccdd';
  desk.reply = () => ({ exit: 0, message: 'goes', detail: { id, epoch: 7, target: 'hangzhou' } });
  desk.view = { ...desk.view, records: [record({ providers: [provider('cf')] })] };
  const document = await printed('switch', 'www', 'hang', '--reason', 'r');
  holds('switch', document);
  const { exit, record: seen } = document as { exit: number; record: { decidedAt: string } };
  assert.equal(exit, 0);
  assert.match(seen.decidedAt, /^2026-01-01T23:52:05/);
});

test('what the engine itself shows has the shape that is promised', async () => {
  const { state } = troubled();
  assert.ok(state.notices.open.size > 0, 'somebody is wanted');
  desk.view = view(state, { version: '0', reload: { ok: false, at: state.now, errors: 2 } });
  holds('status', await printed('status'));
});

test('a shape that is not kept is noticed', async () => {
  const good = (await printed('status')) as { records: object[] };
  assert.throws(() => holds('status', { ...good, surplus: 1 }), /surplus/);
  assert.throws(() => holds('status', { ...good, time: 12 }), /time/);
  assert.throws(() => holds('status', { ...good, version: 2 }), /version/);
  const loose = z.fromJSONSchema(schemaOf('status') as Parameters<typeof z.fromJSONSchema>[0]);
  assert.ok(loose.safeParse({ ...good, surplus: 1 }).success, 'what is added later is read over');
});

test('every command that takes --json has a shape, and `detour schema` prints it', async () => {
  const program = buildProgram(hands);
  const taking = program.commands
    .filter((c) => !['lab', 'run', 'schema', 'completion', 'complete', 'man'].includes(c.name()))
    .map((c) => c.name());
  assert.deepEqual(taking.toSorted(), Object.keys(documents).toSorted());
  const { $defs } = JSON.parse(JSON.stringify(schemaOf(null)));
  assert.deepEqual(Object.keys($defs).toSorted(), Object.keys(documents).toSorted());
  let out = '';
  const say = (text: string) => {
    out += text;
  };
  const io = { out: say, err() {}, exit() {}, env: {} } as unknown as Io;
  assert.equal(await runCli(['schema', 'stat'], hands, io), 0);
  assert.deepEqual(JSON.parse(out).required.slice(0, 3), ['version', 'time', 'detour']);
  assert.equal(await runCli(['schema', 'nothing'], hands, io), 2);
});
