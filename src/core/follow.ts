// Following: what a replica knows of what its group decided, while another or none acts. It takes the
// place of what was known here, whole: no lifted pin comes back and none is lost. It never decides,
// never writes to a provider, and puts no document of its own among the group's.

import { ASK_CAP_MS } from './asks.ts';
import { type Decision, decide } from './decide.ts';
import { keepRuns, RUNS_KEY } from './drill.ts';
import { diagnoseSoon } from './judge.ts';
import { isSameMarker } from './marker.ts';
import type { GroupState, Json, Name, StayReason } from './model.ts';
import { close, raise } from './notices.ts';
import { watchHolds } from './operate.ts';
import { SWITCH_END_MS } from './pace.ts';
import { knownDrills, learnDrill } from './rehearse.ts';
import { situation } from './situation.ts';
import {
  type Cell,
  type Drain,
  type Freeze,
  follows,
  isShared,
  isSwitching,
  note,
  type RecordDoc,
  type RecordState,
  type State,
  type Step,
} from './state.ts';
import { newDoc, review } from './steer.ts';
import { dropChoice, startLanes } from './switch.ts';
import { clearDeadline, setDeadline } from './timers.ts';
import { enqueue } from './zone.ts';

type Docs = readonly (readonly [key: string, value: Json | null])[];

/** What the group decided is what is so here. The store keeps a copy. */
export function learn(state: State, docs: Docs, whole: boolean, out: Step): void {
  const said = new Map(docs.filter(([key]) => isShared(key)));
  if (whole) for (const key of known(state)) if (!said.has(key)) said.set(key, null);
  // What was released comes first: a record without a document goes on from there.
  const order = [...said].sort(([a], [b]) => rank(a) - rank(b));
  for (const [key, value] of order) learnOne(state, key, value, out);
  out.docs.push(...said);
  if (follows(state)) clearDeadline(state.timers, state.holds);
  else watchHolds(state);
  for (const name of state.records.keys()) review(state, name, out);
}

function rank(key: string): number {
  return key.startsWith('epoch/') ? 0 : 1;
}

/** Of what decides, the keys that are known here. */
function known(state: State): string[] {
  return [
    ...[...state.records.keys(), ...state.asleep.keys()].map((name) => `record/${name}`),
    ...[...state.released.keys()].map((name) => `epoch/${name}`),
    ...[...state.drains.keys()].map((what) => `drain/${what}`),
    ...[...state.drilled.keys()].map((name) => `${RUNS_KEY}${name}`),
    ...knownDrills(state),
    'freeze',
  ];
}

function learnOne(state: State, key: string, value: Json | null, out: Step): void {
  const name = key.slice(key.indexOf('/') + 1);
  if (key === 'freeze') state.freeze = value as Freeze | null;
  else if (key.startsWith('drain/')) {
    if (value === null) state.drains.delete(name);
    else state.drains.set(name, value as unknown as Drain);
  } else if (key.startsWith(RUNS_KEY)) keepRuns(state, key, value);
  else if (key.startsWith('drill/')) learnDrill(state, key, value);
  else if (key.startsWith('epoch/')) {
    if (value === null) state.released.delete(name);
    else state.released.set(name, value as number);
  } else learnRecord(state, name, value as unknown as RecordDoc | null, out);
}

function learnRecord(state: State, name: Name, doc: RecordDoc | null, out: Step): void {
  const r = state.records.get(name);
  if (r === undefined) {
    if (doc === null) state.asleep.delete(name);
    else state.asleep.set(name, doc);
    return;
  }
  const was = r.doc;
  r.doc = { ...newDoc(), epochMax: state.released.get(name) ?? 0, ...doc };
  r.prior = null;
  state.unmarked.delete(name);
  dropChoice(state, r);
  const [before, after] = [was.marker, r.doc.marker];
  if (before !== null && (after === null || after.epoch < before.epoch)) {
    const what = `epoch ${before.epoch} on ${was.target} is not known to be the group's`;
    const sentence = `${name}: ${what}: it is not in force here`;
    note(out, 'undone', name, sentence, { epoch: before.epoch, target: was.target });
  }
  const isSame = before !== null && after !== null && isSameMarker(before, after);
  if (isSame && was.cname === r.doc.cname) return;
  if (follows(state)) for (const cell of r.cells.values()) watchAnew(state, cell);
  else startLanes(state, r);
}

