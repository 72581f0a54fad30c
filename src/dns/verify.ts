// Asks DNS itself what is served: every authoritative server of a provider, directly and without
// recursion, past every vendor's API. It must never believe a server that does not speak for the
// zone (AA), never call silence an answer, and never let one slow server delay the others.

import { isIP } from 'node:net';
import { markerName } from '../core/marker.ts';
import type { ChainAnswer, LineAnswer, Name, ServerAnswer } from '../core/model.ts';
import { parseHostPort, type Subnet, toName } from '../kit/schema.ts';
import type { Verifier } from '../ports.ts';
import { ask, type Exchange, printServer, type Server } from './ask.ts';
import type { Texts } from './company.ts';
import { createLimit, type Limit } from './limit.ts';
import type { Resolver } from './resolver.ts';
import { joinText, type Message } from './wire.ts';

interface VerifierOptions {
  /** Host names or `ADDRESS[:PORT]` of a provider's authoritative servers for a record. */
  readonly servers: (
    provider: string,
    record: Name,
    signal: AbortSignal,
  ) => Promise<readonly string[]>;
  readonly resolver: Resolver;
  /** Of every server that has none of its own. */
  readonly port: number;
  /** Limit of one exchange with one server. */
  readonly timeoutMs: number;
  /** Where each line's users are, by provider. */
  readonly subnets?: Readonly<Record<string, ReadonlyMap<string, Subnet>>>;
}

/** Addresses asked for one record at one provider. */
const addressesMax = 64;
/** Exchanges under way at once at one provider's servers, over all records; as many may wait. */
const exchangesMax = 200;
const waitingMax = 20_000;
/** Of a provider's servers those that are asked for other tools' texts, one after the other. */
const textServersMax = 2;
/** A walk down a chain serves everybody who asks for it meanwhile, so it has an end of its own. */
const walkMs = 5_000;

/** A server to ask, and whether it may be dropped where this machine has no IPv6. */
interface Place extends Server {
  readonly provider: string;
  readonly optional: boolean;
}

/** A line, and an address of its users'. */
interface From {
  readonly line: string;
  readonly subnet: Subnet;
}

/** What one server is asked. */
interface Asked {
  readonly record: Name;
  readonly marker: boolean;
  readonly from: readonly From[];
}

const none: ReadonlyMap<string, Subnet> = new Map();

type Answer = ServerAnswer['answer'];
type Silence = Exclude<Answer, { kind: 'cname' }>;

/** The port, and what else this asks of the same servers. */
interface DnsVerifier extends Verifier {
  readonly texts: Texts;
}

/** Opens nothing yet. `close` ends what is under way; the resolver stays its owner's to close. */
export function createVerifier(options: VerifierOptions): DnsVerifier {
  return new ServerVerifier(options);
}

class ServerVerifier implements DnsVerifier {
  readonly #resolver: VerifierOptions['resolver'];
  readonly #servers: VerifierOptions['servers'];
  readonly #port: number;
  readonly #timeoutMs: number;
  readonly #subnets: NonNullable<VerifierOptions['subnets']>;
  /** By provider: servers that are silent hold up nobody else's. */
  readonly #limits = new Map<string, Limit>();
  readonly #closing = new AbortController();
  /** What ends when this is closed; a signal made of two others costs more than the question. */
  readonly #under = new Set<AbortController>();
  readonly #walks = new Map<Name, Promise<ChainAnswer>>();

  constructor({ resolver, servers, port, timeoutMs, subnets = {} }: VerifierOptions) {
    this.#resolver = resolver;
    this.#servers = servers;
    this.#port = port;
    this.#timeoutMs = timeoutMs;
    this.#subnets = subnets;
  }

  ask(
    provider: string,
    record: Name,
    options: Parameters<Verifier['ask']>[2],
    outer: AbortSignal,
  ): Promise<readonly ServerAnswer[]> {
    return this.#until(outer, (signal) => this.#ask(provider, record, options, signal));
  }

