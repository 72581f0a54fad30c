// Whom a probe's TLS trusts, who it says it is, and until when what was verified holds. A file of
// the configuration is read again when it changes. It must never take part of a bundle for the
// whole, never trust anybody where a bundle cannot be used, never show a key, and never blame an
// origin for a file of this machine.

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import tls from 'node:tls';
import { z } from 'zod';
import { whyOfFile } from '../kit/errno.ts';
import { LocalError } from './words.ts';

/** Paths of PEM files: the certificate to show, with its chain, and its key. */
export interface ClientFiles {
  readonly cert: string;
  readonly key: string;
}

export const clientFiles = z
  .strictObject({
    cert: z.string().min(1).max(4096).describe('path of a PEM file: the certificate and its chain'),
    key: z.string().min(1).max(4096).describe('path of a PEM file: its key, without a passphrase'),
  })
  .optional()
  .describe('certificate to show to a server that asks for one');

export const certificateDays = z
  .int()
  .min(0)
  .max(3650)
  .describe('fails when the certificate has fewer days left');

/** Certificates by their subject. */
type Roots = ReadonlyMap<string, readonly X509Certificate[]>;

/** What is wrong with a file that the configuration names. */
export interface FileProblem {
  /** One sentence with its cure. */
  readonly text: string;
  /** It may well be there on another machine. */
  readonly isAbsent: boolean;
}

interface Trusted {
  readonly context: tls.SecureContext;
  readonly roots: Roots;
  /** Of the file it was read from; empty for the well-known roots. */
  readonly mark: string;
  lookedAt: number;
  /** When a chain ends, in milliseconds since 1970, by the certificates that were sent. */
  readonly ends: Map<string, number>;
}

const trusted = new Map<string, Trusted>();
const trustedMax = 100;
const endsMax = 1000;
/** A file is looked at this often at most. */
const lookAgainMs = 1000;
const keyBytesMax = 65_536;
const bundleBytesMax = 16_777_216;
/** Certificates of one chain; OpenSSL's own bound is 100, a browser's about ten. */
const chainMax = 16;

/**
 * What to verify with, and what to show: one context for the same files, for making one costs as much
 * as a plain probe. `ca` is the path of a PEM bundle; undefined: the well-known roots. `client` is
 * shown to a server that asks for it. Throws LocalError.
 */
export function secureContext(ca: string | undefined, client?: ClientFiles): tls.SecureContext {
  return trustOf(ca, client).context;
}

/** Why a certificate and its key cannot be shown; null: they can. */
export function problemOfClient(client: ClientFiles): FileProblem | null {
  try {
    readClient(client);
    return null;
  } catch (error) {
    if (!(error instanceof LocalError)) throw error;
    // A key may be the daemon's user's alone.
    const isAbsent = [client.cert, client.key].some((file) => !isReadable(file));
    return { text: error.message, isAbsent };
  }
}

/** Why a bundle cannot be used; null: it can. */
export function problemOfBundle(ca: string): FileProblem | null {
  try {
    readBundle(ca);
    return null;
  } catch (error) {
    if (!(error instanceof LocalError)) throw error;
    return { text: error.message, isAbsent: !existsSync(ca) };
  }
}

/**
 * When the verified chain of a peer ends: the earliest end in it, in milliseconds since 1970. A
 * certificate that was sent and is no part of the chain (a cross-sign nobody needs) does not count.
 */
export function chainEndsAt(leaf: X509Certificate, ca: string | undefined, now: number): number {
  const sent: X509Certificate[] = [];
  for (let at: X509Certificate | undefined = leaf; at && sent.length < chainMax; ) {
    sent.push(at);
    at = at.issuerCertificate;
  }
  const { roots, ends } = trustOf(ca);
  const key = sent.map((one) => one.fingerprint256).join();
  const known = ends.get(key);
  if (known !== undefined) return known;
  const endsAt = Math.min(...chainOf(sent, roots, now).map((one) => one.validToDate.getTime()));
  const [oldest] = ends.keys();
  if (ends.size >= endsMax && oldest !== undefined) ends.delete(oldest);
  ends.set(key, endsAt);
  return endsAt;
}

/** The chain as OpenSSL builds it: at each step a root that is trusted comes before what was sent. */
function chainOf(
  sent: readonly X509Certificate[],
  roots: Roots,
  now: number,
): readonly X509Certificate[] {
  const chain = [sent[0]!];
  while (chain.length < chainMax) {
    const here = chain.at(-1)!;
    if (here.checkIssued(here)) break;
    const offered = sent.filter((one) => one.subject === here.issuer && !chain.includes(one));
    const issuers = [...(roots.get(here.issuer) ?? []), ...offered].filter(
      (one) => here.checkIssued(one) && here.verify(one.publicKey),
    );
    // The chain was verified, so none of it has ended.
    const next = issuers.find((one) => one.validToDate.getTime() >= now) ?? issuers[0];
    if (next === undefined) break;
    chain.push(next);
  }
  return chain;
}

