// One's own journal against other thresholds. The journal holds when an origin was judged down and
// up again, not the probes between; so the replay lets each origin fail over that time, runs the real
// engine over it in virtual time, and counts the switches. What cannot be known from a journal is
// said, never filled in.

import type { Config } from '../config/config.ts';
import { newestBehaviour } from '../core/engine.ts';
import type { CheckId, CoreConfig, Entry, Name } from '../core/model.ts';
import type { StoredEntry } from '../ports.ts';
import {
  auditsOf,
  firstTargets,
  type Order,
  ordersOf,
  rulesOf,
  type Trouble,
  troublesOf,
} from './recorded.ts';
import { InputError } from './settings.ts';
import type { Affliction, Conditions } from './struck.ts';
import { calm, World } from './world.ts';

export interface JournalMove {
  readonly record: Name;
  readonly at: number;
  readonly from: string;
  readonly to: string;
  /** The origin it left was up again within patience and a TTL; null: the journal ends before. */
  readonly isFalse: boolean | null;
  /** When the origin was up again, after the decision; null: not in the journal. */
  readonly upAgainAfterMs: number | null;
}

export interface JournalReplay {
  readonly file: string;
  /** Wall-clock milliseconds of the first and the last entry. */
  readonly fromWall: number;
  readonly toWall: number;
  readonly entries: number;
  /** Times an origin was judged down. */
  readonly troubles: number;
  /** What the daemon itself decided, and would have, in mode observe. */
  readonly recorded: readonly JournalMove[];
  readonly replayed: readonly JournalMove[];
  readonly notes: readonly string[];
  readonly cannotKnow: readonly string[];
  readonly probes: number;
}

/** What a switch is called false by, in words. */
export const falseMeans =
  'false: the origin that was left was up again within patience and a TTL (the shortest at a ' +
  'vendor) of the decision, so that the switch had hardly begun to help';

const cannotKnow: readonly string[] = [
  'a journal has no probes, only when an origin was judged down and up: each trouble is replayed ' +
    'as a refusal of every probe by every path, begun and ended as long before those moments as ' +
    'judging takes at the configured thresholds',
  'a trouble too short for the thresholds it was recorded at is not in it: looser ones would ' +
    'have switched at least as often as shown, perhaps more often',
  'orders of operators are given again as they stand in it, whether or not there would have been ' +
    'cause for them; losses of paths and failures of vendors are not in it',
  'while an origin was unknown, or the daemon did not run, what was known before is taken to hold',
];

/** Before a trouble: a start, readings, verdicts settled. After it: patience, lanes, a failback. */
const WARM_MS = 60_000;
const TAIL_MS = 300_000;
const FAILBACK_MOST_MS = 7_200_000;
/** Stretches in which nothing changes are skipped; what is run adds up to this at most. */
const RUN_MOST_MS = 4 * 86_400_000;

/** The behaviour that was in force at a moment. */
type Rules = (at: number) => number;

interface Window {
  readonly from: number;
  readonly to: number;
}

/** Replays a journal through a configuration. Throws InputError where no origin is in both. */
export function replayJournal(
  file: string,
  entries: readonly StoredEntry[],
  config: Config,
  core: CoreConfig,
  seed: number,
): JournalReplay {
  const known = new Set(entries.flatMap((e) => (e.kind === 'health' ? [originOf(e)] : [])));
  if (!Object.keys(core.origins).some((name) => known.has(name))) {
    const names = [...known].slice(0, 5).join(', ');
    const has = names === '' ? 'no origin at all' : names;
    throw new InputError(
      `${file} speaks of ${has}, and the configuration of ${Object.keys(core.origins).join(', ')}: ` +
        'name the one it was recorded with, -c FILE',
    );
  }
  const rules = rulesOf(file, entries);
  const troubles = behind(steering(config.core), troublesOf(entries, core), rules, seed);
  const notes = notesOf(entries, core, known);
  const { behaviour } = core;
  if (behaviour === undefined) notes.push(...rulesNoted(troubles, rules));
  const orders = ordersOf(entries, core);
  const endsAt = entries.at(-1)!.at;
  const { windows, left } = windowsOf(core, troubles, orders, endsAt);
  if (left > 0) notes.push(`${left} of the older troubles are left out: too long to run them all`);
  const by = behaviour === undefined ? rules : () => behaviour;
  const plan = { troubles, orders, windows, rules: by };
  const { moves, probes } = runThrough(steering(core), entries, plan, seed);
  const since = windows[0]?.from ?? entries[0]!.at;
  return {
    file,
    ...{ fromWall: entries[0]!.wall, toWall: entries.at(-1)!.wall, entries: entries.length },
    troubles: troubles.filter((t) => t.kind === 'health').length,
    // Judged by the thresholds it was decided at, not by those that are tried.
    recorded: movesOf(entries, since).map((m) => judge(config.core, troubles, endsAt, m)),
    replayed: moves.map((m) => judge(core, troubles, endsAt, m)),
    notes,
    cannotKnow,
    probes,
  };
}

