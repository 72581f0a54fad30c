// What is remembered of listing one zone: how many pages it takes, as far as one knows, and that it
// took too long a while ago. Reading name by name is always right; this only says when listing is
// worth trying. It must never keep a zone from being listed for long because of one slow moment, nor
// begin a listing that cannot come to its end, as far as one knows.

import type { Room } from './room.ts';

/** For so long a zone that could not be listed in time is read by name; each time twice as long. */
const slowFirstMs = 10_000;
const slowMostMs = 600_000;
/** Calls that a listing leaves to what is read by name: one name of any vendor. */
const restCalls = 10;

/** One listing under way. What it said would be asked has room already. */
export interface ListingTurn {
  /** Whether one more page may be asked. Where not, the zone is read by name this time. */
  next(): boolean;
  /** The vendor says how many pages there are: whether all of them may be asked. */
  takes(pages: number): boolean;
  /** That was all of it. */
  ended(): void;
}

export class Listing {
  readonly #now: () => number;
  #pages: number;
  #slowForMs = 0;
  #slowUntilMs = 0;

  /** `pages` that it takes at least. `now`: milliseconds, monotonic. */
  constructor(pages = 1, now: () => number = () => performance.now()) {
    this.#pages = pages;
    this.#now = now;
  }

  /**
   * Takes room for all of its pages, as far as their number is known; null where it has more than
   * `pagesMax`, finds no room, or was slow a while ago. Of many zones that share a room some are thus
   * listed to their end, rather than all of them in vain.
   */
  begin(pagesMax: number, room: Room): ListingTurn | null {
    const isWorth = this.#pages <= pagesMax && this.#now() >= this.#slowUntilMs;
    let taken = this.#pages;
    if (!isWorth || !room.takeBut(restCalls, taken)) return null;
    let asked = 0;
    const takes = (pages: number): boolean => {
      this.#pages = Math.max(this.#pages, pages);
      if (pages > pagesMax) return false;
      if (pages > taken) {
        if (!room.takeBut(restCalls, pages - taken)) return false;
        taken = pages;
      }
      return true;
    };
    return {
      takes,
      next: () => {
        if (!room.take(0)) this.#isSlow();
        else if (takes(asked + 1)) {
          asked++;
          return true;
        }
        return false;
      },
      ended: () => {
        this.#pages = Math.max(1, asked);
      },
    };
  }

  #isSlow(): void {
    const now = this.#now();
    const isAgain = this.#slowForMs > 0 && now < this.#slowUntilMs + slowMostMs;
    this.#slowForMs = isAgain ? Math.min(slowMostMs, this.#slowForMs * 2) : slowFirstMs;
    this.#slowUntilMs = now + this.#slowForMs;
  }
}
