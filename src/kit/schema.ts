// The small pieces that every part of the configuration is written with: durations, names,
// addresses, references to secrets. Shared by the configuration, the table of providers and the
// table of checks, so that one notation has one reader. Pure: it parses, it never looks anything up.

import { isIP } from 'node:net';
import { z } from 'zod';
import type { Name } from '../core/model.ts';
import { badLabel, isForeign, toAscii } from './script.ts';

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `250ms`, `5s`, `30m`, `2h`, `1d`, also `1h30m`, as whole milliseconds; null when it is none. */
export function parseDuration(text: string): number | null {
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return null;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    total += Number(amount) * unitMs[unit!]!;
  }
  return Number.isSafeInteger(total) ? total : null;
}

/** Milliseconds in the largest units that say it exactly: 90000 is `1m30s`. */
export function printDuration(ms: number): string {
  if (ms === 0) return '0s';
  let rest = ms;
  let text = '';
  for (const unit of ['d', 'h', 'm', 's', 'ms']) {
    const count = Math.floor(rest / unitMs[unit]!);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * unitMs[unit]!;
  }
  return text;
}

/**
 * A duration between two others, in milliseconds after parsing. In a JSON Schema its bounds are
 * `x-duration`: they stay where the description is replaced by what it is for.
 */
export function duration(least: string, most: string) {
  const [leastMs, mostMs] = [parseDuration(least)!, parseDuration(most)!];
  return z
    .string()
    .meta({
      description: `a duration such as 500ms, 5s, 30m or 2h, from ${least} to ${most}`,
      'x-duration': [least, most],
    })
    .transform((text, context) => {
      const ms = parseDuration(text);
      if (ms !== null && ms >= leastMs && ms <= mostMs) return ms;
      context.addIssue({
        code: 'custom',
        message: `expected a duration from ${least} to ${most} (such as 5s or 30m)`,
      });
      return z.NEVER;
    });
}

/**
 * In ASCII, lower-case, with the trailing dot; null when the text is no host name in any script.
 * Labels are letters, digits, hyphens and underscores (RFC 1035 2.3.4 lengths: 63 a label, 253 in
 * all, of the ASCII form).
 */
export function toName(text: string): Name | null {
  const bare = (toAscii(text) ?? '').toLowerCase().replace(/\.$/, '');
  const labels = bare.split('.');
  const fits = bare.length > 0 && bare.length <= 253;
  const clean = labels.every((l) => /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/.test(l));
  // An all-numeric last label is an address gone wrong (10.0.0.300), never a host name.
  return fits && clean && !/^\d+$/.test(labels.at(-1)!) ? `${bare}.` : null;
}

/**
 * A DNS name of at least two labels, in its own script or in ASCII; any case, trailing dot or not; in
 * ASCII with the dot afterwards.
 */
export const dnsName = z
  .string()
  .describe('a DNS name, such as www.gslb.example.net')
  .transform((text, context) => {
    const name = toName(text);
    if (name !== null && name.split('.').length > 2) return name;
    context.addIssue({ code: 'custom', message: whyNoName(text) });
    return z.NEVER;
  });

/** What is wrong with a text that is no name, and what to write; never the text itself. */
function whyNoName(text: string): string {
  if (isIP(text.replace(/^\[|\]$/g, '')) !== 0) {
    return 'expected a DNS name, not an address: give the address a name, and write that';
  }
  if (/^[a-z][a-z0-9+.-]*:\/\/|\/|:\d*$/i.test(text)) {
    return 'expected a DNS name alone, without a scheme, a port or a path';
  }
  if (/(^|\.)\*(\.|$)/.test(text)) {
    return 'expected one DNS name, not a wildcard: each name is written out';
  }
  if (isForeign(text)) return whyForeign(text);
  if (toName(text) !== null || /^[a-z0-9-]*$/i.test(text)) {
    return 'expected a DNS name of at least two labels, such as www.example.net';
  }
  return (
    'expected a DNS name: labels of a-z, 0-9, - and _ with a dot between, at most 63 characters ' +
    'each and 253 in all'
  );
}

