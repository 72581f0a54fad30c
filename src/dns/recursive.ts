// Where a host is, by recursive servers: its addresses of both families, down its chain of CNAMEs.
// It must never mix up two things: what is wrong with the one name (no such name, no address, its
// own servers failing or silent while other names are answered) and servers that cannot be asked.
// It remembers no answer, only which other names were answered lately.

import { setTimeout as pause } from 'node:timers/promises';
import type { Name } from '../core/model.ts';
import type { Located } from '../kit/extend.ts';
import { type Exchange, printServer, type Server } from './ask.ts';
import type { Message, Question } from './wire.ts';

/** Asks one server one question with RD set, within so many milliseconds. Never rejects. */
type Ask = (
  server: Server,
  question: Question,
  timeoutMs: number,
  signal: AbortSignal,
) => Promise<Exchange>;

interface Recursion {
  /** In order; the next is asked beside one that is slow. */
  readonly servers: readonly Server[];
  readonly ask: Ask;
  readonly types: readonly ('A' | 'AAAA')[];
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** What is known of other names at the same servers. */
  readonly others: OtherNames;
}

/** Names in one chain of CNAMEs. */
const namesMax = 16;
/** How long one family may keep the other waiting (RFC 8305 section 3, resolution delay). */
const otherFamilyMs = 50;
/** After so long without a reply the next server is asked, too. */
const overtakeMs = 400;
/** A name that is silent for so long makes us look whether another is answered, each time anew. */
const doubtMs = 500;
/** What was heard of another name proves nothing for longer. */
const witnessMs = 2000;
/** Names remembered as ones that are answered. */
const othersMax = 64;

/** The system's words for trouble of this machine in a Failure's detail. */
const ownTrouble = /\b(EMFILE|ENFILE|ENOBUFS|ENOMEM)\b/;

/**
 * All addresses of a name. SERVFAIL and silence are the name's own trouble where another name is
 * answered by the same servers meanwhile, and the servers' where none is. Never rejects.
 */
export async function locate(name: Name, how: Recursion): Promise<Located> {
  const { others, timeoutMs } = how;
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, how.signal]);
  const began = performance.now();
  const within = { ...how, signal, endsAt: began + timeoutMs };
  const doubt = setInterval(() => void others.askAnother(name, within), doubtMs);
  try {
    const found = await bothFamilies(name, within);
    if (found.kind !== 'failed') return found;
    clearInterval(doubt);
    const isAlone = () => !others.answeredSince(name, began);
    // Twice: the asking under way may have begun before this look-up, and then proves nothing.
    for (let i = 0; i < 2 && isAlone(); i += 1) await others.askAnother(name, within);
    const { detail } = found;
    return isAlone() ? { kind: 'unknown', detail, code: null } : { kind: 'none', detail };
  } finally {
    clearInterval(doubt);
    over.abort();
  }
}

/** What a look-up is given while it runs. */
type Asking = Recursion & { readonly endsAt: number };

/** `failed`: SERVFAIL or silence, which may be the name's or the servers'. */
type Found = Located | { readonly kind: 'failed'; readonly detail: string };

async function bothFamilies(name: Name, how: Asking): Promise<Found> {
  const found = how.types.map((type) => addressesOf({ name, type }, how));
  // A family whose servers are broken must not keep the other one waiting for ever.
  const some = found.map(async (one) => {
    if ((await one).kind !== 'addresses') await Promise.all(found);
    else await Promise.race([Promise.all(found), pause(otherFamilyMs)]);
  });
  await Promise.race(some);
  const late: Found = { kind: 'unknown', detail: 'late', code: null };
  const outcomes = await Promise.all(found.map((one) => Promise.race([one, late])));
  const good = outcomes.filter((one) => one.kind === 'addresses');
  if (good.length > 0) {
    const ttlSeconds = Math.min(...good.map((one) => one.ttlSeconds));
    return { kind: 'addresses', addresses: good.flatMap((one) => one.addresses), ttlSeconds };
  }
  return (
    outcomes.find((one) => one.kind === 'unknown') ??
    outcomes.find((one) => one.kind === 'failed') ??
    outcomes[0]!
  );
}

