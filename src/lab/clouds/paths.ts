// The lab's ways out: small forward proxies on loopback, each standing for one line to the world, so
// that a line can be cut, made slow or lossy without touching the machine's own network. One speaks
// HTTP CONNECT (RFC 9110 section 9.3.6), one SOCKS5 (RFC 1928) and resolves names itself. A proxy
// must never connect to anything outside its lab, never wait without a deadline, and never leave a
// tunnel behind when it is closed.

import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import { connect, createServer, isIPv4, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Listener } from '../vendors/listener.ts';

/** Every way a path can break, with what whoever uses it sees. */
export const pathFaults = {
  refuse: 'refuses connections (its proxy is gone)',
  hang: 'accepts connections and never answers',
  auth: 'wants credentials that nobody has',
  cut: 'reaches nothing behind itself',
  loss: 'loses a share of the connections without a word',
  slow: 'takes 2 s longer to connect',
} as const;

export type PathFault = keyof typeof pathFaults;

/** Whether a word names a fault of a path. */
export function isPathFault(word: string): word is PathFault {
  return Object.hasOwn(pathFaults, word);
}

interface PathOptions {
  readonly name: string;
  readonly kind: 'http' | 'socks5';
  /** Where it is, and the line it leaves by: what it shares with other paths. */
  readonly site: string;
  readonly uplink: string;
  /** A loopback address; tunnels leave from it too. */
  readonly address: string;
  /** 0: a free one, kept through every fault. */
  readonly port: number;
  /** The address of a name, or of an address literal itself; null: not in this lab. */
  readonly resolve: (host: string) => string | null;
  /** How much longer `slow` takes, in milliseconds; 2000 unless set. */
  readonly slowMs?: number;
}

export interface LabPath {
  readonly name: string;
  readonly kind: 'http' | 'socks5';
  readonly site: string;
  readonly uplink: string;
  readonly address: string;
  readonly port: number;
  /** As it stands in a configuration: `http://…` or `socks5://…`. */
  readonly url: string;
  readonly fault: PathFault | null;
  /** Of `loss`, 0 to 1. */
  readonly share: number;
  /** Tunnels asked for since the start, granted or not. */
  readonly asked: number;
  /** Resolves when the fault is in force, for open tunnels too; `share` is for `loss`. */
  break(fault: PathFault, share?: number): Promise<void>;
  /** Resolves when it works again. Rejects when its port was taken meanwhile. */
  heal(): Promise<void>;
  /** Ends every tunnel and gives the port back. */
  close(): Promise<void>;
}

/** Starts one path. Rejects with the system's error when the address cannot be listened on. */
export async function startPath(options: PathOptions): Promise<LabPath> {
  const path = new ProxyPath(options);
  await path.open();
  return path;
}

const usualShare = 0.3;
const dialMs = 5000;
const handshakeMs = 10_000;
const idleMs = 60_000;
/** Greeting and request of SOCKS5 with the longest name: 2 + 255 + 4 + 1 + 255 + 2. */
const greetingOctetsMost = 519;

/** How asking for a tunnel ended. */
type Outcome = 'open' | 'refused' | 'unreachable' | 'timeout' | 'forbidden' | 'cut';

/** What proxies in the field say: 502 where the other end refused, 504 where it did not answer. */
const httpWords: Readonly<Record<Outcome, string>> = {
  open: '200 Connection established',
  refused: '502 Bad Gateway',
  unreachable: '502 Bad Gateway',
  timeout: '504 Gateway Timeout',
  forbidden: '403 Forbidden',
  cut: '503 Service Unavailable',
};
/** RFC 1928 section 6. */
const socksWords: Readonly<Record<Outcome, number>> = {
  open: 0,
  forbidden: 2,
  cut: 3,
  unreachable: 4,
  timeout: 4,
  refused: 5,
};

