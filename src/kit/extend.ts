// The public door: what a provider, a check or a notifier from outside implements, and what it is
// given. Types only, no code. A method never throws for what the world does: it answers with a value;
// it throws only where it says so here. Changing a shape here breaks other people's packages.

import type { LookupFunction } from 'node:net';
import type { z } from 'zod';
import type {
  Answer,
  Change,
  Finding,
  Handshake,
  Name,
  Notice,
  NsChange,
  NsPlace,
  NsSeen,
  Observation,
  Phases,
  Reach,
  RefusalWord,
  Result,
  Seen,
} from '../core/model.ts';
import type { SecretRef } from './schema.ts';

export interface ProbeResult {
  readonly outcome: Observation['outcome'];
  readonly reason: string;
  readonly detail: string;
  readonly phases: Phases;
  readonly certificateDays?: number;
  /** Where it is `limited`: for how long the other end asked to be left alone, if it did. */
  readonly retryAfterMs?: number;
  /** How TLS came about; absent where none did. */
  readonly handshake?: Handshake;
}

/** What a zone at a provider says about itself. */
export interface ZoneFacts {
  readonly zone: Name;
  /** Host names or `ADDRESS[:PORT]` of its authoritative servers at this provider. */
  readonly nameServers: readonly string[];
  /** The least TTL in seconds that the vendor takes for this zone; null when it sets none. */
  readonly ttlMin: number | null;
  /** What an operator should know before trusting this zone, one sentence each. */
  readonly warnings: readonly string[];
}

/** How a stale writer is stopped, from strong to none. */
export type Fence = 'transaction' | 'inferred' | 'weak' | 'none';

/** What a vendor's API can promise; providers/README.md is generated from these. */
export interface Capabilities {
  readonly type: string;
  readonly title: string;
  readonly fence: { readonly kind: Fence; readonly note: string };
  /** CNAME and marker change together or not at all. */
  readonly atomic: boolean;
  /** It heeds Change.settle: where many wait, their CNAMEs go first and their markers after. */
  readonly settlesLater?: boolean;
  /** Records that one reading takes, and really reads where the zones allow it; at least 1. */
  readonly readMax: number;
  /** Changes that one writing takes; at least 1. */
  readonly writeMax: number;
  /**
   * What one record of many costs until it gives its new answer, where the vendor takes no batches:
   * calls, the writes among them, and for how long, in ms, no other one of its zone can be written.
   */
  readonly eachRecord?: {
    readonly calls: number;
    readonly writes: number;
    readonly zoneMs?: number;
  };
  /** API calls that one reading or one writing makes at most. */
  readonly callsMax: number;
  readonly quota: { readonly burst: number; readonly perSecond: number; readonly reserve: number };
  /** What a query costs there by its public price list, at the first tier; absent: none is known. */
  readonly queryPrice?: { readonly usdPerMillion: number; readonly source: string };
  /** The least permissions it needs, in the vendor's own words. */
  readonly permissions: readonly { readonly permission: string; readonly note: string | null }[];
  /** Where the vendor answers by the asker's network: what its default line is called. */
  readonly lines?: { readonly default: string };
  /** Whether and how NS sets can be changed there, for `detour evict`; absent: not at all. */
  readonly delegation?: {
    /** Of its own zones, too; else of the zones that they delegate alone. */
    readonly apex: boolean;
    /** How a stale writer is stopped, and what the vendor does not let anybody change. */
    readonly note: string;
    /** What it needs beyond `permissions`. */
    readonly permissions: readonly string[];
  };
  /** What it never touches, by the word that a reading gives for it. */
  readonly refuses: readonly { readonly word: RefusalWord; readonly note: string | null }[];
}

/** What an account shows itself with, and what that leans on. Never the key itself. */
export interface KeyFacts {
  /** `static`, `session-token`, `assume-role`, `web-identity` and so on: the word of its settings. */
  readonly kind: string;
  /** Hosts that must answer before it can be used or renewed; empty: requests are signed here. */
  readonly needs: readonly string[];
  /** When what is held now runs out, in ms since 1970; null: never, or nothing is held yet. */
  readonly untilAt: number | null;
  /** Why it could not be renewed last; null: it could, or had no need. Safe to show. */
  readonly why: string | null;
  /**
   * For how long it goes on, at worst, from when those hosts answer no more, in ms; null: for ever,
   * or nothing is held yet.
   */
  readonly lastsMs?: number | null;
  /** Renewals that failed since it was opened. */
  readonly failures?: number;
}

