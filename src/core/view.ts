// What the state looks like from outside: one plain document for the status command, the API, the
// status page and the metrics. Derived on request, at once or in pieces, never stored, never read
// back by a decision.

import { differing } from './agree.ts';
import { waitingOf } from './approve.ts';
import { type AuditFinding, type AuditReport, countOf, type Grade } from './audit.ts';
import { isInStep, isOut, isWaiting, sentenceOf } from './cell.ts';
import { alternatives, ofLastHour } from './decide.ts';
import { mayEvict } from './delegation.ts';
import { type CheckState, checkKey, lossRate } from './detect.ts';
import { isSameDefinition } from './heard.ts';
import type {
  CheckConfig,
  Diagnosis,
  DrillDoc,
  DrillKind,
  FaultKind,
  GroupState,
  Health,
  MoveReason,
  Name,
  Observation,
  Pin,
  Plane,
  RecordMode,
  Spelling,
  StayReason,
  Verdict,
} from './model.ts';
import { type NoticeView, openNotices } from './notices.ts';
import { type Predicted, predict } from './objective.ts';
import { own } from './own.ts';
import { boundOf, helpsWithinMs, type Patience, patienceEndsAt, patienceOf } from './patience.ts';
import { readyAt } from './prepare.ts';
import { detectionMs, limitOf, slowness } from './rate.ts';
import { isDrained, situation } from './situation.ts';
import { type Flaw, flawOf } from './standby.ts';
import type {
  Cell,
  CloudState,
  DrillRun,
  DrillStage,
  Eyes,
  Freeze,
  Lane,
  OriginState,
  PathState,
  Prepared,
  PreparedPart,
  RecordDoc,
  RecordState,
  ReplicaState,
  SickZone,
  State,
} from './state.ts';
import { isUnderWay } from './state.ts';
import { nextTimer, type Wake } from './timers.ts';
import { readyAtOf } from './ttl.ts';

export { drillResults, drillStages, preparedFor } from './state.ts';

import { zoneDueAt } from './zone.ts';

export { openNotices } from './notices.ts';

/** Where one provider is with the record's current target. */
export const stages = [
  /** Nothing has been read yet. */
  'unread',
  /** Others have their turn first: it keeps what it serves, and is not behind. */
  'waiting',
  /** Decided; this provider still gives something else. */
  'decided',
  /** The vendor took the change. */
  'written',
  /** Every authoritative server of the provider gives it. */
  'visible',
  /** Behind after the switch has ended; converging on its own. */
  'lagging',
  /** Somebody else's value stands there. */
  'diverged',
  /** Observed only, or refused: never written. */
  'untouched',
] as const;
export type Stage = (typeof stages)[number];

export const laneStates = [
  'ok',
  'throttled',
  'stuck',
  'auth-suspect',
  'rejected',
  'lagging',
  'diverged',
] as const;
export type LaneStateWord = (typeof laneStates)[number];

export const pathStates = [
  'sighted',
  'blind',
  'suspect',
  /** Another replica's, which is not heard. */
  'unheard',
] as const;

export interface ProviderView {
  readonly provider: string;
  readonly stage: Stage;
  /** What DNS or the API last gave; null when nothing stands there, undefined when unknown. */
  readonly cname?: Name | null;
  readonly ttl?: number;
  readonly epoch?: number;
  readonly seenAt: number | null;
  readonly seenBy: 'api' | 'dns' | null;
  /** Authoritative servers that give the wanted answer, of those asked. */
  readonly serversRight: number;
  readonly serversAsked: number;
  /** Milliseconds from the decision; null while it has not happened. */
  readonly writtenAfterMs: number | null;
  readonly visibleAfterMs: number | null;
  /** This provider's share, 0 to 1, of the name servers that resolvers are told of; null: unknown. */
  readonly share: number | null;
  /** Why it is not in step, with the cure. */
  readonly problem: string | null;
  /** Each of the lines that are listed; absent: it has but one. */
  readonly lines?: readonly LineView[];
}

interface LineView {
  readonly line: string;
  /** What its API last said; null when nothing stands there, absent when unknown. */
  readonly cname?: Name | null;
  /** When DNS was first seen to give its askers the target in force; null: it was not. */
  readonly provenAt: number | null;
  /** Since when that is so, where it is not proven; null: it is, or nothing was written yet. */
  readonly unprovenSinceAt: number | null;
  /** Why it is not proven; null: it is, or nothing was written yet. */
  readonly why: string | null;
}

interface PreparedView extends Omit<Prepared, 'parts'> {
  /** When every cache that follows TTLs holds the short one, everywhere; null: not known yet. */
  readonly readyAt: number | null;
  readonly parts: readonly (PreparedPart & {
    readonly provider: string;
    readonly readyAt: number | null;
  })[];
}

