// How replicas meet: where one is listened for, and how another is dialled. A connection becomes a
// line when the cluster key has proved who is there, and over TLS its certificate bears the host of
// that replica's address too. Strangers get a moment, a few bytes and a few seats: they must never
// hold up a replica, fill the memory, or be told who is here.

import { createServer, connect as plainConnect, type Server, type Socket } from 'node:net';
import * as tls from 'node:tls';
import { systemLookup } from '../dns/lookup.ts';
import type { Clock } from '../ports.ts';
import type { Keyring } from './keyring.ts';
import { beatLetter } from './letter.ts';
import { Line } from './line.ts';
import { answer, dial, Frames, type Met, PURPOSE, type Refusal } from './session.ts';

/** From the connection until it is known who is there: name, TCP, TLS and hello together. */
const MEET_MS = 3000;
/**
 * Strangers at one time. One more takes the seat of whoever has waited longest of those that have
 * most.
 */
const SEATS = 32;

interface Address {
  readonly host: string;
  readonly port: number;
}

/** Texts in PEM. */
export interface TlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface DoorOptions {
  readonly cluster: string;
  readonly self: string;
  /** Of every other replica. */
  readonly peers: Readonly<Record<string, Address>>;
  readonly listen: { readonly host?: string | undefined; readonly port: number };
  /** Null: the cluster key alone. Asked at each connection, so that files may change. */
  readonly tls: (() => TlsFiles) | null;
  readonly keys: () => Keyring;
  readonly clock: Clock;
}

/** A stranger's seat. */
interface Guest {
  readonly socket: Socket;
  readonly address: string;
  readonly cancel: () => void;
}

interface Greeting {
  /** Why one may not come in just now; null: it may. */
  may(from: string, instance: string): Refusal | null;
  met(line: Line, instance: string): void;
  /** `from`: who it says it is, where that is one of ours. */
  refused(why: string, from: string | null): void;
}

const words: Readonly<Record<Refusal | 'nonsense', string>> = {
  version: 'it speaks another version of this language: the same version of Detour on each replica',
  key: 'it has another cluster key: the same `clusterKey` on each replica',
  name: 'it does not know this cluster, or this name: the same `cluster` and `replicas` on each',
  double: 'another daemon with this name is heard there: each replica has a name of its own',
  nonsense: 'what it said is no hello of a replica',
};

export class Door {
  readonly #options: DoorOptions;
  readonly #greeting: Greeting;
  readonly #instance: string;
  readonly #guests = new Map<string, Guest>();
  #server: Server | null = null;
  #secure: { server: tls.Server; made: TlsFiles } | null = null;

  constructor(options: DoorOptions, instance: string, greeting: Greeting) {
    this.#options = options;
    this.#instance = instance;
    this.#greeting = greeting;
  }

  /** Resolves with null when it listens, else with what is wrong. */
  open(): Promise<string | null> {
    const { host, port } = this.#options.listen;
    const where = `${host ?? 'all interfaces'}, port ${port}`;
    return new Promise((resolve) => {
      const server = this.#made();
      if (typeof server === 'string') return resolve(server);
      this.#server = server;
      server.on('error', (error: NodeJS.ErrnoException) =>
        resolve(`group.listen: ${where} cannot be listened on (${error.code}): name a free one`),
      );
      server.listen({ port, host }, () => resolve(null));
    });
  }

