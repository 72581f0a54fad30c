// Reports out of journals: the month of the great outage comes to what its minutes say, what nobody
// knows is never an outage, nothing is counted twice, months begin where their zone says, and an
// incident is told whole, as text and as a page that is well-formed and fetches nothing.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { objectivesOf } from '../../src/report/objective.ts';
import { type Material, type ReportAsk, report } from '../../src/report/report.ts';
import { type SlaReport, slaOf } from '../../src/report/sla.ts';
import { journalOf, type Places, type Told } from '../../src/report/states.ts';
import { zoneOf } from '../../src/report/zone.ts';
import { alibaba, configOf, entry, health, outage } from './journal.ts';

const config = configOf();
const evening = alibaba(config);
const after = Date.parse('2023-12-05T00:00:00Z');
const nothing: Material = { entries: [], status: null, config, now: after, notes: [] };
const material: Material = { ...nothing, entries: evening.entries };
const hour = 3_600_000;
const places: Places = {
  clouds: { east: ['a'], west: ['b'] },
  records: { 'www.example.net.': ['a', 'b'] },
  ttls: {},
};

interface Month {
  readonly entries: readonly Told[];
  readonly month?: string;
  readonly zone?: string;
  readonly now?: number;
  readonly alive?: boolean;
}

function monthOf({
  entries,
  month = '2026-05',
  zone = 'UTC',
  now,
  alive = true,
}: Month): SlaReport {
  const at = now ?? Date.UTC(2026, 5, 15);
  const each = [...Map.groupBy(entries, ({ replica }) => replica ?? '').values()];
  const journals = each.map((own) => journalOf(own, alive ? at : null));
  const made = slaOf({ month, zone: zoneOf(zone), journals, places, sla: {}, now: at });
  assert.ok(made !== null);
  return made;
}

const rowOf = (made: SlaReport, name: string) => {
  return made.rows.find((row) => row.name === name) ?? assert.fail(`no row ${name}`);
};

describe('the month of 2023-11-12, by the journal of the replay, in Asia/Shanghai', () => {
  const made = report({ kind: 'sla', month: '2023-11' }, material);
  const { rows, from, to } = made.json as SlaReport & Record<'from' | 'to', string>;
  const find = (name: string, service: string | null = null) =>
    rows.find((row) => row.name === name && (service === null || row.service === service))!;

  test('object storage was available for 99.52 %, and the tier gives 10 % back', () => {
    assert.equal(from, '2023-10-31T16:00:00.000Z');
    assert.equal(to, '2023-11-30T16:00:00.000Z');
    const storage = find('aliyun', 'object storage');
    assert.match(made.text, /aliyun: object storage\s+99\.52 %\s+3h 27m/);
    assert.ok(Math.abs(storage.availability - 99.5208) < 0.01, `${storage.availability}`);
    assert.deepEqual(storage.tier, { below: 99.9, credit: 10 });
    assert.equal(storage.windows.length, 1);
    assert.ok(Math.abs(storage.downMs - (outage.to - outage.from)) < 10_000);
    assert.match(made.text, /storage-hz\s+99\.52 %/);
  });

  test('machines ran on, and the record that moved was away for less than a minute', () => {
    assert.equal(find('aliyun', 'machines').downMs, 0);
    assert.equal(find('aliyun', 'machines').tier, null);
    const shop = find('shop.gslb.example.net.');
    assert.ok(shop.downMs > 5_000 && shop.downMs < 60_000, `${shop.downMs}`);
    assert.equal(find('www.gslb.example.net.').downMs, 0);
  });

  test('all but that evening is unknown, and said', () => {
    const { unknownMs, ofKnown } = find('aliyun', 'object storage');
    assert.ok(unknownMs > 29 * 24 * hour);
    assert.ok(ofKnown! < 10);
    assert.match(made.text, /nothing is known: no outage is counted there/);
  });
});

