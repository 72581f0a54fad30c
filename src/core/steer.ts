// One record's life: staying or moving, and the end of a switch. Every automatic move passes through
// `review`; every move of any kind passes through `switchTo`. It never writes: it says what is in
// force, and the lanes bring the providers there.

import { adopt, isChallenged, reconcile, takeMarkers } from './adopt.ts';
import { approvedSentence, lapse, mayGo, watchAsked } from './approve.ts';
import { watchCell } from './asks.ts';
import { since } from './behaviour.ts';
import { converge, fallBack, isOut, OWN_WISH } from './cell.ts';
import { type Decision, DIFFERS_TOLD_MS, decide, type Situation } from './decide.ts';
import { mayEvict } from './delegation.ts';
import { tendDrill } from './drill.ts';
import { weighEdits } from './edits.ts';
import { follow, isUnsure } from './follow.ts';
import { beginHook, hookHolds, informHook } from './hook.ts';
import type { ChainAnswer, Name, StayReason } from './model.ts';
import { close, raise } from './notices.ts';
import { judgePromise, promiseDueAt } from './objective.ts';
import { SWITCH_END_MS } from './pace.ts';
import { noteNeedless } from './patience.ts';
import { prepareByItself, preparedDueAt, tendPrepared } from './prepare.ts';
import { situation } from './situation.ts';
import {
  amend,
  type Choosing,
  follows,
  isSwitching,
  note,
  type RecordDoc,
  type RecordState,
  type State,
  type Step,
} from './state.ts';
import { dropChoice, type Move, switchTo } from './switch.ts';
import { clearDeadline, isSet, setDeadline } from './timers.ts';
import { nextTurn, turnsOf } from './turns.ts';
import { hasFreshFailure, hasFreshPasses, probeFailing, probeFresh, settleMs } from './watch.ts';

/** Rule 8: after this, what an API has not said is asked of DNS. */
const DNS_READ_AFTER_MS = 3_000;
/** So many records are asked for at once then; the others follow: no question waits in a queue. */
const DNS_READ_AT_ONCE = 200;
const DNS_READ_APART_MS = 5;
/** How long a target whose chain was broken, or went unanswered, is passed over. */
const UNRESOLVED_MS = 10_000;
/** The same trouble is not journalled again while it lasts. */
const NOTE_AGAIN_MS = 60_000;
/** A candidate that has given no fresh pass by then is asked again. */
const CHOOSE_AGAIN_MS = 2_000;

/** What each reason for staying means for those who watch. */
const stays = {
  'no-lease': { wantsPerson: false, unsure: true, passing: false },
  'store-failed': { wantsPerson: true, unsure: true, passing: false },
  'definitions-differ': { wantsPerson: true, unsure: false, passing: false },
  frozen: { wantsPerson: false, unsure: false, passing: false },
  deposed: { wantsPerson: true, unsure: false, passing: false },
  'not-adopted': { wantsPerson: false, unsure: false, passing: false },
  missing: { wantsPerson: true, unsure: false, passing: false },
  disagreement: { wantsPerson: true, unsure: false, passing: false },
  foreign: { wantsPerson: true, unsure: false, passing: false },
  unreadable: { wantsPerson: true, unsure: false, passing: false },
  reading: { wantsPerson: false, unsure: true, passing: true },
  pinned: { wantsPerson: false, unsure: false, passing: false },
  retired: { wantsPerson: true, unsure: false, passing: false },
  settling: { wantsPerson: false, unsure: true, passing: true },
  'target-up': { wantsPerson: false, unsure: false, passing: true },
  'failback-manual': { wantsPerson: false, unsure: false, passing: false },
  'failback-waiting': { wantsPerson: false, unsure: false, passing: false },
  'budget-kept': { wantsPerson: false, unsure: false, passing: false },
  blind: { wantsPerson: true, unsure: true, passing: false },
  'target-unknown': { wantsPerson: false, unsure: true, passing: false },
  patience: { wantsPerson: false, unsure: false, passing: false },
  'no-target-up': { wantsPerson: true, unsure: false, passing: false },
  'budget-spent': { wantsPerson: true, unsure: false, passing: false },
  'epochs-spent': { wantsPerson: true, unsure: false, passing: false },
  'confirming-target': { wantsPerson: false, unsure: false, passing: true },
  // Whoever is asked is told by a notice of its own, with the id.
  'awaiting-approval': { wantsPerson: false, unsure: false, passing: false },
  'approval-rejected': { wantsPerson: false, unsure: false, passing: false },
  hook: { wantsPerson: false, unsure: false, passing: false },
  drilling: { wantsPerson: false, unsure: false, passing: false },
} satisfies Readonly<Record<StayReason, Stays>>;

