// What each provider's own servers say of a zone: its start, its NS set, its keys, and how they
// answer for a name that does not exist. They are asked one by one, past every cache; a server that
// does not speak for the zone is not believed, and silence says nothing.

import { randomBytes } from 'node:crypto';
import type { Name } from '../core/model.ts';
import { ask, type Server } from '../dns/ask.ts';
import type { Key, Served } from '../dns/dnssec.ts';
import type { Message } from '../dns/wire.ts';
import { pause, placeOf, type Run } from './run.ts';
import type { Holding } from './vendors.ts';

const serversMax = 4;
/** Seconds. */
const negativeTtlMax = 300;
const againMs = 1_500;

/** How a zone answers for a name that it does not have; null: no usable answer. */
type Denial =
  /** `proven`: with what makes it believable to who validates (RFC 4035 3.1.3). */
  | { readonly kind: 'denied'; readonly proven: boolean; readonly edns: boolean }
  | { readonly kind: 'answered' }
  | null;

/** What a provider's own servers say of a zone. */
export interface Spoken extends Served {
  readonly negativeTtl: number | null;
  readonly ns: readonly Name[] | null;
  /** Seconds that resolvers keep that set where they believe a zone over its parent. */
  readonly nsTtl: number | null;
  readonly denial: Denial;
}

/** Of up to four servers the first that speaks for the zone; and whether they are of one state. */
export async function askServers(
  run: Run,
  zone: Name,
  { provider, hosts }: Holding,
  delegated: boolean | null,
): Promise<Spoken> {
  const places = await Promise.all(hosts.slice(0, serversMax).map((text) => placeOf(run, text)));
  const servers = places.filter((one) => one !== null);
  const starts = await Promise.all(servers.map((server) => startAt(run, zone, server)));
  const first = starts.findIndex((start) => start !== null);
  const seen = { provider, delegated };
  if (first < 0) {
    const none = { keys: null, signers: null, negativeTtl: null, ns: null, nsTtl: null };
    return { ...seen, ...none, denial: null };
  }
  const server = servers[first]!;
  const { message, ttl, minimum } = starts[first]!;
  const missing = `detour-audit-${randomBytes(6).toString('hex')}.${zone}`;
  const [ns, keys, denied] = await Promise.all([
    spokenBy(run, server, zone, 'NS'),
    spokenBy(run, server, zone, 'DNSKEY'),
    spokenBy(run, server, missing, 'A'),
    sayStates(run, { zone, provider }, servers, starts),
  ]);
  const set = ns?.answers.filter((r) => r.type === 'NS' && r.name === zone) ?? null;
  return {
    ...seen,
    keys: keys?.rcode === 'NOERROR' ? keysOf(keys, zone) : null,
    signers: signersOf(message, zone),
    negativeTtl: Math.min(ttl, minimum),
    ns: set?.flatMap((r) => (r.type === 'NS' ? r.target : [])) ?? null,
    nsTtl: set === null || set.length === 0 ? null : Math.max(...set.map((r) => r.ttl)),
    denial: denied === null ? null : denialOf(denied),
  };
}

/** A message in which this server speaks for the zone; null: there was none. */
async function spokenBy(run: Run, server: Server, name: Name, type: string) {
  const options = { timeoutMs: run.timeoutMs, signal: run.signal, dnssec: true };
  const reply = await ask(server, { name, type }, options);
  const message = reply.kind === 'reply' ? reply.message : null;
  const isSaid = message?.rcode === 'NOERROR' || message?.rcode === 'NXDOMAIN';
  return isSaid && message.authoritative ? message : null;
}

interface Start {
  readonly message: Message;
  readonly serial: number;
  readonly ttl: number;
  readonly minimum: number;
}

async function startAt(run: Run, zone: Name, server: Server): Promise<Start | null> {
  const message = await spokenBy(run, server, zone, 'SOA');
  const start = message?.answers.find((r) => r.type === 'SOA' && r.name === zone);
  if (message === null || start?.type !== 'SOA') return null;
  return { message, serial: start.serial, ttl: start.ttl, minimum: start.minimum };
}

/**
 * Servers of one's own hand a zone on to each other; one that stays behind gives old answers. A
 * vendor's own count as they like, so nothing is said of them.
 */
