// The manual way out without a daemon, as a plan (design, rule 23): what is asked where, which epoch
// is next, what is written at which provider, how often, and when it is over. Events come in with
// their time, effects go out; it has no clock and performs nothing. It never goes below an epoch it
// has seen, never writes what is not the record's own unless told to adopt it, and lets no provider
// wait for another.

import { sentenceOf } from './cell.ts';
import { type Lines, printOf } from './lines.ts';
import { markerNumber, nextEpoch } from './marker.ts';
import type {
  Answer,
  Change,
  CheckConfig,
  CheckId,
  CoreConfig,
  Fault,
  Json,
  Marker,
  Name,
  Outcome,
  RecordConfig,
  Reply,
  Seen,
  ServerAnswer,
  TargetConfig,
} from './model.ts';
import { meant } from './name.ts';
import { bare } from './own.ts';
import {
  adoption,
  companySays,
  type Knowledge,
  type Plan,
  plan,
  type Standing,
  standing,
} from './plan.ts';
import { spentSays } from './situation.ts';

const READ_MS = 6_000;
const WRITE_MS = 8_000;
const ASK_MS = 6_000;
/** A record that is known to be ours waits no longer than this for a provider that is silent. */
const GRACE_MS = 3_000;
/** From the decision to the last word, whatever is still under way. */
const WHOLE_MS = 60_000;
/** From a provider's write until all its servers must give the answer. */
const VISIBLE_MS = 30_000;
const ASK_FIRST_MS = 50;
const ASK_CAP_MS = 1_000;
/** Times that one provider is read and written; a lost reply to the last is read back once more. */
const ATTEMPTS = 3;
const RETRY_MS = 500;
const RETRY_CAP_MS = 5_000;
/** Times that a check is asked which says nothing about the origin. */
const PROBES = 3;
const PROBE_AGAIN_MS = 250;
/** What a probe may take beyond the check's own timeout. */
const PROBE_MARGIN_MS = 1_000;
/** Epochs that are passed over where a vendor could not be read. */
const UNREAD_LEAP = 1_000;
const NAMED_MAX = 4;
const ADOPT_HINT = ' (or give --adopt)';

export interface Order {
  /** As it was typed. */
  readonly record: string;
  readonly target: string;
  readonly reason: string;
  readonly by: string;
  /** How long the pin holds; null: without end. */
  readonly forMs: number | null;
  /** Even to a target that does not pass its checks. */
  readonly force: boolean;
  /** Even where the record bears no marker of ours. */
  readonly adopt: boolean;
  readonly dryRun: boolean;
}

interface Beginning {
  readonly config: CoreConfig;
  readonly order: Order;
  /** By chance, 1 to 32 of `a` to `z` and digits: the switch's id. */
  readonly id: string;
  readonly now: number;
}

/** Each but `say` and `end` is answered by one event, soon after its `ms` at the latest. */
export type Effect =
  | { readonly kind: 'probe'; readonly check: CheckId; readonly path: string; readonly ms: number }
  | { readonly kind: 'read'; readonly provider: string; readonly record: Name; readonly ms: number }
  | {
      readonly kind: 'ask';
      readonly provider: string;
      readonly record: Name;
      readonly marker: boolean;
      readonly ms: number;
    }
  | {
      readonly kind: 'write';
      readonly provider: string;
      readonly change: Change;
      readonly ms: number;
    }
  | { readonly kind: 'say'; readonly line: string }
  /** The last one: whatever is still under way is called off. */
  | { readonly kind: 'end'; readonly reply: Reply };

export type Event =
  | { readonly kind: 'tick' }
  | {
      readonly kind: 'probed';
      readonly check: CheckId;
      readonly outcome: Outcome;
      readonly detail: string;
    }
  | { readonly kind: 'read'; readonly provider: string; readonly answer: Answer<Seen> }
  | { readonly kind: 'written'; readonly provider: string; readonly answer: Answer<null> }
  | {
      readonly kind: 'asked';
      readonly provider: string;
      /** As the effect had it. */
      readonly marker: boolean;
      readonly answers: readonly ServerAnswer[];
    };

