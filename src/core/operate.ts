// What an operator may do, and what each command is answered. A pin beats every automatic decision;
// a freeze stops deciding, never converging; nothing an operator says is written to a provider
// without an epoch. Every refusal names the thing and the cure. A dry run changes nothing: what it
// says comes from the same rules, asked as if the order had been given.

import { begin, company, force, foundByApi } from './adopt.ts';
import { answer } from './approve.ts';
import { ofLastHour } from './decide.ts';
import { checkKey } from './detect.ts';
import { beginDrill, endDrill, supersede } from './drill.ts';
import type { Command, Json, Reply } from './model.ts';
import { listOf, meant, notAmong } from './name.ts';
import { type Glance, movesOf, outlook, tellGlance } from './outlook.ts';
import { adoption, givesSay } from './plan.ts';
import { prepare, unprepare } from './prepare.ts';
import { isSpent, spentSays } from './situation.ts';
import { flawOf } from './standby.ts';
import {
  amend,
  type Cell,
  drop,
  type Freeze,
  follows,
  note,
  put,
  type RecordState,
  type State,
  type Step,
} from './state.ts';
import { readAll, review, unpin } from './steer.ts';
import { reissue, startLanes, switchTo } from './switch.ts';
import { clearDeadline, setDeadline } from './timers.ts';
import { ttlAt } from './ttl.ts';

type Of<K extends Command['kind']> = Extract<Command, { kind: K }>;
type RecordKind =
  | 'switch'
  | 'adopt'
  | 'pin'
  | 'unpin'
  | 'prepare'
  | 'unprepare'
  | 'ack'
  | 'drill'
  | 'end-drill';

export function onCommand(state: State, command: Command, out: Step): Reply {
  // A check that was seen to fail is this replica's own.
  if (follows(state) && command.dryRun !== true && command.kind !== 'drilled') {
    return refused('another replica acts, or none: nothing was done here');
  }
  switch (command.kind) {
    case 'drain':
      return drain(state, command, out);
    case 'undrain':
      return undrain(state, command, out);
    case 'freeze':
    case 'unfreeze': {
      if (command.record === null) return freezeAll(state, command, out);
      const found = recordOf(state, command.record);
      return 'exit' in found ? found : freezeOne(state, found, command, out);
    }
    case 'approve':
    case 'reject': {
      const { reply, record } = answer(state, command, out);
      if (record !== null && command.dryRun !== true) review(state, record, out);
      return reply;
    }
    case 'drilled':
      return drilled(state, command, out);
    case 'yield':
    case 'restored':
      return refused('there is no group of replicas here');
    default: {
      const found = recordOf(state, command.record);
      if ('exit' in found) return found;
      const reply = onRecord(state, found, command, out);
      if (command.dryRun !== true) review(state, found.name, out);
      return reply;
    }
  }
}

/** The record that was meant, or the answer that there is none. */
function recordOf(state: State, typed: string): RecordState | Reply {
  const found = meant('record', typed, [...state.records.keys()]);
  return found.ok ? state.records.get(found.name)! : wrong(found.sentence);
}

function onRecord(state: State, r: RecordState, command: Of<RecordKind>, out: Step): Reply {
  switch (command.kind) {
    case 'switch':
    case 'adopt': {
      const targets = r.config.targets.map((t) => t.origin);
      const found = meant('target', command.target, targets);
      if (!found.ok) return wrong(found.sentence);
      const order = { ...command, target: found.name };
      return order.kind === 'switch'
        ? manualSwitch(state, r, order, out)
        : adoptByHand(state, r, order, out);
    }
    case 'pin':
      return pin(state, r, command, out);
    case 'unpin':
      return unpinned(state, r, command, out);
    case 'prepare':
      return prepare(state, r, command, out);
    case 'unprepare':
      return unprepare(state, r, command, out);
    case 'ack':
      return ack(state, r, command, out);
    case 'drill': {
      if (command.target === null) return beginDrill(state, r, command, out);
      const found = meant(
        'target',
        command.target,
        r.config.targets.map((t) => t.origin),
      );
      if (!found.ok) return wrong(found.sentence);
      return beginDrill(state, r, { ...command, target: found.name }, out);
    }
    case 'end-drill':
      return endDrill(state, r, command, out);
  }
}

