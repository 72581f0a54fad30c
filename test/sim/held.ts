// Connections that replicas hold of what they probe, as they end in a simulated world: one that refuses
// takes all along, a proxy or a server closes some of them at random, and what hangs or is lost closes
// none. From a chance of their own, and only in some worlds. It knows nothing of what Detour makes of
// an end: that ends alone move nothing, the checkers of every other rule say.

import type { CheckConfig } from '../../src/core/model.ts';
import type { Chance } from './chance.ts';
import type { Truth } from './faults.ts';
import type { Replica } from './replica.ts';

/** Tells the stream of a seed from its others. */
const HELD = 0x3ad8025f;
/** From one closing to the next, on average: from seldom to all the time. */
const EVERY_MS = [1_000, 60_000] as const;

export const heldSeed = (seed: number) => seed ^ HELD;

interface World {
  readonly truth: Truth;
  readonly replicas: readonly Replica[];
  later(ms: number, run: () => void): void;
  isOver(): boolean;
}

export function holdConnections(c: Chance, world: World): void {
  if (!c.is(0.5)) return;
  const everyMs = c.spread(...EVERY_MS);
  const { truth, replicas } = world;
  const { turned } = truth.places;
  truth.places.turned = (place) => {
    turned(place);
    if (truth.places.top(place)?.kind !== 'refuse') return;
    for (const r of replicas) r.endHeld((check) => (check.origin ?? check.id) === place);
  };
  const close = () => {
    if (world.isOver()) return;
    c.pick(replicas).endHeld(some(c));
    world.later(c.wait(everyMs), close);
  };
  world.later(c.wait(everyMs), close);
}

/** One, all of one path, or each with the same chance. */
function some(c: Chance): (check: CheckConfig, path: string) => boolean {
  const kind = c.int(1, 3);
  const share = c.next();
  let left = 1;
  let its: string | null = null;
  return (_check, path) => {
    if (kind === 1) return c.is(share) && left-- > 0;
    if (kind === 2) {
      its ??= path;
      return path === its;
    }
    return c.is(share);
  };
}
