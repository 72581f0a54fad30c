// What tests put inside a daemon of a group, before its first line runs (`node --import`): nothing of it
// is in the program. Every 5 ms it notes until when the daemon believes it may act; it leads what the
// daemon dials over the ways of the tests, keeps its listener on loopback, moves its wall clock, and
// counts what it asks over HTTP. It must never make the daemon act otherwise than on such a machine.

import dgram from 'node:dgram';
import diagnostics from 'node:diagnostics_channel';
import { openSync, writeSync } from 'node:fs';
import { registerHooks } from 'node:module';
import net from 'node:net';

/** What a daemon is told by its environment, as JSON. */
export interface Inside {
  /** `HOST:PORT` that is dialled, and the port of 127.0.0.1 where its way begins. */
  readonly ways: Readonly<Record<string, number>>;
  /** Where samples are noted: pairs of doubles. */
  readonly samples: string;
  /** Added to the wall clock from the start. */
  readonly wallMs: number;
}

/** What it is told while it runs. */
export type Told =
  | { readonly kind: 'wall'; readonly ms: number }
  /** Hosts to which and from which no datagram goes. */
  | { readonly kind: 'deaf'; readonly hosts: readonly string[] }
  | { readonly kind: 'count' };

/** Requests by host and port since the start. */
export type Counted = { readonly kind: 'counted'; readonly requests: Record<string, number> };

export const SAMPLE_MS = 5;

const given = process.env['DETOUR_TEST_INSIDE'];
if (given !== undefined) {
  delete process.env['DETOUR_TEST_INSIDE'];
  install(JSON.parse(given) as Inside);
}

function install({ ways, samples, wallMs }: Inside): void {
  const wall = movedWall(wallMs);
  const deaf = deafened();
  led(new Map(Object.entries(ways)));
  keptOnLoopback();
  const requests = counted();
  watched(openSync(samples, 'a'));
  process.on('message', (told: Told) => {
    if (told.kind === 'wall') wall.ms = told.ms;
    else if (told.kind === 'deaf') deaf.hosts = new Set(told.hosts);
    else process.send?.({ kind: 'counted', requests: Object.fromEntries(requests) });
  });
  process.channel?.unref();
  // Whatever ends the test ends the daemon.
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
}

/** The wall clock, and nothing else, goes so much ahead. */
function movedWall(ms: number): { ms: number } {
  const wall = { ms };
  const real = Date.now.bind(Date);
  const moved = new Proxy(Date, {
    construct: (target, args: [], made) =>
      Reflect.construct(target, args.length === 0 ? [real() + wall.ms] : args, made),
    get: (target, key) =>
      key === 'now' ? () => real() + wall.ms : Reflect.get(target, key, target),
  });
  globalThis.Date = moved;
  return wall;
}

/** Datagrams of hosts that are out of reach are lost in both directions. */
function deafened(): { hosts: ReadonlySet<string> } {
  const deaf = { hosts: new Set<string>() as ReadonlySet<string> };
  type Send = (this: dgram.Socket, ...args: unknown[]) => void;
  const proto = dgram.Socket.prototype as unknown as { send: Send };
  const { send } = proto;
  proto.send = function (...args) {
    const to = args.find((arg) => typeof arg === 'string' && net.isIP(arg) !== 0);
    const host = to ?? remoteOf(this);
    if (typeof host === 'string' && deaf.hosts.has(host)) {
      const then = args.at(-1);
      if (typeof then === 'function') process.nextTick(then as () => void);
      return;
    }
    return send.apply(this, args);
  };
  return deaf;
}

function remoteOf(socket: dgram.Socket): string | undefined {
  try {
    return socket.remoteAddress().address;
  } catch (error) {
    // It is not connected: then each datagram bears its address.
    if ((error as NodeJS.ErrnoException).code === 'ERR_SOCKET_DGRAM_NOT_CONNECTED')
      return undefined;
    throw error;
  }
}

/** What is dialled goes over the way that leads there, whoever dials it. */
function led(ways: ReadonlyMap<string, number>): void {
  type Connect = (this: net.Socket, ...args: unknown[]) => net.Socket;
  const proto = net.Socket.prototype as unknown as { connect: Connect };
  const { connect } = proto;
  proto.connect = function (...args) {
    // Node's own callers hand an array that they have put in order.
    const inner = Array.isArray(args[0]) ? (args[0] as unknown[]) : args;
    const to = inner[0] as { host?: string; port?: number | string };
    const port = typeof to === 'object' && to !== null ? ways.get(`${to.host}:${to.port}`) : null;
    if (port != null) inner[0] = { ...to, host: '127.0.0.1', port };
    return connect.apply(this, args);
  };
}

/** A daemon listens on all interfaces unless told; here it must not be reached from outside. */
function keptOnLoopback(): void {
  type Listen = (this: net.Server, ...args: unknown[]) => net.Server;
  const proto = net.Server.prototype as unknown as { listen: Listen };
  const { listen } = proto;
  proto.listen = function (...args) {
    const to = args[0] as { port?: number; host?: string; path?: string } | null;
    if (typeof to === 'object' && to !== null && to.port !== undefined && to.host === undefined) {
      args[0] = { ...to, host: '127.0.0.1' };
    }
    return listen.apply(this, args);
  };
}

function counted(): Map<string, number> {
  const requests = new Map<string, number>();
  diagnostics.subscribe('http.client.request.start', (message) => {
    const { request } = message as { request: { host: string; getHeader(name: string): unknown } };
    const to = String(request.getHeader('host') ?? request.host);
    requests.set(to, (requests.get(to) ?? 0) + 1);
  });
  return requests;
}

interface Believer {
  actsUntil(): number;
}

/**
 * Notes every 5 ms the machine's monotonic time, in ms, and how long the daemon believes it may act
 * from then on: 0 it does not. The coordinator is caught as its maker hands it out.
 */
function watched(file: number): void {
  const seen: { it: Believer | null; clock: (() => number) | null } = { it: null, clock: null };
  const caught = (it: Believer, options: { clock: { now(): number } }) => {
    seen.it = it;
    seen.clock = () => options.clock.now();
    return it;
  };
  (globalThis as Record<string, unknown>)['detourTestCaught'] = caught;
  const wanted = 'return new EtcdCoordinator(options);';
  const instead = 'return globalThis.detourTestCaught(new EtcdCoordinator(options), options);';
  registerHooks({
    load(url, context, next) {
      const loaded = next(url, context);
      if (!/\/program\/[^/]+\.cjs$/.test(url)) return loaded;
      const source = String(loaded.source);
      // One file of the bundle has it: where none has, nobody is seen to act, and the test says so.
      return source.includes(wanted)
        ? { ...loaded, source: source.replace(wanted, instead) }
        : loaded;
    },
  });
  const sample = new Float64Array(2);
  const bytes = new Uint8Array(sample.buffer);
  setInterval(() => {
    if (seen.it === null || seen.clock === null) return;
    sample[0] = Number(process.hrtime.bigint()) / 1e6;
    sample[1] = Math.max(0, seen.it.actsUntil() - seen.clock());
    writeSync(file, bytes);
  }, SAMPLE_MS).unref();
}