function manualSwitch(state: State, r: RecordState, c: Of<'switch'>, out: Step): Reply {
  const refusal = switchRefusal(state, r, c);
  if (refusal !== null) return refusal;
  const untilAt = c.forMs === null ? null : state.now + c.forMs;
  const unfit = unfitSays(state, r, c.target);
  const plan = [...r.cells.values()].map((cell) => ({
    provider: cell.provider,
    from: cell.seen?.cname ?? null,
    to: r.config.targets.find((t) => t.origin === c.target)!.cname,
    ttl: ttlAt(r, cell),
    problem: cell.problem?.sentence ?? null,
  }));
  if (c.dryRun) {
    const detail = { epoch: r.doc.epochMax + 1, plan } as unknown as Json;
    const message = `would switch ${r.name} to ${c.target}${unfit}${unhooked(r)}`;
    return { exit: 0, message, detail };
  }
  const by = `${c.target} by ${c.by}: ${c.reason}`;
  switchTo(
    state,
    r,
    {
      to: c.target,
      kind: 'operator',
      sentence: `${r.doc.target} -> ${by}`,
      why: 'operator',
      spends: false,
      overspends: false,
      pinned: true,
      pinUntilAt: untilAt,
    },
    out,
  );
  setPin(state, r, { target: c.target, reason: c.reason, by: c.by, untilAt }, out);
  const epoch = r.doc.marker?.epoch ?? 0;
  const detail = { epoch, id: r.doc.marker?.id ?? '', target: c.target };
  const message = `${r.name} goes to ${c.target} (epoch ${epoch})${unfit}${unhooked(r)}`;
  return { exit: 0, message, detail };
}

/** Who gives an order is told what an audit found, and decides. */
function unfitSays(state: State, r: RecordState, target: string): string {
  const flaw = flawOf(state, r, target);
  return flaw?.word === 'unfit' ? `; it cannot serve the public names: ${flaw.why}` : '';
}

/** Who gives an order has prepared it: nothing of it waits for a command. */
function unhooked(r: RecordState): string {
  const hooked = (r.config.hooks?.before ?? null) !== null;
  return hooked ? '; its hook before a switch is not run for an order' : '';
}

function switchRefusal(state: State, r: RecordState, c: Of<'switch'>): Reply | null {
  if (r.config.mode === 'observe') {
    return refused(`${r.name} is only observed: set \`mode: steer\` to let it be written`);
  }
  if (!state.storeOk) return refused('the store cannot commit: use `detour switch --direct`');
  if (r.differs !== null) {
    return refused(`${r.differs.sentence}, or use \`detour switch --direct\``);
  }
  if (isSpent(r)) return refused(spentSays(r.name));
  if (r.doc.deposed !== null) {
    return refused(`a higher epoch was written by somebody else: run \`detour ack ${r.name}\``);
  }
  if (r.doc.target === null) {
    return refused(`${r.name} is not adopted yet: run \`detour adopt ${r.name} TARGET\``);
  }
  const health = state.origins.get(c.target)?.health ?? 'unknown';
  if (health !== 'up' && !c.force) {
    return refused(`${c.target} is ${health}: give --force to go there all the same`);
  }
  return null;
}

