// One record's life: taking over what stands there, staying or moving, and the end of a switch.
// Every automatic move passes through `review`; every move of any kind passes through `switchTo`.
// It never writes: it says what is in force, and the lanes bring the providers there.

import {
  alternatives,
  type Decision,
  decide,
  HOUR_MS,
  type Situation,
  type TargetFacts,
} from './decide.ts';
import {
  converge,
  fallBack,
  isOut,
  isSwitching,
  markerAhead,
  pump,
  restartCell,
  watchCell,
} from './lane.ts';
import type { ChainAnswer, Marker, MarkerKind, Name } from './model.ts';
import { adoption } from './plan.ts';
import {
  type Cell,
  type Choosing,
  keep,
  note,
  type OriginState,
  type RecordDoc,
  type RecordState,
  randomId,
  type State,
  type Step,
  tell,
} from './state.ts';
import { clearTimer, isSet, setTimer } from './timers.ts';
import { evidence, hasFreshPasses, nobodySees, probeFresh, settleMs } from './watch.ts';

/** A switch ends when every lane in reach is visible, or after this (rule 16). */
export const SWITCH_END_MS = 30_000;
/** Rule 8: after this, what an API has not said is asked of DNS. */
export const DNS_READ_AFTER_MS = 3_000;
/** How long a target whose chain was broken, or went unanswered, is passed over. */
const UNRESOLVED_MS = 10_000;
/** How long an edit to a configured target is held. */
const EDIT_PIN_MS = 3_600_000;
/** The id in a record's first marker, a constant by design. */
const FIRST_ID = 'first';
/** The same trouble is not journalled again while it lasts. */
const NOTE_AGAIN_MS = 60_000;
/** A candidate that has given no fresh pass by then is asked again. */
const CHOOSE_AGAIN_MS = 2_000;

/** Reasons that want a person: told once when they begin. */
const WANTS_PERSON: ReadonlySet<string> = new Set([
  'deposed',
  'missing',
  'disagreement',
  'foreign',
  'unreadable',
  'retired',
  'no-target-up',
  'blind',
  'budget-spent',
  'store-failed',
]);
/** Reasons that mean: nobody knows whether what is in force is still right. */
const UNSURE: ReadonlySet<string> = new Set([
  'no-lease',
  'store-failed',
  'reading',
  'settling',
  'blind',
  'target-unknown',
]);
/** Reasons that come and go by themselves: not worth a line in the journal. */
const PASSING: ReadonlySet<string> = new Set([
  'reading',
  'settling',
  'confirming-target',
  'target-up',
]);

