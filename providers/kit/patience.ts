// How long zones that are asked side by side are waited for: a zone that is silent while all others
// have answered holds up their answers, and gets only a while more. Where nobody has answered, it
// may be the vendor that is slow, and each call has its whole time. It must never give up what is
// slow as a rule, nor a zone that goes on answering, however many calls it takes.

/** A monotonic clock in milliseconds, with its alarms. */
export interface Clock {
  nowMs(): number;
  /** Calls `then` after so long, unless what it returns is called first. */
  after(ms: number, then: () => void): () => void;
}

export const ownClock: Clock = {
  nowMs: () => performance.now(),
  after(ms, then) {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  },
};

/** The least silence that is given up: vendors answer in a tenth of it, and seldom take all of it. */
const silenceLeastMs = 500;

/** A call may take so many times as long as the slowest that was answered. */
const silenceTimes = 3;

/** An alarm so late rang while our own process stood still: answers wait that nobody has read. */
const lateMs = 100;

/** Why work was called off: the reason of its signal. */
export class Silent extends Error {
  /** Milliseconds without an answer. */
  readonly forMs: number;
  constructor(forMs: number) {
    super('silent while others were answered');
    this.forMs = forMs;
  }
}

/** One that is waited for. */
interface Waiting {
  /** Aborted, with `Silent` for the reason, when it is given up. */
  readonly signal: AbortSignal;
  /** It goes on: one call was answered, and another one begins. */
  goesOn(): void;
  /** It has ended; says how long the longest silence was, in milliseconds. */
  ends(isHeard: boolean): number;
}

interface Silence {
  sinceMs: number;
  longestMs: number;
  readonly usualMs: number | null;
  readonly abort: AbortController;
}

/** For one round of questions. */
export class Patience {
  readonly #signal: AbortSignal;
  readonly #clock: Clock;
  readonly #waiting = new Set<Silence>();
  /** The longest silence of one that answered after it; null: nobody has answered. */
  #slowestMs: number | null = null;
  #cancel = (): void => {};

  constructor(signal: AbortSignal, clock: Clock) {
    this.#signal = signal;
    this.#clock = clock;
  }

  /**
   * Begins to wait for one more, which was as slow as `usualMs` when it last answered; null: it was
   * silent when it was last asked, and has only as long as the others need.
   */
  begin(usualMs: number | null): Waiting {
    const abort = new AbortController();
    const one = { sinceMs: this.#clock.nowMs(), longestMs: 0, usualMs, abort };
    this.#waiting.add(one);
    this.#arm();
    return {
      signal: AbortSignal.any([this.#signal, abort.signal]),
      goesOn: () => {
        this.#measure(one);
        this.#arm();
      },
      ends: (isHeard) => {
        this.#measure(one);
        this.#waiting.delete(one);
        if (isHeard) this.#slowestMs = Math.max(this.#slowestMs ?? 0, one.longestMs);
        this.#arm();
        return one.longestMs;
      },
    };
  }

  #measure(one: Silence): void {
    const now = this.#clock.nowMs();
    one.longestMs = Math.max(one.longestMs, now - one.sinceMs);
    one.sinceMs = now;
  }

  /** The alarm is for the moment when all that are waited for were silent for too long. */
  #arm(): void {
    this.#cancel();
    this.#cancel = () => {};
    const slowestMs = this.#slowestMs;
    if (slowestMs === null || this.#waiting.size === 0) return;
    const dues = [...this.#waiting].map(({ sinceMs, usualMs }) => {
      const leastMs = usualMs === null ? 0 : Math.max(silenceLeastMs, silenceTimes * usualMs);
      return sinceMs + Math.max(leastMs, silenceTimes * slowestMs);
    });
    this.#ring(Math.max(...dues));
  }

  #ring(dueMs: number): void {
    const inMs = Math.max(0, dueMs - this.#clock.nowMs());
    const ringsAt = this.#clock.nowMs() + inMs;
    this.#cancel = this.#clock.after(inMs, () => {
      const now = this.#clock.nowMs();
      if (now - ringsAt > lateMs) return this.#ring(now + silenceLeastMs);
      for (const { sinceMs, abort } of this.#waiting) abort.abort(new Silent(now - sinceMs));
    });
  }
}
