// NS sets at a server that takes updates: one UPDATE whose conditions are the set and the marker as
// they were read. It must never leave a set empty on the way, and never believe NOERROR alone.

import { randomInt } from 'node:crypto';
import { delegationMarkerName } from '../../src/core/marker.ts';
import type { NsChange, NsPlace, NsSeen } from '../../src/core/model.ts';
import { joinText } from '../../src/dns/wire.ts';
import type { DelegationHands } from '../../src/kit/extend.ts';
import {
  delegationHands,
  isApex as isApexOf,
  isSameNs,
  markerTtl,
  movedOn,
  type NsMoves,
} from './delegation.ts';
import {
  addRecord,
  deleteRecord,
  encodeName,
  encodeStrings,
  encodeText,
  encodeUpdate,
  setIs,
  setIsAbsent,
  typeNs,
  typeTxt,
} from './dns-update.ts';
import { type Called, done, failed } from './fault.ts';
import { halfway } from './guarded.ts';
import { type Account, checkApex, replyTrouble } from './rfc2136-reading.ts';
import { firstPauseMs, judge, looksMax, rawTexts, rest } from './rfc2136-writing.ts';

/** The hands of an account in its delegation; `until`: a signal that ends with the account, too. */
export function nsHands(
  account: Account,
  until: (signal: AbortSignal) => AbortSignal,
): DelegationHands {
  return delegationHands({
    look: (place, signal) => lookAtNs(account, place, until(signal)),
    make: (change, moves, signal) => changeNs(account, change, moves, until(signal)),
  });
}

async function lookAtNs(
  { server }: Account,
  place: NsPlace,
  signal: AbortSignal,
): Promise<Called<NsSeen>> {
  const { zone, name } = place;
  const questions = [
    { name: zone, type: 'SOA' },
    { name, type: 'NS' },
    { name: delegationMarkerName(zone), type: 'TXT' },
  ];
  const [soa, ns, txt] = await server.query(questions, signal);
  const start = checkApex(soa!, zone, server.place);
  if (!start.ok) return { ...start, zone };
  for (const reply of [ns!, txt!]) {
    if (!reply.ok) return reply;
    const trouble = replyTrouble(reply.value, server.place);
    if (trouble !== null) return { ok: false, ...trouble };
  }
  if (!ns!.ok || !txt!.ok) return failed('zone', 'unavailable', `${server.place}: no answer`);
  const { authoritative, answers, authority } = ns!.value;
  if (!isApexOf(place) && authoritative && answers.length > 0) {
    const detail = `${server.place} speaks for ${name} itself: what ${zone} has there is not seen`;
    const cure = `name as the parent's provider a server that holds ${zone} alone`;
    return failed('zone', 'rejected', detail, { cure });
  }
  const set = [...answers, ...(isApexOf(place) ? [] : authority)].flatMap((r) =>
    r.type === 'NS' && r.name === name ? [r] : [],
  );
  const texts = txt!.value.answers.flatMap((r) =>
    r.type === 'TXT' && r.name === delegationMarkerName(zone) ? [r.strings] : [],
  );
  return done({
    servers: set.map((r) => r.target),
    fixed: [],
    ttl: set.length === 0 ? null : Math.max(...set.map((r) => r.ttl)),
    markers: texts.map(joinText),
    ref: { texts: texts.map((strings) => encodeStrings(strings).toString('base64')) },
  });
}

/** One UPDATE, whose prerequisites are the set and the marker as they were read. */
async function changeNs(
  account: Account,
  { place, from, to }: NsChange,
  { servers, markers }: NsMoves,
  signal: AbortSignal,
): Promise<Called<null>> {
  const { server } = account;
  const { zone, name } = place;
  const marker = delegationMarkerName(zone);
  const texts = rawTexts({ ref: from.ref, markers: from.markers });
  const prerequisites = [
    ...setIs(name, typeNs, from.servers.map(encodeName)),
    ...(texts.length > 0 ? setIs(marker, typeTxt, texts) : [setIsAbsent(marker, typeTxt)]),
  ];
  const ttl = from.ttl ?? markerTtl;
  const updates = [
    // What comes stands before what goes is taken: at no moment is a server the last one.
    ...servers.come.map((host) => addRecord(name, typeNs, ttl, encodeName(host))),
    ...servers.gone.map((host) => deleteRecord(name, typeNs, encodeName(host))),
    ...markers.gone.map((text) =>
      deleteRecord(marker, typeTxt, texts[from.markers.indexOf(text)] ?? encodeText(text)),
    ),
    ...markers.come.map((text) => addRecord(marker, typeTxt, markerTtl, encodeText(text))),
  ];
  const message = encodeUpdate(randomInt(65_536), zone, prerequisites, updates);
  const [heard] = await server.update([message], signal);
  const verdict = judge(heard!, zone, server);
  if (verdict !== null) return { ok: false, ...verdict };
  return settleNs(account, { place, from, to }, signal);
}

/** NOERROR is not believed: what stands is read back, a few times where it comes late. */
async function settleNs(
  account: Account,
  { place, from, to }: NsChange,
  signal: AbortSignal,
): Promise<Called<null>> {
  const { place: server } = account.server;
  for (let look = 0; ; look++) {
    const now = await lookAtNs(account, place, signal);
    if (!now.ok) return halfway(now, 'taken with NOERROR, but reading back failed');
    if (isSameNs(now.value, to)) return done(null);
    if (!isSameNs(now.value, from)) return movedOn(place);
    if (look === looksMax) break;
    await rest(firstPauseMs * 2 ** look, signal);
  }
  const detail = `${server} took the update of NS ${place.name} and gives the old set still`;
  return failed('record', 'uncertain', detail, { cure: 'look in the log of the server' });
}
