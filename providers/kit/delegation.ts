// NS sets and their markers, as far as all vendors have them alike: what a change takes away and
// brings, and what no change may do. It must never let an empty set through, nor a change of a place
// that was not read.

import { delegationMarkerName } from '../../src/core/marker.ts';
import type { Name, NsChange, NsPlace, NsSeen, Result } from '../../src/core/model.ts';
import type { DelegationHands } from '../../src/kit/extend.ts';
import { type Called, done, failed } from './fault.ts';
import type { ZoneFinder } from './zone.ts';

/** What goes and what comes, of one set. */
interface Moves<T> {
  readonly gone: readonly T[];
  readonly come: readonly T[];
}

export interface NsMoves {
  readonly servers: Moves<Name>;
  readonly markers: Moves<string>;
}

/** The hands of a vendor, of what its API takes: `make` is given changes that change something. */
export function delegationHands(api: {
  look(place: NsPlace, signal: AbortSignal): Promise<Called<NsSeen>>;
  make(change: NsChange, moves: NsMoves, signal: AbortSignal): Promise<Called<null>>;
}): DelegationHands {
  return {
    async read(place, signal) {
      return resultOf(await api.look(place, signal));
    },
    async write(change, signal) {
      const { from, to, place } = change;
      if (to.servers.length + from.fixed.length === 0) {
        return resultOf(failed('record', 'rejected', `the NS set of ${place.name} would be empty`));
      }
      const moves = {
        servers: movesOf(from.servers, to.servers),
        markers: movesOf(from.markers, to.markers),
      };
      const { servers, markers } = moves;
      const isNothing = [servers, markers].every((m) => m.gone.length + m.come.length === 0);
      return isNothing ? done(null) : resultOf(await api.make(change, moves, signal));
    },
  };
}

function movesOf<T>(from: readonly T[], to: readonly T[]): Moves<T> {
  return {
    gone: from.filter((one) => !to.includes(one)),
    come: to.filter((one) => !from.includes(one)),
  };
}

function resultOf<T>(called: Called<T>): Result<T> {
  return called.ok ? done(called.value) : { ok: false, fault: called.fault };
}

export function isApex({ zone, name }: NsPlace): boolean {
  return zone === name;
}

/**
 * The zone that a place lies in, where an account has zones by name; of its own zone the one that is
 * told by id, where two are of one name. `whose`: what says which account it is, for the cure.
 */
export async function zoneOfPlace<Z extends { readonly name: Name }>(
  place: NsPlace,
  zones: Pick<ZoneFinder<Z>, 'find'>,
  byName: (zone: Name) => Promise<Called<Z | null>>,
  signal: AbortSignal,
  whose: string,
): Promise<Called<Z>> {
  const own = isApex(place) ? await zones.find(delegationMarkerName(place.zone), signal) : null;
  const found = own ?? (await byName(place.zone));
  if (!found.ok) return found;
  if (found.value?.name === place.zone) return done(found.value);
  const cure = `check \`delegation\` in the configuration, and whose ${whose} it is`;
  return failed('zone', 'rejected', `this account holds no zone ${place.zone}`, { cure });
}

/** Whether two readings saw the same, in whatever order. */
export function isSameNs(a: Pick<NsSeen, 'servers' | 'markers'>, b: typeof a): boolean {
  const plain = ({ servers, markers }: typeof a) =>
    JSON.stringify([servers.toSorted(), markers.toSorted()]);
  return plain(a) === plain(b);
}

/** Somebody was faster: what was read stands there no more. */
export function movedOn({ name }: NsPlace): Called<never> {
  const detail = `the NS set of ${name} or its marker is no longer what was read`;
  return failed('record', 'conflict', detail, { cure: 'look again, and say it again' });
}

/** TTL of a marker's text where the set has none to go by, in seconds. */
export const markerTtl = 300;
