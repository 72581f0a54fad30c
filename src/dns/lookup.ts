// Where a host is, for everything here that connects by name: probes, proxies, exporters and the
// vendors' APIs. /etc/hosts first, then the servers of /etc/resolv.conf, both read again when they
// change. The system's own look-ups wait for one another in a few threads, so that some silent names
// make a process deaf to all; here a name waits for itself alone. A name means exactly itself: no
// search list, no other sources of the system (mDNS, NIS, LDAP). It must never keep an answer longer
// than the servers say, or than a moment.

import { readFileSync, statSync } from 'node:fs';
import { isIP, type LookupFunction } from 'node:net';
import type { Name } from '../core/model.ts';
import type { HostAddress, Located, Lookup } from '../kit/extend.ts';
import { toName } from '../kit/schema.ts';
import { ask, type Exchange, type Server } from './ask.ts';
import { createLimit, type Limit } from './limit.ts';
import { locate, OtherNames } from './recursive.ts';
import type { Question } from './wire.ts';

interface LookupOptions {
  /** Path of the file in hosts(5) notation. */
  readonly hosts?: string;
  /** Path of the file in resolv.conf(5) notation; of it only `nameserver` is used. */
  readonly resolvConf?: string;
  /** Where those servers listen. */
  readonly port?: number;
}

/** With what tests and benches count. */
export interface CountedLookup extends Lookup {
  /** Look-ups of servers under way. */
  underWay(): number;
}

/** Limit of one look-up. */
const lookupMs = 5000;
/** What ends it if nothing else does. */
const guardMs = 250;
/** The first question goes so far; what is left is for one in the plainest form. */
const firstAskMs = 1500;
/** An answer is used again for so long at most: an outage of DNS must show. */
const keepMost = 5000;
const keptMax = 1000;
/** A file is looked at this often at most. */
const lookAgainMs = 1000;
const fileBytesMax = 4_194_304;
/**
 * Questions under way at once, each with a socket of its own, by what became of the name last time:
 * who was answered never waits for those that were not, nor for those that nobody knows.
 */
const questionsMost = { answered: 1000, unknown: 500, unanswered: 250 };
const waitingMax = 10_000;
const standingsMax = 10_000;
/** Of resolv.conf, as resolv.conf(5) has it. */
const serversMax = 3;

export function createLookup(options: LookupOptions = {}): CountedLookup {
  return new SystemLookup(options);
}

