// What time it is by others: the dates of the answers that probes read. A certificate that looks
// expired or not yet valid is the origin's fault only if our own clock is right. It must never set
// or correct a time, only say how far ours seems to be off.

import { type Answer, blind } from './words.ts';

/** Hosts whose dates are remembered; the newest stay. */
const hostsMax = 16;
/** Fewer prove nothing: one host may have a wrong clock itself. */
const hostsLeast = 2;
const rememberedMs = 600_000;
/** To read a date costs as much as to read the rest of a head. */
const noteEveryMs = 100;
/** Dates are whole seconds and travel; a clock closer than this is right. */
const rightMs = 300_000;

/** Dates by host. Times of `performance.now()` are passed in, so that nothing here has a clock. */
export class OthersClock {
  readonly #heard = new Map<string, { readonly offMs: number; readonly at: number }>();
  #dueAt = 0;

  /**
   * A host said so in its answer, when ours was `wall`, in milliseconds since 1970. `age`: seconds
   * that a cache on the way has kept the answer.
   */
  note(host: string, date: string | null, age: string | null, wall: number, now: number): void {
    const theirs = Date.parse(date ?? '') + Number(age ?? 0) * 1000;
    if (Number.isNaN(theirs)) return;
    this.#heard.delete(host);
    this.#heard.set(host, { offMs: theirs - wall, at: now });
    const [oldest] = this.#heard.keys();
    if (this.#heard.size > hostsMax && oldest !== undefined) this.#heard.delete(oldest);
  }

  /** Whether another date is worth reading: the many that come tell no more than some. */
  isDue(now: number): boolean {
    if (now < this.#dueAt) return false;
    this.#dueAt = now + noteEveryMs;
    return true;
  }

  /** Milliseconds by which the others are ahead of us (the middle one); null: too few said so. */
  offMs(now: number): number | null {
    const offs = [...this.#heard.values()]
      .filter(({ at }) => now - at < rememberedMs)
      .map(({ offMs }) => offMs)
      .sort((a, b) => a - b);
    return offs.length < hostsLeast ? null : offs[Math.floor((offs.length - 1) / 2)]!;
  }

  /**
   * What a certificate that is out of its time means by our clock; null: the origin's own fault.
   * One that begins later is hardly ever an origin's, so there others have to say that we are right.
   */
  doubt(code: 'CERT_NOT_YET_VALID' | 'CERT_HAS_EXPIRED', who: string, now: number): Answer | null {
    const offMs = this.offMs(now);
    if (offMs !== null && Math.abs(offMs) > rightMs) {
      return blind('clock', `our clock is ${printOff(offMs)} others, so ${who} is not judged`);
    }
    if (offMs !== null || code === 'CERT_HAS_EXPIRED') return null;
    return blind('clock', `the certificate of ${who} is not valid yet, or our clock is behind`);
  }
}

function printOff(offMs: number): string {
  return `${Math.round(Math.abs(offMs) / 60_000)} minutes ${offMs > 0 ? 'behind' : 'ahead of'}`;
}

/** One for all probes of this process, as it has one clock. */
export const othersClock = new OthersClock();