class ProxyPath implements LabPath {
  readonly name: string;
  readonly kind: 'http' | 'socks5';
  readonly site: string;
  readonly uplink: string;
  fault: PathFault | null = null;
  share = usualShare;
  asked = 0;
  readonly #options: PathOptions;
  readonly #listener: Listener;
  /** The far ends of tunnels; the near ones are the listener's. */
  readonly #far = new Set<Socket>();
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(options: PathOptions) {
    this.#options = options;
    this.name = options.name;
    this.kind = options.kind;
    this.site = options.site;
    this.uplink = options.uplink;
    this.#listener = new Listener({
      address: options.address,
      port: options.port,
      make: () => (options.kind === 'http' ? this.#makeHttp() : this.#makeSocks()),
      accepted: () => undefined,
    });
  }

  get address(): string {
    return this.#listener.address;
  }

  get port(): number {
    return this.#listener.port;
  }

  get url(): string {
    return `${this.kind}://${this.address}:${this.port}`;
  }

  open(): Promise<void> {
    return this.#listener.open();
  }

  break(fault: PathFault, share = usualShare): Promise<void> {
    return this.#listener.inTurn(async () => {
      this.fault = fault;
      this.share = share;
      if (fault === 'refuse') await this.#listener.shut();
      else await this.#listener.open();
      if (fault === 'cut' || fault === 'refuse') this.#hangUp();
      if (fault === 'hang') for (const s of [...this.#far, ...this.#listener.sockets]) s.pause();
    });
  }

  heal(): Promise<void> {
    return this.#listener.inTurn(async () => {
      if (this.fault !== null) this.#hangUp();
      await this.#listener.open();
      this.fault = null;
    });
  }

  close(): Promise<void> {
    const closed = this.#listener.close();
    this.#hangUp();
    return closed;
  }

  #hangUp(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    for (const socket of this.#far) socket.destroy();
    this.#far.clear();
    this.#listener.drop();
  }

  // -------------------------------------------------------------- HTTP CONNECT

  #makeHttp(): Server {
    const server = createHttpServer((request, response) => {
      request.resume();
      if (this.fault === 'hang') return;
      response.writeHead(405, { allow: 'CONNECT' }).end('only CONNECT\n');
    });
    server.headersTimeout = handshakeMs;
    server.on('clientError', (_error, socket) => socket.destroy());
    server.on('connect', (request: IncomingMessage, near: Duplex, head: Buffer) => {
      near.on('error', () => near.destroy());
      if (this.#holdsBack()) return;
      const say = (words: string, more = '') => near.write(`HTTP/1.1 ${words}\r\n${more}\r\n`);
      if (this.fault === 'auth') {
        say('407 Proxy Authentication Required', 'Proxy-Authenticate: Basic realm="lab"\r\n');
        near.end();
        return;
      }
      const to = authority(request.url ?? '');
      if (to === null) {
        say('400 Bad Request');
        near.end();
        return;
      }
      this.#tunnel(near as Socket, to, head, (outcome) => say(httpWords[outcome]));
    });
    return server;
  }

  // -------------------------------------------------------------- SOCKS5

  #makeSocks(): Server {
    return createServer((near) => {
      const late = this.#later(handshakeMs, () => near.destroy());
      near.once('close', () => this.#forget(late));
      let greeted = false;
      let octets: Buffer = Buffer.alloc(0);
      const hear = (chunk: Buffer): void => {
        octets = Buffer.concat([octets, chunk]);
        const short = octets.length <= greetingOctetsMost;
        if (this.fault === 'hang') {
          near.pause();
          return;
        }
        if (!greeted) {
          const methods = greeting(octets);
          if (methods === 'short' && short) return;
          const fits = typeof methods !== 'string' && methods.list.includes(0);
          if (!fits || this.fault === 'auth') {
            near.end(Buffer.of(5, 0xff));
            return;
          }
          octets = octets.subarray(methods.length);
          greeted = true;
          near.write(Buffer.of(5, 0));
        }
        const asked = socksRequest(octets);
        if (asked === 'short' && short) return;
        near.off('data', hear);
        near.pause();
        this.#forget(late);
        if (typeof asked === 'string') {
          near.end(socksReply(asked === 'command' ? 7 : 1));
          return;
        }
        if (this.#holdsBack()) return;
        const head = octets.subarray(asked.length);
        this.#tunnel(near, asked, head, (outcome) => near.write(socksReply(socksWords[outcome])));
      };
      near.on('data', hear);
    });
  }

  // -------------------------------------------------------------- tunnels

  /** Whether whoever asks now gets no answer at all. */
  #holdsBack(): boolean {
    this.asked++;
    return this.fault === 'hang' || (this.fault === 'loss' && Math.random() < this.share);
  }

  #tunnel(
    near: Socket,
    to: { readonly host: string; readonly port: number },
    head: Buffer,
    tell: (outcome: Outcome) => void,
  ): void {
    if (this.fault === 'slow') {
      this.#later(this.#options.slowMs ?? 2000, () => this.#dial(near, to, head, tell));
    } else this.#dial(near, to, head, tell);
  }

  #dial(
    near: Socket,
    to: { readonly host: string; readonly port: number },
    head: Buffer,
    tell: (outcome: Outcome) => void,
  ): void {
    if (near.destroyed) return;
    const refuse = (outcome: Outcome) => {
      tell(outcome);
      near.end();
    };
    const host = this.#options.resolve(to.host);
    if (this.fault === 'cut') return refuse('cut');
    if (host === null) return refuse(isIPv4(to.host) ? 'forbidden' : 'unreachable');
    const far = connect({ host, port: to.port, localAddress: this.address });
    this.#far.add(far);
    let answered = false;
    const answer = (outcome: Outcome) => {
      if (answered) return;
      answered = true;
      if (outcome !== 'open') refuse(outcome);
      else tell(outcome);
    };
    far.setTimeout(dialMs, () => {
      answer('timeout');
      far.destroy();
    });
    far.once('error', (error: NodeJS.ErrnoException) => {
      answer(error.code === 'ECONNREFUSED' ? 'refused' : 'unreachable');
      // What happened behind the tunnel happens to whoever is in front of it.
      if (error.code === 'ECONNRESET') near.resetAndDestroy();
    });
    far.once('close', () => {
      this.#far.delete(far);
      if (answered && !near.writableEnded) near.destroy();
    });
    near.once('close', () => far.destroy());
    far.once('connect', () => {
      answer('open');
      far.setTimeout(idleMs, () => far.destroy());
      if (head.length > 0) far.write(head);
      near.pipe(far);
      far.pipe(near);
    });
  }

  #later(ms: number, then: () => void): NodeJS.Timeout {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      then();
    }, ms);
    this.#timers.add(timer);
    return timer;
  }

  #forget(timer: NodeJS.Timeout): void {
    clearTimeout(timer);
    this.#timers.delete(timer);
  }
}

