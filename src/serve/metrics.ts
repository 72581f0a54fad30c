// The state in numbers, for Prometheus. Gauges are drawn from one status view at each scrape, so they
// cannot drift from it; counters and histograms are fed by an observer. What grows with the records
// is drawn in pieces, each kept until what it shows has changed; prom-client has what stays small.
// Label values come only from the configuration or from closed words: what somebody else can choose
// (a vendor's message, a DNS answer, an unknown path) never becomes a label, and no secret is ever
// near one.

import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import { type AuditReport, grades } from '../core/audit.ts';
import {
  type CheckId,
  diagnoses,
  drillKinds,
  entryKinds,
  faultKinds,
  findingWords,
  groupWords,
  type Handshake,
  type HeavyFamily,
  handshakes,
  heavyFamilies,
  type Json,
  markerKinds,
  type Outcome,
  outcomes,
  serverAnswerKinds,
  severities,
  stayReasons,
  verdicts,
} from '../core/model.ts';
import {
  laneStates,
  type OriginView,
  type ProviderView,
  pathStates,
  type RecordView,
  type StatusView,
  stages,
} from '../core/view.ts';
import type { KeyFacts } from '../kit/extend.ts';
import type {
  ChannelFigures,
  DropWord,
  Outcome as GroupOutcome,
  HeldFigures,
  Observer,
  Operation,
  TroubleWord,
} from '../ports.ts';
import type { Desk } from './desk.ts';
import {
  type Drawn,
  drawn,
  exposition,
  type Family,
  type Format,
  type Setter as SetterOf,
} from './exposition.ts';
import type { Readers } from './readers.ts';
import type { Text } from './text.ts';