interface Stays {
  /** Somebody is told when it begins and when it is over. */
  readonly wantsPerson: boolean;
  /** Nobody knows whether what is in force is still right. */
  readonly unsure: boolean;
  /** It comes and goes by itself: not worth a line in the journal. */
  readonly passing: boolean;
}

/** Looks at one record's whole situation again. Safe to call at any time, any number of times. */
export function review(state: State, name: Name, out: Step): void {
  const r = state.records.get(name);
  if (r === undefined) return;
  if (follows(state)) return watchOnly(state, r);
  reconcile(state, r, out);
  if (isChallenged(r)) {
    takeMarkers(state, r, out);
    weighEdits(state, r, out);
  }
  const waits = r.doc.target === null ? adopt(state, r, out) : null;
  nextTurn(state, r, out);
  noteNeedless(state, r, out);
  endSwitch(state, r, out);
  catchUp(state, r, out);
  judgePromise(state, r, out);
  endPin(state, r, out);
  endFreeze(state, r, out);
  tendDrill(state, r, out);
  tendPrepared(state, r, out);
  lookForDawn(state, r);
  const s = situation(state, r, waits);
  const decision = decide(s);
  lapse(state, r, decision, out);
  if (decision.kind === 'stay') stayPut(state, r, decision, out);
  else choose(state, r, s, decision, out);
  watchAsked(state, r);
}

/** Another replica decides: here it is only shown, and nothing of it is told or written. */
function watchOnly(state: State, r: RecordState): void {
  lookForDawn(state, r);
  clearDeadline(state.timers, r.deadlines.review);
  const { sentence, would } = follow(state, r);
  const unsure = isUnsure(state, would, (reason) => stays[reason].unsure);
  r.stay = { reason: 'no-lease', sentence };
  r.unsureSinceAt = unsure ? (r.unsureSinceAt ?? state.now) : null;
  r.noted = null;
  r.promised = null;
}

/** An authoritative answer about a candidate's chain. */
export function onChained(
  state: State,
  name: Name,
  target: string,
  answer: ChainAnswer,
  out: Step,
): void {
  const r = state.records.get(name);
  if (r === undefined || r.choosing?.to !== target) return;
  r.choosing.chain = answer;
  if (answer.kind !== 'answered') {
    const again = state.now - (r.unresolved.get(target) ?? 0) < NOTE_AGAIN_MS;
    r.unresolved.set(target, state.now + UNRESOLVED_MS);
    const where = answer.kind === 'broken' ? ` at ${answer.at}` : '';
    const sentence = `${target} passed over: its name does not resolve${where}: ${answer.detail}`;
    if (!again) note(out, 'unresolved', name, sentence, { target });
  } else if (!hasFreshPasses(state, target, r.choosing.sinceAt)) return;
  review(state, name, out);
}

/** Three seconds after a start: DNS says what an API did not. */
export function onReadDeadline(state: State, name: Name): void {
  const r = state.records.get(name);
  if (r !== undefined) fallBack(state, r);
}

// ---------------------------------------------------------------- staying and moving

/**
 * The moment the network comes back looks like an outage of whatever answers last (rule 8): after a
 * time in which no target was up, every verdict gets the time to settle from the first `up` on.
 */
