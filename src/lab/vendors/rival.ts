// A second writer of the same cluster, without its key: now and then it puts a marker of its own and
// another target at one vendor, at the same epoch or one above. It writes as a person at the console
// would, so that no quota and no fault of the API holds it up. It must never touch a record that
// bears no marker yet, and after close(), which takes its last marker away, never write again.

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
  let last: string | null = null;
  const write = () => {
    const written = compete(vendor, record, writes % 2);
    if (written === null) return;
    last = written;
    writes++;
  };
  write();
  const timer = setInterval(write, everyMs);
  return {
    get writes() {
      return writes;
    },
    close: () => {
      clearInterval(timer);
      const at = markerName(record.name);
      if (last !== null && standsAt(vendor, record.name)?.text === last)
        vendor.edit(at, 'TXT', null);
    },
  };
}

/** The text at a record's marker; null when there is none, or no zone any more. */
function standsAt(vendor: LabVendor, name: string): { readonly text: string; ttl: number } | null {
  const zone = name.slice(name.indexOf('.') + 1);
  if (!vendor.zones.includes(zone) || vendor.brokenZone(zone) === 'deleted') return null;
  const standing = vendor.zone(zone).get(markerName(name), 'TXT');
  if (standing === null) return null;
  const text = Buffer.concat(parseStrings(standing.values[0] ?? '') ?? []).toString();
  return { text, ttl: standing.ttl };
}

/** The marker that it has written; null when there is none that could be competed with. */
function compete(
  vendor: LabVendor,
  { name, ttl, targets }: LabRecord,
  above: number,
): string | null {
  const standing = standsAt(vendor, name);
  const marker = standing === null ? null : parseMarker(standing.text);
  if (standing === null || marker === null) return null;
  const other = targets.find((t) => t.origin !== marker.target) ?? targets[0]!;
  const { mac: _, ...bare } = marker;
  const rival = formatMarker({
    ...bare,
    epoch: marker.epoch + above,
    id: randomBytes(8).toString('hex'),
    kind: 'auto',
    target: other.origin,
    pinned: false,
    pinMs: null,
  });
  vendor.edit(name, 'CNAME', other.cname, ttl);
  vendor.edit(markerName(name), 'TXT', printStrings([rival]), standing.ttl);
  return rival;
}
