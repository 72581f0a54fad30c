// `node test/long/leaks.ts --probes 10000`: that many failing probes for every way a path can fail, and
// the sockets of both ends counted before and after. Clients, proxies and targets are all in this
// process, so one look at its descriptors sees every end; the timers are counted too. Exits with 1
// when anything is left. The test suite runs the same with a few hundred probes.

import { readdirSync, readlinkSync } from 'node:fs';
import net, { type AddressInfo, type Socket } from 'node:net';
import { parseArgs } from 'node:util';
import type { PathSpec } from '../../src/kit/extend.ts';
import { checkTypes, createProber } from '../../src/probes/index.ts';
import { closedPort } from '../parts/listening.ts';
import { type ProxyOptions, type ProxyPart, startHttpProxy, startSocks } from '../parts/proxy.ts';

export interface Leak {
  readonly scenario: string;
  readonly probes: number;
  readonly seconds: number;
  /** Sockets and timers of this process, of all ends. */
  readonly before: number;
  readonly after: number;
  /** How often each `outcome reason` came. */
  readonly results: Readonly<Record<string, number>>;
}

interface Scenario {
  readonly name: string;
  readonly kind: string;
  readonly settings: Record<string, unknown>;
  readonly path: PathSpec;
  /** Called off after so many milliseconds; undefined: it ends by itself. */
  readonly abortMs?: number;
}

/** Silence is cut short; what ends by itself, or has to get through a proxy first, is given time. */
const deadlinesMs = { hangs: 60, connects: 200, refuses: 5000 } as const;
const atOnce = 50;

/** Runs every scenario with so many probes. Never more than 50 at a time. */
export async function findLeaks(probes: number): Promise<Leak[]> {
  const held: { close(): Promise<void> }[] = [];
  try {
    const leaks: Leak[] = [];
    for (const scenario of await makeScenarios(held)) leaks.push(await run(scenario, probes));
    return leaks;
  } finally {
    for (const part of held) await part.close();
  }
}

async function makeScenarios(held: { close(): Promise<void> }[]): Promise<Scenario[]> {
  const silent = await startSilent();
  held.push(silent);
  const part = async (make: (o: ProxyOptions) => Promise<ProxyPart>, options: ProxyOptions) => {
    const started = await make(options);
    held.push(started);
    return started.port;
  };
  const own = { name: 'line', resolver: null };
  const direct: PathSpec = { ...own, kind: 'direct', localAddress: null };
  const proxied = (kind: 'proxy' | 'socks5', port: number): PathSpec => {
    const scheme = kind === 'proxy' ? 'http' : 'socks5';
    return { ...own, kind, url: `${scheme}://127.0.0.1:${port}`, credentials: null };
  };
  const bb: PathSpec = {
    ...own,
    kind: 'blackbox',
    url: `http://127.0.0.1:${silent.port}`,
    module: 'a',
  };
  const closed = await closedPort();
  const to = (port: number) => ({ http: `http://127.0.0.1:${port}/` });
  const secure = { http: `https://127.0.0.1:${silent.port}/` };
  const question = { dns: `127.0.0.1:${silent.port}`, name: 'a.test', transport: 'tcp' };
  const hang = () => null;
  const proxies: (readonly [what: string, kind: 'proxy' | 'socks5', port: number])[] = [
    ['refuses', 'proxy', await part(startHttpProxy, { odd: () => 'HTTP/1.1 403 No\r\n\r\n' })],
    ['hangs', 'proxy', await part(startHttpProxy, { odd: hang })],
    ['connects', 'proxy', await part(startHttpProxy, {})],
    ['refuses', 'socks5', await part(startSocks, { odd: () => Buffer.from([5, 0xff]) })],
    ['hangs', 'socks5', await part(startSocks, { odd: hang })],
    ['connects', 'socks5', await part(startSocks, {})],
  ];
  const byProxy = proxies.flatMap(([what, kind, port]): Scenario[] => {
    const path = proxied(kind, port);
    const name = `${kind} ${what}`;
    const asks: Scenario[] = [
      { name: `${name}, http`, kind: 'http', settings: to(silent.port), path },
    ];
    if (what === 'refuses') return asks;
    asks.push({ name: `${name}, called off`, kind: 'http', settings: secure, path, abortMs: 20 });
    asks.push({ name: `${name}, dns`, kind: 'dns', settings: question, path });
    return asks;
  });
  const resolver = [`127.0.0.1:${silent.port}`];
  const named = { http: 'http://www.shop.test/' };
  return [
    { name: 'direct refuses', kind: 'http', settings: to(closed), path: direct },
    { name: 'direct hangs', kind: 'http', settings: to(silent.port), path: direct },
    { name: 'direct hangs, called off', kind: 'http', settings: secure, path: direct, abortMs: 20 },
    {
      name: 'direct hangs, tls',
      kind: 'tls',
      settings: { tls: `127.0.0.1:${silent.port}` },
      path: direct,
    },
    { name: 'resolver hangs', kind: 'http', settings: named, path: { ...direct, resolver } },
    {
      name: 'resolver hangs, over TCP',
      kind: 'http',
      settings: named,
      path: { ...direct, kind: 'direct', resolver, localAddress: '127.0.0.1' },
    },
    ...byProxy,
    { name: 'blackbox hangs', kind: 'http', settings: to(closed), path: bb },
    {
      name: 'blackbox hangs, called off',
      kind: 'http',
      settings: to(closed),
      path: bb,
      abortMs: 20,
    },
  ];
}