/** One check of the target's origin. */
interface Look {
  readonly check: CheckConfig;
  asks: number;
  /** Null while it is asked. */
  outcome: Outcome | null;
  detail: string;
  /** When to ask again. */
  dueAt: number | null;
}

type Stage =
  | 'reading'
  /** Read or found unreadable; waits for the decision. */
  | 'settled'
  | 'resting'
  | 'writing'
  /** Written; its name servers are being asked. */
  | 'asking'
  | 'visible'
  | 'behind';

/** The record at one provider. */
interface Place {
  readonly provider: string;
  readonly ttl: number;
  readonly lines: Lines;
  stage: Stage;
  attempt: number;
  /** By the API; null when the last reading failed or has not come. */
  seen: Seen | null;
  standing: Standing | null;
  /** What the API's last fault says. */
  fault: Fault | null;
  dnsIsOver: boolean;
  /** Highest epoch of ours that its DNS gives; 0: none. */
  dnsEpoch: number;
  change: Change | null;
  /** What a write was to replace whose reply was lost, until it has been read back. */
  lost: Seen | null;
  isWritten: boolean;
  /** When to read again, or to ask its servers again. */
  dueAt: number | null;
  visibleBy: number;
  askAfterMs: number;
  /** The servers that do not give the answer, in words. */
  missing: string;
  /** Why it did not follow. */
  problem: string | null;
}

interface State {
  readonly order: Order;
  readonly known: Knowledge;
  readonly id: string;
  /** Null where the order itself is wrong. */
  readonly aim: { readonly record: RecordConfig; readonly target: TargetConfig } | null;
  phase: 'probing' | 'reading' | 'writing' | 'over';
  now: number;
  wall: number;
  readonly looks: Look[];
  readonly places: Map<string, Place>;
  graceAt: number;
  /** What is being published; null before the decision. */
  marker: Marker | null;
  decidedAt: number;
}

type Out = Effect[];

export function start(b: Beginning): { state: State; effects: readonly Effect[] } {
  const config = bare(b.config);
  const out: Out = [];
  const named = meant('record', b.order.record, Object.keys(config.records));
  const record = named.ok ? config.records[named.name] : undefined;
  const origins = record?.targets.map((t) => t.origin) ?? [];
  const aimed = meant('target', b.order.target, origins);
  const order = aimed.ok ? { ...b.order, target: aimed.name } : b.order;
  const target = record?.targets.find((t) => t.origin === order.target);
  const state: State = {
    order,
    known: {
      cluster: config.cluster,
      signed: config.signed,
      // The store is out of reach: nothing is remembered.
      remembered: [],
      epochMax: 0,
    },
    id: b.id,
    aim: record === undefined || target === undefined ? null : { record, target },
    phase: 'probing',
    now: b.now,
    wall: 0,
    looks: [],
    places: new Map(),
    graceAt: 0,
    marker: null,
    decidedAt: 0,
  };
  if (!named.ok) {
    end(state, out, { exit: 2, message: named.sentence });
  } else if (!aimed.ok) {
    end(state, out, { exit: 2, message: aimed.sentence });
  } else if (record?.mode === 'observe') {
    const message = `${record.name} is only observed: set \`mode: steer\` to let it be written`;
    end(state, out, { exit: 1, message });
  } else {
    const ids = config.origins[order.target]?.checks ?? [];
    const required = ids.map((id) => config.checks[id]!).filter((c) => !c.advisory);
    const asked = required.filter((c) => c.paths.length > 0);
    for (const check of required) {
      if (!asked.includes(check)) say(out, `${check.id}: no path from here asks it`);
    }
    if (asked.length === 0 && required.length > 0 && !order.force) {
      const message = `${order.target} is looked at by no path of this replica: that says nothing about it`;
      end(state, out, { exit: 1, message: `${message}; give --force to go there unseen` });
      return { state, effects: out };
    }
    for (const check of asked) {
      const look: Look = { check, asks: 0, outcome: null, detail: '', dueAt: null };
      state.looks.push(look);
      probe(look, out);
    }
    if (asked.length === 0) beginReading(state, out);
  }
  return { state, effects: out };
}

