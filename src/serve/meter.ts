// How often somebody may: a bucket for each address and one for all together, so that who comes
// too often is told to wait, or not let in at all. Its table is bounded: of more addresses than it
// holds, the one that has not come for longest is forgotten. It knows no request and no answer.

export interface Rate {
  /** At once, after a while of quiet. */
  readonly burst: number;
  readonly perSecond: number;
}

interface Bucket {
  left: number;
  at: number;
}

interface MeterOptions {
  readonly each: Rate;
  readonly all: Rate;
  /** Addresses that are remembered. */
  readonly most?: number;
  /** In milliseconds, from anywhere. */
  readonly now?: () => number;
}

export class Meter {
  readonly #options: Required<MeterOptions>;
  readonly #buckets = new Map<string, Bucket>();
  readonly #all: Bucket;

  constructor(options: MeterOptions) {
    this.#options = { most: 4096, now: () => performance.now(), ...options };
    this.#all = { left: options.all.burst, at: this.#options.now() };
  }

  /** Takes one; false: too often, and nothing is taken of what all have together. */
  take(address: string): boolean {
    const { each, all, most, now } = this.#options;
    const at = now();
    const bucket = this.#buckets.get(address) ?? { left: each.burst, at };
    this.#buckets.delete(address);
    this.#buckets.set(address, bucket);
    if (this.#buckets.size > most) this.#buckets.delete(this.#buckets.keys().next().value!);
    return draw(bucket, each, at) && draw(this.#all, all, at);
  }

  get addresses(): number {
    return this.#buckets.size;
  }
}

function draw(bucket: Bucket, { burst, perSecond }: Rate, at: number): boolean {
  bucket.left = Math.min(burst, bucket.left + ((at - bucket.at) / 1000) * perSecond);
  bucket.at = at;
  if (bucket.left < 1) return false;
  bucket.left -= 1;
  return true;
}