class SystemLookup implements CountedLookup {
  readonly #hosts: Watched<ReadonlyMap<Name, readonly HostAddress[]>>;
  readonly #servers: Watched<readonly Server[]>;
  readonly #flights = new Map<Name, Flight>();
  readonly #kept = new Map<Name, { readonly found: Located; readonly until: number }>();
  readonly #others = new OtherNames();
  /** What became of a name last time. */
  readonly #standings = new Map<Name, 'answered' | 'unanswered'>();
  readonly #limits = {
    answered: createLimit(questionsMost.answered, waitingMax),
    unknown: createLimit(questionsMost.unknown, waitingMax),
    unanswered: createLimit(questionsMost.unanswered, waitingMax),
  };

  constructor({ hosts = '/etc/hosts', resolvConf = '/etc/resolv.conf', port = 53 }: LookupOptions) {
    this.#hosts = new Watched(hosts, readHosts);
    this.#servers = new Watched(resolvConf, (text) => readServers(text, port));
  }

  known(host: string): Located | null {
    const family = isIP(host);
    if (family !== 0) return addresses([{ address: host, family }], 0);
    const name = toName(host);
    if (name === null) return { kind: 'none', detail: `${host} is no name that DNS could hold` };
    const listed = this.#hosts.read().get(name);
    if (listed !== undefined) return addresses(listed, 0);
    // RFC 6761 section 6.3: it leads here, whatever a server says.
    if (name === 'localhost.' || name.endsWith('.localhost.')) return addresses(loopback, 0);
    const kept = this.#kept.get(name);
    return kept !== undefined && kept.until > performance.now() ? kept.found : null;
  }

  find(host: string, signal?: AbortSignal): Promise<Located> {
    const known = this.known(host);
    if (known !== null) return Promise.resolve(known);
    const name = toName(host)!;
    const flight = this.#flights.get(name) ?? this.#start(name);
    return flight.wait(signal);
  }

  othersAnswered(host: string): boolean {
    const name = toName(host);
    const flight = name === null ? undefined : this.#flights.get(name);
    return flight !== undefined && this.#others.answeredSince(name!, flight.beganAt);
  }

  underWay(): number {
    return this.#flights.size;
  }

  readonly lookup: LookupFunction = (host, options, callback) => {
    const wanted = familyOf(options.family);
    void this.find(host).then((found) => {
      if (found.kind !== 'addresses') return callback(errorOf(found, host), '', 0);
      const mine = found.addresses.filter(({ family }) => wanted === 0 || family === wanted);
      const [first] = mine;
      if (first === undefined) {
        const detail = `no IPv${wanted} address`;
        return callback(errorOf({ kind: 'none', detail }, host), '', 0);
      }
      if (options.all) return callback(null, [...mine]);
      return callback(null, first.address, first.family);
    });
  };

  #start(name: Name): Flight {
    const limit = this.#limits[this.#standings.get(name) ?? 'unknown'];
    const flight = new Flight((signal) =>
      locate(name, {
        servers: this.#servers.read(),
        ask: limited(limit),
        types: ['A', 'AAAA'],
        timeoutMs: lookupMs,
        signal,
        others: this.#others,
      }),
    );
    this.#flights.set(name, flight);
    flight.ended = (found) => {
      if (this.#flights.get(name) === flight) this.#flights.delete(name);
      this.#keep(name, found);
    };
    return flight;
  }

  #keep(name: Name, found: Located): void {
    const isAnswered = found.kind === 'addresses';
    put(this.#standings, name, isAnswered ? 'answered' : 'unanswered', standingsMax);
    if (!isAnswered) return;
    const keepMs = Math.min(keepMost, found.ttlSeconds * 1000);
    put(this.#kept, name, { found, until: performance.now() + keepMs }, keptMax);
  }
}

const calledOff: Located = { kind: 'unknown', detail: 'the look-up was called off', code: null };

/** One look-up under way, shared by all who wait for it. */
class Flight {
  readonly beganAt = performance.now();
  /** Told what came of it, once. */
  ended: (found: Located) => void = () => {};
  readonly #over = new AbortController();
  readonly #work: Promise<Located>;
  #waiting = 0;

  constructor(work: (signal: AbortSignal) => Promise<Located>) {
    const { signal } = this.#over;
    const limit = setTimeout(() => this.#over.abort(), lookupMs + guardMs);
    const stopped = new Promise<Located>((resolve) => {
      signal.addEventListener('abort', () => resolve(calledOff), { once: true });
    });
    this.#work = Promise.race([work(signal), stopped]);
    void this.#work.then((found) => {
      clearTimeout(limit);
      this.ended(found);
    });
  }

  wait(signal: AbortSignal | undefined): Promise<Located> {
    this.#waiting += 1;
    if (signal === undefined) return this.#work;
    return new Promise((resolve) => {
      const left = () => {
        this.#waiting -= 1;
        resolve(calledOff);
        if (this.#waiting > 0) return;
        // Nobody wants it any more; whoever comes next asks anew.
        this.ended(calledOff);
        this.ended = () => {};
        this.#over.abort();
      };
      if (signal.aborted) return left();
      signal.addEventListener('abort', left, { once: true });
      void this.#work.then((found) => {
        signal.removeEventListener('abort', left);
        resolve(found);
      });
    });
  }
}

function limited(limit: Limit) {
  return async (server: Server, question: Question, timeoutMs: number, signal: AbortSignal) => {
    const endsAt = performance.now() + timeoutMs;
    const turn = () => askTwice(server, question, endsAt - performance.now(), signal);
    const result = await limit(signal, turn);
    const detail = 'was not asked: too many look-ups under way';
    return result ?? ({ kind: 'network', detail, sent: false } satisfies Exchange);
  };
}

