// Times of the week and of the calendar as the configuration writes them (`Tue 10:00`, `daily
// 10:00`, `Sun 02:00-04:00`, `2026-12-24T00:00/2026-12-27T00:00`), and when they are on the wall
// clock of a time zone. Pure. Days with 23 or 25 hours are days as well: it must never add up hours
// where a clock on the wall would be looked at.

import { parseDuration, printDuration } from '../kit/schema.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const DAY_MIN = 1440;
const dayNames = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const;
/** The longest that one stretch may be. */
const ONCE_MOST_MS = 366 * DAY_MS;

/** Moments that come again. */
export type Schedule =
  | { readonly kind: 'every'; readonly ms: number; readonly text: string }
  /** `minute` of the day, on these days of the week (0: Sunday). */
  | {
      readonly kind: 'at';
      readonly days: readonly number[];
      readonly minute: number;
      readonly text: string;
    };

/** Stretches of time, once or each week. */
export type Window =
  /** It begins at a minute of these days; `length` in minutes of the clock on the wall. */
  | {
      readonly kind: 'weekly';
      readonly days: readonly number[];
      readonly minute: number;
      readonly length: number;
      readonly text: string;
    }
  | {
      readonly kind: 'once';
      /** As a clock shows it, as if it were UTC; with an offset it is the same everywhere. */
      readonly from: { readonly ms: number; readonly offsetMs: number | null };
      readonly to: { readonly ms: number; readonly offsetMs: number | null };
      readonly text: string;
    };

type Local = Extract<Window, { kind: 'once' }>['from'];

/** Milliseconds since 1970; `to` is no longer in it. */
interface Span {
  readonly fromWall: number;
  readonly toWall: number;
}

export const scheduleNotation =
  'expected a period such as 6h, or a time such as Tue 10:00, Mon,Thu 10:00 or daily 10:00';
export const windowNotation =
  'expected a time of the week such as Sun 02:00-04:00, daily 02:00-04:00 or Fri 22:00-Mon 06:00, ' +
  'or one such as 2026-12-24T00:00/2026-12-27T00:00';

/** Null where it is none. A period is from 1 minute to 90 days. */
export function parseSchedule(text: string): Schedule | null {
  const ms = parseDuration(text);
  if (ms !== null) {
    const fits = ms >= MINUTE_MS && ms <= 90 * DAY_MS;
    return fits ? { kind: 'every', ms, text: printDuration(ms) } : null;
  }
  const [, daysText = '', time = ''] = /^(\S+) (\d\d:\d\d)$/.exec(text) ?? [];
  const days = daysOf(daysText);
  const minute = minuteOf(time, DAY_MIN - 1);
  return days === null || minute === null ? null : { kind: 'at', days, minute, text };
}

/** Null where it is none. */
export function parseWindow(text: string): Window | null {
  return weeklyOf(text) ?? onceOf(text);
}

function weeklyOf(text: string): Window | null {
  const [, daysText = '', from = '', toDay, to = ''] =
    /^(\S+) (\d\d:\d\d) ?- ?(?:([A-Z][a-z]{2}) )?(\d\d:\d\d)$/.exec(text) ?? [];
  const days = daysOf(daysText);
  const minute = minuteOf(from, DAY_MIN - 1);
  const end = minuteOf(to, DAY_MIN);
  if (days === null || minute === null || end === null) return null;
  const kind = 'weekly';
  if (toDay === undefined) {
    // What ends no later than it begins ends on the next day.
    const length = end - minute + (end <= minute ? DAY_MIN : 0);
    return { kind, days, minute, length, text };
  }
  const [day, ...more] = days;
  const last = daysOf(toDay);
  if (more.length > 0 || last === null || day === undefined) return null;
  const between = ((last[0]! - day + 7) % 7) * DAY_MIN + end - minute;
  const length = between <= 0 ? between + 7 * DAY_MIN : between;
  return { kind, days, minute, length, text };
}

function onceOf(text: string): Window | null {
  const [fromText, toText, ...more] = text.split('/');
  const [from, to] = [localOf(fromText ?? ''), localOf(toText ?? '')];
  if (more.length > 0 || from === null || to === null) return null;
  const isOneKind = (from.offsetMs === null) === (to.offsetMs === null);
  const length = to.ms - (to.offsetMs ?? 0) - (from.ms - (from.offsetMs ?? 0));
  if (!isOneKind || length <= 0 || length > ONCE_MOST_MS) return null;
  return { kind: 'once', from, to, text };
}

/** `2026-12-24T00:00`, with `Z` or `+08:00` or without. */
function localOf(text: string): Local | null {
  const match = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(Z|[+-]\d\d:\d\d)?$/.exec(text);
  if (match === null) return null;
  const [year, month, day, hour, minute] = match.slice(1, 6).map(Number) as number[];
  const ms = Date.UTC(year!, month! - 1, day!, hour!, minute!);
  // What Date.UTC carries over was no date.
  const isReal = new Date(ms).toISOString().slice(0, 16) === text.slice(0, 16);
  return isReal ? { ms, offsetMs: offsetOf(match[6]) } : null;
}

function offsetOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  if (text === 'Z') return 0;
  const minutes = Number(text.slice(1, 3)) * 60 + Number(text.slice(4, 6));
  return (text.startsWith('-') ? -1 : 1) * minutes * MINUTE_MS;
}

function daysOf(text: string): readonly number[] | null {
  if (text === 'daily') return [0, 1, 2, 3, 4, 5, 6];
  const days = text.split(',').map((name) => dayNames.indexOf(name as 'Sun'));
  return days.includes(-1) || new Set(days).size < days.length ? null : days;
}

