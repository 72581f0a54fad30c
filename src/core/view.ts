// What the state looks like from outside: one plain document for the status command, the API, the
// status page and the metrics. Derived on request, never stored, never read back by a decision.

import type { Health, Name, Observation, Pin, Verdict } from './model.ts';

/** Where one provider is with the record's current target. */
export type Stage =
  /** Nothing has been read yet. */
  | 'unread'
  /** Decided; this provider still gives something else. */
  | 'decided'
  /** The vendor took the change. */
  | 'written'
  /** Every authoritative server of the provider gives it. */
  | 'visible'
  /** Behind after the switch has ended; converging on its own. */
  | 'lagging'
  /** Somebody else's value stands there. */
  | 'diverged'
  /** Observed only, or refused: never written. */
  | 'untouched';

export type LaneStateWord =
  | 'ok'
  | 'throttled'
  | 'stuck'
  | 'auth-suspect'
  | 'rejected'
  | 'lagging'
  | 'diverged';

export interface ProviderView {
  readonly provider: string;
  readonly stage: Stage;
  /** What DNS or the API last gave; null when nothing stands there, undefined when unknown. */
  readonly cname?: Name | null;
  readonly ttl?: number;
  readonly epoch?: number;
  readonly seenAt: number | null;
  readonly seenBy: 'api' | 'dns' | null;
  /** Authoritative servers that give the wanted answer, of those asked. */
  readonly serversRight: number;
  readonly serversAsked: number;
  /** Milliseconds from the decision; null while it has not happened. */
  readonly writtenAfterMs: number | null;
  readonly visibleAfterMs: number | null;
  /** Why it is not in step, with the cure. */
  readonly problem: string | null;
}

export interface TargetView {
  readonly origin: string;
  readonly cname: Name;
  readonly health: Health;
  readonly drained: boolean;
  readonly sinceAt: number;
}

export interface RecordView {
  readonly name: Name;
  readonly mode: 'observe' | 'steer';
  /** The target in force; null before adoption. */
  readonly target: string | null;
  readonly cname: Name | null;
  /** In force but no longer configured. */
  readonly retired: boolean;
  readonly epoch: number;
  readonly switchId: string | null;
  readonly switchKind: 'auto' | 'operator' | null;
  readonly decidedAt: number | null;
  /** A switch is under way: decided, and neither visible everywhere nor given up on. */
  readonly switching: boolean;
  readonly pin: Pin | null;
  /** Why it stays: a closed word, and the sentence for people. */
  readonly stay: { readonly reason: string; readonly sentence: string };
  /** When a move away from a down target could help clients at the earliest; null if none is due. */
  readonly earliestBenefitAt: number | null;
  readonly targets: readonly TargetView[];
  readonly budget: { readonly used: number; readonly limit: number; readonly spent: boolean };
  readonly providers: readonly ProviderView[];
}

export interface CheckView {
  readonly id: string;
  readonly path: string;
  readonly verdict: Verdict;
  readonly fails: number;
  readonly passes: number;
  readonly sinceAt: number;
  readonly advisory: boolean;
  readonly last: Observation | null;
  /** It has been seen to fail at least once since the daemon's first start. */
  readonly everFailed: boolean;
}

export interface OriginView {
  readonly name: string;
  readonly cloud: string;
  readonly region: string | null;
  readonly health: Health;
  readonly sinceAt: number;
  readonly drained: boolean;
  readonly checks: readonly CheckView[];
}

export interface LaneView {
  readonly provider: string;
  readonly type: string;
  readonly state: LaneStateWord;
  readonly sinceAt: number;
  readonly detail: string | null;
  readonly retryAt: number | null;
  readonly pending: number;
}

export interface StatusView {
  readonly cluster: string;
  readonly version: string;
  /** Engine time and wall clock of this view: `wall - at` turns an `...At` into a date. */
  readonly at: number;
  readonly wall: number;
  readonly ready: { readonly ok: boolean; readonly reasons: readonly string[] };
  readonly freeze: {
    readonly reason: string;
    readonly by: string;
    readonly sinceAt: number;
  } | null;
  readonly drains: readonly {
    readonly what: string;
    readonly reason: string;
    readonly by: string;
    readonly sinceAt: number;
  }[];
  readonly records: readonly RecordView[];
  readonly origins: readonly OriginView[];
  readonly lanes: readonly LaneView[];
  /** Answer of the last reload, or null. */
  readonly reload: { readonly ok: boolean; readonly at: number; readonly errors: number } | null;
}
