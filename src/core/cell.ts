// One record at one provider: what was read there is taken in and planned against, what was written
// and what name servers give is followed until it is visible, and what refuses is held and told. It
// queues its work at its lane and sends nothing itself; it never decides a target.

import { ASK_CAP_MS, ASK_FIRST_MS, askSoon, WATCH_MS } from './asks.ts';
import { type Lines, printOf } from './lines.ts';
import { compareMarkers, isSameMarker, parseMarker } from './marker.ts';
import type {
  Answer,
  Change,
  Fault,
  Genuine,
  Name,
  RecordConfig,
  Seen,
  ServerAnswer,
  ServerAnswerKind,
} from './model.ts';
import { close, raise } from './notices.ts';
import { measure } from './objective.ts';
import { own } from './own.ts';
import { askedMs, authRetryMs, backoff, IDLE_RETRY_MS, SWITCH_RETRY_MS } from './pace.ts';
import { type Edit, type Knowledge, type Plan, plan, standing, type Wanted } from './plan.ts';
import {
  amend,
  type Cell,
  follows,
  isSwitching,
  jitter,
  type MendKind,
  note,
  type RecordState,
  type State,
  type Step,
} from './state.ts';
import { deadline, setDeadline } from './timers.ts';
import { cachedFor, ttlAt } from './ttl.ts';
import { enqueue, placeIn } from './zone.ts';

/** An edit is believed when it still stands after this. */
const CONFIRM_EDIT_MS = 1_000;

/** A request that was given up may still arrive for so long: what proxies and vendors may queue. */
const LOST_MS = 300_000;

/** Times in a row that a marker alone is written again; then it is told. */
const REMARKS_MAX = 3;

/** A vendor that keeps its own TTL is asked for ours so often, until the next switch. */
const RETIMES_MAX = 3;

/**
 * In the place of how often: it is not the vendor's TTL that has changed, but what is wished for, or
 * may be. It is brought there however often it takes.
 */
export const OWN_WISH = -1;

/** After so long without an edit, what was mended before is forgotten. */
const CALM_MS = 3_600_000;

/** How often the API is asked for what stands on lines that cannot be seen from here. */
const LINES_READ_MS = IDLE_RETRY_MS;

/** How often the API is asked why DNS gives another TTL, where it knows of nothing. */
const TTL_DOUBTS_MAX = 3;

const never = { count: 0, lastAt: 0 };
const noMends: Cell['mends'] = { marker: never, away: never, back: never };

type Problem = NonNullable<Cell['problem']>;

export function newCell(
  record: Name,
  { provider, ttl, lines }: RecordConfig['publish'][number],
): Cell {
  return {
    provider,
    ttl,
    ...{ ttlMin: null, keepsTtl: false, givenTtl: null },
    lines,
    stood: null,
    proofs: {},
    reading: 'pending',
    standing: null,
    standingBy: 'api',
    seen: null,
    company: [],
    work: 'none',
    change: null,
    zone: null,
    answeredAt: 0,
    queued: null,
    held: false,
    attempts: 0,
    retryAt: 0,
    problem: null,
    ahead: null,
    edited: null,
    odd: null,
    lost: null,
    mends: noMends,
    timed: null,
    retimes: 0,
    wrote: false,
    writtenAt: null,
    settling: false,
    visibleAt: null,
    turnAt: 0,
    doubtedAt: 0,
    oldTtl: ttl,
    survey: null,
    right: 0,
    asked: 0,
    asking: false,
    askAfterMs: WATCH_MS,
    fallback: false,
    deadlines: {
      ask: deadline({ kind: 'ask', provider, record }),
      retry: deadline({ kind: 'retry', provider, record }),
    },
  };
}

// ---------------------------------------------------------------- where it is, and its next step

/** Starts (again) bringing one record into step at one provider: read, plan, write, see. */
export function converge(state: State, r: RecordState, cell: Cell, urgent: boolean): void {
  cell.work = 'read';
  cell.change = null;
  cell.attempts = 0;
  cell.retryAt = 0;
  cell.ahead = null;
  cell.held = false;
  cell.edited = null;
  enqueue(state, r, cell, urgent);
}

/** Rule 8: what the API has not said in three seconds is asked of DNS. */
export function fallBack(state: State, r: RecordState): void {
  for (const cell of r.cells.values()) {
    if (cell.reading !== 'pending') continue;
    cell.fallback = true;
    askSoon(state, cell);
  }
}

