// How a connection is asked of a proxy: CONNECT (RFC 9110 section 9.3.6) and SOCKS5 (RFC 1928, with
// RFC 1929 for a user and password). Names are sent as they are and resolved at the far end. It must
// never take a proxy's own trouble for the origin's, never read past the proxy's reply (what follows
// is the origin's), and never say more of a proxy's words than a status or a code.

import net from 'node:net';
import { blind, fail, printHostPort, type Reason, Told } from './words.ts';

/** Of a proxy. Never shown. */
export interface Credentials {
  readonly user: string;
  readonly password: string;
}

export interface FarEnd {
  /** A name or an address, without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Longest head of a reply to CONNECT; some proxies send a page with it, which is not read. */
const headBytesMax = 16_384;

/**
 * Asks an HTTP proxy to connect. Resolves once the socket leads to the far end. Throws Told, always
 * `blind`: 401 and 407 are `proxy-auth`, other 4xx `proxy-refused` (it will not, whatever state the
 * origin is in), the rest `proxy-error`. That includes 502, 503 and 504: proxies say them for a
 * dead origin and for their own lost uplink or resolver alike.
 */
export async function askHttpProxy(
  socket: net.Socket,
  to: FarEnd,
  credentials: Credentials | null,
): Promise<void> {
  const place = printHostPort(to.host, to.port);
  const { user, password } = credentials ?? {};
  const basic = Buffer.from(`${user}:${password}`).toString('base64');
  socket.write(
    `CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\nUser-Agent: detour\r\n` +
      `${credentials === null ? '' : `Proxy-Authorization: Basic ${basic}\r\n`}\r\n`,
  );
  const head = await read(socket, (bytes) => {
    const end = bytes.indexOf('\r\n\r\n');
    if (end >= 0 && end <= headBytesMax) return end + 4;
    if (bytes.length > headBytesMax) throw strange('sent a reply to CONNECT without an end');
    return null;
  });
  const status = Number(/^HTTP\/1\.[01] ([1-5]\d\d)[ \r]/.exec(head.toString('latin1'))?.[1] ?? 0);
  if (status >= 200 && status < 300) return;
  if (status === 0) throw strange('answered CONNECT with something that is no HTTP');
  if (status === 401 || status === 407) {
    const cure = credentials === null ? 'give credentials' : 'look at the credentials';
    throw new Told(blind('proxy-auth', `the proxy wants to know who asks (${status}): ${cure}`));
  }
  const says = `the proxy answered CONNECT ${place} with ${status}`;
  if (status >= 400 && status < 500) {
    throw new Told(blind('proxy-refused', `${says}: let it connect there`));
  }
  throw new Told(blind('proxy-error', `${says}, which may be its own trouble`));
}

/** Reply codes, RFC 1928 section 6. Only one of them is about the far end beyond doubt. */
const socksReplies: Readonly<Record<number, readonly [reason: Reason, says: string]>> = {
  1: ['proxy-error', 'general failure'],
  2: ['proxy-refused', 'not allowed by its rules'],
  3: ['proxy-error', 'network unreachable, which may be its own'],
  4: ['proxy-error', 'host unreachable, which may be its own lost uplink or resolver'],
  6: ['proxy-error', 'TTL expired'],
  7: ['proxy-refused', 'CONNECT not supported'],
  8: ['proxy-refused', 'address type not supported'],
};

/**
 * Asks a SOCKS5 proxy to connect. Resolves once the socket leads to the far end. Throws Told.
 *
 * Connection refused (5) is `fail refused`: a reset came back from the far end, so the way there
 * exists. Network and host unreachable (3, 4) are `blind`: proxies say them when their own uplink
 * or resolver is gone (common servers answer 4 to every error they have no code for, a timeout and
 * a failed lookup among them), and unknown is never down (design, rule 5). Everything else is the
 * proxy's own and `blind` too.
 */
export async function askSocks(
  socket: net.Socket,
  to: FarEnd,
  credentials: Credentials | null,
): Promise<void> {
  const methods = credentials === null ? [0] : [0, 2];
  socket.write(Buffer.from([5, methods.length, ...methods]));
  const [version, method] = await readBytes(socket, 2);
  if (version !== 5) throw strange('does not speak SOCKS5');
  if (method === 2 && credentials !== null) await logIn(socket, credentials);
  else if (method === 0xff || method === 2) {
    const cure = credentials === null ? 'give credentials' : 'it takes no user and password';
    throw new Told(blind('proxy-auth', `the proxy wants to know who asks: ${cure}`));
  } else if (method !== 0) throw strange('chose a method that was not offered');
  const port = Buffer.alloc(2);
  port.writeUInt16BE(to.port);
  socket.write(Buffer.concat([Buffer.from([5, 1, 0]), socksAddress(to.host), port]));
  const reply = await read(socket, (bytes) => {
    if (bytes.length < 5) return null;
    const lengths: Readonly<Record<number, number>> = { 1: 4, 3: 1 + bytes[4]!, 4: 16 };
    const length = lengths[bytes[3]!];
    if (bytes[0] !== 5 || (length === undefined && bytes[1] === 0)) {
      throw strange('answered with something that is no SOCKS5');
    }
    // Some refuse with an address type of zero: the code is all that matters then.
    const whole = 6 + (length ?? -1);
    return bytes.length >= whole ? whole : null;
  });
  const code = reply[1]!;
  if (code === 0) return;
  const place = printHostPort(to.host, to.port);
  if (code === 5) throw new Told(fail('refused', `${place} refused the proxy's connection`));
  const [reason, says] = socksReplies[code] ?? ['proxy-error', `code ${code}`];
  throw new Told(blind(reason, `the proxy did not connect to ${place}: ${says}`));
}

/** RFC 1929. The lengths were looked at when the credentials were read. */
async function logIn(socket: net.Socket, { user, password }: Credentials): Promise<void> {
  const [name, word] = [Buffer.from(user), Buffer.from(password)];
  const lengths = [Buffer.from([1, name.length]), Buffer.from([word.length])] as const;
  socket.write(Buffer.concat([lengths[0], name, lengths[1], word]));
  const [, status] = await readBytes(socket, 2);
  if (status !== 0) {
    throw new Told(blind('proxy-auth', 'the proxy refuses the user or the password'));
  }
}

function socksAddress(host: string): Buffer {
  const family = net.isIP(host);
  if (family === 4) return Buffer.from([1, ...host.split('.').map(Number)]);
  if (family === 6) return Buffer.concat([Buffer.from([4]), bytesOf6(host)]);
  const name = Buffer.from(host.replace(/\.$/, ''));
  if (name.length > 255) throw new Told(fail('dns', 'the name is longer than a name can be'));
  return Buffer.concat([Buffer.from([3, name.length]), name]);
}

/** The 16 bytes of an IPv6 address in any notation. */
function bytesOf6(address: string): Buffer {
  // The URL parser writes every notation, with an IPv4 tail too, as hexadecimal groups.
  const plain = new URL(`http://[${address.replace(/%.*$/, '')}]/`).hostname.slice(1, -1);
  const [head = '', tail] = plain.split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':'));
  const [front, back] = [groups(head), groups(tail ?? '')];
  const middle = Array.from({ length: 8 - front.length - back.length }, () => '0');
  const bytes = Buffer.alloc(16);
  for (const [i, group] of [...front, ...middle, ...back].entries()) {
    bytes.writeUInt16BE(Number.parseInt(group, 16), i * 2);
  }
  return bytes;
}

