// Preparing a record for a move that is planned: its TTL comes down everywhere, as far as each vendor
// lets it, and goes back by itself. It moves nobody, takes no epoch and spends no budget: the same
// target stands under the same marker, and clients only ask again sooner. It must never keep a switch
// from being written: a vendor that refuses the short TTL keeps its own.

import { retimeAnew } from './cell.ts';
import type { Decision } from './decide.ts';
import { isInMaintenance } from './maintain.ts';
import type { Command, Json, Reply } from './model.ts';
import { own } from './own.ts';
import { isDrained } from './situation.ts';
import {
  amend,
  type Cell,
  isSwitching,
  note,
  type Prepared,
  type PreparedPart,
  type RecordDoc,
  type RecordState,
  type State,
  type Step,
} from './state.ts';
import { readyAtOf, SHORT_TTL, shortAt, shownFor, ttlAt } from './ttl.ts';

/** After the move that it was for, what was prepared by itself goes back. */
const AFTER_MS = 600_000;
/** What a write and its being visible may take, on top of the TTL that is to run out. */
const WRITE_MS = 30_000;

type Of<K extends 'prepare' | 'unprepare'> = Extract<Command, { kind: K }>;

// ---------------------------------------------------------------- what it says

/** When every cache that follows TTLs holds the short one, everywhere; null: not known yet. */
export function readyAt({ parts }: Prepared): number | null {
  let last = 0;
  for (const part of Object.values(parts)) {
    const at = readyAtOf(part);
    if (at === null) return null;
    last = Math.max(last, at);
  }
  return last;
}

/** `own 60 -> 5 s, ali stays at 600 s`. */
function inWords(parts: Prepared['parts']): string {
  const each = Object.entries(parts).map(([provider, { from, ttl }]) =>
    ttl < from ? `${provider} ${from} -> ${ttl} s` : `${provider} stays at ${ttl} s`,
  );
  return each.join(', ');
}

function plain(parts: Prepared['parts']): Json {
  return parts as unknown as Json;
}

function minutes(ms: number): string {
  return ms < 120_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`;
}

// ---------------------------------------------------------------- orders

export function prepare(state: State, r: RecordState, c: Of<'prepare'>, out: Step): Reply {
  const refusal = refusalOf(state, r);
  if (refusal !== null) return { exit: 1, message: refusal };
  const parts = partsOf(state, r, c.ttl);
  const longest = Math.max(...Object.values(parts).map(({ from, ttl }) => (ttl < from ? from : 0)));
  const what = `for ${minutes(c.forMs)}: ${inWords(parts)}`;
  const plan = Object.entries(parts).map(([provider, { from, ttl }]) => {
    return { provider, was: from, ttl, problem: r.cells.get(provider)?.problem?.sentence ?? null };
  });
  const detail: Json = { plan, longestSeconds: longest };
  if (c.dryRun === true)
    return { exit: 0, message: `would bring the TTL of ${r.name} down ${what}`, detail };
  const untilAt = state.now + c.forMs;
  begin(state, r, { ...c, asked: 'operator', untilAt }, out);
  const then = `ready once every provider gives it and ${longest} s have passed`;
  return { exit: 0, message: `the TTL of ${r.name} comes down ${what}; ${then}`, detail };
}

export function unprepare(state: State, r: RecordState, c: Of<'unprepare'>, out: Step): Reply {
  if (r.doc.prepared === null) return { exit: 0, message: `${r.name} is not prepared` };
  const back = [...r.cells.values()].map(({ provider, ttl }) => `${provider} ${ttl} s`).join(', ');
  if (c.dryRun === true) {
    return { exit: 0, message: `would give ${r.name} its configured TTL again: ${back}` };
  }
  if (!state.storeOk) return { exit: 1, message: 'the store cannot commit: nothing was done' };
  const reason = c.reason?.trim() ?? '';
  end(state, r, `given back by ${c.by}${reason === '' ? '' : `: ${reason}`}`, out);
  return { exit: 0, message: `${r.name} goes back to its configured TTL: ${back}` };
}

function refusalOf(state: State, r: RecordState): string | null {
  if (r.config.mode === 'observe') {
    return `${r.name} is only observed: set \`mode: steer\` to let it be written`;
  }
  if (!state.storeOk) return 'the store cannot commit: nothing can be prepared now';
  if (r.differs !== null) return r.differs.sentence;
  if (r.doc.deposed !== null) {
    return `a higher epoch was written by somebody else: run \`detour ack ${r.name}\``;
  }
  if (r.doc.marker === null) {
    return `${r.name} is not adopted yet: run \`detour adopt ${r.name} TARGET\``;
  }
  const isKnown = r.config.targets.some(({ cname }) => cname === r.doc.cname);
  return isKnown ? null : `${r.doc.target} is no longer configured, so it is never written again`;
}

