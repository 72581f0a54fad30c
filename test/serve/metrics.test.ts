// The metrics as Prometheus reads them: what one view and a few events become, that names keep the
// naming rules, and that nothing from outside turns into a label.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { groupWords, type Observation, type StayReason } from '../../src/core/model.ts';
import { createMetrics, metricNames } from '../../src/serve/metrics.ts';
import { Readers } from '../../src/serve/readers.ts';
import { at, provider, record, standIn, waiting, wall } from '../cli/desk.ts';

/** Series to value, for lines such as `name{a="b"} 1`; throws on what is no exposition. */
function parse(text: string): Map<string, number> {
  const series = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || /^# (HELP|TYPE) [a-z_0-9]+ \S/.test(line)) continue;
    const match = /^([a-z_][a-z0-9_]*(?:\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*\})?) (\S+)$/.exec(
      line,
    );
    assert.ok(match, `not a line of the exposition: ${line}`);
    assert.ok(!series.has(match[1]!), `twice: ${match[1]}`);
    series.set(match[1]!, match[2] === 'Nan' ? Number.NaN : Number(match[2]));
  }
  return series;
}

function made() {
  const desk = standIn();
  const metrics = createMetrics({ desk, version: '0.1.0', readers: new Readers() });
  return { desk, metrics, scrape: async () => parse(String(await metrics.text())) };
}

const seen = (more: Partial<Observation> = {}): Observation => ({
  outcome: 'pass',
  startedAt: 1000,
  endedAt: 1040,
  reason: 'ok',
  detail: '',
  phases: {},
  ...more,
});

const www = 'record="www.gslb.example.net"';

test('keys tell when what is held ends, and how often they could not be renewed', async () => {
  const desk = standIn();
  const held = { kind: 'assume-role', needs: ['sts.test'], why: 'dead', failures: 3 };
  const keys = () => ({
    r53: { ...held, untilAt: wall + 90_000 },
    gone: { ...held, untilAt: wall - 90_000 },
    cf: { kind: 'static', needs: [], untilAt: null, why: null },
  });
  const readers = new Readers();
  const series = parse(String(await createMetrics({ desk, version: '0', readers, keys }).text()));
  const of = (name: string, provider: string) => series.get(`${name}{provider="${provider}"}`);
  const both = (provider: string) => [
    of('detour_key_remaining_seconds', provider),
    of('detour_key_renewal_failures_total', provider),
  ];
  assert.deepEqual(
    [both('r53'), both('gone'), both('cf')],
    [
      [90, 3],
      [0, 3],
      [undefined, 0],
    ],
  );
});

test('a view becomes gauges with the words of the configuration', async () => {
  const series = await made().scrape();
  const expected: Record<string, number> = {
    'detour_build_info{version="0.1.0"}': 1,
    detour_ready: 1,
    detour_frozen: 0,
    detour_last_reload_success: 1,
    'detour_check_verdict{check="hangzhou/web",path="line-a",verdict="up"}': 1,
    'detour_check_verdict{check="hangzhou/web",path="line-a",verdict="down"}': 0,
    'detour_check_verdict{check="hangzhou/web",path="line-b",verdict="down"}': 1,
    'detour_certificate_remaining_seconds{check="hangzhou/web"}': 39 * 86_400,
    'detour_origin_health{origin="tokyo",health="up"}': 1,
    'detour_origin_health{origin="tokyo",health="unknown"}': 0,
    'detour_origin_drained{origin="tokyo"}': 1,
    [`detour_record_target_info{${www},target="hangzhou"}`]: 1,
    [`detour_record_switching{${www}}`]: 0,
    [`detour_record_pinned{${www}}`]: 0,
    [`detour_record_stay{${www},reason="target-up"}`]: 1,
    [`detour_record_budget_remaining{${www}}`]: 2,
    [`detour_record_left_behind_ratio{${www}}`]: 0,
    [`detour_provider_serves{${www},provider="cf",target="hangzhou"}`]: 1,
    [`detour_provider_serves{${www},provider="r53",target="tokyo"}`]: 1,
    [`detour_provider_stage{${www},provider="r53",stage="lagging"}`]: 1,
    [`detour_provider_stage{${www},provider="r53",stage="visible"}`]: 0,
    [`detour_provider_epoch{${www},provider="r53"}`]: 6,
    [`detour_switch_stage_seconds{${www},provider="cf",stage="written"}`]: 0.312,
    [`detour_switch_stage_seconds{${www},provider="cf",stage="visible"}`]: 1.24,
    'detour_lane_state{provider="r53",state="stuck"}': 1,
    'detour_lane_state{provider="r53",state="ok"}': 0,
    [`detour_switches_total{${www},kind="auto"}`]: 0,
  };
  for (const [name, value] of Object.entries(expected)) {
    assert.equal(series.get(name), value, name);
  }
  assert.ok(!series.has(`detour_switch_stage_seconds{${www},provider="r53",stage="written"}`));
  assert.ok([...series.keys()].some((name) => name.startsWith('process_cpu_seconds_total')));
});

