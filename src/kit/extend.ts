// The public door: what a provider, a check or a notifier from outside implements, and what it is
// given. Types only, no code. A method never throws for what the world does: it answers with a value;
// it throws only where it says so here. Changing a shape here breaks other people's packages.

import type { LookupFunction } from 'node:net';
import type { z } from 'zod';
import type { Change, Finding, Name, Observation, Phases, Result, Seen } from '../core/model.ts';
import type { SecretRef } from './schema.ts';

export interface ProbeResult {
  readonly outcome: Observation['outcome'];
  readonly reason: string;
  readonly detail: string;
  readonly phases: Phases;
  readonly certificateDays?: number;
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

/** What a vendor's API can promise; providers/README.md is generated from these. */
export interface Capabilities {
  readonly type: string;
  readonly title: string;
  /** How a stale writer is stopped. */
  readonly fence: 'transaction' | 'inferred' | 'weak' | 'none';
  readonly fenceNote: string;
  /** CNAME and marker change together or not at all. */
  readonly atomic: boolean;
  readonly readMax: number;
  readonly writeMax: number;
  readonly callsMax: number;
  readonly quota: { readonly burst: number; readonly perSecond: number; readonly reserve: number };
  /** The least permissions it needs, in the vendor's own words. */
  readonly permissions: readonly string[];
  readonly refuses: readonly string[];
}

/**
 * One account at a DNS vendor. Methods are safe to call at any time, hold no state that decides
 * anything, end within the signal, and never retry a write by themselves.
 */
export interface Provider {
  readonly name: string;
  readonly capabilities: Capabilities;
  /**
   * API calls sent since it was opened, whatever became of them: what the quota is charged with. A
   * provider that does not say is charged one call for each reading and each writing.
   */
  readonly calls?: number;
  /** The zone that holds a name: found once, remembered. Reads only. */
  zone(name: Name, signal: AbortSignal): Promise<Result<ZoneFacts>>;
  /**
   * What stands at each record's name and at its marker's name, by the API. One fault for the
   * whole reading; a record that is not there is a Seen with no cname.
   */
  read(names: readonly Name[], signal: AbortSignal): Promise<Result<Readonly<Record<Name, Seen>>>>;
  /**
   * Makes each change if what was read (`from`) still stands, in place, CNAME and marker together
   * as far as the vendor allows; one result a change, in order. Before: `www CNAME a.`, marker 4.
   * Input: to = b., marker 5. After: `www CNAME b.`, marker 5; or, on `conflict`, untouched. The
   * CNAME is left alone when it already is what is wanted. Never deletes a CNAME, never writes an
   * empty set.
   */
  write(changes: readonly Change[], signal: AbortSignal): Promise<readonly Result<null>[]>;
  /**
   * Looks whether this account could be written for a record's zone right now: credentials (with a
   * write that changes nothing, where the vendor has one), permissions, the zone's state, the
   * vendor's own locks. Every thing looked at is one finding; never rejects.
   */
  preflight(record: Name, signal: AbortSignal): Promise<readonly Finding[]>;
  close(): void;
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
  /** How names are looked up; undefined: as this machine has it. */
  readonly lookup?: Lookup | undefined;
  /** Limit of one call to a vendor, in milliseconds. */
  readonly callTimeoutMs: number;
}

/**
 * One row of the table of providers: `settings` reads the provider's part of the configuration
 * (everything but `type`), `create` makes the account. One more vendor is one more file and row.
 */
export interface ProviderType<Settings> {
  readonly type: string;
  readonly capabilities: Capabilities;
  readonly settings: z.ZodType<Settings>;
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
  | { readonly kind: 'proxy'; readonly url: string; readonly credentials: SecretRef | null }
  /** SOCKS5 with remote name resolution, `socks5://host:1080`; credentials `user:password`. */
  | { readonly kind: 'socks5'; readonly url: string; readonly credentials: SecretRef | null }
  /** A Prometheus blackbox_exporter elsewhere, which probes in our place. */
  | { readonly kind: 'blackbox'; readonly url: string; readonly module: string }
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
  create(
    settings: Settings,
    path: PathSpec,
    timeoutMs: number,
    context: Pick<AdapterContext, 'secret' | 'lookup'>,
  ): { ask(signal: AbortSignal): Promise<ProbeResult>; close(): void };
}