/** Folds one event in, with every deadline due by then, and says what to do. */
export function step(state: State, event: Event, now: number, wall: number): readonly Effect[] {
  const out: Out = [];
  state.now = Math.max(state.now, now);
  state.wall = wall;
  if (state.phase !== 'over') fold(state, event, out);
  if (state.phase !== 'over') fire(state, out);
  return out;
}

/** When it wants its next step; null: an event must come first. */
export function nextDeadline(state: State): number | null {
  const due: (number | null)[] = state.looks.map((look) => look.dueAt);
  if (state.phase === 'reading' && state.now < state.graceAt) due.push(state.graceAt);
  if (state.phase === 'writing') {
    due.push(state.decidedAt + WHOLE_MS);
    for (const place of state.places.values()) due.push(place.dueAt);
  }
  const set = due.filter((at) => at !== null);
  return state.phase === 'over' || set.length === 0 ? null : Math.min(...set);
}

function fold(state: State, event: Event, out: Out): void {
  switch (event.kind) {
    case 'tick':
      return;
    case 'probed':
      return onProbed(state, event, out);
    case 'read':
      return onRead(state, state.places.get(event.provider)!, event.answer, out);
    case 'written':
      return onWritten(state, state.places.get(event.provider)!, event.answer, out);
    case 'asked': {
      const place = state.places.get(event.provider)!;
      if (event.marker) onMarkers(state, place, event.answers);
      else onAsked(state, place, event.answers, out);
    }
  }
}

function fire(state: State, out: Out): void {
  const { now } = state;
  for (const look of state.looks) {
    if (look.dueAt !== null && look.dueAt <= now) probe(look, out);
  }
  if (state.phase === 'reading') decide(state, out);
  if (state.phase !== 'writing') return;
  if (now >= state.decidedAt + WHOLE_MS) return giveUp(state, out);
  for (const place of state.places.values()) {
    if (place.dueAt === null || place.dueAt > now) continue;
    place.dueAt = null;
    if (place.stage === 'resting') read(state, place, out);
    else if (now >= place.visibleBy) unseen(state, place, out);
    else ask(state, place, out);
  }
}

// ---------------------------------------------------------------- is the target well?

/** Blind is not down: it is asked again, by the next path where there is one. */
function probe(look: Look, out: Out): void {
  const { id, paths, timeoutMs } = look.check;
  look.dueAt = null;
  const path = paths[look.asks % paths.length]!;
  look.asks++;
  out.push({ kind: 'probe', check: id, path, ms: timeoutMs + PROBE_MARGIN_MS });
}

function onProbed(state: State, e: Extract<Event, { kind: 'probed' }>, out: Out): void {
  const look = state.looks.find((l) => l.check.id === e.check)!;
  say(out, `${e.check}: ${e.outcome} (${e.detail})`);
  look.detail = e.detail;
  // With --force nothing hangs on the answer, so nobody waits for another.
  const isBlind = e.outcome === 'blind' || e.outcome === 'limited';
  // What others push is heard by the daemon: to ask again here changes nothing.
  const canChange = look.check.aside !== true;
  if (isBlind && canChange && look.asks < PROBES && !state.order.force) {
    look.dueAt = state.now + PROBE_AGAIN_MS;
    return;
  }
  look.outcome = e.outcome;
  if (state.looks.some((l) => l.outcome === null)) return;
  const refusal = state.order.force ? null : illness(state);
  if (refusal === null) beginReading(state, out);
  else end(state, out, { exit: 1, message: refusal });
}

