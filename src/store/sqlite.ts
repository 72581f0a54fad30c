// The store on one node: the snapshot and the append-only journal in one SQLite file, changed in
// one durable transaction (WAL, synchronous=FULL: every commit is fsynced before it returns). A
// commit either stands whole after power is cut or threw; `seq` has no hole because it is handed
// out inside that transaction. It must never invent an empty state: a file that is damaged,
// foreign or newer than this program is refused at open, with the cure, and left as it is. Nor
// may it write into a file that is no longer the one at its path (removed, or replaced by a copy
// from elsewhere): such a commit would be lost without a word.

import { existsSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite';
import type { Json } from '../core/model.ts';
import { stateId, stateVersion } from '../core/stored.ts';
import type { Commit, Store, StoredEntry } from '../ports.ts';
import { hasNoRoom, PlaceError, securePlace } from './place.ts';
import { openReminder, type Reminder } from './reminder.ts';

/** The store cannot be opened, read or written; the message names the file and the cure. */
export class StoreError extends Error {}

/** How much journal is kept; the oldest entries go first, a few with each commit. */
interface JournalLimits {
  readonly entries: number;
  /** Age on the engine's axis, so that a leap of the wall clock deletes nothing. */
  readonly ageMs: number;
}

export interface SqliteStore extends Store {
  /** The database file, for messages. */
  readonly file: string;
  /** It was made just now: nothing is remembered. */
  readonly isNew: boolean;
}

interface OpenOptions {
  /** Begins anew where a store was and is gone, or cannot be used; a sound one is left as it is. */
  readonly newState?: boolean;
  readonly limits?: JournalLimits;
}

const journalLimits: JournalLimits = { entries: 1_000_000, ageMs: 400 * 86_400_000 };

/** Entries deleted by one commit beyond those it adds: keeps a commit short after a long pause. */
const pruneStep = 64;

/** A writer blocks the whole process while it waits for another, so it does not wait for long. */
const busyTimeoutMs = 500;

const schema = `
  CREATE TABLE journal (
    seq INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    wall REAL NOT NULL,
    kind TEXT NOT NULL,
    record TEXT,
    sentence TEXT NOT NULL,
    data TEXT NOT NULL
  ) STRICT;
  CREATE INDEX journal_record ON journal (record, seq) WHERE record IS NOT NULL;
  CREATE TABLE document (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE position (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL,
    at REAL NOT NULL,
    wall REAL NOT NULL
  ) STRICT;
  INSERT INTO position VALUES (1, 0, 0, 0);
  PRAGMA application_id = ${stateId};
  PRAGMA user_version = ${stateVersion};
`;

/**
 * Opens `detour.sqlite` in the state directory, making both (modes 0700 and 0600) when neither was
 * ever there. Throws StoreError when the file cannot be used (damaged, foreign, newer, not writable,
 * on a file system without WAL) and when a store was here before and is gone or empty. Several may
 * be open at once; their commits queue for half a second.
 */
export function openSqliteStore(directory: string, options: OpenOptions = {}): SqliteStore {
  const file = join(directory, 'detour.sqlite');
  try {
    securePlace(directory);
    let problem = options.newState === true ? unusable(file) : null;
    if (problem !== null) moveAside(file);
    else problem = lost(directory, file);
    if (problem !== null && options.newState !== true) throw problem;
    const isNew = !existsSync(file);
    if (isNew) makeFile(file);
    const db = openDatabase(file);
    try {
      remember(directory);
      const reminder = openReminder(`${file}.unkept`);
      return makeStore(db, file, { isNew, reminder, limits: options.limits ?? journalLimits });
    } catch (error) {
      db.close();
      throw error;
    }
  } catch (error) {
    throw explain(error, file, 'cannot be opened');
  }
}

/** Made after the store, and left there: whoever finds it alone knows that a store is gone. */
const witness = 'detour.sqlite.was-here';

function remember(directory: string): void {
  const path = join(directory, witness);
  if (existsSync(path)) return;
  const text = 'detour.sqlite belongs beside this file. Without it, Detour has forgotten.\n';
  writeFileSync(path, text, { mode: 0o600 });
}

/** Why the store that was here before is not here; null: it is, or none ever was. */
function lost(directory: string, file: string): StoreError | null {
  const size = statSync(file, { throwIfNoEntry: false })?.size;
  const traces = [`${file}-wal`, join(directory, witness)].filter((path) => existsSync(path));
  if (size !== 0 && !(size === undefined && traces.length > 0)) return null;
  const what = size === 0 ? 'is empty' : `is gone, and ${traces[0]} is there`;
  return new StoreError(
    `${file} ${what}: restore it from a backup, or begin anew with \`detour run --new-state\`: ` +
      forgotten,
  );
}

/** Why no store can be opened here; null where one can. */
function unusable(file: string): StoreError | null {
  if (!existsSync(file)) return null;
  if (statSync(file).size === 0) return new StoreError(`${file} is empty`);
  try {
    openDatabase(file).close();
    return null;
  } catch (error) {
    if (error instanceof Damaged) return error;
    throw error;
  }
}

/** Nothing is deleted: what can be read in it may be wanted later. */
function moveAside(file: string): void {
  let n = 1;
  while (existsSync(`${file}.aside-${n}`)) n++;
  for (const suffix of ['', '-wal', '-shm']) {
    if (existsSync(file + suffix)) renameSync(file + suffix, `${file}.aside-${n}${suffix}`);
  }
}

/** A file is there whole or not at all: an empty one was never made here. */
function makeFile(file: string): void {
  const fresh = `${file}.new`;
  // What is left of a store that is gone would be taken for this one's.
  const left = [`${file}-wal`, `${file}-shm`, fresh, `${fresh}-journal`];
  for (const path of left) rmSync(path, { force: true });
  writeFileSync(fresh, '', { mode: 0o600, flag: 'wx' });
  const db = new DatabaseSync(fresh);
  try {
    db.exec(`PRAGMA synchronous = FULL; BEGIN IMMEDIATE; ${schema} COMMIT`);
  } finally {
    db.close();
  }
  renameSync(fresh, file);
}

function openDatabase(file: string): DatabaseSync {
  const db = new DatabaseSync(file, { timeout: busyTimeoutMs });
  try {
    prepareDatabase(db, file);
    return db;
  } catch (error) {
    db.close();
    throw explain(error, file, 'cannot be opened');
  }
}

/** Refuses whatever is not a sound store of this version. */
function prepareDatabase(db: DatabaseSync, file: string): void {
  const id = pragma(db, 'application_id');
  const version = pragma(db, 'user_version');
  const isEmpty = db.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined;
  if (isEmpty) throw damaged(file, 'it holds no table');
  if (id !== stateId) {
    throw new StoreError(
      `${file} is a database of some other program: give Detour a state directory of its own`,
    );
  }
  if (Number(version) > stateVersion) {
    throw new StoreError(
      `${file} was written by a newer Detour (schema ${version}, this one knows ` +
        `${stateVersion}): start that version again, or move the file aside and begin anew with ` +
        '`detour run --new-state`',
    );
  }
  const mode = pragma(db, 'journal_mode = WAL');
  if (mode !== 'wal') {
    throw new StoreError(
      `${file} cannot use a write-ahead log (its journal mode stays ${mode}): ` +
        'put the state directory on a local file system',
    );
  }
  db.exec('PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 16777216');
  const checked = pragma(db, 'quick_check(1)');
  if (checked !== 'ok') throw damaged(file, String(checked));
  const { seq, last } = db
    .prepare('SELECT seq, (SELECT max(seq) FROM journal) AS last FROM position')
    .get() as { seq: number; last: number | null };
  if (last !== null && last !== seq) {
    throw damaged(file, `the journal ends at ${last}, its position says ${seq}`);
  }
}

const columns = 'seq, at, wall, kind, record, sentence, data';

function statementsOf(db: DatabaseSync) {
  return {
    documents: db.prepare('SELECT key, value FROM document'),
    position: db.prepare('SELECT seq, at FROM position'),
    oldest: db.prepare('SELECT seq, at FROM journal ORDER BY seq LIMIT 1'),
    prune: db.prepare('DELETE FROM journal WHERE seq < ? AND (seq <= ? OR at < ?)'),
    append: db.prepare(`INSERT INTO journal (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?)`),
    advance: db.prepare('UPDATE position SET seq = ?, at = ?, wall = ?'),
    put: db.prepare('INSERT OR REPLACE INTO document (key, value) VALUES (?, ?)'),
    drop: db.prepare('DELETE FROM document WHERE key = ?'),
    newest: db.prepare(`SELECT ${columns} FROM journal WHERE seq < ? ORDER BY seq DESC LIMIT ?`),
    newestOf: db.prepare(
      `SELECT ${columns} FROM journal WHERE record = ? AND seq < ? ORDER BY seq DESC LIMIT ?`,
    ),
  };
}

type Statements = ReturnType<typeof statementsOf>;

/** What one commit changes, inside its transaction. */
function apply(on: Statements, commit: Commit, limits: JournalLimits): void {
  const { at, wall, docs, earlier = [] } = commit;
  let { seq } = on.position.get() as { seq: number };
  const before = seq;
  for (const moment of [...earlier, commit]) {
    if (!Number.isFinite(moment.at) || !Number.isFinite(moment.wall)) {
      throw new Error('the commit has no time');
    }
    for (const { kind, record, sentence, data } of moment.entries) {
      seq++;
      on.append.run(seq, moment.at, moment.wall, kind, record, sentence, JSON.stringify(data));
    }
  }
  for (const [key, value] of docs) {
    if (value === null) on.drop.run(key);
    else on.put.run(key, JSON.stringify(value));
  }
  on.advance.run(seq, at, wall);
  const first = on.oldest.get() as { seq: number; at: number } | undefined;
  if (first && (first.seq <= seq - limits.entries || first.at < at - limits.ageMs)) {
    const until = Math.min(first.seq + (seq - before) + pruneStep, seq + 1);
    on.prune.run(until, seq - limits.entries, at - limits.ageMs);
  }
}

function makeStore(
  db: DatabaseSync,
  file: string,
  {
    isNew,
    reminder,
    limits,
  }: Pick<SqliteStore, 'isNew'> & {
    readonly reminder: Reminder;
    readonly limits: JournalLimits;
  },
): SqliteStore {
  const on = statementsOf(db);
  const files = [file, `${file}-wal`];
  const identities = files.map(identityOf);
  return {
    file,
    isNew,
    load() {
      try {
        const docs = on.documents.all() as { key: string; value: string }[];
        const { at } = on.position.get() as { at: number };
        const found = docs.map((d) => [d.key, parse(d.value, file)] as const);
        return { docs: Object.fromEntries(found), at, unkept: reminder.words() };
      } catch (error) {
        throw explain(error, file, 'cannot be read');
      }
    },
    commit(commit) {
      files.forEach((path, i) => {
        if (identityOf(path) === identities[i]) return;
        throw new StoreError(
          `${path} was removed or replaced while it was open: nothing more can be recorded; ` +
            'put it back if you have it, and restart Detour',
        );
      });
      try {
        db.exec('BEGIN IMMEDIATE');
        apply(on, commit, limits);
        db.exec('COMMIT');
      } catch (error) {
        rollBack(db);
        throw explain(error, file, 'cannot be written');
      }
    },
    remind(words) {
      try {
        reminder.write(words);
      } catch (error) {
        throw explain(error, reminder.file, 'cannot be written');
      }
    },
    history({ record, before = Number.MAX_SAFE_INTEGER, limit }) {
      const rows = Math.min(Math.max(Math.trunc(limit) || 1, 1), 10_000);
      const of = record === undefined ? [] : [record];
      try {
        const found = (record === undefined ? on.newest : on.newestOf).all(...of, before, rows);
        return found.map((row) => toEntry(row, file));
      } catch (error) {
        throw explain(error, file, 'cannot be read');
      }
    },
    close() {
      if (!db.isOpen) return;
      db.close();
      reminder.close();
    },
  };
}

function rollBack(db: DatabaseSync): void {
  // SQLite has already rolled back by itself after some failures (disk full, I/O error).
  if (!db.isOpen || !db.isTransaction) return;
  try {
    db.exec('ROLLBACK');
  } catch {
    // The transaction stays open, so every later BEGIN fails: nothing is half recorded, and the
    // caller is about to be told of the failure that led here.
  }
}

type Row = Omit<StoredEntry, 'data'> & { readonly data: string };

function toEntry(row: Record<string, SQLOutputValue>, file: string): StoredEntry {
  const { seq, at, wall, kind, record, sentence, data } = row as unknown as Row;
  return { seq, at, wall, kind, record, sentence, data: parse(data, file) };
}

function parse(text: string, file: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    // The parser's message would quote the content, so it is left out.
    throw damaged(file, 'a stored document is no JSON');
  }
}

