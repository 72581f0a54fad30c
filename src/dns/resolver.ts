// A resolver that walks from the roots through authoritative servers by itself. Only where servers
// are is remembered, never an answer: no cache stands between Detour and what is served. Every walk
// is bounded in names, referrals, exchanges and time.

import { isIP } from 'node:net';
import type { ChainAnswer, Name } from '../core/model.ts';
import { ancestors, isWithin } from '../core/name.ts';
import { type HostPort, parseHostPort, toName } from '../kit/schema.ts';
import type { Clock } from '../ports.ts';
import { ask, printServer, type Server } from './ask.ts';
import { createLimit } from './limit.ts';
import type { Message, Question, Resource } from './wire.ts';

interface ResolverOptions {
  /** `ADDRESS[:PORT]` of root servers; null: the IANA root servers. */
  readonly roots: readonly string[] | null;
  /** Of every server that has none of its own. */
  readonly port?: number;
  /** Limit of one exchange; a whole walk may take five times as long. */
  readonly timeoutMs: number;
  readonly clock: Pick<Clock, 'now'>;
  /** Recursive resolvers to ask instead, where port 53 outwards is closed. Addresses only. */
  readonly resolvers?: readonly HostPort[];
}

export type Addresses =
  | {
      readonly kind: 'found';
      readonly addresses: readonly string[];
      /** They could not be looked up now; these are the last that were found. */
      readonly stale: boolean;
    }
  | { readonly kind: 'broken' | 'unknown'; readonly detail: string };

type NameServers =
  | {
      readonly kind: 'found';
      /** What the zone says about itself. */
      readonly names: readonly Name[];
      /** What its parent says; null when no referral was seen (one server for both, recursion). */
      readonly delegated: readonly Name[] | null;
    }
  | { readonly kind: 'broken' | 'unknown'; readonly detail: string };

/** What a zone's parent says of it. */
export type Delegated =
  | {
      readonly kind: 'found';
      /** Its NS set; null when no referral was seen (one server for both, recursion). */
      readonly names: readonly Name[] | null;
      /** Seconds for which resolvers keep that set; null as above. */
      readonly ttlSeconds: number | null;
      /** Its DS set, empty when it has none; null when the parent did not say. */
      readonly ds: readonly Extract<Resource, { type: 'DS' }>[] | null;
    }
  | { readonly kind: 'broken' | 'unknown'; readonly detail: string };

export interface Resolver {
  /** Follows a name's whole chain of CNAMEs down to an address; see ChainAnswer. Never rejects. */
  chain(name: Name, signal: AbortSignal): Promise<ChainAnswer>;
  /** Addresses of a name server's host, IPv4 first. Remembered for their TTL (5 s to 1 h). */
  addresses(host: Name, signal: AbortSignal): Promise<Addresses>;
  /** The name servers of a zone, and what its parent says of them. */
  nameServers(zone: Name, signal: AbortSignal): Promise<NameServers>;
  /** Asks the servers of the zone above, anew: its NS set there and its DS set. Never rejects. */
  delegation(zone: Name, signal: AbortSignal): Promise<Delegated>;
  /** Ends every walk under way. */
  close(): void;
}

const namesMax = 16;
const referralsMax = 30;
const exchangesMax = 300;
const nestingMax = 4;
const serversMax = 8;
const cacheMax = 1000;

interface Delegation {
  readonly zone: Name;
  readonly hosts: readonly Name[];
  readonly glue: ReadonlyMap<Name, readonly string[]>;
  readonly ttlSeconds: number;
  readonly expiresAt: number;
}

/** What one walk may still spend; shared by the walks nested in it. */
interface Walk {
  readonly signal: AbortSignal;
  referralsLeft: number;
  exchangesLeft: number;
}

type Outcome =
  | { readonly kind: 'records'; readonly records: readonly Resource[] }
  | { readonly kind: 'cname'; readonly target: Name; readonly ttl: number }
  | { readonly kind: 'broken' | 'unknown'; readonly detail: string };

type Step = Outcome | { readonly kind: 'referral'; readonly to: Delegation };

interface HostEntry {
  readonly addresses: readonly string[];
  readonly expiresAt: number;
  readonly failure: { readonly kind: 'broken' | 'unknown'; readonly detail: string } | null;
}

/** A resolver of its own, with its own memory of where servers are. Opens nothing yet. */
export function createResolver(options: ResolverOptions): Resolver {
  return new WalkingResolver(options);
}

