// Something made out of secrets, made again when they have changed. Whether a file has changed is
// looked at when it is used, once a second at most; after a refusal by whom the secret is for, what
// stands in it is compared. What cannot be made again stays as it was, and why is told. It must never
// keep a secret's text, and never end what is under way: what was replaced is closed after a while.

import { createHash } from 'node:crypto';
import type { SecretRef } from './schema.ts';
import { SecretError } from './secret.ts';

/** Where secrets come from. */
export interface Secrets {
  /** Throws SecretError. */
  read(ref: SecretRef): string;
  /** What changes when the secret may have; see `markOfSecret`. */
  mark(ref: SecretRef): string;
}

export interface Renewal {
  readonly kind: 'renewed' | 'kept';
  /** Of a thing that was kept: why. Safe to show. */
  readonly why: string | null;
}

interface RenewOptions {
  /** Told of each renewal, and of each reason against one once. */
  readonly told?: (renewal: Renewal) => void;
  /** How long one that was replaced may still be used by what is under way, in milliseconds. */
  readonly graceMs: number;
  /** How often files are looked at, in milliseconds; 1 s unless given. */
  readonly lookMs?: number;
}

interface Used {
  readonly ref: SecretRef;
  readonly mark: string;
  readonly digest: string;
}

interface Made<T> {
  readonly thing: T;
  /** Each once, however often it was read. */
  used: readonly Used[];
}

/** Most are made out of no secret, and there may be tens of thousands. */
const NOTHING: readonly Used[] = [];

export class Renewed<T extends { close(): void }> {
  readonly #secrets: Secrets;
  readonly #make: (secret: (ref: SecretRef) => string) => T;
  readonly #options: RenewOptions;
  /** null: none was ever replaced. */
  #retired: Map<T, NodeJS.Timeout> | null = null;
  #made: Made<T>;
  #lookedAt = performance.now();
  #refused = false;
  #why: string | null = null;

  /** Makes the first one. Throws what `make` throws. */
  constructor(
    secrets: Secrets,
    make: (secret: (ref: SecretRef) => string) => T,
    options: RenewOptions,
  ) {
    this.#secrets = secrets;
    this.#make = make;
    this.#options = options;
    this.#made = this.#makeOne();
  }

  /** The one to use now. */
  get(): T {
    const now = performance.now();
    if (now - this.#lookedAt >= (this.#options.lookMs ?? 1000)) {
      this.#lookedAt = now;
      this.#look();
    }
    return this.#made.thing;
  }

  /** What the secrets are for has refused them: they are compared at the next look. */
  refused(): void {
    this.#refused = true;
  }

  close(): void {
    for (const [thing, timer] of this.#retired ?? []) {
      clearTimeout(timer);
      thing.close();
    }
    this.#retired = null;
    this.#made.thing.close();
  }

  #look(): void {
    const { used } = this.#made;
    const moved = used.some(({ ref, mark }) => this.#secrets.mark(ref) !== mark);
    if (!moved && !this.#refused) return;
    this.#refused = false;
    try {
      const now = used.map(({ ref }) => this.#use(ref).used);
      if (now.some(({ digest }, i) => digest !== used[i]!.digest)) this.#replace(this.#makeOne());
      else this.#made.used = now;
      this.#why = null;
    } catch (error) {
      if (!(error instanceof SecretError)) throw error;
      if (error.message === this.#why) return;
      this.#why = error.message;
      this.#options.told?.({ kind: 'kept', why: error.message });
    }
  }

  #makeOne(): Made<T> {
    const used = new Map<string, Used>();
    const thing = this.#make((ref) => {
      const one = this.#use(ref);
      used.set(keyOf(ref), one.used);
      return one.text;
    });
    return { thing, used: used.size === 0 ? NOTHING : [...used.values()] };
  }

  #use(ref: SecretRef): { readonly text: string; readonly used: Used } {
    // Looked at before it is read: what changes in between is seen the next time.
    const mark = this.#secrets.mark(ref);
    const text = this.#secrets.read(ref);
    const digest = createHash('sha256').update(text).digest('base64');
    return { text, used: { ref, mark, digest } };
  }

  #replace(made: Made<T>): void {
    const old = this.#made.thing;
    this.#made = made;
    this.#retired ??= new Map();
    const retired = this.#retired;
    const retire = () => {
      retired.delete(old);
      old.close();
    };
    retired.set(old, setTimeout(retire, this.#options.graceMs).unref());
    this.#options.told?.({ kind: 'renewed', why: null });
  }
}

function keyOf(ref: SecretRef): string {
  return JSON.stringify(ref);
}
