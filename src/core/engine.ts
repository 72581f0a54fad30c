// The engine: state and event in, effects out. Deterministic and alone: no IO, no clock, no
// randomness of its own, so that the same events always give the same effects, a journal can be
// replayed and a simulation needs no mocks. It never performs anything and never throws on input.
//
// One step: the event is folded in, then every deadline that is due; what comes back is first to be
// committed (entries, documents) and only then performed (effects).

import { agree, release } from './agree.ts';
import { dropAsked, unasked } from './approve.ts';
import { arrange, forgetImagined } from './arrange.ts';
import { onAskDue } from './asks.ts';
import { newestBehaviour } from './behaviour.ts';
import { isWaiting } from './cell.ts';
import { keepRuns, RUNS_KEY } from './drill.ts';
import { onEnded } from './ended.ts';
import { learn, onGroup, stepBack, stepUp } from './follow.ts';
import { onHeard, onReplicaDue, onUnheard } from './heard.ts';
import { onHooked } from './hook.ts';
import { rediagnose } from './judge.ts';
import {
  charge,
  onAsked,
  onCellRetry,
  onRead,
  onSurveyed,
  onUnsent,
  onWritten,
  pumpStirred,
} from './lane.ts';
import { onMaintained } from './maintain.ts';
import type { CoreConfig, Entry, EntryKind, Json, Name, RecordConfig } from './model.ts';
import {
  close,
  closeGone,
  keepNotices,
  notices,
  raise,
  restoreNotices,
  tellForgotten,
} from './notices.ts';
import { foretell, measuredOf } from './objective.ts';
import { endHolds, onCommand, watchHolds } from './operate.ts';
import { bare, own } from './own.ts';
import { absencesOf } from './patience.ts';
import { keepResults, learnDrill, onRehearsed, onScheduled } from './rehearse.ts';
import { onStandbys } from './standby.ts';
import {
  type Drain,
  drop,
  type Event,
  emptyStep,
  type Freeze,
  follows,
  isShared,
  keep,
  note,
  put,
  type RecordDoc,
  type State,
  type Step,
} from './state.ts';
import { isBlank, onChained, onChooseAgain, onReadDeadline, readAll, review } from './steer.ts';
import { ofToday } from './stored.ts';
import { dropChoice, reissue, takeBack } from './switch.ts';
import {
  clearAll,
  type Deadline,
  deadline,
  nextTimer,
  popTimer,
  timers,
  type Wake,
} from './timers.ts';
import { forgetAll, onCalled, onDeadline, onObservation } from './watch.ts';
import { letGo } from './zone.ts';

export { behaviours, newestBehaviour } from './behaviour.ts';
export { Ledger } from './ledger.ts';
export { measureCommit } from './objective.ts';
export { type Effect, type Event, isShared, type State, type Step } from './state.ts';
export { telling, toldVersion } from './tell.ts';

/** Lines about one reload that its entry keeps. */
const CHANGES_KEPT = 50;

interface Beginning {
  readonly config: CoreConfig;
  /** The store's documents. */
  readonly docs: Readonly<Record<string, Json>>;
  /** What operators said in an earlier life and the store could not commit before it ended. */
  readonly unkept?: readonly string[];
  readonly now: number;
  readonly wall: number;
  /** Four random 32-bit integers. */
  readonly seed: readonly [number, number, number, number];
  /** The first effect's number, above those of an earlier state whose calls may still end; 1. */
  readonly nextEffect?: number;
  /** What decides is shared with other replicas: until the lease is held, one of them acts. */
  readonly grouped?: boolean;
}

function remember(state: State, docs: Readonly<Record<string, Json>>): void {
  for (const [key, value] of Object.entries(docs)) {
    if (key.startsWith('epoch/')) state.released.set(key.slice(6), value as number);
    if (key.startsWith('drain/')) state.drains.set(key.slice(6), value as unknown as Drain);
    if (key.startsWith(RUNS_KEY)) keepRuns(state, key, value);
    if (key.startsWith('drill/')) learnDrill(state, key, value);
    if (key.startsWith('record/')) {
      state.asleep.set(key.slice(7), ofToday(value) as unknown as RecordDoc);
    }
  }
}