test('a group becomes gauges and counters, of what is known and no more; alone there are none', async () => {
  const { desk, metrics, scrape } = made();
  const own = (name: string) => /^detour_(group|replica)_/.test(name);
  const alone = [...(await scrape())].filter(([name, value]) => own(name) && value !== 0);
  assert.deepEqual(alone, []);
  const one = (name: string, more: object) => ({
    ...{ name, self: false, heard: true, sinceAt: at, why: '', ageMs: 1500, blind: false },
    ...{ acts: false, sameConfig: true, sameDefinition: true, differs: [], ...more },
  });
  desk.view = {
    ...desk.view,
    group: {
      ...{ self: 'hz-1', role: 'acts', acts: 'hz-1', term: 7, word: 'full', sentence: 's' },
      minority: null,
      replicas: [
        one('hz-1', { self: true, ageMs: 0 }),
        one('fra-1', {}),
        one('nrt-1', { heard: false, ageMs: null, sameDefinition: null }),
        one('syd-1', { sameDefinition: false }),
      ],
    },
  };
  metrics.observer.shared('committed', 60);
  metrics.observer.shared('refused', 2000);
  const series = await scrape();
  const shown = [...series].filter(([name]) => own(name) && !/_bucket|result="deposed"/.test(name));
  assert.deepEqual(Object.fromEntries(shown), {
    detour_group_acts: 1,
    detour_group_term: 7,
    ...Object.fromEntries(
      groupWords.map((word) => [`detour_group_trouble{word="${word}"}`, word === 'full' ? 1 : 0]),
    ),
    'detour_replica_heard{replica="fra-1"}': 1,
    'detour_replica_heard{replica="nrt-1"}': 0,
    'detour_replica_heard{replica="syd-1"}': 1,
    'detour_replica_age_seconds{replica="fra-1"}': 1.5,
    'detour_replica_age_seconds{replica="syd-1"}': 1.5,
    'detour_replica_same_definition{replica="fra-1"}': 1,
    'detour_replica_same_definition{replica="syd-1"}': 0,
    'detour_group_commits_total{result="committed"}': 1,
    'detour_group_commits_total{result="refused"}': 1,
    detour_group_commit_seconds_count: 2,
    detour_group_commit_seconds_sum: 2.06,
  });
});

test('a scrape shows the state of its moment: what is gone from the view is gone', async () => {
  const { desk, scrape } = made();
  await scrape();
  desk.view = {
    ...desk.view,
    ready: { ok: false, reasons: ['store'] },
    freeze: { reason: 'work', by: 'ann', sinceAt: at, untilAt: null },
    reload: { ok: false, at: at - 10_000, errors: 2 },
    origins: [],
    drills: {
      last: [
        {
          ...{ drill: 'live', name: record({}).name, result: 'broken-off' },
          ...{ at: at - 5000, ms: 90_000, sentence: 's' },
        },
      ],
      ...{ scheduled: [], overdue: [] },
    },
    records: [
      record({
        target: null,
        cname: null,
        pin: { target: 'tokyo', reason: 'r', by: 'ann', sinceAt: at, untilAt: null },
        stay: { reason: 'Not A Word' as StayReason, sentence: '' },
        budget: { used: 4, limit: 3, spent: true },
        needless: 0,
        leftBehind: { share: null, sentence: 's', cure: 'c' },
        providers: [
          provider('a', { cname: 'elsewhere.example.' }),
          provider('b', { cname: null, epoch: undefined } as never),
          provider('c', { cname: undefined } as never),
        ],
      }),
    ],
  };
  const series = await scrape();
  assert.equal(series.get('detour_ready'), 0);
  assert.equal(series.get('detour_frozen'), 1);
  assert.equal(series.get('detour_last_reload_success'), 0);
  assert.equal(series.get('detour_last_reload_timestamp_seconds'), (wall - 10_000) / 1000);
  assert.equal(series.get(`detour_record_target_info{${www},target="none"}`), 1);
  assert.equal(series.get(`detour_record_pinned{${www}}`), 1);
  const live = `{drill="live",${www}}`;
  assert.equal(series.get(`detour_drill_last_timestamp_seconds${live}`), (wall - 5000) / 1000);
  assert.equal(series.get(`detour_drill_last_ok${live}`), 0);
  assert.equal(series.get(`detour_drill_last_duration_seconds${live}`), 90);
  assert.equal(series.get(`detour_record_stay{${www},reason="other"}`), 1);
  assert.equal(series.get(`detour_record_budget_remaining{${www}}`), 0);
  assert.equal(series.get(`detour_record_left_behind_ratio{${www}}`), Number.NaN);
  assert.equal(series.get(`detour_provider_serves{${www},provider="a",target="other"}`), 1);
  assert.equal(series.get(`detour_provider_serves{${www},provider="b",target="none"}`), 1);
  const names = [...series.keys()];
  assert.ok(!names.some((n) => n.startsWith('detour_provider_serves') && n.includes('"c"')));
  assert.ok(!names.some((n) => n.includes('hangzhou')), 'nothing is left of the view before');
});

