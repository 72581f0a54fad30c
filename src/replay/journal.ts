// One's own journal against other thresholds. The journal holds when an origin was judged down and
// up again, not the probes between; so the replay lets each origin fail from the one moment to the
// other, runs the real engine over it in virtual time, and counts the switches. What cannot be
// known from a journal is said, never filled in. The file is read and never written.

import { closeSync, existsSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Config } from '../config.ts';
import type { CheckId, CoreConfig, Name } from '../core/model.ts';
import type { StoredEntry } from '../ports.ts';
import { InputError } from './settings.ts';
import type { Affliction, Conditions } from './struck.ts';
import { calm, World } from './world.ts';

export interface JournalMove {
  readonly record: Name;
  readonly at: number;
  readonly from: string;
  readonly to: string;
  /** The origin it left was up again within patience and one TTL; null: the journal ends before. */
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
  'false: the origin that was left was up again within patience and one TTL of the decision, ' +
  'that ' +
  'is, before the last client had followed';

export const cannotKnow: readonly string[] = [
  'a journal has no probes, only when an origin was judged down and up: each trouble is replayed ' +
    'from the one moment to the other, as a refusal of every probe by every path',
  'a trouble too short for the thresholds it was recorded at is not in it: looser ones would ' +
    'have ' +
    'switched at least as often as shown, perhaps more often',
  'how early a trouble began before it was judged is not in it: no time to detect is compared',
  "operators' orders, losses of paths and failures of vendors are not replayed; while an origin " +
    'was unknown, what was known before is taken to hold',
];

const applicationId = 0x44544f52;
const ENTRIES_MOST = 500_000;
const FILE_MOST = 256 * 1024 * 1024;

/** A state directory, its `detour.sqlite`, or what `detour history --json` printed. Oldest first. */
export function readJournal(path: string): { file: string; entries: readonly StoredEntry[] } {
  if (!existsSync(path)) throw new InputError(`${path}: there is nothing; name a state directory`);
  const file = statSync(path).isDirectory() ? join(path, 'detour.sqlite') : path;
  if (!existsSync(file)) {
    throw new InputError(`${path} holds no detour.sqlite: name the state directory of a daemon`);
  }
  if (statSync(file).size > FILE_MOST && !isSqlite(file)) {
    throw new InputError(`${file} is longer than 256 MiB: ask for less, detour history -n 10000`);
  }
  const entries = isSqlite(file) ? readStore(file) : readText(file);
  if (entries.length === 0) throw new InputError(`${file}: the journal is empty`);
  return { file, entries };
}

function isSqlite(file: string): boolean {
  const head = Buffer.alloc(15);
  const handle = openSync(file, 'r');
  try {
    readSync(handle, head, 0, head.length, 0);
  } finally {
    closeSync(handle);
  }
  return head.toString('latin1') === 'SQLite format 3';
}

function readStore(file: string): StoredEntry[] {
  let db: DatabaseSync | null = null;
  try {
    db = new DatabaseSync(file, { readOnly: true });
    const { application_id: id } = db.prepare('PRAGMA application_id').get() as {
      application_id: number;
    };
    if (id !== applicationId) throw new InputError(`${file} is a database of some other program`);
    const rows = db
      .prepare(
        'SELECT seq, at, wall, kind, record, sentence, data FROM journal ORDER BY seq DESC LIMIT ?',
      )
      .all(ENTRIES_MOST) as unknown as (Omit<StoredEntry, 'data'> & { data: string })[];
    return rows.reverse().map((row) => ({ ...row, data: JSON.parse(row.data) }));
  } catch (error) {
    if (error instanceof InputError) throw error;
    const cure =
      'run this as the user of the daemon, or hand over what `detour history --json` printed';
    throw new InputError(`${file} cannot be read: ${(error as Error).message}; ${cure}`);
  } finally {
    db?.close();
  }
}

function readText(file: string): StoredEntry[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    // The parser would quote the content.
    throw new InputError(
      `${file} is neither a store nor JSON: give what detour history --json printed`,
    );
  }
  const isEntry = (e: unknown): e is StoredEntry => {
    const { seq, at, wall, kind, sentence } = (e ?? {}) as Partial<StoredEntry>;
    const times = [seq, at, wall].every((n) => Number.isFinite(n));
    return times && typeof kind === 'string' && typeof sentence === 'string';
  };
  if (!Array.isArray(parsed) || !parsed.every(isEntry)) {
    throw new InputError(`${file} holds no journal: give what detour history --json printed`);
  }
  return parsed.toSorted((a, b) => a.seq - b.seq);
}