function adoptByHand(state: State, r: RecordState, c: Of<'adopt'>, out: Step): Reply {
  if (r.config.mode === 'observe') {
    return refused(`${r.name} is only observed: set \`mode: steer\` to let it be written`);
  }
  if (!state.storeOk) return refused('the store cannot commit: nothing can be adopted now');
  if (r.differs !== null) return refused(r.differs.sentence);
  if (isSpent(r)) return refused(spentSays(r.name));
  if (r.doc.target !== null && ![...r.cells.values()].some((cell) => cell.held)) {
    return refused(`${r.name} is already in force on ${r.doc.target}: use \`detour switch\``);
  }
  const cells = [...r.cells.values()];
  const pending = cells.filter((cell) => cell.reading === 'pending');
  if (pending.length > 0) return refused('not every provider has been read yet: try again shortly');
  const a = adoption(r.config, foundByApi(r));
  const isOpen = cells.some(({ standing }) => standing?.kind === 'unmarked');
  if (a.kind === 'wait' && a.reason === 'foreign' && !isOpen) return refused(a.sentence);
  const isRead = (cell: Cell) => cell.answeredAt > 0;
  const troubles = cells.flatMap((cell) => {
    const unread = isRead(cell) ? null : 'its API has not been read';
    const trouble = troubleAt(state, cell) ?? unread;
    return trouble === null ? [] : [`${cell.provider} (${trouble})`];
  });
  const where = troubles.join(', ');
  if (troubles.length === cells.length) return refused(`no provider can be read: ${where}`);
  if (a.kind === 'wait' && a.reason === 'missing' && !c.create) return refused(a.sentence);
  if (a.kind === 'wait' && a.reason === 'unreadable') return refused(a.sentence);
  const moves = r.doc.target === null || r.doc.target === c.target;
  if (!moves) return refused(`${r.doc.target} is in force: adopt that, or use \`detour switch\``);
  const strange = cells.flatMap(({ provider, standing: s, reading }) =>
    reading === 'read' && s?.kind === 'unmarked' && s.target === null
      ? [`${provider} gives ${givesSay(s)}`]
      : [],
  );
  const others = company(r);
  if (c.dryRun === true) return adoptPlan(r, c.target, strange, others);
  const reason = c.reason?.trim() ?? '';
  if (strange.length > 0 && reason === '') {
    const what = `${listOf(strange)}, which is no target of ${r.name}`;
    return wrong(`${what}: it would be overwritten; say why with --reason`);
  }
  begin(state, r, c.target, 'operator', out);
  // What cannot be committed goes with its marker: nothing is claimed then.
  const claims = [...r.cells.keys()].map((provider) => [provider, 'any'] as const);
  amend(out, r, { claims: Object.fromEntries(claims) });
  const why = reason === '' ? '' : `: ${reason}`;
  const data = { target: c.target, overwritten: strange };
  note(out, 'adopt', r.name, `${r.name}: adopted on ${c.target} by ${c.by}${why}`, data);
  startLanes(state, r);
  const tail = others === null ? '' : `; ${others}`;
  const said = `${r.name} is adopted on ${c.target} (epoch ${r.doc.marker?.epoch ?? 0})`;
  if (troubles.length === 0) return done(`${said}${tail}`);
  return { exit: 3, message: `${said}, but not at ${where}, which follows when it can${tail}` };
}

/** What keeps a provider from being read or written for a record; null: nothing that is known. */
function troubleAt(state: State, { provider, zone, problem }: Cell): string | null {
  const lane = state.lanes.get(provider)!;
  const sick = zone === null ? undefined : lane.zones.get(zone);
  if (lane.fault !== null) return lane.fault.sentence;
  if (sick !== undefined) return sick.fault.detail;
  const isOfCall = ['auth-suspect', 'throttled', 'unavailable'].includes(problem?.word ?? '');
  return isOfCall ? problem!.sentence : null;
}

/** What `adopt` would write where; `strange` is what it overwrites and knows nothing of. */
function adoptPlan(
  r: RecordState,
  to: string,
  strange: readonly string[],
  others: string | null,
): Reply {
  const { cname } = r.config.targets.find((t) => t.origin === to)!;
  const plan = [...r.cells.values()].map((cell) => ({
    provider: cell.provider,
    from: cell.reading === 'read' ? fromOf(cell) : null,
    to: cname,
    ttl: cell.ttl,
    problem: cell.reading === 'read' ? (cell.problem?.sentence ?? null) : 'it cannot be read',
  }));
  const detail = { epoch: r.doc.epochMax + 1, plan, overwrites: strange };
  const what =
    strange.length === 0 ? '' : `; overwrites what is no target of it: ${listOf(strange)}`;
  const tail = others === null ? '' : `; ${others}`;
  return { exit: 0, message: `would adopt ${r.name} on ${to}${what}${tail}`, detail };
}

/** What stands there: one value, or what stands on which line. */
function fromOf({ standing: s, seen }: Cell): string | null {
  return s !== null && 'split' in s ? givesSay(s) : (seen?.cname ?? null);
}

function pin(state: State, r: RecordState, c: Of<'pin'>, out: Step): Reply {
  const { target } = r.doc;
  if (target === null) return refused(`${r.name} is not adopted yet`);
  const where = `${r.name} to ${target} ${lasts(c.forMs)}`;
  if (c.dryRun === true) return done(`would pin ${where}; nothing moves`);
  const untilAt = c.forMs === null ? null : state.now + c.forMs;
  supersede(state, r, `pinned by ${c.by}`, out);
  setPin(state, r, { target, reason: c.reason, by: c.by, untilAt }, out);
  reissue(state, r, 'operator', out);
  return done(`${r.name} is pinned to ${target} ${lasts(c.forMs)}`);
}

