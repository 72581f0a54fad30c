// NS sets at Cloudflare: servers and marker change in one batch that deletes by id what was read.
// Where no marker is replaced, a claim takes its place in that. It must never change a set that is no
// longer what was read.

import { z } from 'zod';
import { delegationMarkerName, FIRST_ID } from '../../src/core/marker.ts';
import type { Json, Name, NsChange, NsPlace, NsSeen } from '../../src/core/model.ts';
import type { DelegationHands } from '../../src/kit/extend.ts';
import {
  type Account,
  bare,
  batchOperationsLeast,
  claimText,
  type FoundZone,
  getZone,
  isNs,
  readName,
  sendBatch,
  servedTtl,
  settingsOf,
  type Zone,
  zoneByName,
} from './cloudflare-api.ts';
import {
  delegationHands,
  isApex,
  isSameNs,
  markerTtl,
  movedOn,
  type NsMoves,
  zoneOfPlace,
} from './delegation.ts';
import { type Called, done } from './fault.ts';
import { nameFrom, quoteText, unquoteText, type ZoneFinder } from './zone.ts';

/** What `NsSeen.ref` holds: ids by what stands there. */
const nsRef = z.object({
  zone: z.object({ id: z.string(), name: z.string(), ttlMin: z.number() }),
  ns: z.array(z.tuple([z.string(), z.string()])),
  markers: z.array(z.tuple([z.string(), z.string()])),
  claim: z.string().nullable(),
});

/** The hands of an account in the delegation of zones that it holds. */
export function nsHands(account: Account, zones: ZoneFinder<FoundZone>): DelegationHands {
  return delegationHands({
    look: (place, signal) => lookAtNs(account, zones, place, signal),
    make: (change, moves, signal) => changeNs(account, zones, change, moves, signal),
  });
}

async function lookAtNs(
  account: Account,
  zones: ZoneFinder<FoundZone>,
  place: NsPlace,
  signal: AbortSignal,
): Promise<Called<NsSeen>> {
  const byName = (zone: Name) => zoneByName(account, zone, signal);
  const found = await zoneOfPlace(place, zones, byName, signal, 'token');
  if (!found.ok) return found;
  const zone = found.value;
  const [at, texts, fixed] = await Promise.all([
    readName(account, zone, place.name, signal),
    readName(account, zone, delegationMarkerName(zone.name), signal),
    isApex(place) ? ownServers(account, zone, signal) : done({ names: [], isServed: true }),
  ]);
  if (!at.ok) return at;
  if (!texts.ok) return texts;
  if (!fixed.ok) return fixed;
  // What the vendor does not serve is no NS set.
  const ns = fixed.value.isServed ? at.value.filter(isNs) : [];
  const written = texts.value
    .filter((r) => r.type === 'TXT')
    .map((r) => [unquoteText(r.content ?? '', 10), r.id] as const);
  const markers = written.filter(([text]) => text !== FIRST_ID);
  const claim = written.find(([text]) => text === FIRST_ID)?.[1] ?? null;
  const servers = ns.map((r) => [nameFrom(r.content ?? ''), r.id] as const);
  return done({
    servers: servers.map(([name]) => name),
    fixed: fixed.value.names,
    ttl: ns.length === 0 ? null : Math.max(...ns.map(servedTtl)),
    markers: markers.map(([text]) => text),
    ref: {
      zone: { id: zone.id, name: zone.name, ttlMin: zone.ttlMin },
      ...{ ns: servers, markers, claim },
    } as Json,
  });
}

/** The servers that it puts at an apex by itself, and whether it serves others beside them. */
async function ownServers(
  account: Account,
  zone: Zone,
  signal: AbortSignal,
): Promise<Called<{ readonly names: readonly Name[]; readonly isServed: boolean }>> {
  const [detail, dns] = await Promise.all([
    getZone(account, zone.id, signal),
    settingsOf(account, zone, signal),
  ]);
  if (!detail.ok) return detail;
  if (!dns.ok) return dns;
  const isServed = typeof dns.value !== 'string' && dns.value.multi_provider === true;
  return done({ names: (detail.value.name_servers ?? []).map(nameFrom), isServed });
}

async function changeNs(
  account: Account,
  zones: ZoneFinder<FoundZone>,
  change: NsChange,
  { servers, markers }: NsMoves,
  signal: AbortSignal,
): Promise<Called<null>> {
  const { place, from } = change;
  const ref = nsRef.safeParse(from.ref);
  if (!ref.success) return movedOn(place);
  const { zone, ns, markers: texts } = ref.data;
  const fence = markers.gone.length > 0 ? null : await claimNs(account, zones, change, signal);
  if (fence?.ok === false) return fence;
  const idOf = (all: readonly (readonly [string, string])[], what: string) =>
    all.flatMap(([one, id]) => (one === what ? [{ id }] : []));
  const posts = [
    ...servers.come.map((host) => ({
      name: bare(place.name),
      type: 'NS',
      ttl: from.ttl ?? markerTtl,
      content: bare(host),
    })),
    ...markers.come.map((text) => ({
      name: bare(delegationMarkerName(place.zone)),
      type: 'TXT',
      ttl: Math.max(markerTtl, zone.ttlMin),
      content: quoteText(text, 10) ?? text,
    })),
  ];
  const deletes = [
    ...(fence === null ? [] : [{ id: fence.value }]),
    ...servers.gone.flatMap((host) => idOf(ns, host)),
    ...markers.gone.flatMap((text) => idOf(texts, text)),
  ];
  const doing = `batch of NS ${place.name}`;
  const batch = { deletes, ...(posts.length === 0 ? {} : { posts }) };
  const sent = await sendBatch(account, plainZone(zone), doing, batch, signal);
  return sent.ok ? done(null) : sent;
}

/**
 * Where no marker of the set is replaced, a claim takes its place: a text that is the same whoever
 * writes it stands only once, and only one batch can delete it. Its id, if all is as it was read.
 */
async function claimNs(
  account: Account,
  zones: ZoneFinder<FoundZone>,
  { place, from }: NsChange,
  signal: AbortSignal,
): Promise<Called<string>> {
  const { zone, claim } = nsRef.parse(from.ref);
  if (claim === null) {
    const name = bare(delegationMarkerName(place.zone));
    const posts = [{ name, type: 'TXT', ttl: zone.ttlMin, content: claimText }];
    const doing = `batch that claims the NS set of ${place.name}`;
    const sent = await sendBatch(account, plainZone(zone), doing, { posts }, signal);
    // That it stands already is as good: whoever came first has not deleted it yet.
    if (!sent.ok && sent.fault.kind !== 'conflict') return sent;
  }
  const again = await lookAtNs(account, zones, place, signal);
  if (!again.ok) return again;
  const { claim: held } = nsRef.parse(again.value.ref);
  return held !== null && isSameNs(again.value, from) ? done(held) : movedOn(place);
}

function plainZone({ id, name, ttlMin }: { id: string; name: string; ttlMin: number }): Zone {
  return { id, name, ttlMin, operationsMax: batchOperationsLeast };
}
