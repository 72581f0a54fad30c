// Ways between machines that are far from each other, all on this one: relays of TCP on loopback that
// delay each direction, fall silent, refuse, and count bytes. What a way has is its lane's, so that
// several relays, or one connection of many, can share a fate. It must never change or reorder a byte,
// never hold more than a bounded number of them, and never reach anything but this machine.

import net, { type AddressInfo, type Socket } from 'node:net';

/** What holds from one machine to another; may be changed while bytes are under way. */
export interface Lane {
  /** Of each direction; a new connection takes a round trip before anything else. */
  delayMs: number;
  /** Only while what comes is let through; `silent` keeps it back, as a network that drops all. */
  state: 'open' | 'silent' | 'refuses';
  /** Bytes from the dialler and back, pieces in which they came, and connections, since the start. */
  sent: number;
  answered: number;
  pieces: number;
  dialled: number;
}

export function newLane(delayMs = 0): Lane {
  return { delayMs, state: 'open', sent: 0, answered: 0, pieces: 0, dialled: 0 };
}

export interface Way {
  readonly port: number;
  /** Ends all that is open. */
  cut(): void;
  close(): Promise<void>;
}

/** Of one direction of one connection: beyond this the sender is made to wait. */
const HELD_MOST = 1 << 20;
/** How often a silent lane is looked at again. */
const LOOK_MS = 10;

/** Relays to one place. `lane` is asked once for each connection, with the port it came from. */
export async function openWay(
  to: { readonly host: string; readonly port: number },
  lane: (remotePort: number) => Lane | Promise<Lane>,
): Promise<Way> {
  const open = new Set<Socket>();
  const keep = (socket: Socket) => {
    open.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => open.delete(socket));
  };
  const join = (near: Socket, of: Lane) => {
    of.dialled++;
    if (of.state === 'refuses') return void near.resetAndDestroy();
    const far = net.connect({ ...to, allowHalfOpen: true });
    keep(far);
    const firstAt = performance.now() + 2 * of.delayMs;
    const sent = (bytes: number) => {
      of.sent += bytes;
      of.pieces++;
    };
    const answered = (bytes: number) => {
      of.answered += bytes;
      of.pieces++;
    };
    carry({ from: near, to: far, lane: of, firstAt, count: sent });
    carry({ from: far, to: near, lane: of, firstAt: 0, count: answered });
  };
  const options = { allowHalfOpen: true, pauseOnConnect: true };
  const server = net.createServer(options, (near) => {
    keep(near);
    const found = lane(near.remotePort ?? 0);
    if ('state' in found) join(near, found);
    else
      found.then(
        (of) => near.destroyed || join(near, of),
        (error) => near.destroy(error),
      );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const cut = () => {
    for (const socket of open) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    close: () => {
      cut();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

interface Carried {
  readonly from: Socket;
  readonly to: Socket;
  readonly lane: Lane;
  /** Nothing goes through before. */
  readonly firstAt: number;
  readonly count: (bytes: number) => void;
}

type Parcel = { readonly at: number; readonly bytes: Buffer | 'end' | 'gone' };

/** One direction, in order, each parcel after the delay that held when it came. */
function carry({ from, to, lane, firstAt, count }: Carried): void {
  const held: Parcel[] = [];
  let heldBytes = 0;
  let timer: NodeJS.Timeout | null = null;
  let lastAt = firstAt;
  const flow = () => {
    timer = null;
    while (held.length > 0 && !to.destroyed) {
      const { at, bytes } = held[0]!;
      const waitMs = lane.state === 'silent' ? LOOK_MS : at - performance.now();
      if (waitMs > 0) {
        timer = setTimeout(flow, waitMs);
        return;
      }
      held.shift();
      if (bytes === 'end') to.end();
      else if (bytes === 'gone') to.destroy();
      else {
        heldBytes -= bytes.length;
        to.write(bytes);
        if (heldBytes < HELD_MOST && from.isPaused()) from.resume();
      }
    }
  };
  const take = (bytes: Parcel['bytes']) => {
    lastAt = Math.max(lastAt, performance.now() + lane.delayMs);
    held.push({ at: lastAt, bytes });
    if (timer === null) flow();
  };
  from.on('data', (chunk: Buffer) => {
    count(chunk.length);
    heldBytes += chunk.length;
    if (heldBytes >= HELD_MOST) from.pause();
    take(chunk);
  });
  from.resume();
  from.on('end', () => take('end'));
  from.on('close', () => take('gone'));
}