/** The provider holds the marker in force and the value it stands for, by its own word. */
export function isInStep(r: RecordState, cell: Cell): boolean {
  const s = cell.standing;
  const m = r.doc.marker;
  return (
    s?.kind === 'marked' &&
    m !== null &&
    isSameMarker(s.by.marker, m) &&
    s.value === r.doc.cname &&
    s.gaps === undefined
  );
}

/** Refused for good: not Detour's, or a value the vendor never takes. Nothing waits for it. */
export function isOut(cell: Cell): boolean {
  return cell.held;
}

/** Others have their turn first: what stands there is to stay, and is not behind. */
export function isWaiting(r: RecordState, cell: Cell | undefined): boolean {
  const { turns } = r.doc;
  if (turns === null || cell === undefined) return false;
  const { provider } = cell;
  return turns.order.includes(provider) && !Object.hasOwn(turns.openedAt, provider);
}

/** Still on its way to what was decided: retried at the pace of a switch, not of an idle lane. */
export function isPending(r: RecordState, cell: Cell): boolean {
  const mayWrite = r.config.mode !== 'observe' && !isWaiting(r, cell);
  const steered = mayWrite && r.doc.marker !== null && !cell.held;
  return cell.reading === 'pending' || (steered && cell.writtenAt === null);
}

/** A new target is in force: what was seen of the old one no longer counts. */
export function restartCell(state: State, r: RecordState, cell: Cell): void {
  cell.oldTtl = cachedFor(state, r, cell);
  cell.wrote = false;
  cell.retimes = 0;
  cell.settling = false;
  cell.writtenAt = null;
  cell.visibleAt = null;
  cell.turnAt = state.now;
  cell.right = 0;
  cell.proofs = {};
  cell.problem = null;
  cell.askAfterMs = ASK_CAP_MS;
  if (r.config.mode !== 'observe') converge(state, r, cell, true);
}

// ---------------------------------------------------------------- what its API says

export function absorb(
  state: State,
  r: RecordState,
  cell: Cell,
  seen: Seen,
  by: 'api' | 'dns',
  out: Step,
): void {
  const known = knowledge(state, r, cell);
  // A server gives one answer, whatever the other lines are.
  const s = standing(by === 'api' ? { ...known, lines: cell.lines } : known, r.config, seen);
  cell.standing = s;
  cell.standingBy = by;
  cell.reading = 'read';
  if (by === 'api') {
    cell.answeredAt = state.now;
    if (cell.lines !== undefined) cell.stood = seen.cnames;
    cell.ttlMin = seen.ttlMin ?? null;
    cell.company = seen.company ?? [];
  }
  const stands = seen.cnames[0];
  const epoch = s.kind === 'marked' ? s.by.marker.epoch : null;
  cell.seen = {
    cname: stands?.value ?? null,
    ttl: stands?.ttl ?? null,
    epoch,
    at: state.now,
    by,
  };
  if (s.kind !== 'marked' || (epoch ?? 0) <= r.doc.epochMax || follows(state)) return;
  // Rule 26: of what DNS says only a marker that nobody can forge counts.
  if (by === 'api' || s.by.whose === 'genuine') amend(out, r, { epochMax: s.by.marker.epoch });
}

/** What a marker found at one provider is judged by. */
function knowledge(state: State, r: RecordState, cell: Cell): Knowledge {
  const { marker, epochMax, placed } = r.doc;
  const remembered = [marker, own(placed, cell.provider)?.marker].filter((m) => m != null);
  const { cluster, signed } = state.config;
  return { cluster, signed, remembered, epochMax };
}

/** What is to stand at one provider; null while nothing is in force. */
function wantedAt(state: State, r: RecordState, cell: Cell): Wanted | null {
  const { marker, cname } = r.doc;
  if (marker === null || cname === null) return null;
  return {
    cname,
    ttl: ttlAt(r, cell),
    lines: cell.lines,
    marker,
    signed: state.config.signed,
    claim: own(r.doc.claims, cell.provider) ?? 'none',
    keepTtl: r.doc.adopted || (cell.survey?.bar ?? null) !== null,
    placed: own(r.doc.placed, cell.provider) ?? null,
    since: r.doc.since,
  };
}

