// The state in numbers, for Prometheus. Gauges are drawn anew from one status view at each scrape,
// so they cannot drift from it; counters and histograms are fed by an observer. Label values come
// only from the configuration or from closed words: what somebody else can choose (a vendor's
// message, a DNS answer, an unknown path) never becomes a label, and no secret is ever near one.

import {
  Counter,
  collectDefaultMetrics,
  Gauge,
  Histogram,
  type Metric,
  Registry,
} from 'prom-client';
import { type AuditReport, countOf } from '../core/audit.ts';
import {
  type CheckId,
  diagnoses,
  entryKinds,
  faultKinds,
  type Json,
  markerKinds,
  type Observation,
  type Outcome,
  outcomes,
  serverAnswerKinds,
  severities,
  stayReasons,
  verdicts,
} from '../core/model.ts';
import {
  laneStates,
  type ProviderView,
  pathStates,
  type RecordView,
  type StatusView,
  stages,
} from '../core/view.ts';
import type { Observer, Operation, TroubleWord } from '../ports.ts';
import type { Desk } from './desk.ts';

interface Metrics {
  readonly observer: Required<Omit<Observer, 'unstored'>>;
  /** The whole exposition in Prometheus's text format. Scrapes at one time share one text. */
  text(): Promise<string>;
  readonly contentType: string;
}

interface Family {
  readonly kind: 'gauge' | 'counter' | 'histogram';
  readonly labels: readonly string[];
  readonly help: string;
}

const gauge = (help: string, ...labels: string[]): Family => ({ kind: 'gauge', labels, help });
const counter = (help: string, ...labels: string[]): Family => ({ kind: 'counter', labels, help });
const histogram = (help: string, ...labels: string[]): Family => ({
  kind: 'histogram',
  labels,
  help,
});

/** Every metric family of Detour's own. Records are named as configured, without the last dot. */
const families = {
  detour_build_info: gauge('Always 1; the version is the label.', 'version'),
  detour_ready: gauge('1 while /readyz answers 200.'),
  detour_frozen: gauge('1 while automatic decisions are frozen for every record.'),
  detour_last_reload_success: gauge('1 if the last reload of the configuration was taken.'),
  detour_last_reload_timestamp_seconds: gauge(
    'When the configuration was last reloaded, or the start, in seconds since 1970.',
  ),
  detour_check_verdict: gauge(
    'State set: 1 for the verdict of a check by a path.',
    'check',
    'path',
    'verdict',
  ),
  detour_certificate_remaining_seconds: gauge(
    'Time until the certificate behind a check ends, in whole days; the least of its paths.',
    'check',
  ),
  detour_origin_health: gauge('State set: 1 for the health of an origin.', 'origin', 'health'),
  detour_origin_limited: gauge(
    '1 for an origin that has answered that it is asked too often, and is asked more slowly since.',
    'origin',
  ),
  detour_origin_detection_seconds: gauge(
    'Within so long an outage of an origin is seen at the rate it is asked, nothing being lost.',
    'origin',
  ),
  detour_path_state: gauge('State set: 1 for what a path can see.', 'path', 'state'),
  detour_cloud_diagnosis: gauge('State set: 1 for the diagnosis of a cloud.', 'cloud', 'diagnosis'),
  detour_origin_drained: gauge('1 while an operator keeps an origin out of choice.', 'origin'),
  detour_record_target_info: gauge(
    'Always 1; the target in force is the label, none before adoption.',
    'record',
    'target',
  ),
  detour_record_switching: gauge('1 while a switch of the record is under way.', 'record'),
  detour_record_pinned: gauge('1 while an operator holds the record on a target.', 'record'),
  detour_record_stay: gauge('Always 1; why the record stays is the label.', 'record', 'reason'),
  detour_record_budget_remaining: gauge(
    'Automatic switches the record may still make within the hour.',
    'record',
  ),
  detour_record_left_behind_ratio: gauge(
    'Share of resolvers that providers which have not followed leave on the old answer.',
    'record',
  ),
  detour_provider_serves: gauge(
    'Always 1; the target a provider was last seen to serve is the label, else other or none.',
    'record',
    'provider',
    'target',
  ),
  detour_provider_stage: gauge(
    'State set: 1 for where a provider is with the current target.',
    'record',
    'provider',
    'stage',
  ),
  detour_provider_epoch: gauge(
    'Fencing number last seen in the marker at a provider.',
    'record',
    'provider',
  ),
  detour_switch_stage_seconds: gauge(
    'Time from the decision of the last switch until a provider reached the stage.',
    'record',
    'provider',
    'stage',
  ),
  detour_lane_state: gauge(
    'State set: 1 for the state of the lane to a provider.',
    'provider',
    'state',
  ),
  detour_probes_total: counter('Probes by what they saw.', 'check', 'path', 'outcome'),
  detour_probes_shed_total: counter(
    'Probes that were not made because too many were waiting: this machine is too slow.',
  ),
  detour_probe_duration_seconds: histogram('How long probes of a check took.', 'check'),
  detour_switches_total: counter(
    'Switches decided, by who decided: auto or operator.',
    'record',
    'kind',
  ),
  detour_api_calls_total: counter(
    'Exchanges with a provider, by operation and ok or the kind of fault.',
    'provider',
    'operation',
    'result',
  ),
  detour_api_call_duration_seconds: histogram(
    'How long exchanges with a provider took.',
    'provider',
    'operation',
  ),
  detour_journal_entries_total: counter('Entries written to the journal, by kind.', 'kind'),
  detour_troubles_total: counter(
    'What went wrong in Detour itself or could not be recorded.',
    'what',
  ),
  detour_audit_findings: gauge('Findings of the last audit, by severity.', 'severity'),
  detour_audit_timestamp_seconds: gauge(
    'When the last audit began, in seconds since 1970; 0 before the first.',
  ),
} satisfies Record<`detour_${string}`, Family>;