interface Metrics {
  readonly observer: Required<Omit<Observer, 'beat' | 'unstored' | 'heard'>>;
  /** The whole exposition, of a moment after it was asked for. */
  text(format?: Format): Promise<Text>;
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
  detour_group_acts: gauge('In a group: 1 while this replica acts.'),
  detour_group_term: gauge('In a group: which holding of the right to act is known; 0: none.'),
  detour_group_trouble: gauge('In a group, state set: 1 for what is wrong with it.', 'word'),
  detour_replica_heard: gauge(
    'In a group: 1 while what another replica sees counts here; else it has no vote.',
    'replica',
  ),
  detour_replica_age_seconds: gauge(
    'In a group: so long ago at most another replica said what was heard of it last.',
    'replica',
  ),
  detour_replica_same_definition: gauge(
    'In a group: 1 while another replica has the definition of every record that is here.',
    'replica',
  ),
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
  detour_record_prepared: gauge(
    '1 once caches hold the short TTL alone, 0 on its way; absent: TTL as configured.',
    'record',
  ),
  detour_record_stay: gauge('Always 1; why the record stays is the label.', 'record', 'reason'),
  detour_approvals_waiting: gauge(
    '1 while a decision about the record waits for a person to approve or reject it.',
    'record',
  ),
  detour_approval_age_seconds: gauge(
    'How long a decision about the record has waited for a person; absent: none waits.',
    'record',
  ),
  detour_approval_remaining_seconds: gauge(
    'Until a decision that waits is over, or goes by itself if that is sooner; absent: none waits.',
    'record',
  ),
  detour_record_budget_remaining: gauge(
    'Automatic switches the record may still make within the hour.',
    'record',
  ),
  detour_record_left_behind_ratio: gauge(
    'Share of resolvers that providers which have not followed leave on the old answer.',
    'record',
  ),
  detour_line_proven: gauge(
    "1 once DNS has shown a line's users the target in force; 0: written, and not seen yet.",
    'record',
    'provider',
    'line',
  ),
  detour_objective_seconds: gauge(
    'Within so long the clients of the record are to be able to follow.',
    'record',
  ),
  detour_objective_predicted_seconds: gauge(
    'So long the clients of a provider have to expect, should the target in force fail.',
    'record',
    'provider',
  ),
  detour_objective_kept_total: counter(
    'Switches whose clients could all follow in time.',
    'record',
  ),
  detour_objective_missed_total: counter(
    'Switches whose clients could not all follow in time.',
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
  detour_held_connections: gauge(
    'Connections of probes that are held open, idle: an end of one is looked into at once.',
  ),
  detour_held_ends_total: counter(
    'Held connections that ended by themselves: closed in order, or broken off.',
    'how',
  ),
  detour_probe_handshakes_total: counter(
    'TLS handshakes of probes: whole, resumed, or whole because a session was not taken.',
    'kind',
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
  detour_group_commits_total: counter('Transactions of the group by how they ended.', 'result'),
  detour_group_commit_seconds: histogram('How long transactions of the group took.'),
  detour_journal_entries_total: counter('Entries written to the journal, by kind.', 'kind'),
  detour_troubles_total: counter(
    'What went wrong in Detour itself or could not be recorded.',
    'what',
  ),
  detour_channel_failing: gauge(
    '1 while what a channel to people tried last did not get through.',
    'channel',
  ),
  detour_channel_waiting: gauge('Notices that wait to be told by a channel.', 'channel'),
  detour_channel_last_told_timestamp_seconds: gauge(
    'When a channel last got through, in seconds since 1970; 0: not since the start.',
    'channel',
  ),
  detour_channel_told_total: counter('Notices that a channel has told.', 'channel'),
  detour_channel_failures_total: counter(
    'Attempts of a channel that did not get through.',
    'channel',
  ),
  detour_channel_quieted_total: counter(
    'Notices of a channel that repeated another or were made idle by a newer one.',
    'channel',
  ),
  detour_channel_dropped_total: counter(
    'Notices that a channel gave up: overflow, gave-up, refused or stopped.',
    'channel',
    'why',
  ),
  detour_drill_last_timestamp_seconds: gauge(
    'When a drill last ended: of a canary at a provider, dry of an origin, live of a record.',
    'drill',
    'record',
  ),
  detour_drill_last_ok: gauge('1 if the last such drill passed.', 'drill', 'record'),
  detour_drill_last_duration_seconds: gauge(
    'How long what the last such drill measured took.',
    'drill',
    'record',
  ),
  detour_drill_overdue: gauge(
    'How many scheduled drills of a kind were not made in their time.',
    'drill',
  ),
  detour_key_remaining_seconds: gauge(
    "Time until what is held of a provider's key ends; none where it has no end that is known.",
    'provider',
  ),
  detour_key_renewal_failures_total: counter(
    "Renewals of a provider's key that failed.",
    'provider',
  ),
  detour_audit_findings: gauge(
    'Findings of the last audit, by what they are about and by severity.',
    'word',
    'severity',
  ),
  detour_audit_grade: gauge(
    'Grade of the last audit, of each area and overall: 1 is A, 2 B, 3 C, 4 D, 5 F.',
    'area',
  ),
  detour_standby_fit: gauge(
    '1 if a target serves the public names of its record by the last audit; absent: not known.',
    'record',
    'target',
  ),
  detour_standby_certificate_days: gauge(
    'Fewest days left of the chains that a target shows for these names by the last audit.',
    'record',
    'target',
  ),
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
  /** It may be left out: `metrics.without`. */
  readonly heavy: boolean;
}[] = Object.entries(families).map(([name, family]) => ({
  name,
  ...family,
  heavy: (heavyFamilies as readonly string[]).includes(name),
}));

/** The lag of the loop is measured so often: to wake it costs an idle daemon more than all else. */
const lagEveryMs = 100;

/** Nothing is read from the desk before the first scrape. */
export function createMetrics(options: {
  readonly desk: Pick<Desk, 'status' | 'audited'>;
  readonly version: string;
  readonly readers: Readers;
  readonly channels?: () => readonly ChannelFigures[];
  /** How things stand with the key of each provider that says so. */
  readonly keys?: () => Readonly<Record<string, KeyFacts>>;
  /** What is held between probes; null: nothing ever is. */
  readonly held?: () => HeldFigures | null;
  /** What is left out; asked at each scrape. */
  readonly without?: () => readonly HeavyFamily[];
}): Metrics {
  const {
    desk,
    version,
    readers,
    channels = () => [],
    keys = () => ({}),
    held = () => null,
    without = () => [],
  } = options;
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: lagEveryMs });
  // Gauges under names that Prometheus keeps for counters; the same counts stand in
  // nodejs_active_resources by type.
  for (const what of ['handles', 'requests', 'resources']) {
    registry.removeSingleMetric(`nodejs_active_${what}_total`);
  }
  const startedWall = Date.now();
  const counted = createCounters(registry);
  const kept = keeper();