/** The same of what is not ASCII: the label that is none, or how long its form in DNS is. */
function whyForeign(text: string): string {
  const bad = badLabel(text);
  if (bad !== null) {
    const where = JSON.stringify(bad.slice(0, 60)).replace(unseen, escaped);
    return (
      `expected a DNS name, and its label ${where} is none (IDNA2008): letters, digits and - in ` +
      'one direction of writing, no signs or pictures, nothing unseen'
    );
  }
  const ascii = toAscii(text) ?? '';
  const long = ascii.split('.').find((label) => label.length > 63);
  if (long !== undefined || ascii.length > 253) {
    return (
      `expected a DNS name, and in DNS this one has ${long === undefined ? '' : 'a label of '}` +
      `${(long ?? ascii).length} characters (xn--...): at most 63 a label and 253 in all`
    );
  }
  return 'expected a DNS name of at least two labels, such as www.example.net';
}

const unseen = /[\p{Cf}\p{Zs}\p{Co}]/gu;

function escaped(sign: string): string {
  return sign === ' ' ? sign : `\\u{${sign.codePointAt(0)!.toString(16)}}`;
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/**
 * `192.0.2.1:53`, `[2001:db8::1]:53`, `ns1.example.net:53`, a name in ASCII afterwards; without a
 * port, the default one.
 */
export function parseHostPort(text: string, defaultPort: number | null): HostPort | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  const bare6 = isIP(text) === 6 ? text : null;
  const host = bare6 ?? match?.[1] ?? match?.[2];
  const port = match?.[3] !== undefined && !bare6 ? Number(match[3]) : defaultPort;
  if (host === undefined || port === null || port < 1 || port > 65_535) return null;
  if (match?.[1] !== undefined && isIP(host) !== 6) return null;
  return isIP(host) !== 0 || toName(host) !== null ? { host: toAscii(host)!, port } : null;
}

/** A range of addresses; whatever of the address lies beyond the bits is not sent. */
export interface Subnet {
  readonly address: string;
  /** A whole number of octets' worth. */
  readonly bits: number;
}

/** `202.96.128.0/24`, `2001:db8:1::/48`. */
export function parseSubnet(text: string): Subnet | null {
  const [address = '', length = '', ...more] = text.split('/');
  const most = { 0: 0, 4: 32, 6: 128 }[isIP(address)] ?? 0;
  const bits = /^\d{1,3}$/.test(length) ? Number(length) : 0;
  const isWhole = bits >= 8 && bits <= most && bits % 8 === 0;
  return isWhole && more.length === 0 && !address.includes('%') ? { address, bits } : null;
}

/** An address or host name with a port, kept as text once it is known to be one. */
export function hostPort(defaultPort: number | null) {
  const shape = defaultPort === null ? 'HOST:PORT' : 'HOST or HOST:PORT';
  return z
    .string()
    .describe(`${shape}, such as 192.0.2.53:53`)
    .refine((text) => parseHostPort(text, defaultPort) !== null, {
      message: `expected ${shape}, such as 192.0.2.53:53 or [2001:db8::1]:53`,
    });
}

/** Where a secret is, never the secret itself. */
export type SecretRef =
  | { readonly env: string }
  | { readonly file: string }
  | { readonly credential: string };

/** One part of a path, as systemd takes it (systemd.exec(5), LoadCredential=). */
export function isCredentialName(text: string): boolean {
  return /^[^/\0]{1,255}$/.test(text) && text !== '.' && text !== '..';
}

const oneSecret = z.strictObject({
  env: z.string().min(1).optional().describe('name of an environment variable'),
  file: z.string().min(1).optional().describe('path of a file; one trailing newline is cut'),
  credential: z
    .string()
    .refine(isCredentialName, { error: 'expected the name of a credential, without a /' })
    .optional()
    .describe('name of a systemd credential'),
});

/** `{ env: NAME }`, `{ file: PATH }` or `{ credential: NAME }`. A secret written out is refused. */
export const secretRef = z
  .union([oneSecret, z.string()], {
    error:
      'expected a reference to a secret: { env: NAME }, { file: PATH } or { credential: NAME }',
  })
  .transform((value, context): SecretRef => {
    if (typeof value !== 'string' && Object.keys(value).length === 1) return value as SecretRef;
    context.addIssue({
      code: 'custom',
      message:
        'expected exactly one of { env: NAME }, { file: PATH } or { credential: NAME }; ' +
        'secrets are never written into the configuration',
    });
    return z.NEVER;
  });

/** `[PROGRAM, ARGUMENT, …]`: it is run without a shell. */
export const commandLine = z
  .array(z.string().min(1).max(4096))
  .min(1)
  .max(64)
  .describe('program and arguments, without a shell');