function lookForDawn(state: State, r: RecordState): void {
  const dark = !r.origins.some((origin) => origin.health === 'up');
  if (r.dark && !dark) {
    const longest = Math.max(...r.origins.map((origin) => settleMs(origin)));
    r.dawnUntilAt = state.now + longest;
  }
  // Once the target in force itself has come back, there is nothing left to wait for.
  const back = r.dawnUntilAt > 0 ? state.origins.get(r.doc.target ?? '') : undefined;
  if (back?.health === 'up') r.dawnUntilAt = 0;
  r.dark = dark;
}

function stayPut(
  state: State,
  r: RecordState,
  d: Extract<Decision, { kind: 'stay' }>,
  out: Step,
): void {
  if (r.choosing !== null) dropChoice(state, r);
  const planned = prepareByItself(state, r, d, out);
  const unresolvedUntil = r.unresolved.size === 0 ? 0 : Math.max(...r.unresolved.values());
  const wakeAt = Math.min(
    d.wakeAt ?? Number.POSITIVE_INFINITY,
    r.doc.pin?.untilAt ?? Number.POSITIVE_INFINITY,
    r.doc.freeze?.untilAt ?? Number.POSITIVE_INFINITY,
    promiseDueAt(r) ?? Number.POSITIVE_INFINITY,
    planned ?? Number.POSITIVE_INFINITY,
    preparedDueAt(state, r) ?? Number.POSITIVE_INFINITY,
    unresolvedUntil > state.now ? unresolvedUntil : Number.POSITIVE_INFINITY,
  );
  if (Number.isFinite(wakeAt)) {
    setDeadline(state.timers, r.deadlines.review, Math.max(wakeAt, state.now + 1));
  }
  setStay(state, r, d.reason, d.sentence, out);
}

function setStay(
  state: State,
  r: RecordState,
  reason: StayReason,
  sentence: string,
  out: Step,
): void {
  const { wantsPerson, unsure, passing } = stays[reason];
  r.stay = { reason, sentence };
  r.unsureSinceAt = unsure ? (r.unsureSinceAt ?? state.now) : null;
  if (passing) {
    if (reason !== 'target-up') return;
    r.noted = null;
  } else if (r.noted !== reason) {
    r.noted = reason;
    note(out, 'stay', r.name, `${r.name} stays: ${sentence}`, { reason });
  }
  const pinned = r.doc.pin !== null && state.origins.get(r.doc.pin.target)?.health === 'down';
  const { differs } = r;
  const isYoung = reason === 'definitions-differ' && state.now < toldAt(differs?.sinceAt ?? 0);
  const worry = pinned ? 'pinned-down' : wantsPerson && !isYoung ? reason : null;
  // Who does not hold the lease has no say about what is open.
  if (worry === r.told || reason === 'no-lease') return;
  const about = (told: NonNullable<RecordState['told']>) =>
    ({ kind: 'stay', record: r.name, reason: told }) as const;
  if (r.told !== null)
    close(state, about(r.told), `${r.name}: ${r.told} is over: ${sentence}`, out);
  if (worry !== null) {
    const says = pinned ? `pinned to ${r.doc.pin?.target}, which is down` : sentence;
    const data = { reason: worry };
    raise(state, about(worry), worry, { sentence: `${r.name}: ${says}`, data }, out);
  }
  r.told = worry;
}

/** When a person is told of definitions that differ: a change on its way is nobody's worry. */
function toldAt(sinceAt: number): number {
  return sinceAt + DIFFERS_TOLD_MS;
}

