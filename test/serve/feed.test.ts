// The page's data as it goes on: what is sent when something changes and when nothing does, what who
// comes again has missed, who is cut off; and the strips of what probes saw.

import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import type { Outcome } from '../../src/core/model.ts';
import { type Board, boardSchema, changeSchema } from '../../src/serve/board.ts';
import { createFeed } from '../../src/serve/feed.ts';
import { Readers } from '../../src/serve/readers.ts';
import { createStrips } from '../../src/serve/strips.ts';
import { changed } from '../../web/src/view.ts';
import { at, record, standIn, wall } from '../cli/desk.ts';
import { until } from '../parts/program.ts';

class Page extends EventEmitter {
  text = '';
  destroyed = false;
  writableLength = 0;
  writeHead(): void {}
  write(part: Buffer | string): boolean {
    this.text += part;
    return true;
  }
  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
  /** What came, in order: `change`, `tick`, `anew`. */
  kinds(): string[] {
    return [...this.text.matchAll(/^event: (\w+)$/gm)].map(([, kind]) => kind!);
  }
  data(kind: string): unknown[] {
    const found = this.text.matchAll(new RegExp(`^event: ${kind}\\ndata: (.*)$`, 'gm'));
    return [...found].map(([, text]) => JSON.parse(text!));
  }
  get asResponse(): ServerResponse {
    return this as unknown as ServerResponse;
  }
}

function feedOf(more: Partial<Parameters<typeof createFeed>[0]> = {}) {
  const desk = standIn();
  const troubles: string[] = [];
  const feed = createFeed({
    ...{
      desk,
      readers: new Readers({ share: 1 }),
      names: true,
      everyMs: 5,
      hurryMs: 1,
      lingerMs: 0,
    },
    trouble: (what, detail) => void troubles.push(`${what}: ${detail}`),
    ...more,
  });
  const board = async () => boardSchema.parse(JSON.parse((await feed.board()).toString()));
  return { desk, feed, board, troubles };
}

const always = () => true;

test('a change bears what changed and nothing else, and makes the board what it is', async () => {
  const { desk, feed, board } = feedOf();
  const other = record({ name: 'api.gslb.example.net.' });
  desk.view = { ...desk.view, records: [...desk.view.records, other] };
  const before = await board();
  const page = new Page();
  assert.ok(feed.follow(page.asResponse, before.rev, always));
  await until('it hears that nothing changed', 2000, () => page.kinds().includes('tick'));
  assert.deepEqual([...new Set(page.kinds())], ['tick'], 'what it has is what there is');
  desk.view = { ...desk.view, records: [record({ target: 'tokyo' }), other] };
  await until('it hears of it', 2000, () => page.kinds().includes('change'));
  const [change] = page.data('change').map((one) => changeSchema.parse(one));
  assert.deepEqual(
    change!.records?.map(({ name, target }) => [name, target]),
    [['www.gslb.example.net.', 'tokyo']],
  );
  assert.equal(change!.origins, undefined);
  assert.equal(change!.rest, undefined);
  const { at: _at, wall: _wall, ...now } = changed(before, change!) as Board;
  const { at: _a, wall: _w, ...anew } = await board();
  assert.deepEqual(now, anew);
  feed.close();
  assert.ok(page.destroyed);
});

test('who comes again gets what was missed; whom nobody knows begins anew', async () => {
  const { desk, feed, board } = feedOf();
  const { rev } = await board();
  const first = new Page();
  feed.follow(first.asResponse, rev, always);
  desk.view = { ...desk.view, records: [record({ target: 'tokyo' })] };
  await until('a change', 2000, () => first.kinds().includes('change'));
  const again = new Page();
  feed.follow(again.asResponse, rev, always);
  await until('what was missed', 2000, () => again.text.includes('"target":"tokyo"'));
  for (const after of [null, 'ffffffffffff-1', `${rev.split('-')[0]}-999`, 'x']) {
    const stranger = new Page();
    feed.follow(stranger.asResponse, after, always);
    await until('it is told', 2000, () => stranger.kinds()[0] === 'anew');
  }
  // Other records than before: the board is another.
  desk.view = { ...desk.view, records: [record({ name: 'new.gslb.example.net.' })] };
  await until('all begin anew', 2000, () => first.kinds().at(-1) !== 'change');
  await until('all begin anew', 2000, () => first.kinds().includes('anew'));
  assert.deepEqual(
    (await board()).records.map(({ name }) => name),
    ['new.gslb.example.net.'],
  );
  feed.close();
});

test('who may not look any more, or does not take what is sent, is cut off', async () => {
  const { feed, board } = feedOf({ most: 3 });
  const { rev } = await board();
  const [put, slow, good] = [new Page(), new Page(), new Page()];
  let may = true;
  feed.follow(put.asResponse, rev, () => may);
  feed.follow(slow.asResponse, rev, always);
  feed.follow(good.asResponse, rev, always);
  assert.ok(!feed.follow(new Page().asResponse, rev, always), 'there is no more room');
  await until('all hear', 2000, () => [put, slow, good].every((one) => one.text.includes('tick')));
  may = false;
  slow.writableLength = 2 << 20;
  await until('both are gone', 2000, () => put.destroyed && slow.destroyed);
  assert.ok(!good.destroyed);
  assert.ok(feed.follow(new Page().asResponse, rev, always), 'there is room again');
  feed.close();
});

