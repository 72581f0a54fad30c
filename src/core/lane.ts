// The lanes: each is the way to one provider, with its queue, its calls and its back-off. It sends
// one call at a time, for ever, and hands what came back to the cells. A lane's trouble is its own:
// nothing in here looks at another lane or decides a target; it says which records have something
// new to look at.
//
// A switch never waits for a routine reading: it cuts it off. A second call at a time would do as
// well, but then what a reading says of a record might be older than what was written meanwhile, and
// some vendors throttle two calls at once. A reading changes nothing, so that cutting it off costs
// its calls and no more; a write is never cut off, for nobody would know what became of it. Only
// urgent work that has not failed before cuts off: retries could keep routine reading from its end
// for ever, while switches have budgets. What was cut off has not failed, and is read next.

import { onAnswered, scheduleAsk } from './asks.ts';
import {
  absorb,
  askNext,
  assess,
  becomeVisible,
  calmDown,
  converge,
  doubt,
  failed,
  isAstray,
  isInStep,
  isLate,
  isMove,
  isOdd,
  isPending,
  isRetimed,
  isUneven,
  isUnseen,
  keepTtl,
  lookAgain,
  lookAt,
  readFromDns,
  sendNext,
  sentenceOf,
  written,
} from './cell.ts';
import { nobodySees } from './judge.ts';
import { proveBy } from './lines.ts';
import type {
  Answer,
  Change,
  Fault,
  FaultKind,
  LaneConfig,
  Name,
  Reach,
  Seen,
  ServerAnswer,
  Survey,
} from './model.ts';
import { close, raise } from './notices.ts';
import { own } from './own.ts';
import { graver, layToRest } from './pace.ts';
import {
  follows,
  type Lane,
  note,
  type Queue,
  type SickZone,
  type State,
  type Step,
  takeTokens,
} from './state.ts';
import { deadline, isSet, setDeadline } from './timers.ts';
import {
  dequeue,
  endRests,
  enqueue,
  faultOfAll,
  isUrgent,
  shareRest,
  sicken,
  zoneDueAt,
  zoneFailed,
  zoneWorks,
} from './zone.ts';

/** A vendor's name servers may be silent for so long before anybody is told. */
const SILENT_MS = 60_000;

export function newLane(provider: string, config: LaneConfig, now: number): Lane {
  return {
    provider,
    asks: { under: 0, urgent: new Set(), routine: new Set() },
    busy: null,
    urgent: new Set(),
    routine: new Set(),
    zones: new Map(),
    allSick: false,
    failures: 0,
    silence: null,
    fault: null,
    faultSinceAt: now,
    retryAt: 0,
    urgentAt: 0,
    tokens: config.quota.burst,
    refilledAt: now,
    deadline: deadline({ kind: 'lane', provider }),
  };
}

/** A reload may have brought other keys and another quota: nobody waits out the old ones. */
export function renewLane(state: State, lane: Lane): void {
  const isRefused = (fault: { readonly kind: FaultKind } | null) => fault?.kind === 'auth-suspect';
  for (const one of [lane, ...lane.zones.values()]) {
    if (!isRefused(one.fault)) continue;
    one.retryAt = 0;
    one.urgentAt = 0;
  }
  for (const r of state.records.values()) {
    const cell = r.cells.get(lane.provider);
    if (cell?.problem?.word !== 'auth-suspect' || !isSet(cell.deadlines.retry)) continue;
    cell.retryAt = state.now;
    setDeadline(state.timers, cell.deadlines.retry, state.now);
  }
  state.stirred.add(lane.provider);
}

/** At the end of a step, so that all which it put into a queue goes out together. */
export function pumpStirred(state: State, out: Step): void {
  if (state.stirred.size === 0) return;
  for (const lane of state.lanes.values()) {
    if (state.stirred.has(lane.provider)) pump(state, lane, out);
  }
  state.stirred.clear();
}

