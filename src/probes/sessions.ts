// TLS sessions of one check by one path, so that a probe that is asked by the clock, of what is
// plainly well, need not pay for a whole handshake. A session that was resumed proves that the
// other end holds the secret of the handshake before it; it proves nothing of the certificate that
// is served today. So a handshake is whole at least every 30 seconds, and at every doubt: the
// first after a start or a reload, after a probe that did not pass, to confirm, and for a
// decision. What has expired or was swapped at the origin is therefore seen 30 seconds later than
// without it, at most.
//
// It must never offer a session to somebody else than it was made with (address, name, protocols,
// what is trusted, who we say we are), never outlive the certificate that was verified, and never
// let what is wrong with resuming count against an origin: what fails with a session is asked
// without one.

import type { SecureContext } from 'node:tls';
import type { ProbeResult } from '../kit/extend.ts';

/** Whom a session is with. */
export interface Partner {
  /** `ADDRESS:PORT` of the other end. */
  readonly address: string;
  /** Sent as SNI and verified. */
  readonly name: string;
  readonly alpn: readonly string[];
  /** What is trusted, and who we say we are: another one once the files are. */
  readonly context: SecureContext;
}

/** The newest session that the other end has given; null: none yet. */
export interface Given {
  session: Buffer | null;
}

/** What a handshake has brought. */
interface Kept {
  readonly partner: Partner;
  /** By `performance.now()`, when the last whole one was begun. */
  readonly wholeAt: number;
  /** When the chain that was verified then ends, in milliseconds since 1970. */
  readonly endsAt: number;
  readonly given: Given;
}

/** A session that may be offered, and what was verified when it was made. */
export interface Offer extends Kept {
  readonly session: Buffer;
}

/** A handshake is whole at least so often. */
const wholeEveryMs = 30_000;
/** Whoever cannot be resumed with is left alone for so long. */
const restMs = 600_000;

/** What one probe may do with them. */
export interface Use {
  readonly sessions: Sessions;
  readonly mayResume: boolean;
}

/** Times of `performance.now()` and of the wall are passed in, so that nothing here has a clock. */
export class Sessions {
  #kept: Kept | null = null;
  #hasPassed = false;
  #restUntil = Number.NEGATIVE_INFINITY;

  /** Asks once. `isRoutine`: by the clock, of what is plainly up. */
  async ask(isRoutine: boolean, go: (use: Use) => Promise<ProbeResult>): Promise<ProbeResult> {
    const mayResume = isRoutine && this.#hasPassed;
    // Until it has ended well, the next one has no reason to be short.
    this.#hasPassed = false;
    const result = await go({ sessions: this, mayResume });
    this.#hasPassed = result.outcome === 'pass';
    // Some servers take a session and refuse what is asked over it.
    if (result.handshake === 'resumed' && result.outcome === 'fail') this.rest(performance.now());
    return result;
  }

  /** null: the handshake has to be whole. */
  offer(partner: Partner, now: number, wall: number): Offer | null {
    const kept = this.#kept;
    const session = kept?.given.session ?? null;
    if (kept === null || session === null || now < this.#restUntil) return null;
    if (now - kept.wholeAt >= wholeEveryMs || wall >= kept.endsAt) return null;
    return isSame(kept.partner, partner) ? { ...kept, session } : null;
  }

  /** A handshake has succeeded. With TLS 1.3 a session is given later, once something is read. */
  keep(kept: Kept): void {
    this.#kept = Number.isFinite(kept.endsAt) ? kept : null;
  }

  /** A handshake failed with a session: it is not tried again for a while. */
  rest(now: number): void {
    this.#kept = null;
    this.#restUntil = now + restMs;
  }
}

function isSame(a: Partner, b: Partner): boolean {
  return (
    a.context === b.context &&
    a.address === b.address &&
    a.name === b.name &&
    a.alpn.join() === b.alpn.join()
  );
}