function strange(what: string): Told {
  return new Told(blind('proxy-error', `the proxy ${what}`));
}

function readBytes(socket: net.Socket, count: number): Promise<Buffer> {
  return read(socket, (bytes) => (bytes.length >= count ? count : null));
}

/**
 * Reads as many bytes as `take` says and hands back what came after them; `take` may throw. The
 * socket is left paused and without a listener of ours.
 */
export function read(socket: net.Socket, take: (bytes: Buffer) => number | null): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0);
    const end = (then: () => void) => {
      socket.off('readable', look);
      socket.off('end', closed);
      socket.off('close', closed);
      socket.off('error', broken);
      then();
    };
    const closed = () => end(() => reject(Object.assign(new Error('end'), { code: 'ECONNRESET' })));
    const broken = (error: Error) => end(() => reject(error));
    const look = () => {
      for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) {
        bytes = Buffer.concat([bytes, chunk]);
        let length: number | null;
        try {
          length = take(bytes);
        } catch (error) {
          return end(() => reject(error));
        }
        if (length === null) continue;
        const rest = bytes.subarray(length);
        if (rest.length > 0) socket.unshift(rest);
        return end(() => resolve(bytes.subarray(0, length)));
      }
    };
    socket.on('readable', look);
    socket.once('end', closed);
    socket.once('close', closed);
    socket.once('error', broken);
    if (socket.destroyed) closed();
    else look();
  });
}
