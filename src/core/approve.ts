// A decision that waits for a person: the question, what ends it, and the answers. A question is
// about one record, from, to, reason and epoch, and is used once. An answer lets the record's own
// rules go on; it must never stand in for one of them, and never outlive what it was asked about.

import { type Decision, decide, type Situation } from './decide.ts';
import { lapseHook, wakeOfHook } from './hook.ts';
import { nextEpoch } from './marker.ts';
import type { Command, Json, MoveReason, Name, Reply, StayReason } from './model.ts';
import { listOf, quoted } from './name.ts';
import { close, raise } from './notices.ts';
import { situation } from './situation.ts';
import {
  type Approval,
  amend,
  note,
  type RecordState,
  randomId,
  type State,
  type Step,
} from './state.ts';
import { dropChoice, grounds } from './switch.ts';
import { isSet, setDeadline } from './timers.ts';
import { ttlAt } from './ttl.ts';

/** A question dies after this, and so does a no. */
const APPROVAL_MS = 900_000;

type Moving = Extract<Decision, { kind: 'move' }>;

/** A reason to stay, as it is shown. */
interface Waits {
  readonly reason: StayReason;
  readonly sentence: string;
}

// ---------------------------------------------------------------- asking

/**
 * Null where a move may go as far as people are concerned; else why it waits. It asks where nobody
 * was asked yet, and lets silence go where that is configured.
 */
export function mayGo(
  state: State,
  r: RecordState,
  s: Situation,
  d: Moving,
  out: Step,
): Waits | null {
  if (!isAsked(r, d.why)) return null;
  const a = r.doc.approval ?? ask(state, r, s, d, out);
  if (a.answer === 'approved') return null;
  if (a.answer === 'rejected') {
    return { reason: 'approval-rejected', sentence: `${d.sentence}; rejected ${a.by}` };
  }
  const goesAt = goesAtOf(a);
  if (goesAt !== null && state.now >= goesAt) {
    answered(state, r, a, { answer: 'approved', by: 'by silence, as configured' }, out);
    return null;
  }
  tellAsked(state, r, a, out);
  return { reason: 'awaiting-approval', sentence: `${d.sentence}; ${whatToDo(a)}` };
}

/** Whether a person is asked before such a move: a drain and a drill are a person's word already. */
export function isAsked(r: RecordState, why: MoveReason): boolean {
  return r.config.mode === 'approve' && why !== 'drained' && why !== 'drill';
}

function whatToDo(a: Approval): string {
  return `run \`detour approve ${a.id}\` or \`detour reject ${a.id}\``;
}

function ask(state: State, r: RecordState, s: Situation, d: Moving, out: Step): Approval {
  const { to, why, overspends, sentence } = d;
  const from = r.doc.target!;
  const approval: Approval = {
    ...{ id: randomId(state), from, to, why, overspends, epoch: epochOf(r), sentence },
    ...{ sinceAt: state.now, afterMs: r.config.approveAfterMs ?? null },
    ...{ answer: 'none', answeredAt: null, by: null },
  };
  amend(out, r, { approval });
  note(out, 'approval', r.name, `${r.name}: ${sentence}: waits for a person`, {
    ...{ id: approval.id, word: 'asked', from, to, why, epoch: approval.epoch },
    ...{ expiresAt: endOf(approval), goesAt: goesAtOf(approval), ...grounds(state, s, from, to) },
  });
  return approval;
}

/** Each question is told once; after a take-over by whoever acts then. */
function tellAsked(state: State, r: RecordState, a: Approval, out: Step): void {
  const about = { kind: 'approval', record: r.name } as const;
  if (state.notices.open.get(`approval/${r.name}`)?.word === a.id) return;
  const wallOf = (at: number) => state.wall + at - state.now;
  const goesAt = goesAtOf(a);
  const goesWall = goesAt === null ? null : wallOf(goesAt);
  const after = goesAt === null ? 'it stays' : 'it goes by itself';
  const silence = `with no answer ${after}`;
  const data = {
    ...{ approval: a.id, from: a.from, to: a.to, why: a.why, epoch: a.epoch },
    ...{ expiresWall: wallOf(endOf(a)), goesWall },
    votes: state.origins.get(a.from)?.why ?? '',
  };
  const sentence = `${r.name}: ${a.sentence}: ${whatToDo(a)}; ${silence}`;
  raise(state, about, a.id, { sentence, data }, out);
}

