// How the names of a configuration are shown: as they stand in it. What is decided knows them in
// ASCII alone. Pure; it never lets a label be shown that could pass for another, and says so where
// that stands.

import type { CoreConfig } from '../core/model.ts';
import { listOf } from '../core/name.ts';
import { dnsName } from '../kit/schema.ts';
import { isForeign, labelsOf } from '../kit/script.ts';
import type { MapTree, Path, Source, Tree } from './text.ts';

/** Where names of records and zones stand. */
const parts = ['records', 'providers'] as const;

/** Of all names that are written in their own script. */
export function readSpelling(source: Source, root: MapTree): Pick<CoreConfig, 'spelling'> {
  const shown: Record<string, string> = {};
  const take = (text: string, path: Path) => {
    if (!isForeign(text) || !dnsName.safeParse(text).success) return;
    const labels = labelsOf(text);
    Object.assign(shown, labels.shown);
    if (labels.unshown.length === 0) return;
    const message = 'could pass for another by its looks, or is not read from left to right';
    source.warning(path, `${listOf(labels.unshown)}: ${message}; it is shown in ASCII alone`);
  };
  const look = (tree: Tree, path: Path): void => {
    if (tree.kind === 'scalar') {
      if (typeof tree.value === 'string') take(tree.value, path);
    } else if (tree.kind === 'list') {
      for (const [i, item] of tree.items.entries()) look(item, [...path, i]);
    } else {
      for (const [key, { tree: below }] of tree.entries) {
        take(key, [...path, key]);
        look(below, [...path, key]);
      }
    }
  };
  for (const part of parts) {
    const entry = root.entries.get(part);
    if (entry !== undefined) look(entry.tree, [part]);
  }
  return Object.keys(shown).length === 0 ? {} : { spelling: shown };
}
