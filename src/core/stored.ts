// Whether documents of the store are what Detour writes. SQLite sees a damaged page, not a damaged
// value, and a core that starts from a document of another shape fails later, somewhere, again and
// again. This only looks: it must never mend a document, because what it would put in the place of
// a pin or a budget is an invention. A field that is missing is the work of an earlier version.

import { MARKER_NUMBER_MAX } from './marker.ts';
import { drillKinds, type Json } from './model.ts';

/**
 * Of what is stored: the tables and the documents in them. Raised where an earlier version would
 * misread them or call them damaged, so that it refuses them by this number, in clear words.
 */
export const stateVersion = 1;

/** `DTOR` in the file's header: tells the file from any other SQLite database. */
export const stateId = 0x44544f52;

type Check = (value: unknown) => boolean;
type Fields = Readonly<Record<string, Check>>;

const isText: Check = (value) => typeof value === 'string';
const isTime: Check = (value) => typeof value === 'number' && Number.isFinite(value);
const isFlag: Check = (value) => typeof value === 'boolean';
const isCount: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const isMarkerNumber: Check = (value) => isCount(value) && (value as number) <= MARKER_NUMBER_MAX;

const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);

const oneOf =
  (...words: readonly string[]): Check =>
  (value) =>
    words.includes(value as string);

const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);

const mapOf =
  (check: Check): Check =>
  (value) =>
    isObject(value) && Object.values(value).every(check);

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The name of the first field that is not what it must be; null when all are. */
function wrongField(value: Readonly<Record<string, unknown>>, fields: Fields): string | null {
  const wrong = Object.entries(fields).find(
    ([name, check]) => Object.hasOwn(value, name) && !check(value[name]),
  );
  return wrong?.[0] ?? null;
}

const whole =
  (fields: Fields): Check =>
  (value) =>
    isObject(value) &&
    Object.keys(fields).every((name) => Object.hasOwn(value, name)) &&
    wrongField(value, fields) === null;

const heldFields: Fields = { reason: isText, by: isText, sinceAt: isTime };

/** One that may end by itself; without a word of it, it does not. */
const isHeld =
  (more: Fields): Check =>
  (value) =>
    whole({ ...heldFields, ...more })(value) &&
    wrongField(value as Readonly<Record<string, unknown>>, { untilAt: orNull(isTime) }) === null;

const markerFields: Fields = {
  cluster: isText,
  epoch: isMarkerNumber,
  id: isText,
  term: isMarkerNumber,
  kind: oneOf('auto', 'operator'),
  target: isText,
  pinned: isFlag,
};

/** An earlier version has no length of the pin. */
const isMarker: Check = (value) =>
  whole(markerFields)(value) &&
  wrongField(value as Readonly<Record<string, unknown>>, {
    pinMs: orNull(isMarkerNumber),
    mac: isText,
  }) === null;

const isPlaced = whole({ cname: isText, marker: isMarker });
const isLate = whole({ value: isText, at: isTime });

const isPin = whole({
  target: isText,
  reason: isText,
  by: isText,
  sinceAt: isTime,
  untilAt: orNull(isTime),
});

const isMove = oneOf('target-down', 'drained', 'failback', 'drill');

const isApproval = whole({
  id: isText,
  from: isText,
  to: isText,
  why: isMove,
  overspends: isFlag,
  epoch: isMarkerNumber,
  sentence: isText,
  sinceAt: isTime,
  afterMs: orNull(isTime),
  answer: oneOf('none', 'approved', 'rejected'),
  answeredAt: orNull(isTime),
  by: orNull(isText),
});

const isHookRun = whole({
  id: isText,
  from: isText,
  to: isText,
  why: isMove,
  epoch: isMarkerNumber,
  beganAt: isTime,
  answer: oneOf('none', 'go', 'veto', 'silent'),
  answeredAt: orNull(isTime),
  detail: isText,
});

const isParts = listOf(
  whole({ provider: isText, writtenMs: orNull(isTime), visibleMs: orNull(isTime) }),
);

const isLiveDrill = whole({
  id: isText,
  from: isText,
  to: isText,
  stage: isText,
  byVendor: isFlag,
  watchMs: orNull(isTime),
  forMs: isTime,
  reason: isText,
  by: isText,
  sinceAt: isTime,
  stageAt: isTime,
  trouble: orNull(isText),
  parts: isParts,
});

const isPrepared = whole({
  ttl: isTime,
  reason: isText,
  by: isText,
  asked: isText,
  sinceAt: isTime,
  untilAt: isTime,
  ready: isFlag,
  parts: mapOf(whole({ from: isTime, ttl: isTime, at: orNull(isTime) })),
});

const isTurns = whole({ order: listOf(isText), openedAt: mapOf(isTime), watchMs: isTime });

const isRun = whole({
  id: isText,
  result: isText,
  from: isText,
  to: isText,
  byVendor: isFlag,
  at: isTime,
  ms: isTime,
  sentence: isText,
  parts: isParts,
  back: isParts,
});

const recordFields: Fields = {
  target: orNull(isText),
  cname: orNull(isText),
  marker: orNull(isMarker),
  epochMax: isMarkerNumber,
  decidedAt: orNull(isTime),
  endedAt: orNull(isTime),
  pin: orNull(isPin),
  switches: listOf(isTime),
  needless: listOf(isTime),
  overspentAt: orNull(isTime),
  quietSinceAt: isTime,
  deposed: orNull(isMarker),
  freeze: orNull(isHeld({})),
  claims: mapOf(oneOf('any', 'configured')),
  adopted: isFlag,
  placed: mapOf(isPlaced),
  since: isMarkerNumber,
  late: mapOf(isLate),
  wishes: mapOf(isTime),
  unheard: listOf(isText),
  left: orNull(isText),
  carried: mapOf(isTime),
  approval: orNull(isApproval),
  hook: orNull(isHookRun),
  drill: orNull(isLiveDrill),
  prepared: orNull(isPrepared),
  turns: orNull(isTurns),
};