test('while nobody looks nothing is made, and a fault is told and outlived', async () => {
  const { desk, feed, board, troubles } = feedOf();
  let asked = 0;
  const { status } = desk;
  desk.status = async () => {
    asked++;
    return status();
  };
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(asked, 0);
  const page = new Page();
  feed.follow(page.asResponse, (await board()).rev, always);
  await until('it is looked at', 2000, () => asked > 3);
  desk.status = async () => {
    throw new Error('a fault of ours');
  };
  await until('it is told', 2000, () => troubles.length > 0);
  assert.match(troubles[0]!, /^serve: a fault of ours/);
  desk.status = status;
  const ticks = page.kinds().length;
  await until('it goes on', 2000, () => page.kinds().length > ticks);
  page.destroy();
  feed.close();
  assert.equal(desk.watchers.size, 0);
});

test('what was journalled is there soon, the newest first', async () => {
  const { desk, feed, board } = feedOf({ everyMs: 60_000 });
  const page = new Page();
  feed.follow(page.asResponse, (await board()).rev, always);
  await until('it follows', 2000, () => page.kinds().length > 0);
  desk.entries = [
    {
      seq: 9,
      at,
      wall,
      kind: 'switch',
      record: null,
      sentence: 'moved',
      data: { from: 'a', to: 'b' },
    },
  ];
  for (const tell of desk.watchers) tell();
  await until('it is there', 2000, () => page.text.includes('"sentence":"moved"'));
  feed.close();
});

// ---------------------------------------------------------------- strips

function stripsOf() {
  let now = 1_000_000;
  const strips = createStrips({ now: () => now, wall: () => now + 5 });
  return {
    ...strips,
    strips: strips.strips.bind(strips),
    pass: (ms: number) => (now += ms),
    see(check: string, outcome: Outcome, ms = 10) {
      const seen = { outcome, startedAt: now - ms, endedAt: now, reason: 'x', detail: '' };
      strips.observer.probed!(check, 'line-a', { ...seen, phases: {} });
    },
  };
}

test('a strip holds the worst of each piece, the slowest answer, and forgets', () => {
  const s = stripsOf();
  for (const outcome of ['pass', 'fail', 'pass'] as const) s.see('tokyo/web', outcome);
  s.pass(5000);
  s.see('tokyo/web', 'pass', 12);
  s.pass(10_000);
  s.see('tokyo/web', 'blind');
  const [strip] = s.strips(['tokyo'], '15m').strips;
  assert.equal(strip!.marks.length, 180);
  assert.match(strip!.marks, /^\.+fp\.b$/);
  assert.deepEqual(strip!.ms.slice(-4), [10, 12, 0, 0]);
  assert.match(s.strips(['tokyo'], '6h').strips[0]!.marks, /^\.+f$/);
  s.pass(900_000);
  assert.match(s.strips(['tokyo'], '15m').strips[0]!.marks, /^\.+$/);
  assert.match(s.strips(['tokyo'], '6h').strips[0]!.marks, /f\.{7}$/);
  assert.deepEqual(s.strips(['nobody'], '15m').strips, []);
});

test('slow is slow beside what is usual of that check by that path', () => {
  const s = stripsOf();
  for (let i = 0; i < 50; i++) s.see('tokyo/web', 'pass', 20);
  s.pass(5000);
  s.see('tokyo/web', 'pass', 60);
  s.pass(5000);
  s.see('tokyo/web', 'pass', 200);
  assert.match(s.strips(['tokyo'], '15m').strips[0]!.marks, /pps$/);
});

test('services of a cloud are found by its name; what is remembered is bounded', () => {
  const s = stripsOf();
  s.see('aliyun:oss', 'pass');
  assert.equal(s.strips(['aliyun'], '15m').strips[0]!.check, 'aliyun:oss');
  for (let i = 0; i < 10_010; i++) s.see(`o${i}/web`, 'pass');
  const has = (name: string) => s.strips([name], '15m').strips.length;
  assert.deepEqual([has('o1'), has('o10005')], [1, 0]);
  s.pass(3_700_000);
  s.see('o3/web', 'pass');
  s.see('young/web', 'pass');
  assert.deepEqual([has('o1'), has('o3'), has('young')], [0, 1, 1], 'what is gone makes room');
});

test('what another replica said stands while it is heard', () => {
  const s = stripsOf();
  const tell = (outcome: Outcome | null) =>
    s.observer.heard!({
      ...{ replica: 'hz-2', config: '', paths: [], whole: false, records: null },
      ...{ blind: false, acts: false, head: 0, term: 0 },
      sightings:
        outcome === null
          ? []
          : [
              {
                ...{ check: 'tokyo/web', path: 'hz-2/line-a', hash: '', verdict: 'up' as const },
                ...{
                  evidence: 0,
                  recovery: 0,
                  fails: 0,
                  passes: 0,
                  missed: 0,
                  detail: '',
                  outcome,
                },
                ...{ passAgeMs: null, failAgeMs: null, openAgeMs: null, heardAgeMs: 0 },
              },
            ],
    });
  tell('pass');
  for (let i = 0; i < 3; i++) {
    s.pass(5000);
    tell(null);
  }
  s.pass(5000);
  tell('fail');
  s.pass(20_000);
  const [strip] = s.strips(['tokyo'], '15m').strips;
  assert.equal(strip!.replica, 'hz-2');
  assert.match(strip!.marks, /^\.+ppppf\.{4}$/, 'of its silence nothing is said');
});