export interface TargetView {
  readonly origin: string;
  readonly cname: Name;
  readonly health: Health;
  readonly drained: boolean;
  readonly sinceAt: number;
  /** What an audit of late found wrong with how it serves the public names; null: nothing. */
  readonly flaw: { readonly word: Flaw['word']; readonly why: string } | null;
  /** When it was left last; null: it is in force, or has not been since that is kept. */
  readonly carriedAt: number | null;
}

export interface RecordView {
  readonly name: Name;
  /** What users type, and what leads here by CNAME. */
  readonly names: readonly Name[];
  readonly mode: RecordMode;
  /** The target in force, or that would be where it is only observed; null before adoption. */
  readonly target: string | null;
  readonly cname: Name | null;
  /** In force but no longer configured. */
  readonly retired: boolean;
  readonly epoch: number;
  readonly switchId: string | null;
  readonly switchKind: 'auto' | 'operator' | null;
  readonly decidedAt: number | null;
  /** A switch is under way: decided, and neither visible everywhere nor given up on. */
  readonly switching: boolean;
  readonly pin: Pin | null;
  /** Its TTL is brought down before a planned move; null: it is as configured. */
  readonly prepared: PreparedView | null;
  /** A freeze of its own. */
  readonly freeze: HeldView | null;
  /** A window of maintenance that is open: it acts as a freeze. */
  readonly maintenance: MaintenanceView | null;
  /** Why it stays, and the sentence for people. */
  readonly stay: { readonly reason: StayReason; readonly sentence: string };
  /** When a move away from a down target could help clients at the earliest; null if none is due. */
  readonly earliestBenefitAt: number | null;
  readonly targets: readonly TargetView[];
  /** What a provider that has not followed leaves behind; null when all follow. */
  readonly leftBehind: {
    /** Share, 0 to 1, of resolvers that still get the old answer; null: not known. */
    readonly share: number | null;
    readonly sentence: string;
    readonly cure: string;
  } | null;
  /** When the last cache can have let go of the old answer; null while a provider is behind. */
  readonly cachesExpiredAt: number | null;
  /** What the target in force is waited for once it is down; `why`: more than configured, and why. */
  readonly patience: Patience & { readonly configuredMs: number; readonly boundMs: number };
  readonly budget: { readonly used: number; readonly limit: number; readonly spent: boolean };
  /** Of those used, how many proved needless: what was left came back before it helped. */
  readonly needless: number;
  /** Within so long its clients are to be able to follow; null: nothing is promised. */
  readonly objectiveMs: number | null;
  /** What they have to expect should the target in force fail; null where it is published nowhere. */
  readonly predicted: Predicted | null;
  /** The live drill that it is in. */
  readonly drill: {
    readonly id: string;
    readonly kind: 'live';
    readonly to: string;
    readonly from: string;
    readonly stage: DrillStage;
    readonly sinceAt: number;
    readonly byVendor: boolean;
  } | null;
  /** What came of its last live drill; null: there was none. */
  readonly lastDrill: DrillRun | null;
  readonly providers: readonly ProviderView[];
  /** The decision that waits for a person; null: none does. */
  readonly approval: ApprovalView | null;
}

export interface ApprovalView {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly why: MoveReason;
  readonly sentence: string;
  /** What the checks of the target that would be left say now. */
  readonly votes: string;
  /** Of each target why it would be taken or not, as things stand now. */
  readonly alternatives: readonly { readonly origin: string; readonly why: string }[];
  readonly sinceAt: number;
  readonly expiresAt: number;
  /** When silence goes; null: it stays. */
  readonly goesAt: number | null;
}

interface CheckView {
  readonly id: string;
  readonly path: string;
  /** Why what another replica says of it is no vote here; absent where it is one, or is our own. */
  readonly void?: string;
  readonly verdict: Verdict;
  readonly fails: number;
  readonly passes: number;
  readonly sinceAt: number;
  readonly advisory: boolean;
  readonly last: Observation | null;
  /** It has been seen to fail at least once since the daemon's first start. */
  readonly everFailed: boolean;
}

export interface OriginView {
  readonly name: string;
  readonly cloud: string;
  readonly region: string | null;
  readonly health: Health;
  readonly sinceAt: number;
  readonly drained: boolean;
  /** A window of maintenance that is open: it acts as a drain. */
  readonly maintenance: MaintenanceView | null;
  /** It came and went of late: until then steadier targets go before it; null: trusted. */
  readonly trustedAt: number | null;
  readonly rate: RateView;
  readonly checks: readonly CheckView[];
}

/** How fast an origin is asked, by all its checks and paths. */
interface RateView {
  /** Probes a second by the clock, now. */
  readonly perSecond: number;
  /** An outage is seen within so long, where nothing is lost; `usualMs` at the rate that is configured. */
  readonly detectionMs: number;
  readonly usualMs: number;
  /** It has answered that it is asked too often. */
  readonly limited: {
    /** Probes a second that it is asked at most. */
    readonly perSecond: number;
    readonly sinceAt: number;
    /** It is left alone until then; null: it is asked. */
    readonly pausedUntil: number | null;
  } | null;
}