/** Why the target may not be gone to; null when every required check of its own has passed. */
function illness(state: State): string | null {
  const { target } = state.order;
  const said = (l: Look) => `${l.check.id}: ${l.detail}`;
  const failed = state.looks.find((l) => l.outcome === 'fail');
  if (failed !== undefined) {
    return `${target} does not pass its check (${said(failed)}): give --force to go there`;
  }
  // Somebody else's silence is nothing against what was seen to serve.
  const seen = state.looks.some((l) => l.outcome === 'pass');
  const blind = state.looks.find(
    (l) => (l.outcome === 'blind' || l.outcome === 'limited') && !(seen && l.check.aside === true),
  );
  if (blind === undefined) return null;
  return (
    `${target} could not be looked at from here, asked ${blind.asks} times (${said(blind)}): ` +
    'that says nothing about it; give --force to go there unseen'
  );
}

// ---------------------------------------------------------------- what stands where?

function beginReading(state: State, out: Out): void {
  const { record } = state.aim!;
  state.phase = 'reading';
  state.graceAt = state.now + GRACE_MS;
  for (const { provider, ttl, lines } of record.publish) {
    const place: Place = {
      provider,
      ttl,
      lines,
      stage: 'reading',
      attempt: 1,
      seen: null,
      standing: null,
      fault: null,
      dnsIsOver: false,
      dnsEpoch: 0,
      change: null,
      lost: null,
      isWritten: false,
      dueAt: null,
      visibleBy: 0,
      askAfterMs: ASK_FIRST_MS,
      missing: '',
      problem: null,
    };
    state.places.set(provider, place);
    read(state, place, out);
    out.push({ kind: 'ask', provider, record: record.name, marker: true, ms: ASK_MS });
  }
}

function read(state: State, place: Place, out: Out): void {
  const { provider } = place;
  place.stage = 'reading';
  out.push({ kind: 'read', provider, record: state.aim!.record.name, ms: READ_MS });
}

function onRead(state: State, place: Place, answer: Answer<Seen>, out: Out): void {
  const isFirst = state.phase === 'reading';
  if (isFirst) place.stage = 'settled';
  if (answer.kind === 'answered') {
    place.seen = answer.value;
    const known = { ...state.known, lines: place.lines };
    place.standing = standing(known, state.aim!.record, answer.value);
    if (!isFirst) converge(state, place, out);
  } else {
    place.seen = null;
    place.standing = null;
    place.fault = answer.kind === 'fault' ? answer.fault : null;
    say(out, `${place.provider}: ${unread(place)}`);
    if (!isFirst) tryAgain(state, place, unread(place), out);
  }
}

function unread(place: Place): string {
  return `cannot be read: ${place.fault === null ? 'no answer' : sentenceOf(place.fault)}`;
}

function onMarkers(state: State, place: Place, answers: readonly ServerAnswer[]): void {
  // Rule 26: of what DNS says only a marker that nobody can forge counts.
  const epochs = answers.map(({ markers, proofs = [] }) => {
    const seen = { cnames: [], markers: markers ?? [], proofs, refusal: null, ref: null };
    const s = standing(state.known, state.aim!.record, seen);
    return s.kind === 'marked' && s.by.whose === 'genuine' ? s.by.marker.epoch : 0;
  });
  place.dnsIsOver = true;
  place.dnsEpoch = Math.max(0, ...epochs);
}

/** What DNS tells of a provider: nothing where its API has spoken. */
function epochByDns(place: Place): number {
  return place.seen === null ? place.dnsEpoch : 0;
}

/** Once everyone has spoken; a record that is known to be ours waits for nobody long. */
function decide(state: State, out: Out): void {
  const places = [...state.places.values()];
  const isOpen = (p: Place) => p.stage === 'reading' || (p.seen === null && !p.dnsIsOver);
  const isKnown = places.some((p) => p.standing?.kind === 'marked' || epochByDns(p) > 0);
  if (places.some(isOpen)) {
    if (state.now < state.graceAt || !isKnown || state.order.dryRun) return;
  }
  const refusal = ownership(state, places);
  if (refusal !== null) return end(state, out, { exit: 1, message: refusal });
  const marker = markerFor(state, places);
  if (marker === null) {
    return end(state, out, { exit: 1, message: spentSays(state.aim!.record.name) });
  }
  state.marker = marker;
  if (state.order.dryRun) return end(state, out, dryRun(state, marker));
  state.phase = 'writing';
  state.decidedAt = state.now;
  say(out, `epoch ${marker.epoch} decided by ${state.order.by}: ${state.order.reason}`);
  for (const place of places) {
    if (place.stage === 'reading') continue;
    if (place.seen === null) tryAgain(state, place, unread(place), out);
    else converge(state, place, out);
  }
}