/** Sends the lane's next call, if it may send one at all. */
function pump(state: State, lane: Lane, out: Step): void {
  if (lane.busy !== null && !lane.busy.yields) return;
  // A switch does not wait out the pause that an idle lane was given.
  const mayAt = isUrgent(lane) ? lane.urgentAt : lane.retryAt;
  if (mayAt > state.now) {
    setDeadline(state.timers, lane.deadline, mayAt);
    return;
  }
  const config = state.config.lanes[lane.provider]!;
  const batch =
    lane.busy === null ? nextBatch(state, lane, config) : overtaking(state, lane, config);
  if (batch === null) {
    if (lane.busy === null) wakeForZones(state, lane);
    return;
  }
  const floor = batch.urgent ? 0 : config.quota.reserve;
  if (!takeTokens(lane, config.quota, state.now, 1, floor)) {
    const waitMs = Math.ceil((1000 * (floor + 1 - lane.tokens)) / config.quota.perSecond);
    setDeadline(state.timers, lane.deadline, state.now + waitMs);
    return;
  }
  if (lane.busy !== null) cutOff(state, lane, lane.busy, out);
  send(state, lane, batch, config, out);
}

/**
 * What a call cost beyond the one that was paid before it was sent. Only its end tells how many
 * there were, so the bucket may fall below nothing, and the next call waits until that is made good.
 * A reading that was cut off is paid for as well, whenever it ends.
 */
export function charge(state: State, provider: string, calls = 1): void {
  const lane = state.lanes.get(provider);
  if (lane !== undefined) lane.tokens -= Math.max(0, calls - 1);
}

/** A cell's own back-off is over. */
export function onCellRetry(state: State, provider: string, record: Name): void {
  const r = state.records.get(record);
  const cell = r?.cells.get(provider);
  if (r === undefined || cell === undefined || cell.work === 'none') return;
  cell.held = false;
  enqueue(state, r, cell, isPending(r, cell));
}

export function onRead(
  state: State,
  provider: string,
  id: number,
  answers: Readonly<Record<Name, Answer<Seen>>>,
  out: Step,
): readonly Name[] {
  const lane = state.lanes.get(provider);
  if (lane?.busy?.id !== id) return [];
  const call = lane.busy;
  lane.busy = null;
  const lacking = faultOf({ kind: 'unavailable', detail: 'the reading lacks this record' });
  const all = call.names.map((name) => own(answers, name) ?? lacking);
  const heard = beginHearing(state, lane, all, out);
  const touched: Name[] = [];
  for (const [i, name] of call.names.entries()) {
    const r = state.records.get(name);
    const cell = r?.cells.get(provider);
    if (r === undefined || cell === undefined) continue;
    const answer = all[i]!;
    if (answer.kind === 'not-asked') {
      askNext(state, r, cell, call.urgent);
      continue;
    }
    touched.push(name);
    if (answer.kind === 'fault') failed(state, r, cell, answer, out);
    else {
      absorb(state, r, cell, answer.value, 'api', out);
      assess(state, r, cell, answer.value, out);
    }
  }
  endHearing(state, lane, call, all, heard, out);
  state.stirred.add(provider);
  return touched;
}

export function onWritten(
  state: State,
  provider: string,
  id: number,
  answers: readonly Answer<null>[],
  out: Step,
): readonly Name[] {
  const lane = state.lanes.get(provider);
  if (lane?.busy?.id !== id) return [];
  const call = lane.busy;
  lane.busy = null;
  const lacking = faultOf({ kind: 'uncertain', detail: 'the reply lacks this change' });
  const all = call.names.map((_, i) => answers[i] ?? lacking);
  const heard = beginHearing(state, lane, all, out);
  for (const [i, name] of call.names.entries()) {
    const r = state.records.get(name);
    const cell = r?.cells.get(provider);
    if (r === undefined || cell === undefined) continue;
    const [answer, change] = [all[i]!, call.changes[i]!];
    if (answer.kind === 'answered') written(state, r, cell, change, out);
    else if (answer.kind === 'not-asked') sendNext(state, r, cell, change, call.urgent, out);
    else {
      if (answer.fault.kind === 'uncertain') {
        cell.lost = { value: change.to.cname, at: state.now };
      }
      if (keepTtl(state, r, cell, change, answer.fault, out)) continue;
      failed(state, r, cell, answer, out);
    }
  }
  endHearing(state, lane, call, all, heard, out);
  state.stirred.add(provider);
  return call.names;
}

