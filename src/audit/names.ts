// The names that users type: each must lead to its record by a CNAME, at every server of its zone, or
// a switch moves nobody who types it. Nobody here writes them, so the vendor behind them needs no
// key; but while its servers are silent nobody gets as far as the record.

import type { Name } from '../core/model.ts';
import { ancestors } from '../core/name.ts';
import { ask } from '../dns/ask.ts';
import { operatorOf } from './hands.ts';
import { placeOf, type Run, recordsMax, sideBySide, spell } from './run.ts';

const namesAtOnce = 4;
const serversMax = 16;
const word = 'public-name';
/** Seconds: so long nobody can be led elsewhere, should the record itself have to be left. */
const ttlMax = 3600;

export async function lookAtNames(run: Run): Promise<void> {
  const all = run.all.flatMap(({ name, names = [] }) => names.map((one) => [one, name] as const));
  if (all.length > recordsMax) {
    run.cut(`${all.length} public names, of which ${recordsMax} were asked for`);
  }
  const zones = new Map<Name, Promise<Zone | string>>();
  await sideBySide(run, all.slice(0, recordsMax), namesAtOnce, async ([name, record]) => {
    const above = name.slice(name.indexOf('.') + 1);
    const zone = zones.get(above) ?? zoneAbove(run, name);
    zones.set(above, zone);
    await lookAtName(run, name, record, await zone);
  });
}

interface Zone {
  readonly zone: Name;
  readonly hosts: readonly Name[];
}

/** The zone that holds a name; or why it is not known. */
export async function zoneAbove(run: Run, name: Name): Promise<Zone | string> {
  let why = 'it lies in no zone';
  for (const zone of ancestors(name)) {
    if (run.signal.aborted) break;
    const found = await run.resolver.nameServers(zone, run.signal);
    if (found.kind === 'found') return { zone, hosts: found.delegated ?? found.names };
    why = found.detail;
    // Not that there is no such zone, but that nobody said.
    if (found.kind === 'unknown') break;
  }
  return why;
}

/** What one server says of a name. */
type Said =
  | { readonly kind: 'cname'; readonly to: Name; readonly ttl: number }
  | { readonly kind: 'address' | 'missing' }
  | { readonly kind: 'silent'; readonly detail: string };

async function lookAtName(run: Run, name: Name, record: Name, zone: Zone | string): Promise<void> {
  if (run.signal.aborted) return;
  const at = { record };
  if (typeof zone === 'string') {
    run.unknown(at, word, `where users who type ${name} are led is not known: ${zone}`);
    return;
  }
  const hosts = zone.hosts.slice(0, serversMax);
  const said = await Promise.all(hosts.map((host) => saidBy(run, host, name)));
  if (run.signal.aborted) return;
  const heard = said.filter((one) => one.kind !== 'silent');
  for (const [i, one] of said.entries()) {
    if (one.kind !== 'silent' || heard.length === 0) continue;
    const sentence = `${hosts[i]} does not answer for ${name}: ${one.detail}`;
    run.warn(at, word, `${sentence}; users wait for it`, 'look at that server, or take it out');
  }
  if (heard.length === 0) {
    const [first] = said;
    const why = first?.kind === 'silent' ? first.detail : 'its zone has no name server';
    run.unknown(at, word, `where users who type ${name} are led is not known: ${why}`);
    return;
  }
  const split = splitOf(hosts, said);
  if (await isLed(run, name, record, heard, split)) sayWhere(run, name, record, zone, heard);
}

async function saidBy(run: Run, host: Name, name: Name): Promise<Said> {
  const server = await placeOf(run, host);
  if (server === null) return { kind: 'silent', detail: 'its address was not found' };
  const options = { timeoutMs: run.timeoutMs, signal: run.signal };
  const reply = await ask(server, { name, type: 'A' }, options);
  if (reply.kind !== 'reply') return { kind: 'silent', detail: reply.detail };
  const { rcode, authoritative, answers } = reply.message;
  if (!authoritative || (rcode !== 'NOERROR' && rcode !== 'NXDOMAIN')) {
    return { kind: 'silent', detail: `${rcode}${authoritative ? '' : ', not for the zone'}` };
  }
  const mine = answers.filter((r) => r.name === name);
  const cname = mine.find((r) => r.type === 'CNAME');
  if (cname?.type === 'CNAME') return { kind: 'cname', to: cname.target, ttl: cname.ttl };
  return { kind: mine.some((r) => r.type === 'A') ? 'address' : 'missing' };
}

/** What the servers say, each with whose they are: `the record (cf.test.), missing (r53.test.)`. */
function splitOf(hosts: readonly Name[], said: readonly Said[]): string {
  const who = new Map<string, Set<string>>();
  for (const [i, one] of said.entries()) {
    if (one.kind === 'silent') continue;
    const what = one.kind === 'cname' ? one.to : one.kind;
    who.set(what, (who.get(what) ?? new Set()).add(operatorOf(hosts[i]!)));
  }
  return [...who].map(([what, by]) => `${what} at ${[...by].join(' and ')}`).join(', ');
}

/** Whether every server leads to the record, by one CNAME or several; says so where not. */
async function isLed(
  run: Run,
  name: Name,
  record: Name,
  heard: readonly Said[],
  split: string,
): Promise<boolean> {
  const at = { record };
  const cure = `make it one CNAME to ${record} at every vendor of its zone`;
  const kinds = new Set(heard.map(({ kind }) => kind));
  const ways = new Set(heard.flatMap((one) => (one.kind === 'cname' ? one.to : [])));
  if (kinds.size > 1 || ways.size > 1) {
    const sentence = `the name servers of ${name} do not say the same of it`;
    run.bad(at, word, `${sentence}: ${split}`, cure);
    return false;
  }
  if (kinds.has('missing')) {
    run.bad(at, word, `${name} does not exist, or is no CNAME: it leads nobody to ${record}`, cure);
    return false;
  }
  if (kinds.has('address')) {
    const sentence = `${name} is an address and no CNAME to ${record}: a switch moves nobody`;
    run.bad(at, word, sentence, `${cure}; at an apex, redirect to a name below it`);
    return false;
  }
  if (ways.has(record)) return true;
  const chain = await run.verifier.chain(name, run.signal);
  if (chain.kind === 'answered' && chain.chain.includes(record)) return true;
  const [to] = ways;
  if (chain.kind === 'unknown') {
    run.unknown(at, word, `whether ${name} leads to ${record} by ${to} is not known`);
    return false;
  }
  run.bad(at, word, `${name} leads to ${to}, and not to ${record}: a switch moves nobody`, cure);
  return false;
}

function sayWhere(
  run: Run,
  name: Name,
  record: Name,
  { zone, hosts }: Zone,
  heard: readonly Said[],
): void {
  const at = { record };
  const ttl = Math.max(...heard.map((one) => (one.kind === 'cname' ? one.ttl : 0)));
  const who = [...new Set(hosts.map(operatorOf))];
  if (ttl > ttlMax) {
    const long = `resolvers keep for ${spell(ttl)} that ${name} leads to ${record}`;
    const why = `${long}: so long nobody who types it can be led past the record`;
    run.warn(at, word, why, `lower the TTL of that CNAME to ${spell(ttlMax)} or less`);
  }
  const sentence = `${name} leads to ${record} with a TTL of ${ttl} s, at ${who.join(', ')}`;
  if (who.length > 1) return run.good(at, word, sentence);
  const alone = `${sentence} alone: while its servers are silent users get no further`;
  run.warn(at, word, alone, `serve ${zone} at a second vendor, too; Detour needs no key there`);
}
