// What it means for a probe that a name leads nowhere. What is wrong with the name itself (no such
// name, no address, its own servers failing while others are answered) is the origin's failure, a
// resolver that cannot be asked is the path's. It must never take the one for the other.

import { isIP } from 'node:net';
import { z } from 'zod';
import type { HostAddress, Located } from '../kit/extend.ts';
import { blame, blind, fail, Told } from './words.ts';

/** The setting `address` of a check. */
export const connectTo = z
  .string()
  .optional()
  .describe('address to connect to, without asking DNS')
  .refine((text) => text === undefined || isIP(text) !== 0, {
    message: 'expected an IPv4 or IPv6 address without a port, such as 192.0.2.7',
  });

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