/** Who says it, and why where that is said too. */
function saidBy({ by, reason = '' }: Of<'unpin' | 'freeze' | 'unfreeze'>): string {
  return reason.trim() === '' ? by : `${by}: ${reason.trim()}`;
}

function unpinned(state: State, r: RecordState, c: Of<'unpin'>, out: Step): Reply {
  if (r.doc.pin === null) return done(`${r.name} is not pinned`);
  const kept = r.doc;
  r.doc = { ...kept, pin: null };
  const glance = outlook(state, [r]);
  r.doc = kept;
  if (c.dryRun === true) return foreseen(`would unpin ${r.name}`, glance);
  const [move] = glance.moves;
  const still = move === undefined ? '; nothing moves by itself' : '';
  note(out, 'unpin', r.name, `${r.name}: unpinned by ${saidBy(c)}${still}`);
  unpin(state, r, out);
  reissue(state, r, 'operator', out);
  const then =
    move === undefined ? `stays on ${r.doc.target}` : `goes to ${move.to} by itself: ${move.why}`;
  return done(`${r.name} is unpinned and ${then}`);
}

function setPin(
  state: State,
  r: RecordState,
  p: { target: string; reason: string; by: string; untilAt: number | null },
  out: Step,
): void {
  amend(out, r, { pin: { ...p, sinceAt: state.now } });
  const how =
    p.untilAt === null
      ? 'until unpinned'
      : `for ${Math.round((p.untilAt - state.now) / 60_000)} min`;
  note(out, 'pin', r.name, `${r.name}: pinned to ${p.target} ${how} by ${p.by}: ${p.reason}`, {
    target: p.target,
    untilAt: p.untilAt,
  });
}

/**
 * What somebody else wrote is taken, or overruled: said before it is done, where it is asked to be.
 */
function ack(state: State, r: RecordState, c: Of<'ack'>, out: Step): Reply {
  const { deposed } = r.doc;
  if (deposed === null && c.reject) return refused(`${r.name}: there is nothing to reject`);
  const recent = ofLastHour(r.doc.switches, state.now).length;
  // What nobody waits for is no budget to be had: an idle `ack` would make the limit none.
  if (deposed === null && recent < r.config.switchesPerHour) {
    return done(`${r.name} waits for nobody: nothing was changed`);
  }
  const isKnown = r.config.targets.some((t) => t.origin === deposed?.target);
  if (deposed !== null && !c.reject && !isKnown) {
    const what = `epoch ${deposed.epoch} leads to ${deposed.target}`;
    return refused(
      `${r.name}: ${what}, which is not configured here: give --reject to overrule it`,
    );
  }
  if (c.dryRun === true) return wouldAck(state, r, c.reject);
  if (c.reject && isSpent(r)) return refused(spentSays(r.name));
  amend(out, r, { switches: [], needless: [], overspentAt: null, deposed: null });
  const how = c.reject ? 'rejected' : 'acknowledged';
  note(out, 'ack', r.name, `${r.name}: ${how} by ${c.by}`);
  if (deposed === null) return done(`${r.name}: the switch budget is full again`);
  if (c.reject) {
    reissue(state, r, 'operator', out, 'anew');
    const epoch = r.doc.marker?.epoch ?? 0;
    return done(`${r.name} stays on ${r.doc.target}: epoch ${epoch} overrules ${deposed.epoch}`);
  }
  force(state, r, deposed, out);
  readAll(state, r);
  startLanes(state, r);
  return done(`${r.name}: epoch ${deposed.epoch} on ${deposed.target} is taken as ours`);
}

function wouldAck(state: State, r: RecordState, reject: boolean): Reply {
  const { deposed, target, switches } = r.doc;
  const to = reject ? target : (deposed?.target ?? null);
  const why = `epoch ${deposed?.epoch} is ${reject ? 'overruled' : 'taken as ours'}`;
  const detail: Json = {
    deposed: deposed === null ? null : { epoch: deposed.epoch, target: deposed.target },
    target,
    // What would be written at all providers: who is at a terminal is asked.
    plan: deposed === null ? [] : [{ record: r.name, from: target, to, why }],
  };
  if (deposed === null) {
    const message = `would forget ${switches.length} automatic switches of ${r.name}`;
    return { exit: 0, message, detail };
  }
  const health = state.origins.get(deposed.target)?.health ?? 'unknown';
  const message = reject
    ? `would keep ${r.name} on ${target} and overrule epoch ${deposed.epoch} (${deposed.target})`
    : `would move ${r.name} from ${target} to ${deposed.target}, which is ${health}, ` +
      `at all providers: epoch ${deposed.epoch} of somebody else would be taken as ours`;
  return { exit: 0, message, detail };
}

