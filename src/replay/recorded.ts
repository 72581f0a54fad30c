// What a journal holds that a replay can use: when which origin and which service of a cloud was
// judged down and up again, what operators said, where each record stood. It reads a store or the
// text of `detour history --json`, and never writes to either, nor quotes what it cannot read.

import { closeSync, existsSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { newestBehaviour } from '../core/engine.ts';
import type { CheckId, CoreConfig, EntryKind, Name, Standby } from '../core/model.ts';
import { stateId, stateVersion } from '../core/stored.ts';
import { whyOfFile } from '../kit/errno.ts';
import type { StoredEntry } from '../ports.ts';
import { InputError } from './settings.ts';

/** From when to when something was judged down. */
export interface Trouble {
  readonly kind: 'health' | 'verdict';
  /** The origin, or the service check. */
  readonly name: string;
  /** The checks that have to fail for it. */
  readonly fails: readonly CheckId[];
  readonly downAt: number;
  /** null: not over by the end of the journal. */
  readonly upAt: number | null;
}

export interface Order {
  readonly at: number;
  readonly kind: (typeof orderKinds)[number] | 'switch';
  readonly entry: StoredEntry;
}

/** Of what `detour history --json` prints. */
const printedVersion = 1;
/** By which 0.1 decided: the journals of 0.1 to 0.5 do not say by which they were. */
const untold = 0;
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
  let handle: number;
  try {
    handle = openSync(file, 'r');
  } catch (error) {
    throw new InputError(`${file} ${whyOfFile(error)}: run this as the user of the daemon`);
  }
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
    if (id !== stateId) throw new InputError(`${file} is a database of some other program`);
    const { user_version: version } = db.prepare('PRAGMA user_version').get() as {
      user_version: number;
    };
    if (version > stateVersion) throw newer(file, `state ${version}`, stateVersion);
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
  const version = (parsed as { version?: unknown } | null)?.version;
  if (typeof version === 'number' && version > printedVersion) {
    throw newer(file, `version ${version}`, printedVersion);
  }
  const isEntry = (e: unknown): e is StoredEntry => {
    const { seq, at, wall, kind, sentence } = (e ?? {}) as Partial<StoredEntry>;
    const times = [seq, at, wall].every((n) => Number.isFinite(n));
    return times && typeof kind === 'string' && typeof sentence === 'string';
  };
  const entries = isPrinted(parsed) ? parsed.entries.map(asStored) : parsed;
  if (!Array.isArray(entries) || !entries.every(isEntry)) {
    throw new InputError(`${file} holds no journal: give what detour history --json printed`);
  }
  return entries.toSorted((a, b) => a.seq - b.seq);
}

function newer(file: string, what: string, known: number): InputError {
  return new InputError(
    `${file} was written by a newer Detour (${what}, this one reads ${known}): replay it with ` +
      'that version',
  );
}

/**
 * By which rules it was decided at a moment. Throws InputError where this Detour does not know them.
 */
export function rulesOf(file: string, entries: readonly StoredEntry[]): (at: number) => number {
  const starts = entries.flatMap(({ kind, at, data }) => {
    if (kind !== 'start') return [];
    const said = (data as { behaviour?: number } | null)?.behaviour;
    return [{ at, behaviour: Number.isSafeInteger(said) ? said! : untold }];
  });
  const most = Math.max(0, ...starts.map((s) => s.behaviour));
  if (most > newestBehaviour) throw newer(file, `behaviour ${most}`, newestBehaviour);
  const first = starts[0]?.behaviour ?? newestBehaviour;
  return (at) => starts.findLast((s) => s.at <= at)?.behaviour ?? first;
}

interface Printed {
  readonly entries: readonly unknown[];
}

/** The document of today; before it had a version it was the bare list. */
function isPrinted(value: unknown): value is Printed {
  return Array.isArray((value as Partial<Printed> | null)?.entries);
}

/** An entry as the store has it: dates as milliseconds, the record with its last dot. */
function asStored(entry: unknown): unknown {
  const { time, record, data, ...rest } = (entry ?? {}) as Record<string, unknown>;
  const at = typeof time === 'string' ? Date.parse(time) : Number.NaN;
  const times = Object.entries(typeof data === 'object' ? (data ?? {}) : {}).map(([key, value]) => {
    const isDate = key.endsWith('At') && typeof value === 'string';
    return [key, isDate ? Date.parse(value) : value];
  });
  const name = typeof record === 'string' && !record.endsWith('.') ? `${record}.` : record;
  return { ...rest, at, wall: at, record: name, data: Object.fromEntries(times) };
}