export interface CloudView {
  readonly name: string;
  readonly diagnosis: Diagnosis;
  /** The evidence, in one sentence. */
  readonly sentence: string;
  readonly sinceAt: number;
  readonly services: readonly {
    readonly id: string;
    readonly plane: Plane;
    readonly verdict: Verdict;
    readonly everFailed: boolean;
  }[];
}

export interface PathView {
  readonly name: string;
  /** Who probes by it; absent: this daemon is alone. */
  readonly replica?: string;
  /** Paths of one group are one vote. */
  readonly group: string;
  readonly cloud: string | null;
  readonly state: (typeof pathStates)[number];
  /** Share of probes it usually loses, 0.01 to 0.3. */
  readonly loss: number;
}

/** One replica of a group, as this one knows it. */
interface ReplicaView {
  readonly name: string;
  /** It is this one. */
  readonly self: boolean;
  /** What it says counts here. */
  readonly heard: boolean;
  readonly sinceAt: number;
  /** Why it is not heard; empty while it is. */
  readonly why: string;
  /** How long ago, at the most, it said the latest that was heard; null: nothing yet. */
  readonly ageMs: number | null;
  /** None of its own paths sees anything. */
  readonly blind: boolean;
  /** It holds the lease, as it believes itself. */
  readonly acts: boolean;
  /** Its whole configuration is this one's, by the hash; null: not told yet. */
  readonly sameConfig: boolean | null;
  /** Its definition of every record is this one's; null: not told yet. */
  readonly sameDefinition: boolean | null;
  /** Records whose definition is another there, at most `DIFFERS_SHOWN` of them. */
  readonly differs: readonly Name[];
}

/** The group of replicas, as the one that is asked knows it. */
interface GroupView extends GroupState {
  /** Who is asked. */
  readonly self: string;
  /** Whether it acts itself; else it follows. */
  readonly role: 'acts' | 'follows';
  /** Why this replica would hand over; null: it would not. */
  readonly minority: string | null;
  /** All of them, this one too, in the order of the configuration. */
  readonly replicas: readonly ReplicaView[];
}

export interface LaneView {
  readonly provider: string;
  readonly type: string;
  readonly state: LaneStateWord;
  readonly sinceAt: number;
  readonly detail: string | null;
  readonly retryAt: number | null;
  readonly pending: number;
  /** Zones in trouble: that of their records alone, unless `state` says the same of the lane. */
  readonly zones: readonly ZoneView[];
}

interface ZoneView {
  readonly zone: Name;
  readonly fault: FaultKind;
  /** What is the matter, with its cure where one is known. */
  readonly detail: string;
  readonly sinceAt: number;
  /** null: it is being tried now, or as soon as the lane is free. */
  readonly retryAt: number | null;
}

/** What an operator holds: a freeze, a drain. */
interface HeldView {
  readonly reason: string;
  readonly by: string;
  readonly sinceAt: number;
  /** When it ends by itself; null: not before it is given back. */
  readonly untilAt: number | null;
}

/** A window of maintenance, as it is written, and when it ends. */
interface MaintenanceView {
  readonly window: string;
  readonly untilAt: number;
}

/** What is known of drills. */
interface DrillsView {
  /** The last of each kind of each thing that was drilled. */
  readonly last: readonly Omit<DrillDoc, 'parts'>[];
  /** Each kind that is scheduled, since when, and when it is due next. */
  readonly scheduled: readonly {
    readonly drill: DrillKind;
    readonly sinceAt: number;
    /** null: it is not known. */
    readonly nextAt: number | null;
  }[];
  /** What should have been drilled and was not, and when that was due. */
  readonly overdue: readonly {
    readonly drill: DrillKind;
    readonly name: string;
    readonly dueAt: number;
    /** Why it was put off last; empty: it is not known. */
    readonly why: string;
  }[];
}

export interface StatusView {
  readonly cluster: string;
  readonly version: string;
  /** Engine time and wall clock of this view: `wall - at` turns an `...At` into a date. */
  readonly at: number;
  readonly wall: number;
  readonly ready: { readonly ok: boolean; readonly reasons: readonly string[] };
  readonly freeze: HeldView | null;
  readonly drains: readonly (HeldView & { readonly what: string })[];
  /** How names are shown to people; absent: as they are. */
  readonly spelling?: Spelling;
  readonly records: readonly RecordView[];
  readonly origins: readonly OriginView[];
  readonly clouds: readonly CloudView[];
  readonly paths: readonly PathView[];
  /** Who sees and acts together; null: this daemon is alone. */
  readonly group: GroupView | null;
  readonly lanes: readonly LaneView[];
  /** When the engine acts next by itself, and what for; null: never, unless something happens. */
  readonly next: { readonly at: number; readonly wake: Wake } | null;
  /** What wants a person and is not over, the longest first. */
  readonly notices: readonly NoticeView[];
  readonly drills: DrillsView;
  /** What the last audit found that is bad; null before the first, and where nobody audits. */
  readonly audit: {
    readonly at: number;
    readonly complete: boolean;
    /** Of the whole, `A` to `F`; null: nothing could be seen. */
    readonly grade: Grade | null;
    /** How many findings want a look. */
    readonly warn: number;
    readonly bad: readonly AuditFinding[];
  } | null;
  /** Answer of the last reload, or null. */
  readonly reload: { readonly ok: boolean; readonly at: number; readonly errors: number } | null;
}