type FamilyName = keyof typeof families;

/** Name, type and help of every family, to compare dashboards and alert rules with. */
export const metricNames: readonly {
  readonly name: string;
  readonly kind: Family['kind'];
  readonly labels: readonly string[];
  readonly help: string;
}[] = Object.entries(families).map(([name, family]) => ({ name, ...family }));

/** Builds the registry; nothing is read from the desk before the first scrape. */
export function createMetrics(options: {
  readonly desk: Pick<Desk, 'status' | 'audited'>;
  readonly version: string;
}): Metrics {
  const { desk, version } = options;
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  // Gauges under names that Prometheus keeps for counters; the same counts stand in
  // nodejs_active_resources by type.
  for (const what of ['handles', 'requests', 'resources']) {
    registry.removeSingleMetric(`nodejs_active_${what}_total`);
  }
  const gauges = createGauges(registry);
  const startedWall = Date.now();
  const counted = createCounters(registry);
  let running: Promise<string> | null = null;

  async function scrape(): Promise<string> {
    const view = desk.status();
    for (const one of gauges.values()) one.reset();
    const set: Setter = (name, value, labels = {}) => gauges.get(name)!.set(labels, value);
    set('detour_build_info', 1, { version });
    drawWhole(set, view, startedWall);
    drawOrigins(set, view);
    for (const record of view.records) drawRecord(set, record);
    drawAudit(set, desk.audited().report);
    counted.align(view);
    return registry.metrics();
  }

  return {
    observer: counted.observer,
    contentType: registry.contentType,
    text() {
      running ??= scrape().finally(() => {
        running = null;
      });
      return running;
    },
  };
}

// ---------------------------------------------------------------- gauges, drawn from the view

type Setter = (name: FamilyName, value: number, labels?: Record<string, string>) => void;

function createGauges(registry: Registry): Map<FamilyName, Gauge> {
  const gauges = new Map<FamilyName, Gauge>();
  for (const [name, { kind, labels, help }] of Object.entries(families)) {
    if (kind !== 'gauge') continue;
    const made = new Gauge({ name, help, labelNames: [...labels], registers: [registry] });
    gauges.set(name as FamilyName, made);
  }
  return gauges;
}