/** Why this record is not ours to move; null when it is (rule 4). */
function ownership(state: State, places: readonly Place[]): string | null {
  const { record } = state.aim!;
  if (places.some((p) => p.standing?.kind === 'marked' || epochByDns(p) > 0)) return null;
  // A person gives this order: whoever cannot be read has no say in whose the record is.
  const read = places.filter((p) => p.seen !== null);
  const isSeen = read.length > 0;
  if (!isSeen) return `${record.name}: no provider can be read`;
  const a = adoption(record, Object.fromEntries(read.map((p) => [p.provider, p.standing])));
  const company = read.map(({ provider, seen }) => ({ provider, company: seen?.company ?? [] }));
  const others = companySays(record.name, company);
  if (others !== null && !state.order.adopt) return `${record.name}: ${others}${ADOPT_HINT}`;
  if (a.kind !== 'wait') return null;
  // Of a record that nobody has seen no epoch is known: that is no question of whose it is.
  if (state.order.adopt) return null;
  const canAdopt = a.reason === 'missing' || a.reason === 'disagreement';
  return `${record.name}: ${a.sentence}${canAdopt ? ADOPT_HINT : ''}`;
}

/** null where a marker bears the highest epoch there is already. */
function markerFor(state: State, places: readonly Place[]): Marker | null {
  const { order } = state;
  const seen = places.map(epochByApi);
  // What could not be read may bear a higher epoch than any that is known here (rule 26).
  const leap = places.some((p) => p.seen === null) ? UNREAD_LEAP : 0;
  const highest = Math.max(...seen, ...places.map(epochByDns));
  const epoch = nextEpoch(highest + leap);
  if (epoch === null) return null;
  return {
    cluster: state.known.cluster,
    epoch,
    id: state.id,
    term: 0,
    kind: 'operator',
    target: order.target,
    pinned: true,
    pinMs: order.forMs === null ? null : markerNumber(order.forMs),
  };
}

/** Of a marker that proves nothing the epoch counts as well: this switch has to overrule it. */
function epochByApi({ standing: s }: Place): number {
  return s?.kind === 'marked' ? s.by.marker.epoch : 0;
}

// ---------------------------------------------------------------- one provider's way

function planAt(state: State, place: Place): Plan {
  const { record, target } = state.aim!;
  return plan(record, place.seen!, place.standing!, {
    cname: target.cname,
    ttl: place.ttl,
    lines: place.lines,
    marker: state.marker!,
    signed: state.known.signed,
    claim: state.order.adopt ? 'any' : 'configured',
    keepTtl: false,
    placed: null,
    since: 0,
  });
}

/** Plans anew from what was just read. */
function converge(state: State, place: Place, out: Out): void {
  const p = planAt(state, place);
  const { lost } = place;
  place.lost = null;
  if (p.kind === 'in-step' || p.kind === 'ttl') return written(state, place, out);
  // Only our own marker is told from a value: that much of a write has come.
  const isHalfWritten = p.kind === 'edit' && p.edit.marked;
  const isHalfOurs = isHalfWritten && lost !== null && isSameValue(lost, place.seen!);
  if (isHalfWritten) place.isWritten = true;
  const change = isHalfOurs ? p.edit.change : 'change' in p ? p.change : null;
  if (change === null) {
    const refused = `refused: ${refusalOf(p)}`;
    say(out, `${place.provider}: ${refused}`);
    return fallBehind(state, place, refused, out);
  }
  if (place.attempt > ATTEMPTS) {
    return fallBehind(state, place, 'its last write was lost on the way', out);
  }
  place.stage = 'writing';
  place.change = change;
  out.push({ kind: 'write', provider: place.provider, change, ms: WRITE_MS });
}