function epochOf(r: RecordState): number {
  return r.doc.marker?.epoch ?? 0;
}

/** When a question, or a no, is over. */
function endOf(a: Approval): number {
  return (a.answer === 'rejected' ? (a.answeredAt ?? a.sinceAt) : a.sinceAt) + APPROVAL_MS;
}

function goesAtOf(a: Approval): number | null {
  return a.afterMs === null ? null : a.sinceAt + a.afterMs;
}

/** What a switch says of who let it go. */
export function approvedSentence(r: RecordState, sentence: string): string {
  const { approval: a } = r.doc;
  return a?.answer === 'approved' ? `${sentence}; approved ${a.by}` : sentence;
}

// ---------------------------------------------------------------- ending

/** Ends what was asked, and what a hook said, where it is no longer about what is decided now. */
export function lapse(state: State, r: RecordState, d: Decision, out: Step): void {
  lapseHook(state, r, d, out);
  const a = r.doc.approval;
  if (a === null) {
    if (r.config.mode === 'approve') closeAsked(state, r, 'it was settled otherwise', out);
    return;
  }
  // What cannot be committed is not ended either: it is looked at again when it can.
  const why = state.storeOk ? overBy(state, r, a, d) : null;
  if (why === null) return;
  end(state, r, a, why, out);
  // What is asked anew is told anew, under the same key.
  if (d.kind === 'stay' || !isAsked(r, d.why)) closeAsked(state, r, why, out);
}

/** Why a question, or its answer, no longer stands; null while it does. */
function overBy(state: State, r: RecordState, a: Approval, d: Decision): string | null {
  if (r.config.mode !== 'approve') return `the record is in mode ${r.config.mode} now`;
  const { target } = r.doc;
  if (target !== a.from || epochOf(r) !== a.epoch) return `epoch ${epochOf(r)} is on ${target} now`;
  if (state.now >= endOf(a)) return expired[a.answer];
  const isNo = a.answer === 'rejected';
  if (!isNo && a.afterMs !== (r.config.approveAfterMs ?? null))
    return 'approveAfter is another now';
  if (d.kind === 'move') return movesOtherwise(a, d);
  if (isNo) return d.reason === 'target-up' ? d.sentence : null;
  const isGone = state.origins.get(a.to)?.health === 'down';
  return ends.has(d.reason) || (d.reason === 'no-target-up' && isGone) ? d.sentence : null;
}

const expired = {
  none: 'nobody answered in time',
  approved: 'it was approved and could not be confirmed in time',
  rejected: 'the no is over',
} satisfies Readonly<Record<Approval['answer'], string>>;

function movesOtherwise(a: Approval, d: Moving): string | null {
  const isSame = a.to === d.to && a.why === d.why;
  if (isSame && (a.answer === 'rejected' || a.overspends === d.overspends)) return null;
  return `another decision takes its place: ${d.sentence}`;
}

/**
 * Stays that end a question: the situation is another. The rest passes by itself (a start, a moment
 * of blindness, another replica acting), and the question goes on to its own end.
 */
const ends: ReadonlySet<StayReason> = new Set([
  'frozen',
  'deposed',
  'not-adopted',
  'missing',
  'disagreement',
  'foreign',
  'unreadable',
  'pinned',
  'retired',
  'target-up',
  'failback-manual',
  'budget-kept',
  'budget-spent',
  'epochs-spent',
]);

function end(state: State, r: RecordState, a: Approval, why: string, out: Step): void {
  r.asked = { id: a.id, sentence: `${a.from} -> ${a.to}: ${why}` };
  amend(out, r, { approval: null });
  dropChoice(state, r);
  if (a.answer === 'rejected') return;
  const sentence = `${r.name}: ${a.from} -> ${a.to} waits for nobody any more: ${why}`;
  note(out, 'approval', r.name, sentence, { id: a.id, word: 'ended', why });
}

