// The channels' own duties, with stand-in ways to tell and a clock moved by hand: who is told what, in
// which order, how often it is tried, when it is given up, and that no channel is any other's trouble.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json, Notice, NoticeSeverity } from '../../src/core/model.ts';
import type { Notifier, Told } from '../../src/kit/extend.ts';
import type { Rule } from '../../src/notify/channel.ts';
import { type Channels, createChannels, type LinkFor } from '../../src/notify/channels.ts';
import { TellError } from '../../src/notify/fault.ts';
import { valuesOf } from '../../src/notify/template.ts';
import { HandClock, settled } from '../parts/hand-clock.ts';

const WWW = 'www.gslb.test.';
const everything: Rule = { severity: ['page', 'warn', 'info'], records: null, quietMs: 0 };
const minute = 60_000;
const hour = 60 * minute;

/** Whoever is told: keeps it, and answers as the test wants. */
class Ear implements Notifier<Told> {
  readonly heard: Told[] = [];
  tries = 0;
  way: 'ok' | 'refuses' | 'hangs' | 'final' = 'ok';
  readonly signals: AbortSignal[] = [];

  async notify(told: Told, signal: AbortSignal): Promise<void> {
    this.tries++;
    this.signals.push(signal);
    if (this.way === 'hangs') await new Promise(() => {});
    if (this.way === 'refuses') throw new TellError('status 503');
    if (this.way === 'final') throw new TellError('status 400', { isFinal: true });
    this.heard.push(told);
  }

  said(): string[] {
    return this.heard.map(({ key, state }) => `${key} ${state}`);
  }
}

/** Alertmanager's kind: it forgets. */
class Forgetful extends Ear {
  readonly refreshMs = minute;
  readonly again: string[][] = [];

  async refresh(open: readonly Told[]): Promise<void> {
    this.again.push(open.map(({ key, since }) => `${key} ${since}`));
  }
}

class Desk {
  readonly clock = new HandClock();
  readonly troubles: string[] = [];
  readonly ears: Record<string, Ear>;
  channels: Channels;

  constructor(
    ears: Record<string, Ear>,
    rules: Record<string, Partial<Rule>> = {},
    link?: LinkFor,
  ) {
    this.ears = ears;
    this.channels = this.make(rules, link);
  }

  make(rules: Record<string, Partial<Rule>>, linkFor?: LinkFor, names = Object.keys(this.ears)) {
    return createChannels({
      cluster: 'shop',
      replica: null,
      clock: this.clock,
      apiUrl: null,
      linkFor,
      specs: names.map((name) => ({
        name,
        notifier: this.ears[name]!,
        rule: { ...everything, ...rules[name] },
      })),
      trouble: (sentence) => void this.troubles.push(sentence),
    });
  }

  async tell(...notices: readonly Notice[]): Promise<void> {
    for (const notice of notices) void this.channels.notify(notice, new AbortController().signal);
    this.channels.flush();
    await settled();
  }

  figures(name: string) {
    return this.channels.figures().find(({ channel }) => channel === name)!;
  }
}

function notice(
  state: Notice['state'],
  severity: NoticeSeverity = 'page',
  more: { key?: string; record?: string; sentence?: string; data?: Json } = {},
): Notice {
  const kind = state === 'closed' ? 'recovered' : state === 'news' ? 'switch' : 'needs-person';
  const { key = 'stay/www/blind', record = WWW, sentence = 'blind', data = {} } = more;
  return { kind, key, state, severity, record, sentence, data };
}

test('a channel is told what opens and what closes, with all that belongs to it', async () => {
  const ear = new Ear();
  const desk = new Desk({ ear });
  await desk.tell(notice('open'));
  await desk.clock.advance(5000);
  await desk.tell(notice('closed'));
  assert.deepEqual(ear.said(), ['stay/www/blind open', 'stay/www/blind closed']);
  const [open, closed] = ear.heard as [Told, Told];
  assert.equal(open.cluster, 'shop');
  assert.equal(open.dedup, 'shop/stay/www/blind');
  assert.equal(open.explain, 'detour explain stay/www/blind');
  assert.equal(open.time, '2026-01-01T00:00:00.000Z');
  assert.equal(closed.time, '2026-01-01T00:00:05.000Z');
  assert.equal(closed.since, open.time, 'when it began');
  assert.notEqual(closed.id, open.id);
  await desk.tell(notice('news', 'info', { data: { id: '9f2c41d0aa17be03' } }));
  assert.equal(ear.heard[2]!.explain, 'detour explain 9f2c41d0aa17be03');
});