function pragma(db: DatabaseSync, statement: string): SQLOutputValue | undefined {
  const row = db.prepare(`PRAGMA ${statement}`).get();
  return row && Object.values(row)[0];
}

/** Which file a path leads to: its device and inode, or why there is none. */
function identityOf(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat ? `${stat.dev}:${stat.ino}` : 'none';
}

const forgotten =
  'targets and epochs are then read back from the providers, while pins, drains and the journal ' +
  'are lost';

class Damaged extends StoreError {}

/** What to say of a file whose content cannot be believed, with the cure. */
export function damaged(file: string, what: string): StoreError {
  return new Damaged(
    `${file} is damaged (${what}): restore it from a backup, or begin anew with ` +
      `\`detour run --new-state\`, which moves it aside: ${forgotten}`,
  );
}

const diskFull = 'the disk is full: free some space; Detour goes on by itself';

/** SQLite's result codes (https://sqlite.org/rescode.html, read 2026-11) that have a cure. */
const cures: Readonly<Record<number, string>> = {
  5: 'another process holds it; end that one, or run one Detour per state directory',
  8: 'make the file and its directory writable for the user Detour runs as',
  10: 'the disk refuses: look at its space, limits and health (kernel log), then restart Detour',
  13: diskFull,
  14: 'make the directory readable and writable for the user Detour runs as',
};

function explain(error: unknown, file: string, what: string): StoreError {
  if (error instanceof StoreError) return error;
  if (error instanceof PlaceError) return new StoreError(error.message, { cause: error });
  const { errcode, code, message } = error as { errcode?: number; code?: string; message: string };
  const primary = (errcode ?? 0) & 0xff;
  // 11: SQLITE_CORRUPT, 26: SQLITE_NOTADB.
  if (primary === 11 || primary === 26) return damaged(file, message);
  const isFull =
    code === 'ENOSPC' || code === 'EDQUOT' || (primary !== 13 && hasNoRoom(dirname(file)));
  const known = errcode === undefined && code?.startsWith('E') ? cures[14] : cures[primary];
  const cure = isFull ? diskFull : known;
  return new StoreError(`${file} ${what}: ${message}${cure ? `; ${cure}` : ''}`, { cause: error });
}
