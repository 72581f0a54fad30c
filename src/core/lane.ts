// The lanes: each is the way to one provider, with its queue, its calls and its back-off. It sends
// one call at a time, for ever, and hands what came back to the cells. A lane's trouble is its own:
// nothing in here looks at another lane or decides a target; it says which records have something
// new to look at.

import {
  absorb,
  assess,
  backoff,
  becomeVisible,
  converge,
  doubt,
  enqueue,
  IDLE_RETRY_MS,
  isInStep,
  isLate,
  isOdd,
  isOfLane,
  isPending,
  lookAgain,
  lookAt,
  notWritten,
  problemOf,
  readFromDns,
  retryCell,
  SWITCH_RETRY_MS,
  scheduleAsk,
  sentenceOf,
  written,
} from './cell.ts';
import { nobodySees } from './judge.ts';
import type { Fault, LaneConfig, Name, Result, Seen, ServerAnswer, Survey } from './model.ts';
import { close, raise } from './notices.ts';
import { type Cell, jitter, type Lane, note, type State, type Step, takeTokens } from './state.ts';
import { deadline, setDeadline } from './timers.ts';

const AUTH_RETRY_MS = 30_000;
const THROTTLE_CAP_MS = 300_000;
/** A vendor's name servers may be silent for so long before anybody is told. */
const SILENT_MS = 60_000;