/** Plans one record at one provider against what was just read by its API. */
export function assess(state: State, r: RecordState, cell: Cell, seen: Seen, out: Step): void {
  cell.work = 'none';
  cell.change = null;
  // What an earlier reading showed there is weighed no more.
  cell.ahead = null;
  cell.edited = null;
  const settles = cell.settling;
  cell.settling = false;
  if (follows(state)) return watched(state, r, cell);
  const wanted = wantedAt(state, r, cell);
  const isOurs = r.config.mode !== 'observe' && r.doc.deposed === null && r.differs === null;
  if (wanted === null || !isOurs) {
    cell.problem = null;
    return unhold(state, r, cell, 'nothing is to be written there', out);
  }
  const bar = cell.survey?.bar ?? null;
  if (bar !== null && !isInStep(r, cell)) {
    return hold(state, r, cell, { word: 'barred', sentence: bar }, out);
  }
  const p = plan(r.config, seen, cell.standing!, wanted);
  // What is to be confirmed must stand there at each reading.
  if (p.kind !== 'edit') cell.odd = null;
  switch (p.kind) {
    case 'in-step':
      cell.retimes = Math.max(0, cell.retimes);
      return arrive(state, r, cell, out);
    case 'ttl':
      arrive(state, r, cell, out);
      return retime(state, r, cell, p, out);
    case 'write':
      cell.settling = settles && !isMove(p.change);
      toWrite(state, r, cell, p.change, isPending(r, cell) || (settles && !cell.settling), out);
      return;
    case 'remark':
      return remark(state, r, cell, p, out);
    case 'ahead':
      cell.ahead = p.by;
      return;
    case 'rival':
      return hold(state, r, cell, { word: 'rival', sentence: p.sentence }, out);
    case 'edit':
      return seeEdit(state, r, cell, p.edit, seen, out);
    case 'refuse':
      return hold(state, r, cell, { word: p.word, sentence: p.sentence }, out);
  }
}

/** Another replica brings it into step: here it is only seen whether it is. */
function watched(state: State, r: RecordState, cell: Cell): void {
  cell.problem = null;
  cell.odd = null;
  if (!isInStep(r, cell)) return;
  cell.writtenAt ??= state.now;
  if (cell.visibleAt === null) askSoon(state, cell);
}

/** The one way to a write: rule 2 is looked at here, whatever wishes it. False: it is held. */
function toWrite(
  state: State,
  r: RecordState,
  cell: Cell,
  change: Change,
  urgent: boolean,
  out: Step,
): boolean {
  if (!r.config.targets.some((t) => t.cname === change.to.cname)) {
    hold(state, r, cell, retiredSays, out);
    return false;
  }
  if (isWaiting(r, cell)) {
    cell.problem = null;
    // What somebody puts there meanwhile is to be seen.
    askSoon(state, cell);
    return false;
  }
  cell.held = false;
  cell.work = 'write';
  cell.change = change;
  enqueue(state, r, cell, urgent);
  return true;
}

/** The marker alone is written again: told, and never fought over. */
function remark(
  state: State,
  r: RecordState,
  cell: Cell,
  p: { readonly change: Change; readonly because: string },
  out: Step,
): void {
  // The first marker of all takes nothing back from anybody.
  if (own(r.doc.placed, cell.provider) === undefined) {
    toWrite(state, r, cell, p.change, isPending(r, cell), out);
    return;
  }
  const { count } = cell.mends.marker;
  if (count >= REMARKS_MAX) {
    const sentence = `${p.because}; it was written again ${count} times in a row`;
    return hold(state, r, cell, { word: 'edited', sentence }, out);
  }
  mend(state, r, cell, 'marker', p.change, `${p.because}; it is written again`, out);
}

/** Somebody edited what we wrote; what is done about it is weighed over all providers. */
function seeEdit(
  state: State,
  r: RecordState,
  cell: Cell,
  edit: Edit,
  seen: Seen,
  out: Step,
): void {
  const late = lateWrite(state, r, cell, edit);
  if (late !== null && !edit.above) {
    const why = `${late} arrived late: a write of our own that was given up`;
    return toMend(state, r, cell, edit.change, why, out);
  }
  if (isConfirmed(state, cell, seen)) cell.edited = { ...edit, at: cell.odd!.at };
}

/** A write that was given up as uncertain has arrived after all: lag of our own, nobody's wish. */
function lateWrite(state: State, r: RecordState, cell: Cell, { strays }: Edit): Name | null {
  const all = [cell.lost, own(r.doc.late, cell.provider)];
  const isAll = (value: Name) => strays.every((s) => s.value === value);
  const late = all.find((l) => l != null && isAll(l.value) && state.now - l.at < LOST_MS);
  return late?.value ?? null;
}