describe('what nobody knows is no outage', () => {
  const t = Date.UTC(2026, 4, 10);

  test('Detour was stopped, or ended without a word', () => {
    const stopped = [
      health(1, t, 'a', 'up'),
      health(2, t + hour, 'a', 'down'),
      entry(3, t + 2 * hour, 'stop'),
      entry(4, t + 5 * hour, 'start'),
      health(5, t + 5 * hour, 'a', 'up'),
    ];
    const row = rowOf(monthOf({ entries: stopped }), 'a');
    assert.equal(row.downMs, hour);
    const killed = stopped.filter(({ kind }) => kind !== 'stop');
    const made = monthOf({ entries: killed });
    assert.equal(rowOf(made, 'a').downMs, 0, 'from its last word on nobody knows');
    assert.ok(made.gaps.some(({ why }) => why.includes('ended without a word')));
  });

  test('health unknown, blindness and a process that stood still', () => {
    const entries = [
      health(1, t, 'a', 'down'),
      health(2, t + hour, 'a', 'unknown'),
      health(3, t + 3 * hour, 'a', 'up'),
      health(4, t + 4 * hour, 'a', 'down'),
      entry(5, t + 7 * hour, 'paused', { forMs: 2 * hour }),
      health(6, t + 7 * hour, 'a', 'up'),
    ];
    const row = rowOf(monthOf({ entries }), 'a');
    assert.equal(row.downMs, 2 * hour);
    assert.ok(row.unknownMs >= 4 * hour);
    const blind = [
      entry(1, t, 'diagnosis', { cloud: 'east', was: 'healthy', diagnosis: 'cloud-down' }),
      entry(2, t + hour, 'diagnosis', { cloud: 'east', was: 'cloud-down', diagnosis: 'blind' }),
      entry(3, t + 3 * hour, 'diagnosis', { cloud: 'east', was: 'blind', diagnosis: 'healthy' }),
    ];
    assert.equal(rowOf(monthOf({ entries: blind }), 'east').downMs, hour);
  });

  test('what was pruned, and what is read without the daemon', () => {
    const entries = [health(700, t, 'a', 'down'), health(701, t + hour, 'a', 'up')];
    const made = monthOf({ entries, alive: false });
    assert.equal(rowOf(made, 'a').downMs, hour);
    assert.equal(rowOf(made, 'a').unknownMs, 31 * 24 * hour - hour);
    assert.ok(made.notes.some((note) => note.includes('pruned')));
    assert.ok(made.gaps.some(({ why }) => why.includes('its daemon was not asked')));
  });
});