export function onAsked(
  state: State,
  provider: string,
  record: Name,
  answers: readonly ServerAnswer[],
  out: Step,
): readonly Name[] {
  const r = state.records.get(record);
  const cell = r?.cells.get(provider);
  if (cell !== undefined) cell.asking = false;
  onAnswered(state, provider, out);
  if (r === undefined || cell === undefined) return [];
  const cname = r.doc.cname;
  const gives = (a: ServerAnswer) => a.answer.kind === 'cname' && a.answer.value === cname;
  cell.asked = answers.length;
  cell.right = answers.filter(gives).length;
  listen(state, provider, answers, out);
  if (cell.fallback) readFromDns(state, r, cell, answers, out);
  else {
    lookAt(state, r, cell, answers);
    if (r.doc.target === null || cell.held) lookAgain(state, r, cell, answers);
  }
  if (cell.lines !== undefined && cname !== null) {
    cell.proofs = proveBy(cell.proofs, answers, cname, state.now);
  }
  const allRight = cname !== null && cell.asked > 0 && cell.right === cell.asked;
  cell.givenTtl = allRight ? longestOf(answers) : null;
  // Who does not write asks no API whether it was written: what all its servers give is seen.
  const isWritten = isInStep(r, cell) || cell.settling || follows(state);
  if (allRight && cell.visibleAt === null && isWritten) becomeVisible(state, r, cell, out);
  else if ((cell.visibleAt !== null || isLate(state, r, cell)) && isOdd(r, answers)) {
    doubt(state, r, cell);
  } else if (cell.visibleAt !== null && isRetimed(state, r, cell, answers)) doubt(state, r, cell);
  else if (isAstray(state, r, cell, answers)) doubt(state, r, cell);
  else if (cell.visibleAt !== null && isUnseen(state, cell)) doubt(state, r, cell);
  else if (allRight && cell.problem?.word === 'edited' && !isUneven(cell)) {
    converge(state, r, cell, false);
  }
  calmDown(state, r, cell, out);
  scheduleAsk(state, r, cell);
  return [record];
}

function longestOf(answers: readonly ServerAnswer[]): number {
  return Math.max(...answers.map(({ answer }) => (answer.kind === 'cname' ? answer.ttl : 0)));
}

/**
 * A call that was never begun: nothing was sent, so that nothing failed and nothing may still arrive.
 * It is read and planned anew.
 */
export function onUnsent(state: State, provider: string, id: number): readonly Name[] {
  const lane = state.lanes.get(provider);
  if (lane?.busy?.id !== id) return [];
  const { names, urgent } = lane.busy;
  lane.busy = null;
  for (const name of names) {
    const r = state.records.get(name);
    const cell = r?.cells.get(provider);
    if (r !== undefined && cell !== undefined) askNext(state, r, cell, urgent);
  }
  state.stirred.add(provider);
  return names;
}

/** Takes over what an audit found; a bar that has gone lets the record go on. */
export function onSurveyed(state: State, surveys: readonly Survey[]): void {
  for (const survey of surveys) {
    const r = state.records.get(survey.record);
    const cell = r?.cells.get(survey.provider);
    if (r === undefined || cell === undefined) continue;
    cell.survey = survey;
    if (cell.problem?.word !== 'barred' || survey.bar !== null) continue;
    converge(state, r, cell, true);
  }
}

// ---------------------------------------------------------------- its name servers