/** Within this of each other an origin and a service it needs failed together. */
const TOGETHER_MS = 1000;

/** The troubles of what a configuration has, oldest first. */
export function troublesOf(entries: readonly StoredEntry[], core: CoreConfig): readonly Trouble[] {
  const services = spansOf(entries, 'verdict', 'check', 'verdict')
    .filter((s) => Object.hasOwn(core.checks, s.name))
    .map((s): Trouble => ({ ...s, kind: 'verdict', fails: [s.name] }));
  const origins = spansOf(entries, 'health', 'origin', 'health').flatMap((s): Trouble[] => {
    const origin = Object.hasOwn(core.origins, s.name) ? core.origins[s.name] : undefined;
    if (origin === undefined) return [];
    // One that went down with a service it needs shows nothing against its own machines.
    const isByService = services.some(
      ({ name, downAt }) =>
        origin.needs.includes(name) && Math.abs(downAt - s.downAt) <= TOGETHER_MS,
    );
    const own = origin.checks.filter((id) => !core.checks[id]!.advisory);
    return [{ ...s, kind: 'health', fails: isByService ? [] : own }];
  });
  return [...services, ...origins].toSorted((a, b) => a.downAt - b.downAt);
}

function spansOf(
  entries: readonly StoredEntry[],
  kind: EntryKind,
  nameKey: string,
  wordKey: string,
) {
  const open = new Map<string, number>();
  const found: { name: string; downAt: number; upAt: number | null }[] = [];
  for (const { at, kind: is, data } of entries) {
    if (is !== kind) continue;
    const { [nameKey]: name, [wordKey]: word } = data as Record<string, string | undefined>;
    if (name === undefined) continue;
    const downAt = open.get(name);
    if (word === 'down' && downAt === undefined) open.set(name, at);
    if (word !== 'up' || downAt === undefined) continue;
    open.delete(name);
    found.push({ name, downAt, upAt: at });
  }
  for (const [name, downAt] of open) found.push({ name, downAt, upAt: null });
  return found;
}

const orderKinds = [
  ...(['pin', 'unpin', 'drain', 'undrain', 'freeze', 'unfreeze', 'ack'] as const),
] satisfies EntryKind[];

/** What people said, oldest first. A switch by hand stands in the journal as the pin that follows. */
export function ordersOf(entries: readonly StoredEntry[], core: CoreConfig): Order[] {
  return entries.flatMap((entry) => {
    const { kind, record, at } = entry;
    if (record !== null && !Object.hasOwn(core.records, record)) return [];
    const { why } = (entry.data ?? {}) as { why?: string };
    const isEdit = kind === 'switch' && why === 'edited';
    const order = isEdit ? 'switch' : orderKinds.find((one) => one === kind);
    return order === undefined ? [] : [{ at, kind: order, entry }];
  });
}

/** When audits said something else of a target, and what they had said by a moment. */
export function auditsOf(
  entries: readonly StoredEntry[],
  core: CoreConfig,
): { readonly times: readonly number[]; readonly by: (at: number) => readonly Standby[] } {
  const said = entries.filter(({ kind }) => kind === 'standby' || kind === 'start');
  const times = said.flatMap(({ kind, at }) => (kind === 'standby' ? at : []));
  const by = (at: number) => {
    const known = new Map<string, Standby>();
    for (const { kind, record, at: then, data } of said) {
      if (then > at) break;
      // A start knows of none.
      if (kind === 'start') known.clear();
      if (kind === 'start' || record === null || !Object.hasOwn(core.records, record)) continue;
      const { target, word, why = '' } = (data ?? {}) as Partial<Standby>;
      if (target === undefined || word === undefined) continue;
      known.set(`${record} ${target}`, { record, target, word, why, certificateDays: null });
    }
    return [...known.values()];
  };
  return { times, by };
}

/** Where each record stood when the journal begins; its first target where it does not say. */
export function firstTargets(core: CoreConfig, entries: readonly StoredEntry[]): Map<Name, string> {
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
