// A signed link: the right to say one word about one decision, once, until it ends. Whoever holds
// it may say that word, so that it stands in a notice and nowhere else. The key is no marker's and
// signs nothing but links. It must never verify what another key has signed, or what has ended.

import { createHmac, timingSafeEqual } from 'node:crypto';

/** Of `Keyring.derive`: the purpose that the key is for. */
export const LINK_PURPOSE = 'detour link';

type LinkAction = 'approve' | 'reject';

export interface Link {
  /** Of the decision. */
  readonly id: string;
  /** By whose notice it came. */
  readonly channel: string;
  /** When the decision ends, in milliseconds since 1970. */
  readonly expiresWall: number;
  readonly action: LinkAction;
}

type Verified =
  | { readonly ok: true; readonly link: Link }
  | { readonly ok: false; readonly why: 'unknown' | 'expired' };

/** 128 bits (RFC 2104, section 5). */
const MAC_BYTES = 16;
const TOKEN_MAX = 1000;

/** The link's last part: letters, digits, `-`, `_` and one dot. */
export function signLink(key: Buffer, { id, channel, expiresWall, action }: Link): string {
  const said = Buffer.from(JSON.stringify([id, channel, expiresWall, action])).toString(
    'base64url',
  );
  return `${said}.${macOf(key, said).toString('base64url')}`;
}

/** What the link allows at `nowWall`; `unknown`: it was never signed with this key. Never throws. */
export function verifyLink(key: Buffer, token: string, nowWall: number): Verified {
  const [said = '', mac = '', ...more] = token.length > TOKEN_MAX ? [] : token.split('.');
  const given = Buffer.from(mac, 'base64url');
  // A notation of the same bytes that is not ours would make one link two.
  const isOurs =
    more.length === 0 &&
    given.length === MAC_BYTES &&
    given.toString('base64url') === mac &&
    timingSafeEqual(macOf(key, said), given);
  if (!isOurs) return { ok: false, why: 'unknown' };
  const [id, channel, expiresWall, action] = JSON.parse(
    Buffer.from(said, 'base64url').toString('utf8'),
  ) as [string, string, number, LinkAction];
  if (nowWall >= expiresWall) return { ok: false, why: 'expired' };
  return { ok: true, link: { id, channel, expiresWall, action } };
}

function macOf(key: Buffer, said: string): Buffer {
  return createHmac('sha256', key).update(`link\n${said}`).digest().subarray(0, MAC_BYTES);
}
