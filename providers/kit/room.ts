// How much one reading or writing may still take: calls, and time in which something may be begun.
// What finds no room is not asked, and asked next. It must never be exceeded but for the one name
// that every reading answers, so that reading again always comes to an end.

import type { Called } from './fault.ts';

/** What became of one thing: null is what was surely never sent, for want of room. */
export type Told<T> = Called<T> | null;

export class Room {
  /** The piece of work that it is for: the same for a room and for what is watched of it. */
  readonly work: object = this;
  readonly #whole: Room | null;
  readonly #untilMs: number;
  #calls: number;
  #isTold = false;

  /** `forMs` bounds when something may be begun, not when it ends. */
  constructor(calls: number, forMs: number, whole: Room | null = null) {
    this.#calls = calls;
    this.#untilMs = performance.now() + forMs;
    this.#whole = whole;
  }

  /** Takes room for so many calls, or says that there is none. */
  take(calls: number): boolean {
    return performance.now() < this.#untilMs && this.#takeCalls(calls);
  }

  /** Room for a name's calls: while none was answered, time refuses nothing. */
  takeName(calls: number): boolean {
    return this.#isTold ? this.take(calls) : this.#takeCalls(calls);
  }

  /** A name was answered, or has its fault. */
  told(): void {
    this.#isTold = true;
  }

  /** The same room for the work of one zone: tells when something begins in it or was told. */
  watched(goesOn: () => void): Room {
    return new WatchedRoom(this, goesOn);
  }

  /** Half of what is left, for work that must leave room for what follows it. */
  half(): Room {
    return new Room(Math.floor(this.#calls / 2), (this.#untilMs - performance.now()) / 2, this);
  }

  /** Takes room for so many calls if that leaves as many as `rest`. */
  takeBut(rest: number, calls: number): boolean {
    return this.#calls - calls >= rest && this.take(calls);
  }

  #takeCalls(calls: number): boolean {
    if (this.#calls < calls || this.#whole?.take(calls) === false) return false;
    this.#calls -= calls;
    return true;
  }
}

class WatchedRoom extends Room {
  override readonly work: object;
  readonly #room: Room;
  readonly #goesOn: () => void;

  constructor(room: Room, goesOn: () => void) {
    super(0, 0);
    this.work = room.work;
    this.#room = room;
    this.#goesOn = goesOn;
  }

  override take(calls: number): boolean {
    this.#goesOn();
    return this.#room.take(calls);
  }

  override takeName(calls: number): boolean {
    this.#goesOn();
    return this.#room.takeName(calls);
  }

  override told(): void {
    this.#goesOn();
    this.#room.told();
  }

  override half(): Room {
    return new WatchedRoom(this.#room.half(), this.#goesOn);
  }

  override takeBut(rest: number, calls: number): boolean {
    this.#goesOn();
    return this.#room.takeBut(rest, calls);
  }
}
