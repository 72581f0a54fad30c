// What replicas leave in the engine for one another, under the cluster key: a text with the term
// and number at which it was written, and an HMAC over what it is for, its key and all of these. So
// nobody who can merely write there can put words into the group's mouth, nor one document in
// another's place. That an old one was not put back is for the reader to see, who compares the
// number with the head. It must never open what no key of ours has sealed.

import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/** What a text is for: part of what is signed, so that none can stand for another. */
export type Purpose = 'head' | 'document' | 'order' | 'done' | 'log' | 'doubt' | 'message';

interface Sealed {
  readonly term: number;
  readonly number: number;
  readonly text: string;
}

export interface Seal {
  close(purpose: Purpose, key: string, what: Sealed): string;
  /** Null where no key of ours has sealed just that for just this key. Never throws. */
  open(purpose: Purpose, key: string, raw: string): Sealed | null;
}

/** RFC 2104: the whole of SHA-256, 43 characters of base64url. */
const FORM = /^detour1 (\d{1,16}) (\d{1,16}) ([\w-]{43})\n/;

/**
 * For one cluster and one place in the engine. The first key seals; the others are still believed, as
 * a marker's are not: whoever held the right to act sealed it, whatever the key is now.
 */
export function createSeal(keys: readonly string[], scope: readonly string[]): Seal {
  const macOf = (by: string, purpose: Purpose, key: string, what: Sealed) => {
    const { term, number, text } = what;
    const parts = ['detour-sealed-1', ...scope, purpose, key, `${term}`, `${number}`, text];
    return createHmac('sha256', by).update(framed(parts)).digest();
  };
  return {
    close(purpose, key, what) {
      const mac = macOf(keys[0]!, purpose, key, what).toString('base64url');
      return `detour1 ${what.term} ${what.number} ${mac}\n${what.text}`;
    },
    open(purpose, key, raw) {
      const found = FORM.exec(raw);
      if (found === null) return null;
      const [line, term, number, mac] = found as unknown as [string, string, string, string];
      const what = { term: Number(term), number: Number(number), text: raw.slice(line.length) };
      const isSafe = Number.isSafeInteger(what.term) && Number.isSafeInteger(what.number);
      const said = Buffer.from(mac, 'base64url');
      const isOurs = keys.some((by) => timingSafeEqual(macOf(by, purpose, key, what), said));
      return isSafe && isOurs ? what : null;
    },
  };
}

/** The MAC of a sealed text, by which it can be told from any other for the same key. */
export function macIn(raw: string): string {
  return FORM.exec(raw)?.[3] ?? '';
}

/** Of all documents in one number: their keys and MACs, in the order of the keys; 43 characters. */
export function digestOf(macs: ReadonlyMap<string, string>): string {
  const parts = [...macs].sort(([a], [b]) => (a < b ? -1 : 1)).flat();
  return createHash('sha256').update(framed(parts)).digest('base64url');
}

/** Each part with its length before it, so that no two lists of parts are one text. */
function framed(parts: readonly string[]): string {
  return parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join('');
}
