// A live drill: a record moves to another target that is up, is held there, and comes back; all of it
// written, seen and timed as in an outage. It begins only where everything is well, is broken off at
// the first sign that something is not, spends no budget and pins nothing. It never moves anything
// itself: it says how far the drill is, and `decide` and `switchTo` move the record. Its state is in
// the record's document, so that whoever acts next finds it and puts the record back.

import { isInStep, isWaiting } from './cell.ts';
import { HOUR_MS, ofLastHour } from './decide.ts';
import { hookHolds } from './hook.ts';
import { isInMaintenance } from './maintain.ts';
import type { Command, Json, Name, Reply } from './model.ts';
import { drillNews } from './notices.ts';
import { retarget } from './prepare.ts';
import { isDrained, isSpent, spentSays } from './situation.ts';
import { flawOf } from './standby.ts';
import {
  amend,
  type Cell,
  type Drill,
  type DrillPart,
  type DrillRun,
  isSwitching,
  note,
  put,
  type RecordState,
  randomId,
  type State,
  type Step,
} from './state.ts';
import { clearDeadline, setDeadline } from './timers.ts';
import { SHORT_TTL, shortAt } from './ttl.ts';
import { endTurns, lateTurn, orderOf } from './turns.ts';

/** Where the last results of a record's live drills stand in the store. */
export const RUNS_KEY = 'runs/';
/** Results that are kept of each record. */
const RUNS_KEPT = 10;
/** A drill's target has given fresh passes by then, or nothing is moved. */
const CONFIRM_MS = 15_000;
/** The target that a drill came from is waited for no longer: the record stays where it is. */
const END_MOST_MS = 1_800_000;
/** A drill is looked at so often: what is wrong with a lane may be another record's to find. */
const LOOK_MS = 1_000;

type Order = Extract<Command, { kind: 'drill' }>;

// ---------------------------------------------------------------- how far it is

/** Looks how far a record's drill is; safe to call at any time. */
export function tendDrill(state: State, r: RecordState, out: Step): void {
  const d = r.doc.drill;
  if (d === null || !state.lease.held || !state.storeOk) return;
  setDeadline(state.timers, r.deadlines.drill, state.now + LOOK_MS);
  if (d.stage === 'confirming') return confirm(state, r, d, out);
  if (d.stage === 'returning') return comeBack(state, r, d, out);
  const lost = lostHome(state, r, d);
  if (lost !== null) return stayThere(state, r, d, lost, out);
  if (d.stage === 'ending') {
    if (state.now < d.stageAt + END_MOST_MS) return;
    return stayThere(state, r, d, `${d.from} was not seen to be up for 30 min`, out);
  }
  const trouble = troubleOf(state, r, d);
  if (trouble !== null) return toStage(state, r, { ...d, stage: 'ending', trouble }, out);
  if (d.stage === 'going') {
    if (r.doc.turns !== null || isSwitching(r)) return;
    return toStage(state, r, { ...d, stage: 'away', parts: partsOf(r) }, out);
  }
  const endsAt = d.stageAt + d.forMs;
  if (state.now >= endsAt) return toStage(state, r, { ...d, stage: 'ending' }, out);
  setDeadline(state.timers, r.deadlines.drill, Math.min(endsAt, state.now + LOOK_MS));
}

function toStage(state: State, r: RecordState, drill: Drill, out: Step): void {
  const isPartial = drill.parts.length === 0;
  const parts = isPartial && drill.stage === 'ending' ? partsOf(r) : drill.parts;
  amend(out, r, { drill: { ...drill, parts, stageAt: state.now } });
}

/** Nothing has moved yet: whatever is wrong now, nothing does. */
function confirm(state: State, r: RecordState, d: Drill, out: Step): void {
  const [first] = problemsOf(state, r, d.to);
  const isMine = state.drilling === d.id;
  const hook = r.doc.hook?.why === 'drill' ? r.doc.hook : null;
  const runs = hook?.answer === 'none';
  const held = hook === null || runs ? null : (hookHolds(r)?.sentence ?? null);
  const isLate = !runs && state.now >= (hook?.answeredAt ?? d.stageAt) + CONFIRM_MS;
  const late = isLate ? `${d.to} gave no fresh passes in 15 s` : null;
  const why = isMine ? (first ?? held ?? late) : lostSight;
  if (why !== null) finish(state, r, 'refused', `${why}; nothing was moved`, out);
}

