// Two small proxies for tests, written apart from the code under test: HTTP CONNECT, over TLS too,
// and SOCKS5. They resolve only the names they are told, connect only to this machine, misbehave on
// demand, and count what they still hold, so that a leak at either end is seen.

import net, { type AddressInfo, type Socket } from 'node:net';
import tls from 'node:tls';

/** In place of doing its work: bytes to say and nothing more, or null for silence. */
export type Odd = (heard: Buffer, turn: number) => Buffer | string | null;

export interface ProxyOptions {
  /** `user:password` that it wants; none: it asks nobody. */
  readonly credentials?: string;
  /** What it resolves; any other name is a failure to resolve. */
  readonly hosts?: Readonly<Record<string, string>>;
  /** Replaces its whole behaviour on each chunk heard, until null is given back for `turn` 0. */
  readonly odd?: Odd;
  /** Closes the connection after an odd answer. */
  readonly ends?: boolean;
  /** Serves over TLS. */
  readonly tls?: { readonly key: Buffer; readonly cert: Buffer };
}

export interface ProxyPart {
  readonly port: number;
  /** What was asked for, `host:port`, in order. */
  readonly asked: string[];
  /** Connections open on the side of the clients and on the side of the targets. */
  open(): number;
  close(): Promise<void>;
}

/** The codes of RFC 1928 section 6 and the statuses of CONNECT, by what happened. */
const outcomes = {
  refused: { http: '503 No', socks: 5 },
  unknown: { http: '502 No', socks: 4 },
} as const;

type Outcome = keyof typeof outcomes;

export function startHttpProxy(options: ProxyOptions = {}): Promise<ProxyPart> {
  return start(options, (socket, part) => {
    let head = '';
    const listen = (chunk: Buffer) => {
      head += chunk.toString('latin1');
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      socket.off('data', listen);
      const [, place] = /^CONNECT (\S+) HTTP\/1\.1\r\n/.exec(head) ?? [];
      const [, basic] = /\r\nproxy-authorization: basic (\S+)/i.exec(head) ?? [];
      if (place === undefined) return void socket.end('HTTP/1.1 400 No\r\n\r\n');
      const wanted = options.credentials && Buffer.from(options.credentials).toString('base64');
      if (wanted !== undefined && wanted !== basic) {
        return void socket.end('HTTP/1.1 407 Who\r\ncontent-length: 3\r\n\r\nwho');
      }
      const [, host, port] = /^\[?([^\]]+)\]?:(\d+)$/.exec(place)!;
      part.connect(host!, Number(port)).then(
        (target) => {
          socket.write('HTTP/1.1 200 Yes\r\nvia: test\r\n\r\n');
          part.join(socket, target);
        },
        (why: Outcome) => socket.end(`HTTP/1.1 ${outcomes[why].http}\r\n\r\n`),
      );
    };
    socket.on('data', listen);
  });
}

export function startSocks(options: ProxyOptions = {}): Promise<ProxyPart> {
  return start(options, (socket, part) => {
    const say = (...bytes: number[]) => socket.write(Buffer.from(bytes));
    let state: 'greeting' | 'login' | 'request' = 'greeting';
    let heard = Buffer.alloc(0);
    const listen = (chunk: Buffer) => {
      heard = Buffer.concat([heard, chunk]);
      if (state === 'greeting' && heard.length >= 2 && heard.length >= 2 + heard[1]!) {
        const methods = heard.subarray(2, 2 + heard[1]!);
        heard = heard.subarray(2 + heard[1]!);
        const wanted = options.credentials === undefined ? 0 : 2;
        if (!methods.includes(wanted)) return void socket.end(Buffer.from([5, 0xff]));
        say(5, wanted);
        state = wanted === 2 ? 'login' : 'request';
      } else if (state === 'login' && heard.length >= 2) {
        const user = heard.subarray(2, 2 + heard[1]!);
        const password = heard.subarray(3 + user.length, 3 + user.length + heard[2 + user.length]!);
        if (`${user}:${password}` !== options.credentials) {
          return void socket.end(Buffer.from([1, 1]));
        }
        say(1, 0);
        heard = Buffer.alloc(0);
        state = 'request';
      } else if (state === 'request' && heard.length >= 7) {
        const kind = heard[3];
        const length = kind === 1 ? 4 : kind === 4 ? 16 : heard[4]!;
        const from = kind === 3 ? 5 : 4;
        if (heard.length < from + length + 2) return;
        socket.off('data', listen);
        const raw = heard.subarray(from, from + length);
        const groups = Array.from({ length: 8 }, (_, i) => raw.subarray(i * 2, i * 2 + 2));
        const host =
          kind === 1
            ? raw.join('.')
            : kind === 3
              ? raw.toString()
              : groups.map((g) => g.toString('hex')).join(':');
        part.connect(host, heard.readUInt16BE(from + length)).then(
          (target) => {
            say(5, 0, 0, 1, 0, 0, 0, 0, 0, 0);
            part.join(socket, target);
          },
          (why: Outcome) =>
            socket.end(Buffer.from([5, outcomes[why].socks, 0, 1, ...[0, 0, 0, 0, 0, 0]])),
        );
      }
    };
    socket.on('data', listen);
  });
}

interface Work {
  /** Rejects with an Outcome. */
  connect(host: string, port: number): Promise<Socket>;
  join(one: Socket, other: Socket): void;
}

async function start(
  options: ProxyOptions,
  serve: (socket: Socket, work: Work) => void,
): Promise<ProxyPart> {
  const open = new Set<Socket>();
  const asked: string[] = [];
  const keep = (socket: Socket) => {
    open.add(socket);
    socket.setNoDelay();
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
  };
  const work: Work = {
    connect(host, port) {
      asked.push(`${host}:${port}`);
      const address = net.isIP(host) ? host : options.hosts?.[host];
      if (address === undefined) return Promise.reject('unknown' satisfies Outcome);
      const socket = net.connect({ host: address, port });
      keep(socket);
      return new Promise((resolve, reject) => {
        socket.once('connect', () => resolve(socket));
        socket.once('error', () => reject('refused' satisfies Outcome));
      });
    },
    join(one, other) {
      one.pipe(other).pipe(one);
      one.on('close', () => other.destroy());
      other.on('close', () => one.destroy());
    },
  };
  const listener = (socket: Socket) => {
    keep(socket);
    const { odd } = options;
    if (odd === undefined) return serve(socket, work);
    let turn = 0;
    socket.on('data', (heard: Buffer) => {
      const says = odd(heard, turn++);
      if (says !== null) socket.write(says);
      if (options.ends) socket.end();
    });
  };
  const server =
    options.tls === undefined
      ? net.createServer(listener)
      : tls.createServer(options.tls, listener);
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    open: () => open.size,
    close() {
      for (const socket of open) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
