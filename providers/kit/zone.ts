// How vendors write names and texts, in the one form the house uses (lower-case names with a
// trailing dot, texts without quotes), and which zone of an account holds a name. It remembers
// where zones are, which never changes what is decided, and must never guess a zone between two of
// the same name.

import type { Name, Result } from '../../src/core/model.ts';
import { isWithin } from '../../src/core/name.ts';
import { done, failed } from './fault.ts';

/** How long the absence of a zone is believed, so that a zone made later is found. */
const absentForMs = 60_000;

/** Labels above a name that are tried as its zone; ip6.arpa is not what Detour steers. */
const candidatesMax = 8;

/**
 * A name as a vendor writes it, in the house's form. Route 53 writes odd characters as `\ooo`,
 * octal, and lower case throughout ("DNS domain name format", Route 53 developer guide).
 */
export function nameFrom(text: string): Name {
  const plain = text.replaceAll(/\\([0-3][0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
  const lower = plain.toLowerCase();
  return lower.endsWith('.') ? lower : `${lower}.`;
}

/** Longest text that fits one character-string (RFC 1035, 3.3), in bytes. */
export const textMax = 255;

/**
 * One text in quotes as zone files have it (RFC 1035, 5.1); null when it is too long for one
 * string. `radix` is that of the vendor's escapes: 8 at Route 53, 10 in zone files.
 */
export function quoteText(text: string, radix: 8 | 10): string | null {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length > textMax) return null;
  let quoted = '';
  for (const byte of bytes) {
    const char = String.fromCharCode(byte);
    if (char === '"' || char === '\\') quoted += `\\${char}`;
    else if (byte >= 0x20 && byte <= 0x7e) quoted += char;
    else quoted += `\\${byte.toString(radix).padStart(3, '0')}`;
  }
  return `"${quoted}"`;
}

/** The text of a TXT value: its strings unquoted and joined. Unquoted text stays as it is. */
export function unquoteText(value: string, radix: 8 | 10): string {
  const text = value.trim();
  if (!/^("(?:[^"\\]|\\.)*"\s*)+$/s.test(text)) return text;
  const bytes: Buffer[] = [];
  for (const [, digits, char, plain] of text.matchAll(
    /\\(\d{3})|\\(.)|([^"\\]+)|"(?:\s+(?="))?/gs,
  )) {
    if (digits !== undefined) bytes.push(Buffer.from([Number.parseInt(digits, radix) & 0xff]));
    else bytes.push(Buffer.from(char ?? plain ?? '', 'utf8'));
  }
  return Buffer.concat(bytes).toString('utf8');
}

export interface ZoneFinder<Z> {
  /** The zone that holds a name, or the fault that explains why it is not known. */
  find(name: Name, signal: AbortSignal): Promise<Result<Z>>;
  /** Drops what is remembered: the vendor says that a zone is gone. */
  forget(): void;
}

/**
 * Finds zones by asking for each parent of a name, the longest first. The name itself is no
 * candidate: a CNAME cannot stand at an apex, and one call a record would be spent to learn it.
 * A configured zone or id is taken at its word, and only checked to hold the name.
 */
export function zoneFinder<Z extends { readonly name: Name }>(options: {
  readonly zone: Name | null;
  /** The one zone of an id, where an id is configured. */
  readonly byId: ((signal: AbortSignal) => Promise<Result<Z>>) | null;
  /** The zone of exactly this name in the account, or null. */
  byName(zone: Name, signal: AbortSignal): Promise<Result<Z | null>>;
  /** A monotonic clock in milliseconds; this process's own unless given. */
  readonly nowMs?: () => number;
}): ZoneFinder<Z> {
  const nowMs = options.nowMs ?? (() => performance.now());
  const known = new Map<Name, { readonly zone: Z | null; readonly sinceMs: number }>();
  let fixed: Z | null = null;

  async function lookup(zone: Name, signal: AbortSignal): Promise<Result<Z | null>> {
    const memory = known.get(zone);
    if (memory?.zone) return done(memory.zone);
    if (memory && nowMs() - memory.sinceMs < absentForMs) return done(null);
    const found = await options.byName(zone, signal);
    if (found.ok) known.set(zone, { zone: found.value, sinceMs: nowMs() });
    return found;
  }

  async function byConfiguration(name: Name, signal: AbortSignal): Promise<Result<Z>> {
    if (fixed === null) {
      const zone = options.zone;
      const found = options.byId ? await options.byId(signal) : await lookup(zone!, signal);
      if (!found.ok) return found;
      if (found.value === null) return notThere(`no zone ${zone} in this account`);
      if (zone !== null && found.value.name !== zone) {
        return failed('rejected', `zoneId is of ${found.value.name}, not of ${zone}`, {
          cure: 'let zone and zoneId name the same zone, or leave one out',
        });
      }
      fixed = found.value;
    }
    if (isWithin(name, fixed.name)) return done(fixed);
    return failed('rejected', `${name} is not within the configured zone ${fixed.name}`, {
      cure: 'publish it at another provider, or correct zone and zoneId',
    });
  }

  return {
    async find(name, signal) {
      if (options.byId !== null || options.zone !== null) return byConfiguration(name, signal);
      for (const candidate of parentsOf(name)) {
        const found = await lookup(candidate, signal);
        if (!found.ok) return found;
        if (found.value !== null) return done(found.value);
      }
      return notThere(`no zone in this account holds ${name}`);
    },
    forget() {
      fixed = null;
      known.clear();
    },
  };
}

function parentsOf(name: Name): readonly Name[] {
  const labels = name.replace(/\.$/, '').split('.');
  const parents: Name[] = [];
  for (let i = 1; i <= labels.length - 2; i++) parents.push(`${labels.slice(i).join('.')}.`);
  return parents.slice(0, candidatesMax);
}

function notThere(detail: string): Result<never> {
  return failed('rejected', detail, {
    cure: 'check the account and the key, and set zone or zoneId of this provider',
  });
}