function comeBack(state: State, r: RecordState, d: Drill, out: Step): void {
  if (isSwitching(r)) return;
  const behind = [...r.cells.values()].filter((cell) => cell.visibleAt === null);
  const names = behind.map(({ provider }) => provider).join(', ');
  const tail = names === '' ? `back on ${d.from}` : `back on ${d.from}, but not at ${names} yet`;
  if (d.trouble !== null) return finish(state, r, 'broken-off', `${d.trouble}; ${tail}`, out);
  finish(state, r, names === '' ? 'passed' : 'failed', tail, out);
}

/** The target it came from cannot be gone back to: the drill ends as a switch like any other. */
function stayThere(state: State, r: RecordState, d: Drill, why: string, out: Step): void {
  // It has become what saves the record, and is paid for like that.
  const isSaved = state.origins.get(d.from)?.health === 'down';
  const recent = ofLastHour(r.doc.switches, state.now);
  amend(out, r, { switches: isSaved ? [...recent, state.now] : recent, quietSinceAt: state.now });
  finish(state, r, 'broken-off', `${why}; it stays on ${d.to}, a switch like any other now`, out);
}

const lostSight = 'whoever ran the drill stood still, was restarted or has handed over';

/** Why nobody can go back to where it came from; null: it can, or may be able to in a moment. */
function lostHome(state: State, r: RecordState, { from }: Drill): string | null {
  if (r.config.mode === 'observe') return `${r.name} is only observed now`;
  if (!r.config.targets.some((t) => t.origin === from)) return `${from} is no longer configured`;
  if (r.doc.deposed !== null) return 'somebody else wrote a higher epoch';
  if (isDrained(state, from)) return `${from} is drained`;
  return state.origins.get(from)?.health === 'down' ? `${from} is down` : null;
}

/** The first sign that something is not well; null: all is. */
function troubleOf(state: State, r: RecordState, d: Drill): string | null {
  if (state.drilling !== d.id) return lostSight;
  if (r.differs !== null) return r.differs.sentence;
  const freeze = r.doc.freeze ?? state.freeze;
  if (freeze !== null) return `frozen: ${freeze.reason}`;
  if (isInMaintenance(state, r.name)) return `${r.name} is in maintenance`;
  if (isDrained(state, d.to)) return `${d.to} is drained`;
  const to = state.origins.get(d.to);
  if (to?.health !== 'up') return `${d.to} is ${to?.health ?? 'no longer configured'}`;
  if (to.cloud !== null && to.cloud.diagnosis.word !== 'healthy')
    return to.cloud.diagnosis.sentence;
  const home = r.config.targets.find((t) => t.origin === d.from)?.cname ?? null;
  for (const cell of r.cells.values()) {
    const wrong = wrongAt(state, r, cell, home);
    if (wrong !== null) return `${cell.provider}: ${wrong}`;
  }
  const late = lateTurn(state, r);
  if (late !== null) return `${late} has not followed within 30 s`;
  const isOver = r.doc.turns === null && !isSwitching(r);
  const behind = [...r.cells.values()].filter((cell) => isOver && cell.visibleAt === null);
  if (behind.length === 0) return null;
  return `${behind.map(({ provider }) => provider).join(', ')} has not followed within 30 s`;
}

/** What is wrong at one provider of a record in a drill; null: nothing. */
function wrongAt(state: State, r: RecordState, cell: Cell, home: Name | null): string | null {
  const lane = state.lanes.get(cell.provider)!;
  if (lane.fault !== null) return lane.fault.sentence;
  if (lane.silence?.told) return 'none of its name servers answers';
  const zone = cell.zone === null ? undefined : lane.zones.get(cell.zone);
  if (zone !== undefined) return zone.fault.detail;
  // What was read a moment ago may be old already: it is read again at once.
  if (cell.problem !== null && cell.problem.word !== 'conflict') return cell.problem.sentence;
  const { seen } = cell;
  // Rule 26: what DNS says moves nobody; it makes the API be asked.
  if (seen?.by !== 'api') return null;
  const isOld = cell.visibleAt === null && seen.cname === home;
  const isNew = !isWaiting(r, cell) && seen.cname === r.doc.cname;
  if (isOld || isNew) return null;
  return `it gives ${seen.cname ?? 'nothing'}, as nobody here wants it to`;
}