/** With EDNS, then without: some small resolvers are silent to what they do not know. */
async function askTwice(
  server: Server,
  question: Question,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Exchange> {
  const firstMs = Math.min(firstAskMs, timeoutMs);
  const first = await ask(server, question, { timeoutMs: firstMs, signal, recurse: true });
  const restMs = timeoutMs - firstMs;
  if (first.kind !== 'timeout' || restMs <= 0) return first;
  return ask(server, question, { timeoutMs: restMs, signal, recurse: true, edns: false });
}

const loopback: readonly HostAddress[] = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
];

function addresses(all: readonly HostAddress[], ttlSeconds: number): Located {
  return { kind: 'addresses', addresses: all, ttlSeconds };
}

function familyOf(family: number | string | undefined): number {
  return family === 'IPv4' ? 4 : family === 'IPv6' ? 6 : Number(family ?? 0);
}

/** As `dns.lookup` gives it: ENOTFOUND is the name's own, EAI_AGAIN the servers'. */
function errorOf(found: Exclude<Located, { kind: 'addresses' }>, host: string): Error {
  const code = found.kind === 'none' ? 'ENOTFOUND' : (found.code ?? 'EAI_AGAIN');
  const message = `${host} was not found: ${found.detail}`;
  return Object.assign(new Error(message), { code, syscall: 'getaddrinfo', hostname: host });
}

/** A file's meaning, looked at again when the file has changed. What cannot be read is empty. */
class Watched<T> {
  readonly #path: string;
  readonly #parse: (text: string) => T;
  #value: T;
  #mark = '';
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(path: string, parse: (text: string) => T) {
    this.#path = path;
    this.#parse = parse;
    this.#value = parse('');
  }

  read(): T {
    const now = performance.now();
    if (now - this.#lookedAt < lookAgainMs) return this.#value;
    this.#lookedAt = now;
    try {
      const { ino, size, mtimeMs, ctimeMs } = statSync(this.#path);
      const mark = [ino, size, mtimeMs, ctimeMs].join();
      if (mark === this.#mark) return this.#value;
      if (size > fileBytesMax) return this.#value;
      this.#value = this.#parse(readFileSync(this.#path, 'utf8'));
      this.#mark = mark;
    } catch (error) {
      // Gone means empty; out of descriptors and its like mean as before.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return this.#value;
      this.#value = this.#parse('');
      this.#mark = '';
    }
    return this.#value;
  }
}

/** hosts(5): an address, then names. */
function readHosts(text: string): ReadonlyMap<Name, readonly HostAddress[]> {
  const found = new Map<Name, HostAddress[]>();
  for (const line of text.split('\n')) {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    const family = isIP(address);
    if (family === 0) continue;
    for (const word of names) {
      const name = toName(word);
      if (name === null) continue;
      const all = found.get(name) ?? [];
      if (!all.some((one) => one.address === address)) all.push({ address, family });
      found.set(
        name,
        all.toSorted((a, b) => a.family - b.family),
      );
    }
  }
  return found;
}

/** resolv.conf(5); without a server there is one on this machine. */
function readServers(text: string, port: number): readonly Server[] {
  const found: Server[] = [];
  for (const line of text.split('\n')) {
    const [, address] = /^nameserver\s+(\S+)/.exec(line) ?? [];
    if (address !== undefined && isIP(address) !== 0) found.push({ address, port });
  }
  return found.length === 0 ? [{ address: '127.0.0.1', port }] : found.slice(0, serversMax);
}

/** Keeps a map within its bound; the oldest leave first. */
function put<T>(map: Map<Name, T>, name: Name, value: T, most: number): void {
  map.delete(name);
  map.set(name, value);
  const [oldest] = map.keys();
  if (map.size > most && oldest !== undefined) map.delete(oldest);
}

/** The one of this machine; opens and reads nothing before it is asked. */
export const systemLookup: Lookup = createLookup();
