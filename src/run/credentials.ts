// Where systemd has the keys that a configuration names as `credential`, for a process that it did
// not start: a person at a terminal while the daemon is dead. What the unit itself is given, or else
// the files that it names (systemd.exec(5), LoadCredential=; systemd.unit(5), the load path). It
// reads unit files alone, never a key, and looks only where root alone may write.

import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { whyOfFile } from '../kit/errno.ts';
import { credentialFolder, credentialNames } from '../kit/secret.ts';

/** First is strongest. */
const unitFolders = [
  'etc/systemd/system',
  'run/systemd/system',
  'usr/local/lib/systemd/system',
  'usr/lib/systemd/system',
  'lib/systemd/system',
];

/** The unit of `deploy/systemd`; DETOUR_UNIT names another. */
const ownUnit = 'detour.service';

type Located =
  | { readonly ok: true; readonly path: string }
  /** One line: why there is none, and what to do. */
  | { readonly ok: false; readonly sentence: string };

/** The file that holds a credential of the unit. `root` is where its folders are looked for. */
export function locateCredential(name: string, unitWord: string | undefined, root = '/'): Located {
  const unit = unitWord ?? ownUnit;
  if (!/^[\w@.:-]{1,200}\.service$/.test(unit)) {
    return {
      ok: false,
      sentence: `DETOUR_UNIT=${unit}: expected the name of a unit, NAME.service`,
    };
  }
  const given = credentialNames(name).map((one) => join(root, 'run/credentials', unit, one));
  const readable = given.find((path) => isReadable(path) === null);
  if (readable !== undefined) return { ok: true, path: readable };
  const sources = sourcesOf(unit, root);
  const folder = sources.get(credentialFolder);
  const source = sources.get(name) ?? (folder === undefined ? undefined : join(folder, name));
  if (source === undefined) {
    const cure =
      'set CREDENTIALS_DIRECTORY to a folder that holds a file of that name, or run this as root ' +
      'where that unit is (DETOUR_UNIT names another)';
    return { ok: false, sentence: `no LoadCredential of ${unit} names it here: ${cure}` };
  }
  const why = isReadable(source);
  if (why === null) return { ok: true, path: source };
  return { ok: false, sentence: `${source}, which ${unit} names, ${why}: run this as root` };
}

/** null when it is, else why not. */
function isReadable(path: string): string | null {
  try {
    accessSync(path, constants.R_OK);
    return null;
  } catch (error) {
    return whyOfFile(error);
  }
}

/** Files by the credential's name, from the unit and what is dropped in beside it. */
function sourcesOf(unit: string, root: string): ReadonlyMap<string, string> {
  const folders = unitFolders.map((folder) => join(root, folder));
  const main = folders.map((folder) => textOf(join(folder, unit))).find((text) => text !== null);
  // One of a name hides those of weaker folders; all of them are taken in the order of their names.
  const dropped = new Map<string, string>();
  for (const folder of folders.toReversed()) {
    for (const file of listOf(join(folder, `${unit}.d`))) {
      if (file.endsWith('.conf')) dropped.set(file, join(folder, `${unit}.d`, file));
    }
  }
  const more = [...dropped]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, path]) => textOf(path));
  const sources = new Map<string, string>();
  for (const text of [main ?? null, ...more]) takeFrom(text ?? '', sources);
  return sources;
}

function takeFrom(text: string, sources: Map<string, string>): void {
  for (const [, value] of text.matchAll(/^[ \t]*LoadCredential[ \t]*=[ \t]*(.*?)[ \t]*$/gm)) {
    if (value === '') {
      sources.clear();
      continue;
    }
    const [, id, path] = /^([^:]+):(.+)$/.exec(value!) ?? [];
    // Specifiers are systemd's to expand.
    if (id !== undefined && isAbsolute(path!) && !path!.includes('%')) sources.set(id, path!);
  }
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Not there, or not for this user: another may be, and whoever asks is told that none was.
    return null;
  }
}

function listOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    // No such folder is the usual case.
    return [];
  }
}