/** From each provider's turn to its being written, and visible. */
function partsOf(r: RecordState): readonly DrillPart[] {
  return [...r.cells.values()].map(({ provider, turnAt, writtenAt, visibleAt, oldTtl: ttl }) => {
    const after = (at: number | null) => (at === null ? null : Math.max(0, at - turnAt));
    return { provider, writtenMs: after(writtenAt), visibleMs: after(visibleAt), ttl };
  });
}

// ---------------------------------------------------------------- its end

function finish(
  state: State,
  r: RecordState,
  result: DrillRun['result'],
  why: string,
  out: Step,
): void {
  const d = r.doc.drill!;
  const back = d.stage === 'returning' ? partsOf(r) : [];
  const ms = state.now - d.sinceAt;
  const { id, from, to, byVendor, parts } = d;
  const run: DrillRun = {
    ...{ id, result, from, to, byVendor, at: state.now, ms },
    ...{ sentence: why, parts, back },
  };
  const runs = [run, ...(state.drilled.get(r.name) ?? [])].slice(0, RUNS_KEPT);
  state.drilled.set(r.name, runs);
  put(out, `${RUNS_KEY}${r.name}`, { runs });
  state.drilling = null;
  clearDeadline(state.timers, r.deadlines.drill);
  endTurns(state, r, out);
  // What is away and stays there bears the TTL of every day again.
  retarget(state, r, { drill: null }, out);
  say(r.name, result, `live drill ${from} -> ${to} ${said[result]}: ${why}`, run, out);
}

/** The record is nobody's any more, and nothing of its drill is put back. */
export function endWithRecord(state: State, name: Name, d: Drill, out: Step): void {
  if (state.drilling === d.id) state.drilling = null;
  const { from, to } = d;
  const run = { ...d, ms: state.now - d.sinceAt, back: [] };
  const why = 'its record is no longer configured; what stands at its providers is left alone';
  say(name, 'broken-off', `live drill ${from} -> ${to} ${said['broken-off']}: ${why}`, run, out);
}

const said = {
  passed: 'passed',
  failed: 'failed',
  refused: 'was refused',
  'broken-off': 'was broken off',
} satisfies Readonly<Record<DrillRun['result'], string>>;

function say(
  name: Name,
  result: DrillRun['result'] | 'began',
  what: string,
  run: Omit<DrillRun, 'result' | 'sentence' | 'at'>,
  out: Step,
): void {
  const { id, from, to, byVendor, ms, parts, back } = run;
  const data = { drill: 'live', result, id, from, to, byVendor, ms, parts, back };
  const sentence = `${name}: ${what}`;
  note(out, 'drill', name, sentence, data as unknown as Json);
  drillNews(name, sentence, data as unknown as Json, out);
}

/** Something else moves or holds the record: the drill is over, and nothing of it is put back. */
export function supersede(state: State, r: RecordState, by: string, out: Step): void {
  if (r.doc.drill !== null) finish(state, r, 'broken-off', `overtaken: ${by}`, out);
  else endTurns(state, r, out);
}

/** Results as the store holds them; a document that another version made is passed over. */
export function keepRuns(state: State, key: string, value: Json | null): void {
  const name = key.slice(RUNS_KEY.length);
  const { runs } = (value ?? {}) as { readonly runs?: readonly DrillRun[] };
  if (Array.isArray(runs)) state.drilled.set(name, runs.slice(0, RUNS_KEPT));
  else state.drilled.delete(name);
}

// ---------------------------------------------------------------- orders

/** Whose drill has no end yet; that of a record that is gone from here may go on elsewhere. */
function inDrill(state: State): Name | undefined {
  const here = [...state.records.values()].map(({ name, doc }) => [name, doc] as const);
  return [...here, ...state.asleep].find(([, doc]) => doc.drill !== null)?.[0];
}