// ---------------------------------------------------------------- what was recorded

interface Trouble {
  readonly origin: string;
  readonly from: number;
  /** null: not over by the end of the journal. */
  readonly to: number | null;
}

interface Recorded {
  readonly origins: readonly Trouble[];
  readonly services: readonly Trouble[];
  readonly endsAt: number;
}

function troublesOf(entries: readonly StoredEntry[]): Recorded {
  const spans = (kind: string, nameKey: string, wordKey: string): Trouble[] => {
    const open = new Map<string, number>();
    const found: Trouble[] = [];
    for (const { at, kind: is, data } of entries) {
      if (is !== kind) continue;
      const { [nameKey]: name, [wordKey]: word } = data as Record<string, string | undefined>;
      if (name === undefined) continue;
      const from = open.get(name);
      if (word === 'down' && from === undefined) open.set(name, at);
      if (word !== 'up' || from === undefined) continue;
      open.delete(name);
      found.push({ origin: name, from, to: at });
    }
    for (const [origin, from] of open) found.push({ origin, from, to: null });
    return found.toSorted((a, b) => a.from - b.from);
  };
  return {
    origins: spans('health', 'origin', 'health'),
    services: spans('verdict', 'check', 'verdict'),
    endsAt: entries.at(-1)!.at,
  };
}

/** Within this of each other an origin and a service it needs failed together. */
const TOGETHER_MS = 1000;
const refused: Affliction = { manner: 'refuse', share: 1 };

function conditionsAt(core: CoreConfig, recorded: Recorded, at: number): Conditions {
  const checks = new Map<CheckId, Affliction>();
  const holds = (t: Trouble) => t.from <= at && (t.to === null || t.to > at);
  const down = recorded.services.filter(holds).map((t) => t.origin);
  for (const id of down) if (Object.hasOwn(core.checks, id)) checks.set(id, refused);
  for (const t of recorded.origins.filter(holds)) {
    const origin = Object.hasOwn(core.origins, t.origin) ? core.origins[t.origin] : undefined;
    if (origin === undefined) continue;
    // One that went down with a service it needs shows nothing against its own machines.
    const isByService = recorded.services.some(
      (s) => origin.needs.includes(s.origin) && Math.abs(s.from - t.from) <= TOGETHER_MS,
    );
    if (isByService) continue;
    for (const id of origin.checks) if (!core.checks[id]!.advisory) checks.set(id, refused);
  }
  return { ...calm, checks };
}

function judge(
  core: CoreConfig,
  recorded: Recorded,
  move: { record: Name; at: number; from: string; to: string },
): JournalMove {
  const r = core.records[move.record];
  const trouble = recorded.origins.findLast((t) => t.origin === move.from && t.from <= move.at);
  const ttlMs = 1000 * Math.max(0, ...(r?.publish ?? []).map((p) => p.ttl));
  const limitMs = (r?.patienceMs ?? 0) + ttlMs;
  const upAgainAfterMs =
    trouble === undefined || trouble.to === null ? null : Math.max(0, trouble.to - move.at);
  const isOver = upAgainAfterMs !== null && upAgainAfterMs <= limitMs;
  const isKnown = upAgainAfterMs !== null || recorded.endsAt - move.at > limitMs;
  return { ...move, isFalse: isKnown ? isOver : null, upAgainAfterMs };
}

// ---------------------------------------------------------------- running it again