/** One reading may have met somebody's write half way: a second later it must still stand there. */
function isConfirmed(state: State, cell: Cell, seen: Seen): boolean {
  const value = printOf(seen.cnames);
  if (cell.odd?.value !== value) cell.odd = { value, at: state.now, backAt: state.now };
  if (state.now - cell.odd.at >= CONFIRM_EDIT_MS) return true;
  cell.work = 'read';
  cell.retryAt = cell.odd.at + CONFIRM_EDIT_MS;
  setDeadline(state.timers, cell.deadlines.retry, cell.retryAt);
  return false;
}

/** Mends what somebody else did, and counts it. */
export function mend(
  state: State,
  r: RecordState,
  cell: Cell,
  kind: MendKind,
  change: Change,
  why: string,
  out: Step,
): void {
  const count = cell.mends[kind].count + 1;
  cell.mends = { ...cell.mends, [kind]: { count, lastAt: state.now } };
  cell.edited = null;
  // Should it fail, it is decided anew.
  if (cell.odd !== null) cell.odd = { ...cell.odd, backAt: null };
  toMend(state, r, cell, change, why, out);
}

function toMend(
  state: State,
  r: RecordState,
  cell: Cell,
  change: Change,
  why: string,
  out: Step,
): void {
  if (!toWrite(state, r, cell, change, true, out)) return;
  const sentence = `${r.name} at ${cell.provider}: mending: ${why}`;
  note(out, 'repair', r.name, sentence, { provider: cell.provider });
}

/** Puts the TTL right of what stands as it should; a vendor that keeps its own is left with that. */
function retime(
  state: State,
  r: RecordState,
  cell: Cell,
  { change, sentence }: Extract<Plan, { kind: 'ttl' }>,
  out: Step,
): void {
  const isConfigured = r.config.targets.some((t) => t.cname === change.to.cname);
  // Of two who would have it otherwise, whoever acts says how long it is kept.
  if (!isConfigured || !state.lease.held || cell.retimes >= RETIMES_MAX) return;
  if (cell.timed !== null) cell.timed = { ...cell.timed, vain: 0 };
  if (cell.retimes === OWN_WISH) {
    toWrite(state, r, cell, change, isPending(r, cell), out);
    return;
  }
  cell.retimes++;
  toMend(state, r, cell, change, sentence, out);
}

/** The configuration has another TTL now: it is not left to the next switch, nor to who adopted. */
export function retimed(state: State, r: RecordState, cell: Cell, ttl: number, out: Step): void {
  cell.ttl = ttl;
  cell.retimes = 0;
  if (follows(state)) return;
  if (r.doc.adopted) amend(out, r, { adopted: false });
  if (r.doc.marker !== null && r.config.mode !== 'observe') converge(state, r, cell, false);
}

/** Another TTL is wished for than before, by ourselves: nobody's edit, and nothing to hurry for. */
export function retimeAnew(state: State, r: RecordState, cell: Cell): void {
  cell.retimes = OWN_WISH;
  cell.givenTtl = null;
  const isSteered = r.doc.marker !== null && r.config.mode !== 'observe' && !cell.held;
  // What is on its way already is looked at again once it was answered for.
  if (isSteered && !follows(state) && cell.work === 'none') converge(state, r, cell, false);
}

/**
 * A vendor that refuses a shorter TTL than configured keeps that one: no switch is to fail for a
 * wish that only makes it quicker. True: it is sent again so.
 */
export function keepTtl(
  state: State,
  r: RecordState,
  cell: Cell,
  { to }: Change,
  fault: Fault,
  out: Step,
): boolean {
  // Some vendors say of it only that the change does not fit, each time.
  const isRefused = fault.kind === 'rejected' || (fault.kind === 'conflict' && cell.attempts > 0);
  if (!isRefused || to.ttl >= cell.ttl || cell.keepsTtl) return false;
  cell.keepsTtl = true;
  const what = `it refused a TTL of ${to.ttl} s and keeps ${cell.ttl} s: ${fault.detail}`;
  const { provider } = cell;
  note(out, 'prepare', r.name, `${r.name} at ${provider}: ${what}`, { provider, ttl: to.ttl });
  converge(state, r, cell, isPending(r, cell));
  return true;
}

/** It is to stand on other lines there from now on. */
export function relined(state: State, r: RecordState, cell: Cell, lines: Lines): void {
  cell.lines = lines;
  cell.stood = null;
  cell.proofs = {};
  // What was written again before says nothing of the new lines.
  cell.mends = { ...cell.mends, marker: never };
  if (!follows(state) && r.config.mode !== 'observe') converge(state, r, cell, false);
}

