// What is remembered of listing one zone: how long it is at least, and that it took too long a while
// ago. Reading name by name is always right; this only says when listing is worth trying. It must
// never keep a zone from being listed for long because of one slow moment.

/** For so long a zone that could not be listed in time is read by name; each time twice as long. */
const slowFirstMs = 10_000;
const slowMostMs = 600_000;

export class Listing {
  readonly #now: () => number;
  #pagesLeast: number;
  #slowForMs = 0;
  #slowUntilMs = 0;

  /** `pagesLeast`: pages that a listing takes, as far as one knows. `now`: milliseconds, monotonic. */
  constructor(pagesLeast = 1, now: () => number = () => performance.now()) {
    this.#pagesLeast = pagesLeast;
    this.#now = now;
  }

  /** Whether a listing of at most so many pages may come to its end. */
  isWorth(pagesMax: number): boolean {
    return this.#pagesLeast <= pagesMax && this.#now() >= this.#slowUntilMs;
  }

  /** It was seen to take so many pages at least. */
  takes(pages: number): void {
    this.#pagesLeast = Math.max(this.#pagesLeast, pages);
  }

  /** It did not come to its end in its share of a reading. */
  isSlow(): void {
    const now = this.#now();
    const isAgain = this.#slowForMs > 0 && now < this.#slowUntilMs + slowMostMs;
    this.#slowForMs = isAgain ? Math.min(slowMostMs, this.#slowForMs * 2) : slowFirstMs;
    this.#slowUntilMs = now + this.#slowForMs;
  }
}