/** A provider is given this long to follow before anybody is told of what it leaves behind. */
const LEFT_BEHIND_AFTER_MS = 3_000;
/** Records whose definitions differ that are named for each replica. */
const DIFFERS_SHOWN = 20;

interface About {
  readonly version: string;
  readonly reload: StatusView['reload'];
  /** Words of operators that hold and are not committed. */
  readonly unkept?: readonly string[];
}

/** The whole state as one plain document, made at once. O(everything): for people and tools. */
export function view(state: State, about: About): StatusView {
  const making = viewing(state, () => about, null);
  for (;;) {
    const made = making.next();
    if (made.done) return made.value;
  }
}

/**
 * The same in pieces, for whoever may not hold the loop for all of it: steps may be taken between
 * two pieces. Each piece (a record, an origin, …) is whole, and as it was at one moment of the
 * making; `at` is the end of it, so that nothing in the document is later. A piece that is as it was
 * in the document `before` is that very object: what was made of it still holds.
 */
export function* viewing(
  state: State,
  about: () => About,
  before: StatusView | null,
): Generator<undefined, StatusView, undefined> {
  const tallies = new Map<string, Tally>();
  const records = yield* pieces(state.records, before?.records, (r) => {
    count(state, tallies, r);
    return recordView(state, r);
  });
  const origins = yield* pieces(state.origins, before?.origins, (o) => originView(state, o));
  const clouds = yield* pieces(state.clouds, before?.clouds, (c) => cloudView(state, c));
  const paths = yield* pieces(state.paths, before?.paths, (path) => pathView(state, path));
  const lanes = yield* pieces(state.lanes, before?.lanes, (lane) => {
    return laneView(state, lane, tallies.get(lane.provider) ?? { pending: 0, word: 'ok' });
  });
  const next = nextTimer(state.timers);
  return {
    cluster: state.config.cluster,
    version: about().version,
    at: state.now,
    wall: state.wall,
    ready: readyView(state, about().unkept),
    freeze: heldView(state.freeze),
    drains: [...state.drains.values()].map((d) => ({ ...heldView(d)!, what: d.what })),
    ...(state.config.spelling === undefined ? {} : { spelling: state.config.spelling }),
    records,
    origins,
    clouds,
    paths,
    group: groupView(state),
    lanes,
    next: next === null ? null : { at: next.at, wake: next.wake },
    notices: openNotices(state),
    drills: drillsView(state),
    audit: null,
    reload: about().reload,
  };
}

function heldView(held: Freeze | null): HeldView | null {
  if (held === null) return null;
  const { reason, by, sinceAt, untilAt = null } = held;
  return { reason, by, sinceAt, untilAt };
}

/** Whoever keeps the schedule knows what is due and what is overdue. */
function drillsView(state: State): DrillsView {
  const scheduled = [...state.scheduled].map(([drill, { at }]) => {
    return { drill, sinceAt: at, nextAt: null };
  });
  const last = [...state.drills.values()].map(({ parts: _, ...doc }) => doc);
  return { last, scheduled, overdue: [] };
}

/** The same view with what the last audit found; `null`: there was none. */
export function withAudit(view: StatusView, report: AuditReport | null): StatusView {
  if (report === null) return view;
  const { wall, complete, findings } = report;
  const bad = findings.filter((f) => f.severity === 'bad');
  const at = view.at - view.wall + wall;
  const { overall: grade } = report.grades;
  return { ...view, audit: { at, complete, grade, warn: countOf(report, 'warn'), bad } };
}

/** A view of each, in order; the one before where nothing of it has changed. */
function* pieces<Part, View>(
  of: ReadonlyMap<string, Part>,
  before: readonly View[] | undefined,
  make: (part: Part) => View,
): Generator<undefined, View[], undefined> {
  const made: View[] = [];
  for (const part of of.values()) {
    const now = make(part);
    const was = before?.[made.length];
    made.push(was !== undefined && isAlike(was, now) ? was : now);
    yield;
  }
  return made;
}

/** Whether two plain documents say the same. */
function isAlike(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!isAlike(a[i], b[i])) return false;
    return true;
  }
  const [left, right] = [a, b] as Readonly<Record<string, unknown>>[];
  // Without a list of the keys: this is done for everything that readers are shown.
  let more = 0;
  for (const key in left) {
    if (!isAlike(left[key], right![key])) return false;
    more++;
  }
  for (const _ in right) more--;
  return more === 0;
}