export function newLane(provider: string, config: LaneConfig, now: number): Lane {
  return {
    provider,
    busy: null,
    urgent: new Set(),
    routine: new Set(),
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

/** Sends the lane's next call, if it may send one at all. */
export function pump(state: State, lane: Lane, out: Step): void {
  if (lane.busy !== null) return;
  // A switch does not wait out the pause that an idle lane was given.
  const mayAt = lane.urgent.size > 0 ? lane.urgentAt : lane.retryAt;
  if (mayAt > state.now) {
    setDeadline(state.timers, lane.deadline, mayAt);
    return;
  }
  const config = state.config.lanes[lane.provider]!;
  const fromUrgent = pick(state, lane, lane.urgent, config);
  const batch = fromUrgent ?? pick(state, lane, lane.routine, config);
  if (batch === null) return;
  const floor = fromUrgent !== null ? 0 : config.quota.reserve;
  if (!takeTokens(lane, config.quota, state.now, 1, floor)) {
    const waitMs = Math.ceil((1000 * (floor + 1 - lane.tokens)) / config.quota.perSecond);
    setDeadline(state.timers, lane.deadline, state.now + waitMs);
    return;
  }
  send(state, lane, batch.kind, batch.names, config, out);
}

/**
 * What a call cost beyond the one that was paid before it was sent. Only its end tells how many
 * there were, so the bucket may fall below nothing, and the next call waits until that is made good.
 */
export function charge(state: State, provider: string, id: number, calls = 1): void {
  const lane = state.lanes.get(provider);
  if (lane?.busy?.id === id) lane.tokens -= Math.max(0, calls - 1);
}

/** A cell's own back-off is over. */
export function onCellRetry(state: State, provider: string, record: Name, out: Step): void {
  const r = state.records.get(record);
  const cell = r?.cells.get(provider);
  if (r === undefined || cell === undefined || cell.work === 'none') return;
  cell.held = false;
  enqueue(state, r, cell, isPending(r, cell));
  pump(state, state.lanes.get(provider)!, out);
}

export function onRead(
  state: State,
  provider: string,
  id: number,
  result: Result<Readonly<Record<Name, Seen>>>,
  out: Step,
): readonly Name[] {
  const lane = state.lanes.get(provider);
  if (lane?.busy?.id !== id) return [];
  const { names, startedAt } = lane.busy;
  lane.busy = null;
  if (result.ok) laneWorks(state, lane, out);
  const touched: Name[] = [];
  for (const name of names) {
    const r = state.records.get(name);
    const cell = r?.cells.get(provider);
    if (r === undefined || cell === undefined) continue;
    touched.push(name);
    const seen = result.ok ? result.value[name] : undefined;
    if (seen === undefined) {
      const fault = result.ok ? null : result.fault;
      cell.problem = problemOf(fault ?? unavailable('the reading lacks this record'));
      cell.work = 'read';
      if (fault === null) retryCell(state, r, cell);
      else enqueue(state, r, cell, isPending(r, cell));
      continue;
    }
    absorb(state, r, cell, seen, 'api', out);
    assess(state, r, cell, seen, out);
  }
  if (!result.ok) laneFailed(state, lane, result.fault, startedAt, out);
  pump(state, lane, out);
  return touched;
}

export function onWritten(
  state: State,
  provider: string,
  id: number,
  results: readonly Result<null>[],
  out: Step,
): readonly Name[] {
  const lane = state.lanes.get(provider);
  if (lane?.busy?.id !== id) return [];
  const { names, changes, startedAt } = lane.busy;
  lane.busy = null;
  const failed = results.find((x) => !x.ok && isOfLane(x.fault));
  if (failed === undefined) laneWorks(state, lane, out);
  names.forEach((name, i) => {
    const r = state.records.get(name);
    const cell = r?.cells.get(provider);
    if (r === undefined || cell === undefined) return;
    const answer = results[i] ?? { ok: false, fault: uncertain('the reply lacks this change') };
    if (answer.ok) written(state, r, cell, changes[i]!, out);
    else {
      if (answer.fault.kind === 'uncertain') {
        cell.lost = { value: changes[i]!.to.cname, at: state.now };
      }
      notWritten(state, r, cell, answer.fault, out);
    }
  });
  if (failed !== undefined && !failed.ok) laneFailed(state, lane, failed.fault, startedAt, out);
  pump(state, lane, out);
  return names;
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
  if (r === undefined || cell === undefined) return [];
  cell.asking = false;
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
  const allRight = cname !== null && cell.asked > 0 && cell.right === cell.asked;
  if (allRight && cell.visibleAt === null && isInStep(r, cell)) becomeVisible(state, r, cell, out);
  else if ((cell.visibleAt !== null || isLate(state, r, cell)) && isOdd(r, answers)) {
    doubt(state, r, cell);
  } else if (allRight && cell.problem?.word === 'drift') converge(state, r, cell, false);
  scheduleAsk(state, r, cell);
  pump(state, state.lanes.get(provider)!, out);
  return [record];
}

// ---------------------------------------------------------------- readings

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

// ---------------------------------------------------------------- writes

// ---------------------------------------------------------------- the lane itself

function pick(
  state: State,
  lane: Lane,
  queue: Set<Name>,
  config: LaneConfig,
): { kind: 'read' | 'write'; names: Name[] } | null {
  const reads: Name[] = [];
  const writes: Name[] = [];
  for (const name of queue) {
    const cell = state.records.get(name)?.cells.get(lane.provider);
    if (cell === undefined || cell.work === 'none') dequeue(queue, name, cell);
    if (cell?.work === 'read' && reads.length < config.readMax) reads.push(name);
    if (cell?.work === 'write') writes.push(name);
    if (writes.length >= config.writeMax) return { kind: 'write', names: writes };
  }
  // Reading comes before writing a batch that is not full, so that the batch is as full as can be.
  if (reads.length > 0) return { kind: 'read', names: reads };
  return writes.length > 0 ? { kind: 'write', names: writes } : null;
}

function send(
  state: State,
  lane: Lane,
  kind: 'read' | 'write',
  names: readonly Name[],
  config: LaneConfig,
  out: Step,
): void {
  const id = state.nextEffect++;
  const cells = names.map((name) => state.records.get(name)!.cells.get(lane.provider)!);
  const changes = kind === 'write' ? cells.map((cell) => cell.change!) : [];
  lane.busy = { id, kind, names, changes, startedAt: state.now };
  cells.forEach((cell, i) => {
    cell.work = 'none';
    cell.change = null;
    dequeue(cell.queued === 'urgent' ? lane.urgent : lane.routine, names[i]!, cell);
  });
  const deadlineMs = config.callTimeoutMs * config.callsMax + 500;
  const base = { provider: lane.provider, id, deadlineMs };
  if (kind === 'read') out.effects.push({ kind, ...base, names });
  else out.effects.push({ kind, ...base, changes });
}

function dequeue(queue: Set<Name>, name: Name, cell: Cell | undefined): void {
  queue.delete(name);
  if (cell !== undefined) cell.queued = null;
}

function laneFailed(state: State, lane: Lane, fault: Fault, startedAt: number, out: Step): void {
  lane.failures++;
  if (lane.fault?.kind !== fault.kind) {
    const sentence = `lane ${lane.provider}: ${fault.kind}: ${fault.detail}`;
    note(out, 'lane', null, sentence, { provider: lane.provider, fault: fault.kind });
    lane.faultSinceAt = state.now;
  }
  lane.fault = { kind: fault.kind, sentence: sentenceOf(fault) };
  const cap = lane.urgent.size > 0 ? SWITCH_RETRY_MS : IDLE_RETRY_MS;
  let waitMs = backoff(state, lane.failures, cap);
  if (fault.kind === 'auth-suspect') waitMs = jitter(state, AUTH_RETRY_MS * 0.85, 0.15);
  // A lost reply is read back at once: nothing else may be done before (rule 15).
  if (fault.kind === 'uncertain' && lane.failures === 1) waitMs = 0;
  const asked = Math.min(fault.retryAfterMs ?? 0, THROTTLE_CAP_MS);
  // Counted from the start of the call, so that a hanging vendor is still tried at this pace; no
  // further back than a call may last, or a reply met after a pause of ours would be retried at once.
  const { callTimeoutMs } = state.config.lanes[lane.provider]!;
  const beganAt = Math.max(startedAt, state.now - callTimeoutMs);
  const soonest = Math.max(state.now + asked, state.now + 50);
  lane.retryAt = Math.max(soonest, beganAt + waitMs);
  const urgentMs = fault.kind === 'auth-suspect' ? waitMs : Math.min(waitMs, SWITCH_RETRY_MS);
  lane.urgentAt = Math.max(soonest, beganAt + urgentMs);
  setDeadline(state.timers, lane.deadline, lane.retryAt);
}

function laneWorks(state: State, lane: Lane, out: Step): void {
  if (lane.fault !== null) {
    note(out, 'lane', null, `lane ${lane.provider}: works again`, { provider: lane.provider });
    lane.faultSinceAt = state.now;
  }
  lane.fault = null;
  lane.failures = 0;
  lane.retryAt = 0;
  lane.urgentAt = 0;
}

function unavailable(detail: string): Fault {
  return { kind: 'unavailable', detail };
}

function uncertain(detail: string): Fault {
  return { kind: 'uncertain', detail };
}

/** Takes over what an audit found; a bar that has gone lets the record go on. */
export function onSurveyed(state: State, surveys: readonly Survey[], out: Step): void {
  for (const survey of surveys) {
    const r = state.records.get(survey.record);
    const cell = r?.cells.get(survey.provider);
    if (r === undefined || cell === undefined) continue;
    cell.survey = survey;
    if (cell.problem?.word !== 'barred' || survey.bar !== null) continue;
    converge(state, r, cell, true);
    pump(state, state.lanes.get(survey.provider)!, out);
  }
}
