// What probes saw of late, by check and path, for the status page: strips of equal pieces of time,
// each with the worst that was seen in it and the slowest answer. It listens and remembers, a fixed
// number of bytes for each check and path; nothing that decides ever looks here.

import type { CheckId, Observation, Outcome } from '../core/model.ts';
import type { Clock, Observer } from '../ports.ts';
import type { Strips } from './board.ts';

/** How long a piece is, and how many there are. */
const spans = {
  '15m': { stepMs: 5000, pieces: 180 },
  '6h': { stepMs: 120_000, pieces: 180 },
} as const;
type Span = keyof typeof spans;

/** Checks by paths that are remembered; of more the first ones are. */
const STRIPS_MAX = 10_000;

/** From the least to the worst; the mark of a piece is its letter. */
const marks = ['.', 'p', 's', 'l', 'b', 'f'] as const;
const ofOutcome = { pass: 1, limited: 3, blind: 4, fail: 5 } satisfies Record<Outcome, number>;
const SLOW = 2;

/** A pass is slow beside what is usual of this check by this path. */
const slowTimes = 3;
const slowMoreMs = 50;
/** How much one answer changes what is usual. */
const usualWeight = 0.05;
/** What was not seen for so long makes room where there is none. */
const goneMs = 3_600_000;
const pruneEveryMs = 60_000;

export interface StripsDesk {
  /** Of the origins and clouds of these names. */
  strips(names: readonly string[], span: Span): Strips;
}

/** Of a strip: each ring has a mark and a time for each of its pieces. */
const cellsOfRing = 2 * Math.max(spans['15m'].pieces, spans['6h'].pieces);
const cellsOfStrip = 2 * cellsOfRing;
/** Strips that share a buffer: one of its own costs each as much again, and each collection time. */
const stripsTogether = 64;

/** The cells of strips, which are used again when a strip is let go of. */
class Cells {
  readonly #free: Uint16Array[] = [];

  take(): Uint16Array {
    if (this.#free.length === 0) {
      const all = new Uint16Array(stripsTogether * cellsOfStrip);
      for (let i = 0; i < all.length; i += cellsOfStrip) {
        this.#free.push(all.subarray(i, i + cellsOfStrip));
      }
    }
    return this.#free.pop()!.fill(0);
  }

  give(cells: Uint16Array): void {
    this.#free.push(cells);
  }
}

class Ring {
  readonly #stepMs: number;
  readonly #pieces: number;
  readonly #cells: Uint16Array;
  /** Where in the cells the marks begin, and where the times. */
  readonly #marks: number;
  readonly #ms: number;
  /** Number of the newest piece, counted from the engine's first moment. */
  #last = -1;

  constructor({ stepMs, pieces }: (typeof spans)[Span], cells: Uint16Array, from: number) {
    this.#stepMs = stepMs;
    this.#pieces = pieces;
    this.#cells = cells;
    this.#marks = from;
    this.#ms = from + pieces;
  }

  add(at: number, mark: number, ms: number): void {
    this.turnTo(at, 0);
    const i = this.#last % this.#pieces;
    this.#set(i, Math.max(this.#mark(i), mark), Math.max(this.#time(i), Math.min(ms, 65_535)));
  }