/** What /readyz is asked: cheap, because an orchestrator asks it all day. */
export function readyView(state: State, unkept: readonly string[] = []): StatusView['ready'] {
  const reasons: string[] = [];
  if (!state.storeOk) reasons.push('the store cannot commit');
  const word = state.group?.word ?? null;
  if (word !== null) reasons.push(`the group is ill (${word}): no replica acts`);
  for (const word of unkept) reasons.push(`only until a restart: ${word}`);
  let unread = 0;
  for (const r of state.records.values()) if (r.stay.reason === 'reading') unread++;
  if (unread > 0) reasons.push(`${unread} records have not been read yet`);
  return { ok: reasons.length === 0, reasons };
}

function recordView(state: State, r: RecordState): RecordView {
  const { doc } = r;
  const cells = [...r.cells.values()];
  const used = ofLastHour(doc.switches, state.now).length;
  return {
    name: r.name,
    names: r.config.names ?? [],
    mode: r.config.mode,
    target: doc.target,
    cname: doc.cname,
    retired: r.stay.reason === 'retired',
    epoch: doc.marker?.epoch ?? 0,
    switchId: doc.marker?.id ?? null,
    switchKind: doc.marker?.kind ?? null,
    decidedAt: doc.decidedAt,
    switching: isUnderWay(state, r),
    pin: doc.pin,
    prepared: preparedView(doc.prepared),
    freeze: heldView(doc.freeze),
    maintenance: state.maintained.records.get(r.name) ?? null,
    stay: r.stay,
    earliestBenefitAt: earliestBenefit(state, r),
    patience: {
      ...patienceOf(state, r, doc.target),
      configuredMs: r.config.patienceMs,
      boundMs: boundOf(r),
    },
    targets: r.config.targets.map((t) => {
      const origin = state.origins.get(t.origin);
      return {
        origin: t.origin,
        cname: t.cname,
        health: origin?.health ?? 'unknown',
        drained: isDrained(state, t.origin),
        sinceAt: origin?.sinceAt ?? state.now,
        flaw: flawView(state, r, t.origin),
        carriedAt: carriedAt(state, r, t.origin),
      };
    }),
    leftBehind: leftBehind(state, r),
    cachesExpiredAt: cachesExpired(r),
    budget: {
      used,
      limit: r.config.switchesPerHour,
      spent: used >= r.config.switchesPerHour,
    },
    needless: ofLastHour(doc.needless, state.now).length,
    objectiveMs: r.config.objectiveMs ?? null,
    predicted: predict(state, r),
    drill: drillView(r),
    lastDrill: state.drilled.get(r.name)?.[0] ?? null,
    providers: cells.map((c) => providerView(state, r, c)),
    approval: approvalView(state, r),
  };
}

function flawView(state: State, r: RecordState, target: string): TargetView['flaw'] {
  const flaw = flawOf(state, r, target);
  return flaw === null ? null : { word: flaw.word, why: flaw.why };
}

/** By its document, or by what is left of the time before that was kept: its last leave, drills. */
function carriedAt(state: State, { name, doc }: RecordState, target: string): number | null {
  if (target === doc.target) return null;
  const drills = (state.drilled.get(name) ?? []).filter((run) => {
    return run.to === target && run.result === 'passed';
  });
  const left = doc.left === target && doc.decidedAt !== null ? [doc.decidedAt] : [];
  const known = [...left, ...drills.map(({ at }) => at)];
  const kept = own(doc.carried, target);
  if (kept !== undefined) known.push(kept);
  return known.length === 0 ? null : Math.max(...known);
}

function approvalView(state: State, r: RecordState): ApprovalView | null {
  const waiting = waitingOf(r);
  if (waiting === null) return null;
  const { a, expiresAt, goesAt } = waiting;
  const { id, from, to, why, sentence, sinceAt } = a;
  return {
    ...{ id, from, to, why, sentence, sinceAt, expiresAt, goesAt },
    votes: state.origins.get(from)?.why ?? '',
    alternatives: alternatives(situation(state, r, null), to),
  };
}

function preparedView(p: RecordDoc['prepared']): PreparedView | null {
  if (p === null) return null;
  const { ttl, reason, by, asked, sinceAt, untilAt, ready } = p;
  const parts = Object.entries(p.parts).map(([provider, part]) => {
    return { provider, ...part, readyAt: readyAtOf(part) };
  });
  return { ttl, reason, by, asked, sinceAt, untilAt, ready, readyAt: readyAt(p), parts };
}

function drillView({ doc }: RecordState): RecordView['drill'] {
  if (doc.drill === null) return null;
  const { id, to, from, stage, sinceAt, byVendor } = doc.drill;
  return { id, kind: 'live', to, from, stage, sinceAt, byVendor };
}