// ---------------------------------------------------------------- its beginning and its end

function begin(
  state: State,
  r: RecordState,
  wish: Pick<Prepared, 'ttl' | 'reason' | 'by' | 'asked' | 'untilAt'>,
  out: Step,
): void {
  const { ttl, reason, by, asked, untilAt } = wish;
  const parts = partsOf(state, r, ttl);
  const said = { ttl, reason, by, asked, sinceAt: state.now, untilAt };
  retarget(state, r, { prepared: { ...said, ready: false, parts }, adopted: false }, out);
  const how = `for ${minutes(untilAt - state.now)}, by ${by}: ${reason}`;
  const sentence = `${r.name}: TTL brought down ${how} (${inWords(parts)})`;
  const data = { stage: 'begins', ttl, untilAt, asked, parts: plain(parts) };
  note(out, 'prepare', r.name, sentence, data);
}

function end(state: State, r: RecordState, why: string, out: Step): void {
  retarget(state, r, { prepared: null }, out);
  const back = [...r.cells.values()].map(({ provider, ttl }) => `${provider} ${ttl} s`);
  const sentence = `${r.name}: TTL as configured again, ${why} (${back.join(', ')})`;
  note(out, 'prepare', r.name, sentence, { stage: 'over' });
}

/** A document by which another TTL may be wanted: the providers where that is so are sent for it. */
export function retarget(
  state: State,
  r: RecordState,
  change: Partial<RecordDoc>,
  out: Step,
): void {
  const cells = [...r.cells.values()];
  const before = cells.map((cell) => ttlAt(r, cell));
  amend(out, r, change);
  cells.forEach((cell, i) => {
    // What a vendor refused before is asked of it once more.
    cell.keepsTtl = false;
    if (ttlAt(r, cell) !== before[i]) retimeAnew(state, r, cell);
  });
}

/** What each provider is to come down to, and what caches may hold of it now. */
function partsOf(state: State, r: RecordState, short: number): Prepared['parts'] {
  const parts = [...r.cells.values()].map((cell): [string, PreparedPart] => {
    return [cell.provider, { from: shownFor(state, r, cell), ttl: shortAt(cell, short), at: null }];
  });
  return Object.fromEntries(parts);
}

// ---------------------------------------------------------------- how far it is

/** Looks how far it is; safe to call at any time. */
export function tendPrepared(state: State, r: RecordState, out: Step): void {
  const p = r.doc.prepared;
  // A move under way is not made slower by it, and a drill has its own.
  if (p === null || !state.storeOk) return;
  const mayEnd = !isSwitching(r) && r.doc.drill === null;
  if (state.now >= p.untilAt && mayEnd) return end(state, r, 'its time is over', out);
  const parts = Object.fromEntries(
    [...r.cells.values()].map((cell) => [cell.provider, partNow(state, r, cell, p)] as const),
  );
  const at = readyAt({ ...p, parts });
  const ready = at !== null && state.now >= at;
  if (ready === p.ready && JSON.stringify(parts) === JSON.stringify(p.parts)) return;
  amend(out, r, { prepared: { ...p, parts, ready } });
  if (!ready || p.ready) return;
  const longest = Math.max(...Object.values(parts).map(({ ttl }) => ttl));
  const sentence = `${r.name}: prepared: whoever follows TTLs asks again within ${longest} s`;
  note(out, 'prepare', r.name, sentence, { stage: 'ready', parts: plain(parts) });
}