/** What tells when something held runs out, and wakes whoever renews it before. */
export interface KeyClock {
  /** Milliseconds since 1970. */
  wall(): number;
  /** Calls `then` after so many milliseconds, unless what it returns is called first. */
  after(ms: number, then: () => void): () => void;
  /** From 0 to 1, anew each time. */
  chance(): number;
}

/** What a preflight found, and how far that reaches. */
export type ReachingFinding = Finding & { readonly reach: Reach };

/**
 * One account at a DNS vendor. Methods are safe to call at any time, hold no state that decides
 * anything, end within the signal, and never retry a write by themselves.
 */
export interface Provider {
  readonly name: string;
  readonly capabilities: Capabilities;
  /** API calls sent since it was opened, whatever became of them: what the quota is charged with. */
  readonly calls: number;
  /** The zone that holds a name: found once, remembered. Reads only. */
  zone(name: Name, signal: AbortSignal): Promise<Result<ZoneFacts>>;
  /**
   * What stands at each record's name and at its marker's name, by the API: one answer for each name
   * that was asked for. A record that is not there is a Seen with no cname. A fault reaches as far as
   * it is known to and no further: what a vendor says of one zone is that zone's. `not-asked` is what
   * one reading had no room for; at least one name is always answered or has a fault. A reading may
   * be ended at any time by its signal, and changes nothing.
   */
  read(names: readonly Name[], signal: AbortSignal): Promise<Readonly<Record<Name, Answer<Seen>>>>;
  /**
   * Makes each change if what was read (`from`) still stands, in place, CNAME and marker together
   * as far as the vendor allows; one answer a change, in order; `not-asked` is what was surely never
   * sent. Before: `www CNAME a.`, marker 4.
   * Input: to = b., marker 5. After: `www CNAME b.`, marker 5; or, on `conflict`, untouched. The
   * CNAME is left alone when it already is what is wanted. Never deletes a CNAME, never writes an
   * empty set.
   */
  write(changes: readonly Change[], signal: AbortSignal): Promise<readonly Answer<null>[]>;
  /**
   * Looks whether this account could be written for a record's zone right now: credentials (with a
   * write that changes nothing, where the vendor has one), permissions, the zone's state, the
   * vendor's own locks. `lines` are those the record is to stand on, the default one first; absent:
   * that one alone. Every thing looked at is one finding that says how far it reaches; never rejects.
   */
  preflight(
    record: Name,
    signal: AbortSignal,
    lines?: readonly string[],
  ): Promise<readonly ReachingFinding[]>;
  /** How things stand with its key; asks nobody. */
  key?(): KeyFacts;
  /** NS sets, by a person's order alone; absent: this vendor lets nobody change them. */
  readonly delegation?: DelegationHands;
  close(): void;
}

/**
 * NS sets of an account's zones, each with the marker beside it. Nothing else is ever touched: no
 * address of a name server, no DS, no other set. Methods end within the signal and never reject.
 */
export interface DelegationHands {
  /** What stands there by the API; a fault where it cannot be changed there at all. */
  read(place: NsPlace, signal: AbortSignal): Promise<Result<NsSeen>>;
  /**
   * Makes the change if what was read still stands there, set and marker together as far as the
   * vendor allows; on `conflict` nothing is changed. Never writes an empty set.
   */
  write(change: NsChange, signal: AbortSignal): Promise<Result<null>>;
}

/** An address of a host; `family` is 4 or 6. */
export interface HostAddress {
  readonly address: string;
  readonly family: number;
}

export type Located =
  | {
      readonly kind: 'addresses';
      /** At least one; IPv4 before IPv6. */
      readonly addresses: readonly HostAddress[];
      /** Seconds, the least of all records on the way; 0 where no server was asked. */
      readonly ttlSeconds: number;
    }
  /** The name's own trouble: whoever asks for it gets the same. */
  | { readonly kind: 'none'; readonly detail: string }
  /** Nobody could say; `code` where the system's word for it is this machine's own trouble. */
  | { readonly kind: 'unknown'; readonly detail: string; readonly code: string | null };

