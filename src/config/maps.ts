// Maps of named things, as a configuration is made of: which entries there are, and the part of a map
// that somebody reads. It must never let a name through that is none.

import { namePattern, nameRule } from './fields.ts';
import { type MapTree, type Path, plainOf, type Source, show, type Tree } from './text.ts';

export const emptyMap: MapTree = { kind: 'map', entries: new Map(), offset: 0, size: 1, depth: 0 };

/** The named entries of a map, those with a lawful name; notes what is missing or no map. */
export function entriesOf(
  { source }: { readonly source: Source },
  path: Path,
  parent: Tree | undefined,
  what: string,
  nameOf: (key: string) => string | null = plainName,
): [name: string, tree: Tree, path: Path][] {
  const key = path.at(-1)!;
  const tree = parent?.kind === 'map' ? parent.entries.get(String(key))?.tree : undefined;
  if (tree === undefined) {
    source.problem(path, `is missing; expected a map of at least one ${what} by its name`, 'key');
    return [];
  }
  if (tree.kind !== 'map' || tree.entries.size === 0) {
    const got = tree.kind === 'map' ? 'an empty one' : show(plainOf(tree));
    source.problem(path, `expected a map of at least one ${what} by its name, got ${got}`);
    return [];
  }
  const entries: [string, Tree, Path][] = [];
  for (const [word, entry] of tree.entries) {
    const name = nameOf(word);
    if (name !== null) entries.push([name, entry.tree, [...path, word]]);
    else source.problem([...path, word], `expected ${nameRule} as the name`, 'key');
  }
  return entries;
}

function plainName(key: string): string | null {
  return namePattern.test(key) ? key : null;
}

/** A map with some of its keys, or without them. */
export function pick(tree: Tree, keys: readonly string[], wanted = true): MapTree {
  if (tree.kind !== 'map') return emptyMap;
  const entries = [...tree.entries].filter(([key]) => keys.includes(key) === wanted);
  return { ...tree, entries: new Map(entries) };
}
