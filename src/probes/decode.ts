// What a body says in plain text: codings taken off (RFC 9110 section 8.4), then read by its
// charset. It must never make more of a body than its bound (a few bytes can unpack to gigabytes),
// and never guess: what it cannot read is said to be so.

import zlib from 'node:zlib';

/** `text` as far as it could be read; `unknown` names a charset that is not known here. */
interface Text {
  readonly text: string;
  readonly unknown: string | null;
}

type Unpacked =
  | { readonly kind: 'bytes'; readonly bytes: Buffer; readonly cut: boolean }
  /** It is not what it says it is. */
  | { readonly kind: 'damaged'; readonly coding: string }
  | { readonly kind: 'unknown'; readonly coding: string };

const codingsMax = 4;
/** Of a body, where its charset may be written. */
const declarationBytes = 1024;

/**
 * Takes codings off, the last first; at most `maxBytes` of each step, and `cut` says if there was
 * more. What came of a body that broke off is unpacked as far as it goes.
 */
export async function unpack(
  body: Buffer,
  codings: readonly string[],
  maxBytes: number,
): Promise<Unpacked> {
  let bytes = body;
  let cut = false;
  for (const [i, coding] of codings.toReversed().entries()) {
    if (coding === 'identity') continue;
    const stream = i < codingsMax ? unpackerOf(coding, bytes) : null;
    if (stream === null) return { kind: 'unknown', coding };
    const step = await through(stream, bytes, maxBytes);
    if (step === null) return { kind: 'damaged', coding };
    bytes = step.bytes;
    cut ||= step.cut;
  }
  return { kind: 'bytes', bytes, cut };
}

type Unpacker = ReturnType<typeof zlib.createGunzip>;

function unpackerOf(coding: string, bytes: Buffer): Unpacker | null {
  const {
    Z_SYNC_FLUSH: finishFlush,
    BROTLI_OPERATION_FLUSH: ofBrotli,
    ZSTD_e_flush: ofZstd,
  } = zlib.constants;
  switch (coding) {
    case 'gzip':
    case 'x-gzip':
      return zlib.createGunzip({ finishFlush });
    case 'deflate':
      // Some servers leave the wrapper out that the name stands for (RFC 1950).
      return ((bytes[0] ?? 8) & 0x0f) === 8
        ? zlib.createInflate({ finishFlush })
        : zlib.createInflateRaw({ finishFlush });
    case 'br':
      return zlib.createBrotliDecompress({ finishFlush: ofBrotli });
    case 'zstd':
      return zlib.createZstdDecompress({ finishFlush: ofZstd });
    default:
      return null;
  }
}

/** null: the bytes are not what the stream takes. */
function through(
  stream: Unpacker,
  bytes: Buffer,
  maxBytes: number,
): Promise<{ readonly bytes: Buffer; readonly cut: boolean } | null> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const end = (cut: boolean) =>
      resolve({ bytes: Buffer.concat(chunks).subarray(0, maxBytes), cut });
    stream.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length <= maxBytes) return;
      end(true);
      stream.destroy();
    });
    stream.on('end', () => end(false));
    stream.on('error', () => resolve(null));
    stream.end(bytes);
  });
}

/** Reads a body by its byte order mark, its Content-Type, or what it says itself; else as UTF-8. */
export function textOf(body: Buffer, type: string | null): Text {
  const label = charsetOf(body, type);
  if (label === null) return { text: withoutMark(body.toString('utf8')), unknown: null };
  try {
    return { text: new TextDecoder(label).decode(body), unknown: null };
  } catch {
    // Most charsets hold ASCII at its place.
    return { text: body.toString('latin1'), unknown: label };
  }
}

/** null: UTF-8. */
function charsetOf(body: Buffer, type: string | null): string | null {
  const mark = body.subarray(0, 3).toString('hex');
  if (mark === 'efbbbf') return null;
  if (mark.startsWith('feff')) return 'utf-16be';
  if (mark.startsWith('fffe')) return 'utf-16le';
  const [, quoted, bare] = /;\s*charset\s*=\s*(?:"([^"]*)"|([^\s;]+))/i.exec(type ?? '') ?? [];
  const declared = quoted ?? bare ?? withinOf(body, type ?? '');
  if (declared === null || /^(?:utf-?8|us-ascii|ascii)$/i.test(declared)) return null;
  return declared.slice(0, 40);
}

/** The charset that a page or a document says of itself. */
function withinOf(body: Buffer, type: string): string | null {
  if (!/html|xml/i.test(type)) return null;
  const begin = body.toString('latin1', 0, declarationBytes);
  const [, ofXml] = /^\s*<\?xml[^>]*\sencoding\s*=\s*["']([\w.:-]+)/i.exec(begin) ?? [];
  const [, ofHtml] = /<meta\s[^>]*charset\s*=\s*["']?\s*([\w.:-]+)/i.exec(begin) ?? [];
  const declared = ofXml ?? ofHtml ?? null;
  // It was read as ASCII, so it is not in 16 bits, whatever it says.
  return declared !== null && /^utf-16/i.test(declared) ? null : declared;
}

function withoutMark(text: string): string {
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}