// ---------------------------------------------------------------- drains and freezes

/** The origin or cloud that was meant, or the answer that there is none. */
function placeOf(
  state: State,
  typed: string,
  left: readonly string[] = [],
): { readonly what: string } | Reply {
  const known = [...Object.keys(state.config.origins), ...Object.keys(state.config.clouds)];
  // What was drained and then taken out of the configuration would be drained when it comes back.
  const found = meant('origin or cloud', typed, [...new Set([...known, ...left])]);
  return found.ok ? { what: found.name } : wrong(found.sentence);
}

function drain(state: State, c: Of<'drain'>, out: Step): Reply {
  const found = placeOf(state, c.what);
  if ('exit' in found) return found;
  const { what } = found;
  const was = state.drains.get(what);
  const held = heldBy(state, c);
  const drained = { what, ...held };
  state.drains.set(what, drained);
  const on = [...state.records.values()].filter(
    (r) => r.doc.target !== null && isOn(state, r.doc.target, what),
  );
  const glance = outlook(state, on);
  if (c.dryRun === true) {
    if (was === undefined) state.drains.delete(what);
    else state.drains.set(what, was);
    return foreseen(`would drain ${what} ${lasts(c.forMs)}`, glance);
  }
  put(out, `drain/${what}`, drained);
  const until = held.untilAt === null ? '' : ` ${lasts(c.forMs)}`;
  note(out, 'drain', null, `${what} drained${until} by ${c.by}: ${c.reason}`, { what });
  watchHolds(state);
  reviewAll(state, out);
  return {
    ...done(`${what} is drained${until}${tellGlance(glance)}`),
    detail: { plan: glance.rows },
  };
}

function isOn(state: State, origin: string, what: string): boolean {
  return origin === what || state.config.origins[origin]?.cloud === what;
}

function undrain(state: State, c: Of<'undrain'>, out: Step): Reply {
  const found = placeOf(state, c.what, [...state.drains.keys()]);
  if ('exit' in found) return found;
  const { what } = found;
  const was = state.drains.get(what);
  if (was === undefined) return done(`${what} is not drained`);
  state.drains.delete(what);
  const glance = movesOf(outlook(state, [...state.records.values()]));
  if (c.dryRun === true) {
    state.drains.set(what, was);
    return foreseen(`would put ${what} in choice again`, glance);
  }
  drop(out, `drain/${what}`);
  note(out, 'undrain', null, `${what} undrained by ${c.by}`, { what });
  watchHolds(state);
  reviewAll(state, out);
  const by = what in state.config.origins ? state.config.origins[what]!.cloud : null;
  const still = by !== null && state.drains.has(by) ? `, but its cloud ${by} is drained` : '';
  return done(`${what} is in choice again${still}`);
}

function freezeAll(state: State, c: Of<'freeze' | 'unfreeze'>, out: Step): Reply {
  if (c.kind === 'freeze') {
    const held = heldBy(state, c);
    const until = held.untilAt === null ? '' : ` ${lasts(c.forMs)}`;
    if (c.dryRun === true) return done(`would freeze everything${until}; nothing moves`);
    state.freeze = held;
    put(out, 'freeze', held);
    note(out, 'freeze', null, `everything: freeze${until} by ${c.by}: ${c.reason}`);
    watchHolds(state);
    reviewAll(state, out);
    return done(`everything: frozen${until}; decided changes still converge`);
  }
  const own = [...state.records.values()].filter((r) => r.doc.freeze !== null);
  const names = listOf(own.map((r) => r.name));
  const rest = own.length === 0 ? '' : `, but ${names} stays frozen by a freeze of its own`;
  if (state.freeze === null) return done(`everything is not frozen${rest}`);
  const was = state.freeze;
  state.freeze = null;
  const glance = movesOf(outlook(state, [...state.records.values()]));
  if (c.dryRun === true) {
    state.freeze = was;
    return foreseen('would unfreeze everything', glance);
  }
  drop(out, 'freeze');
  note(out, 'unfreeze', null, `everything: unfreeze by ${saidBy(c)}`);
  watchHolds(state);
  reviewAll(state, out);
  return done(`everything: unfrozen; decisions are automatic${rest}`);
}

