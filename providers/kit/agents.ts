// How an adapter's client opens its connections: Node's agents, with names looked up as Detour does
// it and certificates verified whatever the environment says, straight or through a proxy that the
// configuration names. It must never hand out an agent that looks names up in the system's few
// threads, where one silent name makes the next one wait, nor one that takes a proxy from anywhere
// else.

import { type AgentOptions, Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { LookupFunction } from 'node:net';
import type { Duplex } from 'node:stream';
import { systemLookup } from '../../src/dns/lookup.ts';
import type { AdapterContext } from '../../src/kit/extend.ts';
import { type ProxySettings, type Tunnels, tunnelsBy } from './proxy.ts';

type Means = Pick<AdapterContext, 'lookup'>;

/** What sockets and agents are given to look names up with. */
export function lookupOf({ lookup = systemLookup }: Means): LookupFunction {
  return lookup.lookup;
}

/** The way through a configured proxy; null where there is none. Throws SecretError. */
export function tunnelsOf(
  proxy: ProxySettings | undefined,
  context: AdapterContext,
): Tunnels | null {
  return proxy === undefined ? null : tunnelsBy(proxy, lookupOf(context), context);
}

/**
 * An agent for a base URL, or for a scheme with its colon. Plain http is for this machine alone, and
 * goes straight.
 */
export function agentFor(
  base: string,
  options: AgentOptions,
  context: Means,
  tunnels: Tunnels | null = null,
): HttpAgent {
  const own = { ...options, lookup: lookupOf(context) };
  if (!base.startsWith('https:')) return new HttpAgent(own);
  const verified = { ...own, rejectUnauthorized: true };
  return tunnels === null ? new HttpsAgent(verified) : new TunnelAgent(verified, tunnels);
}

type Opening = Parameters<NonNullable<HttpsAgent['createConnection']>>[0];
type Opened = (error: Error | null, stream: Duplex) => void;

/** TLS with the far end, inside a tunnel. */
class TunnelAgent extends HttpsAgent {
  readonly #tunnels: Tunnels;
  #isClosed = false;

  constructor(options: AgentOptions, tunnels: Tunnels) {
    super(options);
    this.#tunnels = tunnels;
  }

  override createConnection(options: Opening, opened?: Opened): null {
    const { host, port } = options as { host?: string | null; port?: number | string | null };
    this.#tunnels.connect(host ?? '', Number(port ?? 443)).then(
      (socket) => {
        // Whoever wanted it is gone: nothing would ever close it.
        if (this.#isClosed) socket.destroy();
        opened?.(null, super.createConnection({ ...options, socket } as Opening)!);
      },
      (error: Error) => opened?.(error, null as unknown as Duplex),
    );
    return null;
  }

  override destroy(): void {
    this.#isClosed = true;
    super.destroy();
  }
}
