// Which checks have a connection held open between their probes, and which come first where not all
// can. Pure: it opens nothing, and knows of a kind only what the tables say.

import type { CheckConfig, CoreConfig } from '../core/model.ts';
import type { End } from '../core/state.ts';
import type { Context, ProbeConfig } from './context.ts';
import type { Path } from './text.ts';

/** As the check itself says, else as is usual for it; undefined: by its kind. */
export function holdOf(
  { source, tables }: Context,
  at: Path,
  { kind }: ProbeConfig,
  given: boolean | undefined,
  usual: boolean | undefined,
): { readonly hold?: true } {
  if (kind === '' || tables.holding === undefined) return {};
  const how = tables.holding(kind);
  if (how === null && given === true) {
    const message = `a ${kind} check has no connection that could be held: leave hold out`;
    source.problem([...at, 'hold'], message);
  }
  const isHeld = how !== null && (given ?? usual ?? how === 'unasked');
  return isHeld ? { hold: true } : {};
}

/** All that may be held by some paths: what leads to a more preferred target of a record first. */
export function heldInOrder(
  { checks, origins, records }: Pick<CoreConfig, 'checks' | 'origins' | 'records'>,
  mayCarry: (path: string) => boolean,
): readonly End[] {
  const places = new Map<string, number>();
  const put = (key: string, place: number) => {
    places.set(key, Math.min(place, places.get(key) ?? Number.POSITIVE_INFINITY));
  };
  for (const { targets } of Object.values(records)) {
    for (const [place, { origin }] of targets.entries()) {
      put(origin, place);
      // What is wrong is still to be told.
      for (const id of origins[origin]?.needs ?? []) put(id, place);
    }
  }
  const last = Number.MAX_SAFE_INTEGER;
  const placeOf = ({ id, origin }: CheckConfig) => places.get(origin ?? id) ?? last;
  const held = Object.values(checks).filter((check) => check.hold);
  const inOrder = held.toSorted((a, b) => placeOf(a) - placeOf(b));
  return inOrder.flatMap(({ id, paths }) =>
    paths.filter(mayCarry).map((path) => ({ check: id, path })),
  );
}