/** The state at a start, from what the store remembers, and the first step's results. */
export function start(b: Beginning): { state: State; step: Step } {
  const state: State = {
    config: bare(b.config),
    configuredAt: b.now,
    steps: 0,
    now: b.now,
    wall: b.wall,
    random: [b.seed[0] | 0, b.seed[1] | 0, b.seed[2] | 0, b.seed[3] | 0],
    checks: new Map(),
    judged: new Map(),
    rates: new Map(),
    paths: new Map(),
    clouds: new Map(),
    needing: new Map(),
    origins: new Map(),
    records: new Map(),
    asleep: new Map(),
    lanes: new Map(),
    stirred: new Set(),
    drains: new Map(),
    maintained: { origins: new Map(), records: new Map(), soon: new Map() },
    ...{ drills: new Map(), scheduled: new Map(), absences: absencesOf(b.docs) },
    freeze: (b.docs['freeze'] as Freeze | undefined) ?? null,
    holds: deadline({ kind: 'holds' }),
    lease: { held: false, term: 0, shared: b.grouped === true },
    group: b.grouped ? { acts: null, term: 0, word: null, sentence: '' } : null,
    storeOk: true,
    confirm: { tokens: b.config.confirm.burst, refilledAt: b.now },
    ends: { count: 0, sinceAt: b.now },
    timers: timers(),
    notices: notices(),
    nextEffect: b.nextEffect ?? 1,
    released: new Map(),
    ...{ measured: measuredOf(b.docs), commits: [], drilling: null, drilled: new Map() },
    eyes: null,
    unmarked: new Set(),
    tentative: [],
    strays: new Set(),
  };
  remember(state, b.docs);
  if (!follows(state)) watchHolds(state);
  const step = emptyStep();
  const count = Object.keys(b.config.records).length;
  const under = { behaviour: b.config.behaviour ?? newestBehaviour };
  note(step, 'start', null, `started with ${count} records`, under);
  const unkept = b.unkept ?? [];
  if (unkept.length > 0) {
    const sentence =
      'said before this start and not remembered, for the store could not commit: ' +
      `${unkept.join('; ')}: say it again where it still holds`;
    note(step, 'forgotten', null, sentence, { words: unkept });
    tellForgotten(sentence, { words: unkept }, step);
  }
  restoreNotices(state, b.docs, step);
  arrange(state, step);
  for (const { about } of state.notices.open.values()) {
    if (about.kind !== 'stay') continue;
    // One that is no longer configured, whose end whoever acts tells.
    const r = state.records.get(about.record);
    if (r !== undefined) r.told = about.reason;
  }
  for (const key of Object.keys(b.docs)) {
    const check = key.startsWith('red/') ? state.checks.get(key.slice(4)) : undefined;
    if (check !== undefined) check.everFailed = true;
  }
  fire(state, step);
  pumpStirred(state, step);
  return { state, step };
}

/**
 * Folds one event in at a moment, fires every deadline due by then, and says what to do. `settled`:
 * what earlier steps said is committed; until it is, all that they decided may have to be taken back.
 */
export function step(state: State, event: Event, now: number, wall: number, settled = true): Step {
  const out = emptyStep();
  state.steps++;
  state.now = Math.max(state.now, now);
  state.wall = wall;
  if (event.kind !== 'store' && settled) {
    settleTentative(state);
    // To clear a set costs something even when it is empty, and this is done for every probe.
    const { closed } = state.notices;
    if (closed.size > 0 && state.storeOk) closed.clear();
  }
  fold(state, event, out);
  fire(state, out);
  pumpStirred(state, out);
  if (out.entries.length > 0) keepResults(state, out);
  // The store's copy may be owed; what is told by the group is the group's.
  if (event.kind !== 'learnt' && event.kind !== 'store' && follows(state)) {
    for (const [key] of out.docs) if (isShared(key)) state.strays.add(key);
    for (const { kind } of out.effects) if (kind === 'write') state.strays.add('a provider');
  }
  return out;
}

/** When the engine wants its next step, and what for. */
export function nextDeadline(state: State): Pick<Deadline, 'at' | 'wake'> | null {
  return nextTimer(state.timers);
}

/** Why a new configuration cannot take over from the one in force; empty when it can (rule 2). */
export function reloadProblems(state: State, config: CoreConfig): string[] {
  const problems: string[] = [];
  for (const r of state.records.values()) {
    const next = own(config.records, r.name);
    if (next === undefined || r.doc.target === null) continue;
    const has = ({ targets }: RecordConfig) =>
      targets.some((t) => t.origin === r.doc.target && t.cname === r.doc.cname);
    // What is not configured now either is not taken away.
    if (has(next) || !has(r.config)) continue;
    problems.push(
      `${r.name}: target ${r.doc.target} (${r.doc.cname}) is in force and cannot be removed or ` +
        `given another name: run \`detour switch\` to another target first`,
    );
  }
  if (config.cluster !== state.config.cluster) {
    problems.push(`cluster: ${state.config.cluster} cannot be renamed while the daemon runs`);
  }
  return problems;
}