  async #ask(
    provider: string,
    record: Name,
    { marker, lines = [] }: Parameters<Verifier['ask']>[2],
    signal: AbortSignal,
  ): Promise<readonly ServerAnswer[]> {
    const { places, lost } = await this.#places(provider, record, signal);
    const known = Object.hasOwn(this.#subnets, provider) ? this.#subnets[provider]! : none;
    const from = lines.flatMap((line) => {
      const subnet = known.get(line);
      return subnet === undefined ? [] : [{ line, subnet }];
    });
    const asked = { record, marker, from };
    const answers = await Promise.all(places.map((p) => this.#askOne(p, asked, signal)));
    const all = [...answers.filter((a) => a !== null), ...lost];
    return all.length > 0 ? all : [silence(provider, 'error', 'it has no name server to ask')];
  }

  readonly texts: Texts = async (provider, record, names, outer) => {
    const signal = AbortSignal.any([outer, this.#closing.signal]);
    const { places } = await this.#places(provider, record, signal);
    for (const place of places.slice(0, textServersMax)) {
      const found = await Promise.all(
        names.map(async (name) => {
          return readMarkers(await this.#question(place, name, 'TXT', signal), name);
        }),
      );
      if (found.every((texts) => texts === null)) continue;
      return new Map(names.map((name, i) => [name, found[i] ?? []]));
    }
    return null;
  };

  /** Ends with whoever asked, or with all of this. */
  async #until<T>(outer: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const own = new AbortController();
    const stop = () => own.abort();
    if (outer.aborted || this.#closing.signal.aborted) stop();
    this.#under.add(own);
    outer.addEventListener('abort', stop);
    try {
      return await work(own.signal);
    } finally {
      outer.removeEventListener('abort', stop);
      this.#under.delete(own);
    }
  }

  /** Where a provider's servers for a record are, and which of them were not found. */
  async #places(
    provider: string,
    record: Name,
    signal: AbortSignal,
  ): Promise<{ readonly places: readonly Place[]; readonly lost: readonly ServerAnswer[] }> {
    let hosts: readonly string[];
    try {
      hosts = await this.#servers(provider, record, signal);
    } catch (error) {
      const why = error instanceof Error ? error.message : 'unknown reason';
      const lost = [silence(provider, 'error', `its name servers were not found: ${why}`)];
      return { places: [], lost };
    }
    const unique = [...new Set(hosts)].slice(0, addressesMax);
    const located = await Promise.all(unique.map((host) => this.#locate(provider, host, signal)));
    const places = new Map<string, Place>();
    const lost: ServerAnswer[] = [];
    for (const part of located) {
      if ('answer' in part) lost.push(part);
      else for (const place of part) places.set(printServer(place), place);
    }
    return { places: [...places.values()].slice(0, addressesMax), lost };
  }

  chain(name: Name, signal: AbortSignal): Promise<ChainAnswer> {
    // When a cloud fails, many records ask for the same few targets at the same moment.
    const running = this.#walks.get(name) ?? this.#walk(name);
    this.#walks.set(name, running);
    return unlessAborted(running, signal);
  }

  close(): void {
    this.#closing.abort();
    for (const own of this.#under) own.abort();
  }

  #walk(name: Name): Promise<ChainAnswer> {
    const signal = AbortSignal.any([AbortSignal.timeout(walkMs), this.#closing.signal]);
    return this.#resolver.chain(name, signal).finally(() => this.#walks.delete(name));
  }

  #limitOf(provider: string): Limit {
    const known = this.#limits.get(provider);
    if (known !== undefined) return known;
    const limit = createLimit(exchangesMax, waitingMax);
    this.#limits.set(provider, limit);
    return limit;
  }

  async #question(
    place: Place,
    name: Name,
    type: 'CNAME' | 'TXT',
    signal: AbortSignal,
    subnet?: Subnet,
  ): Promise<Exchange> {
    const unsent: Exchange = {
      kind: 'aborted',
      detail: 'stopped before it was asked',
      sent: false,
    };
    const how = { timeoutMs: this.#timeoutMs, signal, ...(subnet === undefined ? {} : { subnet }) };
    const limit = this.#limitOf(place.provider);
    return (await limit(signal, () => ask(place, { name, type }, how))) ?? unsent;
  }

  /** What a server gives to askers of one line, if it says that it tells them apart. */
  async #askFrom(
    place: Place,
    record: Name,
    { line, subnet }: From,
    signal: AbortSignal,
  ): Promise<LineAnswer> {
    const exchange = await this.#question(place, record, 'CNAME', signal, subnet);
    const answer = readCname(exchange, record);
    const heeds = exchange.kind === 'reply' && exchange.message.scope !== null;
    return { line, value: answer.kind === 'cname' ? answer.value : null, heeds };
  }

  /** One server's answer; null where it may be left out. */
  async #askOne(
    place: Place,
    { record, marker, from }: Asked,
    signal: AbortSignal,
  ): Promise<ServerAnswer | null> {
    const [forRecord, forMarker, lines] = await Promise.all([
      this.#question(place, record, 'CNAME', signal),
      marker ? this.#question(place, markerName(record), 'TXT', signal) : null,
      Promise.all(from.map((one) => this.#askFrom(place, record, one, signal))),
    ]);
    if (place.optional && forRecord.kind === 'no-route') return null;
    return {
      server: printServer(place),
      answer: readCname(forRecord, record),
      markers: forMarker && readMarkers(forMarker, markerName(record)),
      ...(lines.length === 0 ? {} : { lines }),
    };
  }

  /** The addresses behind one entry of the list of servers, or why there are none. */
  async #locate(
    provider: string,
    text: string,
    signal: AbortSignal,
  ): Promise<readonly Place[] | ServerAnswer> {
    const parsed = parseHostPort(text, this.#port);
    if (!parsed) return silence(text, 'error', 'it is no address and no host name');
    if (isIP(parsed.host) !== 0) {
      return [{ provider, address: parsed.host, port: parsed.port, optional: false }];
    }
    const found = await this.#resolver.addresses(toName(parsed.host)!, signal);
    if (found.kind !== 'found') {
      const kind = found.kind === 'unknown' ? 'timeout' : 'error';
      return silence(text, kind, `its address was not found: ${found.detail}`);
    }
    const hasV4 = found.addresses.some((a) => isIP(a) === 4);
    return found.addresses.map((address) => ({
      provider,
      address,
      port: parsed.port,
      optional: hasV4 && isIP(address) === 6,
    }));
  }
}

/** The work goes on for the others who wait for it. */
function unlessAborted(work: Promise<ChainAnswer>, signal: AbortSignal): Promise<ChainAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<ChainAnswer>();
  const stop = () => resolve({ kind: 'unknown', detail: 'stopped before the chain was walked' });
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  work.finally(() => signal.removeEventListener('abort', stop)).then(resolve, reject);
  return promise;
}

function silence(server: string, kind: Silence['kind'], detail: string): ServerAnswer {
  return { server, answer: { kind, detail }, markers: null };
}

/** The message whose records may be read, or what stands in the way of that. */
function usable(exchange: Exchange): Message | Silence {
  if (exchange.kind === 'timeout' || exchange.kind === 'aborted') {
    return { kind: 'timeout', detail: exchange.detail };
  }
  if (exchange.kind !== 'reply') return { kind: 'error', detail: exchange.detail };
  const { rcode, authoritative } = exchange.message;
  if (rcode === 'SERVFAIL') return { kind: 'servfail', detail: 'the server failed (SERVFAIL)' };
  if (rcode === 'REFUSED') return { kind: 'refused', detail: 'the server refuses (REFUSED)' };
  if (rcode !== 'NOERROR' && rcode !== 'NXDOMAIN') return { kind: 'error', detail: rcode };
  if (authoritative) return exchange.message;
  return { kind: 'not-authoritative', detail: `${rcode} without authority for the zone (no AA)` };
}

function readCname(exchange: Exchange, record: Name): Answer {
  const message = usable(exchange);
  if ('kind' in message) return message;
  const [first, second] = message.answers.flatMap((r) =>
    r.type === 'CNAME' && r.name === record ? [r] : [],
  );
  if (first && second) return { kind: 'error', detail: 'more than one CNAME at the name' };
  if (first) return { kind: 'cname', value: first.target, ttl: first.ttl };
  return message.rcode === 'NXDOMAIN'
    ? { kind: 'nxdomain', detail: 'the name does not exist (NXDOMAIN)' }
    : { kind: 'nodata', detail: 'the name has no CNAME (NODATA)' };
}

function readMarkers(exchange: Exchange, name: Name): readonly string[] | null {
  const message = usable(exchange);
  if ('kind' in message) return null;
  return message.answers.flatMap((r) =>
    r.type === 'TXT' && r.name === name ? [joinText(r.strings)] : [],
  );
}