async function run(scenario: Scenario, probes: number): Promise<Leak> {
  const { name, kind, path, abortMs } = scenario;
  const word = (['connects', 'refuses'] as const).find((one) => name.includes(one)) ?? 'hangs';
  const timeoutMs = deadlinesMs[word];
  const settings = checkTypes[kind]!.settings.parse(scenario.settings);
  const prober = createProber({ 'o/c': { kind, settings, timeoutMs } }, { line: path });
  const results: Record<string, number> = {};
  const one = async () => {
    const calling = new AbortController();
    const timer = abortMs === undefined ? undefined : setTimeout(() => calling.abort(), abortMs);
    const { outcome, reason } = await prober.probe('o/c', 'line', calling.signal);
    clearTimeout(timer);
    const word = `${outcome} ${reason}`;
    results[word] = (results[word] ?? 0) + 1;
  };
  const many = async (count: number) => {
    let left = count;
    const worker = async () => {
      while (left-- > 0) await one();
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
  };
  const before = await settle(0, 80);
  const begin = performance.now();
  await many(probes);
  const seconds = (performance.now() - begin) / 1000;
  const after = await settle(before);
  prober.close();
  return { scenario: name, probes, seconds, before, after, results };
}

/** The count once it is down to a bound, or has not gone down for so long. */
async function settle(bound: number, quietMs = 2000): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  let since = performance.now();
  for (;;) {
    const now = count();
    if (now <= bound) return now;
    if (now < least) [least, since] = [now, performance.now()];
    if (performance.now() - since > quietMs) return now;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Open sockets by the kernel's word, and timers by Node's. */
function count(): number {
  const sockets = readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:');
    } catch {
      // The descriptor that lists the others is gone by now.
      return false;
    }
  });
  const timers = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout');
  return sockets.length + timers.length;
}

/** Takes connections, reads them and says nothing. */
async function startSilent(): Promise<{ readonly port: number; close(): Promise<void> }> {
  const open = new Set<Socket>();
  const server = net.createServer((socket) => {
    open.add(socket);
    socket.on('data', () => {});
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      for (const socket of open) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { probes: { type: 'string', default: '10000' } } });
  const probes = Number(values.probes);
  if (!(Number.isInteger(probes) && probes > 0)) {
    console.error('leaks: --probes wants a whole number above 0');
    process.exit(2);
  }
  const leaks = await findLeaks(probes);
  for (const { scenario, seconds, before, after, results } of leaks) {
    const verdict = after > before ? 'LEAK' : 'none';
    const line = `${scenario.padEnd(28)} ${before} -> ${after} left: ${verdict}`;
    console.log(`${line}  ${seconds.toFixed(1)} s  ${JSON.stringify(results)}`);
  }
  process.exitCode = leaks.some(({ before, after }) => after > before) ? 1 : 0;
}
