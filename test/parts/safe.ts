// Folders that nobody but root and this user can change, nor any folder above them: where packages
// are loaded from. /tmp is none. Written apart from the code under test.

import { accessSync, constants, mkdirSync, mkdtempSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Places for test folders, those in this checkout first; made when they are used. */
const inside = [join(root, '.detour')];
const outside = [join(homedir(), '.cache'), homedir(), '/var/lib'];

export const unsafe = 'every folder here may be written by others';

/** A fresh folder, in the checkout or not; null where there is no safe place. */
export function safeFolder(
  name: string,
  where: 'anywhere' | 'outside' = 'anywhere',
): string | null {
  const places = where === 'outside' ? outside : [...inside, ...outside];
  const place = places.find(isSafe);
  if (place === undefined) return null;
  mkdirSync(place, { recursive: true, mode: 0o755 });
  return mkdtempSync(join(place, `detour-${name}-`));
}

/** Whether nobody else can change this folder or one above it, and this user may write there. */
export function isSafe(path: string): boolean {
  const us = process.getuid!();
  let nearest: string | null = null;
  for (let at = path; ; at = dirname(at)) {
    const stat = statSync(at, { throwIfNoEntry: false });
    if (stat !== undefined) {
      nearest ??= at;
      if ((stat.uid !== 0 && stat.uid !== us) || (stat.mode & 0o022) !== 0) return false;
    }
    if (at === '/') break;
  }
  return nearest !== null && isWritable(nearest);
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