const retiredSays: Problem = {
  word: 'retired',
  sentence: 'the target in force is no longer configured, so it is never written again',
};

export function hold(state: State, r: RecordState, cell: Cell, problem: Problem, out: Step): void {
  const { provider } = cell;
  const sentence = `${r.name} at ${provider}: ${problem.sentence}`;
  if (cell.problem?.word !== problem.word) {
    note(out, 'hold', r.name, sentence, { provider, word: problem.word });
  }
  const about = { kind: 'hold', record: r.name, provider } as const;
  raise(state, about, problem.word, { sentence, data: { provider } }, out);
  cell.problem = problem;
  cell.held = true;
}

function unhold(state: State, r: RecordState, cell: Cell, why: string, out: Step): void {
  const { provider } = cell;
  const sentence = `${r.name} at ${provider}: held no longer: ${why}`;
  close(state, { kind: 'hold', record: r.name, provider }, sentence, out);
}

function arrive(state: State, r: RecordState, cell: Cell, out: Step): void {
  cell.problem = null;
  unhold(state, r, cell, `it holds ${r.doc.target}`, out);
  cell.odd = null;
  cell.edited = null;
  cell.attempts = 0;
  // What was sent before another took over.
  if (follows(state)) return watched(state, r, cell);
  place(r, cell, out);
  if (Object.hasOwn(r.doc.claims, cell.provider)) {
    const { [cell.provider]: _, ...claims } = r.doc.claims;
    amend(out, r, { claims });
  }
  if (cell.writtenAt === null) {
    cell.writtenAt = state.now;
    if (cell.wrote) progress(state, r, cell, 'written', '', out);
  }
  if (cell.visibleAt === null) askSoon(state, cell);
}

/** What of ours stands there is remembered: it stays ours without its marker. */
function place(r: RecordState, cell: Cell, out: Step): void {
  const { marker, cname } = r.doc;
  if (marker === null || cname === null) return;
  const before = own(r.doc.placed, cell.provider);
  const isSame = before?.cname === cname && isSameMarker(before.marker, marker);
  if (!isSame) amend(out, r, { placed: { ...r.doc.placed, [cell.provider]: { cname, marker } } });
}

/** Nobody has edited it for long: what was mended before is forgotten. */
export function calmDown(state: State, r: RecordState, cell: Cell, out: Step): void {
  const lastAt = Math.max(...Object.values(cell.mends).map((m) => m.lastAt));
  if (lastAt === 0 || state.now - lastAt < CALM_MS) return;
  cell.mends = noMends;
  const { provider } = cell;
  const sentence = `${r.name} at ${provider}: nobody has edited it for an hour`;
  close(state, { kind: 'edits', record: r.name, provider }, sentence, out);
}

// ---------------------------------------------------------------- what its name servers say

export function readFromDns(
  state: State,
  r: RecordState,
  cell: Cell,
  answers: readonly ServerAnswer[],
  out: Step,
): void {
  if (cell.reading === 'read') {
    cell.fallback = false;
    return;
  }
  const usable = answers.filter(isUsable).map(seenByDns);
  const judged = usable.map((seen) => {
    const s = standing(knowledge(state, r, cell), r.config, seen);
    return { seen, genuine: s.kind === 'marked' && s.by.whose === 'genuine' ? s.by : null };
  });
  const best = judged.reduce<(typeof judged)[number] | null>((a, b) => {
    return a === null || (b.genuine?.marker.epoch ?? -1) > (a.genuine?.marker.epoch ?? -1) ? b : a;
  }, null);
  if (best === null) {
    if (cell.reading === 'pending') {
      const sentence = `${r.name} at ${cell.provider}: readable neither by API nor by DNS`;
      note(out, 'unreadable', r.name, sentence, { provider: cell.provider });
    }
    cell.reading = 'unreadable';
    return;
  }
  absorb(state, r, cell, best.seen, 'dns', out);
  // Rule 26: it makes us hold still until the API has said it, and moves nobody.
  const { marker } = r.doc;
  const ahead = best.genuine?.marker ?? null;
  if (ahead !== null && marker !== null && compareMarkers(ahead, marker) > 0) {
    cell.reading = 'pending';
    return;
  }
  cell.fallback = false;
}

function seenByDns({ answer: a, markers, proofs = [] }: ServerAnswer): Seen {
  const cnames = a.kind === 'cname' ? [{ value: a.value, ttl: a.ttl }] : [];
  return { cnames, markers: markers ?? [], proofs, refusal: null, ref: null };
}