test('a record is told of as people write it, and known by its name in ASCII', async () => {
  const ear = new Ear();
  const record = 'www.xn--fsqu00a.test.';
  const channels = createChannels({
    ...{ cluster: 'shop', replica: null, clock: new HandClock(), apiUrl: null, trouble: () => {} },
    spelling: { 'xn--fsqu00a': '例子' },
    specs: [
      { name: 'ear', notifier: ear, rule: { ...everything, records: ['*.xn--fsqu00a.test'] } },
    ],
  });
  const sentence = `${record}: blind`;
  void channels.notify(notice('open', 'page', { record, sentence }), new AbortController().signal);
  void channels.notify(notice('open', 'page', { key: 'k' }), new AbortController().signal);
  channels.flush();
  await settled();
  const [told] = ear.heard as [Told];
  assert.deepEqual([ear.heard.length, told.record, told.shown], [1, record, 'www.例子.test']);
  assert.equal(told.sentence, 'www.例子.test.: blind');
  const values = valuesOf(told, null);
  assert.deepEqual(
    [values['record'], values['title']],
    [...['www.xn--fsqu00a.test', '[shop] page: www.例子.test']],
  );
});

test('severity and records say who is told; what was told open is told closed', async () => {
  const [pages, warns, shop] = [new Ear(), new Ear(), new Ear()];
  const desk = new Desk(
    { pages, warns, shop },
    {
      pages: { severity: ['page'] },
      warns: { severity: ['warn'] },
      shop: { records: ['*.shop.test'] },
    },
  );
  await desk.tell(notice('open', 'warn', { key: 'k' }), notice('news', 'info', { key: 'n' }));
  assert.deepEqual([pages.said(), warns.said(), shop.said()], [[], ['k open'], []]);
  // It becomes a page: whoever was told of the warning hears its end, though that is a page's.
  await desk.tell(notice('open', 'page', { key: 'k' }), notice('closed', 'page', { key: 'k' }));
  assert.deepEqual(pages.said(), ['k open', 'k closed']);
  assert.deepEqual(warns.said(), ['k open', 'k closed']);
  await desk.tell(notice('open', 'page', { key: 'a', record: 'www.shop.test.' }));
  await desk.tell({ ...notice('open', 'page', { key: 'store' }), record: null });
  assert.deepEqual(shop.said(), ['a open', 'store open'], 'what is about no record goes to all');
});

test('repeats are quiet for as long as is set; what is worse or another decision is none', async () => {
  const ear = new Ear();
  const desk = new Desk({ ear }, { ear: { quietMs: hour } });
  await desk.tell(notice('open', 'warn'), notice('closed', 'warn'));
  await desk.clock.advance(10 * minute);
  ear.heard.length = 0;
  // It opens and closes again within the hour: of neither is anybody told.
  await desk.tell(notice('open', 'warn'));
  await desk.tell(notice('closed', 'warn'));
  assert.deepEqual(ear.said(), []);
  assert.equal(desk.figures('ear').quieted, 2);
  // It opens and stays: it is told when the hour is over, and its end as well.
  await desk.tell(notice('open', 'warn'));
  await desk.clock.advance(49 * minute);
  assert.deepEqual(ear.said(), []);
  await desk.clock.advance(2 * minute);
  assert.deepEqual(ear.said(), ['stay/www/blind open']);
  await desk.tell(notice('open', 'page'));
  assert.equal(ear.heard.at(-1)!.severity, 'page', 'what is worse is no repeat');
  await desk.tell(notice('closed', 'page'));
  assert.equal(ear.heard.at(-1)!.state, 'closed');
  ear.heard.length = 0;
  const approval = (id: string) =>
    notice('open', 'page', { key: 'approval/www', data: { approval: id } });
  await desk.tell(approval('a'), notice('closed', 'page', { key: 'approval/www' }));
  await desk.tell(approval('b'));
  assert.equal(ear.heard.at(-1)!.explain, 'detour explain b', 'another decision is no repeat');
  const news = (sentence: string) => notice('news', 'info', { key: 'switch/www', sentence });
  ear.heard.length = 0;
  await desk.tell(news('a -> b'), news('b -> a'));
  await desk.tell(news('b -> a'));
  assert.deepEqual(
    ear.heard.map(({ sentence }) => sentence),
    ['a -> b', 'b -> a'],
  );
});

