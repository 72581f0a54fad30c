// NS sets and their markers, as far as all vendors have them alike: what a change takes away and
// brings, and what no change may do. It must never let an empty set through, nor a change of a place
// that was not read.

import type { Name, NsChange, NsPlace, NsSeen, Result } from '../../src/core/model.ts';
import type { DelegationHands } from '../../src/kit/extend.ts';
import { type Called, done, failed } from './fault.ts';

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
