// A second writer of the same cluster, as after a split brain: now and then it puts a marker of its
// own and another target at one vendor, at the same epoch or one above. It writes as a person at
// the console would, so that no quota and no fault of the API holds it up. It must never touch a
// record that bears no marker yet, and never write again after close().

import { randomBytes } from 'node:crypto';
import { formatMarker, markerName, parseMarker } from '../../core/marker.ts';
import type { LabRecord } from '../lab.ts';
import type { LabVendor } from './vendor.ts';
import { parseStrings, printStrings } from './zone.ts';

export interface Rival {
  /** Times that it has written. */
  readonly writes: number;
  close(): void;
}

/** Starts a second writer of one record at one vendor: at once, then every so many milliseconds. */
export function startRival(vendor: LabVendor, record: LabRecord, everyMs: number): Rival {
  let writes = 0;
  const write = () => {
    if (compete(vendor, record, writes % 2)) writes++;
  };
  write();
  const timer = setInterval(write, everyMs);
  return {
    get writes() {
      return writes;
    },
    close: () => clearInterval(timer),
  };
}

/** False when there is no marker that could be competed with, or no zone any more. */
function compete(vendor: LabVendor, { name, ttl, targets }: LabRecord, above: number): boolean {
  const at = markerName(name);
  const zone = name.slice(name.indexOf('.') + 1);
  if (!vendor.zones.includes(zone) || vendor.brokenZone(zone) === 'deleted') return false;
  const standing = vendor.zone(zone).get(at, 'TXT');
  const text = Buffer.concat(parseStrings(standing?.values[0] ?? '') ?? []).toString();
  const marker = parseMarker(text);
  if (standing === null || marker === null) return false;
  const other = targets.find((t) => t.origin !== marker.target) ?? targets[0]!;
  const rival = formatMarker({
    ...marker,
    epoch: marker.epoch + above,
    id: randomBytes(8).toString('hex'),
    kind: 'auto',
    target: other.origin,
    pinned: false,
    pinMs: null,
  });
  vendor.edit(name, 'CNAME', other.cname, ttl);
  vendor.edit(at, 'TXT', printStrings([rival]), standing.ttl);
  return true;
}
