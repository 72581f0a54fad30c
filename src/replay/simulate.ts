// `detour simulate`, but for its command line: from what was asked to a result that can be printed.
// One place that reads the order, finds the outage, changes the thresholds and says what is wrong
// with any of it. It opens no connection and writes no file.

import { type Config, parseConfig } from '../config/config.ts';
import type { Tables } from '../config/tables.ts';
import { notAmong, spelt } from '../core/name.ts';
import { parseDuration } from '../kit/schema.ts';
import { exampleName, exampleText } from './example.ts';
import { replayJournal } from './journal.ts';
import { findOutage, type Outage, outages, spanOf } from './outages.ts';
import { pageOf } from './page.ts';
import { readJournal } from './recorded.ts';
import { type Eviction, replay, usualEviction } from './replay.ts';
import { InputError, parseSetting, parseSweep, type Setting, withSettings } from './settings.ts';
import { standIns } from './struck.ts';
import { sweep } from './sweep.ts';
import {
  type About,
  type Paper,
  printJournal,
  printList,
  printReplay,
  printSweep,
} from './text.ts';

export { InputError } from './settings.ts';

/** As it stood on the command line; null where it did not. */
export interface Order {
  readonly outage: string | null;
  readonly config: string | null;
  readonly as: string | null;
  readonly set: readonly string[];
  readonly sweep: string | null;
  readonly journal: string | null;
  readonly loss: string | null;
  readonly seed: string | null;
  readonly back: boolean;
  readonly evictAfter: string | null;
  readonly parentTtl: string | null;
}

export interface Simulated {
  /** Plain JSON. */
  readonly json: object;
  text(paper: Paper): string;
  /** One HTML page; null where there is nothing to draw. */
  readonly html: (() => string) | null;
}

interface Surroundings {
  readonly tables: Tables;
  /** Reads a configuration from a file; throws what says why not. */
  load(path: string): Config;
  /** The configuration of a daemon on this machine, for a journal. */
  readonly defaultConfig: string;
}

/** Throws InputError, whose message names what is wrong and the cure, and whatever `load` throws. */
export function simulate(order: Order, around: Surroundings): Simulated {
  const settings = settingsOf(order.set);
  const seed = wholeOf('--seed', order.seed ?? '1');
  const loss = shareOf(order.loss ?? '0');
  if (order.journal !== null) return journalOf(order, order.journal, around, settings, seed);
  if (order.outage === null) {
    const needs = order.sweep !== null || order.as !== null || order.back || asksEviction(order);
    refuse(needs, 'no outage is named: `detour simulate` lists them');
    return listOf();
  }
  const outage = outageOf(order.outage);
  const { config, through } = configOf(order, around);
  if (order.sweep !== null) {
    refuse(order.back, '--sweep and --back do not go together: leave one out');
    refuse(
      asksEviction(order),
      '--sweep counts no eviction: leave --evict-after, --parent-ttl out',
    );
    return sweepOf(order, outage, config, { through, settings, seed, loss }, around);
  }
  const changed = withSettings(config.core, settings, around.tables);
  const about: About = { through, settings, notes: changed.notes };
  const { as, back } = order;
  const run = { ...config, core: changed.core };
  const eviction = evictionOf(order);
  const result = replay({ config: run, outage, as, seed, loss, back, eviction });
  if (result === null) throw noStandIn(config, as!, through);
  const shown = () => spelt(result, config.core.spelling);
  return {
    json: { ...result, through, settings, notes: [...about.notes, ...result.notes] },
    text: (paper) => printReplay(shown(), about, paper),
    html: () => pageOf(shown(), about),
  };
}

function listOf(): Simulated {
  const json = outages.map((o) => {
    const { beganAt, calmAt } = spanOf(o);
    const times = { began: new Date(beganAt).toISOString(), minutes: (calmAt - beganAt) / 60_000 };
    const { id, title, failed, worked, lesson, sources, assumed } = o;
    return { id, title, ...times, failed, worked, lesson, sources, assumed };
  });
  return { json, text: printList, html: null };
}

interface SweepAbout {
  readonly through: string;
  readonly settings: readonly Setting[];
  readonly seed: number;
  readonly loss: number;
}