/** Every record steers: what an observed one would do is what is asked. */
function steering(core: CoreConfig): CoreConfig {
  const records = Object.values(core.records).map(({ hooks: _, ...r }) => [
    r.name,
    { ...r, mode: 'steer' as const },
  ]);
  return { ...core, records: Object.fromEntries(records) };
}

/** Where it was decided by other rules than today's, that it is replayed by those. */
function rulesNoted(troubles: readonly Trouble[], rules: Rules): string[] {
  const all = [...new Set(troubles.map(({ downAt }) => rules(downAt)))];
  const old = all.filter((n) => n < newestBehaviour).sort((a, b) => a - b);
  if (old.length === 0) return [];
  return [
    `decided under behaviour ${old.join(' and ')}, and replayed so; today's is ${newestBehaviour}, ` +
      `--set behaviour=${newestBehaviour} replays it so`,
  ];
}

function originOf({ data }: StoredEntry): string {
  return (data as { origin?: string }).origin ?? '';
}

function movesOf(
  entries: readonly { kind: string; record: Name | null; at: number; data: unknown }[],
  since: number,
) {
  return entries.flatMap(({ kind, record, at, data }) => {
    if ((kind !== 'switch' && kind !== 'would-switch') || record === null || at < since) return [];
    const { from, to, kind: by, why } = data as Record<string, string>;
    return by === 'auto' && why === 'target-down' ? [{ record, at, from: from!, to: to! }] : [];
  });
}

function notesOf(
  entries: readonly StoredEntry[],
  core: CoreConfig,
  known: ReadonlySet<string>,
): string[] {
  const notes: string[] = [];
  const strange = [...known].filter((name) => !Object.hasOwn(core.origins, name));
  if (strange.length > 0) notes.push(`not configured any more, left out: ${strange.join(', ')}`);
  const orders = ordersOf(entries, core).length;
  const many = orders === 1 ? '1 order' : `${orders} orders`;
  if (orders > 0) notes.push(`${many} of operators, given again as in the journal`);
  const gaps = entries.filter((e) => e.kind === 'start').length - 1;
  if (gaps > 0)
    notes.push(`the daemon was started ${gaps + 1} times; what happened between is unknown`);
  return notes;
}

// ---------------------------------------------------------------- what it was made of

const refused: Affliction = { manner: 'refuse', share: 1 };

/** A trouble as it must have been behind what was judged: begun and ended before that. */
interface Behind extends Trouble {
  readonly from: number;
  readonly to: number | null;
}

/** However short it was judged to be, it was something. */
const SHORTEST_MS = 100;
const ROUNDS = 5;
/** Any moment will do. */
const SOME_DAY = 1_000_000_000_000;

/**
 * A verdict comes some seconds after what it is about. How many, at the thresholds the journal was
 * recorded at, is measured in a small world of its own, so that the same thresholds come to the
 * same verdicts again, and others to theirs.
 */
function behind(
  core: CoreConfig,
  troubles: readonly Trouble[],
  rules: Rules,
  seed: number,
): readonly Behind[] {
  const known = new Map<string, { downMs: number; upMs: number }>();
  return troubles.map((t) => {
    const behaviour = rules(t.downAt);
    const key = `${t.kind} ${t.name} ${t.fails.length} ${behaviour}`;
    const delays = known.get(key) ?? delaysOf({ ...core, behaviour }, t, seed);
    known.set(key, delays);
    const from = t.downAt - delays.downMs;
    const to = t.upAt === null ? null : Math.max(from + SHORTEST_MS, t.upAt - delays.upMs);
    return { ...t, from, to };
  });
}