async function addressesOf(question: Question, how: Asking): Promise<Found> {
  const seen = new Set<Name>();
  let ttlSeconds = Number.POSITIVE_INFINITY;
  const none = (detail: string): Found => ({ kind: 'none', detail });
  for (let here = question.name; ; ) {
    seen.add(here);
    const reply = await firstUsable({ ...question, name: here }, how);
    if ('kind' in reply) return reply;
    how.others.answered(question.name, how.endsAt - how.timeoutMs);
    for (const { ttl } of reply.answers) ttlSeconds = Math.min(ttlSeconds, ttl);
    const end = endOfChain(here, reply, seen);
    if (end === null) return none('its chain of CNAMEs comes back to itself');
    if (seen.size > namesMax) return none(`more than ${namesMax} CNAMEs`);
    const addresses = reply.answers.flatMap((r) =>
      r.name === end && r.type === question.type && 'address' in r
        ? { address: r.address, family: r.type === 'A' ? 4 : 6 }
        : [],
    );
    if (addresses.length > 0) return { kind: 'addresses', addresses, ttlSeconds };
    const at = end === question.name ? '' : ` at ${end}`;
    // The rcode belongs to the end of the chain (RFC 6604).
    if (reply.rcode === 'NXDOMAIN') return none(`no such name${at} (NXDOMAIN)`);
    if (end === here) return none(`no address${at}`);
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

/** The first reply that says something of the name; servers that fail or say nothing are passed. */
function firstUsable(question: Question, how: Asking): Promise<Message | Found> {
  const { servers, ask, signal, endsAt } = how;
  const over = new AbortController();
  const either = AbortSignal.any([over.signal, signal]);
  return new Promise((resolve) => {
    const said: { detail: string; isName: boolean }[] = [];
    let next = 0;
    let underWay = 0;
    let timer: NodeJS.Timeout | undefined;
    const end = (result: Message | Found) => {
      clearTimeout(timer);
      resolve(result);
      over.abort();
    };
    const heard = (server: Server, result: Exchange) => {
      underWay -= 1;
      if (over.signal.aborted) return;
      const trouble = troubleOf(result);
      if (trouble === null && result.kind === 'reply') return end(result.message);
      said.push({ detail: `${printServer(server)} ${trouble!.detail}`, isName: trouble!.isName });
      more();
    };
    const more = () => {
      clearTimeout(timer);
      const server = servers[next];
      const restMs = endsAt - performance.now();
      if (server !== undefined && restMs > 0 && !signal.aborted) {
        next += 1;
        underWay += 1;
        timer = setTimeout(more, overtakeMs);
        void ask(server, question, restMs, either).then((result) => heard(server, result));
      } else if (underWay === 0) end(resultOf(said));
    };
    more();
  });
}

function resultOf(said: readonly { detail: string; isName: boolean }[]): Found {
  // What a server has said of the name comes before what is wrong with another server.
  const ofName = said.filter((one) => one.isName);
  const shown = ofName.length > 0 ? ofName : said;
  const detail = shown.map((one) => one.detail).join(', ') || 'none was asked in time';
  if (ofName.length > 0) return { kind: 'failed', detail };
  return { kind: 'unknown', detail, code: ownTrouble.exec(detail)?.[1] ?? null };
}

/** Why a server's answer is no use; null when it is. `isName`: it may be for the name's sake. */
function troubleOf(result: Exchange): { detail: string; isName: boolean } | null {
  if (result.kind !== 'reply') {
    return { detail: result.detail, isName: result.kind === 'timeout' && result.sent };
  }
  const { rcode } = result.message;
  if (rcode === 'SERVFAIL') return { detail: 'says SERVFAIL', isName: true };
  const detail = unusable(result.message);
  return detail === null ? null : { detail, isName: false };
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

/**
 * The names that certain servers were heard to answer. A server that says nothing of one name is
 * well if it answers another; so others are asked when a name is in doubt.
 */
export class OtherNames {
  /** When the look-up began that was answered last, by `performance.now()`; oldest first. */
  readonly #answered = new Map<Name, number>();
  #asking: Promise<unknown> | null = null;

  /** A look-up of this name, begun then, was answered. */
  answered(name: Name, beganAt: number): void {
    this.#answered.delete(name);
    this.#answered.set(name, beganAt);
    const [oldest] = this.#answered.keys();
    if (this.#answered.size > othersMax && oldest !== undefined) this.#answered.delete(oldest);
  }

  /** Whether another name was answered by a look-up that began since then, and lately. */
  answeredSince(name: Name, beganAt: number): boolean {
    const since = Math.max(beganAt, performance.now() - witnessMs);
    for (const [other, at] of this.#answered) if (other !== name && at >= since) return true;
    return false;
  }

  /** Asks for others that were answered before, because this one is not. Never rejects. */
  async askAnother(name: Name, how: Asking): Promise<void> {
    this.#answered.delete(name);
    this.#asking ??= Promise.allSettled(this.#some().map((one) => this.#ask(one, how))).finally(
      () => {
        this.#asking = null;
      },
    );
    await this.#asking;
  }

  /**
   * The one unheard for longest, because a cache on the way is the least likely to still hold it;
   * and the one heard last, because it is the likeliest to be well.
   */
  #some(): readonly Name[] {
    const all = [...this.#answered.keys()];
    return all.length < 2 ? all : [all[0]!, all.at(-1)!];
  }

  async #ask(name: Name, how: Asking): Promise<void> {
    const beganAt = performance.now();
    const endsAt = Math.min(beganAt + witnessMs, how.endsAt);
    const reply = await firstUsable({ name, type: 'A' }, { ...how, endsAt });
    if (!('kind' in reply)) return this.answered(name, beganAt);
    // Who had less than its time, because that of the name in doubt is over, was not silent.
    const isCut = endsAt < beganAt + witnessMs && performance.now() >= endsAt;
    if (!isCut && !how.signal.aborted) this.#answered.delete(name);
  }
}
