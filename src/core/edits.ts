// What somebody else put in the place of what Detour wrote, weighed over all providers of a record
// (design, rule 27 and section 5). One vendor's key reaches that vendor's answers and nothing else:
// an edit at one provider is held, or mended, there. Only what a person did at most of them is a word
// that all follow, and `edits: follow` says otherwise. It never beats a pin or a freeze, and never
// puts back what is not known to be up.
//
// | what stands there                        | hold         | follow                | mend     |
// | a configured target that is up           | left, told   | carried to all, 1 h   | put back |
// | one that is down, or nothing at all,     |              |                       |          |
// | while the one in force is up             | put back     | put back              | put back |
// | anything else                            | left, told   | left, told            | put back |

import { hold, mend } from './cell.ts';
import { HOUR_MS, ofLastHour } from './decide.ts';
import { isInMaintenance } from './maintain.ts';
import { markerName } from './marker.ts';
import type { Health } from './model.ts';
import { raise } from './notices.ts';
import { own } from './own.ts';
import { majorityOf } from './plan.ts';
import { isSpent } from './situation.ts';
import { amend, type Cell, type RecordState, type State, type Step } from './state.ts';
import { reissue, switchTo } from './switch.ts';
import { setDeadline } from './timers.ts';
import { hasFreshPasses, probeFresh } from './watch.ts';

/** How long a target that was set by hand is held. */
const EDIT_PIN_MS = HOUR_MS;

/** A person sets the same target at several consoles within so long. */
const WORD_MS = 900_000;

/** What comes again within so long after it was mended or taken is a tool's. */
const TOOL_MS = 86_400_000;

/** Mends at once; after them 1, 2, 4 … minutes lie between two. At the last of them it pages. */
const AT_ONCE = 3;
const PACE_MS = 60_000;
const PACE_MAX_MS = 900_000;

/** Until the target in force has been seen to be up afresh. */
const FRESH_MS = 500;

type Edited = NonNullable<Cell['edited']>;

export function weighEdits(state: State, r: RecordState, out: Step): void {
  const edits: (readonly [Cell, Edited])[] = [];
  for (const cell of r.cells.values()) if (cell.edited !== null) edits.push([cell, cell.edited]);
  if (edits.length === 0 || r.doc.marker === null || r.doc.deposed !== null) return;
  if (takeWord(state, r, edits, out) || follow(state, r, edits, out)) return;
  for (const [cell, edit] of edits) {
    const verdict = weigh(state, r, edit);
    if (verdict === 'leave') leave(state, r, cell, edit, '', out);
    else putBack(state, r, cell, edit, verdict, out);
  }
}

/** `away`: from what serves nobody, for ever; `back`: because the record says so, and not for ever. */
function weigh(state: State, r: RecordState, edit: Edited): 'leave' | 'away' | 'back' {
  const inForce = healthOf(state, r.doc.target);
  // Whoever is led to nothing is led away, though others are served.
  const servesNobody = edit.strays.some(({ value, target }) => {
    return value === null || healthOf(state, target) === 'down';
  });
  if (inForce === 'up' && servesNobody) return 'away';
  if (r.config.edits !== 'mend') return 'leave';
  // Rule 3: what is put back must be up; a pin says that it is wanted all the same.
  const isWanted = r.doc.pin !== null && healthOf(state, edit.target) !== 'up';
  return inForce === 'up' || isWanted ? 'back' : 'leave';
}

function healthOf(state: State, target: string | null): Health {
  return state.origins.get(target ?? '')?.health ?? 'unknown';
}

/** Whether anything may be moved after somebody's edit. */
function mayMove(state: State, r: RecordState): boolean {
  const isFrozen = (r.doc.freeze ?? state.freeze) !== null || isInMaintenance(state, r.name);
  return state.storeOk && state.lease.held && r.doc.pin === null && !isFrozen && !isSpent(r);
}

/** Rule 27: the same target, set by hand at most providers, the markers left standing. */
function takeWord(
  state: State,
  r: RecordState,
  edits: readonly (readonly [Cell, Edited])[],
  out: Step,
): boolean {
  if (edits.length < 2 || !mayMove(state, r)) return false;
  const needed = Math.max(2, majorityOf(r.cells.size));
  for (const { origin } of r.config.targets) {
    const said = edits.filter(
      ([, e]) => e.target === origin && e.marked && state.now - e.at <= WORD_MS,
    );
    if (said.length < needed || origin === r.doc.target) continue;
    if (healthOf(state, origin) === 'down' || isToolsWork(state, r, origin)) continue;
    const where = said.map(([cell]) => cell.provider).join(', ');
    take(state, r, origin, where, false, out);
    return true;
  }
  return false;
}

function isToolsWork(state: State, r: RecordState, target: string): boolean {
  const at = own(r.doc.wishes, target);
  return at !== undefined && state.now - at < TOOL_MS;
}

