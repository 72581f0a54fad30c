// A place on the network to listen at that may not be had yet: it is told of as trouble and tried
// again, for ever, because nothing but who comes there needs it. It knows no request.

import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TroubleWord } from '../ports.ts';
import { close, listen } from './bounded.ts';
import type { Served, Trouble } from './desk.ts';

/** Of the attempts to listen: the first wait, doubled to the longest. */
const firstMs = 1000;
const longestMs = 30_000;

interface Listening extends Served {
  readonly host: string;
  readonly port: number;
  readonly listens: boolean;
  /** Ends at once for whoever comes; who is being answered has so long, 1 s unless given. */
  close(graceMs?: number): Promise<void>;
  /** Who is still being answered has no more time. */
  cut(): void;
}

interface ListeningOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly trouble: Trouble;
  readonly word: TroubleWord;
  /** What cannot be had meanwhile, and the key of the configuration that says where. */
  readonly without: string;
  readonly key: string;
  /** The first wait before an address that could not be had is tried again, in milliseconds. */
  readonly retryMs?: number | undefined;
  /** Ends what would go on for ever, when the listener is closed. */
  readonly closing?: () => void;
}

/**
 * Resolves after the first attempt; `host` and `port` are those that were got, or those that are
 * wanted, and `listens` says which.
 */
export async function keepListening(server: Server, options: ListeningOptions): Promise<Listening> {
  const { host, port, trouble, word } = options;
  let bound: AddressInfo | null = null;
  let retry: NodeJS.Timeout | undefined;
  let waitMs = options.retryMs ?? firstMs;
  const attempt = async (): Promise<void> => {
    try {
      await listen(server, { host, port });
      bound = server.address() as AddressInfo;
      server.on('error', (error) => trouble(word, error.message));
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const detail =
        `${host}:${port}: ${code ?? message}; ${options.without}; all else goes on, and it is ` +
        `tried again: free the address or change \`${options.key}\``;
      trouble(word, detail);
      retry = setTimeout(() => void attempt(), waitMs);
      waitMs = Math.min(2 * waitMs, longestMs);
    }
  };
  await attempt();
  return {
    get host() {
      return bound?.address ?? host;
    },
    get port() {
      return bound?.port ?? port;
    },
    get listens() {
      return bound !== null;
    },
    close: (graceMs) => {
      clearTimeout(retry);
      options.closing?.();
      return close(server, graceMs);
    },
    cut: () => server.closeAllConnections(),
  };
}