/** A vendor whose name servers fall silent is told of, also while nothing is to be written there. */
function listen(state: State, provider: string, answers: readonly ServerAnswer[], out: Step): void {
  const lane = state.lanes.get(provider)!;
  const isHeard = answers.some(({ answer: { kind } }) => kind !== 'timeout' && kind !== 'error');
  const says = `lane ${provider}: `;
  const about = { kind: 'silent', provider } as const;
  if (isHeard) {
    lane.silence = null;
    const sentence = `${says}its name servers answer again`;
    if (close(state, about, sentence, out)) {
      note(out, 'lane', null, sentence, { provider, silent: false });
    }
    return;
  }
  // While we see nothing at all, it is ourselves who are cut off.
  if (nobodySees(state)) lane.silence = null;
  else lane.silence ??= { sinceAt: state.now, told: false };
  const { silence } = lane;
  if (silence === null || silence.told || state.now - silence.sinceAt < SILENT_MS) return;
  silence.told = true;
  const seconds = Math.round((state.now - silence.sinceAt) / 1000);
  const sentence = `${says}none of its name servers has answered for ${seconds} s`;
  note(out, 'lane', null, sentence, { provider, silent: true });
  const cure = 'if it lasts, take its name servers out of the delegation at the parent';
  raise(state, about, 'silent', { sentence: `${sentence}: ${cure}`, data: { provider } }, out);
}

// ---------------------------------------------------------------- what the answers come to

/** What the answers of one call say of the account and of its zones. */
interface Heard {
  readonly account: Fault | null;
  readonly zones: ReadonlyMap<Name, Fault>;
  /** The vendor has answered for a record, be it with a refusal. */
  readonly works: boolean;
}

/** Before each record is looked at: the lane works, or a zone of it is in trouble. */
function beginHearing(
  state: State,
  lane: Lane,
  answers: readonly Answer<unknown>[],
  out: Step,
): Heard {
  let account: Fault | null = null;
  let works = false;
  const zones = new Map<Name, Fault>();
  for (const answer of answers) {
    if (answer.kind === 'fault' && answer.reach.kind === 'account') {
      account = graver(account, answer.fault);
    } else if (answer.kind === 'fault' && answer.reach.kind === 'zone') {
      const { zone } = answer.reach;
      zones.set(zone, graver(zones.get(zone) ?? null, answer.fault));
    } else if (answer.kind !== 'not-asked') works = true;
  }
  // Asking again at once is right only for as long as there is progress.
  if (account === null && !works && zones.size === 0) {
    account = { kind: 'unavailable', detail: 'it asked for nothing of what it was given' };
  }
  if (account === null && works) {
    if (lane.fault !== null) endRests(lane);
    laneWorks(state, lane, out);
  }
  for (const [zone, fault] of zones) sicken(state, lane, zone, fault, out);
  return { account, zones, works };
}

/** After each record was looked at: who rests, for how long, and who is well again. */
function endHearing(
  state: State,
  lane: Lane,
  call: Call,
  answers: readonly Answer<unknown>[],
  heard: Heard,
  out: Step,
): void {
  const { account, zones, works } = heard;
  for (const [zone, fault] of zones) zoneFailed(state, lane, zone, fault, call);
  if (lane.zones.size > 0) endSickness(state, lane, call, answers, zones, out);
  if (account !== null) return laneFailed(state, lane, account, call.startedAt, out);
  if (works || zones.size === 0) return;
  const fault = faultOfAll(state, lane);
  // The account itself has answered, though only to refuse a zone.
  if (fault === null) return laneWorks(state, lane, out);
  shareRest(lane);
  lane.allSick = true;
  const detail = `none of its zones can be read: ${fault.detail}`;
  sayFault(state, lane, { ...fault, detail }, out);
}

/** Zones that were tried, and answered for one of their records, are well again. */
function endSickness(
  state: State,
  lane: Lane,
  call: Call,
  answers: readonly Answer<unknown>[],
  failing: ReadonlyMap<Name, Fault>,
  out: Step,
): void {
  const well = new Set<SickZone>();
  const unproven = new Set<SickZone>();
  call.names.forEach((name, i) => {
    const cell = state.records.get(name)?.cells.get(lane.provider);
    const zone = lane.zones.get(cell?.zone ?? '');
    const answer = answers[i]!;
    if (cell === undefined || zone === undefined || failing.has(zone.zone)) return;
    const works = answer.kind === 'answered' || (answer.kind === 'fault' && isOfRecord(answer));
    if (works) well.add(zone);
    // Where writing fails, only a write shows that it does not.
    if (zone.writing && call.kind === 'read' && cell.work === 'write') unproven.add(zone);
  });
  for (const zone of well) if (!unproven.has(zone)) zoneWorks(lane, zone, out);
}