test('what the observer is told is counted', async () => {
  const { metrics, scrape } = made();
  const { observer } = metrics;
  observer.probed('hangzhou/web', 'line-a', seen());
  observer.probed('hangzhou/web', 'line-a', seen({ outcome: 'fail', endedAt: 3000 }));
  observer.probed('tokyo/web', 'line-a', seen({ outcome: 'blind', reason: 'shed' }));
  observer.called('cf', 'write', 'ok', 120);
  observer.called('cf', 'write', 'throttled', 40);
  const entry = { kind: 'switch', record: 'www.gslb.example.net.', sentence: '' } as const;
  observer.journalled({ ...entry, data: { kind: 'auto' } }, wall);
  observer.journalled({ ...entry, data: { kind: 'operator' } }, wall);
  observer.journalled({ ...entry, kind: 'pin', data: {} }, wall);
  observer.trouble('store', 'disk full');
  const series = await scrape();
  const labels = 'check="hangzhou/web",path="line-a"';
  const expected: Record<string, number> = {
    [`detour_probes_total{${labels},outcome="pass"}`]: 1,
    [`detour_probes_total{${labels},outcome="fail"}`]: 1,
    'detour_probe_duration_seconds_count{check="hangzhou/web"}': 2,
    'detour_probe_duration_seconds_sum{check="hangzhou/web"}': 2.04,
    'detour_probe_duration_seconds_bucket{le="0.05",check="hangzhou/web"}': 1,
    'detour_api_calls_total{provider="cf",operation="write",result="ok"}': 1,
    'detour_api_calls_total{provider="cf",operation="write",result="throttled"}': 1,
    'detour_api_call_duration_seconds_count{provider="cf",operation="write"}': 2,
    [`detour_switches_total{${www},kind="auto"}`]: 1,
    [`detour_switches_total{${www},kind="operator"}`]: 1,
    'detour_journal_entries_total{kind="switch"}': 2,
    'detour_journal_entries_total{kind="pin"}': 1,
    'detour_troubles_total{what="store"}': 1,
    detour_probes_shed_total: 1,
  };
  for (const [name, value] of Object.entries(expected)) {
    assert.equal(series.get(name), value, name);
  }
});

test('what is no word of a table is counted as `other`, however many of it there are', async () => {
  const { metrics, scrape } = made();
  const { observer } = metrics;
  // What is outside the types all the same: an adapter from elsewhere, a later mistake.
  const strange = (word: string) => word as never;
  observer.called('cf', 'write', strange('Bearer hunter2'), 1);
  observer.trouble(strange('https://vendor.example/?key=hunter2'), 'x');
  for (let n = 0; n < 500; n += 1) {
    observer.trouble(strange(`trouble-${n}`), 'x');
    observer.called('cf', strange(`operation-${n}`), strange(`result-${n}`), 1);
    const kind = strange(`kind-${n}`);
    observer.journalled({ kind, record: null, sentence: '', data: {} }, wall);
  }
  const names = [...(await scrape()).keys()];
  assert.ok(!names.some((name) => name.includes('hunter2')));
  assert.ok(names.some((name) => name.startsWith('detour_troubles_total{what="other"}')));
  for (const family of ['troubles_total', 'journal_entries_total', 'api_calls_total']) {
    const many = names.filter((name) => name.startsWith(`detour_${family}{`));
    assert.ok(many.length > 0, family);
    assert.deepEqual(
      many.filter((name) => !name.includes('"other"')),
      [],
    );
  }
});