function fold(state: State, event: Event, out: Step): void {
  switch (event.kind) {
    case 'tick':
      return;
    case 'probed': {
      const { check, path, observation } = event;
      return reviewEach(state, onObservation(state, check, path, observation, out), out);
    }
    case 'read':
      charge(state, event.provider, event.calls);
      return reviewEach(state, onRead(state, event.provider, event.id, event.answers, out), out);
    case 'written':
      if (event.unsent !== undefined) {
        return reviewEach(state, onUnsent(state, event.provider, event.id), out);
      }
      charge(state, event.provider, event.calls);
      return reviewEach(state, onWritten(state, event.provider, event.id, event.answers, out), out);
    case 'asked':
      return reviewEach(
        state,
        onAsked(state, event.provider, event.record, event.answers, out),
        out,
      );
    case 'chained':
      return onChained(state, event.record, event.target, event.answer, out);
    case 'surveyed':
      onSurveyed(state, event.surveys);
      if (event.standbys) reviewEach(state, onStandbys(state, event.standbys, out), out);
      return foretell(state, out);
    case 'command': {
      const reply = onCommand(state, event.command, out);
      out.effects.push({ kind: 'reply', request: event.request, reply });
      return;
    }
    case 'configured':
      return configure(state, event.config, event.changes ?? [], out);
    case 'hooked':
      return reviewEach(state, onHooked(state, event, out), out);
    case 'lease':
      return lease(state, event.held, event.term, out);
    case 'learnt':
      return learn(state, event.docs, event.whole, out);
    case 'group':
      return onGroup(state, event.group, out);
    case 'maintained':
      if (onMaintained(state, event, out)) reviewEach(state, [...state.records.keys()], out);
      return;
    case 'rehearsed':
      return onRehearsed(out, event);
    case 'delegated':
      return note(out, 'delegation', null, event.sentence, event.data);
    case 'scheduled':
      return onScheduled(state, event, out);
    case 'paused':
      return paused(state, event.forMs, out);
    case 'store':
      for (const key of event.dropped ?? []) drop(out, key);
      return storeTurned(state, event.ok, event.what ?? 'the store', out);
    case 'heard':
      reviewEach(state, onHeard(state, event.telling, event.saidAt, out), out);
      return reviewEach(state, agree(state, out), out);
    case 'unheard':
      reviewEach(state, onUnheard(state, event.replica, event.why, out), out);
      return reviewEach(state, agree(state, out), out);
    case 'called':
      return onCalled(state, event.replica, event.checks, event.why, out);
    case 'ended':
      return onEnded(state, event.ends, out);
  }
}

function fire(state: State, out: Step): void {
  for (;;) {
    const due = popTimer(state.timers, state.now);
    if (due === null) return;
    wakeUp(state, due.wake, out);
  }
}

function wakeUp(state: State, wake: Wake, out: Step): void {
  switch (wake.kind) {
    case 'probe':
    case 'confirm':
    case 'overdue':
      return reviewEach(state, onDeadline(state, wake.kind, wake.check, out), out);
    case 'ask':
      return onAskDue(state, wake.provider, wake.record, out);
    case 'retry':
      return onCellRetry(state, wake.provider, wake.record);
    case 'lane':
      state.stirred.add(wake.provider);
      return;
    case 'diagnose':
      return reviewEach(state, rediagnose(state, wake.cloud, out), out);
    case 'choose':
      return onChooseAgain(state, wake.origin, out);
    case 'holds':
      return endHolds(state, out);
    case 'replica':
      reviewEach(state, onReplicaDue(state, wake.replica, out), out);
      return reviewEach(state, agree(state, out), out);
    case 'read-dns':
      return onReadDeadline(state, wake.record);
    case 'review':
    case 'end-switch':
      return review(state, wake.record, out);
  }
}

function reviewEach(state: State, names: readonly Name[], out: Step): void {
  for (const name of names) review(state, name, out);
}

// ---------------------------------------------------------------- configuration

