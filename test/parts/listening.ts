// What tests of probes listen with: servers on free loopback ports that are closed for certain,
// certificates made for the moment, and a bounded wait for a condition.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ProbeResult } from '../../src/kit/extend.ts';

/** `pass ok`, `fail status`, … */
export const words = (result: ProbeResult) => `${result.outcome} ${result.reason}`;

/** Listens while `work` runs; every connection is closed afterwards. */
export async function withServer<T extends net.Server>(
  server: T,
  work: (port: number, server: T) => Promise<void>,
  host = '127.0.0.1',
): Promise<void> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  try {
    await work((server.address() as AddressInfo).port, server);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** A TCP server that reads: a socket nobody reads from never learns that the other end has gone. */
export function withTcp(
  answer: (socket: Socket) => void,
  work: (port: number, server: net.Server) => Promise<void>,
  host?: string,
): Promise<void> {
  const server = net.createServer((socket) => {
    socket.on('data', () => {});
    answer(socket);
  });
  return withServer(server, work, host);
}

/**
 * A port of 127.0.0.1 where nobody listens. It is below those that the kernel gives to whoever asks for
 * none, or a connection of somebody else could take it before it is used (ip(7), Linux: from 32768).
 */
export async function closedPort(): Promise<number> {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    const server = net.createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/** Whether a server has no connection left. */
export const quiet = (server: net.Server) => () =>
  new Promise<boolean>((resolve) => server.getConnections((_, count) => resolve(count === 0)));

/** Waits for a condition, at most so long. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  boundMs = 5000,
): Promise<void> {
  const limit = performance.now() + boundMs;
  while (!(await holds())) {
    assert.ok(performance.now() < limit, `${what} within ${boundMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const stamp = (daysFromNow: number) =>
  `${new Date(Date.now() + daysFromNow * 86_400_000).toISOString().replace(/[-:T]|\.\d+/g, '')}`;

export interface Certificate {
  readonly key: Buffer;
  readonly cert: Buffer;
  /** Path of the certificate itself, as a bundle to trust. */
  readonly ca: string;
}

/** A folder for certificates; `certificate` makes one that may be its own root, in days from now. */
export function createCertificates() {
  const scratch = mkdtempSync(join(tmpdir(), 'detour-tls-'));
  return {
    scratch,
    certificate(label: string, names: string, from: number, to: number): Certificate {
      const at = (file: string) => join(scratch, `${label}-${file}`);
      const openssl = (...args: string[]) =>
        execFileSync('openssl', args, { cwd: scratch, stdio: ['ignore', 'pipe', 'pipe'] });
      writeFileSync(at('index'), '');
      writeFileSync(
        at('cnf'),
        `[ca]\ndefault_ca=d\n[d]\ndatabase=${at('index')}\nnew_certs_dir=${scratch}\n` +
          'rand_serial=yes\ndefault_md=sha256\npolicy=p\ncopy_extensions=copy\n[p]\n' +
          'commonName=supplied\n',
      );
      const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
      const subject = ['-subj', `/CN=${label}`, '-addext', `subjectAltName=${names}`];
      openssl('req', '-new', ...curve, ...subject, '-keyout', at('key'), '-out', at('csr'));
      const dates = ['-startdate', stamp(from), '-enddate', stamp(to)];
      const own = ['-config', at('cnf'), '-keyfile', at('key'), '-in', at('csr')];
      openssl('ca', '-batch', '-selfsign', '-notext', ...own, '-out', at('pem'), ...dates);
      return { key: readFileSync(at('key')), cert: readFileSync(at('pem')), ca: at('pem') };
    },
    remove: () => rmSync(scratch, { recursive: true, force: true }),
  };
}