describe('each moment is counted once, in its month', () => {
  test('windows of two replicas overlap and are one', () => {
    const t = Date.UTC(2026, 4, 10);
    const of = (replica: string, seq: number, from: number, to: number): Told[] => [
      { ...health(seq, t, 'a', 'up'), replica },
      { ...health(seq + 1, from, 'a', 'down'), replica },
      { ...health(seq + 2, to, 'a', 'up'), replica },
    ];
    const entries = [
      ...of('one', 1, t + hour, t + 3 * hour),
      ...of('two', 1, t + 2 * hour, t + 4 * hour),
    ];
    const row = rowOf(monthOf({ entries }), 'a');
    assert.equal(row.downMs, 3 * hour);
    assert.equal(row.windows.length, 1);
  });

  test('a month begins where its zone says, summer or not', () => {
    const shanghai = zoneOf('Asia/Shanghai').bounds('2026-05')!;
    assert.equal(shanghai.from, Date.UTC(2026, 3, 30, 16));
    const berlin = zoneOf('Europe/Berlin').bounds('2026-03')!;
    assert.equal(berlin.from, Date.UTC(2026, 1, 28, 23));
    assert.equal(berlin.to, Date.UTC(2026, 2, 31, 22));
    assert.equal(zoneOf('UTC').bounds('2026-13'), null);
    const edge = Date.UTC(2026, 3, 30, 16);
    const entries = [
      health(1, edge - 3 * hour, 'a', 'up'),
      health(2, edge - hour, 'a', 'down'),
      health(3, edge + 2 * hour, 'a', 'up'),
    ];
    assert.equal(rowOf(monthOf({ entries, zone: 'Asia/Shanghai' }), 'a').downMs, 2 * hour);
    assert.equal(rowOf(monthOf({ entries, zone: 'UTC' }), 'a').downMs, 0);
    assert.equal(zoneOf('Asia/Shanghai').parse('2023-11-12 17:44'), outage.from);
    assert.equal(zoneOf('UTC').parse('2023-11-12T17:44:00+08:00'), outage.from);
  });

  test('a record is down while what it leads to is, and until its switch is settled', () => {
    const t = Date.UTC(2026, 4, 10);
    const www = 'www.example.net.';
    const entries = [
      health(1, t, 'a', 'up'),
      health(2, t, 'b', 'up'),
      health(3, t + 60_000, 'a', 'down'),
      entry(4, t + 70_000, 'switch', { from: 'a', to: 'b', kind: 'auto' }, www),
      entry(5, t + 72_000, 'settled', { ms: 2000, behind: [] }, www),
      health(6, t + hour, 'a', 'up'),
    ];
    assert.equal(rowOf(monthOf({ entries }), www).downMs, 12_000);
    const observed = entries.map((e) => (e.kind === 'switch' ? { ...e, kind: 'would-switch' } : e));
    assert.equal(rowOf(monthOf({ entries: observed }), www).downMs, hour - 60_000);
  });
});