/** Begins a live drill, or says all that is in its way, each with its cure. */
export function beginDrill(state: State, r: RecordState, c: Order, out: Step): Reply {
  const to = c.target ?? r.config.targets.find((t) => t.origin !== r.doc.target)?.origin ?? null;
  if (to === null) return refused(`${r.name} has no other target: a drill needs two that are up`);
  const problems = problemsOf(state, r, to);
  const other = inDrill(state);
  if (other !== undefined) {
    const end = state.records.has(other) ? `, or run \`detour drill end ${other}\`` : '';
    problems.unshift(`a live drill of ${other} runs, and there is one at a time: wait${end}`);
  }
  if (problems.length > 0) return refused(`no live drill of ${r.name}: ${problems.join('; ')}`);
  // Where a person is asked first the calendar begins nothing: what is due is told, and waits.
  if (c.asked === 'schedule' && r.config.mode === 'approve') {
    return refused(`${r.name} asks first: run \`detour drill live ${r.name} --reason …\``);
  }
  const order = c.byVendor ? orderOf(r) : [...r.cells.keys()];
  const how = c.byVendor && order.length > 1 ? `vendor by vendor (${order.join(', ')})` : 'at once';
  const from = r.doc.target!;
  const seconds = Math.round(c.forMs / 1000);
  const what = `${from} -> ${to}, ${how}, and back after ${seconds} s there`;
  if (c.dryRun === true) {
    const detail = { epoch: r.doc.epochMax + 1, plan: planOf(r, to, order, shortTtl(r, c)) };
    return { exit: 0, message: `would drill ${r.name}: ${what}`, detail };
  }
  return startDrill(state, r, { ...c, target: to }, what, out);
}

/** What would be written, at each provider in its turn. */
function planOf(r: RecordState, to: string, order: readonly string[], short: number | null): Json {
  const { cname } = r.config.targets.find((t) => t.origin === to)!;
  return order.map((provider) => {
    const cell = r.cells.get(provider)!;
    const ttl = short === null ? cell.ttl : shortAt(cell, short);
    return { provider, from: cell.seen?.cname ?? null, to: cname, ttl, problem: null };
  });
}

/** The way out is measured by the TTL of every day; the way back is kept short. */
function shortTtl({ config }: RecordState, { prepare }: Order): number | null {
  return config.prepares === false || prepare === false ? null : SHORT_TTL;
}

/** Nothing moves yet: the target is asked once more first. */
function startDrill(
  state: State,
  r: RecordState,
  c: Order & { readonly target: string },
  what: string,
  out: Step,
): Reply {
  const id = randomId(state);
  const [from, to] = [r.doc.target!, c.target];
  const { byVendor, forMs, reason, by, watchMs = null, asked = null } = c;
  const drill: Drill = {
    ...{ id, from, to, byVendor, watchMs, forMs, reason, by, asked, ttl: shortTtl(r, c) },
    ...{ stage: 'confirming', sinceAt: state.now, stageAt: state.now, trouble: null, parts: [] },
  };
  amend(out, r, { drill });
  state.drilling = id;
  const why = `began by ${asked === null ? by : 'schedule'}: ${reason}`;
  const run = { id, from, to, byVendor, ms: 0, parts: [], back: [] };
  say(r.name, 'began', `live drill ${what}, ${why}`, run, out);
  return { exit: 0, message: `live drill of ${r.name} begins: ${what}`, detail: { id, from, to } };
}

/** Ends a drill before its time: it comes back at once. */
export function endDrill(
  state: State,
  r: RecordState,
  { by, dryRun }: Extract<Command, { kind: 'end-drill' }>,
  out: Step,
): Reply {
  const d = r.doc.drill;
  if (d === null) return { exit: 0, message: `${r.name} is in no live drill` };
  const where = d.stage === 'confirming' ? 'nothing has moved yet' : `it comes back to ${d.from}`;
  if (dryRun === true)
    return { exit: 0, message: `would end the live drill of ${r.name}: ${where}` };
  const trouble = `ended by ${by}`;
  if (d.stage === 'confirming') finish(state, r, 'broken-off', `${trouble}; ${where}`, out);
  else if (d.stage === 'going' || d.stage === 'away') {
    toStage(state, r, { ...d, stage: 'ending', trouble }, out);
  }
  return { exit: 0, message: `the live drill of ${r.name} ends: ${where}` };
}