function sweepOf(
  order: Order,
  outage: Outage,
  config: Config,
  { through, settings, seed, loss }: SweepAbout,
  { tables }: Surroundings,
): Simulated {
  const combinations = parseSweep(order.sweep!);
  const twice = settings.find((s) => combinations[0]!.some((c) => c.key === s.key));
  if (twice !== undefined) {
    throw new InputError(`${twice.key} stands in --set and in --sweep: keep one of them`);
  }
  const whole = combinations.map((row) => [...settings, ...row]);
  const plain = { config, outage, as: order.as, seed, loss, tables };
  const result = sweep({ ...plain, combinations: whole });
  if (result === null) throw noStandIn(config, order.as!, through);
  const about: About = { through, settings, notes: [] };
  return {
    json: { outage: outage.id, as: order.as, through, seed, loss, ...result },
    text: (paper) => printSweep(spelt(result, config.core.spelling), outage, about, loss, paper),
    html: null,
  };
}

function journalOf(
  order: Order,
  path: string,
  around: Surroundings,
  settings: readonly Setting[],
  seed: number,
): Simulated {
  const alone = [order.outage, order.as, order.sweep, order.loss].some((one) => one !== null);
  refuse(
    alone || order.back || asksEviction(order),
    '--journal replays what was recorded: leave out the outage, --as, --sweep, --loss, --back, ' +
      '--evict-after and --parent-ttl',
  );
  const through = order.config ?? around.defaultConfig;
  const { file, entries } = readJournal(path);
  const config = around.load(through);
  const changed = withSettings(config.core, settings, around.tables);
  const result = replayJournal(file, entries, config, changed.core, seed);
  const about: About = { through, settings, notes: changed.notes };
  return {
    json: { ...result, through, settings, notes: [...about.notes, ...result.notes] },
    text: (paper) => printJournal(spelt(result, config.core.spelling), about, paper),
    html: null,
  };
}

function configOf(order: Order, around: Surroundings): { config: Config; through: string } {
  if (order.config !== null) return { config: around.load(order.config), through: order.config };
  const parsed = parseConfig(exampleText, exampleName, around.tables);
  if (!parsed.ok) throw new Error(`${exampleName} is wrong: ${parsed.problems[0]?.message}`);
  return { config: parsed.config, through: exampleName };
}

function outageOf(word: string): Outage {
  const found = findOutage(word);
  if ('outage' in found) return found.outage;
  const names = found.closest.join(', ');
  const said = JSON.stringify(word.slice(0, 60));
  throw new InputError(
    found.many
      ? `${said} could be ${names}: name one of them`
      : `there is no outage ${said}; the nearest are ${names}. \`detour simulate\` lists them all`,
  );
}

function noStandIn(config: Config, as: string, through: string): InputError {
  return new InputError(`${through}: ${notAmong('cloud, provider or path', as, standIns(config))}`);
}

function asksEviction({ evictAfter, parentTtl }: Order): boolean {
  return evictAfter !== null || parentTtl !== null;
}

function evictionOf({ evictAfter, parentTtl }: Order): Eviction {
  return {
    afterMs: spanMs('--evict-after', evictAfter, usualEviction.afterMs),
    parentTtlMs: spanMs('--parent-ttl', parentTtl, usualEviction.parentTtlMs),
  };
}

function spanMs(option: string, text: string | null, usual: number): number {
  const ms = text === null ? usual : parseDuration(text);
  if (ms !== null && ms >= 1000 && ms <= 7 * 86_400_000) return ms;
  const said = JSON.stringify((text ?? '').slice(0, 60));
  throw new InputError(`${option} ${said}: expected a duration from 1s to 7d, such as 10m`);
}

function settingsOf(texts: readonly string[]): readonly Setting[] {
  const settings = texts.map(parseSetting);
  const twice = settings.find((s, i) => settings.some((t, j) => j < i && t.key === s.key));
  if (twice !== undefined) throw new InputError(`${twice.key} is set twice: keep one`);
  return settings;
}

function wholeOf(option: string, text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InputError(`${option} ${JSON.stringify(text.slice(0, 60))}: expected a whole number`);
}

/** `5%` or `0.05`, up to a half. */
function shareOf(text: string): number {
  const [, number = '', percent] = /^(\d{1,3}(?:\.\d{1,6})?)(%?)$/.exec(text.trim()) ?? [];
  const share = number === '' ? Number.NaN : Number(number) / (percent === '%' ? 100 : 1);
  if (share >= 0 && share <= 0.5) return share;
  const said = JSON.stringify(text.slice(0, 60));
  throw new InputError(`--loss ${said}: expected a share from 0% to 50%, such as 5%`);
}

function refuse(isWrong: boolean, message: string): void {
  if (isWrong) throw new InputError(message);
}