function closeAsked(state: State, r: RecordState, why: string, out: Step): void {
  if (state.notices.open.size === 0) return;
  const sentence = `${r.name}: the decision no longer waits: ${why}`;
  close(state, { kind: 'approval', record: r.name }, sentence, out);
}

/** After a pause nobody knows how old an answer is: it is asked, and a hook is run, anew. */
export function dropAsked(state: State, r: RecordState, out: Step): void {
  const { approval: a, hook } = r.doc;
  if (!state.lease.held || !state.storeOk) return;
  // One that runs still answers; what was said before is as old as nobody knows.
  if (hook !== null && hook.answer !== 'none') amend(out, r, { hook: null });
  if (a === null || a.answer === 'rejected') return;
  const why = 'this process stood still';
  end(state, r, a, why, out);
  closeAsked(state, r, why, out);
}

/** Wakes a record when its question, its silence or its hook is over. */
export function watchAsked(state: State, r: RecordState): void {
  const { approval: a, hook } = r.doc;
  if (a === null && hook === null) return;
  const never = Number.POSITIVE_INFINITY;
  const goesAt = a?.answer === 'none' ? goesAtOf(a) : null;
  const at = Math.min(
    a === null ? never : endOf(a),
    goesAt !== null && goesAt > state.now ? goesAt : never,
    wakeOfHook(r),
  );
  const { review } = r.deadlines;
  if (at < never && (!isSet(review) || review.at > at)) {
    setDeadline(state.timers, review, Math.max(at, state.now + 1));
  }
}

/** What must hold after every step: nothing that a person is to be asked is on its way unasked. */
export function unasked(r: RecordState): string[] {
  const { choosing, doc } = r;
  if (choosing === null || !isAsked(r, choosing.why)) return [];
  const a = doc.approval;
  const isApproved = a?.answer === 'approved' && a.to === choosing.to && a.from === doc.target;
  return isApproved ? [] : ['about to move although nobody has approved it'];
}

// ---------------------------------------------------------------- answering

type Answer = Extract<Command, { kind: 'approve' | 'reject' }>;

interface Answered {
  readonly reply: Reply;
  /** The record that it is about, where it is known. */
  readonly record: Name | null;
}

/** A person's answer. It moves nothing by itself: the record is reviewed with it. */
export function answer(state: State, c: Answer, out: Step): Answered {
  const found = waitingFor(state, c.id);
  if ('exit' in found) return { reply: found, record: null };
  const { r, a } = found;
  const reply = c.kind === 'approve' ? approve(state, r, a, c, out) : reject(state, r, a, c, out);
  return { reply, record: r.name };
}

/** The question of that id; enough of its beginning will do. */
function waitingFor(
  state: State,
  typed: string,
): { readonly r: RecordState; readonly a: Approval } | Reply {
  const id = typed.trim().toLowerCase();
  const waiting: { r: RecordState; a: Approval }[] = [];
  for (const r of state.records.values()) {
    const a = r.doc.approval;
    if (a === null) continue;
    if (a.id === id) return { r, a };
    waiting.push({ r, a });
  }
  const near = id.length < 4 ? [] : waiting.filter(({ a }) => a.id.startsWith(id));
  if (near.length === 1) return near[0]!;
  for (const { asked, name } of state.records.values()) {
    if (asked?.id !== id) continue;
    return {
      exit: 1,
      message: `${name}: ${asked.sentence}: that question is over, nothing was done`,
    };
  }
  const open = waiting.filter(({ a }) => a.answer === 'none');
  const all = listOf(open.map(({ r, a }) => `${a.id} (${r.name}: ${a.from} -> ${a.to})`));
  const rest = open.length === 0 ? 'no decision waits for a person' : `these wait: ${all}`;
  const what = near.length > 1 ? 'more than one decision begins with' : 'no decision waits under';
  return { exit: 2, message: `${what} ${quoted(typed)}: used, over or never asked; ${rest}` };
}

