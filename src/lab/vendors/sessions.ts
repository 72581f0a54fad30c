// Temporary keys of one cloud in the lab: what its token service has given out, and what its vendor
// looks up when somebody signs with one. It must never take one past its end, nor with another token
// than the one that was given with it.

import { randomBytes } from 'node:crypto';

export interface Session {
  readonly accessKeyId: string;
  readonly secret: string;
  readonly token: string;
  /** When it ends, in milliseconds since 1970. */
  readonly untilAt: number;
}

/** Those that are remembered; an older one is unknown, as after a year. */
const sessionsMax = 10_000;

export class Sessions {
  readonly #prefix: string;
  readonly #wall: () => number;
  readonly #all = new Map<string, Session>();

  /** `prefix` of their ids: `ASIA`, `STS.`; `wall`: this machine's clock unless given. */
  constructor(prefix: string, wall: () => number = Date.now) {
    this.#prefix = prefix;
    this.#wall = wall;
  }

  wall(): number {
    return this.#wall();
  }

  issue(lifeMs: number): Session {
    const word = (octets: number) => randomBytes(octets).toString('hex').toUpperCase();
    const session = {
      accessKeyId: `${this.#prefix}${word(8)}`,
      secret: randomBytes(30).toString('base64'),
      // With the characters that a form and a header must carry unharmed.
      token: `${randomBytes(120).toString('base64')}/+=`,
      // To the second, as it is written.
      untilAt: Math.floor((this.#wall() + lifeMs) / 1000) * 1000,
    };
    this.#all.set(session.accessKeyId, session);
    const oldest = this.#all.keys().next();
    if (this.#all.size > sessionsMax && !oldest.done) this.#all.delete(oldest.value);
    return session;
  }

  find(accessKeyId: string): Session | undefined {
    return this.#all.get(accessKeyId);
  }

  hasEnded({ untilAt }: Session): boolean {
    return this.#wall() >= untilAt;
  }
}