test('counters of what a reload took away are forgotten', async () => {
  const { desk, metrics, scrape } = made();
  metrics.observer.probed('hangzhou/web', 'line-a', seen());
  metrics.observer.probed('tokyo/web', 'line-a', seen());
  metrics.observer.called('r53', 'read', 'ok', 1);
  await scrape();
  const { origins, lanes } = desk.view;
  desk.view = { ...desk.view, origins: [origins[1]!], lanes: [lanes[0]!], records: [] };
  const names = [...(await scrape()).keys()];
  const gone = names.filter((name) => /hangzhou|r53|gslb/.test(name));
  assert.deepEqual(gone, []);
  assert.ok(names.includes('detour_probes_total{check="tokyo/web",path="line-a",outcome="pass"}'));
});

test('a scrape draws nothing anew that has not changed, and pauses after each thing', async () => {
  const { desk } = made();
  const drawings: string[] = [];
  /** Says so when a scrape looks into it: a drawing reads every field there is. */
  const watched = <T extends object>(name: string, one: T, field: keyof T & string): T => {
    const value = one[field];
    const get = () => {
      drawings.push(name);
      return value;
    };
    return Object.defineProperty(one, field, { get });
  };
  const numbers = Array.from({ length: 300 }, (_, n) => n);
  const [origin] = desk.view.origins;
  const recordOf = (n: number) => watched(`r${n}`, record({ name: `r${n}.gslb.test.` }), 'budget');
  desk.view = {
    ...desk.view,
    records: numbers.map(recordOf),
    origins: numbers.map((n) => watched(`o${n}`, { ...origin!, name: `o${n}` }, 'health')),
  };
  let pieces = 0;
  const readers = new Readers();
  readers.spend = async (work) => {
    for (;;) {
      const { done, value } = work.next();
      if (done) return value;
      pieces++;
    }
  };
  const metrics = createMetrics({ desk, version: '0.1.0', readers });
  const first = String(await metrics.text());
  assert.deepEqual(new Set(drawings).size, 600, 'all were drawn');
  assert.ok(pieces >= 600, `${pieces} pauses`);
  drawings.length = 0;
  assert.deepEqual(own(String(await metrics.text())), own(first));
  assert.deepEqual(drawings, [], 'nothing was drawn anew');
  desk.view = { ...desk.view, records: desk.view.records.with(7, recordOf(7)) };
  await metrics.text();
  assert.deepEqual(new Set(drawings), new Set(['r7']), 'only what has changed');
});

/** Detour's own lines, without those of the process. */
const own = (text: string) => text.split('\n').filter((line) => line.startsWith('detour_'));

test('counts of probes and switches are drawn as they stand, from scrape to scrape', async () => {
  const { metrics, scrape } = made();
  const probes = 'detour_probes_total{check="hangzhou/web",path="line-a",outcome="pass"}';
  const took = 'detour_probe_duration_seconds_count{check="hangzhou/web"}';
  const switches = `detour_switches_total{${www},kind="operator"}`;
  const data = { kind: 'operator' };
  const entry = { kind: 'switch', record: 'www.gslb.example.net.', sentence: '', data } as const;
  for (let n = 1; n <= 3; n++) {
    metrics.observer.probed('hangzhou/web', 'line-a', seen());
    metrics.observer.journalled(entry, wall);
    const series = await scrape();
    assert.deepEqual(
      [probes, took, switches].map((name) => series.get(name)),
      [n, n, n],
    );
  }
});

test('a label is escaped as the format says', async () => {
  const { desk, metrics } = made();
  desk.view = { ...desk.view, records: [record({ name: 'a\\b"c\nd.' })] };
  const text = String(await metrics.text());
  assert.ok(text.includes('detour_record_pinned{record="a\\\\b\\"c\\nd"} 0\n'));
  parse(text);
});

