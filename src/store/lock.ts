// One daemon per state directory (design, rule 18). The lock is an SQLite transaction held open on
// a file of its own: underneath it is a lock of the kernel, so that it ends with the process
// however the process ends, SIGKILL included, and a stale lock cannot exist. The holder's pid
// stands in a second file, for the message only. It must never be decided by that file, and the
// lock file must never be opened by anything but SQLite: closing any descriptor of it would drop
// the kernel's lock (POSIX fcntl locks belong to the process, not the descriptor).

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { hasNoRoom, PlaceError, securePlace } from './place.ts';

/** The state directory is taken or cannot be locked; the message says by whom and what to do. */
export class LockError extends Error {}

/** Kept here, because one that nobody refers to would be closed, and the lock with it. */
const held = new Set<DatabaseSync>();

interface StateLock {
  /** Lets go, once; later calls do nothing. */
  release(): void;
}

/**
 * Takes the state directory for this process, making it (mode 0700) when absent. Throws LockError
 * at once, without waiting, when another process or another lock of this one has it.
 */
export function lockStateDirectory(directory: string): StateLock {
  const file = join(directory, 'lock.sqlite');
  const pidFile = join(directory, 'lock.pid');
  const db = openLockFile(directory, file);
  try {
    db.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    db.close();
    const { errcode, message } = error as { errcode?: number; message: string };
    // 5: SQLITE_BUSY.
    if (((errcode ?? 0) & 0xff) !== 5) throw cannotLock(directory, message);
    throw new LockError(
      `${directory} is in use by ${holder(pidFile)}: end that one first, ` +
        'or give this Detour another stateDir',
    );
  }
  held.add(db);
  const release = () => {
    if (!held.delete(db)) return;
    rmSync(pidFile, { force: true });
    db.close();
  };
  try {
    writeFileSync(pidFile, `${process.pid} ${hostname()}\n`, { mode: 0o600 });
  } catch {
    // A full disk, say: the lock is held all the same, and the store says what the disk's trouble is.
    rmSync(pidFile, { force: true });
  }
  return { release };
}

function openLockFile(directory: string, file: string): DatabaseSync {
  try {
    securePlace(directory);
    // SQLite makes the file, readable for all: whoever may read it may lock it.
    const umask = process.umask(0o077);
    try {
      return new DatabaseSync(file, { timeout: 0 });
    } finally {
      process.umask(umask);
    }
  } catch (error) {
    if (error instanceof PlaceError) throw new LockError(error.message);
    throw cannotLock(directory, (error as Error).message);
  }
}

/** Who holds the lock, as far as can be told. */
function holder(pidFile: string): string {
  let text: string;
  try {
    text = readFileSync(pidFile, 'utf8');
  } catch {
    // The holder has the lock and has not written its pid yet: the lock decides, not this file.
    return 'another process';
  }
  const [, pid, host] = /^(\d{1,10}) (\S{1,255})\n$/.exec(text) ?? [];
  if (pid === undefined) return 'another process';
  return host === hostname() ? `the process with pid ${pid}` : `pid ${pid} on ${host}`;
}

function cannotLock(directory: string, why: string): LockError {
  const isFull = /ENOSPC|EDQUOT/.test(why) || hasNoRoom(directory);
  const cure = isFull
    ? 'the disk is full: free some space'
    : 'make the directory writable for the user Detour runs as, on a local file system';
  return new LockError(`${directory} cannot be locked: ${why}; ${cure}`);
}