/** Rule 3: gathers what a move needs that was begun after the decision, then moves. */
function choose(
  state: State,
  r: RecordState,
  s: Situation,
  d: Extract<Decision, { kind: 'move' }>,
  out: Step,
): void {
  const waits = mayGo(state, r, s, d, out) ?? hookHolds(r);
  if (waits !== null) {
    dropChoice(state, r);
    return setStay(state, r, waits.reason, waits.sentence, out);
  }
  // Another reason is another decision: it wants passes of its own, and is paid for by its own rule.
  const goesOn = r.choosing?.to === d.to && r.choosing.why === d.why;
  if (!goesOn || r.choosing?.overspends !== d.overspends) startChoosing(state, r, d, out);
  const c = r.choosing!;
  const asksAgain = c.why === 'target-down' && since(state.config, 1);
  const isLeft = !asksAgain || hasFreshFailure(state, c.from, c.sinceAt);
  if (isLeft && c.chain?.kind === 'answered' && hasFreshPasses(state, c.to, c.sinceAt)) {
    dropChoice(state, r);
    // What it prepares may take a while: the world is looked at anew once it has answered.
    beginHook(state, r, d, out);
    const runs = hookHolds(r);
    if (runs !== null) return setStay(state, r, runs.reason, runs.sentence, out);
    const sentence = approvedSentence(r, c.sentence);
    return switchTo(state, r, { ...moveOf(state, r, c), sentence, situation: s }, out);
  }
  setStay(state, r, 'confirming-target', `${d.sentence}; confirming ${d.to} first`, out);
}

function startChoosing(
  state: State,
  r: RecordState,
  d: Extract<Decision, { kind: 'move' }>,
  out: Step,
): void {
  dropChoice(state, r);
  const { to, why, overspends, sentence } = d;
  const from = r.doc.target!;
  r.choosing = { from, to, why, overspends, sentence, sinceAt: state.now, chain: null };
  const [goal, left] = [state.origins.get(to)!, state.origins.get(from)];
  goal.waiting = (goal.waiting ?? new Set()).add(r.name);
  if (why === 'target-down') left!.leaving = (left!.leaving ?? new Set()).add(r.name);
  askCandidate(state, r, out);
}

function askCandidate(state: State, r: RecordState, out: Step): void {
  const { from, to, why } = r.choosing!;
  const target = r.config.targets.find((t) => t.origin === to)!;
  probeFresh(state, to, out);
  if (why === 'target-down') probeFailing(state, from, out);
  out.effects.push({ kind: 'chain', record: r.name, target: to, name: target.cname });
  const again = state.origins.get(to)!.deadline;
  if (!isSet(again)) setDeadline(state.timers, again, state.now + CHOOSE_AGAIN_MS);
}

/** A candidate has been asked and some records still wait for it: ask again for each of them. */
export function onChooseAgain(state: State, origin: string, out: Step): void {
  for (const name of [...(state.origins.get(origin)?.waiting ?? [])]) {
    review(state, name, out);
    const r = state.records.get(name);
    if (r?.choosing?.to === origin) askCandidate(state, r, out);
  }
}

function moveOf(state: State, r: RecordState, c: Choosing): Move {
  return {
    to: c.to,
    kind: 'auto',
    sentence: c.sentence,
    why: c.why,
    spends: c.why !== 'drained' && c.why !== 'drill',
    overspends: c.overspends,
    pinned: false,
    pinUntilAt: null,
    turns: byTurns(state, r, c),
  };
}

/** A failback may go provider by provider, and so may a drill on its way there, never back. */
function byTurns(state: State, r: RecordState, { why, to }: Choosing): Move['turns'] {
  const { failback } = r.config;
  const { drill } = r.doc;
  if (why === 'drill' && drill?.to === to && drill.byVendor) {
    return turnsOf(state, r, drill.watchMs);
  }
  const isSo = why === 'failback' && failback.kind === 'after' && failback.byVendor === true;
  return isSo ? turnsOf(state, r, null) : null;
}

// ---------------------------------------------------------------- endings