/** Mean times from the first failure to `down`, and from the first pass to `up`. */
function delaysOf(core: CoreConfig, t: Trouble, seed: number): { downMs: number; upMs: number } {
  const checks = t.fails.flatMap((id) => core.checks[id] ?? []);
  const settleMs = Math.max(0, ...checks.map((c) => c.fall * (c.intervalMs + c.timeoutMs)));
  const world = new World({ config: core, startsAt: SOME_DAY, seed, loss: 0 });
  for (const r of Object.values(core.records)) world.hold(r.name, r.targets[0]!.cname);
  world.begin();
  const failing = { ...calm, checks: new Map(t.fails.map((id) => [id, refused])) };
  const sums = { down: [] as number[], up: [] as number[] };
  for (let round = 0; round < ROUNDS && checks.length > 0; round++) {
    // Each round begins at another moment of the interval.
    const pause = settleMs + WARM_MS + (round / ROUNDS) * checks[0]!.intervalMs;
    for (const word of ['down', 'up'] as const) {
      world.runTo(world.now + Math.round(pause));
      const at = world.now;
      world.conditions = word === 'down' ? failing : calm;
      world.runTo(at + 2 * settleMs + WARM_MS);
      const judged = world.entries.find((e) => e.at >= at && isVerdict(e.entry, t, word));
      if (judged !== undefined) sums[word].push(judged.at - at);
    }
  }
  const mean = (all: readonly number[]) =>
    all.length === 0 ? 0 : Math.round(all.reduce((sum, one) => sum + one, 0) / all.length);
  return { downMs: mean(sums.down), upMs: mean(sums.up) };
}

function isVerdict({ kind, data }: Entry, t: Trouble, word: string): boolean {
  const said = data as Record<string, string | undefined>;
  const [name, verdict] =
    t.kind === 'health' ? [said['origin'], said['health']] : [said['check'], said['verdict']];
  return kind === t.kind && name === t.name && verdict === word;
}

function conditionsAt(troubles: readonly Behind[], at: number): Conditions {
  const checks = new Map<CheckId, Affliction>();
  for (const t of troubles) {
    if (t.from > at || (t.to !== null && t.to <= at)) continue;
    for (const id of t.fails) checks.set(id, refused);
  }
  return { ...calm, checks };
}

function judge(
  core: CoreConfig,
  troubles: readonly Behind[],
  endsAt: number,
  move: { record: Name; at: number; from: string; to: string },
): JournalMove {
  const r = core.records[move.record];
  const trouble = troubles.findLast(
    (t) => t.kind === 'health' && t.name === move.from && t.from <= move.at,
  );
  const ttls = (r?.publish ?? []).map((p) => p.ttl);
  const limitMs = (r?.patienceMs ?? 0) + 1000 * (ttls.length === 0 ? 0 : Math.min(...ttls));
  const upAt = trouble?.upAt ?? null;
  const upAgainAfterMs = upAt === null ? null : Math.max(0, upAt - move.at);
  const isOver = upAgainAfterMs !== null && upAgainAfterMs <= limitMs;
  const isKnown = upAgainAfterMs !== null || endsAt - move.at > limitMs;
  return { ...move, isFalse: isKnown ? isOver : null, upAgainAfterMs };
}

/** An edit at a vendor is held as a pin for an hour. */
const EDIT_PIN_MS = 3_600_000;

function giveAgain(world: World, { kind, at, entry: { record, data } }: Order): void {
  const said = { reason: 'as recorded', by: 'the journal' } as const;
  const { target, untilAt, to, what } = (data ?? {}) as Record<string, string | undefined> & {
    untilAt?: number | null;
  };
  if (record !== null && (kind === 'pin' || kind === 'switch')) {
    const forMs = kind === 'switch' ? EDIT_PIN_MS : untilAt == null ? null : untilAt - at;
    const wanted = target ?? to ?? '';
    const isThere = world.state.records.get(record)?.doc.target === wanted;
    if (isThere) world.order({ ...said, kind: 'pin', record, forMs });
    else {
      const plain = { force: true, dryRun: false } as const;
      world.order({ ...said, ...plain, kind: 'switch', record, target: wanted, forMs });
    }
  } else if (record !== null && kind === 'unpin') world.order({ kind, record, by: said.by });
  else if (record !== null && kind === 'ack') {
    world.order({ kind, record, by: said.by, reject: false, dryRun: false });
  } else if (kind === 'freeze') world.order({ ...said, kind, record });
  else if (kind === 'unfreeze') world.order({ kind, record, by: said.by });
  else if (kind === 'drain' && what !== undefined) world.order({ ...said, kind, what });
  else if (kind === 'undrain' && what !== undefined) world.order({ kind, what, by: said.by });
}

