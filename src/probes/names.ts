// Where a name leads, asked anew for every probe: the system's resolver, or DNS servers of a path's
// own. It must never remember an answer (a stale address would hide an outage), and never mix up
// two things: what the name's own servers say of it (no such name, no address, SERVFAIL) is the
// origin's failure, a resolver that cannot be asked is the path's.

import { type LookupAddress, lookup } from 'node:dns';
import { setTimeout as pause } from 'node:timers/promises';
import type { Name } from '../core/model.ts';
import type { Exchange } from '../dns/ask.ts';
import type { Message, Question } from '../dns/wire.ts';
import { type HostPort, parseHostPort, toName } from '../kit/schema.ts';
import { blind, fail, printHostPort, Told } from './words.ts';

/** Asks one server one question with RD set, within so many milliseconds. Never rejects. */
type Ask = (server: HostPort, question: Question, timeoutMs: number) => Promise<Exchange>;

/** Names in one chain of CNAMEs. */
const namesMax = 16;
/** How long one family may keep the other waiting (RFC 8305 section 3, resolution delay). */
const otherFamilyMs = 50;

const lookups = new Map<string, Promise<readonly LookupAddress[]>>();

/**
 * All addresses of a name by the system's resolver, never cached. One lookup a name at a time,
 * shared by whoever asks meanwhile: lookups cannot be called off, and with a resolver that hangs
 * they would otherwise pile up behind Node's few resolver threads. Rejects with getaddrinfo's
 * error: ENOTFOUND is the name's own, any other the resolver's.
 */
export function askSystem(host: string): Promise<readonly LookupAddress[]> {
  const running = lookups.get(host);
  if (running) return running;
  const started = new Promise<readonly LookupAddress[]>((resolve, reject) => {
    lookup(host, { all: true, order: 'verbatim' }, (error, addresses) => {
      lookups.delete(host);
      if (error) reject(error);
      else resolve(addresses);
    });
  });
  lookups.set(host, started);
  return started;
}

interface Resolving {
  /** `ADDRESS[:PORT]`, asked in this order. */
  readonly servers: readonly string[];
  readonly ask: Ask;
  readonly types: readonly ('A' | 'AAAA')[];
  readonly timeoutMs: number;
}

/**
 * All addresses of a name by recursive servers of our own choice, following CNAMEs to their end.
 * Throws Told: `fail dns` where the name does not exist, has no address, or its own servers fail
 * it (SERVFAIL of every server that replied: users get the same); `blind resolver` where no server
 * said anything usable. A resolver that has lost its own uplink says SERVFAIL too: as with every
 * loss of an uplink, the path's reference points tell the difference.
 */
export async function askServers(host: string, how: Resolving): Promise<readonly LookupAddress[]> {
  const name = toName(host);
  if (name === null) throw new Told(fail('dns', `${host} is no name that DNS could hold`));
  const found = how.types.map((type) => addressesOf({ name, type }, how));
  // A family whose servers are broken must not keep the other one waiting for ever.
  const some = found.map(async (one) => {
    if ((await one).kind !== 'addresses') await Promise.all(found);
    else await Promise.race([Promise.all(found), pause(otherFamilyMs)]);
  });
  await Promise.race(some);
  const late: Found = { kind: 'unknown', detail: 'late' };
  const outcomes = await Promise.all(found.map((one) => Promise.race([one, late])));
  const addresses = outcomes.flatMap((one) => (one.kind === 'addresses' ? one.addresses : []));
  if (addresses.length > 0) return addresses;
  const unknown = outcomes.find((one) => one.kind === 'unknown');
  if (unknown) {
    throw new Told(blind('resolver', `no resolver could say where ${host} is: ${unknown.detail}`));
  }
  const [first] = outcomes.filter((one) => one.kind === 'none');
  throw new Told(fail('dns', `${host} does not resolve: ${first?.detail ?? 'no address'}`));
}

type Found =
  | { readonly kind: 'addresses'; readonly addresses: readonly LookupAddress[] }
  /** What the name's own servers say. */
  | { readonly kind: 'none'; readonly detail: string }
  | { readonly kind: 'unknown'; readonly detail: string };

async function addressesOf(question: Question, how: Resolving): Promise<Found> {
  const endsAt = performance.now() + how.timeoutMs;
  const seen = new Set<Name>();
  for (let here = question.name; ; ) {
    seen.add(here);
    const reply = await firstUsable({ ...question, name: here }, how, endsAt);
    if ('kind' in reply) return reply;
    const end = endOfChain(here, reply, seen);
    if (end === null) return { kind: 'none', detail: `its chain of CNAMEs comes back to itself` };
    if (seen.size > namesMax) return { kind: 'none', detail: `more than ${namesMax} CNAMEs` };
    const addresses = reply.answers.flatMap((r) =>
      r.name === end && r.type === question.type && 'address' in r
        ? { address: r.address, family: r.type === 'A' ? 4 : 6 }
        : [],
    );
    if (addresses.length > 0) return { kind: 'addresses', addresses };
    const at = end === question.name ? '' : ` at ${end}`;
    // The rcode belongs to the end of the chain (RFC 6604).
    if (reply.rcode === 'NXDOMAIN') return { kind: 'none', detail: `no such name${at} (NXDOMAIN)` };
    if (end === here) return { kind: 'none', detail: `no address${at}` };
    here = end;
  }
}

/** The last name of the chain that a reply holds; null when it has a circle. */
function endOfChain(from: Name, reply: Message, seen: Set<Name>): Name | null {
  let here = from;
  for (;;) {
    const cname = reply.answers.find((r) => r.type === 'CNAME' && r.name === here);
    if (cname?.type !== 'CNAME') return here;
    here = cname.target;
    if (seen.has(here)) return null;
    seen.add(here);
  }
}

/** The reply of the first server that knows; servers that fail or say nothing are passed over. */
async function firstUsable(
  question: Question,
  { servers, ask }: Resolving,
  endsAt: number,
): Promise<Message | Found> {
  let servfail: string | null = null;
  const troubles: string[] = [];
  for (const [i, text] of servers.entries()) {
    const server = parseHostPort(text, 53);
    const restMs = endsAt - performance.now();
    if (server === null || restMs <= 0) break;
    const result = await ask(server, question, restMs / (servers.length - i));
    const who = printHostPort(server.host, server.port);
    if (result.kind !== 'reply') troubles.push(`${who} ${result.detail}`);
    else if (result.message.rcode === 'SERVFAIL') servfail ??= `${who} says SERVFAIL`;
    else {
      const trouble = unusable(result.message);
      if (trouble === null) return result.message;
      troubles.push(`${who} ${trouble}`);
    }
  }
  if (servfail !== null) return { kind: 'none', detail: servfail };
  return { kind: 'unknown', detail: troubles.join(', ') || 'none was asked in time' };
}

/** Why a reply says nothing of the name; null when it does. */
function unusable(message: Message): string | null {
  if (message.rcode !== 'NOERROR' && message.rcode !== 'NXDOMAIN') return `says ${message.rcode}`;
  const isReferral =
    message.rcode === 'NOERROR' &&
    message.answers.length === 0 &&
    message.authority.some((r) => r.type === 'NS') &&
    !message.authority.some((r) => r.type === 'SOA');
  return isReferral ? 'does not recurse for us' : null;
}
