// What a token service gave, held for as long as it is good: renewed in the background long before
// its end, so that nothing waits for a token service while something good is held, and an hour in
// which it is dead costs nothing. It must never let go of what is still good because a renewal
// failed or a vendor refused it, never ask twice at a time, and never let the token service's
// trouble pass for the vendor's: each fault of it begins with `credentials:`.

import { randomInt } from 'node:crypto';
import type { z } from 'zod';
import type { FaultKind } from '../../src/core/model.ts';
import type { KeyClock, KeyFacts } from '../../src/kit/extend.ts';
import type { SecretRef } from '../../src/kit/schema.ts';
import { SecretError } from '../../src/kit/secret.ts';
import { type Called, done, exchange, failed, type Scope, type Trouble } from './fault.ts';

/** What requests are signed with: one and the same for ever, or held. */
export interface Keys<K> {
  /** At once where something good is held; else after one asking, within the signal. */
  get(signal: AbortSignal): Promise<Called<K>>;
  /** The vendor has refused them: asks for new ones soon, and goes on with these until then. */
  refused(): void;
  facts(): KeyFacts;
  /** What must not be shown, of all that is used now. */
  secrets(): readonly string[];
  close(): void;
}

/** What one asking gave. */
export interface Given<K> {
  readonly keys: K;
  /** When it ends, in milliseconds since 1970; null: it does not say, and is looked at often. */
  readonly untilAt: number | null;
}

export interface HeldOptions<K> {
  /** The word of its settings: `assume-role`, `web-identity` and so on. */
  readonly kind: string;
  /** Who gives, in its faults: `sts` makes `credentials: sts: …`. */
  readonly from: string;
  /** What is asked, for people: `AssumeRole of arn:…`. */
  readonly doing: string;
  /** Hosts that must answer for that. */
  readonly needs: readonly string[];
  /** Limit of one asking, its two short repeats included, in milliseconds. */
  readonly timeoutMs: number;
  /** Asks once, within the signal; rejects with whatever went wrong. Reads its secrets each time. */
  ask(signal: AbortSignal): Promise<Given<K>>;
  /** The token service's own errors, by code or status; null leaves it to the network's. */
  explain(error: unknown): Trouble | null;
  /** What must not be shown: of the keys, or with null of what they are asked for with. */
  secretsOf(keys: K | null): readonly string[];
  /** Called once it is closed. */
  readonly closed?: () => void;
  /** This process's own unless given. */
  readonly clock?: KeyClock | undefined;
}

const ownClock: KeyClock = {
  wall: () => Date.now(),
  chance: () => randomInt(2 ** 32) / 2 ** 32,
  after(ms, then) {
    const timer = setTimeout(then, ms).unref();
    return () => clearTimeout(timer);
  },
};

/** The part of its life after which it is renewed, at the latest after so long. */
const RENEW_AT = 0.5;
const RENEW_MOST_MS = 3_600_000;
/** Part of that by which it may come sooner or later: a fleet must not ask all at once. */
const JITTER = 0.1;
/** What says no end is asked for again so often: a file, in most cases. */
const ENDLESS_MS = 60_000;
/** Pauses between askings that failed: doubling from the first to the most. */
const PAUSE_MS = 1000;
const PAUSE_MOST_MS = { held: 60_000, empty: 5000, refused: 30_000 };
/** After a vendor's refusal it is asked for again, at most this often. */
const REFUSED_MS = 30_000;

interface Holding<K> extends Given<K> {
  readonly sinceAt: number;
  /** For how long it still lasts, at worst, when a renewal fails: milliseconds; null: for ever. */
  readonly lastsMs: number | null;
}

export class HeldKeys<K> implements Keys<K> {
  readonly #options: HeldOptions<K>;
  readonly #clock: KeyClock;
  readonly #closing = new AbortController();
  #holding: Holding<K> | null = null;
  #asking: Promise<Called<K>> | null = null;
  /** The last asking, if it failed, and how many in a row did. */
  #trouble: ({ readonly ok: false } & Trouble) | null = null;
  #row = 0;
  #failures = 0;
  #cancel = () => {};
  #dueAt = Number.POSITIVE_INFINITY;

  /** Asks nobody yet. */
  constructor(options: HeldOptions<K>) {
    this.#options = options;
    this.#clock = options.clock ?? ownClock;
  }

