// Listening sockets that whoever started this process had opened for it (sd_listen_fds(3)): a port
// that this user may not open, and callers that wait in line while the daemon is started anew. Each
// is taken for the address that it stands at, as the kernel says, and for no other: the configuration
// alone says where Detour listens.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { isIPv6, type ListenOptions } from 'node:net';

type Environment = Readonly<Record<string, string | undefined>>;

/** Not yet taken: descriptors by where they stand. */
const waiting = new Map<string, number>();

/** The first descriptor that is handed over. */
const firstFd = 3;
/** More than anybody means. */
const countMost = 64;

/** Looks at what was handed over, once; `folder` is this process's in /proc. */
export function inherit(env: Environment, folder = '/proc/self'): void {
  const count = Math.min(Number(env['LISTEN_FDS'] ?? ''), countMost);
  if (env['LISTEN_PID'] !== String(process.pid) || !(count > 0)) return;
  const places = placesIn(folder);
  for (let fd = firstFd; fd < firstFd + count; fd++) {
    const [, inode] = /^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/fd/${fd}`)) ?? [];
    waiting.set(places.get(inode ?? '') ?? `descriptor ${fd}, which does not listen`, fd);
  }
}

/** The descriptor that stands at this place, for whoever listens there; each is given once. */
export function takeInherited({ host, port, path }: ListenOptions): number | null {
  const place = path ?? placeOf(host ?? '', port ?? 0);
  const fd = waiting.get(place) ?? null;
  waiting.delete(place);
  return fd;
}

/** Whether one stands there that nobody has taken. */
export function isInherited(path: string): boolean {
  return waiting.has(path);
}

/** Where those stand that nobody has taken. */
export function untaken(): readonly string[] {
  return [...waiting.keys()];
}

function placeOf(host: string, port: number): string {
  // One way to write an address of IPv6.
  return isIPv6(host) ? `${new URL(`http://[${host}]`).hostname}:${port}` : `${host}:${port}`;
}

/** Where this machine's sockets listen, by inode (proc(5)). */
function placesIn(folder: string): ReadonlyMap<string, string> {
  const places = new Map<string, string>();
  const rows = (file: string) =>
    readdirSync(`${folder}/net`).includes(file)
      ? readFileSync(`${folder}/net/${file}`, 'utf8').split('\n').slice(1)
      : [];
  for (const row of [...rows('tcp'), ...rows('tcp6')]) {
    const [, local, , state, , , , , , inode] = row.trim().split(/\s+/);
    const [, address, port] = /^([0-9A-F]+):([0-9A-F]{4})$/.exec(local ?? '') ?? [];
    if (state !== listening || address === undefined) continue;
    places.set(inode!, placeOf(hostOf(address), Number.parseInt(port!, 16)));
  }
  for (const row of rows('unix')) {
    // Num: RefCount Protocol Flags Type St Inode Path, of which a path may hold spaces.
    const [, inode, path] = /^\S+(?: +\S+){5} +(\d+) (\/.*)$/.exec(row) ?? [];
    if (inode !== undefined && !places.has(inode)) places.set(inode, path!);
  }
  return places;
}

/** TCP_LISTEN, as /proc/net/tcp writes it. */
const listening = '0A';

/** From words of four bytes, each in the order that the bytes of a number have on this machine. */
function hostOf(hex: string): string {
  const bytes = hex.match(/.{8}/g)!.flatMap((word) => [...Buffer.from(word, 'hex').reverse()]);
  if (bytes.length === 4) return bytes.join('.');
  const groups = Buffer.from(bytes).toString('hex').match(/.{4}/g)!;
  return groups.join(':');
}