function approve(state: State, r: RecordState, a: Approval, c: Answer, out: Step): Reply {
  const what = `${r.name}: ${a.from} -> ${a.to}`;
  if (a.answer === 'approved') {
    return { exit: 0, message: `${what} is approved already, ${a.by}: ${r.stay.sentence}` };
  }
  if (a.answer === 'rejected') {
    const cure = `\`detour switch ${r.name} ${a.to}\` goes there all the same`;
    return { exit: 1, message: `${what} was rejected ${a.by}: ${cure}` };
  }
  if (!state.storeOk) {
    return { exit: 1, message: 'the store cannot commit: use `detour switch --direct`' };
  }
  // In a group a dry run is answered by whoever is asked, for whoever acts.
  const seen = situation(state, r, null);
  const d = decide(state.group === null ? seen : { ...seen, leader: true });
  const isOver = overBy(state, r, a, d) !== null;
  if (isOver || d.kind === 'stay') {
    const why = isOver ? 'it is no longer what is decided' : 'not now';
    return { exit: 1, message: `${what}: ${why}: ${d.sentence}; nothing was done` };
  }
  if (c.dryRun === true) return wouldApprove(r, a);
  answered(state, r, a, { answer: 'approved', by: saidOf(c) }, out);
  const detail = { record: r.name, from: a.from, target: a.to, id: a.id };
  return { exit: 0, message: `${what}: goes once ${a.to} is confirmed up`, detail };
}

function wouldApprove(r: RecordState, a: Approval): Reply {
  const { cname } = r.config.targets.find((t) => t.origin === a.to)!;
  const plan = [...r.cells.values()].map((cell) => ({
    provider: cell.provider,
    from: cell.seen?.cname ?? null,
    to: cname,
    ttl: ttlAt(r, cell),
    problem: cell.problem?.sentence ?? null,
  }));
  const detail = { record: r.name, epoch: nextEpoch(r.doc.epochMax), plan } as unknown as Json;
  const message = `would move ${r.name}: ${a.sentence}, once ${a.to} is confirmed up`;
  return { exit: 0, message, detail };
}

function reject(state: State, r: RecordState, a: Approval, c: Answer, out: Step): Reply {
  const what = `${r.name}: ${a.from} -> ${a.to}`;
  if (a.answer === 'rejected') return { exit: 0, message: `${what} is rejected already, ${a.by}` };
  const until = `asked again once ${a.from} was up, another target is proposed, or in 15 min`;
  if (c.dryRun === true) {
    return { exit: 0, message: `would keep ${r.name} on ${a.from}: ${until}; nothing moves` };
  }
  answered(state, r, a, { answer: 'rejected', by: saidOf(c) }, out);
  return { exit: 0, message: `${r.name} stays on ${a.from}: ${until}` };
}

/** Who said it, and why where that was said too. */
function saidOf({ by, link, reason }: Answer): string {
  const who = link === undefined ? `by ${by}` : `by link of channel ${link}`;
  const why = reason?.trim() ?? '';
  return why === '' ? who : `${who}: ${why}`;
}

/** It is answered: the notice ends, and the answer is in the journal with who gave it. */
function answered(
  state: State,
  r: RecordState,
  a: Approval,
  how: { readonly answer: 'approved' | 'rejected'; readonly by: string },
  out: Step,
): void {
  amend(out, r, { approval: { ...a, ...how, answeredAt: state.now } });
  const sentence = `${r.name}: ${a.from} -> ${a.to}: ${how.answer} ${how.by}`;
  note(out, 'approval', r.name, sentence, { id: a.id, word: how.answer, by: how.by });
  closeAsked(state, r, `${how.answer} ${how.by}`, out);
}

// ---------------------------------------------------------------- for those who look

/** The question of a record that waits for a person; null: none does. */
export function waitingOf(
  r: RecordState,
): { readonly a: Approval; readonly expiresAt: number; readonly goesAt: number | null } | null {
  const a = r.doc.approval;
  if (a === null || a.answer !== 'none') return null;
  return { a, expiresAt: endOf(a), goesAt: goesAtOf(a) };
}