  get port(): number {
    const address = this.#server?.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  close(): void {
    this.#server?.close();
    for (const { socket } of [...this.#guests.values()]) socket.destroy();
  }

  #made(): Server | string {
    if (this.#options.tls === null) {
      return createServer((socket) => {
        this.#seat(socket);
        this.#greet(socket, null);
      });
    }
    try {
      const made = this.#options.tls();
      const server = tls.createServer(secured(made), (socket) => {
        // Its seat was taken when the connection came.
        this.#greet(socket, socket.getPeerCertificate());
      });
      this.#secure = { server, made };
      server.prependListener('connection', (socket: Socket) => {
        this.#renew();
        this.#seat(socket);
      });
      server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
        this.#greeting.refused(`its TLS failed: ${error.code ?? error.message}`, null);
        socket.destroy();
      });
      return server;
    } catch (error) {
      return `group.tls: its files cannot be used: ${(error as Error).message}`;
    }
  }

  /**
   * Certificates that have changed are taken for whoever comes next; bad ones are told, and not
   * taken.
   */
  #renew(): void {
    const secure = this.#secure;
    if (secure === null) return;
    try {
      const now = this.#options.tls!();
      const { made } = secure;
      if (now.ca === made.ca && now.cert === made.cert && now.key === made.key) return;
      secure.server.setSecureContext(secured(now));
      secure.made = now;
    } catch (error) {
      this.#greeting.refused(`group.tls: kept as it was: ${(error as Error).message}`, null);
    }
  }

  // -------------------------------------------------------------- who comes

  #seat(socket: Socket): void {
    const seat = seatOf(socket);
    const cancel = this.#options.clock.after(MEET_MS, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#rise(seat));
    this.#guests.set(seat, { socket, address: socket.remoteAddress ?? '', cancel });
    if (this.#guests.size > SEATS) this.#longest().socket.destroy();
  }

  /** It is a stranger no more, or gone. */
  #rise(seat: string): void {
    this.#guests.get(seat)?.cancel();
    this.#guests.delete(seat);
  }

  /** So that many from one place push out one another, and nobody else. */
  #longest(): Guest {
    const waiting = [...this.#guests.values()].filter(({ socket }) => !socket.destroyed);
    const by = Map.groupBy(waiting, ({ address }) => address);
    const [most] = [...by.values()].toSorted((a, b) => b.length - a.length);
    return most![0]!;
  }

  #greet(socket: Socket, certificate: tls.PeerCertificate | null): void {
    const { clock } = this.#options;
    const frames = new Frames();
    let met: (Met & Hello) | null = null;
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    const refuse = (why: string, from: string | null) => {
      socket.off('data', heard);
      this.#greeting.refused(why, from);
      // What was said goes out still; the seat's deadline ends whoever does not let it.
      socket.destroySoon();
    };
    const heard = (chunk: Buffer) => {
      frames.push(chunk);
      for (let frame = frames.next(); frame !== null; frame = frames.next()) {
        if (frame === 'too long') return refuse(words.nonsense, met?.from ?? null);
        if (met === null) {
          const heardAt = clock.now();
          const said = this.#answer(frame);
          if (said.met === null) {
            socket.write(said.bytes);
            return refuse(words[said.why], null);
          }
          const { from } = said.met;
          const wrong = certificate === null ? null : this.#wrongHost(from, certificate);
          if (wrong !== null) return refuse(wrong, from);
          met = { ...said.met, sentAt: clock.now(), heardAt };
          socket.write(said.bytes);
          continue;
        }
        // Under the session's keys: an old hello said again ends here.
        if (met.session.open(frame) === null) return refuse(words.key, met.from);
        socket.off('data', heard);
        return this.#enter(socket, frames, met);
      }
    };
    socket.on('data', heard);
  }

  #enter(socket: Socket, frames: Frames, met: Met & Hello): void {
    const { clock, peers } = this.#options;
    // Said again, because another may have come in since the hello.
    const refused = Object.hasOwn(peers, met.from)
      ? this.#greeting.may(met.from, met.instance)
      : 'name';
    if (refused !== null) return void socket.destroy();
    this.#rise(seatOf(socket));
    socket.pause();
    const { from: replica, session, sentAt: helloSentAt, heardAt: helloHeardAt } = met;
    const hello = { helloSentAt, helloHeardAt };
    const line = new Line({ socket, frames, session, clock, replica, ...hello });
    this.#greeting.met(line, met.instance);
  }

  #answer(frame: Buffer) {
    const { cluster, self, peers, keys } = this.#options;
    const may = (from: string, instance: string) =>
      Object.hasOwn(peers, from) ? this.#greeting.may(from, instance) : 'name';
    return answer(frame, { cluster, self, may, keys: keys().derive(PURPOSE) });
  }

  #wrongHost(from: string, certificate: tls.PeerCertificate): string | null {
    const { host } = this.#options.peers[from]!;
    const wrong = tls.checkServerIdentity(host, certificate);
    return wrong === undefined ? null : `its certificate is not for ${host}, its address`;
  }

  // -------------------------------------------------------------- who is dialled

  /** Dials another. `done` is called once, within 3 s; what is returned gives up. */
  dial(replica: string, done: (met: Line | string) => void): () => void {
    const { clock } = this.#options;
    const socket = this.#connect(replica);
    if (typeof socket === 'string') return clock.after(0, () => done(socket));
    let isDone = false;
    let why = 'it closes the connection before it has said who it is';
    const end = (met: Line | string) => {
      if (isDone) return;
      isDone = true;
      cancel();
      if (typeof met === 'string') socket.destroy();
      done(met);
    };
    const cancel = clock.after(MEET_MS, () => end(`it does not answer within ${MEET_MS / 1000} s`));
    socket.setNoDelay(true);
    socket.on('error', (error: NodeJS.ErrnoException) => {
      why = whyOfNetwork(error);
    });
    socket.on('close', () => end(why));
    socket.once(socket instanceof tls.TLSSocket ? 'secureConnect' : 'connect', () =>
      this.#hello(socket, replica, end),
    );
    return () => {
      isDone = true;
      cancel();
      socket.destroy();
    };
  }

  #connect(replica: string): Socket | string {
    const { host, port } = this.#options.peers[replica]!;
    const { tls: files } = this.#options;
    const to = { host, port, lookup: systemLookup.lookup };
    if (files === null) return plainConnect(to);
    try {
      return tls.connect({ ...to, ...secured(files()) });
    } catch (error) {
      return `group.tls: its files cannot be used: ${(error as Error).message}`;
    }
  }

  #hello(socket: Socket, replica: string, end: (met: Line | string) => void): void {
    const { cluster, self, keys, clock } = this.#options;
    const parties = { cluster, from: self, to: replica };
    const dialling = dial(parties, this.#instance, keys().derive(PURPOSE));
    const frames = new Frames();
    const helloSentAt = clock.now();
    const heard = (chunk: Buffer) => {
      frames.push(chunk);
      const frame = frames.next();
      if (frame === null) return;
      socket.off('data', heard);
      const session = frame === 'too long' ? 'nonsense' : dialling.finish(frame);
      if (typeof session === 'string') return end(words[session]);
      socket.pause();
      const hello = { helloSentAt, helloHeardAt: clock.now() };
      const line = new Line({ socket, frames, session, clock, replica, ...hello });
      // The proof: the first frame that only the key makes.
      line.send(beatLetter);
      end(line);
    };
    socket.on('data', heard);
    socket.write(dialling.bytes);
  }
}

interface Hello {
  readonly sentAt: number;
  readonly heardAt: number;
}

const seatOf = (socket: Socket) => `${socket.remoteAddress} ${socket.remotePort}`;

/** TLS 1.3, each end with a certificate of the group's CA. */
function secured({ ca, cert, key }: TlsFiles) {
  return {
    ...{ ca, cert, key },
    minVersion: 'TLSv1.3' as const,
    requestCert: true,
    rejectUnauthorized: true,
  };
}

/** What the system's codes say of a connection (errno(3)). */
const networkWords: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nobody listens there',
  ECONNRESET: 'it broke the connection off',
  EHOSTUNREACH: 'no way leads there',
  ENETUNREACH: 'no way leads there',
  ENOTFOUND: 'its host has no address',
  ETIMEDOUT: 'it does not answer',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host',
};

function whyOfNetwork({ code, message }: NodeJS.ErrnoException): string {
  if (code !== undefined && Object.hasOwn(networkWords, code)) return networkWords[code]!;
  return `it cannot be reached (${code ?? message})`;
}
