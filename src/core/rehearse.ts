// What drills have come to: the last result of each is a document, made from the line of the journal
// that tells it, whoever made the drill. It begins no drill and decides nothing; and a result must
// never stand in the way of a decision.

import { type DrillDoc, type DrillKind, drillKinds, type Json } from './model.ts';
import {
  drop,
  type Event,
  follows,
  note,
  put,
  type Scheduled,
  type State,
  type Step,
} from './state.ts';

/** Characters of a sentence and of parts that a document holds: a group has little room. */
const SENTENCE_KEPT = 300;
const PARTS_KEPT = 500;

/** Tells of a drill that was made outside the loop. */
export function onRehearsed(out: Step, { drilled }: Extract<Event, { kind: 'rehearsed' }>): void {
  const { drill, name, result, ms, sentence, parts } = drilled;
  note(out, 'drill', drill === 'live' ? name : null, sentence, { drill, name, result, ms, parts });
}

/** Remembers since when each kind is scheduled, and forgets what is no longer configured. */
export function onScheduled(
  state: State,
  { kinds, names }: Extract<Event, { kind: 'scheduled' }>,
  out: Step,
): void {
  if (follows(state)) return;
  for (const kind of drillKinds) {
    const isOn = kinds.includes(kind);
    if (isOn === state.scheduled.has(kind)) continue;
    if (isOn) {
      const since = { at: state.now };
      state.scheduled.set(kind, since);
      put(out, `drill/since/${kind}`, since);
    } else {
      state.scheduled.delete(kind);
      drop(out, `drill/since/${kind}`);
    }
  }
  for (const [key, { drill, name }] of [...state.drills]) {
    if (names[drill].includes(name)) continue;
    state.drills.delete(key);
    drop(out, `drill/${key}`);
  }
}

/** Keeps what the lines of this step tell of drills that have ended. */
export function keepResults(state: State, out: Step): void {
  if (follows(state)) return;
  for (const entry of out.entries) {
    if (entry.kind !== 'drill') continue;
    const doc = resultOf(state, entry.sentence, entry.record, entry.data);
    if (doc === null) continue;
    const key = `${doc.drill}/${doc.name}`;
    state.drills.set(key, doc);
    put(out, `drill/${key}`, doc);
  }
}

/** The document of a result; null where the line tells none: one that began, or was refused. */
function resultOf(
  state: State,
  sentence: string,
  record: string | null,
  data: Json,
): DrillDoc | null {
  const said = (data ?? {}) as Readonly<Record<string, Json>>;
  const { drill, result, ms, parts = null } = said;
  const name = said['name'] ?? record;
  const isEnd = result === 'passed' || result === 'failed' || result === 'broken-off';
  if (!drillKinds.includes(drill as DrillKind) || !isEnd || typeof name !== 'string') return null;
  return {
    drill: drill as DrillKind,
    name,
    result,
    at: state.now,
    ms: typeof ms === 'number' ? ms : null,
    sentence: sentence.slice(0, SENTENCE_KEPT),
    // All of it stands in the journal.
    parts: JSON.stringify(parts).length > PARTS_KEPT ? null : parts,
  };
}

/** Takes over what the store or the group has under a key of drills. */
export function learnDrill(state: State, key: string, value: Json | null): void {
  const rest = key.slice('drill/'.length);
  if (rest.startsWith('since/')) {
    const kind = rest.slice('since/'.length) as DrillKind;
    if (value === null) state.scheduled.delete(kind);
    else state.scheduled.set(kind, value as unknown as Scheduled);
  } else if (value === null) state.drills.delete(rest);
  else state.drills.set(rest, value as unknown as DrillDoc);
}

/** The keys of what is known here. */
export function knownDrills(state: State): readonly string[] {
  const since = [...state.scheduled.keys()].map((kind) => `since/${kind}`);
  return [...state.drills.keys(), ...since].map((rest) => `drill/${rest}`);
}