const isSince = whole({ at: isTime });
const isDrill = whole({
  drill: oneOf(...drillKinds),
  name: isText,
  result: oneOf('passed', 'failed', 'broken-off'),
  at: isTime,
  ms: orNull(isTime),
  sentence: isText,
});

/** Of any version: what another one told of is dropped at the start. */
const isOpen: Check = (value) =>
  whole({ about: mapOf(isText), word: isText })(value) &&
  wrongField(value as Readonly<Record<string, unknown>>, { sentence: isText, sinceAt: isTime }) ===
    null;

/** How long switches took at a provider. */
const isMeasured = whole({
  samples: listOf(whole({ writeMs: isTime, visibleMs: isTime, at: isTime })),
});

const isAbsences = whole({ absences: listOf(whole({ at: isTime, ms: isTime })) });

/**
 * Names the first document that Detour cannot have written: `document record/www.example.net.: its
 * switches are not what Detour writes`. Null when all are sound. Quotes no value.
 */
export function storedProblem(docs: Readonly<Record<string, Json>>): string | null {
  for (const [key, value] of Object.entries(docs)) {
    const wrong = problemOf(key, value);
    if (wrong !== null) return `document ${key.slice(0, 300)}: ${wrong}`;
  }
  return null;
}

function problemOf(key: string, value: Json): string | null {
  const strange = 'it is not what Detour writes';
  if (key.startsWith('record/')) {
    if (!isObject(value)) return strange;
    const field = wrongField(value, recordFields);
    return field === null ? null : `its ${field} is not what Detour writes`;
  }
  if (key.startsWith('epoch/')) return isMarkerNumber(value) ? null : strange;
  if (key === 'term') return isCount(value) ? null : strange;
  if (key === 'freeze') return isHeld({})(value) ? null : strange;
  if (key.startsWith('runs/')) return whole({ runs: listOf(isRun) })(value) ? null : strange;
  if (key.startsWith('drill/')) {
    const isSound = key.startsWith('drill/since/') ? isSince : isDrill;
    return isSound(value) ? null : strange;
  }
  if (key.startsWith('open/')) return isOpen(value) ? null : strange;
  if (key.startsWith('absences/')) return isAbsences(value) ? null : strange;
  if (key.startsWith('measured/')) return isMeasured(value) ? null : strange;
  if (!key.startsWith('drain/')) return null;
  return isHeld({ what: isText })(value) ? null : strange;
}

// ---------------------------------------------------------------- an earlier version's

/** A record's document as this version keeps it, whichever version has written it. */
export function ofToday(doc: Json): Json {
  return shiftFields(doc, { marker: lengthened, deposed: lengthened }) as Json;
}

/**
 * Up to 0.2 a marker said until when its pin holds, and here that is read as a length: it stands so
 * at the vendors, and is the same marker only if it is remembered so. The pin ends by its own word.
 */
function lengthened(marker: unknown): unknown {
  if (!isObject(marker) || !Object.hasOwn(marker, 'untilWall')) return marker;
  const { untilWall, ...rest } = marker;
  return { pinMs: untilWall, ...rest };
}

// ---------------------------------------------------------------- another's time

/** Some fields of a document, each by its own rule; whatever else it has stays as it is. */
function shiftFields(doc: unknown, rules: Readonly<Record<string, (value: unknown) => unknown>>) {
  if (!isObject(doc)) return doc;
  const entries = Object.entries(doc).map(([name, value]) => {
    return [name, Object.hasOwn(rules, name) ? rules[name]!(value) : value] as const;
  });
  return Object.fromEntries(entries);
}

/**
 * A document with every engine time in it `ms` later: replicas' clocks differ, and each lays the
 * group's time on its own. A document of a kind that bears no time, and null, come back as they are.
 */
export function shifted(key: string, doc: Json, ms: number): Json {
  const at = (value: unknown) => (typeof value === 'number' ? value + ms : value);
  const list = (value: unknown) => (Array.isArray(value) ? value.map(at) : value);
  const each = (rule: (value: unknown) => unknown) => (value: unknown) =>
    isObject(value)
      ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, rule(one)]))
      : value;
  const held = (value: unknown) => shiftFields(value, { sinceAt: at, untilAt: at });
  if (key === 'freeze' || key.startsWith('drain/')) return held(doc) as Json;
  const runs = (value: unknown) =>
    Array.isArray(value) ? value.map((one) => shiftFields(one, { at })) : value;
  if (key.startsWith('runs/')) return shiftFields(doc, { runs }) as Json;
  if (key.startsWith('drill/')) return shiftFields(doc, { at }) as Json;
  if (!key.startsWith('record/')) return doc;
  return shiftFields(doc, {
    decidedAt: at,
    endedAt: at,
    pin: held,
    switches: list,
    needless: list,
    overspentAt: at,
    quietSinceAt: at,
    freeze: held,
    late: each((value) => shiftFields(value, { at })),
    wishes: each(at),
    carried: each(at),
    approval: (value) => shiftFields(value, { sinceAt: at, answeredAt: at }),
    hook: (value) => shiftFields(value, { beganAt: at, answeredAt: at }),
    drill: (value) => shiftFields(value, { sinceAt: at, stageAt: at }),
    prepared: (value) =>
      shiftFields(value, {
        ...{ sinceAt: at, untilAt: at },
        parts: each((part) => shiftFields(part, { at })),
      }),
    turns: (value) => shiftFields(value, { openedAt: each(at) }),
  }) as Json;
}