async function sayStates(
  run: Run,
  at: { readonly zone: Name; readonly provider: string },
  servers: readonly Server[],
  starts: readonly (Start | null)[],
): Promise<void> {
  const { zone, provider } = at;
  const isOwn = (run.around.operators[provider] ?? null) === null;
  if (!isOwn || !differ(starts)) return;
  await pause(run, run.againMs ?? againMs);
  const again = await Promise.all(servers.map((server) => startAt(run, zone, server)));
  if (run.signal.aborted || !differ(again)) return;
  const newest = Math.max(...again.flatMap((start) => start?.serial ?? []));
  const behind = servers.filter((_, i) => {
    const [was, is] = [starts[i] ?? null, again[i] ?? null];
    return was !== null && is !== null && is.serial === was.serial && is.serial !== newest;
  });
  if (behind.length === 0) return;
  const list = behind.map(({ address }) => address).join(', ');
  const sentence = `${list} of ${provider} give an older state of ${zone} than its other servers`;
  const cure = 'look at its zone transfers: allow-transfer, also-notify, and its log';
  run.warn(at, 'serials', `${sentence}, and do not follow`, cure);
}

function differ(starts: readonly (Start | null)[]): boolean {
  return new Set(starts.flatMap((start) => start?.serial ?? [])).size > 1;
}

function denialOf({ answers, authority, edns }: Message): Denial {
  if (answers.length > 0) return { kind: 'answered' };
  const proven = authority.some((r) => r.type === 'other' && /^NSEC3?$/.test(r.typeName));
  return { kind: 'denied', proven, edns };
}

/** How each provider answers for a name that is not there; `isSigned`: the parent has a DS. */
export function sayNegative(run: Run, zone: Name, all: readonly Spoken[], isSigned: boolean): void {
  for (const { provider, delegated, denial, keys } of all) {
    const at = { zone, provider };
    if (denial === null) continue;
    if (denial.kind === 'answered') {
      const sentence = `${provider} answers for names in ${zone} that nobody has made (a wildcard)`;
      const cure = `remove the wildcard: a record that is lost there shows as another answer`;
      run.warn(at, 'negative-answer', sentence, cure);
    } else if (isSigned && (keys ?? []).length > 0 && denial.edns && !denial.proven) {
      const sentence = `${provider} denies names in signed ${zone} without a proof (NSEC, NSEC3)`;
      const cure = `sign ${zone} anew at ${provider}: who validates takes its "no" for forged`;
      if (delegated === false) run.warn(at, 'negative-answer', sentence, cure);
      else run.bad(at, 'negative-answer', sentence, cure);
    } else {
      const how = isSigned && denial.proven ? 'with a proof' : 'as it should';
      run.good(at, 'negative-answer', `${provider} denies a missing name in ${zone} ${how}`);
    }
  }
}

/** What a provider's servers say of the zone itself. */
export function sayServed(run: Run, zone: Name, s: Spoken, names: readonly Name[] | null): void {
  const place = { zone, provider: s.provider };
  const told = run.findings.some(
    (f) => f.word === 'negative-ttl' && f.provider === s.provider && f.zone === zone,
  );
  if (s.negativeTtl !== null && !told) {
    const sentence = `a missing name in ${zone} at ${s.provider} is remembered ${s.negativeTtl} s`;
    const cure = `set the SOA's minimum there to ${negativeTtlMax} or less`;
    if (s.negativeTtl <= negativeTtlMax) run.good(place, 'negative-ttl', sentence);
    else run.warn(place, 'negative-ttl', sentence, cure);
  }
  if (s.ns === null || names === null || s.delegated === false) return;
  const missing = names.filter((name) => !s.ns!.includes(name));
  if (missing.length === 0) return;
  run.warn(
    place,
    'ns-set',
    `${s.provider} itself gives ${zone} an NS set without ${missing.slice(0, 8).join(', ')}: ` +
      'resolvers that believe a zone over its parent ask those no more',
    `give ${zone} the whole NS set of its parent at ${s.provider}`,
  );
}

function keysOf(message: Message, zone: Name): Key[] {
  return message.answers.flatMap((r) => (r.type === 'DNSKEY' && r.name === zone ? r : []));
}

/** null where the server may have left signatures out because it knows no EDNS (RFC 3225). */
function signersOf(message: Message, zone: Name): number[] | null {
  const tags = message.answers.flatMap((r) =>
    r.type === 'RRSIG' && r.name === zone && r.covered === 'SOA' ? r.keyTag : [],
  );
  return tags.length > 0 || message.edns ? tags : null;
}
