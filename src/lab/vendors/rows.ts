// What the lab's vendors that hold one record a row have in common: what a value may be, how a name
// is written below its domain, and what a row is in a zone file. It knows no vendor's words, and
// must never put right what was given wrong.

import { isIPv4, isIPv6 } from 'node:net';
import { printStrings } from './zone.ts';

/** Types whose value is a host's name, alone or at its end. */
export const hostTypes = ['CNAME', 'MX', 'NS', 'SRV'];

/** Types of records that are taken. */
export const rowTypes = ['A', 'AAAA', 'CAA', 'CNAME', 'MX', 'NS', 'SRV', 'TXT'];

/** Whether a value, without a trailing dot, is one of that type; `textMax` is in bytes. */
export function valueFits(type: string, value: string, textMax: number): boolean {
  switch (type) {
    case 'A':
      return isIPv4(value);
    case 'AAAA':
      return isIPv6(value) && !value.includes('%');
    case 'TXT':
      return value !== '' && Buffer.byteLength(value) <= textMax;
    case 'CNAME':
    case 'MX':
    case 'NS':
      return isHost(value) && !isIPv4(value);
    case 'SRV': {
      const [priority, weight, port, target, ...more] = value.split(/\s+/);
      const counts = [priority, weight, port].every((n) => /^\d{1,5}$/.test(n ?? ''));
      const small = [priority, weight, port].every((n) => Number(n) <= 65_535);
      return counts && small && more.length === 0 && isHost(target ?? '');
    }
    default:
      return (
        /^\d{1,3} (issue|issuewild|iodef) "[!#-[\]-~]{0,200}"$/.test(value) &&
        Number.parseInt(value, 10) <= 255
      );
  }
}

function isHost(name: string): boolean {
  return name.length <= 253 && name.split('.').every((label) => /^[a-z0-9_-]{1,63}$/.test(label));
}

/** What a name is called in its domain: `@` for the domain itself. */
export function relative(domain: string, name: string): string {
  return name === domain ? '@' : name.slice(0, -domain.length - 1);
}

/** A row's value as zone files have it, host names fully qualified. */
export function presentation(
  type: string,
  { value, priority = 10 }: { readonly value: string; readonly priority?: number | undefined },
): string {
  if (type === 'MX') return `${priority} ${value}.`;
  if (hostTypes.includes(type)) return `${value}.`;
  if (type !== 'TXT') return value;
  const octets = Buffer.from(value);
  const parts: Buffer[] = [];
  for (let at = 0; at < octets.length; at += 255) parts.push(octets.subarray(at, at + 255));
  return printStrings(parts);
}

/** A TXT as the console shows it: the strings joined, without their quotes. */
export function unquoted(value: string): string {
  return value.replace(/"\s+"/g, '').replaceAll('"', '').trimEnd();
}