/** Whether an answer says what stands there, or that nothing does. */
const speaks = {
  cname: true,
  nxdomain: true,
  nodata: true,
  servfail: false,
  refused: false,
  'not-authoritative': false,
  timeout: false,
  error: false,
} satisfies Readonly<Record<ServerAnswerKind, boolean>>;

function isUsable(a: ServerAnswer): boolean {
  return a.markers !== null && speaks[a.answer.kind];
}

/** What DNS gives goes into the view; the marker's epoch stays what the API last said. */
export function lookAt(
  state: State,
  _r: RecordState,
  cell: Cell,
  answers: readonly ServerAnswer[],
): void {
  const spoke = answers.filter((a) => speaks[a.answer.kind]);
  const odd = spoke.find((a) => a.answer.kind !== 'cname') ?? spoke[0];
  if (odd === undefined) return;
  const a = odd.answer;
  cell.seen = {
    cname: a.kind === 'cname' ? a.value : null,
    ttl: a.kind === 'cname' ? a.ttl : null,
    epoch: cell.seen?.epoch ?? null,
    at: state.now,
    by: 'dns',
  };
}

/** What waits for a person has changed, by DNS: what they did is read. */
export function lookAgain(
  state: State,
  r: RecordState,
  cell: Cell,
  answers: readonly ServerAnswer[],
): void {
  if (cell.work !== 'none') return;
  const others = answers.filter(isUsable).some((a) => {
    const s = standing(knowledge(state, r, cell), r.config, seenByDns(a));
    return JSON.stringify(s) !== JSON.stringify(cell.standing);
  });
  // What refuses us may be nothing that an answer shows, and is read at the pace of an idle lane.
  const isHidden = cell.standing?.kind === 'refused' || isUneven(cell);
  const everyMs = isHidden ? IDLE_RETRY_MS : WATCH_MS;
  if (!others || state.now - cell.doubtedAt < everyMs) return;
  cell.doubtedAt = state.now;
  converge(state, r, cell, false);
}

/** Its lines differ, or one is missing: of that an answer shows one line's part alone. */
export function isUneven({ standing: s }: Cell): boolean {
  return s !== null && 'value' in s && (s.split !== undefined || s.gaps !== undefined);
}

/** Written, by the API's word, and long not given: somebody may have been there in between. */
export function isLate(state: State, r: RecordState, cell: Cell): boolean {
  const waits = cell.visibleAt === null && cell.writtenAt !== null && !isSwitching(r);
  return waits && state.now - cell.doubtedAt >= WATCH_MS;
}

/** It waits for its turn and gives something else than was left there: its API is asked what. */
export function isAstray(
  state: State,
  r: RecordState,
  cell: Cell,
  answers: readonly ServerAnswer[],
): boolean {
  if (!isWaiting(r, cell) || state.now - cell.doubtedAt < WATCH_MS) return false;
  const left = own(r.doc.placed, cell.provider)?.cname;
  const gives = ({ answer: a }: ServerAnswer) => (a.kind === 'cname' ? a.value : null);
  return answers.some((a) => speaks[a.answer.kind] && gives(a) !== left);
}

/** A server gives another answer, or another marker, after all gave the right one. */
export function isOdd(r: RecordState, answers: readonly ServerAnswer[]): boolean {
  const inForce = r.doc.marker;
  return answers.some(({ answer, markers, proofs }) => {
    if (answer.kind === 'nxdomain' || answer.kind === 'nodata') return true;
    if (answer.kind !== 'cname') return false;
    if (answer.value !== r.doc.cname) return true;
    // Without its one marker the record is not ours to move when it must be moved; two are none.
    if (markers !== null && markers.length !== 1) return true;
    // A forger may leave its id, and all else that a glance would see.
    if (proofs?.some((p) => p.word !== 'genuine')) return true;
    return (markers ?? []).some((text) => {
      const m = parseMarker(text);
      return m === null || inForce === null || !isSameMarker(m, inForce);
    });
  });
}

/**
 * DNS gives another TTL than is wanted, and has not done so a moment ago: caches would keep the next
 * outage for as long. Asked in vain too often, it is a vendor that plays with its TTLs.
 */
