// Signs a request as AWS does (Signature Version 4, in headers), for object storage that speaks S3
// and for AWS's own services. Pure: the moment and the keys are given. It must never put a key into
// an error, and never sign a body: probes send none.
//
// Source: docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html and
// docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html (2026-11).

import { createHash, createHmac } from 'node:crypto';

export interface Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | null;
}

interface Signing {
  readonly method: string;
  readonly url: URL;
  /** Lower-case names; every one is signed, and so is `host`, which must be among them. */
  readonly headers: Readonly<Record<string, string>>;
  readonly region: string;
  readonly service: string;
  readonly keys: Keys;
  /** Wall clock, in milliseconds since 1970. */
  readonly wall: number;
}

const emptyHash = hash('');

/** The headers to add to the request, by lower-case name. */
export function sign(signing: Signing): Record<string, string> {
  const { method, url, region, service, keys, wall } = signing;
  const moment = new Date(wall).toISOString().replace(/[-:]|\.\d+/g, '');
  const day = moment.slice(0, 8);
  const added: Record<string, string> = {
    'x-amz-date': moment,
    ...(service === 's3' ? { 'x-amz-content-sha256': emptyHash } : {}),
    ...(keys.sessionToken === null ? {} : { 'x-amz-security-token': keys.sessionToken }),
  };
  const headers = Object.entries({ ...signing.headers, ...added })
    .map(([name, value]) => [name.toLowerCase(), value.trim().replace(/ +/g, ' ')] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const names = headers.map(([name]) => name).join(';');
  const canonical = [
    method,
    canonicalPath(url.pathname, service),
    canonicalQuery(url.search),
    ...headers.map(([name, value]) => `${name}:${value}`),
    '',
    names,
    emptyHash,
  ].join('\n');
  const scope = `${day}/${region}/${service}/aws4_request`;
  const text = `AWS4-HMAC-SHA256\n${moment}\n${scope}\n${hash(canonical)}`;
  const key = [day, region, service, 'aws4_request'].reduce<string | Buffer>(
    (above, part) => createHmac('sha256', above).update(part).digest(),
    `AWS4${keys.secretAccessKey}`,
  );
  const signature = createHmac('sha256', key).update(text).digest('hex');
  const credential = `Credential=${keys.accessKeyId}/${scope}`;
  return {
    ...added,
    authorization: `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=${names}, Signature=${signature}`,
  };
}

/**
 * The same URL with every character encoded that a signature encodes. What is signed is then what is
 * sent: some services sign a path anew after decoding it, others as it came.
 */
export function signable(url: URL): URL {
  const tidy = new URL(url);
  tidy.pathname = url.pathname.split('/').map(reencode).join('/');
  tidy.search = url.search
    .replace(/^\?/, '')
    .split('&')
    .map((pair) => pair.replace(/[^=]+/, reencode).replace(/(?<==).*$/s, reencode))
    .join('&');
  return tidy;
}

/** S3 takes a path as it was sent; others tidy it up and encode each segment a second time. */
function canonicalPath(path: string, service: string): string {
  const once = path.split('/').map(reencode);
  if (service === 's3') return once.join('/');
  return once.map(encode).join('/').replace(/\/+/g, '/');
}

function canonicalQuery(search: string): string {
  return search
    .replace(/^\?/, '')
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const [name, ...value] = pair.split('=');
      return [reencode(name!), reencode(value.join('='))] as const;
    })
    .sort(([a, x], [b, y]) => (a < b || (a === b && x < y) ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

const reencode = (text: string) => encode(decode(text));

/** RFC 3986: everything but the unreserved characters. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** What is no percent-encoding stands for itself. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
