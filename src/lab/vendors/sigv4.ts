// AWS Signature Version 4, as a service checks it: who signed, for which service, with which key,
// over what, and when. Both the lab's Route 53 and its object stores ask here, each in its own words
// for what is wrong. It must never say that a request is signed when one octet of what was signed
// differs, and never give away more of a credential than that it did not fit.
// Source: AWS, "Create a signed AWS API request" (read 2026-11).

import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

export interface SignedRequest {
  readonly method: string;
  /** Path and query exactly as they were sent. */
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface SigningKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface SignatureRule {
  /** The service that the signature must be for, such as `route53` or `s3`. */
  readonly service: string;
  /** The region that it must be for. */
  readonly region: string;
  readonly key: SigningKey;
  /** How far the signer's clock may be off, in milliseconds. */
  readonly skewMs: number;
}

/** What is wrong with a signature; the first of these that applies. */
export type SignatureFlaw =
  | { readonly kind: 'missing' }
  /** No Authorization of this form, or no date. */
  | { readonly kind: 'malformed' }
  /** For another service or region. */
  | { readonly kind: 'scope'; readonly service: string; readonly region: string }
  | { readonly kind: 'unknown-key' }
  | { readonly kind: 'mismatch' }
  /** Signed too long ago, or in the future, or at no time at all; `date` as it was sent. */
  | { readonly kind: 'expired' | 'early'; readonly date: string; readonly nowMs: number };

const unsignedPayload = 'UNSIGNED-PAYLOAD';
const authorization = new RegExp(
  [
    '^AWS4-HMAC-SHA256 Credential=([^/,\\s]+)/(\\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request',
    ' ?SignedHeaders=([a-z0-9;-]+)',
    ' ?Signature=([0-9a-f]{64})$',
  ].join(','),
);

/** Null when the request is signed as the rule wants, else what is wrong with it. */
export function signatureFlaw(request: SignedRequest, rule: SignatureRule): SignatureFlaw | null {
  const { headers } = request;
  const { key } = rule;
  if (headers.authorization === undefined) return { kind: 'missing' };
  const match = authorization.exec(headers.authorization);
  const date = String(headers['x-amz-date'] ?? '');
  if (!match || !/^\d{8}T\d{6}Z$/.test(date)) return { kind: 'malformed' };
  const [, keyId, day, region, service, signedHeaders, signature] = match as unknown as string[];
  if (service !== rule.service || region !== rule.region) {
    return { kind: 'scope', service: service!, region: region! };
  }
  if (keyId !== key.accessKeyId || headers['x-amz-security-token'] !== key.sessionToken) {
    return { kind: 'unknown-key' };
  }
  const scope = `${day}/${region}/${service}/aws4_request`;
  const signed = signedHeaders!.split(';');
  const canonical = canonicalRequest(request, signed, rule.service === 's3');
  const toSign = ['AWS4-HMAC-SHA256', date, scope, canonical ? sha256(canonical) : ''].join('\n');
  let derived: Buffer | string = `AWS4${key.secretAccessKey}`;
  for (const part of scope.split('/')) derived = hmac(derived, part);
  const same = timingSafeEqual(hmac(derived, toSign), Buffer.from(signature!, 'hex'));
  if (!canonical || !signed.includes('host') || !same || !date.startsWith(day!)) {
    return { kind: 'mismatch' };
  }
  return clockFlaw(date, rule.skewMs);
}

/** A moment as the signature writes it: `20231112T093900Z`. */
export function stamp(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d{3}/g, '');
}

function clockFlaw(date: string, skewMs: number): SignatureFlaw | null {
  const iso = date.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z');
  const at = Date.parse(iso);
  const nowMs = Date.now();
  if (at < nowMs - skewMs) return { kind: 'expired', date, nowMs };
  // Also refuses a date that is none.
  return at <= nowMs + skewMs ? null : { kind: 'early', date, nowMs };
}

/**
 * Null when the request cannot be the one that was signed. S3 signs the path as it is sent, and may
 * leave the body out; the other services encode the path once more.
 */
function canonicalRequest(
  request: SignedRequest,
  signed: readonly string[],
  isS3: boolean,
): string | null {
  const { target, headers } = request;
  const claimed = headers['x-amz-content-sha256'];
  const unsigned = isS3 && claimed === unsignedPayload;
  const hash = unsigned ? unsignedPayload : sha256(request.body);
  if (claimed !== undefined && claimed !== hash) return null;
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? '' : target.slice(mark + 1);
  let pairs: string[][];
  try {
    pairs = query === '' ? [] : query.split('&').map((p) => splitPair(p).map(decodeURIComponent));
  } catch {
    return null; // a query that is not percent-encoded is none that was signed
  }
  const encoded = pairs.map(([key, value]) => [encode(key ?? ''), encode(value ?? '')] as const);
  encoded.sort((a, b) => compare(a[0], b[0]) || compare(a[1], b[1]));
  const lines = signed.map((name) => {
    const value = headers[name];
    const text = Array.isArray(value) ? value.join(',') : (value ?? '');
    return `${name}:${text.trim().replace(/ +/g, ' ')}\n`;
  });
  return [
    request.method,
    isS3 ? path : path.split('/').map(encode).join('/'),
    encoded.map(([key, value]) => `${key}=${value}`).join('&'),
    lines.join(''),
    signed.join(';'),
    hash,
  ].join('\n');
}

function splitPair(pair: string): [string, string] {
  const at = pair.indexOf('=');
  return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function sha256(of: string | Buffer): string {
  return createHash('sha256').update(of).digest('hex');
}

function hmac(key: string | Buffer, of: string): Buffer {
  return createHmac('sha256', key).update(of).digest();
}
