// What it means for a probe that a name leads nowhere. What is wrong with the name itself (no such
// name, no address, its own servers failing while others are answered) is the origin's failure, a
// resolver that cannot be asked is the path's. It must never take the one for the other.

import type { HostAddress, Located } from '../kit/extend.ts';
import { blame, blind, fail, Told } from './words.ts';

/** The addresses, at least one. Throws Told: `fail dns`, or `blind` with what cannot be asked. */
export function addressesOf(host: string, found: Located): readonly HostAddress[] {
  if (found.kind === 'addresses') return found.addresses;
  const { detail } = found;
  if (found.kind === 'none') throw new Told(fail('dns', `${host} does not resolve: ${detail}`));
  if (found.code !== null) {
    throw new Told(blame(Object.assign(new Error(detail), { code: found.code }), 'resolve', host));
  }
  throw new Told(blind('resolver', `no resolver could say where ${host} is: ${detail}`));
}
