// HTTPS records of a target (RFC 9460): browsers ask for them beside addresses and go where they
// lead, so one that is left from another place takes them there. A CNAME carries them with it, and
// nobody here writes them. It must never take silence for a record that is not there.

import type { Name } from '../core/model.ts';
import { unrooted } from '../core/name.ts';
import { ask } from '../dns/ask.ts';
import { httpsType } from '../dns/wire.ts';
import { networkOf } from './hands.ts';
import { zoneAbove } from './names.ts';
import { addressesOf, placeOf, type Run } from './run.ts';

const serversMax = 3;
const recordsMax = 8;

/** What the HTTPS records of a name come to. */
export type Service =
  | { readonly kind: 'none' | 'here' | 'unknown' }
  /** `home`: to another target of the record. */
  | { readonly kind: 'elsewhere'; readonly home: boolean; readonly why: string };

/** Whether those of a target lead to its own addresses; `homes`: those of the others, by address. */
export async function lookAtService(
  run: Run,
  cname: Name,
  addresses: readonly string[],
  homes: ReadonlyMap<string, string>,
): Promise<Service> {
  const chain = await run.verifier.chain(cname, run.signal);
  const name = chain.kind === 'answered' ? chain.chain.at(-1)! : null;
  const zone = name === null ? 'unknown' : await zoneAbove(run, name);
  if (name === null || typeof zone === 'string' || addresses.length === 0)
    return { kind: 'unknown' };
  for (const host of zone.hosts.slice(0, serversMax)) {
    const server = await placeOf(run, host);
    if (server === null) continue;
    const options = { timeoutMs: run.timeoutMs, signal: run.signal };
    const reply = await ask(server, { name, type: httpsType }, options);
    const message = reply.kind === 'reply' ? reply.message : null;
    if (message?.rcode !== 'NOERROR' || !message.authoritative) continue;
    const found = message.answers.filter((r) => r.type === 'HTTPS' && r.name === name);
    if (found.length === 0) return { kind: 'none' };
    for (const one of found.slice(0, recordsMax)) {
      if (one.type !== 'HTTPS') continue;
      const away = await awayOf(run, name, one, addresses, homes);
      if (away !== null) return away;
    }
    return { kind: 'here' };
  }
  return { kind: 'unknown' };
}

/** Where one record leads that is not the target's own place; null: it leads there. */
async function awayOf(
  run: Run,
  name: Name,
  { target, hints }: { readonly target: Name; readonly hints: readonly string[] },
  own: readonly string[],
  homes: ReadonlyMap<string, string>,
): Promise<Service | null> {
  const isNamed = target !== '.' && target !== name;
  const there = [...hints, ...(isNamed ? await addressesOf(run, target) : [])];
  if (there.length === 0) return isNamed ? { kind: 'unknown' } : null;
  const to = hints[0] ?? unrooted(target);
  const home = there.find((address) => homes.has(address));
  const isOwn = there.some((address) => own.some((one) => isNear(one, address)));
  if (isOwn && home === undefined) return null;
  const whose = home === undefined ? 'none of its addresses' : `that of ${homes.get(home)}`;
  const why = `its HTTPS record sends browsers to ${home ?? to}, which is ${whose}`;
  return { kind: 'elsewhere', home: home !== undefined, why };
}

/** Large services answer with some of many addresses, and not with the same twice. */
function isNear(one: string, other: string): boolean {
  return one === other || (networkOf(one) !== null && networkOf(one) === networkOf(other));
}
