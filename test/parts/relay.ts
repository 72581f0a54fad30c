// A relay between two ends of TCP on loopback: it delays each direction, holds bytes back, cuts
// what is open, refuses what comes, and keeps what was said. Written apart from the code under
// test. It must never change a byte by itself, and never reach anything but this machine.

import net, { type AddressInfo, type Socket } from 'node:net';

/** One connection: what the dialler said and what was answered, in order. */
export interface Relayed {
  readonly said: Buffer[];
  readonly answered: Buffer[];
  /** Says this to the one who was dialled, as if the dialler had. */
  inject(bytes: Buffer): void;
}

export interface Relay {
  readonly port: number;
  /** Of each direction, for what comes from now on. */
  delayMs: number;
  /** What the dialler says is kept back from the other. */
  hold(on: boolean): void;
  /** Whoever dials is closed at once. */
  refuses: boolean;
  /** Ends all that is open. */
  cut(): void;
  /** Every connection since the start, oldest first. */
  readonly connections: readonly Relayed[];
  close(): Promise<void>;
}

export async function createRelay(to: { host: string; port: number }): Promise<Relay> {
  const open = new Set<Socket>();
  const connections: Relayed[] = [];
  const held: { from: Socket; flows: () => void }[] = [];
  let isHeld = false;
  const keep = (socket: Socket) => {
    open.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => open.delete(socket));
  };
  /** In order, each after the delay that held when it came. */
  const carry = (from: Socket, target: Socket, seen: Buffer[]) => {
    from.on('data', (chunk: Buffer) => {
      seen.push(chunk);
      if (relay.delayMs === 0) return void target.write(chunk);
      setTimeout(() => target.destroyed || target.write(chunk), relay.delayMs);
    });
    from.on('close', () => setTimeout(() => target.destroy(), relay.delayMs));
  };
  const server = net.createServer((near) => {
    keep(near);
    if (relay.refuses) return void near.destroy();
    const far = net.connect(to);
    keep(far);
    const one = { said: [], answered: [], inject: (bytes: Buffer) => void far.write(bytes) };
    connections.push(one);
    carry(near, far, one.said);
    carry(far, near, one.answered);
    held.push({ from: near, flows: () => near.resume() });
    if (isHeld) near.pause();
  });
  const relay = {
    port: 0,
    delayMs: 0,
    refuses: false,
    connections,
    hold(on: boolean) {
      isHeld = on;
      for (const { from, flows } of held) on ? from.pause() : flows();
    },
    cut() {
      for (const socket of open) socket.destroy();
    },
    close: () => {
      for (const socket of open) socket.destroy();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  relay.port = (server.address() as AddressInfo).port;
  return relay;
}