test('what fails is tried again, later each time, until its time is over, and never after', async () => {
  const ear = new Ear();
  ear.way = 'refuses';
  const desk = new Desk({ ear });
  await desk.tell(notice('open', 'info'));
  await desk.clock.advance(3500);
  assert.equal(ear.tries, 3, 'at once, after 1 s, after 2 s more');
  await desk.clock.advance(20 * minute);
  const { tries } = ear;
  assert.ok(tries > 10 && tries < 25, `${tries} tries in a quarter of an hour`);
  assert.deepEqual(desk.figures('ear').dropped['gave-up'], 1);
  assert.ok(desk.troubles.some((t) => t.includes('not told of stay/www/blind (info, open)')));
  await desk.clock.advance(24 * hour);
  assert.equal(ear.tries, tries, 'given up is given up');
  ear.way = 'ok';
  await desk.tell(notice('open', 'page', { key: 'k' }));
  assert.deepEqual(ear.said(), ['k open']);
  assert.equal(desk.figures('ear').failing, false);
});

test('what is refused for good is not tried again', async () => {
  const ear = new Ear();
  ear.way = 'final';
  const desk = new Desk({ ear });
  await desk.tell(notice('open'));
  await desk.clock.advance(hour);
  assert.deepEqual([ear.tries, desk.figures('ear').dropped.refused], [1, 1]);
});

test('a channel that hangs, and one that refuses, delay no other', async () => {
  const [stuck, dead, well] = [new Ear(), new Ear(), new Ear()];
  stuck.way = 'hangs';
  dead.way = 'refuses';
  const desk = new Desk({ stuck, dead, well });
  for (let i = 0; i < 20; i++) await desk.tell(notice('open', 'page', { key: `k${i}` }));
  assert.equal(well.heard.length, 20, 'all at once, with no time gone by');
  assert.equal(stuck.tries, 4, 'so many are under way at most');
  await desk.clock.advance(31_000);
  assert.ok(stuck.signals[0]!.aborted, 'what hangs is ended at its deadline');
  assert.ok(stuck.signals.length <= 8 + 4, 'and what heeds no signal is not begun without end');
});

test('a page waits while what matters less is given up, the oldest of it first', async () => {
  const ear = new Ear();
  ear.way = 'refuses';
  const desk = new Desk({ ear });
  await desk.tell(notice('open', 'page', { key: 'first' }));
  for (let i = 0; i < 300; i++) await desk.tell(notice('news', 'info', { key: `i${i}` }));
  for (let i = 0; i < 300; i++) await desk.tell(notice('open', 'warn', { key: `w${i}` }));
  const { dropped, waiting } = desk.figures('ear');
  assert.equal(waiting, 500);
  assert.equal(dropped.overflow, 101);
  assert.ok(desk.troubles.some((t) => t.includes('not told of i0 ')));
  assert.ok(!desk.troubles.some((t) => /not told of (first|w0|i150) /.test(t)));
});

test('a newer word takes the place of one that waits; a closing is never left out', async () => {
  const ear = new Ear();
  ear.way = 'refuses';
  const desk = new Desk({ ear });
  await desk.tell(notice('open'));
  await desk.tell(notice('open', 'page', { sentence: 'worse' }), notice('closed'));
  ear.way = 'ok';
  await desk.clock.advance(hour);
  assert.deepEqual(ear.said(), ['stay/www/blind closed']);
  assert.ok(desk.figures('ear').quieted >= 1);
});