function trustOf(ca: string | undefined, client?: ClientFiles): Trusted {
  const place = client === undefined ? (ca ?? '') : [ca ?? '', client.cert, client.key].join('\0');
  const known = trusted.get(place);
  const now = performance.now();
  if (known !== undefined) {
    if (place === '' || now - known.lookedAt < lookAgainMs) return known;
    if (marksOf(ca, client) === known.mark) {
      known.lookedAt = now;
      return known;
    }
  }
  // Looked at before they are read: what changes in between is seen the next time.
  const mark = marksOf(ca, client);
  const certificates = ca === undefined ? null : readBundle(ca);
  const made: Trusted = {
    context: tls.createSecureContext({
      ...(certificates === null ? {} : { ca: [...certificates] }),
      ...(client === undefined ? {} : readClient(client)),
    }),
    roots: rootsOf(certificates ?? tls.getCACertificates('default')),
    mark,
    lookedAt: now,
    ends: new Map(),
  };
  if (trusted.size >= trustedMax) trusted.delete(trusted.keys().next().value!);
  trusted.set(place, made);
  return made;
}

function marksOf(ca: string | undefined, client: ClientFiles | undefined): string {
  const files = [ca, client?.cert, client?.key].filter((file) => file !== undefined);
  return files.map(markOf).join(';');
}

function markOf(ca: string): string {
  try {
    const { ino, size, mtimeMs, ctimeMs } = statSync(ca);
    return [ino, size, mtimeMs, ctimeMs].join();
  } catch {
    // Whatever is wrong with it shows when it is read.
    return '';
  }
}

/** All certificates of a bundle as PEM. Throws LocalError when it is not whole. */
function readBundle(ca: string): readonly string[] {
  return readCertificates('ca', ca);
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    // Why not shows when it is read.
    return false;
  }
}

function readFileOf(file: string, most: number, wrong: (what: string) => LocalError): string {
  try {
    if (statSync(file).size > most) throw wrong(`more than ${most} bytes`);
    return readFileSync(file, 'latin1');
  } catch (error) {
    if (error instanceof LocalError) throw error;
    throw wrong(`it ${whyOfFile(error)}`);
  }
}

function readCertificates(what: string, file: string): readonly string[] {
  const wrong = (why: string) =>
    new LocalError(`${what} ${file}: ${why}; give a readable file of whole PEM certificates`);
  const text = readFileOf(file, bundleBytesMax, wrong);
  const begun = text.match(/-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/g)?.length ?? 0;
  const whole = /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----[^-]*-----END \1-----/g;
  const certificates = text.match(whole) ?? [];
  if (begun === 0) throw wrong('no PEM certificate in it');
  if (certificates.length < begun) throw wrong('a certificate in it is cut off');
  certificates.forEach((pem, i) => {
    if (parse(pem) === null) throw wrong(`certificate ${i + 1} in it is damaged`);
  });
  return certificates;
}

/** The chain and the key that it is for. Throws LocalError, which never quotes the key's file. */
function readClient({ cert, key }: ClientFiles): { readonly cert: string; readonly key: string } {
  const chain = readCertificates('client cert', cert);
  const wrong = (why: string) =>
    new LocalError(`client key ${key}: ${why}; give a readable PEM key without a passphrase`);
  const text = readFileOf(key, keyBytesMax, wrong);
  if (!/-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----/.test(text)) throw wrong('no PEM key in it');
  if (!isKeyOf(parse(chain[0]!)!, text, wrong)) {
    throw wrong(`it is not the key of the first certificate in ${cert}`);
  }
  return { cert: chain.join('\n'), key: text };
}

function isKeyOf(leaf: X509Certificate, pem: string, wrong: (why: string) => LocalError): boolean {
  try {
    return leaf.checkPrivateKey(createPrivateKey(pem));
  } catch {
    throw wrong('damaged, or behind a passphrase');
  }
}

function parse(pem: string): X509Certificate | null {
  try {
    return new X509Certificate(pem);
  } catch {
    return null;
  }
}

function rootsOf(certificates: readonly string[]): Roots {
  const roots = new Map<string, X509Certificate[]>();
  for (const pem of certificates) {
    const one = parse(pem);
    if (one !== null) roots.set(one.subject, [...(roots.get(one.subject) ?? []), one]);
  }
  return roots;
}