function windowsOf(
  core: CoreConfig,
  all: readonly Behind[],
  orders: readonly Order[],
  endsAt: number,
) {
  const slowest = Math.max(
    ...Object.values(core.checks).map((c) => c.fall * (c.intervalMs + c.timeoutMs)),
  );
  const waits = Object.values(core.records).map((r) => {
    const back = r.failback.kind === 'after' ? Math.min(r.failback.ms, FAILBACK_MOST_MS) : 0;
    return r.patienceMs + back;
  });
  const [before, after] = [WARM_MS + slowest, TAIL_MS + slowest + Math.max(0, ...waits)];
  const troubles = all.flatMap((t) => [t.from, t.to ?? endsAt]);
  const turns = [...troubles, ...orders.map((o) => o.at)];
  const merged: { from: number; to: number; turns: number }[] = [];
  for (const at of turns.toSorted((a, b) => a - b)) {
    const last = merged.at(-1);
    if (last !== undefined && at - before <= last.to) {
      last.to = Math.max(last.to, at + after);
      last.turns++;
    } else merged.push({ from: at - before, to: at + after, turns: 1 });
  }
  const windows: Window[] = [];
  let [sum, left] = [0, 0];
  for (const w of merged.toReversed()) {
    sum += w.to - w.from;
    if (sum <= RUN_MOST_MS || windows.length === 0) windows.unshift(w);
    else left += w.turns;
  }
  return { windows, left: Math.ceil(left / 2) };
}

function everyHour(from: number, to: number): number[] {
  return Array.from({ length: Math.ceil((to - from) / AUDIT_MS) }, (_, i) => from + i * AUDIT_MS);
}

interface Plan {
  readonly troubles: readonly Behind[];
  readonly orders: readonly Order[];
  readonly windows: readonly Window[];
  readonly rules: Rules;
}

/** So often an audit is made; what it found counts for longer. */
const AUDIT_MS = 3_600_000;

function runThrough(
  core: CoreConfig,
  entries: readonly StoredEntry[],
  { troubles, orders, windows, rules }: Plan,
  seed: number,
) {
  const begin = windows[0]?.from ?? entries[0]!.at;
  const world = new World({ config: core, startsAt: begin, seed, loss: 0 });
  const stands = firstTargets(core, entries);
  for (const r of Object.values(core.records)) {
    const target = r.targets.find((t) => t.origin === stands.get(r.name)) ?? r.targets[0]!;
    world.hold(r.name, target.cname);
  }
  const ends = troubles.flatMap((t) => (t.to === null ? [t.from] : [t.from, t.to]));
  const audits = auditsOf(entries, core);
  const times = [...ends, ...orders.map((o) => o.at), ...audits.times];
  const turns = [...new Set(times)].toSorted((a, b) => a - b);
  for (const { from, to } of windows) {
    world.skipTo(from);
    world.conditions = conditionsAt(troubles, from);
    // What is replayed comes a while after the window's begin: a start may lie between.
    world.begin(rules(turns.find((t) => t >= from) ?? from));
    // As often as the daemon's own, for as long as there were any.
    const hours = audits.times.length === 0 ? [] : everyHour(from, to);
    const moments = [...hours, ...turns.filter((t) => t >= from && t < to)];
    for (const at of moments.toSorted((a, b) => a - b)) {
      world.runTo(at);
      world.conditions = conditionsAt(troubles, at);
      if (audits.times.length > 0) world.audited(audits.by(at));
      for (const o of orders.filter((one) => one.at === at)) giveAgain(world, o);
    }
    world.runTo(to);
  }
  const journal = world.entries.map(({ at, entry }) => ({ ...entry, at }));
  return { moves: movesOf(journal, begin), probes: world.probes };
}