/** Rule 16: over when every lane in reach is visible, or after 30 s; the rest is lagging. */
function endSwitch(state: State, r: RecordState, out: Step): void {
  if (!isSwitching(r) || r.config.mode === 'observe' || r.doc.turns !== null) return;
  const cells = [...r.cells.values()];
  const behind = cells.filter((c) => c.visibleAt === null);
  const late = state.now >= (r.doc.decidedAt ?? 0) + SWITCH_END_MS;
  if (!late && behind.some((c) => !isOut(c))) return;
  amend(out, r, { endedAt: state.now });
  clearDeadline(state.timers, r.deadlines.endSwitch);
  const ms = state.now - (r.doc.decidedAt ?? state.now);
  const names = behind.map((c) => c.provider);
  const tail = names.length === 0 ? 'visible everywhere' : `behind: ${names.join(', ')}`;
  const sentence = `${r.name}: on ${r.doc.target} after ${ms} ms, ${tail}`;
  note(out, 'settled', r.name, sentence, { ms, behind: names });
  informHook(state, r, { sentence, ms, behind: names }, out);
  if (names.length > 0) {
    const causes = behind.map((c) => `${c.provider}: ${c.problem?.sentence ?? 'not visible yet'}`);
    const way = mayEvict(r.config, names);
    const says = `${sentence} (${causes.join('; ')})${way === null ? '' : `; if it stays, ${way}`}`;
    const about = { kind: 'lagging', record: r.name } as const;
    // Of another switch it is told again.
    const word = String(r.doc.marker?.epoch ?? 0);
    raise(state, about, word, { kind: 'lagging', sentence: says, data: { behind: names } }, out);
  }
}

/** Whoever was behind after a switch has followed, or is to follow no longer. */
function catchUp(state: State, r: RecordState, out: Step): void {
  if (state.notices.open.size === 0 || isSwitching(r)) return;
  const isObserved = r.config.mode === 'observe';
  for (const cell of r.cells.values()) if (cell.visibleAt === null && !isObserved) return;
  const sentence = `${r.name}: ${r.doc.target} is visible everywhere`;
  const says = isObserved ? `${r.name}: only observed` : sentence;
  close(state, { kind: 'lagging', record: r.name }, says, out);
}

function endPin(state: State, r: RecordState, out: Step): void {
  const until = r.doc.pin?.untilAt ?? null;
  if (until === null || until > state.now) return;
  note(out, 'unpin', r.name, `${r.name}: the pin to ${r.doc.pin!.target} expired`);
  unpin(state, r, out);
}

function endFreeze(state: State, r: RecordState, out: Step): void {
  const until = r.doc.freeze?.untilAt ?? null;
  if (until === null || state.now < until) return;
  note(out, 'unfreeze', r.name, `${r.name}: its freeze is over`);
  amend(out, r, { freeze: null });
}

/** Rule 9: the end of a pin moves nothing by itself. */
export function unpin(state: State, r: RecordState, out: Step): void {
  amend(out, r, { pin: null, quietSinceAt: state.now });
}

export function newDoc(): RecordDoc {
  return {
    target: null,
    cname: null,
    marker: null,
    epochMax: 0,
    decidedAt: null,
    endedAt: null,
    pin: null,
    switches: [],
    needless: [],
    overspentAt: null,
    quietSinceAt: 0,
    deposed: null,
    freeze: null,
    claims: {},
    adopted: false,
    placed: {},
    since: 0,
    late: {},
    wishes: {},
    unheard: [],
    left: null,
    carried: {},
    approval: null,
    hook: null,
    drill: null,
    prepared: null,
    turns: null,
  };
}

/** True where its document says no more than that of a record nobody ever decided. */
export function isBlank(r: RecordState): boolean {
  return JSON.stringify(r.doc) === JSON.stringify(newDoc());
}

/**
 * Reads every provider of a record anew: at a start, or after it was told to look again. `place`: of
 * many that are read anew together, how many come before it.
 */
export function readAll(state: State, r: RecordState, place = 0): void {
  for (const cell of r.cells.values()) {
    cell.reading = 'pending';
    // Whose wish it is that stands there is not known to whoever comes new.
    cell.retimes = OWN_WISH;
    converge(state, r, cell, true);
    watchCell(state, cell);
  }
  const laterMs = Math.max(0, place - DNS_READ_AT_ONCE) * DNS_READ_APART_MS;
  setDeadline(state.timers, r.deadlines.readDns, state.now + DNS_READ_AFTER_MS + laterMs);
}