function partNow(state: State, r: RecordState, cell: Cell, p: Prepared): PreparedPart {
  const ttl = ttlAt(r, cell);
  const was = own(p.parts, cell.provider) ?? { from: shownFor(state, r, cell), ttl, at: null };
  const { givenTtl: given } = cell;
  if (given === null) return { ...was, ttl };
  // Somebody has raised it since, or it was never that short: what a cache takes now lasts longer.
  if (given > ttl) return { from: Math.max(was.from, given), ttl, at: null };
  const isDone = cell.work === 'none' && cell.problem === null;
  return { ...was, ttl, at: was.at ?? (isDone ? state.now : null) };
}

/** When it is looked at again by the clock; null: by what happens. */
export function preparedDueAt(state: State, { doc: { prepared: p } }: RecordState): number | null {
  if (p === null) return null;
  const due = [p.ready ? null : readyAt(p), p.untilAt].filter((at) => at !== null);
  const ahead = due.filter((at) => at > state.now);
  return ahead.length === 0 ? null : Math.min(...ahead);
}

// ---------------------------------------------------------------- by itself

/**
 * Before a move that is due by itself the TTL comes down in time, and goes back some minutes after
 * it. Returns when that is to be looked at again; null: nothing is planned.
 */
export function prepareByItself(
  state: State,
  r: RecordState,
  decision: Decision,
  out: Step,
): number | null {
  const planned = plannedMove(state, r, decision);
  if (planned === null || r.doc.prepared !== null || !mayByItself(state, r)) return null;
  const cells = [...r.cells.values()];
  const isLower = cells.some((cell) => shortAt(cell, SHORT_TTL) < ttlAt(r, cell));
  if (!isLower) return null;
  const keptMs = 1000 * Math.max(...cells.map((cell) => shownFor(state, r, cell)));
  const fromAt = planned.at - keptMs - WRITE_MS;
  if (state.now < fromAt) return fromAt;
  const { asked, reason, at } = planned;
  const untilAt = Math.max(state.now, at) + AFTER_MS;
  begin(state, r, { ttl: SHORT_TTL, by: 'detour', asked, reason, untilAt }, out);
  return null;
}

/** Nothing that an operator holds, and nothing that is not well, is touched by itself. */
function mayByItself(state: State, r: RecordState): boolean {
  const { doc, config } = r;
  const isHeld = doc.pin !== null || (doc.freeze ?? state.freeze) !== null;
  const isBusy = isSwitching(r) || doc.drill !== null || isInMaintenance(state, r.name);
  if (config.mode !== 'steer' || config.prepares === false || isHeld || isBusy) return false;
  return state.lease.held && !doc.adopted && refusalOf(state, r) === null;
}

interface Planned {
  readonly asked: Exclude<Prepared['asked'], 'operator'>;
  readonly at: number;
  readonly reason: string;
}

function plannedMove(state: State, r: RecordState, decision: Decision): Planned | null {
  if (decision.kind !== 'stay') return null;
  if (decision.reason === 'failback-waiting' && decision.wakeAt !== null) {
    return { asked: 'failback', at: decision.wakeAt, reason: 'failback is due' };
  }
  const target = r.doc.target ?? '';
  const window = state.maintained.soon.get(target);
  if (window === undefined || state.origins.get(target)?.health !== 'up') return null;
  const isUsable = ({ origin }: { readonly origin: string }) =>
    state.origins.get(origin)?.health === 'up' && !isDrained(state, origin);
  const others = r.config.targets.filter(({ origin }) => origin !== r.doc.target);
  if (!others.some(isUsable)) return null;
  const reason = `maintenance of ${r.doc.target}, ${window.window}`;
  return { asked: 'window', at: window.fromAt, reason };
}
