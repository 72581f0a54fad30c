// NS sets at Route 53: one batch deletes the exact set and marker that were read and makes the new
// ones. It must never change a set that is no longer what was read.

import type * as sdk from '@aws-sdk/client-route-53';
import { z } from 'zod';
import { delegationMarkerName } from '../../src/core/marker.ts';
import type { Json, Name, NsChange, NsPlace, NsSeen } from '../../src/core/model.ts';
import type { DelegationHands } from '../../src/kit/extend.ts';
import { delegationHands, isApex, markerTtl, type NsMoves, zoneOfPlace } from './delegation.ts';
import { type Called, done, failed } from './fault.ts';
import {
  type Account,
  cutAt,
  exactOf,
  exactSet,
  type FoundZone,
  oneChange,
  readRun,
  refusalOf,
  sendBatch,
  valuesOf,
  zoneByName,
} from './route53-api.ts';
import { nameFrom, quoteText, textMax, unquoteText, type ZoneFinder } from './zone.ts';

/** What `NsSeen.ref` holds. */
const exactNs = z.object({
  zone: z.object({ id: z.string(), name: z.string() }),
  ns: exactSet.nullable(),
  marker: exactSet.nullable(),
});

/** The hands of an account in the delegation of zones that it holds. */
export function nsHands(account: Account, zones: ZoneFinder<FoundZone>): DelegationHands {
  return delegationHands({
    look: (place, signal) => lookAtNs(account, zones, place, signal),
    make: (change, moves, signal) => changeNs(account, change, moves, signal),
  });
}

async function lookAtNs(
  account: Account,
  zones: ZoneFinder<FoundZone>,
  place: NsPlace,
  signal: AbortSignal,
): Promise<Called<NsSeen>> {
  const byName = (zone: Name) => zoneByName(account, zone, signal);
  const found = await zoneOfPlace(place, zones, byName, signal, 'key');
  if (!found.ok) return found;
  const zone = { id: found.value.id, name: found.value.name };
  const at = await cutAt(account, zone, place.name, signal);
  if (!at.ok) return at;
  const texts = await readRun(account, zone, delegationMarkerName(zone.name), signal);
  if (!texts.ok) return texts;
  const markers = texts.value.at;
  const refusal = refusalOf(at.value, 'NS') ?? refusalOf(markers, 'TXT');
  if (refusal !== null) return failed('record', 'rejected', refusal.sentence);
  const ref: z.output<typeof exactNs> = { zone, ns: exactOf(at.value), marker: exactOf(markers) };
  return done({
    servers: at.value.flatMap((set) => valuesOf(set).map(nameFrom)),
    fixed: [],
    ttl: at.value[0]?.TTL ?? null,
    markers: markers.flatMap((set) => valuesOf(set).map((value) => unquoteText(value, 8))),
    ref: ref as Json,
  });
}

async function changeNs(
  account: Account,
  { place, from, to }: NsChange,
  { servers, markers }: NsMoves,
  signal: AbortSignal,
): Promise<Called<null>> {
  const { name, zone: of } = place;
  const ref = exactNs.safeParse(from.ref);
  if (!ref.success || ref.data.ns === null) {
    return failed('record', 'conflict', `the NS set of ${name} was not read as it stands`);
  }
  const { zone, ns, marker } = ref.data;
  const parts: sdk.Change[] = [];
  if (servers.gone.length + servers.come.length > 0) {
    const wanted = { name, ttl: ns.ttl, values: [...to.servers] };
    if (isApex(place)) parts.push(oneChange('UPSERT', 'NS', wanted));
    else parts.push(oneChange('DELETE', 'NS', ns), oneChange('CREATE', 'NS', wanted));
  }
  if (markers.gone.length + markers.come.length > 0) {
    if (marker !== null) parts.push(oneChange('DELETE', 'TXT', marker));
    const values = to.markers.map((text) => quoteText(text, 8));
    if (values.includes(null)) {
      return failed('record', 'rejected', `a marker of ${of} is longer than ${textMax} bytes`);
    }
    const texts = { name: delegationMarkerName(of), ttl: markerTtl, values: values as string[] };
    if (values.length > 0) parts.push(oneChange('CREATE', 'TXT', texts));
  }
  return sendBatch(account, zone, `ChangeResourceRecordSets of NS ${name}`, parts, signal);
}