function freezeOne(state: State, r: RecordState, c: Of<'freeze' | 'unfreeze'>, out: Step): Reply {
  const all = state.freeze === null ? '' : '; everything is frozen, and it with that';
  if (c.kind === 'freeze') {
    const held = heldBy(state, c);
    const until = held.untilAt === null ? '' : ` ${lasts(c.forMs)}`;
    if (c.dryRun === true) return done(`would freeze ${r.name}${until}; nothing moves`);
    amend(out, r, { freeze: held });
    note(out, 'freeze', r.name, `${r.name}: freeze${until} by ${c.by}: ${c.reason}`);
    review(state, r.name, out);
    return done(`${r.name}: frozen${until}; decided changes still converge`);
  }
  if (r.doc.freeze === null) return done(`${r.name} has no freeze of its own${all}`);
  const kept = r.doc;
  r.doc = { ...kept, freeze: null };
  const glance = outlook(state, [r]);
  r.doc = kept;
  if (c.dryRun === true) return foreseen(`would unfreeze ${r.name}`, glance);
  amend(out, r, { freeze: null });
  note(out, 'unfreeze', r.name, `${r.name}: unfreeze by ${saidBy(c)}`);
  review(state, r.name, out);
  return done(`${r.name}: unfrozen${all === '' ? '; decisions are automatic' : all}`);
}

function heldBy(
  state: State,
  c: Of<'drain' | 'freeze'>,
): Freeze & { readonly untilAt: number | null } {
  const untilAt = c.forMs === null || c.forMs === undefined ? null : state.now + c.forMs;
  return { reason: c.reason, by: c.by, sinceAt: state.now, untilAt };
}

/** Sets the time at which the first of them ends, after any of them has changed. */
export function watchHolds(state: State): void {
  const held = [...state.drains.values(), ...(state.freeze === null ? [] : [state.freeze])];
  const ends = held.flatMap(({ untilAt }) => untilAt ?? []);
  if (ends.length === 0) clearDeadline(state.timers, state.holds);
  else setDeadline(state.timers, state.holds, Math.min(...ends));
}

/** Gives back what was held until now. */
export function endHolds(state: State, out: Step): void {
  const isOver = ({ untilAt }: Freeze) => (untilAt ?? null) !== null && untilAt! <= state.now;
  for (const [what, drained] of [...state.drains]) {
    if (!isOver(drained)) continue;
    state.drains.delete(what);
    drop(out, `drain/${what}`);
    note(out, 'undrain', null, `${what}: its drain is over`, { what });
  }
  if (state.freeze !== null && isOver(state.freeze)) {
    state.freeze = null;
    drop(out, 'freeze');
    note(out, 'unfreeze', null, 'everything: the freeze is over');
  }
  watchHolds(state);
  reviewAll(state, out);
}

/** `for 30 s`, `for 120 min`. */
function lasts(forMs: number | null | undefined): string {
  if (forMs === null || forMs === undefined) return 'without an end';
  return forMs < 120_000
    ? `for ${Math.round(forMs / 1000)} s`
    : `for ${Math.round(forMs / 60_000)} min`;
}

/** The answer of a dry run: what would move, and what would stay and why. */
function foreseen(message: string, glance: Glance): Reply {
  const then = tellGlance(glance) || '; nothing moves';
  return { exit: 0, message: `${message}${then}`, detail: { plan: glance.rows } };
}

/** A check that was made to fail on purpose is no longer one that never failed. */
function drilled(state: State, c: Of<'drilled'>, out: Step): Reply {
  const config = state.config.checks[c.check];
  if (config === undefined)
    return wrong(notAmong('check', c.check, Object.keys(state.config.checks)));
  for (const path of config.paths) {
    const key = checkKey(c.check, path);
    state.checks.get(key)!.everFailed = true;
    put(out, `red/${key}`, true);
  }
  note(out, 'drill', null, `${c.check}: made to fail on purpose by ${c.by}, and it did`, {
    check: c.check,
  });
  return done(`${c.check}: noted as seen to fail`);
}

function reviewAll(state: State, out: Step): void {
  for (const name of state.records.keys()) review(state, name, out);
}

function done(message: string): Reply {
  return { exit: 0, message };
}

function refused(message: string): Reply {
  return { exit: 1, message };
}

function wrong(message: string): Reply {
  return { exit: 2, message };
}