/** What a gate is asked: cheap, so that a gate can be asked by every load balancer there is. */
export interface GateView {
  readonly target: string | null;
  readonly targets: readonly string[];
  /** For how long nobody has known whether that is still right, in milliseconds; 0: it is known. */
  readonly unsureMs: number;
}

export function gateView(state: State, record: Name, now: number): GateView | null {
  const r = state.records.get(record);
  if (r === undefined) return null;
  const unsureMs = r.unsureSinceAt === null ? 0 : Math.max(0, now - r.unsureSinceAt);
  return { target: r.doc.target, targets: r.config.targets.map((t) => t.origin), unsureMs };
}

/** Calls that a rehearsal may need at a provider. */
const REHEARSAL_CALLS = 8;

/** Why a provider has no calls to spare for a rehearsal; null: it has some beyond its reserve. */
export function slackView(state: State, provider: string, now: number): string | null {
  const lane = state.lanes.get(provider);
  const quota = state.config.lanes[provider]?.quota;
  if (lane === undefined || quota === undefined) return `there is no provider ${provider}`;
  if (lane.busy?.urgent === true || lane.urgent.size > 0) return 'it is busy with a switch';
  if (lane.fault !== null) return lane.fault.sentence;
  const refilled = ((now - lane.refilledAt) / 1000) * quota.perSecond;
  const tokens = Math.min(quota.burst, lane.tokens + refilled);
  const needed = Math.min(REHEARSAL_CALLS, Math.max(1, quota.burst - quota.reserve));
  return tokens - quota.reserve < needed ? 'its quota is kept for switches' : null;
}

/** Decided at the end of patience, written and visible as last measured, then one TTL. */
function earliestBenefit(state: State, r: RecordState): number | null {
  const origin = state.origins.get(r.doc.target ?? '');
  if (origin === undefined || origin.downSinceAt === null) return null;
  const patience = patienceOf(state, r, origin.name);
  const endsAt = patienceEndsAt(origin, r.config.patienceMs, patience);
  return Math.max(state.now, endsAt!) + helpsWithinMs(state, r);
}

/** Resolvers choose among a zone's name servers, so a provider's share of those is its share here. */
function leftBehind(state: State, r: RecordState): RecordView['leftBehind'] {
  if (r.doc.marker === null || r.config.mode === 'observe') return null;
  // What it serves counts, whatever was once written there and seen.
  const stale = [...r.cells.values()].filter((c) => {
    const isLeft = c.seen !== null && (c.seen.cname !== r.doc.cname || isSplit(c));
    return isLeft && !isWaiting(r, c);
  });
  if (stale.length === 0 || state.now - (r.doc.decidedAt ?? 0) < LEFT_BEHIND_AFTER_MS) return null;
  const shares = stale.map((c) => c.survey?.share ?? null);
  const share = shares.includes(null) ? null : shares.reduce<number>((sum, s) => sum + s!, 0);
  const names = stale.map((c) => c.provider).join(', ');
  const part = share === null ? 'an unknown share' : `about ${Math.round(share * 100)} %`;
  const hours = Math.max(0, ...stale.map((c) => c.survey?.parentTtl ?? 0)) / 3600;
  const keep = hours > 0 ? ` (resolvers keep the delegation up to ${hours.toFixed(1)} h)` : '';
  const words = mayEvict(
    r.config,
    stale.map((c) => c.provider),
  );
  const how = words ?? `remove the name servers of ${names} from the delegation at the parent`;
  return {
    share,
    sentence: `${part} of resolvers still get the old answer from ${names}`,
    cure: `if it stays, ${how}${keep}`,
  };
}

/** Some of its lines lead elsewhere, by its API's last word. */
function isSplit({ standing: s }: Cell): boolean {
  return s !== null && 'split' in s;
}

function cachesExpired(r: RecordState): number | null {
  const cells = [...r.cells.values()].filter((c) => !isOut(c));
  if (r.doc.decidedAt === null || cells.some((c) => c.visibleAt === null)) return null;
  return Math.max(...cells.map((c) => c.visibleAt! + c.oldTtl * 1000));
}

function providerView(state: State, r: RecordState, c: Cell): ProviderView {
  const decidedAt = r.doc.decidedAt ?? state.now;
  const after = (at: number | null) => (at === null ? null : Math.max(0, at - decidedAt));
  const lane = state.lanes.get(c.provider);
  return {
    provider: c.provider,
    stage: stageOf(state, r, c),
    ...(c.seen === null ? {} : { cname: c.seen.cname }),
    ...(c.seen === null || c.seen.ttl === null ? {} : { ttl: c.seen.ttl }),
    ...(c.seen === null || c.seen.epoch === null ? {} : { epoch: c.seen.epoch }),
    seenAt: c.seen?.at ?? null,
    seenBy: c.seen?.by ?? null,
    serversRight: c.right,
    serversAsked: c.asked,
    writtenAfterMs: after(c.writtenAt),
    visibleAfterMs: after(c.visibleAt),
    share: c.survey?.share ?? null,
    problem: c.problem?.sentence ?? (isInStep(r, c) ? null : troubleOf(lane, c)),
    ...(c.lines === undefined ? {} : { lines: c.lines.map((line) => lineView(c, line)) }),
  };
}