/** `HOST:PORT`, as CONNECT names its target. */
function authority(text: string): { host: string; port: number } | null {
  const match = /^([A-Za-z0-9._-]{1,253}):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2] ?? 0);
  return match && port > 0 && port <= 65_535 ? { host: match[1]!, port } : null;
}

/** The methods that a SOCKS5 client offers, and how long its greeting was. */
function greeting(octets: Buffer): { list: readonly number[]; length: number } | 'short' | 'wrong' {
  if (octets.length > 0 && octets[0] !== 5) return 'wrong';
  const length = 2 + (octets[1] ?? 0);
  if (octets.length < 2 || octets.length < length) return 'short';
  return { list: [...octets.subarray(2, length)], length };
}

interface SocksRequest {
  readonly host: string;
  readonly port: number;
  readonly length: number;
}

/** A request to connect to an IPv4 address or a name (RFC 1928 section 4). */
function socksRequest(octets: Buffer): SocksRequest | 'short' | 'wrong' | 'command' {
  if (octets.length < 5) return 'short';
  const [version, command, , type] = octets;
  if (version !== 5) return 'wrong';
  if (command !== 1) return 'command';
  if (type !== 1 && type !== 3) return 'wrong';
  const from = type === 1 ? 4 : 5;
  const end = type === 1 ? from + 4 : from + octets[4]!;
  if (octets.length < end + 2) return 'short';
  const raw = octets.subarray(from, end);
  const host = type === 1 ? raw.join('.') : raw.toString('latin1');
  return { host, port: octets.readUInt16BE(end), length: end + 2 };
}

function socksReply(code: number): Buffer {
  return Buffer.of(5, code, 0, 1, 0, 0, 0, 0, 0, 0);
}
