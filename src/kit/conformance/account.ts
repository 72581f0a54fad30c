// What the conformance suite is given of a vendor: types only. Whoever writes a provider makes one
// `Account` over a fake of the vendor, or over a real server of their own. Nothing here is imported
// by anything but tests.

import type { Name } from '../../core/model.ts';
import type { Capabilities, Provider } from '../extend.ts';

/**
 * The ways to break a vendor, and what a reading must then say; a write may be `uncertain` besides.
 * `hang` takes the request and never answers; `refuse` takes no connection; `reset` cuts each one;
 * `error` is the vendor's own failure, `html` a proxy's page in its place; `throttle` and `block`
 * are its refusals of too many calls; `auth` refuses the keys.
 */
export const troubles = {
  hang: 'unavailable',
  refuse: 'unavailable',
  reset: 'unavailable',
  error: 'unavailable',
  html: 'unavailable',
  throttle: 'throttled',
  block: 'throttled',
  auth: 'auth-suspect',
} as const;

/**
 * `lost-reply` applies the next write, loses its answer and heals; `stale-read` reads what stood
 * before the last write.
 */
export type Trouble = keyof typeof troubles | 'lost-reply' | 'stale-read';

/** One account at a vendor. What needs something that is `null` or empty is skipped by name. */
export interface Account {
  /** A zone of the account, with its trailing dot. The suite makes names of its own in it. */
  readonly zone: Name;
  /** What no fault may ever show. */
  readonly secrets: readonly string[];
  /**
   * The account once more, as another process would open it: with this limit of one call (5,000 ms
   * unless given), or with a key that the vendor refuses. Opens nothing yet.
   */
  open(options?: { readonly callTimeoutMs?: number; readonly wrongKey?: boolean }): Provider;
  /**
   * A person at the vendor's console: these values in the place of all that the name has of the
   * type, in place where one value replaces another; none removes them. Before: `www CNAME a.`
   * Input: `edit('www.…', 'CNAME', ['b.'], 300)`. After: `www 300 CNAME b.` The vendor's API has
   * it when this resolves. Texts are without quotes.
   */
  edit(
    name: Name,
    type: 'CNAME' | 'TXT' | 'A',
    values: readonly string[],
    ttl: number,
  ): Promise<void>;
  /**
   * What stands there, and not by the provider: one list of values for each of the vendor's name
   * servers, or one list of what the fake holds. A name that does not exist has no values. Texts
   * are without quotes, names in lower case with their trailing dot.
   */
  look(name: Name, type: 'CNAME' | 'TXT'): Promise<readonly (readonly string[])[]>;
  /** API calls that have arrived from all its providers since the start; null: nobody counts. */
  readonly requests: (() => number) | null;
  /** In which ways `fault` can break all of the vendor. */
  readonly faults: readonly Trouble[];
  /** Breaks it; null heals. Holds until then, but for `lost-reply`. */
  fault(how: Trouble | null): Promise<void>;
  /** Records that only this vendor knows and Detour must leave alone. */
  readonly oddities: readonly Oddity[];
  readonly secondZone: SecondZone | null;
  /** Of a vendor that has lines, beside the default one; absent: its lines are not shown. */
  readonly lines?: AccountLines;
  close(): Promise<void>;
}

export interface Oddity {
  /** The word of the refusal it must be read with, such as `proxied`. */
  readonly word: string;
  readonly what: string;
  /** Makes one at a name that nobody uses. */
  make(name: Name): void | Promise<void>;
}

/** Lines of a vendor: answers by the asker's network. */
interface AccountLines {
  /** Two at least, as the vendor spells them. */
  readonly others: readonly string[];
  /** A person at the console: this CNAME on one line, in place where one stands; null removes it. */
  edit(name: Name, line: string, cname: Name | null, ttl: number): Promise<void>;
  /** The CNAME that askers of a line are given: one list for each of the vendor's name servers. */
  look(name: Name, line: string): Promise<readonly (readonly string[])[]>;
}

/** Another zone of the same account, for every provider that `open` makes. */
export interface SecondZone {
  readonly zone: Name;
  /** In which ways it alone can be sick: `deleted`, `denied`, …; `hang` never answers for it. */
  readonly faults: readonly string[];
  /** Makes it sick; null heals. The first zone feels nothing of it. */
  fault(how: string | null): Promise<void>;
}

/** One account to be held to the suite. */
export interface Candidate {
  /** What it is called where one provider has several servers. */
  readonly title: string;
  readonly capabilities: Capabilities;
  /** Why it cannot be started here; false where it can. */
  readonly skip: string | false;
  /** Starts it fresh, with nothing in its zones but what the vendor puts there. */
  start(): Promise<Account>;
}