test('a scrape that fails does not spoil the next one', async () => {
  const { desk, metrics } = made();
  const { status } = desk;
  desk.status = () => {
    throw new Error('broken');
  };
  await assert.rejects(metrics.text(), /broken/);
  desk.status = status;
  assert.match(String(await metrics.text()), /^detour_ready 1$/m);
});

test('every family is exposed under its own name, with its help and its type', async () => {
  const { metrics } = made();
  const text = String(await metrics.text());
  const told = [...text.matchAll(/^# TYPE (detour_\S+) (\S+)$/gm)].map(([, name, kind]) => [
    name,
    kind,
  ]);
  assert.deepEqual(told.sort(), metricNames.map(({ name, kind }) => [name, kind]).sort());
  for (const { name, kind, labels, help } of metricNames) {
    assert.match(name, /^detour_[a-z]+(_[a-z]+)*$/);
    assert.equal(name.endsWith('_total'), kind === 'counter', name);
    assert.ok(help.endsWith('.') && help.length > 10, name);
    for (const label of labels) assert.match(label, /^[a-z]+$/);
    assert.ok(text.includes(`# HELP ${name} ${help}\n`), name);
  }
});

const promtool = spawnSync('promtool', ['--version']).error === undefined;

test('promtool finds nothing to say about a full exposition', {
  skip: promtool || process.env.CI ? false : 'promtool is not installed',
}, async () => {
  const { metrics } = made();
  metrics.observer.probed('hangzhou/web', 'line-a', seen());
  metrics.observer.called('cf', 'write', 'ok', 120);
  metrics.observer.trouble('store', 'disk full');
  const text = String(await metrics.text());
  const done = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
  assert.deepEqual([done.status, done.stdout, done.stderr], [0, '', '']);
});

test('objectives: promised, predicted for each provider, kept and missed from 0 on', async () => {
  const { desk, metrics, scrape } = made();
  const part = { detectMs: 11_000, commitMs: 0, writeMs: 400, visibleMs: 600, ttlMs: 60_000 };
  const parts = [
    { provider: 'cf', measured: 3, ...part },
    { provider: 'r53', measured: 0, ...part, ttlMs: 600_000 },
  ];
  const predicted = { totalMs: 612_000, worst: 'r53', parts };
  desk.view = { ...desk.view, records: [record({ objectiveMs: 90_000, predicted })] };
  const kept = `detour_objective_kept_total{${www}}`;
  const missed = `detour_objective_missed_total{${www}}`;
  const before = await scrape();
  assert.deepEqual([before.get(kept), before.get(missed)], [0, 0]);
  assert.equal(before.get(`detour_objective_seconds{${www}}`), 90);
  assert.equal(before.get(`detour_objective_predicted_seconds{${www},provider="cf"}`), 72);
  assert.equal(before.get(`detour_objective_predicted_seconds{${www},provider="r53"}`), 612);
  const entry = { kind: 'objective', record: 'www.gslb.example.net.', sentence: '' } as const;
  for (const data of [{ kept: true }, { kept: false }, { kept: true }, { predictedMs: 1 }]) {
    metrics.observer.journalled({ ...entry, data }, wall);
  }
  const after = await scrape();
  assert.deepEqual([after.get(kept), after.get(missed)], [2, 1]);
  desk.view = { ...desk.view, records: [record()] };
  assert.ok(![...(await scrape()).keys()].some((name) => name.startsWith('detour_objective')));
});

test('what waits for a person is counted, and how long it has waited and what is left', async () => {
  const { desk, scrape } = made();
  const goes = waiting({ goesAt: at + 60_000 });
  const other = record({ name: 'api.example.net.' });
  desk.view = { ...desk.view, records: [record({ approval: goes }), other] };
  const www = 'record="www.gslb.example.net"';
  const series = await scrape();
  assert.equal(series.get(`detour_approvals_waiting{${www}}`), 1);
  assert.equal(series.get('detour_approvals_waiting{record="api.example.net"}'), 0);
  assert.equal(series.get(`detour_approval_age_seconds{${www}}`), 48);
  assert.equal(series.get(`detour_approval_remaining_seconds{${www}}`), 60);
  assert.equal(series.has('detour_approval_age_seconds{record="api.example.net"}'), false);
  desk.view = { ...desk.view, records: [record(), other] };
  const after = await scrape();
  assert.equal(after.get(`detour_approvals_waiting{${www}}`), 0);
  assert.equal(after.has(`detour_approval_age_seconds{${www}}`), false);
});