/** Where the record says so, an edit at one provider is carried to all. */
function follow(
  state: State,
  r: RecordState,
  edits: readonly (readonly [Cell, Edited])[],
  out: Step,
): boolean {
  if (r.config.edits !== 'follow' || !mayMove(state, r)) return false;
  const used = ofLastHour(r.doc.switches, state.now).length;
  if (used >= r.config.switchesPerHour - 1) return false;
  const one = edits.find(
    ([, e]) => e.target !== r.doc.target && healthOf(state, e.target) === 'up',
  );
  if (one === undefined) return false;
  take(state, r, one[1].target!, one[0].provider, true, out);
  return true;
}

function take(
  state: State,
  r: RecordState,
  to: string,
  where: string,
  spends: boolean,
  out: Step,
): void {
  const untilAt = state.now + EDIT_PIN_MS;
  const sentence = `${r.doc.target} -> ${to}: set by hand at ${where}`;
  const how = { kind: 'operator', why: 'edited', spends, overspends: false, pinned: true } as const;
  switchTo(state, r, { to, sentence, ...how, pinUntilAt: untilAt }, out);
  // What cannot be committed is no word that was taken.
  wish(state, r, to, out);
  const by = `an edit at ${where}`;
  const pin = { target: to, reason: 'set by hand', by, sinceAt: state.now, untilAt };
  amend(out, r, { pin });
}

function wish(state: State, r: RecordState, target: string, out: Step): void {
  const known = Object.entries(r.doc.wishes).filter(([, at]) => state.now - at < TOOL_MS);
  amend(out, r, { wishes: { ...Object.fromEntries(known), [target]: state.now } });
}

function putBack(
  state: State,
  r: RecordState,
  cell: Cell,
  edit: Edited,
  why: 'away' | 'back',
  out: Step,
): void {
  if (cell.work !== 'none') return;
  const { target } = r.doc;
  if (!state.storeOk || !state.lease.held || target === null) {
    return leave(state, r, cell, edit, '', out);
  }
  const { count, lastAt } = cell.mends[why];
  if (why === 'back' && count >= AT_ONCE) {
    return leave(state, r, cell, edit, `; it was mended ${count} times and comes again`, out);
  }
  if (count >= AT_ONCE) {
    const dueAt = lastAt + Math.min(PACE_MAX_MS, PACE_MS * 2 ** (count - AT_ONCE));
    if (state.now < dueAt) {
      const seconds = Math.ceil((dueAt - state.now) / 1000);
      leave(state, r, cell, edit, `; it is mended again in ${seconds} s`, out);
      return readAt(state, cell, dueAt);
    }
  }
  if (!isReady(state, cell, target, out)) return;
  for (const { target } of edit.strays) if (target !== null) wish(state, r, target, out);
  // A marker that proves nothing stands above ours: from now on it is below, and is mended as such.
  if (edit.above && reissue(state, r, r.doc.marker!.kind, out)) return decideAnew(cell);
  mend(state, r, cell, why, edit.change, edit.sentence, out);
  if (cell.mends[why].count >= AT_ONCE) page(state, r, cell, edit, out);
}

/**
 * Rule 3: what is put back has been seen to be up, and what stands there has been read, since it was
 * decided: an edit that was left for hours may have gone meanwhile.
 */
function isReady(state: State, cell: Cell, target: string, out: Step): boolean {
  const since = cell.odd?.backAt ?? state.now;
  if (cell.odd !== null) cell.odd = { ...cell.odd, backAt: since };
  const isUp = healthOf(state, target) === 'up';
  const isSeen = !isUp || hasFreshPasses(state, target, since);
  if (isSeen && cell.answeredAt >= since) return true;
  if (isUp) probeFresh(state, target, out);
  readAt(state, cell, state.now + FRESH_MS);
  return false;
}

/** What was decided about putting it back counts no longer. */
function decideAnew(cell: Cell): void {
  if (cell.odd !== null) cell.odd = { ...cell.odd, backAt: null };
}

/** Reads it again then: what was put there may have gone, or changed. */
function readAt(state: State, cell: Cell, at: number): void {
  cell.work = 'read';
  cell.retryAt = at;
  setDeadline(state.timers, cell.deadlines.retry, at);
}

function leave(
  state: State,
  r: RecordState,
  cell: Cell,
  edit: Edited,
  tail: string,
  out: Step,
): void {
  decideAnew(cell);
  hold(state, r, cell, { word: 'edited', sentence: `${edit.sentence}${tail}` }, out);
}

function page(state: State, r: RecordState, cell: Cell, edit: Edited, out: Step): void {
  const { provider } = cell;
  const about = { kind: 'edits', record: r.name, provider } as const;
  const sentence =
    `${r.name} at ${provider}: somebody puts ${edit.strays[0]?.value ?? 'nothing'} there again and again; ` +
    `exclude ${r.name} and ${markerName(r.name)} in the tool that does it (docs/other-tools.md)`;
  raise(state, about, 'again', { sentence, data: { provider } }, out);
}