  const make = async (format: Format): Promise<Text> => {
    const view = await desk.status();
    const whole = drawn<FamilyName>((set) => {
      set('detour_build_info', 1, { version });
      drawWhole(set, view, startedWall);
      drawApprovals(set, view);
      drawPrepared(set, view);
      drawAudit(set, desk.audited().report);
      for (const one of channels()) drawChannel(set, one);
      drawKeys(set, keys(), view.wall);
      drawHeld(set, held());
    });
    counted.align(view);
    const rest = await registry.metrics();
    const parts = function* () {
      yield whole;
      for (const origin of view.origins) yield kept(origin, drawOrigin);
      for (const record of view.records) yield kept(record, drawRecord);
      yield* counted.probes.draw(view);
      yield* counted.switches.draw(view, format);
      yield* counted.promises.draw(view);
    };
    const shown = new Map(large);
    for (const name of without()) shown.delete(name);
    return readers.spend(exposition(shown, parts(), rest, format));
  };
  // One after the other: what one scrape has not drawn yet is not gone for another.
  let last: Promise<unknown> = Promise.resolve();
  return {
    observer: counted.observer,
    text(format = 'text') {
      const made = last.then(() => make(format));
      last = made.catch(() => undefined);
      return made;
    },
  };
}

/** Draws a part, or takes what was drawn of this very object. */
function keeper() {
  const known = new WeakMap<object, Drawn>();
  return <Part extends object>(part: Part, draw: (set: Setter, part: Part) => void): Drawn => {
    const made = known.get(part) ?? drawn((set) => draw(set, part));
    known.set(part, made);
    return made;
  };
}

/** What prom-client has: its number does not grow with the records. */
const small: ReadonlySet<string> = new Set<FamilyName>([
  'detour_probes_shed_total',
  'detour_probe_handshakes_total',
  'detour_api_calls_total',
  'detour_api_call_duration_seconds',
  'detour_group_commits_total',
  'detour_group_commit_seconds',
  'detour_journal_entries_total',
  'detour_troubles_total',
]);

const large = new Map<string, Family>(
  Object.entries(families).filter(([name]) => !small.has(name)),
);

// ---------------------------------------------------------------- gauges, drawn from the view

type Setter = SetterOf<FamilyName>;

/** A node that is alone has none of these. */
function drawGroup(set: Setter, group: StatusView['group']): void {
  if (group === null) return;
  set('detour_group_acts', group.role === 'acts' ? 1 : 0);
  set('detour_group_term', group.term);
  for (const word of groupWords) set('detour_group_trouble', group.word === word ? 1 : 0, { word });
  for (const { name: replica, self, heard, ageMs, sameDefinition } of group.replicas) {
    if (self) continue;
    set('detour_replica_heard', heard ? 1 : 0, { replica });
    // What it has not told yet is not a number.
    if (ageMs !== null) set('detour_replica_age_seconds', ageMs / 1000, { replica });
    if (sameDefinition === null) continue;
    set('detour_replica_same_definition', sameDefinition ? 1 : 0, { replica });
  }
}