function configure(state: State, given: CoreConfig, changes: readonly string[], out: Step): void {
  const config = bare(given);
  const gone = [...state.records.keys()].filter((name) => !(name in config.records));
  for (const name of gone) {
    const r = state.records.get(name)!;
    if (r.doc.drill?.id === state.drilling) state.drilling = null;
    dropChoice(state, r);
    clearAll(state.timers, r.deadlines);
    for (const cell of r.cells.values()) letGo(state, name, cell);
    state.records.delete(name);
    if (state.eyes === null && !follows(state)) release(state, name, r.doc, out);
    else {
      // Another replica may act on it still.
      state.asleep.set(name, r.doc);
      state.eyes?.leaving.add(name);
    }
    note(out, 'release', name, `${name}: released; what stands at its providers is left alone`);
  }
  for (const r of state.records.values()) dropChoice(state, r);
  state.config = config;
  state.configuredAt = state.now;
  note(
    out,
    'reload',
    null,
    `configuration reloaded: ${Object.keys(config.records).length} records`,
    { changes: changes.slice(0, CHANGES_KEPT) },
  );
  arrange(state, out);
  for (const name of state.records.keys()) review(state, name, out);
}

// ---------------------------------------------------------------- the world around

function lease(state: State, held: boolean, term: number, out: Step): void {
  const was = state.lease;
  const shared = was.shared || !held;
  // What others wrote meanwhile must be read before anything is decided (rule 8).
  const takesOver = held && !was.held && shared;
  const grouped = state.group !== null;
  state.lease = { held, term, shared };
  const sentence = held ? `the lease is held, term ${term}` : 'the lease is lost';
  note(out, 'lease', null, sentence, { held, term });
  if (grouped && !held) stepBack(state);
  if (grouped && takesOver) {
    stepUp(state);
    closeGone(state, out);
  }
  agree(state, out);
  // Whoever has not led all the time has not watched it.
  if (!held || takesOver) state.drilling = null;
  let place = 0;
  for (const r of state.records.values()) {
    if (!held) dropChoice(state, r);
    if (takesOver) readAll(state, r, place++);
    if (takesOver && grouped) forgetImagined(state, r, false, out);
    review(state, r.name, out);
  }
}

/** Rules 8 and 16: after a pause nothing counted holds, and no decision outlives it. */
function paused(state: State, forMs: number, out: Step): void {
  note(out, 'paused', null, `stood still for ${forMs} ms: looking anew`, { forMs });
  state.drilling = null;
  for (const r of state.records.values()) {
    dropChoice(state, r);
    dropAsked(state, r, out);
  }
  forgetAll(state, out);
  for (const name of state.records.keys()) review(state, name, out);
}

/** Rule 13: what could not be committed is taken back, and nothing automatic is decided. */
function storeTurned(state: State, ok: boolean, what: string, out: Step): void {
  const was = state.storeOk;
  state.storeOk = ok;
  if (!ok) {
    state.drilling = null;
    for (const name of state.tentative) takeBack(state, name);
    settleTentative(state);
    const sentence = `${what} cannot commit: no automatic switches`;
    if (was) raise(state, { kind: 'store' }, 'store-failed', { sentence, data: {} }, out);
  } else if (!was) {
    note(out, 'store', null, `${what} commits again`);
    close(state, { kind: 'store' }, `${what} commits again`, out);
    out.docs.push(...owed(state));
    const unmarked = [...state.unmarked];
    state.unmarked.clear();
    for (const name of unmarked) {
      const r = state.records.get(name);
      if (r !== undefined) reissue(state, r, 'operator', out);
    }
  }
  if (was !== ok) for (const name of state.records.keys()) review(state, name, out);
}

/** All that the state holds and a store that could not commit may lack. */
export function owed(state: State): Step['docs'] {
  const out = emptyStep();
  keepNotices(state, out);
  for (const r of state.records.values()) {
    // Of a record that was never decided the group has no document, and neither has the store.
    if (isBlank(r)) drop(out, `record/${r.name}`);
    else keep(out, r);
  }
  for (const [name, doc] of state.asleep) put(out, `record/${name}`, doc);
  for (const [name, epoch] of state.released) put(out, `epoch/${name}`, epoch);
  for (const d of state.drains.values()) put(out, `drain/${d.what}`, d);
  for (const [name, runs] of state.drilled) put(out, `${RUNS_KEY}${name}`, { runs });
  for (const [key, doc] of state.drills) put(out, `drill/${key}`, doc);
  for (const [kind, since] of state.scheduled) put(out, `drill/since/${kind}`, since);
  for (const cs of state.checks.values()) if (cs.everFailed) put(out, `red/${cs.key}`, true);
  if (state.freeze === null) drop(out, 'freeze');
  else put(out, 'freeze', state.freeze);
  return out.docs;
}