function minuteOf(text: string, most: number): number | null {
  const [hours, minutes] = text.split(':').map(Number) as [number, number];
  const minute = hours * 60 + minutes;
  return /^\d\d:\d\d$/.test(text) && minutes < 60 && minute <= most ? minute : null;
}

// ---------------------------------------------------------------- on the wall clock of a zone

const formats = new Map<string, Intl.DateTimeFormat>();

/** Throws RangeError where there is no such zone. */
function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone);
  if (known !== undefined) return known;
  const number = 'numeric';
  const format = new Intl.DateTimeFormat('en-US', {
    ...{ timeZone: zone, calendar: 'gregory', numberingSystem: 'latn', hourCycle: 'h23' },
    ...{ year: number, month: number, day: number, hour: number, minute: number, second: number },
  });
  formats.set(zone, format);
  return format;
}

/** Whether it is a zone of the IANA database, as this program has it. */
export function isZone(name: string): boolean {
  // An offset is no zone: it has no summer.
  if (/^[+-]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** What a clock in the zone shows at a moment, as if it were UTC. */
function shownAt(zone: string, wall: number): number {
  const part: Record<string, number> = {};
  for (const { type, value } of formatOf(zone).formatToParts(wall)) part[type] = Number(value);
  const { year, month, day, hour, minute, second } = part;
  return Date.UTC(year!, month! - 1, day!, hour!, minute!, second!);
}

/** How far the zone's clock is before UTC's. */
function offsetAt(zone: string, wall: number): number {
  const whole = Math.floor(wall / 1000) * 1000;
  return shownAt(zone, whole) - whole;
}

/**
 * The moment at which a clock in the zone shows this; where it does so twice the first or the last.
 * Where it never does, for the clock was put forward over it: when that was done.
 */
function momentOf(zone: string, { ms, offsetMs }: Local, which: 'early' | 'late'): number {
  if (offsetMs !== null) return ms - offsetMs;
  const before = offsetAt(zone, ms - DAY_MS);
  const after = offsetAt(zone, ms + DAY_MS);
  const found = [ms - before, ms - after].filter((wall) => wall + offsetAt(zone, wall) === ms);
  if (found.length > 0) return which === 'early' ? Math.min(...found) : Math.max(...found);
  let [low, high] = [ms - DAY_MS - before, ms + DAY_MS - after];
  while (high - low > 1000) {
    const middle = Math.floor((low + high) / 2000) * 1000;
    if (offsetAt(zone, middle) === before) low = middle;
    else high = middle;
  }
  return high;
}

/**
 * The days around a moment in the zone, the first of them so many before: their midnights as shown.
 */
function* daysFrom(zone: string, wall: number, back: number, count: number): Generator<number> {
  const today = Math.floor(shownAt(zone, wall) / DAY_MS) * DAY_MS;
  for (let day = -back; day < count - back; day++) yield today + day * DAY_MS;
}

/**
 * The stretch of a window that a moment is in (the one that lasts longest, where several are), and
 * when that is over or the next one begins; Infinity: never.
 */
export function lookAt(
  window: Window,
  zone: string,
  wall: number,
): { readonly span: Span | null; readonly changesWall: number } {
  let span: Span | null = null;
  let begins = Number.POSITIVE_INFINITY;
  for (const one of spansAround(window, zone, wall)) {
    if (one.toWall <= one.fromWall) continue;
    if (one.fromWall > wall) begins = Math.min(begins, one.fromWall);
    else if (one.toWall > wall && one.toWall > (span?.toWall ?? 0)) span = one;
  }
  return { span, changesWall: span?.toWall ?? begins };
}

function* spansAround(window: Window, zone: string, wall: number): Generator<Span> {
  if (window.kind === 'once') {
    const [fromWall, toWall] = [
      momentOf(zone, window.from, 'early'),
      momentOf(zone, window.to, 'late'),
    ];
    yield { fromWall, toWall };
    return;
  }
  for (const midnight of daysFrom(zone, wall, 8, 18)) {
    if (!window.days.includes(new Date(midnight).getUTCDay())) continue;
    const from = midnight + window.minute * MINUTE_MS;
    const local = (ms: number) => ({ ms, offsetMs: null });
    yield {
      fromWall: momentOf(zone, local(from), 'early'),
      toWall: momentOf(zone, local(from + window.length * MINUTE_MS), 'late'),
    };
  }
}

interface Moments {
  readonly last: number;
  readonly next: number;
}

/** What was worked out last, for it is asked of each thing that is scheduled alike. */
const worked = new WeakMap<Schedule, readonly (Moments & { readonly zone: string })[]>();

/** The last moment of a schedule at or before this one, and the next after it. */
export function momentsAround(
  schedule: Extract<Schedule, { kind: 'at' }>,
  zone: string,
  wall: number,
): Moments {
  const known = worked.get(schedule) ?? [];
  const found = known.find((one) => one.zone === zone && one.last <= wall && wall < one.next);
  if (found !== undefined) return found;
  const moments = workOut(schedule, zone, wall);
  worked.set(schedule, [{ ...moments, zone }, ...known.slice(0, 1)]);
  return moments;
}

function workOut(schedule: Extract<Schedule, { kind: 'at' }>, zone: string, wall: number): Moments {
  let [last, next] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (const midnight of daysFrom(zone, wall, 8, 18)) {
    if (!schedule.days.includes(new Date(midnight).getUTCDay())) continue;
    const at = { ms: midnight + schedule.minute * MINUTE_MS, offsetMs: null };
    const moment = momentOf(zone, at, 'early');
    if (moment <= wall) last = Math.max(last, moment);
    else next = Math.min(next, moment);
  }
  return { last, next };
}
