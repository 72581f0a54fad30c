// Connections that stay open, idle, after a probe that passed: one for each check by each path. When
// the other end, or the way to it, ends one, somebody is told at once, long before the next probe is
// due (design, section 4). What is held is a probe's own connection, opened and verified as probes
// are, so nothing is opened for its sake; where a check's rhythm of closing is known it is let go
// before, and after a while anyhow, so that it follows where the name leads and no way forgets it. It
// must never hold what a server has not offered to keep, never keep one open while a probe of its
// check fails (the server may have room for one alone), and never judge: an end is no failure.

import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import type { CheckId } from '../core/model.ts';
import type { End } from '../core/state.ts';
import type { HeldFigures } from '../ports.ts';
import type { Means } from './path.ts';

/** A connection that outlives the probe that opened it. */
export interface Connection {
  /** For how long the other end says that it keeps it, in milliseconds; null: it does not say. */
  readonly keptMs: number | null;
  /** Calls once, when it has ended and not by `end`. `inOrder`: it was closed, not broken off. */
  whenEnded(then: (inOrder: boolean) => void): void;
  end(): void;
}

/** Who takes the connections of one check by one path. */
export interface Keeper {
  /** Whether the connection of a probe that begins now would be taken. */
  wants(): boolean;
  take(connection: Connection): void;
  /** How a probe has ended. */
  ended(isPass: boolean): void;
}

/** What checks are made with. */
export interface Making extends Means {
  /** Absent: nothing is held. */
  readonly keeper?: Keeper;
}

/** For how long one is held: somewhere between these, so that not all end together. */
const holdLeastMs = 36_000;
const holdMostMs = 45_000;
/** Ends of one check that are remembered, and how many alike make a rhythm. */
const agesMost = 8;
const agesAlike = 3;
/** So near each other they are alike, and so much before the next it is let go. */
const alikeShare = 0.1;
const alikeLeastMs = 300;
/** Held for less it is worth nothing: whoever closes at once is not asked for so long. */
const worthMs = 500;
const restMs = 600_000;
/** Probes in a row that may fail while one is held: then it may be the holding that fails them. */
const blamedMost = 2;
/** Of the descriptors that this process may have, the share that may be held. */
const descriptorShare = 1 / 4;

/** Which kinds hold unasked, and which where the configuration says `hold`; null: none to hold. */
export function holding(kind: string): 'unasked' | 'asked' | null {
  return Object.hasOwn(kinds, kind) ? kinds[kind]! : null;
}

/** Servers of HTTP say whether they keep a connection, and gRPC is made for it; others cannot say. */
const kinds: Readonly<Record<string, 'unasked' | 'asked'>> = {
  ...{ http: 'unasked', grpc: 'unasked' },
  ...{ tcp: 'asked', tls: 'asked' },
};

export class Holder {
  readonly #keepers = new Map<string, Held>();
  readonly #habits = new Map<CheckId, Habit>();
  #tell: (ends: readonly End[]) => void = () => {};
  /** Ended in this turn of the event loop. */
  #ends: End[] = [];
  readonly #figures = { closed: 0, broken: 0 };

  /** What may be held, the most worth first; of that at most so many. */
  constructor(wanted: readonly End[], most: number) {
    for (const { check, path } of wanted.slice(0, Math.min(most, descriptorsMost()))) {
      const habit = this.#habits.get(check) ?? new Habit();
      this.#habits.set(check, habit);
      const ended = (inOrder: boolean) => this.#ended({ check, path }, inOrder);
      this.#keepers.set(keyOf(check, path), new Held(habit, ended));
    }
  }

  /** undefined: nothing of it is held. */
  keeperOf(check: CheckId, path: string): Keeper | undefined {
    return this.#keepers.get(keyOf(check, path));
  }

  /** Tells of what has ended, by turns of the event loop; replaces whoever was told before. */
  heed(tell: (ends: readonly End[]) => void): void {
    this.#tell = tell;
  }