/** Undone with a switch that could not be committed. */
const undone: ReadonlySet<EntryKind> = new Set(['adopt', 'drill', 'pin', 'switch', 'would-switch']);

/** Of the step just made, which could not be committed: the entries of what holds all the same. */
export function holding(state: State, { entries }: Step): readonly Entry[] {
  const tentative = new Set(state.tentative);
  if (tentative.size === 0) return entries;
  const moved = entries
    .filter((e) => e.kind !== 'pin' && e.kind !== 'drill' && undone.has(e.kind))
    .map((e) => e.record);
  const isUndone = ({ kind, record }: Entry) =>
    undone.has(kind) && moved.includes(record) && tentative.has(record ?? '');
  return entries.filter((entry) => !isUndone(entry));
}

function settleTentative(state: State): void {
  if (state.tentative.length === 0) return;
  for (const name of state.tentative) {
    const r = state.records.get(name);
    if (r !== undefined) r.prior = null;
  }
  state.tentative = [];
}

/** What must hold after every step, whatever happened; empty when all of it does. */
export function violations(state: State): string[] {
  const found: string[] = [];
  for (const r of state.records.values()) {
    const { doc } = r;
    const at = `${r.name}: `;
    if (doc.marker !== null && doc.marker.target !== doc.target) {
      found.push(`${at}the marker says ${doc.marker.target}, in force is ${doc.target}`);
    }
    if (doc.marker !== null && doc.marker.epoch > doc.epochMax) {
      found.push(`${at}epoch ${doc.marker.epoch} is above the highest ever seen`);
    }
    if (doc.pin !== null && doc.pin.target !== doc.target) {
      found.push(`${at}pinned to ${doc.pin.target} and on ${doc.target}`);
    }
    if (doc.target !== null && doc.cname === null) found.push(`${at}a target without a name`);
    if (r.choosing !== null && (doc.pin !== null || !state.storeOk || !state.lease.held)) {
      found.push(`${at}choosing although pinned, without a store or without the lease`);
    }
    found.push(...unasked(r).map((what) => `${at}${what}`));
    // Another budget may have held before, and holds where another replica decides.
    const from = Math.max(state.now - 3_600_000, state.configuredAt);
    const countOf = (times: readonly number[]) => times.filter((t) => t > from).length;
    const lately = state.eyes === null ? countOf(doc.switches) : 0;
    // Twice in an hour one may go beyond it, and what was needless may be had again, once each.
    const limit = r.config.switchesPerHour;
    const most = limit + 2 + Math.min(countOf(doc.needless), limit);
    if (lately > most) found.push(`${at}${lately} switches in an hour`);
    for (const cell of r.cells.values()) {
      if (cell.change !== null && cell.change.to.cname !== doc.cname) {
        found.push(`${at}about to write ${cell.change.to.cname} at ${cell.provider}`);
      }
      if (cell.work === 'write' && isWaiting(r, cell)) {
        found.push(`${at}about to write at ${cell.provider} before its turn`);
      }
      const to = cell.change?.to.cname;
      if (to !== undefined && !r.config.targets.some((t) => t.cname === to)) {
        found.push(`${at}about to write ${to} at ${cell.provider}, which is not configured`);
      }
    }
  }
  if (follows(state)) found.push(...strays(state));
  for (const lane of state.lanes.values()) {
    const queues = [lane, ...lane.zones.values()].flatMap((q) => [...q.urgent, ...q.routine]);
    if (new Set(queues).size < queues.length) {
      found.push(`lane ${lane.provider}: a record is queued twice`);
    }
  }
  return found;
}

/** What a replica that does not act is about to do all the same. */
function strays(state: State): string[] {
  const found = [...state.strays].map((key) => `${key} was changed by a replica that does not act`);
  for (const r of state.records.values()) {
    for (const cell of r.cells.values()) {
      const at = `${r.name} at ${cell.provider}`;
      if (cell.work === 'write') found.push(`${at}: about to write without the lease`);
    }
  }
  return found;
}