describe('an incident', () => {
  const ask = { kind: 'incident', record: null, since: null, until: null, format: 'md' } as const;

  test('the last one is found by itself and told from the first failure to the last cache', () => {
    const { text, json } = report(ask, material);
    assert.match(text, /^# Incident, 2023-11-12 17:44:0\d \(Asia\/Shanghai\)/);
    assert.match(text, /storage-hz is down/);
    assert.match(text, /not storage-hz: in force: down/);
    assert.match(text, /\| ali \| 3h 27m \| 3h 27m \| empty by 21:12:/);
    assert.match(text, /at ali: followed at 21:11:\d\d, 3h 27m after the decision/);
    assert.match(text, /objective missed/);
    assert.equal((json as { decisions: readonly unknown[] }).decisions.length, 1);
  });

  test('a diagnosis lasts until the next of its cloud, and healthy is no failure', () => {
    const t = Date.UTC(2026, 4, 10);
    const said = (seq: number, wall: number, diagnosis: string) =>
      entry(seq, wall, 'diagnosis', { cloud: 'east', was: '', diagnosis });
    const entries = [
      health(1, t, 'a', 'up'),
      health(2, t + 1000, 'a', 'down'),
      said(3, t + 1000, 'origin-down'),
      said(4, t + 5000, 'healthy'),
      health(5, t + 5000, 'a', 'up'),
    ];
    const { text } = report(ask, { ...nothing, entries });
    assert.match(text, /\| east: origin-down \| 2026-05-10 \S+:01 \| 2026-05-10 \S+:05 \|/);
    assert.doesNotMatch(text, /east: healthy/);
  });

  test('the page is well-formed, fetches nothing and runs nothing', () => {
    const page = report({ ...ask, record: 'shop', format: 'html' }, material).text;
    assert.match(page, /<svg [^>]+role="img"/);
    assert.doesNotMatch(page, /<script|<link|<img|<iframe|src=|url\(|@import| on\w+=/i);
    assert.doesNotMatch(page, /https?:\/\/(?!www\.w3\.org)/);
    const open: string[] = [];
    for (const [, close, name, self] of page.matchAll(/<(\/?)([a-z][a-z0-9]*)\b[^>]*?(\/?)>/g)) {
      if (close === '/') assert.equal(open.pop(), name);
      else if (self !== '/') open.push(name!);
    }
    assert.deepEqual(open, []);
  });

  test('what names itself like markup stays text', () => {
    const t = Date.UTC(2026, 4, 10);
    const why = '<script>alert(1)</script> | `x` \u001b[2J';
    const entries = [
      { ...health(1, t, 'a', 'up'), sentence: why },
      { ...health(2, t + 1000, 'a', 'down'), sentence: why },
    ];
    const bad = { ...nothing, entries };
    const page = report({ ...ask, format: 'html' }, bad).text;
    assert.ok(!page.includes('<script>') && !page.includes('\u001b'));
    const text = report(ask, bad).text;
    assert.ok(!text.includes('<script>') && !text.includes('\u001b'));
  });

  test('wrong input and an empty journal are said with their cure', () => {
    const refused = (one: ReportAsk, m: Material, wrong: RegExp) =>
      assert.throws(() => report(one, m), wrong);
    refused(ask, nothing, /the journal is empty/);
    refused({ ...ask, since: 'yesterday' }, material, /--since "yesterday": expected a moment/);
    refused({ ...ask, record: 'shpo' }, material, /there is no record "shpo"/);
    refused({ ...ask, since: '2023-01-01', until: '2023-01-02' }, material, /nothing to report/);
    refused({ kind: 'sla', month: '2024-01' }, material, /expected a month that has begun/);
    refused({ kind: 'sla', month: 'may' }, material, /expected a month/);
  });
});

describe('objectives', () => {
  test('kept and missed are what the journal says, the newest last', () => {
    const www = 'www.example.net.';
    const outcome = (seq: number, kept: boolean) =>
      entry(seq, seq * 1000, 'objective', { kept, ms: 70_000, objectiveMs: 90_000, to: 'b' }, www);
    const times = (seq: number, epoch: number, ms: number): Told[] => [
      entry(seq, seq * 1000, 'written', { provider: 'cf', epoch, ms }, www),
      entry(seq + 1, seq * 1000, 'visible', { provider: 'cf', epoch, ms: ms + 500 }, www),
    ];
    const predictions = [60_000, 61_000, 80_000].map((predictedMs, i) =>
      entry(20 + i, (20 + i) * 1000, 'objective', { predictedMs, objectiveMs: 90_000 }, www),
    );
    const entries = [
      outcome(1, true),
      outcome(2, false),
      outcome(3, true),
      ...[100, 200, 9_000_000].flatMap((ms, i) => times(10 + 2 * i, i + 1, ms)),
      ...predictions,
    ];
    const [row] = objectivesOf(entries, [], www);
    assert.deepEqual([row!.kept, row!.missed], [2, 1]);
    assert.equal(row!.trend, 'rising');
    assert.deepEqual(row!.vendors[0]!.took, { switches: 3, writeMs: 200, visibleMs: 500 });
  });
});

test('a report shows names as they are written, and is asked for by either form', () => {
  const [ascii, own] = ['www.xn--fsqu00a.example.', 'www.例子.example'];
  const status = { records: [], origins: [], spelling: { 'xn--fsqu00a': '例子' } };
  const told = { ...nothing, status: status as unknown as Material['status'] };
  const facts = { predictedMs: 70_000, objectiveMs: 90_000 };
  const entries = [entry(1, after - hour, 'objective', facts, ascii)];
  for (const record of [own, ascii, 'www.例子']) {
    const { text, json } = report({ kind: 'objective', record }, { ...told, entries });
    assert.match(text, /^www\.例子\.example\n/i);
    const [row] = (json as { records: Record<string, unknown>[] }).records;
    assert.deepEqual([row!['record'], row!['shown']], [ascii, `${own}.`]);
  }
  assert.throws(() => report({ kind: 'objective', record: 'www.例孑' }, { ...told, entries }), {
    message: /^there is no record "www\.例孑"/,
  });
});