function isOfRecord(answer: { readonly reach: Reach }): boolean {
  return answer.reach.kind === 'record';
}

// ---------------------------------------------------------------- what is sent next

type Call = NonNullable<Lane['busy']>;

interface Batch {
  readonly kind: 'read' | 'write';
  readonly names: Name[];
  readonly urgent: boolean;
  readonly yields: boolean;
}

/**
 * Urgent work before routine work, and at each of the two whatever is well before what is not. Where
 * every zone is in trouble, each second try is of the one that has waited longest, urgent or not.
 */
function nextBatch(state: State, lane: Lane, config: LaneConfig): Batch | null {
  const [first] = lane.zones.values();
  const turn = lane.allSick && first !== undefined && first.failures % 2 === 1;
  const [early, late] = turn ? (['routine', 'urgent'] as const) : (['urgent', 'routine'] as const);
  return (
    ofTheWell(state, lane, 'urgent', config) ??
    ofOneSick(state, lane, early, config) ??
    ofTheWell(state, lane, 'routine', config) ??
    ofOneSick(state, lane, late, config)
  );
}

type Urgency = keyof Queue;

/** Zones that have not been tried since the lane works again go with everybody else. */
function ofTheWell(state: State, lane: Lane, which: Urgency, config: LaneConfig): Batch | null {
  const queues = [lane[which]];
  for (const zone of lane.zones.values()) if (zone.failures === 0) queues.push(zone[which]);
  const urgent = which === 'urgent';
  return pick(state, lane, queues, config, { urgent, yields: !urgent });
}

/** A zone in trouble is tried by a call of its own, once its rest is over. */
function ofOneSick(state: State, lane: Lane, which: Urgency, config: LaneConfig): Batch | null {
  for (const zone of lane.zones.values()) {
    if (zone.failures === 0 || zoneDueAt(zone) > state.now) continue;
    const urgent = which === 'urgent';
    const batch = pick(state, lane, [zone[which]], config, { urgent, yields: true });
    if (batch !== null) return batch;
  }
  return null;
}

/**
 * What a reading under way gives way to: urgent work, some of which has not failed before. What has
 * failed waits, so that one record's retries do not keep all others from being read.
 */
function overtaking(state: State, lane: Lane, config: LaneConfig): Batch | null {
  const batch = ofTheWell(state, lane, 'urgent', config);
  const cellOf = (name: Name) => state.records.get(name)!.cells.get(lane.provider)!;
  return batch?.names.some((name) => cellOf(name).attempts === 0) ? batch : null;
}

function pick(
  state: State,
  lane: Lane,
  queues: readonly Set<Name>[],
  config: LaneConfig,
  how: { readonly urgent: boolean; readonly yields: boolean },
): Batch | null {
  const reads: Name[] = [];
  const again: Name[] = [];
  const writes: Name[] = [];
  for (const queue of queues) {
    for (const name of queue) {
      const cell = state.records.get(name)?.cells.get(lane.provider);
      if (cell === undefined || cell.work === 'none') {
        queue.delete(name);
        if (cell !== undefined) cell.queued = null;
      }
      if (cell?.work === 'read') {
        const list = cell.attempts > 0 ? again : reads;
        if (list.length < config.readMax) list.push(name);
      }
      if (cell?.work === 'write') writes.push(name);
      if (writes.length >= config.writeMax) return writing(writes, how);
    }
  }
  // Reading comes before writing a batch that is not full, so that the batch is as full as can be.
  if (reads.length > 0) return { kind: 'read', names: reads, ...how };
  if (writes.length > 0) return writing(writes, how);
  // What has failed before goes last and by itself, and gives way: it may well do so again.
  return again.length > 0 ? { kind: 'read', names: again, urgent: how.urgent, yields: true } : null;
}