/** Our marker has come and our value has not: the half of a write whose reply was lost. */
function isSameValue(before: Seen, after: Seen): boolean {
  return printOf(before.cnames) === printOf(after.cnames);
}

function refusalOf(p: Plan): string {
  switch (p.kind) {
    case 'refuse':
      return p.word === 'unmarked' ? p.sentence + ADOPT_HINT : p.sentence;
    case 'ahead': {
      const { epoch, kind, target } = p.by.marker;
      return `epoch ${epoch} (${kind}, ${target}) is ahead of this switch: look, and give it again`;
    }
    case 'rival':
      return p.sentence;
    case 'edit':
      return p.edit.sentence;
    case 'in-step':
    case 'ttl':
    case 'write':
    case 'remark':
      return '';
  }
}

function onWritten(state: State, place: Place, answer: Answer<null>, out: Out): void {
  if (answer.kind === 'answered') return written(state, place, out);
  const fault: Fault | null = answer.kind === 'fault' ? answer.fault : null;
  place.fault = fault;
  const problem = fault === null ? 'it was not sent' : `${fault.kind}: ${sentenceOf(fault)}`;
  say(out, `${place.provider}: ${problem}`);
  if (fault?.kind === 'rejected') return fallBehind(state, place, problem, out);
  if (fault?.kind === 'uncertain') place.lost = place.change!.from;
  tryAgain(state, place, problem, out);
}

/** Reads once more before anything else, after a pause where the vendor wants one. */
function tryAgain(state: State, place: Place, problem: string, out: Out): void {
  const isLost = place.lost !== null;
  if (place.attempt >= (isLost ? ATTEMPTS + 1 : ATTEMPTS)) {
    const open = 'the reply to its write was lost, and it could not be read back';
    return fallBehind(state, place, isLost ? `${open} (${problem})` : problem, out);
  }
  const waitMs = pauseMs(place);
  place.attempt++;
  if (waitMs === 0) return read(state, place, out);
  place.stage = 'resting';
  place.dueAt = state.now + waitMs;
}

function pauseMs({ fault, attempt }: Place): number {
  if (fault === null || fault.kind === 'conflict' || fault.kind === 'uncertain') return 0;
  return Math.min(RETRY_CAP_MS, fault.retryAfterMs ?? RETRY_MS * attempt);
}

function written(state: State, place: Place, out: Out): void {
  say(out, `${place.provider}: written after ${since(state)}`);
  place.isWritten = true;
  place.stage = 'asking';
  place.visibleBy = state.now + VISIBLE_MS;
  ask(state, place, out);
}

function ask(state: State, place: Place, out: Out): void {
  const { name } = state.aim!.record;
  out.push({ kind: 'ask', provider: place.provider, record: name, marker: false, ms: ASK_MS });
}

function onAsked(state: State, place: Place, answers: readonly ServerAnswer[], out: Out): void {
  place.missing = missingAt(answers, state.aim!.target.cname);
  if (place.missing === '') {
    say(out, `${place.provider}: visible after ${since(state)} (${answers.length} servers)`);
    place.stage = 'visible';
    return endIfDone(state, out);
  }
  if (state.now >= place.visibleBy) return unseen(state, place, out);
  place.dueAt = Math.min(place.visibleBy, state.now + Math.round(place.askAfterMs));
  place.askAfterMs = Math.min(ASK_CAP_MS, place.askAfterMs * 1.6);
}

/** The servers that do not give a value, each with what it gives; empty when all give it. */
function missingAt(answers: readonly ServerAnswer[], cname: Name): string {
  const others = answers.flatMap(({ server, answer }) => {
    if (answer.kind !== 'cname') return [`${server}: ${answer.detail}`];
    return answer.value === cname ? [] : [`${server} gives ${answer.value}`];
  });
  const more = others.length > NAMED_MAX ? [`${others.length - NAMED_MAX} more`] : [];
  return [...others.slice(0, NAMED_MAX), ...more].join(', ');
}