/** Looks at one record's whole situation again. Safe to call at any time, any number of times. */
export function review(state: State, name: Name, out: Step): void {
  const r = state.records.get(name);
  if (r === undefined) return;
  if (isChallenged(r)) {
    takeMarkers(state, r, out);
    takeEdit(state, r, out);
  }
  const waits = r.doc.target === null ? adopt(state, r, out) : null;
  endSwitch(state, r, out);
  endPin(state, r, out);
  lookForDawn(state, r);
  const s = situation(state, r, waits);
  const decision = decide(s);
  if (decision.kind === 'stay') stayPut(state, r, decision, out);
  else choose(state, r, s, decision, out);
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

export interface Move {
  readonly to: string;
  readonly kind: MarkerKind;
  readonly sentence: string;
  readonly why: string;
  /** Counts against the budget of automatic switches. */
  readonly spends: boolean;
  readonly overspends: boolean;
  readonly pinned: boolean;
  readonly pinUntilAt: number | null;
  /** What was looked at when it was decided; looked at again when left out. */
  readonly situation?: Situation;
}

/** Makes a target the one in force, under the next epoch, and sends every lane there. */
export function switchTo(state: State, r: RecordState, m: Move, out: Step): void {
  const s = m.situation ?? situation(state, r, null);
  const target = r.config.targets.find((t) => t.origin === m.to)!;
  const from = r.doc.target;
  const id = randomId(state);
  dropChoice(state, r);
  r.stay = { reason: 'target-up', sentence: `${m.to} was just taken` };
  r.prior = r.doc;
  state.tentative.push(r.name);
  // What is only imagined bears no marker: the one that stands belongs to another target.
  const lifted = r.config.mode === 'observe' ? null : nextMarker(state, r, m, id);
  const recent = r.doc.switches.filter((at) => state.now - at < HOUR_MS);
  r.doc = {
    ...r.doc,
    target: m.to,
    cname: target.cname,
    marker: lifted,
    epochMax: Math.max(r.doc.epochMax, lifted?.epoch ?? 0),
    decidedAt: state.now,
    endedAt: null,
    switches: m.spends ? [...recent, state.now] : recent,
    overspentAt: m.overspends ? state.now : r.doc.overspentAt,
    quietSinceAt: state.now,
    adopted: false,
  };
  keep(out, r);
  const word = r.config.mode === 'observe' ? 'would-switch' : 'switch';
  const data = {
    from,
    to: m.to,
    epoch: r.doc.marker?.epoch ?? 0,
    id,
    kind: m.kind,
    why: m.why,
    ...grounds(state, s, from, m.to),
  };
  note(out, word, r.name, `${r.name}: ${m.sentence}`, data);
  tell(out, 'switch', r.name, `${word === 'switch' ? '' : 'would switch: '}${m.sentence}`, data);
  if (r.config.mode === 'observe') {
    r.doc.endedAt = state.now;
    return;
  }
  startLanes(state, r, out);
}

/** What a decision rested on, for `detour explain`: bounded, and kept with it in the journal. */
function grounds(state: State, s: Situation, from: string | null, to: string) {
  const cloud = state.config.origins[from ?? '']?.cloud ?? '';
  return {
    votes: state.origins.get(from ?? '')?.why ?? '',
    candidate: evidence(state, state.origins.get(to)!),
    alternatives: alternatives(s, to),
    diagnosis: state.clouds.get(cloud)?.diagnosis.sentence ?? '',
    budget: `${s.switches.length} of ${s.switchesPerHour} in the last hour`,
    patienceMs: s.patienceMs,
  };
}

function nextMarker(state: State, r: RecordState, m: Move, id: string): Marker {
  const untilWall = m.pinUntilAt === null ? null : m.pinUntilAt - state.now + state.wall;
  return {
    cluster: state.config.cluster,
    epoch: r.doc.epochMax + 1,
    id,
    term: state.lease.term,
    kind: m.kind,
    target: m.to,
    pinned: m.pinned,
    untilWall,
  };
}

/** Sends every lane of a record towards what is in force. */
export function startLanes(state: State, r: RecordState, out: Step): void {
  for (const cell of r.cells.values()) restartCell(state, r, cell);
  if (isSwitching(r)) {
    const endsAt = (r.doc.decidedAt ?? state.now) + SWITCH_END_MS;
    setTimer(state.timers, `e:${r.name}`, Math.max(state.now, endsAt));
  }
  pumpAll(state, r, out);
}

export function pumpAll(state: State, r: RecordState, out: Step): void {
  for (const provider of r.cells.keys()) pump(state, state.lanes.get(provider)!, out);
}

/** The step that decided could not be committed: what was in force stays in force. */
export function takeBack(state: State, name: Name, out: Step): void {
  const r = state.records.get(name);
  if (r === undefined || r.prior === null) return;
  r.doc = r.prior;
  r.prior = null;
  startLanes(state, r, out);
}

// ---------------------------------------------------------------- taking over

/** Somebody else's marker or value was found at one of its providers. */
function isChallenged(r: RecordState): boolean {
  for (const cell of r.cells.values()) {
    if (cell.ahead !== null || cell.edited !== null) return true;
  }
  return false;
}

/** Rule 14: a marker of ours that is ahead is taken if an operator's, and deposes us if not. */
function takeMarkers(state: State, r: RecordState, out: Step): void {
  const ahead = r.doc.target === null ? null : markerAhead(r);
  if (ahead === null) return;
  const own = r.doc.marker;
  const isRival = own !== null && ahead.epoch === own.epoch && ahead.kind === own.kind;
  if (isRival || (own !== null && ahead.epoch < own.epoch)) return;
  for (const cell of r.cells.values()) cell.ahead = null;
  if (isOfGroup(state, ahead)) r.doc.deposed = null;
  if (ahead.kind === 'operator' || isOfGroup(state, ahead)) return take(state, r, ahead, out);
  if (r.doc.deposed !== null && r.doc.deposed.epoch >= ahead.epoch) return;
  r.doc.deposed = ahead;
  dropChoice(state, r);
  for (const cell of r.cells.values()) cell.work = 'none';
  keep(out, r);
  const sentence = `${r.name}: somebody else of this cluster wrote epoch ${ahead.epoch}`;
  note(out, 'deposed', r.name, sentence, { epoch: ahead.epoch, id: ahead.id });
}

function take(state: State, r: RecordState, m: Marker, out: Step): void {
  force(state, r, m, out);
  const whose = m.kind === 'operator' ? 'an operator' : 'another replica';
  note(out, 'taken', r.name, `${r.name}: ${whose}'s switch to ${m.target} was found`, {
    epoch: m.epoch,
    id: m.id,
  });
  startLanes(state, r, out);
}

/** The lease has gone to others, or come from them: what they wrote no longer deposes. */
export function reconcile(state: State, r: RecordState, out: Step): void {
  const { deposed } = r.doc;
  if (deposed === null || !isOfGroup(state, deposed)) return;
  r.doc.deposed = null;
  take(state, r, deposed, out);
}

/**
 * Of replicas that share a lease, whoever does not hold it follows the one who does, and whoever
 * takes it over goes on from where its predecessors were: their terms are lower.
 */
function isOfGroup(state: State, m: Marker): boolean {
  const { held, term, shared } = state.lease;
  return shared && (!held || m.term < term);
}

/**
 * A human set one of the record's own targets at one provider: that is an operator's switch made
 * elsewhere, so it is carried to all providers and held as a pin, if that target is up. To one
 * that is not up it stays what it is, an edit: a stale tool that puts back an old value must not
 * drag everybody to a dead origin.
 */
function takeEdit(state: State, r: RecordState, out: Step): void {
  let cell: Cell | null = null;
  for (const c of r.cells.values()) {
    if (c.edited !== null && c.edited !== r.doc.target) cell ??= c;
  }
  if (cell === null || r.doc.deposed !== null || !state.storeOk || !state.lease.held) return;
  const to = cell.edited!;
  // Looked at once, when it is found: an edit left standing must not act hours later.
  cell.edited = null;
  if (state.origins.get(to)?.health !== 'up') return;
  const pinUntilAt = state.now + EDIT_PIN_MS;
  const sentence = `${r.doc.target} -> ${to}: set by hand at ${cell.provider}`;
  const operator = { kind: 'operator', why: 'edited', spends: false, overspends: false } as const;
  switchTo(state, r, { to, sentence, ...operator, pinned: true, pinUntilAt }, out);
  const by = `an edit at ${cell.provider}`;
  const pin = { target: to, reason: 'set by hand', by, sinceAt: state.now, untilAt: pinUntilAt };
  r.doc = { ...r.doc, pin };
  keep(out, r);
}

/** Makes a marker that was found the one in force, with its pin. */
export function force(state: State, r: RecordState, m: Marker, out: Step): void {
  const target = r.config.targets.find((t) => t.origin === m.target);
  const untilAt = m.untilWall === null ? null : m.untilWall - state.wall + state.now;
  const pinned = m.pinned && (untilAt === null || untilAt > state.now);
  const stands = [...r.cells.values()].find(
    (c) => c.standing?.kind === 'ours' && c.standing.marker.id === m.id,
  );
  r.doc = {
    ...r.doc,
    target: m.target,
    cname: target?.cname ?? stands?.seen?.cname ?? r.doc.cname,
    marker: m,
    epochMax: Math.max(r.doc.epochMax, m.epoch),
    decidedAt: state.now,
    endedAt: null,
    quietSinceAt: state.now,
    adopted: false,
    pin: pinned
      ? {
          target: m.target,
          reason: 'switched by hand',
          by: 'the marker',
          sinceAt: state.now,
          untilAt,
        }
      : null,
  };
  keep(out, r);
}

/** Rule 4 for a record with nothing in force yet; why it waits, or null when it waits no more. */
function adopt(state: State, r: RecordState, out: Step): Situation['unowned'] {
  const cells = [...r.cells.values()];
  if (cells.some((c) => c.reading === 'pending')) return null;
  const found = Object.fromEntries(
    cells.map((c) => [c.provider, c.reading === 'read' ? c.standing : null]),
  );
  if (!state.storeOk) return null;
  const a = adoption(r.config, found);
  if (a.kind === 'wait') return { reason: a.reason, sentence: a.sentence };
  if (a.kind === 'take') {
    force(state, r, a.marker, out);
    note(out, 'adopt', r.name, `${r.name}: found at epoch ${a.marker.epoch} on ${a.marker.target}`);
  } else {
    const claims = cells.map((c) => [c.provider, 'configured'] as const);
    r.doc = { ...r.doc, claims: Object.fromEntries(claims) };
    begin(state, r, a.target, 'auto', out);
    const sentence = `${r.name}: adopted on ${a.target}, as it stood`;
    note(out, 'adopt', r.name, sentence, { target: a.target });
  }
  if (r.config.mode === 'observe') r.doc.endedAt = state.now;
  else startLanes(state, r, out);
  return null;
}

/** The first marker of a record: nothing moves, the marker alone is written. */
export function begin(state: State, r: RecordState, to: string, kind: MarkerKind, out: Step): void {
  const target = r.config.targets.find((t) => t.origin === to)!;
  const move = { to, kind, pinned: false, pinUntilAt: null };
  const m = { ...move, sentence: '', why: 'adopt', spends: false, overspends: false };
  const observed = r.config.mode === 'observe';
  // The very first marker of a record is the same text whoever writes it: of two first writers at a
  // vendor without compare-and-swap the second is then refused as a duplicate.
  const isFirst = r.doc.epochMax === 0;
  const next = nextMarker(state, r, m, isFirst ? FIRST_ID : randomId(state));
  const marker = observed ? null : isFirst ? { ...next, term: 0, kind: 'auto' as const } : next;
  r.prior = { ...r.doc };
  state.tentative.push(r.name);
  r.doc = {
    ...r.doc,
    target: to,
    cname: target.cname,
    marker,
    epochMax: Math.max(r.doc.epochMax, marker?.epoch ?? 0),
    decidedAt: state.now,
    endedAt: null,
    quietSinceAt: state.now,
    adopted: true,
  };
  keep(out, r);
}

// ---------------------------------------------------------------- staying and moving

function situation(state: State, r: RecordState, waits: Situation['unowned']): Situation {
  const { doc } = r;
  let reading = false;
  let lanesInStep = true;
  for (const cell of r.cells.values()) {
    if (cell.reading === 'pending') reading = true;
    if (!isOut(cell) && cell.visibleAt === null) lanesInStep = false;
  }
  const configured = r.config.targets.some((t) => t.origin === doc.target && t.cname === doc.cname);
  const freeze = r.doc.freeze ?? state.freeze;
  const unadopted = { reason: 'not-adopted' as const, sentence: 'nothing is in force yet' };
  return {
    now: state.now,
    leader: state.lease.held,
    storeOk: state.storeOk,
    frozen: freeze?.reason ?? null,
    deposed: doc.deposed !== null,
    unowned: waits ?? (doc.target === null ? unadopted : null),
    retired: !configured,
    blind: nobodySees(state),
    reading,
    current: doc.target,
    pin: doc.pin,
    targets: r.origins.map((origin) => targetFacts(state, r, origin)),
    patienceMs: r.config.patienceMs,
    dawnUntilAt: r.dawnUntilAt,
    failback: r.config.failback,
    quietSinceAt: doc.quietSinceAt,
    lanesInStep,
    switches:
      doc.switches.length === 0
        ? doc.switches
        : doc.switches.filter((at) => state.now - at < HOUR_MS),
    switchesPerHour: r.config.switchesPerHour,
    overspentAt: doc.overspentAt,
  };
}

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

function targetFacts(state: State, r: RecordState, origin: OriginState): TargetFacts {
  const { name } = origin;
  const settlesAt = origin.health === 'unknown' ? origin.settleFromAt + settleMs(origin) : 0;
  return {
    origin: name,
    health: origin.health,
    sinceAt: origin.sinceAt,
    downSinceAt: origin.downSinceAt,
    settlesAt: settlesAt > state.now ? settlesAt : null,
    drained: isDrained(state, name),
    unresolved: r.unresolved.size > 0 && (r.unresolved.get(name) ?? 0) > state.now,
    doomedSinceAt: doomedSince(origin),
    trustedAt: origin.trustedAt,
  };
}

/** Since when this origin's cloud or region has been failing around it; null when it is not. */
function doomedSince({ cloud, region }: OriginState): number | null {
  if (cloud === null) return null;
  const { word, regions } = cloud.diagnosis;
  const struck =
    word === 'cloud-down' || (word === 'region-down' && regions.includes(region ?? ''));
  return struck ? cloud.sinceAt : null;
}

export function isDrained(state: State, origin: string): boolean {
  if (state.drains.size === 0) return false;
  const cloud = state.config.origins[origin]?.cloud ?? '';
  return state.drains.has(origin) || state.drains.has(cloud);
}

function stayPut(
  state: State,
  r: RecordState,
  d: Extract<Decision, { kind: 'stay' }>,
  out: Step,
): void {
  if (r.choosing !== null) dropChoice(state, r);
  const unresolvedUntil = r.unresolved.size === 0 ? 0 : Math.max(...r.unresolved.values());
  const wakeAt = Math.min(
    d.wakeAt ?? Number.POSITIVE_INFINITY,
    r.doc.pin?.untilAt ?? Number.POSITIVE_INFINITY,
    unresolvedUntil > state.now ? unresolvedUntil : Number.POSITIVE_INFINITY,
  );
  if (Number.isFinite(wakeAt)) {
    setTimer(state.timers, `r:${r.name}`, Math.max(wakeAt, state.now + 1));
  }
  setStay(state, r, d.reason, d.sentence, out);
}

function setStay(state: State, r: RecordState, reason: string, sentence: string, out: Step): void {
  r.stay = { reason, sentence };
  r.unsureSinceAt = UNSURE.has(reason) ? (r.unsureSinceAt ?? state.now) : null;
  if (PASSING.has(reason)) {
    if (reason !== 'target-up') return;
    r.noted = null;
  } else if (r.noted !== reason) {
    r.noted = reason;
    note(out, 'stay', r.name, `${r.name} stays: ${sentence}`, { reason });
  }
  const pinned = r.doc.pin !== null && state.origins.get(r.doc.pin.target)?.health === 'down';
  const worry = pinned ? 'pinned-down' : WANTS_PERSON.has(reason) ? reason : null;
  if (worry !== null && worry !== r.told) {
    const says = pinned ? `pinned to ${r.doc.pin?.target}, which is down` : sentence;
    tell(out, 'needs-person', r.name, `${r.name}: ${says}`, { reason: worry });
  }
  r.told = worry;
}

/** Rule 3: gathers what a move needs that was begun after the decision, then moves. */
function choose(
  state: State,
  r: RecordState,
  s: Situation,
  d: Extract<Decision, { kind: 'move' }>,
  out: Step,
): void {
  // Another reason is another decision: it wants passes of its own, and is paid for by its own rule.
  const goesOn = r.choosing?.to === d.to && r.choosing.why === d.why;
  if (!goesOn || r.choosing?.overspends !== d.overspends) startChoosing(state, r, d, out);
  const c = r.choosing!;
  if (c.chain?.kind === 'answered' && hasFreshPasses(state, c.to, c.sinceAt)) {
    dropChoice(state, r);
    return switchTo(state, r, { ...moveOf(c), situation: s }, out);
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
  r.choosing = { to, why, overspends, sentence, sinceAt: state.now, chain: null };
  state.origins.get(to)!.waiting.add(r.name);
  askCandidate(state, r, out);
}

function askCandidate(state: State, r: RecordState, out: Step): void {
  const { to } = r.choosing!;
  const target = r.config.targets.find((t) => t.origin === to)!;
  probeFresh(state, to, out);
  out.effects.push({ kind: 'chain', record: r.name, target: to, name: target.cname });
  const again = `q:${to}`;
  if (!isSet(state.timers, again)) setTimer(state.timers, again, state.now + CHOOSE_AGAIN_MS);
}

/** A candidate has been asked and some records still wait for it: ask again for each of them. */
export function onChooseAgain(state: State, origin: string, out: Step): void {
  for (const name of [...(state.origins.get(origin)?.waiting ?? [])]) {
    review(state, name, out);
    const r = state.records.get(name);
    if (r?.choosing?.to === origin) askCandidate(state, r, out);
  }
}

/** Forgets a candidate: decided otherwise, or overtaken by a pause, which no decision outlives. */
export function dropChoice(state: State, r: RecordState): void {
  if (r.choosing === null) return;
  state.origins.get(r.choosing.to)?.waiting.delete(r.name);
  r.choosing = null;
}

function moveOf(c: Choosing): Move {
  return {
    to: c.to,
    kind: 'auto',
    sentence: c.sentence,
    why: c.why,
    spends: c.why !== 'drained',
    overspends: c.overspends,
    pinned: false,
    pinUntilAt: null,
  };
}

// ---------------------------------------------------------------- endings

/** Rule 16: over when every lane in reach is visible, or after 30 s; the rest is lagging. */
function endSwitch(state: State, r: RecordState, out: Step): void {
  if (!isSwitching(r) || r.config.mode === 'observe') return;
  const cells = [...r.cells.values()];
  const behind = cells.filter((c) => c.visibleAt === null);
  const late = state.now >= (r.doc.decidedAt ?? 0) + SWITCH_END_MS;
  if (!late && behind.some((c) => !isOut(c))) return;
  r.doc = { ...r.doc, endedAt: state.now };
  keep(out, r);
  clearTimer(state.timers, `e:${r.name}`);
  const ms = state.now - (r.doc.decidedAt ?? state.now);
  const names = behind.map((c) => c.provider);
  const tail = names.length === 0 ? 'visible everywhere' : `behind: ${names.join(', ')}`;
  const sentence = `${r.name}: on ${r.doc.target} after ${ms} ms, ${tail}`;
  note(out, 'settled', r.name, sentence, { ms, behind: names });
  if (names.length > 0) {
    const causes = behind.map((c) => `${c.provider}: ${c.problem?.sentence ?? 'not visible yet'}`);
    tell(out, 'lagging', r.name, `${sentence} (${causes.join('; ')})`, { behind: names });
  }
}

function endPin(state: State, r: RecordState, out: Step): void {
  const until = r.doc.pin?.untilAt ?? null;
  if (until === null || until > state.now) return;
  note(out, 'unpin', r.name, `${r.name}: the pin to ${r.doc.pin!.target} expired; nothing moves`);
  unpin(state, r, out);
}

/** Rule 9: the end of a pin moves nothing by itself. */
export function unpin(state: State, r: RecordState, out: Step): void {
  r.doc = { ...r.doc, pin: null, quietSinceAt: state.now };
  keep(out, r);
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
    overspentAt: null,
    quietSinceAt: 0,
    deposed: null,
    freeze: null,
    claims: {},
    adopted: false,
  };
}

/** Reads every provider of a record anew: at a start, or after it was told to look again. */
export function readAll(state: State, r: RecordState, out: Step): void {
  for (const cell of r.cells.values()) {
    cell.reading = 'pending';
    converge(state, r, cell, true);
    watchCell(state, r, cell);
  }
  setTimer(state.timers, `d:${r.name}`, state.now + DNS_READ_AFTER_MS);
  pumpAll(state, r, out);
}