/** All that keeps a record from being drilled now, each with its cure; empty: nothing does. */
function problemsOf(state: State, r: RecordState, to: string): string[] {
  const { doc, config, name } = r;
  if (config.mode === 'observe') {
    return [`${name} is only observed: set \`mode: steer\` to let it be written`];
  }
  if (doc.target === null) {
    return [`${name} is not adopted yet: run \`detour adopt ${name} TARGET\``];
  }
  const found: string[] = [];
  const check = (isWrong: boolean, sentence: string) => {
    if (isWrong) found.push(sentence);
  };
  const freeze = doc.freeze ?? state.freeze;
  const whole = doc.freeze === null ? 'detour unfreeze' : `detour unfreeze ${name}`;
  check(!state.lease.held, 'nobody acts here: ask whoever holds the lease');
  check(!state.storeOk, 'the store cannot commit: mend it first');
  check(state.group !== null && state.group.word !== null, state.group?.sentence ?? '');
  check(r.differs !== null, r.differs?.sentence ?? '');
  check(isSpent(r), spentSays(name));
  check(doc.deposed !== null, `somebody else wrote a higher epoch: run \`detour ack ${name}\``);
  check(doc.pin !== null, `it is pinned to ${doc.pin?.target}: run \`detour unpin ${name}\``);
  check(freeze !== null, `it is frozen (${freeze?.reason}): run \`${whole}\``);
  check(isInMaintenance(state, name), 'it is in maintenance: wait until that is over');
  check(doc.target === to, `it is on ${to} already: name another of its targets`);
  const isKnown = config.targets.some((t) => t.origin === doc.target);
  check(!isKnown, `${doc.target} is in force and no longer configured: run \`detour switch\``);
  check(isSwitching(r) || doc.turns !== null, 'a switch is under way: wait until it has ended');
  const used = ofLastHour(doc.switches, state.now);
  const isSpentSoon = used.length > 0 && used.length >= config.switchesPerHour - 1;
  const minutes = Math.ceil(((used[0] ?? 0) + HOUR_MS - state.now) / 60_000);
  const cure = `run \`detour ack ${name}\` or wait ${minutes} min`;
  check(isSpentSoon, `${used.length} of ${config.switchesPerHour} switches are spent: ${cure}`);
  found.push(...unwellOf(state, r, to), ...lanesOf(state, r));
  return found;
}

/** Targets that are not up, or not to be used, and clouds that are not healthy. */
function unwellOf(state: State, r: RecordState, to: string): string[] {
  const found: string[] = [];
  for (const { name, health, trustedAt } of r.origins) {
    if (isDrained(state, name)) found.push(`${name} is drained: run \`detour undrain\` first`);
    else if (health !== 'up') found.push(`${name} is ${health}: all its targets must be up`);
    else if (trustedAt > state.now)
      found.push(`${name} came and went of late: wait until it is steady`);
  }
  const flaw = flawOf(state, r, to);
  if (flaw?.word === 'unfit') {
    found.push(`${to} cannot serve the public names: ${flaw.why}: mend that, then audit again`);
  }
  for (const one of [r.doc.target, to]) {
    const cloud = state.origins.get(one ?? '')?.cloud;
    if (cloud == null || cloud.diagnosis.word === 'healthy') continue;
    found.push(`${cloud.diagnosis.sentence}: wait until ${cloud.name} is healthy`);
  }
  return [...new Set(found)];
}

/** Providers that are not in step, or whose API or name servers are in trouble. */
function lanesOf(state: State, r: RecordState): string[] {
  return [...r.cells.values()].flatMap((cell) => {
    const wrong = wrongAt(state, r, cell, r.doc.cname);
    if (wrong !== null) return [`${cell.provider}: ${wrong}`];
    const isWell = cell.visibleAt !== null && !cell.held && cell.reading === 'read';
    return isWell && isInStep(r, cell)
      ? []
      : [`${cell.provider} is not in step: see \`detour status\``];
  });
}

function refused(message: string): Reply {
  return { exit: 1, message };
}