export function isRetimed(
  state: State,
  r: RecordState,
  cell: Cell,
  answers: readonly ServerAnswer[],
): boolean {
  if (cell.work !== 'none') return false;
  const ttls = answers.flatMap(({ answer }) => (answer.kind === 'cname' ? [answer.ttl] : []));
  if (ttls.length === 0) return false;
  const was = cell.timed;
  const ttl = Math.max(...ttls);
  const isLasting = !r.doc.adopted && state.now - cell.doubtedAt >= IDLE_RETRY_MS;
  const isNews = was !== null && (ttl !== was.ttl || isLasting);
  const isAsked = isNews && ttl !== ttlAt(r, cell) && was.vain < TTL_DOUBTS_MAX;
  const vain = (was?.vain ?? 0) + (isAsked ? 1 : 0);
  if (was?.ttl !== ttl || isAsked) cell.timed = { ttl, vain };
  return isAsked;
}

/** What is not seen from here is read by the API now and then: somebody may have edited it. */
export function isUnseen(state: State, cell: Cell): boolean {
  return cell.lines !== undefined && state.now - cell.answeredAt >= LINES_READ_MS;
}

/** Somebody may have edited it, or a server lags: the API's word is asked for. */
export function doubt(state: State, r: RecordState, cell: Cell): void {
  // What is to be settled is read before.
  if (cell.work !== 'none' || cell.settling || r.config.mode === 'observe' || follows(state))
    return;
  cell.doubtedAt = state.now;
  converge(state, r, cell, false);
}

export function becomeVisible(state: State, r: RecordState, cell: Cell, out: Step): void {
  cell.visibleAt = state.now;
  if (follows(state)) {
    cell.writtenAt ??= state.now;
    return;
  }
  const servers = ` (${cell.right} of ${cell.asked} servers)`;
  if (cell.wrote || isSwitching(r)) progress(state, r, cell, 'visible', servers, out);
  if (cell.lines !== undefined) cell.askAfterMs = ASK_FIRST_MS;
  measure(state, r, cell, out);
}

function progress(
  state: State,
  r: RecordState,
  cell: Cell,
  stage: 'written' | 'visible',
  tail: string,
  out: Step,
): void {
  // Where they go one after the other, each is counted from its own turn.
  const since = r.doc.turns === null ? (r.doc.decidedAt ?? state.now) : cell.turnAt;
  const ms = state.now - since;
  const epoch = r.doc.marker?.epoch ?? 0;
  const sentence = `${r.name} at ${cell.provider}: ${stage} after ${ms} ms${tail}`;
  note(out, stage, r.name, sentence, { provider: cell.provider, epoch, ms });
}

// ---------------------------------------------------------------- what became of a change

export function written(state: State, r: RecordState, cell: Cell, change: Change, out: Step): void {
  const { marker } = change.to;
  cell.answeredAt = state.now;
  cell.settling = false;
  if (change.settle === 'later') return moved(state, r, cell, change, out);
  const { signed } = state.config;
  const by = signed
    ? ({ whose: 'genuine', marker, cname: change.to.cname } as const)
    : ({ whose: 'ours', marker } as const);
  cell.standing = { kind: 'marked', by, value: change.to.cname };
  cell.standingBy = 'api';
  cell.edited = null;
  if (cell.lines !== undefined) {
    const { cname: value, ttl } = change.to;
    cell.stood = cell.lines.map((line) => ({ line, value, ttl }));
  }
  cell.seen = {
    cname: change.to.cname,
    ttl: change.to.ttl,
    epoch: marker.epoch,
    at: state.now,
    by: 'api',
  };
  cell.wrote = isInStep(r, cell);
  if (cell.wrote) {
    arrive(state, r, cell, out);
    if (cell.retimes === OWN_WISH) wished(state, r, cell, change);
    if (r.doc.prepared !== null) askSoon(state, cell);
  }
  // A later switch was decided while this write was under way: go on towards that one.
  else if (cell.work === 'none') converge(state, r, cell, true);
}

/** It gives what is wanted under the marker of before; that comes when no switch waits any more. */
function moved(state: State, r: RecordState, cell: Cell, { to }: Change, out: Step): void {
  const { cname, ttl, marker } = to;
  const s = cell.standing;
  if (s?.kind === 'marked') cell.standing = { kind: 'marked', by: s.by, value: cname };
  cell.standingBy = 'api';
  cell.edited = null;
  if (cell.lines !== undefined)
    cell.stood = cell.lines.map((line) => ({ line, value: cname, ttl }));
  cell.seen = { cname, ttl, epoch: cell.seen?.epoch ?? null, at: state.now, by: 'api' };
  const inForce = r.doc.marker;
  cell.wrote = inForce !== null && isSameMarker(inForce, marker) && cname === r.doc.cname;
  if (cell.work !== 'none') return;
  if (!cell.wrote) return converge(state, r, cell, true);
  cell.problem = null;
  cell.settling = true;
  if (cell.writtenAt === null) {
    cell.writtenAt = state.now;
    progress(state, r, cell, 'written', '', out);
  }
  if (cell.visibleAt === null) askSoon(state, cell);
  converge(state, r, cell, false);
}