/** Where hosts are. A name whose servers are silent makes nobody wait who asks for another. */
export interface Lookup {
  /** What is known without asking: an address, a name of the hosts file, an answer of just now. */
  known(host: string): Located | null;
  /**
   * All addresses of a host. Whoever asks for the same name meanwhile shares the asking; it ends
   * when the last of them has left by its signal, or after 5 s. Never rejects.
   */
  find(host: string, signal?: AbortSignal): Promise<Located>;
  /** Whether other names were answered while this one, being asked for, is not. */
  othersAnswered(host: string): boolean;
  /** For agents, sockets and clients that take a function like Node's `dns.lookup`. */
  readonly lookup: LookupFunction;
}

/** What an adapter is given by the one place that builds everything. */
export interface AdapterContext {
  /** The secret behind a reference. Throws SecretError, whose message is safe to show. */
  secret(ref: SecretRef): string;
  /**
   * The same, as it stands now: for what is read each time it is used. An account is made anew when
   * what `secret` gave has changed, and not for this. Throws SecretError.
   */
  readonly current?: (ref: SecretRef) => string;
  /** How names are looked up; undefined: as this machine has it. */
  readonly lookup?: Lookup | undefined;
  /** Limit of one call to a vendor, in milliseconds. */
  readonly callTimeoutMs: number;
  /** For keys that run out; undefined: this process's own. */
  readonly clock?: KeyClock | undefined;
}

/** One record that a person moves by hand, with nothing of Detour running. */
export interface ByHand {
  readonly record: Name;
  readonly cname: Name;
  /** Seconds. */
  readonly ttl: number;
  /** All that it stands on, the vendor's default one first; absent: that one alone. */
  readonly lines?: readonly string[];
}

/** One step of it, for paper. A command never holds a secret: it says where the secret lies. */
export interface HandStep {
  /** What to do, as one sentence. */
  readonly text: string;
  /** Lines for a POSIX shell that do the same; absent where there are none. */
  readonly shell?: string;
}

/**
 * One row of the table of providers: `settings` reads the provider's part of the configuration
 * (everything but `type`), `create` makes the account. One more vendor is one more file and row.
 */
export interface ProviderType<Settings> {
  readonly type: string;
  /** The cloud that runs it, as configurations name clouds: `aliyun`, `aws`; absent: none known. */
  readonly cloud?: string;
  readonly capabilities: Capabilities;
  readonly settings: z.ZodType<Settings>;
  /**
   * Where the provider is a server of the user's own: `HOST` or `HOST:PORT` of it as a name server.
   * It is judged by what it gives itself, unless the configuration names others; the zone's whole NS
   * set may be other providers', too.
   */
  ownServers?(settings: Settings): readonly string[];
  /**
   * How a person moves a record there with the vendor's own console and tools: for `break-glass`,
   * which is printed before the day it is needed. Asks nobody; a package may leave it out.
   */
  byHand?(settings: Settings, move: ByHand): readonly HandStep[];
  /** Opens nothing yet. Throws only SecretError. */
  create(name: string, settings: Settings, context: AdapterContext): Provider;
}

/** How a probe leaves this machine. Every fault of the path itself is `blind`, never `fail`. */
export type PathSpec = {
  readonly name: string;
  /** DNS servers (`ADDRESS[:PORT]`) that resolve an origin's name on this path; null: the system's. */
  readonly resolver: readonly string[] | null;
} & (
  | { readonly kind: 'direct'; readonly localAddress: string | null }
  /** CONNECT through an HTTP(S) proxy, `http://proxy:3128`; credentials `user:password`. */
  | {
      readonly kind: 'proxy';
      readonly url: string;
      readonly credentials: SecretRef | null;
      /** Path of a PEM bundle that vouches for the proxy; absent: the well-known roots. */
      readonly ca?: string;
    }
  /** SOCKS5 with remote name resolution, `socks5://host:1080`; credentials `user:password`. */
  | { readonly kind: 'socks5'; readonly url: string; readonly credentials: SecretRef | null }
  /** A Prometheus blackbox_exporter elsewhere, which probes in our place. */
  | {
      readonly kind: 'blackbox';
      readonly url: string;
      readonly module: string;
      /** `user:password` that the exporter wants (RFC 7617); absent: none. */
      readonly credentials?: SecretRef;
      /** Path of a PEM bundle that vouches for the exporter; absent: the well-known roots. */
      readonly ca?: string;
    }
);