function drawWhole(set: Setter, view: StatusView, startedWall: number): void {
  const { reload } = view;
  set('detour_ready', view.ready.ok ? 1 : 0);
  set('detour_frozen', view.freeze === null ? 0 : 1);
  // The configuration of the start was taken, or there would be no daemon to ask.
  set('detour_last_reload_success', reload === null || reload.ok ? 1 : 0);
  const reloadWall = reload === null ? startedWall : view.wall - view.at + reload.at;
  set('detour_last_reload_timestamp_seconds', reloadWall / 1000);
  for (const lane of view.lanes) {
    for (const state of laneStates) {
      const labels = { provider: lane.provider, state };
      set('detour_lane_state', lane.state === state ? 1 : 0, labels);
    }
  }
  for (const path of view.paths) {
    for (const state of pathStates) {
      set('detour_path_state', path.state === state ? 1 : 0, { path: path.name, state });
    }
  }
  for (const cloud of view.clouds) {
    for (const diagnosis of diagnoses) {
      const is = cloud.diagnosis === diagnosis ? 1 : 0;
      set('detour_cloud_diagnosis', is, { cloud: cloud.name, diagnosis });
    }
  }
}

function drawAudit(set: Setter, report: AuditReport | null): void {
  set('detour_audit_timestamp_seconds', (report?.wall ?? 0) / 1000);
  if (report === null) return;
  for (const severity of severities) {
    set('detour_audit_findings', countOf(report, severity), { severity });
  }
}

function drawOrigins(set: Setter, view: StatusView): void {
  const days = new Map<CheckId, number>();
  for (const origin of view.origins) {
    for (const health of verdicts) {
      const is = origin.health === health ? 1 : 0;
      set('detour_origin_health', is, { origin: origin.name, health });
    }
    set('detour_origin_drained', origin.drained ? 1 : 0, { origin: origin.name });
    const { limited, detectionMs } = origin.rate;
    set('detour_origin_limited', limited === null ? 0 : 1, { origin: origin.name });
    set('detour_origin_detection_seconds', detectionMs / 1000, { origin: origin.name });
    for (const check of origin.checks) {
      for (const verdict of verdicts) {
        const labels = { check: check.id, path: check.path, verdict };
        set('detour_check_verdict', check.verdict === verdict ? 1 : 0, labels);
      }
      const left = check.last?.certificateDays;
      if (left !== undefined) {
        days.set(check.id, Math.min(left, days.get(check.id) ?? Number.POSITIVE_INFINITY));
      }
    }
  }
  for (const [check, left] of days) {
    set('detour_certificate_remaining_seconds', left * 86_400, { check });
  }
}

const stayWord = among(stayReasons);

function drawRecord(set: Setter, view: RecordView): void {
  const record = printName(view.name);
  set('detour_record_target_info', 1, { record, target: view.target ?? 'none' });
  set('detour_record_switching', view.switching ? 1 : 0, { record });
  set('detour_record_pinned', view.pin === null ? 0 : 1, { record });
  set('detour_record_stay', 1, { record, reason: stayWord(view.stay.reason) });
  const left = Math.max(0, view.budget.limit - view.budget.used);
  set('detour_record_budget_remaining', left, { record });
  // A share that is not known is not a number: neither all is well nor how bad it is.
  const behind = view.leftBehind === null ? 0 : (view.leftBehind.share ?? Number.NaN);
  set('detour_record_left_behind_ratio', behind, { record });
  for (const one of view.providers) {
    const { provider } = one;
    const serves = served(view, one);
    if (serves !== null) set('detour_provider_serves', 1, { record, provider, target: serves });
    for (const stage of stages) {
      set('detour_provider_stage', one.stage === stage ? 1 : 0, { record, provider, stage });
    }
    if (one.epoch !== undefined) set('detour_provider_epoch', one.epoch, { record, provider });
    for (const [stage, ms] of [
      ['written', one.writtenAfterMs],
      ['visible', one.visibleAfterMs],
    ] as const) {
      if (ms === null) continue;
      set('detour_switch_stage_seconds', ms / 1000, { record, provider, stage });
    }
  }
}

/** The target that a provider's answer is, `other`, `none`; null when it is not known. */
function served(record: RecordView, { cname }: ProviderView): string | null {
  if (cname === undefined) return null;
  if (cname === null) return 'none';
  if (cname === record.cname && record.target !== null) return record.target;
  return record.targets.find((target) => target.cname === cname)?.origin ?? 'other';
}

function printName(name: string): string {
  return name.endsWith('.') ? name.slice(0, -1) : name;
}

// ---------------------------------------------------------------- counters, fed by the observer

const operations = { read: true, write: true, ask: true } satisfies Record<Operation, true>;
const troubleWords = {
  fold: true,
  adapter: true,
  audit: true,
  'control-socket': true,
  'http-listener': true,
  notify: true,
  prober: true,
  serve: true,
  store: true,
} satisfies Record<TroubleWord, true>;