test('the others say that a channel fails, and that it works again', async () => {
  const [dead, well] = [new Ear(), new Ear()];
  dead.way = 'refuses';
  const desk = new Desk({ dead, well });
  await desk.tell(notice('open'));
  await desk.clock.advance(3 * minute);
  assert.deepEqual(well.said(), ['stay/www/blind open', 'channel/dead open']);
  const told = well.heard[1]!;
  assert.equal(told.severity, 'warn');
  assert.match(told.sentence, /channel dead does not get through \(status 503\)/);
  assert.equal(told.explain, 'detour channels test dead');
  dead.way = 'ok';
  await desk.clock.advance(2 * minute);
  assert.deepEqual(well.said().at(-1), 'channel/dead closed');
  assert.deepEqual(dead.said(), ['stay/www/blind open'], 'it is not told of itself');
});

test('after a restart nobody is told again but who forgets; what is open is closed', async () => {
  const [ear, forgetful] = [new Ear(), new Forgetful()];
  const desk = new Desk({ ear, forgetful }, { ear: { severity: ['warn'] } });
  const sinceAt = desk.clock.now() - hour;
  const one = { key: 'k', severity: 'warn', record: WWW, sentence: 's', sinceAt } as const;
  let open = [one, { ...one, key: 'never-told', sinceAt: null }];
  desk.channels.start(() => open);
  await settled();
  assert.deepEqual([ear.said(), forgetful.said()], [[], []]);
  assert.equal(forgetful.again[0]![0], 'k 2025-12-31T23:00:00.000Z', 'with its beginning');
  await desk.tell(notice('closed', 'page', { key: 'k' }));
  open = open.slice(1);
  assert.deepEqual(ear.said(), ['k closed']);
  await desk.clock.advance(2 * minute + 1);
  assert.deepEqual(
    forgetful.again.map((all) => all.length),
    [2, 1, 1],
  );
});

test('a reload hands on what waits, what is open and what is quiet', async () => {
  const [ear, gone] = [new Ear(), new Ear()];
  ear.way = 'refuses';
  const desk = new Desk({ ear, gone }, { ear: { quietMs: hour, severity: ['page'] } });
  await desk.tell(notice('open'));
  const old = desk.channels;
  desk.channels = desk.make({ ear: { quietMs: hour, severity: ['warn'] } }, undefined, ['ear']);
  desk.channels.inherit(old);
  ear.way = 'ok';
  await desk.clock.advance(minute);
  assert.deepEqual(ear.said(), ['stay/www/blind open'], 'once, by the new one');
  assert.equal(desk.figures('ear').failed, 2, 'counts go on');
  await desk.tell(notice('closed'));
  assert.deepEqual(ear.said().at(-1), 'stay/www/blind closed');
});

test('what waits at the end has a moment, and is counted', async () => {
  const [ear, stuck] = [new Ear(), new Ear()];
  stuck.way = 'hangs';
  const desk = new Desk({ ear, stuck });
  for (let i = 0; i < 6; i++) await desk.tell(notice('open', 'page', { key: `k${i}` }));
  const closing = desk.channels.close();
  await desk.clock.advance(2100);
  await closing;
  assert.equal(ear.heard.length, 6);
  assert.equal(desk.figures('stuck').dropped.stopped, 2, 'four were under way');
  await desk.tell(notice('open', 'page', { key: 'late' }));
  assert.equal(ear.heard.length, 6);
});

test('an approval bears the pages where it is answered, of its own channel', async () => {
  const ear = new Ear();
  const linkFor: LinkFor = (_, channel, action) => `https://d.test/v1/link/${channel}-${action}`;
  const desk = new Desk({ ear }, {}, linkFor);
  await desk.tell(notice('open', 'page', { key: 'approval/www', data: { approval: 'a1' } }));
  await desk.tell(notice('open', 'page', { key: 'k' }));
  const [asked, other] = ear.heard as [Told, Told];
  assert.equal(asked.approve, 'https://d.test/v1/link/ear-approve');
  assert.equal(asked.reject, 'https://d.test/v1/link/ear-reject');
  assert.deepEqual([other.approve, other.reject], [null, null]);
});

test('what was told in the turn of a reload is not lost with the old channels', async () => {
  const ear = new Ear();
  const desk = new Desk({ ear });
  void desk.channels.notify(notice('open'), new AbortController().signal);
  const old = desk.channels;
  desk.channels = desk.make({});
  void desk.channels.notify(notice('open', 'page', { key: 'k' }), new AbortController().signal);
  desk.channels.inherit(old);
  await settled();
  assert.deepEqual(ear.said(), ['stay/www/blind open', 'k open']);
});
