// Whose definition of a record is that of most replicas. Only that one is acted on: a file that is
// another on one machine moves nothing, and a change that goes from machine to machine needs no
// moment at which all have it. It compares hashes; it never looks at what stands in a definition.

import { converge } from './cell.ts';
import { endWithRecord, RUNS_KEY } from './drill.ts';
import { nextEpoch } from './marker.ts';
import type { Name } from './model.ts';
import { listOf } from './name.ts';
import { own } from './own.ts';
import { drop, type Eyes, note, put, type RecordDoc, type State, type Step } from './state.ts';

/** A replica in the minority says again after this that another should act. */
const YIELD_AGAIN_MS = 30_000;

type Definitions = Readonly<Record<Name, string>>;
/** Who is heard, and what it has; this one is the first. */
type Electorate = readonly (readonly [replica: string, records: Definitions])[];

/** Looks anew, where something has changed; the records whose situation it changes. */
export function agree(state: State, out: Step): readonly Name[] {
  const { eyes } = state;
  if (eyes === null) return [];
  if (eyes.isAgreed) {
    sayWho(state, eyes, out);
    return [];
  }
  eyes.isAgreed = true;
  const all = electorate(eyes);
  const touched: Name[] = [];
  for (const r of state.records.values()) {
    const sentence = differsIn(r.name, all);
    const was = r.differs;
    if (sentence === (was?.sentence ?? null)) continue;
    r.differs = sentence === null ? null : { sentence, sinceAt: was?.sinceAt ?? state.now };
    touched.push(r.name);
    // What waits to be written is looked at again: it is not written, or may be now.
    if (was !== null && sentence !== null) continue;
    for (const cell of r.cells.values()) {
      if (sentence === null || cell.work === 'write') converge(state, r, cell, false);
    }
  }
  eyes.minority = minorityOf(all);
  letAgreedGo(state, eyes, all, out);
  sayWho(state, eyes, out);
  return touched;
}

function electorate(eyes: Eyes): Electorate {
  const heard = [...eyes.others.values()].flatMap(({ name, heard: is, records }) =>
    is && records !== null ? [[name, records] as const] : [],
  );
  return [[eyes.self, eyes.records], ...heard];
}

/** Why a record's definition here is none to act on; null: most replicas that are heard share it. */
function differsIn(name: Name, all: Electorate): string | null {
  const mine = own(all[0]![1], name);
  const same = all.filter(([, records]) => own(records, name) === mine).map(([who]) => who);
  if (2 * same.length > all.length) return null;
  const others = all.map(([who]) => who).filter((who) => !same.includes(who));
  return (
    `its definition on ${listOf(same)} is not that on ${listOf(others)}, and most replicas that are ` +
    'heard must share it: bring the same file to all of them'
  );
}

/** The records that two replicas do not define alike. */
export function differing(a: Definitions, b: Definitions): Name[] {
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  return names.filter((name) => own(a, name) !== own(b, name));
}

/** Of how many records most replicas share another definition than each has. */
function strays(all: Electorate): readonly { readonly who: string; readonly names: Name[] }[] {
  const tallies = all.map(([who]) => ({ who, names: [] as Name[] }));
  const names = new Set(all.flatMap(([, records]) => Object.keys(records)));
  for (const name of names) {
    const hashes = all.map(([, records]) => own(records, name));
    const isMost = (hash: string | undefined) =>
      2 * hashes.filter((h) => h === hash).length > all.length;
    if (!hashes.some(isMost)) continue;
    for (const [i, hash] of hashes.entries()) if (!isMost(hash)) tallies[i]!.names.push(name);
  }
  return tallies;
}

/** Why another is to act: most share what this one has not, and somebody is nearer to them. */
function minorityOf(all: Electorate): string | null {
  const [mine, ...others] = strays(all);
  if (mine === undefined || mine.names.length === 0) return null;
  if (!others.some(({ names }) => names.length < mine.names.length)) return null;
  return `most replicas that are heard have another definition of ${listOf(mine.names)} than ${mine.who}`;
}

/** Who acts and is in the minority hands over. */
function sayWho(state: State, eyes: Eyes, out: Step): void {
  if (eyes.minority === null || !state.lease.held) return;
  if (eyes.yieldedAt >= 0 && state.now - eyes.yieldedAt < YIELD_AGAIN_MS) return;
  eyes.yieldedAt = state.now;
  note(out, 'lease', null, `hands over: ${eyes.minority}`, { held: true, term: state.lease.term });
  out.effects.push({ kind: 'yield', why: eyes.minority });
}

/**
 * What this one no longer has is released when no replica has it any more, and not before: until then
 * its document may still be acted on by another.
 */
function letAgreedGo(state: State, eyes: Eyes, all: Electorate, out: Step): void {
  if (!state.lease.held || all.length < eyes.others.size + 1) return;
  for (const name of eyes.leaving) {
    if (all.some(([, records]) => own(records, name) !== undefined)) continue;
    eyes.leaving.delete(name);
    const doc = state.asleep.get(name);
    state.asleep.delete(name);
    if (doc !== undefined) release(state, name, doc, out);
  }
}

/**
 * Rule 1: the epochs of a name never begin again, so that what stands there never overrules us. Only
 * where none is left do they, once a person has removed every marker and taken the name out: the cure
 * that `spentSays` tells. Where a marker was forgotten, reading it says the same again.
 */
export function release(state: State, name: Name, doc: RecordDoc, out: Step): void {
  const { drill, epochMax } = doc;
  if (drill !== null) endWithRecord(state, name, drill, out);
  drop(out, `record/${name}`);
  if (state.drilled.delete(name)) drop(out, `${RUNS_KEY}${name}`);
  if (nextEpoch(epochMax) === null) {
    state.released.delete(name);
    drop(out, `epoch/${name}`);
    return;
  }
  if (epochMax === 0) return;
  state.released.set(name, epochMax);
  put(out, `epoch/${name}`, epochMax);
}
