// A stand-in for the supervisor that starts a service: it has the socket that sd_notify(3) speaks to,
// and keeps what is said there. It reads until it is told to stop, and believes nothing.

import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Koffi {
  load(library: null): { func(prototype: string): (...args: unknown[]) => number };
}

export interface Supervisor {
  /** What NOTIFY_SOCKET says. */
  readonly socket: string;
  /** Every message so far, oldest first. */
  readonly heard: readonly string[];
  /** Forgets what was said. */
  forget(): void;
  close(): void;
}

/** Why there can be none here; false: there can. */
export const withoutSupervisor =
  process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch)
    ? false
    : 'libc is called on Linux, x64 and arm64 alone';

let made = 0;

/** `hidden`: at a name without a file, as containers are given one. */
export async function startSupervisor(hidden = false): Promise<Supervisor> {
  const { default: koffi } = (await import(`@koromix/koffi-linux-${process.arch}`)) as {
    default: Koffi;
  };
  const libc = koffi.load(null);
  const recv = libc.func('long recv(int fd, void *data, size_t size, int flags)');
  const close = libc.func('int close(int fd)');
  const path = join(tmpdir(), `detour-supervisor-${process.pid}-${++made}`);
  const name = Buffer.from(hidden ? `\0${path}` : `${path}\0`);
  const address = Buffer.concat([Buffer.from([1, 0]), name]);
  // AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC.
  const fd = libc.func('int socket(int domain, int type, int protocol)')(1, 0o2004002, 0);
  const bind = libc.func('int bind(int fd, const void *address, uint32_t length)');
  if (fd < 0 || bind(fd, address, address.length) !== 0) throw new Error(`no socket at ${path}`);
  const heard: string[] = [];
  const data = Buffer.alloc(65_536);
  const look = () => {
    for (let size = recv(fd, data, data.length, 0); size >= 0; ) {
      heard.push(data.toString('utf8', 0, size));
      size = recv(fd, data, data.length, 0);
    }
  };
  const timer = setInterval(look, 5);
  return {
    socket: hidden ? `@${path}` : path,
    heard,
    forget: () => void heard.splice(0),
    close() {
      clearInterval(timer);
      close(fd);
      if (!hidden) rmSync(path, { force: true });
    },
  };
}