/** A write is never cut off: nobody would know what has become of it. */
function writing(names: Name[], { urgent }: { readonly urgent: boolean }): Batch {
  return { kind: 'write', names, urgent, yields: false };
}

function send(state: State, lane: Lane, batch: Batch, config: LaneConfig, out: Step): void {
  const { kind, names, urgent, yields } = batch;
  const id = state.nextEffect++;
  const cells = names.map((name) => state.records.get(name)!.cells.get(lane.provider)!);
  // More wait for a switch than go with this call: their CNAMEs come before these ones' markers.
  const isCrowd = config.settlesLater === true && urgent && lane.urgent.size > config.writeMax;
  const changes = kind === 'write' ? cells.map((cell) => toSend(cell.change!, isCrowd)) : [];
  lane.busy = { id, kind, names, changes, startedAt: state.now, urgent, yields };
  cells.forEach((cell, i) => {
    cell.work = 'none';
    cell.change = null;
    dequeue(lane, names[i]!, cell);
  });
  const deadlineMs = config.callTimeoutMs * config.callsMax + 500;
  const base = { provider: lane.provider, id, deadlineMs };
  if (kind === 'read') out.effects.push({ kind, ...base, names });
  else out.effects.push({ kind, ...base, changes });
}

function toSend(change: Change, isCrowd: boolean): Change {
  const { settle: _, ...whole } = change;
  // A record without its marker is nobody's: what begins with one is made whole.
  const isBrief = isCrowd && isMove(change) && change.from.markers.length === 1;
  return isBrief ? { ...whole, settle: 'later' } : whole;
}

/** A reading is given up: its names wait again, and have not failed. */
function cutOff(state: State, lane: Lane, call: Call, out: Step): void {
  lane.busy = null;
  out.effects.push({ kind: 'abandon', provider: lane.provider, id: call.id });
  for (const name of call.names) {
    const r = state.records.get(name);
    const cell = r?.cells.get(lane.provider);
    if (r !== undefined && cell !== undefined) askNext(state, r, cell, call.urgent);
  }
}

function wakeForZones(state: State, lane: Lane): void {
  let at = Number.POSITIVE_INFINITY;
  for (const zone of lane.zones.values()) {
    // Its records were released, or nothing is to be done for them any more.
    if (zone.urgent.size + zone.routine.size === 0) lane.zones.delete(zone.zone);
    at = Math.min(at, zoneDueAt(zone));
  }
  if (lane.zones.size === 0) lane.allSick = false;
  if (at < Number.POSITIVE_INFINITY) {
    setDeadline(state.timers, lane.deadline, Math.max(at, state.now + 1));
  }
}

// ---------------------------------------------------------------- the lane's own trouble

function laneFailed(state: State, lane: Lane, fault: Fault, startedAt: number, out: Step): void {
  sayFault(state, lane, fault, out);
  lane.allSick = false;
  const timeoutMs = state.config.lanes[lane.provider]!.callTimeoutMs;
  layToRest(state, lane, fault, { startedAt, timeoutMs, urgent: isUrgent(lane) });
  setDeadline(state.timers, lane.deadline, lane.retryAt);
}

function laneWorks(state: State, lane: Lane, out: Step): void {
  if (lane.fault !== null) {
    note(out, 'lane', null, `lane ${lane.provider}: works again`, { provider: lane.provider });
    lane.faultSinceAt = state.now;
  }
  lane.fault = null;
  lane.allSick = false;
  lane.failures = 0;
  lane.retryAt = 0;
  lane.urgentAt = 0;
}

function sayFault(state: State, lane: Lane, fault: Fault, out: Step): void {
  if (lane.fault?.kind !== fault.kind) {
    const sentence = `lane ${lane.provider}: ${fault.kind}: ${fault.detail}`;
    note(out, 'lane', null, sentence, { provider: lane.provider, fault: fault.kind });
    lane.faultSinceAt = state.now;
  }
  lane.fault = { kind: fault.kind, sentence: sentenceOf(fault) };
}

function faultOf(fault: Fault): Extract<Answer<never>, { kind: 'fault' }> {
  return { kind: 'fault', fault, reach: { kind: 'record' } };
}
