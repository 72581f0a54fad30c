// The operators' door: HTTP over a Unix socket. Whoever may open the file may command (mode 0660:
// owner and group), so the socket must never exist with a wider mode, not for a moment, and must
// never be taken from a daemon that still answers. What is served stands in operations.ts. Who
// says it is what the client says: Node cannot ask the kernel for the peer's user, so the name is
// marked as unverified wherever it goes.

import { lstatSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { whyOfFile } from '../kit/errno.ts';
import { close, createBounded, type Handler, type Limits, listen } from './bounded.ts';
import type { Desk, Served, Trouble } from './desk.ts';
import { isInherited } from './inherited.ts';
import type { Readers } from './readers.ts';
import { createRoutes } from './routes.ts';

export interface ControlOptions {
  /** Path of the socket file, at most 107 bytes. */
  readonly path: string;
  readonly desk: Desk;
  readonly readers: Readers;
  readonly version?: string;
  readonly trouble: Trouble;
  readonly limits?: Partial<Limits>;
  /** How long a command may take before its asker is told to look at the status instead. */
  readonly commandMs?: number;
}

/** The socket could not be opened; the message names the path and the cure. */
export class ControlError extends Error {}

/**
 * Listens on the socket. Replaces a socket file that nobody answers at; throws ControlError when
 * somebody does, when the file is no socket, or when the path cannot be used.
 */
export async function serveControl(options: ControlOptions): Promise<Served> {
  const { path } = options;
  if (Buffer.byteLength(path) > 107) {
    throw new ControlError(`control socket ${path}: longer than 107 bytes; choose a shorter path`);
  }
  const limits: Limits = { connections: 64, requestMs: 10_000, idleMs: 30_000, ...options.limits };
  const routes = createRoutes({ ...options, version: options.version ?? '' });
  const handle = async (...[request, response, aside]: Parameters<Handler>) => {
    await routes.dispatch(request, response, null, aside);
  };
  const server = createBounded(limits, handle, options.trouble);
  // One that waits for us is no other daemon's.
  if (!isInherited(path)) await removeStale(path);
  // bind() happens inside listen(), before it returns: the file is born with mode 0660.
  const umask = process.umask(0o117);
  let listening: Promise<void>;
  try {
    listening = listen(server, { path });
  } finally {
    process.umask(umask);
  }
  try {
    await listening;
  } catch (error) {
    throw new ControlError(
      `control socket ${path} ${whyOfFile(error)}: its directory must exist and be writable`,
    );
  }
  server.on('error', (error) => options.trouble('control-socket', error.message));
  return {
    close: () => {
      routes.close();
      return close(server);
    },
  };
}

/** Takes away a socket file left by a daemon that is gone. */
async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new ControlError(`control socket ${path}: something else is there; move it away`);
  }
  const answer = await knock(path);
  if (answer === 'ENOENT') return;
  if (answer !== 'ECONNREFUSED') {
    const why = answer === null ? 'another daemon answers there' : `it cannot be tried (${answer})`;
    throw new ControlError(
      `control socket ${path}: ${why}; stop that daemon or choose another path`,
    );
  }
  unlinkSync(path);
}

/** null when somebody accepts the connection, else the error's code; `ETIMEDOUT` after 2 s. */
function knock(path: string): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const done = (answer: string | null) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(2000, () => done('ETIMEDOUT'));
    socket.once('connect', () => done(null));
    socket.once('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
  });
}