function lineView({ lines, stood, proofs, writtenAt }: Cell, line: string): LineView {
  const at = stood?.find((s) => (s.line ?? lines![0]) === line);
  const { provenAt = null, why = 'it has no subnet in `lineSubnets` to be asked from' } =
    proofs[line] ?? {};
  const isOpen = writtenAt !== null && provenAt === null;
  return {
    line,
    ...(stood === null ? {} : { cname: at?.value ?? null }),
    provenAt,
    unprovenSinceAt: isOpen ? writtenAt : null,
    why: isOpen ? why : null,
  };
}

/** What keeps a record that says nothing of itself from being brought into step. */
function troubleOf(lane: Lane | undefined, c: Cell): string | null {
  const zone = lane?.zones.get(c.zone ?? '');
  return zone === undefined ? (lane?.fault?.sentence ?? null) : sentenceOf(zone.fault);
}

function stageOf(state: State, r: RecordState, c: Cell): Stage {
  if (c.problem?.word === 'edited' || c.problem?.word === 'rival') return 'diverged';
  if (c.held || r.config.mode === 'observe') return 'untouched';
  if (r.doc.marker === null) return c.reading === 'pending' ? 'unread' : 'untouched';
  if (c.visibleAt !== null) return 'visible';
  if (isWaiting(r, c)) return 'waiting';
  if (!isUnderWay(state, r)) return c.reading === 'pending' ? 'unread' : 'lagging';
  return c.writtenAt !== null ? 'written' : 'decided';
}

function originView(state: State, o: OriginState): OriginView {
  const config = state.config.origins[o.name]!;
  return {
    name: o.name,
    cloud: config.cloud,
    region: config.region,
    health: o.health,
    sinceAt: o.sinceAt,
    drained: isDrained(state, o.name),
    maintenance: state.maintained.origins.get(o.name) ?? null,
    trustedAt: o.trustedAt > state.now ? o.trustedAt : null,
    rate: rateView(state, o),
    checks: o.checks.flatMap((id) => {
      const check = state.config.checks[id]!;
      return check.paths.map((path) => {
        const cs = state.checks.get(checkKey(id, path))!;
        const why = voidOf(check, cs);
        return {
          id,
          path,
          ...(why === null ? {} : { void: why }),
          verdict: cs.verdict,
          fails: cs.fails,
          passes: cs.passes,
          sinceAt: cs.sinceAt,
          advisory: check.advisory,
          last: cs.last,
          everFailed: cs.everFailed,
        };
      });
    }),
  };
}

/** Why another replica's word on a check is no vote. */
function voidOf(config: CheckConfig, { hearsay }: CheckState): string | null {
  if (hearsay === null) return null;
  const { of, sighting } = hearsay;
  if (!of.heard) return `${of.name} is not heard: ${of.why}`;
  if (sighting === null) return `${of.name} has said nothing of it`;
  return isSameDefinition(sighting, config) ? null : `${of.name} has another definition of it`;
}

/** What a limit costs: of its checks, the one that is quickest to see an outage. */
function rateView(state: State, { name, own }: OriginState): RateView {
  const rate = state.rates.get(name);
  if (rate === undefined) return { perSecond: 0, detectionMs: 0, usualMs: 0, limited: null };
  const times = own.map(({ config, all }) => {
    const here = all.filter(({ way }) => way.replica === null).length;
    return detectionMs(rate, config, all.length, here);
  });
  const least = (of: (t: (typeof times)[number]) => number) =>
    times.length === 0 ? 0 : Math.min(...times.map(of));
  const limit = limitOf(rate);
  return {
    perSecond: rate.plain / slowness(rate),
    detectionMs: least((t) => t.slowedMs),
    usualMs: least((t) => t.plainMs),
    limited: limit && {
      perSecond: limit.perSecond,
      sinceAt: limit.sinceAt,
      pausedUntil: limit.pausedUntil > state.now ? limit.pausedUntil : null,
    },
  };
}

function cloudView(state: State, c: CloudState): CloudView {
  const services = (state.config.clouds[c.name]?.checks ?? []).map((id) => {
    const check = state.config.checks[id]!;
    const seen = check.paths.map((path) => state.checks.get(checkKey(id, path))!);
    return {
      id,
      plane: check.plane!,
      verdict: state.judged.get(id)?.verdict ?? ('unknown' as const),
      everFailed: seen.some((cs) => cs.everFailed),
    };
  });
  const { word, sentence } = c.diagnosis;
  return { name: c.name, diagnosis: word, sentence, sinceAt: c.sinceAt, services };
}