function drawWhole(set: Setter, view: StatusView, startedWall: number): void {
  const { reload } = view;
  set('detour_ready', view.ready.ok ? 1 : 0);
  set('detour_frozen', view.freeze === null ? 0 : 1);
  drawGroup(set, view.group);
  drawDrills(set, view);
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

function drawDrills(set: Setter, { at, wall, drills }: StatusView): void {
  for (const { drill, name, result, at: endedAt, ms } of drills.last) {
    const labels = { drill, record: printName(name) };
    set('detour_drill_last_timestamp_seconds', (wall - at + endedAt) / 1000, labels);
    set('detour_drill_last_ok', result === 'passed' ? 1 : 0, labels);
    if (ms !== null) set('detour_drill_last_duration_seconds', ms / 1000, labels);
  }
  for (const drill of drillKinds) {
    const isScheduled = drills.scheduled.some((one) => one.drill === drill);
    const count = drills.overdue.filter((one) => one.drill === drill).length;
    if (isScheduled) set('detour_drill_overdue', count, { drill });
  }
}

function drawHeld(set: Setter, figures: HeldFigures | null): void {
  if (figures === null) return;
  set('detour_held_connections', figures.held);
  set('detour_held_ends_total', figures.closed, { how: 'closed' });
  set('detour_held_ends_total', figures.broken, { how: 'broken' });
}

function drawKeys(set: Setter, keys: Readonly<Record<string, KeyFacts>>, wall: number): void {
  for (const [provider, { untilAt, failures = 0 }] of Object.entries(keys)) {
    set('detour_key_renewal_failures_total', failures, { provider });
    if (untilAt === null) continue;
    set('detour_key_remaining_seconds', Math.max(0, untilAt - wall) / 1000, { provider });
  }
}

function drawAudit(set: Setter, report: AuditReport | null): void {
  set('detour_audit_timestamp_seconds', (report?.wall ?? 0) / 1000);
  if (report === null) return;
  const counts = new Map<string, number>();
  for (const { word, severity } of report.findings) {
    const key = `${word} ${severity}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  for (const word of findingWords) {
    for (const severity of severities) {
      const count = counts.get(`${word} ${severity}`) ?? 0;
      set('detour_audit_findings', count, { word, severity });
    }
  }
  for (const { record: name, target, word, certificateDays } of report.standbys) {
    const at = { record: printName(name), target };
    if (word !== 'unknown') set('detour_standby_fit', word === 'unfit' ? 0 : 1, at);
    if (certificateDays !== null) set('detour_standby_certificate_days', certificateDays, at);
  }
  const { overall, areas } = report.grades;
  for (const [area, grade] of [['overall', overall], ...Object.entries(areas)] as const) {
    // Nothing seen is no grade, neither a good one nor a bad one.
    if (grade !== null) set('detour_audit_grade', grades.indexOf(grade) + 1, { area });
  }
}

const dropWords = {
  overflow: true,
  'gave-up': true,
  refused: true,
  stopped: true,
} satisfies Record<DropWord, true>;

/** Counted from 0, so that a rate sees the first. */
function drawChannel(set: Setter, figures: ChannelFigures): void {
  const { channel } = figures;
  set('detour_channel_failing', figures.failing ? 1 : 0, { channel });
  set('detour_channel_waiting', figures.waiting, { channel });
  set('detour_channel_last_told_timestamp_seconds', figures.toldWall / 1000, { channel });
  set('detour_channel_told_total', figures.told, { channel });
  set('detour_channel_failures_total', figures.failed, { channel });
  set('detour_channel_quieted_total', figures.quieted, { channel });
  for (const why of wordsOf(dropWords)) {
    set('detour_channel_dropped_total', figures.dropped[why], { channel, why });
  }
}

function drawOrigin(set: Setter, origin: OriginView): void {
  for (const health of verdicts) {
    const is = origin.health === health ? 1 : 0;
    set('detour_origin_health', is, { origin: origin.name, health });
  }
  set('detour_origin_drained', origin.drained ? 1 : 0, { origin: origin.name });
  const { limited, detectionMs } = origin.rate;
  set('detour_origin_limited', limited === null ? 0 : 1, { origin: origin.name });
  set('detour_origin_detection_seconds', detectionMs / 1000, { origin: origin.name });
  const days = new Map<CheckId, number>();
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
  for (const [check, left] of days) {
    set('detour_certificate_remaining_seconds', left * 86_400, { check });
  }
}

/** Of those that wait alone: how old they are changes with every look. */
function drawApprovals(set: Setter, { at, records }: StatusView): void {
  for (const { name, approval } of records) {
    if (approval === null) continue;
    const record = printName(name);
    const untilAt = Math.min(approval.expiresAt, approval.goesAt ?? approval.expiresAt);
    set('detour_approval_age_seconds', (at - approval.sinceAt) / 1000, { record });
    set('detour_approval_remaining_seconds', (untilAt - at) / 1000, { record });
  }
}

function drawPrepared(set: Setter, { records }: StatusView): void {
  for (const { name, prepared } of records) {
    if (prepared === null) continue;
    set('detour_record_prepared', prepared.ready ? 1 : 0, { record: printName(name) });
  }
}

const stayWord = among(stayReasons);

function drawRecord(set: Setter, view: RecordView): void {
  const record = printName(view.name);
  set('detour_record_target_info', 1, { record, target: view.target ?? 'none' });
  set('detour_record_switching', view.switching ? 1 : 0, { record });
  set('detour_record_pinned', view.pin === null ? 0 : 1, { record });
  set('detour_approvals_waiting', view.approval === null ? 0 : 1, { record });
  set('detour_record_stay', 1, { record, reason: stayWord(view.stay.reason) });
  const left = Math.max(0, view.budget.limit - view.budget.used);
  set('detour_record_budget_remaining', left, { record });
  // A share that is not known is not a number: neither all is well nor how bad it is.
  const behind = view.leftBehind === null ? 0 : (view.leftBehind.share ?? Number.NaN);
  set('detour_record_left_behind_ratio', behind, { record });
  if (view.objectiveMs !== null) {
    set('detour_objective_seconds', view.objectiveMs / 1000, { record });
    for (const { provider, ...part } of view.predicted?.parts ?? []) {
      const { detectMs, commitMs, writeMs, visibleMs, ttlMs } = part;
      const ms = detectMs + commitMs + writeMs + visibleMs + ttlMs;
      set('detour_objective_predicted_seconds', ms / 1000, { record, provider });
    }
  }
  for (const one of view.providers) {
    const { provider } = one;
    const serves = served(view, one);
    if (serves !== null) set('detour_provider_serves', 1, { record, provider, target: serves });
    for (const stage of stages) {
      set('detour_provider_stage', one.stage === stage ? 1 : 0, { record, provider, stage });
    }
    for (const { line, unprovenSinceAt, provenAt } of one.lines ?? []) {
      if (unprovenSinceAt === null && provenAt === null) continue;
      set('detour_line_proven', provenAt === null ? 0 : 1, { record, provider, line });
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
  api: true,
  coordinator: true,
  eyes: true,
  audit: true,
  drill: true,
  'control-socket': true,
  hook: true,
  'http-listener': true,
  notify: true,
  prober: true,
  serve: true,
  store: true,
} satisfies Record<TroubleWord, true>;

function wordsOf<Word extends string>(table: Readonly<Record<Word, true>>): Word[] {
  return Object.keys(table) as Word[];
}

/** A fact of a switch, from its entry in the journal. */
function factOf(data: Json, key: string): string {
  const facts = (data ?? {}) as Readonly<Record<string, unknown>>;
  return String(facts[key]);
}

const switchKind = among(markerKinds);

/** Of what is counted between two scrapes; names come from the configuration, which changes. */
const seriesMost = 20_000;

const groupResults = { committed: true, deposed: true, refused: true } satisfies Record<
  GroupOutcome['kind'],
  true
>;

const probeBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10];
const callBuckets = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30];

/** What counts as things happen. */
function createCounters(registry: Registry) {
  const make = (name: FamilyName): Counter => {
    const { help, labels } = families[name];
    return new Counter({ name, help, labelNames: [...labels], registers: [registry] });
  };
  const name = 'detour_api_call_duration_seconds';
  const { help, labels } = families[name];
  const labelNames = [...labels];
  const registers = [registry];
  const counted = {
    probes: new ProbeCounts(),
    shed: make('detour_probes_shed_total'),
    handshakes: make('detour_probe_handshakes_total'),
    switches: new SwitchCounts(),
    promises: new PromiseCounts(),
    calls: make('detour_api_calls_total'),
    callSeconds: new Histogram({ name, help, labelNames, buckets: callBuckets, registers }),
    commits: make('detour_group_commits_total'),
    commitSeconds: new Histogram({
      name: 'detour_group_commit_seconds',
      help: families.detour_group_commit_seconds.help,
      buckets: callBuckets,
      registers,
    }),
    entries: make('detour_journal_entries_total'),
    troubles: make('detour_troubles_total'),
  };
  const { probes, switches, promises, calls, callSeconds } = counted;
  const called = series<Call>((of) => {
    calls.remove({ ...of });
    callSeconds.remove({ provider: of.provider, operation: of.operation });
  });
  return {
    probes,
    switches,
    promises,
    observer: observerOf(counted, called),
    /** Forgets the calls to providers that are configured no more. */
    align(view: StatusView): void {
      const providers = new Set(view.lanes.map((lane) => lane.provider));
      called.keep(({ provider }) => providers.has(provider));
    },
  };
}

interface Families {
  readonly probes: ProbeCounts;
  readonly shed: Counter;
  readonly handshakes: Counter;
  readonly switches: SwitchCounts;
  readonly promises: PromiseCounts;
  readonly calls: Counter;
  readonly callSeconds: Histogram;
  readonly commits: Counter;
  readonly commitSeconds: Histogram;
  readonly entries: Counter;
  readonly troubles: Counter;
}

/** Made once, for every probe by TLS counts. */
const handshakesBy = Object.fromEntries(handshakes.map((kind) => [kind, { kind }])) as Readonly<
  Record<Handshake, { readonly kind: Handshake }>
>;

function observerOf(
  counted: Families,
  called: ReturnType<typeof series<Call>>,
): Required<Omit<Observer, 'beat' | 'unstored' | 'heard'>> {
  const operation = among(wordsOf(operations));
  const result = among(['ok', 'abandoned', ...faultKinds, ...serverAnswerKinds]);
  const kind = among(entryKinds);
  const what = among(wordsOf(troubleWords));
  const outcome = among(wordsOf(groupResults));
  return {
    probed(check, path, observation) {
      const ms = Math.max(0, observation.endedAt - observation.startedAt);
      counted.probes.count(check, path, observation.outcome, ms);
      if (observation.reason === 'shed') counted.shed.inc();
      const { handshake: shaken } = observation;
      if (shaken !== undefined) counted.handshakes.inc(handshakesBy[shaken]);
    },
    called(provider, rawOperation, rawResult, ms) {
      const labels = {
        provider,
        operation: operation(rawOperation),
        result: result(rawResult),
      };
      if (!called.admit(labels)) return;
      counted.calls.inc(labels);
      const by = { provider, operation: labels.operation };
      counted.callSeconds.observe(by, Math.max(0, ms) / 1000);
    },
    journalled(entry, wall) {
      counted.entries.inc({ kind: kind(entry.kind) });
      if (entry.record === null) return;
      if (entry.kind === 'objective') counted.promises.count(printName(entry.record), entry.data);
      if (entry.kind !== 'switch') return;
      const [by, id] = [factOf(entry.data, 'kind'), factOf(entry.data, 'id')];
      counted.switches.count(printName(entry.record), by, id, wall);
    },
    shared(raw, ms) {
      counted.commits.inc({ result: outcome(raw) });
      counted.commitSeconds.observe(Math.max(0, ms) / 1000);
    },
    trouble(raw) {
      counted.troubles.inc({ what: what(raw) });
    },
  };
}

/** Counts of one check; what was drawn of them holds until they change. */
interface Checked {
  readonly paths: Map<string, Record<Outcome, number>>;
  /** Probes by how long they took: the buckets, and those that took longer. */
  readonly took: number[];
  sumMs: number;
  drawn: Drawn | null;
  drawnIn: number;
}

/**
 * How many probes there were, and how long they took. prom-client looks labels up by a text made anew
 * for every observation, which costs more than the engine does for the same probe.
 */
class ProbeCounts {
  readonly #checks = new Map<CheckId, Checked>();
  #scrapes = 0;
  /** Checks by path, as of the last scrape and since. */
  #series = 0;

  count(check: CheckId, path: string, outcome: Outcome, ms: number): void {
    let known = this.#checks.get(check);
    if (known === undefined) {
      if (this.#series >= seriesMost) return;
      const took = new Array<number>(probeBuckets.length + 1).fill(0);
      known = { paths: new Map(), took, sumMs: 0, drawn: null, drawnIn: 0 };
      this.#checks.set(check, known);
    }
    let counts = known.paths.get(path);
    if (counts === undefined) {
      if (this.#series >= seriesMost) return;
      this.#series++;
      counts = { pass: 0, fail: 0, blind: 0, limited: 0 };
      known.paths.set(path, counts);
    }
    counts[outcome]++;
    let at = 0;
    while (at < probeBuckets.length && ms > probeBuckets[at]! * 1000) at++;
    known.took[at]!++;
    known.sumMs += ms;
    known.drawn = null;
  }

  /** What is in the view; the rest is forgotten. */
  *draw({ origins }: StatusView): Generator<Drawn, void, undefined> {
    this.#scrapes++;
    this.#series = 0;
    for (const origin of origins) {
      const asked = Map.groupBy(origin.checks, ({ id }) => id);
      for (const [id, views] of asked) {
        const known = this.#checks.get(id);
        if (known === undefined) continue;
        known.drawnIn = this.#scrapes;
        for (const path of known.paths.keys()) {
          if (views.some((view) => view.path === path)) continue;
          known.paths.delete(path);
          known.drawn = null;
        }
        this.#series += known.paths.size;
        known.drawn ??= drawn((set) => drawChecked(set, id, known));
        yield known.drawn;
      }
    }
    yield* forgetUndrawn(this.#checks, this.#scrapes);
  }
}

/** Every bucket counts what is in the ones below it, too. */
function drawChecked(set: Setter, check: CheckId, { paths, took, sumMs }: Checked): void {
  for (const [path, counts] of paths) {
    for (const outcome of outcomes) {
      if (counts[outcome] > 0)
        set('detour_probes_total', counts[outcome], { check, path, outcome });
    }
  }
  const name = 'detour_probe_duration_seconds';
  let count = 0;
  for (const [i, n] of took.entries()) {
    count += n;
    set(name, count, { le: String(probeBuckets[i] ?? '+Inf'), check }, { part: '_bucket' });
  }
  set(name, sumMs / 1000, { check }, { part: '_sum' });
  set(name, count, { check }, { part: '_count' });
}

/** Switches of one record by who decided them. */
interface Switched {
  readonly counts: Record<string, number>;
  /** Of the last of each kind: its id, and when it was. */
  readonly exemplars: Record<string, string>;
  readonly drawn: Map<Format, Drawn>;
  drawnIn: number;
}

/** Switches are counted from 0, not from 1: a rate sees the first. */
class SwitchCounts {
  readonly #records = new Map<string, Switched>();
  #scrapes = 0;

  /** `id` is what `detour explain` takes; `wall` is when it was, in ms since 1970. */
  count(record: string, rawKind: string, id: string, wall: number): void {
    const kind = switchKind(rawKind);
    const known = this.#of(record);
    known.counts[kind] = (known.counts[kind] ?? 0) + 1;
    if (/^[0-9a-f]{16}$/.test(id)) known.exemplars[kind] = ` # {id="${id}"} 1 ${wall / 1000}`;
    known.drawn.clear();
  }

  /** What is in the view; the rest is forgotten. */
  *draw({ records }: StatusView, format: Format): Generator<Drawn, void, undefined> {
    this.#scrapes++;
    for (const { name } of records) {
      const record = printName(name);
      const known = this.#of(record);
      known.drawnIn = this.#scrapes;
      yield this.#drawn(record, known, format);
    }
    yield* forgetUndrawn(this.#records, this.#scrapes);
  }

  #drawn(record: string, { counts, exemplars, drawn: known }: Switched, format: Format): Drawn {
    const made =
      known.get(format) ??
      drawn<FamilyName>((set) => {
        for (const [kind, n] of Object.entries(counts)) {
          const exemplar = format === 'text' ? undefined : exemplars[kind];
          set('detour_switches_total', n, { record, kind }, exemplar ? { exemplar } : {});
        }
      });
    known.set(format, made);
    return made;
  }

  #of(record: string): Switched {
    const known = this.#records.get(record) ?? {
      counts: Object.fromEntries(markerKinds.map((kind) => [kind, 0])),
      exemplars: {},
      drawn: new Map(),
      drawnIn: 0,
    };
    this.#records.set(record, known);
    return known;
  }
}

