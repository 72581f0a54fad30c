// How metrics are written, and how many: both formats say the same, what is left out is left out whole,
// and whatever the world says, labels keep to the names of the configuration and to closed words, and a
// record to its number of series.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { type HeavyFamily, heavyFamilies, stayReasons } from '../../src/core/model.ts';
import { type RecordView, type StatusView, stages } from '../../src/core/view.ts';
import { type Format, formatFor } from '../../src/serve/exposition.ts';
import { createMetrics, metricNames } from '../../src/serve/metrics.ts';
import { Readers, type Work } from '../../src/serve/readers.ts';
import { standIn, wall } from '../cli/desk.ts';
import { configOfSize, countSeries, fullMetrics, fullView } from '../parts/full-metrics.ts';

const config = configOfSize({ records: 2, paths: 2, origins: null });
const seen = fullView(config);
const scrapeOf = async (of: StatusView, format: Format = 'text') =>
  String(await fullMetrics(of)(format));

/** Its series, without their values. */
const seriesIn = (text: string) =>
  [...text.matchAll(/^([a-z_0-9]+(?:\{.*?\})?) [^ ]+(?: # .*)?$/gm)].map(([, series]) => series!);

test('whoever asks for OpenMetrics gets it, everybody else the text format', () => {
  const cases: readonly (readonly [string | undefined, Format])[] = [
    [undefined, 'text'],
    ['', 'text'],
    ['*/*', 'text'],
    ['text/html,text/plain;q=0.9', 'text'],
    // Prometheus 2.42, and 3.
    [
      'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,' +
        'text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
      'openmetrics',
    ],
    [
      'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,' +
        'text/plain;version=0.0.4;q=0.4,*/*;q=0.2',
      'openmetrics',
    ],
    ['Application/OpenMetrics-Text', 'openmetrics'],
    ['text/plain, application/openmetrics-text;q=0.5', 'text'],
    ['application/openmetrics-text;q=0', 'text'],
    ['application/openmetrics-text;q=none', 'text'],
  ];
  for (const [accept, format] of cases) assert.equal(formatFor(accept), format, accept);
});

test('OpenMetrics has the series of the text, an end, and the switch that a count was raised by', async () => {
  const desk = standIn();
  const metrics = createMetrics({ desk, version: '0.1.0', readers: new Readers() });
  const entry = { kind: 'switch', record: 'www.gslb.example.net.', sentence: '' } as const;
  const data = { kind: 'auto', id: '9f2c41d0aa17be03' };
  metrics.observer.journalled({ ...entry, data }, wall);
  metrics.observer.journalled({ ...entry, data: { kind: 'operator', id: '"} 1\nevil 1' } }, wall);
  metrics.observer.called('cf', 'write', 'ok', 120);
  metrics.observer.trouble('store', 'disk full');
  const [text, open] = [
    String(await metrics.text('text')),
    String(await metrics.text('openmetrics')),
  ];
  const own = (of: string) => seriesIn(of).filter((one) => one.startsWith('detour_'));
  assert.deepEqual(own(open), own(text));
  assert.ok(own(open).length > 100);
  assert.ok(open.endsWith('\n# EOF\n') && !text.includes('# EOF'));
  const lines = open.split('\n').slice(0, -1);
  for (const line of lines) {
    assert.match(
      line,
      /^(# (HELP|TYPE) \S+ \S.*|# EOF|[a-z_0-9]+(\{.*\})? \S+( # \{.*\} 1 \S+)?)$/,
    );
  }
  const counters = [...open.matchAll(/^# TYPE (\S+) counter$/gm)].map(([, name]) => name!);
  assert.ok(counters.length > 15);
  for (const name of counters) {
    assert.ok(!name.endsWith('_total'), name);
    const bare = new RegExp(`^${name}[{ ]`, 'm');
    assert.doesNotMatch(open, bare, `${name}: its series end in _total`);
  }
  const www = 'detour_switches_total{record="www.gslb.example.net"';
  assert.ok(open.includes(`${www},kind="auto"} 1 # {id="9f2c41d0aa17be03"} 1 ${wall / 1000}\n`));
  assert.ok(open.includes(`${www},kind="operator"} 1\n`), 'what is no id is no exemplar');
  assert.ok(text.includes(`${www},kind="auto"} 1\n`), 'the text format knows no exemplars');
  assert.equal(String(await metrics.text('text')).includes('_total counter'), true);
});

/** Readers that go on with a work only when, and as far as, a test says. */
function byHand() {
  const works: { step(): boolean }[] = [];
  const readers = new Readers();
  readers.spend = <T>(work: Work<T>) =>
    new Promise<T>((resolve) => {
      const step = () => {
        const { done, value } = work.next();
        if (done) resolve(value);
        return done === true;
      };
      works.push({ step });
    });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  return {
    readers,
    /** So many pieces of the one that began as such, if it has begun; of all that are left unless given. */
    async go(which: number, pieces = Number.POSITIVE_INFINITY) {
      await turn();
      for (let n = 0; n < pieces; n++) if (works[which]?.step() !== false) break;
      await turn();
    },
  };
}

test('two that ask for two formats at one time lose no count', async () => {
  const { checks } = seen.origins[0]!;
  for (let pieces = 0; pieces < 24; pieces++) {
    const { readers, go } = byHand();
    const desk = { ...standIn(), status: async () => seen };
    const metrics = createMetrics({ desk, version: '0.1.0', readers });
    const entry = { kind: 'switch', sentence: '', data: { kind: 'auto' } } as const;
    for (const { name } of seen.records)
      metrics.observer.journalled({ ...entry, record: name }, wall);
    for (const { id, path, last } of checks) metrics.observer.probed(id, path, last!);
    const both = [metrics.text('text'), metrics.text('openmetrics')];
    // The second begins to draw while the first has not ended, and is overtaken by it.
    await go(0, pieces);
    await go(1, pieces - 1);
    await go(0);
    await go(1);
    await Promise.all(both);
    const after = metrics.text();
    await go(2);
    const text = String(await after);
    for (const name of ['r0', 'r1']) {
      assert.ok(text.includes(`{record="${name}.gslb.example.net",kind="auto"} 1\n`), `${pieces}`);
    }
    assert.ok(text.includes('_seconds_count{check="origin-0/web"} 2\n'), `${pieces}`);
  }
});

test('what is left out is left out whole, and nothing else, from the next scrape on', async () => {
  let without: readonly HeavyFamily[] = [];
  const desk = { ...standIn(), status: async () => seen };
  const of = { desk, version: '0.1.0', readers: new Readers(), without: () => without };
  const metrics = createMetrics(of);
  const own = async () => seriesIn(String(await metrics.text())).filter((s) => /^detour_/.test(s));
  const whole = await own();
  for (const name of heavyFamilies) {
    without = [name];
    const text = String(await metrics.text());
    assert.doesNotMatch(text, new RegExp(`\\b${name}(_bucket|_sum|_count)?\\b`), name);
  }
  without = heavyFamilies;
  const left = await own();
  const isHeavy = (series: string) => heavyFamilies.some((name) => series.startsWith(name));
  assert.deepEqual(
    left,
    whole.filter((series) => !isHeavy(series)),
  );
  assert.ok(left.length > 20 && left.length < whole.length);
  without = [];
  assert.deepEqual(await own(), whole);
});

test('what may be left out are families, and all that grow with two things at once', () => {
  const twofold = (labels: readonly string[]) =>
    ['check path', 'record provider'].some((two) =>
      two.split(' ').every((l) => labels.includes(l)),
    );
  const large = metricNames.filter(
    ({ kind, labels }) => twofold(labels) || (kind === 'histogram' && labels.includes('check')),
  );
  const marked = metricNames.filter(({ heavy }) => heavy);
  assert.deepEqual(marked.map(({ name }) => name).sort(), large.map(({ name }) => name).sort());
  assert.deepEqual(marked.map(({ name }) => name).sort(), [...heavyFamilies].sort());
});

// ---------------------------------------------------------------- labels

const hostile = [
  '"} 1\ndetour_ready 0',
  'x'.repeat(100_000),
  '电信"\\\n',
  'Bearer hunter2',
  `\u0000\u202e{le="+Inf"}`,
];

/** The same with every text that is no name of the configuration put in place of another. */
function poisoned<T>(value: T, names: ReadonlySet<string>, n = { at: 0 }): T {
  if (typeof value === 'string') {
    if (names.has(value)) return value;
    return hostile[n.at++ % hostile.length] as T;
  }
  if (Array.isArray(value)) return value.map((one) => poisoned(one, names, n)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key, poisoned(one, names, n)]),
  ) as T;
}

/** The texts that a configuration chooses: names of things. */
function namesOf({ origins, records, paths, lanes, clouds }: StatusView): Set<string> {
  return new Set([
    ...origins.flatMap((o) => [o.name, o.cloud, ...o.checks.map((c) => c.id)]),
    ...records.flatMap((r) => [r.name, r.target ?? '', ...r.providers.map((p) => p.provider)]),
    ...paths.map((p) => p.name),
    ...lanes.map((l) => l.provider),
    ...clouds.map((c) => c.name),
    ...records.flatMap((r) => r.targets.map((t) => t.origin)),
  ]);
}

const labelsIn = (text: string) =>
  new Set([...text.matchAll(/[a-z]="((?:[^"\\]|\\.)*)"/g)].map(([, value]) => value!));

test('whatever vendors, origins and other tools say, no label is new, long or torn', async () => {
  const names = namesOf(seen);
  const [before, after] = [await scrapeOf(seen), await scrapeOf(poisoned(seen, names))];
  const news = [...labelsIn(after)].filter((value) => !labelsIn(before).has(value));
  assert.deepEqual(news.sort(), ['other'], 'a closed word stands for all of it');
  assert.ok(!after.includes('hunter2') && !after.includes('xxxx'));
  assert.equal(seriesIn(after).length, seriesIn(before).length);
  // The poison gets where it should: the view said more than names.
  assert.ok(JSON.stringify(poisoned(seen, names)).includes('hunter2'));
});

test('the longest names that the configuration takes make labels of at most 253 characters', async () => {
  const long = 'n'.repeat(40);
  const name = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`;
  assert.equal(name.length, 253);
  const [origin] = seen.origins;
  const [record] = seen.records;
  const checks = origin!.checks.map((c) => ({
    ...c,
    id: `${long}/${long}`,
    path: `${long}/${long}`,
  }));
  const view: StatusView = {
    ...seen,
    records: [{ ...record!, name: `${name}.`, target: long }],
    origins: [{ ...origin!, name: long, checks: [checks[0]!] }],
  };
  const lengths = [...labelsIn(await scrapeOf(view))].map((value) => value.length);
  assert.equal(Math.max(...lengths), 253);
});

// ---------------------------------------------------------------- how many

const recordStates: fc.Arbitrary<Partial<RecordView>> = fc.record({
  target: fc.constantFrom(null, 'origin-0', 'origin-1'),
  switching: fc.boolean(),
  stay: fc.record({ reason: fc.constantFrom(...stayReasons), sentence: fc.string() }),
  approval: fc.constantFrom(null, seen.records[0]!.approval),
  objectiveMs: fc.constantFrom(null, 90_000),
  leftBehind: fc.constantFrom(null, { share: null, sentence: '', cure: '' }),
});

const cellStates = fc.record({
  stage: fc.constantFrom(...stages),
  cname: fc.option(fc.string(), { nil: null }),
  writtenAfterMs: fc.option(fc.nat(), { nil: null }),
  visibleAfterMs: fc.option(fc.nat(), { nil: null }),
});

test('a record has a fixed number of series at most, whatever becomes of it', async () => {
  const [record] = seen.records;
  const alone = { ...seen, records: [record!] };
  const ofRecord = (text: string) =>
    seriesIn(text).filter((series) => series.includes('record="r0.gslb.example.net"')).length;
  const most = ofRecord(await scrapeOf(alone));
  assert.equal(most, 14 + 13 * record!.providers.length);
  await fc.assert(
    fc.asyncProperty(
      recordStates,
      fc.array(cellStates, { minLength: 3, maxLength: 3 }),
      async (of, cells) => {
        const providers = record!.providers.map((one, i) => ({ ...one, ...cells[i] }));
        const text = await scrapeOf({ ...alone, records: [{ ...record!, ...of, providers }] });
        const series = seriesIn(text);
        assert.equal(new Set(series).size, series.length, 'each once');
        assert.ok(ofRecord(text) <= most);
      },
    ),
    { numRuns: 60 },
  );
});

test('series grow with what is configured and with nothing that happens', async () => {
  const text = fullMetrics(seen);
  const counts = countSeries(String(await text()));
  assert.deepEqual(countSeries(String(await text())), counts);
  const [checks, byPath] = [4, 4 * 2];
  assert.equal(counts.get('detour_check_verdict'), 3 * byPath);
  assert.equal(counts.get('detour_probes_total'), 4 * byPath);
  assert.equal(counts.get('detour_probe_duration_seconds'), 14 * checks);
  assert.equal(counts.get('detour_provider_stage'), stages.length * 2 * 3);
});

test('the page about watching counts as the program does', async () => {
  const page = readFileSync(new URL('../../docs/watching.md', import.meta.url), 'utf8');
  const number = (text: string) => Number(text.replaceAll(',', ''));
  const rows = [
    ...page.matchAll(/^\| `?(detour_\w+|all others|all)`? \| ([\d,]+) \| ([\d,]+) \|$/gm),
  ];
  const said = new Map(rows.map(([, name, own, few]) => [name!, [number(own!), number(few!)]]));
  const [one, two] = [
    countSeries(await scrapeOf(fullView(configOfSize({ records: 1, paths: 3, origins: 20 })))),
    countSeries(await scrapeOf(fullView(configOfSize({ records: 2, paths: 3, origins: 22 })))),
  ];
  let [others, all] = [
    [0, 0],
    [0, 0],
  ];
  for (const { name, labels, heavy } of metricNames) {
    const more = two.get(name)! - one.get(name)!;
    const ofRecord = labels.includes('record');
    // Of a record the one more is one more; of an origin it is two.
    const own = one.get(name)! + (ofRecord ? 999 : 990) * more;
    const few = one.get(name)! + (ofRecord ? 999 * more : 0);
    if (heavy) assert.deepEqual(said.get(name), [own, few], name);
    else others = [others[0]! + own, others[1]! + few];
    all = [all[0]! + own, all[1]! + few];
  }
  assert.deepEqual([said.get('all others'), said.get('all')], [others, all]);
});