  /** What lies between has this mark. */
  turnTo(at: number, mark: number): void {
    const piece = Math.floor(at / this.#stepMs);
    const n = this.#pieces;
    for (let i = Math.max(this.#last + 1, piece - n + 1); i <= piece; i++)
      this.#set(i % n, mark, 0);
    this.#last = Math.max(this.#last, piece);
  }

  /** The oldest first. */
  read(): { readonly marks: string; readonly ms: number[] } {
    const n = this.#pieces;
    const order = Array.from({ length: n }, (_, i) => (this.#last + 1 + i) % n);
    return {
      marks: order.map((i) => marks[this.#mark(i)]).join(''),
      ms: order.map((i) => this.#time(i)),
    };
  }

  #mark(i: number): number {
    return this.#cells[this.#marks + i]!;
  }

  #time(i: number): number {
    return this.#cells[this.#ms + i]!;
  }

  #set(i: number, mark: number, ms: number): void {
    this.#cells[this.#marks + i] = mark;
    this.#cells[this.#ms + i] = ms;
  }
}

interface Strip {
  readonly check: CheckId;
  readonly path: string;
  /** Whose path it is; null: this daemon's own. */
  readonly replica: string | null;
  readonly cells: Uint16Array;
  readonly rings: Readonly<Record<Span, Ring>>;
  /** What another replica said last, which stands until it says something else. */
  standing: number;
  usualMs: number;
  seenAt: number;
}

export function createStrips(clock: Pick<Clock, 'now' | 'wall'>): StripsDesk & {
  readonly observer: Observer;
} {
  return new AllStrips(clock);
}

class AllStrips implements StripsDesk {
  readonly #clock: Pick<Clock, 'now' | 'wall'>;
  /** By origin or cloud, then by check and path. */
  readonly #all = new Map<string, Map<string, Strip>>();
  readonly #cells = new Cells();
  /** When each other replica was heard last. */
  readonly #heardAt = new Map<string, number>();
  #count = 0;
  #prunedAt = 0;

  readonly observer: Observer = {
    probed: (check, path, seen) => {
      const strip = this.#stripOf(check, path, null);
      if (strip === null) return;
      const ms = Math.round(seen.endedAt - seen.startedAt);
      const mark = isSlow(strip, seen, ms) ? SLOW : ofOutcome[seen.outcome];
      strip.seenAt = seen.endedAt;
      for (const ring of ringsOf(strip)) {
        ring.add(seen.endedAt, mark, seen.outcome === 'pass' ? ms : 0);
      }
    },
    heard: ({ replica, sightings }) => {
      const now = this.#clock.now();
      this.#heardAt.set(replica, now);
      for (const { check, path, outcome } of sightings) {
        const strip = outcome === null ? null : this.#stripOf(check, path, replica);
        if (strip === null) continue;
        for (const ring of ringsOf(strip)) ring.turnTo(now, strip.standing);
        strip.standing = ofOutcome[outcome!];
        strip.seenAt = now;
        for (const ring of ringsOf(strip)) ring.add(now, strip.standing, 0);
      }
    },
  };

  constructor(clock: Pick<Clock, 'now' | 'wall'>) {
    this.#clock = clock;
  }

  strips(names: readonly string[], span: Span): Strips {
    const now = this.#clock.now();
    const found = names.flatMap((name) => [...(this.#all.get(name)?.values() ?? [])]);
    return {
      ...{ at: now, wall: this.#clock.wall(), stepMs: spans[span].stepMs },
      strips: found.map((strip) => {
        const { check, path, rings, replica } = strip;
        const heardAt = replica === null ? 0 : (this.#heardAt.get(replica) ?? 0);
        if (replica !== null) {
          for (const ring of ringsOf(strip)) ring.turnTo(heardAt, strip.standing);
        }
        rings[span].turnTo(now, 0);
        return { check, path, replica, ...rings[span].read() };
      }),
    };
  }

  #stripOf(check: CheckId, path: string, replica: string | null): Strip | null {
    const owner = ownerOf(check);
    const known = this.#all.get(owner)?.get(`${check} ${path}`);
    if (known !== undefined) return known;
    if (this.#count >= STRIPS_MAX) this.#prune();
    if (this.#count >= STRIPS_MAX) return null;
    const cells = this.#cells.take();
    const rings = {
      '15m': new Ring(spans['15m'], cells, 0),
      '6h': new Ring(spans['6h'], cells, cellsOfRing),
    };
    const seenAt = this.#clock.now();
    const made: Strip = { check, path, replica, cells, rings, standing: 0, usualMs: 0, seenAt };
    const strips = this.#all.get(owner) ?? new Map<string, Strip>();
    this.#all.set(owner, strips.set(`${check} ${path}`, made));
    this.#count++;
    return made;
  }

  /** Lets go of what is no longer asked, once in a while. */
  #prune(): void {
    const now = this.#clock.now();
    if (now - this.#prunedAt < pruneEveryMs) return;
    this.#prunedAt = now;
    for (const [owner, strips] of this.#all) {
      for (const [key, { seenAt, replica, cells }] of strips) {
        const at = replica === null ? seenAt : (this.#heardAt.get(replica) ?? seenAt);
        if (now - at <= goneMs) continue;
        strips.delete(key);
        this.#cells.give(cells);
        this.#count--;
      }
      if (strips.size === 0) this.#all.delete(owner);
    }
  }
}

const ringsOf = ({ rings }: Strip) => [rings['15m'], rings['6h']];

/** `hangzhou` of `hangzhou/web`, `aliyun` of `aliyun:oss`. */
function ownerOf(check: CheckId): string {
  return /^[^/:]*/.exec(check)![0];
}

/** Learns what is usual as well. */
function isSlow(strip: Strip, { outcome }: Observation, ms: number): boolean {
  if (outcome !== 'pass') return false;
  const { usualMs } = strip;
  const slow = usualMs > 0 && ms > slowTimes * usualMs && ms > usualMs + slowMoreMs;
  strip.usualMs = usualMs === 0 ? Math.max(1, ms) : usualMs + usualWeight * (ms - usualMs);
  return slow;
}
