// Thresholds changed for a replay: `--set fall=5`, `--sweep fall=2..6,interval=1s..10s`. A value is
// read by the reader of configurations itself, as if it stood under `policy`, and then holds for
// every check and record, over what they say themselves. Pure. It never changes what the user has
// not named, except where a threshold would otherwise mean nothing, and then it says so.

import { parseConfig } from '../config/config.ts';
import type { Tables } from '../config/tables.ts';
import { newestBehaviour } from '../core/engine.ts';
import type { CheckConfig, CoreConfig, RecordConfig } from '../core/model.ts';
import { parseDuration, printDuration } from '../kit/schema.ts';
import { exampleText } from './example.ts';

/** Wrong input: the message names it and the cure. */
export class InputError extends Error {}

export interface Setting {
  readonly key: string;
  readonly value: string;
}

/** What may be set, and from where in a configuration its meaning is taken. */
const checkFields: Readonly<Record<string, keyof CheckConfig>> = {
  interval: 'intervalMs',
  timeout: 'timeoutMs',
  confirm: 'confirmMs',
  fall: 'fall',
  rise: 'rise',
};
const recordFields: Readonly<Record<string, keyof RecordConfig>> = {
  patience: 'patienceMs',
  patienceMax: 'patienceMaxMs',
  failback: 'failback',
  switchesPerHour: 'switchesPerHour',
};
const keys = [
  ...Object.keys(checkFields),
  ...Object.keys(recordFields),
  ...['detector', 'falseSwitches', 'behaviour'],
];

/** More than these are no table that anybody reads. */
const COMBINATIONS_MOST = 200;
const STEPS_MOST = 10;

/** `KEY=VALUE`. Throws InputError. */
export function parseSetting(text: string): Setting {
  const [, key = '', value = ''] = /^\s*([A-Za-z]+)\s*=\s*(.+?)\s*$/.exec(text) ?? [];
  if (key === '')
    throw new InputError(`${quote(text)} is no setting: write KEY=VALUE, such as fall=5`);
  if (!keys.includes(key)) {
    throw new InputError(`${quote(key)} cannot be set: there are ${keys.join(', ')}`);
  }
  return { key, value };
}

/** A configuration under changed thresholds, and what had to be added. Throws InputError. */
export function withSettings(
  core: CoreConfig,
  settings: readonly Setting[],
  tables: Tables,
): { readonly core: CoreConfig; readonly notes: readonly string[] } {
  if (settings.length === 0) return { core, notes: [] };
  const given = new Map(settings.map((s) => [s.key, s.value]));
  const notes: string[] = [];
  const said = given.get('behaviour');
  given.delete('behaviour');
  if (said !== undefined) core = { ...core, behaviour: behaviourOf(said) };
  if (given.size === 0) return { core, notes };
  const counts = ['fall', 'rise'].filter((key) => given.has(key));
  const kind =
    given.get('detector') ?? (given.has('falseSwitches') ? 'sequential' : core.detector.kind);
  if (counts.length > 0 && kind !== 'counters' && !given.has('detector')) {
    given.set('detector', 'counters');
    notes.push(
      `${counts.join(' and ')} mean${counts.length > 1 ? '' : 's'} something to counters alone: ` +
        'replayed with detector=counters',
    );
  }
  const read = readPolicy(given, tables);
  const [check, record] = [Object.values(read.checks)[0]!, Object.values(read.records)[0]!];
  const of = <T extends object>(fields: Readonly<Record<string, keyof T>>, from: T): Partial<T> => {
    const named = Object.entries(fields).filter(([key]) => given.has(key));
    return Object.fromEntries(named.map(([, field]) => [field, from[field]])) as Partial<T>;
  };
  const [forChecks, forRecords] = [of(checkFields, check), of(recordFields, record)];
  const each = <T extends object>(all: Readonly<Record<string, T>>, more: Partial<T>) =>
    Object.fromEntries(Object.entries(all).map(([name, one]) => [name, { ...one, ...more }]));
  const detects = given.has('detector') || given.has('falseSwitches');
  const changed: CoreConfig = {
    ...core,
    checks: each(core.checks, forChecks),
    records: each(core.records, forRecords),
    ...(detects ? { detector: read.detector } : {}),
  };
  for (const c of Object.values(changed.checks)) {
    if (c.timeoutMs <= 3 * c.intervalMs) continue;
    const [timeout, interval] = [printDuration(c.timeoutMs), printDuration(c.intervalMs)];
    throw new InputError(
      `${c.id} would have a timeout of ${timeout} at an interval of ${interval}: at most three ` +
        'intervals; set timeout as well',
    );
  }
  return { core: changed, notes };
}

