// What stands at the vendors when a simulated world begins: nothing, bare values, markers of this
// cluster, of another, or of nobody; some of them odd. Draws and puts; it runs nothing.

import { createKeyring } from '../../src/cluster/keyring.ts';
import { formatMarker } from '../../src/core/marker.ts';
import type { CoreConfig, Marker, Name } from '../../src/core/model.ts';
import type { Chance } from './chance.ts';
import { NOTHING, type SimVendor } from './vendors.ts';

/** The key of nobody in these worlds. */
const STRANGER = createKeyring(['a-key-that-is-of-no-cluster-in-here']);

/** Whoever holds a world, as far as this is concerned. */
export interface Keeper {
  readonly chance: Chance;
  readonly other: Chance;
  readonly config: CoreConfig;
  readonly vendors: ReadonlyMap<string, SimVendor>;
  gives(name: Name, epoch: number): void;
  sign(name: Name, cname: Name, marker: Marker): string;
}

/** Puts there what stands at the vendors at first. */
export function hold(k: Keeper): void {
  const c = k.chance;
  for (const record of Object.values(k.config.records)) {
    const how = c.next();
    const first = c.pick(record.targets);
    const epoch = c.int(1, 9);
    for (const { provider } of record.publish) {
      const vendor = k.vendors.get(provider)!;
      const odd = c.is(0.15);
      if (how < 0.06 || (how < 0.2 && odd)) continue;
      const value = how < 0.3 && odd ? c.pick(record.targets).cname : first.cname;
      const cname = { id: vendor.newId(), value, ttl: 60 };
      if (how < 0.8) {
        vendor.put(record.name, { ...NOTHING, cname }, 'human');
        continue;
      }
      const marker = {
        cluster: how < 0.83 ? 'other' : k.config.cluster,
        epoch: odd ? Math.max(1, epoch - 1) : epoch,
        id: 'before',
        term: 1,
        kind: c.is(0.5) ? 'auto' : 'operator',
        target: first.origin,
        pinned: false,
        pinMs: null,
      } as const;
      const text = how < 0.85 && odd ? 'a text' : before(k, record.name, first.cname, marker);
      const texts = [{ id: vendor.newId(), value: text }];
      vendor.put(
        record.name,
        { ...NOTHING, cname: { ...cname, value: first.cname }, texts },
        'human',
      );
    }
  }
}

/** A marker of earlier: by the key of this cluster, by another, or by none. */
function before(k: Keeper, name: Name, cname: Name, marker: Marker): string {
  const how = k.other.next();
  if (marker.cluster === k.config.cluster) k.gives(name, marker.epoch);
  if (how < 0.25) return formatMarker(marker);
  if (how < 0.4) return formatMarker(STRANGER.sign(name, cname, marker));
  return k.sign(name, cname, marker);
}