/** Another is in force: what was seen of the one before counts no longer. */
function watchAnew(state: State, cell: Cell): void {
  cell.wrote = false;
  cell.writtenAt = null;
  cell.visibleAt = null;
  cell.right = 0;
  cell.problem = null;
  cell.held = false;
  cell.askAfterMs = ASK_CAP_MS;
  setDeadline(state.timers, cell.deadlines.ask, state.now);
}

/** Another acts: what was about to be written is not, and what was chosen is not done. */
export function stepBack(state: State): void {
  clearDeadline(state.timers, state.holds);
  for (const r of state.records.values()) {
    dropChoice(state, r);
    r.prior = null;
    clearDeadline(state.timers, r.deadlines.endSwitch);
    for (const cell of r.cells.values()) {
      cell.ahead = null;
      cell.edited = null;
      if (cell.work !== 'write') continue;
      cell.work = 'read';
      cell.change = null;
      enqueue(state, r, cell, false);
    }
  }
  state.unmarked.clear();
}

/** It acts from now on: what only the one who acts says and ends is said and ended here. */
export function stepUp(state: State): void {
  watchHolds(state);
  for (const lane of state.lanes.values()) if (lane.silence !== null) lane.silence.told = false;
  for (const cloud of state.clouds.keys()) diagnoseSoon(state, cloud);
  // What the one before left half done ends here.
  for (const r of state.records.values()) {
    if (!isSwitching(r)) continue;
    const endsAt = (r.doc.decidedAt ?? state.now) + SWITCH_END_MS;
    setDeadline(state.timers, r.deadlines.endSwitch, Math.max(state.now, endsAt));
  }
}

/** How the group is; each replica tells of what ails it. */
export function onGroup(state: State, group: GroupState, out: Step): void {
  const was = state.group;
  state.group = group;
  const about = { kind: 'group' } as const;
  const { word, sentence } = group;
  if (word !== null) {
    const self = state.config.group?.self ?? '';
    if (was?.word !== word) note(out, 'group', null, sentence, { word });
    raise(state, about, word, { sentence: `${self}: ${sentence}`, data: { word } }, out);
  } else if (was !== null && was.word !== null) {
    note(out, 'group', null, 'the group is well again', { word: null });
    close(state, about, `${state.config.group?.self ?? ''}: the group is well again`, out);
  }
  if (was?.acts === group.acts && was?.word === word) return;
  for (const name of state.records.keys()) review(state, name, out);
}

/** What a replica that does not act says of a record: who does, and what would be decided here. */
export function follow(
  state: State,
  r: RecordState,
): { readonly sentence: string; readonly would: Decision } {
  const { acts, word, sentence } = state.group!;
  const would = decide({ ...situation(state, r, null), leader: true });
  const who =
    word !== null ? `nobody acts: ${sentence}` : acts === null ? 'nobody acts' : `${acts} acts`;
  const here = would.kind === 'stay' ? `it would stay: ${would.sentence}` : would.sentence;
  return { sentence: `${who}; by what is seen here ${here}`, would };
}

/** Whether nobody knows if what is in force is right: nobody acts, or what is seen here says so. */
export function isUnsure(
  state: State,
  would: Decision,
  unsure: (reason: StayReason) => boolean,
): boolean {
  const { acts, word } = state.group!;
  if (acts === null || word !== null) return true;
  return would.kind === 'stay' && unsure(would.reason);
}