/**
 * One row of the table of checks: `key` is the word in the configuration (`http`, `tcp`),
 * `settings` reads what stands beside the cadence, `create` makes the function that asks once.
 */
export interface CheckType<Settings> {
  readonly key: string;
  readonly settings: z.ZodType<Settings>;
  /** The same question, wanting an answer that nobody gives: shows that the check can fail. */
  impossible(settings: Settings): Settings;
  /**
   * Why a path cannot carry this question, as one sentence with its cure; null: it can. A check that
   * does not leave by the path that it is given must say so here: what it saw would count as that
   * path's. Without settings, what no settings could change.
   */
  pathProblem(path: PathSpec, settings: Settings | undefined): string | null;
  /**
   * True where somebody else than the origin is asked: it says nothing of what a path can see, costs
   * the origin nothing, and is no reference point.
   */
  readonly aside?: boolean;
  /** Where others push to it, as `POST /push/NAME` at `listen`: that name, which is one check's. */
  pushedAs?(settings: Settings): string;
  create(
    settings: Settings,
    path: PathSpec,
    timeoutMs: number,
    context: Pick<AdapterContext, 'secret' | 'lookup'>,
  ): {
    /** Asks once. `routine`: nothing is in doubt; only then may it rest on an earlier one. */
    ask(signal: AbortSignal, routine?: boolean): Promise<ProbeResult>;
    close(): void;
  };
}

/** A notice as a channel tells it. */
export interface Told extends Notice {
  /** Of this one telling: the same however often it is tried. */
  readonly id: string;
  /** Its key among those of all clusters and, of what a replica says of itself, of all replicas. */
  readonly dedup: string;
  readonly cluster: string;
  /** The record as people write it, without the last dot; absent: as `record` has it. */
  readonly shown?: string;
  /** When it was noticed, ISO 8601 in UTC: `2026-01-02T03:04:05.000Z`. */
  readonly time: string;
  /** When what is open began, in the same form; of anything else, `time`. */
  readonly since: string;
  /** What to type to see why. */
  readonly explain: string;
  /** The same at the control API; null: it is not configured. */
  readonly link: string | null;
  /** Pages where the decision that waits can be let go or not; null: there are none. */
  readonly approve: string | null;
  readonly reject: string | null;
}

/** One channel to people. */
export interface Notifier<N extends Notice = Notice> {
  /**
   * Tells somebody, within the signal; rejects when it could not. A channel that groups what it is
   * told goes by the notice's key: what is `open` under it wants somebody until it is `closed`.
   */
  notify(notice: N, signal: AbortSignal): Promise<void>;
  /**
   * Where whoever is told forgets by itself: what is open, again, once at the start and then every
   * `refreshMs`. Rejects when it could not be said.
   */
  refresh?(open: readonly N[], signal: AbortSignal): Promise<void>;
  readonly refreshMs?: number;
}

/**
 * One row of the table of notifiers: `key` is the word under `notify:` that chooses it, `settings`
 * reads all that stands there, that word among it, `create` makes the channel.
 */
export interface NotifierType<Settings> {
  readonly key: string;
  readonly settings: z.ZodType<Settings>;
  /** Opens nothing yet. Throws only SecretError. */
  create(settings: Settings, context: NotifierContext): Notifier<Told>;
}

/** What a channel is given; `wall` is the wall clock in milliseconds since 1970. */
export interface NotifierContext extends Pick<AdapterContext, 'secret' | 'lookup'> {
  readonly wall: () => number;
}

/**
 * What a package exports as its default, so that a configuration may name it: `npm:NAME` as the
 * `type` of a provider, or in the place of the word of a check or a notifier. Settings of these two
 * leave that word out: `"npm:NAME": { … }` gives them what stands in the braces.
 */
export interface Extension {
  /** The version of this door that the package was written for: the number, written out. */
  readonly contract: 1;
  readonly provider?: ProviderType<unknown>;
  readonly check?: CheckType<unknown>;
  readonly notifier?: NotifierType<unknown>;
}