/** What a fault of the lane's own shows; null: it is one record's. */
const stateOfFault = {
  throttled: 'throttled',
  'auth-suspect': 'auth-suspect',
  unavailable: 'stuck',
  uncertain: 'stuck',
  conflict: null,
  rejected: null,
} satisfies Readonly<Record<FaultKind, LaneStateWord | null>>;

/** What the records that are published by a lane come to. */
interface Tally {
  pending: number;
  word: LaneStateWord;
}

function count(state: State, tallies: Map<string, Tally>, r: RecordState): void {
  for (const cell of r.cells.values()) {
    const tally = tallies.get(cell.provider) ?? { pending: 0, word: 'ok' };
    tallies.set(cell.provider, tally);
    const stage = stageOf(state, r, cell);
    if (stage === 'decided' || stage === 'lagging') tally.pending++;
    if (tally.word !== 'ok') continue;
    if (stage === 'diverged' || stage === 'lagging') tally.word = stage;
    else if (cell.held) tally.word = 'rejected';
  }
}

function pathView(state: State, path: PathState): PathView {
  const replica = path.replica?.name ?? state.eyes?.self;
  return {
    name: path.name,
    ...(replica === undefined ? {} : { replica }),
    group: path.group,
    cloud: path.cloud,
    state: pathStateOf(path),
    loss: lossRate(path.loss),
  };
}

function pathStateOf(path: PathState): PathView['state'] {
  if (path.replica?.heard === false) return 'unheard';
  return path.suspect ? 'suspect' : path.blind ? 'blind' : 'sighted';
}

function groupView(state: State): GroupView | null {
  const { eyes, config, lease } = state;
  if (eyes === null || config.group === undefined) return null;
  const own = [...state.paths.values()].filter(({ replica }) => replica === null);
  const self: ReplicaView = {
    ...{ name: eyes.self, self: true, heard: true, sinceAt: state.configuredAt, why: '', ageMs: 0 },
    ...{ blind: own.every((path) => path.blind), acts: lease.held, sameConfig: true },
    ...{ sameDefinition: true, differs: [] },
  };
  const others = [...eyes.others.values()].filter(({ heard, acts }) => heard && acts);
  const known = state.group ?? { acts: null, term: lease.term, word: null, sentence: '' };
  return {
    ...known,
    self: eyes.self,
    role: lease.held ? 'acts' : 'follows',
    term: lease.held ? lease.term : known.term,
    acts: lease.held ? eyes.self : (known.acts ?? others[0]?.name ?? null),
    minority: eyes.minority,
    replicas: config.group.replicas.map((name) => {
      const one = eyes.others.get(name);
      return one === undefined ? self : replicaView(state, eyes, one);
    }),
  };
}

function replicaView(state: State, eyes: Eyes, one: ReplicaState): ReplicaView {
  const { name, heard, sinceAt, why, saidAt, blind, acts, config, records } = one;
  const isKnown = records !== null;
  const differs = isKnown ? differing(eyes.records, records) : [];
  return {
    ...{ name, self: false, heard, sinceAt, why, blind, acts: heard && acts },
    ageMs: saidAt < 0 ? null : Math.max(0, state.now - saidAt),
    sameConfig: config === null ? null : config === state.config.group?.hash,
    sameDefinition: isKnown ? differs.length === 0 : null,
    differs: differs.slice(0, DIFFERS_SHOWN),
  };
}

function laneView(state: State, lane: Lane, { pending, word }: Tally): LaneView {
  return {
    provider: lane.provider,
    type: state.config.lanes[lane.provider]!.type,
    state: (lane.fault && stateOfFault[lane.fault.kind]) ?? word,
    sinceAt: lane.faultSinceAt,
    detail:
      lane.fault?.sentence ?? (lane.silence?.told ? 'none of its name servers answers' : null),
    retryAt: retryAtOf(state, lane),
    pending,
    zones: [...lane.zones.values()].map((zone) => ({
      zone: zone.zone,
      fault: zone.fault.kind,
      detail: sentenceOf(zone.fault),
      sinceAt: zone.sinceAt,
      retryAt: dueAt(state, zone),
    })),
  };
}

/** The lane's own rest; where no zone of it can be read, that of the zone which is tried next. */
function retryAtOf(state: State, lane: Lane): number | null {
  if (!lane.allSick) return lane.retryAt > state.now ? lane.retryAt : null;
  const all = [...lane.zones.values()].map((zone) => dueAt(state, zone));
  return all.reduce((soonest, at) =>
    at === null || soonest === null ? null : Math.min(soonest, at),
  );
}

function dueAt(state: State, zone: SickZone): number | null {
  const at = zoneDueAt(zone);
  return at > state.now && at < Number.POSITIVE_INFINITY ? at : null;
}
