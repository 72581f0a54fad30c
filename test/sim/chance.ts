// The one source of chance of a simulated world: seeded, so that the same seed gives the same world
// to the last millisecond. Nothing in the simulation may draw from anywhere else.

/** Numbers from one seed (sfc32 by Chris Doty-Humphrey, PractRand). */
export class Chance {
  #a: number;
  #b: number;
  #c: number;
  #d = 1;

  /** From a seed, or from three words of state; the first numbers, which show them, are dropped. */
  constructor(seed: number | readonly [number, number, number], dropped = 12) {
    const words =
      typeof seed === 'number'
        ? ([seed, Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b), seed / 4_294_967_296] as const)
        : seed;
    this.#a = words[0] | 0;
    this.#b = words[1] | 0;
    this.#c = words[2] | 0;
    for (let i = 0; i < dropped; i++) this.next();
  }

  /** At least 0, less than 1. */
  next(): number {
    const t = (((this.#a + this.#b) | 0) + this.#d) | 0;
    this.#d = (this.#d + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + t) | 0;
    return (t >>> 0) / 4_294_967_296;
  }

  is(probability: number): boolean {
    return this.next() < probability;
  }

  /** A whole number, both ends included. */
  int(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  /** A whole number, as likely between 1 and 10 as between 10 and 100. */
  spread(least: number, most: number): number {
    return Math.round(least * (most / least) ** this.next());
  }

  /** A whole wait of this mean, as between events that know nothing of each other. */
  wait(meanMs: number): number {
    return Math.ceil(-Math.log(1 - this.next()) * meanMs);
  }

  pick<T>(all: readonly T[]): T {
    return all[Math.floor(this.next() * all.length)]!;
  }

  /** Each with its own probability. */
  some<T>(all: readonly T[], probability: number): T[] {
    return all.filter(() => this.is(probability));
  }

  /** Four random 32-bit integers: an engine's seed. */
  words(): [number, number, number, number] {
    const word = () => (this.next() * 4_294_967_296) | 0;
    return [word(), word(), word(), word()];
  }
}