function behaviourOf(text: string): number {
  const number = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  if (number <= newestBehaviour) return number;
  throw new InputError(
    `behaviour=${text.slice(0, 60)}: expected a whole number from 0 (as the first version decided) ` +
      `to ${newestBehaviour} (as this one does)`,
  );
}

/** The policy as the reader of configurations takes it, in a configuration made up for it. */
function readPolicy(given: ReadonlyMap<string, string>, tables: Tables): CoreConfig {
  const lines = [...given].map(([key, value]) => {
    const text = /^\d+$/.test(value) ? value : JSON.stringify(value);
    return `  ${key}: ${key === 'failback' && value !== 'manual' ? `{ after: ${text} }` : text}\n`;
  });
  const parsed = parseConfig(`${exampleText}policy:\n${lines.join('')}`, 'settings', tables);
  if (parsed.ok) return parsed.config.core;
  const said = parsed.problems.map(
    ({ path, message }) => `${path.replace(/^policy\./, '')}: ${message}`,
  );
  throw new InputError(said.join('; '));
}

/**
 * `fall=2..6,interval=1s..10s,patience=0s|10s`: every combination, the first key turning slowest.
 * A range of durations goes in at most ten steps. Throws InputError.
 */
export function parseSweep(text: string): readonly (readonly Setting[])[] {
  let all: Setting[][] = [[]];
  const seen = new Set<string>();
  for (const part of text.split(',')) {
    const { key, value } = parseSetting(part);
    if (seen.has(key)) throw new InputError(`${key} stands twice in the sweep: keep one`);
    seen.add(key);
    const values = value.split('|').flatMap((one) => rangeOf(key, one.trim()));
    all = all.flatMap((row) => values.map((v) => [...row, { key, value: v }]));
    if (all.length > COMBINATIONS_MOST) {
      throw new InputError(
        `the sweep has more than ${COMBINATIONS_MOST} combinations: narrow a range, or name the ` +
          'values, such as interval=1s|5s|10s',
      );
    }
  }
  return all;
}

function rangeOf(key: string, text: string): string[] {
  const [, from, to] = /^(.+?)\.\.(.+)$/.exec(text) ?? [];
  if (from === undefined || to === undefined) return [text];
  const wrong = (why: string) => new InputError(`${key}=${text}: ${why}`);
  if (/^\d{1,4}$/.test(from) && /^\d{1,4}$/.test(to)) {
    const [least, most] = [Number(from), Number(to)];
    if (most < least) throw wrong('the range runs backwards');
    if (most - least >= COMBINATIONS_MOST) throw wrong('the range has too many values');
    return Array.from({ length: most - least + 1 }, (_, i) => String(least + i));
  }
  const [leastMs, mostMs] = [parseDuration(from), parseDuration(to)];
  if (leastMs === null || mostMs === null) {
    throw wrong('expected a range of numbers or durations, such as 2..6 or 1s..10s');
  }
  if (mostMs < leastMs) throw wrong('the range runs backwards');
  const unit = [3_600_000, 60_000, 1000, 100, 10, 1].find((ms) => mostMs - leastMs >= ms) ?? 1;
  const step = unit * Math.max(1, Math.ceil((mostMs - leastMs) / unit / (STEPS_MOST - 1)));
  const values: string[] = [];
  for (let ms = leastMs; ms < mostMs; ms += step) values.push(printDuration(ms));
  return [...values, printDuration(mostMs)];
}

export function printSettings(settings: readonly Setting[]): string {
  return settings.map(({ key, value }) => `${key}=${value}`).join(' ');
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 60));
}