/** Promises of one record. */
interface Promises {
  kept: number;
  missed: number;
  drawn: Drawn | null;
}

/** Promises kept and missed, from 0 on for every record that makes one. */
class PromiseCounts {
  readonly #records = new Map<string, Promises>();

  count(record: string, data: Json): void {
    // A prediction is neither.
    const { kept } = (data ?? {}) as { readonly kept?: unknown };
    if (typeof kept !== 'boolean' || this.#records.size >= seriesMost) return;
    const known = this.#of(record);
    if (kept) known.kept++;
    else known.missed++;
    known.drawn = null;
  }

  *draw({ records }: StatusView): Generator<Drawn, void, undefined> {
    const promising = new Set<string>();
    for (const { name, objectiveMs } of records) {
      if (objectiveMs === null) continue;
      const record = printName(name);
      promising.add(record);
      const known = this.#of(record);
      known.drawn ??= drawn((set) => {
        set('detour_objective_kept_total', known.kept, { record });
        set('detour_objective_missed_total', known.missed, { record });
      });
      yield known.drawn;
    }
    for (const record of this.#records.keys()) {
      if (!promising.has(record)) this.#records.delete(record);
    }
  }

  #of(record: string): Promises {
    const known = this.#records.get(record) ?? { kept: 0, missed: 0, drawn: null };
    this.#records.set(record, known);
    return known;
  }
}

const nothing: Drawn = new Map();

/** What a reload took out of the configuration must not be told of for ever. */
function* forgetUndrawn(
  known: Map<string, { readonly drawnIn: number }>,
  scrape: number,
): Generator<Drawn, void, undefined> {
  for (const [key, { drawnIn }] of known) {
    if (drawnIn !== scrape) known.delete(key);
    yield nothing;
  }
}

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
