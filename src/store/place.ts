// The state directory, looked at as ssh looks at its keys: whoever may write there may forge what was
// decided. What is ours and too open is made private; what somebody else owns, or could have planted,
// is refused with the cure. It must never follow a link, and never open a file: the lock would not
// survive that.

import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  type Stats,
  statfsSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

/** The state directory cannot be trusted; the message names what and says what to do. */
export class PlaceError extends Error {}

/** All that Detour ever writes there, but for the socket, which has a mode of its own. */
const ours = /^(detour\.sqlite|lock\.|nameservers\.json)/;

/**
 * Makes the directory (mode 0700) when it is absent, and everything of ours in it private. Throws
 * PlaceError where it is not safe to use, and the system's error where it cannot be made or read.
 */
export function securePlace(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const place = realpathSync(directory);
  const self = process.geteuid!();
  lookAtDirectory(place, self);
  for (let above = dirname(place); ; above = dirname(above)) {
    const { mode } = lstatSync(above);
    // Where others may write, the sticky bit keeps them from putting another directory in its place.
    if ((mode & 0o002) !== 0 && (mode & 0o1000) === 0) {
      throw new PlaceError(
        `state directory ${directory}: anybody may replace it, for ${above} is writable for all: ` +
          `chmod o-w ${above}, or choose another stateDir`,
      );
    }
    if (above === dirname(above)) break;
  }
  for (const name of readdirSync(place)) if (ours.test(name)) lookAtFile(join(place, name), self);
}

function lookAtDirectory(place: string, self: number): void {
  const { uid, gid, mode } = lstatSync(place);
  if (uid !== self && uid !== 0) throw strangers(place, uid, self);
  if (uid === self && (mode & 0o022) !== 0) return chmodSync(place, mode & 0o7755);
  if ((mode & 0o002) !== 0) {
    throw new PlaceError(`${place} is writable for all: chmod o-w ${place}, as its owner`);
  }
  // Kubernetes gives a volume to root and one group (fsGroup); any other group is somebody else.
  const mayShare = [process.getegid!(), ...process.getgroups!()].includes(gid);
  if ((mode & 0o020) !== 0 && !mayShare) {
    throw new PlaceError(
      `${place} is writable for group ${gid}, which is not ours: chmod g-w ${place}, as its owner`,
    );
  }
}

function lookAtFile(path: string, self: number): void {
  const found: Stats | undefined = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isFile()) {
    const what = found.isSymbolicLink() ? 'a link' : 'no plain file';
    throw new PlaceError(`${path} is ${what}: Detour did not make it; see who did, and remove it`);
  }
  if (found.nlink > 1) {
    throw new PlaceError(
      `${path} has ${found.nlink} names: somebody has linked it; ` +
        'see who did, and put a copy of its own in its place',
    );
  }
  if (found.uid !== self) throw strangers(path, found.uid, self);
  if ((found.mode & 0o077) !== 0) chmodSync(path, 0o600);
}

function strangers(path: string, owner: number, self: number): PlaceError {
  return new PlaceError(
    `${path} belongs to uid ${owner} and Detour runs as uid ${self}: ` +
      `run it as that user, or chown ${self} ${path}`,
  );
}

/** No byte or no file fits there any more. SQLite calls that by many names. */
export function hasNoRoom(directory: string): boolean {
  try {
    const { bavail, files, ffree } = statfsSync(directory);
    return bavail === 0 || (files > 0 && ffree === 0);
  } catch {
    // A directory that cannot be looked at has another trouble, which is said.
    return false;
  }
}