class WalkingResolver implements Resolver {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #timeoutMs: number;
  readonly #port: number;
  readonly #closing = new AbortController();
  readonly #limit = createLimit(100, 5000);
  readonly #delegations = new Map<Name, Delegation>();
  readonly #hosts = new Map<Name, HostEntry>();
  readonly #lookups = new Map<Name, Promise<HostEntry>>();
  readonly #roots: readonly Server[];
  readonly #resolvers: readonly Server[];

  constructor(options: ResolverOptions) {
    const port = options.port ?? 53;
    this.#clock = options.clock;
    this.#timeoutMs = options.timeoutMs;
    this.#port = port;
    this.#roots = (options.roots ?? ianaRoots).map((text) => toServer(text, port));
    this.#resolvers = (options.resolvers ?? []).map((r) => ({ address: r.host, port: r.port }));
  }

  async chain(name: Name, signal: AbortSignal): Promise<ChainAnswer> {
    const { answer } = await this.#follow(name, ['A', 'AAAA'], this.#newWalk(signal), 0);
    return answer;
  }

  async addresses(host: Name, signal: AbortSignal): Promise<Addresses> {
    const walk = this.#newWalk(signal);
    const entry = await orAborted(this.#findHost(host, walk, 0), walk.signal);
    if (!entry) return { kind: 'unknown', detail: 'stopped before it was looked up' };
    const { addresses, failure } = entry;
    if (addresses.length > 0) {
      return { kind: 'found', addresses: v4First(addresses), stale: failure !== null };
    }
    return failure ?? { kind: 'broken', detail: 'it has no address' };
  }

  async nameServers(zone: Name, signal: AbortSignal): Promise<NameServers> {
    const step = await this.#lookup({ name: zone, type: 'NS' }, this.#newWalk(signal), 0);
    if (step.kind === 'cname') return { kind: 'broken', detail: `${zone} is a CNAME` };
    if (step.kind !== 'records') return step;
    const names = step.records.flatMap((r) => (r.type === 'NS' ? r.target : [])).sort();
    if (names.length === 0) return { kind: 'broken', detail: `${zone} is no zone of its own` };
    const delegated = this.#delegations.get(zone)?.hosts.toSorted() ?? null;
    return { kind: 'found', names, delegated };
  }

  async delegation(zone: Name, signal: AbortSignal): Promise<Delegated> {
    const walk = this.#newWalk(signal);
    if (this.#resolvers.length === 0) return this.#askParent(zone, walk);
    const ds = await this.#lookup({ name: zone, type: 'DS' }, walk, 0);
    if (ds.kind !== 'records') {
      return ds.kind === 'cname' ? { kind: 'broken', detail: `${zone} is a CNAME` } : ds;
    }
    const records = ds.records.filter((r) => r.type === 'DS');
    return { kind: 'found', names: null, ttlSeconds: null, ds: records };
  }

  close(): void {
    this.#closing.abort();
  }

  #newWalk(signal: AbortSignal): Walk {
    return {
      signal: AbortSignal.any([
        signal,
        this.#closing.signal,
        AbortSignal.timeout(5 * this.#timeoutMs),
      ]),
      referralsLeft: referralsMax,
      exchangesLeft: exchangesMax,
    };
  }

  /** The first usable reply of several servers, a slow one overtaken by the next. */
  #askAny(
    servers: readonly Server[],
    question: Question,
    read: (message: Message) => Step | string,
    walk: Walk,
  ): Promise<Step> {
    const overtakeMs = Math.min(250, this.#timeoutMs / 4);
    const stop = new AbortController();
    const signal = AbortSignal.any([walk.signal, stop.signal]);
    const failures: string[] = [];
    let replied = false;
    let next = 0;
    let asked = 0;
    let underWay = 0;
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      const end = (step: Step) => {
        clearTimeout(timer);
        stop.abort();
        resolve(step);
      };
      const one = async (server: Server) => {
        const result = await this.#limit(signal, () =>
          ask(server, question, {
            timeoutMs: this.#timeoutMs,
            signal,
            recurse: this.#resolvers.length > 0,
          }),
        );
        underWay -= 1;
        if (stop.signal.aborted) return;
        if (result?.kind === 'no-route') asked -= 1;
        const read1 = result?.kind === 'reply' ? read(result.message) : null;
        if (read1 !== null && typeof read1 !== 'string') return end(read1);
        replied ||= read1 !== null;
        if (failures.length < serversMax) {
          failures.push(`${printServer(server)} ${read1 ?? result?.kind ?? 'not asked'}`);
        }
        more();
      };
      const more = () => {
        clearTimeout(timer);
        const server = servers[next];
        const may = server && asked < serversMax && walk.exchangesLeft > 0 && !signal.aborted;
        if (may) {
          next += 1;
          asked += 1;
          underWay += 1;
          walk.exchangesLeft -= 1;
          timer = setTimeout(more, overtakeMs);
          void one(server);
        } else if (underWay === 0) {
          const detail = failures.join(', ') || 'no server was asked in the time given';
          end({ kind: replied ? 'broken' : 'unknown', detail });
        }
      };
      more();
    });
  }

  /** One name and type, from the nearest known delegation through referrals to an answer. */
  async #lookup(question: Question, walk: Walk, depth: number): Promise<Outcome> {
    if (this.#resolvers.length > 0) {
      const step = await this.#askAny(
        this.#resolvers,
        question,
        (m) => this.#readAnswer(m, question),
        walk,
      );
      return step.kind === 'referral' ? { kind: 'unknown', detail: 'unexpected referral' } : step;
    }
    let at = this.#nearestOf(ancestors(question.name));
    let remembered = at !== null;
    for (;;) {
      const step = await this.#askZone(at, question, walk, depth);
      if (step.kind === 'referral') {
        if (walk.referralsLeft-- <= 0) {
          return { kind: 'unknown', detail: `gave up after ${referralsMax} referrals` };
        }
        at = step.to;
        remembered = false;
        put(this.#delegations, at.zone, at);
      } else if (remembered && (step.kind === 'broken' || step.kind === 'unknown')) {
        // Servers move: what failed from memory is tried once more from the roots.
        for (const zone of ancestors(question.name)) this.#delegations.delete(zone);
        at = null;
        remembered = false;
      } else {
        return step;
      }
    }
  }

  /** Asks the servers of one delegation (null: the roots): first those whose address is known. */
  async #askZone(
    at: Delegation | null,
    question: Question,
    walk: Walk,
    depth: number,
  ): Promise<Step> {
    const zone = at?.zone ?? '.';
    const read = (m: Message) =>
      this.#readReferral(m, question.name, zone) ?? this.#readAnswer(m, question);
    if (at === null) return this.#askAny(arrange(this.#roots), question, read, walk);
    const known: string[] = [];
    const others: Name[] = [];
    for (const host of at.hosts) {
      const addresses = at.glue.get(host) ?? this.#hosts.get(host)?.addresses ?? [];
      known.push(...addresses);
      if (addresses.length === 0) others.push(host);
    }
    const first =
      known.length === 0
        ? null
        : await this.#askAny(
            arrange(known.map((a) => toServer(a, this.#port))),
            question,
            read,
            walk,
          );
    if (first && first.kind !== 'broken' && first.kind !== 'unknown') return first;
    if (first && others.length === 0) return at ? within(first, zone) : first;
    if (depth >= nestingMax) {
      return { kind: 'broken', detail: `${zone} has name servers nested too deep to be found` };
    }
    const found = await Promise.all(
      others.slice(0, 4).map((host) => this.#findHost(host, walk, depth + 1)),
    );
    const servers = found.flatMap((entry) => entry.addresses).map((a) => toServer(a, this.#port));
    if (servers.length > 0)
      return within(await this.#askAny(arrange(servers), question, read, walk), zone);
    const failures = found.flatMap((entry) => entry.failure ?? []);
    const detail = failures[0]?.detail ?? 'it has no name server';
    const kind = failures.some((f) => f.kind === 'unknown') ? 'unknown' : 'broken';
    return first ?? { kind, detail: `no address for any name server of ${zone}: ${detail}` };
  }

  #nearestOf(zones: readonly Name[]): Delegation | null {
    for (const zone of zones) {
      const known = this.#delegations.get(zone);
      if (known && known.expiresAt > this.#clock.now()) return known;
    }
    return null;
  }

  /** A referral of these servers: further down, and towards the name asked for. */
  #readReferral(message: Message, name: Name, zone: Name): Step | null {
    if (message.rcode !== 'NOERROR' || message.answers.some((r) => r.name === name)) return null;
    const sets = message.authority.filter((r) => r.type === 'NS');
    const to = sets.find(
      (r) => r.name !== zone && isWithin(r.name, zone) && isWithin(name, r.name),
    );
    if (!to || message.authority.some((r) => r.type === 'SOA')) return null;
    const mine = sets.filter((r) => r.name === to.name).slice(0, 32);
    const glue = new Map<Name, string[]>();
    const names = mine.flatMap((r) => toName(r.target) ?? []);
    for (const r of message.additional) {
      // Beyond the zone of those who answer, an address is hearsay.
      if ((r.type !== 'A' && r.type !== 'AAAA') || !isWithin(r.name, zone)) continue;
      if (names.includes(r.name)) glue.set(r.name, [...(glue.get(r.name) ?? []), r.address]);
    }
    const ttlSeconds = Math.min(...mine.map((r) => r.ttl));
    const expiresAt = this.#clock.now() + Math.min(86_400, Math.max(1, ttlSeconds)) * 1000;
    return { kind: 'referral', to: { zone: to.name, hosts: names, glue, ttlSeconds, expiresAt } };
  }

  /** What a reply says of a question; a word when it says nothing usable. */
  #readAnswer(message: Message, question: Question): Outcome | string {
    const { name, type } = question;
    if (message.rcode !== 'NOERROR' && message.rcode !== 'NXDOMAIN') return message.rcode;
    if (this.#resolvers.length === 0 && !message.authoritative) return 'not authoritative';
    const mine = message.answers.filter((r) => r.name === name);
    const cname = mine.find((r) => r.type === 'CNAME');
    // The rcode belongs to the end of the chain (RFC 6604): the name itself exists.
    if (cname && type !== 'CNAME') {
      return { kind: 'cname', target: cname.target, ttl: cname.ttl };
    }
    if (message.rcode === 'NXDOMAIN') return { kind: 'broken', detail: 'NXDOMAIN' };
    return { kind: 'records', records: mine.filter((r) => r.type === type) };
  }

  /** From the nearest known delegation above a zone down to the cut, and the DS set beside it. */
  async #askParent(zone: Name, walk: Walk): Promise<Delegated> {
    const above = ancestors(zone).slice(1);
    let at = this.#nearestOf(above);
    let remembered = at !== null;
    let cut: Delegation | null = null;
    while (cut === null) {
      const step = await this.#askZone(at, { name: zone, type: 'NS' }, walk, 0);
      if (step.kind === 'referral') {
        if (walk.referralsLeft-- <= 0) {
          return { kind: 'unknown', detail: `gave up after ${referralsMax} referrals` };
        }
        put(this.#delegations, step.to.zone, step.to);
        if (step.to.zone === zone) cut = step.to;
        else at = step.to;
        remembered = false;
      } else if (step.kind === 'records') {
        break;
      } else if (remembered && step.kind !== 'cname') {
        for (const name of above) this.#delegations.delete(name);
        at = null;
        remembered = false;
      } else {
        return step.kind === 'cname' ? { kind: 'broken', detail: `${zone} is a CNAME` } : step;
      }
    }
    const ds = await this.#askZone(at, { name: zone, type: 'DS' }, walk, 0);
    return {
      kind: 'found',
      names: cut?.hosts.toSorted() ?? null,
      ttlSeconds: cut?.ttlSeconds ?? null,
      ds: ds.kind === 'records' ? ds.records.filter((r) => r.type === 'DS') : null,
    };
  }

  /** Follows CNAMEs from a name to the first that has an address of the wanted types. */
  async #follow(
    name: Name,
    types: readonly ('A' | 'AAAA')[],
    walk: Walk,
    depth: number,
  ): Promise<{ answer: ChainAnswer; records: readonly Resource[] }> {
    const chain: Name[] = [];
    const records: Resource[] = [];
    const fail = (kind: 'broken' | 'unknown', detail: string) => {
      const at = chain.at(-1) ?? name;
      const answer: ChainAnswer =
        kind === 'broken' ? { kind, at, detail } : { kind, detail: `${at}: ${detail}` };
      return { answer, records };
    };
    for (let here: Name | null = name; here !== null; ) {
      if (chain.includes(here)) return fail('broken', `the chain returns to ${here}`);
      if (chain.length === namesMax) {
        return fail('broken', `the chain is longer than ${namesMax} names`);
      }
      chain.push(here);
      let next: Name | null = null;
      for (const type of types) {
        const step: Outcome = await this.#lookup({ name: here, type }, walk, depth);
        if (step.kind === 'cname') {
          next = toName(step.target);
          if (next === null) return fail('broken', `${step.target} is no host name`);
          break;
        }
        if (step.kind !== 'records') return fail(step.kind, step.detail);
        records.push(...step.records);
        // One address is enough to know that the chain is answered.
        if (records.length > 0 && depth === 0) break;
      }
      if (next === null && records.length === 0) return fail('broken', 'NODATA: it has no address');
      here = next;
    }
    return { answer: { kind: 'answered', chain }, records };
  }

  /** Addresses of a host, from memory or by a lookup shared by all who want it now. */
  #findHost(host: Name, walk: Walk, depth: number): Promise<HostEntry> {
    const known = this.#hosts.get(host);
    if (known && known.expiresAt > this.#clock.now()) return Promise.resolve(known);
    return depth === 0 ? this.#shared(host) : this.#lookUpHost(host, walk, depth);
  }

  #shared(host: Name): Promise<HostEntry> {
    const running = this.#lookups.get(host);
    if (running) return running;
    // On its own walk: the first who asks may leave, the others still want it.
    const walk = this.#newWalk(this.#closing.signal);
    const run = this.#lookUpHost(host, walk, 1).finally(() => this.#lookups.delete(host));
    this.#lookups.set(host, run);
    return run;
  }

  async #lookUpHost(host: Name, walk: Walk, depth: number): Promise<HostEntry> {
    const { answer, records } = await this.#follow(host, ['A', 'AAAA'], walk, depth);
    const addresses = records.flatMap((r) => ('address' in r ? r.address : []));
    const good = addresses.length > 0;
    const ttlSeconds = Math.min(3600, ...records.map((r) => Math.max(5, r.ttl)));
    const failure =
      good || answer.kind === 'answered' ? null : { kind: answer.kind, detail: answer.detail };
    const entry: HostEntry = {
      addresses: good ? addresses : (this.#hosts.get(host)?.addresses ?? []),
      // A failure is remembered for a moment, so that a poll does not become a storm.
      expiresAt: this.#clock.now() + (good ? ttlSeconds * 1000 : 2000),
      failure,
    };
    put(this.#hosts, host, entry);
    return entry;
  }
}

function within(step: Step, zone: Name): Step {
  if (step.kind !== 'broken' && step.kind !== 'unknown') return step;
  return step.detail === 'NXDOMAIN'
    ? step
    : { ...step, detail: `servers of ${zone} ${step.detail}` };
}

/** Resolves to null when the signal ends first; the work goes on for whoever else wants it. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | null> {
  if (signal.aborted) return Promise.resolve(null);
  return new Promise((resolve, reject) => {
    const stop = () => resolve(null);
    signal.addEventListener('abort', stop);
    work.finally(() => signal.removeEventListener('abort', stop)).then(resolve, reject);
  });
}

function toServer(text: string, port: number): Server {
  const parsed = parseHostPort(text, port);
  return { address: parsed?.host ?? text, port: parsed?.port ?? port };
}

/** IPv4 first, shuffled within each family, so that no server carries every first question. */
function arrange(servers: readonly Server[]): Server[] {
  const rank = (s: Server) => (isIP(s.address) === 6 ? 1 : 0) + Math.random();
  return servers
    .map((server) => ({ server, at: rank(server) }))
    .sort((a, b) => a.at - b.at)
    .map(({ server }) => server);
}

function v4First(addresses: readonly string[]): string[] {
  return [...new Set(addresses)].sort((a, b) => isIP(a) - isIP(b));
}

function put<T>(map: Map<Name, T>, key: Name, value: T): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > cacheMax && oldest !== undefined) map.delete(oldest);
}

/** IANA root hints, https://www.internic.net/domain/named.root, as of 2024-12. */
export const ianaRoots: readonly string[] = [
  ...['198.41.0.4', '2001:503:ba3e::2:30'],
  ...['170.247.170.2', '2801:1b8:10::b'],
  ...['192.33.4.12', '2001:500:2::c'],
  ...['199.7.91.13', '2001:500:2d::d'],
  ...['192.203.230.10', '2001:500:a8::e'],
  ...['192.5.5.241', '2001:500:2f::f'],
  ...['192.112.36.4', '2001:500:12::d0d'],
  ...['198.97.190.53', '2001:500:1::53'],
  ...['192.36.148.17', '2001:7fe::53'],
  ...['192.58.128.30', '2001:503:c27::2:30'],
  ...['193.0.14.129', '2001:7fd::1'],
  ...['199.7.83.42', '2001:500:9f::42'],
  ...['202.12.27.33', '2001:dc3::35'],
];