function unseen(state: State, place: Place, out: Out): void {
  const which = place.missing === '' ? 'no server was heard' : place.missing;
  const problem = `written, and not every server gives it after ${since(state)}: ${which}`;
  say(out, `${place.provider}: ${problem}`);
  fallBehind(state, place, problem, out);
}

// ---------------------------------------------------------------- how it ends

function fallBehind(state: State, place: Place, problem: string, out: Out): void {
  place.stage = 'behind';
  place.problem = problem;
  place.dueAt = null;
  endIfDone(state, out);
}

/** The whole has lasted too long: what is still under way is behind, and is told as it stands. */
function giveUp(state: State, out: Out): void {
  for (const place of state.places.values()) {
    if (place.stage === 'asking') unseen(state, place, out);
    else if (place.stage === 'writing') {
      place.lost = place.change!.from;
      fallBehind(state, place, `its last write was not answered after ${since(state)}`, out);
    } else if (place.stage === 'reading' || place.stage === 'resting') {
      fallBehind(state, place, `no end after ${since(state)}: ${unread(place)}`, out);
    }
  }
}

function endIfDone(state: State, out: Out): void {
  const places = [...state.places.values()];
  if (places.some((p) => p.stage !== 'visible' && p.stage !== 'behind')) return;
  const { record, target } = state.aim!;
  const marker = state.marker!;
  const behind = places.filter((p) => p.stage === 'behind');
  const names = behind.map((p) => p.provider);
  const detail = {
    epoch: marker.epoch,
    id: marker.id,
    reason: state.order.reason,
    by: state.order.by,
    behind: names,
    problems: Object.fromEntries(behind.map((p) => [p.provider, p.problem])),
  };
  if (behind.length === 0) {
    const message = `${record.name} is visible on ${target.origin} everywhere`;
    return end(state, out, { exit: 0, message, detail });
  }
  const follow = places.filter((p) => p.stage === 'visible').map((p) => p.provider);
  // Nothing has changed anywhere only where no write was taken, and none may have been.
  const isUntouched = places.every((p) => !p.isWritten && p.lost === null);
  const rest = isUntouched
    ? 'no provider followed'
    : follow.length === 0
      ? `no provider gives ${target.origin} at all its servers`
      : `${names.join(', ')} did not follow; ${target.origin} is given by ${follow.join(', ')}`;
  const message = [
    `${record.name}: ${rest}. Run the same command again, or let the daemon bring the rest along`,
    ...behind.map((p) => `${p.provider}: ${p.problem}`),
  ].join('\n');
  end(state, out, { exit: isUntouched ? 1 : 3, message, detail });
}

function dryRun(state: State, marker: Marker): Reply {
  const { order } = state;
  const { record, target } = state.aim!;
  const rows = [...state.places.values()].map((place) => ({
    provider: place.provider,
    from: fromOf(place),
    to: target.cname,
    ttl: place.ttl,
    problem: place.seen === null ? unread(place) : problemAhead(state, place),
  }));
  const message = `would switch ${record.name} to ${order.target} with epoch ${marker.epoch}`;
  const detail: Json = { epoch: marker.epoch, reason: order.reason, by: order.by, plan: rows };
  return { exit: 0, message, detail };
}

/** What stands there: one value, or what stands on which line. */
function fromOf({ seen, standing: s }: Place): string | null {
  const split = s !== null && 'split' in s ? s.split : undefined;
  return split ?? seen?.cnames[0]?.value ?? null;
}

/** What would keep a provider from being written; null when nothing would. */
function problemAhead(state: State, place: Place): string | null {
  const p = planAt(state, place);
  const refusal = refusalOf(p);
  return refusal === '' ? null : `refused: ${refusal}`;
}

function end(state: State, out: Out, reply: Reply): void {
  state.phase = 'over';
  out.push({ kind: 'end', reply });
}

function say(out: Out, line: string): void {
  out.push({ kind: 'say', line });
}

function since(state: State): string {
  return `${Math.round(state.now - state.decidedAt)} ms`;
}