function wordsOf<Word extends string>(table: Readonly<Record<Word, true>>): Word[] {
  return Object.keys(table) as Word[];
}

/** Who decided a switch, from its facts in the journal. */
function kindOf(data: Json): string {
  const kind = typeof data === 'object' && data !== null && 'kind' in data ? data.kind : null;
  return String(kind);
}

/** Series of one counter between two scrapes; names come from the configuration, which changes. */
const seriesMost = 20_000;

const probeBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10];
const callBuckets = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30];

/** The families that count as things happen, registered. */
function countersOf(registry: Registry) {
  const make = (name: FamilyName): Counter => {
    const { help, labels } = families[name];
    return new Counter({ name, help, labelNames: [...labels], registers: [registry] });
  };
  const { help, labels } = families.detour_api_call_duration_seconds;
  const probeSeconds = new ProbeDurations('detour_probe_duration_seconds');
  // The registry asks a metric for its values and for nothing else.
  registry.registerMetric(probeSeconds as unknown as Metric);
  return {
    probes: make('detour_probes_total'),
    shed: make('detour_probes_shed_total'),
    probeSeconds,
    switches: make('detour_switches_total'),
    calls: make('detour_api_calls_total'),
    callSeconds: new Histogram({
      name: 'detour_api_call_duration_seconds',
      help,
      labelNames: [...labels],
      buckets: callBuckets,
      registers: [registry],
    }),
    entries: make('detour_journal_entries_total'),
    troubles: make('detour_troubles_total'),
  };
}

type Families = ReturnType<typeof countersOf>;

/** What is told of; what a reload takes out of the configuration must not be told of for ever. */
function seriesOf({ probes, probeSeconds, calls, callSeconds, switches }: Families) {
  return {
    probed: series<{ check: CheckId; path: string }>((labels) => {
      for (const outcome of outcomes) probes.remove({ ...labels, outcome });
    }),
    timed: series<{ check: CheckId }>(({ check }) => probeSeconds.remove(check)),
    called: series<Call>((labels) => {
      calls.remove({ ...labels });
      callSeconds.remove({ provider: labels.provider, operation: labels.operation });
    }),
    switched: series<{ record: string; kind: string }>((labels) => switches.remove(labels)),
  };
}

function createCounters(registry: Registry) {
  const counted = countersOf(registry);
  const told = seriesOf(counted);
  const tallies = new Map<CheckId, Map<string, Tally>>();
  return {
    observer: observerOf(counted, told, tallies),
    align: (view: StatusView) => {
      settle(counted, tallies);
      align(counted, told, view);
    },
  };
}

type Series = ReturnType<typeof seriesOf>;
type Tallies = Map<CheckId, Map<string, Tally>>;

function observerOf(
  counted: Families,
  told: Series,
  tallies: Tallies,
): Required<Omit<Observer, 'unstored'>> {
  const operation = among(wordsOf(operations));
  const result = among(['ok', 'abandoned', ...faultKinds, ...serverAnswerKinds]);
  const kind = among(entryKinds);
  const what = among(wordsOf(troubleWords));
  const switchKind = among(markerKinds);
  return {
    probed(check: CheckId, path: string, observation: Observation) {
      let tally = tallies.get(check)?.get(path);
      if (tally === undefined) {
        if (!told.probed.admit({ check, path }) || !told.timed.admit({ check })) return;
        tally = { pass: 0, fail: 0, blind: 0, limited: 0 };
        const byPath = tallies.get(check) ?? new Map<string, Tally>();
        tallies.set(check, byPath.set(path, tally));
      }
      tally[observation.outcome]++;
      if (observation.reason === 'shed') counted.shed.inc();
      const ms = Math.max(0, observation.endedAt - observation.startedAt);
      counted.probeSeconds.observe(check, ms);
    },
    called(provider, rawOperation, rawResult, ms) {
      const labels = {
        provider,
        operation: operation(rawOperation),
        result: result(rawResult),
      };
      if (!told.called.admit(labels)) return;
      counted.calls.inc(labels);
      const by = { provider, operation: labels.operation };
      counted.callSeconds.observe(by, Math.max(0, ms) / 1000);
    },
    journalled(entry) {
      counted.entries.inc({ kind: kind(entry.kind) });
      if (entry.kind !== 'switch' || entry.record === null) return;
      const labels = { record: printName(entry.record), kind: switchKind(kindOf(entry.data)) };
      if (told.switched.admit(labels)) counted.switches.inc(labels);
    },
    trouble(raw) {
      counted.troubles.inc({ what: what(raw) });
    },
  };
}