  figures(): HeldFigures {
    let held = 0;
    for (const one of this.#keepers.values()) if (one.isHeld) held++;
    return { held, ...this.#figures };
  }

  close(): void {
    this.#tell = () => {};
    for (const one of this.#keepers.values()) one.close();
  }

  #ended(end: End, inOrder: boolean): void {
    this.#figures[inOrder ? 'closed' : 'broken']++;
    // A server that dies takes all of its connections along.
    if (this.#ends.push(end) > 1) return;
    setImmediate(() => {
      const ends = this.#ends;
      this.#ends = [];
      this.#tell(ends);
    });
  }
}

/** The connection of one check by one path. */
class Held implements Keeper {
  readonly #habit: Habit;
  readonly #ended: (inOrder: boolean) => void;
  #connection: Connection | null = null;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(habit: Habit, ended: (inOrder: boolean) => void) {
    this.#habit = habit;
    this.#ended = ended;
    habit.all.push(this);
  }

  get isHeld(): boolean {
    return this.#connection !== null;
  }

  wants(): boolean {
    return this.#connection === null && !this.#isClosed && this.#habit.mayHold();
  }

  take(connection: Connection): void {
    const forMs = this.#habit.forMs(connection.keptMs);
    if (!this.wants() || forMs < worthMs) return connection.end();
    const from = performance.now();
    this.#connection = connection;
    this.#timer = setTimeout(() => this.letGo(), forMs);
    connection.whenEnded((inOrder) => {
      if (this.#connection !== connection) return;
      this.letGo();
      if (inOrder) this.#habit.learn(performance.now() - from);
      this.#ended(inOrder);
    });
  }

  ended(isPass: boolean): void {
    this.#habit.probed(isPass);
  }

  letGo(): void {
    clearTimeout(this.#timer);
    const connection = this.#connection;
    this.#connection = null;
    connection?.end();
  }

  close(): void {
    this.#isClosed = true;
    this.letGo();
  }
}

/** How a check's server treats what is held of it, by whatever path. */
class Habit {
  readonly all: Held[] = [];
  /** How old connections were that it closed in order, the newest last. */
  readonly #ages: number[] = [];
  /** It closes them at this age; Infinity: no rhythm is known. */
  #rhythmMs = Number.POSITIVE_INFINITY;
  #restUntil = 0;
  /** Probes in a row that failed while one was held. */
  #blamed = 0;

  mayHold(): boolean {
    return performance.now() >= this.#restUntil;
  }

  /** For how long one is held: less than the server says, or is known to. */
  forMs(keptMs: number | null): number {
    const ownMs = randomInt(holdLeastMs, holdMostMs);
    const its = Math.min(this.#rhythmMs, keptMs ?? Number.POSITIVE_INFINITY, 2 * ownMs);
    return Math.min(ownMs, its - Math.max(alikeLeastMs, alikeShare * its));
  }

  learn(ageMs: number): void {
    this.#ages.push(ageMs);
    if (this.#ages.length > agesMost) this.#ages.shift();
    const near = Math.max(alikeLeastMs, alikeShare * ageMs);
    const alike = this.#ages.filter((one) => Math.abs(one - ageMs) <= near);
    if (alike.length < agesAlike) return;
    this.#rhythmMs = Math.min(this.#rhythmMs, ...alike);
    if (this.forMs(null) < worthMs) this.#rest();
  }

  /** What fails while one is held may fail for that, where a server has room for one alone. */
  probed(isPass: boolean): void {
    const held = this.all.filter((one) => one.isHeld);
    if (held.length === 0) return;
    if (isPass) {
      this.#blamed = 0;
      return;
    }
    for (const one of held) one.letGo();
    if (++this.#blamed >= blamedMost) this.#rest();
  }

  /** After that it is tried anew, with nothing known. */
  #rest(): void {
    this.#restUntil = performance.now() + restMs;
    this.#rhythmMs = Number.POSITIVE_INFINITY;
    this.#ages.length = 0;
    this.#blamed = 0;
  }
}

/** What lies below is ended with it. */
export function connectionOver(top: Duplex, endAll: () => void, keptMs: number | null): Connection {
  return {
    keptMs,
    whenEnded: (then) => {
      let isOpen = true;
      const ended = (inOrder: boolean) => {
        if (isOpen) then(inOrder);
        isOpen = false;
      };
      top.on('end', () => ended(true));
      top.on('close', () => ended(false));
      top.on('error', () => {});
      // Nobody reads what comes now; unread, its end would never be seen.
      top.resume();
      if (top.destroyed) ended(false);
    },
    end: endAll,
  };
}

function keyOf(check: CheckId, path: string): string {
  return JSON.stringify([check, path]);
}

/** Of this process's open files; Infinity where that is not known. */
function descriptorsMost(): number {
  try {
    const [, soft] =
      /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return soft === undefined
      ? Number.POSITIVE_INFINITY
      : Math.floor(Number(soft) * descriptorShare);
  } catch {
    // Not Linux: Node has no other way to say.
    return Number.POSITIVE_INFINITY;
  }
}