/** Before a trouble: a start, readings, verdicts settled. After it: patience, lanes, a failback. */
const WARM_MS = 60_000;
const TAIL_MS = 300_000;
const FAILBACK_MOST_MS = 7_200_000;
/** Stretches in which nothing changes are skipped; what is run adds up to this at most. */
const RUN_MOST_MS = 4 * 86_400_000;

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
  const all = troublesOf(entries);
  const known = new Set(entries.flatMap((e) => (e.kind === 'health' ? [originOf(e)] : [])));
  const mine = Object.keys(core.origins).filter((name) => known.has(name));
  if (mine.length === 0) {
    const names = [...known].slice(0, 5).join(', ');
    const has = names === '' ? 'no origin at all' : names;
    throw new InputError(
      `${file} speaks of ${has}, and the configuration of ${Object.keys(core.origins).join(', ')}: ` +
        'name the one it was recorded with, -c FILE',
    );
  }
  const recorded = { ...all, origins: all.origins.filter((t) => mine.includes(t.origin)) };
  const notes = notesOf(entries, core, known);
  const { windows, left } = windowsOf(core, recorded);
  if (left > 0) notes.push(`${left} of the older troubles are left out: too long to run them all`);
  const { moves, probes } = runThrough(core, entries, recorded, windows, seed);
  const since = windows[0]?.from ?? entries[0]!.at;
  return {
    file,
    ...{ fromWall: entries[0]!.wall, toWall: entries.at(-1)!.wall, entries: entries.length },
    troubles: recorded.origins.length,
    // Judged by the thresholds it was decided at, not by those that are tried.
    recorded: movesOf(entries, since).map((m) => judge(config.core, recorded, m)),
    replayed: moves.map((m) => judge(core, recorded, m)),
    notes,
    cannotKnow,
    probes,
  };
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
  const orders = entries.filter((e) => {
    const by = (e.data as { kind?: string } | null)?.kind;
    return e.kind === 'pin' || e.kind === 'drain' || (e.kind === 'switch' && by === 'operator');
  }).length;
  if (orders > 0) notes.push(`${orders} orders of operators stand in it and are not replayed`);
  const gaps = entries.filter((e) => e.kind === 'start').length - 1;
  if (gaps > 0)
    notes.push(`the daemon was started ${gaps + 1} times; what happened between is unknown`);
  return notes;
}

function windowsOf(core: CoreConfig, { origins, services, endsAt }: Recorded) {
  const slowest = Math.max(
    ...Object.values(core.checks).map((c) => c.fall * (c.intervalMs + c.timeoutMs)),
  );
  const waits = Object.values(core.records).map((r) => {
    const back = r.failback.kind === 'after' ? Math.min(r.failback.ms, FAILBACK_MOST_MS) : 0;
    return r.patienceMs + back;
  });
  const [before, after] = [WARM_MS + slowest, TAIL_MS + slowest + Math.max(0, ...waits)];
  const turns = [...origins, ...services].flatMap((t) => [t.from, t.to ?? endsAt]);
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

/** Where each record stood when the journal begins; its first target where it does not say. */
function firstTargets(core: CoreConfig, entries: readonly StoredEntry[]): Map<Name, string> {
  const found = new Map<Name, string>();
  for (const { kind, record, data } of entries) {
    if (record === null || found.has(record) || !Object.hasOwn(core.records, record)) continue;
    const { from, target } = data as { from?: string; target?: string };
    const word =
      kind === 'switch' || kind === 'would-switch' ? from : kind === 'adopt' ? target : null;
    if (core.records[record]!.targets.some((t) => t.origin === word)) found.set(record, word!);
  }
  return found;
}

function runThrough(
  core: CoreConfig,
  entries: readonly StoredEntry[],
  recorded: Recorded,
  windows: readonly Window[],
  seed: number,
) {
  const begin = windows[0]?.from ?? entries[0]!.at;
  const records = Object.values(core.records).map((r) => [
    r.name,
    { ...r, mode: 'steer' as const },
  ]);
  const steered: CoreConfig = { ...core, records: Object.fromEntries(records) };
  const world = new World({ config: steered, startsAt: begin, seed, loss: 0 });
  const stands = firstTargets(core, entries);
  for (const r of Object.values(core.records)) {
    const target = r.targets.find((t) => t.origin === stands.get(r.name)) ?? r.targets[0]!;
    world.hold(r.name, target.cname);
  }
  const turns = [...recorded.origins, ...recorded.services]
    .flatMap((t) => (t.to === null ? [t.from] : [t.from, t.to]))
    .toSorted((a, b) => a - b);
  for (const { from, to } of windows) {
    world.skipTo(from);
    world.conditions = conditionsAt(steered, recorded, from);
    world.begin();
    for (const at of turns.filter((t) => t >= from && t < to)) {
      world.runTo(at);
      world.conditions = conditionsAt(steered, recorded, at);
    }
    world.runTo(to);
  }
  const journal = world.entries.map(({ at, entry }) => ({ ...entry, at }));
  return { moves: movesOf(journal, begin), probes: world.probes };
}
