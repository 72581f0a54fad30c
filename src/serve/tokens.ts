// Who asks by the API: names, what each may, and the secret by which each is known. A secret is
// compared by its hash, in a time that tells nothing of it. It must never keep, show or shorten
// one.

import { createHash, timingSafeEqual } from 'node:crypto';
import { type ApiRole, apiRoles } from '../core/model.ts';
import { SecretError } from '../kit/secret.ts';

/** Characters of a token: 32 of base64 are 192 bits. */
const LEAST = 32;
const MOST = 512;

export interface Bearer {
  readonly name: string;
  readonly role: ApiRole;
  /** Hash of the token: it knows it again, and tells nothing of it. */
  readonly hash: Buffer;
}

export interface Tokens {
  /** Whose it is; null: nobody's. */
  whose(presented: string): Bearer | null;
  /** Whose the token of that hash is, as things stand now; null: it is known no more. */
  still(hash: Buffer): Bearer | null;
  close(): void;
}

/** Throws SecretError, which names the token that is none. */
export function createTokens(
  given: Readonly<Record<string, { readonly text: string; readonly role: ApiRole }>>,
): Tokens {
  const known = Object.entries(given).map(([name, { text, role }]) => {
    // RFC 6750, section 2.1: what may stand in the header.
    if (!/^[\w.~+/-]+=*$/.test(text) || text.length < LEAST || text.length > MOST) {
      throw new SecretError(
        `tokens.${name}: a token has ${LEAST} to ${MOST} characters of A-Z, a-z, 0-9, - . _ ~ + / ` +
          'and = at its end; make one with `detour init --key-only FILE`',
      );
    }
    const hash = hashOf(text);
    return { bearer: { name, role, hash }, hash };
  });
  known.forEach(({ bearer, hash }, i) => {
    const twin = known.findIndex((other) => timingSafeEqual(other.hash, hash));
    if (twin === i) return;
    const both = `tokens.${known[twin]!.bearer.name} and tokens.${bearer.name}`;
    throw new SecretError(`${both} are the same: give each its own`);
  });
  // All of them are compared, whoever it is.
  const still = (asked: Buffer) =>
    known.reduce<Bearer | null>(
      (found, { bearer, hash }) => (timingSafeEqual(hash, asked) ? bearer : found),
      null,
    );
  return {
    whose: (presented) => still(hashOf(presented)),
    still,
    close() {},
  };
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** Each role may do what stands before it, too. */
export function mayDo(has: ApiRole, wanted: ApiRole): boolean {
  return apiRoles.indexOf(has) >= apiRoles.indexOf(wanted);
}