  async get(signal: AbortSignal): Promise<Called<K>> {
    const good = this.#good();
    if (good !== null) {
      // A process that stood still has missed its alarm.
      if (this.#clock.wall() >= this.#dueAt) void this.#renew();
      return done(good.keys);
    }
    // What failed just now is asked for again after a pause, whoever waits for it.
    if (this.#trouble !== null && this.#asking === null) return this.#trouble;
    const { doing } = this.#options;
    // The asking ends within its own limit, and says better why.
    const timeoutMs = 2 * this.#options.timeoutMs;
    const waiting = { doing, write: false, signal, timeoutMs, explain: () => null };
    const waited = await exchange(waiting, () => this.#renew());
    // Called off by who asked, it says nothing of the account.
    return waited.ok
      ? waited.value
      : this.#troubleFrom(waited, signal.aborted ? 'zone' : 'account');
  }

  refused(): void {
    const since = this.#clock.wall() - (this.#holding?.sinceAt ?? Number.POSITIVE_INFINITY);
    if (this.#trouble === null && since >= REFUSED_MS) void this.#renew();
  }

  facts(): KeyFacts {
    const { kind } = this.#options;
    const { untilAt = null, lastsMs = null } = this.#holding ?? {};
    // What is held without an end came out of a file.
    const needs = this.#holding !== null && untilAt === null ? [] : this.#options.needs;
    const why = this.#trouble?.fault.detail ?? null;
    return { kind, needs, untilAt, why, lastsMs, failures: this.#failures };
  }

  secrets(): readonly string[] {
    const { secretsOf } = this.#options;
    const held = this.#holding === null ? [] : secretsOf(this.#holding.keys);
    return [...secretsOf(null), ...held];
  }

  close(): void {
    this.#cancel();
    this.#closing.abort();
    this.#options.closed?.();
  }

  #good(): Holding<K> | null {
    const holding = this.#holding;
    const isGood = holding !== null && !hasEnded(holding, this.#clock.wall());
    return isGood ? holding : null;
  }

  /** One asking, or the one under way. Never rejects. */
  #renew(): Promise<Called<K>> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #ask(): Promise<Called<K>> {
    this.#cancel();
    const { doing, timeoutMs, ask, secretsOf } = this.#options;
    const { signal } = this.#closing;
    const sinceAt = this.#clock.wall();
    const explain = (error: unknown): Trouble | null => {
      if (!(error instanceof SecretError)) return this.#options.explain(error);
      return failed('account', 'auth-suspect', error.message);
    };
    const asked = { doing, write: false, signal, timeoutMs, explain };
    const answer = await exchange(asked, (stop) => ask(stop));
    if (!answer.ok) return this.#failed(this.#troubleFrom(answer));
    const { keys, untilAt } = answer.value;
    if (secretsOf(keys).some((secret) => secret === '')) {
      // An SDK that is given none would send requests without a signature.
      const trouble = failed('account', 'unavailable', `${doing}: an empty key was given`);
      return this.#failed(this.#troubleFrom(trouble));
    }
    if (hasEnded(answer.value, this.#clock.wall())) {
      const detail = `${doing}: what was given has ended already`;
      const cure = "check this machine's clock";
      return this.#failed(this.#troubleFrom(failed('account', 'auth-suspect', detail, { cure })));
    }
    this.#trouble = null;
    this.#row = 0;
    const lifeMs = untilAt === null ? null : untilAt - sinceAt;
    const usualMs = lifeMs === null ? ENDLESS_MS : Math.min(lifeMs * RENEW_AT, RENEW_MOST_MS);
    const lastsMs = lifeMs === null ? null : Math.round(lifeMs - usualMs * (1 + JITTER));
    this.#holding = { keys, untilAt, sinceAt, lastsMs };
    this.#wake(usualMs * (1 - JITTER + 2 * JITTER * this.#clock.chance()));
    return done(keys);
  }

  #failed(trouble: { readonly ok: false } & Trouble): Called<K> {
    // Called off by our own end.
    if (this.#closing.signal.aborted) return trouble;
    this.#trouble = trouble;
    this.#failures++;
    const { fault } = trouble;
    const good = this.#good();
    const how = good !== null ? 'held' : fault.kind === 'auth-suspect' ? 'refused' : 'empty';
    const pauseMs = Math.min(PAUSE_MS * 2 ** Math.min(this.#row++, 10), PAUSE_MOST_MS[how]);
    const leftMs = (good?.untilAt ?? Number.POSITIVE_INFINITY) - this.#clock.wall();
    const atLeast = Math.max(
      pauseMs * (1 - JITTER * this.#clock.chance()),
      fault.retryAfterMs ?? 0,
    );
    // At its very end it is asked for once more, whatever the pause.
    this.#wake(Math.min(atLeast, Math.max(leftMs, PAUSE_MS)));
    return trouble;
  }

  #wake(ms: number): void {
    this.#cancel();
    if (this.#closing.signal.aborted) return;
    this.#dueAt = this.#clock.wall() + ms;
    this.#cancel = this.#clock.after(ms, () => void this.#renew());
  }

  /** Nothing was asked of the vendor: it has refused nothing, and nothing is uncertain. */
  #troubleFrom({ fault }: Trouble, scope: Scope = 'account'): { readonly ok: false } & Trouble {
    const { kind, detail, cure, retryAfterMs } = fault;
    const refusals: readonly FaultKind[] = ['auth-suspect', 'rejected', 'conflict'];
    const as = refusals.includes(kind) ? 'auth-suspect' : 'unavailable';
    const more = { ...(cure === undefined ? {} : { cure }), retryAfterMs };
    return failed(scope, as, `credentials: ${this.#options.from}: ${detail}`, more);
  }
}

function hasEnded({ untilAt }: Given<unknown>, wall: number): boolean {
  return untilAt !== null && wall >= untilAt;
}

/** Keys that are given once: they say themselves when they end, or nobody knows. */
export function fixedKeys<K>(
  kind: string,
  { keys, untilAt }: Given<K>,
  secrets: readonly string[],
): Keys<K> {
  return {
    get: async () => done(keys),
    refused() {},
    facts: () => ({ kind, needs: [], untilAt, why: null }),
    secrets: () => secrets,
    close() {},
  };
}

/** A secret that is JSON. Throws SecretError, which says the `form` and never the text. */
export function jsonSecret<T>(
  ref: SecretRef,
  secret: (ref: SecretRef) => string,
  shape: z.ZodType<T>,
  form: string,
): T {
  const text = secret(ref);
  const [[kind = '', name = ''] = []] = Object.entries(ref);
  const at = `${kind === 'env' ? 'environment variable' : kind} ${name}`;
  const how = 'write it so, readable for the user the daemon runs as only';
  const wrong = new SecretError(`${at}: expected ${form}; ${how}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which is the secret.
    throw wrong;
  }
  const read = shape.safeParse(value);
  if (!read.success) throw wrong;
  return read.data;
}