/** Whether a change is of what is served, not of the marker alone. */
export function isMove({ from, to }: Change): boolean {
  return from.cnames.some((c) => c.value !== to.cname);
}

/** A TTL of our own wish was to be written: it is now, or what was under way bore the one before. */
function wished(state: State, r: RecordState, cell: Cell, { to }: Change): void {
  if (to.ttl === ttlAt(r, cell)) cell.retimes = 0;
  else if (cell.work === 'none') converge(state, r, cell, false);
}

/** Nothing was sent about it: that is no failure, and it is asked for next. */
export function askNext(state: State, r: RecordState, cell: Cell, urgent: boolean): void {
  if (cell.work !== 'none') return;
  cell.work = 'read';
  enqueue(state, r, cell, urgent || isPending(r, cell));
}

/** The same of a change; it is sent as it is, if that is still what is in force. */
export function sendNext(
  state: State,
  r: RecordState,
  cell: Cell,
  change: Change,
  urgent: boolean,
  out: Step,
): void {
  const { marker, cname, deposed } = r.doc;
  const { to } = change;
  const isOurs = deposed === null && r.differs === null && !follows(state);
  const stands = to.cname === cname && to.marker.epoch === marker?.epoch && isOurs;
  if (!stands || to.marker.id !== marker?.id || r.config.mode === 'observe') {
    return askNext(state, r, cell, urgent);
  }
  if (cell.work === 'none') toWrite(state, r, cell, change, urgent || isPending(r, cell), out);
}

/** Nothing came of reading or writing it: it is read again after the rest its fault asks for. */
export function failed(
  state: State,
  r: RecordState,
  cell: Cell,
  { fault, reach }: Extract<Answer<never>, { kind: 'fault' }>,
  out: Step,
): void {
  cell.work = 'read';
  cell.change = null;
  cell.problem = problemOf(fault);
  if (reach.kind === 'record') {
    if (fault.kind === 'rejected') rejected(state, r, cell, out);
    else retryCell(state, r, cell, fault);
    return;
  }
  if (reach.kind === 'zone') {
    placeIn(state.lanes.get(cell.provider)!, r.name, cell, reach.zone);
  }
  enqueue(state, r, cell, isPending(r, cell));
}

/** The vendor will never take it as it is: nothing waits for it, and it is looked at now and then. */
function rejected(state: State, r: RecordState, cell: Cell, out: Step): void {
  note(out, 'rejected', r.name, `${r.name} at ${cell.provider}: ${cell.problem?.sentence}`, {
    provider: cell.provider,
  });
  cell.held = true;
  cell.settling = false;
  cell.retryAt = state.now + jitter(state, IDLE_RETRY_MS, 0.2);
  setDeadline(state.timers, cell.deadlines.retry, cell.retryAt);
}

/** At once the first time, where what was read is old or what was written unknown. */
function retryCell(state: State, r: RecordState, cell: Cell, fault: Fault): void {
  cell.attempts++;
  const cap = isPending(r, cell) ? SWITCH_RETRY_MS : IDLE_RETRY_MS;
  const isOld = fault.kind === 'conflict' || fault.kind === 'uncertain';
  let waitMs = backoff(state, cell.attempts - 1, cap);
  if (isOld && cell.attempts === 1) waitMs = 0;
  if (fault.kind === 'auth-suspect') waitMs = authRetryMs(state);
  waitMs = Math.max(waitMs, askedMs(fault));
  cell.retryAt = state.now + waitMs;
  if (waitMs === 0) enqueue(state, r, cell, isPending(r, cell));
  else setDeadline(state.timers, cell.deadlines.retry, cell.retryAt);
}

function problemOf(fault: Fault): Problem {
  return { word: fault.kind, sentence: sentenceOf(fault) };
}

export function sentenceOf(fault: Fault): string {
  return fault.cure === undefined ? fault.detail : `${fault.detail}: ${fault.cure}`;
}

/** The genuine marker that is ahead of a record at any of its providers; the highest of them. */
export function markerAhead(r: RecordState): Genuine | null {
  let best: Genuine | null = null;
  for (const cell of r.cells.values()) {
    const m = cell.ahead;
    if (m !== null && (best === null || compareMarkers(m.marker, best.marker) > 0)) best = m;
  }
  return best;
}