/** Hands over what was tallied since the last scrape. */
function settle({ probes }: Families, tallies: Tallies): void {
  for (const [check, byPath] of tallies) {
    for (const [path, tally] of byPath) {
      for (const outcome of outcomes) {
        if (tally[outcome] > 0) probes.inc({ check, path, outcome }, tally[outcome]);
      }
    }
  }
  tallies.clear();
}

/** Forgets the series of what is configured no more; switches are counted from 0, not from 1. */
function align({ switches }: Families, told: Series, view: StatusView): void {
  const checks = new Set(view.origins.flatMap((o) => o.checks.map((c) => c.id)));
  const probing = new Set(view.origins.flatMap((o) => o.checks.map((c) => `${c.id} ${c.path}`)));
  const providers = new Set(view.lanes.map((lane) => lane.provider));
  const records = new Set(view.records.map((record) => printName(record.name)));
  told.probed.keep(({ check, path }) => probing.has(`${check} ${path}`));
  told.timed.keep(({ check }) => checks.has(check));
  told.called.keep(({ provider }) => providers.has(provider));
  told.switched.keep(({ record }) => records.has(record));
  for (const record of records) {
    for (const kind of markerKinds) {
      if (told.switched.admit({ record, kind })) switches.inc({ record, kind }, 0);
    }
  }
}

/**
 * A histogram of how long probes took, by check. prom-client's own looks its labels up by a text made
 * anew for every observation, which costs more than the engine does for the same probe.
 */
class ProbeDurations {
  readonly type = 'histogram';
  readonly aggregator = 'sum';
  readonly name: FamilyName;
  readonly help: string;
  readonly #byCheck = new Map<CheckId, { readonly counts: number[]; sumMs: number }>();

  constructor(name: FamilyName) {
    this.name = name;
    this.help = families[name].help;
  }

  observe(check: CheckId, ms: number): void {
    let known = this.#byCheck.get(check);
    if (known === undefined) {
      known = { counts: new Array<number>(probeBuckets.length + 1).fill(0), sumMs: 0 };
      this.#byCheck.set(check, known);
    }
    let at = 0;
    while (at < probeBuckets.length && ms > probeBuckets[at]! * 1000) at++;
    known.counts[at]!++;
    known.sumMs += ms;
  }

  remove(check: CheckId): void {
    this.#byCheck.delete(check);
  }

  /** Every bucket counts what is in the ones below it, too. */
  async get() {
    const { name, help, type, aggregator } = this;
    const values = [...this.#byCheck].flatMap(([check, { counts, sumMs }]) => {
      let count = 0;
      const buckets = counts.map((n, i) => {
        count += n;
        const labels = { le: probeBuckets[i] ?? '+Inf', check };
        return { metricName: `${name}_bucket`, labels, value: count };
      });
      const sum = { metricName: `${name}_sum`, labels: { check }, value: sumMs / 1000 };
      return [...buckets, sum, { metricName: `${name}_count`, labels: { check }, value: count }];
    });
    return { name, help, type, values, aggregator };
  }
}

/** Thousands of probes a second are counted here, and told to the registry at a scrape. */
type Tally = Record<Outcome, number>;

interface Call {
  readonly provider: string;
  readonly operation: string;
  readonly result: string;
}

/** The label sets a counter has taken: how many at most, and how to drop one. */
function series<Labels extends object>(drop: (labels: Labels) => void) {
  const known = new Map<string, Labels>();
  return {
    admit(labels: Labels): boolean {
      const key = JSON.stringify(labels);
      if (known.has(key)) return true;
      if (known.size >= seriesMost) return false;
      known.set(key, labels);
      return true;
    },
    keep(wanted: (labels: Labels) => boolean): void {
      for (const [key, labels] of known) {
        if (wanted(labels)) continue;
        known.delete(key);
        drop(labels);
      }
    },
  };
}

/** Lets a word through that is one of these; anything else is `other`. */
function among<Word extends string>(words: readonly Word[]): (word: string) => Word | 'other' {
  const known = new Set<string>(words);
  return (word) => (known.has(word) ? (word as Word) : 'other');
}
